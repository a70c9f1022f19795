//! Opening a store: making it, checking it, compacting it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};
use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableError,
    TableHandle as _,
};

use super::state::{FORMAT, STATE_KEY, STATE_TABLE, State, TableSum};
use super::{
    AfterUncleanStop, Damage, Inner, OpenError, Opened, Origin, Store, StoreFailure, StoreSpec, aside,
    commit, rows_of, value, verify,
};
use crate::files;
use crate::supervisor::panic_text;

/// Length below which a file is never compacted.
const COMPACT_MIN_LEN: u64 = 4 * 1024 * 1024;

/// How many times longer than its data a file is compacted.
const COMPACT_RATIO: u64 = 3;

/// Opens the store at `path`, or makes it if there is no file.
pub(super) fn open(path: &Path, spec: &StoreSpec, after: &AfterUncleanStop) -> Result<Opened, OpenError> {
    let len = match std::fs::metadata(path) {
        Ok(metadata) => Some(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(source) => return Err(OpenError::Io { path: path.to_owned(), source }),
    };
    let origin = match len {
        None => {
            guarded(path, || create(path, spec))?;
            Origin::Created
        }
        Some(0) => return Err(damaged(path, Damage::Empty)),
        Some(_) if aside::is_marked_clean(path) => Origin::ClosedInOrder,
        Some(_) => {
            if let AfterUncleanStop::CheckInChild(check) = after {
                verify::in_child(path, &spec.owner, check)?;
            }
            Origin::UncleanStop
        }
    };
    let (database, state) = guarded(path, || open_existing(path, spec))?;
    aside::unmark_clean(path).map_err(|source| OpenError::Beside { path: path.to_owned(), source })?;
    Ok(Opened { store: store(path, spec, database, state), origin })
}

/// Opens an existing store over `disk` instead of the file at `path`, with all else as it is there.
#[cfg(test)]
pub(super) fn open_over(
    disk: impl redb::StorageBackend,
    path: &Path,
    spec: &StoreSpec,
) -> Result<Store, OpenError> {
    let len = disk.len().map_err(|source| of_io(path, source))?;
    if len == 0 {
        return Err(damaged(path, Damage::Empty));
    }
    let (database, state) = guarded(path, || {
        let database = options(spec).create_with_backend(disk).map_err(|error| of_database(path, error))?;
        verified(path, database, len, spec)
    })?;
    Ok(store(path, spec, database, state))
}

fn store(path: &Path, spec: &StoreSpec, database: Database, state: State) -> Store {
    let inner = Inner {
        path: path.to_owned(),
        tables: spec.tables.iter().copied().collect(),
        database: RwLock::new(Some(database)),
        state: Mutex::new(state),
        poisoned: AtomicBool::new(false),
    };
    Store { inner: Arc::new(inner) }
}

/// Opens and verifies an existing file, and leaves it as it is.
pub(super) fn check(path: &Path, spec: &StoreSpec) -> Result<(), OpenError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 => return Err(damaged(path, Damage::Empty)),
        Ok(_) => {}
        Err(source) => return Err(OpenError::Io { path: path.to_owned(), source }),
    }
    guarded(path, || {
        let database = database(path, spec)?;
        verify_all(path, &database, spec)?;
        database.close().map_err(|error| of_database(path, error))
    })
}

/// Makes an empty store: under another name first, so that a crash leaves none rather than half of one.
fn create(path: &Path, spec: &StoreSpec) -> Result<(), OpenError> {
    let beside = |source| OpenError::Beside { path: path.to_owned(), source };
    let fresh = fresh_path(path);
    files::remove(&fresh).map_err(beside)?;
    let mut builder = Database::builder();
    builder.set_cache_size(spec.cache_size);
    let database = builder.create(&fresh).map_err(|error| of_database(path, error))?;
    let state = State { format: FORMAT, owner: spec.owner.to_string(), revision: 0, tables: BTreeMap::new() };
    add_tables(&database, spec, state).map_err(|failure| of_failure(path, failure))?;
    database.close().map_err(|error| of_database(path, error))?;
    std::fs::rename(&fresh, path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    files::sync_parent(path).map_err(beside)
}

fn fresh_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".fresh");
    path.with_file_name(name)
}

