//! Decides everything that Argosy decides, without doing any of it.
//!
//! The control loops of both daemons (the link's two ends, planning, retries, healing, the governor, recovery) are
//! state machines of their inputs: frames, answers of the API server, watch events, store contents and time go in;
//! frames, API requests, store transactions and timers come out. There is no I/O here, no clock, no randomness of its
//! own and no `async`, so a simulator can drive all of it from one seed.

pub mod backoff;
pub mod ids;
pub mod key;
pub mod time;
pub mod desired;
pub mod policy;
pub mod release;
pub mod store;
pub mod session;
pub mod json;
pub mod yaml;
pub mod cluster;
pub mod health;
pub mod status;
pub mod order;
pub mod ownership;
pub mod tracking;
pub mod manifest;
pub mod glob;
pub mod tree;
pub mod render;
pub mod application;
pub mod project;
pub mod governor;
pub mod reconcile;
pub mod fleet;
pub mod registry;
pub mod hub;
pub mod agent;
