//! The composition root: makes every part of the agent and joins them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use argosy_core::agent::{Given, Input};
use argosy_core::health::UserRules;
use argosy_core::local::{LocalPolicy, PolicySummary};
use argosy_core::session::agent::AgentIdentity;
use argosy_runtime::admin::{Admin, BoundAdmin, Connectivity};
use argosy_runtime::clock::{Clock, wall};
use argosy_runtime::files::{self, FolderLock};
use argosy_runtime::join::JoinString;
use argosy_runtime::metrics::Metrics;
use argosy_runtime::supervisor::Supervisor;
use argosy_runtime::telemetry::LogHandle;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::args::RunArgs;
use crate::bundle::Files;
use crate::cluster::{Connection, Holder, Lease, LeaseSettings, LeaseState, Watches};
use crate::control::Desk;
use crate::counters::LinkCounters;
use crate::engine::{About, Engine, Event, Parts, QUEUE, first_facts};
use crate::identity::{Enrolled, Folder};
use crate::session::Hub;
use crate::view::View;
use crate::{control, enrol, policy, store};

/// Where the admin endpoint listens unless told otherwise: this machine alone, any free port.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How often the kinds that the API server serves are looked at again unasked.
const DISCOVERY: Duration = Duration::from_mins(5);
/// How often a discovery that failed is tried again, and how soon one follows another.
const DISCOVERY_AGAIN: Duration = Duration::from_secs(1);

/// A running agent.
#[derive(Debug)]
pub struct Bound {
    /// Where the admin endpoint listens.
    pub admin: SocketAddr,
    /// Its tasks.
    pub supervisor: Supervisor,
    _lock: FolderLock,
}

/// Starts the agent: enrols it if it has to, opens its store, and sets everything going.
///
/// # Cancel safety
/// Not safe: tasks that were started go on.
pub async fn start(args: &RunArgs, log: LogHandle) -> anyhow::Result<Bound> {
    let rules = args.health_rules.as_deref().map(load_rules).transpose()?;
    let policy = args.policy.as_deref().map(load_policy).transpose()?;
    let folder = Folder::open(&args.data_dir)?;
    let lock = files::lock_folder(&args.data_dir)?.with_context(|| {
        format!(
            "{} is in use by another process: an agent has its folder for itself",
            args.data_dir.display()
        )
    })?;
    let supervisor = Supervisor::new();
    let readiness = argosy_runtime::admin::Readiness::new();
    let enrolled_ready = readiness.await_for("enrolment");
    let loaded_ready = readiness.await_for("store");
    let metrics = Metrics::of_process("argosy_agent", env!("CARGO_PKG_VERSION"), wall());
    let counters = metrics.register(LinkCounters::register);
    let admin = Admin::new(readiness, metrics, log);
    let shown = counters.clone();
    admin.add_state("link", move || shown.to_json());
    let bound = admin.bind(args.admin.listen_or(ADMIN)).await?;
    let address = bound.address();
    serve_admin(&supervisor, bound, &folder)?;

    let connection = Connection::connect(args.kubeconfig.as_deref(), rules.clone()).await?;
    let enrolled = enrolment(args, &folder, &connection).await?;
    drop(enrolled_ready);

    let clock = Clock::new()?;
    let opened = store::open(&folder, enrolled.enrolment.cluster, clock.boot())?;
    let shown = opened.clone();
    admin.add_state("store", move || shown.to_json());
    let (queue, events) = mpsc::channel::<Event>(QUEUE);
    let (watches, watches_handle, watched) = Watches::new(connection.clone());
    let (discover, asked) = mpsc::channel(1);
    let (lease, lease_state) =
        Lease::new(connection.clone(), lease_settings(args, &folder, &enrolled), clock);
    let view = Arc::new(Mutex::new(View::default()));
    show(&admin, &view);
    let enrolment = &enrolled.enrolment;
    let facts =
        first_facts(policy.as_deref(), enrolment.kube_system_uid.clone(), enrolled.identity.not_after());
    let parts = Parts {
        identity: AgentIdentity {
            cluster: enrolment.cluster,
            installation: enrolment.installation,
            anchor: enrolled.anchor,
        },
        about: About {
            cluster_name: enrolment.cluster_name.clone(),
            cluster: enrolment.cluster.to_string(),
            hub: enrolment.addresses.clone(),
        },
        store: opened,
        given: Given { rules, policy: policy.clone() },
        folder: folder.clone(),
        verifier: enrolment.verifier(),
        clock,
        events,
        queue: queue.clone(),
        supervisor: supervisor.clone(),
        connection: connection.clone(),
        hub: Hub {
            addresses: enrolment.addresses.clone(),
            server_name: enrolment.server_name.clone(),
            tls: enrol::tls_of(&enrolled)?,
            counters,
        },
        facts: facts.clone(),
        watches: watches_handle,
        discover,
        lease: lease_state.clone(),
        view,
    };
    files::remove(&folder.incoming())?;
    let desk = Desk {
        events: queue.clone(),
        files: Arc::new(Files::new(folder.clone(), enrolled.clone(), facts, queue.clone())),
        supervisor: supervisor.clone(),
    };
    let (mut engine, first) = Engine::load(parts).await.context("the agent's store cannot be loaded")?;
    store::started(&folder)?;
    first(&mut engine);
    drop(loaded_ready);
    info!(cluster = %enrolment.cluster, name = %enrolment.cluster_name, "the agent runs");

    let stopping = supervisor.stopping();
    supervisor.spawn("engine", engine.run(stopping.clone()));
    supervisor.spawn_isolated("lease", lease.run(stopping.clone()));
    supervisor.spawn_isolated("lease mark", mark_holder(lease_state, folder.clone()));
    supervisor.spawn("watches", watches.run());
    supervisor.spawn_isolated("watch events", forward(watched, queue.clone()));
    let (ours, is_ours) = watch::channel(false);
    let facts = look_at_cluster(connection.clone(), enrolled, policy, queue.clone(), ours, stopping.clone());
    supervisor.spawn("facts", facts);
    let discovery = discover_kinds(connection, is_ours, asked, queue, stopping.clone());
    supervisor.spawn_isolated("discovery", discovery);
    supervisor.spawn_isolated("control", control::serve(folder.socket(), desk, stopping));
    Ok(Bound { admin: address, supervisor, _lock: lock })
}

