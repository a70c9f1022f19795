//! What is wrong with objects of the smaller kinds.

use serde_json::{Value, json};

use crate::cluster::{Cause, Subresource};
use crate::kinds::{Resource, metadata};

const RBAC: &str = "rbac.authorization.k8s.io";
/// The highest priority that is not the system's own.
const HIGHEST_PRIORITY: i64 = 1_000_000_000;

pub(super) fn namespace(object: &Value, subresource: Subresource) -> Vec<Cause> {
    if subresource == Subresource::Status {
        let phase = object.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
        let (wanted, when) = if metadata::text(object, "deletionTimestamp").is_empty() {
            ("Active", "empty")
        } else {
            ("Terminating", "not empty")
        };
        let why = format!("may only be '{wanted}' if `deletionTimestamp` is {when}");
        let cause = || Cause::invalid("status.Phase", &phase.into(), &why);
        return (phase != wanted).then(cause).into_iter().collect();
    }
    let finalizers = object.pointer("/spec/finalizers").and_then(Value::as_array);
    let finalizers = finalizers.into_iter().flatten().filter_map(Value::as_str);
    let path = |at: usize| match subresource {
        Subresource::Finalize => format!("spec.finalizers[{at}]"),
        Subresource::None
        | Subresource::Status
        | Subresource::Scale
        | Subresource::Eviction
        | Subresource::Binding => "spec.finalizers".to_owned(),
    };
    finalizers.enumerate().filter_map(|(at, name)| metadata::finalizer(name, &path(at))).collect()
}

pub(super) fn role(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (at, rule) in list(object, "rules").iter().enumerate() {
        let path = |field: &str| format!("rules[{at}].{field}");
        if list(rule, "verbs").is_empty() {
            causes.push(Cause::required(path("verbs"), "verbs must contain at least one value"));
        }
        let (groups, resources) = (list(rule, "apiGroups"), list(rule, "resources"));
        let urls = list(rule, "nonResourceURLs");
        if !urls.is_empty() {
            let shown = Value::from(urls.to_vec());
            if resource.namespaced {
                let why = "namespaced rules cannot apply to non-resource URLs";
                causes.push(Cause::invalid(path("nonResourceURLs"), &shown, why));
            }
            if !groups.is_empty() || !resources.is_empty() || !list(rule, "resourceNames").is_empty() {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                causes.push(Cause::invalid(path("nonResourceURLs"), &shown, why));
            }
            continue;
        }
        if groups.is_empty() {
            let why = "resource rules must supply at least one api group";
            causes.push(Cause::required(path("apiGroups"), why));
        }
        if resources.is_empty() {
            let why = "resource rules must supply at least one resource";
            causes.push(Cause::required(path("resources"), why));
        }
    }
    causes
}

pub(super) fn binding(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let role = object.get("roleRef").cloned().unwrap_or_default();
    let (group, kind, name) = (text(&role, "apiGroup"), text(&role, "kind"), text(&role, "name"));
    if group != RBAC {
        causes.push(Cause::unsupported("roleRef.apiGroup", group, &[RBAC]));
    }
    let kinds: &[&str] = if resource.namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&kind) {
        causes.push(Cause::unsupported("roleRef.kind", kind, kinds));
    }
    if name.is_empty() {
        causes.push(Cause::required("roleRef.name", ""));
    }
    for (at, subject) in list(object, "subjects").iter().enumerate() {
        let path = |field: &str| format!("subjects[{at}].{field}");
        let (group, kind) = (text(subject, "apiGroup"), text(subject, "kind"));
        if text(subject, "name").is_empty() {
            causes.push(Cause::required(path("name"), ""));
        }
        match kind {
            "ServiceAccount" => {
                if !group.is_empty() {
                    causes.push(Cause::unsupported(path("apiGroup"), group, &[""]));
                }
                if !resource.namespaced && text(subject, "namespace").is_empty() {
                    causes.push(Cause::required(path("namespace"), ""));
                }
            }
            "User" | "Group" if group == RBAC => {}
            "User" | "Group" => causes.push(Cause::unsupported(path("apiGroup"), group, &[RBAC])),
            _ => {
                causes.push(Cause::unsupported(path("kind"), kind, &["Group", "ServiceAccount", "User"]));
            }
        }
    }
    if let Some(before) = old.and_then(|old| old.get("roleRef"))
        && *before != role
    {
        let shown = json!({"APIGroup": group, "Kind": kind, "Name": name});
        causes.push(Cause::invalid("roleRef", &shown, "cannot change roleRef"));
    }
    causes
}

