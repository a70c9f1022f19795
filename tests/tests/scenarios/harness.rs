//! The harness itself: what every other scenario rests on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use argosy_tests::control_plane::{shared, unique};
use argosy_tests::pods::{self, Fate, Workload};
use argosy_tests::{ControlPlane, eventually, requests};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_mins(1);

/// Tells whether a test that is about kubectl has to be left out: a simulated control plane comes without one.
fn lacks_kubectl(plane: &ControlPlane) -> bool {
    let lacks = plane.kubectl_path().is_none();
    if lacks {
        argosy_tests::say("skipped: there is no kubectl, neither built nor on the PATH");
    }
    lacks
}

fn config_maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

fn config_map(namespace: &str, name: &str) -> String {
    format!("{}/{name}", config_maps(namespace))
}

fn deployment(name: &str, replicas: u32) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: main, image: registry.example/main:1}}]
"
    )
}

#[test]
fn a_control_plane_is_the_kubernetes_that_it_says_it_is() {
    let plane = shared().unwrap();
    if lacks_kubectl(&plane) {
        return;
    }

    let version = plane.kubectl_json(&["version"]).unwrap();

    assert_eq!(version["serverVersion"]["major"], "1", "{version}");
    assert_ne!(version["serverVersion"]["gitVersion"], "v0.0.0", "{version}");
    assert_eq!(plane.api().call("GET", "/readyz", None).unwrap().status, 200);
}

#[test]
fn what_kubectl_applies_is_there() {
    let plane = shared().unwrap();
    if lacks_kubectl(&plane) {
        return;
    }
    let namespace = plane.fresh_namespace().unwrap();

    plane
        .apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: {namespace}}}\ndata: {{k: v}}\n"
        ))
        .unwrap();

    let found = plane.kubectl_json(&["get", "configmap", "a", "-n", &namespace]).unwrap();
    assert_eq!(found["data"]["k"], "v");
    assert_eq!(plane.api().get(&config_map(&namespace, "a")).unwrap().unwrap()["data"]["k"], "v");
}

#[test]
fn a_refusal_of_kubectl_is_an_error_with_its_reason() {
    let plane = shared().unwrap();
    if lacks_kubectl(&plane) {
        return;
    }

    let error = plane.kubectl_text(&["get", "configmap", "absent"]).unwrap_err().to_string();

    assert!(error.contains("Error from server (NotFound)"), "{error}");
}

#[test]
fn server_side_apply_takes_a_field_from_its_owner_and_says_so() {
    let plane = shared().unwrap();
    let namespace = plane.fresh_namespace().unwrap();
    let path = config_map(&namespace, "a");
    let object = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}});
    plane.api().apply(&path, "first", &object("1")).unwrap();

    let applied = plane.api().apply(&path, "second", &object("2")).unwrap();

    let managers: Vec<_> = applied["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["second"], "{applied}");
}

#[test]
fn a_custom_resource_definition_is_established_and_serves() {
    let plane = shared().unwrap();
    if lacks_kubectl(&plane) {
        return;
    }
    let group = format!("{}.example.com", unique("group"));
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group, "scope": "Cluster",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}},
            }],
        },
    });

    plane.apply(&definition.to_string()).unwrap();
    let name = format!("crd/widgets.{group}");
    plane.kubectl_text(&["wait", "--for=condition=Established", &name, "--timeout=60s"]).unwrap();

    let path = format!("/apis/{group}/v1/widgets");
    let widget = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3},
    });
    eventually(SOON, "the kind to be served", || plane.api().create(&path, &widget));
    assert_eq!(plane.api().get(&format!("{path}/w")).unwrap().unwrap()["spec"]["size"], 3);
}

