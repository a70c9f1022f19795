//! What operators and enrolling agents ask of the hub.

use std::collections::BTreeMap;

use super::{
    CONFIRMED_LOSS, Context, Effects, HubMachine, Reply, Severity, Ticket, link_context, read_status,
};
use crate::ids::{AppId, ClusterId, CommandId, Digest, RejoinSerial};
use crate::registry::{AddError, Attempt, EnrolError, REGISTRY_META, Rejoin};
use crate::release::Root;
use crate::session::frame::{Command, CommandKind, CommandState, CommandUpdate};
use crate::session::hub::{HubLink, ReconcileError};
use crate::session::tables::{HUB_ACKED, HUB_INFLIGHT, HUB_LINK, HUB_RECENT, HUB_STATUS};
use crate::status::OperationStatus;
use crate::store::{StoreError, StoreOp, Table};
use crate::time::MonoTime;

/// Most commands whose end somebody waits for.
const COMMANDS: usize = 1024;

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
    /// The app's agent is away.
    #[error("the agent of cluster {0:?} is not connected")]
    Away(String),
    /// There is nothing to decide, or not between this one and another.
    #[error("no cluster with kube-system {uid:?} is in dispute under the name {name:?}")]
    NoClone {
        /// The name.
        name: String,
        /// What was to be kept.
        uid: String,
    },
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
    /// The app and its cluster.
    pub at: (ClusterId, AppId),
}

/// What one side holds of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The release.
    pub root: Root,
    /// The newest commit that renders to it, as far as the hub knows.
    pub commit: Option<String>,
}

/// Hub and agent, side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// Whether deletes are held now.
    pub holding: bool,
    /// Whether this request ended the hold.
    pub ended: bool,
    /// Apps that the sides do not agree on: the hub's side and the agent's.
    pub rows: Vec<(AppId, Option<Side>, Option<Side>)>,
    /// What keeps the hold from being ended.
    pub obstacles: Vec<String>,
    /// UIDs of `kube-system` of two clusters with this identity, while nobody has decided.
    pub clones: Vec<String>,
}

