//! What is served: all at once, or group by group.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::kinds::{Resource, SubresourceInfo};

/// The groups of a cluster, in the order in which they are told.
pub(crate) struct Catalogue {
    groups: Vec<Group>,
}

struct Group {
    name: String,
    /// The preferred one first.
    versions: Vec<Version>,
}

struct Version {
    name: String,
    resources: Vec<Arc<Resource>>,
}

// === impl Catalogue ===

impl Catalogue {
    /// Sorts resources into groups: the built-in ones in their own order, then those of definitions by name.
    pub(crate) fn new(resources: impl IntoIterator<Item = Arc<Resource>>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for resource in resources {
            let group = entry(
                &mut groups,
                |group| group.name == resource.group,
                || Group { name: resource.group.clone(), versions: Vec::new() },
            );
            let Some(group) = group else { continue };
            let version = entry(
                &mut group.versions,
                |version| version.name == resource.version,
                || Version { name: resource.version.clone(), resources: Vec::new() },
            );
            if let Some(version) = version {
                version.resources.push(resource);
            }
        }
        for group in &mut groups {
            group.versions.sort_by(|a, b| by_stability(&a.name, &b.name));
        }
        // Stable: what is built in keeps its order.
        groups.sort_by(|a, b| match (a.is_custom(), b.is_custom()) {
            (true, true) => a.name.cmp(&b.name),
            (a, b) => a.cmp(&b),
        });
        Self { groups }
    }

    /// Tells whether a group and version is served.
    pub(crate) fn has(&self, group: &str, version: &str) -> bool {
        self.version(group, version).is_some()
    }

    /// Tells whether a group is one of definitions alone.
    pub(crate) fn is_custom(&self, group: &str) -> bool {
        self.group(group).is_none_or(Group::is_custom)
    }

    /// Gives each group with each of its versions.
    pub(crate) fn group_versions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.groups.iter().flat_map(|group| {
            group.versions.iter().map(move |version| (group.name.as_str(), version.name.as_str()))
        })
    }

    /// Gives the resources of a group and version.
    pub(crate) fn resources(&self, group: &str, version: &str) -> &[Arc<Resource>] {
        self.version(group, version).map(|version| version.resources.as_slice()).unwrap_or_default()
    }

    /// Gives `APIGroupDiscoveryList` of the core group or of all others.
    pub(crate) fn aggregated(&self, core: bool) -> Value {
        let groups = self.groups.iter().filter(|group| group.name.is_empty() == core);
        json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": groups.map(Group::aggregated).collect::<Value>(),
        })
    }

    /// Gives `APIGroupList`.
    pub(crate) fn groups(&self) -> Value {
        let groups = self.groups.iter().filter(|group| !group.name.is_empty());
        json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": groups.map(Group::legacy).collect::<Value>(),
        })
    }

    /// Gives `APIGroup` of one group.
    pub(crate) fn one_group(&self, name: &str) -> Option<Value> {
        let mut group = self.group(name).filter(|group| !group.name.is_empty())?.legacy();
        if let Some(map) = group.as_object_mut() {
            map.insert("kind".to_owned(), "APIGroup".into());
            map.insert("apiVersion".to_owned(), "v1".into());
        }
        Some(group)
    }

    /// Gives `APIResourceList` of one group and version.
    pub(crate) fn list(&self, group: &str, version: &str) -> Option<Value> {
        let found = self.version(group, version)?;
        let mut resources = Vec::new();
        for resource in &found.resources {
            resources.push(legacy(resource));
            resources.extend(parts(resource).map(|info| legacy_part(resource, info)));
        }
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let mut list =
            json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
        // The core group's list has always lacked it.
        if let (false, Value::Object(map)) = (group.is_empty(), &mut list) {
            map.insert("apiVersion".to_owned(), "v1".into());
        }
        Some(list)
    }

    fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    fn version(&self, group: &str, version: &str) -> Option<&Version> {
        self.group(group)?.versions.iter().find(|known| known.name == version)
    }
}

// === impl Group ===

impl Group {
    fn is_custom(&self) -> bool {
        let mut resources = self.versions.iter().flat_map(|version| &version.resources);
        resources.all(|resource| resource.custom().is_some())
    }

    fn legacy(&self) -> Value {
        let version = |version: &Version| json!({"groupVersion": format!("{}/{}", self.name, version.name), "version": version.name});
        json!({
            "name": self.name,
            "versions": self.versions.iter().map(version).collect::<Value>(),
            "preferredVersion": self.versions.first().map(version),
        })
    }

    fn aggregated(&self) -> Value {
        let metadata = if self.name.is_empty() { json!({}) } else { json!({"name": self.name}) };
        let version = |version: &Version| {
            let resources = version.resources.iter().map(|resource| aggregated(resource)).collect::<Value>();
            json!({"version": version.name, "resources": resources, "freshness": "Current"})
        };
        json!({"metadata": metadata, "versions": self.versions.iter().map(version).collect::<Value>()})
    }
}

fn entry<T>(list: &mut Vec<T>, is: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> Option<&mut T> {
    let at = list.iter().position(is).unwrap_or_else(|| {
        list.push(make());
        list.len().saturating_sub(1)
    });
    list.get_mut(at)
}

fn legacy(resource: &Resource) -> Value {
    let mut map = Map::new();
    map.insert("name".to_owned(), resource.plural.as_str().into());
    map.insert("singularName".to_owned(), resource.singular.as_str().into());
    map.insert("namespaced".to_owned(), resource.namespaced.into());
    map.insert("kind".to_owned(), resource.kind.as_str().into());
    map.insert("verbs".to_owned(), verbs(resource).into());
    names(resource, &mut map);
    Value::Object(map)
}

/// Gives the verbs in the order in which they are told, which is another one for kinds of definitions.
fn verbs(resource: &Resource) -> Vec<&'static str> {
    if resource.custom().is_none() {
        return resource.verbs.clone();
    }
    let order = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    order.into_iter().filter(|verb| resource.verbs.contains(verb)).collect()
}

