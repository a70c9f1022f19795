//! `apiextensions.k8s.io`: definitions of kinds.

use serde_json::Value;

use super::Verdict;
use super::conditions::{condition, conditions};
use super::rules::Rule;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "CustomResourceDefinition" => Some(Rule::Own(definition)),
        _ => None,
    }
}

fn definition(object: &Value) -> Verdict {
    let said = |kind: &str| condition(object, kind).filter(|condition| condition.is_true());
    if let Some(going) = said("Terminating") {
        return Verdict::progressing(format!("CRD is terminating: {}", going.message()));
    }
    if let Some(refused) = conditions(object).find(|condition| condition.denies("NamesAccepted")) {
        return Verdict::degraded(format!("CRD names have not been accepted: {}", refused.message()));
    }
    if let Some(broken) = said("NonStructuralSchema") {
        return Verdict::degraded(format!("Schema violations found: {}", broken.message()));
    }
    if said("Established").is_some() {
        Verdict::healthy("CRD is healthy")
    } else if conditions(object).next().is_some() {
        Verdict::progressing("CRD is not established")
    } else {
        Verdict::progressing("Status conditions not found")
    }
}
