//! What a sync did, and how an application compares.

use super::*;
use crate::view::rows;

fn result(kind: &str, name: &str, code: v1::ResultCode, message: &str) -> v1::ResultRow {
    v1::ResultRow {
        key: Some(object(kind, name)),
        code: code.into(),
        message: message.to_owned(),
        ..Default::default()
    }
}

fn results() -> Vec<v1::ResultRow> {
    let hook = v1::ResultRow {
        hook: v1::SyncPhase::PreSync.into(),
        hook_phase: v1::OperationPhase::Succeeded.into(),
        ..result("Job", "migrate", v1::ResultCode::Synced, "job.batch/migrate created")
    };
    vec![
        hook,
        result("Deployment", "web", v1::ResultCode::SyncFailed, "spec.replicas: Invalid value\x1b[31m"),
        result("ConfigMap", "settings", v1::ResultCode::Synced, "configmap/settings configured"),
        result("ConfigMap", "gone", v1::ResultCode::Pruned, "pruned"),
        result("ConfigMap", "left", v1::ResultCode::PruneSkipped, "ignored (requires pruning)"),
    ]
}

fn resources() -> Vec<v1::ResourceRow> {
    let row = |kind: &str, name: &str, health: v1::Health| v1::ResourceRow {
        key: Some(object(kind, name)),
        status: v1::SyncStatus::OutOfSync.into(),
        health: health.into(),
        ..Default::default()
    };
    vec![
        v1::ResourceRow {
            health_message: "1 of 3 pods is unavailable".to_owned(),
            ..row("Deployment", "web", v1::Health::Degraded)
        },
        row("Service", "new", v1::Health::Missing),
        v1::ResourceRow {
            requires_pruning: true,
            message: "held".to_owned(),
            ..row("ConfigMap", "old", v1::Health::Unspecified)
        },
        v1::ResourceRow { requires_pruning: true, ..row("ConfigMap", "left", v1::Health::Unspecified) },
    ]
}

#[test]
fn rows_are_those_of_the_last_sync_in_its_order_and_then_all_others() {
    let rows = rows::rows(&resources(), &results(), None);
    assert_eq!(rows::told(&rows), 5, "a hook is no object of the app, and what was deleted is not there");
    insta::assert_snapshot!("rows", rows::table(rows));
    assert_eq!(rows::table(rows::rows(&[], &[], None)), "");
}

#[test]
fn what_a_sync_left_is_not_said_to_be_so_still_where_not_all_is_told() {
    let table = |out_of_sync| {
        let counts = v1::ResourceCounts { total: 30, synced: 20, out_of_sync, unknown: 0 };
        rows::table(rows::rows(&resources(), &results(), Some(counts)))
    };
    let settings =
        |table: &str| table.lines().any(|line| line.contains("settings") && line.contains("Synced"));
    assert!(settings(&table(4)) && !settings(&table(5)), "{}", table(5));
    assert!(table(5).contains("Pruned"), "{}", table(5));
}

#[test]
fn a_sync_tells_each_object_when_it_is_done() {
    let lines: String =
        results().iter().map(|row| view::command::sync_row(row, Some(1_700_000_000_000))).collect();
    insta::assert_snapshot!("sync_rows", view::command::sync_head() + &lines);
}

#[test]
fn an_operation_says_when_it_began_and_when_it_ended() {
    let operation = failing().status.and_then(|status| status.operation).unwrap();
    let stated = Some(1_700_000_009_000);
    insta::assert_snapshot!("operation", view::command::operation(&operation, stated));
    let running = v1::Operation { finished: false, finished_before_ms: None, ..operation };
    let text = view::command::operation(&running, stated);
    assert!(text.contains("Start:  ") && !text.contains("Finished:"), "{text}");
    assert!(text.contains("Duration:           9s"), "{text}");
    assert!(!view::command::operation(&running, None).contains("Start:"));
}

#[test]
fn an_app_is_compared_with_the_target_of_its_document() {
    let said = |target: &str, sync: v1::SyncStatus, revision: &str| {
        let mut view = failing();
        view.document_json = view.document_json.replace("\"main\"", &format!("{target:?}"));
        let status = view.status.as_mut().unwrap();
        status.sync = sync.into();
        status.assigned = Some(release(2, revision));
        let text = view::app::head(&view);
        text.lines().find_map(|line| line.strip_prefix("Sync Status:        ")).unwrap().to_owned()
    };
    let commit = "c0ffee0000000000000000000000000000000002";
    for (target, sync, revision, expected) in [
        ("main", v1::SyncStatus::Synced, commit, "Synced to main (c0ffee0)"),
        ("", v1::SyncStatus::OutOfSync, commit, "OutOfSync from HEAD (c0ffee0)"),
        ("main", v1::SyncStatus::Unknown, commit, "Unknown (c0ffee0)"),
        (commit, v1::SyncStatus::Synced, commit, "Synced to c0ffee0000000000000000000000000000000002"),
        ("C0FFEE00", v1::SyncStatus::Synced, commit, "Synced to C0FFEE00"),
        ("beef000", v1::SyncStatus::OutOfSync, commit, "OutOfSync from beef000 (c0ffee0)"),
    ] {
        assert_eq!(said(target, sync, revision), expected);
    }
    let mut gone = failing();
    gone.document_json.clear();
    assert!(view::app::head(&gone).contains("OutOfSync from c0ffee0\n"));
    let mut local = failing();
    local.document_json =
        local.document_json.replace("\"name\": \"edge-1\"", "\"server\": \"https://kubernetes.default.svc\"");
    assert!(view::app::head(&local).contains("Server:             https://kubernetes.default.svc\n"));
}

#[test]
fn an_app_that_does_not_tell_all_of_its_objects_says_who_does() {
    let mut view = failing();
    assert!(!view::app::detail(&view).contains("objects are told of here"));
    view.status.as_mut().unwrap().counts = Some(v1::ResourceCounts { total: 30, ..Default::default() });
    let text = view::app::detail(&view);
    assert!(text.contains("3 of 30 objects are told of here; argosy app resources argocd/web"), "{text}");
}
