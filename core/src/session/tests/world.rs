//! A hub, an agent, their stores and the wire between them, with a fuse at every step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::fixture::{CLUSTER, INSTALLATION, Key, Seed, SpliceCodec, at, list_of, release, store_ops};
use crate::bundle::{Header, ImportStep, Receipts, ReceiptsRefused};
use crate::desired::{Anchor, DesiredList};
use crate::ids::{AppId, Generation};
use crate::session::agent::{
    AgentContext, AgentEffects, AgentEvent, AgentIdentity, AgentLink, Closing, ImportResult,
};
use crate::session::frame::{AgentFrame, ClusterFacts, Command, HubFrame};
use crate::session::hub::{ExportRefused, HubContext, HubEffects, HubEvent, HubLink, Published, SessionId};
use crate::store::{MemoryStore, StoreOp};
use crate::time::Now;

/// A bundle: what it is of, and its frames.
pub(crate) type Bundle = (Header, Vec<HubFrame>);

/// Everything.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) seed: Seed,
    pub(crate) agent: AgentLink,
    pub(crate) agent_store: MemoryStore,
    pub(crate) anchor: Option<Anchor>,
    pub(crate) hub: HubLink,
    pub(crate) hub_store: MemoryStore,
    pub(crate) up: VecDeque<AgentFrame>,
    pub(crate) down: VecDeque<HubFrame>,
    pub(crate) session: Option<SessionId>,
    sessions: u64,
    /// Steps that a side carries out before it is killed.
    pub(crate) agent_fuse: Option<usize>,
    pub(crate) hub_fuse: Option<usize>,
    pub(crate) agent_events: Vec<AgentEvent>,
    pub(crate) hub_events: Vec<HubEvent>,
    /// Frames of streams that are over.
    pub(crate) late: VecDeque<(SessionId, AgentFrame)>,
    /// Frames that reached the agent.
    pub(crate) delivered: Vec<HubFrame>,
    /// Apps and the contents of their objects, as Git has them.
    pub(crate) git: BTreeMap<String, Vec<u8>>,
    pub(crate) facts: ClusterFacts,
    highest: Generation,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut seed = Seed(1);
        let agent_store = MemoryStore::default();
        let identity = AgentIdentity { cluster: CLUSTER, installation: INSTALLATION, anchor: None };
        Self {
            now: 1_000,
            agent: AgentLink::load(&agent_store, identity, &Key(1), &mut seed).unwrap(),
            seed,
            agent_store,
            anchor: None,
            hub: HubLink::new(CLUSTER, INSTALLATION),
            hub_store: MemoryStore::default(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            session: None,
            sessions: 0,
            agent_fuse: None,
            hub_fuse: None,
            agent_events: Vec::new(),
            hub_events: Vec::new(),
            late: VecDeque::new(),
            delivered: Vec::new(),
            git: BTreeMap::new(),
            facts: ClusterFacts { kube_system_uid: "uid".into(), ..ClusterFacts::default() },
            highest: Generation(0),
        }
    }

    pub(crate) fn clock(&self) -> Now {
        at(self.now)
    }

    // === publishing ===

    /// Publishes what Git has, all of it read since the hub's start.
    pub(crate) fn publish(&mut self) {
        let fresh = self.git.keys().map(|name| AppId::new("", name)).collect();
        self.publish_with(fresh, Ok(()));
    }

    pub(crate) fn publish_with(&mut self, fresh: BTreeSet<AppId>, settled: Result<(), String>) {
        let mut ops: Vec<StoreOp> = Vec::new();
        let mut assignments = Vec::new();
        for (name, objects) in &self.git {
            let (release, manifests) = release(name, objects);
            ops.extend(store_ops(&release, &manifests));
            assignments.push(super::fixture::assignment(name, objects));
        }
        self.hub_store.commit(&ops);
        self.publish_list(list_of(assignments), fresh, settled);
    }

    pub(crate) fn publish_list(
        &mut self,
        list: DesiredList,
        fresh: BTreeSet<AppId>,
        settled: Result<(), String>,
    ) {
        self.hub_input(|hub, context| hub.publish(Published { list, fresh, settled }, context).unwrap());
    }

    pub(crate) fn set(&mut self, name: &str, objects: &[u8]) {
        self.git.insert(name.to_owned(), objects.to_vec());
        self.publish();
    }

    pub(crate) fn reconcile(&mut self) -> Result<(), crate::session::hub::ReconcileError> {
        let mut result = Ok(());
        self.hub_input(|hub, context| match hub.reconcile(context) {
            Ok(effects) => effects,
            Err(error) => {
                result = Err(error);
                HubEffects::default()
            }
        });
        result
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.hub_input(|hub, context| hub.command(command, context.now));
    }

    pub(crate) fn set_status(&mut self, app: &str, value: Option<Vec<u8>>) {
        self.agent_input(|agent, context| agent.set_status(AppId::new("", app), value, context.now));
    }

    // === files ===

    /// Makes a bundle of the newest desired state.
    pub(crate) fn export(&mut self) -> Result<Bundle, ExportRefused> {
        let mut made = Err(ExportRefused::Nothing);
        self.hub_input(|hub, context| match hub.export(context) {
            Ok((effects, export)) => {
                made = Ok(export);
                effects
            }
            Err(refused) => {
                made = Err(refused);
                HubEffects::default()
            }
        });
        let mut export = made?;
        let mut frames = Vec::new();
        loop {
            let more = export.more(&self.hub_store, &SpliceCodec).unwrap()?;
            if more.is_empty() {
                return Ok((export.header().clone(), frames));
            }
            frames.extend(more);
        }
    }

    /// Hands a bundle to the agent, which may be killed at any step of it.
    pub(crate) fn import(&mut self, bundle: &Bundle) -> ImportResult {
        let mut result = Ok(None);
        for step in steps_of(bundle) {
            result = self.import_step(step);
            if result.is_err() {
                break;
            }
        }
        result
    }

    /// Hands the agent one step of an import.
    pub(crate) fn import_step(&mut self, step: ImportStep) -> ImportResult {
        let mut result = Ok(None);
        self.agent_input(|agent, context| {
            let (effects, said) = agent.import(step, context).unwrap();
            result = said;
            effects
        });
        result
    }

    /// Has the agent make receipts.
    pub(crate) fn receipts(&mut self) -> Receipts {
        let facts = self.facts.clone();
        let mut frames = Vec::new();
        self.agent_input(|agent, context| {
            let mut effects = agent.receipts(facts, None, context.now);
            frames = std::mem::take(&mut effects.frames);
            effects
        });
        Receipts::of_frames(frames).unwrap()
    }

    /// Hands the hub receipts that were made at a time; gives whether they were taken before.
    pub(crate) fn deliver(&mut self, receipts: &Receipts, made: u64) -> Result<bool, ReceiptsRefused> {
        let mut result = Ok(false);
        self.hub_input(|hub, context| match hub.take_receipts(receipts, at(made), context).unwrap() {
            Ok((effects, already)) => {
                result = Ok(already);
                effects
            }
            Err(refused) => {
                result = Err(refused);
                HubEffects::default()
            }
        });
        result
    }

    // === inputs ===

    pub(crate) fn hub_input(&mut self, input: impl FnOnce(&mut HubLink, &mut HubContext<'_>) -> HubEffects) {
        let mut context = HubContext {
            now: at(self.now),
            store: &self.hub_store,
            codec: &SpliceCodec,
            signer: &Key(1),
            verifier: &Key(1),
            entropy: &mut self.seed,
        };
        let effects = input(&mut self.hub, &mut context);
        self.run_hub(effects);
    }

    pub(crate) fn agent_input(
        &mut self,
        input: impl FnOnce(&mut AgentLink, &mut AgentContext<'_>) -> AgentEffects,
    ) {
        let mut context = AgentContext {
            now: at(self.now),
            store: &self.agent_store,
            codec: &SpliceCodec,
            verifier: &Key(1),
            entropy: &mut self.seed,
        };
        let effects = input(&mut self.agent, &mut context);
        self.run_agent(effects);
    }

    fn run_agent(&mut self, effects: AgentEffects) {
        let AgentEffects { ops, anchor, frames, close, events } = effects;
        if !ops.is_empty() {
            if self.agent_blows() {
                return;
            }
            self.agent_store.commit(&ops);
        }
        if let Some(anchor) = anchor {
            if self.agent_blows() {
                return;
            }
            assert!(anchor.generation >= self.highest, "a generation went back");
            self.highest = anchor.generation;
            self.anchor = Some(anchor);
        }
        for frame in frames {
            if self.agent_blows() {
                return;
            }
            self.up.push_back(frame);
        }
        if close.is_some() {
            self.end_of_agent(close);
        }
        for event in events {
            let dial = event == AgentEvent::Dial;
            self.agent_events.push(event);
            if dial {
                self.dial();
            }
        }
    }

    /// The agent closes: what it sent before still arrives.
    fn end_of_agent(&mut self, _why: Option<Closing>) {
        while self.session.is_some() && !self.up.is_empty() {
            self.deliver_up();
        }
        self.cut();
    }

    fn run_hub(&mut self, effects: HubEffects) {
        let HubEffects { ops, frames, close, events } = effects;
        if !ops.is_empty() {
            if self.hub_blows() {
                return;
            }
            self.hub_store.commit(&ops);
        }
        for (session, frame) in frames {
            if self.hub_blows() {
                return;
            }
            if Some(session) == self.session {
                self.down.push_back(frame);
            }
        }
        self.hub_events.extend(events);
        if close.iter().any(|(session, _)| Some(*session) == self.session) {
            while self.session.is_some() && !self.down.is_empty() {
                self.deliver_down();
            }
            self.cut();
        }
    }

    fn agent_blows(&mut self) -> bool {
        let blows = blows(&mut self.agent_fuse);
        if blows {
            self.restart_agent();
        }
        blows
    }

    fn hub_blows(&mut self) -> bool {
        let blows = blows(&mut self.hub_fuse);
        if blows {
            self.restart_hub();
        }
        blows
    }

    // === faults ===

    /// Kills the agent and starts it from what is durable.
    pub(crate) fn restart_agent(&mut self) {
        let session = self.forget_session();
        self.load_agent();
        if let Some(session) = session {
            self.hub_input(|hub, context| hub.disconnected(session, context.now));
        }
    }

    pub(crate) fn load_agent(&mut self) {
        let identity = AgentIdentity { cluster: CLUSTER, installation: INSTALLATION, anchor: self.anchor };
        self.agent = AgentLink::load(&self.agent_store, identity, &Key(1), &mut self.seed).unwrap();
    }

    /// Kills the hub and starts it from what is durable; nothing is published until it is read.
    pub(crate) fn restart_hub(&mut self) {
        let session = self.forget_session();
        self.hub = HubLink::load(&self.hub_store, CLUSTER, INSTALLATION).unwrap();
        if session.is_some() {
            self.agent_input(AgentLink::disconnected);
        }
    }

    /// Cuts the wire: what is on it is lost.
    pub(crate) fn cut(&mut self) {
        let Some(session) = self.forget_session() else { return };
        self.agent_input(AgentLink::disconnected);
        self.hub_input(|hub, context| hub.disconnected(session, context.now));
    }

    fn forget_session(&mut self) -> Option<SessionId> {
        let session = self.session.take();
        let lost = std::mem::take(&mut self.up);
        if let Some(session) = session {
            self.late.extend(lost.into_iter().map(|frame| (session, frame)));
        }
        self.down.clear();
        session
    }

    fn dial(&mut self) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        self.session = Some(session);
        self.hub_input(|hub, context| hub.connected(session, context.now));
        if self.session != Some(session) {
            return;
        }
        let facts = self.facts.clone();
        self.agent_input(|agent, context| agent.connected(facts, None, context));
    }

    // === progress ===

    pub(crate) fn deliver_up(&mut self) {
        if let (Some(session), Some(frame)) = (self.session, self.up.pop_front()) {
            self.hub_input(|hub, context| hub.received(session, frame, context).unwrap());
        }
    }

    pub(crate) fn deliver_late(&mut self) {
        if let Some((session, frame)) = self.late.pop_front() {
            self.hub_input(|hub, context| hub.received(session, frame, context).unwrap());
        }
    }

    pub(crate) fn deliver_down(&mut self) {
        if let Some(frame) = self.down.pop_front() {
            self.delivered.push(frame.clone());
            self.agent_input(|agent, context| agent.received(frame, context).unwrap());
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        self.agent_input(AgentLink::tick);
        self.hub_input(|hub, context| hub.tick(context.now));
    }

    /// Delivers everything that is on the wire and what follows from it.
    pub(crate) fn flow(&mut self) {
        for _ in 0..100_000 {
            if self.up.is_empty() && self.down.is_empty() {
                return;
            }
            self.deliver_up();
            self.deliver_down();
        }
        panic!("the wire does not come to rest");
    }

    /// Connects if need be, and lets everything come to rest.
    pub(crate) fn settle(&mut self) {
        for _ in 0..40 {
            self.pass(1_000);
            self.flow();
        }
    }

    pub(crate) fn chunks(&self) -> usize {
        self.delivered.iter().filter(|frame| matches!(frame, HubFrame::Chunk(_))).count()
    }

    /// Gives the contents that the agent was assigned, complete, by app.
    pub(crate) fn running(&self) -> BTreeMap<String, Vec<u8>> {
        let mut running = BTreeMap::new();
        for app in self.agent.assigned_apps() {
            let assignment: crate::desired::Assignment =
                minicbor::decode(self.agent.assigned(app).unwrap()).unwrap();
            let release =
                crate::session::tables::get_release(&self.agent_store, assignment.root).unwrap().unwrap();
            let objects = release.entries().iter().map(|entry| {
                let manifest = crate::session::tables::get_manifest(&self.agent_store, entry.digest);
                let text = String::from_utf8(manifest.unwrap().unwrap()).unwrap();
                let content = text.rsplit(':').next().unwrap().trim_end_matches('}');
                content.parse().unwrap()
            });
            running.insert(app.name.to_string(), objects.collect());
        }
        running
    }

    pub(crate) fn hub_statuses(&self) -> BTreeMap<String, Vec<u8>> {
        self.hub.statuses().iter().map(|(app, row)| (app.name.to_string(), row.value().to_vec())).collect()
    }
}

/// Gives the steps in which a bundle is imported.
pub(crate) fn steps_of(bundle: &Bundle) -> VecDeque<ImportStep> {
    let (header, frames) = bundle.clone();
    let begin = std::iter::once(ImportStep::Begin(Box::new(header)));
    begin.chain(frames.into_iter().map(ImportStep::Frame)).chain([ImportStep::End]).collect()
}

fn blows(fuse: &mut Option<usize>) -> bool {
    match fuse {
        None => false,
        Some(0) => {
            *fuse = None;
            true
        }
        Some(steps) => {
            *steps -= 1;
            false
        }
    }
}

/// A world whose agent has received an app.
pub(crate) fn connected() -> World {
    let mut world = World::new();
    world.set("web", &[1, 2, 3]);
    world.settle();
    world
}
