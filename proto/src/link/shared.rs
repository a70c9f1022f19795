//! What both directions use.

use argosy_core::desired::{Anchor, Head, Signature, SignedHead};
use argosy_core::ids::{BootId, ClusterId, CommandId, Digest, Epoch, Generation, Incarnation};
use argosy_core::release::Root;
use argosy_core::session::frame::{CommandState, CommandUpdate, Refusal, RefusalReason, TransferId};
use argosy_core::time::MonoTime;

use crate::error::FrameError;
use crate::field;
use crate::link::limits;
use crate::v1;

pub(super) fn epoch(field: &'static str, bytes: &[u8]) -> Result<Epoch, FrameError> {
    field::fixed(field, bytes).map(Epoch::new)
}

pub(super) fn incarnation(field: &'static str, bytes: &[u8]) -> Result<Incarnation, FrameError> {
    field::fixed(field, bytes).map(Incarnation::new)
}

pub(super) fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, FrameError> {
    field::fixed(field, bytes).map(Digest::new)
}

pub(super) fn root(field: &'static str, bytes: &[u8]) -> Result<Root, FrameError> {
    digest(field, bytes).map(Root)
}

pub(super) fn optional_root(field: &'static str, bytes: &[u8]) -> Result<Option<Root>, FrameError> {
    Ok(field::optional(field, bytes)?.map(|bytes| Root(Digest::new(bytes))))
}

pub(super) fn command_id(field: &'static str, bytes: &[u8]) -> Result<CommandId, FrameError> {
    field::fixed(field, bytes).map(CommandId::new)
}

pub(super) fn transfer(field: &'static str, number: u32) -> Result<TransferId, FrameError> {
    if number == 0 {
        return Err(FrameError::Number { field, expected: "above 0", got: 0 });
    }
    Ok(TransferId(number))
}

pub(super) fn optional_bytes(root: Option<Root>) -> Vec<u8> {
    root.map(|root| root.0.as_bytes().to_vec()).unwrap_or_default()
}

impl From<MonoTime> for v1::MonoTime {
    fn from(time: MonoTime) -> Self {
        Self { boot: time.boot.as_bytes().to_vec(), elapsed_ms: time.elapsed_ms }
    }
}

impl TryFrom<v1::MonoTime> for MonoTime {
    type Error = FrameError;

    fn try_from(time: v1::MonoTime) -> Result<Self, FrameError> {
        let boot = field::fixed("time.boot", &time.boot).map(BootId::new)?;
        Ok(Self { boot, elapsed_ms: time.elapsed_ms })
    }
}

impl From<SignedHead> for v1::SignedHead {
    fn from(signed: SignedHead) -> Self {
        Self {
            cluster: signed.head.cluster.as_bytes().to_vec(),
            epoch: signed.head.epoch.as_bytes().to_vec(),
            generation: signed.head.generation.0,
            list_root: signed.head.list_root.as_bytes().to_vec(),
            previous: signed.head.previous.as_bytes().to_vec(),
            signature: signed.signature.0.to_vec(),
        }
    }
}

impl TryFrom<v1::SignedHead> for SignedHead {
    type Error = FrameError;

    fn try_from(signed: v1::SignedHead) -> Result<Self, FrameError> {
        let head = Head {
            cluster: field::fixed("head.cluster", &signed.cluster).map(ClusterId::new)?,
            epoch: epoch("head.epoch", &signed.epoch)?,
            generation: Generation(signed.generation),
            list_root: digest("head.list_root", &signed.list_root)?,
            previous: digest("head.previous", &signed.previous)?,
        };
        Ok(Self { head, signature: Signature(field::fixed("head.signature", &signed.signature)?) })
    }
}

impl From<Anchor> for v1::Anchor {
    fn from(anchor: Anchor) -> Self {
        Self {
            epoch: anchor.epoch.as_bytes().to_vec(),
            generation: anchor.generation.0,
            hash: anchor.hash.as_bytes().to_vec(),
        }
    }
}

impl TryFrom<v1::Anchor> for Anchor {
    type Error = FrameError;

