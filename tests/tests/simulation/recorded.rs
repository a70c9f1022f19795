//! What earlier versions wrote, read by this one: frames, files and stores, kept in `tests/data/recorded`, a folder for
//! each version. Every release adds its own:
//!
//! ```text
//! cargo test -p argosy-tests --test simulation record_this_version -- --ignored
//! ```

mod recording;
mod samples;
mod wire;
mod words;
mod world;

use std::collections::BTreeSet;
use std::iter;

use argosy_core::agent;
use argosy_core::bundle::{ImportStep, Imported};
use argosy_core::cluster::Request;
use argosy_core::hub::{self, ReceiptsRequest, Reply};
use argosy_core::ids::RejoinSerial;
use argosy_core::pause::{PauseKind, PauseOrder};
use argosy_core::session::agent::ImportResult;
use argosy_core::session::frame::{AgentFrame, HubFrame, RefusalReason};
use argosy_core::store::{MemoryStore, StoreOp, StoreRead as _, Table};
use argosy_proto::FrameError;

use self::recording::{Recording, all, folder};
use self::samples::samples;
use self::wire::{End, Frame, widen};
use self::world::{Kept, World};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A boot after that of every recording.
const LATER: u8 = 2;

#[test]
#[ignore = "writes into the source tree: once for each release"]
fn record_this_version() {
    Recording::make().write(&folder().join(VERSION));
}

#[test]
fn this_version_is_recorded() {
    assert!(all().iter().any(|recording| recording.version == VERSION), "CONTRIBUTING.md says how");
}

#[test]
fn a_new_recording_has_every_kind_of_frame_and_is_read_back() {
    let root = tempfile::tempdir().unwrap();
    let made = Recording::make();
    made.write(&root.path().join(VERSION));
    assert!(Recording::read(&root.path().join(VERSION)) == made);
    assert!(Recording::make() == made, "a session is the same each time");
    let samples = samples();
    let kinds = |end| {
        let of_end = samples.iter().filter(|frame| frame.end() == end);
        of_end.map(|frame| words::kind(frame).0).collect::<BTreeSet<_>>()
    };
    assert_eq!(kinds(End::Agent), words::AGENT_KINDS.into());
    assert_eq!(kinds(End::Hub), words::HUB_KINDS.into());
}

#[test]
fn recorded_frames_say_what_they_said_and_are_written_so_that_their_version_understands() {
    for recording in all() {
        for said in recording.frames.iter().chain(&recording.session) {
            let frame = Frame::decode(said.end, &said.bytes).unwrap();
            assert_eq!(words::frame(&frame), said.words, "{}", recording.version);
            let written = frame.encode();
            assert_eq!(Frame::decode(said.end, &written).unwrap(), frame);
            if recording.version == VERSION {
                assert_eq!(written, said.bytes, "{}", said.words);
            }
        }
    }
}

#[test]
fn recorded_stores_are_read_and_nothing_of_them_is_lost() {
    for recording in all() {
        let world = World::load(recording.kept.clone(), LATER);
        assert!(!world.agent.link().is_rolled_back());
        says(&words::agent(&world.agent, world.now()), &recording.agent);
        says(&words::hub(&world.hub, &world.kept, world.now()), &recording.hub);
    }
}

#[test]
fn recorded_ends_meet_again_in_sync_and_go_on() {
    for recording in all() {
        let mut world = World::start(recording.kept.clone(), LATER);
        world.pass(120);
        in_sync(&world);
        assert_eq!(world.flat.writes, [], "nothing drifted, and it is paused");
        kept_rows(&recording.kept.agent, &world.kept.agent, "journal");
        kept_rows(&recording.kept.hub, &world.kept.hub, "hub_journal");
        let resume = PauseOrder::new(PauseKind::Resume, "mara", "", world.now());
        world.kept.order = Some(resume.clone());
        world.agent_takes(agent::Input::Pause(resume));
        world.pass(30);
        assert_eq!(writes(&world), ["/ConfigMap/shop/api-a"], "what came while it was paused");
        let web: &[(&str, &str)] = &[("web-a", "2"), ("web-b", "1"), ("web-c", "4"), ("web-d", "1")];
        world.commit("commit-4", &[("web", web), ("api", &[("api-a", "3")])]);
        world.pass(30);
        assert_eq!(writes(&world)[1..], ["/ConfigMap/shop/web-c"]);
        let said = words::hub(&world.hub, &world.kept, world.now());
        let synced = said.iter().filter(|line| line.ends_with(" Synced Healthy")).count();
        assert_eq!(synced, 2, "{said:#?}");
    }
}

#[test]
fn recorded_files_are_taken() {
    for recording in all() {
        let (header, frames) = recording.bundle_parts();
        let newest = header.chain.last().unwrap().head;
        let lost = Kept { agent: MemoryStore::default(), anchor: None, ..recording.kept.clone() };
        for (kept, already) in [(recording.kept.clone(), true), (lost, false)] {
            let mut world = World::load(kept, LATER);
            let begin = ImportStep::Begin(Box::new(header.clone()));
            let frames = frames.iter().cloned().map(ImportStep::Frame);
            let mut last: Option<ImportResult> = None;
            for step in iter::once(begin).chain(frames).chain([ImportStep::End]) {
                world.agent_takes(agent::Input::Import(step));
                last = world.agent.take_import_result();
            }
            let imported = Imported { generation: newest.generation, apps: 2, already };
            assert_eq!(last, Some(Ok(Some(imported))));
            assert_eq!(world.agent.link().held().unwrap().head, newest);
        }
        let (header, receipts) = recording.receipts_parts();
        let mut world = World::load(recording.kept.clone(), LATER);
        let cluster = header.cluster;
        let request = ReceiptsRequest { cluster, rejoin: RejoinSerial::default(), header, receipts };
        let Some(Reply::Received(taken)) = world.ask(hub::Request::Receipts(Box::new(request))) else {
            panic!("not taken")
        };
        assert_eq!((taken.generation, taken.apps, taken.already), (Some(newest.generation), 2, false));
    }
}

