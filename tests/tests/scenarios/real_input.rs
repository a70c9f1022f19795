//! Real definitions and manifests of the systems that Argosy is made for, made by others.
//!
//! They are read from the folder that `ARGOSY_TEST_DATA` names, else from `../shared/data` beside the workspace; without
//! it the scenario is skipped with a line that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use argosy_core::yaml;
use argosy_tests::{Application, World, eventually};
use serde_json::{Value, json};

use super::stage::{EDGE, Stage, config_map};

/// The definitions that are installed: all of them apply beside each other.
const SETS: [&str; 14] = [
    "argo-cd",
    "argo-rollouts",
    "external-secrets",
    "gateway-api-standard",
    "istio",
    "keycloak",
    "olm",
    "openshift",
    "rhdh",
    "sail-operator-ossm-3.4.1",
    "secrets-store-csi",
    "tekton-operator",
    "tekton-pipeline",
    "monitoring",
];
/// How many files that makes.
const FILES: usize = 93;
/// How many definitions they state: one of them twice, of which the last counts.
const DEFINITIONS: usize = 92;
/// Documents that the index calls good and these definitions, or the API server, do not: it looks at the newest release's
/// schemas, and neither at metadata nor at what a definition needs beside its schema. With what the refusal names.
const NOT_GOOD_HERE: [(&str, &str, &str, &str); 8] = [
    // An annotation that is a number.
    ("external-secrets.io/v1", "ExternalSecret", "hello-world", "acme.org/sha"),
    // A version that the release of these definitions does not know.
    ("sailoperator.io/v1", "Istio", "default", "spec.version"),
    ("sailoperator.io/v1", "Istio", "gateway-controller", "spec.version"),
    ("sailoperator.io/v1", "IstioCNI", "default", "spec.version"),
    ("sailoperator.io/v1", "ZTunnel", "default", "spec.version"),
    // Null for an integer.
    ("operator.tekton.dev/v1alpha1", "TektonPruner", "pruner", "successfulHistoryLimit"),
    // Versions that only the absent operator's webhook converts to the stored one.
    ("tekton.dev/v1alpha1", "StepAction", "step-action", "conversion webhook"),
    ("tekton.dev/v1alpha1", "StepAction", "step-action-when", "conversion webhook"),
];
/// How long megabytes of definitions may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(5);

/// A document and what the index says of it.
#[derive(Clone, Debug)]
struct Manifest {
    source: String,
    verdict: String,
    why: String,
    document: Value,
}

// === impl Manifest ===

impl Manifest {
    fn text(&self, pointer: &str) -> &str {
        self.document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns what tells it from others, whatever its version.
    fn key(&self) -> [String; 4] {
        let group = self.text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
        [group, self.text("/kind"), self.text("/metadata/namespace"), self.text("/metadata/name")]
            .map(str::to_owned)
    }
}

fn data() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = std::env::var_os("ARGOSY_TEST_DATA")
        .map_or_else(|| workspace.parent().unwrap().join("shared/data"), PathBuf::from);
    folder.join("crds").is_dir().then_some(folder)
}

fn documents(file: &Path) -> Vec<Value> {
    let bytes = std::fs::read(file).unwrap();
    let parsed = yaml::parse_each(&bytes, &yaml::Limits::default()).unwrap_or_default();
    parsed.into_iter().filter_map(|document| Some(document.ok()?.value)).collect()
}

/// Writes the definitions to the folder `crds`; returns the kinds and versions that they serve.
fn write_definitions(stage: &Stage, data: &Path) -> BTreeSet<[String; 3]> {
    let mut served = BTreeSet::new();
    let mut count = 0;
    for set in SETS {
        for entry in std::fs::read_dir(data.join("crds").join(set)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            for document in documents(&path) {
                let spec = &document["spec"];
                for version in spec["versions"].as_array().into_iter().flatten() {
                    let words = [&spec["group"], &spec["names"]["kind"], &version["name"]];
                    if version["served"] == true {
                        served.insert(words.map(|word| word.as_str().unwrap().to_owned()));
                    }
                }
            }
            let text = std::fs::read(&path).unwrap();
            stage.world.apps().write(&format!("crds/{set}/{name}"), text).unwrap();
            count += 1;
        }
    }
    assert_eq!(count, FILES);
    served
}

