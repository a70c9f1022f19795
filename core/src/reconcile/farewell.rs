//! Hooks around the deletion of a whole app (Argo CD: `PreDelete` and `PostDelete`).
//!
//! They run where the deletion takes at least one object along: an app that is renamed hands its objects over, and nothing
//! is torn down for it. Those before it begin once nothing holds its deletes, and hold all of them back until they
//! succeeded; those after it hold back the word that nothing remains. What fails is told (`DeletionError`), deleted and
//! tried again for as long as the app is to go: its document, put back, ends that.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::Reconciler;
use super::deletes::is_tracking_ours;
use super::operations::Start;
use super::results::first_failure;
use super::state::{App, Live, Operation, WantedSet, tables};
use crate::desired::Phase;
use crate::ids::{AppId, DeletionId};
use crate::key::ResourceKey;
use crate::order::SyncPhase;
use crate::store::{StoreOp, encode};
use crate::time::Now;

/// How far the deletion of an app came that has hooks for it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Farewell {
    /// Which deletion.
    #[n(0)]
    pub deletion: DeletionId,
    /// The phases whose hooks succeeded.
    #[n(1)]
    pub done: Vec<SyncPhase>,
}

impl WantedSet {
    /// Gives the hooks of one phase of a deletion alone. What an earlier try left makes way, whatever its policy.
    pub(super) fn only_hooks(self, phase: SyncPhase) -> Self {
        let mut hooks = self.hooks;
        hooks.retain(|_, wanted| wanted.hook.runs_in(phase));
        for wanted in hooks.values_mut() {
            wanted.hook = wanted.hook.only_in(phase);
            wanted.hook.before_creation = true;
        }
        Self { hooks, ..Self::default() }
    }
}

impl Operation {
    /// Gives the phases whose hooks it runs, but those for its failure.
    pub(super) fn phases(&self) -> &[SyncPhase] {
        const SYNC: &[SyncPhase] = &[SyncPhase::PreSync, SyncPhase::Sync, SyncPhase::PostSync];
        self.farewell.as_ref().map_or(SYNC, std::slice::from_ref)
    }
}

impl App {
    fn has_hooks_in(&self, phase: SyncPhase) -> bool {
        self.wanted.hooks.values().any(|wanted| wanted.hook.runs_in(phase))
    }

    /// Tells whether hooks of a phase are still to succeed.
    fn owes(&self, phase: SyncPhase) -> bool {
        let done = self.farewell.as_ref().is_some_and(|farewell| farewell.done.contains(&phase));
        self.has_hooks_in(phase) && !done
    }

    /// Tells whether hooks of its deletion are still to run before nothing remains of it.
    pub(super) fn owes_farewell(&self) -> bool {
        let runs = self.operation.as_ref().is_some_and(|operation| operation.farewell.is_some());
        let begun = self.farewell.is_some();
        runs || (begun && (self.owes(SyncPhase::PreDelete) || self.owes(SyncPhase::PostDelete)))
    }

    /// Says why its deletion does not go on.
    pub(super) fn farewell_error(&self) -> Option<String> {
        let operation = self.operation.as_ref()?;
        let phase = operation.farewell?.as_str();
        let work = self.work.as_ref().filter(|work| work.failed);
        let why = work.map(|work| {
            let said = work.refused.clone().or_else(|| work.unhealthy.clone());
            said.unwrap_or_else(|| first_failure(&work.results))
        });
        let failed = operation.retries > 0 || why.is_some();
        let why = why.unwrap_or_else(|| format!("they failed, and are tried again (#{})", operation.retries));
        failed.then(|| format!("{phase} hooks: {why}; put the app's document back to stop its deletion"))
    }
}

impl Reconciler {
    /// A whole app is to go: what it was doing ends, but for the hooks of this very deletion.
    pub(super) fn bid_farewell(&mut self, app: &AppId) {
        let Some(state) = self.apps.get(app) else { return };
        let deletion = state.listed.as_ref().and_then(|listed| listed.deletion);
        let goes_on =
            |operation: &Operation| operation.farewell.is_some() && operation.assignment.deletion == deletion;
        if !state.operation.as_ref().is_some_and(goes_on) {
            self.end_operation(app, "the app is being deleted");
        }
        let state = self.apps.get(app);
        let begun = state.and_then(|state| state.farewell.as_ref()).map(|farewell| farewell.deletion);
        if begun != deletion {
            self.forget_farewell(app);
        }
    }

    /// The app is not deleted any more: what its hooks were about to do is ended, and those that run are deleted.
    pub(super) fn stop_farewell(&mut self, app: &AppId) {
        self.forget_farewell(app);
        let released = self.phase_of(app) == Phase::Released;
        let operation = self.apps.get_mut(app).and_then(|state| state.operation.as_mut());
        let Some(operation) = operation.filter(|operation| operation.farewell.is_some()) else { return };
        if released {
            self.end_operation(app, "the app was released");
        } else if !operation.terminated {
            operation.terminated = true;
            self.out.ops.push(StoreOp::put(tables::OPERATIONS, encode(app), operation));
            self.moved = true;
            self.dirty.insert(app.clone());
        }
    }

