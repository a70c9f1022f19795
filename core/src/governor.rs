//! The governor: holds back a plan that deletes too much (M22), even against the hub.
//!
//! It holds deletes only; everything else goes on. What an operator confirms is freed by key and UID, under any later
//! release, as long as it stays undesired.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::{AppId, Digest};
use crate::key::ResourceKey;
use crate::status::{Held, HeldDelete};

/// The rolling window over which deletes are counted.
pub const WINDOW_MS: u64 = 3_600_000;
/// Deletes in a window that are always permitted.
const WINDOW_FLOOR: usize = 10;
/// How long deletes are counted together.
const BUCKET_MS: u64 = 60_000;
/// An app of at least this many objects does not lose more than half of them.
const HALF_FLOOR: usize = 4;

/// One delete that the plan asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which object, which incarnation.
    pub delete: HeldDelete,
    /// Held by the list: an object may be on its way to an app that fails (M5).
    pub held_by_list: bool,
    /// Found by its tracking after the store was lost: deleted only when an operator asks.
    pub unasked: bool,
    /// It says itself that somebody has to confirm it (`Prune=confirm`, `Delete=confirm`).
    pub confirm: bool,
}

/// What the judgement is about.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Objects that the app manages.
    pub app_objects: usize,
    /// Objects that the agent manages.
    pub cluster_objects: usize,
    /// Unconfirmed deletes besides these that are queued, sent or without an answer, of all apps.
    pub under_way: usize,
    /// The app's release became empty, and its policy does not allow that.
    pub became_empty: bool,
    /// An operator ordered the deletion of the app, which confirms all but precious objects.
    pub cascade_confirmed: bool,
    /// The list holds every delete until hub and agent are reconciled (M14).
    pub all_held: bool,
    /// Elapsed milliseconds.
    pub now_ms: u64,
}

/// What may be deleted, and what is held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// To be deleted now, without using up the window.
    pub confirmed: Vec<HeldDelete>,
    /// To be deleted now, counted.
    pub free: Vec<HeldDelete>,
    /// Held.
    pub held: Option<Held>,
}

/// A confirmation that fits no held plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmError {
    /// Nothing is held.
    #[error("no deletes of this app are held")]
    NothingHeld,
    /// Another plan is held.
    #[error("the held plan is {held}, not {given}: look at it again before confirming")]
    OtherPlan {
        /// What is held.
        held: Digest,
        /// What was confirmed.
        given: Digest,
    },
    /// Only reconciling hub and agent frees these.
    #[error("deletes of this cluster are held until hub and agent are reconciled: argosy cluster reconcile")]
    Reconcile,
}

/// Counts and confirmations.
#[derive(Debug, Clone, Default)]
pub struct Governor {
    window: VecDeque<Bucket>,
    confirmed: BTreeMap<AppId, BTreeSet<HeldDelete>>,
}

/// Deletes of a minute: one bucket a minute bounds the window's memory.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    first: u64,
    /// The bucket leaves the window with its last delete.
    last: u64,
    count: u32,
}

impl Governor {
    /// Restores counts and confirmations. The counts survive a restart; their hour starts again.
    pub fn restore(count: u32, confirmed: BTreeMap<AppId, BTreeSet<HeldDelete>>, now_ms: u64) -> Self {
        let bucket = Bucket { first: now_ms, last: now_ms, count };
        let window = if count == 0 { VecDeque::new() } else { VecDeque::from([bucket]) };
        Self { window, confirmed }
    }

    /// Gives the deletes counted in the window that ends now.
    pub fn counted(&mut self, now_ms: u64) -> u32 {
        while self.window.front().is_some_and(|bucket| now_ms.saturating_sub(bucket.last) >= WINDOW_MS) {
            self.window.pop_front();
        }
        self.window.iter().map(|bucket| bucket.count).fold(0, u32::saturating_add)
    }

