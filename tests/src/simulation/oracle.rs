//! The oracle: sees every transaction, frame and request, and judges them by rules of its own.
//!
//! It shares vocabulary with the code under test (rows, frames, keys) but none of its decisions: what is desired, who
//! may delete what, which number follows which is worked out here from Git's history and from what was made durable.

mod chain;
mod deletes;
mod fields;
pub(super) mod live;
mod order;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::cluster::{Answer, ApiError, Request, RequestId};
use argosy_core::desired::{Anchor, DesiredList, Head, SignedHead};
use argosy_core::ids::{AppId, Digest, Epoch, Generation};
use argosy_core::key::ResourceKey;
use argosy_core::release::Root;
use argosy_sim::cluster::Object;

use self::live::Mark;
use super::agent::Agent;
use super::cluster::Cluster;
use super::git::{Git, ReadAt, Snapshot};
use super::guard::Guard;
use super::objects::{self, Piece};

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name in the state model or among the invariants.
    pub rule: &'static str,
    /// What happened.
    pub message: String,
}

/// A request as it leaves an agent, its transaction being durable.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) agent: usize,
    pub(super) life: u64,
    pub(super) id: RequestId,
    pub(super) state: &'a Agent,
    pub(super) request: &'a Request,
    pub(super) cluster: &'a Cluster,
    pub(super) now: u64,
}

/// What a request found when it was carried out, and what it left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Executed<'a> {
    pub(super) before: Option<&'a Object>,
    pub(super) after: Option<&'a Object>,
    pub(super) answer: &'a Result<Answer, ApiError>,
}

/// A write under way: its object, and for an apply what it says for which app.
type Write = (ResourceKey, Option<(Digest, AppId)>);

/// What is known of one agent.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// The head on its disk.
    head: Option<Head>,
    list: Option<DesiredList>,
    anchor: Option<Anchor>,
    /// The newest commit that each app's list is known to be of.
    floors: BTreeMap<AppId, usize>,
    /// The same for each object that was written.
    object_floors: BTreeMap<(AppId, ResourceKey), usize>,
    /// Writes that the process waits for.
    waits: BTreeMap<RequestId, Write>,
    /// Deletes that may still reach the API server.
    deletes: BTreeMap<(ResourceKey, String), u32>,
    /// Bodies that a sync began to apply.
    begun: BTreeSet<(ResourceKey, Digest, AppId)>,
    /// When deletes were sent that nobody had confirmed.
    deleted_at: BTreeMap<(ResourceKey, String), u64>,
    /// The heads that a bundle leads along.
    led: Vec<SignedHead>,
    /// Whether the last discovery said that widgets are served.
    widgets: bool,
    /// Objects that it applied, or tried to.
    tried: BTreeSet<ResourceKey>,
    /// Namespaces that it was last refused.
    homeless: BTreeSet<String>,
}

/// Everything that the oracle knows.
#[derive(Default)]
pub(super) struct Oracle {
    violation: Option<Violation>,
    /// What the hub read, in order, over all its lives.
    reads: Vec<ReadAt>,
    agents: Vec<Seen>,
    /// Which cluster each agent is for.
    seats: Vec<usize>,
    /// Deletes that an operator confirmed.
    pub(super) confirmed: BTreeSet<(usize, ResourceKey, String)>,
    /// Apps whose pruning an operator asked for.
    pub(super) asked: BTreeSet<(usize, AppId)>,
    /// Apps that somebody took back to an older release.
    pub(super) rolled_back: BTreeSet<(usize, AppId)>,
    /// Incarnations that an agent applied.
    applied: BTreeSet<(usize, ResourceKey, String)>,
    /// Incarnations that an agent took for one of its apps: lawful applies named them, whether or not they arrived.
    taken: BTreeSet<(usize, ResourceKey, String)>,
    /// The app for which the delete of an incarnation was asked for.
    owners: BTreeMap<(usize, ResourceKey, String), AppId>,
    /// What an agent's last look at an object truly found.
    looked: BTreeMap<(usize, ResourceKey), Option<(String, Mark)>>,
    /// Namespaces that were there at some time.
    homes: BTreeSet<(usize, String)>,
    /// The piece that each manifest is of.
    pieces: BTreeMap<Digest, (ResourceKey, Piece)>,
    /// Highest number that the hub sent, by agent.
    sent: BTreeMap<usize, (Epoch, Generation)>,
    /// The root of each app at each commit.
    roots: BTreeMap<AppId, BTreeMap<usize, Root>>,
    releases: BTreeMap<Root, Vec<(ResourceKey, Digest)>>,
    /// Agents whose store was lost, put back, or copied.
    pub(super) replaced: BTreeSet<usize>,
    /// Writes so far.
    pub(super) writes: u64,
    /// What was desired when the hub went for days, while it is away.
    pub(super) alone: Option<Snapshot>,
    /// Frames that say something, so far.
    pub(super) frames: u64,
    /// The local policies of agents, by cluster.
    pub(super) guards: Vec<Option<Guard>>,
}

