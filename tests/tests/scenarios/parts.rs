//! Parts: slices of objects that somebody else has.

use argosy_tests::world::PATIENCE;
use argosy_tests::{eventually, throughout};
use serde_json::{Value, json};

use super::stage::{QUIET, Stage, row, row_message};

/// Writes a part of an object into the folder of an app.
fn write_part(stage: &Stage, file: &str, part: &str, states: &Value) {
    let mut manifest = states.clone();
    manifest["apiVersion"] = json!("v1");
    manifest["metadata"]["annotations"] = json!({"argosy.dev/part": part});
    stage.world.apps().write(file, manifest.to_string()).unwrap();
}

fn label_of_namespace(stage: &Stage, mode: &str) -> Value {
    json!({"kind": "Namespace", "metadata": {"name": stage.namespace, "labels": {"mode": mode}}})
}

fn key_of_map(name: &str, value: &str) -> Value {
    json!({"kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}})
}

fn namespace(stage: &Stage) -> Value {
    stage.plane().api().get(&format!("/api/v1/namespaces/{}", stage.namespace)).unwrap().unwrap()
}

fn mode(stage: &Stage) -> Option<String> {
    namespace(stage)["metadata"]["labels"]["mode"].as_str().map(str::to_owned)
}

/// Somebody makes a config map that Helm tracks.
fn make_theirs(stage: &Stage, name: &str, data: &Value) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data, "metadata": {"name": name,
        "annotations": {"meta.helm.sh/release-name": "x", "meta.helm.sh/release-namespace": "y"}}});
    let path = format!("/api/v1/namespaces/{}/configmaps", stage.namespace);
    stage.plane().api().create(&path, &map).unwrap();
}

fn text(stage: &Stage, line: &[&str]) -> String {
    stage.world.hub().argosy_text(line).unwrap()
}

#[test]
fn parts_of_what_others_have_are_applied_healed_told_and_given_up() {
    let stage = Stage::start();
    make_theirs(&stage, "theirs", &json!({"own": "x"}));
    write_part(&stage, "web/mesh.yaml", "mesh", &label_of_namespace(&stage, "ambient"));
    write_part(&stage, "web/theirs.yaml", "mesh", &key_of_map("theirs", "1"));
    let first = stage.commit(&[("web/a", "1"), ("web/b", "1"), ("web/c", "1")]);
    stage.world.put_app(&stage.app("web").with_finalizer()).unwrap();
    stage.world.await_synced("web", &first);
    assert_eq!((mode(&stage).as_deref(), stage.value("theirs").as_str()), (Some("ambient"), "1"));
    let marks = [namespace(&stage), stage.live("theirs").unwrap()].map(|live| live["metadata"].clone());
    for metadata in &marks {
        let named = [&metadata["labels"], &metadata["annotations"]].map(Value::to_string).concat();
        assert!(!named.contains("argosy.dev") && !named.contains("argocd"), "{named}");
    }

    let labels = json!({"metadata": {"labels": {"mode": "none"}}});
    stage.plane().api().merge(&format!("/api/v1/namespaces/{}", stage.namespace), &labels).unwrap();
    stage.spoil("theirs");
    let healed = || mode(&stage).as_deref() == Some("ambient") && stage.value("theirs") == "1";
    eventually(PATIENCE, "both parts to be healed", healed);

    let rows = text(&stage, &["app", "resources", "web"]);
    assert!(rows.contains(&format!("{} (part mesh)", stage.namespace)), "{rows}");
    assert!(rows.contains("theirs (part mesh)"), "{rows}");
    let object = format!("/ConfigMap/{}/theirs/mesh", stage.namespace);
    let why = text(&stage, &["why", "web", &object]);
    assert!(why.contains("has it, and it was applied"), "{why}");
    assert!(!why.contains("not taken over"), "{why}");

    let second = stage.remove(&["web/theirs"]);
    stage.world.await_synced("web", &second);
    assert_eq!(stage.live("theirs").unwrap()["data"], json!({"own": "x"}), "what is not ours stays");

    stage.world.remove_app("web").unwrap();
    stage.await_held("web");
    text(&stage, &["app", "delete", "web", "--cascade"]);
    stage.await_absent("a");
    eventually(PATIENCE, "the label to be given up", || mode(&stage).is_none());
    throughout(QUIET, "the namespace to stay", || namespace(&stage)["status"]["phase"] == "Active");
}

#[test]
fn a_part_waits_for_its_object_and_takes_nothing_from_others() {
    let stage = Stage::start();
    write_part(&stage, "web/late.yaml", "mesh", &key_of_map("late", "ours"));
    let first = stage.commit(&[("web/a", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();
    let app = stage.world.await_app("web", "to wait for the object", |app| {
        let synced = app["status"]["operationState"]["phase"] == "Succeeded";
        synced && row_message(app, "late").contains("waits for its object")
    });
    assert_eq!(row(&app, "late")["part"], "mesh");
    throughout(QUIET, "nobody to make the object", || stage.live("late").is_none());
    make_theirs(&stage, "late", &json!({"own": "x"}));
    stage.world.await_synced("web", &first);
    assert_eq!(stage.live("late").unwrap()["data"], json!({"own": "x", "value": "ours"}));

    make_theirs(&stage, "taken", &json!({"value": "theirs"}));
    write_part(&stage, "web/taken.yaml", "mesh", &key_of_map("taken", "ours"));
    let second = stage.commit(&[("web/a", "2")]);
    let parts = ["conflict with", ".data.value", "take the field out of it"];
    stage.world.await_app("web", "to name who has the field", |app| {
        let said = app["status"]["operationState"]["message"].as_str().unwrap_or_default();
        parts.iter().all(|part| said.contains(part))
    });
    assert_eq!(stage.value("taken"), "theirs");
    let path = stage.path("taken");
    stage.plane().api().merge(&path, &json!({"data": {"value": null}})).unwrap();
    text(&stage, &["app", "sync", "web"]);
    stage.world.await_synced("web", &second);
    assert_eq!(stage.value("taken"), "ours");
}
