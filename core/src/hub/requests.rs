//! What operators and enrolling agents ask of the hub.

mod bundles;
mod commands;
mod delete;
mod documents;
mod members;
mod pause;
mod receipts;
mod reconcile;

use std::collections::BTreeMap;

pub use self::bundles::ExportId;
pub(super) use self::bundles::Making;
pub use self::delete::DeletionOrdered;
use self::documents::{Rest, Share};
pub use self::pause::PauseOrdered;
pub use self::receipts::{ReceiptsRequest, ReceiptsTaken};
use super::{Context, Effects, HubMachine, Ticket};
use crate::bundle::ReceiptsRefused;
use crate::desired::Phase;
use crate::ids::{AppId, ClusterId, CommandId, Digest, Generation, RejoinSerial};
use crate::registry::{AddError, Attempt, EnrolError};
use crate::release::Root;
use crate::session::frame::{CommandKind, CommandState};
use crate::session::hub::ExportRefused;
use crate::status::{Held, OperationStatus};
use crate::store::StoreError;
use crate::time::MonoTime;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Adds a cluster.
    AddCluster {
        /// Its name.
        name: String,
        /// Its labels.
        labels: BTreeMap<String, String>,
        /// Hash of its one-time token.
        token: Digest,
    },
    /// Lets a cluster's agent join again: revokes what its earlier joins gave, and cuts its stream (M23).
    RejoinCluster {
        /// Its name.
        name: String,
        /// Hash of its one-time token.
        token: Digest,
    },
    /// Takes a cluster off the registry and cuts its stream.
    RevokeCluster {
        /// Its name.
        name: String,
    },
    /// Uses a token up, after [`HubMachine::admit`] said yes; a refusal is counted.
    Enrol(Attempt),
    /// Shows hub and agent side by side, or ends the hold of deletes.
    Reconcile {
        /// The cluster's name.
        name: String,
        /// Ends the hold.
        confirm: bool,
        /// Of two clusters with this identity, the one to keep, by its UID of `kube-system` (M15).
        keep: Option<String>,
    },
    /// Begins a bundle of a cluster's newest desired state.
    ExportBundle {
        /// The cluster's name.
        name: String,
    },
    /// Asks for the next frames of a bundle.
    MoreOfBundle(ExportId),
    /// Says that a slow reader is still there.
    HoldBundle(ExportId),
    /// Says that nobody reads a bundle any more.
    DropBundle(ExportId),
    /// Ends a bundle.
    SealBundle {
        /// Which.
        id: ExportId,
        /// Digest of every byte of it.
        digest: Digest,
    },
    /// Takes what an agent with no link says of itself.
    Receipts(Box<ReceiptsRequest>),
    /// Orders the deletion of an app whose document has left the fleet.
    DeleteApp {
        /// Which app, and on which cluster where it is on several.
        app: AppName,
        /// Confirms the deletes that are held, but Namespaces and claims (M22).
        cascade: bool,
    },
    /// Pauses an app, or ends that: until then it is neither synced nor healed by itself.
    PauseApp {
        /// Which app, and on which cluster where it is on several.
        app: AppName,
        /// Who orders it; absent: it is to go on.
        by: Option<String>,
    },
    /// Sends a command to an app's agent; the hub carries out what is its own to do.
    Command {
        /// Which app, and on which cluster where it is on several.
        app: AppName,
        /// What is asked; its app is the one above.
        kind: CommandKind,
        /// Milliseconds in which it may start.
        deadline_ms: u64,
    },
}

/// Names an app for people: with its cluster where it is on several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppName {
    /// The app.
    pub app: AppId,
    /// Its cluster; absent: that of its document.
    pub cluster: Option<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The cluster cannot be added.
    #[error(transparent)]
    Add(#[from] AddError),
    /// The agent gets no identity.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// There is no such cluster.
    #[error("there is no cluster {0:?}")]
    NoCluster(String),
    /// There is no such app.
    #[error("there is no app {0}")]
    NoApp(AppId),
    /// The app is on no cluster yet.
    #[error("app {app} is on no cluster yet: {why}")]
    Waiting {
        /// The app.
        app: AppId,
        /// What it waits for.
        why: String,
    },
    /// The app is what the fleet says.
    #[error(
        "app {app} is in the fleet, and leaves it only there: take its document out of {file}; {finalizer}"
    )]
    InFleet {
        /// The app.
        app: AppId,
        /// The file of its document.
        file: String,
        /// What becomes of its objects.
        finalizer: &'static str,
    },
    /// The app is not being deleted, or that was not confirmed.
    #[error("app {app} is not deleted by this: {why}")]
    NotDeleting {
        /// The app.
        app: AppId,
        /// Why.
        why: String,
    },
    /// The app leaves its cluster.
    #[error("app {0} leaves its cluster, and is not synced or healed any more")]
    Leaves(AppId),
    /// The documents that the app renders are not taken.
    #[error("what app {app} renders for the fleet is not taken: {why}")]
    Documents {
        /// The app.
        app: AppId,
        /// Why.
        why: String,
    },
    /// The app's agent is away.
    #[error("the agent of cluster {0:?} is not connected")]
    Away(String),
    /// The app's agent is of a version that does not know what is asked.
    #[error(
        "the agent of cluster {cluster:?} is too old for this command: it does not know {needs:?}; update it"
    )]
    TooOld {
        /// The cluster's name.
        cluster: String,
        /// What it would have to be able to do.
        needs: &'static str,
    },
    /// There is nothing to decide, or not between this one and another.
    #[error("no cluster with kube-system {uid:?} is in dispute under the name {name:?}")]
    NoClone {
        /// The name.
        name: String,
        /// What was to be kept.
        uid: String,
    },
    /// No agent of the cluster has joined.
    #[error(
        "no agent of cluster {0:?} has joined yet: it does so once over a link, and needs none afterwards"
    )]
    NotJoined(String),
    /// No bundle can be made.
    #[error(transparent)]
    Export(ExportRefused),
    /// The bundle is not being made any more.
    #[error("this bundle is not being made any more: export again")]
    NoExport,
    /// Receipts are not taken.
    #[error(transparent)]
    Receipts(ReceiptsRefused),
    /// Others are being made.
    #[error("{0} bundles are being made, and no more at a time: try again when one is done")]
    Exporting(usize),
    /// Too much is going on.
    #[error("too many commands are under way; try again")]
    Busy,
}

