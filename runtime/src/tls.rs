//! TLS of the link: rustls with aws-lc-rs, TLS 1.3 alone, HTTP/2 alone, no resumption.
//!
//! A resumed session would outlive a revocation, so there is none. The server asks every client for a certificate but
//! lets one without it in: enrolment needs that, and every other service asks for the identity itself. A certificate that
//! is shown must be of our authority. There is no switch that turns a check off.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme, version};

use crate::clock;
use crate::pki::{Fingerprint, Identity, TrustAnchor};

use self::pinned::PinnedVerifier;

pub use self::pinned::PinMismatch;

mod pinned;

/// The one protocol above TLS.
const ALPN_H2: &[u8] = b"h2";

/// A TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The library refuses certificate, key or version.
    #[error("TLS configuration: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authority's certificate is of no use to verify peers.
    #[error("TLS configuration: verifier of peers: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
}

/// An identity that can be replaced while connections are made with it; both ends use one.
#[derive(Clone)]
pub struct IdentityHandle {
    current: Arc<ArcSwap<CertifiedKey>>,
}

/// The one place that says by which time certificates are judged.
#[derive(Debug)]
struct CertificateTime;

// === impl IdentityHandle ===

impl fmt::Debug for IdentityHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityHandle").finish_non_exhaustive()
    }
}

impl IdentityHandle {
    /// Makes one that shows `identity`.
    pub fn new(identity: &Identity) -> Result<Self, TlsError> {
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(certified_key(identity)?)) })
    }

    /// Shows another identity from the next handshake on.
    pub fn replace(&self, identity: &Identity) -> Result<(), TlsError> {
        self.current.store(Arc::new(certified_key(identity)?));
        Ok(())
    }
}

impl ResolvesServerCert for IdentityHandle {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl ResolvesClientCert for IdentityHandle {
    fn resolve(&self, _root_hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

// === impl CertificateTime ===

impl TimeProvider for CertificateTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(clock::wall().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

/// Makes the configuration of a server that lets clients of `authority` and clients without a certificate in.
pub fn server_config(
    authority: &TrustAnchor,
    identity: IdentityHandle,
) -> Result<Arc<ServerConfig>, TlsError> {
    let clients = WebPkiClientVerifier::builder_with_provider(roots(authority)?, provider())
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(CertificateTime))
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Makes the configuration of a client that trusts servers of `authority` alone, and shows `identity` if it has one.
pub fn client_config(
    authority: &TrustAnchor,
    identity: Option<IdentityHandle>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(CertificateTime))
        .with_protocol_versions(&[&version::TLS13])?
        .with_root_certificates(roots(authority)?);
    let config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(identity)),
        None => builder.with_no_client_auth(),
    };
    Ok(finished(config))
}

/// Makes the configuration of a client that knows its authority by fingerprint alone: an agent that enrols. The server
/// must send the authority's certificate with its own; the server's name and certificate are then checked as usual.
pub fn enrolment_config(authority: Fingerprint) -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = PinnedVerifier::new(authority, provider());
    let config = ClientConfig::builder_with_details(provider(), Arc::new(CertificateTime))
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(finished(config))
}

fn finished(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Gives the one provider of cryptography; no other is ever installed.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Makes what rustls shows of an identity; fails if its key is not the leaf's.
pub(crate) fn certified_key(identity: &Identity) -> Result<CertifiedKey, rustls::Error> {
    let key = PrivateKeyDer::from(identity.key().clone_key());
    CertifiedKey::from_der(identity.chain().to_vec(), key, &provider())
}

fn roots(authority: &TrustAnchor) -> Result<Arc<RootCertStore>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    Ok(Arc::new(roots))
}

#[cfg(test)]
mod tests;
