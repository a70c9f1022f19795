//! The agent's side: rows are written with what they tell of, kept within bounds, and sent in order.

mod upload;

use std::collections::{BTreeMap, VecDeque};

use minicbor::{Decode, Encode};

use super::tables::{JOURNAL, JOURNAL_META};
use super::{AppState, Row, What, cut, hash_of, origin};
use crate::ids::{AppId, Digest, Epoch, Generation, JournalId};
use crate::pause::PauseOrder;
use crate::store::{StoreError, StoreOp, StoreRead, decode, encode, get_as};
use crate::time::{Entropy, Now};

/// Most rows that are kept.
const ROWS: usize = 8_192;
/// Most bytes of rows that are kept.
const BYTES: u64 = 2 << 20;
/// How long after the first sight of an app it is told.
const SETTLE_MS: u64 = 10_000;
/// What is only seen to change is told of an app at most this often.
const SEEN_MS: u64 = 60_000;
/// Everything is told of every app again after so many rows, so that what is kept says what runs.
const CHECKPOINT: u64 = 1_024;
/// The same event again within this time is no new row.
const REPEAT_MS: u64 = 600_000;
/// Most events that are remembered for that.
const REPEATS: usize = 1_024;
/// Key of the row of [`JOURNAL_META`].
const META: &[u8] = b"journal";

/// Where the chain starts and ends.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Meta {
    #[n(0)]
    journal: JournalId,
    /// Number of the oldest row that is kept.
    #[n(1)]
    first: u64,
    /// What that row names as the row before: the chain's start.
    #[n(2)]
    start: Digest,
    /// Number of the row to come.
    #[n(3)]
    next: u64,
    /// Hash of the newest row.
    #[n(4)]
    last: Digest,
    /// Rows since everything was told of every app.
    #[n(5)]
    since_checkpoint: u64,
    /// The order of the edge that was told last.
    #[n(6)]
    ordered: Option<PauseOrder>,
    /// Whether the agent was told to write.
    #[n(7)]
    writes: Option<bool>,
    /// The head that was told last.
    #[n(8)]
    head: Option<(Epoch, Generation)>,
}

/// One row that is kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    bytes: u64,
    hash: Digest,
}

/// What is known of an app, and what was told of it.
#[derive(Debug, Clone)]
struct Tracked {
    told: Option<AppState>,
    told_at: u64,
    newest: AppState,
    due: Option<u64>,
}

/// How far the hub is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upload {
    /// No link, or the hub takes no rows.
    Off,
    /// The next row to send.
    From(u64),
    /// Rows up to this one are on their way.
    Sent(u64),
}

/// Where a journal stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalState {
    /// Its name.
    pub journal: JournalId,
    /// Number of the oldest row that is kept.
    pub first: u64,
    /// Number of the newest row.
    pub last: u64,
    /// Bytes of all rows that are kept.
    pub bytes: u64,
    /// Number of the newest row that the connected hub has; absent while it is not known.
    pub uploaded: Option<u64>,
}

/// The flight recorder.
#[derive(Debug)]
pub struct Recorder {
    meta: Meta,
    kept: VecDeque<Kept>,
    bytes: u64,
    apps: BTreeMap<AppId, Tracked>,
    repeats: BTreeMap<Digest, u64>,
    upload: Upload,
    out: Vec<StoreOp>,
}

