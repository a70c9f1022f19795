//! The end of a namespace: its contents go, then it goes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Cluster;
use super::super::call::Propagation;
use super::super::store::{Key, Place};
use crate::kinds::{built_in, metadata, rules};

const CONTROLLER: &str = "kube-controller-manager";

// === impl Cluster ===

impl Cluster {
    /// Deletes what a namespace that goes holds, and lets it go once nothing is left.
    pub(super) fn empty_namespace(&mut self, name: &str) {
        let (place, key) = (Place::new("", "namespaces"), Key::new("", name));
        let Some(namespace) =
            self.store.get(&place, &key).filter(|namespace| namespace.is_deleting()).cloned()
        else {
            return;
        };
        let contents: Vec<(Arc<Place>, Key, String)> = self
            .store
            .all()
            .filter(|(_, key, object)| *key.namespace == *name && !object.is_deleting())
            .map(|(place, key, object)| (place.clone(), key.clone(), object.uid().to_owned()))
            .collect();
        for (place, key, uid) in contents {
            self.delete_own(&place, &key, &uid, Propagation::Background);
        }
        let Some(resource) = built_in().iter().find(|resource| resource.is("", "namespaces")) else { return };
        let old = namespace.value(resource);
        let mut new = old.clone();
        let left = self.left(name);
        if left.is_empty() {
            if let Some(finalizers) =
                rules::spec(&mut new).and_then(|spec| spec.get_mut("finalizers")?.as_array_mut())
            {
                finalizers.retain(|one| one != "kubernetes");
            }
            if let Some(spec) = rules::spec(&mut new)
                && spec.get("finalizers").and_then(Value::as_array).is_some_and(Vec::is_empty)
            {
                spec.remove("finalizers");
            }
        }
        let now = self.now.seconds();
        set_conditions(&mut new, &left, &now);
        self.write_own(resource, &key, &old, new, CONTROLLER, "status");
    }

    /// Gives what is left in a namespace: kinds with their numbers, and finalizers with theirs.
    fn left(&self, name: &str) -> Left {
        let mut left = Left::default();
        for (place, key, object) in self.store.all() {
            if *key.namespace != *name {
                continue;
            }
            let kind = if place.group.is_empty() {
                place.plural.clone()
            } else {
                format!("{}.{}", place.plural, place.group)
            };
            *left.kinds.entry(kind).or_default() += 1;
            for finalizer in metadata::texts(&object.bare(), "finalizers") {
                *left.finalizers.entry(finalizer.to_owned()).or_default() += 1;
            }
        }
        left
    }
}

#[derive(Debug, Default)]
struct Left {
    kinds: std::collections::BTreeMap<String, usize>,
    finalizers: std::collections::BTreeMap<String, usize>,
}

// === impl Left ===

impl Left {
    fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    fn told(map: &std::collections::BTreeMap<String, usize>, verb: &str) -> String {
        let parts: Vec<String> =
            map.iter().map(|(what, count)| format!("{what} {verb} {count} resource instances")).collect();
        parts.join(", ")
    }
}

fn set_conditions(namespace: &mut Value, left: &Left, now: &str) {
    let all = [
        (
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered".to_owned(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        (
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            if left.is_empty() {
                "All content successfully deleted".to_owned()
            } else {
                "All content successfully deleted, may be waiting on finalization".to_owned()
            },
        ),
        if left.is_empty() {
            (
                "NamespaceContentRemaining",
                false,
                "ContentRemoved",
                "All content successfully removed".to_owned(),
            )
        } else {
            let told = Left::told(&left.kinds, "has");
            (
                "NamespaceContentRemaining",
                true,
                "SomeResourcesRemain",
                format!("Some resources are remaining: {told}"),
            )
        },
        if left.finalizers.is_empty() {
            (
                "NamespaceFinalizersRemaining",
                false,
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished".to_owned(),
            )
        } else {
            let told = Left::told(&left.finalizers, "in");
            (
                "NamespaceFinalizersRemaining",
                true,
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {told}"),
            )
        },
    ];
    let Some(status) = rules::status(namespace) else { return };
    let before = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let conditions: Vec<Value> = all
        .into_iter()
        .map(|(kind, truth, reason, message)| {
            let truth = if truth { "True" } else { "False" };
            let known = before.iter().find(|one| {
                one.get("type").and_then(Value::as_str) == Some(kind)
                    && one.get("status").and_then(Value::as_str) == Some(truth)
            });
            let since = known.and_then(|one| one.get("lastTransitionTime")).cloned().unwrap_or_else(|| now.into());
            json!({"type": kind, "status": truth, "reason": reason, "message": message, "lastTransitionTime": since})
        })
        .collect();
    status.insert("conditions".to_owned(), conditions.into());
}
