//! Changes: updates, patches and applies, of objects and of their status.

use std::sync::Arc;

use serde_json::Value;

use super::super::call::{Call, Patch, PatchKind, Subresource};
use super::super::reply::{Body, Reply};
use super::super::status::{Cause, Status};
use super::super::store::Key;
use super::super::{Cluster, Object, place_of};
use super::create::check_object;
use super::refusals::{unconverted, unpatched};
use super::{
    Source, Traits, check_name, check_type, convert, own, place, read, refused, set_type, unkept,
    unregistered,
};
use crate::kinds::{Resource, metadata, rules};
use crate::ownership::{self, Writer};
use crate::patch::{self, PatchError};

// === impl Cluster ===

impl Cluster {
    /// Replaces an object by the one that was sent.
    pub(super) fn update(
        &mut self,
        call: &Call<'_>,
        mut body: Value,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        let resource = call.resource;
        check_object(&mut body)?;
        check_type(resource, &body)?;
        let traits = Traits::of(&body);
        read(call, &mut body, warnings)?;
        check_name(call, &body)?;
        place(call, &mut body)?;
        let Some(live) = self.find(resource, call.namespace, call.name).cloned() else {
            if !resource.habits.create_on_update {
                return Err(Status::not_found(resource, call.name));
            }
            self.admit(resource, call.namespace, call.name)?;
            let stated = metadata::text(&body, "uid");
            if !stated.is_empty() {
                return Err(other_uid(call, stated, ""));
            }
            let stated = metadata::of(&mut body).and_then(|metadata| metadata.remove("resourceVersion"));
            let new = own(call, Some(&rules::empty(resource)), body);
            let made = self.finish_create(call, new, traits, warnings)?;
            return Ok(match (stated, &made.body) {
                // What is kept has a version of its own; what is not is shown as it was sent.
                (Some(stated), Body::Object(object)) if call.dry_run => {
                    let mut shown = object.value(resource);
                    if let Some(metadata) = metadata::of(&mut shown) {
                        metadata.insert("resourceVersion".to_owned(), stated);
                    }
                    unkept(&shown, made.code)
                }
                _ => made,
            });
        };
        let stated = metadata::text(&body, "uid");
        if !stated.is_empty() && stated != live.uid() {
            return Err(other_uid(call, stated, live.uid()));
        }
        let old = live.value(resource);
        let mut new = own(call, Some(&old), body);
        rules::prepare_update(resource, &mut new, &old, call.subresource);
        self.finish_change_as(call, &live, &old, new, traits, warnings)
    }

    /// Changes an object as a patch says.
    pub(super) fn patch(
        &mut self,
        call: &Call<'_>,
        patch: &Patch,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        if let PatchKind::Apply { force } = patch.kind {
            return self.apply(call, &patch.body, force, warnings);
        }
        let resource = call.resource;
        let live = self
            .find(resource, call.namespace, call.name)
            .ok_or_else(|| Status::not_found(resource, call.name))?
            .clone();
        let old = live.value(resource);
        let mut new = patched(resource, &old, patch)?;
        check_object(&mut new)?;
        let refused = |why: String| unpatched(resource, &old, patch, &why);
        if resource.custom().is_some() {
            check_patched_type(resource, &new, refused)?;
        } else if patch.kind == PatchKind::Strategic {
            // It changes an object of the kind, which has no place for another one.
            set_type(resource, &mut new);
        } else if let Some(why) = unregistered(resource, &new) {
            return Err(refused(why));
        }
        let traits = Traits::of(&new);
        convert(call, &mut new, warnings, Source::Client).map_err(refused)?;
        check_name(call, &new)?;
        place(call, &mut new)?;
        let mut new = own(call, Some(&old), new);
        rules::prepare_update(resource, &mut new, &old, call.subresource);
        self.finish_change_as(call, &live, &old, new, traits, warnings)
    }

