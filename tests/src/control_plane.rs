//! A real Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager, without nodes.
//!
//! It listens on a port and in a folder of its own, so any number run side by side; all of it dies with the test
//! process. Its API server can go away and come back with the same address and data, as in life.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use serde_json::Value;

use crate::api::Api;
use crate::assets::Assets;
use crate::port::Port;
use crate::process::Daemon;
use crate::requests::{self, Mark, Request};
use crate::scratch::Scratch;
use crate::{certificates, wait};

pub use self::builder::Builder;

mod builder;
mod launch;

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
    name: String,
    assets: Assets,
    port: Port,
    api: Api,
    users: BTreeMap<String, User>,
    controllers: Vec<String>,
    audit: bool,
    agents: AtomicUsize,
    servers: Mutex<Servers>,
    // Last, so that the processes are gone before their folder.
    scratch: Scratch,
}

/// Memory that the processes of a control plane hold (resident set), in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Of etcd.
    pub etcd: u64,
    /// Of kube-apiserver.
    pub api_server: u64,
    /// Of kube-controller-manager.
    pub controller_manager: u64,
}

/// A user that the API server knows by a token.
#[derive(Clone, Debug)]
struct User {
    token: String,
    groups: Vec<String>,
}

#[derive(Debug, Default)]
struct Servers {
    controller_manager: Option<Daemon>,
    api_server: Option<Daemon>,
    etcd: Option<Daemon>,
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
        &self.name
    }

    /// Returns the URL of the API server.
    pub fn url(&self) -> String {
        format!("https://{}", self.port.address())
    }

    /// Returns the folder of its files: logs, certificates, kubeconfigs.
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Returns a fast client that acts as the administrator.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Returns a fast client that acts as another of the users.
    pub fn api_as(&self, user: &str) -> anyhow::Result<Api> {
        let user = self.users.get(user).with_context(|| format!("there is no user {user:?}"))?;
        Ok(self.api.with_token(&user.token))
    }

    /// Returns the path of the administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        launch::kubeconfig(self.folder(), ADMIN)
    }

    /// Returns the path of another user's kubeconfig.
    pub fn kubeconfig_of(&self, user: &str) -> anyhow::Result<PathBuf> {
        anyhow::ensure!(self.users.contains_key(user), "there is no user {user:?}");
        Ok(launch::kubeconfig(self.folder(), user))
    }

    /// Returns the name of a user for one more agent: a member of `system:masters` that nobody else acts as.
    pub fn next_agent(&self) -> anyhow::Result<String> {
        let index = self.agents.fetch_add(1, Ordering::Relaxed);
        anyhow::ensure!(index < AGENTS, "{} has users for {AGENTS} agents only", self.name);
        Ok(agent(index))
    }

    /// Runs kubectl as the administrator and returns what it printed, whatever its exit code.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl as the administrator with a text on its standard input.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        use std::io::Write as _;

        let mut child = Command::new(self.assets.kubectl())
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .env("KUBECACHEDIR", self.scratch.join("kubectl-cache"))
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
        match self.servers.lock().api_server.take() {
            Some(mut server) => server.kill(),
            None => bail!("the API server of {} is not running", self.name),
        }
    }

    /// Brings the API server back with the same address and data, and waits until it is ready.
    pub fn start_api_server(&self) -> anyhow::Result<()> {
        {
            let mut servers = self.servers.lock();
            anyhow::ensure!(servers.api_server.is_none(), "the API server of {} is running", self.name);
            servers.api_server = Some(self.launch_api_server()?);
        }
        self.ready()
    }

    /// Kills etcd and starts it again on its data, while the API server goes on.
    pub fn restart_etcd(&self) -> anyhow::Result<()> {
        {
            let mut servers = self.servers.lock();
            let mut etcd = servers.etcd.take().context("etcd is not running")?;
            etcd.kill()?;
            servers.etcd = Some(self.launch_etcd()?);
        }
        self.ready()
    }

    /// Waits until the API server says that it is ready.
    pub fn ready(&self) -> anyhow::Result<()> {
        wait::poll(READY, &format!("the API server of {} to be ready", self.name), || {
            self.servers.lock().check()?;
            let response = self.api.call("GET", "/readyz", None)?;
            anyhow::ensure!(response.status == 200, "{}: {}", response.status, response.body);
            anyhow::Ok(())
        })
    }

    /// Returns the memory that its processes hold at present.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        let servers = self.servers.lock();
        let of = |daemon: &Option<Daemon>| daemon.as_ref().context("not running")?.resident_memory();
        Ok(Memory {
            etcd: of(&servers.etcd)?,
            api_server: of(&servers.api_server)?,
            controller_manager: of(&servers.controller_manager)?,
        })
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
        anyhow::ensure!(self.audit, "{} was started without an audit log", self.name);
        Ok(self.scratch.join(launch::AUDIT_LOG))
    }

    fn boot(&self) -> anyhow::Result<()> {
        {
            let mut servers = self.servers.lock();
            servers.etcd = Some(self.launch_etcd()?);
            servers.api_server = Some(self.launch_api_server()?);
        }
        self.ready()?;
        self.servers.lock().controller_manager = Some(self.launch_controller_manager()?);
        Ok(())
    }
}

// === impl Servers ===

impl Servers {
    /// Fails with the log of a server that ended by itself.
    fn check(&mut self) -> anyhow::Result<()> {
        for daemon in [&mut self.etcd, &mut self.api_server].into_iter().flatten() {
            daemon.check()?;
        }
        Ok(())
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

/// Writes the certificates and makes the client of the administrator.
fn credentials(scratch: &Scratch, port: &Port, admin: &User) -> anyhow::Result<Api> {
    certificates::write(scratch.path())?;
    let authority = std::fs::read_to_string(scratch.join(certificates::AUTHORITY))
        .context("cannot read the authority's certificate")?;
    Api::new(port.address(), &authority, &admin.token)
}
