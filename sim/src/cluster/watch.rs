//! Events for watches.

use std::sync::Arc;

use serde_json::Value;

use super::conversion::Unconvertible;
use super::selector::Selection;
use super::status::Status;
use super::{Cluster, Object, place_of};
use crate::kinds::Resource;

/// What happened to an object, as one watch sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It came into the selection.
    Added,
    /// It changed.
    Modified,
    /// It left the selection, or is gone.
    Deleted,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The object after it; of one that left, as it was before, with the event's version.
    pub object: Arc<Object>,
}

/// The events after a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// In their order.
    pub events: Vec<Event>,
    /// The version up to which these are all: where the next look begins, and what a bookmark may say.
    pub version: u64,
}

// === impl EventKind ===

impl EventKind {
    /// Gives its name in a watch's frames.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// Gives what happened to a selection after a version; `410` if that is too long ago.
    pub fn events_since(
        &self,
        resource: &Resource,
        selection: &Selection,
        version: u64,
    ) -> Result<Events, Status> {
        let dropped = self.store.dropped();
        if version < dropped {
            return Err(Status::expired(format!("too old resource version: {version} ({dropped})")));
        }
        let place = place_of(resource);
        let mut events = Vec::new();
        for record in self.store.records_since(version).filter(|record| *record.place == place) {
            let matches = |object: &Object| selection.matches(&record.key, object);
            let was = record.before.as_deref().is_some_and(matches);
            let is = !record.gone && matches(&record.after);
            let event = match (was, is) {
                (false, false) => continue,
                (false, true) => Event { kind: EventKind::Added, object: record.after.clone() },
                (true, true) => Event { kind: EventKind::Modified, object: record.after.clone() },
                (true, false) if record.gone => {
                    Event { kind: EventKind::Deleted, object: record.after.clone() }
                }
                (true, false) => {
                    let before = record.before.as_deref().unwrap_or(&record.after);
                    let object = Arc::new(at_version(before, record.version));
                    Event { kind: EventKind::Deleted, object }
                }
            };
            events.push(event);
        }
        if let Some(why) = Unconvertible::of(resource).filter(|_| !events.is_empty()) {
            return Err(why.shown());
        }
        Ok(Events { events, version: version.max(self.store.version()) })
    }
}

/// Gives an object's state with another version.
pub(super) fn at_version(object: &Object, version: u64) -> Object {
    let mut value = object.bare();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), version.to_string().into());
    }
    Object::encode(&value)
}