    /// Applies a configuration; an object that is not there is made.
    fn apply(
        &mut self,
        call: &Call<'_>,
        config: &Value,
        force: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        let resource = call.resource;
        if call.manager.is_empty() {
            let causes = vec![Cause::required("fieldManager", "is required for apply patch")];
            return Err(Status::invalid_kind("meta.k8s.io", "PatchOptions", "", causes));
        }
        let live = self.find(resource, call.namespace, call.name).cloned();
        if live.is_none() && call.subresource != Subresource::None && !resource.habits.create_on_update {
            return Err(Status::not_found(resource, call.name));
        }
        let kind = match &config {
            Value::Object(_) | Value::Null => None,
            Value::Array(_) => Some("array"),
            Value::String(_) => Some("string"),
            Value::Number(_) => Some("number"),
            Value::Bool(_) => Some("bool"),
        };
        if let Some(kind) = kind {
            return Err(Status::bad_request(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into \
                 Go value of type map[string]interface {{}}"
            )));
        }
        check_applied_type(resource, config)?;
        let (time, api_version) = (call.now.seconds(), resource.api_version());
        let writer = Writer {
            manager: call.manager,
            api_version: &api_version,
            subresource: call.subresource.name(),
            time: &time,
        };
        let old = live.as_ref().map(|live| live.value(resource));
        let nothing = old.is_none().then(|| rules::empty(resource));
        let base = old.as_ref().or(nothing.as_ref());
        let reset = rules::reset(resource, call.subresource);
        let mut new = ownership::apply(base, config, &rules::merging(resource), &writer, force, &reset)
            .map_err(|error| refused(&error))?;
        let traits = Traits::of_merged(call, &new);
        convert(call, &mut new, warnings, Source::Apply)
            .map_err(|why| unconverted(resource, config, &why))?;
        if metadata::text(&new, "name").is_empty()
            && let Some(metadata) = metadata::of(&mut new)
        {
            metadata.insert("name".to_owned(), call.name.into());
        }
        check_name(call, &new)?;
        place(call, &mut new)?;
        if let (Some(live), Some(old)) = (live, old) {
            rules::prepare_update(resource, &mut new, &old, call.subresource);
            return self.finish_change_as(call, &live, &old, new, traits, warnings);
        }
        self.admit(resource, call.namespace, call.name)?;
        let uid = metadata::text(&new, "uid");
        if !uid.is_empty() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Status::conflict(resource, call.name, &why));
        }
        self.finish_create(call, new, traits, warnings)
    }

    /// Keeps a change, unless it is none; what was only waiting for its last finalizer goes.
    pub(in super::super) fn finish_change(
        &mut self,
        call: &Call<'_>,
        live: &Arc<Object>,
        old: &Value,
        new: Value,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        self.finish_change_as(call, live, old, new, Traits::default(), warnings)
    }

    fn finish_change_as(
        &mut self,
        call: &Call<'_>,
        live: &Arc<Object>,
        old: &Value,
        mut new: Value,
        traits: Traits,
        warnings: &mut Vec<String>,
    ) -> Result<Reply, Status> {
        let resource = call.resource;
        self.interfere(resource, call.subresource, &mut new)?;
        let stated = metadata::text(&new, "resourceVersion").to_owned();
        let unstated = matches!(stated.as_str(), "" | "0");
        if unstated && resource.habits.versioned_update {
            let shown = Value::from(0);
            let detail = "must be specified for an update";
            let causes = vec![Cause {
                message: format!("Invalid value: {shown}: {detail}"),
                ..Cause::invalid("metadata.resourceVersion", &shown, detail)
            }];
            return Err(Status::invalid_kind(&resource.group, &resource.plural, call.name, causes));
        }
        if !unstated && stated.parse() != Ok(live.version()) {
            return Err(Status::modified(resource, call.name));
        }
        if let Some(metadata) = metadata::of(&mut new) {
            metadata.insert("resourceVersion".to_owned(), live.version().to_string().into());
        }
        if call.subresource == Subresource::None {
            self.allocate(resource, &mut new, Some(old), call.dry_run)?;
        }
        let mut causes = rules::validate(resource, &new, Some(old), call.subresource);
        causes.extend(traits.emptied(resource, &new, old));
        if !causes.is_empty() {
            return Err(Status::invalid(resource, call.name, causes));
        }
        warnings.extend(rules::warn(resource, &new, Some(old), call.subresource));
        rules::conform(resource, &mut new);
        set_type(resource, &mut new);
        let same = ownership::settle(old, &mut new) || new == *old;
        if same && (call.dry_run || !traits.untidy && !live.is_untidy()) {
            return Ok(Reply { code: 200, body: Body::Object(live.clone()), warnings: Vec::new() });
        }
        if call.dry_run {
            return Ok(unkept(&new, 200));
        }
        let key = Key::new(call.namespace, call.name);
        if live.is_deleting() && is_released(resource, &new) {
            let reply = Object::encode(&new);
            // Who watches sees it go as it was kept.
            self.discard(&place_of(resource), key, live);
            return Ok(Reply { code: 200, body: Body::Object(Arc::new(reply)), warnings: Vec::new() });
        }
        let object = self.commit_as(&place_of(resource), &key, new, traits);
        Ok(Reply { code: 200, body: Body::Object(object), warnings: Vec::new() })
    }
}

