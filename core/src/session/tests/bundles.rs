//! Desired state and statuses by file.

use super::fixture::{CLUSTER, INSTALLATION, Key};
use super::world::{Bundle, World, connected, steps_of};
use crate::bundle::{ImportRefused, Imported, ReceiptsRefused};
use crate::desired::SignHead as _;
use crate::ids::{ClusterId, Generation, InstallationId};
use crate::session::frame::{HubFrame, ListBase};
use crate::session::hub::ExportRefused;
use crate::store::MemoryStore;

/// A world whose agent holds something and has no link any more.
fn alone() -> World {
    let mut world = connected();
    world.cut();
    world
}

fn number(world: &World) -> u64 {
    world.agent.held().unwrap().head.generation.0
}

/// Imports a bundle that must be taken, and says whether it was here before.
#[track_caller]
fn imported(world: &mut World, bundle: &Bundle) -> bool {
    let Imported { generation, already, .. } = world.import(bundle).unwrap().unwrap();
    assert_eq!(generation.0, number(world));
    already
}

#[test]
fn a_bundle_brings_what_a_stream_would_and_the_stream_then_has_nothing_to_bring() {
    let mut world = alone();
    world.set("web", &[1, 3, 4]);
    world.set("shop", &[5]);
    let bundle = world.export().unwrap();
    assert_eq!(world.export().unwrap().0, bundle.0, "the same state is the same head");
    assert!(!imported(&mut world, &bundle));
    assert_eq!(world.running(), world.git);
    assert!(imported(&mut world, &bundle), "it is here by now");
    let held = number(&world);
    world.delivered.clear();
    world.settle();
    assert_eq!((world.chunks(), number(&world)), (0, held));
    assert!(world.delivered.contains(&HubFrame::InSync));
    assert!(world.hub.is_up_to_date());
}

#[test]
fn a_bundle_leads_along_from_any_head_that_may_have_come_through() {
    for received in 0..8u8 {
        let mut world = alone();
        let mut bundles = Vec::new();
        for content in 0..3 {
            world.set("web", &[content]);
            bundles.push(world.export().unwrap());
            // A hub that is killed between two of them goes on where it was.
            world.restart_hub();
        }
        world.publish();
        for (index, bundle) in bundles.iter().enumerate() {
            if received & (1 << index) != 0 {
                assert!(!imported(&mut world, bundle));
            }
        }
        world.set("web", &[9]);
        let last = world.export().unwrap();
        assert!(!imported(&mut world, &last));
        assert_eq!(world.running(), world.git);
        for bundle in &bundles {
            let refused = world.import(bundle).unwrap_err();
            assert!(matches!(refused, ImportRefused::Older { .. }), "{refused}");
        }
        assert_eq!(world.running(), world.git);
    }
}

#[test]
fn a_bundle_that_is_not_for_this_agent_is_refused_by_name() {
    let mut world = alone();
    world.set("web", &[8]);
    let bundle = world.export().unwrap();
    let before = number(&world);
    let other = ClusterId::new([9; 16]);
    let hub = InstallationId::new([9; 16]);
    let mut of_other = bundle.clone();
    of_other.0.cluster = other;
    assert_eq!(world.import(&of_other), Err(ImportRefused::OtherCluster { ours: CLUSTER, theirs: other }));
    let mut head_of_other = bundle.clone();
    for signed in &mut head_of_other.0.chain {
        signed.head.cluster = other;
    }
    assert_eq!(
        world.import(&head_of_other),
        Err(ImportRefused::OtherCluster { ours: CLUSTER, theirs: other })
    );
    let mut of_hub = bundle.clone();
    of_hub.0.installation = hub;
    assert_eq!(world.import(&of_hub), Err(ImportRefused::OtherHub { ours: INSTALLATION, theirs: hub }));
    let mut forged = bundle.clone();
    for signed in &mut forged.0.chain {
        signed.signature = Key(2).sign(&signed.head.signed_bytes());
    }
    assert!(matches!(world.import(&forged), Err(ImportRefused::Signature(_))));
    let mut torn = bundle.clone();
    torn.0.chain.reverse();
    assert!(matches!(world.import(&torn), Err(ImportRefused::Damaged(_))));
    torn.0.chain.clear();
    assert!(matches!(world.import(&torn), Err(ImportRefused::Damaged(_))));
    assert_eq!(number(&world), before);
    imported(&mut world, &bundle);
}

