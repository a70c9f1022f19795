//! Whose rule decides, and what is known of the generation that it judges.

use super::{object, table, words};
use crate::health::{Assessor, Basis, Health, Ruling, Standing, UserRules, assess, auxiliary, observed};
use crate::key::GroupKind;
use serde_json::Value;

/// Rules of a user who has one for Deployments, and one without an opinion for Services.
struct Own;

impl UserRules for Own {
    fn covers(&self, kind: &GroupKind) -> bool {
        kind.kind == "Deployment" || kind.kind == "Service"
    }

    fn judge(&self, kind: &GroupKind, _object: &Value) -> Ruling {
        match kind.kind.as_str() {
            "Deployment" => Ruling::Verdict(Health::Suspended, "mine".to_owned()),
            "Service" => Ruling::NoOpinion,
            _ => Ruling::NoRule,
        }
    }
}

#[test]
fn a_user_s_rule_goes_before_ours_and_may_have_no_opinion() {
    let assessor = Assessor::default().with_rules(&Own);
    let judge = |kind: &str| assessor.assess(&GroupKind::new("apps", kind), &object("{}"));
    let verdict = judge("Deployment").unwrap();
    assert_eq!((verdict.health, verdict.basis), (Health::Suspended, Basis::User));
    assert!(verdict.is_counted());
    assert_eq!(judge("Service"), None);
    assert_eq!(judge("ReplicaSet").unwrap().health, Health::Healthy);
    assert!(assessor.has_rule(&GroupKind::new("", "Service")));
}

#[test]
fn what_is_on_its_way_out_is_progressing_whatever_its_kind() {
    let going = "{metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}}";
    table("", "ConfigMap", &[(going, "Progressing: Pending deletion"), ("{}", "no opinion")]);
    table("example.com", "Widget", &[(going, "Progressing: Pending deletion")]);
    let assessor = Assessor::default().with_rules(&Own);
    let verdict = assessor.assess(&GroupKind::new("apps", "Deployment"), &object(going));
    assert_eq!(words(verdict), "Progressing: Pending deletion");
}

#[test]
fn a_hook_that_its_sync_holds_is_judged_as_ever() {
    table(
        "batch",
        "Job",
        &[(
            "{metadata: {deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [argocd.argoproj.io/hook-finalizer]},
              status: {conditions: [{type: Complete, status: 'True'}]}}",
            "Healthy",
        )],
    );
}

#[test]
fn an_object_may_ask_not_to_be_counted_and_still_holds_its_wave() {
    let kind = GroupKind::new("apps", "Deployment");
    let asks =
        "{metadata: {annotations: {argocd.argoproj.io/ignore-healthcheck: 'true'}}, spec: {replicas: 1}}";
    let verdict = assess(&kind, &object(asks)).unwrap();
    assert!(verdict.is_binding() && !verdict.is_counted());
    assert_eq!(Standing::live(Some(&verdict)), Standing::Uncounted);
    let verdict = assess(&kind, &object("{spec: {replicas: 1}}")).unwrap();
    assert_eq!(Standing::live(Some(&verdict)), Standing::Counted(Health::Progressing));
    assert_eq!(Standing::live(None), Standing::Uncounted);
}

#[test]
fn a_message_has_a_bound() {
    let long = "x".repeat(100_000);
    let widget =
        object(&format!("{{status: {{conditions: [{{type: Ready, status: 'False', message: {long}}}]}}}}"));
    let verdict = assess(&GroupKind::new("cert-manager.io", "Issuer"), &widget).unwrap();
    assert!(verdict.message.len() <= 1024 && verdict.message.ends_with('…'));
}

#[test]
fn the_generation_that_a_status_is_of_is_told_where_the_kind_reports_it() {
    let of = |group: &str, kind: &str, text: &str| observed(&GroupKind::new(group, kind), &object(text));
    let deployment = |text| of("apps", "Deployment", text);
    assert_eq!(deployment("{metadata: {generation: 2}, status: {observedGeneration: 1}}"), Some(false));
    assert_eq!(deployment("{metadata: {generation: 2}, status: {observedGeneration: 2}}"), Some(true));
    assert_eq!(deployment("{metadata: {generation: 2}}"), Some(false), "it always tells");
    assert_eq!(of("", "ConfigMap", "{metadata: {}}"), None);
    assert_eq!(of("batch", "Job", "{metadata: {generation: 1}, status: {}}"), None);
    assert_eq!(of("example.com", "Widget", "{metadata: {generation: 1}}"), None);
    let route = "{metadata: {generation: 2}, status: {parents: [{conditions: [{observedGeneration: 1}]}, {conditions: [{observedGeneration: 2}]}]}}";
    assert_eq!(of("gateway.networking.k8s.io", "HTTPRoute", route), Some(true));
    assert_eq!(
        of("gateway.networking.k8s.io", "Gateway", "{metadata: {generation: 1}, status: {conditions: []}}"),
        Some(false)
    );
    let rollout = |text| of("argoproj.io", "Rollout", text);
    assert_eq!(rollout("{metadata: {generation: 2}, status: {observedGeneration: '1'}}"), Some(false));
    assert_eq!(rollout("{metadata: {generation: 2}, status: {observedGeneration: '2'}}"), Some(true));
    let certificate = "{metadata: {generation: 2}, status: {conditions: [{type: Ready, status: 'True', observedGeneration: 1}]}}";
    assert_eq!(of("cert-manager.io", "Certificate", certificate), Some(false));
}

#[test]
fn rules_name_what_else_they_look_at() {
    let of = |group: &str, kind: &str| auxiliary(&GroupKind::new(group, kind));
    assert_eq!(of("operator.openshift.io", "Network"), [GroupKind::new("", "Node")]);
    assert!(of("apps", "Deployment").is_empty());
    assert!(of("example.com", "Widget").is_empty());
}
