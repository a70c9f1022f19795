//! What a project does not permit, or does not permit any more: it is neither made nor deleted, and the project is named.

use argosy_tests::control_plane::unique;
use argosy_tests::world::PATIENCE;
use argosy_tests::{Application, eventually};
use serde_json::{Value, json};

use super::stage::{EDGE, Stage, row, row_message};

const SECRET: &str = "resource :Secret is not permitted in project team";

/// Gives project `team` these kinds in namespaces, and none of the cluster's scope.
fn permit(stage: &Stage, kinds: &[&str]) {
    let kinds: Vec<Value> = kinds.iter().map(|kind| json!({"group": "", "kind": kind})).collect();
    let document = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": "team", "namespace": "argocd"},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"name": EDGE, "namespace": "*"}],
            "namespaceResourceWhitelist": kinds,
        },
    });
    stage.world.fleet().commit_file("projects.yaml", document.to_string()).unwrap();
}

fn of_team(stage: &Stage, app: &str) -> Application {
    stage.app(app).set("/spec", "project", json!("team"))
}

fn write_secret(stage: &Stage, name: &str) {
    let body =
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{key: value}}\n");
    stage.world.apps().write(&format!("web/{name}.yaml"), body).unwrap();
}

fn has_secret(stage: &Stage, name: &str) -> bool {
    let path = format!("/api/v1/namespaces/{}/secrets/{name}", stage.namespace);
    stage.plane().api().get(&path).unwrap().is_some()
}

#[test]
fn what_a_project_came_to_forbid_is_neither_pruned_nor_deleted_with_its_app() {
    let stage = Stage::start();
    permit(&stage, &["ConfigMap", "Secret"]);
    write_secret(&stage, "s");
    write_secret(&stage, "t");
    let commit = stage.commit(&[("web/a", "1"), ("web/b", "1"), ("web/c", "1")]);
    stage.world.put_app(&of_team(&stage, "web").with_finalizer()).unwrap();
    stage.world.await_synced("web", &commit);

    permit(&stage, &["ConfigMap"]);
    let app = stage.world.await_app("web", "to name what is forbidden", |app| {
        row_message(app, "s") == SECRET && row_message(app, "t") == SECRET
    });
    assert_eq!(row(&app, "s")["status"], "Unknown", "{app}");

    stage.world.apps().remove("web/s.yaml").unwrap();
    stage.remove(&["web/c"]);
    stage.await_absent("c");
    let app = stage.world.await_app("web", "to say that the secret stays", |app| {
        row_message(app, "s") == format!("not deleted: {SECRET}")
    });
    assert!(has_secret(&stage, "s"), "{app}");
    stage.world.await_app("web", "to tell it of its sync", |app| {
        let results = app["status"]["operationState"]["syncResult"]["resources"].to_string();
        results.contains("PruneSkipped") && results.contains(SECRET)
    });

    stage.world.remove_app("web").unwrap();
    stage.await_absent("a");
    stage.await_absent("b");
    eventually(PATIENCE, "the app to be gone from the hub", || stage.world.app("web").err());
    assert!(has_secret(&stage, "s") && has_secret(&stage, "t"), "what the project forbids stays");
}

#[test]
fn a_namespace_that_the_project_does_not_permit_is_not_made() {
    let stage = Stage::start();
    permit(&stage, &["ConfigMap"]);
    stage.commit(&[("web/a", "1")]);
    let namespace = unique("made");
    let policy = json!({"automated": {}, "retry": {"limit": 0}, "syncOptions": ["CreateNamespace=true"]});
    let app = Application::new("web", EDGE, &namespace, "web").set("/spec", "project", json!("team"));
    stage.world.put_app(&app.set("/spec", "syncPolicy", policy)).unwrap();
    let why = "resource :Namespace is not permitted in project team";
    let app = stage.world.await_app("web", "to fail for its namespace", |app| {
        app["status"]["operationState"]["message"].as_str().is_some_and(|said| said.contains(why))
    });
    let there = || stage.plane().api().get(&format!("/api/v1/namespaces/{namespace}")).unwrap();
    assert!(there().is_none(), "{app}");

    // Somebody who may makes it.
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    stage.plane().api().create("/api/v1/namespaces", &object).unwrap();
    stage.world.hub().argosy_text(&["app", "sync", "web"]).unwrap();
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/a");
    assert!(stage.plane().api().get(&path).unwrap().is_some());
}
