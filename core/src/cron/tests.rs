use proptest::prelude::*;

use super::*;

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap()
}

/// Milliseconds of a point on the wall.
fn at(text: &str) -> i64 {
    let time: jiff::civil::DateTime = text.parse().unwrap();
    time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond()
}

#[track_caller]
fn expect_next(text: &str, from: &str, next: &str) {
    let found = schedule(text).next_after(at(from)).unwrap();
    assert_eq!(found, at(next), "{text} after {from}: {}", jiff::Timestamp::from_millisecond(found).unwrap());
}

#[test]
fn every_form_of_a_field_is_read() {
    for (text, from, next) in [
        ("* * * * *", "2026-07-09T14:45", "2026-07-09T14:46"),
        ("? ? ? ? ?", "2026-07-09T14:45", "2026-07-09T14:46"),
        ("0/15 * * * *", "2026-07-09T14:45", "2026-07-09T15:00"),
        ("*/15 * * * *", "2026-07-09T14:45", "2026-07-09T15:00"),
        ("20-35/15 * * * *", "2026-07-09T14:45", "2026-07-09T15:20"),
        ("20-35/15 * * * *", "2026-07-09T14:20", "2026-07-09T14:35"),
        ("5,10,50 * * * *", "2026-07-09T14:45", "2026-07-09T14:50"),
        (",5,,10 * * * *", "2026-07-09T14:45", "2026-07-09T15:05"),
        ("0 22 * * *", "2026-07-09T14:45", "2026-07-09T22:00"),
        ("0 22 * * mon-FRI", "2026-07-10T22:00", "2026-07-13T22:00"),
        ("0 0 * Feb Sun", "2026-07-09T14:45", "2027-02-07T00:00"),
        ("30 08 ? Jun Sun", "2026-06-15T00:00", "2026-06-21T08:30"),
        ("0 0 29 2 ?", "2026-07-09T14:45", "2028-02-29T00:00"),
        ("0 0 31 * *", "2026-07-31T00:00", "2026-08-31T00:00"),
        ("59 23 31 12 *", "2026-12-31T23:59", "2027-12-31T23:59"),
        ("@hourly", "2026-07-09T14:45", "2026-07-09T15:00"),
        ("@daily", "2026-07-09T14:45", "2026-07-10T00:00"),
        ("@midnight", "2026-07-09T14:45", "2026-07-10T00:00"),
        ("@weekly", "2026-07-09T14:45", "2026-07-12T00:00"),
        ("@monthly", "2026-07-09T14:45", "2026-08-01T00:00"),
        ("@yearly", "2026-07-09T14:45", "2027-01-01T00:00"),
        ("@annually", "2026-07-09T14:45", "2027-01-01T00:00"),
    ] {
        expect_next(text, from, next);
    }
}

#[test]
fn a_point_is_after_the_time_that_is_asked_for_also_by_less_than_a_minute() {
    let daily = schedule("0 22 * * *");
    let ten = at("2026-07-09T22:00");
    assert_eq!(daily.next_after(ten - 1), Some(ten));
    assert_eq!(daily.next_after(ten), Some(ten + 86_400_000));
    assert_eq!(daily.last_between(0, ten + 1), Some(ten));
    assert_eq!(daily.last_between(0, ten), Some(ten - 86_400_000));
    assert_eq!(daily.last_between(ten, ten + 3_600_000), None);
    assert_eq!(daily.next_after(-1), Some(79_200_000));
}

#[test]
fn days_of_month_and_week_are_either_unless_one_of_them_is_any() {
    // Both are restricted: whichever comes first.
    expect_next("0 0 1,15 * Sun", "2026-07-09T00:00", "2026-07-12T00:00");
    expect_next("0 0 1,15 * Sun", "2026-07-12T00:00", "2026-07-15T00:00");
    expect_next("0 0 * * Sun", "2026-07-09T00:00", "2026-07-12T00:00");
    expect_next("0 0 1,15 * *", "2026-07-09T00:00", "2026-07-15T00:00");
    // A step above one is no "any" more.
    expect_next("0 0 */10 * Sun", "2026-07-09T00:00", "2026-07-11T00:00");
    expect_next("0 0 */10 * Sun", "2026-07-11T00:00", "2026-07-12T00:00");
}

#[test]
fn what_is_no_schedule_is_refused_by_its_field() {
    for (text, why) in [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("0 * * * * *", "has 6 fields"),
        ("60 * * * *", "minute \"60\": is out of its range"),
        ("* 24 * * *", "hour \"24\": is out of its range"),
        ("* * 0 * *", "day of the month \"0\": is out of its range"),
        ("* * 32 * *", "is out of its range"),
        ("* * * 13 *", "month \"13\": is out of its range"),
        ("* * * 0 *", "is out of its range"),
        ("* * * * 7", "weekday \"7\": is out of its range"),
        ("* * * * Sund", "neither a number nor a name"),
        ("* * * mon *", "neither a number nor a name"),
        ("5-2 * * * *", "runs backwards"),
        ("1-2-3 * * * *", "two hyphens"),
        ("*/0 * * * *", "a step of 0"),
        ("*/x * * * *", "a step is a number"),
        ("*/2/3 * * * *", "two steps"),
        ("-1 * * * *", "neither a number nor a name"),
        ("*-5 * * * *", "neither a number nor a name"),
        (", * * * *", "says nothing"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 ?", "never comes"),
        ("@every 1h", "is none of @yearly"),
        ("@Daily", "is none of @yearly"),
        ("TZ=UTC 0 0 * * *", "by timeZone"),
        ("CRON_TZ=UTC 0 0 * * *", "by timeZone"),
    ] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    let mut date = jiff::civil::date(1950, 1, 1);
    let mut day = -7_305;
    while date.year() < 2110 {
        let expected = (i64::from(date.month()), i64::from(date.day()));
        assert_eq!(month_and_day(day), expected, "{date}");
        (date, day) = (date.tomorrow().unwrap(), day + 1);
    }
}

fn field(least: u32, most: u32) -> impl Strategy<Value = String> {
    let value = least..=most;
    let range = (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let part = prop_oneof![
        2 => Just("*".to_owned()),
        3 => value.prop_map(|value| value.to_string()),
        2 => range.clone(),
        1 => (range, 1_u32..6).prop_map(|(range, step)| format!("{range}/{step}")),
        1 => (1_u32..20).prop_map(|step| format!("*/{step}")),
    ];
    prop::collection::vec(part, 1..3).prop_map(|parts| parts.join(","))
}

prop_compose! {
    pub(crate) fn schedules()(
        minute in field(0, 59), hour in field(0, 23), day in field(1, 31), month in field(1, 12), weekday in field(0, 6)
    ) -> Option<Schedule> {
        format!("{minute} {hour} {day} {month} {weekday}").parse().ok()
    }
}

proptest! {
    #[test]
    fn the_next_point_is_the_first_that_the_last_one_of_finds(
        schedule in schedules(), at in 0_i64..4_000_000_000_000
    ) {
        let Some(schedule) = schedule else { return Ok(()) };
        if let Some(next) = schedule.next_after(at) {
            prop_assert!(next > at && next % MINUTE_MS == 0);
            prop_assert_eq!(schedule.last_between(at, next + 1), Some(next));
            prop_assert_eq!(schedule.last_between(at, next), None);
        }
    }
}
