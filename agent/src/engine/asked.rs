//! What somebody at the edge asks, and the answers: they leave once the round is durable.

use argosy_core::bundle::ImportStep;
use argosy_core::governor::ConfirmError;
use argosy_core::ids::{AppId, Digest};
use argosy_core::pause::{PauseKind, PauseRefused};
use argosy_core::reconcile::RollbackRefused;
use argosy_core::session::agent::ImportResult;
use argosy_core::session::frame::{AgentFrame, ClusterFacts};
use argosy_core::status::{Held, HistoryRow};
use tokio::sync::oneshot;
use tracing::debug;

use crate::report::Report;

/// A question of the control socket.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Shows or confirms a held plan.
    Confirm {
        /// Which app.
        app: AppId,
        /// Which plan; absent to look.
        plan: Option<Digest>,
        /// Where the answer goes.
        answer: oneshot::Sender<ConfirmAnswer>,
    },
    /// Shows the releases that an app was synced to.
    History {
        /// Which app.
        app: AppId,
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<HistoryRow>>,
    },
    /// Goes back to one of them.
    Rollback {
        /// Which app.
        app: AppId,
        /// Which row; absent: the one before the newest.
        id: Option<u64>,
        /// Where the answer goes.
        answer: oneshot::Sender<RollbackAnswer>,
    },
    /// Pauses or resumes.
    Order {
        /// Which.
        kind: PauseKind,
        /// Who orders it.
        by: String,
        /// Why.
        reason: String,
        /// Where the answer goes.
        answer: oneshot::Sender<OrderAnswer>,
    },
    /// Takes a step of an import by file.
    Import {
        /// Which.
        step: Box<ImportStep>,
        /// Where the answer goes.
        answer: oneshot::Sender<ImportResult>,
    },
    /// Says everything that a hub would be told.
    Receipts {
        /// What is known of a cluster that was not reached in this life.
        facts: Box<ClusterFacts>,
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<AgentFrame>>,
    },
    /// Shows the agent.
    Status {
        /// Where the answer goes.
        answer: oneshot::Sender<Box<Report>>,
    },
}

/// Answer to a confirmation at the edge.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfirmAnswer {
    /// What is held before the confirmation.
    pub(crate) held: Option<Held>,
    /// What came of confirming; absent when it was only looked at.
    pub(crate) result: Option<Result<(), ConfirmError>>,
}

/// Answer to a rollback at the edge.
pub(crate) type RollbackAnswer = Result<HistoryRow, RollbackRefused>;

/// Answer to a pause or its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OrderAnswer {
    /// Why it changed nothing, if so.
    pub(crate) refused: Option<PauseRefused>,
    /// Writes that were sent before and have no answer yet.
    pub(crate) writes: usize,
}

/// An answer on its way.
#[derive(Debug)]
pub(super) enum Answer {
    Confirm(oneshot::Sender<ConfirmAnswer>, ConfirmAnswer),
    History(oneshot::Sender<Vec<HistoryRow>>, Vec<HistoryRow>),
    Rollback(oneshot::Sender<RollbackAnswer>, RollbackAnswer),
    Order(oneshot::Sender<OrderAnswer>, OrderAnswer),
    Import(oneshot::Sender<ImportResult>, ImportResult),
    Receipts(oneshot::Sender<Vec<AgentFrame>>, Vec<AgentFrame>),
    Status(oneshot::Sender<Box<Report>>, Box<Report>),
}

impl Answer {
    /// Hands it over.
    pub(super) fn send(self) {
        let unheard = match self {
            Self::Confirm(to, answer) => to.send(answer).is_err(),
            Self::History(to, answer) => to.send(answer).is_err(),
            Self::Rollback(to, answer) => to.send(answer).is_err(),
            Self::Order(to, answer) => to.send(answer).is_err(),
            Self::Import(to, answer) => to.send(answer).is_err(),
            Self::Receipts(to, answer) => to.send(answer).is_err(),
            Self::Status(to, answer) => to.send(answer).is_err(),
        };
        if unheard {
            debug!("nobody at the edge waits for the answer any more");
        }
    }
}
