//! The hub's end of the link: one machine per cluster.
//!
//! Holds the newest desired list of its cluster, sends the agent what it lacks, keeps the newest status of every app
//! and follows commands. Everything it says was durable before (see [`crate::session`]).

mod bulk;
mod chain;
mod commands;
mod effects;
mod export;
mod journal;
mod receipts;
mod record;
mod status;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use effects::{HubClosing, HubEffects, HubEvent, SessionId};
pub use export::{Export, ExportRefused};
pub use record::{PausedSince, Seen, UnknownChain};
pub use status::StatusRow;

use crate::desired::{Anchor, DesiredList, Phase as AppPhase, SignHead, SignedHead, VerifyHead};
use crate::ids::{AppId, ClusterId, Epoch, Generation, InstallationId};
use crate::journal::{Keeper, Sent};
use crate::release::Root;
use crate::session::bulk::Codec;
use crate::session::frame::{
    AgentFrame, ClusterFacts, Command, CommandState, HubFrame, Refusal, RefusalReason,
};
use crate::session::liveness::Liveness;
use crate::store::{StoreError, StoreRead};
use crate::time::{Entropy, Now, WallTime};

use bulk::Transfers;
use chain::OwnList;
use commands::{Commands, ended};
use record::{Loaded, Record};
use status::Statuses;
use streams::without_pause;

/// Most streams of one cluster that have not said who they are.
const STRANGERS: usize = 8;

/// What every input of the machine brings along.
pub struct HubContext<'a> {
    /// What time it is.
    pub now: Now,
    /// The store, with every transaction of earlier effects.
    pub store: &'a dyn StoreRead,
    /// Compresses manifests.
    pub codec: &'a dyn Codec,
    /// Signs heads.
    pub signer: &'a dyn SignHead,
    /// Verifies heads that agents name, against the same key.
    pub verifier: &'a dyn VerifyHead,
    /// Randomness.
    pub entropy: &'a mut dyn Entropy,
}

/// The newest desired state of a cluster, as its publisher knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Every assignment; each one's release and manifests are in the store, and its bytes fit a frame.
    pub list: DesiredList,
    /// Apps whose document and source were read since the hub started: after an unknown chain only these are published
    /// anew (M14).
    pub fresh: BTreeSet<AppId>,
    /// Whether the fleet and every source were read since the hub started and nothing fails; else what is missing.
    /// `reconcile` is refused with these words.
    pub settled: Result<(), String>,
}

/// Why an operator's `reconcile` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// Hub and agent are of one chain.
    #[error("there is nothing to reconcile: the hub knows the agent's head")]
    NothingToReconcile,
    /// The agent has not taken the head that repeats its own list.
    #[error("the agent has not taken up the new chain yet")]
    NotTaken,
    /// The hub has read nothing since it started.
    #[error("the fleet has not been read since the hub started")]
    NotRead,
    /// Something is unread or fails.
    #[error("not everything is read and rendered: {0}")]
    NotSettled(String),
    /// The store failed.
    #[error("the hub's store failed")]
    Store(#[from] StoreError),
}

/// The hub's end of the link to one cluster.
#[derive(Debug, Clone)]
pub struct HubLink {
    cluster: ClusterId,
    installation: InstallationId,
    record: Record,
    acked: Option<DesiredList>,
    inflight: Option<DesiredList>,
    recent: BTreeMap<AppId, Vec<Root>>,
    statuses: Statuses,
    journal: Keeper,
    /// Commits of releases that the journal's next rows name.
    revisions: BTreeMap<(AppId, Root), String>,
    published: Option<Published>,
    commands: Commands,
    session: Option<Session>,
    /// Streams that have not said `Hello`, with the point from which they are waited for.
    strangers: BTreeMap<SessionId, Liveness>,
    /// Why every stream is refused.
    shut: Option<Refusal>,
}

#[derive(Debug, Clone)]
struct Session {
    id: SessionId,
    liveness: Liveness,
    head: Option<SignedHead>,
    anchor: Option<Anchor>,
    /// Whether the agent holds the acknowledged list.
    on_base: bool,
    phase: Phase,
    /// The number of the head that this session has not acknowledged.
    awaiting: Option<Generation>,
    told_in_sync: bool,
    transfers: Transfers,
    read_only: Option<String>,
    capabilities: BTreeSet<String>,
}

