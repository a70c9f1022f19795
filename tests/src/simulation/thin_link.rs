//! A huge app on a thin link: scripted, with no faults, to measure what the bulk of one app costs all others.
//!
//! A small app on the same link and one on another cluster change again and again while the huge one is on its way,
//! each change timed from its commit until the cluster has it.

use std::collections::BTreeMap;

use argosy_core::desired::Assignment;
use argosy_core::ids::AppId;
use argosy_core::key::ResourceKey;
use argosy_core::release::Root;
use argosy_core::session::tables;
use argosy_core::store::decode;

use super::Violation;
use super::git::{Document, Git, REPOSITORIES, Snapshot, Source};
use super::network::Network;
use super::objects::{self, Piece, Stay};
use super::plan::Plan;
use super::random::Chances;
use super::trace::Tracing;
use super::world::World;

/// How many clusters there are.
const CLUSTERS: usize = 2;

/// The cluster on whose link the huge app travels.
const THIN: usize = 0;
/// Another one.
const ELSEWHERE: usize = 1;
/// How often the clusters are looked at: how exactly everything is timed.
const LOOK_MS: u64 = 20;
/// How long anything may take before the run is given up.
const PATIENCE_MS: u64 = 120_000;
/// How many changes follow once the huge app is there.
const AFTERWARDS: u32 = 2;

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThinLink {
    /// Seed of delays and of when the changes come.
    pub seed: u64,
    /// Objects of the huge app.
    pub objects: usize,
    /// Bytes of text in each of them.
    pub filler: usize,
    /// Bytes a second of every link, for bulk.
    pub rate: u64,
    /// When the huge app changes once more, in milliseconds after it was committed, and in how many of its objects.
    pub again: Option<(u64, usize)>,
}

/// How it went; all times are simulated milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// Changes of the small apps that were committed while the huge app was on its way or being applied.
    pub changes_meanwhile: u32,
    /// The slowest change of the small app on the same link.
    pub slowest_beside_ms: u64,
    /// The slowest change of the app on the other cluster.
    pub slowest_elsewhere_ms: u64,
    /// Bytes of all manifests of the huge app, each counted once.
    pub bytes: u64,
    /// When the agent switched to each revision of the huge app, after its first commit.
    pub switched_ms: Vec<(usize, u64)>,
    /// When the newest revision of the huge app was live, after its first commit.
    pub live_ms: u64,
    /// Hash over the whole trace.
    pub hash: String,
    /// The last lines of the trace.
    pub tail: Vec<String>,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
}

/// Lets a huge app cross a thin link; `echo` prints the trace as it grows.
pub fn thin_link(what: &ThinLink, echo: bool) -> Crossing {
    let mut run = Run::new(what, echo);
    run.script();
    let (hash, tail) = run.world.finish();
    Crossing { hash, tail, ..run.crossing }
}

/// The script under way.
struct Run {
    what: ThinLink,
    world: World,
    committed: u64,
    /// Revisions of the huge app, by root.
    revisions: BTreeMap<Root, usize>,
    /// The objects of its newest revision that were not seen live yet.
    live: BTreeMap<ResourceKey, (ResourceKey, Piece)>,
    crossing: Crossing,
}

impl Run {
    fn new(what: &ThinLink, echo: bool) -> Self {
        let tracing = if echo { Tracing::Echoed } else { Tracing::Kept };
        let mut snapshot = Snapshot::new();
        for (app, cluster) in [("small", THIN), ("elsewhere", ELSEWHERE)] {
            snapshot.insert(AppId::new("", app), source(cluster, 0, [(key(app, 0), piece(0))]));
        }
        let git =
            Git { history: vec![Snapshot::new(), snapshot], away_until: [0; REPOSITORIES], slices: None };
        let network = Network::new(CLUSTERS, Some(what.rate));
        let plan = Plan::quiet(CLUSTERS);
        let mut world = World::scripted(Chances::new(what.seed), plan, git, network, tracing);
        note!(world, "{what:?}");
        Self {
            what: *what,
            world,
            committed: 0,
            revisions: BTreeMap::new(),
            live: BTreeMap::new(),
            crossing: Crossing {
                changes_meanwhile: 0,
                slowest_beside_ms: 0,
                slowest_elsewhere_ms: 0,
                bytes: 0,
                switched_ms: Vec::new(),
                live_ms: 0,
                hash: String::new(),
                tail: Vec::new(),
                violation: None,
            },
        }
    }

    fn script(&mut self) {
        self.time_change("at the start");
        self.add_huge();
        let deadline = self.committed + PATIENCE_MS + 2 * self.least_ms();
        let mut again = self.what.again.map(|(after, objects)| (self.committed + after, objects));
        while self.goes_on() && self.crossing.live_ms == 0 {
            let next = self.world.now + self.world.chance.commits.between(15_000, 25_000);
            self.look_until(next, |_| false);
            if let Some((at, objects)) = again
                && self.world.now >= at
            {
                self.change_huge(objects);
                again = None;
            }
            if self.crossing.live_ms == 0 {
                self.crossing.changes_meanwhile += 1;
            }
            self.time_change("meanwhile");
            if self.world.now > deadline {
                self.world.oracle.violate("M10", "the huge app does not arrive".to_owned());
            }
        }
        for _ in 0..AFTERWARDS {
            self.time_change("afterwards");
        }
        self.world.settle();
        self.crossing.violation = self.world.oracle.violation().cloned();
    }

    fn goes_on(&self) -> bool {
        self.world.oracle.violation().is_none()
    }

    /// Gives what the link takes for the huge app at least.
    fn least_ms(&self) -> u64 {
        self.crossing.bytes * 1000 / self.what.rate.max(1)
    }

