//! Names of Kubernetes objects: group, kind, namespace, name; no version (M2).

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{Digest, ParseIdError};
use crate::word::Word;

/// Groups of Kubernetes itself that have a dot in their name; those without one are its own anyway.
const BUILT_IN: [&str; 19] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "metrics.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Group and kind of an object, whatever its version.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct GroupKind {
    /// API group; empty for the core group.
    #[n(0)]
    pub group: Word,
    /// Kind.
    #[n(1)]
    pub kind: Word,
}

impl GroupKind {
    /// Makes one.
    pub fn new(group: impl Into<Word>, kind: impl Into<Word>) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }

    /// Tells whether an object is of this kind.
    pub fn is_of(&self, key: &ResourceKey) -> bool {
        self.kind == key.kind && self.group == key.group
    }

    /// Tells whether its group is one of Kubernetes itself, whose types leave empty values out and change with its version
    /// alone.
    pub fn is_built_in(&self) -> bool {
        !self.group.contains('.') || BUILT_IN.contains(&self.group.as_str())
    }

    /// Tells whether this is the core `Namespace`.
    pub fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.kind == "Namespace"
    }

    /// Tells whether this is a `CustomResourceDefinition`.
    pub fn is_crd(&self) -> bool {
        self.group == "apiextensions.k8s.io" && self.kind == "CustomResourceDefinition"
    }

    /// Tells whether this is a `PersistentVolumeClaim`.
    pub fn is_claim(&self) -> bool {
        self.group.is_empty() && self.kind == "PersistentVolumeClaim"
    }

    /// Tells whether this is a `Secret`, whose values never leave the agent.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == "Secret"
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.kind)
        } else {
            write!(f, "{}/{}", self.group, self.kind)
        }
    }
}

impl fmt::Debug for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Group and version of an `apiVersion`.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// What stands in the place of a name that is not known yet: no object may have it in its name.
const NAMELESS: char = '%';
/// Digits of a release, and of when a sync began, in a name that it made.
const RELEASE_DIGITS: usize = 7;
const BEGAN_DIGITS: usize = 10;

/// Longest name of a part, so that with what comes before it is a name of a field manager.
const PART_LENGTH: usize = 40;

/// One Kubernetes object, or a part of one: (group, kind, namespace, name, part), no version (M2). The namespace is empty
/// for an object of the cluster's scope and, in a release, for one whose manifest names none (the agent resolves it).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct ResourceKey {
    /// API group; empty for the core group.
    #[n(0)]
    pub group: Word,
    /// Kind.
    #[n(1)]
    pub kind: Word,
    /// Namespace, or empty.
    #[n(2)]
    pub namespace: Word,
    /// Name.
    #[n(3)]
    pub name: Word,
    /// Which slice of the object is meant; empty for the whole.
    #[n(4)]
    #[cbor(with = "crate::later", has_nil)]
    #[serde(default, skip_serializing_if = "Word::is_empty")]
    pub part: Word,
}

impl ResourceKey {
    /// Makes the key of an object whose name each sync makes anew from a prefix (`generateName`): the prefix, and which of
    /// those with the same one it is (M2).
    #[must_use]
    pub fn nameless(self, rank: u32) -> Self {
        let prefix = self.prefix().unwrap_or(&self.name);
        let rank = if rank == 0 { String::new() } else { rank.to_string() };
        let name = format!("{prefix}{NAMELESS}{rank}").into();
        Self { name, ..self }
    }

    /// Gives what the name begins with of an object that has none yet; absent for one that is named.
    pub fn prefix(&self) -> Option<&str> {
        self.name.split_once(NAMELESS).map(|(prefix, _)| prefix)
    }

    /// Makes the key of a nameless object in one phase of one sync, as long as the sync is that one: its release, and when it
    /// began. Absent for an object that is named.
    pub fn named(&self, release: Digest, phase: &str, began: Digest) -> Option<Self> {
        let (prefix, rank) = self.name.split_once(NAMELESS)?;
        let rank = if rank.is_empty() { String::new() } else { format!("-{rank}") };
        let short = |digest: Digest, digits| digest.to_string().chars().take(digits).collect::<String>();
        let (release, began) = (short(release, RELEASE_DIGITS), short(began, BEGAN_DIGITS));
        let name = format!("{prefix}{release}-{}-{began}{rank}", phase.to_lowercase()).into();
        Some(Self { name, ..self.clone() })
    }

