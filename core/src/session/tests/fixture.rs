//! What the link's tests have in common.

use crate::desired::{
    Assignment, DesiredList, Destination, ListSettings, Phase, SignHead, Signature, VerifyHead,
};
use crate::ids::{AppId, BootId, ClusterId, Digest, InstallationId};
use crate::key::ResourceKey;
use crate::policy::{ProjectLimits, SyncPolicy};
use crate::release::{Release, Root};
use crate::session::bulk::Codec;
use crate::session::splice::Splice;
use crate::session::tables::{put_manifest, put_release};
use crate::store::StoreOp;
use crate::time::{Entropy, MonoTime, Now, WallTime};

pub(crate) const CLUSTER: ClusterId = ClusterId::new([7; 16]);
pub(crate) const INSTALLATION: InstallationId = InstallationId::new([8; 16]);

pub(crate) fn settings() -> ListSettings {
    ListSettings { installation: INSTALLATION, hold_deletes: false }
}

pub(crate) fn at(ms: u64) -> Now {
    Now {
        mono: MonoTime { boot: BootId::new([1; 16]), elapsed_ms: ms },
        wall: WallTime(1_700_000_000_000 + i64::try_from(ms).unwrap()),
    }
}

/// An assignment of a release that holds these bytes, one object each.
pub(crate) fn assignment(name: &str, objects: &[u8]) -> Assignment {
    assign(name, release(name, objects).0.root())
}

pub(crate) fn assign(name: &str, root: Root) -> Assignment {
    Assignment {
        app: AppId::new("", name),
        root,
        destination: Destination { namespace: "shop".into(), cluster: "edge".into(), server: String::new() },
        policy: SyncPolicy::default(),
        limits: ProjectLimits { project: "default".into(), ..ProjectLimits::default() },
        phase: Phase::Active,
        held: Vec::new(),
        cascade_confirmed: false,
        deletion: None,
        ignore: Vec::new(),
    }
}

/// A release with an object per byte, and its manifests; an object of 3 is larger than two chunks.
pub(crate) fn release(name: &str, objects: &[u8]) -> (Release, Vec<Vec<u8>>) {
    let objects = objects.iter().enumerate().map(|(index, content)| {
        let pad = if *content == 3 { noise(index as u64, 40 << 10) } else { String::new() };
        let manifest =
            format!("{{\"app\":\"{name}\",\"object\":{index},\"pad\":\"{pad}\",\"content\":{content}}}");
        (ResourceKey::new("", "ConfigMap", "shop", format!("object-{index:05}")), manifest.into_bytes())
    });
    of_manifests(objects)
}

/// Bytes that do not compress, different for each seed.
pub(crate) fn noise(seed: u64, length: usize) -> String {
    let mut text = String::new();
    let mut counter = 0u64;
    while text.len() < length {
        text.push_str(
            &Digest::of_parts(
                "noise",
                [seed.to_le_bytes(), counter.to_le_bytes()].iter().map(<[u8; 8]>::as_slice),
            )
            .to_string(),
        );
        counter += 1;
    }
    text.truncate(length);
    text
}

pub(crate) fn of_manifests(
    objects: impl IntoIterator<Item = (ResourceKey, Vec<u8>)>,
) -> (Release, Vec<Vec<u8>>) {
    let (keys, manifests): (Vec<_>, Vec<_>) =
        objects.into_iter().map(|(key, manifest)| ((key, Digest::of(&manifest)), manifest)).unzip();
    (Release::build(keys).0, manifests)
}

pub(crate) fn store_ops(release: &Release, manifests: &[Vec<u8>]) -> Vec<StoreOp> {
    manifests.iter().map(|manifest| put_manifest(manifest)).chain([put_release(release)]).collect()
}

pub(crate) fn list_of(assignments: impl IntoIterator<Item = Assignment>) -> DesiredList {
    DesiredList::build(settings(), assignments)
}

/// Signs by hashing with a secret.
pub(crate) struct Key(pub(crate) u8);

impl SignHead for Key {
    fn sign(&self, bytes: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(Digest::of_parts("test key", [&[self.0], bytes]).as_bytes());
        Signature(signature)
    }
}

impl VerifyHead for Key {
    fn verify(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.sign(bytes) == *signature
    }
}

/// Compresses to the difference to the prefix.
pub(crate) struct SpliceCodec;

impl Codec for SpliceCodec {
    fn compress(&self, data: &[u8], prefix: &[u8]) -> Vec<u8> {
        let splice = Splice::between(prefix, data);
        let mut bytes = splice.keep_front.to_le_bytes().to_vec();
        bytes.extend(splice.keep_back.to_le_bytes());
        bytes.extend(splice.middle);
        bytes
    }

    fn decompress(&self, data: &[u8], prefix: &[u8], limit: usize) -> Result<Vec<u8>, String> {
        let (front, rest) = data.split_first_chunk::<4>().ok_or("too short")?;
        let (back, middle) = rest.split_first_chunk::<4>().ok_or("too short")?;
        let splice = Splice {
            keep_front: u32::from_le_bytes(*front),
            keep_back: u32::from_le_bytes(*back),
            middle: middle.to_vec(),
        };
        splice
            .apply(prefix)
            .filter(|data| data.len() <= limit)
            .ok_or_else(|| "does not fit its prefix".into())
    }
}

/// Randomness from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Seed(pub(crate) u64);

impl Entropy for Seed {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}
