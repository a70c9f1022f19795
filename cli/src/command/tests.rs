//! Commands against a hub in this process: real TLS and gRPC over a loopback socket.

use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use argosy_core::ids::AppId;
use argosy_proto::v1::fleet_server::{Fleet, FleetServer};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::*;
use crate::args::{HubArguments, ManifestFormat, ProjectCommand, WaitArguments};
use crate::failure::UNREACHABLE;

type Answer<T> = Result<Response<T>, Status>;
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A hub that knows one cluster and one app.
struct OneApp;

fn progress(state: v1::CommandState) -> v1::CommandProgress {
    v1::CommandProgress { id: vec![1; 16], state: state.into(), ..Default::default() }
}

#[tonic::async_trait]
impl Fleet for OneApp {
    type RunCommandStream = Messages<v1::CommandProgress>;
    type EventsStream = Messages<v1::Event>;
    type ExportBundleStream = Messages<v1::FilePiece>;
    type GetManifestsStream = Messages<v1::Manifests>;
    type PreviewStream = Messages<v1::PreviewResponse>;

    async fn pause_app(&self, _: Request<v1::PauseAppRequest>) -> Answer<v1::PauseAppResponse> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn preview(&self, _: Request<tonic::Streaming<v1::PreviewRequest>>) -> Answer<Self::PreviewStream> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn get_manifests(&self, request: Request<v1::GetAppRequest>) -> Answer<Self::GetManifestsStream> {
        let manifest = |json: &str| v1::Manifest { key: None, json: json.to_owned() };
        let piece = |json: &str| Ok(v1::Manifests { release: None, manifests: vec![manifest(json)] });
        let pieces = match request.into_inner().name.as_str() {
            "web" => vec![piece(r#"{"kind":"ConfigMap"}"#), piece(r#"{"kind":"Secret"}"#)],
            "torn" => {
                vec![piece("{}"), Err(Status::aborted("the release changed while it was read; ask again"))]
            }
            _ => vec![piece("{")],
        };
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }

    async fn delete_app(&self, request: Request<v1::DeleteAppRequest>) -> Answer<v1::DeleteAppResponse> {
        let request = request.into_inner();
        if request.cascade {
            return Ok(Response::new(v1::DeleteAppResponse { first: true, ..Default::default() }));
        }
        Err(Status::failed_precondition(format!("app argocd/{} is in the fleet", request.name)))
    }

    async fn list_projects(&self, _: Request<v1::ListProjectsRequest>) -> Answer<v1::ListProjectsResponse> {
        let project = v1::ProjectView { name: "default".to_owned(), ..Default::default() };
        Ok(Response::new(v1::ListProjectsResponse { projects: vec![project] }))
    }

    async fn export_bundle(&self, _: Request<v1::ExportBundleRequest>) -> Answer<Self::ExportBundleStream> {
        Err(Status::failed_precondition("no agent has joined"))
    }

    async fn import_receipts(
        &self,
        _: Request<tonic::Streaming<v1::FilePiece>>,
    ) -> Answer<v1::ImportReceiptsResponse> {
        Err(Status::failed_precondition("older"))
    }

    async fn list_clusters(&self, _: Request<v1::ListClustersRequest>) -> Answer<v1::ListClustersResponse> {
        let edge = v1::ClusterView { name: "edge-1".to_owned(), connected: true, ..Default::default() };
        let fleet = v1::FleetView { last_read_unix_ms: Some(1), ..Default::default() };
        Ok(Response::new(v1::ListClustersResponse { clusters: vec![edge], fleet: Some(fleet) }))
    }

    async fn get_cluster(&self, request: Request<v1::GetClusterRequest>) -> Answer<v1::ClusterView> {
        Err(Status::not_found(format!("cluster {}", request.into_inner().name)))
    }

    async fn add_cluster(&self, request: Request<v1::AddClusterRequest>) -> Answer<v1::AddClusterResponse> {
        Err(Status::already_exists(format!("cluster {} exists", request.into_inner().name)))
    }

    async fn revoke_cluster(
        &self,
        _: Request<v1::RevokeClusterRequest>,
    ) -> Answer<v1::RevokeClusterResponse> {
        Err(Status::not_found("no such cluster"))
    }

    async fn reconcile_cluster(
        &self,
        _: Request<v1::ReconcileClusterRequest>,
    ) -> Answer<v1::ReconcileClusterResponse> {
        Err(Status::failed_precondition("argocd/web was not read yet"))
    }

    async fn list_apps(&self, _: Request<v1::ListAppsRequest>) -> Answer<v1::ListAppsResponse> {
        let web = v1::AppView { name: "web".to_owned(), cluster: "edge-1".to_owned(), ..Default::default() };
        Ok(Response::new(v1::ListAppsResponse { apps: vec![web] }))
    }

    async fn get_app(&self, request: Request<v1::GetAppRequest>) -> Answer<v1::AppView> {
        let request = request.into_inner();
        match request.name.as_str() {
            "web" => Ok(Response::new(v1::AppView { name: request.name, ..Default::default() })),
            name => Err(Status::not_found(format!("app {name}"))),
        }
    }

    async fn run_command(
        &self,
        request: Request<v1::RunCommandRequest>,
    ) -> Answer<Messages<v1::CommandProgress>> {
        let request = request.into_inner();
        request.command()?;
        if request.cluster == "away" {
            return Err(Status::failed_precondition("cluster away is not connected"));
        }
        let states = [v1::CommandState::Accepted, v1::CommandState::Running, v1::CommandState::Succeeded];
        Ok(Response::new(Box::pin(tokio_stream::iter(states.map(progress).map(Ok)))))
    }

    async fn events(&self, _: Request<v1::EventsRequest>) -> Answer<Messages<v1::Event>> {
        Ok(Response::new(Box::pin(tokio_stream::empty())))
    }

    async fn audit(&self, _: Request<v1::AuditRequest>) -> Answer<v1::AuditResponse> {
        Err(Status::unimplemented("not asked here"))
    }
}

struct Files {
    directory: tempfile::TempDir,
    server: Arc<ServerConfig>,
}

/// Writes what `argosy-principal init` writes.
fn files(address: &str, server_name: &str) -> Files {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap(), key)
    };
    let (operator, operator_key) = issue("operator");
    let (hub, hub_key) = issue("hub.test");
    let directory = tempfile::tempdir().unwrap();
    let hub_json = serde_json::json!({"address": address, "serverName": server_name, "trustDomain": "t"});
    for (name, content) in [
        ("hub.json", hub_json.to_string()),
        ("ca.crt", ca.pem()),
        ("operator.crt", operator.pem()),
        ("operator.key", operator_key.serialize_pem()),
    ] {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![hub.der().clone()], PrivateKeyDer::try_from(hub_key.serialize_der()).unwrap())
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    Files { directory, server: Arc::new(server) }
}

