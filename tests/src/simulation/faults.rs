//! What goes wrong in a run: which kinds of fault, drawn from the seed, and when.

use super::cluster::Meddling;
use super::git::REPOSITORIES;
use super::random::Random;
use super::schedule::Event;
use super::world::World;

/// A fault that happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Cut { agent: usize },
    Partition { agent: usize },
    CrashAgent { agent: usize },
    Reboot { agent: usize },
    LoseStore { agent: usize },
    RollBack { agent: usize },
    CopyAgent { agent: usize },
    CrashHub,
    CopyHub,
    RestoreHub { git: bool },
    ApiDown { cluster: usize },
    BreakWatches { agent: usize },
    GitAway { repository: usize },
}

/// Which kinds of fault a run has: every run has some of them, so that none hides another.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, drawn one by one")]
pub(super) struct Plan {
    pub(super) link: bool,
    pub(super) agent_crashes: bool,
    pub(super) hub_crashes: bool,
    pub(super) hub_restores: bool,
    pub(super) store_losses: bool,
    pub(super) roll_backs: bool,
    pub(super) api_outages: bool,
    pub(super) api_errors: bool,
    pub(super) foreign: bool,
    /// Commits that break things.
    pub(super) troubles: bool,
    pub(super) git_outages: bool,
    pub(super) slow_link: bool,
    /// The operator confirms held deletes.
    pub(super) confirms: bool,
    /// The fleet is repaired before the quiet phase.
    pub(super) repairs: bool,
}

impl Plan {
    pub(super) fn draw(random: &mut Random) -> Self {
        let calm = random.percent(5);
        let mut draw = |of_hundred| !calm && random.percent(of_hundred);
        Self {
            link: draw(50),
            agent_crashes: draw(50),
            hub_crashes: draw(40),
            hub_restores: draw(20),
            store_losses: draw(20),
            roll_backs: draw(20),
            api_outages: draw(30),
            api_errors: draw(40),
            foreign: draw(50),
            troubles: draw(60),
            git_outages: draw(30),
            slow_link: draw(30),
            confirms: draw(50),
            repairs: draw(60),
        }
    }

