//! What the hub itself holds, for operators who ask: the fleet's projects, and the releases of apps.

use super::{AppName, HubMachine, Refused};
use crate::fleet::ProjectState;
use crate::release::Release;
use crate::session::tables::get_release;
use crate::store::{StoreError, StoreRead};

/// One project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectView {
    /// As its document states it.
    pub state: ProjectState,
    /// How many apps of the fleet are in it.
    pub apps: u64,
}

/// The release that the hub desires of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredRelease {
    /// Its entries.
    pub release: Release,
    /// The newest commit that renders to it, as far as it is remembered.
    pub commit: Option<String>,
}

impl HubMachine {
    /// Gives every project, by name.
    pub fn projects(&self) -> Vec<ProjectView> {
        let apps_in = |project: &str| {
            let read = self.read.iter().flat_map(|read| read.apps.values());
            let apps = read.filter_map(|document| document.application.as_ref().ok());
            apps.filter(|application| application.project == project).count() as u64
        };
        let states = self.fleet.projects(self.read.as_ref()).into_iter();
        states.map(|state| ProjectView { apps: apps_in(&state.name), state }).collect()
    }

    /// Gives the release that the hub desires of an app; its manifests are in the store.
    pub fn desired_release(
        &self,
        name: &AppName,
        store: &dyn StoreRead,
    ) -> Result<Result<DesiredRelease, Refused>, StoreError> {
        let cluster = match self.cluster_of(name) {
            Ok(cluster) => cluster,
            Err(refused) => return Ok(Err(refused)),
        };
        let placement = self.fleet.placements().get(&(cluster, name.app.clone()));
        let Some(placement) = placement else { return Ok(Err(Refused::NoApp(name.app.clone()))) };
        let root = placement.assignment.root;
        let Some(release) = get_release(store, root)? else {
            let why = "the hub lost its release and renders it anew".to_owned();
            return Ok(Err(Refused::Waiting { app: name.app.clone(), why }));
        };
        let commit = placement.commit_of(root).map(str::to_owned);
        Ok(Ok(DesiredRelease { release, commit }))
    }
}
