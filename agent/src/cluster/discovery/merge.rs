//! What is known now, from what was known and what discovery said.

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::key::GroupKind;

use super::{Catalogue, Resource, ServedKind, ServedVersion, Snapshot};

/// What is known now; kinds that a fresh answer lacks are still in it until their removal is confirmed.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) catalogue: Catalogue,
    /// By group and version, the kinds that a fresh answer lacks.
    missing: BTreeMap<(String, String), BTreeSet<GroupKind>>,
}

/// Takes over what discovery said, and keeps what it may only have failed to say.
pub(super) fn merge(known: &Catalogue, snapshot: &Snapshot) -> Merged {
    let mut merged = Merged { catalogue: said(snapshot), missing: BTreeMap::new() };
    for (kind, served) in &known.kinds {
        for version in &served.versions {
            let now = merged.catalogue.kinds.get(kind);
            if now.is_some_and(|now| now.versions.iter().any(|now| now.version == version.version)) {
                continue;
            }
            if !snapshot.is_stale(&kind.group, &version.version) {
                let place = (kind.group.to_string(), version.version.clone());
                merged.missing.entry(place).or_default().insert(kind.clone());
            }
            let kept = ServedKind { namespaced: served.namespaced, versions: Vec::new() };
            merged.catalogue.kinds.entry(kind.clone()).or_insert(kept).versions.push(version.clone());
        }
    }
    merged
}

/// Lists the groups and versions to ask directly.
pub(super) fn unconfirmed(merged: &Merged) -> Vec<(String, String)> {
    merged.missing.keys().cloned().collect()
}

/// Takes out what a group and version, asked directly, does not serve; nothing when it could not be asked.
pub(super) fn confirm(merged: &mut Merged, group: &str, version: &str, served: Option<&BTreeSet<String>>) {
    let missing = merged.missing.remove(&(group.to_owned(), version.to_owned())).unwrap_or_default();
    let Some(served) = served else { return };
    for kind in missing.into_iter().filter(|kind| !served.contains(kind.kind.as_str())) {
        if let Some(known) = merged.catalogue.kinds.get_mut(&kind) {
            known.versions.retain(|known| known.version != version);
            if known.versions.is_empty() {
                merged.catalogue.kinds.remove(&kind);
            }
        }
    }
}

fn said(snapshot: &Snapshot) -> Catalogue {
    let mut kinds = BTreeMap::<GroupKind, ServedKind>::new();
    for group in &snapshot.groups {
        for version in &group.versions {
            for resource in chosen(&version.resources).into_values() {
                let kind = GroupKind::new(group.name.clone(), resource.kind.clone());
                let served = ServedKind { namespaced: resource.namespaced, versions: Vec::new() };
                kinds.entry(kind).or_insert(served).versions.push(ServedVersion {
                    version: version.name.clone(),
                    plural: resource.plural.clone(),
                    verbs: resource.verbs.clone(),
                });
            }
        }
    }
    Catalogue { kinds }
}

/// Gives one resource a kind: of two with the same kind, the first with more verbs.
fn chosen(resources: &[Resource]) -> BTreeMap<&str, &Resource> {
    let mut chosen = BTreeMap::<&str, &Resource>::new();
    for resource in resources {
        let first = chosen.entry(&resource.kind).or_insert(resource);
        if resource.verbs.len() > first.verbs.len() {
            *first = resource;
        }
    }
    chosen
}
