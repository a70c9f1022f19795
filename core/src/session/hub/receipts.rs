//! Receipts: what an agent says of itself, by file, taken as if a stream had brought it.
//!
//! No stream is open, so nothing is answered. What was said before on a stream, or in receipts that came first, is never
//! overwritten by older words: an agent numbers its statements.

use super::bulk::Transfers;
use super::chain::{OwnList, Position};
use super::record::{acked_ops, inflight_ops};
use super::{HubContext, HubEffects, HubEvent, HubLink, Phase, Session, SessionId};
use crate::bundle::{Receipts, ReceiptsRefused};
use crate::desired::{Anchor, DesiredList};
use crate::journal::{JournalBatch, Sent};
use crate::session::frame::{Hello, PROTOCOL, Statement};
use crate::session::liveness::Liveness;
use crate::store::StoreError;
use crate::time::Now;

/// The stream that receipts stand in for; it is never open.
const NO_STREAM: SessionId = SessionId(0);

impl HubLink {
    /// Takes receipts that were made at `then`, but for their journal; the agent that made them is known by its key. Gives
    /// whether they were taken before.
    pub fn take_receipts(
        &mut self,
        receipts: &Receipts,
        then: Now,
        context: &mut HubContext<'_>,
    ) -> Result<Result<(HubEffects, bool), ReceiptsRefused>, StoreError> {
        let Receipts { hello, settings, elements, statuses, journal: _ } = receipts;
        let mut own = OwnList::default();
        if !own.push(settings.clone(), elements.clone()) {
            return Ok(Err(ReceiptsRefused::Damaged("a list that is too large".to_owned())));
        }
        if let Err(refused) = self.may_take(hello) {
            return Ok(Err(refused));
        }
        let mut effects = HubEffects::default();
        let already = self.record.statement == hello.statement;
        if already {
            // The same number of another process: the agent's machine was put back to a snapshot in between.
            if self.record.status.is_none_or(|status| status.incarnation != hello.incarnation) {
                return Ok(Err(ReceiptsRefused::Older));
            }
            return Ok(Ok((effects, true)));
        }
        let mut next = self.clone();
        if let Err(refused) = next.take_position(hello, &own, context, &mut effects) {
            return Ok(Err(refused));
        }
        let last_seen = next.record.last_seen.max(then.wall);
        next.take_facts(hello.facts.clone(), then, &mut effects);
        next.record.last_seen = last_seen;
        next.take_pause(hello.paused.clone(), then, &mut effects);
        for batch in statuses {
            let Some(taken) = next.statuses.take(next.cluster, batch.clone(), &mut next.record, then) else {
                return Ok(Err(ReceiptsRefused::Damaged(
                    "statuses of too many apps, or too large ones".into(),
                )));
            };
            effects.ops.extend(taken.ops);
            if !taken.changed.is_empty() {
                effects.events.push(HubEvent::Status(taken.changed));
            }
        }
        next.hears(hello.statement);
        next.save(&mut effects);
        effects.frames.clear();
        *self = next;
        Ok(Ok((effects, false)))
    }

    /// Takes rows of the journal that came with receipts.
    pub fn take_receipts_journal(
        &mut self,
        batch: &JournalBatch,
        sent: Sent,
        context: &HubContext<'_>,
    ) -> Result<HubEffects, StoreError> {
        let mut effects = HubEffects::default();
        self.take_journal(NO_STREAM, batch, sent, context, &mut effects)?;
        effects.frames.clear();
        Ok(effects)
    }

    /// Notes what the agent said last, on a stream or by file.
    pub(super) fn hears(&mut self, statement: Option<Statement>) {
        let Some(statement) = statement else { return };
        if let Some(before) = self.record.statement.replace(statement)
            && before.series != statement.series
        {
            self.record.past_series.push(before.series);
            if self.record.past_series.len() > PAST {
                self.record.past_series.remove(0);
            }
        }
    }

