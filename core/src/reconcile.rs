//! The agent's control loop: desired state, inventory and live metadata in; requests, transactions and statuses out.
//!
//! Everything is level-triggered: each turn looks at what is desired, what is managed and what is live, and does what is
//! still missing. A crash between any two effects is therefore harmless: the next start finds the same difference.
//! Invariants: a write's intent is durable before its request (M18); a delete needs this app's inventory, the same UID,
//! a complete verified desired state without the object, and tracking that is still ours (M21); the governor holds what
//! deletes too much (M22); healing restores what was applied, never more (M8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::TrustedClock;
use crate::cluster::{Kinds, LiveMeta, ManifestFacts, Request, RequestId};
use crate::desired::{Assignment, DesiredList};
use crate::governor::Governor;
use crate::health::UserRules;
use crate::ids::{AppId, CommandId, Digest, InstallationId};
use crate::key::{GroupKind, ResourceKey};
use crate::local::LocalPolicy;
use crate::release::{Release, Root};
use crate::session::frame::CommandState;
use crate::status::{AppStatus, HeldDelete};
use crate::store::{StoreError, StoreOp, StoreRead, encode};
use crate::time::{Entropy, Now};

mod answers;
mod claim;
mod commands;
mod conditions;
mod consent;
mod delete_order;
mod deletes;
mod desired;
mod diffs;
mod facts;
mod failures;
mod farewell;
mod force;
mod gone;
mod heal;
mod history;
mod hooks;
mod items;
mod load;
mod local;
mod operations;
mod partial;
mod parts;
mod permission;
mod report;
mod results;
mod retries;
mod settle;
mod slots;
mod state;
mod sweep;
mod terminate;
#[cfg(test)]
mod tests;
mod tolerance;
mod trial;
mod versions;
mod watching;
mod waves;
mod why;
mod windows;
mod work;

pub use farewell::Farewell;
pub use history::{From as RollbackFrom, Left, Rollback, RollbackRefused};
pub use state::{AppliedBody, Attempt, HookOutcome, HookRun, Intent, InventoryEntry, Operation, tables};
pub use why::{WhyLine, WhyLink, WhyState};

use diffs::Diffing;
pub(crate) use facts::facts_of;
use parts::Parts;
use state::{App, Heals, Live, QueuedDelete};
use tolerance::Weighed;
use watching::{KindWatch, settle_ms};

/// How often a turn goes over everything again because something moved; what is left then waits for the next input.
const ROUNDS: usize = 64;

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
    /// To apply; again where the outcome of the last try is not known.
    Apply { app: AppId, body: AppliedBody, heal: bool, uid: Option<String>, again: bool },
    /// To hear whether an object may be applied.
    Try { app: AppId },
    /// To see that an object is still ours before deleting it.
    DeleteCheck { app: AppId, delete: HeldDelete, counted: bool },
    /// To delete.
    Delete { app: AppId, delete: HeldDelete, counted: bool },
    /// To make sure of an app's destination namespace.
    Namespace { app: AppId },
    /// To see what is there of a hook that is to go.
    ClearHook { app: AppId },
    /// To delete a hook.
    DeleteHook { app: AppId },
    /// To tell somebody how an object differs.
    Compare { command: CommandId },
    /// To tell whether a change concerns ignored differences only.
    Weigh { rules: Digest, body: AppliedBody },
    /// To tell whether values differ though metadata tell of no change.
    Sweep { body: AppliedBody },
}

#[derive(Debug, Clone)]
struct Flight {
    key: ResourceKey,
    purpose: Purpose,
}

