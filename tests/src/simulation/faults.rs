//! What goes wrong at a point of a run, and when.

use argosy_core::store::MemoryStore;

use super::cluster::Spell;
use super::git::REPOSITORIES;
use super::plan::{Plan, Trouble};
use super::random::Random;
use super::schedule::Event;
use super::world::World;

/// A year, in milliseconds.
const YEAR_MS: i64 = 365 * 24 * 3_600_000;

/// A fault that happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Link { agent: usize, what: LinkFault },
    Agent { agent: usize, what: AgentFault },
    Hub(HubFault),
    Api { cluster: usize, what: ApiFault },
    GitAway { repository: usize },
}

/// A fault of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkFault {
    Cut,
    ToAgent,
    ToHub,
    Partition,
}

/// A fault of an agent's process, disk or clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AgentFault {
    Crash,
    Reboot,
    Tear,
    Fill,
    Lose,
    Copy,
    RollBack,
    Clock,
    /// To the newer version, or back.
    Upgrade,
    /// A second process beside it, on a copy of its disk.
    Twin,
    /// Somebody at the edge pauses all writes.
    Pause,
    /// Somebody carries a bundle to it, and receipts back.
    Bundle,
}

/// A fault of the hub's process, disk or clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HubFault {
    Crash,
    Copy,
    Restore { git: bool },
    Lose,
    Fill,
    Clock,
    Upgrade,
}

/// A fault of a cluster's API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiFault {
    Down,
    Spell(Spell),
    BreakWatches,
    HangWatches,
    StaleWatches,
    ReplaceDefinition,
}

/// Draws one fault of a kind.
type Draw = fn(&mut Random, usize) -> Fault;

/// Gives the faults of each trouble: how many a run has at most, and how one is drawn.
const FAULTS: &[(Trouble, u64, Draw)] = &[
    (Trouble::Links, 6, |random, agents| link(random, agents, LinkFault::Cut)),
    (Trouble::Links, 2, |random, agents| link(random, agents, LinkFault::Partition)),
    (Trouble::OneWay, 3, |random, agents| link(random, agents, LinkFault::ToAgent)),
    (Trouble::OneWay, 3, |random, agents| link(random, agents, LinkFault::ToHub)),
    (Trouble::AgentCrashes, 6, |random, agents| agent(random, agents, AgentFault::Crash)),
    (Trouble::AgentCrashes, 1, |random, agents| agent(random, agents, AgentFault::Reboot)),
    (Trouble::TornWrites, 3, |random, agents| agent(random, agents, AgentFault::Tear)),
    (Trouble::FullDisks, 2, |random, agents| agent(random, agents, AgentFault::Fill)),
    (Trouble::FullDisks, 1, |_, _| Fault::Hub(HubFault::Fill)),
    (Trouble::StoreLosses, 2, |random, agents| agent(random, agents, AgentFault::Lose)),
    (Trouble::RollBacks, 4, |random, agents| agent(random, agents, AgentFault::Copy)),
    (Trouble::RollBacks, 2, |random, agents| agent(random, agents, AgentFault::RollBack)),
    (Trouble::HubCrashes, 5, |_, _| Fault::Hub(HubFault::Crash)),
    (Trouble::HubRestores, 3, |_, _| Fault::Hub(HubFault::Copy)),
    (Trouble::HubRestores, 2, |random, _| Fault::Hub(HubFault::Restore { git: random.percent(50) })),
    (Trouble::HubLosses, 1, |_, _| Fault::Hub(HubFault::Lose)),
    (Trouble::Clocks, 2, |random, agents| agent(random, agents, AgentFault::Clock)),
    (Trouble::Clocks, 1, |_, _| Fault::Hub(HubFault::Clock)),
    (Trouble::Upgrades, 2, |random, agents| agent(random, agents, AgentFault::Upgrade)),
    (Trouble::Upgrades, 2, |_, _| Fault::Hub(HubFault::Upgrade)),
    (Trouble::Twins, 2, |random, agents| agent(random, agents, AgentFault::Twin)),
    (Trouble::Pauses, 3, |random, agents| agent(random, agents, AgentFault::Pause)),
    (Trouble::Couriers, 4, |random, agents| agent(random, agents, AgentFault::Bundle)),
    (Trouble::ApiOutages, 2, |random, agents| api(random, agents, ApiFault::Down)),
    (Trouble::ApiSlowness, 2, |random, agents| api(random, agents, ApiFault::Spell(Spell::Slow))),
    (Trouble::Throttling, 2, |random, agents| api(random, agents, ApiFault::Spell(Spell::Throttled))),
    (Trouble::Denials, 2, |random, agents| api(random, agents, ApiFault::Spell(Spell::Denied))),
    (Trouble::Mutations, 2, |random, agents| api(random, agents, ApiFault::Spell(Spell::Mutated))),
    (Trouble::BrokenWatches, 3, |random, agents| api(random, agents, ApiFault::BreakWatches)),
    (Trouble::HungWatches, 2, |random, agents| api(random, agents, ApiFault::HangWatches)),
    (Trouble::StaleEvents, 2, |random, agents| api(random, agents, ApiFault::StaleWatches)),
    (Trouble::Definitions, 2, |random, agents| api(random, agents, ApiFault::ReplaceDefinition)),
    (Trouble::GitOutages, 3, |random, _| Fault::GitAway { repository: random.index(REPOSITORIES) }),
];

