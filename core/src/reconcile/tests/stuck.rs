//! What holds an app up must not hold up the rest of it, nor for ever.

use super::*;

fn manifest(name: &str, value: u32) -> Digest {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": value},
        "metadata": {"name": name, "namespace": "shop", "annotations": {}}});
    Digest::of(body.to_string().as_bytes())
}

fn fingerprint(bench: &Bench, name: &str) -> Option<Digest> {
    bench.objects.get(&config(name)).and_then(|live| live.fingerprint)
}

fn helm(name: &str) -> LiveMeta {
    let tracking = Tracking::Other("Helm release shop/web".to_owned());
    LiveMeta { tracking, labelled: false, ..foreign(&config(name), "theirs", 900) }
}

/// Assigns objects of any kind.
fn assign_keys(bench: &mut Bench, name: &str, keys: &[ResourceKey]) {
    let manifests: Vec<(ResourceKey, Vec<u8>)> = keys
        .iter()
        .map(|key| {
            let body = json!({"kind": key.kind, "metadata": {"name": key.name, "namespace": key.namespace}});
            (key.clone(), body.to_string().into_bytes())
        })
        .collect();
    let mut ops: Vec<StoreOp> = manifests.iter().map(|(_, bytes)| put_manifest(bytes)).collect();
    let (release, _) = Release::build(manifests.into_iter().map(|(key, bytes)| (key, Digest::of(&bytes))));
    ops.push(put_release(&release));
    bench.store.commit(&ops);
    let assignment = Assignment { root: release.root(), ..bench.put(name, &[]) };
    bench.list.set(assignment);
    bench.desire();
}

fn with_services(bench: &mut Bench) {
    let mut served = kinds();
    served.insert(GroupKind::new("", "Service"), KindInfo { namespaced: true });
    bench.reconciler.set_kinds(served, BTreeSet::new(), &bench.store, now(bench.now)).unwrap();
}

fn service(name: &str) -> ResourceKey {
    ResourceKey::new("", "Service", "shop", name)
}

/// An object is on its way out, and its finalizers hold it.
fn terminate(bench: &mut Bench, name: &str) {
    bench.version += 1;
    let version = bench.version;
    let live = bench.objects.get_mut(&config(name)).unwrap();
    live.deleting = true;
    live.resource_version = version;
    let live = live.clone();
    bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    bench.settle();
}

#[test]
fn a_pruned_object_that_does_not_go_holds_up_no_later_sync() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.finalizers = true;
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.pass(60_000);
    bench.assign("web", &[("a", 2), ("b", 1)]);
    bench.pass(60_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 2)));
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
    bench.sync("web", false);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn an_object_that_cannot_be_read_holds_up_no_sync_of_the_others() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.fails = Some(|request| {
        let of_b = matches!(request, Request::Get { key } if key.name == "b");
        of_b.then(|| ApiError::Refused("forbidden".to_owned()))
    });
    bench.reconciler.watched(&config("b").group_kind(), WatchEvent::Gone(config("b")), now(bench.now));
    bench.settle();
    bench.assign("web", &[("a", 2), ("b", 1)]);
    bench.pass(60_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 2)));
}

#[test]
fn a_delete_that_is_refused_holds_up_neither_those_before_it_nor_the_sync() {
    let mut bench = Bench::new();
    with_services(&mut bench);
    let all = [config("a"), config("b"), config("c"), config("d"), service("s")];
    assign_keys(&mut bench, "web", &all);
    bench.fails = Some(|request| {
        let of_s = matches!(request, Request::Delete { key, .. } if key.name == "s");
        of_s.then(|| ApiError::Refused("a webhook says no".to_owned()))
    });
    assign_keys(&mut bench, "web", &[config("a"), config("b"), config("c")]);
    assert!(!bench.objects.contains_key(&config("d")), "it does not wait for what is refused");
    assert!(bench.objects.contains_key(&service("s")));
    bench.pass(1_200_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Failed, "{:?}", bench.operation("web"));
    bench.fails = None;
    bench.pass(120_000);
    assert!(!bench.objects.contains_key(&service("s")));
}

#[test]
fn deletes_of_an_earlier_kind_wait_for_the_answers_of_a_later_one() {
    let mut bench = Bench::new();
    with_services(&mut bench);
    let all = [config("a"), config("b"), config("c"), config("d"), service("s")];
    assign_keys(&mut bench, "web", &all);
    assign_keys(&mut bench, "web", &[config("a"), config("b"), config("c")]);
    let order: Vec<&str> = bench
        .writes
        .iter()
        .filter_map(|request| match request {
            Request::Delete { key, .. } => Some(key.name.as_str()),
            Request::Get { .. }
            | Request::Try { .. }
            | Request::Apply { .. }
            | Request::EnsureNamespace { .. }
            | Request::GiveUp { .. }
            | Request::Compare { .. } => None,
        })
        .collect();
    assert_eq!(order, ["s", "d"]);
}

