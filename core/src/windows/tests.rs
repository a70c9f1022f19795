use proptest::prelude::*;

use super::*;
use crate::cron::tests::schedules;

/// A point in time; by the UTC unless it says an offset.
fn at(text: &str) -> WallTime {
    let text = if text.ends_with('Z') { text.to_owned() } else { format!("{text}:00Z") };
    WallTime(text.parse::<Timestamp>().unwrap().as_millisecond())
}

fn window(kind: WindowKind, schedule: &str, duration: &str) -> SyncWindow {
    SyncWindow {
        kind,
        schedule: schedule.parse().unwrap(),
        duration: duration.parse().unwrap(),
        zone: "".parse().unwrap(),
        manual: false,
        overrun: false,
        applications: vec!["*".to_owned()],
        namespaces: Vec::new(),
        clusters: Vec::new(),
        all: false,
        description: String::new(),
    }
}

fn allow(schedule: &str, duration: &str) -> SyncWindow {
    window(WindowKind::Allow, schedule, duration)
}

fn deny(schedule: &str, duration: &str) -> SyncWindow {
    window(WindowKind::Deny, schedule, duration)
}

fn manual(of: SyncWindow) -> SyncWindow {
    SyncWindow { manual: true, ..of }
}

fn overrun(of: SyncWindow) -> SyncWindow {
    SyncWindow { overrun: true, ..of }
}

fn zoned(zone: &str, of: SyncWindow) -> SyncWindow {
    SyncWindow { zone: zone.parse().unwrap(), ..of }
}

/// A deny window that is active at noon, and one that is not.
const NOW: &str = "2026-07-09T12:00";
const ACTIVE: &str = "0 11 * * *";
const INACTIVE: &str = "0 13 * * *";

fn says(windows: &[SyncWindow]) -> &'static str {
    Windows::of(windows).words(at(NOW))
}

#[test]
fn denials_go_before_permissions_and_permissions_before_what_nobody_says() {
    for (windows, expected) in [
        (vec![], "Sync Allowed"),
        (vec![deny(INACTIVE, "2h")], "Sync Allowed"),
        (vec![deny(ACTIVE, "2h")], "Sync Denied"),
        (vec![allow(ACTIVE, "2h")], "Sync Allowed"),
        (vec![allow(INACTIVE, "2h")], "Sync Denied"),
        (vec![allow(ACTIVE, "2h"), allow(INACTIVE, "2h")], "Sync Allowed"),
        (vec![allow(ACTIVE, "2h"), deny(ACTIVE, "2h")], "Sync Denied"),
        (vec![allow(ACTIVE, "2h"), deny(INACTIVE, "2h")], "Sync Allowed"),
        (vec![allow(INACTIVE, "2h"), deny(INACTIVE, "2h")], "Sync Denied"),
        // A sync that is asked for goes through if every window in its way says so.
        (vec![manual(deny(ACTIVE, "2h"))], "Manual Allowed"),
        (vec![manual(deny(ACTIVE, "2h")), deny(ACTIVE, "3h")], "Sync Denied"),
        (vec![manual(deny(ACTIVE, "2h")), deny(INACTIVE, "2h")], "Manual Allowed"),
        (vec![manual(allow(INACTIVE, "2h"))], "Manual Allowed"),
        (vec![manual(allow(INACTIVE, "2h")), allow(INACTIVE, "3h")], "Sync Denied"),
        // Windows that deny are looked at alone, as in Argo CD.
        (vec![manual(deny(ACTIVE, "2h")), allow(INACTIVE, "2h")], "Manual Allowed"),
    ] {
        assert_eq!(says(&windows), expected, "{windows:?}");
    }
}

#[test]
fn the_windows_in_the_way_are_named() {
    let windows =
        [deny(ACTIVE, "2h"), zoned("Europe/Berlin", deny("0 13 * * *", "90m")), allow(ACTIVE, "1m")];
    let passage = Windows::of(&windows).passage(Some(at(NOW)), Asked::ByPolicy, None);
    let named = [
        "deny \"0 11 * * *\" for 2h (UTC)".to_owned(),
        "deny \"0 13 * * *\" for 90m (Europe/Berlin)".to_owned(),
    ];
    assert_eq!(passage, Passage::Blocked(named.to_vec()));
    assert_eq!(windows[0].summary(), "deny:0 11 * * *:2h");
}

#[test]
fn a_window_is_active_after_its_beginning_and_until_its_end() {
    let windows = Windows::of(&[allow("0 22 * * *", "1h")]);
    let open = |ms: i64| windows.passage(Some(WallTime(ms)), Asked::ByPolicy, None).is_open();
    let (begins, ends) = (at("2026-07-09T22:00").0, at("2026-07-09T23:00").0);
    assert!(!open(begins), "as in Argo CD, the moment of its beginning is none of its");
    assert!(open(begins + 1) && open(ends - 1));
    assert!(!open(ends));
}

