//! Holds the names of fields and the forms of tables: they are a contract.

use std::collections::BTreeMap;

use argosy_proto::v1;

use crate::args::Format;
use crate::output::document;
use crate::view;

mod content;
mod syncs;

fn object(kind: &str, name: &str) -> v1::ResourceKey {
    let group = if kind == "Deployment" { "apps" } else { "" };
    v1::ResourceKey {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        part: String::new(),
    }
}

fn release(byte: u8, revision: &str) -> v1::ReleaseRef {
    v1::ReleaseRef { root: vec![byte; 32], revision: revision.to_owned() }
}

fn connected() -> v1::ClusterView {
    v1::ClusterView {
        name: "edge-1".to_owned(),
        uuid: "01010101-0101-4101-8101-010101010101".to_owned(),
        labels: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
        membership: v1::Membership::Joined.into(),
        connected: true,
        last_seen_unix_ms: Some(1_700_000_000_000),
        last_seen_age_ms: Some(3_400),
        head: Some(v1::HeadView { epoch: "ab".repeat(16), generation: 42 }),
        stored_generation: Some(41),
        apps: Some(v1::AppCounts {
            total: 3,
            synced: 2,
            out_of_sync: 1,
            healthy: 2,
            progressing: 0,
            degraded: 1,
            unknown: 0,
            held: 1,
        }),
        agent_version: "0.1.0".to_owned(),
        kubernetes_version: "v1.36.3".to_owned(),
        certificate_not_after_unix_ms: Some(1_702_592_000_000),
        chain: v1::ChainState::Known.into(),
        behind: true,
        behind_for_ms: Some(1_200),
        kube_system_uid: "kube-system-uid".to_owned(),
        ..Default::default()
    }
}

fn away() -> v1::ClusterView {
    v1::ClusterView {
        name: "edge-2".to_owned(),
        connected: false,
        last_seen_age_ms: Some(300_000),
        chain: v1::ChainState::Held.into(),
        read_only: "the store is below its anchor".to_owned(),
        behind: false,
        behind_for_ms: None,
        stored_generation: Some(42),
        ..connected()
    }
}

fn pending() -> v1::ClusterView {
    v1::ClusterView {
        name: "edge-3".to_owned(),
        uuid: "03030303-0303-4303-8303-030303030303".to_owned(),
        membership: v1::Membership::Pending.into(),
        join_expires_unix_ms: Some(1_700_000_900_000),
        ..Default::default()
    }
}

const DOCUMENT: &str = r#"{
  "metadata": {"name": "web", "namespace": "argocd", "labels": {"team": "shop"}},
  "spec": {
    "project": "default",
    "source": {"repoURL": "https://git.example/fleet.git", "path": "shop/web", "targetRevision": "main"},
    "destination": {"name": "edge-1", "namespace": "shop"},
    "syncPolicy": {"automated": {"prune": true, "selfHeal": true}}
  }
}"#;

fn deployment() -> v1::HistoryRow {
    v1::HistoryRow {
        id: 7,
        release: Some(release(1, "c0ffee0000000000000000000000000000000001")),
        finished_unix_ms: 1_699_990_000_000,
        started_unix_ms: Some(1_699_989_990_000),
        automated: true,
        healthy: true,
        ..Default::default()
    }
}

