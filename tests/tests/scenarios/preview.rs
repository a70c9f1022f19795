//! What a change that is not merged yet would do, asked from a pull request's branch and from a folder.

use std::path::PathBuf;
use std::process::Output;

use argosy_tests::GitRepo;
use serde_json::{Value, json};

use super::stage::{EDGE, Stage, config_map};

/// A branch of a repository in a work tree of its own: the branch that the hub follows stays where it is.
struct Branch<'a> {
    repository: &'a GitRepo,
    folder: PathBuf,
}

impl<'a> Branch<'a> {
    fn of(stage: &Stage, repository: &'a GitRepo, name: &str) -> Self {
        let folder = stage.world.scratch().join(format!("work-tree-{name}"));
        repository.git(["worktree", "add", "-q", "-b", name, folder.to_str().unwrap()]).unwrap();
        Self { repository, folder }
    }

    fn commit(&self) {
        let folder = self.folder.to_str().unwrap();
        self.repository.git(["-C", folder, "add", "--all"]).unwrap();
        self.repository.git(["-C", folder, "commit", "-q", "-m", "Propose"]).unwrap();
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

impl Stage {
    fn preview(&self, arguments: &[&str]) -> Output {
        let arguments = [&["app", "preview"], arguments].concat();
        self.world.hub().argosy(&arguments).unwrap()
    }

    fn preview_json(&self, arguments: &[&str]) -> Value {
        let output = self.preview(&[arguments, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", words(&output)))
    }
}

#[test]
fn a_branch_of_an_apps_repository_is_told_by_cluster_object_and_field_and_changes_nothing() {
    let stage = Stage::start();
    let names = ["a", "b", "c", "d", "e"];
    let secret = |value: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{password: {value}}}\n")
    };
    stage.world.apps().write("web/s.yaml", secret("hunter22")).unwrap();
    stage.bring_up("web", &names);
    stage.bring_up("api", &["x"]);

    let repository = stage.world.apps();
    let url = repository.url();
    let branch = Branch::of(&stage, repository, "change");
    let same = stage.preview(&["--revision", &format!("{url}=change")]);
    assert_eq!((code(&same), words(&same).as_str()), (0, "0 apps would change, 2 stay as they are\n"));

    std::fs::write(branch.folder.join("web/a.yaml"), config_map("a", "2")).unwrap();
    std::fs::write(branch.folder.join("web/s.yaml"), secret("hunter33")).unwrap();
    std::fs::write(branch.folder.join("web/new.yaml"), config_map("new", "1")).unwrap();
    for gone in ["b", "c", "d", "e"] {
        std::fs::remove_file(branch.folder.join(format!("web/{gone}.yaml"))).unwrap();
    }
    branch.commit();
    let at_branch = format!("{url}=change");
    let told = stage.preview(&["--revision", &at_branch]);
    let text = words(&told);
    assert_eq!(code(&told), 1, "{text}");
    for part in [
        "argocd/web on edge: would change by itself",
        "data.value\n< \"1\"\n---\n> \"2\"",
        "The governor would hold the deletes until they are confirmed: 4 of the app's 6 objects",
        "1 apps would change, 1 stay as they are",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    for hidden in ["hunter33", "aHVudGVyMzM="] {
        assert!(!text.contains(hidden), "{text}");
    }
    let shown = stage.preview_json(&["--revision", &at_branch]);
    let actions = shown["apps"][0]["actions"].as_array().unwrap().iter();
    let mut actions: Vec<String> = actions
        .map(|action| format!("{} {}", action["action"].as_str().unwrap(), action["name"].as_str().unwrap()))
        .collect();
    actions.sort();
    assert_eq!(
        actions,
        ["change a", "change s", "create new", "delete b", "delete c", "delete d", "delete e"]
    );
    let markdown = words(&stage.preview(&["web", "--revision", &at_branch, "-o", "markdown"]));
    assert!(
        markdown.starts_with("## Argosy: 1 apps would change") && markdown.contains("`argocd/web` on `edge`")
    );
    let other = stage.preview(&["api", "--revision", &at_branch]);
    assert_eq!(code(&other), 0, "{}", words(&other));
    assert!(words(&other).contains("0 apps would change, 1 more not asked for"), "{}", words(&other));

    stage.expect_untouched(&names);
    assert_eq!(stage.value("a"), "1");
    repository.git(["merge", "-q", "change"]).unwrap();
    stage.await_value("a", "2");
    stage.await_value("new", "1");
    stage.await_held("web");
}

#[test]
fn a_changed_fleet_is_told_from_a_folder_and_from_a_branch() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    stage.commit(&[("new/first", "1")]);
    let fleet = stage.world.fleet();
    let branch = Branch::of(&stage, fleet, "fleet-change");
    let applications = branch.folder.join("applications");
    let url = stage.world.apps().url();
    std::fs::write(applications.join("new.yaml"), stage.app("new").document(&url)).unwrap();
    std::fs::write(applications.join("far.yaml"), far(&stage).document(&url)).unwrap();
    std::fs::remove_file(applications.join("web.yaml")).unwrap();
    let folder = branch.folder.to_str().unwrap().to_owned();
    branch.commit();

    let from_folder = stage.preview_json(&["--fleet", &folder]);
    let from_branch = stage.preview_json(&["--fleet-revision", "fleet-change"]);
    assert_eq!(from_folder, from_branch);
    let fates: Vec<(&str, &str, &str)> = from_folder["apps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|app| {
            (app["name"].as_str().unwrap(), app["cluster"].as_str().unwrap(), app["fate"].as_str().unwrap())
        })
        .collect();
    assert_eq!(fates.len(), 3, "{from_folder}");
    assert_eq!(
        fates,
        [("far", "", "Waits"), ("new", EDGE, "Assigned"), ("web", EDGE, "Released")],
        "{from_folder}"
    );
    let waits = from_folder["apps"][0]["conditions"][0]["message"].as_str().unwrap();
    assert!(waits.contains("argosy cluster add nowhere"), "{waits}");
    assert_eq!(from_folder["apps"][1]["actions"][0]["action"], json!("create"));
    assert!(
        words(&stage.preview(&["--fleet", &folder]))
            .contains("argocd/web on edge: would leave the cluster; its objects stay")
    );
    stage.expect_untouched(&["a"]);
    assert!(stage.live("first").is_none(), "nothing is done");
}

/// An app for a cluster that nobody has registered.
fn far(stage: &Stage) -> argosy_tests::Application {
    argosy_tests::Application::new("far", "nowhere", &stage.namespace, "new").automated(true, true)
}

#[test]
fn what_cannot_be_looked_at_is_told_with_the_remedy() {
    let stage = Stage::start();
    stage.bring_up("web", &["a"]);
    let url = stage.world.apps().url();
    let unsaid = stage.preview(&[]);
    assert_eq!(code(&unsaid), 2);
    assert!(words(&unsaid).contains("--fleet DIR, --fleet-revision REVISION or --revision REPO=REVISION"));
    let unused = stage.preview(&["--revision", "https://git.example/other=main"]);
    assert_eq!(code(&unused), 20, "{}", words(&unused));
    assert!(words(&unused).contains("no app of the fleet is rendered from https://git.example/other"));
    let no_branch = stage.preview(&["--revision", &format!("{url}=nope")]);
    assert_eq!(code(&no_branch), 1);
    assert!(words(&no_branch).contains("revision \"nope\" is not in repository"), "{}", words(&no_branch));
    let no_fleet = stage.preview(&["--fleet-revision", "nope"]);
    assert_eq!(code(&no_fleet), 20);
    assert!(words(&no_fleet).contains("the fleet at \"nope\""), "{}", words(&no_fleet));
    let folder = stage.world.scratch().join("fleet-nowhere");
    let nowhere = stage.preview(&["--fleet", folder.to_str().unwrap()]);
    assert_eq!(code(&nowhere), 2);
    assert!(words(&nowhere).contains("fleet-nowhere"), "{}", words(&nowhere));
}
