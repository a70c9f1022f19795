//! The chain from a release to an object, in words.

use super::*;
use crate::health::Health;

/// Gives the lines of an object that are not fine, or that are about one link.
fn says(bench: &Bench, name: &str, about: Option<WhyLink>) -> Vec<String> {
    let lines = bench.reconciler.why(&app("web"), &config(name), now(bench.now)).into_iter();
    let told = lines.filter(|line| about.map_or(line.state != WhyState::Fine, |link| line.link == link));
    told.map(|line| format!("{:?}: {}", line.link, line.message)).collect()
}

#[test]
fn an_object_that_is_as_it_should_be_has_a_chain_without_an_end() {
    let mut bench = Bench::new();
    assert_eq!(says(&bench, "a", None), ["Release: app argocd/web is not on this cluster"]);
    bench.assign("web", &[("a", 1)]);
    assert_eq!(says(&bench, "a", None), Vec::<String>::new());
    assert_eq!(says(&bench, "a", Some(WhyLink::Live)), ["Live: it is there"]);
    let api = says(&bench, "a", Some(WhyLink::Api));
    assert!(api[0].starts_with("Api: last sync: Synced"), "{api:?}");
    let unknown = says(&bench, "z", None);
    assert!(unknown[0].contains("does not have it"), "{unknown:?}");
}

#[test]
fn what_the_api_server_refuses_is_told_with_its_words() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| {
        let refused = matches!(request, Request::Apply { .. });
        refused.then(|| ApiError::Refused("quota exceeded".to_owned()))
    });
    bench.assign("web", &[("a", 1)]);
    bench.pass(3_600_000);
    let told = says(&bench, "a", None);
    assert!(told.iter().any(|line| line.starts_with("Api: quota exceeded")), "{told:?}");
    assert!(told.contains(&"Live: it is not there".to_owned()), "{told:?}");
}

#[test]
fn a_wave_that_has_not_come_names_what_it_waits_for() {
    let mut bench = Bench::new();
    bench.healths.insert("a", Health::Progressing);
    let body = |name: &str, wave: &str| {
        let annotations = json!({"argocd.argoproj.io/sync-wave": wave});
        let metadata = json!({"name": name, "namespace": "shop", "annotations": annotations});
        (config(name), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}))
    };
    let assignment = bench.put_manifests("web", vec![body("a", "0"), body("b", "3")]);
    bench.list.set(assignment);
    bench.desire();
    bench.pass(5_000);
    let told = says(&bench, "b", None);
    let wave = "Wave: its step, Sync wave 3, has not come yet; the sync is at Sync wave 0";
    assert!(told.contains(&wave.to_owned()), "{told:?}");
    let gate = "Gate: waiting for healthy state of /ConfigMap/a";
    assert!(told.contains(&gate.to_owned()), "{told:?}");
    assert!(says(&bench, "a", Some(WhyLink::Health))[0].contains("Progressing"));
}

#[test]
fn who_writes_fields_who_has_it_and_who_pauses_are_named() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1)]);
    bench.change("web", |assignment| assignment.policy.automated.as_mut().unwrap().self_heal = false);
    bench.meddle("a");
    let told = says(&bench, "a", None);
    assert_eq!(told, ["Fields: kubectl-edit changed or took fields that were applied"]);
    bench.assign("other", &[("b", 1)]);
    bench.assign("web", &[("a", 1), ("b", 1)]);
    let told = says(&bench, "b", Some(WhyLink::Owner));
    assert_eq!(told, ["Owner: app argocd/other has it, and it alone writes it"]);
    bench.reconciler.set_paused(Some("paused by ana".to_owned()));
    assert_eq!(says(&bench, "a", Some(WhyLink::Permission)), ["Permission: paused by ana"]);
}

#[test]
fn a_delete_that_is_held_says_why() {
    let mut bench = Bench::new();
    bench.assign("web", &[("a", 1), ("b", 1)]);
    bench.assign("web", &[]);
    let told = says(&bench, "a", Some(WhyLink::Delete));
    assert!(told[0].starts_with("Delete: its delete is held: the app became empty"), "{told:?}");
}
