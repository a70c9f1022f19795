//! Istio and the operator that installs it.

use super::{Around, table, table_among};

const SAIL: &str = "sailoperator.io";

#[test]
fn a_control_plane_is_broken_waiting_or_healthy() {
    for kind in ["Istio", "IstioRevision"] {
        table(
            SAIL,
            kind,
            &[
                ("{}", "Progressing: Waiting for the operator"),
                (
                    "{metadata: {generation: 2}, status: {observedGeneration: 1, state: Healthy}}",
                    "Progressing: Waiting for generation 2 to be observed: the status is of generation 1",
                ),
                (
                    "{status: {state: ReconcileError, conditions: [{type: Reconciled, status: 'False', reason: ReconcileError, message: 1.20 is end-of-life}]}}",
                    "Degraded: ReconcileError: 1.20 is end-of-life",
                ),
                (
                    "{status: {state: ReadinessCheckFailed, conditions: [{type: Reconciled, status: 'True'}, {type: Ready, status: 'False', reason: ReadinessCheckFailed, message: m}]}}",
                    "Degraded: ReadinessCheckFailed: m",
                ),
                (
                    "{status: {state: IstiodNotReady, conditions: [{type: Reconciled, status: 'True'}, {type: Ready, status: 'False', reason: IstiodNotReady, message: m}]}}",
                    "Progressing: IstiodNotReady: m",
                ),
                (
                    "{status: {state: ZTunnelNotHealthy, conditions: [{type: Reconciled, status: 'True'}, {type: Ready, status: 'True'},
                      {type: DependenciesHealthy, status: 'False', reason: ZTunnelNotHealthy, message: m}]}}",
                    "Progressing: ZTunnelNotHealthy: m",
                ),
                ("{status: {state: Healthy, conditions: [{type: Ready, status: 'True'}]}}", "Healthy"),
            ],
        );
    }
    table(
        SAIL,
        "Istio",
        &[
            (
                "{status: {state: Healthy, revisions: {total: 2, ready: 1, inUse: 1}}}",
                "Progressing: 1 of 2 revisions are ready",
            ),
            ("{status: {state: Healthy, revisions: {total: 2, ready: 2, inUse: 1}}}", "Healthy"),
        ],
    );
}

#[test]
fn the_data_plane_is_rolled_out_only_when_every_node_has_its_new_pod() {
    let healthy = "{spec: {namespace: ztunnel}, status: {state: Healthy}}";
    table(
        SAIL,
        "ZTunnel",
        &[
            (healthy, "Healthy"),
            (
                "{status: {state: DaemonSetNotReady, conditions: [{type: Ready, status: 'False', reason: DaemonSetNotReady, message: m}]}}",
                "Progressing: DaemonSetNotReady: m",
            ),
            (
                "{status: {conditions: [{type: Reconciled, status: 'False', reason: ReconcileError, message: m}]}}",
                "Degraded: ReconcileError: m",
            ),
        ],
    );
    let old =
        Around::of(&["{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: ztunnel, namespace: ztunnel},
        status: {desiredNumberScheduled: 3, updatedNumberScheduled: 2}}"]);
    table_among(
        SAIL,
        "ZTunnel",
        &old,
        &[(healthy, "Progressing: 2 of 3 pods of DaemonSet ztunnel/ztunnel are updated")],
    );
    let cni = Around::of(&[
        "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: istio-cni-node, namespace: istio-cni},
        status: {desiredNumberScheduled: 3, updatedNumberScheduled: 3}}",
    ]);
    table_among(
        SAIL,
        "IstioCNI",
        &cni,
        &[("{spec: {namespace: istio-cni}, status: {state: Healthy}}", "Healthy")],
    );
}

#[test]
fn a_tag_that_nothing_refers_to_is_healthy() {
    table(
        SAIL,
        "IstioRevisionTag",
        &[
            ("{status: {state: Healthy}}", "Healthy"),
            (
                "{status: {state: NotReferencedByAnything, conditions: [{type: Reconciled, status: 'True'}, {type: InUse, status: 'False', reason: NotReferencedByAnything}]}}",
                "Healthy",
            ),
            (
                "{status: {state: RefNotFound, conditions: [{type: Reconciled, status: 'False', reason: RefNotFound, message: m}]}}",
                "Degraded: RefNotFound: m",
            ),
            ("{status: {state: NameAlreadyExists}}", "Degraded: NameAlreadyExists"),
            ("{status: {state: UsageCheckFailed}}", "Progressing: UsageCheckFailed"),
        ],
    );
}

#[test]
fn a_policy_that_the_data_plane_refuses_is_degraded() {
    table(
        "security.istio.io",
        "AuthorizationPolicy",
        &[
            ("{}", "Healthy"),
            (
                "{status: {conditions: [{type: ZtunnelAccepted, status: 'False', reason: UnsupportedValue, message: HTTP attributes}]}}",
                "Degraded: ZtunnelAccepted is False: HTTP attributes",
            ),
            (
                "{status: {conditions: [{type: WaypointAccepted, status: 'False', reason: TargetNotFound}]}}",
                "Degraded: WaypointAccepted is False: TargetNotFound",
            ),
            (
                "{status: {conditions: [{type: WaypointAccepted, status: 'False', reason: AncestorNotBound, message: soon}]}}",
                "Progressing: WaypointAccepted is False: soon",
            ),
            (
                "{status: {conditions: [{type: WaypointAccepted, status: 'True', reason: PartiallyInvalid, message: one rule}]}}",
                "Healthy: in force in part: one rule",
            ),
            (
                "{metadata: {generation: 2}, status: {conditions: [{type: WaypointAccepted, status: 'True', observedGeneration: '1'}]}}",
                "Progressing: Waiting for generation 2 to be observed: the status is of generation 1",
            ),
        ],
    );
    for (group, kind) in [
        ("security.istio.io", "PeerAuthentication"),
        ("security.istio.io", "RequestAuthentication"),
        ("telemetry.istio.io", "Telemetry"),
    ] {
        table(
            group,
            kind,
            &[
                ("{}", "Healthy"),
                (
                    "{status: {conditions: [{type: PassedAnalysis, status: 'False', message: m}]}}",
                    "Degraded: PassedAnalysis is False: m",
                ),
            ],
        );
    }
    table(
        "networking.istio.io",
        "VirtualService",
        &[("{status: {conditions: [{type: Ready, status: 'False'}]}}", "no opinion")],
    );
}

#[test]
fn the_old_operator_says_its_status_as_word_or_number() {
    table(
        "install.istio.io",
        "IstioOperator",
        &[
            ("{}", "Progressing: Waiting for Istio Control Plane"),
            ("{status: {status: NONE}}", "Unknown: Component is not present."),
            ("{status: {status: 0}}", "Unknown: Component is not present."),
            (
                "{status: {status: UPDATING}}",
                "Progressing: Component is being updated to a different version.",
            ),
            (
                "{status: {status: 2}}",
                "Progressing: Controller has started but not yet completed reconciliation loop for the component.",
            ),
            ("{status: {status: HEALTHY}}", "Healthy: Component is healthy."),
            ("{status: {status: 4}}", "Degraded: Component is in an error state."),
        ],
    );
}
