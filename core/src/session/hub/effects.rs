//! What a hub's end of the link asks its shell to do.

use super::record::PausedSince;
use crate::ids::{AppId, Epoch, Generation};
use crate::session::frame::{CommandUpdate, HubFrame, Refusal};
use crate::store::StoreOp;

/// Names a stream of a cluster; a stream that was opened later has a higher number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What one input leads to, in the order in which it is carried out. Each step is done, and durable where it is on
/// disk, before the next begins; all of them before the machine's next input.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use = "effects that are not carried out are lost"]
pub struct HubEffects {
    /// One transaction.
    pub ops: Vec<StoreOp>,
    /// Frames to send, in order.
    pub frames: Vec<(SessionId, HubFrame)>,
    /// Streams to end after those frames; the shell then says `disconnected`.
    pub close: Vec<(SessionId, HubClosing)>,
    /// What the rest of the hub should know.
    pub events: Vec<HubEvent>,
}

impl HubEffects {
    /// Tells whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.frames.is_empty() && self.close.is_empty() && self.events.is_empty()
    }
}

/// Why a hub ends a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubClosing {
    /// It refuses the agent; the refusal is among the frames.
    Refuses(Refusal),
    /// The agent refused it.
    Refused(Refusal),
    /// Nothing came for too long.
    Silent,
}

/// What the link tells the rest of the hub.
#[derive(Debug, Clone, PartialEq)]
pub enum HubEvent {
    /// An agent was taken in.
    Connected {
        /// On this stream.
        session: SessionId,
        /// Why the agent only reads, if it does.
        read_only: Option<String>,
    },
    /// The agent's stream ended.
    Disconnected {
        /// This stream.
        session: SessionId,
    },
    /// Somebody at the edge stopped all writes, or (absent) lets them go on.
    Paused(Option<PausedSince>),
    /// The agent dropped rows of its journal before they came here.
    JournalGap {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// Rows of the agent's journal were refused.
    JournalRefused {
        /// Why.
        why: String,
    },
    /// The agent holds this head and its list durably.
    Acknowledged {
        /// Which chain.
        epoch: Epoch,
        /// Its number.
        generation: Generation,
    },
    /// The agent refused a head, or what else it got.
    AgentRefused(Refusal),
    /// Statuses of these apps changed and are durable.
    Status(Vec<AppId>),
    /// A command moved on or ended.
    Command(CommandUpdate),
    /// The agent's head is of no chain that this hub knows; deletes are held until an operator reconciles (M14).
    UnknownChain {
        /// What does not fit.
        why: String,
    },
    /// Two clusters use one identity; neither is served until an operator has decided (M15).
    Cloned {
        /// UID of `kube-system` that is known.
        known: String,
        /// The other one.
        other: String,
    },
    /// A stream was refused.
    Refused {
        /// Which.
        session: SessionId,
        /// Why.
        refusal: Refusal,
    },
}
