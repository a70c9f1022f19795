//! `cert-manager.io`, and `certmanager.k8s.io` before it: certificates and who issues them.

use serde_json::Value;

use super::Verdict;
use super::conditions::{by_condition, conditions};
use super::rules::Rule;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Certificate" => Some(Rule::Own(certificate)),
        "Issuer" => Some(Rule::Own(issuer)),
        "ClusterIssuer" => {
            Some(Rule::Own(|object| by_condition(object, "Ready", "Initializing ClusterIssuer")))
        }
        _ => None,
    }
}

pub(super) fn legacy_rule(kind: &str) -> Option<Rule> {
    match kind {
        "Certificate" => Some(Rule::Own(issued)),
        "Issuer" => Some(Rule::Own(issuer)),
        _ => None,
    }
}

/// While a certificate is issued anew, the old one may still be ready.
fn certificate(object: &Value) -> Verdict {
    match conditions(object).find(|condition| condition.says("Issuing")) {
        Some(issuing) => Verdict::progressing(issuing.message()),
        None => issued(object),
    }
}

fn issued(object: &Value) -> Verdict {
    by_condition(object, "Ready", "Waiting for certificate")
}

fn issuer(object: &Value) -> Verdict {
    by_condition(object, "Ready", "Initializing issuer")
}
