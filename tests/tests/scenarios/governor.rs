//! Deletes that are too many wait for somebody to confirm them.

use std::process::Command;

use argosy_tests::Application;
use argosy_tests::process::our_binary;
use serde_json::Value;

use super::stage::{EDGE, Stage, config_map, row};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Brings up an app and empties its folder; returns what is held, with nothing deleted.
fn emptied(stage: &Stage) -> Value {
    // Git knows no empty folder.
    stage.world.apps().write("web/README.md", "words\n").unwrap();
    stage.bring_up("web", &NAMES);
    stage.remove(&["web/a", "web/b", "web/c"]);
    let held = stage.await_held("web");
    let mut names: Vec<&str> = held["deletes"].as_array().unwrap().iter().map(name_of).collect();
    names.sort_unstable();
    assert_eq!(names, NAMES, "{held}");
    stage.expect_untouched(&NAMES);
    held
}

fn name_of(delete: &Value) -> &str {
    delete["name"].as_str().unwrap()
}

fn plan(held: &Value) -> &str {
    held["plan"].as_str().unwrap()
}

#[test]
fn an_emptied_folder_deletes_nothing_until_the_hub_confirms_the_plan_that_was_shown() {
    let stage = Stage::start();
    let held = emptied(&stage);
    let app = stage.world.app("web").unwrap();
    assert_eq!(app["status"]["sync"]["status"], "OutOfSync", "{app}");
    assert_eq!(stage.world.hub().cluster(EDGE).unwrap()["apps"]["held"], 1);

    let shown = stage.world.hub().argosy(&["app", "confirm", "web"]).unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.status.code(), Some(1), "looking deletes nothing: {text}");
    assert!(NAMES.iter().all(|name| text.contains(name)), "{text}");

    let other = "0".repeat(plan(&held).len());
    let refused = stage.world.hub().argosy(&["app", "confirm", "web", "--plan", &other]).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    stage.expect_untouched(&NAMES);

    stage.world.hub().argosy_text(&["app", "confirm", "web", "--plan", plan(&held)]).unwrap();
    for name in NAMES {
        stage.await_absent(name);
    }
    stage.world.await_app("web", "to be Synced and to hold nothing", |app| {
        app["status"]["held"].is_null() && app["status"]["sync"]["status"] == "Synced"
    });
}

#[test]
fn somebody_at_the_edge_confirms_with_no_hub() {
    let stage = Stage::start();
    let held = emptied(&stage);
    stage.world.hub().stop().unwrap();
    let confirm = |arguments: &[&str]| {
        Command::new(our_binary("argosy-agent").unwrap())
            .args(["confirm", "web"])
            .args(["--data-dir".as_ref(), stage.edge().data_folder().as_os_str()])
            .args(arguments)
            .output()
            .unwrap()
    };

    let shown = confirm(&[]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains(plan(&held)) && NAMES.iter().all(|name| text.contains(name)), "{text}");
    let refused = confirm(&["--plan", &"0".repeat(plan(&held).len())]);
    assert!(!refused.status.success());
    stage.expect_untouched(&NAMES);

    let confirmed = confirm(&["--plan", plan(&held)]);
    assert!(confirmed.status.success(), "{}", String::from_utf8_lossy(&confirmed.stderr));
    for name in NAMES {
        stage.await_absent(name);
    }
}

#[test]
fn a_folder_that_is_gone_is_an_error_and_no_empty_app() {
    let stage = Stage::start();
    stage.bring_up("web", &NAMES);

    stage.remove(&["web/a", "web/b", "web/c"]);

    let app = stage.await_condition("web", "ComparisonError", &["web", "does not exist"]);
    assert!(app["status"]["held"].is_null(), "{app}");
    stage.expect_untouched(&NAMES);
    stage.expect_heal("a");
}

#[test]
fn files_that_come_back_are_taken_up_again_and_nothing_stays_held() {
    let stage = Stage::start();
    emptied(&stage);
    let uid = stage.uid("a");

    let commit = stage.commit(&[("web/a", "2"), ("web/b", "1"), ("web/c", "1")]);

    let app = stage.world.await_synced("web", &commit);
    assert!(app["status"]["held"].is_null(), "{app}");
    assert_eq!((stage.value("a"), stage.uid("a")), ("2".to_owned(), uid));
}

#[test]
fn a_large_part_of_an_app_is_held_and_the_rest_of_the_commit_goes_on() {
    let stage = Stage::start();
    stage.bring_up("web", &["a", "b", "c", "d", "e"]);
    stage.world.apps().write("web/new.yaml", config_map("new", "1")).unwrap();
    stage.remove(&["web/a", "web/b", "web/c", "web/d"]);

    let held = stage.await_held("web");

    stage.await_value("new", "1");
    assert_eq!(held["deletes"].as_array().unwrap().len(), 4, "{held}");
    stage.expect_untouched(&NAMES);
    // A restart forgets neither the plan nor that nobody confirmed it.
    stage.edge().kill_agent().unwrap();
    stage.edge().start_agent().unwrap();
    stage.world.await_connected(EDGE, true);
    assert_eq!(stage.await_held("web")["plan"], held["plan"]);
    stage.expect_untouched(&NAMES);
}

