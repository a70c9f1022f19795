//! The agent's control loop: desired state, inventory and live metadata in; requests, transactions and statuses out.
//!
//! Everything is level-triggered: each turn looks at what is desired, what is managed and what is live, and does what is
//! still missing. A crash between any two effects is therefore harmless: the next start finds the same difference.
//! Invariants: a write's intent is durable before its request (M18); a delete needs this app's inventory, the same UID,
//! a complete verified desired state without the object, and tracking that is still ours (M21); the governor holds what
//! deletes too much (M22); healing restores what was applied, never more (M8).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::backoff::Backoff;
use crate::cluster::{Kinds, LiveMeta, ManifestFacts, Request, RequestId, WatchEvent};
use crate::desired::{Assignment, DesiredList, Phase};
use crate::governor::Governor;
use crate::ids::{AppId, CommandId, Digest, InstallationId};
use crate::key::{GroupKind, ResourceKey};
use crate::release::{Release, Root};
use crate::session::frame::CommandState;
use crate::status::{AppStatus, HeldDelete};
use crate::store::{self, StoreError, StoreOp, StoreRead, encode};
use crate::time::{Entropy, Now};

mod answers;
mod claim;
mod deletes;
mod desired;
mod heal;
mod operations;
mod report;
mod state;
#[cfg(test)]
mod tests;

pub use state::{AppliedBody, Attempt, Intent, InventoryEntry, Operation, tables};

use state::{App, Heals, Live, PendingSync};

/// Requests under way at once.
const CONCURRENCY: usize = 16;
/// How often a turn goes over everything again because something moved; what is left then waits for the next input.
const ROUNDS: usize = 64;
/// How long an open intent that is no longer wanted waits before a GET judges it, beyond its request's deadline (M18).
const SETTLE: Duration = Duration::from_mins(1);

/// Something an operator may want to know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which app.
    pub app: AppId,
    /// Which object, if one.
    pub key: Option<ResourceKey>,
    /// What kind of event, as a word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutcome {
    /// Which.
    pub id: CommandId,
    /// How it stands.
    pub state: CommandState,
    /// For people.
    pub message: String,
    /// Answer of a read.
    pub payload: Vec<u8>,
}

/// What a turn asks of the shell. The operations on the store are one transaction, durable before anything else.
#[derive(Debug, Default)]
pub struct Output {
    /// The transaction.
    pub ops: Vec<StoreOp>,
    /// Requests to the API server.
    pub requests: Vec<(RequestId, Request)>,
    /// Statuses that changed; `None`: the app has left the cluster.
    pub statuses: Vec<(AppId, Option<AppStatus>)>,
    /// Events.
    pub events: Vec<Event>,
    /// Commands' outcomes.
    pub outcomes: Vec<CommandOutcome>,
    /// Asks for a new discovery.
    pub discover: bool,
}

/// Why a request was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    /// To see whether an object is still there.
    Verify,
    /// To judge an open intent that is no longer wanted.
    Settle,
    /// To see what is there before a first apply.
    Claim { app: AppId, body: AppliedBody, heal: bool },
    /// To apply.
    Apply { app: AppId, body: AppliedBody, heal: bool, uid: Option<String> },
    /// To see that an object is still ours before deleting it.
    DeleteCheck { app: AppId, delete: HeldDelete, counted: bool },
    /// To delete.
    Delete { app: AppId, delete: HeldDelete, counted: bool },
    /// To make sure of an app's destination namespace.
    Namespace { app: AppId },
}

#[derive(Debug, Clone)]
struct Flight {
    key: ResourceKey,
    purpose: Purpose,
}

/// What is known of the watch of a kind.
#[derive(Debug, Clone, Default)]
struct KindWatch {
    listed: bool,
    newest: u64,
    broken: bool,
}

