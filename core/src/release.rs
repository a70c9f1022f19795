//! Releases: the immutable, content-addressed result of rendering one source.
//!
//! A release is the sorted list of its entries; its root hashes the entries' bytes as they are. It holds nothing of the
//! commit, the application or the cluster, so all that use it share it (M3). Entries travel and are stored as opaque
//! bytes (M12): a receiver that does not know a field keeps it, and both sides hash the same bytes.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::ids::Digest;
use crate::key::{ResourceKey, is_part_name};
use crate::store::encode;
use crate::word::Word;

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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The object, or the part of one, as rendered; the namespace is empty when the manifest names none.
    pub key: ResourceKey,
    /// 0, except among entries that are equal but for a namespace still unknown.
    pub ordinal: u32,
}

/// An [`EntryId`] as its bytes state it: the part stands beside the object.
#[derive(Encode, Decode)]
struct Stated {
    #[n(0)]
    key: ResourceKey,
    #[n(1)]
    part: Word,
    #[n(2)]
    ordinal: u32,
}

// === impl EntryId ===

impl<C> Encode<C> for EntryId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let stated = Stated { key: self.key.whole(), part: self.key.part.clone(), ordinal: self.ordinal };
        stated.encode(encoder, context)
    }
}

impl<'b, C> Decode<'b, C> for EntryId {
    fn decode(decoder: &mut minicbor::Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        let Stated { key, part, ordinal } = Stated::decode(decoder, context)?;
        Ok(Self { key: key.with_part(part), ordinal })
    }
}

/// One entry of a release: an object's name and the digest of its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// Which object or part of one, and ordinal.
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
        key: Box<ResourceKey>,
    },
    /// A part has a name that none may have.
    #[error("entry {index} of the release: {part:?} is no name of a part")]
    Part {
        /// Which, from 0.
        index: usize,
        /// The name.
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
            let id = EntryId { key: key.clone(), ordinal: 0 };
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
                return Err(ReleaseError::Unsorted { index, key: Box::new(entry.id.key) });
            }
            entries.push(entry);
        }
        Ok(Self { root: Self::root_of(&elements), elements, entries })
    }

    /// Reads one entry.
    pub fn decode_entry(index: usize, element: &[u8]) -> Result<Entry, ReleaseError> {
        let entry: Entry = minicbor::decode(element)
            .map_err(|error| ReleaseError::Undecodable { index, why: error.to_string() })?;
        if !entry.id.key.is_part() || is_part_name(&entry.id.key.part) {
            Ok(entry)
        } else {
            Err(ReleaseError::Part { index, part: entry.id.key.part.to_string() })
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
    fn a_part_is_an_entry_beside_the_whole_and_stated_as_the_first_version_foresaw() {
        let (whole, part) = (key("a"), key("a").with_part("mesh"));
        let made = [(part.clone(), Digest::of(b"1")), (whole.clone(), Digest::of(b"2"))];
        let (release, repeated) = Release::build(made);
        assert!(repeated.is_empty());
        let keys: Vec<ResourceKey> = release.entries().iter().map(|entry| entry.id.key.clone()).collect();
        assert_eq!(keys, [whole.clone(), part]);
        assert_eq!(Release::from_elements(release.elements().to_vec()).unwrap(), release);
        let stated = |part: &str| Stated { key: whole.clone(), part: part.into(), ordinal: 0 };
        let entry = |part: &str| encode(&(stated(part), Digest::of(b"1")));
        assert_eq!(entry("mesh"), release.elements()[1]);
        assert!(matches!(Release::decode_entry(7, &entry("a/b")), Err(ReleaseError::Part { index: 7, .. })));
    }

    #[test]
    fn entries_out_of_order_are_refused() {
        let (release, _) = Release::build([(key("a"), Digest::of(b"1")), (key("b"), Digest::of(b"2"))]);
        let mut elements = release.elements().to_vec();
        elements.reverse();
        assert!(matches!(Release::from_elements(elements), Err(ReleaseError::Unsorted { index: 1, .. })));
    }
}
