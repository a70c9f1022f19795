use argosy_core::desired::{Anchor, Head, Signature, SignedHead};
use argosy_core::ids::{
    AppId, BootId, ClusterId, CommandId, Digest, Epoch, Generation, Incarnation, InstallationId, JournalId,
};
use argosy_core::journal::{JournalBatch, JournalHeld, JournalPosition};
use argosy_core::key::ResourceKey;
use argosy_core::local::PolicySummary;
use argosy_core::pause::ToldPause;
use argosy_core::policy::Retry;
use argosy_core::release::Root;
use argosy_core::selection::{Selector, SyncOptions};
use argosy_core::session::frame::{
    AgentFrame, CHUNK, Chunk, ClusterFacts, Command, CommandKind, CommandState, CommandUpdate, EntryRange,
    Hello, HubFrame, ListBase, ListChange, ProtocolRange, Pull, PullWhat, Refusal, RefusalReason, Statement,
    StatusBatch, StatusEntry, TransferId, Welcome,
};
use argosy_core::time::{MonoTime, WallTime};
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use prost::Message as _;

use crate::error::FrameError;
use crate::v1;
use crate::v1::agent_frame::Frame as AgentWire;
use crate::v1::hub_frame::Frame as HubWire;

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::new)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<[u8; 16]>().prop_map(Epoch::new)
}

fn signature() -> impl Strategy<Value = Signature> {
    (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(a, b)| {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&a);
        bytes[32..].copy_from_slice(&b);
        Signature(bytes)
    })
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    any::<[u8; 16]>().prop_map(Incarnation::new)
}

fn time() -> impl Strategy<Value = MonoTime> {
    (any::<bool>(), any::<u64>())
        .prop_map(|(boot, elapsed_ms)| MonoTime { boot: BootId::new([u8::from(boot); 16]), elapsed_ms })
}

fn app() -> impl Strategy<Value = AppId> {
    ("[a-z]{0,3}", "[a-z0-9.-]{1,12}").prop_map(|(namespace, name)| AppId::new(namespace, name))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..40)
}

fn refusal() -> impl Strategy<Value = Refusal> {
    use RefusalReason::{Cloned, Head, Malformed, Protocol, Replaced, Revoked, Stopping, Unregistered};
    let reasons = vec![Protocol, Unregistered, Revoked, Replaced, Cloned, Head, Malformed, Stopping];
    (prop::sample::select(reasons), ".{0,20}").prop_map(|(reason, message)| Refusal { reason, message })
}

fn hello() -> impl Strategy<Value = Hello> {
    let head = (any::<[u8; 16]>(), epoch(), any::<u64>(), digest(), digest(), signature()).prop_map(
        |(cluster, epoch, generation, list_root, previous, signature)| SignedHead {
            head: Head {
                cluster: ClusterId::new(cluster),
                epoch,
                generation: Generation(generation),
                list_root,
                previous,
            },
            signature,
        },
    );
    let anchor = (epoch(), any::<u64>(), digest()).prop_map(|(epoch, generation, hash)| Anchor {
        epoch,
        generation: Generation(generation),
        hash,
    });
    let protocol =
        (1_u32..9, 0_u32..9).prop_map(|(oldest, more)| ProtocolRange { oldest, newest: oldest + more });
    (
        protocol,
        btree_set("[a-z-]{1,8}", 0..4),
        facts(),
        of(head),
        of(anchor),
        incarnation(),
        any::<u64>(),
        (of(".{0,20}"), of(pause()), of((incarnation(), any::<u64>()))),
    )
        .prop_map(
            |(
                protocol,
                capabilities,
                facts,
                head,
                anchor,
                incarnation,
                status_sequence,
                (read_only, paused, statement),
            )| Hello {
                protocol,
                capabilities,
                facts,
                head,
                anchor,
                incarnation,
                status_sequence,
                read_only,
                paused,
                statement: statement.map(|(series, number)| Statement { series, number }),
            },
        )
}

fn pause() -> impl Strategy<Value = ToldPause> {
    (".{0,20}", ".{0,20}", any::<i64>(), of(any::<u64>())).prop_map(|(by, reason, at, held_ms)| ToldPause {
        by,
        reason,
        at: WallTime(at),
        held_ms,
    })
}

