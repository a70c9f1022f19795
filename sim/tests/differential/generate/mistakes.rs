//! Requests that make no sense, one by one.

use serde_json::{Value, json};

use super::bodies;
use crate::differential::kinds::{CONFIG_MAP, Kind, WIDGET};
use crate::differential::script::{APPLY, JSON, MERGE, PATCH, Script, Step};

/// Gives each mistake by itself, and once more where there is an object that it could be about.
pub(crate) fn scripts() -> Vec<Script> {
    let named = |kind: Kind| bodies::named(kind, "a", json!({}));
    let there = [CONFIG_MAP, WIDGET].map(|kind| Step::send("POST", kind.collection, JSON, &named(kind)));
    let script = |steps| Script { kind: CONFIG_MAP, selector: "", end: bodies::end(CONFIG_MAP), steps };
    all()
        .into_iter()
        .flat_map(|step| {
            let mut after = there.to_vec();
            after.push(step.clone());
            [script(vec![step]), script(after)]
        })
        .collect()
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

fn widget(name: &str) -> Value {
    json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": name}})
}

fn all() -> Vec<Step> {
    let (maps, widgets) = (CONFIG_MAP.collection, WIDGET.collection);
    let mut steps: Vec<Step> = [
        "?limit=x",
        "?resourceVersionMatch=Exact",
        "?resourceVersionMatch=Foo&resourceVersion=1",
        "?resourceVersion=0&resourceVersionMatch=Exact",
        "?sendInitialEvents=true",
        "?labelSelector=a+in+(",
        "?labelSelector=a+b",
        "?labelSelector=%3D",
        "?fieldSelector=spec.foo%3D1",
        "?fieldSelector=a",
        "?watch=1&sendInitialEvents=true",
        "?watch=1&resourceVersion=x",
        "?watch=1&resourceVersionMatch=Exact",
        "?continue=x&resourceVersion=1",
        "?continue=xy",
        "?continue=xyz",
        "?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifR",
        "?resourceVersion=x",
        "/none?resourceVersion=x",
        "/none",
        "/none/status",
        "/none/foo",
        "/none/foo/bar",
        "?labelSelector=a%3D%2F%2F",
        "?labelSelector=",
    ]
    .iter()
    .flat_map(|tail| [maps, widgets].map(|place| Step::get(format!("{place}{tail}"))))
    .collect();
    steps.extend(
        [
            "/foo",
            "/api/v2",
            "/api/v1/foos",
            "/apis/apps/v1/foos",
            "/apis/nope/v1",
            "/apis/nope",
            "/apis/diff.test/v2/widgets",
            "/apis/diff.test/v1/foos",
            "/api/v1/configmaps/a",
            "/apis/diff.test/v1/widgets/a",
            "/api/v1/namespaces/{ns}/nodes",
            "/apis/diff.test",
            "/apis/diff.test/v1",
        ]
        .map(Step::get),
    );
    steps.extend(bad_objects());
    for (place, body) in [(maps, config_map("a")), (widgets, widget("a"))] {
        for tail in ["?dryRun=x", "?fieldValidation=x", "?fieldManager=a%0Ab"] {
            steps.push(Step::send("POST", format!("{place}{tail}"), JSON, &body));
        }
        steps.push(Step::send("POST", place, JSON, &body));
        steps.push(Step::send("PUT", format!("{place}/b"), JSON, &body));
        steps.push(Step::send("PUT", format!("{place}/a"), JSON, &body));
        steps.push(Step::send("PATCH", format!("{place}/a"), JSON, &json!({})));
        steps.push(Step::send("PATCH", format!("{place}/a"), APPLY, &body));
        steps.push(Step::send("PATCH", format!("{place}/b?fieldManager=m"), APPLY, &body));
        steps.push(Step::send("PATCH", format!("{place}/a?fieldManager=m"), APPLY, &json!({"metadata": {}})));
        steps.push(Step::send("PATCH", format!("{place}/a?force=true"), MERGE, &json!({})));
        steps.push(Step::send("PATCH", format!("{place}/a"), MERGE, &json!([])));
        steps.push(Step::send("PATCH", format!("{place}/none"), MERGE, &json!({})));
        steps.push(Step::send("PATCH", format!("{place}/a"), MERGE, &json!({"metadata": {"name": "b"}})));
        steps.push(Step::send(
            "PATCH",
            format!("{place}/a"),
            MERGE,
            &json!({"metadata": {"resourceVersion": "1"}}),
        ));
        steps.push(Step::send("PATCH", format!("{place}/a"), PATCH, &json!({})));
        steps.push(Step::send("PATCH", format!("{place}/a"), PATCH, &json!([{"op": "x", "path": "/a"}])));
        steps.push(Step::send(
            "PATCH",
            format!("{place}/a"),
            PATCH,
            &json!([{"op": "remove", "path": "/nope"}]),
        ));
        steps.push(Step::send("DELETE", format!("{place}/none"), "", &json!("")));
        steps.push(Step::send("DELETE", format!("{place}/a"), JSON, &json!({"propagationPolicy": "x"})));
        steps.push(Step::send("POST", place, "text/plain", &body));
    }
    steps
}

/// Gives creations of objects that have something wrong inside.
fn bad_objects() -> Vec<Step> {
    let widget =
        |name: &str| json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": name}});
    let bad: Vec<Value> = vec![
        config_map("UPPER"),
        config_map(""),
        config_map("a/b"),
        json!({"kind": "Secret", "apiVersion": "v1"}),
        json!({"kind": "Foo"}),
        json!({"apiVersion": "v9"}),
        json!([]),
        json!({"metadata": {"name": "a", "namespace": "other"}}),
        json!({"metadata": {"name": "a", "labels": {"a b": "x"}}}),
        json!({"metadata": {"name": "a", "labels": {"a": "x y"}}}),
        json!({"metadata": {"name": "a", "annotations": {"a b": ""}}}),
        json!({"metadata": {"name": "a", "finalizers": ["x"]}}),
        json!({"metadata": {"name": "a"}, "data": "x"}),
        json!({"metadata": {"name": "a"}, "data": {"a b": "x"}}),
        json!({"metadata": {"name": "a"}, "data": {"a": 1}}),
        json!({"metadata": {"name": "a", "ownerReferences": [{"kind": "x"}]}}),
        json!({"metadata": {"name": "a", "resourceVersion": "5"}}),
        json!({"metadata": {"name": "a", "uid": "x"}}),
        json!({"metadata": "x"}),
        json!("x"),
    ];
    let mut steps: Vec<Step> =
        bad.iter().map(|body| Step::send("POST", CONFIG_MAP.collection, JSON, body)).collect();
    let bad: Vec<Value> = vec![
        widget("UPPER"),
        widget(""),
        json!({"kind": "Widget"}),
        json!({"apiVersion": "diff.test/v1"}),
        json!([]),
        json!({"apiVersion": "diff.test/v2", "kind": "Widget", "metadata": {"name": "a"}}),
        json!({"apiVersion": "diff.test/v1", "kind": "Gadget", "metadata": {"name": "a"}}),
        json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "a", "labels": {"a": 1}}}),
        json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "a", "foo": 1}}),
        json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": 1}),
        json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": null}),
        json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"tags": ["x", "x"]}}),
        json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "a"},
            "spec": {"parts": [{"name": "p"}, {"name": "p"}]}}),
        json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"parts": [{"v": "x"}]}}),
        json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"limit": 1.5}}),
    ];
    steps.extend(bad.iter().map(|body| Step::send("POST", WIDGET.collection, JSON, body)));
    steps
}
