//! What a sync would change of a live object, told from the two alone: every field that the manifest states and the
//! object has otherwise, and every field that we own there and state no more.
//!
//! The agent asks the API server, which knows the schema of a kind. Here lists are matched by the names of their items,
//! else by their places, and what a built-in kind leaves out because it is empty counts as stated.

use serde_json::Value;

use crate::json;
use crate::tracking::{INSTALLATION_ID, MANAGED, TRACKING_ID};

/// Longest value that is shown whole.
const SHOWN: usize = 60;

/// Compares an object with its manifest, applied by this field manager; `secret` hides values, and `built_in` says that empty
/// values may be left out.
pub(super) fn differences(
    manifest: &Value,
    live: &Value,
    manager: &str,
    (secret, built_in): (bool, bool),
) -> Vec<String> {
    let mut comparison = Comparison { secret, built_in, found: Vec::new() };
    if let (Value::Object(stated), Value::Object(_)) = (manifest, live) {
        for (field, value) in stated {
            if field == "metadata" {
                comparison.metadata(value, live.get("metadata").unwrap_or(&Value::Null));
            } else if !["apiVersion", "kind"].contains(&field.as_str()) {
                // Those two name the object, and items of a list from the API server have neither.
                comparison.field(field, value, live.get(field));
            }
        }
    }
    for fields in owned(live, manager) {
        comparison.dropped("", fields, manifest);
    }
    comparison.found.sort();
    comparison.found
}

/// Gives the fields that our own applies own, by this field manager.
fn owned<'a>(live: &'a Value, manager: &'a str) -> impl Iterator<Item = &'a Value> {
    let entries = json::at(live, &["metadata", "managedFields"]).and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(move |entry| {
        let ours = json::text_at(entry, &["manager"]) == Some(manager)
            && json::text_at(entry, &["operation"]) == Some("Apply");
        entry.get("fieldsV1").filter(|_| ours)
    })
}

struct Comparison {
    secret: bool,
    built_in: bool,
    found: Vec<String>,
}

// === impl Comparison ===

impl Comparison {
    /// Of the metadata only labels and annotations are stated; the rest names the object.
    fn metadata(&mut self, stated: &Value, live: &Value) {
        for map in ["labels", "annotations"] {
            if let Some(stated) = stated.get(map) {
                self.field(&format!("metadata.{map}"), stated, live.get(map));
            }
        }
    }

    fn field(&mut self, path: &str, stated: &Value, live: Option<&Value>) {
        let Some(live) = live else {
            if !self.is_left_out(stated) {
                self.tell(path, stated, None);
            }
            return;
        };
        match (stated, live) {
            (Value::Object(stated), Value::Object(live)) => {
                for (key, value) in stated {
                    self.field(&format!("{path}.{key}"), value, live.get(key));
                }
            }
            (Value::Array(stated), Value::Array(live)) => self.list(path, stated, live),
            _ if same(stated, live) => {}
            _ => self.tell(path, stated, Some(live)),
        }
    }

    fn list(&mut self, path: &str, stated: &[Value], live: &[Value]) {
        let named = |items: &[Value]| items.iter().all(|item| name_of(item).is_some());
        if !stated.is_empty() && named(stated) && named(live) {
            for item in stated {
                let name = name_of(item).unwrap_or_default();
                let found = live.iter().find(|other| name_of(other) == Some(name));
                self.field(&format!("{path}[{name}]"), item, found);
            }
        } else if stated.len() == live.len() {
            for (index, (item, other)) in stated.iter().zip(live).enumerate() {
                self.field(&format!("{path}[{index}]"), item, Some(other));
            }
        } else {
            self.found.push(format!("{path}: {} items -> {}", live.len(), stated.len()));
        }
    }

    /// Tells whether a stated value is one that Go's types leave out.
    fn is_left_out(&self, stated: &Value) -> bool {
        match stated {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.values().all(|value| self.is_left_out(value)),
            Value::Bool(value) => self.built_in && !value,
            Value::Number(number) => self.built_in && number.as_f64() == Some(0.0),
            Value::String(text) => self.built_in && text.is_empty(),
        }
    }

    fn tell(&mut self, path: &str, stated: &Value, live: Option<&Value>) {
        let line = if self.secret && ["data", "stringData"].iter().any(|field| path.starts_with(field)) {
            format!("{path}: another value")
        } else {
            format!("{path}: {} -> {}", live.map_or_else(|| "absent".to_owned(), shown), shown(stated))
        };
        self.found.push(line);
    }

    /// Goes through what we own (`fieldsV1`): what the manifest does not state any more, the next apply takes away.
    fn dropped(&mut self, path: &str, fields: &Value, manifest: &Value) {
        for (key, inner) in fields.as_object().into_iter().flatten() {
            if let Some(field) = key.strip_prefix("f:") {
                let path = if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
                match manifest.get(field) {
                    Some(stated) => self.dropped(&path, inner, stated),
                    None if is_tracking(&path, inner) => {}
                    None => self.found.push(format!("{path}: stated no more")),
                }
            } else if let Some(item) = key.strip_prefix("k:").and_then(|key| serde_json::from_str(key).ok()) {
                match manifest.as_array().into_iter().flatten().find(|stated| has(stated, &item)) {
                    Some(stated) => self.dropped(&format!("{path}[{}]", shown(&item)), inner, stated),
                    None => self.found.push(format!("{path}[{}]: stated no more", shown(&item))),
                }
            } else if let Some(item) = key.strip_prefix("v:").and_then(|key| serde_json::from_str(key).ok()) {
                let stated = manifest.as_array().into_iter().flatten().any(|stated| same(stated, &item));
                if !stated {
                    self.found.push(format!("{path}: {} stated no more", shown(&item)));
                }
            }
        }
    }
}

