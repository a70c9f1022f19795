//! What an app's sync policy asks for, and nothing more; health; and definitions with their resources.

use argosy_tests::control_plane::unique;
use argosy_tests::pods::{self, Fate, Workload};
use argosy_tests::throughout;
use argosy_tests::world::PATIENCE;
use argosy_tests::{Application, ControlPlane, World, eventually};
use serde_json::{Value, json};

use super::stage::{EDGE, QUIET, Stage, row, row_message};

fn is_out_of_sync(app: &Value) -> bool {
    app["status"]["sync"]["status"] == "OutOfSync"
}

#[test]
fn a_namespace_is_created_for_an_app_that_asks_for_it_and_only_then() {
    let stage = Stage::start();
    let (asked, unasked) = (unique("made"), unique("missing"));
    let commit = stage.commit(&[("web/a", "1")]);
    let policy =
        json!({"automated": {"prune": true, "selfHeal": true}, "syncOptions": ["CreateNamespace=true"]});
    let app =
        |name: &str, namespace: &str| Application::new(name, EDGE, namespace, "web").automated(true, true);
    stage.world.put_app(&app("asks", &asked).set("/spec", "syncPolicy", policy)).unwrap();
    stage.world.put_app(&app("silent", &unasked)).unwrap();

    stage.world.await_synced("asks", &commit);

    let namespace = |name: &str| stage.plane().api().get(&format!("/api/v1/namespaces/{name}")).unwrap();
    let made = namespace(&asked).unwrap();
    assert!(made["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"].is_null(), "nobody's: {made}");
    stage.world.await_app("silent", "to say that its namespace is missing", |app| {
        app["status"].to_string().contains(&format!("namespace \\\"{unasked}\\\" is not there"))
    });
    assert!(namespace(&unasked).is_none());
    // Neither compared nor pruned.
    stage.world.remove_app("asks").unwrap();
    throughout(QUIET, "the namespace to stay", || namespace(&asked).is_some());
}

#[test]
fn a_manual_app_does_nothing_until_it_is_asked_and_prunes_only_when_told() {
    let stage = Stage::start();
    let first = stage.commit(&[("web/a", "1"), ("web/b", "1"), ("web/c", "1")]);
    stage.world.put_app(&Application::new("web", EDGE, &stage.namespace, "web")).unwrap();
    let app = stage.world.await_app("web", "to be OutOfSync", is_out_of_sync);
    assert_eq!(app["status"]["health"]["status"], "Missing", "{app}");
    throughout(QUIET, "nothing to be made", || stage.live("a").is_none());

    stage.world.hub().argosy_text(&["app", "sync", "web"]).unwrap();
    stage.world.await_synced("web", &first);
    assert_eq!(stage.value("a"), "1");

    // Neither a change nor drift is put in force unasked.
    let second = stage.commit(&[("web/a", "2")]);
    stage.world.await_app("web", "to see the change", |app| {
        is_out_of_sync(app) && app["status"]["sync"]["revision"] == second
    });
    stage.spoil("b");
    stage.expect_untouched(&["a", "b"]);
    stage.world.hub().argosy_text(&["app", "sync", "web"]).unwrap();
    stage.world.await_synced("web", &second);
    assert_eq!((stage.value("a"), stage.value("b")), ("2".to_owned(), "1".to_owned()));

    let third = stage.remove(&["web/c"]);
    let gone = |app: &Value| row(app, "c")["requiresPruning"] == true;
    stage.world.await_app("web", "to show what left it", gone);
    let synced = stage.world.hub().argosy(&["app", "sync", "web"]).unwrap();
    let said = String::from_utf8_lossy(&synced.stdout).into_owned();
    let told = String::from_utf8_lossy(&synced.stderr).into_owned();
    assert_eq!(synced.status.code(), Some(1), "{said}{told}");
    assert!(said.contains("ignored (requires pruning)") && said.contains("PruneSkipped"), "{said}");
    assert!(told.contains("1 resources require pruning"), "{told}");
    assert_eq!(stage.value("c"), "1", "a sync without --prune deletes nothing");
    let app = stage.world.await_app("web", "to show what left it", gone);
    assert!(is_out_of_sync(&app), "{app}");
    stage.world.hub().argosy_text(&["app", "sync", "web", "--prune"]).unwrap();
    stage.await_absent("c");
    stage.world.await_synced("web", &third);
}

