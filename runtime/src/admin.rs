//! The admin endpoint of a daemon: health, readiness, connectivity, metrics, its inner state and its log's filter.
//!
//! Liveness and readiness say whether the *process* works; they never depend on the other end of a link, so that a lost
//! link restarts nobody. Whether the link is up is a question of its own.
//! They are `/healthz/live`, `/healthz/ready` and `/healthz/connected`, and `/livez`, `/readyz` and `/connectivity`. Everything that tells or
//! changes more than health is answered to this machine alone (I12: no unauthenticated way into a daemon).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::telemetry::LogHandle;

pub use self::readiness::{Readiness, ReadinessHandle};

mod readiness;

/// Longest body that is read.
const MAX_BODY: usize = 4 * 1024;

/// Type of `OpenMetrics` text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether a daemon reaches whom it must reach.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Connectivity {
    /// Whether it does.
    pub connected: bool,
    /// More about it: peers, since when, last error.
    pub detail: Value,
}

/// The admin endpoint cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("admin endpoint cannot listen on {address}")]
pub struct AdminError {
    /// The address.
    pub address: SocketAddr,
    /// The system's error.
    #[source]
    pub source: std::io::Error,
}

/// What the admin endpoint serves.
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Shared>,
}

/// An admin endpoint that listens.
#[derive(Debug)]
pub struct BoundAdmin {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
}

struct Shared {
    readiness: Readiness,
    metrics: Metrics,
    log: LogHandle,
    connectivity: Mutex<Option<ConnectivityProvider>>,
    states: Mutex<BTreeMap<String, StateProvider>>,
}

type ConnectivityProvider = Arc<dyn Fn() -> Connectivity + Send + Sync>;
type StateProvider = Arc<dyn Fn() -> Value + Send + Sync>;

// === impl Admin ===

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("awaited", &self.shared.readiness.awaited()).finish_non_exhaustive()
    }
}

impl Admin {
    /// Makes an endpoint that does not listen yet.
    pub fn new(readiness: Readiness, metrics: Metrics, log: LogHandle) -> Self {
        let shared =
            Shared { readiness, metrics, log, connectivity: Mutex::default(), states: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Sets who answers `/connectivity`.
    pub fn set_connectivity(&self, provider: impl Fn() -> Connectivity + Send + Sync + 'static) {
        *self.shared.connectivity.lock() = Some(Arc::new(provider));
    }

    /// Adds a part of `/debug/state`; a second part of one name replaces the first. Providers redact secrets themselves.
    pub fn add_state(&self, name: impl Into<String>, provider: impl Fn() -> Value + Send + Sync + 'static) {
        self.shared.states.lock().insert(name.into(), Arc::new(provider));
    }

    /// Opens the listener; requests wait until [`BoundAdmin::serve`] runs.
    pub async fn bind(&self, address: SocketAddr) -> Result<BoundAdmin, AdminError> {
        let failed = |source| AdminError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok(BoundAdmin { listener, address: bound, router: self.router() })
    }

    fn router(&self) -> Router {
        let private = Router::new()
            .route("/debug/state", get(debug_state))
            .route("/log", get(get_log).put(put_log))
            .layer(middleware::from_fn(this_machine_only));
        Router::new()
            .route("/healthz/live", get(live))
            .route("/healthz/ready", get(readyz))
            .route("/healthz/connected", get(connectivity))
            .route("/livez", get(live))
            .route("/readyz", get(readyz))
            .route("/connectivity", get(connectivity))
            .route("/metrics", get(metrics))
            .merge(private)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(Arc::clone(&self.shared))
    }
}

// === impl BoundAdmin ===

impl BoundAdmin {
    /// Gives the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stopping` is cancelled and the open requests are answered.
    ///
    /// # Cancel safety
    /// Dropped early, the listener closes and open requests are cut.
    pub fn serve(
        self,
        stopping: CancellationToken,
    ) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        let service = self.router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(self.listener, service)
            .with_graceful_shutdown(async move { stopping.cancelled_owned().await })
            .into_future()
    }
}

async fn live() -> &'static str {
    "ok\n"
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let awaited = shared.readiness.awaited();
    if awaited.is_empty() {
        (StatusCode::OK, "ok\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", awaited.join(", "))).into_response()
    }
}

async fn connectivity(State(shared): State<Arc<Shared>>) -> Response {
    let provider = shared.connectivity.lock().clone();
    let state = match provider {
        Some(provider) => provider(),
        None => Connectivity { connected: false, detail: json!("not started yet") },
    };
    let status = if state.connected { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(state)).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            refused(StatusCode::INTERNAL_SERVER_ERROR, &format!("metrics cannot be encoded: {error}"))
        }
    }
}

async fn debug_state(State(shared): State<Arc<Shared>>) -> Response {
    let providers = shared.states.lock().clone();
    let state: BTreeMap<_, _> = providers.into_iter().map(|(name, provider)| (name, provider())).collect();
    Json(state).into_response()
}

async fn get_log(State(shared): State<Arc<Shared>>) -> Response {
    match shared.log.filter() {
        Ok(filter) => format!("{filter}\n").into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn put_log(State(shared): State<Arc<Shared>>, body: String) -> Response {
    match shared.log.set_filter(&body) {
        Ok(()) => {
            tracing::info!(filter = body.trim(), "log filter changed");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// Lets only requests of this machine through: the peer's address and, against a page in a browser that was led here by
/// a name, the host that was asked for.
async fn this_machine_only(
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    if peer.ip().to_canonical().is_loopback() && names_this_machine(&headers) {
        next.run(request).await
    } else {
        refused(StatusCode::FORBIDDEN, "answered to this machine alone, by its loopback address")
    }
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    host == "localhost"
        || host.starts_with("localhost:")
        || host.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

#[cfg(test)]
mod tests;
