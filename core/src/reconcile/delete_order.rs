//! Which delete comes when: after the applies that it waits for, and after the deletes of later waves and kinds.

use std::collections::BTreeMap;

use super::operations::attempt_of;
use super::state::{QueuedDelete, Work};
use super::waves::named;
use super::{Intent, Purpose, Reconciler};
use crate::desired::Phase;
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::order::{Rank, Step};
use crate::time::Now;

impl Reconciler {
    /// Gives the deletes of an app that are next: last kinds first, each once those after it are answered. What the API
    /// server refused is tried again, and nothing waits for it.
    pub(super) fn next_deletes(&self, app: &AppId) -> Vec<&QueuedDelete> {
        let Some(queue) = self.delete_queue.get(app) else { return Vec::new() };
        let due = || queue.iter().filter(|(key, queued)| self.is_delete_due(app, key, queued));
        let waiting = due().filter(|(_, queued)| !queued.refused).map(|(key, _)| key);
        let last = waiting.chain(self.deleting(app)).map(|key| self.delete_rank(app, key)).max();
        let going = self.last_wave_going(app);
        due()
            .filter(|(key, queued)| queued.refused || Some(self.delete_rank(app, key)) == last)
            .filter(|(key, _)| going.is_none_or(|wave| self.applied_wave(key) >= wave))
            .map(|(_, queued)| queued)
            .collect()
    }

    /// Gives the objects that a deletion of their whole app has deleted and finalizers keep, and those of which a write has no
    /// answer yet (M18): they may be made or deleted by it. What stays anyway is none of them.
    fn cascading<'a>(&'a self, app: &'a AppId) -> impl Iterator<Item = &'a ResourceKey> {
        let deletes = self.phase_of(app) == Phase::Deleting;
        let keys = self.by_app.get(app).into_iter().flatten().filter(move |_| deletes);
        // The object of a part is nobody's to wait for.
        keys.filter(|key| !key.is_part()).filter(move |key| {
            let entry = self.inventory.get(*key).filter(|entry| entry.belongs_to(app));
            let open = entry.filter(|entry| entry.going || entry.intent.is_some());
            open.is_some_and(|entry| !self.stays(key, entry)) && !self.is_set_aside(key)
        })
    }

    /// Gives the last wave of which something is still on its way out: a deletion of the whole app waits until it is gone
    /// (Argo CD). What the API server refused, what is held and what is kept was not deleted, and blocks nothing.
    pub(super) fn last_wave_going(&self, app: &AppId) -> Option<i32> {
        self.cascading(app).map(|key| self.latest_wave(key)).max()
    }

    /// Gives an object's own wave, as it was applied, or as the apply that has no answer yet states it.
    fn latest_wave(&self, key: &ResourceKey) -> i32 {
        let intent = self.inventory.get(key).and_then(|entry| entry.intent.as_ref());
        let sent = intent.and_then(|intent| match intent {
            Intent::Apply { body, .. } => self.facts.get(&body.manifest).map(|facts| facts.wave),
            Intent::Delete { .. } => None,
        });
        sent.unwrap_or_default().max(self.applied_wave(key))
    }

    /// Says which objects of later waves are still to go before an object is deleted with its app.
    pub(super) fn waits_for_later_waves(&self, app: &AppId, key: &ResourceKey) -> Option<String> {
        let own = self.applied_wave(key);
        let later: Vec<&ResourceKey> =
            self.cascading(app).filter(|going| self.latest_wave(going) > own).collect();
        named("waiting for deletion of", "resource", &later)
    }

    /// Tells whether the sync that runs has come to the step of a delete. One that failed before it leaves it to the next
    /// sync, unless somebody confirmed it.
    fn is_delete_due(&self, app: &AppId, key: &ResourceKey, queued: &QueuedDelete) -> bool {
        let blocked = self.is_delete_blocked(app, key, queued.counted)
            || self.awaits_farewell(app, key)
            || self.lacks_heir(app, key);
        let Some(state) = self.apps.get(app).filter(|_| !blocked) else { return false };
        if state.operation.is_some() {
            if !state.operation.as_ref().is_some_and(|operation| operation.options.writes(key)) {
                return false;
            }
            let goes_on = |work: &&Work| work.is_under_way() && !work.failing && work.unhealthy.is_none();
            let work = state.work.as_ref().filter(goes_on);
            return work.is_some_and(|work| work.prune_step(key).is_some_and(|step| step <= work.at));
        }
        let tried = state.assigned.as_ref().map(attempt_of);
        let last = state.last.as_ref().filter(|last| Some(last.attempt) == tried);
        // The sync that is about to begin has its own place for it.
        let automated = state.listed.as_ref().is_some_and(|listed| listed.policy.automated.is_some());
        let withheld = last.map_or(automated, |last| last.withheld);
        !withheld || !queued.counted || self.phase_of(app) != Phase::Active
    }

    /// Gives the place of a delete: the greatest goes first. Out of a sync that is the last wave, in one the first step.
    fn delete_rank(&self, app: &AppId, key: &ResourceKey) -> Rank {
        let running = self.apps.get(app).and_then(|state| state.work.as_ref());
        let step = running.and_then(|work| work.prune_step(key));
        let wave = step.map_or_else(|| self.applied_wave(key), |Step { wave, .. }| wave.saturating_neg());
        Rank::of(key, wave)
    }

    /// Tells whether deletes of an app are to be sent, or were sent and have no answer. What the API server refused is
    /// neither: it rests.
    pub(super) fn has_deletes_under_way(&self, app: &AppId) -> bool {
        // An open intent has its place in the settle queue, or a request is under way.
        let sent = |key: &ResourceKey| {
            let entry = self.inventory.get(key).filter(|entry| entry.app == *app);
            entry.is_some_and(|entry| matches!(entry.intent, Some(Intent::Delete { .. })))
        };
        self.next_deletes(app).iter().any(|queued| !queued.refused)
            || self.is_deleting(app)
            || self.settle_queue.keys().chain(&self.busy).any(sent)
    }

    /// Tells whether the deletes of an app wait for the API server to come back.
    pub(super) fn deletes_are_stuck(&self, app: &AppId, now: Now) -> bool {
        !self.is_deleting(app) && self.next_deletes(app).iter().all(|queued| queued.due > now.ms())
    }

    fn is_deleting(&self, app: &AppId) -> bool {
        self.deleting(app).next().is_some()
    }

    /// Gives the objects of an app that are being deleted, or looked at before it.
    fn deleting(&self, app: &AppId) -> impl Iterator<Item = &ResourceKey> {
        let flights = self.flights.values().filter(move |flight| match &flight.purpose {
            Purpose::DeleteCheck { app: of, .. } | Purpose::Delete { app: of, .. } => of == app,
            Purpose::Verify
            | Purpose::Settle
            | Purpose::Claim { .. }
            | Purpose::Apply { .. }
            | Purpose::Try { .. }
            | Purpose::Namespace { .. }
            | Purpose::ClearHook { .. }
            | Purpose::DeleteHook { .. }
            | Purpose::Compare { .. }
            | Purpose::Weigh { .. }
            | Purpose::Sweep { .. } => false,
        });
        flights.map(|flight| &flight.key)
    }

    /// Tries what was refused anew: a sync begins, or begins again.
    pub(super) fn retry_deletes(&mut self, app: &AppId) {
        for queued in self.delete_queue.get_mut(app).into_iter().flat_map(BTreeMap::values_mut) {
            if queued.refused {
                queued.refused = false;
                queued.due = 0;
            }
        }
    }
}
