//! Kubernetes in memory: a process of `argosy-sim`, told by signals when its API server is away.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use serde_json::Value;

use super::site::Site;
use super::{Memory, READY};
use crate::certificates;
use crate::process::{Daemon, Launch, our_binary};
use crate::wait;

/// The folder of the files that it writes.
const FOLDER: &str = "sim";
/// How many changes it remembers: tests that share it make more of them than one fleet does.
const HISTORY: &str = "10000";
/// Nobody runs pods, unless a test says how long they take.
const NEVER: Duration = Duration::from_hours(1000);

/// How a simulated cluster differs from the usual one.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// How long pods take until they are ready; never without one.
    pub(super) ready_after: Option<Duration>,
    /// What is merged into the writes of a resource on their way.
    pub(super) mutations: Vec<(String, Value)>,
}

/// The process of one cluster.
#[derive(Debug)]
pub(super) struct Sim {
    settings: Settings,
    process: Mutex<Option<Daemon>>,
    is_away: Mutex<bool>,
}

// === impl Sim ===

impl Sim {
    /// Describes the process; starts nothing.
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, process: Mutex::default(), is_away: Mutex::default() }
    }

    pub(super) fn start(&self, site: &Site) -> anyhow::Result<()> {
        let seed = RandomState::new().hash_one(&site.name).to_string();
        let ready_after = format!("{}ms", self.settings.ready_after.unwrap_or(NEVER).as_millis());
        let file = |name| site.file(name).into_os_string();
        let mut launch = Launch::new(our_binary("argosy-sim")?, site.file("argosy-sim.log"))
            .args(["serve", "--clusters", &site.name, "--port", &site.port.number().to_string()])
            .args(["--dir".into(), file(FOLDER)])
            .args(["--seed", &seed, "--history", HISTORY, "--ready-after", &ready_after])
            .args(["--tls-cert-file".into(), file(certificates::CERTIFICATE)])
            .args(["--tls-private-key-file".into(), file(certificates::KEY)])
            .args(["--tls-authority-file".into(), file(certificates::AUTHORITY)])
            .args(["--token-auth-file".as_ref(), site.tokens().as_os_str()]);
        for (resource, merge) in &self.settings.mutations {
            launch = launch.args(["--mutate", &format!("{resource}={merge}")]);
        }
        if site.audit {
            launch = launch.args(["--audit"]);
        }
        *self.process.lock() = Some(launch.start()?);
        Ok(())
    }

    pub(super) fn stop_api_server(&self, site: &Site) -> anyhow::Result<()> {
        self.turn(true)?;
        wait::poll(READY, "the API server to be away", || match TcpStream::connect(site.port.address()) {
            Ok(_open) => Err("it still takes connections".to_owned()),
            Err(_refused) => Ok(()),
        })
    }

    pub(super) fn start_api_server(&self) -> anyhow::Result<()> {
        self.turn(false)
    }

    /// Breaks all connections and comes back, which is what the loss of its store looks like from outside.
    pub(super) fn restart_etcd(&self, site: &Site) -> anyhow::Result<()> {
        self.stop_api_server(site)?;
        self.start_api_server()
    }

    /// Fails with the log of the process if it ended by itself.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.process.lock().as_mut().context("argosy-sim is not running")?.check()
    }

    pub(super) fn memory(&self) -> anyhow::Result<Memory> {
        let process = self.process.lock();
        let api_server = process.as_ref().context("argosy-sim is not running")?.resident_memory()?;
        Ok(Memory { etcd: 0, api_server, controller_manager: 0 })
    }

    pub(super) fn audit_log(site: &Site) -> PathBuf {
        site.file(FOLDER).join(format!("{}.audit.log", site.name))
    }

    fn turn(&self, away: bool) -> anyhow::Result<()> {
        let mut is_away = self.is_away.lock();
        anyhow::ensure!(
            *is_away != away,
            "the API server is {} already",
            if away { "away" } else { "running" }
        );
        let process = self.process.lock();
        let process = process.as_ref().context("argosy-sim is not running")?;
        process.signal(if away { "USR1" } else { "USR2" })?;
        *is_away = away;
        Ok(())
    }
}
