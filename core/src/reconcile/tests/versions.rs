//! Versions of rows: what the manifest states, or stated when the object was applied.

use super::waves::refuses;
use super::*;

fn object(name: &str, api_version: &str) -> (ResourceKey, serde_json::Value) {
    let body = json!({"apiVersion": api_version, "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop"}});
    (config(name), body)
}

fn assign(bench: &mut Bench, objects: Vec<(ResourceKey, serde_json::Value)>) {
    let mut assignment = bench.put_manifests("web", objects);
    assignment.policy.automated = Some(Automated { prune: true, ..Automated::default() });
    bench.list.set(assignment);
    bench.desire();
}

fn did(bench: &Bench) -> Vec<(String, String)> {
    let rows = bench.operation("web").results.iter();
    rows.map(|row| (row.key.name.to_string(), row.version.clone())).collect()
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
}

#[test]
fn rows_tell_the_version_that_a_manifest_states_also_of_what_is_deleted() {
    let mut bench = Bench::new();
    let [first, plain, second] = [("first", "v1beta1"), ("plain", "v1"), ("second", "v1")];
    assign(&mut bench, [first, plain, second].map(|(name, version)| object(name, version)).into());
    assert_eq!(did(&bench), pairs(&[first, plain, second]));
    bench.restart();
    assert_eq!(did(&bench), pairs(&[first, plain, second]));
    let rows = bench.reconciler.rows(&app("web"), now(bench.now)).into_iter();
    let told: Vec<(String, String)> = rows.map(|row| (row.key.name.to_string(), row.version)).collect();
    assert_eq!(told, pairs(&[first, plain, second]));
    assign(&mut bench, [plain, second].map(|(name, version)| object(name, version)).into());
    assert_eq!(did(&bench), pairs(&[first]), "it went as it was applied last");
}

#[test]
fn a_sync_that_runs_tells_versions_as_well() {
    let mut bench = Bench::new();
    bench.fails = Some(|request| refuses(request, "b"));
    bench.assign("web", &[("a", 1), ("b", 1)]);
    assert_eq!(bench.operation("web").phase, OperationPhase::Running);
    assert_eq!(did(&bench), pairs(&[("a", "v1"), ("b", "v1")]));
    let row = bench.status("web").resources.iter().find(|row| row.key == config("b")).unwrap();
    assert_eq!(row.version, "v1");
}
