//! The flight recorder: what was desired, done and seen on a cluster, in a chain of rows.
//!
//! A row names the hash of the row before it, so that none is changed, dropped or put between without being noticed.
//! The agent writes rows in the transaction of what they tell of, keeps a bounded number of them with the place where
//! its chain starts, and sends them in order when there is a link. The hub takes only what follows what it has, tells a
//! gap as a gap and refuses a broken chain by name. Statements about an app are whole, never changes: the newest one
//! before a time says what ran then.

mod event;
mod keeper;
mod picture;
mod recorder;
mod straight;
#[cfg(test)]
mod tests;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

pub use event::{Told, Weight};
pub(crate) use keeper::releases_of;
pub use keeper::{Audit, Entry, Keeper, KeptRow, Numbered, Sent, Taken};
pub use picture::{Known, Picture};
pub use recorder::{JournalState, Recorder};

use crate::desired::Phase;
use crate::health::Health;
use crate::ids::{AppId, Digest, Epoch, Generation, JournalId};
use crate::key::ResourceKey;
use crate::pause::PauseOrder;
use crate::release::Root;
use crate::status::{AppStatus, OperationPhase, SyncStatus};
use crate::store::encode;
use crate::time::{MonoTime, Now, WallTime};

/// Tables of the flight recorder.
pub mod tables {
    use crate::store::Table;

    /// Agent: number of a row, 8 bytes big endian → [`super::Row`].
    pub const JOURNAL: Table = "journal";
    /// Agent: where its chain starts and ends.
    pub const JOURNAL_META: Table = "journal_meta";
    /// Hub: cluster and number → [`super::KeptRow`].
    pub const HUB_JOURNAL: Table = "hub_journal";
    /// Hub: cluster → what it has of the cluster's journal.
    pub const HUB_JOURNAL_META: Table = "hub_journal_meta";
    /// Hub: cluster and app → what the rows that were dropped said last.
    pub const HUB_JOURNAL_BASE: Table = "hub_journal_base";
}

/// The ability that an agent with a journal names in its `Hello`.
pub const CAPABILITY: &str = "journal";
/// Most bytes of a row that a hub takes.
pub const ROW_LIMIT: usize = 16 << 10;
/// Most rows of one batch.
pub const BATCH_ROWS: usize = 256;

/// One row of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Row {
    /// Its number within its journal, from 1.
    #[n(0)]
    pub sequence: u64,
    /// Hash of the row before; of the first row, that of the journal's name.
    #[n(1)]
    pub previous: Digest,
    /// When, by the agent's wall clock: for people.
    #[n(2)]
    pub wall: WallTime,
    /// When, in elapsed time.
    #[n(3)]
    pub mono: MonoTime,
    /// CBOR of [`What`], which a reader may be too old to know.
    #[n(4)]
    pub what: ByteVec,
}

/// What a row tells.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum What {
    /// This journal begins.
    #[n(0)]
    Began {
        /// Why it does not go on with one before.
        #[n(0)]
        why: String,
    },
    /// The agent's process started.
    #[n(1)]
    Started {
        /// Its version.
        #[n(0)]
        version: String,
    },
    /// A desired state became durable.
    #[n(2)]
    Head {
        /// Its chain.
        #[n(0)]
        epoch: Epoch,
        /// Its number.
        #[n(1)]
        generation: Generation,
    },
    /// All that is said of an app from now on.
    #[n(3)]
    App {
        /// Which.
        #[n(0)]
        app: AppId,
        /// What is said.
        #[n(1)]
        state: AppState,
    },
    /// An app has left the cluster.
    #[n(4)]
    Left {
        /// Which.
        #[n(0)]
        app: AppId,
    },
    /// Something was done or seen.
    #[n(5)]
    Event {
        /// The app that it is about.
        #[n(0)]
        app: AppId,
        /// The object that it is about.
        #[n(1)]
        key: Option<ResourceKey>,
        /// What, as a word.
        #[n(2)]
        reason: String,
        /// For people.
        #[n(3)]
        message: String,
    },
    /// Somebody at the edge paused all writes, or let them go on.
    #[n(6)]
    Ordered {
        /// Who, when and why.
        #[n(0)]
        order: PauseOrder,
    },
    /// The agent stopped writing for another reason than a pause, or began.
    #[n(7)]
    Writes {
        /// Why it only reads; absent when it writes.
        #[n(0)]
        read_only: Option<String>,
    },
}

