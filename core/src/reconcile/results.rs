//! How operations end, and what is told of it.

use super::Reconciler;
use super::deletes::held_back;
use super::state::{Attempt, Operation, Work, tables};
use crate::ids::{AppId, Digest};
use crate::session::frame::CommandState;
use crate::status::{HistoryRow, OperationPhase, ResultCode, ResultRow};
use crate::store::{StoreOp, encode};
use crate::time::{Now, WallTime};

impl Reconciler {
    pub(super) fn finish_operation(&mut self, app: &AppId, now: Now) {
        // Deletes belong to the operation until they are sent or held.
        if self.judge.contains(app) {
            return;
        }
        let failed = self.apps.get(app).and_then(|state| state.work.as_ref()).is_some_and(|work| work.failed);
        if !self.sweep_hooks(app, !failed, now) {
            return;
        }
        let unseen = self.unseen_deletes(app);
        let refused = self.refused_deletes(app);
        let left = self.left_behind(app);
        let time = self.trusted_time(now);
        let Some(state) = self.apps.get_mut(app) else { return };
        let (Some(operation), Some(work)) = (&state.operation, &mut state.work) else { return };
        let again = work.failed && !operation.terminated && !operation.options.dry_run && !work.hopeless;
        let retry = operation.retry().filter(|_| again);
        if let Some(delay) = retry.and_then(|retry| retry.delay_after(operation.retries)) {
            work.retry_at = Some(now.ms().saturating_add(delay));
            work.retry_time = time.map(|time| later(time, delay));
            self.dirty.insert(app.clone());
            return;
        }
        let phase = if work.failed { OperationPhase::Failed } else { OperationPhase::Succeeded };
        let mut said = vec![if work.failed { failure_of(work) } else { success_of(operation) }];
        if work.refused.is_none() {
            work.results.extend(left);
        }
        let shared = work.results.iter().filter(|row| row.code == ResultCode::SharedSkipped);
        if let Some(first) = shared.clone().next() {
            let count = shared.count();
            said.push(format!("{count} objects were not applied: {} {}", first.key, first.message));
        }
        if let Some(first) = unseen.first() {
            said.push(format!("{} deletes wait: the kind of {first} cannot be watched", unseen.len()));
        }
        for key in unseen {
            let message = "not deleted: its kind cannot be watched".to_owned();
            work.results.push(ResultRow::new(key, ResultCode::PruneSkipped, message));
        }
        if let Some((first, why)) = refused.first() {
            said.push(format!("{} objects are not deleted: {first}: {why}", refused.len()));
        }
        for (key, why) in refused {
            let message = format!("not deleted: {why}");
            work.results.push(ResultRow::new(key, ResultCode::PruneSkipped, message));
        }
        if let Some(held) = &state.held {
            let why = held_back(app, held);
            let own = held.deletes.iter().filter(|delete| operation.options.writes(&delete.key));
            let rows = own.map(|delete| {
                let message = format!("not deleted, {why}");
                ResultRow::new(delete.key.clone(), ResultCode::PruneSkipped, message)
            });
            let before = work.results.len();
            work.results.extend(rows);
            let count = work.results.len().saturating_sub(before);
            if count > 0 {
                said.push(format!("{count} deletes are {why}"));
            }
        }
        let retried = operation.retries;
        let retried = if work.failed && !operation.terminated && retried > 0 {
            format!(" (retried {retried} times).")
        } else {
            String::new()
        };
        let message = format!("{}{retried}", said.join("; "));
        self.end_with(app, phase, message, now);
    }

    /// Says what an operation waits for whose applies are done.
    pub(super) fn waits_for_deletes(&mut self, app: &AppId, now: Now) {
        const WAITING: &str = "deletes wait for the API server";
        let stuck = self.deletes_are_stuck(app, now);
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        if stuck && work.waiting != WAITING {
            WAITING.clone_into(&mut work.waiting);
            self.dirty.insert(app.clone());
        }
    }

    pub(super) fn end_with(&mut self, app: &AppId, phase: OperationPhase, message: String, now: Now) {
        self.note_versions(app);
        let Some(state) = self.apps.get_mut(app) else { return };
        let (Some(operation), work) = (state.operation.take(), state.work.take()) else { return };
        let root = operation.assignment.root;
        let refused = work.as_ref().is_some_and(|work| work.refused.is_some());
        let withholds = work.as_ref().is_some_and(|work| work.withheld || work.has_later_deletes())
            || (refused && self.delete_queue.contains_key(app));
        let synced = if phase == OperationPhase::Succeeded {
            Some(root)
        } else {
            state.last.as_ref().and_then(|last| last.synced)
        };
        let asked = state.prune_asked_after(&operation, refused);
        let attempt = Attempt {
            attempt: operation.attempt,
            phase,
            message: message.clone(),
            root,
            synced,
            started: operation.started,
            finished: now.mono,
            retries: operation.retries,
            automated: operation.command.is_none(),
            prune_asked: asked.0,
            prune_selected: asked.1,
            shown: None,
            withheld: phase != OperationPhase::Succeeded && withholds,
            left: state.left.clone(),
            results: bounded(work.map(|work| work.results).unwrap_or_default()),
        };
        let whole = operation.options.is_whole() && operation.farewell.is_none();
        let attempt = if whole { attempt } else { state.beside(attempt) };
        self.out.ops.push(StoreOp::put(tables::ATTEMPTS, encode(app), &attempt));
        self.out.ops.push(StoreOp::delete(tables::OPERATIONS, encode(app)));
        let row = HistoryRow {
            id: 0,
            root,
            started: attempt.started,
            finished: attempt.finished,
            finished_at: now.wall,
            automated: attempt.automated,
            healthy: false,
            age_ms: None,
        };
        state.last = Some(attempt);
        let succeeded = phase == OperationPhase::Succeeded;
        if succeeded && whole {
            self.remember(app, &row);
        }
        let told = match (operation.farewell, operation.options.dry_run, succeeded) {
            (Some(_), _, true) => "HooksSucceeded",
            (Some(_), _, false) => "HooksFailed",
            (None, true, _) => "Rehearsed",
            (None, false, true) => "Synced",
            (None, false, false) => "SyncFailed",
        };
        if let Some(phase) = operation.farewell.filter(|_| succeeded) {
            self.farewell_done(app, phase);
        }
        self.event(app, None, told, message.clone());
        if let Some(command) = operation.command {
            let outcome = if succeeded { CommandState::Succeeded } else { CommandState::Failed };
            self.finish(command, outcome, message);
        }
        self.moved = true;
        self.dirty.insert(app.clone());
        self.judge.insert(app.clone());
    }

