use serde_json::json;

use super::*;
use crate::policy::Consent;

fn canonical(value: Value) -> Value {
    serde_json::from_slice(&Manifest::try_from(value).unwrap().canonical).unwrap()
}

fn refusal(value: Value) -> String {
    Manifest::try_from(value).unwrap_err().to_string()
}

fn annotated(name: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "annotations": {name: value}}})
}

#[test]
fn a_manifest_is_named_by_group_kind_namespace_and_name() {
    let manifest = Manifest::try_from(json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "web", "namespace": "shop"}
    }))
    .unwrap();
    assert_eq!(manifest.key.to_string(), "apps/Deployment/shop/web");
    assert_eq!(manifest.api_version, "apps/v1");
    assert_eq!(manifest.digest, Digest::of(&manifest.canonical));
    assert!(manifest.canonical.starts_with(br#"{"apiVersion":"apps/v1","kind""#));
    let unscoped = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    assert_eq!(Manifest::try_from(unscoped).unwrap().key.to_string(), "/ConfigMap//x");
}

#[test]
fn what_the_api_server_writes_is_dropped() {
    let live = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "status": {"x": 1},
        "metadata": {"name": "x", "creationTimestamp": null, "generation": 3, "managedFields": [], "selfLink": "/x",
            "resourceVersion": "1", "uid": "u", "ownerReferences": [], "labels": {"a": "b"}},
    });
    assert_eq!(
        canonical(live),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
            "metadata": {"name": "x", "ownerReferences": [], "labels": {"a": "b"}}})
    );
}

#[test]
fn times_that_are_not_set_are_dropped_from_templates() {
    let pods = |metadata: Value| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "x"},
            "spec": {"creationTimestamp": null, "templates": [{"metadata": metadata}]}})
    };
    let given = pods(json!({"creationTimestamp": null, "labels": {"a": "b"}}));
    assert_eq!(canonical(given), pods(json!({"labels": {"a": "b"}})));
    let set = pods(json!({"creationTimestamp": "2026-01-01T00:00:00Z"}));
    assert_eq!(canonical(set.clone()), set);
}

#[test]
fn a_secrets_texts_become_its_data() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"},
        "data": {"a": "eA==", "b": null}, "stringData": {"a": "new", "c": null}});
    let folded = canonical(secret);
    assert_eq!(folded["data"], json!({"a": "bmV3", "b": "", "c": ""}));
    assert_eq!(folded.get("stringData"), None);
    let none = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}});
    assert_eq!(canonical(none.clone()), none);
    let mut wrong = none;
    wrong["stringData"] = json!({"port": 80});
    assert_eq!(refusal(wrong), "stringData.port: must be a string, not a number");
}

#[test]
fn lists_are_expanded_and_lists_of_nothing_dropped() {
    let item = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [item("a"),
        {"apiVersion": "v1", "kind": "ConfigMapList", "items": [item("b")]}]});
    let names: Vec<String> =
        Manifest::expand(list).unwrap().into_iter().map(|m| m.key.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(Manifest::expand(json!({"apiVersion": "v1", "kind": "List", "items": null})).unwrap(), []);
    let bad = json!({"apiVersion": "v1", "kind": "List", "items": [item("a"), {"kind": "X"}]});
    assert_eq!(Manifest::expand(bad).unwrap_err().to_string(), "items[1].apiVersion: is missing");
    let not_a_list =
        json!({"apiVersion": "x.io/v1", "kind": "AllowList", "metadata": {"name": "x"}, "spec": {}});
    assert_eq!(Manifest::expand(not_a_list).unwrap().len(), 1);
}

