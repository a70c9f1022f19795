//! What nothing names any more goes from the store.

use std::collections::BTreeSet;

use super::{AgentMachine, COLLECT_MS, Context, Effects, Staged};
use crate::ids::Digest;
use crate::release::Root;
use crate::session::agent::Pins;
use crate::session::tables as link_tables;
use crate::store::{StoreError, StoreOp};

impl AgentMachine {
    pub(super) fn collect(
        &mut self,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        self.collect_at = context.now.ms().saturating_add(COLLECT_MS);
        self.may_collect = false;
        let pins =
            Pins { roots: self.reconciler.pinned_roots(), manifests: self.reconciler.pinned_manifests() };
        // What this turn's transaction adds is in memory already, so it is pinned like the rest.
        let staged = Staged { base: context.store, ops: &effects.ops };
        let ops = self.link.collect(&pins, &staged)?;
        let mut roots = BTreeSet::new();
        let mut manifests = BTreeSet::new();
        for op in &ops {
            if let StoreOp::Delete { table, key } = op {
                let digest = Digest::from_slice(key);
                if *table == link_tables::RELEASES {
                    roots.extend(digest.map(Root));
                } else if *table == link_tables::MANIFESTS {
                    manifests.extend(digest);
                }
            }
        }
        effects.ops.extend(ops);
        self.reconciler.collected(&roots, &manifests);
        let output = self.reconciler.take_output();
        effects.ops.extend(output.ops);
        Ok(())
    }
}
