//! Views as documents and as tables: pure functions of what the hub said.

pub(crate) mod app;
pub(crate) mod audit;
pub(crate) mod cluster;
pub(crate) mod command;
pub(crate) mod deletion;
pub(crate) mod diff;
pub(crate) mod event;
pub(crate) mod fleet;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod list;
pub(crate) mod plan;
pub(crate) mod preview;
pub(crate) mod project;
pub(crate) mod reconcile;
pub(crate) mod rows;
pub(crate) mod tree;
pub(crate) mod why;

use argosy_proto::v1;
use serde::Serialize;

/// A condition, as Argo CD writes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_transition_time: Option<String>,
}

/// When something was observed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Observed {
    at: String,
    age_seconds: u64,
    last_known: bool,
}

/// Gives the name of an object, and of which part of it something is said, if of one.
pub(crate) fn name_of(key: &v1::ResourceKey) -> String {
    with_part(&key.name, &key.part)
}

/// The same of a name and a part that are known apart.
pub(crate) fn with_part(name: &str, part: &str) -> String {
    if part.is_empty() { name.to_owned() } else { format!("{name} (part {part})") }
}

// === impl Condition ===

impl From<&v1::Condition> for Condition {
    fn from(condition: &v1::Condition) -> Self {
        Self {
            kind: condition.r#type.clone(),
            message: condition.message.clone(),
            last_transition_time: condition.since_unix_ms.map(crate::text::time),
        }
    }
}

// === impl Observed ===

impl From<&v1::Observation> for Observed {
    fn from(observation: &v1::Observation) -> Self {
        Self {
            at: crate::text::time(observation.at_unix_ms),
            age_seconds: observation.age_ms / 1000,
            last_known: observation.last_known,
        }
    }
}

/// Gives the age of a status for people; a status of a cluster that is away says so.
pub(crate) fn age_of(observed: Option<&v1::Observation>) -> String {
    match observed {
        None => "never seen".to_owned(),
        Some(observation) => {
            let age = crate::text::age(observation.age_ms);
            if observation.last_known { format!("{age} (last known)") } else { age }
        }
    }
}

/// Gives the commit of a release, or the start of its root when the hub knows no commit.
pub(crate) fn revision_of(release: Option<&v1::ReleaseRef>) -> String {
    match release {
        None => String::new(),
        Some(release) if !release.revision.is_empty() => release.revision.clone(),
        Some(release) => release.root().map(|root| root.0.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