    /// Counts one delete.
    pub fn count(&mut self, now_ms: u64) {
        match self.window.back_mut() {
            Some(bucket) if now_ms.saturating_sub(bucket.first) < BUCKET_MS => {
                bucket.last = now_ms;
                bucket.count = bucket.count.saturating_add(1);
            }
            Some(_) | None => self.window.push_back(Bucket { first: now_ms, last: now_ms, count: 1 }),
        }
    }

    /// Tells whether the window has room for one more delete than are counted and under way.
    pub fn has_room(&mut self, cluster_objects: usize, under_way: usize, now_ms: u64) -> bool {
        let counted = self.counted_in(now_ms);
        counted.saturating_add(under_way) < limit(cluster_objects, counted)
    }

    fn counted_in(&mut self, now_ms: u64) -> usize {
        usize::try_from(self.counted(now_ms)).unwrap_or(usize::MAX)
    }

    /// Judges the deletes of one app.
    pub fn judge(&mut self, app: &AppId, case: Case, candidates: &[Candidate]) -> Judgement {
        let nothing = BTreeSet::new();
        let confirmed_set = self.confirmed.get(app).unwrap_or(&nothing);
        let mut confirmed = Vec::new();
        let mut precious = Vec::new();
        let mut in_transit = Vec::new();
        let mut unasked = Vec::new();
        let mut guarded = Vec::new();
        let mut rest = Vec::new();
        for candidate in candidates {
            let delete = candidate.delete.clone();
            if case.all_held {
                rest.push(delete);
            } else if confirmed_set.contains(&delete) {
                confirmed.push(delete);
            } else if candidate.held_by_list {
                in_transit.push(delete);
            } else if delete.key.is_precious() {
                precious.push(delete);
            } else if candidate.confirm {
                guarded.push(delete);
            } else if case.cascade_confirmed {
                confirmed.push(delete);
            } else if candidate.unasked {
                unasked.push(delete);
            } else {
                rest.push(delete);
            }
        }
        let mut reasons = Vec::new();
        let mut held = Vec::new();
        if let Some(reason) = self.too_much(case, rest.len() + precious.len(), rest.len())
            && !rest.is_empty()
        {
            reasons.push(reason);
            held.append(&mut rest);
        }
        if !precious.is_empty() {
            reasons.push("a Namespace or a PersistentVolumeClaim is never deleted unconfirmed".to_owned());
            held.append(&mut precious);
        }
        if !guarded.is_empty() {
            reasons.push("Prune=confirm or Delete=confirm asks for a confirmation".to_owned());
            held.append(&mut guarded);
        }
        if !in_transit.is_empty() {
            reasons.push("an app of the same repository fails: an object may be on its way to it".to_owned());
            held.append(&mut in_transit);
        }
        if !unasked.is_empty() {
            reasons.push(
                "the agent's store was lost: what is found by its tracking is not deleted unconfirmed"
                    .to_owned(),
            );
            held.append(&mut unasked);
        }
        held.sort();
        let held = (!held.is_empty()).then(|| Held {
            plan: Held::plan_of(&held),
            reason: reasons.join("; "),
            deletes: held,
            more: 0,
        });
        Judgement { confirmed, free: rest, held }
    }

    fn too_much(&mut self, case: Case, of_app: usize, counted: usize) -> Option<String> {
        if case.all_held {
            return Some("hub and agent must be reconciled first: argosy cluster reconcile".to_owned());
        }
        if case.became_empty {
            return Some("the app became empty and allowEmpty is off".to_owned());
        }
        if case.app_objects >= HALF_FLOOR && of_app * 2 > case.app_objects {
            return Some(format!("{of_app} of the app's {} objects would be deleted", case.app_objects));
        }
        let deleted = self.counted_in(case.now_ms);
        let limit = limit(case.cluster_objects, deleted);
        let before = deleted.saturating_add(case.under_way);
        (before.saturating_add(counted) > limit).then(|| {
            format!(
                "{counted} deletes after {before} of the whole cluster within an hour are more than {limit}"
            )
        })
    }

