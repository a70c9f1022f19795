//! A cluster that listens.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use argosy_runtime::supervisor::Supervisor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use super::faults::Temper;
use super::handler;
use super::kubeconfig::kubeconfig;
use super::rbac::User;
use super::shared::{Clock, Shared};
use super::tls::Identity;
use crate::cluster::{Cluster, Config, Interference};

/// The longest time that a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait after a connection could not be taken, e.g. because there are too many.
const PAUSE: Duration = Duration::from_millis(50);
/// How many requests one connection may have under way: watches are requests as well.
const STREAMS: u32 = 2000;

/// How a cluster is served.
#[derive(Debug)]
pub struct Settings {
    /// The cluster's name, for its kubeconfigs.
    pub name: String,
    /// The cluster. Its moment of birth is taken from the clock if it is zero.
    pub cluster: Config,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What is shown to clients; without it there is no TLS.
    pub identity: Option<Identity>,
    /// Who may come.
    pub logins: Vec<Login>,
    /// What goes wrong.
    pub temper: Temper,
    /// What happens to writes on their way.
    pub interference: Vec<Interference>,
    /// Where requests are written down.
    pub audit: Option<Audit>,
    /// Who lets the control plane act.
    pub control_plane: ControlPlane,
}

/// Who lets a control plane act by itself: complete deletes, collect what lost its owner, run workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ControlPlane {
    /// A task does, as time passes.
    #[default]
    Running,
    /// The program does, by [`Server::with_cluster`] and [`Cluster::tick`].
    ByHand,
}

/// A user with a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Who it is; members of `system:masters` may do everything.
    pub user: User,
    /// The bearer token.
    pub token: String,
}

/// A cluster that is served until its supervisor stops.
#[derive(Clone)]
pub struct Server {
    name: String,
    address: SocketAddr,
    identity: Option<Identity>,
    shared: Arc<Shared>,
}

/// Where clients come in.
struct Door {
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    supervisor: Supervisor,
}

/// A cluster cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ServeError {
    /// The address.
    pub address: SocketAddr,
    /// The system's error.
    #[source]
    pub source: std::io::Error,
}

// === impl Login ===

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

// === impl Server ===

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Makes a cluster and serves it by tasks of the supervisor.
    ///
    /// # Cancel safety
    /// Dropped early, nothing was started.
    pub async fn start(settings: Settings, supervisor: &Supervisor) -> Result<Self, ServeError> {
        let Settings {
            name,
            mut cluster,
            listen,
            identity,
            logins,
            temper,
            interference,
            audit,
            control_plane,
        } = settings;
        let failed = |source| ServeError { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let clock = Clock::wall();
        if cluster.now.0 == 0 {
            cluster.now = clock.now();
        }
        let users: BTreeMap<String, User> =
            logins.into_iter().map(|login| (login.token, login.user)).collect();
        let mut cluster = Cluster::new(cluster);
        cluster.set_interference(interference);
        let shared = Arc::new(Shared::new(clock, cluster, users, temper, audit, supervisor.stopping()));
        let acceptor = identity.as_ref().map(|identity| TlsAcceptor::from(identity.config()));
        let door = Door { address, acceptor, shared: Arc::clone(&shared), supervisor: supervisor.clone() };
        supervisor.spawn("listener", door.keep(listener));
        if control_plane == ControlPlane::Running {
            supervisor.spawn("control plane", run_control_plane(Arc::clone(&shared)));
        }
        Ok(Self { name, address, identity, shared })
    }

    /// Gives the cluster's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives the URL of the API.
    pub fn url(&self) -> String {
        let scheme = if self.identity.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Gives the kubeconfig of a user.
    pub fn kubeconfig(&self, login: &Login) -> String {
        let authority = self.identity.as_ref().map(Identity::authority);
        kubeconfig(&self.name, &self.url(), authority, &login.user.name, &login.token)
    }

    /// Takes the API server away, as if its machine lost power: nobody can connect, and all connections break. What it
    /// holds stays, and its control plane goes on.
    pub fn go_away(&self) {
        self.shared.presence.send_replace(false);
    }

    /// Brings the API server back at the same address.
    pub fn come_back(&self) {
        self.shared.presence.send_replace(true);
    }

    /// Looks at the cluster behind the API, or changes it.
    pub fn with_cluster<T>(&self, work: impl FnOnce(&mut Cluster) -> T) -> T {
        self.shared.with(work)
    }
}

// === impl Door ===

impl Door {
    /// Takes connections while the API server is there, until the process stops.
    async fn keep(self, listener: TcpListener) -> Result<(), Infallible> {
        let stopping = self.shared.stopping.clone();
        let mut presence = self.shared.presence.subscribe();
        let mut listener = Some(listener);
        loop {
            let open = match listener.take() {
                Some(listener) => listener,
                None => match stopping.run_until_cancelled(self.reopen()).await {
                    Some(listener) => listener,
                    None => return Ok(()),
                },
            };
            let cut = CancellationToken::new();
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = until(&mut presence, false) => {}
                never = self.accept(&open, &cut) => match never {},
            }
            drop(open);
            cut.cancel();
            tracing::info!(address = %self.address, "the API server is away");
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = until(&mut presence, true) => {}
            }
        }
    }

    /// Listens again at the address that it had.
    async fn reopen(&self) -> TcpListener {
        loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => {
                    tracing::info!(address = %self.address, "the API server is back");
                    return listener;
                }
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "cannot listen again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Takes connections, each until it ends or is cut.
    async fn accept(&self, listener: &TcpListener, cut: &CancellationToken) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    let (acceptor, shared) = (self.acceptor.clone(), Arc::clone(&self.shared));
                    let served = Box::pin(connection(stream, acceptor, shared));
                    let served = cut.clone().run_until_cancelled_owned(served);
                    self.supervisor.spawn_isolated("connection", async { served.await.unwrap_or(Ok(())) });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Waits until the API server is there, or is away. The sender is in what the caller shares, so it cannot be gone.
async fn until(presence: &mut watch::Receiver<bool>, wanted: bool) {
    drop(presence.wait_for(|present| *present == wanted).await);
}

/// Serves one connection. What a client does to it is no failure of ours.
async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(acceptor) = acceptor else {
        serve(stream, shared).await;
        return Ok(());
    };
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, shared).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
        Err(_elapsed) => tracing::debug!("a client began TLS and went silent"),
    }
    Ok(())
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, shared: Arc<Shared>) {
    let stopping = shared.stopping.clone();
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(handler::handle(shared, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Lets the control plane act whenever something is due or something changed.
pub(super) async fn run_control_plane(shared: Arc<Shared>) -> Result<(), Infallible> {
    let mut changes = shared.changes();
    loop {
        changes.mark_unchanged();
        let due = shared.with(|cluster| {
            cluster.tick(shared.now());
            cluster.next_tick()
        });
        let wait = due.map(|due| due.0.saturating_sub(shared.now().0));
        let wait = wait.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
        tokio::select! {
            () = tokio::time::sleep(wait.unwrap_or(Duration::MAX)), if wait.is_some() => {}
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            () = shared.stopping.cancelled() => return Ok(()),
        }
    }
}
