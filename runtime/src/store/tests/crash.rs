//! A loss of power at every point: any part of what was not synced arrives, torn between sectors, and the store that is
//! opened afterwards holds exactly what a transaction left: the last that was answered, or the one under way.
//!
//! `ARGOSY_CRASH_STATES` says how many states are tried of each store; `make crash-states` tries 50,000.

use std::collections::VecDeque;

use super::disk::{Disk, Epoch, Told};
use super::work::{AGENT, Contents, HUB, Kind, Work, apply, file, holds};
use super::*;

/// How many states are tried in every test run.
const FEW: usize = 160;
/// Every so many states, the store that was found goes on.
const GOES_ON: usize = 16;
/// Every so many states, the power fails once more while the store is opened.
const FAILS_AGAIN: usize = 16;

/// What a store did over some lives of its daemon.
struct Recording {
    kind: Kind,
    /// What was on the disk before.
    base: Vec<u8>,
    trace: Vec<Told>,
    /// Transactions that were begun and answered before that place in the trace, by it.
    begun: Vec<usize>,
    answered: Vec<usize>,
    /// What the store held after each transaction, from the one that `base` holds.
    contents: Vec<Contents>,
    first: u64,
}

/// What became of the states that were tried.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    /// Opened with what was answered last.
    last: usize,
    /// Opened with what was under way.
    under_way: usize,
    /// Opened with what was answered earlier: only by a disk that lied.
    earlier: usize,
    /// Refused as damaged.
    refused: usize,
    /// Went on with further transactions.
    went_on: usize,
    /// Opened after the power failed again.
    failed_again: usize,
}

// === impl Recording ===

impl Recording {
    /// Records three lives: one that ends in order, one that is killed, and one more.
    fn of(kind: Kind) -> Self {
        let mut work = Work::new(kind);
        let before = 24;
        let base = file(&mut work, before);
        let mut disk = Disk::recording(base.clone());
        let (mut begun, mut answered, mut contents) = (Vec::new(), Vec::new(), vec![work.contents.clone()]);
        for life in 0..3 {
            let store = over(&disk, kind).unwrap();
            for _ in 0..14 {
                begun.push(disk.told());
                store.commit(&work.next()).unwrap();
                answered.push(disk.told());
                contents.push(work.contents.clone());
            }
            assert_eq!(store.revision(), (before + answered.len()) as u64);
            if life == 1 {
                disk = disk.cut();
            }
            shut(&store);
        }
        Self { kind, base, trace: disk.trace(), begun, answered, contents, first: before as u64 }
    }

    /// Tries `wanted` states of a disk that forgets nothing it synced, or else everything but the `lies` last times.
    fn enumerate(&self, wanted: usize, lies: usize) -> Tally {
        let mut epochs = Epoch::all(&self.trace);
        let starts: Vec<usize> = epochs.iter().map(|epoch| epoch.range.start).collect();
        for at in (0..epochs.len()).rev() {
            epochs[at] = epochs[at].from(starts[at.saturating_sub(lies)], &self.trace);
        }
        let (mut tally, mut entropy) = (Tally::default(), Repeatable::default());
        let mut disks = VecDeque::from([self.base.clone()]);
        for (at, (epoch, share)) in epochs.iter().zip(shares(&epochs, wanted)).enumerate() {
            for arrived in epoch.states(share, &mut entropy) {
                let left = epoch.left(&disks[0], &self.trace, &arrived);
                self.look(left, epoch, &arrived, lies, &mut tally);
            }
            // What this epoch adds to what is durable, for the epochs that start at its end.
            let whole = &Epoch::all(&self.trace)[at];
            let all = vec![true; whole.units()];
            let next = whole.left(&disks[disks.len() - 1], &self.trace, &all);
            disks.push_back(next);
            if disks.len() > lies + 1 {
                disks.pop_front();
            }
        }
        tally
    }

