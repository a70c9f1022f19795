//! Deletes: candidates, the governor's word, and the last look before each (M21, M22).

use std::collections::BTreeMap;

use super::slots::Use;
use super::state::{QueuedDelete, prune_request, tables};
use super::{Intent, InventoryEntry, Purpose, Reconciler};
use crate::cluster::{LiveMeta, Request, Tracking};
use crate::desired::{Assignment, Phase};
use crate::governor::{Candidate, Case};
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::order::SyncPhase;
use crate::policy::Consent;
use crate::status::{Held, HeldDelete, ResultCode, ResultRow};
use crate::store::{StoreOp, encode};
use crate::time::Now;

impl Reconciler {
    /// Judges the deletes of every app whose objects or desires changed.
    pub(super) fn judge_due(&mut self, now: Now) {
        let apps = std::mem::take(&mut self.judge);
        if apps.is_empty() {
            return;
        }
        // What other apps may delete uses up the hour that all of them share (M22).
        let mut waiting: BTreeMap<AppId, usize> = BTreeMap::new();
        for app in self.apps.keys() {
            waiting.insert(app.clone(), self.waiting_deletes(app));
        }
        let mut total: usize = waiting.values().sum();
        for app in apps {
            let own = waiting.get(&app).copied().unwrap_or(0);
            self.judge_app(&app, total.saturating_sub(own), now);
            let left = self.waiting_deletes(&app);
            total = total.saturating_sub(own).saturating_add(left);
            waiting.insert(app, left);
        }
    }

    fn judge_app(&mut self, app: &AppId, waiting: usize, now: Now) {
        let candidates = self.candidates(app);
        // Where nothing may be deleted there is nothing to judge.
        let case = if candidates.is_empty() { None } else { self.case(app, waiting, now) };
        let judged = match case {
            Some(case) => self.governor.judge(app, case, &candidates),
            None => crate::governor::Judgement::default(),
        };
        let before = self.delete_queue.remove(app).unwrap_or_default();
        let mut queue = BTreeMap::new();
        for (deletes, counted) in [(judged.confirmed, false), (judged.free, true)] {
            for delete in deletes {
                let (due, refused) =
                    before.get(&delete.key).map_or((now.ms(), false), |queued| (queued.due, queued.refused));
                queue.insert(delete.key.clone(), QueuedDelete { delete, counted, due, refused });
            }
        }
        if !queue.is_empty() {
            self.delete_queue.insert(app.clone(), queue);
        }
        self.forget_prune_request(app);
        let Some(state) = self.apps.get_mut(app) else { return };
        if state.held != judged.held {
            state.held.clone_from(&judged.held);
            self.dirty.insert(app.clone());
            if let Some(held) = judged.held {
                let message = format!("{} deletes are {}", held.deletes.len(), held_back(app, &held));
                self.event(app, None, "DeletesHeld", message);
            }
        }
    }

    /// Counts the unconfirmed deletes of an app that are queued or being looked at.
    fn waiting_deletes(&self, app: &AppId) -> usize {
        if self.is_before_farewell(app) {
            return 0;
        }
        let queue = self.delete_queue.get(app);
        // What waits for a later wave to be gone may do so for days: it is counted when it comes.
        let going = self.last_wave_going(app);
        let next = |key: &ResourceKey| going.is_none_or(|wave| self.applied_wave(key) >= wave);
        let queued = queue.into_iter().flatten().filter(|(key, queued)| queued.counted && next(key)).count();
        let looked_at = self.flights.values().filter(|flight| match &flight.purpose {
            Purpose::DeleteCheck { app: of, counted, .. } => {
                of == app && *counted && !queue.is_some_and(|queue| queue.contains_key(&flight.key))
            }
            Purpose::Verify
            | Purpose::Settle
            | Purpose::Claim { .. }
            | Purpose::Apply { .. }
            | Purpose::Delete { .. }
            | Purpose::Try { .. }
            | Purpose::Namespace { .. }
            | Purpose::ClearHook { .. }
            | Purpose::DeleteHook { .. }
            | Purpose::Compare { .. }
            | Purpose::Weigh { .. }
            | Purpose::Sweep { .. } => false,
        });
        queued.saturating_add(looked_at.count())
    }

    /// Counts the objects that the governor measures deletes against: a part is none.
    pub(super) fn managed_objects(&self) -> usize {
        self.inventory.keys().filter(|key| !key.is_part()).count()
    }

