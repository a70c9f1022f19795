//! Which paths of an object a manager owns, as `metadata.managedFields` says it (`FieldsV1`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Difference;
use super::path::{Place, Segment};
use crate::ownership;

/// A tree of owned paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Owned {
    /// Owned paths below; none where the value is owned as a whole.
    below: BTreeMap<Step, Owned>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A field, or a key of a map.
    Field(String),
    /// The item of a list with these keys, as JSON.
    Item(String),
    /// The item of a set with this value, as JSON.
    Value(String),
    /// The item of a list at this place.
    Index(usize),
}

// === impl Owned ===

impl Owned {
    /// Reads what our own `Apply` entry of an object owns, by this field manager. One of another API version names paths of
    /// another form: it says nothing of this one.
    pub(crate) fn by_us(object: &Value, manager: &str) -> Self {
        let entry = object.get("metadata").and_then(|metadata| ownership::our_entry(metadata, manager));
        let same = entry.filter(|entry| entry.get("apiVersion") == object.get("apiVersion"));
        same.and_then(|entry| entry.get("fieldsV1")).map(Self::read).unwrap_or_default()
    }

    /// Takes all that an object states: maps by their fields, lists by the names of their items where each has one of its
    /// own, and all else as a whole.
    pub(super) fn by_statement(object: &Value) -> Self {
        let below = match object {
            Value::Object(map) => map
                .iter()
                .map(|(name, value)| (Step::Field(name.clone()), Self::by_statement(value)))
                .collect(),
            Value::Array(items) => named(items).unwrap_or_default(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeMap::new(),
        };
        Self { below }
    }

    /// Reads what a manager owns of an object, by whatever operation.
    pub(crate) fn by_manager(object: &Value, manager: &str) -> Self {
        Self::of_entries(object, |entry| entry.get("manager").and_then(Value::as_str) == Some(manager))
    }

    /// Reads what others own of an object than we do by this field manager.
    pub(crate) fn by_others(object: &Value, manager: &str) -> Self {
        Self::of_entries(object, |entry| !ownership::is_ours(entry, manager))
    }

    /// Reads what all entries together own that are asked for.
    fn of_entries(object: &Value, wanted: impl Fn(&Value) -> bool) -> Self {
        let entries = object.get("metadata").into_iter().flat_map(ownership::entries);
        let fields = entries.filter(|entry| wanted(entry)).filter_map(|entry| entry.get("fieldsV1"));
        fields.map(Self::read).fold(Self::default(), Self::joined)
    }

    /// Joins two trees, either of which may be empty: that one owns nothing.
    pub(super) fn joined(self, other: Self) -> Self {
        if self.below.is_empty() {
            other
        } else if other.below.is_empty() {
            self
        } else {
            self.union(other)
        }
    }

    /// Tells whether nothing is owned.
    pub(crate) fn is_empty(&self) -> bool {
        self.below.is_empty()
    }

    /// Adds the places of an object that are owned, each as a whole.
    pub(crate) fn places(&self, object: &Value, places: &mut Vec<Place>) {
        if !self.is_empty() {
            self.places_below(object, &Place::default(), places);
        }
    }

    fn places_below(&self, value: &Value, at: &Place, places: &mut Vec<Place>) {
        for (step, owned) in &self.below {
            let Some((segment, value)) = step.segment_of(value) else { continue };
            let place = at.then(segment);
            if owned.below.is_empty() {
                places.push(place);
            } else {
                owned.places_below(value, &place, places);
            }
        }
    }

    /// Tells whether a place of an object, or something below it, is owned.
    pub(crate) fn owns(&self, place: &Place, object: &Value) -> bool {
        let (mut owned, mut value) = (self, object);
        for segment in place.segments() {
            if owned.below.is_empty() {
                // What is above it is owned as a whole; an empty tree owns nothing.
                return !std::ptr::eq(owned, self);
            }
            let Some(below) = segment.of(value) else { return false };
            let step = owned.below.iter().find(|(step, _)| step.leads(segment, below));
            let Some((_, next)) = step else { return false };
            (owned, value) = (next, below);
        }
        true
    }

    /// Gives the value of another object at the place that a place of this one means: items of lists are found by their
    /// keys, where the tree has some.
    pub(crate) fn counterpart<'a>(
        &self,
        place: &Place,
        object: &Value,
        other: &'a Value,
    ) -> Option<&'a Value> {
        let (mut owned, mut value, mut found) = (Some(self), object, other);
        for segment in place.segments() {
            let below = segment.of(value)?;
            let step =
                owned.and_then(|owned| owned.below.iter().find(|(step, _)| step.leads(segment, below)));
            found = match step {
                Some((step, _)) => step.of(found)?,
                None => segment.of(found)?,
            };
            owned = step.map(|(_, next)| next);
            value = below;
        }
        Some(found)
    }

    /// Reads `fieldsV1`; a step of an unknown form is passed over.
    fn read(fields: &Value) -> Self {
        let steps = fields.as_object().into_iter().flatten();
        let below = steps.filter_map(|(name, fields)| Some((Step::read(name)?, Self::read(fields))));
        Self { below: below.collect() }
    }

    /// Joins two trees. What either owns as a whole is owned as a whole.
    pub(crate) fn union(mut self, other: Self) -> Self {
        for (step, theirs) in other.below {
            let joined = match self.below.remove(&step) {
                Some(ours) if !ours.below.is_empty() && !theirs.below.is_empty() => ours.union(theirs),
                Some(_) => Self::default(),
                None => theirs,
            };
            self.below.insert(step, joined);
        }
        self
    }

    /// Adds what differs between two objects in these paths.
    pub(super) fn differences(&self, live: &Value, desired: &Value, found: &mut Vec<Difference>) {
        let mut path = String::new();
        self.walk_below(live, desired, &mut path, found);
    }

    fn walk_below(&self, live: &Value, desired: &Value, path: &mut String, found: &mut Vec<Difference>) {
        for (step, owned) in &self.below {
            let length = path.len();
            step.write(path);
            owned.walk(step.of(live), step.of(desired), path, found);
            path.truncate(length);
        }
    }

    fn walk(
        &self,
        live: Option<&Value>,
        desired: Option<&Value>,
        path: &mut String,
        found: &mut Vec<Difference>,
    ) {
        match (live, desired) {
            (Some(live), Some(desired)) if self.below.is_empty() || !alike(live, desired) => {
                if live != desired {
                    found.push((path.clone(), Some(live.clone()), Some(desired.clone())));
                }
            }
            (Some(live), Some(desired)) => self.walk_below(live, desired, path, found),
            (None, None) => {}
            (live, desired) => {
                let of = |value: Option<&Value>| value.and_then(|value| self.part_of(value));
                let (live, desired) = (of(live), of(desired));
                if live.is_some() || desired.is_some() {
                    found.push((path.clone(), live, desired));
                }
            }
        }
    }

    /// Gives the part of a value that is owned; `None` when it has nothing of that.
    pub(crate) fn part_of(&self, value: &Value) -> Option<Value> {
        if self.below.is_empty() {
            return Some(value.clone());
        }
        match value {
            Value::Object(map) => {
                let parts = self.below.iter().filter_map(|(step, owned)| {
                    let Step::Field(name) = step else { return None };
                    Some((name.clone(), owned.part_of(map.get(name)?)?))
                });
                let part: Map<String, Value> = parts.collect();
                (!part.is_empty()).then_some(Value::Object(part))
            }
            Value::Array(items) => {
                let part = |(index, item): (usize, &Value)| {
                    let of = self.below.iter().find(|(step, _)| step.is(index, item));
                    of.and_then(|(_, owned)| owned.part_of(item))
                };
                let parts: Vec<Value> = items.iter().enumerate().filter_map(part).collect();
                (!parts.is_empty()).then_some(Value::Array(parts))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(value.clone()),
        }
    }
}

