//! Files and the verdicts on what they hold.

use super::*;
use crate::failure::USAGE;

fn rows(text: &str) -> Vec<Row> {
    let mut objects = Objects::default();
    objects.read("objects.yaml", text.as_bytes()).unwrap();
    judge(&objects, &Assessor::default())
}

fn refusal(text: &str) -> String {
    let failure = Objects::default().read("objects.yaml", text.as_bytes()).unwrap_err();
    assert_eq!(failure.code(), USAGE);
    failure.to_string()
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {replicas: 2}
status: {updatedReplicas: 1}
";

#[test]
fn every_object_gets_a_row_in_the_order_of_the_file() {
    let text =
        format!("{DEPLOYMENT}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\n---\n");
    let json = serde_json::to_value(rows(&text)).unwrap();
    assert_eq!(
        json,
        serde_json::json!([
            {"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "web", "status": "Progressing",
             "message": "Waiting for rollout to finish: 1 out of 2 new replicas have been updated..."},
            {"group": "", "kind": "ConfigMap", "namespace": "", "name": "settings", "status": "", "message": ""},
        ])
    );
}

#[test]
fn lists_and_json_are_expanded() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}, "spec": {"type": "LoadBalancer"}}]}"#;
    assert_eq!(
        table(&rows(list)),
        "GROUP  KIND     NAMESPACE  NAME  HEALTH       MESSAGE\n\
         \x20      Service             a     Healthy\n\
         \x20      Service             b     Progressing\n"
    );
    let typed =
        "{kind: DeploymentList, apiVersion: apps/v1, items: [{metadata: {name: a}, spec: {paused: true}}]}";
    assert!(table(&rows(typed)).contains("Suspended  Deployment is paused"));
    assert_eq!(rows("{kind: List, apiVersion: v1, items: []}"), []);
}

#[test]
fn rules_look_at_the_other_objects_of_the_files() {
    let hub = "
apiVersion: rhdh.redhat.com/v1alpha5
kind: Backstage
metadata: {name: hub, namespace: rhdh}
status: {conditions: [{type: Deployed, status: 'True'}]}
";
    let workload = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: backstage-hub, namespace: rhdh}
spec: {replicas: 2}
status: {updatedReplicas: 1}
";
    assert!(table(&rows(hub)).contains("Healthy"));
    assert!(
        table(&rows(&format!("{hub}{workload}"))).contains("1 of 2 replicas of backstage-hub are updated")
    );
}

#[test]
fn what_is_no_object_is_refused_with_its_place_and_a_remedy() {
    let remedy = "; give live objects as `kubectl get -o yaml` or `-o json` prints them";
    let second = |text: &str| refusal(&format!("{DEPLOYMENT}---\n{text}"));
    assert_eq!(
        second("apiVersion: v1\nmetadata: {name: a}\n"),
        format!("objects.yaml, document 2, line 8: kind: is missing{remedy}")
    );
    assert_eq!(
        second("kind: Pod\nmetadata: {name: a}\n"),
        format!("objects.yaml, document 2, line 8: apiVersion: is missing{remedy}")
    );
    assert_eq!(
        second("apiVersion: v1\nkind: Pod\n"),
        format!("objects.yaml, document 2, line 8: metadata.name: is missing{remedy}")
    );
    assert_eq!(
        refusal("{apiVersion: v1, kind: List, items: [{kind: Pod}]}"),
        format!("objects.yaml, document 1, line 1: items[0]: apiVersion: is missing{remedy}")
    );
    assert_eq!(
        refusal("- a\n"),
        format!("objects.yaml, document 1, line 1: must be an object, not a list{remedy}")
    );
    assert_eq!(
        refusal("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: n}}"),
        format!(
            "objects.yaml, document 1, line 1: metadata.namespace: must be a string, not a boolean{remedy}"
        )
    );
    assert!(second("a: [b\n").starts_with("objects.yaml, document 2, line "));
    assert_eq!(refusal("# nothing\n"), format!("objects.yaml holds no object{remedy}"));
}

#[test]
fn rules_of_the_user_s_own_go_first() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("rules/apps/Deployment");
    std::fs::create_dir_all(&folder).unwrap();
    let mine = "return {status = 'Suspended', message = string.upper(obj.metadata.name)}";
    std::fs::write(folder.join("health.lua"), mine).unwrap();
    std::fs::write(folder.join("health_test.yaml"), "tests: []").unwrap();
    let rules = load(&directory.path().join("rules")).unwrap();
    let mut objects = Objects::default();
    objects.read("objects.yaml", DEPLOYMENT.as_bytes()).unwrap();
    let rows = judge(&objects, &Assessor::default().with_rules(&rules));
    assert!(table(&rows).contains("Suspended  WEB"));

    let map = directory.path().join("argocd-cm.yaml");
    let script = "kind: ConfigMap\ndata:\n  resource.customizations.health.apps_Deployment: return {status = 'Degraded'}\n";
    std::fs::write(&map, script).unwrap();
    let rules = load(&map).unwrap();
    assert!(table(&judge(&objects, &Assessor::default().with_rules(&rules))).contains("Degraded"));
}

#[test]
fn rules_that_cannot_be_used_are_refused_before_anything_is_judged() {
    let directory = tempfile::tempdir().unwrap();
    let refusal = |path: &Path| {
        let failure = load(path).unwrap_err();
        assert_eq!(failure.code(), USAGE);
        failure.to_string()
    };
    assert!(refusal(directory.path()).contains("holds no GROUP/KIND/health.lua"));
    assert!(refusal(&directory.path().join("absent")).contains("No such file"));
    let file = directory.path().join("objects.yaml");
    std::fs::write(&file, DEPLOYMENT).unwrap();
    assert!(refusal(&file).contains("no ConfigMap with rules"));
    let folder = directory.path().join("Pod");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("health.lua"), "return {").unwrap();
    assert!(
        refusal(directory.path())
            .contains("Pod/health.lua cannot be used: the rule of Pod is no Lua: rule:1:")
    );
}
