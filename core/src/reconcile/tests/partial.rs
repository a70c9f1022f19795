//! Syncs of some of the objects, and rehearsals.

use super::hooks::hook;
use super::waves::{Piece, put, refuses, wave, written};
use super::*;
use crate::selection::SyncOptions;
use crate::status::ResultCode;

fn only(selectors: &[&str]) -> SyncOptions {
    let resources = selectors.iter().map(|text| text.parse().unwrap()).collect();
    SyncOptions { resources, ..SyncOptions::default() }
}

fn rehearsal() -> SyncOptions {
    SyncOptions { dry_run: true, ..SyncOptions::default() }
}

/// Assigns an app that syncs only when asked.
fn by_hand(bench: &mut Bench, objects: &[Piece]) {
    let mut assignment = put(bench, objects);
    assignment.policy.automated = None;
    bench.list.set(assignment);
    bench.desire();
}

fn plain(objects: &[(&'static str, u32)]) -> Vec<Piece> {
    objects.iter().map(|(name, value)| (*name, *value, json!({}))).collect()
}

/// Assigns objects by hand, of which all were synced at an older value, and `gone` with them.
fn outdated(bench: &mut Bench, names: &[&'static str]) {
    let all: Vec<(&str, u32)> = names.iter().chain(&["gone"]).map(|name| (*name, 1)).collect();
    by_hand(bench, &plain(&all));
    bench.sync("web", false);
    let newer: Vec<(&str, u32)> = names.iter().map(|name| (*name, 2)).collect();
    by_hand(bench, &plain(&newer));
    written(bench);
}

fn rows(bench: &Bench) -> Vec<(String, ResultCode, String)> {
    let rows = bench.operation("web").results.iter();
    rows.map(|row| (row.key.name.to_string(), row.code, row.message.clone())).collect()
}

#[test]
fn only_what_is_selected_is_applied_without_hooks_and_without_a_row_in_the_history() {
    let mut bench = Bench::new();
    by_hand(&mut bench, &plain(&[("a", 1), ("b", 1)]));
    bench.sync("web", false);
    by_hand(&mut bench, &[("a", 2, json!({})), ("b", 2, wave(-1)), ("h", 1, hook("PreSync", ""))]);
    written(&mut bench);
    let before = bench.reconciler.history(&app("web"), now(bench.now));
    bench.sync_with("web", false, only(&[":ConfigMap:a"]));
    assert_eq!(written(&mut bench), ["a"]);
    let operation = bench.operation("web");
    assert_eq!((operation.phase, operation.automated), (OperationPhase::Succeeded, false));
    let named: Vec<String> = rows(&bench).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(named, ["a"]);
    assert_eq!(bench.status("web").sync, SyncStatus::OutOfSync);
    assert_eq!(bench.reconciler.history(&app("web"), now(bench.now)).len(), before.len());
    bench.restart();
    assert_eq!(bench.operation("web").results.len(), 1, "what it did is told after a restart as well");
    bench.sync_with("web", false, only(&["!:ConfigMap:shop/b"]));
    assert_eq!(written(&mut bench), [""; 0], "a is as it is to be, and hooks are not run");
    bench.sync("web", false);
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["h", "b"]);
}

#[test]
fn an_automated_sync_of_the_rest_comes_after_a_partial_one() {
    let mut bench = Bench::new();
    outdated(&mut bench, &["a", "b"]);
    bench.sync_with("web", false, only(&[":ConfigMap:a"]));
    assert_eq!(written(&mut bench), ["a"]);
    bench.change("web", |assignment| {
        assignment.policy.automated = Some(Automated::default());
    });
    bench.pass(1_000);
    assert_eq!(written(&mut bench), ["b"]);
    let history = bench.reconciler.history(&app("web"), now(bench.now));
    assert!(history.last().unwrap().automated);
}

#[test]
fn a_partial_sync_that_fails_is_not_what_an_automated_one_remembers() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    written(&mut bench);
    bench.fails = Some(|request| refuses(request, "nothing"));
    bench.sync_with("web", false, only(&[":Secret:*"]));
    let operation = bench.operation("web").clone();
    assert_eq!(operation.phase, OperationPhase::Failed);
    assert_eq!(operation.message, "No matching app resources found for resource filter: :Secret:*");
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert_eq!(bench.operation("web").message, operation.message);
    assert!(bench.status("web").conditions.is_empty(), "{:?}", bench.status("web").conditions);
    assert_eq!(bench.status("web").synced, bench.status("web").assigned);
}

#[test]
fn only_what_is_selected_is_pruned_and_what_is_held_of_it_can_be_confirmed_later() {
    let mut bench = Bench::new();
    let ask = json!({"argocd.argoproj.io/sync-options": "Prune=confirm"});
    let first = [("a", 1, json!({})), ("go", 1, json!({})), ("stay", 1, json!({})), ("ask", 1, ask)];
    by_hand(&mut bench, &first);
    bench.sync("web", false);
    by_hand(&mut bench, &plain(&[("a", 2), ("c", 1), ("d", 1), ("e", 1)]));
    written(&mut bench);
    bench.sync_with("web", true, only(&[":ConfigMap:go", ":ConfigMap:ask"]));
    assert_eq!(written(&mut bench), ["-go"]);
    let told: Vec<(String, ResultCode)> =
        rows(&bench).into_iter().map(|(name, code, _)| (name, code)).collect();
    assert_eq!(told, [("go".to_owned(), ResultCode::Pruned), ("ask".to_owned(), ResultCode::PruneSkipped)]);
    bench.restart();
    let held = bench.status("web").held.clone().unwrap();
    assert_eq!(held.deletes.len(), 1);
    bench.reconciler.confirm(&app("web"), held.plan).unwrap();
    bench.settle();
    assert_eq!(written(&mut bench), ["-ask"]);
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0], "nobody asked to prune the other one");
}

