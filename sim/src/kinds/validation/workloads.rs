//! What is wrong with the kinds that make pods.

use serde_json::Value;

use super::super::Resource;
use super::super::fill::{each, inside};
use super::pod;
use crate::cluster::{Cause, Selector};

pub(super) fn of(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = object.get("spec").cloned().unwrap_or_default();
    match resource.plural.as_str() {
        "deployments" | "replicasets" => {
            not_negative(&spec, "replicas", &mut causes);
            selects_template(&spec, "deployment", &mut causes);
            template(&spec, "spec.template", &mut causes);
            restarts_always(&spec, &mut causes);
            strategy(&spec, &mut causes);
            immutable(&spec, old, &["selector"], &mut causes);
        }
        "daemonsets" => {
            selects_template(&spec, "daemonset", &mut causes);
            // Of this kind a selector that is absent is one that does not match, and nothing more.
            causes.retain(|cause| cause.reason != "FieldValueRequired");
            template(&spec, "spec.template", &mut causes);
            restarts_always(&spec, &mut causes);
            immutable(&spec, old, &["selector"], &mut causes);
        }
        "statefulsets" => {
            stateful_set_strategy(&spec, &mut causes);
            not_negative(&spec, "replicas", &mut causes);
            selects_template(&spec, "statefulset", &mut causes);
            template(&spec, "spec.template", &mut causes);
            restarts_always(&spec, &mut causes);
            if let Some(old) = old.and_then(|old| old.get("spec")) {
                stateful_set_update(&spec, old, &mut causes);
            }
        }
        "jobs" => {
            for field in [
                "parallelism",
                "completions",
                "backoffLimit",
                "activeDeadlineSeconds",
                "ttlSecondsAfterFinished",
            ] {
                not_negative(&spec, field, &mut causes);
            }
            template(&spec, "spec.template", &mut causes);
            restarts_sometimes(&spec, "spec.template", &mut causes);
            selects_template(&spec, "job", &mut causes);
            // What selects everything is as good as any other here.
            causes.retain(|cause| !cause.message.ends_with("empty selector is invalid for job"));
            if let Some(old) = old {
                job_update(&spec, old, &mut causes);
            }
        }
        "cronjobs" => {
            if spec.get("schedule").and_then(Value::as_str).unwrap_or_default().is_empty() {
                causes.push(Cause::required("spec.schedule", ""));
            }
            if let Some(job) = spec.pointer("/jobTemplate/spec") {
                template(job, "spec.jobTemplate.spec.template", &mut causes);
                restarts_sometimes(job, "spec.jobTemplate.spec.template", &mut causes);
            }
        }
        _ => {}
    }
    causes
}

fn not_negative(spec: &Value, field: &str, causes: &mut Vec<Cause>) {
    if let Some(number) = spec.get(field).filter(|number| number.as_i64().is_some_and(|number| number < 0)) {
        causes.push(Cause::invalid(format!("spec.{field}"), number, "must be greater than or equal to 0"));
    }
}

/// Checks that what says how pods are replaced is not said where all of them go first.
fn strategy(spec: &Value, causes: &mut Vec<Cause>) {
    let Some(strategy) = spec.get("strategy") else { return };
    let rolls = strategy.get("rollingUpdate").is_some_and(|rolling| !rolling.is_null());
    if rolls && strategy.get("type").and_then(Value::as_str) == Some("Recreate") {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        causes.push(Cause::forbidden("spec.strategy.rollingUpdate", why));
    }
}

/// Checks that what says how pods of a stateful set are replaced is not said where that is left to people.
fn stateful_set_strategy(spec: &Value, causes: &mut Vec<Cause>) {
    let Some(strategy) = spec.get("updateStrategy") else { return };
    let rolling = strategy.get("rollingUpdate").filter(|rolling| !rolling.is_null());
    if let Some(rolling) = rolling
        && strategy.get("type").and_then(Value::as_str) == Some("OnDelete")
    {
        let field = |name: &str| rolling.get(name).cloned().unwrap_or_default();
        // A number that is not said is zero where it is not said to be absent.
        let partition = rolling.get("partition").and_then(Value::as_i64).unwrap_or_default();
        let unavailable = field("maxUnavailable");
        let shown = format!("{{\"Partition\":{partition},\"MaxUnavailable\":{unavailable}}}");
        let path = "spec.updateStrategy.rollingUpdate";
        let message = format!("Invalid value: {shown}: only allowed for updateStrategy 'RollingUpdate'");
        causes.push(Cause { message, ..Cause::invalid(path, rolling, "") });
    }
}

