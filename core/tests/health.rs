//! What judging the health of objects costs.

use argosy_core::health::assess;
use argosy_core::key::GroupKind;
use argosy_core::yaml::{Limits, parse_documents};
use serde_json::Value;

/// Objects as they are in a mesh of some size.
const MIX: [(&str, &str, &str); 10] = [
    (
        "apps",
        "Deployment",
        "{apiVersion: apps/v1, metadata: {name: web, generation: 4, annotations: {a: b}}, spec: {replicas: 2},
          status: {observedGeneration: 4, replicas: 2, updatedReplicas: 2, availableReplicas: 2,
          conditions: [{type: Available, status: 'True'}, {type: Progressing, status: 'True', reason: NewReplicaSetAvailable}]}}",
    ),
    (
        "",
        "Pod",
        "{apiVersion: v1, metadata: {name: web}, spec: {restartPolicy: Always}, status: {phase: Running,
          containerStatuses: [{state: {running: {}}}, {state: {running: {}}}], conditions: [{type: PodScheduled, status: 'True'}, {type: Ready, status: 'True'}]}}",
    ),
    ("", "Service", "{apiVersion: v1, spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: a}]}}}"),
    ("", "ConfigMap", "{apiVersion: v1, metadata: {name: a}, data: {a: b}}"),
    (
        "gateway.networking.k8s.io",
        "HTTPRoute",
        "{metadata: {generation: 2}, status: {parents: [{parentRef: {name: gw}, conditions: [
          {type: Accepted, status: 'True', observedGeneration: 2}, {type: ResolvedRefs, status: 'True', observedGeneration: 2}]}]}}",
    ),
    (
        "security.istio.io",
        "AuthorizationPolicy",
        "{metadata: {generation: 1}, status: {conditions: [{type: ZtunnelAccepted, status: 'True', observedGeneration: '1'}]}}",
    ),
    (
        "argoproj.io",
        "Rollout",
        "{metadata: {generation: 2}, status: {observedGeneration: '2', phase: Healthy, message: ''}}",
    ),
    (
        "operators.coreos.com",
        "Subscription",
        "{status: {state: AtLatestKnown, installedCSV: a, conditions: [{type: CatalogSourcesUnhealthy, status: 'False'}]}}",
    ),
    ("batch", "Job", "{status: {conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True', message: done}]}}"),
    (
        "example.com",
        "Widget",
        "{metadata: {generation: 2}, status: {observedGeneration: 2, conditions: [{type: Ready, status: 'True', reason: Up, message: all is well}]}}",
    ),
];

/// Run it with `cargo test --release -p argosy-core --test health -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement: it prints how long 5,000 objects take"]
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures and tells")]
fn the_health_of_five_thousand_objects_takes_at_most_fifty_milliseconds() {
    let objects: Vec<(GroupKind, Value)> = (0..5_000)
        .map(|index| {
            let (group, kind, text) = MIX[index % MIX.len()];
            (
                GroupKind::new(group, kind),
                parse_documents(text.as_bytes(), &Limits::default()).unwrap().remove(0).value,
            )
        })
        .collect();
    let mut fastest = std::time::Duration::MAX;
    for _ in 0..10 {
        let begin = std::time::Instant::now();
        let judged = objects.iter().filter(|(kind, object)| assess(kind, object).is_some()).count();
        fastest = fastest.min(begin.elapsed());
        assert_eq!(judged, 4_500);
    }
    println!("health of 5,000 objects: {fastest:?}");
    assert!(cfg!(debug_assertions) || fastest.as_millis() <= 50, "{fastest:?}");
}
