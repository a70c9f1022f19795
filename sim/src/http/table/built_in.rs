//! Columns of the built-in kinds, as the API server shows them.

mod access;
mod storage;
mod workloads;

use serde_json::{Value, json};

use super::since;
use crate::cluster::Time;
use crate::kinds::Resource;

/// Name, type and priority of a column.
pub(super) type Columns = &'static [(&'static str, &'static str, i64)];

/// Gives the cells of one object.
pub(super) type Cells = fn(&Value, Time) -> Vec<Value>;

/// What is shown for nothing.
const NONE: &str = "<none>";

const NAME: (&str, &str, i64) = ("Name", "string", 0);
const AGE: (&str, &str, i64) = ("Age", "string", 0);
const CREATED_AT: (&str, &str, i64) = ("Created At", "date", 0);

/// Finds how a kind is shown; those without a form of their own show name and age.
pub(super) fn of(resource: &Resource) -> (Columns, Cells) {
    let own = match resource.group.as_str() {
        "" => core(&resource.plural),
        "apps" | "batch" | "autoscaling" | "policy" => workloads::of(&resource.plural),
        "rbac.authorization.k8s.io" => access::of(&resource.plural),
        "storage.k8s.io" => storage::of(&resource.plural),
        "networking.k8s.io" => networking(&resource.plural),
        "coordination.k8s.io" => Some((LEASE, lease as Cells)),
        "scheduling.k8s.io" => Some((PRIORITY_CLASS, priority_class as Cells)),
        _ => None,
    };
    own.unwrap_or((&[NAME, CREATED_AT], created_at))
}

fn core(plural: &str) -> Option<(Columns, Cells)> {
    match plural {
        "configmaps" => Some((&[NAME, ("Data", "string", 0), AGE], config_map)),
        "secrets" => Some((&[NAME, ("Type", "string", 0), ("Data", "string", 0), AGE], secret)),
        "serviceaccounts" => Some((&[NAME, AGE], name_and_age)),
        "namespaces" => Some((&[NAME, ("Status", "string", 0), AGE], namespace)),
        "services" => Some((SERVICE, service)),
        "events" => Some((EVENT, event)),
        "nodes" => Some((NODE, node)),
        "pods" | "replicationcontrollers" => workloads::of(plural),
        "persistentvolumes" | "persistentvolumeclaims" => storage::of(plural),
        "endpoints" => Some((&[NAME, ("Endpoints", "string", 0), AGE], endpoints)),
        _ => None,
    }
}

fn networking(plural: &str) -> Option<(Columns, Cells)> {
    match plural {
        "ingresses" => Some((INGRESS, ingress)),
        "networkpolicies" => Some((&[NAME, ("Pod-Selector", "string", 0), AGE], network_policy)),
        _ => None,
    }
}

const SERVICE: Columns = &[
    NAME,
    ("Type", "string", 0),
    ("Cluster-IP", "string", 0),
    ("External-IP", "string", 0),
    ("Port(s)", "string", 0),
    AGE,
    ("Selector", "string", 1),
];

const EVENT: Columns = &[
    ("Last Seen", "string", 0),
    ("Type", "string", 0),
    ("Reason", "string", 0),
    ("Object", "string", 0),
    ("Subobject", "string", 1),
    ("Source", "string", 1),
    ("Message", "string", 0),
    ("First Seen", "string", 1),
    ("Count", "string", 1),
    ("Name", "string", 1),
];

const NODE: Columns = &[
    NAME,
    ("Status", "string", 0),
    ("Roles", "string", 0),
    AGE,
    ("Version", "string", 0),
    ("Internal-IP", "string", 1),
    ("External-IP", "string", 1),
    ("OS-Image", "string", 1),
    ("Kernel-Version", "string", 1),
    ("Container-Runtime", "string", 1),
];

const INGRESS: Columns = &[
    NAME,
    ("Class", "string", 0),
    ("Hosts", "string", 0),
    ("Address", "string", 0),
    ("Ports", "string", 0),
    AGE,
];

