//! The whole agent as one state machine: the link's end and the reconciler, joined.
//!
//! The shell feeds it frames, answers, watch events and time, and carries out what each input leads to: first the
//! transaction, then the anchor, then everything else. A simulation does the same from one seed.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::{Answer, ApiError, Kinds, Request, RequestId, WatchEvent};
use crate::desired::{Anchor, Assignment, VerifyHead};
use crate::governor::ConfirmError;
use crate::ids::{AppId, CommandId, Digest};
use crate::key::GroupKind;
use crate::reconcile::{CommandOutcome, Event, Output, Reconciler};
use crate::release::{Release, Root};
use crate::session::agent::{
    AgentContext, AgentEffects, AgentEvent, AgentIdentity, AgentLink, Closing, Pins, STATUS_LIMIT,
};
use crate::session::frame::{
    AgentFrame, ClusterFacts, Command, CommandKind, CommandState, CommandUpdate, HubFrame,
};
use crate::session::tables as link_tables;
use crate::store::{StoreError, StoreOp, StoreRead, Table, encode};
use crate::time::{Entropy, Now};

/// How often what nothing names any more is dropped.
const COLLECT_MS: u64 = 10_000;

/// All tables of an agent's store.
pub const TABLES: &[Table] = &[
    link_tables::HEAD,
    link_tables::LIST,
    link_tables::RELEASES,
    link_tables::MANIFESTS,
    link_tables::ASSIGNED,
    link_tables::OUTBOX,
    link_tables::LINK_META,
    link_tables::COMMANDS,
    crate::reconcile::tables::INVENTORY,
    crate::reconcile::tables::OPERATIONS,
    crate::reconcile::tables::ATTEMPTS,
    crate::reconcile::tables::GOVERNOR,
    crate::reconcile::tables::CONFIRMED,
    crate::reconcile::tables::FACTS,
    crate::reconcile::tables::INGESTED,
];

/// What one input leads to, in the order in which it is carried out.
#[derive(Debug, Default)]
#[must_use = "effects that are not carried out are lost"]
pub struct Effects {
    /// One transaction, durable before anything else.
    pub ops: Vec<StoreOp>,
    /// Where the chain stands, durable before any frame.
    pub anchor: Option<Anchor>,
    /// Frames for the open stream.
    pub frames: Vec<AgentFrame>,
    /// Ends the stream after those frames.
    pub close: Option<Closing>,
    /// Opens a stream.
    pub dial: bool,
    /// Requests to the API server.
    pub requests: Vec<(RequestId, Request)>,
    /// Asks for a new discovery.
    pub discover: bool,
    /// For logs and events.
    pub notices: Vec<Notice>,
}

/// Something to log.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// Of the link.
    Link(AgentEvent),
    /// Of an app.
    App(Event),
}

/// What every input brings along.
pub struct Context<'a> {
    /// What time it is.
    pub now: Now,
    /// The store, with every earlier transaction.
    pub store: &'a dyn StoreRead,
    /// Decompresses manifests.
    pub codec: &'a dyn crate::session::bulk::Codec,
    /// Verifies heads.
    pub verifier: &'a dyn VerifyHead,
    /// Randomness.
    pub entropy: &'a mut dyn Entropy,
}

/// An input of the agent.
#[derive(Debug)]
pub enum Input {
    /// A stream is open.
    Connected(ClusterFacts),
    /// The stream ended, or could not be opened.
    Disconnected,
    /// The cluster said who and what it is.
    Facts(ClusterFacts),
    /// A frame came.
    Frame(HubFrame),
    /// An answer of the API server.
    Answer(RequestId, Result<Answer, ApiError>),
    /// What a watch saw.
    Watch(GroupKind, WatchEvent),
    /// A discovery that succeeded.
    Kinds(Kinds),
    /// Whether this process may write and dial, or why not (M24, M15).
    Writer {
        /// Why it only reads.
        read_only: Option<String>,
        /// Whether it dials.
        may_dial: bool,
    },
    /// An operator at the edge confirms held deletes.
    Confirm {
        /// Which app.
        app: AppId,
        /// Which plan.
        plan: Digest,
    },
    /// Time has passed.
    Tick,
}

