//! The agent's hands and eyes on a Kubernetes API.
//!
//! Everything is dynamic: kinds come from discovery, objects are JSON, requests are raw. What leaves this module are
//! metadata and verdicts, never bodies; what a refused Secret looked like stays in here as well. Failures are mapped to
//! [`argosy_core::cluster::ApiError`] in one place, by what to do next, and nothing is tried again here: the reconciler
//! decides that.

mod connect;
mod discovery;
mod execute;
mod failure;
mod judge;
mod lease;
mod list;
mod path;
mod transport;
mod watch;
mod watches;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use argosy_core::cluster::{ApiError, Kinds, REQUEST_DEADLINE, Subject};
use argosy_core::health::UserRules;
use argosy_core::key::{GroupKind, ResourceKey};
use parking_lot::RwLock;
use serde_json::Value;
use tokio::sync::{Semaphore, watch as signal};
use tokio::time::Instant;

pub use self::connect::ConnectError;
pub use self::discovery::{Catalogue, Discovered, ServedKind, ServedVersion};
pub use self::lease::{Holder, Lease, LeaseSettings, LeaseState};
pub use self::watch::Watch;
pub use self::watches::{Watches, WatchesHandle};

use self::discovery::Endpoint;
use self::judge::Judge;
use self::transport::{Call, Transport};

/// A kind that nobody has heard of is looked up again at most this often.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(1);

/// A connection to one cluster's API server; clones share it.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

/// What a cluster says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Version of the API server, e.g. `v1.36.3`.
    pub kubernetes_version: String,
    /// UID of the namespace `kube-system`: the cluster's own identity.
    pub kube_system_uid: String,
}

struct Inner {
    /// The kubeconfig says to act for another user: nobody acts for two.
    acts_for_another: bool,
    transport: Transport,
    judge: Judge,
    catalogue: RwLock<Catalogue>,
    /// One discovery at a time, so that an older answer never overwrites a newer one.
    discovering: Semaphore,
    /// When the last discovery succeeded; changes of the catalogue wake those who wait for a kind.
    discovered: signal::Sender<Option<Instant>>,
}

// === impl Connection ===

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// Prepares a connection by a kubeconfig file, or by the pod's service account without one; health is
    /// judged by users' rules as well, if there are any. Nothing is sent yet.
    ///
    /// # Cancel safety
    /// Safe: there is nothing to undo.
    pub async fn connect(
        kubeconfig: Option<&Path>,
        rules: Option<Arc<dyn UserRules>>,
    ) -> Result<Self, ConnectError> {
        let (client, acts_for_another) = connect::client(kubeconfig).await?;
        Ok(Self::new(client, acts_for_another, rules))
    }

    /// Goes through a client that is there already. Nothing is sent yet.
    pub fn by(client: kube::Client) -> Self {
        Self::new(client, false, None)
    }

    fn new(client: kube::Client, acts_for_another: bool, rules: Option<Arc<dyn UserRules>>) -> Self {
        let inner = Inner {
            acts_for_another,
            transport: Transport::new(client),
            judge: Judge::new(rules),
            catalogue: RwLock::default(),
            discovering: Semaphore::new(1),
            discovered: signal::Sender::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Asks the cluster for its version and identity.
    ///
    /// # Cancel safety
    /// Safe: nothing is changed.
    pub async fn facts(&self) -> Result<Facts, ApiError> {
        let version = self.read("/version").await?;
        let namespace = self.read("/api/v1/namespaces/kube-system").await?;
        let text = |value: &Value, pointer: &str| {
            let text = value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or_else(|| {
                ApiError::Unreachable(format!("its answer has no {}", pointer.trim_start_matches('/')))
            })
        };
        Ok(Facts {
            kubernetes_version: text(&version, "/gitVersion")?,
            kube_system_uid: text(&namespace, "/metadata/uid")?,
        })
    }

    async fn read(&self, path: &str) -> Result<Value, ApiError> {
        let reply = self.inner.transport.call(Call::get(path, transport::WHOLE), REQUEST_DEADLINE).await;
        reply.and_then(|reply| reply.json()).map_err(|failure| failure.classify(Subject::default()))
    }

    /// Asks for all kinds that are served, and remembers them. A kind goes only when its removal was observed: when a
    /// complete answer lacks it and its own group and version, asked directly, lack it as well.
    ///
    /// # Cancel safety
    /// Safe: what was learnt is taken over at the end or not at all.
    pub async fn discover(&self) -> Result<Discovered, ApiError> {
        let Ok(_permit) = self.inner.discovering.acquire().await else {
            return Err(ApiError::Unreachable("the connection is closed".to_owned()));
        };
        let known = self.inner.catalogue.read().clone();
        let (catalogue, stale) = discovery::discover(&self.inner.transport, &known).await?;
        let discovered = Discovered { kinds: catalogue.kinds(), changed: catalogue != known, stale };
        if discovered.changed {
            *self.inner.catalogue.write() = catalogue;
        }
        let changed = discovered.changed;
        self.inner.discovered.send_if_modified(|at| {
            *at = Some(Instant::now());
            changed
        });
        Ok(discovered)
    }

    /// Gives the kinds as last discovered.
    pub fn kinds(&self) -> Kinds {
        self.inner.catalogue.read().kinds()
    }

    /// Gives how a kind is served, as last discovered.
    pub fn served(&self, kind: &GroupKind) -> Option<ServedKind> {
        self.inner.catalogue.read().get(kind).cloned()
    }

    /// Finds where a kind is served: in the given version, or in the preferred one.
    fn endpoint(&self, kind: &GroupKind, version: Option<&str>) -> Result<Endpoint, ApiError> {
        self.inner.catalogue.read().endpoint(kind, version)
    }

    /// Finds where an object lives; what is not known is looked up once more.
    async fn locate(&self, key: &ResourceKey, version: Option<&str>) -> Result<String, ApiError> {
        let kind = key.group_kind();
        let endpoint = match self.endpoint(&kind, version) {
            Err(ApiError::NotServed(_)) if self.is_outdated() => {
                self.discover().await?;
                self.endpoint(&kind, version)?
            }
            other => other?,
        };
        path::object(&endpoint, key)
    }

    fn is_outdated(&self) -> bool {
        self.inner.discovered.borrow().is_none_or(|at| at.elapsed() >= LOOKUP_INTERVAL)
    }
}
