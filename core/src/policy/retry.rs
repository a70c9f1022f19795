//! How a failed sync is tried again.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Retries of a failed sync (Argo CD: `spec.syncPolicy.retry`, and `app sync --retry-limit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Retry {
    /// How many times; below zero: without end.
    #[n(0)]
    pub limit: i64,
    /// First delay in milliseconds.
    #[n(1)]
    pub delay_ms: u64,
    /// What each further delay is multiplied by.
    #[n(2)]
    pub factor: u32,
    /// Longest delay in milliseconds.
    #[n(3)]
    pub max_delay_ms: u64,
    /// A sync that was asked for is tried again with the newest release instead of its own; one that is automated always is.
    #[n(4)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default)]
    pub refresh: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self { limit: 5, delay_ms: 5_000, factor: 2, max_delay_ms: 180_000, refresh: false }
    }
}

impl Retry {
    /// Whatever is stated, so long is waited: nothing is tried without a pause.
    const SHORTEST_MS: u64 = 1_000;
    /// Longest delay that may be stated, in milliseconds: a day.
    pub const LONGEST_MS: u64 = 24 * 3600 * 1000;
    /// Largest factor that may be stated; the smallest is 1.
    pub const MOST: u32 = 100;

    /// Gives how long is waited before the next try, in milliseconds, after so many that were tries again; absent if there is
    /// to be none.
    pub fn delay_after(&self, tries: u64) -> Option<u64> {
        let left = self.limit < 0 || i64::try_from(tries).is_ok_and(|tries| tries < self.limit);
        // Argo CD counts the try before it works the wait out: 10 s, 20 s, 40 s by default.
        let exponent = u32::try_from(tries.saturating_add(1)).unwrap_or(u32::MAX).min(32);
        let factor = u64::from(self.factor.max(1)).saturating_pow(exponent);
        left.then(|| self.delay_ms.saturating_mul(factor).min(self.max_delay_ms).max(Self::SHORTEST_MS))
    }

    /// Reads a delay in Go's form (`1m30s`), or as a number of seconds; none is above [`Self::LONGEST_MS`].
    pub fn read_delay(text: &str) -> Option<u64> {
        read_millis(text).filter(|millis| *millis <= Self::LONGEST_MS)
    }

    /// Reads a factor, from 1 to [`Self::MOST`].
    pub fn read_factor(factor: i64) -> Option<u32> {
        u32::try_from(factor).ok().filter(|factor| (1..=Self::MOST).contains(factor))
    }
}

fn read_millis(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u64>().ok()?.checked_mul(1000);
    }
    let mut rest = text;
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit())?;
        let (digits, tail) = rest.split_at_checked(end)?;
        let number: u64 = digits.parse().ok()?;
        let (unit, tail) = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)]
            .iter()
            .find_map(|(name, unit)| tail.strip_prefix(name).map(|tail| (*unit, tail)))?;
        millis = millis.checked_add(number.checked_mul(unit)?)?;
        rest = tail;
    }
    Some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_read_as_go_writes_them() {
        for (text, expected) in [
            ("5s", Some(5_000)),
            ("1m30s", Some(90_000)),
            ("250ms", Some(250)),
            ("1h", Some(3_600_000)),
            ("7", Some(7_000)),
            ("5", Some(5_000)),
            ("24h", Some(Retry::LONGEST_MS)),
            ("24h1s", None),
            ("s", None),
            ("5x", None),
            ("-5s", None),
            ("5s3", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(Retry::read_delay(text), expected, "{text}");
        }
    }

    #[test]
    fn each_delay_is_longer_by_the_factor_up_to_the_longest() {
        let retry = Retry { limit: 4, delay_ms: 1_000, factor: 3, max_delay_ms: 10_000, refresh: false };
        let delays: Vec<Option<u64>> = (0..5).map(|tries| retry.delay_after(tries)).collect();
        assert_eq!(delays, [Some(3_000), Some(9_000), Some(10_000), Some(10_000), None]);
        let at_once = Retry { delay_ms: 0, ..retry };
        assert_eq!(at_once.delay_after(0), Some(1_000), "never without a pause");
        assert_eq!(Retry { limit: 0, ..retry }.delay_after(0), None);
        assert_eq!(Retry { limit: -1, ..retry }.delay_after(u64::MAX), Some(10_000), "without end");
    }

    #[test]
    fn what_came_later_changes_no_bytes_of_what_was_there() {
        let (plain, refreshed) = (Retry::default(), Retry { refresh: true, ..Retry::default() });
        let bytes = crate::store::encode(&plain);
        assert_eq!(bytes.first(), Some(&0x84), "four fields, as ever");
        assert_eq!(crate::store::encode(&refreshed).first(), Some(&0x85));
        for retry in [plain, refreshed] {
            assert_eq!(minicbor::decode::<Retry>(&crate::store::encode(&retry)).unwrap(), retry);
        }
    }
}
