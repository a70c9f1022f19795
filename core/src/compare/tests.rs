use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::release::Root;

fn key(kind: &str) -> ResourceKey {
    ResourceKey::new("", kind, "shop", "a")
}

/// An object of which these fields are ours.
fn object(body: &Value, fields: &Value) -> Value {
    let mut object = body.clone();
    object["apiVersion"] = json!("v1");
    object["metadata"]["managedFields"] = json!([
        {"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:theirs": {}}}},
        {"manager": "argosy", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields},
        {"manager": "argosy", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:theirs": {}}}},
    ]);
    object
}

fn changed(live: &Value, predicted: &Value) -> Vec<Difference> {
    told(live, predicted, &Manner::default())
}

fn told(live: &Value, predicted: &Value, manner: &Manner) -> Vec<Difference> {
    differences(&key("ConfigMap"), (live, predicted), manner, &mut false).unwrap()
}

fn compare_plainly(key: &ResourceKey, compared: Compared<'_>) -> Option<ObjectDiff> {
    compare(key, compared, &Manner::default()).difference
}

fn found(path: &str, live: Value, desired: Value) -> Difference {
    let some = |value: Value| (!value.is_null()).then_some(value);
    (path.to_owned(), some(live), some(desired))
}

#[test]
fn only_fields_that_are_ours_before_or_after_count() {
    let live = object(
        &json!({"data": {"kept": "1", "taken": "theirs", "dropped": "1", "theirs": "x"}}),
        &json!({"f:data": {".": {}, "f:kept": {}, "f:dropped": {}}}),
    );
    let predicted = object(
        &json!({"data": {"kept": "1", "taken": "ours", "new": "1", "theirs": "y"}}),
        &json!({"f:data": {".": {}, "f:kept": {}, "f:taken": {}, "f:new": {}}}),
    );
    let expected = [
        found("data.dropped", json!("1"), Value::Null),
        found("data.new", Value::Null, json!("1")),
        found("data.taken", json!("theirs"), json!("ours")),
    ];
    assert_eq!(changed(&live, &predicted), expected);
    assert_eq!(changed(&live, &live), []);
}

#[test]
fn items_of_lists_are_told_apart_by_their_keys_whatever_their_order() {
    let fields = json!({"f:spec": {"f:containers": {
        "k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:ports": {
            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}},
        "k:{\"name\":\"log\"}": {".": {}, "f:name": {}, "f:image": {}}}},
        "f:metadata": {"f:finalizers": {"v:\"a.b/c\"": {}}, "f:labels": {"f:a.b/c": {}}}});
    let web = |image: &str| json!({"name": "web", "image": image, "ports": [{"containerPort": 80, "protocol": "TCP"}]});
    let live = object(
        &json!({"metadata": {"finalizers": ["x", "a.b/c"], "labels": {"a.b/c": "1"}},
            "spec": {"containers": [{"name": "sidecar"}, web("web:1")]}}),
        &fields,
    );
    let log = json!({"name": "log", "image": "log:1", "defaulted": true});
    let predicted = object(
        &json!({"metadata": {"finalizers": ["x"], "labels": {"a.b/c": "2"}},
            "spec": {"containers": [web("web:2"), log, {"name": "sidecar"}]}}),
        &fields,
    );
    let expected = [
        found("metadata.finalizers[=\"a.b/c\"]", json!("a.b/c"), Value::Null),
        found("metadata.labels[\"a.b/c\"]", json!("1"), json!("2")),
        found("spec.containers[name=\"log\"]", Value::Null, json!({"name": "log", "image": "log:1"})),
        found("spec.containers[name=\"web\"].image", json!("web:1"), json!("web:2")),
    ];
    assert_eq!(changed(&live, &predicted), expected);
}

#[test]
fn what_is_owned_as_a_whole_is_compared_as_a_whole() {
    let fields = json!({"f:spec": {"f:hosts": {}, "f:template": {}}});
    let live = object(&json!({"spec": {"hosts": ["a", "b"], "template": {"x": 1}}}), &fields);
    let predicted = object(&json!({"spec": {"hosts": ["b", "a"], "template": {"x": 1}}}), &fields);
    assert_eq!(changed(&live, &predicted), [found("spec.hosts", json!(["a", "b"]), json!(["b", "a"]))]);
    let turned = object(&json!({"spec": "text"}), &fields);
    assert_eq!(changed(&live, &turned).len(), 1, "another type is another value");
}

