//! Bulk on its way to one agent: transfers take turns, a chunk each, against the agent's credit (M10, M11).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ids::Digest;
use crate::release::{Release, Root};
use crate::session::bulk::{Codec, Item, ManifestEncoder, Source, entry_items};
use crate::session::frame::{CHUNK, Chunk, EntryRange, HubFrame, Pull, PullWhat, TransferId, UNASKED};
use crate::session::tables::get_release;
use crate::store::{StoreError, StoreRead};

/// Most credit that an agent is taken to have granted.
const CREDIT_LIMIT: u64 = 4 << 20;
/// Most transfers of one agent at a time.
const TRANSFERS: usize = 64;
/// Most items that are sent unasked for one app.
const UNASKED_ITEMS: usize = 1024;

/// The transfers of one session.
#[derive(Debug, Clone)]
pub(super) struct Transfers {
    credit: u64,
    turns: VecDeque<TransferId>,
    active: BTreeMap<TransferId, Transfer>,
    last_pull: u32,
    unasked: u32,
}

/// A pull that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PullError {
    #[error("a pull with an even number")]
    Number,
    #[error("more than {TRANSFERS} transfers at a time")]
    TooMany,
    #[error("ranges of entries that are not in rising order, or beyond the release")]
    Ranges,
}

/// A release on its way.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    release: Release,
    base: Option<Release>,
    items: VecDeque<Item>,
    indices: VecDeque<EntryRange>,
    manifests: ManifestEncoder,
    buffer: Vec<u8>,
}

impl Transfers {
    pub(super) fn new() -> Self {
        Self { credit: UNASKED, turns: VecDeque::new(), active: BTreeMap::new(), last_pull: 0, unasked: 0 }
    }

    pub(super) fn granted(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_add(bytes).min(CREDIT_LIMIT);
    }

    pub(super) fn cancel(&mut self, id: TransferId) {
        self.active.remove(&id);
    }

    /// Begins to answer a pull; `permitted` are the roots that this cluster may name.
    pub(super) fn pull(
        &mut self,
        pull: &Pull,
        permitted: &BTreeSet<Root>,
        store: &dyn StoreRead,
    ) -> Result<Result<Option<HubFrame>, PullError>, StoreError> {
        if pull.transfer.0.is_multiple_of(2) {
            return Ok(Err(PullError::Number));
        }
        if pull.transfer.0 <= self.last_pull {
            // A frame that came twice.
            return Ok(Ok(None));
        }
        self.last_pull = pull.transfer.0;
        if self.active.len() >= TRANSFERS {
            return Ok(Err(PullError::TooMany));
        }
        let release = if permitted.contains(&pull.root) { get_release(store, pull.root)? } else { None };
        let Some(release) = release else { return Ok(Ok(Some(HubFrame::Gone(pull.transfer)))) };
        let base = match pull.base.filter(|base| permitted.contains(base)) {
            Some(base) => get_release(store, base)?,
            None => None,
        };
        let (items, indices) = match &pull.what {
            PullWhat::Entries { from } => {
                let from = usize::try_from(*from).unwrap_or(usize::MAX);
                (entry_items(base.as_ref(), &release).into_iter().skip(from).collect(), VecDeque::new())
            }
            PullWhat::Manifests { ranges } => {
                if !are_rising(ranges, release.entries().len()) {
                    return Ok(Err(PullError::Ranges));
                }
                (VecDeque::new(), ranges.iter().copied().collect())
            }
        };
        let transfer = Transfer::new(release, base, items, indices);
        self.active.insert(pull.transfer, transfer);
        self.turns.push_back(pull.transfer);
        Ok(Ok(None))
    }

    /// Prepares to send a release unasked, as the difference to `base`, if it takes at most `budget` bytes; gives what
    /// it takes.
    pub(super) fn offer(
        &mut self,
        root: Root,
        base: Option<Root>,
        budget: usize,
        store: &dyn StoreRead,
        codec: &dyn Codec,
    ) -> Result<Option<usize>, StoreError> {
        let Some(release) = get_release(store, root)? else { return Ok(None) };
        let base = match base {
            Some(base) => get_release(store, base)?,
            None => None,
        };
        let known: BTreeSet<Digest> =
            base.iter().flat_map(Release::entries).map(|entry| entry.digest).collect();
        let indices: VecDeque<EntryRange> = (0u32..)
            .zip(release.entries())
            .filter(|(_, entry)| !known.contains(&entry.digest))
            .map(|(index, _)| EntryRange { start: index, end: index.saturating_add(1) })
            .collect();
        let items = entry_items(base.as_ref(), &release);
        if items.len() + indices.len() > UNASKED_ITEMS || self.active.len() >= TRANSFERS {
            return Ok(None);
        }
        let mut transfer = Transfer::new(release, base, items.into(), indices);
        if !transfer.fill(budget.saturating_add(1), store, codec)? || transfer.buffer.len() > budget {
            return Ok(None);
        }
        let size = transfer.buffer.len();
        self.unasked = self.unasked.saturating_add(1);
        let id = TransferId(self.unasked.saturating_mul(2));
        self.active.insert(id, transfer);
        self.turns.push_back(id);
        Ok(Some(size))
    }

