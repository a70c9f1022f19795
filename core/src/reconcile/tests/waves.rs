//! Waves: what follows what in a sync, and what each step waits for.

use super::*;
use crate::health::{Health, Verdict};

/// An object of an app: its name, its value and its annotations.
pub(super) type Piece = (&'static str, u32, serde_json::Value);

pub(super) fn wave(wave: i32) -> serde_json::Value {
    json!({"argocd.argoproj.io/sync-wave": wave.to_string()})
}

pub(super) fn put(bench: &mut Bench, objects: &[Piece]) -> Assignment {
    let manifest = |(name, value, annotations): &Piece| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": value},
            "metadata": {"name": name, "namespace": "shop", "annotations": annotations}});
        (config(name), body)
    };
    bench.put_manifests("web", objects.iter().map(manifest).collect())
}

pub(super) fn assign(bench: &mut Bench, objects: &[Piece]) {
    let assignment = put(bench, objects);
    bench.list.set(assignment);
    bench.desire();
}

/// Shows an object with this health.
pub(super) fn becomes(bench: &mut Bench, name: &str, health: Health) {
    bench.version += 1;
    let version = bench.version;
    let live = bench.objects.get_mut(&config(name)).unwrap();
    live.resource_version = version;
    live.health = Some(Verdict::new(health, "so it is"));
    let live = live.clone();
    bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    bench.settle();
}

/// Gives all writes so far, and forgets them.
pub(super) fn written(bench: &mut Bench) -> Vec<String> {
    let name = |request: Request| match request {
        Request::Apply { key, .. } => key.name.to_string(),
        Request::Delete { key, .. } => format!("-{}", key.name),
        Request::Get { .. }
        | Request::Try { .. }
        | Request::EnsureNamespace { .. }
        | Request::GiveUp { .. }
        | Request::Compare { .. } => String::new(),
    };
    std::mem::take(&mut bench.writes).into_iter().map(name).collect()
}

/// Refuses to apply one object.
pub(super) fn refuses(request: &Request, name: &str) -> Option<ApiError> {
    let refused = matches!(request, Request::Apply { key, .. } if key.name == name);
    refused.then(|| ApiError::Refused("no".to_owned()))
}

