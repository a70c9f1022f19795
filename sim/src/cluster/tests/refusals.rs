//! What is refused, and how.

use serde_json::json;

use super::*;

const WIDGETS: &str = "diff.test/v1/widgets/default/a";

fn patch(kind: PatchKind, body: Value) -> Verb<'static> {
    Verb::Patch(Patch { kind, body })
}

/// A cluster that knows widgets.
fn with_widgets() -> Bench {
    let mut bench = Bench::new();
    let spec = json!({"type": "object", "properties": {"text": {"type": "string"},
        "maybe": {"type": "string", "nullable": true}, "list": {"type": "array", "items": {"type": "string"}}}});
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": {"type": "object"}}});
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema}})
    };
    let definition = json!({"metadata": {"name": "widgets.diff.test"}, "spec": {"group": "diff.test",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "scope": "Namespaced", "versions": [version("v1", true), version("v2", false)]}});
    bench.ask("apiextensions.k8s.io/v1/customresourcedefinitions", Verb::Create(definition)).unwrap();
    bench.pass(Duration::from_secs(10));
    bench
}

fn widget(fields: &Value) -> Value {
    let mut widget = json!({"apiVersion": "diff.test/v1", "kind": "Widget", "metadata": {"name": "a"}});
    for (field, value) in fields.as_object().cloned().unwrap_or_default() {
        widget[field] = value;
    }
    widget
}

