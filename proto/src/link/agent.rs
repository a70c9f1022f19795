//! Frames from agent to hub.

use std::collections::BTreeSet;

use argosy_core::ids::{BootId, Generation, JournalId};
use argosy_core::journal::{BATCH_ROWS, JournalBatch};
use argosy_core::local::PolicySummary;
use argosy_core::pause::ToldPause;
use argosy_core::session::frame::{
    AgentFrame, ClusterFacts, EntryRange, Hello, ProtocolRange, Pull, PullWhat, Statement, StatusBatch,
    StatusEntry,
};
use argosy_core::time::{MonoTime, WallTime};

use crate::error::FrameError;
use crate::field;
use crate::link::{limits, shared};
use crate::v1;
use crate::v1::agent_frame::Frame;

impl From<AgentFrame> for v1::AgentFrame {
    fn from(frame: AgentFrame) -> Self {
        let frame = match frame {
            AgentFrame::Hello(hello) => Frame::Hello((*hello).into()),
            AgentFrame::HeadAck { epoch, generation } => {
                Frame::HeadAck(v1::HeadAck { epoch: epoch.as_bytes().to_vec(), generation: generation.0 })
            }
            AgentFrame::OwnList { settings, elements, last } => {
                Frame::OwnList(v1::OwnList { settings, elements, more: !last })
            }
            AgentFrame::Pull(pull) => Frame::Pull(pull.into()),
            AgentFrame::Cancel(transfer) => Frame::Cancel(transfer.0),
            AgentFrame::Credit(bytes) => Frame::Credit(bytes),
            AgentFrame::Status(batch) => Frame::Status(batch.into()),
            AgentFrame::CommandUpdate(update) => Frame::CommandUpdate(update.into()),
            AgentFrame::Facts { facts, read_only, paused } => Frame::Facts(v1::FactsUpdate {
                facts: Some(facts.into()),
                read_only,
                paused: paused.map(Into::into),
            }),
            AgentFrame::Journal(batch) => Frame::Journal(batch.into()),
            AgentFrame::Refused(refusal) => Frame::Refused(refusal.into()),
            AgentFrame::Alive => Frame::Alive(v1::Alive {}),
        };
        Self { frame: Some(frame) }
    }
}

impl TryFrom<v1::AgentFrame> for AgentFrame {
    type Error = FrameError;

    fn try_from(frame: v1::AgentFrame) -> Result<Self, FrameError> {
        Ok(match frame.frame.ok_or(FrameError::UnknownFrame)? {
            Frame::Hello(hello) => Self::Hello(Box::new(hello.try_into()?)),
            Frame::HeadAck(ack) => Self::HeadAck {
                epoch: shared::epoch("head_ack.epoch", &ack.epoch)?,
                generation: Generation(ack.generation),
            },
            Frame::OwnList(list) => own_list(list)?,
            Frame::Pull(pull) => Self::Pull(pull.try_into()?),
            Frame::Cancel(transfer) => Self::Cancel(shared::transfer("cancel", transfer)?),
            Frame::Credit(bytes) => Self::Credit(bytes),
            Frame::Status(batch) => Self::Status(batch.try_into()?),
            Frame::CommandUpdate(update) => Self::CommandUpdate(update.try_into()?),
            Frame::Facts(update) => Self::Facts {
                facts: field::required("facts.facts", update.facts)?.try_into()?,
                read_only: read_only("facts.read_only", update.read_only)?,
                paused: update.paused.map(TryInto::try_into).transpose()?,
            },
            Frame::Journal(batch) => Self::Journal(batch.try_into()?),
            Frame::Refused(refusal) => Self::Refused(refusal.try_into()?),
            Frame::Alive(v1::Alive {}) => Self::Alive,
        })
    }
}