const LEASE: Columns = &[NAME, ("Holder", "string", 0), AGE];

const PRIORITY_CLASS: Columns = &[
    NAME,
    ("Value", "integer", 0),
    ("Global-Default", "boolean", 0),
    AGE,
    ("PreemptionPolicy", "string", 0),
];

fn name(object: &Value) -> Value {
    text(object, "/metadata/name").into()
}

fn age(object: &Value, now: Time) -> Value {
    ago(object, "/metadata/creationTimestamp", now)
}

fn ago(object: &Value, pointer: &str, now: Time) -> Value {
    match text(object, pointer) {
        "" => "<unknown>".into(),
        then => since(then, now).into(),
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn count(object: &Value, pointer: &str) -> usize {
    let found = object.pointer(pointer);
    found
        .and_then(Value::as_object)
        .map(serde_json::Map::len)
        .or_else(|| found?.as_array().map(Vec::len))
        .unwrap_or(0)
}

/// Joins texts by commas; `<none>` for none.
fn joined(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    or_none(texts.join(","))
}

fn or_none(text: impl Into<String>) -> String {
    let text = text.into();
    if text.is_empty() { NONE.to_owned() } else { text }
}

/// Writes a map as `key=value` pairs.
fn pairs(object: &Value, pointer: &str) -> String {
    let map = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    joined(map.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())))
}

/// Writes a label selector as people write it.
fn selector(object: &Value, pointer: &str) -> String {
    let Some(selector) = object.pointer(pointer) else { return NONE.to_owned() };
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let expressions = items(selector, "/matchExpressions").map(|expression| {
        let values = items(expression, "/values").filter_map(Value::as_str).collect::<Vec<_>>().join(",");
        let key = text(expression, "/key");
        match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        }
    });
    joined(labels.chain(expressions))
}

fn name_and_age(object: &Value, now: Time) -> Vec<Value> {
    vec![name(object), age(object, now)]
}

fn created_at(object: &Value, _now: Time) -> Vec<Value> {
    vec![name(object), object.pointer("/metadata/creationTimestamp").cloned().unwrap_or_default()]
}

fn config_map(object: &Value, now: Time) -> Vec<Value> {
    vec![name(object), json!(count(object, "/data") + count(object, "/binaryData")), age(object, now)]
}

fn secret(object: &Value, now: Time) -> Vec<Value> {
    vec![name(object), text(object, "/type").into(), json!(count(object, "/data")), age(object, now)]
}

fn namespace(object: &Value, now: Time) -> Vec<Value> {
    vec![name(object), text(object, "/status/phase").into(), age(object, now)]
}

