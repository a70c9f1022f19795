//! `app sync` of an app that brings documents of the fleet: the hub takes these, and the app's agent the rest.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{AppName, CommandProgress, Pending, Refused};
use crate::application::ClusterRef;
use crate::desired::Phase;
use crate::fleet::Order;
use crate::hub::{Context, Effects, HubMachine, Reply, Severity, Ticket, read_status};
use crate::ids::{AppId, ClusterId, CommandId};
use crate::key::ResourceKey;
use crate::release::Root;
use crate::session::frame::{CommandKind, CommandState, CommandUpdate};
use crate::status::{OperationPhase, OperationStatus, ResultCode, ResultRow, SyncStatus};
use crate::store::StoreError;
use crate::time::MonoTime;

/// How long after it was asked for a sync may begin whose documents are taken with it: later they may be others than those that
/// were meant.
const BEGINS_WITHIN: Duration = Duration::from_mins(15);

/// What is left to do of a command once the hub has looked at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing.
    None,
    /// What the app's agent does; documents are taken as soon as it has begun.
    Agent(Option<Share>),
}

/// What became of an app's documents.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    message: String,
    failed: bool,
    results: Vec<ResultRow>,
}

/// The documents of a sync whose rest an agent does: they wait until that has begun, because an agent may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    order: Order,
    step: Step,
    asked: MonoTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The agent has not begun.
    Waits,
    /// It has, and who asked is told this once the documents are taken.
    Due(CommandUpdate),
    Taken(Outcome),
}

/// A sync, as far as it is about documents.
struct Asked {
    expect: Option<Root>,
    prune: bool,
    /// It is one of everything that the app renders.
    whole: bool,
}

impl Asked {
    /// Reads a command; absent where it is no sync.
    fn of(kind: &CommandKind) -> Option<Self> {
        match kind {
            CommandKind::Sync { expect, prune, .. } => {
                Some(Self { expect: *expect, prune: *prune, whole: true })
            }
            CommandKind::SyncWith { expect, prune, options, .. } => {
                Some(Self { expect: *expect, prune: *prune, whole: options.is_whole() })
            }
            CommandKind::Confirm { .. }
            | CommandKind::Refresh { .. }
            | CommandKind::Resources { .. }
            | CommandKind::Terminate { .. }
            | CommandKind::Diff { .. }
            | CommandKind::Rollback { .. }
            | CommandKind::History { .. }
            | CommandKind::Why { .. } => None,
        }
    }
}

// === impl Share ===

impl Share {
    fn new(order: Order, asked: MonoTime) -> Self {
        Self { order, step: Step::Waits, asked }
    }

    /// Makes one of an app of which it is not known what it renders for the fleet: nothing is taken, and its end says so.
    fn unknown(app: &AppId, why: &str, asked: MonoTime) -> Self {
        let message =
            format!("what it renders for the fleet is not known, and nothing of that is taken: {why}");
        let outcome = Outcome { message, failed: false, results: Vec::new() };
        Self { order: Order { app: app.clone(), prune: false }, step: Step::Taken(outcome), asked }
    }

    /// Tells whether its agent has not begun with it for so long that what it asked for is of the past.
    fn is_late(&self, now: MonoTime) -> bool {
        now.since(&self.asked).is_none_or(|since| since > BEGINS_WITHIN)
    }

    /// Looks at what the agent says; tells whether documents are to be taken before that is told.
    pub(super) fn begins_with(&mut self, update: &CommandUpdate) -> bool {
        let begun = match update.state {
            CommandState::Running | CommandState::Succeeded => true,
            CommandState::Accepted
            | CommandState::Failed
            | CommandState::Superseded
            | CommandState::Interrupted
            | CommandState::TooLate => false,
        };
        match &mut self.step {
            Step::Waits if begun => self.step = Step::Due(update.clone()),
            Step::Due(due) => due.clone_from(update),
            Step::Waits | Step::Taken(_) => return false,
        }
        true
    }

    /// Tells whether nothing is left to do of it.
    pub(super) fn is_done(&self) -> bool {
        match self.step {
            Step::Waits | Step::Due(_) => false,
            Step::Taken(_) => true,
        }
    }

