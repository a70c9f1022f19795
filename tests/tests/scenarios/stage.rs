//! What most scenarios begin with: a hub, one cluster, and a namespace of their own with config maps in it.

use std::time::Duration;

use argosy_tests::world::{Edge, PATIENCE};
use argosy_tests::{Application, ControlPlane, World, eventually, throughout};
use serde_json::{Value, json};

/// The name of the one cluster.
pub(super) const EDGE: &str = "edge";
/// How long something that must not happen is given to happen.
pub(super) const QUIET: Duration = Duration::from_millis(1500);

/// A world with one cluster, and a fresh namespace there.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) namespace: String,
}

impl Stage {
    /// Starts on a control plane that other tests use as well.
    pub(super) fn start() -> Self {
        Self::of(World::start(&[EDGE]).unwrap())
    }

    /// Starts on a control plane that no other test uses.
    pub(super) fn alone() -> Self {
        Self::of(World::builder().clusters(&[EDGE]).own_control_planes().audit(true).start().unwrap())
    }

    /// Makes a fresh namespace in the one cluster of a world.
    pub(super) fn of(world: World) -> Self {
        let namespace = world.edge(EDGE).unwrap().plane().fresh_namespace().unwrap();
        Self { world, namespace }
    }

    pub(super) fn edge(&self) -> &Edge {
        self.world.edge(EDGE).unwrap()
    }

    pub(super) fn plane(&self) -> &ControlPlane {
        self.edge().plane()
    }

    /// Describes an app of the folder of its name that syncs, prunes and heals by itself.
    pub(super) fn app(&self, name: &str) -> Application {
        Application::new(name, EDGE, &self.namespace, name).automated(true, true)
    }

    /// Writes config maps, named by `FOLDER/NAME`, with a value each, and commits them.
    pub(super) fn commit(&self, config_maps: &[(&str, &str)]) -> String {
        for (file, value) in config_maps {
            let name = file.rsplit('/').next().unwrap();
            self.world.apps().write(&format!("{file}.yaml"), config_map(name, value)).unwrap();
        }
        self.world.apps().commit("Change config maps").unwrap()
    }

    /// Removes files of config maps and commits that.
    pub(super) fn remove(&self, config_maps: &[&str]) -> String {
        for file in config_maps {
            self.world.apps().remove(&format!("{file}.yaml")).unwrap();
        }
        self.world.apps().commit("Remove config maps").unwrap()
    }

    /// Commits config maps and an app of them, and waits until it is Synced.
    pub(super) fn bring_up(&self, app: &str, names: &[&str]) -> String {
        let files: Vec<String> = names.iter().map(|name| format!("{app}/{name}")).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|file| (file.as_str(), "1")).collect();
        let commit = self.commit(&files);
        self.world.put_app(&self.app(app)).unwrap();
        self.world.await_synced(app, &commit);
        commit
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("/api/v1/namespaces/{}/configmaps/{name}", self.namespace)
    }

    /// Returns a live config map.
    pub(super) fn live(&self, name: &str) -> Option<Value> {
        self.plane().api().get(&self.path(name)).unwrap()
    }

    /// Returns the value of a live config map; empty when it is not there.
    pub(super) fn value(&self, name: &str) -> String {
        let live = self.live(name).unwrap_or_default();
        live["data"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the UID of a live config map.
    pub(super) fn uid(&self, name: &str) -> String {
        self.live(name).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(super) fn await_value(&self, name: &str, value: &str) {
        eventually(PATIENCE, &format!("config map {name} to have the value {value}"), || {
            let seen = self.value(name);
            if seen == value { Ok(()) } else { Err(seen) }
        });
    }

    #[track_caller]
    pub(super) fn await_absent(&self, name: &str) {
        eventually(PATIENCE, &format!("config map {name} to be gone"), || self.live(name).is_none());
    }

    /// Demands that config maps keep the incarnations that they have now, for a while.
    #[track_caller]
    pub(super) fn expect_untouched(&self, names: &[&str]) {
        let before: Vec<Value> = names.iter().map(|name| self.live(name).unwrap()).collect();
        throughout(QUIET, &format!("{names:?} to stay as they are"), || {
            let now: Vec<Value> = names.iter().map(|name| self.live(name).unwrap_or_default()).collect();
            if now == before { Ok(()) } else { Err(format!("{now:?}")) }
        });
    }

    /// Changes a config map behind the agent's back.
    pub(super) fn spoil(&self, name: &str) {
        let patch = json!({"data": {"value": "spoilt"}});
        self.plane().api().merge(&self.path(name), &patch).unwrap();
    }

    /// Changes a config map behind the agent's back and waits until that is put right.
    #[track_caller]
    pub(super) fn expect_heal(&self, name: &str) {
        let value = self.value(name);
        self.spoil(name);
        self.await_value(name, &value);
    }

    /// Waits until the hub shows a condition of an app whose message has all these parts.
    #[track_caller]
    pub(super) fn await_condition(&self, app: &str, kind: &str, parts: &[&str]) -> Value {
        let what = format!("to have the condition {kind} with {parts:?}");
        self.world.await_app(app, &what, |app| {
            let conditions = app["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|condition| {
                let message = condition["message"].as_str().unwrap_or_default();
                condition["type"] == kind && parts.iter().all(|part| message.contains(part))
            })
        })
    }

    /// Waits until what the hub shows of the fleet as a whole meets a condition, and returns it.
    #[track_caller]
    pub(super) fn await_fleet(&self, what: &str, met: impl Fn(&Value) -> bool) -> Value {
        eventually(PATIENCE, &format!("the fleet {what}"), || {
            let status = self.world.hub().argosy_json(&["status"]).map_err(|error| format!("{error:#}"))?;
            let fleet = status["fleet"].clone();
            if met(&fleet) { Ok(fleet) } else { Err(fleet.to_string()) }
        })
    }

    /// Waits until the governor holds deletes of an app, and returns what it holds.
    #[track_caller]
    pub(super) fn await_held(&self, app: &str) -> Value {
        let app = self.world.await_app(app, "to have held deletes", |app| app["status"]["held"].is_object());
        app["status"]["held"].clone()
    }
}

pub(super) fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: \"{value}\"}}\n")
}

/// Tells whether a document has a condition of this type.
pub(super) fn has_condition(document: &Value, kind: &str) -> bool {
    let conditions = document["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == kind)
}

/// Returns the message of a resource's row; empty when it has none.
pub(super) fn row_message<'a>(app: &'a Value, name: &str) -> &'a str {
    row(app, name)["message"].as_str().unwrap_or_default()
}

/// Returns the row of a resource; null when the app shows none.
pub(super) fn row<'a>(app: &'a Value, name: &str) -> &'a Value {
    let rows = app["status"]["resources"].as_array();
    rows.into_iter().flatten().find(|row| row["name"] == name).unwrap_or(&Value::Null)
}
