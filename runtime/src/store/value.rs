//! A row's value as it is stored: checksum, form, bytes.
//!
//! The checksum covers table, key and value, so that a value under another key is damage too. The same hash gives the
//! row's share of its table's set digest.

use argosy_core::store::Table;

use super::StoreFailure;

/// Length of the checksum before a value.
const CHECKSUM_LEN: usize = 8;

/// Longest value, before compression.
pub(super) const MAX_VALUE: usize = 64 * 1024 * 1024;

/// Shortest value that is worth compressing.
const MIN_COMPRESSED: usize = 192;

/// Level of compression: fast, and nearly as small as the slower ones on manifests.
const LEVEL: i32 = 3;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// What the hash of a row gives: its checksum, and its share of the table's set digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowHash {
    checksum: [u8; CHECKSUM_LEN],
    pub(super) share: u128,
}

/// Encodes values; keeps the compressor between them.
#[derive(Default)]
pub(super) struct Encoder {
    compressor: Option<zstd::bulk::Compressor<'static>>,
}

// === impl Encoder ===

impl Encoder {
    /// Gives the stored form of a value and the share of its row.
    pub(super) fn encode(
        &mut self,
        table: Table,
        key: &[u8],
        value: &[u8],
    ) -> Result<(Vec<u8>, u128), StoreFailure> {
        if value.len() > MAX_VALUE {
            return Err(StoreFailure::ValueTooLarge { table, len: value.len() });
        }
        let mut stored = vec![0; CHECKSUM_LEN];
        if let Some(compressed) = self.compressed(table, value)? {
            stored.push(ZSTD);
            // No longer than MAX_VALUE, which four bytes hold.
            stored.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            stored.extend_from_slice(&compressed);
        } else {
            stored.push(PLAIN);
            stored.extend_from_slice(value);
        }
        let body = stored.get(CHECKSUM_LEN..).unwrap_or_default();
        let hash = hash(table, key, body);
        if let Some(checksum) = stored.first_chunk_mut::<CHECKSUM_LEN>() {
            *checksum = hash.checksum;
        }
        Ok((stored, hash.share))
    }

    /// Compresses a value if that saves at least an eighth of it.
    fn compressed(&mut self, table: Table, value: &[u8]) -> Result<Option<Vec<u8>>, StoreFailure> {
        if value.len() < MIN_COMPRESSED {
            return Ok(None);
        }
        let failed = |error: std::io::Error| StoreFailure::Compress { table, why: error.to_string() };
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            none => none.insert(zstd::bulk::Compressor::new(LEVEL).map_err(failed)?),
        };
        let compressed = compressor.compress(value).map_err(failed)?;
        Ok((compressed.len() < value.len() - value.len() / 8).then_some(compressed))
    }
}

/// Checks a stored value and gives its row's share of the set digest.
pub(super) fn verify(table: &str, key: &[u8], stored: &[u8]) -> Result<u128, String> {
    let damaged = |why: &str| format!("a row of table {table} {why}");
    let (checksum, body) = stored.split_first_chunk::<CHECKSUM_LEN>().ok_or_else(|| damaged("is cut off"))?;
    let hash = hash(table, key, body);
    if hash.checksum == *checksum { Ok(hash.share) } else { Err(damaged("does not match its checksum")) }
}

/// Checks a stored value and gives the value.
pub(super) fn decode(table: &str, key: &[u8], stored: &[u8]) -> Result<Vec<u8>, String> {
    verify(table, key, stored)?;
    let damaged = |why: &str| format!("a row of table {table} {why}");
    let body = stored.get(CHECKSUM_LEN..).unwrap_or_default();
    match body.split_first() {
        Some((&PLAIN, value)) => Ok(value.to_vec()),
        Some((&ZSTD, rest)) => {
            let (len, compressed) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("is cut off"))?;
            let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
            if len > MAX_VALUE {
                return Err(damaged("is longer than any value"));
            }
            let value =
                zstd::bulk::decompress(compressed, len).map_err(|_error| damaged("does not decompress"))?;
            if value.len() == len { Ok(value) } else { Err(damaged("has another length than it says")) }
        }
        Some(_) => Err(damaged("has a form that is not known")),
        None => Err(damaged("is cut off")),
    }
}

fn hash(table: &str, key: &[u8], body: &[u8]) -> RowHash {
    let mut hasher = blake3::Hasher::new();
    for part in [table.as_bytes(), key] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(body);
    let hash = *hasher.finalize().as_bytes();
    let (checksum, rest) = hash
        .split_first_chunk::<CHECKSUM_LEN>()
        .map_or(([0; CHECKSUM_LEN], hash.as_slice()), |(checksum, rest)| (*checksum, rest));
    let share = rest.first_chunk::<16>().map_or(0, |share| u128::from_le_bytes(*share));
    RowHash { checksum, share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_small_large_and_incompressible() {
        let mut encoder = Encoder::default();
        let noise: Vec<u8> = (0..100_u64).flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes()).collect();
        for value in [Vec::new(), b"x".to_vec(), vec![7; 10_000], noise] {
            let (stored, share) = encoder.encode("t", b"k", &value).unwrap();
            assert_eq!(decode("t", b"k", &stored).unwrap(), value);
            assert_eq!(verify("t", b"k", &stored).unwrap(), share);
            assert!(stored.len() <= value.len() + 9);
        }
        assert!(encoder.encode("t", b"k", &vec![7; 10_000]).unwrap().0.len() < 100);
    }

    #[test]
    fn a_value_under_another_key_or_table_is_damage() {
        let (stored, _) = Encoder::default().encode("t", b"k", b"value").unwrap();
        assert!(decode("t", b"l", &stored).is_err());
        assert!(decode("u", b"k", &stored).is_err());
    }

    #[test]
    fn every_flipped_bit_is_damage() {
        let (stored, _) = Encoder::default().encode("t", b"k", &[5; 500]).unwrap();
        for at in 0..stored.len() * 8 {
            let mut bad = stored.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(decode("t", b"k", &bad).is_err(), "bit {at}");
        }
        for len in 0..stored.len() {
            assert!(decode("t", b"k", &stored[..len]).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_refused() {
        let error = Encoder::default().encode("t", b"k", &vec![0; MAX_VALUE + 1]).unwrap_err();
        assert!(matches!(error, StoreFailure::ValueTooLarge { .. }));
    }
}
