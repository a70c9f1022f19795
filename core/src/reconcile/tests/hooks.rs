//! Hooks: when they run, what waits for them, what becomes of them.

use super::waves::{Piece, assign, becomes, put, refuses, wave, written};
use super::*;
use crate::health::Health;
use crate::ids::DeletionId;
use crate::order::SyncPhase;

pub(super) fn hook(phases: &str, policy: &str) -> serde_json::Value {
    json!({"argocd.argoproj.io/hook": phases, "argocd.argoproj.io/hook-delete-policy": policy})
}

/// Names what health config maps are made with.
pub(super) fn made(bench: &mut Bench, healths: &[(&'static str, Health)]) {
    bench.healths = healths.iter().copied().collect();
}

fn assign_without_retry(bench: &mut Bench, objects: &[Piece]) {
    let mut assignment = put(bench, objects);
    assignment.policy.retry = Some(crate::policy::Retry { limit: 0, ..Default::default() });
    bench.list.set(assignment);
    bench.desire();
}

#[test]
fn hooks_run_before_among_and_after_and_each_phase_waits_for_them() {
    let mut bench = Bench::new();
    made(
        &mut bench,
        &[("pre", Health::Progressing), ("mid", Health::Progressing), ("post", Health::Progressing)],
    );
    assign(
        &mut bench,
        &[
            ("post", 1, hook("PostSync", "")),
            ("a", 1, json!({})),
            ("pre", 1, hook("PreSync", "")),
            ("mid", 1, hook("Sync", "")),
            ("fail", 1, hook("SyncFail", "")),
        ],
    );
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre"]);
    assert_eq!(bench.operation("web").message, "waiting for completion of hook /ConfigMap/pre");
    becomes(&mut bench, "pre", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["a", "mid"]);
    becomes(&mut bench, "mid", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["post"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running, "even the last hook is waited for");
    becomes(&mut bench, "post", Health::Healthy);
    let operation = bench.operation("web").clone();
    assert_eq!(operation.phase, OperationPhase::Succeeded);
    let hooks: Vec<_> =
        operation.results.iter().map(|row| (row.key.name.as_str(), row.hook, row.hook_phase)).collect();
    let done = Some(OperationPhase::Succeeded);
    assert_eq!(
        hooks,
        [
            ("pre", Some(SyncPhase::PreSync), done),
            ("a", None, None),
            ("mid", Some(SyncPhase::Sync), done),
            ("post", Some(SyncPhase::PostSync), done),
        ]
    );
}

#[test]
fn a_hook_is_no_part_of_the_app() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("pre", 1, hook("PreSync", "HookFailed")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre", "a"]);
    assert_eq!(bench.status("web").counts.total, 1);
    bench.meddle("pre");
    becomes(&mut bench, "pre", Health::Degraded);
    bench.pass(60_000);
    let status = bench.status("web");
    assert_eq!((status.sync, status.health), (SyncStatus::Synced, Health::Healthy));
    bench.vanish("pre");
    bench.pass(600_000);
    assert_eq!(written(&mut bench), [""; 0], "nobody puts it back");
    assign(&mut bench, &[("b", 1, json!({})), ("a", 1, json!({}))]);
    bench.pass(600_000);
    assert_eq!(written(&mut bench), ["b"]);
}

#[test]
fn a_hook_that_left_git_stays_and_a_commit_that_changes_hooks_alone_runs_none() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("pre", 1, hook("PreSync", "")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    written(&mut bench);
    assign(&mut bench, &[("pre", 2, hook("PreSync", "")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assign(&mut bench, &[("a", 1, json!({}))]);
    bench.pass(600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert!(bench.objects.contains_key(&config("pre")));
    assert_eq!(bench.status("web").counts.total, 1);
}

#[test]
fn a_sync_that_was_asked_for_runs_hooks_even_if_nothing_changed() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("pre", 1, hook("PreSync", "BeforeHookCreation")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    let first = bench.uid("pre").unwrap();
    written(&mut bench);
    bench.sync("web", false);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-pre", "pre"], "made anew");
    assert_ne!(bench.uid("pre").unwrap(), first);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn a_hook_that_is_on_its_way_out_is_waited_for() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("pre", 1, hook("PreSync", "")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    written(&mut bench);
    bench.finalizers = true;
    bench.sync("web", false);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-pre"]);
    assert!(
        bench.operation("web").message.contains("waits for deletion"),
        "{}",
        bench.operation("web").message
    );
    bench.vanish("pre");
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["pre"]);
}

#[test]
fn delete_policies_are_kept_after_success_and_after_failure() {
    for (policy, fails, stays) in [
        ("HookSucceeded", false, false),
        ("HookSucceeded", true, true),
        ("HookFailed", false, true),
        ("HookFailed", true, false),
        ("HookSucceeded,HookFailed", true, false),
        ("BeforeHookCreation", false, true),
        ("", true, true),
    ] {
        let mut bench = Bench::new();
        let health = if fails { Health::Degraded } else { Health::Healthy };
        made(&mut bench, &[("pre", health)]);
        assign_without_retry(&mut bench, &[("pre", 1, hook("PreSync", policy)), ("a", 1, json!({}))]);
        bench.pass(60_000);
        assert_eq!(bench.objects.contains_key(&config("pre")), stays, "{policy:?} {fails}");
        assert_eq!(bench.objects.contains_key(&config("a")), !fails);
        let wanted = if fails { OperationPhase::Failed } else { OperationPhase::Succeeded };
        assert_eq!(bench.operation("web").phase, wanted);
        let writes = written(&mut bench).len();
        bench.restart();
        bench.pass(600_000);
        assert_eq!(written(&mut bench), [""; 0], "after {writes} writes it rests");
    }
}

#[test]
fn a_failed_sync_runs_its_hooks_for_that_and_fails_all_the_same() {
    let mut bench = Bench::new();
    made(&mut bench, &[("fail", Health::Progressing)]);
    bench.fails = Some(|request| refuses(request, "b"));
    assign_without_retry(
        &mut bench,
        &[
            ("a", 1, wave(0)),
            ("b", 1, wave(1)),
            ("c", 1, wave(2)),
            ("post", 1, hook("PostSync", "")),
            ("fail", 1, hook("SyncFail", "HookFailed")),
        ],
    );
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["a", "fail"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
    bench.restart();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0], "it runs on");
    becomes(&mut bench, "fail", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-fail"]);
    let operation = bench.operation("web");
    assert_eq!(operation.phase, OperationPhase::Failed);
    assert!(operation.message.contains("one or more objects failed to apply"), "{}", operation.message);
}

#[test]
fn a_failed_hook_ends_the_sync_and_a_retry_runs_all_of_them_anew() {
    let mut bench = Bench::new();
    made(&mut bench, &[("two", Health::Degraded)]);
    let mut assignment = put(
        &mut bench,
        &[("one", 1, hook("PreSync", "")), ("two", 1, hook("PreSync", "")), ("a", 1, json!({}))],
    );
    assignment.policy.retry = Some(crate::policy::Retry { limit: 1, ..Default::default() });
    bench.list.set(assignment);
    bench.desire();
    bench.pass(2_000);
    assert_eq!(written(&mut bench), ["one", "two"]);
    made(&mut bench, &[]);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-one", "-two", "one", "two", "a"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn a_hook_of_several_phases_runs_in_each() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("both", 1, hook("PreSync,PostSync", "")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["both", "a", "-both", "both"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn an_agent_that_is_killed_in_any_phase_runs_no_hook_twice() {
    for kill_at in ["pre", "a", "post"] {
        let mut bench = Bench::new();
        made(
            &mut bench,
            &[("pre", Health::Progressing), ("a", Health::Progressing), ("post", Health::Progressing)],
        );
        assign(
            &mut bench,
            &[
                ("pre", 1, hook("PreSync", "HookSucceeded")),
                ("a", 1, json!({})),
                ("post", 1, hook("PostSync", "HookSucceeded")),
            ],
        );
        for name in ["pre", "a", "post"] {
            bench.pass(10_000);
            assert_eq!(written(&mut bench), [name], "killed at {kill_at}");
            if name == kill_at {
                bench.restart();
                bench.pass(10_000);
                assert_eq!(written(&mut bench), [""; 0], "killed at {kill_at}");
            }
            becomes(&mut bench, name, Health::Healthy);
        }
        bench.pass(10_000);
        assert_eq!(written(&mut bench), ["-post", "-pre"]);
        assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
    }
}

#[test]
fn a_hook_whose_answer_was_lost_is_found_again() {
    let mut bench = Bench::new();
    made(&mut bench, &[("pre", Health::Progressing)]);
    bench.loses_answers = true;
    let assignment = put(&mut bench, &[("pre", 1, hook("PreSync", "")), ("a", 1, json!({}))]);
    bench.list.set(assignment);
    bench.desire();
    bench.loses_answers = false;
    bench.restart();
    bench.pass(600_000);
    becomes(&mut bench, "pre", Health::Healthy);
    bench.pass(60_000);
    assert_eq!(bench.uid("pre").as_deref(), Some("u1"), "one was made");
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn somebody_elses_object_is_no_hook_of_ours_to_delete() {
    let mut bench = Bench::new();
    let helm = Tracking::Other("Helm release shop/web".to_owned());
    bench.objects.insert(config("pre"), LiveMeta { tracking: helm, ..foreign(&config("pre"), "theirs", 5) });
    assign_without_retry(&mut bench, &[("pre", 1, hook("PreSync", "")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    assert_eq!(bench.objects[&config("pre")].uid, "theirs");
    assert_eq!(bench.operation("web").phase, OperationPhase::Failed);
    assert_eq!(written(&mut bench), [""; 0]);
}

#[test]
fn what_is_skipped_is_left_alone_whether_it_is_there_or_not() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("a", 1, json!({})), ("b", 1, json!({})), ("c", 1, json!({}))]);
    bench.pass(60_000);
    written(&mut bench);
    let skip = json!({"argocd.argoproj.io/hook": "Skip"});
    assign(&mut bench, &[("a", 1, json!({})), ("b", 2, skip.clone()), ("d", 1, skip), ("c", 1, json!({}))]);
    bench.pass(60_000);
    bench.meddle("b");
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    let status = bench.status("web");
    assert_eq!((status.sync, status.counts.total), (SyncStatus::Synced, 2));
}

#[test]
fn a_cascade_takes_hooks_along() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("pre", 1, hook("PreSync", "")), ("a", 1, json!({}))]);
    bench.pass(60_000);
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.cascade_confirmed = true;
    });
    bench.pass(60_000);
    assert!(bench.objects.is_empty(), "{:?}", bench.objects.keys());
}

#[test]
fn a_failed_sync_deletes_nothing_of_the_waves_that_it_did_not_reach_not_even_after_a_restart() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        let kept = [("x", 1, wave(0)), ("y", 1, wave(0)), ("z", 1, wave(0)), ("w", 1, wave(0))];
        assign(&mut bench, &[&[("a", 1, wave(0))][..], &kept[..]].concat());
        bench.pass(10_000);
        written(&mut bench);
        made(&mut bench, &[("pre", Health::Degraded), ("fail", Health::Progressing)]);
        let hooks = [("pre", 1, hook("PreSync", "")), ("fail", 1, hook("SyncFail", ""))];
        assign_without_retry(&mut bench, &[&hooks[..], &kept[..]].concat());
        bench.pass(3_000);
        if restart {
            bench.restart();
            bench.pass(3_000);
        }
        assert_eq!(written(&mut bench), ["pre", "fail"]);
        becomes(&mut bench, "fail", Health::Healthy);
        bench.pass(1_000);
        if restart {
            bench.restart();
        }
        bench.pass(3_600_000);
        assert_eq!(bench.operation("web").phase, OperationPhase::Failed);
        assert!(bench.objects.contains_key(&config("a")));
    }
}

#[test]
fn a_hook_that_is_looked_at_while_somebody_pauses_runs_after_it() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("pre", 1, hook("PreSync", "")), ("a", 1, json!({}))]);
    bench.pass(10_000);
    written(&mut bench);
    let first = bench.uid("pre").unwrap();
    bench.commands += 1;
    bench.reconciler.sync(CommandId::new([9; 16]), &app("web"), None, false);
    let asked = loop {
        let output = bench.reconciler.turn(&bench.store, now(bench.now)).unwrap();
        bench.store.commit(&output.ops);
        if let Some((id, request)) = output.requests.into_iter().next() {
            break (id, request);
        }
    };
    assert!(matches!(asked.1, Request::Get { .. }));
    bench.reconciler.set_paused(Some("paused".to_owned()));
    let answer = bench.answer(asked.1);
    bench.reconciler.answered(asked.0, answer, now(bench.now), &mut Dice(2));
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    bench.reconciler.set_paused(None);
    bench.settle();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-pre", "pre"]);
    assert_ne!(bench.uid("pre").unwrap(), first);
}

