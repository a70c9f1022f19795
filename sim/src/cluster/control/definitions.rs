//! Definitions: their names are accepted, their kinds served, and at their end their objects go first.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::call::Propagation;
use super::super::delete::CLEANUP;
use super::super::store::{Key, Place};
use super::super::{Cluster, Object};
use super::Job;
use crate::kinds::fill::made_in;
use crate::kinds::{Resource, custom, metadata};

const API_SERVER: &str = "kube-apiserver";

// === impl Cluster ===

impl Cluster {
    /// Looks at a definition: accepts its names, serves its kind, or ends it.
    pub(super) fn define(&mut self, name: &str) {
        let place = Place::new("apiextensions.k8s.io", "customresourcedefinitions");
        let key = Key::new("", name);
        let Some(object) = self.store.get(&place, &key).cloned() else {
            self.undefine(name);
            return;
        };
        let Some(resource) = self.resource_at(&place) else { return };
        let old = object.value(&resource);
        if object.is_deleting() {
            self.end_definition(&place, &key, &old);
            return;
        }
        let mut new = old.clone();
        let accepted = self.names(name, &old);
        accept(&mut new, accepted, &self.now.seconds());
        self.write_own(&resource, &key, &old, new, API_SERVER, "status");
        let Some(current) = self.store.get(&place, &key) else { return };
        let current = current.value(&resource);
        let established = condition(&current, "Established") == Some("True");
        self.undefine(name);
        if established {
            for served in custom::of_definition(&current) {
                if served.custom().is_some_and(|custom| custom.storage_version == served.version) {
                    self.renew_objects(&served);
                }
                let at = (served.group.clone(), served.plural.clone(), served.version.clone());
                self.custom.insert(at, Arc::new(served));
            }
        }
    }

    /// No longer serves the kinds of a definition.
    pub(super) fn undefine(&mut self, name: &str) {
        self.custom.retain(|_, resource| resource.custom().is_none_or(|custom| custom.definition != name));
    }

    fn end_definition(&mut self, place: &Place, key: &Key, definition: &Value) {
        let text = |path: &str| definition.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let objects = Place::new(text("/spec/group"), text("/spec/names/plural"));
        let left: Vec<(Key, String, bool)> = self
            .store
            .objects(&objects)
            .map(|(key, object)| (key.clone(), object.uid().to_owned(), object.is_deleting()))
            .collect();
        for (key, uid, deleting) in &left {
            if !deleting {
                self.delete_own(&objects, key, uid, Propagation::Background);
            }
        }
        if self.store.objects(&objects).next().is_none() {
            self.end_cleanup(place, key, definition);
        } else if left.iter().any(|(_, _, deleting)| !deleting) {
            self.soon(Job::Define(key.name.clone()));
        }
    }

    /// Says that the objects of a definition have gone, and lets go of it.
    fn end_cleanup(&mut self, place: &Place, key: &Key, definition: &Value) {
        let Some(resource) = self.resource_at(place) else { return };
        let mut new = definition.clone();
        let finalizers = metadata::of(&mut new).and_then(|metadata| metadata.get_mut("finalizers"));
        let Some(list) = finalizers.and_then(Value::as_array_mut) else { return };
        if !list.iter().any(|one| one == CLEANUP) {
            return;
        }
        list.retain(|one| one != CLEANUP);
        if list.is_empty()
            && let Some(metadata) = metadata::of(&mut new)
        {
            metadata.remove("finalizers");
        }
        let conditions = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
        let mut conditions = conditions.into_iter().flatten();
        if let Some(condition) =
            conditions.find(|one| one.get("type").and_then(Value::as_str) == Some("Terminating"))
        {
            *condition = json!({"type": "Terminating", "status": "False", "lastTransitionTime": self.now.seconds(),
                "reason": "InstanceDeletionCompleted", "message": "removed all instances"});
        }
        self.write_own(&resource, key, definition, new, API_SERVER, "status");
    }

    /// Brings the objects of a kind to the form of its schema; to whoever reads them, they always had it.
    fn renew_objects(&mut self, resource: &Resource) {
        let place = super::super::place_of(resource);
        let objects: Vec<(Key, Arc<Object>)> =
            self.store.objects(&place).map(|(key, object)| (key.clone(), object.clone())).collect();
        for (key, object) in objects {
            let old = object.value(resource);
            let mut new = old.clone();
            if let Some(custom) = resource.custom() {
                custom.conform(&mut new);
            }
            if new != old {
                self.store.amend(&place, &key, Object::encode(&new));
            }
        }
    }

