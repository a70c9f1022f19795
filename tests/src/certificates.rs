//! The keys and certificates of one control plane.

use std::path::Path;

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// The names by which clients may call the API server.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "kubernetes.default.svc"];

/// Files of a control plane's API server.
pub(crate) const AUTHORITY: &str = "ca.crt";
pub(crate) const CERTIFICATE: &str = "server.crt";
pub(crate) const KEY: &str = "server.key";
pub(crate) const ACCOUNT_KEY: &str = "accounts.key";
pub(crate) const ACCOUNT_PUBLIC_KEY: &str = "accounts.pub";

/// Writes an authority, a certificate of the API server signed by it, and the key pair of service accounts.
pub(crate) fn write(folder: &Path) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(Vec::new()).context("cannot describe an authority")?;
    params.distinguished_name.push(DnType::CommonName, "argosy-tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().context("cannot make a key")?;
    let authority = params.self_signed(&key).context("cannot sign an authority")?;
    let issuer = Issuer::new(params, key);

    let mut params = CertificateParams::new(NAMES.map(str::to_owned)).context("cannot describe a server")?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let server_key = KeyPair::generate().context("cannot make a key")?;
    let server = params.signed_by(&server_key, &issuer).context("cannot sign a server's certificate")?;

    let accounts = KeyPair::generate().context("cannot make a key")?;
    for (name, text) in [
        (AUTHORITY, authority.pem()),
        (CERTIFICATE, server.pem()),
        (KEY, server_key.serialize_pem()),
        (ACCOUNT_KEY, accounts.serialize_pem()),
        (ACCOUNT_PUBLIC_KEY, accounts.public_key_pem()),
    ] {
        std::fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
