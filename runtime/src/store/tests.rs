use std::time::Duration;

use argosy_core::time::Entropy;
use proptest::prelude::*;
use redb::ReadableTable as _;

use super::*;

mod crash;
mod damage;
mod disk;
mod work;

const HEADS: Table = "heads";
const BLOBS: Table = "blobs";
const TABLES: &[Table] = &[HEADS, BLOBS];

fn spec() -> StoreSpec {
    StoreSpec::new(TABLES, Owner::new("cluster-1"))
}

fn try_open(path: &Path) -> Result<Opened, OpenError> {
    Store::open(path, &spec(), &AfterUncleanStop::CheckHere)
}

fn open(path: &Path) -> Store {
    try_open(path).unwrap().store
}

fn put(table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> StoreOp {
    StoreOp::put_bytes(table, key, value)
}

fn damage(path: &Path) -> Damage {
    let error = try_open(path).unwrap_err();
    error.damage().unwrap_or_else(|| panic!("{error:?}")).clone()
}

/// Randomness that is the same in every run.
#[derive(Default)]
struct Repeatable(u64);

impl Entropy for Repeatable {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0 += 1;
        let mut source = blake3::Hasher::new().update(&self.0.to_le_bytes()).finalize_xof();
        source.fill(bytes);
    }
}

/// Fills a store with rows of many sizes and closes it.
fn filled(path: &Path) -> Vec<Row> {
    let store = open(path);
    for batch in 0..8_u32 {
        let ops: Vec<_> = (0..12_u32)
            .map(|row| {
                let noise = blake3::hash(&row.to_le_bytes()).as_bytes().repeat(1 + 9 * row as usize);
                put(BLOBS, (batch * 100 + row).to_be_bytes(), noise)
            })
            .chain([put(HEADS, "head", batch.to_be_bytes())])
            .collect();
        store.commit(&ops).unwrap();
    }
    let rows = store.scan(BLOBS).unwrap();
    store.close().unwrap();
    rows
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let first = try_open(&path).unwrap();
    assert_eq!(first.origin, Origin::Created);
    first
        .store
        .commit(&[put(HEADS, "a", "1"), put(HEADS, "b", "2"), put(BLOBS, "a", vec![9; 5000])])
        .unwrap();
    first.store.commit(&[StoreOp::delete(HEADS, "a"), StoreOp::delete(HEADS, "none")]).unwrap();
    first.store.close().unwrap();
    assert!(matches!(first.store.get(HEADS, b"b"), Err(StoreFailure::Closed)));

    let second = try_open(&path).unwrap();
    assert_eq!(second.origin, Origin::ClosedInOrder);
    let store = second.store;
    assert_eq!(store.scan(HEADS).unwrap(), [(b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(store.get(BLOBS, b"a").unwrap(), Some(vec![9; 5000]));
    assert_eq!((store.rows(HEADS), store.rows(BLOBS), store.revision()), (1, 1, 2));
    assert!(StoreRead::has(&store, HEADS, b"b").unwrap());
    assert_eq!(StoreRead::keys(&store, BLOBS).unwrap(), [b"a".to_vec()]);
}

#[test]
fn a_process_that_ends_without_closing_leaves_what_it_committed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("store.redb"), folder.path().join("copy.redb"));
    let store = open(&path);
    for number in 0..20_u32 {
        store
            .commit(&[put(HEADS, "head", number.to_be_bytes()), put(BLOBS, number.to_be_bytes(), "x")])
            .unwrap();
        // The file at this moment is what a kill would leave behind.
        std::fs::copy(&path, &copy).unwrap();
        let after = try_open(&copy).unwrap();
        assert_eq!(after.origin, Origin::UncleanStop);
        assert_eq!(after.store.get(HEADS, b"head").unwrap(), Some(number.to_be_bytes().to_vec()));
        assert_eq!(after.store.rows(BLOBS), u64::from(number) + 1);
    }
    drop(store);
    assert_eq!(try_open(&path).unwrap().origin, Origin::UncleanStop);
}

#[test]
fn a_prefix_gives_its_rows_in_order_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.redb"));
    let keys = ["a", "a/1", "a/2", "b", "a0"];
    let ops: Vec<_> = keys.iter().map(|key| put(HEADS, *key, *key)).collect();
    store.commit(&ops).unwrap();
    let found: Vec<_> = store.scan_prefix(HEADS, b"a/").unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, [b"a/1".to_vec(), b"a/2".to_vec()]);
    assert_eq!(store.keys_prefix(HEADS, b"b").unwrap(), [b"b".to_vec()]);
}

