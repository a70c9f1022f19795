//! Creations and changes, in the steps that the API server takes: read, default, own, prepare, validate, keep.

mod admission;
mod change;
mod create;
mod refusals;
mod traits;

use std::sync::Arc;

use serde_json::Value;

use super::call::{Call, FieldValidation, Subresource, Verb};
use super::reply::{Body, Reply};
use super::status::{Cause, Status};
use super::store::{Key, Place};
use super::{Cluster, Object};
use crate::kinds::{Resource, metadata, rules};
use crate::ownership::{self, ApplyError, Writer};

pub(super) use self::change::is_released;
use self::traits::Traits;

// === impl Cluster ===

impl Cluster {
    pub(super) fn write(&mut self, call: &mut Call<'_>) -> Result<Reply, Status> {
        let verb = std::mem::replace(&mut call.verb, Verb::Get);
        let mut warnings = Vec::new();
        let outcome = match (verb, call.subresource) {
            (Verb::Create(body), Subresource::None) => self.create(call, body, &mut warnings),
            (Verb::Update(body), Subresource::Scale) => self.update_scale(call, &body, &mut warnings),
            (Verb::Patch(patch), Subresource::Scale) => self.patch_scale(call, &patch, &mut warnings),
            (Verb::Update(body), _) => self.update(call, body, &mut warnings),
            (Verb::Patch(patch), _) => self.patch(call, &patch, &mut warnings),
            _ => Err(Status::method_not_allowed()),
        };
        match outcome {
            Ok(reply) => Ok(Reply { warnings, ..reply }),
            Err(status) => Err(Status { warnings, ..status }),
        }
    }

    /// Keeps an object as the next version of it.
    pub(super) fn commit(&mut self, place: &Place, key: &Key, value: Value) -> Arc<Object> {
        self.commit_as(place, key, value, Traits::default())
    }

    fn commit_as(&mut self, place: &Place, key: &Key, mut value: Value, traits: Traits) -> Arc<Object> {
        if let Some(metadata) = metadata::of(&mut value) {
            metadata.insert("resourceVersion".to_owned(), self.store.next().to_string().into());
        }
        let object = Object::encode(&value);
        let object = if traits.untidy { object.made_untidy() } else { object };
        let kept = self.store.put(place, key.clone(), object);
        self.changed(place, key, &value);
        kept
    }

    /// Makes an object that every cluster has.
    pub(super) fn bootstrap(&mut self, resource: &Resource, namespace: &str, mut value: Value) {
        let now = self.config.now.seconds();
        let name = metadata::text(&value, "name").to_owned();
        rules::default(resource, &mut value);
        if let Some(metadata) = metadata::of(&mut value) {
            metadata.insert("uid".to_owned(), self.random.uid().into());
            metadata.insert("creationTimestamp".to_owned(), now.as_str().into());
            if resource.namespaced {
                metadata.insert("namespace".to_owned(), namespace.into());
            }
        }
        rules::prepare_create(resource, &mut value, &now);
        self.commit(&super::place_of(resource), &Key::new(namespace, &name), value);
    }
}

/// Where an object comes from that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A client's body, or what a patch made.
    Client,
    /// What an apply made: unknown fields were refused before, and nulls are kept.
    Apply,
}

/// Reads what a client sent as an object of the kind, and fills in the defaults.
fn read(call: &Call<'_>, object: &mut Value, warnings: &mut Vec<String>) -> Result<(), Status> {
    convert(call, object, warnings, Source::Client).map_err(|why| {
        let (kind, version) = (&call.resource.kind, &call.resource.version);
        Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    })
}

/// Brings an object to the form of its kind, and fills in the defaults.
fn convert(
    call: &Call<'_>,
    object: &mut Value,
    warnings: &mut Vec<String>,
    source: Source,
) -> Result<(), String> {
    let resource = call.resource;
    if source == Source::Apply {
        rules::decode_applied(resource, object)?;
    } else {
        let unknown = rules::decode(resource, object)?;
        let told: Vec<String> = unknown.into_iter().map(|path| format!("unknown field \"{path}\"")).collect();
        match call.validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => warnings.extend(told),
            FieldValidation::Strict if told.is_empty() => {}
            FieldValidation::Strict => return Err(format!("strict decoding error: {}", told.join(", "))),
        }
    }
    rules::default(resource, object);
    set_type(resource, object);
    Ok(())
}

