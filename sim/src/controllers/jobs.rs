//! Jobs: pods until enough of them have succeeded.

use serde_json::{Value, json};

use super::replica_sets::living;
use super::{Look, conditions, has_ended, is_ready, set_condition};

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
    let succeeded = pods.iter().filter(|(_, pod)| has_ended(pod)).count();
    let parallel = usize::try_from(look.number("/spec/parallelism")).unwrap_or_default();
    let completions = look.object.pointer("/spec/completions").and_then(Value::as_i64);
    // Without a number of completions, one that succeeds is enough.
    let wanted = completions.and_then(|count| usize::try_from(count).ok());
    let done = succeeded >= wanted.unwrap_or(1);
    let running = pods.len() - succeeded;
    if !done {
        let template = look.object.pointer("/spec/template").cloned().unwrap_or_default();
        let missing = wanted.map_or(parallel, |wanted| parallel.min(wanted - succeeded));
        for _ in running..missing {
            look.make_pod(None, &template, &[]);
        }
    }
    say(look, done, &now);
}

fn say(look: &mut Look<'_>, done: bool, now: &str) {
    let pods = look.controlled("", "pods");
    let succeeded = pods.iter().filter(|(_, pod)| has_ended(pod)).count();
    let active = pods.len() - succeeded;
    let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
    let started = look.object.pointer("/status/startTime").cloned().unwrap_or_else(|| now.into());
    let mut status =
        json!({"ready": ready, "terminating": 0, "uncountedTerminatedPods": {}, "startTime": started});
    let Some(map) = status.as_object_mut() else { return };
    for (field, count) in [("active", active), ("succeeded", succeeded)] {
        if count > 0 {
            map.insert(field.to_owned(), count.into());
        }
    }
    if done {
        let mut all = conditions(&look.object);
        for kind in ["SuccessCriteriaMet", "Complete"] {
            let condition = json!({"type": kind, "status": "True", "reason": "CompletionsReached",
                "message": "Reached expected number of succeeded pods", "lastProbeTime": now});
            set_condition(&mut all, condition, now);
        }
        map.insert("conditions".to_owned(), all.into());
        map.insert("completionTime".to_owned(), now.into());
    }
    look.set_status(status);
}
