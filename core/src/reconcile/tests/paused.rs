//! Break-glass: while somebody at the edge has paused all writes, none is sent, and everything is still seen.

use proptest::prelude::*;

use super::*;

const WORDS: &str = "paused by ana: the plant is down";

impl Bench {
    fn pause(&mut self) {
        self.reconciler.set_paused(Some(WORDS.to_owned()));
        self.settle();
    }

    fn resume(&mut self) {
        self.reconciler.set_paused(None);
        self.settle();
    }

    fn condition(&self, name: &str, kind: &str) -> Option<String> {
        let mut conditions = self.status(name).conditions.iter();
        conditions.find(|condition| condition.kind == kind).map(|condition| condition.message.clone())
    }
}

#[test]
fn drift_is_told_and_healed_only_after_the_pause() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.pause();
    let writes = bench.writes.len();
    bench.meddle("a");
    bench.vanish("b");
    bench.pass(3_600_000);
    assert_eq!(bench.writes.len(), writes);
    assert_eq!(bench.status("web").sync, SyncStatus::OutOfSync);
    assert!(bench.condition("web", "Paused").unwrap().contains("ana"));
    bench.resume();
    bench.pass(60_000);
    assert_eq!(bench.writes.len(), writes + 2);
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
    assert_eq!(bench.condition("web", "Paused"), None);
}

#[test]
fn a_new_release_waits_and_nothing_of_it_is_deleted() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.pause();
    let writes = bench.writes.len();
    bench.assign("web", &[("a", 2)]);
    bench.change("web", |assignment| assignment.policy.create_namespace = true);
    bench.pass(600_000);
    assert_eq!(bench.writes.len(), writes);
    bench.resume();
    bench.pass(60_000);
    assert_eq!((bench.deletes(), bench.uid("b")), (1, None));
    assert_eq!(bench.status("web").sync, SyncStatus::Synced);
}

/// Puts off every apply of `b`.
fn put_off_b(request: &Request) -> Option<ApiError> {
    match request {
        Request::Apply { key, .. } if key.name == "b" => {
            Some(ApiError::Unavailable { message: "later".to_owned(), retry_after: None })
        }
        Request::Apply { .. }
        | Request::Get { .. }
        | Request::Try { .. }
        | Request::Delete { .. }
        | Request::EnsureNamespace { .. }
        | Request::GiveUp { .. }
        | Request::Compare { .. } => None,
    }
}

#[test]
fn a_sync_in_progress_stops_at_its_next_object_and_goes_on_after_the_pause() {
    let mut bench = Bench::new();
    bench.fails = Some(put_off_b);
    bench.assign("web", &[("a", 1), ("b", 1)]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
    bench.pause();
    bench.fails = None;
    let writes = bench.writes.len();
    bench.pass(600_000);
    assert_eq!(bench.writes.len(), writes);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
    assert!(bench.operation("web").message.contains(WORDS), "{}", bench.operation("web").message);
    carry_out(&mut bench, Step::Restart);
    bench.pass(600_000);
    assert_eq!(bench.writes.len(), writes, "a restart ends no pause");
    bench.resume();
    bench.pass(60_000);
    assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
}

#[test]
fn a_pause_that_stopped_a_sync_is_not_followed_by_the_rest_of_it_once_a_newer_release_is_there() {
    for restarts in [false, true] {
        let mut bench = Bench::new();
        bench.fails = Some(put_off_b);
        bench.assign("web", &[("a", 1), ("b", 1)]);
        bench.pause();
        bench.fails = None;
        bench.assign("web", &[("a", 2), ("b", 2)]);
        bench.pass(60_000);
        if restarts {
            carry_out(&mut bench, Step::Restart);
        }
        let before = bench.writes.len();
        bench.resume();
        bench.pass(60_000);
        assert_eq!(bench.operation("web").phase, OperationPhase::Succeeded);
        let written: Vec<&str> = bench.writes[before..]
            .iter()
            .filter_map(|write| match write {
                Request::Apply { key, .. } => Some(key.name.as_str()),
                Request::Get { .. }
                | Request::Try { .. }
                | Request::Delete { .. }
                | Request::EnsureNamespace { .. }
                | Request::GiveUp { .. }
                | Request::Compare { .. } => None,
            })
            .collect();
        assert_eq!(written, ["a", "b"], "each object once, as the newest release has it");
    }
}

#[test]
fn a_sync_that_is_asked_for_during_a_pause_is_refused_by_name() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1)]);
    bench.pause();
    bench.reconciler.sync(CommandId::new([9; 16]), &app("web"), None, false);
    let output = bench.reconciler.turn(&bench.store, now(bench.now)).unwrap();
    let outcome = output.outcomes.first().unwrap();
    assert_eq!(outcome.state, CommandState::Failed);
    assert!(outcome.message.contains("ana"), "{}", outcome.message);
    bench.resume();
    bench.pass(60_000);
    assert!(bench.writes.is_empty(), "what was refused does not begin later");
}

