//! `batch`: jobs, once and by the clock.

use serde_json::Value;

use super::Verdict;
use super::apps::unsupported;
use super::conditions::{conditions, flag, is_set, list, text};
use super::rules::Rule;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Job" => Some(Rule::Own(job)),
        "CronJob" => Some(Rule::Own(cron_job)),
        _ => None,
    }
}

/// A job ends by the presence of a condition, whatever its status says.
fn job(object: &Value) -> Verdict {
    if let Some(verdict) = unsupported(object, "Job", "Job", &["v1"]) {
        return verdict;
    }
    let (mut failed, mut message, mut suspended) = (None, None, false);
    for condition in conditions(object) {
        match condition.kind() {
            "Failed" => failed = Some(condition.message()),
            "Complete" => message = Some(condition.message()),
            "Suspended" => {
                message = Some(condition.message());
                suspended |= condition.is_true();
            }
            _ => {}
        }
    }
    match (failed, message) {
        (Some(failed), _) => Verdict::degraded(failed),
        (None, Some(message)) if suspended => Verdict::suspended(message),
        (None, Some(message)) => Verdict::healthy(message),
        (None, None) => Verdict::progressing(""),
    }
}

fn cron_job(object: &Value) -> Verdict {
    if flag(object, &["spec", "suspend"]) {
        return Verdict::suspended("CronJob is Suspended");
    }
    if !is_set(object, &["status"]) {
        return Verdict::progressing("Waiting for CronJob");
    }
    // Whether a run was missed cannot be told from the status.
    let scheduled = text(object, &["status", "lastScheduleTime"]);
    let succeeded = text(object, &["status", "lastSuccessfulTime"]);
    if scheduled.is_empty() {
        Verdict::healthy("CronJob has not been scheduled yet")
    } else if succeeded.is_empty() {
        Verdict::healthy("The Cronjob never completed succesfully. It may not be healthy")
    } else if !list(object, &["status", "active"]).is_empty() {
        Verdict::healthy("The job is running. Its last execution may not have been successful")
    } else if succeeded < scheduled {
        Verdict::degraded("CronJob has not completed its last execution successfully")
    } else {
        Verdict::healthy("CronJob has completed its last execution successfully")
    }
}
