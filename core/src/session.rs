//! The link between hub and agent: frames, and the two ends as state machines.
//!
//! State moves, not events (M10-M15): the hub holds one newest desired state per cluster and the agent one newest
//! status per app; each end sends what the other lacks, a newer value replaces an older one, and every reconnect heals
//! every gap by comparing what both hold.
//!
//! Each input of a machine gives one set of effects. The shell carries them out in this order and finishes one set
//! before the machine's next input: the store's transaction, durable; the agent's anchor, durable; frames; closing;
//! events. A process may be killed between any two of them: what was not durable was not said.

use std::time::Duration;

pub mod agent;
pub mod bulk;
pub mod frame;
pub mod hub;
mod list;
mod liveness;
mod splice;
pub mod tables;
#[cfg(test)]
pub(crate) mod tests;

/// Either end says [`frame::AgentFrame::Alive`] after this long without another frame.
pub const ALIVE_AFTER: Duration = Duration::from_secs(10);
/// A link on which nothing came for this long is dead.
pub const SILENT_AFTER: Duration = Duration::from_secs(25);
/// Longest delay before an agent dials again (M15).
pub const RECONNECT_WITHIN: Duration = Duration::from_secs(15);
