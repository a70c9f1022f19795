//! The entries of `metadata.managedFields`: who owns which fields.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Writer;
use super::fields_v1::FieldsV1Error;
use super::set::FieldSet;
use super::types::Type;
use super::walk::{is_outdated, reconcile};
use crate::golang;

/// How many entries of updates an object keeps; older ones are put together.
const MAX_UPDATE_ENTRIES: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// Why `managedFields` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManagedFieldsError {
    /// An entry is of another operation than `Apply` and `Update`.
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    /// An entry has no version.
    #[error("apiVersion must not be empty")]
    ApiVersion,
    /// An entry does not say what its fields are.
    #[error("missing fieldsType in managed fields entry {0}")]
    MissingFieldsType(usize),
    /// An entry has fields of a form that is not known.
    #[error("invalid fieldsType {} in managed fields entry {index}", golang::quoted(found))]
    FieldsType {
        /// The place of the entry.
        index: usize,
        /// What it says.
        found: String,
    },
    /// An entry is of a version that the kind does not have any more.
    #[error("request to convert CR to an invalid group/version: {0}")]
    UnknownVersion(String),
    /// The fields of an entry cannot be read.
    #[error("error decoding set: {0}")]
    Fields(#[from] FieldsV1Error),
}

/// How a manager came to own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// One manager with what it owns.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    pub(crate) id: Id<'a>,
    pub(crate) api_version: Cow<'a, str>,
    pub(crate) time: Option<Cow<'a, str>>,
    /// What is owned; empty as long as the entry is closed.
    pub(crate) set: FieldSet<'a>,
    /// The set as it is written, of an entry that nobody has had to look into.
    closed: Option<&'a Value>,
}

/// What tells one manager's entry apart. For applies the version is no part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id<'a> {
    pub(crate) manager: Cow<'a, str>,
    pub(crate) operation: Operation,
    pub(crate) update_version: Cow<'a, str>,
    pub(crate) subresource: Cow<'a, str>,
}

/// All entries of an object, each manager once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entries<'a> {
    pub(crate) list: Vec<Entry<'a>>,
}

// === impl Operation ===

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

// === impl Id ===

impl<'a> Id<'a> {
    pub(crate) fn of(writer: &Writer<'a>, operation: Operation) -> Self {
        Self {
            manager: Cow::Borrowed(if writer.manager.is_empty() { "unknown" } else { writer.manager }),
            operation,
            update_version: Cow::Borrowed(match operation {
                Operation::Apply => "",
                Operation::Update => writer.api_version,
            }),
            subresource: Cow::Borrowed(writer.subresource),
        }
    }

    /// The text by which the API server orders managers.
    fn text(&self) -> String {
        let mut out = String::from("{\"manager\":");
        golang::write_json_string(&self.manager, &mut out);
        out.push_str(",\"operation\":\"");
        out.push_str(self.operation.as_str());
        out.push('"');
        for (name, value) in [("apiVersion", &self.update_version), ("subresource", &self.subresource)] {
            if !value.is_empty() {
                out.push_str(",\"");
                out.push_str(name);
                out.push_str("\":");
                golang::write_json_string(value, &mut out);
            }
        }
        out.push('}');
        out
    }

    /// The manager as the message of a conflict names it.
    pub(crate) fn described(&self) -> String {
        let mut out = golang::quoted(&self.manager);
        if !self.subresource.is_empty() {
            out.push_str(" with subresource ");
            out.push_str(&golang::quoted(&self.subresource));
        }
        if self.operation == Operation::Update {
            out.push_str(" using ");
            out.push_str(&self.update_version);
        }
        out
    }
}

impl Ord for Id<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text().cmp(&other.text())
    }
}

impl PartialOrd for Id<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

// === impl Entry ===

impl<'a> Entry<'a> {
    pub(crate) fn new(
        id: Id<'a>,
        writer: &Writer<'a>,
        time: Option<Cow<'a, str>>,
        set: FieldSet<'a>,
    ) -> Self {
        Self { id, api_version: Cow::Borrowed(writer.api_version), time, set, closed: None }
    }

    /// Reads what is owned, brought to the schema of now.
    pub(crate) fn open(&mut self, ty: &Type) -> Result<(), ManagedFieldsError> {
        if let Some(fields) = self.closed.take() {
            self.set = FieldSet::from_fields_v1(fields)?;
            reconcile(&mut self.set, ty);
        }
        Ok(())
    }

    /// Opens an entry that was written under an older schema.
    fn open_if_outdated(&mut self, ty: &Type) -> Result<(), ManagedFieldsError> {
        if self.closed.is_some_and(|fields| is_outdated(fields, ty)) { self.open(ty) } else { Ok(()) }
    }
}

// === impl Entries ===

impl<'a> Entries<'a> {
    /// Reads the entries of a list; of a manager that is there twice the later entry counts.
    ///
    /// What the entries own stays closed, but for what was written under an older schema.
    pub(crate) fn read(list: &'a [Value], ty: &Type) -> Result<Self, ManagedFieldsError> {
        let mut entries = Self { list: Vec::with_capacity(list.len()) };
        for (index, value) in list.iter().enumerate() {
            let mut entry = read_entry(index, value)?;
            entry.open_if_outdated(ty)?;
            entries.put(entry);
        }
        Ok(entries)
    }

