use serde_json::json;

use super::*;
use crate::policy::{Automated, Consent, Retry, Tool};

fn document() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "web", "finalizers": [
            "resources-finalizer.argocd.argoproj.io", "post-delete-finalizer.argocd.argoproj.io/cleanup"]},
        "spec": {
            "project": "shop",
            "source": {"repoURL": "https://git.example.com/shop.git", "path": "apps/web", "targetRevision": "main",
                "directory": {"recurse": true, "include": "*.yaml", "jsonnet": {}}},
            "destination": {"name": "edge-1", "namespace": "shop"},
            "syncPolicy": {
                "automated": {"prune": true, "selfHeal": true},
                "syncOptions": ["CreateNamespace=true", "ServerSideApply=true", "PrunePropagationPolicy=background"],
                "retry": {"limit": 3, "refresh": true, "backoff": {"duration": "2s", "factor": 3, "maxDuration": "1m"}}
            },
            "info": [{"name": "owner", "value": "shop"}], "revisionHistoryLimit": 3, "ignoreDifferences": []
        },
        "status": {"sync": {"status": "Synced"}}
    })
}

fn with(path: &[&str], value: Value) -> Result<Application, SpecError> {
    let mut document = document();
    let slot = path.iter().fold(&mut document, |node, key| &mut node[*key]);
    *slot = value;
    Application::try_from(&document)
}

#[test]
fn a_document_is_read_as_it_states() {
    let app = Application::try_from(&document()).unwrap();
    assert_eq!(app.id.to_string(), "argocd/web");
    assert_eq!(app.cascade, Some(Propagation::Foreground));
    assert_eq!(app.project, "shop");
    assert_eq!(app.source.path.as_str(), "apps/web");
    assert!(app.source.directory.recurse);
    assert_eq!(app.destination.cluster, ClusterRef::Name("edge-1".into()));
    assert_eq!(app.policy.automated, Some(Automated { prune: true, self_heal: true, allow_empty: false }));
    assert!(app.policy.create_namespace);
    assert_eq!(app.policy.propagation, Propagation::Background);
    let retry = Retry { limit: 3, delay_ms: 2_000, factor: 3, max_delay_ms: 60_000, refresh: true };
    assert_eq!(app.policy.retry, Some(retry));
    assert_eq!(app.spec["info"][0]["name"], "owner");
}

#[test]
fn how_much_is_kept_and_when_an_app_goes_back_is_read() {
    let policy = |value: Value| with(&["metadata", "annotations"], value).map(|app| app.policy.history);
    assert_eq!(policy(json!({})).unwrap(), HistoryPolicy { limit: Some(3), fall_back_ms: None });
    let name = "argosy.dev/rollback-on-degraded";
    for (text, soak) in [("90s", 90_000), ("10m", 600_000), ("1h", 3_600_000)] {
        assert_eq!(policy(json!({name: text})).unwrap().fall_back_ms, Some(soak));
    }
    for text in ["", "10", "0s", "-1m", "soon"] {
        let error = policy(json!({name: text})).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("how long the app may be Degraded"), "{error}");
    }
    let error = with(&["spec", "revisionHistoryLimit"], json!(-1)).unwrap_err().to_string();
    assert!(error.contains("spec.revisionHistoryLimit") && error.contains("negative"), "{error}");
    assert_eq!(HistoryPolicy::default().limit(), 10);
    assert_eq!(HistoryPolicy { limit: Some(1_000), fall_back_ms: None }.limit(), 100, "a disk has an end");
}

#[test]
fn whose_objects_are_taken_over_is_read() {
    let tools = |value: Value| with(&["metadata", "annotations"], value).map(|app| app.policy.take_over);
    assert_eq!(tools(json!({})).unwrap(), []);
    let name = "argosy.dev/take-over";
    assert_eq!(tools(json!({name: "argocd, helm"})).unwrap(), [Tool::ArgoCd, Tool::Helm]);
    assert_eq!(tools(json!({name: "flux"})).unwrap(), [Tool::Flux]);
    for text in ["", "true", "argocd,kustomize", "Argo CD"] {
        let error = tools(json!({name: text})).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("some of argocd, helm, flux"), "{error}");
    }
}

#[test]
fn what_is_not_stated_has_argo_cds_defaults() {
    let app = Application::try_from(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web", "namespace": "team"},
        "spec": {"project": "", "source": {"repoURL": "file:///x", "path": "."},
            "destination": {"server": "https://kubernetes.default.svc/"}}
    }))
    .unwrap();
    assert_eq!(app.id.instance(), "team_web");
    assert_eq!((app.project.as_str(), app.source.revision.as_str()), ("default", "HEAD"));
    assert!(app.source.path.is_root());
    assert_eq!(app.destination.cluster.name(), Some("in-cluster"));
    assert_eq!(app.policy, SyncPolicy::default());
    assert_eq!(app.cascade, None);
    let off = with(&["spec", "syncPolicy", "automated"], json!({"enabled": false, "prune": true})).unwrap();
    assert_eq!(off.policy.automated, None);
    assert!(with(&["spec", "syncPolicy", "automated"], json!({})).unwrap().policy.automated.is_some());
    assert_eq!(with(&["spec", "syncPolicy", "retry"], json!({})).unwrap().policy.retry.unwrap().limit, 0);
}

