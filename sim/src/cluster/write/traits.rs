//! What is to be known of a write beside the object that it makes.

use serde_json::{Map, Value};

use super::super::call::{Call, Subresource};
use super::super::status::Cause;
use crate::kinds::Resource;

/// What is to be known of a write and cannot be seen in what it makes.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Traits {
    /// Whether it is kept in a form that the next write will not leave as it is.
    pub(super) untidy: bool,
    /// Whether it was sent without labels.
    pub(super) unlabelled: bool,
    /// Which of `binaryData` and `data` were sent without anything in them.
    empty: [bool; 2],
}

/// Fields of bytes that may not change of an object that is immutable.
const BYTES: [(&str, &str); 2] = [("configmaps", "binaryData"), ("secrets", "data")];

// === impl Traits ===

impl Traits {
    /// Gives those of a body that was not read yet.
    pub(super) fn of(body: &Value) -> Self {
        let empty =
            BYTES.map(|(_, field)| body.get(field).and_then(Value::as_object).is_some_and(Map::is_empty));
        Self { untidy: false, unlabelled: is_blank(body, "labels").unwrap_or(true), empty }
    }

    /// Gives those of an object that an apply merged: empty metadata of a custom resource are kept as they are, unless it
    /// is converted to be kept.
    pub(super) fn of_merged(call: &Call<'_>, merged: &Value) -> Self {
        let resource = call.resource;
        let fields = ["annotations", "finalizers", "labels", "ownerReferences"];
        let metadata = merged.get("metadata");
        let null = |field: &str| metadata.and_then(|metadata| metadata.get(field)) == Some(&Value::Null);
        let blank = || fields.iter().any(|field| null(field) || is_blank(merged, field) == Some(true));
        // A write of the status leaves the metadata what they were.
        let direct = call.subresource == Subresource::None
            && resource.custom().is_some_and(|custom| custom.storage_version == resource.version);
        Self { untidy: direct && blank(), ..Self::of(merged) }
    }

    /// Gives what is wrong if an immutable object was sent with nothing in a field that it did not have: nothing is
    /// something else there.
    pub(super) fn emptied(self, resource: &Resource, new: &Value, old: &Value) -> Option<Cause> {
        let ((_, field), empty) =
            BYTES.iter().zip(self.empty).find(|((plural, _), _)| resource.is("", plural))?;
        let absent = new.get(*field).is_none() && old.get(*field).is_none();
        (empty && absent && old.get("immutable") == Some(&Value::Bool(true)))
            .then(|| Cause::forbidden(*field, "field is immutable when `immutable` is set"))
    }
}

/// Tells whether a list or map of the metadata is empty, if it is there.
fn is_blank(object: &Value, field: &str) -> Option<bool> {
    match object.get("metadata")?.get(field)? {
        Value::Array(list) => Some(list.is_empty()),
        Value::Object(map) => Some(map.is_empty()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
