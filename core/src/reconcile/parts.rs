//! Parts: slices of objects that somebody else has, or nobody does.
//!
//! A part is an object of its own to everything else here: it has its row, its inventory entry, its drift. What differs is
//! told here. Its object is watched by name, since nothing marks it. It is applied only to an incarnation that was just
//! looked at, and waits for one as long as there is none; it is given up where a whole object would be deleted.

use super::Reconciler;
use super::state::{InventoryEntry, Live};
use super::watching::KindWatch;
use crate::cluster::{LiveMeta, Request, WatchEvent};
use crate::health::{Health, Verdict};
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::status::{HeldDelete, ResultCode, ResultRow};
use crate::time::Now;

/// What is said of a part whose object is not there.
const WAITS: &str = "waits for its object: a part never makes it";

impl Reconciler {
    /// Takes a watch event of an object of which a part is desired or managed.
    pub fn part_watched(&mut self, key: &ResourceKey, event: WatchEvent, now: Now) {
        if !self.part_watches.contains_key(key) {
            // It was under way when the watch was given up.
            return;
        }
        let watch = self.part_states.entry(key.clone()).or_default();
        match event {
            WatchEvent::Listed { resource_version, objects } => {
                self.part_listed(key, resource_version, objects, now);
            }
            WatchEvent::Seen(live) => {
                watch.newest = watch.newest.max(live.resource_version);
                watch.broken = None;
                self.verify_queue.remove(key);
                self.observe(live, now);
            }
            WatchEvent::Gone(_) => self.suspect(key.clone(), now),
            WatchEvent::Broken(error) => watch.broken = Some(error),
        }
        let manager = self.inventory.get(key).map(|entry| &entry.app);
        let concerned: Vec<AppId> =
            self.desirers.get(key).into_iter().flatten().chain(manager).cloned().collect();
        self.dirty.extend(concerned.iter().cloned());
        self.judge.extend(concerned);
    }

    fn part_listed(&mut self, key: &ResourceKey, version: u64, objects: Vec<LiveMeta>, now: Now) {
        let remembered = self.inventory.get(key).map_or(0, |entry| entry.resource_version);
        let watch = self.part_states.entry(key.clone()).or_default();
        let older = version < watch.newest.max(remembered);
        *watch = KindWatch { listed: true, newest: version, broken: None };
        if older {
            // etcd was restored: versions remembered from before say nothing any more (M19).
            self.live.remove(key);
            if let Some(entry) = self.inventory.get(key).cloned() {
                self.put_inventory(key, Some(InventoryEntry { resource_version: 0, ..entry }));
            }
        }
        let known = match self.live.get(key) {
            Some(Live::Present(live)) => live.resource_version > version,
            Some(Live::Absent) => true,
            None => false,
        };
        match objects.into_iter().find(|live| live.key == *key) {
            Some(live) => {
                self.verify_queue.remove(key);
                self.observe(live, now);
            }
            None if known => {}
            None => self.suspect(key.clone(), now),
        }
    }

    /// Works out anew of which parts the objects are watched.
    pub(super) fn note_parts(&mut self) {
        let managed = self.inventory.keys().chain(self.part_watches.keys());
        let parts: Vec<ResourceKey> =
            self.desirers.keys().chain(managed).filter(|key| key.is_part()).cloned().collect();
        for key in parts {
            self.note_part(&key);
        }
    }

    /// Watches the object of a part as long as that is desired or managed, and its kind is served.
    pub(super) fn note_part(&mut self, key: &ResourceKey) {
        if !key.is_part() {
            return;
        }
        let matters = self.desirers.contains_key(key) || self.inventory.contains_key(key);
        if !(matters && self.kinds.contains_key(&key.group_kind())) {
            self.part_watches.remove(key);
            self.part_states.remove(key);
            if !matters {
                self.live.remove(key);
                self.verify_queue.remove(key);
            }
        } else if !self.part_watches.contains_key(key) {
            // One that is watched again begins with a list.
            self.part_generation = self.part_generation.wrapping_add(1);
            self.part_watches.insert(key.clone(), self.part_generation);
        }
    }

    /// Tells whether the API server refuses to show an object: its kind cannot be watched, or of a part the object by its
    /// name.
    pub(super) fn is_hidden(&self, key: &ResourceKey) -> bool {
        if key.is_part() {
            self.part_states.get(key).is_some_and(KindWatch::is_refused)
        } else {
            self.is_refused(&key.group_kind())
        }
    }

