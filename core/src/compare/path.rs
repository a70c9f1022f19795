//! Places in an object: by JSON pointer, by expression, and what is done at them.

use std::fmt;

use serde_json::Value;

/// One step to a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    /// Into a field.
    Key(String),
    /// Into an item of a list.
    Index(usize),
}

/// A place in an object; empty for the whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place(Vec<Segment>);

// === impl Segment ===

impl Segment {
    /// Takes the step; `None` where there is nothing.
    pub(crate) fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match (self, value) {
            (Self::Key(name), Value::Object(map)) => map.get(name),
            (Self::Index(index), Value::Array(items)) => items.get(*index),
            (Self::Key(_) | Self::Index(_), _) => None,
        }
    }

    fn of_mut<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        match (self, value) {
            (Self::Key(name), Value::Object(map)) => map.get_mut(name),
            (Self::Index(index), Value::Array(items)) => items.get_mut(*index),
            (Self::Key(_) | Self::Index(_), _) => None,
        }
    }
}

// === impl Place ===

impl Place {
    /// Finds the place that a JSON pointer (RFC 6901) names in an object; `None` when it is not there.
    pub(crate) fn by_pointer(pointer: &str, object: &Value) -> Option<Self> {
        let mut place = Self::default();
        let mut value = object;
        for token in pointer.strip_prefix('/')?.split('/') {
            let name = token.replace("~1", "/").replace("~0", "~");
            let segment = match value {
                Value::Array(_) => Segment::Index(name.parse().ok()?),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                    Segment::Key(name)
                }
            };
            value = segment.of(value)?;
            place.0.push(segment);
        }
        Some(place)
    }

    /// Gives the place one step further.
    #[must_use]
    pub(crate) fn then(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// Gives the steps.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Finds the value at the place.
    pub(crate) fn of<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |at, segment| segment.of(at))
    }

    /// Tells whether it is the other place, or lies in it.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Sets the value at a place that is there.
    pub(crate) fn set(&self, object: &mut Value, value: Value) {
        let found = self.0.iter().try_fold(object, |at, segment| segment.of_mut(at));
        if let Some(found) = found {
            *found = value;
        }
    }

    /// Removes what is at a place; the whole object stays.
    fn remove(&self, object: &mut Value) {
        let Some((last, before)) = self.0.split_last() else { return };
        let parent = before.iter().try_fold(object, |at, segment| segment.of_mut(at));
        match (last, parent) {
            (Segment::Key(name), Some(Value::Object(map))) => {
                map.remove(name);
            }
            (Segment::Index(index), Some(Value::Array(items))) if *index < items.len() => {
                items.remove(*index);
            }
            (Segment::Key(_) | Segment::Index(_), _) => {}
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(name) if depth == 0 => f.write_str(name)?,
                Segment::Key(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Removes what is at all of these places, as they are before anything is removed.
pub(crate) fn remove_all(object: &mut Value, mut places: Vec<Place>) {
    // From the end: items that are still to go keep their places.
    places.sort();
    places.dedup();
    for place in places.iter().rev() {
        place.remove(object);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_find_what_is_there() {
        let object = json!({"a/b": {"m~n": [10, {"x": 1}]}});
        let found = Place::by_pointer("/a~1b/m~0n/1/x", &object).unwrap();
        let key = |name: &str| Segment::Key(name.to_owned());
        assert_eq!(found.segments(), [key("a/b"), key("m~n"), Segment::Index(1), key("x")]);
        for absent in ["", "a", "/a", "/a~1b/m~0n/2", "/a~1b/m~0n/x", "/a~1b/m~0n/1/x/y"] {
            assert_eq!(Place::by_pointer(absent, &object), None, "{absent}");
        }
    }

    #[test]
    fn places_are_those_before_anything_was_removed() {
        let mut object = json!({"list": [0, 1, 2, 3], "x": {"y": 1}});
        let place = |pointer: &str| Place::by_pointer(pointer, &object).unwrap();
        let all = ["/list/0", "/list/2", "/list/2", "/x", "/x/y"].map(place).to_vec();
        remove_all(&mut object, all);
        assert_eq!(object, json!({"list": [1, 3]}));
        remove_all(&mut object, vec![Place::default()]);
        assert_eq!(object, json!({"list": [1, 3]}));
    }
}
