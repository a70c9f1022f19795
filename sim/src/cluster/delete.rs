//! Deletes: at once, or after the finalizers that hold an object.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::call::{Call, DeleteOptions, ListOptions, Propagation, Subresource, Verb};
use super::reply::{Body, Reply};
use super::status::{Details, Status};
use super::store::{Key, Place};
use super::{Cluster, Object, place_of};
use crate::kinds::{Resource, metadata, prepare, rules};

/// Holds an object until what it owns has gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Holds an object until what it owns is free of it.
pub(super) const ORPHAN: &str = "orphan";
/// Holds a definition until its objects have gone.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Namespaces that stay.
const LASTING: [&str; 3] = ["default", "kube-public", "kube-system"];

/// Warns whoever deletes a job and does not say what becomes of its pods.
const KEEPS_PODS: &str = "child pods are preserved by default when jobs are deleted; set \
                          propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this \
                          warning";

// === impl Cluster ===

impl Cluster {
    pub(super) fn delete(&mut self, call: &Call<'_>, options: &DeleteOptions) -> Result<Reply, Status> {
        let outcome = self.delete_one(call, options);
        if !call.resource.is("batch", "jobs") || options.propagation.is_some() {
            return outcome;
        }
        let warnings = vec![KEEPS_PODS.to_owned()];
        match outcome {
            Ok(reply) => Ok(Reply { warnings, ..reply }),
            Err(status) => Err(Status { warnings, ..status }),
        }
    }

    fn delete_one(&mut self, call: &Call<'_>, options: &DeleteOptions) -> Result<Reply, Status> {
        let resource = call.resource;
        if call.subresource != Subresource::None {
            return Err(Status::method_not_allowed());
        }
        if resource.is("", "namespaces") && LASTING.contains(&call.name) {
            return Err(Status::forbidden(resource, call.name, "this namespace may not be deleted"));
        }
        let object = self
            .find(resource, call.namespace, call.name)
            .ok_or_else(|| Status::not_found(resource, call.name))?
            .clone();
        if resource.is("", "namespaces")
            && let Some(reply) = self.terminate(call, options, &object)?
        {
            return Ok(reply);
        }
        if resource.is("apiextensions.k8s.io", "customresourcedefinitions") && !object.is_deleting() {
            check_early(call, &object, options)?;
        } else {
            check(resource, call.name, &object, options)?;
        }
        let old = object.value(resource);
        let mut new = old.clone();
        mark(resource, &mut new, options, &call.now.seconds());
        let held = !super::write::is_released(resource, &new);
        let key = Key::new(call.namespace, call.name);
        let place = place_of(resource);
        if held {
            let changed = new != old;
            let kept = match (changed, call.dry_run) {
                (false, _) => object,
                (true, true) => Arc::new(Object::encode(&new)),
                (true, false) => self.commit(&place, &key, new),
            };
            return Ok(Reply { code: 200, body: Body::Object(kept), warnings: Vec::new() });
        }
        if !call.dry_run {
            self.discard(&place, key, &object);
        }
        // What is answered is at the version of the delete.
        let last = |object: &Object| {
            let version = if call.dry_run { object.version() } else { self.store.version() };
            Body::Object(Arc::new(super::watch::at_version(object, version)))
        };
        let body = if resource.is("", "pods") {
            // A pod that no node runs goes at once, but as one that was asked to.
            last(&Object::encode(&new))
        } else if resource.habits.answers_deleted {
            last(&object)
        } else {
            Body::Success(Details {
                name: call.name.to_owned(),
                group: resource.group.clone(),
                kind: resource.plural.clone(),
                uid: object.uid().to_owned(),
                ..Details::default()
            })
        };
        Ok(Reply { code: 200, body, warnings: Vec::new() })
    }

    /// Lets a namespace end: the first delete only says so, and no other does anything as long as its spec holds it.
    fn terminate(
        &mut self,
        call: &Call<'_>,
        options: &DeleteOptions,
        object: &Arc<Object>,
    ) -> Result<Option<Reply>, Status> {
        let resource = call.resource;
        check_early(call, object, options)?;
        let mut new = object.value(resource);
        let kept = if object.is_deleting() {
            let held = new.pointer("/spec/finalizers").and_then(Value::as_array);
            if held.is_none_or(Vec::is_empty) {
                return Ok(None);
            }
            object.clone()
        } else {
            mark(resource, &mut new, options, &call.now.seconds());
            if call.dry_run {
                Arc::new(Object::encode(&new))
            } else {
                self.commit(&place_of(resource), &Key::new(call.namespace, call.name), new)
            }
        };
        Ok(Some(Reply { code: 200, body: Body::Object(kept), warnings: Vec::new() }))
    }