fn config(directory: &Path) -> HubConfig {
    HubConfig::load(&HubArguments { hub: None, config: Some(directory.to_owned()) }).unwrap()
}

/// Serves one connection while `client` runs.
async fn with_hub<T>(server_name: &str, client: impl AsyncFnOnce(Result<Hub, Failure>) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let files = files(&listener.local_addr().unwrap().to_string(), server_name);
    let serve = async {
        let (tcp, _) = listener.accept().await.unwrap();
        if let Ok(tls) = TlsAcceptor::from(files.server).accept(tcp).await {
            let service = TowerToHyperService::new(FleetServer::new(OneApp));
            let builder = auto::Builder::new(TokioExecutor::new());
            drop(builder.serve_connection(TokioIo::new(tls), service).await);
        }
        std::future::pending::<()>().await;
    };
    let config = config(files.directory.path());
    let client = async { client(Hub::connect(&config).await).await };
    tokio::select! {
        () = serve => unreachable!("the server never ends by itself"),
        answer = client => answer,
    }
}

fn app_on(name: &str, cluster: &str) -> AppArguments {
    AppArguments { app: AppId::new("", name), cluster: cluster.to_owned() }
}

fn app_named(name: &str) -> AppArguments {
    app_on(name, "")
}

#[tokio::test]
async fn the_status_of_a_hub_is_shown() {
    let text =
        with_hub("hub.test", async |hub| status_text(&hub.unwrap(), Format::Table).await.unwrap()).await;
    assert!(text.contains("edge-1") && text.contains("web"), "{text}");
}

#[tokio::test]
async fn refusals_of_the_hub_are_failures_with_its_words() {
    with_hub("hub.test", async |hub| {
        let hub = hub.unwrap();
        assert_eq!(get_app(&hub, &app_named("web")).await.unwrap().name, "web");
        let error = get_app(&hub, &app_named("nothing")).await.unwrap_err();
        assert!(matches!(&error, Failure::NotFound(message) if message == "app nothing"), "{error}");
        let taken = v1::AddClusterRequest { name: "edge-1".to_owned(), ..Default::default() };
        let error = hub.call(|mut client| async move { client.add_cluster(taken).await }).await.unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (1, "cluster edge-1 exists"));
    })
    .await;
}