    fn may_take(&self, hello: &Hello) -> Result<(), ReceiptsRefused> {
        if PROTOCOL.common(hello.protocol).is_none() {
            return Err(ReceiptsRefused::Protocol);
        }
        if self.session.is_some() {
            return Err(ReceiptsRefused::Connected);
        }
        let uid = hello.facts.kube_system_uid.as_str();
        let known = self.record.facts.as_ref().map_or("", |facts| facts.kube_system_uid.as_str());
        let refused = self.record.refused_uids.iter().any(|refused| refused == uid);
        if refused || self.record.clone.is_some() || (!uid.is_empty() && !known.is_empty() && uid != known) {
            return Err(ReceiptsRefused::Cloned { known: known.to_owned(), other: uid.to_owned() });
        }
        let said = hello.statement.ok_or_else(|| ReceiptsRefused::Damaged("no number".to_owned()))?;
        let older = self.record.statement.is_some_and(|last| {
            (last.series == said.series && said.number < last.number)
                || self.record.past_series.contains(&said.series)
        });
        if older { Err(ReceiptsRefused::Older) } else { Ok(()) }
    }

    /// Concludes from the head that the agent holds, as at the begin of a stream (M14).
    fn take_position(
        &mut self,
        hello: &Hello,
        own: &OwnList,
        context: &mut HubContext<'_>,
        effects: &mut HubEffects,
    ) -> Result<(), ReceiptsRefused> {
        let damaged = |why: &str| ReceiptsRefused::Damaged(why.to_owned());
        if hello.head.is_some() && hello.head == self.record.inflight {
            self.commit_inflight(effects);
        }
        let session = Session {
            id: NO_STREAM,
            liveness: Liveness::new(context.now),
            head: hello.head,
            anchor: hello.anchor,
            on_base: false,
            phase: Phase::Ready,
            awaiting: None,
            told_in_sync: false,
            transfers: Transfers::new(),
            read_only: None,
            capabilities: hello.capabilities.clone(),
        };
        match self.judge(&session, context.verifier) {
            Position::Acknowledged => Ok(()),
            Position::Known if hello.head.is_none() || session.is_rolled_back() => Ok(()),
            Position::Known => {
                let Some(held) = hello.head else { return Ok(()) };
                let newer = self.record.acked.is_some_and(|acked| {
                    acked.head.epoch == held.head.epoch && held.head.generation < acked.head.generation
                });
                if newer {
                    // They were made before the agent acknowledged that on a stream which was open then.
                    return Err(ReceiptsRefused::Older);
                }
                let settings = own.settings.clone().ok_or_else(|| damaged("a list without settings"))?;
                let list = DesiredList::from_parts(settings, own.elements.clone())
                    .map_err(|error| damaged(&error.to_string()))?;
                if list.root() != held.head.list_root {
                    return Err(damaged("its list does not hash to the root in its head"));
                }
                let (acked, inflight) = (self.acked.as_ref(), self.inflight.as_ref());
                effects.ops.extend(inflight_ops(self.cluster, acked, inflight, None));
                effects.ops.extend(acked_ops(self.cluster, acked, Some(&list)));
                if self.record.has_come_to(held) {
                    // A newer bundle is on its way; its list is kept as what differs from the acknowledged one.
                    effects.ops.extend(inflight_ops(self.cluster, Some(&list), None, inflight));
                } else {
                    self.inflight = None;
                    self.record.acknowledges(Some(held));
                }
                self.acked = Some(list);
                let (epoch, generation) = (held.head.epoch, held.head.generation);
                effects.events.push(HubEvent::Acknowledged { epoch, generation });
                Ok(())
            }
            Position::Unknown(why) => {
                self.session = Some(session);
                let adopted = self.adopt_own_list(own.clone(), why, context, effects);
                self.session = None;
                let heads = [hello.head.map(|held| Anchor::of(&held.head)), hello.anchor];
                let highest = heads.into_iter().flatten().map(|anchor| anchor.generation).max();
                self.record.last = highest.unwrap_or_default().max(self.record.last);
                adopted.map_err(damaged)
            }
        }
    }
}

/// Most earlier stores of an agent whose receipts are known to be old.
const PAST: usize = 8;