/// What is said of an app: desired, assigned, applied, and how that stands.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AppState {
    /// Phase of the newest list.
    #[n(0)]
    pub phase: Phase,
    /// Release of the newest list: what is desired.
    #[n(1)]
    pub listed: Option<Root>,
    /// Newest release that is complete at the agent.
    #[n(2)]
    pub assigned: Option<Root>,
    /// Release of the last sync that succeeded: what was applied.
    #[n(3)]
    pub synced: Option<Root>,
    /// Live objects compared with the assigned release.
    #[n(4)]
    pub sync: SyncStatus,
    /// Health, rolled up.
    #[n(5)]
    pub health: Health,
    /// The newest sync.
    #[n(6)]
    pub operation: Option<SyncState>,
    /// Digest of the plan of held deletes, and how many there are.
    #[n(7)]
    pub held: Option<HeldState>,
    /// Objects, and how many of them are not what the release says.
    #[n(8)]
    pub objects: u64,
    /// How many of them are not what the release says.
    #[n(9)]
    pub out_of_sync: u64,
}

/// How a sync stands.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SyncState {
    /// How it stands.
    #[n(0)]
    pub phase: OperationPhase,
    /// The release that it syncs.
    #[n(1)]
    pub root: Root,
    /// Whether nobody asked for it.
    #[n(2)]
    pub automated: bool,
    /// When it ended: tells one sync from the next.
    #[n(3)]
    pub finished: Option<MonoTime>,
    /// For people.
    #[n(4)]
    pub message: String,
}

/// Deletes that wait for a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HeldState {
    /// What a confirmation names.
    #[n(0)]
    pub plan: Digest,
    /// How many.
    #[n(1)]
    pub count: u64,
}

/// A place in a chain of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct JournalPosition {
    /// Which journal.
    #[n(0)]
    pub journal: JournalId,
    /// Number of the newest row.
    #[n(1)]
    pub sequence: u64,
    /// Its hash.
    #[n(2)]
    pub hash: Digest,
}

/// What a hub says that it has of an agent's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JournalHeld {
    /// It keeps no journals: it is of an older version.
    #[default]
    NotKept,
    /// Nothing yet.
    Nothing,
    /// Everything up to here.
    UpTo(JournalPosition),
}

/// Rows on their way to the hub, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalBatch {
    /// Of which journal.
    pub journal: JournalId,
    /// The rows as they are stored.
    pub rows: Vec<Vec<u8>>,
    /// The agent's elapsed time when it sent this: rows are dated against it.
    pub now: MonoTime,
    /// Whether nothing newer is left at the agent.
    pub complete: bool,
}

impl Row {
    /// Makes the next row of a chain.
    pub fn new(sequence: u64, previous: Digest, what: &What, now: Now) -> Self {
        Self { sequence, previous, wall: now.wall, mono: now.mono, what: encode(what).into() }
    }

    /// Reads a row.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        minicbor::decode(bytes).ok()
    }

    /// Reads what it tells; `None` when a newer agent wrote something that this version does not know.
    pub fn what(&self) -> Option<What> {
        minicbor::decode(&self.what).ok()
    }
}

/// Gives the hash of a row as it is stored.
pub fn hash_of(row: &[u8]) -> Digest {
    Digest::of_parts("argosy journal row v1", [row])
}

/// Gives what the first row of a journal names as the row before.
pub fn origin(journal: JournalId) -> Digest {
    Digest::of_parts("argosy journal v1", [journal.as_bytes().as_slice()])
}

impl AppState {
    /// Takes from a status what the journal tells.
    pub fn of(status: &AppStatus) -> Self {
        let operation = status.operation.as_ref().map(|operation| {
            // What a running sync waits for changes all the time.
            let mut message =
                if operation.finished.is_some() { operation.message.clone() } else { String::new() };
            cut(&mut message);
            SyncState {
                phase: operation.phase,
                root: operation.root,
                automated: operation.automated,
                finished: operation.finished,
                message,
            }
        });
        Self {
            phase: status.phase,
            listed: status.listed,
            assigned: status.assigned,
            synced: status.synced,
            sync: status.sync,
            health: status.health,
            operation,
            held: status.held.as_ref().map(|held| HeldState { plan: held.plan, count: held.count() }),
            objects: status.counts.total,
            out_of_sync: status.counts.out_of_sync,
        }
    }

    /// Tells whether more than what is seen of live objects differs: that is told at once.
    pub fn differs_in_deed(&self, other: &Self) -> bool {
        let seen = |of: &Self| Self {
            sync: other.sync,
            health: other.health,
            objects: other.objects,
            out_of_sync: other.out_of_sync,
            ..of.clone()
        };
        seen(self) != *other
    }

    /// Gives every release that it names.
    pub fn roots(&self) -> impl Iterator<Item = Root> {
        let operation = self.operation.as_ref().map(|operation| operation.root);
        [self.listed, self.assigned, self.synced, operation].into_iter().flatten()
    }
}

/// Cuts a message to what a row holds.
fn cut(message: &mut String) {
    const MESSAGE: usize = 400;
    if message.len() > MESSAGE {
        message.truncate(message.floor_char_boundary(MESSAGE));
        message.push('…');
    }
}
