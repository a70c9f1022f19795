//! Bodies of definitions. Their group and names follow from the object's.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::some;

/// Gives a definition with the least in it.
pub(super) fn smallest() -> Value {
    json!({"spec": {"group": "", "scope": "Namespaced", "names": {}, "versions": [
        {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}})
}

/// Gives definitions of one version or two.
pub(super) fn body() -> BoxedStrategy<Value> {
    let names = some(vec![
        ("singular", Just(json!("one")).boxed()),
        ("listKind", Just(json!("Many")).boxed()),
        ("shortNames", prop_oneof![Just(json!(["o"])), Just(json!(["o", "p"]))].boxed()),
        ("categories", Just(json!(["all"])).boxed()),
    ]);
    let more = some(vec![
        ("preserveUnknownFields", Just(json!(false)).boxed()),
        ("conversion", Just(json!({"strategy": "None"})).boxed()),
        ("unknown", Just(json!(1)).boxed()),
    ]);
    let scope = prop_oneof![6 => Just("Namespaced"), 1 => Just("Cluster"), 1 => Just("Galaxy")];
    (names, more, scope, version("v1"), prop::option::weighted(0.3, version("v2")), 0..12_u8)
        .prop_map(|(names, mut spec, scope, first, second, odd)| {
            let mut first = first;
            first["storage"] = (odd != 0).into();
            let mut versions = vec![first];
            if let Some(mut second) = second {
                second["storage"] = (odd == 1).into();
                versions.push(second);
            }
            spec["names"] = names;
            spec["scope"] = scope.into();
            spec["versions"] = versions.into();
            json!({"spec": spec})
        })
        .boxed()
}

fn version(name: &'static str) -> BoxedStrategy<Value> {
    let columns = json!([{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]);
    let more = some(vec![
        (
            "subresources",
            prop_oneof![
                Just(json!({"status": {}})),
                Just(json!({"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}})),
            ]
            .boxed(),
        ),
        ("additionalPrinterColumns", Just(columns).boxed()),
        ("deprecated", any::<bool>().prop_map(Value::from).boxed()),
    ]);
    (schema(), more, prop::bool::weighted(0.9))
        .prop_map(move |(schema, mut version, served)| {
            version["name"] = name.into();
            version["served"] = served.into();
            version["schema"] = json!({"openAPIV3Schema": schema});
            version
        })
        .boxed()
}

/// Gives schemas, one in a few of which is not structural.
fn schema() -> BoxedStrategy<Value> {
    let property = prop_oneof![
        8 => Just(json!({"type": "string", "default": "d", "maxLength": 5})),
        8 => Just(json!({"type": "integer", "minimum": 0, "format": "int32"})),
        8 => Just(json!({"type": "string", "enum": ["x", "y"], "nullable": true})),
        8 => Just(json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"})),
        8 => Just(json!({"x-kubernetes-int-or-string": true})),
        8 => Just(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})),
        8 => Just(json!({"type": "object", "additionalProperties": {"type": "integer"}, "x-kubernetes-map-type": "atomic"})),
        8 => Just(json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}})),
        2 => Just(json!({"type": "array"})),
        2 => Just(json!({"description": "no type"})),
        2 => Just(json!({"type": "thing"})),
    ];
    let spec = some(vec![("size", property.clone().boxed()), ("color", property.boxed())]);
    let required = prop_oneof![4 => Just(Value::Null), 1 => Just(json!(["size"]))];
    (spec, required)
        .prop_map(|(properties, required)| {
            let mut spec = json!({"type": "object", "properties": properties});
            if !required.is_null() {
                spec["required"] = required;
            }
            let status = json!({"type": "object", "properties": {"size": {"type": "integer"}}});
            json!({"type": "object", "properties": {"spec": spec, "status": status}})
        })
        .boxed()
}
