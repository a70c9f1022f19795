//! Waves of a sync: in their order, with a gate of health between them, on objects whose controllers are at work.

use argosy_tests::pods::{self, Fate, Workload};
use argosy_tests::throughout;
use serde_json::{Value, json};

use super::stage::{QUIET, Stage};

fn annotated(kind: &str, name: &str, wave: &str, body: &Value) -> String {
    let api_version = match kind {
        "Deployment" => "apps/v1",
        "Job" => "batch/v1",
        _ => "v1",
    };
    let mut object = json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "annotations": {"argocd.argoproj.io/sync-wave": wave}},
    });
    object.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    object.to_string()
}

fn config(name: &str, wave: &str) -> String {
    annotated("ConfigMap", name, wave, &json!({"data": {"value": "1"}}))
}

fn deployment(name: &str, wave: &str, image: &str) -> String {
    let labels = json!({"app": name});
    let spec = json!({"spec": {"replicas": 1, "progressDeadlineSeconds": 600, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels, "annotations": pods::decided_by_the_test()}, "spec": {"containers": [{"name": "main", "image": image}]}}}});
    annotated("Deployment", name, wave, &spec)
}

fn job(name: &str, wave: &str) -> String {
    let spec = json!({"spec": {"backoffLimit": 0, "template": {
        "metadata": {"annotations": pods::decided_by_the_test()}, "spec": {"restartPolicy": "Never",
        "containers": [{"name": "main", "image": "registry.example/check:1"}]}}}});
    annotated("Job", name, wave, &spec)
}

fn write(stage: &Stage, files: &[(&str, String)]) -> String {
    for (name, text) in files {
        stage.world.apps().write(&format!("web/{name}.yaml"), text).unwrap();
    }
    stage.world.apps().commit("Change waves").unwrap()
}

fn await_message(stage: &Stage, message: &str) -> Value {
    stage.world.await_app("web", &format!("to say {message:?}"), |app| {
        app["status"]["operationState"]["message"].as_str().is_some_and(|said| said.contains(message))
    })
}

fn make_ready(stage: &Stage, name: &str) {
    pods::make_ready(stage.plane(), Workload::Deployment, &stage.namespace, name).unwrap();
}

#[test]
fn a_wave_waits_for_the_rollout_of_the_one_before_it_at_its_first_sync_and_at_a_change() {
    let stage = Stage::start();
    let files = [
        ("before", config("before", "-1")),
        ("web", deployment("web", "0", "registry.example/web:1")),
        ("after", config("after", "1")),
    ];
    let commit = write(&stage, &files);
    stage.world.put_app(&stage.app("web")).unwrap();
    await_message(&stage, "waiting for healthy state of apps/Deployment/web");
    stage.await_value("before", "1");
    throughout(QUIET, "the last wave to wait", || stage.live("after").is_none());
    make_ready(&stage, "web");
    stage.await_value("after", "1");
    stage.world.await_synced("web", &commit);

    // The health of the generation before opens nothing.
    let files = [
        ("web", deployment("web", "0", "registry.example/web:2")),
        ("after", config("after", "1").replace("\"1\"}}", "\"2\"}}")),
        ("later", config("later", "2")),
    ];
    let commit = write(&stage, &files);
    await_message(&stage, "waiting for healthy state of apps/Deployment/web");
    throughout(QUIET, "the last wave to wait", || stage.live("later").is_none());
    make_ready(&stage, "web");
    stage.world.await_synced("web", &commit);
    assert!(stage.live("later").is_some());
}

#[test]
fn a_middle_wave_that_fails_ends_the_sync_and_a_commit_mends_it() {
    let stage = Stage::start();
    let files =
        [("before", config("before", "-1")), ("check", job("check", "0")), ("after", config("after", "1"))];
    write(&stage, &files);
    let retry = json!({"automated": {"prune": true, "selfHeal": true}, "retry": {"limit": 0}});
    stage.world.put_app(&stage.app("web").set("/spec", "syncPolicy", retry)).unwrap();
    await_message(&stage, "waiting for healthy state of batch/Job/check");
    pods::decide(stage.plane(), Workload::Job, &stage.namespace, "check", Fate::Failed).unwrap();
    let app = await_message(&stage, "one or more synchronization tasks completed unsuccessfully");
    assert_eq!(app["status"]["operationState"]["phase"], "Failed", "{app}");
    throughout(QUIET, "the last wave to stay away", || stage.live("after").is_none());

    stage.world.apps().remove("web/check.yaml").unwrap();
    let commit = write(&stage, &[("again", job("again", "0"))]);
    await_message(&stage, "waiting for healthy state of batch/Job/again");
    pods::decide(stage.plane(), Workload::Job, &stage.namespace, "again", Fate::Succeeded).unwrap();
    stage.world.await_synced("web", &commit);
    assert!(stage.live("after").is_some());
}

#[test]
fn an_app_that_is_deleted_loses_a_wave_only_when_the_later_ones_are_gone() {
    let stage = Stage::start();
    let mut held: Value = serde_json::from_str(&config("resource", "1")).unwrap();
    held["metadata"]["finalizers"] = json!(["acme.example/teardown"]);
    let files = [("operator", config("operator", "0")), ("resource", held.to_string())];
    let commit = write(&stage, &files);
    stage.world.put_app(&stage.app("web").with_finalizer()).unwrap();
    stage.world.await_synced("web", &commit);

    stage.world.remove_app("web").unwrap();
    stage.world.await_app("web", "to wait for its last wave", |app| {
        app["status"].to_string().contains("Pending deletion")
    });
    throughout(QUIET, "the operator to stay while its resource is there", || {
        stage.live("operator").is_some_and(|live| live["metadata"]["deletionTimestamp"].is_null())
    });
    let path = stage.path("resource");
    stage.plane().api().merge(&path, &json!({"metadata": {"finalizers": null}})).unwrap();
    stage.await_absent("resource");
    stage.await_absent("operator");
}
