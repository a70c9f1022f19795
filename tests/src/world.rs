//! A whole fleet for one scenario: a hub with its fleet repository, a repository of applications, and a cluster with
//! an agent for every name.
//!
//! ```no_run
//! use argosy_tests::{Application, World};
//!
//! let world = World::start(&["edge-1"]).unwrap();
//! let edge = world.edge("edge-1").unwrap();
//! let namespace = edge.plane().fresh_namespace().unwrap();
//! let commit = world.apps().commit_file("web/config.yaml", "apiVersion: v1\n…").unwrap();
//! world.put_app(&Application::new("web", "edge-1", &namespace, "web").automated(true, true)).unwrap();
//! world.await_synced("web", &commit);
//! ```

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name is null when the name is absent"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::control_plane::{self, ControlPlane, shared_at};
use crate::git_repo::GitRepo;
use crate::scratch::Scratch;
use crate::wait;

pub use self::application::Application;
pub use self::edge::Edge;
pub use self::hub::{Hub, Link};

mod application;
mod edge;
mod hub;

/// How long a change may take to come true on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A hub, its repositories and its clusters.
#[derive(Debug)]
pub struct World {
    edges: BTreeMap<String, Edge>,
    hub: Hub,
    fleet: GitRepo,
    apps: GitRepo,
    // Last, so that the processes are gone before their folders.
    more: Vec<Scratch>,
    scratch: Scratch,
}

/// Where a hub reads its fleet from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FleetSource {
    /// The fleet's Git repository.
    #[default]
    Git,
    /// The folder of applications in that repository's work tree, with no Git involved.
    Folder,
}

/// Describes a [`World`] before it starts.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    clusters: Vec<String>,
    own: Option<control_plane::Builder>,
    audit: bool,
    link: Link,
    fleet: FleetSource,
    principal: Vec<String>,
    agent: Vec<String>,
}

// === impl World ===

impl World {
    /// Starts a world with these clusters, on control planes that are shared with other tests.
    pub fn start(clusters: &[&str]) -> anyhow::Result<Self> {
        Self::builder().clusters(clusters).start()
    }

    /// Returns a builder for a world that differs from the usual one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Returns the repository of `Application` and `AppProject` documents.
    pub fn fleet(&self) -> &GitRepo {
        &self.fleet
    }

    /// Returns the repository of manifests.
    pub fn apps(&self) -> &GitRepo {
        &self.apps
    }

    /// Returns the folder in which everything of this world lies.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Returns a cluster by its name.
    pub fn edge(&self, name: &str) -> anyhow::Result<&Edge> {
        self.edges.get(name).with_context(|| format!("the world has no cluster {name:?}"))
    }

    /// Registers one more cluster on a control plane and starts its agent.
    pub fn add_edge(&mut self, name: &str, plane: Arc<ControlPlane>) -> anyhow::Result<&Edge> {
        let edge = Edge::register(&self.hub, &self.scratch, name, plane, &[])?;
        edge.start_agent()?;
        Ok(self.edges.entry(name.to_owned()).or_insert(edge))
    }

    /// Has the hub ask a cluster to join again.
    pub fn rejoin(&mut self, name: &str) -> anyhow::Result<()> {
        let edge = self.edges.get_mut(name).with_context(|| format!("the world has no cluster {name:?}"))?;
        edge.rejoin(&self.hub)
    }

    /// Registers a cluster's name again, after its revocation, and starts an agent on a data folder of its own.
    pub fn join_again(&mut self, name: &str, plane: Arc<ControlPlane>) -> anyhow::Result<&Edge> {
        let folder = Scratch::new("again")?;
        let edge = Edge::register(&self.hub, &folder, name, plane, &[])?;
        edge.start_agent()?;
        self.more.push(folder);
        self.edges.insert(name.to_owned(), edge);
        self.edge(name)
    }

    /// Writes an application's document to the fleet repository and commits it.
    pub fn put_app(&self, app: &Application) -> anyhow::Result<String> {
        self.fleet.commit_file(&app.file(), app.document(&self.apps.url()))
    }

    /// Removes an application's document from the fleet repository.
    pub fn remove_app(&self, name: &str) -> anyhow::Result<String> {
        self.fleet.remove(&application::file(name))?;
        self.fleet.commit(&format!("Remove {name}"))
    }

    /// Returns an application as the hub sees it, in Argo CD's shape.
    pub fn app(&self, name: &str) -> anyhow::Result<Value> {
        self.hub.argosy_json(&["app", "get", name])
    }

    /// Waits until an application is Synced at a commit, and returns it.
    ///
    /// # Panics
    /// When that takes too long; the message has the application's last status.
    #[track_caller]
    pub fn await_synced(&self, name: &str, commit: &str) -> Value {
        self.await_app(name, &format!("to be Synced at {commit}"), |app| {
            app["status"]["sync"]["status"] == "Synced" && app["status"]["sync"]["revision"] == commit
        })
    }

