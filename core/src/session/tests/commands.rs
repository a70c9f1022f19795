//! Commands: begun once, in time, or not at all.

use super::world::{World, connected};
use crate::ids::{AppId, CommandId};
use crate::session::agent::AgentEvent;
use crate::session::frame::{Command, CommandKind, CommandState, CommandUpdate};
use crate::session::hub::HubEvent;

fn sync(id: u8, deadline_ms: u64) -> Command {
    let kind = CommandKind::Sync { app: AppId::new("", "web"), expect: None, prune: false };
    Command { id: CommandId::new([id; 16]), kind, deadline_ms }
}

fn update(id: u8, state: CommandState) -> CommandUpdate {
    CommandUpdate { id: CommandId::new([id; 16]), state, message: String::new(), payload: Vec::new() }
}

fn begun(world: &World, id: u8) -> usize {
    let of =
        |event: &&AgentEvent| matches!(event, AgentEvent::Command(command) if command.id.as_bytes()[0] == id);
    world.agent_events.iter().filter(of).count()
}

fn states(world: &World, id: u8) -> Vec<CommandState> {
    let mut states = Vec::new();
    for event in &world.hub_events {
        if let HubEvent::Command(update) = event
            && update.id.as_bytes()[0] == id
        {
            states.push(update.state);
        }
    }
    states
}

#[test]
fn a_command_begins_once_and_its_end_arrives_over_a_broken_link() {
    let mut world = connected();
    world.command(sync(1, 60_000));
    let again = world.down.back().unwrap().clone();
    world.flow();
    world.down.push_back(again.clone());
    world.flow();
    assert_eq!(begun(&world, 1), 1);
    world.agent_input(|agent, context| agent.command_update(update(1, CommandState::Running), context.now));
    world.flow();
    world.cut();
    world.restart_agent();
    assert_eq!(world.agent.open_commands(world.clock())[0].1, CommandState::Running);
    world.agent_input(|agent, context| agent.command_update(update(1, CommandState::Succeeded), context.now));
    world.settle();
    assert_eq!(states(&world, 1), [CommandState::Accepted, CommandState::Running, CommandState::Succeeded]);
    assert_eq!(
        world.agent_store.len(crate::session::tables::COMMANDS),
        0,
        "forgotten once the hub has its end"
    );
    world.down.push_back(again);
    world.flow();
    assert_eq!(begun(&world, 1), 1);
}

#[test]
fn a_command_is_never_started_late() {
    let mut world = connected();
    world.command(sync(1, 0));
    world.flow();
    assert_eq!(begun(&world, 1), 0);
    assert_eq!(states(&world, 1), [CommandState::TooLate]);
    world.command(sync(2, 5_000));
    world.flow();
    world.pass(5_000);
    world.flow();
    assert!(world.agent_events.contains(&AgentEvent::CommandExpired(CommandId::new([2; 16]))));
    assert_eq!(states(&world, 2), [CommandState::Accepted, CommandState::TooLate]);
}

#[test]
fn a_command_for_an_absent_cluster_fails_at_once_and_reads_end_with_their_stream() {
    let mut world = connected();
    let read = Command { kind: CommandKind::Refresh { app: AppId::new("", "web") }, ..sync(1, 60_000) };
    world.command(read);
    world.flow();
    world.cut();
    assert_eq!(states(&world, 1), [CommandState::Accepted, CommandState::Interrupted]);
    assert!(world.agent_events.contains(&AgentEvent::ReadsEnded(vec![CommandId::new([1; 16])])));
    world.command(sync(2, 60_000));
    assert_eq!(states(&world, 2), [CommandState::Failed]);
}

#[test]
fn a_command_that_the_agent_never_got_fails_at_its_deadline() {
    let mut world = connected();
    world.command(sync(1, 20_000));
    world.cut();
    world.settle();
    assert_eq!(begun(&world, 1), 0);
    assert_eq!(states(&world, 1), [CommandState::Failed]);
}
