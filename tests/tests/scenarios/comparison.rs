//! What a sync would change, told without changing anything.

use std::process::Output;

use argosy_tests::{Application, requests};
use serde_json::{Value, json};

use super::stage::{EDGE, Stage, row};

/// A value that must be seen nowhere but in the clusters.
const SECRET: &str = "swordfish-8173";

fn diff(stage: &Stage, more: &[&str]) -> Output {
    let line: Vec<&str> = ["app", "diff", "web"].iter().chain(more).copied().collect();
    stage.world.hub().argosy(&line).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn words(output: &Output) -> String {
    out(output) + &String::from_utf8_lossy(&output.stderr)
}

fn secret(value: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": value, "same": SECRET}})
        .to_string()
}

fn deployment(image: &str) -> String {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [
            {"name": "main", "image": format!("registry.example/{image}"), "ports": [{"containerPort": 80}]}]}}}})
    .to_string()
}

#[test]
fn a_diff_tells_what_a_sync_would_change_and_changes_nothing() {
    let stage = Stage::start();
    let write = |name: &str, text: &str| stage.world.apps().write(&format!("web/{name}.yaml"), text).unwrap();
    write("secret", &secret(SECRET));
    write("deployment", &deployment("main:1"));
    stage.commit(&[("web/a", "1"), ("web/same", "1"), ("web/old", "1")]);
    stage.world.put_app(&Application::new("web", EDGE, &stage.namespace, "web")).unwrap();
    stage.world.await_app("web", "to be known", |app| row(app, "a")["status"] == "OutOfSync");
    let all = diff(&stage, &[]);
    assert_eq!(code(&all), 1, "{}", words(&all));
    let whole = format!("\n===== /ConfigMap {}/a ======\n> apiVersion: v1\n", stage.namespace);
    assert!(out(&all).contains(&whole), "nothing is there yet: {}", words(&all));
    assert!(!words(&all).contains(SECRET), "{}", words(&all));
    stage.world.hub().argosy_text(&["app", "sync", "web"]).unwrap();
    let none = diff(&stage, &[]);
    assert_eq!((code(&none), out(&none)), (0, String::new()), "{}", words(&none));

    write("secret", &secret("another value"));
    write("deployment", &deployment("main:2"));
    stage.commit(&[("web/a", "2"), ("web/new", "1")]);
    let commit = stage.remove(&["web/old"]);
    stage.world.await_app("web", "to have the newest release", |app| {
        app["status"]["sync"]["revision"] == commit.as_str() && row(app, "old")["requiresPruning"] == true
    });
    // Somebody else's field, beside ours, is no difference.
    let patch = json!({"data": {"value": "spoilt", "beside": "theirs"}});
    stage.plane().api().merge(&stage.path("a"), &patch).unwrap();
    let versions =
        || ["a", "same", "old"].map(|name| stage.live(name).unwrap()["metadata"]["resourceVersion"].clone());
    let before = versions();
    let mark = stage.plane().mark().unwrap();
    let told = diff(&stage, &["-o", "json"]);
    assert_eq!(code(&told), 1, "{}", words(&told));
    let asked = stage.edge().requests_since(mark).unwrap();
    assert!(asked.iter().all(|request| request.name != "same"), "{:?}", requests::counts(&asked));
    let written = |request: &&argosy_tests::Request| {
        request.is_write() && !request.is_lease() && !request.uri.contains("dryRun=All")
    };
    assert_eq!(asked.iter().filter(written).count(), 0, "{:?}", requests::counts(&asked));
    assert_eq!(versions(), before);

    let told: Value = serde_json::from_str(&out(&told)).unwrap();
    let object = |name: &str| {
        let objects = told["objects"].as_array().unwrap();
        objects.iter().find(|object| object["name"] == name).unwrap_or(&Value::Null)
    };
    assert_eq!(told["revision"], commit.as_str(), "{told}");
    assert_eq!((&told["same"], told["objects"].as_array().unwrap().len()), (&json!(1), 5), "{told}");
    let value = json!([{"path": "data.value", "live": "spoilt", "desired": "2"}]);
    assert_eq!((&object("a")["change"], &object("a")["fields"]), (&json!("Changed"), &value), "{told}");
    assert_eq!(object("new")["fields"][0]["desired"]["data"]["value"], "1", "{told}");
    assert_eq!(object("old")["fields"][0]["live"]["data"]["value"], "1", "{told}");
    assert_eq!((&object("new")["change"], &object("old")["change"]), (&json!("Missing"), &json!("Extra")));
    let image = json!([{"path": "spec.template.spec.containers[name=\"main\"].image",
        "live": "registry.example/main:1", "desired": "registry.example/main:2"}]);
    assert_eq!(object("d")["fields"], image, "{told}");
    let masked = json!([{"path": "data.key", "live": "++++++++++++", "desired": "++++++++"}]);
    assert_eq!(object("s")["fields"], masked, "{told}");
    assert!(!told.to_string().contains("c3dvcmRmaXNo"), "{told}");

    let told = diff(&stage, &[]);
    let shown = format!("\n===== /ConfigMap {}/a ======\ndata.value\n< spoilt\n---\n> ", stage.namespace);
    assert!(out(&told).contains(&shown), "{}", out(&told));
    assert!(words(&told).contains("5 of 6 objects differ from"), "{}", words(&told));
    assert_eq!(code(&diff(&stage, &["--exit-code=false"])), 0);
    assert_eq!(code(&diff(&stage, &["--diff-exit-code", "42"])), 42);
    stage.world.hub().argosy_text(&["app", "sync", "web", "--prune"]).unwrap();
    let none = diff(&stage, &[]);
    assert_eq!(code(&none), 0, "{}", words(&none));
}

#[test]
fn a_diff_that_cannot_be_told_is_told_apart_from_a_difference() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    assert_eq!(code(&diff(&stage, &[])), 0);
    let unknown = stage.world.hub().argosy(&["app", "diff", "unheard-of"]).unwrap();
    assert_eq!(code(&unknown), 20, "{}", words(&unknown));
    assert_eq!(code(&stage.world.hub().argosy(&["app", "diff"]).unwrap()), 2);
    stage.edge().stop_agent().unwrap();
    stage.world.await_connected(EDGE, false);
    let away = diff(&stage, &[]);
    assert_eq!(code(&away), 20, "{}", words(&away));
    assert!(words(&away).contains("not connected"), "{}", words(&away));
    stage.world.hub().stop().unwrap();
    assert_eq!(code(&diff(&stage, &[])), 3);
}
