//! Hooks of a sync: made, waited for, and deleted by their policy (Argo CD: resource hooks).
//!
//! A hook is in the inventory like everything that the agent makes, and is no part of the app's state: nothing compares,
//! heals or prunes it. What came of it is durable in the operation before anything follows from it, so that an agent that
//! starts anew runs no hook twice. Its deletes name its incarnation; Namespaces and claims are never deleted (M21).

use std::collections::BTreeMap;

use super::slots::Use;
use super::state::{HookOutcome, HookRun, Item, Live, Work, tables};
use super::{Intent, InventoryEntry, Purpose, Reconciler};
use crate::cluster::{Answer, ApiError, LiveMeta, Request, Tracking};
use crate::health::Health;
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::order::{Rank, Step, SyncPhase};
use crate::status::OperationPhase;
use crate::store::{StoreOp, encode};
use crate::time::{Entropy, Now};

/// How soon a hook that is on its way out is looked at again.
const LOOK_AGAIN_MS: u64 = 1_000;

/// How the hooks of a step stand.
pub(super) enum Hooks {
    Done,
    Waits(String),
    Failed(String),
}

/// How far a run of a hook came before the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Not,
    /// Its apply has no answer.
    Sent,
    Runs,
}

impl HookRun {
    /// Gives a run that counts for nothing: what it was to make was not made.
    pub(super) fn never(self) -> Self {
        Self { retries: u64::MAX, ..self }
    }
}

impl Work {
    /// Puts the hooks of a phase into the queue, but those that ran, and notes those that run.
    fn queue_hooks(
        &mut self,
        phases: &[SyncPhase],
        waves: &BTreeMap<ResourceKey, i32>,
        ran: impl Fn(&ResourceKey, SyncPhase) -> bool,
        begun: impl Fn(&ResourceKey, SyncPhase) -> Begun,
    ) {
        for (key, wanted) in &self.wanted.hooks {
            for phase in wanted.hook.phases().filter(|phase| phases.contains(phase)) {
                let wave = waves.get(key).copied().unwrap_or_default();
                let rank = Rank::of(key, wave).in_phase(phase);
                if ran(key, phase) {
                    continue;
                }
                let begun = begun(key, phase);
                if begun == Begun::Runs {
                    self.running.insert(key.clone(), rank);
                    continue;
                }
                // What may have arrived is not taken away: it is the same run.
                let cleared = begun == Begun::Sent;
                let item = Item { hook: Some(wanted.hook), cleared, ..Item::default() };
                self.queue.insert((rank, key.clone()), item);
                self.ranks.entry(key.clone()).or_insert(rank);
            }
        }
    }

    /// Tells whether hooks are still to be deleted before it ends.
    pub(super) fn is_sweeping(&self) -> bool {
        self.sweep.as_ref().is_some_and(|sweep| !sweep.is_empty())
    }

    /// Turns to the next phase of a hook that ran.
    pub(super) fn next_phase_of(&mut self, key: &ResourceKey) {
        let next = self.queue.keys().find(|(_, of)| of == key).map(|(rank, _)| *rank);
        match next {
            Some(rank) => self.ranks.insert(key.clone(), rank),
            None => self.ranks.remove(key),
        };
    }
}

impl Reconciler {
    /// Decides whether a sync runs hooks, once, and takes those that are still to run. An automated sync that changes
    /// nothing runs none: it would not have begun in Argo CD.
    pub(super) fn place_hooks(&mut self, app: &AppId) {
        let prunes = self.delete_queue.contains_key(app);
        let Some(state) = self.apps.get_mut(app) else { return };
        let (Some(operation), Some(work)) = (&mut state.operation, &mut state.work) else { return };
        if work.wanted.hooks.is_empty() {
            return;
        }
        let automated = operation.command.is_none();
        if operation.with_hooks.is_none() {
            operation.with_hooks = Some(!automated || prunes || !work.queue.is_empty());
            self.out.ops.push(StoreOp::put(tables::OPERATIONS, encode(app), operation));
        }
        if operation.with_hooks != Some(true) {
            return;
        }
        let failed = operation.hooks.iter().find(|outcome| !outcome.succeeded);
        if let Some(outcome) = failed {
            work.failed = true;
            work.unhealthy = Some(outcome.message.clone());
        }
        let phases = operation.phases().to_vec();
        self.queue_hooks_of(app, &phases);
    }

