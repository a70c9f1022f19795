//! The hub of a world: one principal process, its data and its operator.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name is null when the name is absent"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use serde_json::Value;

use super::PATIENCE;
use crate::admin;
use crate::port::Port;
use crate::process::{Daemon, Launch, our_binary};
use crate::proxy::Proxy;
use crate::scratch::Scratch;
use crate::wait;

/// How long a principal may take to stop in good order.
const STOP: Duration = Duration::from_secs(30);
/// Where a principal writes the addresses that it listens on, in its data folder.
const LISTENING: &str = "listening.json";

/// How agents reach a hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// At its own address.
    #[default]
    Direct,
    /// Through a [`Proxy`], which may be made as slow as a real link; operators still reach it directly.
    Proxied,
}

/// A principal with its data folder, and the operator that `init` made.
#[derive(Debug)]
pub struct Hub {
    data: PathBuf,
    config: PathBuf,
    log: PathBuf,
    fleet: String,
    arguments: Vec<String>,
    port: Arc<Port>,
    proxy: Option<Proxy>,
    principal: Mutex<Option<Daemon>>,
}

// === impl Hub ===

impl Hub {
    /// Initializes the data folder and the operator's identity; starts nothing.
    pub fn init(scratch: &Scratch, fleet: &str, arguments: Vec<String>, link: Link) -> anyhow::Result<Self> {
        let port = Arc::new(Port::lease()?);
        let proxy = match link {
            Link::Direct => None,
            Link::Proxied => Some(Proxy::start(port.address())?),
        };
        Self { proxy, ..Self::describe(scratch, fleet, arguments, port) }.initialized()
    }

    /// Initializes another installation at this hub's address, in another folder: one of the two may run at a time.
    pub fn init_another(&self, scratch: &Scratch) -> anyhow::Result<Self> {
        Self::describe(scratch, &self.fleet, Vec::new(), Arc::clone(&self.port)).initialized()
    }

    fn describe(scratch: &Scratch, fleet: &str, arguments: Vec<String>, port: Arc<Port>) -> Self {
        Self {
            data: scratch.join("hub"),
            config: scratch.join("config"),
            log: scratch.join("principal.log"),
            fleet: fleet.to_owned(),
            arguments,
            port,
            proxy: None,
            principal: Mutex::new(None),
        }
    }

    fn initialized(self) -> anyhow::Result<Self> {
        let address = self.proxy.as_ref().map_or(self.address(), Proxy::address);
        let output = self
            .command(&our_binary("argosy-principal")?)
            .arg("init")
            .arg("--data-dir")
            .arg(&self.data)
            .args(["--address", &address.to_string()])
            .output()
            .context("cannot start argosy-principal")?;
        succeeded("argosy-principal init", &output)?;
        Ok(self)
    }

    /// Returns the address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Returns the proxy through which agents reach it, if they do.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Returns the principal's data folder.
    pub fn data_folder(&self) -> &Path {
        &self.data
    }

    /// Returns the operator's configuration folder (`XDG_CONFIG_HOME`).
    pub fn config_folder(&self) -> &Path {
        &self.config
    }

    /// Starts the principal and waits until it listens.
    pub fn start(&self) -> anyhow::Result<()> {
        self.launch()?;
        wait::poll(PATIENCE, "the principal to listen", || {
            self.check()?;
            self.listening().map(drop)
        })
    }

    /// Starts the principal; it does not wait until it listens.
    pub fn launch(&self) -> anyhow::Result<()> {
        let mut principal = self.principal.lock();
        anyhow::ensure!(principal.is_none(), "the principal is running");
        let listening = self.data.join(LISTENING);
        if listening.exists() {
            std::fs::remove_file(&listening).context("cannot remove what the last principal listened on")?;
        }
        let daemon = Launch::new(our_binary("argosy-principal")?, &self.log)
            .args(["run", "--fleet", &self.fleet, "--poll-interval", "100ms"])
            .args(["--data-dir".as_ref(), self.data.as_os_str()])
            .args(["--listen", &self.address().to_string(), "--admin-listen", "127.0.0.1:0"])
            .args(&self.arguments)
            .env("XDG_CONFIG_HOME", &self.config)
            .start()?;
        *principal = Some(daemon);
        Ok(())
    }

