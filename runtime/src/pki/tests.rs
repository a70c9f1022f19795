use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use argosy_core::desired::{SignHead, VerifyHead};
use argosy_core::ids::{ClusterId, RejoinSerial};
use argosy_core::time::WallTime;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use rustls::pki_types::ServerName;

use super::*;

const NOW: WallTime = WallTime(1_800_000_000_000);
const DAY: Duration = Duration::from_hours(24);
const FIRST: RejoinSerial = RejoinSerial(0);

fn authority(folder: &Path) -> CertificateAuthority {
    CertificateAuthority::create(folder, &"fleet.example".parse().unwrap(), NOW).unwrap()
}

fn cluster() -> ClusterId {
    ClusterId::from_random([7; 16])
}

/// A certificate for a client, made as `change` says, by the authority's own key.
fn odd_leaf(folder: &Path, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let anchor = TrustAnchor::load(&folder.join("ca.crt")).unwrap();
    let key = KeyPair::from_pem(&std::fs::read_to_string(folder.join("ca.key")).unwrap()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(anchor.certificate(), key).unwrap();
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![uri(&format!("spiffe://fleet.example/cluster/{}", cluster()))];
    change(&mut params);
    params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

#[test]
fn an_authority_is_the_same_after_a_restart_and_its_key_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let made = authority(folder.path());
    let read = CertificateAuthority::load(folder.path()).unwrap();
    assert_eq!(read.fingerprint(), made.fingerprint());
    assert_eq!(read.anchor().trust_domain().as_str(), "fleet.example");
    let key = std::fs::metadata(folder.path().join("ca.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let pem = TrustAnchor::from_pem(made.anchor().to_pem().as_bytes()).unwrap();
    assert_eq!(pem.fingerprint(), made.fingerprint());
    assert_eq!(made.fingerprint().to_string().parse::<Fingerprint>().unwrap(), made.fingerprint());
}

#[test]
fn an_authority_with_another_fingerprint_than_pinned_is_refused() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (authority(folder.path()), authority(other.path()));
    let der = ours.anchor().certificate();
    assert!(TrustAnchor::from_der_pinned(der, ours.fingerprint()).is_ok());
    let error = TrustAnchor::from_der_pinned(der, theirs.fingerprint()).unwrap_err().to_string();
    assert!(error.contains(&ours.fingerprint().to_string()), "{error}");
    assert!(error.contains(&theirs.fingerprint().to_string()), "{error}");
    let leaf = ours.issue_operator("ada", DAY, NOW).unwrap();
    let error = TrustAnchor::from_der(&leaf.chain()[0]).unwrap_err().to_string();
    assert!(error.contains("no certificate authority's"), "{error}");
}

#[test]
fn a_second_authority_is_refused_and_a_foreign_key_is_not_used() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    authority(folder.path());
    authority(other.path());
    let again = CertificateAuthority::create(folder.path(), &"x".parse().unwrap(), NOW);
    assert!(matches!(again, Err(PkiError::Exists { .. })));
    std::fs::copy(other.path().join("ca.key"), folder.path().join("ca.key")).unwrap();
    let error = CertificateAuthority::load(folder.path()).unwrap_err();
    assert!(error.to_string().contains("does not belong to the CA certificate"), "{error}");
    std::fs::remove_file(folder.path().join("ca.key")).unwrap();
    assert!(matches!(CertificateAuthority::load(folder.path()), Err(PkiError::Missing { .. })));
}

#[test]
fn a_cluster_is_who_the_hub_says_and_not_who_its_request_says() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![uri("spiffe://fleet.example/operator/root")];
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let request = params.serialize_request(&key).unwrap();

    let issued = authority.sign_csr(request.der(), cluster(), RejoinSerial(3), 30 * DAY, NOW).unwrap();
    let peer = PeerCertificate::read(&issued.certificate, authority.anchor()).unwrap();
    assert_eq!(peer.identity, PeerIdentity::Cluster { id: cluster(), rejoin: RejoinSerial(3) });
    assert_eq!(peer.serial, issued.serial);
    assert_eq!(peer.not_after, issued.not_after);
    assert_eq!(peer.not_after, WallTime(NOW.0 + 30 * 86_400_000));
    let parsed = anchor::parse("test", &issued.certificate).unwrap();
    assert_eq!(parsed.validity().not_before.timestamp(), NOW.0 / 1000 - 3600);
    assert!(!anchor::is_ca(&parsed));
}

#[test]
fn an_agent_key_makes_a_request_and_takes_only_its_own_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let key = AgentKey::generate().unwrap();
    let key = AgentKey::from_pem(key.to_pem().as_bytes()).unwrap();
    let issued = authority.sign_csr(&key.csr().unwrap(), cluster(), FIRST, DAY, NOW).unwrap();
    let chain = vec![issued.certificate];
    assert!(AgentKey::generate().unwrap().into_identity(chain.clone()).is_err());
    let identity = key.into_identity(chain).unwrap();
    let path = folder.path().join("identity.pem");
    assert!(Identity::load(&path).unwrap().is_none());
    identity.save(&path).unwrap();
    let read = Identity::load(&path).unwrap().unwrap();
    assert_eq!((read.chain(), read.not_after()), (identity.chain(), issued.not_after));
    assert!(!format!("{read:?}").contains("PRIVATE"));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(Identity::load(&path), Err(PkiError::Malformed { .. })));
}

