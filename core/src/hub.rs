//! The whole hub as one state machine: the registry, every cluster's link, the fleet and its renderings, joined.
//!
//! The shell feeds it streams, frames, reads of the fleet, renderings, operators' requests and time, and carries out
//! what each input leads to: first the transaction, then everything else. What was published stays published: lists are
//! made of durable placements, so a hub that starts again serves them before it has read anything.

mod audit;
mod collect;
mod content;
mod decide;
mod documents;
mod effects;
mod events;
mod growing;
mod preview;
mod reports;
mod requests;
mod sources;
mod staged;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};

pub use self::audit::AuditView;
pub use self::content::{DesiredRelease, ProjectView};
pub use self::documents::{Documents, read_documents};
pub use self::effects::{Effects, Reply, Ticket};
pub use self::events::{Event, Severity};
pub use self::preview::{AppPreview, Fate, NoPreview, ObjectsPreview, Preview, Proposal, ProposedSources};
pub use self::requests::{
    AppName, CommandProgress, DeletionOrdered, Disagreement, ExportId, PauseOrdered, ReceiptsRequest,
    ReceiptsTaken, Reconciliation, Refused, Request, Side,
};
pub use self::view::{AppCounts, AppView, Chain, ClusterView, Observed, Shown, Summary};

use crate::application::Source;
use crate::desired::{SignHead, VerifyHead};
use crate::fleet::{Family, Fleet, FleetRead, MassLoss, PARENTS, PLACEMENTS, PROJECTS, Rendering};
use crate::ids::{AppId, ClusterId, CommandId, DeletionId, Digest, InstallationId, RejoinSerial};
use crate::journal::{JournalBatch, tables as journal_tables};
use crate::registry::{REGISTRY, REGISTRY_META, Registry, Standing};
use crate::release::Root;
use crate::session::bulk::Codec;
use crate::session::frame::{AgentFrame, HubFrame, Refusal, RefusalReason};
use crate::session::hub::{HubClosing, HubContext, HubEffects, HubEvent, HubLink, SessionId};
use crate::session::tables as link_tables;
use crate::status::{AppStatus, Condition};
use crate::store::{StoreError, StoreOp, StoreRead, Table, get_as};
use crate::time::{Entropy, MonoTime, Now, WallTime};

use self::events::Events;
use self::requests::{Making, Pending};
use self::staged::Staged;

/// Key of the loss that an operator confirmed, in [`REGISTRY_META`].
const CONFIRMED_LOSS: &[u8] = b"confirmed loss";

/// All tables of a hub's store.
pub const TABLES: &[Table] = &[
    link_tables::RELEASES,
    link_tables::MANIFESTS,
    link_tables::HUB_LINK,
    link_tables::HUB_ACKED,
    link_tables::HUB_INFLIGHT,
    link_tables::HUB_RECENT,
    link_tables::HUB_STATUS,
    journal_tables::HUB_JOURNAL,
    journal_tables::HUB_JOURNAL_META,
    journal_tables::HUB_JOURNAL_BASE,
    PLACEMENTS,
    PROJECTS,
    PARENTS,
    REGISTRY,
    REGISTRY_META,
];

/// What every input brings along.
pub struct Context<'a> {
    /// What time it is.
    pub now: Now,
    /// The store, with every earlier transaction.
    pub store: &'a dyn StoreRead,
    /// Compresses manifests.
    pub codec: &'a dyn Codec,
    /// Signs heads.
    pub signer: &'a dyn SignHead,
    /// Verifies heads that agents name.
    pub verifier: &'a dyn VerifyHead,
    /// Randomness.
    pub entropy: &'a mut dyn Entropy,
}

/// One app's rendering, and what was rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedApp {
    /// The source as the document stated it: a document that states another one by now makes this void.
    pub source: Source,
    /// What came of it.
    pub rendering: Rendering,
}

/// Why a source of fleet or apps is not current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceProblem {
    /// What is wrong.
    pub message: String,
    /// Since when.
    pub since: WallTime,
    /// When it was read last in this life of the hub; absent when never.
    pub last_read: Option<WallTime>,
}

