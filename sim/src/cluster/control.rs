//! What the control plane does by itself: jobs that are due some time after the change that asked for them.

mod collect;
mod definitions;
mod namespaces;

use std::sync::Arc;

use serde_json::Value;

use super::delete::{FOREGROUND, ORPHAN};
use super::store::{Key, Place};
use super::{Cluster, Object, Time};
use crate::controllers;
use crate::kinds::{Resource, metadata};

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// A definition: whether its names are free, and its end.
    Define(Box<str>),
    /// An object that may have lost its owners, or goes with what it owns.
    Collect(Arc<Place>, Key),
    /// What was owned by an object that is gone.
    Orphans(Box<str>),
    /// A workload, or what belongs to one.
    Reconcile(Arc<Place>, Key),
    /// A pod that has had its time to start.
    Ready(Key),
    /// A namespace that goes.
    Empty(Box<str>),
}

// === impl Cluster ===

impl Cluster {
    /// Does what the control plane does by itself until now.
    pub fn tick(&mut self, now: Time) {
        self.now = self.now.max(now);
        while let Some((due, job)) = self.jobs.first().cloned() {
            if due > now {
                break;
            }
            self.jobs.remove(&(due, job.clone()));
            match &job {
                Job::Define(name) => self.define(name),
                Job::Collect(place, key) => self.collect(place, key),
                Job::Orphans(uid) => self.orphans(uid),
                Job::Reconcile(place, key) => controllers::reconcile(self, place, key),
                Job::Ready(key) => controllers::ready(self, key),
                Job::Empty(name) => self.empty_namespace(name),
            }
        }
    }

    /// Tells when the control plane will next do something by itself.
    pub fn next_tick(&self) -> Option<Time> {
        self.jobs.first().map(|(due, _)| *due)
    }

    /// Asks for a job after the time that the control plane takes for one.
    pub(crate) fn soon(&mut self, job: Job) {
        self.at(self.now.plus(self.config.step), job);
    }

    /// Asks for a job at a time.
    pub(crate) fn at(&mut self, due: Time, job: Job) {
        self.jobs.insert((due, job));
    }

    /// Gives the latest time that was told.
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Finds an object.
    pub(crate) fn object(&self, place: &Place, key: &Key) -> Option<&Arc<Object>> {
        self.store.get(place, key)
    }

    /// Counts the objects of a kind.
    pub(crate) fn count(&self, place: &Place) -> usize {
        self.store.objects(place).count()
    }

