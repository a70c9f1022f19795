//! Bodies of few fields with few values.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{CONFIG_MAP, DEPLOYMENT, Kind, SERVICE, WIDGET};

/// Gives the object that ends a watch.
pub(crate) fn end(kind: Kind) -> Value {
    let body = match kind.name {
        "Widget" => json!({"spec": {}}),
        "Deployment" | "DaemonSet" => {
            json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": pod("c", "i")}})
        }
        "StatefulSet" => {
            json!({"spec": {"serviceName": "s", "selector": {"matchLabels": {"a": "b"}}, "template": pod("c", "i")}})
        }
        "Job" => {
            let mut template = pod("c", "i");
            template["spec"]["restartPolicy"] = "Never".into();
            json!({"spec": {"template": template}})
        }
        "Service" => json!({"spec": {"ports": [{"port": 80}]}}),
        _ => json!({}),
    };
    named(kind, "end", body)
}

/// Makes a body one of a kind and name.
pub(crate) fn named(kind: Kind, name: &str, mut body: Value) -> Value {
    body["apiVersion"] = kind.api_version.into();
    body["kind"] = kind.name.into();
    body["metadata"]["name"] = name.into();
    body
}

/// Gives bodies of a kind, without their name.
pub(crate) fn body(kind: Kind) -> BoxedStrategy<Value> {
    let own = if kind == CONFIG_MAP {
        config_map().boxed()
    } else if kind == WIDGET {
        widget().boxed()
    } else if kind == DEPLOYMENT {
        deployment().boxed()
    } else if kind == SERVICE {
        service().boxed()
    } else {
        other(kind)
    };
    (own, metadata())
        .prop_map(|(mut body, metadata)| {
            if metadata.as_object().is_some_and(|map| !map.is_empty()) {
                body["metadata"] = metadata;
            }
            body
        })
        .boxed()
}

/// Gives changes: parts of a body in which some values are gone.
pub(crate) fn change(kind: Kind) -> BoxedStrategy<Value> {
    (body(kind), prop::collection::vec(0..20_usize, 0..3))
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

fn letter() -> impl Strategy<Value = Value> {
    prop_oneof![Just(json!("x")), Just(json!("y"))]
}

/// Gives objects that have some of the given fields.
fn some(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| prop::option::of(value).prop_map(move |value| (name, value)).boxed())
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

fn config_map() -> impl Strategy<Value = Value> {
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
    .prop_map(|mut body| {
        // Most bodies have no field that is unknown.
        if body.get("binaryData").is_some_and(|data| data.get("b1").is_some())
            && let Some(map) = body.as_object_mut()
        {
            map.remove("unknown");
        }
        body
    })
}

fn widget() -> impl Strategy<Value = Value> {
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
    some(vec![("spec", spec.clone()), ("status", status)])
}

fn pod(name: &str, image: &str) -> Value {
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

fn deployment() -> impl Strategy<Value = Value> {
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
    (template(), more, status).prop_map(|(template, mut spec, status)| {
        spec["selector"] = json!({"matchLabels": {"a": "b"}});
        spec["template"] = template;
        let mut body = json!({"spec": spec});
        if let Some(status) = status {
            body["status"] = status;
        }
        body
    })
}

fn service() -> impl Strategy<Value = Value> {
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
    (prop::collection::vec(port, 1..3), spec).prop_map(|(ports, mut spec)| {
        spec["ports"] = ports.into();
        json!({"spec": spec})
    })
}

fn other(kind: Kind) -> BoxedStrategy<Value> {
    let selected = |template: Value, more: Value| {
        let mut spec = more;
        spec["selector"] = json!({"matchLabels": {"a": "b"}});
        spec["template"] = template;
        json!({"spec": spec})
    };
    match kind.name {
        "Secret" => some(vec![
            ("data", prop_oneof![Just(json!({"k1": "eA=="})), Just(json!({"k2": "eQ=="})), Just(json!({"k1": "no base64"}))].boxed()),
            ("stringData", some(vec![("k1", letter().boxed()), ("k3", letter().boxed())])),
            ("type", prop_oneof![Just(json!("Opaque")), Just(json!("diff.test/t"))].boxed()),
        ]),
        "ServiceAccount" => some(vec![
            ("automountServiceAccountToken", any::<bool>().prop_map(Value::from).boxed()),
            ("imagePullSecrets", prop_oneof![Just(json!([{"name": "x"}])), Just(json!([{"name": "x"}, {"name": "y"}]))].boxed()),
            ("secrets", Just(json!([{"name": "x"}])).boxed()),
        ]),
        "StatefulSet" => (template(), prop_oneof![
            Just(json!({"serviceName": "s"})),
            Just(json!({"serviceName": "s", "replicas": 2, "volumeClaimTemplates": [{"metadata": {"name": "v"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]})),
        ]).prop_map(move |(template, more)| selected(template, more)).boxed(),
        "DaemonSet" => (template(), prop_oneof![Just(json!({})), Just(json!({"updateStrategy": {"type": "OnDelete"}}))])
            .prop_map(move |(template, more)| selected(template, more))
            .boxed(),
        "Job" => (template(), prop_oneof![
            Just(json!({})), Just(json!({"completions": 3, "parallelism": 2})), Just(json!({"backoffLimit": 1, "suspend": true})),
        ]).prop_map(|(mut template, mut spec)| {
            template["spec"]["restartPolicy"] = "Never".into();
            spec["template"] = template;
            json!({"spec": spec})
        }).boxed(),
        _ => some(vec![("rules", prop_oneof![
            Just(json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}])),
            Just(json!([{"verbs": ["*"], "apiGroups": ["apps", ""], "resources": ["*"]}, {"verbs": ["get"], "apiGroups": [""],
                "resources": ["pods"], "resourceNames": ["x"]}])),
        ].boxed())]),
    }
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
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.diff.test"},
        "spec": {
            "group": "diff.test",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas"}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Color", "type": "string", "jsonPath": ".spec.color"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
            }],
        },
    })
}
