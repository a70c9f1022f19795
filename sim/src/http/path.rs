//! What a path names.

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// All paths.
    Root,
    /// The version of the API server.
    Version,
    /// Whether the server works.
    Health,
    /// The groups that have a schema.
    OpenApi,
    /// The schema of one group and version.
    OpenApiOf { group: String, version: String },
    /// The schema of everything, in its old form.
    OpenApiV2,
    /// The versions of the group without a name.
    LegacyVersions,
    /// All groups with a name.
    Groups,
    /// The versions of one group.
    Group(String),
    /// The resources of one group and version.
    Resources { group: String, version: String },
    /// Objects.
    Objects(Address),
    /// Nothing.
    Nothing,
}

/// Where objects are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Address {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Whether the path asks for a watch in the old way.
    pub(crate) watch: bool,
    /// Empty for a resource without namespaces, or for all namespaces.
    pub(crate) namespace: String,
    pub(crate) resource: String,
    /// Empty for a collection.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
}

// === impl Target ===

impl Target {
    /// Reads a path.
    pub(crate) fn of(path: &str) -> Self {
        let parts: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(percent_decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [] => Self::Root,
            ["version"] => Self::Version,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["openapi", "v2"] => Self::OpenApiV2,
            ["openapi", "v3"] => Self::OpenApi,
            ["openapi", "v3", "api", version] => Self::open_api("", version),
            ["openapi", "v3", "apis", group, version] => Self::open_api(group, version),
            ["api"] => Self::LegacyVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["api", version, rest @ ..] => Self::within("", version, rest),
            ["apis", group, version, rest @ ..] => Self::within(group, version, rest),
            _ => Self::Nothing,
        }
    }

    fn open_api(group: &str, version: &str) -> Self {
        Self::OpenApiOf { group: group.to_owned(), version: version.to_owned() }
    }

    fn within(group: &str, version: &str, rest: &[&str]) -> Self {
        let (group, version) = (group.to_owned(), version.to_owned());
        let (watch, rest) = match rest {
            [] => return Self::Resources { group, version },
            ["watch", rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (namespace, rest) = match rest {
            // Of a namespace itself these two are subresources.
            ["namespaces", _, "status" | "finalize", ..] | ["namespaces"] => ("", rest),
            ["namespaces", namespace, inner @ ..] if !inner.is_empty() => (*namespace, inner),
            rest => ("", rest),
        };
        let (resource, name, subresource) = match rest {
            [resource] => (*resource, "", String::new()),
            [resource, name, part @ ..] => (*resource, *name, part.join("/")),
            [] => return Self::Nothing,
        };
        Self::Objects(Address {
            group,
            version,
            watch,
            namespace: namespace.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            subresource,
        })
    }
}

/// Decodes `%XX`; what is no such code stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(path: &str) -> Address {
        let Target::Objects(address) = Target::of(path) else { panic!("{path} names no objects") };
        address
    }

    #[test]
    fn a_namespace_is_a_place_and_an_object() {
        let found = address("/api/v1/namespaces/shop");
        assert_eq!(
            (found.resource.as_str(), found.name.as_str(), found.namespace.as_str()),
            ("namespaces", "shop", "")
        );
        let found = address("/api/v1/namespaces/shop/finalize");
        assert_eq!((found.name.as_str(), found.subresource.as_str()), ("shop", "finalize"));
        let found = address("/apis/apps/v1/namespaces/shop/deployments/web/scale");
        assert_eq!(
            (
                found.group.as_str(),
                found.namespace.as_str(),
                found.resource.as_str(),
                found.subresource.as_str()
            ),
            ("apps", "shop", "deployments", "scale")
        );
        assert_eq!(address("/api/v1/namespaces/shop/configmaps").name, "");
        assert_eq!(address("/api/v1/configmaps").namespace, "");
    }

    #[test]
    fn old_watches_and_encoded_names_are_read() {
        let found = address("/api/v1/watch/namespaces/shop/configmaps/a%3Ab");
        assert!(found.watch);
        assert_eq!(found.name, "a:b");
        assert_eq!(percent_decoded("50%"), "50%");
        assert_eq!(percent_decoded("%e2%82%ac%zz"), "\u{20ac}%zz");
    }

    #[test]
    fn the_rest_is_told_apart() {
        assert_eq!(Target::of("/"), Target::Root);
        assert_eq!(Target::of("/apis/"), Target::Groups);
        assert_eq!(Target::of("/apis/apps"), Target::Group("apps".to_owned()));
        assert_eq!(Target::of("/readyz/ping"), Target::Health);
        assert_eq!(Target::of("/openapi/v3/apis/x.dev/v1"), Target::open_api("x.dev", "v1"));
        assert_eq!(
            Target::of("/api/v1"),
            Target::Resources { group: String::new(), version: "v1".to_owned() }
        );
        assert_eq!(Target::of("/metrics"), Target::Nothing);
    }
}