/// Says that an update is of another object than the one that is there; where none is, that has no UID. What is not to
/// be kept is not looked for where it would be.
fn other_uid(call: &Call<'_>, stated: &str, found: &str) -> Status {
    let resource = call.resource;
    let folder = if resource.is("", "services") { "services/specs" } else { &resource.plural };
    let root = if call.dry_run { "" } else { "/registry" };
    let key = if call.namespace.is_empty() {
        format!("{root}/{folder}/{}", call.name)
    } else {
        format!("{root}/{folder}/{}/{}", call.namespace, call.name)
    };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
         failed: UID in precondition: {stated}, UID in object meta: {found}"
    );
    Status::conflict(resource, call.name, &why)
}

/// Tells whether nothing holds an object any more.
pub(in super::super) fn is_released(resource: &Resource, object: &Value) -> bool {
    let namespace = resource.is("", "namespaces");
    let held =
        object.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let graceful =
        object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or_default();
    metadata::texts(object, "finalizers").next().is_none() && !(namespace && held) && graceful == 0
}

/// Checks the type that an applied configuration states.
fn check_applied_type(resource: &Resource, config: &Value) -> Result<(), Status> {
    let text = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or_default();
    if text("apiVersion") == resource.api_version() && text("kind") == resource.kind {
        return Ok(());
    }
    let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
    Err(Status::bad_request(format!("invalid object type: {group}/{version}, Kind={}", text("kind"))))
}

/// Checks that a patch left an object of a definition what it is.
fn check_patched_type(
    resource: &Resource,
    object: &Value,
    unreadable: impl FnOnce(String) -> Status,
) -> Result<(), Status> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, api_version, expected) = (text("kind"), text("apiVersion"), resource.api_version());
    if kind.is_empty() {
        return Err(unreadable(format!("Object 'Kind' is missing in '{object}'")));
    }
    if api_version.is_empty() {
        let why = "Object 'apiVersion' is missing in 'object has no apiVersion field'";
        let cause = Cause { reason: String::new(), message: why.to_owned(), field: String::new() };
        let status = Status::new(500, "InternalError", format!("Internal error occurred: {why}"));
        return Err(status.with_causes(vec![cause]));
    }
    let cause = if kind != resource.kind {
        Cause::invalid("kind", &kind.into(), &format!("must be {}", resource.kind))
    } else if api_version != expected {
        Cause::invalid("apiVersion", &api_version.into(), &format!("must be {expected}"))
    } else {
        return Ok(());
    };
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    Err(Status::invalid_kind(group, kind, metadata::text(object, "name"), vec![cause]))
}

/// Applies a patch to an object.
pub(super) fn patched(resource: &Resource, old: &Value, patch: &Patch) -> Result<Value, Status> {
    let target = old.clone();
    let result = match patch.kind {
        PatchKind::Merge if patch.body.is_object() => patch::merge(target, &patch.body),
        PatchKind::Merge => {
            let kind = if patch.body.is_array() { "array" } else { "value" };
            return Err(Status::bad_request(format!(
                "error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )));
        }
        PatchKind::Json => patch::json(target, &patch.body),
        PatchKind::Strategic => {
            let strategy = rules::strategy(resource).ok_or_else(|| {
                let accepted =
                    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
                let message = format!(
                    "the body of the request was in an unknown format - accepted media types include: {accepted}"
                );
                Status::new(415, "UnsupportedMediaType", message)
            })?;
            patch::strategic(target, &patch.body, &strategy)
        }
        PatchKind::Apply { .. } => Ok(target),
    };
    result.map_err(|error| match error {
        PatchError::Malformed(why) => Status::bad_request(why),
        error @ PatchError::TooManyOperations(_) => {
            Status::new(413, "RequestEntityTooLarge", error.to_string())
        }
        PatchError::Internal(why) => Status::new(500, "", why),
        PatchError::DoesNotApply(_) => {
            let message = "the server rejected our request due to an error in our request";
            let mut status = Status::new(422, "Invalid", message);
            status.details = Some(Box::default());
            status
        }
    })
}
