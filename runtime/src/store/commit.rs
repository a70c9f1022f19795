//! One transaction: rows, and the sums that must agree with them.

use std::collections::BTreeMap;

use argosy_core::store::{StoreOp, Table};
use redb::{Database, Durability, ReadableTable as _, WriteTransaction};

use super::state::{STATE_KEY, STATE_TABLE, State, TableSum};
use super::value::{self, Encoder};
use super::{StoreFailure, rows_of};

/// Carries out `ops` on top of `state`; gives the state after them, or `None` if they change nothing.
pub(super) fn commit(
    database: &Database,
    state: &State,
    ops: &[StoreOp],
) -> Result<Option<State>, StoreFailure> {
    if ops.is_empty() {
        return Ok(None);
    }
    let mut by_table: BTreeMap<Table, Vec<&StoreOp>> = BTreeMap::new();
    for op in ops {
        let (StoreOp::Put { table, .. } | StoreOp::Delete { table, .. }) = op;
        by_table.entry(table).or_default().push(op);
    }
    let transaction = begin(database)?;
    let (mut next, mut encoder, mut changed) = (state.clone(), Encoder::default(), false);
    for (table, ops) in by_table {
        let sum = next.tables.entry(table.to_owned()).or_default();
        let mut rows = transaction.open_table(rows_of(table)).map_err(StoreFailure::of)?;
        for op in ops {
            changed |= carry_out(&mut rows, table, op, sum, &mut encoder)?;
        }
    }
    if !changed {
        transaction.abort().map_err(StoreFailure::of)?;
        return Ok(None);
    }
    next.revision = next.revision.saturating_add(1);
    write_state(&transaction, &next)?;
    transaction.commit().map_err(StoreFailure::of)?;
    Ok(Some(next))
}

/// Begins a transaction that is durable in two phases.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, StoreFailure> {
    let mut transaction = database.begin_write().map_err(StoreFailure::of)?;
    transaction.set_durability(Durability::Immediate).map_err(StoreFailure::of)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// Writes what the store says about itself.
pub(super) fn write_state(transaction: &WriteTransaction, state: &State) -> Result<(), StoreFailure> {
    let mut bytes = Vec::new();
    minicbor::encode(state, &mut bytes)
        .map_err(|error| StoreFailure::Compress { table: STATE_TABLE, why: error.to_string() })?;
    let (stored, _) = Encoder::default().encode(STATE_TABLE, STATE_KEY, &bytes)?;
    let mut rows = transaction.open_table(rows_of(STATE_TABLE)).map_err(StoreFailure::of)?;
    rows.insert(STATE_KEY, stored.as_slice()).map_err(StoreFailure::of)?;
    Ok(())
}

/// Carries out one change and tells whether it is one.
fn carry_out(
    rows: &mut redb::Table<'_, &'static [u8], &'static [u8]>,
    table: Table,
    op: &StoreOp,
    sum: &mut TableSum,
    encoder: &mut Encoder,
) -> Result<bool, StoreFailure> {
    let (key, new) = match op {
        StoreOp::Put { key, value, .. } => (key.as_slice(), Some(encoder.encode(table, key, value)?)),
        StoreOp::Delete { key, .. } => (key.as_slice(), None),
    };
    let old = match rows.get(key).map_err(StoreFailure::of)? {
        Some(old) => {
            let share =
                value::verify(table, key, old.value()).map_err(|what| StoreFailure::Corrupt { what })?;
            let same = new.as_ref().is_some_and(|(stored, _)| stored == old.value());
            if same {
                return Ok(false);
            }
            Some(share)
        }
        None => None,
    };
    if let Some(share) = old {
        sum.remove(share);
    }
    match new {
        Some((stored, share)) => {
            rows.insert(key, stored.as_slice()).map_err(StoreFailure::of)?;
            sum.add(share);
            Ok(true)
        }
        None if old.is_some() => {
            rows.remove(key).map_err(StoreFailure::of)?;
            Ok(true)
        }
        None => Ok(false),
    }
}
