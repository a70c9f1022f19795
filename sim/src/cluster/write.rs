//! Creations and changes.

use serde_json::{Map, Value};

use super::call::{Call, Patch, PatchKind, Verb};
use super::reply::{Body, Reply};
use super::status::Status;
use super::store::Key;
use super::{Cluster, Object, Place, Time, place_of};

// === impl Cluster ===

impl Cluster {
    pub(super) fn write(&mut self, call: Call<'_>) -> Result<Reply, Status> {
        let (resource, namespace) = (call.resource, call.namespace);
        let live = self.find(resource, namespace, call.name).cloned();
        let (new, created) = match (call.verb, &live) {
            (Verb::Create(body), _) => (body, true),
            (Verb::Patch(Patch { kind: PatchKind::Apply { .. }, body }), None) => (body, true),
            (Verb::Update(body), Some(_)) => (body, false),
            (_, Some(live)) => (live.bare(), false),
            (_, None) => return Err(Status::not_found(resource, call.name)),
        };
        let Value::Object(mut new) = new else {
            return Err(Status::bad_request("the body of the request is no object"));
        };
        let metadata = new.entry("metadata").or_insert_with(|| Map::new().into());
        let Some(metadata) = metadata.as_object_mut() else {
            return Err(Status::bad_request("the metadata of the object is no object"));
        };
        let name = match metadata.get("name").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => call.name.to_owned(),
        };
        if !namespace.is_empty() {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        let key = Key::new(namespace, &name);
        if created {
            if self.find(resource, namespace, &name).is_some() {
                return Err(Status::already_exists(resource, &name));
            }
            metadata.insert("uid".to_owned(), self.random.uid().into());
            metadata.insert("creationTimestamp".to_owned(), call.now.seconds().into());
        }
        let object = if call.dry_run {
            std::sync::Arc::new(Object::encode(Value::Object(new)))
        } else {
            self.commit(&place_of(resource), key, Value::Object(new))
        };
        Ok(Reply { code: if created { 201 } else { 200 }, body: Body::Object(object), warnings: Vec::new() })
    }

    /// Keeps an object as the next version of it.
    pub(super) fn commit(&mut self, place: &Place, key: Key, mut value: Value) -> std::sync::Arc<Object> {
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), self.store.next().to_string().into());
        }
        self.store.put(place, key, Object::encode(value))
    }

    /// Makes an object that every cluster has.
    pub(super) fn bootstrap(&mut self, group: &str, plural: &str, namespace: &str, mut value: Value) {
        let now: Time = self.config.now;
        let mut name = String::new();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            name = metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            metadata.insert("uid".to_owned(), self.random.uid().into());
            metadata.insert("creationTimestamp".to_owned(), now.seconds().into());
        }
        self.commit(&Place::new(group, plural), Key::new(namespace, &name), value);
    }
}
