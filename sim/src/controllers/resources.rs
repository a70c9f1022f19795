//! What controllers need of a cluster.

use serde_json::Value;

use crate::cluster::{Call, Cluster, FieldValidation, Key, Place, Subresource, Verb};
use crate::controllers;

// === impl Cluster ===

impl Cluster {
    /// Gives the objects of a kind that one controls, by name.
    pub(super) fn controlled(&self, place: &Place, uid: &str) -> Vec<(Key, Value)> {
        let Some(resource) = self.resource_at(place) else { return Vec::new() };
        self.owned_at(place, uid)
            .into_iter()
            .map(|(key, object)| (key, object.value(&resource)))
            .filter(|(_, value)| {
                crate::cluster::owners(value).iter().any(|owner| owner.controller && owner.uid == uid)
            })
            .collect()
    }

    /// Makes an object as a controller does. What is refused is tried again when something changes.
    pub(super) fn make_own(
        &mut self,
        group: &str,
        version: &str,
        plural: &str,
        namespace: &str,
        object: Value,
        manager: &str,
    ) {
        let Some(resource) = self.resource(group, version, plural) else { return };
        let call = Call {
            resource: &resource,
            namespace,
            name: "",
            subresource: Subresource::None,
            verb: Verb::Create(object),
            manager,
            user: controllers::CONTROLLER,
            dry_run: false,
            validation: FieldValidation::Ignore,
            now: self.now(),
        };
        let _refused = self.call(call);
    }
}
