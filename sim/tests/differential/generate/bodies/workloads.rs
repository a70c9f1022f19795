//! Bodies of the kinds that make pods.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{letter, some};
use crate::differential::kinds::Kind;

/// Gives a body of a kind with the least in it.
pub(super) fn smallest(kind: Kind) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": pod("c", "i")});
    match kind.name {
        "StatefulSet" => spec["serviceName"] = "s".into(),
        "Job" => {
            spec["template"]["spec"]["restartPolicy"] = "Never".into();
            spec["selector"] = Value::Null;
        }
        _ => {}
    }
    json!({"spec": spec})
}

/// Gives bodies of a kind.
pub(super) fn body(kind: Kind) -> BoxedStrategy<Value> {
    match kind.name {
        "Deployment" => deployment(),
        "StatefulSet" => stateful_set(),
        "DaemonSet" => daemon_set(),
        _ => job(),
    }
}

fn selecting(template: Value, mut spec: Value) -> Value {
    spec["selector"] = json!({"matchLabels": {"a": "b"}});
    spec["template"] = template;
    json!({"spec": spec})
}

fn stateful_set() -> BoxedStrategy<Value> {
    let claims = json!([{"metadata": {"name": "v"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
    let more = some(vec![
        ("replicas", (0..3_i64).prop_map(Value::from).boxed()),
        ("volumeClaimTemplates", Just(claims).boxed()),
        (
            "updateStrategy",
            prop_oneof![Just(json!({"type": "OnDelete"})), Just(json!({"rollingUpdate": {"partition": 1}}))]
                .boxed(),
        ),
        ("podManagementPolicy", Just(json!("Parallel")).boxed()),
    ]);
    (template(), more)
        .prop_map(|(template, mut more)| {
            more["serviceName"] = "s".into();
            selecting(template, more)
        })
        .boxed()
}

fn daemon_set() -> BoxedStrategy<Value> {
    let more = some(vec![
        (
            "updateStrategy",
            prop_oneof![
                Just(json!({"type": "OnDelete"})),
                Just(json!({"rollingUpdate": {"maxUnavailable": "10%"}})),
            ]
            .boxed(),
        ),
        ("minReadySeconds", Just(json!(5)).boxed()),
    ]);
    (template(), more).prop_map(|(template, more)| selecting(template, more)).boxed()
}

fn job() -> BoxedStrategy<Value> {
    let more = some(vec![
        ("completions", (0..3_i64).prop_map(Value::from).boxed()),
        ("parallelism", (0..3_i64).prop_map(Value::from).boxed()),
        ("backoffLimit", Just(json!(1)).boxed()),
        ("suspend", any::<bool>().prop_map(Value::from).boxed()),
        ("ttlSecondsAfterFinished", Just(json!(100)).boxed()),
    ]);
    (template(), more)
        .prop_map(|(mut template, mut spec)| {
            template["spec"]["restartPolicy"] = "Never".into();
            spec["template"] = template;
            json!({"spec": spec})
        })
        .boxed()
}

/// Gives a template of pods.
pub(super) fn pod(name: &str, image: &str) -> Value {
    json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": name, "image": image}]}})
}

fn template() -> BoxedStrategy<Value> {
    let env = prop::collection::vec((prop_oneof![Just("E1"), Just("E2")], letter()), 0..3).prop_map(|list| {
        list.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Value>()
    });
    let ports = prop::collection::vec((80..82_i64, prop::option::of(Just("UDP"))), 0..3).prop_map(|ports| {
        let port = |(port, protocol): (i64, Option<&str>)| match protocol {
            Some(protocol) => json!({"containerPort": port, "protocol": protocol}),
            None => json!({"containerPort": port}),
        };
        ports.into_iter().map(port).collect::<Value>()
    });
    let container = some(vec![
        ("env", env.boxed()),
        ("ports", ports.boxed()),
        ("args", prop::collection::vec(letter(), 0..3).prop_map(Value::from).boxed()),
        (
            "resources",
            prop_oneof![
                Just(json!({"limits": {"cpu": "1", "memory": "1Gi"}})),
                Just(json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "0.5"}})),
            ]
            .boxed(),
        ),
        ("imagePullPolicy", Just(json!("Always")).boxed()),
    ]);
    let containers = prop::collection::vec((prop_oneof![Just("c1"), Just("c2")], container), 1..3);
    (
        containers,
        prop::option::of(letter()),
        prop::option::weighted(0.2, Just(json!([{"key": "t", "operator": "Exists"}]))),
    )
        .prop_map(|(containers, label, tolerations)| {
            let container = |(name, mut container): (&str, Value)| {
                container["name"] = name.into();
                container["image"] = "i".into();
                container
            };
            let mut template = pod("c", "i");
            template["spec"]["containers"] = containers.into_iter().map(container).collect();
            if let Some(label) = label {
                template["metadata"]["labels"]["l1"] = label;
            }
            if let Some(tolerations) = tolerations {
                template["spec"]["tolerations"] = tolerations;
            }
            template
        })
        .boxed()
}

fn deployment() -> BoxedStrategy<Value> {
    let more = some(vec![
        ("replicas", (0..3_i64).prop_map(Value::from).boxed()),
        ("paused", any::<bool>().prop_map(Value::from).boxed()),
        (
            "strategy",
            prop_oneof![
                Just(json!({"type": "Recreate"})),
                Just(json!({"rollingUpdate": {"maxSurge": 1}})),
                Just(json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}})),
            ]
            .boxed(),
        ),
        ("minReadySeconds", Just(json!(5)).boxed()),
    ]);
    let status = prop::option::weighted(0.2, (0..3_i64).prop_map(|count| json!({"replicas": count})));
    (template(), more, status)
        .prop_map(|(template, mut spec, status)| {
            spec["selector"] = json!({"matchLabels": {"a": "b"}});
            spec["template"] = template;
            let mut body = json!({"spec": spec});
            if let Some(status) = status {
                body["status"] = status;
            }
            body
        })
        .boxed()
}
