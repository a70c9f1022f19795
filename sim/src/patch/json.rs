//! JSON patch (RFC 6902), with what the API server's library does differently: `replace` adds a field that is
//! not there, negative indexes count from the end.

use serde_json::{Map, Value};

use super::PatchError;
use crate::golang;

/// The most operations that a patch may have.
pub const MAX_JSON_OPERATIONS: usize = 10_000;

const MISSING: &str = "missing value";

/// Applies the operations of a patch one after the other.
pub fn json(target: Value, patch: &Value) -> Result<Value, PatchError> {
    let operations = operations(patch)?;
    if operations.len() > MAX_JSON_OPERATIONS {
        return Err(PatchError::TooManyOperations(operations.len()));
    }
    let mut document = target;
    for operation in operations {
        step(&mut document, operation).map_err(PatchError::DoesNotApply)?;
    }
    Ok(document)
}

fn operations(patch: &Value) -> Result<Vec<&Map<String, Value>>, PatchError> {
    let wrong = |value: &Value, wanted: &str| {
        let found = golang::json_kind(value);
        PatchError::Malformed(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type {wanted}"
        ))
    };
    let list = match patch {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            return Err(wrong(patch, "[]handlers.jsonPatchOp"));
        }
    };
    list.iter().map(|item| item.as_object().ok_or_else(|| wrong(item, "handlers.jsonPatchOp"))).collect()
}

fn step(document: &mut Value, operation: &Map<String, Value>) -> Result<(), String> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let kind = text("op").unwrap_or("unknown");
    let path = || {
        text("path").ok_or_else(|| {
            let inner =
                if matches!(kind, "add" | "remove" | "copy") { "" } else { "operation missing path field: " };
            format!("{kind} operation failed to decode path: {inner}{MISSING}")
        })
    };
    let from = || {
        text("from").ok_or_else(|| {
            format!("{kind} operation failed to decode from: operation, missing from field: {MISSING}")
        })
    };
    let value = operation.get("value");
    match kind {
        "add" => add(document, path()?, value.cloned().unwrap_or_default()),
        "remove" => remove(document, path()?),
        "replace" => replace(document, path()?, value.cloned().unwrap_or_default()),
        "move" => {
            let from = from()?;
            let moved = take(document, from)?;
            let path = path()?;
            let (container, key) = find(document, path).ok_or_else(|| {
                format!("move operation does not apply: doc is missing destination path: {path}: {MISSING}")
            })?;
            insert(container, &key, moved)
                .map_err(|error| format!("error in move for path: '{path}': {error}"))
        }
        "test" => test(document, path()?, value.unwrap_or(&Value::Null)),
        "copy" => {
            let from = from()?;
            let (container, key) = find(document, from).ok_or_else(|| {
                format!("copy operation does not apply: doc is missing from path: {from}: {MISSING}")
            })?;
            let copied = get(container, &key)
                .map_err(|error| format!("error in copy for from: '{from}': {error}"))?
                .cloned()
                .unwrap_or_default();
            let path = path()?;
            let (container, key) = find(document, path).ok_or_else(|| {
                format!("copy operation does not apply: doc is missing destination path: {path}: {MISSING}")
            })?;
            insert(container, &key, copied)
                .map_err(|error| format!("error while adding value during copy: {error}"))
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (container, key) = find(document, path)
        .ok_or_else(|| format!("add operation does not apply: doc is missing path: \"{path}\": {MISSING}"))?;
    insert(container, &key, value).map_err(|error| format!("error in add for path: '{path}': {error}"))
}

fn remove(document: &mut Value, path: &str) -> Result<(), String> {
    let (container, key) = find(document, path).ok_or_else(|| {
        format!("remove operation does not apply: doc is missing path: \"{path}\": {MISSING}")
    })?;
    delete(container, &key)
        .map(|_| ())
        .map_err(|error| format!("error in remove for path: '{path}': {error}"))
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return Err("replace operation value must be object or array: %!w(<nil>)".to_owned());
        }
        *document = value;
        return Ok(());
    }
    let (container, key) = find(document, path)
        .ok_or_else(|| format!("replace operation does not apply: doc is missing path: {path}: {MISSING}"))?;
    let missing = |_| format!("replace operation does not apply: doc is missing key: {path}: {MISSING}");
    get(container, &key).map_err(missing)?;
    match container {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) => {
            let at = index(&key, items.len(), false)?;
            if let Some(item) = items.get_mut(at) {
                *item = value;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

fn take(document: &mut Value, from: &str) -> Result<Value, String> {
    let (container, key) = find(document, from).ok_or_else(|| {
        format!("move operation does not apply: doc is missing from path: {from}: {MISSING}")
    })?;
    delete(container, &key).map_err(|error| format!("error in move for path: '{key}': {error}"))
}

fn test(document: &mut Value, path: &str, wanted: &Value) -> Result<(), String> {
    let failed = || format!("testing value {path} failed: test failed");
    if path.is_empty() {
        return if document == wanted { Ok(()) } else { Err(failed()) };
    }
    let (container, key) = find(document, path)
        .ok_or_else(|| format!("test operation does not apply: is missing path: {path}: {MISSING}"))?;
    let found = get(container, &key)
        .map_err(|error| format!("error in test for path: '{path}': {error}"))?
        .unwrap_or(&Value::Null);
    if found == wanted { Ok(()) } else { Err(failed()) }
}

/// The container that a path ends in, and the last step; `None` if the way there does not exist.
fn find<'d>(document: &'d mut Value, path: &str) -> Option<(&'d mut Value, String)> {
    let mut steps = path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    let mut key = steps.next()?;
    let mut container = document;
    for next in steps {
        container = match container {
            Value::Object(fields) => fields.get_mut(&key)?,
            Value::Array(items) => {
                let at = index(&key, items.len(), false).ok()?;
                items.get_mut(at)?
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
        key = next;
    }
    (container.is_object() || container.is_array()).then_some((container, key))
}

fn get<'d>(container: &'d Value, key: &str) -> Result<Option<&'d Value>, String> {
    match container {
        Value::Object(fields) => Ok(fields.get(key)),
        Value::Array(items) => Ok(items.get(index(key, items.len(), false)?)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(None),
    }
}

fn insert(container: &mut Value, key: &str, value: Value) -> Result<(), String> {
    match container {
        Value::Object(fields) => {
            fields.insert(key.to_owned(), value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let at = index(key, items.len(), true).map_err(|error| {
                if error.starts_with("strconv") {
                    format!("value was not a proper array index: '{key}': {error}")
                } else {
                    error
                }
            })?;
            items.insert(at, value);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

fn delete(container: &mut Value, key: &str) -> Result<Value, String> {
    match container {
        Value::Object(fields) => {
            fields.remove(key).ok_or_else(|| format!("Unable to remove nonexistent key: {key}: {MISSING}"))
        }
        Value::Array(items) => {
            let at = index(key, items.len(), false)?;
            Ok(items.remove(at))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(Value::Null),
    }
}

/// The place in a list that a step names; one that is to be made may be behind the last.
fn index(key: &str, length: usize, make: bool) -> Result<usize, String> {
    let Ok(index) = key.parse::<i64>() else {
        return Err(format!("strconv.Atoi: parsing {}: invalid syntax", golang::quoted(key)));
    };
    let places = if make { length + 1 } else { length };
    let size = i64::try_from(places).unwrap_or(i64::MAX);
    let at = if index < 0 { index + size } else { index };
    usize::try_from(at)
        .ok()
        .filter(|at| *at < places)
        .ok_or_else(|| format!("Unable to access invalid index: {index}: invalid index referenced"))
}
