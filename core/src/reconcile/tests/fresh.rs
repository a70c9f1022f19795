//! What is not seen, or not seen any more: nothing is concluded from it.

use super::*;
use crate::health::Health;
use crate::ids::DeletionId;

/// Starts anew and takes one turn, before anything is listed.
fn start_blind(bench: &mut Bench) -> AppStatus {
    bench.reconciler = Reconciler::load(&bench.store, installation(), now(bench.now)).unwrap();
    bench.reconciler.set_kinds(kinds(), BTreeSet::new(), &bench.store, now(bench.now)).unwrap();
    let assigned: BTreeMap<AppId, Assignment> = bench
        .list
        .elements()
        .iter()
        .map(|(name, element)| (name.clone(), element.assignment.clone()))
        .collect();
    bench.reconciler.set_desired(Some(&bench.list), &assigned, true, &bench.store, now(bench.now)).unwrap();
    let output = bench.reconciler.turn(&bench.store, now(bench.now)).unwrap();
    bench.store.commit(&output.ops);
    output.statuses.into_iter().find_map(|(name, status)| status.filter(|_| name == app("web"))).unwrap()
}

fn forget_store(bench: &mut Bench) {
    for table in [tables::INVENTORY, tables::ATTEMPTS] {
        for key in bench.store.keys(table).unwrap() {
            bench.store.commit(&[StoreOp::delete(table, key)]);
        }
    }
}

#[test]
fn an_app_of_which_nothing_was_seen_is_not_called_healthy() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    assert_eq!(bench.status("web").health, Health::Healthy);
    let blind = start_blind(&mut bench);
    assert_eq!((blind.sync, blind.health), (SyncStatus::Unknown, Health::Unknown));
    bench.settle();
    assert_eq!(bench.status("web").health, Health::Healthy);
}

#[test]
fn an_app_whose_store_was_lost_is_not_called_missing_before_anybody_looked() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    forget_store(&mut bench);
    assert_eq!(start_blind(&mut bench).health, Health::Unknown);
}

#[test]
fn an_object_with_a_health_rule_that_was_not_seen_makes_its_app_unknown() {
    let mut bench = Bench::new();
    let service = ResourceKey { kind: "Service".into(), ..config("extra") };
    let service_body = json!({"kind": "Service", "metadata": {"name": "extra"}}).to_string().into_bytes();
    let config_body = json!({"kind": "ConfigMap", "metadata": {"name": "a"}}).to_string().into_bytes();
    let (release, _) =
        Release::build([(service, Digest::of(&service_body)), (config("a"), Digest::of(&config_body))]);
    bench.store.commit(&[put_manifest(&service_body), put_manifest(&config_body), put_release(&release)]);
    let assignment = Assignment { root: release.root(), ..bench.put("web", &[]) };
    bench.list.set(assignment);
    bench.desire();
    assert_eq!(bench.objects.len(), 2);
    start_blind(&mut bench);
    let objects = vec![bench.objects[&config("a")].clone()];
    let listed = WatchEvent::Listed { resource_version: bench.version, objects };
    bench.reconciler.watched(&config("a").group_kind(), listed, now(bench.now));
    let output = bench.reconciler.turn(&bench.store, now(bench.now)).unwrap();
    let status = output.statuses.into_iter().find_map(|(_, status)| status).unwrap();
    assert_eq!(status.health, Health::Unknown);
    assert!(status.health_message.contains("Service"), "{}", status.health_message);
}

#[test]
fn a_deleting_app_whose_store_was_lost_is_not_called_emptied_and_its_objects_wait_for_a_word() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    forget_store(&mut bench);
    let deletion = DeletionId::new([5; 16]);
    let mut leaving = bench.list.get(&app("web")).unwrap().clone();
    leaving.phase = Phase::Deleting;
    leaving.deletion = Some(deletion);
    bench.list.set(leaving);
    assert_eq!(start_blind(&mut bench).emptied, None, "nobody has looked yet");
    bench.settle();
    bench.pass(600_000);
    assert_eq!((bench.objects.len(), bench.deletes(), bench.status("web").emptied), (2, 0, None));
    let held = bench.status("web").held.clone().unwrap();
    assert_eq!(held.deletes.len(), 2);
    assert!(held.reason.contains("store was lost"), "{}", held.reason);
    bench.reconciler.confirm(&app("web"), held.plan).unwrap();
    bench.settle();
    assert_eq!((bench.objects.len(), bench.status("web").emptied), (0, Some(deletion)));
}

#[test]
fn a_kind_that_is_watched_again_gets_a_watch_of_another_generation() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    let before = bench.reconciler.watch_generations();
    bench.change("web", |assignment| assignment.phase = Phase::Deleting);
    bench.list.remove(&app("web"));
    bench.desire();
    bench.assign("web", &[("b", 1)]);
    let after = bench.reconciler.watch_generations();
    let kind = config("a").group_kind();
    assert!(before.kinds.contains_key(&kind) && after.kinds.contains_key(&kind));
    assert_ne!(before.kinds[&kind], after.kinds[&kind]);
    bench.pass(600_000);
    assert_eq!(bench.reconciler.watch_generations(), after, "and keeps it");
}

#[test]
fn names_that_were_pruned_are_forgotten() {
    let mut bench = Bench::new();
    for round in 0..8 {
        let (one, other) = (format!("a{round}"), format!("b{round}"));
        bench.assign("web", &[("stays", 1), (&one, 1), (&other, 1)]);
        bench.fail = Some(ApiError::Unreachable("cut".to_owned()));
        bench.pass(1_000);
        bench.fail = None;
        bench.pass(3_600_000);
    }
    assert_eq!(bench.objects.len(), 3);
    let managed: Vec<&ResourceKey> = bench.reconciler.inventory().keys().collect();
    assert_eq!(bench.reconciler.live.keys().collect::<Vec<_>>(), managed);
    assert!(bench.reconciler.backoffs.is_empty(), "{:?}", bench.reconciler.backoffs);
}

/// Starts anew at an API server that serves no config maps any more, and could not ask some groups.
fn start_unserved(bench: &mut Bench, unasked: &[&str]) {
    let mut served = kinds();
    served.remove(&config("a").group_kind());
    let unasked = unasked.iter().map(|group| (*group).to_owned()).collect();
    bench.reconciler = Reconciler::load(&bench.store, installation(), now(bench.now)).unwrap();
    bench.reconciler.set_kinds(served, unasked, &bench.store, now(bench.now)).unwrap();
    bench.desire();
}

#[test]
fn what_went_with_its_kind_while_nobody_looked_is_missing_and_not_unknown() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.assign("gone", &[("b", 1)]);
    bench.list.remove(&app("gone"));
    start_unserved(&mut bench, &[]);
    let status = bench.status("web");
    assert_eq!((status.sync, status.health), (SyncStatus::OutOfSync, Health::Missing));
    assert!(!bench.reconciler.inventory().contains_key(&config("b")), "nothing is left to manage");
}

#[test]
fn of_a_group_that_could_not_be_asked_nothing_is_concluded() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.assign("gone", &[("b", 1)]);
    bench.list.remove(&app("gone"));
    start_unserved(&mut bench, &[""]);
    let status = bench.status("web");
    assert_eq!((status.sync, status.health), (SyncStatus::Unknown, Health::Unknown));
    assert!(bench.reconciler.inventory().contains_key(&config("b")));
    bench.reconciler.set_kinds(kinds(), BTreeSet::new(), &bench.store, now(bench.now)).unwrap();
    bench.settle();
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}