impl Recorder {
    /// Reads the journal; begins another one, with `anew` as the reason, when the store cannot be trusted, and when its
    /// rows do not follow each other.
    pub fn load(
        store: &dyn StoreRead,
        anew: Option<&str>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, StoreError> {
        let meta: Option<Meta> = get_as(store, JOURNAL_META, META)?;
        let rows = store.scan(JOURNAL, &[])?;
        let found = match &meta {
            Some(meta) => read(meta, &rows),
            None => Err("there was none".to_owned()),
        };
        let fresh = Meta {
            journal: JournalId::default(),
            first: 1,
            start: Digest::ZERO,
            next: 1,
            last: Digest::ZERO,
            since_checkpoint: 0,
            ordered: None,
            writes: None,
            head: None,
        };
        let mut this = Self {
            meta: meta.unwrap_or(fresh),
            kept: VecDeque::new(),
            bytes: 0,
            apps: BTreeMap::new(),
            repeats: BTreeMap::new(),
            upload: Upload::Off,
            out: Vec::new(),
        };
        match (found, anew) {
            (Ok(kept), None) => {
                this.bytes = kept.iter().map(|row| row.bytes).sum();
                this.kept = kept;
            }
            (Ok(_), Some(why)) => this.begin(&rows, why, now, entropy),
            (Err(why), _) => this.begin(&rows, anew.unwrap_or(&why), now, entropy),
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        this.record(&What::Started { version }, now);
        Ok(this)
    }

    /// Writes a row.
    pub fn record(&mut self, what: &What, now: Now) {
        let row = encode(&Row::new(self.meta.next, self.meta.last, what, now));
        self.meta.last = hash_of(&row);
        self.kept.push_back(Kept { bytes: row.len() as u64, hash: self.meta.last });
        self.bytes = self.bytes.saturating_add(row.len() as u64);
        self.out.push(StoreOp::put_bytes(JOURNAL, key(self.meta.next), row));
        self.meta.next = self.meta.next.saturating_add(1);
        self.meta.since_checkpoint = self.meta.since_checkpoint.saturating_add(1);
        while self.kept.len() > ROWS || self.bytes > BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.out.push(StoreOp::delete(JOURNAL, key(self.meta.first)));
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
            self.meta.first = self.meta.first.saturating_add(1);
            self.meta.start = oldest.hash;
        }
    }

    /// Writes what was done or seen; the same again within a while is no new row.
    pub fn event(&mut self, app: &AppId, what: &crate::reconcile::Event, now: Now) {
        let mut message = what.message.clone();
        cut(&mut message);
        let event =
            What::Event { app: app.clone(), key: what.key.clone(), reason: what.reason.to_owned(), message };
        let deed = matches!(what.reason, "Healed" | "Pruned" | "Synced" | "SyncFailed");
        if !deed {
            let name = Digest::of(&encode(&event));
            let recent = |at: &u64| now.ms().saturating_sub(*at) < REPEAT_MS;
            if self.repeats.get(&name).is_some_and(recent) {
                return;
            }
            self.repeats.insert(name, now.ms());
            if self.repeats.len() > REPEATS {
                self.repeats.retain(|_, at| now.ms().saturating_sub(*at) < REPEAT_MS);
            }
            while self.repeats.len() > REPEATS {
                self.repeats.pop_first();
            }
        }
        self.record(&event, now);
    }

    /// Takes what is said of an app; absent when it has left the cluster.
    pub fn app(&mut self, app: &AppId, state: Option<AppState>, now: Now) {
        let Some(state) = state else {
            if self.apps.remove(app).is_some() {
                self.record(&What::Left { app: app.clone() }, now);
            }
            return;
        };
        let fresh = || Tracked { told: None, told_at: 0, newest: state.clone(), due: None };
        let tracked = self.apps.entry(app.clone()).or_insert_with(fresh);
        tracked.newest = state;
        let due = match &tracked.told {
            Some(told) if *told == tracked.newest => None,
            Some(told) if told.differs_in_deed(&tracked.newest) => Some(now.ms()),
            Some(_) => Some(tracked.told_at.saturating_add(SEEN_MS).max(now.ms())),
            None => Some(now.ms().saturating_add(SETTLE_MS)),
        };
        tracked.due = due.map(|due| tracked.due.map_or(due, |before| before.min(due)));
    }

    /// Notes what somebody at the edge ordered; said again after a start, it is no new row.
    pub fn ordered(&mut self, order: &PauseOrder, now: Now) {
        if self.meta.ordered.as_ref() != Some(order) {
            self.meta.ordered = Some(order.clone());
            self.record(&What::Ordered { order: order.clone() }, now);
        }
    }

    /// Notes whether the agent may write, whatever was paused.
    pub fn writes(&mut self, read_only: Option<&str>, now: Now) {
        if self.meta.writes != Some(read_only.is_none()) {
            self.meta.writes = Some(read_only.is_none());
            let read_only = read_only.map(|reason| {
                let mut reason = reason.to_owned();
                cut(&mut reason);
                reason
            });
            self.record(&What::Writes { read_only }, now);
        }
    }

    /// Notes a desired state that became durable.
    pub fn head(&mut self, epoch: Epoch, generation: Generation, now: Now) {
        if self.meta.head != Some((epoch, generation)) {
            self.meta.head = Some((epoch, generation));
            self.record(&What::Head { epoch, generation }, now);
        }
    }

    /// Tells what is due of apps, and everything when that was long ago.
    pub fn flush(&mut self, now: Now) {
        let every = CHECKPOINT.max(2 * self.apps.len() as u64);
        let all = self.meta.since_checkpoint >= every;
        if all {
            self.meta.since_checkpoint = 0;
        }
        let due = |tracked: &Tracked| tracked.due.is_some_and(|due| due <= now.ms());
        let apps: Vec<AppId> = self
            .apps
            .iter()
            .filter(|(_, tracked)| due(tracked) || (all && tracked.told.is_some()))
            .map(|(app, _)| app.clone())
            .collect();
        for app in apps {
            let Some(tracked) = self.apps.get_mut(&app) else { continue };
            let state = tracked.newest.clone();
            tracked.told = Some(state.clone());
            tracked.told_at = now.ms();
            tracked.due = None;
            self.record(&What::App { app, state }, now);
        }
    }

    /// Gives the elapsed milliseconds at which something is to be told.
    pub fn next_timer(&self) -> Option<u64> {
        self.apps.values().filter_map(|tracked| tracked.due).min()
    }

    /// Takes what has to be made durable.
    pub fn take_ops(&mut self) -> Vec<StoreOp> {
        let mut ops = std::mem::take(&mut self.out);
        if !ops.is_empty() {
            ops.push(StoreOp::put(JOURNAL_META, META, &self.meta));
        }
        ops
    }

    /// Says where the journal stands.
    pub fn state(&self) -> JournalState {
        let uploaded = match self.upload {
            Upload::Off => None,
            Upload::From(next) => Some(next.saturating_sub(1)),
            Upload::Sent(up_to) => Some(up_to.saturating_sub(1)),
        };
        JournalState {
            journal: self.meta.journal,
            first: self.meta.first,
            last: self.meta.next.saturating_sub(1),
            bytes: self.bytes,
            uploaded,
        }
    }

    /// Begins another journal. Rows of the one before cannot be told any more.
    fn begin(&mut self, rows: &[crate::store::Row], why: &str, now: Now, entropy: &mut dyn Entropy) {
        let said = self.kept.len().max(rows.len());
        let written = (self.meta.first..self.meta.next).map(|sequence| key(sequence).to_vec());
        let stored = rows.iter().map(|(key, _)| key.clone());
        // What this transaction was to add goes as well.
        self.out.retain(|op| {
            let (StoreOp::Put { table, .. } | StoreOp::Delete { table, .. }) = op;
            *table != JOURNAL
        });
        let gone: std::collections::BTreeSet<Vec<u8>> =
            if self.kept.is_empty() { stored.collect() } else { stored.chain(written).collect() };
        self.out.extend(gone.into_iter().map(|key| StoreOp::delete(JOURNAL, key)));
        let journal = JournalId::new(entropy.bytes16());
        let start = origin(journal);
        self.kept.clear();
        self.bytes = 0;
        let Meta { ordered, writes, head, .. } = self.meta.clone();
        self.meta = Meta {
            journal,
            first: 1,
            start,
            next: 1,
            last: start,
            since_checkpoint: 0,
            ordered,
            writes,
            head,
        };
        let lost = if said > 0 { format!("; its {said} rows are let go") } else { String::new() };
        self.record(&What::Began { why: format!("{why}{lost}") }, now);
        // Its readers know nothing yet.
        let Meta { ordered, writes, head, .. } = self.meta.clone();
        if let Some(order) = ordered {
            self.record(&What::Ordered { order }, now);
        }
        if let Some((epoch, generation)) = head {
            self.record(&What::Head { epoch, generation }, now);
        }
        if writes == Some(false) {
            self.record(&What::Writes { read_only: Some("as before".to_owned()) }, now);
        }
        for tracked in self.apps.values_mut() {
            if tracked.told.take().is_some() {
                tracked.due = Some(now.ms());
            }
        }
    }
}

/// Gives the key of a row.
fn key(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

/// Verifies the chain that is stored.
fn read(meta: &Meta, rows: &[crate::store::Row]) -> Result<VecDeque<Kept>, String> {
    let mut kept = VecDeque::with_capacity(rows.len());
    let (mut sequence, mut previous) = (meta.first, meta.start);
    for (at, bytes) in rows {
        let row: Row = decode(JOURNAL, bytes).map_err(|error| error.to_string())?;
        if at.as_slice() != key(sequence) || row.sequence != sequence || row.previous != previous {
            return Err(format!("row {sequence} does not follow the row before it"));
        }
        previous = hash_of(bytes);
        kept.push_back(Kept { bytes: bytes.len() as u64, hash: previous });
        sequence = sequence.saturating_add(1);
    }
    if sequence != meta.next || previous != meta.last {
        return Err(format!(
            "it ends at row {} instead of {}",
            sequence.saturating_sub(1),
            meta.next.saturating_sub(1)
        ));
    }
    Ok(kept)
}
