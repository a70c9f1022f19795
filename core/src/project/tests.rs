use serde_json::json;

use super::*;
use crate::desired::Destination;
use crate::key::ResourceKey;
use crate::policy::{Acting, ServiceAccount};

fn project(spec: impl Into<Value>) -> Project {
    read(spec).unwrap()
}

fn read(spec: impl Into<Value>) -> Result<Project, SpecError> {
    let spec = spec.into();
    Project::try_from(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "shop"}, "spec": spec
    }))
}

#[test]
fn the_project_that_permits_everything_is_what_its_document_says() {
    let mut document = Project::permissive_document();
    document["apiVersion"] = json!("argoproj.io/v1alpha1");
    document["kind"] = json!("AppProject");
    assert_eq!(Project::try_from(&document).unwrap(), Project::permissive());
}

fn key(group: &str, kind: &str, namespace: &str, name: &str) -> ResourceKey {
    ResourceKey::new(group, kind, namespace, name)
}

#[test]
fn sources_are_permitted_by_any_that_allows_and_none_that_denies() {
    let shop = project(
        json!({"sourceRepos": ["https://git.example.com/shop/*", "!https://git.example.com/shop/secret"]}),
    );
    assert!(shop.permits_source("https://Git.example.com/Shop/web.git").is_ok());
    assert!(shop.permits_source("https://git.example.com/shop/web/deep").is_err(), "a star stops at slashes");
    assert_eq!(
        shop.permits_source("https://git.example.com/shop/secret.git").unwrap_err().to_string(),
        "application repo https://git.example.com/shop/secret.git is not permitted in project 'shop'"
    );
    let denial_alone = project(json!({"sourceRepos": ["!https://x/y"]}));
    assert!(denial_alone.permits_source("https://x/z").is_err(), "a denial allows nothing");
    assert!(project(json!({})).permits_source("https://x/z").is_err());
    assert!(project(json!({"sourceRepos": ["*"]})).permits_source("file:///srv/x").is_ok());
    assert!(
        project(json!({"sourceRepos": ["git@h:team/*"]})).permits_source("ssh://git@h/team/x.git").is_ok()
    );
}

#[test]
fn destinations_follow_the_documented_rules() {
    let rules = project(json!({"destinations": [
        {"server": "*", "namespace": "shop-*"},
        {"name": "edge-*", "namespace": "*"},
        {"server": "*", "namespace": "!kube-system"},
        {"name": "!edge-9", "namespace": "x"},
    ]}))
    .limits;
    let ok = |server: &str, name: &str, namespace: &str| {
        rules.permits_destination(server, name, namespace).is_ok()
    };
    assert!(ok("https://a", "a", "shop-1"));
    assert!(ok("", "edge-1", "any"));
    assert!(!ok("https://a", "a", "other"));
    assert!(!ok("https://a", "edge-1", "kube-system"));
    assert!(!ok("", "edge-1", "kube-system"), "also on a cluster without a URL");
    assert!(!ok("https://a", "edge-9", "shop-1"), "a denied name denies in every namespace");
    assert_eq!(
        rules.permits_destination("https://a", "a", "other").unwrap_err().to_string(),
        "application destination server 'https://a' and namespace 'other' do not match any of the allowed destinations in project 'shop'"
    );
}

#[test]
fn a_denial_alone_permits_nothing() {
    let rules = project(json!({"destinations": [{"server": "*", "namespace": "!kube-system"}]})).limits;
    assert!(rules.permits_destination("https://a", "a", "shop").is_err());
}

#[test]
fn kinds_of_the_cluster_need_a_rule_and_namespaced_ones_only_where_there_are_some() {
    let limits = project(json!({
        "destinations": [{"name": "*", "namespace": "shop"}],
        "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "shop*"}, {"group": "*.io", "kind": "*"}],
        "clusterResourceBlacklist": [{"group": "*", "kind": "ClusterSecretStore"}],
        "namespaceResourceBlacklist": [{"group": "", "kind": "ResourceQuota"}],
    }))
    .limits;
    let ok = |key: ResourceKey, namespaced: bool| limits.permits(&key, namespaced, "", "edge-1").is_ok();
    assert!(ok(key("", "Namespace", "", "shop-1"), false));
    assert!(!ok(key("", "Namespace", "", "kube-system"), false));
    assert!(ok(key("networking.istio.io", "X", "", "x"), false));
    assert!(!ok(key("external-secrets.io", "ClusterSecretStore", "", "x"), false));
    assert!(!ok(key("apps", "X", "", "x"), false));
    assert!(ok(key("apps", "Deployment", "shop", "x"), true));
    assert!(!ok(key("", "ResourceQuota", "shop", "x"), true));
    let error =
        |key: ResourceKey, namespaced| limits.permits(&key, namespaced, "", "e").unwrap_err().to_string();
    assert_eq!(error(key("apps", "X", "", "x"), false), "resource apps:X is not permitted in project shop");
    assert_eq!(
        error(key("apps", "Deployment", "other", "x"), true),
        "namespace other is not permitted in project 'shop'"
    );
}

