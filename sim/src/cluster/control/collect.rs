//! Garbage: objects whose owners are gone go, and owners that wait for what they own.

use std::sync::Arc;

use serde_json::Value;

use super::super::call::{Call, DeleteOptions, FieldValidation, Propagation, Subresource, Verb};
use super::super::delete::{FOREGROUND, ORPHAN};
use super::super::store::{Key, Place};
use super::super::{Cluster, Object};
use super::{Job, Owner, owners};
use crate::kinds::metadata;

/// Who the collector is to others.
const COLLECTOR: &str = "kube-controller-manager";

/// What became of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is there, or its kind is not known.
    There,
    /// It waits until this object has gone.
    Waits,
    /// It is gone.
    Gone,
}

// === impl Cluster ===

impl Cluster {
    /// What was owned by an object that is gone looks for its other owners.
    pub(super) fn orphans(&mut self, uid: &str) {
        let owned: Vec<(Arc<Place>, Key)> = self
            .store
            .all()
            .filter(|(_, _, object)| object.is_owned_by(uid))
            .map(|(place, key, _)| (place.clone(), key.clone()))
            .collect();
        for (place, key) in owned {
            self.collect(&place, &key);
        }
    }

    /// Looks whether an object is garbage, and whether it still waits for what it owns.
    pub(super) fn collect(&mut self, place: &Arc<Place>, key: &Key) {
        let Some(object) = self.store.get(place, key).cloned() else { return };
        let Some(resource) = self.resource_at(place) else { return };
        let value = object.value(&resource);
        let has = |finalizer: &str| metadata::texts(&value, "finalizers").any(|one| one == finalizer);
        if object.is_deleting() && has(ORPHAN) {
            self.release_owned(object.uid());
            self.take_finalizer(place, key, ORPHAN);
            return;
        }
        if object.is_deleting() && has(FOREGROUND) {
            self.delete_owned(place, key, &object);
            return;
        }
        if object.is_deleting() {
            return;
        }
        let owners = owners(&value);
        if owners.is_empty() {
            return;
        }
        let fates: Vec<(Owner, Fate)> = owners
            .into_iter()
            .map(|owner| {
                let fate = self.fate(&owner, &key.namespace);
                (owner, fate)
            })
            .collect();
        if fates.iter().any(|(_, fate)| *fate == Fate::There) {
            if fates.iter().any(|(_, fate)| *fate != Fate::There) {
                let lost: Vec<String> = fates
                    .into_iter()
                    .filter(|(_, fate)| *fate != Fate::There)
                    .map(|(owner, _)| owner.uid)
                    .collect();
                self.disown(place, key, &lost);
            }
            return;
        }
        let waits = fates.iter().any(|(_, fate)| *fate == Fate::Waits);
        let owns = self.store.all().any(|(_, _, other)| other.is_owned_by(object.uid()));
        let propagation = if waits && owns {
            Propagation::Foreground
        } else if has(ORPHAN) {
            Propagation::Orphan
        } else {
            Propagation::Background
        };
        self.delete_own(place, key, object.uid(), propagation);
    }

    /// Deletes an object as the control plane does.
    pub(crate) fn delete_own(&mut self, place: &Place, key: &Key, uid: &str, propagation: Propagation) {
        let Some(resource) = self.resource_at(place) else { return };
        let options = DeleteOptions {
            uid: Some(uid.to_owned()),
            propagation: Some(propagation),
            ..DeleteOptions::default()
        };
        let call = Call {
            resource: &resource,
            namespace: &key.namespace,
            name: &key.name,
            subresource: Subresource::None,
            verb: Verb::Get,
            manager: COLLECTOR,
            user: COLLECTOR,
            dry_run: false,
            validation: FieldValidation::Ignore,
            now: self.now,
        };
        // Whatever keeps it from going keeps it from going the next time as well.
        let _refused = self.delete(&call, &options);
    }

    fn fate(&self, owner: &Owner, namespace: &str) -> Fate {
        let Some(resource) = self.resource_of(&owner.api_version, &owner.kind) else { return Fate::There };
        let namespace = if resource.namespaced { namespace } else { "" };
        let Some(found) = self.find(&resource, namespace, &owner.name) else { return Fate::Gone };
        if found.uid() != owner.uid {
            return Fate::Gone;
        }
        let waits =
            found.is_deleting() && metadata::texts(&found.bare(), "finalizers").any(|one| one == FOREGROUND);
        if waits { Fate::Waits } else { Fate::There }
    }

    /// Takes references to owners from an object.
    fn disown(&mut self, place: &Place, key: &Key, lost: &[String]) {
        let (Some(resource), Some(object)) = (self.resource_at(place), self.store.get(place, key)) else {
            return;
        };
        let old = object.value(&resource);
        let mut new = old.clone();
        if let Some(metadata) = metadata::of(&mut new)
            && let Some(list) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut)
        {
            list.retain(|owner| {
                !lost.iter().any(|uid| owner.get("uid").and_then(Value::as_str) == Some(uid))
            });
            if list.is_empty() {
                metadata.remove("ownerReferences");
            }
        }
        self.write_own(&resource, key, &old, new, COLLECTOR, "");
    }

    /// Frees what an object owns from it.
    fn release_owned(&mut self, uid: &str) {
        let owned: Vec<(Arc<Place>, Key)> = self
            .store
            .all()
            .filter(|(_, _, object)| object.is_owned_by(uid))
            .map(|(place, key, _)| (place.clone(), key.clone()))
            .collect();
        for (place, key) in owned {
            self.disown(&place, &key, &[uid.to_owned()]);
        }
    }

    /// Deletes what an object owns, and lets it go once nothing that holds it is left.
    fn delete_owned(&mut self, place: &Arc<Place>, key: &Key, owner: &Arc<Object>) {
        let owned: Vec<(Arc<Place>, Key, bool, bool)> = self
            .store
            .all()
            .filter(|(_, _, object)| object.is_owned_by(owner.uid()))
            .map(|(place, key, object)| {
                let blocks = owners(&object.bare()).iter().any(|one| one.uid == owner.uid() && one.blocks);
                (place.clone(), key.clone(), blocks, object.is_deleting())
            })
            .collect();
        if !owned.iter().any(|(_, _, blocks, _)| *blocks) {
            self.take_finalizer(place, key, FOREGROUND);
            return;
        }
        for (place, key, _, deleting) in owned {
            if !deleting {
                self.collect(&place, &key);
            }
        }
        // What does not block may have gone at once; what blocks tells when it has.
        if self.store.get(place, key).is_some_and(|object| object.is_deleting()) {
            let blocked = self.store.all().any(|(_, _, object)| {
                object.is_owned_by(owner.uid())
                    && owners(&object.bare()).iter().any(|one| one.uid == owner.uid() && one.blocks)
            });
            if !blocked {
                self.soon(Job::Collect(place.clone(), key.clone()));
            }
        }
    }

    /// Takes a finalizer from an object.
    pub(crate) fn take_finalizer(&mut self, place: &Place, key: &Key, finalizer: &str) {
        let (Some(resource), Some(object)) = (self.resource_at(place), self.store.get(place, key)) else {
            return;
        };
        let old = object.value(&resource);
        let mut new = old.clone();
        if let Some(metadata) = metadata::of(&mut new)
            && let Some(list) = metadata.get_mut("finalizers").and_then(Value::as_array_mut)
        {
            list.retain(|one| one != finalizer);
            if list.is_empty() {
                metadata.remove("finalizers");
            }
        }
        self.write_own(&resource, key, &old, new, COLLECTOR, "");
    }
}