/// Checks the API version and kind that a client stated, which may be absent.
fn check_type(resource: &Resource, object: &Value) -> Result<(), Status> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if kind.is_empty() && resource.custom().is_some() {
        let body = object.to_string();
        let start: String = body.chars().take(23).collect();
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing in '{body}' ({start} ...)",
            resource.kind
        )));
    }
    let expected = resource.api_version();
    if is_type(resource, api_version, kind) {
        return Ok(());
    }
    if resource.custom().is_some() {
        return Err(if api_version == expected {
            let cause = Cause::invalid("kind", &kind.into(), &format!("must be {}", resource.kind));
            Status::invalid_kind(&resource.group, kind, metadata::text(object, "name"), vec![cause])
        } else {
            Status::bad_request(format!(
                "the API version in the data ({api_version}) does not match the expected API version ({expected})"
            ))
        });
    }
    let why = unregistered(resource, object).unwrap_or_default();
    let kind = if kind.is_empty() { &resource.kind } else { kind };
    let version = api_version.rsplit_once('/').map_or(api_version, |(_, version)| version);
    Err(Status::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {}: {why}",
        resource.kind
    )))
}

/// Says why an object that states another type cannot be taken for one of a built-in kind.
fn unregistered(resource: &Resource, object: &Value) -> Option<String> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if is_type(resource, api_version, kind) {
        return None;
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let kind = if kind.is_empty() { &resource.kind } else { kind };
    let known = crate::kinds::built_in()
        .iter()
        .any(|one| one.group == group && one.version == version && one.kind == kind);
    if !known {
        return Some(format!(
            "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/runtime/scheme.go:111\""
        ));
    }
    let package =
        |group: &str| group.split('.').next().filter(|one| !one.is_empty()).unwrap_or("core").to_owned();
    let (from, to) = (package(group), package(&resource.group));
    let from = if from == "core" { version.to_owned() } else { from };
    Some(format!("converting ({from}.{kind}) to ({to}.{}): unknown conversion", resource.kind))
}

/// Tells whether a stated type, which may be absent, is that of the kind.
fn is_type(resource: &Resource, api_version: &str, kind: &str) -> bool {
    (api_version.is_empty() || api_version == resource.api_version())
        && (kind.is_empty() || kind == resource.kind)
}

/// States the API version and kind of an object.
fn set_type(resource: &Resource, object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".to_owned(), resource.api_version().into());
        map.insert("kind".to_owned(), resource.kind.as_str().into());
    }
}

/// Puts an object into the namespace of the request, or says that it states another one.
fn place(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    let stated = metadata::text(object, "namespace").to_owned();
    if !stated.is_empty() && stated != call.namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if call.resource.namespaced
        && let Some(metadata) = metadata::of(object)
    {
        metadata.insert("namespace".to_owned(), call.namespace.into());
    }
    Ok(())
}

/// Checks the name that an object states against the one of the request.
fn check_name(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    let stated = metadata::text(object, "name");
    if stated.is_empty() {
        return Err(Status::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            call.name
        )));
    }
    if stated != call.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({stated}) does not match the name on the URL ({})",
            call.name
        )));
    }
    Ok(())
}

/// Says why an apply was refused.
fn refused(error: &ApplyError) -> Status {
    match error {
        ApplyError::Conflicts(conflicts) => admission::conflicts(conflicts),
        ApplyError::BadRequest(why) => Status::bad_request(why.as_str()),
        ApplyError::Type(_) | ApplyError::ManagedFields(_) => Status::new(500, "", error.to_string()),
    }
}

/// Records who owns what after a write that is no apply.
fn own(call: &Call<'_>, live: Option<&Value>, new: Value) -> Value {
    let time = call.now.seconds();
    let api_version = call.resource.api_version();
    let writer = Writer {
        manager: call.manager,
        api_version: &api_version,
        subresource: call.subresource.name(),
        time: &time,
    };
    let reset = rules::reset(call.resource, call.subresource);
    ownership::update(live, new, &rules::kept_merging(call.resource), &writer, &reset)
}

/// Gives an object that is not kept.
fn unkept(value: &Value, code: u16) -> Reply {
    Reply { code, body: Body::Object(Arc::new(Object::encode(value))), warnings: Vec::new() }
}
