//! `secrets-store.csi.x-k8s.io`: secrets that are mounted. A class has no status; the pods that mount it have.

use serde_json::Value;

use super::Verdict;
use super::conditions::{flag, list, text};
use super::rules::Rule;
use super::surroundings::Surroundings;
use crate::key::GroupKind;

const GROUP: &str = "secrets-store.csi.x-k8s.io";
const POD_STATUS: &str = "SecretProviderClassPodStatus";

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "SecretProviderClass" => Some(Rule::Among { judge: class, auxiliary: &[(GROUP, POD_STATUS)] }),
        _ => None,
    }
}

/// A secret that a class makes is there only while a pod mounts the class. Where nobody looked for such pods, nothing
/// is said of it.
fn class(object: &Value, around: &dyn Surroundings) -> Option<Verdict> {
    let makes_secrets = !list(object, &["spec", "secretObjects"]).is_empty();
    let Some(mounts) = around.of_kind(&GroupKind::new(GROUP, POD_STATUS)) else {
        return (!makes_secrets).then(|| Verdict::healthy(""));
    };
    let is_of_class = |mount: &&Value| {
        text(mount, &["metadata", "namespace"]) == text(object, &["metadata", "namespace"])
            && text(mount, &["status", "secretProviderClassName"]) == text(object, &["metadata", "name"])
    };
    let mounts: Vec<&Value> = mounts.into_iter().filter(is_of_class).collect();
    if let Some(failed) = mounts.iter().find(|mount| !flag(mount, &["status", "mounted"])) {
        let pod = text(failed, &["status", "podName"]);
        return Some(Verdict::degraded(format!("pod {pod} could not mount it")));
    }
    Some(if mounts.is_empty() && makes_secrets {
        Verdict::progressing("no pod mounts it yet, so its secrets are not there")
    } else {
        Verdict::healthy("")
    })
}
