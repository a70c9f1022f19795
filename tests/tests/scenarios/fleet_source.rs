//! Documents of the fleet: from a folder as well as from Git, with what is refused named and harming nobody else.

use argosy_tests::world::FleetSource;
use argosy_tests::{Application, World, throughout};
use serde_json::{Value, json};

use super::stage::{EDGE, QUIET, Stage};

/// Returns an `AppProject` that permits one namespace only.
fn project(name: &str, namespace: &str) -> String {
    let document = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"name": EDGE, "namespace": namespace}],
            "namespaceResourceWhitelist": [{"group": "", "kind": "ConfigMap"}],
        },
    });
    document.to_string()
}

fn in_project(stage: &Stage, app: &str, project: &str) -> Application {
    stage.app(app).set("/spec", "project", json!(project))
}

#[test]
fn a_fleet_is_read_from_a_folder_and_its_changes_are_picked_up() {
    let world = World::builder().clusters(&[EDGE]).fleet(FleetSource::Folder).start().unwrap();
    let stage = Stage::of(world);
    let commit = stage.commit(&[("web/a", "1"), ("shop/b", "1")]);
    let url = stage.world.apps().url();
    let write = |app: &Application| stage.world.fleet().write(&app.file(), app.document(&url)).unwrap();

    write(&stage.app("web"));
    stage.world.await_synced("web", &commit);
    write(&stage.app("shop"));
    stage.world.await_synced("shop", &commit);

    // Read again when its content changes, not by its time.
    write(&stage.app("web").set("/spec", "syncPolicy", json!({"automated": {"prune": true}})));
    stage.world.await_app("web", "to have its new policy", |app| {
        app["spec"]["syncPolicy"]["automated"]["selfHeal"].is_null()
    });
    std::fs::remove_file(stage.world.fleet().folder().join(stage.app("shop").file())).unwrap();
    argosy_tests::eventually(argosy_tests::world::PATIENCE, "the app to be gone from the hub", || {
        stage.world.app("shop").err()
    });
    stage.expect_untouched(&["a", "b"]);
}

#[test]
fn a_folder_that_loses_a_file_for_a_moment_or_holds_odd_ones_loses_no_app() {
    let world = World::builder().clusters(&[EDGE]).fleet(FleetSource::Folder).start().unwrap();
    let stage = Stage::of(world);
    let url = stage.world.apps().url();
    let folder = stage.world.fleet().folder();
    let write = |app: &Application| stage.world.fleet().write(&app.file(), app.document(&url)).unwrap();
    let commit = stage.commit(&[("web/a", "1"), ("shop/b", "1")]);
    for app in ["web", "shop"] {
        write(&stage.app(app).with_finalizer());
        stage.world.await_synced(app, &commit);
    }
    let uid = stage.uid("a");

    // An editor's lock, a link that leads nowhere, and a name that is no text.
    let applications = folder.join("applications");
    std::os::unix::fs::symlink("user@host.1234:99", applications.join(".#web.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere.yaml", applications.join("gone.yaml")).unwrap();
    std::fs::write(applications.join("new\u{1}.yaml"), "a: 1").unwrap();
    let fleet = stage.await_fleet("to name two of them", |fleet| {
        let shown = fleet["conditions"].to_string();
        shown.contains("gone.yaml: symbolic link leads nowhere") && shown.contains("control characters")
    });
    assert!(!fleet.to_string().contains(".#web.yaml"), "{fleet}");
    let commit = stage.commit(&[("web/a", "2")]);
    stage.world.await_synced("web", &commit);
    std::fs::remove_file(folder.join(stage.app("shop").file())).unwrap();
    stage.expect_untouched(&["b"]);
    write(&stage.app("shop").with_finalizer());
    std::fs::remove_file(applications.join("gone.yaml")).unwrap();
    std::fs::remove_file(applications.join("new\u{1}.yaml")).unwrap();
    stage.await_fleet("to be well", |fleet| fleet["conditions"].as_array().is_some_and(Vec::is_empty));

    // As `git pull` replaces a file, many times.
    let file = folder.join(stage.app("web").file());
    for _ in 0..200 {
        let text = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let commit = stage.commit(&[("web/a", "3")]);
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.uid("a"), uid);

    std::fs::remove_file(&file).unwrap();
    stage.await_absent("a");
}

#[test]
fn a_project_default_that_breaks_keeps_its_limits() {
    let stage = Stage::start();
    stage.world.fleet().commit_file("projects.yaml", project("default", &stage.namespace)).unwrap();
    stage.bring_up("web", &["a"]);
    stage.world.fleet().commit_file("projects.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: [\n").unwrap();
    stage.await_condition("web", "InvalidSpecError", &["projects.yaml", "its last good state stays"]);

    stage.world.hub().stop().unwrap();
    stage.world.hub().start().unwrap();
    let commit = stage.commit(&[("web/a", "2"), ("stray/b", "1")]);
    let elsewhere = stage.plane().fresh_namespace().unwrap();
    let stray = Application::new("stray", EDGE, &elsewhere, "stray").automated(true, true);
    stage.world.put_app(&stray).unwrap();
    stage.await_condition("stray", "InvalidSpecError", &["do not match any of the allowed destinations"]);
    stage.world.await_synced("web", &commit);
    let path = format!("/api/v1/namespaces/{elsewhere}/configmaps/b");
    assert!(stage.plane().api().get(&path).unwrap().is_none());
}

#[test]
fn an_app_that_its_project_denies_is_frozen_with_a_reason_and_loses_nothing() {
    let stage = Stage::start();
    stage.world.fleet().commit_file("projects.yaml", project("team", &stage.namespace)).unwrap();
    let commit = stage.commit(&[("web/a", "1"), ("web/b", "1"), ("web/c", "1")]);
    stage.world.put_app(&in_project(&stage, "web", "team")).unwrap();
    stage.world.await_synced("web", &commit);

    stage.world.fleet().commit_file("projects.yaml", project("team", "elsewhere")).unwrap();
    let app = stage.await_condition("web", "InvalidSpecError", &["team", &stage.namespace]);
    assert_eq!(app["status"]["phase"], "Frozen", "{app}");
    stage.remove(&["web/c"]);
    stage.commit(&[("web/a", "2")]);
    stage.expect_untouched(&["a", "b", "c"]);

    let commit = stage.commit(&[("web/b", "3")]);
    stage.world.fleet().commit_file("projects.yaml", project("team", &stage.namespace)).unwrap();
    stage.world.await_synced("web", &commit);
    stage.await_absent("c");
    assert_eq!((stage.value("a"), stage.value("b")), ("2".to_owned(), "3".to_owned()));
}

#[test]
fn a_kind_that_a_project_does_not_permit_fails_the_sync_before_anything_is_written() {
    let stage = Stage::start();
    stage.world.fleet().commit_file("projects.yaml", project("team", &stage.namespace)).unwrap();
    stage.commit(&[("web/a", "1")]);
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: value}\n";
    stage.world.apps().commit_file("web/secret.yaml", secret).unwrap();
    stage.world.put_app(&in_project(&stage, "web", "team")).unwrap();

    let app = stage.world.await_app("web", "to refuse the secret", |app| {
        let message = super::stage::row_message(app, "s");
        message.contains("Secret") && message.contains("team")
    });
    let path = format!("/api/v1/namespaces/{}/secrets/s", stage.namespace);
    assert!(stage.plane().api().get(&path).unwrap().is_none(), "{app}");
    throughout(QUIET, "nothing to be written", || stage.live("a").is_none());
    stage.world.apps().remove("web/secret.yaml").unwrap();
    let commit = stage.world.apps().commit("Leave the secret out").unwrap();
    stage.world.await_synced("web", &commit);
    assert_eq!(stage.value("a"), "1");
}

