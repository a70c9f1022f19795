//! What is wrong with pods and templates of pods.

use serde_json::Value;

use super::super::fill::each;
use super::super::metadata;
use crate::cluster::Cause;

pub(super) fn of_pod(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let Some(spec) = object.get("spec") else { return Vec::new() };
    match old.and_then(|old| old.get("spec")) {
        None => of_spec(spec, "spec"),
        Some(before) if fixed(spec) != fixed(before) => {
            let why = "pod updates may not change fields other than \
                       `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                       `spec.tolerations` (only additions to existing tolerations),\
                       `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
            vec![Cause::forbidden("spec", why)]
        }
        Some(_) => Vec::new(),
    }
}

/// Gives what may not change of the spec of a pod.
fn fixed(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates", "nodeName"] {
            map.remove(field);
        }
        for list in ["containers", "initContainers"] {
            for container in each(map, list) {
                container.remove("image");
            }
        }
    }
    spec
}

/// Finds what is wrong with the spec of a pod at a path.
pub(super) fn of_spec(spec: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut names = Vec::new();
    let volumes: Vec<&str> = list(spec, "volumes").iter().map(|volume| text(volume, "name")).collect();
    for (at, name) in volumes.iter().enumerate() {
        let field = format!("{path}.volumes[{at}].name");
        if name.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if let Some(why) = metadata::label(name) {
            causes.push(Cause::invalid(field, &(*name).into(), &why));
        } else if volumes.iter().take(at).any(|before| before == name) {
            causes.push(Cause::duplicate(field, &(*name).into()));
        }
    }
    if list(spec, "containers").is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    for kind in ["containers", "initContainers"] {
        for (at, container) in list(spec, kind).iter().enumerate() {
            let field = format!("{path}.{kind}[{at}]");
            let name = text(container, "name");
            if name.is_empty() {
                causes.push(Cause::required(format!("{field}.name"), ""));
            } else if let Some(why) = metadata::label(name) {
                causes.push(Cause::invalid(format!("{field}.name"), &name.into(), &why));
            } else if names.contains(&name) {
                causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
            }
            names.push(name);
            of_container(container, &field, &volumes, &mut causes);
        }
    }
    let policy = text(spec, "restartPolicy");
    if !matches!(policy, "Always" | "OnFailure" | "Never") {
        let supported = ["Always", "OnFailure", "Never"];
        causes.push(Cause::unsupported(format!("{path}.restartPolicy"), policy, &supported));
    }
    causes
}

fn of_container(container: &Value, path: &str, volumes: &[&str], causes: &mut Vec<Cause>) {
    if text(container, "image").is_empty() {
        causes.push(Cause::required(format!("{path}.image"), ""));
    }
    let policy = text(container, "imagePullPolicy");
    if !matches!(policy, "Always" | "IfNotPresent" | "Never") {
        let supported = ["Always", "IfNotPresent", "Never"];
        causes.push(Cause::unsupported(format!("{path}.imagePullPolicy"), policy, &supported));
    }
    for (at, port) in list(container, "ports").iter().enumerate() {
        let number = port.get("containerPort").and_then(Value::as_i64).unwrap_or_default();
        let field = format!("{path}.ports[{at}].containerPort");
        if number == 0 {
            causes.push(Cause::required(field, ""));
        } else if !(1..=65_535).contains(&number) {
            causes.push(Cause::invalid(field, &number.into(), "must be between 1 and 65535, inclusive"));
        }
    }
    for (at, variable) in list(container, "env").iter().enumerate() {
        if text(variable, "name").is_empty() {
            causes.push(Cause::required(format!("{path}.env[{at}].name"), ""));
        }
    }
    for (at, mount) in list(container, "volumeMounts").iter().enumerate() {
        let name = text(mount, "name");
        let field = format!("{path}.volumeMounts[{at}]");
        if name.is_empty() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        } else if !volumes.contains(&name) {
            causes.push(Cause::not_found(format!("{field}.name"), &name.into()));
        }
        if text(mount, "mountPath").is_empty() {
            causes.push(Cause::required(format!("{field}.mountPath"), ""));
        }
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