fn failing() -> v1::AppView {
    v1::AppView {
        namespace: "argocd".to_owned(),
        name: "web".to_owned(),
        cluster: "edge-1".to_owned(),
        project: "default".to_owned(),
        document_json: DOCUMENT.to_owned(),
        phase: v1::AppPhase::Active.into(),
        waiting: String::new(),
        desired: Some(release(3, "c0ffee0000000000000000000000000000000003")),
        conditions: vec![v1::Condition {
            r#type: "ComparisonError".to_owned(),
            message: "shop/web/a.yaml: document 2".to_owned(),
            since_unix_ms: Some(1_700_000_000_000),
        }],
        status: Some(v1::AppStatus {
            sync: v1::SyncStatus::OutOfSync.into(),
            health: v1::Health::Degraded.into(),
            health_message: "Caused by apps/Deployment:shop/web".to_owned(),
            listed: Some(release(3, "c0ffee0000000000000000000000000000000003")),
            assigned: Some(release(2, "c0ffee0000000000000000000000000000000002")),
            synced: Some(release(1, "c0ffee0000000000000000000000000000000001")),
            phase: v1::AppPhase::Active.into(),
            operation: Some(v1::Operation {
                phase: v1::OperationPhase::Failed.into(),
                message: "one or more objects failed to apply".to_owned(),
                release: Some(release(2, "c0ffee0000000000000000000000000000000002")),
                started_before_ms: Some(9_000),
                finished: true,
                finished_before_ms: Some(7_000),
                retries: 2,
                automated: true,
                results: vec![
                    v1::ResultRow {
                        key: Some(object("ConfigMap", "settings")),
                        code: v1::ResultCode::Synced.into(),
                        ..Default::default()
                    },
                    v1::ResultRow {
                        key: Some(object("Deployment", "web")),
                        code: v1::ResultCode::SyncFailed.into(),
                        message: "spec.replicas: Invalid value\x1b[31m".to_owned(),
                        version: "v1".to_owned(),
                        ..Default::default()
                    },
                ],
            }),
            counts: Some(v1::ResourceCounts { total: 3, synced: 1, out_of_sync: 2, unknown: 0 }),
            resources: vec![
                v1::ResourceRow {
                    key: Some(object("ConfigMap", "old")),
                    status: v1::SyncStatus::OutOfSync.into(),
                    health: v1::Health::Unspecified.into(),
                    health_message: String::new(),
                    requires_pruning: true,
                    message: "held".to_owned(),
                    wave: -1,
                    confirms: true,
                    version: "v1".to_owned(),
                },
                v1::ResourceRow {
                    key: Some(object("Deployment", "web")),
                    status: v1::SyncStatus::OutOfSync.into(),
                    health: v1::Health::Degraded.into(),
                    health_message: "1 of 3 pods is unavailable".to_owned(),
                    requires_pruning: false,
                    message: String::new(),
                    ..Default::default()
                },
            ],
            conditions: vec![v1::Condition {
                r#type: "SyncError".to_owned(),
                message: "Deployment shop/web was refused".to_owned(),
                since_unix_ms: Some(1_700_000_005_000),
            }],
            held: Some(v1::Held {
                plan: vec![0xab; 32],
                reason: "more than half of the app's objects".to_owned(),
                deletes: vec![v1::HeldDelete {
                    key: Some(object("ConfigMap", "old")),
                    uid: "uid-1".to_owned(),
                }],
                more: 0,
            }),
            emptied: false,
            history: vec![deployment()],
        }),
        observed: Some(v1::Observation {
            at_unix_ms: 1_700_000_010_000,
            age_ms: 3_400,
            last_known: false,
            stated_unix_ms: 1_700_000_009_000,
        }),
        sync_window: "Manual Allowed".to_owned(),
        windows: vec!["deny:0 22 * * *:1h".to_owned(), "allow:@daily:30m".to_owned()],
    }
}

fn last_known() -> v1::AppView {
    let mut view = failing();
    view.name = "mesh".to_owned();
    view.cluster = "edge-2".to_owned();
    view.conditions.clear();
    view.observed = Some(v1::Observation {
        at_unix_ms: 1_700_000_010_000,
        age_ms: 300_000,
        last_known: true,
        stated_unix_ms: 1_700_000_009_000,
    });
    if let Some(status) = &mut view.status {
        status.sync = v1::SyncStatus::Synced.into();
        status.health = v1::Health::Healthy.into();
        status.conditions.clear();
        status.held = None;
    }
    view
}

fn waiting() -> v1::AppView {
    v1::AppView {
        namespace: "team".to_owned(),
        name: "portal".to_owned(),
        cluster: "edge-9".to_owned(),
        project: "default".to_owned(),
        phase: v1::AppPhase::Active.into(),
        waiting: "no cluster is registered as edge-9".to_owned(),
        ..Default::default()
    }
}

fn answer() -> v1::ListClustersResponse {
    let condition = |kind: &str, message: &str| v1::Condition {
        r#type: kind.to_owned(),
        message: message.to_owned(),
        since_unix_ms: Some(1_700_000_000_000),
    };
    v1::ListClustersResponse {
        clusters: vec![connected(), away(), pending()],
        fleet: Some(v1::FleetView {
            source: "https://git.example/fleet.git".to_owned(),
            last_read_unix_ms: Some(1_699_400_000_000),
            last_read_age_ms: Some(604_800_000),
            conditions: vec![
                condition("FleetDocument", "new.yaml: document 2, line 4: kind: is missing"),
                condition("FleetUnreadable", "the fleet's source cannot be read: no route\x1b[2J to host"),
            ],
        }),
    }
}

#[test]
fn status_as_json() {
    let status = view::cluster::Status::of(&answer(), &[failing(), last_known(), waiting()]);
    insta::assert_snapshot!("status_json", document(Format::Json, &status).unwrap());
}