#[test]
fn an_absent_list_of_kinds_is_all_and_an_empty_one_none() {
    let deployment = key("apps", "Deployment", "shop", "x");
    assert!(project(json!({})).limits.permits_kind(&deployment, true).is_ok());
    assert!(
        project(json!({"namespaceResourceWhitelist": []})).limits.permits_kind(&deployment, true).is_err()
    );
    assert!(
        project(json!({"clusterResourceWhitelist": []})).limits.permits_kind(&deployment, false).is_err()
    );
}

#[test]
fn the_default_project_permits_everything_unless_defined() {
    let default = Project::permissive();
    assert!(default.permits_source("https://x/y").is_ok());
    assert!(default.limits.permits(&key("", "Namespace", "", "x"), false, "", "edge").is_ok());
    assert!(
        default.limits.permits(&key("", "Secret", "kube-system", "x"), true, "https://s", "edge").is_ok()
    );
    assert_eq!(default.name(), "default");
}

#[test]
fn a_rule_that_is_not_supported_is_refused_by_its_name() {
    for (spec, field) in [
        (json!({"roles": [{"name": "x"}]}), "spec.roles"),
        (json!({"signatureKeys": [{"keyID": "x"}]}), "spec.signatureKeys"),
        (
            json!({"destinationServiceAccounts": [{"server": "*", "name": "x", "defaultServiceAccount": "a"}]}),
            "spec.destinationServiceAccounts[0].name",
        ),
        (json!({"sourceNamespaces": ["*"]}), "spec.sourceNamespaces"),
        (json!({"orphanedResources": {"warn": true}}), "spec.orphanedResources"),
        (json!({"permitOnlyProjectScopedClusters": true}), "spec.permitOnlyProjectScopedClusters"),
        (json!({"sourceRepos": ["{"]}), "spec.sourceRepos[0]"),
        (json!({"destinations": [{"namespace": "!["}]}), "spec.destinations[0].namespace"),
        (json!({"destinations": [{"cluster": "x"}]}), "spec.destinations[0].cluster"),
        (
            json!({"namespaceResourceBlacklist": [{"kind": "x", "name": "y"}]}),
            "spec.namespaceResourceBlacklist[0].name",
        ),
        (json!({"sourceRepo": ["*"]}), "spec.sourceRepo"),
    ] {
        assert_eq!(read(spec.clone()).unwrap_err().field, field, "{spec}");
    }
    assert!(read(json!({"roles": [], "orphanedResources": null})).is_ok());
}

#[test]
fn limits_travel() {
    let limits = Project::permissive().limits;
    let bytes = minicbor::to_vec(&limits).unwrap();
    assert_eq!(minicbor::decode::<ProjectLimits>(&bytes).unwrap(), limits);
}

fn window(spec: impl Into<Value>) -> Result<Project, SpecError> {
    let mut window = json!({
        "kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "applications": ["*"],
    });
    window.as_object_mut().unwrap().extend(spec.into().as_object().unwrap().clone());
    read(json!({"syncWindows": [window]}))
}

#[test]
fn a_window_is_read_as_it_states() {
    let project = window(json!({
        "kind": "allow", "schedule": "@daily", "duration": "90m", "timeZone": "Europe/Berlin", "manualSync": true,
        "namespaces": ["shop"], "clusters": ["edge-*"], "andOperator": true, "syncOverrun": true, "description": "CR 7",
    }));
    let window = project.unwrap().limits.windows.remove(0);
    assert_eq!(window.to_string(), "allow \"@daily\" for 90m (Europe/Berlin)");
    assert!(window.manual && window.overrun && window.all);
    assert_eq!((window.duration.millis(), window.description.as_str()), (5_400_000, "CR 7"));
}

#[test]
fn a_window_that_cannot_be_judged_is_refused_by_its_field() {
    for (spec, field) in [
        (json!({"kind": "forbid"}), "kind"),
        (json!({"schedule": "0 22 * *"}), "schedule"),
        (json!({"duration": "1d"}), "duration"),
        (json!({"timeZone": "Mars/Olympus"}), "timeZone"),
        (json!({"applications": ["["]}), "applications[0]"),
        (json!({"applications": []}), "applications"),
        (json!({"manualSync": "yes"}), "manualSync"),
        (json!({"until": "Friday"}), "until"),
    ] {
        let error = window(spec.clone()).unwrap_err();
        assert_eq!(error.field, format!("spec.syncWindows[0].{field}"), "{spec}: {error}");
    }
}

