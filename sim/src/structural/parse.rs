//! Reads schemas, and refuses those that are not structural.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::pattern::Pattern;
use super::{Additional, Bound, FieldError, Kind, ListKind, Rules, Schema};

/// Where a schema stands: it decides what the lack of a type is called.
#[derive(Clone, Copy)]
enum Place {
    Root,
    Property,
    Item,
    /// Inside of `allOf`, `anyOf`, `oneOf` or `not`, where no type is needed.
    Rule,
}

/// Reads the schema of a whole resource.
pub(super) fn root(schema: &Value) -> Result<Schema, Vec<FieldError>> {
    let mut reader = Reader { errors: Vec::new() };
    let mut root = reader.schema(schema, "", Place::Root);
    if let Some(kind) = root.kind
        && kind != Kind::Object
    {
        reader.errors.push(FieldError::invalid("type", kind.as_str(), "must be object at the root"));
    }
    // Every resource has the fields of an object of the API.
    root.embedded = true;
    if reader.errors.is_empty() { Ok(root) } else { Err(reader.errors) }
}

struct Reader {
    errors: Vec<FieldError>,
}

impl Reader {
    fn schema(&mut self, schema: &Value, path: &str, place: Place) -> Schema {
        let int_or_string = flag(schema, "x-kubernetes-int-or-string");
        let preserves_unknown = flag(schema, "x-kubernetes-preserve-unknown-fields");
        let kind = self.kind(schema, path, place, int_or_string || preserves_unknown);
        let mut out = Schema {
            kind,
            nullable: flag(schema, "nullable"),
            int_or_string,
            preserves_unknown,
            embedded: flag(schema, "x-kubernetes-embedded-resource"),
            default: schema.get("default").filter(|value| !value.is_null()).cloned(),
            list: self.list(schema, path),
            rules: self.rules(schema, path, kind),
            properties: BTreeMap::new(),
            additional: Additional::Unsaid,
            items: None,
        };
        let inner = |place: Place| if matches!(place, Place::Rule) { Place::Rule } else { Place::Property };
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = join(path, &format!("properties[{name}]"));
            out.properties.insert(name.clone(), self.schema(property, &path, inner(place)));
        }
        out.additional = match schema.get("additionalProperties") {
            None | Some(Value::Null) => Additional::Unsaid,
            Some(Value::Bool(allowed)) => Additional::Allowed(*allowed),
            Some(element) => {
                let path = join(path, "additionalProperties");
                Additional::Of(Box::new(self.schema(element, &path, inner(place))))
            }
        };
        if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
            let place = if matches!(place, Place::Rule) { Place::Rule } else { Place::Item };
            out.items = Some(Box::new(self.schema(items, &join(path, "items"), place)));
        } else if kind == Some(Kind::Array) && !matches!(place, Place::Rule) {
            self.errors.push(FieldError::required(join(path, "items"), "must be specified"));
        }
        out
    }

    fn kind(&mut self, schema: &Value, path: &str, place: Place, untyped: bool) -> Option<Kind> {
        let path = join(path, "type");
        match text(schema, "type") {
            "object" => Some(Kind::Object),
            "array" => Some(Kind::Array),
            "string" => Some(Kind::String),
            "integer" => Some(Kind::Integer),
            "number" => Some(Kind::Number),
            "boolean" => Some(Kind::Boolean),
            "" => {
                let detail = match place {
                    _ if untyped => return None,
                    Place::Rule => return None,
                    Place::Root => "must not be empty at the root",
                    Place::Property => "must not be empty for specified object fields",
                    Place::Item => "must not be empty for specified array items",
                };
                self.errors.push(FieldError::required(path, detail));
                None
            }
            other => {
                let allowed =
                    ["array", "boolean", "integer", "number", "object", "string"].map(str::to_owned);
                self.errors.push(FieldError::not_supported(path, other, &allowed));
                None
            }
        }
    }

    fn list(&mut self, schema: &Value, path: &str) -> ListKind {
        let path = join(path, "x-kubernetes-list-type");
        match text(schema, "x-kubernetes-list-type") {
            "" | "atomic" => ListKind::Atomic,
            "set" => ListKind::Set,
            "map" => {
                let keys = strings(schema, "x-kubernetes-list-map-keys");
                if keys.is_empty() {
                    let path = path.replace("-list-type", "-list-map-keys");
                    let detail = "must not be empty if x-kubernetes-list-type is map";
                    self.errors.push(FieldError::required(path, detail));
                }
                ListKind::Map(keys)
            }
            other => {
                let allowed = ["atomic", "map", "set"].map(str::to_owned);
                self.errors.push(FieldError::not_supported(path, other, &allowed));
                ListKind::Atomic
            }
        }
    }

    fn rules(&mut self, schema: &Value, path: &str, kind: Option<Kind>) -> Rules {
        let bound = |name: &str, exclusive: &str| {
            let value = schema.get(name).and_then(Value::as_f64)?;
            Some(Bound { value, exclusive: flag(schema, exclusive) })
        };
        let count = |name: &str| schema.get(name).and_then(Value::as_u64);
        Rules {
            format: known_format(text(schema, "format"), kind).to_owned(),
            values: schema.get("enum").and_then(Value::as_array).cloned(),
            pattern: self.pattern(text(schema, "pattern"), path),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: schema.get("multipleOf").and_then(Value::as_f64),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            unique_items: flag(schema, "uniqueItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            required: strings(schema, "required"),
            all_of: self.rule_list(schema, "allOf", path),
            any_of: self.rule_list(schema, "anyOf", path),
            one_of: self.rule_list(schema, "oneOf", path),
            not: schema.get("not").map(|not| Box::new(self.schema(not, &join(path, "not"), Place::Rule))),
        }
    }

    fn rule_list(&mut self, schema: &Value, name: &str, path: &str) -> Vec<Schema> {
        let list = schema.get(name).and_then(Value::as_array).into_iter().flatten().enumerate();
        list.map(|(index, schema)| self.schema(schema, &join(path, &format!("{name}[{index}]")), Place::Rule))
            .collect()
    }

    fn pattern(&mut self, pattern: &str, path: &str) -> Option<Arc<Pattern>> {
        if pattern.is_empty() {
            return None;
        }
        match Pattern::parse(pattern) {
            Ok(pattern) => Some(Arc::new(pattern)),
            Err(error) => {
                let detail = format!("must be a valid regular expression, but isn't: {error}");
                self.errors.push(FieldError::invalid(join(path, "pattern"), pattern, detail));
                None
            }
        }
    }
}

/// The format, if it is one that counts for a value of this type.
fn known_format(format: &str, kind: Option<Kind>) -> &str {
    let known = match kind {
        None | Some(Kind::String) => super::formats::is_known(format),
        Some(Kind::Integer) => matches!(format, "int32" | "int64"),
        Some(Kind::Number) => matches!(format, "float" | "double"),
        Some(Kind::Object | Kind::Array | Kind::Boolean) => false,
    };
    if known { format } else { "" }
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn strings(schema: &Value, key: &str) -> Vec<String> {
    let list = schema.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
