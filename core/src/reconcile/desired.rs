//! From lists and releases to the objects that each app desires, and who owns which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::state::{App, Wanted, WantedHook, WantedSet, tables};
use super::{InventoryEntry, Reconciler};
use crate::cluster::Tracking;
use crate::compare::Ignored;
use crate::desired::{Assignment, DesiredList, Phase};
use crate::ids::AppId;
use crate::key::{GroupKind, ResourceKey};
use crate::manifest::Role;
use crate::order::SyncPhase;
use crate::release::{Release, Root};
use crate::session::tables as link_tables;
use crate::store::{StoreError, StoreOp, StoreRead, encode};
use crate::time::Now;

impl Reconciler {
    pub(super) fn adopt_desired(
        &mut self,
        list: Option<&DesiredList>,
        assigned: &BTreeMap<AppId, Assignment>,
        all_verified: bool,
        store: &dyn StoreRead,
        now: Now,
    ) -> Result<(), StoreError> {
        let Some(list) = list else {
            self.all_verified = false;
            return Ok(());
        };
        self.all_verified = all_verified;
        self.hold_deletes = list.settings().hold_deletes;
        let mut names: BTreeSet<AppId> = self.apps.keys().cloned().collect();
        names.extend(list.elements().keys().cloned());
        names.extend(self.by_app.keys().cloned());
        let mut deleted = Vec::new();
        for name in &names {
            let before = self.phase_of(name);
            let state = self.apps.entry(name.clone()).or_default();
            let was = std::mem::replace(&mut state.listed, list.get(name).cloned());
            let was_listed = was.is_some();
            deleted.extend(was.filter(|was| was.phase == Phase::Deleting && state.listed.is_none()));
            state.newest = state.listed.as_ref().and_then(|_| assigned.get(name).cloned());
            state.reassign = false;
            state.assigned = state.enforced();
            state.gatekeeper.adopt(state.listed.as_ref(), self.local.as_deref());
            let left = was_listed && matches!(before, Phase::Deleting | Phase::Released);
            if left && self.phase_of(name) != before {
                // Objects of its last sync may be gone, or somebody else's.
                self.void_attempt(name);
            }
            self.forget_left(name);
        }
        for was in deleted {
            self.tell_denied(&was);
        }
        for name in &names {
            if self.phase_of(name) != Phase::Deleting {
                self.stop_farewell(name);
            }
            match self.phase_of(name) {
                Phase::Released => self.release_app(name),
                Phase::Deleting => self.bid_farewell(name),
                Phase::Frozen => self.end_operation(name, "the app's document is refused"),
                Phase::Active => {}
            }
        }
        self.resolve_all(store, now)?;
        self.drop_left_apps();
        Ok(())
    }

    /// Tells of each object that a deletion left because the app's project does not permit it: it is nobody's from now on.
    fn tell_denied(&mut self, was: &Assignment) {
        let managed = self.by_app.get(&was.app).into_iter().flatten();
        let attached =
            managed.filter(|key| self.inventory.get(*key).is_some_and(|of| of.belongs_to(&was.app)));
        let left: Vec<(ResourceKey, String)> =
            attached.filter_map(|key| Some((key.clone(), self.denied_by_project(was, key)?))).collect();
        for (key, denied) in left {
            self.event(&was.app, Some(&key), "Left", format!("not deleted with its app: {denied}"));
        }
    }

    /// An app that is neither listed nor in the inventory is forgotten.
    fn drop_left_apps(&mut self) {
        let left: Vec<AppId> = self
            .apps
            .iter()
            .filter(|(name, state)| state.listed.is_none() && !self.manages_attached(name))
            .map(|(name, _)| name.clone())
            .collect();
        for name in left {
            self.apps.remove(&name);
            self.out.ops.push(StoreOp::delete(tables::ATTEMPTS, encode(&name)));
            self.out.ops.push(StoreOp::delete(tables::OPERATIONS, encode(&name)));
            self.out.ops.push(StoreOp::delete(tables::CONFIRMED, encode(&name)));
            self.out.ops.push(StoreOp::delete(tables::HISTORY, encode(&name)));
            self.out.ops.push(StoreOp::delete(tables::FAREWELLS, encode(&name)));
            self.delete_queue.remove(&name);
            self.reported.remove(&name);
            self.report_due.remove(&name);
            self.dirty.remove(&name);
            self.judge.remove(&name);
            self.out.statuses.push((name, None));
        }
    }

