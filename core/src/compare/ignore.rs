//! Differences that are ignored (Argo CD: `spec.ignoreDifferences`): by JSON pointer, by jq expression, by manager.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::jq::{JqError, PathExpression, TooManySteps};
use super::owned::Owned;
use super::path::Place;
use crate::glob::Glob;
use crate::ids::Digest;
use crate::key::ResourceKey;
use crate::store::encode;

/// Left out of every comparison, as in Argo CD: `ignoreResourceStatusField: all`.
const STATUS: &str = "/status";
/// Longest JSON pointer, in bytes.
const LONGEST: usize = 2_048;

/// What is not compared of some objects.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct IgnoreRule {
    /// Glob of the objects' group; empty is the core group.
    #[n(0)]
    pub group: String,
    /// Glob of their kind.
    #[n(1)]
    pub kind: String,
    /// Their name; empty for any.
    #[n(2)]
    pub name: String,
    /// Their namespace; empty for any.
    #[n(3)]
    pub namespace: String,
    /// What of them.
    #[n(4)]
    pub ignored: Ignored,
}

/// What is not compared of one object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct Ignored {
    /// JSON pointers (RFC 6901).
    #[n(0)]
    pub pointers: Vec<String>,
    /// jq expressions that name paths.
    #[n(1)]
    pub expressions: Vec<String>,
    /// Managers whose fields are theirs.
    #[n(2)]
    pub managers: Vec<String>,
}

/// A rule that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// A pointer is none, or names the whole object.
    #[error("{0:?} is no JSON pointer to a field: it must begin with \"/\"")]
    Pointer(String),
    /// A pointer or name is too long.
    #[error("is longer than {LONGEST} bytes")]
    TooLong,
    /// An expression is none.
    #[error(transparent)]
    Expression(#[from] JqError),
    /// An expression takes too long on an object.
    #[error("an ignored difference cannot be told: {0:?}: {1}")]
    Steps(String, TooManySteps),
}

// === impl IgnoreRule ===

impl IgnoreRule {
    /// Tells whether the rule is about an object. A pattern that is none, which no document gets by, is about nothing.
    pub fn is_about(&self, key: &ResourceKey) -> bool {
        let matches =
            |pattern: &str, text: &str| Glob::new(pattern, &[]).is_ok_and(|glob| glob.matches(text));
        (self.name.is_empty() || self.name == key.name)
            && (self.namespace.is_empty() || self.namespace == key.namespace)
            && matches(&self.group, &key.group)
            && matches(&self.kind, &key.kind)
    }
}

// === impl Ignored ===

impl Ignored {
    /// Joins what all rules about an object leave out; `None` when none is about it.
    pub fn of<'a>(rules: impl IntoIterator<Item = &'a IgnoreRule>, key: &ResourceKey) -> Option<Self> {
        let mut joined = Self::default();
        for rule in rules.into_iter().filter(|rule| rule.is_about(key)) {
            joined.pointers.extend(rule.ignored.pointers.iter().cloned());
            joined.expressions.extend(rule.ignored.expressions.iter().cloned());
            joined.managers.extend(rule.ignored.managers.iter().cloned());
        }
        (joined != Self::default()).then_some(joined)
    }

    /// Checks a JSON pointer.
    pub fn check_pointer(pointer: &str) -> Result<(), IgnoreError> {
        if pointer.len() > LONGEST {
            return Err(IgnoreError::TooLong);
        }
        if pointer.starts_with('/') { Ok(()) } else { Err(IgnoreError::Pointer(pointer.to_owned())) }
    }

    /// Checks an expression.
    pub fn check_expression(expression: &str) -> Result<(), IgnoreError> {
        PathExpression::read(expression)?;
        Ok(())
    }

    /// Hashes what is left out, to tell when it changes.
    pub fn digest(&self) -> Digest {
        Digest::of_parts("argosy ignored v1", [encode(self).as_slice()])
    }

    /// Gives the places of an object that are left out; `live` says which fields are whose. As in Argo CD, each expression
    /// sees the object as it is.
    pub(crate) fn places(&self, object: &Value, live: &Value) -> Result<Vec<Place>, IgnoreError> {
        let pointers = self.pointers.iter().map(String::as_str).chain([STATUS]);
        let mut places: Vec<Place> =
            pointers.filter_map(|pointer| Place::by_pointer(pointer, object)).collect();
        for expression in &self.expressions {
            let named = PathExpression::read(expression)?.places(object);
            places.extend(named.map_err(|error| IgnoreError::Steps(expression.clone(), error))?);
        }
        for manager in &self.managers {
            Owned::by_manager(live, manager).places(object, &mut places);
        }
        // To leave out all of an object would be to compare nothing.
        places.retain(|place| !place.segments().is_empty());
        Ok(places)
    }
}
