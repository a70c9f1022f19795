//! `k8s.keycloak.org`: Keycloak and what it imports. A condition's status is text or JSON's own, by version.

use serde_json::Value;

use super::Verdict;
use super::conditions::{conditions, is_lagging, lagging};
use super::rules::Rule;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Keycloak" => Some(Rule::Own(keycloak)),
        "KeycloakRealmImport" => Some(Rule::Own(realm_import)),
        _ => None,
    }
}

fn errors(object: &Value) -> Option<Verdict> {
    let failed = conditions(object).find(|condition| condition.says("HasErrors"))?;
    Some(Verdict::degraded(format!("Has Errors: {}", failed.message())))
}

fn keycloak(object: &Value) -> Verdict {
    if is_lagging(object) {
        return lagging(object);
    }
    if let Some(verdict) = errors(object) {
        return verdict;
    }
    if let Some(rolling) = conditions(object).find(|condition| condition.says("RollingUpdate")) {
        return Verdict::progressing(rolling.message());
    }
    if conditions(object).any(|condition| condition.says("Ready")) {
        Verdict::healthy("")
    } else if conditions(object).next().is_some() {
        Verdict::progressing("")
    } else {
        Verdict::progressing("Waiting for Keycloak status conditions to exist")
    }
}

/// An import is done once; a realm that is there is never imported again.
fn realm_import(object: &Value) -> Verdict {
    if is_lagging(object) {
        return lagging(object);
    }
    if let Some(verdict) = errors(object) {
        return verdict;
    }
    let said = |kind: &str| conditions(object).find(|condition| condition.says(kind));
    if let Some(done) = said("Done") {
        Verdict::healthy(done.message())
    } else if let Some(started) = said("Started") {
        Verdict::progressing(started.message())
    } else {
        Verdict::progressing("Waiting for the realm to be imported")
    }
}
