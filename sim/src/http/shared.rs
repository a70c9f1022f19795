//! One cluster as all of its connections see it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use argosy_runtime::clock;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use super::discovery::Catalogue;
use super::faults::{Faults, Temper};
use super::rbac::{AUTHENTICATED, Policy, User};
use super::reviews;
use crate::cluster::{
    Body, Call, Cluster, FieldValidation, ListOptions, Reply, Status, Subresource, Time, Verb,
};

/// What tells a server the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Time + Send + Sync>);

/// A cluster with what a server needs around it.
pub(crate) struct Shared {
    clock: Clock,
    cluster: Mutex<Cluster>,
    /// The version of the latest change; watches and the control plane wait for it.
    changed: watch::Sender<u64>,
    users: BTreeMap<String, User>,
    /// What was read of the roles, with the version that it is of.
    policy: Mutex<Option<(u64, Arc<Policy>)>>,
    pub(crate) faults: Faults,
    pub(crate) audit: Option<Audit>,
    /// Whether the API server is there for anybody.
    pub(crate) presence: watch::Sender<bool>,
    pub(crate) stopping: CancellationToken,
}

// === impl Clock ===

impl Clock {
    /// Makes a clock of one's own, for time that is not the machine's.
    pub fn new(tell: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Gives the machine's clock.
    pub fn wall() -> Self {
        Self::new(|| Time(clock::wall().0.saturating_mul(1000)))
    }

    pub(crate) fn now(&self) -> Time {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(
        clock: Clock,
        cluster: Cluster,
        users: BTreeMap<String, User>,
        temper: Temper,
        audit: Option<Audit>,
        stopping: CancellationToken,
    ) -> Self {
        let changed = watch::Sender::new(cluster.version());
        Self {
            clock,
            cluster: Mutex::new(cluster),
            changed,
            users,
            policy: Mutex::default(),
            faults: Faults::new(temper),
            audit,
            presence: watch::Sender::new(true),
            stopping,
        }
    }

    /// Gives the time.
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Looks at the cluster, or changes it, and wakes who waits for changes.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Cluster) -> T) -> T {
        let (done, version) = {
            let mut cluster = self.cluster.lock();
            (work(&mut cluster), cluster.version())
        };
        self.changed.send_if_modified(|known| {
            let is_newer = version > *known;
            *known = version.max(*known);
            is_newer
        });
        done
    }

    /// Waits for changes from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Carries out a request.
    pub(crate) fn call(&self, call: Call<'_>) -> Result<Reply, Status> {
        self.with(|cluster| cluster.call(call))
    }

    /// Gives what is served.
    pub(crate) fn catalogue(&self) -> Catalogue {
        let mut resources = self.with(|cluster| cluster.resources());
        resources.extend(reviews::resources());
        Catalogue::new(resources)
    }

    /// Finds who holds a token; nobody holds an unknown one.
    pub(crate) fn user(&self, token: &str) -> Option<User> {
        let mut user = self.users.get(token)?.clone();
        user.groups.push(AUTHENTICATED.to_owned());
        Some(user)
    }

    /// Gives the roles and bindings as they are now.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        let version = self.with(|cluster| cluster.version());
        if let Some((of, policy)) = self.policy.lock().as_ref()
            && *of == version
        {
            return Arc::clone(policy);
        }
        let mut policy = Policy::default();
        for (plural, add) in [
            ("clusterroles", Policy::add_cluster_role as fn(&mut Policy, &Value)),
            ("roles", Policy::add_role),
            ("clusterrolebindings", Policy::add_binding),
            ("rolebindings", Policy::add_binding),
        ] {
            for object in self.objects("rbac.authorization.k8s.io", "v1", plural) {
                add(&mut policy, &object);
            }
        }
        let policy = Arc::new(policy);
        *self.policy.lock() = Some((version, Arc::clone(&policy)));
        policy
    }

    fn objects(&self, group: &str, version: &str, plural: &str) -> Vec<Value> {
        let Some(resource) = self.with(|cluster| cluster.resource(group, version, plural)) else {
            return Vec::new();
        };
        let options = ListOptions::default();
        let call = Call {
            resource: &resource,
            namespace: "",
            name: "",
            subresource: Subresource::None,
            verb: Verb::List(&options),
            manager: "",
            user: "",
            dry_run: false,
            validation: FieldValidation::Ignore,
            now: self.now(),
        };
        match self.call(call).map(|reply| reply.body) {
            Ok(Body::List(list)) => list.items.iter().map(|object| object.bare()).collect(),
            // A list without a selection has no other answer.
            Ok(Body::Object(_) | Body::Value(_) | Body::Success(_)) | Err(_) => Vec::new(),
        }
    }
}
