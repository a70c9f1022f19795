//! Transactions as the daemons make them, over all tables of their stores.

use argosy_core::time::Entropy as _;

use super::*;

/// What tables hold, by table and key.
pub(super) type Contents = BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A daemon's store: its tables, and which of them change together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) tables: &'static [Table],
    steps: &'static [&'static [Table]],
}

pub(super) const AGENT: Kind = Kind {
    name: "agent",
    tables: argosy_core::agent::TABLES,
    steps: &[
        &["head", "list", "link_meta"],
        &["releases", "manifests", "ingested", "facts"],
        &["assigned", "operations", "inventory"],
        &["inventory", "operations", "attempts", "history", "outbox", "journal", "journal_meta"],
        &["inventory", "parts", "operations", "farewells"],
        &["releases", "manifests", "facts"],
        &["inventory", "journal", "journal_meta", "outbox"],
        &["governor", "confirmed", "commands", "outbox", "journal", "journal_meta"],
    ],
};

pub(super) const HUB: Kind = Kind {
    name: "hub",
    tables: argosy_core::hub::TABLES,
    steps: &[
        &["placements", "projects", "parents", "releases", "manifests"],
        &["hub_link", "hub_inflight"],
        &["hub_link", "hub_inflight", "hub_acked", "hub_recent"],
        &["hub_status", "hub_journal", "hub_journal_meta"],
        &["releases", "manifests"],
        &["hub_journal", "hub_journal_base"],
        &["registry", "registry_meta", "hub_link"],
        &["hub_status"],
    ],
};

/// How a table lives.
enum Habit {
    /// Written once, under the hash of the content; the oldest are collected.
    Addressed,
    /// Rows with rising numbers; the oldest are dropped.
    Appended,
    /// A few rows that are replaced and deleted again and again.
    Replaced,
}

/// Gives one transaction after the other, and what a store holds after them.
pub(super) struct Work {
    kind: Kind,
    entropy: Repeatable,
    number: u64,
    pub(super) contents: Contents,
}

// === impl Kind ===

impl Kind {
    pub(super) fn spec(&self) -> StoreSpec {
        StoreSpec::new(self.tables, Owner::new(self.name))
    }
}

// === impl Work ===

impl Work {
    pub(super) fn new(kind: Kind) -> Self {
        let contents = kind.tables.iter().map(|table| (*table, BTreeMap::new())).collect();
        Self { kind, entropy: Repeatable::default(), number: 0, contents }
    }

    /// Gives the next transaction. It changes something.
    pub(super) fn next(&mut self) -> Vec<StoreOp> {
        let step = self.kind.steps[usize::try_from(self.number).unwrap() % self.kind.steps.len()];
        self.number += 1;
        let mut ops = Vec::new();
        for table in step {
            for _ in 0..=self.entropy.below(3) {
                ops.push(self.put(table));
            }
            ops.extend(self.dropped(table));
        }
        for op in &ops {
            apply(&mut self.contents, op);
        }
        ops
    }

    fn put(&mut self, table: Table) -> StoreOp {
        match habit(table) {
            Habit::Addressed => {
                let value = self.value(100_000);
                put(table, *blake3::hash(&value).as_bytes(), value)
            }
            Habit::Appended => {
                self.number += self.kind.steps.len() as u64;
                put(table, self.number.to_be_bytes(), self.value(1000))
            }
            Habit::Replaced => {
                let key = [b'a', u8::try_from(self.entropy.below(6)).unwrap()];
                put(table, key, self.value(4000))
            }
        }
    }

    /// Gives the deletes of a table that holds more than it should, or of a row whose time has come.
    fn dropped(&mut self, table: Table) -> Vec<StoreOp> {
        let rows = &self.contents[table];
        let surplus = match habit(table) {
            Habit::Addressed => rows.len().saturating_sub(10),
            Habit::Appended => rows.len().saturating_sub(30),
            Habit::Replaced => usize::from(self.entropy.below(3) == 0),
        };
        rows.keys().take(surplus).map(|key| StoreOp::delete(table, key.clone())).collect()
    }

    /// Gives 100 bytes or more, and few that are long.
    fn value(&mut self, longest: u64) -> Vec<u8> {
        let longest = match self.entropy.below(20) {
            0 => longest,
            1..5 => longest.min(8000),
            _ => longest.min(1000),
        };
        let mut bytes = vec![0; usize::try_from(100 + self.entropy.below(longest - 99)).unwrap()];
        self.entropy.fill(&mut bytes);
        if self.entropy.below(2) == 0 {
            // As text compresses.
            for byte in &mut bytes {
                *byte = b'a' + *byte % 8;
            }
        }
        bytes
    }
}

fn habit(table: Table) -> Habit {
    match table {
        "releases" | "manifests" | "facts" | "ingested" | "list" | "placements" => Habit::Addressed,
        "journal" | "hub_journal" => Habit::Appended,
        _ => Habit::Replaced,
    }
}

/// Does to `contents` what a store does with `op`.
pub(super) fn apply(contents: &mut Contents, op: &StoreOp) {
    match op {
        StoreOp::Put { table, key, value } => {
            contents.entry(table).or_default().insert(key.clone(), value.clone());
        }
        StoreOp::Delete { table, key } => {
            contents.entry(table).or_default().remove(key);
        }
    }
}

/// Tells whether a store holds exactly `contents`; whatever it cannot read is its failure.
pub(super) fn holds(store: &Store, contents: &Contents) -> Result<bool, StoreFailure> {
    for (table, expected) in contents {
        let found = store.scan(table)?;
        let same = found.len() == expected.len()
            && found.iter().zip(expected).all(|(found, expected)| (&found.0, &found.1) == expected);
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fills a new store with `transactions` and closes it; gives the file.
pub(super) fn file(work: &mut Work, transactions: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(&path, &work.kind.spec(), &AfterUncleanStop::CheckHere).unwrap().store;
    for _ in 0..transactions {
        store.commit(&work.next()).unwrap();
    }
    assert_eq!(store.revision(), transactions as u64, "every transaction changes something");
    assert!(holds(&store, &work.contents).unwrap());
    store.close().unwrap();
    std::fs::read(&path).unwrap()
}

#[test]
fn every_table_of_both_stores_is_worked_on() {
    for kind in [AGENT, HUB] {
        let mut worked: Vec<Table> = kind.steps.concat();
        let mut known = kind.tables.to_vec();
        worked.sort_unstable();
        worked.dedup();
        known.sort_unstable();
        assert_eq!(worked, known);
    }
}
