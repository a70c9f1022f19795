//! Kinds of Kubernetes itself.

use super::table;

#[test]
fn a_deployment_is_healthy_once_its_newest_replicas_are_available() {
    table(
        "apps",
        "Deployment",
        &[
            ("{spec: {paused: true, replicas: 2}}", "Suspended: Deployment is paused"),
            (
                "{metadata: {generation: 2}, status: {observedGeneration: 1}}",
                "Progressing: Waiting for rollout to finish: observed deployment generation less than desired generation",
            ),
            (
                "{metadata: {name: web}, status: {conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded}]}}",
                "Degraded: Deployment \"web\" exceeded its progress deadline",
            ),
            (
                "{spec: {replicas: 2}, status: {updatedReplicas: 1}}",
                "Progressing: Waiting for rollout to finish: 1 out of 2 new replicas have been updated...",
            ),
            (
                "{spec: {replicas: 2}, status: {updatedReplicas: 2, replicas: 3}}",
                "Progressing: Waiting for rollout to finish: 1 old replicas are pending termination...",
            ),
            (
                "{spec: {replicas: 2}, status: {updatedReplicas: 2, replicas: 2, availableReplicas: 1}}",
                "Progressing: Waiting for rollout to finish: 1 of 2 updated replicas are available...",
            ),
            (
                "{spec: {replicas: 2}, status: {updatedReplicas: 2, replicas: 2, availableReplicas: 2}}",
                "Healthy",
            ),
            ("{spec: {}, status: {}}", "Healthy"),
            (
                "{apiVersion: apps/v1beta1, status: {}}",
                "Unknown: unsupported Deployment GVK: apps/v1beta1, Kind=Deployment",
            ),
        ],
    );
}

#[test]
fn a_stateful_set_waits_for_its_pods_and_for_its_revision() {
    table(
        "apps",
        "StatefulSet",
        &[
            ("{}", "Progressing: Waiting for statefulset spec update to be observed..."),
            (
                "{metadata: {generation: 2}, status: {observedGeneration: 1}}",
                "Progressing: Waiting for statefulset spec update to be observed...",
            ),
            (
                "{spec: {replicas: 3}, status: {observedGeneration: 1, readyReplicas: 1}}",
                "Progressing: Waiting for 2 pods to be ready...",
            ),
            (
                "{spec: {replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}},
                  status: {observedGeneration: 1, readyReplicas: 3, updatedReplicas: 1}}",
                "Progressing: Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...",
            ),
            (
                "{spec: {replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}},
                  status: {observedGeneration: 1, readyReplicas: 3, updatedReplicas: 3, updateRevision: b, currentRevision: a}}",
                "Healthy: partitioned roll out complete: 3 new pods have been updated...",
            ),
            (
                "{spec: {updateStrategy: {type: OnDelete}}, status: {observedGeneration: 1, readyReplicas: 3}}",
                "Healthy: statefulset has 3 ready pods",
            ),
            (
                "{status: {observedGeneration: 1, updatedReplicas: 1, updateRevision: b, currentRevision: a}}",
                "Progressing: waiting for statefulset rolling update to complete 1 pods at revision b...",
            ),
            (
                "{status: {observedGeneration: 1, currentReplicas: 2, updateRevision: a, currentRevision: a}}",
                "Healthy: statefulset rolling update complete 2 pods at revision a...",
            ),
        ],
    );
}

#[test]
fn daemon_sets_and_replica_sets_count_their_pods() {
    table(
        "apps",
        "DaemonSet",
        &[
            (
                "{metadata: {generation: 1}}",
                "Progressing: Waiting for rollout to finish: observed daemon set generation less than desired generation",
            ),
            (
                "{spec: {updateStrategy: {type: OnDelete}}, status: {desiredNumberScheduled: 3, updatedNumberScheduled: 1}}",
                "Healthy: daemon set 1 out of 3 new pods have been updated",
            ),
            (
                "{metadata: {name: log}, status: {desiredNumberScheduled: 3, updatedNumberScheduled: 1}}",
                "Progressing: Waiting for daemon set \"log\" rollout to finish: 1 out of 3 new pods have been updated...",
            ),
            (
                "{metadata: {name: log}, status: {desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 2}}",
                "Progressing: Waiting for daemon set \"log\" rollout to finish: 2 of 3 updated pods are available...",
            ),
            (
                "{status: {desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 3}}",
                "Healthy",
            ),
        ],
    );
    table(
        "apps",
        "ReplicaSet",
        &[
            (
                "{metadata: {generation: 1}}",
                "Progressing: Waiting for rollout to finish: observed replica set generation less than desired generation",
            ),
            (
                "{status: {conditions: [{type: ReplicaFailure, status: 'True', message: quota}]}}",
                "Degraded: quota",
            ),
            (
                "{spec: {replicas: 2}, status: {availableReplicas: 1}}",
                "Progressing: Waiting for rollout to finish: 1 out of 2 new replicas are available...",
            ),
            ("{spec: {replicas: 2}, status: {availableReplicas: 2}}", "Healthy"),
        ],
    );
}

