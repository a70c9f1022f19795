//! An app of apps: in some runs it brings what the fleet's folder has else, and the rest of the run is as ever.

use std::collections::BTreeMap;

use argosy_core::fleet::{AppDocument, FleetRead, Grown, Rendering};
use argosy_core::ids::{AppId, Digest};
use argosy_core::key::ResourceKey;
use argosy_core::release::Release;
use argosy_core::session::tables::{put_manifest, put_release};
use argosy_core::store::{StoreError, StoreOp};
use argosy_core::time::WallTime;

use super::super::plan::Trouble;
use super::super::world::World;

const ROOT: &str = "grove";

impl World {
    /// Gives the hub's read as its app of apps makes it; `None` in a run without one.
    pub(super) fn grown(
        &mut self,
        renderings: &BTreeMap<AppId, Rendering>,
    ) -> Result<Option<Grown>, StoreError> {
        if !self.plan.has(Trouble::Groves) {
            return Ok(None);
        }
        let Some(process) = &mut self.hub.process else { return Ok(None) };
        let Some(read) = &process.read else { return Ok(None) };
        let mut base = read.clone();
        let (release, content) = plant(&mut base);
        self.hub.store.commit(&content);
        let root = AppId::new("", ROOT);
        let ready = process.grove;
        let rendering = |app: &AppId, _: &_| {
            if *app != root {
                return renderings.get(app).cloned();
            }
            let (root, commit) = (release.root(), String::new());
            ready.then_some(Rendering::Rendered { root, commit, warnings: Vec::new() })
        };
        process.fleet.grow(&base, &rendering, None, WallTime(0), &self.hub.store).map(Some)
    }
}

/// Moves the apps whose documents are read from the fleet's folder into the folder of an app of apps.
fn plant(read: &mut FleetRead) -> (Release, Vec<StoreOp>) {
    let moved = |app: &AppId, document: &AppDocument| {
        // One app in four stays.
        document.application.is_ok() && !app.name.bytes().last().is_some_and(|digit| digit.is_multiple_of(4))
    };
    let (brought, rest): (BTreeMap<_, _>, BTreeMap<_, _>) =
        std::mem::take(&mut read.apps).into_iter().partition(|(app, document)| moved(app, document));
    read.apps = rest;
    read.apps.insert(AppId::new("", ROOT), AppDocument::read("grove.yaml", &document()));
    let mut ops = Vec::new();
    let entries = brought.into_iter().map(|(app, document)| {
        let bytes = document.document.into_bytes();
        ops.push(put_manifest(&bytes));
        (ResourceKey::new("argoproj.io", "Application", app.namespace, app.name), Digest::of(&bytes))
    });
    let (release, _) = Release::build(entries.collect::<Vec<_>>());
    ops.push(put_release(&release));
    (release, ops)
}

fn document() -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": ROOT},
        "spec": {
            "source": {"repoURL": "https://git.example/grove", "path": ROOT},
            "destination": {"name": argosy_core::application::ClusterRef::IN_CLUSTER, "namespace": "argocd"},
            "syncPolicy": {"automated": {"prune": true, "allowEmpty": true}},
        },
    })
}
