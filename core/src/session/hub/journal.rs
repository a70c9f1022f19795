//! The agent's journal at its hub.

use std::collections::BTreeMap;

use super::{HubContext, HubEffects, HubEvent, HubLink, SessionId};
use crate::ids::AppId;
use crate::journal::{JournalBatch, Keeper, Sent, Taken};
use crate::release::Root;
use crate::session::frame::HubFrame;
use crate::store::StoreError;

impl HubLink {
    /// Gives what is here of the agent's journal.
    pub fn journal(&self) -> &Keeper {
        &self.journal
    }

    /// Notes the commits of releases that the journal's next rows name: they are kept with the rows.
    pub fn set_revisions(&mut self, revisions: BTreeMap<(AppId, Root), String>) {
        self.revisions = revisions;
    }

    /// Takes rows: what does not follow is refused, and the link goes on.
    pub(super) fn take_journal(
        &mut self,
        session: SessionId,
        batch: &JournalBatch,
        sent: Sent,
        context: &HubContext<'_>,
        effects: &mut HubEffects,
    ) -> Result<(), StoreError> {
        let revisions = std::mem::take(&mut self.revisions);
        let taken = self.journal.take(self.cluster, batch, &revisions, context.store, context.now, sent)?;
        let Taken { ops, answer, gap } = taken;
        effects.ops.extend(ops);
        effects.events.extend(gap.map(|(from, to)| HubEvent::JournalGap { from, to }));
        let frame = match answer {
            Ok(sequence) => HubFrame::JournalAck { sequence },
            Err(why) => {
                effects.events.push(HubEvent::JournalRefused { why: why.clone() });
                HubFrame::JournalRefused { why }
            }
        };
        effects.frames.push((session, frame));
        Ok(())
    }
}
