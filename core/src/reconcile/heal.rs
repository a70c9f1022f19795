//! Healing: what others change is put back, as it was applied (M8), until it is a fight.

use super::slots::Use;
use super::state::{Heals, Live};
use super::tolerance::Tolerance;
use super::{AppliedBody, Intent, InventoryEntry, Reconciler};
use crate::cluster::LiveMeta;
use crate::desired::Phase;
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::time::Now;

/// Heals of one object within this time are counted together.
const FIGHT_WINDOW_MS: u64 = 600_000;
/// So many heals within the window are a fight.
const FIGHT: usize = 3;
/// First pause of a fight; each further round doubles it.
const PAUSE_MS: u64 = 60_000;
/// Longest pause.
const LONGEST_PAUSE_MS: u64 = 1_800_000;

/// What is wrong with a live object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drift {
    /// Nothing.
    None,
    /// It is not there.
    Missing,
    /// We lost fields, or it is another incarnation.
    Changed,
    /// It cannot be told yet.
    Unknown,
}

impl Reconciler {
    /// Compares a managed object with what was applied, by metadata alone.
    pub(super) fn drift(&self, key: &ResourceKey) -> Drift {
        let entry = self.inventory.get(key);
        entry.map_or(Drift::Unknown, |entry| self.drift_of(key, entry, self.live.get(key)))
    }

    /// Compares what was looked up already.
    pub(super) fn drift_of(&self, key: &ResourceKey, entry: &InventoryEntry, live: Option<&Live>) -> Drift {
        match live {
            None => Drift::Unknown,
            Some(Live::Absent) if entry.done => Drift::None,
            Some(Live::Absent) => Drift::Missing,
            Some(Live::Present(live)) => {
                if entry.uid.as_deref() != Some(live.uid.as_str()) {
                    Drift::Changed
                } else if is_changed(entry, live) {
                    match self.tolerance(key, entry, live) {
                        Tolerance::Tolerated => Drift::None,
                        Tolerance::NotAsked | Tolerance::Differs => Drift::Changed,
                        Tolerance::Unknown(_) => Drift::Unknown,
                    }
                } else {
                    Drift::None
                }
            }
        }
    }

    /// Tells once that somebody else changed or removed an object, whether or not it will be put back.
    pub(super) fn tell_drift(&mut self, key: &ResourceKey) {
        let Some(entry) = self.inventory.get(key) else {
            self.drifted.remove(key);
            return;
        };
        // What is being written, deleted or let go of is nobody else's change.
        let settled =
            entry.intent.is_none() && !entry.going && !entry.detached && entry.fingerprint.is_some();
        let desired = self.desirers.get(key).is_some_and(|apps| apps.contains(&entry.app));
        let message = match (self.drift(key), self.live.get(key)) {
            (Drift::Missing, _) => "it is gone: deleted by somebody else".to_owned(),
            (Drift::Changed, Some(Live::Present(live))) if live.deleting => return,
            (Drift::Changed, Some(Live::Present(live))) => {
                let who = live.last_writer.as_deref().unwrap_or("another writer");
                format!("changed by {who}")
            }
            (Drift::None, _) => {
                self.drifted.remove(key);
                return;
            }
            (Drift::Changed | Drift::Unknown, _) => return,
        };
        if settled && desired && !self.busy.contains(key) && !self.drifted.contains(key) {
            let app = entry.app.clone();
            self.drifted.insert(key.clone());
            self.event(&app, Some(key), "Drifted", message);
        }
    }

    pub(super) fn run_heals(&mut self, now: Now) {
        self.put_late_right(now);
        for key in self.due(&self.heal_queue, now) {
            if !self.has_room(Use::Heal) {
                return;
            }
            self.heal_queue.remove(&key);
            if let Some(body) = self.to_heal(&key) {
                self.heal(&key, body, now);
            } else {
                self.forget_problem(&key);
            }
        }
    }