#[test]
fn a_hook_that_two_apps_have_is_run_by_the_first_and_reported_by_the_other() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("both", 1, hook("PreSync,PostSync", "")), ("a", 1, json!({}))]);
    bench.pass(10_000);
    written(&mut bench);
    let other = put(&mut bench, &[("both", 1, hook("PreSync,PostSync", "")), ("b", 1, json!({}))]);
    bench.list.set(Assignment { app: app("zoo"), ..other });
    bench.desire();
    bench.pass(600_000);
    assert_eq!(written(&mut bench), ["b"]);
    assert_eq!(bench.operation("zoo").phase, OperationPhase::Succeeded);
    let rows = &bench.operation("zoo").results;
    assert!(rows.iter().any(|row| row.code == crate::status::ResultCode::SharedSkipped), "{rows:?}");
}

#[test]
fn a_namespace_comes_before_the_first_hook_that_lives_in_it() {
    let mut bench = Bench::new();
    let namespace = ResourceKey::new("", "Namespace", "", "shop");
    let job = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "pre", "namespace": "shop", "annotations": hook("PreSync", "")}});
    let manifests = vec![
        (config("pre"), job),
        (namespace, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})),
    ];
    let assignment = bench.put_manifests("web", manifests);
    bench.list.set(assignment);
    bench.desire();
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["shop", "pre"]);
}

