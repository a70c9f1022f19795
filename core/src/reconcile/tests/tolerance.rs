//! Ignored differences: what concerns nothing else is no drift, and costs one request.

use super::*;
use crate::compare::{IgnoreRule, Ignored};
use crate::manifest::Manifest;

fn rule(pointer: &str) -> IgnoreRule {
    let ignored = Ignored { pointers: vec![pointer.to_owned()], ..Ignored::default() };
    IgnoreRule { kind: "ConfigMap".to_owned(), ignored, ..IgnoreRule::default() }
}

fn started() -> Bench {
    let mut bench = Bench::new();
    bench.compares.insert("a", None);
    let mut assignment = bench.put("web", &[("a", 1), ("b", 1)]);
    assignment.ignore = vec![rule("/data/v")];
    bench.list.set(assignment);
    bench.desire();
    bench
}

#[test]
fn a_change_of_ignored_fields_is_no_drift_and_is_asked_about_once() {
    let mut bench = started();
    let (writes, reads) = (bench.writes.len(), bench.reads);
    bench.meddle("a");
    assert_eq!((bench.writes.len(), bench.reads), (writes, reads + 1));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert!(bench.events.iter().all(|event| event.reason != "Drifted"));
    bench.pass(3_600_000);
    bench.restart();
    bench.pass(600_000);
    assert_eq!((bench.writes.len(), bench.reads), (writes, reads + 1), "also after a restart");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_value_that_is_ignored_in_part_is_asked_about_whenever_the_object_changes() {
    let mut bench = started();
    bench.partial = true;
    bench.meddle("a");
    let (writes, reads) = (bench.writes.len(), bench.reads);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    bench.meddle("a");
    assert_eq!((bench.writes.len(), bench.reads), (writes, reads + 1));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    bench.compares.insert("a", Some(String::new()));
    bench.meddle("a");
    assert_eq!(bench.writes.len(), writes + 1, "another part changed: healed");
}

#[test]
fn a_change_of_other_fields_is_healed_as_ever() {
    let mut bench = started();
    bench.compares.insert("a", Some(String::new()));
    let writes = bench.writes.len();
    bench.meddle("a");
    assert_eq!(bench.writes.len(), writes + 1);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert!(bench.events.iter().any(|event| event.reason == "Drifted"));
}

#[test]
fn rules_that_change_are_asked_about_anew() {
    let mut bench = started();
    bench.change("web", |assignment| assignment.policy.automated.as_mut().unwrap().self_heal = false);
    bench.meddle("a");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    bench.compares.insert("a", Some(String::new()));
    let reads = bench.reads;
    bench.change("web", |assignment| assignment.ignore = vec![rule("/data/w")]);
    assert_eq!((bench.status("web").sync, bench.reads), (SyncStatus::OutOfSync, reads + 1));
    bench.change("web", |assignment| assignment.ignore = Vec::new());
    assert_eq!((bench.status("web").sync, bench.reads), (SyncStatus::OutOfSync, reads + 1));
    bench.compares.insert("a", None);
    bench.change("web", |assignment| assignment.ignore = vec![rule("/data/v")]);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn what_cannot_be_told_is_unknown_and_not_healed() {
    let mut bench = started();
    bench.compares.insert("a", Some("the webhook refuses trials".to_owned()));
    let writes = bench.writes.len();
    bench.meddle("a");
    bench.pass(60_000);
    assert_eq!((bench.writes.len(), bench.status("web").sync), (writes, SyncStatus::Unknown));
    let row = &bench.status("web").resources[0];
    assert!(row.message.contains("only ignored fields changed: the webhook refuses trials"), "{row:?}");
    bench.compares.insert("a", None);
    bench.pass(600_000);
    assert_eq!((bench.writes.len(), bench.status("web").sync), (writes, SyncStatus::Synced));
}

#[test]
fn an_api_server_that_is_away_is_asked_again() {
    let mut bench = started();
    bench.fail = Some(ApiError::Unreachable("cut".to_owned()));
    bench.meddle("a");
    bench.pass(30_000);
    assert_eq!(bench.status("web").sync, SyncStatus::Unknown);
    bench.fail = None;
    bench.pass(15_000);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn what_changes_unseen_by_a_watch_is_looked_at_and_not_asked_about_for_ever() {
    let mut bench = started();
    bench.change("web", |assignment| assignment.policy.automated.as_mut().unwrap().self_heal = false);
    bench.meddle("a");
    let reads = bench.reads;
    bench.version += 1;
    let live = bench.objects.get_mut(&config("a")).unwrap();
    (live.resource_version, live.fingerprint) = (bench.version, Some(Digest::of(b"claimed")));
    bench.change("web", |assignment| assignment.ignore = vec![rule("/data/w")]);
    bench.pass(60_000);
    assert_eq!(
        (bench.status("web").sync, bench.reads),
        (SyncStatus::Synced, reads + 2),
        "one of them a look"
    );
}

#[test]
fn an_apply_respects_what_is_ignored_where_that_is_asked_for() {
    let mut bench = started();
    let respected = |bench: &Bench| match bench.writes.last().unwrap() {
        Request::Apply { respect, .. } => respect.clone(),
        other @ (Request::Get { .. }
        | Request::Try { .. }
        | Request::Delete { .. }
        | Request::EnsureNamespace { .. }
        | Request::GiveUp { .. }
        | Request::Compare { .. }) => panic!("{other:?}"),
    };
    assert_eq!(respected(&bench), None);
    let mut newer = bench.put("web", &[("a", 2), ("b", 1)]);
    newer.ignore = vec![rule("/data/v")];
    newer.policy.respect_ignored = true;
    bench.list.set(newer);
    bench.desire();
    assert_eq!(respected(&bench).unwrap().pointers, ["/data/v"]);
    bench.compares.insert("a", Some(String::new()));
    let writes = bench.writes.len();
    bench.meddle("a");
    assert_eq!(bench.writes.len(), writes + 1, "healed");
    assert_eq!(respected(&bench).unwrap().pointers, ["/data/v"]);
}

#[test]
fn an_extraneous_object_that_says_so_leaves_its_app_synced() {
    let mut bench = Bench::new();
    bench.annotations = json!({"argocd.argoproj.io/compare-options": "IgnoreExtraneous"});
    let checked = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "annotations": bench.annotations}});
    assert!(Manifest::try_from(checked).unwrap().options.ignore_extraneous);
    bench.assign_manual("web", &[("a", 1), ("b", 1)]);
    bench.sync("web", false);
    bench.assign_manual("web", &[("b", 1)]);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    let row = &bench.reconciler.rows(&app("web"), now(bench.now))[0];
    assert!(row.requires_pruning && row.status == SyncStatus::OutOfSync, "{row:?}");
}

