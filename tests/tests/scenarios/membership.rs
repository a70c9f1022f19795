//! Who may join, who may speak, and what becomes of a cluster that may no more.

use std::path::{Path, PathBuf};
use std::process::Output;

use argosy_runtime::join::{JoinString, JoinToken};
use argosy_tests::scratch::Scratch;
use argosy_tests::world::{Hub, Link, PATIENCE};
use argosy_tests::{eventually, process};
use serde_json::Value;

use super::stage::{EDGE, Stage};

/// Starts an agent with another join string and waits until it gives up; returns its last words.
fn refused(stage: &Stage, name: &str, join: &str) -> String {
    let scratch = stage.world.scratch();
    let log = scratch.join(format!("{name}.log"));
    let kubeconfig = stage.plane().kubeconfig();
    let mut agent = process::Launch::new(process::our_binary("argosy-agent").unwrap(), &log)
        .args(["run", "--join", join])
        .args(["--data-dir".as_ref(), scratch.join(name).as_os_str()])
        .args(["--kubeconfig".as_ref(), kubeconfig.as_os_str()])
        .start()
        .unwrap();
    let end = eventually(PATIENCE, "the hub to refuse the agent", || agent.exited().unwrap());
    assert_eq!(end.code(), Some(1));
    std::fs::read_to_string(log).unwrap()
}

fn join_of(answer: &Value) -> JoinString {
    answer["join"].as_str().unwrap().parse().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs `argosy status` with files of one operator's folder put in the place of another's.
fn ask_as(hub: &Hub, scratch: &Scratch, name: &str, files: &[(&str, PathBuf)]) -> (Option<i32>, String) {
    let folder = scratch.join(name);
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(hub.config_folder().join("argosy")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    for (file, source) in files {
        std::fs::copy(source, folder.join(file)).unwrap();
    }
    let output = hub.argosy(&["status", "--config", folder.to_str().unwrap()]).unwrap();
    (output.status.code(), words(&output))
}

/// Writes certificate and key of an agent's identity apart, as an operator has them.
fn agent_identity(data: &Path, scratch: &Scratch) -> [(&'static str, PathBuf); 2] {
    let pem = std::fs::read_to_string(data.join("identity/agent.pem")).unwrap();
    let part = |name: &'static str, label: &str| {
        let mut text = String::new();
        let mut inside = false;
        for line in pem.lines() {
            inside |= line.starts_with("-----BEGIN") && line.contains(label);
            if inside {
                text.extend([line, "\n"]);
            }
            inside &= !line.starts_with("-----END");
        }
        let path = scratch.join(name);
        std::fs::write(&path, text).unwrap();
        (name, path)
    };
    [part("operator.crt", "CERTIFICATE"), part("operator.key", "PRIVATE KEY")]
}

#[test]
fn a_revoked_cluster_is_cut_off_at_once_its_objects_stay_and_its_name_begins_anew() {
    let mut stage = Stage::start();
    let commit = stage.bring_up("web", &["a", "b"]);
    let hub = stage.world.hub();
    let (old, uid) = (stage.edge().uuid().to_owned(), stage.uid("a"));

    hub.argosy_text(&["cluster", "revoke", EDGE]).unwrap();

    eventually(PATIENCE, "the agent to be cut off", || {
        let state = stage.edge().debug_state().unwrap();
        if state["agent"]["connected"] == false { Ok(()) } else { Err(state["agent"].to_string()) }
    });
    assert!(hub.cluster(EDGE).is_err(), "the name is free");
    stage.remove(&["web/b"]);
    stage.expect_untouched(&["a", "b"]);
    // What it was told before it goes on to enforce.
    stage.expect_heal("a");
    eventually(PATIENCE, "the agent to say that it was revoked", || {
        stage.edge().log().unwrap().to_lowercase().contains("revoked")
    });
    stage.edge().stop_agent().unwrap();
    stage.world.apps().git(["revert", "--no-edit", "HEAD"]).unwrap();

    let plane = std::sync::Arc::clone(stage.edge().shared_plane());
    let again = stage.world.join_again(EDGE, plane).unwrap();
    assert_ne!(again.uuid(), old);
    let app = stage.world.await_app("web", "to be Synced again", |app| {
        app["status"]["sync"]["status"] == "Synced" && app["status"]["observed"]["lastKnown"] == false
    });
    assert_ne!(app["status"]["sync"]["revision"], "", "{app}, first {commit}");
    assert_eq!(stage.uid("a"), uid, "the objects are the same");
    stage.expect_heal("b");
}

#[test]
fn an_agent_that_was_revoked_is_not_let_in_again() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    stage.edge().stop_agent().unwrap();
    stage.world.hub().argosy_text(&["cluster", "revoke", EDGE]).unwrap();
    stage.world.hub().argosy_text(&["cluster", "add", EDGE]).unwrap();

    stage.edge().start_agent().unwrap();

    eventually(PATIENCE, "the agent to hear that it was revoked", || {
        stage.edge().log().unwrap().to_lowercase().contains("revoked")
    });
    assert_eq!(stage.world.hub().cluster(EDGE).unwrap()["connected"], false);
    assert_eq!(stage.world.hub().cluster(EDGE).unwrap()["membership"], "Pending");
    stage.expect_heal("a");
}

#[test]
fn tokens_that_are_wrong_used_or_of_another_name_are_refused_on_both_sides() {
    let stage = Stage::start();
    let hub = stage.world.hub();
    let answer = hub.argosy_json(&["cluster", "add", "new"]).unwrap();
    let good = join_of(&answer);

    let wrong = JoinString { token: JoinToken::new([7; 32]), ..good.clone() };
    let said = refused(&stage, "wrong", &wrong.reveal().unwrap());
    assert!(said.contains("refuses to enrol cluster new"), "{said}");
    let unknown = JoinString { cluster_name: "unheard-of".to_owned(), ..good.clone() };
    let said_unknown = refused(&stage, "unknown", &unknown.reveal().unwrap());
    assert!(said_unknown.contains("refuses to enrol cluster unheard-of"), "{said_unknown}");
    let other = JoinString { cluster_name: EDGE.to_owned(), ..good };
    let said_other = refused(&stage, "other", &other.reveal().unwrap());
    assert!(said_other.contains("refuses to enrol"), "{said_other}");

    let used = refused(&stage, "used", stage.edge().join());
    assert!(used.contains("used"), "{used}");
    let log = hub.log().unwrap();
    assert!(log.lines().filter(|line| line.contains("was refused")).count() >= 4, "{log}");
    assert_eq!(hub.cluster("new").unwrap()["membership"], "Pending");
    // None of this harmed the agent that has joined.
    assert_eq!(hub.cluster(EDGE).unwrap()["connected"], true);
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let stage = Stage::start();
    let hub = stage.world.hub();

    let taken = hub.argosy(&["cluster", "add", EDGE]).unwrap();

    assert_eq!(taken.status.code(), Some(1));
    let said = words(&taken);
    assert!(said.contains(EDGE) && said.contains("taken"), "{said}");
    assert_eq!(hub.cluster(EDGE).unwrap()["uuid"], stage.edge().uuid());
    let unknown = hub.argosy(&["cluster", "revoke", "unheard-of"]).unwrap();
    assert_eq!(unknown.status.code(), Some(1), "{}", words(&unknown));
}

#[test]
fn another_hub_at_the_address_is_not_believed_and_drift_is_still_healed() {
    let stage = Stage::start();
    let commit = stage.bring_up("web", &["a"]);
    let hub = stage.world.hub();
    let scratch = Scratch::new("another-hub").unwrap();
    let another = hub.init_another(&scratch).unwrap();
    hub.stop().unwrap();
    another.start().unwrap();

    eventually(PATIENCE, "the agent to see that this is not its hub", || {
        stage.edge().log().unwrap().to_lowercase().contains("certificate")
    });
    stage.expect_heal("a");
    // An operator of the one hub is nobody at the other.
    let files =
        ["operator.crt", "operator.key"].map(|file| (file, hub.config_folder().join("argosy").join(file)));
    let (code, said) = ask_as(&another, &scratch, "stranger", &files);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("refuses the certificate of this operator"), "{said}");
    eventually(PATIENCE, "the other hub to say why it ended the handshake", || {
        let log = another.log().map_err(|error| format!("{error:#}"))?;
        if log.contains("invalid peer certificate") { Ok(()) } else { Err(log) }
    });
    let authority = [("ca.crt", hub.config_folder().join("argosy/ca.crt"))];
    let (code, said) = ask_as(&another, &scratch, "misled", &authority);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.to_lowercase().contains("certificate"), "{said}");

    another.stop().unwrap();
    hub.start().unwrap();
    stage.world.await_connected(EDGE, true);
    stage.world.await_synced("web", &commit);
}

