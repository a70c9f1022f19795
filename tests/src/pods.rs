//! Plays the kubelet and the scheduler: a control plane without nodes makes pods, but nobody runs them.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name is null when the name is absent"
)]

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::wait;

/// How long the controllers may take to make the pods and to count them.
const PATIENCE: Duration = Duration::from_mins(1);

/// Annotations for the template of a workload whose pods' fate is a test's to say, also where something runs pods.
pub fn decided_by_the_test() -> Value {
    json!({"sim.argosy.dev/fate": "waits"})
}

/// What becomes of the pods of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They run, and pass their readiness probes.
    Ready,
    /// They run, and fail their readiness probes.
    Unready,
    /// Their container cannot start and is tried again and again.
    CrashLooping,
    /// They end well.
    Succeeded,
    /// They end with an error.
    Failed,
}

/// A workload that controllers make pods for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// A Deployment.
    Deployment,
    /// A `StatefulSet`.
    StatefulSet,
    /// A bare `ReplicaSet`.
    ReplicaSet,
    /// A Job.
    Job,
}

// === impl Fate ===

impl Fate {
    fn phase(self) -> &'static str {
        match self {
            Self::Ready | Self::Unready | Self::CrashLooping => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    fn container_state(self) -> Value {
        match self {
            Self::Ready | Self::Unready => json!({"running": {"startedAt": START}}),
            Self::CrashLooping => json!({"waiting": {
                "reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container",
            }}),
            Self::Succeeded => json!({"terminated": {"exitCode": 0, "reason": "Completed"}}),
            Self::Failed => json!({"terminated": {"exitCode": 1, "reason": "Error"}}),
        }
    }

    /// Returns the status that a kubelet would write for a pod.
    fn status(self, pod: &Value) -> Value {
        let ready = self == Self::Ready;
        let word = if ready { "True" } else { "False" };
        let containers: Vec<_> = pod
            .pointer("/spec/containers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|container| {
                json!({
                    "name": container["name"], "image": container["image"], "imageID": "", "ready": ready,
                    "started": ready, "restartCount": i32::from(self == Self::CrashLooping),
                    "state": self.container_state(),
                })
            })
            .collect();
        json!({
            "phase": self.phase(),
            "startTime": START,
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": START},
                {"type": "Initialized", "status": "True", "lastTransitionTime": START},
                {"type": "ContainersReady", "status": word, "lastTransitionTime": START},
                {"type": "Ready", "status": word, "lastTransitionTime": START},
            ],
            "containerStatuses": containers,
        })
    }
}

// === impl Workload ===

impl Workload {
    fn path(self, namespace: &str, name: &str) -> String {
        let (api, plural) = match self {
            Self::Deployment => ("apps/v1", "deployments"),
            Self::StatefulSet => ("apps/v1", "statefulsets"),
            Self::ReplicaSet => ("apps/v1", "replicasets"),
            Self::Job => ("batch/v1", "jobs"),
        };
        format!("/apis/{api}/namespaces/{namespace}/{plural}/{name}")
    }

    /// Tells whether the workload's own status shows the fate of all its pods.
    fn shows(self, fate: Fate, object: &Value) -> bool {
        let number = |path: &str| object.pointer(path).and_then(Value::as_i64).unwrap_or_default();
        if self == Self::Job {
            let condition = match fate {
                Fate::Succeeded => "Complete",
                Fate::Failed => "Failed",
                Fate::Ready => return number("/status/ready") == number("/spec/parallelism"),
                Fate::Unready | Fate::CrashLooping => return number("/status/active") > 0,
            };
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            return conditions
                .into_iter()
                .flatten()
                .any(|found| found["type"] == condition && found["status"] == "True");
        }
        let wanted = number("/spec/replicas");
        let seen = number("/status/observedGeneration") >= number("/metadata/generation");
        let current = self == Self::ReplicaSet || number("/status/updatedReplicas") == wanted;
        let total = number("/status/replicas") == wanted;
        let ready = number("/status/readyReplicas") == if fate == Fate::Ready { wanted } else { 0 };
        seen && current && total && ready
    }
}

/// A moment in the past; a pod that is ready since then is available at once.
const START: &str = "2024-01-01T00:00:00Z";

/// Makes all pods of a workload Ready, and waits until the workload's own status says so.
pub fn make_ready(
    plane: &ControlPlane,
    workload: Workload,
    namespace: &str,
    name: &str,
) -> anyhow::Result<()> {
    decide(plane, workload, namespace, name, Fate::Ready)
}

/// Gives all pods of a workload a fate, and waits until the workload's own status shows it.
///
/// Pods that the controllers make on the way, say during a rolling update, are given the same one.
pub fn decide(
    plane: &ControlPlane,
    workload: Workload,
    namespace: &str,
    name: &str,
    fate: Fate,
) -> anyhow::Result<()> {
    let path = workload.path(namespace, name);
    wait::poll(PATIENCE, &format!("{path} to be {fate:?}"), || {
        let object = plane.api().get(&path)?.context("it does not exist")?;
        decide_pods(plane, namespace, &selector(&object)?, fate)?;
        let object = plane.api().get(&path)?.context("it does not exist")?;
        anyhow::ensure!(workload.shows(fate, &object), "{}", object["status"]);
        anyhow::Ok(())
    })
}

/// Gives a fate to the pods that a label selector (`a=b,c=d`) chooses, and returns how many had another one.
pub fn decide_pods(
    plane: &ControlPlane,
    namespace: &str,
    selector: &str,
    fate: Fate,
) -> anyhow::Result<usize> {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let query = format!("{path}?labelSelector={}", selector.replace('=', "%3D").replace(',', "%2C"));
    let list = plane.api().get(&query)?.context("there is no list of pods")?;
    let mut changed = 0;
    for pod in list["items"].as_array().into_iter().flatten() {
        let wanted = fate.status(pod);
        let leaving = !pod["metadata"]["deletionTimestamp"].is_null();
        let over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let same = pod["status"]["containerStatuses"] == wanted["containerStatuses"]
            && pod["status"]["phase"] == wanted["phase"];
        if leaving || over || same {
            continue;
        }
        let name = pod["metadata"]["name"].as_str().context("a pod has no name")?;
        let status = format!("{path}/{name}/status");
        let patch = json!({"status": wanted, "metadata": {"uid": pod["metadata"]["uid"]}});
        let response = plane.api().call("PATCH", &status, Some(("application/merge-patch+json", &patch)))?;
        match response.status {
            200 => changed += 1,
            // Gone or replaced since the list was made.
            404 | 409 => {}
            code => anyhow::bail!("PATCH {status}: {code}: {}", response.body),
        }
    }
    Ok(changed)
}

fn selector(workload: &Value) -> anyhow::Result<String> {
    let labels = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let pairs = labels.context("the workload has no spec.selector.matchLabels")?.iter();
    let pairs: Vec<_> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    Ok(pairs.join(","))
}
