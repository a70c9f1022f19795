//! The process shell of both daemons: everything around their decisions that touches the operating system.
//!
//! Clocks and randomness, tasks and shutdown, logs and metrics, the admin endpoint, certificates and TLS, join strings,
//! small durable files and the embedded store. Nothing here knows what an application or a release is; nothing in the
//! pure packages reads a clock or a file.

pub mod admin;
pub mod args;
pub mod blocking;
pub mod clock;
pub mod entropy;
pub mod files;
pub mod join;
pub mod metrics;
pub mod pki;
pub mod shutdown;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod tls;