#[test]
fn a_deleted_namespace_takes_what_is_in_it_along() {
    let plane = shared().unwrap();
    let namespace = plane.fresh_namespace().unwrap();
    plane.api().create(&config_maps(&namespace), &json!({"metadata": {"name": "a"}})).unwrap();

    plane.api().delete(&format!("/api/v1/namespaces/{namespace}")).unwrap();

    eventually(SOON, "the end of the namespace", || {
        match plane.api().get(&format!("/api/v1/namespaces/{namespace}")).unwrap() {
            None => Ok(()),
            Some(object) => Err(object["status"].to_string()),
        }
    });
}

#[test]
fn foreground_deletion_ends_with_the_dependents() {
    let plane = shared().unwrap();
    if lacks_kubectl(&plane) {
        return;
    }
    let namespace = plane.fresh_namespace().unwrap();
    let deployments = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
    let replica_sets = format!("/apis/apps/v1/namespaces/{namespace}/replicasets");
    plane.kubectl_with(&["apply", "-n", &namespace, "-f", "-"], &deployment("web", 2)).unwrap();
    let count = |path: &str| plane.api().get(path).unwrap().unwrap()["items"].as_array().unwrap().len();
    eventually(SOON, "a replica set", || count(&replica_sets) == 1);

    let options = json!({"propagationPolicy": "Foreground"});
    let response = plane.api().call("DELETE", &deployments, Some(("application/json", &options))).unwrap();

    assert_eq!(response.status, 200, "{}", response.body);
    assert!(response.body.contains("foregroundDeletion"), "{}", response.body);
    eventually(SOON, "the end of the deployment", || plane.api().get(&deployments).unwrap().is_none());
    assert_eq!(count(&replica_sets), 0);
}

#[test]
fn a_workload_becomes_ready_rolls_and_fails_as_its_pods_do() {
    let plane = shared().unwrap();
    if lacks_kubectl(&plane) {
        return;
    }
    let namespace = plane.fresh_namespace().unwrap();
    let apply = |manifest: &str| {
        let output = plane.kubectl_with(&["apply", "-n", &namespace, "-f", "-"], manifest).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
    let status = || plane.api().get(&path).unwrap().unwrap()["status"].clone();

    apply(&deployment("web", 3));
    pods::make_ready(&plane, Workload::Deployment, &namespace, "web").unwrap();
    assert_eq!(status()["availableReplicas"], 3);

    apply(&deployment("web", 2).replace("main:1", "main:2"));
    pods::make_ready(&plane, Workload::Deployment, &namespace, "web").unwrap();
    assert_eq!(status()["replicas"], 2);

    pods::decide(&plane, Workload::Deployment, &namespace, "web", Fate::CrashLooping).unwrap();
    assert!(status()["readyReplicas"].is_null(), "{}", status());
}

#[test]
fn a_job_is_complete_when_its_pod_succeeded() {
    let plane = shared().unwrap();
    let namespace = plane.fresh_namespace().unwrap();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/main:1"}],
        }}},
    });
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    plane.api().create(&path, &job).unwrap();

    pods::decide(&plane, Workload::Job, &namespace, "once", Fate::Succeeded).unwrap();

    assert_eq!(plane.api().get(&format!("{path}/once")).unwrap().unwrap()["status"]["succeeded"], 1);
}

#[test]
fn every_request_is_counted_once_and_told_apart_by_its_user() {
    let plane = shared().unwrap();
    let namespace = plane.fresh_namespace().unwrap();
    let user = plane.next_agent().unwrap();
    let agent = plane.api_as(&user).unwrap();
    let mark = plane.mark().unwrap();

    agent.create(&config_maps(&namespace), &json!({"metadata": {"name": "a"}})).unwrap();
    agent.get(&config_map(&namespace, "a")).unwrap();
    agent.get(&config_map(&namespace, "a")).unwrap();
    agent.merge(&config_map(&namespace, "a"), &json!({"data": {"k": "v"}})).unwrap();

    let mut requests = plane.requests_since(mark).unwrap();
    requests.retain(|request| request.user == user);
    let key = |verb: &str| (verb.to_owned(), "configmaps".to_owned(), "argosy-tests".to_owned());
    let expected = [(key("create"), 1), (key("get"), 2), (key("patch"), 1)];
    assert_eq!(requests::counts(&requests), expected.into());
    assert_eq!(requests.iter().filter(|request| request.is_write()).count(), 2);
}

