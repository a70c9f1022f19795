//! The Lease object.

use std::time::Duration;

use argosy_runtime::clock;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::contest::Holder;

/// A Lease as it is stored, or one to store.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Record {
    object: Value,
}

// === impl Record ===

impl Record {
    pub(super) fn of(object: Value) -> Self {
        Self { object }
    }

    pub(super) fn object(&self) -> &Value {
        &self.object
    }

    /// Tells whether the API server has it.
    pub(super) fn is_stored(&self) -> bool {
        self.object.pointer("/metadata/resourceVersion").is_some()
    }

    /// Gives the holder's name; empty when it was given back.
    pub(super) fn holder(&self) -> &str {
        self.object.pointer("/spec/holderIdentity").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn is_of(&self, holder: &Holder) -> bool {
        self.holder() == holder.to_string()
    }

    /// Gives how long the holder may go without a renewal, as it said itself.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(
            self.object.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).unwrap_or(0),
        )
    }

    /// Gives the object's version: any write changes it.
    pub(super) fn version(&self) -> &str {
        self.object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
    }

    /// Gives the record of `holder` in place of this one.
    pub(super) fn held_by(mut self, holder: &Holder, name: &str, duration: Duration) -> Self {
        let now = now();
        let text = |pointer| self.object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let transitions = self.object.pointer("/spec/leaseTransitions").and_then(Value::as_i64);
        let (acquired, transitions) = match (self.is_of(holder), text("/spec/acquireTime"), transitions) {
            (true, Some(acquired), Some(transitions)) => (acquired, transitions),
            (_, _, Some(transitions)) => (now.clone(), transitions.saturating_add(1)),
            (_, _, None) => (now.clone(), 0),
        };
        let spec = json!({
            "holderIdentity": holder.to_string(),
            "leaseDurationSeconds": duration.as_secs(),
            "acquireTime": acquired,
            "renewTime": now,
            "leaseTransitions": transitions,
        });
        match self.object.as_object_mut().filter(|object| object.contains_key("metadata")) {
            Some(object) => {
                object.insert("spec".to_owned(), spec);
            }
            None => {
                self.object = json!({
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": name},
                    "spec": spec,
                });
            }
        }
        self
    }

    /// Gives the record with no holder.
    pub(super) fn released(mut self) -> Self {
        if let Some(spec) = self.object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("holderIdentity".to_owned(), Value::String(String::new()));
            spec.insert("leaseDurationSeconds".to_owned(), Value::from(1));
            spec.insert("renewTime".to_owned(), Value::String(now()));
        }
        self
    }
}

/// Gives the time for people to read; nobody decides by it.
fn now() -> String {
    let time = Timestamp::from_millisecond(clock::wall().0).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_keeps_since_when_and_a_takeover_counts() {
        let (a, b) = (Holder::new("agent", "p1", "host"), Holder::new("agent", "p2", "host"));
        let first = Record::default().held_by(&a, "l", Duration::from_secs(15));
        assert!(!first.is_stored() && first.is_of(&a));
        assert_eq!(first.object["spec"]["leaseTransitions"], 0);
        assert_eq!(first.object["metadata"]["name"], "l");
        assert_eq!(first.duration(), Duration::from_secs(15));
        let renewed = first.clone().held_by(&a, "l", Duration::from_secs(15));
        assert_eq!(renewed.object["spec"]["acquireTime"], first.object["spec"]["acquireTime"]);
        assert_eq!(renewed.object["spec"]["leaseTransitions"], 0);
        let taken = renewed.held_by(&b, "l", Duration::from_secs(15));
        assert_eq!(taken.object["spec"]["leaseTransitions"], 1);
        assert_eq!(taken.released().holder(), "");
    }

    #[test]
    fn times_have_the_form_of_kubernetes() {
        let text = now();
        assert!(text.ends_with('Z') && text.len() == "2026-01-01T00:00:00.000000Z".len(), "{text}");
    }
}