/// An input of the hub.
#[derive(Debug)]
pub enum Input {
    /// A stream was opened by the agent with this UUID in its certificate.
    Opened {
        /// The stream; later ones have higher numbers.
        session: SessionId,
        /// The cluster.
        cluster: ClusterId,
        /// Which of its joins the certificate came from.
        rejoin: RejoinSerial,
    },
    /// A stream ended.
    Closed(SessionId),
    /// A frame came.
    Frame(SessionId, Box<AgentFrame>),
    /// The fleet's source was read.
    Fleet(Box<FleetRead>),
    /// The fleet's source cannot be read, or can again.
    FleetProblem(Option<SourceProblem>),
    /// All apps of one repository, rendered at one look at it (M5).
    Rendered {
        /// What came of each.
        apps: BTreeMap<AppId, RenderedApp>,
        /// New releases and manifests, to be stored with the decision that names them.
        content: Vec<StoreOp>,
    },
    /// A repository cannot be reached, or can again.
    RepositoryProblem {
        /// The repository, normalised.
        repository: String,
        /// What is wrong; absent when nothing is any more.
        problem: Option<SourceProblem>,
    },
    /// An operator or an enrolling agent asks for something.
    Request(Ticket, Box<Request>),
    /// Nobody waits for this answer any more.
    Abandoned(Ticket),
    /// The hub stops: every stream is ended with a word.
    Stop,
    /// Time has passed.
    Tick,
}

/// The hub.
#[derive(Debug)]
pub struct HubMachine {
    installation: InstallationId,
    registry: Registry,
    links: BTreeMap<ClusterId, HubLink>,
    sessions: BTreeMap<SessionId, ClusterId>,
    fleet: Fleet,
    /// The newest read of the fleet's source.
    base: Option<FleetRead>,
    /// The same with what apps bring, as of the last decision.
    read: Option<FleetRead>,
    families: BTreeMap<AppId, Family>,
    /// When sync windows of apps that bring documents are looked at again, in elapsed milliseconds.
    look_again: Option<u64>,
    fleet_problem: Option<SourceProblem>,
    rendered: BTreeMap<AppId, RenderedApp>,
    repository_problems: BTreeMap<String, SourceProblem>,
    /// What the last decision says of apps, with when each was first said.
    conditions: BTreeMap<AppId, BTreeMap<Condition, WallTime>>,
    /// What is wrong with the fleet as a whole, with when it was first said.
    fleet_conditions: BTreeMap<Condition, WallTime>,
    /// What agents say of apps, with when the hub first heard it.
    heard: BTreeMap<(ClusterId, AppId), BTreeMap<Condition, WallTime>>,
    fresh: BTreeSet<AppId>,
    failing: BTreeSet<AppId>,
    mass_loss: Option<MassLoss>,
    confirmed_loss: Option<Digest>,
    emptied: BTreeSet<(ClusterId, AppId, DeletionId)>,
    released: BTreeSet<(ClusterId, AppId)>,
    /// Clusters whose agent lacks something, since when.
    behind: BTreeMap<ClusterId, MonoTime>,
    told: Option<(BTreeSet<AppId>, Result<(), String>)>,
    events: Events,
    pending: BTreeMap<CommandId, Pending>,
    /// Bundles that are being made.
    exports: BTreeMap<ExportId, Making>,
    next_export: u64,
    dirty: bool,
    collect_at: u64,
    may_collect: bool,
}

// === impl HubMachine ===

impl HubMachine {
    /// Reads what was durable, and publishes it.
    pub fn load(
        installation: InstallationId,
        context: &mut Context<'_>,
    ) -> Result<(Self, Effects), StoreError> {
        let registry = Registry::load(context.store, installation)?;
        let mut links = BTreeMap::new();
        for cluster in registry.by_name().values() {
            links.insert(*cluster, HubLink::load(context.store, *cluster, installation)?);
        }
        let mut this = Self {
            installation,
            registry,
            links,
            sessions: BTreeMap::new(),
            fleet: Fleet::load(context.store, installation)?,
            base: None,
            read: None,
            families: BTreeMap::new(),
            look_again: None,
            fleet_problem: None,
            rendered: BTreeMap::new(),
            repository_problems: BTreeMap::new(),
            conditions: BTreeMap::new(),
            fleet_conditions: BTreeMap::new(),
            heard: BTreeMap::new(),
            fresh: BTreeSet::new(),
            failing: BTreeSet::new(),
            mass_loss: None,
            confirmed_loss: get_as(context.store, REGISTRY_META, CONFIRMED_LOSS)?,
            emptied: BTreeSet::new(),
            released: BTreeSet::new(),
            behind: BTreeMap::new(),
            told: None,
            events: Events::default(),
            pending: BTreeMap::new(),
            exports: BTreeMap::new(),
            next_export: 0,
            dirty: true,
            collect_at: 0,
            may_collect: true,
        };
        for cluster in this.links.keys().copied().collect::<Vec<_>>() {
            this.look_at_statuses(cluster);
            this.hear_all(cluster, context.now);
            this.look_at_acknowledged(cluster);
        }
        let mut effects = Effects::default();
        this.settle(context, &mut effects)?;
        Ok((this, effects))
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, context: &mut Context<'_>) -> Result<Effects, StoreError> {
        let mut effects = Effects::default();
        self.take(input, context, &mut effects)?;
        self.take_due(context, &mut effects)?;
        self.settle(context, &mut effects)?;
        Ok(effects)
    }

