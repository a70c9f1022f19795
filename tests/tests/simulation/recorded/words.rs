//! What frames and machines say, in words that later versions repeat: the index of a recording is made of them.
//!
//! A field that is added later is destructured here as well, and said only where it is set: what older versions recorded
//! does not have it.

use std::fmt::Debug;

use argosy_core::agent::AgentMachine;
use argosy_core::hub::HubMachine;
use argosy_core::ids::{Digest, Generation};
use argosy_core::journal::{JournalBatch, JournalHeld};
use argosy_core::pause::ToldPause;
use argosy_core::session::frame::{
    AgentFrame, Chunk, ClusterFacts, Command, CommandKind, CommandUpdate, Hello, HubFrame, ListChange,
    ProtocolRange, Pull, PullWhat, Refusal, Statement, StatusBatch, StatusEntry, Welcome,
};
use argosy_core::time::Now;

use super::wire::Frame;
use super::world::{EDGE, Kept};

pub(super) const AGENT_KINDS: [&str; 12] = [
    "hello",
    "head_ack",
    "own_list",
    "pull",
    "cancel",
    "credit",
    "status",
    "command_update",
    "refused",
    "alive",
    "facts",
    "journal",
];
pub(super) const HUB_KINDS: [&str; 14] = [
    "welcome",
    "in_sync",
    "list_request",
    "list_changes",
    "head",
    "chunk",
    "gone",
    "status_ack",
    "command",
    "command_done",
    "refused",
    "alive",
    "journal_ack",
    "journal_refused",
];

/// Names the kind of a frame as the wire does, and tells whether a message is in it.
pub(super) fn kind(frame: &Frame) -> (&'static str, bool) {
    match frame {
        Frame::Agent(frame) => match frame {
            AgentFrame::Hello(_) => ("hello", true),
            AgentFrame::HeadAck { .. } => ("head_ack", true),
            AgentFrame::OwnList { .. } => ("own_list", true),
            AgentFrame::Pull(_) => ("pull", true),
            AgentFrame::Cancel(_) => ("cancel", false),
            AgentFrame::Credit(_) => ("credit", false),
            AgentFrame::Status(_) => ("status", true),
            AgentFrame::CommandUpdate(_) => ("command_update", true),
            AgentFrame::Refused(_) => ("refused", true),
            AgentFrame::Alive => ("alive", true),
            AgentFrame::Facts { .. } => ("facts", true),
            AgentFrame::Journal(_) => ("journal", true),
        },
        Frame::Hub(frame) => match frame {
            HubFrame::Welcome(_) => ("welcome", true),
            HubFrame::InSync => ("in_sync", true),
            HubFrame::ListRequest => ("list_request", true),
            HubFrame::ListChanges { .. } => ("list_changes", true),
            HubFrame::Head { .. } => ("head", true),
            HubFrame::Chunk(_) => ("chunk", true),
            HubFrame::Gone(_) => ("gone", false),
            HubFrame::StatusAck { .. } => ("status_ack", false),
            HubFrame::Command(_) => ("command", true),
            HubFrame::CommandDone(_) => ("command_done", false),
            HubFrame::Refused(_) => ("refused", true),
            HubFrame::Alive => ("alive", true),
            HubFrame::JournalAck { .. } => ("journal_ack", false),
            HubFrame::JournalRefused { .. } => ("journal_refused", false),
        },
    }
}

/// Says everything that is in a frame.
pub(super) fn frame(frame: &Frame) -> String {
    let (kind, _) = kind(frame);
    let rest = match frame {
        Frame::Agent(frame) => agent_frame(frame),
        Frame::Hub(frame) => hub_frame(frame),
    };
    if rest.is_empty() { kind.to_owned() } else { format!("{kind} {rest}") }
}

fn agent_frame(frame: &AgentFrame) -> String {
    match frame {
        AgentFrame::Hello(said) => hello(said),
        AgentFrame::HeadAck { epoch, generation } => format!("epoch={epoch} generation={generation}"),
        AgentFrame::OwnList { settings, elements, last } => {
            let settings = settings.as_deref().map(opaque);
            format!("settings={} elements={} last={last}", option(settings), opaques(elements))
        }
        AgentFrame::Pull(Pull { transfer, root, base, what }) => {
            let what = match what {
                PullWhat::Entries { from } => format!("entries from={from}"),
                PullWhat::Manifests { ranges } => {
                    let ranges = ranges.iter().map(|range| format!("{}..{}", range.start, range.end));
                    format!("manifests {}", ranges.collect::<Vec<_>>().join(","))
                }
            };
            format!("transfer={} root={} base={} {what}", transfer.0, root.0, option(base.map(|base| base.0)))
        }
        AgentFrame::Cancel(transfer) => format!("transfer={}", transfer.0),
        AgentFrame::Credit(bytes) => format!("bytes={bytes}"),
        AgentFrame::Status(batch) => statuses(batch),
        AgentFrame::CommandUpdate(CommandUpdate { id, state, message, payload }) => {
            format!("id={id} state={state:?} message={message:?} payload={}", opaque(payload))
        }
        AgentFrame::Refused(refusal) => refused(refusal),
        AgentFrame::Alive => String::new(),
        AgentFrame::Facts { facts: about, read_only, paused } => {
            format!("{} read_only={read_only:?} paused={}", facts(about), pause(paused.as_ref()))
        }
        AgentFrame::Journal(JournalBatch { journal, rows, now, complete }) => {
            let now = format!("{}+{}", now.boot, now.elapsed_ms);
            format!("journal={journal} rows={} now={now} complete={complete}", opaques(rows))
        }
    }
}