/// Reads the user's own health rules.
fn load_rules(path: &Path) -> anyhow::Result<Arc<dyn UserRules>> {
    let clock = argosy_lua::Clock { elapsed, unix: || wall().0 / 1000 };
    let rules = argosy_lua::Rules::load(path, clock).context("--health-rules")?;
    info!(rules = rules.len(), path = %path.display(), "health is judged by rules of the user's own as well");
    Ok(Arc::new(rules))
}

/// Reads the local policy.
fn load_policy(path: &Path) -> anyhow::Result<Arc<LocalPolicy>> {
    let loaded = policy::load(path).context("--policy")?;
    let PolicySummary { digest, text } = loaded.summary();
    info!(policy = text, %digest, path = %path.display(), "this agent has a policy of its own");
    Ok(Arc::new(loaded))
}

/// Gives the time since the first look.
fn elapsed() -> Duration {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
}

fn serve_admin(supervisor: &Supervisor, bound: BoundAdmin, folder: &Folder) -> anyhow::Result<()> {
    let listening = json!({ "admin": bound.address().to_string() });
    files::write(&folder.listening(), listening.to_string().as_bytes())?;
    supervisor.spawn("admin", bound.serve(supervisor.stopping()));
    Ok(())
}

fn show(admin: &Admin, view: &Arc<Mutex<View>>) {
    let shown = Arc::clone(view);
    admin.add_state("agent", move || shown.lock().to_json());
    let shown = Arc::clone(view);
    admin.set_connectivity(move || {
        let view = shown.lock();
        Connectivity { connected: view.connected, detail: view.to_json() }
    });
}

async fn enrolment(args: &RunArgs, folder: &Folder, connection: &Connection) -> anyhow::Result<Enrolled> {
    let join = match &args.join {
        Some(text) => Some(text.parse::<JoinString>().context("--join")?),
        None => None,
    };
    let Some(enrolled) = folder.load()? else {
        let join = join.context(
            "this agent is not enrolled: pass --join with the string of `argosy cluster add NAME`",
        )?;
        return Ok(enrol::enrol(folder, &join, None, connection).await?);
    };
    let Some(join) = join else { return Ok(enrolled) };
    let ours = &enrolled.enrolment;
    let leave = format!("argosy-agent leave --data-dir {}", args.data_dir.display());
    anyhow::ensure!(
        join.installation == ours.installation,
        "--join is of installation {}, and this agent belongs to {}; run `{leave}` first: the cluster's objects stay",
        join.installation,
        ours.installation,
    );
    if join.cluster != ours.cluster {
        warn!(
            ours = %ours.cluster, theirs = %join.cluster, remedy = %leave,
            "--join is ignored: it is of another cluster than this agent; to become that one, leave first"
        );
        return Ok(enrolled);
    }
    if join.rejoin_serial <= ours.rejoin_serial {
        info!("already enrolled: --join is ignored");
        return Ok(enrolled);
    }
    info!(name = %join.cluster_name, serial = %join.rejoin_serial, "enrolling again");
    Ok(enrol::enrol(folder, &join, Some(&enrolled), connection).await?)
}

