//! Parts: slices of objects that somebody else has, or nobody does.
//!
//! A part is an object of its own to everything else here: it has its row, its inventory entry, its drift. What differs is
//! told here. Its object is watched by name, since nothing marks it. It is applied only to an incarnation that was just
//! looked at, and waits for one as long as there is none; it is given up where a whole object would be deleted.

use std::collections::{BTreeMap, BTreeSet};

use super::Reconciler;
use super::state::{InventoryEntry, Live};
use super::watching::KindWatch;
use crate::cluster::{Answer, ApiError, LiveMeta, Request, WatchEvent, is_owned_by_whole};
use crate::desired::Phase;
use crate::health::{Health, Verdict};
use crate::ids::{AppId, Digest};
use crate::key::ResourceKey;
use crate::status::{HeldDelete, ResultCode, ResultRow};
use crate::time::Now;

/// What is said of a part whose object is not there, and of one whose object is on its way out.
const WAITS: &str = "waits for its object: a part never makes it";
const WAITS_FOR_THE_NEXT: &str = "waits for its object: the one that is there is being deleted";

/// So many objects are watched by name; those of further parts are looked at now and then. Each watch is a request that
/// stays open, on a connection of its own.
const ROOM: usize = 64;
/// How often those are looked at.
const LOOK_MS: u64 = 300_000;
/// Time between two such looks, where there are many.
const LOOK_STEP_MS: u64 = 1_000;

/// What is known of the objects of parts.
#[derive(Debug)]
pub(super) struct Parts {
    /// Those whose objects are watched, each with the generation of its watch.
    watched: BTreeMap<ResourceKey, u64>,
    /// The newest of these.
    generation: u64,
    /// Those whose objects are looked at instead, each with when that is due.
    looks: BTreeMap<ResourceKey, u64>,
    /// Those that nothing but what their app had as a whole is in the way of.
    reclaims: BTreeSet<ResourceKey>,
    /// How the watches and the looks stand.
    states: BTreeMap<ResourceKey, KindWatch>,
    /// How many are watched at most.
    pub(super) room: usize,
}

// === impl Parts ===

impl Default for Parts {
    fn default() -> Self {
        let (watched, looks, states) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { watched, generation: 0, looks, reclaims: BTreeSet::new(), states, room: ROOM }
    }
}

impl Parts {
    pub(super) fn watched(&self) -> &BTreeMap<ResourceKey, u64> {
        &self.watched
    }

    pub(super) fn state(&self, key: &ResourceKey) -> Option<&KindWatch> {
        self.states.get(key)
    }

    /// Gives when objects are to be looked at.
    pub(super) fn timers(&self) -> impl Iterator<Item = &u64> {
        self.looks.values()
    }

    /// Says that changes of an object may be seen late.
    pub(super) fn note(&self, key: &ResourceKey) -> Option<String> {
        let room = self.room;
        let late = || {
            format!(
                "its object is looked at every few minutes: of more than {room} parts not all are watched"
            )
        };
        self.looks.contains_key(key).then(late)
    }

    /// Begins to watch or to look at the object of a part.
    fn add(&mut self, key: &ResourceKey) {
        if self.watched.contains_key(key) || self.looks.contains_key(key) {
            return;
        }
        if self.watched.len() < self.room {
            self.watch(key.clone());
        } else {
            self.looks.insert(key.clone(), 0);
        }
    }

    fn watch(&mut self, key: ResourceKey) {
        // One that is watched again begins with a list.
        self.generation = self.generation.wrapping_add(1);
        self.states.remove(&key);
        self.watched.insert(key, self.generation);
    }

    fn remove(&mut self, key: &ResourceKey) {
        self.states.remove(key);
        self.looks.remove(key);
        self.reclaims.remove(key);
        if self.watched.remove(key).is_some()
            && let Some((next, _)) = self.looks.pop_first()
        {
            self.watch(next);
        }
    }
}

impl Reconciler {
    /// Takes a watch event of an object of which a part is desired or managed.
    pub fn part_watched(&mut self, key: &ResourceKey, event: WatchEvent, now: Now) {
        if !self.parts.watched.contains_key(key) {
            // It was under way when the watch was given up.
            return;
        }
        let watch = self.parts.states.entry(key.clone()).or_default();
        // Each event of a busy object is none about deletes: what changes of the part itself has those judged.
        let judges = match event {
            WatchEvent::Listed { .. } | WatchEvent::Broken(_) => true,
            WatchEvent::Seen(_) | WatchEvent::Gone(_) => false,
        };
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
        self.part_told(key, judges);
    }

    /// What is known of a part changed.
    fn part_told(&mut self, key: &ResourceKey, judges: bool) {
        let manager = self.inventory.get(key).map(|entry| &entry.app);
        let concerned: Vec<AppId> =
            self.desirers.get(key).into_iter().flatten().chain(manager).cloned().collect();
        self.dirty.extend(concerned.iter().cloned());
        if judges {
            self.judge.extend(concerned);
        }
    }

