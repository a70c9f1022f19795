use argosy_core::ids::BootId;
use argosy_core::store::encode;
use argosy_core::time::WallTime;

use super::*;

fn at(boot: u8, elapsed_ms: u64) -> MonoTime {
    MonoTime { boot: BootId::new([boot; 16]), elapsed_ms }
}

fn status() -> AppStatus {
    let key = ResourceKey::new("apps", "Deployment", "shop", "web");
    let deletes = vec![HeldDelete { key: key.clone(), uid: "u1".to_owned() }];
    AppStatus {
        sync: SyncStatus::OutOfSync,
        health: Health::Degraded,
        health_message: "one pod fails".to_owned(),
        listed: Some(Root(Digest::of(b"b"))),
        assigned: Some(Root(Digest::of(b"b"))),
        synced: Some(Root(Digest::of(b"a"))),
        phase: Phase::Active,
        operation: Some(OperationStatus {
            phase: OperationPhase::Failed,
            message: "one object failed".to_owned(),
            root: Root(Digest::of(b"b")),
            started: at(1, 1_000),
            finished: Some(at(1, 3_000)),
            retries: 2,
            automated: true,
            results: vec![ResultRow {
                hook: Some(SyncPhase::PostSync),
                hook_phase: Some(OperationPhase::Failed),
                version: "v1".to_owned(),
                ..ResultRow::new(key.clone(), ResultCode::SyncFailed, "no")
            }],
        }),
        counts: Counts { total: 3, synced: 1, out_of_sync: 2, unknown: 0 },
        resources: vec![ResourceRow {
            key,
            status: SyncStatus::OutOfSync,
            health: None,
            health_message: String::new(),
            requires_pruning: true,
            message: "held".to_owned(),
            wave: -2,
            confirms: true,
            version: "v1beta1".to_owned(),
        }],
        conditions: vec![Condition { kind: "SyncError".to_owned(), message: "no".to_owned() }],
        held: Some(Held { plan: Held::plan_of(&deletes), reason: "too many".to_owned(), deletes, more: 0 }),
        observed: at(1, 10_000),
        emptied: None,
        history: vec![HistoryRow {
            id: 3,
            root: Root(Digest::of(b"a")),
            started: at(1, 2_000),
            finished: at(1, 4_000),
            finished_at: WallTime(50_000),
            automated: true,
            healthy: true,
            age_ms: None,
        }],
    }
}