    fn manages_attached(&self, app: &AppId) -> bool {
        self.by_app
            .get(app)
            .into_iter()
            .flatten()
            .any(|key| self.inventory.get(key).is_some_and(|entry| entry.belongs_to(app)))
    }

    /// Lets go of an app's objects: they stay, and whoever desires them takes them over (M6).
    fn release_app(&mut self, app: &AppId) {
        self.end_operation(app, "the app was released");
        let keys: Vec<ResourceKey> = self.by_app.get(app).into_iter().flatten().cloned().collect();
        for key in keys {
            if let Some(entry) = self.inventory.get(&key)
                && !entry.detached
            {
                let entry = InventoryEntry { detached: true, ..entry.clone() };
                self.unqueue_delete(app, &key);
                self.put_inventory(&key, Some(entry));
            }
        }
    }

    /// Works out again which objects every app desires: lists, releases or kinds changed.
    pub(super) fn resolve_all(&mut self, store: &dyn StoreRead, now: Now) -> Result<(), StoreError> {
        let assignments: Vec<(AppId, Option<Assignment>)> =
            self.apps.iter().map(|(name, state)| (name.clone(), state.assigned.clone())).collect();
        let mut releases: BTreeMap<AppId, Release> = BTreeMap::new();
        let mut defined: BTreeMap<GroupKind, bool> = BTreeMap::new();
        for (name, assigned) in &assignments {
            let Some(assigned) = assigned else { continue };
            let release = assigned_release(assigned.root, store)?;
            self.ingest(&release, store)?;
            for entry in release.entries() {
                if let Some((kind, namespaced)) =
                    self.facts.get(&entry.digest).and_then(|facts| facts.defines.clone())
                {
                    defined.insert(kind, namespaced);
                }
            }
            releases.insert(name.clone(), release);
        }
        self.defined = defined;
        self.desirers.clear();
        for (name, assigned) in &assignments {
            let wanted = match (assigned, releases.get(name)) {
                (Some(assigned), Some(release)) => self.wanted(assigned, release),
                _ => WantedSet::default(),
            };
            if matches!(self.phase_of(name), Phase::Active | Phase::Frozen) {
                for key in wanted.keys.keys() {
                    self.desirers.entry(key.clone()).or_default().insert(name.clone());
                }
            }
            if let Some(state) = self.apps.get_mut(name) {
                state.wanted = wanted;
            }
            self.dirty.insert(name.clone());
            self.judge.insert(name.clone());
        }
        self.announced_keys = self.announced_objects(store)?;
        let forgotten: Vec<(AppId, ResourceKey)> = self
            .apps
            .keys()
            .flat_map(|app| {
                self.governor.confirmed(app).into_iter().map(move |delete| (app.clone(), delete.key))
            })
            .filter(|(_, key)| self.desirers.contains_key(key))
            .collect();
        for (app, key) in forgotten {
            self.forget_confirmation(&app, &key);
        }
        // What a deleting app may still have is looked for even when nothing is known to be managed: the store may be new.
        let leaving = self.apps.iter().filter(|(name, _)| self.phase_of(name) == Phase::Deleting);
        let leaving = leaving.flat_map(|(_, state)| state.wanted.keys.keys());
        let hooks = self.apps.values().flat_map(|state| state.wanted.hooks.keys());
        let wholes = self.desirers.keys().chain(leaving).chain(hooks).filter(|key| !key.is_part());
        self.desired_kinds = kinds_of(wholes);
        self.note_parts();
        let aside =
            self.apps.iter().filter(|(name, _)| matches!(self.phase_of(name), Phase::Active | Phase::Frozen));
        let aside = aside.flat_map(|(_, state)| state.wanted.hooks.keys().chain(&state.wanted.skipped));
        // What runs once an app is gone does not go with it.
        let leaving = self.apps.iter().filter(|(name, _)| self.phase_of(name) == Phase::Deleting);
        let after = leaving.flat_map(|(_, state)| &state.wanted.hooks);
        let after = after.filter(|(_, wanted)| wanted.hook.runs_in(SyncPhase::PostDelete));
        self.set_aside = aside.chain(after.map(|(key, _)| key)).cloned().collect();
        self.nameless = self.set_aside.iter().filter(|key| key.prefix().is_some()).cloned().collect();
        self.note_managed(now);
        let seen: Vec<super::LiveMeta> = self
            .live
            .iter()
            .filter(|(key, _)| !self.inventory.contains_key(*key))
            .filter_map(|(_, live)| match live {
                super::Live::Present(live) => Some(live.as_ref().clone()),
                super::Live::Absent => None,
            })
            .collect();
        for live in &seen {
            self.recover(live);
        }
        self.forget_names();
        Ok(())
    }