fn hub_frame(frame: &HubFrame) -> String {
    match frame {
        HubFrame::Welcome(Welcome { protocol, installation, status, wall, journal }) => {
            let status = status.map(|(incarnation, sequence)| format!("{incarnation}#{sequence}"));
            let journal = match journal {
                JournalHeld::NotKept => "not kept".to_owned(),
                JournalHeld::Nothing => "nothing".to_owned(),
                JournalHeld::UpTo(at) => format!("{}#{} {}", at.journal, at.sequence, at.hash),
            };
            format!(
                "protocol={protocol} installation={installation} status={} wall={} journal={journal}",
                option(status),
                wall.0
            )
        }
        HubFrame::InSync | HubFrame::ListRequest | HubFrame::Alive => String::new(),
        HubFrame::ListChanges { base, changes } => {
            let changes: Vec<String> = changes.iter().map(change).collect();
            format!("base={base:?} [{}]", changes.join(", "))
        }
        HubFrame::Head { epoch, generation, signature, unasked } => format!(
            "epoch={} generation={generation} signature={} unasked={unasked:?}",
            option(*epoch),
            opaque(&signature.0)
        ),
        HubFrame::Chunk(Chunk { transfer, data, last }) => {
            format!("transfer={} data={} last={last}", transfer.0, opaque(data))
        }
        HubFrame::Gone(transfer) => format!("transfer={}", transfer.0),
        HubFrame::StatusAck { sequence } | HubFrame::JournalAck { sequence } => {
            format!("sequence={sequence}")
        }
        HubFrame::Command(Command { id, kind, deadline_ms }) => {
            format!("id={id} {} deadline_ms={deadline_ms}", asked(kind))
        }
        HubFrame::CommandDone(id) => format!("id={id}"),
        HubFrame::Refused(refusal) => refused(refusal),
        HubFrame::JournalRefused { why } => format!("why={why:?}"),
    }
}

fn asked(kind: &CommandKind) -> String {
    match kind {
        CommandKind::Sync { app, expect, prune } => {
            format!("sync {app} expect={} prune={prune}", option(expect.map(|root| root.0)))
        }
        CommandKind::SyncWith { app, expect, prune, options } => {
            let expect = option(expect.map(|root| root.0));
            format!("sync {app} expect={expect} prune={prune} {options:?}")
        }
        CommandKind::Confirm { app, plan } => format!("confirm {app} plan={plan}"),
        CommandKind::Refresh { app } => format!("refresh {app}"),
        CommandKind::Resources { app } => format!("resources {app}"),
        CommandKind::Terminate { app } => format!("terminate {app}"),
        CommandKind::Diff { app } => format!("diff {app}"),
        CommandKind::Rollback { app, id, prune } => {
            format!("rollback {app} id={} prune={prune}", option(*id))
        }
        CommandKind::History { app } => format!("history {app}"),
        CommandKind::Why { app, key } => format!("why {app} {key}"),
    }
}

fn hello(said: &Hello) -> String {
    let Hello {
        protocol: ProtocolRange { oldest, newest },
        capabilities,
        facts: about,
        head,
        anchor,
        incarnation,
        status_sequence,
        read_only,
        paused,
        statement,
    } = said;
    let head = head.map(|signed| {
        let head = signed.head;
        let (list, previous) = (head.list_root, head.previous);
        let which = format!("{} {} {}", head.cluster, head.epoch, head.generation);
        format!("({which} list={list} previous={previous} {})", opaque(&signed.signature.0))
    });
    let anchor = anchor.map(|anchor| format!("({} {} {})", anchor.epoch, anchor.generation, anchor.hash));
    let statement = statement.map(|Statement { series, number }| format!("{series}#{number}"));
    format!(
        "protocol={oldest}..{newest} capabilities={capabilities:?} {} head={} anchor={} \
         statuses={incarnation}#{status_sequence} read_only={read_only:?} paused={} statement={}",
        facts(about),
        option(head),
        option(anchor),
        pause(paused.as_ref()),
        option(statement)
    )
}

