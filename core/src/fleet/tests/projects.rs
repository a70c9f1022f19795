//! Which project an app is judged by while its document is not as it should be.

use super::*;

const SHOP: &str = "https://git.example/*";

/// A project that permits one namespace.
fn project(name: &str, namespace: &str) -> Project {
    let mut limits = ProjectLimits { project: name.to_owned(), ..Project::permissive().limits };
    limits.destinations[0].namespace = namespace.to_owned();
    Project { description: String::new(), source_repos: vec![SHOP.to_owned()], limits }
}

fn in_project(project: &str) -> serde_json::Value {
    let mut web = document("web", "edge", false);
    web["spec"]["project"] = json!(project);
    web
}

/// A world with an app of this project on `edge`, in the namespace `shop`.
fn world_of(name: &str) -> World {
    let mut world = World::new();
    world.define(name, Ok(project(name, "shop")));
    world.put("web", &in_project(name));
    world.render("web", &["a"]);
    world.decide();
    assert_eq!(world.phase("web"), Some(Phase::Active));
    world
}

impl World {
    /// Takes a project's document away and leaves a file behind that cannot be read.
    fn break_project(&mut self, name: &str, file: &str, text: &[u8]) {
        self.read.projects.remove(name);
        let (file, message) = (file.to_owned(), "line 1: not YAML".to_owned());
        self.read.broken.push(BrokenFile { file, message, words: Words::of(text) });
    }

    fn limits(&self) -> &ProjectLimits {
        &self.fleet.placements[&(EDGE, id("web"))].assignment.limits
    }

    fn move_to(&mut self, project: &str, namespace: &str) {
        let mut web = in_project(project);
        web["spec"]["destination"]["namespace"] = json!(namespace);
        self.put("web", &web);
    }
}

#[test]
fn a_project_default_that_breaks_keeps_its_limits() {
    for (file, text) in [
        ("projects/default.yaml", b"kind: AppProj".as_slice()),
        ("other.yaml", b"kind: AppProject\nmetadata: {name: default"),
        ("other.yaml", &[0xff, 0xfe]),
    ] {
        let mut world = world_of("default");
        let limits = world.limits().clone();
        world.break_project("default", file, text);
        world.fleet = Fleet::load(&world.store, OURS).unwrap();
        let decision = world.decide();
        assert!(
            said(&decision, "web").contains("may define project default: line 1: not YAML; its last good")
        );
        assert_eq!((world.phase("web"), world.limits()), (Some(Phase::Active), &limits));
        world.move_to("default", "kube-system");
        let decision = world.decide();
        assert!(said(&decision, "web").contains("do not match any of the allowed destinations"), "{text:?}");
        assert_eq!(world.phase("web"), Some(Phase::Frozen));
    }
}

#[test]
fn a_project_that_is_refused_keeps_its_last_good_state_and_freezes_nothing() {
    let mut world = world_of("team");
    world.define("team", Err("spec.roles: is not supported".to_owned()));
    world.render("web", &["a", "b"]);
    let decision = world.decide();
    assert!(said(&decision, "web").contains(
        "InvalidSpecError: project team is refused: spec.roles: is not supported; its last good state stays"
    ));
    assert_eq!((world.phase("web"), decision.changed), (Some(Phase::Active), [EDGE].into()));
    assert!(decision.failing.is_empty());
    world.move_to("team", "elsewhere");
    world.decide();
    assert_eq!(world.phase("web"), Some(Phase::Frozen), "within its last good limits");
}

#[test]
fn a_project_that_was_never_good_permits_nothing() {
    let mut world = World::new();
    world.put("web", &in_project("default"));
    world.render("web", &["a"]);
    world.define("default", Err("spec.roles: is not supported".to_owned()));
    assert!(said(&world.decide(), "web").contains("project default is refused"));
    world.break_project("default", "new.yaml", b"kind: AppProject\nmetadata: {name: default");
    assert!(said(&world.decide(), "web").contains("new.yaml cannot be read and may define project default"));
    world.read.broken.clear();
    world.read.complete = false;
    assert!(said(&world.decide(), "web").contains("was not read whole yet"));
    assert!(world.fleet.placements.is_empty());
    world.read.complete = true;
    world.decide();
    assert_eq!(world.phase("web"), Some(Phase::Active), "there is none, and that permits everything");
}

#[test]
fn a_broken_file_that_only_mentions_a_project_harms_no_app_of_it() {
    let mut world = World::new();
    world.put("web", &in_project("default"));
    world.render("web", &["a"]);
    world.break_project("default", "api.yaml", b"kind: Application\nmetadata: {name: api\nproject: default");
    let decision = world.decide();
    assert_eq!((said(&decision, "web"), world.phase("web")), (String::new(), Some(Phase::Active)));
}

#[test]
fn a_project_that_is_removed_is_gone_and_the_default_one_permits_everything_again() {
    let mut world = world_of("team");
    world.read.complete = false;
    world.read.projects.clear();
    world.decide();
    assert_eq!(world.phase("web"), Some(Phase::Active), "absence counts after a complete read");
    world.read.complete = true;
    assert!(said(&world.decide(), "web").contains("references project team which does not exist"));
    assert_eq!(world.phase("web"), Some(Phase::Frozen));
    let mut world = world_of("default");
    world.read.projects.clear();
    world.decide();
    assert_eq!(world.limits(), &Project::permissive().limits);
}

#[test]
fn what_is_frozen_or_missing_is_held_within_the_newest_limits() {
    let narrow = ProjectLimits { namespaced_allowed: Some(Vec::new()), ..project("team", "shop").limits };
    let narrowed = || Ok(Project { limits: narrow.clone(), ..project("team", "shop") });
    let mut world = world_of("team");
    world.refuse("web");
    world.define("team", narrowed());
    let decision = world.decide();
    assert_eq!((world.phase("web"), world.limits()), (Some(Phase::Frozen), &narrow));
    assert_eq!(decision.changed, [EDGE].into());
    let mut world = world_of("team");
    world.break_file("web");
    world.define("team", narrowed());
    world.decide();
    assert_eq!((world.phase("web"), world.limits()), (Some(Phase::Frozen), &narrow));
    let mut world = world_of("team");
    world.read.complete = false;
    world.remove("web");
    world.define("team", narrowed());
    world.decide();
    assert_eq!((world.phase("web"), world.limits()), (Some(Phase::Active), &narrow));
}

#[test]
fn an_app_takes_the_windows_that_are_about_it_along_and_no_others() {
    let windowed = |name: &str| {
        let windows = json!([
            {"kind": "deny", "schedule": "0 22 * * *", "duration": "1h", "applications": [name]},
            {"kind": "allow", "schedule": "0 2 * * *", "duration": "1h", "namespaces": ["bank"]},
        ]);
        let document = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "team"},
            "spec": {"sourceRepos": [SHOP], "destinations": [{"name": "*", "namespace": "*"}], "syncWindows": windows},
        });
        Project::try_from(&document).unwrap()
    };
    let mut world = world_of("team");
    world.define("team", Ok(windowed("web")));
    world.decide();
    assert_eq!(world.limits().windows.len(), 1);
    // Also where nothing else of the app is new.
    world.define("team", Ok(windowed("api")));
    world.refuse("web");
    world.decide();
    assert!(world.limits().windows.is_empty());
    assert!(world.decide().changed.is_empty(), "it is as it was");
}
