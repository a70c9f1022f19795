//! The control plane of a Kubernetes cluster without nodes: the real one, or `argosy-sim`, as one switch says.
//!
//! It listens on a port and in a folder of its own, so any number run side by side; all of it dies with the test
//! process. Its API server can go away and come back with the same address and data, as in life. What differs between
//! the two is in their modules alone; all that asks and looks is the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::api::Api;
use crate::requests::{self, Mark, Request};
use crate::wait;

use self::real::Real;
use self::sim::Sim;
use self::site::Site;

pub use self::builder::Builder;
pub use self::kubernetes::Kubernetes;

mod builder;
mod kubernetes;
mod real;
mod sim;
mod site;

/// The user that tests act as: a member of `system:masters`.
pub const ADMIN: &str = "admin";
/// How many users there are for agents, so that the requests of each can be told apart on a shared control plane.
const AGENTS: usize = 1_024;

/// How long a server may take to be ready on a machine that is busy with other things.
const READY: Duration = Duration::from_mins(2);
/// How many control planes a test binary shares at most.
const SHARED: usize = 4;

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    kubectl: Option<PathBuf>,
    api: Api,
    agents: AtomicUsize,
    servers: Servers,
    // Last, so that the processes are gone before their folder.
    site: Site,
}

/// Memory that the processes of a control plane hold (resident set), in bytes. `argosy-sim` is all in one, its API server.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Of etcd.
    pub etcd: u64,
    /// Of kube-apiserver.
    pub api_server: u64,
    /// Of kube-controller-manager.
    pub controller_manager: u64,
}

/// What serves a cluster.
#[derive(Debug)]
enum Servers {
    Real(Real),
    Sim(Sim),
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts a control plane and waits until it is ready.
    pub fn start() -> anyhow::Result<Self> {
        Self::builder().start()
    }

    /// Returns a builder for a control plane that differs from the usual one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns the name that was given to the builder.
    pub fn name(&self) -> &str {
        &self.site.name
    }

    /// Returns the URL of the API server.
    pub fn url(&self) -> String {
        self.site.url()
    }

    /// Returns the folder of its files: logs, certificates, kubeconfigs.
    pub fn folder(&self) -> &Path {
        self.site.scratch.path()
    }

    /// Returns a fast client that acts as the administrator.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Returns a fast client that acts as another of the users.
    pub fn api_as(&self, user: &str) -> anyhow::Result<Api> {
        let user = self.site.users.get(user).with_context(|| format!("there is no user {user:?}"))?;
        Ok(self.api.with_token(&user.token))
    }

