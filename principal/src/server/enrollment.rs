//! `Enrollment`: a one-time token for an identity. The one service that needs no client certificate.

use argosy_core::ids::Digest;
use argosy_core::registry::{Attempt, EnrolError};
use argosy_proto::v1::enrollment_server::Enrollment as Service;
use argosy_proto::{Enrolled, EnrollmentRequest, v1};
use argosy_runtime::join::JoinToken;
use tonic::{Request, Response, Status};
use tracing::warn;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::Services;
use crate::engine::EnrolFailure;

/// The service.
pub(super) struct Enrollment {
    services: Services,
}

// === impl Enrollment ===

impl Enrollment {
    pub(super) fn new(services: Services) -> Self {
        Self { services }
    }
}

#[tonic::async_trait]
impl Service for Enrollment {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let request = EnrollmentRequest::try_from(request.into_inner())?;
        let EnrollmentRequest { token, csr_der, name, kube_system_uid, installation, agent_version } =
            request;
        let attempt = Attempt {
            token: Digest::new(*JoinToken::new(token).hash().as_bytes()),
            name: name.clone(),
            key: key_of(&csr_der)?,
            installation,
            kube_system_uid,
            agent_version,
        };
        match self.services.handle.enrol(attempt, csr_der).await {
            Ok((cluster, issued)) => {
                let authority = self.services.join.authority.certificate().to_vec();
                let enrolled = Enrolled {
                    certificate_chain_der: vec![issued.certificate.to_vec(), authority],
                    cluster,
                    installation: self.services.join.installation,
                    not_after: issued.not_after,
                };
                Ok(Response::new(enrolled.into()))
            }
            Err(failure) => {
                warn!(%name, error = %failure, "an enrolment was refused");
                Err(status_of(&failure))
            }
        }
    }
}

/// Names the key that a request asks a certificate for.
fn key_of(csr: &[u8]) -> Result<Digest, Status> {
    let (_, request) = X509CertificationRequest::from_der(csr).map_err(|error| {
        Status::invalid_argument(format!("the certificate request does not parse: {error}"))
    })?;
    Ok(Digest::of(request.certification_request_info.subject_pki.raw))
}

fn status_of(failure: &EnrolFailure) -> Status {
    let message = failure.to_string();
    match failure {
        EnrolFailure::Refused(error) => match error {
            EnrolError::Token
            | EnrolError::Name { .. }
            | EnrolError::Expired { .. }
            | EnrolError::Used { .. }
            | EnrolError::Revoked { .. } => Status::unauthenticated(message),
            EnrolError::Installation { .. } => Status::failed_precondition(message),
        },
        EnrolFailure::Request(_) => Status::invalid_argument(message),
        EnrolFailure::Stopped => Status::unavailable(message),
    }
}