impl Oracle {
    pub(super) fn new(agents: usize) -> Self {
        Self {
            agents: (0..agents).map(|_| Seen::default()).collect(),
            seats: (0..agents).collect(),
            ..Self::default()
        }
    }

    /// A second process runs beside an agent's, on a copy of its disk.
    pub(super) fn twin_of(&mut self, agent: usize) {
        self.replaced.insert(agent);
        let mut seen = self.agents.get(agent).cloned().unwrap_or_default();
        seen.waits.clear();
        seen.deletes.clear();
        self.agents.push(seen);
        self.seats.push(self.seat(agent));
    }

    /// Gives the local policy of an agent.
    pub(super) fn guard(&self, agent: usize) -> Option<Guard> {
        self.guards.get(self.seat(agent)).copied().flatten()
    }

    /// Tells whether the local policy of an agent is in the way of every sync.
    pub(super) fn is_closed(&self, agent: usize) -> bool {
        self.guard(agent).is_some_and(Guard::is_closed)
    }

    pub(super) fn seat(&self, agent: usize) -> usize {
        self.seats.get(agent).copied().unwrap_or(agent)
    }

    /// Notes the first broken rule.
    pub(super) fn violate(&mut self, rule: &'static str, message: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { rule, message });
        }
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The hub read the fleet; what it could not read in this life it knows from before.
    pub(super) fn read(&mut self, mut at: ReadAt) {
        let before = self.reads.last().copied().unwrap_or_default();
        for (now, before) in at.repositories.iter_mut().zip(before.repositories) {
            *now = now.or(before);
        }
        self.reads.push(at);
    }

    /// Takes a commit of the fleet.
    pub(super) fn committed(&mut self, git: &Git) {
        let commit = git.head();
        for (app, source) in git.apps() {
            let release = source.release();
            let entries = release
                .entries()
                .iter()
                .map(|entry| (entry.id.key.clone(), entry.digest))
                .collect::<Vec<_>>();
            for (key, piece) in &source.objects {
                self.learn(objects::digest(key, *piece), key, *piece);
            }
            self.releases.insert(release.root(), entries);
            self.roots.entry(app.clone()).or_default().insert(commit, release.root());
        }
    }

    pub(super) fn agent_started(&mut self, agent: usize) {
        if let Some(seen) = self.agents.get_mut(agent) {
            seen.waits.clear();
            seen.widgets = false;
            seen.homeless.clear();
            // What a sync meant to apply before it died is tried again, whatever it was told of the namespace then.
            seen.tried.extend(seen.begun.iter().map(|(key, _, _)| key.clone()));
        }
    }

    /// An agent's store was lost or rolled back.
    pub(super) fn store_replaced(&mut self, agent: usize) {
        self.replaced.insert(agent);
        if let Some(seen) = self.agents.get_mut(agent) {
            seen.head = None;
            seen.list = None;
            // A copy may hold the intent of what was begun before it was made: that may be done once more (M18).
            seen.deletes.clear();
            seen.deleted_at.clear();
            // A copy of the same head is not told from the newest: it may put back what it knows once more.
            seen.object_floors.clear();
        }
    }