/// How a command goes.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandProgress {
    /// The command.
    pub id: CommandId,
    /// How it stands.
    pub state: CommandState,
    /// For people.
    pub message: String,
    /// CBOR of the answer of a read.
    pub payload: Vec<u8>,
    /// The app's newest operation, when it changed, and when its agent stated it.
    pub operation: Option<(OperationStatus, MonoTime)>,
    /// The app.
    pub app: AppId,
    /// Its cluster; absent where the hub did it.
    pub cluster: Option<ClusterId>,
}

/// What one side holds of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The release.
    pub root: Root,
    /// The newest commit that renders to it, as far as the hub knows.
    pub commit: Option<String>,
    /// What is done with the app.
    pub phase: Phase,
}

/// One app that an operator has to decide on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Which.
    pub app: AppId,
    /// The hub's side; absent when it has no such app for the cluster.
    pub hub: Option<Side>,
    /// The agent's, as of what it is known to hold.
    pub agent: Option<Side>,
    /// Deletes that wait at the agent for the decision, as it told last.
    pub held: Option<Held>,
}

/// Hub and agent, side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// Whether deletes are held now.
    pub holding: bool,
    /// Whether this request ended the hold.
    pub ended: bool,
    /// What did not fit, when the two lost each other's history.
    pub why: Option<String>,
    /// The newest head that the hub made.
    pub made: Option<Generation>,
    /// The head that the agent is known to hold.
    pub held: Option<Generation>,
    /// Apps that the sides do not agree on.
    pub rows: Vec<Disagreement>,
    /// What keeps the hold from being ended.
    pub obstacles: Vec<String>,
    /// UIDs of `kube-system` of two clusters with this identity, while nobody has decided.
    pub clones: Vec<String>,
}

/// A command whose end somebody waits for.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// Absent: nobody waits for its end any more.
    ticket: Option<Ticket>,
    at: (ClusterId, AppId),
    state: CommandState,
    operation: Option<OperationStatus>,
    /// What the hub has to do of it.
    share: Option<Share>,
}

impl HubMachine {
    /// Says which cluster an agent may become, and by which join; the shell then signs its certificate and asks with [`Request::Enrol`].
    pub fn admit(
        &self,
        attempt: &Attempt,
        now: crate::time::WallTime,
    ) -> Result<(ClusterId, RejoinSerial), EnrolError> {
        self.registry.admit(attempt, now)
    }

    pub(super) fn request(
        &mut self,
        ticket: Ticket,
        request: Request,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let answer = match request {
            Request::AddCluster { name, labels, token } => {
                self.add_cluster(&name, labels, token, context, effects)
            }
            Request::RejoinCluster { name, token } => self.rejoin_cluster(&name, token, context, effects),
            Request::RevokeCluster { name } => self.revoke_cluster(&name, context, effects)?,
            Request::Enrol(attempt) => self.enrol(&attempt, context, effects),
            Request::Reconcile { name, confirm, keep } => {
                self.reconcile(&name, confirm, keep.as_deref(), context, effects)?
            }
            Request::ExportBundle { name } => self.export_bundle(&name, context, effects),
            Request::MoreOfBundle(id) => self.more_of_bundle(id, context)?,
            Request::HoldBundle(id) => self.hold_bundle(id, context.now.ms()),
            Request::DropBundle(id) => Ok(self.drop_bundle(id)),
            Request::SealBundle { id, digest } => self.seal_bundle(id, digest, context),
            Request::Receipts(request) => self.take_receipts(*request, context, effects)?,
            Request::DeleteApp { app, cascade } => self.delete_app(&app, cascade, context, effects)?,
            Request::PauseApp { app, by } => self.pause_app(&app, by, context, effects)?,
            Request::Command { app, kind, deadline_ms } => {
                let begun = match self.order_documents(ticket, &app, &kind, context, effects)? {
                    Ok(Rest::None) => Ok(()),
                    Ok(Rest::Agent(share)) => {
                        self.begin_command(ticket, &app, (kind, share), deadline_ms, context, effects)
                    }
                    Err(refused) => Err(refused),
                };
                match begun {
                    Ok(()) => return Ok(()),
                    Err(refused) => Err(refused),
                }
            }
        };
        effects.replies.push((ticket, answer));
        Ok(())
    }
}
