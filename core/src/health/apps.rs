//! `apps`: workloads, as `kubectl rollout status` sees them.

use serde_json::Value;

use super::Verdict;
use super::conditions::{condition, count, flag, is_set, is_unobserved, number, text};
use super::rules::Rule;
use crate::key::split_api_version;

const REPLICAS: &[&str] = &["spec", "replicas"];

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Deployment" => Some(Rule::Own(deployment)),
        "StatefulSet" => Some(Rule::Own(stateful_set)),
        "DaemonSet" => Some(Rule::Own(daemon_set)),
        "ReplicaSet" => Some(Rule::Own(replica_set)),
        _ => None,
    }
}

/// Says that an object is of a version that its rule was not made for. Items of lists state none.
pub(super) fn unsupported(object: &Value, kind: &str, short: &str, versions: &[&str]) -> Option<Verdict> {
    let api_version = text(object, &["apiVersion"]);
    let (_, version) = split_api_version(api_version);
    let known = api_version.is_empty() || versions.contains(&version);
    (!known).then(|| Verdict::unknown(format!("unsupported {short} GVK: {api_version}, Kind={kind}")))
}

fn deployment(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "Deployment", "Deployment", &["v1"]) {
        return verdict;
    }
    if flag(object, &["spec", "paused"]) {
        return Verdict::suspended("Deployment is paused");
    }
    if is_unobserved(object) {
        return Verdict::progressing(
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        );
    }
    let progress = condition(object, "Progressing");
    if progress.is_some_and(|condition| condition.reason() == "ProgressDeadlineExceeded") {
        let name = text(object, &["metadata", "name"]);
        return Verdict::degraded(format!("Deployment \"{name}\" exceeded its progress deadline"));
    }
    let updated = count(object, &["status", "updatedReplicas"]);
    let available = count(object, &["status", "availableReplicas"]);
    let replicas = count(object, &["status", "replicas"]);
    match number(object, REPLICAS) {
        Some(desired) if updated < desired => Verdict::progressing(format!(
            "Waiting for rollout to finish: {updated} out of {desired} new replicas have been updated..."
        )),
        _ if replicas > updated => Verdict::progressing(format!(
            "Waiting for rollout to finish: {} old replicas are pending termination...",
            replicas.saturating_sub(updated)
        )),
        _ if available < updated => Verdict::progressing(format!(
            "Waiting for rollout to finish: {available} of {updated} updated replicas are available..."
        )),
        _ => Verdict::healthy(""),
    }
}

fn stateful_set(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "StatefulSet", "StatefulSet", &["v1"]) {
        return verdict;
    }
    if count(object, &["status", "observedGeneration"]) == 0 || is_unobserved(object) {
        return Verdict::progressing("Waiting for statefulset spec update to be observed...");
    }
    let desired = number(object, REPLICAS);
    let ready = count(object, &["status", "readyReplicas"]);
    let updated = count(object, &["status", "updatedReplicas"]);
    if let Some(desired) = desired.filter(|desired| ready < *desired) {
        return Verdict::progressing(format!(
            "Waiting for {} pods to be ready...",
            desired.saturating_sub(ready)
        ));
    }
    let strategy = text(object, &["spec", "updateStrategy", "type"]);
    if strategy == "OnDelete" {
        return Verdict::healthy(format!("statefulset has {ready} ready pods"));
    }
    // The revisions of a set with a partition differ for as long as it has one.
    if strategy == "RollingUpdate" && is_set(object, &["spec", "updateStrategy", "rollingUpdate"]) {
        let partition = number(object, &["spec", "updateStrategy", "rollingUpdate", "partition"]);
        let due = desired.zip(partition).map(|(desired, partition)| desired.saturating_sub(partition));
        return match due.filter(|due| updated < *due) {
            Some(due) => Verdict::progressing(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {due} new pods have been updated..."
            )),
            None => Verdict::healthy(format!(
                "partitioned roll out complete: {updated} new pods have been updated..."
            )),
        };
    }
    let revision = text(object, &["status", "updateRevision"]);
    let current = text(object, &["status", "currentRevision"]);
    if revision != current {
        return Verdict::progressing(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {revision}..."
        ));
    }
    let pods = count(object, &["status", "currentReplicas"]);
    Verdict::healthy(format!("statefulset rolling update complete {pods} pods at revision {current}..."))
}

fn daemon_set(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "DaemonSet", "DaemonSet", &["v1"]) {
        return verdict;
    }
    if is_unobserved(object) {
        return Verdict::progressing(
            "Waiting for rollout to finish: observed daemon set generation less than desired generation",
        );
    }
    let name = text(object, &["metadata", "name"]);
    let desired = count(object, &["status", "desiredNumberScheduled"]);
    let updated = count(object, &["status", "updatedNumberScheduled"]);
    let available = count(object, &["status", "numberAvailable"]);
    if text(object, &["spec", "updateStrategy", "type"]) == "OnDelete" {
        return Verdict::healthy(format!("daemon set {updated} out of {desired} new pods have been updated"));
    }
    if updated < desired {
        return Verdict::progressing(format!(
            "Waiting for daemon set \"{name}\" rollout to finish: {updated} out of {desired} new pods have been updated..."
        ));
    }
    if available < desired {
        return Verdict::progressing(format!(
            "Waiting for daemon set \"{name}\" rollout to finish: {available} of {desired} updated pods are available..."
        ));
    }
    Verdict::healthy("")
}

fn replica_set(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "ReplicaSet", "ReplicaSet", &["v1"]) {
        return verdict;
    }
    if is_unobserved(object) {
        return Verdict::progressing(
            "Waiting for rollout to finish: observed replica set generation less than desired generation",
        );
    }
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|condition| condition.is_true()) {
        return Verdict::degraded(failure.message());
    }
    let available = count(object, &["status", "availableReplicas"]);
    match number(object, REPLICAS) {
        Some(desired) if available < desired => Verdict::progressing(format!(
            "Waiting for rollout to finish: {available} out of {desired} new replicas are available..."
        )),
        _ => Verdict::healthy(""),
    }
}
