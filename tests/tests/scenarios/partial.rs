//! Syncs of some of the objects, rehearsals, and syncs that replace what is there.

use std::process::Output;

use argosy_tests::world::PATIENCE;
use argosy_tests::{Application, eventually, throughout};
use serde_json::{Value, json};

use super::stage::{EDGE, QUIET, Stage};

/// Syncs with flags, and gives what that said.
fn sync(stage: &Stage, flags: &[&str]) -> Output {
    let line: Vec<&str> = ["app", "sync", "web"].iter().chain(flags).copied().collect();
    stage.world.hub().argosy(&line).unwrap()
}

fn words(output: &Output) -> String {
    [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat()
}

#[track_caller]
fn expect(output: &Output, code: i32, parts: &[&str]) {
    let text = words(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part} in {text}");
    }
}

fn rows_of_history(stage: &Stage) -> usize {
    let text = stage.world.hub().argosy_text(&["app", "history", "web", "-o", "id"]).unwrap();
    text.lines().count()
}

/// Brings up an app that is synced by hand, and then a newer commit of it, without `gone`.
fn outdated() -> (Stage, String) {
    let stage = Stage::start();
    let first = stage.commit(&[("web/a", "1"), ("web/b", "1"), ("web/gone", "1")]);
    stage.world.put_app(&Application::new("web", EDGE, &stage.namespace, "web")).unwrap();
    stage.world.await_app("web", "to have its first release", |app| revision(app) == first);
    expect(&sync(&stage, &[]), 0, &[]);
    stage.world.apps().remove("web/gone.yaml").unwrap();
    let second = stage.commit(&[("web/a", "2"), ("web/b", "2")]);
    stage.world.await_app("web", "to have its second release", |app| revision(app) == second);
    (stage, second)
}

fn revision(app: &Value) -> &str {
    app["status"]["releases"]["assigned"]["revision"].as_str().unwrap_or_default()
}

#[test]
fn a_sync_of_some_of_the_objects_leaves_the_rest_alone() {
    let (stage, second) = outdated();
    expect(&sync(&stage, &["--resource", ":ConfigMap:a"]), 0, &["Phase:", "Succeeded"]);
    assert_eq!((stage.value("a").as_str(), stage.value("b").as_str()), ("2", "1"));
    let namespaced = format!(":ConfigMap:{}/gone", stage.namespace);
    expect(&sync(&stage, &["--resource", &namespaced, "--prune"]), 0, &["pruned"]);
    stage.await_absent("gone");
    throughout(QUIET, "b to stay as it is", || stage.value("b") == "1");
    assert_eq!(rows_of_history(&stage), 1);

    let none = "No matching app resources found for resource filter: :Secret:a";
    expect(&sync(&stage, &["--resource", ":Secret:a"]), 1, &[none]);
    expect(
        &sync(&stage, &["--resource", "a"]),
        2,
        &["Resource should have GROUP:KIND:NAME, but instead got: a"],
    );
    expect(&sync(&stage, &["--resource", "!:ConfigMap:a"]), 0, &[]);
    assert_eq!(stage.value("b"), "2");
    expect(&sync(&stage, &[]), 0, &[]);
    stage.world.await_synced("web", &second);
    assert_eq!(rows_of_history(&stage), 2);
}

#[test]
fn a_rehearsal_tells_what_a_sync_would_do_and_does_nothing() {
    let (stage, _) = outdated();
    let told = sync(&stage, &["--dry-run", "--prune"]);
    expect(&told, 0, &["configured (dry run)", "pruned (dry run)", "successfully synced (dry run)"]);
    stage.expect_untouched(&["a", "b", "gone"]);
    assert_eq!((stage.value("a").as_str(), rows_of_history(&stage)), ("1", 1));

    let wrong =
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dada": {"value": "3"}}"#;
    stage.world.apps().write("web/a.yaml", wrong).unwrap();
    let commit = stage.world.apps().commit("Misspell a field").unwrap();
    stage.world.await_app("web", "to have the wrong release", |app| revision(app) == commit);
    expect(&sync(&stage, &["--dry-run"]), 1, &["dada"]);
    stage.expect_untouched(&["a", "b", "gone"]);
}

/// Writes a config map of the app, with sync options, that may not be changed unless it is made anew.
fn write_fixed(stage: &Stage, name: &str, value: &str, fixed: bool, options: &str) {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": fixed, "data": {"value": value},
        "metadata": {"name": name, "annotations": {"argocd.argoproj.io/sync-options": options}}});
    stage.world.apps().write(&format!("web/{name}.yaml"), map.to_string()).unwrap();
}

#[test]
fn what_is_replaced_loses_what_others_added_and_is_healed_as_before() {
    let stage = Stage::start();
    write_fixed(&stage, "a", "1", false, "Replace=true");
    let first = stage.commit(&[("web/b", "1")]);
    stage.world.put_app(&stage.app("web")).unwrap();
    stage.world.await_synced("web", &first);
    for name in ["a", "b"] {
        stage.plane().api().merge(&stage.path(name), &json!({"data": {"theirs": "1"}})).unwrap();
    }
    let uid = stage.uid("a");
    write_fixed(&stage, "a", "2", false, "Replace=true");
    let second = stage.commit(&[("web/b", "2")]);
    stage.world.await_synced("web", &second);
    let theirs = |name: &str| stage.live(name).unwrap()["data"]["theirs"].as_str().map(str::to_owned);
    assert_eq!((theirs("a"), theirs("b").as_deref()), (None, Some("1")));
    assert_eq!(stage.uid("a"), uid, "it is the same object");
    let managers = stage.live("a").unwrap()["metadata"]["managedFields"].to_string();
    assert!(!managers.contains("argosy-replace"), "{managers}");
    stage.expect_heal("a");
}

