//! Daemon sets: one pod for every node; without nodes there is taken to be one.

use serde_json::{Value, json};

use super::replica_sets::living;
use super::{Look, hash, is_ready};
use crate::cluster::Place;

const REVISION: &str = "controller-revision-hash";

pub(super) fn reconcile(look: &mut Look<'_>) {
    if look.is_deleting() {
        return;
    }
    let template = look.object.pointer("/spec/template").cloned().unwrap_or_default();
    let revision = hash(&template);
    let wanted = look.cluster.count(&Place::new("", "nodes")).max(1);
    let rolls = look.object.pointer("/spec/updateStrategy/type").and_then(Value::as_str) != Some("OnDelete");
    let is_new = |pod: &Value| {
        let label = pod.pointer("/metadata/labels").and_then(|labels| labels.get(REVISION));
        label.and_then(Value::as_str) == Some(&revision)
    };
    let pods = living(look.controlled("", "pods"));
    let mut kept = 0;
    let mut rolled = false;
    for (key, pod) in &pods {
        let outdated = rolls && !rolled && !is_new(pod);
        if kept == wanted || outdated {
            rolled |= outdated;
            look.delete("", "pods", key, pod);
        } else {
            kept += 1;
        }
    }
    for _ in kept..wanted {
        look.make_pod(None, &template, &[(REVISION, &revision), ("pod-template-generation", "1")]);
    }
    let pods = living(look.controlled("", "pods"));
    let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
    let updated = pods.iter().filter(|(_, pod)| is_new(pod)).count();
    let mut status = json!({"observedGeneration": look.number("/metadata/generation"),
        "currentNumberScheduled": pods.len(), "desiredNumberScheduled": wanted, "numberMisscheduled": 0,
        "numberReady": ready});
    let counts = [
        ("updatedNumberScheduled", updated),
        ("numberAvailable", ready),
        ("numberUnavailable", wanted.saturating_sub(ready)),
    ];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        if let Some(map) = status.as_object_mut() {
            map.insert(field.to_owned(), count.into());
        }
    }
    look.set_status(status);
}