#[test]
fn an_api_server_that_goes_away_comes_back_with_its_objects_and_etcd_may_too() {
    let plane = ControlPlane::builder().name("alone").user("reader", &["readers"]).start().unwrap();
    let objects = config_maps("default");
    let created: Value = plane.api().create(&objects, &json!({"metadata": {"name": "kept"}})).unwrap();
    let same = || {
        let found = plane.api().get(&config_map("default", "kept")).unwrap().unwrap();
        assert_eq!(found["metadata"]["uid"], created["metadata"]["uid"]);
    };

    plane.stop_api_server().unwrap();
    plane.api().get(&objects).unwrap_err();
    plane.start_api_server().unwrap();
    same();

    plane.restart_etcd().unwrap();
    same();

    let reader = plane.api_as("reader").unwrap().call("GET", &objects, None).unwrap();
    assert_eq!(reader.status, 403, "a user without a role may read nothing: {}", reader.body);
}

#[test]
fn control_planes_run_side_by_side_and_are_gone_when_dropped() {
    let first = ControlPlane::builder().name("first").start().unwrap();
    let second = ControlPlane::builder().name("second").start().unwrap();
    let memory = first.memory().unwrap();
    assert!(memory.etcd + memory.api_server + memory.controller_manager < 1 << 30, "{memory:?}");
    assert_ne!(first.url(), second.url());
    first.api().create("/api/v1/namespaces", &json!({"metadata": {"name": "only-here"}})).unwrap();
    assert!(second.api().get("/api/v1/namespaces/only-here").unwrap().is_none());

    let folder = first.folder().to_owned();
    drop(first);

    assert!(!folder.exists());
    assert_eq!(running_in(&folder), Vec::<String>::new());
    second.ready().unwrap();
}

#[test]
fn nothing_outlives_a_harness_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Command::new(env!("CARGO_BIN_EXE_control-plane"))
        .args(["serve", "--clusters", "doomed", "--dir"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(harness.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<_> = lines.take_while(|line| line != "ready").collect();
    assert!(lines[0].starts_with("doomed https://127.0.0.1:"), "{lines:?}");
    let kubeconfig = std::fs::read_to_string(folder.path().join("doomed.kubeconfig")).unwrap();
    let kubeconfig: Value = serde_json::from_str(&kubeconfig).unwrap();
    let authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority"].as_str().unwrap();
    let data = std::path::Path::new(authority).parent().unwrap();
    assert!(!running_in(data).is_empty());

    harness.kill().unwrap();
    harness.wait().unwrap();

    eventually(SOON, "the end of its processes and of its folder", || {
        let left = running_in(data);
        if left.is_empty() && !data.exists() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn served_control_planes_stop_when_standard_input_closes() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Command::new(env!("CARGO_BIN_EXE_control-plane"))
        .args(["serve", "--clusters", "a,b", "--dir"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(harness.stdout.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it ended before it was ready");
    }

    let mut stdin = harness.stdin.take().unwrap();
    stdin.write_all(b"more input is no reason to stop\n").unwrap();
    drop(stdin);

    assert!(harness.wait().unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    let files = ["a", "b"].map(|name| folder.path().join(format!("{name}.kubeconfig")));
    assert!(files.iter().all(|file| file.exists()));
}

/// Returns the command lines of live processes that name a folder, without janitors that wait to remove it.
pub(super) fn running_in(folder: &std::path::Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    processes
        .filter_map(|process| std::fs::read(process.join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder) && !line.contains(" janitor "))
        .collect()
}
