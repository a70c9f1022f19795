//! Definitions: their names are accepted, their kinds served, and at their end their objects go first.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::call::Propagation;
use super::super::delete::CLEANUP;
use super::super::store::{Key, Place};
use super::super::Cluster;
use super::Job;
use crate::kinds::{Resource, built_in, custom};

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
        let conflict = self.name_conflict(name, &old);
        accept(&mut new, conflict.as_deref(), &self.now.seconds());
        self.write_own(&resource, &key, &old, new, API_SERVER, "status");
        let Some(current) = self.store.get(&place, &key) else { return };
        let current = current.value(&resource);
        let established = condition(&current, "Established") == Some("True");
        self.undefine(name);
        if established {
            for served in custom::of_definition(&current) {
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
            self.take_finalizer(place, key, CLEANUP);
        } else if left.iter().any(|(_, _, deleting)| !deleting) {
            self.soon(Job::Define(key.name.clone()));
        }
    }

    /// Says which name of a definition another kind of its group has.
    fn name_conflict(&self, definition: &str, value: &Value) -> Option<String> {
        let names = value.pointer("/spec/names")?;
        let text = |field: &str| names.get(field).and_then(Value::as_str).unwrap_or_default();
        let group = value.pointer("/spec/group")?.as_str()?;
        let others = |resource: &&Arc<Resource>| {
            resource.group == group && resource.custom().is_none_or(|custom| custom.definition != definition)
        };
        let others: Vec<&Arc<Resource>> = built_in().iter().chain(self.custom.values()).filter(others).collect();
        let kind = text("kind");
        if others.iter().any(|other| other.kind == kind || other.list_kind == kind) {
            return Some(format!("\"{kind}\" is already in use"));
        }
        let plural = text("plural");
        if others.iter().any(|other| other.plural == plural || other.singular == plural) {
            return Some(format!("\"{plural}\" is already in use"));
        }
        None
    }
}

fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a str> {
    let all = definition.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|one| one.get("type").and_then(Value::as_str) == Some(kind))?.get("status")?.as_str()
}

/// Writes whether the names are accepted, and with them the kind established.
fn accept(definition: &mut Value, conflict: Option<&str>, now: &str) {
    let names = definition.pointer("/spec/names").cloned().unwrap_or_default();
    let was_established = condition(definition, "Established") == Some("True");
    let accepted = match conflict {
        None => ("NamesAccepted", "True", "NoConflicts", "no conflicts found".to_owned()),
        Some(why) => ("NamesAccepted", "False", "KindConflict", why.to_owned()),
    };
    let established = match (conflict, was_established) {
        (None, _) => ("Established", "True", "InitialNamesAccepted", "the initial names have been accepted".to_owned()),
        (Some(_), true) => return,
        (Some(_), false) => ("Established", "False", "NotAccepted", "not all names are accepted".to_owned()),
    };
    let Some(status) = crate::kinds::fill::made_in(definition, "status") else { return };
    if conflict.is_none() {
        status.insert("acceptedNames".to_owned(), names);
    }
    let mut conditions = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    for (kind, truth, reason, message) in [accepted, established] {
        set_condition(&mut conditions, kind, truth, reason, &message, now);
    }
    status.insert("conditions".to_owned(), conditions.into());
}

fn set_condition(conditions: &mut Vec<Value>, kind: &str, truth: &str, reason: &str, message: &str, now: &str) {
    let mut condition = json!({"type": kind, "status": truth, "reason": reason, "message": message,
        "lastTransitionTime": now});
    let known = conditions.iter_mut().find(|one| one.get("type").and_then(Value::as_str) == Some(kind));
    match known {
        Some(known) => {
            if known.get("status").and_then(Value::as_str) == Some(truth)
                && let (Some(since), Some(map)) = (known.get("lastTransitionTime").cloned(), condition.as_object_mut())
            {
                map.insert("lastTransitionTime".to_owned(), since);
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
}