    /// Gives what became of each document, once they are taken.
    pub(super) fn results(&self) -> &[ResultRow] {
        match &self.step {
            Step::Waits | Step::Due(_) => &[],
            Step::Taken(outcome) => &outcome.results,
        }
    }

    /// Adds to the end of a command what became of the documents: a sync that did not take them all did not succeed.
    pub(super) fn ends(&self, state: CommandState, message: String) -> (CommandState, String) {
        if !state.is_final() {
            return (state, message);
        }
        match &self.step {
            Step::Taken(outcome) => {
                let failed = outcome.failed && state == CommandState::Succeeded;
                let state = if failed { CommandState::Failed } else { state };
                (state, joined(&message, &outcome.message))
            }
            Step::Waits | Step::Due(_) => {
                (state, joined(&message, "the documents of the fleet that it renders are not taken"))
            }
        }
    }
}

// === impl HubMachine ===

impl HubMachine {
    /// Looks at a command that may be about documents: takes those of an app of which nobody else has anything, and answers.
    /// What is refused now is refused before an agent hears of it.
    pub(super) fn order_documents(
        &mut self,
        ticket: Ticket,
        name: &AppName,
        kind: &CommandKind,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Rest, Refused>, StoreError> {
        let app = &name.app;
        let refused = |why: &str| Refused::Documents { app: app.clone(), why: why.to_owned() };
        let Some(asked) = Asked::of(kind) else { return Ok(Ok(Rest::Agent(None))) };
        let named = name.cluster.as_deref().is_none_or(|cluster| cluster == ClusterRef::IN_CLUSTER);
        let Some(family) = self.families.get(app).filter(|_| named) else {
            if asked.whole && named && self.base.is_none() && self.fleet.brings(app) {
                let why =
                    "the fleet was not read since the hub started: argosy status tells why, if that lasts";
                return Ok(Err(refused(why)));
            }
            let doubt = self.unrendered(app).filter(|_| asked.whole && named);
            let share = doubt.map(|why| Share::unknown(app, why, context.now.mono));
            return Ok(Ok(Rest::Agent(share)));
        };
        let here = self.is_synced_here(app);
        if !here && (!asked.whole || family.rows.is_empty()) {
            return Ok(Ok(Rest::Agent(None)));
        }
        if !asked.whole {
            let why = "--resource and --dry-run are about objects of a cluster: argosy app preview tells what a change of \
                       documents would bring";
            return Ok(Err(refused(why)));
        }
        if asked.expect.is_some() {
            let why = "--expect, --revision and --preview-changes are about objects of a cluster, and no release names the \
                       documents: argosy app preview tells what a change of them would bring; sync it without these";
            return Ok(Err(refused(why)));
        }
        let order = Order { app: app.clone(), prune: asked.prune };
        if here {
            let outcome = match self.take_documents(&order, context, effects)? {
                Ok(outcome) => outcome,
                Err(why) => return Ok(Err(refused(&why))),
            };
            let progress = self.told(app, outcome, context);
            effects.replies.push((ticket, Ok(Reply::Command(progress))));
            return Ok(Ok(Rest::None));
        }
        if let Err(refused) = self.cluster_of(name).and_then(|at| self.agent_for(at, kind)) {
            return Ok(Err(refused));
        }
        let answer = self.try_order(&order, context, effects)?;
        Ok(match answer.unwrap_or_else(|| Err(self.not_looked_at(app))) {
            Ok(()) => Ok(Rest::Agent(Some(Share::new(order, context.now.mono)))),
            Err(why) => Err(refused(&why)),
        })
    }

    /// Takes the documents of syncs that their agents have begun.
    pub(in crate::hub) fn take_due(
        &mut self,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let now = context.now.mono;
        let due = |pending: &Pending| match &pending.share {
            Some(share @ Share { step: Step::Due(update), .. }) => Some((share.clone(), update.clone())),
            Some(Share { step: Step::Waits | Step::Taken(_), .. }) | None => None,
        };
        // Of what nobody waits for any more nothing is left to do once it is too late.
        self.pending.retain(|_, pending| {
            let share = pending.share.as_ref().filter(|_| pending.ticket.is_none());
            share.is_none_or(|share| share.step != Step::Waits || !share.is_late(now))
        });
        while let Some((share, update)) = self.pending.values().find_map(due) {
            let Share { order, asked, .. } = &share;
            let taken = if share.is_late(now) {
                Err("its agent began too late; sync it again".to_owned())
            } else {
                self.take_documents(order, context, effects)?
            };
            let outcome = taken.unwrap_or_else(|why| Outcome {
                message: format!("the documents of the fleet that it renders are not taken: {why}"),
                failed: true,
                results: Vec::new(),
            });
            let operation = self.operation_of(&order.app, OperationPhase::Running, &outcome, context);
            let Some(pending) = self.pending.get_mut(&update.id) else { break };
            pending.share = Some(Share { order: order.clone(), step: Step::Taken(outcome), asked: *asked });
            self.tell_moved(update, operation, effects);
        }
        Ok(())
    }

    /// Takes the documents of an app as it renders them now, or says why not.
    fn take_documents(
        &mut self,
        order: &Order,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Outcome, String>, StoreError> {
        let app = &order.app;
        let rows = self.families.get(app).into_iter().flat_map(|family| &family.rows);
        let before: BTreeSet<ResourceKey> = rows.map(|row| row.key.clone()).collect();
        let answer = self.grow(Some(order), context, effects)?.answer;
        self.dirty = true;
        if let Err(why) = answer.unwrap_or_else(|| Err(self.not_looked_at(app))) {
            return Ok(Err(why));
        }
        // What leaves may be held, which is known once it is decided.
        self.settle(context, effects)?;
        let results = self.results_of(app, before);
        let message = self.outcome(app, &results);
        let failed = results.iter().any(|row| row.code == ResultCode::SyncFailed);
        let said = message.clone();
        self.tell(Severity::Info, "DocumentsTaken", said, None, Some(app.clone()), context.now, effects);
        Ok(Ok(Outcome { message, failed, results }))
    }

    /// Tells whether the hub itself does all that a sync of an app asks for now: it is on no cluster, or it renders documents
    /// alone and its agent has nothing of it.
    fn is_synced_here(&self, app: &AppId) -> bool {
        let has_nothing = |cluster: ClusterId| {
            let row = self.links.get(&cluster).and_then(|link| link.statuses().get(app));
            let status = row.and_then(|row| read_status(row.value()));
            status.is_none_or(|status| {
                let runs = status.operation.is_some_and(|operation| operation.finished.is_none());
                status.counts.total == 0 && !runs
            })
        };
        let placed = self.fleet.placements_of(app);
        let only = self.read.as_ref().is_some_and(|read| read.only_documents.contains(app));
        placed.is_empty() || (only && placed.iter().all(|(cluster, _)| has_nothing(*cluster)))
    }

    /// Says why nobody looked at the documents of an app.
    fn not_looked_at(&self, app: &AppId) -> String {
        match &self.read {
            Some(read) if read.apps.contains_key(app) => format!(
                "it is not for {0} any more: give what it brought elsewhere, or make it one for {0} again",
                ClusterRef::IN_CLUSTER
            ),
            Some(_) => {
                "its own document cannot be read, or has left the fleet: put it right there".to_owned()
            }
            None => "the fleet was not read since the hub started: argosy status tells why, if that lasts"
                .to_owned(),
        }
    }

    /// Says of each document of an app what became of it.
    fn results_of(&self, app: &AppId, mut before: BTreeSet<ResourceKey>) -> Vec<ResultRow> {
        let mut results = Vec::new();
        for row in self.families.get(app).into_iter().flat_map(|family| &family.rows) {
            before.remove(&row.key);
            let code = match row.status {
                SyncStatus::Synced => ResultCode::Synced,
                SyncStatus::OutOfSync | SyncStatus::Unknown if row.requires_pruning => {
                    ResultCode::PruneSkipped
                }
                SyncStatus::OutOfSync | SyncStatus::Unknown => ResultCode::SyncFailed,
            };
            let version = row.version.clone();
            results.push(ResultRow { version, ..ResultRow::new(row.key.clone(), code, row.message.clone()) });
        }
        results.extend(before.into_iter().map(|key| {
            match self.held_loss_of(&key).or_else(|| self.delayed(&key)) {
                Some(held) => ResultRow::new(key, ResultCode::PruneSkipped, held),
                None => ResultRow::new(key, ResultCode::Pruned, "pruned"),
            }
        }));
        results
    }

    /// Says why an app that nobody gives any more is still there: its deletion waits for something.
    fn delayed(&self, key: &ResourceKey) -> Option<String> {
        let mut placements = self.fleet.placements().iter();
        let (_, app) = placements.find_map(|(at @ (_, app), placement)| {
            let present = matches!(placement.assignment.phase, Phase::Active | Phase::Frozen);
            let given = self.read.as_ref().is_some_and(|read| read.apps.contains_key(app));
            (key.kind == "Application" && app.name == key.name && present && !given).then_some(at)
        })?;
        let conditions = self.conditions.get(app).and_then(|conditions| conditions.keys().next());
        Some(conditions.map_or("its deletion waits", |condition| &condition.message).to_owned())
    }

    /// Says why it is not known what an app for the hub's own cluster renders, where that is so.
    fn unrendered(&self, app: &AppId) -> Option<&str> {
        let document = self.read.as_ref()?.apps.get(app)?.application.as_ref().ok()?;
        (document.destination.cluster.name() == Some(ClusterRef::IN_CLUSTER)).then_some(())?;
        let mut conditions = self.conditions.get(app)?.keys();
        conditions.find(|condition| condition.kind == "ComparisonError").map(|condition| &*condition.message)
    }

    /// Says why an app that its parent let go of stays all the same.
    fn held_loss_of(&self, key: &ResourceKey) -> Option<String> {
        let loss = self.mass_loss.as_ref()?;
        let app = loss.apps.iter().find(|app| key.kind == "Application" && app.name == key.name)?;
        Some(format!(
            "held, because {} apps would leave at once: argosy app confirm {app} --plan {}",
            loss.apps.len(),
            loss.plan
        ))
    }

    /// Says in one line what became of an app's documents, and of what else it renders.
    fn outcome(&self, app: &AppId, results: &[ResultRow]) -> String {
        let count = |code| results.iter().filter(|row| row.code == code).count();
        let mut said = vec![format!("{} documents of the fleet are taken", count(ResultCode::Synced))];
        if let Some(first) = results.iter().find(|row| row.code == ResultCode::SyncFailed) {
            let failed = count(ResultCode::SyncFailed);
            said.push(format!("{failed} are not: {}: {}", first.key, first.message));
        }
        if let Some(first) = results.iter().find(|row| row.code == ResultCode::PruneSkipped) {
            let left = count(ResultCode::PruneSkipped);
            said.push(format!("{left} are left over: {}: {}", first.key, first.message));
        }
        if count(ResultCode::Pruned) > 0 {
            said.push(format!("{} leave", count(ResultCode::Pruned)));
        }
        if self.fleet.placements_of(app).is_empty() && !self.is_done_here(app) {
            said.push(format!("the rest waits: {}", self.waiting(app)));
        }
        said.join("; ")
    }

    /// Gives the end of a sync that the hub did alone.
    fn told(&self, app: &AppId, outcome: Outcome, context: &mut Context<'_>) -> CommandProgress {
        let (phase, state) = if outcome.failed {
            (OperationPhase::Failed, CommandState::Failed)
        } else {
            (OperationPhase::Succeeded, CommandState::Succeeded)
        };
        CommandProgress {
            id: CommandId::new(context.entropy.bytes16()),
            state,
            operation: self.operation_of(app, phase, &outcome, context),
            message: outcome.message,
            payload: Vec::new(),
            app: app.clone(),
            cluster: None,
        }
    }

    /// Shows what became of documents as an operation.
    fn operation_of(
        &self,
        app: &AppId,
        phase: OperationPhase,
        outcome: &Outcome,
        context: &Context<'_>,
    ) -> Option<(OperationStatus, MonoTime)> {
        let now = context.now.mono;
        let root = self.families.get(app).and_then(|family| family.root)?;
        let operation = OperationStatus {
            phase,
            message: outcome.message.clone(),
            root,
            started: now,
            finished: (phase != OperationPhase::Running).then_some(now),
            retries: 0,
            automated: false,
            results: outcome.results.clone(),
        };
        Some((operation, now))
    }
}

/// Puts what the hub says behind what an agent says.
fn joined(agent: &str, hub: &str) -> String {
    if agent.is_empty() { hub.to_owned() } else { format!("{agent}; {hub}") }
}
