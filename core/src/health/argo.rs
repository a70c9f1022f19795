//! `argoproj.io`: Argo's own kinds. An `Application` has no opinion unless its user gives it one, so that an app of
//! apps does not wait for its children.

use serde_json::Value;

use super::Verdict;
use super::conditions::{condition, conditions, text};
use super::rules::Rule;
use crate::json;

mod rollout;

pub(super) use self::rollout::observed as rollout_observed;

pub(super) fn rule(kind: &str) -> Option<Rule> {
    match kind {
        "Rollout" => Some(Rule::Own(rollout::rollout)),
        "AnalysisRun" => Some(Rule::Own(analysis_run)),
        "Experiment" => Some(Rule::Own(experiment)),
        "ApplicationSet" => Some(Rule::Own(application_set)),
        "Workflow" => Some(Rule::Own(workflow)),
        "CronWorkflow" => Some(Rule::Own(cron_workflow)),
        "EventBus" => Some(Rule::Own(event_bus)),
        "RolloutManager" => Some(Rule::Own(rollout_manager)),
        "ArgoCD" => Some(Rule::Own(argo_cd)),
        _ => None,
    }
}

fn phase(object: &Value) -> &str {
    text(object, &["status", "phase"])
}

fn message(object: &Value) -> &str {
    text(object, &["status", "message"])
}

fn analysis_run(object: &Value) -> Verdict {
    let message_or = |otherwise| json::text_at(object, &["status", "message"]).unwrap_or(otherwise);
    match phase(object) {
        "Pending" | "Running" => Verdict::progressing("Analysis run is running"),
        "Successful" => Verdict::healthy(message_or("Analysis run completed successfully")),
        "Failed" => Verdict::degraded(message_or("Analysis run failed")),
        "Error" => Verdict::degraded(message_or("Analysis run had an error")),
        "Inconclusive" => Verdict::unknown(message_or("Analysis run was inconclusive")),
        _ => Verdict::progressing("Waiting for analysis run to finish: status has not been reconciled."),
    }
}

fn experiment(object: &Value) -> Verdict {
    match phase(object) {
        "Pending" => Verdict::progressing("Experiment is pending"),
        "Running" => Verdict::progressing("Experiment is running"),
        "Successful" => Verdict::healthy("Experiment is successful"),
        "Failed" => Verdict::degraded("Experiment has failed"),
        "Error" => Verdict::degraded("Experiment had an error"),
        "Inconclusive" => Verdict::unknown("Experiment was inconclusive"),
        _ => Verdict::progressing("Waiting for experiment to finish: status has not been reconciled."),
    }
}

fn application_set(object: &Value) -> Verdict {
    let said = |kind: &str| conditions(object).find(|condition| condition.says(kind));
    let denied = |kind: &str| conditions(object).find(|condition| condition.denies(kind));
    if let Some(failed) = said("ErrorOccurred").or_else(|| denied("ResourcesUpToDate")) {
        return Verdict::degraded(failed.message());
    }
    if let Some(rolling) = said("RolloutProgressing") {
        return Verdict::progressing(rolling.message());
    }
    match said("ResourcesUpToDate") {
        Some(done) => Verdict::healthy(done.message()),
        None => Verdict::progressing("Waiting for the status to be reported"),
    }
}

fn workflow(object: &Value) -> Verdict {
    match phase(object) {
        "" | "Pending" | "Running" => Verdict::progressing(message(object)),
        "Succeeded" => Verdict::healthy(message(object)),
        "Failed" | "Error" => Verdict::degraded(message(object)),
        _ => Verdict::unknown(message(object)),
    }
}

fn cron_workflow(object: &Value) -> Verdict {
    for condition in conditions(object) {
        if condition.says("SpecError") || condition.says("SubmissionError") {
            return Verdict::degraded(condition.message());
        }
        if condition.says("Completed") {
            return Verdict::healthy(condition.message());
        }
    }
    Verdict::healthy("CronWorkflow is healthy.")
}

fn event_bus(object: &Value) -> Verdict {
    match condition(object, "Deployed") {
        Some(deployed) if deployed.is_false() => Verdict::degraded(deployed.message_or(deployed.reason())),
        Some(deployed) if deployed.is_true() => Verdict::healthy(deployed.message_or(deployed.reason())),
        Some(_) | None => Verdict::progressing("Waiting for initialization"),
    }
}

fn rollout_manager(object: &Value) -> Verdict {
    let reconciled = condition(object, "Reconciled");
    if let Some(failed) = reconciled.filter(|reconciled| reconciled.reason() != "Success") {
        return Verdict::degraded(failed.message_or_reason());
    }
    match phase(object) {
        "Failure" => Verdict::degraded("the phase is Failure"),
        "Available" => Verdict::healthy(""),
        "" => Verdict::progressing("Waiting for RolloutManager status"),
        other => Verdict::progressing(format!("the phase is {other}")),
    }
}

fn argo_cd(object: &Value) -> Verdict {
    match phase(object) {
        "Failed" => Verdict::degraded("the phase is Failed"),
        "Available" => Verdict::healthy(""),
        "" => Verdict::progressing("Waiting for ArgoCD status"),
        other => Verdict::progressing(format!("the phase is {other}")),
    }
}
