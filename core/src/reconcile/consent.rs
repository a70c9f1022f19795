//! Whether an object may be deleted, as it says itself or its application says for it (Argo CD: `Prune=`, `Delete=`).

use super::Reconciler;
use super::state::InventoryEntry;
use crate::desired::{Assignment, Phase};
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

    /// Tells whether an object of an app stays whatever becomes of the desired state.
    pub(super) fn stays(&self, entry: &InventoryEntry) -> bool {
        let listed = self.apps.get(&entry.app).and_then(|state| state.listed.as_ref());
        entry.kept || listed.is_some_and(|listed| self.consent(listed, entry) == Consent::Refused)
    }
}
