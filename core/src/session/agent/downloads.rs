//! Releases on their way: what each app waits for, and what of it is missing.
//!
//! M10: an app that began to receive a release finishes it and switches to it before its next one, unless the newest is
//! complete already or lacks less. Entries that arrived are kept in memory over a broken link, manifests in the store;
//! a manifest counts whichever release brought it.

mod transfers;

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::DesiredList;
use crate::ids::{AppId, Digest};
use crate::release::{Release, Root};
use crate::session::agent::effects::{AgentEffects, AgentEvent};
use crate::session::bulk::EntriesDecoder;
use crate::session::tables::{ASSIGNED, MANIFESTS, RELEASES, app_rows, digest_keys, put_release};
use crate::store::{StoreError, StoreOp, StoreRead, Table, encode};

pub(crate) use transfers::Transfers;

/// An assignment's bytes and the release that they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) root: Root,
    pub(crate) bytes: Vec<u8>,
}

/// What is known of a release that is not complete.
#[derive(Debug, Clone, Default)]
struct Fetch {
    knowledge: Knowledge,
    /// Whether a manifest came for this very release.
    begun: bool,
    /// The hub could not send it, or sent what does not verify: it is asked for again later.
    blocked: bool,
    /// The difference to a base did not verify: all of it is asked for.
    whole: bool,
}

#[derive(Debug, Clone)]
enum Knowledge {
    /// Entries are missing; some may be there.
    Entries(Option<EntriesDecoder>),
    /// Entries are verified; these manifests are missing, each with the entry that it is asked by.
    Manifests { release: Release, missing: BTreeMap<Digest, u32> },
}

impl Default for Knowledge {
    fn default() -> Self {
        Self::Entries(None)
    }
}

impl Fetch {
    fn missing(&self) -> Option<usize> {
        match &self.knowledge {
            Knowledge::Entries(_) => None,
            Knowledge::Manifests { missing, .. } => Some(missing.len()),
        }
    }
}

/// How far an app's newest release has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The release that the newest list names.
    pub root: Root,
    /// Whether it is complete.
    pub complete: bool,
    /// Manifests missing, and manifests in all; absent while its entries are not known.
    pub manifests: Option<(usize, usize)>,
    /// Whether the hub cannot send it now.
    pub blocked: bool,
}

/// What garbage collection must keep beyond what the link itself needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    /// Releases of operations, inventory and history.
    pub roots: BTreeSet<Root>,
    /// Manifests that something names by digest.
    pub manifests: BTreeSet<Digest>,
}

/// Everything about releases at the agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Downloads {
    complete: BTreeSet<Root>,
    manifests: BTreeSet<Digest>,
    assigned: BTreeMap<AppId, Target>,
    targets: BTreeMap<AppId, Target>,
    fetches: BTreeMap<Root, Fetch>,
    transfers: Transfers,
    again: Again,
}

/// When what the hub could not send is asked for again: a hub that was restored may come to have it without a new list.
#[derive(Debug, Clone, Copy, Default)]
struct Again {
    not_before: u64,
    pause: u64,
}

/// First pause before that, in milliseconds; each further one is twice as long.
const FIRST_PAUSE_MS: u64 = 15_000;
/// The longest.
const LONGEST_PAUSE_MS: u64 = 300_000;

impl Downloads {
    pub(crate) fn load(store: &dyn StoreRead, list: Option<&DesiredList>) -> Result<Self, StoreError> {
        let mut downloads = Self {
            complete: digest_keys(store, RELEASES)?.into_iter().map(Root).collect(),
            manifests: digest_keys(store, MANIFESTS)?.into_iter().collect(),
            ..Self::default()
        };
        for (app, bytes) in app_rows(store, ASSIGNED, &[])? {
            let assignment: crate::desired::Assignment = crate::store::decode(ASSIGNED, &bytes)?;
            downloads.assigned.insert(app, Target { root: assignment.root, bytes });
        }
        for (app, target) in list.iter().flat_map(|list| listed(list)) {
            if !downloads.complete.contains(&target.root) {
                downloads.targets.insert(app, target);
            }
        }
        Ok(downloads)
    }

    pub(crate) fn assigned(&self, app: &AppId) -> Option<&[u8]> {
        self.assigned.get(app).map(|target| target.bytes.as_slice())
    }

    pub(crate) fn assigned_apps(&self) -> impl Iterator<Item = &AppId> {
        self.assigned.keys()
    }

    /// Gives the entries of a release that is on its way, verified though its manifests are not all here.
    pub(crate) fn incoming(&self, root: Root) -> Option<&Release> {
        match &self.fetches.get(&root)?.knowledge {
            Knowledge::Manifests { release, .. } => Some(release),
            Knowledge::Entries(_) => None,
        }
    }

