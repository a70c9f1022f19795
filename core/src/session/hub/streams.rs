//! Streams of a cluster's agents: who is taken in, who is refused, and what is sent to whom.

use std::collections::BTreeSet;

use super::bulk::Transfers;
use super::chain::{OwnList, Position};
use super::record::PausedSince;
use super::{
    HubClosing, HubContext, HubEffects, HubEvent, HubLink, Phase, Session, SessionId, refusal, roots,
};
use crate::pause::ToldPause;
use crate::release::Root;
use crate::session::frame::{
    ClusterFacts, Hello, HubFrame, PROTOCOL, Refusal, RefusalReason, StatusBatch, Welcome,
};
use crate::session::liveness::Liveness;
use crate::session::tables::HUB_LINK;
use crate::store::{StoreError, StoreOp};
use crate::time::Now;

impl HubLink {
    pub(super) fn hello(
        &mut self,
        id: SessionId,
        hello: Hello,
        context: &mut HubContext<'_>,
        effects: &mut HubEffects,
    ) -> Result<(), StoreError> {
        let Some(protocol) = PROTOCOL.common(hello.protocol) else {
            let message = format!(
                "the hub speaks protocol {} to {}, the agent {} to {}",
                PROTOCOL.oldest, PROTOCOL.newest, hello.protocol.oldest, hello.protocol.newest
            );
            self.refuse(id, refusal(RefusalReason::Protocol, message), effects);
            return Ok(());
        };
        if self.is_cloned(id, &hello.facts, effects) {
            return Ok(());
        }
        if let Some(current) = self.session() {
            let (older, message) = if current < id {
                (current, "a newer stream of this cluster took over")
            } else {
                (id, "a newer stream of this cluster is open")
            };
            self.refuse(older, refusal(RefusalReason::Replaced, message), effects);
            if older == id {
                return Ok(());
            }
        }
        self.hears(hello.statement);
        let mut liveness = self.strangers.remove(&id).unwrap_or(Liveness::new(context.now));
        liveness.heard(context.now);
        let read_only = without_pause(hello.read_only, hello.paused.as_ref());
        self.take_facts(hello.facts, context.now, effects);
        let status = self.record.status.map(|status| (status.incarnation, status.sequence));
        let (installation, wall, journal) = (self.installation, context.now.wall, self.journal.held());
        let welcome = Welcome { protocol, installation, status, wall, journal };
        effects.frames.push((id, HubFrame::Welcome(welcome)));
        effects.events.push(HubEvent::Connected { session: id, read_only: read_only.clone() });
        self.take_pause(hello.paused, context.now, effects);
        if hello.head.is_some() && hello.head == self.record.inflight {
            self.commit_inflight(effects);
        }
        let mut session = Session {
            id,
            liveness,
            head: hello.head,
            anchor: hello.anchor,
            on_base: false,
            phase: Phase::Ready,
            awaiting: None,
            told_in_sync: false,
            transfers: Transfers::new(),
            read_only,
            capabilities: hello.capabilities,
        };
        match self.judge(&session, context.verifier) {
            Position::Acknowledged => session.on_base = true,
            Position::Known => {}
            Position::Unknown(why) if session.head.is_some() => {
                session.phase = Phase::OwnList(Box::default(), why);
                effects.frames.push((id, HubFrame::ListRequest));
            }
            Position::Unknown(why) => {
                self.session = Some(session);
                self.own_list_ended(id, OwnList::default(), why, context, effects)?;
                return Ok(());
            }
        }
        self.session = Some(session);
        self.advance(context, effects)
    }