#[test]
fn automated_sync_without_prune_and_heal_shows_both_and_does_neither() {
    let stage = Stage::start();
    let commit = stage.commit(&[("web/a", "1"), ("web/b", "1"), ("web/c", "1")]);
    let app = stage.app("web").automated(false, false);
    stage.world.put_app(&app).unwrap();
    stage.world.await_synced("web", &commit);

    stage.spoil("a");
    let app = stage.world.await_app("web", "to show the drift", is_out_of_sync);
    assert_eq!(row(&app, "a")["status"], "OutOfSync", "{app}");
    stage.expect_untouched(&["a"]);

    let commit = stage.remove(&["web/b"]);
    stage.world.await_app("web", "to show what left it", |app| row(app, "b")["requiresPruning"] == true);
    stage.expect_untouched(&["b"]);

    // A commit is synced by itself all the same, and puts the drift right on its way.
    let next = stage.commit(&[("web/a", "2")]);
    assert_ne!(next, commit);
    stage.await_value("a", "2");
}

#[test]
fn a_kind_that_can_only_be_created_is_named_and_fails_its_app_before_anything_is_written() {
    let stage = Stage::start();
    // This kind can only be created.
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {"name": "r"},
        "spec": {"user": "somebody", "nonResourceAttributes": {"path": "/", "verb": "get"}},
    });
    stage.world.apps().write("web/review.json", review.to_string()).unwrap();
    stage.commit(&[("web/a", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();

    stage.await_condition(
        "web",
        "ComparisonError",
        &["cannot watch authorization.k8s.io/SubjectAccessReview"],
    );
    let app = stage.world.await_app("web", "to fail in that object alone", |app| {
        row_message(app, "a").is_empty() && !row_message(app, "r").is_empty()
    });
    assert_eq!(row(&app, "r")["status"], "OutOfSync", "{app}");
    throughout(QUIET, "nothing to be written", || stage.live("a").is_none());

    stage.world.apps().remove("web/review.json").unwrap();
    let commit = stage.world.apps().commit("Leave it out").unwrap();
    let app = stage.world.await_synced("web", &commit);
    assert_eq!(app["status"]["conditions"].as_array().map(Vec::len), Some(0), "{app}");
}

fn deployment(name: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers: [{{name: main, image: registry.example/main:1}}]
"
    )
}

#[test]
fn an_app_is_as_healthy_as_its_workload() {
    let stage = Stage::start();
    let commit = stage.world.apps().commit_file("web/deployment.yaml", deployment("web")).unwrap();
    stage.world.put_app(&stage.app("web")).unwrap();
    let await_health = |health: &str| {
        stage
            .world
            .await_app("web", &format!("to be {health}"), |app| app["status"]["health"]["status"] == health)
    };

    stage.world.await_synced("web", &commit);
    let app = await_health("Progressing");
    assert_eq!(row(&app, "web")["health"]["status"], "Progressing", "{app}");

    pods::make_ready(stage.plane(), Workload::Deployment, &stage.namespace, "web").unwrap();
    let app = await_health("Healthy");
    assert_eq!(app["status"]["sync"]["status"], "Synced", "{app}");
    let waited =
        stage.world.hub().argosy(&["app", "wait", "web", "--sync", "--health", "--timeout", "60"]).unwrap();
    assert!(waited.status.success());

    pods::decide(stage.plane(), Workload::Deployment, &stage.namespace, "web", Fate::Unready).unwrap();
    await_health("Progressing");
    // What a controller writes to the status is no drift.
    assert_eq!(stage.world.app("web").unwrap()["status"]["sync"]["status"], "Synced");
}

#[test]
fn a_rule_of_the_users_own_decides_at_the_agent_also_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("argocd-cm.yaml");
    let map = "apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-cm}
data:
  resource.customizations.health.ConfigMap: |
    if obj.data.value == 'spoilt' then
      return {status = 'Degraded', message = obj.metadata.name .. ' is ' .. obj.data.value}
    end
    return {status = 'Healthy'}
";
    std::fs::write(&rules, map).unwrap();
    let world = World::builder().clusters(&[EDGE]).agent_arg("--health-rules");
    let stage = Stage::of(world.agent_arg(rules.to_str().unwrap()).start().unwrap());
    let commit = stage.commit(&[("web/a", "1"), ("web/b", "1")]);
    let app = Application::new("web", EDGE, &stage.namespace, "web").automated(true, false);
    stage.world.put_app(&app).unwrap();
    stage.world.await_synced("web", &commit);
    let await_health = |health: &str, names: &[&str]| {
        stage.world.await_app("web", &format!("to be {health} by {names:?}"), |app| {
            let says = |name: &&str| row(app, name)["health"]["message"] == format!("{name} is spoilt");
            app["status"]["health"]["status"] == health && names.iter().all(says)
        })
    };
    await_health("Healthy", &[]);

    // Seen by the list of the next process, then by its watch.
    stage.edge().kill_agent().unwrap();
    stage.spoil("b");
    stage.edge().start_agent().unwrap();
    await_health("Degraded", &["b"]);
    stage.spoil("a");
    await_health("Degraded", &["a", "b"]);
}

