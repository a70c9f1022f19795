//! `gateway.networking.k8s.io`: gateways and their routes.
//!
//! Each controller writes its own conditions, of a generation of the object. What is of an older one says nothing about
//! this one.

use serde_json::Value;

use super::Verdict;
use super::conditions::{Condition, conditions, conditions_at, list, number, text};
use super::rules::Rule;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "GatewayClass" => Some(Rule::Own(class)),
        "Gateway" => Some(Rule::Own(gateway)),
        "HTTPRoute" => Some(Rule::Own(|object| route(object, "HTTPRoute", is_of_this_generation))),
        "GRPCRoute" => Some(Rule::Own(|object| route(object, "GRPCRoute", is_of_no_other_generation))),
        "BackendTLSPolicy" => Some(Rule::Own(backend_policy)),
        _ => None,
    }
}

fn class(object: &Value) -> Verdict {
    const WAITING: &str = "Waiting for GatewayClass status";
    let accepted = conditions(object).find(|condition| {
        let of_other = condition.observed_generation().zip(number(object, &["metadata", "generation"]));
        condition.kind() == "Accepted" && of_other.is_none_or(|(observed, newest)| observed == newest)
    });
    match accepted {
        Some(accepted) if accepted.is_true() => {
            Verdict::healthy(accepted.message_or("GatewayClass is accepted"))
        }
        Some(accepted) if accepted.is_false() => {
            Verdict::degraded(accepted.message_or("GatewayClass is not accepted"))
        }
        Some(accepted) => Verdict::progressing(accepted.message_or(WAITING)),
        None => Verdict::progressing(WAITING),
    }
}

fn gateway(object: &Value) -> Verdict {
    const WAITING: &str = "Waiting for Gateway status";
    if conditions(object).any(|condition| condition.is_stale(object)) {
        return Verdict::progressing(WAITING);
    }
    if let Some(verdict) = trouble(conditions(object), "", "Gateway is still being programmed") {
        return verdict;
    }
    let listeners = list(object, &["status", "listeners"]);
    for listener in listeners {
        let conditions = conditions_at(listener, &["conditions"]);
        if let Some(verdict) = trouble(conditions, "Listener: ", "Listener is still being programmed") {
            return verdict;
        }
    }
    if conditions(object).next().is_some() || !listeners.is_empty() {
        Verdict::healthy("Gateway is healthy")
    } else {
        Verdict::progressing(WAITING)
    }
}

fn route(object: &Value, kind: &str, is_current: fn(&Value, &Value) -> bool) -> Verdict {
    let mut current = false;
    for parent in list(object, &["status", "parents"]) {
        if !is_current(object, parent) {
            continue;
        }
        let conditions = conditions_at(parent, &["conditions"]);
        let prefix = format!("Parent {}: ", text(parent, &["parentRef", "name"]));
        if let Some(verdict) = trouble(conditions, &prefix, "Route is still being programmed") {
            return verdict;
        }
        current = true;
    }
    if current {
        Verdict::healthy(format!("{kind} is healthy"))
    } else {
        Verdict::progressing(format!("Waiting for {kind} status"))
    }
}

fn backend_policy(object: &Value) -> Verdict {
    let ancestors = list(object, &["status", "ancestors"]);
    let name = |ancestor| text(ancestor, &["ancestorRef", "name"]);
    let newest = number(object, &["metadata", "generation"]);
    for ancestor in ancestors {
        let observed =
            |condition: Condition<'_>| condition.observed_generation().filter(|_| newest.is_some());
        let mut conditions = conditions_at(ancestor, &["conditions"]);
        if conditions.any(|condition| observed(condition).is_some_and(|observed| Some(observed) != newest)) {
            return Verdict::progressing(format!(
                "Waiting for Ancestor {} to update BackendTLSPolicy status",
                name(ancestor)
            ));
        }
    }
    let mut accepted = false;
    for ancestor in ancestors {
        for condition in conditions_at(ancestor, &["conditions"]) {
            match condition.kind() {
                "Accepted" | "ResolvedRefs" if !condition.is_true() => {
                    return Verdict::degraded(format!(
                        "Ancestor {}: {}",
                        name(ancestor),
                        condition.message()
                    ));
                }
                "Accepted" => accepted = true,
                _ => {}
            }
        }
    }
    if accepted {
        Verdict::healthy("BackendTLSPolicy is healthy")
    } else {
        Verdict::progressing("Waiting for BackendTLSPolicy status")
    }
}

/// Tells whether the controller that wrote of a parent has seen the newest spec.
fn is_of_this_generation(object: &Value, parent: &Value) -> bool {
    let newest = number(object, &["metadata", "generation"]);
    let mut conditions = conditions_at(parent, &["conditions"]);
    match newest {
        Some(_) => conditions.any(|condition| condition.observed_generation() == newest),
        None => conditions.next().is_some(),
    }
}

/// Tells the same, and takes a controller that tells no generation at its word.
fn is_of_no_other_generation(object: &Value, parent: &Value) -> bool {
    let mut conditions = conditions_at(parent, &["conditions"]).peekable();
    let says_something = conditions.peek().is_some();
    let tells_none = conditions.all(|condition| condition.observed_generation().is_none());
    says_something && (tells_none || is_of_this_generation(object, parent))
}

/// Says what is wrong by the conditions of one writer, and what is still under way.
fn trouble<'a>(
    mut conditions: impl Iterator<Item = Condition<'a>> + Clone,
    prefix: &str,
    under_way: &str,
) -> Option<Verdict> {
    for kind in ["ResolvedRefs", "Accepted"] {
        if let Some(failed) = conditions.clone().find(|condition| condition.denies(kind)) {
            let otherwise = format!("Failed condition: {kind}");
            return Some(Verdict::degraded(format!("{prefix}{}", failed.message_or(&otherwise))));
        }
    }
    let waiting = |condition: &Condition<'_>| condition.kind() == "Programmed" && !condition.is_true();
    let waiting = conditions.find(waiting)?;
    Some(Verdict::progressing(format!("{prefix}{}", waiting.message_or(under_way))))
}
