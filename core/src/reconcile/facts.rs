//! Facts: what the reconciler needs to know of a manifest, read once.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::Reconciler;
use super::state::{FACTS_VERSION, tables};
use crate::cluster::ManifestFacts;
use crate::ids::Digest;
use crate::key::{GroupKind, ResourceKey, split_api_version};
use crate::manifest::ObjectOptions;
use crate::policy::Consent;
use crate::release::Release;
use crate::session::tables as link_tables;
use crate::store::{StoreError, StoreOp, StoreRead};

impl Reconciler {
    /// Reads the facts of a release's manifests, once.
    pub(super) fn ingest(&mut self, release: &Release, store: &dyn StoreRead) -> Result<(), StoreError> {
        if !self.ingested.insert(release.root()) {
            return Ok(());
        }
        // What is desired now was read before.
        let desired = self.apps.values().flat_map(|state| state.wanted.keys.values());
        let known: BTreeSet<Digest> = desired.map(|wanted| wanted.manifest).collect();
        for entry in release.entries().iter().filter(|entry| !known.contains(&entry.digest)) {
            let table = link_tables::MANIFESTS;
            let bytes =
                store.get(table, entry.digest.as_bytes())?.ok_or_else(|| StoreError::Undecodable {
                    table,
                    why: format!("manifest {} of a complete release is not there", entry.digest.short()),
                })?;
            let undecodable = |why: String| StoreError::Undecodable { table, why };
            let manifest =
                Head::read(&bytes, &entry.id.key).map_err(|error| undecodable(error.to_string()))?;
            let facts = facts_of(&entry.id.key, &manifest);
            if self.facts.get(&entry.digest) == Some(&facts) {
                continue;
            }
            if facts != ManifestFacts::default() {
                self.out.ops.push(StoreOp::put(tables::FACTS, entry.digest.as_bytes().as_slice(), &facts));
                self.facts.insert(entry.digest, facts);
            }
        }
        self.out.ops.push(StoreOp::put_bytes(
            tables::INGESTED,
            release.root().0.as_bytes().as_slice(),
            [FACTS_VERSION],
        ));
        Ok(())
    }
}

/// Reads what the reconciler needs to know of a manifest.
pub(crate) fn facts_of(key: &ResourceKey, manifest: &Value) -> ManifestFacts {
    let options = ObjectOptions::of(manifest);
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let defines = key.is_crd().then(|| {
        (GroupKind::new(text("/spec/group"), text("/spec/names/kind")), text("/spec/scope") != "Cluster")
    });
    let (_, version) = split_api_version(text("/apiVersion"));
    let stated = |version: &str| !version.is_empty() && version != ManifestFacts::VERSION;
    ManifestFacts {
        defines,
        kept: key.is_crd() || options.delete == Some(Consent::Refused),
        prune_refused: options.prune == Some(Consent::Refused),
        wave: options.wave,
        prune_last: options.prune_last,
        role: options.role,
        prune: options.prune,
        delete: options.delete,
        unvalidated: options.unvalidated,
        skip_dry_run: options.skip_dry_run,
        ignore_extraneous: options.ignore_extraneous,
        replace: options.replace,
        force: options.force,
        version: Some(version).filter(|version| stated(version)).map(str::to_owned),
    }
}

/// Reads a manifest but for what no fact is about, which is most of it.
struct Head {
    /// Definitions are told by their spec.
    with_spec: bool,
}

impl Head {
    fn read(bytes: &[u8], key: &ResourceKey) -> Result<Value, serde_json::Error> {
        // What is no object has no facts, and is refused when it is applied.
        if bytes.first() != Some(&b'{') {
            return serde_json::from_slice(bytes);
        }
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let head = reader.deserialize_map(Self { with_spec: key.is_crd() })?;
        reader.end()?;
        Ok(Value::Object(head))
    }
}

impl<'de> Visitor<'de> for Head {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut head = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if ["apiVersion", "metadata"].contains(&name.as_str()) || (self.with_spec && name == "spec") {
                head.insert(name, fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_head_of_a_manifest_has_the_facts_of_all_of_it() {
        let crd = ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "meshes.shop.io");
        let spec = json!({"group": "shop.io", "names": {"kind": "Mesh"}, "scope": "Cluster"});
        let annotations =
            json!({"argocd.argoproj.io/sync-wave": "3", "argocd.argoproj.io/sync-options": "Prune=false"});
        let manifest = json!({"apiVersion": "v1beta1", "data": {"a": [1, {"metadata": 2}]},
            "metadata": {"name": "web", "annotations": annotations}, "spec": spec});
        let bytes = manifest.to_string().into_bytes();
        for key in [crd, ResourceKey::new("", "ConfigMap", "shop", "web")] {
            let head = Head::read(&bytes, &key).unwrap();
            assert_eq!(facts_of(&key, &head), facts_of(&key, &manifest));
            assert_eq!((facts_of(&key, &head).wave, head.get("data")), (3, None));
            assert_eq!(facts_of(&key, &head).version(), "v1beta1");
        }
        let key = ResourceKey::new("", "ConfigMap", "shop", "web");
        for odd in ["[]", "7", "{}"] {
            assert_eq!(facts_of(&key, &Head::read(odd.as_bytes(), &key).unwrap()), ManifestFacts::default());
        }
        for broken in ["{", "{\"metadata\": {}} x", ""] {
            assert!(Head::read(broken.as_bytes(), &key).is_err(), "{broken}");
        }
    }
}
