//! An agent's store that is gone, damaged, old or of another cluster: nothing is deleted, nothing is written until the
//! hub has filled it again, and then all is as before.

use std::path::{Path, PathBuf};

use argosy_runtime::store::{AfterUncleanStop, Store};
use argosy_tests::scratch::copy_folder;
use argosy_tests::world::PATIENCE;
use argosy_tests::{eventually, throughout};
use serde_json::Value;

use super::stage::{EDGE, QUIET, Stage, row};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn store(stage: &Stage) -> PathBuf {
    stage.edge().data_folder().join("store.redb")
}

fn read_only(stage: &Stage) -> Result<String, String> {
    let state = stage.edge().debug_state().map_err(|error| format!("{error:#}"))?;
    state["agent"]["readOnly"].as_str().map(str::to_owned).ok_or_else(|| state["agent"].to_string())
}

fn set_aside(stage: &Stage) -> usize {
    let names = std::fs::read_dir(stage.edge().data_folder()).unwrap();
    names.filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().contains(".aside-")).count()
}

/// Starts an agent whose store is not what it was, first with no hub: it only looks. Then with it: all is as before.
fn expect_recovery(stage: &Stage, commit: &str) {
    let uids = NAMES.map(|name| stage.uid(name));
    stage.spoil("a");
    stage.edge().start_agent().unwrap();
    let reason = eventually(PATIENCE, "the agent to be read-only", || {
        read_only(stage).and_then(|reason| if reason.contains("the hub") { Ok(reason) } else { Err(reason) })
    });
    throughout(QUIET, &format!("an agent that is read-only ({reason}) to touch nothing"), || {
        let values = NAMES.map(|name| stage.value(name));
        if values == ["spoilt", "1", "1"] { Ok(()) } else { Err(format!("{values:?}")) }
    });

    stage.world.hub().start().unwrap();
    stage.world.await_connected(EDGE, true);
    stage.await_value("a", "1");
    stage.world.await_synced("web", commit);
    assert_eq!(NAMES.map(|name| stage.uid(name)), uids, "nothing was recreated");
    eventually(PATIENCE, "the agent to write again", || read_only(stage).err());
    assert_eq!(stage.world.hub().cluster(EDGE).unwrap()["chain"], "Known");

    // It manages what it managed before.
    stage.expect_heal("b");
    let pruned = stage.remove(&["web/c"]);
    stage.await_absent("c");
    stage.world.await_synced("web", &pruned);
}

/// Brings up an app, stops hub and agent, and lets `harm` change the store's file.
fn harmed(harm: impl FnOnce(&Path)) -> (Stage, String) {
    let stage = Stage::start();
    let commit = stage.bring_up("web", &NAMES);
    stage.world.hub().stop().unwrap();
    stage.edge().stop_agent().unwrap();
    harm(&store(&stage));
    (stage, commit)
}

#[test]
fn a_deleted_store_is_refilled() {
    let (stage, commit) = harmed(|file| std::fs::remove_file(file).unwrap());
    expect_recovery(&stage, &commit);
}

#[test]
fn a_store_with_a_flipped_bit_is_set_aside_and_refilled() {
    let (stage, commit) = harmed(|file| {
        let mut bytes = std::fs::read(file).unwrap();
        let word = b"argocd";
        let at = bytes.windows(word.len()).position(|window| window == word).unwrap();
        bytes[at] ^= 0x10;
        std::fs::write(file, bytes).unwrap();
    });
    expect_recovery(&stage, &commit);
    assert_eq!(set_aside(&stage), 1);
}

#[test]
fn a_truncated_store_is_set_aside_and_refilled() {
    let (stage, commit) = harmed(|file| {
        let length = file.metadata().unwrap().len();
        std::fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
    });
    expect_recovery(&stage, &commit);
    assert_eq!(set_aside(&stage), 1);
}

