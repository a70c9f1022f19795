//! The certificate of an installation's authority, as everybody knows it.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::{Fingerprint, PkiError, TrustDomain, pem};
use crate::files;

const WHAT: &str = "CA certificate";

/// The certificate of an installation's authority: what a peer's certificate is judged against.
#[derive(Debug, Clone)]
pub struct TrustAnchor {
    certificate: CertificateDer<'static>,
    trust_domain: TrustDomain,
    fingerprint: Fingerprint,
}

// === impl TrustAnchor ===

impl TrustAnchor {
    /// Reads a CA certificate: self-signed, a CA by its own words, with its trust domain as its one URI.
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        let certificate = parse(WHAT, der)?;
        if !is_ca(&certificate) {
            return Err(PkiError::malformed(WHAT, "it is no certificate authority's"));
        }
        certificate
            .verify_signature(None)
            .map_err(|_error| PkiError::malformed(WHAT, "it is not signed by its own key"))?;
        let trust_domain = match uris(&certificate)?.as_slice() {
            [uri] => uri
                .strip_prefix("spiffe://")
                .ok_or_else(|| PkiError::malformed(WHAT, format!("{uri:?} is no trust domain")))?
                .parse()
                .map_err(|error| PkiError::malformed(WHAT, error))?,
            other => return Err(PkiError::malformed(WHAT, format!("{} URIs instead of one", other.len()))),
        };
        let certificate = CertificateDer::from(der.to_vec());
        Ok(Self { trust_domain, fingerprint: Fingerprint::of_der(der), certificate })
    }

    /// Reads the CA certificate that has a fingerprint: what an agent that enrols is told by the hub.
    pub fn from_der_pinned(der: &[u8], expected: Fingerprint) -> Result<Self, PkiError> {
        let anchor = Self::from_der(der)?;
        if anchor.fingerprint == expected {
            return Ok(anchor);
        }
        let found = anchor.fingerprint;
        Err(PkiError::malformed(
            WHAT,
            format!("its fingerprint is {found}, the join string names {expected}"),
        ))
    }

    /// Reads a CA certificate from PEM.
    pub fn from_pem(text: &[u8]) -> Result<Self, PkiError> {
        match pem::certificates(WHAT, text)?.as_slice() {
            [certificate] => Self::from_der(certificate),
            more => Err(PkiError::malformed(WHAT, format!("{} certificates instead of one", more.len()))),
        }
    }

    /// Reads a CA certificate from a PEM file.
    pub fn load(path: &Path) -> Result<Self, PkiError> {
        let text = files::read(path)?.ok_or_else(|| PkiError::Missing { path: path.to_owned() })?;
        Self::from_pem(&text)
    }

    /// Gives the certificate as PEM.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.certificate)
    }

    /// Gives the certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Gives the trust domain.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Gives the fingerprint that a join string pins.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

pub(super) fn parse<'a>(what: &'static str, der: &'a [u8]) -> Result<X509Certificate<'a>, PkiError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(PkiError::malformed(what, "bytes follow the certificate")),
        Err(error) => Err(PkiError::malformed(what, error)),
    }
}

pub(super) fn is_ca(certificate: &X509Certificate<'_>) -> bool {
    certificate.basic_constraints().is_ok_and(|found| found.is_some_and(|found| found.value.ca))
}

fn uris(certificate: &X509Certificate<'_>) -> Result<Vec<String>, PkiError> {
    let names = certificate.subject_alternative_name().map_err(|error| PkiError::malformed(WHAT, error))?;
    let names = names.into_iter().flat_map(|names| &names.value.general_names);
    Ok(names
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some((*uri).to_owned()) } else { None })
        .collect())
}
