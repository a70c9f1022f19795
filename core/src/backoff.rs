//! How long to wait before trying again: a growing ceiling, and under it a delay drawn evenly from all of it.
//!
//! The ceiling comes from the crate that the workspace calls `backoff`; the jitter comes from [`Entropy`], so that a
//! simulation replays every delay from its seed.

use std::time::Duration;

use backoff::{BackoffBuilder as _, ExponentialBuilder};

use crate::time::{Entropy, millis};

/// Beyond this many attempts no ceiling grows any more.
const ATTEMPTS_COUNTED: u32 = 32;

/// Delays of one thing that is tried again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Backoff {
    /// Makes delays below `first`, then below twice as much, and never above `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempts: 0 }
    }

    /// Gives the next delay: full jitter, from nothing up to the ceiling.
    pub fn next_delay(&mut self, entropy: &mut dyn Entropy) -> Duration {
        let ceiling = self.ceiling();
        self.attempts = self.attempts.saturating_add(1).min(ATTEMPTS_COUNTED);
        Duration::from_millis(entropy.below(millis(ceiling).saturating_add(1)))
    }

    /// Gives what the next delay is at most.
    pub fn ceiling(&self) -> Duration {
        let mut ceilings = ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_factor(2.0)
            .without_max_times()
            .build();
        let attempts = usize::try_from(self.attempts).unwrap_or(usize::MAX);
        ceilings.nth(attempts).unwrap_or(self.longest).min(self.longest)
    }

    /// Begins again with the shortest delay.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Goes to the longest delay at once: for a refusal that no quick retry changes.
    pub fn saturate(&mut self) {
        self.attempts = ATTEMPTS_COUNTED;
    }

    /// Gives how many delays were drawn since the last reset.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Highest;

    impl Entropy for Highest {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(0);
        }

        fn below(&mut self, bound: u64) -> u64 {
            bound.saturating_sub(1)
        }
    }

    #[test]
    fn ceilings_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
        let delays: Vec<u64> = (0..7).map(|_| millis(backoff.next_delay(&mut Highest))).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        backoff.reset();
        assert_eq!(backoff.ceiling(), Duration::from_millis(500));
        backoff.saturate();
        assert_eq!(backoff.ceiling(), Duration::from_secs(15));
    }
}