    /// Returns the path of the administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.site.kubeconfig(ADMIN)
    }

    /// Returns the path of another user's kubeconfig.
    pub fn kubeconfig_of(&self, user: &str) -> anyhow::Result<PathBuf> {
        anyhow::ensure!(self.site.users.contains_key(user), "there is no user {user:?}");
        Ok(self.site.kubeconfig(user))
    }

    /// Returns the administrator's token, for clients of other processes.
    pub fn token(&self) -> anyhow::Result<&str> {
        let user = self.site.users.get(ADMIN).context("there is no administrator")?;
        Ok(&user.token)
    }

    /// Returns the name of a user for one more agent: a member of `system:masters` that nobody else acts as.
    pub fn next_agent(&self) -> anyhow::Result<String> {
        let index = self.agents.fetch_add(1, Ordering::Relaxed);
        anyhow::ensure!(index < AGENTS, "{} has users for {AGENTS} agents only", self.name());
        Ok(agent(index))
    }

    /// Returns the path of kubectl, if there is one: a simulated control plane needs none, so a machine may lack it.
    pub fn kubectl_path(&self) -> Option<&Path> {
        self.kubectl.as_deref()
    }

    /// Runs kubectl as the administrator and returns what it printed, whatever its exit code.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl as the administrator with a text on its standard input.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        use std::io::Write as _;

        let kubectl = self.kubectl.as_ref().context("there is no kubectl, neither built nor on the PATH")?;
        let mut child = Command::new(kubectl)
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .env("KUBECACHEDIR", self.site.file("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")?;
        if let Some(mut stdin) = child.stdin.take()
            && let Err(error) = stdin.write_all(input.as_bytes())
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            return Err(error).context("cannot write to kubectl");
        }
        child.wait_with_output().context("cannot wait for kubectl")
    }

    /// Runs kubectl and returns its standard output, or an error with its standard error.
    pub fn kubectl_text(&self, arguments: &[&str]) -> anyhow::Result<String> {
        succeeded(arguments, &self.kubectl(arguments)?)
    }

    /// Runs kubectl with `-o json` and returns the object or list.
    pub fn kubectl_json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut arguments = arguments.to_vec();
        arguments.extend(["-o", "json"]);
        let text = self.kubectl_text(&arguments)?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {} gave no JSON", arguments.join(" ")))
    }

    /// Applies manifests with `kubectl apply`.
    pub fn apply(&self, manifests: &str) -> anyhow::Result<String> {
        let arguments = ["apply", "-f", "-"];
        succeeded(&arguments, &self.kubectl_with(&arguments, manifests)?)
    }

    /// Makes a namespace with a name that no other test uses, and returns the name.
    pub fn fresh_namespace(&self) -> anyhow::Result<String> {
        let namespace = unique("ns");
        let object = serde_json::json!({"metadata": {"name": namespace}});
        self.api.create("/api/v1/namespaces", &object)?;
        Ok(namespace)
    }

    /// Takes the API server away, as if its machine lost power. Its address and data stay.
    pub fn stop_api_server(&self) -> anyhow::Result<()> {
        match &self.servers {
            Servers::Real(real) => real.stop_api_server(),
            Servers::Sim(sim) => sim.stop_api_server(&self.site),
        }
        .with_context(|| format!("cannot stop the API server of {}", self.name()))
    }

    /// Brings the API server back with the same address and data, and waits until it is ready.
    pub fn start_api_server(&self) -> anyhow::Result<()> {
        match &self.servers {
            Servers::Real(real) => real.start_api_server(&self.site),
            Servers::Sim(sim) => sim.start_api_server(),
        }
        .with_context(|| format!("cannot start the API server of {}", self.name()))?;
        self.ready()
    }

    /// Kills etcd and starts it again on its data, while the API server goes on.
    pub fn restart_etcd(&self) -> anyhow::Result<()> {
        match &self.servers {
            Servers::Real(real) => real.restart_etcd(&self.site),
            Servers::Sim(sim) => sim.restart_etcd(&self.site),
        }?;
        self.ready()
    }

    /// Waits until the API server says that it is ready.
    pub fn ready(&self) -> anyhow::Result<()> {
        wait::poll(READY, &format!("the API server of {} to be ready", self.name()), || {
            match &self.servers {
                Servers::Real(real) => real.check(),
                Servers::Sim(sim) => sim.check(),
            }?;
            let response = self.api.call("GET", "/readyz", None)?;
            anyhow::ensure!(response.status == 200, "{}: {}", response.status, response.body);
            anyhow::Ok(())
        })
    }

    /// Returns the memory that its processes hold at present.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        match &self.servers {
            Servers::Real(real) => real.memory(),
            Servers::Sim(sim) => sim.memory(),
        }
    }

    /// Marks the present moment in the API server's audit log, for [`ControlPlane::requests_since`].
    pub fn mark(&self) -> anyhow::Result<Mark> {
        requests::mark(&self.audit_log()?)
    }

    /// Returns the requests that were answered since a mark (watches: begun). Needs [`Builder::audit`].
    pub fn requests_since(&self, mark: Mark) -> anyhow::Result<Vec<Request>> {
        requests::since(&self.audit_log()?, mark)
    }

    fn audit_log(&self) -> anyhow::Result<PathBuf> {
        anyhow::ensure!(self.site.audit, "{} was started without an audit log", self.name());
        Ok(match &self.servers {
            Servers::Real(_) => Real::audit_log(&self.site),
            Servers::Sim(_) => Sim::audit_log(&self.site),
        })
    }

    fn boot(&self) -> anyhow::Result<()> {
        match &self.servers {
            Servers::Real(real) => {
                real.start(&self.site)?;
                self.ready()?;
                real.start_controllers(&self.site)
            }
            Servers::Sim(sim) => {
                sim.start(&self.site)?;
                self.ready()
            }
        }
    }
}

/// Returns the control plane that the tests of this binary share.
pub fn shared() -> anyhow::Result<Arc<ControlPlane>> {
    shared_at(0)
}

/// Returns one of the control planes that the tests of this binary share, for tests that need several clusters.
///
/// All are audited. They are started when first asked for, and stopped when the process ends.
pub fn shared_at(index: usize) -> anyhow::Result<Arc<ControlPlane>> {
    type Slot = OnceLock<Result<Arc<ControlPlane>, String>>;
    static PLANES: [Slot; SHARED] = [const { OnceLock::new() }; SHARED];

    let slot = PLANES.get(index).with_context(|| format!("at most {SHARED} control planes are shared"))?;
    let plane = slot.get_or_init(|| {
        let plane = ControlPlane::builder().name(format!("shared-{index}")).audit(true).start();
        plane.map(Arc::new).map_err(|error| format!("{error:#}"))
    });
    plane.clone().map_err(anyhow::Error::msg)
}

/// Returns a name that begins with `prefix` and that nothing else has.
pub fn unique(prefix: &str) -> String {
    use std::hash::{BuildHasher as _, RandomState};

    format!("{prefix}-{:010x}", RandomState::new().hash_one(prefix) & 0xff_ffff_ffff)
}

/// Returns the name of an agent's user.
fn agent(index: usize) -> String {
    format!("agent-{index}")
}

fn succeeded(arguments: &[&str], output: &Output) -> anyhow::Result<String> {
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("kubectl {}: {}: {}", arguments.join(" "), output.status, stderr.trim_end());
    }
    String::from_utf8(output.stdout.clone()).context("kubectl printed something that is not text")
}