#[test]
fn a_newer_release_takes_the_place_of_one_that_waits_for_an_object_to_go() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    terminate(&mut bench, "a");
    bench.assign("web", &[("a", 2), ("b", 1)]);
    bench.pass(30_000);
    bench.assign("web", &[("a", 3), ("b", 3)]);
    bench.pass(30_000);
    assert_eq!(fingerprint(&bench, "b"), Some(manifest("b", 3)));
    bench.vanish("a");
    bench.pass(30_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 3)));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_sync_that_is_asked_for_takes_the_place_of_one_that_waits_for_an_object_to_go() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    terminate(&mut bench, "a");
    bench.assign("web", &[("a", 2), ("b", 1)]);
    bench.pass(30_000);
    assert!(bench.operation("web").automated);
    bench.sync("web", false);
    assert!(!bench.operation("web").automated, "{:?}", bench.operation("web"));
    bench.vanish("a");
    bench.pass(30_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn an_app_that_comes_back_while_it_is_deleted_gets_back_what_is_gone() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.fails = Some(|request| {
        let of_c = matches!(request, Request::Delete { key, .. } if key.name == "c");
        of_c.then(|| ApiError::Refused("a webhook says no".to_owned()))
    });
    bench.change("web", |assignment| assignment.phase = Phase::Deleting);
    assert_eq!(bench.objects.len(), 1);
    bench.fails = None;
    bench.change("web", |assignment| assignment.phase = Phase::Active);
    bench.pass(60_000);
    assert_eq!(bench.objects.len(), 3);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn what_another_tool_made_and_took_away_again_is_healed() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.objects.insert(config("a"), helm("a"));
    bench.reconciler.watched(&config("a").group_kind(), WatchEvent::Gone(config("a")), now(bench.now));
    bench.settle();
    bench.pass(120_000);
    assert_eq!(bench.uid("a").as_deref(), Some("theirs"));
    assert_eq!(bench.status("web").sync, SyncStatus::OutOfSync);
    bench.objects.remove(&config("a"));
    bench.pass(3_600_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 1)));
}

#[test]
fn a_heal_goes_on_after_a_replaced_object_is_gone_and_its_create_is_put_off() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    let mut stale = bench.objects.remove(&config("a")).unwrap();
    stale.resource_version += 1;
    stale.fingerprint = Some(Digest::of(b"robbed"));
    bench.fails = Some(|request| {
        matches!(request, Request::Apply { uid: None, .. })
            .then(|| ApiError::Unavailable { message: "503".to_owned(), retry_after: None })
    });
    bench.reconciler.watched(&stale.key.group_kind(), WatchEvent::Seen(stale), now(bench.now));
    bench.settle();
    bench.pass(5_000);
    bench.fails = None;
    bench.pass(120_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 1)));
}

#[test]
fn what_a_sync_left_in_place_and_is_not_managed_any_more_is_synced_again() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.objects.remove(&config("a"));
    bench.reconciler.live.remove(&config("a"));
    bench.reconciler.put_inventory(&config("a"), None);
    bench.settle();
    assert_eq!(bench.uid("a"), None, "not at once: it may be taken away again and again");
    bench.pass(60_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 1)));
}

#[test]
fn an_object_that_another_tool_made_where_ours_was_gone_is_not_overwritten() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1)]);
    bench.sync("web", false);
    bench.vanish("a");
    // Without our label no watch tells of it.
    bench.objects.insert(config("a"), helm("a"));
    bench.sync("web", false);
    bench.pass(600_000);
    assert_eq!(bench.uid("a").as_deref(), Some("theirs"));
    assert_eq!(fingerprint(&bench, "a"), None);
    let operation = bench.operation("web");
    assert!(operation.message.contains("Helm release shop/web"), "{operation:?}");
}

#[test]
fn an_apply_that_was_never_sent_is_not_taken_for_one_that_succeeded() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.fail = Some(ApiError::Unreachable("cut".to_owned()));
    bench.assign("web", &[("a", 2)]);
    bench.fail = None;
    bench.reconciler = Reconciler::load(&bench.store, installation(), now(bench.now)).unwrap();
    bench.reconciler.set_read_only(Some("another agent writes".to_owned()));
    bench.reconciler.set_kinds(kinds(), BTreeSet::new(), &bench.store, now(bench.now)).unwrap();
    bench.desire();
    bench.pass(120_000);
    assert_eq!(bench.status("web").sync, SyncStatus::OutOfSync);
    bench.reconciler.set_read_only(None);
    bench.settle();
    bench.pass(60_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 2)));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_release_that_comes_back_while_the_next_one_is_applied_is_synced_again() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    // The apply arrives, its answer does not.
    bench.loses_answers = true;
    bench.assign("web", &[("a", 2)]);
    bench.fail = Some(ApiError::Unreachable("cut".to_owned()));
    bench.pass(10_000);
    bench.assign("web", &[("a", 1)]);
    bench.pass(10_000);
    (bench.fail, bench.loses_answers) = (None, false);
    bench.pass(180_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 1)));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn an_object_that_no_watch_shows_is_made_once_it_has_gone() {
    let mut bench = Bench::new();
    let theirs = LiveMeta { deleting: true, labelled: false, ..foreign(&config("a"), "theirs", 900) };
    bench.objects.insert(config("a"), theirs);
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.pass(20_000);
    assert!(bench.objects.contains_key(&config("b")), "what goes holds up nothing else");
    bench.objects.remove(&config("a"));
    bench.pass(20_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 1)));
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn an_object_of_ours_that_goes_without_its_label_is_healed_once_it_has_gone() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    let live = bench.objects.get_mut(&config("a")).unwrap();
    (live.labelled, live.deleting, live.resource_version) = (false, true, live.resource_version + 1);
    bench.reconciler.watched(&config("a").group_kind(), WatchEvent::Gone(config("a")), now(bench.now));
    bench.pass(5_000);
    bench.objects.remove(&config("a"));
    bench.pass(20_000);
    assert_eq!(fingerprint(&bench, "a"), Some(manifest("a", 1)));
}
