//! One or more frames of every kind: as full as they get, and as empty.

use std::collections::BTreeSet;

use argosy_core::desired::{Anchor, Head, Signature, SignedHead};
use argosy_core::ids::{
    BootId, ClusterId, CommandId, Digest, Epoch, Generation, Incarnation, InstallationId, JournalId,
};
use argosy_core::journal::{JournalBatch, JournalHeld, JournalPosition};
use argosy_core::pause::ToldPause;
use argosy_core::release::Root;
use argosy_core::session::frame::{
    AgentFrame, Chunk, ClusterFacts, Command, CommandKind, CommandState, CommandUpdate, EntryRange, Hello,
    HubFrame, ListBase, ListChange, PROTOCOL, Pull, PullWhat, Refusal, RefusalReason, Statement, StatusBatch,
    StatusEntry, TransferId, Welcome,
};
use argosy_core::time::{MonoTime, WallTime};

use super::wire::Frame;
use super::world::{app, facts};

const EPOCH: Epoch = Epoch::new([0x11; 16]);
const INCARNATION: Incarnation = Incarnation::new([0x22; 16]);
const JOURNAL: JournalId = JournalId::new([0x33; 16]);
const COMMAND: CommandId = CommandId::new([0x44; 16]);
const SIGNATURE: Signature = Signature([0x55; 64]);
const NOW: MonoTime = MonoTime { boot: BootId::new([0x66; 16]), elapsed_ms: 86_400_000 };

fn root(byte: u8) -> Root {
    Root(digest(byte))
}

