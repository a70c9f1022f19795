//! `apiregistration.k8s.io`: APIs that other servers serve.

use serde_json::Value;

use super::Verdict;
use super::apps::unsupported;
use super::conditions::condition;
use super::rules::Rule;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "APIService" => Some(Rule::Own(service)),
        _ => None,
    }
}

fn service(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "APIService", "APIService", &["v1", "v1beta1"]) {
        return verdict;
    }
    let Some(available) = condition(object, "Available") else {
        return Verdict::progressing("Waiting to be processed");
    };
    let message = format!("{}: {}", available.reason(), available.message());
    if available.is_true() { Verdict::healthy(message) } else { Verdict::progressing(message) }
}
