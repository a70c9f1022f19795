//! Behaviour of a whole cluster, request by request.

mod bodies;
mod properties;
mod refusals;

use serde_json::{Value, json};

use super::*;

struct Bench {
    cluster: Cluster,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        let now = Time(1_700_000_000_000_000);
        Self { cluster: Cluster::new(Config { seed: 7, now, ..Config::default() }), now }
    }

    fn ask(&mut self, path: &str, verb: Verb<'_>) -> Result<Reply, Status> {
        self.ask_part(path, Subresource::None, verb)
    }

    /// Asks for `group/version/plural/namespace/name`; core's group and no namespace are empty.
    fn ask_part(&mut self, path: &str, subresource: Subresource, verb: Verb<'_>) -> Result<Reply, Status> {
        let mut parts = path.split('/');
        let mut next = || parts.next().unwrap_or_default();
        let (group, version, plural) = (next(), next(), next());
        let (namespace, name) = (next(), next());
        let resource = self.cluster.resource(group, version, plural).expect("the kind is served");
        self.cluster.call(Call {
            resource: &resource,
            namespace,
            name,
            subresource,
            verb,
            manager: "test",
            user: "test",
            dry_run: false,
            validation: FieldValidation::Strict,
            now: self.now,
        })
    }

    fn object(&mut self, path: &str, verb: Verb<'_>) -> Value {
        match self.ask(path, verb).unwrap().body {
            Body::Object(object) => object.bare(),
            other @ (Body::List(_) | Body::Value(_) | Body::Success(_)) => panic!("{other:?}"),
        }
    }

    fn get(&mut self, path: &str) -> Option<Value> {
        match self.ask(path, Verb::Get) {
            Ok(Reply { body: Body::Object(object), .. }) => Some(object.bare()),
            Ok(other) => panic!("{other:?}"),
            Err(status) => {
                assert_eq!(status.code, 404, "{status}");
                None
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        let until = self.now.plus(span);
        while let Some(due) = self.cluster.next_tick().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.cluster.tick(due);
        }
        self.now = until;
    }

    fn resource(&self, group: &str, version: &str, plural: &str) -> Arc<Resource> {
        self.cluster.resource(group, version, plural).unwrap()
    }
}

fn apply(body: Value) -> Verb<'static> {
    Verb::Patch(Patch { kind: PatchKind::Apply { force: true }, body })
}

fn merge(body: Value) -> Verb<'static> {
    Verb::Patch(Patch { kind: PatchKind::Merge, body })
}

fn delete() -> Verb<'static> {
    Verb::Delete(DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() })
}

fn foreground() -> Verb<'static> {
    Verb::Delete(DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() })
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}

fn workload(kind: &str, replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w"}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"a": "w"}}, "template": {"metadata": {"labels": {"a": "w"}},
            "spec": {"containers": [{"name": "c", "image": "i:1"}]}}}})
}

const MAP: &str = "/v1/configmaps/default/a";

#[test]
fn an_apply_creates_changes_and_rests() {
    let mut bench = Bench::new();

    let created = bench.ask(MAP, apply(config_map("a", "1"))).unwrap();
    let version = bench.cluster.version();
    let again = bench.ask(MAP, apply(config_map("a", "1"))).unwrap();
    assert_eq!((created.code, again.code, bench.cluster.version()), (201, 200, version));

    bench.object(MAP, merge(json!({"data": {"k": "2"}})));
    let healed = bench.object(MAP, apply(config_map("a", "1")));
    assert_eq!(healed["data"]["k"], "1");
    assert_eq!(healed["metadata"]["managedFields"][0]["operation"], "Apply");
}

#[test]
fn an_incarnation_that_is_not_there_is_refused() {
    let mut bench = Bench::new();
    let mut named = config_map("a", "1");
    named["metadata"]["uid"] = json!("other");

    let absent = bench.ask(MAP, apply(named.clone())).unwrap_err();
    assert_eq!((absent.code, absent.reason), (409, "Conflict"));
    bench.object(MAP, apply(config_map("a", "1")));
    let replaced = bench.ask(MAP, apply(named)).unwrap_err();
    assert_eq!((replaced.code, replaced.reason), (422, "Invalid"));
    let options = DeleteOptions { uid: Some("other".to_owned()), ..DeleteOptions::default() };
    let kept = bench.ask(MAP, Verb::Delete(options)).unwrap_err();
    assert_eq!(kept.code, 409);
    assert!(bench.get(MAP).is_some());
}

