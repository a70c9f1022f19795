//! The files and command lines of a control plane's servers.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::ControlPlane;
use crate::certificates;
use crate::process::{Daemon, Launch};

/// The API server's audit log.
pub(super) const AUDIT_LOG: &str = "audit.log";
const AUDIT_POLICY: &str = "audit-policy.json";
const TOKENS: &str = "tokens.csv";
/// The longest path that a Unix socket may have, less its closing zero.
const SOCKET_PATH: usize = 107;

impl ControlPlane {
    /// Starts etcd on a socket in the folder: no port to collide on, and nobody else can reach it.
    pub(super) fn launch_etcd(&self) -> anyhow::Result<Daemon> {
        let client = self.etcd_socket()?;
        let peer = format!("unix://{}", self.scratch.join("peer.sock").display());
        // Advertised to members and clients that discover each other; there is one member, and nobody discovers it.
        let nobody = "http://localhost:0";
        Launch::new(self.assets.etcd(), self.scratch.join("etcd.log"))
            .args(["--name", "etcd", "--log-level", "warn", "--unsafe-no-fsync"])
            .args(["--data-dir".as_ref(), self.scratch.join("etcd").as_os_str()])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", nobody])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", nobody])
            .args(["--initial-cluster", &format!("etcd={nobody}")])
            .start()
    }

    pub(super) fn launch_api_server(&self) -> anyhow::Result<Daemon> {
        let file = |name| self.scratch.join(name).into_os_string();
        let launch = Launch::new(self.assets.api_server(), self.scratch.join("kube-apiserver.log"))
            .args(["--etcd-servers", &self.etcd_socket()?])
            .args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"])
            .args(["--secure-port", &self.port.number().to_string()])
            .args(["--tls-cert-file".into(), file(certificates::CERTIFICATE)])
            .args(["--tls-private-key-file".into(), file(certificates::KEY)])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .args(["--service-account-key-file".into(), file(certificates::ACCOUNT_PUBLIC_KEY)])
            .args(["--service-account-signing-key-file".into(), file(certificates::ACCOUNT_KEY)])
            .args(["--token-auth-file".into(), file(TOKENS)])
            .args(["--authorization-mode", "RBAC", "--disable-admission-plugins", "ServiceAccount"])
            .args(["--service-cluster-ip-range", "10.0.0.0/24"])
            // It has no address that an Endpoints object may hold.
            .args(["--endpoint-reconciler-type", "none"]);
        if !self.audit {
            return launch.start();
        }
        launch
            .args(["--audit-policy-file".into(), file(AUDIT_POLICY)])
            .args(["--audit-log-path".into(), file(AUDIT_LOG)])
            // Written before the client has its answer, so that a count made after it is complete.
            .args(["--audit-log-mode", "blocking-strict"])
            .start()
    }

    pub(super) fn launch_controller_manager(&self) -> anyhow::Result<Daemon> {
        Launch::new(self.assets.controller_manager(), self.scratch.join("kube-controller-manager.log"))
            .args(["--kubeconfig".as_ref(), self.kubeconfig().as_os_str()])
            .args(["--controllers", &self.controllers.join(",")])
            .args(["--leader-elect=false", "--secure-port=0"])
            .args(["--kube-api-qps=200", "--kube-api-burst=400"])
            .start()
    }

    fn etcd_socket(&self) -> anyhow::Result<String> {
        let path = self.scratch.join("etcd.sock");
        anyhow::ensure!(
            path.as_os_str().len() <= SOCKET_PATH,
            "{} is too long for a socket; set TMPDIR to a shorter folder",
            path.display()
        );
        Ok(format!("unix://{}", path.display()))
    }
}

/// Returns the path of a user's kubeconfig.
pub(super) fn kubeconfig(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("{user}.kubeconfig"))
}

/// Writes what the servers read at their start: tokens, the audit policy, a kubeconfig for each user.
pub(super) fn write_files(plane: &ControlPlane) -> anyhow::Result<()> {
    let mut tokens = String::new();
    for (name, user) in &plane.users {
        // Columns: token, user name, user id, groups.
        let row = format!("{},{name},{name},\"{}\"\n", user.token, user.groups.join(","));
        tokens.push_str(&row);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": plane.name, "cluster": {
                "server": plane.url(),
                "certificate-authority": plane.scratch.join(certificates::AUTHORITY),
            }}],
            "users": [{"name": name, "user": {"token": user.token}}],
            "contexts": [{"name": plane.name, "context": {"cluster": plane.name, "user": name}}],
            "current-context": plane.name,
        });
        write(&kubeconfig(plane.folder(), name), &format!("{config:#}\n"))?;
    }
    write(&plane.scratch.join(TOKENS), &tokens)?;
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "omitManagedFields": true}],
    });
    write(&plane.scratch.join(AUDIT_POLICY), &policy.to_string())?;
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
