//! `operators.coreos.com`: operators and what keeps them current.

use std::fmt::Write as _;

use serde_json::Value;

use super::Verdict;
use super::conditions::{conditions, is_set, text};
use super::rules::Rule;

const PENDING: &str = "An install plan for a subscription is pending installation";

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Subscription" => Some(Rule::Own(subscription)),
        "ClusterServiceVersion" => Some(Rule::Own(service_version)),
        _ => None,
    }
}

/// One that waits for a person's approval of an upgrade works as it is.
fn subscription(object: &Value) -> Verdict {
    let state = text(object, &["status", "state"]);
    let is_installed = is_set(object, &["status", "installedCSV"]);
    let is_manual = text(object, &["spec", "installPlanApproval"]) == "Manual";
    let waits_for_approval = is_manual && is_installed;
    let (mut said, mut broken, mut pending) = (String::new(), state == "UpgradeFailed", false);
    for (index, condition) in conditions(object).enumerate() {
        let kind = condition.kind();
        if kind == "InstallPlanPending" && waits_for_approval {
            continue;
        }
        // Writing to a string does not fail.
        let _infallible = writeln!(said, "{}: {kind} | {}", index.saturating_add(1), condition.status());
        match kind {
            "InstallPlanPending" => pending |= condition.is_true(),
            "InstallPlanMissing" => broken |= condition.reason() != "ReferencedInstallPlanNotFound",
            "CatalogSourcesUnhealthy" | "InstallPlanFailed" | "ResolutionFailed" => {
                broken |= condition.is_true();
            }
            _ => {}
        }
    }
    let upgrades = matches!(state, "UpgradePending" | "UpgradeAvailable") && !waits_for_approval;
    if broken {
        Verdict::degraded(said)
    } else if pending || upgrades || !is_installed {
        Verdict::progressing(PENDING)
    } else {
        Verdict::healthy(said)
    }
}

fn service_version(object: &Value) -> Verdict {
    let message = text(object, &["status", "message"]);
    match text(object, &["status", "phase"]) {
        "Failed" => Verdict::degraded(message),
        "Succeeded" => Verdict::healthy(message),
        _ => Verdict::progressing(message),
    }
}
