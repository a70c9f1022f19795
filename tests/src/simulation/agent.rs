//! The shell of a simulated agent: a disk, a process that dies between any two effects, watches, requests.

mod api;

use std::collections::BTreeMap;

use argosy_core::agent::{AgentMachine, Context, Effects, Input, Notice};
use argosy_core::cluster::{Request, RequestId};
use argosy_core::desired::Anchor;
use argosy_core::ids::BootId;
use argosy_core::key::GroupKind;
use argosy_core::session::agent::{AgentEvent, AgentIdentity};
use argosy_core::session::frame::{AgentFrame, ClusterFacts};
use argosy_core::store::MemoryStore;
use argosy_core::time::{MonoTime, Now, WallTime};

use super::broken::{Broken, verifier};
use super::keys::{Checked, INSTALLATION, cluster_id};
use super::lease::Contest;
use super::random::Random;
use super::schedule::{Event, ToAgent, ToHub};
use super::skew::{STATUS, widen};
use super::world::{World, now_of};

/// So many turns within a second that lead to nothing are a busy loop.
const BUSY: u32 = 400;

/// What survives the process.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) store: MemoryStore,
    /// Beside the store.
    pub(super) anchor: Option<Anchor>,
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
    watches: BTreeMap<GroupKind, Watch>,
    idle: (u64, u32),
    pub(super) contest: Contest,
}

/// One watch.
#[derive(Debug, Clone, Default)]
struct Watch {
    /// Tells what belongs to an earlier watch of the kind.
    number: u64,
    generation: u64,
    /// Whether its list was taken: what changes from then on is delivered.
    open: bool,
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
        let loaded = AgentMachine::load(identity, &mut context);
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
            watches: BTreeMap::new(),
            idle: (0, 0),
            contest: Contest::default(),
        });
        self.note(&format!(
            "agent {agent} starts, life {life}{}",
            if rolled_back { ", rolled back" } else { "" }
        ));
        self.oracle.agent_started(agent);
        self.carry_agent(agent, effects);
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
        self.note(&format!("agent {agent} crashes"));
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
            self.note(&format!("the store of agent {agent} is torn"));
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
    fn agent_follows(&mut self, agent: usize) {
        let Some(state) = self.agents.get_mut(agent) else { return };
        let now = state.now(self.now);
        let Some(process) = &mut state.process else { return };
        let wanted = process.machine.watch_generations();
        process.watches.retain(|kind, watch| wanted.get(kind) == Some(&watch.generation));
        for (kind, generation) in wanted {
            if process.watches.contains_key(&kind) {
                continue;
            }
            let number = self.chance.shells.next();
            process.watches.insert(kind.clone(), Watch { number, generation, ..Watch::default() });
            let event = Event::List { agent, life: process.life, kind, number };
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

    fn carry_agent(&mut self, agent: usize, effects: Effects) {
        let Effects { mut ops, anchor, mut frames, close, dial, requests, discover, notices } = effects;
        self.break_agents_ops(&mut ops);
        self.break_agents_frames(agent, &mut frames);
        let anchor = anchor.filter(|_| !self.is(Broken::AnchorNever));
        for notice in notices {
            match notice {
                Notice::App(event) => {
                    let key = event.key.map(|key| key.to_string()).unwrap_or_default();
                    self.note(&format!(
                        "agent {agent}: {} {key} {} {}",
                        event.app, event.reason, event.message
                    ));
                }
                Notice::Link(AgentEvent::Warning(text)) => {
                    self.note(&format!("agent {agent}: warning {text}"));
                }
                Notice::Link(event) => self.note(&format!("agent {agent}: {}", short(&event))),
            }
        }
        let early = self.is(Broken::AckBeforeCommit);
        if early && !self.agent_says(agent, std::mem::take(&mut frames)) {
            return;
        }
        let requests = if self.is(Broken::RequestBeforeCommit) {
            self.agent_asks(agent, requests);
            Vec::new()
        } else {
            requests
        };
        if !ops.is_empty() {
            if self.agent_dies(agent) || self.commit_fails(agent) {
                return;
            }
            if let Some(state) = self.agents.get_mut(agent) {
                state.disk.store.commit(&ops);
                self.oracle.agent_committed(&self.git, agent, &state.disk, &ops);
            }
        }
        if self.is(Broken::AnchorLate) && !self.agent_says(agent, std::mem::take(&mut frames)) {
            return;
        }
        if let Some(anchor) = anchor {
            if self.agent_dies(agent) {
                return;
            }
            if let Some(state) = self.agents.get_mut(agent) {
                state.disk.anchor = Some(anchor);
            }
            self.oracle.anchored(agent, anchor);
        }
        if !self.agent_says(agent, frames) {
            return;
        }
        let stream = self.stream_of(agent);
        if let Some(closing) = close {
            if self.agent_dies(agent) {
                return;
            }
            self.note(&format!("agent {agent} closes: {closing:?}"));
            if let Some(stream) = stream {
                self.close_at_agent(stream);
                self.agent_disconnected(agent, stream);
            }
        }
        if dial && !self.agent_dies(agent) {
            let Some(life) = self.life_of(agent) else { return };
            let stream = self.network.dial(agent, life);
            if let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) {
                process.stream = Some(stream);
            }
            let delay = self.chance.shells.between(1, 100);
            self.queue.at(self.now + delay, Event::Dialled { agent, life, stream });
        }
        if !self.agent_asks(agent, requests) {
            return;
        }
        if discover && let Some(life) = self.life_of(agent) {
            let delay = self.chance.shells.between(10, 300);
            self.queue.at(self.now + delay, Event::Discover { agent, life, again: false });
        }
    }

    /// Sends frames; `false` when the agent died over it.
    fn agent_says(&mut self, agent: usize, frames: Vec<AgentFrame>) -> bool {
        let stream = self.stream_of(agent);
        let newer = self.agents.get(agent).is_some_and(|state| state.newer);
        for mut frame in frames {
            if let (AgentFrame::Status(batch), true) = (&mut frame, newer) {
                for entry in &mut batch.entries {
                    if let Some(value) = &mut entry.value {
                        widen(value, STATUS);
                    }
                }
            }
            if self.agent_dies(agent) {
                return false;
            }
            let Some(stream) = stream else { continue };
            if let Some(state) = self.agents.get(agent) {
                self.oracle.agent_says(agent, &state.disk, &frame);
            }
            self.note(&format!("{agent} -> hub [{stream}] {}", describe(&frame)));
            self.send_to_hub(stream, ToHub::Frame(frame));
        }
        true
    }

    /// Sends requests; `false` when the agent died over it.
    fn agent_asks(&mut self, agent: usize, requests: Vec<(RequestId, Request)>) -> bool {
        for (id, request) in requests {
            if self.agent_dies(agent) {
                return false;
            }
            self.request(agent, id, request);
        }
        true
    }

    fn life_of(&self, agent: usize) -> Option<u64> {
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
        let kinds = cluster.kinds().clone();
        if again {
            self.queue.at(self.now + 30_000, Event::Discover { agent, life, again });
        }
        self.agent_takes(agent, Input::Kinds(kinds));
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
                let facts = ClusterFacts {
                    kube_system_uid: format!("kube-system-{}", self.seat(agent)),
                    kubernetes_version: "v1.36.3".to_owned(),
                    agent_version: "0.1.0".to_owned(),
                    certificate_not_after: WallTime(i64::MAX),
                };
                self.agent_takes(agent, Input::Connected(facts));
            }
            ToAgent::Frame(frame) => self.agent_takes(agent, Input::Frame(frame)),
            ToAgent::Refused | ToAgent::Closed => {
                self.close_at_agent(stream);
                self.agent_disconnected(agent, stream);
            }
        }
    }

    fn agent_disconnected(&mut self, agent: usize, stream: u64) {
        let Some(process) = self.agents.get_mut(agent).and_then(|state| state.process.as_mut()) else {
            return;
        };
        if process.stream == Some(stream) {
            process.stream = None;
            self.note(&format!("agent {agent} is disconnected"));
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
        Request::Apply { key, uid, manifest, app } => {
            format!("apply {key} {} of {app} uid={}", manifest.short(), uid.as_deref().unwrap_or("-"))
        }
        Request::Delete { key, uid, .. } => format!("delete {key} uid={uid}"),
        Request::EnsureNamespace { name } => format!("ensure namespace {name}"),
    }
}