/// The control loop.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about hub, cluster and turn")]
pub struct Reconciler {
    installation: InstallationId,
    kinds: Kinds,
    discovered: bool,
    /// Kinds that definitions of desired releases define.
    defined: BTreeMap<GroupKind, bool>,
    facts: BTreeMap<Digest, ManifestFacts>,
    ingested: BTreeSet<Root>,
    inventory: BTreeMap<ResourceKey, InventoryEntry>,
    by_app: BTreeMap<AppId, BTreeSet<ResourceKey>>,
    live: BTreeMap<ResourceKey, Live>,
    watches: BTreeMap<GroupKind, KindWatch>,
    apps: BTreeMap<AppId, App>,
    desirers: BTreeMap<ResourceKey, BTreeSet<AppId>>,
    /// Releases of the list that their apps have not switched to: verified entries.
    announced: BTreeMap<Root, Release>,
    /// The objects in them: what somebody is about to desire is not deleted (M21).
    announced_keys: BTreeSet<ResourceKey>,
    /// Managed objects that are not where they belong: desired by others than their app, or kept and desired by nobody.
    strays: BTreeSet<ResourceKey>,
    /// How many managed objects of each kind there are, and which kinds are desired: what has to be watched.
    managed_kinds: BTreeMap<GroupKind, usize>,
    desired_kinds: BTreeSet<GroupKind>,
    /// Something changed in this turn that may let something else go on.
    moved: bool,
    /// When the last turn was: what was due then and is still there waits for an input, not for time.
    turned_at: u64,
    hold_deletes: bool,
    all_verified: bool,
    governor: Governor,
    governor_count: u32,
    read_only: Option<String>,
    flights: BTreeMap<RequestId, Flight>,
    busy: BTreeSet<ResourceKey>,
    next_request: u64,
    backoffs: BTreeMap<ResourceKey, Backoff>,
    heals: BTreeMap<ResourceKey, Heals>,
    heal_queue: BTreeMap<ResourceKey, u64>,
    verify_queue: BTreeMap<ResourceKey, u64>,
    settle_queue: BTreeMap<ResourceKey, u64>,
    delete_queue: BTreeMap<ResourceKey, (HeldDelete, AppId, bool, u64)>,
    dirty: BTreeSet<AppId>,
    judge: BTreeSet<AppId>,
    report_due: BTreeMap<AppId, u64>,
    reported: BTreeMap<AppId, AppStatus>,
    discover_due: Option<u64>,
    out: Output,
}

impl Reconciler {
    /// Reads what was durable.
    pub fn load(store: &dyn StoreRead, installation: InstallationId, now: Now) -> Result<Self, StoreError> {
        let mut inventory = BTreeMap::new();
        for (key, value) in store.scan(tables::INVENTORY, &[])? {
            let key: ResourceKey = store::decode(tables::INVENTORY, &key)?;
            let entry: InventoryEntry = store::decode(tables::INVENTORY, &value)?;
            inventory.insert(key, entry);
        }
        let mut apps: BTreeMap<AppId, App> = BTreeMap::new();
        for (key, value) in store.scan(tables::OPERATIONS, &[])? {
            let app: AppId = store::decode(tables::OPERATIONS, &key)?;
            apps.entry(app).or_default().operation = Some(store::decode(tables::OPERATIONS, &value)?);
        }
        for (key, value) in store.scan(tables::ATTEMPTS, &[])? {
            let app: AppId = store::decode(tables::ATTEMPTS, &key)?;
            apps.entry(app).or_default().last = Some(store::decode(tables::ATTEMPTS, &value)?);
        }
        let mut confirmed = BTreeMap::new();
        for (key, value) in store.scan(tables::CONFIRMED, &[])? {
            let app: AppId = store::decode(tables::CONFIRMED, &key)?;
            let deletes: Vec<HeldDelete> = store::decode(tables::CONFIRMED, &value)?;
            confirmed.insert(app, deletes.into_iter().collect());
        }
        let governor_count = store::get_as(store, tables::GOVERNOR, b"count")?.unwrap_or(0);
        let mut facts = BTreeMap::new();
        for (key, value) in store.scan(tables::FACTS, &[])? {
            if let Some(digest) = Digest::from_slice(&key) {
                facts.insert(digest, store::decode(tables::FACTS, &value)?);
            }
        }
        let ingested = store
            .keys(tables::INGESTED)?
            .iter()
            .filter_map(|key| Digest::from_slice(key))
            .map(Root)
            .collect();
        let mut this = Self {
            installation,
            kinds: Kinds::new(),
            discovered: false,
            defined: BTreeMap::new(),
            facts,
            ingested,
            inventory,
            by_app: BTreeMap::new(),
            live: BTreeMap::new(),
            watches: BTreeMap::new(),
            apps,
            desirers: BTreeMap::new(),
            announced: BTreeMap::new(),
            announced_keys: BTreeSet::new(),
            strays: BTreeSet::new(),
            managed_kinds: BTreeMap::new(),
            desired_kinds: BTreeSet::new(),
            moved: false,
            turned_at: 0,
            hold_deletes: false,
            all_verified: false,
            governor: Governor::restore(governor_count, confirmed, now.ms()),
            governor_count,
            read_only: None,
            flights: BTreeMap::new(),
            busy: BTreeSet::new(),
            next_request: 0,
            backoffs: BTreeMap::new(),
            heals: BTreeMap::new(),
            heal_queue: BTreeMap::new(),
            verify_queue: BTreeMap::new(),
            settle_queue: BTreeMap::new(),
            delete_queue: BTreeMap::new(),
            dirty: BTreeSet::new(),
            judge: BTreeSet::new(),
            report_due: BTreeMap::new(),
            reported: BTreeMap::new(),
            discover_due: None,
            out: Output::default(),
        };
        for (key, entry) in &this.inventory {
            *this.managed_kinds.entry(key.group_kind()).or_default() += 1;
            this.by_app.entry(entry.app.clone()).or_default().insert(key.clone());
            if let Some(intent) = &entry.intent {
                // A request of an earlier boot may still be under way for as long as one of this boot.
                let sent = if intent.at().boot == now.mono.boot { intent.at().elapsed_ms } else { now.ms() };
                let settle = sent.saturating_add(settle_ms());
                this.settle_queue.insert(key.clone(), settle);
            }
        }
        Ok(this)
    }

