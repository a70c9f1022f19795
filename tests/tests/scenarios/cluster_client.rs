//! The agent's hands and eyes, held to an API server.

mod parts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use argosy_agent::cluster::{Connection, Holder, Lease, LeaseSettings, LeaseState, Watches};
use argosy_core::cluster::{
    Answer, ApiError, Applied, LiveMeta, Request, Tracking, WatchEvent, WatchSet, Watched,
};
use argosy_core::health::Health;
use argosy_core::ids::{AppId, Digest, InstallationId};
use argosy_core::key::{GroupKind, ResourceKey};
use argosy_core::policy::Propagation;
use argosy_runtime::clock::Clock;
use argosy_tests::control_plane::{shared, unique};
use argosy_tests::{ControlPlane, Kubernetes};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_mins(1);

/// A connection with an app to apply for.
struct Hands {
    connection: Connection,
    kube_system_uid: String,
    installation: InstallationId,
    app: AppId,
}

impl Hands {
    async fn on(plane: &ControlPlane) -> Self {
        let connection = Connection::connect(Some(&plane.kubeconfig()), None).await.unwrap();
        connection.discover().await.unwrap();
        let kube_system_uid = connection.facts().await.unwrap().kube_system_uid;
        let (installation, app) = (InstallationId::from_random([7; 16]), AppId::new("", "web"));
        Self { connection, kube_system_uid, installation, app }
    }

    async fn apply(
        &self,
        key: &ResourceKey,
        uid: Option<&str>,
        manifest: &Value,
    ) -> Result<Applied, ApiError> {
        self.apply_as(key, uid, manifest, !key.is_part()).await
    }

    async fn apply_as(
        &self,
        key: &ResourceKey,
        uid: Option<&str>,
        manifest: &Value,
        force: bool,
    ) -> Result<Applied, ApiError> {
        let bytes = manifest.to_string().into_bytes();
        let request = Request::Apply {
            key: key.clone(),
            uid: uid.map(str::to_owned),
            manifest: Digest::of(&bytes),
            app: self.app.clone(),
            unvalidated: false,
            migrates: false,
            replaces: false,
            respect: None,
            force,
            account: None,
        };
        let answer = self.connection.execute(&request, Some(&bytes), self.installation).await?;
        let Answer::Applied(applied) = answer else { panic!("{answer:?}") };
        Ok(applied)
    }

    async fn ask(&self, request: Request) -> Result<Answer, ApiError> {
        self.connection.execute(&request, None, self.installation).await
    }

    async fn get(&self, key: &ResourceKey) -> Option<LiveMeta> {
        let answer = self.ask(Request::Get { key: key.clone() }).await.unwrap();
        if answer == Answer::Absent {
            return None;
        }
        let Answer::Found(live) = answer else { panic!("{answer:?}") };
        Some(live)
    }

    async fn delete(&self, key: &ResourceKey, uid: &str) -> Result<Answer, ApiError> {
        let propagation = Propagation::Background;
        self.ask(Request::Delete { key: key.clone(), uid: uid.to_owned(), propagation, account: None }).await
    }
}

fn config_map(namespace: &str, name: &str) -> ResourceKey {
    ResourceKey::new("", "ConfigMap", namespace, name)
}

fn manifest(key: &ResourceKey, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": key.name}, "data": {"k": value}})
}

fn config_maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

fn path(key: &ResourceKey) -> String {
    format!("{}/{}", config_maps(&key.namespace), key.name)
}

fn kinds<const N: usize>(kinds: [(GroupKind, u64); N]) -> WatchSet {
    WatchSet { kinds: BTreeMap::from(kinds), ..WatchSet::default() }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("it takes too long")
}