#[test]
fn what_cannot_be_changed_is_made_anew_where_somebody_says_so() {
    let stage = Stage::start();
    write_fixed(&stage, "a", "1", true, "Force=true");
    write_fixed(&stage, "b", "1", true, "Force=true,Prune=confirm");
    let first = stage.commit(&[("web/c", "1")]);
    let by_hand = Application::new("web", EDGE, &stage.namespace, "web");
    stage.world.put_app(&by_hand).unwrap();
    stage.world.await_app("web", "to have its first release", |app| revision(app) == first);
    expect(&sync(&stage, &[]), 0, &[]);
    let (uid, kept) = (stage.uid("a"), stage.uid("b"));

    write_fixed(&stage, "a", "2", true, "Force=true");
    let second = stage.commit(&[("web/c", "2")]);
    stage.world.await_app("web", "to have its second release", |app| revision(app) == second);
    expect(&sync(&stage, &[]), 0, &["Succeeded"]);
    assert_eq!(stage.value("a"), "2");
    assert_ne!(stage.uid("a"), uid, "it was made anew");

    write_fixed(&stage, "b", "2", true, "Force=true,Prune=confirm");
    let third = stage.commit(&[("web/c", "3")]);
    stage.world.await_app("web", "to have its third release", |app| revision(app) == third);
    expect(&sync(&stage, &[]), 1, &["immutable"]);
    assert_eq!((stage.value("b").as_str(), stage.uid("b")), ("1", kept));
}

#[test]
fn the_namespace_that_is_made_gets_its_labels_and_keeps_what_others_gave_it() {
    let stage = Stage::start();
    let name = format!("{}-made", stage.namespace);
    let app = |label: &str| {
        let policy = json!({"automated": {}, "syncOptions": ["CreateNamespace=true"],
            "managedNamespaceMetadata": {"labels": {"team": label}, "annotations": {"example.com/why": "a test"}}});
        Application::new("web", EDGE, &name, "web").set("/spec", "syncPolicy", policy)
    };
    let live = || {
        let path = format!("/api/v1/namespaces/{name}");
        stage.plane().api().get(&path).unwrap().map(|object| object["metadata"].clone()).unwrap_or_default()
    };
    let commit = stage.commit(&[("web/a", "1")]);
    stage.world.put_app(&app("one")).unwrap();
    stage.world.await_synced("web", &commit);
    assert_eq!(
        (&live()["labels"]["team"], &live()["annotations"]["example.com/why"]),
        (&json!("one"), &json!("a test"))
    );
    let path = format!("/api/v1/namespaces/{name}");
    stage.plane().api().merge(&path, &json!({"metadata": {"labels": {"theirs": "x"}}})).unwrap();
    stage.world.put_app(&app("two")).unwrap();
    eventually(PATIENCE, "the namespace to get its other label", || live()["labels"]["team"] == "two");
    assert_eq!(live()["labels"]["theirs"], "x");
}

#[test]
fn a_sync_that_fails_is_tried_again_as_often_as_somebody_says() {
    let stage = Stage::start();
    write_fixed(&stage, "a", "1", true, "");
    let first = stage.commit(&[("web/b", "1")]);
    let never = json!({"retry": {"limit": 0}});
    let by_hand = Application::new("web", EDGE, &stage.namespace, "web").set("/spec", "syncPolicy", never);
    stage.world.put_app(&by_hand).unwrap();
    stage.world.await_app("web", "to have its first release", |app| revision(app) == first);
    expect(&sync(&stage, &[]), 0, &[]);

    write_fixed(&stage, "a", "2", true, "");
    let second = stage.commit(&[("web/b", "2")]);
    stage.world.await_app("web", "to have its second release", |app| revision(app) == second);
    let tries = || stage.world.app("web").unwrap()["status"]["operationState"]["retryCount"].clone();
    expect(&sync(&stage, &[]), 1, &["immutable"]);
    assert_eq!(tries(), 0, "as its document says");
    let again = ["--retry-limit", "2", "--retry-backoff-duration", "200ms", "--retry-backoff-factor", "3"];
    expect(&sync(&stage, &again), 1, &["immutable"]);
    eventually(PATIENCE, "the sync to be told with its tries", || tries() == 2);
    expect(&sync(&stage, &["--retry-backoff-factor", "3"]), 2, &["--retry-limit"]);
}

#[test]
fn what_would_change_is_shown_before_somebody_says_yes_and_the_commit_can_be_named() {
    let (stage, second) = outdated();
    let hub = stage.world.hub();
    let asked = |answer: &str| {
        hub.argosy_with(&["app", "sync", "web", "--prune", "--preview-changes"], answer).unwrap()
    };
    let question = "Do you want to continue the sync process? (y/n)";
    expect(&asked("n\n"), 0, &["Previewing differences", "/ConfigMap", question]);
    expect(&asked(""), 2, &[question, "--assumeYes"]);
    stage.expect_untouched(&["a", "b", "gone"]);

    let other = sync(&stage, &["--revision", "v1.2"]);
    expect(&other, 1, &[&second, "spec.source.targetRevision", "app wait web --revision v1.2"]);
    assert_eq!(stage.value("a"), "1");
    expect(&asked("y\n"), 0, &["successfully synced"]);
    assert_eq!(stage.value("a"), "2");
    stage.await_absent("gone");
    expect(&asked("y\n"), 0, &["No Differences found"]);
    assert_eq!(rows_of_history(&stage), 2, "nothing was synced where nothing differs");
    expect(&sync(&stage, &["--revision", &second[..12]]), 0, &["successfully synced"]);
    expect(&sync(&stage, &["--preview-changes", "--assumeYes"]), 0, &["No Differences found"]);
}
