//! What is seen of the cluster: lists, watches, and looks at single objects.
//!
//! Absence in a list, or the end of a watch, concludes nothing before a look at the object (M19). A kind that the API
//! server refuses to show is unknown, and said to be.

use std::collections::BTreeSet;
use std::time::Duration;

use super::slots::Use;
use super::state::Live;
use super::{InventoryEntry, Purpose, Reconciler};
use crate::cluster::{ApiError, LiveMeta, Request, WatchEvent, WatchSet};
use crate::ids::AppId;
use crate::key::{GroupKind, ResourceKey};
use crate::time::Now;
use std::collections::BTreeMap;

/// How long an open intent that is no longer wanted waits before a GET judges it, beyond its request's deadline (M18).
const SETTLE: Duration = Duration::from_mins(1);
/// How often an object is looked at whose end no watch may tell.
const GOING_LOOK_MS: u64 = 10_000;

/// What is known of the watch of a kind.
#[derive(Debug, Clone, Default)]
pub(super) struct KindWatch {
    pub(super) listed: bool,
    pub(super) newest: u64,
    /// Why it does not stand.
    pub(super) broken: Option<ApiError>,
}

impl KindWatch {
    /// The API server refuses to list or watch the kind: its objects are not seen, and absence says nothing.
    pub(super) fn is_refused(&self) -> bool {
        self.broken.as_ref().is_some_and(ApiError::is_refusal)
    }
}

impl Reconciler {
    /// Takes a watch event of a kind.
    pub fn watched(&mut self, kind: &GroupKind, event: WatchEvent, now: Now) {
        match event {
            WatchEvent::Listed { resource_version, objects } => {
                self.listed(kind, resource_version, objects, now);
            }
            WatchEvent::Seen(live) => {
                let watch = self.watches.entry(kind.clone()).or_default();
                watch.newest = watch.newest.max(live.resource_version);
                watch.broken = None;
                self.verify_queue.remove(&live.key);
                self.observe(live, now);
            }
            WatchEvent::Gone(key) => self.suspect(key, now),
            WatchEvent::Broken(error) => {
                self.watches.entry(kind.clone()).or_default().broken = Some(error);
                let concerned = self.apps_of_kind(kind);
                self.dirty.extend(concerned.iter().cloned());
                self.judge.extend(concerned);
            }
        }
    }

    /// A kind is no longer served: its objects went with it.
    pub(super) fn kind_removed(&mut self, kind: &GroupKind, now: Now) {
        self.forget_watch(kind);
        let keys: Vec<ResourceKey> = self.inventory.keys().filter(|key| kind.is_of(key)).cloned().collect();
        for key in keys {
            self.gone(&key, now);
        }
    }

    /// A kind is no longer watched: what was seen of it says nothing about later.
    pub(super) fn forget_watch(&mut self, kind: &GroupKind) {
        self.watches.remove(kind);
        // Should it be watched again, a watch that goes on where it was would list nothing.
        let generation = self.generations.entry(kind.clone()).or_default();
        *generation = generation.wrapping_add(1);
        self.live.retain(|key, _| !is_of(key, kind));
    }

    /// Gives the apps that desire or manage objects of a kind.
    fn apps_of_kind(&self, kind: &GroupKind) -> BTreeSet<AppId> {
        let desirers = self.desirers.iter().filter(|(key, _)| kind.is_of(key));
        let managers = self.inventory.iter().filter(|(key, _)| kind.is_of(key));
        let managers = managers.map(|(_, entry)| &entry.app);
        desirers.flat_map(|(_, apps)| apps).chain(managers).cloned().collect()
    }

    /// Gives the kinds that must be watched.
    pub fn kinds_to_watch(&self) -> BTreeSet<GroupKind> {
        let kinds = self.managed_kinds.keys().chain(&self.desired_kinds);
        kinds.filter(|kind| self.kinds.contains_key(*kind)).cloned().collect()
    }

    /// Gives what must be watched.
    pub fn watch_generations(&self) -> WatchSet {
        let with_generation = |kind: GroupKind| {
            let generation = self.watch_generation(&kind);
            (kind, generation)
        };
        let kinds = self.kinds_to_watch().into_iter().map(with_generation).collect();
        WatchSet { kinds, parts: self.parts.watched().clone() }
    }