#[test]
fn sync_options_are_read_and_a_wrong_value_is_told() {
    let options = |all: &[&str]| {
        let read = with(&["spec", "syncPolicy", "syncOptions"], json!(all));
        read.map(|app| app.policy).map_err(|error| error.to_string())
    };
    let policy = options(&[
        "Prune=confirm",
        "Delete=false",
        "PrunePropagationPolicy=orphan",
        "Validate=false",
        "FailOnSharedResource=true",
        "SkipDryRunOnMissingResource=true",
        "ApplyOutOfSyncOnly=false",
        "ServerSideApply=false",
        "ClientSideApplyMigration=false",
        "Replace=false",
    ])
    .unwrap();
    assert_eq!((policy.prune, policy.delete), (Consent::Asked, Consent::Refused));
    assert_eq!(policy.propagation, Propagation::Orphan);
    assert!(policy.unmigrated && policy.unvalidated && policy.fail_on_shared && policy.skip_dry_run);
    assert_eq!(options(&["Prune=true", "Delete=true", "Validate=true"]).unwrap(), options(&[]).unwrap());
    let metadata = json!({"syncOptions": ["CreateNamespace=true"],
        "managedNamespaceMetadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}});
    let namespace = with(&["spec", "syncPolicy"], metadata).unwrap().policy.namespace;
    assert_eq!((namespace.labels["a"].as_str(), namespace.annotations["c"].as_str()), ("b", "d"));
    let forced = options(&["Replace=true", "Force=true"]).unwrap();
    assert!(forced.replace && forced.force && !policy.replace);
    let both = options(&["Replace=true", "RespectIgnoreDifferences=true"]).unwrap_err();
    assert!(
        both.starts_with("spec.syncPolicy.syncOptions: ") && both.contains("do not go together"),
        "{both}"
    );
    for (option, says) in [
        ("Prune=maybe", "must end in =true, =false or =confirm"),
        ("Validate", "must end in =true or =false"),
        ("PrunePropagationPolicy=upward", "must name foreground, background or orphan"),
        ("Force=perhaps", "must end in =true or =false"),
        ("Frobnicate=true", "is not supported"),
    ] {
        let why = options(&["CreateNamespace=true", option]).unwrap_err();
        assert!(why.starts_with("spec.syncPolicy.syncOptions[1]: ") && why.contains(says), "{why}");
    }
}

#[test]
fn what_is_wrong_with_an_ignore_rule_is_told_by_its_path() {
    for (path, value, field) in [
        (&["spec", "ignoreDifferences"], json!([{"group": "apps"}]), "spec.ignoreDifferences[0].kind"),
        (
            &["spec", "ignoreDifferences"],
            json!([{"kind": "X"}, {"kind": "{"}]),
            "spec.ignoreDifferences[1].kind",
        ),
        (
            &["spec", "ignoreDifferences"],
            json!([{"kind": "X", "jsonPointers": ["/spec/a", "spec/b"]}]),
            "spec.ignoreDifferences[0].jsonPointers[1]",
        ),
        (
            &["spec", "ignoreDifferences"],
            json!([{"kind": "X", "jqPathExpressions": [".a | test(\"x\")"]}]),
            "spec.ignoreDifferences[0].jqPathExpressions[0]",
        ),
        (
            &["spec", "ignoreDifferences"],
            json!([{"kind": "X", "fields": []}]),
            "spec.ignoreDifferences[0].fields",
        ),
    ] {
        let error = with(path, value.clone()).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_its_path() {
    for (path, value, field) in [
        (&["spec", "sources"][..], json!([{"repoURL": "x"}]), "spec.sources"),
        (&["spec", "source", "helm"], json!({"releaseName": "x"}), "spec.source.helm"),
        (&["spec", "source", "kustomize"], json!({"namePrefix": "x"}), "spec.source.kustomize"),
        (&["spec", "source", "chart"], json!("x"), "spec.source.chart"),
        (
            &["spec", "source", "directory", "jsonnet"],
            json!({"tlas": [{}, {"name": "x"}]}),
            "spec.source.directory.jsonnet",
        ),
        (&["spec", "source", "directory", "exclude"], json!("{"), "spec.source.directory.exclude"),
        (&["spec", "source", "path"], json!("../x"), "spec.source.path"),
        (&["spec", "source", "path"], json!("/x"), "spec.source.path"),
        (&["spec", "source", "path"], json!(""), "spec.source.path"),
        (&["spec", "source", "targetRevision"], json!(1), "spec.source.targetRevision"),
        (&["spec", "source", "repoURL"], json!("https://user:hush@host/x"), "spec.source.repoURL"),
        (&["spec", "source", "repoURL"], json!("oci://x"), "spec.source.repoURL"),
        (
            &["metadata", "annotations"],
            json!({"argocd.argoproj.io/compare-options": "IncludeMutationWebhook=true"}),
            "metadata.annotations[argocd.argoproj.io/compare-options]",
        ),
        (&["spec", "destination", "server"], json!("https://x"), "spec.destination"),
        (&["spec", "destination", "cluster"], json!("x"), "spec.destination.cluster"),
        (&["spec", "destination"], json!({"namespace": "x"}), "spec.destination"),
        (
            &["spec", "syncPolicy", "managedNamespaceMetadata"],
            json!({"labels": {"argosy.dev/managed": "true"}}),
            "spec.syncPolicy.managedNamespaceMetadata.labels",
        ),
        (
            &["spec", "syncPolicy"],
            json!({"managedNamespaceMetadata": {"labels": {"a": "b"}}}),
            "spec.syncPolicy.managedNamespaceMetadata",
        ),
        (
            &["spec", "syncPolicy", "syncOptions"],
            json!(["Validate=true", "Replace=perhaps"]),
            "spec.syncPolicy.syncOptions[1]",
        ),
        (
            &["spec", "syncPolicy", "syncOptions"],
            json!(["CreateNamespace = true"]),
            "spec.syncPolicy.syncOptions[0]",
        ),
        (&["spec", "syncPolicy", "automated"], json!({"prune": "yes"}), "spec.syncPolicy.automated.prune"),
        (&["spec", "syncPolicy", "retry", "refresh"], json!("yes"), "spec.syncPolicy.retry.refresh"),
        (
            &["spec", "syncPolicy", "retry", "backoff", "duration"],
            json!("soon"),
            "spec.syncPolicy.retry.backoff.duration",
        ),
        (
            &["spec", "syncPolicy", "retry", "backoff", "factor"],
            json!(0),
            "spec.syncPolicy.retry.backoff.factor",
        ),
        (&["spec", "frobnicate"], json!(null), "spec.frobnicate"),
        (&["spec"], json!(null), "spec"),
        (&["operation"], json!({"sync": {}}), "operation"),
        (&["extra"], json!(1), "extra"),
        (&["metadata", "name"], json!("Web_1"), "metadata.name"),
        (&["metadata", "name"], json!(null), "metadata.name"),
        (&["metadata", "labels"], json!({"a": 1}), "metadata.labels[a]"),
        (
            &["metadata", "finalizers"],
            json!(["post-delete-finalizer.argocd.argoproj.io/later"]),
            "metadata.finalizers[0]",
        ),
        (
            &["metadata", "annotations"],
            json!({"argocd.argoproj.io/skip-reconcile": "yes"}),
            "metadata.annotations[argocd.argoproj.io/skip-reconcile]",
        ),
        (
            &["metadata", "annotations"],
            json!({"argocd.argoproj.io/sync-wave": "2"}),
            "metadata.annotations[argocd.argoproj.io/sync-wave]",
        ),
        (&["apiVersion"], json!("argoproj.io/v2"), "apiVersion"),
        (&["kind"], json!("ApplicationSet"), "kind"),
    ] {
        let error = with(path, value.clone()).expect_err(field);
        assert_eq!(error.field, field, "{value}: {error}");
        assert!(!error.to_string().contains("hush"));
    }
}

#[test]
fn ignored_differences_are_read() {
    let rule = json!({"group": "apps", "kind": "Deployment", "name": "web", "namespace": "shop",
        "jsonPointers": ["/spec/replicas"], "jqPathExpressions": [".spec.template.spec.containers[].image"],
        "managedFieldsManagers": ["kube-controller-manager"]});
    let app = with(&["spec", "ignoreDifferences"], json!([rule, {"kind": "ConfigMap"}])).unwrap();
    assert_eq!(app.ignore.len(), 2);
    let ignored = &app.ignore[0].ignored;
    assert_eq!((&app.ignore[0].group[..], &app.ignore[0].name[..]), ("apps", "web"));
    assert_eq!((ignored.pointers.len(), ignored.expressions.len(), ignored.managers.len()), (1, 1, 1));
    let options = json!(["RespectIgnoreDifferences=true"]);
    assert!(with(&["spec", "syncPolicy", "syncOptions"], options).unwrap().policy.respect_ignored);
}

#[test]
fn annotations_without_a_meaning_here_are_let_through() {
    let annotations = json!({"argocd.argoproj.io/manifest-generate-paths": ".", "argocd.argoproj.io/sync-wave": "0",
        "link.argocd.argoproj.io/docs": "https://x", "notifications.argoproj.io/subscribe": "x", "team": "shop"});
    assert_eq!(with(&["metadata", "annotations"], annotations).unwrap().annotations.len(), 5);
}

#[test]
fn a_document_that_is_refused_still_says_which_application_it_is() {
    let mut bad = document();
    bad["spec"] = json!("nonsense");
    assert!(Application::try_from(&bad).is_err());
    assert!(Application::is_kind_of(&bad));
    assert_eq!(Application::identity(&bad), Some(AppId::new("", "web")));
    assert!(!Application::is_kind_of(&json!({"apiVersion": "app.k8s.io/v1", "kind": "Application"})));
    assert_eq!(Application::identity(&json!({})), None);
}
