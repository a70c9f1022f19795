//! Scripts: requests that are sent one after the other.

use std::fmt;

use serde_json::Value;

use super::kinds::Kind;

/// One request. `{ns}` is the script's namespace; `{uid:NAME}` and `{rv:NAME}` are what the latest answer said of an
/// object.
#[derive(Clone, PartialEq, Default)]
pub(crate) struct Step {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) content: &'static str,
    pub(crate) accept: &'static str,
    pub(crate) body: String,
}

/// Requests, and what is watched meanwhile.
#[derive(Clone, PartialEq)]
pub(crate) struct Script {
    /// The kind that is watched.
    pub(crate) kind: Kind,
    /// Which of its objects are.
    pub(crate) selector: &'static str,
    /// Ends the watch: an object named `end` of the watched kind.
    pub(crate) end: Value,
    pub(crate) steps: Vec<Step>,
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const PATCH: &str = "application/json-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

// === impl Step ===

impl Step {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), ..Self::default() }
    }

    pub(crate) fn send(
        method: &'static str,
        path: impl Into<String>,
        content: &'static str,
        body: &Value,
    ) -> Self {
        Self { method, path: path.into(), content, accept: "", body: body.to_string() }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.method, self.path, self.content, self.body)?;
        if self.accept.is_empty() { Ok(()) } else { write!(f, " (accept {})", self.accept) }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "watch {} {}", self.kind.collection, self.selector)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step:?}"))
    }
}