#[test]
fn an_entry_of_another_api_version_says_nothing_of_this_one() {
    let mut live =
        object(&json!({"data": {"a": "1", "old": "1"}}), &json!({"f:data": {"f:a": {}, "f:old": {}}}));
    live["metadata"]["managedFields"][1]["apiVersion"] = json!("v1beta1");
    let predicted = object(&json!({"data": {"a": "2"}}), &json!({"f:data": {"f:a": {}}}));
    assert_eq!(changed(&live, &predicted), [found("data.a", json!("1"), json!("2"))]);
}

#[test]
fn missing_and_extra_objects_are_told_whole_without_what_the_api_server_writes() {
    let live = json!({"kind": "ConfigMap", "data": {"a": "1"}, "status": {"x": 1},
        "metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "managedFields": [], "labels": {"l": "1"}}});
    let told = |compared| compare_plainly(&key("ConfigMap"), compared).unwrap();
    let extra = told(Compared { live: Some(&live), ..Compared::default() });
    let shown = r#"{"data":{"a":"1"},"kind":"ConfigMap","metadata":{"labels":{"l":"1"},"name":"a"}}"#;
    assert_eq!((extra.change, extra.fields[0].live.as_deref()), (Change::Extra, Some(shown)));
    let missing = told(Compared { sent: Some(&live), ..Compared::default() });
    assert_eq!((missing.change, missing.fields[0].desired.as_deref()), (Change::Missing, Some(shown)));
    assert_eq!(compare_plainly(&key("ConfigMap"), Compared::default()), None);
    let untried = told(Compared { sent: Some(&live), live: Some(&live), predicted: None });
    assert_eq!(untried.change, Change::Unknown);
}

#[test]
fn values_of_a_secret_are_masked_and_their_equality_is_seen() {
    let fields = json!({"f:data": {"f:same": {}, "f:other": {}, "f:gone": {}}});
    let live = object(&json!({"data": {"same": "QQ==", "other": "QQ==", "gone": "Qg=="}}), &fields);
    let predicted = object(&json!({"data": {"same": "QQ==", "other": "Qg=="}}), &fields);
    let compared = Compared { sent: Some(&predicted), live: Some(&live), predicted: Some(&predicted) };
    let told = compare_plainly(&key("Secret"), compared).unwrap();
    let fields: Vec<_> = told
        .fields
        .iter()
        .map(|field| (field.path.as_str(), field.live.as_deref(), field.desired.as_deref()))
        .collect();
    let expected = [
        ("data.gone", Some("\"++++++++\""), None),
        ("data.other", Some("\"++++++++++++\""), Some("\"++++++++\"")),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn a_whole_secret_is_masked_with_the_copy_that_kubectl_keeps() {
    let live = json!({"kind": "Secret", "data": {"a": "c3dvcmRmaXNo"}, "stringData": {"b": "swordfish"},
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "swordfish", "x": "y"}}});
    let told =
        compare_plainly(&key("Secret"), Compared { live: Some(&live), ..Compared::default() }).unwrap();
    let text = told.fields[0].live.clone().unwrap();
    assert!(!text.contains("swordfish") && !text.contains("c3dv"), "{text}");
    assert!(text.contains("\"x\":\"y\"") && text.contains("++++++++"), "{text}");
    let plain =
        compare_plainly(&key("ConfigMap"), Compared { live: Some(&live), ..Compared::default() }).unwrap();
    assert!(plain.fields[0].live.as_ref().unwrap().contains("swordfish"));
}

#[test]
fn a_trial_names_the_incarnation_and_the_version_that_were_seen() {
    let sent = json!({"metadata": {"name": "a"}, "data": {}});
    let live = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7", "labels": {}}});
    let body = on_trial(&sent, &live);
    assert_eq!(body, json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}, "data": {}}));
}