    /// Forgets what was noted of objects that are neither managed nor desired any more.
    fn forget_names(&mut self) {
        let noted = self.backoffs.keys().chain(self.refused_heals.keys()).chain(self.heals.keys());
        let absent = self.live.iter().filter(|(_, live)| matches!(live, super::Live::Absent));
        let names: BTreeSet<ResourceKey> = noted.chain(absent.map(|(key, _)| key)).cloned().collect();
        for key in names.iter().filter(|key| !self.busy.contains(*key)).cloned().collect::<Vec<_>>() {
            self.forget_name(&key);
        }
    }

    /// Gives the objects of listed releases that their apps have not switched to, or left for an older one.
    fn announced_objects(&mut self, store: &dyn StoreRead) -> Result<BTreeSet<ResourceKey>, StoreError> {
        let live = |listed: &&Assignment| matches!(listed.phase, Phase::Active | Phase::Frozen);
        let listed = self.apps.values().filter_map(|state| state.listed.as_ref().filter(live));
        let mut announced: Vec<(Assignment, Release)> = listed
            .filter_map(|listed| Some((listed.clone(), self.announced.get(&listed.root)?.clone())))
            .collect();
        let left = self.apps.values().filter(|state| state.newest != state.assigned);
        let left: Vec<Assignment> = left.filter_map(|state| state.newest.clone()).collect();
        for newest in left {
            let release = assigned_release(newest.root, store)?;
            self.ingest(&release, store)?;
            announced.push((newest, release));
        }
        let wanted = announced.iter().map(|(listed, release)| self.wanted(listed, release));
        Ok(wanted.flat_map(|wanted| wanted.keys.into_keys()).collect())
    }

    pub(super) fn forget_confirmation(&mut self, app: &AppId, key: &ResourceKey) {
        if self.governor.forget(app, key) {
            let confirmed = self.governor.confirmed(app);
            self.out.ops.push(if confirmed.is_empty() {
                StoreOp::delete(tables::CONFIRMED, encode(app))
            } else {
                StoreOp::put(tables::CONFIRMED, encode(app), &confirmed)
            });
        }
    }

    /// Tells whether a kind is namespaced: by discovery, else by a definition that is desired.
    pub(super) fn is_namespaced(&self, kind: &GroupKind) -> Option<bool> {
        self.kinds.get(kind).map(|info| info.namespaced).or_else(|| self.defined.get(kind).copied())
    }

