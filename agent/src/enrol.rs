//! Enrolment: a join string is traded for an identity, once.

use std::sync::Arc;
use std::time::Duration;

use argosy_core::backoff::Backoff;
use argosy_proto::v1::enrollment_client::EnrollmentClient;
use argosy_proto::{Enrolled as Issued, EnrollmentRequest, FrameError, v1};
use argosy_runtime::entropy::SystemEntropy;
use argosy_runtime::files::{self, FileError};
use argosy_runtime::join::JoinString;
use argosy_runtime::pki::{AgentKey, PkiError, TrustAnchor};
use argosy_runtime::tls::{self, TlsError};
use rustls::pki_types::CertificateDer;
use tonic::Code;
use tracing::{info, warn};

use crate::cluster::Connection;
use crate::dial::{self, DialError};
use crate::identity::{Enrolled, Enrolment, Folder, IdentityError};

/// How long the hub may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The agent cannot enrol.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The hub refuses; trying again does not help.
    #[error("the hub refuses to enrol cluster {name}: {why}")]
    Refused {
        /// The name in the join string.
        name: String,
        /// The hub's words.
        why: String,
    },
    /// What the hub sent is of no use.
    #[error("the hub's answer to the enrolment: {0}")]
    Answer(String),
    /// The folder cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A key or certificate cannot be made or used.
    #[error("cannot prepare the enrolment")]
    Pki(#[from] PkiError),
    /// TLS cannot be set up.
    #[error("cannot prepare the enrolment")]
    Tls(#[from] TlsError),
    /// The key cannot be kept.
    #[error("cannot keep the agent's key")]
    File(#[from] FileError),
}

/// A failure that may pass.
#[derive(Debug, thiserror::Error)]
enum Passing {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the hub does not answer: {0}")]
    Hub(String),
    #[error("the cluster's API server does not answer: {0}")]
    Cluster(String),
}

enum Failure {
    Final(EnrolError),
    Passing(Passing),
}

impl<E: Into<EnrolError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

/// Enrols; goes on trying while hub or cluster cannot be reached. An agent that is enrolled `before` stays the same
/// cluster (M23): its store and anchor stay with it if they describe this Kubernetes cluster, else they are set aside.
///
/// # Cancel safety
/// Safe: the key is durable before it is used, and the same one is used by the next try.
pub async fn enrol(
    folder: &Folder,
    join: &JoinString,
    before: Option<&Enrolled>,
    cluster: &Connection,
) -> Result<Enrolled, EnrolError> {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
    loop {
        match attempt(folder, join, before, cluster).await {
            Ok(enrolled) => return Ok(enrolled),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Passing(error)) => {
                let pause = backoff.next_delay(&mut SystemEntropy);
                warn!(%error, ?pause, "enrolment is tried again");
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn attempt(
    folder: &Folder,
    join: &JoinString,
    before: Option<&Enrolled>,
    cluster: &Connection,
) -> Result<Enrolled, Failure> {
    let facts =
        cluster.facts().await.map_err(|error| Failure::Passing(Passing::Cluster(error.to_string())))?;
    let key = match files::read(&folder.key())? {
        Some(pem) => AgentKey::from_pem(&pem)?,
        None => AgentKey::generate()?,
    };
    files::write(&folder.key(), key.to_pem().as_bytes())?;
    let tls = tls::enrolment_config(join.authority)?;
    let channel = dial::connect(&join.addresses, join.server_name.as_deref(), &tls)
        .await
        .map_err(|error| Failure::Passing(error.into()))?;
    let request = EnrollmentRequest {
        token: *join.token.reveal(),
        csr_der: key.csr()?,
        name: join.cluster_name.clone(),
        kube_system_uid: facts.kube_system_uid.clone(),
        installation: join.installation,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut request = tonic::Request::new(v1::EnrollRequest::from(request));
    request.set_timeout(ANSWER);
    let answer =
        EnrollmentClient::new(channel).enroll(request).await.map_err(|status| refusal(join, &status))?;
    let malformed = |error: FrameError| EnrolError::Answer(error.to_string());
    let issued = Issued::try_from(answer.into_inner()).map_err(malformed)?;
    if issued.installation != join.installation {
        let why = format!(
            "it is of installation {}, the join string of {}",
            issued.installation, join.installation
        );
        return Err(EnrolError::Answer(why).into());
    }
    if issued.cluster != join.cluster {
        let why = format!("it is for cluster {}, the join string for {}", issued.cluster, join.cluster);
        return Err(EnrolError::Answer(why).into());
    }
    let chain: Vec<CertificateDer<'static>> =
        issued.certificate_chain_der.into_iter().map(CertificateDer::from).collect();
    let last = chain.last().ok_or_else(|| EnrolError::Answer("no certificate".to_owned()))?;
    let authority = TrustAnchor::from_der_pinned(last, join.authority)?;
    let identity = key.into_identity(chain)?;
    let stays = before.filter(|before| before.enrolment.kube_system_uid == facts.kube_system_uid);
    if before.is_some() && stays.is_none() {
        warn!("the data folder is of another Kubernetes cluster: its store is set aside");
        folder.forget_cluster()?;
    }
    let enrolled = Enrolled {
        enrolment: Enrolment {
            cluster: issued.cluster,
            cluster_name: join.cluster_name.clone(),
            installation: issued.installation,
            addresses: join.addresses.clone(),
            server_name: join.server_name.clone(),
            head_key: *join.head_key.as_bytes(),
            kube_system_uid: facts.kube_system_uid,
            rejoin_serial: join.rejoin_serial,
            instance: stays.map_or_else(Enrolment::new_instance, |before| before.enrolment.instance),
        },
        identity,
        authority,
        anchor: stays.and_then(|before| before.anchor),
    };
    folder.save(&enrolled)?;
    info!(cluster = %enrolled.enrolment.cluster, name = %join.cluster_name, "enrolled");
    Ok(enrolled)
}

fn refusal(join: &JoinString, status: &tonic::Status) -> Failure {
    let why = status.message().to_owned();
    match status.code() {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Unknown
        | Code::Internal
        | Code::Aborted
        | Code::ResourceExhausted => Failure::Passing(Passing::Hub(format!("{why} ({:?})", status.code()))),
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => {
            Failure::Final(EnrolError::Refused { name: join.cluster_name.clone(), why })
        }
    }
}

/// Makes the TLS configuration of an enrolled agent.
pub(crate) fn tls_of(enrolled: &Enrolled) -> Result<Arc<rustls::ClientConfig>, TlsError> {
    let identity = tls::IdentityHandle::new(&enrolled.identity)?;
    tls::client_config(&enrolled.authority, Some(identity))
}