    /// Refuses a stream of a cluster that uses another one's identity, and the other one's (M15).
    pub(super) fn is_cloned(
        &mut self,
        id: SessionId,
        facts: &ClusterFacts,
        effects: &mut HubEffects,
    ) -> bool {
        let uid = facts.kube_system_uid.as_str();
        let known = self.record.facts.as_ref().map_or("", |facts| facts.kube_system_uid.as_str()).to_owned();
        let cloned =
            || refusal(RefusalReason::Cloned, "two clusters use this identity; an operator has to decide");
        if self.record.refused_uids.iter().any(|refused| refused == uid) {
            let message = "an operator decided that another cluster has this identity";
            self.refuse(id, refusal(RefusalReason::Cloned, message), effects);
            return true;
        }
        if !uid.is_empty() && !known.is_empty() && uid != known && self.record.clone.is_none() {
            self.record.clone = Some(uid.to_owned());
            self.save(effects);
            effects.events.push(HubEvent::Cloned { known, other: uid.to_owned() });
        }
        if self.record.clone.is_none() {
            return false;
        }
        self.refuse(id, cloned(), effects);
        if let Some(current) = self.session() {
            self.refuse(current, cloned(), effects);
        }
        true
    }

    /// Decides which of two clusters with one identity is the right one (M15): the one with this UID of `kube-system`.
    /// The other stays refused.
    pub fn decide_clone(&mut self, keep: &str) -> HubEffects {
        let mut effects = HubEffects::default();
        let Some(other) = self.record.clone.take() else { return effects };
        let facts = self.record.facts.get_or_insert_default();
        let known = std::mem::replace(&mut facts.kube_system_uid, keep.to_owned());
        for uid in [known, other] {
            if uid != keep && !self.record.refused_uids.contains(&uid) {
                self.record.refused_uids.push(uid);
            }
        }
        self.record.refused_uids.retain(|uid| uid != keep);
        self.save(&mut effects);
        effects
    }

    pub(super) fn take_facts(&mut self, facts: ClusterFacts, now: Now, effects: &mut HubEffects) {
        let mut facts = facts;
        if let Some(known) = self.record.facts.as_ref().filter(|_| facts.kube_system_uid.is_empty()) {
            // An agent that has not reached its API server does not take back what is known.
            facts.kube_system_uid.clone_from(&known.kube_system_uid);
        }
        self.record.facts = Some(facts);
        self.record.last_seen = now.wall;
        self.save(effects);
    }

    /// Gives the pause that is in force at the edge, as far as is known.
    pub fn paused(&self) -> Option<&PausedSince> {
        self.record.paused.as_ref()
    }

    /// Takes what an agent tells of a pause at its edge.
    pub(super) fn take_pause(&mut self, told: Option<ToldPause>, now: Now, effects: &mut HubEffects) {
        let known = self.record.paused.take();
        let paused = told.map(|told| PausedSince::of(told, known.clone(), now));
        let changed = paused != known;
        self.record.paused.clone_from(&paused);
        if changed {
            self.save(effects);
            effects.events.push(HubEvent::Paused(paused));
        }
    }

