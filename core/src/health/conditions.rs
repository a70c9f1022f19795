//! What rules read of an object: fields by their path, and conditions.

use serde_json::Value;

use super::Verdict;
use crate::json;

/// One condition of a status.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition<'a>(&'a Value);

// === impl Condition ===

impl<'a> Condition<'a> {
    /// Gives its type.
    pub(super) fn kind(self) -> &'a str {
        text(self.0, &["type"])
    }

    /// Gives its reason.
    pub(super) fn reason(self) -> &'a str {
        text(self.0, &["reason"])
    }

    /// Gives its message.
    pub(super) fn message(self) -> &'a str {
        text(self.0, &["message"])
    }

    /// Gives its message, or these words where it has none.
    pub(super) fn message_or(self, otherwise: &'a str) -> &'a str {
        json::text_at(self.0, &["message"]).unwrap_or(otherwise)
    }

    /// Gives its message, or its reason where that is empty.
    pub(super) fn message_or_reason(self) -> &'a str {
        if self.message().is_empty() { self.reason() } else { self.message() }
    }

    /// Gives its status as a word.
    pub(super) fn status(self) -> &'a str {
        text(self.0, &["status"])
    }

    /// Tells whether its status is true, as text or as JSON's own.
    pub(super) fn is_true(self) -> bool {
        self.has_status("True", true)
    }

    /// Tells whether its status is false, as text or as JSON's own.
    pub(super) fn is_false(self) -> bool {
        self.has_status("False", false)
    }

    /// Gives the generation that it was said of.
    pub(super) fn observed_generation(self) -> Option<i64> {
        self.0.get("observedGeneration").and_then(whole)
    }

    /// Tells whether it was said of an earlier generation of the object.
    pub(super) fn is_stale(self, object: &Value) -> bool {
        let generation = number(object, &["metadata", "generation"]);
        generation.zip(self.observed_generation()).is_some_and(|(newest, observed)| observed < newest)
    }

    /// Tells whether its type, and its being true, are these.
    pub(super) fn says(self, kind: &str) -> bool {
        self.kind() == kind && self.is_true()
    }

    /// Tells whether it is of this type, and false.
    pub(super) fn denies(self, kind: &str) -> bool {
        self.kind() == kind && self.is_false()
    }

    fn has_status(self, word: &str, truth: bool) -> bool {
        match self.0.get("status") {
            Some(Value::String(status)) => status.eq_ignore_ascii_case(word),
            Some(Value::Bool(status)) => *status == truth,
            Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
        }
    }
}

/// Gives the text at a path, or none.
pub(super) fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    json::text_at(object, path).unwrap_or_default()
}

/// Gives the number at a path.
pub(super) fn number(object: &Value, path: &[&str]) -> Option<i64> {
    json::at(object, path).and_then(Value::as_i64)
}

/// Gives the number at a path, or zero.
pub(super) fn count(object: &Value, path: &[&str]) -> i64 {
    number(object, path).unwrap_or(0)
}

/// Tells whether the truth value at a path is there and true.
pub(super) fn flag(object: &Value, path: &[&str]) -> bool {
    json::at(object, path).and_then(Value::as_bool).unwrap_or(false)
}

/// Tells whether there is a value at a path.
pub(super) fn is_set(object: &Value, path: &[&str]) -> bool {
    json::at(object, path).is_some_and(|value| !value.is_null())
}

/// Gives the list at a path, or an empty one.
pub(super) fn list<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    json::at(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Gives the conditions in the list at a path.
pub(super) fn conditions_at<'a>(
    object: &'a Value,
    path: &[&str],
) -> impl Iterator<Item = Condition<'a>> + Clone + use<'a> {
    list(object, path).iter().map(Condition)
}

/// Gives the conditions of an object's status.
pub(super) fn conditions(object: &Value) -> impl Iterator<Item = Condition<'_>> + Clone {
    conditions_at(object, &["status", "conditions"])
}

/// Finds the condition of a type.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
    conditions(object).find(|condition| condition.kind() == kind)
}

/// Reads a whole number that may be written as text, as Istio and Argo Rollouts write generations.
pub(super) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Gives the newest generation that a status tells to be of: its own, or that of its conditions.
pub(super) fn observed_generation(object: &Value) -> Option<i64> {
    if let Some(seen) = json::at(object, &["status", "observedGeneration"]).and_then(whole) {
        return Some(seen);
    }
    // One writer that has seen it is enough: conditions that do not change are not always written anew.
    let parents = ["parents", "ancestors"].into_iter().flat_map(|field| list(object, &["status", field]));
    parents
        .flat_map(|parent| conditions_at(parent, &["conditions"]))
        .chain(conditions(object))
        .filter_map(Condition::observed_generation)
        .max()
}

/// Tells whether the controller has not seen the newest spec yet. One that has said nothing has seen nothing.
pub(super) fn is_unobserved(object: &Value) -> bool {
    count(object, &["metadata", "generation"]) > count(object, &["status", "observedGeneration"])
}

/// Tells whether the controller says that what it saw is an older spec.
pub(super) fn is_lagging(object: &Value) -> bool {
    let newest = number(object, &["metadata", "generation"]);
    newest.zip(observed_generation(object)).is_some_and(|(newest, seen)| seen < newest)
}

/// Says that the controller has not seen the newest spec yet.
pub(super) fn lagging(object: &Value) -> Verdict {
    let newest = count(object, &["metadata", "generation"]);
    let seen = match observed_generation(object) {
        Some(seen) => format!("the status is of generation {seen}"),
        None => "the status tells none".to_owned(),
    };
    Verdict::progressing(format!("Waiting for generation {newest} to be observed: {seen}"))
}

/// Judges by one condition, as many of Argo CD's scripts do: false is Degraded, true is Healthy, the rest is waited for.
pub(super) fn by_condition(object: &Value, kind: &str, waiting: &str) -> Verdict {
    for condition in conditions(object) {
        if condition.denies(kind) {
            return Verdict::degraded(condition.message());
        }
        if condition.says(kind) {
            return Verdict::healthy(condition.message());
        }
    }
    Verdict::progressing(waiting)
}
