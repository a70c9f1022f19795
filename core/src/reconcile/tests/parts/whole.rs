//! A whole object that is stated in part from now on: its app lets go of the rest, and deletes nothing.

use super::*;

fn part() -> ResourceKey {
    config("a").with_part("mesh")
}

fn is_kept(bench: &Bench) -> bool {
    let kept =
        |event: &Event| event.reason == "Kept" && event.message.contains("only a part of it is stated");
    bench.events.iter().any(kept)
}

#[test]
fn an_object_that_its_app_states_in_part_from_now_on_is_not_deleted() {
    for prune in [true, false] {
        let mut bench = Bench::new();
        bench.assign("web", &[("a", 1)]);
        let uid = bench.uid("a");
        let mut assignment = bench.put_part("web", &part(), 2, "");
        assignment.policy.automated = Some(Automated { prune, self_heal: true, allow_empty: true });
        bench.list.set(assignment);
        bench.desire();
        bench.pass(600_000);
        assert_eq!((bench.deletes(), bench.uid("a")), (0, uid.clone()), "prune: {prune}");
        assert_eq!(bench.applies(), [true], "what it had as a whole is its own");
        assert_eq!(bench.status("web").sync, SyncStatus::Synced, "and nothing requires pruning");
        assert!(is_kept(&bench));

        bench.restart();
        let mut empty = bench.put_manifests("web", Vec::new());
        empty.policy.automated = Some(Automated { prune: true, self_heal: true, allow_empty: true });
        bench.list.set(empty);
        bench.desire();
        assert_eq!((bench.given_up(), bench.deletes(), bench.uid("a")), (1, 0, uid), "nor later");
    }
}

#[test]
fn an_app_that_goes_leaves_the_object_that_it_states_in_part() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    let assignment = bench.put_part("web", &part(), 1, "");
    bench.list.set(Assignment {
        phase: Phase::Deleting,
        deletion: Some(crate::ids::DeletionId::new([1; 16])),
        cascade_confirmed: true,
        ..assignment
    });
    bench.desire();
    bench.pass(60_000);
    assert_eq!(bench.deletes(), 0);
    assert!(bench.uid("a").is_some() && bench.status("web").emptied.is_some());
}

#[test]
fn an_app_that_states_an_object_whole_and_in_part_takes_both_with_it() {
    let mut bench = Bench::new();
    let metadata = json!({"name": "a", "namespace": "shop"});
    let whole = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    let slice = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": "1"}, "metadata": {"name": "a",
        "namespace": "shop", "annotations": {PART: "mesh"}}});
    let assignment = bench.put_manifests("web", vec![(config("a"), whole), (part(), slice)]);
    bench.list.set(assignment);
    bench.desire();
    bench.pass(10_000);
    assert_eq!(bench.written(), [("applied", config("a")), ("applied", part())]);
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.deletion = Some(crate::ids::DeletionId::new([1; 16]));
        assignment.cascade_confirmed = true;
    });
    bench.pass(600_000);
    assert_eq!((bench.deletes(), bench.uid("a")), (1, None));
    assert!(bench.status("web").emptied.is_some());
}

#[test]
fn a_lost_store_deletes_no_object_that_is_stated_in_part() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    for table in tables::ALL {
        let rows = bench.store.scan(table, &[]).unwrap();
        let lost: Vec<StoreOp> = rows.into_iter().map(|(key, _)| StoreOp::delete(table, key)).collect();
        bench.store.commit(&lost);
    }
    let assignment = bench.put_part("web", &part(), 1, "");
    bench.list.set(assignment);
    bench.restart();
    bench.pass(60_000);
    bench.sync("web", true);
    bench.pass(60_000);
    assert_eq!((bench.deletes(), bench.uid("a").is_some()), (0, true));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn another_app_that_states_a_part_keeps_no_object_from_its_owners_prune() {
    let mut bench = Bench::new();
    bench.assign("owner", &[("a", 1), ("b", 1)]);
    bench.assign_part("web", &part(), 1);
    bench.assign("owner", &[("b", 1)]);
    bench.pass(60_000);
    assert_eq!(bench.deletes(), 1);
}

#[test]
fn what_is_managed_of_parts_has_a_table_of_its_own() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    bench.assign_part("web", &mesh(), 1);
    assert!(
        bench.store.keys(tables::INVENTORY).unwrap().is_empty(),
        "an older version would take it for the whole"
    );
    assert_eq!(bench.store.keys(tables::PARTS).unwrap().len(), 1);
    bench.restart();
    bench.pass(60_000);
    assert_eq!((bench.applies().len(), bench.status("web").sync), (1, SyncStatus::Synced));
}

#[test]
fn a_part_whose_object_is_on_its_way_out_is_out_of_sync_and_given_up_without_its_end() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    let mut assignment = bench.put_part("web", &mesh(), 1, "");
    assignment.policy.automated = Some(Automated { prune: true, self_heal: true, allow_empty: true });
    let policy = assignment.policy.clone();
    bench.list.set(assignment);
    bench.desire();
    bench.objects.get_mut(&mesh().whole()).unwrap().deleting = true;
    bench.version += 1;
    bench.objects.get_mut(&mesh().whole()).unwrap().resource_version = bench.version;
    bench.tell_part(&mesh(), false);
    bench.settle();
    let row = bench.part_row("web", &mesh());
    assert_eq!((row.status, bench.status("web").sync), (SyncStatus::OutOfSync, SyncStatus::OutOfSync));
    assert!(row.message.contains("is being deleted"), "{}", row.message);

    let empty = bench.put_manifests("web", Vec::new());
    bench.list.set(Assignment { policy, ..empty });
    bench.desire();
    assert!(bench.reconciler.inventory().is_empty(), "its finalizers are somebody else's");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_giving_up_without_an_answer_waits_for_nobodys_finalizers() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    let mut assignment = bench.put_part("web", &mesh(), 1, "");
    assignment.policy.automated = Some(Automated { prune: true, self_heal: true, allow_empty: true });
    let policy = assignment.policy.clone();
    bench.list.set(assignment);
    bench.desire();
    bench.loses_answers = true;
    let empty = bench.put_manifests("web", Vec::new());
    bench.list.set(Assignment { policy, ..empty });
    bench.desire();
    assert_eq!(bench.given_up(), 1);
    bench.loses_answers = false;
    bench.objects.get_mut(&mesh().whole()).unwrap().deleting = true;
    bench.pass(600_000);
    assert!(bench.reconciler.inventory().is_empty());
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
    let requests = bench.requests;
    bench.pass(3_600_000);
    assert_eq!(bench.requests, requests, "and it is looked at no more");
}

#[test]
fn what_a_restored_cluster_forgot_of_a_part_that_is_looked_at_is_seen() {
    let mut bench = Bench::new();
    bench.part_room = 0;
    bench.reconciler.parts.room = 0;
    bench.made(&mesh(), "n-1", None);
    bench.assign_part("web", &mesh(), 1);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    let live = bench.objects.get_mut(&mesh()).unwrap();
    (live.fingerprint, bench.version) = (None, 50);
    bench.objects.get_mut(&mesh().whole()).unwrap().resource_version = 50;
    bench.pass(300_000);
    assert_eq!(bench.applies(), [false, true], "its versions begin anew");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    let requests = bench.requests;
    bench.pass(300_000);
    assert_eq!(bench.requests, requests + 1, "and it is looked at as before");
}
