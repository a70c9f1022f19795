//! Frames from hub to agent.

use argosy_core::desired::Signature;
use argosy_core::ids::{AppId, Digest, Epoch, Generation, Incarnation, InstallationId, JournalId};
use argosy_core::journal::{JournalHeld, JournalPosition};
use argosy_core::key::ResourceKey;
use argosy_core::session::frame::{
    CHUNK, Chunk, Command, CommandKind, HubFrame, ListBase, ListChange, TransferId, Welcome,
};
use argosy_core::time::WallTime;

use crate::error::FrameError;
use crate::field;
use crate::link::{limits, shared};
use crate::v1;
use crate::v1::hub_frame::Frame;

impl From<HubFrame> for v1::HubFrame {
    fn from(frame: HubFrame) -> Self {
        let frame = match frame {
            HubFrame::Welcome(welcome) => Frame::Welcome(welcome.into()),
            HubFrame::InSync => Frame::InSync(v1::InSync {}),
            HubFrame::ListRequest => Frame::ListRequest(v1::ListRequest {}),
            HubFrame::ListChanges { base, changes } => Frame::ListChanges(v1::ListChanges {
                base: v1::ListBase::from(base).into(),
                changes: changes.into_iter().map(Into::into).collect(),
            }),
            HubFrame::Head { epoch, generation, signature, unasked } => Frame::Head(v1::HeadUpdate {
                epoch: epoch.map(|epoch| epoch.as_bytes().to_vec()).unwrap_or_default(),
                generation: generation.0,
                signature: signature.0.to_vec(),
                unasked,
            }),
            HubFrame::Chunk(chunk) => {
                Frame::Chunk(v1::Chunk { transfer: chunk.transfer.0, data: chunk.data, more: !chunk.last })
            }
            HubFrame::Gone(TransferId(transfer)) => Frame::Gone(transfer),
            HubFrame::StatusAck { sequence } => Frame::StatusAck(sequence),
            HubFrame::Command(command) => Frame::Command(command.into()),
            HubFrame::CommandDone(id) => Frame::CommandDone(id.as_bytes().to_vec()),
            HubFrame::JournalAck { sequence } => Frame::JournalAck(sequence),
            HubFrame::JournalRefused { why } => Frame::JournalRefused(field::cut(why, limits::TEXT)),
            HubFrame::Refused(refusal) => Frame::Refused(refusal.into()),
            HubFrame::Alive => Frame::Alive(v1::Alive {}),
        };
        Self { frame: Some(frame) }
    }
}

impl TryFrom<v1::HubFrame> for HubFrame {
    type Error = FrameError;

    fn try_from(frame: v1::HubFrame) -> Result<Self, FrameError> {
        Ok(match frame.frame.ok_or(FrameError::UnknownFrame)? {
            Frame::Welcome(welcome) => Self::Welcome(welcome.try_into()?),
            Frame::InSync(v1::InSync {}) => Self::InSync,
            Frame::ListRequest(v1::ListRequest {}) => Self::ListRequest,
            Frame::ListChanges(changes) => list_changes(changes)?,
            Frame::Head(head) => head_update(head)?,
            Frame::Chunk(chunk) => Self::Chunk(chunk.try_into()?),
            Frame::Gone(transfer) => Self::Gone(shared::transfer("gone", transfer)?),
            Frame::StatusAck(sequence) => Self::StatusAck { sequence },
            Frame::Command(command) => Self::Command(command.try_into()?),
            Frame::CommandDone(id) => Self::CommandDone(shared::command_id("command_done", &id)?),
            Frame::JournalAck(sequence) => Self::JournalAck { sequence },
            Frame::JournalRefused(why) => {
                Self::JournalRefused { why: field::text("journal_refused", why, limits::TEXT)? }
            }
            Frame::Refused(refusal) => Self::Refused(refusal.try_into()?),
            Frame::Alive(v1::Alive {}) => Self::Alive,
        })
    }
}

fn list_changes(message: v1::ListChanges) -> Result<HubFrame, FrameError> {
    field::count("list_changes.changes", message.changes.len(), limits::ELEMENTS)?;
    let base = match v1::ListBase::try_from(message.base) {
        Ok(v1::ListBase::Held) => ListBase::Held,
        Ok(v1::ListBase::Empty) => ListBase::Empty,
        Err(_unknown) => return Err(FrameError::Missing { field: "list_changes.base" }),
    };
    let changes: Result<Vec<ListChange>, FrameError> =
        message.changes.into_iter().map(TryInto::try_into).collect();
    Ok(HubFrame::ListChanges { base, changes: changes? })
}

