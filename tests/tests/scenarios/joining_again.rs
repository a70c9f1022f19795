//! A cluster whose agent joins again, and one that leaves.

use argosy_tests::eventually;
use argosy_tests::process;
use argosy_tests::scratch::Scratch;
use argosy_tests::world::PATIENCE;

use super::stage::{EDGE, Stage};

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn await_revoked(stage: &Stage, since: usize) {
    eventually(PATIENCE, "the agent to hear that its certificate was revoked", || {
        let log = stage.edge().log().unwrap();
        log.get(since..).unwrap_or_default().contains("revoked")
    });
}

#[test]
fn an_agent_that_joins_again_is_the_same_cluster_and_its_old_certificate_is_refused() {
    let mut stage = Stage::start();
    let commit = stage.bring_up("web", &["a"]);
    let (uuid, uid) = (stage.edge().uuid().to_owned(), stage.uid("a"));
    let head = stage.world.hub().cluster(EDGE).unwrap()["head"].clone();
    let identity = stage.edge().data_folder().join("identity");
    let old = stage.world.scratch().join("old-identity");
    copy(&identity, &old);
    let since = stage.edge().log().unwrap().len();

    stage.world.rejoin(EDGE).unwrap();

    assert_eq!(stage.edge().uuid(), uuid, "it stays the same cluster");
    await_revoked(&stage, since);
    assert_eq!(stage.world.hub().cluster(EDGE).unwrap()["connected"], false);
    stage.expect_heal("a");
    stage.edge().stop_agent().unwrap();
    stage.edge().start_agent().unwrap();
    stage.world.await_connected(EDGE, true);
    let cluster = stage.world.hub().cluster(EDGE).unwrap();
    assert_eq!(cluster["head"], head, "store and anchor are kept: {cluster}");
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.uid("a"), uid);

    // Whoever has the old key is nobody any more, also when it comes first.
    stage.edge().stop_agent().unwrap();
    let new = stage.world.scratch().join("new-identity");
    copy(&identity, &new);
    std::fs::remove_dir_all(&identity).unwrap();
    copy(&old, &identity);
    let since = stage.edge().log().unwrap().len();
    let data = stage.edge().data_folder();
    let mut thief = stage.edge().launch_enrolled(data).unwrap();
    eventually(PATIENCE, "the old certificate to be refused", || {
        let log = stage.edge().log().unwrap();
        log.get(since..).unwrap_or_default().contains("revoked")
    });
    assert_eq!(stage.world.hub().cluster(EDGE).unwrap()["connected"], false);
    thief.kill().unwrap();
    std::fs::remove_dir_all(&identity).unwrap();
    copy(&new, &identity);
    stage.edge().start_agent().unwrap();
    stage.world.await_connected(EDGE, true);
    stage.expect_heal("a");
}

#[test]
fn an_agent_whose_folder_is_lost_joins_again_and_takes_its_objects() {
    let mut stage = Stage::start();
    stage.bring_up("web", &["a", "b"]);
    let (uuid, uid) = (stage.edge().uuid().to_owned(), stage.uid("a"));
    stage.edge().kill_agent().unwrap();
    std::fs::remove_dir_all(stage.edge().data_folder()).unwrap();

    stage.world.rejoin(EDGE).unwrap();
    stage.edge().start_agent().unwrap();

    stage.world.await_connected(EDGE, true);
    assert_eq!(stage.world.hub().cluster(EDGE).unwrap()["uuid"], uuid);
    let app = stage.world.await_app("web", "to be Synced again", |app| {
        app["status"]["sync"]["status"] == "Synced" && app["status"]["observed"]["lastKnown"] == false
    });
    assert_eq!(stage.uid("a"), uid, "{app}");
    stage.expect_heal("b");
}

#[test]
fn only_a_registered_cluster_joins_again() {
    let stage = Stage::start();
    let hub = stage.world.hub();

    let unknown = hub.argosy(&["cluster", "add", "unheard-of", "--rejoin"]).unwrap();

    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(said.contains("unheard-of") && said.contains("argosy cluster add unheard-of"), "{said}");
    let labelled = hub.argosy(&["cluster", "add", EDGE, "--rejoin", "-l", "a=b"]).unwrap();
    assert_eq!(labelled.status.code(), Some(2));
    assert_eq!(hub.cluster(EDGE).unwrap()["connected"], true, "nothing was revoked");
}

#[test]
fn an_agent_leaves_its_hub_and_the_objects_stay_until_it_joins_another() {
    let mut stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let uid = stage.uid("a");
    let scratch = Scratch::new("leave").unwrap();
    let leave = |log: &str| {
        let log = scratch.join(log);
        let mut command = process::Launch::new(process::our_binary("argosy-agent").unwrap(), &log)
            .args(["leave".as_ref(), "--data-dir".as_ref(), stage.edge().data_folder().as_os_str()])
            .start()
            .unwrap();
        let end = eventually(PATIENCE, "the command to end", || command.exited().unwrap());
        (end.code(), std::fs::read_to_string(&log).unwrap())
    };

    let (code, said) = leave("running.log");
    assert_eq!(code, Some(1), "a running agent is not pulled from under its feet: {said}");
    assert!(said.contains("stop the agent first"), "{said}");
    stage.edge().stop_agent().unwrap();
    let (code, said) = leave("stopped.log");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("left-1") && said.contains("stay"), "{said}");
    let (code, said) = leave("twice.log");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no agent is enrolled"), "{said}");
    assert_eq!(stage.uid("a"), uid);

    // The folder is as good as new.
    stage.world.rejoin(EDGE).unwrap();
    stage.edge().start_agent().unwrap();
    stage.world.await_connected(EDGE, true);
    stage.world.await_app("web", "to be Synced again", |app| {
        app["status"]["sync"]["status"] == "Synced" && app["status"]["observed"]["lastKnown"] == false
    });
    assert_eq!(stage.uid("a"), uid);
}
