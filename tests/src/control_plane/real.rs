//! Kubernetes itself: etcd, kube-apiserver and kube-controller-manager, without nodes.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use parking_lot::Mutex;
use serde_json::json;

use super::Memory;
use super::site::{Site, write};
use crate::assets::Assets;
use crate::certificates;
use crate::process::{Daemon, Launch};

/// The API server's audit log.
const AUDIT_LOG: &str = "audit.log";
const AUDIT_POLICY: &str = "audit-policy.json";
/// The longest path that a Unix socket may have, less its closing zero.
const SOCKET_PATH: usize = 107;

/// The servers of one cluster.
#[derive(Debug)]
pub(super) struct Real {
    assets: Assets,
    controllers: Vec<String>,
    processes: Mutex<Processes>,
}

#[derive(Debug, Default)]
struct Processes {
    controller_manager: Option<Daemon>,
    api_server: Option<Daemon>,
    etcd: Option<Daemon>,
}

// === impl Real ===

impl Real {
    /// Describes the servers; starts nothing.
    pub(super) fn new(assets: Assets, controllers: Vec<String>) -> Self {
        Self { assets, controllers, processes: Mutex::default() }
    }

    /// Starts what answers requests.
    pub(super) fn start(&self, site: &Site) -> anyhow::Result<()> {
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "omitManagedFields": true}],
        });
        write(&site.file(AUDIT_POLICY), &policy.to_string())?;
        let mut processes = self.processes.lock();
        processes.etcd = Some(self.launch_etcd(site)?);
        processes.api_server = Some(self.launch_api_server(site)?);
        Ok(())
    }

    /// Starts what acts by itself, once requests are answered.
    pub(super) fn start_controllers(&self, site: &Site) -> anyhow::Result<()> {
        if self.controllers.is_empty() {
            return Ok(());
        }
        self.processes.lock().controller_manager = Some(self.launch_controller_manager(site)?);
        Ok(())
    }

    pub(super) fn stop_api_server(&self) -> anyhow::Result<()> {
        match self.processes.lock().api_server.take() {
            Some(mut server) => server.kill(),
            None => bail!("the API server is not running"),
        }
    }

    pub(super) fn start_api_server(&self, site: &Site) -> anyhow::Result<()> {
        let mut processes = self.processes.lock();
        anyhow::ensure!(processes.api_server.is_none(), "the API server is running");
        processes.api_server = Some(self.launch_api_server(site)?);
        Ok(())
    }

    pub(super) fn restart_etcd(&self, site: &Site) -> anyhow::Result<()> {
        let mut processes = self.processes.lock();
        let mut etcd = processes.etcd.take().context("etcd is not running")?;
        etcd.kill()?;
        processes.etcd = Some(self.launch_etcd(site)?);
        Ok(())
    }

    /// Fails with the log of a server that ended by itself.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let mut processes = self.processes.lock();
        let Processes { etcd, api_server, .. } = &mut *processes;
        for daemon in [etcd, api_server].into_iter().flatten() {
            daemon.check()?;
        }
        Ok(())
    }

    pub(super) fn memory(&self) -> anyhow::Result<Memory> {
        let processes = self.processes.lock();
        let of = |daemon: &Option<Daemon>| daemon.as_ref().context("not running")?.resident_memory();
        Ok(Memory {
            etcd: of(&processes.etcd)?,
            api_server: of(&processes.api_server)?,
            controller_manager: of(&processes.controller_manager)?,
        })
    }

    pub(super) fn audit_log(site: &Site) -> PathBuf {
        site.file(AUDIT_LOG)
    }

    /// Starts etcd on a socket in the folder: no port to collide on, and nobody else can reach it.
    fn launch_etcd(&self, site: &Site) -> anyhow::Result<Daemon> {
        let client = etcd_socket(site)?;
        let peer = format!("unix://{}", site.file("peer.sock").display());
        // Advertised to members and clients that discover each other; there is one member, and nobody discovers it.
        let nobody = "http://localhost:0";
        Launch::new(self.assets.etcd(), site.file("etcd.log"))
            .args(["--name", "etcd", "--log-level", "warn", "--unsafe-no-fsync"])
            .args(["--data-dir".as_ref(), site.file("etcd").as_os_str()])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", nobody])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", nobody])
            .args(["--initial-cluster", &format!("etcd={nobody}")])
            .start()
    }

    fn launch_api_server(&self, site: &Site) -> anyhow::Result<Daemon> {
        let file = |name| site.file(name).into_os_string();
        let launch = Launch::new(self.assets.api_server(), site.file("kube-apiserver.log"))
            .args(["--etcd-servers", &etcd_socket(site)?])
            .args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"])
            .args(["--secure-port", &site.port.number().to_string()])
            .args(["--tls-cert-file".into(), file(certificates::CERTIFICATE)])
            .args(["--tls-private-key-file".into(), file(certificates::KEY)])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .args(["--service-account-key-file".into(), file(certificates::ACCOUNT_PUBLIC_KEY)])
            .args(["--service-account-signing-key-file".into(), file(certificates::ACCOUNT_KEY)])
            .args(["--token-auth-file".as_ref(), site.tokens().as_os_str()])
            .args(["--authorization-mode", "RBAC", "--disable-admission-plugins", "ServiceAccount"])
            .args(["--service-cluster-ip-range", "10.0.0.0/24"])
            // It has no address that an Endpoints object may hold.
            .args(["--endpoint-reconciler-type", "none"]);
        if !site.audit {
            return launch.start();
        }
        launch
            .args(["--audit-policy-file".into(), file(AUDIT_POLICY)])
            .args(["--audit-log-path".into(), file(AUDIT_LOG)])
            // Written before the client has its answer, so that a count made after it is complete.
            .args(["--audit-log-mode", "blocking-strict"])
            .start()
    }

    fn launch_controller_manager(&self, site: &Site) -> anyhow::Result<Daemon> {
        Launch::new(self.assets.controller_manager(), site.file("kube-controller-manager.log"))
            .args(["--kubeconfig".as_ref(), site.kubeconfig(super::ADMIN).as_os_str()])
            .args(["--controllers", &self.controllers.join(",")])
            .args(["--leader-elect=false", "--secure-port=0"])
            .args(["--kube-api-qps=200", "--kube-api-burst=400"])
            .start()
    }
}

fn etcd_socket(site: &Site) -> anyhow::Result<String> {
    let path = site.file("etcd.sock");
    anyhow::ensure!(
        path.as_os_str().len() <= SOCKET_PATH,
        "{} is too long for a socket; set TMPDIR to a shorter folder",
        path.display()
    );
    Ok(format!("unix://{}", path.display()))
}
