//! Bundles: desired state by file for a cluster that has no link.

use super::Refused;
use crate::bundle::seal_bytes;
use crate::hub::{Context, Effects, HubMachine, Reply, Severity, link_context};
use crate::ids::{ClusterId, Digest};
use crate::session::hub::{Export, ExportRefused};
use crate::store::StoreError;

/// Most bundles that are made at a time.
const EXPORTS: usize = 4;
/// How long one may stand still before it is given up, in milliseconds.
const STANDS_MS: u64 = 60_000;

/// Names a bundle that is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExportId(pub u64);

/// A bundle that is being made.
#[derive(Debug)]
pub(in crate::hub) struct Making {
    export: Export,
    cluster: ClusterId,
    until: u64,
}

impl HubMachine {
    pub(super) fn export_bundle(
        &mut self,
        name: &str,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Reply, Refused> {
        let absent = || Refused::NoCluster(name.to_owned());
        let (cluster, member) = self.registry.find(name).ok_or_else(absent)?;
        if member.joined.is_none() {
            return Err(Refused::NotJoined(name.to_owned()));
        }
        self.give_up_exports(context.now.ms());
        if self.exports.len() >= EXPORTS {
            return Err(Refused::Exporting(EXPORTS));
        }
        let link = self.links.get_mut(&cluster).ok_or_else(absent)?;
        let (said, export) = link.export(&mut link_context(context, context.store))?;
        self.absorb(cluster, said, context.now, effects);
        self.look_behind(cluster, context.now);
        self.next_export += 1;
        let id = ExportId(self.next_export);
        let header = export.header().clone();
        let until = context.now.ms().saturating_add(STANDS_MS);
        self.exports.insert(id, Making { export, cluster, until });
        let head = header.chain.last().map(|newest| newest.head.generation).unwrap_or_default();
        let message = format!("a bundle of head {head} was made, to be imported at the cluster");
        self.tell(
            Severity::Info,
            "BundleExported",
            message,
            Some(name.to_owned()),
            None,
            context.now,
            effects,
        );
        Ok(Reply::Exporting { id, header: Box::new(header) })
    }

    pub(super) fn more_of_bundle(
        &mut self,
        id: ExportId,
        context: &Context<'_>,
    ) -> Result<Result<Reply, Refused>, StoreError> {
        let Some(making) = self.exports.get_mut(&id) else { return Ok(Err(Refused::NoExport)) };
        making.until = context.now.ms().saturating_add(STANDS_MS);
        let frames = making.export.more(context.store, context.codec)?;
        if frames.is_err() {
            self.exports.remove(&id);
        }
        Ok(frames.map(Reply::Exported).map_err(Refused::from))
    }

    /// Notes that somebody still reads what they were given of a bundle.
    pub(super) fn hold_bundle(&mut self, id: ExportId, now_ms: u64) -> Result<Reply, Refused> {
        let making = self.exports.get_mut(&id).ok_or(Refused::NoExport)?;
        making.until = now_ms.saturating_add(STANDS_MS);
        Ok(Reply::Noted)
    }

    /// Forgets a bundle that nobody reads any more.
    pub(super) fn drop_bundle(&mut self, id: ExportId) -> Reply {
        self.may_collect |= self.exports.remove(&id).is_some();
        Reply::Noted
    }

    /// Ends a bundle with the hub's word for every byte of it.
    pub(super) fn seal_bundle(
        &mut self,
        id: ExportId,
        digest: Digest,
        context: &Context<'_>,
    ) -> Result<Reply, Refused> {
        let _made = self.exports.remove(&id).ok_or(Refused::NoExport)?;
        self.may_collect = true;
        Ok(Reply::Sealed(context.signer.sign(&seal_bytes(digest))))
    }

    /// Forgets bundles that nobody goes on with.
    pub(in crate::hub) fn give_up_exports(&mut self, now_ms: u64) {
        let before = self.exports.len();
        let links = &self.links;
        self.exports.retain(|_, making| making.until > now_ms && links.contains_key(&making.cluster));
        self.may_collect |= self.exports.len() != before;
    }
}

impl From<ExportRefused> for Refused {
    fn from(refused: ExportRefused) -> Self {
        Self::Export(refused)
    }
}

impl Making {
    /// Gives the releases that are to be kept until the bundle is made.
    pub(in crate::hub) fn roots(&self) -> impl Iterator<Item = crate::release::Root> {
        self.export.roots().iter().copied()
    }
}