    /// The store was rolled back: which objects are ours still holds, what was applied of them and what was under way is
    /// of the past (M23). They are applied anew from the newest release, and nothing is healed to an older one.
    pub fn distrust(&mut self) {
        let entries: Vec<(ResourceKey, InventoryEntry)> =
            self.inventory.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect();
        for (key, entry) in entries {
            self.settle_queue.remove(&key);
            let known = entry.uid.is_some().then_some(InventoryEntry {
                applied: None,
                fingerprint: None,
                resource_version: 0,
                intent: None,
                done: false,
                going: false,
                ..entry
            });
            self.put_inventory(&key, known);
        }
        for (name, state) in &mut self.apps {
            state.operation = None;
            state.last = None;
            self.out.ops.push(StoreOp::delete(tables::OPERATIONS, encode(name)));
            self.out.ops.push(StoreOp::delete(tables::ATTEMPTS, encode(name)));
        }
    }

    // === Inputs ===

    /// Takes the verified entries of the listed releases that are still on their way, for the next
    /// [`Self::set_desired`].
    pub fn set_announced(&mut self, announced: BTreeMap<Root, Release>) {
        self.announced = announced;
    }

    /// Takes the newest verified list, what is assigned of it, and whether every release in it is complete.
    pub fn set_desired(
        &mut self,
        list: Option<&DesiredList>,
        assigned: &BTreeMap<AppId, Assignment>,
        all_verified: bool,
        store: &dyn StoreRead,
        now: Now,
    ) -> Result<(), StoreError> {
        self.adopt_desired(list, assigned, all_verified, store, now)
    }

    /// Takes a discovery that succeeded. Kinds vanish only by this.
    pub fn set_kinds(&mut self, kinds: Kinds, store: &dyn StoreRead, now: Now) -> Result<(), StoreError> {
        self.discovered = true;
        if self.kinds == kinds {
            return Ok(());
        }
        let served = std::mem::replace(&mut self.kinds, kinds);
        for kind in served.keys().filter(|kind| !self.kinds.contains_key(*kind)).cloned().collect::<Vec<_>>()
        {
            self.kind_removed(&kind);
        }
        self.resolve_all(store, now)
    }

