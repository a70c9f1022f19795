//! Argo's own kinds.

use super::table;

const GROUP: &str = "argoproj.io";

#[test]
fn an_application_has_no_opinion() {
    table(GROUP, "Application", &[("{status: {health: {status: Degraded}}}", "no opinion")]);
    table(GROUP, "AppProject", &[("{}", "no opinion")]);
}

#[test]
fn a_rollout_is_waited_for_until_its_newest_spec_is_observed() {
    let waiting = "Progressing: Waiting for rollout spec update to be observed";
    table(
        GROUP,
        "Rollout",
        &[
            ("{metadata: {generation: 1}}", waiting),
            ("{metadata: {generation: 2}, status: {observedGeneration: '1', phase: Healthy}}", waiting),
            ("{metadata: {generation: 2}, status: {observedGeneration: '2', phase: Healthy}}", "Healthy"),
            ("{metadata: {generation: 2}, status: {observedGeneration: 7c9f, phase: Healthy}}", "Healthy"),
            ("{metadata: {generation: 2}, status: {observedGeneration: '6879', phase: Healthy}}", "Healthy"),
            (
                "{metadata: {generation: 1, annotations: {rollout.argoproj.io/workload-generation: '4'}}, spec: {workloadRef: {name: a}},
                  status: {observedGeneration: '1', workloadObservedGeneration: '3', phase: Healthy}}",
                waiting,
            ),
        ],
    );
}

#[test]
fn a_rollout_s_phase_is_surfaced_as_it_is() {
    table(
        GROUP,
        "Rollout",
        &[
            ("{status: {phase: Paused, message: CanaryPauseStep}}", "Suspended: CanaryPauseStep"),
            (
                "{status: {phase: Degraded, message: 'RolloutAborted: metric'}}",
                "Degraded: RolloutAborted: metric",
            ),
            (
                "{status: {phase: Progressing, message: more replicas need to be updated}}",
                "Progressing: more replicas need to be updated",
            ),
            ("{status: {phase: Odd}}", "Unknown: Lua returned an invalid health status"),
        ],
    );
}

#[test]
fn a_rollout_of_an_old_controller_is_judged_by_its_counts() {
    table(
        GROUP,
        "Rollout",
        &[
            ("{status: {conditions: [{type: InvalidSpec, message: bad}]}}", "Degraded: bad"),
            (
                "{status: {conditions: [{type: Progressing, reason: RolloutAborted, message: stop}]}}",
                "Degraded: stop",
            ),
            (
                "{status: {conditions: [{type: Progressing, reason: ProgressDeadlineExceeded, message: slow}]}}",
                "Degraded: slow",
            ),
            (
                "{status: {pauseConditions: [{reason: CanaryPauseStep}], controllerPause: true}}",
                "Suspended: Rollout is paused",
            ),
            ("{spec: {paused: true}, status: {}}", "Suspended: Rollout is paused"),
            (
                "{status: {controllerPause: true}}",
                "Progressing: Waiting for rollout to go on after its pause",
            ),
            (
                "{status: {replicas: 1}}",
                "Progressing: Waiting for rollout to finish: status has not been reconciled.",
            ),
            (
                "{spec: {replicas: 2}, status: {currentPodHash: a, updatedReplicas: 1}}",
                "Progressing: Waiting for roll out to finish: More replicas need to be updated",
            ),
            (
                "{status: {currentPodHash: a, updatedReplicas: 1}}",
                "Progressing: Waiting for roll out to finish: updated replicas are still becoming available",
            ),
            (
                "{spec: {strategy: {blueGreen: {}}}, status: {currentPodHash: a, updatedReplicas: 1, availableReplicas: 1, blueGreen: {activeSelector: b}}}",
                "Progressing: active service cutover pending",
            ),
            (
                "{spec: {strategy: {blueGreen: {}}}, status: {currentPodHash: a, stableRS: b, updatedReplicas: 1, availableReplicas: 1, blueGreen: {activeSelector: a}}}",
                "Progressing: waiting for analysis to complete",
            ),
            (
                "{spec: {strategy: {canary: {}}}, status: {currentPodHash: a, replicas: 2, updatedReplicas: 1, availableReplicas: 1}}",
                "Progressing: Waiting for roll out to finish: old replicas are pending termination",
            ),
            (
                "{spec: {strategy: {canary: {}}}, status: {currentPodHash: a, canary: {stableRS: b}, replicas: 1, updatedReplicas: 1, availableReplicas: 1}}",
                "Progressing: Waiting for rollout to finish steps",
            ),
            (
                "{spec: {strategy: {canary: {}}}, status: {currentPodHash: a, stableRS: a, replicas: 1, updatedReplicas: 1, availableReplicas: 1}}",
                "Healthy",
            ),
        ],
    );
}

