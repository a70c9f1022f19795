//! Columns of what runs.

use serde_json::Value;

use super::{
    AGE, Cells, Columns, NAME, age, ago, count, items, name, number, or_none, pairs, selector, text,
};
use crate::cluster::Time;
use crate::http::table::human;

const CONTAINERS: (&str, &str, i64) = ("Containers", "string", 1);
const IMAGES: (&str, &str, i64) = ("Images", "string", 1);
const SELECTOR: (&str, &str, i64) = ("Selector", "string", 1);

const POD: Columns = &[
    NAME,
    ("Ready", "string", 0),
    ("Status", "string", 0),
    ("Restarts", "string", 0),
    AGE,
    ("IP", "string", 1),
    ("Node", "string", 1),
    ("Nominated Node", "string", 1),
    ("Readiness Gates", "string", 1),
];

const DEPLOYMENT: Columns = &[
    NAME,
    ("Ready", "string", 0),
    ("Up-to-date", "string", 0),
    ("Available", "string", 0),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const REPLICAS: Columns = &[
    NAME,
    ("Desired", "integer", 0),
    ("Current", "integer", 0),
    ("Ready", "integer", 0),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const STATEFUL_SET: Columns = &[NAME, ("Ready", "string", 0), AGE, CONTAINERS, IMAGES];

const DAEMON_SET: Columns = &[
    NAME,
    ("Desired", "integer", 0),
    ("Current", "integer", 0),
    ("Ready", "integer", 0),
    ("Up-to-date", "integer", 0),
    ("Available", "integer", 0),
    ("Node Selector", "string", 0),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const JOB: Columns = &[
    NAME,
    ("Status", "string", 0),
    ("Completions", "string", 0),
    ("Duration", "string", 0),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const CRON_JOB: Columns = &[
    NAME,
    ("Schedule", "string", 0),
    ("Timezone", "string", 0),
    ("Suspend", "boolean", 0),
    ("Active", "integer", 0),
    ("Last Schedule", "string", 0),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

const BUDGET: Columns = &[
    NAME,
    ("Min Available", "string", 0),
    ("Max Unavailable", "string", 0),
    ("Allowed Disruptions", "integer", 0),
    AGE,
];

const AUTOSCALER: Columns = &[
    NAME,
    ("Reference", "string", 0),
    ("MinPods", "string", 0),
    ("MaxPods", "string", 0),
    ("Replicas", "string", 0),
    AGE,
];

pub(super) fn of(plural: &str) -> Option<(Columns, Cells)> {
    match plural {
        "pods" => Some((POD, pod)),
        "deployments" => Some((DEPLOYMENT, deployment)),
        "replicasets" | "replicationcontrollers" => Some((REPLICAS, replicas)),
        "statefulsets" => Some((STATEFUL_SET, stateful_set)),
        "daemonsets" => Some((DAEMON_SET, daemon_set)),
        "jobs" => Some((JOB, job)),
        "cronjobs" => Some((CRON_JOB, cron_job)),
        "poddisruptionbudgets" => Some((BUDGET, budget)),
        "horizontalpodautoscalers" => Some((AUTOSCALER, autoscaler)),
        _ => None,
    }
}

fn pod(object: &Value, now: Time) -> Vec<Value> {
    let all = count(object, "/spec/containers");
    let is_ready = |status: &&Value| status.get("ready").and_then(Value::as_bool).unwrap_or(false);
    let ready = items(object, "/status/containerStatuses").filter(is_ready).count();
    let restarts: i64 =
        items(object, "/status/containerStatuses").map(|status| number(status, "/restartCount")).sum();
    let ip = items(object, "/status/podIPs").map(|ip| text(ip, "/ip").to_owned()).next();
    let gates = match count(object, "/spec/readinessGates") {
        0 => super::NONE.to_owned(),
        gates => {
            let passed = items(object, "/spec/readinessGates").filter(|gate| {
                items(object, "/status/conditions").any(|condition| {
                    text(condition, "/type") == text(gate, "/conditionType")
                        && text(condition, "/status") == "True"
                })
            });
            format!("{}/{gates}", passed.count())
        }
    };
    vec![
        name(object),
        format!("{ready}/{all}").into(),
        pod_status(object).into(),
        restarts.to_string().into(),
        age(object, now),
        or_none(ip.unwrap_or_default()).into(),
        or_none(text(object, "/spec/nodeName")).into(),
        or_none(text(object, "/status/nominatedNodeName")).into(),
        gates.into(),
    ]
}

/// Says how a pod is: its phase, or what its containers wait for.
fn pod_status(object: &Value) -> String {
    let mut status = match text(object, "/status/reason") {
        "" => text(object, "/status/phase"),
        reason => reason,
    };
    for container in items(object, "/status/containerStatuses") {
        for pointer in ["/state/waiting/reason", "/state/terminated/reason"] {
            let reason = text(container, pointer);
            if !reason.is_empty() {
                status = reason;
            }
        }
    }
    if text(object, "/metadata/deletionTimestamp").is_empty() {
        status.to_owned()
    } else {
        "Terminating".to_owned()
    }
}

fn deployment(object: &Value, now: Time) -> Vec<Value> {
    let mut cells = vec![
        name(object),
        format!("{}/{}", number(object, "/status/readyReplicas"), number(object, "/spec/replicas")).into(),
        number(object, "/status/updatedReplicas").into(),
        number(object, "/status/availableReplicas").into(),
        age(object, now),
    ];
    cells.extend(containers(object, "/spec/template"));
    cells.push(selector(object, "/spec/selector").into());
    cells
}

fn replicas(object: &Value, now: Time) -> Vec<Value> {
    let mut cells = vec![
        name(object),
        number(object, "/spec/replicas").into(),
        number(object, "/status/replicas").into(),
        number(object, "/status/readyReplicas").into(),
        age(object, now),
    ];
    cells.extend(containers(object, "/spec/template"));
    // Replication controllers have plain labels here.
    let labels =
        object.pointer("/spec/selector/matchLabels").or(object.pointer("/spec/selector/matchExpressions"));
    let shown =
        if labels.is_some() { selector(object, "/spec/selector") } else { pairs(object, "/spec/selector") };
    cells.push(shown.into());
    cells
}

fn stateful_set(object: &Value, now: Time) -> Vec<Value> {
    let mut cells = vec![
        name(object),
        format!("{}/{}", number(object, "/status/readyReplicas"), number(object, "/spec/replicas")).into(),
        age(object, now),
    ];
    cells.extend(containers(object, "/spec/template"));
    cells
}

fn daemon_set(object: &Value, now: Time) -> Vec<Value> {
    let mut cells = vec![
        name(object),
        number(object, "/status/desiredNumberScheduled").into(),
        number(object, "/status/currentNumberScheduled").into(),
        number(object, "/status/numberReady").into(),
        number(object, "/status/updatedNumberScheduled").into(),
        number(object, "/status/numberAvailable").into(),
        pairs(object, "/spec/template/spec/nodeSelector").into(),
        age(object, now),
    ];
    cells.extend(containers(object, "/spec/template"));
    cells.push(selector(object, "/spec/selector").into());
    cells
}

fn job(object: &Value, now: Time) -> Vec<Value> {
    let done = number(object, "/status/succeeded");
    let wanted = object.pointer("/spec/completions").and_then(Value::as_i64);
    let completions = match (wanted, number(object, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    };
    let holds = |kind: &str| {
        items(object, "/status/conditions")
            .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
    };
    let status = if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if !text(object, "/metadata/deletionTimestamp").is_empty() {
        "Terminating"
    } else if holds("Suspended") {
        "Suspended"
    } else if holds("FailureTarget") {
        "FailureTarget"
    } else if holds("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    let end = Time::parse(text(object, "/status/completionTime")).unwrap_or(now);
    let duration = Time::parse(text(object, "/status/startTime"))
        .map(|start| human(end.0.saturating_sub(start.0).div_euclid(1_000_000)))
        .unwrap_or_default();
    let mut cells = vec![name(object), status.into(), completions.into(), duration.into(), age(object, now)];
    cells.extend(containers(object, "/spec/template"));
    cells.push(selector(object, "/spec/selector").into());
    cells
}

fn cron_job(object: &Value, now: Time) -> Vec<Value> {
    let last = match text(object, "/status/lastScheduleTime") {
        "" => super::NONE.into(),
        _ => ago(object, "/status/lastScheduleTime", now),
    };
    let suspended = object.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false);
    let mut cells = vec![
        name(object),
        text(object, "/spec/schedule").into(),
        or_none(text(object, "/spec/timeZone")).into(),
        suspended.into(),
        count(object, "/status/active").into(),
        last,
        age(object, now),
    ];
    cells.extend(containers(object, "/spec/jobTemplate/spec/template"));
    cells.push(selector(object, "/spec/jobTemplate/spec/selector").into());
    cells
}

fn budget(object: &Value, now: Time) -> Vec<Value> {
    let bound = |pointer: &str| match object.pointer(pointer) {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Number(number)) => number.to_string().into(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => Value::from("N/A"),
    };
    vec![
        name(object),
        bound("/spec/minAvailable"),
        bound("/spec/maxUnavailable"),
        number(object, "/status/disruptionsAllowed").into(),
        age(object, now),
    ]
}

fn autoscaler(object: &Value, now: Time) -> Vec<Value> {
    let least = object.pointer("/spec/minReplicas").and_then(Value::as_i64);
    vec![
        name(object),
        format!(
            "{}/{}",
            text(object, "/spec/scaleTargetRef/kind"),
            text(object, "/spec/scaleTargetRef/name")
        )
        .into(),
        least.map_or_else(|| "<unset>".to_owned(), |least| least.to_string()).into(),
        number(object, "/spec/maxReplicas").into(),
        number(object, "/status/currentReplicas").into(),
        age(object, now),
    ]
}

/// Gives names and images of a template's containers.
fn containers(object: &Value, template: &str) -> [Value; 2] {
    let of = |field: &str| {
        let pointer = format!("{template}/spec/containers");
        let list = items(object, &pointer).map(|container| text(container, field).to_owned());
        Value::from(list.collect::<Vec<_>>().join(","))
    };
    [of("/name"), of("/image")]
}
