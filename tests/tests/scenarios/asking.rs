//! What the hub holds and what files say, as an operator asks for it: projects, manifests, trees, deletions, plans.

use std::process::Output;

use argosy_tests::Application;
use serde_json::{Value, json};

use super::stage::{Stage, config_map};

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

impl Stage {
    fn argosy(&self, arguments: &[&str]) -> Output {
        self.world.hub().argosy(arguments).unwrap()
    }

    /// Writes the config maps that are live in the namespace into a file, as `kubectl get -o json` does.
    fn live_file(&self) -> String {
        let path = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
        let list = self.plane().api().get(&path).unwrap().unwrap();
        let file = self.world.scratch().join("live.json");
        std::fs::write(&file, list.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

#[test]
fn projects_manifests_and_trees_are_shown() {
    let stage = Stage::start();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter22}\n";
    stage.world.apps().write("web/s.yaml", secret).unwrap();
    stage.bring_up("web", &["a", "b"]);

    let manifests = words(&stage.argosy(&["app", "manifests", "web"]));
    assert_eq!(manifests.matches("---\n").count(), 2, "{manifests}");
    assert!(manifests.contains("++++++++") && manifests.contains("kind: ConfigMap"), "{manifests}");
    let listed = stage.world.hub().argosy_json(&["app", "manifests", "web"]).unwrap();
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
    let encoded = "aHVudGVyMjI=";
    for shown in [manifests, listed.to_string()] {
        assert!(!shown.contains(encoded) && !shown.contains("hunter22"), "{shown}");
    }

    let tree = words(&stage.argosy(&["app", "get", "web", "--tree"]));
    for line in ["Application/web  Synced", "├─ConfigMap/a", "└─Secret/s"] {
        assert!(tree.contains(line), "{tree}");
    }

    let project = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "team"},
        "spec": {"description": "Ours", "sourceRepos": ["*"], "destinations": [{"name": "edge", "namespace": "*"}]},
    });
    stage.world.fleet().commit_file("projects/team.yaml", project.to_string()).unwrap();
    let team = argosy_tests::eventually(argosy_tests::world::PATIENCE, "the project", || {
        stage.world.hub().argosy_json(&["proj", "get", "team"]).map_err(|error| format!("{error:#}"))
    });
    assert_eq!(team["spec"]["description"], "Ours", "{team}");
    assert_eq!(team["status"], json!({"file": "projects/team.yaml", "apps": 0}), "{team}");
    let table = words(&stage.argosy(&["proj", "list"]));
    assert!(table.starts_with("NAME") && table.contains("edge,*") && table.contains("default"), "{table}");
    let missing = stage.argosy(&["proj", "get", "nope"]);
    assert_eq!((code(&missing), words(&missing).contains("no project \"nope\"")), (1, true));
}

#[test]
fn a_deletion_that_is_held_is_ordered_by_command_and_one_that_the_fleet_does_not_say_is_not() {
    let stage = Stage::start();
    let names = ["a", "b", "c", "d", "e"];
    stage.bring_up("web", &names);
    let refused = stage.argosy(&["app", "delete", "web", "--cascade"]);
    assert_eq!(code(&refused), 1);
    let said = words(&refused);
    assert!(said.contains("applications/web.yaml") && said.contains("no finalizer"), "{said}");
    stage.expect_untouched(&names);

    stage.world.put_app(&stage.app("web").with_finalizer()).unwrap();
    stage.world.await_app("web", "to have its finalizer", |app| app["metadata"]["finalizers"].is_array());
    stage.world.remove_app("web").unwrap();
    stage.await_held("web");
    let unsaid = stage.argosy(&["app", "delete", "web"]);
    assert_eq!(
        (code(&unsaid), words(&unsaid).contains("--cascade confirms")),
        (1, true),
        "{}",
        words(&unsaid)
    );
    stage.expect_untouched(&names);

    let ordered = stage.world.hub().argosy_json(&["app", "delete", "web", "--cascade"]).unwrap();
    assert_eq!((&ordered["ordered"], &ordered["cluster"]), (&Value::Bool(true), &json!("edge")), "{ordered}");
    for name in names {
        stage.await_absent(name);
    }
    argosy_tests::eventually(argosy_tests::world::PATIENCE, "the app to have left", || {
        let gone = stage.argosy(&["app", "get", "web"]);
        if code(&gone) == 1 { Ok(()) } else { Err(words(&gone)) }
    });
}

#[test]
fn a_plan_made_from_files_is_what_the_sync_then_does() {
    let stage = Stage::start();
    let repository = stage.world.apps();
    stage.commit(&[("web/a", "1"), ("web/b", "1")]);
    let folder = repository.folder().join("web");
    let folder = folder.to_str().unwrap().to_owned();
    let rendered = stage.world.hub().argosy_json(&["render", &folder]).unwrap();
    assert_eq!(rendered.as_array().map(Vec::len), Some(2), "{rendered}");
    let app = Application::new("web", "edge", &stage.namespace, "web").automated(true, true);
    let document = stage.world.scratch().join("app.json");
    std::fs::write(&document, app.document(&repository.url())).unwrap();
    let document = document.to_str().unwrap().to_owned();
    let plan = || -> (i32, Vec<String>) {
        let live = stage.live_file();
        let output = stage.argosy(&["plan", "--desired", &document, "--live", &live, "-o", "json"]);
        let plan: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(&output)));
        let actions = plan["actions"].as_array().unwrap().iter();
        let line = |action: &Value| {
            format!("{} {}", action["action"].as_str().unwrap(), action["name"].as_str().unwrap())
        };
        (code(&output), actions.filter(|action| action["name"] != "kube-root-ca.crt").map(line).collect())
    };
    assert_eq!(plan(), (1, vec!["create a".to_owned(), "create b".to_owned()]));

    let commit = stage.world.apps().head().unwrap();
    stage.world.put_app(&app).unwrap();
    stage.world.await_synced("web", &commit);
    assert_eq!(plan(), (0, vec!["none a".to_owned(), "none b".to_owned()]));

    repository.write("web/a.yaml", config_map("a", "2")).unwrap();
    repository.write("web/c.yaml", config_map("c", "1")).unwrap();
    repository.remove("web/b.yaml").unwrap();
    let expected = ["delete b", "change a", "create c"].map(str::to_owned).to_vec();
    assert_eq!(plan(), (1, expected), "of the working tree, before anything is committed");
    let commit = repository.commit("Change").unwrap();
    stage.world.await_synced("web", &commit);
    stage.await_absent("b");
    assert_eq!((stage.value("a"), stage.value("c")), ("2".to_owned(), "1".to_owned()));
    assert_eq!(plan().0, 0);
}
