//! The composition root: everything that a running hub is made of.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use argosy_core::tree::TreePath;
use argosy_runtime::admin::{Admin, Connectivity, Readiness};
use argosy_runtime::clock::{Clock, wall};
use argosy_runtime::files::{self, FolderLock};
use argosy_runtime::metrics::Metrics as Registry;
use argosy_runtime::pki::CertificateAuthority;
use argosy_runtime::supervisor::Supervisor;
use argosy_runtime::telemetry::LogHandle;
use argosy_runtime::tls::{self, IdentityHandle};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::args::RunArgs;
use crate::engine::{Engine, Handle, Parts};
use crate::fleet::{FleetReader, FleetSource, LastRead};
use crate::installation::{Facts, Folder, Installation};
use crate::metrics::Metrics;
use crate::preview::Previewer;
use crate::server::{BoundServer, FleetFacts, JoinSettings, Services};
use crate::sources::{Sources, Wanted};
use crate::store;

/// Where the admin endpoint listens unless told otherwise: this machine alone, any free port.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How often the server's certificate is made anew.
const RENEWAL: Duration = Duration::from_hours(24);

/// A running hub.
#[derive(Debug)]
pub struct Bound {
    /// Where agents and operators are listened to.
    pub listen: SocketAddr,
    /// Where the admin endpoint listens.
    pub admin: SocketAddr,
    /// Its tasks.
    pub supervisor: Supervisor,
    _lock: FolderLock,
}

/// Starts the hub: opens its store, publishes what it had published, and sets everything going.
///
/// # Cancel safety
/// Not safe: tasks that were started go on.
pub async fn start(args: &RunArgs, log: LogHandle) -> anyhow::Result<Bound> {
    let folder = Folder::at(&args.data_dir);
    let installation = Installation::load(&folder)?;
    let lock = files::lock_folder(&args.data_dir)?.with_context(|| {
        format!("{} is in use by another process: a hub has its folder for itself", args.data_dir.display())
    })?;
    let source = FleetSource::parse(&args.fleet, args.fleet_revision.as_deref())?;
    let path = TreePath::parse(&args.fleet_path).context("--fleet-path")?;
    let clock = Clock::new()?;
    let supervisor = Supervisor::new();
    let readiness = Readiness::new();
    let ready = readiness.await_for("store");
    let registry = Registry::of_process("argosy_principal", env!("CARGO_PKG_VERSION"), wall());
    let metrics = Metrics::register(&registry);
    let admin = Admin::new(readiness, registry, log);
    let bound_admin = admin.bind(args.admin.listen_or(ADMIN)).await?;
    let admin_address = bound_admin.address();
    supervisor.spawn("admin", bound_admin.serve(supervisor.stopping()));

    let id = installation.facts.installation;
    let opened = store::open(&folder, id)?;
    let server =
        BoundServer::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let listen = server.address();
    let shown = IdentityHandle::new(&installation.server_identity()?)?;
    let authority = installation.authority.anchor().clone();
    let tls = tls::server_config(&authority, shown.clone())?;
    let join = JoinSettings {
        address: installation.facts.address.clone(),
        authority: authority.clone(),
        head_key: installation.signer.verifier(),
        installation: id,
    };
    let (wanted, follow) = watch::channel(Arc::new(Wanted::default()));
    let Installation { facts, authority: issuer, signer } = installation;
    let renewing = Installation::load(&folder)?.authority;
    let parts = Parts {
        installation: id,
        store: opened,
        signer,
        authority: issuer,
        clock,
        sources: wanted,
        metrics: metrics.clone(),
    };
    let (engine, handle) = Engine::load(parts).await.context("the hub's store cannot be loaded")?;
    drop(ready);

    let stopping = supervisor.stopping();
    supervisor.spawn("engine", engine.run(stopping.clone()));
    supervisor.spawn_isolated("server certificate", renew(renewing, facts.clone(), shown, stopping.clone()));
    show(&admin, &facts, args, listen, &handle, &supervisor);
    let fleet = FleetFacts { source: source.to_string(), last_read: LastRead::default() };
    let last_read = fleet.last_read.clone();
    let previews = folder.mirrors().join("previews");
    let preview = Previewer::new(source.clone(), path.clone(), previews, metrics.clone(), stopping.clone());
    read_sources(args, source, path, &folder, &handle, &supervisor, &metrics, clock, last_read, follow);
    let services = Services {
        handle,
        supervisor: supervisor.clone(),
        join: Arc::new(join),
        fleet: Arc::new(fleet),
        preview: Arc::new(preview),
        reading: Arc::new(tokio::sync::Semaphore::new(1)),
    };
    let serving = server.serve(tls, authority, services, metrics, stopping);
    supervisor.spawn("server", serving);
    let listening = json!({ "listen": listen.to_string(), "admin": admin_address.to_string() });
    files::write(&folder.listening(), listening.to_string().as_bytes())?;
    info!(installation = %id, %listen, admin = %admin_address, address = %facts.address, "the hub runs");
    Ok(Bound { listen, admin: admin_address, supervisor, _lock: lock })
}

#[expect(clippy::too_many_arguments, reason = "a composition root hands everything to everybody")]
fn read_sources(
    args: &RunArgs,
    source: FleetSource,
    path: TreePath,
    folder: &Folder,
    handle: &Handle,
    supervisor: &Supervisor,
    metrics: &Metrics,
    clock: Clock,
    last_read: LastRead,
    wanted: watch::Receiver<Arc<Wanted>>,
) {
    let stopping = supervisor.stopping();
    let reader = FleetReader::new(
        source,
        path,
        // Apart from the apps' mirrors: one task at a time is let into each.
        folder.mirrors().join("fleet"),
        args.poll_interval,
        handle.clone(),
        clock,
        last_read,
        metrics,
        &stopping,
    );
    supervisor.spawn("fleet", reader.run(stopping));
    let sources = Sources::new(
        wanted,
        folder.mirrors().join("apps"),
        args.poll_interval,
        handle.clone(),
        supervisor.clone(),
        metrics.clone(),
    );
    supervisor.spawn("sources", sources.run());
}

/// Makes the server's certificate anew, day by day.
async fn renew(
    authority: CertificateAuthority,
    facts: Facts,
    shown: IdentityHandle,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    while stopping.run_until_cancelled(tokio::time::sleep(RENEWAL)).await.is_some() {
        shown.replace(&facts.server_identity(&authority)?)?;
        info!("the server's certificate was made anew");
    }
    Ok(())
}

fn show(
    admin: &Admin,
    facts: &Facts,
    args: &RunArgs,
    listen: SocketAddr,
    handle: &Handle,
    supervisor: &Supervisor,
) {
    let config = json!({
        "installation": facts.installation,
        "address": facts.address,
        "hosts": facts.hosts,
        "fleet": args.fleet,
        "fleetRevision": args.fleet_revision,
        "fleetPath": args.fleet_path,
        "pollIntervalMs": argosy_core::time::millis(args.poll_interval),
        "listen": listen.to_string(),
    });
    admin.add_state("config", move || config.clone());
    let [state, store] = handle.states();
    admin.add_state("hub", move || state.borrow().clone());
    admin.add_state("store", move || store.borrow().clone());
    let tasks = supervisor.clone();
    admin.add_state("tasks", move || json!(tasks.running()));
    // A hub reaches for nobody: agents come to it.
    let [state, _store] = handle.states();
    admin.set_connectivity(move || Connectivity { connected: true, detail: state.borrow().clone() });
}

#[cfg(test)]
mod tests;
