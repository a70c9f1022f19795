//! Durations as Go writes them.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
const MILLISECOND: u128 = 1_000_000;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration above zero, like 30m or 1h30m")]
pub struct SpanError(String);

/// A duration above zero, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Span {
    #[n(0)]
    text: String,
    #[n(1)]
    millis: i64,
}

impl Span {
    /// Gives it as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Gives it in milliseconds.
    pub fn millis(&self) -> i64 {
        self.millis
    }
}

impl std::str::FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let millis =
            nanos(text).map(|nanos| nanos / MILLISECOND).and_then(|millis| i64::try_from(millis).ok());
        match millis.filter(|millis| *millis > 0) {
            Some(millis) => Ok(Self { text: text.to_owned(), millis }),
            None => Err(SpanError(text.to_owned())),
        }
    }
}

/// Adds up numbers with units, each with a fraction or without.
fn nanos(text: &str) -> Option<u128> {
    let mut rest = text;
    let mut sum: u128 = 0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?)?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        sum = sum.checked_add(whole.checked_mul(*unit)?)?;
        let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 18)?;
        if digits > 0 {
            let part: u128 = fraction.parse().ok()?;
            sum = sum.checked_add(part.checked_mul(*unit)? / 10_u128.checked_pow(digits)?)?;
        }
        rest = tail;
    }
    Some(sum)
}