    /// Resolves the objects of a release at a destination: a namespaced object that names no namespace gets the
    /// destination's, one of the cluster's scope loses any. Of two that meet the last wins (M2).
    pub(super) fn wanted(&self, assignment: &Assignment, release: &Release) -> WantedSet {
        let mut set = WantedSet { respects: assignment.policy.respect_ignored, ..WantedSet::default() };
        let mut last: Option<(GroupKind, Option<bool>)> = None;
        for entry in release.entries() {
            let rendered = entry.id.key.clone();
            if rendered.is_excluded() {
                continue;
            }
            let namespaced = match &last {
                Some((kind, namespaced)) if kind.is_of(&rendered) => *namespaced,
                Some(_) | None => {
                    let kind = rendered.group_kind();
                    let namespaced = self.is_namespaced(&kind);
                    last = Some((kind, namespaced));
                    namespaced
                }
            };
            let namespace = match namespaced {
                Some(false) => "",
                // An unknown kind counts as namespaced until it is served (Argo CD: unknown scope).
                Some(true) | None if rendered.namespace.is_empty() => &assignment.destination.namespace,
                Some(true) | None => &rendered.namespace,
            };
            let key = rendered.in_namespace(namespace);
            match self.facts.get(&entry.digest).map(|facts| facts.role).unwrap_or_default() {
                Role::Resource => {}
                Role::Skipped | Role::Ignored => {
                    if set.keys.remove(&key).is_some() || set.hooks.remove(&key).is_some() {
                        set.repeated.insert(key.clone());
                    }
                    set.skipped.insert(key);
                    continue;
                }
                Role::Hook(hook) => {
                    let wanted = WantedHook { manifest: entry.digest, hook };
                    let repeats = set.keys.remove(&key).is_some() | set.skipped.remove(&key);
                    if set.hooks.insert(key.clone(), wanted).is_some() || repeats {
                        set.repeated.insert(key);
                    }
                    continue;
                }
            }
            if set.hooks.remove(&key).is_some() | set.skipped.remove(&key) {
                set.repeated.insert(key.clone());
            }
            let ignored = Ignored::of(&assignment.ignore, &key).map(Arc::new);
            let wanted = Wanted { manifest: entry.digest, rendered, ignored };
            if set.keys.insert(key.clone(), wanted).is_some() {
                set.repeated.insert(key);
            }
        }
        set
    }

    /// Tells whether an object is a hook, or to be left alone: it is pruned by nobody.
    pub(super) fn is_set_aside(&self, key: &ResourceKey) -> bool {
        self.set_aside.contains(key) || self.nameless.iter().any(|hook| key.may_be(hook))
    }

    /// Gives the app that owns an object: the one whose inventory has it, else one that desires it and that its live
    /// tracking names, else the first by name that desires it (M2).
    pub(super) fn owner(&self, key: &ResourceKey) -> Option<AppId> {
        if let Some(entry) = self.inventory.get(key).filter(|entry| !entry.detached) {
            return Some(entry.app.clone());
        }
        let desirers = self.desirers.get(key)?;
        let tracked = match self.live.get(key) {
            Some(super::Live::Present(live)) => match &live.tracking {
                Tracking::Ours { installation, app, names }
                    if *installation == Some(self.installation) && names == key && !live.owned =>
                {
                    desirers.get(app)
                }
                Tracking::Ours { .. } | Tracking::None | Tracking::Other(_) => None,
            },
            Some(super::Live::Absent) | None => None,
        };
        tracked.or_else(|| desirers.first()).cloned()
    }

    /// Gives what is to become of an app.
    pub(super) fn phase_of(&self, app: &AppId) -> Phase {
        // An app in the inventory that a verified list does not name is treated as released (M6).
        self.apps
            .get(app)
            .and_then(|state| state.listed.as_ref())
            .map_or(Phase::Released, |listed| listed.phase)
    }

    /// Notes of all that is managed whether it is where it belongs, and what is to be asked about or put back: something else
    /// than the objects changed.
    fn note_managed(&mut self, now: Now) {
        let (mut strays, mut weighed, mut written, mut drifted) =
            (BTreeSet::new(), Vec::new(), Vec::new(), Vec::new());
        for (key, entry) in &self.inventory {
            let live = self.live.get(key);
            if self.is_stray(key, entry) {
                strays.insert(key.clone());
            }
            if self.is_to_weigh(key, entry, live) {
                weighed.push(key.clone());
            }
            if self.is_to_sweep(key, entry, live) {
                written.push(key.clone());
            }
            if self.may_need_healing(key, entry, live) {
                drifted.push(key.clone());
            }
        }
        self.strays = strays;
        for key in weighed {
            self.weigh_queue.entry(key).or_insert(now.ms());
        }
        for key in written {
            self.sweep_later(key, now);
        }
        for key in drifted {
            self.heal_queue.entry(key).or_insert(now.ms());
        }
    }

