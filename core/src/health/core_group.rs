//! The core group: Pods, Services, claims.

use serde_json::Value;

use super::Verdict;
use super::apps::unsupported;
use super::conditions::{Condition, condition, count, is_set, list, text};
use super::rules::Rule;
use crate::json;

/// Has a Pod that ends by itself judged as one that does not.
const IGNORE_RESTART_POLICY: &str = "argocd.argoproj.io/ignore-restart-policy";

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Pod" => Some(Rule::Own(pod)),
        "Service" => Some(Rule::Own(service)),
        "PersistentVolumeClaim" => Some(Rule::Own(claim)),
        _ => None,
    }
}

fn claim(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "PersistentVolumeClaim", "PersistentVolumeClaim", &["v1"]) {
        return verdict;
    }
    match text(object, &["status", "phase"]) {
        "Lost" => Verdict::degraded(""),
        "Pending" => Verdict::progressing(""),
        "Bound" => Verdict::healthy(""),
        _ => Verdict::unknown(""),
    }
}

fn service(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "Service", "Service", &["v1"]) {
        return verdict;
    }
    // Istio says here what became of the waypoint that the service asks for; Argo CD does not look.
    if let Some(bound) = condition(object, "istio.io/WaypointBound").filter(|bound| bound.is_false()) {
        let message = format!("waypoint: {}", bound.message_or_reason());
        return if bound.reason() == "WaypointIsNotReady" {
            Verdict::progressing(message)
        } else {
            Verdict::degraded(message)
        };
    }
    let balanced = text(object, &["spec", "type"]) == "LoadBalancer";
    if balanced && list(object, &["status", "loadBalancer", "ingress"]).is_empty() {
        return Verdict::progressing("");
    }
    Verdict::healthy("")
}

fn containers(object: &Value) -> &[Value] {
    list(object, &["status", "containerStatuses"])
}

fn pod(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "Pod", "Pod", &["v1"]) {
        return verdict;
    }
    let message = text(object, &["status", "message"]);
    let runs_on = is_long_running(object);
    if runs_on {
        let waits: Vec<&str> = containers(object).iter().filter_map(waits_in_vain).collect();
        if !waits.is_empty() {
            return Verdict::degraded(waits.join(", "));
        }
    }
    match text(object, &["status", "phase"]) {
        "Succeeded" => Verdict::healthy(message),
        "Failed" => Verdict::degraded(failure(object)),
        "Running" if runs_on => {
            if condition(object, "Ready").is_some_and(Condition::is_true) {
                return Verdict::healthy(message);
            }
            let ended = |container: &Value| is_set(container, &["lastState", "terminated"]);
            if containers(object).iter().any(ended) {
                Verdict::degraded(message)
            } else {
                Verdict::progressing(message)
            }
        }
        // One that ends by itself is most often a hook: it is healthy when it has ended.
        "Pending" | "Running" => Verdict::progressing(message),
        _ => Verdict::unknown(message),
    }
}

fn is_long_running(object: &Value) -> bool {
    let annotation = |name: &str| json::text_at(object, &["metadata", "annotations", name]);
    let is_hook = || annotation("argocd.argoproj.io/hook").is_some() || annotation("helm.sh/hook").is_some();
    match text(object, &["spec", "restartPolicy"]) {
        "Always" | "" => true,
        _ => annotation(IGNORE_RESTART_POLICY) == Some("true") && !is_hook(),
    }
}

/// Gives the message of a container that waits for what will not come by itself.
fn waits_in_vain(container: &Value) -> Option<&str> {
    let reason = text(container, &["state", "waiting", "reason"]);
    let hopeless = reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff");
    hopeless.then(|| text(container, &["state", "waiting", "message"]))
}

/// Says why a Pod failed: in its own words, or in those of its first container that did.
fn failure(object: &Value) -> String {
    let message = text(object, &["status", "message"]);
    if !message.is_empty() {
        return message.to_owned();
    }
    let mut all = list(object, &["status", "initContainerStatuses"]).iter().chain(containers(object));
    all.find_map(ended_badly).unwrap_or_default()
}

fn ended_badly(container: &Value) -> Option<String> {
    let ended = json::at(container, &["state", "terminated"])?;
    let message = text(ended, &["message"]);
    if !message.is_empty() {
        return Some(message.to_owned());
    }
    if text(ended, &["reason"]) == "OOMKilled" {
        return Some("OOMKilled".to_owned());
    }
    let code = count(ended, &["exitCode"]);
    let name = text(container, &["name"]);
    (code != 0).then(|| format!("container \"{name}\" failed with exit code {code}"))
}
