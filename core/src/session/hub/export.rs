//! Desired state by file: the head that an agent with no link should hold next, and all that it takes to hold it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::bulk::Transfer;
use super::record::{inflight_ops, remember};
use super::{HubContext, HubEffects, HubLink, Phase};
use crate::bundle::Header;
use crate::desired::{DesiredList, Head, SignedHead};
use crate::ids::{Digest, Epoch};
use crate::release::Root;
use crate::session::bulk::Codec;
use crate::session::frame::{HubFrame, TransferId};
use crate::session::list::changes;
use crate::session::tables::get_release;
use crate::store::{StoreError, StoreRead};

/// Bytes of chunks that are made at a time.
const PIECE: usize = 256 << 10;

/// Why no bundle can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportRefused {
    /// Nothing is known of what the cluster should run.
    #[error("nothing has been published for this cluster yet")]
    Nothing,
    /// Two clusters have this identity.
    #[error("two clusters use this identity: neither is served until an operator has decided")]
    Cloned,
    /// A stream is open and has not settled.
    #[error("the agent is connected and is being told its newest head: try again in a moment")]
    Busy,
    /// A release went away while it was read.
    #[error("release {0} was replaced while the bundle was made: try again")]
    Gone(Root),
}

/// A bundle that is being made.
#[derive(Debug, Clone)]
pub struct Export {
    header: Header,
    begin: VecDeque<HubFrame>,
    releases: VecDeque<(TransferId, Root)>,
    current: Option<(TransferId, Transfer)>,
    roots: BTreeSet<Root>,
}

impl HubLink {
    /// Begins a bundle of the newest desired state. While the agent is away a newer state gets a head of its own, durable
    /// before it is given out, which follows the one made before (M13); the same state again is the same head.
    pub fn export(&mut self, context: &mut HubContext<'_>) -> Result<(HubEffects, Export), ExportRefused> {
        let mut effects = HubEffects::default();
        if self.record.clone.is_some() {
            return Err(ExportRefused::Cloned);
        }
        let newest = self.record.inflight.or(self.record.acked);
        if let Some(session) = &self.session {
            if !matches!(session.phase, Phase::Ready) || newest.is_none() {
                return Err(ExportRefused::Busy);
            }
        } else {
            let target = self.target().ok_or(ExportRefused::Nothing)?;
            let repeats = self.record.unknown.as_ref().is_some_and(|unknown| !unknown.repeated);
            let unsaid = repeats && self.record.inflight.is_none();
            if unsaid || newest.is_none_or(|newest| newest.head.list_root != target.root()) {
                self.make_head(newest, target, context, &mut effects);
            }
        }
        let list = self.inflight.as_ref().or(self.acked.as_ref()).ok_or(ExportRefused::Nothing)?;
        let header = Header {
            cluster: self.cluster,
            installation: self.installation,
            chain: self.record.lead(),
            made: context.now.wall,
        };
        let export = Export::new(header, list).ok_or(ExportRefused::Nothing)?;
        Ok((effects, export))
    }

    /// Makes the head that follows the newest one, for an agent that may not have heard of that.
    fn make_head(
        &mut self,
        newest: Option<SignedHead>,
        target: DesiredList,
        context: &mut HubContext<'_>,
        effects: &mut HubEffects,
    ) {
        let before = newest.map(|newest| newest.head);
        let highest = before.map(|before| before.generation).into_iter().chain([self.record.last]).max();
        let head = Head {
            cluster: self.cluster,
            epoch: *self.record.epoch.get_or_insert_with(|| Epoch::new(context.entropy.bytes16())),
            generation: highest.unwrap_or_default().next(),
            list_root: target.root(),
            previous: before.map_or(Digest::ZERO, |before| before.hash()),
        };
        let signature = context.signer.sign(&head.signed_bytes());
        let (acked, inflight) = (self.acked.as_ref(), self.inflight.as_ref());
        effects.ops.extend(remember(self.cluster, &mut self.recent, [acked, inflight], &target));
        effects.ops.extend(inflight_ops(self.cluster, acked, inflight, Some(&target)));
        self.record.sends(SignedHead { head, signature });
        self.inflight = Some(target);
        self.save(effects);
    }
}

// === impl Export ===

impl Export {
    fn new(header: Header, list: &DesiredList) -> Option<Self> {
        let newest = header.chain.last()?;
        let (base, parts) = changes(None, list);
        let mut begin: VecDeque<HubFrame> =
            parts.into_iter().map(|changes| HubFrame::ListChanges { base, changes }).collect();
        let mut unasked = Vec::new();
        let mut releases = VecDeque::new();
        let mut seen = BTreeMap::new();
        for (index, element) in (0u32..).zip(list.elements().values()) {
            let root = element.assignment.root;
            if seen.insert(root, index).is_none() {
                unasked.push(index);
                let number = u32::try_from(unasked.len()).unwrap_or(u32::MAX).saturating_mul(2);
                releases.push_back((TransferId(number), root));
            }
        }
        begin.push_back(HubFrame::Head {
            epoch: Some(newest.head.epoch),
            generation: newest.head.generation,
            signature: newest.signature,
            unasked,
        });
        Some(Self { header, begin, releases, current: None, roots: seen.into_keys().collect() })
    }

    /// Gives what the bundle is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Gives the releases that the bundle holds: they are to be kept until it is made.
    pub fn roots(&self) -> &BTreeSet<Root> {
        &self.roots
    }

    /// Gives the next frames; none when the bundle is whole.
    pub fn more(
        &mut self,
        store: &dyn StoreRead,
        codec: &dyn Codec,
    ) -> Result<Result<Vec<HubFrame>, ExportRefused>, StoreError> {
        if let Some(frame) = self.begin.pop_front() {
            return Ok(Ok(vec![frame]));
        }
        let mut frames = Vec::new();
        let mut size = 0usize;
        while size < PIECE {
            let (id, mut transfer) = if let Some(current) = self.current.take() {
                current
            } else {
                let Some((id, root)) = self.releases.pop_front() else { break };
                let Some(release) = get_release(store, root)? else {
                    return Ok(Err(ExportRefused::Gone(root)));
                };
                (id, Transfer::whole(release))
            };
            let Some(chunk) = transfer.next_chunk(id, store, codec)? else {
                return Ok(Err(ExportRefused::Gone(transfer.root())));
            };
            size += chunk.data.len() + 16;
            if !chunk.last {
                self.current = Some((id, transfer));
            }
            frames.push(HubFrame::Chunk(chunk));
        }
        Ok(Ok(frames))
    }
}