#[test]
fn unknown_fields_and_missing_namespaces_are_told() {
    let mut bench = Bench::new();
    let mut unknown = config_map("a", "1");
    unknown["dota"] = json!({});
    let refused = bench.ask(MAP, apply(unknown.clone())).unwrap_err();
    assert_eq!(
        refused.message,
        "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .dota: field not declared in schema"
    );
    let refused = bench.ask("/v1/configmaps/default", Verb::Create(unknown)).unwrap_err();
    assert!(refused.message.ends_with("strict decoding error: unknown field \"dota\""), "{refused}");
    let refused = bench.ask("/v1/configmaps/none/a", apply(config_map("a", "1"))).unwrap_err();
    assert_eq!((refused.code, &*refused.message), (404, "namespaces \"none\" not found"));
}

#[test]
fn a_finalizer_holds_an_object_until_it_is_taken() {
    let mut bench = Bench::new();
    let mut held = config_map("a", "1");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    bench.object(MAP, apply(held));

    let going = bench.object(MAP, delete());
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    bench.object(MAP, merge(json!({"metadata": {"finalizers": null}})));
    assert_eq!(bench.get(MAP), None);
}

#[test]
fn what_leaves_a_selection_is_deleted_for_its_watchers() {
    let mut bench = Bench::new();
    let mut labelled = config_map("a", "1");
    labelled["metadata"]["labels"] = json!({"ours": "true"});
    let start = bench.cluster.version();
    bench.object(MAP, apply(labelled));
    bench.object(MAP, merge(json!({"data": {"k": "2"}})));
    bench.object(MAP, merge(json!({"metadata": {"labels": null}})));
    bench.object(MAP, merge(json!({"data": {"k": "3"}})));
    let resource = bench.resource("", "v1", "configmaps");
    let selection = Selection::parse(&resource, "", "ours=true", "").unwrap();

    let events = bench.cluster.events_since(&resource, &selection, start).unwrap();

    let kinds: Vec<EventKind> = events.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Added, EventKind::Modified, EventKind::Deleted]);
    let last = &events.events[2].object;
    assert_eq!((last.label("ours"), last.version()), (Some("true"), start + 3));
    assert_eq!(events.version, start + 4);
}

#[test]
fn a_version_that_is_too_old_has_expired() {
    let now = Time(0);
    let mut bench = Bench { cluster: Cluster::new(Config { history: 2, ..Config::default() }), now };
    let start = bench.cluster.version();
    for value in ["1", "2", "3"] {
        bench.object(MAP, apply(config_map("a", value)));
    }
    let resource = bench.resource("", "v1", "configmaps");
    let all = Selection::parse(&resource, "", "", "").unwrap();

    assert_eq!(bench.cluster.events_since(&resource, &all, start).unwrap_err().code, 410);
    assert_eq!(bench.cluster.events_since(&resource, &all, start + 1).unwrap().events.len(), 2);
}

#[test]
fn pages_are_of_one_version() {
    let mut bench = Bench::new();
    for name in ["a", "b", "c"] {
        bench.object(&format!("/v1/configmaps/default/{name}"), apply(config_map(name, "1")));
    }
    let page = |bench: &mut Bench, token: &str| {
        let options = ListOptions { limit: 2, continue_token: token.to_owned(), ..ListOptions::default() };
        match bench.ask("/v1/configmaps/default", Verb::List(&options)).unwrap().body {
            Body::List(list) => list,
            other @ (Body::Object(_) | Body::Value(_) | Body::Success(_)) => panic!("{other:?}"),
        }
    };
    let first = page(&mut bench, "");
    assert_eq!((first.items.len(), first.remaining), (2, Some(1)));
    bench.ask("/v1/configmaps/default/c", delete()).unwrap();
    let second = page(&mut bench, &first.continue_token);
    assert_eq!((second.items.len(), second.version), (1, first.version));
}

