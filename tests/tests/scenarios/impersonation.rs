//! Applications that act as a service account of their cluster: what that account may not do is not done.

use argosy_tests::world::PATIENCE;
use argosy_tests::{World, control_plane, eventually, throughout};
use serde_json::{Value, json};

use super::stage::{EDGE, QUIET, Stage, row_message};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Makes an account in the stage's namespace that may do this with config maps, and nothing else.
fn make_account(stage: &Stage, name: &str, verbs: &[&str]) {
    let (api, namespace) = (stage.plane().api(), &stage.namespace);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    api.create(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), &account).unwrap();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}],
    });
    api.create(&format!("{RBAC}/namespaces/{namespace}/roles"), &role).unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    });
    api.create(&format!("{RBAC}/namespaces/{namespace}/rolebindings"), &binding).unwrap();
}

/// Changes what the account may do with config maps.
fn permit(stage: &Stage, name: &str, verbs: &[&str]) {
    let rules = json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]});
    let path = format!("{RBAC}/namespaces/{}/roles/{name}", stage.namespace);
    stage.plane().api().merge(&path, &rules).unwrap();
}

/// Has all applications act as an account where they go to a namespace.
fn act_as(stage: &Stage, namespace: &str, account: &str) {
    let project = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": "default", "namespace": "argocd"},
        "spec": {
            "sourceRepos": ["*"], "destinations": [{"server": "*", "name": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            "destinationServiceAccounts": [
                {"server": "*", "namespace": namespace, "defaultServiceAccount": account},
            ],
        },
    });
    stage.world.fleet().commit_file("projects/default.yaml", format!("{project:#}\n")).unwrap();
}

fn await_said(stage: &Stage, parts: &[&str]) -> Value {
    stage.world.await_app("web", &format!("to say {parts:?}"), |app| {
        let said = app["status"]["operationState"]["message"].as_str().unwrap_or_default();
        parts.iter().all(|part| said.contains(part))
    })
}

#[test]
fn an_app_does_what_its_account_may_do_and_a_refusal_names_the_account() {
    let stage = Stage::start();
    make_account(&stage, "deployer", &["get", "create", "patch", "delete"]);
    act_as(&stage, &stage.namespace, "deployer");
    let commit = stage.bring_up("web", &["a", "b", "c"]);
    stage.expect_heal("b");
    let diff = stage.world.hub().argosy(&["app", "diff", "web"]).unwrap();
    assert!(diff.status.success(), "{diff:?}");
    stage.remove(&["web/c"]);
    stage.await_absent("c");

    // It may write no Secret: then nothing of the sync is written.
    let account = format!("as the service account {}:deployer: ", stage.namespace);
    let body = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: value}\n";
    stage.world.apps().write("web/s.yaml", body).unwrap();
    stage.commit(&[("web/a", "2")]);
    let app = await_said(&stage, &[&account, "Forbidden"]);
    assert!(row_message(&app, "s").starts_with(&account), "{app}");
    throughout(QUIET, "nothing to be written", || stage.value("a") == "1");
    let secret = format!("/api/v1/namespaces/{}/secrets/s", stage.namespace);
    assert!(stage.plane().api().get(&secret).unwrap().is_none());
    stage.world.apps().remove("web/s.yaml").unwrap();
    let next = stage.commit(&[("web/a", "3")]);
    assert_ne!(next, commit);
    stage.world.await_synced("web", &next);

    // What it may not delete stays, and says why.
    permit(&stage, "deployer", &["get", "create", "patch"]);
    stage.commit(&[("web/d", "1"), ("web/e", "1")]);
    stage.await_value("e", "1");
    stage.remove(&["web/e"]);
    let app = stage.world.await_app("web", "to say who may not delete", |app| {
        row_message(app, "e").contains("cannot delete resource")
    });
    assert!(row_message(&app, "e").contains(&account), "{app}");
    stage.expect_untouched(&["e"]);
    permit(&stage, "deployer", &["get", "create", "patch", "delete"]);
    stage.world.hub().argosy_text(&["app", "sync", "web", "--prune"]).unwrap();
    stage.await_absent("e");
}