fn pull() -> impl Strategy<Value = Pull> {
    let ranges = vec((0_u32..1000, 1_u32..1000), 1..20).prop_map(|pairs| {
        let mut end = 0;
        let ranges = pairs.into_iter().map(|(gap, length)| {
            let range = EntryRange { start: end + gap, end: end + gap + length };
            end = range.end;
            range
        });
        PullWhat::Manifests { ranges: ranges.collect() }
    });
    let what = prop_oneof![any::<u32>().prop_map(|from| PullWhat::Entries { from }), ranges];
    (any::<u32>(), digest(), of(digest()), what).prop_map(|(transfer, root, base, what)| Pull {
        transfer: TransferId(transfer | 1),
        root: Root(root),
        base: base.map(Root),
        what,
    })
}

fn batch() -> impl Strategy<Value = StatusBatch> {
    let entries = vec((app(), of(bytes())), 0..6).prop_map(|entries| {
        let numbered = entries.into_iter().zip(7_u64..);
        numbered.map(|((app, value), sequence)| StatusEntry { sequence, app, value }).collect()
    });
    (incarnation(), entries, time(), of(time()), any::<bool>()).prop_map(
        |(incarnation, entries, now, observed, complete)| StatusBatch {
            incarnation,
            entries,
            now,
            observed,
            complete,
        },
    )
}

fn update() -> impl Strategy<Value = CommandUpdate> {
    use CommandState::{Accepted, Failed, Interrupted, Running, Succeeded, Superseded, TooLate};
    let states = vec![Accepted, Running, Succeeded, Failed, Superseded, Interrupted, TooLate];
    (any::<[u8; 16]>(), prop::sample::select(states), ".{0,20}", vec(any::<u8>(), 0..20)).prop_map(
        |(id, state, message, payload)| CommandUpdate { id: CommandId::new(id), state, message, payload },
    )
}

fn facts() -> impl Strategy<Value = ClusterFacts> {
    let policy = (any::<[u8; 32]>(), ".{0,20}")
        .prop_map(|(digest, text)| PolicySummary { digest: Digest::new(digest), text });
    let policy = of(policy);
    ("[a-z0-9-]{0,36}", "v1[.0-9]{0,6}", "[0-9.]{0,6}", any::<i64>(), policy).prop_map(
        |(kube_system_uid, kubernetes_version, agent_version, expiry, policy)| ClusterFacts {
            kube_system_uid,
            kubernetes_version,
            agent_version,
            certificate_not_after: WallTime(expiry),
            policy,
        },
    )
}

fn agent_frame() -> impl Strategy<Value = AgentFrame> {
    prop_oneof![
        hello().prop_map(|hello| AgentFrame::Hello(Box::new(hello))),
        (epoch(), any::<u64>())
            .prop_map(|(epoch, number)| AgentFrame::HeadAck { epoch, generation: Generation(number) }),
        (of(bytes()), vec(bytes(), 0..5), any::<bool>())
            .prop_map(|(settings, elements, last)| AgentFrame::OwnList { settings, elements, last }),
        pull().prop_map(AgentFrame::Pull),
        (1_u32..).prop_map(|transfer| AgentFrame::Cancel(TransferId(transfer))),
        any::<u64>().prop_map(AgentFrame::Credit),
        batch().prop_map(AgentFrame::Status),
        update().prop_map(AgentFrame::CommandUpdate),
        (facts(), of(".{0,20}"), of(pause())).prop_map(|(facts, read_only, paused)| AgentFrame::Facts {
            facts,
            read_only,
            paused
        }),
        (any::<[u8; 16]>(), vec(bytes(), 1..5), time(), any::<bool>()).prop_map(
            |(journal, rows, now, complete)| {
                let journal = JournalId::new(journal);
                AgentFrame::Journal(JournalBatch { journal, rows, now, complete })
            }
        ),
        refusal().prop_map(AgentFrame::Refused),
        Just(AgentFrame::Alive),
    ]
}

fn selector() -> impl Strategy<Value = Selector> {
    let words = ["", "apps", "*", "web"].map(str::to_owned);
    let word = move || proptest::sample::select(words.to_vec());
    (word.clone()(), word.clone()(), word.clone()(), word(), any::<bool>()).prop_map(
        |(group, kind, namespace, name, exclude)| Selector { group, kind, namespace, name, exclude },
    )
}

