//! The shell of a simulated agent: a disk, a process that dies between any two effects, watches, requests.

mod api;
mod effects;
mod pause;
mod watches;

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::agent::{AgentMachine, Context, Effects, Given, Input};
use argosy_core::cluster::{Request, WatchSet, Watched};
use argosy_core::desired::Anchor;
use argosy_core::ids::BootId;
use argosy_core::local::LocalPolicy;
use argosy_core::pause::PauseOrder;
use argosy_core::session::agent::AgentIdentity;
use argosy_core::session::frame::{AgentFrame, ClusterFacts};
use argosy_core::store::{MemoryStore, StoreError};
use argosy_core::time::{MonoTime, Now, WallTime};

use super::broken::{Broken, verifier};
use super::cluster::Feed;
use super::guard::Guard;
use super::keys::{Checked, INSTALLATION, Key, cluster_id};
use super::lease::Contest;
use super::objects;
use super::random::Random;
use super::schedule::{Event, ToAgent};
use super::world::{World, now_of};

/// So many turns within a second that lead to nothing are a busy loop.
const BUSY: u32 = 400;

/// What survives the process.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) store: MemoryStore,
    /// Beside the store.
    pub(super) anchor: Option<Anchor>,
    /// Beside the store: what somebody at the edge said last.
    pub(super) order: Option<PauseOrder>,
}

/// One agent.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a process and its machine")]
pub(super) struct Agent {
    pub(super) disk: Disk,
    /// An older copy of the store.
    pub(super) copy: Option<MemoryStore>,
    boot: [u8; 16],
    booted: u64,
    pub(super) process: Option<Process>,
    lives: u64,
    /// Which cluster it is for.
    pub(super) seat: usize,
    /// It never starts again.
    pub(super) is_over: bool,
    /// A crash before so many more effects.
    pub(super) crash_in: Option<u32>,
    /// The next transaction tears the store.
    pub(super) tears: bool,
    /// Until when nothing more goes onto its disk.
    pub(super) full_until: u64,
    /// How far its wall clock is off, in milliseconds.
    pub(super) clock_off: i64,
    /// It runs a newer version, which says more.
    pub(super) newer: bool,
    /// It is broken: its elapsed time comes from its wall clock.
    pub(super) takes_wall_for_steady: bool,
}

/// A running agent.
pub(super) struct Process {
    pub(super) life: u64,
    pub(super) machine: AgentMachine,
    stream: Option<u64>,
    entropy: Random,
    tick: Option<u64>,
    /// What is to be watched, with the generations of the watches.
    wanted: WatchSet,
    watches: BTreeMap<Watched, Watch>,
    idle: (u64, u32),
    pub(super) contest: Contest,
}

/// Receipts, with what is to be carried out before they leave.
type MadeReceipts = Result<(Effects, Vec<AgentFrame>), StoreError>;

/// One watch.
#[derive(Debug, Clone, Default)]
struct Watch {
    /// Tells what belongs to an earlier watch of the same.
    number: u64,
    /// Where it stands once its list was taken: what changes from then on is delivered.
    feed: Option<Feed>,
    /// It was said that it does not work.
    failed: bool,
    /// Delivers nothing more, and says nothing of it.
    hung: bool,
    last: u64,
}

impl Agent {
    pub(super) fn new(number: usize) -> Self {
        let mut boot = [3; 16];
        if let Some(first) = boot.first_mut() {
            *first = u8::try_from(number).unwrap_or_default();
        }
        let disk = Disk::default();
        Self {
            disk,
            copy: None,
            boot,
            booted: 0,
            process: None,
            lives: 0,
            seat: number,
            is_over: false,
            crash_in: None,
            tears: false,
            full_until: 0,
            clock_off: 0,
            newer: false,
            takes_wall_for_steady: false,
        }
    }

    /// Gives another one on a copy of its disk.
    pub(super) fn twin(&self) -> Self {
        Self { disk: self.disk.clone(), booted: self.booted, ..Self::new(self.seat) }
    }

