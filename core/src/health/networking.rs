//! `networking.k8s.io`, and `extensions` before it: ingresses.

use serde_json::Value;

use super::conditions::{list, text};
use super::rules::Rule;
use super::surroundings::Surroundings;
use super::{Health, Verdict, openshift};
use crate::key::GroupKind;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Ingress" => Some(Rule::Among {
            judge: |object, around| Some(ingress(object, around)),
            auxiliary: &[("route.openshift.io", "Route")],
        }),
        _ => None,
    }
}

fn ingress(object: &Value, around: &dyn Surroundings) -> Verdict {
    if !list(object, &["status", "loadBalancer", "ingress"]).is_empty() {
        return Verdict::healthy("");
    }
    by_routes(object, around).unwrap_or_else(|| Verdict::progressing(""))
}

/// The cluster may make Routes of an ingress and tell nothing in its status: the worst of them counts.
fn by_routes(object: &Value, around: &dyn Surroundings) -> Option<Verdict> {
    let routes = around.of_kind(&GroupKind::new("route.openshift.io", "Route"))?;
    let is_made_for = |route: &&Value| {
        let owners = list(route, &["metadata", "ownerReferences"]);
        let mut owners = owners.iter().filter(|owner| text(owner, &["kind"]) == "Ingress");
        text(route, &["metadata", "namespace"]) == text(object, &["metadata", "namespace"])
            && owners.any(|owner| text(owner, &["name"]) == text(object, &["metadata", "name"]))
    };
    let worst =
        routes.into_iter().filter(is_made_for).map(openshift::route).max_by_key(|verdict| verdict.health)?;
    Some(if worst.health == Health::Healthy { Verdict::healthy("") } else { worst })
}