impl Session {
    /// Tells whether the agent's store is older than what the agent acknowledged (M23).
    fn is_rolled_back(&self) -> bool {
        let held = self.head.map(|held| held.head.generation);
        self.anchor.is_some_and(|anchor| held.is_none_or(|held| held < anchor.generation))
    }
}

#[derive(Debug, Clone)]
enum Phase {
    /// Its own list is awaited, because its head fits nothing.
    OwnList(Box<OwnList>, String),
    /// Its list is known.
    Ready,
}

impl HubLink {
    /// Reads what the store holds of a cluster; nothing is known of one that never connected.
    pub fn load(
        store: &dyn StoreRead,
        cluster: ClusterId,
        installation: InstallationId,
    ) -> Result<Self, StoreError> {
        let Loaded { record, acked, inflight, recent } = record::load(store, cluster)?;
        let statuses = Statuses::load(store, cluster)?;
        let journal = Keeper::load(store, cluster)?;
        Ok(Self { record, acked, inflight, recent, statuses, journal, ..Self::new(cluster, installation) })
    }

    /// Makes the link of a cluster that was just registered.
    pub fn new(cluster: ClusterId, installation: InstallationId) -> Self {
        Self {
            cluster,
            installation,
            record: Record::default(),
            acked: None,
            inflight: None,
            recent: BTreeMap::new(),
            statuses: Statuses::default(),
            journal: Keeper::default(),
            revisions: BTreeMap::new(),
            published: None,
            commands: Commands::default(),
            session: None,
            strangers: BTreeMap::new(),
            shut: None,
        }
    }

    /// A stream of this cluster was opened.
    pub fn connected(&mut self, session: SessionId, now: Now) -> HubEffects {
        let mut effects = HubEffects::default();
        if let Some(refusal) = self.shut.clone() {
            self.refuse(session, refusal, &mut effects);
            return effects;
        }
        if self.strangers.len() >= STRANGERS
            && let Some((oldest, _)) = self.strangers.pop_first()
        {
            self.refuse(oldest, refusal(RefusalReason::Replaced, "too many streams at a time"), &mut effects);
        }
        self.strangers.insert(session, Liveness::new(now));
        effects
    }

    /// A stream ended.
    pub fn disconnected(&mut self, session: SessionId, now: Now) -> HubEffects {
        let mut effects = HubEffects::default();
        self.strangers.remove(&session);
        if self.is_current(session) {
            self.record.last_seen = now.wall;
            self.save(&mut effects);
            self.end_session(&mut effects);
        }
        effects
    }

    /// Takes a frame. Frames of a stream that was replaced or refused are ignored.
    pub fn received(
        &mut self,
        session: SessionId,
        frame: AgentFrame,
        context: &mut HubContext<'_>,
    ) -> Result<HubEffects, StoreError> {
        let mut effects = HubEffects::default();
        if self.strangers.contains_key(&session) {
            let AgentFrame::Hello(hello) = frame else {
                self.refuse(session, refusal(RefusalReason::Malformed, "no hello"), &mut effects);
                return Ok(effects);
            };
            self.hello(session, *hello, context, &mut effects)?;
            return self.finish(context, effects);
        }
        let now = context.now;
        let Some(current) = self.session.as_mut().filter(|current| current.id == session) else {
            return Ok(effects);
        };
        current.liveness.heard(now);
        self.record.last_seen = now.wall;
        match frame {
            AgentFrame::Alive => {}
            AgentFrame::Hello(_) => {
                self.refuse(session, refusal(RefusalReason::Malformed, "a second hello"), &mut effects);
            }
            AgentFrame::HeadAck { epoch, generation } => {
                self.acknowledged(epoch, generation, context, &mut effects)?;
            }
            AgentFrame::OwnList { settings, elements, last } => {
                self.take_own_list(session, settings, elements, last, context, &mut effects)?;
            }
            AgentFrame::Pull(pull) => {
                let permitted = self.permitted();
                let Some(current) = &mut self.session else { return Ok(effects) };
                match current.transfers.pull(&pull, &permitted, context.store)? {
                    Ok(frame) => effects.frames.extend(frame.map(|frame| (session, frame))),
                    Err(error) => {
                        let refusal = refusal(RefusalReason::Malformed, error.to_string());
                        self.refuse(session, refusal, &mut effects);
                    }
                }
            }
            AgentFrame::Cancel(transfer) => current.transfers.cancel(transfer),
            AgentFrame::Credit(bytes) => current.transfers.granted(bytes),
            AgentFrame::Status(batch) => self.take_status(session, batch, now, &mut effects),
            AgentFrame::CommandUpdate(update) => {
                if update.state.is_final() {
                    effects.frames.push((session, HubFrame::CommandDone(update.id)));
                }
                if self.commands.update(&update) {
                    effects.events.push(HubEvent::Command(update));
                }
            }
            AgentFrame::Facts { facts, read_only, paused } => {
                current.read_only = without_pause(read_only, paused.as_ref());
                self.take_pause(paused, now, &mut effects);
                if !self.is_cloned(session, &facts, &mut effects) {
                    self.take_facts(facts, now, &mut effects);
                }
            }
            AgentFrame::Journal(batch) => {
                self.take_journal(session, &batch, Sent::Then, context, &mut effects)?;
            }
            AgentFrame::Refused(refusal) => {
                effects.events.push(HubEvent::AgentRefused(refusal.clone()));
                effects.close.push((session, HubClosing::Refused(refusal)));
                self.end_session(&mut effects);
            }
        }
        self.finish(context, effects)
    }