#[test]
fn a_hook_that_was_refused_did_not_run() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("pre", 1, hook("PreSync", "HookFailed")), ("a", 1, json!({}))]);
    bench.pass(10_000);
    written(&mut bench);
    bench.fails = Some(|request| refuses(request, "pre"));
    assign(&mut bench, &[("pre", 2, hook("PreSync", "HookFailed")), ("a", 2, json!({}))]);
    bench.pass(1_000);
    bench.restart();
    bench.pass(1_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
    assert_eq!(written(&mut bench), [""; 0], "a waits for a hook that runs");
}

/// Assigns a hook without a name.
fn nameless(bench: &mut Bench, phases: &str, policy: &str, value: u32) {
    let metadata = json!({"generateName": "job-", "namespace": "shop", "annotations": hook(phases, policy)});
    let manifest = |metadata: serde_json::Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": value}, "metadata": metadata});
    let objects = vec![
        (config("job-").nameless(0), manifest(metadata)),
        (config("a"), manifest(json!({"name": "a", "namespace": "shop"}))),
    ];
    let assignment = bench.put_manifests("web", objects);
    bench.list.set(assignment);
    bench.desire();
}

#[test]
fn a_hook_without_a_name_gets_another_one_in_each_phase_and_each_sync() {
    let mut bench = Bench::new();
    nameless(&mut bench, "PreSync,PostSync", "", 1);
    bench.pass(10_000);
    let first = written(&mut bench);
    let phases: Vec<String> =
        first.iter().map(|name| name.split('-').nth(2).unwrap_or(name).to_owned()).collect();
    assert_eq!(phases, ["presync", "a", "postsync"], "{first:?}");
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert_eq!(bench.status("web").counts.total, 1, "what hooks left is no part of the app");
    nameless(&mut bench, "PreSync,PostSync", "", 2);
    bench.pass(10_000);
    let second = written(&mut bench);
    assert_eq!(second.len(), 3);
    assert!(!second.contains(&first[0]) && !second.iter().any(|name| name.starts_with('-')), "{second:?}");
}