async fn until(
    queue: &mut Receiver<(Watched, WatchEvent)>,
    mut is: impl FnMut(&WatchEvent) -> bool,
) -> WatchEvent {
    soon(async {
        loop {
            let (_, event) = queue.recv().await.expect("the watches run");
            if is(&event) {
                return event;
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_agent_learns_what_the_cluster_is_and_serves() {
    let plane = shared().unwrap();
    let hands = Hands::on(&plane).await;

    let facts = hands.connection.facts().await.unwrap();

    let namespace = plane.api().get("/api/v1/namespaces/kube-system").unwrap().unwrap();
    assert_eq!(namespace["metadata"]["uid"], facts.kube_system_uid);
    assert!(facts.kubernetes_version.starts_with("v1."), "{facts:?}");
    let kinds = hands.connection.kinds();
    assert!(kinds[&GroupKind::new("apps", "Deployment")].namespaced);
    assert!(!kinds[&GroupKind::new("", "Namespace")].namespaced);
    let again = hands.connection.discover().await.unwrap();
    assert!(again.stale.is_empty() && again.kinds.len() > 50, "{:?}", again.stale);
}

#[tokio::test]
async fn an_object_is_created_healed_and_deleted_by_its_incarnation() {
    let plane = shared().unwrap();
    let (hands, namespace) = (Hands::on(&plane).await, plane.fresh_namespace().unwrap());
    let key = config_map(&namespace, "a");
    assert_eq!(hands.get(&key).await, None);

    let made = hands.apply(&key, None, &manifest(&key, "1")).await.unwrap();

    assert!(made.created && made.changed.is_empty(), "{made:?}");
    assert!(made.live.labelled && made.live.fingerprint.is_some());
    assert!(matches!(&made.live.tracking, Tracking::Ours { names, .. } if *names == key));
    let uid = made.live.uid.clone();

    // Another writer takes the field: our entry loses it.
    plane.api().merge(&path(&key), &json!({"data": {"k": "2"}})).unwrap();
    let edited = hands.get(&key).await.unwrap();
    assert_ne!(edited.fingerprint, made.live.fingerprint);
    assert!(edited.last_writer.is_some_and(|writer| writer.starts_with("argosy-tests")));
    let healed = hands.apply(&key, Some(&uid), &manifest(&key, "1")).await.unwrap();
    assert!(!healed.created && healed.changed.is_empty());

    let other = hands.apply(&key, Some("11111111-1111-1111-1111-111111111111"), &manifest(&key, "1")).await;
    assert!(matches!(other, Err(ApiError::Replaced(_))), "{other:?}");
    let other = hands.delete(&key, "11111111-1111-1111-1111-111111111111").await;
    assert!(matches!(other, Err(ApiError::Replaced(_))), "{other:?}");
    assert_eq!(hands.delete(&key, &uid).await, Ok(Answer::Deleted));
    assert_eq!(hands.delete(&key, &uid).await, Ok(Answer::Deleted));
    assert_eq!(hands.get(&key).await, None);
    let gone = hands.apply(&key, Some(&uid), &manifest(&key, "1")).await;
    assert!(matches!(gone, Err(ApiError::Replaced(_))), "{gone:?}");
}

#[tokio::test]
async fn an_object_that_was_there_is_adopted_not_created() {
    let plane = shared().unwrap();
    let (hands, namespace) = (Hands::on(&plane).await, plane.fresh_namespace().unwrap());
    let key = config_map(&namespace, "a");
    plane.api().create(&config_maps(&namespace), &manifest(&key, "0")).unwrap();

    let adopted = hands.apply(&key, None, &manifest(&key, "1")).await.unwrap();

    assert!(!adopted.created, "{adopted:?}");
}

#[tokio::test]
async fn a_refusal_says_what_and_where_but_no_secret() {
    let plane = shared().unwrap();
    let (hands, namespace) = (Hands::on(&plane).await, plane.fresh_namespace().unwrap());
    let refused = |result: Result<Applied, ApiError>| match result {
        Err(ApiError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };

    let key = config_map(&namespace, "a");
    let mut unknown = manifest(&key, "1");
    unknown["dota"] = json!({});
    assert!(refused(hands.apply(&key, None, &unknown).await).contains(".dota"));

    let key = ResourceKey::new("apps", "Deployment", &*namespace, "a");
    let invalid = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": -1}});
    assert!(refused(hands.apply(&key, None, &invalid).await).contains("spec.replicas"));

    let key = ResourceKey::new("", "Secret", &*namespace, "a");
    for data in [json!({"k": 5_551_234}), json!({"k": "5551234!"}), json!({"k": {"5551234": "x"}})] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": data});
        let why = refused(hands.apply(&key, None, &secret).await);
        assert!(!why.contains("5551234"), "{why}");
    }
    let tls =
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "a"}});
    assert!(refused(hands.apply(&key, None, &tls).await).contains("data[tls.crt]"));
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let plane = shared().unwrap();
    let hands = Hands::on(&plane).await;
    let namespace = unique("made");

    let key = config_map(&namespace, "a");
    let early = hands.apply(&key, None, &manifest(&key, "1")).await;
    assert!(matches!(early, Err(ApiError::NamespaceMissing(_))), "{early:?}");
    assert_eq!(hands.get(&key).await, None);
    let ensure = Request::EnsureNamespace {
        name: namespace.clone(),
        app: AppId::new("", "web"),
        metadata: argosy_core::policy::NamespaceMetadata::default(),
        account: None,
    };
    assert_eq!(hands.ask(ensure.clone()).await, Ok(Answer::Namespace { created: true }));
    assert_eq!(hands.ask(ensure).await, Ok(Answer::Namespace { created: false }));
    assert!(hands.apply(&key, None, &manifest(&key, "1")).await.unwrap().created);

    let key = ResourceKey::new("apps", "Deployment", &*namespace, "a");
    let old = json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "a"}});
    let refused = hands.apply(&key, None, &old).await;
    assert!(matches!(&refused, Err(ApiError::NotServed(why)) if why.contains("only in v1")), "{refused:?}");
    let key = ResourceKey::new("x.dev", "Gizmo", &*namespace, "a");
    assert_eq!(hands.get(&key).await, None);
}

