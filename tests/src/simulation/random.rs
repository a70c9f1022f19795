//! Randomness from the seed: `SplitMix64`, so that a seed means the same run on every machine.

use argosy_core::time::Entropy;

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Gives a number below `bound`; 0 when `bound` is 0.
    pub(super) fn under(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// Gives a number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.under(high.saturating_sub(low) + 1)
    }

    /// Is true in so many of a hundred cases.
    pub(super) fn percent(&mut self, of_hundred: u64) -> bool {
        self.under(100) < of_hundred
    }

    /// Picks one element.
    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let index = usize::try_from(self.under(from.len() as u64)).unwrap_or(0);
        from.get(index).cloned()
    }

    /// Picks an index below `len`.
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.under(len as u64)).unwrap_or(0)
    }

    /// Begins a stream of its own.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}

/// Randomness for each concern of a world: what one of them draws changes nothing for the others.
#[derive(Debug, Clone)]
pub(super) struct Chances {
    /// What a run is made of.
    pub(super) plan: Random,
    /// What people commit.
    pub(super) commits: Random,
    /// What operators do.
    pub(super) people: Random,
    /// What other writers do.
    pub(super) foreign: Random,
    /// How long faults last, and what they hit.
    pub(super) faults: Random,
    /// How long frames take.
    pub(super) links: Random,
    /// What API servers do, and when.
    pub(super) api: Random,
    /// How long processes take, and what they draw themselves.
    pub(super) shells: Random,
}

impl Chances {
    pub(super) fn new(seed: u64) -> Self {
        let mut of = Random::new(seed);
        Self {
            plan: of.fork(),
            commits: of.fork(),
            people: of.fork(),
            foreign: of.fork(),
            faults: of.fork(),
            links: of.fork(),
            api: of.fork(),
            shells: of.fork(),
        }
    }
}

impl Entropy for Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *byte = random;
            }
        }
    }
}