#[test]
fn a_wave_begins_when_the_one_before_it_is_healthy() {
    let mut bench = Bench::new();
    bench.healths = BTreeMap::from([("first", Health::Progressing)]);
    assign(&mut bench, &[("last", 1, wave(5)), ("first", 1, wave(-1)), ("middle", 1, json!({}))]);
    assert_eq!(written(&mut bench), ["first"]);
    bench.pass(3_600_000);
    assert_eq!(written(&mut bench), [""; 0], "it waits for as long as it takes");
    let operation = bench.operation("web").clone();
    assert_eq!(operation.phase, OperationPhase::Running);
    assert_eq!(operation.message, "waiting for healthy state of /ConfigMap/first");
    becomes(&mut bench, "first", Health::Healthy);
    assert_eq!(written(&mut bench), ["middle"]);
    bench.pass(1_900);
    assert_eq!(written(&mut bench), [""; 0], "its controllers get time to begin");
    bench.pass(200);
    assert_eq!(written(&mut bench), ["last"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn the_last_wave_is_not_waited_for() {
    let mut bench = Bench::new();
    bench.healths = BTreeMap::from([("b", Health::Progressing)]);
    assign(&mut bench, &[("a", 1, wave(1)), ("b", 1, wave(2))]);
    bench.pass(2_000);
    assert_eq!(written(&mut bench), ["a", "b"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn health_of_an_earlier_generation_opens_nothing() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("a", 1, wave(0)), ("b", 1, wave(1))]);
    bench.pass(2_000);
    written(&mut bench);
    let assignment = put(&mut bench, &[("a", 2, wave(0)), ("b", 2, wave(1))]);
    bench.list.set(assignment);
    bench.desire();
    assert_eq!(written(&mut bench), ["a"]);
    becomes(&mut bench, "a", Health::Healthy);
    let mut lagging = bench.objects[&config("a")].clone();
    lagging.lagging = true;
    lagging.resource_version += 1;
    let kind = lagging.key.group_kind();
    bench.reconciler.watched(&kind, WatchEvent::Seen(lagging.clone()), now(bench.now));
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    lagging.lagging = false;
    lagging.resource_version += 1;
    bench.reconciler.watched(&kind, WatchEvent::Seen(lagging), now(bench.now));
    bench.settle();
    assert_eq!(written(&mut bench), ["b"]);
}

#[test]
fn a_degraded_wave_fails_the_sync_before_the_next_one_and_it_is_tried_again() {
    let mut bench = Bench::new();
    bench.healths = BTreeMap::from([("b", Health::Degraded)]);
    let mut assignment = put(&mut bench, &[("a", 1, wave(0)), ("b", 1, wave(1)), ("c", 1, wave(2))]);
    assignment.policy.retry = Some(crate::policy::Retry { limit: 1, ..Default::default() });
    bench.list.set(assignment);
    bench.desire();
    bench.pass(3_000);
    assert_eq!(written(&mut bench), ["a", "b"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
    bench.pass(60_000);
    let operation = bench.operation("web").clone();
    assert_eq!((operation.phase, operation.retries), (OperationPhase::Failed, 1));
    let why = "one or more synchronization tasks completed unsuccessfully, reason: \
               /ConfigMap/b is Degraded: so it is (retried 1 times).";
    assert_eq!(operation.message, why);
    assert_eq!(written(&mut bench), [""; 0], "c is never applied");
}

#[test]
fn a_refused_apply_fails_its_wave_and_the_rest_of_that_wave_goes_on() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| refuses(request, "b"));
    let mut assignment =
        put(&mut bench, &[("a", 1, wave(0)), ("b", 1, wave(1)), ("b2", 1, wave(1)), ("c", 1, wave(2))]);
    assignment.policy.retry = Some(crate::policy::Retry { limit: 0, ..Default::default() });
    bench.list.set(assignment);
    bench.desire();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["a", "b2"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Failed);
}

#[test]
fn an_automated_sync_that_waits_for_health_gives_way_to_a_newer_release() {
    let mut bench = Bench::new();
    bench.healths = BTreeMap::from([("a", Health::Progressing)]);
    assign(&mut bench, &[("a", 1, wave(0)), ("b", 1, wave(1))]);
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["a"]);
    assign(&mut bench, &[("a", 2, wave(0)), ("b", 1, wave(1))]);
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["a"]);
}

#[test]
fn a_sync_that_was_asked_for_goes_on_until_somebody_asks_for_another_release() {
    let mut bench = Bench::new();
    bench.healths = BTreeMap::from([("a", Health::Progressing)]);
    let mut assignment = put(&mut bench, &[("a", 1, wave(0)), ("b", 1, wave(1))]);
    assignment.policy.automated = None;
    bench.list.set(assignment.clone());
    bench.desire();
    bench.sync("web", false);
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["a"]);
    bench.sync("web", false);
    assert_eq!(written(&mut bench), [""; 0], "it is in progress");
    let newer = put(&mut bench, &[("a", 2, wave(0)), ("b", 1, wave(1))]);
    bench.list.set(Assignment { policy: assignment.policy, ..newer });
    bench.desire();
    bench.pass(10_000);
    assert_eq!(written(&mut bench), [""; 0]);
    bench.sync("web", false);
    assert_eq!(written(&mut bench), ["a"]);
}

#[test]
fn nothing_is_deleted_before_the_sync_that_has_a_place_for_it_begins() {
    let mut bench = Bench::new();
    let kept = [("x", 1, wave(0)), ("y", 1, wave(0)), ("z", 1, wave(0))];
    assign(&mut bench, &[&[("a", 1, wave(0))][..], &kept[..]].concat());
    bench.pass(10_000);
    written(&mut bench);
    // A kind that is not listed yet keeps the sync from beginning.
    let secret = ResourceKey::new("", "Secret", "shop", "new");
    bench.unlisted.insert(secret.group_kind());
    let mut manifests = vec![(
        secret.clone(),
        json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "new", "namespace": "shop"}}),
    )];
    manifests.extend(["x", "y", "z"].map(|name| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": 1},
            "metadata": {"name": name, "namespace": "shop", "annotations": wave(0)}});
        (config(name), body)
    }));
    let mut assignment = bench.put_manifests("web", manifests);
    assignment.policy.prune_last = true;
    bench.list.set(assignment);
    bench.desire();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0]);
    bench.unlisted.clear();
    bench.settle();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["new", "-a"]);
}