    /// An apply whose answer never came may have arrived after the one that was answered, and have put back what was
    /// before: within one second nothing in the metadata tells. Once none can arrive any more, what was applied is applied
    /// once more if the object has changed since at all; where it is as it was, that is no write (M18).
    fn put_late_right(&mut self, now: Now) {
        for key in self.due(&self.late, now) {
            if !self.has_room(Use::Heal) {
                return;
            }
            self.late.remove(&key);
            let Some(entry) = self.inventory.get(&key) else { continue };
            let changed = matches!(self.live.get(&key),
                Some(Live::Present(live)) if live.resource_version > entry.resource_version && !live.deleting);
            let app = entry.app.clone();
            let desired = self.apps.get(&app).is_some_and(|state| state.wanted.keys.contains_key(&key))
                && matches!(self.phase_of(&app), Phase::Active | Phase::Frozen);
            let settled = entry.intent.is_none() && !entry.going && !entry.detached;
            let Some(body) = entry.applied.clone().filter(|_| settled && changed && desired) else {
                continue;
            };
            // What metadata tell of is drift, and healed as such or not at all.
            if self.drift(&key) == Drift::None
                && self.kinds.contains_key(&key.group_kind())
                && !self.is_queued(&app, &key)
                && self.permits(&app, &key).is_ok()
            {
                self.begin(&app, &key, body, true, now);
            }
        }
    }

    /// Tells whether there may be something to put back of an object, or to be forgotten that was wrong with it.
    pub(super) fn may_need_healing(
        &self,
        key: &ResourceKey,
        entry: &InventoryEntry,
        live: Option<&Live>,
    ) -> bool {
        let told = || self.apps.get(&entry.app).is_some_and(|state| state.problems.contains_key(key));
        entry.intent.is_some() || self.drift_of(key, entry, live) != Drift::None || told()
    }

    /// Gives what to apply again: only under automated sync with selfHeal, only what the assigned release still holds,
    /// never in an app that is being deleted (M8).
    fn to_heal(&self, key: &ResourceKey) -> Option<AppliedBody> {
        let entry = self.inventory.get(key)?;
        let state = self.apps.get(&entry.app)?;
        let listed = state.listed.as_ref()?;
        let enforced = listed.policy.automated.is_some_and(|automated| automated.self_heal);
        let desired =
            matches!(listed.phase, Phase::Active | Phase::Frozen) && state.wanted.keys.contains_key(key);
        // What is not served is healed once it is: everything is looked at again then.
        let served = self.kinds.contains_key(&key.group_kind());
        if entry.detached || !desired || !served || self.is_queued(&entry.app, key) || entry.going {
            return None;
        }
        if matches!(self.live.get(key), Some(Live::Present(live)) if live.deleting) || self.has_no_object(key)
        {
            return None;
        }
        match &entry.intent {
            // Its answer was lost, or we were: it is done again at once (M18).
            Some(Intent::Apply { body, .. }) => return Some(body.clone()),
            Some(Intent::Delete { .. }) => return None,
            None => {}
        }
        let drifted = matches!(self.drift(key), Drift::Missing | Drift::Changed);
        entry.applied.clone().filter(|_| drifted && enforced)
    }

    fn heal(&mut self, key: &ResourceKey, body: AppliedBody, now: Now) {
        let Some(entry) = self.inventory.get(key) else { return };
        let app = entry.app.clone();
        // Its answer was lost, or we were: that is the same write once more, and nobody's change.
        let again = entry.intent.is_some();
        if let Err(reason) = self.permits(&app, key) {
            if let Some(state) = self.apps.get_mut(&app) {
                state.problems.insert(key.clone(), reason);
                self.dirty.insert(app);
            }
            return;
        }
        let opponent = match self.live.get(key) {
            Some(Live::Present(live)) => live.last_writer.clone(),
            Some(Live::Absent) | None => None,
        };
        let heals = self.heals.entry(key.clone()).or_default();
        if heals.not_before > now.ms() && !again {
            self.heal_queue.insert(key.clone(), heals.not_before);
            return;
        }
        heals.drifted = !again;
        heals.opponent = opponent.or_else(|| heals.opponent.take());
        self.begin(&app, key, body, true, now);
    }

