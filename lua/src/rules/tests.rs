//! Where rules come from, and which one decides.

use std::time::Duration;

use argosy_core::health::{Assessor, Health};
use serde_json::json;

use super::*;

fn rules() -> Rules {
    Rules::new(Clock { elapsed: || Duration::ZERO, unix: || 0 })
}

fn says(word: &str) -> String {
    format!("return {{status = '{word}', message = 'mine'}}")
}

fn health(rules: &Rules, group: &str, kind: &str) -> Option<Health> {
    let assessor = Assessor::default().with_rules(rules);
    assessor.assess(&GroupKind::new(group, kind), &json!({})).map(|verdict| verdict.health)
}

#[test]
fn a_config_map_has_rules_in_two_forms() {
    let all = "argoproj.io/Application:\n  health.lua: |\n    hs = {status = 'Progressing', message = ''}\n    if obj.status ~= nil and obj.status.health ~= nil then\n      hs.status = obj.status.health.status\n    end\n    return hs\n\
        \"*.example.com/*\":\n  health.lua.useOpenLibs: true\n  health.lua: return {status = string.upper('h') .. 'ealthy'}\n\
        apps/Deployment:\n  ignoreDifferences: |\n    jsonPointers: [/spec/replicas]\n";
    let mut rules = rules();
    rules
        .add_config_map(&json!({"kind": "ConfigMap", "data": {
            "url": "https://argocd.example.com",
            "resource.customizations": all,
            "resource.customizations.health.cert-manager.io_Certificate": says("Suspended"),
            "resource.customizations.health.ConfigMap": says("Degraded"),
            "resource.customizations.useOpenLibs.cert-manager.io_Certificate": "true",
            "resource.customizations.actions.apps_Deployment": "discovery.lua: ''",
        }}))
        .unwrap();
    assert_eq!(rules.len(), 4);
    assert_eq!(health(&rules, "argoproj.io", "Application"), Some(Health::Progressing));
    assert_eq!(health(&rules, "widgets.example.com", "Widget"), Some(Health::Healthy));
    assert_eq!(health(&rules, "cert-manager.io", "Certificate"), Some(Health::Suspended));
    assert_eq!(health(&rules, "", "ConfigMap"), Some(Health::Degraded));
    assert_eq!(health(&rules, "apps", "Deployment"), Some(Health::Healthy), "ours");
    assert_eq!(health(&rules, "", "Secret"), None);
}

#[test]
fn a_folder_has_a_rule_a_kind_with_wildcards_and_the_exact_one_first() {
    let mut rules = rules();
    for (path, word) in [
        ("_.crossplane.io/_/health.lua", "Degraded"),
        ("s3.crossplane.io/Bucket/health.lua", "Healthy"),
        ("Pod/health.lua", "Suspended"),
    ] {
        assert!(rules.add_file(path, &says(word)).unwrap());
    }
    assert!(!rules.add_file("s3.crossplane.io/Bucket/health_test.yaml", "tests: []").unwrap());
    assert!(!rules.add_file("apps/Deployment/actions/discovery.lua", "return {}").unwrap());
    assert_eq!(health(&rules, "s3.crossplane.io", "Bucket"), Some(Health::Healthy));
    assert_eq!(health(&rules, "s3.crossplane.io", "Policy"), Some(Health::Degraded));
    assert_eq!(health(&rules, "", "Pod"), Some(Health::Suspended));
}

#[test]
fn a_secret_is_judged_by_its_own_rule_alone_and_without_its_values() {
    let secret = GroupKind::new("", "Secret");
    let mut rules = rules();
    rules.add_file("_/health.lua", &says("Degraded")).unwrap();
    assert!(rules.covers(&GroupKind::new("", "ConfigMap")) && !rules.covers(&secret));
    let tell = "return {status = 'Healthy', message = obj.data.password .. obj.metadata.name ..
        obj.metadata.annotations['kubectl.kubernetes.io/last-applied-configuration']}";
    rules.add_file("Secret/health.lua", tell).unwrap();
    let object = json!({"data": {"password": "aHVudGVyMg=="}, "metadata": {"name": "a", "annotations": {
        "kubectl.kubernetes.io/last-applied-configuration": "hunter2"}}});
    let ruling = rules.judge(&secret, &object);
    assert_eq!(ruling, Ruling::Verdict(Health::Healthy, "++++++++a++++++++".to_owned()));
}

#[test]
fn rules_that_cannot_be_used_are_refused_by_name() {
    let refusal = |document: Value| rules().add_config_map(&document).unwrap_err().to_string();
    let data = |key: &str, value: Value| json!({"kind": "ConfigMap", "data": {key: value}});
    assert!(refusal(json!({"kind": "ConfigMap", "data": {"url": "a"}})).contains("no ConfigMap with rules"));
    assert!(refusal(json!({"kind": "Secret"})).contains("no ConfigMap with rules"));
    assert_eq!(
        refusal(data("resource.customizations.health.a_b_c", json!("return nil"))),
        "\"resource.customizations.health.a_b_c\" names no kind: expected resource.customizations.health.GROUP_KIND, or .KIND of the core group"
    );
    let broken = refusal(data("resource.customizations.health.apps_Deployment", json!("return {")));
    assert!(broken.starts_with("the rule of apps/Deployment is no Lua: rule:1:"), "{broken}");
    assert!(
        refusal(data("resource.customizations", json!("a: [b")))
            .starts_with("data of resource.customizations, document 1")
    );
    assert_eq!(
        refusal(data("resource.customizations", json!("apps/Deployment: {health.lua: 3}"))),
        "resource.customizations.apps/Deployment.health.lua: must be text"
    );
    let error = rules().add_file("a/b/c/health.lua", "").unwrap_err().to_string();
    assert!(error.contains("expected GROUP/KIND/health.lua"), "{error}");
    let mut twice = rules();
    twice.add_file("Pod/health.lua", &says("Healthy")).unwrap();
    let error = twice.add_config_map(&data("resource.customizations.health.Pod", json!(says("Degraded"))));
    assert_eq!(error.unwrap_err().to_string(), "Pod has two rules: keep one");
    let long = "-".repeat(LARGEST + 1);
    assert_eq!(
        rules().add_file("Pod/health.lua", &long).unwrap_err().to_string(),
        "the rule of Pod is longer than 262144 bytes"
    );
}
