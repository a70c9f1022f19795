//! Damage of every kind to both stores: told by name, never read as "empty" or as other contents.

use argosy_core::time::Entropy as _;

use super::crash::{over, shut, wanted};
use super::disk::Disk;
use super::work::{AGENT, Contents, HUB, Kind, Work, file, holds};
use super::*;

/// One of so many crash states, the same number of bits, sectors and lengths is tried of each file.
const SHARE: usize = 12;
/// Length of the storage's header: which transaction is the newest, and where its trees begin.
const HEADER: usize = 320;
/// The bit of the header that says which of its two transactions is the newest.
const NEWEST: usize = 72;
const SECTOR: usize = 512;

/// A store's file, and what it holds.
struct Sound {
    kind: Kind,
    file: Vec<u8>,
    /// The file some transactions ago.
    older: Vec<u8>,
    contents: Contents,
    /// What it held one transaction ago.
    before: Contents,
    entropy: Repeatable,
}

/// How many damaged files were refused, and how many were right in spite of it.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    right: usize,
}

// === impl Sound ===

impl Sound {
    /// Makes both: closed in order, and left by a process that was killed.
    fn both(kind: Kind) -> [Self; 2] {
        let mut work = Work::new(kind);
        let older = file(&mut work, 20);
        let disk = Disk::new(older.clone());
        let store = over(&disk, kind).unwrap();
        let mut before = Contents::new();
        for _ in 0..12 {
            before.clone_from(&work.contents);
            store.commit(&work.next()).unwrap();
        }
        let killed = disk.bytes();
        shut(&store);
        let of = |file| Self {
            kind,
            file,
            older: older.clone(),
            contents: work.contents.clone(),
            before: before.clone(),
            entropy: Repeatable::default(),
        };
        [of(disk.bytes()), of(killed)]
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.entropy.below(bound as u64)).unwrap()
    }

    /// Gives a byte that was ever written.
    fn used(&mut self) -> usize {
        loop {
            let at = self.below(self.file.len());
            if self.file[at] != 0 {
                return at;
            }
        }
    }

    /// Opens a damaged file, which must be refused as such or hold what the sound one does.
    fn judge(&self, file: Vec<u8>, what: &str, tally: &mut Tally) {
        match over(&Disk::new(file), self.kind) {
            Ok(store) => {
                assert!(holds(&store, &self.contents).unwrap(), "{}: other contents: {what}", self.kind.name);
                tally.right += 1;
            }
            Err(OpenError::Damaged { damage: Damage::Corrupt { .. }, .. }) => tally.refused += 1,
            Err(error) => panic!("{}: {what}: {error:?}", self.kind.name),
        }
    }
}

#[expect(clippy::print_stdout, reason = "the tally is what is asked for")]
fn told(tally: &impl fmt::Debug) {
    println!("{tally:?}");
}

/// Damages every kind of sound file in many ways each, and gives what became of them.
fn damaged(way: impl Fn(&mut Sound, &mut Vec<u8>) -> String) -> Tally {
    let mut tally = Tally::default();
    for kind in [AGENT, HUB] {
        for mut sound in Sound::both(kind) {
            for _ in 0..wanted() / SHARE {
                let mut bad = sound.file.clone();
                let what = way(&mut sound, &mut bad);
                sound.judge(bad, &what, &mut tally);
            }
        }
    }
    told(&tally);
    tally
}

#[test]
fn a_flipped_bit_of_the_header_is_harmless_or_damage() {
    let mut tally = Tally::default();
    for kind in [AGENT, HUB] {
        for sound in Sound::both(kind) {
            let step = (HEADER * 8 * SHARE / wanted()).max(1);
            for bit in (0..HEADER * 8).step_by(step).filter(|bit| *bit != NEWEST) {
                let mut bad = sound.file.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                sound.judge(bad, &format!("bit {bit} of the header"), &mut tally);
            }
        }
    }
    told(&tally);
}

/// The storage keeps its two newest transactions, and one bit, under no checksum, says which is the newer. After a kill the
/// other one is whole as well: this rollback by one transaction is for the agent's anchor, and for what agents tell the
/// hub, to notice, as that of a whole file is.
#[test]
fn the_bit_that_says_which_transaction_is_newest_gives_the_one_before_and_nothing_else() {
    for kind in [AGENT, HUB] {
        let [mut closed, mut killed] = Sound::both(kind);
        closed.file[NEWEST / 8] ^= 1 << (NEWEST % 8);
        closed.judge(closed.file.clone(), "the newest", &mut Tally::default());
        killed.file[NEWEST / 8] ^= 1 << (NEWEST % 8);
        let store = over(&Disk::new(killed.file), kind).unwrap();
        assert_eq!(store.revision(), 31);
        assert!(holds(&store, &killed.before).unwrap());
    }
}