    pub(crate) fn is_complete(&self, root: Root) -> bool {
        self.complete.contains(&root)
    }

    pub(crate) fn progress(&self, list: &DesiredList) -> BTreeMap<AppId, Progress> {
        listed(list)
            .map(|(app, target)| {
                let fetch = self.fetches.get(&target.root);
                let manifests = fetch.and_then(|fetch| match &fetch.knowledge {
                    Knowledge::Entries(_) => None,
                    Knowledge::Manifests { release, missing } => {
                        Some((missing.len(), release.entries().len()))
                    }
                });
                let progress = Progress {
                    root: target.root,
                    complete: self.complete.contains(&target.root),
                    manifests,
                    blocked: fetch.is_some_and(|fetch| fetch.blocked),
                };
                (app, progress)
            })
            .collect()
    }

    /// Forgets what apps had switched to and the list does not name: the store was rolled back, so it may be older than
    /// what the cluster runs (M23).
    pub(crate) fn forget_past(&mut self, list: &DesiredList, effects: &mut AgentEffects) {
        let past: Vec<AppId> = self
            .assigned
            .iter()
            .filter(|(app, target)| {
                list.elements().get(*app).is_none_or(|element| element.bytes != target.bytes)
            })
            .map(|(app, _)| app.clone())
            .collect();
        for app in past {
            self.assigned.remove(&app);
            effects.ops.push(StoreOp::delete(ASSIGNED, encode(&app)));
            effects.events.push(AgentEvent::Assigned(app));
        }
    }

    /// Frees what the hub could not send when it is time to ask again; tells whether there is any.
    pub(crate) fn ask_again(&mut self, now_ms: u64) -> bool {
        if !self.fetches.values().any(|fetch| fetch.blocked) {
            self.again = Again::default();
            return false;
        }
        if self.again.pause == 0 {
            self.again = Again { not_before: now_ms.saturating_add(FIRST_PAUSE_MS), pause: FIRST_PAUSE_MS };
        }
        if now_ms < self.again.not_before {
            return false;
        }
        let pause = self.again.pause.saturating_mul(2).min(LONGEST_PAUSE_MS);
        self.again = Again { not_before: now_ms.saturating_add(pause), pause };
        for fetch in self.fetches.values_mut() {
            fetch.blocked = false;
        }
        true
    }

    /// Follows a list that was accepted.
    pub(crate) fn list_accepted(&mut self, list: &DesiredList, effects: &mut AgentEffects) {
        let gone: Vec<AppId> =
            self.assigned.keys().filter(|app| !list.elements().contains_key(app)).cloned().collect();
        for app in gone {
            self.assigned.remove(&app);
            effects.ops.push(StoreOp::delete(ASSIGNED, encode(&app)));
            effects.events.push(AgentEvent::Assigned(app));
        }
        self.targets.retain(|app, _| list.elements().contains_key(app));
        for (app, target) in listed(list) {
            let keeps = self.targets.get(&app).is_some_and(|old| {
                old.root != target.root
                    && self.fetches.get(&old.root).is_some_and(|fetch| fetch.begun && !fetch.blocked)
            });
            if !keeps {
                self.targets.insert(app, target);
            }
        }
        for fetch in self.fetches.values_mut() {
            fetch.blocked = false;
        }
        self.settle(list, effects);
    }

    /// Switches every app whose release is complete, and drops what nobody waits for.
    pub(crate) fn settle(&mut self, list: &DesiredList, effects: &mut AgentEffects) {
        self.complete_releases(effects);
        for (app, newest) in listed(list) {
            if self.complete.contains(&newest.root) {
                self.targets.remove(&app);
                self.assign(app, newest, effects);
                continue;
            }
            let reached =
                self.targets.get(&app).filter(|target| self.complete.contains(&target.root)).cloned();
            if let Some(reached) = reached {
                self.assign(app.clone(), reached, effects);
                self.targets.insert(app, newest);
                continue;
            }
            let stays = self.targets.get(&app).is_some_and(|target| {
                target.root != newest.root && self.is_worth_finishing(target.root, newest.root)
            });
            if !stays {
                self.targets.insert(app, newest);
            }
        }
        let wanted: BTreeSet<Root> = listed(list)
            .map(|(_, target)| target.root)
            .chain(self.targets.values().map(|target| target.root))
            .filter(|root| !self.complete.contains(root))
            .collect();
        self.fetches.retain(|root, _| wanted.contains(root));
        for root in &wanted {
            self.fetches.entry(*root).or_default();
        }
        let unwanted = self.transfers.drop_all_but(&wanted);
        effects.frames.extend(unwanted);
    }

