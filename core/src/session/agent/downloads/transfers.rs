//! Transfers of one session: which pulls to make, and what to do with their chunks.

use std::collections::{BTreeMap, BTreeSet};

use super::{Downloads, Knowledge};
use crate::desired::DesiredList;
use crate::ids::AppId;
use crate::release::{Release, Root};
use crate::session::agent::effects::{AgentEffects, AgentEvent};
use crate::session::bulk::{
    BulkError, Codec, EntriesDecoder, Item, ItemReader, ManifestDecoder, Received, Source,
};
use crate::session::frame::{AgentFrame, Chunk, EntryRange, Pull, PullWhat, TransferId};
use crate::session::tables::{get_release, put_manifest};
use crate::store::{StoreError, StoreRead};

/// Most pulls at a time.
const PULLS: usize = 16;
/// Most pulls at a time of releases that lack more than [`BIG`] manifests; the rest is left to small ones.
const BIG_PULLS: usize = 4;
/// What makes a pull a big one.
const BIG: usize = 64;

/// The transfers of the session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transfers {
    active: BTreeMap<TransferId, Transfer>,
    pulls: u32,
    unasked: u32,
}

#[derive(Debug, Clone)]
struct Transfer {
    root: Root,
    kind: Kind,
    base: Option<Release>,
    /// Whether the hub was asked for the difference to a release.
    differs: bool,
    reader: ItemReader,
    /// Present while entries come.
    entries: Option<EntriesDecoder>,
    manifests: ManifestDecoder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unasked,
    Entries,
    Manifests,
}

impl Transfers {
    /// Ends the transfers of releases that are not wanted, and gives the frames that say so.
    pub(crate) fn drop_all_but(&mut self, wanted: &BTreeSet<Root>) -> Vec<AgentFrame> {
        let dropped: Vec<TransferId> = self
            .active
            .iter()
            .filter(|(_, transfer)| !wanted.contains(&transfer.root))
            .map(|(id, _)| *id)
            .collect();
        for id in &dropped {
            self.active.remove(id);
        }
        dropped.into_iter().map(AgentFrame::Cancel).collect()
    }

    fn has(&self, root: Root) -> bool {
        self.active.values().any(|transfer| transfer.root == root)
    }

    fn next_pull(&mut self) -> TransferId {
        let id = TransferId(self.pulls.saturating_mul(2).saturating_add(1));
        self.pulls = self.pulls.saturating_add(1);
        id
    }

    fn next_unasked(&mut self) -> TransferId {
        self.unasked = self.unasked.saturating_add(1);
        TransferId(self.unasked.saturating_mul(2))
    }
}

impl Downloads {
    /// Begins a session: nothing is on its way, and what the hub could not send may be there now.
    pub(crate) fn connected(&mut self) {
        self.disconnected();
        self.transfers = Transfers::default();
        for fetch in self.fetches.values_mut() {
            fetch.blocked = false;
        }
    }

    /// Exchanges the transfers that chunks are read by: those of a file are apart from those of the session.
    pub(crate) fn exchange(&mut self, transfers: &mut Transfers) {
        std::mem::swap(&mut self.transfers, transfers);
    }

    /// Ends a session; the entries that came in answer to pulls are kept.
    pub(crate) fn disconnected(&mut self) {
        for transfer in std::mem::take(&mut self.transfers.active).into_values() {
            let Transfer { root, kind: Kind::Entries, entries: Some(decoder), .. } = transfer else {
                continue;
            };
            if let Some(fetch) = self.fetches.get_mut(&root)
                && matches!(fetch.knowledge, Knowledge::Entries(_))
            {
                fetch.knowledge = Knowledge::Entries(Some(decoder));
            }
        }
    }