#[test]
fn deletes_go_in_mirrored_waves_before_the_applies_of_their_wave() {
    let mut bench = Bench::new();
    let old = [("a", 1, wave(0)), ("b", 1, wave(1)), ("c", 1, wave(2))];
    let kept =
        [("x", 1, wave(0)), ("y", 1, wave(1)), ("z", 1, wave(2)), ("w", 1, wave(2)), ("v", 1, wave(2))];
    assign(&mut bench, &[&old[..], &kept[..]].concat());
    bench.pass(10_000);
    written(&mut bench);
    let newer =
        [("x", 2, wave(0)), ("y", 2, wave(1)), ("z", 2, wave(2)), ("w", 1, wave(2)), ("v", 1, wave(2))];
    assign(&mut bench, &newer);
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["-c", "x", "-b", "y", "-a", "z"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn what_is_to_be_pruned_last_goes_after_the_last_wave() {
    let mut bench = Bench::new();
    let last =
        json!({"argocd.argoproj.io/sync-wave": "-3", "argocd.argoproj.io/sync-options": "PruneLast=true"});
    let kept = [("x", 1, wave(0)), ("y", 1, wave(4)), ("z", 1, wave(4)), ("w", 1, wave(4))];
    assign(&mut bench, &[&[("a", 1, last), ("b", 1, wave(0))][..], &kept[..]].concat());
    bench.pass(10_000);
    written(&mut bench);
    assign(&mut bench, &[("x", 2, wave(0)), ("y", 2, wave(4)), ("z", 1, wave(4)), ("w", 1, wave(4))]);
    bench.pass(20_000);
    assert_eq!(written(&mut bench), ["-b", "x", "y", "-a"]);
}

#[test]
fn the_next_wave_waits_until_what_was_deleted_is_gone_over_a_restart_as_well() {
    let mut bench = Bench::new();
    let kept = [("x", 1, wave(0)), ("y", 1, wave(1)), ("z", 1, wave(1))];
    assign(&mut bench, &[&[("a", 1, wave(0))][..], &kept[..]].concat());
    bench.pass(10_000);
    written(&mut bench);
    bench.finalizers = true;
    assign(&mut bench, &[("x", 2, wave(0)), ("y", 2, wave(1)), ("z", 1, wave(1))]);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["-a", "x"]);
    assert_eq!(bench.operation("web").message, "waiting for deletion of /ConfigMap/a");
    bench.restart();
    bench.pass(60_000);
    assert_eq!(written(&mut bench), [""; 0], "a restart forgets nothing of it");
    assert_eq!(bench.operation("web").message, "waiting for deletion of /ConfigMap/a");
    bench.vanish("a");
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["y"]);
}

#[test]
fn after_a_restart_applies_wait_for_what_an_earlier_wave_deleted_answered_or_not() {
    for answered in [true, false] {
        let mut bench = Bench::new();
        assign(&mut bench, &[("a", 1, wave(-5)), ("x", 1, wave(0)), ("y", 1, wave(0))]);
        bench.pass(10_000);
        written(&mut bench);
        bench.finalizers = true;
        bench.loses_answers = !answered;
        assign(&mut bench, &[("x", 2, wave(0)), ("y", 1, wave(0))]);
        bench.pass(20_000);
        bench.loses_answers = false;
        assert_eq!(written(&mut bench), ["-a"]);
        bench.restart();
        bench.pass(600_000);
        assert_eq!(written(&mut bench), [""; 0], "answered: {answered}");
        assert_eq!(bench.operation("web").message, "waiting for deletion of /ConfigMap/a");
        bench.vanish("a");
        bench.pass(10_000);
        assert_eq!(written(&mut bench), ["x"]);
    }
}

#[test]
fn what_an_earlier_sync_deleted_and_is_not_gone_keeps_no_later_sync() {
    let mut bench = Bench::new();
    let kept = [("x", 1, wave(0)), ("y", 1, wave(1))];
    assign(&mut bench, &[&[("a", 1, wave(2))][..], &kept[..]].concat());
    bench.pass(10_000);
    bench.finalizers = true;
    assign(&mut bench, &kept);
    bench.pass(60_000);
    written(&mut bench);
    assert!(bench.objects[&config("a")].deleting, "it hangs on its finalizer");
    assign(&mut bench, &[("x", 2, wave(0)), ("y", 2, wave(1)), ("z", 2, wave(2))]);
    bench.pass(60_000);
    assert_eq!(written(&mut bench), ["x", "y", "z"]);
}

#[test]
fn deletes_of_a_wave_that_a_failed_sync_did_not_reach_are_left_to_the_next_sync() {
    let mut bench = Bench::new();
    let kept = [("x", 1, wave(0)), ("y", 1, wave(1)), ("z", 1, wave(1))];
    assign(&mut bench, &[&[("a", 1, wave(1)), ("b", 1, wave(0))][..], &kept[..]].concat());
    bench.pass(10_000);
    written(&mut bench);
    bench.fails = Some(|request| refuses(request, "x"));
    let mut assignment = put(&mut bench, &[("x", 2, wave(0)), ("y", 2, wave(1)), ("z", 1, wave(1))]);
    assignment.policy.retry = Some(crate::policy::Retry { limit: 0, ..Default::default() });
    bench.list.set(assignment);
    bench.desire();
    bench.pass(600_000);
    assert_eq!(written(&mut bench), ["-a"], "its own wave is mirrored to the first");
    bench.restart();
    bench.pass(600_000);
    assert_eq!(written(&mut bench), [""; 0]);
    bench.fails = None;
    bench.sync("web", false);
    bench.pass(600_000);
    assert_eq!(written(&mut bench), ["-b", "x", "y"], "waves are mirrored among what is left to delete");
}

