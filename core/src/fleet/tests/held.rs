//! What is held while an app of the same repository fails stays of a size that can be sent.

use super::*;

#[test]
fn an_app_that_more_leaves_than_can_be_listed_stays_as_it_was_until_its_neighbour_renders() {
    let names: Vec<String> = (0..6_000).map(|number| format!("{number:0>200}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::with(&[("web", &names), ("api", &["c"])]);
    let root = |world: &World| world.fleet.placements[&(EDGE, id("web"))].assignment.root;
    let before = root(&world);
    world.fail("api");
    world.render("web", &["a"]);

    let decision = world.decide();

    assert_eq!(root(&world), before);
    assert!(world.held("web").is_empty(), "nothing of it left");
    assert!(said(&decision, "web").contains("stays as it was"), "{}", said(&decision, "web"));
    assert!(!decision.fresh.contains(&id("web")));
    world.render("api", &["c", "d"]);
    let decision = world.decide();
    assert_ne!(root(&world), before);
    assert_eq!(said(&decision, "web"), "");
}

#[test]
fn what_leaves_is_held_until_every_app_that_brings_others_was_rendered_once() {
    let mut world = World::with(&[("web", &["a", "b"])]);
    world.read.unread_parents.insert(id("apps"));
    world.render("web", &["a"]);
    world.decide();
    assert_eq!(world.held("web"), ["b"], "it may be on its way to an app that nobody knows yet");
    world.read.unread_parents.clear();
    world.decide();
    assert!(world.held("web").is_empty());
}
