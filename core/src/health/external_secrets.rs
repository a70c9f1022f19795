//! `external-secrets.io`: secrets that are kept elsewhere.

use serde_json::Value;

use super::Verdict;
use super::conditions::{by_condition, conditions};
use super::rules::Rule;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "ExternalSecret" => {
            Some(Rule::Own(|object| by_condition(object, "Ready", "Waiting for ExternalSecret")))
        }
        "SecretStore" => Some(Rule::Own(|object| by_condition(object, "Ready", "Waiting for SecretStore"))),
        "ClusterSecretStore" => {
            Some(Rule::Own(|object| by_condition(object, "Ready", "Waiting for ClusterSecretStore")))
        }
        "PushSecret" => Some(Rule::Own(|object| by_condition(object, "Ready", "Waiting for PushSecret"))),
        "ClusterExternalSecret" => Some(Rule::Own(cluster_external_secret)),
        _ => None,
    }
}

/// Its conditions are a history: what is said last counts.
fn cluster_external_secret(object: &Value) -> Verdict {
    match conditions(object).last() {
        Some(last) if last.says("Ready") => Verdict::healthy(last.message()),
        Some(last) if last.says("PartiallyReady") || last.says("NotReady") => {
            Verdict::degraded(last.message())
        }
        Some(_) | None => Verdict::progressing("Waiting for ClusterExternalSecret"),
    }
}