#[test]
fn runs_and_experiments_end_by_their_phase() {
    let waiting = "Progressing: Waiting for analysis run to finish: status has not been reconciled.";
    table(
        GROUP,
        "AnalysisRun",
        &[
            ("{}", waiting),
            ("{status: {phase: ''}}", waiting),
            ("{status: {phase: Pending}}", "Progressing: Analysis run is running"),
            ("{status: {phase: Running}}", "Progressing: Analysis run is running"),
            ("{status: {phase: Successful}}", "Healthy: Analysis run completed successfully"),
            ("{status: {phase: Failed, message: metric}}", "Degraded: metric"),
            ("{status: {phase: Error}}", "Degraded: Analysis run had an error"),
            ("{status: {phase: Inconclusive}}", "Unknown: Analysis run was inconclusive"),
        ],
    );
    table(
        GROUP,
        "Experiment",
        &[
            ("{}", "Progressing: Waiting for experiment to finish: status has not been reconciled."),
            ("{status: {phase: Running}}", "Progressing: Experiment is running"),
            ("{status: {phase: Successful}}", "Healthy: Experiment is successful"),
            ("{status: {phase: Failed}}", "Degraded: Experiment has failed"),
            ("{status: {phase: Error}}", "Degraded: Experiment had an error"),
        ],
    );
}

#[test]
fn sets_of_applications_and_workflows_say_how_they_are() {
    table(
        GROUP,
        "ApplicationSet",
        &[
            ("{}", "Progressing: Waiting for the status to be reported"),
            (
                "{status: {conditions: [{type: ResourcesUpToDate, status: 'True'}, {type: ErrorOccurred, status: 'True', message: bad}]}}",
                "Degraded: bad",
            ),
            (
                "{status: {conditions: [{type: ResourcesUpToDate, status: 'False', message: m}]}}",
                "Degraded: m",
            ),
            (
                "{status: {conditions: [{type: ResourcesUpToDate, status: 'True'}, {type: RolloutProgressing, status: 'True', message: step 2}]}}",
                "Progressing: step 2",
            ),
            (
                "{status: {conditions: [{type: ResourcesUpToDate, status: 'True', message: all}]}}",
                "Healthy: all",
            ),
        ],
    );
    table(
        GROUP,
        "Workflow",
        &[
            ("{}", "Progressing"),
            ("{status: {phase: Running, message: m}}", "Progressing: m"),
            ("{status: {phase: Succeeded}}", "Healthy"),
            ("{status: {phase: Failed, message: m}}", "Degraded: m"),
            ("{status: {phase: Error}}", "Degraded"),
            ("{status: {phase: Odd}}", "Unknown"),
        ],
    );
    table(
        GROUP,
        "CronWorkflow",
        &[
            ("{}", "Healthy: CronWorkflow is healthy."),
            ("{status: {conditions: [{type: SpecError, status: 'True', message: cron}]}}", "Degraded: cron"),
            (
                "{status: {conditions: [{type: SubmissionError, status: 'True', message: refused}]}}",
                "Degraded: refused",
            ),
        ],
    );
    table(
        GROUP,
        "EventBus",
        &[
            ("{}", "Progressing: Waiting for initialization"),
            (
                "{status: {conditions: [{type: Deployed, status: 'False', reason: NoNats}]}}",
                "Degraded: NoNats",
            ),
            ("{status: {conditions: [{type: Deployed, status: 'True', message: up}]}}", "Healthy: up"),
        ],
    );
}

#[test]
fn what_installs_argo_says_its_phase() {
    table(
        GROUP,
        "RolloutManager",
        &[
            ("{}", "Progressing: Waiting for RolloutManager status"),
            ("{status: {phase: Pending}}", "Progressing: the phase is Pending"),
            ("{status: {phase: Failure}}", "Degraded: the phase is Failure"),
            (
                "{status: {phase: Available, conditions: [{type: Reconciled, status: 'False', reason: ErrorOccurred, message: twice}]}}",
                "Degraded: twice",
            ),
            (
                "{status: {phase: Available, conditions: [{type: Reconciled, status: 'True', reason: Success}]}}",
                "Healthy",
            ),
        ],
    );
    table(
        GROUP,
        "ArgoCD",
        &[
            ("{}", "Progressing: Waiting for ArgoCD status"),
            ("{status: {phase: Pending}}", "Progressing: the phase is Pending"),
            ("{status: {phase: Unknown}}", "Progressing: the phase is Unknown"),
            ("{status: {phase: Failed}}", "Degraded: the phase is Failed"),
            ("{status: {phase: Available}}", "Healthy"),
        ],
    );
}