fn own_list(list: v1::OwnList) -> Result<AgentFrame, FrameError> {
    field::count("own_list.elements", list.elements.len(), limits::ELEMENTS)?;
    let settings = list.settings.map(|bytes| field::filled("own_list.settings", bytes)).transpose()?;
    let elements: Result<Vec<_>, _> =
        list.elements.into_iter().map(|bytes| field::filled("own_list.elements", bytes)).collect();
    Ok(AgentFrame::OwnList { settings, elements: elements?, last: !list.more })
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            protocol_oldest: hello.protocol.oldest,
            protocol_newest: hello.protocol.newest,
            capabilities: hello.capabilities.into_iter().collect(),
            facts: Some(hello.facts.into()),
            head: hello.head.map(Into::into),
            anchor: hello.anchor.map(Into::into),
            incarnation: hello.incarnation.as_bytes().to_vec(),
            status_sequence: hello.status_sequence,
            read_only: hello.read_only.map(|reason| field::cut(reason, limits::TEXT)),
            paused: hello.paused.map(Into::into),
            statement: hello.statement.map(Into::into),
        }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = FrameError;

    fn try_from(hello: v1::Hello) -> Result<Self, FrameError> {
        let (oldest, newest) = (hello.protocol_oldest, hello.protocol_newest);
        if oldest == 0 || oldest > newest {
            return Err(FrameError::Number {
                field: "hello.protocol_oldest",
                expected: "from 1 to hello.protocol_newest",
                got: oldest.into(),
            });
        }
        field::count("hello.capabilities", hello.capabilities.len(), limits::CAPABILITIES)?;
        let capabilities: Result<BTreeSet<_>, _> = hello
            .capabilities
            .into_iter()
            .map(|name| field::word("hello.capabilities", name, limits::WORD))
            .collect();
        Ok(Self {
            protocol: ProtocolRange { oldest, newest },
            capabilities: capabilities?,
            facts: field::required("hello.facts", hello.facts)?.try_into()?,
            head: hello.head.map(TryInto::try_into).transpose()?,
            anchor: hello.anchor.map(TryInto::try_into).transpose()?,
            incarnation: shared::incarnation("hello.incarnation", &hello.incarnation)?,
            status_sequence: hello.status_sequence,
            read_only: read_only("hello.read_only", hello.read_only)?,
            paused: hello.paused.map(TryInto::try_into).transpose()?,
            statement: hello.statement.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Statement> for v1::Statement {
    fn from(statement: Statement) -> Self {
        Self { series: statement.series.as_bytes().to_vec(), number: statement.number }
    }
}

impl TryFrom<v1::Statement> for Statement {
    type Error = FrameError;

    fn try_from(statement: v1::Statement) -> Result<Self, FrameError> {
        Ok(Self {
            series: shared::incarnation("hello.statement.series", &statement.series)?,
            number: statement.number,
        })
    }
}

fn read_only(name: &'static str, reason: Option<String>) -> Result<Option<String>, FrameError> {
    reason.map(|reason| field::text(name, reason, limits::TEXT)).transpose()
}

impl From<JournalBatch> for v1::JournalBatch {
    fn from(batch: JournalBatch) -> Self {
        Self {
            journal: batch.journal.as_bytes().to_vec(),
            rows: batch.rows,
            now: Some(batch.now.into()),
            more: !batch.complete,
        }
    }
}

impl TryFrom<v1::JournalBatch> for JournalBatch {
    type Error = FrameError;

    fn try_from(batch: v1::JournalBatch) -> Result<Self, FrameError> {
        field::count("journal.rows", batch.rows.len(), BATCH_ROWS)?;
        let rows: Result<Vec<_>, _> =
            batch.rows.into_iter().map(|row| field::filled("journal.rows", row)).collect();
        Ok(Self {
            journal: field::fixed("journal.journal", &batch.journal).map(JournalId::new)?,
            rows: rows?,
            now: field::required("journal.now", batch.now)?.try_into()?,
            complete: !batch.more,
        })
    }
}

impl From<ToldPause> for v1::Pause {
    fn from(pause: ToldPause) -> Self {
        Self { by: pause.by, reason: pause.reason, at_ms: pause.at.0, held_ms: pause.held_ms }
    }
}

impl TryFrom<v1::Pause> for ToldPause {
    type Error = FrameError;

    fn try_from(pause: v1::Pause) -> Result<Self, FrameError> {
        Ok(Self {
            by: field::text("pause.by", pause.by, limits::TEXT)?,
            reason: field::text("pause.reason", pause.reason, limits::TEXT)?,
            at: WallTime(pause.at_ms),
            held_ms: pause.held_ms,
        })
    }
}

impl From<ClusterFacts> for v1::ClusterFacts {
    fn from(facts: ClusterFacts) -> Self {
        Self {
            kube_system_uid: facts.kube_system_uid,
            kubernetes_version: facts.kubernetes_version,
            agent_version: facts.agent_version,
            certificate_not_after_ms: facts.certificate_not_after.0,
            policy: facts.policy.map(|policy| v1::LocalPolicy {
                digest: policy.digest.as_bytes().to_vec(),
                summary: policy.text,
            }),
        }
    }
}

impl TryFrom<v1::ClusterFacts> for ClusterFacts {
    type Error = FrameError;

    fn try_from(facts: v1::ClusterFacts) -> Result<Self, FrameError> {
        Ok(Self {
            kube_system_uid: field::word("facts.kube_system_uid", facts.kube_system_uid, limits::WORD)?,
            kubernetes_version: field::word(
                "facts.kubernetes_version",
                facts.kubernetes_version,
                limits::WORD,
            )?,
            agent_version: field::word("facts.agent_version", facts.agent_version, limits::WORD)?,
            certificate_not_after: WallTime(facts.certificate_not_after_ms),
            policy: facts.policy.map(PolicySummary::try_from).transpose()?,
        })
    }
}

impl TryFrom<v1::LocalPolicy> for PolicySummary {
    type Error = FrameError;

    fn try_from(policy: v1::LocalPolicy) -> Result<Self, FrameError> {
        Ok(Self {
            digest: shared::digest("facts.policy.digest", &policy.digest)?,
            text: field::text("facts.policy.summary", policy.summary, limits::TEXT)?,
        })
    }
}

impl From<Pull> for v1::Pull {
    fn from(pull: Pull) -> Self {
        let what = match pull.what {
            PullWhat::Entries { from } => v1::pull::What::EntriesFrom(from),
            PullWhat::Manifests { ranges } => v1::pull::What::Manifests(pack(&ranges)),
        };
        Self {
            transfer: pull.transfer.0,
            root: pull.root.0.as_bytes().to_vec(),
            base: shared::optional_bytes(pull.base),
            what: Some(what),
        }
    }
}

impl TryFrom<v1::Pull> for Pull {
    type Error = FrameError;

    fn try_from(pull: v1::Pull) -> Result<Self, FrameError> {
        if pull.transfer.is_multiple_of(2) {
            return Err(FrameError::Number {
                field: "pull.transfer",
                expected: "odd",
                got: pull.transfer.into(),
            });
        }
        let what = match field::required("pull.what", pull.what)? {
            v1::pull::What::EntriesFrom(from) => PullWhat::Entries { from },
            v1::pull::What::Manifests(ranges) => PullWhat::Manifests { ranges: unpack(&ranges)? },
        };
        Ok(Self {
            transfer: shared::transfer("pull.transfer", pull.transfer)?,
            root: shared::root("pull.root", &pull.root)?,
            base: shared::optional_root("pull.base", &pull.base)?,
            what,
        })
    }
}

fn pack(ranges: &[EntryRange]) -> v1::Ranges {
    let mut end = 0;
    let mut gaps_and_lengths = Vec::with_capacity(ranges.len().saturating_mul(2));
    for range in ranges {
        gaps_and_lengths.push(range.start.saturating_sub(end));
        gaps_and_lengths.push(range.end.saturating_sub(range.start));
        end = range.end;
    }
    v1::Ranges { gaps_and_lengths }
}

fn unpack(ranges: &v1::Ranges) -> Result<Vec<EntryRange>, FrameError> {
    const FIELD: &str = "pull.manifests";
    let numbers = &ranges.gaps_and_lengths;
    field::count(FIELD, numbers.len(), 2 * limits::ELEMENTS)?;
    if numbers.is_empty() {
        return Err(FrameError::Empty { field: FIELD });
    }
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(FrameError::Number {
            field: FIELD,
            expected: "an even count of numbers",
            got: numbers.len() as u64,
        });
    }
    let mut before: u32 = 0;
    let mut unpacked = Vec::with_capacity(pairs.len());
    for [gap, length] in pairs {
        if *length == 0 {
            return Err(FrameError::Number { field: FIELD, expected: "a range with entries", got: 0 });
        }
        let too_far = FrameError::Number {
            field: FIELD,
            expected: "a range below 2^32",
            got: u64::from(before) + u64::from(*gap) + u64::from(*length),
        };
        let start = before.checked_add(*gap).ok_or(too_far)?;
        let end = start.checked_add(*length).ok_or(too_far)?;
        unpacked.push(EntryRange { start, end });
        before = end;
    }
    Ok(unpacked)
}

impl From<StatusBatch> for v1::StatusBatch {
    fn from(batch: StatusBatch) -> Self {
        let observed = batch.observed.map(|time| v1::MonoTime {
            boot: if time.boot == batch.now.boot { Vec::new() } else { time.boot.as_bytes().to_vec() },
            elapsed_ms: time.elapsed_ms,
        });
        Self {
            incarnation: batch.incarnation.as_bytes().to_vec(),
            entries: batch.entries.into_iter().map(Into::into).collect(),
            now: Some(batch.now.into()),
            observed,
            complete: batch.complete,
        }
    }
}

impl TryFrom<v1::StatusBatch> for StatusBatch {
    type Error = FrameError;

    fn try_from(batch: v1::StatusBatch) -> Result<Self, FrameError> {
        field::count("status.entries", batch.entries.len(), limits::ELEMENTS)?;
        let now: MonoTime = field::required("status.now", batch.now)?.try_into()?;
        let observed = batch
            .observed
            .map(|time| {
                let boot = field::optional("status.observed.boot", &time.boot)?.map_or(now.boot, BootId::new);
                Ok(MonoTime { boot, elapsed_ms: time.elapsed_ms })
            })
            .transpose()?;
        let entries: Result<Vec<StatusEntry>, FrameError> =
            batch.entries.into_iter().map(TryInto::try_into).collect();
        let entries = entries?;
        if !entries.is_sorted_by(|a, b| a.sequence < b.sequence) {
            return Err(FrameError::Unsorted { field: "status.entries" });
        }
        Ok(Self {
            incarnation: shared::incarnation("status.incarnation", &batch.incarnation)?,
            entries,
            now,
            observed,
            complete: batch.complete,
        })
    }
}

impl From<StatusEntry> for v1::StatusEntry {
    fn from(entry: StatusEntry) -> Self {
        Self {
            sequence: entry.sequence,
            namespace: field::namespace_of(&entry.app),
            name: entry.app.name.to_string(),
            value: entry.value,
        }
    }
}

impl TryFrom<v1::StatusEntry> for StatusEntry {
    type Error = FrameError;

    fn try_from(entry: v1::StatusEntry) -> Result<Self, FrameError> {
        Ok(Self {
            sequence: entry.sequence,
            app: field::app(entry.namespace, entry.name)?,
            value: entry.value.map(|bytes| field::filled("status.entries.value", bytes)).transpose()?,
        })
    }
}
