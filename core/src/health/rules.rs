//! The rules, one function a kind.

use serde_json::Value;

use super::{Health, Verdict};
use crate::key::GroupKind;

pub(super) type Rule = fn(&Value) -> Verdict;

/// Finds the rule of a kind.
pub(super) fn rule(kind: &GroupKind) -> Option<Rule> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Namespace") => Some(namespace),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Some(custom_resource_definition),
        ("apps", "Deployment") => Some(deployment),
        ("apps", "StatefulSet") => Some(stateful_set),
        ("apps", "DaemonSet") => Some(daemon_set),
        ("apps", "ReplicaSet") => Some(replica_set),
        ("", "Pod") => Some(pod),
        ("batch", "Job") => Some(job),
        _ => None,
    }
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

fn count(object: &Value, pointer: &str) -> i64 {
    number(object, pointer).unwrap_or(0)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions(object).find(|condition| text(condition, "/type") == kind)
}

/// Tells whether the controller has not seen the newest spec yet.
fn unobserved(object: &Value) -> bool {
    count(object, "/metadata/generation") > count(object, "/status/observedGeneration")
}

fn progressing(message: impl Into<String>) -> Verdict {
    Verdict::new(Health::Progressing, message)
}

fn healthy() -> Verdict {
    Verdict::new(Health::Healthy, "")
}

fn namespace(object: &Value) -> Verdict {
    match text(object, "/status/phase") {
        "Terminating" => progressing("namespace is terminating"),
        _ => healthy(),
    }
}

fn custom_resource_definition(object: &Value) -> Verdict {
    let refused =
        condition(object, "NamesAccepted").filter(|condition| text(condition, "/status") == "False");
    if let Some(refused) = refused {
        return Verdict::new(Health::Degraded, text(refused, "/message"));
    }
    match condition(object, "Established") {
        Some(established) if text(established, "/status") == "True" => {
            match condition(object, "NonStructuralSchema") {
                Some(broken) if text(broken, "/status") == "True" => {
                    Verdict::new(Health::Degraded, text(broken, "/message"))
                }
                _ => Verdict::new(Health::Healthy, "CRD is healthy"),
            }
        }
        _ => progressing("Waiting for the CRD to be established"),
    }
}

fn deployment(object: &Value) -> Verdict {
    if object.pointer("/spec/paused").and_then(Value::as_bool).unwrap_or(false) {
        return Verdict::new(Health::Suspended, "Deployment is paused");
    }
    if unobserved(object) {
        return progressing(
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        );
    }
    let deadline = condition(object, "Progressing")
        .is_some_and(|condition| text(condition, "/reason") == "ProgressDeadlineExceeded");
    if deadline {
        let name = text(object, "/metadata/name");
        return Verdict::new(
            Health::Degraded,
            format!("Deployment \"{name}\" exceeded its progress deadline"),
        );
    }
    let updated = count(object, "/status/updatedReplicas");
    let available = count(object, "/status/availableReplicas");
    let replicas = count(object, "/status/replicas");
    match number(object, "/spec/replicas") {
        Some(desired) if updated < desired => progressing(format!(
            "Waiting for rollout to finish: {updated} out of {desired} new replicas have been updated..."
        )),
        _ if replicas > updated => progressing(format!(
            "Waiting for rollout to finish: {} old replicas are pending termination...",
            replicas - updated
        )),
        _ if available < updated => progressing(format!(
            "Waiting for rollout to finish: {available} of {updated} updated replicas are available..."
        )),
        _ => healthy(),
    }
}