    fn try_from(anchor: v1::Anchor) -> Result<Self, FrameError> {
        Ok(Self {
            epoch: epoch("anchor.epoch", &anchor.epoch)?,
            generation: Generation(anchor.generation),
            hash: digest("anchor.hash", &anchor.hash)?,
        })
    }
}

impl From<CommandState> for v1::CommandState {
    fn from(state: CommandState) -> Self {
        match state {
            CommandState::Accepted => Self::Accepted,
            CommandState::Running => Self::Running,
            CommandState::Succeeded => Self::Succeeded,
            CommandState::Failed => Self::Failed,
            CommandState::Superseded => Self::Superseded,
            CommandState::Interrupted => Self::Interrupted,
            CommandState::TooLate => Self::TooLate,
        }
    }
}

impl TryFrom<v1::CommandState> for CommandState {
    type Error = FrameError;

    fn try_from(state: v1::CommandState) -> Result<Self, FrameError> {
        match state {
            v1::CommandState::Unspecified => Err(FrameError::Missing { field: "command.state" }),
            v1::CommandState::Accepted => Ok(Self::Accepted),
            v1::CommandState::Running => Ok(Self::Running),
            v1::CommandState::Succeeded => Ok(Self::Succeeded),
            v1::CommandState::Failed => Ok(Self::Failed),
            v1::CommandState::Superseded => Ok(Self::Superseded),
            v1::CommandState::Interrupted => Ok(Self::Interrupted),
            v1::CommandState::TooLate => Ok(Self::TooLate),
        }
    }
}

impl From<CommandUpdate> for v1::CommandUpdate {
    fn from(update: CommandUpdate) -> Self {
        Self {
            id: update.id.as_bytes().to_vec(),
            state: v1::CommandState::from(update.state).into(),
            message: field::cut(update.message, limits::TEXT),
            payload: update.payload,
        }
    }
}

impl TryFrom<v1::CommandUpdate> for CommandUpdate {
    type Error = FrameError;

    fn try_from(update: v1::CommandUpdate) -> Result<Self, FrameError> {
        Ok(Self {
            id: command_id("command_update.id", &update.id)?,
            state: update.state().try_into()?,
            message: field::text("command_update.message", update.message, limits::TEXT)?,
            payload: update.payload,
        })
    }
}

impl From<RefusalReason> for v1::RefusalReason {
    fn from(reason: RefusalReason) -> Self {
        match reason {
            RefusalReason::Protocol => Self::Protocol,
            RefusalReason::Unregistered => Self::Unregistered,
            RefusalReason::Revoked => Self::Revoked,
            RefusalReason::Replaced => Self::Replaced,
            RefusalReason::Cloned => Self::Cloned,
            RefusalReason::Head => Self::Head,
            RefusalReason::Malformed => Self::Malformed,
            RefusalReason::Stopping => Self::Stopping,
        }
    }
}

impl TryFrom<v1::RefusalReason> for RefusalReason {
    type Error = FrameError;

    fn try_from(reason: v1::RefusalReason) -> Result<Self, FrameError> {
        match reason {
            v1::RefusalReason::Unspecified => Err(FrameError::Missing { field: "refused.reason" }),
            v1::RefusalReason::Protocol => Ok(Self::Protocol),
            v1::RefusalReason::Unregistered => Ok(Self::Unregistered),
            v1::RefusalReason::Revoked => Ok(Self::Revoked),
            v1::RefusalReason::Replaced => Ok(Self::Replaced),
            v1::RefusalReason::Cloned => Ok(Self::Cloned),
            v1::RefusalReason::Head => Ok(Self::Head),
            v1::RefusalReason::Malformed => Ok(Self::Malformed),
            v1::RefusalReason::Stopping => Ok(Self::Stopping),
        }
    }
}

impl From<Refusal> for v1::Refusal {
    fn from(refusal: Refusal) -> Self {
        Self {
            reason: v1::RefusalReason::from(refusal.reason).into(),
            message: field::cut(refusal.message, limits::TEXT),
        }
    }
}

impl TryFrom<v1::Refusal> for Refusal {
    type Error = FrameError;

    fn try_from(refusal: v1::Refusal) -> Result<Self, FrameError> {
        Ok(Self {
            reason: refusal.reason().try_into()?,
            message: field::text("refused.message", refusal.message, limits::TEXT)?,
        })
    }
}
