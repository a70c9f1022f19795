//! What an app was synced to, going back to it, and going back unasked.

use super::*;
use crate::health::{Health, Verdict};

/// Assigns an app that is synced by hand.
fn by_hand(bench: &mut Bench, objects: &[(&str, u32)]) -> Root {
    bench.assign_manual("web", objects);
    bench.list.get(&app("web")).unwrap().root
}

fn roots(bench: &Bench) -> Vec<Root> {
    bench.reconciler.history(&app("web"), now(bench.now)).iter().map(|row| row.root).collect()
}

fn roll_back(bench: &mut Bench, id: Option<u64>, from: RollbackFrom) -> Result<u64, String> {
    let started = bench.reconciler.roll_back(CommandId::new([99; 16]), &app("web"), id, false, from);
    bench.settle();
    started.map(|row| row.id).map_err(|refused| refused.to_string())
}

/// Judges every object of the app from now on.
fn judge(bench: &mut Bench, name: &str, health: Health) {
    let live = bench.objects.get_mut(&config(name)).unwrap();
    bench.version += 1;
    live.resource_version = bench.version;
    live.health = Some(Verdict::new(health, "by the test"));
    let live = live.clone();
    bench.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    bench.settle();
}

#[test]
fn a_history_keeps_what_was_synced_and_survives_a_restart() {
    let mut bench = Bench::new();
    let mut expected = Vec::new();
    for value in 1..=13 {
        expected.push(by_hand(&mut bench, &[("a", value)]));
        bench.sync("web", false);
    }
    assert_eq!(roots(&bench), expected[3..], "ten of them");
    let ids: Vec<u64> =
        bench.reconciler.history(&app("web"), now(bench.now)).iter().map(|row| row.id).collect();
    assert_eq!(ids, (3..13).collect::<Vec<_>>());
    assert!(bench.reconciler.pinned_roots().contains(&expected[3]), "their releases are kept");
    assert!(!bench.reconciler.pinned_roots().contains(&expected[2]));
    bench.restart();
    assert_eq!(roots(&bench), expected[3..]);
    bench.change("web", |assignment| assignment.policy.history.limit = Some(2));
    by_hand(&mut bench, &[("a", 14)]);
    bench.change("web", |assignment| assignment.policy.history.limit = Some(2));
    bench.sync("web", false);
    assert_eq!(roots(&bench).len(), 2);
    bench.list.remove(&app("web"));
    bench.desire();
    assert!(bench.store.keys(tables::HISTORY).unwrap().is_empty(), "it goes with the app");
}

#[test]
fn only_a_sync_that_succeeded_and_brought_something_makes_a_row() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.meddle("a");
    assert_eq!(roots(&bench).len(), 1, "a heal makes none");
    bench.fail = Some(ApiError::Refused("no".to_owned()));
    bench.assign("web", &[("a", 2)]);
    bench.pass(3_600_000);
    assert_eq!(roots(&bench).len(), 1, "nor does one that failed");
}

#[test]
fn a_rollback_goes_to_the_release_before_the_newest_or_to_the_one_that_is_named() {
    let mut bench = Bench::new();
    for value in 1..=3 {
        by_hand(&mut bench, &[("a", value)]);
        bench.sync("web", false);
    }
    let writes = bench.writes.len();
    assert_eq!(roll_back(&mut bench, None, RollbackFrom::Hub), Ok(1));
    assert_eq!(bench.writes.len(), writes + 1);
    let status = bench.status("web").clone();
    assert_eq!(status.sync, SyncStatus::OutOfSync, "compared with the newest release, as in Argo CD");
    let history = roots(&bench);
    assert_eq!(status.synced, Some(history[1]));
    assert_eq!(history[3], history[1], "it is a deployment of its own");
    bench.restart();
    bench.pass(60_000);
    assert_eq!(bench.writes.len(), writes + 1, "nobody goes forward again unasked");
    assert_eq!(roll_back(&mut bench, Some(0), RollbackFrom::Edge), Ok(0));
    assert_eq!(bench.status("web").synced, Some(history[0]));
    bench.sync("web", false);
    assert_eq!((bench.status("web").sync, roots(&bench).len()), (SyncStatus::Synced, 6));
}

