//! What an agent's end of the link asks its shell to do.

use std::collections::BTreeMap;

use crate::desired::Anchor;
use crate::ids::{AppId, CommandId};
use crate::release::Root;
use crate::session::frame::{AgentFrame, Command, Refusal, Welcome};
use crate::store::StoreOp;

/// What one input leads to, in the order in which it is carried out. Each step is done, and durable where it is on
/// disk, before the next begins; all of them before the machine's next input.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use = "effects that are not carried out are lost"]
pub struct AgentEffects {
    /// One transaction.
    pub ops: Vec<StoreOp>,
    /// Where the chain stands, to be written beside the store (M23).
    pub anchor: Option<Anchor>,
    /// Frames to send, in order.
    pub frames: Vec<AgentFrame>,
    /// Ends the stream after those frames; the shell then says `disconnected`.
    pub close: Option<Closing>,
    /// What the rest of the agent should know.
    pub events: Vec<AgentEvent>,
}

impl AgentEffects {
    /// Tells whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
            && self.anchor.is_none()
            && self.frames.is_empty()
            && self.close.is_none()
            && self.events.is_empty()
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.events.push(AgentEvent::Warning(text.into()));
    }
}

/// Why an agent ends its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// It refuses what the hub sent; the refusal is among the frames.
    Refuses(Refusal),
    /// The hub refused it.
    Refused(Refusal),
    /// Nothing came for too long.
    Silent,
    /// This agent may not dial any more (M15).
    Withdrawn,
    /// A newer head came by file: the next stream begins from it.
    Imported,
}

/// What the link tells the rest of the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// A stream to the hub should be opened; the shell answers with `connected` or `disconnected`.
    Dial,
    /// The hub took this agent in.
    Welcomed(Welcome),
    /// The agent holds the hub's newest list.
    InSync,
    /// A new list was verified and is durable.
    ListAccepted {
        /// The roots that the list before named.
        previous: BTreeMap<AppId, Root>,
    },
    /// The entries of a listed release are all here and verified: what it lacks may be deleted, before its manifests are
    /// here (M21).
    EntriesVerified(Root),
    /// The newest complete assignment of an app changed.
    Assigned(AppId),
    /// A command may begin; its record is durable.
    Command(Command),
    /// A command that has not begun must not begin any more.
    CommandExpired(CommandId),
    /// These reads ended with their session: nobody waits for an answer.
    ReadsEnded(Vec<CommandId>),
    /// Something that a person may want to know.
    Warning(String),
    /// The hub has the journal's rows up to this number.
    JournalTaken(u64),
    /// The hub refuses the journal's rows that came last.
    JournalRefused(String),
}