#[test]
fn status_as_tables() {
    let apps = [failing(), last_known(), waiting()];
    insta::assert_snapshot!("status_table", view::cluster::status(&answer(), &apps));
}

#[test]
fn a_fleet_that_is_well_takes_a_line() {
    let fleet = v1::FleetView {
        source: "/srv/fleet".to_owned(),
        last_read_age_ms: Some(3_400),
        ..v1::FleetView::default()
    };
    assert_eq!(view::fleet::lines(&fleet), "Fleet /srv/fleet, read 3s ago\n");
    let fleet = v1::FleetView { last_read_age_ms: None, ..fleet };
    assert_eq!(view::fleet::lines(&fleet), "Fleet /srv/fleet, not read since the hub started\n");
}

#[test]
fn a_list_leaves_out_what_it_does_not_know_rather_than_say_that_there_is_nothing() {
    let mut view = failing();
    if let Some(status) = &mut view.status {
        status.leave_out_details();
    }
    let listed: serde_json::Value =
        serde_json::from_str(&document(Format::Json, &view::app::Application::listed(&view)).unwrap())
            .unwrap();
    let status = &listed["status"];
    assert!(status.get("resources").is_none(), "{status}");
    assert!(status["operationState"]["syncResult"].get("resources").is_none(), "{status}");
    assert!(status["held"]["plan"].is_string() && status["held"].get("deletes").is_none(), "{status}");
}

#[test]
fn one_cluster() {
    insta::assert_snapshot!("cluster_detail", view::cluster::detail(&away()));
}

#[test]
fn an_added_cluster() {
    let added = v1::AddClusterResponse {
        name: "edge-3".to_owned(),
        uuid: "03030303-0303-4303-8303-030303030303".to_owned(),
        join: "argosy1.JOIN".to_owned(),
        command: "argosy-agent run --data-dir /var/lib/argosy --join argosy1.JOIN".to_owned(),
        expires_at_unix_ms: 1_700_000_900_000,
    };
    insta::assert_snapshot!(
        "added_json",
        document(Format::Json, &view::cluster::Added::from(&added)).unwrap()
    );
    insta::assert_snapshot!("added_table", view::cluster::added(&added, false));
}

#[test]
fn a_reconciliation() {
    let response = v1::ReconcileClusterResponse {
        holding: true,
        ended: false,
        rows: vec![v1::ReconcileRow {
            namespace: "argocd".to_owned(),
            name: "web".to_owned(),
            difference: v1::Difference::Changed.into(),
            hub: Some(release(1, "c0ffee0000000000000000000000000000000001")),
            agent: Some(release(2, "")),
            hub_phase: v1::AppPhase::Active.into(),
            agent_phase: v1::AppPhase::Frozen.into(),
            held: Some(v1::Held {
                deletes: vec![v1::HeldDelete {
                    key: Some(v1::ResourceKey {
                        kind: "ConfigMap".to_owned(),
                        namespace: "shop".to_owned(),
                        name: "old".to_owned(),
                        ..Default::default()
                    }),
                    uid: "u1".to_owned(),
                }],
                more: 2,
                ..Default::default()
            }),
        }],
        why: "its head 12 is above the last one sent, 9".to_owned(),
        hub_generation: Some(13),
        agent_generation: Some(12),
        obstacles: vec!["the source of argocd/web was not read yet".to_owned()],
        clones: vec!["uid-1".to_owned(), "uid-2".to_owned()],
    };
    let reconciliation = view::reconcile::Reconciliation::of("edge-2", &response);
    insta::assert_snapshot!("reconcile_json", document(Format::Json, &reconciliation).unwrap());
    insta::assert_snapshot!("reconcile_table", reconciliation.render());
}

#[test]
fn applications_as_tables() {
    let apps = [failing(), last_known(), waiting()];
    insta::assert_snapshot!("apps_table", view::list::table(&apps));
    insta::assert_snapshot!("apps_wide", view::list::wide(&apps));
    insta::assert_snapshot!("apps_name", view::list::names(&apps));
}

#[test]
fn one_application() {
    insta::assert_snapshot!("app_detail", view::app::detail(&failing()));
    let application = view::app::Application::from(&failing());
    insta::assert_snapshot!("app_json", document(Format::Json, &application).unwrap());
    insta::assert_snapshot!("app_yaml", document(Format::Yaml, &application).unwrap());
}

#[test]
fn an_application_that_waits_has_the_same_shape() {
    let application = view::app::Application::from(&waiting());
    insta::assert_snapshot!("app_waiting_json", document(Format::Json, &application).unwrap());
}

