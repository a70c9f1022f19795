//! Retries of a sync: when they come, and what is said of them.

use super::*;
use crate::policy::Retry;
use crate::time::WallTime;

/// An app whose object is refused for good, and that is tried again so often.
fn refused(limit: i64) -> Bench {
    let mut bench = Bench::new();
    bench.fails =
        Some(|request| matches!(request, Request::Apply { .. }).then(|| ApiError::Refused("no".to_owned())));
    let mut assignment = bench.put("web", &[("a", 1)]);
    assignment.policy.retry = Some(Retry { limit, ..Default::default() });
    // A quarter past three in the afternoon, and half a minute.
    let proved = WallTime(((15 * 60 + 15) * 60 + 30) * 1_000);
    bench.reconciler.time_proved(proved, now(bench.now));
    bench.list.set(assignment);
    bench.desire();
    bench
}

const WHY: &str = "one or more objects failed to apply, reason: /ConfigMap/shop/a: no";

#[test]
fn a_failed_sync_is_tried_again_after_10_20_and_40_seconds_as_in_argo_cd() {
    let mut bench = refused(3);
    let began = bench.now;
    let mut waited = Vec::new();
    for tries in 1..=3 {
        let from = bench.now;
        while bench.operation("web").retries < tries {
            bench.pass(1_000);
        }
        waited.push((bench.now - from) / 1_000);
    }
    assert_eq!(waited, [10, 20, 40]);
    assert_eq!(bench.now - began, 70_000);
    let operation = bench.operation("web");
    assert_eq!(operation.phase, OperationPhase::Failed);
    assert_eq!(operation.message, format!("{WHY} (retried 3 times)."));
}

#[test]
fn a_retry_is_announced_with_its_reason_and_its_time() {
    let mut bench = refused(3);
    let said = |bench: &Bench| bench.operation("web").message.clone();
    assert_eq!(said(&bench), format!("{WHY}. Retrying attempt #1 at 3:15PM."));
    bench.pass(10_000);
    assert_eq!(said(&bench), format!("{WHY}. Retrying attempt #2 at 3:16PM."));
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
}

#[test]
fn a_sync_that_is_not_tried_again_says_nothing_of_retries() {
    let bench = refused(0);
    assert_eq!(bench.operation("web").message, WHY);
}

#[test]
fn a_wave_that_is_unhealthy_is_the_reason_that_is_told() {
    let mut bench = Bench::new();
    bench.healths = BTreeMap::from([("a", crate::health::Health::Degraded)]);
    let wave = waves::wave;
    let mut assignment = waves::put(&mut bench, &[("a", 1, wave(0)), ("b", 1, wave(1))]);
    assignment.policy.retry = Some(Retry { limit: 1, delay_ms: 60_000, ..Default::default() });
    bench.list.set(assignment);
    bench.desire();
    bench.pass(30_000);
    let message = &bench.operation("web").message;
    assert!(
        message.starts_with("one or more synchronization tasks completed unsuccessfully, reason: "),
        "{message}"
    );
    assert!(message.contains("Retrying attempt #1"), "{message}");
}
