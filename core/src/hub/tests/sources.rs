//! What is told of the fleet's source and of the repositories.

use super::*;
use crate::fleet::{BrokenFile, ProjectDocument, Words};

#[test]
fn a_rendering_of_another_source_than_the_documents_says_nothing() {
    let (mut world, _) = World::with_apps(&["web"]);
    let desired = world.app("web").desired;
    let old = world.hub.sources()[&id("web")].clone();
    let Ok(application) = &mut world.read.apps.get_mut(&id("web")).unwrap().application else { panic!() };
    application.source.revision = "next".to_owned();
    world.read();
    assert!(world.app("web").conditions[0].condition.message.contains("not read yet"));
    let rendering = Rendering::Failed("of the old source".to_owned());
    let apps = [(id("web"), RenderedApp { source: old, rendering })].into();
    let _effects = world.handle(Input::Rendered { apps, content: Vec::new() });
    assert!(world.app("web").conditions[0].condition.message.contains("not read yet"));
    assert_eq!(world.app("web").desired, desired, "the last good release stays");
}

#[test]
fn a_rendering_whose_release_is_nowhere_is_asked_for_again() {
    let (mut world, _) = World::with_apps(&["web"]);
    let source = world.hub.sources()[&id("web")].clone();
    let root = Root(Digest::of(b"gone"));
    let rendering = Rendering::Rendered { root, commit: "c".to_owned(), warnings: Vec::new() };
    let apps = [(id("web"), RenderedApp { source, rendering })].into();
    let effects = world.handle(Input::Rendered { apps, content: Vec::new() });
    assert!(effects.render_anew);
    assert_ne!(world.app("web").desired, Some(root));
}

#[test]
fn an_unreachable_repository_is_shown_and_its_last_good_commit_stays() {
    let (mut world, _) = World::with_apps(&["web"]);
    let desired = world.app("web").desired;
    let problem = SourceProblem { message: "no route".to_owned(), since: WallTime(1), last_read: None };
    let repository = crate::project::normalise_repository(REPO);
    let _effects =
        world.handle(Input::RepositoryProblem { repository: repository.clone(), problem: Some(problem) });
    let view = world.app("web");
    assert_eq!(view.conditions[0].condition.kind, "ComparisonError");
    assert_eq!(view.conditions[0].condition.message, "no route; its last good commit commit web stays");
    assert_eq!((view.desired, view.phase), (desired, Some(Phase::Active)));
    assert!(world.hub.settled().is_err());
    let _effects = world.handle(Input::RepositoryProblem { repository, problem: None });
    assert!(world.app("web").conditions.is_empty());
    assert_eq!(world.hub.settled(), Ok(()));
}

#[test]
fn what_git_says_of_an_app_is_unknown_while_its_document_or_its_source_is_broken() {
    let mut world = World::new();
    let cluster = world.add("edge");
    world.put("web", "edge", false);
    world.read();
    world.render(&[("web", "1")]);
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    let root = world.app("web").desired;
    world.status(session, 1, "web", |status| status.assigned = root);
    let told = |world: &World| {
        let view = world.app("web");
        let status = view.status.unwrap();
        let said = view.conditions.first().map(|shown| shown.condition.message.clone()).unwrap_or_default();
        (status.sync.as_str(), status.health.as_str(), said)
    };
    assert_eq!(told(&world), ("Synced", "Healthy", String::new()));

    let source = world.hub.sources()[&id("web")].clone();
    let failed = RenderedApp { source, rendering: Rendering::Failed("a.yaml: line 3".to_owned()) };
    world.handle(Input::Rendered { apps: [(id("web"), failed)].into(), content: Vec::new() });
    let said = "a.yaml: line 3; what is enforced is Synced and Healthy".to_owned();
    assert_eq!(told(&world), ("Unknown", "Healthy", said));
    let counted = |world: &World| {
        let apps = world.hub.cluster("edge", at(world.ms)).unwrap().apps;
        (apps.synced, apps.healthy, apps.unknown)
    };
    assert_eq!(counted(&world), (0, 1, 1), "a cluster is told of as its apps are");

    world.read.apps.get_mut(&id("web")).unwrap().application = Err("spec: no".to_owned());
    world.read();
    let (sync, health, said) = told(&world);
    assert_eq!((sync, health), ("Unknown", "Unknown"));
    assert_eq!(counted(&world), (0, 0, 1));
    assert!(said.ends_with("spec: no; what is enforced is Synced and Healthy"), "{said}");
    world.put("web", "edge", false);
    world.read();
    world.render(&[("web", "1")]);
    assert_eq!(told(&world), ("Synced", "Healthy", String::new()));

    let project = Err("spec.roles: is not supported".to_owned());
    let broken = ProjectDocument { file: "default.yaml".to_owned(), project, document: String::new() };
    world.read.projects.insert("default".to_owned(), broken);
    world.read();
    let (sync, health, said) = told(&world);
    assert_eq!((sync, health), ("Synced", "Healthy"), "it follows Git, by its project as that was");
    assert!(said.contains("project default is refused"), "{said}");
}