    fn forget_farewell(&mut self, app: &AppId) {
        if self.apps.get_mut(app).is_some_and(|state| state.farewell.take().is_some()) {
            self.out.ops.push(StoreOp::delete(tables::FAREWELLS, encode(app)));
        }
    }

    fn put_farewell(&mut self, app: &AppId, farewell: Farewell) {
        let Some(state) = self.apps.get_mut(app) else { return };
        self.out.ops.push(StoreOp::put(tables::FAREWELLS, encode(app), &farewell));
        state.farewell = Some(farewell);
        self.moved = true;
        self.dirty.insert(app.clone());
        self.judge.insert(app.clone());
    }

    /// Starts the hooks of a deletion that are next.
    pub(super) fn start_farewell(&mut self, app: &AppId, now: Now) {
        let Some(state) = self.apps.get(app) else { return };
        let Some(listed) = state.listed.as_ref().filter(|listed| listed.phase == Phase::Deleting) else {
            return;
        };
        let hooks = state.has_hooks_in(SyncPhase::PreDelete) || state.has_hooks_in(SyncPhase::PostDelete);
        let complete = self.all_verified && state.assigned.as_ref() == Some(listed);
        let Some(deletion) = listed.deletion.filter(|_| hooks && complete) else { return };
        if state.operation.is_some() || self.hold_deletes || self.judge.contains(app) {
            return;
        }
        let owes_before = state.owes(SyncPhase::PreDelete);
        if state.farewell.is_none() {
            let queued = self.delete_queue.get(app);
            let goes = queued.into_iter().flat_map(BTreeMap::keys).any(|key| self.is_torn_down(key));
            if goes && (state.held.is_none() || !owes_before) {
                self.put_farewell(app, Farewell { deletion, done: Vec::new() });
            }
            return;
        }
        let phase = if owes_before {
            SyncPhase::PreDelete
        } else if state.owes(SyncPhase::PostDelete) && self.is_bare(app) {
            SyncPhase::PostDelete
        } else {
            return;
        };
        self.start(app, Start { farewell: Some(phase), ..Start::default() }, now);
    }

    /// Tells whether an object of an app is seen to be there and to be ours, so that its deletion is one: what an earlier sync
    /// left of a hook is none, nor what somebody else has by now.
    fn is_torn_down(&self, key: &ResourceKey) -> bool {
        let Some(entry) = self.inventory.get(key).filter(|entry| entry.hook.is_none()) else { return false };
        let Some(Live::Present(live)) = self.live.get(key) else { return false };
        entry.uid.as_deref() == Some(live.uid.as_str()) && is_tracking_ours(self.installation, entry, live)
    }

    /// Tells whether hooks of an app's deletion are to succeed before an object is deleted.
    pub(super) fn awaits_farewell(&self, app: &AppId, key: &ResourceKey) -> bool {
        let begun = || self.apps.get(app).is_some_and(|state| state.farewell.is_some());
        self.is_before_farewell(app) && (begun() || self.is_torn_down(key))
    }

    /// Tells whether an app's deletes wait for hooks of its deletion: they take nothing of the hour until those succeeded.
    pub(super) fn is_before_farewell(&self, app: &AppId) -> bool {
        let owes = self.apps.get(app).is_some_and(|state| state.owes(SyncPhase::PreDelete));
        owes && self.phase_of(app) == Phase::Deleting
    }

    /// Tells whether an object is what a deletion of its app leaves behind, or makes once the rest is gone.
    pub(super) fn follows_deletion(&self, app: &AppId, key: &ResourceKey) -> bool {
        let hooks = self.apps.get(app).into_iter().flat_map(|state| &state.wanted.hooks);
        let mut after = hooks.filter(|(_, wanted)| wanted.hook.runs_in(SyncPhase::PostDelete));
        self.phase_of(app) == Phase::Deleting && after.any(|(hook, _)| hook == key || key.may_be(hook))
    }

    /// The hooks of a phase succeeded. Those after the deletion that their policy leaves there are nobody's from now on.
    pub(super) fn farewell_done(&mut self, app: &AppId, phase: SyncPhase) {
        let farewell = self.apps.get(app).and_then(|state| state.farewell.clone());
        let Some(mut farewell) = farewell else { return };
        farewell.done.push(phase);
        self.put_farewell(app, farewell);
        if phase != SyncPhase::PostDelete {
            return;
        }
        let made = |key: &&ResourceKey| {
            self.inventory.get(*key).is_some_and(|entry| {
                entry.hook.is_some() && entry.belongs_to(app) && !entry.going && entry.intent.is_none()
            })
        };
        let left: Vec<ResourceKey> =
            self.by_app.get(app).into_iter().flatten().filter(made).cloned().collect();
        for key in left {
            self.put_inventory(&key, None);
        }
    }
}
