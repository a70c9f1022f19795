//! `rhdh.redhat.com`: Developer Hub. Its operator tells no generation, so its word may be about the spec before: the
//! workload that it made is looked at as well, where it is known.

use serde_json::Value;

use super::Verdict;
use super::conditions::{condition, count, is_unobserved, number, text};
use super::rules::Rule;
use super::surroundings::Surroundings;
use crate::key::ResourceKey;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Backstage" => Some(Rule::Among {
            judge: |object, around| Some(backstage(object, around)),
            auxiliary: &[("apps", "Deployment"), ("apps", "StatefulSet")],
        }),
        _ => None,
    }
}

fn backstage(object: &Value, around: &dyn Surroundings) -> Verdict {
    let Some(deployed) = condition(object, "Deployed") else {
        return Verdict::progressing("Waiting for the operator to deploy");
    };
    if deployed.is_true() {
        return rolling(object, around).unwrap_or_else(|| Verdict::healthy(deployed.message()));
    }
    match deployed.reason() {
        "DeployFailed" => Verdict::degraded(deployed.message()),
        "Idled" => Verdict::suspended(deployed.message()),
        _ => Verdict::progressing(deployed.message_or_reason()),
    }
}

/// Says that the workload of an instance is not there yet where its spec is.
fn rolling(object: &Value, around: &dyn Surroundings) -> Option<Verdict> {
    let namespace = text(object, &["metadata", "namespace"]);
    let name = format!("backstage-{}", text(object, &["metadata", "name"]));
    let found = |kind: &str| around.object(&ResourceKey::new("apps", kind, namespace, name.clone()));
    let workload = found("Deployment").or_else(|| found("StatefulSet"))?;
    let desired = number(workload, &["spec", "replicas"]).unwrap_or(1);
    let updated = count(workload, &["status", "updatedReplicas"]);
    (is_unobserved(workload) || updated < desired)
        .then(|| Verdict::progressing(format!("{updated} of {desired} replicas of {name} are updated")))
}
