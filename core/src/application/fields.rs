//! Strict reading of a document's fields: what is not known, or known and not supported, is refused by its path.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::json;

/// A document that is refused, by field. Its condition is [`SpecError::CONDITION`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct SpecError {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

/// The fields of one object; each that is read is ticked off, and what is left at the end is refused.
pub(crate) struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
    read: BTreeSet<&'static str>,
}

// === impl SpecError ===

impl SpecError {
    /// Type of the condition that such an error is shown as (Argo CD).
    pub const CONDITION: &'static str = "InvalidSpecError";

    pub(crate) fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
    }
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Opens an object; `path` is empty for the document itself.
    pub(crate) fn of(value: &'a Value, path: impl Into<String>) -> Result<Self, SpecError> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { path, map, read: BTreeSet::new() }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let field = if path.is_empty() { ".".to_owned() } else { path };
                Err(SpecError::new(field, format!("must be an object, not {}", json::type_name(value))))
            }
        }
    }

    /// Gives the path of a field.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Refuses a field.
    pub(crate) fn error(&self, key: &str, why: impl Into<String>) -> SpecError {
        SpecError::new(self.path(key), why)
    }

    /// Takes a field as it is; null counts as absent.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.read.insert(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Takes a text; absent is empty.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<String, SpecError> {
        match self.value(key) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(self.wrong(key, "a string", other)),
        }
    }

    /// Takes a boolean, where there is one.
    pub(crate) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, SpecError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(self.wrong(key, "a boolean", other)),
        }
    }

    /// Takes an integer, where there is one.
    pub(crate) fn integer(&mut self, key: &'static str) -> Result<Option<i64>, SpecError> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => value.as_i64().map(Some).ok_or_else(|| self.wrong(key, "an integer", value)),
        }
    }

    /// Takes an object, where there is one.
    pub(crate) fn object(&mut self, key: &'static str) -> Result<Option<Fields<'a>>, SpecError> {
        let path = self.path(key);
        self.value(key).map(|value| Fields::of(value, path)).transpose()
    }

    /// Takes a list, where there is one.
    pub(crate) fn list(&mut self, key: &'static str) -> Result<Option<&'a [Value]>, SpecError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong(key, "a list", other)),
        }
    }

    /// Takes a list of objects; absent is empty.
    pub(crate) fn objects(&mut self, key: &'static str) -> Result<Vec<Fields<'a>>, SpecError> {
        let items = self.list(key)?.unwrap_or_default();
        items
            .iter()
            .enumerate()
            .map(|(index, item)| Fields::of(item, self.path(&format!("{key}[{index}]"))))
            .collect()
    }

    /// Takes a list of texts; absent is empty.
    pub(crate) fn texts(&mut self, key: &'static str) -> Result<Vec<String>, SpecError> {
        let items = self.list(key)?.unwrap_or_default();
        let text = |(index, item): (usize, &Value)| match item.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(self.wrong(&format!("{key}[{index}]"), "a string", item)),
        };
        items.iter().enumerate().map(text).collect()
    }

    /// Takes a map of texts, as labels and annotations are; absent is empty.
    pub(crate) fn text_map(&mut self, key: &'static str) -> Result<BTreeMap<String, String>, SpecError> {
        let Some(fields) = self.object(key)? else { return Ok(BTreeMap::new()) };
        let text = |(name, value): (&String, &Value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            Value::Null => Ok((name.clone(), String::new())),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(SpecError::new(
                format!("{}[{name}]", fields.path),
                format!("must be a string, not {}", json::type_name(value)),
            )),
        };
        fields.map.iter().map(text).collect()
    }

    /// Refuses fields that have a meaning which this version lacks; one that states nothing is let through.
    pub(crate) fn unsupported(&mut self, keys: &[&'static str]) -> Result<(), SpecError> {
        for key in keys {
            if self.value(key).is_some_and(|value| !is_nothing(value)) {
                return Err(self.error(key, "is not supported"));
            }
        }
        Ok(())
    }

    /// Passes over fields that are of no matter here.
    pub(crate) fn ignore(&mut self, keys: &[&'static str]) {
        self.read.extend(keys);
    }

    /// Refuses what was not read.
    pub(crate) fn finish(self) -> Result<(), SpecError> {
        match self.map.keys().find(|key| !self.read.contains(key.as_str())) {
            Some(key) => Err(self.error(key, "unknown field")),
            None => Ok(()),
        }
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value) -> SpecError {
        self.error(key, format!("must be {expected}, not {}", json::type_name(found)))
    }
}

/// Tells whether a value states nothing: what Argo CD itself writes for a field that nobody set.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
    }
}