    /// Gives the elapsed milliseconds at which an [`Input::Tick`] is due.
    pub fn next_timer(&self) -> Option<u64> {
        let collect = self.may_collect.then_some(self.collect_at);
        self.links.values().filter_map(HubLink::next_timer).chain(collect).chain(self.look_again).min()
    }

    fn take(
        &mut self,
        input: Input,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        match input {
            Input::Opened { session, cluster, rejoin } => {
                self.opened(session, (cluster, rejoin), context, effects);
            }
            Input::Closed(session) => {
                if let Some(cluster) = self.sessions.remove(&session)
                    && let Some(link) = self.links.get_mut(&cluster)
                {
                    let link = link.disconnected(session, context.now);
                    self.absorb(cluster, link, context.now, effects);
                }
            }
            Input::Frame(session, frame) => {
                // A frame of a stream that was closed says nothing.
                let Some(cluster) = self.sessions.get(&session).copied() else { return Ok(()) };
                if let AgentFrame::Journal(batch) = frame.as_ref() {
                    let revisions = self.revisions_of(cluster, batch);
                    if let Some(link) = self.links.get_mut(&cluster) {
                        link.set_revisions(revisions);
                    }
                }
                if let Some(link) = self.links.get_mut(&cluster) {
                    let link = link.received(session, *frame, &mut link_context(context, context.store))?;
                    self.absorb(cluster, link, context.now, effects);
                }
            }
            Input::Fleet(read) => self.take_read(*read, context, effects),
            Input::FleetProblem(problem) => self.take_fleet_problem(problem, context, effects),
            Input::Rendered { apps, content } => self.take_rendered(apps, content, context, effects)?,
            Input::RepositoryProblem { repository, problem } => {
                match problem {
                    Some(problem) => self.repository_problems.insert(repository, problem),
                    None => self.repository_problems.remove(&repository),
                };
                self.dirty = true;
            }
            Input::Request(ticket, request) => self.request(ticket, *request, context, effects)?,
            Input::Abandoned(ticket) => self.abandon(ticket),
            Input::Stop => {
                for cluster in self.links.keys().copied().collect::<Vec<_>>() {
                    let Some(link) = self.links.get_mut(&cluster) else { continue };
                    let link = link.stop();
                    self.absorb(cluster, link, context.now, effects);
                }
            }
            Input::Tick => {
                self.dirty |= self.look_again.is_some_and(|at| at <= context.now.ms());
                for cluster in self.links.keys().copied().collect::<Vec<_>>() {
                    let Some(link) = self.links.get_mut(&cluster) else { continue };
                    let link = link.tick(context.now);
                    self.absorb(cluster, link, context.now, effects);
                }
            }
        }
        Ok(())
    }

    /// Gives the commits of the releases that rows of a journal name.
    fn revisions_of(&self, cluster: ClusterId, batch: &JournalBatch) -> BTreeMap<(AppId, Root), String> {
        let placements = self.fleet.placements();
        let named = crate::journal::releases_of(batch).into_iter().filter_map(|(app, root)| {
            let placement = placements.get(&(cluster, app.clone()))?;
            Some(((app, root), placement.commit_of(root)?.to_owned()))
        });
        named.collect()
    }

    fn opened(
        &mut self,
        session: SessionId,
        (cluster, rejoin): (ClusterId, RejoinSerial),
        context: &Context<'_>,
        effects: &mut Effects,
    ) {
        let link = self.links.get_mut(&cluster);
        let (reason, message) = match (self.registry.standing(cluster, rejoin), link) {
            (Standing::Member, Some(link)) => {
                self.sessions.insert(session, cluster);
                let link = link.connected(session, context.now);
                self.absorb(cluster, link, context.now, effects);
                return;
            }
            (Standing::Revoked, _) => (RefusalReason::Revoked, "this cluster was revoked"),
            (Standing::Superseded, _) => (
                RefusalReason::Revoked,
                "this certificate was revoked when the cluster was asked to join again: run the agent with the newest \
                 join string, argosy cluster add NAME --rejoin makes one",
            ),
            (Standing::Unknown | Standing::Member, _) => (
                RefusalReason::Unregistered,
                "this cluster is in no registry of this hub: add it and enrol again",
            ),
        };
        let refusal = Refusal { reason, message: message.to_owned() };
        effects.frames.push((session, HubFrame::Refused(refusal.clone())));
        effects.close.push((session, HubClosing::Refuses(refusal)));
        let name = self.registry.name_of(cluster).map(str::to_owned);
        let message =
            format!("an agent with a valid certificate of cluster {cluster} was refused: {message}");
        self.tell(Severity::Warning, "AgentRefused", message, name, None, context.now, effects);
    }