    pub(super) fn hub_restored(&mut self) {
        self.sent.clear();
    }

    pub(super) fn anchored(&mut self, agent: usize, anchor: Anchor) {
        let Some(seen) = self.agents.get_mut(agent) else { return };
        if seen.anchor.is_some_and(|before| before.generation > anchor.generation) {
            self.violate("I1", format!("the anchor of agent {agent} goes back to {}", anchor.generation));
            return;
        }
        seen.anchor = Some(anchor);
    }

    /// The process has its answer.
    pub(super) fn answered(&mut self, git: &Git, agent: usize, id: RequestId, done: bool) {
        let write = self.agents.get_mut(agent).and_then(|seen| seen.waits.remove(&id));
        if let Some((key, Some((manifest, app)))) = write.filter(|_| done) {
            self.has_applied(git, agent, &key, manifest, &app);
        }
    }

    /// A request was carried out, or refused: it is not under way any more.
    pub(super) fn landed(&mut self, agent: usize, request: &Request, answer: &Result<Answer, ApiError>) {
        self.lost(agent, request);
        self.home_answered(agent, request, answer.is_ok());
    }

    /// A request will never arrive.
    pub(super) fn lost(&mut self, agent: usize, request: &Request) {
        if let Request::Delete { key, uid, .. } | Request::GiveUp { key, uid, .. } = request
            && let Some(seen) = self.agents.get_mut(agent)
            && let Some(count) = seen.deletes.get_mut(&(key.clone(), uid.clone()))
        {
            *count = count.saturating_sub(1);
        }
    }

    /// A request was carried out.
    pub(super) fn executed(&mut self, git: &Git, agent: usize, request: &Request, executed: Executed<'_>) {
        let Executed { before, after, answer } = executed;
        let seat = self.seat(agent);
        match (request, answer) {
            (Request::Get { key }, Ok(_)) => {
                let found = before.map(|object| live::look(object, key));
                self.looked.insert((seat, key.clone()), found);
            }
            (Request::Apply { key, uid, .. }, Ok(Answer::Applied(_))) => {
                let Some(after) = after else {
                    self.violate("M16", format!("agent {agent} applies {key}, and nothing is there"));
                    return;
                };
                if uid.as_ref().is_some_and(|uid| uid != after.uid()) {
                    self.violate("M16", format!("agent {agent} applies {key} to another incarnation"));
                }
                self.applied.insert((seat, key.clone(), after.uid().to_owned()));
                if let Some(before) = before {
                    self.fields_kept(agent, request, before, Some(after));
                }
                if key.is_namespace() {
                    self.homed(seat, &key.name);
                }
            }
            (Request::Delete { key, .. }, Ok(_)) => {
                // The incarnation that went may be another one than was named.
                if let Some(before) = before {
                    self.delete_executed(git, agent, key, before);
                }
            }
            (Request::GiveUp { key, .. }, Ok(_)) => {
                if let Some(before) = before {
                    self.given_up(agent, key, before, after);
                    self.delete_executed(git, agent, key, before);
                }
            }
            (Request::EnsureNamespace { name, .. }, Ok(_)) => {
                if after.is_some() {
                    self.homed(seat, name);
                }
            }
            (Request::Compare { key, .. }, _) => {
                let version = |object: Option<&Object>| {
                    object.map(|object| (object.uid().to_owned(), object.version()))
                };
                if version(before) != version(after) {
                    self.violate("I10", format!("agent {agent} changes {key} by comparing it"));
                }
            }
            (
                Request::Get { .. }
                | Request::Try { .. }
                | Request::Apply { .. }
                | Request::GiveUp { .. }
                | Request::Delete { .. }
                | Request::EnsureNamespace { .. },
                Ok(_) | Err(_),
            ) => {}
        }
    }
}
