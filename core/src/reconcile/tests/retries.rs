//! How a sync that fails is tried again: by its document, or as whoever asked for it says.

use super::waves::{put, refuses};
use super::*;
use crate::policy::Retry;
use crate::selection::SyncOptions;

/// Assigns an app that syncs only when asked, and is never tried again by its document.
fn by_hand(bench: &mut Bench, names: &[&'static str], value: u32) -> Assignment {
    let objects: Vec<_> = names.iter().map(|name| (*name, value, json!({}))).collect();
    let mut assignment = put(bench, &objects);
    assignment.policy.automated = None;
    assignment.policy.retry = Some(Retry { limit: 0, ..Retry::default() });
    bench.list.set(assignment.clone());
    bench.desire();
    assignment
}

fn retried(retry: Retry) -> SyncOptions {
    SyncOptions { retry: Some(retry), ..SyncOptions::default() }
}

fn stand(bench: &Bench) -> (OperationPhase, u64) {
    let operation = bench.operation("web");
    (operation.phase, operation.retries)
}

#[test]
fn what_a_sync_says_of_retries_counts_and_not_its_document() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| refuses(request, "b"));
    by_hand(&mut bench, &["a", "b"], 1);
    bench.sync("web", false);
    assert_eq!(stand(&bench), (OperationPhase::Failed, 0), "by its document");
    let retry = Retry { limit: 3, delay_ms: 20_000, factor: 3, max_delay_ms: 100_000, refresh: false };
    bench.sync_with("web", false, retried(retry));
    assert_eq!(stand(&bench), (OperationPhase::Running, 0));
    bench.pass(59_000);
    assert_eq!(stand(&bench), (OperationPhase::Running, 0));
    bench.pass(2_000);
    assert_eq!(stand(&bench), (OperationPhase::Running, 1));
    bench.pass(98_000);
    assert_eq!(stand(&bench), (OperationPhase::Running, 1));
    bench.pass(3_000);
    assert_eq!(stand(&bench), (OperationPhase::Running, 2));
    bench.restart();
    bench.pass(300_000);
    assert_eq!(
        stand(&bench),
        (OperationPhase::Failed, 3),
        "a restart forgets neither the limit nor the count"
    );
}

#[test]
fn a_sync_that_was_asked_for_is_tried_again_with_the_newest_release_only_if_it_says_so() {
    let retry = Retry { limit: 2, delay_ms: 60_000, ..Retry::default() };
    for (refresh, exact, mends) in [(false, false, false), (true, false, true), (true, true, false)] {
        let mut bench = Bench::new();
        bench.fails = Some(|request| refuses(request, "b"));
        let first = by_hand(&mut bench, &["a", "b"], 1);
        let expect = exact.then_some(first.root);
        let options = retried(Retry { refresh, ..retry });
        bench.reconciler.sync_with(CommandId::new([9; 16]), &app("web"), expect, false, options);
        bench.settle();
        let newest = by_hand(&mut bench, &["a", "c"], 2);
        assert_eq!(bench.operation("web").root, first.root, "it waits for its next try");
        bench.restart();
        bench.pass(600_000);
        let told = (bench.operation("web").phase, bench.operation("web").root);
        let expected = if mends {
            (OperationPhase::Succeeded, newest.root)
        } else {
            (OperationPhase::Failed, first.root)
        };
        assert_eq!(told, expected, "refresh: {refresh}, exact: {exact}");
        assert_eq!(bench.objects.contains_key(&config("c")), mends);
    }
}

#[test]
fn a_sync_that_is_tried_again_without_end_keeps_no_fix_from_an_app_that_syncs_by_itself() {
    let retry = Retry { limit: -1, delay_ms: 60_000, ..Retry::default() };
    for exact in [false, true] {
        let mut bench = Bench::new();
        bench.fails = Some(|request| refuses(request, "b"));
        let first = by_hand(&mut bench, &["a", "b"], 1);
        let expect = exact.then_some(first.root);
        bench.reconciler.sync_with(CommandId::new([9; 16]), &app("web"), expect, false, retried(retry));
        bench.settle();
        let mut fix = by_hand(&mut bench, &["a", "c"], 2);
        fix.policy.automated = Some(Automated::default());
        bench.list.set(fix.clone());
        bench.desire();
        assert_eq!(bench.operation("web").root, first.root, "it waits for its next try");
        bench.restart();
        bench.pass(600_000);
        let told = (bench.operation("web").phase, bench.operation("web").root);
        let expected =
            if exact { (OperationPhase::Running, first.root) } else { (OperationPhase::Succeeded, fix.root) };
        assert_eq!(told, expected, "exact: {exact}");
    }
}

#[test]
fn what_was_asked_for_of_one_release_is_not_done_to_a_newer_one() {
    for refresh in [false, true] {
        let mut bench = Bench::new();
        bench.assign("web", &[("a", 1), ("x", 1)]);
        bench.fails = Some(|request| refuses(request, "b"));
        by_hand(&mut bench, &["a", "b", "x"], 2);
        let retry = Retry { limit: -1, delay_ms: 60_000, refresh, ..Retry::default() };
        bench.reconciler.sync_with(CommandId::new([9; 16]), &app("web"), None, true, retried(retry));
        bench.settle();
        let mut fix = by_hand(&mut bench, &["a", "c"], 3);
        fix.policy.automated = Some(Automated::default());
        bench.list.set(fix);
        bench.desire();
        bench.pass(600_000);
        assert!(bench.objects.contains_key(&config("c")), "the fix is there");
        assert_eq!(bench.objects.contains_key(&config("x")), !refresh, "nobody asked to prune by it");
    }
}

#[test]
fn a_document_may_ask_for_the_newest_release_as_well_and_a_rollback_stays_with_its_own() {
    let mut bench = Bench::new();
    by_hand(&mut bench, &["a"], 1);
    bench.sync("web", false);
    by_hand(&mut bench, &["a"], 2);
    bench.sync("web", false);
    let refresh = Retry { limit: 2, delay_ms: 30_000, refresh: true, ..Retry::default() };
    bench.fails = Some(|request| refuses(request, "a"));
    let mut assignment = by_hand(&mut bench, &["a"], 3);
    assignment.policy.retry = Some(refresh);
    bench.list.set(assignment.clone());
    bench.desire();
    let command = CommandId::new([9; 16]);
    let older = bench.reconciler.roll_back(command, &app("web"), None, false, RollbackFrom::Hub).unwrap();
    bench.settle();
    bench.pass(90_000);
    assert_eq!((bench.operation("web").retries, bench.operation("web").root), (1, older.root));
    bench.pass(600_000);
    bench.sync("web", false);
    let mut newest = by_hand(&mut bench, &["c"], 4);
    newest.policy.retry = Some(refresh);
    bench.list.set(newest.clone());
    bench.desire();
    bench.pass(90_000);
    assert_eq!(
        (bench.operation("web").phase, bench.operation("web").root),
        (OperationPhase::Succeeded, newest.root)
    );
}
