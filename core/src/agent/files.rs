//! What comes and goes by file, for a cluster that has no link.

use super::staged::Staged;
use super::{AgentMachine, Context, Effects};
use crate::session::agent::{AgentEffects, ImportResult};
use crate::session::frame::{AgentFrame, ClusterFacts};
use crate::store::StoreError;

impl AgentMachine {
    /// Says everything that a hub would be told on a stream, as frames of receipts, which leave once the effects are carried
    /// out; `facts` are those of a cluster that was not reached in this life.
    pub fn receipts(
        &mut self,
        facts: ClusterFacts,
        context: &mut Context<'_>,
    ) -> Result<(Effects, Vec<AgentFrame>), StoreError> {
        let mut effects = Effects::default();
        self.turn(context, &mut effects)?;
        let facts = self.facts.clone().unwrap_or(facts);
        let AgentEffects { ops, anchor, mut frames, .. } =
            self.link.receipts(facts, self.read_only.clone(), context.now);
        effects.ops.extend(ops);
        effects.anchor = anchor.or(effects.anchor);
        let staged = Staged { base: context.store, ops: &effects.ops };
        let journal = self.recorder.all_batches(&staged, context.now)?;
        frames.extend(journal.into_iter().map(AgentFrame::Journal));
        Ok((effects, frames))
    }

    /// Takes the result of the last [`super::Input::Import`].
    pub fn take_import_result(&mut self) -> Option<ImportResult> {
        self.import_result.take()
    }
}