#[test]
fn what_cannot_be_rolled_back_says_why() {
    let mut bench = Bench::new();
    let refused = roll_back(&mut bench, None, RollbackFrom::Hub).unwrap_err();
    assert_eq!(refused, "app argocd/web is not on this cluster");
    bench.assign("web", &[("a", 1)]);
    let refused = roll_back(&mut bench, None, RollbackFrom::Hub).unwrap_err();
    assert!(refused.starts_with("rollback cannot be initiated when auto-sync is enabled"), "{refused}");
    by_hand(&mut bench, &[("a", 1)]);
    let refused = roll_back(&mut bench, None, RollbackFrom::Hub).unwrap_err();
    assert!(refused.contains("at least two successful deployments"), "{refused}");
    let refused = roll_back(&mut bench, Some(7), RollbackFrom::Hub).unwrap_err();
    assert!(refused.contains("does not have deployment id 7 in history; it has 0"), "{refused}");
    bench.change("web", |assignment| assignment.phase = Phase::Frozen);
    assert!(roll_back(&mut bench, Some(0), RollbackFrom::Edge).unwrap_err().contains("is Frozen"));
    bench.change("web", |assignment| assignment.phase = Phase::Active);
    bench.reconciler.set_paused(Some("paused by ana".to_owned()));
    let refused = roll_back(&mut bench, Some(0), RollbackFrom::Edge).unwrap_err();
    assert!(refused.starts_with("paused by ana"), "{refused}");
}

#[test]
fn an_app_that_syncs_by_itself_stays_at_what_the_edge_went_back_to_until_a_newer_commit() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.assign("web", &[("a", 2), ("c", 1)]);
    assert_eq!((bench.deletes(), bench.objects.len()), (1, 2), "b left with the newest release");
    assert_eq!(roll_back(&mut bench, None, RollbackFrom::Edge), Ok(0));
    let kept = roots(&bench)[0];
    let check = |bench: &Bench| {
        let status = bench.status("web");
        assert_eq!((status.assigned, status.synced), (Some(kept), Some(kept)));
        let said = status.conditions.iter().find(|condition| condition.kind == "RolledBackWarning");
        assert!(said.unwrap().message.contains("somebody at the edge"), "{status:?}");
        assert!(!status.conditions.iter().any(|condition| condition.kind == "ReleasePending"));
        assert_eq!(bench.deletes(), 1, "what the newest release brought is not deleted: {:?}", bench.objects);
    };
    check(&bench);
    let writes = bench.writes.len();
    bench.pass(3_600_000);
    bench.restart();
    bench.pass(600_000);
    assert_eq!(bench.writes.len(), writes, "it stays there");
    check(&bench);
    bench.meddle("a");
    assert_eq!(bench.writes.len(), writes + 1, "and is healed to it");
    bench.change("web", |assignment| assignment.policy.automated.as_mut().unwrap().allow_empty = true);
    check(&bench);

    bench.assign("web", &[("a", 3), ("c", 1)]);
    let status = bench.status("web");
    assert_eq!(status.sync, SyncStatus::Synced);
    assert!(!status.conditions.iter().any(|condition| condition.kind == "RolledBackWarning"));
    assert_eq!(bench.objects.len(), 2, "b is pruned again");
    bench.assign("web", &[("a", 2), ("c", 1)]);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced, "a commit that brings it back is a newer one");
    assert_ne!(bench.status("web").assigned, Some(kept));
}

#[test]
fn what_a_release_that_was_left_desires_is_deleted_by_no_other_app() {
    let mut bench = Bench::new();
    bench.assign("old", &[("h", 1)]);
    bench.assign("web", &[("a", 1)]);
    bench.assign("web", &[("a", 1), ("h", 1)]);
    assert_eq!(roll_back(&mut bench, None, RollbackFrom::Edge), Ok(0));
    let uid = bench.objects[&config("h")].uid.clone();
    bench.change("old", |assignment| assignment.phase = Phase::Deleting);
    bench.restart();
    bench.pass(600_000);
    assert_eq!(bench.deletes(), 0, "the newest list still desires it: {:?}", bench.objects);

    bench.assign("web", &[("a", 2), ("h", 1)]);
    assert_eq!((bench.deletes(), bench.objects[&config("h")].uid.clone()), (0, uid), "it changed hands");
    assert_eq!(bench.reconciler.inventory()[&config("h")].app, app("web"));
}

