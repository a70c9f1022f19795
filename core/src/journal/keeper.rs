//! The hub's side: takes only what follows what it has, dates it, and keeps a bounded number of rows.

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::straight::straighten;
use super::tables::{HUB_JOURNAL, HUB_JOURNAL_META};
use super::{JournalBatch, JournalHeld, JournalPosition, Picture, ROW_LIMIT, Row, What, hash_of, origin};
use crate::ids::{AppId, ClusterId, JournalId};
use crate::release::Root;
use crate::session::tables::cluster_key;
use crate::store::{StoreError, StoreOp, StoreRead, decode, encode, get_as};
use crate::time::{Now, WallTime, millis};

/// Most rows of one cluster that are kept.
const ROWS: u64 = 16_384;
/// Most bytes of them.
const BYTES: u64 = 8 << 20;
/// How many more rows go when one has to, so that the picture before them is not written with each.
const MORE: u64 = 256;
/// Most rows that tell what happened before the time of an audit.
const RECENT: usize = 200;

/// One row at the hub.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeptRow {
    /// When it happened. In the store it may be before the row before it: the hub's clock jumped in between.
    #[n(0)]
    pub at: WallTime,
    /// Whether that is by this hub's clock; by the agent's own where its machine was restarted before it was sent.
    #[n(1)]
    pub exact: bool,
    /// What it is.
    #[n(2)]
    pub entry: Entry,
    /// Commits that rendered to the releases that it names.
    #[n(3)]
    pub commits: Vec<(Root, String)>,
}

/// What a row at the hub is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Entry {
    /// A row of the agent's journal.
    #[n(0)]
    Row {
        /// Of which journal.
        #[n(0)]
        journal: JournalId,
        /// As the agent wrote it.
        #[n(1)]
        row: ByteVec,
    },
    /// Rows that the agent dropped before the hub had them.
    #[n(1)]
    Gap {
        /// The first of them.
        #[n(0)]
        from: u64,
        /// The last of them.
        #[n(1)]
        to: u64,
    },
    /// The agent's journal is another one from here on.
    #[n(2)]
    Another {
        /// Which.
        #[n(0)]
        journal: JournalId,
    },
    /// Rows were refused.
    #[n(3)]
    Refused {
        /// Why.
        #[n(0)]
        why: String,
    },
}

/// A row with its number at the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Its number.
    pub number: u64,
    /// The row.
    pub kept: KeptRow,
}

/// Why rows are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Broken {
    #[error("no rows")]
    Empty,
    #[error("row {0} does not follow the row before it")]
    Follows(u64),
    #[error("a row of {0} bytes")]
    Large(usize),
    #[error("a row that does not decode")]
    Undecodable,
    #[error("row {0} is another than the one that is here")]
    Another(u64),
}

/// What a batch led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What has to be durable before the answer.
    pub ops: Vec<StoreOp>,
    /// Number of the newest row that is here, or why nothing was taken.
    pub answer: Result<u64, String>,
    /// Rows that the agent dropped before the hub had them.
    pub gap: Option<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
struct Meta {
    #[n(0)]
    position: Option<JournalPosition>,
    /// Number of the oldest row that is kept.
    #[n(1)]
    first: u64,
    /// Number of the row to come.
    #[n(2)]
    next: u64,
    #[n(3)]
    bytes: u64,
    /// When the newest row happened.
    #[n(4)]
    newest: Option<WallTime>,
    /// From when on rows are kept.
    #[n(5)]
    since: Option<WallTime>,
    /// Whether the agent had nothing newer when it was heard last.
    #[n(6)]
    complete: bool,
    /// When rows were refused last, and why.
    #[n(7)]
    refused: Option<(WallTime, String)>,
}

/// What a hub has of one cluster's journal.
#[derive(Debug, Clone, Default)]
pub struct Keeper {
    meta: Meta,
}

/// What ran at a time, and what had happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The cluster then.
    pub picture: Picture,
    /// The newest rows before that time that tell what happened, oldest first.
    pub recent: Vec<Numbered>,
    /// From when on the journal is kept; absent when there is none.
    pub since: Option<WallTime>,
    /// When the newest row happened.
    pub newest: Option<WallTime>,
    /// Whether the agent had nothing newer when it was heard last.
    pub complete: bool,
}

