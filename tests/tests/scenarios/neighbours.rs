//! Others who write to the same objects: fighters, admission, other tools, and backups.

use argosy_tests::world::PATIENCE;
use argosy_tests::{ControlPlane, Kubernetes, World, eventually, throughout};
use serde_json::{Value, json};

use super::stage::{EDGE, QUIET, Stage, config_map, row, row_message};

#[test]
fn a_second_writer_is_healed_three_times_and_then_reported() {
    let stage = Stage::start();
    stage.bring_up("web", &["a", "b"]);

    for _ in 0..3 {
        stage.expect_heal("a");
    }
    stage.spoil("a");

    let app = stage.await_condition("web", "FightWarning", &["a"]);
    let app = if app["status"]["sync"]["status"] == "OutOfSync" {
        app
    } else {
        stage.world.await_app("web", "to be OutOfSync", |app| app["status"]["sync"]["status"] == "OutOfSync")
    };
    assert!(row_message(&app, "a").contains("argosy-tests"), "the opponent is named: {app}");
    throughout(QUIET, "the fight to rest", || stage.value("a") == "spoilt");
    // The others are healed as ever.
    stage.expect_heal("b");
}

/// Makes the API server replace a value in every config map named `a` of the namespace.
fn install_policy(stage: &Stage) -> impl Drop + use<'_> {
    struct Policy<'a>(&'a Stage, String);
    impl Drop for Policy<'_> {
        fn drop(&mut self) {
            for kind in ["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"] {
                let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}/{}", self.1);
                self.0.plane().api().delete(&path).unwrap();
            }
        }
    }
    let name = stage.namespace.clone();
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
                "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["configmaps"],
                }],
            },
            "matchConditions": [{"name": "named", "expression": "object.metadata.name in ['a', 'probe']"}],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {
                "expression": "[JSONPatch{op: 'add', path: '/data/value', value: 'admitted'}]",
            }}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name},
    });
    let api = stage.plane().api();
    api.create(&format!("{group}/mutatingadmissionpolicies"), &policy).unwrap();
    let policy = Policy(stage, name);
    api.create(&format!("{group}/mutatingadmissionpolicybindings"), &binding).unwrap();
    eventually(PATIENCE, "the admission policy to be in force", || {
        let probe = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}, "data": {"value": "1"},
        });
        let applied = api.apply(&stage.path("probe"), "probe", &probe).unwrap();
        applied["data"]["value"] == "admitted"
    });
    policy
}

#[test]
fn a_field_that_admission_changes_makes_no_loop_and_is_named() {
    let (stage, simulated) = match Kubernetes::of_environment().unwrap() {
        Kubernetes::Real => (Stage::start(), false),
        // It evaluates no policies; what they would do can be set.
        Kubernetes::Sim => {
            let plane =
                ControlPlane::builder().mutate("configmaps/a", json!({"data": {"value": "admitted"}}));
            let world = World::builder().clusters(&[EDGE]).control_planes(plane).audit(true);
            (Stage::of(world.start().unwrap()), true)
        }
    };
    let _policy = (!simulated).then(|| install_policy(&stage));
    stage.commit(&[("web/a", "1"), ("web/b", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();
    stage.await_value("b", "1");

    let app = stage.world.await_app("web", "to name what admission changes", |app| {
        row_message(app, "a").contains("data.value") || row_message(app, "a").contains("/data/value")
    });

    assert_eq!(stage.value("a"), "admitted");
    assert_eq!(app["status"]["operationState"]["phase"], "Succeeded", "{app}");
    let mark = stage.plane().mark().unwrap();
    throughout(QUIET, "the agent to write nothing", || {
        let mut writes = stage.edge().requests_since(mark).unwrap();
        writes.retain(|request| request.is_write() && !request.is_lease());
        if writes.is_empty() { Ok(()) } else { Err(format!("{writes:?}")) }
    });

    // Drift of another field of it is still healed, once.
    let patch = json!({"metadata": {"annotations": {"argosy.dev/installation-id": null}}});
    stage.plane().api().merge(&stage.path("a"), &patch).unwrap();
    eventually(PATIENCE, "the annotation to be back", || {
        let live = stage.live("a").unwrap();
        live["metadata"]["annotations"]["argosy.dev/installation-id"].is_string()
    });
    stage.expect_untouched(&["a"]);
}

#[test]
fn an_object_of_another_tool_is_refused_and_the_rest_goes_on() {
    let stage = Stage::start();
    let helm = json!({
        "metadata": {
            "name": "a",
            "annotations": {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "team"},
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
        },
        "data": {"value": "of helm"},
    });
    let path = format!("/api/v1/namespaces/{}/configmaps", stage.namespace);
    stage.plane().api().create(&path, &helm).unwrap();
    // Argo CD where it is set to track by label.
    let argo = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "c", "labels": {"app.kubernetes.io/instance": "guestbook"}},
        "data": {"value": "of Argo CD"},
    });
    stage.plane().api().apply(&stage.path("c"), "argocd-controller", &argo).unwrap();
    stage.commit(&[("web/a", "1"), ("web/b", "1"), ("web/c", "1")]);

    stage.world.put_app(&stage.app("web")).unwrap();

    stage.await_value("b", "1");
    let app = stage
        .world
        .await_app("web", "to refuse it", |app| row_message(app, "a").contains("Helm release team/shop"));
    assert_eq!(row(&app, "a")["status"], "OutOfSync", "{app}");
    assert!(row_message(&app, "c").contains("Argo CD, by the label"), "{app}");
    assert_eq!((stage.value("a"), stage.value("c")), ("of helm".to_owned(), "of Argo CD".to_owned()));
    stage.expect_untouched(&["a", "c"]);
}

