//! What the kinds do to objects that are written, in one place for built-in kinds and those of definitions.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::fill::{fill, inside, made, text};
use super::{
    Origin, Resource, decode, defaults, merging, metadata, prepare, strategies, validation, warnings,
};
use crate::cluster::{Cause, Subresource};
use crate::ownership::{FieldSet, Type};
use crate::patch::Strategy;

/// Brings an object to the form of its kind; gives the paths of the fields that the kind does not have.
pub(crate) fn decode(resource: &Resource, object: &mut Value) -> Result<Vec<String>, String> {
    match &resource.origin {
        Origin::BuiltIn(name) => Ok(decode::decode(object, name)?.unknown),
        Origin::Definition(custom) => {
            let mut unknown = custom.prune(object);
            if let Some(metadata) = object.get_mut("metadata") {
                let found = decode::decode(metadata, "meta.ObjectMeta")?.unknown;
                // The metadata are looked at first.
                unknown.splice(0..0, found.into_iter().map(|path| format!("metadata.{path}")));
            }
            Ok(unknown)
        }
    }
}

/// Brings an object that an apply made to the form of its kind: as [`decode`], but nulls in objects of definitions stay
/// for validation to judge.
pub(crate) fn decode_applied(resource: &Resource, object: &mut Value) -> Result<(), String> {
    match &resource.origin {
        Origin::BuiltIn(name) => decode::decode(object, name).map(|_nothing_unknown| ()),
        Origin::Definition(custom) => {
            custom.prune_applied(object);
            let Some(metadata) = object.get_mut("metadata") else { return Ok(()) };
            decode::decode(metadata, "meta.ObjectMeta").map(|_nothing_unknown| ())
        }
    }
}

/// Gives an object of the kind without anything in it.
pub(crate) fn empty(resource: &Resource) -> Value {
    let mut object = json!({"apiVersion": resource.api_version(), "kind": resource.kind, "metadata": {}});
    if let Origin::BuiltIn(name) = &resource.origin {
        // Nothing can be wrong with nothing.
        let _nothing = decode::decode(&mut object, name);
    }
    object
}

/// Fills in what the kind says.
pub(crate) fn default(resource: &Resource, object: &mut Value) {
    match &resource.origin {
        Origin::BuiltIn(_) => defaults::of(resource, object),
        Origin::Definition(custom) => custom.default(object),
    }
}

/// Gives how objects of the kind merge.
pub(crate) fn merging(resource: &Resource) -> Arc<Type> {
    match &resource.origin {
        Origin::BuiltIn(name) => merging::of(name),
        Origin::Definition(custom) => custom.merging(),
    }
}

/// Gives how objects of the kind merge in the version in which they are kept: by it is found who owns what after a write
/// that is no apply.
pub(crate) fn kept_merging(resource: &Resource) -> Arc<Type> {
    match resource.custom() {
        Some(custom) => custom.kept_merging.clone(),
        None => merging(resource),
    }
}

/// Gives how a strategic merge patch merges objects of the kind; there is none for those of definitions.
pub(crate) fn strategy(resource: &Resource) -> Option<Arc<Strategy>> {
    match &resource.origin {
        Origin::BuiltIn(name) => Some(strategies::of(name)),
        Origin::Definition(_) => None,
    }
}

/// Tells whether the status of the kind's objects is written apart.
pub(crate) fn has_status(resource: &Resource) -> bool {
    resource.subresource("status").is_some()
}

/// Gives the fields that a write to a part of an object does not reach.
pub(crate) fn reset(resource: &Resource, subresource: Subresource) -> FieldSet<'static> {
    match (subresource, resource.custom()) {
        (Subresource::Status, Some(_)) => FieldSet::of_fields(&[&["metadata"], &["spec"]]),
        (Subresource::Status, None) if keeps_labels(resource) => {
            FieldSet::of_fields(&[&["metadata", "labels"], &["spec"]])
        }
        (Subresource::Status, None) => FieldSet::of_fields(&[&["spec"]]),
        _ if has_status(resource) => FieldSet::of_fields(&[&["status"]]),
        _ => FieldSet::default(),
    }
}

/// Brings an object to the form in which it is kept.
pub(crate) fn conform(resource: &Resource, object: &mut Value) {
    match &resource.origin {
        Origin::BuiltIn(name) => decode::forget_empty_lists(object, name),
        Origin::Definition(custom) if custom.storage_version != resource.version => custom.conform(object),
        Origin::Definition(_) => {}
    }
}

/// Makes an object ready to be created.
pub(crate) fn prepare_create(resource: &Resource, object: &mut Value, now: &str) {
    if let (Some(map), true) = (object.as_object_mut(), has_status(resource)) {
        match empty(resource).get("status") {
            Some(status) => map.insert("status".to_owned(), status.clone()),
            None => map.remove("status"),
        };
    }
    if resource.habits.generation
        && let Some(metadata) = metadata::of(object)
    {
        metadata.insert("generation".to_owned(), 1.into());
    }
    prepare::create(resource, object, now);
}

