//! A cluster that has no link: desired state goes there by file, and its statuses come back by file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use argosy_tests::process::our_binary;
use argosy_tests::world::{Link, PATIENCE};
use argosy_tests::{World, eventually};
use serde_json::json;

use super::stage::{EDGE, Stage};

/// A stage whose agent reaches the hub by a link that can be cut.
fn linked() -> Stage {
    Stage::of(World::builder().clusters(&[EDGE]).link(Link::Proxied).start().unwrap())
}

/// Cuts the link for good, or joins it again.
fn cut(stage: &Stage, cut: bool) {
    stage.world.hub().proxy().unwrap().cut(cut);
    stage.world.await_connected(EDGE, !cut);
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Writes a bundle of the cluster.
#[track_caller]
fn export(stage: &Stage, name: &str) -> PathBuf {
    let output = stage.world.hub().argosy(&["bundle", "export", "--cluster", EDGE]).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let path = stage.world.scratch().join(name);
    std::fs::write(&path, output.stdout).unwrap();
    path
}

/// Hands a file to the stage's agent.
fn import(stage: &Stage, file: &Path) -> Output {
    Command::new(our_binary("argosy-agent").unwrap())
        .arg("import")
        .arg(file)
        .arg("--data-dir")
        .arg(stage.edge().data_folder())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn imported(stage: &Stage, file: &Path) -> String {
    let output = import(stage, file);
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

#[track_caller]
fn refused(stage: &Stage, file: &Path, words: &str) {
    let output = import(stage, file);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(words), "{words:?} in {}", said(&output));
}

/// Writes receipts of the stage's agent.
#[track_caller]
fn receipts(stage: &Stage, name: &str) -> PathBuf {
    let output = Command::new(our_binary("argosy-agent").unwrap())
        .args(["receipts", "--data-dir"])
        .arg(stage.edge().data_folder())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let path = stage.world.scratch().join(name);
    std::fs::write(&path, output.stdout).unwrap();
    path
}

/// Hands receipts to the hub.
fn deliver(stage: &Stage, file: &Path) -> Output {
    stage.world.hub().argosy(&["bundle", "receipts", file.to_str().unwrap()]).unwrap()
}

#[track_caller]
fn delivered(stage: &Stage, file: &Path) -> String {
    let output = deliver(stage, file);
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

#[track_caller]
fn undeliverable(stage: &Stage, file: &Path, words: &str) {
    let output = deliver(stage, file);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(words), "{words:?} in {}", said(&output));
}

fn generation(stage: &Stage) -> u64 {
    stage.edge().debug_state().unwrap()["agent"]["generation"].as_u64().unwrap()
}

fn bulk_bytes(stage: &Stage) -> u64 {
    stage.edge().debug_state().unwrap()["link"]["receivedBulkBytes"].as_u64().unwrap()
}

/// Commits config maps, and waits until the hub desires them of the cluster, which cannot hear of it.
#[track_caller]
fn desire(stage: &Stage, config_maps: &[(&str, &str)]) -> String {
    let commit = stage.commit(config_maps);
    stage.world.await_app("web", "to be desired at the commit", |app| {
        app["status"]["releases"]["desired"]["revision"] == commit
    });
    commit
}

/// Writes a copy of a file with something done to its bytes.
fn changed(stage: &Stage, file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = std::fs::read(file).unwrap();
    change(&mut bytes);
    let path = stage.world.scratch().join("changed");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_cluster_without_a_link_is_kept_by_files_and_tells_by_files() {
    let stage = linked();
    stage.bring_up("web", &["a", "b"]);
    cut(&stage, true);
    let (old, before) = (export(&stage, "old.bundle"), generation(&stage));
    let first = receipts(&stage, "first.receipts");

    let commit = desire(&stage, &[("web/a", "2"), ("web/c", "1")]);
    let bundle = export(&stage, "new.bundle");
    let again = export(&stage, "again");
    assert_eq!(std::fs::read(&bundle).unwrap().len(), std::fs::read(&again).unwrap().len());

    // Whatever is changed is refused by name, and changes nothing.
    let size = std::fs::read(&bundle).unwrap().len();
    for step in 0..24 {
        let at = size * step / 24;
        let file = changed(&stage, &bundle, |bytes| bytes[at] ^= 0x20);
        assert_eq!(import(&stage, &file).status.code(), Some(1), "byte {at}");
    }
    refused(&stage, &changed(&stage, &bundle, |bytes| bytes.truncate(size / 2)), "cut short");
    refused(&stage, &changed(&stage, &bundle, |bytes| bytes.push(0)), "after its seal");
    refused(&stage, &first, "no bundle");
    assert_eq!((generation(&stage), stage.value("a").as_str()), (before, "1"));

    assert!(imported(&stage, &bundle).contains("imported"));
    stage.await_value("a", "2");
    stage.await_value("c", "1");
    stage.expect_heal("c");
    let imported_at = generation(&stage);
    assert!(imported_at > before, "{imported_at} after {before}");
    // Made of the same state, it is of the same head.
    for same in [&bundle, &again] {
        let said = imported(&stage, same);
        assert!(said.contains(&format!("already stored: head {imported_at} with")), "{said}");
    }
    refused(&stage, &old, "older");

    // What the hub shows is what it was told by file, with its age.
    let shown = stage.world.app("web").unwrap();
    assert_ne!(shown["status"]["sync"]["revision"], commit, "{shown}");
    let second = eventually(PATIENCE, "receipts to say that it is Synced", || {
        let second = receipts(&stage, "second.receipts");
        assert!(delivered(&stage, &second).contains("taken: cluster edge held head"));
        let app = stage.world.app("web").unwrap();
        let synced =
            app["status"]["sync"]["status"] == "Synced" && app["status"]["sync"]["revision"] == commit;
        if synced { Ok(second) } else { Err(app["status"].to_string()) }
    });
    let cluster = stage.world.hub().cluster(EDGE).unwrap();
    assert_eq!((&cluster["connected"], &cluster["storedGeneration"]), (&json!(false), &json!(imported_at)));
    let text = stage.world.hub().argosy_text(&["status"]).unwrap();
    assert!(text.contains("last known") || text.contains("Away"), "{text}");
    assert!(delivered(&stage, &second).contains("already taken"));
    undeliverable(&stage, &first, "older");
    let length = std::fs::read(&second).unwrap().len();
    for at in [90, length / 2] {
        let output = deliver(&stage, &changed(&stage, &second, |bytes| bytes[at] ^= 1));
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let named = ["forged", "damaged", "cut short"].iter().any(|words| said(&output).contains(words));
        assert!(named, "{}", said(&output));
        let cluster = stage.world.hub().cluster(EDGE).unwrap();
        assert_eq!(cluster["storedGeneration"], json!(imported_at), "byte {at}");
    }

    // The link comes back: there is nothing to move, and no number goes back.
    let moved = bulk_bytes(&stage);
    cut(&stage, false);
    stage.world.await_synced("web", &commit);
    assert_eq!((bulk_bytes(&stage), generation(&stage)), (moved, imported_at));
    undeliverable(&stage, &second, "connected");
    let commit = stage.commit(&[("web/a", "3")]);
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.value("a"), "3");
}

#[test]
fn bundles_are_for_a_cluster_that_has_joined_and_for_an_agent_that_runs() {
    let stage = linked();
    stage.bring_up("web", &["a"]);
    let hub = stage.world.hub();
    hub.argosy_text(&["cluster", "add", "empty"]).unwrap();
    for (cluster, words) in [("empty", "has joined yet"), ("nobody", "there is no cluster")] {
        let output = hub.argosy(&["bundle", "export", "--cluster", cluster]).unwrap();
        assert!(!output.status.success() && said(&output).contains(words), "{}", said(&output));
        assert!(output.stdout.is_empty());
    }
    // Connected or not, a bundle is what the hub desires; here the agent has it.
    let bundle = export(&stage, "connected.bundle");
    assert!(imported(&stage, &bundle).contains("already stored"));
    stage.edge().stop_agent().unwrap();
    refused(&stage, &bundle, "is it running");
}

#[test]
fn a_lost_store_is_filled_by_a_bundle_alone() {
    let stage = linked();
    let commit = stage.bring_up("web", &["a", "b"]);
    cut(&stage, true);
    let bundle = export(&stage, "full.bundle");
    let uid = stage.uid("a");
    stage.edge().stop_agent().unwrap();
    std::fs::remove_file(stage.edge().data_folder().join("store.redb")).unwrap();
    stage.edge().start_agent().unwrap();
    eventually(PATIENCE, "the agent to take the bundle", || {
        let output = import(&stage, &bundle);
        if output.status.success() { Ok(()) } else { Err(said(&output)) }
    });
    stage.expect_heal("a");
    assert_eq!(stage.uid("a"), uid);
    cut(&stage, false);
    stage.world.await_synced("web", &commit);
}
