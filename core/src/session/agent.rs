//! The agent's end of the link.
//!
//! Holds the newest verified list, receives releases, keeps the newest status of every app for the hub, and admits
//! commands. Everything it says was durable before (see [`crate::session`]).

mod commands;
mod downloads;
mod effects;
mod frames;
mod heads;
mod import;
mod meter;
mod outbox;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use downloads::{Pins, Progress};
pub use effects::{AgentEffects, AgentEvent, Closing};
pub use import::ImportResult;

use crate::backoff::Backoff;
use crate::desired::{Anchor, DesiredList, SignedHead, VerifyHead};
use crate::ids::{AppId, ClusterId, InstallationId};
use crate::journal::JournalBatch;
use crate::pause::PauseOrder;
use crate::release::{Release, Root};
use crate::session::RECONNECT_WITHIN;
use crate::session::bulk::Codec;
use crate::session::frame::{
    AgentFrame, CAPABILITIES, ClusterFacts, Command, CommandState, CommandUpdate, Hello, HubFrame, PROTOCOL,
    RefusalReason,
};
use crate::session::list::ListPatch;
use crate::session::liveness::Liveness;
use crate::session::tables::get_release;
use crate::store::{StoreError, StoreOp, StoreRead};
use crate::time::{Entropy, MonoTime, Now, millis};

use commands::Commands;
use downloads::Downloads;
use import::Import;
use meter::Meter;
use outbox::Outbox;
pub(crate) use outbox::STATUS_LIMIT;

/// Ceiling of the first delay before dialling again.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// Who an agent is: what lies beside its store (M23).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentIdentity {
    /// Its cluster.
    pub cluster: ClusterId,
    /// The hub's installation that it joined.
    pub installation: InstallationId,
    /// Where its chain stands; absent before the first head.
    pub anchor: Option<Anchor>,
}

/// What every input of the machine brings along.
pub struct AgentContext<'a> {
    /// What time it is.
    pub now: Now,
    /// The store, with every transaction of earlier effects.
    pub store: &'a dyn StoreRead,
    /// Decompresses manifests.
    pub codec: &'a dyn Codec,
    /// Verifies heads against the pinned key.
    pub verifier: &'a dyn VerifyHead,
    /// Randomness.
    pub entropy: &'a mut dyn Entropy,
}

/// The agent's end of the link.
#[derive(Debug, Clone)]
pub struct AgentLink {
    identity: AgentIdentity,
    held: Option<SignedHead>,
    list: Option<DesiredList>,
    rolled_back: bool,
    outbox: Outbox,
    commands: Commands,
    downloads: Downloads,
    /// The bundle that is being read.
    import: Option<Box<Import>>,
    connection: Connection,
    may_dial: bool,
    paused: Option<PauseOrder>,
    backoff: Backoff,
    observed: Option<MonoTime>,
    /// The watermark that the hub was told last.
    told: Option<MonoTime>,
}

#[derive(Debug, Clone)]
enum Connection {
    /// Not connected; dials at this point.
    Idle { dial_at: u64 },
    /// The shell was asked to open a stream.
    Dialing,
    /// A stream is open.
    Open(Box<Session>),
    /// The shell was asked to end the stream.
    Closing,
}

#[derive(Debug, Clone)]
struct Session {
    liveness: Liveness,
    welcomed: bool,
    /// Whether the hub has said which list is the newest.
    ready: bool,
    patch: Option<ListPatch>,
    meter: Meter,
    /// What the hub was told of the cluster, and of why nothing is written.
    facts: ClusterFacts,
    read_only: Option<String>,
    paused: Option<PauseOrder>,
}

