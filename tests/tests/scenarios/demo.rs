//! The demonstration that `make demo` shows, on whatever the scenarios run on.

use std::process::{Command, Stdio};

use argosy_tests::Kubernetes;

use super::harness::running_in;

/// The folder in which the harness leases ports.
const PORTS: &str = "argosy-ports";
/// What an audience has to have seen, in this order.
const SEEN: [&str; 12] = [
    "hub, clusters and agents are up",
    "all seven apps are synced",
    "edge-nuuk",
    "from the commit to the live objects of all clusters",
    "STRICT",
    "the agent has put it back",
    "The principal is killed",
    "(exit code 3)",
    "healed by an agent that has seen no hub",
    "the hub is up and all agents are back",
    "The agent of edge-lima is stopped",
    "it was sent the difference",
];

#[test]
fn the_demonstration_ends_well_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // Its files are its own, its ports are leased where all others lease theirs.
    let ports = std::env::temp_dir().join(PORTS);
    std::fs::create_dir_all(&ports).unwrap();
    std::os::unix::fs::symlink(ports, folder.path().join(PORTS)).unwrap();
    let word = match Kubernetes::of_environment().unwrap() {
        Kubernetes::Real => "real",
        Kubernetes::Sim => "sim",
    };

    let output = Command::new(env!("CARGO_BIN_EXE_demo"))
        .env("DEMO_CONTROL_PLANE", word)
        .env_remove("DEMO_KEEP")
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();

    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}\n{errors}");
    let mut rest = text.as_str();
    for seen in SEEN {
        let (_, after) = rest.split_once(seen).unwrap_or_else(|| panic!("no {seen:?} in:\n{rest}"));
        rest = after;
    }
    let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name != PORTS).collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
    assert_eq!(running_in(folder.path()), Vec::<String>::new());
}
