//! Kinds that cannot be listed or watched: their apps say so and go on, and nobody else notices.

use super::*;
use crate::status::ResultCode;

fn secrets() -> GroupKind {
    GroupKind::new("", "Secret")
}

fn secret(name: &str) -> ResourceKey {
    ResourceKey { kind: "Secret".into(), ..config(name) }
}

fn forbidden() -> ApiError {
    ApiError::Refused("secrets is forbidden: User \"agent\" cannot list resource \"secrets\"".to_owned())
}

/// An app of config maps, and one of Secrets, which cannot be listed.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.unlisted.insert(secrets());
    bench.kind = "Secret";
    bench
}

fn says(bench: &Bench, name: &str, words: &str) -> bool {
    let conditions = &bench.status(name).conditions;
    conditions.iter().any(|of| of.kind == "ComparisonError" && of.message.contains(words))
}

#[test]
fn a_kind_that_may_not_be_listed_is_applied_by_object_and_its_app_says_what_is_missing() {
    let mut bench = bench();
    bench.assign("vault", &[("s", 1)]);
    assert!(!bench.objects.contains_key(&secret("s")), "its list is waited for");
    bench.break_watch(&secrets(), forbidden());
    assert!(bench.objects.contains_key(&secret("s")));
    assert_eq!(bench.operation("vault").phase, OperationPhase::Succeeded);
    assert_eq!(bench.status("vault").sync, SyncStatus::Unknown, "drift would not be seen");
    assert!(says(&bench, "vault", "cannot watch Secret: secrets is forbidden"));
    assert!(bench.status("web").conditions.is_empty());
    let writes = bench.writes.len();
    bench.pass(3_600_000);
    assert_eq!(bench.writes.len(), writes, "and it is applied once");

    bench.unlisted.clear();
    bench.settle();
    assert_eq!(bench.status("vault").sync, SyncStatus::Synced);
    assert!(bench.status("vault").conditions.is_empty(), "{:?}", bench.status("vault"));
}

#[test]
fn the_age_of_other_apps_does_not_suffer() {
    let mut bench = bench();
    bench.assign("vault", &[("s", 1)]);
    assert!(!bench.reconciler.is_observing());
    bench.break_watch(&secrets(), forbidden());
    assert!(bench.reconciler.is_observing());
    bench.break_watch(&GroupKind::new("", "ConfigMap"), ApiError::Unreachable("cut".to_owned()));
    assert!(!bench.reconciler.is_observing(), "an outage is none of that");
}

#[test]
fn a_sync_says_which_list_it_waits_for() {
    let mut bench = bench();
    bench.assign_manual("vault", &[("s", 1)]);
    bench.sync("vault", false);
    bench.break_watch(&secrets(), ApiError::Unreachable("connection reset".to_owned()));
    bench.pass(1_000);
    let operation = bench.operation("vault");
    assert_eq!(operation.phase, OperationPhase::Running);
    assert!(operation.message.contains("Secret") && operation.message.contains("connection reset"));
    assert!(says(&bench, "vault", "connection reset"));
}

#[test]
fn nothing_of_a_kind_that_cannot_be_watched_is_deleted() {
    let mut bench = bench();
    bench.unlisted.clear();
    bench.assign("vault", &[("s", 1), ("t", 1), ("u", 1)]);
    bench.break_watch(&secrets(), forbidden());
    assert_eq!(bench.status("vault").sync, SyncStatus::Unknown);
    bench.assign("vault", &[("s", 1), ("t", 1)]);
    bench.pass(3_600_000);
    assert_eq!((bench.deletes(), bench.objects.contains_key(&secret("u"))), (0, true));
    let operation = bench.operation("vault");
    let row = operation.results.iter().find(|row| row.key == secret("u")).unwrap();
    assert_eq!(row.code, ResultCode::PruneSkipped);
    assert!(operation.message.contains("cannot be watched"), "{operation:?}");
    let objects = bench.objects.values().filter(|live| live.key.kind == "Secret").cloned().collect();
    let event = WatchEvent::Listed { resource_version: bench.version, objects };
    bench.reconciler.watched(&secrets(), event, now(bench.now));
    bench.settle();
    assert_eq!(bench.deletes(), 1, "once it is seen, it goes");
}
