#![expect(clippy::wildcard_enum_match_arm, reason = "a test names the frames that it looks for")]

use std::path::Path;

use argosy_core::ids::{AppId, Incarnation};
use argosy_core::session::frame::{AgentFrame, ClusterFacts, Hello, HubFrame, PROTOCOL, RefusalReason};
use argosy_core::time::WallTime;
use argosy_proto::v1::agent_link_client::AgentLinkClient;
use argosy_proto::v1::enrollment_client::EnrollmentClient;
use argosy_proto::v1::fleet_client::FleetClient;
use argosy_proto::{Enrolled, EnrollmentRequest, v1};
use argosy_runtime::args::{AdminArgs, LogArgs, LogFormat};
use argosy_runtime::join::JoinString;
use argosy_runtime::pki::{AgentKey, Identity, TrustAnchor};
use argosy_runtime::supervisor::StopCause;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};

use super::*;
use crate::args::InitArgs;

const PATIENCE: Duration = Duration::from_mins(1);

/// A hub in this process, with a fleet of one app in a repository.
struct Hub {
    home: tempfile::TempDir,
    bound: Bound,
    admin: Identity,
    anchor: TrustAnchor,
}

impl Hub {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        apps_repository(&home.path().join("apps"));
        let fleet = home.path().join("fleet");
        std::fs::create_dir(&fleet).unwrap();
        let document = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: web}}\nspec:\n  source: {{repoURL: \
             'file://{}/apps', path: web}}\n  destination: {{name: edge, namespace: shop}}\n",
            home.path().display()
        );
        std::fs::write(fleet.join("web.yaml"), document).unwrap();
        let init = InitArgs {
            data_dir: home.path().join("hub"),
            address: Some("127.0.0.1:1".to_owned()),
            hosts: Vec::new(),
            operator: "admin".to_owned(),
            operator_only: false,
            overwrite_config: false,
        };
        crate::init::init_at(&init, &home.path().join("config")).unwrap();
        let bound = start(&args(home.path()), log()).await.unwrap();
        let installation = Installation::load(&Folder::at(&home.path().join("hub"))).unwrap();
        let admin = installation.authority.issue_operator("admin", RENEWAL, wall()).unwrap();
        Self { anchor: installation.authority.anchor().clone(), home, bound, admin }
    }

    async fn channel(&self, tls: Arc<rustls::ClientConfig>) -> Result<Channel, tonic::transport::Error> {
        let address = self.bound.listen;
        let dial = tower::service_fn(move |_: Uri| {
            let connector = TlsConnector::from(Arc::clone(&tls));
            async move {
                let tcp = TcpStream::connect(address).await?;
                let name = ServerName::try_from("127.0.0.1").unwrap();
                Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
            }
        });
        Endpoint::from_static("https://hub").connect_with_connector(dial).await
    }

    async fn as_identity(&self, identity: &Identity) -> Channel {
        let shown = IdentityHandle::new(identity).unwrap();
        self.channel(tls::client_config(&self.anchor, Some(shown)).unwrap()).await.unwrap()
    }

    async fn operator(&self) -> FleetClient<Channel> {
        FleetClient::new(self.as_identity(&self.admin).await)
    }

    async fn add(&self, name: &str) -> JoinString {
        let request = v1::AddClusterRequest { name: name.to_owned(), ..Default::default() };
        let added = self.operator().await.add_cluster(request).await.unwrap().into_inner();
        assert!(added.command.contains(&added.join));
        added.join.parse().unwrap()
    }

    async fn enrol(&self, join: &JoinString, key: &AgentKey) -> Result<Identity, Status> {
        let tls = tls::enrolment_config(join.authority).unwrap();
        let mut client = EnrollmentClient::new(self.channel(tls).await.unwrap());
        let request = EnrollmentRequest {
            token: *join.token.reveal(),
            csr_der: key.csr().unwrap(),
            name: join.cluster_name.clone(),
            kube_system_uid: "uid".to_owned(),
            installation: join.installation,
            agent_version: "0.1.0".to_owned(),
        };
        let answer = client.enroll(v1::EnrollRequest::from(request)).await?.into_inner();
        let enrolled = Enrolled::try_from(answer).unwrap();
        assert_eq!(enrolled.cluster, join.cluster);
        let chain = enrolled.certificate_chain_der.into_iter().map(CertificateDer::from).collect();
        Ok(AgentKey::from_pem(key.to_pem().as_bytes()).unwrap().into_identity(chain).unwrap())
    }

    /// Opens a stream as an agent that has nothing.
    async fn stream(&self, identity: &Identity) -> Result<Agent, Status> {
        let mut client = AgentLinkClient::new(self.as_identity(identity).await);
        let (frames, outgoing) = mpsc::channel(16);
        let hello = Hello {
            protocol: PROTOCOL,
            capabilities: std::collections::BTreeSet::new(),
            facts: ClusterFacts {
                kube_system_uid: "uid".to_owned(),
                certificate_not_after: WallTime(1),
                ..ClusterFacts::default()
            },
            head: None,
            anchor: None,
            incarnation: Incarnation::new([3; 16]),
            status_sequence: 0,
            read_only: None,
            paused: None,
            statement: None,
        };
        frames.send(AgentFrame::Hello(Box::new(hello)).into()).await.unwrap();
        let incoming = client.connect(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Agent { frames, incoming })
    }

    /// Waits until something has happened.
    async fn until_event(&self, reason: &str) {
        let request = v1::EventsRequest { follow: true, ..Default::default() };
        let mut events = self.operator().await.events(request).await.unwrap().into_inner();
        let happened = async { while events.message().await.unwrap().unwrap().reason != reason {} };
        tokio::time::timeout(PATIENCE, happened).await.unwrap();
    }

    async fn stop(self) {
        self.bound.supervisor.stop(StopCause::Asked { by: "test".to_owned() });
        self.bound.supervisor.join_all(PATIENCE).await.unwrap();
        drop(self.home);
    }
}

