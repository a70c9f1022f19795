//! Live objects as the oracle reads them: from their JSON, with none of the code under test.

use argosy_core::key::ResourceKey;
use argosy_sim::cluster::Object;
use serde_json::Value;

use super::super::keys::INSTALLATION;
use super::super::objects::{self, Piece};

/// Who an object says that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Mark {
    /// Nobody.
    None,
    /// An app of ours; whether the object that is named is this one.
    Ours { itself: bool },
    /// Another tool.
    Other(&'static str),
}

/// Reads the mark of an object.
pub(in super::super) fn mark(object: &Value, key: &ResourceKey) -> Mark {
    let annotations = object.pointer("/metadata/annotations");
    let annotation = |name: &str| annotations?.get(name)?.as_str();
    match (annotation("argocd.argoproj.io/tracking-id"), annotation("argosy.dev/installation-id")) {
        (Some(id), Some(installation)) if installation == INSTALLATION.to_string() => {
            let names = format!(":{}/{}:{}/{}", key.group, key.kind, key.namespace, key.name);
            Mark::Ours { itself: id.ends_with(&names) }
        }
        (Some(_), Some(_)) => Mark::Other("another installation"),
        (Some(_), None) => Mark::Other("Argo CD"),
        (None, _) if annotation("meta.helm.sh/release-name").is_some() => Mark::Other("Helm"),
        (None, _) => Mark::None,
    }
}

/// Gives the UID of an object and its mark.
pub(in super::super) fn look(object: &Object, key: &ResourceKey) -> (String, Mark) {
    (object.uid().to_owned(), mark(&object.bare(), key))
}

/// Tells whether an object says all that a piece of Git says, and maybe more; a webhook may have changed what it tunes.
pub(in super::super) fn says(object: &Value, rendered: &ResourceKey, piece: Piece, tuned: bool) -> bool {
    let mut meant = meant(rendered, piece);
    if tuned {
        for part in ["data", "spec"] {
            if let Some(part) = meant.get_mut(part).and_then(Value::as_object_mut) {
                part.remove("tuned");
            }
        }
    }
    has(object, &meant)
}

/// Gives what a piece of Git says of its object, but for where and in which version that is.
pub(super) fn meant(rendered: &ResourceKey, piece: Piece) -> Value {
    let mut meant: Value = serde_json::from_slice(&objects::manifest(rendered, piece)).unwrap_or_default();
    if let Some(map) = meant.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
    }
    if let Some(metadata) = meant.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("namespace");
        // What speaks to us is not sent with a part.
        if rendered.is_part() {
            metadata.remove("annotations");
        }
    }
    meant
}

/// Tells whether a value has everything that another one has. Items of lists are found by their names, or as they are.
fn has(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(all), Value::Object(part)) => {
            part.iter().all(|(field, part)| all.get(field).is_some_and(|value| has(value, part)))
        }
        (Value::Array(all), Value::Array(part)) => part.iter().all(|item| match item.get("name") {
            Some(name) => all.iter().any(|one| one.get("name") == Some(name) && has(one, item)),
            None => all.contains(item),
        }),
        (value, part) => value == part,
    }
}