#[test]
fn a_sync_that_is_asked_for_returns_to_the_newest_release() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.assign("web", &[("a", 2)]);
    let newest = bench.status("web").synced;
    roll_back(&mut bench, None, RollbackFrom::Edge).unwrap();
    assert_ne!(bench.status("web").synced, newest);
    bench.sync("web", false);
    let status = bench.status("web");
    assert_eq!((status.synced, status.assigned, status.sync), (newest, newest, SyncStatus::Synced));
    assert!(status.conditions.is_empty(), "{status:?}");
}

fn with_soak(bench: &mut Bench, objects: &[(&str, u32)]) -> Root {
    let mut assignment = bench.put("web", objects);
    assignment.policy.history.fall_back_ms = Some(60_000);
    let root = assignment.root;
    bench.list.set(assignment);
    bench.desire();
    root
}

#[test]
fn an_app_that_stays_degraded_goes_back_to_the_release_that_was_healthy() {
    let mut bench = Bench::new();
    let good = with_soak(&mut bench, &[("a", 1)]);
    let is_good = |bench: &Bench| bench.reconciler.history(&app("web"), now(bench.now))[0].healthy;
    bench.pass(59_000);
    assert!(!is_good(&bench), "it has to be Healthy for as long");
    bench.pass(1_000);
    assert!(is_good(&bench));
    bench.healths.insert("a", Health::Progressing);
    let bad = with_soak(&mut bench, &[("a", 2)]);
    judge(&mut bench, "a", Health::Degraded);
    bench.pass(30_000);
    judge(&mut bench, "a", Health::Progressing);
    judge(&mut bench, "a", Health::Degraded);
    bench.pass(45_000);
    assert_eq!(bench.status("web").synced, Some(bad), "not Degraded for long enough at a stretch");
    bench.pass(20_000);
    let status = bench.status("web").clone();
    assert_eq!((status.synced, status.assigned), (Some(good), Some(good)));
    let said = status.conditions.iter().find(|condition| condition.kind == "RolledBackWarning").unwrap();
    assert!(said.message.contains("was left: it was Degraded for 60 s"), "{said:?}");
    assert!(bench.events.iter().any(|event| event.reason == "RolledBack"));
    judge(&mut bench, "a", Health::Degraded);
    bench.pass(3_600_000);
    assert_eq!(bench.status("web").synced, Some(good), "it goes back once, and no further");
    let next = with_soak(&mut bench, &[("a", 3)]);
    assert_eq!(bench.status("web").synced, Some(next));
}

#[test]
fn a_release_that_was_healthy_itself_or_the_only_one_is_not_left() {
    let mut bench = Bench::new();
    let only = with_soak(&mut bench, &[("a", 1)]);
    judge(&mut bench, "a", Health::Degraded);
    bench.pass(600_000);
    assert_eq!(bench.status("web").synced, Some(only));
    judge(&mut bench, "a", Health::Healthy);
    bench.pass(60_000);
    let second = with_soak(&mut bench, &[("a", 2)]);
    bench.pass(60_000);
    judge(&mut bench, "a", Health::Degraded);
    bench.pass(600_000);
    assert_eq!(bench.status("web").synced, Some(second), "what broke it is not the release");
}

#[test]
fn a_sync_that_failed_and_left_the_app_degraded_is_left_as_well() {
    let mut bench = Bench::new();
    let good = with_soak(&mut bench, &[("a", 1), ("b", 1)]);
    bench.pass(60_000);
    bench.healths.insert("a", Health::Degraded);
    bench.fails = Some(|request| {
        let refused = matches!(request, Request::Apply { key, .. } if key.name == "b");
        refused.then(|| ApiError::Refused("no".to_owned()))
    });
    with_soak(&mut bench, &[("a", 2), ("b", 2)]);
    bench.pass(120_000);
    assert_ne!(bench.status("web").assigned, Some(good), "it is tried for as long as its policy says");
    bench.fails = None;
    bench.pass(3_600_000);
    assert_eq!(bench.status("web").assigned, Some(good));
}