#[test]
fn the_outlook_says_until_when_and_when_to_look_again() {
    let windows =
        Windows::of(&[deny("0 11 * * *", "2h"), deny("0 12 * * *", "3h"), allow("0 15 * * *", "1h")]);
    let outlook = windows.outlook(Some(at(NOW)));
    assert!(!outlook.automated.is_open());
    assert_eq!(
        outlook.until,
        Some(WallTime(at("2026-07-09T15:00").0 + 1)),
        "denials end as the permission begins"
    );
    assert_eq!(outlook.next, Some(WallTime(at(NOW).0 + 1)), "one of them begins now");
    let open = windows.outlook(outlook.until);
    assert!(open.automated.is_open());
    assert_eq!(open.until, Some(at("2026-07-09T16:00")));
    let always = Windows::of(&[deny("* * * * *", "1h")]).outlook(Some(at(NOW)));
    assert!(!always.automated.is_open());
    assert_eq!(always.until, None, "nobody looks further than some days");
    assert_eq!(Windows::default().outlook(Some(at(NOW))), Outlook::default());
}

#[test]
fn without_a_time_or_a_zone_every_window_counts_as_closed() {
    for windows in [vec![allow(ACTIVE, "2h")], vec![deny(INACTIVE, "2h")]] {
        let windows = Windows::of(&windows);
        assert!(!windows.passage(None, Asked::ByPolicy, None).is_open(), "{windows:?}");
        assert!(windows.outlook(None).next.is_none());
    }
    assert!(Windows::default().passage(None, Asked::ByPolicy, None).is_open());
    let asked = Windows::of(&[manual(allow(ACTIVE, "2h"))]).passage(None, Asked::ByOperator, None);
    assert!(asked.is_open(), "what lets every manual sync through needs no clock");
    // Another version may know a zone that this one does not.
    let zone: ZoneName = minicbor::decode(&crate::store::encode(&"Mars/Olympus".to_owned())).unwrap();
    let strange = Windows::of(&[SyncWindow { zone, ..allow(ACTIVE, "2h") }]);
    assert!(!strange.passage(Some(at(NOW)), Asked::ByPolicy, None).is_open());
}

#[test]
fn a_sync_that_began_in_time_overruns_where_all_windows_in_its_way_let_it() {
    let (noon, before) = (Some(at(NOW)), Some(at("2026-07-09T10:59")));
    let runs = |windows: &[SyncWindow], began: Option<WallTime>| {
        Windows::of(windows).passage(noon, Asked::ByPolicy, began).is_open()
    };
    let over = overrun(deny(ACTIVE, "2h"));
    assert!(!runs(&[deny(ACTIVE, "2h")], before));
    assert!(runs(std::slice::from_ref(&over), before));
    assert!(
        !runs(std::slice::from_ref(&over), Some(at("2026-07-09T11:30"))),
        "it was not permitted at its beginning"
    );
    assert!(!runs(std::slice::from_ref(&over), None), "nobody knows when it began");
    assert!(!runs(&[over.clone(), deny(ACTIVE, "3h")], before), "all of them have to let it");
    assert!(runs(&[over.clone(), deny(INACTIVE, "3h")], before));
    let ended = overrun(allow("0 10 * * *", "90m"));
    assert!(runs(std::slice::from_ref(&ended), before));
    assert!(!runs(&[allow("0 10 * * *", "90m")], before));
    assert!(!runs(&[over.clone(), allow("0 10 * * *", "90m")], before), "it left the permission, too");
    assert!(runs(&[over, ended], before));
}

#[test]
fn a_windows_zone_counts_with_its_present_offset_also_when_clocks_change() {
    let berlin = |of: SyncWindow| Windows::of(&[zoned("Europe/Berlin", of)]);
    let open =
        |windows: &Windows, text: &str| windows.passage(Some(at(text)), Asked::ByPolicy, None).is_open();
    let nightly = berlin(allow("0 22 * * *", "1h"));
    assert!(
        open(&nightly, "2026-01-15T21:30") && !open(&nightly, "2026-01-15T20:30"),
        "winter: an hour ahead"
    );
    assert!(open(&nightly, "2026-07-15T20:30") && !open(&nightly, "2026-07-15T21:30"), "summer: two hours");
    // Spring: 02:00 becomes 03:00 at 01:00 UTC. By the new offset it began an hour earlier, and ends so.
    let spring = berlin(allow("0 1 * * *", "3h"));
    assert!(open(&spring, "2026-03-29T00:30"));
    assert_eq!(spring.outlook(Some(at("2026-03-29T00:30"))).next, Some(at("2026-03-29T01:00")));
    assert!(open(&spring, "2026-03-29T01:59") && !open(&spring, "2026-03-29T02:00"));
    // One that would begin within the hour that is left out begins at once.
    let lost = berlin(allow("30 2 * * *", "1h"));
    assert!(!open(&lost, "2026-03-29T00:59"));
    assert!(open(&lost, "2026-03-29T01:00") && !open(&lost, "2026-03-29T01:30"));
    // Autumn: 03:00 becomes 02:00 at 01:00 UTC. The hour comes twice, and so does its window.
    let autumn = berlin(allow("15 2 * * *", "30m"));
    for (time, expected) in [
        ("2026-10-25T00:10", false),
        ("2026-10-25T00:30", true),
        ("2026-10-25T00:50", false),
        ("2026-10-25T01:10", false),
        ("2026-10-25T01:30", true),
        ("2026-10-25T01:50", false),
    ] {
        assert_eq!(open(&autumn, time), expected, "{time}");
    }
}