#[test]
fn resources_say_their_age() {
    let view = last_known();
    let rows = view.status.unwrap().resources;
    insta::assert_snapshot!("resources", view::command::resources(&rows, view.observed.as_ref(), false));
    let document_of = view::command::ResourceList::of("argocd", "mesh", &rows, view.observed.as_ref(), false);
    insta::assert_snapshot!("resources_json", document(Format::Json, &document_of).unwrap());
}

#[test]
fn events_on_one_line() {
    let event = v1::Event {
        sequence: 7,
        at_unix_ms: 1_700_000_000_000,
        age_ms: 3_400,
        severity: v1::Severity::Warning.into(),
        reason: "DriftHealed".to_owned(),
        message: "ConfigMap shop/settings was changed by kubectl-edit\nand put back".to_owned(),
        cluster: "edge-1".to_owned(),
        app_namespace: "argocd".to_owned(),
        app_name: "web".to_owned(),
        ..Default::default()
    };
    let lines = view::event::head() + &view::event::row(&event);
    insta::assert_snapshot!("events", lines);
    insta::assert_snapshot!("event_json", document(Format::Json, &view::event::Event::from(&event)).unwrap());
}

#[test]
fn a_pause_at_the_edge_is_shown_with_who_and_since_when() {
    let pause = v1::PauseView {
        by: "ana (uid 0)".to_owned(),
        reason: "the plant is down".to_owned(),
        since_unix_ms: 1_700_000_000_000,
        age_ms: 3_600_000,
        last_known: false,
    };
    let said =
        v1::Condition { r#type: "Paused".to_owned(), message: "paused".to_owned(), since_unix_ms: None };
    let view = v1::ClusterView { paused: Some(pause), conditions: vec![said], ..connected() };
    insta::assert_snapshot!("cluster_paused", view::cluster::detail(&view));
    let cluster = view::cluster::Cluster::from(&view);
    insta::assert_snapshot!("cluster_paused_json", document(Format::Json, &cluster).unwrap());
}

#[test]
fn an_audit_says_what_ran_and_what_is_not_known() {
    let pruned = v1::Event {
        sequence: 9,
        at_unix_ms: 1_700_000_000_000,
        age_ms: 60_000,
        severity: v1::Severity::Info.into(),
        reason: "Pruned".to_owned(),
        message: "deleted: it left the desired state".to_owned(),
        cluster: "edge-1".to_owned(),
        app_namespace: "argocd".to_owned(),
        app_name: "web".to_owned(),
        resource: Some(v1::ResourceKey {
            kind: "ConfigMap".to_owned(),
            namespace: "shop".to_owned(),
            name: "old".to_owned(),
            ..Default::default()
        }),
        recorded: true,
        by_cluster_clock: true,
    };
    let app = v1::AuditApp {
        namespace: "argocd".to_owned(),
        name: "web".to_owned(),
        phase: v1::AppPhase::Active.into(),
        desired: Some(release(3, "c0ffee0000000000000000000000000000000003")),
        assigned: Some(release(3, "c0ffee0000000000000000000000000000000003")),
        applied: Some(release(2, "")),
        sync: v1::SyncStatus::OutOfSync.into(),
        health: v1::Health::Degraded.into(),
        operation: Some(v1::Operation {
            phase: v1::OperationPhase::Failed.into(),
            message: "one or more objects failed to apply".to_owned(),
            finished: true,
            automated: true,
            ..Default::default()
        }),
        held_plan: vec![5; 32],
        held: 12,
        counts: Some(v1::ResourceCounts { total: 30, out_of_sync: 2, ..Default::default() }),
        since_unix_ms: 1_700_000_000_000,
        doubtful: true,
    };
    let response = v1::AuditResponse {
        cluster: "edge-1".to_owned(),
        at_unix_ms: 1_700_000_060_000,
        since_unix_ms: Some(1_690_000_000_000),
        until_unix_ms: Some(1_700_000_050_000),
        connected: false,
        doubts: vec!["newer rows of its journal may be at the agent, which is away".to_owned()],
        paused: None,
        read_only: String::new(),
        head: Some(v1::HeadView { epoch: "ab".repeat(16), generation: 42 }),
        apps: vec![app],
        before: vec![pruned],
    };
    insta::assert_snapshot!("audit", view::audit::render(&response));
    let audit = view::audit::Audit::from(&response);
    insta::assert_snapshot!("audit_json", document(Format::Json, &audit).unwrap());
}