/// Returns the documents of the index whose kinds are served, each object once.
fn manifests(data: &Path, served: &BTreeSet<[String; 3]>) -> Vec<Manifest> {
    let index = std::fs::read_to_string(data.join("manifests/INDEX.tsv")).unwrap();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for line in index.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [file, api_version, kind, namespace, name, verdict, why] = columns[..] else {
            panic!("a line of the index: {line}")
        };
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        if !served.contains(&[group, kind, version].map(str::to_owned)) {
            continue;
        }
        for document in documents(&data.join("manifests").join(file)) {
            let source = file.split('/').next().unwrap().to_owned();
            let manifest = Manifest { source, verdict: verdict.to_owned(), why: why.to_owned(), document };
            let matches = manifest.text("/apiVersion") == api_version
                && manifest.key() == [group, kind, namespace, name].map(str::to_owned);
            let not_good = NOT_GOOD_HERE.iter().find(|(of, kind, name, _)| {
                (api_version, manifest.text("/kind"), manifest.text("/metadata/name")) == (*of, *kind, *name)
            });
            let manifest = match not_good {
                Some((.., why)) if verdict == "ok" => {
                    Manifest { verdict: "refused".to_owned(), why: (*why).to_owned(), ..manifest }
                }
                Some(_) | None => manifest,
            };
            if matches && seen.insert(manifest.key()) {
                found.push(manifest);
            }
        }
    }
    found
}

/// Puts the manifests of each source into an app of their own, with a config map; returns the apps with their manifests.
fn put_apps<'a>(
    stage: &Stage,
    suffix: &str,
    manifests: &[&'a Manifest],
) -> BTreeMap<String, Vec<&'a Manifest>> {
    let mut apps: BTreeMap<String, Vec<&Manifest>> = BTreeMap::new();
    for manifest in manifests {
        apps.entry(format!("{}-{suffix}", manifest.source.replace('.', "-"))).or_default().push(manifest);
    }
    for (app, manifests) in &apps {
        for (number, manifest) in manifests.iter().enumerate() {
            let file = format!("{app}/{number:03}.json");
            stage.world.apps().write(&file, manifest.document.to_string()).unwrap();
        }
        let text = config_map(&format!("{app}-good"), "1");
        stage.world.apps().write(&format!("{app}/good.yaml"), text).unwrap();
    }
    stage.world.apps().commit("Add real manifests").unwrap();
    for app in apps.keys() {
        stage.world.put_app(&Application::new(app, EDGE, app, app).automated(true, true).set(
            "/spec",
            "syncPolicy",
            json!({"automated": {"prune": true, "selfHeal": true}, "syncOptions": ["CreateNamespace=true"]}),
        ))
        .unwrap();
    }
    apps
}

#[track_caller]
fn await_synced(stage: &Stage, app: &str) {
    eventually(PATIENCE, &format!("app {app} to be Synced"), || {
        let app = stage.world.app(app).map_err(|error| format!("{error:#}"))?;
        if app["status"]["sync"]["status"] == "Synced" {
            return Ok(());
        }
        let rows = app["status"]["resources"].as_array();
        let rows: Vec<String> = rows
            .into_iter()
            .flatten()
            .filter(|row| row["status"] != "Synced")
            .take(20)
            .map(|row| format!("{} {}: {} {}", row["kind"], row["name"], row["status"], row["message"]))
            .collect();
        Err(format!("{} {} {rows:#?}", app["status"]["sync"], app["status"]["conditions"]))
    });
}

/// Returns the fields that a refusal has to name one of.
fn complaints(manifest: &Manifest) -> Vec<&str> {
    if manifest.verdict == "refused" {
        return vec![&manifest.why];
    }
    let paths = manifest.why.split(';').filter_map(|path| path.trim().strip_prefix('.'));
    let fields: Vec<&str> = paths.filter_map(|path| path.rsplit('.').next()).collect();
    if fields.is_empty() { vec!["spec"] } else { fields }
}

/// Tells whether the index complains of the status alone, which nobody applies.
fn is_of_status_alone(manifest: &Manifest) -> bool {
    manifest.why.split(';').all(|path| path.trim().starts_with(".status."))
}

#[test]
fn real_definitions_and_manifests_are_synced_or_refused_by_object_and_field() {
    let Some(data) = data() else {
        argosy_tests::say("skipped: there is no test data (ARGOSY_TEST_DATA names its folder)");
        return;
    };
    let stage =
        Stage::of(World::builder().clusters(&[EDGE]).own_control_planes().audit(true).start().unwrap());
    let served = write_definitions(&stage, &data);
    stage.world.apps().commit("Add definitions").unwrap();
    let crds = Application::new("crds", EDGE, &stage.namespace, "crds").automated(true, true);
    stage.world.put_app(&crds.directory(json!({"recurse": true}))).unwrap();
    await_synced(&stage, "crds");
    let app = stage.await_condition("crds", "RepeatedResourceWarning", &["networks.operator.openshift.io"]);
    assert_eq!(app["status"]["counts"]["total"], DEFINITIONS, "{}", app["status"]["counts"]);

    let manifests = manifests(&data, &served);
    let of = |verdicts: &[&str]| -> Vec<&Manifest> {
        manifests.iter().filter(|manifest| verdicts.contains(&manifest.verdict.as_str())).collect()
    };
    let (good, mut bad) = (of(&["ok"]), of(&["schema-error", "unknown-field", "refused"]));
    bad.retain(|manifest| !is_of_status_alone(manifest));
    assert_eq!(of(&["refused"]).len(), NOT_GOOD_HERE.len());
    assert!(good.len() > 250 && bad.len() > 20, "{} good and {} bad", good.len(), bad.len());
    let namespaces: BTreeSet<&str> = manifests
        .iter()
        .map(|manifest| manifest.text("/metadata/namespace"))
        .filter(|name| !name.is_empty())
        .collect();
    for namespace in namespaces.iter().filter(|name| **name != "default") {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        stage.world.apps().write(&format!("namespaces/{namespace}.json"), object.to_string()).unwrap();
    }
    stage.world.apps().commit("Add namespaces").unwrap();
    stage.world.put_app(&stage.app("namespaces")).unwrap();
    await_synced(&stage, "namespaces");

    let apps = put_apps(&stage, "good", &good);
    for app in apps.keys() {
        await_synced(&stage, app);
    }
    let (late, early): (Vec<&Manifest>, Vec<&Manifest>) =
        bad.iter().partition(|manifest| manifest.why.contains("webhook"));
    expect_refusals(&stage, &early);
    expect_late_refusals(&stage, &late);
    expect_calm_restart(&stage, &apps);
}

