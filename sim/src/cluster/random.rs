//! Randomness from a seed.

/// A generator (`splitmix64`): equal seeds give equal clusters.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

/// The letters of generated names: none that make words.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

// === impl Random ===

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Gives a number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// Gives a UUID of version 4.
    pub(crate) fn uid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48) & 0x3fff,
            low & 0xffff_ffff_ffff
        )
    }

    /// Gives the end of a generated name.
    pub(crate) fn suffix(&mut self, length: usize) -> String {
        let mut letter = || {
            let at = usize::try_from(self.below(LETTERS.len() as u64)).unwrap_or_default();
            LETTERS.get(at).copied().map_or('x', char::from)
        };
        (0..length).map(|_| letter()).collect()
    }
}
