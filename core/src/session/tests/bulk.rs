//! Bulk: order, fairness, resumption, collection, and bytes on the wire.

use super::fixture::{assign, list_of, noise, of_manifests, release, store_ops};
use super::world::{World, connected};
use crate::ids::{AppId, Digest};
use crate::key::ResourceKey;
use crate::session::agent::{AgentEvent, Pins};
use crate::session::frame::{AgentFrame, HubFrame, ListChange};
use crate::session::tables::{MANIFESTS, RELEASES};

#[test]
fn a_small_app_overtakes_a_huge_one() {
    let mut world = World::new();
    let big = of_manifests((0..16u64).map(|index| {
        let manifest = format!("{{\"data\":\"{}\"}}", noise(index, 256 << 10)).into_bytes();
        (ResourceKey::new("", "ConfigMap", "shop", format!("big-{index:02}")), manifest)
    }));
    let small = release("small", &[1, 2, 3]);
    world.hub_store.commit(&store_ops(&big.0, &big.1));
    world.hub_store.commit(&store_ops(&small.0, &small.1));
    world.publish_list(list_of([assign("a-big", big.0.root())]), std::collections::BTreeSet::new(), Ok(()));
    world.pass(1_000);
    // One chunk each 250 ms: 64 KiB/s. The big app is well under way when the small one appears.
    let mut small_after = None;
    for step in 0..10_000 {
        while !world.up.is_empty() {
            world.deliver_up();
        }
        if step == 100 {
            let list = list_of([assign("a-big", big.0.root()), assign("small", small.0.root())]);
            world.publish_list(list, std::collections::BTreeSet::new(), Ok(()));
        }
        world.deliver_down();
        let small_done = world.agent.is_complete(small.0.root());
        if small_done && small_after.is_none() {
            small_after = Some(step);
            assert!(!world.agent.is_complete(big.0.root()));
        }
        if world.agent.is_complete(big.0.root()) {
            break;
        }
        world.now += 250;
    }
    assert!(world.agent.is_complete(big.0.root()));
    let waited = small_after.unwrap() - 100;
    assert!(waited < 40, "the small app waited for {waited} chunks");
}

#[test]
fn an_app_that_is_being_received_is_finished_before_its_next_release() {
    let mut world = World::new();
    let big = |seed: u64| {
        of_manifests((0..8u64).map(|index| {
            let manifest = format!("{{\"data\":\"{}\"}}", noise(seed * 100 + index, 64 << 10)).into_bytes();
            (ResourceKey::new("", "ConfigMap", "shop", format!("big-{index:02}")), manifest)
        }))
    };
    let releases: Vec<_> = (0..6).map(big).collect();
    for (release, manifests) in &releases {
        world.hub_store.commit(&store_ops(release, manifests));
    }
    let publish = |world: &mut World, at: usize| {
        let list = list_of([assign("busy", releases[at].0.root())]);
        world.publish_list(list, std::collections::BTreeSet::new(), Ok(()));
    };
    publish(&mut world, 0);
    world.pass(1_000);
    // A new release every 20 chunks, less than one takes: without finishing, none would ever be complete.
    let mut switched = 0;
    for step in 1..200usize {
        while !world.up.is_empty() {
            world.deliver_up();
        }
        world.deliver_down();
        if step % 20 == 0 && step < 100 {
            publish(&mut world, step / 20);
        }
        switched = world.agent_events.iter().filter(|event| matches!(event, AgentEvent::Assigned(_))).count();
        if step == 60 {
            assert!(switched >= 1, "a release that began is finished");
        }
    }
    world.settle();
    assert!(switched >= 3, "{switched}");
    assert!(world.agent.is_complete(world.agent.list().unwrap().get(&AppId::new("", "busy")).unwrap().root));
}

