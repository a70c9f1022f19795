//! One agent at a time writes to a cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use argosy_tests::scratch::copy_folder;
use argosy_tests::world::PATIENCE;
use argosy_tests::{Daemon, admin, eventually};
use serde_json::Value;

use super::stage::{EDGE, Stage};

/// How long a Lease that nobody renews may hold, and then some.
const TAKE_OVER: Duration = Duration::from_mins(1);

/// Returns why an agent only reads; `None` when it writes.
fn read_only(data: &Path) -> anyhow::Result<Option<String>> {
    Ok(admin::debug_state(data)?["agent"]["readOnly"].as_str().map(str::to_owned))
}

#[track_caller]
fn await_reader(data: &Path, of: &str) -> String {
    eventually(PATIENCE, &format!("{of} to only read"), || match read_only(data) {
        Ok(Some(reason)) if reason.contains("another agent") => Ok(reason),
        other => Err(format!("{other:?}")),
    })
}

#[track_caller]
fn await_writer(data: &Path, of: &str) {
    eventually(TAKE_OVER, &format!("{of} to write"), || match read_only(data) {
        Ok(None) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

fn holder(stage: &Stage) -> String {
    let path = "/apis/coordination.k8s.io/v1/namespaces/argosy/leases";
    let leases = stage.plane().api().get(path).unwrap().unwrap();
    // The control plane is shared with agents of other hubs, whose Leases have other names.
    let ours = installation(stage);
    let lease = leases["items"].as_array().unwrap().iter().find(|lease| {
        let name = lease["metadata"]["name"].as_str().unwrap();
        ours.starts_with(name.trim_start_matches("argosy-agent-"))
    });
    lease.unwrap()["spec"]["holderIdentity"].as_str().unwrap().to_owned()
}

/// Returns the id of the hub's installation, as the tracking of its objects has it.
fn installation(stage: &Stage) -> String {
    let join: argosy_runtime::join::JoinString = stage.edge().join().parse().unwrap();
    join.installation.to_string()
}

/// Starts another agent of the stage's cluster on a data folder of its own.
fn start_another(stage: &Stage, data: &Path) -> Daemon {
    let log = stage.world.scratch().join("another.log");
    stage.edge().launch(data, &log).unwrap().start().unwrap()
}

fn another_folder(stage: &Stage) -> PathBuf {
    stage.world.scratch().join("another")
}

#[test]
fn an_agent_that_joined_for_the_same_cluster_only_reads_until_the_first_one_dies() {
    let mut stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let plane = std::sync::Arc::clone(stage.edge().shared_plane());
    let second = stage.world.add_edge("second", plane).unwrap().data_folder().to_owned();

    let reason = await_reader(&second, "the agent that came second");
    assert!(reason.contains(&holder(&stage)), "{reason}");
    // M15: it does not even dial, so the hub knows of one agent only.
    assert_eq!(stage.world.hub().cluster("second").unwrap()["connected"], false);
    stage.expect_heal("a");
    await_writer(stage.edge().data_folder(), "the agent that came first");

    stage.edge().kill_agent().unwrap();
    await_writer(&second, "the agent that came second");
    stage.world.await_connected("second", true);
}

#[test]
fn a_copy_of_an_agent_takes_over_and_the_original_says_to_whom() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    stage.edge().stop_agent().unwrap();
    let copy = another_folder(&stage);
    copy_folder(stage.edge().data_folder(), &copy).unwrap();
    stage.edge().start_agent().unwrap();
    await_writer(stage.edge().data_folder(), "the original");

    let mut second = start_another(&stage, &copy);

    await_writer(&copy, "the copy");
    let reason = await_reader(stage.edge().data_folder(), "the original");
    assert!(reason.contains(&holder(&stage)), "{reason}");
    stage.world.await_connected(EDGE, true);
    stage.expect_heal("a");
    await_reader(stage.edge().data_folder(), "the original");

    // A Lease that is given back is taken at once.
    second.stop(PATIENCE).unwrap();
    await_writer(stage.edge().data_folder(), "the original");
    stage.world.await_connected(EDGE, true);
    stage.expect_heal("a");
}

#[test]
fn a_second_process_on_the_same_folder_ends_with_a_reason() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);

    let mut second = start_another(&stage, stage.edge().data_folder());
    let error = eventually(PATIENCE, "the second process to end", || second.check().err());

    let text = format!("{error:#}");
    assert!(text.contains("another process"), "{text}");
    stage.edge().check().unwrap();
    stage.expect_heal("a");
    let state: Value = stage.edge().debug_state().unwrap();
    assert!(state["agent"]["readOnly"].is_null(), "{state}");
}
