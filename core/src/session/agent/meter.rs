//! Credit: how much bulk may be on its way to this agent (M11).

use crate::session::frame::{CHUNK, UNASKED};
use crate::time::Now;

/// Most bytes that may be on their way, however fast the link.
const MOST: u64 = 1 << 20;
/// A measurement takes at least this many milliseconds.
const SAMPLE_MS: u64 = 250;
/// The credit is what the link carries in this many seconds.
const SECONDS: u64 = 2;

/// The credit of one session, and the rate that it follows.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    outstanding: u64,
    window: u64,
    sample: Option<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    since: u64,
    bytes: u64,
}

impl Meter {
    /// Begins with the credit that a hub has unasked.
    pub(crate) fn new() -> Self {
        Self { outstanding: UNASKED, window: UNASKED, sample: None }
    }

    /// Takes the bytes of a chunk off the credit; `false` when the hub sent more than it was granted.
    pub(crate) fn received(&mut self, now: Now, bytes: usize, more_to_come: bool) -> bool {
        let bytes = bytes as u64;
        let Some(left) = self.outstanding.checked_sub(bytes) else { return false };
        self.outstanding = left;
        self.measure(now.ms(), bytes);
        if !more_to_come {
            self.sample = None;
        }
        true
    }

    /// Gives what to grant now: nothing while more than half of the credit is outstanding.
    pub(crate) fn grant(&mut self) -> Option<u64> {
        if self.outstanding > self.window / 2 {
            return None;
        }
        let grant = self.window.saturating_sub(self.outstanding);
        self.outstanding = self.window;
        Some(grant)
    }

    fn measure(&mut self, now: u64, bytes: u64) {
        let Some(sample) = &mut self.sample else {
            // What the first chunk took to arrive is not known; the measurement begins with it.
            self.sample = Some(Sample { since: now, bytes: 0 });
            return;
        };
        sample.bytes = sample.bytes.saturating_add(bytes);
        let elapsed = now.saturating_sub(sample.since);
        if elapsed >= SAMPLE_MS {
            let rate = sample.bytes.saturating_mul(1000) / elapsed;
            self.window = rate.saturating_mul(SECONDS).clamp(CHUNK as u64, MOST);
            self.sample = Some(Sample { since: now, bytes: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::fixture::at;

    #[test]
    fn credit_follows_the_rate_between_one_chunk_and_a_mebibyte() {
        for (rate, expected) in [(1 << 10, 16 << 10), (64 << 10, 128 << 10), (100 << 20, 1 << 20)] {
            let mut meter = Meter::new();
            let mut granted = UNASKED;
            let mut now = 0u64;
            for _ in 0..2_000 {
                now += ((CHUNK as u64) * 1000).div_ceil(rate).max(1);
                assert!(meter.received(at(now), CHUNK, true));
                granted -= CHUNK as u64;
                granted += meter.grant().unwrap_or(0);
            }
            assert!(granted <= expected + expected / 8, "{rate}: {granted}");
            assert!(granted * 3 >= expected, "{rate}: {granted}");
        }
    }

    #[test]
    fn a_hub_that_sends_more_than_its_credit_is_found_out() {
        let mut meter = Meter::new();
        assert!(meter.received(at(0), 64 << 10, false));
        assert!(!meter.received(at(0), 1, false));
    }
}
