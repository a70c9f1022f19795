//! Who owns which field of an object, as server-side apply decides it.
//!
//! All functions are pure: an object goes in as JSON with its `metadata.managedFields`, the new object comes out
//! with the new ones. The decisions are those of structured-merge-diff v6 under kube-apiserver 1.36. What belongs
//! to serving stays with the caller: conversion between versions, defaults, validation, `resourceVersion`.
//!
//! A kind's objects are described by a [`Type`]. One type stands for all versions of the kind.

use std::borrow::Cow;

use serde_json::Value;

mod conflict;
mod element;
mod entries;
mod fields_v1;
mod from_schema;
mod last_applied;
mod object;
mod set;
mod track;
mod types;
mod walk;

#[cfg(test)]
mod tests;

pub use conflict::{Conflict, Conflicts};
pub use entries::ManagedFieldsError;
pub use fields_v1::FieldsV1Error;
pub use set::FieldSet;
pub use types::{Field, ListKind, ListType, MapType, ResourceType, Scalar, Type};

use entries::{Entries, Entry, Id, Operation};
use object::{
    equal_but_ownership, managed_fields, same_fields, set_managed_fields, take_managed_fields, title, uid,
};
use track::{ChangesByVersion, STRIPPED, track, updated_entries};
use walk::{Duplicates, compare, fields_of, merge, prune, validate};

/// Who owns what was there before the first apply to an object without `managedFields`.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes, and when.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The field manager; empty is `unknown`.
    pub manager: &'a str,
    /// The version in which the object is written.
    pub api_version: &'a str,
    /// The subresource that is written; empty is the object itself.
    pub subresource: &'a str,
    /// The time of the write: RFC 3339 in whole seconds, UTC.
    pub time: &'a str,
}

/// Why an apply is refused.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Other managers own fields that would change: 409 with a cause for each.
    #[error("{}", .0.message())]
    Conflicts(Conflicts),
    /// The request itself is wrong: 400.
    #[error("{0}")]
    BadRequest(String),
    /// The configuration or the live object does not fit the type, for which the API server answers 500.
    #[error("{0}")]
    Type(String),
    /// The live object's `managedFields` cannot be read: 500.
    #[error("failed to decode managed fields: {0}")]
    ManagedFields(#[from] ManagedFieldsError),
}

/// Applies a configuration as server-side apply does: the merged object with its new `managedFields`.
///
/// `live` is the object that is there, `None` for a creation. `reset` are the fields that a write to this
/// (sub)resource does not reach: they are neither owned nor in conflict. An apply that changes nothing gives the
/// live object as it is, its times included, but for who owns what.
///
/// The caller has checked that the configuration is of the kind and version of the live object.
pub fn apply(
    live: Option<&Value>,
    config: &Value,
    ty: &Type,
    writer: &Writer<'_>,
    force: bool,
    reset: &FieldSet<'_>,
) -> Result<Value, ApplyError> {
    if config.pointer("/metadata/managedFields").is_some_and(|entries| !entries.is_null()) {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    validate(config, ty, Duplicates::Refused).map_err(|error| {
        ApplyError::Type(format!("failed to create typed patch object ({}): {error}", title(config)))
    })?;
    let live = live.unwrap_or(ty.empty());
    validate(live, ty, Duplicates::Allowed).map_err(|error| {
        ApplyError::Type(format!("failed to create typed live object ({}): {error}", title(live)))
    })?;
    let entries = Entries::read(managed_fields(live), ty)?;
    entries.check_versions(ty).map_err(|error| ApplyError::Type(error.to_string()))?;
    let mut application = Application { live, config, ty, writer, reset, entries };
    if application.entries.is_empty() && uid(live).is_some() {
        application.adopt()?;
    }
    application.run(force)
}

/// Writes the `managedFields` of a create, update or patch into the new object.
///
/// `live` and `reset` are as for [`apply`]. The new object's own `managedFields` count as the client's say: none
/// leaves the live ones in force, `[]` or `[{}]` drops them.
pub fn update(
    live: Option<&Value>,
    mut new: Value,
    ty: &Type,
    writer: &Writer<'_>,
    reset: &FieldSet<'_>,
) -> Value {
    let said = take_managed_fields(&mut new);
    let live = live.unwrap_or(ty.empty());
    let entries = updated_entries(live, said.as_ref(), ty, !writer.subresource.is_empty());
    // Who owned nothing that is known goes on so; only a new object starts to be tracked.
    let tracked = !entries.is_empty() || uid(live).is_none();
    // For owners of other versions the object is read in those as well, and then strictly.
    let duplicates = if entries.list.iter().all(|entry| entry.api_version == writer.api_version) {
        Duplicates::Allowed
    } else {
        Duplicates::Refused
    };
    let valid = || [live, &new].into_iter().all(|object| validate(object, ty, duplicates).is_ok());
    // What cannot be tracked is not: the API server drops the ownership and lets the write go on.
    let list = if tracked && valid() {
        track(live, &new, ty, writer, reset, entries).map(Entries::write).unwrap_or_default()
    } else {
        Vec::new()
    };
    set_managed_fields(&mut new, list);
    new
}

/// Gives back the live object's times where nothing else has changed, so that a write of nothing stays one.
///
/// To be called once defaults are filled in and the fields that the write does not reach are those of the live
/// object again, and before validation. True if the new object is now the live one.
pub fn settle(live: &Value, new: &mut Value) -> bool {
    let same_entry = |a: &Value, b: &Value| match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) => same_fields(a, b, "time", |_, _| true),
        _ => a == b,
    };
    let (before, after) = (managed_fields(live), managed_fields(new));
    let same = before.len() == after.len()
        && before.iter().zip(after).all(|(a, b)| same_entry(a, b))
        && equal_but_ownership(live, new);
    if same {
        set_managed_fields(new, before.to_vec());
    }
    same
}

