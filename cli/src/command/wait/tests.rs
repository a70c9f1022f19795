//! What is reached when.

use super::*;

fn app(sync: v1::SyncStatus, health: v1::Health) -> v1::AppView {
    let release = v1::ReleaseRef { root: vec![1; 32], revision: "c0ffee11".to_owned() };
    v1::AppView {
        desired: Some(release.clone()),
        status: Some(v1::AppStatus {
            sync: sync.into(),
            health: health.into(),
            assigned: Some(release),
            ..Default::default()
        }),
        observed: Some(v1::Observation::default()),
        ..Default::default()
    }
}

fn healthy() -> v1::AppView {
    app(v1::SyncStatus::Synced, v1::Health::Healthy)
}

fn running() -> v1::AppView {
    let mut view = healthy();
    let operation = v1::Operation { phase: v1::OperationPhase::Running.into(), ..Default::default() };
    view.status.as_mut().unwrap().operation = Some(operation);
    view
}

fn row(kind: &str, name: &str, sync: v1::SyncStatus, health: v1::Health) -> v1::ResourceRow {
    let key = v1::ResourceKey {
        group: if kind == "Deployment" { "apps" } else { "" }.to_owned(),
        kind: kind.to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        part: String::new(),
    };
    v1::ResourceRow { key: Some(key), status: sync.into(), health: health.into(), ..Default::default() }
}

fn asked(line: &[&str]) -> WaitArguments {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: WaitArguments,
    }
    let line = ["wait", "web"].iter().chain(line);
    <Line as clap::Parser>::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).arguments
}

fn state(line: &[&str]) -> State {
    let Goal::State(state) = Goal::new(&asked(line)) else { panic!("{line:?}") };
    state
}

fn words(progress: Progress) -> String {
    match progress {
        Progress::Reached => "reached".to_owned(),
        Progress::Missing(what) => what,
    }
}

fn missing(line: &[&str], view: &v1::AppView) -> String {
    words(state(line).of(view))
}

#[test]
fn without_flags_sync_health_and_operations_are_waited_for() {
    use v1::Health::{Degraded, Healthy, Progressing};
    use v1::SyncStatus::{OutOfSync, Synced};
    assert_eq!(missing(&[], &healthy()), "reached");
    assert_eq!(missing(&[], &app(OutOfSync, Healthy)), "OutOfSync");
    assert_eq!(missing(&[], &app(Synced, Progressing)), "Progressing");
    assert_eq!(missing(&[], &running()), "an operation is running");
    assert_eq!(missing(&["--sync"], &app(Synced, Degraded)), "reached");
    assert_eq!(missing(&["--health"], &app(OutOfSync, Healthy)), "reached");
}

#[test]
fn an_operation_is_waited_for_where_that_is_asked_for() {
    assert_eq!(missing(&["--sync", "--health"], &running()), "reached");
    for line in [&["--operation"][..], &["--sync", "--operation"]] {
        assert_eq!(missing(line, &running()), "an operation is running", "{line:?}");
        assert_eq!(missing(line, &healthy()), "reached", "{line:?}");
    }
}

#[test]
fn any_of_the_healths_that_are_named_will_do() {
    use v1::Health::{Degraded, Healthy, Progressing, Suspended};
    let is = |health| app(v1::SyncStatus::OutOfSync, health);
    for (line, reached) in [
        (&["--suspended"][..], &[Suspended][..]),
        (&["--degraded"], &[Degraded]),
        (&["--health", "--suspended"], &[Healthy, Suspended]),
        (&["--health", "--suspended", "--degraded"], &[Healthy, Suspended, Degraded]),
    ] {
        for health in [Healthy, Suspended, Degraded, Progressing] {
            let expected = if reached.contains(&health) { "reached" } else { health.word() };
            assert_eq!(missing(line, &is(health)), expected, "{line:?}");
        }
    }
    assert_eq!(missing(&["--suspended", "--sync"], &is(Suspended)), "OutOfSync");
}

#[test]
fn what_is_only_last_known_reaches_nothing() {
    let mut away = healthy();
    away.observed = Some(v1::Observation { last_known: true, age_ms: 300_000, ..Default::default() });
    for line in [&[][..], &["--operation"], &["--health", "--resource", "*:*:*"]] {
        assert_eq!(missing(line, &away), "the cluster is away; its status is 5m old", "{line:?}");
    }
}

#[test]
fn a_release_on_its_way_is_not_synced() {
    let mut behind = healthy();
    behind.desired = Some(v1::ReleaseRef { root: vec![2; 32], revision: String::new() });
    for line in [&[][..], &["--sync", "--resource", "*:*:*"]] {
        assert_eq!(missing(line, &behind), "the newest release is on its way", "{line:?}");
    }
}

#[test]
fn an_app_whose_source_is_broken_reaches_nothing_and_says_why() {
    let mut broken = app(v1::SyncStatus::Unknown, v1::Health::Healthy);
    let condition = |kind: &str, message: &str| v1::Condition {
        r#type: kind.to_owned(),
        message: message.to_owned(),
        ..Default::default()
    };
    broken.conditions = vec![condition("SyncWindow", "closed"), condition("ComparisonError", "line 3")];
    assert_eq!(missing(&[], &broken), "Unknown: ComparisonError: line 3");
    broken.conditions.clear();
    assert_eq!(missing(&[], &broken), "Unknown");
}