fn stateful_set(object: &Value) -> Verdict {
    if count(object, "/status/observedGeneration") == 0 || unobserved(object) {
        return progressing("Waiting for statefulset spec update to be observed...");
    }
    let ready = count(object, "/status/readyReplicas");
    let updated = count(object, "/status/updatedReplicas");
    if let Some(desired) = number(object, "/spec/replicas").filter(|desired| ready < *desired) {
        return progressing(format!("Waiting for {} pods to be ready...", desired - ready));
    }
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Verdict::new(Health::Healthy, format!("statefulset has {ready} ready pods"));
    }
    if object.pointer("/spec/updateStrategy/rollingUpdate").is_some_and(|rolling| !rolling.is_null()) {
        let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition");
        if let (Some(partition), Some(desired)) = (partition, number(object, "/spec/replicas"))
            && updated < desired - partition
        {
            return progressing(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {} new pods have been updated...",
                desired - partition
            ));
        }
        return Verdict::new(
            Health::Healthy,
            format!("partitioned roll out complete: {updated} new pods have been updated..."),
        );
    }
    if text(object, "/status/updateRevision") != text(object, "/status/currentRevision") {
        return progressing(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {}...",
            text(object, "/status/updateRevision")
        ));
    }
    Verdict::new(
        Health::Healthy,
        format!(
            "statefulset rolling update complete {} pods at revision {}...",
            count(object, "/status/currentReplicas"),
            text(object, "/status/currentRevision")
        ),
    )
}

fn daemon_set(object: &Value) -> Verdict {
    if unobserved(object) {
        return progressing(
            "Waiting for rollout to finish: observed daemon set generation less than desired generation",
        );
    }
    let desired = count(object, "/status/desiredNumberScheduled");
    let updated = count(object, "/status/updatedNumberScheduled");
    let available = count(object, "/status/numberAvailable");
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Verdict::new(
            Health::Healthy,
            format!("daemon set {updated} out of {desired} new pods have been updated"),
        );
    }
    if updated < desired {
        return progressing(format!(
            "Waiting for daemon set rollout to finish: {updated} out of {desired} new pods have been updated..."
        ));
    }
    if available < desired {
        return progressing(format!(
            "Waiting for daemon set rollout to finish: {available} of {desired} updated pods are available..."
        ));
    }
    healthy()
}

fn replica_set(object: &Value) -> Verdict {
    if unobserved(object) {
        return progressing(
            "Waiting for rollout to finish: observed replica set generation less than desired generation",
        );
    }
    let failure =
        condition(object, "ReplicaFailure").filter(|condition| text(condition, "/status") == "True");
    if let Some(failure) = failure {
        return Verdict::new(Health::Degraded, text(failure, "/message"));
    }
    let available = count(object, "/status/availableReplicas");
    match number(object, "/spec/replicas") {
        Some(desired) if available < desired => progressing(format!(
            "Waiting for rollout to finish: {available} out of {desired} new replicas are available..."
        )),
        _ => healthy(),
    }
}

fn job(object: &Value) -> Verdict {
    // The presence of a condition ends a job, whatever its status says.
    let mut verdict = None;
    for condition in conditions(object) {
        match text(condition, "/type") {
            "Failed" => return Verdict::new(Health::Degraded, text(condition, "/message")),
            "Complete" => verdict = Some(Verdict::new(Health::Healthy, text(condition, "/message"))),
            "Suspended" if text(condition, "/status") == "True" => {
                verdict = Some(Verdict::new(Health::Suspended, text(condition, "/message")));
            }
            "Suspended" => verdict = Some(healthy()),
            _ => {}
        }
    }
    verdict.unwrap_or_else(|| progressing(""))
}

fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/status/containerStatuses").and_then(Value::as_array).into_iter().flatten()
}

fn pod(object: &Value) -> Verdict {
    let message = text(object, "/status/message");
    let long_running = matches!(text(object, "/spec/restartPolicy"), "Always" | "");
    if long_running {
        for container in containers(object) {
            let reason = text(container, "/state/waiting/reason");
            if reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff") {
                return Verdict::new(Health::Degraded, text(container, "/state/waiting/message"));
            }
        }
    }
    match text(object, "/status/phase") {
        "Succeeded" => Verdict::new(Health::Healthy, message),
        "Failed" => Verdict::new(Health::Degraded, failed_message(object)),
        "Running" if long_running => {
            if condition(object, "Ready").is_some_and(|ready| text(ready, "/status") == "True") {
                return Verdict::new(Health::Healthy, message);
            }
            let restarted = containers(object).any(|container| {
                container.pointer("/lastState/terminated").is_some_and(|last| !last.is_null())
            });
            if restarted { Verdict::new(Health::Degraded, message) } else { progressing(message) }
        }
        "Pending" | "Running" => progressing(message),
        _ => Verdict::new(Health::Unknown, message),
    }
}