#[test]
fn a_cut_transfer_goes_on_where_it_stopped() {
    let mut world = World::new();
    let objects = of_manifests((0..400u64).map(|index| {
        let manifest = format!("{{\"data\":\"{}\"}}", noise(index, 1 << 10)).into_bytes();
        (ResourceKey::new("", "ConfigMap", "shop", format!("object-{index:03}")), manifest)
    }));
    world.hub_store.commit(&store_ops(&objects.0, &objects.1));
    world.publish_list(list_of([assign("web", objects.0.root())]), std::collections::BTreeSet::new(), Ok(()));
    let mut cuts = 0;
    while !world.agent.is_complete(objects.0.root()) {
        world.pass(1_000);
        for _ in 0..10 {
            while !world.up.is_empty() {
                world.deliver_up();
            }
            world.deliver_down();
        }
        world.cut();
        cuts += 1;
        assert!(cuts < 100);
    }
    assert!(cuts > 2);
    let bytes: usize = world
        .delivered
        .iter()
        .map(|frame| if let HubFrame::Chunk(chunk) = frame { chunk.data.len() } else { 0 })
        .sum();
    let needed: usize = objects.1.iter().map(Vec::len).sum::<usize>() + 400 * 100;
    assert!(bytes < needed + cuts * (20 << 10), "{bytes} bytes for {needed} over {cuts} cuts");
}

#[test]
fn what_nothing_names_is_collected_and_what_is_named_stays() {
    let mut world = connected();
    let first = world.agent.list().unwrap().get(&AppId::new("", "web")).unwrap().root;
    for content in 10..30 {
        world.set("web", &[1, content]);
        world.settle();
    }
    let pins = Pins { roots: [first].into(), ..Pins::default() };
    let ops = world.agent.collect(&pins, &world.agent_store).unwrap();
    world.agent_store.commit(&ops);
    assert_eq!(world.agent_store.len(RELEASES), 2);
    assert_eq!(
        world.agent_store.len(MANIFESTS),
        4,
        "three of the pinned release, and one that the newest adds"
    );
    assert_eq!(world.running(), world.git);
    world.restart_agent();
    world.settle();
    assert_eq!(world.running(), world.git);
}

#[test]
fn a_release_that_the_hub_collected_is_given_up_for_the_newest() {
    let mut world = connected();
    world.publish_list(
        list_of([assign("web", crate::release::Root(Digest::of(b"collected")))]),
        std::collections::BTreeSet::new(),
        Ok(()),
    );
    world.settle();
    assert!(world.agent.progress()[&AppId::new("", "web")].blocked);
    assert!(!world.agent.all_releases_verified(), "so nothing is deleted");
    assert_eq!(world.running(), world.git, "and the old release is enforced");
    world.set("web", &[4]);
    world.settle();
    assert_eq!(world.running(), world.git);
}

/// Writes a name of a part into the entries on the wire that the agent cannot read: so a part is to one that knows none.
fn from_the_future(world: &mut World) {
    for frame in &mut world.down {
        if let HubFrame::Chunk(chunk) = frame
            && let Some(at) = chunk.data.windows(4).position(|bytes| bytes == b"mesh")
        {
            chunk.data[at..at + 4].copy_from_slice(b"MESH");
        }
    }
}

#[test]
fn an_agent_keeps_the_release_that_it_has_before_one_with_parts_that_it_cannot_read() {
    let mut world = connected();
    let part = ResourceKey::new("", "ConfigMap", "shop", "theirs").with_part("mesh");
    let parts = of_manifests([(part, b"{\"content\":7}".to_vec())]);
    let other = release("other", &[1, 2]);
    for (release, manifests) in [&parts, &other] {
        world.hub_store.commit(&store_ops(release, manifests));
    }
    let list = list_of([assign("web", parts.0.root()), assign("other", other.0.root())]);
    world.publish_list(list, std::collections::BTreeSet::new(), Ok(()));
    for step in 0..2_000 {
        world.deliver_up();
        from_the_future(&mut world);
        world.deliver_down();
        if step % 50 == 0 {
            world.pass(1_000);
        }
    }
    assert!(world.agent.progress()[&AppId::new("", "web")].blocked);
    let told =
        |event: &AgentEvent| matches!(event, AgentEvent::Warning(why) if why.contains("no name of a part"));
    assert!(world.agent_events.iter().any(told), "{:?}", world.agent_events);
    assert!(!world.agent.all_releases_verified(), "so nothing is deleted");
    let web = world.git["web"].clone();
    assert_eq!(world.running()["web"], web, "the old release is enforced");
    assert!(world.agent.is_complete(other.0.root()), "and no other app waits");
    // It learns to read them.
    world.settle();
    world.pass(400_000);
    world.settle();
    assert_eq!(world.running()["web"], [7]);
    assert!(world.agent.all_releases_verified());
}

