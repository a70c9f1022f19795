//! The newest status of every app, numbered, until the hub has it and after: latest wins.
//!
//! A row is kept after it was acknowledged, so that the newest status of every app can always be sent again; only the
//! row of an app that left is dropped once the hub knows. At most one batch is on its way: what changes meanwhile waits
//! for its acknowledgement and goes in the next, so memory is one row per app.

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::ids::{AppId, Incarnation};
use crate::session::frame::{Statement, StatusBatch, StatusEntry};
use crate::session::tables::{HELD, LINK_META, OUTBOX, app_rows};
use crate::store::{StoreError, StoreOp, StoreRead, decode, encode, get_as};
use crate::time::{Entropy, MonoTime, Now};

/// Most bytes of values in one batch (a batch holds at least one entry).
const BATCH: usize = 1 << 20;
/// Most bytes of one status.
pub(crate) const STATUS_LIMIT: usize = 3 << 20;

/// What survives of the numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Meta {
    #[n(0)]
    incarnation: Incarnation,
    #[n(1)]
    last: u64,
    /// Highest number of a row that was dropped: a hub below it may still show an app that left.
    #[n(2)]
    dropped: u64,
    /// Which store this is, and how often it spoke of itself as a whole.
    #[n(3)]
    #[cbor(default)]
    series: Option<Incarnation>,
    #[n(4)]
    #[cbor(default)]
    said: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Row {
    #[n(0)]
    sequence: u64,
    #[n(1)]
    value: Option<ByteVec>,
}

/// What of the numbering is not in the store yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsaved {
    Nothing,
    /// The incarnation.
    Meta,
    /// The incarnation, and the numbers of all rows.
    All,
}

/// The agent's statuses on their way to the hub.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    meta: Meta,
    unsaved: Unsaved,
    rows: BTreeMap<AppId, Row>,
    /// Up to which number this session's hub has everything; absent before its welcome.
    hub_has: Option<u64>,
    in_flight: Option<u64>,
    /// The hub has statuses of another incarnation, which a complete batch voids.
    announce: bool,
}

