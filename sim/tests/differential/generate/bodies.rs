//! Bodies of few fields with few values.

pub(crate) mod custom;
mod definitions;
mod rest;
mod small;
mod workloads;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::differential::kinds::{Kind, Scope};

/// Gives the object that ends a watch, which is one that all watches select.
pub(crate) fn end(kind: Kind) -> Value {
    let mut body = match kind.name {
        "ConfigMap" | "Secret" | "ServiceAccount" | "Namespace" => json!({}),
        "Widget" => json!({"spec": {}}),
        "CustomResourceDefinition" => definitions::smallest(),
        "Service" => json!({"spec": {"ports": [{"port": 80}]}}),
        "Deployment" | "DaemonSet" | "StatefulSet" | "Job" => workloads::smallest(kind),
        _ => rest::smallest(kind),
    };
    body["metadata"]["labels"]["l1"] = "x".into();
    named(kind, "end", body)
}

/// Makes a body one of a kind and name.
pub(crate) fn named(kind: Kind, name: &str, mut body: Value) -> Value {
    body["apiVersion"] = kind.api_version.into();
    body["kind"] = kind.name.into();
    body["metadata"]["name"] = kind.object(name).into();
    if kind.scope == Scope::Definition && body["spec"].is_object() {
        body["spec"]["group"] = "{ns}.test".into();
        body["spec"]["names"]["plural"] = format!("{name}s").into();
        body["spec"]["names"]["kind"] = name.to_uppercase().into();
    }
    body
}

/// Gives bodies of a kind, without their name.
pub(crate) fn body(kind: Kind) -> BoxedStrategy<Value> {
    let own = match kind.name {
        "ConfigMap" => small::config_map(),
        "Secret" => small::secret(),
        "ServiceAccount" => small::service_account(),
        "Namespace" => small::namespace(),
        "Service" => small::service(),
        "Widget" => custom::widget(),
        "CustomResourceDefinition" => definitions::body(),
        "Deployment" | "DaemonSet" | "StatefulSet" | "Job" => workloads::body(kind),
        _ => rest::body(kind),
    };
    (own, metadata())
        .prop_map(move |(mut body, mut metadata)| {
            // An empty list is kept of a custom resource until it is written in another version.
            if kind.name == "Widget" && metadata["finalizers"] == json!([]) {
                metadata["finalizers"] = json!(["diff.test/f"]);
            }
            // The simulated cluster collects what no owner needs when definitions are given time to settle; there is
            // nobody who does beside the real API server.
            if kind.settles()
                && let Some(map) = metadata.as_object_mut()
            {
                map.remove("ownerReferences");
            }
            if metadata.as_object().is_some_and(|map| !map.is_empty()) {
                body["metadata"] = metadata;
            }
            body
        })
        .boxed()
}

fn letter() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!("x")), Just(json!("y"))]
}

/// Gives objects that have some of the given fields.
fn some(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| {
            // Most bodies have no field that is unknown.
            let often = if name == "unknown" { 0.07 } else { 0.5 };
            prop::option::weighted(often, value).prop_map(move |value| (name, value)).boxed()
        })
        .collect();
    fields
        .prop_map(|fields| {
            let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(present.collect::<Map<_, _>>())
        })
        .boxed()
}

fn metadata() -> BoxedStrategy<Value> {
    let labels = some(vec![("l1", letter().boxed()), ("l2", letter().boxed())]);
    let annotations = some(vec![("n1", letter().boxed())]);
    let finalizers = prop_oneof![
        Just(json!(["diff.test/f"])),
        Just(json!(["diff.test/f", "diff.test/g"])),
        Just(json!([])),
    ];
    let owners = prop_oneof![
        Just(
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "11111111-1111-4111-8111-111111111111"}])
        ),
        Just(
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "p", "uid": "22222222-2222-4222-8222-222222222222",
            "controller": true, "blockOwnerDeletion": true}])
        ),
    ];
    let rare = |strategy: BoxedStrategy<Value>| {
        prop::option::weighted(0.15, strategy).prop_map(Option::unwrap_or_default)
    };
    (
        prop::option::of(labels),
        prop::option::weighted(0.2, annotations),
        rare(finalizers.boxed()),
        rare(owners.boxed()),
    )
        .prop_map(|(labels, annotations, finalizers, owners)| {
            let mut metadata = json!({});
            for (field, value) in [
                ("labels", labels.unwrap_or_default()),
                ("annotations", annotations.unwrap_or_default()),
                ("finalizers", finalizers),
                ("ownerReferences", owners),
            ] {
                if !value.is_null() {
                    metadata[field] = value;
                }
            }
            metadata
        })
        .boxed()
}
