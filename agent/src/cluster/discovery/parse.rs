//! Discovery documents.

use std::collections::BTreeSet;

use argosy_core::json;
use serde_json::Value;

/// What discovery said at one time.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) groups: Vec<Group>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// The preferred one first.
    pub(super) versions: Vec<Version>,
}

#[derive(Debug)]
pub(super) struct Version {
    pub(super) name: String,
    /// Whether the resources are as of now; of a stale version they may lack any.
    pub(super) fresh: bool,
    pub(super) resources: Vec<Resource>,
}

#[derive(Debug)]
pub(super) struct Resource {
    pub(super) plural: String,
    pub(super) kind: String,
    pub(super) namespaced: bool,
    pub(super) verbs: BTreeSet<String>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Names the groups and versions that could not be asked.
    pub(super) fn stale(&self) -> Vec<String> {
        let versions =
            self.groups.iter().flat_map(|group| group.versions.iter().map(move |version| (group, version)));
        versions
            .filter(|(_, version)| !version.fresh)
            .map(|(group, version)| format!("{}/{}", group.name, version.name))
            .collect()
    }

    /// Tells whether a group and version is there, and stale.
    pub(super) fn is_stale(&self, group: &str, version: &str) -> bool {
        let groups = self.groups.iter().filter(|known| known.name == group);
        groups.flat_map(|group| &group.versions).any(|known| known.name == version && !known.fresh)
    }
}

pub(super) fn is_aggregated(document: &Value) -> bool {
    json::text_at(document, &["kind"]) == Some("APIGroupDiscoveryList")
}

pub(super) fn aggregated(document: &Value) -> Vec<Group> {
    list(document, "items")
        .map(|group| Group {
            name: json::text_at(group, &["metadata", "name"]).unwrap_or_default().to_owned(),
            versions: list(group, "versions")
                .map(|version| Version {
                    name: text(version, "version"),
                    fresh: json::text_at(version, &["freshness"]) != Some("Stale"),
                    resources: list(version, "resources").filter_map(aggregated_resource).collect(),
                })
                .collect(),
        })
        .collect()
}

fn aggregated_resource(resource: &Value) -> Option<Resource> {
    Some(Resource {
        plural: json::text_at(resource, &["resource"])?.to_owned(),
        kind: json::text_at(resource, &["responseKind", "kind"]).filter(|kind| !kind.is_empty())?.to_owned(),
        namespaced: json::text_at(resource, &["scope"]) == Some("Namespaced"),
        verbs: verbs(resource),
    })
}

/// Reads `APIVersions` (of `/api`) or `APIGroupList` (of `/apis`): versions without resources.
pub(super) fn legacy_groups(root: &str, document: &Value) -> Vec<Group> {
    let version = |name: &str| Version { name: name.to_owned(), fresh: true, resources: Vec::new() };
    if root == "/api" {
        let versions = list(document, "versions").filter_map(Value::as_str).map(version).collect();
        return vec![Group { name: String::new(), versions }];
    }
    list(document, "groups")
        .map(|group| {
            let preferred = json::text_at(group, &["preferredVersion", "version"]).unwrap_or_default();
            let mut names: Vec<&str> =
                list(group, "versions").filter_map(|version| json::text_at(version, &["version"])).collect();
            // Stable: the others keep their order.
            names.sort_by_key(|name| *name != preferred);
            Group { name: text(group, "name"), versions: names.into_iter().map(version).collect() }
        })
        .collect()
}

/// Reads `APIResourceList`, without subresources.
pub(super) fn legacy_resources(document: &Value) -> Vec<Resource> {
    list(document, "resources")
        .filter_map(|resource| {
            let plural = json::text_at(resource, &["name"]).filter(|name| !name.contains('/'))?;
            Some(Resource {
                plural: plural.to_owned(),
                kind: json::text_at(resource, &["kind"])?.to_owned(),
                namespaced: resource.get("namespaced").and_then(Value::as_bool).unwrap_or(false),
                verbs: verbs(resource),
            })
        })
        .collect()
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, field: &str) -> String {
    json::text_at(value, &[field]).unwrap_or_default().to_owned()
}

fn verbs(resource: &Value) -> BTreeSet<String> {
    list(resource, "verbs").filter_map(Value::as_str).map(str::to_owned).collect()
}
