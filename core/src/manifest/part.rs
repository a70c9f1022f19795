//! Parts: manifests that state a slice of an object that somebody else has, and what none may state.

use serde_json::{Map, Value};

use super::ManifestError;
use super::annotations::{ObjectOptions, has_meaning};
use super::hook::Role;
use crate::json;
use crate::key::is_part_name;
use crate::tracking::PART;

/// Labels and annotations of our own: a part marks no object as ours.
const OWN: &str = "argosy.dev/";

/// Reads which part of its object a manifest states; empty for the whole. What makes no sense of a part is refused.
pub(super) fn read(
    object: &Map<String, Value>,
    options: &ObjectOptions,
    nameless: bool,
) -> Result<String, ManifestError> {
    let metadata = object.get("metadata").and_then(Value::as_object);
    let map = |name: &str| metadata.and_then(|metadata| metadata.get(name)).and_then(Value::as_object);
    let annotation = |name: &str| format!("metadata.annotations[{name}]");
    let refuse = |why: &str| Err(ManifestError::new(annotation(PART), why));
    // Whoever means a part and writes another word would take over the whole.
    let meant = |name: &&String| **name != PART && name.to_ascii_lowercase().starts_with(PART);
    if let Some(slip) = map("annotations").and_then(|annotations| annotations.keys().find(meant)) {
        let why = format!("says nothing to Argosy; the annotation that names a part is {PART}");
        return Err(ManifestError::new(annotation(slip), why));
    }
    let name = match map("annotations").and_then(|annotations| annotations.get(PART)) {
        None => return Ok(String::new()),
        Some(Value::String(name)) => name,
        Some(other) => return refuse(&format!("must be a string, not {}", json::type_name(other))),
    };
    if !is_part_name(name) {
        return refuse(&format!("{name:?} is no DNS label of at most 40 characters"));
    }
    if nameless {
        return refuse("needs metadata.name: a part is of an object that is there");
    }
    match options.role {
        Role::Resource | Role::Ignored => {}
        Role::Hook(_) => {
            return refuse("is not supported of a hook: a hook is a whole object; take one of the two out");
        }
        Role::Skipped => return refuse("is not supported of what no sync applies; take one of the two out"),
    }
    for (name, asked) in [("Replace=true", options.replace), ("Force=true", options.force)] {
        if asked == Some(true) {
            return refuse(&format!(
                "is not supported with sync option {name}: a part never takes the place of its object"
            ));
        }
    }
    if is_document(object) {
        return refuse("is not supported of documents of the fleet; state the whole document");
    }
    for (maps, own) in [("labels", map("labels")), ("annotations", map("annotations"))] {
        if let Some(own) =
            own.into_iter().flat_map(Map::keys).find(|name| name.starts_with(OWN) && *name != PART)
        {
            let field = format!("metadata.{maps}[{own}]");
            return Err(ManifestError::new(field, "is Argosy's own; a part marks no object, take it out"));
        }
    }
    if !states_something(object) {
        return refuse("states nothing of its object but its name");
    }
    Ok(name.clone())
}

fn is_document(object: &Map<String, Value>) -> bool {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    text("apiVersion").starts_with("argoproj.io/") && ["Application", "AppProject"].contains(&text("kind"))
}

/// Tells whether an annotation speaks of the part itself, to us: it is not sent.
pub(crate) fn is_about_part(annotation: &str) -> bool {
    annotation == PART || has_meaning(annotation)
}

/// Tells whether anything is stated besides which object it is.
fn states_something(object: &Map<String, Value>) -> bool {
    let beyond =
        |map: &Map<String, Value>, names: &[&str]| map.keys().any(|name| !names.contains(&name.as_str()));
    let metadata = object.get("metadata").and_then(Value::as_object);
    beyond(object, &["apiVersion", "kind", "metadata", "status"])
        || metadata.is_some_and(|metadata| {
            let annotations = metadata.get("annotations").and_then(Value::as_object);
            let more = annotations.is_some_and(|map| map.keys().any(|name| !is_about_part(name)));
            let known = ["name", "namespace", "annotations", "labels", "ownerReferences"];
            let known: Vec<&str> = known.into_iter().chain(super::SERVER_METADATA).collect();
            let labels = metadata.get("labels").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
            more || labels || beyond(metadata, &known)
        })
}