    /// Sets the newest desired state.
    pub fn publish(
        &mut self,
        published: Published,
        context: &mut HubContext<'_>,
    ) -> Result<HubEffects, StoreError> {
        let mut effects = HubEffects::default();
        self.published = Some(published);
        self.advance(context, &mut effects)?;
        self.finish(context, effects)
    }

    /// Sends a command; one for a cluster that is away fails at once.
    pub fn command(&mut self, command: Command, now: Now) -> HubEffects {
        let mut effects = HubEffects::default();
        let Some(session) = &mut self.session else {
            let update = ended(command.id, CommandState::Failed, "the agent is not connected");
            effects.events.push(HubEvent::Command(update));
            return effects;
        };
        if self.commands.send(&command, now).is_none() {
            let update = ended(command.id, CommandState::Failed, "too many commands are open");
            effects.events.push(HubEvent::Command(update));
            return effects;
        }
        session.liveness.sent(now);
        effects.frames.push((session.id, HubFrame::Command(command)));
        effects
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) -> HubEffects {
        let mut effects = HubEffects::default();
        effects.events.extend(self.commands.expire(now).into_iter().map(HubEvent::Command));
        let silent = self.strangers.iter().filter(|(_, liveness)| liveness.is_dead(now));
        for id in silent.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.strangers.remove(&id);
            effects.close.push((id, HubClosing::Silent));
        }
        let Some(session) = &mut self.session else { return effects };
        if session.liveness.is_dead(now) {
            effects.close.push((session.id, HubClosing::Silent));
            self.save(&mut effects);
            self.end_session(&mut effects);
        } else if session.liveness.is_due(now) {
            session.liveness.sent(now);
            effects.frames.push((session.id, HubFrame::Alive));
        }
        effects
    }

    /// Gives the point, in elapsed milliseconds, at which `tick` has something to do.
    pub fn next_timer(&self) -> Option<u64> {
        let session = self.session.iter().map(|session| session.liveness.next());
        // A stranger owes a hello and is owed nothing: it is looked at when it would be silent.
        let strangers = self.strangers.values().map(Liveness::dead_at);
        session.chain(strangers).chain(self.commands.next()).min()
    }

    /// Cuts every stream of the cluster and refuses it from now on. That the cluster is revoked is for the registry to
    /// remember.
    pub fn revoke(&mut self) -> HubEffects {
        self.shut(refusal(RefusalReason::Revoked, "this cluster was revoked"))
    }

    /// Cuts every stream of the cluster, whose agent is to join again. What the cluster holds stays the base of what it
    /// is sent next; the one that joins is whom the identity belongs to, so an open question between two is decided.
    pub fn rejoin(&mut self) -> HubEffects {
        let mut effects = self.cut(&refusal(RefusalReason::Revoked, "this cluster is asked to join again"));
        self.record.clone = None;
        self.record.refused_uids.clear();
        if let Some(facts) = &mut self.record.facts {
            facts.kube_system_uid.clear();
        }
        self.save(&mut effects);
        effects
    }

    /// Ends every stream because the hub stops.
    pub fn stop(&mut self) -> HubEffects {
        self.shut(refusal(RefusalReason::Stopping, "the hub stops"))
    }

    /// Ends the hold of all deletes after an unknown chain: the hub's own list counts again (M14).
    pub fn reconcile(&mut self, context: &mut HubContext<'_>) -> Result<HubEffects, ReconcileError> {
        let unknown = self.record.unknown.as_ref().ok_or(ReconcileError::NothingToReconcile)?;
        if !unknown.repeated {
            return Err(ReconcileError::NotTaken);
        }
        let published = self.published.as_ref().ok_or(ReconcileError::NotRead)?;
        published.settled.clone().map_err(ReconcileError::NotSettled)?;
        // What this hub only remembers may be older than what the cluster runs.
        let remembered = published.list.elements().iter().find(|(app, element)| {
            let runs = matches!(element.assignment.phase, AppPhase::Active | AppPhase::Frozen);
            runs && !published.fresh.contains(*app)
        });
        if let Some((app, _)) = remembered {
            let why = format!("the source of app {app} was not read since the hub started");
            return Err(ReconcileError::NotSettled(why));
        }
        let mut effects = HubEffects::default();
        self.record.unknown = None;
        self.save(&mut effects);
        self.advance(context, &mut effects)?;
        Ok(self.finish(context, effects)?)
    }

    /// Gives the cluster.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Gives the stream of the agent, if one is taken in.
    pub fn session(&self) -> Option<SessionId> {
        self.session.as_ref().map(|session| session.id)
    }

    /// Gives when the agent was heard last, by this hub's wall clock; absent when never.
    pub fn last_seen(&self) -> Option<WallTime> {
        Some(self.record.last_seen).filter(|seen| *seen != WallTime::default())
    }

    /// Gives what the agent told of its cluster.
    pub fn facts(&self) -> Option<&ClusterFacts> {
        self.record.facts.as_ref()
    }

    /// Tells why the connected agent only reads, if it does.
    pub fn read_only(&self) -> Option<&str> {
        self.session.as_ref()?.read_only.as_deref()
    }

    /// Gives the abilities beyond the protocol's version that the connected agent named.
    pub fn capabilities(&self) -> Option<&BTreeSet<String>> {
        self.session.as_ref().map(|session| &session.capabilities)
    }

    /// Gives the head that the agent is known to hold.
    pub fn acknowledged_head(&self) -> Option<&SignedHead> {
        self.record.acked.as_ref()
    }

    /// Gives the list of that head.
    pub fn acknowledged_list(&self) -> Option<&DesiredList> {
        self.acked.as_ref()
    }

    /// Gives the chain and the highest number sent.
    pub fn sent(&self) -> Option<(Epoch, Generation)> {
        self.record.epoch.map(|epoch| (epoch, self.record.last))
    }

    /// Tells whether the agent is known to hold what it should.
    pub fn is_up_to_date(&self) -> bool {
        let acked = self.acked.as_ref().map(DesiredList::root);
        acked.is_some() && acked == self.target().map(|target| target.root())
    }

    /// Gives the unknown chain that holds all deletes, if one does.
    pub fn unknown_chain(&self) -> Option<&UnknownChain> {
        self.record.unknown.as_ref()
    }

    /// Gives the UIDs of two clusters with this identity, while nobody has decided: the known one and the other.
    pub fn clones(&self) -> Option<(&str, &str)> {
        let known = self.record.facts.as_ref().map_or("", |facts| facts.kube_system_uid.as_str());
        self.record.clone.as_deref().map(|other| (known, other))
    }

    /// Gives the newest status of every app.
    pub fn statuses(&self) -> &BTreeMap<AppId, StatusRow> {
        self.statuses.rows()
    }

    /// Gives how old an app's status is; absent when the agent could not say when it saw its cluster.
    pub fn status_age(&self, app: &AppId, now: Now) -> Option<Duration> {
        self.statuses.age(app, &self.record, now)
    }

    /// Gives how long ago the agent last said that everything was observed.
    pub fn observed_age(&self, now: Now) -> Option<Duration> {
        self.record.observed.map(|observed| observed.age(now))
    }

    /// Gives the releases that this cluster's link needs: those of its lists, and those that its agent may be receiving.
    pub fn pinned(&self) -> BTreeSet<Root> {
        let mut pinned = self.permitted();
        if let Some(published) = &self.published {
            pinned.extend(roots(&published.list));
        }
        pinned
    }
}

fn roots(list: &DesiredList) -> impl Iterator<Item = Root> {
    list.elements().values().map(|element| element.assignment.root)
}

fn refusal(reason: RefusalReason, message: impl Into<String>) -> Refusal {
    Refusal { reason, message: message.into() }
}