#[test]
fn an_object_that_nobody_tracks_is_adopted_with_its_uid() {
    let stage = Stage::start();
    let path = format!("/api/v1/namespaces/{}/configmaps", stage.namespace);
    let there = json!({"metadata": {"name": "a"}, "data": {"value": "0", "kept": "x"}});
    stage.plane().api().create(&path, &there).unwrap();
    let uid = stage.uid("a");

    stage.bring_up("web", &["a"]);

    assert_eq!((stage.uid("a"), stage.value("a")), (uid, "1".to_owned()));
    assert_eq!(stage.live("a").unwrap()["data"]["kept"], "x");
}

/// Replaces objects by copies with other UIDs, as a backup tool does.
fn restore(stage: &Stage, names: &[&str]) -> Vec<String> {
    let restored = names.iter().map(|name| {
        let mut backup: Value = stage.live(name).unwrap();
        let metadata = backup["metadata"].as_object_mut().unwrap();
        for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
            metadata.remove(field);
        }
        stage.plane().api().delete(&stage.path(name)).unwrap();
        let path = format!("/api/v1/namespaces/{}/configmaps", stage.namespace);
        let created = stage.plane().api().create(&path, &backup).unwrap();
        created["metadata"]["uid"].as_str().unwrap().to_owned()
    });
    restored.collect()
}

#[test]
fn objects_that_were_restored_with_new_uids_are_taken_again() {
    let stage = Stage::start();
    stage.bring_up("web", &["a", "b", "c"]);

    stage.edge().kill_agent().unwrap();
    let uids = restore(&stage, &["a", "b", "c"]);
    stage.edge().start_agent().unwrap();

    let commit = stage.commit(&[("web/a", "2")]);
    stage.await_value("a", "2");
    stage.world.await_synced("web", &commit);
    for (name, uid) in ["a", "b", "c"].iter().zip(&uids) {
        assert_eq!(stage.uid(name), *uid, "{name} is the one that was restored");
        stage.expect_heal(name);
    }
    // They are ours to prune as before.
    stage.remove(&["web/b"]);
    stage.await_absent("b");
}

#[test]
fn a_field_that_the_manifest_drops_goes_from_the_object() {
    let stage = Stage::start();
    let two = config_map("a", "1").replace("{value: \"1\"}", "{value: \"1\", extra: x}");
    stage.world.apps().write("web/a.yaml", two).unwrap();
    let commit = stage.world.apps().commit("Two fields").unwrap();
    stage.world.put_app(&stage.app("web")).unwrap();
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.live("a").unwrap()["data"]["extra"], "x");

    let commit = stage.commit(&[("web/a", "1")]);

    stage.world.await_synced("web", &commit);
    assert!(stage.live("a").unwrap()["data"]["extra"].is_null());
}
