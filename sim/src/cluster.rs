//! One cluster: the API server and the control plane around it, without I/O, clock or threads.
//!
//! A request is a [`Call`]; what the control plane does by itself happens in [`Cluster::tick`]. Both are told the time.
//! Every change has a version of its own and is kept as a record for watches, as far back as [`Config::history`] and
//! [`Config::history_bytes`] say.

mod call;
mod control;
mod conversion;
mod delete;
mod interference;
mod list;
mod object;
mod random;
mod reply;
mod scale;
mod selector;
mod status;
mod store;
mod time;
mod watch;
mod write;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

pub use self::call::{
    Call, DeleteOptions, FieldValidation, ListOptions, Patch, PatchKind, Propagation, Subresource, Verb,
};
pub use self::interference::{Effect, Interference};
pub use self::object::Object;
pub use self::reply::{Body, List, Reply};
pub use self::selector::Selection;
pub(crate) use self::selector::Selector;
pub use self::status::{Cause, Details, Status};
pub use self::time::Time;
pub use self::watch::{Event, EventKind, Events};

pub(crate) use self::control::{Job, owners};
pub(crate) use self::store::{Key, Place};

use self::conversion::Unconvertible;
use self::random::Random;
use self::store::Store;
use crate::kinds::{self, Resource};

/// How a cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where its randomness comes from.
    pub seed: u64,
    /// When it came to be.
    pub now: Time,
    /// How many changes are kept for watches and lists of an older version.
    pub history: usize,
    /// How many bytes of objects these may hold.
    pub history_bytes: usize,
    /// How long a pod takes until it is ready.
    pub ready_after: Duration,
    /// How long the control plane takes for a step of its own.
    pub step: Duration,
}

/// One cluster.
#[derive(Debug)]
pub struct Cluster {
    config: Config,
    random: Random,
    store: Store,
    /// Kinds of definitions that are established, by group, plural and version.
    custom: BTreeMap<(String, String, String), Arc<Resource>>,
    /// What the control plane looks at next, by when.
    jobs: BTreeSet<(Time, Job)>,
    /// Which service was given each address last; whether it has it still is to be looked up.
    addresses: BTreeMap<String, Key>,
    /// What happens to writes on their way.
    interference: Vec<Interference>,
    /// The latest time that was told.
    now: Time,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            now: Time::default(),
            history: 1000,
            history_bytes: 8 << 20,
            ready_after: Duration::from_secs(2),
            step: Duration::from_millis(50),
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// Makes a cluster with the namespaces that every cluster has.
    pub fn new(config: Config) -> Self {
        let mut cluster = Self {
            random: Random::new(config.seed),
            store: Store::new(config.history, config.history_bytes),
            custom: BTreeMap::new(),
            jobs: BTreeSet::new(),
            addresses: BTreeMap::new(),
            interference: Vec::new(),
            now: config.now,
            config,
        };
        let find = |plural: &str| kinds::built_in().iter().find(|resource| resource.is("", plural));
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            if let Some(resource) = find("namespaces") {
                cluster.bootstrap(resource, "", json!({"metadata": {"name": name}}));
            }
        }
        if let Some(resource) = find("services") {
            cluster.bootstrap(resource, "default", kubernetes());
        }
        cluster
    }

    /// Gives how it is.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Finds a kind in a version that is served.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let built_in = kinds::built_in()
            .iter()
            .find(|resource| resource.is(group, plural) && resource.version == version);
        let custom = || self.custom.get(&(group.to_owned(), plural.to_owned(), version.to_owned()));
        built_in.or_else(custom).cloned()
    }

    /// Gives all kinds that are served, the built-in ones first, the preferred version of each group first.
    pub fn resources(&self) -> Vec<Arc<Resource>> {
        let mut custom: Vec<Arc<Resource>> = self.custom.values().cloned().collect();
        custom.sort_by_key(|resource| {
            let preferred = Reverse(kinds::custom::priority(&resource.version));
            (resource.group.clone(), preferred, resource.plural.clone())
        });
        kinds::built_in().iter().cloned().chain(custom).collect()
    }

    /// Gives the version of the latest change.
    pub fn version(&self) -> u64 {
        self.store.version()
    }

    /// Carries out a request.
    pub fn call(&mut self, mut call: Call<'_>) -> Result<Reply, Status> {
        let Call { resource, namespace, name, .. } = call;
        self.now = self.now.max(call.now);
        if let Some(why) = Unconvertible::of(resource) {
            return self.call_unconverted(&mut call, &why);
        }
        match call.verb {
            Verb::Get => self.get(resource, namespace, name, call.subresource),
            Verb::List(options) => self.list(resource, namespace, options),
            Verb::Create(_) | Verb::Update(_) | Verb::Patch(_) => self.write(&mut call),
            Verb::Delete(ref options) => self.delete(&call, options),
            Verb::DeleteCollection(ref options, selection) => {
                self.delete_collection(&call, options, selection)
            }
        }
    }

    fn get(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        subresource: Subresource,
    ) -> Result<Reply, Status> {
        if subresource == Subresource::Scale {
            return self.get_scale(resource, namespace, name);
        }
        let object = self.find(resource, namespace, name).ok_or_else(|| Status::not_found(resource, name))?;
        Ok(Reply { code: 200, body: Body::Object(object.clone()), warnings: Vec::new() })
    }

    /// Gives an object as it is kept, without asking for it.
    pub fn peek(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.find(resource, namespace, name)
    }

    /// Gives namespace, name and state of all objects of a kind, without asking for them.
    pub fn objects(&self, resource: &Resource) -> impl Iterator<Item = (&str, &str, &Arc<Object>)> {
        let all = self.store.objects(&place_of(resource));
        all.map(|(key, object)| (&*key.namespace, &*key.name, object))
    }

    fn find(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.store.get(&place_of(resource), &Key::new(namespace, name))
    }
}

/// The service of the API server itself.
fn kubernetes() -> serde_json::Value {
    json!({"metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}]},
        "status": {"loadBalancer": {}}})
}

pub(crate) fn place_of(resource: &Resource) -> Place {
    Place::new(&resource.group, &resource.plural)
}

#[cfg(test)]
mod tests;
