//! Objects as they are kept.

use serde_json::Value;

use crate::kinds::Resource;

/// One object in one state: encoded, with what it is looked up by. Its API version and kind are those of its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// JSON without `apiVersion` and `kind`.
    json: Box<[u8]>,
    /// Labels as `key=value` lines, for selectors.
    labels: Box<[(Box<str>, Box<str>)]>,
    uid: Box<str>,
    /// UIDs of the owners.
    owners: Box<[Box<str>]>,
    version: u64,
    deleting: bool,
    untidy: bool,
}

// === impl Object ===

impl Object {
    /// Encodes an object, which has its `resourceVersion` already.
    pub(super) fn encode(value: &Value) -> Self {
        let metadata = value.get("metadata");
        let text = |field: &str| metadata.and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
        let labels = metadata
            .and_then(|metadata| metadata.get("labels"))
            .and_then(Value::as_object)
            .map(|labels| {
                let pair = |(key, value): (&String, &Value)| {
                    (key.as_str().into(), value.as_str().unwrap_or_default().into())
                };
                labels.iter().map(pair).collect()
            })
            .unwrap_or_default();
        let owners = metadata.and_then(|metadata| metadata.get("ownerReferences")).and_then(Value::as_array);
        let owners =
            owners.into_iter().flatten().filter_map(|owner| Some(owner.get("uid")?.as_str()?.into()));
        Self {
            owners: owners.collect(),
            labels,
            uid: text("uid").unwrap_or_default().into(),
            version: text("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or_default(),
            deleting: text("deletionTimestamp").is_some(),
            untidy: false,
            json: without_type(value).into_boxed_slice(),
        }
    }

    /// Makes it one that is kept in a form that the next write will not leave as it is.
    pub(super) fn made_untidy(self) -> Self {
        Self { untidy: true, ..self }
    }

    /// Tells whether the next write is kept even if it changes nothing, as it tidies what is kept.
    pub(super) fn is_untidy(&self) -> bool {
        self.untidy
    }

    /// Gives the UID.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Tells whether it names an owner.
    pub(super) fn is_owned_by(&self, uid: &str) -> bool {
        self.owners.iter().any(|owner| **owner == *uid)
    }

    /// Gives the version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Tells whether it has a `deletionTimestamp`.
    pub fn is_deleting(&self) -> bool {
        self.deleting
    }

    /// Finds a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| &**name == key).map(|(_, value)| &**value)
    }

    /// Gives the JSON of it without `apiVersion` and `kind`.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Writes its JSON, with the API version and kind of a resource.
    pub fn write(&self, resource: &Resource, out: &mut Vec<u8>) {
        let api_version = resource.api_version();
        out.reserve(self.json.len() + api_version.len() + resource.kind.len() + 32);
        for part in [r#"{"apiVersion":""#, &api_version, r#"","kind":""#, &resource.kind, r#"""#] {
            out.extend_from_slice(part.as_bytes());
        }
        match self.json.get(1..) {
            Some(rest) if rest != b"}" => {
                out.push(b',');
                out.extend_from_slice(rest);
            }
            Some(_) | None => out.push(b'}'),
        }
    }

    /// Gives it as a value, with the API version and kind of a resource.
    pub fn value(&self, resource: &Resource) -> Value {
        let mut value = self.bare();
        if let Some(map) = value.as_object_mut() {
            map.insert("apiVersion".to_owned(), resource.api_version().into());
            map.insert("kind".to_owned(), resource.kind.as_str().into());
        }
        value
    }

    /// Gives it as a value without API version and kind.
    pub fn bare(&self) -> Value {
        // What was encoded here is JSON.
        serde_json::from_slice(&self.json).unwrap_or_default()
    }

    /// Gives the bytes that it takes, without those of its allocations' bookkeeping.
    pub fn size(&self) -> usize {
        let labels: usize = self.labels.iter().map(|(key, value)| 32 + key.len() + value.len()).sum();
        size_of::<Self>() + self.json.len() + labels + self.uid.len()
    }
}

/// Writes an object without `apiVersion` and `kind`.
fn without_type(value: &Value) -> Vec<u8> {
    let mut json = vec![b'{'];
    for (field, value) in value.as_object().into_iter().flatten() {
        if matches!(field.as_str(), "apiVersion" | "kind") {
            continue;
        }
        if json.len() > 1 {
            json.push(b',');
        }
        // Writing JSON to memory does not fail.
        let _written = serde_json::to_writer(&mut json, field);
        json.push(b':');
        let _written = serde_json::to_writer(&mut json, value);
    }
    json.push(b'}');
    json
}
