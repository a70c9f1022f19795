//! Bodies of custom resources, and the definition of their kind.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{letter, some};

pub(super) fn widget() -> BoxedStrategy<Value> {
    let part = some(vec![("v", letter().boxed()), ("n", (0..3_i64).prop_map(Value::from).boxed())]);
    let parts = prop::collection::vec((prop_oneof![Just("p1"), Just("p2"), Just("p3")], part), 0..3)
        .prop_map(|parts| {
            let part = |(name, mut part): (&str, Value)| {
                part["name"] = name.into();
                part
            };
            parts.into_iter().map(part).collect::<Value>()
        });
    let ports = prop::collection::vec((80..82_i64, prop::option::of(Just("UDP"))), 0..3).prop_map(|ports| {
        let port = |(port, protocol): (i64, Option<&str>)| match protocol {
            Some(protocol) => json!({"port": port, "protocol": protocol}),
            None => json!({"port": port}),
        };
        ports.into_iter().map(port).collect::<Value>()
    });
    let letters = || prop::collection::vec(letter(), 0..3).prop_map(Value::from);
    let nested = some(vec![
        ("one", letter().boxed()),
        ("two", some(vec![("three", letter().boxed()), ("four", letters().boxed())])),
    ]);
    let spec = some(vec![
        (
            "size",
            prop_oneof![8 => (0..4_i64).prop_map(Value::from), 1 => Just(json!("x")), 1 => Just(json!(-1))]
                .boxed(),
        ),
        (
            "color",
            prop_oneof![4 => Just(json!("red")), 4 => Just(json!("blue")), 1 => Just(json!("green"))].boxed(),
        ),
        ("parts", parts.boxed()),
        ("ports", ports.boxed()),
        ("tags", letters().boxed()),
        ("words", letters().boxed()),
        ("options", some(vec![("a", letter().boxed()), ("b", letter().boxed())])),
        ("whole", some(vec![("a", letter().boxed()), ("b", letter().boxed())])),
        ("free", some(vec![("a", nested.clone()), ("list", letters().boxed())])),
        ("nested", nested),
        ("limit", prop_oneof![Just(json!(1)), Just(json!("50%"))].boxed()),
        ("maybe", prop_oneof![Just(Value::Null), letter()].boxed()),
        ("unknown", Just(json!({"x": 1})).boxed()),
    ]);
    let status = some(vec![
        ("phase", letter().boxed()),
        ("count", (0..3_i64).prop_map(Value::from).boxed()),
        (
            "conditions",
            prop_oneof![
                Just(json!([{"type": "Ready", "status": "True"}])),
                Just(json!([{"type": "Ready", "status": "False"}, {"type": "Other", "status": "True"}])),
            ]
            .boxed(),
        ),
    ]);
    some(vec![("spec", spec), ("status", status)])
}

/// Gives the definition of the kind `Widget`, which has lists and maps of every sort.
pub(crate) fn definition() -> Value {
    let text = || json!({"type": "string"});
    let nested = || {
        json!({"type": "object", "properties": {"one": text(), "two": {"type": "object", "properties": {
            "three": {"type": "string", "default": "d"}, "four": {"type": "array", "items": text()}}}}})
    };
    let spec = json!({"type": "object", "properties": {
        "size": {"type": "integer", "minimum": 0, "maximum": 2},
        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": text(), "v": text(), "n": {"type": "integer"}}}},
        "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"},
                "protocol": {"type": "string", "default": "TCP"}}}},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": text()},
        "words": {"type": "array", "items": text()},
        "options": {"type": "object", "additionalProperties": text()},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": text()},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "nested": nested(),
        "limit": {"x-kubernetes-int-or-string": true},
        "maybe": {"type": "string", "nullable": true},
        "replicas": {"type": "integer"},
    }});
    let status = json!({"type": "object", "properties": {
        "phase": text(),
        "count": {"type": "integer"},
        "replicas": {"type": "integer"},
        "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
            "items": {"type": "object", "required": ["type", "status"], "properties": {"type": text(), "status": text()}}},
    }});
    let version = |name: &str| {
        json!({
            "name": name, "served": true, "storage": name == "v1",
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas"}},
            "additionalPrinterColumns": [
                {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                {"name": "Color", "type": "string", "jsonPath": ".spec.color"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.diff.test"},
        "spec": {
            "group": "diff.test",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [version("v1"), version("v1beta1")],
        },
    })
}
