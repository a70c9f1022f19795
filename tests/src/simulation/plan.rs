//! What a run is made of: drawn from its seed, and narrowed by hand to find the least that breaks a rule.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::broken::Broken;
use super::guard::Guard;
use super::random::Random;

/// Begins the stream of what is drawn of local policies.
const POLICIES: u64 = 0x706f_6c69_6369_6573;

/// Begins the stream of what is drawn of parts.
const PARTS: u64 = 0x7061_7274_7321;

/// Begins the stream of what is drawn of apps that bring others.
const GROVES: u64 = 0x6772_6f76_6573;

/// A kind of trouble. Every run has some of them, so that none hides another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Links are cut, and cannot be opened for a while.
    Links,
    /// Links carry nothing in one direction.
    OneWay,
    /// Bulk crawls.
    SlowLinks,
    /// Agents die between two effects, and reboot.
    AgentCrashes,
    /// The hub dies between two effects.
    HubCrashes,
    /// A transaction tears the store that it goes to: the store is set aside.
    TornWrites,
    /// A disk is full for a while.
    FullDisks,
    /// An agent's store is lost.
    StoreLosses,
    /// An agent's store is put back to a copy.
    RollBacks,
    /// The hub's store is put back to a copy.
    HubRestores,
    /// The hub's store is lost.
    HubLosses,
    /// Clocks jump by years.
    Clocks,
    /// One side runs a newer version for a while, which says more than the other knows.
    Upgrades,
    /// A cluster's API server is away.
    ApiOutages,
    /// Requests fail, are lost, or land late.
    ApiErrors,
    /// Requests take long.
    ApiSlowness,
    /// Requests are told to come back later.
    Throttling,
    /// A webhook says no to everything.
    Denials,
    /// A webhook changes what is applied.
    Mutations,
    /// Watches break.
    BrokenWatches,
    /// Watches say nothing until they break.
    HungWatches,
    /// Watches tell of the past.
    StaleEvents,
    /// A definition is replaced, with all objects of its kind.
    Definitions,
    /// Other writers meddle.
    Foreign,
    /// Commits break things.
    Commits,
    /// Repositories are away.
    GitOutages,
    /// A second process runs beside an agent's, with a copy of its disk.
    Twins,
    /// Somebody at the edge pauses all writes, and lets them go on later.
    Pauses,
    /// People carry desired state and receipts by file.
    Couriers,
    /// Agents have policies of their own.
    Policies,
    /// Most apps are brought by an app of apps, which is not read at once when the hub starts.
    Groves,
    /// Apps state parts of objects that others have, or nobody does.
    Parts,
}

impl Trouble {
    /// All of them with the name and how many runs of a hundred have it.
    const ALL: [(Self, &'static str, u64); 32] = [
        (Self::Links, "links", 50),
        (Self::OneWay, "one-way", 25),
        (Self::SlowLinks, "slow-links", 25),
        (Self::AgentCrashes, "agent-crashes", 50),
        (Self::HubCrashes, "hub-crashes", 40),
        (Self::TornWrites, "torn-writes", 15),
        (Self::FullDisks, "full-disks", 15),
        (Self::StoreLosses, "store-losses", 15),
        (Self::RollBacks, "roll-backs", 20),
        (Self::HubRestores, "hub-restores", 20),
        (Self::HubLosses, "hub-losses", 6),
        (Self::Clocks, "clocks", 25),
        (Self::Upgrades, "upgrades", 20),
        (Self::ApiOutages, "api-outages", 30),
        (Self::ApiErrors, "api-errors", 40),
        (Self::ApiSlowness, "api-slowness", 20),
        (Self::Throttling, "throttling", 15),
        (Self::Denials, "denials", 15),
        (Self::Mutations, "mutations", 15),
        (Self::BrokenWatches, "broken-watches", 40),
        (Self::HungWatches, "hung-watches", 20),
        (Self::StaleEvents, "stale-events", 20),
        (Self::Definitions, "definitions", 15),
        (Self::Foreign, "foreign", 50),
        (Self::Commits, "commits", 60),
        (Self::GitOutages, "git-outages", 30),
        (Self::Twins, "twins", 15),
        (Self::Pauses, "pauses", 20),
        (Self::Couriers, "couriers", 20),
        (Self::Policies, "policies", 20),
        (Self::Groves, "groves", 30),
        (Self::Parts, "parts", 25),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(of, _, _)| *of == self).map_or("", |(_, name, _)| name)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Trouble {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|(_, name, _)| name).join(", ");
        let found = Self::ALL.iter().find(|(_, name, _)| *name == text);
        found.map(|(of, _, _)| *of).ok_or_else(|| format!("no such trouble: {text} (there are: {})", names()))
    }
}

