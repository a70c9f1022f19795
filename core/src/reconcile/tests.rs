mod accounts;
mod adversarial;
mod bench;
mod deletes;
mod diffs;
mod farewell;
mod force;
mod fresh;
mod heals;
mod history;
mod hooks;
mod large;
mod local;
mod namespaces;
mod options;
mod partial;
mod parts;
mod paused;
mod projects;
mod retries;
mod slots;
mod stuck;
mod sweep;
mod taken;
mod tolerance;
mod tries;
mod unwatched;
mod versions;
mod waves;
mod why;
mod windows;

use serde_json::json;

use super::*;
use crate::cluster::{ApiError, KindInfo, Tracking, WatchEvent};
use crate::desired::Phase;
use crate::policy::Automated;
use crate::policy::ProjectLimits;
use crate::project::Project;
use crate::session::tables::{put_manifest, put_release};
use crate::status::{OperationPhase, SyncStatus};
use bench::{Bench, Dice, app, config, foreign, installation, kinds, now};

#[test]
fn what_is_assigned_is_applied_once_and_then_it_rests() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    assert_eq!(bench.writes.len(), 2);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert_eq!(bench.status("web").operation.as_ref().unwrap().phase, OperationPhase::Succeeded);
    bench.pass(3_600_000);
    assert_eq!(bench.writes.len(), 2, "a no-op costs the API server as much as a write: none is sent");
    bench.assign("web", &[("a", 1), ("b", 2)]);
    assert_eq!(bench.writes.len(), 3, "only what changed is applied");
}

#[test]
fn a_restart_in_sync_reads_and_writes_no_object() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    let (writes, reads) = (bench.writes.len(), bench.reads);
    bench.restart();
    bench.pass(600_000);
    assert_eq!((bench.writes.len(), bench.reads), (writes, reads));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn drift_is_healed_at_once_and_a_lost_object_is_made_again() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.meddle("a");
    assert_eq!(bench.writes.len(), 2);
    bench.vanish("a");
    assert_eq!(bench.uid("a").as_deref(), Some("u2"));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_fight_is_backed_off_after_the_third_round_and_reported() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    for _ in 0..20 {
        bench.meddle("a");
        bench.pass(1_000);
    }
    assert_eq!(bench.writes.len(), 1 + 3, "three heals, then a pause");
    let row = &bench.status("web").resources[0];
    assert!(row.message.contains("kubectl-edit keeps changing"), "{row:?}");
    assert!(bench.events.iter().any(|event| event.reason == "Fight"));
    bench.pass(60_000);
    assert_eq!(bench.writes.len(), 1 + 4, "and tried again");
}

#[test]
fn without_self_heal_drift_is_shown_and_left() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.change("web", |assignment| assignment.policy.automated.as_mut().unwrap().self_heal = false);
    let writes = bench.writes.len();
    bench.meddle("a");
    bench.pass(600_000);
    assert_eq!(bench.writes.len(), writes);
    assert_eq!(bench.status("web").sync, SyncStatus::OutOfSync);
}

#[test]
fn a_manual_app_touches_nothing_until_asked() {
    let mut bench = Bench::new();
    let mut assignment = bench.put("web", &[("a", 1)]);
    assignment.policy.automated = None;
    bench.list.set(assignment);
    bench.desire();
    bench.pass(600_000);
    assert!(bench.writes.is_empty());
    assert_eq!(bench.status("web").sync, SyncStatus::OutOfSync);
    bench.reconciler.sync(CommandId::new([1; 16]), &app("web"), None, false);
    bench.settle();
    assert_eq!(bench.writes.len(), 1);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn what_left_the_release_is_pruned_and_an_emptied_app_is_held_until_confirmed() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]);
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    assert_eq!(bench.deletes(), 1);
    bench.assign("web", &[]);
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 1, "an empty release deletes nothing unconfirmed");
    let held = bench.status("web").held.clone().unwrap();
    assert_eq!(held.deletes.len(), 4);
    bench.restart();
    assert_eq!(bench.status("web").held.as_ref(), Some(&held));
    bench.reconciler.confirm(&app("web"), held.plan).unwrap();
    bench.settle();
    assert_eq!(bench.deletes(), 5);
    assert!(bench.objects.is_empty() && bench.reconciler.inventory().is_empty());
}

