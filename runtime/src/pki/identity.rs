//! A certificate chain with its key: what one side of a connection shows.

use std::fmt;
use std::path::Path;

use argosy_core::time::WallTime;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{PkiError, anchor, pem};
use crate::files;
use crate::tls;

const WHAT: &str = "identity";

/// A certificate chain, leaf first, with the leaf's key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
    not_after: WallTime,
}

// === impl Identity ===

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key(), not_after: self.not_after }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Identity {
    /// Puts chain and key together; refuses a key that is not the leaf's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivatePkcs8KeyDer<'static>,
    ) -> Result<Self, PkiError> {
        let leaf = chain.first().ok_or_else(|| PkiError::malformed(WHAT, "no certificate inside"))?;
        let parsed = anchor::parse(WHAT, leaf)?;
        let not_after = WallTime(parsed.validity().not_after.timestamp().saturating_mul(1000));
        let identity = Self { chain, key, not_after };
        tls::certified_key(&identity).map_err(|error| PkiError::malformed(WHAT, error))?;
        Ok(identity)
    }

    /// Reads key and chain from one PEM text.
    pub fn from_pem(text: &[u8]) -> Result<Self, PkiError> {
        Self::new(pem::certificates(WHAT, text)?, pem::key(WHAT, text)?)
    }

    /// Gives key and chain as one PEM text. It holds the key: for private files only.
    pub fn to_pem(&self) -> String {
        let mut text = pem::encode(pem::PRIVATE_KEY, self.key.secret_pkcs8_der());
        for certificate in &self.chain {
            text.push_str(&pem::encode(pem::CERTIFICATE, certificate));
        }
        text
    }

    /// Writes key and chain to one private file, durable on return.
    pub fn save(&self, path: &Path) -> Result<(), PkiError> {
        Ok(files::write(path, self.to_pem().as_bytes())?)
    }

    /// Reads what [`Self::save`] wrote; `None` if there is no file.
    pub fn load(path: &Path) -> Result<Option<Self>, PkiError> {
        files::read(path)?.map(|text| Self::from_pem(&text)).transpose()
    }

    /// Gives the chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Gives until when the leaf is valid.
    pub fn not_after(&self) -> WallTime {
        self.not_after
    }

    /// Signs some bytes with the leaf's key: ECDSA on P-256 with SHA-256, ASN.1.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, PkiError> {
        let refused = |error: &dyn fmt::Display| PkiError::refused("signature", error);
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.key.secret_pkcs8_der())
            .map_err(|error| PkiError::malformed(WHAT, error))?;
        let signature = key.sign(&SystemRandom::new(), bytes).map_err(|error| refused(&error))?;
        Ok(signature.as_ref().to_vec())
    }

    pub(crate) fn key(&self) -> &PrivatePkcs8KeyDer<'static> {
        &self.key
    }
}
