//! Simple controllers that make workloads come to life: pods become ready by themselves, and whatever makes pods says
//! so in its status. They know no nodes: every pod runs, somewhere.

mod daemon_sets;
mod deployments;
mod jobs;
mod pods;
mod replica_sets;
mod resources;
mod stateful_sets;
mod storage;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, Key, Place, Time};
use crate::kinds::{Resource, metadata};

/// Who the controllers are to others.
const CONTROLLER: &str = "kube-controller-manager";

/// One look of a controller at one object.
struct Look<'a> {
    cluster: &'a mut Cluster,
    resource: Arc<Resource>,
    key: &'a Key,
    object: Value,
    now: Time,
}

/// Tells whether a controller looks at a kind.
pub(crate) fn cares(group: &str, plural: &str) -> bool {
    matches!(
        (group, plural),
        ("", "pods" | "persistentvolumeclaims" | "persistentvolumes" | "services")
            | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
            | ("batch", "jobs")
            | ("networking.k8s.io", "ingresses")
            | ("storage.k8s.io", "volumeattributesclasses")
    )
}

/// Lets the controller of a kind look at an object.
pub(crate) fn reconcile(cluster: &mut Cluster, place: &Arc<Place>, key: &Key) {
    let Some(mut look) = Look::at(cluster, place, key) else { return };
    match (place.group.as_str(), place.plural.as_str()) {
        ("", "pods") => pods::begin(&mut look),
        ("", "services") | ("networking.k8s.io", _) => storage::address(&mut look),
        ("" | "storage.k8s.io", _) => storage::volumes(&mut look),
        ("apps", "deployments") => deployments::reconcile(&mut look),
        ("apps", "replicasets") => replica_sets::reconcile(&mut look),
        ("apps", "statefulsets") => stateful_sets::reconcile(&mut look),
        ("apps", "daemonsets") => daemon_sets::reconcile(&mut look),
        ("batch", "jobs") => jobs::reconcile(&mut look),
        _ => {}
    }
}

/// A pod has had its time to become ready.
pub(crate) fn ready(cluster: &mut Cluster, key: &Key) {
    if let Some(mut look) = Look::at(cluster, &Arc::new(Place::new("", "pods")), key) {
        pods::ready(&mut look);
    }
}

// === impl Look ===

impl<'a> Look<'a> {
    fn at(cluster: &'a mut Cluster, place: &Arc<Place>, key: &'a Key) -> Option<Self> {
        let resource = cluster.resource_at(place)?;
        let object = cluster.object(place, key)?.value(&resource);
        let now = cluster.now();
        Some(Self { cluster, resource, key, object, now })
    }

    fn uid(&self) -> &str {
        metadata::text(&self.object, "uid")
    }

    fn name(&self) -> &str {
        &self.key.name
    }

    fn is_deleting(&self) -> bool {
        !metadata::text(&self.object, "deletionTimestamp").is_empty()
    }

    fn number(&self, path: &str) -> i64 {
        self.object.pointer(path).and_then(Value::as_i64).unwrap_or_default()
    }

    /// Gives the objects of a kind that this one controls, by name.
    fn controlled(&self, group: &str, plural: &str) -> Vec<(Key, Value)> {
        self.cluster.controlled(&Place::new(group, plural), self.uid())
    }

    /// Makes an object that this one controls.
    fn make(&mut self, group: &str, version: &str, plural: &str, mut object: Value) {
        let owner = json!({"apiVersion": self.resource.api_version(), "kind": self.resource.kind,
            "name": self.name(), "uid": self.uid(), "controller": true, "blockOwnerDeletion": true});
        if let Some(metadata) = metadata::of(&mut object) {
            metadata.insert("ownerReferences".to_owned(), json!([owner]));
        }
        self.cluster.make_own(group, version, plural, &self.key.namespace, object, CONTROLLER);
    }

    /// Deletes an object.
    fn delete(&mut self, group: &str, plural: &str, key: &Key, object: &Value) {
        let uid = metadata::text(object, "uid").to_owned();
        let propagation = crate::cluster::Propagation::Background;
        self.cluster.delete_own(&Place::new(group, plural), key, &uid, propagation);
    }

    /// Writes a status, if it says something new.
    fn set_status(&mut self, status: Value) {
        let mut new = self.object.clone();
        if let Some(map) = new.as_object_mut() {
            map.insert("status".to_owned(), status);
        }
        self.write(new, "status");
    }

    /// Writes an object's next state.
    fn write(&mut self, new: Value, subresource: &str) {
        let old = std::mem::replace(&mut self.object, new.clone());
        self.cluster.write_own(&self.resource.clone(), self.key, &old, new, CONTROLLER, subresource);
        if let Some(object) = self.cluster.object(&crate::cluster::place_of(&self.resource), self.key) {
            self.object = object.value(&self.resource);
        }
    }

    /// Makes the pod that a template describes.
    fn make_pod(&mut self, name: Option<&str>, template: &Value, labels: &[(&str, &str)]) {
        let mut pod = json!({"metadata": template.get("metadata").cloned().unwrap_or_default(),
            "spec": template.get("spec").cloned().unwrap_or_default()});
        let prefix = format!("{}-", self.name());
        if let Some(metadata) = metadata::of(&mut pod) {
            match name {
                Some(name) => metadata.insert("name".to_owned(), name.into()),
                None => metadata.insert("generateName".to_owned(), prefix.into()),
            };
            add_labels(metadata, labels);
        }
        self.make("", "v1", "pods", pod);
    }
}

fn add_labels(metadata: &mut Map<String, Value>, labels: &[(&str, &str)]) {
    if let Some(map) = crate::kinds::fill::made(metadata, "labels") {
        for (key, value) in labels {
            map.insert((*key).to_owned(), (*value).into());
        }
    }
}

/// Tells whether a pod is ready.
fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some("Ready")
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// Tells whether a pod has ended.
fn has_ended(pod: &Value) -> bool {
    has_phase(pod, "Succeeded") || has_phase(pod, "Failed")
}

fn has_phase(pod: &Value, phase: &str) -> bool {
    pod.pointer("/status/phase").and_then(Value::as_str) == Some(phase)
}

/// Names a state of a template: equal templates have equal names.
fn hash(template: &Value) -> String {
    const LETTERS: [char; 27] = [
        'b', 'c', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'q', 'r', 's', 't', 'v', 'w', 'x', 'z',
        '2', '4', '5', '6', '7', '8', '9',
    ];
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in template.to_string().bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut name = String::new();
    while name.len() < 10 {
        let at = usize::try_from(state % 27).unwrap_or_default();
        name.push(LETTERS.get(at).copied().unwrap_or('b'));
        state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }
    name
}

/// Writes a condition into others; its time of transition stays while its status does.
fn set_condition(conditions: &mut Vec<Value>, mut condition: Value, now: &str) {
    let field = |condition: &Value, name: &str| condition.get(name).cloned().unwrap_or_default();
    let known = conditions.iter_mut().find(|one| field(one, "type") == field(&condition, "type"));
    let same = known.as_ref().is_some_and(|known| field(known, "status") == field(&condition, "status"));
    let since = match (&known, same) {
        (Some(known), true) => field(known, "lastTransitionTime"),
        _ => now.into(),
    };
    if let Some(map) = condition.as_object_mut() {
        map.insert("lastTransitionTime".to_owned(), since);
    }
    match known {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

/// Gives a copy of the conditions that a status has.
fn conditions(object: &Value) -> Vec<Value> {
    object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default()
}
