//! What a control plane can be asked to be.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

use anyhow::Context as _;
use parking_lot::Mutex;

use super::{ADMIN, AGENTS, ControlPlane, Servers, User, agent, credentials, launch, unique};
use crate::assets::Assets;
use crate::port::Port;
use crate::scratch::Scratch;

/// The group that may do everything.
const MASTERS: &str = "system:masters";

/// The controllers that make foreground deletion, namespace deletion and workloads behave as they do for users.
const CONTROLLERS: [&str; 7] = [
    "garbage-collector-controller",
    "namespace-controller",
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
];

/// Describes a control plane before it starts.
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    users: BTreeMap<String, Vec<String>>,
    controllers: Vec<String>,
    audit: bool,
}

// === impl Builder ===

impl Default for Builder {
    fn default() -> Self {
        let users = (0..AGENTS).map(agent).chain([ADMIN.to_owned()]);
        Self {
            name: "cluster".to_owned(),
            users: users.map(|name| (name, vec![MASTERS.to_owned()])).collect(),
            controllers: CONTROLLERS.map(str::to_owned).to_vec(),
            audit: false,
        }
    }
}

impl Builder {
    /// Names the cluster, in messages, in its folder's name and in its kubeconfigs.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Adds a user with the groups that it is a member of; RBAC decides what it may do.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, groups: &[&str]) -> Self {
        self.users.insert(name.into(), groups.iter().map(|&group| group.to_owned()).collect());
        self
    }

    /// Runs one more controller of kube-controller-manager, such as `ttl-after-finished-controller`.
    #[must_use]
    pub fn controller(mut self, name: impl Into<String>) -> Self {
        self.controllers.push(name.into());
        self
    }

    /// Makes the API server log every request, for [`ControlPlane::requests_since`].
    #[must_use]
    pub fn audit(mut self, audit: bool) -> Self {
        self.audit = audit;
        self
    }

    /// Starts the control plane and waits until it is ready.
    pub fn start(self) -> anyhow::Result<ControlPlane> {
        let assets = Assets::find()?;
        let scratch = Scratch::new(&self.name)?;
        let port = Port::lease()?;
        let users: BTreeMap<_, _> = self
            .users
            .into_iter()
            .map(|(name, groups)| (name, User { token: unique("token"), groups }))
            .collect();
        let admin = users.get(ADMIN).context("there is no administrator")?;
        let api = credentials(&scratch, &port, admin)?;
        let plane = ControlPlane {
            name: self.name,
            assets,
            port,
            api,
            users,
            controllers: self.controllers,
            audit: self.audit,
            agents: AtomicUsize::new(0),
            servers: Mutex::new(Servers::default()),
            scratch,
        };
        launch::write_files(&plane)?;
        plane.boot().with_context(|| format!("cannot start the control plane {}", plane.name))?;
        Ok(plane)
    }
}