#[test]
fn a_deleted_object_is_gone_as_soon_as_its_finalizers_let_it_go() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.finalizers = true;
    bench.assign("web", &[("a", 1), ("b", 1)]);
    assert_eq!(bench.status("web").sync, SyncStatus::OutOfSync, "it is still there");
    bench.pass(1_000);
    bench.vanish("c");
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert_eq!(bench.deletes(), 1);
}

#[test]
fn an_object_that_moves_between_apps_is_never_absent_and_keeps_its_uid() {
    let mut bench = Bench::new();
    bench.assign("old", &[("a", 1), ("b", 1), ("c", 1)]);
    bench.assign("new", &[("x", 1)]);
    let uid = bench.uid("a");
    let old = bench.put("old", &[("b", 1), ("c", 1)]);
    let new = bench.put("new", &[("x", 1), ("a", 1)]);
    bench.list.set(old);
    bench.list.set(new);
    bench.desire();
    assert_eq!((bench.uid("a"), bench.deletes()), (uid, 0));
    assert_eq!(bench.reconciler.inventory()[&config("a")].app, app("new"));
    assert_eq!(
        (bench.status("old").sync, bench.status("new").sync),
        (SyncStatus::Synced, SyncStatus::Synced)
    );
}

#[test]
fn one_of_two_apps_with_one_object_owns_it_and_the_other_says_so() {
    let mut bench = Bench::new();
    bench.assign("one", &[("a", 1)]);
    bench.assign("two", &[("a", 2), ("b", 1)]);
    bench.pass(600_000);
    assert_eq!(bench.writes.len(), 2, "a by one, b by two");
    let conditions = &bench.status("two").conditions;
    assert!(conditions.iter().any(|condition| condition.kind == "SharedResourceWarning"), "{conditions:?}");
    assert_eq!(bench.status("one").sync, SyncStatus::Synced);
    bench.list.remove(&app("one"));
    bench.desire();
    bench.pass(600_000);
    assert_eq!(bench.status("two").sync, SyncStatus::Synced, "when it lets go, the other plans again");
    assert_eq!(bench.deletes(), 0);
}

#[test]
fn a_released_app_leaves_its_objects_and_a_deleting_one_takes_them_along() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.change("web", |assignment| assignment.phase = Phase::Released);
    bench.list.remove(&app("web"));
    bench.desire();
    assert_eq!((bench.objects.len(), bench.deletes()), (2, 0));
    assert!(!bench.statuses.contains_key(&app("web")), "it has left the cluster");
    bench.assign("renamed", &[("a", 1), ("b", 1)]);
    assert_eq!(bench.uid("a").as_deref(), Some("u1"), "taken over, not made again");
    let deletion = crate::ids::DeletionId::new([5; 16]);
    bench.change("renamed", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.deletion = Some(deletion);
    });
    assert_eq!((bench.objects.len(), bench.deletes()), (0, 2));
    assert_eq!(bench.status("renamed").emptied, Some(deletion));
}

#[test]
fn a_frozen_app_is_healed_and_never_pruned() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.change("web", |assignment| assignment.phase = Phase::Frozen);
    bench.meddle("a");
    assert_eq!((bench.writes.len(), bench.deletes()), (3, 0));
}

#[test]
fn nothing_is_deleted_while_a_release_of_the_list_is_not_verified() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    let fewer = bench.put("web", &[("a", 1), ("b", 1)]);
    bench.list.set(fewer.clone());
    let assigned = BTreeMap::from([(app("web"), fewer)]);
    bench.reconciler.set_desired(Some(&bench.list), &assigned, false, &bench.store, now(bench.now)).unwrap();
    bench.settle();
    assert_eq!(bench.deletes(), 0);
    bench.desire();
    assert_eq!(bench.deletes(), 1);
}

#[test]
fn an_object_of_another_tool_is_refused_and_an_untracked_one_adopted() {
    let mut bench = Bench::new();
    let helm = Tracking::Other("Helm release shop/web".to_owned());
    bench.objects.insert(config("a"), LiveMeta { tracking: helm, ..foreign(&config("a"), "theirs", 5) });
    bench.objects.insert(config("b"), LiveMeta { labelled: false, ..foreign(&config("b"), "free", 5) });
    bench.assign("web", &[("a", 1), ("b", 1)]);
    assert_eq!(bench.writes.len(), 1);
    assert_eq!(bench.uid("b").as_deref(), Some("free"));
    let row = bench.status("web").resources.iter().find(|row| row.key == config("a")).unwrap();
    assert!(row.message.contains("Helm release shop/web"), "{row:?}");
    assert!(bench.events.iter().any(|event| event.reason == "Adopted"));
    bench.pass(3_600_000);
    let last = bench.status("web").operation.clone().unwrap();
    assert_eq!((last.phase, last.retries), (OperationPhase::Failed, 5));
}

