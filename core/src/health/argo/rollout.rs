//! Rollouts: their controller says the phase itself since 1.0; before that it is made out from counts.

use serde_json::Value;

use crate::health::conditions::{conditions, count, flag, is_set, list, number, text, whole};
use crate::health::{Health, Verdict};
use crate::json;

const WORKLOAD_GENERATION: &str = "rollout.argoproj.io/workload-generation";
const INVALID_STATUS: &str = "Lua returned an invalid health status";

/// Judges a rollout.
pub(in crate::health) fn rollout(object: &Value) -> Verdict {
    if !observed(object) {
        return Verdict::progressing("Waiting for rollout spec update to be observed");
    }
    let phase = text(object, &["status", "phase"]);
    if phase.is_empty() {
        return by_counts(object);
    }
    let message = text(object, &["status", "message"]);
    match phase {
        "Paused" => Verdict::suspended(message),
        _ => Health::parse(phase)
            .map_or_else(|| Verdict::unknown(INVALID_STATUS), |health| Verdict::new(health, message)),
    }
}

/// Tells whether the controller has seen the newest spec, and that of the workload that it refers to.
pub(in crate::health) fn observed(object: &Value) -> bool {
    if !is_set(object, &["status"]) {
        return false;
    }
    // A larger number, or no number, is the hash that versions before 1.0 wrote here.
    let newest = number(object, &["metadata", "generation"]);
    let seen = json::at(object, &["status", "observedGeneration"]).and_then(whole);
    let seen_spec = newest.zip(seen).is_none_or(|(newest, seen)| seen >= newest);
    let workload = json::at(object, &["metadata", "annotations", WORKLOAD_GENERATION]).and_then(whole);
    let seen_workload = json::at(object, &["status", "workloadObservedGeneration"]).and_then(whole);
    let refers = is_set(object, &["spec", "workloadRef"]);
    seen_spec && (!refers || workload.zip(seen_workload).is_none_or(|(newest, seen)| newest == seen))
}

fn by_counts(object: &Value) -> Verdict {
    for condition in conditions(object) {
        let stuck = matches!(condition.reason(), "RolloutAborted" | "ProgressDeadlineExceeded");
        if condition.kind() == "InvalidSpec" || (condition.kind() == "Progressing" && stuck) {
            return Verdict::degraded(condition.message());
        }
    }
    let pauses = list(object, &["status", "pauseConditions"]);
    if !pauses.is_empty() || flag(object, &["spec", "paused"]) {
        return Verdict::suspended("Rollout is paused");
    }
    if flag(object, &["status", "controllerPause"]) {
        return Verdict::progressing("Waiting for rollout to go on after its pause");
    }
    let hash = text(object, &["status", "currentPodHash"]);
    if hash.is_empty() {
        return Verdict::progressing("Waiting for rollout to finish: status has not been reconciled.");
    }
    let updated = count(object, &["status", "updatedReplicas"]);
    if updated < number(object, &["spec", "replicas"]).unwrap_or(1) {
        return Verdict::progressing("Waiting for roll out to finish: More replicas need to be updated");
    }
    if count(object, &["status", "availableReplicas"]) < updated {
        return Verdict::progressing(
            "Waiting for roll out to finish: updated replicas are still becoming available",
        );
    }
    by_strategy(object, hash, updated)
}

fn by_strategy(object: &Value, hash: &str, updated: i64) -> Verdict {
    let stable = json::text_at(object, &["status", "stableRS"])
        .unwrap_or_else(|| text(object, &["status", "canary", "stableRS"]));
    if is_set(object, &["spec", "strategy", "blueGreen"]) {
        if text(object, &["status", "blueGreen", "activeSelector"]) != hash {
            return Verdict::progressing("active service cutover pending");
        }
        if !stable.is_empty() && stable != hash {
            return Verdict::progressing("waiting for analysis to complete");
        }
    } else if is_set(object, &["spec", "strategy", "canary"]) {
        if count(object, &["status", "replicas"]) > updated {
            return Verdict::progressing(
                "Waiting for roll out to finish: old replicas are pending termination",
            );
        }
        if stable != hash {
            return Verdict::progressing("Waiting for rollout to finish steps");
        }
    }
    Verdict::healthy("")
}
