//! What the agent tells its flight recorder.

use super::staged::Staged;
use super::{AgentMachine, Context, Effects};
use crate::ids::AppId;
use crate::journal::{JournalHeld, Recorder};
use crate::reconcile::Event;
use crate::store::StoreError;
use crate::time::Now;

impl AgentMachine {
    /// Gives the flight recorder.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Writes what is to be told, in the transaction of what it tells of, and sends what the hub has not.
    pub(super) fn keep_journal(
        &mut self,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        if self.started {
            self.recorder.writes(self.not_trusted().as_deref(), context.now);
        }
        self.recorder.flush(context.now);
        effects.ops.extend(self.recorder.take_ops());
        if !self.link.is_connected() {
            return Ok(());
        }
        let staged = Staged { base: context.store, ops: &effects.ops };
        if let Some(batch) = self.recorder.next_batch(&staged, context.now)? {
            let link = self.link.send_journal(batch, context.now);
            self.absorb(link, context, effects)?;
        }
        Ok(())
    }

    /// Notes in the journal what was asked for.
    pub(super) fn note(&mut self, app: &AppId, reason: &'static str, message: String, now: Now) {
        let event = Event { app: app.clone(), key: None, reason, message };
        self.recorder.event(app, &event, now);
    }

    /// Takes what the hub has of the journal.
    pub(super) fn journal_held(
        &mut self,
        held: JournalHeld,
        context: &mut Context<'_>,
        effects: &Effects,
    ) -> Result<(), StoreError> {
        let staged = Staged { base: context.store, ops: &effects.ops };
        self.recorder.welcomed(held, &staged, context.now, context.entropy)
    }

    /// Takes the hub's refusal of rows.
    pub(super) fn journal_refused(
        &mut self,
        why: &str,
        context: &mut Context<'_>,
        effects: &Effects,
    ) -> Result<(), StoreError> {
        let staged = Staged { base: context.store, ops: &effects.ops };
        self.recorder.refused(why, &staged, context.now, context.entropy)
    }
}
