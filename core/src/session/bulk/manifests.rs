//! Manifests of a release, each compressed with one that the receiver has.

use super::{BulkError, Codec, Item, Prefix};
use crate::ids::Digest;
use crate::release::Release;
use crate::session::frame::DECOMPRESSED_LIMIT;
use crate::session::tables::get_manifest;
use crate::store::{StoreError, StoreRead};

/// Where prefixes come from: the base release and the manifests in the store.
pub(crate) struct Source<'a> {
    pub(crate) store: &'a dyn StoreRead,
    pub(crate) codec: &'a dyn Codec,
    pub(crate) base: Option<&'a Release>,
}

impl Source<'_> {
    /// Gives the manifest that the base has for the entry at `index` of `release`.
    fn base_manifest(&self, release: &Release, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(entry) = release.entries().get(position) else { return Ok(None) };
        let Some(before) = self.base.and_then(|base| base.find(&entry.id)) else { return Ok(None) };
        get_manifest(self.store, before.digest)
    }
}

/// Writes the manifests of one transfer, in rising order of their entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct ManifestEncoder {
    next: u32,
    before: Option<Vec<u8>>,
}

impl ManifestEncoder {
    /// Makes the item of the entry at `index`; `None` when its manifest is not in the store.
    pub(crate) fn encode(
        &mut self,
        source: &Source<'_>,
        release: &Release,
        index: u32,
    ) -> Result<Option<Item>, StoreError> {
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(entry) = release.entries().get(position) else { return Ok(None) };
        let Some(manifest) = get_manifest(source.store, entry.digest)? else { return Ok(None) };
        let base = source.base_manifest(release, index)?;
        let (prefix, bytes) = match (&base, &self.before) {
            (Some(base), _) => (Prefix::Base, base.as_slice()),
            (None, Some(before)) => (Prefix::Before, before.as_slice()),
            (None, None) => (Prefix::Nothing, [].as_slice()),
        };
        let data = source.codec.compress(&manifest, bytes);
        let skip = index.saturating_sub(self.next);
        self.next = index.saturating_add(1);
        self.before = Some(manifest);
        Ok(Some(Item::Manifest { skip, prefix, data }))
    }
}

/// Reads the manifests of one transfer.
#[derive(Debug, Clone, Default)]
pub(crate) struct ManifestDecoder {
    next: u32,
    before: Option<Vec<u8>>,
}

/// A manifest as received and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) index: u32,
    pub(crate) digest: Digest,
    pub(crate) manifest: Vec<u8>,
}

impl ManifestDecoder {
    /// Reads one item of `release`; the inner error is the sender's fault, the outer one the store's.
    pub(crate) fn decode(
        &mut self,
        source: &Source<'_>,
        release: &Release,
        item: &Item,
    ) -> Result<Result<Received, BulkError>, StoreError> {
        let Item::Manifest { skip, prefix, data } = item else {
            return Ok(Err(BulkError::Malformed("an entry among manifests")));
        };
        let index = self.next.saturating_add(*skip);
        let Some(entry) = release.entries().get(usize::try_from(index).unwrap_or(usize::MAX)) else {
            return Ok(Err(BulkError::Index(index)));
        };
        let base;
        let bytes = match prefix {
            Prefix::Nothing => Some([].as_slice()),
            Prefix::Before => self.before.as_deref(),
            Prefix::Base => {
                base = source.base_manifest(release, index)?;
                base.as_deref()
            }
        };
        let Some(bytes) = bytes else { return Ok(Err(BulkError::Prefix(index))) };
        let manifest = match source.codec.decompress(data, bytes, DECOMPRESSED_LIMIT) {
            Ok(manifest) => manifest,
            Err(why) => return Ok(Err(BulkError::Compression { index, why })),
        };
        if Digest::of(&manifest) != entry.digest {
            return Ok(Err(BulkError::Digest(index)));
        }
        self.next = index.saturating_add(1);
        self.before = Some(manifest.clone());
        Ok(Ok(Received { index, digest: entry.digest, manifest }))
    }
}