impl World {
    /// Gives what is said of the fleet as a whole, with since when.
    fn fleet(&self) -> Vec<(String, WallTime)> {
        let shown = self.hub.fleet_conditions().into_iter();
        shown
            .map(|shown| (format!("{}: {}", shown.condition.kind, shown.condition.message), shown.since))
            .collect()
    }

    fn wall(&self) -> WallTime {
        at(self.ms).wall
    }
}

fn broken(file: &str, message: &str) -> BrokenFile {
    BrokenFile { file: file.to_owned(), message: message.to_owned(), words: Words::of(b"") }
}

#[test]
fn trouble_with_the_fleets_source_is_shown_while_it_lasts_and_since_when() {
    let (mut world, _) = World::with_apps(&["web"]);
    assert!(world.fleet().is_empty());
    let problem = SourceProblem { message: "no route".to_owned(), since: WallTime(7), last_read: None };
    world.handle(Input::FleetProblem(Some(problem)));
    let said = "FleetUnreadable: the fleet's source cannot be read: no route; its last state stays";
    assert_eq!(world.fleet(), [(said.to_owned(), WallTime(7))]);
    world.handle(Input::FleetProblem(None));
    assert!(world.fleet().is_empty());
}

#[test]
fn documents_that_are_refused_are_shown_also_where_no_app_is_theirs() {
    let (mut world, _) = World::with_apps(&["web"]);
    world.read.broken.push(broken("new.yaml", "document 2, line 4: not YAML"));
    let project = Err("spec.roles: is not supported".to_owned());
    let team = ProjectDocument { file: "team.yaml".to_owned(), project, document: String::new() };
    world.read.projects.insert("team".to_owned(), team);
    world.read.unknown_kinds.push(broken("set.yaml", "document 1, line 1: kind ApplicationSet"));
    let effects = world.read();
    let since = world.wall();
    let events: Vec<&Event> = effects.events.iter().filter(|event| event.reason == "FleetDocument").collect();
    assert_eq!(events.len(), 3);
    let said = [
        "FleetDocument: new.yaml: document 2, line 4: not YAML; its last good state stays",
        "FleetDocument: project team is refused: spec.roles: is not supported; its last good state stays",
        "UnsupportedKind: set.yaml: document 1, line 1: kind ApplicationSet",
    ];
    assert_eq!(world.fleet(), said.map(|said| (said.to_owned(), since)));
    assert!(world.hub.settled().unwrap_err().contains("project team is refused"));
    world.read.broken.clear();
    let effects = world.read();
    assert_eq!(effects.events, [], "what is known is not told again");
    assert_eq!(world.fleet(), [said[1], said[2]].map(|said| (said.to_owned(), since)));
}

#[test]
fn a_fleet_of_very_many_bad_documents_is_shown_in_part() {
    let (mut world, _) = World::with_apps(&["web"]);
    world.read.broken = (0..150).map(|number| broken(&format!("{number:03}.yaml"), "odd")).collect();
    world.read();
    let said = world.fleet();
    assert_eq!(said.len(), 101);
    assert!(said.iter().any(|(said, _)| said == "FleetDocument: and 50 more"), "{said:?}");
}

#[test]
fn a_read_that_may_lack_something_takes_nothing_and_settles_nothing() {
    let (mut world, _) = World::with_apps(&["web", "api"]);
    world.read.apps.remove(&id("web"));
    world.read.complete = false;
    world.read();
    assert_eq!(world.app("web").phase, Some(Phase::Active));
    assert!(world.fleet()[0].0.starts_with("FleetIncomplete: "));
    assert!(world.hub.settled().unwrap_err().contains("until two looks at it agree"));
    world.read.complete = true;
    world.read();
    assert_eq!((world.app("web").phase, world.fleet()), (Some(Phase::Released), Vec::new()));
}

#[test]
fn a_project_keeps_its_last_good_state_over_a_restart() {
    let mut world = World::new();
    world.add("edge");
    let limits = crate::policy::ProjectLimits {
        project: "default".to_owned(),
        ..crate::policy::ProjectLimits::default()
    };
    let project = crate::project::Project { description: String::new(), source_repos: Vec::new(), limits };
    let document =
        ProjectDocument { file: "default.yaml".to_owned(), project: Ok(project), document: String::new() };
    world.read.projects.insert("default".to_owned(), document);
    world.put("web", "edge", false);
    world.read();
    world.render(&[("web", "1")]);
    assert!(world.app("web").waiting.unwrap().contains("is not permitted in project 'default'"));
    world.restart();
    world.read.projects.clear();
    world.read.broken.push(broken("default.yaml", "line 1: not YAML"));
    world.read();
    world.render(&[("web", "1")]);
    assert_eq!(world.app("web").phase, None, "{:?}", world.app("web"));
}