/// The agent.
pub struct AgentMachine {
    link: AgentLink,
    reconciler: Reconciler,
    waiting_reads: BTreeSet<CommandId>,
    read_only: Option<String>,
    facts: Option<ClusterFacts>,
    collect_at: u64,
    may_collect: bool,
    confirm_result: Option<Result<(), ConfirmError>>,
}

impl AgentMachine {
    /// Reads what was durable, and goes on with the commands that had begun.
    pub fn load(identity: AgentIdentity, context: &mut Context<'_>) -> Result<(Self, Effects), StoreError> {
        let link = AgentLink::load(context.store, identity, context.verifier, context.entropy)?;
        let mut reconciler = Reconciler::load(context.store, identity.installation, context.now)?;
        if link.is_rolled_back() {
            reconciler.distrust();
        }
        let mut this = Self {
            link,
            reconciler,
            waiting_reads: BTreeSet::new(),
            read_only: Some("starting".to_owned()),
            facts: None,
            collect_at: 0,
            may_collect: true,
            confirm_result: None,
        };
        let mut effects = Effects::default();
        this.follow_link(context)?;
        let running = this.reconciler.running_commands();
        for (command, state) in this.link.open_commands(context.now) {
            if state == CommandState::Accepted || !running.contains(&command.id) {
                this.begin(command, context, &mut effects);
            }
        }
        this.turn(context, &mut effects)?;
        Ok((this, effects))
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, context: &mut Context<'_>) -> Result<Effects, StoreError> {
        let mut effects = Effects::default();
        self.take(input, context, &mut effects)?;
        self.turn(context, &mut effects)?;
        Ok(effects)
    }

    fn take(
        &mut self,
        input: Input,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        match input {
            Input::Connected(facts) => {
                let read_only = self.read_only.clone();
                let link = self.link.connected(facts, read_only, &mut link_context(context));
                self.absorb(link, context, effects)?;
            }
            Input::Disconnected => {
                let link = self.link.disconnected(&mut link_context(context));
                self.absorb(link, context, effects)?;
            }
            Input::Facts(facts) => self.facts = Some(facts),
            Input::Frame(frame) => {
                let link = self.link.received(frame, &mut link_context(context))?;
                self.absorb(link, context, effects)?;
            }
            Input::Answer(id, answer) => self.reconciler.answered(id, answer, context.now, context.entropy),
            Input::Watch(kind, event) => self.reconciler.watched(&kind, event, context.now),
            Input::Kinds(kinds) => self.reconciler.set_kinds(kinds, context.store, context.now)?,
            Input::Writer { read_only, may_dial } => {
                self.read_only = read_only;
                let link = self.link.allow_dialing(may_dial, &link_context(context));
                self.absorb(link, context, effects)?;
            }
            Input::Confirm { app, plan } => self.confirm_result = Some(self.reconciler.confirm(&app, plan)),
            Input::Tick => {
                let link = self.link.tick(&mut link_context(context));
                self.absorb(link, context, effects)?;
            }
        }
        Ok(())
    }

    /// Takes the result of the last [`Input::Confirm`].
    pub fn take_confirm_result(&mut self) -> Option<Result<(), ConfirmError>> {
        self.confirm_result.take()
    }

    /// Gives the elapsed milliseconds at which a [`Input::Tick`] is due.
    pub fn next_timer(&self, now: Now) -> Option<u64> {
        let collect = self.may_collect.then_some(self.collect_at);
        [self.link.next_timer(now), self.reconciler.next_timer(), collect].into_iter().flatten().min()
    }

    /// Gives the kinds that must be watched, each with the generation of its watch: one of another generation begins with a
    /// list.
    pub fn watch_generations(&self) -> BTreeMap<GroupKind, u64> {
        self.reconciler.watch_generations()
    }

    /// Gives the link's end.
    pub fn link(&self) -> &AgentLink {
        &self.link
    }

    /// Gives the reconciler.
    pub fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// Gives why nothing is written, if nothing is.
    pub fn read_only(&self) -> Option<String> {
        let rolled_back = self
            .link
            .is_rolled_back()
            .then(|| "the store is older than what was acknowledged: waiting for the hub".to_owned());
        self.read_only.clone().or(rolled_back)
    }