#[test]
fn a_definition_that_changes_what_is_ours_and_takes_nothing_is_no_drift_and_no_write() {
    let mut bench = Bench::new();
    let widget = GroupKind::new("example.com", "Widget");
    let known = kinds().into_iter().chain([(widget.clone(), KindInfo { namespaced: true })]).collect();
    bench.reconciler.set_kinds(known, BTreeSet::new(), &bench.store, now(bench.now)).unwrap();
    let key = ResourceKey::new("example.com", "Widget", "shop", "w");
    let body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": {"size": 1},
        "metadata": {"name": "w", "namespace": "shop"}});
    let assignment = bench.put_manifests("web", vec![(key.clone(), body)]);
    bench.list.set(assignment);
    bench.desire();
    assert_eq!(bench.writes.len(), 1);

    let rewrite = |bench: &mut Bench| {
        bench.version += 1;
        let version = bench.version;
        let live = bench.objects.get_mut(&key).unwrap();
        live.resource_version = version;
        live.fingerprint = Some(Digest::of(&version.to_be_bytes()));
        let live = live.clone();
        bench.reconciler.watched(&widget, WatchEvent::Seen(live), now(bench.now));
        bench.settle();
    };
    bench.compares.insert("w", None);
    let reads = bench.reads;
    rewrite(&mut bench);
    bench.pass(600_000);
    assert_eq!((bench.writes.len(), bench.reads), (1, reads + 1), "it is asked about once");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert!(bench.events.iter().all(|event| event.reason != "Drifted"), "{:?}", bench.events);
    bench.compares.insert("w", Some(String::new()));
    rewrite(&mut bench);
    assert_eq!(bench.writes.len(), 2, "a value was lost: it is healed");
    bench.compares.insert("w", Some("a webhook refuses trials".to_owned()));
    rewrite(&mut bench);
    assert_eq!(bench.writes.len(), 3, "it cannot be told: it is healed");
}