    /// Counts the unconfirmed deletes of all apps that were sent and have no answer; each has its place in the settle
    /// queue.
    pub(super) fn open_deletes(&self) -> usize {
        let open = |key: &&ResourceKey| {
            self.inventory
                .get(*key)
                .is_some_and(|entry| matches!(entry.intent, Some(Intent::Delete { counted: true, .. })))
        };
        self.settle_queue.keys().filter(open).count()
    }

    /// A manual prune is over once nothing is left of it, and void once the app's release is another one.
    fn forget_prune_request(&mut self, app: &AppId) {
        let Some(state) = self.apps.get(app) else { return };
        let (Some(last), Some(assigned)) = (&state.last, &state.assigned) else { return };
        let Some(asked) = last.prune_asked else { return };
        let over = state.operation.is_none() && self.all_verified && self.discovered && !self.has_left(app);
        if asked == prune_request(assigned) && !over {
            return;
        }
        if let Some(last) = self.apps.get_mut(app).and_then(|state| state.last.as_mut()) {
            last.prune_asked = None;
            last.prune_selected.clear();
            self.out.ops.push(StoreOp::put(tables::ATTEMPTS, encode(app), last));
        }
    }

    /// Gives what a sync that prunes leaves because its kind cannot be watched.
    pub(super) fn unseen_deletes(&self, app: &AppId) -> Vec<ResourceKey> {
        let Some(state) = self.apps.get(app) else { return Vec::new() };
        let (Some(running), Some(listed)) = (&state.operation, &state.listed) else { return Vec::new() };
        let left = |key: &&ResourceKey| {
            if !running.options.writes(key) || !self.prunes(state, listed, key) {
                return false;
            }
            let entry = self.inventory.get(*key);
            entry
                .is_some_and(|entry| entry.belongs_to(app) && !self.stays(key, entry) && entry.hook.is_none())
                && self.is_hidden(key)
                && !self.desirers.contains_key(*key)
        };
        self.by_app.get(app).into_iter().flatten().filter(left).cloned().collect()
    }

    /// Tells whether the list holds an object, whichever of its apps names it: what is on its way to an app that fails is
    /// deleted by nobody (M5).
    fn is_held(&self, key: &ResourceKey) -> bool {
        self.apps.values().filter_map(|state| state.listed.as_ref()).any(|listed| is_held(listed, key))
    }

    /// Tells whether an app manages something that left the desired state and that a prune is to take away.
    fn has_left(&self, app: &AppId) -> bool {
        self.by_app.get(app).into_iter().flatten().any(|key| {
            let stays = self.desirers.contains_key(key) || self.is_set_aside(key) || key.is_crd();
            let last = self.apps.get(app).and_then(|state| state.last.as_ref());
            let asked = last.is_none_or(|last| last.prunes(key));
            let goes = |entry: &InventoryEntry| {
                asked && entry.belongs_to(app) && !self.stays(key, entry) && entry.hook.is_none()
            };
            !stays && self.inventory.get(key).is_some_and(goes)
        })
    }

    fn case(&self, app: &AppId, waiting: usize, now: Now) -> Option<Case> {
        let state = self.apps.get(app)?;
        let listed = state.listed.as_ref()?;
        let allow_empty = listed.policy.automated.is_some_and(|automated| automated.allow_empty);
        let attached =
            |key: &&ResourceKey| self.inventory.get(*key).is_some_and(|entry| entry.belongs_to(app));
        Some(Case {
            app_objects: self.by_app.get(app).into_iter().flatten().filter(attached).count(),
            cluster_objects: self.managed_objects(),
            under_way: waiting.saturating_add(self.open_deletes()),
            became_empty: listed.phase == Phase::Active && state.wanted.keys.is_empty() && !allow_empty,
            cascade_confirmed: listed.phase == Phase::Deleting && listed.cascade_confirmed,
            all_held: self.hold_deletes,
            now_ms: now.ms(),
        })
    }

    /// Gives what the app's policy wants deleted and nothing else forbids: the desired state is complete and verified, no
    /// app desires the object, and we know its incarnation.
    fn candidates(&self, app: &AppId) -> Vec<Candidate> {
        let Some(listed) = self.apps.get(app).and_then(|state| state.listed.as_ref()) else {
            return Vec::new();
        };
        self.by_app
            .get(app)
            .into_iter()
            .flatten()
            // Most of what an app manages is desired.
            .filter(|key| !self.desirers.contains_key(*key))
            .filter_map(|key| {
                let entry = self.inventory.get(key)?;
                let uid = entry.uid.clone()?;
                let delete = HeldDelete { key: key.clone(), uid };
                let unasked = entry.recovered && listed.phase == Phase::Deleting;
                self.may_delete(app, listed, entry, &delete).then(|| Candidate {
                    held_by_list: self.is_held(key),
                    unasked,
                    confirm: self.consent(listed, entry) == Consent::Asked,
                    delete,
                })
            })
            .collect()
    }