impl Keeper {
    /// Reads where the journal of a cluster stands.
    pub fn load(store: &dyn StoreRead, cluster: ClusterId) -> Result<Self, StoreError> {
        let meta = get_as(store, HUB_JOURNAL_META, cluster.as_bytes())?.unwrap_or_default();
        Ok(Self { meta })
    }

    /// Says what is here, for the agent that connects.
    pub fn held(&self) -> JournalHeld {
        self.meta.position.map_or(JournalHeld::Nothing, JournalHeld::UpTo)
    }

    /// Gives when rows were refused last, and why.
    pub fn refused(&self) -> Option<&(WallTime, String)> {
        self.meta.refused.as_ref()
    }

    /// Takes rows. What is not a sound continuation of what is here is refused, and nothing of it is kept.
    pub fn take(
        &mut self,
        cluster: ClusterId,
        batch: &JournalBatch,
        commits: &BTreeMap<(AppId, Root), String>,
        store: &dyn StoreRead,
        now: Now,
        sent: Sent,
    ) -> Result<Taken, StoreError> {
        let date = |row: &Row| date(row, batch, now, sent);
        let mut fresh: Vec<KeptRow> = Vec::new();
        // A clock that was ahead set it.
        self.meta.since = self.meta.since.map(|since| since.min(now.wall));
        let (answer, gap) = match self.check(batch) {
            Ok(checked) => {
                let Checked { rows, position, gap } = checked;
                let another = self.meta.position.is_none_or(|before| before.journal != batch.journal);
                // While the clock stands, no row is before the one that came before it.
                let mut at = self.newest_before(now).unwrap_or(WallTime(i64::MIN));
                let first = rows.first().map(|(row, _)| date(row));
                let (first_at, first_exact) = first.unwrap_or((now.wall, true));
                let mut note = |entry| {
                    let at = first_at.max(self.newest_before(now).unwrap_or(first_at)).min(now.wall);
                    fresh.push(KeptRow { at, exact: first_exact, entry, commits: Vec::new() });
                };
                if another && self.meta.position.is_some() {
                    note(Entry::Another { journal: batch.journal });
                }
                if let Some((from, to)) = gap {
                    note(Entry::Gap { from, to });
                }
                for (row, bytes) in rows {
                    let (dated, exact) = date(&row);
                    at = dated.max(at).min(now.wall);
                    let commits = commits_of(&row, commits);
                    let entry = Entry::Row { journal: batch.journal, row: bytes.clone().into() };
                    fresh.push(KeptRow { at, exact, entry, commits });
                }
                if !fresh.is_empty() {
                    // What was refused stays in the rows; what came since is sound.
                    self.meta.refused = None;
                }
                self.meta.position = Some(position);
                self.meta.complete = batch.complete;
                (Ok(position.sequence), gap)
            }
            Err(broken) => {
                let why = broken.to_string();
                let again = self.meta.refused.as_ref().is_some_and(|(_, before)| *before == why);
                self.meta.refused = Some((now.wall, why.clone()));
                self.meta.complete = false;
                if !again {
                    let entry = Entry::Refused { why: why.clone() };
                    fresh.push(KeptRow { at: now.wall, exact: true, entry, commits: Vec::new() });
                }
                (Err(why), None)
            }
        };
        let mut ops = self.append(cluster, &fresh);
        self.drop_oldest(cluster, &fresh, store, &mut ops)?;
        ops.push(StoreOp::put(HUB_JOURNAL_META, cluster.as_bytes().as_slice(), &self.meta));
        Ok(Taken { ops, answer, gap })
    }

    /// Gives the rows from a time on, oldest first.
    pub fn rows_since(
        &self,
        store: &dyn StoreRead,
        cluster: ClusterId,
        since: WallTime,
    ) -> Result<Vec<Numbered>, StoreError> {
        let mut rows = all(store, cluster)?;
        let from = rows.partition_point(|row| row.kept.at < since);
        Ok(rows.split_off(from))
    }