/// The agent's side of a stream.
struct Agent {
    frames: mpsc::Sender<v1::AgentFrame>,
    incoming: tonic::Streaming<v1::HubFrame>,
}

impl Agent {
    async fn next(&mut self) -> Option<HubFrame> {
        let frame = tokio::time::timeout(PATIENCE, self.incoming.message()).await.unwrap().unwrap()?;
        Some(HubFrame::try_from(frame).unwrap())
    }

    /// Reads until a frame is as wanted.
    async fn until<T>(&mut self, wanted: impl Fn(&HubFrame) -> Option<T>) -> T {
        loop {
            let frame = self.next().await.expect("the stream goes on");
            if let Some(found) = wanted(&frame) {
                return found;
            }
        }
    }
}

fn args(home: &Path) -> RunArgs {
    RunArgs {
        data_dir: home.join("hub"),
        fleet: home.join("fleet").display().to_string(),
        fleet_revision: None,
        fleet_path: ".".to_owned(),
        poll_interval: Duration::from_millis(100),
        listen: "127.0.0.1:0".parse().unwrap(),
        log: LogArgs { filter: "info".to_owned(), format: LogFormat::Text },
        admin: AdminArgs { listen: Some("127.0.0.1:0".parse().unwrap()) },
    }
}

/// Gives the one log of this test binary.
fn log() -> LogHandle {
    static LOG: std::sync::OnceLock<LogHandle> = std::sync::OnceLock::new();
    LOG.get_or_init(|| {
        let args = LogArgs { filter: "off".to_owned(), format: LogFormat::Text };
        argosy_runtime::telemetry::init(&args).unwrap()
    })
    .clone()
}