fn open_existing(path: &Path, spec: &StoreSpec) -> Result<(Database, State), OpenError> {
    let database = database(path, spec)?;
    let len =
        std::fs::metadata(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?.len();
    verified(path, database, len, spec)
}

/// Verifies what was opened, of `len` bytes, and makes it ready for use.
fn verified(
    path: &Path,
    mut database: Database,
    len: u64,
    spec: &StoreSpec,
) -> Result<(Database, State), OpenError> {
    let state = verify_all(path, &database, spec)?;
    if wants_compaction(path, len, &database)? {
        database.compact().map_err(|error| of_failure(path, StoreFailure::of(error)))?;
    }
    let state = if spec.tables.iter().all(|table| state.tables.contains_key(*table)) {
        state
    } else {
        add_tables(&database, spec, state).map_err(|failure| of_failure(path, failure))?
    };
    Ok((database, state))
}

/// Opens the file with every page verified.
fn database(path: &Path, spec: &StoreSpec) -> Result<Database, OpenError> {
    options(spec).open(path).map_err(|error| of_database(path, error))
}

/// Gives how every existing store is opened.
fn options(spec: &StoreSpec) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(spec.cache_size).set_check_integrity_on_open(true);
    builder
}

/// Makes the tables that the store lacks.
fn add_tables(database: &Database, spec: &StoreSpec, mut state: State) -> Result<State, StoreFailure> {
    let transaction = commit::begin(database)?;
    for table in spec.tables {
        transaction.open_table(rows_of(table)).map_err(StoreFailure::of)?;
        state.tables.entry((*table).to_owned()).or_default();
    }
    commit::write_state(&transaction, &state)?;
    transaction.commit().map_err(StoreFailure::of)?;
    Ok(state)
}

/// Reads everything and compares it with what the store says about itself.
fn verify_all(path: &Path, database: &Database, spec: &StoreSpec) -> Result<State, OpenError> {
    let corrupt = |what: String| damaged(path, Damage::Corrupt { what });
    let failed = |error: redb::Error| of_failure(path, StoreFailure::of(error));
    let transaction = database.begin_read().map_err(|error| failed(error.into()))?;
    let state = read_state(&transaction).map_err(|failure| of_failure(path, failure))?;
    if state.format > FORMAT {
        return Err(damaged(path, Damage::Newer { found: state.format, known: FORMAT }));
    }
    if state.owner != spec.owner.as_str() {
        let damage = Damage::Foreign { expected: spec.owner.to_string(), found: state.owner };
        return Err(damaged(path, damage));
    }
    let present: BTreeSet<String> = transaction
        .list_tables()
        .map_err(|error| failed(error.into()))?
        .map(|table| table.name().to_owned())
        .filter(|name| name != STATE_TABLE)
        .collect();
    if let Some(unknown) = present.iter().find(|name| !state.tables.contains_key(*name)) {
        return Err(corrupt(format!("table {unknown} is not accounted for")));
    }
    for (name, expected) in &state.tables {
        if !present.contains(name) {
            return Err(corrupt(format!("table {name} is missing")));
        }
        let found = sum(&transaction, name).map_err(|failure| of_failure(path, failure))?;
        if found.rows != expected.rows {
            return Err(corrupt(format!(
                "table {name} has {} rows instead of {}",
                found.rows, expected.rows
            )));
        }
        if found != *expected {
            return Err(corrupt(format!("table {name} has other rows than were written")));
        }
    }
    Ok(state)
}

