//! The type of a custom resource, from the structural schema of its definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::types::{Field, ListKind, ListType, MapType, Scalar, Type};

impl Type {
    /// The type of the objects that an `openAPIV3Schema` describes.
    ///
    /// The schema has to be structural; a schema that is not gives a type all the same, with what is not
    /// understood owned as one.
    pub fn from_structural(schema: &Value) -> Arc<Type> {
        let root = Reader::default().map_of(schema);
        let mut resource = Type::resource(root.fields);
        if let Self::Resource(resource) = &mut resource {
            resource.map.element = root.element;
        }
        Arc::new(resource)
    }
}

/// Reads schemas; what preserves unknown fields makes all below it do so.
#[derive(Clone, Copy, Default)]
struct Reader {
    preserves: bool,
}

impl Reader {
    fn type_of(self, schema: &Value) -> Type {
        let reader = self.entering(schema);
        match text(schema, "type") {
            "object" => Type::Map(reader.map_of(schema)),
            "array" => Type::List(reader.list_of(schema)),
            "integer" | "number" => Type::NUMERIC,
            "boolean" => Type::BOOLEAN,
            "string" if matches!(text(schema, "format"), "" | "byte") => Type::STRING,
            "string" => Type::Scalar(Scalar::Untyped),
            _ => {
                let map = reader.map_of(schema);
                if map.fields.is_empty() { Type::Deduced } else { Type::Any(map) }
            }
        }
    }

    fn entering(self, schema: &Value) -> Self {
        Self { preserves: self.preserves || flag(schema, "x-kubernetes-preserve-unknown-fields") }
    }

    fn map_of(self, schema: &Value) -> MapType {
        let reader = self.entering(schema);
        let mut fields = BTreeMap::new();
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                let ty = Arc::new(reader.type_of(property));
                fields.insert(name.clone(), Field { ty, default: property.get("default").cloned() });
            }
        }
        let element = match schema.get("additionalProperties") {
            None | Some(Value::Null) => {
                (reader.preserves || fields.is_empty()).then(|| Arc::new(Type::Deduced))
            }
            Some(Value::Bool(allowed)) => allowed.then(|| Arc::new(Type::Deduced)),
            Some(element) => Some(Arc::new(reader.type_of(element))),
        };
        if flag(schema, "x-kubernetes-embedded-resource") {
            let string = || Field { ty: Arc::new(Type::STRING), default: None };
            fields.insert("apiVersion".to_owned(), string());
            fields.insert("kind".to_owned(), string());
            fields.insert("metadata".to_owned(), Field { ty: Type::nested_metadata(), default: None });
        }
        MapType { fields, element, atomic: text(schema, "x-kubernetes-map-type") == "atomic" }
    }

    fn list_of(self, schema: &Value) -> ListType {
        let element = match schema.get("items") {
            Some(items) => self.type_of(items),
            None => Type::Atomic,
        };
        let kind = match text(schema, "x-kubernetes-list-type") {
            "set" => ListKind::Set,
            "map" => ListKind::Map(
                schema
                    .get("x-kubernetes-list-map-keys")
                    .and_then(Value::as_array)
                    .map(|keys| keys.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                    .unwrap_or_default(),
            ),
            _ => ListKind::Atomic,
        };
        ListType { element: Arc::new(element), kind }
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or_default()
}
