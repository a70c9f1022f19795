//! One cluster: the in-memory Kubernetes of [`argosy_sim`] in simulated time, and how agents reach it.
//!
//! Whatever is written goes through its API as it does on a real cluster: server-side apply with owners, admission, UID
//! preconditions, finalizers, namespaces that take their contents along, definitions that serve their kind once they are
//! established, garbage collection, Jobs that run. Bodies and answers are those of the agent's own client
//! ([`argosy_core::cluster::Apply`], [`Answer`], [`Refusal`]).

mod calls;
mod foreign;
mod watching;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use argosy_core::cluster::{Answer, ApiError, Apply, LiveMeta, Refusal, Request, Subject};
use argosy_core::key::{GroupKind, ResourceKey};
use argosy_sim::cluster::{Cluster as Api, Config, Status, Time};
use serde_json::Value;

use super::lease::Record;
use super::objects::{self, Piece};
use super::random::Random;

pub(super) use self::calls::Manner;
pub(super) use self::foreign::Meddling;
pub(super) use self::watching::{Feed, Listed};

/// What an API server does to requests for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spell {
    /// Takes long.
    Slow,
    /// Tells everybody to come back later.
    Throttled,
    /// A webhook refuses every write.
    Denied,
    /// A webhook changes what is written.
    Mutated,
}

/// Something that somebody does to a cluster a little later.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Later {
    /// A Job that is done is cleaned up.
    Expire(ResourceKey, String),
    /// A finalizer is done.
    Release(ResourceKey, String),
    /// An object is made once the one before it has gone.
    Remake {
        key: ResourceKey,
        object: Box<Value>,
        by: &'static str,
        /// How often that is still tried.
        tries: u32,
    },
}

/// A comparison of a live object with a piece: the object's version, the piece, whether a webhook may have changed it; and
/// whether they agree.
type Compared = ((u64, ResourceKey, Piece, bool), bool);

/// One cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    api: Api,
    /// Until when the API server does not answer.
    pub(super) down_until: u64,
    /// Until when each spell lasts.
    pub(super) spells: BTreeMap<Spell, u64>,
    /// The spells of webhooks that are in force: denied, mutated.
    weather: (bool, bool),
    /// Keys that others than agents touched.
    pub(super) meddled: BTreeSet<ResourceKey>,
    /// Keys that were written while a webhook changed what is written.
    mutated: BTreeSet<ResourceKey>,
    pub(super) later: Vec<Later>,
    /// Who writes here.
    pub(super) lease: Option<Record>,
    /// Until when lists say what was true at a version.
    past: Option<(u64, u64)>,
    /// The version up to which watches were told.
    told: u64,
    /// When the control plane is looked at next.
    tick_at: Option<u64>,
    /// Metadata as last read, by UID.
    read: HashMap<Box<str>, LiveMeta>,
    compared: RefCell<HashMap<ResourceKey, Compared>>,
}

/// Gives the time that an API server's clock shows.
fn time(now: u64) -> Time {
    Time(1_700_000_000_000_000 + i64::try_from(now).unwrap_or_default() * 1_000)
}

impl Cluster {
    pub(super) fn new(number: usize, random: &mut Random) -> Self {
        let config = Config {
            seed: number as u64 + 1,
            now: time(0),
            step: Duration::from_millis(random.between(20, 1_500)),
            ready_after: Duration::from_millis(random.between(50, 3_000)),
            ..Config::default()
        };
        Self {
            api: Api::new(config),
            down_until: 0,
            spells: BTreeMap::new(),
            weather: (false, false),
            meddled: BTreeSet::new(),
            mutated: BTreeSet::new(),
            later: Vec::new(),
            lease: None,
            past: None,
            told: 0,
            tick_at: None,
            read: HashMap::new(),
            compared: RefCell::default(),
        }
    }

    pub(super) fn is_under(&self, spell: Spell, now: u64) -> bool {
        self.spells.get(&spell).is_some_and(|until| *until > now)
    }

    /// Tells whether the API server serves a kind.
    pub(super) fn serves(&self, kind: &GroupKind) -> bool {
        self.resource(kind).is_some()
    }

    /// Tells whether a namespace is there.
    pub(super) fn has_namespace(&self, name: &str) -> bool {
        self.peek(&objects::namespace(name)).is_some()
    }

    /// Carries out a request of an agent; an apply needs the bytes of its manifest.
    pub(super) fn execute(
        &mut self,
        request: &Request,
        manifest: Option<&[u8]>,
        manner: Manner,
        now: u64,
    ) -> Result<Answer, ApiError> {
        match request {
            Request::Get { key } => self.get(key, now),
            Request::Apply { key, uid, manifest: digest, app, respect, force, .. } => {
                let uid = uid.as_deref();
                let installation = super::keys::INSTALLATION;
                let apply = Apply { key, uid, manifest: *digest, bytes: manifest, app, installation };
                self.apply(apply, (respect.as_ref(), *force), manner, now)
            }
            Request::Try { key, manifest: digest, app, force, .. } => {
                let installation = super::keys::INSTALLATION;
                self.try_out(
                    Apply { key, uid: None, manifest: *digest, bytes: manifest, app, installation },
                    *force,
                    now,
                )
            }
            Request::GiveUp { key, uid, .. } => self.give_up(key, uid, now),
            Request::Delete { key, uid, propagation, .. } => self.delete(key, uid, *propagation, manner, now),
            Request::EnsureNamespace { name, .. } => self.ensure_namespace(name, manner, now),
            Request::Compare { key, desired, manner: how, .. } => {
                self.compare(key, desired.as_ref(), manifest, (manner, how), now)
            }
        }
    }

    /// The control plane does what is due, and whoever said that they would.
    pub(super) fn tick(&mut self, now: u64) {
        self.tick_at = None;
        self.api.tick(time(now));
    }

    /// Tells when the control plane is to be looked at, once for each time.
    pub(super) fn next_tick(&mut self, now: u64) -> Option<u64> {
        let due = self.api.next_tick()?.0.saturating_sub(time(0).0);
        let due = u64::try_from(due).unwrap_or_default().div_ceil(1_000).max(now + 1);
        if self.tick_at.is_some_and(|at| at <= due) {
            return None;
        }
        self.tick_at = Some(due);
        Some(due)
    }
}

/// Says what a refusal means for a request.
fn classify(status: &Status, subject: Subject) -> ApiError {
    refusal(status).classify(subject)
}

fn refusal(status: &Status) -> Refusal {
    Refusal::of_status(&status.to_value())
}

/// The answer to a path that leads nowhere.
fn not_served() -> Status {
    Status::new(404, "NotFound", "the server could not find the requested resource")
}

#[cfg(test)]
mod tests;
