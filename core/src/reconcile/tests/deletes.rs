//! Deletes: what is kept, what is too much, what was asked for, and what the API server puts in the way.

use super::*;
use crate::status::{Held, ResultCode};

const MANY: usize = 30;

fn name(app: usize) -> String {
    format!("app{app}")
}

/// Many apps that each lose one of their two objects at the same time.
fn lose_one_each(bench: &mut Bench) {
    for number in 0..MANY {
        let (stays, goes) = (format!("stays{number}"), format!("goes{number}"));
        bench.assign(&name(number), &[(&stays, 1), (&goes, 1)]);
    }
    for number in 0..MANY {
        let fewer = bench.put(&name(number), &[(&format!("stays{number}"), 1)]);
        bench.list.set(fewer);
    }
    bench.desire();
}

fn held(bench: &Bench, name: &str) -> Held {
    bench.status(name).held.clone().unwrap()
}

fn refuse_deletes(request: &Request) -> Option<ApiError> {
    matches!(request, Request::Delete { .. }).then(|| ApiError::Refused("a webhook says no".to_owned()))
}

fn no_deletes_now(request: &Request) -> Option<ApiError> {
    matches!(request, Request::Delete { .. })
        .then(|| ApiError::Unavailable { message: "429".to_owned(), retry_after: None })
}

#[test]
fn what_helm_keeps_is_neither_pruned_nor_deleted_with_its_app() {
    let mut bench = Bench::new();
    bench.annotations = json!({"helm.sh/resource-policy": "keep"});
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.cascade_confirmed = true;
    });
    bench.pass(600_000);
    assert_eq!((bench.deletes(), bench.objects.len()), (0, 3));
}

#[test]
fn what_is_kept_stays_when_the_store_is_lost_while_its_app_is_deleted() {
    let mut bench = Bench::new();
    bench.annotations = json!({"argocd.argoproj.io/sync-options": "Delete=false"});
    bench.assign("web", &[("a", 1)]);
    for key in bench.store.keys(tables::INVENTORY).unwrap() {
        bench.store.commit(&[StoreOp::delete(tables::INVENTORY, key)]);
    }
    let mut gone = bench.list.get(&app("web")).unwrap().clone();
    gone.phase = Phase::Deleting;
    gone.cascade_confirmed = true;
    bench.list.set(gone);
    bench.restart();
    bench.assign("other", &[("z", 1)]);
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 0);
}

#[test]
fn the_hour_is_shared_by_all_apps_of_the_cluster() {
    let mut bench = Bench::new();
    lose_one_each(&mut bench);
    assert_eq!(bench.deletes(), 10);
    let held: Vec<String> = (0..MANY).map(name).filter(|name| bench.status(name).held.is_some()).collect();
    assert_eq!(held.len(), MANY - 10);
    let plan = bench.status(&held[0]).held.clone().unwrap().plan;
    bench.reconciler.confirm(&app(&held[0]), plan).unwrap();
    bench.settle();
    assert_eq!(bench.deletes(), 11);
}

#[test]
fn deletes_whose_answers_are_lost_use_up_the_hour_over_restarts() {
    let mut bench = Bench::new();
    bench.loses_answers = false;
    for number in 0..MANY {
        let (stays, goes) = (format!("stays{number}"), format!("goes{number}"));
        bench.assign(&name(number), &[(&stays, 1), (&goes, 1)]);
    }
    bench.loses_answers = true;
    lose_one_each(&mut bench);
    assert_eq!(bench.deletes(), 10);
    bench.restart();
    assert_eq!(bench.deletes(), 10);
    bench.loses_answers = false;
    bench.pass(600_000);
    bench.restart();
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 10, "what was found gone is counted");
}

