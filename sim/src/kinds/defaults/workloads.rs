//! Defaults of the kinds that make pods.

use serde_json::{Map, Value, json};

use super::super::Resource;
use super::super::fill::{each, fill, inside, made, text};
use super::pod;

pub(super) fn of(resource: &Resource, map: &mut Map<String, Value>) {
    match resource.plural.as_str() {
        "cronjobs" => return cron_job(map),
        "controllerrevisions" => return,
        "daemonsets" => {
            template_generation(map);
        }
        _ => {}
    }
    let Some(spec) = made(map, "spec") else { return };
    pod::of_template(spec);
    match resource.plural.as_str() {
        "deployments" => deployment(spec),
        "statefulsets" => stateful_set(spec),
        "daemonsets" => daemon_set(spec),
        "jobs" => {
            job(spec);
            labels_of_template(map);
        }
        "replicasets" => fill(spec, "replicas", 1),
        "replicationcontrollers" => replication_controller(map),
        _ => {}
    }
}

fn deployment(spec: &mut Map<String, Value>) {
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
    let Some(strategy) = made(spec, "strategy") else { return };
    fill(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = made(strategy, "rollingUpdate")
    {
        fill(rolling, "maxUnavailable", "25%");
        fill(rolling, "maxSurge", "25%");
    }
}

fn stateful_set(spec: &mut Map<String, Value>) {
    fill(spec, "podManagementPolicy", "OrderedReady");
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = made(spec, "updateStrategy") {
        fill(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = made(strategy, "rollingUpdate")
        {
            fill(rolling, "partition", 0);
        }
    }
    if let Some(retention) = made(spec, "persistentVolumeClaimRetentionPolicy") {
        fill(retention, "whenDeleted", "Retain");
        fill(retention, "whenScaled", "Retain");
    }
    for claim in each(spec, "volumeClaimTemplates") {
        claim.insert("apiVersion".to_owned(), "v1".into());
        claim.insert("kind".to_owned(), "PersistentVolumeClaim".into());
        super::claim(claim);
    }
}

fn daemon_set(spec: &mut Map<String, Value>) {
    fill(spec, "revisionHistoryLimit", 10);
    let Some(strategy) = made(spec, "updateStrategy") else { return };
    fill(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        if let Some(rolling) = made(strategy, "rollingUpdate") {
            fill(rolling, "maxSurge", 0);
            fill(rolling, "maxUnavailable", 1);
        }
    } else if let Some(rolling) = strategy.get_mut("rollingUpdate").and_then(Value::as_object_mut) {
        // What is not said is zero in the form in which the API server works on it.
        fill(rolling, "maxSurge", 0);
        fill(rolling, "maxUnavailable", 0);
    }
}

/// The number of a daemon set's template is kept in an annotation, for clients of old.
fn template_generation(map: &mut Map<String, Value>) {
    if let Some(annotations) = made(map, "metadata").and_then(|metadata| made(metadata, "annotations")) {
        fill(annotations, "deprecated.daemonset.template.generation", "0");
    }
}

fn job(spec: &mut Map<String, Value>) {
    let absent = |spec: &Map<String, Value>, field: &str| spec.get(field).is_none_or(Value::is_null);
    if absent(spec, "completions") && absent(spec, "parallelism") {
        fill(spec, "completions", 1);
    }
    fill(spec, "parallelism", 1);
    if text(spec, "completionMode") == "Indexed" && !absent(spec, "backoffLimitPerIndex") {
        fill(spec, "backoffLimit", i32::MAX);
    }
    fill(spec, "backoffLimit", 6);
    fill(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    fill(spec, "manualSelector", false);
    let policy = if absent(spec, "podFailurePolicy") { "TerminatingOrFailed" } else { "Failed" };
    fill(spec, "podReplacementPolicy", policy);
}

/// A job without labels takes those of its template.
fn labels_of_template(map: &mut Map<String, Value>) {
    let path = ["spec", "template", "metadata", "labels"];
    let mut fields = path.iter().skip(1);
    let labels = fields.try_fold(map.get("spec"), |value, field| value.map(|value| value.get(field)));
    let labels =
        labels.flatten().filter(|labels| labels.as_object().is_some_and(|map| !map.is_empty())).cloned();
    let Some(labels) = labels else { return };
    if let Some(metadata) = made(map, "metadata")
        && metadata.get("labels").and_then(Value::as_object).is_none_or(Map::is_empty)
    {
        metadata.insert("labels".to_owned(), labels);
    }
}

fn cron_job(map: &mut Map<String, Value>) {
    let Some(spec) = made(map, "spec") else { return };
    fill(spec, "concurrencyPolicy", "Allow");
    fill(spec, "suspend", false);
    fill(spec, "successfulJobsHistoryLimit", 3);
    fill(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = made(spec, "jobTemplate").and_then(|template| made(template, "spec")) {
        pod::of_template(job);
    }
}

fn replication_controller(map: &mut Map<String, Value>) {
    let labels = map
        .get("spec")
        .and_then(|spec| spec.pointer("/template/metadata/labels"))
        .cloned()
        .unwrap_or_else(|| json!({}));
    let Some(spec) = inside(map, "spec") else { return };
    fill(spec, "replicas", 1);
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        fill(spec, "selector", labels.clone());
        if let Some(metadata) = made(map, "metadata") {
            fill(metadata, "labels", labels);
        }
    }
}
