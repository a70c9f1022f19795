//! The agent of one cluster: the shell around [`argosy_core::agent`].
//!
//! It stores what the hub desires, applies it itself and goes on enforcing it with no hub, no Git and after a reboot.
//! Everything here is input and output; what to do is decided in core.

pub mod app;
pub mod args;
mod bundle;
pub mod cluster;
pub mod control;
mod counters;
mod dial;
pub mod edge;
mod engine;
pub mod enrol;
pub mod identity;
pub mod policy;
pub mod report;
mod session;
pub mod store;
mod view;