#[test]
fn a_revision_is_named_by_its_start() {
    assert_eq!(missing(&["--revision", "c0ffee", "--sync"], &healthy()), "reached");
    assert_eq!(missing(&["--revision", "beef", "--sync"], &healthy()), "at revision c0ffee11");
}

#[test]
fn of_the_objects_only_those_that_are_named_count() {
    use v1::Health::{Degraded, Healthy, Progressing, Unspecified};
    use v1::SyncStatus::{OutOfSync, Synced};
    let rows = [
        row("ConfigMap", "a", Synced, Unspecified),
        row("ConfigMap", "b", OutOfSync, Unspecified),
        row("Deployment", "web", Synced, Progressing),
        row("Deployment", "db", Synced, Healthy),
    ];
    for (line, expected) in [
        (&["--resource", ":ConfigMap:a"][..], "reached"),
        (&["--resource", ":ConfigMap:*"], "/ConfigMap/shop/b is OutOfSync"),
        (&["--resource", ":ConfigMap:*", "--health"], "reached"),
        (&["--resource", "*:*:shop/web"], "apps/Deployment/shop/web is Progressing"),
        (&["--resource", "apps:*:*", "--sync"], "reached"),
        (&["--resource", "!:ConfigMap:b", "--resource", "!*:*:web"], "reached"),
        (&["--resource", ":ConfigMap:a", "--resource", "apps:Deployment:db"], "reached"),
        (&["--resource", "apps:Deployment:db", "--degraded"], "apps/Deployment/shop/db is Healthy"),
        (
            &["--resource", ":Secret:a", "--resource", "!:*:b"],
            "no object of it is named by --resource :Secret:a, !:*:b",
        ),
    ] {
        assert_eq!(words(state(line).of_rows(&rows)), expected, "{line:?}");
    }
    let limited = state(&["--resource", ":ConfigMap:a"]);
    assert_eq!(words(limited.of(&app(OutOfSync, Degraded))), "reached", "of the app itself no more is asked");
    assert_eq!(words(limited.of(&running())), "an operation is running");
}

#[test]
fn only_a_turn_for_the_worse_ends_the_wait() {
    use v1::Health::{Degraded, Healthy, Missing, Progressing, Unknown};
    let turned = |before: &[v1::Health], now| {
        let mut healths = Healths::default();
        for health in before {
            healths.turned_bad(goal::health_of(&app(v1::SyncStatus::Synced, *health)));
        }
        healths.turned_bad(goal::health_of(&app(v1::SyncStatus::Synced, now))).is_some()
    };
    assert!(turned(&[Progressing], Degraded) && turned(&[Missing], Degraded));
    assert!(!turned(&[], Degraded) && !turned(&[Degraded], Degraded) && !turned(&[Unknown], Degraded));
    assert!(!turned(&[Progressing], Healthy));
    assert!(state(&[]).minds_degraded() && state(&["--health", "--suspended"]).minds_degraded());
    for line in ["--sync", "--suspended", "--degraded"] {
        assert!(!state(&[line]).minds_degraded(), "{line}");
    }
    assert!(!state(&["--health", "--degraded"]).minds_degraded());
}

#[test]
fn each_object_turns_for_itself() {
    use v1::Health::{Degraded, Healthy, Progressing};
    let state = state(&["--health", "--resource", "apps:*:*"]);
    let rows = |web, db| {
        let row = |name, health| row("Deployment", name, v1::SyncStatus::Synced, health);
        state.healths(&[row("web", web), row("db", db)])
    };
    let mut healths = Healths::default();
    assert_eq!(healths.turned_bad(rows(Progressing, Degraded)), None);
    assert_eq!(healths.turned_bad(rows(Healthy, Degraded)), None);
    let turned = healths.turned_bad(rows(Degraded, Healthy)).map(|(of, _)| of);
    assert_eq!(turned.as_deref(), Some("apps/Deployment/shop/web"));
}

#[test]
fn an_app_is_gone_once_a_hub_that_has_read_the_fleet_says_so() {
    assert_eq!(Goal::new(&asked(&["--delete"])), Goal::Gone);
    let read = |at| v1::FleetView { last_read_unix_ms: at, ..Default::default() };
    assert!(goal::was_read(Some(&read(Some(1)))));
    assert!(!goal::was_read(Some(&read(None))) && !goal::was_read(None));

    assert_eq!(goal::still_there(&healthy()), "it is in the fleet");
    let mut going = v1::AppView { phase: v1::AppPhase::Deleting.into(), ..healthy() };
    assert_eq!(goal::still_there(&going), "it is Deleting");
    going.status.as_mut().unwrap().held = Some(v1::Held::default());
    going.observed = Some(v1::Observation { last_known: true, age_ms: 3_000, ..Default::default() });
    let told = goal::still_there(&going);
    assert!(told.contains("argosy app confirm") && told.contains("the cluster is away"), "{told}");

    let app = AppId::new("", "web");
    assert_eq!(told_of(&app, Format::Table), "Application 'argocd/web' deleted\n");
    assert!(told_of(&app, Format::Json).contains("\"deleted\": true"));
}

fn told_of(app: &AppId, format: Format) -> String {
    told(app, None, format).unwrap()
}
