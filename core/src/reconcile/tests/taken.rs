//! Incarnations that were taken (M17) before an apply of them was answered.

use super::*;

/// Somebody made an object anew; nobody tracks it.
fn recreate(bench: &mut Bench, name: &str, tracking: Tracking) {
    bench.version += 1;
    let live = LiveMeta { tracking, ..foreign(&config(name), "theirs", bench.version) };
    bench.objects.insert(config(name), live.clone());
    bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    bench.settle();
}

fn refuse_applies(request: &Request) -> Option<ApiError> {
    matches!(request, Request::Apply { .. }).then(|| ApiError::Refused("a webhook says no".to_owned()))
}

fn lose_applies(request: &Request) -> Option<ApiError> {
    matches!(request, Request::Apply { .. }).then(|| ApiError::Unreachable("no answer".to_owned()))
}

#[test]
fn an_incarnation_whose_first_apply_is_refused_is_not_in_sync() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.fails = Some(refuse_applies);
    recreate(&mut bench, "a", Tracking::None);
    assert_eq!(bench.status("web").sync, SyncStatus::OutOfSync);
    bench.sync("web", false);
    assert_eq!(
        bench.status("web").sync,
        SyncStatus::OutOfSync,
        "a sync that does nothing does not change that"
    );
    bench.fails = None;
    bench.pass(600_000);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    let adopted = bench.events.iter().filter(|event| event.reason == "Adopted").count();
    assert_eq!(adopted, 1, "{:?}", bench.events);
}

#[test]
fn what_another_tool_claimed_before_the_first_apply_was_answered_is_not_taken_from_it() {
    for restarts in [false, true] {
        let mut bench = Bench::new();
        bench.assign("web", &[("a", 1)]);
        bench.fails = Some(lose_applies);
        recreate(&mut bench, "a", Tracking::None);
        bench.fails = None;
        let before = bench.writes.len();
        bench.version += 1;
        let version = bench.version;
        let live = bench.objects.get_mut(&config("a")).unwrap();
        live.tracking = Tracking::Other("Helm release shop/web".to_owned());
        live.resource_version = version;
        let live = live.clone();
        if restarts {
            bench.restart();
        } else {
            bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
        }
        bench.pass(600_000);
        assert_eq!(bench.writes[before..], [], "restarts={restarts}");
        let status = bench.status("web");
        assert_eq!(status.sync, SyncStatus::OutOfSync);
        assert!(status.resources[0].message.contains("Helm release shop/web"), "{status:?}");
    }
}

#[test]
fn what_another_tool_claims_after_an_apply_was_answered_is_put_back() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    let mut live = bench.objects[&config("a")].clone();
    bench.version += 1;
    live.tracking = Tracking::Other("Helm release shop/web".to_owned());
    live.resource_version = bench.version;
    live.fingerprint = Some(Digest::of(b"robbed"));
    bench.objects.insert(config("a"), live.clone());
    bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    bench.settle();
    assert!(matches!(bench.objects[&config("a")].tracking, Tracking::Ours { .. }));
}

/// Drifts `a`, carries out the apply that heals it, lets the watch tell what happened next, and only then answers.
fn overtake(after: impl FnOnce(&mut Bench) -> WatchEvent) -> Bench {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.version += 1;
    let version = bench.version;
    let live = bench.objects.get_mut(&config("a")).unwrap();
    live.resource_version = version;
    live.fingerprint = Some(Digest::of(b"robbed"));
    let live = live.clone();
    let kind = live.key.group_kind();
    bench.reconciler.watched(&kind, WatchEvent::Seen(live), now(bench.now));
    let output = bench.reconciler.turn(&bench.store, now(bench.now)).unwrap();
    bench.store.commit(&output.ops);
    let [(id, apply)] = <[_; 1]>::try_from(output.requests).unwrap();
    let answer = bench.carry_out(apply);
    let event = after(&mut bench);
    bench.reconciler.watched(&kind, event, now(bench.now));
    bench.reconciler.answered(id, answer, now(bench.now), &mut Dice(2));
    bench.pass(600_000);
    bench
}

#[test]
fn a_deletion_that_overtakes_the_answer_of_an_apply_is_not_missed() {
    let bench = overtake(|bench| {
        bench.objects.remove(&config("a"));
        WatchEvent::Gone(config("a"))
    });
    assert!(bench.objects.contains_key(&config("a")), "it is made again");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_change_that_overtakes_the_answer_of_an_apply_is_not_missed() {
    let robbed = Some(Digest::of(b"robbed again"));
    let bench = overtake(|bench| {
        bench.version += 1;
        let version = bench.version;
        let live = bench.objects.get_mut(&config("a")).unwrap();
        live.resource_version = version;
        live.fingerprint = robbed;
        WatchEvent::Seen(live.clone())
    });
    assert_ne!(bench.objects[&config("a")].fingerprint, robbed, "it is put back");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn what_may_have_arrived_is_never_put_back_to_what_was_before_it() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    let old = bench.objects[&config("a")].fingerprint;
    bench.loses_answers = true;
    bench.assign("web", &[("a", 2)]);
    let new = bench.objects[&config("a")].fingerprint;
    assert_ne!(old, new);
    bench.loses_answers = false;
    bench.fails = Some(refuse_applies);
    bench.restart();
    bench.pass(240_000);
    bench.fails = None;
    bench.pass(600_000);
    let olds = bench
        .writes
        .iter()
        .filter(|write| matches!(write, Request::Apply { manifest, .. } if Some(*manifest) == old));
    assert_eq!((olds.count(), bench.objects[&config("a")].fingerprint), (1, new), "{:?}", bench.writes);
}
