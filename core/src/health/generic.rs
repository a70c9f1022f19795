//! The generic rule: standard conditions of kinds that nobody here knows.
//!
//! Argo CD has no such rule. Where it has no opinion, an application is healthy and a wave goes on; an opinion of ours
//! that counted would hold up what it does not. So a generic verdict says that it is one, and is only shown.

use serde_json::Value;

use super::conditions::{Condition, condition, conditions, is_lagging, lagging};
use super::{Basis, Verdict};
use crate::key::GroupKind;

/// Kinds of which Argo CD has no opinion on purpose, and groups of whose kinds none has conditions that tell its health.
const OPINIONLESS: [(&str, &str); 10] = [
    ("argoproj.io", "Application"),
    ("argoproj.io", "AppProject"),
    ("argoproj.io", "AnalysisTemplate"),
    ("argoproj.io", "ClusterAnalysisTemplate"),
    ("operators.coreos.com", "OperatorGroup"),
    ("operators.coreos.com", "CatalogSource"),
    ("networking.istio.io", ""),
    ("extensions.istio.io", ""),
    ("monitoring.coreos.com", "ServiceMonitor"),
    ("monitoring.coreos.com", "PodMonitor"),
];

/// Conditions that are bad news when they are true.
const BROKEN: [&str; 3] = ["Stalled", "Degraded", "Failed"];
/// Conditions that mean work when they are true.
const WORKING: [&str; 2] = ["Reconciling", "Progressing"];
/// Conditions that tell whether all is well; the first that there is counts.
const WELL: [&str; 3] = ["Ready", "Available", "Succeeded"];

/// Tells whether the generic rule may say something of a kind that has no rule of its own.
pub(super) fn speaks_for(kind: &GroupKind) -> bool {
    !kind.is_built_in()
        && !OPINIONLESS
            .iter()
            .any(|(group, name)| *group == kind.group && (name.is_empty() || *name == kind.kind))
}

/// Judges by standard conditions; `None` where there are none.
pub(super) fn judge(object: &Value) -> Option<Verdict> {
    let verdict = by_conditions(object)?;
    let message = format!("generic rule, only shown: {}", verdict.message);
    Some(Verdict { basis: Basis::Generic, message, ..verdict })
}

fn by_conditions(object: &Value) -> Option<Verdict> {
    let said = |kinds: &[&str]| {
        conditions(object).find(|condition| kinds.contains(&condition.kind()) && condition.is_true())
    };
    let well = WELL.into_iter().find_map(|kind| condition(object, kind));
    let deciding = said(&BROKEN).or_else(|| said(&WORKING)).or(well)?;
    if is_lagging(object) {
        return Some(lagging(object));
    }
    let words = words(deciding);
    if deciding.is_stale(object) || WORKING.contains(&deciding.kind()) {
        return Some(Verdict::progressing(words));
    }
    if BROKEN.contains(&deciding.kind()) || deciding.is_false() {
        return Some(Verdict::degraded(words));
    }
    Some(if deciding.is_true() { Verdict::healthy(words) } else { Verdict::progressing(words) })
}

fn words(condition: Condition<'_>) -> String {
    let because = condition.message_or_reason();
    let colon = if because.is_empty() { "" } else { ": " };
    format!("{} is {}{colon}{because}", condition.kind(), condition.status())
}
