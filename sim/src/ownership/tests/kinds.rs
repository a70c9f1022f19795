//! The kinds of the recorded calls: a custom one from its schema, two built-in ones by hand.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::ownership::{Field, FieldSet, ListKind, Type};
use crate::structural::Schema;

/// A kind with what the API server does to its objects around the question who owns what.
pub(super) struct Kind {
    pub(super) ty: Arc<Type>,
    schema: Option<Schema>,
    normal: fn(&mut Value),
    has_status: bool,
}

impl Kind {
    pub(super) fn named(name: &str, widget_schema: &Value) -> Self {
        match name {
            "ConfigMap" => {
                Self { ty: config_map(), schema: None, normal: normal_config_map, has_status: false }
            }
            "Service" => Self { ty: service(), schema: None, normal: normal_service, has_status: true },
            _ => Self {
                ty: Type::from_structural(widget_schema),
                schema: Some(Schema::parse(widget_schema).unwrap()),
                normal: |_| {},
                has_status: true,
            },
        }
    }

    /// Reads an object as the API server does.
    pub(super) fn decode(&self, object: &mut Value) {
        if let Some(schema) = &self.schema {
            schema.prune(object);
            tidy_metadata(object);
            // Custom resources lose an empty list on the way, which for built-in kinds drops what is known.
            if entries(object) == Some(json!([])) {
                put(&mut object["metadata"], "managedFields", None);
            }
        }
        self.complete(object);
    }

    /// Fills in what the API server fills in before it looks whether anything has changed.
    pub(super) fn complete(&self, object: &mut Value) {
        match &self.schema {
            Some(schema) => schema.default(object),
            None => tidy_metadata(object),
        }
        (self.normal)(object);
    }

    /// Takes back what a write to this subresource does not reach.
    pub(super) fn take_back(&self, live: &Value, object: &mut Value, subresource: &str) {
        if subresource == "status" {
            let (status, entries) = (object.get("status").cloned(), entries(object));
            object.clone_from(live);
            put(object, "status", status);
            put(&mut object["metadata"], "managedFields", entries);
            return;
        }
        for name in ["uid", "creationTimestamp", "generation", "resourceVersion"] {
            let value = live["metadata"].get(name).cloned();
            put(&mut object["metadata"], name, value);
        }
        if self.has_status {
            put(object, "status", live.get("status").cloned());
        }
    }

    /// Brings an object to the form in which the API server stores it.
    pub(super) fn store(&self, object: &mut Value) {
        if let Some(schema) = &self.schema {
            schema.prune(object);
            tidy_metadata(object);
        }
    }

    pub(super) fn reset(&self, subresource: &str) -> FieldSet<'static> {
        match subresource {
            "" if self.has_status => FieldSet::of_fields(&[&["status"]]),
            "" => FieldSet::default(),
            _ => FieldSet::of_fields(&[&["metadata"], &["spec"]]),
        }
    }
}

fn entries(object: &Value) -> Option<Value> {
    object["metadata"].get("managedFields").cloned()
}

fn put(object: &mut Value, name: &str, value: Option<Value>) {
    let fields = object.as_object_mut().unwrap();
    match value {
        Some(value) => fields.insert(name.to_owned(), value),
        None => fields.remove(name),
    };
}

/// Metadata as Go's decoder and encoder leave it.
fn tidy_metadata(object: &mut Value) {
    let metadata = &mut object["metadata"];
    text_map(metadata, "labels");
    text_map(metadata, "annotations");
    let metadata = metadata.as_object_mut().unwrap();
    metadata.retain(|name, value| {
        name == "managedFields" || (!value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()))
    });
}

fn fields(of: Type) -> std::collections::BTreeMap<String, Field> {
    let Type::Map(map) = of else { panic!("a struct") };
    map.fields
}

fn config_map() -> Arc<Type> {
    Arc::new(Type::resource(fields(Type::structure([
        ("binaryData", Type::map(Type::STRING)),
        ("data", Type::map(Type::STRING)),
        ("immutable", Type::BOOLEAN),
    ]))))
}

fn service() -> Arc<Type> {
    let mut port = Type::structure([
        ("appProtocol", Type::STRING),
        ("name", Type::STRING),
        ("nodePort", Type::NUMERIC),
        ("port", Type::NUMERIC),
        ("protocol", Type::STRING),
        ("targetPort", Type::UNTYPED),
    ]);
    let Type::Map(map) = &mut port else { unreachable!() };
    map.fields.get_mut("protocol").unwrap().default = Some(json!("TCP"));
    let mut selector = Type::map(Type::STRING);
    let Type::Map(map) = &mut selector else { unreachable!() };
    map.atomic = true;
    let strings = || Type::list(Type::STRING, ListKind::Atomic);
    let client = Type::structure([("clientIP", Type::structure([("timeoutSeconds", Type::NUMERIC)]))]);
    let spec = Type::structure([
        ("clusterIP", Type::STRING),
        ("clusterIPs", strings()),
        ("externalIPs", strings()),
        ("externalTrafficPolicy", Type::STRING),
        ("internalTrafficPolicy", Type::STRING),
        ("ipFamilies", strings()),
        ("ipFamilyPolicy", Type::STRING),
        ("ports", Type::map_list(port, &["port", "protocol"])),
        ("selector", selector),
        ("sessionAffinity", Type::STRING),
        ("sessionAffinityConfig", client),
        ("type", Type::STRING),
    ]);
    let status = Type::structure([("loadBalancer", Type::structure([("ingress", Type::Deduced)]))]);
    let all = fields(Type::structure([("spec", spec), ("status", status)]));
    let empty = json!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}});
    Arc::new(Type::resource_with_empty(all, empty))
}

fn normal_config_map(object: &mut Value) {
    text_map(object, "data");
    text_map(object, "binaryData");
}

/// A map of strings as Go's decoder and encoder leave it: null is empty, an empty map is not there.
fn text_map(object: &mut Value, name: &str) {
    let Some(map) = object.get_mut(name) else { return };
    if let Some(map) = map.as_object_mut() {
        map.values_mut().filter(|value| value.is_null()).for_each(|value| *value = json!(""));
    }
    if map.as_object().is_none_or(Map::is_empty) {
        object.as_object_mut().unwrap().remove(name);
    }
}

fn normal_service(object: &mut Value) {
    let object = object.as_object_mut().unwrap();
    let spec = object.entry("spec").or_insert(json!({})).as_object_mut().unwrap();
    spec.retain(|_, value| {
        !value.is_null()
            && value.as_object().is_none_or(|map| !map.is_empty())
            && value.as_array().is_none_or(|list| !list.is_empty())
    });
    let mut default = |name: &str, value: Value| {
        spec.entry(name).or_insert(value).as_str().map(str::to_owned).unwrap_or_default()
    };
    default("internalTrafficPolicy", json!("Cluster"));
    if default("sessionAffinity", json!("None")) == "ClientIP" {
        default("sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10800}}));
    } else {
        spec.remove("sessionAffinityConfig");
    }
    let mut default = |name: &str, value: Value| {
        spec.entry(name).or_insert(value);
    };
    default("type", json!("ClusterIP"));
    if spec["type"] == "NodePort" || spec.contains_key("externalIPs") {
        spec.entry("externalTrafficPolicy").or_insert(json!("Cluster"));
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let port = port.as_object_mut().unwrap();
        port.retain(|_, value| !value.is_null());
        port.entry("protocol").or_insert(json!("TCP"));
        let number = port["port"].clone();
        port.entry("targetPort").or_insert(number);
    }
    object.entry("status").or_insert(json!({"loadBalancer": {}}));
}