#[test]
fn durations_are_read_as_go_writes_them() {
    for (text, expected) in [
        ("1h", Some(3_600_000)),
        ("1h30m", Some(5_400_000)),
        ("1.5h", Some(5_400_000)),
        (".5m", Some(30_000)),
        ("1.m", Some(60_000)),
        ("90s", Some(90_000)),
        ("1500ms", Some(1_500)),
        ("2000000us", Some(2_000)),
        ("2000µs", Some(2)),
        ("1h1m1s", Some(3_661_000)),
        ("999999h", Some(3_599_996_400_000)),
        ("", None),
        ("0", None),
        ("0s", None),
        ("1ns", None),
        ("5", None),
        ("h", None),
        (".h", None),
        ("1d", None),
        ("-1h", None),
        ("1h 30m", None),
        ("1.2.3h", None),
        ("99999999999999999999999999999999999999h", None),
    ] {
        assert_eq!(text.parse::<Span>().ok().map(|span| span.millis()), expected, "{text}");
    }
}

#[test]
fn zones_are_those_of_the_database_and_no_others() {
    for name in ["", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"] {
        assert!(name.parse::<ZoneName>().is_ok(), "{name}");
    }
    for name in ["Local", "europe/berlin", "Mars/Olympus", "CET+1", "+02:00"] {
        let error = name.parse::<ZoneName>().unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

/// What "active" means, by looking at every minute there is.
fn naive(window: &SyncWindow, at: WallTime) -> bool {
    let zone = window.zone.find().unwrap();
    let local =
        |at: i64| at + i64::from(zone.to_offset(Timestamp::from_millisecond(at).unwrap()).seconds()) * 1_000;
    let now = local(at.0);
    let mut minute = (now - window.duration.millis()).div_euclid(60_000) * 60_000;
    while minute < now {
        let begins = window.schedule.last_between(minute - 1, minute + 1).is_some();
        if begins && minute > now - window.duration.millis() {
            return true;
        }
        minute += 60_000;
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn a_window_is_active_as_minute_by_minute_and_its_next_change_is_its_first(
        schedule in schedules(),
        minutes in 1_u32..3_000,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        // Two years, with the changes of clocks in them.
        time in 1_767_225_600_000_i64..1_830_297_600_000,
    ) {
        let Some(schedule) = schedule else { return Ok(()) };
        let duration = format!("{minutes}m").parse().unwrap();
        let window = SyncWindow { schedule, duration, ..zoned(zone, allow("* * * * *", "1m")) };
        let windows = Windows::of(std::slice::from_ref(&window));
        let open = |at: WallTime| windows.passage(Some(at), Asked::ByPolicy, None).is_open();
        let at = WallTime(time);
        prop_assert_eq!(open(at), naive(&window, at));
        if let Some(next) = windows.outlook(Some(at)).next {
            prop_assert!(next > at);
            for part in 1..64 {
                let between = WallTime(at.0 + (next.0 - 1 - at.0) * part / 64);
                prop_assert_eq!(open(between), open(at), "between {:?} and {:?}", at, next);
            }
            prop_assert_eq!(open(WallTime(next.0 - 1)), open(at));
        }
    }
}

#[test]
fn windows_of_two_parties_both_have_to_let_a_sync_through() {
    let passage = |theirs: &[SyncWindow], own: &[SyncWindow], asked| {
        Windows::of(theirs).and(own, " of the edge").passage(Some(at(NOW)), asked, None)
    };
    // One open permission opens nothing of the other party's.
    let closed = passage(&[allow(ACTIVE, "2h")], &[allow(INACTIVE, "2h")], Asked::ByPolicy);
    assert_eq!(closed, Passage::Blocked(vec!["allow \"0 13 * * *\" for 2h (UTC) of the edge".to_owned()]));
    assert!(passage(&[allow(ACTIVE, "2h")], &[allow(ACTIVE, "3h")], Asked::ByPolicy).is_open());
    let both = passage(&[manual(deny(ACTIVE, "2h"))], &[deny(ACTIVE, "2h")], Asked::ByOperator);
    assert_eq!(both, Passage::Blocked(vec!["deny \"0 11 * * *\" for 2h (UTC) of the edge".to_owned()]));
    let both = passage(&[deny(ACTIVE, "2h")], &[deny(ACTIVE, "2h")], Asked::ByPolicy);
    let Passage::Blocked(named) = both else { panic!("{both:?}") };
    assert_eq!(named.len(), 2);
    let windows = Windows::of(&[deny(ACTIVE, "2h")]).and(&[deny("0 10 * * *", "5h")], "");
    assert_eq!(windows.outlook(Some(at(NOW))).until, Some(at("2026-07-09T15:00")));
}