fn definition(group: &str) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("gizmos.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Gizmo", "plural": "gizmos"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]}})
}

#[tokio::test]
async fn a_kind_comes_and_goes_with_its_definition() {
    let plane = shared().unwrap();
    let (hands, namespace) = (Hands::on(&plane).await, plane.fresh_namespace().unwrap());
    let group = format!("{}.dev", unique("g"));
    let key =
        ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", format!("gizmos.{group}"));

    let made = hands.apply(&key, None, &definition(&group)).await.unwrap();

    assert!(made.created && made.changed.is_empty(), "{made:?}");
    assert_eq!(made.live.tracking, Tracking::None);
    assert!(made.live.health.is_some());
    let gizmo = ResourceKey::new(&*group, "Gizmo", &*namespace, "a");
    let object = json!({"apiVersion": format!("{group}/v1"), "kind": "Gizmo", "metadata": {"name": "a"}, "spec": {"size": 1}});
    soon(async {
        while hands.get(&key).await.unwrap().health.unwrap().health != Health::Healthy {}
        while !hands.connection.discover().await.unwrap().kinds.contains_key(&gizmo.group_kind()) {}
    })
    .await;
    assert!(hands.apply(&gizmo, None, &object).await.unwrap().created);
    let mut wrong = object;
    wrong["spec"]["sice"] = json!(1);
    let refused = hands.apply(&gizmo, None, &wrong).await;
    assert!(matches!(&refused, Err(ApiError::Refused(why)) if why.contains("sice")), "{refused:?}");

    hands.delete(&key, &made.live.uid).await.unwrap();
    soon(async {
        while hands.connection.discover().await.unwrap().kinds.contains_key(&gizmo.group_kind()) {}
    })
    .await;
    assert_eq!(hands.get(&gizmo).await, None);
}

/// Starts a control plane that spoils the config maps of a namespace on their way.
fn with_admission(namespace: &str) -> Arc<ControlPlane> {
    if Kubernetes::of_environment().unwrap() == Kubernetes::Sim {
        // It evaluates no policies; what they would do can be set.
        let plane =
            ControlPlane::builder().name("mutating").mutate("configmaps", json!({"data": {"k": "theirs"}}));
        let plane = Arc::new(plane.start().unwrap());
        plane.api().create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).unwrap();
        return plane;
    }
    let plane = shared().unwrap();
    plane.api().create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).unwrap();
    for (plural, object) in policies(namespace) {
        plane.api().create(&format!("{ADMISSION}/{plural}"), &object).unwrap();
    }
    plane
}

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// Returns a policy that spoils the config maps of a namespace, and its binding.
fn policies(namespace: &str) -> [(&'static str, Value); 2] {
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                    "operations": ["CREATE", "UPDATE"]}],
            },
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "ApplyConfiguration",
                "applyConfiguration": {"expression": "Object{data: {\"k\": \"theirs\"}}"}}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": namespace}, "spec": {"policyName": namespace},
    });
    [("mutatingadmissionpolicies", policy), ("mutatingadmissionpolicybindings", binding)]
}