    fn commit(&mut self, next: Snapshot) {
        self.world.git.history.push(next);
        self.world.oracle.committed(&self.world.git);
        let commit = self.world.git.head();
        note!(self.world, "commit {commit}");
    }

    fn add_huge(&mut self) {
        let pieces =
            (0..self.what.objects).map(|number| (key("huge", number), self.filled(1))).collect::<Vec<_>>();
        let mut next = self.world.git.newest();
        next.insert(huge(), source(THIN, 1, pieces));
        self.committed = self.world.now;
        self.commit_huge(next);
    }

    /// Changes so many objects of the huge app, spread over all of it.
    fn change_huge(&mut self, objects: usize) {
        let mut next = self.world.git.newest();
        let apart = (self.what.objects / objects.max(1)).max(1);
        let pieces = next.get_mut(&huge()).into_iter().flat_map(|source| source.objects.values_mut());
        for piece in pieces.step_by(apart).take(objects) {
            piece.version += 1;
        }
        self.commit_huge(next);
    }

    fn commit_huge(&mut self, next: Snapshot) {
        let before = self.world.git.newest().remove(&huge());
        if let Some(source) = next.get(&huge()) {
            let known = |key: &ResourceKey| before.as_ref().and_then(|before| before.objects.get(key));
            let new = source.objects.iter().filter(|(key, piece)| known(key) != Some(*piece));
            self.crossing.bytes +=
                new.map(|(key, piece)| objects::manifest(key, *piece).len() as u64).sum::<u64>();
            self.revisions.insert(source.release().root(), self.revisions.len());
            self.live = source.resolved();
        }
        self.commit(next);
    }

    fn filled(&self, version: u32) -> Piece {
        Piece { filler: self.what.filler, ..piece(version) }
    }

    /// Changes the small apps and measures until they are live.
    fn time_change(&mut self, when: &str) {
        let mut next = self.world.git.newest();
        let mut awaited = Vec::new();
        for (app, cluster) in [("small", THIN), ("elsewhere", ELSEWHERE)] {
            let Some(source) = next.get_mut(&AppId::new("", app)) else { continue };
            for piece in source.objects.values_mut() {
                piece.version += 1;
            }
            awaited.extend(source.resolved().into_iter().map(|(key, piece)| (cluster, key, piece)));
        }
        self.commit(next);
        let start = self.world.now;
        let mut took = [None; CLUSTERS];
        self.look_until(start + PATIENCE_MS, |world| {
            for (cluster, key, piece) in &awaited {
                if let Some(took) = took.get_mut(*cluster).filter(|took| took.is_none())
                    && is_live(world, *cluster, key, piece)
                {
                    *took = Some(world.now - start);
                }
            }
            took.iter().all(Option::is_some)
        });
        let [beside, elsewhere] = took.map(|took| took.unwrap_or(PATIENCE_MS));
        note!(self.world, "live after {beside} ms beside and {elsewhere} ms elsewhere, {when}");
        // The first change waits for everything to start.
        if self.committed > 0 {
            self.crossing.slowest_beside_ms = self.crossing.slowest_beside_ms.max(beside);
            self.crossing.slowest_elsewhere_ms = self.crossing.slowest_elsewhere_ms.max(elsewhere);
        }
    }

    /// Runs to a point in time, or until `done`; notes how far the huge app comes.
    fn look_until(&mut self, end: u64, mut done: impl FnMut(&World) -> bool) {
        while self.goes_on() && self.world.now < end {
            self.world.until((self.world.now + LOOK_MS).min(end));
            self.follow_huge();
            if done(&self.world) {
                return;
            }
        }
    }

    fn follow_huge(&mut self) {
        if self.crossing.live_ms > 0 {
            return;
        }
        let Some(revision) = self.assigned() else { return };
        let after = self.world.now - self.committed;
        let last = self.crossing.switched_ms.last().map(|(last, _)| *last);
        if last != Some(revision) {
            self.crossing.switched_ms.push((revision, after));
        }
        let newest = revision + 1 == self.revisions.len();
        if newest {
            while self
                .live
                .first_key_value()
                .is_some_and(|(key, piece)| is_live(&self.world, THIN, key, piece))
            {
                self.live.pop_first();
            }
            if self.live.is_empty() {
                self.crossing.live_ms = after;
            }
        }
    }

    /// Gives the revision of the huge app that its agent has switched to.
    fn assigned(&self) -> Option<usize> {
        let process = self.world.agents.get(THIN)?.process.as_ref()?;
        let bytes = process.machine.link().assigned(&huge())?;
        let assignment = decode::<Assignment>(tables::ASSIGNED, bytes).ok()?;
        self.revisions.get(&assignment.root).copied()
    }
}

fn is_live(
    world: &World,
    cluster: usize,
    key: &ResourceKey,
    (rendered, piece): &(ResourceKey, Piece),
) -> bool {
    world.clusters.get(cluster).and_then(|cluster| cluster.says(key, rendered, *piece)) == Some(true)
}

fn huge() -> AppId {
    AppId::new("", "huge")
}

fn key(app: &str, number: usize) -> ResourceKey {
    objects::config_map("", &format!("{app}-{number:05}"))
}

fn piece(version: u32) -> Piece {
    Piece { version, stay: Stay::Normal, filler: 0 }
}

fn source(
    cluster: usize,
    repository: usize,
    objects: impl IntoIterator<Item = (ResourceKey, Piece)>,
) -> Source {
    Source {
        cluster,
        namespace: "shop".to_owned(),
        repository,
        automated: true,
        prune: true,
        self_heal: true,
        allow_empty: false,
        create_namespace: true,
        cascade: false,
        windowed: false,
        document: Document::Good,
        renders: true,
        objects: objects.into_iter().collect(),
    }
}
