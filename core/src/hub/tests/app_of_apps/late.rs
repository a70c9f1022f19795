//! Syncs of apps that bring documents, where something is not known, comes late or has to wait.

use super::*;
use crate::status::ResultCode;

#[test]
fn a_sync_that_its_agent_begins_too_late_takes_no_documents() {
    let (mut world, _, session) = World::with_agent(&[app("new")]);
    let (_, command) = world.sync_at_agent(session);
    world.says(session, command, CommandState::Accepted, "");
    world.ms += 16 * 60_000;
    world.says(session, command, CommandState::Running, "");
    let told = world.says(session, command, CommandState::Succeeded, "done");
    let end = told.last().expect("an end");
    assert_eq!(end.state, CommandState::Failed);
    assert!(end.message.contains("began too late; sync it again"), "{}", end.message);
    assert!(!world.is_known("new"), "they may be others than those that were meant");
}

#[test]
fn what_nobody_waits_for_is_forgotten_once_it_is_too_late() {
    let (mut world, _, session) = World::with_agent(&[app("new")]);
    let (ticket, command) = world.sync_at_agent(session);
    world.handle(Input::Abandoned(ticket));
    world.ms += 16 * 60_000;
    world.read();
    assert!(world.hub.pending.is_empty());
    assert_eq!(world.says(session, command, CommandState::Succeeded, "done"), []);
    assert!(!world.is_known("new"));
}

#[test]
fn a_sync_says_that_it_is_not_known_what_there_is_to_bring() {
    let (mut world, cluster, _) = World::with_agent(&[app("new")]);
    world.restart();
    world.read();
    let (session, _) = world.connect(cluster, None);
    let (_, command) = world.sync_at_agent(session);
    let told = world.says(session, command, CommandState::Succeeded, "done");
    let end = told.last().expect("an end");
    assert_eq!(end.state, CommandState::Succeeded, "its objects are synced");
    let said = "done; what it renders for the fleet is not known, and nothing of that is taken: its source";
    assert!(end.message.starts_with(said), "{}", end.message);
}

#[test]
fn a_deletion_that_waits_is_not_told_as_done() {
    let mut world = World::by_hand(&[app("web"), finalized(app("old"))]);
    world.sync(false);
    world.run("web");
    world.run("old");
    world.write(&app("fresh"));
    world.read();
    world.bring("root", &[app("web")]);
    let (_, message, rows) = world.sync(true);
    assert!(rows.contains(&("old".to_owned(), ResultCode::PruneSkipped)), "{rows:?}");
    assert!(message.contains("1 are left over"), "{message}");
    assert_eq!(world.phase("old"), Some(Phase::Active));
    world.run("fresh");
    assert_eq!(world.phase("old"), Some(Phase::Deleting));
}
