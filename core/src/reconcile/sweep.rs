//! The slow sweep: values that differ though the metadata tell of no change.
//!
//! Drift is told by what we own, which knows nothing of values: admission sets some after ownership is worked out, and a
//! write under our own name within one second leaves the same mark. So an object that somebody wrote to since we did is
//! compared by value some time later, one at a time, and only if it is in sync by its metadata. One that nobody wrote to is
//! as the answer to our apply said, and costs no request.

use std::collections::BTreeMap;

use super::slots::Use;
use super::state::Live;
use super::{AppliedBody, InventoryEntry, Purpose, Reconciler};
use crate::cluster::{Answer, ApiError, Request};
use crate::compare::{Change, Comparison, Manner, ObjectDiff};
use crate::desired::Phase;
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::time::Now;

/// How long an object rests that was written to, and so how often one is looked at that always is.
const REST_MS: u64 = 1_800_000;
/// Time between two objects: two requests each.
const STEP_MS: u64 = 30_000;

/// What is to be compared.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// What was written to, each not before a time.
    waiting: BTreeMap<ResourceKey, u64>,
    /// Nothing before this time.
    rests_until: u64,
}

impl Sweep {
    /// Gives when the next object may be compared.
    pub(super) fn timer(&self) -> Option<u64> {
        Some(*self.waiting.values().min()?.max(&self.rests_until))
    }
}

impl Reconciler {
    /// Notes an object that was seen: somebody may have written to it.
    pub(super) fn note_written(&mut self, key: &ResourceKey, now: Now) {
        if self.inventory.get(key).is_some_and(|entry| self.is_to_sweep(key, entry, self.live.get(key))) {
            self.sweep_later(key.clone(), now);
        }
    }

    pub(super) fn sweep_later(&mut self, key: ResourceKey, now: Now) {
        self.sweep.waiting.entry(key).or_insert(now.ms().saturating_add(REST_MS));
    }

    /// Compares the object that waits for longest, if it is time for that.
    pub(super) fn run_sweep(&mut self, now: Now) {
        if self.sweep.timer().is_none_or(|due| due > now.ms())
            || !self.may_write()
            || !self.has_room(Use::Look)
        {
            return;
        }
        let mut due = self.due(&self.sweep.waiting, now);
        due.sort_by_key(|key| self.sweep.waiting.get(key).copied());
        for key in due {
            self.sweep.waiting.remove(&key);
            let entry =
                self.inventory.get(&key).filter(|entry| self.is_to_sweep(&key, entry, self.live.get(&key)));
            if let Some((app, body)) =
                entry.and_then(|entry| Some((entry.app.clone(), entry.applied.clone()?)))
            {
                self.sweep_object(key, &app, body, now);
                return;
            }
        }
    }

    fn sweep_object(&mut self, key: ResourceKey, app: &AppId, body: AppliedBody, now: Now) {
        self.sweep.rests_until = now.ms().saturating_add(STEP_MS);
        let wanted = self.apps.get(app).and_then(|state| state.wanted.keys.get(&key));
        let ignored = wanted.and_then(|wanted| wanted.ignored.as_deref()).cloned().unwrap_or_default();
        let manner = Manner { ignored, strict: false };
        let desired = Some((body.manifest, body.app.clone()));
        let account = self.account(app);
        self.send(key.clone(), Purpose::Sweep { body }, Request::Compare { key, desired, manner, account });
    }

    /// Tells whether an object is as it was applied by its metadata, and somebody wrote to it since.
    pub(super) fn is_to_sweep(&self, key: &ResourceKey, entry: &InventoryEntry, live: Option<&Live>) -> bool {
        let Some(Live::Present(live)) = live else { return false };
        let seen = live.resource_version > entry.resource_version
            && entry.fingerprint.is_some()
            && live.fingerprint == entry.fingerprint
            && entry.uid.as_deref() == Some(live.uid.as_str());
        let settled = entry.intent.is_none() && !entry.going && !entry.detached && !live.deleting;
        let applied = entry.applied.as_ref().map(|body| body.manifest);
        let wanted = || self.apps.get(&entry.app).and_then(|state| state.wanted.keys.get(key));
        seen && settled
            && wanted().is_some_and(|wanted| Some(wanted.manifest) == applied)
            && matches!(self.phase_of(&entry.app), Phase::Active | Phase::Frozen)
            && !self.is_queued(&entry.app, key)
            && self.permits(&entry.app, key).is_ok()
    }

    /// It was compared. What cannot be told is asked again.
    pub(super) fn swept(
        &mut self,
        key: &ResourceKey,
        body: &AppliedBody,
        answer: Result<Answer, ApiError>,
        now: Now,
    ) {
        let Ok(Answer::Compared(Comparison { difference, fingerprint, resource_version, .. })) = answer
        else {
            return;
        };
        let Some(entry) = self.inventory.get(key).cloned() else { return };
        let same = entry.intent.is_none()
            && !entry.going
            && entry.applied.as_ref() == Some(body)
            && entry.fingerprint.is_some()
            && fingerprint == entry.fingerprint
            && resource_version > entry.resource_version;
        if !same {
            return;
        }
        let Some(difference) = difference.filter(|difference| !is_of_admission(difference, &entry)) else {
            // Seen to be as it was applied: what is older is no drift.
            self.put_inventory(key, Some(InventoryEntry { resource_version, ..entry }));
            return;
        };
        if difference.change != Change::Changed {
            return;
        }
        let paths: Vec<&str> = difference.fields.iter().map(|field| field.path.as_str()).take(10).collect();
        let message = format!("values differ though nobody took its fields: {}", paths.join(", "));
        let app = entry.app.clone();
        self.drifted.insert(key.clone());
        self.event(&app, Some(key), "Drifted", message);
        self.put_inventory(key, Some(InventoryEntry { fingerprint: None, ..entry }));
        self.heal_queue.insert(key.clone(), now.ms());
    }
}

/// Tells whether only values differ that admission was seen to change: it decides them.
fn is_of_admission(difference: &ObjectDiff, entry: &InventoryEntry) -> bool {
    let decided = |path: &str| {
        entry.changed.iter().any(|changed| {
            path.strip_prefix(changed.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    };
    difference.change == Change::Changed
        && difference.left_out == 0
        && !difference.fields.is_empty()
        && difference.fields.iter().all(|field| decided(&field.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::FieldDiff;

    #[test]
    fn only_what_admission_was_seen_to_decide_is_left_to_it() {
        let key = ResourceKey::new("", "ConfigMap", "shop", "a");
        let entry = InventoryEntry {
            changed: vec!["spec.replicas".to_owned(), "spec.rules[0]".to_owned()],
            ..InventoryEntry::new(AppId::new("", "web"))
        };
        let differs = |paths: &[&str], left_out| {
            let field =
                |path: &&str| FieldDiff { path: (*path).to_owned(), live: None, desired: None, untold: 0 };
            ObjectDiff {
                change: Change::Changed,
                fields: paths.iter().map(field).collect(),
                left_out,
                ..ObjectDiff::unknown(key.clone(), String::new())
            }
        };
        assert!(is_of_admission(&differs(&["spec.replicas", "spec.rules[0].host"], 0), &entry));
        assert!(!is_of_admission(&differs(&["spec.replicas", "spec.paused"], 0), &entry));
        assert!(!is_of_admission(&differs(&["spec.replicasMax"], 0), &entry));
        assert!(!is_of_admission(&differs(&["spec.replicas"], 1), &entry));
        assert!(!is_of_admission(&differs(&[], 0), &entry));
    }
}
