//! The certificate authority of one installation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use argosy_core::ids::{ClusterId, RejoinSerial};
use argosy_core::time::{Entropy as _, WallTime, millis};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer, ServerName};

use super::{Fingerprint, Identity, PkiError, TrustAnchor, TrustDomain, pem};
use crate::entropy::SystemEntropy;
use crate::files;

/// How long a CA certificate is valid.
const CA_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// How far back a certificate's validity begins, for peers whose clock is behind.
const BACKDATED: Duration = Duration::from_hours(1);

/// Longest request that is read.
const MAX_REQUEST: usize = 16 * 1024;

/// Last second that a certificate can state.
const MAX_WALL: u64 = 253_402_300_799_000;

/// The subject's attribute `serialNumber`, which states the join.
const SERIAL_NUMBER: [u64; 4] = [2, 5, 4, 5];

/// A certificate authority with its key.
pub struct CertificateAuthority {
    anchor: TrustAnchor,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that was issued for somebody else's key.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Until when it is valid.
    pub not_after: WallTime,
}

struct Leaf<'a> {
    common_name: &'a str,
    rejoin: RejoinSerial,
    names: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
    lifetime: Duration,
    now: WallTime,
}

// === impl Leaf ===

impl<'a> Leaf<'a> {
    fn new(
        common_name: &'a str,
        names: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        lifetime: Duration,
        now: WallTime,
    ) -> Self {
        Self { common_name, rejoin: RejoinSerial::default(), names, usage, lifetime, now }
    }
}

// === impl CertificateAuthority ===

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority").field("anchor", &self.anchor).finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// Makes an authority and writes it to `ca.key` and `ca.crt` in `folder`; refuses where there is one.
    pub fn create(folder: &Path, trust_domain: &TrustDomain, now: WallTime) -> Result<Self, PkiError> {
        const WHAT: &str = "CA certificate";
        let failed = |error| PkiError::refused(WHAT, error);
        let (certificate_path, key_path) = paths(folder);
        if files::read(&certificate_path)?.is_some() {
            return Err(PkiError::Exists { path: certificate_path });
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = CertificateParams::default();
        set_validity(&mut params, now, CA_LIFETIME);
        params.serial_number = Some(random_serial());
        params.distinguished_name.push(DnType::CommonName, "Argosy CA");
        params.subject_alt_names.push(uri(WHAT, trust_domain.uri(""))?);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let anchor = TrustAnchor::from_der(params.self_signed(&key).map_err(failed)?.der())?;
        // The certificate comes last: with it the authority exists, and its key is there.
        files::create_private_dir(folder)?;
        files::write(&key_path, pem::encode(pem::PRIVATE_KEY, key.serialized_der()).as_bytes())?;
        files::write(&certificate_path, anchor.to_pem().as_bytes())?;
        Self::of_parts(anchor, key)
    }

    /// Reads the authority that [`Self::create`] wrote.
    pub fn load(folder: &Path) -> Result<Self, PkiError> {
        const WHAT: &str = "CA key";
        let (certificate_path, key_path) = paths(folder);
        let anchor = TrustAnchor::load(&certificate_path)?;
        let text = files::read(&key_path)?.ok_or_else(|| PkiError::Missing { path: key_path.clone() })?;
        let der: PrivatePkcs8KeyDer<'static> = pem::key(WHAT, &text)?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)
            .map_err(|error| PkiError::malformed(WHAT, error))?;
        let certificate = super::anchor::parse(WHAT, anchor.certificate())?;
        if *certificate.public_key().subject_public_key.data != *key.public_key_raw() {
            return Err(PkiError::malformed(WHAT, "it does not belong to the CA certificate"));
        }
        Self::of_parts(anchor, key)
    }

    fn of_parts(anchor: TrustAnchor, key: KeyPair) -> Result<Self, PkiError> {
        let issuer = Issuer::from_ca_cert_der(anchor.certificate(), key)
            .map_err(|error| PkiError::malformed("CA certificate", error))?;
        Ok(Self { anchor, issuer })
    }

    /// Gives the authority's certificate.
    pub fn anchor(&self) -> &TrustAnchor {
        &self.anchor
    }

    /// Gives the fingerprint that a join string pins.
    pub fn fingerprint(&self) -> Fingerprint {
        self.anchor.fingerprint()
    }

    /// Makes a server's identity for the names and addresses that its clients use. Its chain ends with the authority's
    /// certificate, so that an agent that knows only the fingerprint can find it there.
    pub fn issue_server(
        &self,
        names: &[ServerName<'static>],
        lifetime: Duration,
        now: WallTime,
    ) -> Result<Identity, PkiError> {
        const WHAT: &str = "server certificate";
        if names.is_empty() {
            return Err(PkiError::refused(WHAT, "no name and no address was given"));
        }
        let names = names.iter().map(|name| alternative_name(WHAT, name)).collect::<Result<_, _>>()?;
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        self.identity(WHAT, Leaf::new("argosy-principal", names, usage, lifetime, now))
    }

    /// Makes an operator's identity: `spiffe://<trust domain>/operator/<name>`.
    pub fn issue_operator(
        &self,
        name: &str,
        lifetime: Duration,
        now: WallTime,
    ) -> Result<Identity, PkiError> {
        const WHAT: &str = "operator certificate";
        if !super::peer::is_operator_name(name) {
            let why =
                format!("{name:?} is no name: 1 to 63 of lower-case letters, digits and -._@ are allowed");
            return Err(PkiError::refused(WHAT, why));
        }
        let names = vec![uri(WHAT, self.anchor.trust_domain().uri(&format!("/operator/{name}")))?];
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.identity(WHAT, Leaf::new("operator", names, usage, lifetime, now))
    }

    /// Issues a cluster's certificate for the key of a request. The request proves that its sender holds the key; who it
    /// says it is counts for nothing. The certificate states which of the cluster's joins it came from.
    pub fn sign_csr(
        &self,
        request: &[u8],
        cluster: ClusterId,
        rejoin: RejoinSerial,
        lifetime: Duration,
        now: WallTime,
    ) -> Result<IssuedCertificate, PkiError> {
        const WHAT: &str = "cluster certificate";
        if request.len() > MAX_REQUEST {
            return Err(PkiError::refused(WHAT, format!("the request is longer than {MAX_REQUEST} bytes")));
        }
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
            .map_err(|error| PkiError::refused(WHAT, format!("the request is not sound: {error}")))?;
        if *PublicKeyData::algorithm(&request.public_key) != PKCS_ECDSA_P256_SHA256 {
            return Err(PkiError::refused(WHAT, "its key is not an ECDSA key on P-256"));
        }
        let common_name = format!("cluster {cluster}");
        let names = vec![uri(WHAT, self.anchor.trust_domain().uri(&format!("/cluster/{cluster}")))?];
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        let leaf = Leaf { rejoin, ..Leaf::new(&common_name, names, usage, lifetime, now) };
        self.issue(WHAT, leaf, &request.public_key)
    }

    fn identity(&self, what: &'static str, leaf: Leaf<'_>) -> Result<Identity, PkiError> {
        let key =
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| PkiError::refused(what, error))?;
        let issued = self.issue(what, leaf, &key)?;
        let chain = vec![issued.certificate, self.anchor.certificate().clone()];
        Identity::new(chain, PrivatePkcs8KeyDer::from(key.serialize_der()))
    }

    fn issue(
        &self,
        what: &'static str,
        leaf: Leaf<'_>,
        key: &impl PublicKeyData,
    ) -> Result<IssuedCertificate, PkiError> {
        let serial = random_serial();
        let mut params = CertificateParams::default();
        let not_after = set_validity(&mut params, leaf.now, leaf.lifetime);
        params.serial_number = Some(serial.clone());
        params.distinguished_name.push(DnType::CommonName, leaf.common_name);
        if leaf.rejoin != RejoinSerial::default() {
            params
                .distinguished_name
                .push(DnType::CustomDnType(SERIAL_NUMBER.to_vec()), leaf.rejoin.to_string());
        }
        params.subject_alt_names = leaf.names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![leaf.usage];
        params.use_authority_key_identifier_extension = true;
        let certificate =
            params.signed_by(key, &self.issuer).map_err(|error| PkiError::refused(what, error))?;
        Ok(IssuedCertificate {
            certificate: certificate.into(),
            serial: data_encoding::HEXLOWER.encode(&serial.to_bytes()),
            not_after,
        })
    }
}

fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("ca.crt"), folder.join("ca.key"))
}

/// Sets from when to when a certificate is valid, and gives the end.
fn set_validity(params: &mut CertificateParams, now: WallTime, lifetime: Duration) -> WallTime {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = u64::try_from(now.0).unwrap_or(0).min(MAX_WALL);
    // Whole seconds: a certificate states no smaller ones.
    let start = now.saturating_sub(millis(BACKDATED)) / 1000;
    let end = now.saturating_add(millis(lifetime)).min(MAX_WALL) / 1000;
    params.not_before = epoch + Duration::from_secs(start);
    params.not_after = epoch + Duration::from_secs(end);
    WallTime(i64::try_from(end.saturating_mul(1000)).unwrap_or(i64::MAX))
}

/// Makes a positive serial number of 127 random bits.
fn random_serial() -> SerialNumber {
    let mut bytes = SystemEntropy.bytes16();
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    SerialNumber::from_slice(&bytes)
}

fn uri(what: &'static str, text: String) -> Result<SanType, PkiError> {
    Ia5String::try_from(text).map(SanType::URI).map_err(|error| PkiError::refused(what, error))
}

fn alternative_name(what: &'static str, name: &ServerName<'static>) -> Result<SanType, PkiError> {
    if let ServerName::IpAddress(address) = name {
        return Ok(SanType::IpAddress(std::net::IpAddr::from(*address)));
    }
    let name = name.to_str().into_owned();
    Ia5String::try_from(name).map(SanType::DnsName).map_err(|error| PkiError::refused(what, error))
}
