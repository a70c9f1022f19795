//! What one sync that somebody asks for does otherwise than its application's document says: some of the objects only, a
//! rehearsal, no hooks.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::key::ResourceKey;
use crate::policy::Retry;

/// Most selectors of one sync.
pub const SELECTORS: usize = 256;

/// How one sync differs from what its application says. A sync of some of the objects, and a rehearsal, leave no row in the
/// history and are not remembered as a sync of their release (Argo CD: partial syncs).
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags of a command")]
pub struct SyncOptions {
    /// The objects that it is limited to; empty: all of them.
    #[n(0)]
    #[cbor(with = "crate::later", has_nil)]
    pub resources: Vec<Selector>,
    /// Nothing is written: the API server is asked whether everything may be (`--dry-run`).
    #[n(1)]
    #[cbor(with = "crate::later", has_nil)]
    pub dry_run: bool,
    /// Hooks are not run (`--strategy apply`).
    #[n(2)]
    #[cbor(with = "crate::later", has_nil)]
    pub without_hooks: bool,
    /// Everything takes the place of what is there, what is in sync as well (`--replace`).
    #[n(3)]
    #[cbor(with = "crate::later", has_nil)]
    pub replace: bool,
    /// What cannot be changed as it is to be is deleted and made anew (`--force`).
    #[n(4)]
    #[cbor(with = "crate::later", has_nil)]
    pub force: bool,
    /// How it is tried again if it fails; absent: as its application says.
    #[n(5)]
    pub retry: Option<Retry>,
}

/// Names objects (Argo CD: `[!]GROUP:KIND:[NAMESPACE/]NAME`, each part a word or `*`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Selector {
    /// API group; empty for the core group.
    #[n(0)]
    pub group: String,
    /// Kind.
    #[n(1)]
    pub kind: String,
    /// Namespace; empty for any.
    #[n(2)]
    pub namespace: String,
    /// Name.
    #[n(3)]
    pub name: String,
    /// Leaves these objects out.
    #[n(4)]
    pub exclude: bool,
}

/// A text that names no objects, in Argo CD's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// It has not three parts.
    #[error("Resource should have GROUP:KIND:NAME, but instead got: {0}")]
    Parts(String),
    /// There is more than one slash in its name.
    #[error("Resource with namespace should have GROUP:KIND:NAMESPACE/NAME, but instead got: {0}")]
    Namespace(String),
}

// === impl SyncOptions ===

impl SyncOptions {
    /// Tells whether a sync is one of the whole release, so that it is remembered as that.
    pub fn is_whole(&self) -> bool {
        self.resources.is_empty() && !self.dry_run
    }

    /// Tells whether a sync runs no hooks, whatever there is (Argo CD: a sync of some of the objects runs none).
    pub fn has_no_hooks(&self) -> bool {
        self.without_hooks || !self.resources.is_empty()
    }

    /// Tells whether a sync may touch an object.
    pub fn selects(&self, key: &ResourceKey) -> bool {
        selects(&self.resources, key)
    }

    /// Tells whether a sync may write an object.
    pub fn writes(&self, key: &ResourceKey) -> bool {
        !self.dry_run && self.selects(key)
    }

    /// Names the objects that it is limited to, for people.
    pub fn filter(&self) -> String {
        let selectors: Vec<String> = self.resources.iter().map(ToString::to_string).collect();
        selectors.join(", ")
    }
}

/// Tells whether selectors take an object: any names it, or all of them only leave out, and none leaves it out. No selectors
/// take everything.
pub(crate) fn selects(selectors: &[Selector], key: &ResourceKey) -> bool {
    let mut takes = selectors.iter().filter(|selector| !selector.exclude).peekable();
    let taken = takes.peek().is_none() || takes.any(|selector| selector.names(key));
    taken && !selectors.iter().any(|selector| selector.exclude && selector.names(key))
}

// === impl Selector ===

impl Selector {
    fn names(&self, key: &ResourceKey) -> bool {
        let fits = |pattern: &str, text: &str| pattern == "*" || pattern == text;
        fits(&self.group, &key.group)
            && fits(&self.kind, &key.kind)
            && fits(&self.name, &key.name)
            && (self.namespace.is_empty() || fits(&self.namespace, &key.namespace))
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let (exclude, plain) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let parts = || SelectorError::Parts(plain.to_owned());
        let (group, rest) = plain.split_once(':').ok_or_else(parts)?;
        let (kind, name) = rest.split_once(':').filter(|(_, name)| !name.contains(':')).ok_or_else(parts)?;
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        if name.contains('/') {
            return Err(SelectorError::Namespace(plain.to_owned()));
        }
        let own = str::to_owned;
        Ok(Self { group: own(group), kind: own(kind), namespace: own(namespace), name: own(name), exclude })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.exclude { "!" } else { "" };
        write!(f, "{sign}{}:{}:", self.group, self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(selectors: &[&str]) -> SyncOptions {
        let resources = selectors.iter().map(|text| text.parse().unwrap()).collect();
        SyncOptions { resources, ..SyncOptions::default() }
    }

    #[test]
    fn selectors_are_read_as_argo_cd_reads_them() {
        for text in ["apps:Deployment:web", ":Service:shop/web", "!*:*:*", ":ConfigMap:*/a"] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        let wrong = |text: &str| text.parse::<Selector>().unwrap_err().to_string();
        assert_eq!(
            wrong("Deployment:web"),
            "Resource should have GROUP:KIND:NAME, but instead got: Deployment:web"
        );
        assert_eq!(wrong("!a:b:c:d"), "Resource should have GROUP:KIND:NAME, but instead got: a:b:c:d");
        assert_eq!(
            wrong(":Service:a/b/c"),
            "Resource with namespace should have GROUP:KIND:NAMESPACE/NAME, but instead got: :Service:a/b/c"
        );
    }

    #[test]
    fn an_object_is_taken_if_any_selector_names_it_and_none_leaves_it_out() {
        let web = ResourceKey::new("apps", "Deployment", "shop", "web");
        let map = ResourceKey::new("", "ConfigMap", "shop", "web");
        for (selectors, takes_web, takes_map) in [
            (&[][..], true, true),
            (&["apps:Deployment:web"], true, false),
            (&["apps:Deployment:shop/web"], true, false),
            (&["apps:Deployment:other/web"], false, false),
            (&[":Deployment:web"], false, false),
            (&["*:*:web"], true, true),
            (&["!apps:*:*"], false, true),
            (&["!apps:*:*", "!:Secret:*"], false, true),
            (&["*:*:*", "!:ConfigMap:web"], true, false),
            (&[":ConfigMap:*", "!*:*:web"], false, false),
        ] {
            let options = options(selectors);
            assert_eq!(
                (options.selects(&web), options.selects(&map)),
                (takes_web, takes_map),
                "{selectors:?}"
            );
        }
    }
}
