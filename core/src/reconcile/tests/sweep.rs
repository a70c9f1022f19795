//! The slow sweep: values that differ though the metadata tell of no change.

use super::*;

const HOUR: u64 = 3_600_000;

/// Somebody writes to an object, and takes none of our fields.
fn touch(bench: &mut Bench, name: &str) {
    bench.version += 1;
    let version = bench.version;
    let live = bench.objects.get_mut(&config(name)).unwrap();
    live.resource_version = version;
    let live = live.clone();
    bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    bench.settle();
}

#[test]
fn an_object_that_nobody_wrote_to_costs_no_request_and_one_that_was_is_looked_at_once() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    let (writes, reads) = (bench.writes.len(), bench.reads);
    bench.pass(3 * HOUR);
    assert_eq!(bench.reads, reads);
    bench.compares.insert("a", None);
    touch(&mut bench, "a");
    bench.pass(3 * HOUR);
    bench.restart();
    bench.pass(3 * HOUR);
    assert_eq!((bench.writes.len(), bench.reads), (writes, reads + 1));
    touch(&mut bench, "a");
    bench.pass(HOUR);
    assert_eq!((bench.writes.len(), bench.reads), (writes, reads + 2), "it was written to again");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn values_that_differ_are_put_back_or_shown() {
    for heals in [true, false] {
        let mut bench = Bench::new();
        bench.assign("web", &[("a", 1)]);
        bench.change("web", |assignment| {
            assignment.policy.automated.as_mut().unwrap().self_heal = heals;
        });
        bench.compares.insert("a", Some(String::new()));
        let writes = bench.writes.len();
        touch(&mut bench, "a");
        bench.pass(60_000);
        assert_eq!(
            (bench.writes.len(), bench.status("web").sync),
            (writes, SyncStatus::Synced),
            "it is slow"
        );
        bench.pass(HOUR);
        assert!(bench.events.iter().any(|event| event.reason == "Drifted"), "{:?}", bench.events);
        if heals {
            assert_eq!((bench.writes.len(), bench.status("web").sync), (writes + 1, SyncStatus::Synced));
        } else {
            bench.restart();
            bench.pass(60_000);
            assert_eq!((bench.writes.len(), bench.status("web").sync), (writes, SyncStatus::OutOfSync));
            bench.sync("web", false);
            assert_eq!(bench.status("web").sync, SyncStatus::Synced);
        }
    }
}

#[test]
fn what_cannot_be_told_is_left_to_the_next_sweep() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    let (writes, reads) = (bench.writes.len(), bench.reads);
    bench.compares.insert("a", Some("the webhook refuses trials".to_owned()));
    touch(&mut bench, "a");
    bench.pass(2 * HOUR);
    assert_eq!((bench.writes.len(), bench.status("web").sync), (writes, SyncStatus::Synced));
    assert!(bench.reads > reads + 1, "it is asked again");
    bench.fail = Some(ApiError::Unreachable("cut".to_owned()));
    bench.pass(HOUR);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn one_object_follows_the_other_slowly() {
    let mut bench = Bench::new();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    bench.assign("web", &names.map(|name| (name, 1)));
    let reads = bench.reads;
    for name in names {
        bench.compares.insert(name, None);
        touch(&mut bench, name);
    }
    let mut most = 0;
    for _ in 0..240 {
        let before = bench.reads;
        bench.pass(30_000);
        most = most.max(bench.reads - before);
    }
    assert_eq!((bench.reads, most), (reads + names.len(), 1));
}