    fn may_delete(
        &self,
        app: &AppId,
        listed: &Assignment,
        entry: &InventoryEntry,
        delete: &HeldDelete,
    ) -> bool {
        let state = self.apps.get(app);
        let asked = state.is_some_and(|state| state.is_asked_to_prune(&delete.key));
        let confirmed = self.governor.is_confirmed(app, delete);
        let automated = listed.policy.automated.is_some_and(|automated| automated.prune);
        let assigned = state.and_then(|state| state.assigned.as_ref());
        let switched = assigned.is_some_and(|assigned| assigned.root == listed.root);
        let wanted = match listed.phase {
            Phase::Active => {
                let policy = confirmed || asked || (automated && !entry.recovered);
                switched && policy && entry.hook.is_none()
            }
            // Its hooks are known by then.
            Phase::Deleting => switched,
            Phase::Frozen | Phase::Released => false,
        };
        let settled = entry.intent.is_none() && !entry.going && entry.belongs_to(app);
        let runs = entry.hook.as_ref().is_some_and(|run| run.phase == SyncPhase::PreDelete)
            && self.awaits_farewell(app, &delete.key);
        wanted
            && settled
            && !runs
            && self.all_verified
            && self.discovered
            && self.consent(listed, entry) != Consent::Refused
            && !delete.key.is_crd()
            // One that an earlier version made is let go.
            && !delete.key.is_excluded()
            && !self.is_stated_in_part(app, &delete.key)
            && listed.limits.account().is_ok()
            && self.permits_delete(&delete.key).is_ok()
            && self.denied_by_project(listed, &delete.key).is_none()
            && self.kinds.contains_key(&delete.key.group_kind())
            && !self.is_hidden(&delete.key)
            && !self.desirers.contains_key(&delete.key)
            && !self.is_set_aside(&delete.key)
            && !self.announced_keys.contains(&delete.key)
    }

    /// Begins what may be deleted now: in a sync before the applies of the same step, last kinds first.
    pub(super) fn run_deletes(&mut self, now: Now) {
        let apps: Vec<AppId> = self.delete_queue.keys().cloned().collect();
        for app in apps {
            let due: Vec<ResourceKey> = self
                .next_deletes(&app)
                .into_iter()
                .filter(|queued| queued.due <= now.ms() && !self.busy.contains(&queued.delete.key))
                .map(|queued| queued.delete.key.clone())
                .collect();
            for key in due {
                if !self.has_room(Use::Delete) {
                    return;
                }
                if let Some(QueuedDelete { delete, counted, .. }) = self.unqueue_delete(&app, &key) {
                    let purpose = Purpose::DeleteCheck { app: app.clone(), delete, counted };
                    self.send(key.clone(), purpose, Request::Get { key });
                }
            }
        }
    }

    /// Takes a delete out of its app's queue.
    pub(super) fn unqueue_delete(&mut self, app: &AppId, key: &ResourceKey) -> Option<QueuedDelete> {
        let queue = self.delete_queue.get_mut(app)?;
        let queued = queue.remove(key);
        if queue.is_empty() {
            self.delete_queue.remove(app);
        }
        queued
    }