/// Makes an object ready to replace another one, written to a part of it.
pub(crate) fn prepare_update(resource: &Resource, new: &mut Value, old: &Value, subresource: Subresource) {
    if let Some(metadata) = metadata::of(new) {
        for field in ["name", "namespace", "uid", "creationTimestamp", "generateName"] {
            let before = metadata::text(old, field);
            if !before.is_empty() {
                fill(metadata, field, before);
            }
        }
        metadata.remove("selfLink");
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
            match old.get("metadata").and_then(|metadata| metadata.get(field)) {
                Some(before) => metadata.insert(field.to_owned(), before.clone()),
                None => metadata.remove(field),
            };
        }
    }
    if subresource == Subresource::Status {
        keep_all_but_status(resource, new, old);
    } else if has_status(resource)
        && let Some(map) = new.as_object_mut()
    {
        match old.get("status") {
            Some(status) => map.insert("status".to_owned(), status.clone()),
            None => map.remove("status"),
        };
    }
    prepare::update(resource, new, old, subresource);
    let other = |field: &str| {
        let value = |object: &Value| object.get("metadata").and_then(|metadata| metadata.get(field)).cloned();
        subresource == Subresource::None && value(new) != value(old)
    };
    let described = resource.is("apps", "deployments") && other("annotations")
        || resource.is("discovery.k8s.io", "endpointslices") && other("labels");
    // That of a class of priority stays what it was at first.
    let counts = resource.habits.generation && !resource.is("scheduling.k8s.io", "priorityclasses");
    if counts && (described || desires_differ(new, old)) {
        let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        if let Some(metadata) = metadata::of(new) {
            metadata.insert("generation".to_owned(), (generation + 1).into());
        }
    }
}

fn keep_all_but_status(resource: &Resource, new: &mut Value, old: &Value) {
    let Some(map) = new.as_object_mut() else { return };
    let status = map.get("status").cloned();
    let mut kept = old.clone();
    let Some(into) = kept.as_object_mut() else { return };
    match status {
        Some(status) => into.insert("status".to_owned(), status),
        None => into.remove("status"),
    };
    // The metadata may be written with the status, but for labels of some kinds.
    let mut metadata = map.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    let before = old.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
    if resource.custom().is_some() {
        let mut stated = std::mem::replace(&mut metadata, before);
        // The version is what the writer took the object to be at.
        for field in ["managedFields", "resourceVersion"] {
            match stated.remove(field) {
                Some(value) => metadata.insert(field.to_owned(), value),
                None => metadata.remove(field),
            };
        }
    } else if keeps_labels(resource) {
        match before.get("labels") {
            Some(labels) => metadata.insert("labels".to_owned(), labels.clone()),
            None => metadata.remove("labels"),
        };
    }
    into.insert("metadata".to_owned(), metadata.into());
    *new = kept;
}

/// Tells whether a write of the status leaves the labels of the kind's objects as they are.
fn keeps_labels(resource: &Resource) -> bool {
    resource.is("apps", "deployments")
}

/// Tells whether two objects differ in what is desired: all but metadata and status.
fn desires_differ(new: &Value, old: &Value) -> bool {
    let desires = |object: &Value| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        fields
            .filter(|(field, _)| !matches!(field.as_str(), "metadata" | "status" | "apiVersion" | "kind"))
            // An empty list is kept as nothing.
            .filter(|(_, value)| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect()
    };
    desires(new) != desires(old)
}

/// Finds what is wrong with an object that was written to a part of it; `old` is what it replaces.
pub(crate) fn validate(
    resource: &Resource,
    object: &Value,
    old: Option<&Value>,
    subresource: Subresource,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(old) = old {
        causes.extend(metadata::validate_update(object, old));
    }
    causes.extend(metadata::validate(resource, object));
    match &resource.origin {
        Origin::BuiltIn(_) => causes.extend(validation::of(resource, object, old, subresource)),
        Origin::Definition(custom) => causes.extend(custom.validate(object, old)),
    }
    causes
}

/// Gives what the writer of an object is warned of; `old` is what it replaces.
pub(crate) fn warn(
    resource: &Resource,
    object: &Value,
    old: Option<&Value>,
    subresource: Subresource,
) -> Vec<String> {
    warnings::of(resource, object, old, subresource)
}

/// Gives a spec's map, for those that need it made.
pub(crate) fn spec(object: &mut Value) -> Option<&mut Map<String, Value>> {
    made(object.as_object_mut()?, "spec")
}

/// Gives a text in an object's spec; empty if it is not there.
pub(crate) fn spec_text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("spec").and_then(Value::as_object).map(|spec| text(spec, field)).unwrap_or_default()
}

/// Gives an object's status to change, if it has one.
pub(crate) fn status(object: &mut Value) -> Option<&mut Map<String, Value>> {
    inside(object.as_object_mut()?, "status")
}