/// A command whose end somebody waits for.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) ticket: Ticket,
    at: (ClusterId, AppId),
    state: CommandState,
    operation: Option<OperationStatus>,
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
            Request::Command { app, kind, deadline_ms } => {
                let begun = self.begin_command(ticket, &app, kind, deadline_ms, context, effects);
                match begun {
                    Ok(()) => return Ok(()),
                    Err(refused) => Err(refused),
                }
            }
        };
        effects.replies.push((ticket, answer));
        Ok(())
    }

    fn add_cluster(
        &mut self,
        name: &str,
        labels: BTreeMap<String, String>,
        token: Digest,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Reply, Refused> {
        let cluster = ClusterId::from_random(context.entropy.bytes16());
        let (expires, ops) = self.registry.add(cluster, name, labels, token, context.now.wall)?;
        effects.ops.extend(ops);
        self.links.insert(cluster, HubLink::new(cluster, self.installation));
        // The new link has been told nothing.
        self.told = None;
        self.dirty = true;
        let message = format!("added as {cluster}");
        self.tell(Severity::Info, "ClusterAdded", message, Some(name.to_owned()), None, context.now, effects);
        Ok(Reply::Added { cluster, expires, rejoin: RejoinSerial::default() })
    }

    fn rejoin_cluster(
        &mut self,
        name: &str,
        token: Digest,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Reply, Refused> {
        let Rejoin { cluster, serial, expires, ops } = self.registry.rejoin(name, token, context.now.wall)?;
        effects.ops.extend(ops);
        if let Some(link) = self.links.get_mut(&cluster) {
            let said = link.rejoin();
            self.absorb(cluster, said, context.now, effects);
        }
        self.sessions.retain(|_, of| *of != cluster);
        let message =
            format!("{cluster} is asked to join again ({serial}); its earlier certificates are revoked");
        self.tell(Severity::Warning, "Rejoin", message, Some(name.to_owned()), None, context.now, effects);
        Ok(Reply::Added { cluster, expires, rejoin: serial })
    }

    fn revoke_cluster(
        &mut self,
        name: &str,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Reply, Refused>, StoreError> {
        let Some((cluster, ops)) = self.registry.revoke(name, context.now.wall) else {
            return Ok(Err(Refused::NoCluster(name.to_owned())));
        };
        effects.ops.extend(ops);
        let mut was_connected = false;
        if let Some(mut link) = self.links.remove(&cluster) {
            was_connected = link.session().is_some();
            let said = link.revoke();
            self.absorb(cluster, said, context.now, effects);
        }
        self.sessions.retain(|_, of| *of != cluster);
        self.behind.remove(&cluster);
        self.emptied.retain(|(of, _, _)| *of != cluster);
        self.released.retain(|(of, _)| *of != cluster);
        forget_link(cluster, context, effects)?;
        self.dirty = true;
        self.may_collect = true;
        let message = format!("{cluster} is revoked; its objects stay");
        self.tell(
            Severity::Warning,
            "ClusterRevoked",
            message,
            Some(name.to_owned()),
            None,
            context.now,
            effects,
        );
        Ok(Ok(Reply::Revoked { cluster, was_connected }))
    }

    fn enrol(
        &mut self,
        attempt: &Attempt,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Reply, Refused> {
        let now = context.now;
        let name = self.registry.find(&attempt.name).map(|_| attempt.name.clone());
        match self.registry.admit(attempt, now.wall) {
            Ok((cluster, _)) => {
                effects.ops.extend(self.registry.enrolled(cluster, attempt, now.wall));
                let message = format!("its agent enrolled (kube-system {})", attempt.kube_system_uid);
                self.tell(Severity::Info, "Enrolled", message, name, None, now, effects);
                Ok(Reply::Enrolled { cluster })
            }
            Err(error) => {
                effects.ops.extend(self.registry.refused(&attempt.name));
                let message = format!("an agent that calls itself {:?} was refused: {error}", attempt.name);
                self.tell(Severity::Warning, "EnrolmentRefused", message, name, None, now, effects);
                Err(error.into())
            }
        }
    }

    fn reconcile(
        &mut self,
        name: &str,
        confirm: bool,
        keep: Option<&str>,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Reply, Refused>, StoreError> {
        let Some((cluster, _)) = self.registry.find(name) else {
            return Ok(Err(Refused::NoCluster(name.to_owned())));
        };
        if let Some(keep) = keep
            && let Err(refused) = self.decide_clone(cluster, name, keep, context, effects)
        {
            return Ok(Err(refused));
        }
        let rows = self.differences(cluster);
        let Some(link) = self.links.get_mut(&cluster) else {
            return Ok(Err(Refused::NoCluster(name.to_owned())));
        };
        let was_holding = link.unknown_chain().is_some();
        let mut obstacles = Vec::new();
        let clones: Vec<String> = link
            .clones()
            .into_iter()
            .flat_map(|(known, other)| [known.to_owned(), other.to_owned()])
            .collect();
        if let [known, other] = clones.as_slice() {
            obstacles.push(format!(
                "two clusters use this identity, kube-system {known} and {other}: say which one it belongs to: argosy \
                 cluster reconcile {name} --keep UID"
            ));
        }
        let mut ended = false;
        if confirm && was_holding && obstacles.is_empty() {
            match link.reconcile(&mut link_context(context, context.store)) {
                Ok(said) => {
                    ended = true;
                    self.absorb(cluster, said, context.now, effects);
                    self.look_behind(cluster, context.now);
                    let message = "the hub's list counts again; the hold on deletes has ended".to_owned();
                    let name = Some(name.to_owned());
                    self.tell(Severity::Info, "Reconciled", message, name, None, context.now, effects);
                }
                Err(ReconcileError::Store(error)) => return Err(error),
                Err(
                    error @ (ReconcileError::NothingToReconcile
                    | ReconcileError::NotTaken
                    | ReconcileError::NotRead
                    | ReconcileError::NotSettled(_)),
                ) => obstacles.push(error.to_string()),
            }
        } else if was_holding && let Err(why) = self.settled() {
            obstacles.push(ReconcileError::NotSettled(why).to_string());
        }
        let holding = was_holding && !ended;
        Ok(Ok(Reply::Reconciled(Reconciliation { holding, ended, rows, obstacles, clones })))
    }

    /// Carries out an operator's decision between two clusters with one identity.
    fn decide_clone(
        &mut self,
        cluster: ClusterId,
        name: &str,
        keep: &str,
        context: &Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), Refused> {
        let Some(link) = self.links.get_mut(&cluster) else {
            return Err(Refused::NoCluster(name.to_owned()));
        };
        let one_of_them = link.clones().is_some_and(|(known, other)| [known, other].contains(&keep));
        if !one_of_them {
            return Err(Refused::NoClone { name: name.to_owned(), uid: keep.to_owned() });
        }
        let said = link.decide_clone(keep);
        self.absorb(cluster, said, context.now, effects);
        let message =
            format!("the identity belongs to the cluster with kube-system {keep}; the other is refused");
        let name = Some(name.to_owned());
        self.tell(Severity::Warning, "CloneDecided", message, name, None, context.now, effects);
        Ok(())
    }

    /// Compares the hub's list of a cluster with the one that its agent holds.
    fn differences(&self, cluster: ClusterId) -> Vec<(AppId, Option<Side>, Option<Side>)> {
        let ours = self.fleet.list(cluster);
        let theirs = self.links.get(&cluster).and_then(HubLink::acknowledged_list);
        let mut apps: Vec<&AppId> = ours.elements().keys().collect();
        apps.extend(theirs.iter().flat_map(|list| list.elements().keys()));
        apps.sort_unstable();
        apps.dedup();
        let side = |app: &AppId, root: Root| {
            let placement = self.fleet.placements().get(&(cluster, app.clone()));
            Side {
                root,
                commit: placement.and_then(|placement| placement.commit_of(root)).map(str::to_owned),
            }
        };
        apps.into_iter()
            .filter_map(|app| {
                let hub = ours.elements().get(app);
                let agent = theirs.and_then(|list| list.elements().get(app));
                if hub.map(|element| &element.bytes) == agent.map(|element| &element.bytes) {
                    return None;
                }
                let hub = hub.map(|element| side(app, element.assignment.root));
                let agent = agent.map(|element| side(app, element.assignment.root));
                Some((app.clone(), hub, agent))
            })
            .collect()
    }

    fn begin_command(
        &mut self,
        ticket: Ticket,
        name: &AppName,
        kind: CommandKind,
        deadline_ms: u64,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), Refused> {
        let id = CommandId::new(context.entropy.bytes16());
        let cluster = self.cluster_of(name)?;
        let at = (cluster, name.app.clone());
        if let CommandKind::Confirm { plan, .. } = &kind
            && let Some(loss) = self.mass_loss.clone().filter(|loss| loss.plan == *plan)
        {
            self.confirm_loss(*plan, loss.apps.len(), context, effects);
            let progress = CommandProgress {
                id,
                state: CommandState::Succeeded,
                message: format!("the loss of {} apps is confirmed", loss.apps.len()),
                payload: Vec::new(),
                operation: None,
                at,
            };
            effects.replies.push((ticket, Ok(Reply::Command(progress))));
            return Ok(());
        }
        if self.pending.len() >= COMMANDS {
            return Err(Refused::Busy);
        }
        let away = || Refused::Away(self.registry.name_of(cluster).unwrap_or_default().to_owned());
        let link = self.links.get(&cluster).filter(|link| link.session().is_some()).ok_or_else(away)?;
        let operation =
            link.statuses().get(&name.app).and_then(|row| read_status(row.value())).and_then(|s| s.operation);
        self.pending.insert(id, Pending { ticket, at, state: CommandState::Accepted, operation });
        let command = Command { id, kind, deadline_ms };
        if let Some(link) = self.links.get_mut(&cluster) {
            let said = link.command(command, context.now);
            self.absorb(cluster, said, context.now, effects);
        }
        Ok(())
    }

    fn confirm_loss(&mut self, plan: Digest, apps: usize, context: &Context<'_>, effects: &mut Effects) {
        self.confirmed_loss = Some(plan);
        effects.ops.push(StoreOp::put(REGISTRY_META, CONFIRMED_LOSS, &plan));
        self.dirty = true;
        let message = format!("an operator confirmed that {apps} apps leave the fleet");
        self.tell(Severity::Warning, "LossConfirmed", message, None, None, context.now, effects);
    }

    /// Finds the cluster that a request about an app is for.
    pub(super) fn cluster_of(&self, name: &AppName) -> Result<ClusterId, Refused> {
        let placed = self.fleet.placements_of(&name.app);
        if let Some(cluster) = &name.cluster {
            let (id, _) = self.registry.find(cluster).ok_or_else(|| Refused::NoCluster(cluster.clone()))?;
            return if placed.iter().any(|(of, _)| *of == id) {
                Ok(id)
            } else {
                Err(Refused::NoApp(name.app.clone()))
            };
        }
        if let Some((cluster, _)) = placed.first() {
            return Ok(*cluster);
        }
        if self.read.iter().any(|read| read.apps.contains_key(&name.app)) {
            return Err(Refused::Waiting { app: name.app.clone(), why: self.waiting(&name.app) });
        }
        Err(Refused::NoApp(name.app.clone()))
    }

    /// Says what an app waits for that is on no cluster yet.
    pub(super) fn waiting(&self, app: &AppId) -> String {
        let conditions = self.conditions.get(app).and_then(|conditions| conditions.keys().next());
        conditions.map_or("its source was not read yet", |condition| &condition.message).to_owned()
    }

    pub(super) fn command_moved(&mut self, update: CommandUpdate, effects: &mut Effects) {
        let Some(pending) = self.pending.get_mut(&update.id) else { return };
        let CommandUpdate { id, state, message, payload } = update;
        pending.state = state;
        let (ticket, at) = (pending.ticket, pending.at.clone());
        if state.is_final() {
            self.pending.remove(&id);
        }
        let progress = CommandProgress { id, state, message, payload, operation: None, at };
        effects.replies.push((ticket, Ok(Reply::Command(progress))));
    }

    /// Tells those who wait for a command how its app's operation goes.
    pub(super) fn progress_of(&mut self, cluster: ClusterId, apps: &[AppId], effects: &mut Effects) {
        let Some(link) = self.links.get(&cluster) else { return };
        for (id, pending) in &mut self.pending {
            if pending.at.0 != cluster || !apps.contains(&pending.at.1) {
                continue;
            }
            let Some(status) = link.statuses().get(&pending.at.1).and_then(|row| read_status(row.value()))
            else {
                continue;
            };
            if status.operation == pending.operation {
                continue;
            }
            pending.operation.clone_from(&status.operation);
            let Some(operation) = status.operation else { continue };
            let progress = CommandProgress {
                id: *id,
                state: pending.state,
                message: String::new(),
                payload: Vec::new(),
                operation: Some((operation, status.observed)),
                at: pending.at.clone(),
            };
            effects.replies.push((pending.ticket, Ok(Reply::Command(progress))));
        }
    }
}

/// Drops what the store holds of a revoked cluster's link.
fn forget_link(cluster: ClusterId, context: &Context<'_>, effects: &mut Effects) -> Result<(), StoreError> {
    const TABLES: [Table; 5] = [HUB_ACKED, HUB_INFLIGHT, HUB_LINK, HUB_RECENT, HUB_STATUS];
    // What its last words put there in this transaction goes with it.
    effects.ops.retain(|op| {
        let (StoreOp::Put { table, key, .. } | StoreOp::Delete { table, key }) = op;
        !TABLES.contains(table) || !key.starts_with(cluster.as_bytes())
    });
    for table in TABLES {
        let rows = context.store.scan(table, cluster.as_bytes())?;
        effects.ops.extend(rows.into_iter().map(|(key, _)| StoreOp::delete(table, key)));
    }
    Ok(())
}
