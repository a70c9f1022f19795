//! Releases and manifests that nothing names any more (M25): a store stays bounded over any number of commits.

use std::collections::BTreeSet;

use super::{Context, Effects, HubMachine, Making, Staged};
use crate::fleet::Rendering;
use crate::ids::Digest;
use crate::release::Root;
use crate::session::hub::HubLink;
use crate::session::tables::{MANIFESTS, RELEASES, digest_keys, get_release};
use crate::store::{StoreError, StoreOp};

/// How often it is looked at.
const EVERY_MS: u64 = 10_000;

impl HubMachine {
    /// Drops what neither placements nor links nor newest renderings name.
    pub(super) fn collect(&mut self, context: &Context<'_>, effects: &mut Effects) -> Result<(), StoreError> {
        self.collect_at = context.now.ms().saturating_add(EVERY_MS);
        self.may_collect = false;
        self.give_up_exports(context.now.ms());
        self.may_collect |= !self.exports.is_empty();
        let mut pinned = self.fleet.pinned_roots();
        pinned.extend(self.exports.values().flat_map(Making::roots));
        pinned.extend(self.links.values().flat_map(HubLink::pinned));
        pinned.extend(self.rendered.values().filter_map(|app| match &app.rendering {
            Rendering::Rendered { root, .. } => Some(*root),
            Rendering::Pending(_) | Rendering::Failed(_) => None,
        }));
        let staged = Staged::new(context.store, &effects.ops);
        let mut dropped = Vec::new();
        let mut named: BTreeSet<Digest> = BTreeSet::new();
        for root in digest_keys(&staged, RELEASES)?.into_iter().map(Root) {
            if !pinned.contains(&root) {
                dropped.push(StoreOp::delete(RELEASES, root.0.as_bytes().as_slice()));
            } else if let Some(release) = get_release(&staged, root)? {
                named.extend(release.entries().iter().map(|entry| entry.digest));
            }
        }
        for digest in digest_keys(&staged, MANIFESTS)? {
            if !named.contains(&digest) {
                dropped.push(StoreOp::delete(MANIFESTS, digest.as_bytes().as_slice()));
            }
        }
        effects.ops.extend(dropped);
        Ok(())
    }
}