    /// Says what ran at a time.
    pub fn audit(
        &self,
        store: &dyn StoreRead,
        cluster: ClusterId,
        at: WallTime,
    ) -> Result<Audit, StoreError> {
        let mut picture = Picture::load(store, cluster)?;
        let mut recent = Vec::new();
        for row in all(store, cluster)?.into_iter().take_while(|row| row.kept.at <= at) {
            picture.take(&row.kept);
            if tells_of_deeds(&row.kept) {
                recent.push(row);
            }
        }
        if self.meta.since.is_none_or(|since| at < since) {
            picture = Picture::default();
        }
        let recent = recent.split_off(recent.len().saturating_sub(RECENT));
        let Meta { since, newest, complete, .. } = self.meta;
        Ok(Audit { picture, recent, since, newest, complete })
    }

    /// Gives when the newest row happened, unless that is in the future: then the clock jumped, and one of both is wrong.
    fn newest_before(&self, now: Now) -> Option<WallTime> {
        self.meta.newest.filter(|newest| *newest <= now.wall)
    }

    fn check<'b>(&self, batch: &'b JournalBatch) -> Result<Checked<'b>, Broken> {
        let here = self.meta.position.filter(|here| here.journal == batch.journal);
        let (mut sequence, mut hash) =
            here.map_or((0, origin(batch.journal)), |here| (here.sequence, here.hash));
        let mut rows = Vec::with_capacity(batch.rows.len());
        let mut gap = None;
        if batch.rows.is_empty() {
            return Err(Broken::Empty);
        }
        for (index, bytes) in batch.rows.iter().enumerate() {
            if bytes.len() > ROW_LIMIT {
                return Err(Broken::Large(bytes.len()));
            }
            let row = Row::from_bytes(bytes).ok_or(Broken::Undecodable)?;
            if rows.is_empty() && row.sequence <= sequence {
                // Its acknowledgement was lost.
                if row.sequence == sequence && hash_of(bytes) != hash {
                    return Err(Broken::Another(sequence));
                }
                continue;
            }
            let expected = sequence.saturating_add(1);
            if index == 0 && row.sequence > expected {
                gap = Some((expected, row.sequence.saturating_sub(1)));
            } else if row.sequence != expected || row.previous != hash {
                return Err(Broken::Follows(row.sequence));
            }
            sequence = row.sequence;
            hash = hash_of(bytes);
            rows.push((row, bytes));
        }
        let position = JournalPosition { journal: batch.journal, sequence, hash };
        Ok(Checked { rows, position, gap })
    }

    fn append(&mut self, cluster: ClusterId, fresh: &[KeptRow]) -> Vec<StoreOp> {
        let mut ops = Vec::with_capacity(fresh.len());
        for kept in fresh {
            let value = encode(kept);
            self.meta.bytes = self.meta.bytes.saturating_add(value.len() as u64);
            self.meta.newest = Some(kept.at);
            self.meta.since.get_or_insert(kept.at);
            ops.push(StoreOp::put_bytes(HUB_JOURNAL, row_key(cluster, self.meta.next), value));
            self.meta.next = self.meta.next.saturating_add(1);
        }
        ops
    }

    fn drop_oldest(
        &mut self,
        cluster: ClusterId,
        fresh: &[KeptRow],
        store: &dyn StoreRead,
        ops: &mut Vec<StoreOp>,
    ) -> Result<(), StoreError> {
        let rows = self.meta.next.saturating_sub(self.meta.first);
        if rows <= ROWS && self.meta.bytes <= BYTES {
            return Ok(());
        }
        let before = Picture::load(store, cluster)?;
        let mut picture = before.clone();
        let begun = self.meta.next.saturating_sub(fresh.len() as u64);
        let mut to_go = rows.saturating_sub(ROWS).saturating_add(MORE);
        // Of what just came nothing goes.
        while self.meta.first < begun && (to_go > 0 || self.meta.bytes > BYTES) {
            to_go = to_go.saturating_sub(1);
            let key = row_key(cluster, self.meta.first);
            self.meta.first = self.meta.first.saturating_add(1);
            let Some(value) = store.get(HUB_JOURNAL, &key)? else { continue };
            let kept: KeptRow = decode(HUB_JOURNAL, &value)?;
            picture.take(&kept);
            self.meta.since = Some(kept.at);
            self.meta.bytes = self.meta.bytes.saturating_sub(value.len() as u64);
            ops.push(StoreOp::delete(HUB_JOURNAL, key));
        }
        ops.extend(picture.changes_from(&before, cluster));
        Ok(())
    }
}

