//! Who owns which field of an object, as server-side apply decides it.
//!
//! All functions are pure: an object goes in as JSON with its `metadata.managedFields`, the new object comes out
//! with the new ones. The decisions are those of structured-merge-diff v6 under kube-apiserver 1.36. What belongs
//! to serving stays with the caller: conversion between versions, defaults, validation, `resourceVersion`.
//!
//! A kind's objects are described by a [`Type`]. One type stands for all versions of the kind.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::{Map, Value};

mod conflict;
mod element;
mod entries;
mod fields_v1;
mod from_schema;
mod last_applied;
mod set;
mod types;
mod walk;

#[cfg(test)]
mod tests;

pub use conflict::{Conflict, Conflicts};
pub use entries::ManagedFieldsError;
pub use fields_v1::FieldsV1Error;
pub use set::FieldSet;
pub use types::{Field, ListKind, ListType, MapType, Scalar, Type};

use entries::{Entries, Entry, Id, Operation};
use walk::{Changes, Duplicates, compare, equal, fields_of, merge, prune, validate};

/// Who owns what was there before the first apply to an object without `managedFields`.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// What is never owned.
static STRIPPED: LazyLock<FieldSet<'static>> = LazyLock::new(|| {
    FieldSet::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "clusterName"],
        &["metadata", "creationTimestamp"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "resourceVersion"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
    ])
});

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
    let valid = || [live, &new].into_iter().all(|object| validate(object, ty, Duplicates::Allowed).is_ok());
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

/// The changes of a write, as they count for the entries of each version.
///
/// What a write to the object itself does not reach is left out only for entries of the version that is written.
#[derive(Default)]
struct ChangesByVersion<'a> {
    own: Changes<'a>,
    /// What counts for entries of other versions, where that is something else.
    others: Option<Changes<'a>>,
    api_version: &'a str,
}

// === impl ChangesByVersion ===

impl<'a> ChangesByVersion<'a> {
    fn new(changes: Changes<'a>, writer: &Writer<'a>, reset: &FieldSet<'_>) -> Self {
        let same = reset.is_empty() || !writer.subresource.is_empty();
        let others = (!same).then(|| changes.clone());
        Self { own: changes.excluding(reset), others, api_version: writer.api_version }
    }

    fn of_entry(&self, entry: &Entry<'_>) -> &Changes<'a> {
        self.others.as_ref().filter(|_| entry.api_version != self.api_version).unwrap_or(&self.own)
    }

    /// The fields of other managers that the changes reach, by manager.
    fn conflicts<'e>(&self, entries: &Entries<'e>) -> Vec<(Id<'e>, FieldSet<'e>)> {
        let conflict = |entry: &Entry<'e>| {
            let changes = self.of_entry(entry);
            let modified = entry.set.intersection(&changes.modified);
            let set = modified.union(&entry.set.intersection(&changes.added));
            (!set.is_empty()).then(|| (entry.id.clone(), set))
        };
        entries.list.iter().filter_map(conflict).collect()
    }

    /// Takes from all managers what the changes wrote or removed.
    fn give_up(&self, entries: &mut Entries<'_>) {
        entries.list.retain_mut(|entry| {
            let changes = self.of_entry(entry);
            for lost in [&changes.modified, &changes.added, &changes.removed] {
                entry.set = std::mem::take(&mut entry.set).difference(lost);
            }
            !entry.set.is_empty()
        });
    }
}

/// Gives what a write other than an apply changed to its writer.
fn track<'a>(
    live: &'a Value,
    new: &'a Value,
    ty: &'a Type,
    writer: &Writer<'a>,
    reset: &FieldSet<'_>,
    mut entries: Entries<'a>,
) -> Result<Entries<'a>, ManagedFieldsError> {
    entries.open(ty)?;
    let changes = ChangesByVersion::new(compare(Some(live), Some(new), ty), writer, reset);
    changes.give_up(&mut entries);
    let set = changes.own.modified.union(&changes.own.added).difference(&STRIPPED);
    if !set.is_empty() {
        let id = Id::of(writer, Operation::Update);
        let set = match entries.take(&id) {
            Some(before) => set.union(&before.set),
            None => set,
        };
        entries.list.push(Entry::new(id, writer, Some(Cow::Borrowed(writer.time)), set));
    }
    entries.cap_updates();
    Ok(entries)
}

/// True if two objects are the same but for their `managedFields`.
fn equal_but_ownership(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return equal(a, b) };
    same_fields(a, b, "metadata", |a, b| match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) => same_fields(a, b, "managedFields", |_, _| true),
        _ => equal(a, b),
    })
}

/// True if two objects are the same; the field of this name is compared by its own rule where both have it.
fn same_fields(
    a: &Map<String, Value>,
    b: &Map<String, Value>,
    name: &str,
    rule: impl Fn(&Value, &Value) -> bool,
) -> bool {
    fn others<'m>(map: &'m Map<String, Value>, name: &str) -> impl Iterator<Item = (&'m String, &'m Value)> {
        map.iter().filter(move |(key, _)| *key != name)
    }
    let special = match (a.get(name), b.get(name)) {
        (Some(a), Some(b)) => rule(a, b),
        (None, None) => true,
        (Some(one), None) | (None, Some(one)) => rule(one, &Value::Null),
    };
    special
        && others(a, name).count() == others(b, name).count()
        && others(a, name).zip(others(b, name)).all(|((k, a), (l, b))| k == l && equal(a, b))
}

/// The entries that an update starts from.
fn updated_entries<'a>(
    live: &'a Value,
    said: Option<&'a Value>,
    ty: &Type,
    subresource: bool,
) -> Entries<'a> {
    let read = |list: &'a [Value]| {
        let mut entries = Entries::read(list, ty)?;
        entries.open(ty)?;
        Ok::<_, ManagedFieldsError>(entries)
    };
    let kept = || read(managed_fields(live)).unwrap_or_default();
    let said = said.and_then(Value::as_array);
    match said {
        Some(_) if subresource => kept(),
        Some(list) if is_reset(list) => Entries::default(),
        Some(list) => match read(list) {
            Ok(entries) if !entries.is_empty() => entries,
            Ok(_) | Err(_) => kept(),
        },
        None => kept(),
    }
}

/// True if the client asks to forget who owns what.
fn is_reset(list: &[Value]) -> bool {
    let blank = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    match list {
        [] => true,
        [Value::Object(entry)] => entry.values().all(blank),
        _ => false,
    }
}

fn uid(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("uid")?.as_str().filter(|uid| !uid.is_empty())
}

fn managed_fields(object: &Value) -> &[Value] {
    let list = object.get("metadata").and_then(|metadata| metadata.get("managedFields"));
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn take_managed_fields(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

fn set_managed_fields(object: &mut Value, list: Vec<Value>) {
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else { return };
    if list.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), Value::Array(list));
    }
}

/// An object as an error names it: `namespace/name; apps/v1, Kind=Deployment`.
fn title(object: &Value) -> String {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let meta = |name: &str| {
        object
            .get("metadata")
            .and_then(|metadata| metadata.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let version = text("apiVersion");
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{}/{}; {slash}{version}, Kind={}", meta("namespace"), meta("name"), text("kind"))
}