#[test]
fn what_a_patch_spoils_is_refused_as_invalid() {
    let mut bench = Bench::new();
    let path = "/v1/configmaps/default/a";
    bench
        .ask("/v1/configmaps/default", Verb::Create(json!({"metadata": {"name": "a"}, "data": {"k": "v"}})))
        .unwrap();
    let add = json!([{"op": "add", "path": "/data/k", "value": 1}]);
    for (kind, body, why) in [
        (PatchKind::Merge, json!({"unknown": 1}), "strict decoding error: unknown field \"unknown\""),
        (
            PatchKind::Json,
            add,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (PatchKind::Strategic, json!({"data": {"k": 1}}), "cannot convert int64 to string"),
        (PatchKind::Strategic, json!({"data": 1}), "cannot restore map from int64"),
    ] {
        let status = bench.ask(path, patch(kind, body)).unwrap_err();

        assert_eq!((status.code, status.reason), (422, "Invalid"));
        assert!(status.message.starts_with(" \"\" is invalid: patch: Invalid value: \""), "{status}");
        assert!(status.message.ends_with(&format!("\": {why}")), "{status}");
        let details = status.details.unwrap();
        assert_eq!((details.name.as_str(), details.kind.as_str()), ("", ""));
        assert_eq!(details.causes.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(), ["patch"]);
    }
    let shown = bench.ask(path, patch(PatchKind::Strategic, json!({"data": 1}))).unwrap_err();
    assert!(shown.message.contains("Invalid value: \"map[data:1]\""), "{shown}");
}

#[test]
fn nulls_of_an_apply_are_for_validation_to_judge() {
    let mut bench = with_widgets();
    let spec = |spec: Value| apply(widget(&json!({"spec": spec})));

    let refused = bench.ask(WIDGETS, spec(json!({"text": null}))).unwrap_err();
    assert_eq!(refused.code, 422);
    assert!(refused.message.ends_with("spec.text in body must be of type string: \"null\""), "{refused}");

    let made = bench.object(WIDGETS, spec(json!({"maybe": null})));
    assert_eq!(made["spec"], json!({"maybe": null}));
}

#[test]
fn an_update_of_a_widget_and_of_its_status_states_the_version() {
    let mut bench = with_widgets();
    bench.ask("diff.test/v1/widgets/default", Verb::Create(widget(&json!({})))).unwrap();

    for part in [Subresource::None, Subresource::Status] {
        let status = bench.ask_part(WIDGETS, part, Verb::Update(widget(&json!({})))).unwrap_err();

        assert_eq!(
            status.message,
            "widgets.diff.test \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        );
    }
}

#[test]
fn a_patch_does_not_make_a_widget_something_else() {
    let mut bench = with_widgets();
    bench.ask("diff.test/v1/widgets/default", Verb::Create(widget(&json!({})))).unwrap();

    let mut refusal = |body: Value| bench.ask(WIDGETS, patch(PatchKind::Merge, body)).unwrap_err();

    assert!(refusal(json!({"kind": "Gizmo"})).message.ends_with("\"Gizmo\": must be Widget"));
    assert!(
        refusal(json!({"apiVersion": "diff.test/v2"}))
            .message
            .ends_with("\"diff.test/v2\": must be diff.test/v1")
    );
    assert!(refusal(json!({"kind": null})).message.contains("Object 'Kind' is missing in '"));
    assert_eq!(refusal(json!({"apiVersion": null})).code, 500);
}

#[test]
fn an_update_of_a_service_that_is_not_there_creates_it() {
    let mut bench = Bench::new();
    let body = |name: &str| json!({"metadata": {"name": name, "resourceVersion": "5"}, "spec": {"ports": [{"port": 80}]}});

    let whole = bench.object("/v1/services/default/a", Verb::Update(body("a")));
    assert!(whole["spec"]["clusterIP"].is_string());

    bench.ask_part("/v1/services/default/b", Subresource::Status, Verb::Update(body("b"))).unwrap();
    let part = bench.get("/v1/services/default/b").unwrap();
    assert_eq!(part["spec"]["clusterIP"], Value::Null);
    assert_eq!(part["metadata"]["managedFields"], Value::Null);
}

#[test]
fn a_token_that_continues_nothing_is_refused() {
    let mut bench = Bench::new();
    let mut refusal = |token: &str| {
        let options = ListOptions {
            continue_token: token.to_owned(),
            resource_version: "1".to_owned(),
            ..ListOptions::default()
        };
        bench.ask("/v1/configmaps/default", Verb::List(&options)).unwrap_err().message
    };
    let invalid = |why: &str| format!("invalid continue token: continue key is not valid: {why}");

    assert_eq!(refusal("x"), invalid("illegal base64 data at input byte 0"));
    assert_eq!(refusal("xxxx"), invalid("invalid character '\u{c7}' looking for beginning of value"));
    assert_eq!(refusal("eyJ2IjoiZm9vIn0"), invalid("server does not recognize this encoded version foo"));
}

#[test]
fn what_nobody_owned_before_an_apply_has_no_entries_for_structs() {
    let mut bench = Bench::new();
    let path = "apps/v1/deployments/default/a";
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "managedFields": [{}]},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    bench.ask("apps/v1/deployments/default", Verb::Create(body.clone())).unwrap();
    bench.ask(path, Verb::Update(body)).unwrap();

    let config = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "labels": {"l": "x"}}});
    let object = bench.object(path, apply(config));

    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let before = entries.iter().find(|entry| entry["manager"] == "before-first-apply").unwrap();
    let spec = &before["fieldsV1"]["f:spec"];
    for place in
        ["", "/f:strategy", "/f:template", "/f:template/f:metadata", "/f:template/f:spec/f:containers"]
    {
        let fields = spec.pointer(place).and_then(Value::as_object).unwrap();
        assert!(!fields.contains_key("."), "{place}: {fields:?}");
    }
}

#[test]
fn a_finalizer_needs_a_path_in_built_in_kinds_alone() {
    let mut bench = with_widgets();
    let finalizers = json!(["resources-finalizer.argocd.argoproj.io"]);
    let map = json!({"metadata": {"name": "a", "finalizers": finalizers}});
    let refused = bench.ask("/v1/configmaps/default", Verb::Create(map)).unwrap_err();
    assert!(refused.message.contains("nor is it fully qualified"), "{refused}");

    let mut object = widget(&json!({}));
    object["metadata"]["finalizers"] = finalizers;
    assert_eq!(bench.ask("diff.test/v1/widgets/default", Verb::Create(object)).unwrap().code, 201);
}
