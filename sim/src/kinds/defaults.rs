//! What the API server fills in for the built-in kinds.

mod pod;
mod service;
mod workloads;

use serde_json::{Map, Value, json};

use super::Resource;
use super::fill::{each, fill, inside, made, text};

/// Fills in an object of a built-in kind.
pub(crate) fn of(resource: &Resource, object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "secrets") => secret(map),
        ("", "pods") => pod::of_pod(map),
        ("", "podtemplates") => pod::of_template(map),
        ("", "services") => service::of(map),
        ("", "replicationcontrollers") | ("apps" | "batch", _) => workloads::of(resource, map),
        ("", "namespaces") => namespace(map),
        ("", "persistentvolumeclaims") => claim(map),
        ("", "persistentvolumes") => volume(map),
        ("", "limitranges") => {
            if let Some(spec) = inside(map, "spec") {
                each(spec, "limits").for_each(limit);
            }
        }
        ("", "endpoints") => {
            for subset in each(map, "subsets") {
                for port in each(subset, "ports") {
                    fill(port, "protocol", "TCP");
                }
            }
        }
        ("discovery.k8s.io", "endpointslices") => {
            for port in each(map, "ports") {
                fill(port, "name", "");
                fill(port, "protocol", "TCP");
            }
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => binding(map),
        ("networking.k8s.io", "networkpolicies") => network_policy(map),
        ("networking.k8s.io", "ingressclasses") => {
            if let Some(parameters) = inside(map, "spec").and_then(|spec| inside(spec, "parameters")) {
                fill(parameters, "scope", "Cluster");
            }
        }
        ("scheduling.k8s.io", "priorityclasses") => fill(map, "preemptionPolicy", "PreemptLowerPriority"),
        ("storage.k8s.io", "storageclasses") => {
            fill(map, "reclaimPolicy", "Delete");
            fill(map, "volumeBindingMode", "Immediate");
        }
        ("storage.k8s.io", "csidrivers") => csi_driver(map),
        ("autoscaling", "horizontalpodautoscalers") => autoscaler(map),
        ("admissionregistration.k8s.io", _) => admission(resource, map),
        ("apiextensions.k8s.io", "customresourcedefinitions") => definition(map),
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => {
            if let Some(limited) = inside(map, "spec").and_then(|spec| inside(spec, "limited")) {
                fill(limited, "nominalConcurrencyShares", 30);
                fill(limited, "lendablePercent", 0);
            }
        }
        _ => {}
    }
}

/// What is written as text is kept as bytes.
fn secret(map: &mut Map<String, Value>) {
    fill(map, "type", "Opaque");
    let Some(Value::Object(texts)) = map.remove("stringData") else { return };
    if let Some(data) = made(map, "data") {
        for (key, value) in texts {
            let bytes = value.as_str().unwrap_or_default().as_bytes();
            data.insert(key, data_encoding::BASE64.encode(bytes).into());
        }
    }
}