#[test]
fn fields_that_are_not_supported_are_refused_by_name_and_keep_the_last_good_state() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let commit = stage.bring_up("other", &["b"]);
    let helm = json!({"values": "replicas: 2"});
    stage.world.put_app(&stage.app("web").set("/spec/source", "helm", helm.clone())).unwrap();
    stage.world.put_app(&stage.app("new").set("/spec/source", "helm", helm)).unwrap();

    let app = stage.await_condition("web", "InvalidSpecError", &["spec.source.helm"]);
    assert_eq!(app["status"]["phase"], "Frozen", "{app}");
    stage.await_condition("new", "InvalidSpecError", &["spec.source.helm"]);
    let shown = stage.world.hub().argosy_text(&["app", "get", "new"]).unwrap();
    assert!(shown.contains("spec.source.helm"), "{shown}");
    stage.expect_heal("a");
    stage.world.await_synced("other", &commit);

    for (field, value) in [
        ("chart", json!("web")),
        ("kustomize", json!({"namePrefix": "x-"})),
        ("plugin", json!({"name": "mine"})),
    ] {
        stage.world.put_app(&stage.app("new").set("/spec/source", field, value)).unwrap();
        stage.await_condition("new", "InvalidSpecError", &[&format!("spec.source.{field}")]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_line_and_two_documents_of_one_app_are_both_refused() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let commit = stage.bring_up("other", &["b"]);

    stage.world.fleet().commit_file("applications/web.yaml", "apiVersion: v1\nkind: [\n").unwrap();
    stage.await_condition("web", "InvalidSpecError", &["applications/web.yaml", "line"]);
    stage.expect_heal("a");
    stage.world.await_synced("other", &commit);

    stage.world.put_app(&stage.app("web")).unwrap();
    stage.world.await_app("web", "to be well again", |app| {
        app["status"]["conditions"].as_array().is_some_and(Vec::is_empty)
            && app["status"]["phase"] == "Active"
    });
    let twin = stage.app("web").document(&stage.world.apps().url());
    stage.world.fleet().commit_file("twin.yaml", twin).unwrap();
    stage.await_condition("web", "InvalidSpecError", &["twin.yaml", "applications/web.yaml"]);
    stage.expect_heal("a");
    assert_eq!(stage.world.app("other").unwrap()["status"]["sync"]["status"], Value::from("Synced"));
}