    /// Gives the same if it is not what a shell knows already: asked after every turn, and nearly always nothing new.
    pub fn changed_watches(&self, known: &WatchSet) -> Option<WatchSet> {
        let WatchSet { kinds: known, parts } = known;
        let more = self.desired_kinds.iter().filter(|kind| !self.managed_kinds.contains_key(*kind));
        let mut wanted = self.managed_kinds.keys().chain(more).filter(|kind| self.kinds.contains_key(*kind));
        let as_known = |kind: &GroupKind| known.get(kind) == Some(&self.watch_generation(kind));
        let same = wanted.by_ref().take(known.len()).filter(|kind| as_known(kind)).count() == known.len()
            && *parts == *self.parts.watched();
        if same && wanted.next().is_none() { None } else { Some(self.watch_generations()) }
    }

    fn watch_generation(&self, kind: &GroupKind) -> u64 {
        self.generations.get(kind).copied().unwrap_or(0)
    }

    /// Tells whether every watched kind was listed and its watch stands: then all is observed up to now. What the API
    /// server refuses to show is said to be unknown, which holds at any time.
    pub fn is_observing(&self) -> bool {
        let kinds = self.managed_kinds.keys().chain(&self.desired_kinds);
        self.discovered
            && self.observes_parts()
            && kinds.filter(|kind| self.kinds.contains_key(*kind)).all(|kind| {
                self.watches
                    .get(kind)
                    .is_some_and(|watch| watch.is_refused() || (watch.listed && watch.broken.is_none()))
            })
    }

    pub(super) fn must_watch(&self, kind: &GroupKind) -> bool {
        (self.managed_kinds.contains_key(kind) || self.desired_kinds.contains(kind))
            && self.kinds.contains_key(kind)
    }

    pub(super) fn is_watched(&self, kind: &GroupKind) -> bool {
        self.watches.get(kind).is_some_and(|watch| watch.listed)
    }

    pub(super) fn is_refused(&self, kind: &GroupKind) -> bool {
        self.watches.get(kind).is_some_and(KindWatch::is_refused)
    }

    /// Tells whether a kind is to be listed first. One that the API server refuses to list is looked at by object.
    pub(super) fn is_unseen(&self, kind: &GroupKind) -> bool {
        self.must_watch(kind) && !self.is_watched(kind) && !self.is_refused(kind)
    }

    /// Says what a sync waits for that has not begun to work.
    pub(super) fn unseen_kinds(&self, app: &AppId) -> String {
        let Some(state) = self.apps.get(app) else { return String::new() };
        let managed = self.by_app.get(app).into_iter().flatten();
        let (parts, wholes): (BTreeSet<&ResourceKey>, BTreeSet<&ResourceKey>) =
            state.wanted.keys.keys().chain(managed).partition(|key| key.is_part());
        let kinds: BTreeSet<GroupKind> = wholes.into_iter().map(ResourceKey::group_kind).collect();
        let waits = kinds
            .iter()
            .filter(|kind| self.is_unseen(kind))
            .map(|kind| match self.watches.get(kind).and_then(|watch| watch.broken.as_ref()) {
                Some(error) => format!("{kind} ({error})"),
                None => kind.to_string(),
            })
            .chain(parts.into_iter().filter(|key| self.is_unseen_part(key)).map(ToString::to_string));
        let waits: Vec<String> = waits.collect();
        if waits.is_empty() { String::new() } else { format!("waits for the list of {}", waits.join(", ")) }
    }

