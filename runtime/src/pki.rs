//! Certificates and signatures: who a hub, an agent or an operator is, and that a head is the hub's.
//!
//! One certificate authority per installation. A cluster is `spiffe://<trust domain>/cluster/<uuid>`, an operator
//! `spiffe://<trust domain>/operator/<name>`; nothing else in a certificate says who somebody is. Keys stay where they
//! were made: an agent sends a request, never a key. Heads are signed by a key of their own, kept apart from all TLS keys.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use argosy_core::ids::ParseIdError;
use aws_lc_rs::digest::{SHA256, digest};
use minicbor::{Decode, Encode};

use crate::files::FileError;

pub use self::agent_key::AgentKey;
pub use self::anchor::TrustAnchor;
pub use self::authority::{CertificateAuthority, IssuedCertificate};
pub use self::head::{HeadSigner, HeadVerifier};
pub use self::identity::Identity;
pub use self::peer::{PeerCertificate, PeerError, PeerIdentity, is_signed_by};

mod agent_key;
mod anchor;
mod authority;
mod head;
mod identity;
mod peer;
mod pem;

/// Keys or certificates cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
    #[error("a key or certificate is not accessible")]
    File(#[from] FileError),
    /// A file that must be there is not.
    #[error("{path} is missing")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There is one already, and a second one would make the first worthless.
    #[error("{path} exists already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A key or certificate is not what it should be.
    #[error("{what}: {why}")]
    Malformed {
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A certificate cannot be made of what was given.
    #[error("cannot make {what}: {why}")]
    Refused {
        /// What was to be made.
        what: &'static str,
        /// What prevents it.
        why: String,
    },
}

/// SHA-256 of a certificate's DER: names one certificate authority, whatever its certificate says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct Fingerprint(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

/// The name before the path of every identity of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustDomain(String);

// === impl PkiError ===

impl PkiError {
    fn malformed(what: &'static str, why: impl fmt::Display) -> Self {
        Self::Malformed { what, why: why.to_string() }
    }

    fn refused(what: &'static str, why: impl fmt::Display) -> Self {
        Self::Refused { what, why: why.to_string() }
    }
}

// === impl Fingerprint ===

impl Fingerprint {
    /// Hashes the DER of a certificate.
    pub fn of_der(der: &[u8]) -> Self {
        let hash = digest(&SHA256, der);
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// Takes the bytes as they are.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let error = |why| ParseIdError { what: "fingerprint", text: text.to_owned(), why };
        let bytes = data_encoding::HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .map_err(|_not_hex| error("not hexadecimal"))?;
        <[u8; 32]>::try_from(bytes).map(Self).map_err(|_length| error("wrong length"))
    }
}

// === impl TrustDomain ===

impl TrustDomain {
    /// Gives the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn uri(&self, path: &str) -> String {
        format!("spiffe://{}{path}", self.0)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = ParseIdError;

    /// Reads a trust domain as SPIFFE allows it: lower-case letters, digits, dots, dashes and underscores.
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let error = |why| ParseIdError { what: "trust domain", text: text.to_owned(), why };
        if text.is_empty() || text.len() > 200 {
            return Err(error("must have 1 to 200 characters"));
        }
        if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b)) {
            return Err(error("only lower-case letters, digits and -._ are allowed"));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
