//! A sync of some of the objects, or a rehearsal of one (Argo CD: `--resource`, `--dry-run`).
//!
//! It runs no hooks but those of a rehearsal, makes no row in the history, and what is remembered of the last sync of the
//! release stays: an automated sync of the rest still comes.

use std::collections::BTreeSet;

use super::Reconciler;
use super::state::{App, Attempt, Live, Operation, WantedSet, prune_request};
use crate::desired::Assignment;
use crate::ids::{AppId, Digest};
use crate::key::ResourceKey;
use crate::selection::{Selector, SyncOptions};
use crate::status::{OperationPhase, ResultCode, ResultRow};
use crate::time::Now;

impl App {
    /// Gives what is remembered after a sync that counts for none of the release: what it was before, with that one to be
    /// shown.
    pub(super) fn beside(&self, partial: Attempt) -> Attempt {
        let before = self.last.clone().unwrap_or_else(|| Attempt {
            attempt: Digest::of(b""),
            synced: None,
            withheld: false,
            results: Vec::new(),
            ..partial.clone()
        });
        Attempt {
            prune_asked: partial.prune_asked,
            prune_selected: partial.prune_selected.clone(),
            left: partial.left.clone(),
            shown: Some(Box::new(partial)),
            ..before
        }
    }

    /// Gives what an operator has asked to prune once an operation is over, and what that is limited to: the newest request
    /// counts, unless an earlier one about the same release is for everything.
    pub(super) fn prune_asked_after(
        &self,
        operation: &Operation,
        refused: bool,
    ) -> (Option<Digest>, Vec<Selector>) {
        let before = self.last.as_ref().and_then(|last| Some((last.prune_asked?, &last.prune_selected)));
        let asks = operation.prune && operation.command.is_some() && !operation.options.dry_run && !refused;
        let asked = asks.then(|| prune_request(&operation.assignment));
        match (asked, before) {
            (Some(asked), Some((earlier, selected))) if asked == earlier && selected.is_empty() => {
                (Some(asked), Vec::new())
            }
            (Some(asked), _) => (Some(asked), operation.options.resources.clone()),
            (None, Some((earlier, selected))) => (Some(earlier), selected.clone()),
            (None, None) => (None, Vec::new()),
        }
    }
}

impl Reconciler {
    /// Limits what is wanted to what a sync selects; says so if that is nothing at all.
    pub(super) fn selected(
        &self,
        app: &AppId,
        options: &SyncOptions,
        mut wanted: WantedSet,
    ) -> (WantedSet, Option<String>) {
        if options.resources.is_empty() {
            return (wanted, None);
        }
        wanted.keys.retain(|key, _| options.selects(key));
        wanted.hooks.clear();
        let state = self.apps.get(app);
        let left = state.is_some_and(|state| self.left_over(app, state).any(|key| options.selects(key)));
        let none = wanted.keys.is_empty() && !left;
        let why = || format!("No matching app resources found for resource filter: {}", options.filter());
        (wanted, none.then(why))
    }

    /// Ends a rehearsal once everything was tried: says what would be done. Tells whether the operation is one.
    pub(super) fn rehearse(&mut self, app: &AppId, now: Now) -> bool {
        let Some(state) = self.apps.get(app) else { return false };
        let (Some(operation), Some(work)) = (&state.operation, &state.work) else { return false };
        if !operation.options.dry_run {
            return false;
        }
        let mut rows: Vec<ResultRow> = Vec::new();
        for ((rank, key), item) in &work.queue {
            let owner = self.owner(key).filter(|owner| owner != app && self.has(owner, key));
            let mut row = match owner {
                Some(owner) => {
                    ResultRow::new(key.clone(), ResultCode::SharedSkipped, format!("app {owner} owns it"))
                }
                None => ResultRow::new(key.clone(), ResultCode::Synced, self.rehearsed(key)),
            };
            row.hook = item.hook.map(|_| rank.step.phase);
            rows.push(row);
        }
        rows.extend(self.left_behind(app));
        let listed = state.listed.as_ref().unwrap_or(&operation.assignment);
        let pruned = self.left_over(app, state).filter(|key| operation.options.selects(key));
        let told: BTreeSet<ResourceKey> = rows.iter().map(|row| row.key.clone()).collect();
        let pruned = pruned.filter(|key| !told.contains(*key) && self.prunes(state, listed, key));
        rows.extend(pruned.map(|key| match self.refuses_delete(listed, key) {
            Some(why) => ResultRow::new(key.clone(), ResultCode::PruneSkipped, format!("not deleted: {why}")),
            None => ResultRow::new(key.clone(), ResultCode::Pruned, "pruned (dry run)"),
        }));
        if let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) {
            work.results = rows;
        }
        self.end_with(app, OperationPhase::Succeeded, "successfully synced (dry run)".to_owned(), now);
        true
    }

    /// Gives rows for what has left the desired state and a sync leaves alone, in Argo CD's words: it does not prune, or the
    /// object is not to be pruned.
    pub(super) fn left_behind(&self, app: &AppId) -> Vec<ResultRow> {
        let Some(state) = self.apps.get(app) else { return Vec::new() };
        let (Some(operation), Some(listed)) = (&state.operation, &state.listed) else { return Vec::new() };
        if operation.farewell.is_some() {
            return Vec::new();
        }
        let desired = |key: &ResourceKey| {
            state.work.as_ref().is_some_and(|work| work.wanted.keys.contains_key(key))
                || self.desirers.contains_key(key)
        };
        let left = self.left_over(app, state);
        let left = left.filter(|key| operation.options.selects(key) && !desired(key) && !key.is_crd());
        let told = |key: &ResourceKey| {
            let entry = self.inventory.get(key).filter(|entry| !entry.is_deleted())?;
            match (self.consents(listed, entry), self.prunes(state, listed, key)) {
                (false, _) => Some("ignored (no prune)"),
                (true, false) => Some("ignored (requires pruning)"),
                (true, true) => None,
            }
        };
        left.filter_map(|key| Some(ResultRow::new(key.clone(), ResultCode::PruneSkipped, told(key)?)))
            .collect()
    }

    /// Tells whether a sync that runs takes away what left the desired state, because it was asked to or because its app
    /// always does.
    pub(super) fn prunes(&self, state: &App, listed: &Assignment, key: &ResourceKey) -> bool {
        let asked = state.operation.as_ref().is_some_and(|operation| operation.prune);
        let recovered = self.inventory.get(key).is_some_and(|entry| entry.recovered);
        let always = listed.policy.automated.is_some_and(|automated| automated.prune) && !recovered;
        asked || always || state.is_asked_to_prune(key)
    }

    fn rehearsed(&self, key: &ResourceKey) -> &'static str {
        match self.live.get(key) {
            Some(Live::Present(_)) => "configured (dry run)",
            Some(Live::Absent) | None if key.is_part() => "waits for its object (dry run)",
            Some(Live::Absent) | None => "created (dry run)",
        }
    }
}
