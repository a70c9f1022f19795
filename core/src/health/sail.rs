//! `sailoperator.io`: the control plane, the CNI plugin and ztunnel of a mesh, all of the cluster's scope.
//!
//! `status.state` is the reason of the first of the conditions Reconciled, Ready and `DependenciesHealthy` that is not
//! true. An `Istio` is Healthy only when `IstioCNI` and `ZTunnel` are, and these need it: the three belong in one wave.

use serde_json::Value;

use super::Verdict;
use super::conditions::{condition, conditions, count, is_set, is_unobserved, lagging, number, text};
use super::rules::Rule;
use super::surroundings::Surroundings;
use crate::key::ResourceKey;

/// Reasons that do not pass by themselves.
const BROKEN: [&str; 4] = ["ReconcileError", "NameAlreadyExists", "RefNotFound", "ReadinessCheckFailed"];

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Istio" | "IstioRevision" => Some(Rule::Own(control_plane)),
        "IstioCNI" => Some(Rule::Among {
            judge: |object, around| Some(data_plane(object, "istio-cni-node", around)),
            auxiliary: &[("apps", "DaemonSet")],
        }),
        "ZTunnel" => Some(Rule::Among {
            judge: |object, around| Some(data_plane(object, "ztunnel", around)),
            auxiliary: &[("apps", "DaemonSet")],
        }),
        "IstioRevisionTag" => Some(Rule::Own(tag)),
        _ => None,
    }
}

fn state(object: &Value) -> &str {
    text(object, &["status", "state"])
}

/// Says that nothing is known of the newest spec yet, or that something is broken.
fn common(object: &Value) -> Option<Verdict> {
    if !is_set(object, &["status"]) {
        return Some(Verdict::progressing("Waiting for the operator"));
    }
    if is_unobserved(object) {
        return Some(lagging(object));
    }
    let failed = conditions(object).find(|condition| {
        condition.is_false() && (condition.kind() == "Reconciled" || BROKEN.contains(&condition.reason()))
    });
    match failed {
        Some(failed) => Some(Verdict::degraded(format!("{}: {}", failed.reason(), failed.message()))),
        None if BROKEN.contains(&state(object)) => Some(Verdict::degraded(state(object))),
        None => None,
    }
}

/// Waits for what is not true yet, and then for the operator's own word.
fn waiting(object: &Value) -> Option<Verdict> {
    for kind in ["Ready", "DependenciesHealthy"] {
        if let Some(pending) = condition(object, kind).filter(|condition| !condition.is_true()) {
            return Some(Verdict::progressing(format!("{}: {}", pending.reason(), pending.message())));
        }
    }
    match state(object) {
        "Healthy" => None,
        "" => Some(Verdict::progressing("Waiting for the operator")),
        other => Some(Verdict::progressing(other)),
    }
}

fn control_plane(object: &Value) -> Verdict {
    if let Some(verdict) = common(object).or_else(|| waiting(object)) {
        return verdict;
    }
    let revisions = |field: &str| number(object, &["status", "revisions", field]);
    match revisions("ready").zip(revisions("total")) {
        Some((ready, total)) if ready < total => {
            Verdict::progressing(format!("{ready} of {total} revisions are ready"))
        }
        Some(_) | None => Verdict::healthy(""),
    }
}

/// The operator compares only ready pods with scheduled ones, which hides nodes that have none or an old one.
fn data_plane(object: &Value, name: &str, around: &dyn Surroundings) -> Verdict {
    if let Some(verdict) = common(object).or_else(|| waiting(object)) {
        return verdict;
    }
    let namespace = text(object, &["spec", "namespace"]);
    let Some(pods) = around.object(&ResourceKey::new("apps", "DaemonSet", namespace, name)) else {
        return Verdict::healthy("");
    };
    let desired = count(pods, &["status", "desiredNumberScheduled"]);
    let updated = count(pods, &["status", "updatedNumberScheduled"]);
    if is_unobserved(pods) || updated < desired {
        return Verdict::progressing(format!(
            "{updated} of {desired} pods of DaemonSet {namespace}/{name} are updated"
        ));
    }
    Verdict::healthy("")
}

/// A tag that nothing refers to yet is as it should be.
fn tag(object: &Value) -> Verdict {
    if let Some(verdict) = common(object) {
        return verdict;
    }
    match state(object) {
        "Healthy" | "NotReferencedByAnything" => Verdict::healthy(""),
        "" => Verdict::progressing("Waiting for the operator"),
        other => Verdict::progressing(other),
    }
}