#[test]
fn an_outage_uses_up_no_attempt_and_an_open_intent_is_done_again() {
    let mut bench = Bench::new();
    bench.fail = Some(ApiError::Unreachable("cut".to_owned()));
    bench.assign("web", &[("a", 1)]);
    bench.pass(120_000);
    assert!(bench.objects.is_empty());
    bench.fail = None;
    bench.pass(15_000);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert_eq!(bench.status("web").operation.as_ref().unwrap().retries, 0);
}

#[test]
fn restored_objects_with_new_uids_are_taken_again() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    let live = bench.objects.get_mut(&config("a")).unwrap();
    live.uid = "restored".to_owned();
    live.resource_version = 500;
    bench.version = 500;
    let live = live.clone();
    bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    bench.settle();
    assert_eq!(bench.reconciler.inventory()[&config("a")].uid.as_deref(), Some("restored"));
    assert_eq!(bench.deletes(), 0);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn a_lost_store_deletes_nothing_and_takes_what_is_desired() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    let inventory: BTreeSet<Vec<u8>> = bench.store.keys(tables::INVENTORY).unwrap().into_iter().collect();
    for key in inventory {
        bench.store.commit(&[StoreOp::delete(tables::INVENTORY, key)]);
    }
    bench.store.commit(&[StoreOp::delete(tables::ATTEMPTS, encode(&app("web")))]);
    let fewer = bench.put("web", &[("a", 1), ("b", 1)]);
    bench.list.set(fewer);
    bench.restart();
    bench.pass(600_000);
    assert_eq!((bench.objects.len(), bench.deletes()), (3, 0));
    let status = bench.status("web");
    let left = status.resources.iter().find(|row| row.key == config("c")).unwrap();
    assert!(left.requires_pruning && left.message.contains("not deleted unasked"), "{left:?}");
    assert_eq!(status.counts.synced, 2);
}

#[test]
fn limits_of_the_project_are_checked_before_every_write() {
    let mut bench = Bench::new();
    let mut assignment = bench.put("web", &[("a", 1)]);
    assignment.limits = ProjectLimits {
        project: "tight".to_owned(),
        namespaced_allowed: Some(Vec::new()),
        ..Project::permissive().limits
    };
    bench.list.set(assignment);
    bench.desire();
    assert!(bench.writes.is_empty());
    assert!(bench.status("web").resources[0].message.contains("not permitted"), "{:?}", bench.status("web"));
}

#[test]
fn a_reader_writes_nothing_and_goes_on_when_it_may() {
    let mut bench = Bench::new();
    bench.reconciler.set_read_only(Some("another agent writes".to_owned()));
    bench.assign("web", &[("a", 1)]);
    bench.pass(60_000);
    assert!(bench.writes.is_empty());
    assert!(bench.status("web").conditions.iter().any(|condition| condition.kind == "ReadOnly"));
    bench.reconciler.set_read_only(None);
    bench.settle();
    assert_eq!(bench.writes.len(), 1);
}

#[test]
fn an_object_gone_from_under_a_failing_app_is_not_pruned_while_the_list_holds_it() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1)]);
    let mut fewer = bench.put("web", &[("a", 1), ("b", 1)]);
    fewer.held = vec![config("c")];
    bench.list.set(fewer);
    bench.desire();
    bench.pass(60_000);
    assert_eq!(bench.deletes(), 0);
    assert!(bench.status("web").held.is_some());
    bench.change("web", |assignment| assignment.held.clear());
    assert_eq!(bench.deletes(), 1);
}

