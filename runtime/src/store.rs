//! The embedded store of both daemons: named tables in one redb file, with everything checked that redb does not (M25).
//!
//! redb never verifies its pages when it reads, so a flipped bit can go unseen, or panic. Here every value carries a
//! checksum over table, key and value; every table a count and a set digest, rewritten by each transaction, so that a
//! vanished row is damage as well; opening verifies all of it. After a stop that was not clean the first look at the
//! file happens in a child process, so that a file that kills its reader kills a child. A damaged store is told apart
//! from an empty, a foreign, a newer and a missing one, and is never read as if it held nothing.
//!
//! Transactions are durable on return, in two phases. All calls block: they run in `blocking` pools.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use argosy_core::store::{StoreError, StoreOp, StoreRead, Table};
use parking_lot::{Mutex, RwLock};
use redb::{Database, ReadableDatabase as _, TableDefinition};

use crate::supervisor::panic_text;

pub use self::aside::set_aside;
pub use self::error::{Damage, OpenError, StoreFailure};
pub use self::verify::{ChildCheck, verify, verify_and_tell};

use self::state::State;

mod aside;
mod commit;
mod error;
mod open;
mod state;
mod value;
mod verify;

/// Memory that a store keeps for pages, unless told otherwise.
pub const DEFAULT_CACHE_SIZE: usize = 16 * 1024 * 1024;

/// A key with its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Whose store it is: a cluster, an installation. A store of somebody else is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

/// What a store holds, and for whom.
#[derive(Debug, Clone)]
pub struct StoreSpec {
    /// Its tables.
    pub tables: &'static [Table],
    /// Whose it is.
    pub owner: Owner,
    /// Memory that it keeps for pages, in bytes.
    pub cache_size: usize,
}

/// How a file is looked at first after a stop that was not clean.
#[derive(Debug, Clone)]
pub enum AfterUncleanStop {
    /// In a child process, which it may kill.
    CheckInChild(ChildCheck),
    /// In this process: for tests and for the child itself.
    CheckHere,
}

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where an opened store comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// There was no file; it is new and empty.
    Created,
    /// It was closed in order.
    ClosedInOrder,
    /// The process before ended in the middle of its life.
    UncleanStop,
}

/// An opened store. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    tables: BTreeSet<Table>,
    database: RwLock<Option<Database>>,
    /// What the last transaction left; locked for the length of a transaction.
    state: Mutex<State>,
    poisoned: AtomicBool,
}

type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

// === impl Owner ===

impl Owner {
    /// Names an owner.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Gives the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl StoreSpec ===

impl StoreSpec {
    /// Makes one with the usual cache.
    pub fn new(tables: &'static [Table], owner: Owner) -> Self {
        Self { tables, owner, cache_size: DEFAULT_CACHE_SIZE }
    }
}

// === impl Store ===

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store at `path`, or makes it if there is no file; verifies all of it.
    pub fn open(path: &Path, spec: &StoreSpec, after: &AfterUncleanStop) -> Result<Opened, OpenError> {
        open::open(path, spec, after)
    }

