//! The whole agent as one state machine: the link's end and the reconciler, joined.
//!
//! The shell feeds it frames, answers, watch events and time, and carries out what each input leads to: first the
//! transaction, then the anchor, then everything else. A simulation does the same from one seed.

mod collect;
mod commands;
mod files;
mod given;
mod journal;
mod staged;

use std::collections::BTreeSet;

use crate::bundle::ImportStep;
use crate::cluster::{Answer, ApiError, Kinds, Request, RequestId, WatchEvent, WatchSet, Watched};
use crate::desired::{Anchor, VerifyHead};
use crate::governor::ConfirmError;
use crate::ids::{AppId, CommandId, Digest};
use crate::journal::{AppState, Recorder};
use crate::pause::PauseOrder;
use crate::reconcile::{CommandOutcome, Event, Output, Reconciler, RollbackFrom, RollbackRefused};
use crate::session::agent::{
    AgentContext, AgentEffects, AgentEvent, AgentIdentity, AgentLink, Closing, ImportResult, STATUS_LIMIT,
};
use crate::session::frame::{AgentFrame, ClusterFacts, CommandState, CommandUpdate, HubFrame};
use crate::session::tables as link_tables;
use crate::status::HistoryRow;
use crate::store::{StoreError, StoreOp, StoreRead, Table};
use crate::time::{Entropy, Now, WallTime};

use staged::{Staged, announced, desired_of};

pub use given::Given;

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
    crate::reconcile::tables::PARTS,
    crate::reconcile::tables::OPERATIONS,
    crate::reconcile::tables::ATTEMPTS,
    crate::reconcile::tables::GOVERNOR,
    crate::reconcile::tables::CONFIRMED,
    crate::reconcile::tables::FACTS,
    crate::reconcile::tables::INGESTED,
    crate::reconcile::tables::HISTORY,
    crate::reconcile::tables::FAREWELLS,
    crate::journal::tables::JOURNAL,
    crate::journal::tables::JOURNAL_META,
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
    Watch(Watched, WatchEvent),
    /// A discovery that succeeded: the kinds, and the groups that could not be asked.
    Kinds(Kinds, BTreeSet<String>),
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
    /// Somebody at the edge goes back to an older release.
    Rollback {
        /// Which app.
        app: AppId,
        /// Which row of its history; absent: the one before the newest.
        id: Option<u64>,
    },
    /// Somebody at the edge paused all writes, or let them go on. The order is durable already, beside the store; after
    /// each load the newest one is said again, before the agent may write.
    Pause(PauseOrder),
    /// A step of an import by file.
    Import(ImportStep),
    /// Time has passed.
    Tick,
}

/// The agent.
pub struct AgentMachine {
    link: AgentLink,
    reconciler: Reconciler,
    recorder: Recorder,
    waiting_reads: BTreeSet<CommandId>,
    read_only: Option<String>,
    /// Whether it was said once who may write.
    started: bool,
    /// What somebody at the edge said last.
    ordered: Option<PauseOrder>,
    facts: Option<ClusterFacts>,
    collect_at: u64,
    may_collect: bool,
    confirm_result: Option<Result<(), ConfirmError>>,
    rollback_result: Option<Result<HistoryRow, RollbackRefused>>,
    import_result: Option<ImportResult>,
    /// When the bundle that is being imported was made.
    bundle_made: Option<WallTime>,
}

impl AgentMachine {
    /// Reads what was durable, and goes on with the commands that had begun.
    pub fn load(identity: AgentIdentity, context: &mut Context<'_>) -> Result<(Self, Effects), StoreError> {
        Self::load_with(identity, Given::default(), context)
    }

