//! The harness of Argosy's scenario tests: Kubernetes control planes, real Git repositories and our real binaries,
//! started by a test and gone with it.
//!
//! - [`ControlPlane`] is one Kubernetes cluster without nodes: etcd, kube-apiserver and kube-controller-manager, or
//!   `argosy-sim` where `ARGOSY_CONTROL_PLANE=sim`.
//! - [`World`] is a whole fleet: a hub, its Git repositories, and a cluster with an agent for every name.
//! - [`eventually`] waits for what becomes true later.
//!
//! Three invariants: nothing uses a fixed port or a folder of the user (but for the cache of the built control
//! plane), nothing outlives the test process however it ends, and every wait has a deadline and says what it awaits.

pub mod admin;
pub mod api;
pub mod assets;
pub mod control_plane;
pub mod git_repo;
pub mod pods;
pub mod port;
pub mod process;
pub mod proxy;
pub mod requests;
pub mod scratch;
pub mod simulation;
pub mod wait;
pub mod world;

mod certificates;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod layering;

pub use crate::api::{Api, Response};
pub use crate::control_plane::{ControlPlane, Kubernetes, shared};
pub use crate::git_repo::GitRepo;
pub use crate::process::{Daemon, Launch};
pub use crate::proxy::Proxy;
pub use crate::requests::{Mark, Request};
pub use crate::scratch::Scratch;
pub use crate::wait::{eventually, poll, throughout};
pub use crate::world::{Application, World};

/// Says a line to the person at the terminal, also from a test whose output is captured.
pub fn say(line: &str) {
    use std::io::Write as _;

    // Nobody is left to be told when standard error is closed.
    let _unheard = writeln!(std::io::stderr(), "argosy-tests: {line}");
}
