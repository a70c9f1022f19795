//! What an object's metadata says of it: who owns which fields, who tracks it.
//!
//! When another writer changes or removes a field that we applied, the API server takes it out of our `Apply` entry in
//! `metadata.managedFields`. The fingerprint of that entry therefore tells drift without reading specs.

use serde_json::Value;

use crate::cluster::LiveMeta;
use crate::health::Assessor;
use crate::ids::Digest;
use crate::key::{GroupKind, ResourceKey, split_api_version};
use crate::tracking::{self, FIELD_MANAGER, MANAGED, manager_of};

/// Metadata that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the API server's object has no usable {0}")]
pub struct MetadataError(pub &'static str);

/// Reads an object, whole or metadata only, and judges its health. The kind is given by the caller, as items of lists
/// carry none; and so is the part of it that is looked at, empty for the whole. A part has no health: its object has.
pub fn read(
    object: &Value,
    kind: &GroupKind,
    part: &str,
    assessor: &Assessor<'_>,
) -> Result<LiveMeta, MetadataError> {
    let metadata = object.get("metadata").ok_or(MetadataError("metadata"))?;
    let text = |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = text("name");
    let uid = text("uid");
    if name.is_empty() {
        return Err(MetadataError("name"));
    }
    if uid.is_empty() {
        return Err(MetadataError("uid"));
    }
    let key =
        ResourceKey::new(kind.group.clone(), kind.kind.clone(), text("namespace"), name).with_part(part);
    let verdict = if key.is_part() { None } else { assessor.assess(kind, object) };
    let manager = &*manager_of(part);
    Ok(LiveMeta {
        uid: uid.to_owned(),
        resource_version: text("resourceVersion")
            .parse()
            .map_err(|_text| MetadataError("resourceVersion"))?,
        tracking: tracking::read(metadata),
        labelled: metadata.pointer(&format!("/labels/{}", MANAGED.replace('/', "~1"))).is_some(),
        owned: metadata
            .get("ownerReferences")
            .and_then(Value::as_array)
            .is_some_and(|owners| !owners.is_empty()),
        deleting: metadata.get("deletionTimestamp").is_some_and(|time| !time.is_null()),
        fingerprint: fingerprint(metadata, manager),
        last_writer: last_writer(metadata, manager),
        health: verdict,
        lagging: !key.is_part() && crate::health::observed(kind, object) == Some(false),
        key,
    })
}

/// Gives the entries of `managedFields`.
pub(crate) fn entries(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata.get("managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn field<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Tells whether an entry is what our applies own by this field manager.
pub(crate) fn is_ours(entry: &Value, manager: &str) -> bool {
    field(entry, "manager") == manager
        && field(entry, "operation") == "Apply"
        && field(entry, "subresource").is_empty()
}

/// Our own `Apply` entry, by this field manager; `None` when we own nothing.
pub(crate) fn our_entry<'a>(metadata: &'a Value, manager: &str) -> Option<&'a Value> {
    entries(metadata).find(|entry| is_ours(entry, manager))
}

/// Fingerprint of our own `Apply` entry, by this field manager: field set, `apiVersion` and time; `None` when we own nothing.
pub fn fingerprint(metadata: &Value, manager: &str) -> Option<Digest> {
    let entry = our_entry(metadata, manager)?;
    let fields = entry.get("fieldsV1").map(Value::to_string).unwrap_or_default();
    Some(Digest::of_parts(
        "argosy ownership v1",
        [field(entry, "apiVersion").as_bytes(), field(entry, "time").as_bytes(), fields.as_bytes()],
    ))
}

/// The other manager that wrote last; status writers do not count.
fn last_writer(metadata: &Value, manager: &str) -> Option<String> {
    entries(metadata)
        .filter(|entry| !is_ours(entry, manager) && field(entry, "subresource").is_empty())
        .max_by_key(|entry| field(entry, "time"))
        .map(|entry| field(entry, "manager").to_owned())
        .filter(|manager| !manager.is_empty())
}

/// Tells whether anybody but us manages fields of the object, status writers aside: then an apply without a UID adopted
/// it instead of creating it (M16).
pub fn has_other_managers(metadata: &Value) -> bool {
    entries(metadata).any(|entry| !is_ours(entry, FIELD_MANAGER) && field(entry, "subresource").is_empty())
}

/// Lists the paths whose values in the API server's answer differ from what was sent: admission or the API server's own
/// conversion changed them. Fields that were added are no difference; at most `limit` paths.
pub fn changed_paths(sent: &Value, received: &Value, limit: usize) -> Vec<String> {
    let mut paths = Vec::new();
    for field in ["spec", "data", "binaryData", "stringData", "rules", "subjects", "roleRef", "webhooks"] {
        if let Some(value) = sent.get(field) {
            compare(value, received.get(field), field, limit, &mut paths);
        }
    }
    for field in ["labels", "annotations"] {
        if let Some(value) = sent.pointer(&format!("/metadata/{field}")) {
            let path = format!("metadata.{field}");
            compare(value, received.pointer(&format!("/metadata/{field}")), &path, limit, &mut paths);
        }
    }
    let (group, _) = split_api_version(sent.get("apiVersion").and_then(Value::as_str).unwrap_or_default());
    // What the API server folds into another form by itself is nobody's change.
    paths.retain(|path| !(group.is_empty() && path.starts_with("stringData")));
    paths
}

fn compare(sent: &Value, received: Option<&Value>, path: &str, limit: usize, paths: &mut Vec<String>) {
    if paths.len() >= limit {
        return;
    }
    match (sent, received) {
        (Value::Object(sent), Some(Value::Object(received))) => {
            for (name, value) in sent {
                compare(value, received.get(name), &format!("{path}.{name}"), limit, paths);
            }
        }
        (Value::Array(sent), Some(Value::Array(received))) if sent.len() == received.len() => {
            for (index, (value, other)) in sent.iter().zip(received).enumerate() {
                compare(value, Some(other), &format!("{path}[{index}]"), limit, paths);
            }
        }
        (sent, Some(received)) if equal(sent, received) => {}
        // An empty value that the API server leaves out says the same.
        (Value::Null, None) => {}
        (Value::Object(map), None) if map.is_empty() => {}
        (Value::Array(list), None) if list.is_empty() => {}
        _ => paths.push(path.to_owned()),
    }
}

fn equal(sent: &Value, received: &Value) -> bool {
    match (sent, received) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        // A quantity comes back in its canonical form; digits tell a number written as text from a word.
        (Value::String(a), Value::String(b)) => a == b || (is_quantity(a) && is_quantity(b)),
        (Value::Number(_), Value::String(text)) | (Value::String(text), Value::Number(_)) => {
            is_quantity(text)
        }
        (a, b) => a == b,
    }
}