    /// Tells whether anything is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.transfers.active.is_empty()
    }

    /// Expects the releases that a head announced unasked.
    pub(crate) fn expect_unasked(
        &mut self,
        list: &DesiredList,
        previous: &BTreeMap<AppId, Root>,
        indices: &[u32],
        store: &dyn StoreRead,
        effects: &mut AgentEffects,
    ) -> Result<(), StoreError> {
        for index in indices {
            let id = self.transfers.next_unasked();
            let position = usize::try_from(*index).unwrap_or(usize::MAX);
            let element = list.elements().iter().nth(position);
            let wanted = element.filter(|(_, element)| {
                let root = element.assignment.root;
                self.fetches.contains_key(&root) && !self.transfers.has(root)
            });
            let Some((app, element)) = wanted else {
                effects.frames.push(AgentFrame::Cancel(id));
                continue;
            };
            let root = element.assignment.root;
            let base = match previous.get(app) {
                Some(base) => self.known(*base, store)?,
                None => None,
            };
            let entries = Some(EntriesDecoder::new(base.as_ref()));
            self.transfers.active.insert(id, Transfer::new(root, Kind::Unasked, base, entries));
        }
        Ok(())
    }

    /// Gives a release whose entries are known.
    fn known(&self, root: Root, store: &dyn StoreRead) -> Result<Option<Release>, StoreError> {
        if let Some(release) = self.incoming(root) {
            return Ok(Some(release.clone()));
        }
        if self.complete.contains(&root) { get_release(store, root) } else { Ok(None) }
    }

    /// Pulls what is missing, small releases first; `begun` limits it to what began to arrive.
    pub(crate) fn schedule(
        &mut self,
        list: &DesiredList,
        begun_only: bool,
        store: &dyn StoreRead,
        effects: &mut AgentEffects,
    ) -> Result<(), StoreError> {
        let targets: BTreeSet<Root> = self.targets.values().map(|target| target.root).collect();
        let mut waiting: Vec<(usize, Root)> = self
            .fetches
            .iter()
            .filter(|(root, fetch)| {
                let begun = fetch.begun || matches!(fetch.knowledge, Knowledge::Entries(Some(_)));
                let pulls = fetch.missing().is_none() || targets.contains(root);
                pulls && !fetch.blocked && (begun || !begun_only) && !self.transfers.has(**root)
            })
            .map(|(root, fetch)| (fetch.missing().unwrap_or(0), *root))
            .collect();
        waiting.sort_unstable();
        for (missing, root) in waiting {
            let big = missing > BIG;
            if self.transfers.active.len() >= PULLS || (big && self.big_pulls() >= BIG_PULLS) {
                break;
            }
            self.pull(list, root, store, effects)?;
        }
        Ok(())
    }

    fn big_pulls(&self) -> usize {
        let pulls = self.transfers.active.values().filter(|transfer| transfer.kind == Kind::Manifests);
        pulls
            .filter(|transfer| {
                let fetch = self.fetches.get(&transfer.root);
                fetch.and_then(super::Fetch::missing).is_some_and(|missing| missing > BIG)
            })
            .count()
    }

    fn pull(
        &mut self,
        list: &DesiredList,
        root: Root,
        store: &dyn StoreRead,
        effects: &mut AgentEffects,
    ) -> Result<(), StoreError> {
        let best = self.base_for(list, root);
        let Some(fetch) = self.fetches.get_mut(&root) else { return Ok(()) };
        let best = best.filter(|_| !fetch.whole);
        let (kind, base, what, decoder) = match &mut fetch.knowledge {
            Knowledge::Entries(partial) => {
                let partial = partial.take();
                let base = match &partial {
                    Some(decoder) => decoder.base(),
                    None => best,
                };
                let from = partial.as_ref().map_or(0, EntriesDecoder::items);
                (Kind::Entries, base, PullWhat::Entries { from }, Some(partial))
            }
            Knowledge::Manifests { missing, .. } => {
                (Kind::Manifests, best, PullWhat::Manifests { ranges: ranges(missing.values()) }, None)
            }
        };
        let base = match base {
            Some(base) => get_release(store, base)?,
            None => None,
        };
        let base_root = match &decoder {
            // A decoder that goes on holds its base itself, wherever that release is now.
            Some(Some(partial)) => partial.base(),
            Some(None) | None => base.as_ref().map(Release::root),
        };
        let entries = decoder.map(|partial| partial.unwrap_or_else(|| EntriesDecoder::new(base.as_ref())));
        let id = self.transfers.next_pull();
        self.transfers.active.insert(id, Transfer::new(root, kind, base, entries));
        effects.frames.push(AgentFrame::Pull(Pull { transfer: id, root, base: base_root, what }));
        Ok(())
    }

    /// Picks a complete release that is most likely like `root`: the one that an app runs which waits for `root`.
    fn base_for(&self, list: &DesiredList, root: Root) -> Option<Root> {
        let listed = list.elements().iter().filter(|(_, element)| element.assignment.root == root);
        let waiting = self.targets.iter().filter(|(_, target)| target.root == root).map(|(app, _)| app);
        listed
            .map(|(app, _)| app)
            .chain(waiting)
            .filter_map(|app| self.assigned.get(app))
            .map(|target| target.root)
            .find(|base| self.complete.contains(base))
    }

    /// Takes a chunk; tells whether what is known of any release changed.
    pub(crate) fn chunk(
        &mut self,
        chunk: &Chunk,
        store: &dyn StoreRead,
        codec: &dyn Codec,
        effects: &mut AgentEffects,
    ) -> Result<bool, StoreError> {
        // A transfer that was cancelled may still have chunks on their way.
        let Some(mut transfer) = self.transfers.active.remove(&chunk.transfer) else { return Ok(false) };
        transfer.reader.push(&chunk.data);
        let result = self.read_items(&mut transfer, chunk.last, store, codec, effects)?;
        match result {
            Ok(changed) if !chunk.last => {
                self.transfers.active.insert(chunk.transfer, transfer);
                Ok(changed)
            }
            Ok(_) => {
                self.ended(&transfer, effects);
                Ok(true)
            }
            Err(error) => {
                if !chunk.last {
                    effects.frames.push(AgentFrame::Cancel(chunk.transfer));
                }
                self.failed(&transfer, &error, effects);
                Ok(true)
            }
        }
    }

    fn read_items(
        &mut self,
        transfer: &mut Transfer,
        last: bool,
        store: &dyn StoreRead,
        codec: &dyn Codec,
        effects: &mut AgentEffects,
    ) -> Result<Result<bool, BulkError>, StoreError> {
        let mut changed = false;
        loop {
            let item = match transfer.reader.next() {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            };
            let is_manifest = matches!(item, Item::Manifest { .. });
            if let Some(decoder) = transfer.entries.as_mut().filter(|_| !is_manifest) {
                if let Err(error) = decoder.apply(&item) {
                    return Ok(Err(error));
                }
                continue;
            }
            if let Err(error) = self.finish_entries(transfer, effects) {
                return Ok(Err(error));
            }
            let Some(release) = self.incoming(transfer.root) else {
                return Ok(Err(BulkError::Malformed("manifests of a release that is not on its way")));
            };
            let source = Source { store, codec, base: transfer.base.as_ref() };
            let received = match transfer.manifests.decode(&source, release, &item)? {
                Ok(received) => received,
                Err(error) => return Ok(Err(error)),
            };
            changed |= self.store_manifest(transfer.root, &received, effects);
        }
        if !last {
            return Ok(Ok(changed));
        }
        if !transfer.reader.is_done() {
            return Ok(Err(BulkError::Malformed("the transfer ends inside an item")));
        }
        Ok(self.finish_entries(transfer, effects).map(|()| true))
    }

    fn finish_entries(
        &mut self,
        transfer: &mut Transfer,
        effects: &mut AgentEffects,
    ) -> Result<(), BulkError> {
        if let Some(decoder) = transfer.entries.take() {
            self.learn(decoder.finish(transfer.root)?);
            effects.events.push(AgentEvent::EntriesVerified(transfer.root));
        }
        Ok(())
    }

    /// Keeps a verified manifest; tells whether that completes a release.
    fn store_manifest(&mut self, root: Root, received: &Received, effects: &mut AgentEffects) -> bool {
        if let Some(fetch) = self.fetches.get_mut(&root) {
            fetch.begun = true;
        }
        if self.manifests.contains(&received.digest) {
            return false;
        }
        effects.ops.push(put_manifest(&received.manifest));
        self.arrived(received.digest);
        self.fetches.values().any(|fetch| fetch.missing() == Some(0))
    }

    fn ended(&mut self, transfer: &Transfer, effects: &mut AgentEffects) {
        let Some(fetch) = self.fetches.get_mut(&transfer.root) else { return };
        if transfer.kind == Kind::Manifests && fetch.missing().is_some_and(|missing| missing > 0) {
            fetch.blocked = true;
            effects.warn(format!("the hub lacks manifests of release {}", transfer.root));
        }
    }

    fn failed(&mut self, transfer: &Transfer, error: &BulkError, effects: &mut AgentEffects) {
        let Some(fetch) = self.fetches.get_mut(&transfer.root) else { return };
        if transfer.kind == Kind::Unasked {
            // The base was not here: the release is pulled like any other.
            return;
        }
        if fetch.whole || !transfer.differs {
            fetch.blocked = true;
            effects.warn(format!("release {} from the hub: {error}", transfer.root));
        }
        fetch.whole = true;
    }

    /// Takes the hub's word that it no longer has what was pulled.
    pub(crate) fn gone(&mut self, id: TransferId, effects: &mut AgentEffects) {
        let Some(transfer) = self.transfers.active.remove(&id) else { return };
        if let Some(fetch) = self.fetches.get_mut(&transfer.root) {
            fetch.blocked = true;
            effects.warn(format!("the hub no longer has release {}", transfer.root));
        }
    }
}

impl Transfer {
    fn new(root: Root, kind: Kind, base: Option<Release>, entries: Option<EntriesDecoder>) -> Self {
        let differs = base.is_some() || entries.as_ref().is_some_and(|entries| entries.base().is_some());
        Self {
            root,
            kind,
            base,
            differs,
            reader: ItemReader::default(),
            entries,
            manifests: ManifestDecoder::default(),
        }
    }
}

/// Gathers indices into ranges in rising order.
fn ranges<'a>(indices: impl Iterator<Item = &'a u32>) -> Vec<EntryRange> {
    let indices: BTreeSet<u32> = indices.copied().collect();
    let mut ranges: Vec<EntryRange> = Vec::new();
    for index in indices {
        match ranges.last_mut() {
            Some(range) if range.end == index => range.end = index.saturating_add(1),
            Some(_) | None => ranges.push(EntryRange { start: index, end: index.saturating_add(1) }),
        }
    }
    ranges
}
