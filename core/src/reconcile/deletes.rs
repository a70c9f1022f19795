//! Deletes: candidates, the governor's word, and the last look before each (M21, M22).

use super::state::{Live, tables};
use super::{Intent, InventoryEntry, Purpose, Reconciler};
use crate::cluster::{LiveMeta, Request, Tracking};
use crate::desired::{Assignment, Phase};
use crate::governor::{Candidate, Case};
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::order;
use crate::status::{HeldDelete, ResultCode, ResultRow};
use crate::store::StoreOp;
use crate::time::Now;

impl Reconciler {
    /// Judges the deletes of every app whose objects or desires changed.
    pub(super) fn judge_due(&mut self, now: Now) {
        let apps = std::mem::take(&mut self.judge);
        for app in apps {
            self.judge_app(&app, now);
        }
    }

    fn judge_app(&mut self, app: &AppId, now: Now) {
        let candidates = self.candidates(app);
        let judged = match self.case(app, now) {
            Some(case) => self.governor.judge(app, case, &candidates),
            None => crate::governor::Judgement::default(),
        };
        let (before, others) =
            std::mem::take(&mut self.delete_queue).into_iter().partition(|(_, (_, of, _, _))| of == app);
        self.delete_queue = others;
        let before: std::collections::BTreeMap<ResourceKey, (HeldDelete, AppId, bool, u64)> = before;
        for (deletes, counted) in [(judged.confirmed, false), (judged.free, true)] {
            for delete in deletes {
                let due = before.get(&delete.key).map_or(now.ms(), |(_, _, _, due)| *due);
                self.delete_queue.insert(delete.key.clone(), (delete, app.clone(), counted, due));
            }
        }
        let Some(state) = self.apps.get_mut(app) else { return };
        if state.held != judged.held {
            state.held.clone_from(&judged.held);
            self.dirty.insert(app.clone());
            if let Some(held) = judged.held {
                let message = format!(
                    "{} deletes are held: {}; argosy app confirm {} --plan {}",
                    held.deletes.len(),
                    held.reason,
                    app.name,
                    held.plan
                );
                self.event(app, None, "DeletesHeld", message);
            }
        }
    }