fn head_update(head: v1::HeadUpdate) -> Result<HubFrame, FrameError> {
    field::count("head.unasked", head.unasked.len(), limits::ELEMENTS)?;
    Ok(HubFrame::Head {
        epoch: field::optional("head.epoch", &head.epoch)?.map(Epoch::new),
        generation: Generation(head.generation),
        signature: Signature(field::fixed("head.signature", &head.signature)?),
        unasked: head.unasked,
    })
}

impl From<ListBase> for v1::ListBase {
    fn from(base: ListBase) -> Self {
        match base {
            ListBase::Held => Self::Held,
            ListBase::Empty => Self::Empty,
        }
    }
}

impl From<ListChange> for v1::ListChange {
    fn from(change: ListChange) -> Self {
        use v1::list_change::Change;
        let change = match change {
            ListChange::Set(bytes) => Change::Set(bytes),
            ListChange::Splice { index, keep_front, keep_back, middle } => {
                Change::Splice(v1::Splice { index, keep_front, keep_back, middle })
            }
            ListChange::Remove { index } => Change::Remove(index),
            ListChange::Settings(bytes) => Change::Settings(bytes),
        };
        Self { change: Some(change) }
    }
}

impl TryFrom<v1::ListChange> for ListChange {
    type Error = FrameError;

    fn try_from(change: v1::ListChange) -> Result<Self, FrameError> {
        use v1::list_change::Change;
        Ok(match field::required("list_changes.change", change.change)? {
            Change::Set(bytes) => Self::Set(field::filled("list_changes.set", bytes)?),
            Change::Splice(v1::Splice { index, keep_front, keep_back, middle }) => {
                Self::Splice { index, keep_front, keep_back, middle }
            }
            Change::Remove(index) => Self::Remove { index },
            Change::Settings(bytes) => Self::Settings(field::filled("list_changes.settings", bytes)?),
        })
    }
}

impl TryFrom<v1::Chunk> for Chunk {
    type Error = FrameError;

    fn try_from(chunk: v1::Chunk) -> Result<Self, FrameError> {
        if chunk.data.len() > CHUNK {
            return Err(FrameError::TooLong { field: "chunk.data", limit: CHUNK, got: chunk.data.len() });
        }
        if chunk.data.is_empty() && chunk.more {
            return Err(FrameError::Empty { field: "chunk.data" });
        }
        Ok(Self {
            transfer: shared::transfer("chunk.transfer", chunk.transfer)?,
            data: chunk.data,
            last: !chunk.more,
        })
    }
}

impl From<Welcome> for v1::Welcome {
    fn from(welcome: Welcome) -> Self {
        let (status_incarnation, status_sequence) = welcome
            .status
            .map(|(incarnation, sequence)| (incarnation.as_bytes().to_vec(), sequence))
            .unwrap_or_default();
        Self {
            protocol: welcome.protocol,
            installation: welcome.installation.as_bytes().to_vec(),
            status_incarnation,
            status_sequence,
            wall_ms: welcome.wall.0,
            journal: match welcome.journal {
                JournalHeld::NotKept => None,
                JournalHeld::Nothing => Some(v1::JournalPosition::default()),
                JournalHeld::UpTo(position) => Some(position.into()),
            },
        }
    }
}

impl TryFrom<v1::Welcome> for Welcome {
    type Error = FrameError;

    fn try_from(welcome: v1::Welcome) -> Result<Self, FrameError> {
        if welcome.protocol == 0 {
            return Err(FrameError::Number { field: "welcome.protocol", expected: "above 0", got: 0 });
        }
        let incarnation = field::optional("welcome.status_incarnation", &welcome.status_incarnation)?;
        Ok(Self {
            protocol: welcome.protocol,
            installation: field::fixed("welcome.installation", &welcome.installation)
                .map(InstallationId::new)?,
            status: incarnation.map(|bytes| (Incarnation::new(bytes), welcome.status_sequence)),
            wall: WallTime(welcome.wall_ms),
            journal: match welcome.journal {
                None => JournalHeld::NotKept,
                Some(position) if position.journal.is_empty() => JournalHeld::Nothing,
                Some(position) => JournalHeld::UpTo(position.try_into()?),
            },
        })
    }
}