#[test]
fn a_bundle_that_lacks_a_part_is_refused_and_what_it_lacks_is_not_run() {
    let mut world = alone();
    world.set("web", &[1, 3]);
    world.set("shop", &[5]);
    let bundle = world.export().unwrap();
    for lacking in 0..bundle.1.len() {
        let mut world = alone();
        world.set("web", &[1, 3]);
        world.set("shop", &[5]);
        let mut bundle = world.export().unwrap();
        bundle.1.remove(lacking);
        assert!(matches!(world.import(&bundle), Err(ImportRefused::Damaged(_))), "without {lacking}");
        world.restart_agent();
        world.publish();
        world.settle();
        assert_eq!(world.running(), world.git, "the link heals it");
    }
    let mut wrong = bundle.clone();
    wrong.1.insert(0, HubFrame::InSync);
    assert!(matches!(world.import(&wrong), Err(ImportRefused::Damaged(_))));
    wrong.1[0] = HubFrame::ListChanges { base: ListBase::Held, changes: Vec::new() };
    assert!(matches!(world.import(&wrong), Err(ImportRefused::Damaged(_))));
}

#[test]
fn an_import_that_is_killed_anywhere_goes_on_when_it_is_done_again() {
    for fuse in 0..40 {
        let mut world = alone();
        world.set("web", &[1, 3, 4]);
        world.set("shop", &[5]);
        let bundle = world.export().unwrap();
        world.agent_fuse = Some(fuse);
        drop(world.import(&bundle));
        world.agent_fuse = None;
        imported(&mut world, &bundle);
        assert_eq!(world.running(), world.git);
    }
}

#[test]
fn a_store_that_was_lost_or_rolled_back_is_filled_by_the_last_bundle() {
    let mut world = alone();
    let old = world.agent_store.clone();
    world.set("web", &[1, 3]);
    let bundle = world.export().unwrap();
    imported(&mut world, &bundle);
    for store in [old, MemoryStore::default()] {
        world.agent_store = store;
        world.load_agent();
        assert!(world.agent.is_rolled_back());
        assert!(!imported(&mut world, &bundle));
        assert!(!world.agent.is_rolled_back());
        assert_eq!(world.running(), world.git);
    }
}

#[test]
fn a_bundle_for_a_connected_agent_is_what_it_has_and_a_newer_one_begins_a_new_stream() {
    let mut world = connected();
    let bundle = world.export().unwrap();
    assert!(imported(&mut world, &bundle));
    assert!(world.session.is_some());
    // The hub's newest head is on its way: it comes by file first.
    world.set("web", &[7, 7]);
    let bundle = world.export().unwrap();
    imported(&mut world, &bundle);
    assert!(world.session.is_none());
    world.settle();
    assert_eq!(world.running(), world.git);
    assert!(world.hub.is_up_to_date());
}

#[test]
fn a_bundle_that_a_stream_overtakes_while_it_is_read_is_refused_and_changes_nothing() {
    // The bundle's head is new to the agent, or held already.
    for held in [false, true] {
        for step in 1.. {
            let mut world = alone();
            world.set("web", &[4]);
            let bundle = world.export().unwrap();
            if held {
                imported(&mut world, &bundle);
            }
            let mut steps = steps_of(&bundle);
            if step == steps.len() {
                break;
            }
            for step in steps.drain(..step) {
                assert_eq!(world.import_step(step), Ok(None));
            }
            world.set("web", &[6]);
            world.settle();
            let newer = number(&world);
            assert_eq!(world.running(), world.git);
            let refused = steps.into_iter().find_map(|step| world.import_step(step).err());
            let overtaken = ImportRefused::Overtaken { held: Generation(newer) };
            assert_eq!(refused, Some(overtaken), "after {step} steps");
            assert_eq!((number(&world), world.anchor.unwrap().generation.0), (newer, newer));
            world.set("shop", &[7]);
            world.settle();
            assert_eq!(world.running(), world.git, "changes of the list that is held go on");
            assert!(world.hub.is_up_to_date());
        }
    }
}

#[test]
fn a_hub_makes_no_bundle_of_what_it_does_not_know() {
    let mut world = World::new();
    assert!(matches!(world.export(), Err(ExportRefused::Nothing)));
    world.set("web", &[1]);
    let bundle = world.export().unwrap();
    assert!(!imported(&mut world, &bundle), "an agent that was never connected takes it as its first");
    assert_eq!(world.running(), world.git);
}