#[test]
fn missing_and_odd_fields_are_named() {
    assert_eq!(refusal(json!([1])), ".: must be an object, not a list");
    assert_eq!(refusal(json!({"kind": "X"})), "apiVersion: is missing");
    assert_eq!(refusal(json!({"apiVersion": "v1"})), "kind: is missing");
    assert_eq!(refusal(json!({"apiVersion": "v1", "kind": "X"})), "metadata.name: is missing");
    assert_eq!(refusal(json!({"apiVersion": 1, "kind": "X"})), "apiVersion: must be a string, not a number");
    assert!(refusal(json!({"apiVersion": "a/b/c", "kind": "X"})).starts_with("apiVersion:"));
    assert!(refusal(json!({"apiVersion": "/v1", "kind": "X"})).starts_with("apiVersion:"));
    assert!(refusal(json!({"apiVersion": "v1", "kind": "X/../Y"})).starts_with("kind:"));
    let named = |metadata: Value| refusal(json!({"apiVersion": "v1", "kind": "X", "metadata": metadata}));
    assert!(named(json!({"generateName": "x-"})).starts_with("metadata.generateName: is not supported"));
    assert!(named(json!({"generateName": "a%"})).starts_with("metadata.generateName: \"a%\""));
    assert!(named(json!({"name": ".."})).starts_with("metadata.name:"));
    assert!(named(json!({"name": "a/b"})).starts_with("metadata.name:"));
    assert!(named(json!({"name": "a", "namespace": "%2e"})).starts_with("metadata.namespace:"));
    assert!(named(json!({"name": "a", "ownerReferences": [{}]})).starts_with("metadata.ownerReferences:"));
    assert!(named(json!(7)).starts_with("metadata: must be an object"));
}

#[test]
fn what_an_annotation_asks_for_in_vain_is_refused_by_its_name() {
    for (name, value) in [
        ("argocd.argoproj.io/hook", json!("BeforeDelete")),
        ("helm.sh/hook", json!("before-delete")),
        ("argocd.argoproj.io/sync-wave", json!(0)),
        ("argocd.argoproj.io/sync-options", json!("Prune=false,Replace=perhaps")),
        ("argocd.argoproj.io/sync-options", json!("Prune=perhaps")),
        ("argocd.argoproj.io/compare-options", json!("IgnoreExtraneous,IncludeMutationWebhook=true")),
        ("argocd.argoproj.io/compare-options", json!("ServerSideDiff=false")),
        ("argocd.argoproj.io/ignore-healthcheck", json!("yes")),
        ("helm.sh/resource-policy", json!("discard")),
    ] {
        let refused = refusal(annotated(name, value));
        assert!(refused.starts_with(&format!("metadata.annotations[{name}]: ")), "{refused}");
    }
}

#[test]
fn options_of_an_object_are_read() {
    let options = |name: &str, text: &str| Manifest::try_from(annotated(name, json!(text))).unwrap().options;
    let name = "argocd.argoproj.io/sync-options";
    assert_eq!(
        options(name, "Prune=false"),
        ObjectOptions { prune: Some(Consent::Refused), ..ObjectOptions::default() }
    );
    assert_eq!(options(name, " Delete=false, ServerSideApply=true").delete, Some(Consent::Refused));
    assert_eq!(options(name, "Delete=confirm,Prune=true").delete, Some(Consent::Asked));
    let kept = Some(Consent::Refused);
    let kept = ObjectOptions { prune: kept, delete: kept, ..ObjectOptions::default() };
    assert_eq!(options("helm.sh/resource-policy", "keep"), kept);
    let checks = options(name, "Validate=false,SkipDryRunOnMissingResource=true");
    assert!(checks.unvalidated == Some(true) && checks.skip_dry_run);
    assert!(options(name, "PruneLast=true").prune_last);
    let compared = "argocd.argoproj.io/compare-options";
    assert!(options(compared, "ServerSideDiff=true, IgnoreExtraneous").ignore_extraneous);
    assert_eq!(options("argocd.argoproj.io/ignore-healthcheck", "true"), ObjectOptions::default());
    assert_eq!(Manifest::try_from(annotated("team", json!(7))).unwrap().options, ObjectOptions::default());
    let live = annotated(name, json!("Frobnicate=true,Delete=false"));
    let delete = ObjectOptions::of(&live).delete;
    assert_eq!(delete, Some(Consent::Refused), "a live object's other options are not ours to judge");
}