impl From<JournalPosition> for v1::JournalPosition {
    fn from(position: JournalPosition) -> Self {
        Self {
            journal: position.journal.as_bytes().to_vec(),
            sequence: position.sequence,
            hash: position.hash.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<v1::JournalPosition> for JournalPosition {
    type Error = FrameError;

    fn try_from(position: v1::JournalPosition) -> Result<Self, FrameError> {
        Ok(Self {
            journal: field::fixed("welcome.journal.journal", &position.journal).map(JournalId::new)?,
            sequence: position.sequence,
            hash: field::fixed("welcome.journal.hash", &position.hash).map(Digest::new)?,
        })
    }
}

impl From<Command> for v1::Command {
    fn from(command: Command) -> Self {
        use v1::command::Kind;
        let (app, kind) = match command.kind {
            CommandKind::Sync { app, expect, prune } => {
                (app, Kind::Sync(v1::SyncCommand { expect: shared::optional_bytes(expect), prune }))
            }
            CommandKind::SyncWith { app, expect, prune, options } => {
                let expect = shared::optional_bytes(expect);
                let retried = options.retry.is_some();
                let command = v1::SyncWithCommand::new(expect, prune, options);
                (app, if retried { Kind::SyncRetried(command) } else { Kind::SyncWith(command) })
            }
            CommandKind::Confirm { app, plan } => (app, Kind::Confirm(plan.as_bytes().to_vec())),
            CommandKind::Refresh { app } => (app, Kind::Refresh(v1::RefreshCommand {})),
            CommandKind::Resources { app } => (app, Kind::Resources(v1::ResourcesCommand {})),
            CommandKind::Terminate { app } => (app, Kind::Terminate(v1::TerminateCommand {})),
            CommandKind::Diff { app } => (app, Kind::Diff(v1::DiffCommand {})),
            CommandKind::Rollback { app, id, prune } => {
                (app, Kind::Rollback(v1::RollbackCommand { id, prune }))
            }
            CommandKind::History { app } => (app, Kind::History(v1::HistoryCommand {})),
            CommandKind::Why { app, key } => {
                let v1::ResourceKey { group, kind, namespace, name, part } = (&key).into();
                (app, Kind::Why(v1::WhyCommand { group, kind, namespace, name, part }))
            }
        };
        Self {
            id: command.id.as_bytes().to_vec(),
            deadline_ms: command.deadline_ms,
            namespace: field::namespace_of(&app),
            name: app.name.to_string(),
            kind: Some(kind),
        }
    }
}

impl TryFrom<v1::Command> for Command {
    type Error = FrameError;

    fn try_from(command: v1::Command) -> Result<Self, FrameError> {
        use v1::command::Kind;
        let app: AppId = field::app(command.namespace, command.name)?;
        let kind = match field::required("command.kind", command.kind)? {
            Kind::Sync(v1::SyncCommand { expect, prune }) => CommandKind::Sync {
                app,
                expect: shared::optional_root("command.sync.expect", &expect)?,
                prune,
            },
            Kind::SyncWith(command) | Kind::SyncRetried(command) => CommandKind::SyncWith {
                app,
                expect: shared::optional_root("command.sync_with.expect", &command.expect)?,
                prune: command.prune,
                options: command.options()?,
            },
            Kind::Confirm(plan) => {
                CommandKind::Confirm { app, plan: shared::digest("command.confirm", &plan)? }
            }
            Kind::Refresh(v1::RefreshCommand {}) => CommandKind::Refresh { app },
            Kind::Resources(v1::ResourcesCommand {}) => CommandKind::Resources { app },
            Kind::Terminate(v1::TerminateCommand {}) => CommandKind::Terminate { app },
            Kind::Diff(v1::DiffCommand {}) => CommandKind::Diff { app },
            Kind::Rollback(v1::RollbackCommand { id, prune }) => CommandKind::Rollback { app, id, prune },
            Kind::History(v1::HistoryCommand {}) => CommandKind::History { app },
            Kind::Why(v1::WhyCommand { group, kind, namespace, name, part }) => {
                let key = ResourceKey::new(group, kind, namespace, name).with_part(part);
                CommandKind::Why { app, key }
            }
        };
        Ok(Self {
            id: shared::command_id("command.id", &command.id)?,
            kind,
            deadline_ms: command.deadline_ms,
        })
    }
}