    /// Carries an input through to rest: the reconciler's turn, what it reports, and what nothing names any more.
    fn turn(&mut self, context: &mut Context<'_>, effects: &mut Effects) -> Result<(), StoreError> {
        let read_only = self.read_only();
        self.reconciler.set_read_only(read_only);
        let link = self.link.describe(self.facts.as_ref(), self.read_only.clone(), context.now);
        self.absorb(link, context, effects)?;
        if self.reconciler.is_observing() {
            self.link.observed(context.now.mono);
        }
        // What this input's transaction adds is assigned already.
        let staged = Staged { base: context.store, ops: &effects.ops };
        let output = self.reconciler.turn(&staged, context.now)?;
        self.emit(output, context, effects)?;
        if self.may_collect && context.now.ms() >= self.collect_at {
            self.collect(context, effects)?;
        }
        Ok(())
    }

    fn emit(
        &mut self,
        output: Output,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        // An operation that ended, or an object that is applied anew, may have been the last to name something.
        self.may_collect |= !output.ops.is_empty();
        effects.ops.extend(output.ops);
        effects.requests.extend(output.requests);
        effects.discover |= output.discover;
        effects.notices.extend(output.events.into_iter().map(Notice::App));
        for (app, status) in output.statuses {
            let value = status.as_ref().map(|status| status.to_bytes(STATUS_LIMIT));
            let link = self.link.set_status(app, value, context.now);
            self.absorb(link, context, effects)?;
        }
        for outcome in output.outcomes {
            self.outcome(outcome, context, effects)?;
        }
        Ok(())
    }

    fn outcome(
        &mut self,
        outcome: CommandOutcome,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let CommandOutcome { id, state, message, payload } = outcome;
        if state.is_final() {
            self.waiting_reads.remove(&id);
        }
        let link = self.link.command_update(CommandUpdate { id, state, message, payload }, context.now);
        self.absorb(link, context, effects)
    }

    fn absorb(
        &mut self,
        link: AgentEffects,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let AgentEffects { ops, anchor, frames, close, events } = link;
        effects.ops.extend(ops);
        effects.anchor = anchor.or(effects.anchor);
        effects.frames.extend(frames);
        effects.close = close.or(effects.close.take());
        let mut desired = false;
        for event in events {
            match &event {
                AgentEvent::Dial => effects.dial = true,
                AgentEvent::Command(command) => self.begin(command.clone(), context, effects),
                AgentEvent::CommandExpired(id) => self.reconciler.forget_command(*id),
                AgentEvent::ReadsEnded(ids) => {
                    for id in ids {
                        self.waiting_reads.remove(id);
                    }
                }
                AgentEvent::ListAccepted { .. }
                | AgentEvent::EntriesVerified(_)
                | AgentEvent::Assigned(_)
                | AgentEvent::InSync => {
                    desired = true;
                }
                AgentEvent::Welcomed(_) | AgentEvent::Warning(_) => {}
            }
            effects.notices.push(Notice::Link(event));
        }
        if desired {
            self.may_collect = true;
            let staged = Staged { base: context.store, ops: &effects.ops };
            let (list, assigned, verified) = desired_of(&self.link)?;
            self.reconciler.set_announced(announced(&self.link, &staged)?);
            self.reconciler.set_desired(list, &assigned, verified, &staged, context.now)?;
        }
        Ok(())
    }

    fn follow_link(&mut self, context: &Context<'_>) -> Result<(), StoreError> {
        let (list, assigned, verified) = desired_of(&self.link)?;
        self.reconciler.set_announced(announced(&self.link, context.store)?);
        self.reconciler.set_desired(list, &assigned, verified, context.store, context.now)
    }

    fn begin(&mut self, command: Command, context: &mut Context<'_>, effects: &mut Effects) {
        let id = command.id;
        let outcome = match command.kind {
            CommandKind::Sync { app, expect, prune } => {
                self.reconciler.sync(id, &app, expect, prune);
                None
            }
            CommandKind::Confirm { app, plan } => Some(match self.reconciler.confirm(&app, plan) {
                Ok(()) => (CommandState::Succeeded, "confirmed".to_owned(), Vec::new()),
                Err(error) => (CommandState::Failed, error.to_string(), Vec::new()),
            }),
            CommandKind::Refresh { app } => {
                self.reconciler.refresh(&app, context.now);
                Some((CommandState::Succeeded, "looking again".to_owned(), Vec::new()))
            }
            CommandKind::Resources { app } => {
                let rows = self.reconciler.rows(&app, context.now);
                Some((CommandState::Succeeded, String::new(), encode(&rows)))
            }
        };
        if let Some((state, message, payload)) = outcome {
            let link = self.link.command_update(CommandUpdate { id, state, message, payload }, context.now);
            effects.ops.extend(link.ops);
            effects.frames.extend(link.frames);
        }
    }

