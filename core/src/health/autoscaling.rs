//! `autoscaling`: horizontal pod autoscalers.

use serde_json::Value;

use super::Verdict;
use super::apps::unsupported;
use super::conditions::{Condition, conditions, conditions_at, is_set, text};
use super::rules::Rule;
use crate::json;
use crate::key::split_api_version;

/// Where version 1 keeps its conditions, as JSON.
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const WAITING: &str = "Waiting to Autoscale";

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "HorizontalPodAutoscaler" => Some(Rule::Own(autoscaler)),
        _ => None,
    }
}

fn autoscaler(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "HorizontalPodAutoscaler", "HPA", &["v1", "v2"]) {
        return verdict;
    }
    let annotation = json::text_at(object, &["metadata", "annotations", CONDITIONS]);
    let is_first = match split_api_version(text(object, &["apiVersion"])) {
        (_, "v1") => true,
        (_, "v2") => false,
        // An item of a list.
        _ => annotation.is_some() && !is_set(object, &["status", "conditions"]),
    };
    if !is_first {
        return judge(conditions(object));
    }
    match annotation.map(serde_json::from_str::<Value>) {
        None => Verdict::progressing(WAITING),
        Some(Ok(list)) => judge(conditions_at(&list, &[])),
        Some(Err(error)) => {
            Verdict::unknown(format!("failed to convert conditions annotation to typed: {error}"))
        }
    }
}

fn judge<'a>(conditions: impl Iterator<Item = Condition<'a>>) -> Verdict {
    for condition in conditions {
        if is_broken(condition) {
            return Verdict::degraded(condition.message());
        }
        if condition.says("AbleToScale") || condition.says("ScalingLimited") {
            return Verdict::healthy(condition.message());
        }
    }
    Verdict::progressing(WAITING)
}

fn is_broken(condition: Condition<'_>) -> bool {
    match condition.kind() {
        "AbleToScale" => matches!(condition.reason(), "FailedGetScale" | "FailedUpdateScale"),
        "ScalingActive" => matches!(
            condition.reason(),
            "FailedGetResourceMetric"
                | "FailedGetObjectMetric"
                | "FailedGetPodsMetric"
                | "FailedGetExternalMetric"
                | "FailedComputeMetricsReplicas"
                | "InvalidSelector"
        ),
        _ => false,
    }
}
