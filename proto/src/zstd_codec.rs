//! Compression of bulk data: zstd frames without magic number, checksum and content size, with the previous value as
//! prefix.

use std::io::{self, BufRead as _, Read as _, Write as _};

use argosy_core::session::bulk::Codec;

/// First bytes of every zstd frame: known to both ends, so they do not travel.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Largest window, and so the most memory of a decompression: 16 MiB covers the largest value behind the largest
/// prefix.
const WINDOW_LOG: u32 = 24;
/// Up to this size of value and prefix together, more effort costs less than the bytes that it saves.
const SMALL: usize = 256 << 10;
/// Largest content of one block of a frame.
const BLOCK: usize = 128 << 10;

/// Compresses manifests for the link.
#[derive(Debug, Clone, Copy, Default)]
pub struct ZstdCodec;

// === impl ZstdCodec ===

impl Codec for ZstdCodec {
    fn compress(&self, data: &[u8], prefix: &[u8]) -> Vec<u8> {
        // The library refuses nothing but for want of memory; then the data go as they are.
        compress(data, prefix).unwrap_or_else(|_out_of_memory| stored(data))
    }

    fn decompress(&self, data: &[u8], prefix: &[u8], limit: usize) -> Result<Vec<u8>, String> {
        decompress(data, prefix, limit).map_err(|error| error.to_string())
    }
}

fn compress(data: &[u8], prefix: &[u8]) -> io::Result<Vec<u8>> {
    let both = data.len().saturating_add(prefix.len());
    let level = if both <= SMALL { 9 } else { 3 };
    let mut encoder = zstd::stream::write::Encoder::with_ref_prefix(Vec::new(), level, prefix)?;
    encoder.include_checksum(false)?;
    encoder.include_contentsize(false)?;
    encoder.include_dictid(false)?;
    encoder.window_log(window_log(both))?;
    // The tables of these levels do not reach over a large prefix.
    encoder.long_distance_matching(both > SMALL)?;
    encoder.set_pledged_src_size(Some(data.len() as u64))?;
    encoder.write_all(data)?;
    let frame = encoder.finish()?;
    match frame.strip_prefix(&MAGIC) {
        Some(rest) => Ok(rest.to_vec()),
        None => Err(io::Error::other("the frame has no magic number")),
    }
}

/// The window must reach from the end of the value to the start of the prefix.
fn window_log(both: usize) -> u32 {
    (usize::BITS - both.leading_zeros()).clamp(10, WINDOW_LOG)
}

/// Makes a frame that holds `data` uncompressed: a header byte, the window, and raw blocks.
fn stored(data: &[u8]) -> Vec<u8> {
    let window = u8::try_from((WINDOW_LOG - 10) << 3).unwrap_or(u8::MAX);
    let mut frame = vec![0, window];
    let blocks = data.len().div_ceil(BLOCK);
    for (index, block) in data.chunks(BLOCK).enumerate() {
        let last = u32::from(index + 1 == blocks);
        let header = (u32::try_from(block.len()).unwrap_or(0) << 3) | last;
        frame.extend(header.to_le_bytes().iter().take(3));
        frame.extend_from_slice(block);
    }
    if blocks == 0 {
        frame.extend_from_slice(&[1, 0, 0]);
    }
    frame
}

fn decompress(data: &[u8], prefix: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_ref_prefix(MAGIC.chain(data), prefix)?.single_frame();
    decoder.window_log_max(WINDOW_LOG)?;
    let mut value = Vec::new();
    // One byte more than the limit tells a value of the limit from a longer one, without expanding the rest.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.by_ref().take(most).read_to_end(&mut value)?;
    if value.len() > limit {
        return Err(io::Error::other(format!("longer than {limit} bytes once decompressed")));
    }
    if decoder.finish().fill_buf()?.is_empty() {
        Ok(value)
    } else {
        Err(io::Error::other("bytes follow the compressed value"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest(image: &str) -> Vec<u8> {
        let labels: Vec<String> = (0..40).map(|n| format!("\"label-{n}\":\"value {n}\"")).collect();
        let labels = labels.join(",");
        format!("{{\"metadata\":{{\"labels\":{{{labels}}}}},\"spec\":{{\"image\":\"{image}\"}}}}")
            .into_bytes()
    }

    #[test]
    fn a_changed_field_costs_a_few_dozen_bytes() {
        let (old, new) = (manifest("shop:1.0.0"), manifest("shop:1.0.1"));
        let compressed = ZstdCodec.compress(&new, &old);
        assert!(compressed.len() <= 32, "{} bytes", compressed.len());
        assert_eq!(ZstdCodec.decompress(&compressed, &old, new.len()).unwrap(), new);
    }

    #[test]
    fn a_bomb_is_refused_before_it_expands() {
        let zeros = vec![0; 64 << 20];
        let bomb = ZstdCodec.compress(&zeros, &[]);
        assert!(bomb.len() < 64 << 10);
        let error = ZstdCodec.decompress(&bomb, &[], 8 << 20).unwrap_err();
        assert!(error.contains("longer than 8388608 bytes"), "{error}");
    }

    #[test]
    fn a_value_of_exactly_the_limit_passes() {
        let value = vec![7; 1000];
        let compressed = ZstdCodec.compress(&value, &[]);
        assert_eq!(ZstdCodec.decompress(&compressed, &[], 1000).unwrap(), value);
        assert!(ZstdCodec.decompress(&compressed, &[], 999).is_err());
    }

    #[test]
    fn a_window_reaches_over_a_large_prefix() {
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()[7]
        })
        .take(4 << 20)
        .collect();
        let mut changed = noise.clone();
        changed[2 << 20] ^= 1;
        let compressed = ZstdCodec.compress(&changed, &noise);
        assert!(compressed.len() < 64 << 10, "{} bytes", compressed.len());
        assert_eq!(ZstdCodec.decompress(&compressed, &noise, 8 << 20).unwrap(), changed);
    }

    #[test]
    fn a_value_is_stored_when_it_cannot_be_compressed() {
        for length in [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let value = vec![5; length];
            assert_eq!(ZstdCodec.decompress(&stored(&value), b"prefix", length).unwrap(), value);
        }
    }

    #[test]
    fn what_follows_a_value_or_ends_early_is_refused() {
        let mut compressed = ZstdCodec.compress(b"some value", &[]);
        compressed.push(0);
        assert!(ZstdCodec.decompress(&compressed, &[], 100).is_err());
        compressed.truncate(compressed.len() - 2);
        assert!(ZstdCodec.decompress(&compressed, &[], 100).is_err());
        assert!(ZstdCodec.decompress(&[], &[], 100).is_err());
    }

    proptest! {
        #[test]
        fn every_value_comes_back(data: Vec<u8>, prefix: Vec<u8>) {
            let compressed = ZstdCodec.compress(&data, &prefix);
            prop_assert_eq!(ZstdCodec.decompress(&compressed, &prefix, data.len()).unwrap(), data);
        }

        #[test]
        fn noise_never_panics(noise: Vec<u8>, prefix: Vec<u8>) {
            if let Ok(value) = ZstdCodec.decompress(&noise, &prefix, 1 << 16) {
                prop_assert!(value.len() <= 1 << 16);
            }
        }
    }
}
