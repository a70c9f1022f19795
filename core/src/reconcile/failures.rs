//! What follows from failed requests: what is tried again, when, and what is said of it.

use super::state::{NamespaceStep, QueuedDelete};
use super::{Purpose, Reconciler};
use crate::cluster::ApiError;
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::status::{HeldDelete, ResultCode, ResultRow};
use crate::time::{Entropy, Now};

/// How long a refused heal or delete rests before it is tried again.
const REFUSED_MS: u64 = 60_000;
/// The longest pause between heals that are refused.
const REFUSED_MOST_MS: u64 = 300_000;
/// How long a waited-for object rests between looks.
const LOOK_AGAIN_MS: u64 = 1_000;

impl Reconciler {
    /// What follows from a failed look or apply.
    pub(super) fn again(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        heal: bool,
        error: &ApiError,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        let soon = now.ms().saturating_add(LOOK_AGAIN_MS);
        match error {
            ApiError::Unreachable(_) | ApiError::Unavailable { .. } => {
                let due = now.ms().saturating_add(self.back_off(key, retry_after(error), entropy));
                if heal {
                    self.heal_failed(app, key, error);
                }
                self.later(app, key, heal, due, "the API server", true);
            }
            ApiError::Replaced(_) | ApiError::Conflict(_) if heal => {
                let due = now.ms().saturating_add(self.back_off(key, None, entropy));
                self.heal_failed(app, key, error);
                self.later(app, key, true, due.max(soon), "a new look", true);
            }
            ApiError::Replaced(reason) | ApiError::Conflict(reason) => {
                self.item_conflict(app, key, now, reason);
            }
            ApiError::NamespaceMissing(reason) => {
                let state = self.apps.get(app);
                let frozen =
                    state.and_then(|state| state.operation.as_ref()).map(|running| &running.assignment);
                // A sync makes the namespace of the destination that it began with.
                let assignment = frozen.filter(|_| !heal).or(state.and_then(|state| state.listed.as_ref()));
                let request = assignment.map(|assignment| self.namespace_request(assignment));
                let creates = assignment.is_some_and(|assignment| {
                    assignment.policy.create_namespace && assignment.destination.namespace == key.namespace
                });
                let farewell = state
                    .and_then(|state| state.operation.as_ref())
                    .is_some_and(|operation| operation.farewell.is_some());
                let creates = creates && (heal || !farewell);
                if creates && !heal {
                    if let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) {
                        work.namespace = Some(NamespaceStep::Due(now.ms()));
                    }
                    self.later(app, key, heal, soon, "its namespace", true);
                } else if let Some(request) = request.filter(|request| creates && request.is_write()) {
                    let name = key.namespace.clone();
                    let pseudo =
                        ResourceKey::new("argosy.dev", "DestinationNamespace", app.to_string(), name);
                    if self.may_write() && !self.busy.contains(&pseudo) {
                        let purpose = Purpose::Namespace { app: app.clone() };
                        self.send(pseudo, purpose, request);
                    }
                    let due = now.ms().saturating_add(self.back_off(key, None, entropy));
                    self.heal_failed(app, key, error);
                    self.later(app, key, heal, due.max(soon), "its namespace", true);
                } else {
                    self.fail(app, key, heal, reason.clone(), now);
                }
            }
            ApiError::NotServed(reason) => {
                self.rediscover(now.ms());
                self.fail(app, key, heal, reason.clone(), now);
            }
            ApiError::Immutable(reason) if !heal => self.recreate(app, key, reason, now),
            ApiError::Immutable(reason) | ApiError::Refused(reason) => {
                self.fail(app, key, heal, reason.clone(), now);
            }
        }
    }

    /// Looks at an object again later, for the operation or for the heal that wants it.
    pub(super) fn later(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        heal: bool,
        due: u64,
        waits_for: &str,
        attempt: bool,
    ) {
        if heal {
            self.heal_queue.insert(key.clone(), due);
        } else {
            self.item_again(app, key, due, waits_for, attempt);
        }
    }

    /// Shows why a heal that is tried again soon did not work.
    fn heal_failed(&mut self, app: &AppId, key: &ResourceKey, error: &ApiError) {
        if let Some(state) = self.apps.get_mut(app) {
            state.problems.insert(key.clone(), format!("not healed: {error}"));
            self.dirty.insert(app.clone());
        }
    }

    pub(super) fn fail(&mut self, app: &AppId, key: &ResourceKey, heal: bool, reason: String, now: Now) {
        if heal {
            if let Some(state) = self.apps.get_mut(app) {
                state.problems.insert(key.clone(), reason.clone());
            }
            self.event(app, Some(key), "HealFailed", reason);
            let before = self.refused_heals.entry(key.clone()).or_default();
            let delay = REFUSED_MS.saturating_mul(1 << (*before).min(8)).min(REFUSED_MOST_MS);
            *before = before.saturating_add(1);
            self.heal_queue.insert(key.clone(), now.ms().saturating_add(delay));
            self.dirty.insert(app.clone());
        } else {
            self.item_failed(app, key, reason);
        }
    }

    pub(super) fn delete_failed(
        &mut self,
        app: &AppId,
        delete: HeldDelete,
        counted: bool,
        error: &ApiError,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        let refused = !error.is_outage();
        let delay = if refused {
            let message = format!("not deleted: {error}");
            if let Some(state) = self.apps.get_mut(app) {
                state.problems.insert(delete.key.clone(), message.clone());
                if let Some(work) = &mut state.work {
                    work.failed = true;
                    let (key, code) = (delete.key.clone(), ResultCode::SyncFailed);
                    work.results.push(ResultRow::new(key, code, message));
                }
            }
            self.event(app, Some(&delete.key), "PruneFailed", error.to_string());
            REFUSED_MS
        } else {
            self.back_off(&delete.key, retry_after(error), entropy)
        };
        let due = now.ms().saturating_add(delay);
        let queued = QueuedDelete { delete, counted, due, refused };
        let queue = self.delete_queue.entry(app.clone()).or_default();
        queue.insert(queued.delete.key.clone(), queued);
        self.judge.insert(app.clone());
    }
}

pub(super) fn retry_after(error: &ApiError) -> Option<std::time::Duration> {
    match error {
        ApiError::Unavailable { retry_after, .. } => *retry_after,
        ApiError::Unreachable(_)
        | ApiError::Replaced(_)
        | ApiError::Conflict(_)
        | ApiError::NamespaceMissing(_)
        | ApiError::NotServed(_)
        | ApiError::Immutable(_)
        | ApiError::Refused(_) => None,
    }
}