    /// Waits until an application, as the hub sees it, meets a condition, and returns it.
    ///
    /// # Panics
    /// When that takes too long; the message has the application's last status.
    #[track_caller]
    pub fn await_app(&self, name: &str, what: &str, mut met: impl FnMut(&Value) -> bool) -> Value {
        wait::eventually(PATIENCE, &format!("application {name} {what}"), || {
            let app = self.app(name).map_err(|error| format!("{error:#}"))?;
            if met(&app) { Ok(app) } else { Err(app["status"].to_string()) }
        })
    }

    /// Waits until the hub says that the agent of a cluster is connected, or is not.
    ///
    /// # Panics
    /// When that takes too long; the message has the cluster's last status.
    #[track_caller]
    pub fn await_connected(&self, cluster: &str, connected: bool) -> Value {
        let what = format!("cluster {cluster} to be {}", if connected { "connected" } else { "away" });
        wait::eventually(PATIENCE, &what, || {
            let status = self.hub.cluster(cluster).map_err(|error| format!("{error:#}"))?;
            if status["connected"] == connected { Ok(status) } else { Err(status.to_string()) }
        })
    }
}

// === impl Builder ===

impl Builder {
    /// Adds clusters, each on a control plane of its own kind (see [`Builder::own_control_planes`]).
    #[must_use]
    pub fn clusters(mut self, names: &[&str]) -> Self {
        self.clusters.extend(names.iter().map(|&name| name.to_owned()));
        self
    }

    /// Starts control planes for this world alone, for a scenario that stops them or counts all their requests.
    #[must_use]
    pub fn own_control_planes(self) -> Self {
        self.control_planes(ControlPlane::builder())
    }

    /// Starts control planes for this world alone, all as described but for their names.
    #[must_use]
    pub fn control_planes(mut self, plane: control_plane::Builder) -> Self {
        self.own = Some(plane);
        self
    }

    /// Makes control planes of the world's own log every request; shared ones always do.
    #[must_use]
    pub fn audit(mut self, audit: bool) -> Self {
        self.audit = audit;
        self
    }

    /// Makes agents reach the hub in another way.
    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    /// Makes the hub read its fleet from something else than Git.
    #[must_use]
    pub fn fleet(mut self, fleet: FleetSource) -> Self {
        self.fleet = fleet;
        self
    }

    /// Adds an argument to the principal's command line.
    #[must_use]
    pub fn principal_arg(mut self, argument: impl Into<String>) -> Self {
        self.principal.push(argument.into());
        self
    }

    /// Adds an argument to every agent's command line.
    #[must_use]
    pub fn agent_arg(mut self, argument: impl Into<String>) -> Self {
        self.agent.push(argument.into());
        self
    }

    /// Starts the world, and waits until every agent is connected.
    pub fn start(self) -> anyhow::Result<World> {
        let scratch = Scratch::new("world")?;
        let fleet = GitRepo::init(scratch.join("fleet"))?;
        let apps = GitRepo::init(scratch.join("apps"))?;
        let planes = self.planes()?;
        let source = match self.fleet {
            FleetSource::Git => fleet.url(),
            FleetSource::Folder => {
                let folder = fleet.folder().join("applications");
                std::fs::create_dir_all(&folder).context("cannot make the fleet's folder")?;
                folder.display().to_string()
            }
        };
        let hub = Hub::init(&scratch, &source, self.principal, self.link)?;
        hub.start()?;
        let mut edges = BTreeMap::new();
        for (name, plane) in self.clusters.iter().zip(planes) {
            let edge = Edge::register(&hub, &scratch, name, plane, &self.agent)?;
            edge.start_agent()?;
            edges.insert(name.clone(), edge);
        }
        for edge in edges.values() {
            wait::poll(PATIENCE, &format!("the agent of {} to connect", edge.name()), || {
                edge.check()?;
                let status = hub.cluster(edge.name())?;
                anyhow::ensure!(status["connected"] == true, "{status}");
                anyhow::Ok(())
            })?;
        }
        Ok(World { edges, hub, fleet, apps, more: Vec::new(), scratch })
    }

    /// Starts or finds a control plane for every cluster, all at once.
    fn planes(&self) -> anyhow::Result<Vec<Arc<ControlPlane>>> {
        std::thread::scope(|scope| {
            let start = |(index, name): (usize, &String)| {
                let plane = self.own.clone().map(|plane| plane.name(name).audit(self.audit));
                scope.spawn(move || match plane {
                    Some(plane) => plane.start().map(Arc::new),
                    None => shared_at(index),
                })
            };
            let starts: Vec<_> = self.clusters.iter().enumerate().map(start).collect();
            let ended = starts.into_iter().map(|start| {
                start.join().map_err(|_panic| anyhow::anyhow!("starting a control plane panicked"))?
            });
            ended.collect()
        })
    }
}
