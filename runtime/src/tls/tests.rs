use argosy_core::ids::{ClusterId, RejoinSerial};
use argosy_core::time::WallTime;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::pki::{AgentKey, CertificateAuthority, PeerCertificate, PeerIdentity};

const HOUR: Duration = Duration::from_hours(1);

struct Hub {
    authority: CertificateAuthority,
    identity: IdentityHandle,
    server: Arc<ServerConfig>,
}

fn authority(now: WallTime) -> CertificateAuthority {
    let folder = tempfile::tempdir().unwrap();
    CertificateAuthority::create(folder.path(), &"fleet".parse().unwrap(), now).unwrap()
}

fn hub() -> Hub {
    let authority = authority(clock::wall());
    let identity = IdentityHandle::new(&server_identity(&authority, clock::wall())).unwrap();
    let server = server_config(authority.anchor(), identity.clone()).unwrap();
    Hub { authority, identity, server }
}

fn server_identity(authority: &CertificateAuthority, now: WallTime) -> Identity {
    let names = [name("hub.example"), name("10.0.0.1")];
    authority.issue_server(&names, HOUR, now).unwrap()
}

fn agent_identity(authority: &CertificateAuthority, cluster: ClusterId, now: WallTime) -> Identity {
    let key = AgentKey::generate().unwrap();
    let issued =
        authority.sign_csr(&key.csr().unwrap(), cluster, RejoinSerial::default(), HOUR, now).unwrap();
    key.into_identity(vec![issued.certificate]).unwrap()
}

fn name(text: &'static str) -> ServerName<'static> {
    ServerName::try_from(text).unwrap()
}

/// Shakes hands over a pipe and exchanges a byte; gives the client's leaf as the server saw it, or both errors.
async fn connect(
    server: &Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> Result<Option<CertificateDer<'static>>, String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let serve = async {
        let mut stream = TlsAcceptor::from(Arc::clone(server)).accept(far).await?;
        stream.write_all(b"!").await?;
        stream.flush().await?;
        let (_, connection) = stream.get_ref();
        assert_eq!(connection.alpn_protocol(), Some(ALPN_H2));
        Ok::<_, std::io::Error>(
            connection.peer_certificates().and_then(<[_]>::first).cloned().map(CertificateDer::into_owned),
        )
    };
    let dial = async {
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        stream.read_u8().await
    };
    match tokio::join!(serve, dial) {
        (Ok(peer), Ok(_)) => Ok(peer),
        (served, dialled) => Err(format!("server: {:?}; client: {:?}", served.err(), dialled.err())),
    }
}

#[tokio::test]
async fn an_agent_is_known_to_the_server_by_its_certificate() {
    let hub = hub();
    let cluster = ClusterId::from_random([5; 16]);
    let identity = agent_identity(&hub.authority, cluster, clock::wall());
    let client =
        client_config(hub.authority.anchor(), Some(IdentityHandle::new(&identity).unwrap())).unwrap();
    let leaf = connect(&hub.server, client, name("hub.example")).await.unwrap().unwrap();
    let peer = PeerCertificate::read(&leaf, hub.authority.anchor()).unwrap();
    assert_eq!(peer.identity, PeerIdentity::Cluster { id: cluster, rejoin: RejoinSerial::default() });
}

#[tokio::test]
async fn a_client_without_a_certificate_gets_in_without_an_identity() {
    let hub = hub();
    let client = client_config(hub.authority.anchor(), None).unwrap();
    assert_eq!(connect(&hub.server, client, name("10.0.0.1")).await.unwrap(), None);
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_by_the_server() {
    let hub = hub();
    let other = authority(clock::wall());
    let identity = agent_identity(&other, ClusterId::from_random([5; 16]), clock::wall());
    let client =
        client_config(hub.authority.anchor(), Some(IdentityHandle::new(&identity).unwrap())).unwrap();
    let error = connect(&hub.server, client, name("hub.example")).await.unwrap_err();
    assert!(error.contains("server: Some"), "{error}");
}

#[tokio::test]
async fn a_server_of_another_authority_or_name_is_refused_by_the_client() {
    let hub = hub();
    let other = authority(clock::wall());
    let client = client_config(other.anchor(), None).unwrap();
    let error = connect(&hub.server, client, name("hub.example")).await.unwrap_err();
    assert!(error.contains("client: Some"), "{error}");
    let client = client_config(hub.authority.anchor(), None).unwrap();
    let error = connect(&hub.server, client, name("evil.example")).await.unwrap_err();
    assert!(error.contains("hub.example"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let hub = hub();
    let long_ago = WallTime(clock::wall().0 - 86_400_000);
    let identity = agent_identity(&hub.authority, ClusterId::from_random([5; 16]), long_ago);
    let client =
        client_config(hub.authority.anchor(), Some(IdentityHandle::new(&identity).unwrap())).unwrap();
    let error = connect(&hub.server, client, name("hub.example")).await.unwrap_err();
    assert!(error.contains("Expired"), "{error}");
}

#[tokio::test]
async fn an_agent_that_enrols_knows_its_authority_by_fingerprint() {
    let hub = hub();
    let client = enrolment_config(hub.authority.fingerprint()).unwrap();
    connect(&hub.server, client, name("hub.example")).await.unwrap();
    let client = enrolment_config(hub.authority.fingerprint()).unwrap();
    let error = connect(&hub.server, client, name("evil.example")).await.unwrap_err();
    assert!(error.contains("hub.example"), "the name counts: {error}");
}

#[tokio::test]
async fn a_wrong_authority_at_enrolment_is_refused_and_both_fingerprints_are_named() {
    let hub = hub();
    let other = authority(clock::wall());
    let client = enrolment_config(other.fingerprint()).unwrap();
    let error = connect(&hub.server, client, name("hub.example")).await.unwrap_err();
    assert!(error.contains(&format!("expected {}", other.fingerprint())), "{error}");
    assert!(error.contains(&format!("the server sent {}", hub.authority.fingerprint())), "{error}");
}

#[tokio::test]
async fn a_pinned_authority_that_did_not_issue_the_server_is_refused() {
    let hub = hub();
    let other = authority(clock::wall());
    let foreign = server_identity(&other, clock::wall());
    let key = Identity::from_pem(foreign.to_pem().as_bytes()).unwrap();
    let chain = vec![foreign.chain()[0].clone(), hub.authority.anchor().certificate().clone()];
    let forged = Identity::new(chain, key.key().clone_key()).unwrap();
    hub.identity.replace(&forged).unwrap();
    let client = enrolment_config(hub.authority.fingerprint()).unwrap();
    let error = connect(&hub.server, client, name("hub.example")).await.unwrap_err();
    assert!(error.contains("client: Some"), "{error}");
}

#[tokio::test]
async fn a_replaced_identity_is_shown_at_the_next_handshake() {
    let hub = hub();
    let expired = server_identity(&hub.authority, WallTime(clock::wall().0 - 86_400_000));
    hub.identity.replace(&expired).unwrap();
    let client = client_config(hub.authority.anchor(), None).unwrap();
    let error = connect(&hub.server, Arc::clone(&client), name("hub.example")).await.unwrap_err();
    assert!(error.contains("Expired"), "{error}");
    hub.identity.replace(&server_identity(&hub.authority, clock::wall())).unwrap();
    connect(&hub.server, client, name("hub.example")).await.unwrap();
}
