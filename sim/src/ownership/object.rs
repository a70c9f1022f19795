//! The parts of an object that ownership has to do with.

use serde_json::{Map, Value};

use super::walk::equal;

/// True if two objects are the same but for their `managedFields`.
pub(super) fn equal_but_ownership(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return equal(a, b) };
    same_fields(a, b, "metadata", |a, b| match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) => same_fields(a, b, "managedFields", |_, _| true),
        _ => equal(a, b),
    })
}

/// True if two objects are the same; the field of this name is compared by its own rule where both have it.
pub(super) fn same_fields(
    a: &Map<String, Value>,
    b: &Map<String, Value>,
    name: &str,
    rule: impl Fn(&Value, &Value) -> bool,
) -> bool {
    fn others<'m>(map: &'m Map<String, Value>, name: &str) -> impl Iterator<Item = (&'m String, &'m Value)> {
        map.iter().filter(move |(key, _)| *key != name)
    }
    let special = match (a.get(name), b.get(name)) {
        (Some(a), Some(b)) => rule(a, b),
        (None, None) => true,
        (Some(one), None) | (None, Some(one)) => rule(one, &Value::Null),
    };
    special
        && others(a, name).count() == others(b, name).count()
        && others(a, name).zip(others(b, name)).all(|((k, a), (l, b))| k == l && equal(a, b))
}

pub(super) fn uid(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("uid")?.as_str().filter(|uid| !uid.is_empty())
}

pub(super) fn managed_fields(object: &Value) -> &[Value] {
    let list = object.get("metadata").and_then(|metadata| metadata.get("managedFields"));
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn take_managed_fields(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

pub(super) fn set_managed_fields(object: &mut Value, list: Vec<Value>) {
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else { return };
    if list.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), Value::Array(list));
    }
}

/// An object as an error names it: `namespace/name; apps/v1, Kind=Deployment`.
pub(super) fn title(object: &Value) -> String {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let meta = |name: &str| {
        object
            .get("metadata")
            .and_then(|metadata| metadata.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let version = text("apiVersion");
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{}/{}; {slash}{version}, Kind={}", meta("namespace"), meta("name"), text("kind"))
}
