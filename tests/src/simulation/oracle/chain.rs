//! Heads, lists and acknowledgements: nothing goes back, nothing is said before it is durable (I1, I4, M13, M14).

use std::collections::BTreeMap;

use argosy_core::bundle::Header;
use argosy_core::desired::{Anchor, DesiredList, Phase, SignedHead, VerifyHead as _};
use argosy_core::ids::{AppId, Digest};
use argosy_core::key::ResourceKey;
use argosy_core::reconcile::InventoryEntry;
use argosy_core::reconcile::tables::{INVENTORY, PARTS};
use argosy_core::release::Root;
use argosy_core::session::frame::{AgentFrame, HubFrame};
use argosy_core::session::hub::HubLink;
use argosy_core::session::tables;
use argosy_core::store::{MemoryStore, StoreOp, StoreRead as _, decode, get_as};

use super::super::agent::Disk;
use super::super::git::Git;
use super::super::keys::{INSTALLATION, Key, cluster_id};
use super::Oracle;

/// Reads the list on a disk.
pub(in super::super) fn list_on(store: &MemoryStore) -> Option<DesiredList> {
    let settings = store.get(tables::LIST, tables::SETTINGS).ok()??;
    let rows = store.scan(tables::LIST, &[tables::ELEMENT]).ok()?;
    DesiredList::from_parts(settings, rows.into_iter().map(|(_, value)| value)).ok()
}

/// Tells whether signed heads lead from one to another.
fn leads(chain: &[SignedHead], from: Digest, to: &SignedHead) -> bool {
    let signed = chain.iter().all(|one| Key.verify(&one.head.signed_bytes(), &one.signature));
    let mut at = from;
    for one in chain {
        // Heads before the one that is held say nothing of it.
        if one.head.previous == at {
            at = one.head.hash();
        }
    }
    signed && at == to.head.hash()
}

impl Oracle {
    /// What an agent knows of its objects is what its disk says: a restart changes nothing (I7).
    pub(in super::super) fn remembers(
        &mut self,
        agent: usize,
        disk: &Disk,
        knows: &BTreeMap<ResourceKey, InventoryEntry>,
        ops: &[StoreOp],
    ) {
        for op in ops {
            let (StoreOp::Put { table, key, .. } | StoreOp::Delete { table, key }) = op;
            if ![INVENTORY, PARTS].contains(table) {
                continue;
            }
            let Ok(name) = decode::<ResourceKey>(table, key) else { continue };
            let durable = get_as::<InventoryEntry>(&disk.store, table, key).ok().flatten();
            if durable.as_ref() != knows.get(&name) {
                let message = format!("agent {agent} knows more of {name} than its disk: {durable:?}");
                self.violate("I7", message);
            }
        }
    }

    /// An agent made a transaction durable.
    pub(in super::super) fn agent_committed(
        &mut self,
        git: &Git,
        agent: usize,
        disk: &Disk,
        ops: &[StoreOp],
    ) {
        for op in ops {
            if let StoreOp::Put { table: table @ (INVENTORY | PARTS), key, .. } = op
                && let Ok(key) = decode::<ResourceKey>(table, key)
            {
                self.intends(agent, disk, &key);
            }
        }
        let is_head = |op: &StoreOp| match op {
            StoreOp::Put { table, .. } | StoreOp::Delete { table, .. } => *table == tables::HEAD,
        };
        if !ops.iter().any(is_head) {
            return;
        }
        let Ok(Some(signed)) = get_as::<SignedHead>(&disk.store, tables::HEAD, tables::HELD) else {
            self.violate("M13", format!("agent {agent} has no readable head"));
            return;
        };
        let Some(list) = list_on(&disk.store) else {
            self.violate("M13", format!("agent {agent} has a head and no readable list"));
            return;
        };
        let head = signed.head;
        if list.root() != head.list_root || !Key.verify(&head.signed_bytes(), &signed.signature) {
            self.violate(
                "I2",
                format!("agent {agent} holds a list that head {} does not sign", head.generation),
            );
        }
        if head.cluster != cluster_id(self.seat(agent)) || list.settings().installation != INSTALLATION {
            self.violate("I12", format!("agent {agent} holds the head of another cluster"));
        }
        let Some(seen) = self.agents.get(agent) else { return };
        let before = seen.head.as_ref().map(|head| (head.generation, head.hash()));
        // A file may bring back the very head that the anchor names.
        let again = |anchor: &Anchor| {
            let led = seen.led.last().is_some_and(|last| last.head == head);
            led && before.is_none() && Anchor::of(&head) == *anchor
        };
        let below = |anchor: &Anchor| head.generation <= anchor.generation && !again(anchor);
        if let Some(anchor) = disk.anchor.filter(below) {
            self.violate(
                "I1",
                format!("agent {agent} takes {} below its anchor {}", head.generation, anchor.generation),
            );
        }
        let led = |hash| self.agents.get(agent).is_some_and(|seen| leads(&seen.led, hash, &signed));
        if let Some((generation, hash)) = before
            && (head.generation <= generation || (head.previous != hash && !led(hash)))
        {
            self.violate(
                "M13",
                format!("head {} of agent {agent} does not follow {generation}", head.generation),
            );
        }
        self.list_accepted(git, agent, &list);
        if let Some(seen) = self.agents.get_mut(agent) {
            seen.head = Some(head);
            seen.list = Some(list);
        }
    }