    /// Tells whether a release that began to arrive goes first (M10).
    fn is_worth_finishing(&self, begun: Root, newest: Root) -> bool {
        let Some(fetch) = self.fetches.get(&begun).filter(|fetch| !fetch.blocked) else { return false };
        let newest = self.fetches.get(&newest).and_then(Fetch::missing);
        match (fetch.missing(), newest) {
            (Some(begun), Some(newest)) => begun <= newest,
            (Some(_) | None, Some(_) | None) => true,
        }
    }

    fn complete_releases(&mut self, effects: &mut AgentEffects) {
        let done: Vec<Root> = self
            .fetches
            .iter()
            .filter(|(_, fetch)| fetch.missing() == Some(0))
            .map(|(root, _)| *root)
            .collect();
        for root in done {
            if let Some(Fetch { knowledge: Knowledge::Manifests { release, .. }, .. }) =
                self.fetches.remove(&root)
            {
                effects.ops.push(put_release(&release));
                self.complete.insert(root);
            }
        }
    }

    fn assign(&mut self, app: AppId, target: Target, effects: &mut AgentEffects) {
        if self.assigned.get(&app) == Some(&target) {
            return;
        }
        effects.ops.push(StoreOp::put_bytes(ASSIGNED, encode(&app), target.bytes.clone()));
        effects.events.push(AgentEvent::Assigned(app.clone()));
        self.assigned.insert(app, target);
    }

    /// Takes the verified entries of a release.
    fn learn(&mut self, release: Release) {
        let Some(fetch) = self.fetches.get_mut(&release.root()) else { return };
        if fetch.missing().is_some() {
            return;
        }
        let missing = (0u32..)
            .zip(release.entries())
            .filter(|(_, entry)| !self.manifests.contains(&entry.digest))
            .map(|(index, entry)| (entry.digest, index))
            .collect();
        fetch.knowledge = Knowledge::Manifests { release, missing };
    }

    /// Takes a verified manifest, whichever release brought it.
    fn arrived(&mut self, digest: Digest) {
        self.manifests.insert(digest);
        for fetch in self.fetches.values_mut() {
            match &mut fetch.knowledge {
                Knowledge::Manifests { missing, .. } => {
                    missing.remove(&digest);
                }
                Knowledge::Entries(_) => {}
            }
        }
    }

    /// Gives the releases that the link needs.
    pub(crate) fn pinned(&self, list: Option<&DesiredList>) -> BTreeSet<Root> {
        let listed = list.iter().flat_map(|list| listed(list)).map(|(_, target)| target.root);
        let assigned = self.assigned.values().map(|target| target.root);
        listed.chain(assigned).chain(self.targets.values().map(|target| target.root)).collect()
    }

    /// Drops the releases and manifests that nothing names. Manifests stay while the entries of a listed release are
    /// missing: they may be a part of it that has arrived.
    pub(crate) fn collect(
        &mut self,
        list: Option<&DesiredList>,
        pins: &Pins,
        store: &dyn StoreRead,
    ) -> Result<Vec<StoreOp>, StoreError> {
        let mut keep = self.pinned(list);
        keep.extend(&pins.roots);
        let drop_row = |table: Table, digest: &Digest| StoreOp::delete(table, digest.as_bytes().as_slice());
        let dropped: Vec<Root> = self.complete.difference(&keep).copied().collect();
        let mut ops: Vec<StoreOp> = dropped.iter().map(|root| drop_row(RELEASES, &root.0)).collect();
        for root in &dropped {
            self.complete.remove(root);
        }
        // What the hub cannot send may never come: nothing waits for it.
        let unknown = |fetch: &Fetch| fetch.missing().is_none() && !fetch.blocked;
        if self.fetches.values().any(unknown) || self.has_unfetched(list) {
            return Ok(ops);
        }
        let mut named = pins.manifests.clone();
        for root in &self.complete {
            if let Some(release) = crate::session::tables::get_release(store, *root)? {
                named.extend(release.entries().iter().map(|entry| entry.digest));
            }
        }
        for root in self.fetches.keys() {
            named.extend(
                self.incoming(*root).iter().flat_map(|release| release.entries()).map(|entry| entry.digest),
            );
        }
        let unnamed: Vec<Digest> = self.manifests.difference(&named).copied().collect();
        ops.extend(unnamed.iter().map(|digest| drop_row(MANIFESTS, digest)));
        for digest in &unnamed {
            self.manifests.remove(digest);
        }
        Ok(ops)
    }

    fn has_unfetched(&self, list: Option<&DesiredList>) -> bool {
        self.pinned(list).iter().any(|root| !self.complete.contains(root) && !self.fetches.contains_key(root))
    }
}

/// Gives every app of a list with what it should run.
fn listed(list: &DesiredList) -> impl Iterator<Item = (AppId, Target)> {
    list.elements().iter().map(|(app, element)| {
        (app.clone(), Target { root: element.assignment.root, bytes: element.bytes.clone() })
    })
}