#[test]
fn a_namespace_takes_its_contents_with_it() {
    let mut bench = Bench::new();
    bench.object(
        "/v1/namespaces//shop",
        apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})),
    );
    let path = "/v1/configmaps/shop/a";
    let mut held = config_map("a", "1");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    bench.object(path, apply(held));

    let going = bench.object("/v1/namespaces//shop", delete());
    assert_eq!(going["status"]["phase"], "Terminating");
    let late = bench.ask("/v1/configmaps/shop/b", apply(config_map("b", "1"))).unwrap_err();
    assert_eq!(late.code, 403);
    bench.pass(Duration::from_secs(5));
    let waiting = bench.get("/v1/namespaces//shop").unwrap();
    assert_eq!(waiting["status"]["conditions"][4]["reason"], "SomeFinalizersRemain");
    bench.object(path, merge(json!({"metadata": {"finalizers": null}})));
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.get("/v1/namespaces//shop"), None);
}

fn definition() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gizmos.example.dev"},
        "spec": {"group": "example.dev", "scope": "Namespaced", "names": {"kind": "Gizmo", "plural": "gizmos"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {
                    "size": {"type": "integer", "default": 1}}}}}}}]}})
}

#[test]
fn a_definition_serves_its_kind_and_takes_it_along() {
    let mut bench = Bench::new();
    let path = "apiextensions.k8s.io/v1/customresourcedefinitions//gizmos.example.dev";
    bench.object(path, apply(definition()));
    assert!(bench.cluster.resource("example.dev", "v1", "gizmos").is_none());
    bench.pass(Duration::from_secs(1));
    let established = bench.get(path).unwrap();
    assert_eq!(established["status"]["conditions"][1]["status"], "True");

    let gizmo =
        json!({"apiVersion": "example.dev/v1", "kind": "Gizmo", "metadata": {"name": "a"}, "spec": {}});
    let made = bench.object("example.dev/v1/gizmos/default/a", apply(gizmo.clone()));
    assert_eq!((&made["spec"]["size"], &made["metadata"]["generation"]), (&json!(1), &json!(1)));
    let mut wrong = gizmo;
    wrong["spec"]["sice"] = json!(1);
    let refused = bench.ask("example.dev/v1/gizmos/default/a", apply(wrong)).unwrap_err();
    assert!(refused.message.contains(".spec.sice: field not declared in schema"), "{refused}");

    bench.object(path, delete());
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.get(path), None);
    assert!(bench.cluster.resource("example.dev", "v1", "gizmos").is_none());
}

#[test]
fn what_nobody_owns_any_more_goes() {
    let mut bench = Bench::new();
    let owner = bench.object(MAP, apply(config_map("a", "1")));
    let mut owned = config_map("b", "1");
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "a",
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true}]);
    let path = "/v1/configmaps/default/b";
    bench.object(path, apply(owned));
    bench.pass(Duration::from_secs(1));
    assert!(bench.get(path).is_some());

    bench.object(MAP, foreground());
    assert!(bench.get(MAP).is_some());
    bench.pass(Duration::from_secs(1));
    assert_eq!((bench.get(path), bench.get(MAP)), (None, None));
}

#[test]
fn a_deployment_comes_to_life_rolls_and_goes() {
    let mut bench = Bench::new();
    let path = "apps/v1/deployments/default/w";
    bench.object(path, apply(workload("Deployment", 2)));
    bench.pass(Duration::from_secs(10));
    let live = bench.get(path).unwrap();
    assert_eq!(live["status"]["availableReplicas"], 2);
    assert_eq!(live["status"]["conditions"][1]["reason"], "NewReplicaSetAvailable");

    let mut next = workload("Deployment", 3);
    next["spec"]["template"]["spec"]["containers"][0]["image"] = json!("i:2");
    bench.object(path, apply(next));
    bench.pass(Duration::from_secs(10));
    let live = bench.get(path).unwrap();
    assert_eq!((&live["status"]["updatedReplicas"], &live["status"]["replicas"]), (&json!(3), &json!(3)));
    assert_eq!(live["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");

    bench.ask(path, delete()).unwrap();
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.cluster.count(&Place::new("", "pods")), 0);
    assert_eq!(bench.cluster.next_tick(), None);
}

