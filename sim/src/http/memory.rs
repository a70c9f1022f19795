//! A cluster that is asked without a socket, in the time that it is told: for tests in virtual time.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body as HttpBody;
use tokio_util::sync::CancellationToken;

use super::answer::Body;
use super::faults::Temper;
use super::handler;
use super::server::{Login, run_control_plane};
use super::shared::{Clock, Shared};
use crate::cluster::{Cluster, Config, Interference};

/// A cluster that answers the requests of HTTP in memory.
#[derive(Clone)]
pub struct InMemory {
    shared: Arc<Shared>,
}

// === impl InMemory ===

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").finish_non_exhaustive()
    }
}

impl InMemory {
    /// Makes a cluster. Its moment of birth is taken from the clock if it is zero.
    pub fn new(mut config: Config, clock: Clock, logins: Vec<Login>) -> Self {
        if config.now.0 == 0 {
            config.now = clock.now();
        }
        let users = logins.into_iter().map(|login| (login.token, login.user)).collect();
        let cluster = Cluster::new(config);
        let (temper, stopping) = (Temper::default(), CancellationToken::new());
        Self { shared: Arc::new(Shared::new(clock, cluster, users, temper, None, stopping)) }
    }

    /// Answers a request as [`super::Server`] would.
    ///
    /// # Cancel safety
    /// Dropped early, the request was carried out or not.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        handler::handle(Arc::clone(&self.shared), request).await
    }

    /// Lets the control plane act as time passes; never ends by itself.
    ///
    /// # Cancel safety
    /// Safe: it acts in whole steps.
    pub async fn run_control_plane(&self) -> Result<(), Infallible> {
        run_control_plane(Arc::clone(&self.shared)).await
    }

    /// Sets what happens to writes on their way from now on.
    pub fn set_interference(&self, interference: Vec<Interference>) {
        self.shared.with(|cluster| cluster.set_interference(interference));
    }

    /// Looks at the cluster behind the API, or changes it.
    pub fn with_cluster<T>(&self, work: impl FnOnce(&mut Cluster) -> T) -> T {
        self.shared.with(work)
    }
}
