//! The world of a run: everything in it, and the loop that skips from event to event.

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::ids::{AppId, BootId, CommandId, Digest};
use argosy_core::key::GroupKind;
use argosy_core::policy::Retry;
use argosy_core::selection::{Selector, SyncOptions};
use argosy_core::session::frame::{Command, CommandKind};
use argosy_core::status::{OperationPhase, OperationStatus, SyncStatus};
use argosy_core::time::{Entropy as _, MonoTime, Now, WallTime};

use super::agent::Agent;
use super::broken::Broken;
use super::cluster::Cluster;
use super::git::{Git, REPOSITORIES};
use super::hub::Hub;
use super::network::Network;
use super::objects;
use super::oracle::Oracle;
use super::plan::{Plan, Settings, Trouble};
use super::random::Chances;
use super::schedule::{Event, Schedule};
use super::trace::{Trace, Tracing};

/// How long the quiet phase may take until everything has converged.
const CONVERGE_MS: u64 = 3_600_000;
/// How long everything must rest then.
const REST_MS: u64 = 120_000;
/// How often the quiet phase is looked at.
const LOOK_MS: u64 = 2_000;
/// How soon it is looked at closely again after something was missing: that costs as much as some seconds of the run.
const LOOK_AGAIN_MS: u64 = 10_000;
/// How often a sync that failed is tried again in the quiet phase.
const SYNCS: u32 = 5;

/// A run.
pub(super) struct World {
    pub(super) now: u64,
    pub(super) chance: Chances,
    trace: Trace,
    pub(super) queue: Schedule,
    pub(super) git: Git,
    pub(super) hub: Hub,
    pub(super) agents: Vec<Agent>,
    pub(super) clusters: Vec<Cluster>,
    pub(super) network: Network,
    pub(super) oracle: Oracle,
    pub(super) plan: Plan,
    storm_ms: u64,
    /// What is wrong on purpose.
    pub(super) broken: Option<Broken>,
    /// The last status that each agent told of each app.
    pub(super) told: BTreeMap<(usize, AppId), Option<Vec<u8>>>,
    /// Plans that were confirmed for nobody.
    pub(super) waved_through: BTreeSet<(usize, (AppId, Digest))>,
    /// Faults have stopped.
    pub(super) quiet: bool,
    /// How often the operator synced a failed app in the quiet phase.
    syncs: BTreeMap<(usize, AppId), u32>,
}

/// Makes a point in time of one boot.
pub(super) fn now_of(boot: BootId, elapsed_ms: u64, global: u64, clock_off: i64) -> Now {
    let wall = WallTime(1_700_000_000_000 + clock_off + i64::try_from(global).unwrap_or_default());
    Now { mono: MonoTime { boot, elapsed_ms }, wall }
}

impl World {
    pub(super) fn new(settings: &Settings, tracing: Tracing) -> Self {
        let mut chance = Chances::new(settings.seed);
        let plan = Plan::draw(&mut chance.plan, settings);
        let mut git = Git::new(&mut chance.commits, plan.apps, plan.agents);
        if let Some(parts) = plan.parts() {
            git.state_parts(parts);
        }
        let rate = plan.has(Trouble::SlowLinks).then(|| chance.plan.between(2_000, 20_000));
        let network = Network::new(plan.agents, rate);
        let mut world = Self::scripted(chance, plan, git, network, tracing);
        let troubles: Vec<String> = world.plan.troubles().iter().map(ToString::to_string).collect();
        note!(world, "{settings}: {} agents, {}", world.plan.agents, troubles.join(" "));
        if world.plan.has(Trouble::Foreign) {
            for cluster in 0..world.plan.agents {
                world.queue.at(3_000, Event::Foreign { cluster });
            }
        }
        for (at, fault) in world.plan.faults(&mut world.chance.plan, settings.storm_ms) {
            world.queue.at(at, Event::Fault(fault));
        }
        world.queue.at(8_000, Event::Commit);
        world.queue.at(20_000, Event::Operator);
        world.storm_ms = settings.storm_ms;
        world.broken = settings.broken;
        world.oracle.guards.clone_from(&world.plan.guards);
        for agent in &mut world.agents {
            agent.takes_wall_for_steady = settings.broken == Some(Broken::WallClock);
        }
        world
    }