fn lease_settings(args: &RunArgs, folder: &Folder, enrolled: &Enrolled) -> LeaseSettings {
    let process = argosy_core::ids::BootId::new(crate::identity::Enrolment::new_instance());
    let agent = argosy_core::ids::BootId::new(enrolled.enrolment.instance);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    LeaseSettings {
        namespace: args.namespace.clone(),
        installation: enrolled.enrolment.installation,
        holder: Holder::new(agent.to_string(), process.to_string(), host.trim()),
        kube_system_uid: enrolled.enrolment.kube_system_uid.clone(),
        was_holder: folder.holder().exists(),
    }
}

/// Remembers beside the store whether this agent held the Lease last: it then may dial while the API server is away.
async fn mark_holder(mut state: watch::Receiver<LeaseState>, folder: Folder) -> Result<(), files::FileError> {
    loop {
        let now = state.borrow_and_update().clone();
        match now {
            LeaseState::Held { .. } if !folder.holder().exists() => {
                files::write(&folder.holder(), b"held\n")?;
            }
            LeaseState::Lost { .. } => files::remove(&folder.holder())?,
            LeaseState::Held { .. } | LeaseState::Unknown { .. } => {}
        }
        if state.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn forward(
    mut events: mpsc::Receiver<(argosy_core::cluster::Watched, argosy_core::cluster::WatchEvent)>,
    queue: mpsc::Sender<Event>,
) -> Result<(), std::convert::Infallible> {
    while let Some((watched, event)) = events.recv().await {
        if queue.send(Event::Input(Box::new(Input::Watch(watched, event)))).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Looks again and again who the cluster is, and of which version: it is upgraded while the agent runs. A data folder of
/// another cluster stops the agent; `right` says when it was seen to be the right one.
async fn look_at_cluster(
    connection: Connection,
    enrolled: Enrolled,
    policy: Option<Arc<LocalPolicy>>,
    queue: mpsc::Sender<Event>,
    right: watch::Sender<bool>,
    stopping: tokio_util::sync::CancellationToken,
) -> Result<(), String> {
    let mut told = None;
    loop {
        let pause = match connection.facts().await {
            Ok(facts) => {
                let ours = &enrolled.enrolment.kube_system_uid;
                if facts.kube_system_uid != *ours {
                    error!(expected = %ours, found = %facts.kube_system_uid, "this data folder is of another cluster");
                    return Err(format!(
                        "this data folder belongs to the cluster with kube-system {ours}, and the API server is that of \
                         {}: use the right kubeconfig, or another --data-dir and a new join string",
                        facts.kube_system_uid
                    ));
                }
                right.send_replace(true);
                let mut known =
                    first_facts(policy.as_deref(), facts.kube_system_uid, enrolled.identity.not_after());
                known.kubernetes_version = facts.kubernetes_version;
                if told.as_ref() != Some(&known) {
                    told = Some(known.clone());
                    // Nobody listens only when the process stops.
                    queue
                        .send(Event::Facts(known))
                        .await
                        .map_err(|_closed| "the engine is gone".to_owned())?;
                }
                DISCOVERY
            }
            Err(error) => {
                warn!(%error, "the cluster cannot be looked at");
                DISCOVERY_AGAIN
            }
        };
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}

/// Asks again and again what the cluster serves, once it was seen to be ours: what is watched follows from that, so
/// nothing is learnt of the objects of another cluster.
async fn discover_kinds(
    connection: Connection,
    mut is_ours: watch::Receiver<bool>,
    mut asked: mpsc::Receiver<()>,
    queue: mpsc::Sender<Event>,
    stopping: tokio_util::sync::CancellationToken,
) -> Result<(), std::convert::Infallible> {
    if !matches!(stopping.run_until_cancelled(is_ours.wait_for(|ours| *ours)).await, Some(Ok(_))) {
        return Ok(());
    }
    loop {
        let pause = match connection.discover().await {
            Ok(discovered) => {
                if !discovered.stale.is_empty() {
                    warn!(stale = ?discovered.stale, "some groups of the API server do not answer: their kinds stay");
                }
                let unasked = discovered.stale_groups();
                let input = Input::Kinds(discovered.kinds, unasked);
                if queue.send(Event::Input(Box::new(input))).await.is_err() {
                    return Ok(());
                }
                DISCOVERY
            }
            Err(error) => {
                warn!(%error, "the API server's kinds cannot be discovered: the known ones stay");
                DISCOVERY_AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Some(()) = asked.recv() => {}
            () = stopping.cancelled() => return Ok(()),
        }
    }
}
