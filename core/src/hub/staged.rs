//! The store as it will be once what was decided is committed.

use std::collections::BTreeMap;

use crate::store::{StoreError, StoreOp, StoreRead, Table};

/// A store with a transaction that is not committed yet.
pub(super) struct Staged<'a> {
    base: &'a dyn StoreRead,
    changes: BTreeMap<Table, BTreeMap<&'a [u8], Option<&'a [u8]>>>,
}

// === impl Staged ===

impl<'a> Staged<'a> {
    pub(super) fn new(base: &'a dyn StoreRead, ops: &'a [StoreOp]) -> Self {
        let mut changes: BTreeMap<Table, BTreeMap<&[u8], Option<&[u8]>>> = BTreeMap::new();
        for op in ops {
            match op {
                StoreOp::Put { table, key, value } => {
                    changes.entry(table).or_default().insert(key, Some(value));
                }
                StoreOp::Delete { table, key } => {
                    changes.entry(table).or_default().insert(key, None);
                }
            }
        }
        Self { base, changes }
    }
}

impl StoreRead for Staged<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.changes.get(table).and_then(|rows| rows.get(key)) {
            Some(value) => Ok(value.map(<[u8]>::to_vec)),
            None => self.base.get(table, key),
        }
    }

    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let base = self.base.scan(table, prefix)?;
        let Some(changes) = self.changes.get(table) else { return Ok(base) };
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = base.into_iter().collect();
        for (key, value) in changes.range(prefix..).take_while(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(*key),
            };
        }
        Ok(rows.into_iter().collect())
    }

    fn has(&self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        match self.changes.get(table).and_then(|rows| rows.get(key)) {
            Some(value) => Ok(value.is_some()),
            None => self.base.has(table, key),
        }
    }

    fn keys(&self, table: Table) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut keys: std::collections::BTreeSet<Vec<u8>> = self.base.keys(table)?.into_iter().collect();
        for (key, value) in self.changes.get(table).into_iter().flatten() {
            if value.is_some() {
                keys.insert(key.to_vec());
            } else {
                keys.remove(*key);
            }
        }
        Ok(keys.into_iter().collect())
    }
}
