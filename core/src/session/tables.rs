//! Tables of the link's two ends, and the rows that both of them and the hub's publisher read and write.
//!
//! The hub keeps many clusters in one store: its keys begin with the 16 bytes of the cluster's UUID. Releases and
//! manifests are shared by all clusters there, and the link only reads them.

use minicbor::bytes::ByteVec;

use crate::ids::{AppId, ClusterId, Digest};
use crate::release::{Release, Root};
use crate::store::{StoreError, StoreOp, StoreRead, Table, decode, encode, get_as};

/// Agent: the head that it holds, under [`HELD`].
pub const HEAD: Table = "head";
/// Agent: the list of that head: settings under [`SETTINGS`], elements under [`element_key`].
pub const LIST: Table = "list";
/// Both: root → entries' bytes; at the agent only complete releases whose manifests are all there.
pub const RELEASES: Table = "releases";
/// Both: digest → canonical JSON.
pub const MANIFESTS: Table = "manifests";
/// Agent: app → bytes of the newest assignment whose release is complete (M8).
pub const ASSIGNED: Table = "assigned";
/// Agent: app → newest status with its number.
pub const OUTBOX: Table = "outbox";
/// Agent: incarnation and highest status number.
pub const LINK_META: Table = "link_meta";
/// Agent: id → command with an effect.
pub const COMMANDS: Table = "commands";
/// Hub: what it knows of a cluster's link.
pub const HUB_LINK: Table = "hub_link";
/// Hub: the last acknowledged list, the base of differences.
pub const HUB_ACKED: Table = "hub_acked";
/// Hub: how the list in flight differs from the acknowledged one.
pub const HUB_INFLIGHT: Table = "hub_inflight";
/// Hub: app → roots that its lists named before the newest, so that their transfers can end.
pub const HUB_RECENT: Table = "hub_recent";
/// Hub: app → newest status that was received.
pub const HUB_STATUS: Table = "hub_status";

/// Key of the held head, and of the row of [`LINK_META`].
pub const HELD: &[u8] = b"held";
/// Key of a list's settings.
pub const SETTINGS: &[u8] = b"s";
/// First byte of the key of a list's element.
pub const ELEMENT: u8 = b'a';

/// Gives the key of an element of a list.
pub fn element_key(app: &AppId) -> Vec<u8> {
    let mut key = vec![ELEMENT];
    key.extend(encode(app));
    key
}

/// Gives a key of one cluster at the hub.
pub fn cluster_key(cluster: ClusterId, rest: &[u8]) -> Vec<u8> {
    let mut key = cluster.as_bytes().to_vec();
    key.extend_from_slice(rest);
    key
}

/// Stores a release.
pub fn put_release(release: &Release) -> StoreOp {
    let elements: Vec<ByteVec> = release.elements().iter().cloned().map(ByteVec::from).collect();
    StoreOp::put(RELEASES, release.root().0.as_bytes().as_slice(), &elements)
}

/// Reads a release; a row that does not hash to its key is an error, never a release.
pub fn get_release(store: &dyn StoreRead, root: Root) -> Result<Option<Release>, StoreError> {
    let Some(elements) = get_as::<Vec<ByteVec>>(store, RELEASES, root.0.as_bytes())? else { return Ok(None) };
    let bad = |why: String| StoreError::Undecodable { table: RELEASES, why };
    let release = Release::from_elements(elements.into_iter().map(Vec::from).collect())
        .map_err(|error| bad(error.to_string()))?;
    if release.root() == root {
        Ok(Some(release))
    } else {
        Err(bad(format!("{root} hashes to {}", release.root())))
    }
}

/// Tells whether a release is there.
pub fn has_release(store: &dyn StoreRead, root: Root) -> Result<bool, StoreError> {
    store.has(RELEASES, root.0.as_bytes())
}

/// Stores a manifest under its digest.
pub fn put_manifest(manifest: &[u8]) -> StoreOp {
    StoreOp::put_bytes(MANIFESTS, Digest::of(manifest).as_bytes().as_slice(), manifest)
}

/// Reads a manifest.
pub fn get_manifest(store: &dyn StoreRead, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
    store.get(MANIFESTS, digest.as_bytes())
}

/// Reads the digests that are the keys of a table.
pub(crate) fn digest_keys(store: &dyn StoreRead, table: Table) -> Result<Vec<Digest>, StoreError> {
    store.keys(table)?.iter().map(|key| digest_key(table, key)).collect()
}

/// Reads a digest that is a key of `table`.
pub(crate) fn digest_key(table: Table, key: &[u8]) -> Result<Digest, StoreError> {
    Digest::from_slice(key)
        .ok_or_else(|| StoreError::Undecodable { table, why: format!("a key of {} bytes", key.len()) })
}

/// Reads every row whose key is `prefix` and then an app.
pub(crate) fn app_rows(
    store: &dyn StoreRead,
    table: Table,
    prefix: &[u8],
) -> Result<Vec<(AppId, Vec<u8>)>, StoreError> {
    let rows = store.scan(table, prefix)?;
    rows.into_iter()
        .map(|(key, value)| Ok((decode(table, key.get(prefix.len()..).unwrap_or_default())?, value)))
        .collect()
}
