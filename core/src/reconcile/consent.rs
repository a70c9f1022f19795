//! Whether an object may be deleted: as it says itself or its application says for it (Argo CD: `Prune=`, `Delete=`), and
//! as its project says.

use super::Reconciler;
use super::state::InventoryEntry;
use crate::desired::{Assignment, Destination, Phase};
use crate::key::ResourceKey;
use crate::policy::Consent;

impl Reconciler {
    /// Gives what was said of deleting an object: with its application where that is being deleted, else because it left
    /// the desired state. What was applied last counts; an object that says nothing does as its application says.
    pub(super) fn consent(&self, listed: &Assignment, entry: &InventoryEntry) -> Consent {
        let facts = entry.applied.as_ref().and_then(|body| self.facts.get(&body.manifest));
        match listed.phase {
            Phase::Deleting if entry.kept => Consent::Refused,
            Phase::Deleting => facts.and_then(|facts| facts.delete).unwrap_or(listed.policy.delete),
            Phase::Active | Phase::Frozen | Phase::Released if entry.kept || entry.prune_refused => {
                Consent::Refused
            }
            Phase::Active | Phase::Frozen | Phase::Released => {
                facts.and_then(|facts| facts.prune).unwrap_or(listed.policy.prune)
            }
        }
    }

    /// Says why an app's project keeps an object from being deleted: what a project does not permit is no object of its apps
    /// (Argo CD leaves it out of what it prunes, and out of what goes with the app).
    pub(super) fn denied_by_project(&self, listed: &Assignment, key: &ResourceKey) -> Option<String> {
        let Destination { server, cluster, .. } = &listed.destination;
        let denied = listed.limits.permits(key, self.lives_in_namespace(key), server, cluster).err();
        denied.map(|denied| denied.to_string())
    }

    /// Tells whether an object of an app stays whatever becomes of the desired state: it is never deleted, or not while its
    /// project is as it is.
    pub(super) fn stays(&self, key: &ResourceKey, entry: &InventoryEntry) -> bool {
        let listed = self.apps.get(&entry.app).and_then(|state| state.listed.as_ref());
        let kept = |listed: &Assignment| {
            self.consent(listed, entry) == Consent::Refused || self.denied_by_project(listed, key).is_some()
        };
        entry.kept || key.is_excluded() || self.is_stated_in_part(&entry.app, key) || listed.is_some_and(kept)
    }
}
