//! A pause at the edge: who and since when is known at the hub, also while the agent is away.

use super::world::connected;
use crate::pause::{PauseKind, PauseOrder};
use crate::session::agent::AgentEffects;
use crate::session::hub::HubEvent;
use crate::time::WallTime;

fn describe(world: &mut super::world::World) {
    world.agent_input(|agent, context| agent.describe(None, None, context.now));
    world.flow();
}

#[test]
fn a_pause_is_told_kept_while_the_agent_is_away_and_ended() {
    let mut world = connected();
    let order = PauseOrder::new(PauseKind::Pause, "ana", "the plant is down", world.clock());
    world.now += 5_000;
    world.agent_input(|agent, _| {
        agent.set_paused(Some(order));
        AgentEffects::default()
    });
    describe(&mut world);
    let paused = world.hub.paused().unwrap().clone();
    assert_eq!((paused.by.as_str(), paused.reason.as_str()), ("ana", "the plant is down"));
    assert_eq!(paused.since, WallTime(world.clock().wall.0 - 5_000), "by the hub's clock");
    assert_eq!(world.hub.read_only(), None, "it is said once");
    assert!(world.hub_events.iter().any(|event| matches!(event, HubEvent::Paused(Some(_)))));

    world.cut();
    world.restart_hub();
    assert_eq!(world.hub.paused(), Some(&paused));
    world.settle();
    world.now += 60_000;
    describe(&mut world);
    assert_eq!(world.hub.paused(), Some(&paused), "the same pause keeps its time");

    world.agent_input(|agent, _| {
        agent.set_paused(None);
        AgentEffects::default()
    });
    describe(&mut world);
    assert_eq!(world.hub.paused(), None);
    assert!(matches!(world.hub_events.last(), Some(HubEvent::Paused(None))), "{:?}", world.hub_events.last());
}
