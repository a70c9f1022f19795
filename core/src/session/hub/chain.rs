//! Heads at the hub: what an agent holds, and what follows it (M13, M14).

use super::bulk::Transfers;
use super::record::{UnknownChain, acked_ops, inflight_ops, remember};
use super::{HubContext, HubEffects, HubEvent, HubLink, Phase, Session};
use crate::desired::{Anchor, DesiredList, Head, ListSettings, SignedHead, VerifyHead};
use crate::ids::{Digest, Epoch, Generation};
use crate::session::frame::{HubFrame, UNASKED};
use crate::session::list::{LIST_LIMIT, changes};
use crate::store::StoreError;

/// Most releases that are looked at for what may go unasked with one head.
const OFFERS: usize = 64;
/// A budget below this fits nothing.
const SMALLEST: usize = 64;

/// The agent's own list on its way up.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnList {
    pub(super) settings: Option<Vec<u8>>,
    pub(super) elements: Vec<Vec<u8>>,
    size: usize,
}

impl OwnList {
    /// Takes a part; `false` when the list is larger than any may be.
    pub(super) fn push(&mut self, settings: Option<Vec<u8>>, elements: Vec<Vec<u8>>) -> bool {
        self.size += settings.iter().chain(&elements).map(|bytes| bytes.len() + 32).sum::<usize>();
        self.settings = settings.or(self.settings.take());
        self.elements.extend(elements);
        self.size <= LIST_LIMIT
    }
}

/// What the hub makes of the head that an agent names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    /// It holds the acknowledged list.
    Acknowledged,
    /// Its head is of this chain, but the list is to be sent whole.
    Known,
    /// Its head is of no chain that this hub knows.
    Unknown(String),
}

impl HubLink {
    /// Judges the head and the anchor that an agent names.
    pub(super) fn judge(&self, session: &Session, verifier: &dyn VerifyHead) -> Position {
        if let Some(anchor) = session.anchor.filter(|anchor| !self.record.knows(anchor)) {
            return Position::Unknown(format!("its anchor {} is of another chain", anchor.generation));
        }
        let Some(held) = session.head else { return Position::Known };
        if self.record.acked == Some(held) {
            return Position::Acknowledged;
        }
        let head = held.head;
        let signed = || verifier.verify(&head.signed_bytes(), &held.signature);
        if head.cluster == self.cluster && session.is_rolled_back() && signed() {
            // The anchor is of this chain: the agent's store was rolled back to an older one, not the hub's.
            return Position::Known;
        }
        if head.cluster != self.cluster || Some(head.epoch) != self.record.epoch {
            return Position::Unknown(format!("its head {} is of another epoch", head.generation));
        }
        if head.generation > self.record.last {
            return Position::Unknown(format!(
                "its head {} is above the last one sent, {}",
                head.generation, self.record.last
            ));
        }
        if !signed() {
            return Position::Unknown(format!("its head {} is not signed by this hub", head.generation));
        }
        if !self.record.knows(&Anchor::of(&head)) {
            return Position::Unknown(format!("its head {} is not the one that was sent", head.generation));
        }
        Position::Known
    }

    /// Notes that the agent holds the head in flight.
    pub(super) fn commit_inflight(&mut self, effects: &mut HubEffects) {
        let (Some(head), Some(list)) = (self.record.inflight.take(), self.inflight.take()) else { return };
        effects.ops.extend(inflight_ops(self.cluster, self.acked.as_ref(), Some(&list), None));
        effects.ops.extend(acked_ops(self.cluster, self.acked.as_ref(), Some(&list)));
        self.record.acknowledges(Some(head));
        self.acked = Some(list);
        if let Some(unknown) = &mut self.record.unknown {
            unknown.repeated = true;
        }
        self.save(effects);
        let Head { epoch, generation, .. } = head.head;
        effects.events.push(HubEvent::Acknowledged { epoch, generation });
    }

