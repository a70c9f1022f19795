//! Gateway API.

use super::table;

const GROUP: &str = "gateway.networking.k8s.io";

#[test]
fn a_class_is_healthy_once_a_controller_accepts_this_generation_of_it() {
    table(
        GROUP,
        "GatewayClass",
        &[
            ("{}", "Progressing: Waiting for GatewayClass status"),
            (
                "{status: {conditions: [{type: Accepted, status: Unknown, message: Waiting for controller}]}}",
                "Progressing: Waiting for controller",
            ),
            (
                "{status: {conditions: [{type: Accepted, status: 'False', message: refused}]}}",
                "Degraded: refused",
            ),
            (
                "{status: {conditions: [{type: Accepted, status: 'True'}]}}",
                "Healthy: GatewayClass is accepted",
            ),
            (
                "{metadata: {generation: 2}, status: {conditions: [{type: Accepted, status: 'True', observedGeneration: 1}]}}",
                "Progressing: Waiting for GatewayClass status",
            ),
        ],
    );
}

#[test]
fn a_gateway_is_healthy_once_it_and_its_listeners_are_programmed() {
    table(
        GROUP,
        "Gateway",
        &[
            ("{}", "Progressing: Waiting for Gateway status"),
            (
                "{status: {conditions: [{type: Accepted, status: 'False', message: class}]}}",
                "Degraded: class",
            ),
            (
                "{status: {conditions: [{type: ResolvedRefs, status: 'False'}]}}",
                "Degraded: Failed condition: ResolvedRefs",
            ),
            (
                "{status: {conditions: [{type: Accepted, status: 'True'}, {type: Programmed, status: Unknown}]}}",
                "Progressing: Gateway is still being programmed",
            ),
            (
                "{status: {conditions: [{type: Programmed, status: 'True'}], listeners: [{conditions: [{type: ResolvedRefs, status: 'False', message: no secret}]}]}}",
                "Degraded: Listener: no secret",
            ),
            (
                "{status: {conditions: [{type: Programmed, status: 'True'}], listeners: [{conditions: [{type: Programmed, status: 'False', message: soon}]}]}}",
                "Progressing: Listener: soon",
            ),
            ("{status: {conditions: [{type: Programmed, status: 'True'}]}}", "Healthy: Gateway is healthy"),
            (
                "{metadata: {generation: 3}, status: {conditions: [{type: Programmed, status: 'True', observedGeneration: 2}]}}",
                "Progressing: Waiting for Gateway status",
            ),
        ],
    );
}

#[test]
fn a_route_is_healthy_once_a_parent_takes_this_generation_of_it() {
    for kind in ["HTTPRoute", "GRPCRoute"] {
        let waiting = format!("Progressing: Waiting for {kind} status");
        let healthy = format!("Healthy: {kind} is healthy");
        table(
            GROUP,
            kind,
            &[
                ("{}", &waiting),
                ("{metadata: {generation: 1}, status: {parents: []}}", &waiting),
                (
                    "{metadata: {generation: 1}, status: {parents: [{parentRef: {name: gw}, conditions: [
                      {type: Accepted, status: 'False', message: refused, observedGeneration: 1}]}]}}",
                    "Degraded: Parent gw: refused",
                ),
                (
                    "{metadata: {generation: 1}, status: {parents: [{parentRef: {}, conditions: [
                      {type: ResolvedRefs, status: 'False', observedGeneration: 1}]}]}}",
                    "Degraded: Parent : Failed condition: ResolvedRefs",
                ),
                (
                    "{metadata: {generation: 1}, status: {parents: [{parentRef: {name: gw}, conditions: [
                      {type: Programmed, status: 'False', observedGeneration: 1}]}]}}",
                    "Progressing: Parent gw: Route is still being programmed",
                ),
                (
                    "{metadata: {generation: 2}, status: {parents: [{parentRef: {name: gw}, conditions: [
                      {type: Accepted, status: 'False', observedGeneration: 1}]}]}}",
                    &waiting,
                ),
                (
                    "{metadata: {generation: 2}, status: {parents: [
                      {parentRef: {name: old}, conditions: [{type: Accepted, status: 'False', observedGeneration: 1}]},
                      {parentRef: {name: gw}, conditions: [{type: Accepted, status: 'True', observedGeneration: 2}]}]}}",
                    &healthy,
                ),
            ],
        );
    }
    // Of controllers that tell no generation, Argo CD believes one of GRPC routes only.
    let silent =
        "{metadata: {generation: 1}, status: {parents: [{conditions: [{type: Accepted, status: 'True'}]}]}}";
    table(GROUP, "HTTPRoute", &[(silent, "Progressing: Waiting for HTTPRoute status")]);
    table(GROUP, "GRPCRoute", &[(silent, "Healthy: GRPCRoute is healthy")]);
}

#[test]
fn a_backend_policy_waits_for_all_its_ancestors() {
    table(
        GROUP,
        "BackendTLSPolicy",
        &[
            ("{}", "Progressing: Waiting for BackendTLSPolicy status"),
            (
                "{metadata: {generation: 2}, status: {ancestors: [{ancestorRef: {name: gw}, conditions: [{type: Accepted, status: 'True', observedGeneration: 1}]}]}}",
                "Progressing: Waiting for Ancestor gw to update BackendTLSPolicy status",
            ),
            (
                "{status: {ancestors: [{ancestorRef: {name: gw}, conditions: [{type: Accepted, status: 'True'}, {type: ResolvedRefs, status: 'False', message: no CA}]}]}}",
                "Degraded: Ancestor gw: no CA",
            ),
            (
                "{status: {ancestors: [{ancestorRef: {name: gw}, conditions: [{type: Accepted, status: 'True'}]}]}}",
                "Healthy: BackendTLSPolicy is healthy",
            ),
        ],
    );
}
