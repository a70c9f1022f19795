//! Jobs: pods until enough of them have succeeded, or too many have failed.

use serde_json::{Value, json};

use super::replica_sets::living;
use super::{Look, conditions, has_phase, is_ready, set_condition};
use crate::cluster::Key;

pub(super) fn reconcile(look: &mut Look<'_>) {
    let over = conditions(&look.object).iter().any(|condition| {
        matches!(condition.get("type").and_then(Value::as_str), Some("Complete" | "Failed"))
    });
    if look.is_deleting() || over {
        return;
    }
    let now = look.now.seconds();
    let pods = look.controlled("", "pods");
    let suspended = look.object.pointer("/spec/suspend") == Some(&Value::Bool(true));
    if suspended {
        for (key, pod) in living(pods) {
            look.delete("", "pods", &key, &pod);
        }
        let mut all = conditions(&look.object);
        let condition = json!({"type": "Suspended", "status": "True", "reason": "JobSuspended",
            "message": "Job suspended", "lastProbeTime": now});
        if all.is_empty() {
            set_condition(&mut all, condition, &now);
        }
        look.set_status(json!({"conditions": all}));
        return;
    }
    let (succeeded, failed) = count(&pods);
    let parallel = usize::try_from(look.number("/spec/parallelism")).unwrap_or_default();
    let completions = look.object.pointer("/spec/completions").and_then(Value::as_i64);
    // Without a number of completions, one that succeeds is enough.
    let wanted = completions.and_then(|count| usize::try_from(count).ok());
    let done = succeeded >= wanted.unwrap_or(1);
    let running = pods.len() - succeeded - failed;
    // The API server writes its default, which is 6.
    let limit = look.object.pointer("/spec/backoffLimit").and_then(Value::as_u64).unwrap_or(6);
    let end = if done {
        Some(End::Complete)
    } else {
        u64::try_from(failed).is_ok_and(|failed| failed > limit).then_some(End::Failed)
    };
    if end == Some(End::Failed) {
        for (key, pod) in living(pods) {
            look.delete("", "pods", &key, &pod);
        }
    } else if end.is_none() {
        let template = look.object.pointer("/spec/template").cloned().unwrap_or_default();
        let missing = wanted.map_or(parallel, |wanted| parallel.min(wanted - succeeded));
        for _ in running..missing {
            look.make_pod(None, &template, &[]);
        }
    }
    say(look, end, &now);
}

/// How a Job ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Failed,
}

/// Counts the pods that succeeded and those that failed.
fn count(pods: &[(Key, Value)]) -> (usize, usize) {
    let in_phase = |phase: &str| pods.iter().filter(|(_, pod)| has_phase(pod, phase)).count();
    (in_phase("Succeeded"), in_phase("Failed"))
}

fn say(look: &mut Look<'_>, end: Option<End>, now: &str) {
    let pods = look.controlled("", "pods");
    let (succeeded, failed) = count(&pods);
    let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
    let active = living(pods).len();
    let started = look.object.pointer("/status/startTime").cloned().unwrap_or_else(|| now.into());
    let mut status =
        json!({"ready": ready, "terminating": 0, "uncountedTerminatedPods": {}, "startTime": started});
    let Some(map) = status.as_object_mut() else { return };
    for (field, count) in [("active", active), ("succeeded", succeeded), ("failed", failed)] {
        if count > 0 {
            map.insert(field.to_owned(), count.into());
        }
    }
    if let Some(end) = end {
        let (kinds, reason, message) = match end {
            End::Complete => (
                ["SuccessCriteriaMet", "Complete"],
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            ),
            End::Failed => (
                ["FailureTarget", "Failed"],
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            ),
        };
        let mut all = conditions(&look.object);
        for kind in kinds {
            let condition = json!({"type": kind, "status": "True", "reason": reason,
                "message": message, "lastProbeTime": now});
            set_condition(&mut all, condition, now);
        }
        map.insert("conditions".to_owned(), all.into());
        if end == End::Complete {
            map.insert("completionTime".to_owned(), now.into());
        }
    }
    look.set_status(status);
}
