//! A cluster of a world: a control plane and the agent that enforces the desired state on it.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name is null when the name is absent"
)]

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::Hub;
use crate::admin;
use crate::control_plane::ControlPlane;
use crate::process::{Daemon, Launch, our_binary};
use crate::requests::{Mark, Request};
use crate::scratch::Scratch;

/// How long an agent may take to stop in good order.
const STOP: Duration = Duration::from_secs(30);
/// The namespace of the agent's Lease.
const NAMESPACE: &str = "argosy";

/// A registered cluster with its agent's command line, whether the agent runs or not.
#[derive(Debug)]
pub struct Edge {
    name: String,
    uuid: String,
    join: String,
    user: String,
    data: PathBuf,
    log: PathBuf,
    arguments: Vec<String>,
    /// By what the agent reaches the API server, if not by its user's own kubeconfig.
    detour: Mutex<Option<PathBuf>>,
    agent: Mutex<Option<Daemon>>,
    plane: Arc<ControlPlane>,
}

// === impl Edge ===

impl Edge {
    /// Registers a cluster at the hub; starts nothing.
    pub fn register(
        hub: &Hub,
        scratch: &Scratch,
        name: &str,
        plane: Arc<ControlPlane>,
        arguments: &[String],
    ) -> anyhow::Result<Self> {
        let answer = hub.argosy_json(&["cluster", "add", name])?;
        let field = |field: &str| {
            let text = answer[field].as_str().with_context(|| format!("`cluster add` gave no {field}"))?;
            anyhow::Ok(text.to_owned())
        };
        // Not by kubectl, which fails when another test makes the namespace at the same moment.
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        plane.api().apply(&format!("/api/v1/namespaces/{NAMESPACE}"), "argosy-tests", &namespace)?;
        Ok(Self {
            name: name.to_owned(),
            uuid: field("uuid")?,
            join: field("join")?,
            user: plane.next_agent()?,
            data: scratch.join(format!("agent-{name}")),
            log: scratch.join(format!("agent-{name}.log")),
            arguments: arguments.to_vec(),
            detour: Mutex::new(None),
            agent: Mutex::new(None),
            plane,
        })
    }

    /// Has the hub ask the cluster to join again: the next start of the agent does, with the new join string.
    pub fn rejoin(&mut self, hub: &Hub) -> anyhow::Result<()> {
        let answer = hub.argosy_json(&["cluster", "add", &self.name, "--rejoin"])?;
        let uuid = answer["uuid"].as_str().context("`cluster add --rejoin` gave no uuid")?;
        anyhow::ensure!(uuid == self.uuid, "`cluster add --rejoin` gave another cluster, {uuid}");
        answer["join"].as_str().context("`cluster add --rejoin` gave no join")?.clone_into(&mut self.join);
        Ok(())
    }

    /// Returns its registered name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the UUID that the hub gave it.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Returns the join string that its agent enrolls with.
    pub fn join(&self) -> &str {
        &self.join
    }

    /// Returns its control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Returns its control plane, for one more agent on it.
    pub fn shared_plane(&self) -> &Arc<ControlPlane> {
        &self.plane
    }

    /// Returns the agent's data folder.
    pub fn data_folder(&self) -> &Path {
        &self.data
    }

    /// Returns the kubeconfig by which the agent reaches the API server.
    pub fn kubeconfig(&self) -> anyhow::Result<PathBuf> {
        let detour = self.detour.lock().clone();
        detour.map_or_else(|| self.plane.kubeconfig_of(&self.user), Ok)
    }

    /// Has the agent reach the API server by another kubeconfig, from its next start on.
    pub fn reach_by(&self, kubeconfig: PathBuf) {
        *self.detour.lock() = Some(kubeconfig);
    }

    /// Starts the agent; it does not wait for a connection.
    pub fn start_agent(&self) -> anyhow::Result<()> {
        let mut agent = self.agent.lock();
        anyhow::ensure!(agent.is_none(), "the agent of {} is running", self.name);
        *agent = Some(self.launch(&self.data, &self.log)?.start()?);
        Ok(())
    }

    /// Starts an agent on a folder that is enrolled, with no join string, and the agent's own log.
    pub fn launch_enrolled(&self, data: &Path) -> anyhow::Result<Daemon> {
        Launch::new(our_binary("argosy-agent")?, &self.log)
            .args(["run".as_ref(), "--data-dir".as_ref(), data.as_os_str()])
            .args(["--kubeconfig".as_ref(), self.kubeconfig()?.as_os_str()])
            .args(&self.arguments)
            .start()
    }

    /// Describes an agent of this cluster with another data folder and log: a second process, or a clone.
    pub fn launch(&self, data: &Path, log: &Path) -> anyhow::Result<Launch> {
        Ok(Launch::new(our_binary("argosy-agent")?, log)
            .args(["run", "--join", &self.join])
            .args(["--data-dir".as_ref(), data.as_os_str()])
            .args(["--kubeconfig".as_ref(), self.kubeconfig()?.as_os_str()])
            .args(&self.arguments))
    }

    /// Stops the agent in good order.
    pub fn stop_agent(&self) -> anyhow::Result<ExitStatus> {
        self.running()?.stop(STOP)
    }

    /// Kills the agent, as a power cut would.
    pub fn kill_agent(&self) -> anyhow::Result<()> {
        self.running()?.kill()
    }

    /// Fails with the end of its log if the agent ended by itself.
    pub fn check(&self) -> anyhow::Result<()> {
        self.agent.lock().as_mut().context("the agent is not running")?.check()
    }

    /// Returns the memory that the agent holds at present (resident set), in bytes.
    pub fn agent_memory(&self) -> anyhow::Result<u64> {
        self.agent.lock().as_ref().context("the agent is not running")?.resident_memory()
    }

    /// Returns what the agent shows of itself at its admin endpoint.
    pub fn debug_state(&self) -> anyhow::Result<Value> {
        admin::debug_state(&self.data)
    }

    /// Returns all that the agent has logged, over all its starts.
    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).context("cannot read the agent's log")
    }

    /// Returns the requests of this cluster's agent since a mark of its control plane.
    pub fn requests_since(&self, mark: Mark) -> anyhow::Result<Vec<Request>> {
        let mut requests = self.plane.requests_since(mark)?;
        requests.retain(|request| request.user == self.user);
        Ok(requests)
    }

    fn running(&self) -> anyhow::Result<Daemon> {
        self.agent.lock().take().with_context(|| format!("the agent of {} is not running", self.name))
    }
}
