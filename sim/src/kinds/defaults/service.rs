//! Defaults of services. Addresses are given out by the cluster.

use serde_json::{Map, Value, json};

use super::super::fill::{each, fill, made, text};

pub(super) fn of(map: &mut Map<String, Value>) {
    let Some(spec) = made(map, "spec") else { return };
    fill(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "ClientIP" => fill(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10_800}})),
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        _ => {}
    }
    fill(spec, "type", "ClusterIP");
    for port in each(spec, "ports") {
        fill(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or_else(|| 0.into());
        let unset = match port.get("targetPort") {
            None | Some(Value::Null) => true,
            Some(Value::Number(number)) => number.as_i64() == Some(0),
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => false,
        };
        if unset {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = text(spec, "type").to_owned();
    let external = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || kind == "ClusterIP" && external {
        fill(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
    }
    if kind != "ExternalName" {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
}