    /// Verifies the list that an agent of an unknown chain sent, and takes it as what that agent holds.
    pub(super) fn adopt_own_list(
        &mut self,
        own: OwnList,
        why: String,
        context: &mut HubContext<'_>,
        effects: &mut HubEffects,
    ) -> Result<(), &'static str> {
        let held = self.session.as_ref().and_then(|session| session.head);
        let adopted = match held {
            None => None,
            Some(held) => {
                let settings = own.settings.ok_or("a list without settings")?;
                let list = DesiredList::from_parts(settings, own.elements)
                    .map_err(|_bad| "a list that does not decode")?;
                if list.root() != held.head.list_root {
                    return Err("a list that does not hash to the root in its head");
                }
                let signed = held.head.cluster == self.cluster
                    && context.verifier.verify(&held.head.signed_bytes(), &held.signature);
                // The list of a store that was rolled back is not what its cluster runs: like that of a lost one, it
                // is not repeated.
                let runs = self.session.as_ref().is_some_and(|session| !session.is_rolled_back());
                (signed && runs).then_some((held, list))
            }
        };
        effects.ops.extend(inflight_ops(self.cluster, self.acked.as_ref(), self.inflight.as_ref(), None));
        let list = adopted.as_ref().map(|(_, list)| list);
        effects.ops.extend(acked_ops(self.cluster, self.acked.as_ref(), list));
        self.record.epoch = Some(Epoch::new(context.entropy.bytes16()));
        self.inflight = None;
        self.record.acknowledges(adopted.as_ref().map(|(head, _)| *head));
        self.acked = adopted.map(|(_, list)| list);
        effects.events.push(HubEvent::UnknownChain { why: why.clone() });
        self.record.unknown = Some(UnknownChain { since: context.now.wall, why, repeated: false });
        if let Some(session) = &mut self.session {
            session.phase = Phase::Ready;
            session.on_base = self.acked.is_some();
        }
        self.save(effects);
        Ok(())
    }

    /// Gives the list that the agent should hold now; `None` while nothing is known of it.
    pub(super) fn target(&self) -> Option<DesiredList> {
        let Some(unknown) = &self.record.unknown else {
            return self.published.as_ref().map(|published| published.list.clone());
        };
        let settings = ListSettings { installation: self.installation, hold_deletes: true };
        let mut target = match (&self.acked, &self.published) {
            (Some(acked), _) => acked.clone(),
            (None, _) => DesiredList::empty(settings),
        };
        if target.settings() != settings {
            target.set_settings(settings);
        }
        let Some(published) = self.published.as_ref().filter(|_| unknown.repeated) else {
            return Some(target);
        };
        for (app, element) in published.list.elements() {
            // Bytes that were read once are read again.
            if published.fresh.contains(app) && target.set_bytes(element.bytes.clone()).is_err() {
                target.set(element.assignment.clone());
            }
        }
        Some(target)
    }

    /// Sends what the agent lacks, unless a head is on its way to it.
    pub(super) fn advance(
        &mut self,
        context: &mut HubContext<'_>,
        effects: &mut HubEffects,
    ) -> Result<(), StoreError> {
        let Some(session) = &self.session else { return Ok(()) };
        if session.awaiting.is_some() || !matches!(session.phase, Phase::Ready) {
            return Ok(());
        }
        let Some(target) = self.target() else { return Ok(()) };
        let must_repeat = self.record.unknown.as_ref().is_some_and(|unknown| !unknown.repeated);
        if let Some(held) = session.head.filter(|_| !must_repeat)
            && held.head.list_root == target.root()
            && session.anchor.is_none_or(|anchor| {
                anchor.generation < held.head.generation || anchor == Anchor::of(&held.head)
            })
        {
            self.in_sync(held, target, effects);
            return Ok(());
        }
        self.send_head(target, context, effects)
    }

    fn in_sync(&mut self, held: SignedHead, target: DesiredList, effects: &mut HubEffects) {
        let Some(session) = &mut self.session else { return };
        if !std::mem::replace(&mut session.told_in_sync, true) {
            effects.frames.push((session.id, HubFrame::InSync));
        }
        if session.on_base {
            return;
        }
        session.on_base = true;
        effects.ops.extend(inflight_ops(self.cluster, self.acked.as_ref(), self.inflight.as_ref(), None));
        effects.ops.extend(acked_ops(self.cluster, self.acked.as_ref(), Some(&target)));
        self.inflight = None;
        self.record.acknowledges(Some(held));
        self.acked = Some(target);
        self.save(effects);
    }

    /// Makes the head that follows the agent's, durable before it is sent (M13).
    fn send_head(
        &mut self,
        target: DesiredList,
        context: &mut HubContext<'_>,
        effects: &mut HubEffects,
    ) -> Result<(), StoreError> {
        let Some(mut session) = self.session.take() else { return Ok(()) };
        let held = session.head.map(|held| held.head);
        let highest = [
            Some(self.record.last),
            held.map(|held| held.generation),
            session.anchor.map(|anchor| anchor.generation),
        ];
        let generation = highest.into_iter().flatten().max().unwrap_or_default().next();
        let epoch = *self.record.epoch.get_or_insert_with(|| Epoch::new(context.entropy.bytes16()));
        let head = Head {
            cluster: self.cluster,
            epoch,
            generation,
            list_root: target.root(),
            previous: held.map_or(Digest::ZERO, |held| held.hash()),
        };
        let signature = context.signer.sign(&head.signed_bytes());
        let base = self.acked.as_ref().filter(|_| session.on_base);
        let (list_base, parts) = changes(base, &target);
        let unasked = self.offer(&mut session, &target, context)?;
        for changes in parts {
            effects.frames.push((session.id, HubFrame::ListChanges { base: list_base, changes }));
        }
        let named = Some(epoch).filter(|epoch| held.map(|held| held.epoch) != Some(*epoch));
        let frame = HubFrame::Head { epoch: named, generation, signature, unasked };
        effects.frames.push((session.id, frame));
        let (acked, before) = (self.acked.as_ref(), self.inflight.as_ref());
        effects.ops.extend(remember(self.cluster, &mut self.recent, [acked, before], &target));
        effects.ops.extend(inflight_ops(self.cluster, acked, before, Some(&target)));
        self.record.sends(SignedHead { head, signature });
        self.inflight = Some(target);
        session.awaiting = Some(generation);
        session.told_in_sync = true;
        self.session = Some(session);
        self.save(effects);
        Ok(())
    }

    /// Prepares what small releases may go unasked (M10); gives their apps by index.
    fn offer(
        &self,
        session: &mut Session,
        target: &DesiredList,
        context: &HubContext<'_>,
    ) -> Result<Vec<u32>, StoreError> {
        let base = self.acked.as_ref().filter(|_| session.on_base);
        if base.is_none() && session.head.is_some() {
            // What this agent has is not known: it asks for what it lacks.
            return Ok(Vec::new());
        }
        let mut budget = usize::try_from(UNASKED).unwrap_or(usize::MAX);
        let mut offered = Vec::new();
        let mut roots = std::collections::BTreeSet::new();
        let transfers: &mut Transfers = &mut session.transfers;
        for (index, (app, element)) in (0u32..).zip(target.elements()) {
            let root = element.assignment.root;
            let before = base.and_then(|base| base.get(app)).map(|assignment| assignment.root);
            if before == Some(root) || !roots.insert(root) {
                continue;
            }
            if roots.len() > OFFERS || budget < SMALLEST {
                break;
            }
            if let Some(size) = transfers.offer(root, before, budget, context.store, context.codec)? {
                offered.push(index);
                budget = budget.saturating_sub(size);
            }
        }
        Ok(offered)
    }

    /// Takes an agent's word that it holds the head in flight.
    pub(super) fn acknowledged(
        &mut self,
        epoch: Epoch,
        generation: Generation,
        context: &mut HubContext<'_>,
        effects: &mut HubEffects,
    ) -> Result<(), StoreError> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let Some(inflight) = self.record.inflight else { return Ok(()) };
        // A frame that came twice acknowledges nothing.
        if session.awaiting != Some(generation) || inflight.head.epoch != epoch {
            return Ok(());
        }
        session.awaiting = None;
        session.head = Some(inflight);
        session.anchor = Some(Anchor::of(&inflight.head));
        session.on_base = true;
        self.commit_inflight(effects);
        self.advance(context, effects)
    }
}