fn facts(facts: &ClusterFacts) -> String {
    let ClusterFacts { kube_system_uid, kubernetes_version, agent_version, certificate_not_after, policy } =
        facts;
    let policy = policy.as_ref().map(|policy| format!(" policy={} {:?}", policy.digest.short(), policy.text));
    format!(
        "uid={kube_system_uid:?} kubernetes={kubernetes_version:?} agent={agent_version:?} certificate={}{}",
        certificate_not_after.0,
        policy.unwrap_or_default()
    )
}

fn pause(paused: Option<&ToldPause>) -> String {
    let words = |ToldPause { by, reason, at, held_ms }: &ToldPause| {
        format!("({by:?} {reason:?} at={} held={held_ms:?})", at.0)
    };
    option(paused.map(words))
}

fn statuses(batch: &StatusBatch) -> String {
    let StatusBatch { incarnation, entries, now, observed, complete } = batch;
    let entry = |StatusEntry { sequence, app, value }: &StatusEntry| {
        format!("{app}#{sequence}={}", option(value.as_deref().map(opaque)))
    };
    let entries: Vec<String> = entries.iter().map(entry).collect();
    let observed = observed.map(|time| format!("{}+{}", time.boot, time.elapsed_ms));
    format!(
        "incarnation={incarnation} [{}] now={}+{} observed={} complete={complete}",
        entries.join(" "),
        now.boot,
        now.elapsed_ms,
        option(observed)
    )
}

fn refused(refusal: &Refusal) -> String {
    let Refusal { reason, message } = refusal;
    format!("reason={reason:?} message={message:?}")
}

fn change(change: &ListChange) -> String {
    match change {
        ListChange::Set(bytes) => format!("set {}", opaque(bytes)),
        ListChange::Splice { index, keep_front, keep_back, middle } => {
            format!("splice {index} {keep_front}+{}+{keep_back}", opaque(middle))
        }
        ListChange::Remove { index } => format!("remove {index}"),
        ListChange::Settings(bytes) => format!("settings {}", opaque(bytes)),
    }
}

/// Says bytes by their number and hash.
fn opaque(bytes: &[u8]) -> String {
    format!("{}:{}", bytes.len(), Digest::of(bytes).short())
}

fn opaques(all: &[Vec<u8>]) -> String {
    let words: Vec<String> = all.iter().map(|bytes| opaque(bytes)).collect();
    format!("[{}]", words.join(" "))
}

fn option(value: Option<impl ToString>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}

/// Says what an agent holds and manages.
pub(super) fn agent(agent: &AgentMachine, now: Now) -> Vec<String> {
    let link = agent.link();
    let mut words = vec![
        format!("anchor {}", option(link.anchor().map(|at| format!("{} {}", at.generation, at.hash)))),
        format!("head {}", option(link.held().map(|held| held.head.hash()))),
        format!("list {}", option(link.list().map(argosy_core::desired::DesiredList::root))),
        format!("paused {}", option(agent.paused().map(|order| order.by.clone()))),
    ];
    for app in link.assigned_apps() {
        words.push(format!("assigned {app} {}", option(link.assigned(app).map(opaque))));
    }
    for (app, element) in link.list().unwrap().elements() {
        let assignment = &element.assignment;
        let complete = link.is_complete(assignment.root);
        words.push(format!("listed {app} {} {} {complete}", assignment.root.0, word(&assignment.phase)));
    }
    for (key, entry) in agent.reconciler().inventory() {
        let applied = entry.applied.as_ref().map(|body| body.manifest);
        let uid = option(entry.uid.as_ref());
        words.push(format!("manages {key} of {} uid={uid} applied={}", entry.app, option(applied)));
    }
    for (command, state) in link.open_commands(now) {
        words.push(format!("command {} {} {}", command.id, asked(&command.kind), word(&state)));
    }
    words
}

/// Says what a hub has published and knows.
pub(super) fn hub(hub: &HubMachine, kept: &Kept, now: Now) -> Vec<String> {
    let edge = hub.cluster(EDGE, now).unwrap();
    let mut words = vec![
        format!("cluster {} {} joined={} labels={:?}", edge.name, edge.cluster, edge.joined, edge.labels),
        format!("head {}", option(edge.head.map(|(epoch, number)| format!("{epoch} {number}")))),
        format!("stored {}", option(edge.stored.map(|Generation(number)| number))),
        format!("chain {}", word(&edge.chain)),
        format!("facts {}", option(edge.facts.as_ref().map(facts))),
        format!("paused {}", option(edge.paused.map(|paused| paused.by))),
    ];
    for app in hub.apps(now, &kept.hub).unwrap() {
        let status = app.status.map(|status| format!("{} {}", word(&status.sync), word(&status.health)));
        let (phase, desired) = (app.phase.map(|phase| word(&phase)), app.desired.map(|root| root.0));
        let name = app.app;
        words.push(format!("app {name} {} {} {}", option(phase), option(desired), option(status)));
        for (root, commit) in app.commits {
            words.push(format!("commit {name} {} {commit}", root.0));
        }
    }
    words
}

fn word(value: &impl Debug) -> String {
    format!("{value:?}")
}