    /// Gives the value of `key`, checked.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailure> {
        self.guarded(table, |database| {
            let rows = open_rows(database, table)?;
            let stored = rows.get(key).map_err(StoreFailure::of)?;
            stored.map(|stored| decoded(table, key, stored.value())).transpose()
        })
    }

    /// Gives every row of a table in the order of keys, checked.
    pub fn scan(&self, table: Table) -> Result<Vec<Row>, StoreFailure> {
        self.scan_prefix(table, &[])
    }

    /// Gives every row whose key starts with `prefix` in the order of keys, checked.
    pub fn scan_prefix(&self, table: Table, prefix: &[u8]) -> Result<Vec<Row>, StoreFailure> {
        self.guarded(table, |database| {
            let rows = open_rows(database, table)?;
            let mut found = Vec::new();
            for row in rows.range::<&[u8]>(prefix..).map_err(StoreFailure::of)? {
                let (key, stored) = row.map_err(StoreFailure::of)?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                found.push((key.value().to_vec(), decoded(table, key.value(), stored.value())?));
            }
            Ok(found)
        })
    }

    /// Gives the keys of a table that start with `prefix`, in order; values are neither read nor checked.
    pub fn keys_prefix(&self, table: Table, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreFailure> {
        self.guarded(table, |database| {
            let rows = open_rows(database, table)?;
            let mut found = Vec::new();
            for row in rows.range::<&[u8]>(prefix..).map_err(StoreFailure::of)? {
                let (key, _) = row.map_err(StoreFailure::of)?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                found.push(key.value().to_vec());
            }
            Ok(found)
        })
    }

    /// Tells whether `key` is there; its value is neither read nor checked.
    pub fn contains(&self, table: Table, key: &[u8]) -> Result<bool, StoreFailure> {
        self.guarded(table, |database| {
            let rows = open_rows(database, table)?;
            Ok(rows.get(key).map_err(StoreFailure::of)?.is_some())
        })
    }

    /// Carries out all of `ops`, in their order, in one transaction that is durable on return. A list that changes
    /// nothing writes nothing.
    pub fn commit(&self, ops: &[StoreOp]) -> Result<(), StoreFailure> {
        for op in ops {
            let (StoreOp::Put { table, .. } | StoreOp::Delete { table, .. }) = op;
            self.known(table)?;
        }
        self.caught(|database| {
            let mut state = self.inner.state.lock();
            if let Some(next) = commit::commit(database, &state, ops)? {
                *state = next;
            }
            Ok(())
        })
    }

    /// Gives the number of rows of a table.
    pub fn rows(&self, table: Table) -> u64 {
        self.inner.state.lock().tables.get(table).map_or(0, |sum| sum.rows)
    }

    /// Gives the number of transactions since the store was made.
    pub fn revision(&self) -> u64 {
        self.inner.state.lock().revision
    }

    /// Gives how much it holds, for the admin endpoint: rows by table, transactions, and the length of the file.
    pub fn to_json(&self) -> serde_json::Value {
        let state = self.inner.state.lock();
        let rows: BTreeMap<&str, u64> =
            state.tables.iter().map(|(table, sum)| (table.as_str(), sum.rows)).collect();
        serde_json::json!({ "rows": rows, "revision": state.revision, "bytes": self.file_len().ok() })
    }

    /// Gives the length of the file, in bytes.
    pub fn file_len(&self) -> std::io::Result<u64> {
        Ok(std::fs::metadata(&self.inner.path)?.len())
    }

    /// Closes the store in order: the next start needs no check in a child process. Clones fail from here on.
    pub fn close(&self) -> Result<(), StoreFailure> {
        let Some(database) = self.inner.database.write().take() else { return Ok(()) };
        let sound = !self.inner.poisoned.load(Ordering::SeqCst);
        match catch_unwind(AssertUnwindSafe(|| database.close())) {
            Ok(closed) => closed.map_err(StoreFailure::of)?,
            Err(panic) => return Err(StoreFailure::Corrupt { what: panic_text(panic.as_ref()) }),
        }
        if sound {
            aside::mark_clean(&self.inner.path).map_err(StoreFailure::of_mark)?;
        }
        Ok(())
    }

    fn known(&self, table: Table) -> Result<(), StoreFailure> {
        if self.inner.tables.contains(table) { Ok(()) } else { Err(StoreFailure::UnknownTable { table }) }
    }

    fn guarded<T>(
        &self,
        table: Table,
        work: impl FnOnce(&Database) -> Result<T, StoreFailure>,
    ) -> Result<T, StoreFailure> {
        self.known(table)?;
        self.caught(work)
    }

    /// Runs `work` on the database; a panic in the storage is a failure, after which nothing runs any more.
    fn caught<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreFailure>) -> Result<T, StoreFailure> {
        if self.inner.poisoned.load(Ordering::SeqCst) {
            return Err(StoreFailure::Poisoned);
        }
        let database = self.inner.database.read();
        let database = database.as_ref().ok_or(StoreFailure::Closed)?;
        catch_unwind(AssertUnwindSafe(|| work(database))).unwrap_or_else(|panic| {
            self.inner.poisoned.store(true, Ordering::SeqCst);
            Err(StoreFailure::Corrupt {
                what: format!("the storage panicked: {}", panic_text(panic.as_ref())),
            })
        })
    }
}

impl StoreRead for Store {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(table, key).map_err(|failure| failure.of_reading(table))
    }

    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Row>, StoreError> {
        self.scan_prefix(table, prefix).map_err(|failure| failure.of_reading(table))
    }

    fn keys(&self, table: Table) -> Result<Vec<Vec<u8>>, StoreError> {
        self.keys_prefix(table, &[]).map_err(|failure| failure.of_reading(table))
    }

    fn has(&self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        self.contains(table, key).map_err(|failure| failure.of_reading(table))
    }
}

fn rows_of(table: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(table)
}

fn open_rows(
    database: &Database,
    table: Table,
) -> Result<redb::ReadOnlyTable<&'static [u8], &'static [u8]>, StoreFailure> {
    let definition: Rows = rows_of(table);
    database.begin_read().map_err(StoreFailure::of)?.open_table(definition).map_err(StoreFailure::of)
}

fn decoded(table: Table, key: &[u8], stored: &[u8]) -> Result<Vec<u8>, StoreFailure> {
    value::decode(table, key, stored).map_err(|what| StoreFailure::Corrupt { what })
}

#[cfg(test)]
mod tests;
