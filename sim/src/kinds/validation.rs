//! What is wrong with objects of the built-in kinds. Not all that the API server looks at: what people get wrong.

mod definition;
mod pod;
mod rest;
mod workloads;

use serde_json::Value;

use super::Resource;
use super::rules::spec_text;
use crate::cluster::{Cause, Subresource};

pub(super) fn of(
    resource: &Resource,
    object: &Value,
    old: Option<&Value>,
    subresource: Subresource,
) -> Vec<Cause> {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "configmaps") => config_map(object, old),
        ("", "secrets") => secret(object, old),
        ("", "services") => service(object, old),
        ("", "pods") => pod::of_pod(object, old),
        ("apps" | "batch", _) => workloads::of(resource, object, old),
        ("apiextensions.k8s.io", _) => definition::of(object, old),
        ("", "namespaces") => rest::namespace(object, subresource),
        ("", "persistentvolumeclaims") => rest::claim(object, old),
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => rest::role(resource, object),
        ("rbac.authorization.k8s.io", _) => rest::binding(resource, object, old),
        ("scheduling.k8s.io", "priorityclasses") => rest::priority_class(object, old),
        ("storage.k8s.io", "storageclasses") => rest::storage_class(object, old),
        ("coordination.k8s.io", "leases") => rest::lease(object),
        ("policy", "poddisruptionbudgets") => rest::budget(object),
        ("autoscaling", _) => rest::autoscaler(object),
        _ => Vec::new(),
    }
}

const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
                   'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
/// The most bytes that a ConfigMap or Secret may hold.
const DATA: usize = 1 << 20;

fn keys(object: &Value, field: &str, causes: &mut Vec<Cause>) -> usize {
    let mut size = 0;
    for (key, value) in object.get(field).and_then(Value::as_object).into_iter().flatten() {
        let valid = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let path = format!("{field}[{key}]");
        if key.is_empty() || !key.chars().all(valid) {
            causes.push(Cause::invalid(path, &key.as_str().into(), KEY));
        } else if key == "." || key.starts_with("..") {
            let why = if key == "." {
                "must not be '.'"
            } else if key == ".." {
                "must not be '..'"
            } else {
                "must not start with '..'"
            };
            causes.push(Cause::invalid(path, &key.as_str().into(), why));
        }
        size += value.as_str().map_or(0, str::len);
    }
    size
}

fn immutable(object: &Value, old: Option<&Value>, fields: &[&str]) -> Vec<Cause> {
    let Some(old) = old.filter(|old| old.get("immutable") == Some(&Value::Bool(true))) else {
        return Vec::new();
    };
    let mut causes = Vec::new();
    if object.get("immutable") != Some(&Value::Bool(true)) {
        causes.push(Cause::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    for field in fields {
        if object.get(*field) != old.get(*field) {
            causes.push(Cause::forbidden(*field, "field is immutable when `immutable` is set"));
        }
    }
    causes
}

fn config_map(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = immutable(object, old, &["data", "binaryData"]);
    let mut size = keys(object, "data", &mut causes);
    size += keys(object, "binaryData", &mut causes) / 4 * 3;
    let binary = object.get("binaryData").and_then(Value::as_object);
    for key in object.get("data").and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key) {
        if binary.is_some_and(|binary| binary.contains_key(key)) {
            let why = "duplicate of key present in binaryData";
            causes.push(Cause::invalid(format!("data[{key}]"), &key.as_str().into(), why));
        }
    }
    if size > DATA {
        causes.push(Cause::too_long("", DATA));
    }
    causes
}

fn secret(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let (Some(old), Some(new)) = (old.and_then(|old| old.get("type")), object.get("type"))
        && old != new
    {
        causes.push(Cause::invalid("type", new, "field is immutable"));
    }
    causes.extend(immutable(object, old, &["data"]));
    if keys(object, "data", &mut causes) / 4 * 3 > DATA {
        causes.push(Cause::too_long("data", DATA));
    }
    let has = |key: &str| object.get("data").is_some_and(|data| data.get(key).is_some());
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
    let needed: &[&str] = match kind {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| !has(key)) {
        causes.push(Cause::required(format!("data[{key}]"), ""));
    }
    if kind == "kubernetes.io/basic-auth" && !has("username") && !has("password") {
        causes.push(Cause::required("data[username]", ""));
        causes.push(Cause::required("data[password]", ""));
    }
    if kind == "kubernetes.io/service-account-token" {
        let account = object
            .pointer("/metadata/annotations")
            .and_then(|all| all.get("kubernetes.io/service-account.name"));
        if account.and_then(Value::as_str).unwrap_or_default().is_empty() {
            causes.push(Cause::required("metadata.annotations[kubernetes.io/service-account.name]", ""));
        }
    }
    causes
}

fn service(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let kind = spec_text(object, "type");
    let headless = spec_text(object, "clusterIP") == "None";
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        causes.push(Cause::unsupported("spec.type", kind, &kinds));
    }
    let ports =
        object.pointer("/spec/ports").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() && !headless && kind != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    if kind == "ExternalName" && spec_text(object, "externalName").is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    }
    let (mut names, mut places) = (Vec::new(), Vec::new());
    for (at, port) in ports.iter().enumerate() {
        let number = port.get("port").and_then(Value::as_i64).unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            let why = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(format!("spec.ports[{at}].port"), &number.into(), why));
        }
        let target = port.get("targetPort").and_then(Value::as_i64);
        if let Some(target) = target.filter(|target| !(1..=65_535).contains(target)) {
            let why = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(format!("spec.ports[{at}].targetPort"), &target.into(), why));
        }
        let name = port.get("name").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("spec.ports[{at}].name"), ""));
        } else if !name.is_empty() && names.contains(&name) {
            causes.push(Cause::duplicate(format!("spec.ports[{at}].name"), &name.into()));
        }
        names.push(name);
        let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
        if places.contains(&(protocol, number)) {
            // Shown as the API server's own type of a port writes it.
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{protocol:?},\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\
                 \"NodePort\":0}}"
            );
            let message = format!("Duplicate value: {shown}");
            causes.push(Cause { message, ..Cause::duplicate(format!("spec.ports[{at}]"), &Value::Null) });
        }
        places.push((protocol, number));
    }
    let mut on_nodes = Vec::new();
    for (at, port) in ports.iter().enumerate() {
        let number = port.get("nodePort").and_then(Value::as_i64).unwrap_or_default();
        let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
        if number != 0 && on_nodes.contains(&(protocol, number)) {
            causes.push(Cause::duplicate(format!("spec.ports[{at}].nodePort"), &number.into()));
        }
        on_nodes.push((protocol, number));
    }
    if let Some(old) = old {
        let before = spec_text(old, "clusterIP");
        let stays = kind != "ExternalName" && spec_text(old, "type") != "ExternalName";
        let now = spec_text(object, "clusterIP");
        if stays && !before.is_empty() && now != before {
            let why = "may not change once set";
            causes.push(Cause::invalid("spec.clusterIPs[0]", &Value::from(vec![now]), why));
        }
    }
    causes
}