#[tokio::test]
async fn a_command_is_followed_to_its_end() {
    with_hub("hub.test", async |hub| {
        let hub = hub.unwrap();
        let kind = || v1::run_command_request::Kind::Refresh(v1::RefreshCommand {});
        let limit = Duration::from_secs(30);
        let mut states = Vec::new();
        let news = |progress: &v1::CommandProgress| {
            states.push(progress.state());
            Ok(false)
        };
        let end = run_command(&hub, &app_named("web"), limit, kind(), news).await.unwrap();
        assert_eq!(end.state(), v1::CommandState::Succeeded);
        assert_eq!(states.len(), 3);
        let first = run_command(&hub, &app_named("web"), limit, kind(), |_| Ok(true)).await.unwrap();
        assert_eq!(first.state(), v1::CommandState::Accepted);
        let error =
            run_command(&hub, &app_on("web", "away"), limit, kind(), |_| Ok(false)).await.unwrap_err();
        assert!(matches!(error, Failure::NotNow(_)), "{error}");
    })
    .await;
}

#[tokio::test]
async fn manifests_are_whole_or_an_error() {
    with_hub("hub.test", async |hub| {
        let hub = hub.unwrap();
        let manifests = async |name| app::manifests(&hub, &app_named(name), ManifestFormat::Yaml).await;
        assert_eq!(manifests("web").await.unwrap(), OK);
        let torn = manifests("torn").await.unwrap_err();
        assert!(torn.to_string().contains("ask again"), "{torn}");
        let odd = manifests("odd").await.unwrap_err();
        assert!(odd.to_string().contains("no JSON"), "{odd}");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_deleted_or_is_not_there_fails() {
    with_hub("hub.test", async |hub| {
        let hub = hub.unwrap();
        let refused = delete::run(&hub, &app_named("web"), false, Format::Table).await.unwrap_err();
        assert_eq!((refused.code(), refused.to_string().as_str()), (1, "app argocd/web is in the fleet"));
        assert_eq!(delete::run(&hub, &app_named("web"), true, Format::Json).await.unwrap(), OK);
        let get = |name: &str| ProjectCommand::Get {
            name: name.to_owned(),
            output: crate::args::Output { format: Format::Table },
        };
        assert_eq!(project::run(&hub, get("default")).await.unwrap(), OK);
        let unknown = project::run(&hub, get("team")).await.unwrap_err();
        assert_eq!(unknown.to_string(), "there is no project \"team\"");
        let away = app::refresh(&hub, &app_on("web", "away")).await.unwrap_err();
        assert!(matches!(away, Failure::NotNow(_)), "{away}");
        let tree = app::tree(&hub, &app_named("web"), Format::Json).await.unwrap_err();
        assert_eq!(tree.code(), crate::failure::USAGE);
    })
    .await;
}

fn waiting(line: &[&str]) -> WaitArguments {
    let line = ["argosy", "app", "wait"].iter().chain(line);
    let arguments = <Arguments as clap::Parser>::try_parse_from(line).unwrap();
    let Command::App(AppCommand::Wait(arguments)) = arguments.command else { unreachable!("it waits") };
    arguments
}

#[tokio::test]
async fn apps_are_gone_where_the_hub_says_so_and_never_where_it_is_away() {
    with_hub("hub.test", async |hub| {
        let hub = hub.unwrap();
        let wait = async |line: &[&str]| wait::run(&hub, &waiting(line)).await;
        assert_eq!(wait(&["one", "two", "--delete"]).await.unwrap(), OK);
        let there = wait(&["gone", "web", "--delete", "--timeout", "1"]).await.unwrap_err().to_string();
        assert!(there.contains("timed out (1s) waiting for app argocd/web: it is in the fleet"), "{there}");
        let unseen = wait(&["web", "--health", "--timeout", "1"]).await.unwrap_err().to_string();
        assert!(unseen.ends_with("no status yet"), "{unseen}");
        let labelled = wait(&["-l", "!team", "--health", "--timeout", "1"]).await.unwrap_err().to_string();
        assert!(labelled.contains("waiting for app argocd/web"), "{labelled}");
        let nobody = wait(&["--selector", "team=nobody"]).await.unwrap_err().to_string();
        assert!(nobody.contains("no application has such labels"), "{nobody}");
    })
    .await;
    let files = files("127.0.0.1:1", "hub.test");
    let line =
        ["argosy", "--config", files.directory.path().to_str().unwrap(), "app", "wait", "web", "--delete"];
    let away = run(<Arguments as clap::Parser>::try_parse_from(line).unwrap()).await.unwrap_err();
    assert_eq!(away.code(), UNREACHABLE);
}

#[tokio::test]
async fn a_hub_of_another_name_is_not_talked_to() {
    let error = with_hub("other.test", async |hub| hub.err().unwrap()).await;
    assert_eq!(error.code(), UNREACHABLE);
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_hub_that_does_not_listen_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let files = files(&address, "hub.test");
    let error = Hub::connect(&config(files.directory.path())).await.err().unwrap();
    assert_eq!(error.code(), UNREACHABLE);
    assert!(error.to_string().contains(&address), "{error}");
}
