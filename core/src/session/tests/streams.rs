//! Streams: which one is served, and when it is dead.

use super::fixture::settings;
use super::world::{World, connected};
use crate::session::frame::AgentFrame;
use crate::session::hub::SessionId;

#[test]
fn a_dead_link_is_noticed_and_dialled_again_within_bounds() {
    let mut world = connected();
    let dead = world.now;
    while world.session.is_some() {
        world.up.clear();
        world.down.clear();
        world.pass(1_000);
    }
    assert!(world.now - dead <= 30_000);
    let cut = world.now;
    while world.session.is_none() {
        world.pass(100);
    }
    assert!(world.now - cut <= 15_000);
}

#[test]
fn an_idle_link_stays_up() {
    let mut world = connected();
    let session = world.session;
    for _ in 0..200 {
        world.pass(1_000);
        world.flow();
    }
    assert_eq!(world.session, session);
}

#[test]
fn what_an_agent_says_of_itself_is_told_again_when_it_changes() {
    let mut world = connected();
    let mut facts = world.facts.clone();
    facts.kubernetes_version = "v9.9.9".to_owned();
    world.agent_input(|agent, context| {
        agent.describe(Some(&facts), Some("another writes".to_owned()), context.now)
    });
    world.flow();
    assert_eq!(world.hub.read_only(), Some("another writes"));
    assert_eq!(world.hub.facts().unwrap().kubernetes_version, "v9.9.9");

    world.agent_input(|agent, context| agent.describe(None, None, context.now));
    world.flow();
    assert_eq!(world.hub.read_only(), None);
    assert_eq!(world.hub.facts().unwrap().kubernetes_version, "v9.9.9", "what is not known again stays");

    world.agent_input(|agent, context| agent.describe(Some(&facts), None, context.now));
    assert!(world.up.is_empty(), "what has not changed is not told");
}

#[test]
fn of_two_streams_the_newer_one_wins() {
    let mut world = connected();
    let old = world.session.unwrap();
    let newer = SessionId(old.0 + 100);
    let hello = world.agent.clone();
    world.hub_input(|hub, context| hub.connected(newer, context.now));
    let mut second = hello;
    let mut frames = Vec::new();
    let facts = world.facts.clone();
    world.agent_input(|_, context| {
        frames = second.connected(facts, None, context).frames;
        crate::session::agent::AgentEffects::default()
    });
    let hello = frames.remove(0);
    world.hub_input(|hub, context| hub.received(newer, hello.clone(), context).unwrap());
    assert_eq!(world.hub.session(), Some(newer));
    assert!(world.session.is_none(), "the older stream was refused and closed");
    // A late frame of the older stream is ignored.
    world.hub_input(|hub, context| hub.received(old, AgentFrame::Alive, context).unwrap());
    assert_eq!(world.hub.session(), Some(newer));
    // An older stream that says hello late is refused.
    let late = SessionId(old.0 + 50);
    world.hub_input(|hub, context| hub.connected(late, context.now));
    world.hub_input(|hub, context| hub.received(late, hello, context).unwrap());
    assert_eq!(world.hub.session(), Some(newer));
}

#[test]
fn two_clusters_with_one_identity_are_not_served_until_decided() {
    let mut world = connected();
    world.cut();
    world.facts.kube_system_uid = "other".into();
    world.settle();
    assert_eq!(world.hub.clones(), Some(("uid", "other")));
    world.restart_hub();
    world.facts.kube_system_uid = "uid".into();
    world.settle();
    assert_eq!(world.hub.session(), None, "the known one is not served either");
    world.hub_input(|hub, _| hub.decide_clone("uid"));
    world.settle();
    assert!(world.hub.session().is_some());
    world.cut();
    world.facts.kube_system_uid = "other".into();
    world.settle();
    assert_eq!(world.hub.session(), None);
    assert_eq!(world.hub.clones(), None, "the other one is refused without a new question");
}

#[test]
fn a_revoked_cluster_is_cut_and_stays_out() {
    let mut world = connected();
    world.hub_input(|hub, _| hub.revoke());
    assert!(world.session.is_none());
    world.settle();
    assert_eq!(world.hub.session(), None);
    assert_eq!(world.running(), world.git, "and nothing is taken from it");
}

#[test]
fn a_frame_that_came_twice_does_no_harm() {
    let mut world = connected();
    world.set("web", &[1, 2, 4]);
    world.set_status("web", Some(vec![1]));
    for _ in 0..1_000 {
        if let Some(frame) = world.down.front().cloned() {
            world.down.push_front(frame);
        }
        if let Some(frame) = world.up.front().cloned() {
            world.up.push_front(frame);
        }
        world.deliver_up();
        world.deliver_up();
        world.deliver_down();
        world.deliver_down();
        if world.up.is_empty() && world.down.is_empty() {
            break;
        }
    }
    world.settle();
    assert_eq!(world.running(), world.git);
    assert_eq!(world.hub_statuses()["web"], [1]);
}

#[test]
fn an_agent_of_another_installation_refuses_the_hub() {
    let mut world = World::new();
    world.hub =
        crate::session::hub::HubLink::new(super::fixture::CLUSTER, crate::ids::InstallationId::new([9; 16]));
    let mut settings = settings();
    settings.installation = crate::ids::InstallationId::new([9; 16]);
    let list = crate::desired::DesiredList::build(settings, []);
    world.publish_list(list, std::collections::BTreeSet::new(), Ok(()));
    world.settle();
    assert!(world.agent.held().is_none());
}