#[test]
fn a_window_is_about_an_application_by_any_of_its_lists_or_by_all() {
    let edge = Destination { namespace: "shop".into(), cluster: "edge-1".into(), server: String::new() };
    let hub = Destination {
        cluster: "in-cluster".into(),
        server: "https://kubernetes.default.svc".into(),
        ..edge.clone()
    };
    for (spec, name, destination, expected) in [
        (json!({"applications": ["web-*"]}), "web-1", &edge, true),
        (json!({"applications": ["web-*"]}), "api", &edge, false),
        (json!({"applications": ["x"], "namespaces": ["sh?p"]}), "api", &edge, true),
        (json!({"applications": ["x"], "clusters": ["edge-*"]}), "api", &edge, true),
        (json!({"applications": ["x"], "clusters": ["far"]}), "api", &edge, false),
        (json!({"applications": ["x"], "clusters": ["https://kubernetes.*"]}), "api", &hub, true),
        (json!({"applications": ["x"], "clusters": ["in-cluster"]}), "api", &hub, true),
        (json!({"applications": ["api"], "namespaces": ["shop"], "andOperator": true}), "api", &edge, true),
        (json!({"applications": ["api"], "namespaces": ["bank"], "andOperator": true}), "api", &edge, false),
        (json!({"applications": [], "namespaces": ["shop"], "andOperator": true}), "api", &edge, true),
    ] {
        let limits = window(spec.clone()).unwrap().limits.of_app(&AppId::new("", name), destination);
        assert_eq!(limits.windows.len() == 1, expected, "{spec} {name}");
    }
}

#[test]
fn applications_act_as_the_account_of_the_first_rule_that_matches_their_destination() {
    let rules = project(json!({"destinationServiceAccounts": [
        {"server": "https://a", "namespace": "shop", "defaultServiceAccount": "first"},
        {"server": "edge-*", "namespace": "{shop,mesh}", "defaultServiceAccount": "ops:second"},
        {"server": "*", "namespace": "shop", "defaultServiceAccount": "third"},
    ]}))
    .limits;
    let acts = |server: &str, cluster: &str, namespace: &str| {
        let destination = Destination {
            namespace: namespace.to_owned(),
            cluster: cluster.to_owned(),
            server: server.to_owned(),
        };
        let limits = rules.of_app(&AppId::new("", "web"), &destination);
        assert!(limits.accounts.is_empty(), "an assignment carries what it needs");
        limits.account().map(|account| account.map(ServiceAccount::user)).map_err(|denied| denied.to_string())
    };
    let user = |account: &str| Ok(Some(format!("system:serviceaccount:{account}")));
    assert_eq!(acts("https://a", "edge-1", "shop"), user("shop:first"), "the document names it by its URL");
    assert_eq!(acts("", "edge-1", "shop"), user("ops:second"));
    assert_eq!(acts("", "edge-1", "mesh"), user("ops:second"));
    assert_eq!(acts("", "other", "shop"), user("shop:third"));
    assert_eq!(
        acts("https://b", "edge-1", "mesh"),
        Err("failed to find a matching service account to impersonate: no matching service account found for \
             destination server https://b and namespace mesh"
            .to_owned())
    );
    assert!(acts("", "edge-1", "").unwrap_err().ends_with("server edge-1 and namespace argocd"));
    let none = project(json!({})).limits.of_app(&AppId::new("", "web"), &Destination::default());
    assert_eq!(none.account(), Ok(None));
}

#[test]
fn accounts_that_could_be_any_are_refused_in_argo_cds_words() {
    let told = |server: &str, namespace: &str, account: &str| {
        let rule = json!({"server": server, "namespace": namespace, "defaultServiceAccount": account});
        read(json!({"destinationServiceAccounts": [rule]})).unwrap_err().to_string()
    };
    for account in ["", " ", "a*", "!a", "{a,b}", "[a]", "a/b", "a\\b", ":a", "a:", "a:b:c", "a b"] {
        assert_eq!(
            told("*", "*", account),
            format!(
                "spec.destinationServiceAccounts[0].defaultServiceAccount: defaultServiceAccount has an invalid format, \
                 '{account}'"
            )
        );
    }
    assert!(told("!a", "*", "a").ends_with("server: server has an invalid format, '!a'"));
    assert!(told("*", "[a", "a").ends_with("namespace: namespace has an invalid format, '[a'"));
    let rule = json!({"server": "*", "namespace": "a", "defaultServiceAccount": "x"});
    let twice = read(json!({"destinationServiceAccounts": [rule, rule]})).unwrap_err().to_string();
    assert_eq!(twice, "spec.destinationServiceAccounts[1]: destinationServiceAccount '*/a' already added");
}

#[test]
fn limits_without_accounts_are_the_bytes_that_they_were() {
    let limits = Project::permissive().limits;
    let bytes = minicbor::to_vec(&limits).unwrap();
    // Eight elements would be one for the accounts, too.
    assert_eq!(bytes.first(), Some(&0x86), "{bytes:x?}");
    let acting = ProjectLimits {
        acts: Some(Acting::As(ServiceAccount { namespace: "a".into(), name: "b".into() })),
        ..limits
    };
    assert_eq!(minicbor::decode::<ProjectLimits>(&minicbor::to_vec(&acting).unwrap()).unwrap(), acting);
}
