//! The shell of a simulated hub: reads the fleet, decides, publishes, and carries out what its links ask for.

mod fleet;
mod grove;

use std::collections::BTreeSet;

use argosy_core::fleet::{Decision, Fleet, FleetRead};
use argosy_core::ids::{AppId, BootId, Digest};
use argosy_core::release::Root;
use argosy_core::session::frame::{Command, HubFrame};
use argosy_core::session::hub::{HubContext, HubEffects, HubEvent, HubLink, ReconcileError, SessionId};
use argosy_core::status::{AppStatus, Held};
use argosy_core::store::{MemoryStore, StoreError};
use argosy_core::time::Now;

use super::broken::Broken;
use super::git::ReadAt;
use super::keys::{Checked, INSTALLATION, Key, cluster_id};
use super::random::Random;
use super::schedule::{Event, ToAgent, ToHub};
use super::world::{World, now_of};

/// How often the hub looks at Git.
const POLL_MS: u64 = 3_000;

/// The hub: what is on its disk, and the process if one runs.
pub(super) struct Hub {
    pub(super) store: MemoryStore,
    /// Copies of the store that an operator took.
    pub(super) copies: Vec<MemoryStore>,
    pub(super) process: Option<HubProcess>,
    pub(super) lives: u64,
    /// A crash before so many more effects.
    pub(super) crash_in: Option<u32>,
    /// Until when nothing more goes onto its disk.
    pub(super) full_until: u64,
    /// How far its wall clock is off, in milliseconds.
    pub(super) clock_off: i64,
    /// It runs a newer version, which says more.
    pub(super) newer: bool,
}

/// A running hub.
pub(super) struct HubProcess {
    pub(super) life: u64,
    fleet: Fleet,
    pub(super) links: Vec<HubLink>,
    pub(super) entropy: Random,
    pub(super) read: Option<FleetRead>,
    /// The app of apps was rendered in this life.
    pub(super) grove: bool,
    pub(super) at: ReadAt,
    tick: Option<u64>,
    pub(super) decision: Decision,
    pub(super) confirmed_loss: Option<Digest>,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            store: MemoryStore::default(),
            copies: Vec::new(),
            process: None,
            lives: 0,
            crash_in: None,
            full_until: 0,
            clock_off: 0,
            newer: false,
        }
    }
}

impl HubProcess {
    /// Gives the newest status of an app at the hub.
    pub(super) fn status(&self, agent: usize, app: &AppId) -> Option<AppStatus> {
        let row = self.links.get(agent)?.statuses().get(app)?;
        argosy_core::store::decode("status", row.value()).ok()
    }

    /// Tells whether everything was read and nothing fails, or what does.
    pub(super) fn settled(&self) -> Result<(), String> {
        let Some(read) = &self.read else { return Err("the fleet was not read".to_owned()) };
        if !read.broken.is_empty() {
            return Err("a file of the fleet is broken".to_owned());
        }
        if self.decision.mass_loss.is_some() {
            return Err("the loss of apps is not confirmed".to_owned());
        }
        if self.decision.failing.is_empty() {
            Ok(())
        } else {
            Err(format!("{:?} fail", self.decision.failing))
        }
    }

    /// Gives the releases that anything names.
    pub(super) fn pinned(&self) -> BTreeSet<Root> {
        let mut pinned = self.fleet.pinned_roots();
        for link in &self.links {
            pinned.extend(link.pinned());
        }
        pinned
    }

    /// Gives the apps that the hub has a status of.
    pub(super) fn reported(&self, agent: usize) -> Vec<AppId> {
        self.links.get(agent).map(|link| link.statuses().keys().cloned().collect()).unwrap_or_default()
    }
}

impl World {
    pub(super) fn hub_now(&self) -> Now {
        now_of(BootId::new([99; 16]), self.now + 5_000, self.now, self.hub.clock_off)
    }

