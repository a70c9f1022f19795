//! Manifests: one Kubernetes object each, normalised and as canonical bytes.
//!
//! Normalisation takes out what an apply must not send (`status` and the metadata that the API server writes), folds a
//! Secret's `stringData` into `data` (M20) and expands lists. What would need hooks, waves or options that this version
//! does not have is refused by the name of its annotation: an object is never applied with half of its meaning.

mod annotations;
mod hook;
mod part;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use self::annotations::ObjectOptions;
pub use self::hook::{Hook, Role};
pub(crate) use self::part::is_about_part;
use crate::ids::Digest;
use crate::json;
use crate::key::{ResourceKey, split_api_version};

/// Metadata that the API server writes and an apply must not send.
pub(crate) const SERVER_METADATA: [&str; 6] =
    ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// One Kubernetes object as rendered.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its name, and which part of it is stated; the namespace is empty when it states none.
    pub key: ResourceKey,
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its canonical JSON.
    pub canonical: Vec<u8>,
    /// Digest of the canonical JSON.
    pub digest: Digest,
    /// What its annotations ask for.
    pub options: ObjectOptions,
}

/// An object that cannot be a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct ManifestError {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

// === impl ManifestError ===

impl ManifestError {
    fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
    }

    fn under(self, prefix: &str) -> Self {
        Self { field: format!("{prefix}.{}", self.field), why: self.why }
    }
}

// === impl Manifest ===

impl std::fmt::Debug for Manifest {
    /// Prints the key only: a Secret's bytes and digest are in no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Manifest({:?})", self.key)
    }
}

impl TryFrom<Value> for Manifest {
    type Error = ManifestError;

    /// Reads one object that is no list.
    fn try_from(value: Value) -> Result<Self, ManifestError> {
        let Value::Object(mut object) = value else {
            return Err(ManifestError::new(
                ".",
                format!("must be an object, not {}", json::type_name(&value)),
            ));
        };
        let api_version = api_version(&object)?;
        let kind = kind(&object)?;
        let metadata = match object.get_mut("metadata") {
            Some(Value::Object(metadata)) => metadata,
            Some(other) => {
                let why = format!("must be an object, not {}", json::type_name(other));
                return Err(ManifestError::new("metadata", why));
            }
            None => return Err(ManifestError::new("metadata.name", "is missing")),
        };
        let (name, nameless) = name(metadata)?;
        let namespace = namespace(metadata)?;
        if metadata.get("ownerReferences").is_some_and(|owners| !is_empty(owners)) {
            return Err(ManifestError::new("metadata.ownerReferences", "is not supported in a manifest"));
        }
        let options = annotations::check(metadata.get("annotations"))?;
        if nameless && !matches!(options.role, Role::Hook(_) | Role::Ignored) {
            let why =
                "is not supported without metadata.name, but of hooks: the object could not be found again";
            return Err(ManifestError::new("metadata.generateName", why));
        }
        let part = part::read(&object, &options, nameless)?;
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            for field in SERVER_METADATA {
                metadata.remove(field);
            }
        }
        object.remove("status");
        object.values_mut().for_each(drop_zero_times);
        let (group, _version) = split_api_version(&api_version);
        let key = ResourceKey::new(group, kind, namespace, name).with_part(part);
        let key = if nameless { key.nameless(0) } else { key };
        if key.group_kind().is_secret() {
            fold_string_data(&mut object)?;
        }
        let canonical = json::canonical(&Value::Object(object));
        let digest = Digest::of(&canonical);
        Ok(Self { key, api_version, canonical, digest, options })
    }
}

impl Manifest {
    /// Reads an object, or every object of a list; a list without items (`items: null`) gives none.
    pub fn expand(value: Value) -> Result<Vec<Self>, ManifestError> {
        let mut manifests = Vec::new();
        expand_into(value, &mut manifests)?;
        Ok(manifests)
    }

    /// Tells whether a value has a field that only a manifest would have at its top.
    pub fn resembles(value: &Value) -> bool {
        ["apiVersion", "kind", "metadata"].iter().any(|field| value.get(field).is_some())
    }
}