    /// Looks which names of a definition are free.
    fn names(&self, definition: &str, value: &Value) -> Accepted {
        let stated = value.pointer("/spec/names").cloned().unwrap_or_default();
        let group = value.pointer("/spec/group").and_then(Value::as_str).unwrap_or_default();
        // Also of definitions of which no version is served.
        let others: Vec<Value> = self
            .store
            .objects(&Place::new("apiextensions.k8s.io", "customresourcedefinitions"))
            .filter(|(key, _)| &*key.name != definition)
            .map(|(_, object)| object.bare())
            .filter(|other| other.pointer("/spec/group").and_then(Value::as_str) == Some(group))
            .filter_map(|other| other.pointer("/status/acceptedNames").cloned())
            .collect();
        let have = |fields: &[&str], name: &str| {
            let mut values =
                others.iter().flat_map(|names| fields.iter().filter_map(|field| names.get(*field)));
            values.any(|value| {
                value == name || value.as_array().is_some_and(|list| list.iter().any(|one| one == name))
            })
        };
        let plain = |name: &str| have(&["plural", "singular", "shortNames"], name);
        let kinds = |name: &str| have(&["kind", "listKind"], name);
        let mut accepted = Accepted {
            names: value.pointer("/status/acceptedNames").cloned().unwrap_or_else(|| json!({})),
            conflict: None,
        };
        let Some(names) = accepted.names.as_object_mut() else { return accepted };
        for (field, reason) in [
            ("plural", "PluralConflict"),
            ("singular", "SingularConflict"),
            ("shortNames", "ShortNamesConflict"),
            ("kind", "KindConflict"),
            ("listKind", "ListKindConflict"),
        ] {
            let Some(name) = stated.get(field) else {
                names.remove(field);
                continue;
            };
            let taken: Vec<String> = match (field, name) {
                ("shortNames", Value::Array(list)) => list.iter().collect(),
                (_, name) => vec![name],
            }
            .into_iter()
            .filter_map(Value::as_str)
            .filter(|name| if matches!(field, "kind" | "listKind") { kinds(name) } else { plain(name) })
            .map(|name| format!("\"{name}\" is already in use"))
            .collect();
            match taken.as_slice() {
                [] => {
                    names.insert(field.to_owned(), name.clone());
                }
                [one] => accepted.conflict = Some((reason, one.clone())),
                many => accepted.conflict = Some((reason, format!("[{}]", many.join(", ")))),
            }
        }
        match stated.get("categories") {
            Some(categories) => names.insert("categories".to_owned(), categories.clone()),
            None => names.remove("categories"),
        };
        accepted
    }
}

/// The names that a definition may have.
struct Accepted {
    names: Value,
    /// Why not all: a word and a sentence.
    conflict: Option<(&'static str, String)>,
}

fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a str> {
    let all = definition.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|one| one.get("type").and_then(Value::as_str) == Some(kind))?.get("status")?.as_str()
}

/// Writes whether the names are accepted, and with them the kind established.
fn accept(definition: &mut Value, accepted: Accepted, now: &str) {
    let was_established = condition(definition, "Established") == Some("True");
    let free = accepted.conflict.is_none();
    let Some(status) = made_in(definition, "status") else { return };
    status.insert("acceptedNames".to_owned(), accepted.names);
    let mut conditions = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    match accepted.conflict {
        None => {
            set_condition(&mut conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now);
        }
        Some((reason, why)) => set_condition(&mut conditions, "NamesAccepted", "False", reason, &why, now),
    }
    if free {
        let message = "the initial names have been accepted";
        set_condition(&mut conditions, "Established", "True", "InitialNamesAccepted", message, now);
    } else if !was_established {
        set_condition(
            &mut conditions,
            "Established",
            "False",
            "NotAccepted",
            "not all names are accepted",
            now,
        );
    }
    status.insert("conditions".to_owned(), conditions.into());
}

fn set_condition(
    conditions: &mut Vec<Value>,
    kind: &str,
    truth: &str,
    reason: &str,
    message: &str,
    now: &str,
) {
    let mut condition = json!({"type": kind, "status": truth, "reason": reason, "message": message,
        "lastTransitionTime": now});
    let known = conditions.iter_mut().find(|one| one.get("type").and_then(Value::as_str) == Some(kind));
    match known {
        Some(known) => {
            if known.get("status").and_then(Value::as_str) == Some(truth)
                && let (Some(since), Some(map)) =
                    (known.get("lastTransitionTime").cloned(), condition.as_object_mut())
            {
                map.insert("lastTransitionTime".to_owned(), since);
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
}