    /// Takes what a link's machine wants done.
    fn absorb(&mut self, cluster: ClusterId, link: HubEffects, now: Now, effects: &mut Effects) {
        let HubEffects { ops, frames, close, events } = link;
        effects.ops.extend(ops);
        effects.frames.extend(frames);
        effects.close.extend(close);
        for event in events {
            self.link_event(cluster, event, now, effects);
        }
    }

    fn link_event(&mut self, cluster: ClusterId, event: HubEvent, now: Now, effects: &mut Effects) {
        let name = self.registry.name_of(cluster).map(str::to_owned);
        let (severity, reason, message) = match event {
            HubEvent::Acknowledged { .. } => {
                self.look_at_acknowledged(cluster);
                self.look_behind(cluster, now);
                self.may_collect = true;
                return;
            }
            HubEvent::Status(apps) => {
                self.look_at_statuses(cluster);
                for app in &apps {
                    self.hear(cluster, app, now);
                }
                self.progress_of(cluster, &apps, effects);
                return;
            }
            HubEvent::Command(update) => {
                self.command_moved(update, effects);
                return;
            }
            HubEvent::Connected { read_only: None, .. } => {
                (Severity::Info, "Connected", "the agent is connected".to_owned())
            }
            HubEvent::Connected { read_only: Some(why), .. } => {
                (Severity::Warning, "Connected", format!("the agent is connected and only reads: {why}"))
            }
            HubEvent::JournalGap { from, to } => (
                Severity::Warning,
                "JournalGap",
                format!("rows {from} to {to} of its journal were dropped before they came here"),
            ),
            HubEvent::JournalRefused { why } => {
                (Severity::Error, "JournalRefused", format!("rows of its journal are refused: {why}"))
            }
            HubEvent::Paused(Some(paused)) => (
                Severity::Warning,
                "Paused",
                format!("{}: nothing is written to the cluster", paused.words()),
            ),
            HubEvent::Paused(None) => {
                (Severity::Info, "Resumed", "the pause at the edge has ended".to_owned())
            }
            HubEvent::Disconnected { .. } => {
                (Severity::Warning, "Disconnected", "the agent's stream ended".to_owned())
            }
            HubEvent::AgentRefused(refusal) => (
                Severity::Error,
                "RefusedByAgent",
                format!("the agent refuses what the hub sent: {}", refusal.message),
            ),
            HubEvent::UnknownChain { why } => (
                Severity::Error,
                "UnknownChain",
                format!(
                    "{why}; the hub begins a new chain that repeats the agent's list, and all deletes are held until: \
                     argosy cluster reconcile {}",
                    name.as_deref().unwrap_or_default()
                ),
            ),
            HubEvent::Cloned { known, other } => (
                Severity::Error,
                "Cloned",
                format!(
                    "two clusters use one identity (kube-system {known} and {other}): neither is served until: \
                     argosy cluster reconcile {} --keep UID",
                    name.as_deref().unwrap_or_default()
                ),
            ),
            HubEvent::Refused { refusal, .. } => {
                (Severity::Warning, "AgentRefused", format!("the agent was refused: {}", refusal.message))
            }
        };
        self.tell(severity, reason, message, name, None, now, effects);
    }

    #[expect(clippy::too_many_arguments, reason = "an event is said in one line where it happens")]
    fn tell(
        &mut self,
        severity: Severity,
        reason: &'static str,
        message: String,
        cluster: Option<String>,
        app: Option<AppId>,
        now: Now,
        effects: &mut Effects,
    ) {
        let event = self.events.push(severity, reason, message, cluster, app, now);
        effects.events.push(event);
    }
}

fn link_context<'b>(context: &'b mut Context<'_>, store: &'b dyn StoreRead) -> HubContext<'b> {
    HubContext {
        now: context.now,
        store,
        codec: context.codec,
        signer: context.signer,
        verifier: context.verifier,
        entropy: &mut *context.entropy,
    }
}

/// Reads a status; one that a newer agent wrote otherwise is as good as none.
fn read_status(value: &[u8]) -> Option<AppStatus> {
    minicbor::decode(value).ok()
}