fn failed_message(object: &Value) -> String {
    let message = text(object, "/status/message");
    if !message.is_empty() {
        return message.to_owned();
    }
    for container in containers(object) {
        let terminated = "/state/terminated";
        let said = text(container, &format!("{terminated}/message"));
        if !said.is_empty() {
            return said.to_owned();
        }
        if text(container, &format!("{terminated}/reason")) == "OOMKilled" {
            return "OOMKilled".to_owned();
        }
        let code = count(container, &format!("{terminated}/exitCode"));
        if code != 0 {
            return format!("container \"{}\" failed with exit code {code}", text(container, "/name"));
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::assess;
    use super::*;

    fn health(group: &str, kind: &str, object: &Value) -> Option<Health> {
        assess(&GroupKind::new(group, kind), object).map(|verdict| verdict.health)
    }

    #[test]
    fn a_deployment_is_healthy_once_its_newest_replicas_are_available() {
        let mut deployment = json!({"metadata": {"generation": 2}, "spec": {"replicas": 2},
            "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}});
        assert_eq!(health("apps", "Deployment", &deployment), Some(Health::Progressing), "not observed");
        deployment["status"]["observedGeneration"] = json!(2);
        assert_eq!(health("apps", "Deployment", &deployment), Some(Health::Healthy));
        deployment["status"]["availableReplicas"] = json!(1);
        assert_eq!(health("apps", "Deployment", &deployment), Some(Health::Progressing));
        deployment["status"]["conditions"] =
            json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(health("apps", "Deployment", &deployment), Some(Health::Degraded));
        deployment["spec"]["paused"] = json!(true);
        assert_eq!(health("apps", "Deployment", &deployment), Some(Health::Suspended));
    }

    #[test]
    fn a_job_ends_by_its_conditions() {
        assert_eq!(health("batch", "Job", &json!({})), Some(Health::Progressing));
        for (kind, expected) in [("Complete", Health::Healthy), ("Failed", Health::Degraded)] {
            let job = json!({"status": {"conditions": [{"type": kind, "status": "True"}]}});
            assert_eq!(health("batch", "Job", &job), Some(expected));
        }
    }

    #[test]
    fn a_definition_is_healthy_once_established() {
        let kind = |status: &Value| health("apiextensions.k8s.io", "CustomResourceDefinition", status);
        assert_eq!(kind(&json!({})), Some(Health::Progressing));
        let established = json!({"status": {"conditions": [{"type": "Established", "status": "True"}]}});
        assert_eq!(kind(&established), Some(Health::Healthy));
        let refused = json!({"status": {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "taken"}]}});
        assert_eq!(kind(&refused), Some(Health::Degraded));
    }

    #[test]
    fn what_is_on_its_way_out_is_progressing_and_other_kinds_have_no_opinion() {
        let dying = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(health("", "ConfigMap", &dying), Some(Health::Progressing));
        assert_eq!(health("", "ConfigMap", &json!({})), None);
    }

    #[test]
    fn a_pod_that_crashes_is_degraded() {
        let crashing = json!({"spec": {"restartPolicy": "Always"}, "status": {"phase": "Running",
            "containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}]}});
        assert_eq!(health("", "Pod", &crashing), Some(Health::Degraded));
        let ready = json!({"spec": {"restartPolicy": "Always"}, "status": {"phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(health("", "Pod", &ready), Some(Health::Healthy));
    }

    #[test]
    fn a_stateful_set_waits_for_its_pods() {
        let set = json!({"metadata": {"generation": 1}, "spec": {"replicas": 2},
            "status": {"observedGeneration": 1, "readyReplicas": 1}});
        assert_eq!(health("apps", "StatefulSet", &set), Some(Health::Progressing));
    }

    #[test]
    fn a_daemon_set_counts_its_nodes() {
        let set = json!({"metadata": {"generation": 1}, "status": {"observedGeneration": 1,
            "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2}});
        assert_eq!(health("apps", "DaemonSet", &set), Some(Health::Progressing));
    }
}
