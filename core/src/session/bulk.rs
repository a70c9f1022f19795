//! Bulk data: a transfer is a stream of length-framed items, cut into chunks wherever a chunk is full.
//!
//! Items say what they are, so entries and manifests can follow each other in one transfer. Entries come as a script
//! against the entries of a base release; manifests come compressed, each with a manifest that the receiver has as its
//! prefix. Nothing here is trusted: what comes out is verified against the release's root and the entries' digests.

mod entries;
mod manifests;

pub(crate) use entries::{EntriesDecoder, entry_items};
pub(crate) use manifests::{ManifestDecoder, ManifestEncoder, Received, Source};

use crate::session::frame::DECOMPRESSED_LIMIT;

/// Largest item: a manifest that does not compress, and its header.
const ITEM_LIMIT: usize = DECOMPRESSED_LIMIT + (64 << 10);

/// Compresses what travels; the program's own is zstd with the prefix as its dictionary.
pub trait Codec {
    /// Compresses `data`, which is like `prefix`.
    fn compress(&self, data: &[u8], prefix: &[u8]) -> Vec<u8>;

    /// Undoes [`Codec::compress`]; refuses what would be longer than `limit`.
    fn decompress(&self, data: &[u8], prefix: &[u8], limit: usize) -> Result<Vec<u8>, String>;
}

/// Bulk data that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BulkError {
    /// An item larger than any may be.
    #[error("an item of {0} bytes is larger than the limit")]
    TooLarge(u64),
    /// An item that does not decode.
    #[error("an item of the transfer does not decode: {0}")]
    Malformed(&'static str),
    /// A script that goes beyond the end of its base, or a base that is not there.
    #[error("the transfer builds on entries that are not in its base")]
    Base,
    /// Entries that are not those of the release.
    #[error("the entries received are not those of the release: {0}")]
    Entries(String),
    /// A manifest of an entry that the release does not have.
    #[error("a manifest of entry {0}, which the release does not have")]
    Index(u32),
    /// A manifest whose prefix the receiver does not have.
    #[error("the manifest of entry {0} builds on one that is not here")]
    Prefix(u32),
    /// A manifest that does not decompress.
    #[error("the manifest of entry {index} does not decompress: {why}")]
    Compression {
        /// Which entry.
        index: u32,
        /// The codec's words.
        why: String,
    },
    /// A manifest whose digest is another than its entry's.
    #[error("the manifest of entry {0} has another digest than its entry")]
    Digest(u32),
}

/// What a compressed manifest has as its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// None.
    Nothing,
    /// The manifest of the same key in the base.
    Base,
    /// The manifest before it in this transfer.
    Before,
}

/// One item of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// Takes the next entries of the base.
    Keep(u32),
    /// Leaves out the next entries of the base.
    Skip(u32),
    /// An entry.
    Insert(Vec<u8>),
    /// An entry made of the next one of the base.
    Splice(super::splice::Splice),
    /// A manifest.
    Manifest {
        /// How many entries lie between this one's and that of the manifest before.
        skip: u32,
        /// What it is compressed with.
        prefix: Prefix,
        /// The compressed bytes.
        data: Vec<u8>,
    },
}

impl Item {
    /// Appends the item with its length.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        match self {
            Self::Keep(count) => {
                body.push(0);
                put_varint(&mut body, u64::from(*count));
            }
            Self::Skip(count) => {
                body.push(1);
                put_varint(&mut body, u64::from(*count));
            }
            Self::Insert(bytes) => {
                body.push(2);
                body.extend_from_slice(bytes);
            }
            Self::Splice(splice) => {
                body.push(3);
                put_varint(&mut body, u64::from(splice.keep_front));
                put_varint(&mut body, u64::from(splice.keep_back));
                body.extend_from_slice(&splice.middle);
            }
            Self::Manifest { skip, prefix, data } => {
                body.push(match prefix {
                    Prefix::Nothing => 4,
                    Prefix::Base => 5,
                    Prefix::Before => 6,
                });
                put_varint(&mut body, u64::from(*skip));
                body.extend_from_slice(data);
            }
        }
        put_varint(out, body.len() as u64);
        out.extend_from_slice(&body);
    }

    /// Reads an item's body.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, BulkError> {
        let (&kind, mut rest) = body.split_first().ok_or(BulkError::Malformed("empty"))?;
        let prefix = match kind {
            0 => return Ok(Self::Keep(take_u32(&mut rest)?)),
            1 => return Ok(Self::Skip(take_u32(&mut rest)?)),
            2 => return Ok(Self::Insert(rest.to_vec())),
            3 => {
                let keep_front = take_u32(&mut rest)?;
                let keep_back = take_u32(&mut rest)?;
                let middle = rest.to_vec();
                return Ok(Self::Splice(super::splice::Splice { keep_front, keep_back, middle }));
            }
            4 => Prefix::Nothing,
            5 => Prefix::Base,
            6 => Prefix::Before,
            _ => return Err(BulkError::Malformed("unknown kind")),
        };
        let skip = take_u32(&mut rest)?;
        Ok(Self::Manifest { skip, prefix, data: rest.to_vec() })
    }
}

