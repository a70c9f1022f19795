//! Moments as the caller tells them: a cluster has no clock.

use std::time::Duration;

/// A moment, in microseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

const SECOND: i64 = 1_000_000;

// === impl Time ===

impl Time {
    /// Gives the moment a span later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Writes it as the API server does most times: RFC 3339 in whole seconds.
    pub fn seconds(self) -> String {
        let (days, rest) = (self.0.div_euclid(86_400 * SECOND), self.0.rem_euclid(86_400 * SECOND) / SECOND);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// Writes it with its microseconds, as fields of the type `MicroTime` have it.
    pub fn micros(self) -> String {
        let whole = self.seconds();
        let seconds = whole.strip_suffix('Z').unwrap_or(&whole);
        format!("{seconds}.{:06}Z", self.0.rem_euclid(SECOND))
    }

    /// Reads what [`Time::seconds`] or [`Time::micros`] wrote, or any other RFC 3339 text.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
        let marks = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
        if !marks.iter().all(|(at, mark)| text.get(*at..at + 1) == Some(*mark))
            || !matches!(text.get(10..11), Some("T" | "t"))
        {
            return None;
        }
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        let days = days_from_civil(year, month, day);
        if civil(days) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut rest = text.get(19..)?;
        let mut fraction = 0;
        if let Some(digits) = rest.strip_prefix('.') {
            let length = digits.find(|c: char| !c.is_ascii_digit())?;
            let (digits, zone) = digits.split_at(length);
            let padded = format!("{digits:0<6}");
            fraction = padded.get(..6)?.parse().ok()?;
            rest = zone;
        }
        let offset = offset(rest)?;
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
        Some(Self(seconds * SECOND + fraction))
    }
}

/// Reads the zone at the end of a time, in seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (zone.len() == 6).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Gives year, month and day of a number of days since the epoch, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_as_rfc_3339() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696_000_000, "2000-02-29T12:34:56Z"),
            (-1_000_000, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(Time(micros).seconds(), text);
            assert_eq!(Time::parse(text), Some(Time(micros)));
        }
        assert_eq!(Time(1_500_000).micros(), "1970-01-01T00:00:01.500000Z");
        assert_eq!(Time::parse("1970-01-01T01:00:01.5+01:00"), Some(Time(1_500_000)));
        assert_eq!(Time::parse("1970-02-30T00:00:00Z"), None);
        assert_eq!(Time::parse("yesterday"), None);
    }
}