#[test]
fn an_object_that_its_owner_lets_go_of_is_synced_by_the_next_app() {
    let mut bench = Bench::new();
    bench.assign("a", &[("x", 1), ("y", 1)]);
    bench.assign("b", &[("x", 2)]);
    assert_eq!(bench.status("b").sync, SyncStatus::OutOfSync, "app a owns it");
    let uid = bench.uid("x");
    bench.assign("a", &[("y", 1)]);
    assert_eq!(bench.status("b").sync, SyncStatus::Synced);
    assert_eq!(bench.uid("x"), uid);
    assert_eq!(bench.deletes(), 0);
}

#[test]
fn a_rolled_back_store_heals_nothing_to_what_it_remembers() {
    let mut bench = Bench::new();
    bench.assign("web", &[("x", 1)]);
    let copy = bench.store.clone();
    bench.assign("web", &[("x", 2)]);
    let newest = bench.writes.last().cloned();
    bench.store = copy;
    bench.put("web", &[("x", 2)]);
    bench.reconciler = Reconciler::load(&bench.store, installation(), now(bench.now)).unwrap();
    bench.reconciler.distrust();
    bench.reconciler.set_kinds(kinds(), BTreeSet::new(), &bench.store, now(bench.now)).unwrap();
    let before = bench.writes.len();
    bench.desire();
    bench.pass(60_000);
    for write in &bench.writes[before..] {
        assert_eq!(Some(write), newest.as_ref(), "nothing but the newest release is applied");
    }
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn an_open_intent_of_an_app_that_is_deleted_is_not_done_again() {
    let mut bench = Bench::new();
    bench.assign("web", &[("x", 1)]);
    bench.fail = Some(ApiError::Unreachable("no answer".to_owned()));
    bench.assign("web", &[("x", 2)]);
    bench.change("web", |assignment| assignment.phase = Phase::Deleting);
    bench.fail = None;
    let before = bench.writes.len();
    bench.pass(30_000);
    assert_eq!(bench.writes.len(), before, "the request may still be under way");
}

#[test]
fn a_heal_that_meets_another_incarnation_looks_again() {
    let mut bench = Bench::new();
    bench.assign("web", &[("x", 1)]);
    let mut stale = bench.objects[&config("x")].clone();
    stale.resource_version += 1;
    stale.fingerprint = Some(Digest::of(b"robbed"));
    if let Some(live) = bench.objects.get_mut(&config("x")) {
        live.uid = "another".to_owned();
        live.resource_version += 2;
    }
    bench.reconciler.watched(&stale.key.group_kind(), WatchEvent::Seen(stale), now(bench.now));
    bench.settle();
    bench.pass(10_000);
    let entry = &bench.reconciler.inventory()[&config("x")];
    assert_eq!(entry.uid.as_deref(), Some("another"));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn nothing_changes_hands_before_the_kinds_are_known() {
    let mut bench = Bench::new();
    let namespace = ResourceKey::new("", "Namespace", "", "extra");
    let body = json!({"kind": "Namespace", "metadata": {"name": "extra"}}).to_string().into_bytes();
    let (release, _) = Release::build([(namespace.clone(), Digest::of(&body))]);
    bench.store.commit(&[put_manifest(&body), put_release(&release)]);
    let assignment = Assignment { root: release.root(), ..bench.put("web", &[]) };
    bench.list.set(assignment);
    bench.desire();
    let owned = bench.reconciler.inventory()[&namespace].clone();
    bench.reconciler = Reconciler::load(&bench.store, installation(), now(bench.now)).unwrap();
    bench.desire();
    assert_eq!(bench.reconciler.inventory()[&namespace], owned);
}

#[test]
fn an_object_of_a_release_that_is_still_on_its_way_is_not_deleted() {
    let mut bench = Bench::new();
    bench.assign("a", &[("x", 1), ("y", 1)]);
    let uid = bench.uid("x");
    let (a, b) = (bench.put("a", &[("y", 1)]), bench.put("b", &[("x", 1)]));
    bench.list.set(a.clone());
    bench.list.set(b.clone());
    let release = crate::session::tables::get_release(&bench.store, b.root).unwrap().unwrap();
    bench.reconciler.set_announced(BTreeMap::from([(b.root, release)]));
    let assigned = BTreeMap::from([(app("a"), a)]);
    bench.reconciler.set_desired(Some(&bench.list), &assigned, true, &bench.store, now(bench.now)).unwrap();
    bench.settle();
    assert_eq!(bench.deletes(), 0);
    bench.desire();
    assert_eq!((bench.deletes(), bench.uid("x")), (0, uid), "it was handed over");
}