#[test]
fn a_request_without_proof_of_its_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let mut request = AgentKey::generate().unwrap().csr().unwrap();
    *request.last_mut().unwrap() ^= 1;
    let refused =
        |request: &[u8]| authority.sign_csr(request, cluster(), FIRST, DAY, NOW).unwrap_err().to_string();
    assert!(refused(&request).contains("not sound"));
    assert!(refused(b"nonsense").contains("not sound"));
    assert!(refused(&vec![0; 20_000]).contains("longer than"));
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let request = CertificateParams::default().serialize_request(&ed25519).unwrap();
    assert!(refused(request.der()).contains("P-256"));
}

#[test]
fn an_operator_is_known_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let identity = authority.issue_operator("ada@example", DAY, NOW).unwrap();
    let peer = PeerCertificate::read(&identity.chain()[0], authority.anchor()).unwrap();
    assert_eq!(peer.identity, PeerIdentity::Operator("ada@example".to_owned()));
    assert_eq!(peer.identity.to_string(), "operator ada@example");
    for bad in ["", "Ada", "a/b", "..", "a b"] {
        assert!(authority.issue_operator(bad, DAY, NOW).is_err(), "{bad}");
    }
}

#[test]
fn a_certificate_that_says_nobody_we_know_is_refused_with_the_reason() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (authority(folder.path()), authority(other.path()));
    let refused = |leaf: &[u8]| PeerCertificate::read(leaf, ours.anchor()).unwrap_err().to_string();
    let odd = |change: fn(&mut CertificateParams)| refused(&odd_leaf(folder.path(), change));

    assert!(refused(b"x").contains("does not parse"));
    let foreign = theirs.issue_operator("eve", DAY, NOW).unwrap();
    assert!(refused(&foreign.chain()[0]).contains("not issued by this installation's authority"));
    let server = ours.issue_server(&[ServerName::try_from("hub").unwrap()], DAY, NOW).unwrap();
    assert!(refused(&server.chain()[0]).contains("not one of a client"));
    assert!(refused(ours.anchor().certificate()).contains("not one of a client"));
    assert!(odd(|params| params.subject_alt_names.clear()).contains("it has none"));
    assert!(
        odd(|params| params.subject_alt_names.push(uri("spiffe://fleet.example/operator/x")))
            .contains("2 URIs")
    );
    let dns = |params: &mut CertificateParams| {
        params.subject_alt_names.push(SanType::DnsName(Ia5String::try_from("hub").unwrap()));
    };
    assert!(odd(dns).contains("1 URIs and 1 other names"));
    for (text, says) in [
        ("spiffe://fleet.example.evil/operator/x", "not of the trust domain fleet.example"),
        ("https://fleet.example/operator/x", "not of the trust domain"),
        ("spiffe://fleet.example/cluster/NOT", "neither a cluster nor an operator"),
        ("spiffe://fleet.example/operator/a/b", "neither a cluster nor an operator"),
        ("spiffe://fleet.example/root", "neither a cluster nor an operator"),
    ] {
        let leaf = odd_leaf(folder.path(), |params| params.subject_alt_names = vec![uri(text)]);
        let error = refused(&leaf);
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn a_server_needs_a_name() {
    let folder = tempfile::tempdir().unwrap();
    assert!(authority(folder.path()).issue_server(&[], DAY, NOW).is_err());
}

#[test]
fn every_certificate_has_a_serial_number_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority(folder.path());
    let request = AgentKey::generate().unwrap().csr().unwrap();
    let serial = || authority.sign_csr(&request, cluster(), FIRST, DAY, NOW).unwrap().serial;
    assert_ne!(serial(), serial());
}

#[test]
fn heads_are_signed_by_a_key_that_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let signer = HeadSigner::create(folder.path()).unwrap();
    let signature = HeadSigner::load(folder.path()).unwrap().sign(b"head");
    let verifier = HeadVerifier::new(*signer.verifier().as_bytes());
    assert!(verifier.verify(b"head", &signature));
    assert!(!verifier.verify(b"tail", &signature));
    assert!(!HeadVerifier::new([0; 32]).verify(b"head", &signature));
    let mut bad = signature;
    bad[0] ^= 1;
    assert!(!verifier.verify(b"head", &bad));
    let (signer, verifier): (&dyn SignHead, &dyn VerifyHead) = (&signer, &verifier);
    assert!(verifier.verify(b"head", &signer.sign(b"head")));
    assert!(matches!(HeadSigner::create(folder.path()), Err(PkiError::Exists { .. })));
    let key = std::fs::metadata(folder.path().join("head-signing.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_trust_domain_is_lower_case() {
    for bad in ["", "Fleet", "a/b", "a b", "ü"] {
        assert!(bad.parse::<TrustDomain>().is_err(), "{bad}");
    }
}
