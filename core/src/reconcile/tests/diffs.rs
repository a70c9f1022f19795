//! Comparisons that operators ask for.

use super::*;
use crate::compare::{Change, DiffReport};
use crate::ids::DeletionId;
use crate::store::decode;

const COMMAND: CommandId = CommandId::new([9; 16]);

/// Asks for a comparison and gives how it ended.
fn ask(bench: &mut Bench, name: &str) -> CommandOutcome {
    bench.outcomes.clear();
    bench.reconciler.diff(COMMAND, &app(name));
    bench.settle();
    bench.outcomes.pop().expect("it ends")
}

fn report(bench: &mut Bench, name: &str) -> DiffReport {
    let outcome = ask(bench, name);
    assert_eq!((outcome.id, outcome.state), (COMMAND, CommandState::Succeeded), "{}", outcome.message);
    decode("answer", &outcome.payload).unwrap()
}

fn told(report: &DiffReport) -> Vec<(&str, Change)> {
    report.objects.iter().map(|object| (object.key.name.as_str(), object.change)).collect()
}

#[test]
fn what_is_as_it_was_applied_costs_no_request_and_the_rest_is_asked_for() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    bench.sync("web", false);
    let before = bench.requests;
    let none = report(&mut bench, "web");
    assert!(none.is_empty() && none.same == 4);
    assert_eq!(bench.requests, before);
    bench.assign_manual("web", &[("a", 1), ("b", 2), ("c", 1), ("e", 1)]);
    bench.meddle("c");
    let (writes, before) = (bench.writes.len(), bench.requests);
    let some = report(&mut bench, "web");
    assert_eq!(
        told(&some),
        [("b", Change::Changed), ("c", Change::Changed), ("d", Change::Extra), ("e", Change::Missing)]
    );
    assert_eq!((some.same, bench.requests - before, bench.writes.len()), (1, 4, writes));
    assert_eq!(some.root, bench.list.get(&app("web")).unwrap().root);
}

#[test]
fn an_object_that_changes_meanwhile_is_asked_for_again_and_one_that_fails_is_said_to() {
    fn moves(request: &Request) -> Option<ApiError> {
        matches!(request, Request::Compare { .. }).then(|| ApiError::Conflict("it was modified".to_owned()))
    }
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1)]);
    bench.fails = Some(moves);
    let before = bench.requests;
    let some = report(&mut bench, "web");
    assert_eq!(told(&some), [("a", Change::Unknown)]);
    assert!(some.objects[0].message.contains("it was modified"), "{some:?}");
    assert_eq!(bench.requests - before, 6);
    bench.fails = None;
    assert_eq!(told(&report(&mut bench, "web")), [("a", Change::Missing)]);
}

#[test]
fn what_the_project_does_not_permit_is_not_looked_at() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1)]);
    bench.change("web", |assignment| assignment.limits.namespaced_allowed = Some(Vec::new()));
    let before = bench.requests;
    let some = report(&mut bench, "web");
    assert_eq!((told(&some), bench.requests), (vec![("a", Change::Unknown)], before));
    assert!(some.objects[0].message.contains("not permitted"), "{some:?}");
}

#[test]
fn a_comparison_ends_with_its_session_and_only_a_few_are_made_at_once() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1)]);
    let commands: Vec<CommandId> = (0..5).map(|index| CommandId::new([index; 16])).collect();
    for command in &commands {
        bench.reconciler.diff(*command, &app("web"));
    }
    bench.reconciler.forget_diff(commands[0]);
    bench.settle();
    let ended: Vec<(CommandId, CommandState)> =
        bench.outcomes.iter().map(|outcome| (outcome.id, outcome.state)).collect();
    let well = |index: usize| (commands[index], CommandState::Succeeded);
    assert_eq!(ended, [(commands[4], CommandState::Failed), well(1), well(2), well(3)]);
}

#[test]
fn an_app_of_which_nothing_is_desired_is_refused_by_its_state() {
    let mut bench = Bench::new();
    bench.assign_manual("web", &[("a", 1)]);
    let refused = |bench: &mut Bench, name: &str, why: &str| {
        let outcome = ask(bench, name);
        assert_eq!(outcome.state, CommandState::Failed);
        assert!(outcome.message.contains(why), "{}", outcome.message);
    };
    refused(&mut bench, "nope", "not on this cluster");
    bench.change("web", |assignment| {
        assignment.phase = Phase::Deleting;
        assignment.deletion = Some(DeletionId::new([1; 16]));
    });
    refused(&mut bench, "web", "is being deleted");
    bench.assign("new", &[("b", 1)]);
    bench
        .reconciler
        .set_desired(Some(&bench.list), &BTreeMap::new(), false, &bench.store, now(bench.now))
        .unwrap();
    refused(&mut bench, "new", "on its way");
}
