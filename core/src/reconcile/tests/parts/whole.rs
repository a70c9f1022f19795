//! A whole object that is stated in part from now on: its app lets go of the rest, and deletes nothing.

use super::*;

fn part() -> ResourceKey {
    config("a").with_part("mesh")
}

/// What the API server says of a part that states otherwise what its app had as a whole.
fn owned_by_whole(request: &Request) -> Option<ApiError> {
    let why = "conflict with \"argosy\" of .data.v; nothing is taken from others by a part: take the field out of it, or \
               out of what they state";
    let asks = matches!(request, Request::Apply { force: false, key, .. } | Request::Try { force: false, key, .. }
        if key.is_part());
    asks.then(|| ApiError::Refused(why.to_owned()))
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
        bench.fails = Some(owned_by_whole);
        bench.list.set(assignment);
        bench.desire();
        bench.pass(600_000);
        assert_eq!((bench.deletes(), bench.uid("a")), (0, uid.clone()), "prune: {prune}");
        assert_eq!(bench.applies(), [true], "what it had as a whole is its own");
        assert_eq!(bench.status("web").sync, SyncStatus::Synced, "and nothing requires pruning");
        assert!(is_kept(&bench));

        bench.restart();
        let empty = bench.put_manifests("web", Vec::new());
        bench.assign_pruning(empty);
        assert_eq!((bench.given_up(), bench.deletes(), bench.uid("a")), (1, 0, uid), "nor later");
    }
}

#[test]
fn what_the_whole_never_had_is_not_taken_by_its_part() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| {
        let whole = matches!(request, Request::Apply { key, .. } if !key.is_part());
        whole.then(|| ApiError::Refused("a webhook says no".to_owned())).or_else(|| owned_by_whole(request))
    });
    bench.objects.insert(config("a"), LiveMeta { labelled: false, ..foreign(&config("a"), "c-1", 50) });
    bench.assign("web", &[("a", 1)]);
    bench.assign_part("web", &part(), 2);
    bench.pass(3_600_000);
    assert_eq!(bench.applies(), [false; 0], "its whole was never applied");

    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.fails = Some(|request| {
        owned_by_whole(request).map(|_| {
            let why = "conflict with \"argosy\" of .data.v, conflict with \"kubectl\" of .data.w; nothing is taken from \
                       others by a part: take the field out of it, or out of what they state";
            ApiError::Refused(why.to_owned())
        })
    });
    bench.assign_part("web", &part(), 2);
    bench.pass(3_600_000);
    assert_eq!(bench.applies(), [false; 0], "one field is kubectl's");
    assert!(bench.part_row("web", &part()).message.contains("kubectl"));
}

#[test]
fn a_part_is_given_up_only_once_what_takes_its_place_is_applied() {
    let whole = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": 1}, "metadata": {"name": "a",
        "namespace": "shop"}});
    let renamed = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": 1}, "metadata": {"name": "a",
        "namespace": "shop", "annotations": {PART: "net"}}});
    for (heir, body) in [(config("a"), whole), (config("a").with_part("net"), renamed)] {
        let mut bench = Bench::new();
        bench.made(&part(), "c-1", None);
        bench.assign_part("web", &part(), 1);
        let assignment = bench.put_manifests("web", vec![(heir.clone(), body)]);
        bench.fails = Some(|request| {
            let denied = matches!(request, Request::Apply { key, .. } if key.part != "mesh");
            denied.then(|| ApiError::Refused("a webhook says no".to_owned()))
        });
        bench.assign_pruning(assignment);
        bench.pass(7_200_000);
        assert_eq!(bench.operation("web").phase, OperationPhase::Failed, "{heir}");
        assert_eq!(bench.given_up(), 0, "{heir}: nothing has its place");
        bench.fails = None;
        bench.sync("web", true);
        bench.pass(60_000);
        assert_eq!((bench.given_up(), bench.deletes()), (1, 0), "{heir}");
        assert_eq!(bench.status("web").sync, SyncStatus::Synced, "{heir}");
    }
}

#[test]
fn a_part_that_is_let_go_of_leaves_no_row() {
    let mut bench = Bench::new();
    bench.made(&part(), "c-1", None);
    bench.assign_part("web", &part(), 1);
    bench.change("web", |assignment| assignment.phase = Phase::Released);
    assert!(bench.reconciler.inventory().is_empty() && bench.store.keys(tables::PARTS).unwrap().is_empty());
    assert_eq!(bench.given_up(), 0);
    assert!(bench.reconciler.watch_generations().parts.is_empty());
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
    bench.lose_store();
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
    let assignment = bench.put_part("web", &mesh(), 1, "");
    bench.assign_pruning(assignment);
    bench.objects.get_mut(&mesh().whole()).unwrap().deleting = true;
    bench.version += 1;
    bench.objects.get_mut(&mesh().whole()).unwrap().resource_version = bench.version;
    bench.tell_part(&mesh(), false);
    bench.settle();
    let row = bench.part_row("web", &mesh());
    assert_eq!((row.status, bench.status("web").sync), (SyncStatus::OutOfSync, SyncStatus::OutOfSync));
    assert!(row.message.contains("is being deleted"), "{}", row.message);

    let empty = bench.put_manifests("web", Vec::new());
    bench.assign_pruning(empty);
    assert!(bench.reconciler.inventory().is_empty(), "its finalizers are somebody else's");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_giving_up_without_an_answer_waits_for_nobodys_finalizers() {
    let mut bench = Bench::new();
    bench.made(&mesh(), "n-1", None);
    let assignment = bench.put_part("web", &mesh(), 1, "");
    bench.assign_pruning(assignment);
    bench.loses_answers = true;
    let empty = bench.put_manifests("web", Vec::new());
    bench.assign_pruning(empty);
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