/// Puts items together from chunks.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemReader {
    buffer: Vec<u8>,
    read: usize,
}

impl ItemReader {
    /// Takes the data of a chunk.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.buffer.drain(..self.read.min(self.buffer.len()));
        self.read = 0;
        self.buffer.extend_from_slice(data);
    }

    /// Gives the next whole item.
    pub(crate) fn next(&mut self) -> Result<Option<Item>, BulkError> {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let mut cursor = rest;
        let Some(length) = take_varint(&mut cursor)? else { return Ok(None) };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= ITEM_LIMIT)
            .ok_or(BulkError::TooLarge(length))?;
        let Some(body) = cursor.get(..length) else { return Ok(None) };
        let item = Item::decode(body)?;
        self.read += rest.len() - cursor.len() + length;
        Ok(Some(item))
    }

    /// Tells whether nothing of an unfinished item is left over.
    pub(crate) fn is_done(&self) -> bool {
        self.read >= self.buffer.len()
    }
}

/// Appends a number, 7 bits a byte, lowest first.
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0x7f);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Reads a number off the front; `None` when its end is not there yet.
fn take_varint(bytes: &mut &[u8]) -> Result<Option<u64>, BulkError> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let shift = 7 * u32::try_from(index).unwrap_or(u32::MAX);
        let low = u64::from(byte & 0x7f);
        value |= low
            .checked_shl(shift)
            .filter(|part| part >> shift == low)
            .ok_or(BulkError::Malformed("number"))?;
        if byte & 0x80 == 0 {
            *bytes = bytes.get(index + 1..).unwrap_or_default();
            return Ok(Some(value));
        }
    }
    if bytes.len() >= 10 { Err(BulkError::Malformed("number")) } else { Ok(None) }
}

fn take_u32(bytes: &mut &[u8]) -> Result<u32, BulkError> {
    let value = take_varint(bytes)?.ok_or(BulkError::Malformed("number"))?;
    u32::try_from(value).map_err(|_too_large| BulkError::Malformed("number"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::splice::Splice;

    fn item() -> impl Strategy<Value = Item> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
        let prefix = prop_oneof![Just(Prefix::Nothing), Just(Prefix::Base), Just(Prefix::Before)];
        prop_oneof![
            any::<u32>().prop_map(Item::Keep),
            any::<u32>().prop_map(Item::Skip),
            bytes().prop_map(Item::Insert),
            (any::<u32>(), any::<u32>(), bytes()).prop_map(|(keep_front, keep_back, middle)| Item::Splice(
                Splice { keep_front, keep_back, middle }
            )),
            (any::<u32>(), prefix, bytes()).prop_map(|(skip, prefix, data)| Item::Manifest {
                skip,
                prefix,
                data
            }),
        ]
    }

    proptest! {
        #[test]
        fn items_survive_any_cut_into_chunks(
            items in proptest::collection::vec(item(), 0..8),
            chunk in 1usize..700,
        ) {
            let mut stream = Vec::new();
            for item in &items {
                item.encode(&mut stream);
            }
            let mut reader = ItemReader::default();
            let mut read = Vec::new();
            for data in stream.chunks(chunk) {
                reader.push(data);
                while let Some(item) = reader.next().unwrap() {
                    read.push(item);
                }
            }
            prop_assert!(reader.is_done());
            prop_assert_eq!(read, items);
        }

        #[test]
        fn any_bytes_are_an_item_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = ItemReader::default();
            reader.push(&bytes);
            for _ in 0..bytes.len() {
                if !matches!(reader.next(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }

    #[test]
    fn an_item_beyond_the_limit_is_refused_before_it_is_kept() {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, 1 << 40);
        let mut reader = ItemReader::default();
        reader.push(&bytes);
        assert_eq!(reader.next(), Err(BulkError::TooLarge(1 << 40)));
    }
}
