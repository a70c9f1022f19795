//! Deployments: a replica set for each state of the template; the old ones go once the new one is ready.

use serde_json::{Value, json};

use super::{CONTROLLER, Look, add_labels, conditions, hash, set_condition};
use crate::cluster::{Key, Place};
use crate::kinds::{metadata, rules};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

pub(super) fn reconcile(look: &mut Look<'_>) {
    if look.is_deleting() {
        return;
    }
    let template = look.object.pointer("/spec/template").cloned().unwrap_or_default();
    let name = format!("{}-{}", look.name(), hash(&template));
    let sets = look.controlled("apps", "replicasets");
    let paused = look.object.pointer("/spec/paused") == Some(&Value::Bool(true));
    let wanted = look.number("/spec/replicas");
    let current = sets.iter().find(|(key, _)| *key.name == *name).cloned();
    let recreate = look.object.pointer("/spec/strategy/type").and_then(Value::as_str) == Some("Recreate");
    let busy = sets.iter().any(|(key, set)| *key.name != *name && number(set, "/status/replicas") > 0);
    match &current {
        None if paused || recreate && busy => {}
        None => make_set(look, &name, &template, &sets, wanted),
        Some((key, set)) => scale(look, key, set, wanted),
    }
    let ready = current.as_ref().map_or(0, |(_, set)| number(set, "/status/readyReplicas"));
    if !paused && (recreate || current.is_some() && ready >= wanted) {
        for (key, set) in sets.iter().filter(|(key, _)| *key.name != *name) {
            scale(look, key, set, 0);
        }
    }
    forget(look, &name);
    say(look, &name);
}

fn number(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

fn revision(object: &Value) -> i64 {
    let annotations = object.pointer("/metadata/annotations");
    let text = annotations.and_then(|annotations| annotations.get(REVISION)).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn make_set(look: &mut Look<'_>, name: &str, template: &Value, sets: &[(Key, Value)], wanted: i64) {
    let revision = sets.iter().map(|(_, set)| revision(set)).max().unwrap_or_default() + 1;
    let hash = hash(template);
    let mut template = template.clone();
    let mut selector = look.object.pointer("/spec/selector").cloned().unwrap_or_default();
    if let Some(metadata) = metadata::of(&mut template) {
        add_labels(metadata, &[(HASH, &hash)]);
    }
    if let Some(labels) = crate::kinds::fill::made_in(&mut selector, "matchLabels") {
        labels.insert(HASH.to_owned(), hash.as_str().into());
    }
    let set = json!({"metadata": {"name": name, "labels": template.pointer("/metadata/labels"),
            "annotations": {REVISION: revision.to_string(),
                "deployment.kubernetes.io/desired-replicas": wanted.to_string(),
                "deployment.kubernetes.io/max-replicas": (wanted + (wanted + 3) / 4).to_string()}},
        "spec": {"replicas": wanted, "selector": selector, "template": template}});
    look.make("apps", "v1", "replicasets", set);
}

fn scale(look: &mut Look<'_>, key: &Key, set: &Value, replicas: i64) {
    if number(set, "/spec/replicas") == replicas {
        return;
    }
    let place = Place::new("apps", "replicasets");
    let Some(resource) = look.cluster.resource_at(&place) else { return };
    let mut new = set.clone();
    if let Some(spec) = rules::spec(&mut new) {
        spec.insert("replicas".to_owned(), replicas.into());
    }
    if let Some(metadata) = metadata::of(&mut new) {
        let generation = metadata.get("generation").and_then(Value::as_i64).unwrap_or_default();
        metadata.insert("generation".to_owned(), (generation + 1).into());
    }
    look.cluster.write_own(&resource, key, set, new, CONTROLLER, "");
}

/// Deletes the oldest of those sets that have no pods any more.
fn forget(look: &mut Look<'_>, name: &str) {
    let limit = usize::try_from(look.number("/spec/revisionHistoryLimit")).unwrap_or_default();
    let mut old: Vec<(Key, Value)> = look
        .controlled("apps", "replicasets")
        .into_iter()
        .filter(|(key, set)| {
            *key.name != *name && number(set, "/spec/replicas") == 0 && number(set, "/status/replicas") == 0
        })
        .collect();
    old.sort_by_key(|(_, set)| std::cmp::Reverse(revision(set)));
    for (key, set) in old.into_iter().skip(limit) {
        look.delete("apps", "replicasets", &key, &set);
    }
}

fn say(look: &mut Look<'_>, name: &str) {
    let sets = look.controlled("apps", "replicasets");
    let sum = |path: &str| sets.iter().map(|(_, set)| number(set, path)).sum::<i64>();
    let current = sets.iter().find(|(key, _)| *key.name == *name).map(|(_, set)| set.clone());
    let updated = current.as_ref().map_or(0, |set| number(set, "/status/replicas"));
    let (replicas, ready, wanted) =
        (sum("/status/replicas"), sum("/status/readyReplicas"), look.number("/spec/replicas"));
    let now = look.now.seconds();
    let mut all = conditions(&look.object);
    let available = ready >= wanted - wanted / 4;
    let complete = updated == wanted && ready == wanted && replicas == wanted;
    let state = |kind: &str, status: &str, reason: &str, message: String| json!({"type": kind, "status": status, "reason": reason, "message": message});
    let (status, reason, message) = if available {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    let availability = state("Available", status, reason, message.to_owned());
    let progress = if complete {
        let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
        state("Progressing", "True", "NewReplicaSetAvailable", message)
    } else {
        state("Progressing", "True", "ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing."))
    };
    for mut condition in [availability, progress] {
        let known = all.iter().find(|one| one.get("type") == condition.get("type"));
        let same = known.is_some_and(|known| known.get("reason") == condition.get("reason"));
        let updated = match (known.and_then(|known| known.get("lastUpdateTime")), same) {
            (Some(time), true) => time.clone(),
            _ => now.as_str().into(),
        };
        if let Some(map) = condition.as_object_mut() {
            map.insert("lastUpdateTime".to_owned(), updated);
        }
        set_condition(&mut all, condition, &now);
    }
    let mut status = json!({"terminatingReplicas": 0, "conditions": all});
    let counts = [
        ("observedGeneration", look.number("/metadata/generation")),
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("unavailableReplicas", wanted.max(replicas) - ready),
    ];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        if let Some(map) = status.as_object_mut() {
            map.insert(field.to_owned(), count.into());
        }
    }
    let mut new = look.object.clone();
    if let Some(map) = new.as_object_mut() {
        map.insert("status".to_owned(), status);
    }
    if let (Some(metadata), Some(set)) = (metadata::of(&mut new), &current)
        && let Some(annotations) = crate::kinds::fill::made(metadata, "annotations")
    {
        annotations.insert(REVISION.to_owned(), revision(set).to_string().into());
    }
    look.write(new, "status");
}
