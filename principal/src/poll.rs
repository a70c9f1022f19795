//! When a source is looked at again.

use std::time::Duration;

use argosy_core::backoff::Backoff;
use argosy_core::time::{Entropy as _, millis};
use argosy_runtime::entropy::SystemEntropy;

/// Longest pause after failures.
const LONGEST: Duration = Duration::from_mins(1);
/// Shortest longest pause after failures: a source that is back is noticed soon.
const SHORTEST: Duration = Duration::from_secs(5);

/// Pauses between looks at one source: the interval give or take a tenth, longer while it fails.
#[derive(Debug)]
pub(crate) struct Pauses {
    interval: Duration,
    failing: Backoff,
}

// === impl Pauses ===

impl Pauses {
    pub(crate) fn new(interval: Duration) -> Self {
        let longest = interval.saturating_mul(10).clamp(SHORTEST, LONGEST).max(interval);
        Self { interval, failing: Backoff::new(interval.max(Duration::from_millis(200)), longest) }
    }

    /// Gives the pause after a look that went well.
    pub(crate) fn after_success(&mut self) -> Duration {
        self.failing.reset();
        let interval = millis(self.interval);
        let tenth = interval / 10;
        Duration::from_millis(interval - tenth + SystemEntropy.below(2 * tenth + 1))
    }

    /// Gives the pause after a look that failed: full jitter, and never none at all.
    pub(crate) fn after_failure(&mut self) -> Duration {
        self.failing.next_delay(&mut SystemEntropy).max(Duration::from_millis(50))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_near_the_interval_and_grow_only_with_failures() {
        let mut pauses = Pauses::new(Duration::from_millis(100));
        for _ in 0..100 {
            let pause = pauses.after_success();
            assert!((90..=110).contains(&pause.as_millis()), "{pause:?}");
            assert!(pauses.after_failure() <= Duration::from_secs(5));
        }
    }
}