    /// Opens what is left, and holds it against what may be there.
    fn look(&self, left: Vec<u8>, epoch: &Epoch, arrived: &[bool], lies: usize, tally: &mut Tally) {
        let until = epoch.range.end;
        let state = || format!("{}, told {:?}, arrived {arrived:?}", self.kind.name, epoch.range);
        let answered = self.answered.iter().filter(|at| **at <= until).count();
        let begun = self.begun.iter().filter(|at| **at <= until).count();
        let again = tally.sum() % FAILS_AGAIN == FAILS_AGAIN / 2;
        let disk = if again { Disk::recording(left.clone()) } else { Disk::new(left.clone()) };
        let store = match over(&disk, self.kind) {
            Ok(store) => store,
            Err(OpenError::Damaged { damage: Damage::Corrupt { what }, .. }) => {
                assert!(lies > 0, "refused: {what}: {}", state());
                tally.refused += 1;
                return;
            }
            Err(error) => panic!("{error:?}: {}", state()),
        };
        let found = usize::try_from(store.revision() - self.first).unwrap();
        assert!(found <= begun, "transaction {found} of {begun}: {}", state());
        assert!(lies > 0 || found >= answered, "transaction {found} of {answered}: {}", state());
        let mut contents = self.contents[found].clone();
        assert!(holds(&store, &contents).unwrap(), "not what transaction {found} left: {}", state());
        match found.cmp(&answered) {
            std::cmp::Ordering::Less => tally.earlier += 1,
            std::cmp::Ordering::Equal => tally.last += 1,
            std::cmp::Ordering::Greater => tally.under_way += 1,
        }
        if tally.sum().is_multiple_of(GOES_ON) {
            let op = put(self.kind.tables[0], "further", vec![7; 3000]);
            store.commit(std::slice::from_ref(&op)).unwrap();
            apply(&mut contents, &op);
            shut(&store);
            let store = over(&disk, self.kind).unwrap_or_else(|error| panic!("{error:?}: {}", state()));
            assert!(holds(&store, &contents).unwrap(), "it does not go on: {}", state());
            tally.went_on += 1;
        } else if again {
            let trace = disk.trace();
            shut(&store);
            let mut entropy = Repeatable(tally.sum() as u64);
            let mut before = left;
            for epoch in Epoch::all(&trace) {
                if let Some(arrived) = epoch.states(1 + epoch.capacity().min(8), &mut entropy).get(1) {
                    let store = over(&Disk::new(epoch.left(&before, &trace, arrived)), self.kind)
                        .unwrap_or_else(|error| panic!("{error:?}, the power failed again: {}", state()));
                    assert!(holds(&store, &contents).unwrap(), "the power failed again: {}", state());
                    tally.failed_again += 1;
                }
                before = epoch.left(&before, &trace, &vec![true; epoch.units()]);
            }
        }
    }
}

// === impl Tally ===

impl Tally {
    fn sum(&self) -> usize {
        self.last + self.under_way + self.earlier + self.refused
    }
}

pub(super) fn over(disk: &Disk, kind: Kind) -> Result<Store, OpenError> {
    open::open_over(disk.clone(), Path::new(kind.name), &kind.spec())
}

/// Closes a store over a disk in memory.
pub(super) fn shut(store: &Store) {
    store.inner.database.write().take().unwrap().close().unwrap();
}

/// Shares `wanted` among the epochs, as evenly as their numbers of states allow.
fn shares(epochs: &[Epoch], wanted: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..epochs.len()).collect();
    order.sort_by_key(|at| epochs[*at].capacity());
    let (mut shares, mut remaining) = (vec![0; epochs.len()], wanted);
    for (done, at) in order.into_iter().enumerate() {
        shares[at] = epochs[at].capacity().min(remaining.div_ceil(epochs.len() - done)).min(remaining);
        remaining -= shares[at];
    }
    assert_eq!(remaining, 0, "there are not so many states");
    shares
}

/// Gives how many states are tried.
pub(super) fn wanted() -> usize {
    std::env::var("ARGOSY_CRASH_STATES").map_or(FEW, |number| number.parse().unwrap())
}

/// Tries both what a loss of power leaves of an honest disk, and a fifth as much of disks that lie about their syncs.
#[expect(clippy::print_stdout, reason = "the tally is what is asked for")]
fn tried(kind: Kind) {
    let recording = Recording::of(kind);
    let (epochs, told) = (Epoch::all(&recording.trace).len(), recording.trace.len());
    let honest = recording.enumerate(wanted(), 0);
    println!("{}: {told} things told in {epochs} epochs: {honest:?}", kind.name);
    assert_eq!((honest.last + honest.under_way, honest.earlier, honest.refused), (wanted(), 0, 0));
    let lying = recording.enumerate(wanted() / 5, 3);
    println!("{}: a disk that lies: {lying:?}", kind.name);
    assert_eq!(lying.sum(), wanted() / 5);
}

#[test]
fn a_loss_of_power_leaves_an_agents_store_at_a_transaction_that_was_answered_or_under_way() {
    tried(AGENT);
}

#[test]
fn a_loss_of_power_leaves_a_hubs_store_at_a_transaction_that_was_answered_or_under_way() {
    tried(HUB);
}