#[test]
fn an_automated_prune_of_the_rest_waits_for_the_end_of_a_partial_sync() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1), ("gone", 1)]);
    bench.fails = Some(|request| {
        matches!(request, Request::Apply { key, .. } if key.name == "a")
            .then(|| ApiError::Unreachable("cut".to_owned()))
    });
    written(&mut bench);
    let mut assignment = put(&mut bench, &plain(&[("a", 2), ("b", 1), ("c", 1)]));
    assignment.policy.automated = None;
    bench.list.set(assignment.clone());
    bench.desire();
    bench.sync_with("web", false, only(&[":ConfigMap:a"]));
    assignment.policy.automated = Some(Automated { prune: true, ..Default::default() });
    bench.list.set(assignment);
    bench.desire();
    bench.pass(10_000);
    assert!(!written(&mut bench).contains(&"-gone".to_owned()));
    bench.fails = None;
    bench.pass(120_000);
    assert!(written(&mut bench).contains(&"-gone".to_owned()));
}

#[test]
fn a_partial_sync_that_is_interrupted_goes_on_with_what_was_selected() {
    let mut bench = Bench::new();
    outdated(&mut bench, &["a", "b", "c"]);
    bench.fails = Some(|request| {
        matches!(request, Request::Apply { key, .. } if key.name == "b")
            .then(|| ApiError::Unreachable("cut".to_owned()))
    });
    bench.sync_with("web", false, only(&[":ConfigMap:a", ":ConfigMap:b"]));
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
    written(&mut bench);
    bench.fails = None;
    bench.restart();
    bench.pass(120_000);
    let mut after = written(&mut bench);
    after.dedup();
    assert_eq!(after, ["b"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn a_rehearsal_asks_about_everything_and_writes_nothing() {
    let mut bench = Bench::new();
    outdated(&mut bench, &["a"]);
    let newer: [Piece; 3] = [("a", 2, json!({})), ("b", 1, json!({})), ("h", 1, hook("PreSync", ""))];
    by_hand(&mut bench, &newer);
    let before = bench.requests;
    bench.sync_with("web", true, rehearsal());
    assert_eq!(written(&mut bench), [""; 0]);
    assert!(bench.requests > before);
    let operation = bench.operation("web").clone();
    assert_eq!(operation.phase, OperationPhase::Succeeded);
    assert_eq!(operation.message, "successfully synced (dry run)");
    let told = rows(&bench);
    let told: Vec<(&str, &str)> =
        told.iter().map(|(name, _, message)| (name.as_str(), message.as_str())).collect();
    let expected = [
        ("h", "created (dry run)"),
        ("a", "configured (dry run)"),
        ("b", "created (dry run)"),
        ("gone", "pruned (dry run)"),
    ];
    assert_eq!(told, expected);
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert!(bench.status("web").held.is_none());
    assert_eq!(bench.reconciler.history(&app("web"), now(bench.now)).len(), 1);
}

#[test]
fn a_rehearsal_of_what_is_refused_fails_and_of_one_object_is_asked_about_as_well() {
    let mut bench = Bench::new();
    outdated(&mut bench, &["a"]);
    bench.fails = Some(|request| {
        matches!(request, Request::Try { .. }).then(|| ApiError::Refused("does not fit".to_owned()))
    });
    bench.sync_with("web", false, SyncOptions { dry_run: true, ..only(&[":ConfigMap:a"]) });
    let operation = bench.operation("web").clone();
    assert_eq!((operation.phase, operation.finished.is_some()), (OperationPhase::Failed, true));
    assert!(operation.message.contains("does not fit"), "{operation:?}");
    assert_eq!(written(&mut bench), [""; 0]);
}

#[test]
fn a_sync_without_hooks_is_one_of_the_whole_release() {
    let mut bench = Bench::new();
    by_hand(&mut bench, &[("a", 1, json!({})), ("h", 1, hook("PreSync", ""))]);
    bench.sync_with("web", false, SyncOptions { without_hooks: true, ..SyncOptions::default() });
    assert_eq!(written(&mut bench), ["a"]);
    assert_eq!(bench.reconciler.history(&app("web"), now(bench.now)).len(), 1);
}