/// Bytes of a frame as protobuf: a tag and a length around the fields.
fn wire_size(frame: &HubFrame) -> usize {
    let varint = |value: usize| 1 + (value.max(1).ilog2() / 7) as usize;
    let field = |length: usize| 1 + varint(length) + length;
    let number = |value: u64| if value == 0 { 0 } else { 1 + varint(usize::try_from(value).unwrap()) };
    let body = match frame {
        HubFrame::Head { epoch, generation, unasked, .. } => {
            let unasked = if unasked.is_empty() { 0 } else { field(unasked.len()) };
            epoch.map_or(0, |_| field(16)) + number(generation.0) + field(64) + unasked
        }
        HubFrame::ListChanges { changes, .. } => changes
            .iter()
            .map(|change| match change {
                ListChange::Splice { index, keep_front, keep_back, middle } => {
                    let inner = number(u64::from(*index))
                        + number(u64::from(*keep_front))
                        + number(u64::from(*keep_back))
                        + field(middle.len());
                    field(field(inner))
                }
                ListChange::Set(bytes) | ListChange::Settings(bytes) => field(field(bytes.len())),
                ListChange::Remove { index } => field(number(u64::from(*index))),
            })
            .sum(),
        HubFrame::Chunk(chunk) => number(u64::from(chunk.transfer.0)) + field(chunk.data.len()) + 2,
        HubFrame::Alive | HubFrame::InSync => 0,
        HubFrame::StatusAck { sequence } => number(*sequence),
        HubFrame::Welcome(_)
        | HubFrame::ListRequest
        | HubFrame::Gone(_)
        | HubFrame::Command(_)
        | HubFrame::CommandDone(_)
        | HubFrame::JournalAck { .. }
        | HubFrame::JournalRefused { .. }
        | HubFrame::Refused(_) => panic!("{frame:?}"),
    };
    field(body)
}

#[test]
fn a_change_of_one_field_in_500_objects_takes_at_most_256_bytes() {
    let mut world = World::new();
    let objects = |changed: &str| {
        of_manifests((0..500u64).map(|index| {
            let value = if index == 250 { changed } else { "1.0.0" };
            let manifest = format!(
                "{{\"apiVersion\":\"v1\",\"data\":{{\"config\":\"{}\",\"version\":\"{value}\"}},\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"c-{index}\",\"namespace\":\"shop\"}}}}",
                noise(index, 300)
            );
            (ResourceKey::new("", "ConfigMap", "shop", format!("c-{index}")), manifest.into_bytes())
        }))
    };
    for (release, manifests) in [objects("1.0.0"), objects("1.0.1")] {
        world.hub_store.commit(&store_ops(&release, &manifests));
    }
    let others = (0..20).map(|index| assign(&format!("other-{index}"), release("other", &[1]).0.root()));
    let other = release("other", &[1]);
    world.hub_store.commit(&store_ops(&other.0, &other.1));
    let list = |root| list_of(others.clone().chain([assign("web", root)]));
    world.publish_list(list(objects("1.0.0").0.root()), std::collections::BTreeSet::new(), Ok(()));
    world.settle();
    assert!(world.agent.is_complete(objects("1.0.0").0.root()));
    world.delivered.clear();
    world.publish_list(list(objects("1.0.1").0.root()), std::collections::BTreeSet::new(), Ok(()));
    world.flow();
    assert!(world.agent.is_complete(objects("1.0.1").0.root()), "it came unasked");
    let sizes: Vec<usize> = world.delivered.iter().map(wire_size).collect();
    // The test's codec writes 9 bytes for the changed field; zstd's frame takes about 25 more.
    let total = sizes.iter().sum::<usize>() + 25;
    assert!(total <= 256, "{total} bytes in {sizes:?}");
    assert!(!world.up.iter().any(|frame| matches!(frame, AgentFrame::Pull(_))));
}