/// When a batch was sent, in relation to the time that it is dated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Just then.
    Then,
    /// Some time before: by file, from an agent whose clock is not believed. Its rows happened no later.
    Before,
}

/// A batch that follows what is here.
struct Checked<'b> {
    rows: Vec<(Row, &'b Vec<u8>)>,
    position: JournalPosition,
    gap: Option<(u64, u64)>,
}

/// Says when a row happened, and whether that is by the hub's clock: the agent's elapsed time counts back from when the
/// batch was sent. Over a reboot only the agent's own wall clock tells, and it is never believed to be ahead.
fn date(row: &Row, batch: &JournalBatch, now: Now, sent: Sent) -> (WallTime, bool) {
    match batch.now.since(&row.mono) {
        Some(ago) => {
            let ago = i64::try_from(millis(ago)).unwrap_or(i64::MAX);
            (WallTime(now.wall.0.saturating_sub(ago)), sent == Sent::Then)
        }
        None => match sent {
            Sent::Then => (row.wall.min(now.wall), false),
            // By the clock that is not believed.
            Sent::Before => (now.wall, false),
        },
    }
}

fn commits_of(row: &Row, commits: &BTreeMap<(AppId, Root), String>) -> Vec<(Root, String)> {
    let Some(What::App { app, state }) = row.what() else { return Vec::new() };
    let roots: std::collections::BTreeSet<Root> = state.roots().collect();
    let known = |root: Root| commits.get(&(app.clone(), root)).map(|commit| (root, commit.clone()));
    roots.into_iter().filter_map(known).collect()
}

fn tells_of_deeds(kept: &KeptRow) -> bool {
    let Entry::Row { row, .. } = &kept.entry else { return true };
    match Row::from_bytes(row).and_then(|row| row.what()) {
        Some(What::App { .. }) | None => false,
        Some(
            What::Began { .. }
            | What::Started { .. }
            | What::Head { .. }
            | What::Left { .. }
            | What::Event { .. }
            | What::Ordered { .. }
            | What::Writes { .. },
        ) => true,
    }
}

fn row_key(cluster: ClusterId, number: u64) -> Vec<u8> {
    cluster_key(cluster, &number.to_be_bytes())
}

/// Reads every row of a cluster that is kept, with times that never go back.
fn all(store: &dyn StoreRead, cluster: ClusterId) -> Result<Vec<Numbered>, StoreError> {
    let rows = store.scan(HUB_JOURNAL, cluster.as_bytes())?;
    let numbered = rows.into_iter().map(|(key, value)| {
        let number = key.last_chunk::<8>().map(|number| u64::from_be_bytes(*number)).unwrap_or_default();
        Ok(Numbered { number, kept: decode(HUB_JOURNAL, &value)? })
    });
    let mut rows = numbered.collect::<Result<Vec<Numbered>, StoreError>>()?;
    straighten(&mut rows);
    Ok(rows)
}

/// Gives the releases that a batch names, by app: their commits are to be kept with the rows.
pub(crate) fn releases_of(batch: &JournalBatch) -> Vec<(AppId, Root)> {
    let rows = batch.rows.iter().filter_map(|row| Row::from_bytes(row)?.what());
    let named = rows.filter_map(|what| match what {
        What::App { app, state } => Some((app, state)),
        What::Began { .. }
        | What::Started { .. }
        | What::Head { .. }
        | What::Left { .. }
        | What::Event { .. }
        | What::Ordered { .. }
        | What::Writes { .. } => None,
    });
    named
        .flat_map(|(app, state)| state.roots().map(move |root| (app.clone(), root)).collect::<Vec<_>>())
        .collect()
}
