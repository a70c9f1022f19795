//! The number of replicas as an object of its own.

use serde_json::{Value, json};

use super::call::{Call, Patch, PatchKind};
use super::reply::{Body, Reply};
use super::status::{Cause, Status};
use super::{Cluster, Object};
use crate::kinds::{Resource, Scale, metadata, rules};
use crate::ownership::{self, Writer};
use crate::patch;

// === impl Cluster ===

impl Cluster {
    pub(super) fn get_scale(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Reply, Status> {
        let paths = paths(resource).ok_or_else(Status::method_not_allowed)?;
        let object = self.find(resource, namespace, name).ok_or_else(|| Status::not_found(resource, name))?;
        let scale = scale_of(&object.value(resource), &paths);
        Ok(Reply { code: 200, body: Body::Value(scale), warnings: Vec::new() })
    }

    pub(super) fn update_scale(
        &mut self,
        call: &Call<'_>,
        body: &Value,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        let object = self
            .find(call.resource, call.namespace, call.name)
            .ok_or_else(|| Status::not_found(call.resource, call.name))?
            .clone();
        self.set_scale(call, &object, body, warnings)
    }

    pub(super) fn patch_scale(
        &mut self,
        call: &Call<'_>,
        patch: &Patch,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        let paths = paths(call.resource).ok_or_else(Status::method_not_allowed)?;
        let object = self
            .find(call.resource, call.namespace, call.name)
            .ok_or_else(|| Status::not_found(call.resource, call.name))?
            .clone();
        let scale = scale_of(&object.value(call.resource), &paths);
        let new = match patch.kind {
            // A scale has no lists: all but the operations merge alike.
            PatchKind::Merge | PatchKind::Strategic | PatchKind::Apply { .. } => {
                patch::merge(scale, &patch.body)
            }
            PatchKind::Json => patch::json(scale, &patch.body),
        };
        let new = new.map_err(|error| Status::bad_request(error.to_string()))?;
        self.set_scale(call, &object, &new, warnings)
    }

    fn set_scale(
        &mut self,
        call: &Call<'_>,
        live: &std::sync::Arc<Object>,
        scale: &Value,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        let resource = call.resource;
        let paths = paths(resource).ok_or_else(Status::method_not_allowed)?;
        let stated = metadata::text(scale, "resourceVersion");
        if !stated.is_empty() && stated != live.version().to_string() {
            return Err(Status::modified(resource, call.name));
        }
        let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or_default();
        if replicas < 0 {
            let why = "must be greater than or equal to 0";
            let causes = vec![Cause::invalid("spec.replicas", &replicas.into(), why)];
            return Err(Status::invalid_kind("autoscaling", "Scale", call.name, causes));
        }
        let old = live.value(resource);
        let mut new = old.clone();
        set(&mut new, &paths.spec, replicas.into());
        let api_version = resource.api_version();
        let time = call.now.seconds();
        let writer =
            Writer { manager: call.manager, api_version: &api_version, subresource: "scale", time: &time };
        let reset = rules::reset(resource, call.subresource);
        let mut new = ownership::update(Some(&old), new, &rules::merging(resource), &writer, &reset);
        rules::prepare_update(resource, &mut new, &old, call.subresource);
        let reply = self.finish_change(call, live, &old, new, warnings)?;
        Ok(match &reply.body {
            Body::Object(object) => {
                let scale = scale_of(&object.value(resource), &paths);
                Reply { body: Body::Value(scale), ..reply }
            }
            Body::List(_) | Body::Value(_) | Body::Success(_) => reply,
        })
    }
}

/// Gives where the numbers of a kind are.
fn paths(resource: &Resource) -> Option<Scale> {
    resource.subresource("scale")?;
    match resource.custom() {
        Some(custom) => custom.scale.clone(),
        None => Some(Scale {
            spec: ".spec.replicas".to_owned(),
            status: ".status.replicas".to_owned(),
            selector: ".spec.selector".to_owned(),
        }),
    }
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.trim_start_matches('.').split('.').try_fold(object, |value, field| value.get(field))
}

fn set(object: &mut Value, path: &str, number: Value) {
    let mut here = object;
    for field in path.trim_start_matches('.').split('.') {
        if here.is_null() {
            *here = json!({});
        }
        let Some(map) = here.as_object_mut() else { return };
        here = map.entry(field).or_insert(Value::Null);
    }
    *here = number;
}

fn scale_of(object: &Value, paths: &Scale) -> Value {
    let mut metadata = json!({});
    if let Some(into) = metadata.as_object_mut() {
        for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            let text = metadata::text(object, field);
            if !text.is_empty() {
                into.insert(field.to_owned(), text.into());
            }
        }
    }
    let number = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or_default();
    let replicas = number(&paths.spec);
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {}, "status": {"replicas": number(&paths.status)}});
    if replicas != 0
        && let Some(spec) = scale.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.insert("replicas".to_owned(), replicas.into());
    }
    let selector = (!paths.selector.is_empty()).then(|| at(object, &paths.selector)).flatten();
    let text = match selector {
        Some(Value::String(text)) => text.clone(),
        Some(selector) => selector_text(selector),
        None => String::new(),
    };
    if !text.is_empty()
        && let Some(status) = scale.get_mut("status").and_then(Value::as_object_mut)
    {
        status.insert("selector".to_owned(), text.into());
    }
    scale
}

/// Writes a selector as text.
fn selector_text(selector: &Value) -> String {
    let labels = selector.get("matchLabels").unwrap_or(selector).as_object();
    let mut terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
        let values: Vec<&str> = expression
            .get("values")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let (key, values) = (text("key"), values.join(","));
        terms.push(match text("operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}