    fn is_stray(&self, key: &ResourceKey, entry: &InventoryEntry) -> bool {
        if let Some(apps) = self.desirers.get(key) {
            return entry.detached || !(apps.contains(&entry.app) || self.has(&entry.app, key));
        }
        let kept = entry.kept || key.is_excluded() || self.is_stated_in_part(&entry.app, key);
        (kept && !entry.detached) || is_lost(entry)
    }

    /// Notes whether an object is where it belongs.
    pub(super) fn note_stray(&mut self, key: &ResourceKey) {
        if self.inventory.get(key).is_some_and(|entry| self.is_stray(key, entry)) {
            self.strays.insert(key.clone());
        } else {
            self.strays.remove(key);
        }
    }

    /// Hands an object that its app no longer desires to one that does, in one transaction (M21): only to an app that has
    /// switched to its newest release and has no operation on an older one. What is kept and desired by nobody is
    /// detached: it is never deleted, and whoever desires it later takes it over (M19).
    pub(super) fn hand_over(&mut self) {
        // Before the first discovery nobody knows which kinds have namespaces, and so which key is meant.
        if !self.all_verified || !self.discovered {
            return;
        }
        let moves: Vec<(ResourceKey, Option<AppId>)> = self
            .strays
            .iter()
            .filter_map(|key| {
                let entry = self.inventory.get(key)?;
                if entry.intent.is_some() || entry.going || self.busy.contains(key) {
                    return None;
                }
                match self.desirers.get(key) {
                    Some(apps) => {
                        let heir = apps.iter().find(|app| self.has_switched(app))?;
                        Some((key.clone(), Some(heir.clone())))
                    }
                    None if is_lost(entry) => Some((key.clone(), None)),
                    None if self.has_switched(&entry.app) && self.phase_of(&entry.app) == Phase::Active => {
                        Some((key.clone(), None))
                    }
                    None => None,
                }
            })
            .collect();
        for (key, heir) in moves {
            let Some(entry) = self.inventory.get(&key).cloned() else { continue };
            let from = entry.app.clone();
            self.unqueue_delete(&from, &key);
            if let Some(heir) = heir {
                let entry = InventoryEntry { app: heir.clone(), detached: false, recovered: false, ..entry };
                self.put_inventory(&key, Some(entry));
                self.event(&heir, Some(&key), "TakenOver", format!("taken over from app {from}"));
            } else if is_lost(&entry) {
                self.put_inventory(&key, None);
            } else {
                self.put_inventory(&key, Some(InventoryEntry { detached: true, ..entry }));
                let why = if self.is_stated_in_part(&from, &key) {
                    "only a part of it is stated now: the rest is left as it is"
                } else {
                    "it left the desired state and is never deleted"
                };
                self.event(&from, Some(&key), "Kept", why);
            }
        }
    }

    fn has_switched(&self, app: &AppId) -> bool {
        self.apps.get(app).is_some_and(|state: &App| {
            let root = state.listed.as_ref().map(|listed| listed.root);
            let switched = root.is_some() && state.assigned.as_ref().map(|assigned| assigned.root) == root;
            switched
                && state.operation.as_ref().is_none_or(|operation| Some(operation.assignment.root) == root)
        })
    }
}

/// Tells whether no incarnation of an object is ours any more: ours was replaced, and none is being made.
fn is_lost(entry: &InventoryEntry) -> bool {
    entry.uid.is_none() && entry.intent.is_none()
}

/// Gives the kinds of objects: most of them are of the kind of the one before.
pub(super) fn kinds_of<'a>(keys: impl Iterator<Item = &'a ResourceKey>) -> BTreeSet<GroupKind> {
    let mut kinds = BTreeSet::new();
    let mut last: Option<&ResourceKey> = None;
    for key in keys {
        if last.is_none_or(|last| last.kind != key.kind || last.group != key.group) {
            kinds.insert(key.group_kind());
            last = Some(key);
        }
    }
    kinds
}

/// Reads a release that is assigned: it was complete, so it is there.
pub(super) fn assigned_release(root: Root, store: &dyn StoreRead) -> Result<Release, StoreError> {
    link_tables::get_release(store, root)?.ok_or_else(|| StoreError::Undecodable {
        table: link_tables::RELEASES,
        why: format!("release {} is assigned and not there", root.0.short()),
    })
}
