//! What single kinds do to objects that are created or changed.

use serde_json::{Map, Value, json};

use super::fill::{each, fill, made};
use super::{Resource, metadata, rules};
use crate::cluster::Subresource;

pub(super) fn create(resource: &Resource, object: &mut Value, now: &str) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => {
            if let Some(spec) = rules::spec(object) {
                fill(spec, "finalizers", json!([]));
                if let Some(list) = spec.get_mut("finalizers").and_then(Value::as_array_mut)
                    && !list.iter().any(|one| one == "kubernetes")
                {
                    list.push("kubernetes".into());
                }
            }
            set_phase(object, "Active");
        }
        ("", "persistentvolumeclaims") => {
            set_phase(object, "Pending");
            source_of_claim(object);
            add_finalizer(object, "kubernetes.io/pvc-protection");
        }
        ("", "persistentvolumes") => {
            set_phase(object, "Pending");
            if let Some(status) = rules::status(object) {
                fill(status, "lastPhaseTransitionTime", now);
            }
            add_finalizer(object, "kubernetes.io/pv-protection");
        }
        ("", "pods") => pod(object),
        ("", "nodes") => {
            if let Some(spec) = rules::spec(object) {
                let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
                fill(spec, "taints", json!([]));
                if let Some(taints) = spec.get_mut("taints").and_then(Value::as_array_mut) {
                    taints.push(taint);
                }
            }
        }
        ("apps", "daemonsets") => set_template_generation(object, 1),
        ("batch", "jobs") => job(object),
        ("storage.k8s.io", "volumeattributesclasses") => {
            add_finalizer(object, "kubernetes.io/vac-protection");
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            let stored = storage_version(object);
            if let Some(status) = made_status(object) {
                let stored: Vec<Value> = stored.into_iter().collect();
                status.insert("storedVersions".to_owned(), stored.into());
            }
        }
        _ => {}
    }
}

pub(super) fn update(resource: &Resource, new: &mut Value, old: &Value, subresource: Subresource) {
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") if subresource == Subresource::None => {
            if let Some(spec) = rules::spec(new) {
                match old.pointer("/spec/finalizers") {
                    Some(finalizers) => spec.insert("finalizers".to_owned(), finalizers.clone()),
                    None => spec.remove("finalizers"),
                };
            }
        }
        ("", "secrets") => {
            if let (Some(map), Some(kind)) = (new.as_object_mut(), old.get("type")) {
                fill(map, "type", kind.clone());
            }
        }
        ("", "pods") if subresource == Subresource::None => admit_pod(new),
        ("apps", "daemonsets") => {
            let generation = |object: &Value| {
                let path = "/metadata/annotations/deprecated.daemonset.template.generation";
                object.pointer(path).and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok())
            };
            let before = generation(old).unwrap_or_default();
            let changed = new.pointer("/spec/template") != old.pointer("/spec/template");
            set_template_generation(new, before + i64::from(changed));
        }
        ("apiextensions.k8s.io", "customresourcedefinitions") if subresource == Subresource::None => {
            let stored = storage_version(new);
            let list = made_status(new).and_then(|status| status.get_mut("storedVersions")?.as_array_mut());
            if let (Some(list), Some(stored)) = (list, stored)
                && !list.contains(&stored)
            {
                list.push(stored);
            }
        }
        _ => {}
    }
}

/// The two fields for what a claim is made of are kept in step.
fn source_of_claim(object: &mut Value) {
    let Some(spec) = rules::spec(object) else { return };
    let source = spec.get("dataSource").and_then(Value::as_object).cloned();
    let reference = spec.get("dataSourceRef").and_then(Value::as_object).cloned();
    match (source, reference) {
        (Some(mut source), None) => {
            source.entry("apiGroup").or_insert(Value::Null);
            spec.insert("dataSourceRef".to_owned(), source.into());
        }
        (None, Some(reference)) if !reference.contains_key("namespace") => {
            spec.insert("dataSource".to_owned(), reference.into());
        }
        (Some(_), Some(_)) | (None, _) => {}
    }
}

fn made_status(object: &mut Value) -> Option<&mut Map<String, Value>> {
    made(object.as_object_mut()?, "status")
}

