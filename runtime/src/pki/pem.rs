//! PEM text of keys and certificates.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::PkiError;

/// Width of a line of PEM.
const WIDTH: usize = 64;

/// Label of a certificate.
pub(super) const CERTIFICATE: &str = "CERTIFICATE";

/// Label of a PKCS#8 key.
pub(super) const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Writes one section.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(WIDTH.min(rest.len()));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// Reads every certificate; at least one.
pub(super) fn certificates(
    what: &'static str,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| PkiError::malformed(what, error))?;
    if certificates.is_empty() {
        return Err(PkiError::malformed(what, "no certificate inside"));
    }
    Ok(certificates)
}

/// Reads the PKCS#8 key.
pub(super) fn key(what: &'static str, text: &[u8]) -> Result<PrivatePkcs8KeyDer<'static>, PkiError> {
    PrivatePkcs8KeyDer::from_pem_slice(text).map_err(|error| PkiError::malformed(what, error))
}
