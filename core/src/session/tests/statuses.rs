//! Statuses: what the hub comes to know.

use std::time::Duration;

use super::fixture::INSTALLATION;
use super::world::{World, connected};
use crate::ids::AppId;
use crate::session::frame::AgentFrame;

#[test]
fn statuses_arrive_once_and_the_newest_wins() {
    let mut world = connected();
    for value in 0..10u8 {
        world.set_status("web", Some(vec![value]));
    }
    let batches =
        |world: &World| world.up.iter().filter(|frame| matches!(frame, AgentFrame::Status(_))).count();
    assert_eq!(batches(&world), 1, "one batch is on its way, the rest waits and coalesces");
    world.flow();
    assert_eq!(world.hub_statuses()["web"], [9]);
    world.set_status("web", Some(vec![9]));
    assert_eq!(batches(&world), 0, "an unchanged status takes no number");
    world.set_status("web", None);
    world.flow();
    assert!(world.hub_statuses().is_empty());
    assert_eq!(
        world.agent_store.len(crate::session::tables::OUTBOX),
        0,
        "the row of an app that left is dropped"
    );
}

#[test]
fn a_restored_hub_gets_every_newest_status_again() {
    let mut world = connected();
    world.set_status("web", Some(vec![1]));
    world.set_status("gone", Some(vec![1]));
    world.flow();
    let backup = world.hub_store.clone();
    world.set_status("web", Some(vec![2]));
    world.set_status("gone", None);
    world.flow();
    world.cut();
    world.hub_store = backup;
    world.restart_hub();
    assert_eq!(world.hub_statuses()["gone"], [1]);
    world.settle();
    assert_eq!(world.hub_statuses(), [("web".to_owned(), vec![2])].into());
}

#[test]
fn a_hub_that_knows_a_higher_number_leads_to_a_new_incarnation() {
    let mut world = connected();
    world.set_status("web", Some(vec![1]));
    world.flow();
    let old = world.agent_store.clone();
    for value in 2..9 {
        world.set_status("web", Some(vec![value]));
        world.flow();
    }
    world.cut();
    world.agent_store = old;
    world.load_agent();
    world.settle();
    assert_eq!(world.hub_statuses()["web"], [1], "what the agent's store says now");
}

#[test]
fn an_unchanged_status_gets_no_older_while_the_agent_observes() {
    let mut world = connected();
    world.agent_input(|agent, context| {
        agent.observed(context.now.mono);
        agent.set_status(AppId::new("", "web"), Some(vec![1]), context.now)
    });
    world.flow();
    let app = AppId::new("", "web");
    assert_eq!(world.hub.status_age(&app, world.clock()), Some(Duration::ZERO));
    world.now += 5_000;
    let seen = world.clock().mono;
    world.agent_input(|agent, _| {
        agent.observed(seen);
        crate::session::agent::AgentEffects::default()
    });
    world.pass(6_000);
    world.flow();
    assert_eq!(
        world.hub.status_age(&app, world.clock()),
        Some(Duration::from_secs(6)),
        "as old as the watermark"
    );
    let stored =
        crate::session::hub::HubLink::load(&world.hub_store, super::fixture::CLUSTER, INSTALLATION).unwrap();
    assert!(stored.status_age(&app, world.clock()).unwrap() >= Duration::from_secs(6));
}

#[test]
fn a_status_that_a_waiting_one_replaces_does_not_get_younger() {
    let mut world = connected();
    let web = AppId::new("", "web");
    world.agent_input(|agent, context| {
        agent.observed(context.now.mono);
        agent.set_status(AppId::new("", "web"), Some(vec![1]), context.now)
    });
    world.flow();
    world.set_status("first", Some(vec![1]));
    world.deliver_up();
    world.now += 5_000;
    let seen = world.clock().mono;
    world.agent_input(|agent, _| {
        agent.observed(seen);
        crate::session::agent::AgentEffects::default()
    });

    // Both wait for the first one's acknowledgement; the large one then fills a batch alone.
    world.set_status("large", Some(vec![0; 1 << 20]));
    world.set_status("web", Some(vec![2]));
    world.deliver_down();
    world.deliver_up();

    assert_eq!(world.hub_statuses()["large"].len(), 1 << 20);
    assert_eq!(world.hub_statuses()["web"], [1]);
    let age = world.hub.status_age(&web, world.clock()).unwrap();
    assert!(age >= Duration::from_secs(5), "{age:?}");
    world.pass(6_000);
    world.flow();
    assert_eq!(world.hub_statuses()["web"], [2]);
}

#[test]
fn an_agent_fills_no_hub_with_statuses() {
    let mut world = connected();
    for app in 0..40 {
        world.set_status(&format!("app-{app}"), Some(vec![0; 2 << 20]));
        world.flow();
    }
    let held: usize = world.hub_statuses().values().map(Vec::len).sum();
    assert!(held <= 64 << 20, "{held}");
    assert!(held > 50 << 20, "{held}");
}