    pub(super) fn is_alive(&self, life: u64) -> bool {
        self.process.as_ref().is_some_and(|process| process.life == life)
    }

    /// Asks the process for receipts; gives its life with them.
    pub(super) fn receipts(&mut self, facts: ClusterFacts, now: Now) -> Option<(u64, MadeReceipts)> {
        let process = self.process.as_mut()?;
        let mut context = Context {
            now,
            store: &self.disk.store,
            codec: &Checked,
            verifier: &Key,
            entropy: &mut process.entropy,
        };
        Some((process.life, process.machine.receipts(facts, &mut context)))
    }

    /// The machine starts again: elapsed times of before do not compare.
    pub(super) fn reboot(&mut self, now: u64) {
        if let Some(last) = self.boot.last_mut() {
            *last = last.wrapping_add(1);
        }
        self.booted = now;
    }

    pub(super) fn now(&self, now: u64) -> Now {
        let now =
            now_of(BootId::new(self.boot), now.saturating_sub(self.booted) + 1_000, now, self.clock_off);
        if !self.takes_wall_for_steady {
            return now;
        }
        let elapsed_ms = u64::try_from(now.wall.0 - 1_300_000_000_000).unwrap_or_default();
        Now { mono: MonoTime { elapsed_ms, ..now.mono }, ..now }
    }
}

