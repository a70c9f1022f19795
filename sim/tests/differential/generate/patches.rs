//! Changes of objects.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::bodies;
use crate::differential::kinds::Kind;

/// Gives changes: parts of a body in which some values are gone.
pub(crate) fn change(kind: Kind) -> BoxedStrategy<Value> {
    // What is wrong with parts of these, and with selectors that were emptied, the simulated cluster does not know.
    let whole = ["EndpointSlice", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy"].contains(&kind.name);
    let holes = if whole { 0 } else { 2 };
    (bodies::body(kind), prop::collection::vec(0..20_usize, 0..=holes))
        .prop_map(|(mut body, holes)| {
            for hole in holes {
                forget(&mut body, &mut hole.clone());
            }
            body
        })
        .boxed()
}

/// Sets the nth leaf to null.
fn forget(value: &mut Value, left: &mut usize) {
    if let Value::Object(map) = value {
        for inner in map.values_mut() {
            if inner.is_object() {
                forget(inner, left);
            } else if *left == 0 {
                *inner = Value::Null;
                *left = usize::MAX;
            } else {
                *left = left.saturating_sub(1);
            }
        }
    }
}

/// Gives JSON patches.
pub(crate) fn operations(kind: Kind) -> BoxedStrategy<Value> {
    let paths: Vec<&'static str> = match kind.name {
        "ConfigMap" => {
            vec!["/data", "/data/k1", "/data/k2", "/metadata/labels", "/metadata/labels/l1", "/nope/x"]
        }
        "Widget" => vec![
            "/spec/size",
            "/spec/color",
            "/spec/parts",
            "/spec/parts/0",
            "/spec/parts/0/v",
            "/spec/tags/-",
            "/spec/tags",
            "/status/phase",
            "/metadata/labels",
        ],
        "Deployment" => vec![
            "/spec/replicas",
            "/spec/paused",
            "/spec/template/spec/containers/0/image",
            "/spec/template/spec/containers/0/env",
            "/spec/template/metadata/labels/l1",
            "/status/replicas",
        ],
        _ => vec!["/metadata/labels", "/metadata/labels/l1", "/metadata/annotations"],
    };
    let value = prop_oneof![
        Just(json!("x")),
        Just(json!("y")),
        Just(json!(2)),
        Just(json!({})),
        Just(json!([])),
        Just(json!({"l1": "x"})),
        Just(json!([{"name": "p1", "v": "x"}])),
        Just(json!(true)),
    ];
    let verb =
        prop_oneof![Just("add"), Just("replace"), Just("remove"), Just("test"), Just("copy"), Just("move")];
    let operation = (verb, prop::sample::select(paths.clone()), prop::sample::select(paths), value).prop_map(
        |(verb, path, from, value)| match verb {
            "remove" => json!({"op": verb, "path": path}),
            "copy" | "move" => json!({"op": verb, "path": path, "from": from}),
            _ => json!({"op": verb, "path": path, "value": value}),
        },
    );
    prop::collection::vec(operation, 1..3).prop_map(Value::from).boxed()
}