#[test]
fn a_list_that_changes_nothing_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.redb"));
    store.commit(&[put(HEADS, "a", "1")]).unwrap();
    store.commit(&[]).unwrap();
    store.commit(&[put(HEADS, "a", "1"), StoreOp::delete(HEADS, "b")]).unwrap();
    assert_eq!(store.revision(), 1);
}

#[test]
fn a_table_that_the_store_does_not_have_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.redb"));
    let failure = store.commit(&[put(HEADS, "a", "1"), put("other", "a", "1")]).unwrap_err();
    assert!(matches!(failure, StoreFailure::UnknownTable { table: "other" }));
    assert_eq!(store.get(HEADS, b"a").unwrap(), None);
    assert!(store.get("other", b"a").is_err());
}

#[test]
fn a_table_that_a_newer_program_adds_is_made_and_one_it_no_longer_names_is_kept() {
    const MORE: &[Table] = &[HEADS, BLOBS, "new"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let rows = filled(&path);
    let more = StoreSpec::new(MORE, Owner::new("cluster-1"));
    let store = Store::open(&path, &more, &AfterUncleanStop::CheckHere).unwrap().store;
    store.commit(&[put("new", "a", "1")]).unwrap();
    store.close().unwrap();
    let older = open(&path);
    assert_eq!(older.scan(BLOBS).unwrap(), rows);
    older.close().unwrap();
    let store = Store::open(&path, &more, &AfterUncleanStop::CheckHere).unwrap().store;
    assert_eq!(store.get("new", b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn a_second_opener_is_told_that_the_store_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let _store = open(&path);
    assert!(matches!(try_open(&path), Err(OpenError::Busy { .. })));
}

#[test]
fn a_store_of_somebody_else_is_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(&path);
    let other = StoreSpec::new(TABLES, Owner::new("cluster-2"));
    let error = Store::open(&path, &other, &AfterUncleanStop::CheckHere).unwrap_err();
    let expected = Damage::Foreign { expected: "cluster-2".to_owned(), found: "cluster-1".to_owned() };
    assert_eq!(error.damage(), Some(&expected));
    assert!(try_open(&path).is_ok());
}

#[test]
fn an_empty_file_is_not_a_new_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::write(&path, "").unwrap();
    assert_eq!(damage(&path), Damage::Empty);
    std::fs::write(&path, "not a store at all").unwrap();
    assert!(matches!(damage(&path), Damage::Corrupt { .. }));
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    assert!(matches!(damage(&path), Damage::Corrupt { .. }));
    assert!(path.exists(), "a damaged store is left where it is");
}

#[test]
fn a_store_of_a_newer_program_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(&path);
    tampered(&path, |transaction| {
        let newer = State { format: 9, owner: "cluster-1".to_owned(), revision: 0, tables: BTreeMap::new() };
        commit::write_state(transaction, &newer).unwrap();
    });
    assert_eq!(damage(&path), Damage::Newer { found: 9, known: 1 });
}

/// Changes a store behind its back, with the storage's own checksums all right.
fn tampered(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

#[test]
fn a_row_that_vanished_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(&path);
    tampered(&path, |transaction| {
        let mut rows = transaction.open_table(rows_of(BLOBS)).unwrap();
        assert!(rows.remove(0_u32.to_be_bytes().as_slice()).unwrap().is_some());
    });
    let Damage::Corrupt { what } = damage(&path) else { panic!() };
    assert_eq!(what, "table blobs has 95 rows instead of 96");
}

#[test]
fn a_row_that_was_replaced_by_an_older_value_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    store.commit(&[put(HEADS, "a", "1")]).unwrap();
    store.close().unwrap();
    let mut old = Vec::new();
    tampered(&path, |transaction| {
        let rows = transaction.open_table(rows_of(HEADS)).unwrap();
        old = rows.get(b"a".as_slice()).unwrap().unwrap().value().to_vec();
    });
    let store = open(&path);
    store.commit(&[put(HEADS, "a", "2")]).unwrap();
    store.close().unwrap();
    tampered(&path, |transaction| {
        let mut rows = transaction.open_table(rows_of(HEADS)).unwrap();
        rows.insert(b"a".as_slice(), old.as_slice()).unwrap();
    });
    assert!(
        matches!(damage(&path), Damage::Corrupt { what } if what.contains("other rows than were written"))
    );
}