    /// The last look before a delete: the same incarnation, its tracking still ours, and still nobody who desires it.
    pub(super) fn delete_checked(
        &mut self,
        app: &AppId,
        delete: HeldDelete,
        counted: bool,
        found: Option<&LiveMeta>,
        now: Now,
    ) {
        let key = delete.key.clone();
        let Some(entry) = self.inventory.get(&key).cloned() else { return };
        let Some(live) = found else {
            self.gone(&key, now);
            return;
        };
        if live.uid != delete.uid {
            // Ours is gone; what is there now is somebody's new object.
            self.event(app, Some(&key), "Left", "replaced by somebody else: left alone");
            self.put_inventory(&key, None);
            return;
        }
        if Self::is_given_up(&key, live) {
            self.event(app, Some(&key), "Left", "nothing of its object is ours by it any more");
            self.put_inventory(&key, None);
            return;
        }
        if !key.is_part() && !is_tracking_ours(self.installation, &entry, live) {
            self.event(app, Some(&key), "Left", "its tracking is no longer ours: left alone");
            self.put_inventory(&key, None);
            return;
        }
        let listed = self.apps.get(app).and_then(|state| state.listed.clone());
        let permitted = listed.is_some_and(|listed| self.may_delete(app, &listed, &entry, &delete));
        // What was free when it was queued may be held by now.
        let held = self.apps.get(app).and_then(|state| state.held.as_ref());
        let held = held.is_some_and(|held| held.deletes.binary_search(&delete).is_ok());
        let blocked = self.is_delete_blocked(app, &key, counted)
            || (entry.hook.is_none() && self.is_before_farewell(app))
            || self.awaits_farewell(app, &key)
            || self.lacks_heir(app, &key);
        if !permitted || held || blocked || self.hold_deletes || !self.may_write() {
            self.judge.insert(app.clone());
            return;
        }
        if live.deleting {
            let pruned_by = self.pruned_by(app, &key);
            self.put_inventory(&key, Some(InventoryEntry { going: true, pruned_by, ..entry }));
            return;
        }
        if counted && !self.governor.has_room(self.managed_objects(), self.open_deletes(), now.ms()) {
            self.judge.insert(app.clone());
            return;
        }
        let intent = Some(Intent::Delete { uid: delete.uid.clone(), at: now.mono, counted });
        self.settle_queue.insert(key.clone(), now.ms().saturating_add(super::settle_ms()));
        let pruned_by = self.pruned_by(app, &key);
        self.put_inventory(&key, Some(InventoryEntry { intent, pruned_by, ..entry }));
        let request = self.removal(app, &delete);
        self.send(key, Purpose::Delete { app: app.clone(), delete, counted }, request);
    }

    /// A delete was accepted: the object goes when its finalizers let it. A part is given up by then.
    pub(super) fn delete_accepted(&mut self, app: &AppId, delete: &HeldDelete, counted: bool, now: Now) {
        if counted {
            self.count_delete(now);
        }
        let is_part = delete.key.is_part();
        let version = self.apps.get(app).map(|state| self.version_of(state, &delete.key)).unwrap_or_default();
        if is_part {
            self.given_up(app, &delete.key);
        } else if let Some(entry) = self.inventory.get(&delete.key).cloned() {
            let pruned_by = self.pruned_by(app, &delete.key);
            let entry = InventoryEntry { intent: None, going: true, pruned_by, ..entry };
            self.put_inventory(&delete.key, Some(entry));
            self.settle_queue.remove(&delete.key);
            self.verify_queue.insert(delete.key.clone(), now.ms());
        }
        let word = if is_part { "given up" } else { "pruned" };
        let row = ResultRow { version, ..ResultRow::new(delete.key.clone(), ResultCode::Pruned, word) };
        if let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) {
            work.results.push(row);
            work.touched = true;
        }
        let done = if is_part { "given up" } else { "deleted" };
        self.event(app, Some(&delete.key), "Pruned", format!("{done}: it left the desired state"));
    }

    /// Counts a delete that had its effect.
    pub(super) fn count_delete(&mut self, now: Now) {
        self.governor.count(now.ms());
        let count = self.governor.counted(now.ms());
        self.out.ops.push(StoreOp::put(tables::GOVERNOR, b"count".as_slice(), &count));
    }

    /// Counts a delete that was sent, never answered, and had its effect as far as can be told (M22).
    pub(super) fn count_unanswered(&mut self, key: &ResourceKey, entry: &InventoryEntry, now: Now) {
        // The one that is under way has its answer still to come.
        if matches!(entry.intent, Some(Intent::Delete { counted: true, .. })) && !self.busy.contains(key) {
            self.count_delete(now);
        }
    }
}

/// Tells whether an object's tracking is still ours: our installation, our app (or the one that it was taken over from
/// and last applied by), naming the object itself.
pub(super) fn is_tracking_ours(
    installation: crate::ids::InstallationId,
    entry: &InventoryEntry,
    live: &LiveMeta,
) -> bool {
    let Tracking::Ours { installation: theirs, app, names } = &live.tracking else { return false };
    let by_us = *app == entry.app || entry.applied.as_ref().is_some_and(|applied| applied.app == *app);
    *theirs == Some(installation) && by_us && *names == live.key
}

/// Says why deletes are not carried out, and what frees them.
pub(super) fn held_back(app: &AppId, held: &Held) -> String {
    format!("held: {}; argosy app confirm {app} --plan {}", held.reason, held.plan)
}

/// Tells whether an assignment holds an object (M5); it names keys as rendered, where the namespace may be missing.
fn is_held(listed: &Assignment, key: &ResourceKey) -> bool {
    listed.held.iter().any(|held| {
        held.group == key.group
            && held.kind == key.kind
            && held.name == key.name
            && held.part == key.part
            && (held.namespace == key.namespace || held.namespace.is_empty() || key.namespace.is_empty())
    })
}
