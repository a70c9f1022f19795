//! Sync options, the trial before the first write, and the end of a sync before its time.

use super::hooks::{hook, made};
use super::waves::{Piece, assign, becomes, put, wave, written};
use super::*;
use crate::health::Health;
use crate::ids::DeletionId;
use crate::policy::{Consent, Retry};
use crate::status::ResultCode;

fn option(option: &str) -> serde_json::Value {
    json!({"argocd.argoproj.io/sync-options": option})
}

fn plain(names: &[&'static str]) -> Vec<Piece> {
    names.iter().map(|name| (*name, 1, json!({}))).collect()
}

/// Says no to the trial of an object named b.
fn no_b(request: &Request) -> Option<ApiError> {
    let refused = matches!(request, Request::Try { key, .. } if key.name == "b");
    refused.then(|| ApiError::Refused("b does not fit".to_owned()))
}

fn without_retry(mut assignment: Assignment) -> Assignment {
    assignment.policy.retry = Some(Retry { limit: 0, ..Default::default() });
    assignment
}

fn set(bench: &mut Bench, assignment: Assignment) {
    bench.list.set(assignment);
    bench.desire();
}

fn trials(bench: &Bench) -> usize {
    bench.requests - bench.reads - bench.writes.len()
}

#[test]
fn a_sync_of_which_one_object_is_refused_writes_and_deletes_nothing() {
    let mut bench = Bench::new();
    assign(&mut bench, &plain(&["a", "gone", "x", "y"]));
    written(&mut bench);
    bench.fails = Some(no_b);
    let pieces = [("a", 2, wave(-1)), ("b", 1, wave(3)), ("x", 1, json!({})), ("y", 1, json!({}))];
    let assignment = without_retry(put(&mut bench, &pieces));
    set(&mut bench, assignment);
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    let operation = bench.operation("web").clone();
    assert_eq!(operation.phase, OperationPhase::Failed);
    assert!(
        operation.message.contains("failed to apply (dry run), reason: /ConfigMap/shop/b"),
        "{operation:?}"
    );
    let failed: Vec<_> = operation.results.iter().map(|row| (row.key.name.as_str(), row.code)).collect();
    assert_eq!(failed, [("b", ResultCode::SyncFailed)]);
    bench.restart();
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0], "what it was to delete waits for a sync that gets that far");
    bench.fails = None;
    bench.sync("web", true);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["a", "-gone", "b"]);
}

#[test]
fn a_trial_asks_whether_a_kind_that_a_definition_states_is_served_by_now() {
    let mut bench = Bench::new();
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets"}, "versions": [{"name": "v1", "served": true}]}});
    let name =
        ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "widgets.example.com");
    let assignment = bench.put_manifests("kinds", vec![(name, definition)]);
    set(&mut bench, assignment);
    let widget = ResourceKey::new("example.com", "Widget", "shop", "w");
    let stated = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
    let plain = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}});
    bench.fails = Some(|request| {
        matches!(request, Request::Try { .. }).then(|| ApiError::Refused("does not fit".to_owned()))
    });
    let assignment = bench.put_manifests("web", vec![(config("b"), plain), (widget.clone(), stated)]);
    let before = bench.discoveries;
    set(&mut bench, assignment);
    assert!(bench.discoveries > before, "its own turn never comes");
    let refused = |bench: &Bench| {
        bench.status("web").resources.iter().any(|row| row.key == widget && !row.message.is_empty())
    };
    assert!(!refused(&bench), "nobody could ask");
    let mut served = kinds();
    served.insert(widget.group_kind(), KindInfo { namespaced: true });
    bench.reconciler.set_kinds(served, BTreeSet::new(), &bench.store, now(bench.now)).unwrap();
    bench.pass(600_000);
    assert!(refused(&bench), "{:#?}", bench.status("web").resources);
}

#[test]
fn every_refusal_of_a_trial_is_told_and_stays_told_while_it_is_tried_again() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| {
        matches!(request, Request::Try { key, .. } if key.name != "a")
            .then(|| ApiError::Refused("does not fit".to_owned()))
    });
    assign(&mut bench, &plain(&["a", "b", "c"]));
    for _ in 0..20 {
        bench.pass(5_000);
        let told = bench.status("web").resources.iter().filter(|row| row.message.contains("does not fit"));
        assert_eq!(told.count(), 2);
    }
    bench.fails = None;
    bench.pass(600_000);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert!(bench.status("web").resources.is_empty());
}

