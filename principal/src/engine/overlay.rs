//! The store as a round sees it: with what was decided and is not committed yet.

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::store::{StoreError, StoreOp, StoreRead, Table};
use argosy_runtime::store::Store;

/// The store with what the round has decided and not committed yet.
pub(super) struct Overlay {
    base: Store,
    staged: BTreeMap<Table, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl Overlay {
    pub(super) fn new(base: &Store) -> Self {
        Self { base: base.clone(), staged: BTreeMap::new() }
    }

    pub(super) fn stage(&mut self, ops: &[StoreOp]) {
        for op in ops {
            match op {
                StoreOp::Put { table, key, value } => {
                    self.staged.entry(table).or_default().insert(key.clone(), Some(value.clone()));
                }
                StoreOp::Delete { table, key } => {
                    self.staged.entry(table).or_default().insert(key.clone(), None);
                }
            }
        }
    }
}

impl StoreRead for Overlay {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.staged.get(table).and_then(|rows| rows.get(key)) {
            Some(staged) => Ok(staged.clone()),
            None => StoreRead::get(&self.base, table, key),
        }
    }

    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let base = StoreRead::scan(&self.base, table, prefix)?;
        let Some(staged) = self.staged.get(table) else { return Ok(base) };
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = base.into_iter().collect();
        for (key, value) in staged.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)) {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(rows.into_iter().collect())
    }

    fn keys(&self, table: Table) -> Result<Vec<Vec<u8>>, StoreError> {
        let base = StoreRead::keys(&self.base, table)?;
        let Some(staged) = self.staged.get(table) else { return Ok(base) };
        let mut keys: BTreeSet<Vec<u8>> = base.into_iter().collect();
        for (key, value) in staged {
            if value.is_some() {
                keys.insert(key.clone());
            } else {
                keys.remove(key);
            }
        }
        Ok(keys.into_iter().collect())
    }

    fn has(&self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        match self.staged.get(table).and_then(|rows| rows.get(key)) {
            Some(staged) => Ok(staged.is_some()),
            None => StoreRead::has(&self.base, table, key),
        }
    }
}
