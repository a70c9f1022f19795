//! Schedules of five fields, as robfig/cron reads them for Argo CD: minute, hour, day of the month, month, weekday.
//!
//! Points in time are milliseconds of a clock on a wall: since 1970, in whatever zone the reader lives. Only whole
//! minutes are ever met.

#[cfg(test)]
pub(crate) mod tests;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 1_440;
/// So far is looked for the next point: a 29 February may be eight years away.
const HORIZON_DAYS: i64 = 366 * 9;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error(
        "has {0} fields instead of 5: minute, hour, day of the month, month, weekday; or one of @yearly, @monthly, \
         @weekly, @daily, @hourly"
    )]
    Fields(usize),
    /// A field that cannot be read.
    #[error("{field} {text:?}: {why}")]
    Field {
        /// Which of the five.
        field: &'static str,
        /// What it says.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A zone within the schedule.
    #[error("names a time zone: say it by timeZone")]
    Zone,
    /// A form that begins with `@`.
    #[error("{0:?} is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly")]
    Descriptor(String),
    /// A day that no calendar has.
    #[error("never comes: no month has such a day")]
    Never,
}

/// A schedule: the minutes at which something begins.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Schedule {
    /// As it was written.
    #[n(0)]
    text: String,
    /// Bit n: minute n.
    #[n(1)]
    minutes: u64,
    /// Bit n: hour n.
    #[n(2)]
    hours: u32,
    /// Bit n: day n of the month.
    #[n(3)]
    days: u32,
    /// Bit n: month n.
    #[n(4)]
    months: u16,
    /// Bit n: weekday n, Sunday is 0.
    #[n(5)]
    weekdays: u8,
    /// Both the day of the month and the weekday have to match, as one of them is any; else one of them does.
    #[n(6)]
    both_days: bool,
}

/// What a field may say.
struct Bounds {
    name: &'static str,
    least: u32,
    most: u32,
    words: &'static [&'static str],
}

const MINUTE: Bounds = Bounds { name: "minute", least: 0, most: 59, words: &[] };
const HOUR: Bounds = Bounds { name: "hour", least: 0, most: 23, words: &[] };
const DAY: Bounds = Bounds { name: "day of the month", least: 1, most: 31, words: &[] };
const MONTH: Bounds = Bounds { name: "month", least: 1, most: 12, words: &MONTHS };
const WEEKDAY: Bounds = Bounds { name: "weekday", least: 0, most: 6, words: &WEEKDAYS };

// === impl Schedule ===

impl Schedule {
    /// Gives it as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Gives the first point after `at`; absent when none comes within nine years.
    pub fn next_after(&self, at: i64) -> Option<i64> {
        let first = at.div_euclid(MINUTE_MS).saturating_add(1);
        let (day, minute) = (first.div_euclid(DAY_MINUTES), first.rem_euclid(DAY_MINUTES));
        (day..day.saturating_add(HORIZON_DAYS)).filter(|of| self.is_on(*of)).find_map(|of| {
            let from = if of == day { minute } else { 0 };
            Some(at_ms(of, self.first_minute(from)?))
        })
    }

    /// Gives the last point before `at` that is after `since`.
    pub fn last_between(&self, since: i64, at: i64) -> Option<i64> {
        let last = at.saturating_sub(1).div_euclid(MINUTE_MS);
        let (day, minute) = (last.div_euclid(DAY_MINUTES), last.rem_euclid(DAY_MINUTES));
        let first = since.div_euclid(MINUTE_MS).div_euclid(DAY_MINUTES).max(day.saturating_sub(HORIZON_DAYS));
        let found = (first..=day).rev().filter(|of| self.is_on(*of)).find_map(|of| {
            let until = if of == day { minute } else { DAY_MINUTES - 1 };
            Some(at_ms(of, self.last_minute(until)?))
        });
        found.filter(|found| *found > since)
    }

    /// Tells whether it has points on a day, counted from 1970.
    fn is_on(&self, day: i64) -> bool {
        let (month, of_month) = month_and_day(day);
        // 1970 began on a Thursday.
        let weekday = (day + 4).rem_euclid(7);
        let by_month = (self.days >> of_month) & 1 == 1;
        let by_week = (self.weekdays >> weekday) & 1 == 1;
        let on = if self.both_days { by_month && by_week } else { by_month || by_week };
        on && (self.months >> month) & 1 == 1
    }