#[test]
fn a_report_that_is_too_large_keeps_names_before_paths_and_paths_before_values() {
    let large = "x".repeat(20_000);
    let object = |name: &str| {
        let found = (0..3).map(|field| found(&format!("data.{field}"), json!(large), json!("y"))).collect();
        ObjectDiff::changed(ResourceKey::new("", "ConfigMap", "shop", name), found)
    };
    let objects: Vec<ObjectDiff> = (0..4).map(|name| object(&format!("a{name}"))).collect();
    let report = DiffReport { root: Root(Digest::ZERO), objects, same: 1, more: 0 };
    let size = |report: &DiffReport| crate::store::encode(report).len();
    let whole = report.clone().bounded(1 << 20);
    assert_eq!(whole, report);
    let some = report.clone().bounded(100_000);
    assert!(size(&some) < 100_000, "{}", size(&some));
    let untold = |report: &DiffReport| {
        report.objects.iter().flat_map(|object| &object.fields).filter(|field| field.untold > 20_000).count()
    };
    assert_eq!((some.objects.len(), untold(&some)), (4, 8));
    let names = report.clone().bounded(300);
    assert_eq!((names.objects.len(), names.objects[0].fields.len()), (4, 2), "{names:?}");
    assert_eq!((names.objects[0].left_out, names.objects[3].left_out), (1, 3));
    let none = report.bounded(60);
    assert_eq!((none.objects.len(), none.more), (1, 3));
    let huge =
        ObjectDiff::changed(key("ConfigMap"), vec![found("data.a", json!("x".repeat(40_000)), json!("y"))]);
    assert_eq!((huge.fields[0].live.as_ref(), huge.fields[0].untold), (None, 40_005));
}

/// A tree of maps, and the same with some leaves changed.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![any::<u8>().prop_map(|number| json!(number)), "[a-c]{0,3}".prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        proptest::collection::btree_map("[a-d]", inner, 1..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    })
}

/// Gives the field set of a whole tree.
fn all_fields(value: &Value) -> Value {
    let below = value.as_object().map(|map| {
        map.iter().map(|(name, value)| (format!("f:{name}"), all_fields(value))).collect::<Map<_, _>>()
    });
    Value::Object(below.unwrap_or_default())
}

/// Sets what a difference says in a tree of maps.
fn set(tree: &mut Value, path: &str, value: Option<&Value>) {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let pointer = if parent.is_empty() { String::new() } else { format!("/{}", parent.replace('.', "/")) };
    let map = tree.pointer_mut(&pointer).and_then(Value::as_object_mut).unwrap();
    match value {
        Some(value) => map.insert(name.to_owned(), value.clone()),
        None => map.remove(name),
    };
}

proptest! {
    /// Whoever puts all differences into the live object has the desired one, and there is none without a difference.
    #[test]
    fn differences_make_the_desired_object_of_the_live_one(live in tree(), desired in tree()) {
        let of = |data: &Value| object(&json!({"data": data}), &json!({"f:data": all_fields(data)}));
        let (one, other) = (of(&live), of(&desired));
        let found = changed(&one, &other);
        prop_assert_eq!(found.is_empty(), live == desired);
        let mut made = json!({"data": live});
        for (path, before, after) in &found {
            prop_assert!(before != after);
            set(&mut made, path, after.as_ref());
        }
        prop_assert_eq!(&made["data"], &desired);
    }

    /// Nothing that is said of a Secret holds a value of it.
    #[test]
    fn no_value_of_a_secret_is_told(
        live in proptest::collection::btree_map("[a-c]", "[0-9]{6}", 0..4),
        desired in proptest::collection::btree_map("[a-c]", "[0-9]{6}", 0..4),
        there: bool,
    ) {
        let of = |data: &std::collections::BTreeMap<String, String>| {
            let data = json!(data);
            object(&json!({"data": data}), &json!({"f:data": all_fields(&data)}))
        };
        let (one, other) = (of(&live), of(&desired));
        let predicted = there.then_some(&other);
        let told = compare_plainly(&key("Secret"), Compared { sent: Some(&other), live: there.then_some(&one), predicted });
        prop_assert_eq!(told.is_none(), there && live == desired);
        let told = format!("{told:?}");
        for value in live.values().chain(desired.values()) {
            prop_assert!(!told.contains(value.as_str()));
        }
    }
}

fn manner(pointers: &[&str], expressions: &[&str], managers: &[&str], strict: bool) -> Manner {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let ignored =
        Ignored { pointers: texts(pointers), expressions: texts(expressions), managers: texts(managers) };
    Manner { ignored, strict }
}

