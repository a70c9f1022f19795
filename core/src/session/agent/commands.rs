//! Commands: an operator's requests, durable before any effect, never started late and never twice.
//!
//! A command with an effect has a row until the hub has its final state. A read has no effect: it lives in memory and
//! ends with its session.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::ids::CommandId;
use crate::session::frame::{Command, CommandKind, CommandState, CommandUpdate};
use crate::session::tables::COMMANDS;
use crate::store::{StoreError, StoreOp, StoreRead, decode};
use crate::time::{MonoTime, Now, millis};

/// Most commands with an effect whose final state the hub does not have yet, and most reads at a time.
const MOST: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Record {
    #[n(0)]
    kind: CommandKind,
    #[n(1)]
    state: CommandState,
    #[n(2)]
    message: String,
    #[n(3)]
    payload: ByteVec,
    /// Not begun after this point.
    #[n(4)]
    deadline: MonoTime,
}

/// What to do with a command that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Begin it, once these are durable.
    Begin(Vec<StoreOp>, CommandUpdate),
    /// Only answer.
    Answer(CommandUpdate),
}

/// The commands that are open at this agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commands {
    records: BTreeMap<CommandId, Record>,
    reads: BTreeSet<CommandId>,
    /// The last ones that were forgotten: a frame that comes twice begins nothing again.
    done: VecDeque<CommandId>,
}

impl Commands {
    pub(crate) fn load(store: &dyn StoreRead) -> Result<Self, StoreError> {
        let mut records = BTreeMap::new();
        for (key, value) in store.scan(COMMANDS, &[])? {
            let id = CommandId::from_slice(&key).ok_or_else(|| StoreError::Undecodable {
                table: COMMANDS,
                why: format!("a key of {} bytes", key.len()),
            })?;
            records.insert(id, decode(COMMANDS, &value)?);
        }
        Ok(Self { records, ..Self::default() })
    }

    /// Admits a command; one that is known already is answered with its state.
    pub(crate) fn admit(&mut self, command: &Command, now: Now) -> Admission {
        let answer = |state, message: &str| {
            Admission::Answer(CommandUpdate {
                id: command.id,
                state,
                message: message.to_owned(),
                payload: Vec::new(),
            })
        };
        if let Some(record) = self.records.get(&command.id) {
            return Admission::Answer(record.update(command.id));
        }
        if self.reads.contains(&command.id) {
            return answer(CommandState::Running, "");
        }
        if self.done.contains(&command.id) {
            return answer(CommandState::TooLate, "it has ended before");
        }
        if command.deadline_ms == 0 {
            return answer(CommandState::TooLate, "it came after its deadline and was not begun");
        }
        let accepted = CommandUpdate {
            id: command.id,
            state: CommandState::Accepted,
            message: String::new(),
            payload: Vec::new(),
        };
        if command.kind.is_read() {
            if self.reads.len() >= MOST {
                return answer(CommandState::Failed, "the agent has too many reads open");
            }
            self.reads.insert(command.id);
            return Admission::Begin(Vec::new(), accepted);
        }
        if self.records.len() >= MOST {
            return answer(CommandState::Failed, "the agent has too many commands open");
        }
        let record = Record {
            kind: command.kind.clone(),
            state: CommandState::Accepted,
            message: String::new(),
            payload: ByteVec::from(Vec::new()),
            deadline: now.mono.plus(Duration::from_millis(command.deadline_ms)),
        };
        let op = StoreOp::put(COMMANDS, command.id.as_bytes().as_slice(), &record);
        self.records.insert(command.id, record);
        Admission::Begin(vec![op], accepted)
    }

    /// Notes how a command stands; `None` for one that nobody asks about any more, or that has ended.
    pub(crate) fn update(&mut self, update: &CommandUpdate) -> Option<Vec<StoreOp>> {
        if self.reads.contains(&update.id) {
            if update.state.is_final() {
                self.reads.remove(&update.id);
                self.remember(update.id);
            }
            return Some(Vec::new());
        }
        let record = self.records.get_mut(&update.id).filter(|record| !record.state.is_final())?;
        record.state = update.state;
        record.message.clone_from(&update.message);
        record.payload = ByteVec::from(update.payload.clone());
        Some(vec![StoreOp::put(COMMANDS, update.id.as_bytes().as_slice(), &*record)])
    }

    /// Gives how every command with an effect stands: what a hub is told at each connect.
    pub(crate) fn all(&self) -> Vec<CommandUpdate> {
        self.records.iter().map(|(id, record)| record.update(*id)).collect()
    }

    /// Gives the commands that have not ended, with what time is left to begin them.
    pub(crate) fn open(&self, now: Now) -> Vec<(Command, CommandState)> {
        let open = self.records.iter().filter(|(_, record)| !record.state.is_final());
        open.map(|(id, record)| {
            let deadline_ms = record.deadline.since(&now.mono).map_or(0, millis);
            (Command { id: *id, kind: record.kind.clone(), deadline_ms }, record.state)
        })
        .collect()
    }

    /// Ends the commands that were not begun in time.
    pub(crate) fn expire(&mut self, now: Now) -> (Vec<StoreOp>, Vec<CommandUpdate>) {
        let mut ops = Vec::new();
        let mut updates = Vec::new();
        for (id, record) in &mut self.records {
            if record.state == CommandState::Accepted && record.is_late(now) {
                record.state = CommandState::TooLate;
                "its deadline passed before it began".clone_into(&mut record.message);
                ops.push(StoreOp::put(COMMANDS, id.as_bytes().as_slice(), &*record));
                updates.push(record.update(*id));
            }
        }
        (ops, updates)
    }

    /// Gives the next point, in elapsed milliseconds, at which a command expires.
    pub(crate) fn next(&self, now: Now) -> Option<u64> {
        let waiting = self.records.values().filter(|record| record.state == CommandState::Accepted);
        waiting
            .map(
                |record| {
                    if record.deadline.boot == now.mono.boot { record.deadline.elapsed_ms } else { now.ms() }
                },
            )
            .min()
    }

    /// Forgets a command whose final state the hub has.
    pub(crate) fn done(&mut self, id: CommandId) -> Vec<StoreOp> {
        if !self.records.get(&id).is_some_and(|record| record.state.is_final()) {
            return Vec::new();
        }
        self.records.remove(&id);
        self.remember(id);
        vec![StoreOp::delete(COMMANDS, id.as_bytes().as_slice())]
    }

    fn remember(&mut self, id: CommandId) {
        if self.done.len() >= MOST {
            self.done.pop_front();
        }
        self.done.push_back(id);
    }

    /// Ends the reads of a session that is over.
    pub(crate) fn end_reads(&mut self) -> Vec<CommandId> {
        std::mem::take(&mut self.reads).into_iter().collect()
    }
}

impl Record {
    fn update(&self, id: CommandId) -> CommandUpdate {
        CommandUpdate { id, state: self.state, message: self.message.clone(), payload: self.payload.to_vec() }
    }

    /// Tells whether the deadline is over; over a reboot nobody can tell, so it is.
    fn is_late(&self, now: Now) -> bool {
        self.deadline.boot != now.mono.boot || now.ms() >= self.deadline.elapsed_ms
    }
}