fn namespace(map: &mut Map<String, Value>) {
    if let Some(name) = map.get("metadata").and_then(|metadata| metadata.get("name")).cloned()
        && let Some(labels) = made(map, "metadata").and_then(|metadata| made(metadata, "labels"))
    {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
    if let Some(status) = made(map, "status") {
        fill(status, "phase", "Active");
    }
}

fn claim(map: &mut Map<String, Value>) {
    claim_spec(map);
    if let Some(status) = made(map, "status") {
        fill(status, "phase", "Pending");
    }
}

fn claim_spec(map: &mut Map<String, Value>) {
    if let Some(spec) = made(map, "spec") {
        fill(spec, "volumeMode", "Filesystem");
    }
}

/// What is not said of a limit follows from what is.
fn limit(limit: &mut Map<String, Value>) {
    if text(limit, "type") != "Container" {
        return;
    }
    for (field, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        let known = limit.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
        if known.is_empty() {
            continue;
        }
        if let Some(into) = made(limit, field) {
            for (name, quantity) in known {
                fill(into, &name, quantity);
            }
        }
    }
}

fn volume(map: &mut Map<String, Value>) {
    if let Some(spec) = made(map, "spec") {
        fill(spec, "persistentVolumeReclaimPolicy", "Retain");
        fill(spec, "volumeMode", "Filesystem");
        if let Some(path) = inside(spec, "hostPath") {
            fill(path, "type", "");
        }
    }
    if let Some(status) = made(map, "status") {
        fill(status, "phase", "Pending");
    }
}

fn binding(map: &mut Map<String, Value>) {
    for subject in each(map, "subjects") {
        let group = if text(subject, "kind") == "ServiceAccount" { "" } else { "rbac.authorization.k8s.io" };
        if !group.is_empty() {
            fill(subject, "apiGroup", group);
        }
    }
    if let Some(role) = inside(map, "roleRef") {
        fill(role, "apiGroup", "rbac.authorization.k8s.io");
    }
}

fn network_policy(map: &mut Map<String, Value>) {
    let Some(spec) = made(map, "spec") else { return };
    let has_egress = spec.get("egress").is_some_and(|egress| !egress.is_null());
    let mut types = vec!["Ingress"];
    if has_egress {
        types.push("Egress");
    }
    fill(spec, "policyTypes", types);
    for side in ["ingress", "egress"] {
        for rule in each(spec, side) {
            for port in each(rule, "ports") {
                fill(port, "protocol", "TCP");
            }
        }
    }
}

fn csi_driver(map: &mut Map<String, Value>) {
    let Some(spec) = made(map, "spec") else { return };
    fill(spec, "attachRequired", true);
    fill(spec, "podInfoOnMount", false);
    fill(spec, "storageCapacity", false);
    fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    fill(spec, "volumeLifecycleModes", json!(["Persistent"]));
    fill(spec, "requiresRepublish", false);
    fill(spec, "seLinuxMount", false);
}

fn autoscaler(map: &mut Map<String, Value>) {
    let Some(spec) = made(map, "spec") else { return };
    fill(spec, "minReplicas", 1);
    let metric = json!([{"type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
    fill(spec, "metrics", metric);
    let Some(behavior) = inside(spec, "behavior") else { return };
    let pods = |value: i64, kind: &str| json!({"type": kind, "value": value, "periodSeconds": 15});
    if let Some(up) = made(behavior, "scaleUp") {
        fill(up, "stabilizationWindowSeconds", 0);
        fill(up, "selectPolicy", "Max");
        fill(up, "policies", json!([pods(4, "Pods"), pods(100, "Percent")]));
    }
    if let Some(down) = made(behavior, "scaleDown") {
        fill(down, "selectPolicy", "Max");
        fill(down, "policies", json!([pods(100, "Percent")]));
    }
}

fn admission(resource: &Resource, map: &mut Map<String, Value>) {
    for webhook in each(map, "webhooks") {
        fill(webhook, "failurePolicy", "Fail");
        fill(webhook, "matchPolicy", "Equivalent");
        fill(webhook, "timeoutSeconds", 10);
        fill(webhook, "namespaceSelector", Map::new());
        fill(webhook, "objectSelector", Map::new());
        if resource.plural.starts_with("mutating") {
            fill(webhook, "reinvocationPolicy", "Never");
        }
        for rule in each(webhook, "rules") {
            fill(rule, "scope", "*");
        }
        if let Some(service) = inside(webhook, "clientConfig").and_then(|config| inside(config, "service")) {
            fill(service, "port", 443);
        }
    }
    let Some(spec) = inside(map, "spec") else { return };
    if resource.plural.ends_with("policies") {
        fill(spec, "failurePolicy", "Fail");
    }
    for constraints in ["matchConstraints", "matchResources"] {
        let Some(constraints) = inside(spec, constraints) else { continue };
        fill(constraints, "matchPolicy", "Equivalent");
        fill(constraints, "namespaceSelector", Map::new());
        fill(constraints, "objectSelector", Map::new());
        for rules in ["resourceRules", "excludeResourceRules"] {
            for rule in each(constraints, rules) {
                fill(rule, "scope", "*");
            }
        }
    }
}

fn definition(map: &mut Map<String, Value>) {
    let Some(spec) = made(map, "spec") else { return };
    fill(spec, "conversion", json!({"strategy": "None"}));
    let client = inside(spec, "conversion").and_then(|it| inside(inside(it, "webhook")?, "clientConfig"));
    if let Some(service) = client.and_then(|client| inside(client, "service")) {
        fill(service, "port", 443);
    }
    let Some(names) = made(spec, "names") else { return };
    let kind = text(names, "kind").to_owned();
    if !kind.is_empty() {
        fill(names, "singular", kind.to_lowercase());
        fill(names, "listKind", format!("{kind}List"));
    }
}
