//! Paths of requests.

use std::fmt::Write as _;

use argosy_core::cluster::{ApiError, Watched};
use argosy_core::key::ResourceKey;
use argosy_core::tracking::MANAGED;

use super::discovery::Endpoint;

/// Gives the path of a group and version.
pub(super) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

/// Gives the path of all objects of a kind, in all namespaces.
pub(super) fn collection(endpoint: &Endpoint) -> String {
    format!("{}/{}", group_version(&endpoint.group, &endpoint.version), endpoint.plural)
}

/// Gives the path of one object. A namespace where there can be none, or none where there must be one, is refused.
pub(super) fn object(endpoint: &Endpoint, key: &ResourceKey) -> Result<String, ApiError> {
    let base = group_version(&endpoint.group, &endpoint.version);
    let (plural, name) = (&endpoint.plural, segment(&key.name));
    match (endpoint.namespaced, key.namespace.is_empty()) {
        (true, false) => Ok(format!("{base}/namespaces/{}/{plural}/{name}", segment(&key.namespace))),
        (false, true) => Ok(format!("{base}/{plural}/{name}")),
        (true, true) => Err(ApiError::Refused(format!("{key}: objects of this kind live in a namespace"))),
        (false, false) => Err(ApiError::Refused(format!("{key}: objects of this kind live in no namespace"))),
    }
}

/// Gives the path of what a watch is about, with the query that selects it: the objects of a kind that carry our label, or
/// one object by its name.
pub(super) fn selection(endpoint: &Endpoint, watched: &Watched) -> Result<String, ApiError> {
    match watched {
        Watched::Kind(_) => Ok(format!("{}?labelSelector={}", collection(endpoint), segment(MANAGED))),
        Watched::Part(key) => {
            // Its own path, without its name, is that of the collection it is in.
            let object = object(endpoint, key)?;
            let collection = object.rsplit_once('/').map_or(object.as_str(), |(collection, _)| collection);
            // Names of RBAC objects may have what the grammar of selectors gives a meaning.
            let escaped = key.name.replace('\\', r"\\").replace(',', r"\,").replace('=', r"\=");
            Ok(format!("{collection}?fieldSelector={}", segment(&format!("metadata.name={escaped}"))))
        }
    }
}

/// Writes one segment of a path, or one value of a query.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(group: &str, plural: &str, namespaced: bool) -> Endpoint {
        Endpoint {
            group: group.into(),
            version: "v1".into(),
            plural: plural.into(),
            namespaced,
            watchable: true,
        }
    }

    #[test]
    fn a_path_names_group_namespace_and_object() {
        let key = ResourceKey::new("apps", "Deployment", "shop", "web");
        let path = object(&endpoint("apps", "deployments", true), &key).unwrap();
        assert_eq!(path, "/apis/apps/v1/namespaces/shop/deployments/web");
        let key = ResourceKey::new("", "Namespace", "", "shop");
        assert_eq!(object(&endpoint("", "namespaces", false), &key).unwrap(), "/api/v1/namespaces/shop");
    }

    #[test]
    fn a_name_never_leaves_its_segment() {
        assert_eq!(segment("system:a b?c#d/e%"), "system:a%20b%3Fc%23d%2Fe%25");
    }

    #[test]
    fn a_kind_is_selected_by_our_label_and_a_part_by_the_name_of_its_object() {
        let namespaces = endpoint("", "namespaces", false);
        let kind = Watched::Kind(argosy_core::key::GroupKind::new("", "Namespace"));
        let label = "/api/v1/namespaces?labelSelector=argosy.dev%2Fmanaged";
        assert_eq!(selection(&namespaces, &kind).unwrap(), label);
        let part = Watched::Part(ResourceKey::new("", "Namespace", "", "shop").with_part("mesh"));
        let name = "/api/v1/namespaces?fieldSelector=metadata.name%3Dshop";
        assert_eq!(selection(&namespaces, &part).unwrap(), name);
        let part = Watched::Part(ResourceKey::new("", "ConfigMap", "shop", "a").with_part("mesh"));
        let name = "/api/v1/namespaces/shop/configmaps?fieldSelector=metadata.name%3Da";
        assert_eq!(selection(&endpoint("", "configmaps", true), &part).unwrap(), name);
        let roles = endpoint("rbac.authorization.k8s.io", "clusterroles", false);
        let part =
            ResourceKey::new("rbac.authorization.k8s.io", "ClusterRole", "", "a,b=c").with_part("mesh");
        let name =
            "/apis/rbac.authorization.k8s.io/v1/clusterroles?fieldSelector=metadata.name%3Da%5C%2Cb%5C%3Dc";
        assert_eq!(selection(&roles, &Watched::Part(part)).unwrap(), name);
    }

    #[test]
    fn a_namespace_where_none_belongs_is_refused() {
        let key = ResourceKey::new("", "Namespace", "x", "shop");
        assert!(matches!(object(&endpoint("", "namespaces", false), &key), Err(ApiError::Refused(_))));
        let key = ResourceKey::new("", "ConfigMap", "", "a");
        assert!(matches!(object(&endpoint("", "configmaps", true), &key), Err(ApiError::Refused(_))));
    }
}
