//! Enrolment: a one-time token for an identity.

use std::fmt;

use argosy_core::ids::{ClusterId, InstallationId};
use argosy_core::time::WallTime;

use crate::error::FrameError;
use crate::field;
use crate::link::limits;
use crate::v1;

/// Length of a one-time token in bytes.
pub const TOKEN_LENGTH: usize = 32;
/// Longest certificate or signing request.
const CERTIFICATE: usize = 16 << 10;
/// Most certificates of a chain.
const CHAIN: usize = 8;

/// What an agent asks for. Its `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrollmentRequest {
    /// The one-time token.
    pub token: [u8; TOKEN_LENGTH],
    /// PKCS #10 request, DER; not verified yet.
    pub csr_der: Vec<u8>,
    /// The cluster's name.
    pub name: String,
    /// UID of the namespace `kube-system`.
    pub kube_system_uid: String,
    /// The installation that the join string names.
    pub installation: InstallationId,
    /// The agent's version.
    pub agent_version: String,
}

/// An identity that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The certificate and those up to the CA's, DER, leaf first.
    pub certificate_chain_der: Vec<Vec<u8>>,
    /// The cluster's UUID.
    pub cluster: ClusterId,
    /// The hub's installation.
    pub installation: InstallationId,
    /// Expiry of the certificate.
    pub not_after: WallTime,
}

// === impl EnrollmentRequest ===

impl fmt::Debug for EnrollmentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollmentRequest")
            .field("name", &self.name)
            .field("kube_system_uid", &self.kube_system_uid)
            .field("installation", &self.installation)
            .field("agent_version", &self.agent_version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::EnrollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

impl From<EnrollmentRequest> for v1::EnrollRequest {
    fn from(request: EnrollmentRequest) -> Self {
        Self {
            token: request.token.to_vec(),
            csr_der: request.csr_der,
            name: request.name,
            kube_system_uid: request.kube_system_uid,
            installation: request.installation.as_bytes().to_vec(),
            agent_version: request.agent_version,
        }
    }
}

impl TryFrom<v1::EnrollRequest> for EnrollmentRequest {
    type Error = FrameError;

    fn try_from(request: v1::EnrollRequest) -> Result<Self, FrameError> {
        if request.name.is_empty() {
            return Err(FrameError::Empty { field: "enroll.name" });
        }
        Ok(Self {
            token: field::fixed("enroll.token", &request.token)?,
            csr_der: certificate("enroll.csr_der", request.csr_der)?,
            name: field::word("enroll.name", request.name, limits::NAME)?,
            kube_system_uid: field::word("enroll.kube_system_uid", request.kube_system_uid, limits::WORD)?,
            installation: field::fixed("enroll.installation", &request.installation)
                .map(InstallationId::new)?,
            agent_version: field::word("enroll.agent_version", request.agent_version, limits::WORD)?,
        })
    }
}

// === impl Enrolled ===

impl From<Enrolled> for v1::EnrollResponse {
    fn from(enrolled: Enrolled) -> Self {
        Self {
            certificate_chain_der: enrolled.certificate_chain_der,
            cluster: enrolled.cluster.as_bytes().to_vec(),
            installation: enrolled.installation.as_bytes().to_vec(),
            not_after_ms: enrolled.not_after.0,
        }
    }
}

impl TryFrom<v1::EnrollResponse> for Enrolled {
    type Error = FrameError;

    fn try_from(response: v1::EnrollResponse) -> Result<Self, FrameError> {
        const FIELD: &str = "enrolled.certificate_chain_der";
        let chain = response.certificate_chain_der;
        field::count(FIELD, chain.len(), CHAIN)?;
        if chain.is_empty() {
            return Err(FrameError::Empty { field: FIELD });
        }
        let chain: Result<Vec<_>, _> = chain.into_iter().map(|der| certificate(FIELD, der)).collect();
        Ok(Self {
            certificate_chain_der: chain?,
            cluster: field::fixed("enrolled.cluster", &response.cluster).map(ClusterId::new)?,
            installation: field::fixed("enrolled.installation", &response.installation)
                .map(InstallationId::new)?,
            not_after: WallTime(response.not_after_ms),
        })
    }
}

fn certificate(field: &'static str, der: Vec<u8>) -> Result<Vec<u8>, FrameError> {
    if der.len() > CERTIFICATE {
        return Err(FrameError::TooLong { field, limit: CERTIFICATE, got: der.len() });
    }
    field::filled(field, der)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> EnrollmentRequest {
        EnrollmentRequest {
            token: [0xaa; 32],
            csr_der: vec![1, 2, 3],
            name: "edge-1".to_owned(),
            kube_system_uid: "uid".to_owned(),
            installation: InstallationId::from_random([7; 16]),
            agent_version: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn a_request_comes_back_from_the_wire() {
        assert_eq!(EnrollmentRequest::try_from(v1::EnrollRequest::from(request())), Ok(request()));
        let enrolled = Enrolled {
            certificate_chain_der: vec![vec![1], vec![2]],
            cluster: ClusterId::from_random([1; 16]),
            installation: InstallationId::from_random([7; 16]),
            not_after: WallTime(1_700_000_000_000),
        };
        assert_eq!(Enrolled::try_from(v1::EnrollResponse::from(enrolled.clone())), Ok(enrolled));
    }

    #[test]
    fn a_token_is_in_no_debug_output() {
        let shown = format!("{:?} {:?}", request(), v1::EnrollRequest::from(request()));
        assert!(shown.contains("edge-1") && !shown.contains("170") && !shown.contains("aa"), "{shown}");
    }

    #[test]
    fn malformed_requests_name_the_field() {
        let mut short = v1::EnrollRequest::from(request());
        short.token.pop();
        assert_eq!(
            EnrollmentRequest::try_from(short).unwrap_err().to_string(),
            "enroll.token has 31 bytes instead of 32"
        );
        let nameless = v1::EnrollRequest { name: String::new(), ..request().into() };
        assert_eq!(EnrollmentRequest::try_from(nameless).unwrap_err().to_string(), "enroll.name is empty");
        let empty = v1::EnrollResponse::default();
        assert!(Enrolled::try_from(empty).unwrap_err().to_string().contains("certificate_chain_der"));
    }
}
