//! Releases: the immutable, content-addressed result of rendering one source.
//!
//! A release is the sorted list of its entries; its root hashes the entries' bytes as they are. It holds nothing of the
//! commit, the application or the cluster, so all that use it share it (M3). Entries travel and are stored as opaque
//! bytes (M12): a receiver that does not know a field keeps it, and both sides hash the same bytes.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::ids::Digest;
use crate::key::ResourceKey;
use crate::store::encode;

/// Digest of a release's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Root(#[n(0)] pub Digest);

impl std::fmt::Display for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// What tells the entries of a release apart (M2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct EntryId {
    /// The object as rendered; the namespace is empty when the manifest names none.
    #[n(0)]
    pub key: ResourceKey,
    /// Which slice of the object the manifest states; empty for the whole.
    #[n(1)]
    pub part: String,
    /// 0, except among entries that are equal but for a namespace still unknown.
    #[n(2)]
    pub ordinal: u32,
}

/// One entry of a release: an object's name and the digest of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// Which object, part and ordinal.
    #[n(0)]
    pub id: EntryId,
    /// Digest of the manifest's canonical JSON.
    #[n(1)]
    pub digest: Digest,
}

/// A release whose bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// An entry does not decode.
    #[error("entry {index} of the release does not decode: {why}")]
    Undecodable {
        /// Which, from 0.
        index: usize,
        /// The decoder's words.
        why: String,
    },
    /// Entries are not in strictly rising order.
    #[error("entry {index} of the release is out of order or twice there: {key}")]
    Unsorted {
        /// Which, from 0.
        index: usize,
        /// Its object.
        key: ResourceKey,
    },
    /// A part is stated, which this version does not support.
    #[error("{key}: part {part:?} is not supported by this version")]
    Part {
        /// Its object.
        key: ResourceKey,
        /// The part.
        part: String,
    },
}

/// A complete release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    root: Root,
    elements: Vec<Vec<u8>>,
    entries: Vec<Entry>,
}

impl Release {
    /// Makes the release of rendered objects, in the order of rendering. Of two manifests with one key the last wins
    /// (Argo CD: repeated resources); the keys that were given more than once are returned beside it.
    pub fn build(manifests: impl IntoIterator<Item = (ResourceKey, Digest)>) -> (Self, Vec<ResourceKey>) {
        let mut by_id: BTreeMap<EntryId, Digest> = BTreeMap::new();
        let mut repeated = Vec::new();
        for (key, digest) in manifests {
            let id = EntryId { key: key.clone(), part: String::new(), ordinal: 0 };
            if by_id.insert(id, digest).is_some() && !repeated.contains(&key) {
                repeated.push(key);
            }
        }
        let entries: Vec<Entry> = by_id.into_iter().map(|(id, digest)| Entry { id, digest }).collect();
        let elements: Vec<Vec<u8>> = entries.iter().map(encode).collect();
        let root = Self::root_of(&elements);
        (Self { root, elements, entries }, repeated)
    }

    /// Reads a release from its entries' bytes: they must decode, be sorted and name no object twice.
    pub fn from_elements(elements: Vec<Vec<u8>>) -> Result<Self, ReleaseError> {
        let mut entries: Vec<Entry> = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let entry = Self::decode_entry(index, element)?;
            if entries.last().is_some_and(|last| last.id >= entry.id) {
                return Err(ReleaseError::Unsorted { index, key: entry.id.key });
            }
            entries.push(entry);
        }
        Ok(Self { root: Self::root_of(&elements), elements, entries })
    }

    /// Reads one entry.
    pub fn decode_entry(index: usize, element: &[u8]) -> Result<Entry, ReleaseError> {
        let entry: Entry = minicbor::decode(element)
            .map_err(|error| ReleaseError::Undecodable { index, why: error.to_string() })?;
        if entry.id.part.is_empty() {
            Ok(entry)
        } else {
            Err(ReleaseError::Part { key: entry.id.key, part: entry.id.part })
        }
    }

    /// Hashes entries' bytes, which must be in order.
    pub fn root_of<T: AsRef<[u8]>>(elements: &[T]) -> Root {
        Root(Digest::of_parts("argosy release v1", elements.iter().map(AsRef::as_ref)))
    }

    /// Gives the root.
    pub fn root(&self) -> Root {
        self.root
    }

    /// Gives the entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Gives the entries' bytes in order.
    pub fn elements(&self) -> &[Vec<u8>] {
        &self.elements
    }

    /// Tells whether the release holds no object.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Finds an entry by what tells it apart.
    pub fn find(&self, id: &EntryId) -> Option<&Entry> {
        self.entries.binary_search_by(|entry| entry.id.cmp(id)).ok().and_then(|index| self.entries.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ResourceKey {
        ResourceKey::new("", "ConfigMap", "shop", name)
    }

    #[test]
    fn a_release_is_read_back_from_its_bytes() {
        let (release, repeated) = Release::build([
            (key("b"), Digest::of(b"1")),
            (key("a"), Digest::of(b"2")),
            (key("b"), Digest::of(b"3")),
        ]);
        assert_eq!(repeated, [key("b")]);
        assert_eq!(release.entries().len(), 2);
        assert_eq!(release.entries()[1].digest, Digest::of(b"3"), "the last one wins");
        let read = Release::from_elements(release.elements().to_vec()).unwrap();
        assert_eq!(read, release);
        assert!(read.find(&release.entries()[0].id).is_some());
    }

    #[test]
    fn the_order_of_rendering_does_not_change_the_root() {
        let a = Release::build([(key("a"), Digest::of(b"1")), (key("b"), Digest::of(b"2"))]).0;
        let b = Release::build([(key("b"), Digest::of(b"2")), (key("a"), Digest::of(b"1"))]).0;
        assert_eq!(a.root(), b.root());
    }

    #[test]
    fn entries_out_of_order_are_refused() {
        let (release, _) = Release::build([(key("a"), Digest::of(b"1")), (key("b"), Digest::of(b"2"))]);
        let mut elements = release.elements().to_vec();
        elements.reverse();
        assert!(matches!(Release::from_elements(elements), Err(ReleaseError::Unsorted { index: 1, .. })));
    }
}
