//! What a durable store is to the state machines: named tables of keys and values, read at will, changed by one
//! transaction at a time.
//!
//! A machine answers each input with one list of [`StoreOp`] and further effects; the shell makes the list durable
//! *before* it carries out any of the others (rule: durable before visible). A store that fails to commit ends the
//! process: nothing that depends on the transaction may happen.

/// Name of a table.
pub type Table = &'static str;

/// A key with its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// One change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Sets a key.
    Put {
        /// Table.
        table: Table,
        /// Key.
        key: Vec<u8>,
        /// Value.
        value: Vec<u8>,
    },
    /// Removes a key; removing an absent one is no error.
    Delete {
        /// Table.
        table: Table,
        /// Key.
        key: Vec<u8>,
    },
}

impl StoreOp {
    /// Sets `key` to the CBOR of `value`.
    pub fn put<T: minicbor::Encode<()>>(table: Table, key: impl Into<Vec<u8>>, value: &T) -> Self {
        Self::Put { table, key: key.into(), value: encode(value) }
    }

    /// Sets `key` to `value` as it is.
    pub fn put_bytes(table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { table, key: key.into(), value: value.into() }
    }

    /// Removes `key`.
    pub fn delete(table: Table, key: impl Into<Vec<u8>>) -> Self {
        Self::Delete { table, key: key.into() }
    }
}

/// A store that cannot be read, or holds what this program cannot make sense of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The storage itself failed.
    #[error("reading table {table}: {why}")]
    Read {
        /// Table.
        table: Table,
        /// The storage's words.
        why: String,
    },
    /// A value that does not decode.
    #[error("table {table} holds a value that does not decode: {why}")]
    Undecodable {
        /// Table.
        table: Table,
        /// The decoder's words.
        why: String,
    },
}

/// Reading side of a store.
pub trait StoreRead {
    /// Gives the value of `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Gives every row whose key starts with `prefix`, in the order of keys.
    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Row>, StoreError>;

    /// Gives the keys of a table, in order.
    fn keys(&self, table: Table) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self.scan(table, &[])?.into_iter().map(|(key, _)| key).collect())
    }

    /// Tells whether `key` is there.
    fn has(&self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.get(table, key)?.is_some())
    }
}

/// Encodes a value as CBOR.
pub fn encode<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    match minicbor::encode(value, &mut bytes) {
        Ok(()) => bytes,
        // A vector takes every byte, and no type of this crate refuses to encode.
        Err(_infallible) => Vec::new(),
    }
}

/// Decodes a value of `table`.
pub fn decode<T: for<'b> minicbor::Decode<'b, ()>>(table: Table, bytes: &[u8]) -> Result<T, StoreError> {
    minicbor::decode(bytes).map_err(|error| StoreError::Undecodable { table, why: error.to_string() })
}

/// Gets and decodes a value.
pub fn get_as<T: for<'b> minicbor::Decode<'b, ()>>(
    store: &dyn StoreRead,
    table: Table,
    key: &[u8],
) -> Result<Option<T>, StoreError> {
    store.get(table, key)?.map(|bytes| decode(table, &bytes)).transpose()
}

/// A store in memory: for tests and simulations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    tables: std::collections::BTreeMap<Table, std::collections::BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl MemoryStore {
    /// Carries out one transaction.
    pub fn commit(&mut self, ops: &[StoreOp]) {
        for op in ops {
            match op {
                StoreOp::Put { table, key, value } => {
                    self.tables.entry(table).or_default().insert(key.clone(), value.clone());
                }
                StoreOp::Delete { table, key } => {
                    self.tables.entry(table).or_default().remove(key);
                }
            }
        }
    }

    /// Gives the number of rows of a table.
    pub fn len(&self, table: Table) -> usize {
        self.tables.get(table).map_or(0, std::collections::BTreeMap::len)
    }

    /// Tells whether the whole store is empty.
    pub fn is_empty(&self) -> bool {
        self.tables.values().all(std::collections::BTreeMap::is_empty)
    }
}

impl StoreRead for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tables.get(table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Row>, StoreError> {
        Ok(self
            .tables
            .get(table)
            .into_iter()
            .flat_map(|rows| rows.range(prefix.to_vec()..))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}