    pub(super) fn take_own_list(
        &mut self,
        id: SessionId,
        settings: Option<Vec<u8>>,
        elements: Vec<Vec<u8>>,
        last: bool,
        context: &mut HubContext<'_>,
        effects: &mut HubEffects,
    ) -> Result<(), StoreError> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let Phase::OwnList(own, why) = &mut session.phase else {
            self.refuse(id, refusal(RefusalReason::Malformed, "a list that nobody asked for"), effects);
            return Ok(());
        };
        if !own.push(settings, elements) {
            self.refuse(id, refusal(RefusalReason::Malformed, "a list that is too large"), effects);
            return Ok(());
        }
        if !last {
            return Ok(());
        }
        let (own, why) = (std::mem::take(own.as_mut()), why.clone());
        self.own_list_ended(id, own, why, context, effects)
    }

    pub(super) fn own_list_ended(
        &mut self,
        id: SessionId,
        own: OwnList,
        why: String,
        context: &mut HubContext<'_>,
        effects: &mut HubEffects,
    ) -> Result<(), StoreError> {
        match self.adopt_own_list(own, why, context, effects) {
            Ok(()) => self.advance(context, effects),
            Err(message) => {
                self.refuse(id, refusal(RefusalReason::Malformed, message), effects);
                Ok(())
            }
        }
    }

    pub(super) fn take_status(
        &mut self,
        id: SessionId,
        batch: StatusBatch,
        now: Now,
        effects: &mut HubEffects,
    ) {
        let Some(taken) = self.statuses.take(self.cluster, batch, &mut self.record, now) else {
            self.refuse(
                id,
                refusal(RefusalReason::Malformed, "statuses of too many apps, or too large ones"),
                effects,
            );
            return;
        };
        effects.ops.extend(taken.ops);
        if let Some(sequence) = taken.acknowledge {
            self.save(effects);
            effects.frames.push((id, HubFrame::StatusAck { sequence }));
        }
        if !taken.changed.is_empty() {
            effects.events.push(HubEvent::Status(taken.changed));
        }
    }

    /// Sends what the credit permits.
    pub(super) fn finish(
        &mut self,
        context: &HubContext<'_>,
        mut effects: HubEffects,
    ) -> Result<HubEffects, StoreError> {
        let Some(session) = &mut self.session else { return Ok(effects) };
        let id = session.id;
        let chunks = session.transfers.pump(context.store, context.codec)?;
        effects.frames.extend(chunks.into_iter().map(|frame| (id, frame)));
        if effects.frames.iter().any(|(to, _)| *to == id) {
            session.liveness.sent(context.now);
        }
        Ok(effects)
    }

    pub(super) fn is_current(&self, id: SessionId) -> bool {
        self.session() == Some(id)
    }

    pub(super) fn end_session(&mut self, effects: &mut HubEffects) {
        let Some(session) = self.session.take() else { return };
        effects.events.push(HubEvent::Disconnected { session: session.id });
        effects.events.extend(self.commands.disconnected().into_iter().map(HubEvent::Command));
    }

    /// Refuses every stream, those to come included.
    pub(super) fn shut(&mut self, refusal: Refusal) -> HubEffects {
        let effects = self.cut(&refusal);
        self.shut = Some(refusal);
        effects
    }

    /// Refuses every stream that is open.
    pub(super) fn cut(&mut self, refusal: &Refusal) -> HubEffects {
        let mut effects = HubEffects::default();
        let streams: Vec<SessionId> = self.strangers.keys().copied().chain(self.session()).collect();
        for id in streams {
            self.refuse(id, refusal.clone(), &mut effects);
        }
        effects
    }

    pub(super) fn refuse(&mut self, id: SessionId, refusal: Refusal, effects: &mut HubEffects) {
        self.strangers.remove(&id);
        effects.frames.push((id, HubFrame::Refused(refusal.clone())));
        effects.events.push(HubEvent::Refused { session: id, refusal: refusal.clone() });
        effects.close.push((id, HubClosing::Refuses(refusal)));
        if self.is_current(id) {
            self.end_session(effects);
        }
    }

    /// Makes the record durable; the last write of a transaction counts.
    pub(super) fn save(&self, effects: &mut HubEffects) {
        effects.ops.push(StoreOp::put(HUB_LINK, self.cluster.as_bytes().as_slice(), &self.record));
    }

    /// Gives the releases that this cluster may name: a cluster gets nothing that was never its own.
    pub(super) fn permitted(&self) -> BTreeSet<Root> {
        let lists = self.acked.iter().chain(&self.inflight).flat_map(roots);
        lists.chain(self.recent.values().flatten().copied()).collect()
    }
}

/// An agent says its pause in both ways: to this hub the one is enough.
pub(super) fn without_pause(read_only: Option<String>, paused: Option<&ToldPause>) -> Option<String> {
    let said = paused.map(ToldPause::words);
    read_only.filter(|reason| Some(reason) != said.as_ref())
}
