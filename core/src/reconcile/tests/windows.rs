//! Sync windows: they keep back what is new, and never a heal.

use proptest::prelude::*;

use super::*;
use crate::health::Health;
use crate::status::ResultCode;
use crate::time::WallTime;
use crate::windows::{SyncWindow, WindowKind};
use waves::{assign as assign_waves, becomes, wave, written};

const HOUR_MS: u64 = 3_600_000;
const DENY: WindowKind = WindowKind::Deny;

/// Every day from 11:00 on for two hours.
fn window(kind: WindowKind) -> SyncWindow {
    SyncWindow {
        kind,
        schedule: "0 11 * * *".parse().unwrap(),
        duration: "2h".parse().unwrap(),
        zone: "".parse().unwrap(),
        manual: false,
        overrun: false,
        applications: vec!["*".to_owned()],
        namespaces: Vec::new(),
        clusters: Vec::new(),
        all: false,
        description: String::new(),
    }
}

impl Bench {
    /// A hub says that it is so late on some day.
    fn clock(&mut self, hours: u64) {
        let wall = WallTime(i64::try_from(10 * 24 * HOUR_MS + hours * HOUR_MS).unwrap());
        self.reconciler.time_proved(wall, now(self.now));
        self.settle();
    }

    fn windows(&mut self, windows: &[SyncWindow]) {
        self.change("web", |assignment| assignment.limits.windows = windows.to_vec());
    }

    /// Assigns within windows.
    fn assign_within(&mut self, objects: &[(&str, u32)], windows: &[SyncWindow]) {
        let mut assignment = self.put("web", objects);
        assignment.limits.windows = windows.to_vec();
        self.list.set(assignment);
        self.desire();
    }

    fn window_condition(&self) -> Option<&str> {
        let mut conditions = self.status("web").conditions.iter();
        conditions
            .find(|condition| condition.kind == "SyncWindow")
            .map(|condition| condition.message.as_str())
    }

    fn outcome_of_sync(&mut self) -> CommandOutcome {
        self.reconciler.sync(CommandId::new([9; 16]), &app("web"), None, false);
        self.reconciler.turn(&self.store, now(self.now)).unwrap().outcomes.remove(0)
    }
}