    /// Tells whether a nameless object may have become this one.
    pub fn may_be(&self, nameless: &Self) -> bool {
        let hex =
            |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let rest = nameless.prefix().and_then(|prefix| self.name.strip_prefix(prefix));
        let mut parts = rest.into_iter().flat_map(|rest| rest.split('-'));
        let (release, _phase, began) = (parts.next(), parts.next(), parts.next());
        release.is_some_and(|text| hex(text, RELEASE_DIGITS))
            && began.is_some_and(|text| hex(text, BEGAN_DIGITS))
            && self.group == nameless.group
            && self.kind == nameless.kind
            && self.namespace == nameless.namespace
    }

    /// Makes one.
    pub fn new(
        group: impl Into<Word>,
        kind: impl Into<Word>,
        namespace: impl Into<Word>,
        name: impl Into<Word>,
    ) -> Self {
        let part = Word::default();
        Self { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into(), part }
    }

    /// Gives the key of a part of the same object; of the whole, where the part has no name.
    #[must_use]
    pub fn with_part(self, part: impl Into<Word>) -> Self {
        Self { part: part.into(), ..self }
    }

    /// Gives the key of the whole object.
    #[must_use]
    pub fn whole(&self) -> Self {
        self.clone().with_part("")
    }

    /// Tells whether another key means the same object, whole or in part.
    pub fn is_of_object(&self, other: &Self) -> bool {
        (&self.group, &self.kind, &self.namespace, &self.name)
            == (&other.group, &other.kind, &other.namespace, &other.name)
    }

    /// Tells whether a part of an object is meant, and not the whole.
    pub fn is_part(&self) -> bool {
        !self.part.is_empty()
    }

    /// Gives group and kind.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.group.clone(), self.kind.clone())
    }

    /// Gives the same key in another namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { namespace: namespace.into(), ..self.clone() }
    }

    /// Tells whether this is the core `Namespace`, or a part of one.
    pub fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.kind == "Namespace"
    }

    /// Tells whether this is a whole `CustomResourceDefinition`: a part of one defines nothing.
    pub fn is_crd(&self) -> bool {
        self.group == "apiextensions.k8s.io" && self.kind == "CustomResourceDefinition" && !self.is_part()
    }

    /// Tells whether it is never part of an application: events, measurements and leases come and go by themselves (the
    /// exclusions that are built into Argo CD).
    pub fn is_excluded(&self) -> bool {
        let (group, kind) = (self.group.as_str(), self.kind.as_str());
        let whole = ["events.k8s.io", "metrics.k8s.io"].contains(&group);
        whole || [("", "Event"), ("coordination.k8s.io", "Lease")].contains(&(group, kind))
    }

    /// Tells whether losing this object loses data that Git does not have: a `Namespace` or a claim. A part can be given up:
    /// its object stays.
    pub fn is_precious(&self) -> bool {
        let precious =
            self.group.is_empty() && (self.kind == "Namespace" || self.kind == "PersistentVolumeClaim");
        precious && !self.is_part()
    }
}

impl fmt::Display for ResourceKey {
    /// Prints `group/kind/namespace/name`, with what is empty left empty (Argo CD: resource keys); of a part, its name after
    /// one more slash, which no name of an object has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.group, self.kind, self.namespace, self.name)?;
        if self.is_part() { write!(f, "/{}", self.part) } else { Ok(()) }
    }
}

impl fmt::Debug for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ResourceKey {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [group, kind, namespace, name] if !kind.is_empty() && !name.is_empty() => {
                Ok(Self::new(*group, *kind, *namespace, *name))
            }
            [group, kind, namespace, name, part]
                if !kind.is_empty() && !name.is_empty() && is_part_name(part) =>
            {
                Ok(Self::new(*group, *kind, *namespace, *name).with_part(*part))
            }
            _ => Err(ParseIdError {
                what: "resource",
                text: text.to_owned(),
                why: "expected GROUP/KIND/NAMESPACE/NAME, and for a part of it one more /PART",
            }),
        }
    }
}