    /// Frees exactly the held deletes. The caller makes the confirmation durable.
    pub fn confirm(
        &mut self,
        app: &AppId,
        held: Option<&Held>,
        plan: Digest,
        all_held: bool,
    ) -> Result<(), ConfirmError> {
        let held = held.ok_or(ConfirmError::NothingHeld)?;
        if all_held {
            return Err(ConfirmError::Reconcile);
        }
        if held.plan != plan {
            return Err(ConfirmError::OtherPlan { held: held.plan, given: plan });
        }
        self.confirmed.entry(app.clone()).or_default().extend(held.deletes.iter().cloned());
        Ok(())
    }

    /// Forgets confirmations of objects that are desired again, or gone. Tells whether any was.
    pub fn forget(&mut self, app: &AppId, key: &ResourceKey) -> bool {
        let Some(set) = self.confirmed.get_mut(app) else { return false };
        let before = set.len();
        set.retain(|delete| delete.key != *key);
        let changed = set.len() != before;
        if set.is_empty() {
            self.confirmed.remove(app);
        }
        changed
    }

    /// Tells whether a delete was confirmed.
    pub fn is_confirmed(&self, app: &AppId, delete: &HeldDelete) -> bool {
        self.confirmed.get(app).is_some_and(|set| set.contains(delete))
    }

    /// Gives an app's confirmations, sorted.
    pub fn confirmed(&self, app: &AppId) -> Vec<HeldDelete> {
        self.confirmed.get(app).map(|set| set.iter().cloned().collect()).unwrap_or_default()
    }
}