#[test]
fn a_release_waits_for_the_end_of_a_window_and_begins_by_itself() {
    let mut bench = Bench::new();
    bench.clock(12);
    bench.assign_within(&[("a", 1)], &[window(DENY)]);
    bench.pass(HOUR_MS - 1);
    assert!(bench.writes.is_empty());
    assert_eq!(bench.status("web").sync, SyncStatus::OutOfSync);
    assert_eq!(
        bench.window_condition(),
        Some("syncs wait for sync window deny \"0 11 * * *\" for 2h (UTC) until 1970-01-11T13:00:00Z")
    );
    assert_eq!(bench.events.iter().filter(|event| event.reason == "SyncBlocked").count(), 1);
    bench.pass(1);
    assert_eq!((bench.writes.len(), bench.window_condition()), (1, None));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

#[test]
fn drift_is_healed_while_windows_are_closed() {
    let mut bench = Bench::new();
    bench.clock(12);
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.windows(&[window(DENY)]);
    bench.meddle("a");
    bench.vanish("b");
    bench.pass(1_000);
    assert_eq!(bench.writes.len(), 4);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert_eq!(bench.window_condition(), None, "nothing waits");
}

#[test]
fn deletes_wait_for_the_window_unless_the_whole_app_leaves() {
    let mut bench = Bench::new();
    bench.clock(12);
    bench.assign("web", &[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    // Tried before the window closed, so that nothing but the delete is left.
    bench.windows(&[window(DENY)]);
    bench.assign_within(&[("a", 1), ("b", 1), ("c", 1)], &[window(DENY)]);
    bench.pass(HOUR_MS / 2);
    assert_eq!(bench.deletes(), 0);
    bench.restart();
    bench.pass(HOUR_MS / 4);
    assert_eq!(bench.deletes(), 0);
    bench.pass(HOUR_MS / 4);
    assert_eq!(bench.deletes(), 1);
    bench.clock(12);
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.cascade_confirmed = true;
    });
    assert_eq!(bench.deletes(), 4, "as in Argo CD, no window keeps an app from being deleted");
}

#[test]
fn a_sync_that_is_asked_for_is_refused_with_the_windows_named_or_let_through_by_them() {
    let mut bench = Bench::new();
    bench.clock(12);
    bench.assign_within(&[("a", 1)], &[window(DENY)]);
    let outcome = bench.outcome_of_sync();
    assert_eq!(outcome.state, CommandState::Failed);
    assert_eq!(
        outcome.message,
        "cannot sync: blocked by sync window deny \"0 11 * * *\" for 2h (UTC) until 1970-01-11T13:00:00Z"
    );
    bench.windows(&[SyncWindow { manual: true, ..window(DENY) }]);
    bench.pass(1_000);
    assert!(bench.writes.is_empty(), "an automated one still waits");
    assert!(bench.window_condition().unwrap().ends_with("; one that is asked for is let through"));
    bench.sync("web", false);
    assert_eq!((bench.writes.len(), bench.status("web").sync), (1, SyncStatus::Synced));
}

#[test]
fn a_sync_that_is_asked_for_tells_nothing_as_left_that_its_app_prunes_by_itself() {
    let mut bench = Bench::new();
    bench.clock(12);
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.finalizers = true;
    bench.assign_within(&[("a", 2)], &[SyncWindow { manual: true, ..window(DENY) }]);
    bench.pass(1_000);
    assert!(!bench.objects[&config("b")].deleting, "an automated one waits");
    bench.sync("web", false);
    bench.pass(10_000);
    assert!(bench.objects[&config("b")].deleting);
    let operation = bench.operation("web");
    assert!(operation.finished.is_some() && !operation.automated, "{operation:?}");
    let rows = operation.results.iter().filter(|row| row.key == config("b")).map(|row| row.code);
    assert_eq!(rows.collect::<Vec<_>>(), [ResultCode::Pruned]);
}

#[test]
fn a_sync_that_runs_stops_at_its_next_step_and_goes_on_when_the_window_ends() {
    let mut bench = Bench::new();
    bench.clock(10);
    bench.healths = BTreeMap::from([("first", Health::Progressing)]);
    assign_waves(&mut bench, &[("first", 1, wave(0)), ("last", 1, wave(1))]);
    assert_eq!(written(&mut bench), ["first"]);
    bench.windows(&[window(DENY)]);
    bench.pass(HOUR_MS + 1_000);
    becomes(&mut bench, "first", Health::Healthy);
    bench.pass(HOUR_MS);
    assert_eq!(written(&mut bench), [""; 0]);
    let operation = bench.operation("web");
    assert_eq!(operation.phase, OperationPhase::Running);
    assert_eq!(operation.message, "Sync operation blocked by sync window");
    assert!(bench.window_condition().unwrap().contains("until 1970-01-11T13:00:00Z"));
    bench.restart();
    bench.pass(1_000);
    assert_eq!(bench.operation("web").message, "Sync operation blocked by sync window");
    bench.pass(HOUR_MS);
    assert_eq!(written(&mut bench), ["last"]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn a_sync_that_runs_goes_on_where_the_window_lets_it_overrun() {
    let mut bench = Bench::new();
    bench.clock(10);
    bench.healths = BTreeMap::from([("first", Health::Progressing)]);
    assign_waves(&mut bench, &[("first", 1, wave(0)), ("last", 1, wave(1))]);
    bench.windows(&[SyncWindow { overrun: true, ..window(DENY) }]);
    bench.pass(HOUR_MS + 1_000);
    bench.restart();
    becomes(&mut bench, "first", Health::Healthy);
    bench.pass(10_000);
    assert_eq!(written(&mut bench), ["first", "last"]);
    let changed = [("first", 2, wave(0)), ("last", 2, wave(1))];
    let mut assignment = waves::put(&mut bench, &changed);
    assignment.limits.windows = vec![SyncWindow { overrun: true, ..window(DENY) }];
    bench.list.set(assignment);
    bench.desire();
    bench.pass(10_000);
    assert_eq!(written(&mut bench), [""; 0], "another one does not begin");
}

#[test]
fn a_blocked_sync_gives_way_to_a_newer_release() {
    let mut bench = Bench::new();
    bench.clock(10);
    bench.fails = Some(|request| {
        let later = || ApiError::Unavailable { message: "later".to_owned(), retry_after: None };
        waves::refuses(request, "b").map(|_no| later())
    });
    bench.assign_within(&[("a", 1), ("b", 1)], &[window(DENY)]);
    bench.pass(HOUR_MS + 1_000);
    assert_eq!(bench.operation("web").message, "Sync operation blocked by sync window");
    bench.fails = None;
    bench.assign_within(&[("a", 2), ("b", 2)], &[window(DENY)]);
    written(&mut bench);
    bench.pass(2 * HOUR_MS);
    assert_eq!(written(&mut bench), ["a", "b"], "each once, as the newest release has it");
}

#[test]
fn a_clock_that_is_not_trusted_closes_every_window_until_a_hub_says_the_time() {
    for kind in [DENY, WindowKind::Allow] {
        let mut bench = Bench::new();
        bench.assign_within(&[("a", 1)], &[window(kind)]);
        bench.pass(24 * HOUR_MS);
        assert!(bench.writes.is_empty(), "{kind:?}");
        assert!(bench.window_condition().unwrap().contains("clock is not trusted"), "{kind:?}");
        bench.clock(if kind == DENY { 10 } else { 12 });
        assert_eq!(bench.writes.len(), 1, "{kind:?}");
    }
}

#[test]
fn a_changed_window_is_no_other_attempt() {
    let mut bench = Bench::new();
    bench.clock(14);
    bench.fails = Some(|request| waves::refuses(request, "a"));
    bench.assign("web", &[("a", 1)]);
    bench.pass(HOUR_MS);
    let requests = bench.requests;
    assert_eq!(bench.operation("web").phase, OperationPhase::Failed);
    bench.windows(&[window(DENY)]);
    bench.pass(HOUR_MS);
    assert_eq!(bench.requests, requests);
}

#[test]
fn an_agent_wakes_when_a_window_changes_and_not_before() {
    let mut bench = Bench::new();
    bench.clock(9);
    bench.assign("web", &[("a", 1)]);
    bench.windows(&[window(DENY)]);
    bench.pass(60_000);
    let until_eleven = bench.now - 60_000 + 2 * HOUR_MS + 1;
    assert_eq!(bench.reconciler.next_timer(), Some(until_eleven));
}

#[derive(Debug, Clone)]
enum Step {
    Assign(Vec<u32>),
    Meddle(usize),
    Restart,
    Pass(u64),
    Sync(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(0_u32..3, 1..6).prop_map(Step::Assign),
        (0_usize..5).prop_map(Step::Meddle),
        Just(Step::Restart),
        (0_u64..HOUR_MS).prop_map(Step::Pass),
        any::<bool>().prop_map(Step::Sync),
    ]
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_nothing_new_is_written_in_a_closed_window_and_all_of_it_after(
        steps in prop::collection::vec(step(), 1..24),
    ) {
        let mut bench = Bench::new();
        bench.clock(10);
        bench.assign_within(&[("a", 7)], &[window(DENY)]);
        for step in steps {
            // What is live, and what was applied, is all that may be written by a heal.
            let before: BTreeSet<Digest> = bench.reconciler.pinned_manifests();
            let (writes, deletes) = (bench.writes.len(), bench.deletes());
            let begins = bench.now;
            match step {
                Step::Assign(values) => {
                    let objects: Vec<(&str, u32)> = NAMES.into_iter().zip(values).collect();
                    bench.assign_within(&objects, &[window(DENY)]);
                }
                Step::Meddle(which) => {
                    if bench.objects.contains_key(&config(NAMES[which])) {
                        bench.meddle(NAMES[which]);
                    }
                }
                Step::Restart => bench.restart(),
                Step::Pass(ms) => bench.pass(ms),
                Step::Sync(prune) => bench.sync("web", prune),
            }
            // The hub said 10:00 at the first second.
            let hour = |ms: u64| 10 * HOUR_MS + ms - 1_000;
            let closed = |ms: u64| (11 * HOUR_MS + 1..13 * HOUR_MS).contains(&(hour(ms) % (24 * HOUR_MS)));
            if closed(begins) && closed(bench.now) {
                prop_assert_eq!(bench.deletes(), deletes);
                for write in &bench.writes[writes..] {
                    let Request::Apply { manifest, .. } = write else { continue };
                    prop_assert!(before.contains(manifest), "{:?}", write);
                }
            }
        }
        bench.pass(4 * HOUR_MS);
        prop_assert!(bench.status("web").sync == SyncStatus::Synced || bench.status("web").held.is_some());
    }
}