    pub(super) fn start_hub(&mut self) {
        if self.hub.process.is_some() {
            return;
        }
        self.hub.lives += 1;
        let life = self.hub.lives;
        note!(self, "hub starts, life {life}");
        let links = (0..self.plan.agents)
            .map(|agent| HubLink::load(&self.hub.store, cluster_id(agent), INSTALLATION));
        let loaded = links
            .collect::<Result<Vec<HubLink>, StoreError>>()
            .and_then(|links| Ok((links, Fleet::load(&self.hub.store, INSTALLATION)?)));
        let (links, fleet) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                self.oracle.violate("I7", format!("the hub does not start: {error}"));
                return;
            }
        };
        let entropy = self.chance.shells.fork();
        self.hub.process = Some(HubProcess {
            life,
            fleet,
            links,
            entropy,
            read: None,
            grove: false,
            at: ReadAt::default(),
            tick: None,
            decision: Decision::default(),
            confirmed_loss: None,
        });
        self.publish();
        let delay = self.chance.shells.between(100, POLL_MS);
        self.queue.at(self.now + delay, Event::HubPoll { life });
    }

    /// Ends the hub's process; its streams break.
    pub(super) fn crash_hub(&mut self, back_after: u64) {
        if self.hub.process.take().is_none() {
            return;
        }
        self.hub.crash_in = None;
        note!(self, "hub crashes");
        for stream in self.network.of_hub() {
            self.hang_up_at_hub(stream);
        }
        self.queue.at(self.now + back_after, Event::HubStart);
    }

    /// Counts an effect of the hub; `true` when it died before it.
    fn hub_dies(&mut self) -> bool {
        match &mut self.hub.crash_in {
            Some(0) => {
                let back = self.chance.shells.between(100, 20_000);
                self.crash_hub(back);
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => self.hub.process.is_none(),
        }
    }

    /// A full disk ends the process.
    fn hub_is_full(&mut self) -> bool {
        let full = self.hub.full_until > self.now;
        if full {
            let back = self.chance.shells.between(1_000, 5_000);
            self.crash_hub(back);
        }
        full
    }

    pub(super) fn hub_tick(&mut self, life: u64) {
        let Some(process) = self.hub.process.as_mut().filter(|process| process.life == life) else { return };
        process.tick = None;
        for agent in 0..self.plan.agents {
            self.with_link(agent, |link, context| Ok(link.tick(context.now)));
        }
        self.hub_timer();
    }

    fn hub_timer(&mut self) {
        let now = self.hub_now().ms();
        let Some(process) = &mut self.hub.process else { return };
        let Some(due) = process.links.iter().filter_map(HubLink::next_timer).min() else { return };
        let due = self.now + due.saturating_sub(now).max(1);
        if process.tick.is_none_or(|scheduled| scheduled > due) {
            process.tick = Some(due);
            let life = process.life;
            self.queue.at(due, Event::HubTick { life });
        }
    }

    /// Hands one input to a link and carries out what follows.
    pub(super) fn with_link(
        &mut self,
        agent: usize,
        input: impl FnOnce(&mut HubLink, &mut HubContext<'_>) -> Result<HubEffects, StoreError>,
    ) {
        let now = self.hub_now();
        let Some(process) = &mut self.hub.process else { return };
        let Some(link) = process.links.get_mut(agent) else { return };
        let mut context = HubContext {
            now,
            store: &self.hub.store,
            codec: &Checked,
            signer: &Key,
            verifier: &Key,
            entropy: &mut process.entropy,
        };
        match input(link, &mut context) {
            Ok(effects) => self.carry_hub(agent, effects),
            Err(error) => self.oracle.violate("I7", format!("the hub's link fails: {error}")),
        }
        self.hub_timer();
    }

    pub(super) fn carry_hub(&mut self, agent: usize, effects: HubEffects) {
        let HubEffects { mut ops, mut frames, close, events } = effects;
        self.break_hubs_ops(&mut ops);
        if self.is(Broken::HeadBeforeCommit) && !self.hub_speaks(agent, std::mem::take(&mut frames)) {
            return;
        }
        if !ops.is_empty() {
            if self.hub_dies() || self.hub_is_full() {
                return;
            }
            self.hub.store.commit(&ops);
        }
        if !self.hub_speaks(agent, frames) {
            return;
        }
        for (session, closing) in close {
            if self.hub_dies() {
                return;
            }
            note!(self, "hub closes [{}]: {closing:?}", session.0);
            self.close_at_hub(session.0);
            self.with_link(agent, |link, context| Ok(link.disconnected(session, context.now)));
        }
        let mut changed = false;
        for event in events {
            match event {
                HubEvent::Acknowledged { .. } | HubEvent::Status(_) => changed = true,
                HubEvent::UnknownChain { why } => note!(self, "hub: unknown chain of {agent}: {why}"),
                HubEvent::Cloned { known, other } => {
                    self.oracle.violate("M15", format!("one cluster taken for two: {known} and {other}"));
                }
                HubEvent::Refused { session, refusal } => {
                    note!(self, "hub refuses [{}]: {refusal:?}", session.0);
                }
                HubEvent::AgentRefused(refusal) => note!(self, "agent {agent} refused: {refusal:?}"),
                HubEvent::Command(update) => {
                    note!(self, "command {:?} {:?} {}", update.id, update.state, update.message);
                }
                HubEvent::Connected { .. }
                | HubEvent::Disconnected { .. }
                | HubEvent::Paused(_)
                | HubEvent::JournalGap { .. } => {}
                HubEvent::JournalRefused { why } => {
                    self.oracle.violate("M12", format!("the journal of agent {agent} is refused: {why}"));
                }
            }
        }
        if changed && self.has_news() {
            self.decide();
        }
    }

    /// Sends frames; `false` when the hub died over it.
    fn hub_speaks(&mut self, agent: usize, frames: Vec<(SessionId, HubFrame)>) -> bool {
        for (session, mut frame) in frames {
            if self.hub_dies() {
                return false;
            }
            self.oracle.hub_says(&self.hub.store, agent, &frame);
            self.break_hubs_frame(&mut frame);
            note!(self, "hub -> {agent} [{}] {}", session.0, describe(&frame));
            self.send_to_agent(session.0, ToAgent::Frame(frame));
        }
        true
    }

    pub(super) fn hub_receives(&mut self, stream: u64, agent: usize, what: ToHub) {
        let session = SessionId(stream);
        let agent = self.seat(agent);
        match what {
            ToHub::Frame(frame) => {
                self.with_link(agent, |link, context| link.received(session, *frame, context));
            }
            ToHub::Closed => {
                self.network.hub_closed(stream);
                self.with_link(agent, |link, context| Ok(link.disconnected(session, context.now)));
            }
        }
    }

    pub(super) fn hub_accepts(&mut self, stream: u64, agent: usize) {
        let agent = self.seat(agent);
        self.with_link(agent, |link, context| Ok(link.connected(SessionId(stream), context.now)));
    }

    pub(super) fn command(&mut self, agent: usize, command: Command) {
        note!(self, "operator: {:?} at {agent}", command.kind);
        self.with_link(agent, |link, context| Ok(link.command(command, context.now)));
    }

    /// An operator ends the hold after an unknown chain, if the hub permits it.
    pub(super) fn reconcile(&mut self, agent: usize) {
        let mut outcome = Ok(());
        self.with_link(agent, |link, context| match link.reconcile(context) {
            Ok(effects) => Ok(effects),
            Err(ReconcileError::Store(error)) => Err(error),
            Err(error) => {
                outcome = Err(error);
                Ok(HubEffects::default())
            }
        });
        if outcome.is_ok() {
            note!(self, "operator reconciles {agent}");
        }
    }

    /// Gives what is held of an app, as the hub knows it.
    pub(super) fn held_at_hub(&self, agent: usize, app: &AppId) -> Option<Held> {
        self.hub.process.as_ref()?.status(agent, app)?.held
    }
}

/// Names a frame in one line.
fn describe(frame: &HubFrame) -> String {
    match frame {
        HubFrame::Chunk(chunk) => {
            format!("Chunk {} {} bytes last={}", chunk.transfer.0, chunk.data.len(), chunk.last)
        }
        HubFrame::ListChanges { base, changes } => format!("ListChanges {base:?} {} changes", changes.len()),
        HubFrame::Head { epoch, generation, unasked, .. } => {
            format!("Head {epoch:?} {generation} {unasked:?}")
        }
        HubFrame::Welcome(_)
        | HubFrame::InSync
        | HubFrame::ListRequest
        | HubFrame::Gone(_)
        | HubFrame::StatusAck { .. }
        | HubFrame::Command(_)
        | HubFrame::CommandDone(_)
        | HubFrame::JournalAck { .. }
        | HubFrame::JournalRefused { .. }
        | HubFrame::Refused(_)
        | HubFrame::Alive => format!("{frame:?}"),
    }
}
