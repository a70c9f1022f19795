//! What takes the place of what is there, and what is deleted and made anew.

use super::waves::{Piece, put, written};
use super::*;
use crate::policy::Retry;
use crate::selection::SyncOptions;

fn option(option: &str) -> serde_json::Value {
    json!({"argocd.argoproj.io/sync-options": option})
}

fn set(bench: &mut Bench, pieces: &[Piece], change: impl Fn(&mut Assignment)) {
    let mut assignment = put(bench, pieces);
    assignment.policy.retry = Some(Retry { limit: 0, ..Default::default() });
    change(&mut assignment);
    bench.list.set(assignment);
    bench.desire();
}

/// An API server that lets no object be changed.
fn nothing_changes(request: &Request) -> Option<ApiError> {
    let changes = matches!(request, Request::Apply { uid: Some(_), .. } | Request::Try { .. });
    changes.then(|| ApiError::Immutable("field is immutable".to_owned()))
}

fn replaced(bench: &Bench) -> Vec<(String, bool)> {
    let replaced = |request: &Request| match request {
        Request::Apply { key, replaces, .. } => Some((key.name.to_string(), *replaces)),
        Request::Get { .. }
        | Request::Try { .. }
        | Request::Delete { .. }
        | Request::EnsureNamespace { .. }
        | Request::GiveUp { .. }
        | Request::Compare { .. } => None,
    };
    bench.writes.iter().filter_map(replaced).collect()
}

#[test]
fn an_object_is_replaced_as_it_says_else_as_its_app_does_and_never_to_heal_it() {
    let mut bench = Bench::new();
    let pieces = [("a", 1, option("Replace=true")), ("b", 1, option("Replace=false")), ("c", 1, json!({}))];
    set(&mut bench, &pieces, |_| {});
    let named = |name: &str, replaces| (name.to_owned(), replaces);
    assert_eq!(replaced(&bench), [named("a", true), named("b", false), named("c", false)]);
    written(&mut bench);
    bench.meddle("a");
    bench.pass(5_000);
    assert_eq!(replaced(&bench), [named("a", false)]);
    written(&mut bench);
    let pieces = [("b", 2, option("Replace=false")), ("c", 2, json!({})), ("a", 1, option("Replace=true"))];
    set(&mut bench, &pieces, |assignment| assignment.policy.replace = true);
    bench.pass(5_000);
    assert_eq!(replaced(&bench), [named("b", false), named("c", true)]);
}

#[test]
fn who_asks_to_replace_replaces_what_is_in_sync_as_well() {
    let mut bench = Bench::new();
    set(&mut bench, &[("a", 1, json!({})), ("b", 1, option("Replace=false"))], |_| {});
    written(&mut bench);
    bench.sync_with("web", false, SyncOptions { replace: true, ..SyncOptions::default() });
    assert_eq!(replaced(&bench), [("a".to_owned(), true), ("b".to_owned(), true)]);
}

#[test]
fn what_cannot_be_changed_is_deleted_and_made_anew_where_that_is_asked_for() {
    let mut bench = Bench::new();
    let first = [("a", 1, option("Force=true")), ("b", 1, json!({}))];
    set(&mut bench, &first, |_| {});
    let before = bench.uid("a");
    written(&mut bench);
    bench.fails = Some(nothing_changes);
    set(&mut bench, &[("a", 2, option("Force=true")), ("b", 1, json!({}))], |_| {});
    bench.pass(10_000);
    let done = written(&mut bench);
    assert_eq!(done.iter().filter(|name| *name == "-a").count(), 1, "{done:?}");
    assert_eq!(done.last().map(String::as_str), Some("a"));
    assert_ne!(bench.uid("a"), before);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0]);

    set(&mut bench, &[("a", 2, option("Force=true")), ("b", 2, json!({}))], |_| {});
    bench.pass(10_000);
    assert!(!written(&mut bench).contains(&"-b".to_owned()));
    assert!(bench.operation("web").message.contains("field is immutable"));
    bench.sync_with("web", false, SyncOptions { force: true, ..SyncOptions::default() });
    bench.pass(10_000);
    assert!(written(&mut bench).contains(&"-b".to_owned()));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn what_must_not_be_deleted_unasked_is_not_made_anew() {
    for options in [
        "Force=true,Prune=false",
        "Force=true,Delete=false",
        "Force=true,Prune=confirm",
        "Force=true,Delete=confirm",
    ] {
        let mut bench = Bench::new();
        set(&mut bench, &[("a", 1, option(options))], |_| {});
        written(&mut bench);
        bench.fails = Some(nothing_changes);
        set(&mut bench, &[("a", 2, option(options))], |_| {});
        bench.pass(10_000);
        assert_eq!(bench.deletes(), 0, "{options}");
        let message = bench.operation("web").message.clone();
        assert!(message.contains("keeps from being deleted unasked"), "{message}");
    }
}

#[test]
fn a_heal_deletes_nothing() {
    let mut bench = Bench::new();
    set(&mut bench, &[("a", 1, option("Force=true"))], |_| {});
    bench.fails = Some(nothing_changes);
    bench.meddle("a");
    bench.pass(3_600_000);
    assert_eq!(bench.deletes(), 0);
}

#[test]
fn what_is_made_anew_counts_in_the_governors_hour() {
    let mut bench = Bench::new();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"];
    let pieces = |value| names.map(|name| (name, value, json!({})));
    set(&mut bench, &pieces(1), |assignment| assignment.policy.force = true);
    bench.fails = Some(nothing_changes);
    set(&mut bench, &pieces(2), |assignment| assignment.policy.force = true);
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 10);
    assert!(bench.operation("web").message.contains("the governor"), "{:?}", bench.operation("web").message);
    bench.pass(4_000_000);
    assert_eq!(bench.deletes(), names.len());
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn an_agent_that_is_killed_after_the_delete_makes_the_object_anew() {
    let mut bench = Bench::new();
    set(&mut bench, &[("a", 1, option("Force=true"))], |_| {});
    let before = bench.uid("a");
    bench.fails = Some(|request| match request {
        Request::Apply { uid: None, .. } => Some(ApiError::Unreachable("cut".to_owned())),
        Request::Apply { .. } | Request::Try { .. } => nothing_changes(request),
        Request::Get { .. }
        | Request::Delete { .. }
        | Request::EnsureNamespace { .. }
        | Request::GiveUp { .. }
        | Request::Compare { .. } => None,
    });
    set(&mut bench, &[("a", 2, option("Force=true"))], |_| {});
    bench.pass(5_000);
    assert_eq!((bench.deletes(), bench.uid("a")), (1, None));
    bench.restart();
    bench.fails = Some(nothing_changes);
    bench.pass(600_000);
    assert!(bench.uid("a").is_some() && bench.uid("a") != before);
    assert_eq!(bench.deletes(), 1);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_policy_of_the_agent_that_lets_nothing_be_deleted_holds_here_as_well() {
    let mut bench = Bench::guarded("deletes: never");
    set(&mut bench, &[("a", 1, option("Force=true"))], |_| {});
    bench.fails = Some(nothing_changes);
    set(&mut bench, &[("a", 2, option("Force=true"))], |_| {});
    bench.pass(10_000);
    assert_eq!(bench.deletes(), 0);
    assert!(
        bench.operation("web").message.contains("this agent's policy"),
        "{}",
        bench.operation("web").message
    );
}