#[test]
fn all_kinds_of_workloads_come_to_life() {
    let mut bench = Bench::new();
    let mut set = workload("StatefulSet", 2);
    set["spec"]["serviceName"] = json!("w");
    set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    let mut daemons = workload("DaemonSet", 1);
    daemons["spec"].as_object_mut().unwrap().remove("replicas");
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "w"}, "spec": {"completions": 2,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i:1"}]}}}});
    bench.object("apps/v1/statefulsets/default/w", apply(set));
    bench.object("apps/v1/daemonsets/default/w", apply(daemons));
    bench.object("batch/v1/jobs/default/w", apply(job));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "w"}, "spec": {
        "type": "LoadBalancer", "ports": [{"port": 80}]}});
    bench.object("/v1/services/default/w", apply(service));

    bench.pass(Duration::from_secs(30));

    let status = |bench: &mut Bench, path: &str| bench.get(path).unwrap()["status"].clone();
    assert_eq!(status(&mut bench, "apps/v1/statefulsets/default/w")["readyReplicas"], 2);
    assert_eq!(status(&mut bench, "apps/v1/daemonsets/default/w")["numberReady"], 1);
    assert_eq!(status(&mut bench, "batch/v1/jobs/default/w")["succeeded"], 2);
    assert_eq!(status(&mut bench, "/v1/persistentvolumeclaims/default/data-w-1")["phase"], "Bound");
    assert!(status(&mut bench, "/v1/services/default/w")["loadBalancer"]["ingress"][0]["ip"].is_string());
}

#[test]
fn a_job_fails_once_its_pods_have_failed_too_often_and_waits_for_those_that_wait() {
    let mut bench = Bench::new();
    let job = |fate: &str| {
        let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": fate}});
        job["spec"] = json!({"backoffLimit": 1, "template": {
            "metadata": {"annotations": {"sim.argosy.dev/fate": fate}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}});
        job
    };
    let conditions = |bench: &mut Bench, name: &str| {
        let job = bench.get(&format!("batch/v1/jobs/default/{name}")).unwrap();
        let conditions = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
        (conditions.iter().map(|one| one["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), job)
    };
    for fate in ["fails", "waits"] {
        bench.object(&format!("batch/v1/jobs/default/{fate}"), apply(job(fate)));
    }
    bench.pass(Duration::from_mins(1));
    let (failed, job) = conditions(&mut bench, "fails");
    assert_eq!(failed, ["FailureTarget", "Failed"]);
    assert_eq!(job["status"]["failed"], 2, "one more than its limit");
    assert_eq!(job["status"]["active"], Value::Null);
    let (waiting, job) = conditions(&mut bench, "waits");
    assert!(waiting.is_empty(), "{waiting:?}");
    assert_eq!(job["status"]["active"], 1);
}

#[test]
fn equal_seeds_give_equal_clusters() {
    let run = || {
        let mut bench = Bench::new();
        bench.object("apps/v1/deployments/default/w", apply(workload("Deployment", 2)));
        bench.pass(Duration::from_secs(10));
        let all: Vec<Vec<u8>> =
            bench.cluster.store.all().map(|(_, _, object)| object.json().to_vec()).collect();
        all
    };
    assert_eq!(run(), run());
}

#[test]
fn an_object_takes_little_more_than_its_json() {
    let mut bench = Bench::new();
    let mut map = config_map("a", "1");
    map["metadata"]["labels"] = json!({"app.kubernetes.io/name": "web", "argosy.dev/managed": "true"});
    bench.object(MAP, apply(map));
    let key = Key::new("default", "a");
    let object = bench.cluster.object(&Place::new("", "configmaps"), &key).unwrap();

    assert!(object.size() - object.json().len() < 512, "{}", object.size() - object.json().len());
}