/// The control loop.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about hub, cluster and turn")]
pub struct Reconciler {
    installation: InstallationId,
    /// The time, as far as it is known: what windows are judged by.
    clock: TrustedClock,
    /// Health rules that users brought.
    rules: Option<Arc<dyn UserRules>>,
    /// What may be done to this cluster, whatever the hub says.
    local: Option<Arc<LocalPolicy>>,
    kinds: Kinds,
    discovered: bool,
    /// Groups that the last discovery could not ask: that it names no kind of theirs says nothing.
    unasked: BTreeSet<String>,
    /// Kinds that definitions of desired releases define.
    defined: BTreeMap<GroupKind, bool>,
    facts: BTreeMap<Digest, ManifestFacts>,
    ingested: BTreeSet<Root>,
    inventory: BTreeMap<ResourceKey, InventoryEntry>,
    by_app: BTreeMap<AppId, BTreeSet<ResourceKey>>,
    live: BTreeMap<ResourceKey, Live>,
    watches: BTreeMap<GroupKind, KindWatch>,
    /// How often the watch of a kind was forgotten.
    generations: BTreeMap<GroupKind, u64>,
    parts: Parts,
    apps: BTreeMap<AppId, App>,
    desirers: BTreeMap<ResourceKey, BTreeSet<AppId>>,
    /// Releases of the list that are still on their way: verified entries.
    announced: BTreeMap<Root, Release>,
    /// The objects in them, and in releases that were left: what somebody is about to desire is not deleted (M21).
    announced_keys: BTreeSet<ResourceKey>,
    /// Hooks, and objects that are to be left alone: they are pruned by nobody.
    set_aside: BTreeSet<ResourceKey>,
    /// Those among them that each sync gives a name.
    nameless: BTreeSet<ResourceKey>,
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
    read_only: Option<String>,
    /// Somebody at the edge stopped all writes.
    paused: Option<String>,
    flights: BTreeMap<RequestId, Flight>,
    busy: BTreeSet<ResourceKey>,
    next_request: u64,
    /// The app whose operation found no slot: it comes first next time.
    first_served: Option<AppId>,
    backoffs: BTreeMap<ResourceKey, Backoff>,
    /// How often in a row a heal was refused.
    refused_heals: BTreeMap<ResourceKey, u32>,
    heals: BTreeMap<ResourceKey, Heals>,
    /// Managed objects whose drift was told.
    drifted: BTreeSet<ResourceKey>,
    heal_queue: BTreeMap<ResourceKey, u64>,
    verify_queue: BTreeMap<ResourceKey, u64>,
    settle_queue: BTreeMap<ResourceKey, u64>,
    /// Until when an apply whose answer never came may still arrive.
    late: BTreeMap<ResourceKey, u64>,
    delete_queue: BTreeMap<AppId, BTreeMap<ResourceKey, QueuedDelete>>,
    /// Changes of objects with ignored differences that are to be asked about, and what is known of them.
    weigh_queue: BTreeMap<ResourceKey, u64>,
    weighed: BTreeMap<ResourceKey, Weighed>,
    sweep: sweep::Sweep,
    /// Comparisons that somebody waits for.
    diffs: BTreeMap<CommandId, Diffing>,
    dirty: BTreeSet<AppId>,
    judge: BTreeSet<AppId>,
    report_due: BTreeMap<AppId, u64>,
    reported: BTreeMap<AppId, AppStatus>,
    discover_due: Option<u64>,
    out: Output,
}

impl Reconciler {
    // === Inputs ===

    /// Says by which rules of users the health of objects is judged: of kinds that these cover, it is unknown until an
    /// object is seen.
    pub fn set_rules(&mut self, rules: Option<Arc<dyn UserRules>>) {
        self.rules = rules;
    }

    /// Takes what may be done to this cluster whatever the hub says, before anything is desired.
    pub fn set_policy(&mut self, local: Option<Arc<LocalPolicy>>) {
        self.local = local;
    }

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