#[test]
fn it_acts_as_the_account_with_no_hub_and_after_a_restart() {
    let stage = Stage::start();
    make_account(&stage, "deployer", &["get", "create", "patch", "delete"]);
    act_as(&stage, &stage.namespace, "deployer");
    stage.bring_up("web", &["a", "b"]);
    stage.world.hub().stop().unwrap();
    stage.edge().kill_agent().unwrap();
    stage.edge().start_agent().unwrap();
    stage.expect_heal("a");
    permit(&stage, "deployer", &["get"]);
    let account = format!("as the service account {}:deployer: ", stage.namespace);
    // The API server takes a moment to know.
    eventually(PATIENCE, "a heal to be refused to the account", || {
        stage.spoil("b");
        stage
            .edge()
            .log()
            .map_err(|error| error.to_string())?
            .contains(&account)
            .then_some(())
            .ok_or(String::new())
    });
    assert_eq!(stage.value("b"), "spoilt");
    stage.world.hub().start().unwrap();
    stage
        .world
        .await_app("web", "to say who may not heal", |app| row_message(app, "b").starts_with(&account));
}

#[test]
fn an_app_for_which_its_project_names_no_account_is_not_synced() {
    let stage = Stage::start();
    act_as(&stage, "elsewhere", "deployer");
    stage.commit(&[("web/a", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();
    let said = format!(
        "failed to find a matching service account to impersonate: no matching service account found for destination \
         server {EDGE} and namespace {}",
        stage.namespace
    );
    await_said(&stage, &[&said]);
    throughout(QUIET, "nothing to be written", || stage.live("a").is_none());
    let shown = stage.world.hub().argosy_text(&["proj", "get", "default"]).unwrap();
    assert!(shown.contains("*,elsewhere,deployer"), "{shown}");
}

#[test]
fn an_agent_needs_the_right_to_impersonate() {
    let plane = control_plane::Builder::default().user("limited", &[]);
    let world = World::builder().clusters(&[EDGE]).control_planes(plane).start().unwrap();
    let stage = Stage::of(world);
    make_account(&stage, "deployer", &["get", "create", "patch", "delete"]);
    // As in README, for one who may write nothing itself.
    let mut rules = vec![
        json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}),
        json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}),
    ];
    let role = |rules: &[Value]| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "limited"}, "rules": rules})
    };
    let api = stage.plane().api();
    api.create(&format!("{RBAC}/clusterroles"), &role(&rules)).unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "limited"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "limited"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}],
    });
    api.create(&format!("{RBAC}/clusterrolebindings"), &binding).unwrap();
    stage.edge().stop_agent().unwrap();
    stage.edge().reach_by(stage.plane().kubeconfig_of("limited").unwrap());
    stage.edge().start_agent().unwrap();

    act_as(&stage, &stage.namespace, "deployer");
    let commit = stage.commit(&[("web/a", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();
    let account = format!("as the service account {}:deployer: ", stage.namespace);
    // Which right it names depends on the version of Kubernetes.
    let right = "User \\\"limited\\\" cannot impersonate";
    stage.world.await_app("web", "to say which right its agent lacks", |app| {
        let said = app["status"]["operationState"]["syncResult"].to_string();
        said.contains(&account) && said.contains(right)
    });
    assert!(stage.live("a").is_none());

    rules.push(json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}));
    api.merge(&format!("{RBAC}/clusterroles/limited"), &json!({"rules": rules})).unwrap();
    eventually(PATIENCE, "the app to be synced", || {
        let synced =
            stage.world.hub().argosy(&["app", "sync", "web"]).map_err(|error| format!("{error:#}"))?;
        if synced.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&synced.stdout).into_owned())
        }
    });
    stage.world.await_synced("web", &commit);
}