#[test]
fn a_frame_with_fields_that_nobody_has_heard_of_says_what_it_said() {
    for frame in samples() {
        let wide = widen(&frame.encode(), words::kind(&frame).1);
        assert_eq!(Frame::decode(frame.end(), &wide).as_ref(), Ok(&frame), "{}", words::frame(&frame));
    }
}

/// The shells pass over a frame that decodes to [`FrameError::UnknownFrame`]; a version that does not yet refuses it, and that
/// ends the stream and nothing else.
#[test]
fn a_frame_of_a_kind_that_nobody_has_heard_of_is_told_apart_and_one_that_is_refused_costs_no_more_than_its_stream()
 {
    let unheard_of = widen(&[], false);
    for end in [End::Agent, End::Hub] {
        assert_eq!(Frame::decode(end, &unheard_of), Err(FrameError::UnknownFrame));
    }
    for recording in all() {
        let mut world = World::start(recording.kept, LATER);
        world.pass(5);
        let before = words::agent(&world.agent, world.now());
        let refusal = FrameError::UnknownFrame.refusal();
        assert_eq!(refusal.reason, RefusalReason::Malformed);
        world.agent_takes(agent::Input::Frame(HubFrame::Refused(refusal)));
        world.cut();
        world.said.clear();
        world.pass(600);
        in_sync(&world);
        says(&words::agent(&world.agent, world.now()), &before);
    }
}

/// Rows that are of one version's own; lists, assignments and the journal are hashed as they are, and manifests,
/// releases and statuses are nothing but bytes to a store.
const OWN_ROWS: &[Table] = &[
    "head",
    "outbox",
    "link_meta",
    "commands",
    "inventory",
    "operations",
    "attempts",
    "governor",
    "journal_meta",
    "registry",
    "placements",
    "hub_link",
    "hub_journal_meta",
];

#[test]
fn a_store_of_a_newer_version_is_read_by_the_one_before() {
    for recording in all() {
        let mut kept = recording.kept.clone();
        let widened = widen_rows(&mut kept.agent) + widen_rows(&mut kept.hub);
        assert!(widened > 10, "{widened}");
        let mut world = World::load(kept.clone(), LATER);
        says(&words::agent(&world.agent, world.now()), &recording.agent);
        says(&words::hub(&world.hub, &world.kept, world.now()), &recording.hub);
        world = World::start(kept, LATER);
        world.pass(30);
        in_sync(&world);
        assert_eq!(world.flat.writes, []);
    }
}

/// Adds a field to every row that is an array.
fn widen_rows(store: &mut MemoryStore) -> usize {
    /// More fields than any row has.
    const MANY: u8 = 40;
    let mut widened = 0;
    for table in OWN_ROWS {
        for (key, value) in store.scan(table, &[]).unwrap() {
            let Some(fields) = value[0].checked_sub(0x80).filter(|fields| *fields < 0x18) else { continue };
            let mut wide = vec![0x98, MANY + 1];
            wide.extend_from_slice(&value[1..]);
            wide.extend(iter::repeat_n(0xf6, usize::from(MANY - fields)));
            wide.extend_from_slice(&[0x64, b'n', b'e', b'w', b'!']);
            store.commit(&[StoreOp::put_bytes(table, key, wide)]);
            widened += 1;
        }
    }
    widened
}

/// Checks that everything that was recorded is said again.
fn says(now: &[String], recorded: &[String]) {
    let missing: Vec<&String> = recorded.iter().filter(|line| !now.contains(line)).collect();
    assert!(missing.is_empty(), "not said any more: {missing:#?}\nsaid: {now:#?}");
}

/// Checks that the hub had nothing to send.
fn in_sync(world: &World) {
    let mut kinds = BTreeSet::new();
    let mut hello = None;
    for (end, bytes) in &world.said {
        let frame = Frame::decode(*end, bytes).unwrap();
        if *end == End::Hub {
            kinds.insert(words::kind(&frame).0);
        }
        if let Frame::Agent(AgentFrame::Hello(said)) = frame {
            hello = said.head;
        }
    }
    assert!(kinds.contains("welcome") && kinds.contains("in_sync"), "{kinds:?}");
    for kind in ["list_request", "list_changes", "head", "chunk", "gone", "refused", "journal_refused"] {
        assert!(!kinds.contains(kind), "{kinds:?}");
    }
    assert_eq!(hello.as_ref(), world.agent.link().held());
}

fn kept_rows(before: &MemoryStore, now: &MemoryStore, table: Table) {
    let rows = before.scan(table, &[]).unwrap();
    assert!(!rows.is_empty());
    for (key, value) in rows {
        assert_eq!(now.get(table, &key).unwrap(), Some(value), "a row of {table}");
    }
}

fn writes(world: &World) -> Vec<String> {
    let key = |request: &Request| match request {
        Request::Get { key }
        | Request::Try { key, .. }
        | Request::Apply { key, .. }
        | Request::Compare { key, .. } => key.to_string(),
        Request::GiveUp { key, .. } => format!("give up {key}"),
        Request::Delete { key, .. } => format!("delete {key}"),
        Request::EnsureNamespace { name, .. } => format!("namespace {name}"),
    };
    world.flat.writes.iter().map(key).collect()
}