/// What a run is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Troubles that it must not have.
    pub without: BTreeSet<Trouble>,
    /// At most so many agents.
    pub agents: usize,
    /// At most so many apps.
    pub apps: usize,
    /// How long troubles go on, in milliseconds.
    pub storm_ms: u64,
    /// What is wrong on purpose.
    pub broken: Option<Broken>,
}

impl Settings {
    /// How long troubles go on.
    pub const STORM_MS: u64 = 120_000;

    /// Gives a run with everything that its seed draws.
    pub fn new(seed: u64) -> Self {
        let (without, agents, apps) = (BTreeSet::new(), usize::MAX, usize::MAX);
        Self { seed, without, agents, apps, storm_ms: Self::STORM_MS, broken: None }
    }
}

impl fmt::Display for Settings {
    /// Writes the arguments that repeat the run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--seed {}", self.seed)?;
        if !self.without.is_empty() {
            let names: Vec<&str> = self.without.iter().map(|trouble| trouble.name()).collect();
            write!(f, " --without {}", names.join(","))?;
        }
        if self.agents != usize::MAX {
            write!(f, " --agents {}", self.agents)?;
        }
        if self.apps != usize::MAX {
            write!(f, " --apps {}", self.apps)?;
        }
        if self.storm_ms != Self::STORM_MS {
            write!(f, " --storm {}", self.storm_ms)?;
        }
        if let Some(broken) = self.broken {
            write!(f, " --broken {broken}")?;
        }
        Ok(())
    }
}

/// What a run has.
#[derive(Debug, Clone, Default)]
pub(super) struct Plan {
    troubles: BTreeSet<Trouble>,
    pub(super) agents: usize,
    pub(super) apps: u64,
    /// The operator confirms held deletes.
    pub(super) confirms: bool,
    /// The fleet is repaired before the quiet phase.
    pub(super) repairs: bool,
    /// The local policies of agents, by cluster; empty where none has one.
    pub(super) guards: Vec<Option<Guard>>,
    /// What is drawn of parts.
    parts: Option<Random>,
}

impl Plan {
    /// Draws a plan. What is left out by hand is drawn all the same, so that the rest stays as it is.
    pub(super) fn draw(random: &mut Random, settings: &Settings) -> Self {
        let calm = random.percent(5);
        let mut troubles = BTreeSet::new();
        // Drawn apart: what else a seed means does not depend on it.
        let mut apart = Random::new(settings.seed ^ POLICIES);
        let mut parts = Random::new(settings.seed ^ PARTS);
        for (trouble, _, of_hundred) in Trouble::ALL {
            let drawn = if trouble == Trouble::Policies {
                apart.percent(of_hundred)
            } else if trouble == Trouble::Parts {
                parts.percent(of_hundred)
            } else if trouble == Trouble::Groves {
                // A document that cannot be read is no part of what an app brings, so commits break none here.
                let breaks = troubles.contains(&Trouble::Commits);
                Random::new(settings.seed ^ GROVES).percent(of_hundred) && !breaks
            } else {
                random.percent(of_hundred)
            };
            if drawn && !calm && !settings.without.contains(&trouble) {
                troubles.insert(trouble);
            }
        }
        let agents = match random.under(100) {
            0..=84 => 3,
            85..=97 => random.index(3) + 4,
            _ => random.index(14) + 7,
        };
        let apps = random.between(1, 5).max(agents as u64);
        let guards = Guard::draw(&mut apart, agents);
        let guarded = troubles.contains(&Trouble::Policies);
        let most = u64::try_from(settings.apps).unwrap_or(u64::MAX);
        Self {
            troubles,
            agents: agents.min(settings.agents).max(1),
            apps: apps.min(most).max(1),
            confirms: random.percent(50),
            repairs: random.percent(60),
            guards: if guarded { guards } else { Vec::new() },
            parts: Some(parts),
        }
    }

    /// Makes a plan without any trouble.
    pub(super) fn quiet(agents: usize) -> Self {
        Self { agents, ..Self::default() }
    }

    /// Tells whether the run has a trouble.
    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    /// Gives what is drawn of parts, where apps state some.
    pub(super) fn parts(&self) -> Option<Random> {
        self.parts.clone().filter(|_| self.has(Trouble::Parts))
    }

    /// Gives the troubles of the run.
    pub(super) fn troubles(&self) -> &BTreeSet<Trouble> {
        &self.troubles
    }
}