#[test]
fn a_pod_is_judged_by_how_long_it_is_meant_to_run() {
    table(
        "",
        "Pod",
        &[
            (
                "{spec: {restartPolicy: Always}, status: {phase: Running, containerStatuses: [
                  {state: {waiting: {reason: CrashLoopBackOff, message: one}}}, {state: {waiting: {reason: ErrImagePull, message: two}}}]}}",
                "Degraded: one, two",
            ),
            (
                "{spec: {restartPolicy: Never}, status: {phase: Pending, containerStatuses: [{state: {waiting: {reason: ImagePullBackOff}}}]}}",
                "Progressing",
            ),
            (
                "{spec: {restartPolicy: Always}, status: {phase: Pending, initContainerStatuses: [{state: {waiting: {reason: CrashLoopBackOff}}}]}}",
                "Progressing",
            ),
            ("{status: {phase: Succeeded, message: done}}", "Healthy: done"),
            ("{status: {phase: Failed, message: evicted}}", "Degraded: evicted"),
            (
                "{status: {phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}}]}}",
                "Degraded: container \"a\" failed with exit code 3",
            ),
            (
                "{status: {phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 137, reason: OOMKilled}}}]}}",
                "Degraded: OOMKilled",
            ),
            (
                "{status: {phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 1, message: lost}}}]}}",
                "Degraded: lost",
            ),
            (
                "{spec: {restartPolicy: Always}, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}",
                "Healthy",
            ),
            (
                "{spec: {restartPolicy: Always}, status: {phase: Running, containerStatuses: [{lastState: {terminated: {exitCode: 1}}}]}}",
                "Degraded",
            ),
            ("{spec: {restartPolicy: Always}, status: {phase: Running}}", "Progressing"),
            (
                "{spec: {restartPolicy: OnFailure}, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}",
                "Progressing",
            ),
            (
                "{metadata: {annotations: {argocd.argoproj.io/ignore-restart-policy: 'true'}}, spec: {restartPolicy: Never},
                  status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}",
                "Healthy",
            ),
            (
                "{metadata: {annotations: {argocd.argoproj.io/ignore-restart-policy: 'true', argocd.argoproj.io/hook: Sync}},
                  spec: {restartPolicy: Never}, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}",
                "Progressing",
            ),
            ("{}", "Unknown"),
        ],
    );
}

#[test]
fn services_claims_and_ingresses_wait_for_what_others_give_them() {
    table(
        "",
        "Service",
        &[
            ("{spec: {type: ClusterIP}}", "Healthy"),
            ("{spec: {type: LoadBalancer}}", "Progressing"),
            ("{spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: 10.0.0.1}]}}}", "Healthy"),
            (
                "{status: {conditions: [{type: istio.io/WaypointBound, status: 'False', reason: WaypointIsNotReady}]}}",
                "Progressing: waypoint: WaypointIsNotReady",
            ),
            (
                "{status: {conditions: [{type: istio.io/WaypointBound, status: 'False', reason: AttachmentDenied, message: not allowed}]}}",
                "Degraded: waypoint: not allowed",
            ),
            ("{status: {conditions: [{type: istio.io/WaypointBound, status: 'True'}]}}", "Healthy"),
        ],
    );
    table(
        "",
        "PersistentVolumeClaim",
        &[
            ("{status: {phase: Bound}}", "Healthy"),
            ("{status: {phase: Pending}}", "Progressing"),
            ("{status: {phase: Lost}}", "Degraded"),
            ("{}", "Unknown"),
        ],
    );
    for group in ["networking.k8s.io", "extensions"] {
        table(
            group,
            "Ingress",
            &[
                ("{status: {loadBalancer: {}}}", "Progressing"),
                ("{status: {loadBalancer: {ingress: [{hostname: a}]}}}", "Healthy"),
            ],
        );
    }
}

#[test]
fn a_job_ends_by_a_condition_whatever_its_status_says() {
    table(
        "batch",
        "Job",
        &[
            ("{}", "Progressing"),
            ("{status: {conditions: [{type: FailureTarget, status: 'True'}]}}", "Progressing"),
            ("{status: {conditions: [{type: Complete, status: 'False', message: m}]}}", "Healthy: m"),
            (
                "{status: {conditions: [{type: Complete, status: 'True'}, {type: Failed, message: backoff}]}}",
                "Degraded: backoff",
            ),
            (
                "{status: {conditions: [{type: Suspended, status: 'True', message: Job suspended}]}}",
                "Suspended: Job suspended",
            ),
            (
                "{status: {conditions: [{type: Suspended, status: 'False', message: Job resumed}]}}",
                "Healthy: Job resumed",
            ),
        ],
    );
}