fn digest(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

fn paused() -> ToldPause {
    let at = WallTime(1_700_000_000_000);
    ToldPause { by: "mara".to_owned(), reason: "flood".to_owned(), at, held_ms: Some(90_000) }
}

pub(super) fn samples() -> Vec<Frame> {
    let agent = hellos().into_iter().chain(from_agent()).map(Frame::Agent);
    agent.chain(from_hub().into_iter().chain(commands()).map(Frame::Hub)).collect()
}

fn hellos() -> Vec<AgentFrame> {
    let generation = Generation(300);
    let head = Head {
        cluster: ClusterId::from_random([0x77; 16]),
        epoch: EPOCH,
        generation,
        list_root: digest(1),
        previous: digest(2),
    };
    let full = Hello {
        protocol: PROTOCOL,
        capabilities: BTreeSet::from(["one".to_owned(), "two".to_owned()]),
        facts: facts(),
        head: Some(SignedHead { head, signature: SIGNATURE }),
        anchor: Some(Anchor { epoch: EPOCH, generation, hash: digest(3) }),
        incarnation: INCARNATION,
        status_sequence: 77,
        read_only: Some("another agent holds the Lease".to_owned()),
        paused: Some(paused()),
        statement: Some(Statement { series: INCARNATION, number: 9 }),
    };
    let first = Hello {
        capabilities: BTreeSet::new(),
        facts: ClusterFacts::default(),
        head: None,
        anchor: None,
        status_sequence: 0,
        read_only: None,
        paused: None,
        statement: None,
        ..full.clone()
    };
    vec![AgentFrame::Hello(Box::new(full)), AgentFrame::Hello(Box::new(first))]
}

fn from_agent() -> Vec<AgentFrame> {
    use CommandState::{Accepted, Failed, Interrupted, Running, Succeeded, Superseded, TooLate};

    let pull = |base, what| AgentFrame::Pull(Pull { transfer: TransferId(7), root: root(4), base, what });
    let ranges = vec![EntryRange { start: 0, end: 2 }, EntryRange { start: 5, end: 300 }];
    let entry = |sequence, value| StatusEntry { sequence, app: app("web"), value };
    let status = |entries, observed, complete| {
        AgentFrame::Status(StatusBatch { incarnation: INCARNATION, entries, now: NOW, observed, complete })
    };
    let earlier = MonoTime { boot: BootId::new([0x67; 16]), elapsed_ms: 5 };
    let mut frames = vec![
        AgentFrame::HeadAck { epoch: EPOCH, generation: Generation(300) },
        AgentFrame::OwnList { settings: Some(vec![0x81, 1]), elements: vec![vec![2; 30]], last: false },
        AgentFrame::OwnList { settings: None, elements: Vec::new(), last: true },
        pull(Some(root(5)), PullWhat::Entries { from: 12 }),
        pull(None, PullWhat::Manifests { ranges }),
        AgentFrame::Cancel(TransferId(7)),
        AgentFrame::Credit(1 << 20),
        status(vec![entry(3, Some(vec![6; 20])), entry(400, None)], Some(NOW), true),
        status(Vec::new(), Some(earlier), false),
        status(Vec::new(), None, false),
        AgentFrame::Refused(Refusal { reason: RefusalReason::Head, message: "not signed".to_owned() }),
        AgentFrame::Alive,
        AgentFrame::Facts { facts: facts(), read_only: Some("why".to_owned()), paused: Some(paused()) },
        AgentFrame::Facts { facts: ClusterFacts::default(), read_only: None, paused: None },
        AgentFrame::Journal(JournalBatch {
            journal: JOURNAL,
            rows: vec![vec![7; 40], vec![8; 50]],
            now: NOW,
            complete: false,
        }),
    ];
    for state in [Accepted, Running, Succeeded, Failed, Superseded, Interrupted, TooLate] {
        let (message, payload) = ("said".to_owned(), vec![9; usize::from(state == Succeeded) * 10]);
        frames.push(AgentFrame::CommandUpdate(CommandUpdate { id: COMMAND, state, message, payload }));
    }
    frames
}

fn from_hub() -> Vec<HubFrame> {
    use RefusalReason::{Cloned, Head, Malformed, Protocol, Replaced, Revoked, Stopping, Unregistered};

    let position = JournalPosition { journal: JOURNAL, sequence: 900, hash: digest(6) };
    let welcome = |status, journal| {
        HubFrame::Welcome(Welcome {
            protocol: 1,
            installation: InstallationId::from_random([0x88; 16]),
            status,
            wall: WallTime(1_700_000_000_000),
            journal,
        })
    };
    let head =
        |epoch, unasked| HubFrame::Head { epoch, generation: Generation(301), signature: SIGNATURE, unasked };
    let changes = vec![
        ListChange::Set(vec![1; 30]),
        ListChange::Splice { index: 2, keep_front: 24, keep_back: 150, middle: vec![2; 32] },
        ListChange::Remove { index: 3 },
        ListChange::Settings(vec![0x82, 1, 2]),
    ];
    let chunk = |data, last| HubFrame::Chunk(Chunk { transfer: TransferId(7), data, last });
    let mut frames = vec![
        welcome(Some((INCARNATION, 77)), JournalHeld::UpTo(position)),
        welcome(None, JournalHeld::Nothing),
        welcome(None, JournalHeld::NotKept),
        HubFrame::InSync,
        HubFrame::ListRequest,
        HubFrame::ListChanges { base: ListBase::Held, changes },
        HubFrame::ListChanges { base: ListBase::Empty, changes: Vec::new() },
        head(Some(EPOCH), vec![0, 300]),
        head(None, Vec::new()),
        chunk(vec![3; 100], false),
        chunk(Vec::new(), true),
        HubFrame::Gone(TransferId(7)),
        HubFrame::StatusAck { sequence: 400 },
        HubFrame::CommandDone(COMMAND),
        HubFrame::Alive,
        HubFrame::JournalAck { sequence: 900 },
        HubFrame::JournalRefused { why: "row 5 does not follow".to_owned() },
    ];
    for reason in [Protocol, Unregistered, Revoked, Replaced, Cloned, Head, Malformed, Stopping] {
        frames.push(HubFrame::Refused(Refusal { reason, message: "why".to_owned() }));
    }
    frames
}

fn commands() -> Vec<HubFrame> {
    let web = || app("web");
    let kinds = [
        CommandKind::Sync { app: web(), expect: Some(root(7)), prune: true },
        CommandKind::Sync { app: web(), expect: None, prune: false },
        CommandKind::Confirm { app: web(), plan: digest(8) },
        CommandKind::Refresh { app: web() },
        CommandKind::Resources { app: web() },
        CommandKind::Diff { app: web() },
    ];
    kinds.map(|kind| HubFrame::Command(Command { id: COMMAND, kind, deadline_ms: 60_000 })).into()
}
