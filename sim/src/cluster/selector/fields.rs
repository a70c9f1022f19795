//! Field selectors: name and namespace of all kinds, and a few more fields of some.

use serde_json::Value;

use super::super::object::Object;
use super::super::status::Status;
use super::super::store::Key;
use crate::kinds::Resource;

/// One condition on a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    path: Vec<String>,
    value: String,
    equal: bool,
}

/// The further fields of built-in kinds that can be selected by.
const SELECTABLE: &[(&str, &str, &[&str])] = &[
    ("", "namespaces", &["status.phase"]),
    ("", "nodes", &["spec.unschedulable"]),
    ("", "secrets", &["type"]),
    ("", "replicationcontrollers", &["status.replicas"]),
    ("", "services", &["spec.clusterIP", "spec.type"]),
    (
        "",
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    (
        "",
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    ("apps", "replicasets", &["status.replicas"]),
    ("batch", "jobs", &["status.successful"]),
    ("certificates.k8s.io", "certificatesigningrequests", &["spec.signerName"]),
];

pub(super) fn parse(resource: &Resource, text: &str) -> Result<Vec<Term>, Status> {
    let mut terms = Vec::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let (field, value, equal) = [("!=", false), ("==", true), ("=", true)]
            .into_iter()
            .find_map(|(sign, equal)| part.split_once(sign).map(|(field, value)| (field, value, equal)))
            .ok_or_else(|| {
                Status::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'"))
            })?;
        let field = field.trim();
        if !is_selectable(resource, field) {
            let has_own = SELECTABLE.iter().any(|(group, plural, _)| resource.is(group, plural));
            return Err(Status::bad_request(if has_own || resource.custom().is_some() {
                format!("field label not supported: {field}")
            } else {
                format!(
                    "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                )
            }));
        }
        let path = field.split('.').map(str::to_owned).collect();
        terms.push(Term { path, value: value.trim().to_owned(), equal });
    }
    Ok(terms)
}

fn is_selectable(resource: &Resource, field: &str) -> bool {
    if field == "metadata.name" || (field == "metadata.namespace" && resource.namespaced) {
        return true;
    }
    if let Some(custom) = resource.custom() {
        return custom.selectable.iter().any(|path| path.trim_start_matches('.') == field);
    }
    let of_kind = SELECTABLE.iter().find(|(group, plural, _)| resource.is(group, plural));
    of_kind.is_some_and(|(_, _, fields)| fields.contains(&field))
}

pub(super) fn matches(terms: &[Term], key: &Key, object: &Object) -> bool {
    let mut parsed = None;
    terms.iter().all(|term| {
        let path: Vec<&str> = term.path.iter().map(String::as_str).collect();
        let found = match path.as_slice() {
            ["metadata", "name"] => key.name.to_string(),
            ["metadata", "namespace"] => key.namespace.to_string(),
            path => text_at(parsed.get_or_insert_with(|| object.bare()), path),
        };
        (found == term.value) == term.equal
    })
}

fn text_at(value: &Value, path: &[&str]) -> String {
    let found = path.iter().try_fold(value, |value, field| value.get(field));
    match (found, path) {
        (Some(Value::String(text)), _) => text.clone(),
        (Some(other @ (Value::Bool(_) | Value::Number(_))), _) => other.to_string(),
        // A number that is left out is zero, a truth false.
        (None, ["status", "replicas" | "successful"]) => "0".to_owned(),
        (None, ["spec", "unschedulable" | "hostNetwork"]) => "false".to_owned(),
        (Some(Value::Null | Value::Array(_) | Value::Object(_)) | None, _) => String::new(),
    }
}