    /// Gives the faults of a run.
    pub(super) fn faults(&self, random: &mut Random, agents: usize, length: u64) -> Vec<(u64, Fault)> {
        let mut faults = Vec::new();
        let mut add = |random: &mut Random, on: bool, most: u64, make: &dyn Fn(&mut Random) -> Fault| {
            for _ in 0..if on { random.between(1, most) } else { 0 } {
                let at = random.between(2_000, length);
                faults.push((at, make(random)));
            }
        };
        let agent = |random: &mut Random| random.index(agents);
        add(random, self.link, 6, &|random| Fault::Cut { agent: agent(random) });
        add(random, self.link, 2, &|random| Fault::Partition { agent: agent(random) });
        add(random, self.agent_crashes, 6, &|random| Fault::CrashAgent { agent: agent(random) });
        add(random, self.agent_crashes, 1, &|random| Fault::Reboot { agent: agent(random) });
        add(random, self.store_losses, 2, &|random| Fault::LoseStore { agent: agent(random) });
        add(random, self.roll_backs, 4, &|random| Fault::CopyAgent { agent: agent(random) });
        add(random, self.roll_backs, 2, &|random| Fault::RollBack { agent: agent(random) });
        add(random, self.hub_crashes, 5, &|_| Fault::CrashHub);
        add(random, self.hub_restores, 3, &|_| Fault::CopyHub);
        add(random, self.hub_restores, 2, &|random| Fault::RestoreHub { git: random.percent(50) });
        add(random, self.api_outages, 2, &|random| Fault::ApiDown { cluster: agent(random) });
        add(random, self.api_errors || self.foreign, 3, &|random| Fault::BreakWatches {
            agent: agent(random),
        });
        add(random, self.git_outages, 3, &|random| Fault::GitAway { repository: random.index(REPOSITORIES) });
        faults
    }
}

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.quiet {
            return;
        }
        self.note(&format!("fault: {fault:?}"));
        match fault {
            Fault::Cut { agent } => self.cut(agent),
            Fault::Partition { agent } => {
                let until = self.now + self.random.between(5_000, 90_000);
                if let Some(away) = self.network.away_until.get_mut(agent) {
                    *away = until;
                }
                self.cut(agent);
            }
            Fault::CrashAgent { agent } => {
                let effects = u32::try_from(self.random.under(30)).unwrap_or_default();
                if let Some(state) = self.agents.get_mut(agent) {
                    state.crash_in = Some(effects);
                }
            }
            Fault::Reboot { agent } => {
                let back = self.random.between(1_000, 20_000);
                self.crash_agent(agent, back);
                if let Some(state) = self.agents.get_mut(agent) {
                    state.reboot(self.now);
                }
            }
            Fault::LoseStore { agent } => {
                self.crash_agent(agent, 1_000);
                if let Some(state) = self.agents.get_mut(agent) {
                    state.disk.store = argosy_core::store::MemoryStore::default();
                }
                self.oracle.store_replaced(agent);
            }
            Fault::CopyAgent { agent } => {
                if let Some(state) = self.agents.get_mut(agent) {
                    state.copy = Some(state.disk.store.clone());
                }
            }
            Fault::RollBack { agent } => {
                let copy = self.agents.get_mut(agent).and_then(|state| state.copy.take());
                let Some(copy) = copy else { return };
                self.crash_agent(agent, 1_000);
                if let Some(state) = self.agents.get_mut(agent) {
                    state.disk.store = copy;
                }
                self.oracle.store_replaced(agent);
            }
            Fault::CrashHub => {
                self.hub.crash_in = Some(u32::try_from(self.random.under(30)).unwrap_or_default());
            }
            Fault::CopyHub => self.hub.copies.push(self.hub.store.clone()),
            Fault::RestoreHub { git } => self.restore_hub(git),
            Fault::ApiDown { cluster } => {
                let until = self.now + self.random.between(1_000, 40_000);
                if let Some(cluster) = self.clusters.get_mut(cluster) {
                    cluster.down_until = until;
                }
                self.break_watches(cluster);
            }
            Fault::BreakWatches { agent } => self.break_watches(agent),
            Fault::GitAway { repository } => {
                let until = self.now + self.random.between(5_000, 60_000);
                if let Some(away) = self.git.away_until.get_mut(repository) {
                    *away = until;
                }
            }
        }
    }

    fn restore_hub(&mut self, git: bool) {
        let Some(copy) = self.random.pick(&self.hub.copies) else { return };
        self.crash_hub(2_000);
        self.hub.store = copy;
        self.oracle.hub_restored();
        if !git {
            let until = self.now + self.random.between(20_000, 60_000);
            for away in &mut self.git.away_until {
                *away = until;
            }
        }
    }

    /// Somebody else writes to a cluster.
    pub(super) fn meddle(&mut self, cluster: usize) {
        if self.quiet {
            return;
        }
        let next = self.now + self.random.between(500, 20_000);
        self.queue.at(next, Event::Foreign { cluster });
        let Some(state) = self.clusters.get_mut(cluster) else { return };
        let keys: Vec<_> = state
            .objects
            .keys()
            .filter(|key| !key.is_namespace() && (!key.is_crd() || self.random.percent(10)))
            .cloned()
            .collect();
        if self.random.percent(10) {
            let name = self.random.pick(&["a", "b", "c", "d", "a-0", "b-1"]).unwrap_or_default();
            let namespace = self.random.pick(&["shop", "mesh"]).unwrap_or_default();
            let key = super::objects::config_map(namespace, name);
            let homed = state.objects.contains_key(&super::objects::namespace(namespace));
            if homed && !state.objects.contains_key(&key) {
                state.put(&key, "kubectl");
                state.meddled.insert(key.clone());
                if self.random.percent(30) {
                    state.meddle(&key, Meddling::Claim);
                }
                self.note(&format!("somebody makes {key} in {cluster}"));
            }
        } else if let (Some(key), Some(how)) = (self.random.pick(&keys), self.random.pick(&Meddling::ALL)) {
            state.meddle(&key, how);
            self.note(&format!("somebody does {how:?} to {key} in {cluster}"));
        }
        self.spread(cluster);
    }
}