    /// The hub made a bundle.
    pub(in super::super) fn exported(&mut self, store: &MemoryStore, agent: usize, header: &Header) {
        let link = HubLink::load(store, cluster_id(agent), INSTALLATION).ok();
        let sent = link.as_ref().and_then(HubLink::sent);
        let of = |signed: &SignedHead| (signed.head.epoch, signed.head.generation);
        let newest = header.chain.last().map(of);
        // One that was sent and never arrived is not the newest that the agent may have.
        let held = link.as_ref().and_then(HubLink::acknowledged_head).map(of);
        if newest.is_none() || (sent != newest && held != newest) {
            self.violate("M13", format!("a bundle of {newest:?} is made, durable is {sent:?}"));
        }
    }

    /// An agent reads a bundle: it may take its newest head if that follows, through others of it, the one held.
    pub(in super::super) fn imports(&mut self, agent: usize, header: &Header) {
        if let Some(seen) = self.agents.get_mut(agent) {
            seen.led.clone_from(&header.chain);
        }
    }

    /// No app goes back to an older commit, whatever became of the hub's store.
    fn list_accepted(&mut self, git: &Git, agent: usize, list: &DesiredList) {
        let mut reverted = None;
        let mut strange = None;
        for (app, element) in list.elements() {
            let here = git.history.iter().filter_map(|commit| commit.get(app));
            if !here.into_iter().any(|source| source.cluster == self.seat(agent)) {
                strange = Some(app.clone());
            }
            if !matches!(element.assignment.phase, Phase::Active | Phase::Frozen) {
                continue;
            }
            match self.commit_of(git, agent, app, element.assignment.root) {
                Some(commit) => {
                    if let Some(seen) = self.agents.get_mut(agent) {
                        seen.floors.insert(app.clone(), commit);
                    }
                }
                None => reverted = Some(app.clone()),
            }
        }
        if let Some(app) = strange {
            self.violate("I12", format!("agent {agent} is given {app}, which was never meant for it"));
        }
        if let Some(app) = reverted {
            self.violate("I1", format!("agent {agent} is given an older release of {app} than it had"));
        }
    }

    /// Gives the earliest commit, not before the newest known one, in which an app renders to this release.
    fn commit_of(&self, git: &Git, agent: usize, app: &AppId, root: Root) -> Option<usize> {
        let floor = self.agents.get(agent).and_then(|seen| seen.floors.get(app)).copied().unwrap_or(0);
        let known = self.roots.get(app)?.range(floor..=git.head()).find(|(_, of)| **of == root);
        // A commit that took the app away leaves its last release where it is.
        known.map(|(commit, _)| *commit).or_else(|| {
            let last = self.roots.get(app)?.range(..=floor).next_back()?;
            (*last.1 == root).then_some(floor)
        })
    }

    /// An agent says something.
    pub(in super::super) fn agent_says(&mut self, agent: usize, disk: &Disk, frame: &AgentFrame) {
        let held = || get_as::<SignedHead>(&disk.store, tables::HEAD, tables::HELD).ok().flatten();
        match frame {
            AgentFrame::HeadAck { epoch, generation } => {
                let durable = held().is_some_and(|held| {
                    held.head.epoch == *epoch
                        && held.head.generation == *generation
                        && disk.anchor == Some(Anchor::of(&held.head))
                });
                if !durable {
                    self.violate(
                        "I4",
                        format!("agent {agent} acknowledges {generation}, which is not durable"),
                    );
                }
            }
            AgentFrame::Hello(hello) => {
                if hello.head != held() || hello.anchor != disk.anchor {
                    self.violate("I4", format!("agent {agent} names a head that is not durable"));
                }
            }
            AgentFrame::Status(batch) if batch.entries.is_empty() => return,
            // What is told of the past is no change.
            AgentFrame::Alive | AgentFrame::Journal(_) => return,
            AgentFrame::OwnList { .. }
            | AgentFrame::Pull(_)
            | AgentFrame::Cancel(_)
            | AgentFrame::Credit(_)
            | AgentFrame::Status(_)
            | AgentFrame::CommandUpdate(_)
            | AgentFrame::Facts { .. }
            | AgentFrame::Refused(_) => {}
        }
        self.frames += 1;
    }

    /// The hub says something.
    pub(in super::super) fn hub_says(&mut self, store: &MemoryStore, agent: usize, frame: &HubFrame) {
        match frame {
            HubFrame::Head { generation, .. } => {
                let durable =
                    HubLink::load(store, cluster_id(agent), INSTALLATION).ok().and_then(|link| link.sent());
                let Some((epoch, last)) = durable else {
                    self.violate("M13", format!("head {generation} is sent and not durable"));
                    return;
                };
                let before = self.sent.insert(agent, (epoch, *generation));
                let follows = before.is_none_or(|(of, number)| of != epoch || number < *generation);
                if last != *generation || !follows {
                    self.violate(
                        "M13",
                        format!("head {generation} is sent after {before:?}, durable is {last}"),
                    );
                }
            }
            HubFrame::Refused(refusal) => {
                let benign = matches!(
                    refusal.reason,
                    argosy_core::session::frame::RefusalReason::Replaced
                        | argosy_core::session::frame::RefusalReason::Stopping
                );
                if !benign {
                    self.violate("I6", format!("the hub refuses agent {agent}: {refusal:?}"));
                }
            }
            HubFrame::Alive | HubFrame::JournalAck { .. } | HubFrame::JournalRefused { .. } => return,
            HubFrame::Welcome(_)
            | HubFrame::InSync
            | HubFrame::ListRequest
            | HubFrame::ListChanges { .. }
            | HubFrame::Chunk(_)
            | HubFrame::Gone(_)
            | HubFrame::StatusAck { .. }
            | HubFrame::Command(_)
            | HubFrame::CommandDone(_) => {}
        }
        self.frames += 1;
    }

    /// Gives what a release holds.
    pub(in super::super) fn release(&self, root: Root) -> Option<&Vec<(ResourceKey, Digest)>> {
        self.releases.get(&root)
    }
}
