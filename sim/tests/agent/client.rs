//! The agent's own client of Kubernetes, kube-rs inside, on a simulated cluster over TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use argosy_agent::cluster::Connection;
use argosy_core::cluster::{Answer, Applied, Request, WatchEvent, Watched};
use argosy_core::ids::{AppId, Digest, InstallationId};
use argosy_core::key::{GroupKind, ResourceKey};
use argosy_core::policy::Propagation;
use argosy_runtime::supervisor::Supervisor;
use argosy_sim::cluster::Config;
use argosy_sim::http::{ControlPlane, Identity, Login, Server, Settings, Temper, User};
use serde_json::{Value, json};

/// A simulated cluster and a connection of the agent to it.
struct Stage {
    connection: Connection,
    installation: InstallationId,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn start() -> Self {
        let supervisor = Supervisor::new();
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let user = User { name: "agent".to_owned(), groups: vec!["system:masters".to_owned()] };
        let login = Login { user, token: "token".to_owned() };
        let settings = Settings {
            name: "edge".to_owned(),
            cluster: Config::default(),
            listen: SocketAddr::new(local, 0),
            identity: Some(Identity::generate(local).unwrap()),
            logins: vec![login.clone()],
            temper: Temper::default(),
            interference: Vec::new(),
            audit: None,
            control_plane: ControlPlane::Running,
        };
        let server = Server::start(settings, &supervisor).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, server.kubeconfig(&login)).unwrap();
        let connection = Connection::connect(Some(&path), None).await.unwrap();
        connection.discover().await.unwrap();
        Self { connection, installation: InstallationId::from_random([7; 16]), _folder: folder }
    }

    async fn apply(&self, key: &ResourceKey, uid: Option<&str>, manifest: &Value) -> Applied {
        let bytes = manifest.to_string().into_bytes();
        let request = Request::Apply {
            key: key.clone(),
            uid: uid.map(str::to_owned),
            manifest: Digest::of(&bytes),
            app: AppId::new("", "web"),
            unvalidated: false,
            migrates: false,
            replaces: false,
            respect: None,
            force: true,
            account: None,
        };
        let answer = self.connection.execute(&request, Some(&bytes), self.installation).await.unwrap();
        let Answer::Applied(applied) = answer else { panic!("{answer:?}") };
        applied
    }

    async fn ask(&self, request: Request) -> Answer {
        self.connection.execute(&request, None, self.installation).await.unwrap()
    }
}

fn config_map(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}})
}

#[tokio::test]
async fn the_agent_learns_what_is_served_and_who_the_cluster_is() {
    let stage = Stage::start().await;
    let facts = stage.connection.facts().await.unwrap();
    assert!(facts.kubernetes_version.starts_with("v1."));
    assert!(!facts.kube_system_uid.is_empty());
    let deployments = stage.connection.served(&GroupKind::new("apps", "Deployment")).unwrap();
    assert!(deployments.namespaced);
}

#[tokio::test]
async fn the_agent_applies_watches_and_deletes() {
    let stage = Stage::start().await;
    let namespace = Request::EnsureNamespace {
        name: "shop".to_owned(),
        app: AppId::new("", "web"),
        metadata: argosy_core::policy::NamespaceMetadata::default(),
        account: None,
    };
    assert_eq!(stage.ask(namespace.clone()).await, Answer::Namespace { created: true });
    assert_eq!(stage.ask(namespace).await, Answer::Namespace { created: false });
    let mut watch = stage.connection.watch(Watched::Kind(GroupKind::new("", "ConfigMap")));
    let listed = watch.next().await;
    assert!(matches!(&listed, WatchEvent::Listed { objects, .. } if objects.is_empty()), "{listed:?}");

    let key = ResourceKey::new("", "ConfigMap", "shop", "a");
    let first = stage.apply(&key, None, &config_map("x")).await;
    assert!(first.created);
    let WatchEvent::Seen(seen) = watch.next().await else { panic!("no object was seen") };
    assert_eq!((&seen.key, &seen.uid), (&key, &first.live.uid));
    let again = stage.apply(&key, Some(&first.live.uid), &config_map("x")).await;
    assert!(!again.created);
    assert_eq!(again.live.resource_version, first.live.resource_version);
    let other = stage.apply(&key, Some(&first.live.uid), &config_map("y")).await;
    assert!(other.live.resource_version > first.live.resource_version);

    let uid = first.live.uid;
    let delete =
        Request::Delete { key: key.clone(), uid, propagation: Propagation::Background, account: None };
    assert_eq!(stage.ask(delete).await, Answer::Deleted);
    assert_eq!(stage.ask(Request::Get { key: key.clone() }).await, Answer::Absent);
    let WatchEvent::Seen(_) = watch.next().await else { panic!("no change was seen") };
    assert!(matches!(watch.next().await, WatchEvent::Gone(gone) if gone == key));
}

#[tokio::test]
async fn a_new_kind_is_found_as_soon_as_it_is_served() {
    let stage = Stage::start().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gizmos.x.dev"},
        "spec": {"group": "x.dev", "scope": "Namespaced", "names": {"plural": "gizmos", "kind": "Gizmo"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]},
    });
    let key = ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "gizmos.x.dev");
    stage.apply(&key, None, &definition).await;
    let gizmo = GroupKind::new("x.dev", "Gizmo");
    let served = async {
        while stage.connection.served(&gizmo).is_none() {
            stage.connection.discover().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), served).await.unwrap();
    let key = ResourceKey::new("x.dev", "Gizmo", "default", "g");
    let body =
        json!({"apiVersion": "x.dev/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": {"size": 1}});
    assert!(stage.apply(&key, None, &body).await.created);
}