    /// Reads what all entries own.
    pub(crate) fn open(&mut self, ty: &Type) -> Result<(), ManagedFieldsError> {
        self.list.iter_mut().try_for_each(|entry| entry.open(ty))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Refuses entries of versions that the kind has lost.
    pub(crate) fn check_versions(&self, ty: &Type) -> Result<(), ManagedFieldsError> {
        match self.list.iter().find(|entry| !ty.has_version(&entry.api_version)) {
            Some(entry) => Err(ManagedFieldsError::UnknownVersion(entry.api_version.clone().into_owned())),
            None => Ok(()),
        }
    }

    pub(crate) fn get(&self, id: &Id<'_>) -> Option<&Entry<'a>> {
        self.list.iter().find(|entry| entry.id == *id)
    }

    pub(crate) fn take(&mut self, id: &Id<'_>) -> Option<Entry<'a>> {
        let at = self.list.iter().position(|entry| entry.id == *id)?;
        Some(self.list.swap_remove(at))
    }

    pub(crate) fn put(&mut self, entry: Entry<'a>) {
        match self.list.iter_mut().find(|other| other.id == entry.id) {
            Some(other) => *other = entry,
            None => self.list.push(entry),
        }
    }

    /// Puts the oldest entries of updates together until no more are left than an object may have.
    pub(crate) fn cap_updates(&mut self) {
        let mut updates: Vec<Entry<'a>> = Vec::new();
        let is_update = |entry: &Entry<'_>| entry.id.operation == Operation::Update;
        let mut count = self.list.iter().filter(|entry| is_update(entry)).count();
        if count <= MAX_UPDATE_ENTRIES {
            return;
        }
        let (mut applied, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.list).into_iter().partition(|entry| !is_update(entry));
        updates.extend(rest);
        updates.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.id.cmp(&b.id)));

        let order: Vec<Id<'a>> = updates.iter().map(|entry| entry.id.clone()).collect();
        self.list = updates;
        let mut firsts: Vec<(Cow<'a, str>, Id<'a>)> = Vec::new();
        for id in order {
            if count <= MAX_UPDATE_ENTRIES {
                break;
            }
            let Some(version) = self.get(&id).map(|entry| entry.api_version.clone()) else { continue };
            let Some((_, first)) = firsts.iter().find(|(seen, _)| *seen == version) else {
                firsts.push((version, id));
                continue;
            };
            let bucket = Id {
                manager: Cow::Borrowed(ANCIENT),
                operation: Operation::Update,
                update_version: version,
                subresource: Cow::Borrowed(""),
            };
            if self.get(&bucket).is_none()
                && let Some(oldest) = self.take(first)
            {
                self.list.push(Entry { id: bucket.clone(), ..oldest });
            }
            let Some(entry) = self.take(&id) else { continue };
            let set = match self.take(&bucket) {
                Some(before) => entry.set.union(&before.set),
                None => entry.set,
            };
            self.list.push(Entry { id: bucket, set, ..entry });
            count -= 1;
        }
        self.list.append(&mut applied);
    }

    /// Writes the entries in the API server's order: applies first, then by time and manager.
    pub(crate) fn write(mut self) -> Vec<Value> {
        self.list.sort_by(|a, b| {
            (a.id.operation, &a.time, &a.id.manager, &a.api_version, &a.id.subresource).cmp(&(
                b.id.operation,
                &b.time,
                &b.id.manager,
                &b.api_version,
                &b.id.subresource,
            ))
        });
        self.list.iter().map(write_entry).collect()
    }
}

fn read_entry(index: usize, value: &Value) -> Result<Entry<'_>, ManagedFieldsError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err(ManagedFieldsError::Operation),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err(ManagedFieldsError::ApiVersion);
    }
    match text("fieldsType") {
        "FieldsV1" => {}
        "" => return Err(ManagedFieldsError::MissingFieldsType(index)),
        other => return Err(ManagedFieldsError::FieldsType { index, found: other.to_owned() }),
    }
    Ok(Entry {
        id: Id {
            manager: Cow::Borrowed(text("manager")),
            operation,
            update_version: Cow::Borrowed(if operation == Operation::Update { api_version } else { "" }),
            subresource: Cow::Borrowed(text("subresource")),
        },
        api_version: Cow::Borrowed(api_version),
        time: value.get("time").and_then(Value::as_str).map(Cow::Borrowed),
        set: FieldSet::default(),
        closed: value.get("fieldsV1").filter(|fields| !fields.is_null()),
    })
}

fn write_entry(entry: &Entry<'_>) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, value: &str| out.insert(name.to_owned(), Value::String(value.to_owned()));
    put("apiVersion", &entry.api_version);
    put("fieldsType", "FieldsV1");
    put("operation", entry.id.operation.as_str());
    if !entry.id.manager.is_empty() {
        put("manager", &entry.id.manager);
    }
    if !entry.id.subresource.is_empty() {
        put("subresource", &entry.id.subresource);
    }
    if let Some(time) = &entry.time {
        put("time", time);
    }
    let fields = entry.closed.cloned().unwrap_or_else(|| entry.set.to_fields_v1());
    out.insert("fieldsV1".to_owned(), fields);
    Value::Object(out)
}
