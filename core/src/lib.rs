//! Decides everything that Argosy decides, without doing any of it.
//!
//! The control loops of both daemons (the link's two ends, planning, retries, healing, the governor, recovery) are
//! state machines of their inputs: frames, answers of the API server, watch events, store contents and time go in;
//! frames, API requests, store transactions and timers come out. There is no I/O here, no clock, no randomness of its
//! own and no `async`, so a simulator can drive all of it from one seed.

pub mod agent;
pub mod application;
pub mod backoff;
pub mod bundle;
mod clock;
pub mod cluster;
pub mod compare;
pub mod cron;
pub mod desired;
pub mod fleet;
pub mod glob;
pub mod governor;
pub mod health;
pub mod hub;
pub mod ids;
pub mod journal;
pub mod json;
pub mod key;
mod later;
pub mod local;
pub mod manifest;
pub mod mask;
pub mod migration;
pub mod order;
pub mod ownership;
pub mod pause;
pub mod plan;
pub mod policy;
pub mod project;
pub mod reconcile;
pub mod registry;
pub mod release;
pub mod render;
pub mod selection;
pub mod session;
pub mod status;
pub mod store;
pub mod time;
pub mod tracking;
pub mod tree;
pub mod windows;
pub mod word;
pub mod yaml;
