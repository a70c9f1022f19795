//! Differences that are ignored: what somebody else is meant to change is no drift, and is left alone.

use argosy_tests::control_plane::unique;
use argosy_tests::world::PATIENCE;
use argosy_tests::{Application, eventually, requests, throughout};
use serde_json::{Value, json};

use super::stage::{QUIET, Stage};

fn deployment(image: &str) -> String {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
            {"name": "main", "image": format!("registry.example/{image}")}]}}}})
    .to_string()
}

fn app(stage: &Stage, rule: &Value, options: &Value) -> Application {
    let policy = json!({"automated": {"prune": true, "selfHeal": true}, "syncOptions": options});
    let app = stage.app("web").set("/spec", "ignoreDifferences", json!([rule]));
    app.set("/spec", "syncPolicy", policy)
}

fn path(stage: &Stage) -> String {
    format!("/apis/apps/v1/namespaces/{}/deployments/web", stage.namespace)
}

fn spec(stage: &Stage) -> Value {
    stage.plane().api().get(&path(stage)).unwrap().unwrap()["spec"].clone()
}

fn image(stage: &Stage) -> String {
    spec(stage)["template"]["spec"]["containers"][0]["image"].to_string()
}

/// Scales as a `HorizontalPodAutoscaler` does.
fn scale(stage: &Stage, replicas: u32) {
    let patch = json!({"spec": {"replicas": replicas}});
    stage.plane().api().merge(&format!("{}/scale", path(stage)), &patch).unwrap();
}

#[test]
fn what_an_autoscaler_sets_is_no_drift_and_stays_over_a_sync_and_a_heal() {
    let stage = Stage::start();
    let write = |text: &str| {
        stage.world.apps().write("web/web.yaml", text).unwrap();
        stage.world.apps().commit("Change the deployment").unwrap()
    };
    let commit = write(&deployment("main:1"));
    let rule = json!({"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]});
    stage.world.put_app(&app(&stage, &rule, &json!(["RespectIgnoreDifferences=true"]))).unwrap();
    stage.world.await_synced("web", &commit);
    assert_eq!(spec(&stage)["replicas"], 1, "a create sends it");

    let mark = stage.plane().mark().unwrap();
    scale(&stage, 3);
    let asked = || {
        let mut asked = stage.edge().requests_since(mark).unwrap();
        asked.retain(|request| request.name == "web" && request.resource == "deployments");
        asked
    };
    eventually(PATIENCE, "the change to be looked at", || {
        asked().iter().any(|request| request.uri.contains("dryRun=All"))
    });
    stage.world.await_synced("web", &commit);
    throughout(QUIET, "the replicas to stay", || spec(&stage)["replicas"] == 3);
    let before = asked();
    // A trial of which the status changes meanwhile is made anew.
    assert!(before.len() <= 8, "a look and a trial: {:?}", requests::counts(&before));
    scale(&stage, 4);
    throughout(QUIET, "the replicas to stay", || spec(&stage)["replicas"] == 4);
    assert_eq!(asked(), before, "the field is not ours any more: its changes cost nothing");
    let diff = stage.world.hub().argosy(&["app", "diff", "web"]).unwrap();
    assert_eq!(diff.status.code(), Some(0), "{}", String::from_utf8_lossy(&diff.stdout));

    let commit = write(&deployment("main:2"));
    stage.world.await_synced("web", &commit);
    assert_eq!(
        (&spec(&stage)["replicas"], image(&stage)),
        (&json!(4), "\"registry.example/main:2\"".to_owned())
    );
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "registry.example/odd:1"}]}}}});
    stage.plane().api().merge(&path(&stage), &patch).unwrap();
    eventually(PATIENCE, "the image to be healed", || image(&stage) == "\"registry.example/main:2\"");
    assert_eq!(spec(&stage)["replicas"], 4, "and nothing else");

    stage.edge().stop_agent().unwrap();
    stage.edge().start_agent().unwrap();
    throughout(QUIET, "the replicas to stay", || spec(&stage)["replicas"] == 4);
    stage.world.await_synced("web", &commit);
}

#[test]
fn weights_that_a_rollout_sets_are_no_drift_and_other_changes_of_the_routes_are() {
    let stage = Stage::start();
    let group = format!("{}.example.com", unique("mesh"));
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("virtualservices.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "virtualservices", "singular": "virtualservice", "kind": "VirtualService"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}],
        },
    });
    let routes = |stable: u8, host: &str| {
        json!([{"name": "primary", "route": [
            {"destination": {"host": host}, "weight": stable},
            {"destination": {"host": "canary"}, "weight": 100 - stable}]}])
    };
    let service = json!({"apiVersion": format!("{group}/v1"), "kind": "VirtualService",
        "metadata": {"name": "web"}, "spec": {"hosts": ["web"], "http": routes(100, "stable")}});
    stage.world.apps().write("web/crd.yaml", definition.to_string()).unwrap();
    stage.world.apps().write("web/web.yaml", service.to_string()).unwrap();
    let commit = stage.world.apps().commit("Route").unwrap();
    let rule = json!({"group": group, "kind": "VirtualService", "name": "web",
        "jqPathExpressions": [".spec.http[] | select(.name == \"primary\").route[].weight"]});
    stage.world.put_app(&app(&stage, &rule, &json!([]))).unwrap();
    stage.world.await_synced("web", &commit);

    let path = format!("/apis/{group}/v1/namespaces/{}/virtualservices/web", stage.namespace);
    let live = || stage.plane().api().get(&path).unwrap().unwrap()["spec"]["http"].clone();
    for stable in [90, 50] {
        stage.plane().api().merge(&path, &json!({"spec": {"http": routes(stable, "stable")}})).unwrap();
        throughout(QUIET, "the weights to stay", || live() == routes(stable, "stable"));
        stage.world.await_synced("web", &commit);
    }
    stage.plane().api().merge(&path, &json!({"spec": {"http": routes(50, "evil")}})).unwrap();
    eventually(PATIENCE, "the routes to be healed", || {
        live()[0]["route"][0]["destination"]["host"] == "stable"
    });
}

#[test]
fn a_rule_that_this_version_does_not_know_is_refused_by_name() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let rule = json!({"kind": "ConfigMap", "jqPathExpressions": [".data | with_entries(.)"]});
    stage.world.put_app(&app(&stage, &rule, &json!([]))).unwrap();
    let kept = "what is enforced is Synced and Healthy";
    let parts = ["spec.ignoreDifferences[0].jqPathExpressions[0]", "with_entries", kept];
    stage.await_condition("web", "InvalidSpecError", &parts);
}
