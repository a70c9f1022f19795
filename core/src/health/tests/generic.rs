//! The generic rule.

use super::{object, table};
use crate::health::{Basis, Health, assess, has_binding_rule, has_rule};
use crate::key::GroupKind;

#[test]
fn standard_conditions_of_kinds_that_nobody_knows_are_told_as_generic() {
    table(
        "example.com",
        "Widget",
        &[
            ("{}", "no opinion"),
            ("{status: {conditions: [{type: Synced, status: 'False'}]}}", "no opinion"),
            (
                "{status: {conditions: [{type: Ready, status: 'True'}]}}",
                "Healthy: generic rule, only shown: Ready is True",
            ),
            (
                "{status: {conditions: [{type: Ready, status: 'False', reason: NoDisk}]}}",
                "Degraded: generic rule, only shown: Ready is False: NoDisk",
            ),
            (
                "{status: {conditions: [{type: Ready, status: Unknown, message: soon}]}}",
                "Progressing: generic rule, only shown: Ready is Unknown: soon",
            ),
            (
                "{status: {conditions: [{type: Ready, status: 'False'}, {type: Reconciling, status: 'True', message: soon}]}}",
                "Progressing: generic rule, only shown: Reconciling is True: soon",
            ),
            (
                "{status: {conditions: [{type: Reconciling, status: 'True'}, {type: Stalled, status: 'True', message: stuck}]}}",
                "Degraded: generic rule, only shown: Stalled is True: stuck",
            ),
            (
                "{status: {conditions: [{type: Available, status: 'True', message: up}]}}",
                "Healthy: generic rule, only shown: Available is True: up",
            ),
            (
                "{metadata: {generation: 2}, status: {observedGeneration: 1, conditions: [{type: Ready, status: 'True'}]}}",
                "Progressing: generic rule, only shown: Waiting for generation 2 to be observed: the status is of generation 1",
            ),
            (
                "{metadata: {generation: 2}, status: {conditions: [{type: Ready, status: 'True', observedGeneration: 1}, {type: Other, observedGeneration: 2}]}}",
                "Progressing: generic rule, only shown: Ready is True",
            ),
        ],
    );
}

#[test]
fn a_generic_verdict_counts_for_nothing() {
    let kind = GroupKind::new("example.com", "Widget");
    let broken = object("{status: {conditions: [{type: Ready, status: 'False'}]}}");
    let verdict = assess(&kind, &broken).unwrap();
    assert_eq!((verdict.health, verdict.basis), (Health::Degraded, Basis::Generic));
    assert!(!verdict.is_binding() && !verdict.is_counted());
    assert!(has_rule(&kind) && !has_binding_rule(&kind));
}

#[test]
fn kinds_of_kubernetes_itself_and_those_of_which_argo_cd_has_no_opinion_get_no_generic_verdict() {
    let ready = object("{status: {conditions: [{type: Ready, status: 'False'}]}}");
    for (group, kind) in [
        ("", "Secret"),
        ("", "ConfigMap"),
        ("", "Namespace"),
        ("", "Node"),
        ("storage.k8s.io", "VolumeAttachment"),
        ("rbac.authorization.k8s.io", "Role"),
        ("argoproj.io", "Application"),
        ("operators.coreos.com", "CatalogSource"),
    ] {
        let kind = GroupKind::new(group, kind);
        assert_eq!(assess(&kind, &ready), None, "{kind}");
        assert!(!has_rule(&kind), "{kind}");
    }
}