    fn listed(&mut self, kind: &GroupKind, resource_version: u64, objects: Vec<LiveMeta>, now: Now) {
        let of_kind: Vec<ResourceKey> =
            self.inventory.keys().filter(|key| is_of(key, kind)).cloned().collect();
        let remembered = of_kind
            .iter()
            .filter_map(|key| self.inventory.get(key))
            .map(|entry| entry.resource_version)
            .max()
            .unwrap_or(0);
        let watch = self.watches.entry(kind.clone()).or_default();
        let older = resource_version < watch.newest.max(remembered);
        watch.listed = true;
        watch.broken = None;
        watch.newest = resource_version;
        if older {
            // etcd was restored: versions remembered from before say nothing any more (M19).
            self.live.retain(|key, _| !is_of(key, kind));
            for key in &of_kind {
                if let Some(mut entry) = self.inventory.get(key).cloned() {
                    entry.resource_version = 0;
                    self.put_inventory(key, Some(entry));
                }
            }
        }
        let mut there = BTreeSet::new();
        for live in objects {
            there.insert(live.key.clone());
            self.verify_queue.remove(&live.key);
            self.observe(live, now);
        }
        let known: BTreeSet<ResourceKey> =
            self.live.keys().filter(|key| is_of(key, kind)).cloned().chain(of_kind).collect();
        for key in known.difference(&there) {
            let newer = matches!(self.live.get(key),
                Some(Live::Present(live)) if live.resource_version > resource_version);
            if !newer && !matches!(self.live.get(key), Some(Live::Absent)) {
                self.suspect(key.clone(), now);
            }
        }
        let apps: Vec<AppId> = self.apps.keys().cloned().collect();
        self.dirty.extend(apps.iter().cloned());
        self.judge.extend(apps);
    }

    /// Takes what was just seen of an object. An answer may be older than what a watch made us look at again.
    pub(super) fn observe(&mut self, live: LiveMeta, now: Now) {
        let key = live.key.clone();
        if let Some(Live::Present(known)) = self.live.get(&key)
            && known.resource_version > live.resource_version
        {
            return;
        }
        let replaced =
            |entry: &InventoryEntry| entry.going && entry.uid.as_deref() != Some(live.uid.as_str());
        if self.inventory.get(&key).is_some_and(replaced) {
            // What was deleted is gone; this is somebody's new object.
            self.gone(&key, now);
        }
        self.note_completion(&key, &live);
        self.recover(&live);
        self.look_for_end(&live, now);
        self.live.insert(key.clone(), Live::Present(Box::new(live)));
        self.touch(&key, now);
    }

    /// No watch tells when an object goes that does not carry our label: it is looked at until it has gone.
    pub(super) fn look_for_end(&mut self, live: &LiveMeta, now: Now) {
        let concerns = self.inventory.contains_key(&live.key) || self.desirers.contains_key(&live.key);
        if concerns && live.deleting && !live.labelled && !live.key.is_part() {
            self.look_later(live.key.clone(), now);
        }
    }

    /// Looks at an object that goes when its finalizers let it.
    pub(super) fn look_later(&mut self, key: ResourceKey, now: Now) {
        self.verify_queue.entry(key).or_insert(now.ms().saturating_add(GOING_LOOK_MS));
    }

    /// Tells whether an object was seen to be on its way out.
    pub(super) fn is_dying(&self, key: &ResourceKey) -> bool {
        matches!(self.live.get(key), Some(Live::Present(live)) if live.deleting)
    }

    /// An object of the watch is gone, or lost our label: a GET tells which.
    pub(super) fn suspect(&mut self, key: ResourceKey, now: Now) {
        if self.inventory.contains_key(&key) || self.desirers.contains_key(&key) {
            // A look that was put off comes forward.
            let due = self.verify_queue.entry(key).or_insert(now.ms());
            *due = (*due).min(now.ms());
        } else {
            self.live.remove(&key);
        }
    }

    /// Looks at an object again: is there drift, and whose status does it change?
    pub(super) fn touch(&mut self, key: &ResourceKey, now: Now) {
        if let Some(app) = self.inventory.get(key).map(|entry| entry.app.clone()) {
            self.dirty.insert(app.clone());
            self.judge_for(&app, key);
            self.heal_queue.entry(key.clone()).or_insert(now.ms());
        }
        self.weigh(key, now);
        self.note_written(key, now);
        self.tell_drift(key);
        if let Some(apps) = self.desirers.get(key) {
            self.dirty.extend(apps.iter().cloned());
        }
    }

    /// A Job that completed is done: a TTL may take it away (design: objects that end by themselves).
    fn note_completion(&mut self, key: &ResourceKey, live: &LiveMeta) {
        let ends = (key.group == "batch" && key.kind == "Job") || (key.group.is_empty() && key.kind == "Pod");
        let completed = ends
            && !key.is_part()
            && key.kind == "Job"
            && live.health.as_ref().is_some_and(|verdict| verdict.health == crate::health::Health::Healthy);
        if let Some(entry) = self.inventory.get(key)
            && completed
            && !entry.done
            && entry.uid.as_deref() == Some(live.uid.as_str())
        {
            let mut entry = entry.clone();
            entry.done = true;
            self.put_inventory(key, Some(entry));
        }
    }