    /// Gives its first minute of a day from this one on.
    fn first_minute(&self, from: i64) -> Option<i64> {
        (from / 60..24).filter(|hour| (self.hours >> hour) & 1 == 1).find_map(|hour| {
            let least = if hour == from / 60 { from % 60 } else { 0 };
            let minutes = (self.minutes >> least) << least;
            (minutes != 0).then(|| hour * 60 + i64::from(minutes.trailing_zeros()))
        })
    }

    /// Gives its last minute of a day up to this one.
    fn last_minute(&self, until: i64) -> Option<i64> {
        (0..=until / 60).rev().filter(|hour| (self.hours >> hour) & 1 == 1).find_map(|hour| {
            let most = if hour == until / 60 { until % 60 } else { 59 };
            let minutes = self.minutes & (u64::MAX >> (63 - most));
            (minutes != 0).then(|| hour * 60 + i64::from(minutes.ilog2()))
        })
    }
}

impl std::str::FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            return Err(ScheduleError::Zone);
        }
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other if other.starts_with('@') => return Err(ScheduleError::Descriptor(other.to_owned())),
            other => other,
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(ScheduleError::Fields(fields.len()));
        };
        let (days, any_day) = DAY.read(day)?;
        let (weekdays, any_weekday) = WEEKDAY.read(weekday)?;
        let narrow = |bits: u64| u32::try_from(bits).unwrap_or_default();
        let schedule = Self {
            text: text.to_owned(),
            minutes: MINUTE.read(minute)?.0,
            hours: narrow(HOUR.read(hour)?.0),
            days: narrow(days),
            months: u16::try_from(MONTH.read(month)?.0).unwrap_or_default(),
            weekdays: u8::try_from(weekdays).unwrap_or_default(),
            both_days: any_day || any_weekday,
        };
        if schedule.next_after(0).is_none() {
            return Err(ScheduleError::Never);
        }
        Ok(schedule)
    }
}

// === impl Bounds ===

impl Bounds {
    /// Reads a field: its bits, and whether it says "any".
    fn read(&self, text: &str) -> Result<(u64, bool), ScheduleError> {
        let wrong = |why: &'static str| ScheduleError::Field { field: self.name, text: text.to_owned(), why };
        let mut bits = 0;
        let mut any = false;
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (of, all) = self.part(part).map_err(wrong)?;
            bits |= of;
            any |= all;
        }
        if bits == 0 { Err(wrong("says nothing")) } else { Ok((bits, any)) }
    }

    /// Reads one element of a list: `*`, `?`, a value, a range, each with a step or without. A step above one makes "any"
    /// to something that says more.
    fn part(&self, text: &str) -> Result<(u64, bool), &'static str> {
        let (range, step) = match text.split_once('/') {
            None => (text, None),
            Some((_, step)) if step.contains('/') => return Err("has two steps"),
            Some((range, step)) => (range, Some(step.parse::<u32>().map_err(|_not| "a step is a number")?)),
        };
        let whole = matches!(range, "*" | "?");
        let (from, to) = if whole {
            (self.least, self.most)
        } else {
            match range.split_once('-') {
                Some((_, to)) if to.contains('-') => return Err("is no range: it has two hyphens"),
                Some((from, to)) => (self.value(from)?, self.value(to)?),
                // From there to the end, in steps.
                None if step.is_some() => (self.value(range)?, self.most),
                None => (self.value(range)?, self.value(range)?),
            }
        };
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err("a step of 0 leads nowhere");
        }
        if from < self.least || to > self.most {
            return Err("is out of its range");
        }
        if from > to {
            return Err("a range that runs backwards");
        }
        let bits = (from..=to).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        Ok((bits.fold(0, |bits, bit| bits | (1 << bit)), whole && step == 1))
    }

    fn value(&self, text: &str) -> Result<u32, &'static str> {
        let lower = text.to_lowercase();
        if let Some(index) = self.words.iter().position(|word| *word == lower) {
            return Ok(u32::try_from(index).unwrap_or_default().saturating_add(self.least));
        }
        text.parse().map_err(|_not| "is neither a number nor a name of its kind")
    }
}

fn at_ms(day: i64, minute: i64) -> i64 {
    day.saturating_mul(DAY_MINUTES).saturating_add(minute).saturating_mul(MINUTE_MS)
}

/// Gives month and day of the month of a day counted from 1970, in the Gregorian calendar. Years are counted from 1 March
/// of the year 0, so that the leap day ends them.
fn month_and_day(day: i64) -> (i64, i64) {
    let of_era = day.saturating_add(719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    (if from_march < 10 { from_march + 3 } else { from_march - 9 }, of_month)
}
