//! Stand-ins for cryptography and compression: deterministic, and as strict as the real ones.

use argosy_core::desired::{SignHead, Signature, VerifyHead};
use argosy_core::ids::{ClusterId, Digest, InstallationId};
use argosy_core::session::bulk::Codec;

/// The hub's installation.
pub(super) const INSTALLATION: InstallationId = InstallationId::new([8; 16]);

/// Gives the UUID of a cluster by its number.
pub(super) fn cluster_id(number: usize) -> ClusterId {
    let byte = u8::try_from(number).unwrap_or(u8::MAX).saturating_add(1);
    ClusterId::from_random([byte; 16])
}

/// Signs by hashing with a secret.
pub(super) struct Key;

impl SignHead for Key {
    fn sign(&self, bytes: &[u8]) -> Signature {
        let mut signature = [0; 64];
        let digest = Digest::of_parts("simulated key", [bytes]);
        for (to, from) in signature.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        Signature(signature)
    }
}

impl VerifyHead for Key {
    fn verify(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.sign(bytes) == *signature
    }
}

/// Sends only whether the prefix is the one that was meant, and the bytes as they are.
pub(super) struct Checked;

impl Codec for Checked {
    fn compress(&self, data: &[u8], prefix: &[u8]) -> Vec<u8> {
        let mut bytes = Digest::of(prefix).as_bytes().get(..4).unwrap_or_default().to_vec();
        bytes.extend_from_slice(data);
        bytes
    }

    fn decompress(&self, data: &[u8], prefix: &[u8], limit: usize) -> Result<Vec<u8>, String> {
        let (meant, data) = data.split_at_checked(4).ok_or("too short")?;
        if Digest::of(prefix).as_bytes().get(..4) != Some(meant) {
            return Err("another prefix was meant".to_owned());
        }
        if data.len() > limit { Err("too long".to_owned()) } else { Ok(data.to_vec()) }
    }
}