    /// Sends what the credit permits, a chunk of each transfer in turn.
    pub(super) fn pump(
        &mut self,
        store: &dyn StoreRead,
        codec: &dyn Codec,
    ) -> Result<Vec<HubFrame>, StoreError> {
        let mut frames = Vec::new();
        let mut passed = 0usize;
        while passed < self.turns.len() {
            let Some(id) = self.turns.pop_front() else { break };
            let Some(transfer) = self.active.get_mut(&id) else { continue };
            let room = usize::try_from(self.credit).unwrap_or(usize::MAX).min(CHUNK);
            if !transfer.fill(room.saturating_add(1), store, codec)? {
                self.active.remove(&id);
                frames.push(HubFrame::Gone(id));
                continue;
            }
            let last = transfer.buffer.len() <= room && transfer.is_drained();
            if room == 0 && !last {
                self.turns.push_back(id);
                passed += 1;
                continue;
            }
            passed = 0;
            let data: Vec<u8> = transfer.buffer.drain(..room.min(transfer.buffer.len())).collect();
            self.credit = self.credit.saturating_sub(data.len() as u64);
            frames.push(HubFrame::Chunk(Chunk { transfer: id, data, last }));
            if last {
                self.active.remove(&id);
            } else {
                self.turns.push_back(id);
            }
        }
        Ok(frames)
    }
}

impl Transfer {
    fn new(
        release: Release,
        base: Option<Release>,
        items: VecDeque<Item>,
        indices: VecDeque<EntryRange>,
    ) -> Self {
        Self { release, base, items, indices, manifests: ManifestEncoder::default(), buffer: Vec::new() }
    }

    /// Prepares to send the whole of a release, to a receiver that has nothing.
    pub(super) fn whole(release: Release) -> Self {
        let end = u32::try_from(release.entries().len()).unwrap_or(u32::MAX);
        let items = entry_items(None, &release).into();
        let indices = Some(EntryRange { start: 0, end }).filter(|range| range.end > 0).into_iter().collect();
        Self::new(release, None, items, indices)
    }

    /// Gives the release.
    pub(super) fn root(&self) -> Root {
        self.release.root()
    }

    /// Gives the next chunk; `None` when a manifest is not in the store.
    pub(super) fn next_chunk(
        &mut self,
        transfer: TransferId,
        store: &dyn StoreRead,
        codec: &dyn Codec,
    ) -> Result<Option<Chunk>, StoreError> {
        if !self.fill(CHUNK.saturating_add(1), store, codec)? {
            return Ok(None);
        }
        let last = self.buffer.len() <= CHUNK && self.is_drained();
        let data = self.buffer.drain(..CHUNK.min(self.buffer.len())).collect();
        Ok(Some(Chunk { transfer, data, last }))
    }

    /// Encodes items until there are `want` bytes or no more items; `false` when a manifest is not in the store.
    fn fill(&mut self, want: usize, store: &dyn StoreRead, codec: &dyn Codec) -> Result<bool, StoreError> {
        while self.buffer.len() < want {
            if let Some(item) = self.items.pop_front() {
                item.encode(&mut self.buffer);
                continue;
            }
            let Some(index) = self.next_index() else { break };
            let source = Source { store, codec, base: self.base.as_ref() };
            let Some(item) = self.manifests.encode(&source, &self.release, index)? else { return Ok(false) };
            item.encode(&mut self.buffer);
        }
        Ok(true)
    }

    fn next_index(&mut self) -> Option<u32> {
        let range = self.indices.front_mut()?;
        let index = range.start;
        range.start = range.start.saturating_add(1);
        if range.start >= range.end {
            self.indices.pop_front();
        }
        Some(index)
    }

    /// Tells whether everything is in the buffer.
    fn is_drained(&self) -> bool {
        self.items.is_empty() && self.indices.is_empty()
    }
}

fn are_rising(ranges: &[EntryRange], entries: usize) -> bool {
    let mut end = 0;
    ranges.iter().all(|range| {
        let rising = range.start >= end && range.start < range.end;
        end = range.end;
        rising && usize::try_from(range.end).is_ok_and(|end| end <= entries)
    })
}
