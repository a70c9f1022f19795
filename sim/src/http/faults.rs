//! The temper of a server: slow answers and refused requests, drawn from a seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::cluster::{Details, Status};

/// How much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Temper {
    /// The longest time that a request waits before it is looked at; each waits a random part of it.
    pub slow: Duration,
    /// How many of a hundred requests are refused with 429, 500 or 503.
    pub fail: u8,
    /// Where the randomness comes from.
    pub seed: u64,
}

/// Draws what happens to each request.
#[derive(Debug)]
pub(crate) struct Faults {
    temper: Temper,
    drawn: AtomicU64,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) wait: Duration,
    pub(crate) refusal: Option<Status>,
}

// === impl Faults ===

impl Faults {
    pub(crate) fn new(temper: Temper) -> Self {
        Self { temper, drawn: AtomicU64::new(0) }
    }

    /// Draws the next request's fate.
    pub(crate) fn draw(&self) -> Fate {
        if self.temper.slow.is_zero() && self.temper.fail == 0 {
            return Fate { wait: Duration::ZERO, refusal: None };
        }
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let random = mix(self.temper.seed ^ mix(number));
        let micros = u64::try_from(self.temper.slow.as_micros()).unwrap_or(u64::MAX);
        let wait = Duration::from_micros(random.checked_rem(micros.saturating_add(1)).unwrap_or(0));
        let other = mix(random);
        let refused = other % 100 < u64::from(self.temper.fail);
        Fate { wait, refusal: refused.then(|| refusal(mix(other))) }
    }
}

fn refusal(random: u64) -> Status {
    let mut details = Details::default();
    let mut status = match random % 3 {
        0 => {
            let message = "the server has received too many requests and has asked us to try again later";
            details.retry_after_seconds = 1;
            Status::new(429, "TooManyRequests", message)
        }
        1 => Status::new(500, "InternalError", "Internal error occurred: etcdserver: request timed out"),
        _ => Status::new(503, "ServiceUnavailable", "the server is currently unable to handle the request"),
    };
    status.details = Some(Box::new(details));
    status
}

/// Spreads a number over all bits (the finalizer of `SplitMix64`).
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_requests_is_refused_and_the_same_ones_each_time() {
        let temper = Temper { slow: Duration::from_millis(5), fail: 20, seed: 7 };
        let draw = |faults: &Faults| (0..1000).map(|_| faults.draw()).collect::<Vec<_>>();
        let (first, second) = (draw(&Faults::new(temper)), draw(&Faults::new(temper)));
        assert_eq!(first, second);
        let refused = first.iter().filter(|fate| fate.refusal.is_some()).count();
        assert!((150..250).contains(&refused), "{refused}");
        assert!(first.iter().all(|fate| fate.wait <= temper.slow));
        let codes: std::collections::BTreeSet<u16> =
            first.iter().filter_map(|fate| fate.refusal.as_ref()).map(|status| status.code).collect();
        assert_eq!(codes.into_iter().collect::<Vec<_>>(), [429, 500, 503]);
    }

    #[test]
    fn without_temper_nothing_happens() {
        assert_eq!(Faults::new(Temper::default()).draw(), Fate { wait: Duration::ZERO, refusal: None });
    }
}