#[test]
fn a_single_object_is_its_own_trial() {
    let mut bench = Bench::new();
    assign(&mut bench, &plain(&["a", "b"]));
    let before = trials(&bench);
    assert_eq!(before, 2);
    assign(&mut bench, &[("a", 2, json!({})), ("b", 1, json!({}))]);
    assert_eq!(trials(&bench), before);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_trial_that_the_api_server_does_not_answer_is_made_again_and_gives_way_to_a_newer_release() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| {
        matches!(request, Request::Try { .. }).then(|| ApiError::Unreachable("cut".to_owned()))
    });
    assign(&mut bench, &plain(&["a", "b"]));
    bench.pass(120_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert!(bench.operation("web").message.contains("waits for the API server"));
    assign(&mut bench, &plain(&["c", "d"]));
    bench.pass(60_000);
    bench.fails = None;
    bench.pass(15_000);
    assert_eq!(written(&mut bench), ["c", "d"]);
    assert_eq!(bench.operation("web").retries, 0);
}

#[test]
fn an_object_of_an_unknown_kind_fails_the_sync_unless_it_is_not_to_be_tried() {
    let gadget = |options: serde_json::Value| {
        let body = json!({"apiVersion": "acme.io/v1", "kind": "Gadget",
            "metadata": {"name": "g", "namespace": "shop", "annotations": options}});
        (ResourceKey::new("acme.io", "Gadget", "shop", "g"), body)
    };
    let map = || {
        let body =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}});
        (config("a"), body)
    };
    for (own, of_app, expected) in [
        (json!({}), false, &[][..]),
        (option("SkipDryRunOnMissingResource=true"), false, &["a"]),
        (json!({}), true, &["a"]),
    ] {
        let mut bench = Bench::new();
        let mut assignment = without_retry(bench.put_manifests("web", vec![gadget(own), map()]));
        assignment.policy.skip_dry_run = of_app;
        set(&mut bench, assignment);
        bench.pass(60_000);
        assert_eq!(written(&mut bench), expected);
        let operation = bench.operation("web");
        assert_eq!(operation.phase, OperationPhase::Failed);
        assert!(operation.message.contains("does not serve the kind"), "{operation:?}");
    }
}