#[test]
fn a_manual_prune_that_is_held_can_be_confirmed_after_its_sync_has_ended() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]);
    bench.sync("web", false);
    bench.assign_manual("web", &[("a", 1)]);
    bench.sync("web", true);
    let held = held(&bench, "web");
    assert_eq!((held.deletes.len(), bench.deletes()), (4, 0));
    let operation = bench.operation("web");
    assert_eq!(operation.phase, OperationPhase::Succeeded);
    assert!(operation.message.contains("4 deletes are held"), "{operation:?}");
    let skipped: Vec<_> =
        operation.results.iter().filter(|row| row.code == ResultCode::PruneSkipped).collect();
    assert_eq!(skipped.len(), 4);
    assert!(skipped[0].message.contains(&held.plan.to_string()), "{skipped:?}");

    bench.restart();
    bench.pass(600_000);
    assert_eq!(bench.status("web").held.as_ref(), Some(&held));
    bench.reconciler.confirm(&app("web"), held.plan).unwrap();
    bench.settle();
    assert_eq!(bench.deletes(), 4);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_manual_prune_is_void_once_the_release_is_another_one_even_if_it_comes_back() {
    let mut bench = Bench::new();
    let all = [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)];
    bench.assign_manual("web", &all);
    bench.sync("web", false);
    bench.assign_manual("web", &[("a", 1)]);
    bench.sync("web", true);
    assert!(bench.status("web").held.is_some());
    bench.assign_manual("web", &[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    assert!(bench.status("web").held.is_none());
    bench.assign_manual("web", &[("a", 1)]);
    bench.pass(600_000);
    assert!(bench.status("web").held.is_none() && bench.deletes() == 0);
}

#[test]
fn a_manual_prune_takes_nothing_that_its_own_release_holds() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.sync("web", false);
    bench.fails = Some(|request| {
        matches!(request, Request::Apply { .. })
            .then(|| ApiError::Unavailable { message: "503".to_owned(), retry_after: None })
    });
    bench.assign_manual("web", &[("a", 2), ("b", 1)]);
    bench.sync("web", true);
    bench.assign_manual("web", &[("a", 3)]);
    bench.fails = None;
    bench.pass(60_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
    assert!(bench.uid("b").is_some() && bench.uid("c").is_none());
}

#[test]
fn an_automated_sync_says_which_deletes_are_held_and_by_what() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]);
    bench.assign("web", &[("a", 1)]);
    let plan = held(&bench, "web").plan.to_string();
    let rows = &bench.operation("web").results;
    let held = rows.iter().filter(|row| row.code == ResultCode::PruneSkipped && row.message.contains(&plan));
    assert_eq!(held.count(), 4, "{rows:?}");
}

#[test]
fn a_manual_prune_lasts_as_long_as_the_api_server_is_away() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.sync("web", false);
    bench.assign_manual("web", &[("a", 1), ("b", 1)]);
    bench.fails = Some(no_deletes_now);
    bench.sync("web", true);
    bench.pass(120_000);
    let operation = bench.operation("web");
    assert_eq!(operation.phase, OperationPhase::Running);
    assert!(operation.message.contains("wait for the API server"), "{operation:?}");
    bench.fails = None;
    bench.pass(60_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
    assert_eq!(bench.deletes(), 1);
}

#[test]
fn a_manual_prune_whose_answer_is_lost_is_judged_before_it_ends() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.sync("web", false);
    bench.assign_manual("web", &[("a", 1), ("b", 1)]);
    bench.loses_answers = true;
    bench.sync("web", true);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
    bench.loses_answers = false;
    bench.pass(80_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running, "it may still be under way");
    bench.pass(40_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
    assert_eq!((bench.deletes(), bench.objects.len()), (1, 2));
}

#[test]
fn a_delete_that_is_refused_fails_its_sync_and_the_next_sync_tries_it_again() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.sync("web", false);
    bench.assign_manual("web", &[("a", 1), ("b", 1)]);
    bench.fails = Some(refuse_deletes);
    bench.sync("web", true);
    let operation = bench.operation("web");
    assert_eq!(operation.phase, OperationPhase::Failed);
    assert!(operation.message.contains("a webhook says no"), "{operation:?}");
    bench.sync("web", true);
    assert_eq!(bench.operation("web").phase, OperationPhase::Failed, "it was tried again at once");
    bench.fails = None;
    bench.sync("web", true);
    assert_eq!((bench.operation("web").phase, bench.deletes()), (OperationPhase::Succeeded, 1));
}

#[test]
fn an_automated_sync_whose_deletes_wait_goes_on_with_the_newest_release() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.fails = Some(no_deletes_now);
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.pass(60_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
    bench.assign("web", &[("a", 2), ("b", 1)]);
    bench.pass(60_000);
    assert_eq!(
        bench.objects[&config("a")].fingerprint,
        bench.reconciler.inventory()[&config("a")].fingerprint
    );
    assert_eq!(bench.operation("web").root, bench.list.get(&app("web")).unwrap().root);
}

#[test]
fn what_another_app_owns_is_named_by_the_sync_that_left_it() {
    let mut bench = Bench::new();
    bench.assign("one", &[("a", 1)]);
    bench.assign("two", &[("a", 2), ("b", 1)]);
    let operation = bench.operation("two");
    assert_eq!(operation.phase, OperationPhase::Succeeded);
    assert!(operation.message.contains("1 objects were not applied"), "{operation:?}");
    let row = operation.results.iter().find(|row| row.key == config("a")).unwrap();
    assert_eq!(row.code, ResultCode::SharedSkipped);
    assert!(row.message.contains("argocd/one"), "{row:?}");
}