    /// Looks at objects that are not watched.
    pub(super) fn look_at_parts(&mut self, now: Now) {
        let due = self.due(&self.parts.looks, now);
        let all = u64::try_from(self.parts.looks.len()).unwrap_or(u64::MAX);
        let next = now.ms().saturating_add(LOOK_MS.max(all.saturating_mul(LOOK_STEP_MS)));
        for key in due {
            self.parts.looks.insert(key.clone(), next);
            self.suspect(key, now);
        }
    }

    /// The object of a part was looked at, or could not be.
    pub(super) fn part_looked_at(&mut self, key: &ResourceKey, answer: &Result<Answer, ApiError>) {
        if !self.parts.looks.contains_key(key) {
            return;
        }
        let error = answer.as_ref().err();
        if let Ok(Answer::Found(found)) = answer {
            let known = match self.live.get(key) {
                Some(Live::Present(live)) => live.resource_version,
                Some(Live::Absent) | None => 0,
            };
            let remembered = self.inventory.get(key).map_or(0, |entry| entry.resource_version);
            if found.resource_version < known.max(remembered) {
                self.forget_versions(key);
            }
        }
        let state = self.parts.states.entry(key.clone()).or_default();
        state.listed |= error.is_none();
        state.broken = error.cloned();
        self.part_told(key, true);
    }

