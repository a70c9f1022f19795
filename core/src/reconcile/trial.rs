//! The trial of a sync: the API server is asked about everything that is to be applied before anything is written (Argo
//! CD: the dry run of all tasks of all phases).
//!
//! A sync of which one object cannot be applied writes nothing. What cannot be told before its turn is left to it: an object
//! of a kind or a namespace that this sync makes, one that goes first, and whatever admission says, for it may ask about what
//! earlier waves bring or take away. A sync of a single object is its own trial.

use std::collections::BTreeMap;

use super::operations::AT_ONCE;
use super::slots::Use;
use super::state::{Live, Work};
use super::{Purpose, Reconciler};
use crate::cluster::{Answer, ApiError, Request};
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::manifest::Hook;
use crate::status::{ResultCode, ResultRow};
use crate::time::{Entropy, Now};

/// How far the trial of a sync is.
#[derive(Debug, Clone, Default)]
pub(super) enum Trial {
    /// It has not begun.
    #[default]
    Due,
    /// It is under way.
    Runs {
        /// What is still to be asked about, each not before a time.
        left: BTreeMap<ResourceKey, u64>,
        /// What was refused, and why.
        refused: BTreeMap<ResourceKey, String>,
    },
    /// Everything may be applied, as far as can be told.
    Passed,
}

impl Work {
    /// Tells whether its objects may be written.
    pub(super) fn is_tried(&self) -> bool {
        matches!(self.trial, Trial::Passed)
    }

    /// Begins a trial that is over: these objects are refused.
    pub(super) fn refuse_at_once(&mut self, refused: BTreeMap<ResourceKey, String>) {
        self.namespace = None;
        self.trial = Trial::Runs { left: BTreeMap::new(), refused };
    }

    /// Gives when its trial has something to do; `None` if it does not run.
    pub(super) fn trial_timers(&self) -> Option<Vec<u64>> {
        match &self.trial {
            Trial::Runs { left, .. } => Some(left.values().copied().collect()),
            Trial::Due | Trial::Passed => None,
        }
    }

    /// Tells whether its trial waits for the API server.
    pub(super) fn is_trial_stuck(&self, now_ms: u64) -> bool {
        match &self.trial {
            Trial::Runs { left, .. } => !left.is_empty() && left.values().all(|due| *due > now_ms),
            Trial::Due | Trial::Passed => false,
        }
    }
}

impl Reconciler {
    /// Carries the trial of an operation on. Tells whether that is over, and the operation may go on.
    pub(super) fn try_out(&mut self, app: &AppId, now: Now) -> bool {
        let Some(work) = self.apps.get(app).and_then(|state| state.work.as_ref()) else { return false };
        match &work.trial {
            Trial::Passed => return true,
            Trial::Due => self.begin_trial(app, now),
            Trial::Runs { .. } => {}
        }
        let Some(work) = self.apps.get(app).and_then(|state| state.work.as_ref()) else { return false };
        let Trial::Runs { left, .. } = &work.trial else { return work.is_tried() };
        let due = left.iter().filter(|(key, at)| **at <= now.ms() && !self.busy.contains(*key));
        for key in due.map(|(key, _)| key.clone()).take(AT_ONCE).collect::<Vec<_>>() {
            if !self.has_room_for(app) {
                if !self.has_room(Use::Sync) {
                    self.first_served.get_or_insert_with(|| app.clone());
                }
                return false;
            }
            self.try_object(app, &key, now);
        }
        self.end_trial(app)
    }

