//! Who gets how many of the requests under way.

use super::*;

const OBJECTS: usize = 60;

/// Assigns apps of many objects and hands out what they ask in one turn.
fn begin(names: &[&str]) -> (Bench, Vec<(RequestId, Request)>) {
    let mut bench = Bench::new();
    for name in names {
        let objects: Vec<String> = (0..OBJECTS).map(|number| format!("{name}{number:03}")).collect();
        let objects: Vec<(&str, u32)> = objects.iter().map(|object| (object.as_str(), 1)).collect();
        let assignment = bench.put(name, &objects);
        bench.list.set(assignment);
    }
    let assigned: BTreeMap<AppId, Assignment> = bench
        .list
        .elements()
        .iter()
        .map(|(name, element)| (name.clone(), element.assignment.clone()))
        .collect();
    bench.reconciler.set_desired(Some(&bench.list), &assigned, true, &bench.store, now(bench.now)).unwrap();
    let listed = WatchEvent::Listed { resource_version: bench.version, objects: Vec::new() };
    bench.reconciler.watched(&config("a").group_kind(), listed, now(bench.now));
    let requests = turn(&mut bench);
    (bench, requests)
}

fn turn(bench: &mut Bench) -> Vec<(RequestId, Request)> {
    let output = bench.reconciler.turn(&bench.store, now(bench.now)).unwrap();
    bench.store.commit(&output.ops);
    output.requests
}

fn count(requests: &[(RequestId, Request)], name: &str) -> usize {
    let of = |request: &Request| match request {
        Request::Get { key }
        | Request::Try { key, .. }
        | Request::Apply { key, .. }
        | Request::Delete { key, .. }
        | Request::GiveUp { key, .. }
        | Request::Compare { key, .. } => key.name.starts_with(name),
        Request::EnsureNamespace { .. } => false,
    };
    requests.iter().filter(|(_, request)| of(request)).count()
}

#[test]
fn one_app_alone_leaves_slots_for_looks_heals_and_deletes() {
    let (mut bench, requests) = begin(&["a"]);
    assert_eq!(count(&requests, "a"), 12);
    bench.reconciler.verify_queue.insert(config("elsewhere"), 0);
    assert_eq!(count(&turn(&mut bench), "elsewhere"), 1);
}

#[test]
fn a_large_app_leaves_the_others_their_share_and_none_is_passed_over() {
    let (mut bench, requests) = begin(&["a", "b", "c"]);
    assert_eq!((count(&requests, "a"), count(&requests, "b")), (6, 6));
    let mut waiting = requests;
    let mut done = Vec::new();
    while done.len() < 90 {
        let (id, request) = waiting.remove(0);
        let answer = bench.answer(request.clone());
        done.push((id, request));
        bench.reconciler.answered(id, answer, now(bench.now), &mut Dice(2));
        waiting.extend(turn(&mut bench));
        assert!(waiting.len() <= 16);
    }
    for name in ["a", "b", "c"] {
        assert!(count(&done, name) >= 20, "{name}: {}", count(&done, name));
    }
}
