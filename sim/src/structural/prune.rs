//! Takes away what a schema does not know.

use serde_json::Value;

use super::{Additional, Schema};

const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Prunes a whole resource; gives the paths of what was unknown.
pub(super) fn root(schema: &Schema, object: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    prune(Some(schema), object, "", &mut unknown);
    tidy(Some(schema), object, Nulls::Dropped);
    unknown.sort();
    unknown
}

/// What is done about nulls that are not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nulls {
    Dropped,
    Kept,
}

/// Prunes a resource that an apply made.
pub(super) fn applied(schema: &Schema, object: &mut Value) {
    let mut unknown = Vec::new();
    prune(Some(schema), object, "", &mut unknown);
    tidy(Some(schema), object, Nulls::Kept);
}

fn prune(schema: Option<&Schema>, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    let Some(schema) = schema else { return prune_all(value, path, unknown) };
    let preserves = schema.preserves_unknown;
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            if schema.embedded && META_FIELDS.contains(&name.as_str()) {
                return true;
            }
            let below = match (schema.properties.get(name), &schema.additional) {
                (Some(property), _) => Some(property),
                (None, Additional::Of(element)) => Some(&**element),
                (None, Additional::Allowed(_)) => None,
                (None, Additional::Unsaid) if preserves => return true,
                (None, Additional::Unsaid) => {
                    if !path.is_empty() || !META_FIELDS.contains(&name.as_str()) {
                        unknown.push(join(path, name));
                    }
                    return false;
                }
            };
            prune(below, value, &join(path, name), unknown);
            true
        }),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let path = format!("{path}[{index}]");
                match schema.items.as_deref() {
                    // What preserves unknown fields does so for the items of its lists too.
                    Some(items) if preserves => prune_preserved(items, item, &path, unknown),
                    None if preserves => {}
                    items => prune(items, item, &path, unknown),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Prunes an item under a list that preserves unknown fields: only below what is specified.
fn prune_preserved(schema: &Schema, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if schema.embedded && META_FIELDS.contains(&name.as_str()) {
                    continue;
                }
                if let Some(below) = schema.field(name) {
                    prune(Some(below), value, &join(path, name), unknown);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            for (index, item) in items.iter_mut().enumerate() {
                prune_preserved(schema, item, &format!("{path}[{index}]"), unknown);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Prunes all fields of objects for which there is no schema.
fn prune_all(value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            unknown.extend(fields.keys().map(|name| join(path, name)));
            fields.clear();
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                prune_all(item, &format!("{path}[{index}]"), unknown);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Drops nulls that are not allowed and for which no default stands in, and makes whole numbers integers.
fn tidy(schema: Option<&Schema>, value: &mut Value, nulls: Nulls) {
    match value {
        Value::Object(fields) => fields.retain(|name, value| {
            let below = schema.and_then(|schema| schema.field(name));
            let unwanted = || below.is_some_and(|below| below.refuses_null() && below.default.is_none());
            if nulls == Nulls::Dropped && value.is_null() && unwanted() {
                return false;
            }
            tidy(below, value, nulls);
            true
        }),
        Value::Array(items) => {
            let below = schema.and_then(|schema| schema.items.as_deref());
            for item in items {
                tidy(below, item, nulls);
            }
        }
        Value::Number(number) if number.is_f64() => {
            if let Some(int) = number.as_f64().and_then(whole) {
                *value = Value::from(int);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The integer that a float is, where it is one.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && float.abs() < 9.2e18).then_some(float as i64)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