    /// As [`Self::load`], with what people at the edge gave the agent.
    pub fn load_with(
        identity: AgentIdentity,
        given: Given,
        context: &mut Context<'_>,
    ) -> Result<(Self, Effects), StoreError> {
        let link = AgentLink::load(context.store, identity, context.verifier, context.entropy)?;
        let mut reconciler = Reconciler::load(context.store, identity.installation, context.now)?;
        reconciler.set_rules(given.rules);
        reconciler.set_policy(given.policy);
        if link.is_rolled_back() {
            reconciler.distrust();
        }
        let anew = link.is_rolled_back().then_some("the store is older than what was acknowledged");
        let recorder = Recorder::load(context.store, anew, context.now, context.entropy)?;
        let mut this = Self {
            link,
            reconciler,
            recorder,
            waiting_reads: BTreeSet::new(),
            read_only: Some("starting".to_owned()),
            started: false,
            ordered: None,
            facts: None,
            collect_at: 0,
            may_collect: true,
            confirm_result: None,
            rollback_result: None,
            import_result: None,
            bundle_made: None,
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
                self.recorder.disconnected();
                let link = self.link.disconnected(&mut link_context(context));
                self.absorb(link, context, effects)?;
            }
            Input::Facts(facts) => self.facts = Some(facts),
            Input::Frame(frame) => {
                let link = self.link.received(frame, &mut link_context(context))?;
                self.absorb(link, context, effects)?;
            }
            Input::Answer(id, answer) => self.reconciler.answered(id, answer, context.now, context.entropy),
            Input::Watch(Watched::Kind(kind), event) => self.reconciler.watched(&kind, event, context.now),
            Input::Watch(Watched::Part(key), event) => {
                self.reconciler.part_watched(&key, event, context.now);
            }
            Input::Kinds(kinds, unasked) => {
                self.reconciler.set_kinds(kinds, unasked, context.store, context.now)?;
            }
            Input::Writer { read_only, may_dial } => {
                self.read_only = read_only;
                self.started = true;
                let link = self.link.allow_dialing(may_dial, &link_context(context));
                self.absorb(link, context, effects)?;
            }
            Input::Confirm { app, plan } => {
                let result = self.reconciler.confirm(&app, plan);
                if result.is_ok() {
                    let message = format!("held deletes of plan {plan} were confirmed at the edge");
                    self.note(&app, "Confirmed", message, context.now);
                }
                self.confirm_result = Some(result);
            }
            Input::Rollback { app, id } => {
                let command = CommandId::new(context.entropy.bytes16());
                let result = self.reconciler.roll_back(command, &app, id, false, RollbackFrom::Edge);
                if let Ok(row) = &result {
                    let message = format!("a rollback to {} was asked for at the edge", row.id);
                    self.note(&app, "RollbackAsked", message, context.now);
                }
                self.rollback_result = Some(result);
            }
            Input::Pause(order) => {
                self.link.set_paused(Some(order.clone()).filter(PauseOrder::is_pause));
                self.recorder.ordered(&order, context.now);
                self.ordered = Some(order);
            }
            Input::Import(step) => {
                if let ImportStep::Begin(header) = &step {
                    self.bundle_made = Some(header.made);
                }
                let (link, result) = self.link.import(step, &link_context(context))?;
                self.absorb(link, context, effects)?;
                if let (Ok(Some(_)), Some(made)) = (&result, self.bundle_made) {
                    self.reconciler.time_passed(made, context.now);
                }
                self.import_result = Some(result);
            }
            Input::Tick => {
                let link = self.link.tick(&mut link_context(context));
                self.absorb(link, context, effects)?;
            }
        }
        Ok(())
    }

    /// Takes the result of the last [`Input::Rollback`].
    pub fn take_rollback_result(&mut self) -> Option<Result<HistoryRow, RollbackRefused>> {
        self.rollback_result.take()
    }

    /// Takes the result of the last [`Input::Confirm`].
    pub fn take_confirm_result(&mut self) -> Option<Result<(), ConfirmError>> {
        self.confirm_result.take()
    }

    /// Gives the elapsed milliseconds at which a [`Input::Tick`] is due.
    pub fn next_timer(&self, now: Now) -> Option<u64> {
        let collect = self.may_collect.then_some(self.collect_at);
        let timers =
            [self.link.next_timer(now), self.reconciler.next_timer(), self.recorder.next_timer(), collect];
        timers.into_iter().flatten().min()
    }

    /// Gives what must be watched, unless the shell knows just that already.
    pub fn changed_watches(&self, known: &WatchSet) -> Option<WatchSet> {
        self.reconciler.changed_watches(known)
    }

    /// Gives the link's end.
    pub fn link(&self) -> &AgentLink {
        &self.link
    }

    /// Gives the reconciler.
    pub fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// Gives what somebody at the edge said last: a pause, or its end.
    pub fn ordered(&self) -> Option<&PauseOrder> {
        self.ordered.as_ref()
    }

    /// Gives the pause that is in force.
    pub fn paused(&self) -> Option<&PauseOrder> {
        self.ordered.as_ref().filter(|order| order.is_pause())
    }

    /// Gives why nothing is written, if nothing is.
    pub fn read_only(&self) -> Option<String> {
        self.not_trusted().or_else(|| self.paused().map(PauseOrder::words))
    }

    /// Gives why nothing may be written, whatever somebody at the edge said.
    fn not_trusted(&self) -> Option<String> {
        let rolled_back = self
            .link
            .is_rolled_back()
            .then(|| "the store is older than what was acknowledged: waiting for the hub".to_owned());
        self.read_only.clone().or(rolled_back)
    }

    /// Carries an input through to rest: the reconciler's turn, what it reports, and what nothing names any more.
    fn turn(&mut self, context: &mut Context<'_>, effects: &mut Effects) -> Result<(), StoreError> {
        let read_only = self.not_trusted();
        self.reconciler.set_read_only(read_only);
        self.reconciler.set_paused(self.paused().map(PauseOrder::words));
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
        self.keep_journal(context, effects)
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
        for event in &output.events {
            self.recorder.event(&event.app, event, context.now);
        }
        effects.notices.extend(output.events.into_iter().map(Notice::App));
        for (app, status) in output.statuses {
            self.recorder.app(&app, status.as_ref().map(AppState::of), context.now);
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
                        self.reconciler.forget_diff(*id);
                    }
                }
                AgentEvent::JournalTaken(sequence) => self.recorder.acknowledged(*sequence),
                AgentEvent::JournalRefused(why) => self.journal_refused(why, context, effects)?,
                AgentEvent::ListAccepted { .. }
                | AgentEvent::EntriesVerified(_)
                | AgentEvent::Assigned(_)
                | AgentEvent::InSync => {
                    desired = true;
                }
                AgentEvent::Welcomed(welcome) => {
                    self.reconciler.time_proved(welcome.wall, context.now);
                    self.journal_held(welcome.journal, context, effects)?;
                }
                // A release that the hub cannot send keeps nothing of what might have been its own.
                AgentEvent::Warning(_) => self.may_collect = true,
            }
            effects.notices.push(Notice::Link(event));
        }
        if let Some(held) = self.link.held().filter(|_| desired) {
            self.recorder.head(held.head.epoch, held.head.generation, context.now);
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
