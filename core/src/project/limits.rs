//! What a project permits, checked where the application is assigned and again before each write.

use super::NotPermitted;
use crate::glob::Glob;
use crate::key::ResourceKey;
use crate::policy::{DestinationRule, KindRule, ProjectLimits};

// === impl ProjectLimits ===

impl ProjectLimits {
    /// Checks one object: its kind and, for a namespaced one, its namespace. `server` and `cluster` are the
    /// destination's URL (empty when it has none) and name.
    pub fn permits(
        &self,
        key: &ResourceKey,
        namespaced: bool,
        server: &str,
        cluster: &str,
    ) -> Result<(), NotPermitted> {
        self.permits_kind(key, namespaced)?;
        if namespaced && !self.allows(server, cluster, &key.namespace) {
            let project = self.project.clone();
            return Err(NotPermitted::Namespace { namespace: key.namespace.to_string(), project });
        }
        Ok(())
    }

    /// Checks an object's kind.
    pub fn permits_kind(&self, key: &ResourceKey, namespaced: bool) -> Result<(), NotPermitted> {
        let any = |rules: &[KindRule], unsound| rules.iter().any(|rule| rule.covers(key, unsound));
        let permitted = if namespaced {
            self.namespaced_allowed.as_ref().is_none_or(|rules| any(rules, false))
                && !any(&self.namespaced_denied, true)
        } else {
            any(&self.cluster_allowed, false) && !any(&self.cluster_denied, true)
        };
        if permitted {
            Ok(())
        } else {
            let (group, kind) = (key.group.to_string(), key.kind.to_string());
            Err(NotPermitted::Kind { group, kind, project: self.project.clone() })
        }
    }

    /// Checks an application's destination.
    pub fn permits_destination(
        &self,
        server: &str,
        cluster: &str,
        namespace: &str,
    ) -> Result<(), NotPermitted> {
        if self.allows(server, cluster, namespace) {
            Ok(())
        } else {
            let server = if server.is_empty() { cluster } else { server }.to_owned();
            let (namespace, project) = (namespace.to_owned(), self.project.clone());
            Err(NotPermitted::Destination { server, namespace, project })
        }
    }

    fn allows(&self, server: &str, cluster: &str, namespace: &str) -> bool {
        self.destinations.iter().any(|rule| rule.allows(server, cluster, namespace))
            && !self.destinations.iter().any(|rule| rule.denies(server, cluster, namespace))
    }
}

// === impl DestinationRule ===

impl DestinationRule {
    fn allows(&self, server: &str, cluster: &str, namespace: &str) -> bool {
        let negated =
            [&self.server, &self.name, &self.namespace].iter().any(|pattern| pattern.starts_with('!'));
        !negated
            && (matches(&self.server, server, false) || matches(&self.name, cluster, false))
            && matches(&self.namespace, namespace, false)
    }

    /// A denied name denies whatever the namespace; a denied server in the namespaces of its rule; a denied namespace
    /// on the servers and clusters of its rule. A pattern that does not compile denies.
    fn denies(&self, server: &str, cluster: &str, namespace: &str) -> bool {
        let hits = |pattern: &str, text: &str| {
            pattern.strip_prefix('!').is_some_and(|denied| matches(denied, text, true))
        };
        let within = |pattern: &str, text: &str| match pattern.strip_prefix('!') {
            Some(denied) => !matches(denied, text, true),
            None => matches(pattern, text, true),
        };
        hits(&self.name, cluster)
            || (hits(&self.server, server) && within(&self.namespace, namespace))
            || (hits(&self.namespace, namespace)
                && (within(&self.server, server) || within(&self.name, cluster)))
    }
}

// === impl KindRule ===

impl KindRule {
    /// `unsound` is what a pattern that does not compile comes to.
    fn covers(&self, key: &ResourceKey, unsound: bool) -> bool {
        // What most rules say needs no glob. (No part of a key has a slash.)
        let covers = |pattern: &str, text: &str| {
            let is_word = !pattern.contains(['*', '?', '[', '\\']);
            if is_word || pattern == "*" {
                return !is_word || pattern == text;
            }
            Glob::file_match(pattern).map_or(unsound, |glob| glob.matches(text))
        };
        covers(&self.group, &key.group)
            && covers(&self.kind, &key.kind)
            && (self.name.is_empty() || covers(&self.name, &key.name))
    }
}

/// Matches a glob without separators; one that is not given matches nothing. `unsound` is what a pattern that does not
/// compile comes to.
pub(super) fn matches(pattern: &str, text: &str, unsound: bool) -> bool {
    !pattern.is_empty()
        && (pattern == "*" || Glob::new(pattern, &[]).map_or(unsound, |glob| glob.matches(text)))
}
