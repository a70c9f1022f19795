//! The groups of `OpenShift`.

use super::{Around, table, table_among};

#[test]
fn a_route_is_healthy_once_every_router_admits_it() {
    table(
        "route.openshift.io",
        "Route",
        &[
            ("{}", "Progressing: Route is still getting admitted"),
            ("{status: {ingress: []}}", "Progressing: Route is still getting admitted"),
            ("{status: {ingress: [{conditions: []}]}}", "Progressing: Route is still getting admitted"),
            (
                "{status: {ingress: [{conditions: [{type: Admitted, status: 'True'}]}]}}",
                "Healthy: Route is healthy",
            ),
            (
                "{status: {ingress: [{conditions: [{type: Admitted, status: 'True'}]}, {conditions: [{type: Admitted, status: 'False'}]}]}}",
                "Degraded: Route is degraded",
            ),
        ],
    );
}

#[test]
fn an_ingress_that_openshift_turns_into_routes_is_as_well_as_these() {
    let ingress = "{metadata: {name: hub, namespace: rhdh}, status: {loadBalancer: {}}}";
    let route = |name: &str, admitted: &str| {
        format!(
            "{{apiVersion: route.openshift.io/v1, kind: Route, metadata: {{name: {name}, namespace: rhdh,
              ownerReferences: [{{kind: Ingress, name: hub}}]}}, status: {{ingress: [{{conditions: [{{type: Admitted, status: '{admitted}'}}]}}]}}}}"
        )
    };
    let (good, bad) = (route("a", "True"), route("b", "False"));
    let group = "networking.k8s.io";
    table(group, "Ingress", &[(ingress, "Progressing")]);
    table_among(group, "Ingress", &Around::of(&[&good]), &[(ingress, "Healthy")]);
    table_among(group, "Ingress", &Around::of(&[&good, &bad]), &[(ingress, "Degraded: Route is degraded")]);
    table_among(group, "Ingress", &Around::default(), &[(ingress, "Progressing")]);
}

#[test]
fn a_deployment_config_is_available_and_progressing() {
    table(
        "apps.openshift.io",
        "DeploymentConfig",
        &[
            ("{}", "Progressing: replication controller is waiting for pods to run"),
            (
                "{status: {conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True'}]}}",
                "Healthy: replication controller successfully rolled out",
            ),
            (
                "{status: {conditions: [{type: Available, status: 'False'}, {type: Progressing, status: 'True'}]}}",
                "Progressing: replication controller is waiting for pods to run",
            ),
            (
                "{status: {conditions: [{type: Available, status: 'False'}, {type: Progressing, status: 'False'}]}}",
                "Degraded: Deployment config is degraded",
            ),
        ],
    );
}

#[test]
fn an_ingress_controller_is_judged_by_its_first_telling_condition() {
    table(
        "operator.openshift.io",
        "IngressController",
        &[
            ("{}", "Progressing: Status of IngressController is not known yet"),
            ("{status: {conditions: [{type: Degraded, status: 'True', message: m}]}}", "Degraded: m"),
            (
                "{status: {conditions: [{type: Available, status: 'True'}, {type: Degraded, status: 'True'}]}}",
                "Healthy: IngressController is available",
            ),
            (
                "{status: {conditions: [{type: DeploymentReplicasAllAvailable, status: 'False', message: 1 of 2}]}}",
                "Progressing: 1 of 2",
            ),
            (
                "{status: {conditions: [{type: Progressing, status: 'True', reason: Rolling}]}}",
                "Progressing: Rolling",
            ),
        ],
    );
}

#[test]
fn operators_of_the_cluster_are_degraded_working_or_available() {
    table(
        "config.openshift.io",
        "ClusterOperator",
        &[
            ("{}", "Progressing: Waiting for the operator"),
            (
                "{status: {conditions: [{type: Available, status: 'True'}, {type: Degraded, status: 'True', message: m}]}}",
                "Degraded: m",
            ),
            ("{status: {conditions: [{type: Available, status: 'False', message: m}]}}", "Degraded: m"),
            (
                "{status: {conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', message: m}]}}",
                "Progressing: m",
            ),
            (
                "{status: {conditions: [{type: Available, status: 'True', message: m}, {type: Degraded, status: 'False'}]}}",
                "Healthy: m",
            ),
        ],
    );
}

#[test]
fn the_network_is_settled_when_every_node_goes_the_way_that_is_asked_for() {
    let group = "operator.openshift.io";
    let settled = "{spec: {defaultNetwork: {ovnKubernetesConfig: {gatewayConfig: {routingViaHost: true}}}},
        status: {conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'False'}]}}";
    table(
        group,
        "Network",
        &[
            ("{}", "Progressing: Waiting for the operator"),
            (
                "{status: {conditions: [{type: Degraded, status: 'True', reason: RolloutHung, message: m}]}}",
                "Degraded: RolloutHung: m",
            ),
            (
                "{status: {conditions: [{type: Progressing, status: 'True', message: 1 out of 3 updated}]}}",
                "Progressing: 1 out of 3 updated",
            ),
            (settled, "Healthy"),
        ],
    );
    let node = |name: &str, mode: &str| {
        format!(
            r#"{{apiVersion: v1, kind: Node, metadata: {{name: {name}, annotations: {{k8s.ovn.org/l3-gateway-config: '{{"default":{{"mode":"{mode}"}}}}'}}}}}}"#
        )
    };
    let (one, other) = (node("a", "local"), node("b", "shared"));
    table_among(
        group,
        "Network",
        &Around::of(&[&one, &other]),
        &[(settled, "Progressing: 1 nodes are not in gateway mode local yet, b among them")],
    );
    table_among(group, "Network", &Around::of(&[&one]), &[(settled, "Healthy")]);
}

#[test]
fn a_storage_driver_tells_by_the_ends_of_its_conditions() {
    table(
        "operator.openshift.io",
        "ClusterCSIDriver",
        &[
            ("{}", "Progressing: Waiting for the operator"),
            (
                "{spec: {managementState: Managed}, status: {conditions: [{type: NodeControllerDegraded, status: 'True', message: m}]}}",
                "Degraded: NodeControllerDegraded: m",
            ),
            (
                "{spec: {managementState: Removed}, status: {conditions: [{type: NodeControllerAvailable, status: 'True'}]}}",
                "Suspended: the management state is Removed",
            ),
            (
                "{status: {conditions: [{type: NodeControllerProgressing, status: 'True', message: m}]}}",
                "Progressing: NodeControllerProgressing: m",
            ),
            (
                "{status: {conditions: [{type: NodeControllerAvailable, status: 'True'}, {type: OtherAvailable, status: 'True'}]}}",
                "Healthy",
            ),
            (
                "{status: {conditions: [{type: NodeControllerAvailable, status: 'True'}, {type: OtherAvailable, status: 'False', message: m}]}}",
                "Progressing: OtherAvailable: m",
            ),
        ],
    );
    table(
        "operator.openshift.io",
        "ExternalSecretsConfig",
        &[
            ("{}", "Progressing: Waiting for the operator"),
            ("{status: {conditions: [{type: Degraded, status: 'True', message: m}]}}", "Degraded: m"),
            (
                "{status: {conditions: [{type: Ready, status: 'False', reason: Failed, message: m}]}}",
                "Degraded: m",
            ),
            (
                "{status: {conditions: [{type: Ready, status: 'False', reason: Progressing, message: m}]}}",
                "Progressing: m",
            ),
            ("{status: {conditions: [{type: Ready, status: 'True'}]}}", "Healthy"),
        ],
    );
}
