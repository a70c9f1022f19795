//! JSON merge patch (RFC 7386), with what the API server's library does differently.

use serde_json::Value;

use super::PatchError;
use crate::golang;

/// Merges a patch into an object: null removes, objects merge, all else replaces.
pub fn merge(target: Value, patch: &Value) -> Result<Value, PatchError> {
    if patch.is_object() {
        return Ok(merge_value(target, patch));
    }
    Err(PatchError::Malformed(format!(
        "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
        golang::json_kind(patch)
    )))
}

fn merge_value(target: Value, patch: &Value) -> Value {
    let Value::Object(mut target) = target else { return without_nulls(patch) };
    let Value::Object(fields) = patch else { return patch.clone() };
    for (name, value) in fields {
        if value.is_null() {
            target.remove(name);
            continue;
        }
        let merged = match target.get_mut(name).map(Value::take) {
            None | Some(Value::Null) => without_nulls(value),
            Some(before) => merge_value(before, value),
        };
        target.insert(name.clone(), merged);
    }
    Value::Object(target)
}

/// A value without the fields that are null; nulls in lists stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