    /// Makes a world that starts up by itself, in which nothing goes wrong and nobody does anything unasked.
    pub(super) fn scripted(
        mut chance: Chances,
        plan: Plan,
        git: Git,
        network: Network,
        tracing: Tracing,
    ) -> Self {
        let agents = plan.agents;
        let clusters = (0..agents).map(|number| Cluster::new(number, &mut chance.api.fork())).collect();
        let mut world = Self {
            now: 0,
            trace: Trace::new(tracing),
            queue: Schedule::default(),
            git,
            hub: Hub::new(),
            agents: (0..agents).map(Agent::new).collect(),
            clusters,
            network,
            oracle: Oracle::new(agents),
            plan,
            storm_ms: 0,
            broken: None,
            told: BTreeMap::new(),
            waved_through: BTreeSet::new(),
            quiet: false,
            syncs: BTreeMap::new(),
            chance,
        };
        world.oracle.committed(&world.git);
        world.queue.at(0, Event::HubStart);
        for agent in 0..agents {
            world.queue.at(10, Event::AgentStart { agent });
        }
        world
    }

    /// Tells whether anybody reads the trace.
    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_on()
    }

    /// Adds a line to the trace; `note!` makes it only if somebody reads it.
    pub(super) fn note(&mut self, line: &str) {
        self.trace.note(self.now, line);
    }

    /// Runs to the end, or to the first broken rule.
    pub(super) fn run(&mut self) {
        self.until(self.storm_ms);
        if self.oracle.violation().is_some() {
            return;
        }
        self.settle();
    }

    /// Ends all faults and waits until everything is as Git says and rests.
    pub(super) fn settle(&mut self) {
        self.calm();
        self.converge();
    }

    pub(super) fn finish(self) -> (String, Vec<String>) {
        self.trace.finish()
    }

    /// Runs to a point in time.
    pub(super) fn until(&mut self, time: u64) {
        while self.oracle.violation().is_none() {
            let Some((at, event)) = self.queue.pop(time) else { break };
            self.now = self.now.max(at);
            self.happens(event);
        }
        self.now = self.now.max(time);
    }

    /// Ends all faults.
    fn calm(&mut self) {
        self.quiet = true;
        if self.plan.repairs {
            self.git.repair();
            self.oracle.committed(&self.git);
        }
        note!(self, "quiet");
        self.git.away_until = [0; REPOSITORIES];
        self.network.away_until = vec![0; self.plan.agents];
        self.hub.crash_in = None;
        self.hub.full_until = 0;
        self.hub.newer = false;
        for cluster in &mut self.clusters {
            cluster.down_until = 0;
            cluster.spells.clear();
        }
        for twin in self.plan.agents..self.agents.len() {
            self.end_twin(twin);
        }
        for agent in &mut self.agents {
            agent.crash_in = None;
            agent.tears = false;
            agent.full_until = 0;
            agent.newer = false;
        }
        for agent in 0..self.plan.agents {
            self.resume(agent);
        }
    }

    /// Waits until everything is as Git says, and then for it to rest.
    fn converge(&mut self) {
        let end = self.now + CONVERGE_MS;
        let mut before = None;
        let mut rested_since = None;
        let mut look_at = 0;
        while self.now < end {
            self.until(self.now + LOOK_MS);
            if self.oracle.violation().is_some() {
                return;
            }
            let counts = Some((self.oracle.writes, self.oracle.frames));
            if counts != before {
                (before, rested_since) = (counts, None);
                continue;
            }
            match rested_since {
                Some(since) if self.now < since + REST_MS => {}
                // Both when the rest begins and when it ends: nothing may be only said, or only for a moment.
                None if self.now < look_at => {}
                since if self.is_met() => match since {
                    Some(_) => return,
                    None => rested_since = Some(self.now),
                },
                _ => {
                    rested_since = None;
                    look_at = self.now + LOOK_AGAIN_MS;
                }
            }
        }
        let unmet = self.unmet();
        let what = if unmet.is_empty() { "it never rests".to_owned() } else { unmet.join("; ") };
        self.oracle.violate("I8", what);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::AgentStart { agent } => self.start_agent(agent),
            Event::AgentTick { agent, life } => self.agent_ticks(agent, life),
            Event::Writer { agent, life } => self.contend(agent, life),
            Event::TwinEnds { agent } => self.end_twin(agent),
            Event::Discover { agent, life, again } => self.discover(agent, life, again),
            Event::HubStart => self.start_hub(),
            Event::HubTick { life } => self.hub_tick(life),
            Event::HubPoll { life } => self.hub_polls(life),
            Event::Dialled { agent, life, stream } => self.dialled(agent, life, stream),
            Event::ToAgent { stream, what } => self.at_agent(stream, what),
            Event::ToHub { stream, what } => self.at_hub(stream, what),
            Event::Api { agent, life, id, request, what } => self.api((agent, life, id), &request, what),
            Event::Answer { agent, life, id, answer } => self.answered(agent, life, id, answer),
            Event::List { agent, life, watched, number } => self.list(agent, life, watched, number),
            Event::Watch { agent, life, watched, number, event } => {
                self.watched(agent, life, watched, number, event);
            }
            Event::ControlPlane { cluster } => {
                if let Some(state) = self.clusters.get_mut(cluster) {
                    state.tick(self.now);
                }
                self.spread(cluster);
            }
            Event::Later { cluster, what } => {
                if let Some(state) = self.clusters.get_mut(cluster) {
                    state.carry_out(what, self.now);
                }
                self.spread(cluster);
            }
            Event::BreakWatches { agent } => self.break_watches(agent),
            Event::Commit => self.commit(),
            Event::Operator => self.operate(),
            Event::Resume { agent } => self.resume(agent),
            Event::File { agent, file } => self.file_arrives(agent, &file),
            Event::Foreign { cluster } => self.meddle(cluster),
            Event::Fault(fault) => self.fault(fault),
        }
    }

    fn commit(&mut self) {
        if self.quiet {
            return;
        }
        let what =
            self.git.commit(&mut self.chance.commits, self.plan.agents, self.plan.has(Trouble::Commits));
        self.oracle.committed(&self.git);
        note!(self, "{what}");
        let next = self.now + self.chance.commits.between(1_000, 25_000);
        self.queue.at(next, Event::Commit);
    }

    /// What a person does now and then: reconciles, syncs, confirms.
    fn operate(&mut self) {
        let next = self.now + self.chance.people.between(5_000, 30_000);
        self.queue.at(next, Event::Operator);
        for agent in 0..self.plan.agents {
            let unknown = self.hub.process.as_ref().and_then(|process| process.links.get(agent));
            if unknown.is_some_and(|link| link.unknown_chain().is_some()) {
                self.reconcile(agent);
            }
        }
        let loss = self.hub.process.as_ref().and_then(|process| process.decision.mass_loss.clone());
        if let (Some(loss), Some(process)) = (loss, &mut self.hub.process) {
            process.confirmed_loss = Some(loss.plan);
            self.decide();
        }
        for agent in 0..self.plan.agents {
            let apps = self.hub.process.as_ref().map(|process| process.reported(agent)).unwrap_or_default();
            if self.quiet {
                for app in &apps {
                    let status = self.hub.process.as_ref().and_then(|process| process.status(agent, app));
                    let failed = status.is_some_and(|status| {
                        let ended = |operation: OperationStatus| operation.phase != OperationPhase::Running;
                        let left = status.conditions.iter().any(|said| said.kind == "RolledBackWarning");
                        (status.sync == SyncStatus::OutOfSync || left) && status.operation.is_some_and(ended)
                    });
                    let tries = self.syncs.entry((agent, app.clone())).or_default();
                    if failed && *tries < SYNCS {
                        *tries += 1;
                        let sync = CommandKind::Sync { app: app.clone(), expect: None, prune: false };
                        self.order(agent, sync);
                    }
                }
                continue;
            }
            let Some(app) = self.chance.people.pick(&apps) else { continue };
            match self.chance.people.under(7) {
                0 => {
                    let prune = self.chance.people.percent(30);
                    if prune {
                        self.oracle.asked.insert((agent, app.clone()));
                    }
                    let options = self.sync_options();
                    self.order(agent, CommandKind::SyncWith { app, expect: None, prune, options });
                }
                1 => self.order(agent, CommandKind::Refresh { app }),
                2 => self.order(agent, CommandKind::Diff { app }),
                3 => self.roll_back(agent, app),
                _ if self.plan.confirms => self.confirm(agent, &app),
                _ => {}
            }
        }
    }

    /// Gives how a person syncs: mostly all of an app, now and then the objects of one kind, or as a rehearsal.
    fn sync_options(&mut self) -> SyncOptions {
        let mut options = SyncOptions::default();
        if self.chance.people.percent(25) {
            let kinds: Vec<GroupKind> = objects::group_kinds().collect();
            let picked = self.chance.people.pick(&kinds);
            options.resources.extend(picked.map(|GroupKind { group, kind }| Selector {
                group: group.to_string(),
                kind: kind.to_string(),
                namespace: String::new(),
                name: "*".to_owned(),
                exclude: false,
            }));
        }
        options.dry_run = self.chance.people.percent(10);
        let delay_ms = 500 + self.chance.people.under(4_000);
        let refresh = self.chance.people.percent(50);
        let retry = Retry { limit: 2, delay_ms, refresh, ..Retry::default() };
        options.retry = self.chance.people.percent(25).then_some(retry);
        options
    }

    fn order(&mut self, agent: usize, kind: CommandKind) {
        let id = CommandId::new(self.chance.people.bytes16());
        self.command(agent, Command { id, kind, deadline_ms: 60_000 });
    }

    /// Goes back to an older release, at the hub or at the edge: objects may be what they were at an older commit from now on.
    fn roll_back(&mut self, agent: usize, app: AppId) {
        let seat = self.oracle.seat(agent);
        self.oracle.rolled_back.insert((seat, app.clone()));
        if self.chance.people.percent(50) {
            note!(self, "somebody rolls {app} back at the edge of {agent}");
            self.agent_takes(agent, argosy_core::agent::Input::Rollback { app, id: None });
        } else {
            self.order(agent, CommandKind::Rollback { app, id: None, prune: false });
        }
    }

    /// Confirms what is held, at the hub or at the edge.
    fn confirm(&mut self, agent: usize, app: &AppId) {
        let edge = self.chance.people.percent(30);
        let held = if edge {
            let process = self.agents.get(agent).and_then(|state| state.process.as_ref());
            process
                .and_then(|process| process.machine.reconciler().statuses().get(app))
                .and_then(|status| status.held.clone())
        } else {
            self.held_at_hub(agent, app)
        };
        let Some(held) = held else { return };
        for delete in &held.deletes {
            self.oracle.confirmed.insert((agent, delete.key.clone(), delete.uid.clone()));
        }
        let (app, plan) = (app.clone(), held.plan);
        if edge {
            note!(self, "operator confirms {app} at the edge of {agent}");
            self.agent_takes(agent, argosy_core::agent::Input::Confirm { app, plan });
        } else {
            self.order(agent, CommandKind::Confirm { app, plan });
        }
    }
}