    /// A sync failed: its hooks for that are next. Tells whether there are any.
    pub(super) fn place_failure_hooks(&mut self, app: &AppId) -> bool {
        let Some(state) = self.apps.get_mut(app) else { return false };
        let (Some(operation), Some(work)) = (&state.operation, &mut state.work) else { return false };
        if work.failing || operation.with_hooks != Some(true) {
            return false;
        }
        work.failing = true;
        work.withheld = work.has_later_deletes();
        work.queue.clear();
        work.ranks.clear();
        work.gate = None;
        self.queue_hooks_of(app, &[SyncPhase::SyncFail]);
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return false };
        let steps = work.queue.keys().map(|(rank, _)| rank.step);
        let Some(first) = steps.chain(work.running.values().map(|rank| rank.step)).min() else {
            return false;
        };
        work.at = first;
        self.moved = true;
        self.dirty.insert(app.clone());
        true
    }

    fn queue_hooks_of(&mut self, app: &AppId, phases: &[SyncPhase]) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let (Some(operation), Some(work)) = (&state.operation, &mut state.work) else { return };
        let waves = work.wanted.hooks.iter().map(|(key, wanted)| {
            (key.clone(), self.facts.get(&wanted.manifest).map_or(0, |facts| facts.wave))
        });
        let waves = waves.collect();
        let ran = |key: &ResourceKey, phase| {
            operation.hooks.iter().any(|outcome| outcome.key == *key && outcome.phase == phase)
        };
        let inventory = &self.inventory;
        let begun = |key: &ResourceKey, phase| {
            let run = HookRun { started: operation.started, retries: operation.retries, phase };
            let entry = inventory.get(key).filter(|entry| entry.hook.as_ref() == Some(&run) && !entry.going);
            match entry {
                Some(InventoryEntry { intent: None, uid: Some(_), .. }) => Begun::Runs,
                Some(InventoryEntry { intent: Some(Intent::Apply { .. }), .. }) => Begun::Sent,
                Some(_) | None => Begun::Not,
            }
        };
        work.queue_hooks(phases, &waves, ran, begun);
    }

    /// Names the run of a hook that the operation has next, for its entry.
    pub(super) fn hook_run(&self, app: &AppId, key: &ResourceKey) -> Option<HookRun> {
        let state = self.apps.get(app)?;
        let (operation, work) = (state.operation.as_ref()?, state.work.as_ref()?);
        let rank = work
            .ranks
            .get(key)
            .filter(|rank| work.queue.get(&(**rank, key.clone())).is_some_and(|item| item.hook.is_some()))?;
        let phase = rank.step.phase;
        Some(HookRun { started: operation.started, retries: operation.retries, phase })
    }

    /// Makes way for a hook: what an earlier run of it made is looked at, and deleted.
    pub(super) fn clear_hook(&mut self, app: &AppId, key: &ResourceKey) {
        self.send(key.clone(), Purpose::ClearHook { app: app.clone() }, Request::Get { key: key.clone() });
    }

    /// What is there of a hook that is to go.
    pub(super) fn hook_looked_at(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        if !self.is_queued(app, key) && !self.is_swept(app, key) {
            // The operation that asked is over.
            return;
        }
        if !self.may_write() || self.is_blocked(app, now) {
            self.hook_again(app, key, now.ms(), "the permission to write");
            return;
        }
        let live = match answer {
            Ok(Answer::Found(live)) => live,
            Ok(Answer::Absent) => {
                self.gone(key, now);
                self.hook_cleared(app, key);
                return;
            }
            Ok(
                Answer::Applied(_)
                | Answer::Tried
                | Answer::Deleted
                | Answer::Namespace { .. }
                | Answer::Compared(_),
            ) => return,
            Err(error) => {
                self.hook_stays(app, key, &error, now, entropy);
                return;
            }
        };
        if self.is_recreated(app, key) {
            self.recreate_looked_at(app, key, &live, now);
            return;
        }
        if live.deleting && self.is_swept(app, key) {
            self.hook_cleared(app, key);
            return;
        }
        if live.deleting {
            self.hook_again(app, key, now.ms().saturating_add(LOOK_AGAIN_MS), "deletion");
            return;
        }
        let ours = matches!(&live.tracking, Tracking::Ours { installation, app: of, names }
            if *installation == Some(self.installation) && (of == app || !self.has(of, key)) && names == key);
        let permitted = self.permits(app, key).is_ok();
        let anothers = self.desirers.contains_key(key)
            || self
                .inventory
                .get(key)
                .is_some_and(|entry| !entry.detached && entry.app != *app && self.has(&entry.app, key));
        if !ours || !permitted || anothers || key.is_namespace() || key.group_kind().is_claim() {
            // What is not ours is judged when the hook is applied; the rest stays as it is.
            self.hook_cleared(app, key);
            return;
        }
        if let Err(reason) = self.permits_delete(key) {
            self.hook_refused(app, key, reason);
            return;
        }
        self.delete_hook(app, key, &live, now);
    }

    fn delete_hook(&mut self, app: &AppId, key: &ResourceKey, live: &LiveMeta, now: Now) {
        let uid = live.uid.clone();
        let known = self.inventory.get(key).filter(|entry| entry.uid.as_ref() == Some(&uid)).cloned();
        let entry = known.unwrap_or_else(|| InventoryEntry {
            uid: Some(uid.clone()),
            hook: self.hook_run(app, key).map(HookRun::never),
            ..InventoryEntry::new(app.clone())
        });
        let intent = Some(Intent::Delete { uid: uid.clone(), at: now.mono, counted: false });
        self.settle_queue.insert(key.clone(), now.ms().saturating_add(super::settle_ms()));
        self.put_inventory(key, Some(InventoryEntry { intent, ..entry }));
        let listed = self.apps.get(app).and_then(|state| state.listed.as_ref());
        let propagation = listed.map(|listed| listed.policy.propagation).unwrap_or_default();
        let request = Request::Delete { key: key.clone(), uid, propagation, account: self.account(app) };
        self.send(key.clone(), Purpose::DeleteHook { app: app.clone() }, request);
    }

    pub(super) fn hook_deleted(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        let answered = !matches!(answer, Err(ApiError::Unreachable(_)));
        if answered && let Some(entry) = self.inventory.get(key).cloned() {
            self.settle_queue.remove(key);
            if answer.is_ok() && matches!(entry.intent, Some(Intent::Delete { counted: true, .. })) {
                self.count_delete(now);
            }
            self.put_inventory(key, Some(InventoryEntry { intent: None, going: answer.is_ok(), ..entry }));
            self.verify_queue.insert(key.clone(), now.ms());
        }
        match answer {
            Ok(_) if self.is_swept(app, key) => self.hook_cleared(app, key),
            Ok(_) | Err(ApiError::Replaced(_)) => self.hook_again(app, key, now.ms(), "deletion"),
            Err(error) => self.hook_stays(app, key, &error, now, entropy),
        }
    }

    /// A hook could not be deleted or looked at.
    fn hook_stays(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        error: &ApiError,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        if error.is_outage() || matches!(error, ApiError::Conflict(_)) {
            let delay = self.back_off(key, super::failures::retry_after(error), entropy).max(LOOK_AGAIN_MS);
            self.hook_again(app, key, now.ms().saturating_add(delay), "the API server");
        } else {
            self.hook_refused(app, key, error.to_string());
        }
    }

    /// A hook stays for good: that fails the sync that is to make it anew.
    fn hook_refused(&mut self, app: &AppId, key: &ResourceKey, why: String) {
        if self.is_swept(app, key) {
            self.event(app, Some(key), "HookNotDeleted", why);
            self.hook_cleared(app, key);
        } else {
            let what = if self.is_recreated(app, key) { "the object" } else { "the hook of an earlier sync" };
            self.item_failed(app, key, format!("{what} is not deleted: {why}"));
        }
    }

    fn is_swept(&self, app: &AppId, key: &ResourceKey) -> bool {
        let work = self.apps.get(app).and_then(|state| state.work.as_ref());
        work.and_then(|work| work.sweep.as_ref()).is_some_and(|sweep| sweep.contains_key(key))
    }

    pub(super) fn hook_again(&mut self, app: &AppId, key: &ResourceKey, due: u64, waits_for: &str) {
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        if let Some(at) = work.sweep.as_mut().and_then(|sweep| sweep.get_mut(key)) {
            *at = due;
            return;
        }
        self.item_again(app, key, due, waits_for, false);
    }

    fn hook_cleared(&mut self, app: &AppId, key: &ResourceKey) {
        self.moved = true;
        self.dirty.insert(app.clone());
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        if work.sweep.as_mut().is_some_and(|sweep| sweep.remove(key).is_some()) {
            return;
        }
        if let Some(rank) = work.ranks.get(key)
            && let Some(item) = work.queue.get_mut(&(*rank, key.clone()))
        {
            item.cleared = true;
            item.due = 0;
        }
    }

    /// Tells whether a hook that completed is gone before its outcome was noted.
    pub(super) fn is_hook_awaited(&self, key: &ResourceKey, entry: &InventoryEntry) -> bool {
        let operation = self.apps.get(&entry.app).and_then(|state| state.operation.as_ref());
        let (Some(run), Some(operation)) = (&entry.hook, operation) else { return false };
        let noted = operation.hooks.iter().any(|outcome| outcome.key == *key && outcome.phase == run.phase);
        entry.done && operation.started == run.started && operation.retries == run.retries && !noted
    }

    /// Looks at the hooks that run in a step: those that ended have their outcome noted.
    pub(super) fn hooks_of(&mut self, app: &AppId, step: Step) -> Hooks {
        let Some(work) = self.apps.get(app).and_then(|state| state.work.as_ref()) else { return Hooks::Done };
        let running: Vec<(ResourceKey, SyncPhase)> = work
            .running
            .iter()
            .filter(|(_, rank)| rank.step <= step)
            .map(|(key, rank)| (key.clone(), rank.step.phase))
            .collect();
        let mut waits = Vec::new();
        for (key, phase) in running {
            match self.hook_outcome(&key) {
                None => waits.push(key),
                Some((succeeded, message)) => self.hook_ended(app, &key, phase, succeeded, &message),
            }
        }
        let named: Vec<&ResourceKey> = waits.iter().collect();
        if let Some(message) = super::waves::named("waiting for completion of hook", "hook", &named) {
            return Hooks::Waits(message);
        }
        let operation = self.apps.get(app).and_then(|state| state.operation.as_ref());
        let failed: Vec<&HookOutcome> = operation
            .into_iter()
            .flat_map(|operation| &operation.hooks)
            .filter(|outcome| !outcome.succeeded && outcome.phase == step.phase)
            .collect();
        match failed.first() {
            Some(first) => Hooks::Failed(first.message.clone()),
            None => Hooks::Done,
        }
    }

    /// Tells how a hook ended (Argo CD: a kind without health succeeds at once; Suspended runs on).
    fn hook_outcome(&self, key: &ResourceKey) -> Option<(bool, String)> {
        let entry = self.inventory.get(key);
        let name = super::waves::name(key);
        match self.live.get(key) {
            Some(Live::Present(live)) if live.deleting => {
                Some((false, format!("{name} is being deleted, before it ended")))
            }
            Some(Live::Present(live)) => {
                let seen = entry.is_none_or(|entry| live.resource_version >= entry.resource_version);
                if live.lagging || !seen {
                    return None;
                }
                let verdict = live.health.as_ref().filter(|verdict| verdict.is_binding());
                let Some(verdict) = verdict else { return Some((true, String::new())) };
                match verdict.health {
                    Health::Healthy => Some((true, verdict.message.clone())),
                    Health::Degraded | Health::Unknown => {
                        Some((false, format!("{name}: {}", verdict.message)))
                    }
                    Health::Progressing | Health::Suspended | Health::Missing => None,
                }
            }
            Some(Live::Absent) | None if entry.is_some_and(|entry| entry.done) => Some((true, String::new())),
            Some(Live::Absent) => Some((false, format!("{name} is missing, it might have been deleted"))),
            // It was made, and is seen no more nor known to be gone: a look tells.
            None if entry.is_none() => {
                Some((false, format!("{name} is missing, it might have been deleted")))
            }
            None => None,
        }
    }

    /// Notes how a hook ended, durably.
    fn hook_ended(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        phase: SyncPhase,
        succeeded: bool,
        message: &str,
    ) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let (Some(operation), Some(work)) = (&mut state.operation, &mut state.work) else { return };
        work.running.remove(key);
        work.next_phase_of(key);
        let row = work.results.iter_mut().rev().find(|row| row.key == *key && row.hook == Some(phase));
        if let Some(row) = row {
            row.hook_phase = Some(if succeeded { OperationPhase::Succeeded } else { OperationPhase::Failed });
            if !message.is_empty() {
                message.clone_into(&mut row.message);
            }
        }
        operation.hooks.push(HookOutcome { key: key.clone(), phase, succeeded, message: message.to_owned() });
        self.out.ops.push(StoreOp::put(tables::OPERATIONS, encode(app), operation));
        self.moved = true;
        self.dirty.insert(app.clone());
        let reason = if succeeded { "HookSucceeded" } else { "HookFailed" };
        self.event(app, Some(key), reason, format!("{} hook: {message}", phase.as_str()));
    }

    /// Deletes the hooks whose policy says so after a sync that ended so. Tells whether that is done.
    pub(super) fn sweep_hooks(&mut self, app: &AppId, succeeded: bool, now: Now) -> bool {
        let Some(state) = self.apps.get_mut(app) else { return true };
        let (Some(operation), Some(work)) = (&state.operation, &mut state.work) else { return true };
        if work.sweep.is_none() {
            let made = |key: &&ResourceKey| {
                let made = |entry: &InventoryEntry| entry.hook.is_some() && !entry.going && entry.app == *app;
                self.inventory.get(*key).is_some_and(made)
            };
            let goes = |key: &&ResourceKey| {
                let hook = work.wanted.hooks.get(*key).map(|wanted| wanted.hook);
                // What ran before a deletion goes with the app.
                let leaves = operation.farewell == Some(SyncPhase::PreDelete) && succeeded;
                hook.is_some_and(|hook| leaves || hook.is_deleted_after(succeeded))
            };
            let ran = operation.hooks.iter().map(|outcome| &outcome.key).filter(goes);
            // Whoever ends a sync ends what it runs.
            let cut = work.running.keys().filter(|_| operation.terminated);
            work.sweep = Some(ran.chain(cut).filter(made).map(|key| (key.clone(), 0)).collect());
        }
        let left = work.sweep.clone().unwrap_or_default();
        for key in left.iter().filter(|(_, due)| **due <= now.ms()).map(|(key, _)| key) {
            if self.busy.contains(key) {
                continue;
            }
            if !self.has_room(Use::Sync) {
                break;
            }
            self.clear_hook(app, key);
        }
        left.is_empty()
    }
}