#[test]
fn tables_that_vanished_or_appeared_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    for (name, says) in
        [("gone", "missing"), ("extra", "not accounted for"), ("state", "says nothing about itself")]
    {
        let path = folder.path().join(name);
        filled(&path);
        tampered(&path, |transaction| match name {
            "gone" => assert!(transaction.delete_table(rows_of(BLOBS)).unwrap()),
            "extra" => drop(transaction.open_table(rows_of("extra")).unwrap()),
            _ => assert!(transaction.delete_table(rows_of(state::STATE_TABLE)).unwrap()),
        });
        let Damage::Corrupt { what } = damage(&path) else { panic!("{name}") };
        assert!(what.contains(says), "{name}: {what}");
    }
}

#[test]
fn a_flipped_bit_is_damage_or_harmless_and_never_another_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let rows = filled(&path);
    let sound = std::fs::read(&path).unwrap();
    let used: Vec<usize> = (0..sound.len()).filter(|at| *at < 320 || sound[*at] != 0).collect();
    let (mut entropy, mut found) = (Repeatable::default(), 0);
    let flips = 150;
    for number in 0..flips {
        let mut bad = sound.clone();
        // The header, and then what was ever written; pages of older transactions among it are of no matter.
        let among = if number < 50 { 320 } else { used.len() as u64 };
        let at = used[usize::try_from(entropy.below(among)).unwrap()];
        bad[at] ^= 1 << entropy.below(8);
        let path = folder.path().join(format!("flip-{number}.redb"));
        std::fs::write(&path, &bad).unwrap();
        match try_open(&path) {
            Ok(opened) => assert_eq!(opened.store.scan(BLOBS).unwrap(), rows, "flip at {at}"),
            Err(OpenError::Damaged { damage: Damage::Corrupt { .. }, .. }) => found += 1,
            Err(error) => panic!("flip at {at}: {error:?}"),
        }
        std::fs::remove_file(&path).unwrap();
    }
    assert!(found > flips / 5, "{found} of {flips} flips found");
}

#[test]
fn a_file_that_was_cut_off_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let rows = filled(&path);
    let sound = std::fs::read(&path).unwrap();
    let mut entropy = Repeatable::default();
    for number in 0..40 {
        let len = usize::try_from(1 + entropy.below(sound.len() as u64 - 1)).unwrap();
        let path = folder.path().join(format!("cut-{number}.redb"));
        std::fs::write(&path, &sound[..len]).unwrap();
        match try_open(&path) {
            // Only unused space at the end was cut off.
            Ok(opened) => assert_eq!(opened.store.scan(BLOBS).unwrap(), rows, "cut to {len}"),
            Err(OpenError::Damaged { damage: Damage::Corrupt { .. }, .. }) => {}
            Err(error) => panic!("cut to {len}: {error:?}"),
        }
    }
}

#[test]
fn a_rolled_back_copy_opens_as_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("store.redb"), folder.path().join("copy.redb"));
    filled(&path);
    std::fs::copy(&path, &copy).unwrap();
    let store = open(&path);
    store.commit(&[put(HEADS, "head", "newer")]).unwrap();
    let newer = store.revision();
    store.close().unwrap();
    std::fs::copy(&copy, &path).unwrap();
    let store = open(&path);
    assert_eq!(store.get(HEADS, b"head").unwrap(), Some(7_u32.to_be_bytes().to_vec()));
    assert!(store.revision() < newer, "the anchor beside the store is what tells");
}

#[test]
fn a_file_much_longer_than_its_data_is_compacted_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    let (mut entropy, mut noise) = (Repeatable::default(), vec![0; 40_000]);
    let ops: Vec<_> = (0..400_u32)
        .map(|row| {
            entropy.fill(&mut noise);
            put(BLOBS, row.to_be_bytes(), noise.clone())
        })
        .collect();
    store.commit(&ops).unwrap();
    let ops: Vec<_> = (1..400_u32).map(|row| StoreOp::delete(BLOBS, row.to_be_bytes())).collect();
    store.commit(&ops).unwrap();
    let before = store.file_len().unwrap();
    store.close().unwrap();
    let store = open(&path);
    assert!(store.file_len().unwrap() < before / 3, "{} of {before}", store.file_len().unwrap());
    assert_eq!(store.rows(BLOBS), 1);
    assert_eq!(store.get(BLOBS, &0_u32.to_be_bytes()).unwrap().unwrap().len(), 40_000);
}

/// A check by a child that answers what `script` prints.
fn by_script(script: &str) -> AfterUncleanStop {
    AfterUncleanStop::CheckInChild(ChildCheck::of_program("/bin/sh", ["-c", script], Duration::from_secs(20)))
}