    /// An object that carries our tracking but is in no inventory (the store was lost): shown, taken again when desired,
    /// and deleted only when asked (M17, M22).
    pub(super) fn recover(&mut self, live: &LiveMeta) {
        // Nothing on its object names whose a part is: it is applied again where it is desired.
        let untold = live.key.is_part() || live.fingerprint.is_none();
        if self.inventory.contains_key(&live.key) || live.owned || untold {
            return;
        }
        let crate::cluster::Tracking::Ours { installation, app, names } = &live.tracking else { return };
        let listed = self.apps.get(app).is_some_and(|state| state.listed.is_some());
        let desired = self.desirers.contains_key(&live.key);
        let (app, live_key) = (app.clone(), live.key.clone());
        if self.follows_deletion(&app, &live_key) {
            return;
        }
        if *installation != Some(self.installation) || *names != live_key || !listed || desired {
            return;
        }
        let mut entry = InventoryEntry::new(app.clone());
        entry.kept = live_key.is_crd() || self.is_kept_by_release(&app, &live_key);
        entry.uid = Some(live.uid.clone());
        entry.recovered = true;
        entry.resource_version = live.resource_version;
        entry.fingerprint = live.fingerprint;
        self.event(
            &app,
            Some(&live_key),
            "Recovered",
            "tracked by this app and in no inventory: shown, not deleted",
        );
        self.put_inventory(&live.key, Some(entry));
    }

    /// Tells whether the release of an app that is being deleted says that an object stays.
    fn is_kept_by_release(&self, app: &AppId, key: &ResourceKey) -> bool {
        let wanted = self.apps.get(app).and_then(|state| state.wanted.keys.get(key));
        wanted.and_then(|wanted| self.facts.get(&wanted.manifest)).is_some_and(|facts| facts.kept)
    }

    /// Gives the objects of a queue that are due and of which no request is under way.
    pub(super) fn due(&self, queue: &BTreeMap<ResourceKey, u64>, now: Now) -> Vec<ResourceKey> {
        let due = queue.iter().filter(|(key, at)| **at <= now.ms() && !self.busy.contains(*key));
        due.map(|(key, _)| key.clone()).collect()
    }

    /// Judges open intents that are no longer wanted, once their requests cannot be under way any more (M18).
    pub(super) fn settle_due(&mut self, now: Now) {
        for key in self.due(&self.settle_queue, now) {
            if !self.has_room(Use::Look) {
                return;
            }
            let open = self.inventory.get(&key).is_some_and(|entry| entry.intent.is_some());
            self.settle_queue.remove(&key);
            if open {
                // An answer that does not come is asked for again.
                self.settle_queue.insert(key.clone(), now.ms().saturating_add(settle_ms()));
                self.send(key.clone(), Purpose::Settle, Request::Get { key });
            }
        }
    }

    pub(super) fn run_verifies(&mut self, now: Now) {
        for key in self.due(&self.verify_queue, now) {
            if !self.has_room(Use::Look) {
                return;
            }
            self.verify_queue.remove(&key);
            if self.kinds.contains_key(&key.group_kind()) || !self.discovered {
                self.send(key.clone(), Purpose::Verify, Request::Get { key });
            }
        }
    }

    pub(super) fn discover_if_due(&mut self, now: Now) {
        if self.discover_due.is_some_and(|due| due <= now.ms()) {
            self.discover_due = None;
            self.out.discover = true;
        }
    }

    /// Asks for a discovery soon.
    pub(super) fn rediscover(&mut self, at_ms: u64) {
        self.discover_due = Some(self.discover_due.map_or(at_ms, |due| due.min(at_ms)));
    }
}

/// Tells whether a whole object is of a kind: what the list of a kind tells of.
fn is_of(key: &ResourceKey, kind: &GroupKind) -> bool {
    !key.is_part() && kind.is_of(key)
}

pub(super) fn settle_ms() -> u64 {
    crate::time::millis(crate::cluster::REQUEST_DEADLINE.saturating_add(SETTLE))
}
