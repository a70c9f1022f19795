//! A hub whose data came back from a backup: what it has forgotten, its agents remember, and nothing is reverted or
//! deleted on the word of a hub that does not know better.

use argosy_tests::scratch::copy_folder;
use argosy_tests::{World, throughout};
use serde_json::Value;

use super::stage::{EDGE, QUIET, Stage};

/// How many commits the backup is old.
const COMMITS: u32 = 20;

/// Copies the hub's data, lets Git go on, and puts the copy in the place of the data. Hub and agent are stopped.
fn restored(stage: &Stage) -> String {
    let hub = stage.world.hub();
    stage.bring_up("web", &["a", "b", "c", "d", "e"]);
    stage.bring_up("other", &["p", "q"]);
    let copy = stage.world.scratch().join("backup");
    hub.stop().unwrap();
    copy_folder(hub.data_folder(), &copy).unwrap();
    hub.start().unwrap();
    stage.world.await_connected(EDGE, true);

    for number in 1..=COMMITS {
        let (name, value) = (format!("web/new-{}", number % 4), number.to_string());
        let commit = stage.commit(&[("web/a", &value), (&name, &value)]);
        if number % 5 == 0 {
            stage.world.await_synced("web", &commit);
        }
    }
    let commit = stage.remove(&["web/e"]);
    stage.world.await_synced("web", &commit);
    stage.await_absent("e");

    hub.kill().unwrap();
    std::fs::rename(hub.data_folder(), stage.world.scratch().join("lost")).unwrap();
    copy_folder(&copy, hub.data_folder()).unwrap();
    commit
}

fn values(stage: &Stage) -> Vec<String> {
    ["a", "b", "c", "d", "e", "new-0", "new-1", "new-2", "new-3", "p", "q"]
        .map(|name| stage.value(name))
        .into()
}

fn expect_unchanged(stage: &Stage, before: &[String]) {
    throughout(QUIET, "a restored hub to revert and delete nothing", || {
        let now = values(stage);
        if now == before { Ok(()) } else { Err(format!("{now:?} instead of {before:?}")) }
    });
}

fn chain(world: &World) -> Value {
    world.hub().cluster(EDGE).unwrap()["chain"].clone()
}

fn await_held(stage: &Stage) {
    argosy_tests::eventually(
        argosy_tests::world::PATIENCE,
        "the hub to hold the deletes of the cluster",
        || {
            let chain = chain(&stage.world);
            if chain == "Held" { Ok(()) } else { Err(chain.to_string()) }
        },
    );
}

#[test]
fn a_hub_restored_from_an_old_copy_reverts_and_deletes_nothing_without_git_and_with_it() {
    let stage = Stage::start();
    let commit = restored(&stage);
    let (world, hub) = (&stage.world, stage.world.hub());
    let before = values(&stage);

    // With no Git at all: the hub knows only what is too old.
    world.apps().hide().unwrap();
    world.fleet().hide().unwrap();
    hub.start().unwrap();
    world.await_connected(EDGE, true);
    await_held(&stage);
    expect_unchanged(&stage, &before);
    stage.expect_heal("a");
    let refused = hub.argosy(&["cluster", "reconcile", EDGE, "--confirm"]).unwrap();
    assert_eq!(refused.status.code(), Some(1), "nothing was read yet");
    let text =
        String::from_utf8_lossy(&refused.stdout).into_owned() + &String::from_utf8_lossy(&refused.stderr);
    assert!(text.contains("read"), "it says what is missing: {text}");
    await_held(&stage);

    // The fleet without the repository of its apps: still nothing to go by.
    world.fleet().show().unwrap();
    expect_unchanged(&stage, &before);

    world.apps().show().unwrap();
    world.await_synced("web", &commit);
    expect_unchanged(&stage, &before);
    await_held(&stage);

    // What Git adds and changes arrives; what it removes waits.
    let commit = stage.commit(&[("web/a", "fresh")]);
    world.await_synced("web", &commit);
    assert_eq!(stage.value("a"), "fresh");
    stage.remove(&["web/d"]);
    let held = stage.await_held("web");
    assert_eq!(held["deletes"][0]["name"], "d", "{held}");
    stage.expect_untouched(&["d"]);

    let shown = hub.argosy(&["cluster", "reconcile", EDGE]).unwrap();
    assert_eq!(shown.status.code(), Some(1), "looking ends nothing");
    await_held(&stage);
    hub.argosy_text(&["cluster", "reconcile", EDGE, "--confirm"]).unwrap();
    stage.await_absent("d");
    assert_eq!(chain(world), "Known");
    assert_eq!(hub.argosy(&["cluster", "reconcile", EDGE]).unwrap().status.code(), Some(0));
}

#[test]
fn a_hub_restored_from_an_old_copy_with_git_at_hand_deletes_nothing() {
    let stage = Stage::start();
    let commit = restored(&stage);
    let before = values(&stage);
    let generation = stage.edge().debug_state().unwrap()["agent"]["generation"].as_u64().unwrap();

    stage.world.hub().start().unwrap();
    stage.world.await_connected(EDGE, true);
    await_held(&stage);
    stage.world.await_synced("web", &commit);
    expect_unchanged(&stage, &before);

    let cluster = stage.world.hub().cluster(EDGE).unwrap();
    assert!(cluster["head"]["generation"].as_u64().unwrap() > generation, "{cluster}");
    stage.world.hub().argosy_text(&["cluster", "reconcile", EDGE, "--confirm"]).unwrap();
    expect_unchanged(&stage, &before);
    let commit = stage.remove(&["web/d"]);
    stage.await_absent("d");
    stage.world.await_synced("web", &commit);
}