#[test]
fn an_empty_file_is_no_empty_store() {
    let (stage, commit) = harmed(|file| std::fs::write(file, "").unwrap());
    expect_recovery(&stage, &commit);
    assert_eq!(set_aside(&stage), 1);
}

#[test]
fn a_store_of_another_cluster_is_refused_until_it_is_taken_away() {
    let (stage, commit) = harmed(|file| {
        std::fs::remove_file(file).unwrap();
        let other = argosy_agent::store::spec("00000000-0000-4000-8000-000000000000");
        let opened = Store::open(file, &other, &AfterUncleanStop::CheckHere).unwrap();
        opened.store.close().unwrap();
    });
    stage.edge().start_agent().unwrap();
    let error = eventually(PATIENCE, "the agent to refuse the store", || stage.edge().check().err());
    assert!(format!("{error:#}").contains("of another cluster"), "{error:#}");
    stage.expect_untouched(&NAMES);
    assert!(store(&stage).exists(), "somebody else's store is left as it is");

    stage.edge().kill_agent().unwrap();
    std::fs::remove_file(store(&stage)).unwrap();
    expect_recovery(&stage, &commit);
}

#[test]
fn an_old_store_reverts_nothing() {
    let stage = Stage::start();
    stage.bring_up("web", &NAMES);
    stage.edge().stop_agent().unwrap();
    let copy = stage.world.scratch().join("old.redb");
    copy_folder(&store(&stage), &copy).unwrap();
    stage.edge().start_agent().unwrap();
    let commit = stage.commit(&[("web/a", "2"), ("web/b", "2"), ("web/d", "2")]);
    stage.world.await_synced("web", &commit);
    stage.world.hub().stop().unwrap();
    stage.edge().kill_agent().unwrap();
    std::fs::rename(&copy, store(&stage)).unwrap();

    stage.edge().start_agent().unwrap();
    let reason = eventually(PATIENCE, "the agent to be read-only", || {
        read_only(&stage).and_then(|reason| if reason.contains("older") { Ok(reason) } else { Err(reason) })
    });
    throughout(QUIET, &format!("an agent that is read-only ({reason}) to revert nothing"), || {
        let values = ["a", "b", "c", "d"].map(|name| stage.value(name));
        if values == ["2", "2", "1", "2"] { Ok(()) } else { Err(format!("{values:?}")) }
    });

    stage.world.hub().start().unwrap();
    stage.world.await_connected(EDGE, true);
    stage.world.await_synced("web", &commit);
    eventually(PATIENCE, "the agent to write again", || read_only(&stage).err());
    stage.expect_heal("d");
    let values = ["a", "b", "c", "d"].map(|name| stage.value(name));
    assert_eq!(values, ["2", "2", "1", "2"]);
}

#[test]
fn what_left_git_while_the_store_was_lost_is_shown_and_pruned_only_when_asked() {
    let stage = Stage::start();
    stage.bring_up("web", &NAMES);
    stage.edge().stop_agent().unwrap();
    std::fs::remove_file(store(&stage)).unwrap();
    let commit = stage.remove(&["web/c"]);
    stage.world.await_app("web", "to be desired without what was removed", |app| {
        app["status"]["releases"]["desired"]["revision"] == *commit
    });
    stage.edge().start_agent().unwrap();
    stage.world.await_connected(EDGE, true);

    let app = stage.world.await_app("web", "to show what it found", |app| {
        app["status"]["sync"]["revision"] == *commit && row(app, "c")["requiresPruning"] == Value::Bool(true)
    });
    assert_eq!(app["status"]["sync"]["status"], "OutOfSync", "{app}");
    stage.expect_untouched(&NAMES);

    stage.world.hub().argosy_text(&["app", "sync", "web", "--prune"]).unwrap();
    stage.await_absent("c");
    stage.world.await_synced("web", &commit);
    assert_eq!((stage.value("a"), stage.value("b")), ("1".to_owned(), "1".to_owned()));
}