fn read_state(transaction: &ReadTransaction) -> Result<State, StoreFailure> {
    let corrupt = |what: &str| StoreFailure::Corrupt { what: what.to_owned() };
    let rows = match transaction.open_table(rows_of(STATE_TABLE)) {
        Ok(rows) => rows,
        Err(TableError::TableDoesNotExist(_)) => return Err(corrupt("it says nothing about itself")),
        Err(error) => return Err(StoreFailure::of(error)),
    };
    let stored = rows
        .get(STATE_KEY)
        .map_err(StoreFailure::of)?
        .ok_or_else(|| corrupt("it says nothing about itself"))?;
    let bytes = value::decode(STATE_TABLE, STATE_KEY, stored.value())
        .map_err(|what| StoreFailure::Corrupt { what })?;
    minicbor::decode(&bytes).map_err(|error| StoreFailure::Corrupt {
        what: format!("what it says about itself does not decode: {error}"),
    })
}

fn sum(transaction: &ReadTransaction, table: &str) -> Result<TableSum, StoreFailure> {
    let rows = transaction.open_table(rows_of(table)).map_err(StoreFailure::of)?;
    let mut sum = TableSum::default();
    for row in rows.iter().map_err(StoreFailure::of)? {
        let (key, stored) = row.map_err(StoreFailure::of)?;
        let share = value::verify(table, key.value(), stored.value())
            .map_err(|what| StoreFailure::Corrupt { what })?;
        sum.add(share);
    }
    Ok(sum)
}

fn wants_compaction(path: &Path, len: u64, database: &Database) -> Result<bool, OpenError> {
    if len < COMPACT_MIN_LEN {
        return Ok(false);
    }
    let stats = || -> Result<u64, StoreFailure> {
        let transaction = commit::begin(database)?;
        let stats = transaction.stats().map_err(StoreFailure::of)?;
        transaction.abort().map_err(StoreFailure::of)?;
        Ok(stats.stored_bytes().saturating_add(stats.metadata_bytes()))
    };
    let data = stats().map_err(|failure| of_failure(path, failure))?;
    Ok(len > data.saturating_mul(COMPACT_RATIO))
}

/// Runs `work`; a panic of the storage is damage of the file.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = format!("the storage panicked: {}", panic_text(panic.as_ref()));
        Err(damaged(path, Damage::Corrupt { what }))
    })
}

pub(super) fn damaged(path: &Path, damage: Damage) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), damage }
}

fn of_failure(path: &Path, failure: StoreFailure) -> OpenError {
    match failure {
        StoreFailure::Corrupt { what } => damaged(path, Damage::Corrupt { what }),
        StoreFailure::Storage { source } => of_storage(path, *source),
        StoreFailure::UnknownTable { .. }
        | StoreFailure::ValueTooLarge { .. }
        | StoreFailure::Compress { .. }
        | StoreFailure::Poisoned
        | StoreFailure::Closed => damaged(path, Damage::Corrupt { what: failure.to_string() }),
    }
}

// The storage's errors may grow in number; these say something about the file, all others are its own.
fn of_database(path: &Path, error: DatabaseError) -> OpenError {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) {
        return OpenError::Busy { path: path.to_owned() };
    }
    of_storage(path, error.into())
}

fn of_storage(path: &Path, error: redb::Error) -> OpenError {
    if let redb::Error::Io(source) = error {
        return of_io(path, source);
    }
    if let redb::Error::Corrupted(what) = error {
        return damaged(path, Damage::Corrupt { what });
    }
    // Names, kinds and types of tables are fixed here: another one in the file was not written by this program.
    let other_content = matches!(
        error,
        redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableIsNotMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_)
    );
    if other_content {
        damaged(path, Damage::Corrupt { what: error.to_string() })
    } else {
        OpenError::Storage { path: path.to_owned(), source: Box::new(error) }
    }
}

/// A file that ends too early, or does not start as one of its kind, is damage; all else is the system's.
fn of_io(path: &Path, source: std::io::Error) -> OpenError {
    if matches!(source.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput) {
        damaged(path, Damage::Corrupt { what: source.to_string() })
    } else {
        OpenError::Io { path: path.to_owned(), source }
    }
}