fn is_quantity(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']).trim_end_matches(|c: char| c.is_ascii_alphabetic());
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(entries: &Value) -> Value {
        json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "managedFields": entries}})
    }

    fn config_maps() -> GroupKind {
        GroupKind::new("", "ConfigMap")
    }

    fn ours(fields: &Value) -> Value {
        json!({"manager": "argosy", "operation": "Apply", "apiVersion": "v1", "time": "t", "fieldsV1": fields})
    }

    #[test]
    fn losing_a_field_changes_the_fingerprint_and_another_writers_field_does_not() {
        let whole = object(&json!([ours(&json!({"f:data": {"f:a": {}, "f:b": {}}}))]));
        let beside = object(&json!([
            ours(&json!({"f:data": {"f:a": {}, "f:b": {}}})),
            {"manager": "kubectl", "operation": "Update", "time": "u", "fieldsV1": {"f:data": {"f:c": {}}}}
        ]));
        let robbed = object(&json!([ours(&json!({"f:data": {"f:a": {}}}))]));
        let read = |object: &Value| read(object, &config_maps(), "", &Assessor::default()).unwrap();
        assert_eq!(read(&whole).fingerprint, read(&beside).fingerprint);
        assert_ne!(read(&whole).fingerprint, read(&robbed).fingerprint);
        assert_eq!(read(&beside).last_writer.as_deref(), Some("kubectl"));
        assert_eq!(read(&object(&json!([]))).fingerprint, None);
    }

    #[test]
    fn a_part_is_told_by_the_entry_of_its_own_manager_and_has_no_health() {
        let entry = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Apply", "apiVersion": "v1", "time": "t", "fieldsV1": fields});
        let there = object(&json!([ours(&json!({"f:a": {}})), entry("argosy.mesh", json!({"f:b": {}}))]));
        let jobs = GroupKind::new("batch", "Job");
        let read = |object: &Value, part: &str| read(object, &jobs, part, &Assessor::default()).unwrap();
        let (whole, part) = (read(&there, ""), read(&there, "mesh"));
        assert!(whole.health.is_some() && part.health.is_none());
        assert!(part.key.is_part() && !whole.key.is_part());
        assert!(part.fingerprint.is_some() && part.fingerprint != whole.fingerprint);
        assert_eq!(part.last_writer.as_deref(), Some("argosy"));
        let robbed = object(&json!([ours(&json!({"f:a": {}}))]));
        assert_eq!(
            (read(&robbed, "mesh").fingerprint, read(&robbed, "").fingerprint),
            (None, whole.fingerprint)
        );
    }

    #[test]
    fn an_object_without_identity_is_refused() {
        let refusal = |object: &Value| read(object, &config_maps(), "", &Assessor::default()).unwrap_err();
        assert_eq!(refusal(&json!({"metadata": {"name": "a"}})), MetadataError("uid"));
        assert_eq!(refusal(&json!({})), MetadataError("metadata"));
    }

    #[test]
    fn what_admission_changes_is_named_and_what_it_adds_is_not() {
        let sent = json!({"apiVersion": "apps/v1", "spec": {"replicas": 3, "template": {"cpu": "1000m", "list": [1, 2]}}});
        let received = json!({"apiVersion": "apps/v1", "spec": {"replicas": 5, "added": true, "template": {"cpu": "1", "list": [1, 9]}}});
        assert_eq!(changed_paths(&sent, &received, 9), ["spec.replicas", "spec.template.list[1]"]);
        assert_eq!(changed_paths(&sent, &received, 1).len(), 1);
        assert!(changed_paths(&sent, &sent, 9).is_empty());
    }
}