/// Gives the parts in the order in which they are told: the status first for kinds of definitions.
fn parts(resource: &Resource) -> impl Iterator<Item = &SubresourceInfo> {
    let mut parts: Vec<&SubresourceInfo> = resource.subresources.iter().collect();
    if resource.custom().is_some() {
        parts.sort_by_key(|info| info.name != "status");
    }
    parts.into_iter()
}

fn legacy_part(resource: &Resource, info: &SubresourceInfo) -> Value {
    let (group, version, kind) = info.kind.unwrap_or(("", "", &resource.kind));
    let mut map = Map::new();
    map.insert("name".to_owned(), format!("{}/{}", resource.plural, info.name).into());
    map.insert("singularName".to_owned(), "".into());
    map.insert("namespaced".to_owned(), resource.namespaced.into());
    for (field, text) in [("group", group), ("version", version)] {
        if !text.is_empty() {
            map.insert(field.to_owned(), text.into());
        }
    }
    map.insert("kind".to_owned(), kind.into());
    map.insert("verbs".to_owned(), info.verbs.clone().into());
    Value::Object(map)
}

fn aggregated(resource: &Resource) -> Value {
    let (group, version) = match resource.custom() {
        Some(_) => (resource.group.as_str(), resource.version.as_str()),
        None => ("", ""),
    };
    let mut map = Map::new();
    map.insert("resource".to_owned(), resource.plural.as_str().into());
    map.insert("responseKind".to_owned(), json!({"group": group, "version": version, "kind": resource.kind}));
    map.insert("scope".to_owned(), if resource.namespaced { "Namespaced" } else { "Cluster" }.into());
    map.insert("singularResource".to_owned(), resource.singular.as_str().into());
    map.insert("verbs".to_owned(), verbs(resource).into());
    names(resource, &mut map);
    if !resource.subresources.is_empty() {
        let part = |info: &SubresourceInfo| {
            let (group, version, kind) = info.kind.unwrap_or((group, version, &resource.kind));
            json!({"subresource": info.name, "verbs": info.verbs,
                "responseKind": {"group": group, "version": version, "kind": kind}})
        };
        map.insert("subresources".to_owned(), parts(resource).map(part).collect());
    }
    Value::Object(map)
}

fn names(resource: &Resource, map: &mut Map<String, Value>) {
    for (field, list) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !list.is_empty() {
            map.insert(field.to_owned(), list.clone().into());
        }
    }
}

/// Orders versions as the API server does: stable before beta before alpha, newer before older, then by name.
fn by_stability(a: &str, b: &str) -> Ordering {
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Reads `v1`, `v1beta2` or `v1alpha1` as stability, major and minor number.
fn rank(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(digits);
    let major = major.parse().ok()?;
    if rest.is_empty() {
        return Some((2, major, 0));
    }
    let (stability, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
        (Some(minor), _) => (1, minor),
        (None, Some(minor)) => (0, minor),
        (None, None) => return None,
    };
    Some((stability, major, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::built_in;

    fn catalogue() -> Catalogue {
        Catalogue::new(built_in().iter().cloned())
    }

    #[test]
    fn versions_are_ordered_by_stability() {
        let mut versions = vec!["v1alpha1", "foo", "v2", "v1beta1", "v10", "v1", "v1beta2", "bar"];
        versions.sort_by(|a, b| by_stability(a, b));
        assert_eq!(versions, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "bar", "foo"]);
    }

    #[test]
    fn the_core_group_is_apart_from_the_others() {
        let catalogue = catalogue();
        let core = catalogue.aggregated(true);
        assert_eq!(core["items"].as_array().unwrap().len(), 1);
        assert_eq!(core["items"][0]["metadata"], json!({}));
        let groups = catalogue.groups();
        assert!(groups["groups"].as_array().unwrap().iter().all(|group| group["name"] != ""));
        assert!(catalogue.one_group("").is_none());
        assert_eq!(catalogue.one_group("apps").unwrap()["preferredVersion"]["groupVersion"], "apps/v1");
    }

    #[test]
    fn parts_of_objects_are_listed_with_them() {
        let catalogue = catalogue();
        let list = catalogue.list("apps", "v1").unwrap();
        let scale =
            list["resources"].as_array().unwrap().iter().find(|r| r["name"] == "deployments/scale").unwrap();
        assert_eq!(
            *scale,
            json!({"name": "deployments/scale", "singularName": "", "namespaced": true, "group": "autoscaling",
                "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]})
        );
        assert!(catalogue.list("apps", "v2").is_none());
        assert!(catalogue.list("", "v1").unwrap().get("apiVersion").is_none());
        let others = catalogue.aggregated(false);
        let apps =
            others["items"].as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "apps").unwrap();
        let resources = apps["versions"][0]["resources"].as_array().unwrap();
        let deployments = resources.iter().find(|r| r["resource"] == "deployments").unwrap();
        assert_eq!(deployments["responseKind"], json!({"group": "", "version": "", "kind": "Deployment"}));
        assert_eq!(deployments["scope"], "Namespaced");
    }
}
