//! A hub that is away for days: scripted, with several agents that are rebooted, whose API servers fail, and whose objects
//! others meddle with. Nothing but heals is written, each what the agent had stored when the hub went; then it comes back.

use std::collections::BTreeSet;

use argosy_core::cluster::Request;
use argosy_core::ids::AppId;
use argosy_core::key::ResourceKey;
use argosy_core::status::SyncStatus;

use super::Violation;
use super::cluster::{Meddling, Spell};
use super::git::{Document, Git, REPOSITORIES, Snapshot, Source};
use super::network::Network;
use super::objects::{self, Piece, Stay};
use super::oracle::Asked;
use super::plan::Plan;
use super::random::{Chances, Random};
use super::trace::Tracing;
use super::world::World;

const HOUR_MS: u64 = 3_600_000;
/// How long an agent may take to heal, whatever failed meanwhile.
const HEALED_MS: u64 = 40 * 60_000;

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Where everything comes from.
    pub seed: u64,
    /// How long the hub is away.
    pub hours: u64,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alone {
    /// How many agents there were.
    pub agents: usize,
    /// How often somebody meddled with an object.
    pub meddled: u32,
    /// How often an agent was rebooted, or its process ended.
    pub restarts: u32,
    /// How often an API server failed.
    pub failures: u32,
    /// What was written while the hub was away.
    pub heals: u64,
    /// Hash over the whole trace.
    pub hash: String,
    /// The last lines of the trace.
    pub tail: Vec<String>,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
}

/// Lets a hub be away; `echo` prints the trace as it grows.
pub fn outage(what: &Outage, echo: bool) -> Alone {
    let mut chance = Chances::new(what.seed);
    let agents = chance.plan.index(3) + 3;
    let first = (0..agents).flat_map(|cluster| apps_of(&mut chance.commits, cluster)).collect();
    let git = Git { history: vec![Snapshot::new(), first], away_until: [0; REPOSITORIES], slices: None };
    let tracing = if echo { Tracing::Echoed } else { Tracing::Kept };
    let mut world = World::scripted(chance, Plan::quiet(agents), git, Network::new(agents, None), tracing);
    note!(world, "{what:?}, {agents} agents");
    let mut alone = Alone {
        agents,
        meddled: 0,
        restarts: 0,
        failures: 0,
        heals: 0,
        hash: String::new(),
        tail: Vec::new(),
        violation: None,
    };
    world.settle();
    world.be_alone(what.hours * HOUR_MS, &mut alone);
    world.settle();
    alone.violation = world.oracle.violation().cloned();
    (alone.hash, alone.tail) = world.finish();
    alone
}

impl World {
    /// The hub goes, and comes back after so long.
    fn be_alone(&mut self, away_ms: u64, alone: &mut Alone) {
        let end = self.now + away_ms;
        let managed: Vec<BTreeSet<ResourceKey>> =
            (0..self.plan.agents).map(|agent| self.managed(agent)).collect();
        self.crash_hub(away_ms);
        self.oracle.alone = Some(self.git.newest());
        for cluster in &mut self.clusters {
            cluster.meddled.clear();
        }
        let before = self.oracle.writes;
        while self.now + 2 * HEALED_MS < end && self.oracle.violation().is_none() {
            self.trouble_one(alone);
            let pause = self.chance.faults.between(0, HOUR_MS);
            self.until((self.now + pause).min(end - HEALED_MS));
            if pause > HEALED_MS {
                self.must_be_healed();
            }
        }
        self.until(end - 1);
        self.must_be_healed();
        for (agent, managed) in managed.into_iter().enumerate() {
            if self.managed(agent) != managed {
                self.oracle.violate("I9", format!("agent {agent} manages other objects than before"));
            }
        }
        alone.heals = self.oracle.writes - before;
        self.oracle.alone = None;
    }