#[test]
fn a_sync_that_does_not_prune_tells_what_it_leaves() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.sync("web", false);
    bench.assign_manual("web", &[("a", 1)]);
    bench.sync("web", false);
    let operation = bench.operation("web");
    let told = |row: &crate::status::ResultRow| (row.key.name.to_string(), row.code, row.message.clone());
    let rows: Vec<_> = operation.results.iter().map(told).collect();
    let left =
        |name: &str| (name.to_owned(), ResultCode::PruneSkipped, "ignored (requires pruning)".to_owned());
    assert_eq!(rows, [left("b"), left("c")]);
    assert_eq!((operation.phase, bench.deletes()), (OperationPhase::Succeeded, 0));
    bench.sync("web", true);
    bench.pass(10_000);
    assert_eq!(bench.deletes(), 2);
    assert!(bench.operation("web").results.iter().all(|row| row.code == ResultCode::Pruned));
}

#[test]
fn what_is_not_to_be_pruned_is_told_by_a_sync_that_prunes() {
    let mut bench = Bench::new();
    bench.annotations = json!({"argocd.argoproj.io/sync-options": "Prune=false"});
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.assign("web", &[("a", 2)]);
    bench.pass(10_000);
    let rows = &bench.operation("web").results;
    let row = rows.iter().find(|row| row.key == config("b")).unwrap();
    assert_eq!((row.code, row.message.as_str()), (ResultCode::PruneSkipped, "ignored (no prune)"));
}

#[test]
fn what_is_no_part_of_an_application_any_more_is_let_go_and_never_deleted() {
    let lease = ResourceKey::new("coordination.k8s.io", "Lease", "shop", "leader");
    let mut bench = Bench::new();
    let mut served = kinds();
    served.insert(lease.group_kind(), KindInfo { namespaced: true });
    let piece = |key: &ResourceKey, api: &str| {
        let metadata = json!({"name": &*key.name, "namespace": "shop"});
        (key.clone(), json!({"apiVersion": api, "kind": &*key.kind, "metadata": metadata}))
    };
    let all = ["a", "b", "c"].map(|name| piece(&config(name), "v1"));
    let with_lease = all.iter().cloned().chain([piece(&lease, "coordination.k8s.io/v1")]).collect();
    let assignment = bench.put_manifests("web", with_lease);
    bench.list.set(assignment);
    bench.desire();
    assert!(!bench.objects.contains_key(&lease), "it is passed over, whatever the hub sends");

    // An earlier version made it.
    let live = bench.objects[&config("a")].clone();
    let tracking = match live.tracking {
        Tracking::Ours { installation, app, .. } => {
            Tracking::Ours { installation, app, names: lease.clone() }
        }
        other @ (Tracking::None | Tracking::Other(_)) => other,
    };
    bench.objects.insert(lease.clone(), LiveMeta { key: lease.clone(), tracking, ..live });
    let entry = bench.store.get(tables::INVENTORY, &encode(&config("a"))).unwrap().unwrap();
    bench.store.commit(&[StoreOp::Put { table: tables::INVENTORY, key: encode(&lease), value: entry }]);
    bench.restart();
    let now = now(bench.now);
    bench.reconciler.set_kinds(served, BTreeSet::new(), &bench.store, now).unwrap();
    for objects in [all[..2].to_vec(), all.to_vec()] {
        let assignment = bench.put_manifests("web", objects);
        bench.list.set(assignment);
        bench.desire();
        bench.pass(10_000);
    }
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.cascade_confirmed = true;
    });
    bench.pass(600_000);
    assert!(bench.objects.keys().eq([&lease]), "{:?}", bench.objects.keys());
}

#[test]
fn a_deletion_that_waits_for_a_later_wave_uses_up_no_hour_of_the_others() {
    let mut bench = Bench::new();
    let wave = |wave: i32| json!({"argocd.argoproj.io/sync-wave": wave.to_string()});
    let piece = |name: &str, annotations: &serde_json::Value| {
        let metadata = json!({"name": name, "namespace": "shop", "annotations": annotations});
        (config(name), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}))
    };
    let kept = json!({"argocd.argoproj.io/sync-options": "Delete=false"});
    let names: Vec<String> = (0..9).map(|number| format!("first{number}")).collect();
    let stay: Vec<String> = (0..12).map(|number| format!("stay{number}")).collect();
    let mut objects = vec![piece("last", &wave(3))];
    objects.extend(names.iter().map(|name| piece(name, &wave(0))));
    objects.extend(stay.iter().map(|name| piece(name, &kept)));
    let operator = bench.put_manifests("operator", objects);
    bench.list.set(operator);
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]);
    bench.pass(10_000);
    bench.finalizers = true;
    bench.change("operator", |assignment| assignment.phase = Phase::Deleting);
    bench.pass(60_000);
    let deleted: Vec<_> =
        bench.objects.values().filter(|live| live.deleting).map(|live| &*live.key.name).collect();
    assert_eq!(deleted, ["last"], "the rest waits for its finalizer");
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.pass(60_000);
    assert_eq!((bench.deletes(), bench.status("web").held.clone()), (3, None));
}