impl AgentLink {
    /// Reads and verifies what the store holds. A store below its anchor was rolled back: the agent only reads until
    /// the hub has filled it.
    pub fn load(
        store: &dyn StoreRead,
        identity: AgentIdentity,
        verifier: &dyn VerifyHead,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, StoreError> {
        let (held, list) = match heads::load(store, identity.cluster, verifier)? {
            Some((held, list)) => (Some(held), Some(list)),
            None => (None, None),
        };
        let rolled_back = identity.anchor.is_some_and(|anchor| heads::is_below(held.as_ref(), &anchor));
        Ok(Self {
            identity,
            rolled_back,
            outbox: Outbox::load(store, rolled_back, entropy)?,
            commands: Commands::load(store)?,
            downloads: Downloads::load(store, list.as_ref())?,
            held,
            list,
            import: None,
            connection: Connection::Idle { dial_at: 0 },
            may_dial: true,
            paused: None,
            backoff: Backoff::new(FIRST_DELAY, RECONNECT_WITHIN),
            observed: None,
            told: None,
        })
    }

    /// A stream to the hub is open. `read_only` says why the rest of the agent writes nothing, if it does not.
    pub fn connected(
        &mut self,
        facts: ClusterFacts,
        read_only: Option<String>,
        context: &mut AgentContext<'_>,
    ) -> AgentEffects {
        let mut effects = AgentEffects::default();
        if !self.may_dial {
            self.connection = Connection::Closing;
            effects.close = Some(Closing::Withdrawn);
            return effects;
        }
        let hello = self.hello(facts.clone(), read_only, context.now, &mut effects);
        self.downloads.connected();
        self.outbox.disconnected();
        self.told = None;
        let (read_only, paused) = (hello.read_only.clone(), self.paused.clone());
        effects.frames.push(AgentFrame::Hello(Box::new(hello)));
        self.connection = Connection::Open(Box::new(Session {
            liveness: Liveness::new(context.now),
            welcomed: false,
            ready: false,
            patch: None,
            meter: Meter::new(),
            facts,
            read_only,
            paused,
        }));
        effects
    }

    /// Says what this agent is and holds; to name the head is to acknowledge it.
    fn hello(
        &mut self,
        facts: ClusterFacts,
        read_only: Option<String>,
        now: Now,
        effects: &mut AgentEffects,
    ) -> Hello {
        // A crash between the store's transaction and the anchor's.
        let anchor = self.held.as_ref().map(|held| Anchor::of(&held.head));
        if !self.rolled_back && anchor != self.identity.anchor {
            self.identity.anchor = anchor;
            effects.anchor = anchor;
        }
        let (statement, ops) = self.outbox.speaks();
        effects.ops.extend(ops);
        Hello {
            protocol: PROTOCOL,
            capabilities: BTreeSet::from(CAPABILITIES.map(str::to_owned)),
            facts,
            head: self.held,
            anchor: self.identity.anchor,
            incarnation: self.outbox.incarnation(),
            status_sequence: self.outbox.last(),
            read_only: self.why_read_only(read_only),
            paused: self.paused.as_ref().map(|paused| paused.told(now)),
            statement: Some(statement),
        }
    }

    /// Says what is known of the cluster, and why the rest of the agent writes nothing, if it does not: what has changed
    /// since `Hello` is told.
    pub fn describe(
        &mut self,
        facts: Option<&ClusterFacts>,
        read_only: Option<String>,
        now: Now,
    ) -> AgentEffects {
        let mut effects = AgentEffects::default();
        let read_only = self.why_read_only(read_only);
        let Connection::Open(session) = &mut self.connection else { return effects };
        let facts = facts.unwrap_or(&session.facts);
        let same = *facts == session.facts && read_only == session.read_only && self.paused == session.paused;
        if !session.welcomed || same {
            return effects;
        }
        session.facts = facts.clone();
        session.read_only.clone_from(&read_only);
        session.paused.clone_from(&self.paused);
        let paused = self.paused.as_ref().map(|paused| paused.told(now));
        effects.frames.push(AgentFrame::Facts { facts: session.facts.clone(), read_only, paused });
        self.sent(now, effects)
    }

    /// Notes that somebody at the edge stopped all writes, or that nobody does any more: the next
    /// [`Self::describe`] tells the hub.
    pub fn set_paused(&mut self, paused: Option<PauseOrder>) {
        self.paused = paused;
    }

    /// Says why nothing is written; a hub that knows of no pauses reads of it here.
    fn why_read_only(&self, read_only: Option<String>) -> Option<String> {
        read_only.or_else(|| self.distrust()).or_else(|| self.paused.as_ref().map(PauseOrder::words))
    }

    /// Says why a store that was rolled back is not trusted.
    fn distrust(&self) -> Option<String> {
        self.rolled_back.then(|| "the store is older than what was acknowledged".to_owned())
    }

    /// The stream ended, or could not be opened.
    pub fn disconnected(&mut self, context: &mut AgentContext<'_>) -> AgentEffects {
        let mut effects = AgentEffects::default();
        let delay = millis(self.backoff.next_delay(context.entropy));
        self.connection = Connection::Idle { dial_at: context.now.ms().saturating_add(delay) };
        self.downloads.disconnected();
        self.outbox.disconnected();
        let reads = self.commands.end_reads();
        if !reads.is_empty() {
            effects.events.push(AgentEvent::ReadsEnded(reads));
        }
        effects
    }

    /// Takes a frame of the stream that is open.
    pub fn received(
        &mut self,
        frame: HubFrame,
        context: &mut AgentContext<'_>,
    ) -> Result<AgentEffects, StoreError> {
        let mut effects = AgentEffects::default();
        let Connection::Open(session) = &mut self.connection else { return Ok(effects) };
        session.liveness.heard(context.now);
        let welcomed = session.welcomed;
        match frame {
            HubFrame::Alive => {}
            HubFrame::Refused(refusal) => self.refused(refusal, &mut effects),
            HubFrame::Welcome(welcome) if !welcomed => self.welcomed(welcome, context, &mut effects)?,
            HubFrame::Welcome(_) => self.refuse(RefusalReason::Malformed, "a second welcome", &mut effects),
            _ if !welcomed => {
                self.refuse(RefusalReason::Malformed, "a frame before the welcome", &mut effects);
            }
            HubFrame::InSync => self.in_sync(context, &mut effects)?,
            HubFrame::ListRequest => self.send_list(&mut effects),
            HubFrame::ListChanges { base, changes } => self.take_changes(base, changes, &mut effects),
            HubFrame::Head { epoch, generation, signature, unasked } => {
                self.take_head(epoch, generation, signature, &unasked, context, &mut effects)?;
            }
            HubFrame::Chunk(chunk) => self.take_chunk(&chunk, context, &mut effects)?,
            HubFrame::Gone(transfer) => {
                self.downloads.gone(transfer, &mut effects);
                self.follow(true, context, &mut effects)?;
            }
            HubFrame::StatusAck { sequence } => effects.ops.extend(self.outbox.acknowledged(sequence)),
            HubFrame::Command(command) => self.take_command(command, context, &mut effects),
            HubFrame::CommandDone(id) => effects.ops.extend(self.commands.done(id)),
            HubFrame::JournalAck { sequence } => effects.events.push(AgentEvent::JournalTaken(sequence)),
            HubFrame::JournalRefused { why } => effects.events.push(AgentEvent::JournalRefused(why)),
        }
        if welcomed && self.downloads.ask_again(context.now.ms()) {
            self.follow(true, context, &mut effects)?;
        }
        self.send_status(context.now, &mut effects);
        Ok(self.sent(context.now, effects))
    }

    /// Time has passed.
    pub fn tick(&mut self, context: &mut AgentContext<'_>) -> AgentEffects {
        let now = context.now;
        let mut effects = AgentEffects::default();
        let (ops, updates) = self.commands.expire(now);
        effects.ops.extend(ops);
        for update in updates {
            effects.events.push(AgentEvent::CommandExpired(update.id));
            self.send_update(update, &mut effects);
        }
        match &mut self.connection {
            Connection::Idle { dial_at } if self.may_dial && now.ms() >= *dial_at => {
                self.connection = Connection::Dialing;
                effects.events.push(AgentEvent::Dial);
            }
            Connection::Open(session) if session.liveness.is_dead(now) => {
                self.connection = Connection::Closing;
                effects.close = Some(Closing::Silent);
            }
            Connection::Open(session) if session.liveness.is_due(now) && effects.frames.is_empty() => {
                let unsaid = self.observed.filter(|observed| self.told != Some(*observed));
                let batch = unsaid.and_then(|observed| self.outbox.watermark(now, observed));
                self.told = batch.as_ref().map_or(self.told, |batch| batch.observed);
                effects.frames.push(batch.map_or(AgentFrame::Alive, AgentFrame::Status));
            }
            Connection::Idle { .. } | Connection::Dialing | Connection::Open(_) | Connection::Closing => {}
        }
        self.sent(now, effects)
    }

    /// Gives the point, in elapsed milliseconds, at which `tick` has something to do.
    pub fn next_timer(&self, now: Now) -> Option<u64> {
        let connection = match &self.connection {
            Connection::Idle { dial_at } if self.may_dial => Some(*dial_at),
            Connection::Open(session) => Some(session.liveness.next()),
            Connection::Idle { .. } | Connection::Dialing | Connection::Closing => None,
        };
        connection.into_iter().chain(self.commands.next(now)).min()
    }

    /// Says whether this agent may dial (M15); one that may not any more ends its stream.
    pub fn allow_dialing(&mut self, may_dial: bool, context: &AgentContext<'_>) -> AgentEffects {
        let mut effects = AgentEffects::default();
        if may_dial && !self.may_dial {
            self.backoff.reset();
            if let Connection::Idle { dial_at } = &mut self.connection {
                *dial_at = context.now.ms();
            }
        }
        self.may_dial = may_dial;
        if !may_dial && matches!(self.connection, Connection::Open(_)) {
            self.connection = Connection::Closing;
            effects.close = Some(Closing::Withdrawn);
        }
        effects
    }

    /// Sets the newest status of an app, as CBOR; absent for an app that left the cluster.
    pub fn set_status(&mut self, app: AppId, value: Option<Vec<u8>>, now: Now) -> AgentEffects {
        let mut effects = AgentEffects::default();
        if value.as_ref().is_some_and(|value| value.len() > STATUS_LIMIT) {
            effects
                .warn(format!("the status of {app} is larger than {STATUS_LIMIT} bytes and is not reported"));
            return effects;
        }
        effects.ops = self.outbox.set(app, value);
        self.send_status(now, &mut effects);
        self.sent(now, effects)
    }

    /// Everything up to this point was observed: unchanged statuses hold as of then.
    pub fn observed(&mut self, observed: MonoTime) {
        self.observed = Some(observed);
    }

    /// Sends rows of the journal.
    pub fn send_journal(&mut self, batch: JournalBatch, now: Now) -> AgentEffects {
        let mut effects = AgentEffects::default();
        if self.is_connected() {
            effects.frames.push(AgentFrame::Journal(batch));
        }
        self.sent(now, effects)
    }

    /// Gives the last point up to which everything was observed.
    pub fn observed_at(&self) -> Option<MonoTime> {
        self.observed
    }

    /// Notes how a command stands, and tells the hub.
    pub fn command_update(&mut self, update: CommandUpdate, now: Now) -> AgentEffects {
        let mut effects = AgentEffects::default();
        let update = if update.payload.len() > STATUS_LIMIT {
            let message = format!("the answer is larger than {STATUS_LIMIT} bytes");
            CommandUpdate { state: CommandState::Failed, message, payload: Vec::new(), ..update }
        } else {
            update
        };
        if let Some(ops) = self.commands.update(&update) {
            effects.ops = ops;
            self.send_update(update, &mut effects);
        }
        self.sent(now, effects)
    }

    /// Gives the newest verified list.
    pub fn list(&self) -> Option<&DesiredList> {
        self.list.as_ref()
    }

    /// Gives the head of that list.
    pub fn held(&self) -> Option<&SignedHead> {
        self.held.as_ref()
    }

    /// Gives the anchor.
    pub fn anchor(&self) -> Option<Anchor> {
        self.identity.anchor
    }

    /// Tells whether the store was found older than its anchor and the hub has not filled it yet: no writes then.
    pub fn is_rolled_back(&self) -> bool {
        self.rolled_back
    }

    /// Tells whether the hub has taken this agent in on the stream that is open.
    pub fn is_connected(&self) -> bool {
        matches!(&self.connection, Connection::Open(session) if session.welcomed)
    }

    /// Gives the bytes of the newest assignment of an app whose release is complete (M8).
    pub fn assigned(&self, app: &AppId) -> Option<&[u8]> {
        self.downloads.assigned(app)
    }

    /// Gives the apps that have such an assignment.
    pub fn assigned_apps(&self) -> impl Iterator<Item = &AppId> {
        self.downloads.assigned_apps()
    }

    /// Tells whether a release and all its manifests are here.
    pub fn is_complete(&self, root: Root) -> bool {
        self.downloads.is_complete(root)
    }

    /// Gives a release whose entries are verified, whether or not its manifests are here.
    pub fn entries(&self, root: Root, store: &dyn StoreRead) -> Result<Option<Release>, StoreError> {
        match self.downloads.incoming(root) {
            Some(release) => Ok(Some(release.clone())),
            None if self.downloads.is_complete(root) => get_release(store, root),
            None => Ok(None),
        }
    }

    /// Tells whether a list is held and the entries of all releases in it are verified: without that nothing may be
    /// deleted (M21).
    pub fn all_releases_verified(&self) -> bool {
        self.list.as_ref().is_some_and(|list| {
            list.elements().values().all(|element| {
                let root = element.assignment.root;
                self.downloads.is_complete(root) || self.downloads.incoming(root).is_some()
            })
        })
    }

    /// Gives how far each app's newest release has come.
    pub fn progress(&self) -> BTreeMap<AppId, Progress> {
        self.list.as_ref().map(|list| self.downloads.progress(list)).unwrap_or_default()
    }

    /// Gives the commands with an effect that have not ended: after a restart, the rest of the agent goes on with them.
    pub fn open_commands(&self, now: Now) -> Vec<(Command, CommandState)> {
        self.commands.open(now)
    }

    /// Gives the releases that the link needs.
    pub fn pinned(&self) -> BTreeSet<Root> {
        self.downloads.pinned(self.list.as_ref())
    }

    /// Drops the releases and manifests that neither the link nor `pins` name.
    pub fn collect(&mut self, pins: &Pins, store: &dyn StoreRead) -> Result<Vec<StoreOp>, StoreError> {
        self.downloads.collect(self.list.as_ref(), pins, store)
    }
}
