//! The link between hub and agent: frames, and the two ends as state machines.
//!
//! State moves, not events (M10-M15): the hub holds one newest desired state per cluster and the agent one newest
//! status per app; each end sends what the other lacks, a newer value replaces an older one, and every reconnect heals
//! every gap by comparing what both hold.

pub mod frame;