/// Tells whether a text may name a part: a DNS label of at most 40 characters, since it becomes the name of a field manager.
pub fn is_part_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= PART_LENGTH
        && bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameless_object_gets_a_name_for_each_phase_of_a_sync() {
        let hook = ResourceKey::new("batch", "Job", "shop", "job-").nameless(0);
        assert_eq!((hook.prefix(), hook.name.as_str()), (Some("job-"), "job-%"));
        let (release, began) = (Digest::of(b"release"), Digest::of(b"began"));
        let named = hook.named(release, "PreSync", began).unwrap();
        assert!(named.name.starts_with("job-") && named.name.contains("-presync-"), "{named}");
        let second = hook.clone().nameless(1).named(release, "PreSync", began).unwrap();
        assert_eq!(second.name, format!("{}-1", named.name));
        assert!(named.may_be(&hook) && second.may_be(&hook));
        assert!(named.prefix().is_none() && named.named(release, "PreSync", began).is_none());
        assert!(!ResourceKey::new("batch", "Job", "shop", "job-migrate-the-rest").may_be(&hook));
        assert!(!named.in_namespace("other").may_be(&hook));
    }

    #[test]
    fn a_key_reads_back_what_it_prints() {
        for text in ["apps/Deployment/shop/web", "/ConfigMap/shop/web", "/Namespace//shop"] {
            assert_eq!(text.parse::<ResourceKey>().unwrap().to_string(), text);
        }
        assert!("ConfigMap/web".parse::<ResourceKey>().is_err());
    }

    #[test]
    fn a_part_of_an_object_is_something_else_than_the_whole() {
        let whole = ResourceKey::new("", "Namespace", "", "shop");
        let part = whole.clone().with_part("mesh");
        assert_eq!((part.to_string().as_str(), part.whole()), ("/Namespace//shop/mesh", whole.clone()));
        assert_eq!(part.to_string().parse::<ResourceKey>().unwrap(), part);
        assert!("/Namespace//shop/Mesh".parse::<ResourceKey>().is_err());
        assert!("/Namespace//shop/".parse::<ResourceKey>().is_err());
        assert!(
            whole.is_of_object(&part) && !part.is_of_object(&ResourceKey::new("", "Namespace", "", "other"))
        );
        assert!(whole < part && part.is_part() && !part.is_precious() && part.is_namespace());
        let crd = ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "a.b");
        assert!(crd.is_crd() && !crd.with_part("x").is_crd());
    }

    #[test]
    fn the_whole_is_encoded_as_before_there_were_parts() {
        #[derive(Encode)]
        struct Before<'a>(#[n(0)] &'a str, #[n(1)] &'a str, #[n(2)] &'a str, #[n(3)] &'a str);
        let whole = ResourceKey::new("apps", "Deployment", "shop", "web");
        let bytes = minicbor::to_vec(&whole).unwrap();
        assert_eq!(bytes, minicbor::to_vec(Before("apps", "Deployment", "shop", "web")).unwrap());
        assert_eq!(minicbor::decode::<ResourceKey>(&bytes).unwrap(), whole);
        let part = whole.with_part("mesh");
        assert_eq!(minicbor::decode::<ResourceKey>(&minicbor::to_vec(&part).unwrap()).unwrap(), part);
    }

    #[test]
    fn a_part_has_a_name_that_a_field_manager_can_have() {
        for name in ["a", "mesh", "mesh-2", &"x".repeat(40)] {
            assert!(is_part_name(name), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a.b", "a/b", "a b", "\u{e9}", &"x".repeat(41)] {
            assert!(!is_part_name(name), "{name}");
        }
    }

    #[test]
    fn groups_and_versions_are_told_apart() {
        assert_eq!(split_api_version("v1"), ("", "v1"));
        assert_eq!(split_api_version("apps/v1"), ("apps", "v1"));
    }
}
