//! Apps that go, are renamed, or hand objects to each other: an object is deleted only where that was meant.

use argosy_tests::eventually;
use argosy_tests::world::PATIENCE;
use serde_json::Value;

use super::stage::{Stage, config_map, row};

const NAMES: [&str; 3] = ["a", "b", "c"];
const BROKEN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken\n";

#[track_caller]
fn await_gone(stage: &Stage, app: &str) {
    eventually(PATIENCE, &format!("app {app} to have left"), || {
        let output = stage.world.hub().argosy(&["app", "list", "-o", "name"]).unwrap();
        let names = String::from_utf8(output.stdout).unwrap();
        if names.lines().any(|line| line.ends_with(app)) { Err(names) } else { Ok(()) }
    });
}

fn tracked_by(live: &Value) -> &str {
    let id = live["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"].as_str().unwrap_or_default();
    id.split(':').next().unwrap_or_default()
}

fn uids(stage: &Stage, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| stage.uid(name)).collect()
}

#[test]
fn a_document_that_is_removed_leaves_its_objects() {
    let stage = Stage::start();
    stage.bring_up("web", &NAMES);

    stage.world.remove_app("web").unwrap();

    await_gone(&stage, "web");
    stage.expect_untouched(&NAMES);
    // Nobody enforces it any more.
    stage.spoil("a");
    stage.expect_untouched(&["a"]);
    // It is taken up again, not made anew, when the document comes back.
    let before = uids(&stage, &NAMES);
    stage.world.put_app(&stage.app("web")).unwrap();
    stage.await_value("a", "1");
    assert_eq!(uids(&stage, &NAMES), before);
}

#[test]
fn a_document_with_the_finalizer_takes_its_objects_along() {
    let stage = Stage::start();
    stage.bring_up("web", &NAMES);
    stage.bring_up("other", &["z"]);
    stage.world.put_app(&stage.app("web").with_finalizer()).unwrap();
    stage.world.await_app("web", "to have its finalizer", |app| app["metadata"]["finalizers"].is_array());

    stage.world.remove_app("web").unwrap();

    for name in NAMES {
        stage.await_absent(name);
    }
    await_gone(&stage, "web");
    stage.expect_heal("z");
}

#[test]
fn a_deletion_of_many_objects_is_governed_and_cancelled_by_the_document_that_returns() {
    let stage = Stage::start();
    let names = ["a", "b", "c", "d", "e"];
    let commit = stage.bring_up("web", &names);
    let document = stage.app("web").with_finalizer();
    stage.world.put_app(&document).unwrap();
    stage.world.await_app("web", "to have its finalizer", |app| app["metadata"]["finalizers"].is_array());
    let before = uids(&stage, &names);

    stage.world.remove_app("web").unwrap();
    let held = stage.await_held("web");
    assert_eq!(held["deletes"].as_array().unwrap().len(), names.len(), "{held}");
    stage.expect_untouched(&names);

    stage.world.put_app(&document).unwrap();
    stage.world.await_app("web", "to hold nothing", |app| app["status"]["held"].is_null());
    stage.world.await_synced("web", &commit);
    assert_eq!(uids(&stage, &names), before);

    stage.world.remove_app("web").unwrap();
    let held = stage.await_held("web");
    stage
        .world
        .hub()
        .argosy_text(&["app", "confirm", "web", "--plan", held["plan"].as_str().unwrap()])
        .unwrap();
    for name in names {
        stage.await_absent(name);
    }
    await_gone(&stage, "web");
}

/// Renames an app, in one commit of the fleet, whose objects then are still the ones that were there.
fn rename(finalizer: bool) {
    let stage = Stage::start();
    let with = |name: &str| {
        let app = stage.app(name).set("/spec/source", "path", "web".into());
        if finalizer { app.with_finalizer() } else { app }
    };
    stage.bring_up("web", &NAMES);
    stage.world.put_app(&with("web")).unwrap();
    stage
        .world
        .await_app("web", "to be as wished", |app| app["metadata"]["finalizers"].is_array() == finalizer);
    let before = uids(&stage, &NAMES);

    let renamed = with("shop");
    let fleet = stage.world.fleet();
    fleet.remove(&stage.app("web").file()).unwrap();
    fleet.commit_file(&renamed.file(), renamed.document(&stage.world.apps().url())).unwrap();

    let commit = stage.world.apps().head().unwrap();
    stage.world.await_synced("shop", &commit);
    await_gone(&stage, "web");
    // The UIDs say that nothing was ever gone.
    assert_eq!(uids(&stage, &NAMES), before);
    assert!(NAMES.iter().all(|name| tracked_by(&stage.live(name).unwrap()) == "shop"));
    stage.expect_untouched(&NAMES);
    stage.expect_heal("a");
}

