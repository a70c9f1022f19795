//! Heads and lists: what the agent comes to hold.

use super::fixture::{Key, assign, list_of};
use super::world::{World, connected};
use crate::desired::{Head, Phase, SignHead as _, SignedHead};
use crate::ids::{AppId, Digest, Epoch, Generation};
use crate::session::frame::{AgentFrame, HubFrame, ListBase, Refusal, RefusalReason};
use crate::session::hub::{HubEvent, ReconcileError, SessionId};

#[test]
fn an_agent_ends_with_what_the_hub_published() {
    let mut world = connected();
    assert_eq!(world.running(), world.git);
    assert!(world.hub.is_up_to_date());
    assert!(world.agent.all_releases_verified());
    world.set("web", &[1, 9, 3, 4]);
    world.set("shop", &[5]);
    world.settle();
    assert_eq!(world.running(), world.git);
    world.git.remove("web");
    world.publish();
    world.settle();
    assert_eq!(world.running(), world.git);
}

#[test]
fn a_reconnect_in_sync_moves_no_chunk_and_changes_no_head() {
    let mut world = connected();
    let held = *world.agent.held().unwrap();
    world.cut();
    world.delivered.clear();
    world.settle();
    assert_eq!(world.chunks(), 0);
    assert!(world.delivered.contains(&HubFrame::InSync));
    assert!(!world.delivered.iter().any(|frame| matches!(frame, HubFrame::Head { .. })));
    assert_eq!(*world.agent.held().unwrap(), held);
}

#[test]
fn commits_during_an_outage_make_one_head() {
    let mut world = connected();
    let before = world.agent.held().unwrap().head.generation;
    world.cut();
    for content in 10..20 {
        world.set("web", &[content]);
    }
    world.settle();
    assert_eq!(world.agent.held().unwrap().head.generation, before.next());
    assert_eq!(world.running(), world.git);
}

#[test]
fn one_head_is_in_flight_and_the_newest_follows_its_acknowledgement() {
    let mut world = connected();
    for content in 10..15 {
        world.set("web", &[content]);
    }
    assert_eq!(world.down.iter().filter(|frame| matches!(frame, HubFrame::Head { .. })).count(), 1);
    let before = world.agent.held().unwrap().head.generation;
    world.flow();
    assert_eq!(world.running(), world.git);
    assert_eq!(world.agent.held().unwrap().head.generation, Generation(before.0 + 2));
}

#[test]
fn a_head_that_does_not_follow_is_refused_and_changes_nothing() {
    let mut world = connected();
    let held = *world.agent.held().unwrap();
    let forged = |key: u8, head: Head| HubFrame::Head {
        epoch: Some(head.epoch),
        generation: head.generation,
        signature: Key(key).sign(&head.signed_bytes()),
        unasked: Vec::new(),
    };
    let next = Head { generation: held.head.generation.next(), previous: held.head.hash(), ..held.head };
    let wrong = [
        forged(2, next),
        forged(1, Head { previous: Digest::ZERO, ..next }),
        forged(1, Head { generation: held.head.generation, ..next }),
        forged(1, Head { list_root: Digest::of(b"other"), ..next }),
    ];
    for frame in wrong {
        world.settle();
        world.down.push_back(frame);
        world.deliver_down();
        assert!(world.session.is_none(), "the agent closes");
        assert!(matches!(
            world.hub_events.iter().rev().find(|event| matches!(event, HubEvent::AgentRefused(_))),
            Some(HubEvent::AgentRefused(Refusal { reason: RefusalReason::Head, .. }))
        ));
        assert_eq!(*world.agent.held().unwrap(), held);
    }
    world.settle();
    world.down.push_back(forged(1, next));
    world.deliver_down();
    assert_eq!(world.agent.held().unwrap().head, next, "the right one is accepted");
}

#[test]
fn a_lost_agent_store_is_filled_again_with_a_higher_number() {
    let mut world = connected();
    let before = world.anchor.unwrap();
    world.cut();
    world.agent_store = crate::store::MemoryStore::default();
    world.load_agent();
    assert!(world.agent.is_rolled_back());
    world.settle();
    assert!(!world.agent.is_rolled_back());
    assert_eq!(world.running(), world.git);
    assert!(world.anchor.unwrap().generation > before.generation);
    assert_eq!(world.anchor.unwrap().epoch, before.epoch, "the chain goes on");
    assert!(world.hub.unknown_chain().is_none());
}

