//! Where objects are: the present state, and the changes that led to it, as far back as they are kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::object::Object;

/// A kind of objects, whatever the version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) group: String,
    pub(crate) plural: String,
}

/// Where an object is within its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Key {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

/// A change of one object.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) version: u64,
    pub(super) place: Arc<Place>,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Object>>,
    /// The object afterwards; when it is gone, as it went.
    pub(super) after: Arc<Object>,
    pub(super) gone: bool,
}

type Table = BTreeMap<Key, Arc<Object>>;

/// All objects of a cluster.
#[derive(Debug, Default)]
pub(super) struct Store {
    tables: BTreeMap<Arc<Place>, Table>,
    records: VecDeque<Record>,
    /// How many records are kept.
    history: usize,
    /// How many bytes of objects they may hold.
    history_bytes: usize,
    /// How many bytes of objects they hold.
    held: usize,
    version: u64,
    /// The version up to which records were dropped.
    dropped: u64,
}

// === impl Key ===

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

// === impl Place ===

impl Place {
    pub(crate) fn new(group: &str, plural: &str) -> Self {
        Self { group: group.to_owned(), plural: plural.to_owned() }
    }
}

// === impl Store ===

impl Store {
    pub(super) fn new(history: usize, history_bytes: usize) -> Self {
        Self { history, history_bytes, ..Self::default() }
    }

    /// Gives the version of the latest change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Gives the version that the next change will have.
    pub(super) fn next(&self) -> u64 {
        self.version + 1
    }

    /// Gives the version before which changes are no longer known.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn get(&self, place: &Place, key: &Key) -> Option<&Arc<Object>> {
        self.tables.get(place)?.get(key)
    }

    /// Gives the objects of a kind by namespace and name.
    pub(super) fn objects<'s>(
        &'s self,
        place: &Place,
    ) -> impl Iterator<Item = (&'s Key, &'s Arc<Object>)> + use<'s> {
        self.tables.get(place).into_iter().flatten()
    }

    /// Gives all objects.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<Place>, &Key, &Arc<Object>)> {
        self.tables
            .iter()
            .flat_map(|(place, table)| table.iter().map(move |(key, object)| (place, key, object)))
    }

    /// Gives the objects of a kind as they were at a version that is still known.
    pub(super) fn objects_at(&self, place: &Place, version: u64) -> BTreeMap<Key, Arc<Object>> {
        let mut objects = self.tables.get(place).cloned().unwrap_or_default();
        for record in self.records.iter().rev().take_while(|record| record.version > version) {
            if *record.place != *place {
                continue;
            }
            match &record.before {
                Some(before) => objects.insert(record.key.clone(), before.clone()),
                None => objects.remove(&record.key),
            };
        }
        objects
    }

    /// Gives the changes after a version.
    pub(super) fn records_since(&self, version: u64) -> impl Iterator<Item = &Record> {
        let start = self.records.partition_point(|record| record.version <= version);
        self.records.range(start..)
    }

    /// Puts an object, which has the next version.
    pub(super) fn put(&mut self, place: &Place, key: Key, object: Object) -> Arc<Object> {
        let (place, after) = (self.place(place), Arc::new(object));
        let before = self.tables.entry(place.clone()).or_default().insert(key.clone(), after.clone());
        self.record(Record {
            version: after.version(),
            place,
            key,
            before,
            after: after.clone(),
            gone: false,
        });
        after
    }

    /// Replaces an object by another form of the same state: nobody is told.
    pub(super) fn amend(&mut self, place: &Place, key: &Key, object: Object) {
        if let Some(kept) = self.tables.get_mut(place).and_then(|table| table.get_mut(key)) {
            *kept = Arc::new(object);
        }
    }

    /// Removes an object; `last` is the object as it goes, with the next version.
    pub(super) fn remove(&mut self, place: &Place, key: Key, last: Object) {
        let (place, after) = (self.place(place), Arc::new(last));
        let before = self.tables.get_mut(&place).and_then(|table| table.remove(&key));
        self.record(Record { version: after.version(), place, key, before, after, gone: true });
    }

    fn place(&mut self, place: &Place) -> Arc<Place> {
        if let Some((known, _)) = self.tables.get_key_value(place) {
            return known.clone();
        }
        let place = Arc::new(place.clone());
        self.tables.insert(place.clone(), Table::new());
        place
    }

    fn record(&mut self, record: Record) {
        self.version = record.version;
        self.held += record.after.size();
        self.records.push_back(record);
        while self.records.len() > self.history || self.held > self.history_bytes {
            let Some(oldest) = self.records.pop_front() else { break };
            self.held -= oldest.after.size();
            self.dropped = oldest.version;
        }
    }
}
