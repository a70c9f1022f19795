//! Statuses of large apps: what they state is bounded, and what they leave out is counted.

use super::*;
use crate::session::agent::STATUS_LIMIT;
use crate::store;

const OBJECTS: u32 = 600;

fn names() -> Vec<String> {
    (0..OBJECTS).map(|number| format!("{}-{number}", "x".repeat(200))).collect()
}

fn large(bench: &mut Bench, value: u32) {
    let names = names();
    let objects: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), value)).collect();
    bench.assign("web", &objects);
}

#[test]
fn a_plan_of_many_deletes_is_told_in_part_and_confirmed_as_a_whole() {
    let mut bench = Bench::new();
    large(&mut bench, 1);
    bench.assign("web", &[]);
    bench.pass(1_000);
    let status = bench.status("web").clone();
    let held = status.held.clone().unwrap();
    assert_eq!(held.count(), u64::from(OBJECTS));
    assert!(held.deletes.len() < 600);
    let bytes = status.to_bytes(STATUS_LIMIT);
    assert_eq!(store::decode::<AppStatus>("", &bytes).unwrap(), status, "it is told as it is");
    bench.reconciler.confirm(&app("web"), held.plan).unwrap();
    bench.settle();
    assert!(bench.objects.is_empty());
}

#[test]
fn a_sync_that_fails_in_every_object_with_many_words_fits_into_its_status() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| {
        matches!(request, Request::Apply { .. }).then(|| ApiError::Refused("because ".repeat(10_000)))
    });
    large(&mut bench, 1);
    bench.pass(1_000);
    let status = bench.status("web").clone();
    assert_eq!(status.counts.out_of_sync, u64::from(OBJECTS));
    let bytes = status.to_bytes(STATUS_LIMIT);
    assert_eq!(store::decode::<AppStatus>("", &bytes).unwrap(), status, "it is told as it is");
}

#[test]
fn a_status_beyond_the_limit_gives_way_to_one_that_says_so() {
    let mut bench = Bench::new();
    bench.fails =
        Some(|request| matches!(request, Request::Apply { .. }).then(|| ApiError::Refused("no".to_owned())));
    large(&mut bench, 1);
    bench.pass(1_000);
    let status = bench.status("web").clone();
    let short: AppStatus = store::decode("", &status.to_bytes(10_000)).unwrap();
    assert_eq!((short.sync, short.counts, short.observed), (status.sync, status.counts, status.observed));
    assert_eq!(short.conditions[0].kind, "StatusTooLarge");
    assert!(short.resources.is_empty());
}