#[test]
fn a_child_looks_first_after_an_unclean_stop_and_not_after_a_clean_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    filled(&path);
    let dies = by_script("kill -SEGV $$");
    let clean = Store::open(&path, &spec(), &dies).unwrap();
    assert_eq!(clean.origin, Origin::ClosedInOrder);
    drop(clean);
    let cases = [
        ("kill -SEGV $$", "corrupt: the check died: signal: 11"),
        ("exit 101", "corrupt: the check died: exit status: 101"),
        ("echo corrupt a page", "corrupt: a page"),
        ("echo empty", "the file is empty"),
        ("echo foreign cluster-9", "it belongs to cluster-9, not to cluster-1"),
        ("echo newer 3 1", "its format is 3, this program knows 1"),
    ];
    for (script, says) in cases {
        let error = Store::open(&path, &spec(), &by_script(script)).unwrap_err();
        let damage = error.damage().unwrap_or_else(|| panic!("{script}: {error:?}")).to_string();
        assert!(damage.starts_with(says), "{script}: {damage}");
    }
    assert!(matches!(Store::open(&path, &spec(), &by_script("echo busy")), Err(OpenError::Busy { .. })));
    for outside in ["kill -9 $$", "kill -TERM $$"] {
        let ended = Store::open(&path, &spec(), &by_script(outside));
        assert!(matches!(ended, Err(OpenError::Check { .. })), "{outside} says nothing of the store");
    }
    assert!(matches!(Store::open(&path, &spec(), &by_script("echo what")), Err(OpenError::Check { .. })));
    assert!(matches!(Store::open(&path, &spec(), &by_script("echo failed")), Err(OpenError::Check { .. })));
    assert_eq!(Store::open(&path, &spec(), &by_script("echo sound")).unwrap().origin, Origin::UncleanStop);
}

#[test]
fn a_child_that_never_answers_is_ended_and_says_nothing_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(open(&path));
    let check = ChildCheck::of_program("/bin/sh", ["-c", "exec sleep 1000"], Duration::from_millis(50));
    let error = Store::open(&path, &spec(), &AfterUncleanStop::CheckInChild(check)).unwrap_err();
    assert!(error.damage().is_none(), "a slow disk is no damage: {error}");
    assert!(error.to_string().contains("did not end within"), "{error}");
}

#[test]
fn the_child_tells_its_verdict_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let tell = |spec: &StoreSpec| {
        let mut output = Vec::new();
        verify_and_tell(&path, spec, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    };
    assert!(tell(&spec()).starts_with("failed "));
    let store = open(&path);
    store.commit(&[put(HEADS, "a", "1")]).unwrap();
    assert_eq!(tell(&spec()), "busy\n");
    drop(store);
    assert_eq!(tell(&spec()), "sound\n");
    assert_eq!(tell(&StoreSpec::new(TABLES, Owner::new("x"))), "foreign cluster-1\n");
    tampered(&path, |transaction| {
        transaction.open_table(rows_of(HEADS)).unwrap().remove(b"a".as_slice()).unwrap();
    });
    assert_eq!(tell(&spec()), "corrupt table heads has 0 rows instead of 1\n");
    std::fs::write(&path, "").unwrap();
    assert_eq!(tell(&spec()), "empty\n");
}

fn change() -> impl Strategy<Value = StoreOp> {
    let table = prop_oneof![Just(HEADS), Just(BLOBS)];
    (table, 0..12_u8, proptest::option::weighted(0.7, (0..4_u8, 0..600_usize))).prop_map(
        |(table, key, value)| match value {
            Some((byte, len)) => put(table, [key], vec![byte; len]),
            None => StoreOp::delete(table, [key]),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_store_holds_what_a_map_would(
        transactions in prop::collection::vec((prop::collection::vec(change(), 0..8), 0..10_u8), 1..16),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let mut store = open(&path);
        let mut model: BTreeMap<(Table, Vec<u8>), Vec<u8>> = BTreeMap::new();
        for (ops, event) in transactions {
            store.commit(&ops).unwrap();
            for op in ops {
                match op {
                    StoreOp::Put { table, key, value } => drop(model.insert((table, key), value)),
                    StoreOp::Delete { table, key } => drop(model.remove(&(table, key))),
                }
            }
            match event {
                0 => store.close().unwrap(),
                1 => {}
                _ => continue,
            }
            drop(store);
            store = open(&path);
        }
        for table in TABLES {
            let expected: Vec<_> = model
                .iter()
                .filter(|((of, _), _)| of == table)
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect();
            prop_assert_eq!(store.rows(table), expected.len() as u64);
            prop_assert_eq!(store.scan(table).unwrap(), expected);
        }
    }
}
