//! The key that signs heads, and its public half, which agents pin when they enrol.

use std::fmt;
use std::path::{Path, PathBuf};

use argosy_core::desired::{SignHead, Signature, VerifyHead};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::{PkiError, pem};
use crate::files;

const WHAT: &str = "head-signing key";

/// Signs heads.
pub struct HeadSigner {
    key: Ed25519KeyPair,
}

/// Verifies heads against one pinned key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeadVerifier {
    key: [u8; 32],
}

// === impl HeadSigner ===

impl fmt::Debug for HeadSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadSigner").field("public", &self.verifier()).finish_non_exhaustive()
    }
}

impl HeadSigner {
    /// Makes a key and writes it to `head-signing.key` in `folder`; refuses where there is one.
    pub fn create(folder: &Path) -> Result<Self, PkiError> {
        let path = path(folder);
        if files::read(&path)?.is_some() {
            return Err(PkiError::Exists { path });
        }
        let key = Ed25519KeyPair::generate().map_err(|error| PkiError::refused(WHAT, error))?;
        let der = key.to_pkcs8().map_err(|error| PkiError::refused(WHAT, error))?;
        files::create_private_dir(folder)?;
        files::write(&path, pem::encode(pem::PRIVATE_KEY, der.as_ref()).as_bytes())?;
        Ok(Self { key })
    }

    /// Reads the key that [`Self::create`] wrote.
    pub fn load(folder: &Path) -> Result<Self, PkiError> {
        let path = path(folder);
        let text = files::read(&path)?.ok_or(PkiError::Missing { path })?;
        let der = pem::key(WHAT, &text)?;
        let key = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|error| PkiError::malformed(WHAT, error))?;
        Ok(Self { key })
    }

    /// Gives the public half.
    pub fn verifier(&self) -> HeadVerifier {
        HeadVerifier { key: filled(self.key.public_key().as_ref()) }
    }

    /// Signs some bytes.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        filled(self.key.sign(bytes).as_ref())
    }
}

impl SignHead for HeadSigner {
    fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(Self::sign(self, bytes))
    }
}

// === impl HeadVerifier ===

impl fmt::Debug for HeadVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeadVerifier({})", data_encoding::HEXLOWER.encode(&self.key))
    }
}

impl HeadVerifier {
    /// Takes the 32 bytes of an Ed25519 public key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// Gives the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Tells whether the signature is this key's over `bytes`.
    pub fn verify(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key).verify(bytes, signature).is_ok()
    }
}

impl VerifyHead for HeadVerifier {
    fn verify(&self, bytes: &[u8], signature: &Signature) -> bool {
        Self::verify(self, bytes, &signature.0)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("head-signing.key")
}

/// Copies bytes whose length the algorithm fixes.
fn filled<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = *from;
    }
    array
}