#[test]
fn an_agent_does_not_start_by_health_rules_that_cannot_be_used() {
    let stage = Stage::start();
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("Pod");
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("health.lua"), "return {").unwrap();
    let log = folder.path().join("agent.log");
    let launch = stage.edge().launch(&folder.path().join("data"), &log).unwrap();
    let mut agent = launch.args(["--health-rules".as_ref(), folder.path().as_os_str()]).start().unwrap();

    let ended = eventually(PATIENCE, "the agent to end", || agent.exited().unwrap().ok_or("it runs"));

    assert!(!ended.success());
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("the rule of Pod is no Lua: rule:1:"), "{log}");
}

/// Returns a definition of a kind `Widget` in a group of its own, and one object of it.
fn widgets(group: &str, size: u32) -> (String, String) {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}},
            }],
        },
    });
    let widget = json!({
        "apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": size},
    });
    (definition.to_string(), widget.to_string())
}

fn size(plane: &ControlPlane, group: &str, namespace: &str) -> Value {
    let path = format!("/apis/{group}/v1/namespaces/{namespace}/widgets/w");
    plane.api().get(&path).unwrap().unwrap_or_default()["spec"]["size"].clone()
}

#[test]
fn a_definition_and_its_resource_come_in_one_app_and_the_definition_stays() {
    let stage = Stage::start();
    let group = format!("{}.example.com", unique("group"));
    // The resource sorts before its definition, in the folder and by name.
    let (definition, widget) = widgets(&group, 3);
    stage.world.apps().write("web/a.json", widget).unwrap();
    let commit = stage.world.apps().commit_file("web/z.json", definition).unwrap();
    stage.world.put_app(&stage.app("web")).unwrap();

    let app = stage.world.await_synced("web", &commit);
    assert_eq!(app["status"]["health"]["status"], "Healthy", "{app}");
    assert_eq!(size(stage.plane(), &group, &stage.namespace), 3);

    let commit = stage.world.apps().commit_file("web/a.json", widgets(&group, 4).1).unwrap();
    stage.world.await_synced("web", &commit);
    assert_eq!(size(stage.plane(), &group, &stage.namespace), 4);

    // Drift of a custom resource is healed as any other.
    let path = format!("/apis/{group}/v1/namespaces/{}/widgets/w", stage.namespace);
    stage.plane().api().merge(&path, &json!({"spec": {"size": 9}})).unwrap();
    eventually(PATIENCE, "the widget to be healed", || size(stage.plane(), &group, &stage.namespace) == 4);

    stage.world.apps().remove("web/z.json").unwrap();
    let commit = stage.world.apps().commit("Drop the definition").unwrap();
    let definition = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}");
    stage.world.await_synced("web", &commit);
    throughout(QUIET, "the definition to stay", || stage.plane().api().get(&definition).unwrap().is_some());
}