#[tokio::test]
async fn what_admission_changes_is_told() {
    let namespace = unique("ns");
    let plane = with_admission(&namespace);
    let hands = Hands::on(&plane).await;
    let key = config_map(&namespace, "a");

    let changed = soon(async {
        loop {
            let applied = hands.apply(&key, None, &manifest(&key, "ours")).await.unwrap();
            if !applied.changed.is_empty() {
                return applied.changed;
            }
        }
    })
    .await;

    for (plural, _) in policies(&namespace).iter().rev() {
        plane.api().delete(&format!("{ADMISSION}/{plural}/{namespace}")).unwrap();
    }
    assert_eq!(changed, ["data.k"]);
}

#[tokio::test]
async fn a_watch_tells_what_changes_and_what_loses_our_label() {
    let plane = shared().unwrap();
    let (hands, namespace) = (Hands::on(&plane).await, plane.fresh_namespace().unwrap());
    let key = config_map(&namespace, "a");
    let made = hands.apply(&key, None, &manifest(&key, "1")).await.unwrap();
    let (watches, handle, mut queue) = Watches::new(hands.connection.clone());
    handle.set(kinds([(key.group_kind(), 0), (GroupKind::new("apps", "Deployment"), 0)]));

    let script = async {
        let listed = until(&mut queue, |event| {
            matches!(event, WatchEvent::Listed { objects, .. } if objects.iter().any(|live| live.key == key))
        })
        .await;
        let WatchEvent::Listed { objects, .. } = listed else { panic!("{listed:?}") };
        assert!(objects.contains(&made.live));

        plane.api().merge(&path(&key), &json!({"data": {"k": "2"}})).unwrap();
        let is_drift = |event: &WatchEvent| matches!(event, WatchEvent::Seen(live) if live.key == key && live.fingerprint != made.live.fingerprint);
        until(&mut queue, is_drift).await;

        let unlabelled = json!({"metadata": {"labels": {"argosy.dev/managed": null}}});
        plane.api().merge(&path(&key), &unlabelled).unwrap();
        until(&mut queue, |event| *event == WatchEvent::Gone(key.clone())).await;
        assert!(hands.get(&key).await.is_some());

        let workload = ResourceKey::new("apps", "Deployment", &*namespace, "w");
        let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "w"}, "spec": {
            "selector": {"matchLabels": {"a": "w"}}, "template": {"metadata": {"labels": {"a": "w"}},
                "spec": {"containers": [{"name": "c", "image": "registry.example/c:1"}]}}}});
        hands.apply(&workload, None, &body).await.unwrap();
        until(&mut queue, |event| {
            matches!(event, WatchEvent::Seen(live) if live.key == workload
                && live.health.as_ref().is_some_and(|verdict| verdict.health == Health::Progressing))
        })
        .await;

        handle.set(kinds([(workload.group_kind(), 1)]));
        let lists_it = |event: &WatchEvent| matches!(event, WatchEvent::Listed { objects, .. } if objects.iter().any(|live| live.key == workload));
        until(&mut queue, lists_it).await;
        drop(handle);
    };
    let (ran, ()) = tokio::join!(watches.run(), script);
    ran.unwrap();
}

#[tokio::test]
async fn a_watch_breaks_once_with_its_api_server_and_lists_again() {
    let plane = ControlPlane::start().unwrap();
    let hands = Hands::on(&plane).await;
    let namespace = plane.fresh_namespace().unwrap();
    let key = config_map(&namespace, "a");
    hands.apply(&key, None, &manifest(&key, "1")).await.unwrap();
    let (watches, handle, mut queue) = Watches::new(hands.connection.clone());
    handle.set(kinds([(key.group_kind(), 0)]));

    let script = async {
        until(&mut queue, |event| matches!(event, WatchEvent::Listed { .. })).await;
        plane.stop_api_server().unwrap();
        until(&mut queue, |event| matches!(event, WatchEvent::Broken(_))).await;
        let refused = hands.ask(Request::Get { key: key.clone() }).await;
        assert!(matches!(refused, Err(ApiError::Unreachable(_))), "{refused:?}");
        assert!(hands.connection.discover().await.is_err());
        assert!(hands.connection.kinds().contains_key(&key.group_kind()));
        plane.start_api_server().unwrap();
        let next = soon(queue.recv()).await.unwrap().1;
        assert!(
            matches!(&next, WatchEvent::Listed { objects, .. } if objects.iter().any(|live| live.key == key)),
            "{next:?}"
        );
        drop(handle);
    };
    let (ran, ()) = tokio::join!(watches.run(), script);
    ran.unwrap();
}