pub(super) fn claim(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    const STORAGE: &str = "/spec/resources/requests/storage";
    let mut causes = Vec::new();
    let modes = object.pointer("/spec/accessModes").and_then(Value::as_array);
    if modes.is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    if object.pointer(STORAGE).is_none() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
    let Some(old) = old else { return causes };
    if object.pointer(STORAGE).is_none() && old.pointer(STORAGE).is_some() {
        let why = "field can not be less than status.capacity";
        causes.push(Cause::forbidden("spec.resources.requests.storage", why));
    }
    let bound = object.pointer("/status/phase").and_then(Value::as_str) == Some("Bound");
    let fixed = |object: &Value| {
        let mut spec = object.get("spec").cloned().unwrap_or_default();
        if let Some(map) = spec.as_object_mut() {
            if bound {
                map.remove("volumeAttributesClassName");
                map.remove("resources");
            }
            if old.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default().is_empty() {
                map.remove("volumeName");
            }
        }
        spec
    };
    if fixed(object) != fixed(old) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
                   claims";
        causes.push(Cause::forbidden("spec", why));
    }
    let (mode, before) = (object.pointer("/spec/volumeMode"), old.pointer("/spec/volumeMode"));
    if mode != before {
        let shown = mode.cloned().unwrap_or_default();
        causes.push(Cause::invalid("volumeMode", &shown, "field is immutable"));
    }
    causes
}

pub(super) fn priority_class(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let value = |object: &Value| object.get("value").and_then(Value::as_i64).unwrap_or_default();
    if value(object) > HIGHEST_PRIORITY && !metadata::text(object, "name").starts_with("system-") {
        let why = format!("maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}");
        causes.push(Cause::forbidden("value", &why));
    }
    let policy = text(object, "preemptionPolicy");
    if !matches!(policy, "PreemptLowerPriority" | "Never" | "") {
        let known = ["PreemptLowerPriority", "Never"];
        causes.push(Cause::unsupported("preemptionPolicy", policy, &known));
    }
    if let Some(old) = old {
        if value(object) != value(old) {
            causes.push(Cause::forbidden("value", "may not be changed in an update."));
        }
        unchanged(object, old, "preemptionPolicy", &mut causes);
    }
    causes
}

pub(super) fn storage_class(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if text(object, "provisioner").is_empty() {
        causes.push(Cause::required("provisioner", ""));
    }
    for (field, known) in [
        ("reclaimPolicy", ["Delete", "Retain"]),
        ("volumeBindingMode", ["Immediate", "WaitForFirstConsumer"]),
    ] {
        let value = text(object, field);
        if !value.is_empty() && !known.contains(&value) {
            causes.push(Cause::unsupported(field, value, &known));
        }
    }
    if let Some(old) = old {
        for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            unchanged(object, old, field, &mut causes);
        }
    }
    causes
}

pub(super) fn lease(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let number = |field: &str| object.pointer(&format!("/spec/{field}")).and_then(Value::as_i64);
    if let Some(seconds) = number("leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        causes.push(Cause::invalid("spec.leaseDurationSeconds", &seconds.into(), "must be greater than 0"));
    }
    if let Some(count) = number("leaseTransitions").filter(|count| *count < 0) {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.leaseTransitions", &count.into(), why));
    }
    causes
}

fn unchanged(object: &Value, old: &Value, field: &str, causes: &mut Vec<Cause>) {
    let (new, before) = (object.get(field), old.get(field));
    if new != before {
        let shown = new.cloned().unwrap_or_default();
        causes.push(Cause::invalid(field, &shown, "field is immutable"));
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn budget(object: &Value) -> Vec<Cause> {
    let field =
        |name: &str| object.pointer("/spec").and_then(|spec| spec.get(name)).filter(|value| !value.is_null());
    if field("minAvailable").is_none() || field("maxUnavailable").is_none() {
        return Vec::new();
    }
    let spec = object.get("spec").cloned().unwrap_or_default();
    vec![Cause::invalid("spec", &spec, "minAvailable and maxUnavailable cannot be both set")]
}

pub(super) fn autoscaler(object: &Value) -> Vec<Cause> {
    let field = "spec.maxReplicas";
    let number = |path: &str| object.pointer(path).and_then(Value::as_i64);
    let (least, most) = (number("/spec/minReplicas"), number("/spec/maxReplicas").unwrap_or_default());
    let mut causes = Vec::new();
    for name in ["kind", "name"] {
        let target = object.pointer("/spec/scaleTargetRef").map(|target| text(target, name));
        if target.unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("spec.scaleTargetRef.{name}"), ""));
        }
    }
    if most < 1 {
        causes.push(Cause::required(field, "must be set and greater than 0"));
    }
    if least.is_some_and(|least| most < least) {
        causes.push(Cause::invalid(field, &most.into(), "must be greater than or equal to `minReplicas`"));
    }
    causes
}
