//! Heals: when they are a fight, and when they only fail.

use super::*;

fn count(bench: &Bench, reason: &str) -> usize {
    bench.events.iter().filter(|event| event.reason == reason).count()
}

fn no_applies(error: ApiError, request: &Request) -> Option<ApiError> {
    matches!(request, Request::Apply { .. }).then_some(error)
}

/// Fails the heals of a change for five minutes, then lets one through.
fn fail_heals(fails: fn(&Request) -> Option<ApiError>) -> Bench {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.fails = Some(fails);
    bench.meddle("a");
    bench.pass(300_000);
    assert_eq!((count(&bench, "Fight"), count(&bench, "Healed")), (0, 0));
    bench
}

#[test]
fn heals_that_the_api_server_puts_off_are_no_fight_and_say_why() {
    let mut bench = fail_heals(|request| {
        let error = ApiError::Unavailable { message: "too many requests".to_owned(), retry_after: None };
        no_applies(error, request)
    });
    let row = &bench.status("web").resources[0];
    assert!(row.message.contains("too many requests"), "{row:?}");
    bench.fails = None;
    bench.pass(15_000);
    assert_eq!((count(&bench, "Fight"), count(&bench, "Healed")), (0, 1));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert!(bench.status("web").resources.is_empty(), "what failed is forgotten");
}

#[test]
fn heals_that_are_refused_or_conflict_are_no_fight() {
    for error in ["refused", "conflict"] {
        let mut bench = if error == "refused" {
            fail_heals(|request| no_applies(ApiError::Refused("a webhook says no".to_owned()), request))
        } else {
            fail_heals(|request| no_applies(ApiError::Conflict("try again".to_owned()), request))
        };
        assert!(!bench.status("web").resources[0].message.is_empty());
        bench.fails = None;
        bench.pass(300_000);
        assert_eq!((count(&bench, "Fight"), count(&bench, "Healed")), (0, 1), "{error}");
    }
}

#[test]
fn a_conflict_that_stays_is_tried_more_and_more_seldom() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.fails = Some(|request| no_applies(ApiError::Conflict("try again".to_owned()), request));
    bench.meddle("a");
    bench.pass(600_000);
    let requests = bench.requests;
    bench.pass(600_000);
    assert!(bench.requests - requests < 600, "{} requests in ten minutes", bench.requests - requests);
}

#[test]
fn a_heal_whose_answer_is_lost_is_done_again_and_is_no_fight() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.loses_answers = true;
    bench.meddle("a");
    bench.pass(60_000);
    bench.loses_answers = false;
    bench.pass(120_000);
    assert_eq!(count(&bench, "Fight"), 0);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn drift_that_goes_by_itself_takes_its_failure_along() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    let before = bench.objects[&config("a")].clone();
    bench.fails = Some(|request| no_applies(ApiError::Refused("no".to_owned()), request));
    bench.meddle("a");
    assert!(!bench.status("web").resources.is_empty());
    bench.version += 1;
    let restored = LiveMeta { resource_version: bench.version, ..before };
    bench.objects.insert(config("a"), restored.clone());
    bench.reconciler.watched(&restored.key.group_kind(), WatchEvent::Seen(restored), now(bench.now));
    bench.pass(60_000);
    assert!(bench.status("web").resources.is_empty(), "{:?}", bench.status("web"));
}

/// Shows a newer version of an object that metadata do not tell from the one before; gives how often it was written since.
fn touched_unseen(bench: &mut Bench) -> usize {
    let before = bench.writes.len();
    bench.version += 1;
    let live = bench.objects.get_mut(&config("a")).unwrap();
    live.resource_version = bench.version;
    let live = live.clone();
    bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    bench.pass(200_000);
    bench.writes.len() - before
}

#[test]
fn an_earlier_try_that_may_have_come_last_is_overwritten_once_none_can_come_any_more() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    assert_eq!(touched_unseen(&mut bench), 0, "nothing was lost: another's change of another field");
    bench.fail = Some(ApiError::Unreachable("cut".to_owned()));
    bench.assign("web", &[("a", 2)]);
    bench.fail = None;
    bench.pass(15_000);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert_eq!(touched_unseen(&mut bench), 1);
    assert_eq!(count(&bench, "Drifted") + count(&bench, "Healed"), 0, "it is nobody's change");
    assert_eq!(touched_unseen(&mut bench), 0, "and once is enough");
}