fn link(random: &mut Random, agents: usize, what: LinkFault) -> Fault {
    Fault::Link { agent: random.index(agents), what }
}

fn agent(random: &mut Random, agents: usize, what: AgentFault) -> Fault {
    Fault::Agent { agent: random.index(agents), what }
}

fn api(random: &mut Random, agents: usize, what: ApiFault) -> Fault {
    Fault::Api { cluster: random.index(agents), what }
}

impl Plan {
    /// Gives the faults of a run. Each trouble has randomness of its own: without one the others stay as they are.
    pub(super) fn faults(&self, random: &mut Random, length: u64) -> Vec<(u64, Fault)> {
        let mut faults = Vec::new();
        for (trouble, most, draw) in FAULTS {
            let mut random = random.fork();
            for _ in 0..if self.has(*trouble) { random.between(1, *most) } else { 0 } {
                let at = random.between(2_000, length);
                faults.push((at, draw(&mut random, self.agents)));
            }
        }
        faults
    }
}

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.quiet {
            return;
        }
        note!(self, "fault: {fault:?}");
        match fault {
            Fault::Link { agent, what } => self.link_fault(agent, what),
            Fault::Agent { agent, what } => self.agent_fault(agent, what),
            Fault::Hub(what) => self.hub_fault(what),
            Fault::Api { cluster, what } => self.api_fault(cluster, what),
            Fault::GitAway { repository } => {
                let until = self.now + self.chance.faults.between(5_000, 60_000);
                if let Some(away) = self.git.away_until.get_mut(repository) {
                    *away = until;
                }
            }
        }
    }

    fn link_fault(&mut self, agent: usize, what: LinkFault) {
        if what != LinkFault::Cut
            && let Some(away) = self.network.away_until.get_mut(agent)
        {
            *away = self.now + self.chance.faults.between(5_000, 90_000);
        }
        self.cut(agent, what != LinkFault::ToHub, what != LinkFault::ToAgent);
    }

    fn api_fault(&mut self, cluster: usize, what: ApiFault) {
        let Some(state) = self.clusters.get_mut(cluster) else { return };
        match what {
            ApiFault::Down => {
                state.down_until = self.now + self.chance.faults.between(1_000, 40_000);
                self.break_watches(cluster);
            }
            ApiFault::Spell(spell) => {
                let until = self.now + self.chance.faults.between(5_000, 60_000);
                state.spells.insert(spell, until);
            }
            ApiFault::BreakWatches => self.break_watches(cluster),
            ApiFault::HangWatches => self.hang_watches(cluster),
            ApiFault::StaleWatches => self.stale_watches(cluster),
            ApiFault::ReplaceDefinition => {
                state.replace_definition(self.now);
                self.spread(cluster);
            }
        }
    }

    fn hub_fault(&mut self, what: HubFault) {
        match what {
            HubFault::Crash => {
                self.hub.crash_in = Some(u32::try_from(self.chance.faults.under(30)).unwrap_or_default());
            }
            HubFault::Copy => self.hub.copies.push(self.hub.store.clone()),
            HubFault::Restore { git } => {
                let Some(copy) = self.chance.faults.pick(&self.hub.copies) else { return };
                self.put_hub_back(copy, git);
            }
            HubFault::Lose => self.put_hub_back(MemoryStore::default(), true),
            HubFault::Fill => self.hub.full_until = self.now + self.chance.faults.between(2_000, 30_000),
            HubFault::Clock => self.hub.clock_off = jump(&mut self.chance.faults),
            HubFault::Upgrade => {
                // The other version starts where this one ended.
                self.hub.newer = !self.hub.newer;
                self.crash_hub(1_000);
            }
        }
    }

    fn agent_fault(&mut self, agent: usize, what: AgentFault) {
        let (now, random) = (self.now, &mut self.chance.faults);
        let Some(state) = self.agents.get_mut(agent) else { return };
        match what {
            AgentFault::Crash => {
                state.crash_in = Some(u32::try_from(random.under(30)).unwrap_or_default());
            }
            AgentFault::Tear => state.tears = true,
            AgentFault::Fill => state.full_until = now + random.between(2_000, 40_000),
            AgentFault::Clock => state.clock_off = jump(random),
            AgentFault::Copy => state.copy = Some(state.disk.store.clone()),
            AgentFault::Reboot => {
                let back = random.between(1_000, 20_000);
                self.crash_agent(agent, back);
                if let Some(state) = self.agents.get_mut(agent) {
                    state.reboot(self.now);
                }
            }
            AgentFault::Upgrade => {
                state.newer = !state.newer;
                self.crash_agent(agent, 1_000);
            }
            AgentFault::Twin => self.start_twin(agent),
            AgentFault::Pause => self.pause(agent),
            AgentFault::Bundle => self.send_bundle(agent),
            AgentFault::Lose => self.replace_store(agent, MemoryStore::default()),
            AgentFault::RollBack => {
                let Some(copy) = state.copy.take() else { return };
                self.replace_store(agent, copy);
            }
        }
    }

    /// Puts another store where an agent's was.
    pub(super) fn replace_store(&mut self, agent: usize, store: MemoryStore) {
        self.crash_agent(agent, 1_000);
        if let Some(state) = self.agents.get_mut(agent) {
            state.disk.store = store;
        }
        self.oracle.store_replaced(agent);
    }

    fn put_hub_back(&mut self, store: MemoryStore, git: bool) {
        self.crash_hub(2_000);
        self.hub.store = store;
        self.oracle.hub_restored();
        if !git {
            let until = self.now + self.chance.faults.between(20_000, 60_000);
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
        let random = &mut self.chance.foreign;
        let next = self.now + random.between(500, 20_000);
        self.queue.at(next, Event::Foreign { cluster });
        let Some(state) = self.clusters.get_mut(cluster) else { return };
        let said = state.meddle_somewhere(random, self.now);
        if let Some(said) = said {
            note!(self, "somebody {said} in {cluster}");
        }
        self.spread(cluster);
    }
}

/// Draws how far a clock is off: up to ten years, or not at all any more.
fn jump(random: &mut Random) -> i64 {
    let years = i64::try_from(random.under(21)).unwrap_or_default() - 10;
    years * YEAR_MS
}
