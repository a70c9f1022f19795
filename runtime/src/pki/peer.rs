//! Who the other side of a connection is, by its certificate alone.

use std::fmt;

use argosy_core::ids::{ClusterId, RejoinSerial};
use argosy_core::time::WallTime;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_X509_SERIALNUMBER;

use super::{Fingerprint, TrustAnchor, anchor};

/// Who a peer is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerIdentity {
    /// An agent.
    Cluster {
        /// Its cluster.
        id: ClusterId,
        /// Which of the cluster's joins its certificate came from.
        rejoin: RejoinSerial,
    },
    /// An operator, by name.
    Operator(String),
}

/// A peer's certificate, read and found to be of our authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Who it is.
    pub identity: PeerIdentity,
    /// The certificate's serial number, in hexadecimal: what a revocation names.
    pub serial: String,
    /// The certificate's fingerprint.
    pub fingerprint: Fingerprint,
    /// Until when the certificate is valid.
    pub not_after: WallTime,
}

/// A certificate says nobody that we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It does not parse.
    #[error("the peer's certificate does not parse: {why}")]
    Malformed {
        /// The parser's words.
        why: String,
    },
    /// Another authority issued it.
    #[error("the peer's certificate was not issued by this installation's authority")]
    OtherAuthority,
    /// It is an authority's, or not for clients.
    #[error("the peer's certificate is not one of a client")]
    NotClient,
    /// It has no URI, several, or other names beside it.
    #[error("the peer's certificate must have exactly one URI and no other name; it has {found}")]
    Names {
        /// What it has.
        found: String,
    },
    /// It is of another trust domain.
    #[error("the peer {uri:?} is not of the trust domain {expected}")]
    TrustDomain {
        /// The URI.
        uri: String,
        /// Our trust domain.
        expected: String,
    },
    /// Its path is neither a cluster's nor an operator's.
    #[error("the peer {uri:?} is neither a cluster nor an operator")]
    Path {
        /// The URI.
        uri: String,
    },
}

// === impl PeerIdentity ===

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { id, rejoin: _ } => write!(f, "cluster {id}"),
            Self::Operator(name) => write!(f, "operator {name}"),
        }
    }
}

// === impl PeerCertificate ===

impl PeerCertificate {
    /// Reads a peer's leaf certificate. Whether it is still valid was judged in the handshake.
    pub fn read(leaf: &[u8], authority: &TrustAnchor) -> Result<Self, PeerError> {
        let malformed = |why: String| PeerError::Malformed { why };
        let certificate =
            anchor::parse("peer certificate", leaf).map_err(|error| malformed(error.to_string()))?;
        let issuer = anchor::parse("CA certificate", authority.certificate())
            .map_err(|error| malformed(error.to_string()))?;
        let issued = certificate.issuer() == issuer.subject()
            && certificate.verify_signature(Some(issuer.public_key())).is_ok();
        if !issued {
            return Err(PeerError::OtherAuthority);
        }
        if !is_client(&certificate) {
            return Err(PeerError::NotClient);
        }
        let identity = identity(&one_uri(&certificate)?, rejoin(&certificate)?, authority)?;
        Ok(Self {
            identity,
            serial: data_encoding::HEXLOWER.encode(certificate.raw_serial()),
            fingerprint: Fingerprint::of_der(leaf),
            not_after: WallTime(certificate.validity().not_after.timestamp().saturating_mul(1000)),
        })
    }
}

/// Tells whether a signature over `bytes` was made by the key of a certificate (DER): ECDSA on P-256 with SHA-256, ASN.1.
pub fn is_signed_by(leaf: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
    let Ok(certificate) = anchor::parse("peer certificate", leaf) else { return false };
    let key = &certificate.public_key().subject_public_key.data;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.as_ref()).verify(bytes, signature).is_ok()
}

/// Tells whether a text can name an operator.
pub(super) fn is_operator_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._@".contains(&b))
        && !matches!(name, "." | "..")
}

fn is_client(certificate: &X509Certificate<'_>) -> bool {
    let usage = certificate.extended_key_usage();
    let client_only = usage.is_ok_and(|usage| {
        usage.is_some_and(|usage| usage.value.client_auth && !usage.value.server_auth && !usage.value.any)
    });
    client_only && !anchor::is_ca(certificate)
}

fn one_uri(certificate: &X509Certificate<'_>) -> Result<String, PeerError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| PeerError::Malformed { why: error.to_string() })?
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    match names {
        [GeneralName::URI(uri)] => Ok((*uri).to_owned()),
        [] => Err(PeerError::Names { found: "none".to_owned() }),
        names => {
            let uris = names.iter().filter(|name| matches!(name, GeneralName::URI(_))).count();
            Err(PeerError::Names { found: format!("{uris} URIs and {} other names", names.len() - uris) })
        }
    }
}

/// Reads which join a certificate came from; it says nothing of the first one.
fn rejoin(certificate: &X509Certificate<'_>) -> Result<RejoinSerial, PeerError> {
    let malformed = || PeerError::Malformed { why: "its subject has no number of a join".to_owned() };
    let mut stated = certificate.subject().iter_by_oid(&OID_X509_SERIALNUMBER);
    let Some(attribute) = stated.next() else { return Ok(RejoinSerial::default()) };
    let text = attribute.as_str().map_err(|_not_text| malformed())?;
    text.parse().map(RejoinSerial).map_err(|_not_number| malformed())
}

fn identity(uri: &str, rejoin: RejoinSerial, authority: &TrustAnchor) -> Result<PeerIdentity, PeerError> {
    let expected = authority.trust_domain();
    let path = uri
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.strip_prefix(expected.as_str()))
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| PeerError::TrustDomain { uri: uri.to_owned(), expected: expected.to_string() })?;
    let neither = || PeerError::Path { uri: uri.to_owned() };
    match path.split_once('/') {
        Some(("cluster", uuid)) => {
            uuid.parse().map(|id| PeerIdentity::Cluster { id, rejoin }).map_err(|_not_uuid| neither())
        }
        Some(("operator", name)) if is_operator_name(name) => Ok(PeerIdentity::Operator(name.to_owned())),
        Some(_) | None => Err(neither()),
    }
}
