//! Pods: they run after the time that the cluster says, and those that may end do so at once.

use serde_json::{Value, json};

use super::{Look, has_ended, is_ready};
use crate::cluster::{Cluster, Job, Key};

/// A pod that nobody has seen yet begins to start.
pub(super) fn begin(look: &mut Look<'_>) {
    if look.is_deleting() || look.object.pointer("/status/startTime").is_some() || has_ended(&look.object) {
        return;
    }
    let now = look.now.seconds();
    let mut status = look.object.get("status").cloned().unwrap_or_else(|| json!({}));
    if let Some(map) = status.as_object_mut() {
        map.insert("startTime".to_owned(), now.as_str().into());
        map.insert("phase".to_owned(), "Pending".into());
        map.insert("conditions".to_owned(), conditions(&now, "False"));
    }
    let due = look.now.plus(look.cluster.config().ready_after);
    look.cluster.at(due, Job::Ready(Key::clone(look.key)));
    look.set_status(status);
}

/// A pod has had its time to start.
pub(super) fn ready(look: &mut Look<'_>) {
    if look.is_deleting() || is_ready(&look.object) || has_ended(&look.object) {
        return;
    }
    let now = look.now.seconds();
    let ends = look.object.pointer("/spec/restartPolicy").and_then(Value::as_str) != Some("Always");
    let containers =
        look.object.pointer("/spec/containers").and_then(Value::as_array).cloned().unwrap_or_default();
    let states: Vec<Value> =
        containers.iter().map(|container| container_status(container, ends, &now)).collect();
    let number = Cluster::number_of(look.key);
    let address = format!("10.244.{}.{}", number / 250 % 250, number % 250 + 2);
    let mut status = look.object.get("status").cloned().unwrap_or_else(|| json!({}));
    if let Some(map) = status.as_object_mut() {
        map.insert("phase".to_owned(), if ends { "Succeeded" } else { "Running" }.into());
        map.insert("conditions".to_owned(), conditions(&now, if ends { "False" } else { "True" }));
        map.insert("containerStatuses".to_owned(), states.into());
        map.insert("podIP".to_owned(), address.as_str().into());
        map.insert("podIPs".to_owned(), json!([{"ip": address}]));
    }
    look.set_status(status);
}

fn conditions(now: &str, ready: &str) -> Value {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": now});
    json!([
        condition("PodScheduled", "True"),
        condition("Initialized", "True"),
        condition("ContainersReady", ready),
        condition("Ready", ready)
    ])
}

fn container_status(container: &Value, ended: bool, now: &str) -> Value {
    let text = |field: &str| container.get(field).and_then(Value::as_str).unwrap_or_default();
    let state = if ended {
        json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}})
    } else {
        json!({"running": {"startedAt": now}})
    };
    json!({"name": text("name"), "image": text("image"), "imageID": "", "ready": !ended, "restartCount": 0,
        "started": !ended, "state": state, "lastState": {}})
}