#[test]
fn while_a_refused_sync_waits_for_its_retry_drift_is_healed() {
    let mut bench = Bench::new();
    assign(&mut bench, &plain(&["a", "c"]));
    written(&mut bench);
    bench.fails = Some(no_b);
    let mut assignment = put(&mut bench, &[("a", 2, json!({})), ("b", 1, json!({})), ("c", 1, json!({}))]);
    assignment.policy.retry = Some(Retry { limit: -1, delay_ms: 600_000, ..Default::default() });
    set(&mut bench, assignment);
    bench.meddle("a");
    bench.meddle("c");
    assert_eq!(written(&mut bench), ["a", "c"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
}

#[test]
fn prune_and_delete_are_as_the_object_says_and_else_as_its_app_does() {
    let cases = [
        // the app's, the object's, what is deleted unasked, what is held
        (Consent::Given, "", 1, 0),
        (Consent::Refused, "", 0, 0),
        (Consent::Asked, "", 0, 1),
        (Consent::Given, "Prune=false", 0, 0),
        (Consent::Refused, "Prune=true", 1, 0),
        (Consent::Refused, "Prune=confirm", 0, 1),
        (Consent::Asked, "Prune=true", 1, 0),
    ];
    for (consent, own, deleted, held) in cases {
        let mut bench = Bench::new();
        let pieces = |more: &[&'static str]| {
            let all = ["a", "b", "c", "d"].iter().chain(more);
            all.map(|name| (*name, 1, option(own))).collect::<Vec<Piece>>()
        };
        for more in [&["gone"][..], &[]] {
            let mut assignment = put(&mut bench, &pieces(more));
            assignment.policy.prune = consent;
            set(&mut bench, assignment);
        }
        bench.pass(600_000);
        let count = bench.status("web").held.as_ref().map_or(0, |held| held.deletes.len());
        assert_eq!((bench.deletes(), count), (deleted, held), "{consent:?} {own:?}");
        if let Some(held) = bench.status("web").held.clone() {
            assert!(held.reason.contains("asks for a confirmation"), "{held:?}");
            bench.sync("web", true);
            bench.pass(60_000);
            assert_eq!(bench.deletes(), 0, "to ask for a prune confirms nothing");
            bench.reconciler.confirm(&app("web"), held.plan).unwrap();
            bench.settle();
            assert_eq!(bench.deletes(), 1);
        }
    }
}

#[test]
fn an_app_that_is_deleted_leaves_what_must_stay_and_is_empty_all_the_same() {
    let deletion = DeletionId::new([5; 16]);
    for (consent, own, deleted, held) in [
        (Consent::Refused, "", 0, 0),
        (Consent::Refused, "Delete=true", 2, 0),
        (Consent::Asked, "", 0, 2),
        (Consent::Given, "Delete=confirm", 0, 2),
        (Consent::Given, "Prune=confirm", 2, 0),
    ] {
        let mut bench = Bench::new();
        let mut assignment = put(&mut bench, &[("a", 1, option(own)), ("b", 1, option(own))]);
        assignment.policy.delete = consent;
        set(&mut bench, assignment);
        bench.change("web", |assignment| {
            assignment.phase = Phase::Deleting;
            assignment.cascade_confirmed = true;
            assignment.deletion = Some(deletion);
        });
        bench.pass(600_000);
        let count = bench.status("web").held.as_ref().map_or(0, |held| held.deletes.len());
        assert_eq!((bench.deletes(), count), (deleted, held), "{consent:?} {own:?}");
        let emptied = bench.status("web").emptied;
        assert_eq!(emptied, (held == 0).then_some(deletion), "{consent:?} {own:?}");
    }
}

#[test]
fn a_shared_object_fails_the_whole_sync_where_the_app_says_so() {
    let mut bench = Bench::new();
    bench.assign("one", &[("a", 1)]);
    written(&mut bench);
    let mut assignment = without_retry(bench.put("two", &[("a", 2), ("b", 1)]));
    assignment.policy.fail_on_shared = true;
    set(&mut bench, assignment);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    let operation = bench.operation("two");
    assert_eq!(operation.phase, OperationPhase::Failed);
    assert_eq!(operation.message, "Shared resource found: /ConfigMap/shop/a is owned by app argocd/one");
}

#[test]
fn validation_is_off_for_what_says_so_also_when_it_is_healed() {
    let checks = |bench: &mut Bench| -> Vec<bool> {
        let all = std::mem::take(&mut bench.writes).into_iter();
        all.filter_map(|request| match request {
            Request::Apply { unvalidated, .. } => Some(unvalidated),
            Request::Get { .. }
            | Request::Try { .. }
            | Request::Delete { .. }
            | Request::EnsureNamespace { .. }
            | Request::GiveUp { .. }
            | Request::Compare { .. } => None,
        })
        .collect()
    };
    let mut bench = Bench::new();
    assign(&mut bench, &[("a", 1, option("Validate=false")), ("b", 1, json!({}))]);
    assert_eq!(checks(&mut bench), [true, false]);
    bench.meddle("a");
    bench.meddle("b");
    assert_eq!(checks(&mut bench), [true, false]);
    let mut assignment = put(&mut bench, &[("a", 2, option("Validate=true")), ("b", 2, json!({}))]);
    assignment.policy.unvalidated = true;
    set(&mut bench, assignment);
    assert_eq!(checks(&mut bench), [false, true]);
}

#[test]
fn a_sync_that_somebody_ends_writes_nothing_more_deletes_its_hooks_and_is_not_tried_again() {
    for restarts in [false, true] {
        let mut bench = Bench::new();
        made(&mut bench, &[("mid", Health::Progressing)]);
        assign(
            &mut bench,
            &[("a", 1, json!({})), ("mid", 1, hook("Sync", "HookSucceeded")), ("z", 1, wave(1))],
        );
        assert_eq!(written(&mut bench), ["a", "mid"]);
        bench.reconciler.terminate(&app("web")).unwrap();
        if restarts {
            let output = bench.reconciler.take_output();
            bench.store.commit(&output.ops);
            bench.restart();
        }
        bench.settle();
        bench.pass(3_600_000);
        assert_eq!(written(&mut bench), ["-mid"]);
        let operation = bench.operation("web").clone();
        assert_eq!(
            (operation.phase, operation.message.as_str()),
            (OperationPhase::Failed, "Operation terminated")
        );
        let again = bench.reconciler.terminate(&app("web")).unwrap_err();
        assert!(again.contains("No operation is in progress"), "{again}");
        assign(&mut bench, &[("a", 2, json!({}))]);
        assert_eq!(written(&mut bench), ["a"], "a newer release is synced");
    }
}

#[test]
fn a_sync_that_waits_for_its_retry_or_for_the_api_server_can_be_ended() {
    let mut bench = Bench::new();
    bench.fails = Some(no_b);
    assign(&mut bench, &plain(&["a", "b"]));
    assert_eq!(bench.operation("web").phase, OperationPhase::Running, "it waits for its retry");
    bench.reconciler.terminate(&app("web")).unwrap();
    bench.settle();
    assert_eq!(bench.operation("web").message, "Operation terminated");
    let mut bench = Bench::new();
    bench.fail = Some(ApiError::Unreachable("cut".to_owned()));
    assign(&mut bench, &plain(&["a", "b"]));
    bench.reconciler.terminate(&app("web")).unwrap();
    bench.pass(60_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Failed);
    bench.fail = None;
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0]);
}

#[test]
fn what_was_to_be_deleted_stays_when_the_sync_is_ended_before() {
    let mut bench = Bench::new();
    assign(&mut bench, &plain(&["a", "b", "c", "gone"]));
    written(&mut bench);
    bench.healths = BTreeMap::from([("a", Health::Progressing)]);
    let pieces = [("a", 2, wave(-1)), ("b", 2, json!({})), ("c", 1, json!({}))];
    assign(&mut bench, &pieces);
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["a"]);
    bench.reconciler.terminate(&app("web")).unwrap();
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    assert!(bench.objects.contains_key(&config("gone")));
    becomes(&mut bench, "a", Health::Healthy);
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0]);
}
