//! The hub daemon: turns Git into desired state and streams it to the agents of a fleet.
//!
//! The decisions are [`argosy_core::hub`]'s; what is here reads repositories, renders, keeps the store, and speaks to
//! agents and operators. One task, the engine, owns the machine and its store; everything else talks to it through
//! bounded queues. Git and rendering run on their own threads, so that a large app or a dead server holds up nobody.

pub mod app;
pub mod args;
pub mod directory;
mod engine;
mod fleet;
pub mod git;
pub mod init;
mod installation;
mod metrics;
mod poll;
mod preview;
mod server;
mod sources;
pub mod store;
