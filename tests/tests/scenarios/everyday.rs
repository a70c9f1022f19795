//! The everyday life of an app: commits arrive, drift is put back, and neither needs the hub to be up.

use argosy_tests::world::PATIENCE;
use argosy_tests::{eventually, throughout};
use serde_json::json;

use super::stage::{EDGE, QUIET, Stage};

#[test]
fn a_commit_becomes_live_a_change_follows_and_a_removed_file_is_pruned() {
    let stage = Stage::start();
    stage.bring_up("web", &["a", "b", "c"]);
    let uid = stage.uid("a");

    let changed = stage.commit(&[("web/a", "2")]);
    let app = stage.world.await_synced("web", &changed);
    assert_eq!(stage.value("a"), "2");
    assert_eq!(stage.uid("a"), uid, "a change is no new object");
    assert_eq!(app["status"]["health"]["status"], "Healthy", "{app}");
    assert_eq!(app["status"]["operationState"]["phase"], "Succeeded", "{app}");
    assert_eq!(app["status"]["observed"]["lastKnown"], false, "{app}");

    let pruned = stage.remove(&["web/b"]);
    stage.await_absent("b");
    let app = stage.world.await_synced("web", &pruned);
    assert!(app["status"]["held"].is_null(), "{app}");
    assert_eq!(app["status"]["counts"]["total"], 2, "{app}");
    assert_eq!((stage.value("a"), stage.value("c")), ("2".to_owned(), "1".to_owned()));
}

#[test]
fn what_others_change_or_delete_is_put_back() {
    let stage = Stage::start();
    stage.bring_up("web", &["a", "b"]);

    stage.expect_heal("a");

    let uid = stage.uid("b");
    stage.plane().api().delete(&stage.path("b")).unwrap();
    eventually(PATIENCE, "the deleted config map to be back", || {
        stage.live("b").is_some_and(|live| live["metadata"]["uid"] != uid)
    });
    assert_eq!(stage.value("b"), "1");
}

#[test]
fn what_others_add_beside_our_fields_is_left_alone() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);

    stage.plane().api().merge(&stage.path("a"), &json!({"data": {"theirs": "x"}})).unwrap();

    stage.expect_untouched(&["a"]);
    assert_eq!(stage.live("a").unwrap()["data"]["theirs"], "x");
    let app = stage.world.app("web").unwrap();
    assert_eq!(app["status"]["sync"]["status"], "Synced", "{app}");
}

#[test]
fn drift_is_healed_without_a_hub_also_after_a_kill_and_the_hubs_return_moves_nothing() {
    let stage = Stage::start();
    let commit = stage.bring_up("web", &["a", "b"]);
    let head = stage.world.hub().cluster(EDGE).unwrap()["head"].clone();
    let bulk = || stage.edge().debug_state().unwrap()["link"]["receivedBulkBytes"].as_u64().unwrap();
    let before = bulk();
    assert!(before > 0, "the manifests came over the link");

    stage.world.hub().stop().unwrap();
    stage.expect_heal("a");

    stage.world.hub().start().unwrap();
    stage.world.await_connected(EDGE, true);
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.world.hub().cluster(EDGE).unwrap()["head"], head);
    assert_eq!(bulk(), before, "a hub that returns moves no manifest");

    stage.world.hub().kill().unwrap();
    stage.edge().kill_agent().unwrap();
    stage.spoil("b");
    stage.edge().start_agent().unwrap();
    stage.await_value("b", "1");
    stage.expect_heal("a");

    stage.world.hub().start().unwrap();
    stage.world.await_connected(EDGE, true);
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.world.hub().cluster(EDGE).unwrap()["head"], head);
    assert_eq!(bulk(), 0, "an agent that starts with its store needs no manifest");
}

#[test]
fn an_agent_with_its_hub_away_goes_on_with_what_it_was_told() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);

    stage.world.hub().stop().unwrap();
    let commit = stage.commit(&[("web/a", "2")]);
    stage.expect_untouched(&["a"]);
    stage.world.hub().start().unwrap();

    stage.await_value("a", "2");
    stage.world.await_synced("web", &commit);
}

#[test]
fn a_commit_that_touches_no_app_changes_no_head() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let head = stage.world.hub().cluster(EDGE).unwrap()["head"].clone();

    let commit = stage.world.apps().commit_file("README.md", "words\n").unwrap();

    // The commit is read, which shows in the revision, and nothing else happens.
    let app = stage.world.await_synced("web", &commit);
    assert_eq!(app["status"]["sync"]["status"], "Synced");
    throughout(QUIET, "the head of the cluster to stay", || {
        let now = stage.world.hub().cluster(EDGE).unwrap()["head"].clone();
        if now == head { Ok(()) } else { Err(now.to_string()) }
    });
}