    fn collect(&mut self, context: &mut Context<'_>, effects: &mut Effects) -> Result<(), StoreError> {
        self.collect_at = context.now.ms().saturating_add(COLLECT_MS);
        self.may_collect = false;
        let pins =
            Pins { roots: self.reconciler.pinned_roots(), manifests: self.reconciler.pinned_manifests() };
        // What this turn's transaction adds is in memory already, so it is pinned like the rest.
        let staged = Staged { base: context.store, ops: &effects.ops };
        let ops = self.link.collect(&pins, &staged)?;
        let mut roots = BTreeSet::new();
        let mut manifests = BTreeSet::new();
        for op in &ops {
            if let StoreOp::Delete { table, key } = op {
                let digest = Digest::from_slice(key);
                if *table == link_tables::RELEASES {
                    roots.extend(digest.map(Root));
                } else if *table == link_tables::MANIFESTS {
                    manifests.extend(digest);
                }
            }
        }
        effects.ops.extend(ops);
        self.reconciler.collected(&roots, &manifests);
        let output = self.reconciler.take_output();
        effects.ops.extend(output.ops);
        Ok(())
    }
}

fn link_context<'b>(context: &'b mut Context<'_>) -> AgentContext<'b> {
    AgentContext {
        now: context.now,
        store: context.store,
        codec: context.codec,
        verifier: context.verifier,
        entropy: &mut *context.entropy,
    }
}

type Desired<'a> = (Option<&'a crate::desired::DesiredList>, BTreeMap<AppId, Assignment>, bool);

fn desired_of(link: &AgentLink) -> Result<Desired<'_>, StoreError> {
    let mut assigned = BTreeMap::new();
    for app in link.assigned_apps() {
        if let Some(bytes) = link.assigned(app) {
            assigned.insert(app.clone(), crate::store::decode(link_tables::ASSIGNED, bytes)?);
        }
    }
    Ok((link.list(), assigned, link.all_releases_verified()))
}

/// Gives the verified entries of every listed release that its app has not switched to.
fn announced(link: &AgentLink, store: &dyn StoreRead) -> Result<BTreeMap<Root, Release>, StoreError> {
    let mut announced = BTreeMap::new();
    for (app, element) in link.list().into_iter().flat_map(crate::desired::DesiredList::elements) {
        let root = element.assignment.root;
        if link.assigned(app) == Some(element.bytes.as_slice()) || announced.contains_key(&root) {
            continue;
        }
        if let Some(release) = link.entries(root, store)? {
            announced.insert(root, release);
        }
    }
    Ok(announced)
}

/// A store as it will be after a transaction that is not carried out yet.
struct Staged<'a> {
    base: &'a dyn StoreRead,
    ops: &'a [StoreOp],
}

impl StoreRead for Staged<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        for op in self.ops.iter().rev() {
            match op {
                StoreOp::Put { table: of, key: at, value } if *of == table && at == key => {
                    return Ok(Some(value.clone()));
                }
                StoreOp::Delete { table: of, key: at } if *of == table && at == key => return Ok(None),
                StoreOp::Put { .. } | StoreOp::Delete { .. } => {}
            }
        }
        self.base.get(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = self.base.scan(table, prefix)?.into_iter().collect();
        for op in self.ops {
            match op {
                StoreOp::Put { table: of, key, value } if *of == table && key.starts_with(prefix) => {
                    rows.insert(key.clone(), value.clone());
                }
                StoreOp::Delete { table: of, key } if *of == table => {
                    rows.remove(key);
                }
                StoreOp::Put { .. } | StoreOp::Delete { .. } => {}
            }
        }
        Ok(rows.into_iter().collect())
    }
}