    /// A kind is no longer served: its objects went with it.
    fn kind_removed(&mut self, kind: &GroupKind) {
        self.forget_watch(kind);
        let keys: Vec<ResourceKey> =
            self.inventory.keys().filter(|key| key.group_kind() == *kind).cloned().collect();
        for key in keys {
            self.gone(&key);
        }
    }

    /// A kind is no longer watched: what was seen of it says nothing about later.
    fn forget_watch(&mut self, kind: &GroupKind) {
        self.watches.remove(kind);
        self.live.retain(|key, _| key.group_kind() != *kind);
    }

    /// Takes a watch event of a kind.
    pub fn watched(&mut self, kind: &GroupKind, event: WatchEvent, now: Now) {
        match event {
            WatchEvent::Listed { resource_version, objects } => {
                self.listed(kind, resource_version, objects, now);
            }
            WatchEvent::Seen(live) => {
                let watch = self.watches.entry(kind.clone()).or_default();
                watch.newest = watch.newest.max(live.resource_version);
                watch.broken = false;
                self.observe(live, now);
            }
            WatchEvent::Gone(key) => self.suspect(key, now),
            WatchEvent::Broken(_) => self.watches.entry(kind.clone()).or_default().broken = true,
        }
    }

    /// Says whether writes are permitted, or why not.
    pub fn set_read_only(&mut self, reason: Option<String>) {
        if self.read_only != reason {
            self.read_only = reason;
            self.dirty.extend(self.apps.keys().cloned());
        }
    }

    /// Starts a command. Its record is durable already.
    pub fn sync(&mut self, command: CommandId, app: &AppId, expect: Option<Root>, prune: bool) {
        let known = self.apps.get(app).is_some_and(|state| state.listed.is_some());
        if !known {
            self.finish(command, CommandState::Failed, format!("app {app} is not on this cluster"));
            return;
        }
        let Some(state) = self.apps.get_mut(app) else { return };
        let waits_to_retry = state.work.as_ref().is_some_and(|work| work.retry_at.is_some());
        if state.pending.is_some() || (state.operation.is_some() && !waits_to_retry) {
            self.finish(command, CommandState::Failed, "another operation is already in progress".to_owned());
            return;
        }
        if state.operation.is_some() {
            self.end_operation(app, "superseded by a sync that was asked for");
        }
        if let Some(state) = self.apps.get_mut(app) {
            state.pending = Some(PendingSync { command, expect, prune });
        }
        self.dirty.insert(app.clone());
    }

    /// Frees a held plan, for a command or at the edge.
    pub fn confirm(&mut self, app: &AppId, plan: Digest) -> Result<(), crate::governor::ConfirmError> {
        let held = self.apps.get(app).and_then(|state| state.held.as_ref());
        self.governor.confirm(app, held, plan, self.hold_deletes)?;
        let confirmed = self.governor.confirmed(app);
        self.out.ops.push(StoreOp::put(tables::CONFIRMED, encode(app), &confirmed));
        self.judge.insert(app.clone());
        Ok(())
    }

    /// Gives the commands whose operations run.
    pub fn running_commands(&self) -> BTreeSet<CommandId> {
        self.apps
            .values()
            .filter_map(|app| app.operation.as_ref())
            .filter_map(|operation| operation.command)
            .collect()
    }

    /// Forgets a sync that has not begun and must not begin any more.
    pub fn forget_command(&mut self, command: CommandId) {
        for state in self.apps.values_mut() {
            if state.pending.as_ref().is_some_and(|pending| pending.command == command) {
                state.pending = None;
            }
        }
    }