    fn part_listed(&mut self, key: &ResourceKey, version: u64, objects: Vec<LiveMeta>, now: Now) {
        let remembered = self.inventory.get(key).map_or(0, |entry| entry.resource_version);
        let watch = self.parts.states.entry(key.clone()).or_default();
        let older = version < watch.newest.max(remembered);
        *watch = KindWatch { listed: true, newest: version, broken: None };
        if older {
            self.forget_versions(key);
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

    /// etcd was restored: versions remembered from before say nothing any more (M19).
    fn forget_versions(&mut self, key: &ResourceKey) {
        self.live.remove(key);
        if let Some(entry) = self.inventory.get(key).cloned() {
            self.put_inventory(key, Some(InventoryEntry { resource_version: 0, ..entry }));
        }
    }

    /// Works out anew of which parts the objects are watched or looked at.
    pub(super) fn note_parts(&mut self) {
        let managed = self.inventory.keys().chain(self.parts.watched.keys()).chain(self.parts.looks.keys());
        let parts: Vec<ResourceKey> =
            self.desirers.keys().chain(managed).filter(|key| key.is_part()).cloned().collect();
        for key in parts {
            self.note_part(&key);
        }
    }

    /// Watches or looks at the object of a part as long as that is desired or managed, and its kind is served.
    pub(super) fn note_part(&mut self, key: &ResourceKey) {
        if !key.is_part() {
            return;
        }
        let matters = self.desirers.contains_key(key) || self.inventory.contains_key(key);
        if matters && self.kinds.contains_key(&key.group_kind()) {
            self.parts.add(key);
            return;
        }
        self.parts.remove(key);
        if !matters {
            self.live.remove(key);
            self.verify_queue.remove(key);
        }
    }

    /// Tells whether the API server refuses to show an object: its kind cannot be watched, or of a part the object by its
    /// name.
    pub(super) fn is_hidden(&self, key: &ResourceKey) -> bool {
        if key.is_part() {
            self.parts.state(key).is_some_and(KindWatch::is_refused)
        } else {
            self.is_refused(&key.group_kind())
        }
    }

    /// Tells whether a part is still to be looked at.
    pub(super) fn is_unseen_part(&self, key: &ResourceKey) -> bool {
        let asked = self.parts.watched.contains_key(key) || self.parts.looks.contains_key(key);
        asked && !self.is_hidden(key) && !self.live.contains_key(key)
    }

    /// Tells whether all parts were listed or looked at, and their watches stand.
    pub(super) fn observes_parts(&self) -> bool {
        let stands = |watch: &KindWatch| watch.is_refused() || (watch.listed && watch.broken.is_none());
        let mut all = self.parts.watched.keys().chain(self.parts.looks.keys());
        all.all(|key| self.parts.state(key).is_some_and(stands))
    }

    /// Says of every part of an app why its object cannot be watched.
    pub(super) fn unwatched_parts<'a>(
        &'a self,
        keys: impl Iterator<Item = &'a ResourceKey>,
    ) -> impl Iterator<Item = String> {
        keys.filter(|key| key.is_part()).filter_map(|key| {
            let watch = self.parts.state(key).filter(|watch| watch.is_refused() || !watch.listed)?;
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
    /// does only to put back the very manifest that it had of this incarnation and lost: another may state what it never had,
    /// and so may one of which no apply was answered. Who owns that is told instead. What its app had as a whole
    /// before is its own, where that alone is in the way.
    pub(super) fn takes_fields(&self, app: &AppId, key: &ResourceKey, manifest: Digest) -> bool {
        if !key.is_part() {
            return true;
        }
        let Some(Live::Present(live)) = self.live.get(key) else { return false };
        if self.parts.reclaims.contains(key) && self.was_whole(app, key, live) {
            return true;
        }
        let Some(entry) = self.inventory.get(key) else { return false };
        let applied = entry.applied.as_ref().is_some_and(|body| body.manifest == manifest);
        let same = applied && entry.uid.as_deref() == Some(live.uid.as_str());
        same && entry.fingerprint.is_some() && entry.fingerprint != live.fingerprint
    }

    /// Tells whether an app had the whole object of a part, this incarnation of it, and has it no more.
    fn was_whole(&self, app: &AppId, key: &ResourceKey, live: &LiveMeta) -> bool {
        let whole = key.whole();
        let had = |entry: &InventoryEntry| {
            let answered = entry.applied.is_some() && entry.fingerprint.is_some();
            answered && entry.app == *app && entry.uid.as_deref() == Some(&live.uid)
        };
        self.inventory.get(&whole).is_some_and(had) && !self.has(app, &whole)
    }

    /// Takes the refusal of a part. Tells whether nothing is in its way but what its app had as a whole, so that it is sent
    /// once more and takes that.
    pub(super) fn reclaims(&mut self, app: &AppId, key: &ResourceKey, error: &ApiError) -> bool {
        let own = matches!(error, ApiError::Refused(why) if is_owned_by_whole(why));
        let had = matches!(self.live.get(key), Some(Live::Present(live)) if self.was_whole(app, key, live));
        key.is_part() && own && had && self.parts.reclaims.insert(key.clone())
    }

    /// A part was applied: it has what it states.
    pub(super) fn reclaimed(&mut self, key: &ResourceKey) {
        self.parts.reclaims.remove(key);
    }

    /// Tells whether what is to take the place of a part is not applied: other parts of its object that its app states, or the
    /// whole of it.
    pub(super) fn lacks_heir(&self, app: &AppId, key: &ResourceKey) -> bool {
        let Some(state) = self.apps.get(app).filter(|_| key.is_part()) else { return false };
        let heirs = state.wanted.keys.range(key.whole()..).take_while(|(of, _)| of.is_of_object(key));
        let mut lacking = heirs.filter(|(of, wanted)| {
            let is = |entry: &InventoryEntry| {
                let applied = entry.applied.as_ref().is_some_and(|body| body.manifest == wanted.manifest);
                applied && entry.belongs_to(app) && entry.intent.is_none() && entry.fingerprint.is_some()
            };
            // A part that another app has is nothing that this one waits for.
            let anothers = of.is_part() && self.owner(of).is_some_and(|owner| owner != *app);
            !anothers && !self.inventory.get(*of).is_some_and(is)
        });
        self.phase_of(app) == Phase::Active && lacking.next().is_some()
    }

    /// Tells whether an app states an object in part and not as a whole, and so is never to delete it.
    pub(super) fn is_stated_in_part(&self, app: &AppId, key: &ResourceKey) -> bool {
        if key.is_part() {
            return false;
        }
        let Some(state) = self.apps.get(app) else { return false };
        // The parts of an object come right behind the whole of it.
        let mut from = state.wanted.keys.range(key..).map(|(of, _)| of);
        from.next().is_some_and(|of| of.is_part() && of.is_of_object(key))
    }

    /// Tells whether a sync has still to apply the whole object of a part.
    pub(super) fn awaits_whole(&self, app: &AppId, key: &ResourceKey) -> bool {
        key.is_part() && self.item(app, &key.whole()).is_some()
    }

    /// Tells whether a part waits for its object: that is not there, or on its way out.
    pub(super) fn has_no_object(&self, key: &ResourceKey) -> bool {
        self.waits_for_object(key).is_some()
    }

    fn waits_for_object(&self, key: &ResourceKey) -> Option<&'static str> {
        match self.live.get(key).filter(|_| key.is_part())? {
            Live::Absent => Some(WAITS),
            Live::Present(live) => live.deleting.then_some(WAITS_FOR_THE_NEXT),
        }
    }

    /// Says what a part waits for, and that changes of its object may be seen late.
    pub(super) fn part_notes(
        &self,
        key: &ResourceKey,
        requires_pruning: bool,
    ) -> impl Iterator<Item = String> {
        let waits = self.waits_for_object(key).filter(|_| !requires_pruning).map(str::to_owned);
        waits.into_iter().chain(self.parts.note(key))
    }

    /// The object of a part is not there: nothing failed, and once it is there the part is applied. One that does not go is
    /// not waited for, as it may be somebody else's.
    pub(super) fn awaits_object(&mut self, app: &AppId, key: &ResourceKey, heal: bool) {
        self.dirty.insert(app.clone());
        if !heal {
            let why = self.waits_for_object(key).unwrap_or(WAITS);
            self.item_done(app, key, ResultRow::new(key.clone(), ResultCode::SharedSkipped, why));
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
    pub(super) fn given_up(&mut self, app: &AppId, key: &ResourceKey) {
        self.put_inventory(key, None);
        self.forget_confirmation(app, key);
        self.heal_queue.remove(key);
        self.forget_name(key);
    }
}