    /// Tells whether a part is still to be looked at.
    pub(super) fn is_unseen_part(&self, key: &ResourceKey) -> bool {
        let asked = self.part_watches.contains_key(key) && !self.is_hidden(key);
        asked && !self.live.contains_key(key)
    }

    /// Tells whether all parts were listed, and their watches stand.
    pub(super) fn observes_parts(&self) -> bool {
        let stands = |watch: &KindWatch| watch.is_refused() || (watch.listed && watch.broken.is_none());
        self.part_watches.keys().all(|key| self.part_states.get(key).is_some_and(stands))
    }

    /// Says of every part of an app why its object cannot be watched.
    pub(super) fn unwatched_parts<'a>(
        &'a self,
        keys: impl Iterator<Item = &'a ResourceKey>,
    ) -> impl Iterator<Item = String> {
        keys.filter(|key| key.is_part()).filter_map(|key| {
            let watch = self.part_states.get(key).filter(|watch| watch.is_refused() || !watch.listed)?;
            Some(format!("cannot watch the object of {key}: {}", watch.broken.as_ref()?))
        })
    }

    /// Gives the health of a part: it has none of its own while its object is there.
    pub(super) fn part_health(&self, key: &ResourceKey) -> Option<Verdict> {
        match self.live.get(key) {
            Some(Live::Absent) => Some(Verdict::new(Health::Missing, "")),
            Some(Live::Present(_)) | None => None,
        }
    }

    /// Tells whether an apply takes fields that other managers own: one of a whole object always does (M16). One of a part
    /// does only to put back what it had of this incarnation and lost; who else owns what it states anew is told instead.
    pub(super) fn takes_fields(&self, key: &ResourceKey) -> bool {
        if !key.is_part() {
            return true;
        }
        let Some(Live::Present(live)) = self.live.get(key) else { return false };
        let same = |entry: &&InventoryEntry| entry.uid.as_deref() == Some(live.uid.as_str());
        let had = self.inventory.get(key).filter(same).and_then(|entry| entry.fingerprint);
        (had.is_some() || live.fingerprint.is_some()) && had != live.fingerprint
    }

    /// Tells whether a sync has still to apply the whole object of a part.
    pub(super) fn awaits_whole(&self, app: &AppId, key: &ResourceKey) -> bool {
        key.is_part() && self.item(app, &key.whole()).is_some()
    }

    /// Tells whether a part waits for its object: that is not there.
    pub(super) fn has_no_object(&self, key: &ResourceKey) -> bool {
        key.is_part() && matches!(self.live.get(key), Some(Live::Absent))
    }

    /// Says what a part waits for.
    pub(super) fn waiting_note(&self, key: &ResourceKey) -> Option<String> {
        self.has_no_object(key).then(|| WAITS.to_owned())
    }

    /// The object of a part is not there: nothing failed, and once it is there the part is applied.
    pub(super) fn awaits_object(&mut self, app: &AppId, key: &ResourceKey, heal: bool) {
        self.dirty.insert(app.clone());
        if !heal {
            self.item_done(app, key, ResultRow::new(key.clone(), ResultCode::SharedSkipped, WAITS));
        }
    }

    /// Gives what takes an object away, or a part of one: that is given up, and its object stays.
    pub(super) fn removal(&self, app: &AppId, delete: &HeldDelete) -> Request {
        let (key, uid, account) = (delete.key.clone(), delete.uid.clone(), self.account(app));
        if key.is_part() {
            return Request::GiveUp { key, uid, account };
        }
        let listed = self.apps.get(app).and_then(|state| state.listed.as_ref());
        let propagation = listed.map(|listed| listed.policy.propagation).unwrap_or_default();
        Request::Delete { key, uid, propagation, account }
    }

    /// Tells whether nothing is left to be given up of a part: nothing of its object is ours by it, or the object is on its
    /// way out.
    pub(super) fn is_given_up(key: &ResourceKey, live: &LiveMeta) -> bool {
        key.is_part() && (live.fingerprint.is_none() || live.deleting)
    }

    /// A part was given up: its object stays, and is nothing of ours any more.
    pub(super) fn given_up(&mut self, app: &AppId, delete: &HeldDelete) {
        let key = &delete.key;
        self.put_inventory(key, None);
        self.forget_confirmation(app, key);
        self.heal_queue.remove(key);
        self.forget_name(key);
    }
}
