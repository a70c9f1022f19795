//! Commands at the hub: sent once, on the stream that is open, and followed to their end.

use std::collections::BTreeMap;

use crate::ids::CommandId;
use crate::session::frame::{Command, CommandState, CommandUpdate};
use crate::time::Now;

/// Most commands of one cluster whose end is awaited.
const MOST: usize = 256;

#[derive(Debug, Clone)]
struct Pending {
    command: Command,
    state: Option<CommandState>,
    /// In elapsed milliseconds.
    deadline: u64,
}

/// The commands of one cluster that have not ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Commands {
    pending: BTreeMap<CommandId, Pending>,
}

impl Commands {
    /// Notes a command that is sent now; `None` when too many are open or its id is in use.
    pub(super) fn send(&mut self, command: &Command, now: Now) -> Option<()> {
        if self.pending.len() >= MOST || self.pending.contains_key(&command.id) {
            return None;
        }
        let deadline = now.ms().saturating_add(command.deadline_ms);
        self.pending.insert(command.id, Pending { command: command.clone(), state: None, deadline });
        Some(())
    }

    /// Takes the agent's word; `true` when somebody waits for it.
    pub(super) fn update(&mut self, update: &CommandUpdate) -> bool {
        if update.state.is_final() {
            return self.pending.remove(&update.id).is_some();
        }
        match self.pending.get_mut(&update.id) {
            Some(pending) => pending.state.replace(update.state) != Some(update.state),
            None => false,
        }
    }

    /// Ends the reads of a stream that is over; commands with an effect go on at the agent.
    pub(super) fn disconnected(&mut self) -> Vec<CommandUpdate> {
        let reads: Vec<CommandId> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.command.kind.is_read())
            .map(|(id, _)| *id)
            .collect();
        reads
            .into_iter()
            .map(|id| {
                self.pending.remove(&id);
                ended(id, CommandState::Interrupted, "the agent's stream ended")
            })
            .collect()
    }

    /// Ends what the agent gave no word of in time.
    pub(super) fn expire(&mut self, now: Now) -> Vec<CommandUpdate> {
        let late: Vec<CommandId> =
            self.pending.iter().filter(|(_, pending)| pending.is_late(now)).map(|(id, _)| *id).collect();
        late.into_iter()
            .map(|id| {
                self.pending.remove(&id);
                ended(
                    id,
                    CommandState::Failed,
                    "no word from the agent before the deadline; it may have begun",
                )
            })
            .collect()
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.pending.values().filter(|pending| pending.state.is_none()).map(|pending| pending.deadline).min()
    }
}

impl Pending {
    fn is_late(&self, now: Now) -> bool {
        self.state.is_none() && now.ms() >= self.deadline
    }
}

/// Makes the last word on a command.
pub(super) fn ended(id: CommandId, state: CommandState, message: &str) -> CommandUpdate {
    CommandUpdate { id, state, message: message.to_owned(), payload: Vec::new() }
}
