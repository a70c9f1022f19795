//! What a write changes, and what that means for who owns what.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde_json::Value;

use super::entries::{Entries, Entry, Id, Operation};
use super::object::managed_fields;
use super::set::FieldSet;
use super::types::Type;
use super::walk::{Changes, compare};
use super::{ManagedFieldsError, Writer};

/// What is never owned.
pub(super) static STRIPPED: LazyLock<FieldSet<'static>> = LazyLock::new(|| {
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

/// The changes of a write, as they count for the entries of each version.
///
/// What a write to the object itself does not reach is left out only for entries of the version that is written.
#[derive(Default)]
pub(super) struct ChangesByVersion<'a> {
    own: Changes<'a>,
    /// What counts for entries of other versions, where that is something else.
    others: Option<Changes<'a>>,
    api_version: &'a str,
}

// === impl ChangesByVersion ===

impl<'a> ChangesByVersion<'a> {
    pub(super) fn new(changes: Changes<'a>, writer: &Writer<'a>, reset: &FieldSet<'_>) -> Self {
        let same = reset.is_empty() || !writer.subresource.is_empty();
        let others = (!same).then(|| changes.clone());
        Self { own: changes.excluding(reset), others, api_version: writer.api_version }
    }

    fn of_entry(&self, entry: &Entry<'_>) -> &Changes<'a> {
        self.others.as_ref().filter(|_| entry.api_version != self.api_version).unwrap_or(&self.own)
    }

    /// The fields of other managers that the changes reach, by manager.
    pub(super) fn conflicts<'e>(&self, entries: &Entries<'e>) -> Vec<(Id<'e>, FieldSet<'e>)> {
        let conflict = |entry: &Entry<'e>| {
            let changes = self.of_entry(entry);
            let modified = entry.set.intersection(&changes.modified);
            let set = modified.union(&entry.set.intersection(&changes.added));
            (!set.is_empty()).then(|| (entry.id.clone(), set))
        };
        entries.list.iter().filter_map(conflict).collect()
    }

    /// Takes from all managers what the changes wrote or removed.
    pub(super) fn give_up(&self, entries: &mut Entries<'_>) {
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
pub(super) fn track<'a>(
    live: &'a Value,
    new: &'a Value,
    ty: &'a Type,
    writer: &Writer<'a>,
    reset: &FieldSet<'_>,
    mut entries: Entries<'a>,
) -> Result<Entries<'a>, ManagedFieldsError> {
    entries.check_versions(ty)?;
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

/// The entries that an update starts from.
pub(super) fn updated_entries<'a>(
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