#[test]
fn a_status_keeps_all_that_it_says() {
    let view = v1::AppStatus::from(&status());
    assert_eq!((view.sync(), view.health()), (v1::SyncStatus::OutOfSync, v1::Health::Degraded));
    let operation = view.operation.unwrap();
    assert_eq!((operation.started_before_ms, operation.finished_before_ms), (Some(9_000), Some(7_000)));
    assert_eq!(operation.results[0].code(), v1::ResultCode::SyncFailed);
    assert_eq!(operation.results[0].hook(), v1::SyncPhase::PostSync);
    assert_eq!(operation.results[0].hook_phase(), v1::OperationPhase::Failed);
    assert_eq!(view.resources[0].health(), v1::Health::Unspecified);
    assert_eq!((view.resources[0].wave, view.resources[0].confirms), (-2, true));
    let row = &view.history[0];
    assert_eq!((row.finished_unix_ms, row.started_unix_ms, row.age_ms), (50_000, Some(48_000), Some(6_000)));
    assert!(view.resources[0].requires_pruning);
    assert_eq!(view.held.unwrap().deletes.len(), 1);
    assert_eq!(view.conditions[0].r#type, "SyncError");
}

#[test]
fn times_before_a_reboot_are_unknown() {
    let view = v1::AppStatus::from(&AppStatus { observed: at(2, 5), ..status() });
    let operation = view.operation.unwrap();
    assert!(operation.finished);
    assert_eq!((operation.started_before_ms, operation.finished_before_ms), (None, None));
}

#[test]
fn revisions_are_filled_in_where_they_are_known() {
    let mut view = v1::AppStatus::from(&status());
    view.fill_revisions(|root| (root == Root(Digest::of(b"b"))).then(|| "c0ffee".to_owned()));
    assert_eq!(view.assigned.unwrap().revision, "c0ffee");
    assert_eq!(view.synced.unwrap().revision, "");
    assert_eq!(view.operation.unwrap().release.unwrap().revision, "c0ffee");
}

#[test]
fn commands_are_checked() {
    use v1::run_command_request::Kind;
    let request = |kind| v1::RunCommandRequest { name: "web".to_owned(), kind, ..Default::default() };
    let app = AppId::new("argocd", "web");
    assert_eq!(
        request(Some(Kind::Sync(v1::SyncCommand { expect: Vec::new(), prune: true }))).command(),
        Ok(CommandKind::Sync { app, expect: None, prune: true })
    );
    let selector = |name: &str| v1::ResourceSelector { name: name.to_owned(), ..Default::default() };
    let with = |name: &str, count| {
        let resources = vec![selector(name); count];
        request(Some(Kind::SyncWith(v1::SyncWithCommand { resources, ..Default::default() }))).command()
    };
    assert!(
        matches!(with("web", 1), Ok(CommandKind::SyncWith { options, .. }) if options.resources.len() == 1)
    );
    assert!(with("a b", 1).unwrap_err().to_string().contains("sync.resources"));
    assert!(with("web", 257).unwrap_err().to_string().contains("sync.resources"));
    let retried = |factor, delay_ms| {
        let retry = Some(v1::RetryPolicy { limit: -1, factor, delay_ms, ..Default::default() });
        request(Some(Kind::SyncRetried(v1::SyncWithCommand { retry, ..Default::default() }))).command()
    };
    assert!(matches!(retried(2, 5), Ok(CommandKind::SyncWith { options, .. }) if options.retry.is_some()));
    assert!(retried(0, 5).unwrap_err().to_string().contains("sync.retry.factor"));
    assert!(retried(2, 86_400_001).unwrap_err().to_string().contains("sync.retry.delay_ms"));
    let error = request(Some(Kind::Confirm(vec![1]))).command().unwrap_err();
    assert_eq!(error.to_string(), "run_command.confirm has 1 bytes instead of 32");
    assert!(request(None).command().unwrap_err().to_string().contains("run_command.kind"));
}

#[test]
fn the_answer_of_a_read_is_its_payload() {
    let app = AppId::new("argocd", "web");
    let answer = |kind: &CommandKind, payload: &[u8]| {
        let mut progress = v1::CommandProgress::default();
        progress.answer(kind, payload).map(|()| progress)
    };
    let list = CommandKind::Resources { app: app.clone() };
    let diff = CommandKind::Diff { app: app.clone() };
    let history = CommandKind::History { app: app.clone() };
    let why = CommandKind::Why { app, key: ResourceKey::new("", "ConfigMap", "shop", "a") };
    assert_eq!(answer(&list, &encode(&status().resources)).unwrap().rows.len(), 1);
    assert!(answer(&list, &[]).unwrap().rows.is_empty());
    for kind in [&list, &diff, &history, &why] {
        let error = answer(kind, &[0xff]).unwrap_err();
        assert_eq!(error.to_string(), "command_update.payload does not decode");
    }
    let key = ResourceKey::new("apps", "Deployment", "shop", "web");
    let field = FieldDiff {
        path: "spec.replicas".to_owned(),
        live: Some("3".to_owned()),
        desired: Some("2".to_owned()),
        untold: 0,
    };
    let object =
        ObjectDiff { key, change: Change::Changed, fields: vec![field], message: String::new(), left_out: 4 };
    let report = DiffReport { root: Root(Digest::of(b"b")), objects: vec![object], same: 7, more: 1 };
    let told = answer(&diff, &encode(&report)).unwrap().diff.unwrap();
    assert_eq!((told.same, told.more, told.release.unwrap().root()), (7, 1, Some(report.root)));
    assert_eq!((told.objects[0].change(), told.objects[0].left_out), (v1::Change::Changed, 4));
    assert_eq!(told.objects[0].fields[0].desired.as_deref(), Some("2"));
    let line = WhyLine { link: WhyLink::Gate, state: WhyState::Waits, message: "m".to_owned() };
    let told = answer(&why, &encode(&vec![line])).unwrap().why;
    assert_eq!((told[0].link.as_str(), told[0].state()), ("Gate", v1::WhyState::Waits));
}

#[test]
fn the_times_of_a_history_are_the_hubs_where_the_agent_knows_its_age() {
    let at = |elapsed_ms| MonoTime { boot: BootId::new([1; 16]), elapsed_ms };
    let row = HistoryRow {
        id: 3,
        root: Root(Digest::of(b"r")),
        started: at(1_000),
        finished: at(4_000),
        finished_at: WallTime(50_000),
        automated: true,
        healthy: false,
        age_ms: Some(10_000),
    };
    let mut told = v1::HistoryRow::from(&row);
    assert_eq!((told.finished_unix_ms, told.started_unix_ms), (50_000, Some(47_000)));
    told.by_hub_clock(1_000_000);
    assert_eq!((told.finished_unix_ms, told.started_unix_ms), (990_000, Some(987_000)));
    assert!(!told.by_cluster_clock);
    let mut restarted = v1::HistoryRow::from(&HistoryRow { age_ms: None, ..row });
    restarted.by_hub_clock(1_000_000);
    assert!(restarted.by_cluster_clock && restarted.finished_unix_ms == 50_000);
}