    /// Gives the objects of a kind that name an owner.
    pub(crate) fn owned_at(&self, place: &Place, uid: &str) -> Vec<(Key, Arc<Object>)> {
        let owned = self.store.objects(place).filter(|(_, object)| object.is_owned_by(uid));
        owned.map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    /// Gives a number that belongs to an object's name, for addresses.
    pub(crate) fn number_of(key: &Key) -> u64 {
        let bytes = key.namespace.bytes().chain(*b"/").chain(key.name.bytes());
        bytes.fold(7, |number, byte| (number * 31 + u64::from(byte)) % 62_500)
    }

    /// Looks at what a change asks for.
    pub(super) fn changed(&mut self, place: &Place, key: &Key, value: &Value) {
        let deleting = !metadata::text(value, "deletionTimestamp").is_empty();
        let shared = || Arc::new(place.clone());
        let name = &key.name;
        match (place.group.as_str(), place.plural.as_str()) {
            ("", "namespaces") if deleting => self.soon(Job::Empty(name.clone())),
            ("apiextensions.k8s.io", _) => self.soon(Job::Define(name.clone())),
            _ => {}
        }
        let owned = value
            .pointer("/metadata/ownerReferences")
            .and_then(Value::as_array)
            .is_some_and(|all| !all.is_empty());
        let held = || metadata::texts(value, "finalizers").any(|one| matches!(one, FOREGROUND | ORPHAN));
        if owned || deleting && held() {
            self.soon(Job::Collect(shared(), key.clone()));
        }
        if controllers::cares(&place.group, &place.plural) {
            self.soon(Job::Reconcile(shared(), key.clone()));
        }
        self.tell_owner(key, value);
    }

    /// Looks at what the end of an object asks for.
    pub(super) fn gone(&mut self, place: &Place, key: &Key, last: &Object) {
        self.soon(Job::Orphans(last.uid().into()));
        let value = last.bare();
        if !key.namespace.is_empty() {
            let namespace = self.store.get(&Place::new("", "namespaces"), &Key::new("", &key.namespace));
            if namespace.is_some_and(|namespace| namespace.is_deleting()) {
                self.soon(Job::Empty(key.namespace.clone()));
            }
        }
        if place.group == "apiextensions.k8s.io" {
            self.undefine(&key.name);
            // Another definition may have waited for its names.
            let others: Vec<Box<str>> = self.store.objects(place).map(|(key, _)| key.name.clone()).collect();
            for other in others.into_iter().filter(|other| *other != key.name) {
                self.soon(Job::Define(other));
            }
        }
        if let Some(custom) = self.definition_of(place) {
            self.soon(Job::Define(custom.into()));
        }
        for owner in owners(&value) {
            self.wake_owner(&owner, &key.namespace);
        }
        self.tell_owner(key, &value);
    }

    /// The controller of an object looks at it again.
    fn tell_owner(&mut self, key: &Key, value: &Value) {
        for owner in owners(value).into_iter().filter(|owner| owner.controller) {
            if let Some(resource) = self.resource_of(&owner.api_version, &owner.kind)
                && controllers::cares(&resource.group, &resource.plural)
            {
                let place = Arc::new(super::place_of(&resource));
                self.soon(Job::Reconcile(place, Key::new(&key.namespace, &owner.name)));
            }
        }
    }

    /// An owner that waits for what it owns looks again.
    fn wake_owner(&mut self, owner: &Owner, namespace: &str) {
        let Some(resource) = self.resource_of(&owner.api_version, &owner.kind) else { return };
        let namespace = if resource.namespaced { namespace } else { "" };
        let (place, key) = (super::place_of(&resource), Key::new(namespace, &owner.name));
        if self.store.get(&place, &key).is_some_and(|owner| owner.is_deleting()) {
            self.soon(Job::Collect(Arc::new(place), key));
        }
    }

    /// Finds a kind by what objects state of it.
    pub(crate) fn resource_of(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let is = |resource: &&Arc<Resource>| {
            resource.group == group && resource.version == version && resource.kind == kind
        };
        crate::kinds::built_in().iter().find(is).or_else(|| self.custom.values().find(is)).cloned()
    }

    /// Finds a kind by its place.
    pub(crate) fn resource_at(&self, place: &Place) -> Option<Arc<Resource>> {
        let is = |resource: &&Arc<Resource>| resource.is(&place.group, &place.plural);
        crate::kinds::built_in().iter().find(is).or_else(|| self.custom.values().find(is)).cloned()
    }

    fn definition_of(&self, place: &Place) -> Option<String> {
        let resource = self.custom.values().find(|resource| resource.is(&place.group, &place.plural))?;
        resource.custom().map(|custom| custom.definition.clone())
    }

    /// Writes an object as the control plane does: without questions. Nothing happens if nothing changed.
    pub(crate) fn write_own(
        &mut self,
        resource: &Resource,
        key: &Key,
        old: &Value,
        mut new: Value,
        manager: &str,
        subresource: &str,
    ) {
        let time = self.now.seconds();
        let api_version = resource.api_version();
        let writer =
            crate::ownership::Writer { manager, api_version: &api_version, subresource, time: &time };
        if *old == new {
            return;
        }
        let reset = crate::ownership::FieldSet::default();
        new = crate::ownership::update(
            Some(old),
            new,
            &crate::kinds::rules::merging(resource),
            &writer,
            &reset,
        );
        if crate::ownership::settle(old, &mut new) {
            return;
        }
        let place = super::place_of(resource);
        let deleting = !metadata::text(&new, "deletionTimestamp").is_empty();
        if deleting && super::write::is_released(resource, &new) {
            if let Some(last) = self.store.get(&place, key).cloned() {
                self.discard(&place, key.clone(), &last);
            }
        } else {
            self.commit(&place, key, new);
        }
    }
}

/// A reference to an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) controller: bool,
    pub(crate) blocks: bool,
}

/// Gives the owners of an object.
pub(crate) fn owners(object: &Value) -> Vec<Owner> {
    let list = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let read = |owner: &Value| {
        let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let flag = |field: &str| owner.get(field) == Some(&Value::Bool(true));
        Owner {
            api_version: text("apiVersion"),
            kind: text("kind"),
            name: text("name"),
            uid: text("uid"),
            controller: flag("controller"),
            blocks: flag("blockOwnerDeletion"),
        }
    };
    list.into_iter().flatten().map(read).collect()
}