#[test]
fn a_heal_that_finds_its_namespace_gone_makes_none_during_a_pause() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.change("web", |assignment| assignment.policy.create_namespace = true);
    // The heal is sent, the pause comes, and then its answer.
    let key = config("a");
    bench.objects.get_mut(&key).unwrap().fingerprint = Some(Digest::of(b"robbed"));
    bench.version += 1;
    bench.objects.get_mut(&key).unwrap().resource_version = bench.version;
    let live = bench.objects[&key].clone();
    bench.reconciler.watched(&key.group_kind(), WatchEvent::Seen(live), now(bench.now));
    let sent = bench.reconciler.turn(&bench.store, now(bench.now)).unwrap();
    bench.store.commit(&sent.ops);
    assert_eq!(bench.reconciler.writes_under_way(), 1);
    bench.reconciler.set_paused(Some(WORDS.to_owned()));
    let gone = ApiError::NamespaceMissing("namespace \"shop\" not found".to_owned());
    bench.reconciler.answered(sent.requests[0].0, Err(gone), now(bench.now), &mut Dice(1));
    let turn = bench.reconciler.turn(&bench.store, now(bench.now)).unwrap();
    let writes = turn.requests.iter().filter(|(_, request)| request.is_write());
    assert_eq!(writes.count(), 0);
    assert_eq!(bench.reconciler.writes_under_way(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Assign(Vec<u32>),
    Meddle(usize),
    Vanish(usize),
    Delete,
    Restart,
    Pass(u64),
    Sync(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(0_u32..3, 0..6).prop_map(Step::Assign),
        (0_usize..6).prop_map(Step::Meddle),
        (0_usize..6).prop_map(Step::Vanish),
        Just(Step::Delete),
        Just(Step::Restart),
        (0_u64..600_000).prop_map(Step::Pass),
        any::<bool>().prop_map(Step::Sync),
    ]
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn carry_out(bench: &mut Bench, step: Step) {
    match step {
        Step::Assign(values) => {
            let objects: Vec<(&str, u32)> = NAMES.into_iter().zip(values).collect();
            bench.assign("web", &objects);
        }
        Step::Meddle(which) => {
            if bench.objects.contains_key(&config(NAMES[which])) {
                bench.meddle(NAMES[which]);
            }
        }
        Step::Vanish(which) => bench.vanish(NAMES[which]),
        Step::Delete => {
            if bench.list.get(&app("web")).is_some() {
                bench.change("web", |assignment| {
                    assignment.phase = Phase::Deleting;
                    assignment.cascade_confirmed = true;
                });
            }
        }
        Step::Restart => {
            let paused = bench.reconciler.paused.clone();
            bench.reconciler = Reconciler::load(&bench.store, installation(), now(bench.now)).unwrap();
            // As the shell does: before anything may be written.
            bench.reconciler.set_paused(paused);
            bench.reconciler.set_kinds(kinds(), BTreeSet::new(), &bench.store, now(bench.now)).unwrap();
            bench.desire();
        }
        Step::Pass(ms) => bench.pass(ms),
        Step::Sync(prune) => bench.sync("web", prune),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_happens_nothing_is_written_while_paused(
        before in prop::collection::vec(step(), 0..8),
        during in prop::collection::vec(step(), 1..16),
    ) {
        let mut bench = Bench::new();
        for step in before {
            carry_out(&mut bench, step);
        }
        bench.pause();
        let writes = bench.writes.clone();
        for step in during {
            carry_out(&mut bench, step);
            prop_assert_eq!(&bench.writes, &writes);
        }
        bench.assign("web", &[("a", 7), ("b", 7)]);
        prop_assert_eq!(&bench.writes, &writes);
        bench.resume();
        bench.pass(1_200_000);
        prop_assert_eq!(bench.status("web").sync == SyncStatus::Synced || bench.status("web").held.is_some(), true);
    }
}