#[test]
fn a_rolled_back_agent_store_is_read_only_until_a_higher_head() {
    let mut world = connected();
    let old = world.agent_store.clone();
    world.set("web", &[7]);
    world.settle();
    let before = world.anchor.unwrap();
    world.cut();
    world.agent_store = old;
    world.load_agent();
    assert!(world.agent.is_rolled_back());
    world.set("web", &[1, 2, 3]);
    world.settle();
    assert!(!world.agent.is_rolled_back(), "even when the newest list is the one that the old store has");
    assert!(world.anchor.unwrap().generation > before.generation);
    assert_eq!(world.running(), world.git);
}

#[test]
fn a_restored_hub_repeats_the_agents_list_and_holds_deletes_until_reconciled() {
    let mut world = connected();
    let backup = world.hub_store.clone();
    world.set("web", &[7, 8]);
    world.set("late", &[9]);
    world.settle();
    let (running, epoch) = (world.running(), world.anchor.unwrap().epoch);
    world.cut();
    world.hub_store = backup;
    world.restart_hub();
    world.settle();
    assert_eq!(world.running(), running, "nothing is reverted before anything is read");
    assert!(world.agent.list().unwrap().settings().hold_deletes);
    assert_ne!(world.anchor.unwrap().epoch, epoch, "a new chain");
    assert_eq!(world.reconcile(), Err(ReconcileError::NotRead));

    // The hub still has the old commit; only `web` was read since.
    world.git.remove("late");
    world.git.insert("web".into(), vec![11]);
    world.publish_with([AppId::new("", "web")].into(), Err("late is unread".into()));
    world.settle();
    assert_eq!(world.running()["web"], [11], "published anew");
    assert_eq!(world.running()["late"], [9], "an app that was not read stays as the agent has it");
    assert!(matches!(world.reconcile(), Err(ReconcileError::NotSettled(_))));

    world.publish();
    assert!(world.agent.list().unwrap().settings().hold_deletes);
    world.reconcile().unwrap();
    world.settle();
    assert_eq!(world.running(), world.git);
    assert!(!world.agent.list().unwrap().settings().hold_deletes);
    assert_eq!(world.reconcile(), Err(ReconcileError::NothingToReconcile));
}

#[test]
fn a_list_that_this_hub_did_not_sign_is_not_repeated() {
    let mut world = connected();
    let list = world.agent.list().unwrap().clone();
    let head = Head {
        epoch: Epoch::new([9; 16]),
        generation: Generation(50),
        list_root: list.root(),
        ..world.agent.held().unwrap().head
    };
    world.cut();
    let session = SessionId(99);
    world.hub_input(|hub, context| hub.connected(session, context.now));
    world.session = Some(session);
    let stolen = SignedHead { head, signature: Key(2).sign(&head.signed_bytes()) };
    let (hello, own) = (
        crate::session::frame::Hello {
            protocol: crate::session::frame::PROTOCOL,
            capabilities: std::collections::BTreeSet::new(),
            facts: world.facts.clone(),
            head: Some(stolen),
            anchor: None,
            incarnation: crate::ids::Incarnation::new([1; 16]),
            status_sequence: 0,
            read_only: None,
            paused: None,
            statement: None,
        },
        AgentFrame::OwnList {
            settings: Some(list.settings_bytes().to_vec()),
            elements: list.elements().values().map(|element| element.bytes.clone()).collect(),
            last: true,
        },
    );
    world.up.extend([AgentFrame::Hello(Box::new(hello)), own]);
    world.deliver_up();
    assert!(world.down.contains(&HubFrame::ListRequest));
    world.deliver_up();
    let mut whole = None;
    for frame in &world.down {
        if let HubFrame::ListChanges { base, changes } = frame {
            whole = Some((*base, changes.len()));
        }
    }
    assert_eq!(whole, Some((ListBase::Empty, 1)), "settings and nothing else");
    assert!(world.down.iter().any(|frame| matches!(
        frame,
        HubFrame::Head { generation, .. } if *generation > Generation(50)
    )));
}