/// Gives the items of a list by their names; `None` where one has none, or two have one.
fn named(items: &[Value]) -> Option<BTreeMap<Step, Owned>> {
    let mut below = BTreeMap::new();
    for item in items {
        let name = item.get("name").filter(|name| name.is_string())?;
        let step = Step::Item(Value::Object(Map::from_iter([("name".to_owned(), name.clone())])).to_string());
        if below.insert(step, Owned::by_statement(item)).is_some() {
            return None;
        }
    }
    Some(below)
}

/// Tells whether both values have steps of the same form.
fn alike(one: &Value, other: &Value) -> bool {
    matches!((one, other), (Value::Object(_), Value::Object(_)) | (Value::Array(_), Value::Array(_)))
}

// === impl Step ===

impl Step {
    /// Reads a step; `None` for `.`, which says of the place itself that it is owned, and for forms that nobody knows.
    fn read(text: &str) -> Option<Self> {
        let (form, rest) = text.split_once(':')?;
        match form {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => Some(Self::Item(rest.to_owned())),
            "v" => Some(Self::Value(rest.to_owned())),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    /// Takes the step.
    fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.segment_of(value).map(|(_, value)| value)
    }

    /// Takes the step, and says which one it is in this object.
    fn segment_of<'a>(&self, value: &'a Value) -> Option<(Segment, &'a Value)> {
        match (self, value) {
            (Self::Field(name), Value::Object(map)) => Some((Segment::Key(name.clone()), map.get(name)?)),
            (Self::Item(_) | Self::Value(_) | Self::Index(_), Value::Array(items)) => {
                let found = items.iter().enumerate().find(|(index, item)| self.is(*index, item));
                found.map(|(index, item)| (Segment::Index(index), item))
            }
            (Self::Field(_) | Self::Item(_) | Self::Value(_) | Self::Index(_), _) => None,
        }
    }

    /// Tells whether it is what a segment does that leads to this value.
    fn leads(&self, segment: &Segment, to: &Value) -> bool {
        match segment {
            Segment::Key(name) => matches!(self, Self::Field(field) if field == name),
            Segment::Index(index) => self.is(*index, to),
        }
    }

    /// Tells whether it leads to this item of a list.
    fn is(&self, index: usize, item: &Value) -> bool {
        match self {
            Self::Field(_) => false,
            Self::Item(keys) => {
                let keys: Option<Map<String, Value>> = serde_json::from_str(keys).ok();
                keys.is_some_and(|keys| keys.iter().all(|(name, value)| item.get(name) == Some(value)))
            }
            Self::Value(value) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item),
            Self::Index(at) => *at == index,
        }
    }

    /// Writes it behind a path, as people read it.
    fn write(&self, path: &mut String) {
        // Writing to a string does not fail.
        match self {
            Self::Field(name) if is_plain(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Self::Field(name) => {
                let _ = write!(path, "[{}]", Value::from(name.as_str()));
            }
            Self::Item(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let _ = write!(path, "[{}]", keys.join(","));
            }
            Self::Value(value) => {
                let _ = write!(path, "[={value}]");
            }
            Self::Index(index) => {
                let _ = write!(path, "[{index}]");
            }
        }
    }
}

/// Tells whether a name needs no quotes in a path.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte))
}
