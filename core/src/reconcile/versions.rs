//! Which version of its kind an object is stated in (Argo CD: `version` of rows).
//!
//! It is what the manifest says: of the release that is synced or assigned, else of what was applied last. An object of which
//! no manifest is known, one that was found by its tracking after the store was lost, has none.

use super::Reconciler;
use super::state::App;
use crate::cluster::ManifestFacts;
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::status::{OperationStatus, ResourceRow};

impl Reconciler {
    /// Gives the version of an object; empty where it is not known.
    pub(super) fn version_of(&self, state: &App, key: &ResourceKey) -> String {
        let synced = state.work.as_ref().and_then(|work| work.wanted.manifest(key));
        let applied = || Some(self.inventory.get(key)?.applied.as_ref()?.manifest);
        let manifest = synced.or_else(|| state.wanted.manifest(key)).or_else(applied);
        let version =
            |manifest| self.facts.get(&manifest).map_or(ManifestFacts::VERSION, ManifestFacts::version);
        manifest.map(version).unwrap_or_default().to_owned()
    }

    /// Gives a row with its version.
    pub(super) fn versioned(&self, state: &App, row: ResourceRow) -> ResourceRow {
        ResourceRow { version: self.version_of(state, &row.key), ..row }
    }

    /// Gives an operation that runs with the versions of its rows; one that ended has them.
    pub(super) fn with_versions(&self, state: &App, mut operation: OperationStatus) -> OperationStatus {
        if operation.finished.is_none() {
            for row in operation.results.iter_mut().filter(|row| row.version.is_empty()) {
                row.version = self.version_of(state, &row.key);
            }
        }
        operation
    }

    /// Notes the versions of what an operation did before it ends: afterwards they may not be known.
    pub(super) fn note_versions(&mut self, app: &AppId) {
        let Some(state) = self.apps.get(app) else { return };
        let Some(work) = &state.work else { return };
        let unknown = work.results.iter().enumerate().filter(|(_, row)| row.version.is_empty());
        let versions: Vec<(usize, String)> =
            unknown.map(|(index, row)| (index, self.version_of(state, &row.key))).collect();
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        for (index, version) in versions {
            if let Some(row) = work.results.get_mut(index) {
                row.version = version;
            }
        }
    }
}