#[test]
fn receipts_tell_the_hub_what_a_stream_would_with_their_age() {
    let mut world = alone();
    world.set("web", &[4]);
    let bundle = world.export().unwrap();
    let before = world.receipts();
    let made = world.now;
    imported(&mut world, &bundle);
    world.set_status("web", Some(vec![1]));
    let clock = world.clock().mono;
    world.agent_input(|agent, _| {
        agent.observed(clock);
        crate::session::agent::AgentEffects::default()
    });
    let receipts = world.receipts();
    let made_later = world.now;
    world.now += 3_600_000;
    assert_eq!(world.deliver(&receipts, made_later), Ok(false));
    assert_eq!(world.deliver(&receipts, made_later), Ok(true));
    assert_eq!(world.deliver(&before, made), Err(ReceiptsRefused::Older));
    assert_eq!(world.hub_statuses(), [("web".to_owned(), vec![1])].into());
    let age = world.hub.status_age(&crate::ids::AppId::new("", "web"), world.clock()).unwrap();
    assert_eq!(age.as_secs(), 3_600);
    assert!(world.hub.is_up_to_date());
    assert!(world.hub.session().is_none());
    assert_eq!(world.hub.acknowledged_head(), world.agent.held());
    world.restart_hub();
    world.publish();
    assert_eq!(world.deliver(&receipts, made_later), Ok(true), "remembered over a restart");

    // On a stream the agent says it itself; what is older than that comes too late.
    world.settle();
    assert_eq!(world.deliver(&receipts, made_later), Err(ReceiptsRefused::Connected));
    world.cut();
    assert_eq!(world.deliver(&receipts, made_later), Err(ReceiptsRefused::Older));
    world.agent_store = MemoryStore::default();
    world.load_agent();
    world.settle();
    world.cut();
    assert_eq!(world.deliver(&receipts, made_later), Err(ReceiptsRefused::Older), "of a store that is gone");
}

#[test]
fn receipts_that_were_made_on_a_stream_come_too_late_when_it_has_brought_more() {
    let mut world = connected();
    let (receipts, made) = (world.receipts(), world.now);
    let before = number(&world);
    world.set("web", &[4]);
    world.settle();
    world.cut();
    assert!(number(&world) > before);
    assert_eq!(world.deliver(&receipts, made), Err(ReceiptsRefused::Older));
    assert_eq!(world.hub.acknowledged_head(), world.agent.held());
    world.settle();
    assert!(world.hub.unknown_chain().is_none());
    assert!(world.hub.is_up_to_date());
}

#[test]
fn receipts_of_an_agent_whose_machine_was_put_back_are_not_taken_for_earlier_ones() {
    let mut world = alone();
    let snapshot = (world.agent_store.clone(), world.anchor);
    let (first, made) = (world.receipts(), world.now);
    assert_eq!(world.deliver(&first, made), Ok(false));
    world.agent_store = snapshot.0;
    world.anchor = snapshot.1;
    world.load_agent();
    world.set_status("web", Some(vec![7]));
    let again = world.receipts();
    assert_eq!(again.hello.statement, first.hello.statement);
    assert_eq!(world.deliver(&again, made), Err(ReceiptsRefused::Older));
    assert_eq!(world.deliver(&first, made), Ok(true));
    // What the refusal asks for helps.
    world.settle();
    world.cut();
    world.set_status("web", Some(vec![8]));
    let receipts = world.receipts();
    assert_eq!(world.deliver(&receipts, world.now), Ok(false));
    assert_eq!(world.hub_statuses(), [("web".to_owned(), vec![8])].into());
}

#[test]
fn receipts_of_a_head_between_two_bundles_are_the_base_of_the_next() {
    for restarted in [false, true] {
        let mut world = alone();
        world.set("web", &[4]);
        world.set("shop", &[1]);
        let first = world.export().unwrap();
        world.git.remove("shop");
        world.set("web", &[5]);
        let second = world.export().unwrap();
        imported(&mut world, &first);
        let (receipts, made) = (world.receipts(), world.now);
        assert_eq!(world.deliver(&receipts, made), Ok(false));
        assert_eq!(world.hub.acknowledged_head(), world.agent.held());
        if restarted {
            world.restart_hub();
            world.publish();
        }
        // The second bundle is under way all the while: nothing has changed since, so there is no other.
        let again = world.export().unwrap();
        assert_eq!(again.0.chain, second.0.chain[second.0.chain.len() - 2..]);
        assert!(!imported(&mut world, &second));
        world.set("web", &[6]);
        let next = world.export().unwrap();
        assert_eq!(next.0.chain.len(), 3);
        assert!(!imported(&mut world, &next));
        assert_eq!(world.running(), world.git);
        world.settle();
        assert!(world.hub.is_up_to_date());
    }
}