#[test]
fn a_prune_that_was_asked_for_and_is_held_is_confirmed_after_its_sync() {
    let stage = Stage::start();
    let names = ["a", "b", "c", "d", "e"];
    let files: Vec<String> = names.iter().map(|name| format!("web/{name}")).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|file| (file.as_str(), "1")).collect();
    let commit = stage.commit(&files);
    stage.world.put_app(&Application::new("web", EDGE, &stage.namespace, "web")).unwrap();
    stage.world.await_app("web", "to be OutOfSync", |app| app["status"]["sync"]["status"] == "OutOfSync");
    stage.world.hub().argosy_text(&["app", "sync", "web"]).unwrap();
    stage.world.await_synced("web", &commit);

    let commit = stage.remove(&["web/a", "web/b", "web/c", "web/d"]);
    stage.world.await_app("web", "to show what left it", |app| row(app, "d")["requiresPruning"] == true);
    let synced = stage.world.hub().argosy(&["app", "sync", "web", "--prune"]).unwrap();
    let said = String::from_utf8_lossy(&synced.stdout).into_owned();
    let told = String::from_utf8_lossy(&synced.stderr).into_owned();
    assert!(said.contains("4 deletes are held"), "{said}");
    assert!(synced.status.code() == Some(1) && told.contains("4 resources require pruning"), "{told}");

    let held = stage.await_held("web");
    assert_eq!(held["deletes"].as_array().unwrap().len(), 4, "{held}");
    let app = stage.world.app("web").unwrap();
    let results = app["status"]["operationState"].to_string();
    assert!(results.contains("PruneSkipped") && results.contains(plan(&held)), "{app}");
    stage.expect_untouched(&names);
    // What was asked for is not forgotten over a restart.
    stage.edge().kill_agent().unwrap();
    stage.edge().start_agent().unwrap();
    stage.world.await_connected(EDGE, true);
    assert_eq!(stage.await_held("web")["plan"], held["plan"]);

    stage.world.hub().argosy_text(&["app", "confirm", "web", "--plan", plan(&held)]).unwrap();
    for name in NAMES {
        stage.await_absent(name);
    }
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.value("e"), "1");
}

#[test]
fn a_namespace_is_never_deleted_unconfirmed() {
    let stage = Stage::start();
    let name = argosy_tests::control_plane::unique("team");
    let path = format!("/api/v1/namespaces/{name}");
    stage.bring_up("web", &["a", "b"]);
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    let commit = stage.world.apps().commit_file("web/namespace.yaml", namespace).unwrap();
    stage.world.await_synced("web", &commit);

    stage.world.apps().remove("web/namespace.yaml").unwrap();
    stage.remove(&["web/a"]);

    stage.await_absent("a");
    let held = stage.await_held("web");
    assert_eq!(held["deletes"].as_array().unwrap().len(), 1, "{held}");
    assert_eq!(name_of(&held["deletes"][0]), name);
    assert!(stage.plane().api().get(&path).unwrap().unwrap()["metadata"]["deletionTimestamp"].is_null());
}

#[test]
fn a_fleet_that_loses_most_of_its_apps_changes_nothing_until_that_is_confirmed() {
    let stage = Stage::start();
    let fleet = stage.world.fleet();
    let apps = ["one", "two", "three", "four"];
    for name in apps {
        stage.bring_up(name, &[name]);
    }
    let before = apps.map(|name| stage.uid(name));

    for name in ["one", "two", "three"] {
        fleet.remove(&stage.app(name).file()).unwrap();
    }
    fleet.commit("Lose most of it").unwrap();

    let held = stage.await_held("one");
    assert_eq!(held["plan"], stage.await_held("three")["plan"], "one loss, one plan");
    stage.expect_heal("one");
    stage.world.hub().argosy_text(&["app", "confirm", "one", "--plan", plan(&held)]).unwrap();
    argosy_tests::eventually(argosy_tests::world::PATIENCE, "the lost apps to have left", || {
        let names = stage.world.hub().argosy_text(&["app", "list", "-o", "name"]).unwrap();
        if names.lines().count() == 1 { Ok(()) } else { Err(names) }
    });
    // They carried no finalizer: their objects stay, and nobody heals them.
    stage.spoil("one");
    stage.expect_untouched(&apps);
    stage.expect_heal("four");
    assert_eq!(apps.map(|name| stage.uid(name)), before);
}