#[test]
fn a_policy_change_moves_no_chunk() {
    let mut world = connected();
    world.delivered.clear();
    let root = world.agent.list().unwrap().get(&AppId::new("", "web")).unwrap().root;
    let mut frozen = assign("web", root);
    frozen.phase = Phase::Frozen;
    world.publish_list(list_of([frozen.clone()]), std::collections::BTreeSet::new(), Ok(()));
    world.flow();
    assert_eq!(world.chunks(), 0);
    assert_eq!(world.agent.assigned(&frozen.app), Some(frozen.to_bytes().as_slice()));
}

#[test]
fn nothing_is_said_before_anything_is_published() {
    let mut world = World::new();
    world.settle();
    assert!(world.agent.held().is_none());
    assert!(world.delivered.iter().all(|frame| matches!(frame, HubFrame::Welcome(_) | HubFrame::Alive)));
}

#[test]
fn a_hub_that_lost_everything_but_its_key_takes_the_agents_list() {
    let mut world = connected();
    let running = world.running();
    world.cut();
    world.hub_store = crate::store::MemoryStore::default();
    world.restart_hub();
    world.settle();
    assert_eq!(world.running(), running);
    assert_eq!(world.hub.acknowledged_list(), world.agent.list());
    assert!(world.agent.list().unwrap().settings().hold_deletes);
    world.publish();
    world.reconcile().unwrap();
    world.settle();
    assert_eq!(world.running(), world.git);
}

#[test]
fn a_restored_hub_and_a_lost_agent_store_begin_a_new_chain_above_the_anchor() {
    let mut world = connected();
    let backup = world.hub_store.clone();
    world.set("web", &[2]);
    world.settle();
    let anchor = world.anchor.unwrap();
    world.cut();
    world.hub_store = backup;
    world.restart_hub();
    world.agent_store = crate::store::MemoryStore::default();
    world.load_agent();
    world.settle();
    assert!(world.anchor.unwrap().generation > anchor.generation);
    assert!(world.agent.list().unwrap().elements().is_empty());
    assert!(world.agent.list().unwrap().settings().hold_deletes);
    world.publish();
    world.settle();
    assert_eq!(world.running(), world.git, "what was read since is published anew");
}

#[test]
fn a_list_of_several_frames_travels_down_and_up() {
    let mut world = World::new();
    let root = super::fixture::release("web", &[1]).0.root();
    let held: Vec<_> = (0..2_000)
        .map(|index| {
            crate::key::ResourceKey::new("", "ConfigMap", "shop", format!("held-by-name-{index:05}"))
        })
        .collect();
    let many = (0..40).map(|index| {
        let mut assignment = assign(&format!("app-{index}"), root);
        assignment.held.clone_from(&held);
        assignment
    });
    let list = list_of(many);
    world.publish_list(list.clone(), std::collections::BTreeSet::new(), Ok(()));
    world.settle();
    let parts = world.delivered.iter().filter(|frame| matches!(frame, HubFrame::ListChanges { .. })).count();
    assert!(parts > 2, "{parts}");
    assert_eq!(world.agent.list(), Some(&list));
    world.cut();
    world.hub_store = crate::store::MemoryStore::default();
    world.restart_hub();
    world.settle();
    assert_eq!(world.hub.acknowledged_list().unwrap().elements(), list.elements());
}

#[test]
fn what_a_rolled_back_store_had_switched_to_is_forgotten_with_the_first_head() {
    let mut world = connected();
    let old = world.agent_store.clone();
    world.set("web", &[7, 8]);
    world.settle();
    world.cut();
    world.agent_store = old;
    world.load_agent();
    let web = AppId::new("", "web");
    assert!(world.agent.assigned(&web).is_some(), "the old store has a complete release");

    for _ in 0..100 {
        if !world.agent.is_rolled_back() {
            break;
        }
        world.pass(200);
        world.deliver_up();
        world.deliver_down();
    }

    assert!(!world.agent.is_rolled_back());
    assert_eq!(
        world.agent.assigned(&web),
        None,
        "an older release is not put back while the newest is on its way"
    );
    world.settle();
    assert_eq!(world.running(), world.git);
}
