//! What operators ask for: a sync, the end of one, and that held deletes go.

use std::collections::BTreeSet;

use super::state::{PendingSync, Work, tables};
use super::terminate::TERMINATED;
use super::{Reconciler, operations};
use crate::desired::Phase;
use crate::governor::ConfirmError;
use crate::ids::{AppId, CommandId, Digest};
use crate::release::Root;
use crate::selection::SyncOptions;
use crate::session::frame::CommandState;
use crate::store::{StoreOp, encode};

impl Reconciler {
    /// Starts a sync that is as its application says. Its command's record is durable already.
    pub fn sync(&mut self, command: CommandId, app: &AppId, expect: Option<Root>, prune: bool) {
        self.sync_with(command, app, expect, prune, SyncOptions::default());
    }

    /// Starts a sync. Its command's record is durable already.
    pub fn sync_with(
        &mut self,
        command: CommandId,
        app: &AppId,
        expect: Option<Root>,
        prune: bool,
        options: SyncOptions,
    ) {
        if let Err(why) = self.ask(app, PendingSync { command, expect, prune, rollback: None, options }) {
            self.finish(command, CommandState::Failed, why);
        }
    }

    /// Takes a sync that was asked for, or says why not.
    pub(super) fn ask(&mut self, app: &AppId, pending: PendingSync) -> Result<(), String> {
        let known = self.apps.get(app).filter(|state| state.listed.is_some());
        let Some(state) = known else { return Err(format!("app {app} is not on this cluster")) };
        let phase = self.phase_of(app);
        if phase != Phase::Active {
            return Err(format!("app {app} is {phase:?} and is not synced"));
        }
        if let Some(paused) = &self.paused {
            return Err(format!("{paused}; argosy-agent resume at the edge lets it go on"));
        }
        if let Some(refusal) = state.gatekeeper.refusal() {
            return Err(refusal);
        }
        // What somebody asked for goes on for as long as a wave takes.
        let asked = state.operation.as_ref().is_some_and(|operation| operation.command.is_some());
        let newer = state.operation.as_ref().zip(state.assigned.as_ref());
        let newer = newer.is_some_and(|(operation, assigned)| match &pending.rollback {
            Some(rollback) => rollback.root != operation.assignment.root,
            None => operations::attempt_of(assigned) != operation.attempt,
        });
        // Another release takes the place of one that only waits, whoever asked for that: there may be no other way out.
        let waits = |work: &Work| {
            work.rank_now().is_none()
                && !work.is_sweeping()
                && (work.gate.is_some() || !work.running.is_empty())
        };
        let stuck = |work: &Work| {
            (newer && waits(work)) || (self.is_stuck(work, self.turned_at) && !(asked && work.gate.is_some()))
        };
        let in_progress = state.operation.is_some() && !state.work.as_ref().is_some_and(stuck);
        if state.pending.is_some() || in_progress {
            return Err("another operation is already in progress".to_owned());
        }
        if state.operation.is_some() {
            self.end_operation(app, "superseded by a sync that was asked for");
        }
        if let Some(state) = self.apps.get_mut(app) {
            state.pending = Some(pending);
        }
        self.dirty.insert(app.clone());
        Ok(())
    }

    /// Frees a held plan, for a command or at the edge.
    pub fn confirm(&mut self, app: &AppId, plan: Digest) -> Result<(), ConfirmError> {
        let held = self.apps.get(app).and_then(|state| state.held.as_ref());
        self.governor.confirm(app, held, plan, self.hold_deletes)?;
        let confirmed = self.governor.confirmed(app);
        self.out.ops.push(StoreOp::put(tables::CONFIRMED, encode(app), &confirmed));
        self.judge.insert(app.clone());
        Ok(())
    }

    /// Gives the commands whose operations run.
    pub fn running_commands(&self) -> BTreeSet<CommandId> {
        self.apps
            .values()
            .filter_map(|app| app.operation.as_ref())
            .filter_map(|operation| operation.command)
            .collect()
    }

    /// Forgets a sync that has not begun and must not begin any more.
    pub fn forget_command(&mut self, command: CommandId) {
        for state in self.apps.values_mut() {
            if state.pending.as_ref().is_some_and(|pending| pending.command == command) {
                state.pending = None;
            }
        }
    }

    /// Ends the sync of an app, or says why there is nothing to end. What is under way is still waited for.
    pub fn terminate(&mut self, app: &AppId) -> Result<(), String> {
        let Some(state) = self.apps.get_mut(app) else {
            return Err(format!("app {app} is not on this cluster"));
        };
        if let Some(phase) = state.operation.as_ref().and_then(|operation| operation.farewell) {
            return Err(format!(
                "the {} hooks of its deletion run until they succeed: put the app's document back to stop its deletion",
                phase.as_str()
            ));
        }
        let waiting = state.pending.take();
        let runs = state.operation.as_mut().map(|operation| {
            operation.terminated = true;
            StoreOp::put(tables::OPERATIONS, encode(app), operation)
        });
        if waiting.is_none() && runs.is_none() {
            return Err("Unable to terminate operation. No operation is in progress".to_owned());
        }
        self.out.ops.extend(runs);
        if let Some(pending) = waiting {
            self.finish(pending.command, CommandState::Failed, TERMINATED.to_owned());
        }
        self.moved = true;
        self.dirty.insert(app.clone());
        Ok(())
    }
}
