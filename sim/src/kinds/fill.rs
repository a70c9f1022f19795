//! Small steps into objects, for defaults.

use serde_json::{Map, Value};

/// Sets a field that is not there or says nothing.
pub(crate) fn fill(map: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    let absent = match map.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => false,
    };
    if absent {
        map.insert(field.to_owned(), value.into());
    }
}

/// Gives the object in a field, if it is there.
pub(crate) fn inside<'a>(map: &'a mut Map<String, Value>, field: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(field)?.as_object_mut()
}

/// Gives the object in a field, which is made if it is not there.
pub(crate) fn made<'a>(map: &'a mut Map<String, Value>, field: &str) -> Option<&'a mut Map<String, Value>> {
    fill(map, field, Map::new());
    inside(map, field)
}

/// Gives the objects of a list in a field.
pub(crate) fn each<'a>(
    map: &'a mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    map.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Gives a text in a field; empty if it is not there.
pub(crate) fn text<'a>(map: &'a Map<String, Value>, field: &str) -> &'a str {
    map.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Gives the object in a field of an object, which is made if it is not there.
pub(crate) fn made_in<'a>(value: &'a mut Value, field: &str) -> Option<&'a mut Map<String, Value>> {
    made(value.as_object_mut()?, field)
}
