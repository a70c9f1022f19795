//! The key of an agent, made where it stays.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{Identity, PkiError, pem};

const WHAT: &str = "agent key";

/// An agent's private key before it has a certificate.
pub struct AgentKey {
    key: KeyPair,
}

// === impl AgentKey ===

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentKey").finish_non_exhaustive()
    }
}

impl AgentKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, PkiError> {
        let key =
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| PkiError::refused(WHAT, error))?;
        Ok(Self { key })
    }

    /// Reads a key from PEM.
    pub fn from_pem(text: &[u8]) -> Result<Self, PkiError> {
        let der = pem::key(WHAT, text)?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)
            .map_err(|error| PkiError::malformed(WHAT, error))?;
        Ok(Self { key })
    }

    /// Gives the key as PEM: for private files only.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::PRIVATE_KEY, self.key.serialized_der())
    }

    /// Makes a signing request (DER) that proves possession of the key and says nothing else.
    pub fn csr(&self) -> Result<Vec<u8>, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params
            .serialize_request(&self.key)
            .map_err(|error| PkiError::refused("certificate request", error))?;
        Ok(request.der().to_vec())
    }

    /// Puts the key together with the certificate that was issued for it; refuses one for another key.
    pub fn into_identity(self, chain: Vec<CertificateDer<'static>>) -> Result<Identity, PkiError> {
        Identity::new(chain, PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}