    fn case(&self, app: &AppId, now: Now) -> Option<Case> {
        let state = self.apps.get(app)?;
        let listed = state.listed.as_ref()?;
        let allow_empty = listed.policy.automated.is_some_and(|automated| automated.allow_empty);
        let attached =
            |key: &&ResourceKey| self.inventory.get(*key).is_some_and(|entry| entry.belongs_to(app));
        Some(Case {
            app_objects: self.by_app.get(app).into_iter().flatten().filter(attached).count(),
            cluster_objects: self.inventory.len(),
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
            .filter_map(|key| {
                let entry = self.inventory.get(key)?;
                let uid = entry.uid.clone()?;
                let delete = HeldDelete { key: key.clone(), uid };
                self.may_delete(app, listed, entry, &delete)
                    .then(|| Candidate { held_by_list: is_held(listed, key), delete })
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
        let asked = state
            .and_then(|state| state.operation.as_ref())
            .is_some_and(|op| op.prune && op.command.is_some());
        let confirmed = self.governor.confirmed(app).contains(delete);
        let automated = listed.policy.automated.is_some_and(|automated| automated.prune);
        let wanted = match listed.phase {
            Phase::Active => {
                let switched = state
                    .and_then(|state| state.assigned.as_ref())
                    .is_some_and(|assigned| assigned.root == listed.root);
                let policy = confirmed || asked || (automated && !entry.recovered);
                switched && policy && !entry.prune_refused
            }
            Phase::Deleting => !entry.recovered || confirmed || listed.cascade_confirmed,
            Phase::Frozen | Phase::Released => false,
        };
        let settled = entry.intent.is_none() && !entry.going && entry.belongs_to(app);
        wanted
            && settled
            && self.all_verified
            && self.discovered
            && !entry.kept
            && !delete.key.is_crd()
            && self.kinds.contains_key(&delete.key.group_kind())
            && !self.desirers.contains_key(&delete.key)
            && !self.announced_keys.contains(&delete.key)
    }

    /// Tells whether deletes of an app are about to be sent or answered; one that rests after a failure is neither.
    pub(super) fn has_deletes_under_way(&self, app: &AppId, now: Now) -> bool {
        let queued = self.delete_queue.values().any(|(_, of, _, due)| of == app && *due <= now.ms());
        let flying = self.flights.values().any(|flight| match &flight.purpose {
            Purpose::DeleteCheck { app: of, .. } | Purpose::Delete { app: of, .. } => of == app,
            Purpose::Verify
            | Purpose::Settle
            | Purpose::Claim { .. }
            | Purpose::Apply { .. }
            | Purpose::Namespace { .. } => false,
        });
        queued || flying
    }

    /// Begins what may be deleted now: after the app's applies, last kinds first.
    pub(super) fn run_deletes(&mut self, now: Now) {
        let mut by_app: std::collections::BTreeMap<AppId, Vec<ResourceKey>> =
            std::collections::BTreeMap::new();
        for (key, (_, app, _, _)) in &self.delete_queue {
            by_app.entry(app.clone()).or_default().push(key.clone());
        }
        for (app, keys) in by_app {
            let applying = self.apps.get(&app).and_then(|state| state.operation.as_ref()).is_some()
                && self
                    .apps
                    .get(&app)
                    .and_then(|state| state.work.as_ref())
                    .is_none_or(|work| !work.queue.is_empty());
            if applying {
                continue;
            }
            let Some(last) = keys.iter().map(order::rank).max() else { continue };
            for key in keys.iter().filter(|key| order::rank(key) == last) {
                if !self.has_room() {
                    return;
                }
                let due = self.delete_queue.get(key).is_some_and(|(_, _, _, due)| *due <= now.ms());
                if !due || self.busy.contains(key) {
                    continue;
                }
                if let Some((delete, app, counted, _)) = self.delete_queue.remove(key) {
                    let purpose = Purpose::DeleteCheck { app, delete, counted };
                    self.send(key.clone(), purpose, Request::Get { key: key.clone() });
                }
            }
        }
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
            self.gone(&key);
            return;
        };
        if live.uid != delete.uid {
            // Ours is gone; what is there now is somebody's new object.
            self.event(app, Some(&key), "Left", "replaced by somebody else: left alone");
            self.put_inventory(&key, None);
            return;
        }
        if !is_tracking_ours(self.installation, &entry, live) {
            self.event(app, Some(&key), "Left", "its tracking is no longer ours: left alone");
            self.put_inventory(&key, None);
            return;
        }
        let listed = self.apps.get(app).and_then(|state| state.listed.clone());
        let permitted = listed.is_some_and(|listed| self.may_delete(app, &listed, &entry, &delete));
        if !permitted || self.hold_deletes || self.read_only.is_some() {
            self.judge.insert(app.clone());
            return;
        }
        if live.deleting {
            self.put_inventory(&key, Some(InventoryEntry { going: true, ..entry }));
            return;
        }
        let intent = Some(Intent::Delete { uid: delete.uid.clone(), at: now.mono });
        self.settle_queue.insert(key.clone(), now.ms().saturating_add(super::settle_ms()));
        self.put_inventory(&key, Some(InventoryEntry { intent, ..entry }));
        let propagation = self
            .apps
            .get(app)
            .and_then(|state| state.listed.as_ref())
            .map(|listed| listed.policy.propagation);
        let request = Request::Delete {
            key: key.clone(),
            uid: delete.uid.clone(),
            propagation: propagation.unwrap_or_default(),
        };
        self.send(key, Purpose::Delete { app: app.clone(), delete, counted }, request);
    }

    /// A delete was accepted: the object goes when its finalizers let it.
    pub(super) fn delete_accepted(&mut self, app: &AppId, delete: &HeldDelete, counted: bool, now: Now) {
        if counted {
            self.governor.count(now.ms());
            self.governor_count = self.governor.counted(now.ms());
            self.out.ops.push(StoreOp::put(tables::GOVERNOR, b"count".as_slice(), &self.governor_count));
        }
        if let Some(entry) = self.inventory.get(&delete.key).cloned() {
            self.put_inventory(&delete.key, Some(InventoryEntry { intent: None, going: true, ..entry }));
            self.settle_queue.remove(&delete.key);
            self.verify_queue.insert(delete.key.clone(), now.ms());
        }
        let row =
            ResultRow { key: delete.key.clone(), code: ResultCode::Pruned, message: "pruned".to_owned() };
        if let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) {
            work.results.push(row);
        }
        self.event(app, Some(&delete.key), "Pruned", "deleted: it left the desired state");
    }

    /// A GET said that a managed object is not there.
    pub(super) fn gone(&mut self, key: &ResourceKey) {
        self.live.insert(key.clone(), Live::Absent);
        let Some(entry) = self.inventory.get(key).cloned() else { return };
        if matches!(entry.intent, Some(Intent::Apply { .. })) {
            // A create may still be under way: only a later look tells (M18).
            return;
        }
        let desired = self.desirers.get(key).is_some_and(|apps| apps.contains(&entry.app));
        if !desired || entry.going {
            let app = entry.app.clone();
            self.put_inventory(key, None);
            self.forget_confirmation(&app, key);
            self.heals.remove(key);
            self.heal_queue.remove(key);
            self.delete_queue.remove(key);
        }
    }
}

/// Tells whether an object's tracking is still ours: our installation, our app (or the one that it was taken over from
/// and last applied by), naming the object itself.
fn is_tracking_ours(
    installation: crate::ids::InstallationId,
    entry: &InventoryEntry,
    live: &LiveMeta,
) -> bool {
    let Tracking::Ours { installation: theirs, app, names } = &live.tracking else { return false };
    let by_us = *app == entry.app || entry.applied.as_ref().is_some_and(|applied| applied.app == *app);
    *theirs == Some(installation) && by_us && *names == live.key
}

/// Tells whether the list holds an object (M5); it names keys as rendered, where the namespace may be missing.
pub(super) fn is_held(listed: &Assignment, key: &ResourceKey) -> bool {
    listed.held.iter().any(|held| {
        held.group == key.group
            && held.kind == key.kind
            && held.name == key.name
            && (held.namespace == key.namespace || held.namespace.is_empty() || key.namespace.is_empty())
    })
}
