//! `policy`: disruption budgets.

use serde_json::Value;

use super::Verdict;
use super::conditions::conditions;
use super::rules::Rule;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "PodDisruptionBudget" => Some(Rule::Own(budget)),
        _ => None,
    }
}

fn budget(object: &Value) -> Verdict {
    let mut verdict = Verdict::progressing("Waiting for status");
    for condition in conditions(object) {
        let message = format!("PodDisruptionBudget has {}", condition.reason());
        // Too few pods can be just what is wanted, e.g. of an app that is scaled to nothing.
        if condition.is_false() && condition.reason() != "InsufficientPods" {
            return Verdict::degraded(message);
        }
        verdict = Verdict::healthy(message);
    }
    verdict
}