    /// Returns what the principal shows of itself at its admin endpoint.
    pub fn debug_state(&self) -> anyhow::Result<Value> {
        admin::debug_state(&self.data)
    }

    /// Returns what the principal listens on: `{"listen": …, "admin": …}`.
    pub fn listening(&self) -> anyhow::Result<Value> {
        let text = std::fs::read_to_string(self.data.join(LISTENING)).context("it does not listen yet")?;
        serde_json::from_str(&text).with_context(|| format!("{LISTENING} is {text:?}"))
    }

    /// Stops the principal in good order.
    pub fn stop(&self) -> anyhow::Result<()> {
        let status = self.running()?.stop(STOP)?;
        anyhow::ensure!(status.success(), "the principal ended with {status}");
        Ok(())
    }

    /// Kills the principal, as a power cut would.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.running()?.kill()
    }

    /// Fails with the end of its log if the principal ended by itself.
    pub fn check(&self) -> anyhow::Result<()> {
        self.principal.lock().as_mut().context("the principal is not running")?.check()
    }

    /// Returns the process id of the running principal.
    pub fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.principal.lock().as_ref().context("the principal is not running")?.pid())
    }

    /// Returns all that the principal has logged, over all its starts.
    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).context("cannot read the principal's log")
    }

    /// Runs the `argosy` command as the operator, and returns what it printed, whatever its exit code.
    pub fn argosy(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.command(&our_binary("argosy")?).args(arguments).output().context("cannot start argosy")
    }

    /// Runs the `argosy` command with a text on its standard input, and returns what it printed, whatever its exit code.
    pub fn argosy_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        use std::io::Write as _;

        let mut command = self.command(&our_binary("argosy")?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start argosy")?;
        if let Some(mut stdin) = child.stdin.take()
            && let Err(error) = stdin.write_all(input.as_bytes())
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            return Err(error).context("cannot write to argosy");
        }
        child.wait_with_output().context("cannot wait for argosy")
    }

    /// Runs the `argosy` command and returns its standard output, or an error with its standard error.
    pub fn argosy_text(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.argosy(arguments)?;
        succeeded(&format!("argosy {}", arguments.join(" ")), &output)?;
        String::from_utf8(output.stdout).context("argosy printed something that is not text")
    }

    /// Runs the `argosy` command with `-o json` and returns the document.
    pub fn argosy_json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut arguments = arguments.to_vec();
        arguments.extend(["-o", "json"]);
        let text = self.argosy_text(&arguments)?;
        serde_json::from_str(&text).with_context(|| format!("argosy {} gave no JSON", arguments.join(" ")))
    }

    /// Returns one cluster of `argosy status`.
    pub fn cluster(&self, name: &str) -> anyhow::Result<Value> {
        let status = self.argosy_json(&["status"])?;
        let clusters = status["clusters"].as_array().context("the status has no clusters")?;
        let cluster = clusters.iter().find(|cluster| cluster["name"] == name);
        cluster.cloned().with_context(|| format!("the status has no cluster {name:?}: {status}"))
    }

    fn running(&self) -> anyhow::Result<Daemon> {
        self.principal.lock().take().context("the principal is not running")
    }

    /// Returns a command in the operator's environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("XDG_CONFIG_HOME", &self.config).stdin(Stdio::null());
        if self.proxy.is_some() {
            command.env("ARGOSY_HUB", self.address().to_string());
        }
        command
    }
}

fn succeeded(what: &str, output: &Output) -> anyhow::Result<()> {
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{what}: {}: {}", output.status, stderr.trim_end());
    }
    Ok(())
}
