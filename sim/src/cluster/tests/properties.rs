//! What holds whatever is asked.

use proptest::prelude::*;

use super::*;

/// Something that a client does.
#[derive(Debug, Clone)]
enum Step {
    Apply { name: u8, value: u8, labelled: bool },
    Edit { name: u8, value: u8 },
    Label { name: u8, labelled: bool },
    Hold { name: u8, held: bool },
    Own { name: u8, by: u8 },
    Delete { name: u8, propagation: Propagation },
    Pass,
}

fn propagation() -> impl Strategy<Value = Propagation> {
    prop_oneof![Just(Propagation::Foreground), Just(Propagation::Background), Just(Propagation::Orphan)]
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4_u8;
    prop_oneof![
        (name.clone(), 0..3_u8, any::<bool>()).prop_map(|(name, value, labelled)| Step::Apply {
            name,
            value,
            labelled
        }),
        (name.clone(), 0..3_u8).prop_map(|(name, value)| Step::Edit { name, value }),
        (name.clone(), any::<bool>()).prop_map(|(name, labelled)| Step::Label { name, labelled }),
        (name.clone(), any::<bool>()).prop_map(|(name, held)| Step::Hold { name, held }),
        (name.clone(), name.clone()).prop_map(|(name, by)| Step::Own { name, by }),
        (name, propagation()).prop_map(|(name, propagation)| Step::Delete { name, propagation }),
        Just(Step::Pass),
    ]
}

fn path(name: u8) -> String {
    format!("/v1/configmaps/default/{}", char::from(b'a' + name))
}

fn take(bench: &mut Bench, step: &Step) {
    let outcome = match step {
        Step::Apply { name, value, labelled } => {
            let mut map = config_map(&path(*name)[23..], &value.to_string());
            if *labelled {
                map["metadata"]["labels"] = json!({"ours": "true"});
            }
            bench.ask(&path(*name), apply(map))
        }
        Step::Edit { name, value } => {
            bench.ask(&path(*name), merge(json!({"data": {"k": value.to_string()}})))
        }
        Step::Label { name, labelled } => {
            let label = labelled.then_some("true");
            bench.ask(&path(*name), merge(json!({"metadata": {"labels": {"ours": label}}})))
        }
        Step::Hold { name, held } => {
            let finalizers = if *held { json!(["example.com/hold"]) } else { Value::Null };
            bench.ask(&path(*name), merge(json!({"metadata": {"finalizers": finalizers}})))
        }
        Step::Own { name, by } => {
            let Some(owner) = bench.get(&path(*by)) else { return };
            let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true});
            bench.ask(&path(*name), merge(json!({"metadata": {"ownerReferences": [owner]}})))
        }
        Step::Delete { name, propagation } => {
            let options = DeleteOptions { propagation: Some(*propagation), ..DeleteOptions::default() };
            bench.ask(&path(*name), Verb::Delete(options))
        }
        Step::Pass => {
            bench.pass(Duration::from_millis(120));
            return;
        }
    };
    if let Err(status) = outcome {
        assert!(matches!(status.code, 404 | 409 | 422), "{status:?}");
    }
}

fn take_all(bench: &mut Bench, steps: &[Step]) {
    for step in steps {
        take(bench, step);
    }
}

type Seen = BTreeMap<String, (u64, Vec<u8>)>;

fn listed(bench: &mut Bench, selector: &str) -> (Seen, u64) {
    let options = ListOptions { label_selector: selector.to_owned(), ..ListOptions::default() };
    let reply = bench.ask("/v1/configmaps/default", Verb::List(&options)).unwrap();
    let Body::List(list) = reply.body else { panic!("{:?}", reply.body) };
    (list.items.iter().map(|object| entry(object)).collect(), list.version)
}

fn entry(object: &Object) -> (String, (u64, Vec<u8>)) {
    (object.uid().to_owned(), (object.version(), object.json().to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_list_and_the_events_after_it_give_the_present_state(
        before in prop::collection::vec(step(), 0..12),
        after in prop::collection::vec(step(), 0..24),
    ) {
        for selector in ["", "ours=true"] {
            let mut bench = Bench::new();
            take_all(&mut bench, &before);
            let (mut seen, from) = listed(&mut bench, selector);
            take_all(&mut bench, &after);
            let resource = bench.resource("", "v1", "configmaps");
            let selection = Selection::parse(&resource, "default", selector, "").unwrap();
            let events = bench.cluster.events_since(&resource, &selection, from).unwrap();
            let mut last = from;
            for event in &events.events {
                let (uid, state) = entry(&event.object);
                prop_assert!(state.0 > last, "versions grow");
                last = state.0;
                match event.kind {
                    EventKind::Added => prop_assert!(seen.insert(uid, state).is_none()),
                    EventKind::Modified => prop_assert!(seen.insert(uid, state).is_some()),
                    EventKind::Deleted => prop_assert!(seen.remove(&uid).is_some()),
                }
            }
            prop_assert_eq!(seen, listed(&mut bench, selector).0);
        }
    }

    #[test]
    fn what_was_is_known_as_it_was(
        before in prop::collection::vec(step(), 0..12),
        after in prop::collection::vec(step(), 0..12),
    ) {
        let mut bench = Bench::new();
        take_all(&mut bench, &before);
        let (then, version) = listed(&mut bench, "");
        take_all(&mut bench, &after);
        let options = ListOptions {
            resource_version: version.to_string(),
            resource_version_match: "Exact".to_owned(),
            ..ListOptions::default()
        };
        let reply = bench.ask("/v1/configmaps/default", Verb::List(&options)).unwrap();
        let Body::List(list) = reply.body else { panic!("{:?}", reply.body) };
        let now: Seen = list.items.iter().map(|object| entry(object)).collect();
        prop_assert_eq!(now, then);
    }

    #[test]
    fn a_cluster_that_is_left_alone_comes_to_rest(steps in prop::collection::vec(step(), 0..24)) {
        let mut bench = Bench::new();
        take_all(&mut bench, &steps);
        bench.pass(Duration::from_mins(5));
        prop_assert_eq!(bench.cluster.next_tick(), None);
    }
}
