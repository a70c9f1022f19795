//! Which kinds the API server serves, and where.
//!
//! One request tells all (aggregated discovery); an API server that does not know it is asked group by group. Facts
//! shrink only on an observed removal: a group that is stale or does not answer keeps what was known of it, and a kind
//! that a complete answer lacks is first looked for at its own group and version, because a starting API server knows
//! less for a moment.

mod merge;
mod parse;

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::cluster::{ApiError, KindInfo, Kinds, REQUEST_DEADLINE, Subject};
use argosy_core::key::GroupKind;
use serde_json::Value;

use self::parse::{Group, Resource, Snapshot};
use super::failure::Failure;
use super::path;
use super::transport::{self, Call, Transport};

/// Asks for everything at once; the plain form is for API servers that know no other.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// All that is served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    kinds: BTreeMap<GroupKind, ServedKind>,
}

/// How a kind is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedKind {
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Its versions, the preferred one first; never empty.
    pub versions: Vec<ServedVersion>,
}

/// One version of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedVersion {
    /// Its name, e.g. `v1beta1`.
    pub version: String,
    /// The kind's name in paths, e.g. `deployments`.
    pub plural: String,
    /// What can be done with its objects.
    pub verbs: BTreeSet<String>,
}

/// Result of a discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The kinds that are served.
    pub kinds: Kinds,
    /// Whether anything changed, versions included.
    pub changed: bool,
    /// Groups and versions that could not be asked: of them, what was known before still counts.
    pub stale: Vec<String>,
}

/// Where a kind is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) namespaced: bool,
    /// Whether its objects can be listed and watched.
    pub(super) watchable: bool,
}

// === impl Discovered ===

impl Discovered {
    /// Gives the groups of which a version could not be asked.
    pub fn stale_groups(&self) -> BTreeSet<String> {
        let groups = self.stale.iter().filter_map(|version| version.rsplit_once('/'));
        groups.map(|(group, _)| group.to_owned()).collect()
    }
}

// === impl Catalogue ===

impl Catalogue {
    /// Gives how a kind is served.
    pub fn get(&self, kind: &GroupKind) -> Option<&ServedKind> {
        self.kinds.get(kind)
    }

    /// Gives the kinds as the reconciler wants them.
    pub fn kinds(&self) -> Kinds {
        self.kinds
            .iter()
            .map(|(kind, served)| (kind.clone(), KindInfo { namespaced: served.namespaced }))
            .collect()
    }

    /// Finds where a kind is served, in the given or the preferred version.
    pub(super) fn endpoint(&self, kind: &GroupKind, version: Option<&str>) -> Result<Endpoint, ApiError> {
        if self.kinds.is_empty() {
            let message = "it has not told yet which kinds it serves".to_owned();
            return Err(ApiError::Unavailable { message, retry_after: None });
        }
        let Some(served) = self.kinds.get(kind) else {
            return Err(ApiError::NotServed(format!("the cluster does not serve {kind}")));
        };
        let found = match version {
            Some(wanted) => served.versions.iter().find(|served| served.version == wanted),
            None => served.versions.first(),
        };
        let Some(found) = found else {
            let versions: Vec<&str> = served.versions.iter().map(|served| served.version.as_str()).collect();
            let wanted = version.unwrap_or_default();
            let message = format!(
                "the cluster does not serve {kind} in version {wanted}, only in {}",
                versions.join(", ")
            );
            return Err(ApiError::NotServed(message));
        };
        Ok(Endpoint {
            group: kind.group.to_string(),
            version: found.version.clone(),
            plural: found.plural.clone(),
            namespaced: served.namespaced,
            watchable: ["list", "watch"].iter().all(|verb| found.verbs.contains(*verb)),
        })
    }
}

/// Asks for all kinds, given what is known; gives what is known now and what could not be asked.
pub(super) async fn discover(
    transport: &Transport,
    known: &Catalogue,
) -> Result<(Catalogue, Vec<String>), ApiError> {
    let mut snapshot = Snapshot::default();
    for root in ["/api", "/apis"] {
        let document =
            get(transport, root, AGGREGATED).await.map_err(|failure| failure.classify(Subject::default()))?;
        let groups = if parse::is_aggregated(&document) {
            parse::aggregated(&document)
        } else {
            legacy(transport, root, &document).await
        };
        snapshot.groups.extend(groups);
    }
    let mut merged = merge::merge(known, &snapshot);
    for (group, version) in merge::unconfirmed(&merged) {
        let gone = removed(transport, &group, &version).await;
        merge::confirm(&mut merged, &group, &version, gone.as_ref());
    }
    Ok((merged.catalogue, snapshot.stale()))
}

async fn get(transport: &Transport, path: &str, accept: &'static str) -> Result<Value, Failure> {
    transport.call(Call::get(path, accept), REQUEST_DEADLINE).await?.json()
}

/// Asks group by group; what does not answer is stale.
async fn legacy(transport: &Transport, root: &str, document: &Value) -> Vec<Group> {
    let mut groups = parse::legacy_groups(root, document);
    for group in &mut groups {
        for version in &mut group.versions {
            match get(transport, &path::group_version(&group.name, &version.name), transport::WHOLE).await {
                Ok(list) => version.resources = parse::legacy_resources(&list),
                Err(failure) => {
                    tracing::debug!(
                        group = group.name,
                        version = version.name,
                        ?failure,
                        "discovery of a group failed"
                    );
                    version.fresh = false;
                }
            }
        }
    }
    groups
}

/// Asks a group and version directly what it serves; `None` when that cannot be told.
async fn removed(transport: &Transport, group: &str, version: &str) -> Option<BTreeSet<String>> {
    match get(transport, &path::group_version(group, version), transport::WHOLE).await {
        Ok(list) => Some(parse::legacy_resources(&list).into_iter().map(|resource| resource.kind).collect()),
        Err(failure) if failure.has_code(404) => Some(BTreeSet::new()),
        Err(_failure) => None,
    }
}

#[cfg(test)]
mod tests;