#[test]
fn a_flipped_bit_of_any_page_is_harmless_or_damage() {
    let tally = damaged(|sound, bad| {
        let (at, bit) = (sound.used(), sound.below(8));
        bad[at] ^= 1 << bit;
        format!("bit {bit} of byte {at}")
    });
    assert!(tally.refused > tally.right / 8, "{tally:?}");
}

#[test]
fn a_sector_of_zeros_or_noise_is_harmless_or_damage() {
    let tally = damaged(|sound, bad| {
        let (from, noise) = (sound.used() / SECTOR * SECTOR, sound.below(2) == 0);
        let sector = &mut bad[from..from + SECTOR];
        sector.fill(0);
        if noise {
            sound.entropy.fill(sector);
        }
        format!("sector at {from}, noise {noise}")
    });
    assert!(tally.refused > tally.right / 8, "{tally:?}");
}

#[test]
fn a_sector_from_elsewhere_or_from_before_is_harmless_or_damage() {
    let tally = damaged(|sound, bad| {
        let to = sound.used() / SECTOR * SECTOR;
        let before = sound.below(2) == 0 && to + SECTOR <= sound.older.len();
        let from = if before { to } else { sound.used() / SECTOR * SECTOR };
        let source = if before { &sound.older } else { &sound.file };
        bad[to..to + SECTOR].copy_from_slice(&source[from..from + SECTOR]);
        format!("sector at {from} of before {before} at {to}")
    });
    assert!(tally.refused > tally.right / 8, "{tally:?}");
}

#[test]
fn a_file_of_another_length_is_harmless_or_damage() {
    damaged(|sound, bad| {
        let len = 1 + sound.below(bad.len() * 5 / 4);
        bad.resize(len, 0);
        format!("length {len} of {}", sound.file.len())
    });
}

#[test]
fn a_file_without_bytes_or_of_zeros_is_no_new_store() {
    for kind in [AGENT, HUB] {
        let none = over(&Disk::new(Vec::new()), kind).unwrap_err();
        assert_eq!(none.damage(), Some(&Damage::Empty));
        for len in [1, 8, 9, 320, 4096, 1 << 20] {
            let zeros = over(&Disk::new(vec![0; len]), kind).unwrap_err();
            assert!(matches!(zeros.damage(), Some(Damage::Corrupt { .. })), "{zeros:?}");
        }
    }
}

#[test]
fn the_other_daemons_store_is_foreign() {
    for (kind, of) in [(AGENT, HUB), (HUB, AGENT)] {
        let error = over(&Disk::new(file(&mut Work::new(of), 8)), kind).unwrap_err();
        let expected = Damage::Foreign { expected: kind.name.to_owned(), found: of.name.to_owned() };
        assert_eq!(error.damage(), Some(&expected));
    }
}

/// Opening verifies everything; later, every value that is read is checked with its key. That a key is absent is not: a
/// key that was damaged on the disk since the start is told at the next one.
#[test]
fn a_bit_that_flips_under_an_open_store_gives_no_other_value() {
    let (mut right, mut refused, mut absent) = (0, 0, 0);
    for kind in [AGENT, HUB] {
        let [mut sound, _] = Sound::both(kind);
        for _ in 0..wanted() / SHARE {
            let disk = Disk::new(sound.file.clone());
            let spec = StoreSpec { cache_size: 0, ..kind.spec() };
            let store = open::open_over(disk.clone(), Path::new(kind.name), &spec).unwrap();
            disk.flip(sound.used() * 8 + sound.below(8));
            for (table, rows) in &sound.contents {
                for (key, value) in rows {
                    match store.get(table, key) {
                        Ok(Some(found)) => {
                            assert_eq!(&found, value);
                            right += 1;
                        }
                        Ok(None) => absent += 1,
                        Err(
                            StoreFailure::Corrupt { .. }
                            | StoreFailure::Poisoned
                            | StoreFailure::Storage { .. },
                        ) => refused += 1,
                        Err(failure) => panic!("{failure:?}"),
                    }
                }
                for (key, value) in store.scan(table).unwrap_or_default() {
                    assert_eq!(rows.get(&key), Some(&value));
                }
            }
        }
    }
    told(&format!("{right} values right, {refused} refused, {absent} seemed absent"));
    assert!(right > 0, "nothing was read");
}