fn lease(
    hands: &Hands,
    namespace: &str,
    agent: &str,
    process: &str,
) -> (Lease, tokio::sync::watch::Receiver<LeaseState>) {
    let settings = LeaseSettings {
        namespace: namespace.to_owned(),
        installation: hands.installation,
        holder: Holder::new(agent, process, "host"),
        kube_system_uid: hands.kube_system_uid.clone(),
        was_holder: false,
    };
    Lease::new(hands.connection.clone(), settings, Clock::new().unwrap())
}

#[tokio::test]
async fn one_agent_writes_and_another_takes_over_when_it_leaves() {
    let plane = shared().unwrap();
    let (hands, namespace) = (Hands::on(&plane).await, plane.fresh_namespace().unwrap());
    let clock = Clock::new().unwrap();
    let (first, mut of_first) = lease(&hands, &namespace, "a", "1");
    let (second, mut of_second) = lease(&hands, &namespace, "b", "1");
    let (leave, stop) = (CancellationToken::new(), CancellationToken::new());

    let script = async {
        soon(of_first.wait_for(|state| state.may_write(&clock.mono()))).await.unwrap();
        let follow = async {
            soon(
                of_second
                    .wait_for(|state| matches!(state, LeaseState::Lost { holder } if holder == "a_1_host")),
            )
            .await
            .unwrap();
            assert!(!of_second.borrow().may_dial());
            leave.cancel();
            soon(of_second.wait_for(|state| state.may_write(&clock.mono()))).await.unwrap();
            stop.cancel();
        };
        let (ran, ()) = tokio::join!(second.run(stop.clone()), follow);
        ran.unwrap();
    };
    let (ran, ()) = tokio::join!(first.run(leave.clone()), script);
    ran.unwrap();
    assert!(!of_first.borrow().may_write(&clock.mono()));
}

#[tokio::test]
async fn the_next_process_of_an_agent_takes_over_from_the_one_before_it() {
    let plane = shared().unwrap();
    let (hands, namespace) = (Hands::on(&plane).await, plane.fresh_namespace().unwrap());
    let clock = Clock::new().unwrap();
    let (first, mut of_first) = lease(&hands, &namespace, "a", "1");
    {
        // Dropped without a word, like a process that is killed.
        let run = first.run(CancellationToken::new());
        tokio::select! {
            ended = run => panic!("{ended:?}"),
            held = soon(of_first.wait_for(|state| state.may_write(&clock.mono()))) => drop(held.unwrap()),
        }
    }
    let (second, mut of_second) = lease(&hands, &namespace, "a", "2");
    let stop = CancellationToken::new();

    let script = async {
        soon(of_second.changed()).await.unwrap();
        assert!(of_second.borrow().may_write(&clock.mono()), "{:?}", of_second.borrow());
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(second.run(stop.clone()), script);
    ran.unwrap();
}

#[tokio::test]
async fn a_lease_without_its_namespace_says_so() {
    let plane = shared().unwrap();
    let hands = Hands::on(&plane).await;
    let (lease, mut state) = lease(&hands, &unique("none"), "a", "1");
    let stop = CancellationToken::new();

    let script = async {
        soon(state.changed()).await.unwrap();
        let LeaseState::Unknown { reason, .. } = state.borrow().clone() else {
            panic!("{:?}", state.borrow())
        };
        assert!(reason.contains("namespace"), "{reason}");
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(lease.run(stop.clone()), script);
    ran.unwrap();
}

#[tokio::test]
async fn nobody_writes_to_a_cluster_that_is_not_the_agents() {
    let plane = shared().unwrap();
    let (mut hands, namespace) = (Hands::on(&plane).await, plane.fresh_namespace().unwrap());
    hands.kube_system_uid = "another".to_owned();
    let (lease, mut state) = lease(&hands, &namespace, "a", "1");
    let stop = CancellationToken::new();

    let script = async {
        soon(state.changed()).await.unwrap();
        let LeaseState::Unknown { reason, .. } = state.borrow().clone() else {
            panic!("{:?}", state.borrow())
        };
        assert!(reason.contains("belongs to another"), "{reason}");
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(lease.run(stop.clone()), script);
    ran.unwrap();
}
