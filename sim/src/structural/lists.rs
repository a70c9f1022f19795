//! What a schema says of whole lists and of embedded resources: no duplicates, no resource without a kind.

use serde_json::{Map, Value};

use super::{FieldError, ListKind, Schema};

/// The items of sets and map lists that are there twice.
pub(super) fn duplicates(schema: &Schema, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(schema, object, "", &mut errors, &mut |schema, value, path, errors| {
        let Value::Array(items) = value else { return };
        match &schema.list {
            ListKind::Atomic => {}
            ListKind::Set => {
                for index in repeated(items) {
                    let value = items.get(index).cloned().unwrap_or_default();
                    errors.push(FieldError::duplicate(format!("{path}[{index}]"), value));
                }
            }
            ListKind::Map(keys) => map_list(items, keys, path, errors),
        }
    });
    errors
}

/// The embedded resources that do not say what they are.
pub(super) fn embedded(schema: &Schema, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk(schema, object, "", &mut errors, &mut |schema, value, path, errors| {
        let Value::Object(fields) = value else { return };
        if path.is_empty() || !schema.embedded {
            return;
        }
        for name in ["apiVersion", "kind"] {
            let path = format!("{path}.{name}");
            match fields.get(name) {
                None => errors.push(FieldError::required(path, "")),
                Some(Value::String(text)) if text.is_empty() => {
                    errors.push(FieldError::invalid(path, "", "must not be empty"));
                }
                Some(_) => {}
            }
        }
    });
    errors
}

fn map_list(items: &[Value], keys: &[String], path: &str, errors: &mut Vec<FieldError>) {
    if let Some(index) = items.iter().position(|item| !item.is_null() && !item.is_object()) {
        let value = items.get(index).cloned().unwrap_or_default();
        let detail = "must be an object for an array of list-type map";
        errors.push(FieldError::invalid(format!("{path}[{index}]"), value, detail));
        return;
    }
    let identity = |item: &Value| {
        let pick = |key: &String| Some((key.clone(), item.get(key)?.clone()));
        Value::Object(keys.iter().filter_map(pick).collect::<Map<_, _>>())
    };
    let identities: Vec<_> = items.iter().map(identity).collect();
    for index in repeated(&identities) {
        let value = identities.get(index).cloned().unwrap_or_default();
        errors.push(FieldError::duplicate(format!("{path}[{index}]"), value));
    }
}

/// The places of the second of each value that is there more than once.
fn repeated(values: &[Value]) -> Vec<usize> {
    let earlier =
        |index: usize, value: &Value| values.iter().take(index).filter(|other| *other == value).count();
    values
        .iter()
        .enumerate()
        .filter(|(index, value)| earlier(*index, value) == 1)
        .map(|(index, _)| index)
        .collect()
}

type Check<'c> = dyn FnMut(&Schema, &Value, &str, &mut Vec<FieldError>) + 'c;

fn walk(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>, check: &mut Check<'_>) {
    check(schema, value, path, errors);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = match schema.properties.get(name) {
                    Some(_) if path.is_empty() => name.clone(),
                    Some(_) => format!("{path}.{name}"),
                    None => format!("{path}[{name}]"),
                };
                if let Some(schema) = schema.field(name) {
                    walk(schema, value, &path, errors, check);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            for (index, item) in items.iter().enumerate() {
                walk(schema, item, &format!("{path}[{index}]"), errors, check);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