#[test]
fn a_restored_hub_and_an_agent_without_a_link_are_reconciled_by_files() {
    let mut world = alone();
    let backup = world.hub_store.clone();
    for content in 4..7 {
        world.set("web", &[content]);
        let bundle = world.export().unwrap();
        imported(&mut world, &bundle);
    }
    let (receipts, made) = (world.receipts(), world.now);
    world.deliver(&receipts, made).unwrap();
    let running = world.running();

    world.hub_store = backup;
    world.restart_hub();
    world.publish_with([].into(), Err("nothing was read".into()));
    let stale = world.export().unwrap();
    assert!(matches!(
        world.import(&stale),
        Err(ImportRefused::Older { .. } | ImportRefused::Unrelated { .. })
    ));
    assert_eq!(world.deliver(&receipts, made), Ok(false));
    assert!(world.hub.unknown_chain().is_some());
    let repeats = world.export().unwrap();
    assert!(!imported(&mut world, &repeats));
    assert!(world.agent.list().unwrap().settings().hold_deletes);
    assert_eq!(world.running(), running, "nothing is reverted");
    let receipts = world.receipts();
    assert_eq!(world.deliver(&receipts, world.now), Ok(false));
    assert!(world.hub.unknown_chain().unwrap().repeated);
    world.publish();
    world.reconcile().unwrap();
    let bundle = world.export().unwrap();
    imported(&mut world, &bundle);
    assert!(!world.agent.list().unwrap().settings().hold_deletes);
    assert_eq!(world.running(), world.git);
    world.settle();
    assert!(world.hub.is_up_to_date());
}

#[test]
fn a_bundle_with_the_number_of_another_head_is_refused_with_what_helps() {
    let mut world = alone();
    let backup = world.hub_store.clone();
    world.set("web", &[4]);
    let bundle = world.export().unwrap();
    imported(&mut world, &bundle);
    let held = number(&world);
    world.hub_store = backup;
    world.restart_hub();
    world.set("web", &[1, 2, 3]);
    let older = world.export().unwrap();
    world.set("web", &[5]);
    let forked = world.export().unwrap();
    let refused = world.import(&forked).unwrap_err();
    assert_eq!(refused, ImportRefused::Forked { generation: Generation(held) });
    for words in [refused.to_string(), world.import(&older).unwrap_err().to_string()] {
        assert!(words.contains("receipts") && words.contains("backup"), "{words}");
    }
    assert_eq!(number(&world), held);
}

#[test]
fn receipts_of_another_kubernetes_cluster_are_refused() {
    let mut world = alone();
    let mut receipts = world.receipts();
    receipts.hello.facts.kube_system_uid = "another".into();
    let refused = world.deliver(&receipts, world.now).unwrap_err();
    assert!(matches!(refused, ReceiptsRefused::Cloned { .. }), "{refused}");
    receipts.hello.facts.kube_system_uid = "uid".into();
    let before = world.hub.acknowledged_head().copied();
    assert!(before.is_some());
    assert_eq!(world.deliver(&receipts, world.now), Ok(false));
    assert_eq!(world.hub.acknowledged_head().copied(), before);
}

#[test]
fn receipts_whose_list_is_not_that_of_their_head_are_damaged() {
    let mut world = alone();
    let before = world.hub.acknowledged_head().copied();
    world.set("web", &[4]);
    let bundle = world.export().unwrap();
    world.set("web", &[5]);
    world.export().unwrap();
    imported(&mut world, &bundle);
    let receipts = world.receipts();
    for change in [|elements: &mut Vec<Vec<u8>>| elements.push(vec![1, 2, 3]), Vec::clear] {
        let mut wrong = receipts.clone();
        change(&mut wrong.elements);
        let refused = world.deliver(&wrong, world.now).unwrap_err();
        assert!(matches!(refused, ReceiptsRefused::Damaged(_)), "{refused}");
        assert_eq!(world.hub.acknowledged_head().copied(), before);
    }
    assert_eq!(world.deliver(&receipts, world.now), Ok(false));
    assert_eq!(world.hub.acknowledged_head(), world.agent.held());
}