    /// Takes what is to be done without taking a turn.
    pub fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.out)
    }

    /// Looks at an app's objects again.
    pub fn refresh(&mut self, app: &AppId, now: Now) {
        let keys: Vec<ResourceKey> = self.by_app.get(app).into_iter().flatten().cloned().collect();
        for key in keys {
            self.verify_queue.insert(key, now.ms());
        }
        self.dirty.insert(app.clone());
    }

    /// Takes one turn: does everything that is due.
    pub fn turn(
        &mut self,
        store: &dyn StoreRead,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<Output, StoreError> {
        self.turned_at = now.ms();
        let unwatched: Vec<GroupKind> =
            self.watches.keys().filter(|kind| !self.must_watch(kind)).cloned().collect();
        for kind in unwatched {
            self.forget_watch(&kind);
        }
        for _round in 0..ROUNDS {
            self.moved = false;
            self.settle_due(now);
            self.hand_over();
            self.judge_due(now);
            if self.read_only.is_none() && self.discovered {
                self.run_operations(store, now, entropy)?;
                self.run_heals(now);
                self.run_deletes(now);
            }
            self.run_verifies(now);
            if !self.moved && self.judge.is_empty() {
                break;
            }
        }
        self.discover_if_due(now);
        self.report(now);
        Ok(std::mem::take(&mut self.out))
    }

    /// Gives the elapsed milliseconds at which a turn is due without any input; `None`: never. What was due in the last
    /// turn and is still there waits for an answer or an event.
    pub fn next_timer(&self) -> Option<u64> {
        let heals = self.heal_queue.values().copied();
        let deletes = self.delete_queue.values().map(|(_, _, _, due)| *due);
        let work = self.apps.values().flat_map(App::timers);
        let reads =
            self.verify_queue.values().chain(self.settle_queue.values()).chain(self.report_due.values());
        let all = reads.copied().chain(self.discover_due).chain(heals).chain(deletes).chain(work);
        all.filter(|at| *at > self.turned_at).min()
    }

    // === What others may read ===

    /// Gives the kinds that must be watched.
    pub fn kinds_to_watch(&self) -> BTreeSet<GroupKind> {
        let kinds = self.managed_kinds.keys().chain(&self.desired_kinds);
        kinds.filter(|kind| self.kinds.contains_key(*kind)).cloned().collect()
    }

    fn must_watch(&self, kind: &GroupKind) -> bool {
        (self.managed_kinds.contains_key(kind) || self.desired_kinds.contains(kind))
            && self.kinds.contains_key(kind)
    }

    fn is_watched(&self, kind: &GroupKind) -> bool {
        self.watches.get(kind).is_some_and(|watch| watch.listed)
    }

    /// Tells whether every watched kind was listed and its watch stands: then all is observed up to now.
    pub fn is_observing(&self) -> bool {
        let kinds = self.managed_kinds.keys().chain(&self.desired_kinds);
        self.discovered
            && kinds
                .filter(|kind| self.kinds.contains_key(*kind))
                .all(|kind| self.watches.get(kind).is_some_and(|watch| watch.listed && !watch.broken))
    }

    /// Gives what is managed.
    pub fn inventory(&self) -> &BTreeMap<ResourceKey, InventoryEntry> {
        &self.inventory
    }

    /// Gives the newest status of every app.
    pub fn statuses(&self) -> &BTreeMap<AppId, AppStatus> {
        &self.reported
    }

    /// Gives the releases that running operations pin.
    pub fn pinned_roots(&self) -> BTreeSet<Root> {
        self.apps.values().filter_map(|app| app.operation.as_ref()).map(|op| op.assignment.root).collect()
    }

    /// Gives the manifests that were applied, or are about to be.
    pub fn pinned_manifests(&self) -> BTreeSet<Digest> {
        let applied =
            self.inventory.values().filter_map(|entry| entry.applied.as_ref()).map(|body| body.manifest);
        let intended = self.inventory.values().filter_map(|entry| match &entry.intent {
            Some(Intent::Apply { body, .. }) => Some(body.manifest),
            Some(Intent::Delete { .. }) | None => None,
        });
        applied.chain(intended).collect()
    }

    /// Forgets facts of releases and manifests that were collected.
    pub fn collected(&mut self, releases: &BTreeSet<Root>, manifests: &BTreeSet<Digest>) {
        for root in releases {
            if self.ingested.remove(root) {
                self.out.ops.push(StoreOp::delete(tables::INGESTED, root.0.as_bytes().as_slice()));
            }
        }
        for digest in manifests {
            if self.facts.remove(digest).is_some() {
                self.out.ops.push(StoreOp::delete(tables::FACTS, digest.as_bytes().as_slice()));
            }
        }
    }

    // === Inside ===

    fn event(
        &mut self,
        app: &AppId,
        key: Option<&ResourceKey>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let event = Event { app: app.clone(), key: key.cloned(), reason, message: message.into() };
        self.out.events.push(event);
    }

    fn finish(&mut self, id: CommandId, state: CommandState, message: String) {
        self.out.outcomes.push(CommandOutcome { id, state, message, payload: Vec::new() });
    }

    /// Changes or drops an inventory entry, in memory and in the transaction.
    fn put_inventory(&mut self, key: &ResourceKey, entry: Option<InventoryEntry>) {
        self.moved = true;
        let kind = key.group_kind();
        if let Some(old) = self.inventory.get(key) {
            let app = old.app.clone();
            if let Some(keys) = self.by_app.get_mut(&app) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_app.remove(&app);
                }
            }
            if let Some(count) = self.managed_kinds.get_mut(&kind) {
                *count -= 1;
                if *count == 0 {
                    self.managed_kinds.remove(&kind);
                }
            }
            self.dirty.insert(app.clone());
            self.judge.insert(app);
        }
        if let Some(entry) = entry {
            *self.managed_kinds.entry(kind).or_default() += 1;
            self.out.ops.push(StoreOp::put(tables::INVENTORY, encode(key), &entry));
            self.by_app.entry(entry.app.clone()).or_default().insert(key.clone());
            self.dirty.insert(entry.app.clone());
            self.judge.insert(entry.app.clone());
            self.inventory.insert(key.clone(), entry);
        } else {
            self.out.ops.push(StoreOp::delete(tables::INVENTORY, encode(key)));
            self.inventory.remove(key);
            self.settle_queue.remove(key);
        }
        self.note_stray(key);
        if let Some(apps) = self.desirers.get(key) {
            self.dirty.extend(apps.iter().cloned());
        }
    }

    fn send(&mut self, key: ResourceKey, purpose: Purpose, request: Request) {
        let id = RequestId(self.next_request);
        self.next_request = self.next_request.wrapping_add(1);
        self.moved = true;
        self.busy.insert(key.clone());
        self.flights.insert(id, Flight { key, purpose });
        self.out.requests.push((id, request));
    }

    fn has_room(&self) -> bool {
        self.flights.len() < CONCURRENCY
    }

    /// Gives the delay after a failure that says nothing about the request.
    fn back_off(&mut self, key: &ResourceKey, after: Option<Duration>, entropy: &mut dyn Entropy) -> u64 {
        let backoff = self
            .backoffs
            .entry(key.clone())
            .or_insert_with(|| Backoff::new(Duration::from_millis(200), Duration::from_secs(10)));
        let delay = backoff.next_delay(entropy);
        crate::time::millis(
            after.map_or(delay, |after| after.min(Duration::from_mins(1)).saturating_add(delay)),
        )
    }

    /// Takes what was just seen of an object.
    fn observe(&mut self, live: LiveMeta, now: Now) {
        let key = live.key.clone();
        if let Some(Live::Present(known)) = self.live.get(&key)
            && known.resource_version > live.resource_version
        {
            return;
        }
        self.verify_queue.remove(&key);
        let replaced =
            |entry: &InventoryEntry| entry.going && entry.uid.as_deref() != Some(live.uid.as_str());
        if self.inventory.get(&key).is_some_and(replaced) {
            // What was deleted is gone; this is somebody's new object.
            self.gone(&key);
        }
        self.note_completion(&key, &live);
        self.recover(&live);
        self.live.insert(key.clone(), Live::Present(Box::new(live)));
        self.touch(&key, now);
    }

    /// An object of the watch is gone, or lost our label: a GET tells which.
    fn suspect(&mut self, key: ResourceKey, now: Now) {
        if self.inventory.contains_key(&key) || self.desirers.contains_key(&key) {
            // A look that was put off comes forward.
            let due = self.verify_queue.entry(key).or_insert(now.ms());
            *due = (*due).min(now.ms());
        } else {
            self.live.remove(&key);
        }
    }

    fn listed(&mut self, kind: &GroupKind, resource_version: u64, objects: Vec<LiveMeta>, now: Now) {
        let of_kind: Vec<ResourceKey> =
            self.inventory.keys().filter(|key| key.group_kind() == *kind).cloned().collect();
        let remembered = of_kind
            .iter()
            .filter_map(|key| self.inventory.get(key))
            .map(|entry| entry.resource_version)
            .max()
            .unwrap_or(0);
        let watch = self.watches.entry(kind.clone()).or_default();
        let older = resource_version < watch.newest.max(remembered);
        watch.listed = true;
        watch.broken = false;
        watch.newest = resource_version;
        if older {
            // etcd was restored: versions remembered from before say nothing any more (M19).
            self.live.retain(|key, _| key.group_kind() != *kind);
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
            self.observe(live, now);
        }
        let known: BTreeSet<ResourceKey> =
            self.live.keys().filter(|key| key.group_kind() == *kind).cloned().chain(of_kind).collect();
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

    /// Looks at an object again: is there drift, and whose status does it change?
    fn touch(&mut self, key: &ResourceKey, now: Now) {
        if let Some(entry) = self.inventory.get(key) {
            self.dirty.insert(entry.app.clone());
            self.judge.insert(entry.app.clone());
            self.heal_queue.entry(key.clone()).or_insert(now.ms());
        }
        if let Some(apps) = self.desirers.get(key) {
            self.dirty.extend(apps.iter().cloned());
        }
    }

    /// A Job that completed is done: a TTL may take it away (design: objects that end by themselves).
    fn note_completion(&mut self, key: &ResourceKey, live: &LiveMeta) {
        let ends = (key.group == "batch" && key.kind == "Job") || (key.group.is_empty() && key.kind == "Pod");
        let completed = ends
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
    fn recover(&mut self, live: &LiveMeta) {
        if self.inventory.contains_key(&live.key) || live.owned || live.fingerprint.is_none() {
            return;
        }
        let crate::cluster::Tracking::Ours { installation, app, names } = &live.tracking else { return };
        let listed = self.apps.get(app).is_some_and(|state| state.listed.is_some());
        let desired = self.desirers.contains_key(&live.key);
        let (app, live_key) = (app.clone(), live.key.clone());
        if *installation != Some(self.installation) || *names != live_key || !listed || desired {
            return;
        }
        let mut entry = InventoryEntry::new(app.clone());
        entry.kept = live_key.is_crd();
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

    /// Judges open intents that are no longer wanted, once their requests cannot be under way any more (M18).
    fn settle_due(&mut self, now: Now) {
        let due: Vec<ResourceKey> = self
            .settle_queue
            .iter()
            .filter(|(key, at)| **at <= now.ms() && !self.busy.contains(*key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            if !self.has_room() {
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

    fn run_verifies(&mut self, now: Now) {
        let due: Vec<ResourceKey> = self
            .verify_queue
            .iter()
            .filter(|(key, at)| **at <= now.ms() && !self.busy.contains(*key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            if !self.has_room() {
                return;
            }
            self.verify_queue.remove(&key);
            if self.kinds.contains_key(&key.group_kind()) || !self.discovered {
                self.send(key.clone(), Purpose::Verify, Request::Get { key });
            }
        }
    }

    fn discover_if_due(&mut self, now: Now) {
        if self.discover_due.is_some_and(|due| due <= now.ms()) {
            self.discover_due = None;
            self.out.discover = true;
        }
    }

    /// Asks for a discovery soon.
    fn rediscover(&mut self, at_ms: u64) {
        self.discover_due = Some(self.discover_due.map_or(at_ms, |due| due.min(at_ms)));
    }

    fn phase_of(&self, app: &AppId) -> Phase {
        // An app in the inventory that a verified list does not name is treated as released (M6).
        self.apps
            .get(app)
            .and_then(|state| state.listed.as_ref())
            .map_or(Phase::Released, |listed| listed.phase)
    }
}

fn settle_ms() -> u64 {
    crate::time::millis(crate::cluster::REQUEST_DEADLINE.saturating_add(SETTLE))
}