#[test]
fn the_first_annotation_that_is_a_number_gives_the_wave() {
    for (sync, helm, wave) in [
        (json!("-3"), json!("5"), -3),
        (json!("soon"), json!("5"), 5),
        (json!(" 1"), json!(""), 0),
        (json!("+2"), json!(null), 2),
    ] {
        let mut manifest = annotated("argocd.argoproj.io/sync-wave", sync);
        manifest["metadata"]["annotations"]["helm.sh/hook-weight"] = helm;
        assert_eq!(Manifest::try_from(manifest).unwrap().options.wave, wave);
    }
}

#[test]
fn a_manifest_does_not_print_its_bytes() {
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"a": "hush"}});
    let printed = format!("{:?}", Manifest::try_from(secret).unwrap());
    assert_eq!(printed, "Manifest(/Secret//x)");
}

#[test]
fn a_hook_needs_no_name_and_what_is_no_hook_does() {
    let nameless = |hook: &str| {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "migrate-",
            "annotations": {"argocd.argoproj.io/hook": hook}}})
    };
    let manifest = Manifest::try_from(nameless("PreSync")).unwrap();
    assert_eq!(manifest.key.prefix(), Some("migrate-"));
    assert!(refusal(nameless("")).contains("but of hooks"));
    assert!(refusal(nameless("Skip")).contains("but of hooks"));
}

fn part(more: &Value) -> Value {
    let mut manifest = annotated(crate::tracking::PART, "mesh");
    merge(&mut manifest, more);
    manifest
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

#[test]
fn a_manifest_may_state_a_part_of_an_object() {
    let labels = json!({"metadata": {"labels": {"istio.io/dataplane-mode": "ambient"}}});
    let manifest = Manifest::try_from(part(&labels)).unwrap();
    assert_eq!(manifest.key.to_string(), "/ConfigMap//x/mesh");
    for more in [json!({"data": {"a": "b"}}), json!({"metadata": {"annotations": {"team": "a"}}})] {
        assert!(Manifest::try_from(part(&more)).unwrap().key.is_part());
    }
    let waits =
        json!({"data": {"a": "b"}, "metadata": {"annotations": {"argocd.argoproj.io/sync-wave": "2"}}});
    assert_eq!(Manifest::try_from(part(&waits)).unwrap().options.wave, 2);
}

#[test]
fn what_makes_no_sense_of_a_part_is_refused_by_name() {
    const FIELD: &str = "metadata.annotations[argosy.dev/part]: ";
    let annotation =
        |name: &str, value: &str| json!({"data": {"a": "b"}, "metadata": {"annotations": {name: value}}});
    let options = "argocd.argoproj.io/sync-options";
    for (more, why) in [
        (annotation("argosy.dev/part", "Mesh"), "\"Mesh\" is no DNS label of at most 40 characters"),
        (annotation("argosy.dev/part", ""), "\"\" is no DNS label"),
        (
            json!({"data": {}, "metadata": {"annotations": {"argosy.dev/part": 7}}}),
            "must be a string, not a number",
        ),
        (annotation("argocd.argoproj.io/hook", "PreSync"), "is not supported of a hook"),
        (annotation("argocd.argoproj.io/hook", "Skip"), "is not supported of what no sync applies"),
        (annotation(options, "Replace=true"), "is not supported with sync option Replace=true"),
        (annotation(options, "Force=true"), "is not supported with sync option Force=true"),
        (json!({}), "states nothing of its object but its name"),
        (
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "spec": {}}),
            "is not supported of documents of the fleet",
        ),
    ] {
        let refusal = refusal(part(&more));
        assert!(refusal.starts_with(&format!("{FIELD}{why}")), "{refusal}");
    }
    let marks = part(&json!({"metadata": {"labels": {"argosy.dev/managed": "true"}}}));
    assert!(refusal(marks).starts_with("metadata.labels[argosy.dev/managed]: is Argosy's own"));
    for slip in ["argosy.dev/parts", "argosy.dev/Part", "argosy.dev/part-name"] {
        let whole = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "x", "annotations": {slip: "mesh"}}});
        let why = format!("metadata.annotations[{slip}]: says nothing to Argosy");
        assert!(refusal(whole).starts_with(&why), "{slip}");
    }
    assert!(Manifest::try_from(part(&annotation(options, "Prune=false,Delete=false"))).is_ok());
}