    fn begin_trial(&mut self, app: &AppId, now: Now) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let (Some(operation), Some(work)) = (&state.operation, &mut state.work) else { return };
        let mut left: BTreeMap<ResourceKey, u64> =
            work.queue.keys().map(|(_, key)| (key.clone(), now.ms())).collect();
        if operation.with_hooks == Some(true) {
            let ran = |key: &ResourceKey| operation.hooks.iter().any(|outcome| outcome.key == *key);
            let hooks = work.wanted.hooks.keys().filter(|key| !ran(key) && !work.running.contains_key(*key));
            left.extend(hooks.map(|key| (key.clone(), now.ms())));
        }
        let prunes = work.prunes.as_ref().is_some_and(|prunes| !prunes.is_empty());
        let alone = left.len() == 1 && !prunes && !operation.options.dry_run;
        work.trial = if left.is_empty() || alone {
            Trial::Passed
        } else {
            Trial::Runs { left, refused: BTreeMap::new() }
        };
    }

    /// Asks about one object, unless nothing can be told of it yet.
    fn try_object(&mut self, app: &AppId, key: &ResourceKey, now: Now) {
        let Some(state) = self.apps.get(app) else { return };
        let (Some(operation), Some(work)) = (&state.operation, &state.work) else { return };
        let Some(manifest) = work.wanted.manifest(key) else { return };
        let hook = work.wanted.hooks.get(key).map(|wanted| wanted.hook);
        let facts = self.facts.get(&manifest);
        let skips = operation.assignment.policy.skip_dry_run || facts.is_some_and(|facts| facts.skip_dry_run);
        let kind = key.group_kind();
        if let Err(reason) = self.permits(app, key) {
            self.trial_told(app, key, Some(reason));
            return;
        }
        let Some(info) = self.kinds.get(&kind).copied() else {
            let comes = skips || self.defined.contains_key(&kind);
            // It may be served by now: what others are refused for would keep its own turn from ever coming.
            self.rediscover(now.ms());
            let why = || format!("the API server does not serve the kind {kind}");
            self.trial_told(app, key, (!comes).then(why));
            return;
        };
        if info.namespaced && key.namespace.is_empty() {
            let why = "the manifest names no namespace and spec.destination.namespace is empty";
            self.trial_told(app, key, Some(why.to_owned()));
            return;
        }
        if let Some(Err(reason)) = self.is_in_the_way(key, hook).then(|| self.permits_delete(key)) {
            let reason = format!("the hook of an earlier sync is not deleted: {reason}");
            self.trial_told(app, key, Some(reason));
            return;
        }
        let anothers = self.owner(key).is_some_and(|owner| owner != *app);
        // Tried on nothing, a part would be tried as the whole.
        let waits = key.is_part()
            && (self.awaits_whole(app, key) || !matches!(self.live.get(key), Some(Live::Present(_))));
        if anothers || waits || self.is_dying(key) || self.is_made_anew(key, hook) {
            self.trial_told(app, key, None);
            return;
        }
        let unvalidated = self.is_unvalidated(app, manifest, false);
        let account = self.account(app);
        let force = self.takes_fields(app, key, manifest);
        let request =
            Request::Try { key: key.clone(), manifest, app: app.clone(), unvalidated, force, account };
        self.send(key.clone(), Purpose::Try { app: app.clone() }, request);
    }

    /// Tells whether a hook is deleted before it is made, so that what is there says nothing.
    fn is_made_anew(&self, key: &ResourceKey, hook: Option<Hook>) -> bool {
        hook.is_some_and(|hook| hook.before_creation) && !matches!(self.live.get(key), Some(Live::Absent))
    }

    /// Tells whether an earlier run of a hook is there, and is to be deleted first.
    fn is_in_the_way(&self, key: &ResourceKey, hook: Option<Hook>) -> bool {
        let made = self.inventory.get(key).is_some_and(|entry| entry.hook.is_some());
        made && self.is_made_anew(key, hook) && matches!(self.live.get(key), Some(Live::Present(_)))
    }

    /// Takes the API server's word on one object.
    pub(super) fn tried(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        match answer {
            Ok(_) => self.trial_told(app, key, None),
            Err(error) if error.is_outage() => {
                let delay = self.back_off(key, super::failures::retry_after(&error), entropy);
                let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
                if let Trial::Runs { left, .. } = &mut work.trial
                    && let Some(due) = left.get_mut(key)
                {
                    *due = now.ms().saturating_add(delay);
                    work.waiting = format!("{key} waits for the API server");
                    self.dirty.insert(app.clone());
                }
            }
            Err(
                error @ (ApiError::Refused(_)
                | ApiError::Immutable(_)
                | ApiError::NotServed(_)
                | ApiError::Replaced(_)
                | ApiError::Conflict(_)
                | ApiError::NamespaceMissing(_)
                | ApiError::Unreachable(_)
                | ApiError::Unavailable { .. }),
            ) => {
                if self.reclaims(app, key, &error) {
                    // It is tried once more.
                    self.moved = true;
                    return;
                }
                // A hook that runs before may make way for it.
                let there = matches!(self.live.get(key), Some(Live::Present(_)));
                let fixed = matches!(error, ApiError::Immutable(_));
                let recreates = if fixed { self.may_recreate(app, key) } else { Err(None) };
                let passes =
                    !error.is_refusal() || recreates.is_ok() || (there && self.follows_hooks(app, key));
                let why = recreates.err().flatten().map(|why| format!("; {why}")).unwrap_or_default();
                self.trial_told(app, key, (!passes).then(|| format!("{error}{why}")));
            }
        }
    }

    fn follows_hooks(&self, app: &AppId, key: &ResourceKey) -> bool {
        let work = self.apps.get(app).and_then(|state| state.work.as_ref());
        work.is_some_and(|work| {
            let own = work.ranks.get(key).map(|rank| rank.step);
            let mut hooks = work.queue.iter().filter(|(_, item)| item.hook.is_some());
            hooks.any(|((rank, _), _)| Some(rank.step) < own)
        })
    }

    fn trial_told(&mut self, app: &AppId, key: &ResourceKey, refusal: Option<String>) {
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        if let Trial::Runs { left, refused } = &mut work.trial
            && left.remove(key).is_some()
            && let Some(reason) = refusal
        {
            refused.insert(key.clone(), reason);
        }
        self.moved = true;
        self.dirty.insert(app.clone());
    }

    /// Ends a trial of which everything is told: what was refused fails the operation before its first write.
    fn end_trial(&mut self, app: &AppId) -> bool {
        let Some(state) = self.apps.get_mut(app) else { return false };
        let Some(work) = &mut state.work else { return false };
        let Trial::Runs { left, refused } = &mut work.trial else { return work.is_tried() };
        if !left.is_empty() {
            return false;
        }
        let refused = std::mem::take(refused);
        work.trial = Trial::Passed;
        work.waiting.clear();
        if refused.is_empty() {
            return true;
        }
        for (key, reason) in refused {
            state.problems.insert(key.clone(), reason.clone());
            work.results.push(ResultRow::new(key, ResultCode::SyncFailed, reason));
        }
        let first = super::results::first_failure(&work.results);
        self.refuse(app, format!("one or more objects failed to apply (dry run), reason: {first}"));
        true
    }

    /// An operation fails before its first write: it deletes nothing either.
    pub(super) fn refuse(&mut self, app: &AppId, why: String) {
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        work.failed = true;
        work.refused = Some(why);
        self.moved = true;
        self.dirty.insert(app.clone());
    }
}