fn retry() -> impl Strategy<Value = Retry> {
    (any::<i64>(), 0..=Retry::LONGEST_MS, 1..=Retry::MOST, 0..=Retry::LONGEST_MS, any::<bool>()).prop_map(
        |(limit, delay_ms, factor, max_delay_ms, refresh)| Retry {
            limit,
            delay_ms,
            factor,
            max_delay_ms,
            refresh,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let kind = prop_oneof![
        (app(), of(digest()), any::<bool>()).prop_map(|(app, expect, prune)| CommandKind::Sync {
            app,
            expect: expect.map(Root),
            prune
        }),
        (app(), of(digest()), any::<bool>(), vec(selector(), 0..3), any::<[bool; 4]>(), of(retry()))
            .prop_map(|(app, expect, prune, resources, [dry_run, without_hooks, replace, force], retry)| {
                CommandKind::SyncWith {
                    app,
                    expect: expect.map(Root),
                    prune,
                    options: SyncOptions { resources, dry_run, without_hooks, replace, force, retry },
                }
            }),
        (app(), digest()).prop_map(|(app, plan)| CommandKind::Confirm { app, plan }),
        app().prop_map(|app| CommandKind::Refresh { app }),
        app().prop_map(|app| CommandKind::Resources { app }),
        app().prop_map(|app| CommandKind::Terminate { app }),
        app().prop_map(|app| CommandKind::Diff { app }),
        (app(), of(any::<u64>()), any::<bool>()).prop_map(|(app, id, prune)| CommandKind::Rollback {
            app,
            id,
            prune
        }),
        app().prop_map(|app| CommandKind::History { app }),
        app().prop_map(|app| CommandKind::Why {
            app,
            key: ResourceKey::new("apps", "Deployment", "shop", "web")
        }),
    ];
    (any::<[u8; 16]>(), kind, any::<u64>()).prop_map(|(id, kind, deadline_ms)| Command {
        id: CommandId::new(id),
        kind,
        deadline_ms,
    })
}

#[test]
fn frames_of_the_version_before_say_nothing_of_pauses_and_journals() {
    let welcome = v1::Welcome { protocol: 1, installation: vec![1; 16], wall_ms: 5, ..Default::default() };
    let welcome = Welcome::try_from(welcome).unwrap();
    assert_eq!(welcome.journal, JournalHeld::NotKept);
    let facts = v1::FactsUpdate { facts: Some(v1::ClusterFacts::default()), ..Default::default() };
    let frame = v1::AgentFrame { frame: Some(v1::agent_frame::Frame::Facts(facts)) };
    let AgentFrame::Facts { paused, .. } = AgentFrame::try_from(frame).unwrap() else {
        panic!("other frame")
    };
    assert_eq!(paused, None);
}

fn hub_frame() -> impl Strategy<Value = HubFrame> {
    let change = prop_oneof![
        bytes().prop_map(ListChange::Set),
        (any::<u32>(), any::<u32>(), any::<u32>(), vec(any::<u8>(), 0..40)).prop_map(
            |(index, keep_front, keep_back, middle)| ListChange::Splice {
                index,
                keep_front,
                keep_back,
                middle
            }
        ),
        any::<u32>().prop_map(|index| ListChange::Remove { index }),
        bytes().prop_map(ListChange::Settings),
    ];
    let journal = prop_oneof![
        Just(JournalHeld::NotKept),
        Just(JournalHeld::Nothing),
        (any::<[u8; 16]>(), any::<u64>(), digest()).prop_map(|(journal, sequence, hash)| {
            JournalHeld::UpTo(JournalPosition { journal: JournalId::new(journal), sequence, hash })
        }),
    ];
    let welcome = (1_u32.., any::<[u8; 16]>(), of((incarnation(), any::<u64>())), any::<i64>(), journal)
        .prop_map(|(protocol, installation, status, wall, journal)| Welcome {
            protocol,
            installation: InstallationId::new(installation),
            status,
            wall: WallTime(wall),
            journal,
        });
    prop_oneof![
        welcome.prop_map(HubFrame::Welcome),
        Just(HubFrame::InSync),
        Just(HubFrame::ListRequest),
        any::<u64>().prop_map(|sequence| HubFrame::JournalAck { sequence }),
        ".{0,20}".prop_map(|why| HubFrame::JournalRefused { why }),
        (any::<bool>(), vec(change, 0..6)).prop_map(|(held, changes)| HubFrame::ListChanges {
            base: if held { ListBase::Held } else { ListBase::Empty },
            changes,
        }),
        (of(epoch()), any::<u64>(), signature(), vec(any::<u32>(), 0..4)).prop_map(
            |(epoch, number, signature, unasked)| HubFrame::Head {
                epoch,
                generation: Generation(number),
                signature,
                unasked,
            }
        ),
        (1_u32.., bytes(), any::<bool>()).prop_map(|(transfer, data, last)| HubFrame::Chunk(Chunk {
            transfer: TransferId(transfer),
            data,
            last,
        })),
        (1_u32..).prop_map(|transfer| HubFrame::Gone(TransferId(transfer))),
        any::<u64>().prop_map(|sequence| HubFrame::StatusAck { sequence }),
        command().prop_map(HubFrame::Command),
        any::<[u8; 16]>().prop_map(|id| HubFrame::CommandDone(CommandId::new(id))),
        refusal().prop_map(HubFrame::Refused),
        Just(HubFrame::Alive),
    ]
}

proptest! {
    #[test]
    fn agent_frames_come_back_from_the_wire(frame in agent_frame()) {
        let wire = v1::AgentFrame::from(frame.clone()).encode_to_vec();
        let read = v1::AgentFrame::decode(wire.as_slice()).unwrap();
        prop_assert_eq!(AgentFrame::try_from(read), Ok(frame));
    }

    #[test]
    fn hub_frames_come_back_from_the_wire(frame in hub_frame()) {
        let wire = v1::HubFrame::from(frame.clone()).encode_to_vec();
        let read = v1::HubFrame::decode(wire.as_slice()).unwrap();
        prop_assert_eq!(HubFrame::try_from(read), Ok(frame));
    }

    #[test]
    fn damaged_frames_never_panic(
        agent in agent_frame(), hub in hub_frame(), at in any::<prop::sample::Index>(), flip in 1_u8..,
    ) {
        let mut wire = v1::AgentFrame::from(agent).encode_to_vec();
        let index = at.index(wire.len());
        wire[index] ^= flip;
        drop(v1::AgentFrame::decode(wire.as_slice()).map(AgentFrame::try_from));
        let mut wire = v1::HubFrame::from(hub).encode_to_vec();
        let index = at.index(wire.len());
        wire[index] ^= flip;
        drop(v1::HubFrame::decode(wire.as_slice()).map(HubFrame::try_from));
    }

    #[test]
    fn noise_never_panics(noise: Vec<u8>) {
        drop(v1::AgentFrame::decode(noise.as_slice()).map(AgentFrame::try_from));
        drop(v1::HubFrame::decode(noise.as_slice()).map(HubFrame::try_from));
    }
}

fn agent_error(frame: AgentWire) -> String {
    AgentFrame::try_from(v1::AgentFrame { frame: Some(frame) }).unwrap_err().to_string()
}

fn hub_error(frame: HubWire) -> String {
    HubFrame::try_from(v1::HubFrame { frame: Some(frame) }).unwrap_err().to_string()
}

fn ranges(gaps_and_lengths: Vec<u32>) -> AgentWire {
    AgentWire::Pull(v1::Pull {
        transfer: 1,
        root: vec![0; 32],
        base: Vec::new(),
        what: Some(v1::pull::What::Manifests(v1::Ranges { gaps_and_lengths })),
    })
}

#[test]
fn frames_of_a_newer_version_are_told_from_malformed_ones() {
    // Field 99, a message of two bytes: what a oneof of this version cannot hold.
    let newer = [0x9a, 0x06, 0x02, 0x08, 0x01];
    let agent = v1::AgentFrame::decode(newer.as_slice()).unwrap();
    assert_eq!(AgentFrame::try_from(agent), Err(FrameError::UnknownFrame));
    let hub = v1::HubFrame::decode(newer.as_slice()).unwrap();
    assert_eq!(HubFrame::try_from(hub), Err(FrameError::UnknownFrame));
}

#[test]
fn malformed_agent_frames_name_the_field() {
    assert_eq!(agent_error(AgentWire::Cancel(0)), "cancel is 0, which is not above 0");
    let ack = v1::HeadAck { epoch: vec![1; 15], generation: 1 };
    assert_eq!(agent_error(AgentWire::HeadAck(ack)), "head_ack.epoch has 15 bytes instead of 16");
    let list = v1::OwnList { settings: None, elements: vec![Vec::new()], more: false };
    assert_eq!(agent_error(AgentWire::OwnList(list)), "own_list.elements is empty");
    let pull = v1::Pull { transfer: 1, ..Default::default() };
    assert!(agent_error(AgentWire::Pull(pull)).starts_with("pull.what is missing"));
    assert_eq!(agent_error(ranges(Vec::new())), "pull.manifests is empty");
    assert_eq!(agent_error(ranges(vec![1])), "pull.manifests is 1, which is not an even count of numbers");
    assert_eq!(agent_error(ranges(vec![1, 0])), "pull.manifests is 0, which is not a range with entries");
    assert!(agent_error(ranges(vec![u32::MAX, 1])).ends_with("which is not a range below 2^32"));
    let hello = v1::Hello { protocol_oldest: 3, protocol_newest: 2, ..Default::default() };
    assert!(agent_error(AgentWire::Hello(hello)).starts_with("hello.protocol_oldest is 3"));
    let hello = v1::Hello { protocol_oldest: 1, protocol_newest: 1, ..Default::default() };
    assert!(agent_error(AgentWire::Hello(hello)).starts_with("hello.facts is missing"));
    let update = v1::CommandUpdate { id: vec![0; 16], state: 77, ..Default::default() };
    assert!(
        agent_error(AgentWire::CommandUpdate(update))
            .starts_with("command.state is missing or of an unknown")
    );
}

#[test]
fn an_even_pull_and_statuses_out_of_order_are_refused() {
    let even = v1::Pull {
        transfer: 2,
        root: vec![0; 32],
        base: Vec::new(),
        what: Some(v1::pull::What::EntriesFrom(0)),
    };
    assert_eq!(agent_error(AgentWire::Pull(even)), "pull.transfer is 2, which is not odd");
    let entry = |sequence| v1::StatusEntry { sequence, name: "a".to_owned(), ..Default::default() };
    let batch = v1::StatusBatch {
        incarnation: vec![0; 16],
        entries: vec![entry(2), entry(2)],
        now: Some(v1::MonoTime { boot: vec![0; 16], elapsed_ms: 0 }),
        ..Default::default()
    };
    assert_eq!(agent_error(AgentWire::Status(batch)), "status.entries is not in rising order");
}

#[test]
fn malformed_hub_frames_name_the_field() {
    let head = v1::HeadUpdate { signature: vec![0; 63], ..Default::default() };
    assert_eq!(hub_error(HubWire::Head(head)), "head.signature has 63 bytes instead of 64");
    let chunk = v1::Chunk { transfer: 1, data: vec![0; CHUNK + 1], more: false };
    assert_eq!(hub_error(HubWire::Chunk(chunk)), "chunk.data has 16385 bytes, more than 16384");
    let chunk = v1::Chunk { transfer: 1, data: Vec::new(), more: true };
    assert_eq!(hub_error(HubWire::Chunk(chunk)), "chunk.data is empty");
    let changes = v1::ListChanges { base: 9, changes: Vec::new() };
    assert!(
        hub_error(HubWire::ListChanges(changes)).starts_with("list_changes.base is missing or of an unknown")
    );
    let changes = v1::ListChanges { base: 0, changes: vec![v1::ListChange { change: None }] };
    assert!(hub_error(HubWire::ListChanges(changes)).starts_with("list_changes.change is missing"));
    assert_eq!(hub_error(HubWire::CommandDone(vec![1])), "command_done has 1 bytes instead of 16");
    assert_eq!(hub_error(HubWire::Gone(0)), "gone is 0, which is not above 0");
}

#[test]
fn long_messages_are_cut_by_their_sender() {
    let refusal = Refusal { reason: RefusalReason::Head, message: "é".repeat(20_000) };
    let wire = v1::HubFrame::from(HubFrame::Refused(refusal));
    let HubFrame::Refused(read) = HubFrame::try_from(wire).unwrap() else { panic!("another frame") };
    assert_eq!(read.message.len(), super::limits::TEXT);
}

/// A changed field of one object: the list's change, the head, the entries' difference and the manifest's.
#[test]
fn the_frames_of_a_small_change_are_small() {
    let splice = ListChange::Splice { index: 3, keep_front: 24, keep_back: 150, middle: vec![1; 32] };
    let frames = [
        HubFrame::ListChanges { base: ListBase::Held, changes: vec![splice] },
        HubFrame::Head {
            epoch: None,
            generation: Generation(1_000),
            signature: Signature([7; 64]),
            unasked: vec![3],
        },
        HubFrame::Chunk(Chunk { transfer: TransferId(2), data: vec![9; 80], last: true }),
    ];
    let sizes: Vec<usize> = frames.into_iter().map(|frame| v1::HubFrame::from(frame).encoded_len()).collect();
    assert_eq!(sizes, [47, 74, 86]);
}
