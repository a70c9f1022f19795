//! Projects, releases, and the deletion of apps, as operators ask for them.

use super::*;
use crate::fleet::ProjectDocument;
use crate::project::Project;
use crate::status::{Held, HeldDelete};

fn named(name: &str) -> AppName {
    AppName { app: id(name), cluster: None }
}

fn delete(name: &str, cascade: bool) -> Request {
    Request::DeleteApp { app: named(name), cascade }
}

fn refusal(answer: Result<Reply, Refused>) -> String {
    answer.unwrap_err().to_string()
}

#[test]
fn an_app_of_the_fleet_is_not_deleted_by_command_and_its_file_is_named() {
    let (mut world, _) = World::with_apps(&["web"]);
    let said = refusal(world.ask(delete("web", true)));
    let file = world.read.apps[&id("web")].file.clone();
    assert!(said.contains(&format!("take its document out of {file}")), "{said}");
    assert!(said.contains("has no finalizer"), "{said}");
    world.put("web", "edge", true);
    world.read();
    assert!(refusal(world.ask(delete("web", true))).contains("objects are deleted then"));
    assert!(matches!(world.ask(delete("nope", true)), Err(Refused::NoApp(_))));
}

#[test]
fn a_deletion_is_ordered_once_and_published() {
    let (mut world, cluster) = World::with_apps(&["api", "web"]);
    let (session, effects) = world.connect(cluster, None);
    world.acknowledge(session, cluster, &effects);
    world.put("web", "edge", true);
    world.read();
    world.read.apps.remove(&id("web"));
    let effects = world.read();
    world.acknowledge(session, cluster, &effects);
    let key = ResourceKey::new("", "ConfigMap", "shop", "a");
    let held = Held {
        plan: Digest::of(b"plan"),
        reason: "too many".to_owned(),
        deletes: vec![HeldDelete { key, uid: "u".to_owned() }],
        more: 0,
    };
    world.status(session, 1, "web", |status| status.held = Some(held.clone()));
    assert!(refusal(world.ask(delete("web", false))).contains("--cascade confirms"));

    let (ticket, effects) = world.request(delete("web", true));
    let expected = DeletionOrdered { cluster: "edge".to_owned(), first: true, held: Some(held) };
    assert_eq!(effects.replies, [(ticket, Ok(Reply::DeletionOrdered(expected)))]);
    assert!(generation(&effects).is_some(), "the agent is told");
    world.acknowledge(session, cluster, &effects);
    let ordered =
        |world: &World| world.hub.fleet.placements()[&(cluster, id("web"))].assignment.cascade_confirmed;
    assert!(ordered(&world));
    let (_, effects) = world.request(delete("web", true));
    let Some((_, Ok(Reply::DeletionOrdered(again)))) = effects.replies.first() else { panic!("{effects:?}") };
    assert!(!again.first && generation(&effects).is_none());
    world.restart();
    assert!(ordered(&world), "it is durable");

    world.put("web", "edge", true);
    world.read();
    assert!(!ordered(&world), "the order is over with the deletion that it was for");
}

#[test]
fn an_app_that_is_let_go_or_stays_for_another_reason_says_which() {
    let (mut world, _) = World::with_apps(&["a", "b", "c", "d", "web"]);
    world.read.apps.remove(&id("web"));
    world.read();
    assert!(refusal(world.ask(delete("web", true))).contains("its objects stay"));
    for name in ["a", "b", "c"] {
        world.read.apps.remove(&id(name));
    }
    world.read();
    let said = refusal(world.ask(delete("a", true)));
    assert!(said.contains("lost 3 apps") && said.contains("argosy app confirm"), "{said}");
    world.restart();
    assert!(refusal(world.ask(delete("b", true))).contains("not read since the hub started"));
}

#[test]
fn projects_are_shown_with_their_apps_and_what_is_wrong() {
    let (mut world, _) = World::with_apps(&["web", "api"]);
    let shown = |world: &World| -> Vec<(String, u64, Option<String>)> {
        let projects = world.hub.projects().into_iter();
        projects.map(|project| (project.state.name, project.apps, project.state.problem)).collect()
    };
    assert_eq!(shown(&world), [("default".to_owned(), 2, None)]);
    let built_in = &world.hub.projects()[0].state;
    assert_eq!((built_in.file.as_str(), built_in.document.contains("sourceRepos")), ("", true));

    let define = |project: Result<Project, String>, document: &str| ProjectDocument {
        file: "team.yaml".to_owned(),
        project,
        document: document.to_owned(),
    };
    world.read.projects.insert("team".to_owned(), define(Err("spec.roles: no".to_owned()), "{}"));
    world.read();
    let problem = shown(&world)[1].2.clone().unwrap();
    assert_eq!((problem.as_str(), shown(&world).len()), ("project team is refused: spec.roles: no", 2));
    let mut project = Project::permissive();
    project.limits.project = "team".to_owned();
    world.read.projects.insert("team".to_owned(), define(Ok(project), "{\"spec\":{}}"));
    world.read();
    world.restart();
    let team = &world.hub.projects()[1].state;
    assert_eq!(
        (team.file.as_str(), team.document.as_str(), &team.problem),
        ("team.yaml", "{\"spec\":{}}", &None),
        "over a restart, and before the first read"
    );
}

#[test]
fn the_release_of_an_app_is_given_with_its_commit() {
    let (mut world, _) = World::with_apps(&["web"]);
    let found = world.hub.desired_release(&named("web"), &world.store).unwrap().unwrap();
    assert_eq!(found.release.entries().len(), 1);
    assert_eq!(found.commit.as_deref(), Some("commit web"));
    assert_eq!(world.app("web").desired, Some(found.release.root()));
    let unknown = world.hub.desired_release(&named("nope"), &world.store).unwrap();
    assert_eq!(unknown, Err(Refused::NoApp(id("nope"))));
    world.put("late", "nowhere", false);
    world.read();
    let waiting = world.hub.desired_release(&named("late"), &world.store).unwrap();
    assert!(matches!(waiting, Err(Refused::Waiting { .. })), "{waiting:?}");
}
