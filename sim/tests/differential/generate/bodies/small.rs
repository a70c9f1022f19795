//! Bodies of the small kinds.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{letter, some};

pub(super) fn config_map() -> BoxedStrategy<Value> {
    let data = some(vec![("k1", letter().boxed()), ("k2", letter().boxed()), ("k3", letter().boxed())]);
    some(vec![
        ("data", data),
        (
            "binaryData",
            prop_oneof![3 => Just(json!({"b1": "eA=="})), 1 => Just(json!({"k1": "eA=="}))].boxed(),
        ),
        ("immutable", prop_oneof![8 => Just(json!(false)), 1 => Just(json!(true))].boxed()),
        ("unknown", prop_oneof![Just(json!(1))].boxed()),
    ])
}

pub(super) fn secret() -> BoxedStrategy<Value> {
    let data = prop_oneof![
        Just(json!({"k1": "eA=="})),
        Just(json!({"k2": "eQ=="})),
        Just(json!({"k1": "no base64"})),
    ];
    some(vec![
        ("data", data.boxed()),
        ("stringData", some(vec![("k1", letter().boxed()), ("k3", letter().boxed())])),
        ("type", prop_oneof![Just(json!("Opaque")), Just(json!("diff.test/t"))].boxed()),
        ("immutable", prop_oneof![8 => Just(json!(false)), 1 => Just(json!(true))].boxed()),
    ])
}

pub(super) fn service_account() -> BoxedStrategy<Value> {
    let secrets = prop_oneof![Just(json!([{"name": "x"}])), Just(json!([{"name": "x"}, {"name": "y"}]))];
    some(vec![
        ("automountServiceAccountToken", any::<bool>().prop_map(Value::from).boxed()),
        ("imagePullSecrets", secrets.boxed()),
        ("secrets", Just(json!([{"name": "x"}])).boxed()),
    ])
}

pub(super) fn namespace() -> BoxedStrategy<Value> {
    let finalizers = prop_oneof![
        Just(json!(["kubernetes"])),
        Just(json!([])),
        Just(json!(["kubernetes", "diff.test/own"])),
        Just(json!(["own"])),
    ];
    let spec = some(vec![("finalizers", finalizers.boxed())]);
    let phase = prop_oneof![Just(json!("Active")), Just(json!("Terminating"))];
    some(vec![("spec", spec), ("status", some(vec![("phase", phase.boxed())]))])
}

pub(super) fn service() -> BoxedStrategy<Value> {
    let port = prop_oneof![
        Just(json!({"port": 80})),
        Just(json!({"port": 80, "name": "http", "targetPort": 8080})),
        Just(json!({"port": 81, "name": "other", "protocol": "UDP", "targetPort": "named"})),
    ];
    let spec = some(vec![
        ("type", prop_oneof![4 => Just(json!("ClusterIP")), 1 => Just(json!("NodePort")), 1 => Just(json!("LoadBalancer"))].boxed()),
        ("selector", some(vec![("a", letter().boxed()), ("b", letter().boxed())])),
        ("sessionAffinity", prop_oneof![Just(json!("None")), Just(json!("ClientIP"))].boxed()),
    ]);
    (prop::collection::vec(port, 1..3), spec)
        .prop_map(|(ports, mut spec)| {
            spec["ports"] = ports.into();
            json!({"spec": spec})
        })
        .boxed()
}