fn expand_into(mut value: Value, manifests: &mut Vec<Manifest>) -> Result<(), ManifestError> {
    let is_list = json::text_at(&value, &["kind"]).is_some_and(|kind| kind.ends_with("List"))
        && value.get("items").is_some_and(|items| items.is_array() || items.is_null())
        && value.get("spec").is_none();
    if !is_list {
        manifests.push(Manifest::try_from(value)?);
        return Ok(());
    }
    match value.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                expand_into(item, manifests).map_err(|error| error.under(&format!("items[{index}]")))?;
            }
            Ok(())
        }
        Some(_) | None => Ok(()),
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn text<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    field: &str,
) -> Result<Option<&'a str>, ManifestError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(ManifestError::new(field, format!("must be a string, not {}", json::type_name(other))))
        }
    }
}

fn required<'a>(object: &'a Map<String, Value>, key: &str, field: &str) -> Result<&'a str, ManifestError> {
    text(object, key, field)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| ManifestError::new(field, "is missing"))
}

fn api_version(object: &Map<String, Value>) -> Result<String, ManifestError> {
    let text = required(object, "apiVersion", "apiVersion")?;
    let (group, version) = split_api_version(text);
    let plain = |part: &str, more: &[u8]| {
        part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte))
    };
    let sound = !version.is_empty()
        && plain(version, b"")
        && plain(group, b".-")
        && (!text.contains('/') || !group.is_empty());
    if sound {
        Ok(text.to_owned())
    } else {
        Err(ManifestError::new("apiVersion", format!("{text:?} is not in the form VERSION or GROUP/VERSION")))
    }
}

fn kind(object: &Map<String, Value>) -> Result<String, ManifestError> {
    let text = required(object, "kind", "kind")?;
    if text.len() <= 63 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(text.to_owned())
    } else {
        Err(ManifestError::new("kind", format!("{text:?} is no kind")))
    }
}

/// Gives the name of an object, or what it begins with and that each sync makes the rest.
fn name(metadata: &Map<String, Value>) -> Result<(String, bool), ManifestError> {
    const PREFIX: &str = "metadata.generateName";
    let filled = |name: &&str| !name.is_empty();
    let named = text(metadata, "name", "metadata.name")?.filter(filled);
    match (named, text(metadata, "generateName", PREFIX)?.filter(filled)) {
        (Some(name), _) => Ok((path_segment(name, "metadata.name")?, false)),
        (None, Some(prefix)) => Ok((path_segment(prefix, PREFIX)?, true)),
        (None, None) => Err(ManifestError::new("metadata.name", "is missing")),
    }
}

fn namespace(metadata: &Map<String, Value>) -> Result<String, ManifestError> {
    match text(metadata, "namespace", "metadata.namespace")? {
        None | Some("") => Ok(String::new()),
        Some(namespace) => path_segment(namespace, "metadata.namespace"),
    }
}

/// Checks what becomes a segment of a request's path, by the rule that Kubernetes has for all names.
fn path_segment(text: &str, field: &str) -> Result<String, ManifestError> {
    let sound = text != "."
        && text != ".."
        && text.len() <= 253
        && !text.contains(['/', '%'])
        && !text.chars().any(char::is_control);
    if sound {
        Ok(text.to_owned())
    } else {
        Err(ManifestError::new(field, format!("{text:?} may not be the name of an object")))
    }
}

/// Drops `creationTimestamp: null` from the metadata of templates: what Go's tools print for a time that is not set.
/// Definitions of custom resources often declare no such field there, and the API server then refuses the object.
fn drop_zero_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(metadata)) = map.get_mut("metadata")
                && metadata.get("creationTimestamp").is_some_and(Value::is_null)
            {
                metadata.remove("creationTimestamp");
            }
            map.values_mut().for_each(drop_zero_times);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_zero_times),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Moves a Secret's `stringData` into `data`, over what stands there, and null values to empty ones: what the API server
/// would do, and then no longer say.
fn fold_string_data(object: &mut Map<String, Value>) -> Result<(), ManifestError> {
    let of_object = |field: &str, value: Option<Value>| match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(other) => {
            Err(ManifestError::new(field, format!("must be an object, not {}", json::type_name(&other))))
        }
    };
    let had_data = object.contains_key("data") || object.contains_key("stringData");
    let mut data = of_object("data", object.remove("data"))?;
    for value in data.values_mut().filter(|value| value.is_null()) {
        *value = Value::String(String::new());
    }
    for (key, value) in of_object("stringData", object.remove("stringData"))? {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                let why = format!("must be a string, not {}", json::type_name(&other));
                return Err(ManifestError::new(format!("stringData.{key}"), why));
            }
        };
        data.insert(key, Value::String(data_encoding::BASE64.encode(text.as_bytes())));
    }
    if had_data {
        object.insert("data".to_owned(), Value::Object(data));
    }
    Ok(())
}
