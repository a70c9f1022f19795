//! Stateful sets: pods with names and claims of their own, one after the other.

use serde_json::{Value, json};

use super::replica_sets::living;
use super::{Look, hash, is_ready};
use crate::cluster::Key;
use crate::kinds::metadata;

const REVISION: &str = "controller-revision-hash";

pub(super) fn reconcile(look: &mut Look<'_>) {
    if look.is_deleting() {
        return;
    }
    let template = look.object.pointer("/spec/template").cloned().unwrap_or_default();
    let revision = format!("{}-{}", look.name(), hash(&template));
    let wanted = look.number("/spec/replicas");
    let ordered =
        look.object.pointer("/spec/podManagementPolicy").and_then(Value::as_str) != Some("Parallel");
    let rolls = look.object.pointer("/spec/updateStrategy/type").and_then(Value::as_str) != Some("OnDelete");
    let partition = look.number("/spec/updateStrategy/rollingUpdate/partition");
    let pods = living(look.controlled("", "pods"));
    let find = |ordinal: i64| pods.iter().find(|(key, _)| ordinal_of(key) == Some(ordinal));
    for ordinal in 0..wanted {
        match find(ordinal) {
            None => {
                make(look, ordinal, &template, &revision);
                if ordered {
                    break;
                }
            }
            Some((_, pod)) if ordered && !is_ready(pod) => break,
            Some(_) => {}
        }
    }
    for (key, pod) in &pods {
        if ordinal_of(key).is_none_or(|ordinal| ordinal >= wanted) {
            look.delete("", "pods", key, pod);
        }
    }
    let all_ready = (0..wanted).all(|ordinal| find(ordinal).is_some_and(|(_, pod)| is_ready(pod)));
    if rolls && all_ready {
        let outdated = (partition..wanted).rev().filter_map(find).find(|(_, pod)| !is_of(pod, &revision));
        if let Some((key, pod)) = outdated {
            look.delete("", "pods", key, pod);
        }
    }
    say(look, &revision);
}

fn ordinal_of(key: &Key) -> Option<i64> {
    key.name.rsplit_once('-')?.1.parse().ok()
}

fn is_of(pod: &Value, revision: &str) -> bool {
    let label = pod.pointer("/metadata/labels").and_then(|labels| labels.get(REVISION));
    label.and_then(Value::as_str) == Some(revision)
}

fn make(look: &mut Look<'_>, ordinal: i64, template: &Value, revision: &str) {
    let name = format!("{}-{ordinal}", look.name());
    let mut template = template.clone();
    let claims = look.object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).cloned();
    for claim in claims.unwrap_or_default() {
        let volume = metadata::text(&claim, "name").to_owned();
        let claim_name = format!("{volume}-{name}");
        let labels = look.object.pointer("/spec/selector/matchLabels").cloned();
        let object = json!({"metadata": {"name": claim_name, "labels": labels}, "spec": claim.get("spec")});
        // A claim outlives the set: nobody owns it.
        look.cluster.make_own(
            "",
            "v1",
            "persistentvolumeclaims",
            &look.key.namespace,
            object,
            super::CONTROLLER,
        );
        if let Some(spec) = crate::kinds::rules::spec(&mut template) {
            crate::kinds::fill::fill(spec, "volumes", json!([]));
            if let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
                volumes.retain(|one| one.get("name").and_then(Value::as_str) != Some(&volume));
                volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": claim_name}}));
            }
        }
    }
    let ordinal = ordinal.to_string();
    let labels = [
        ("apps.kubernetes.io/pod-index", ordinal.as_str()),
        ("statefulset.kubernetes.io/pod-name", name.as_str()),
        (REVISION, revision),
    ];
    if let Some(spec) = crate::kinds::rules::spec(&mut template) {
        spec.insert("hostname".to_owned(), name.as_str().into());
        if let Some(service) = look.object.pointer("/spec/serviceName") {
            spec.insert("subdomain".to_owned(), service.clone());
        }
    }
    look.make_pod(Some(&name), &template, &labels);
}

fn say(look: &mut Look<'_>, revision: &str) {
    let pods = living(look.controlled("", "pods"));
    let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
    let updated = pods.iter().filter(|(_, pod)| is_of(pod, revision)).count();
    let before = look.object.pointer("/status/currentRevision").and_then(Value::as_str).unwrap_or(revision);
    let done = updated == pods.len() && i64::try_from(ready) == Ok(look.number("/spec/replicas"));
    let current = if done { revision } else { before };
    let of_current = pods.iter().filter(|(_, pod)| is_of(pod, current)).count();
    let mut status = json!({"observedGeneration": look.number("/metadata/generation"), "replicas": pods.len(),
        "availableReplicas": ready, "currentRevision": current, "updateRevision": revision, "collisionCount": 0});
    let counts = [("readyReplicas", ready), ("currentReplicas", of_current), ("updatedReplicas", updated)];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        if let Some(map) = status.as_object_mut() {
            map.insert(field.to_owned(), count.into());
        }
    }
    look.set_status(status);
}
