//! Sync options, the trial before the first write, and the end of a sync before its time.

use argosy_tests::pods::{self, Fate, Workload};
use argosy_tests::world::PATIENCE;
use argosy_tests::{eventually, throughout};
use serde_json::{Value, json};

use super::stage::{QUIET, Stage, config_map, row_message};

/// Describes a config map with sync options.
fn map(name: &str, options: &str) -> String {
    let annotations = json!({"argocd.argoproj.io/sync-options": options});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": annotations},
        "data": {"value": "1"}})
    .to_string()
}

fn write(stage: &Stage, files: &[(&str, String)]) -> String {
    for (name, text) in files {
        stage.world.apps().write(&format!("web/{name}.yaml"), text).unwrap();
    }
    stage.world.apps().commit("Change the app").unwrap()
}

fn policy(options: &[&str]) -> Value {
    json!({"automated": {"prune": true, "selfHeal": true}, "syncOptions": options,
        "retry": {"limit": 0}})
}

fn message(app: &Value) -> &str {
    app["status"]["operationState"]["message"].as_str().unwrap_or_default()
}

#[test]
fn a_sync_of_which_the_api_server_refuses_one_object_writes_nothing_at_all() {
    let stage = Stage::start();
    let first = stage.bring_up("web", &["a", "b", "c", "gone"]);
    // A port that is a word, a field that does not exist: the one is refused by the kind, the other by strict validation.
    let service = |spec: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "svc", "annotations":
            {"argocd.argoproj.io/sync-wave": "5"}}, "spec": spec})
        .to_string()
    };
    let wrong = service(json!({"ports": [{"port": 80}], "selektor": {"app": "web"}}));
    stage.world.apps().remove("web/gone.yaml").unwrap();
    write(&stage, &[("a", config_map("a", "2")), ("svc", wrong)]);
    let app = stage.world.await_app("web", "to be refused", |app| message(app).contains("(dry run)"));
    assert!(row_message(&app, "svc").contains("selektor"), "{app}");
    stage.expect_untouched(&["a", "b", "gone"]);
    stage.expect_heal("b");

    let good = service(json!({"ports": [{"port": 80}], "selector": {"app": "web"}}));
    let commit = write(&stage, &[("svc", good)]);
    assert_ne!(commit, first);
    stage.await_value("a", "2");
    stage.await_absent("gone");
    stage.world.await_synced("web", &commit);
}