    /// Somebody meddles, an agent starts again, or an API server fails. Git goes on, which nobody is told.
    fn trouble_one(&mut self, alone: &mut Alone) {
        let agent = self.chance.faults.index(self.plan.agents);
        match self.chance.faults.under(10) {
            0..=4 => {
                let how = [
                    Meddling::Change,
                    Meddling::Delete,
                    Meddling::Untrack,
                    Meddling::Unlabel,
                    Meddling::Beside,
                    Meddling::Share,
                ];
                let how = self.chance.foreign.pick(&how).unwrap_or(Meddling::Change);
                let keys: Vec<ResourceKey> = self.managed(agent).into_iter().collect();
                let Some(key) = self.chance.foreign.pick(&keys) else { return };
                let Some(cluster) = self.clusters.get_mut(agent) else { return };
                cluster.meddle(&key, how, self.now);
                alone.meddled += 1;
                note!(self, "somebody does {how:?} to {key} in {agent}");
                self.spread(agent);
            }
            5 | 6 => {
                let back = self.chance.faults.between(1_000, 10 * 60_000);
                let reboots = self.chance.faults.percent(70);
                self.crash_agent(agent, back);
                if let Some(state) = self.agents.get_mut(agent).filter(|_| reboots) {
                    state.reboot(self.now);
                }
                alone.restarts += 1;
            }
            7 => {
                let until = self.now + self.chance.faults.between(1_000, 10 * 60_000);
                if let Some(cluster) = self.clusters.get_mut(agent) {
                    cluster.down_until = until;
                }
                alone.failures += 1;
                note!(self, "the API server of {agent} is away until {until}");
                self.break_watches(agent);
            }
            8 => {
                let until = self.now + self.chance.faults.between(1_000, 10 * 60_000);
                let spell = self.chance.faults.pick(&[Spell::Slow, Spell::Throttled, Spell::Denied]);
                if let (Some(cluster), Some(spell)) = (self.clusters.get_mut(agent), spell) {
                    cluster.spells.insert(spell, until);
                }
                alone.failures += 1;
                self.break_watches(agent);
            }
            _ => {
                let mut next = self.git.newest();
                for piece in next.values_mut().flat_map(|source| source.objects.values_mut()) {
                    piece.version += 1;
                }
                self.git.history.push(next);
                self.oracle.committed(&self.git);
            }
        }
    }

    /// Gives the objects that an agent manages, as its store says.
    fn managed(&self, agent: usize) -> BTreeSet<ResourceKey> {
        let process = self.agents.get(agent).and_then(|state| state.process.as_ref());
        process
            .into_iter()
            .flat_map(|process| process.machine.reconciler().inventory().keys().cloned())
            .collect()
    }

    /// Every object is as it was when the hub went, and every status says so.
    fn must_be_healed(&mut self) {
        let Some(then) = self.oracle.alone.clone() else { return };
        for (app, source) in &then {
            let agent = source.cluster;
            let Some(cluster) = self.clusters.get(agent) else { continue };
            let process = self.agents.get(agent).and_then(|state| state.process.as_ref());
            let status = process.and_then(|process| process.machine.reconciler().statuses().get(app));
            let sync = status.map(|status| status.sync);
            let wrong = source
                .resolved()
                .into_iter()
                .find(|(key, (rendered, piece))| cluster.says(key, rendered, *piece) != Some(true));
            let why = match wrong {
                Some((key, _)) => format!("{key} of {app} is not healed on {agent}, which says {sync:?}"),
                None if sync != Some(SyncStatus::Synced) => {
                    format!("{app} is as it should be on {agent}, which says {sync:?}")
                }
                None => continue,
            };
            self.oracle.violate("I9", why);
            return;
        }
    }
}

/// Holds a write of an agent that is alone to what it may be: what it had stored of an object that somebody touched.
pub(super) fn judge(then: &Snapshot, asked: &Asked<'_>) -> Result<(), String> {
    let Request::Apply { key, manifest, app, .. } = asked.request else {
        return Err("does more than heal".to_owned());
    };
    let source = then.get(app).filter(|source| source.cluster == asked.state.seat);
    let stored = source.and_then(|source| source.resolved().get(key).cloned());
    match stored {
        Some((rendered, piece)) if objects::digest(&rendered, piece) == *manifest => {}
        Some(_) => return Err("heals to something else than it had stored".to_owned()),
        None => return Err("applies what the app does not have".to_owned()),
    }
    let meddled = &asked.cluster.meddled;
    // With a definition go the objects of its kind.
    let went = key.group_kind() == objects::widget_kind() && meddled.contains(&objects::definition());
    if went || meddled.contains(key) {
        return Ok(());
    }
    Err("writes what nobody touched".to_owned())
}

/// Makes the apps of a cluster.
fn apps_of(random: &mut Random, cluster: usize) -> Vec<(AppId, Source)> {
    let name = |number: usize| format!("{number}-{cluster}");
    let mut site: Vec<ResourceKey> =
        (0..random.index(4) + 2).map(|at| objects::config_map("", &name(at))).collect();
    site.push(ResourceKey::new("", "PersistentVolumeClaim", "", name(0)));
    let widgets = (0..=random.index(2)).map(|at| ResourceKey::new("example.com", "Widget", "", name(at)));
    let mesh: Vec<ResourceKey> = widgets.chain([objects::definition()]).collect();
    let app = |kind: &str, keys: Vec<ResourceKey>| {
        let piece = Piece { version: 1, stay: Stay::Normal, filler: 0 };
        let source = Source {
            cluster,
            namespace: "shop".to_owned(),
            repository: 0,
            automated: true,
            prune: true,
            self_heal: true,
            allow_empty: false,
            create_namespace: true,
            cascade: false,
            windowed: false,
            document: Document::Good,
            renders: true,
            objects: keys.into_iter().map(|key| (key, piece)).collect(),
        };
        (AppId::new("", format!("{kind}-{cluster}")), source)
    };
    vec![app("site", site), app("mesh", mesh)]
}