/// Objects that their schema refuses are told with the field, all of an app at once, and nothing of it is written.
fn expect_refusals(stage: &Stage, bad: &[&Manifest]) {
    let apps = put_apps(stage, "bad", bad);
    for (app, manifests) in &apps {
        await_told(stage, app, manifests);
        let path = format!("/api/v1/namespaces/{app}/configmaps/{app}-good");
        assert_eq!(stage.plane().api().get(&path).unwrap(), None, "nothing of {app} is written");
    }
}

/// What a webhook says is asked for in an object's own turn, not before the first write.
fn expect_late_refusals(stage: &Stage, late: &[&Manifest]) {
    let apps = put_apps(stage, "late-bad", late);
    for (app, manifests) in &apps {
        await_told(stage, app, manifests);
    }
}

/// Waits until an app tells of each of its manifests why it is refused.
fn await_told(stage: &Stage, app: &str, manifests: &[&Manifest]) {
    let shown = eventually(PATIENCE, &format!("all bad parts of {app} to be told"), || {
        let shown = stage.world.app(app).map_err(|error| format!("{error:#}"))?;
        let missing = manifests.iter().find(|manifest| message(&shown, manifest).is_empty());
        missing.map_or(Ok(shown.clone()), |missing| Err(format!("{:?}: {}", missing.key(), shown["status"])))
    });
    assert_eq!(shown["status"]["sync"]["status"], "OutOfSync", "{shown}");
    for manifest in manifests {
        let said = message(&shown, manifest);
        let fields = complaints(manifest);
        let named = fields.iter().any(|field| said.contains(field)) || names_a_field(&said, manifest);
        assert!(named, "{:?}: none of {fields:?} is in {said:?}", manifest.key());
    }
}

/// Tells whether a message names an undeclared field that the manifest has: of many the API server names any, and the
/// index not all.
fn names_a_field(said: &str, manifest: &Manifest) -> bool {
    let Some((before, _)) = said.split_once(": field not declared in schema") else { return false };
    let path = before.rsplit(' ').next().unwrap_or_default();
    path.starts_with('.') && manifest.document.pointer(&path.replace('.', "/")).is_some()
}

fn message(app: &Value, manifest: &Manifest) -> String {
    let rows = app["status"]["resources"].as_array();
    let mut rows = rows.into_iter().flatten();
    let row = rows
        .find(|row| row["name"] == manifest.text("/metadata/name") && row["kind"] == manifest.text("/kind"));
    row.and_then(|row| row["message"].as_str()).unwrap_or_default().to_owned()
}

fn expect_calm_restart(stage: &Stage, apps: &BTreeMap<String, Vec<&Manifest>>) {
    // What is refused is tried again from time to time, so it goes first.
    for folder in std::fs::read_dir(stage.world.fleet().folder().join("applications")).unwrap() {
        let name = folder.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with("-bad.yaml") {
            stage.world.fleet().remove(&format!("applications/{name}")).unwrap();
        }
    }
    stage.world.fleet().commit("Remove what is refused").unwrap();
    eventually(PATIENCE, "the refused apps to be gone", || {
        let listed = stage.world.hub().argosy_text(&["app", "list", "-o", "name"]).unwrap();
        if listed.contains("-bad") { Err(listed) } else { Ok(()) }
    });
    stage.edge().stop_agent().unwrap();
    let mark = stage.plane().mark().unwrap();
    stage.edge().start_agent().unwrap();
    stage.world.await_connected(EDGE, true);
    eventually(PATIENCE, "all to be watched", || {
        let state = stage.edge().debug_state().map_err(|error| format!("{error:#}"))?;
        if state["agent"]["observing"] == true { Ok(()) } else { Err(state["agent"].to_string()) }
    });
    for app in apps.keys() {
        await_synced(stage, app);
    }
    let mut requests = stage.edge().requests_since(mark).unwrap();
    requests.retain(|request| request.is_write() && !request.is_lease());
    assert_eq!(requests, Vec::new(), "a restart in sync writes nothing");
}
