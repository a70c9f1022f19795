//! What of an app's release goes to its cluster.

use std::sync::Arc;

use super::growth::Growth;
use super::split::{Document, Split};
use crate::application::ClusterRef;
use crate::ids::{AppId, Digest};
use crate::key::ResourceKey;
use crate::release::Release;
use crate::session::tables::{has_release, put_release};
use crate::store::StoreError;

// === impl Growth ===

impl Growth<'_> {
    /// Notes what of an app's release goes to the cluster; gives the release apart, as it counts for this app.
    pub(super) fn note_rest(
        &mut self,
        app: &AppId,
        split: Arc<Split>,
        commit: String,
    ) -> Result<Arc<Split>, StoreError> {
        let split = self.with_what_is_there(app, split)?;
        let root = split.rest.root();
        if split.documents.is_empty() && split.kept.is_empty() && !self.before.known.contains_key(app) {
            return Ok(split);
        }
        let family = self.families.entry(app.clone()).or_default();
        (family.root, family.commit) = (Some(root), Some(commit));
        for key in &split.kept {
            let message = format!(
                "{} {}: is not supported: it stays an object of the cluster because it was one, and a new one is refused",
                key.kind, key.name
            );
            self.say(app, "ExcludedResourceWarning", message);
        }
        if split.documents.is_empty() {
            return Ok(split);
        }
        if !has_release(self.store, root)? {
            self.ops.push(put_release(&split.rest));
        }
        if split.rest.is_empty() {
            self.read.only_documents.insert(app.clone());
        }
        self.rest.insert(app.clone(), root);
        Ok(split)
    }

    /// Leaves to the cluster what the hub takes from nobody and the cluster has: what is refused takes nothing away.
    fn with_what_is_there(&mut self, app: &AppId, split: Arc<Split>) -> Result<Arc<Split>, StoreError> {
        if !split.documents.iter().any(Document::is_unsupported) {
            return Ok(split);
        }
        let placed = self.placements.iter().find(|((_, of), placement)| {
            of == app && placement.assignment.destination.cluster == ClusterRef::IN_CLUSTER
        });
        let Some((_, placement)) = placed else { return Ok(split) };
        let namespace = placement.assignment.destination.namespace.clone();
        // The release that is placed is what went to the cluster before: all of it.
        let Some(there) = self.split(app, placement.assignment.root)? else { return Ok(split) };
        let named = |document: &Document| match document.key.namespace.as_str() {
            "" => document.key.in_namespace(&namespace),
            _ => document.key.clone(),
        };
        let is_there = |document: &&Document| {
            document.is_unsupported() && there.documents.iter().any(|of| named(of) == named(document))
        };
        let (kept, documents): (Vec<&Document>, Vec<&Document>) = split.documents.iter().partition(is_there);
        if kept.is_empty() {
            return Ok(split);
        }
        let rest = split.rest.entries().iter().map(|entry| (entry.id.key.clone(), entry.digest));
        let back: Vec<(ResourceKey, Digest)> =
            kept.iter().map(|document| (document.key.clone(), document.digest)).collect();
        let (rest, _) = Release::build(rest.chain(back));
        Ok(Arc::new(Split {
            kept: kept.into_iter().map(|document| document.key.clone()).collect(),
            documents: documents.into_iter().cloned().collect(),
            rest,
            empty: split.empty,
        }))
    }
}