    /// What did not work has come right by itself.
    fn forget_problem(&mut self, key: &ResourceKey) {
        let Some(app) = self.inventory.get(key).map(|entry| entry.app.clone()) else { return };
        let wanted = self.apps.get(&app).filter(|state| state.problems.contains_key(key));
        let Some(manifest) = wanted.and_then(|state| state.wanted.keys.get(key)).map(|of| of.manifest) else {
            return;
        };
        if self.is_in_sync(&app, key, manifest)
            && !self.is_queued(&app, key)
            && let Some(state) = self.apps.get_mut(&app)
        {
            state.problems.remove(key);
            self.dirty.insert(app);
        }
    }

    /// A heal was carried out: if somebody had changed the object, it counts towards a fight.
    pub(super) fn healed(&mut self, app: &AppId, key: &ResourceKey, now: Now) {
        let Some(heals) = self.heals.get_mut(key) else { return };
        if !std::mem::take(&mut heals.drifted) {
            return;
        }
        let was_fight = heals.rounds > 0;
        let fight = heals.count(now.ms());
        if fight && !was_fight {
            let who = heals.opponent.clone().unwrap_or_else(|| "another writer".to_owned());
            let message =
                format!("{who} keeps changing it: healed {FIGHT} times within ten minutes, now backing off");
            self.event(app, Some(key), "Fight", message);
        }
        self.event(app, Some(key), "Healed", "put back what was applied");
    }

    /// Says who fights over an object, until that has rested.
    pub(super) fn fight_message(&self, key: &ResourceKey, now_ms: u64) -> Option<String> {
        let heals = self.heals.get(key)?;
        let recent = heals.times.iter().any(|at| now_ms.saturating_sub(*at) < FIGHT_WINDOW_MS);
        (heals.rounds > 0 && (recent || heals.not_before > now_ms)).then(|| {
            let who = heals.opponent.as_deref().unwrap_or("another writer");
            format!("{who} keeps changing this object: healing backs off")
        })
    }
}

/// Tells whether somebody else changed fields of ours of the incarnation that we know.
pub(super) fn is_changed(entry: &InventoryEntry, live: &LiveMeta) -> bool {
    let same = entry.fingerprint.is_some() && live.fingerprint == entry.fingerprint;
    live.resource_version > entry.resource_version && !same
}

impl Heals {
    /// Counts a heal; tells whether it is a fight, in which case the next one waits.
    fn count(&mut self, now_ms: u64) -> bool {
        self.times.retain(|at| now_ms.saturating_sub(*at) < FIGHT_WINDOW_MS);
        let rested = self.times.is_empty() && now_ms > self.not_before.saturating_add(FIGHT_WINDOW_MS);
        if rested {
            self.rounds = 0;
        }
        self.times.push(now_ms);
        if self.times.len() >= FIGHT || self.rounds > 0 {
            let pause = PAUSE_MS.saturating_mul(1 << self.rounds.min(10)).min(LONGEST_PAUSE_MS);
            self.not_before = now_ms.saturating_add(pause);
            self.rounds = self.rounds.saturating_add(1);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_heal_within_ten_minutes_begins_a_backoff_that_grows_and_rests() {
        let mut heals = Heals::default();
        assert!(!heals.count(1_000_000));
        assert!(!heals.count(1_001_000));
        assert!(heals.count(1_002_000));
        assert_eq!(heals.not_before, 1_002_000 + PAUSE_MS);
        assert!(heals.count(heals.not_before));
        assert_eq!(heals.not_before, 1_002_000 + PAUSE_MS + 2 * PAUSE_MS);
        let much_later = heals.not_before + FIGHT_WINDOW_MS + 1;
        assert!(!heals.count(much_later), "it rested");
    }

    #[test]
    fn heals_far_apart_are_no_fight() {
        let mut heals = Heals::default();
        for round in 1..10 {
            assert!(!heals.count(round * FIGHT_WINDOW_MS));
        }
    }
}
