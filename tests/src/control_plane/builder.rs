//! What a control plane can be asked to be.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::real::Real;
use super::sim::{self, Sim};
use super::site::{Site, User};
use super::{ADMIN, AGENTS, ControlPlane, Kubernetes, Servers, agent, unique};
use crate::assets::{self, Assets};
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
    kubernetes: Option<Kubernetes>,
    name: String,
    users: BTreeMap<String, Vec<String>>,
    controllers: bool,
    more_controllers: Vec<String>,
    audit: bool,
    sim: sim::Settings,
}

// === impl Builder ===

impl Default for Builder {
    fn default() -> Self {
        let users = (0..AGENTS).map(agent).chain([ADMIN.to_owned()]);
        Self {
            kubernetes: None,
            name: "cluster".to_owned(),
            users: users.map(|name| (name, vec![MASTERS.to_owned()])).collect(),
            controllers: true,
            more_controllers: Vec::new(),
            audit: false,
            sim: sim::Settings::default(),
        }
    }
}

impl Builder {
    /// Chooses what serves the cluster, whatever the switch says.
    #[must_use]
    pub fn kubernetes(mut self, kubernetes: Kubernetes) -> Self {
        self.kubernetes = Some(kubernetes);
        self
    }

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

    /// Runs one more controller of kube-controller-manager, such as `ttl-after-finished-controller`; only the real one
    /// has it.
    #[must_use]
    pub fn controller(mut self, name: impl Into<String>) -> Self {
        self.more_controllers.push(name.into());
        self
    }

    /// Runs no controllers, so that nothing changes but by requests; only a real control plane can be without.
    #[must_use]
    pub fn without_controllers(mut self) -> Self {
        self.controllers = false;
        self
    }

    /// Makes the API server log every request, for [`ControlPlane::requests_since`].
    #[must_use]
    pub fn audit(mut self, audit: bool) -> Self {
        self.audit = audit;
        self
    }

    /// Lets pods be ready after a time, as if nodes ran them; only a simulated control plane can.
    #[must_use]
    pub fn pods_ready_after(mut self, time: Duration) -> Self {
        self.sim.ready_after = Some(time);
        self
    }

    /// Merges a document into every write of a resource (`configmaps`, `deployments.apps`), or of its objects of one name
    /// (`configmaps/a`), once the owners are known, as a webhook of admission would; only a simulated control plane does
    /// by itself.
    #[must_use]
    pub fn mutate(mut self, what: impl Into<String>, merge: Value) -> Self {
        self.sim.mutations.push((what.into(), merge));
        self
    }

    /// Starts the control plane and waits until it is ready.
    pub fn start(self) -> anyhow::Result<ControlPlane> {
        let kubernetes = self.kubernetes.map_or_else(Kubernetes::of_environment, Ok)?;
        let (servers, kubectl) = match kubernetes {
            Kubernetes::Real => {
                let simulated = self.sim.ready_after.is_some() || !self.sim.mutations.is_empty();
                anyhow::ensure!(!simulated, "a real control plane has no nodes and no webhooks");
                let assets = Assets::find()?;
                let kubectl = assets.kubectl().to_owned();
                let usual = CONTROLLERS.iter().filter(|_| self.controllers).map(|&name| name.to_owned());
                let controllers = usual.chain(self.more_controllers).collect();
                (Servers::Real(Real::new(assets, controllers)), Some(kubectl))
            }
            Kubernetes::Sim => {
                let more = self.more_controllers;
                anyhow::ensure!(more.is_empty(), "argosy-sim has no controllers {}", more.join(", "));
                anyhow::ensure!(self.controllers, "argosy-sim is not without controllers");
                (Servers::Sim(Sim::new(self.sim)), assets::kubectl()?)
            }
        };
        let users: BTreeMap<_, _> = self
            .users
            .into_iter()
            .map(|(name, groups)| (name, User { token: unique("token"), groups }))
            .collect();
        let scratch = Scratch::new(&self.name)?;
        let site = Site { name: self.name, port: Port::lease()?, users, audit: self.audit, scratch };
        site.write_files()?;
        let api = site.client(ADMIN)?;
        let plane = ControlPlane { kubectl, api, agents: AtomicUsize::new(0), servers, site };
        plane.boot().with_context(|| format!("cannot start the control plane {}", plane.name()))?;
        Ok(plane)
    }
}