fn selects_template(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let selector = spec.get("selector").filter(|selector| !selector.is_null());
    let labels = spec.pointer("/template/metadata/labels").cloned().unwrap_or_default();
    match selector {
        None => causes.push(Cause::required("spec.selector", "")),
        Some(selector) if selector.as_object().is_some_and(serde_json::Map::is_empty) => {
            let why = format!("empty selector is invalid for {kind}");
            causes.push(Cause::invalid("spec.selector", selector, &why));
        }
        Some(_) => {}
    }
    if !selector
        .is_some_and(|selector| Selector::read(selector).is_some_and(|selector| selector.selects(&labels)))
    {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", &labels, why));
    }
}

fn template(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if let Some(pod) = spec.pointer("/template/spec") {
        causes.extend(pod::of_spec(pod, &format!("{path}.spec")));
    }
}

fn restart_policy(spec: &Value) -> &str {
    spec.pointer("/template/spec/restartPolicy").and_then(Value::as_str).unwrap_or_default()
}

fn restarts_always(spec: &Value, causes: &mut Vec<Cause>) {
    let policy = restart_policy(spec);
    if matches!(policy, "OnFailure" | "Never") {
        causes.push(Cause::unsupported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
}

fn restarts_sometimes(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let policy = restart_policy(spec);
    if policy == "Always" {
        let why = "valid values: \"OnFailure\", \"Never\"";
        causes.push(Cause::required(format!("{path}.spec.restartPolicy"), why));
    }
}

fn immutable(spec: &Value, old: Option<&Value>, fields: &[&str], causes: &mut Vec<Cause>) {
    let Some(old) = old.and_then(|old| old.get("spec")) else { return };
    for field in fields {
        let (new, old) = (spec.get(*field), old.get(*field));
        if new != old {
            let new = new.cloned().unwrap_or_default();
            causes.push(Cause::invalid(format!("spec.{field}"), &new, "field is immutable"));
        }
    }
}

/// Finds what may not change of a job. Of the template of one that is suspended, what says where its pods run may, and
/// what they take.
fn job_update(spec: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let fields = [
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ];
    immutable(spec, Some(old), &fields, causes);
    if spec.get("completionMode").and_then(Value::as_str) != Some("Indexed") {
        immutable(spec, Some(old), &["completions"], causes);
    }
    let Some(before) = old.get("spec") else { return };
    let suspended = before.get("suspend") == Some(&Value::Bool(true));
    let status = old.get("status").cloned().unwrap_or_default();
    let conditions = status.get("conditions").and_then(Value::as_array);
    let said = conditions.into_iter().flatten().any(|condition| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        text("type") == Some("Suspended") && text("status") == Some("True")
    });
    let started = status.get("startTime").is_some_and(|time| !time.is_null());
    let active = status.get("active").and_then(Value::as_i64).unwrap_or_default();
    if !(suspended && (!started || said) && active == 0) {
        immutable(spec, Some(old), &["template"], causes);
        return;
    }
    let fixed = |spec: &Value| {
        let mut pod = spec.pointer("/template/spec").cloned().unwrap_or_default();
        if let Some(pod) = pod.as_object_mut() {
            for field in ["nodeSelector", "tolerations", "schedulingGates"] {
                pod.remove(field);
            }
            if let Some(affinity) = inside(pod, "affinity") {
                affinity.remove("nodeAffinity");
            }
            if pod.get("affinity").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
                pod.remove("affinity");
            }
            for list in ["containers", "initContainers"] {
                for container in each(pod, list) {
                    container.remove("resources");
                }
            }
        }
        pod
    };
    if fixed(spec) != fixed(before) {
        let shown = spec.pointer("/template/spec").cloned().unwrap_or_default();
        causes.push(Cause::invalid("spec.template.spec", &shown, "field is immutable"));
    }
}

/// What may change of a stateful set.
const CHANGEABLE: [&str; 8] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "",
];

fn stateful_set_update(spec: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let rest = |spec: &Value| -> Vec<(String, Value)> {
        let fields = spec.as_object().into_iter().flatten();
        fields
            .filter(|(field, _)| !CHANGEABLE.contains(&field.as_str()))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect()
    };
    if rest(spec) != rest(old) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
        causes.push(Cause::forbidden("spec", why));
    }
}
