//! Pods: they run after the time that the cluster says, and those that may end do so at once. What a container would do is
//! nowhere written, so a pod's annotation [`FATE`] may say that it never starts (`waits`) or that it fails (`fails`).

use serde_json::{Value, json};

use super::{Look, has_ended, is_ready};
use crate::cluster::{Cluster, Job, Key};

/// The annotation of a pod, or of the template that it is made from, that says what becomes of it.
const FATE: &str = "sim.argosy.dev/fate";

/// What becomes of a pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It runs; one that may end ends well.
    Runs,
    /// It goes on waiting to start.
    Waits,
    /// Its containers end with an error; where they are started again, again and again.
    Fails,
}

impl Fate {
    fn of(pod: &Value) -> Self {
        let annotations = pod.pointer("/metadata/annotations");
        match annotations.and_then(|all| all.get(FATE)).and_then(Value::as_str) {
            Some("waits") => Self::Waits,
            Some("fails") => Self::Fails,
            Some(_) | None => Self::Runs,
        }
    }

    /// Gives the pod's phase, whether it is ready, and the state of its containers.
    fn outcome(self, ends: bool, now: &str) -> (&'static str, &'static str, Value) {
        let ended = |code: u8, reason: &str| json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now}});
        match (self, ends) {
            (Self::Fails, true) => ("Failed", "False", ended(1, "Error")),
            (Self::Fails, false) => {
                let message = "back-off 10s restarting failed container";
                let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
                ("Running", "False", waiting)
            }
            (Self::Runs | Self::Waits, true) => ("Succeeded", "False", ended(0, "Completed")),
            (Self::Runs | Self::Waits, false) => ("Running", "True", json!({"running": {"startedAt": now}})),
        }
    }
}

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
    let fate = Fate::of(&look.object);
    if look.is_deleting() || is_ready(&look.object) || has_ended(&look.object) || fate == Fate::Waits {
        return;
    }
    let now = look.now.seconds();
    let ends = look.object.pointer("/spec/restartPolicy").and_then(Value::as_str) != Some("Always");
    let (phase, ready, state) = fate.outcome(ends, &now);
    let containers =
        look.object.pointer("/spec/containers").and_then(Value::as_array).cloned().unwrap_or_default();
    let states: Vec<Value> =
        containers.iter().map(|container| container_status(container, ready == "True", &state)).collect();
    let number = Cluster::number_of(look.key);
    let address = format!("10.244.{}.{}", number / 250 % 250, number % 250 + 2);
    let mut status = look.object.get("status").cloned().unwrap_or_else(|| json!({}));
    if let Some(map) = status.as_object_mut() {
        map.insert("phase".to_owned(), phase.into());
        map.insert("conditions".to_owned(), conditions(&now, ready));
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

fn container_status(container: &Value, ready: bool, state: &Value) -> Value {
    let text = |field: &str| container.get(field).and_then(Value::as_str).unwrap_or_default();
    let restarts = u8::from(state.get("waiting").is_some());
    json!({"name": text("name"), "image": text("image"), "imageID": "", "ready": ready,
        "restartCount": restarts, "started": ready, "state": state, "lastState": {}})
}
