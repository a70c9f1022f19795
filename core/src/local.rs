//! The local policy of an agent: what may be done to its cluster, whatever the hub says.
//!
//! It is a file next to the agent, of whoever owns the cluster. It only takes away: what it permits a project may still
//! refuse. Everything in it is decided before a write is sent; heals keep to it too, except to its windows, for drift is no
//! change.

mod read;
#[cfg(test)]
mod tests;

use minicbor::{Decode, Encode};

use crate::desired::Destination;
use crate::glob::Glob;
use crate::ids::Digest;
use crate::key::ResourceKey;
use crate::windows::SyncWindow;

pub use self::read::PolicyError;

/// Whose windows these are, for messages.
pub const WHOSE: &str = " of this agent's policy";

/// What may be done to a cluster, whatever the hub says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPolicy {
    /// Of the file, so that two agents can be compared.
    digest: Digest,
    /// Absent: all that is not denied.
    kinds_allowed: Option<Vec<Rule>>,
    kinds_denied: Vec<Rule>,
    /// Absent: all.
    namespaces: Option<Vec<NamespaceRule>>,
    cluster_scope: ClusterScope,
    deletes: Deletes,
    windows: Vec<SyncWindow>,
}

/// What a hub is told of a local policy.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PolicySummary {
    /// BLAKE3 of the file.
    #[n(0)]
    pub digest: Digest,
    /// What is in it, in a line.
    #[n(1)]
    pub text: String,
}

/// A write that a local policy refuses, with the rule that does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this agent's policy refuses {what}: {rule}")]
pub struct RefusedHere {
    /// What is refused.
    pub what: String,
    /// The rule, by its field in the file.
    pub rule: String,
}

/// Objects of the cluster's scope.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ClusterScope {
    Any,
    None,
    Only(Vec<Rule>),
}

/// What may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deletes {
    Any,
    Never,
    Only(Vec<Rule>),
}

/// A rule about kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    group: Pattern,
    kind: Pattern,
    /// Absent: any.
    name: Option<Pattern>,
}

/// A rule about namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NamespaceRule {
    denies: bool,
    pattern: Pattern,
}

/// A pattern; most are a word or a star, which cost nothing to match.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    /// Absent: the text itself.
    glob: Option<Glob>,
}

// === impl Pattern ===

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        match &self.glob {
            None => self.text == text,
            Some(_) if self.text == "*" => true,
            Some(glob) => glob.matches(text),
        }
    }
}

// === impl Rule ===

impl Rule {
    fn covers(&self, key: &ResourceKey) -> bool {
        self.kind.matches(&key.kind)
            && self.group.matches(&key.group)
            && self.name.as_ref().is_none_or(|name| name.matches(&key.name))
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{group: {:?}, kind: {:?}", self.group.text, self.kind.text)?;
        if let Some(name) = &self.name {
            write!(f, ", name: {:?}", name.text)?;
        }
        f.write_str("}")
    }
}

// === impl LocalPolicy ===

impl LocalPolicy {
    /// Checks a write of an object: its kind, and its namespace or that it is of the cluster's scope. A Namespace belongs to
    /// the namespace of its own name, too.
    pub fn permits(&self, key: &ResourceKey, namespaced: bool) -> Result<(), RefusedHere> {
        let kind = || format!("the kind {}", key.group_kind());
        let denied = self.kinds_denied.iter().enumerate().find(|(_, rule)| rule.covers(key));
        if let Some((index, rule)) = denied {
            return Err(RefusedHere { what: kind(), rule: format!("kinds.deny[{index}] {rule}") });
        }
        if self.kinds_allowed.as_ref().is_some_and(|rules| !rules.iter().any(|rule| rule.covers(key))) {
            return Err(RefusedHere { what: kind(), rule: "kinds.allow has no rule for it".to_owned() });
        }
        if namespaced {
            return self.permits_namespace(&key.namespace);
        }
        let scope = match &self.cluster_scope {
            ClusterScope::Any => None,
            ClusterScope::None => Some("clusterScope: false".to_owned()),
            ClusterScope::Only(rules) => (!rules.iter().any(|rule| rule.covers(key)))
                .then(|| format!("clusterScope has no rule for {}", key.group_kind())),
        };
        if let Some(rule) = scope {
            return Err(RefusedHere { what: "objects of the cluster's scope".to_owned(), rule });
        }
        if key.is_namespace() { self.permits_namespace(&key.name) } else { Ok(()) }
    }

    /// Checks a delete: what may not be written may not be deleted either.
    pub fn permits_delete(&self, key: &ResourceKey, namespaced: bool) -> Result<(), RefusedHere> {
        self.permits(key, namespaced)?;
        let rule = match &self.deletes {
            Deletes::Any => return Ok(()),
            Deletes::Only(rules) if rules.iter().any(|rule| rule.covers(key)) => return Ok(()),
            Deletes::Never => "deletes: never".to_owned(),
            Deletes::Only(_) => format!("deletes has no rule for {}", key.group_kind()),
        };
        Err(RefusedHere { what: "deletes".to_owned(), rule })
    }

    fn permits_namespace(&self, namespace: &str) -> Result<(), RefusedHere> {
        let Some(rules) = &self.namespaces else { return Ok(()) };
        let hit = |denies: bool| {
            let of = rules.iter().enumerate().filter(move |(_, rule)| rule.denies == denies);
            of.into_iter().find(|(_, rule)| rule.pattern.matches(namespace))
        };
        let rule = match (hit(true), hit(false)) {
            (Some((index, rule)), _) => format!("namespaces[{index}] \"!{}\"", rule.pattern.text),
            (None, Some(_)) => return Ok(()),
            (None, None) => "namespaces has no pattern for it".to_owned(),
        };
        Err(RefusedHere { what: format!("the namespace {namespace:?}"), rule })
    }

    /// Gives the windows that are about an application.
    pub fn windows_of(&self, name: &str, destination: &Destination) -> Vec<SyncWindow> {
        self.windows.iter().filter(|window| window.is_about(name, destination)).cloned().collect()
    }

    /// Gives what a hub is told of it.
    pub fn summary(&self) -> PolicySummary {
        let mut said = Vec::new();
        let rules = |count: usize| if count == 1 { "1 rule".to_owned() } else { format!("{count} rules") };
        match (&self.kinds_allowed, self.kinds_denied.len()) {
            (None, 0) => {}
            (None, denied) => said.push(format!("kinds: {denied} denied")),
            (Some(allowed), denied) => {
                said.push(format!("kinds: {} allowed, {denied} denied", allowed.len()));
            }
        }
        if let Some(namespaces) = &self.namespaces {
            said.push(format!("namespaces: {}", rules(namespaces.len())));
        }
        match &self.cluster_scope {
            ClusterScope::Any => {}
            ClusterScope::None => said.push("cluster scope: none".to_owned()),
            ClusterScope::Only(only) => said.push(format!("cluster scope: {}", rules(only.len()))),
        }
        match &self.deletes {
            Deletes::Any => {}
            Deletes::Never => said.push("deletes: never".to_owned()),
            Deletes::Only(only) => said.push(format!("deletes: {}", rules(only.len()))),
        }
        if !self.windows.is_empty() {
            said.push(format!("sync windows: {}", self.windows.len()));
        }
        let text = if said.is_empty() { "refuses nothing".to_owned() } else { said.join("; ") };
        PolicySummary { digest: self.digest, text }
    }
}