fn service(object: &Value, now: Time) -> Vec<Value> {
    let kind = text(object, "/spec/type");
    let listed = |pointer: &str| {
        items(object, pointer).filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>().join(",")
    };
    let addresses = items(object, "/status/loadBalancer/ingress")
        .map(|ingress| match text(ingress, "/ip") {
            "" => text(ingress, "/hostname").to_owned(),
            ip => ip.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(",");
    let external = match kind {
        "ExternalName" => text(object, "/spec/externalName").to_owned(),
        "LoadBalancer" => match (addresses.is_empty(), listed("/spec/externalIPs")) {
            (true, listed) if listed.is_empty() => "<pending>".to_owned(),
            (true, listed) => listed,
            (false, listed) if listed.is_empty() => addresses,
            (false, listed) => format!("{addresses},{listed}"),
        },
        _ => or_none(listed("/spec/externalIPs")),
    };
    let ports = items(object, "/spec/ports").map(|port| {
        let (number_, protocol) = (number(port, "/port"), text(port, "/protocol"));
        match number(port, "/nodePort") {
            0 => format!("{number_}/{protocol}"),
            node => format!("{number_}:{node}/{protocol}"),
        }
    });
    vec![
        name(object),
        kind.into(),
        or_none(text(object, "/spec/clusterIP")).into(),
        external.into(),
        joined(ports).into(),
        age(object, now),
        pairs(object, "/spec/selector").into(),
    ]
}

fn event(object: &Value, now: Time) -> Vec<Value> {
    let involved = object.get("involvedObject").unwrap_or(&Value::Null);
    let seen = |old: &str| match text(object, old) {
        "" => ago(object, "/eventTime", now),
        _ => ago(object, old, now),
    };
    let source = [text(object, "/source/component"), text(object, "/source/host")];
    vec![
        seen("/lastTimestamp"),
        text(object, "/type").into(),
        text(object, "/reason").into(),
        format!("{}/{}", text(involved, "/kind").to_lowercase(), text(involved, "/name")).into(),
        text(involved, "/fieldPath").into(),
        source.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ").into(),
        text(object, "/message").trim().into(),
        seen("/firstTimestamp"),
        number(object, "/count").max(1).into(),
        name(object),
    ]
}

fn node(object: &Value, now: Time) -> Vec<Value> {
    let ready = items(object, "/status/conditions").find(|condition| text(condition, "/type") == "Ready");
    let mut status = match ready.map(|condition| text(condition, "/status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if object.pointer("/spec/unschedulable").and_then(Value::as_bool).unwrap_or(false) {
        status.push_str(",SchedulingDisabled");
    }
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    let roles = labels.filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/").map(str::to_owned));
    let address = |kind: &str| {
        let found = items(object, "/status/addresses").find(|address| text(address, "/type") == kind);
        or_none(found.map(|address| text(address, "/address")).unwrap_or_default())
    };
    let info = |field: &str| match text(object, &format!("/status/nodeInfo/{field}")) {
        "" => "<unknown>".to_owned(),
        text => text.to_owned(),
    };
    vec![
        name(object),
        status.into(),
        joined(roles).into(),
        age(object, now),
        text(object, "/status/nodeInfo/kubeletVersion").into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        info("osImage").into(),
        info("kernelVersion").into(),
        info("containerRuntimeVersion").into(),
    ]
}

fn endpoints(object: &Value, now: Time) -> Vec<Value> {
    let subsets = items(object, "/subsets").flat_map(|subset| {
        let ports: Vec<i64> = items(subset, "/ports").map(|port| number(port, "/port")).collect();
        items(subset, "/addresses")
            .flat_map(move |address| {
                let ip = text(address, "/ip").to_owned();
                ports.clone().into_iter().map(move |port| format!("{ip}:{port}"))
            })
            .collect::<Vec<_>>()
    });
    vec![name(object), joined(subsets).into(), age(object, now)]
}

fn ingress(object: &Value, now: Time) -> Vec<Value> {
    let hosts: Vec<String> = items(object, "/spec/rules")
        .map(|rule| text(rule, "/host").to_owned())
        .filter(|host| !host.is_empty())
        .collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { hosts.join(",") };
    let addresses = items(object, "/status/loadBalancer/ingress").map(|ingress| match text(ingress, "/ip") {
        "" => text(ingress, "/hostname").to_owned(),
        ip => ip.to_owned(),
    });
    let ports = if count(object, "/spec/tls") > 0 { "80, 443" } else { "80" };
    vec![
        name(object),
        or_none(text(object, "/spec/ingressClassName")).into(),
        hosts.into(),
        addresses.collect::<Vec<_>>().join(",").into(),
        ports.into(),
        age(object, now),
    ]
}

fn network_policy(object: &Value, now: Time) -> Vec<Value> {
    vec![name(object), selector(object, "/spec/podSelector").into(), age(object, now)]
}

fn lease(object: &Value, now: Time) -> Vec<Value> {
    vec![name(object), text(object, "/spec/holderIdentity").into(), age(object, now)]
}

fn priority_class(object: &Value, now: Time) -> Vec<Value> {
    let default = object.get("globalDefault").and_then(Value::as_bool).unwrap_or(false);
    vec![
        name(object),
        number(object, "/value").into(),
        default.into(),
        age(object, now),
        text(object, "/preemptionPolicy").into(),
    ]
}
