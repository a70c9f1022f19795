//! The objects of files.

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::health::Surroundings;
use argosy_core::json;
use argosy_core::key::{GroupKind, ResourceKey, split_api_version};
use argosy_core::yaml::{self, Document, Limits};
use serde_json::Value;

use crate::failure::Failure;

/// What a file may hold: live objects of a whole cluster, in one list.
const LIMITS: Limits = Limits {
    file_bytes: 255 << 20,
    document_bytes: 255 << 20,
    documents: 100_000,
    depth: 120,
    alias_bytes: 1 << 20,
};
/// What to do about a file that holds something else.
const REMEDY: &str = "give live objects as `kubectl get -o yaml` or `-o json` prints them";

/// Objects in the order of their files.
#[derive(Debug, Default)]
pub(in crate::command) struct Objects {
    all: Vec<(ResourceKey, Value)>,
    by_key: BTreeMap<ResourceKey, usize>,
    kinds: BTreeSet<GroupKind>,
}

// === impl Objects ===

impl Objects {
    /// Reads the objects of a file; gives what is odd about it.
    pub(in crate::command) fn read(&mut self, file: &str, bytes: &[u8]) -> Result<Vec<String>, Failure> {
        let documents =
            documents(bytes).map_err(|error| Failure::Usage(format!("{file}, {error}; {REMEDY}")))?;
        if documents.is_empty() {
            return Err(Failure::Usage(format!("{file} holds no object; {REMEDY}")));
        }
        let mut warnings = Vec::new();
        for Document { index, line, value, warnings: odd } in documents {
            warnings.extend(odd.iter().map(|odd| {
                format!("{file}, document {index}, line {}: {}: {}", odd.line, odd.field, odd.message)
            }));
            self.add(value, None).map_err(|why| {
                Failure::Usage(format!("{file}, document {index}, line {line}: {why}; {REMEDY}"))
            })?;
        }
        Ok(warnings)
    }

    /// Gives all objects.
    pub(in crate::command) fn into_all(self) -> Vec<(ResourceKey, Value)> {
        self.all
    }

    /// Goes through all objects.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(ResourceKey, Value)> {
        self.all.iter()
    }

    /// Adds an object, or all of a list. Items of a typed list state no kind: it is the list's.
    fn add(&mut self, mut value: Value, of_list: Option<(&str, &str)>) -> Result<(), String> {
        if !value.is_object() {
            return Err(format!("must be an object, not {}", json::type_name(&value)));
        }
        let (kind, api_version) = match (text(&value, &["kind"]), text(&value, &["apiVersion"]), of_list) {
            (Some(kind), Some(api_version), _) | (None, _, Some((kind, api_version))) => {
                (kind.to_owned(), api_version.to_owned())
            }
            (None, _, None) => return Err("kind: is missing".to_owned()),
            (Some(_), None, _) => return Err("apiVersion: is missing".to_owned()),
        };
        if kind.ends_with("List")
            && let Some(items) = value.get_mut("items").map(Value::take)
        {
            return self.add_items(items, &kind, &api_version);
        }
        let (group, _version) = split_api_version(&api_version);
        let name = text(&value, &["metadata", "name"])
            .or_else(|| text(&value, &["metadata", "generateName"]))
            .ok_or("metadata.name: is missing")?;
        let namespace = match json::at(&value, &["metadata", "namespace"]) {
            None | Some(Value::Null) => "",
            Some(Value::String(namespace)) => namespace,
            Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
                return Err(format!("metadata.namespace: must be a string, not {}", json::type_name(other)));
            }
        };
        let key = ResourceKey::new(group, kind, namespace, name);
        self.kinds.insert(key.group_kind());
        self.by_key.insert(key.clone(), self.all.len());
        self.all.push((key, value));
        Ok(())
    }

    fn add_items(&mut self, items: Value, kind: &str, api_version: &str) -> Result<(), String> {
        let items = match items {
            Value::Array(items) => items,
            Value::Null => Vec::new(),
            other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                return Err(format!("items: must be a list, not {}", json::type_name(&other)));
            }
        };
        let of_list = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
        let of_list = of_list.map(|kind| (kind, api_version));
        for (index, item) in items.into_iter().enumerate() {
            self.add(item, of_list).map_err(|why| format!("items[{index}]: {why}"))?;
        }
        Ok(())
    }
}

impl Surroundings for Objects {
    fn object(&self, key: &ResourceKey) -> Option<&Value> {
        self.by_key.get(key).and_then(|index| self.all.get(*index)).map(|(_, object)| object)
    }

    /// Files that hold no object of a kind say nothing of whether there is one.
    fn of_kind(&self, kind: &GroupKind) -> Option<Vec<&Value>> {
        self.kinds.contains(kind).then(|| {
            let of_kind = self.all.iter().filter(|(key, _)| key.group_kind() == *kind);
            of_kind.map(|(_, object)| object).collect()
        })
    }
}

/// Gives text that is there and not empty.
fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    json::text_at(value, path).filter(|text| !text.is_empty())
}

/// Reads documents; what begins like JSON is read as JSON first, which is faster and has the same meaning.
fn documents(bytes: &[u8]) -> Result<Vec<Document>, yaml::YamlError> {
    let begins = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if begins == Some(&b'{')
        && let Ok(document) = yaml::parse_json(bytes, &LIMITS)
    {
        return Ok(vec![document]);
    }
    yaml::parse_documents(bytes, &LIMITS)
}