#[test]
fn ignored_differences_are_left_out_of_both_sides() {
    let live = object(&json!({"data": {"a": "x", "theirs": "x", "c": "1"}}), &json!({"f:data": {"f:c": {}}}));
    let all = json!({"f:data": {"f:a": {}, "f:theirs": {}, "f:c": {}}});
    let predicted = object(&json!({"data": {"a": "y", "theirs": "y", "c": "1"}}), &all);
    let paths = |manner: &Manner| -> Vec<String> {
        let found = told(&live, &predicted, manner);
        // Where another value stands and it is not ours any more it is told for both reasons.
        found.into_iter().map(|(path, ..)| path).collect::<BTreeSet<_>>().into_iter().collect()
    };
    assert_eq!(paths(&Manner::default()), ["data.a", "data.theirs"]);
    assert_eq!(paths(&manner(&["/data/a"], &[], &[], true)), ["data.theirs"]);
    assert_eq!(paths(&manner(&[], &[".data | (.a, .theirs)"], &[], true)), [""; 0]);
    assert_eq!(paths(&manner(&["/data/a"], &[], &["kubectl"], true)), [""; 0]);
    let none = differences(
        &key("ConfigMap"),
        (&live, &predicted),
        &manner(&[], &["not a path"], &[], true),
        &mut false,
    );
    assert!(matches!(none, Err(IgnoreError::Expression(_))));
}

#[test]
fn a_field_that_is_not_ours_any_more_differs_where_that_is_asked_for() {
    let body = json!({"data": {"a": "1", "b": "1"}});
    let live = object(&body, &json!({"f:data": {"f:a": {}}}));
    let predicted = object(&body, &json!({"f:data": {"f:a": {}, "f:b": {}}}));
    let of = |manner: &Manner| told(&live, &predicted, manner);
    assert_eq!(of(&Manner::default()), []);
    assert_eq!(of(&manner(&[], &[], &[], true)), [found("data.b", Value::Null, json!("1"))]);
    assert_eq!(of(&manner(&["/data/b"], &[], &[], true)), []);
    let nothing = object(&body, &json!({}));
    let whole = told(&nothing, &predicted, &manner(&["/data/b"], &[], &[], true));
    assert_eq!(whole.len(), 1, "nothing is ours any more: {whole:?}");
}

#[test]
fn a_list_that_is_ignored_in_part_is_compared_by_value_whoever_has_it() {
    let routes = |weight: u8, host: &str| json!({"spec": {"http": [{"route": [{"host": host, "weight": weight}, {"host": "b", "weight": 0}]}]}});
    let live = object(&routes(70, "a"), &json!({"f:spec": {"f:other": {}}}));
    let predicted = object(&routes(100, "a"), &json!({"f:spec": {"f:http": {}, "f:other": {}}}));
    let manner = manner(&[], &[".spec.http[].route[].weight"], &[], true);
    let mut partial = false;
    assert_eq!(differences(&key("ConfigMap"), (&live, &predicted), &manner, &mut partial).unwrap(), []);
    assert!(partial, "changes of its other parts leave no trace in the fingerprint");
    let other = object(&routes(70, "x"), &json!({"f:spec": {"f:other": {}}}));
    assert_eq!(differences(&key("ConfigMap"), (&other, &predicted), &manner, &mut partial).unwrap().len(), 1);
    let compared = Compared { sent: Some(&predicted), live: Some(&live), predicted: Some(&predicted) };
    assert!(compare(&key("VirtualService"), compared, &manner).partial);
}

#[test]
fn rules_are_about_objects_by_globs_and_names() {
    let rule = |group: &str, kind: &str, name: &str, namespace: &str| IgnoreRule {
        group: group.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        ignored: Ignored { pointers: vec![format!("/{kind}")], ..Ignored::default() },
    };
    let web = ResourceKey::new("apps", "Deployment", "shop", "web");
    let about = |rule: &IgnoreRule| rule.is_about(&web);
    assert!(about(&rule("apps", "Deployment", "", "")) && about(&rule("*", "*", "web", "shop")));
    assert!(about(&rule("a{pps,rgo}", "Dep*", "", "")) && !about(&rule("", "Deployment", "", "")));
    assert!(
        !about(&rule("apps", "Deployment", "api", "")) && !about(&rule("apps", "Deployment", "", "other"))
    );
    let rules = [rule("apps", "Deployment", "", ""), rule("", "Service", "", ""), rule("*", "*", "", "")];
    assert_eq!(Ignored::of(&rules, &web).unwrap().pointers, ["/Deployment", "/*"]);
    assert_eq!(Ignored::of(&rules[1..2], &web), None);
}