#[test]
fn a_cron_job_is_judged_by_its_last_run() {
    table(
        "batch",
        "CronJob",
        &[
            ("{spec: {suspend: true}, status: {}}", "Suspended: CronJob is Suspended"),
            ("{spec: {}}", "Progressing: Waiting for CronJob"),
            ("{status: {}}", "Healthy: CronJob has not been scheduled yet"),
            (
                "{status: {lastScheduleTime: '2026-01-01T00:00:00Z'}}",
                "Healthy: The Cronjob never completed succesfully. It may not be healthy",
            ),
            (
                "{status: {lastScheduleTime: '2026-01-02T00:00:00Z', lastSuccessfulTime: '2026-01-01T00:00:00Z', active: [{name: a}]}}",
                "Healthy: The job is running. Its last execution may not have been successful",
            ),
            (
                "{status: {lastScheduleTime: '2026-01-02T00:00:00Z', lastSuccessfulTime: '2026-01-01T00:00:00Z'}}",
                "Degraded: CronJob has not completed its last execution successfully",
            ),
            (
                "{status: {lastScheduleTime: '2026-01-02T00:00:00Z', lastSuccessfulTime: '2026-01-02T00:00:09Z'}}",
                "Healthy: CronJob has completed its last execution successfully",
            ),
        ],
    );
}

#[test]
fn an_autoscaler_says_in_its_version_s_way_whether_it_can_scale() {
    table(
        "autoscaling",
        "HorizontalPodAutoscaler",
        &[
            ("{apiVersion: autoscaling/v2}", "Progressing: Waiting to Autoscale"),
            (
                "{apiVersion: autoscaling/v2, status: {conditions: [{type: AbleToScale, status: 'False', reason: FailedGetScale, message: gone}]}}",
                "Degraded: gone",
            ),
            (
                "{apiVersion: autoscaling/v2, status: {conditions: [
                  {type: ScalingActive, status: 'False', reason: FailedGetExternalMetric, message: metric}, {type: AbleToScale, status: 'True'}]}}",
                "Degraded: metric",
            ),
            (
                "{apiVersion: autoscaling/v2, status: {conditions: [{type: AbleToScale, status: 'True', message: ready}]}}",
                "Healthy: ready",
            ),
            ("{apiVersion: autoscaling/v2, status: {conditions: [{type: ScalingLimited, status: 'True'}]}}", "Healthy"),
            ("{apiVersion: autoscaling/v1}", "Progressing: Waiting to Autoscale"),
            (
                r#"{apiVersion: autoscaling/v1, metadata: {annotations: {autoscaling.alpha.kubernetes.io/conditions:
                  '[{"type":"AbleToScale","status":"True","message":"ready"}]'}}}"#,
                "Healthy: ready",
            ),
            (
                "{apiVersion: autoscaling/v2beta2}",
                "Unknown: unsupported HPA GVK: autoscaling/v2beta2, Kind=HorizontalPodAutoscaler",
            ),
            ("{status: {conditions: [{type: AbleToScale, status: 'True'}]}}", "Healthy"),
        ],
    );
}

#[test]
fn a_budget_tells_what_its_conditions_say() {
    table(
        "policy",
        "PodDisruptionBudget",
        &[
            ("{}", "Progressing: Waiting for status"),
            (
                "{status: {conditions: [{type: DisruptionAllowed, status: 'True', reason: SufficientPods}]}}",
                "Healthy: PodDisruptionBudget has SufficientPods",
            ),
            (
                "{status: {conditions: [{type: DisruptionAllowed, status: 'False', reason: InsufficientPods}]}}",
                "Healthy: PodDisruptionBudget has InsufficientPods",
            ),
            (
                "{status: {conditions: [{type: DisruptionAllowed, status: 'False', reason: SyncFailed}]}}",
                "Degraded: PodDisruptionBudget has SyncFailed",
            ),
        ],
    );
}

#[test]
fn definitions_and_aggregated_apis_are_healthy_once_served() {
    table(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        &[
            ("{}", "Progressing: Status conditions not found"),
            (
                "{status: {conditions: [{type: Established, status: 'False'}]}}",
                "Progressing: CRD is not established",
            ),
            (
                "{status: {conditions: [{type: NamesAccepted, status: 'False', message: taken}, {type: Established, status: 'True'}]}}",
                "Degraded: CRD names have not been accepted: taken",
            ),
            (
                "{status: {conditions: [{type: NonStructuralSchema, status: 'True', message: bad}, {type: Established, status: 'True'}]}}",
                "Degraded: Schema violations found: bad",
            ),
            (
                "{status: {conditions: [{type: Terminating, status: 'True', message: m}]}}",
                "Progressing: CRD is terminating: m",
            ),
            (
                "{status: {conditions: [{type: NamesAccepted, status: 'True'}, {type: Established, status: 'True'}]}}",
                "Healthy: CRD is healthy",
            ),
        ],
    );
    table(
        "apiregistration.k8s.io",
        "APIService",
        &[
            ("{}", "Progressing: Waiting to be processed"),
            (
                "{status: {conditions: [{type: Available, status: 'False', reason: MissingEndpoints, message: none}]}}",
                "Progressing: MissingEndpoints: none",
            ),
            (
                "{status: {conditions: [{type: Available, status: 'True', reason: Passed, message: all checks passed}]}}",
                "Healthy: Passed: all checks passed",
            ),
        ],
    );
}
