//! Replica sets: as many pods as they say.

use serde_json::{Value, json};

use super::{Look, has_ended, is_ready};
use crate::cluster::Key;

pub(super) fn reconcile(look: &mut Look<'_>) {
    if look.is_deleting() {
        return;
    }
    let mut pods = living(look.controlled("", "pods"));
    let wanted = usize::try_from(look.number("/spec/replicas")).unwrap_or_default();
    // Those that are not ready go first.
    pods.sort_by_key(|(_, pod)| !is_ready(pod));
    while pods.len() > wanted {
        if let Some((key, pod)) = pods.pop() {
            look.delete("", "pods", &key, &pod);
        }
    }
    let template = look.object.pointer("/spec/template").cloned().unwrap_or_default();
    for _ in pods.len()..wanted {
        look.make_pod(None, &template, &[]);
    }
    let pods = living(look.controlled("", "pods"));
    let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
    let mut status = json!({"replicas": pods.len(), "fullyLabeledReplicas": pods.len(), "terminatingReplicas": 0,
        "observedGeneration": look.number("/metadata/generation")});
    if let Some(map) = status.as_object_mut() {
        if pods.is_empty() {
            map.remove("fullyLabeledReplicas");
        }
        if ready > 0 {
            map.insert("readyReplicas".to_owned(), ready.into());
            map.insert("availableReplicas".to_owned(), ready.into());
        }
    }
    look.set_status(status);
}

/// Leaves out pods that have ended or are to go.
pub(super) fn living(pods: Vec<(Key, Value)>) -> Vec<(Key, Value)> {
    let lives = |pod: &Value| !has_ended(pod) && pod.pointer("/metadata/deletionTimestamp").is_none();
    pods.into_iter().filter(|(_, pod)| lives(pod)).collect()
}
