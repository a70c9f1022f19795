//! Sync windows of a project: closed they keep back what is new, and never a heal.

use argosy_tests::pods::{self, Workload};
use argosy_tests::throughout;
use serde_json::{Value, json};

use super::stage::{QUIET, Stage};

/// A window that is always active.
fn always(kind: &str) -> Value {
    json!({"kind": kind, "schedule": "* * * * *", "duration": "1h", "applications": ["web"]})
}

/// Gives the project of all apps these windows, and waits until the hub shows what they mean for the app.
fn set_windows(stage: &Stage, windows: &Value, meaning: &str) {
    commit_windows(stage, windows);
    stage
        .world
        .await_app("web", &format!("to say {meaning:?}"), |app| app["status"]["syncWindow"] == meaning);
}

fn commit_windows(stage: &Stage, windows: &Value) {
    let project = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": "default", "namespace": "argocd"},
        "spec": {
            "sourceRepos": ["*"], "destinations": [{"server": "*", "name": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}], "syncWindows": windows,
        },
    });
    stage.world.fleet().commit_file("projects/default.yaml", format!("{project:#}\n")).unwrap();
}

fn await_message(stage: &Stage, message: &str) {
    stage.world.await_app("web", &format!("to say {message:?}"), |app| {
        app["status"]["operationState"]["message"].as_str().is_some_and(|said| said.contains(message))
    });
}

#[test]
fn a_closed_window_keeps_back_what_is_new_and_never_a_heal() {
    let stage = Stage::start();
    stage.bring_up("web", &["a", "b", "c", "d"]);
    set_windows(&stage, &json!([always("deny")]), "Sync Denied");

    stage.remove(&["web/b"]);
    let commit = stage.commit(&[("web/a", "2")]);
    let named = "deny \"* * * * *\" for 1h (UTC)";
    stage.await_condition("web", "SyncWindow", &["syncs wait for", named]);
    stage.expect_untouched(&["a", "b"]);
    stage.expect_heal("c");
    let shown = stage.world.hub().argosy_text(&["app", "get", "web"]).unwrap();
    for line in ["SyncWindow:         Sync Denied\n", "Assigned Windows:   deny:* * * * *:1h\n"] {
        assert!(shown.contains(line), "{shown}");
    }

    // Somebody who asks is told why not.
    let refused = stage.world.hub().argosy(&["app", "sync", "web"]).unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&refused.stdout), String::from_utf8_lossy(&refused.stderr));
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("cannot sync: blocked by sync window") && said.contains(named), "{said}");

    // With no hub, and after a restart, it is the same.
    stage.world.hub().stop().unwrap();
    stage.edge().kill_agent().unwrap();
    stage.edge().start_agent().unwrap();
    stage.expect_heal("c");
    stage.expect_untouched(&["a", "b"]);
    stage.world.hub().start().unwrap();

    let mut lenient = always("deny");
    lenient["manualSync"] = json!(true);
    set_windows(&stage, &json!([lenient]), "Manual Allowed");
    stage.await_condition("web", "SyncWindow", &["one that is asked for is let through"]);
    stage.expect_untouched(&["a", "b"]);
    stage.world.hub().argosy_text(&["app", "sync", "web"]).unwrap();
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.value("a"), "2");

    set_windows(&stage, &json!([]), "Sync Allowed");
    let commit = stage.commit(&[("web/a", "3")]);
    stage.world.await_synced("web", &commit);
}

#[test]
fn a_release_that_waits_is_synced_by_itself_when_the_window_ends() {
    let stage = Stage::start();
    // It began with this minute and ends soon.
    let now = argosy_runtime::clock::wall().0;
    let (minutes, seconds) = (now.div_euclid(60_000), now.rem_euclid(60_000).div_euclid(1_000));
    let schedule = format!("{} {} * * *", minutes.rem_euclid(60), minutes.div_euclid(60).rem_euclid(24));
    let duration = format!("{}s", seconds + 20);
    let window = json!({"kind": "deny", "schedule": schedule, "duration": duration, "applications": ["*"]});
    commit_windows(&stage, &json!([window]));
    let commit = stage.commit(&[("web/a", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();
    stage.await_condition("web", "SyncWindow", &["until "]);
    throughout(QUIET, "nothing to be made", || stage.live("a").is_none());
    stage.world.await_synced("web", &commit);
    assert!(argosy_runtime::clock::wall().0 >= now + 19_000, "the window was still closed");
}

#[test]
fn a_sync_that_runs_stops_at_its_next_wave_while_a_window_is_closed() {
    let stage = Stage::start();
    let labels = json!({"app": "web"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels, "annotations": pods::decided_by_the_test()},
            "spec": {"containers": [{"name": "main", "image": "registry.example/web:1"}]}}},
    });
    let after = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "1"},
        "metadata": {"name": "after", "annotations": {"argocd.argoproj.io/sync-wave": "1"}},
    });
    for (name, object) in [("web", deployment), ("after", after)] {
        stage.world.apps().write(&format!("web/{name}.yaml"), object.to_string()).unwrap();
    }
    let commit = stage.world.apps().commit("Two waves").unwrap();
    stage.world.put_app(&stage.app("web")).unwrap();
    await_message(&stage, "waiting for healthy state of apps/Deployment/web");

    set_windows(&stage, &json!([always("deny")]), "Sync Denied");
    await_message(&stage, "Sync operation blocked by sync window");
    pods::make_ready(stage.plane(), Workload::Deployment, &stage.namespace, "web").unwrap();
    throughout(QUIET, "the last wave to wait", || stage.live("after").is_none());
    let app = stage.world.app("web").unwrap();
    assert_eq!(app["status"]["operationState"]["phase"], "Running", "{app}");

    set_windows(&stage, &json!([]), "Sync Allowed");
    stage.await_value("after", "1");
    stage.world.await_synced("web", &commit);
}
