//! A restart with everything in sync costs an API server next to nothing.

use std::collections::BTreeMap;

use argosy_tests::control_plane::unique;
use argosy_tests::requests::Mark;
use argosy_tests::throughout;
use serde_json::json;

use super::stage::{EDGE, QUIET, Stage};

#[test]
fn a_restart_in_sync_lists_and_watches_each_kind_once_and_writes_nothing_but_the_lease() {
    let stage = Stage::start();
    let team = unique("team");
    let objects = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "v"}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s", "namespace": team}}),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {
                "replicas": 0, "selector": {"matchLabels": {"app": "d"}},
                "template": {
                    "metadata": {"labels": {"app": "d"}},
                    "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]},
                },
            },
        }),
    ];
    for (index, object) in objects.iter().enumerate() {
        stage.world.apps().write(&format!("web/{index}.json"), object.to_string()).unwrap();
    }
    let names: Vec<String> = (0..30).map(|index| format!("c{index:02}")).collect();
    let commit = stage.bring_up("web", &names.iter().map(String::as_str).collect::<Vec<_>>());
    let kinds = objects.len() + 1;

    stage.edge().stop_agent().unwrap();
    let mark = stage.plane().mark().unwrap();
    stage.edge().start_agent().unwrap();
    stage.world.await_connected(EDGE, true);
    argosy_tests::eventually(argosy_tests::world::PATIENCE, "all to be watched", || {
        let state = stage.edge().debug_state().map_err(|error| format!("{error:#}"))?;
        if state["agent"]["observing"] == true { Ok(()) } else { Err(state.to_string()) }
    });
    stage.world.await_synced("web", &commit);
    throughout(QUIET, "the agent to rest", || {
        let state = stage.edge().debug_state().unwrap();
        state["agent"]["observing"] == true
    });

    expect_calm(&stage, mark, kinds);
    for name in ["c00", "c29"] {
        stage.expect_heal(name);
    }
}

fn expect_calm(stage: &Stage, mark: Mark, kinds: usize) {
    let mut requests = stage.edge().requests_since(mark).unwrap();
    requests.retain(|request| !request.is_lease());
    let writes: Vec<_> = requests.iter().filter(|request| request.is_write()).collect();
    assert_eq!(writes, Vec::<&argosy_tests::Request>::new());
    let mut verbs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| !request.resource.is_empty()) {
        // The one object that says which cluster this is.
        if request.verb != "get" || request.name != "kube-system" {
            *verbs.entry((&request.verb, &request.resource)).or_default() += 1;
        }
    }
    let of = |verb: &str| verbs.keys().filter(|(of, _)| *of == verb).count();
    assert!(verbs.values().all(|count| *count == 1), "one each: {verbs:?}");
    assert_eq!((of("list"), of("watch")), (kinds, kinds), "{verbs:?}");
    assert_eq!(verbs.len(), 2 * kinds, "and nothing else: {verbs:?}");
}