    pub(super) fn delete_collection(
        &mut self,
        call: &Call<'_>,
        options: &DeleteOptions,
        selection: &ListOptions,
    ) -> Result<Reply, Status> {
        let reply = self.list(call.resource, call.namespace, selection)?;
        if let Body::List(list) = &reply.body {
            for item in &list.items {
                let value = item.bare();
                let one = Call {
                    namespace: metadata::text(&value, "namespace"),
                    name: metadata::text(&value, "name"),
                    verb: Verb::Get,
                    ..*call
                };
                match self.delete(&one, options) {
                    Err(status) if status.code != 404 => return Err(status),
                    Ok(_) | Err(_) => {}
                }
            }
        }
        Ok(reply)
    }

    /// Removes an object; `last` is its last state.
    pub(super) fn discard(&mut self, place: &Place, key: Key, last: &Object) {
        let last = super::watch::at_version(last, self.store.next());
        self.gone(place, &key, &last);
        self.store.remove(place, key, last);
    }
}

/// Checks that the object is the one that is to be deleted.
fn check(resource: &Resource, name: &str, object: &Object, options: &DeleteOptions) -> Result<(), Status> {
    let conflict = |what: &str, wanted: &str, found: &str, end: &str| {
        let kind = if resource.group.is_empty() {
            resource.kind.clone()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let message = format!(
            "Operation cannot be fulfilled on {kind} \"{name}\": the {what} in the precondition ({wanted}) does not match \
             the {what} in record ({found}). The object might have been {end}"
        );
        let mut status = Status::new(409, "Conflict", message);
        status.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            ..Details::default()
        }));
        status
    };
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object.uid()) {
        return Err(conflict("UID", uid, object.uid(), "deleted and then recreated"));
    }
    let found = object.version().to_string();
    if let Some(version) = options.resource_version.as_deref().filter(|version| *version != found) {
        return Err(conflict("ResourceVersion", version, &found, "modified"));
    }
    Ok(())
}

/// Checks what a delete demands of an object of a kind whose own code looks at it first.
fn check_early(call: &Call<'_>, object: &Object, options: &DeleteOptions) -> Result<(), Status> {
    let version = object.version().to_string();
    for (what, wanted, found) in
        [("UID", &options.uid, object.uid()), ("ResourceVersion", &options.resource_version, &version)]
    {
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            );
            return Err(Status::conflict(call.resource, call.name, &why));
        }
    }
    Ok(())
}

/// Marks an object as one that is to go, with the finalizers that the kind of delete asks for.
fn mark(resource: &Resource, object: &mut Value, options: &DeleteOptions, now: &str) {
    let already = !metadata::text(object, "deletionTimestamp").is_empty();
    let has =
        |object: &Value, finalizer: &str| metadata::texts(object, "finalizers").any(|one| one == finalizer);
    let definition = resource.is("apiextensions.k8s.io", "customresourcedefinitions");
    let wanted = match options.propagation {
        // The first delete of a definition only says so.
        _ if definition && !already => None,
        Some(Propagation::Orphan) => Some(ORPHAN),
        Some(Propagation::Foreground) => Some(FOREGROUND),
        Some(Propagation::Background) => None,
        None if has(object, ORPHAN) => Some(ORPHAN),
        None if has(object, FOREGROUND) => Some(FOREGROUND),
        None => resource.habits.orphans.then_some(ORPHAN),
    };
    if let Some(metadata) = metadata::of(object).filter(|_| already || !definition)
        && let Some(list) = metadata.get_mut("finalizers").and_then(Value::as_array_mut)
    {
        list.retain(|one| {
            one.as_str().is_none_or(|one| !matches!(one, ORPHAN | FOREGROUND) || Some(one) == wanted)
        });
        if list.is_empty() {
            metadata.remove("finalizers");
        }
    }
    if let Some(finalizer) = wanted {
        prepare::add_finalizer(object, finalizer);
    }
    let namespace = resource.is("", "namespaces");
    if definition && !already {
        prepare::add_finalizer(object, CLEANUP);
    }
    if already {
        if definition && let Some(metadata) = metadata::of(object) {
            // Only now it is marked as all others are at once.
            end_now(metadata);
        }
        return;
    }
    if definition && let Some(status) = rules::status(object) {
        crate::kinds::fill::fill(status, "conditions", json!([]));
        if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
            conditions.push(json!({"type": "Terminating", "status": "True", "lastTransitionTime": now,
                "reason": "InstanceDeletionPending",
                "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"}));
        }
    }
    if namespace && let Some(status) = rules::status(object) {
        status.insert("phase".to_owned(), "Terminating".into());
    }
    if let Some(metadata) = metadata::of(object) {
        metadata.insert("deletionTimestamp".to_owned(), now.into());
        if !namespace && !definition {
            end_now(metadata);
        }
    }
}

/// Says that an object is given no time to end, if that was not said before.
fn end_now(metadata: &mut Map<String, Value>) {
    if metadata.contains_key("deletionGracePeriodSeconds") {
        return;
    }
    metadata.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
    let generation = metadata.get("generation").and_then(Value::as_i64).unwrap_or_default();
    if generation > 0 {
        metadata.insert("generation".to_owned(), (generation + 1).into());
    }
}