fn short(event: &AgentEvent) -> String {
    match event {
        AgentEvent::ListAccepted { .. } => "list accepted".to_owned(),
        AgentEvent::Dial
        | AgentEvent::Welcomed(_)
        | AgentEvent::InSync
        | AgentEvent::EntriesVerified(_)
        | AgentEvent::Assigned(_)
        | AgentEvent::Command(_)
        | AgentEvent::CommandExpired(_)
        | AgentEvent::ReadsEnded(_)
        | AgentEvent::JournalTaken(_)
        | AgentEvent::JournalRefused(_)
        | AgentEvent::Warning(_) => format!("{event:?}"),
    }
}

/// Names a frame in one line.
fn describe(frame: &AgentFrame) -> String {
    match frame {
        AgentFrame::Hello(hello) => {
            let head = hello.head.map(|head| head.head.generation.0);
            format!(
                "Hello head={head:?} anchor={:?} {:?}",
                hello.anchor.map(|anchor| anchor.generation.0),
                hello.read_only
            )
        }
        AgentFrame::Status(batch) => {
            let apps: Vec<String> =
                batch.entries.iter().map(|entry| format!("{}#{}", entry.app, entry.sequence)).collect();
            format!("Status {apps:?} complete={}", batch.complete)
        }
        AgentFrame::OwnList { elements, last, .. } => format!("OwnList {} last={last}", elements.len()),
        AgentFrame::Journal(batch) => format!("Journal {} rows", batch.rows.len()),
        AgentFrame::HeadAck { .. }
        | AgentFrame::Pull(_)
        | AgentFrame::Cancel(_)
        | AgentFrame::Credit(_)
        | AgentFrame::CommandUpdate(_)
        | AgentFrame::Facts { .. }
        | AgentFrame::Refused(_)
        | AgentFrame::Alive => format!("{frame:?}"),
    }
}