#[test]
fn a_renamed_app_keeps_its_objects() {
    rename(false);
}

#[test]
fn a_renamed_app_with_the_finalizer_keeps_its_objects() {
    rename(true);
}

#[test]
fn an_object_that_moves_to_another_app_in_one_commit_is_never_gone() {
    let stage = Stage::start();
    stage.bring_up("one", &["a", "b"]);
    stage.bring_up("two", &["z"]);
    let before = uids(&stage, &["a", "b"]);

    stage.world.apps().rename("one/a.yaml", "two/a.yaml").unwrap();
    let commit = stage.commit(&[("one/b", "2")]);

    stage.world.await_synced("one", &commit);
    stage.world.await_synced("two", &commit);
    assert_eq!(uids(&stage, &["a", "b"]), before);
    assert_eq!(tracked_by(&stage.live("a").unwrap()), "two");
    stage.expect_untouched(&["a", "b"]);
    stage.expect_heal("a");
}

#[test]
fn an_object_on_its_way_to_an_app_that_does_not_render_is_held() {
    let stage = Stage::start();
    stage.bring_up("one", &["a", "b", "c"]);
    stage.bring_up("two", &["z"]);
    let before = uids(&stage, &["a"]);

    stage.world.apps().rename("one/a.yaml", "two/a.yaml").unwrap();
    stage.world.apps().write("two/broken.yaml", BROKEN).unwrap();
    stage.commit(&[("one/b", "2")]);

    // What the commit changes elsewhere goes on.
    stage.await_value("b", "2");
    stage.await_condition("two", "ComparisonError", &["two/broken.yaml"]);
    let held = stage.await_held("one");
    assert_eq!(held["deletes"][0]["name"], "a", "{held}");
    stage.expect_untouched(&["a"]);

    stage.world.apps().remove("two/broken.yaml").unwrap();
    let commit = stage.world.apps().commit("Mend").unwrap();

    stage.world.await_synced("two", &commit);
    let one = stage.world.await_synced("one", &commit);
    assert!(one["status"]["held"].is_null(), "{one}");
    assert_eq!(uids(&stage, &["a"]), before);
    assert_eq!(tracked_by(&stage.live("a").unwrap()), "two");
}

#[test]
fn an_object_that_only_left_an_app_beside_a_broken_one_is_pruned_once_that_renders() {
    let stage = Stage::start();
    stage.bring_up("one", &["a", "b", "c"]);
    stage.bring_up("two", &["z"]);

    stage.world.apps().write("two/broken.yaml", BROKEN).unwrap();
    stage.remove(&["one/a"]);
    let held = stage.await_held("one");
    assert_eq!(held["deletes"][0]["name"], "a", "{held}");
    let one = stage.world.app("one").unwrap();
    assert_eq!(row(&one, "a")["requiresPruning"], true, "{one}");

    stage.world.apps().remove("two/broken.yaml").unwrap();
    stage.world.apps().commit("Mend").unwrap();

    stage.await_absent("a");
}

#[test]
fn two_apps_with_one_object_have_one_owner_and_the_other_one_says_so() {
    let stage = Stage::start();
    stage.world.apps().write("two/shared.yaml", config_map("shared", "of two")).unwrap();
    stage.world.apps().write("one/shared.yaml", config_map("shared", "of one")).unwrap();
    stage.bring_up("one", &["a"]);
    stage.world.put_app(&stage.app("two")).unwrap();

    let two = stage.await_condition("two", "SharedResourceWarning", &["shared", "owned by app"]);

    assert_eq!(two["status"]["sync"]["status"], "OutOfSync", "{two}");
    assert_eq!(stage.value("shared"), "of one");
    stage.expect_untouched(&["shared"]);
    let uid = stage.uid("shared");

    // When the owner lets go, the other one takes over the same object.
    stage.remove(&["one/shared"]);
    stage.await_value("shared", "of two");
    stage.world.await_app("two", "to be Synced", |app| app["status"]["sync"]["status"] == "Synced");
    assert_eq!(stage.uid("shared"), uid);
    assert_eq!(tracked_by(&stage.live("shared").unwrap()), "two");
}