fn apps_repository(path: &Path) {
    let repo = git2::Repository::init_bare(path).unwrap();
    let blob = repo.blob(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n").unwrap();
    let mut inner = repo.treebuilder(None).unwrap();
    inner.insert("web.yaml", blob, 0o100_644).unwrap();
    let inner = inner.write().unwrap();
    let mut outer = repo.treebuilder(None).unwrap();
    outer.insert("web", inner, 0o040_000).unwrap();
    let tree = repo.find_tree(outer.write().unwrap()).unwrap();
    let who = git2::Signature::new("t", "t@example.com", &git2::Time::new(1_700_000_000, 0)).unwrap();
    repo.commit(Some("HEAD"), &who, &who, "one", &tree, &[]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_enrols_and_gets_its_list_and_its_manifests() {
    let hub = Hub::start().await;
    let join = hub.add("edge").await;
    let key = AgentKey::generate().unwrap();
    let identity = hub.enrol(&join, &key).await.unwrap();
    hub.until_event("Assigned").await;
    let mut agent = hub.stream(&identity).await.unwrap();
    let web = AppId::new("", "web");
    let listed = |frame: &HubFrame| match frame {
        HubFrame::ListChanges { changes, .. } => format!("{changes:?}").contains("Set").then_some(()),
        _ => None,
    };
    agent.until(listed).await;
    let generation = agent
        .until(|frame| match frame {
            HubFrame::Head { generation, .. } => Some(*generation),
            _ => None,
        })
        .await;
    let last = |frame: &HubFrame| match frame {
        HubFrame::Chunk(chunk) if chunk.last => Some(()),
        _ => None,
    };
    agent.until(last).await;
    let request = v1::GetAppRequest { name: web.name.to_string(), ..Default::default() };
    let view = hub.operator().await.get_app(request).await.unwrap().into_inner();
    assert_eq!((view.cluster.as_str(), view.phase()), ("edge", v1::AppPhase::Active));
    assert_eq!(view.desired.unwrap().revision.len(), 40, "the commit is known");
    let status = hub.operator().await.list_clusters(v1::ListClustersRequest {}).await.unwrap().into_inner();
    assert!(status.clusters[0].connected && status.clusters[0].behind);
    assert_eq!(status.clusters[0].head.as_ref().unwrap().generation, generation.0);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_for_one_key_and_a_request_that_is_not_sound_uses_none_up() {
    let hub = Hub::start().await;
    let join = hub.add("edge").await;
    let wrong = JoinString { token: hub.add("other").await.token, ..join.clone() };
    let key = AgentKey::generate().unwrap();
    let refused = hub.enrol(&wrong, &key).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("not that of cluster \"edge\""), "{refused}");
    let unknown = JoinString { token: argosy_runtime::join::JoinToken::new([1; 32]), ..join.clone() };
    let refused = hub.enrol(&unknown, &key).await.unwrap_err();
    assert!(refused.message().contains("the token is not valid"), "{refused}");
    hub.enrol(&join, &key).await.unwrap();
    hub.enrol(&join, &key).await.expect("the answer was lost");
    let refused = hub.enrol(&join, &AgentKey::generate().unwrap()).await.unwrap_err();
    assert!(refused.message().contains("was used already"), "{refused}");
    let add = v1::AddClusterRequest { name: "edge".to_owned(), ..Default::default() };
    let taken = hub.operator().await.add_cluster(add).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_asks_who_the_peer_is() {
    let hub = Hub::start().await;
    let join = hub.add("edge").await;
    let agent = hub.enrol(&join, &AgentKey::generate().unwrap()).await.unwrap();
    let nobody = hub.channel(tls::client_config(&hub.anchor, None).unwrap()).await.unwrap();
    let list = v1::ListClustersRequest {};
    let code = |result: Result<_, Status>| result.map(|_: tonic::Response<_>| ()).unwrap_err().code();
    assert_eq!(code(FleetClient::new(nobody).list_clusters(list).await), Code::Unauthenticated);
    let as_agent = hub.as_identity(&agent).await;
    assert_eq!(code(FleetClient::new(as_agent).list_clusters(list).await), Code::PermissionDenied);
    assert_eq!(hub.stream(&hub.admin).await.err().unwrap().code(), Code::PermissionDenied);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_cluster_is_cut_off_at_once_and_refused_from_then_on() {
    let hub = Hub::start().await;
    let join = hub.add("edge").await;
    let identity = hub.enrol(&join, &AgentKey::generate().unwrap()).await.unwrap();
    let mut agent = hub.stream(&identity).await.unwrap();
    agent.until(|frame| matches!(frame, HubFrame::Welcome(_)).then_some(())).await;
    let request = v1::RevokeClusterRequest { name: "edge".to_owned() };
    let revoked = hub.operator().await.revoke_cluster(request).await.unwrap().into_inner();
    assert!(revoked.was_connected);
    let refused = |frame: &HubFrame| match frame {
        HubFrame::Refused(refusal) => Some(refusal.reason),
        _ => None,
    };
    assert_eq!(agent.until(refused).await, RefusalReason::Revoked);
    assert_eq!(agent.next().await, None, "the stream ends");
    drop(agent.frames);
    let mut again = hub.stream(&identity).await.unwrap();
    assert_eq!(again.until(refused).await, RefusalReason::Revoked);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_was_never_initialized_says_how() {
    let home = tempfile::tempdir().unwrap();
    let error = start(&args(home.path()), log()).await.unwrap_err().to_string();
    assert!(error.contains("argosy-principal init --data-dir"), "{error}");
}