impl Outbox {
    /// Reads the rows. Every process is an incarnation of its own: another one on a copy of this store may have used the
    /// same numbers for other statuses (M24). Of a store that was rolled back the rows are numbered anew.
    pub(crate) fn load(
        store: &dyn StoreRead,
        rolled_back: bool,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, StoreError> {
        let stored: Option<Meta> = get_as(store, LINK_META, HELD)?;
        let mut rows = BTreeMap::new();
        for (app, value) in app_rows(store, OUTBOX, &[])? {
            rows.insert(app, decode(OUTBOX, &value)?);
        }
        let fresh =
            || Meta { incarnation: Incarnation::new([0; 16]), last: 0, dropped: 0, series: None, said: 0 };
        let mut outbox = Self {
            meta: stored.unwrap_or_else(fresh),
            unsaved: Unsaved::Meta,
            rows,
            hub_has: None,
            in_flight: None,
            announce: false,
        };
        if stored.is_none() || rolled_back {
            outbox.meta.series = None;
            outbox.renumber(entropy);
        } else {
            outbox.meta =
                Meta { incarnation: Incarnation::new(entropy.bytes16()), dropped: 0, ..outbox.meta };
        }
        Ok(outbox)
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.meta.incarnation
    }

    pub(crate) fn last(&self) -> u64 {
        self.meta.last
    }

    /// Sets the newest status of an app, absent for one that left; an unchanged one takes no number.
    pub(crate) fn set(&mut self, app: AppId, value: Option<Vec<u8>>) -> Vec<StoreOp> {
        let value = value.map(ByteVec::from);
        match self.rows.get(&app) {
            Some(row) if row.value == value => return Vec::new(),
            None if value.is_none() => return Vec::new(),
            Some(_) | None => {}
        }
        self.meta.last = self.meta.last.saturating_add(1);
        let row = Row { sequence: self.meta.last, value };
        let mut ops = self.unsaved();
        ops.push(StoreOp::put(OUTBOX, encode(&app), &row));
        ops.push(StoreOp::put(LINK_META, HELD, &self.meta));
        self.rows.insert(app, row);
        ops
    }

    /// Numbers a statement of the agent as a whole; what it gives must be durable before it is made.
    pub(crate) fn speaks(&mut self) -> (Statement, Vec<StoreOp>) {
        let series = *self.meta.series.get_or_insert(self.meta.incarnation);
        self.meta.said = self.meta.said.saturating_add(1);
        let statement = Statement { series, number: self.meta.said };
        let mut ops = self.unsaved();
        if ops.is_empty() {
            ops.push(StoreOp::put(LINK_META, HELD, &self.meta));
        }
        (statement, ops)
    }

    /// Gives the newest status of every app, in batches, for a hub of which nothing is known.
    pub(crate) fn all(&self, now: Now, observed: Option<MonoTime>) -> Vec<StatusBatch> {
        let mut rows: Vec<(&AppId, &Row)> = self.rows.iter().collect();
        rows.sort_by_key(|(_, row)| row.sequence);
        let batch = |entries, complete| StatusBatch {
            incarnation: self.meta.incarnation,
            entries,
            now: now.mono,
            observed,
            complete,
        };
        let (mut batches, mut entries, mut size) = (Vec::new(), Vec::new(), 0usize);
        for (app, row) in rows {
            let value: Option<Vec<u8>> = row.value.as_ref().map(|value| value.to_vec());
            let more = value.as_ref().map_or(0, Vec::len) + 64;
            if size + more > BATCH && !entries.is_empty() {
                batches.push(batch(std::mem::take(&mut entries), false));
                size = 0;
            }
            size += more;
            entries.push(StatusEntry { sequence: row.sequence, app: app.clone(), value });
        }
        batches.push(batch(entries, true));
        batches
    }

    /// Gives what must be durable before anything of the numbering is said.
    pub(crate) fn unsaved(&mut self) -> Vec<StoreOp> {
        let unsaved = std::mem::replace(&mut self.unsaved, Unsaved::Nothing);
        if unsaved == Unsaved::Nothing {
            return Vec::new();
        }
        let rows = self.rows.iter().filter(|_| unsaved == Unsaved::All);
        let rows = rows.map(|(app, row)| StoreOp::put(OUTBOX, encode(app), row));
        rows.chain([StoreOp::put(LINK_META, HELD, &self.meta)]).collect()
    }

    /// Takes what the hub says it has. A hub that has more than was ever sent, or less than what was forgotten here,
    /// has not what this store has: a new incarnation sends all again (M23).
    pub(crate) fn welcome(
        &mut self,
        status: Option<(Incarnation, u64)>,
        entropy: &mut dyn Entropy,
    ) -> Vec<StoreOp> {
        self.in_flight = None;
        match status {
            Some((incarnation, has)) if incarnation == self.meta.incarnation => {
                if has > self.meta.last || has < self.meta.dropped {
                    self.renumber(entropy);
                    self.hub_has = Some(0);
                    self.announce = true;
                } else {
                    self.hub_has = Some(has);
                    self.announce = false;
                }
            }
            Some(_) | None => {
                self.hub_has = Some(0);
                self.announce = status.is_some();
            }
        }
        self.unsaved()
    }

    /// Forgets what the session's hub had said.
    pub(crate) fn disconnected(&mut self) {
        self.hub_has = None;
        self.in_flight = None;
    }

    /// Gives the next batch, if there is something to send and none is on its way.
    pub(crate) fn next_batch(&mut self, now: Now, observed: Option<MonoTime>) -> Option<StatusBatch> {
        let has = self.hub_has?;
        if self.in_flight.is_some() {
            return None;
        }
        let mut waiting: Vec<(&AppId, &Row)> =
            self.rows.iter().filter(|(_, row)| row.sequence > has).collect();
        if waiting.is_empty() && !self.announce {
            return None;
        }
        waiting.sort_by_key(|(_, row)| row.sequence);
        let mut size = 0usize;
        let mut entries = Vec::new();
        for (app, row) in &waiting {
            let value: Option<Vec<u8>> = row.value.as_ref().map(|value| value.to_vec());
            size += value.as_ref().map_or(0, Vec::len) + 64;
            if size > BATCH && !entries.is_empty() {
                break;
            }
            entries.push(StatusEntry { sequence: row.sequence, app: (*app).clone(), value });
        }
        let complete = entries.len() == waiting.len();
        self.announce = self.announce && !complete;
        self.in_flight = entries.last().map(|entry| entry.sequence);
        Some(StatusBatch { incarnation: self.meta.incarnation, entries, now: now.mono, observed, complete })
    }

    /// Gives a batch that says nothing but up to when everything was observed; `None` while the hub lacks a status, which
    /// would be made to look as if it still held.
    pub(crate) fn watermark(&self, now: Now, observed: MonoTime) -> Option<StatusBatch> {
        let has = self.hub_has?;
        if self.rows.values().any(|row| row.sequence > has) {
            return None;
        }
        Some(StatusBatch {
            incarnation: self.meta.incarnation,
            entries: Vec::new(),
            now: now.mono,
            observed: Some(observed),
            complete: false,
        })
    }

    /// Takes the hub's word that it has everything up to `sequence`.
    pub(crate) fn acknowledged(&mut self, sequence: u64) -> Vec<StoreOp> {
        let Some(has) = self.hub_has else { return Vec::new() };
        // An acknowledgement of what is not on its way says nothing.
        let Some(in_flight) = self.in_flight.filter(|in_flight| sequence <= *in_flight && sequence > has)
        else {
            return Vec::new();
        };
        self.hub_has = Some(sequence);
        if sequence == in_flight {
            self.in_flight = None;
        }
        let left: Vec<AppId> = self
            .rows
            .iter()
            .filter(|(_, row)| row.value.is_none() && row.sequence <= sequence)
            .map(|(app, _)| app.clone())
            .collect();
        if left.is_empty() {
            return Vec::new();
        }
        let mut ops = Vec::new();
        for app in left {
            if let Some(row) = self.rows.remove(&app) {
                self.meta.dropped = self.meta.dropped.max(row.sequence);
            }
            ops.push(StoreOp::delete(OUTBOX, encode(&app)));
        }
        ops.push(StoreOp::put(LINK_META, HELD, &self.meta));
        ops
    }

    /// Begins a new incarnation: the rows keep their order and begin at 1.
    fn renumber(&mut self, entropy: &mut dyn Entropy) {
        let mut rows: Vec<&mut Row> = self.rows.values_mut().collect();
        rows.sort_by_key(|row| row.sequence);
        let mut last = 0;
        for row in rows {
            last += 1;
            row.sequence = last;
        }
        self.meta = Meta { incarnation: Incarnation::new(entropy.bytes16()), last, dropped: 0, ..self.meta };
        self.unsaved = Unsaved::All;
    }
}