    /// Takes a discovery that succeeded, and the groups that it could not ask. Kinds vanish only by this: also those that
    /// are managed and were served no more when the agent started.
    pub fn set_kinds(
        &mut self,
        kinds: Kinds,
        unasked: BTreeSet<String>,
        store: &dyn StoreRead,
        now: Now,
    ) -> Result<(), StoreError> {
        if self.discovered && self.kinds == kinds && self.unasked == unasked {
            return Ok(());
        }
        self.discovered = true;
        self.unasked = unasked;
        let served = std::mem::replace(&mut self.kinds, kinds);
        let known: BTreeSet<GroupKind> =
            served.into_keys().chain(self.inventory.keys().map(ResourceKey::group_kind)).collect();
        for kind in &known {
            if !self.kinds.contains_key(kind) && !self.unasked.contains(kind.group.as_str()) {
                self.kind_removed(kind, now);
            }
        }
        self.resolve_all(store, now)
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
    pub fn turn(&mut self, store: &dyn StoreRead, now: Now) -> Result<Output, StoreError> {
        self.turned_at = now.ms();
        self.look_at_windows(now);
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
            if self.may_write() && self.discovered {
                self.run_operations(store, now)?;
                self.run_heals(now);
                self.run_deletes(now);
            }
            self.look_at_parts(now);
            self.run_verifies(now);
            self.run_weighing(now);
            self.run_sweep(now);
            self.run_diffs();
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
        let deletes = self.delete_queue.values().flat_map(BTreeMap::values).map(|queued| queued.due);
        let work = self.apps.values().flat_map(App::timers);
        let reads = self.verify_queue.values().chain(self.settle_queue.values()).chain(self.late.values());
        let reads = reads.chain(self.report_due.values()).chain(self.weigh_queue.values());
        let reads = reads.chain(self.parts.timers()).copied().chain(self.sweep.timer());
        let windows = self.apps.values().filter_map(|app| app.gatekeeper.due());
        let all = reads.chain(self.discover_due).chain(heals).chain(deletes).chain(work).chain(windows);
        all.filter(|at| *at > self.turned_at).min()
    }

    // === What others may read ===

    /// Gives what is managed.
    pub fn inventory(&self) -> &BTreeMap<ResourceKey, InventoryEntry> {
        &self.inventory
    }

    /// Gives the newest status of every app.
    pub fn statuses(&self) -> &BTreeMap<AppId, AppStatus> {
        &self.reported
    }

    /// Gives the releases that running operations and histories pin.
    pub fn pinned_roots(&self) -> BTreeSet<Root> {
        let operations = self.apps.values().filter_map(|app| app.operation.as_ref());
        operations.map(|operation| operation.assignment.root).chain(self.remembered_roots()).collect()
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
        // Nothing watches a part that was let go of, and whoever states it next applies it by the same manager.
        let entry = entry.filter(|entry| !(key.is_part() && entry.detached));
        let kind = key.group_kind();
        if let Some(old) = self.inventory.get(key) {
            let app = old.app.clone();
            if let Some(keys) = self.by_app.get_mut(&app) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_app.remove(&app);
                }
            }
            if let Some(count) = self.managed_kinds.get_mut(&kind).filter(|_| !key.is_part()) {
                *count -= 1;
                if *count == 0 {
                    self.managed_kinds.remove(&kind);
                }
            }
            self.dirty.insert(app.clone());
            self.judge_for(&app, key);
        }
        if let Some(entry) = entry {
            if !key.is_part() {
                *self.managed_kinds.entry(kind).or_default() += 1;
            }
            self.out.ops.push(StoreOp::put(tables::of(key), encode(key), &entry));
            self.by_app.entry(entry.app.clone()).or_default().insert(key.clone());
            self.dirty.insert(entry.app.clone());
            self.judge_for(&entry.app, key);
            self.inventory.insert(key.clone(), entry);
        } else {
            self.out.ops.push(StoreOp::delete(tables::of(key), encode(key)));
            self.inventory.remove(key);
            self.settle_queue.remove(key);
            self.forget_weighed(key);
        }
        self.note_stray(key);
        self.note_part(key);
        if let Some(apps) = self.desirers.get(key) {
            self.dirty.extend(apps.iter().cloned());
        }
    }

    /// Has the deletes of an app judged anew, because something about one of its objects changed. An object that somebody
    /// desires is no candidate, so where nothing is queued or held its change changes no judgement: a sync of thousands of
    /// objects does not look at all of them with each answer.
    fn judge_for(&mut self, app: &AppId, key: &ResourceKey) {
        let held = || self.apps.get(app).is_some_and(|state| state.held.is_some());
        if !self.desirers.contains_key(key) || self.delete_queue.contains_key(app) || held() {
            self.judge.insert(app.clone());
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
}
