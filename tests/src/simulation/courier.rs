//! People who carry files between the hub and a cluster whose link may be away: bundles there, receipts back.
//!
//! A file is on its way for a while, may be brought twice or late, and is read in steps between which either side may die.
//! Its seal is the shell's to look at, and not part of this.

use std::sync::Arc;

use argosy_core::agent::Input;
use argosy_core::bundle::{Header, ImportRefused, ImportStep, Receipts};
use argosy_core::journal::Sent;
use argosy_core::session::frame::{AgentFrame, HubFrame};
use argosy_core::session::hub::{HubContext, HubEffects, HubEvent};
use argosy_core::time::Now;

use super::keys::{Checked, Key};
use super::schedule::Event;
use super::world::World;

/// A file on its way.
#[derive(Debug, Clone)]
pub(super) enum File {
    Bundle { header: Header, frames: Vec<HubFrame> },
    Receipts { frames: Vec<AgentFrame>, made: Now },
}

impl World {
    /// Somebody takes a bundle for an agent, and now and then brings an older one once more.
    pub(super) fn send_bundle(&mut self, agent: usize) {
        if let Some(bundle) = self.export(agent) {
            let bundle = Arc::new(bundle);
            self.carry(agent, &bundle, 60_000);
            if self.chance.people.percent(30) {
                self.carry(agent, &bundle, 120_000);
            }
        }
    }

    fn carry(&mut self, agent: usize, file: &Arc<File>, longest: u64) {
        let arrival = self.now + self.chance.people.between(1_000, longest);
        self.queue.at(arrival, Event::File { agent, file: file.clone() });
    }

    /// Makes a bundle; absent if the hub refuses it or dies over it.
    fn export(&mut self, agent: usize) -> Option<File> {
        let now = self.hub_now();
        let process = self.hub.process.as_mut()?;
        let life = process.life;
        let mut context = HubContext {
            now,
            store: &self.hub.store,
            codec: &Checked,
            signer: &Key,
            verifier: &Key,
            entropy: &mut process.entropy,
        };
        let (effects, mut export) = match process.links.get_mut(agent)?.export(&mut context) {
            Ok(begun) => begun,
            Err(refused) => {
                note!(self, "hub makes no bundle for {agent}: {refused}");
                return None;
            }
        };
        self.carry_hub(agent, effects);
        if self.hub.process.as_ref().is_none_or(|process| process.life != life) {
            return None;
        }
        let header = export.header().clone();
        let mut frames = Vec::new();
        loop {
            match export.more(&self.hub.store, &Checked) {
                Ok(Ok(more)) if more.is_empty() => break,
                Ok(Ok(more)) => frames.extend(more),
                Ok(Err(refused)) => {
                    note!(self, "hub ends a bundle for {agent}: {refused}");
                    return None;
                }
                Err(error) => {
                    self.oracle.violate("I7", format!("the hub makes no bundle: {error}"));
                    return None;
                }
            }
        }
        self.oracle.exported(&self.hub.store, agent, &header);
        let generations: Vec<u64> = header.chain.iter().map(|signed| signed.head.generation.0).collect();
        note!(self, "hub makes a bundle for {agent}: {generations:?}, {} frames", frames.len());
        Some(File::Bundle { header, frames })
    }

    /// A file arrives.
    pub(super) fn file_arrives(&mut self, agent: usize, file: &Arc<File>) {
        match &**file {
            File::Bundle { header, frames } => {
                if self.import(agent, header, frames) {
                    self.send_receipts(agent);
                }
            }
            File::Receipts { frames, made } => self.take_receipts(agent, frames.clone(), *made),
        }
    }

    /// Reads a bundle; `false` when the process is not there, or dies over it.
    fn import(&mut self, agent: usize, header: &Header, frames: &[HubFrame]) -> bool {
        let Some(life) = self.life_of(agent) else { return false };
        self.oracle.imports(agent, header);
        let begin = ImportStep::Begin(Box::new(header.clone()));
        let frames = frames.iter().map(|frame| ImportStep::Frame(frame.clone()));
        for step in std::iter::once(begin).chain(frames).chain([ImportStep::End]) {
            self.agent_takes(agent, Input::Import(step));
            if self.life_of(agent) != Some(life) {
                return false;
            }
            let process = self.agents.get_mut(agent).and_then(|state| state.process.as_mut());
            match process.and_then(|process| process.machine.take_import_result()) {
                Some(Ok(None)) => {}
                Some(Ok(Some(imported))) => note!(self, "agent {agent} imports {imported:?}"),
                Some(Err(refused)) => {
                    self.refuses(agent, &refused);
                    break;
                }
                None => break,
            }
        }
        true
    }

    /// A bundle of this hub for this cluster may be old, or of a hub that was put back; it is never a wrong one.
    fn refuses(&mut self, agent: usize, refused: &ImportRefused) {
        note!(self, "agent {agent} refuses a bundle: {refused}");
        match refused {
            ImportRefused::Older { .. }
            | ImportRefused::Forked { .. }
            | ImportRefused::Unrelated { .. }
            | ImportRefused::Overtaken { .. } => {}
            ImportRefused::OtherCluster { .. }
            | ImportRefused::OtherHub { .. }
            | ImportRefused::Signature(_)
            | ImportRefused::Damaged(_) => {
                self.oracle.violate("M13", format!("agent {agent} refuses its own hub's bundle: {refused}"));
            }
        }
    }

    /// Somebody takes an agent's receipts to the hub.
    fn send_receipts(&mut self, agent: usize) {
        let facts = self.facts_of(agent);
        let Some(state) = self.agents.get_mut(agent) else { return };
        let made = state.now(self.now);
        let Some((life, receipts)) = state.receipts(facts, made) else { return };
        let (effects, frames) = match receipts {
            Ok(receipts) => receipts,
            Err(error) => {
                self.oracle.violate("I7", format!("agent {agent} makes no receipts: {error}"));
                return;
            }
        };
        self.carry_agent(agent, effects);
        self.agent_follows(agent);
        if self.life_of(agent) == Some(life) {
            let made = self.hub_now();
            self.carry(agent, &Arc::new(File::Receipts { frames, made }), 60_000);
        }
    }

    fn take_receipts(&mut self, agent: usize, frames: Vec<AgentFrame>, made: Now) {
        let receipts = match Receipts::of_frames(frames) {
            Ok(receipts) => receipts,
            Err(error) => {
                self.oracle.violate("I20", format!("receipts of agent {agent} are not read: {error}"));
                return;
            }
        };
        let mut refused = None;
        let mut taken = false;
        self.with_link(agent, |link, context| match link.take_receipts(&receipts, made, context)? {
            Ok((effects, already)) => {
                taken = !already;
                Ok(effects)
            }
            Err(error) => {
                refused = Some(error);
                Ok(HubEffects::default())
            }
        });
        // By file nobody tells an agent whose store was put back that its journal goes on otherwise.
        let replaced = self.oracle.replaced.contains(&agent);
        for batch in receipts.journal.iter().filter(|_| taken) {
            self.with_link(agent, |link, context| {
                let mut effects = link.take_receipts_journal(batch, Sent::Then, context)?;
                effects.events.retain(|event| !replaced || !matches!(event, HubEvent::JournalRefused { .. }));
                Ok(effects)
            });
        }
        note!(self, "hub takes receipts of {agent}: taken={taken} {refused:?}");
    }
}
