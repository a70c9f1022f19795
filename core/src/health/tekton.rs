//! `tekton.dev` and `operator.tekton.dev`: pipelines, their runs, and what installs them.

use serde_json::Value;

use super::Verdict;
use super::conditions::{condition, is_lagging, lagging};
use super::rules::Rule;

/// What the operator says while it goes on working, in messages of conditions that are false.
const UNDER_WAY: [&str; 5] = ["reconcile again", "upgrade pending", "not yet", "waiting", "installing"];

pub(super) fn rule(group: &str, kind: &str) -> Option<Rule> {
    match (group, kind) {
        ("tekton.dev", "StepAction" | "Task" | "Pipeline") => Some(Rule::Own(|_| Verdict::healthy(""))),
        ("tekton.dev", "PipelineRun" | "TaskRun") => Some(Rule::Own(run)),
        ("operator.tekton.dev", "TektonConfig" | "TektonPruner") => Some(Rule::Own(component)),
        _ => None,
    }
}

fn run(object: &Value) -> Verdict {
    let Some(succeeded) = condition(object, "Succeeded") else {
        return Verdict::progressing("Waiting for the run to begin");
    };
    if succeeded.is_false() {
        Verdict::degraded(succeeded.message_or_reason())
    } else if succeeded.reason() == "PipelineRunPending" {
        Verdict::suspended(succeeded.message_or_reason())
    } else if succeeded.is_true() {
        Verdict::healthy(succeeded.message())
    } else {
        Verdict::progressing(succeeded.message_or_reason())
    }
}

fn component(object: &Value) -> Verdict {
    if is_lagging(object) {
        return lagging(object);
    }
    let Some(ready) = condition(object, "Ready") else {
        return Verdict::progressing("Waiting for the operator");
    };
    if ready.is_true() {
        return Verdict::healthy(ready.message());
    }
    let components = condition(object, "ComponentsReady").filter(|said| said.is_false());
    match components {
        Some(failed) if ready.is_false() && is_error(failed.message()) => Verdict::degraded(failed.message()),
        Some(pending) => Verdict::progressing(pending.message_or_reason()),
        None => Verdict::progressing(ready.message_or_reason()),
    }
}

fn is_error(message: &str) -> bool {
    let message = message.to_lowercase();
    !message.is_empty() && !UNDER_WAY.iter().any(|words| message.contains(words))
}