/// Tells whether fields are only those that the agent adds by itself.
fn is_tracking(path: &str, inner: &Value) -> bool {
    const ADDED: [&str; 3] = [MANAGED, TRACKING_ID, INSTALLATION_ID];
    let name = path.strip_prefix("metadata.labels.").or_else(|| path.strip_prefix("metadata.annotations."));
    let added = |key: &str| key == "." || key.strip_prefix("f:").is_some_and(|name| ADDED.contains(&name));
    let map = ["metadata.labels", "metadata.annotations"].contains(&path);
    name.is_some_and(|name| ADDED.contains(&name))
        || (map && inner.as_object().is_some_and(|fields| fields.keys().all(|key| added(key))))
}

/// Tells whether an item of a list has all of these values: those of its key.
fn has(item: &Value, key: &Value) -> bool {
    key.as_object().is_some_and(|key| {
        // A port without a protocol is one of TCP, which the API server fills in.
        key.iter().all(|(field, value)| item.get(field).map_or(field == "protocol", |own| same(own, value)))
    })
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

/// Tells whether two values are equal; 1 and 1.0 are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

fn shown(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > SHOWN {
        text.truncate(text.floor_char_boundary(SHOWN));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tracking::FIELD_MANAGER;

    fn compare(manifest: &Value, live: &Value) -> Vec<String> {
        differences(manifest, live, FIELD_MANAGER, (false, true))
    }

    #[test]
    fn what_others_add_is_no_difference() {
        let manifest = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {"paused": false, "replicas": 2, "containers": [{"name": "main", "image": "a:1", "env": []}]},
        });
        let live = json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "labels": {"app": "web", "x": "y"}},
            "spec": {"replicas": 2.0, "strategy": {}, "containers": [
                {"name": "sidecar"}, {"name": "main", "image": "a:1", "imagePullPolicy": "Always"}]},
            "status": {"replicas": 1},
        });
        assert_eq!(compare(&manifest, &live), Vec::<String>::new());
    }

    #[test]
    fn differences_are_named_by_field_with_both_values() {
        let manifest = json!({"metadata": {"labels": {"b": "2"}}, "spec": {
            "replicas": 3, "args": ["a", "b"], "containers": [{"name": "main", "image": "a:2"}, {"name": "new"}]}});
        let live = json!({"metadata": {"labels": {"a": "1"}}, "spec": {
            "replicas": 2, "args": ["a"], "containers": [{"name": "main", "image": "a:1"}]}});
        assert_eq!(
            compare(&manifest, &live),
            [
                "metadata.labels.b: absent -> \"2\"",
                "spec.args: 1 items -> 2",
                "spec.containers[main].image: \"a:1\" -> \"a:2\"",
                "spec.containers[new]: absent -> {\"name\":\"new\"}",
                "spec.replicas: 2 -> 3",
            ]
        );
    }

    #[test]
    fn a_custom_resource_keeps_what_it_was_given_and_a_secret_shows_no_value() {
        let off = json!({"spec": {"enabled": false}});
        assert_eq!(
            differences(&off, &json!({"spec": {}}), FIELD_MANAGER, (false, false)),
            ["spec.enabled: absent -> false"]
        );
        let secret = json!({"data": {"key": "c2VjcmV0"}, "type": "Opaque"});
        let live = json!({"data": {"key": "b3RoZXI="}, "type": "other"});
        assert_eq!(
            differences(&secret, &live, FIELD_MANAGER, (true, true)),
            ["data.key: another value", "type: \"other\" -> \"Opaque\""]
        );
    }

    #[test]
    fn what_we_own_and_state_no_more_goes() {
        let fields = json!({
            "f:metadata": {"f:labels": {"f:argosy.dev/managed": {}}, "f:annotations": {
                ".": {}, "f:argocd.argoproj.io/tracking-id": {}, "f:argosy.dev/installation-id": {}}},
            "f:data": {"f:kept": {}, "f:gone": {}},
            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:port": {}}, "k:{\"port\":81}": {}},
            "f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}},
        });
        let live = json!({
            "metadata": {"managedFields": [
                {"manager": "argosy", "operation": "Apply", "fieldsV1": fields},
                {"manager": "other", "operation": "Update", "fieldsV1": {"f:data": {"f:theirs": {}}}}]},
            "data": {"kept": "1", "gone": "2", "theirs": "3"}, "ports": [{"port": 80}], "finalizers": ["a"],
        });
        let manifest = json!({
            "metadata": {"name": "a"}, "data": {"kept": "1"}, "ports": [{"port": 80}], "finalizers": ["a"]});
        assert_eq!(
            compare(&manifest, &live),
            [
                "data.gone: stated no more",
                "finalizers: \"b\" stated no more",
                "ports[{\"port\":81}]: stated no more",
            ]
        );
    }
}
