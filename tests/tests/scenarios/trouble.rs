//! What breaks: manifests, documents, repositories and API servers. It harms nothing beyond itself, and it is named.

use argosy_tests::world::PATIENCE;
use argosy_tests::{Application, eventually, throughout};

use super::stage::{EDGE, QUIET, Stage, config_map, has_condition, row_message};

#[test]
fn broken_yaml_in_one_app_is_named_by_file_and_line_and_the_others_go_on() {
    let stage = Stage::start();
    stage.bring_up("bad", &["a", "b"]);
    stage.bring_up("good", &["z"]);

    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  value: [1\n";
    stage.world.apps().write("bad/broken.yaml", broken).unwrap();
    stage.commit(&[("bad/a", "2"), ("good/z", "2")]);

    stage.await_value("z", "2");
    let bad = stage.await_condition("bad", "ComparisonError", &["bad/broken.yaml", "line "]);
    assert_eq!(bad["status"]["sync"]["status"], "Unknown", "what Git says is not known: {bad}");
    assert_eq!(bad["status"]["health"]["status"], "Healthy", "{bad}");
    let enforced = bad["status"]["conditions"].to_string();
    assert!(enforced.contains("what is enforced is Synced and Healthy"), "{bad}");
    let waited = stage.world.hub().argosy(&["app", "wait", "bad", "--timeout", "1s"]).unwrap();
    let words = String::from_utf8_lossy(&waited.stderr).into_owned();
    assert!(!waited.status.success() && words.contains("Unknown: ComparisonError: "), "{words}");
    assert_eq!(stage.value("a"), "1", "the last good release stays");
    stage.expect_heal("a");
    stage.expect_heal("b");

    stage.world.apps().remove("bad/broken.yaml").unwrap();
    let commit = stage.world.apps().commit("Mend").unwrap();
    let bad = stage.world.await_synced("bad", &commit);
    assert_eq!(stage.value("a"), "2");
    assert_eq!(bad["status"]["conditions"].as_array().map(Vec::len), Some(0), "{bad}");
}

#[test]
fn a_broken_document_of_the_fleet_keeps_its_last_good_state_and_harms_no_other() {
    let stage = Stage::start();
    stage.bring_up("bad", &["a"]);
    stage.bring_up("good", &["z"]);

    let fleet = stage.world.fleet();
    let helm = stage.app("bad").set("/spec/source", "helm", serde_json::json!({"releaseName": "x"}));
    fleet.commit_file(&helm.file(), helm.document(&stage.world.apps().url())).unwrap();
    let bad = stage.await_condition("bad", "InvalidSpecError", &["bad.yaml", "spec.source.helm", "enforced"]);
    let told = (&bad["status"]["sync"]["status"], &bad["status"]["health"]["status"]);
    assert_eq!(told, (&"Unknown".into(), &"Unknown".into()), "{bad}");
    stage.commit(&[("bad/a", "2"), ("good/z", "2")]);
    stage.await_value("z", "2");
    assert_eq!(stage.value("a"), "1", "a refused document changes nothing");
    stage.expect_heal("a");

    fleet.commit_file(&helm.file(), "apiVersion: argoproj.io/v1alpha1\nkind: [\n").unwrap();
    stage.await_condition("bad", "InvalidSpecError", &["bad.yaml", "line "]);
    stage.expect_heal("a");

    stage.world.put_app(&stage.app("bad")).unwrap();
    stage.await_value("a", "2");
}

#[test]
fn a_repository_that_cannot_be_reached_leaves_the_last_good_state_and_shows_its_age() {
    let stage = Stage::start();
    let commit = stage.bring_up("web", &["a", "b"]);

    stage.world.apps().hide().unwrap();
    let app = stage.await_condition("web", "ComparisonError", &["cannot be fetched", &commit]);
    let conditions = app["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().all(|condition| condition["lastTransitionTime"].is_string()), "{app}");
    assert_eq!(app["status"]["sync"]["status"], "Unknown", "with the last good commit: {app}");
    stage.expect_untouched(&["a", "b"]);
    stage.expect_heal("a");
    stage.world.hub().stop().unwrap();
    stage.world.hub().start().unwrap();
    stage.await_condition("web", "ComparisonError", &["cannot be fetched"]);
    stage.expect_untouched(&["a", "b"]);

    stage.world.apps().show().unwrap();
    let commit = stage.commit(&[("web/a", "2")]);
    let app = stage.world.await_synced("web", &commit);
    assert_eq!(stage.value("a"), "2");
    assert_eq!(app["status"]["conditions"].as_array().map(Vec::len), Some(0), "{app}");
}

#[test]
fn a_fleet_that_cannot_be_reached_removes_no_app() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);

    let well =
        stage.await_fleet("to be well", |fleet| fleet["conditions"].as_array().is_some_and(Vec::is_empty));
    assert!(well["lastRead"].is_string(), "{well}");
    assert_eq!(well["source"], stage.world.fleet().url(), "{well}");
    stage.world.fleet().hide().unwrap();
    let fleet = stage.await_fleet("to be unreadable", |fleet| has_condition(fleet, "FleetUnreadable"));
    assert!(fleet["conditions"][0]["lastTransitionTime"].is_string(), "{fleet}");
    assert!(fleet["lastRead"].is_string(), "{fleet}");
    let shown = stage.world.hub().argosy_text(&["status"]).unwrap();
    assert!(shown.contains("FleetUnreadable") && shown.contains(&stage.world.fleet().url()), "{shown}");
    let commit = stage.commit(&[("web/a", "2")]);
    stage.world.await_synced("web", &commit);
    stage.world.hub().stop().unwrap();
    stage.world.hub().start().unwrap();
    stage.world.await_connected(EDGE, true);
    let fleet = stage.await_fleet("to be unreadable still", |fleet| has_condition(fleet, "FleetUnreadable"));
    assert!(fleet["lastRead"].is_null(), "it was not read in this life of the hub: {fleet}");

    stage.expect_untouched(&["a"]);
    stage.expect_heal("a");
    stage.world.fleet().show().unwrap();
    let commit = stage.commit(&[("web/a", "3")]);
    stage.world.await_synced("web", &commit);
    stage.await_fleet("to be well again", |fleet| fleet["conditions"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn bad_documents_that_are_no_apps_are_shown_with_the_fleet() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);

    let fleet = stage.world.fleet();
    fleet.write("new.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: [\n").unwrap();
    fleet
        .write("set.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: x}\n")
        .unwrap();
    fleet.commit("Add bad documents").unwrap();
    let shown = stage.await_fleet("to name both", |fleet| {
        has_condition(fleet, "FleetDocument") && has_condition(fleet, "UnsupportedKind")
    });
    let shown = shown["conditions"].to_string();
    assert!(shown.contains("new.yaml: document 1, line "), "{shown}");
    assert!(shown.contains("set.yaml: document 1, line 1: kind ApplicationSet"), "{shown}");
    stage.expect_heal("a");

    fleet.remove("new.yaml").unwrap();
    fleet.remove("set.yaml").unwrap();
    fleet.commit("Remove them").unwrap();
    stage.await_fleet("to be well again", |fleet| fleet["conditions"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn an_api_server_that_goes_away_and_comes_back_is_caught_up_with() {
    let stage = Stage::alone();
    stage.bring_up("web", &["a", "b", "c"]);

    stage.plane().stop_api_server().unwrap();
    let commit = stage.commit(&[("web/a", "2"), ("web/d", "1")]);
    eventually(PATIENCE, "the new release to be at the agent", || {
        let app = stage.world.app("web").unwrap();
        let listed = app["status"]["releases"]["listed"]["revision"] == commit;
        if listed { Ok(()) } else { Err(app["status"].to_string()) }
    });
    stage.plane().start_api_server().unwrap();

    stage.world.await_synced("web", &commit);
    assert_eq!((stage.value("a"), stage.value("d")), ("2".to_owned(), "1".to_owned()));
    stage.expect_heal("b");

    // etcd may go away below it as well.
    stage.plane().restart_etcd().unwrap();
    stage.expect_heal("c");
    let pruned = stage.remove(&["web/b"]);
    stage.await_absent("b");
    stage.world.await_synced("web", &pruned);
}

#[test]
fn a_manifest_that_the_api_server_refuses_is_named_and_nothing_of_its_app_is_written() {
    let stage = Stage::start();
    stage.world.apps().write("web/bad.yaml", config_map("bad", "1") + "dota: {}\n").unwrap();
    stage.commit(&[("web/a", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();

    let app =
        stage.world.await_app("web", "to name the field", |app| row_message(app, "bad").contains("dota"));
    assert_eq!(app["status"]["sync"]["status"], "OutOfSync", "{app}");
    throughout(QUIET, "nothing to be written", || stage.live("bad").is_none() && stage.live("a").is_none());

    let commit = stage.world.apps().commit_file("web/bad.yaml", config_map("bad", "1")).unwrap();
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.value("bad"), "1");
}

#[test]
fn an_app_for_a_cluster_that_is_not_there_yet_waits_and_says_so() {
    let mut stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let other = argosy_tests::control_plane::shared_at(1).unwrap();
    let namespace = other.fresh_namespace().unwrap();
    stage.world.put_app(&Application::new("late", "later", &namespace, "web").automated(true, true)).unwrap();
    eventually(PATIENCE, "the app to say what it waits for", || {
        let app = stage.world.app("late").map_err(|error| format!("{error:#}"))?;
        if app.to_string().contains("waits for cluster later") { Ok(()) } else { Err(app.to_string()) }
    });

    stage.world.add_edge("later", other.clone()).unwrap();

    let commit = stage.world.apps().head().unwrap();
    stage.world.await_synced("late", &commit);
    assert!(other.api().get(&format!("/api/v1/namespaces/{namespace}/configmaps/a")).unwrap().is_some());
}