#[test]
fn a_cascade_deletes_the_last_wave_first() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("a", 1, wave(-1)), ("b", 1, wave(7)), ("c", 1, wave(0))]);
    bench.pass(10_000);
    written(&mut bench);
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.cascade_confirmed = true;
    });
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["-b", "-c", "-a"]);
}

#[test]
fn a_cascade_waits_until_what_a_later_wave_had_is_gone() {
    let mut bench = Bench::new();
    assign(&mut bench, &[("a", 1, wave(-1)), ("b", 1, wave(7)), ("b2", 1, wave(7)), ("c", 1, wave(0))]);
    bench.pass(10_000);
    written(&mut bench);
    bench.finalizers = true;
    bench.fails = Some(|request| {
        let refused = matches!(request, Request::Delete { key, .. } if key.name == "b2");
        refused.then(|| ApiError::Refused("by a webhook".to_owned()))
    });
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.cascade_confirmed = true;
        assignment.deletion = Some(crate::ids::DeletionId::new([5; 16]));
    });
    bench.pass(600_000);
    assert_eq!(written(&mut bench), ["-b"], "an operator of the first wave may have to finish it");
    let why = bench.reconciler.why(&app("web"), &config("c"), now(bench.now));
    let why: Vec<&str> = why.iter().map(|line| line.message.as_str()).collect();
    assert!(why.contains(&"waiting for deletion of /ConfigMap/b"), "{why:?}");
    bench.restart();
    bench.pass(600_000);
    assert_eq!(written(&mut bench), [""; 0], "it is not forgotten");

    bench.vanish("b");
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["-c"], "what the API server refuses blocks nothing");
    bench.vanish("c");
    bench.fails = None;
    bench.pass(600_000);
    assert_eq!(written(&mut bench), ["-a", "-b2"]);
    bench.vanish("a");
    bench.vanish("b2");
    bench.pass(10_000);
    assert!(bench.status("web").emptied.is_some());
}

#[test]
fn a_cascade_waits_for_a_delete_that_got_no_answer() {
    for restarts in [false, true] {
        let mut bench = Bench::new();
        assign(&mut bench, &[("operator", 1, wave(0)), ("resource", 1, wave(7))]);
        bench.pass(10_000);
        written(&mut bench);
        bench.finalizers = true;
        bench.loses_answers = true;
        bench.change("web", |assignment| {
            assignment.phase = Phase::Deleting;
            assignment.cascade_confirmed = true;
            assignment.deletion = Some(crate::ids::DeletionId::new([5; 16]));
        });
        bench.pass(10_000);
        assert_eq!(written(&mut bench), ["-resource"]);
        bench.loses_answers = false;
        if restarts {
            bench.restart();
        }
        bench.pass(600_000);
        assert_eq!(written(&mut bench), [""; 0], "the operator may have to finish it");
        bench.vanish("resource");
        bench.pass(10_000);
        assert_eq!(written(&mut bench), ["-operator"]);
    }
}

#[test]
fn a_cascade_waits_for_an_apply_that_got_no_answer() {
    let mut bench = Bench::new();
    let operator = ("operator", 1, wave(0));
    assign(&mut bench, std::slice::from_ref(&operator));
    bench.pass(10_000);
    bench.finalizers = true;
    bench.loses_answers = true;
    assign(&mut bench, &[operator, ("resource", 1, wave(7))]);
    bench.pass(5_000);
    assert_eq!(written(&mut bench).last().unwrap(), "resource");
    bench.loses_answers = false;
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.cascade_confirmed = true;
        assignment.deletion = Some(crate::ids::DeletionId::new([5; 16]));
    });
    bench.pass(600_000);
    assert_eq!(written(&mut bench), ["-resource"], "the operator may have to finish it");
    bench.vanish("resource");
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["-operator"]);
}

#[test]
fn an_agent_that_is_killed_between_two_waves_goes_on_with_the_same_gate() {
    let mut bench = Bench::new();
    bench.healths = BTreeMap::from([("a", Health::Progressing)]);
    assign(&mut bench, &[("a", 1, wave(0)), ("b", 1, wave(1))]);
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["a"]);
    bench.restart();
    bench.pass(600_000);
    assert_eq!(written(&mut bench), [""; 0], "a is there and is not healthy yet");
    becomes(&mut bench, "a", Health::Healthy);
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["b"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn an_automated_sync_that_waits_for_its_next_try_goes_on_with_a_newer_release() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| refuses(request, "a"));
    assign(&mut bench, &[("a", 1, wave(0)), ("b", 1, wave(0))]);
    bench.fails = None;
    assert_eq!(written(&mut bench), ["b"]);
    assign(&mut bench, &[("a", 2, wave(0)), ("b", 1, wave(0))]);
    assert_eq!(written(&mut bench), ["a"], "at once");
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}