fn set_phase(object: &mut Value, phase: &str) {
    if let Some(status) = made_status(object) {
        status.insert("phase".to_owned(), phase.into());
    }
}

fn storage_version(object: &Value) -> Option<Value> {
    let versions = object.pointer("/spec/versions").and_then(Value::as_array);
    let stored =
        versions.into_iter().flatten().find(|version| version.get("storage") == Some(&Value::Bool(true)));
    stored.and_then(|version| version.get("name")).cloned()
}

pub(crate) fn add_finalizer(object: &mut Value, finalizer: &str) {
    let Some(metadata) = metadata::of(object) else { return };
    fill(metadata, "finalizers", json!([]));
    if let Some(list) = metadata.get_mut("finalizers").and_then(Value::as_array_mut)
        && !list.iter().any(|one| one == finalizer)
    {
        list.push(finalizer.into());
    }
}

fn set_template_generation(object: &mut Value, generation: i64) {
    let annotations = metadata::of(object).and_then(|metadata| made(metadata, "annotations"));
    if let Some(annotations) = annotations {
        annotations
            .insert("deprecated.daemonset.template.generation".to_owned(), generation.to_string().into());
    }
}

/// What admission does to every pod of a cluster.
fn pod(object: &mut Value) {
    let class = quality_of_service(object);
    admit_pod(object);
    if let Some(status) = made_status(object) {
        status.insert("phase".to_owned(), "Pending".into());
        status.insert("qosClass".to_owned(), class.into());
    }
}

fn admit_pod(object: &mut Value) {
    let Some(spec) = rules::spec(object) else { return };
    fill(spec, "priority", 0);
    fill(spec, "preemptionPolicy", "PreemptLowerPriority");
    fill(spec, "tolerations", json!([]));
    if let Some(tolerations) = spec.get_mut("tolerations").and_then(Value::as_array_mut) {
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let tolerated = |toleration: &Value| {
                toleration.get("key").and_then(Value::as_str).is_none_or(|tolerated| tolerated == key)
                    && matches!(toleration.get("effect").and_then(Value::as_str), None | Some("NoExecute"))
            };
            if !tolerations.iter().any(tolerated) {
                tolerations.push(
                    json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
                );
            }
        }
    }
}

fn quality_of_service(object: &mut Value) -> &'static str {
    let Some(spec) = rules::spec(object) else { return "BestEffort" };
    let (mut any, mut all) = (false, true);
    for list in ["initContainers", "containers"] {
        for container in each(spec, list) {
            let quantities = |container: &Map<String, Value>, what: &str| {
                let of = container.get("resources").and_then(|resources| resources.get(what)).cloned();
                ["cpu", "memory"].map(|name| of.as_ref().and_then(|of| of.get(name)).cloned())
            };
            let (requests, limits) = (quantities(container, "requests"), quantities(container, "limits"));
            any |= requests.iter().chain(&limits).any(Option::is_some);
            all &= limits.iter().all(Option::is_some) && requests == limits;
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// A job that does not choose its pods itself finds them by its UID.
fn job(object: &mut Value) {
    let (name, uid) = (metadata::text(object, "name").to_owned(), metadata::text(object, "uid").to_owned());
    if object.pointer("/spec/manualSelector") == Some(&Value::Bool(true)) {
        return;
    }
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    let Some(spec) = rules::spec(object) else { return };
    if let Some(template) = made(spec, "template")
        .and_then(|template| made(template, "metadata"))
        .and_then(|metadata| made(metadata, "labels"))
    {
        for (label, value) in labels {
            fill(template, label, value.as_str());
        }
    }
    if let Some(selector) = made(spec, "selector").and_then(|selector| made(selector, "matchLabels")) {
        fill(selector, "batch.kubernetes.io/controller-uid", uid.as_str());
    }
}

/// Gives a new job without labels of its own those of its template, also the ones that it was given itself.
pub(crate) fn share_labels(resource: &Resource, object: &mut Value) {
    if !resource.is("batch", "jobs") {
        return;
    }
    let labels = object.pointer("/spec/template/metadata/labels").cloned();
    if let (Some(metadata), Some(labels)) = (metadata::of(object), labels) {
        metadata.insert("labels".to_owned(), labels);
    }
}