impl World {
    pub(super) fn start_agent(&mut self, agent: usize) {
        let mut entropy = self.chance.shells.fork();
        let Some(state) =
            self.agents.get_mut(agent).filter(|state| state.process.is_none() && !state.is_over)
        else {
            return;
        };
        let now = state.now(self.now);
        let identity = AgentIdentity {
            cluster: cluster_id(state.seat),
            installation: INSTALLATION,
            anchor: state.disk.anchor.filter(|_| self.broken != Some(Broken::AnchorIgnored)),
        };
        let mut context = Context {
            now,
            store: &state.disk.store,
            codec: &Checked,
            verifier: verifier(self.broken),
            entropy: &mut entropy,
        };
        let guard = self.oracle.guard(agent).filter(|_| self.broken != Some(Broken::PolicyForgotten));
        let policy = match guard.map(Guard::policy).transpose() {
            Ok(policy) => policy,
            Err(error) => {
                self.oracle.violate("policy", format!("the policy of agent {agent} is none: {error}"));
                return;
            }
        };
        let loaded = AgentMachine::load_with(identity, Given { policy, ..Given::default() }, &mut context);
        state.lives += 1;
        let life = state.lives;
        let (machine, effects) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                self.oracle.violate("I7", format!("agent {agent} does not start: {error}"));
                return;
            }
        };
        let rolled_back = machine.link().is_rolled_back();
        state.process = Some(Process {
            life,
            machine,
            stream: None,
            entropy,
            tick: None,
            wanted: WatchSet::default(),
            watches: BTreeMap::new(),
            idle: (0, 0),
            contest: Contest::default(),
        });
        note!(self, "agent {agent} starts, life {life}{}", if rolled_back { ", rolled back" } else { "" });
        self.oracle.agent_started(agent);
        self.carry_agent(agent, effects);
        self.say_order_again(agent);
        let (discovery, lease) = (self.chance.shells.between(10, 500), self.chance.shells.between(20, 2_000));
        self.queue.at(self.now + discovery, Event::Discover { agent, life, again: true });
        self.queue.at(self.now + lease, Event::Writer { agent, life });
        self.agent_follows(agent);
    }

    /// Ends an agent's process.
    pub(super) fn crash_agent(&mut self, agent: usize, back_after: u64) {
        let Some(state) = self.agents.get_mut(agent) else { return };
        let Some(process) = state.process.take() else { return };
        state.crash_in = None;
        note!(self, "agent {agent} crashes");
        if let Some(stream) = process.stream {
            self.hang_up_at_agent(stream);
        }
        self.queue.at(self.now + back_after, Event::AgentStart { agent });
    }

    fn agent_dies(&mut self, agent: usize) -> bool {
        let Some(state) = self.agents.get_mut(agent) else { return true };
        match &mut state.crash_in {
            Some(0) => {
                let back = self.chance.shells.between(50, 15_000);
                self.crash_agent(agent, back);
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => state.process.is_none(),
        }
    }

    /// A full disk ends the process; a torn write costs the store, which is set aside at the next start.
    fn commit_fails(&mut self, agent: usize) -> bool {
        let Some(state) = self.agents.get_mut(agent) else { return true };
        if state.full_until > self.now {
            let back = self.chance.shells.between(1_000, 5_000);
            self.crash_agent(agent, back);
            return true;
        }
        let torn = std::mem::take(&mut state.tears);
        if torn {
            note!(self, "the store of agent {agent} is torn");
            self.replace_store(agent, MemoryStore::default());
        }
        torn
    }

    /// Hands one input to a machine and carries out what follows.
    pub(super) fn agent_takes(&mut self, agent: usize, input: Input) {
        let Some(input) = self.break_agents_input(agent, input) else { return };
        if !matches!(input, Input::Writer { .. }) {
            self.look_at_lease(agent);
        }
        let broken = self.broken;
        let Some(state) = self.agents.get_mut(agent) else { return };
        let now = state.now(self.now);
        let is_tick = matches!(input, Input::Tick);
        let Some(process) = &mut state.process else { return };
        let mut context = Context {
            now,
            store: &state.disk.store,
            codec: &Checked,
            verifier: verifier(broken),
            entropy: &mut process.entropy,
        };
        match process.machine.handle(input, &mut context) {
            Ok(effects) => {
                if is_tick && is_empty(&effects) {
                    let second = self.now / 1000;
                    process.idle =
                        if process.idle.0 == second { (second, process.idle.1 + 1) } else { (second, 1) };
                    if process.idle.1 > BUSY {
                        let due = process.machine.next_timer(now);
                        self.oracle.violate(
                            "I10",
                            format!("agent {agent} turns without end, due {due:?} at {now:?}"),
                        );
                        return;
                    }
                }
                self.carry_agent(agent, effects);
            }
            Err(error) => {
                self.oracle.violate("I7", format!("agent {agent} fails: {error}"));
                return;
            }
        }
        self.agent_follows(agent);
        self.confirm_for_nobody(agent);
    }

    /// Opens the watches that the machine wants and sets its timer.
    pub(super) fn agent_follows(&mut self, agent: usize) {
        let Some(state) = self.agents.get_mut(agent) else { return };
        let now = state.now(self.now);
        let Some(process) = &mut state.process else { return };
        if let Some(wanted) = process.machine.changed_watches(&process.wanted) {
            process.watches.retain(|watched, _| wanted.get(watched) == process.wanted.get(watched));
            process.wanted = wanted;
        }
        let wanted = process.wanted.clone().into_watches().map(|(watched, _)| watched);
        let unwatched = wanted.filter(|watched| !process.watches.contains_key(watched));
        for watched in unwatched.collect::<Vec<_>>() {
            let number = self.chance.shells.next();
            process.watches.insert(watched.clone(), Watch { number, ..Watch::default() });
            let event = Event::List { agent, life: process.life, watched, number };
            self.queue.at(self.now + 1 + self.chance.shells.under(100), event);
        }
        let due = process.machine.next_timer(now);
        if let Some(due) = due.map(|due| if self.broken == Some(Broken::TimerAtOnce) { 0 } else { due }) {
            let due = self.now + due.saturating_sub(now.ms()).max(1);
            if process.tick.is_none_or(|scheduled| scheduled > due) {
                process.tick = Some(due);
                self.queue.at(due, Event::AgentTick { agent, life: process.life });
            }
        }
    }

    pub(super) fn life_of(&self, agent: usize) -> Option<u64> {
        self.agents.get(agent)?.process.as_ref().map(|process| process.life)
    }

    fn stream_of(&self, agent: usize) -> Option<u64> {
        self.agents.get(agent)?.process.as_ref()?.stream
    }

    pub(super) fn discover(&mut self, agent: usize, life: u64, again: bool) {
        if self.life_of(agent) != Some(life) {
            return;
        }
        let Some(cluster) = self.clusters.get(self.seat(agent)) else { return };
        if cluster.down_until > self.now {
            self.queue.at(self.now + 1_000, Event::Discover { agent, life, again });
            return;
        }
        let truly = cluster.serves(&objects::widget_kind());
        let early = self.broken == Some(Broken::KindsEarly) && cluster.peek(&objects::definition()).is_some();
        let kinds = objects::kinds(truly || early).clone();
        self.oracle.discovered(agent, truly);
        if again {
            self.queue.at(self.now + 30_000, Event::Discover { agent, life, again });
        }
        self.agent_takes(agent, Input::Kinds(kinds, BTreeSet::new()));
    }

    /// Gives the cluster that an agent is for.
    pub(super) fn seat(&self, agent: usize) -> usize {
        self.agents.get(agent).map_or(agent, |state| state.seat)
    }

    pub(super) fn agent_ticks(&mut self, agent: usize, life: u64) {
        let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) else {
            return;
        };
        if process.life == life && process.tick.is_some_and(|due| due <= self.now) {
            process.tick = None;
            self.agent_takes(agent, Input::Tick);
        }
    }

    // === The stream ===

    pub(super) fn agent_receives(&mut self, agent: usize, life: u64, stream: u64, what: ToAgent) {
        if self.life_of(agent) != Some(life) || self.stream_of(agent) != Some(stream) {
            return;
        }
        match what {
            ToAgent::Open => {
                let facts = self.facts_of(agent);
                self.agent_takes(agent, Input::Connected(facts));
            }
            ToAgent::Frame(frame) => self.agent_takes(agent, Input::Frame(frame)),
            ToAgent::Refused | ToAgent::Closed => {
                self.close_at_agent(stream);
                self.agent_disconnected(agent, stream);
            }
        }
    }

    /// Gives what an agent says of itself and its cluster.
    pub(super) fn facts_of(&self, agent: usize) -> ClusterFacts {
        ClusterFacts {
            kube_system_uid: format!("kube-system-{}", self.seat(agent)),
            kubernetes_version: "v1.36.3".to_owned(),
            agent_version: "0.1.0".to_owned(),
            certificate_not_after: WallTime(i64::MAX),
            policy: self
                .agents
                .get(agent)
                .and_then(|state| state.process.as_ref())
                .and_then(|process| process.machine.reconciler().policy())
                .map(LocalPolicy::summary),
        }
    }

    fn agent_disconnected(&mut self, agent: usize, stream: u64) {
        let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) else {
            return;
        };
        if process.stream == Some(stream) {
            process.stream = None;
            note!(self, "agent {agent} is disconnected");
            self.agent_takes(agent, Input::Disconnected);
        }
    }
}

fn is_empty(effects: &Effects) -> bool {
    effects.ops.is_empty()
        && effects.frames.is_empty()
        && effects.requests.is_empty()
        && effects.close.is_none()
        && !effects.dial
        && !effects.discover
}

fn name(request: &Request) -> String {
    match request {
        Request::Get { key } => format!("get {key}"),
        Request::Try { key, manifest, .. } => format!("try {key} {}", manifest.short()),
        Request::Apply { key, uid, manifest, app, .. } => {
            format!("apply {key} {} of {app} uid={}", manifest.short(), uid.as_deref().unwrap_or("-"))
        }
        Request::GiveUp { key, uid, .. } => format!("give up {key} uid={uid}"),
        Request::Delete { key, uid, .. } => format!("delete {key} uid={uid}"),
        Request::EnsureNamespace { name, .. } => format!("ensure namespace {name}"),
        Request::Compare { key, .. } => format!("compare {key}"),
    }
}