#[test]
fn a_hook_without_a_name_is_deleted_by_its_policy_and_with_its_app_but_never_pruned() {
    let mut bench = Bench::new();
    nameless(&mut bench, "PreSync", "HookSucceeded", 1);
    bench.pass(10_000);
    let done = written(&mut bench);
    assert_eq!(done.len(), 3);
    assert_eq!(done[2], format!("-{}", done[0]));
    nameless(&mut bench, "PreSync", "", 2);
    bench.pass(10_000);
    let left = written(&mut bench)[0].clone();
    bench.restart();
    bench.sync("web", true);
    bench.pass(10_000);
    assert!(!written(&mut bench).contains(&format!("-{left}")));
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.deletion = Some(DeletionId::new([3; 16]));
        assignment.cascade_confirmed = true;
    });
    bench.pass(10_000);
    assert!(written(&mut bench).contains(&format!("-{left}")));
}

#[test]
fn an_agent_that_is_killed_finds_its_hook_without_a_name_again() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| {
        matches!(request, Request::Apply { key, .. } if key.name == "a")
            .then(|| ApiError::Unreachable("cut".to_owned()))
    });
    nameless(&mut bench, "PreSync", "", 1);
    bench.pass(5_000);
    let before = written(&mut bench);
    assert!(before[0].starts_with("job-"), "{before:?}");
    for _ in 0..3 {
        bench.restart();
        bench.pass(5_000);
    }
    bench.fails = None;
    bench.pass(120_000);
    let after = written(&mut bench);
    assert!(after.iter().all(|name| name == "a"), "{after:?}");
}