/// One apply on its way.
struct Application<'a> {
    live: &'a Value,
    config: &'a Value,
    ty: &'a Type,
    writer: &'a Writer<'a>,
    reset: &'a FieldSet<'a>,
    entries: Entries<'a>,
}

// === impl Application ===

impl Application<'_> {
    /// Gives all that is there to a manager of its own: nobody is known to own it.
    fn adopt(&mut self) -> Result<(), ManagedFieldsError> {
        let writer = Writer { manager: BEFORE_FIRST_APPLY, ..*self.writer };
        let nobody = Entries::default();
        self.entries = track(self.ty.empty(), self.live, self.ty, &writer, self.reset, nobody)?;
        Ok(())
    }

    fn run(self, force: bool) -> Result<Value, ApplyError> {
        let Self { live, config, ty, writer, reset, mut entries } = self;
        let id = Id::of(writer, Operation::Apply);
        let mut last = entries.take(&id);
        if let Some(last) = &mut last {
            last.open(ty)?;
        }
        let set = fields_of(config, ty).recursive_difference(reset);

        let mut merged = merge(Some(live), config, ty);
        take_managed_fields(&mut merged);
        if let Some(last) = &last
            && !last.set.is_subset(&set)
        {
            entries.open(ty)?;
            let others: Vec<_> = entries.list.iter().map(|entry| &entry.set).collect();
            prune(&mut merged, ty, &last.set, &set, &others);
        }

        let unchanged = equal_but_ownership(live, &merged);
        if !unchanged {
            entries.open(ty)?;
        }
        let changes = if unchanged {
            ChangesByVersion::default()
        } else {
            ChangesByVersion::new(compare(Some(live), Some(&merged), ty), writer, reset)
        };
        let sets = if force { Vec::new() } else { changes.conflicts(&entries) };
        if !sets.is_empty() && !last_applied::allows(live, ty, writer, &sets) {
            return Err(ApplyError::Conflicts(last_applied::remaining(live, ty, writer, sets)));
        }
        if !unchanged {
            changes.give_up(&mut entries);
        }

        let time = if unchanged { last.and_then(|last| last.time) } else { Some(Cow::Borrowed(writer.time)) };
        let set = set.difference(&STRIPPED);
        if !set.is_empty() {
            entries.list.push(Entry::new(id, writer, time, set));
        }
        let list = entries.write();
        drop(changes);
        last_applied::renew(&mut merged, config, writer);
        set_managed_fields(&mut merged, list);
        Ok(merged)
    }
}