/// Gives how many deletes an hour permits. What the window has deleted still counts as part of the cluster that it is a
/// tenth of.
fn limit(cluster_objects: usize, deleted: usize) -> usize {
    (cluster_objects.saturating_add(deleted) / 10).max(WINDOW_FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(kind: &str, count: usize) -> Vec<Candidate> {
        (0..count)
            .map(|index| Candidate {
                delete: HeldDelete {
                    key: ResourceKey::new("", kind, "n", format!("o{index:03}")),
                    uid: format!("u{index}"),
                },
                held_by_list: false,
                unasked: false,
                confirm: false,
            })
            .collect()
    }

    fn case(app_objects: usize, cluster_objects: usize) -> Case {
        Case {
            app_objects,
            cluster_objects,
            under_way: 0,
            became_empty: false,
            cascade_confirmed: false,
            all_held: false,
            now_ms: 0,
        }
    }

    fn app() -> AppId {
        AppId::new("", "web")
    }

    #[test]
    fn more_than_half_of_an_app_is_held_until_exactly_that_is_confirmed() {
        let mut governor = Governor::default();
        let judged = governor.judge(&app(), case(6, 6), &candidates("ConfigMap", 3));
        assert_eq!((judged.free.len(), judged.held), (3, None), "half is not more than half");
        let judged = governor.judge(&app(), case(6, 6), &candidates("ConfigMap", 4));
        let held = judged.held.unwrap();
        assert!(judged.free.is_empty() && held.deletes.len() == 4);
        let wrong = governor.confirm(&app(), Some(&held), Digest::of(b"x"), false);
        assert!(matches!(wrong, Err(ConfirmError::OtherPlan { .. })));
        governor.confirm(&app(), Some(&held), held.plan, false).unwrap();
        let judged = governor.judge(&app(), case(6, 6), &candidates("ConfigMap", 5));
        assert_eq!(judged.confirmed.len(), 4);
        assert_eq!(judged.free.len(), 1, "one of the six remains to be judged by itself");
    }

    #[test]
    fn small_apps_may_lose_all_but_an_empty_release_is_held_whatever_its_size() {
        let mut governor = Governor::default();
        assert_eq!(governor.judge(&app(), case(3, 3), &candidates("ConfigMap", 3)).free.len(), 3);
        let empty = Case { became_empty: true, ..case(1, 100) };
        assert!(governor.judge(&app(), empty, &candidates("ConfigMap", 1)).held.is_some());
    }

    #[test]
    fn precious_objects_are_held_alone() {
        let mut governor = Governor::default();
        let mut all = candidates("ConfigMap", 1);
        all.extend(candidates("PersistentVolumeClaim", 1));
        let judged = governor.judge(&app(), case(9, 9), &all);
        assert_eq!(judged.free.len(), 1);
        assert_eq!(judged.held.unwrap().deletes.len(), 1);
        let ordered = Case { cascade_confirmed: true, ..case(9, 9) };
        let judged = governor.judge(&app(), ordered, &all);
        assert_eq!((judged.confirmed.len(), judged.held.unwrap().deletes.len()), (1, 1));
    }

    #[test]
    fn a_rolling_hour_permits_ten_or_a_tenth() {
        let mut governor = Governor::default();
        assert_eq!(governor.judge(&app(), case(100, 100), &candidates("ConfigMap", 10)).free.len(), 10);
        assert!(governor.judge(&app(), case(100, 100), &candidates("ConfigMap", 11)).held.is_some());
        for _ in 0..10 {
            governor.count(0);
        }
        let next = governor.judge(&app(), case(100, 90), &candidates("ConfigMap", 1));
        assert!(next.held.unwrap().reason.contains("within an hour"));
        let later = Case { now_ms: WINDOW_MS, ..case(100, 90) };
        assert_eq!(governor.judge(&app(), later, &candidates("ConfigMap", 1)).free.len(), 1);
        assert_eq!(governor.judge(&app(), case(400, 400), &candidates("ConfigMap", 40)).free.len(), 40);
    }

    #[test]
    fn a_plan_that_may_begin_may_also_end() {
        let mut governor = Governor::default();
        let mut left = candidates("ConfigMap", 20);
        let mut objects = 200;
        while !left.is_empty() {
            let judged = governor.judge(&app(), case(200, objects), &left);
            assert_eq!(judged.held, None, "{} left", left.len());
            governor.count(0);
            objects -= 1;
            left.pop();
        }
    }

    #[test]
    fn what_is_under_way_uses_up_the_window_as_well() {
        let mut governor = Governor::default();
        let busy = Case { under_way: 9, ..case(100, 100) };
        assert_eq!(governor.judge(&app(), busy, &candidates("ConfigMap", 1)).free.len(), 1);
        assert!(governor.judge(&app(), busy, &candidates("ConfigMap", 2)).held.is_some());
        assert!(governor.has_room(100, 9, 0));
        governor.count(0);
        assert!(!governor.has_room(100, 9, 0));
    }

    #[test]
    fn a_delete_is_counted_for_a_whole_hour() {
        let mut governor = Governor::default();
        governor.count(0);
        governor.count(BUCKET_MS - 1);
        assert_eq!(governor.counted(WINDOW_MS + BUCKET_MS - 2), 2);
        assert_eq!(governor.counted(WINDOW_MS + BUCKET_MS - 1), 0);
    }

    #[test]
    fn counts_survive_a_restart_with_a_fresh_hour() {
        let mut governor = Governor::restore(10, BTreeMap::new(), 5);
        assert_eq!(governor.counted(5 + WINDOW_MS - 1), 10);
        assert_eq!(governor.counted(5 + WINDOW_MS), 0);
    }

    #[test]
    fn an_unreconciled_cluster_holds_everything_confirmed_or_not() {
        let mut governor = Governor::default();
        let all = Case { all_held: true, ..case(9, 9) };
        let judged = governor.judge(&app(), all, &candidates("ConfigMap", 1));
        let held = judged.held.unwrap();
        assert_eq!(governor.confirm(&app(), Some(&held), held.plan, true), Err(ConfirmError::Reconcile));
    }
}
