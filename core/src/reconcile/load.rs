//! The start: what was durable, and how much of it is trusted.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::Parts;
use super::state::{App, FACTS_VERSION, tables};
use super::watching::settle_ms;
use super::{InventoryEntry, Output, Reconciler};
use crate::clock::TrustedClock;
use crate::cluster::Kinds;
use crate::governor::Governor;
use crate::ids::{AppId, Digest, InstallationId};
use crate::key::ResourceKey;
use crate::release::Root;
use crate::status::HeldDelete;
use crate::store::{self, StoreError, StoreOp, StoreRead, encode};
use crate::time::Now;

impl Reconciler {
    /// Reads what was durable.
    pub fn load(store: &dyn StoreRead, installation: InstallationId, now: Now) -> Result<Self, StoreError> {
        let mut inventory = BTreeMap::new();
        for table in [tables::INVENTORY, tables::PARTS] {
            for (key, value) in store.scan(table, &[])? {
                let key: ResourceKey = store::decode(table, &key)?;
                let entry: InventoryEntry = store::decode(table, &value)?;
                inventory.insert(key, entry);
            }
        }
        let apps = load_apps(store)?;
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
        let ingested = store.scan(tables::INGESTED, &[])?;
        let ingested = ingested.iter().filter(|(_, version)| **version == [FACTS_VERSION]);
        let ingested = ingested.filter_map(|(key, _)| Digest::from_slice(key)).map(Root).collect();
        let mut this = Self {
            installation,
            clock: TrustedClock::load(store)?,
            rules: None,
            local: None,
            kinds: Kinds::new(),
            discovered: false,
            unasked: BTreeSet::new(),
            defined: BTreeMap::new(),
            facts,
            ingested,
            inventory,
            by_app: BTreeMap::new(),
            live: BTreeMap::new(),
            watches: BTreeMap::new(),
            generations: BTreeMap::new(),
            parts: Parts::default(),
            apps,
            desirers: BTreeMap::new(),
            announced: BTreeMap::new(),
            announced_keys: BTreeSet::new(),
            set_aside: BTreeSet::new(),
            nameless: BTreeSet::new(),
            strays: BTreeSet::new(),
            managed_kinds: BTreeMap::new(),
            desired_kinds: BTreeSet::new(),
            moved: false,
            turned_at: 0,
            hold_deletes: false,
            all_verified: false,
            governor: Governor::restore(governor_count, confirmed, now.ms()),
            read_only: None,
            paused: None,
            flights: BTreeMap::new(),
            busy: BTreeSet::new(),
            next_request: 0,
            first_served: None,
            backoffs: BTreeMap::new(),
            refused_heals: BTreeMap::new(),
            heals: BTreeMap::new(),
            drifted: BTreeSet::new(),
            heal_queue: BTreeMap::new(),
            verify_queue: BTreeMap::new(),
            settle_queue: BTreeMap::new(),
            late: BTreeMap::new(),
            delete_queue: BTreeMap::new(),
            weigh_queue: BTreeMap::new(),
            weighed: BTreeMap::new(),
            sweep: super::sweep::Sweep::default(),
            diffs: BTreeMap::new(),
            dirty: BTreeSet::new(),
            judge: BTreeSet::new(),
            report_due: BTreeMap::new(),
            reported: BTreeMap::new(),
            discover_due: None,
            out: Output::default(),
        };
        for (key, entry) in &this.inventory {
            if !key.is_part() {
                *this.managed_kinds.entry(key.group_kind()).or_default() += 1;
            }
            this.by_app.entry(entry.app.clone()).or_default().insert(key.clone());
            if let Some(intent) = &entry.intent {
                // A request of an earlier boot may still be under way for as long as one of this boot.
                let sent = if intent.at().boot == now.mono.boot { intent.at().elapsed_ms } else { now.ms() };
                let settle = sent.saturating_add(settle_ms());
                this.settle_queue.insert(key.clone(), settle);
                this.late.insert(key.clone(), settle);
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
            state.left = None;
            self.out.ops.push(StoreOp::delete(tables::OPERATIONS, encode(name)));
            self.out.ops.push(StoreOp::delete(tables::ATTEMPTS, encode(name)));
        }
    }
}

/// Reads what is kept of each app besides its objects.
fn load_apps(store: &dyn StoreRead) -> Result<BTreeMap<AppId, App>, StoreError> {
    let mut apps: BTreeMap<AppId, App> = BTreeMap::new();
    for (key, value) in store.scan(tables::OPERATIONS, &[])? {
        let app: AppId = store::decode(tables::OPERATIONS, &key)?;
        apps.entry(app).or_default().operation = Some(store::decode(tables::OPERATIONS, &value)?);
    }
    for (key, value) in store.scan(tables::ATTEMPTS, &[])? {
        let app: AppId = store::decode(tables::ATTEMPTS, &key)?;
        apps.entry(app).or_default().last = Some(store::decode(tables::ATTEMPTS, &value)?);
    }
    for state in apps.values_mut() {
        let rollback = state.operation.as_ref().and_then(|operation| operation.rollback.as_ref());
        let last = state.last.as_ref().and_then(|last| last.left.clone());
        state.left = rollback.and_then(|rollback| rollback.leaves.clone()).or(last);
    }
    for (key, value) in store.scan(tables::FAREWELLS, &[])? {
        let app: AppId = store::decode(tables::FAREWELLS, &key)?;
        apps.entry(app).or_default().farewell = Some(store::decode(tables::FAREWELLS, &value)?);
    }
    for (key, value) in store.scan(tables::HISTORY, &[])? {
        let app: AppId = store::decode(tables::HISTORY, &key)?;
        apps.entry(app).or_default().history = store::decode(tables::HISTORY, &value)?;
    }
    Ok(apps)
}
