//! A server's verification by the fingerprint of its authority.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use crate::pki::{Fingerprint, TrustAnchor};

/// The server's chain holds no certificate authority with the fingerprint that the join string names.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server's certificate authority is not the one that the join string names: expected {expected}, \
     the server sent {}", listed(.presented)
)]
pub struct PinMismatch {
    /// The fingerprint of the join string.
    pub expected: Fingerprint,
    /// The fingerprints of the authorities that the server sent.
    pub presented: Vec<Fingerprint>,
}

/// Accepts servers of the authority with one fingerprint, which must send that authority's certificate.
#[derive(Debug)]
pub(super) struct PinnedVerifier {
    authority: Fingerprint,
    provider: Arc<CryptoProvider>,
}

// === impl PinMismatch ===

// rustls shows the Debug form of a verifier's own errors.
impl fmt::Debug for PinMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl PinnedVerifier ===

impl PinnedVerifier {
    pub(super) fn new(authority: Fingerprint, provider: Arc<CryptoProvider>) -> Self {
        Self { authority, provider }
    }

    fn pinned<'a>(&self, chain: &'a [CertificateDer<'a>]) -> Result<TrustAnchor, Error> {
        let found = chain.iter().find(|certificate| Fingerprint::of_der(certificate) == self.authority);
        let Some(found) = found else {
            let presented = chain
                .iter()
                .filter_map(|certificate| TrustAnchor::from_der(certificate).ok())
                .map(|authority| authority.fingerprint())
                .collect();
            let mismatch = PinMismatch { expected: self.authority, presented };
            return Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into());
        };
        TrustAnchor::from_der(found)
            .map_err(|error| CertificateError::Other(OtherError(Arc::new(error))).into())
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = self.pinned(intermediates)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn listed(presented: &[Fingerprint]) -> String {
    if presented.is_empty() {
        return "none".to_owned();
    }
    presented.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