    /// Ends an operation that has no place any more; a command that asked for it is answered.
    pub(super) fn end_operation(&mut self, app: &AppId, reason: &str) {
        let pending = self.apps.get_mut(app).and_then(|state| state.pending.take());
        if let Some(pending) = pending {
            self.finish(pending.command, CommandState::Failed, reason.to_owned());
        }
        if let Some(operation) = self.drop_operation(app)
            && let Some(command) = operation.command
        {
            self.finish(command, CommandState::Failed, reason.to_owned());
        }
    }

    pub(super) fn drop_operation(&mut self, app: &AppId) -> Option<Operation> {
        let state = self.apps.get_mut(app)?;
        state.work = None;
        let operation = state.operation.take()?;
        self.out.ops.push(StoreOp::delete(tables::OPERATIONS, encode(app)));
        // It may have changed what the one before it made.
        self.void_attempt(app);
        Some(operation)
    }

    /// Forgets what was tried last: what it left behind is not what it made.
    pub(super) fn void_attempt(&mut self, app: &AppId) {
        if let Some(last) = self.apps.get_mut(app).and_then(|state| state.last.as_mut()) {
            last.attempt = Digest::of(b"");
            self.out.ops.push(StoreOp::put(tables::ATTEMPTS, encode(app), last));
            self.dirty.insert(app.clone());
        }
    }
}

/// Says why an operation failed, in Argo CD's words.
pub(super) fn failure_of(work: &Work) -> String {
    if let Some(refused) = &work.refused {
        return refused.clone();
    }
    match &work.unhealthy {
        Some(why) => format!("one or more synchronization tasks completed unsuccessfully, reason: {why}"),
        None => format!("one or more objects failed to apply, reason: {}", first_failure(&work.results)),
    }
}

/// Says how an operation succeeded, in Argo CD's words.
fn success_of(operation: &Operation) -> String {
    match operation.farewell {
        Some(phase) => format!("{} hooks succeeded", phase.as_str()),
        None if operation.hooks.is_empty() => "successfully synced (all tasks run)".to_owned(),
        // Argo CD looks once more after the last hook.
        None => "successfully synced (no more tasks)".to_owned(),
    }
}

/// Says that a failed operation is tried again, and when by the clock if that is trusted (Argo CD's words).
pub(super) fn retry_message(operation: &Operation, work: &Work) -> String {
    let at = work.retry_time.map(|time| format!(" at {}", kitchen(time))).unwrap_or_default();
    format!("{}. Retrying attempt #{}{at}.", failure_of(work), operation.retries.saturating_add(1))
}

fn later(time: WallTime, delay_ms: u64) -> WallTime {
    WallTime(time.0.saturating_add(i64::try_from(delay_ms).unwrap_or(i64::MAX)))
}

/// Gives the time of day in UTC, as Go's `time.Kitchen` writes it: `3:04PM`.
fn kitchen(time: WallTime) -> String {
    let minutes = time.0.div_euclid(60_000).rem_euclid(24 * 60);
    let (hour, minute) = (minutes / 60, minutes % 60);
    let half = if hour < 12 { "AM" } else { "PM" };
    format!("{}:{minute:02}{half}", if hour % 12 == 0 { 12 } else { hour % 12 })
}

pub(super) fn first_failure(results: &[ResultRow]) -> String {
    let mut failures = results.iter().filter(|row| row.code == ResultCode::SyncFailed);
    let first = failures.next().map(|row| format!("{}: {}", row.key, row.message)).unwrap_or_default();
    match failures.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Keeps what is worth telling: everything of a small sync, failures and deletes of a large one.
pub(super) fn bounded(results: Vec<ResultRow>) -> Vec<ResultRow> {
    bounded_to(200, results)
}

/// Keeps what is worth telling of a sync that runs. It is told again and again, over links that may be thin.
pub(super) fn so_far(results: Vec<ResultRow>) -> Vec<ResultRow> {
    bounded_to(50, results)
}

fn bounded_to(rows: usize, mut results: Vec<ResultRow>) -> Vec<ResultRow> {
    if results.len() > rows {
        results.sort_by_key(|row| match row.code {
            ResultCode::SyncFailed => 0,
            ResultCode::SharedSkipped => 1,
            ResultCode::PruneSkipped => 2,
            ResultCode::Pruned => 3,
            ResultCode::Synced => 4,
        });
        results.truncate(rows);
    }
    results
}