#[test]
fn what_asks_for_a_confirmation_or_says_no_is_not_pruned_unasked() {
    let stage = Stage::start();
    let files =
        [("ask", map("ask", "Prune=confirm")), ("stay", map("stay", "Prune=false")), ("go", map("go", ""))];
    write(&stage, &files);
    let commit = stage.commit(&[("web/a", "1"), ("web/b", "1"), ("web/c", "1"), ("web/d", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();
    stage.world.await_synced("web", &commit);
    for name in ["ask", "stay", "go"] {
        stage.world.apps().remove(&format!("web/{name}.yaml")).unwrap();
    }
    stage.world.apps().commit("Remove three").unwrap();
    stage.await_absent("go");
    let held = stage.await_held("web");
    assert!(held["reason"].as_str().unwrap().contains("Prune=confirm"), "{held}");
    let names: Vec<&str> =
        held["deletes"].as_array().unwrap().iter().filter_map(|delete| delete["name"].as_str()).collect();
    assert_eq!(names, ["ask"]);
    stage.expect_untouched(&["ask", "stay"]);
    let plan = held["plan"].as_str().unwrap();
    stage.world.hub().argosy_text(&["app", "confirm", "web", "--plan", plan]).unwrap();
    stage.await_absent("ask");
    stage.expect_untouched(&["stay"]);
}

#[test]
fn an_app_that_must_not_be_deleted_leaves_its_objects_where_they_are() {
    let stage = Stage::start();
    let commit = stage.commit(&[("web/a", "1"), ("web/b", "1")]);
    let app = stage.app("web").set("/spec", "syncPolicy", policy(&["Delete=false"]));
    let finalizers = json!(["resources-finalizer.argocd.argoproj.io"]);
    stage.world.put_app(&app.set("/metadata", "finalizers", finalizers)).unwrap();
    stage.world.await_synced("web", &commit);
    stage.world.remove_app("web").unwrap();
    eventually(PATIENCE, "the app to be gone", || {
        let listed = stage.world.hub().argosy_text(&["app", "list", "-o", "name"]).unwrap();
        if listed.contains("web") { Err(listed) } else { Ok(()) }
    });
    stage.expect_untouched(&["a", "b"]);
}

#[test]
fn a_shared_object_fails_the_sync_where_the_app_asks_for_that() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    stage.commit(&[("more/a", "2"), ("more/b", "1")]);
    let app = stage.app("more").set("/spec", "syncPolicy", policy(&["FailOnSharedResource=true"]));
    stage.world.put_app(&app).unwrap();
    stage.world.await_app("more", "to fail", |app| message(app).contains("Shared resource found"));
    throughout(QUIET, "nothing of it to be written", || stage.live("b").is_none());
    assert_eq!(stage.value("a"), "1");
}

#[test]
fn a_sync_that_is_ended_deletes_its_running_hook_and_is_not_tried_again() {
    let stage = Stage::start();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "migrate", "annotations": {"argocd.argoproj.io/hook": "PreSync"}},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"annotations": pods::decided_by_the_test()},
            "spec": {"restartPolicy": "Never",
                "containers": [{"name": "main", "image": "registry.example/migrate:1"}]}}},
    });
    write(&stage, &[("migrate", job.to_string()), ("a", config_map("a", "1"))]);
    stage.world.put_app(&stage.app("web")).unwrap();
    let path = format!("/apis/batch/v1/namespaces/{}/jobs/migrate", stage.namespace);
    let there = || stage.plane().api().get(&path).unwrap();
    stage
        .world
        .await_app("web", "to wait for its hook", |app| message(app).contains("waiting for completion"));
    assert!(there().is_some());

    let said = stage.world.hub().argosy_text(&["app", "terminate-op", "web"]).unwrap();
    assert!(said.contains("ends"), "{said}");
    let app = stage.world.await_app("web", "to be ended", |app| message(app) == "Operation terminated");
    assert_eq!(app["status"]["operationState"]["phase"], "Failed", "{app}");
    eventually(PATIENCE, "the hook to be gone", || there().is_none());
    throughout(QUIET, "nothing more to be written", || stage.live("a").is_none() && there().is_none());
    let refused = stage.world.hub().argosy(&["app", "terminate-op", "web"]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("No operation is in progress"));

    let commit = stage.commit(&[("web/a", "2")]);
    eventually(PATIENCE, "the hook to be made anew", || there().is_some());
    pods::decide(stage.plane(), Workload::Job, &stage.namespace, "migrate", Fate::Succeeded).unwrap();
    stage.world.await_synced("web", &commit);
}

#[test]
fn what_kubectl_or_argo_cd_applied_is_ours_once_it_is_adopted() {
    let stage = Stage::start();
    let made = |name: &str, manager: &str| {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
            "data": {"value": "0", "old": "1"}});
        let path = format!("/api/v1/namespaces/{}/configmaps?fieldManager={manager}", stage.namespace);
        stage.plane().api().create(&path, &object).unwrap();
    };
    made("theirs", "kubectl-client-side-apply");
    made("edited", "kubectl-edit");
    made("left", "kubectl-client-side-apply");
    let commit = stage.commit(&[("web/theirs", "1"), ("web/edited", "1"), ("more/left", "1")]);
    let leaves = stage.app("more").set("/spec", "syncPolicy", policy(&["ClientSideApplyMigration=false"]));
    stage.world.put_app(&stage.app("web")).unwrap();
    stage.world.put_app(&leaves).unwrap();
    stage.world.await_synced("web", &commit);
    stage.world.await_synced("more", &commit);
    let old = |name: &str| stage.live(name).unwrap()["data"]["old"].as_str().map(str::to_owned);
    assert_eq!((stage.value("theirs").as_str(), old("theirs")), ("1", None), "nobody else has it any more");
    assert_eq!(old("edited").as_deref(), Some("1"), "a person's field is left alone");
    assert_eq!(old("left").as_deref(), Some("1"));
}
