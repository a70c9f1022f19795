//! Istio: the operator that was, and the policies that istiod writes conditions on.
//!
//! Argo CD has no opinion on `security.istio.io` and `telemetry.istio.io`. A policy that the data plane does not
//! enforce is worse than one that is missing, so we have one.

use serde_json::Value;

use super::Verdict;
use super::conditions::{Condition, condition, conditions, is_lagging, lagging};
use super::rules::Rule;
use crate::json;

pub(super) fn rule(group: &str, kind: &str) -> Option<Rule> {
    match (group, kind) {
        ("install.istio.io", "IstioOperator") => Some(Rule::Own(operator)),
        ("security.istio.io", "AuthorizationPolicy") => Some(Rule::Own(authorization)),
        ("security.istio.io", "PeerAuthentication" | "RequestAuthentication")
        | ("telemetry.istio.io", "Telemetry") => Some(Rule::Own(policy)),
        _ => None,
    }
}

fn operator(object: &Value) -> Verdict {
    let status = json::at(object, &["status", "status"]);
    let is = |number: i64, word: &str| {
        status.is_some_and(|status| status.as_i64() == Some(number) || status.as_str() == Some(word))
    };
    if is(0, "NONE") {
        Verdict::unknown("Component is not present.")
    } else if is(1, "UPDATING") {
        Verdict::progressing("Component is being updated to a different version.")
    } else if is(2, "RECONCILING") {
        Verdict::progressing(
            "Controller has started but not yet completed reconciliation loop for the component.",
        )
    } else if is(3, "HEALTHY") {
        Verdict::healthy("Component is healthy.")
    } else if is(4, "ERROR") {
        Verdict::degraded("Component is in an error state.")
    } else {
        Verdict::progressing("Waiting for Istio Control Plane")
    }
}

/// Says which condition is false, and why.
fn denial(condition: Condition<'_>) -> String {
    format!("{} is False: {}", condition.kind(), condition.message_or_reason())
}

fn authorization(object: &Value) -> Verdict {
    if is_lagging(object) {
        return lagging(object);
    }
    let refused = ["ZtunnelAccepted", "WaypointAccepted"]
        .into_iter()
        .filter_map(|kind| condition(object, kind).filter(|condition| condition.is_false()));
    let (waiting, broken): (Vec<_>, Vec<_>) = refused.partition(|condition| {
        condition.kind() == "WaypointAccepted" && condition.reason() == "AncestorNotBound"
    });
    if let Some(broken) = broken.first() {
        return Verdict::degraded(denial(*broken));
    }
    if let Some(waiting) = waiting.first() {
        return Verdict::progressing(denial(*waiting));
    }
    // A policy of which a part is not enforced is in force all the same; its user should know.
    match conditions(object).find(|condition| condition.reason() == "PartiallyInvalid") {
        Some(partly) => Verdict::healthy(format!("in force in part: {}", partly.message_or_reason())),
        None => Verdict::healthy(""),
    }
}

fn policy(object: &Value) -> Verdict {
    if is_lagging(object) {
        return lagging(object);
    }
    match conditions(object).find(|condition| condition.is_false()) {
        Some(failed) => Verdict::degraded(denial(failed)),
        None => Verdict::healthy(""),
    }
}