#[test]
fn a_join_string_of_another_hub_is_refused() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let scratch = Scratch::new("another-hub").unwrap();
    let another = Hub::init(&scratch, &stage.world.fleet().url(), Vec::new(), Link::Direct).unwrap();
    another.start().unwrap();
    let foreign = another.argosy_json(&["cluster", "add", "new"]).unwrap();

    // The agent of one hub is not moved to another by a new command line.
    stage.edge().stop_agent().unwrap();
    let log = scratch.join("moved.log");
    let mut moved = process::Launch::new(process::our_binary("argosy-agent").unwrap(), &log)
        .args(["run", "--join", foreign["join"].as_str().unwrap()])
        .args(["--data-dir".as_ref(), stage.edge().data_folder().as_os_str()])
        .args(["--kubeconfig".as_ref(), stage.plane().kubeconfig().as_os_str()])
        .start()
        .unwrap();
    eventually(PATIENCE, "the agent to refuse the other hub", || moved.exited().unwrap());
    let said = std::fs::read_to_string(log).unwrap();
    assert!(said.contains("installation"), "{said}");

    // Nor does a hub take a join string that another one made out: its pins do not fit.
    let misled = JoinString { addresses: vec![stage.world.hub().address().to_string()], ..join_of(&foreign) };
    let misled = misled.reveal().unwrap();
    let data = scratch.join("misled");
    let log = scratch.join("misled.log");
    let _agent = process::Launch::new(process::our_binary("argosy-agent").unwrap(), &log)
        .args(["run", "--join", &misled])
        .args(["--data-dir".as_ref(), data.as_os_str()])
        .args(["--kubeconfig".as_ref(), stage.plane().kubeconfig().as_os_str()])
        .start()
        .unwrap();
    eventually(PATIENCE, "the agent to see that this is not the hub of its join string", || {
        let log = std::fs::read_to_string(&log).unwrap_or_default().to_lowercase();
        log.contains("fingerprint") || log.contains("certificate") || log.contains("pinned")
    });
}

#[test]
fn an_agent_is_no_operator() {
    let stage = Stage::start();
    let hub = stage.world.hub();
    let files = agent_identity(stage.edge().data_folder(), stage.world.scratch());

    let (code, said) = ask_as(hub, stage.world.scratch(), "agent-as-operator", &files);

    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("refuses this operator"), "{said}");
}
