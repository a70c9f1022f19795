//! What travels on the link, as validated types.
//!
//! Urgent frames (everything but [`HubFrame::Chunk`]) are sent at once; chunks only against credit (M11). Any frame is
//! a sign of life.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use crate::desired::{Anchor, Signature, SignedHead};
use crate::ids::{AppId, CommandId, Epoch, Generation, Incarnation, InstallationId};
use crate::journal::{JournalBatch, JournalHeld};
use crate::local::PolicySummary;
use crate::pause::ToldPause;
use crate::release::Root;
use crate::time::{MonoTime, WallTime};

mod command;

pub use command::{
    Command, CommandKind, CommandState, CommandUpdate, DIFF, HISTORY, SYNC_OPTIONS, SYNC_RETRY, WHY,
};

/// Largest frame in bytes, encoded.
pub const FRAME_LIMIT: usize = 4 << 20;
/// Largest value of anything on the link once decompressed.
pub const DECOMPRESSED_LIMIT: usize = 8 << 20;
/// Size of a bulk chunk.
pub const CHUNK: usize = 16 << 10;
/// What the hub may send unasked, and an agent's first credit (M10).
pub const UNASKED: u64 = 64 << 10;
/// The protocol versions that this program speaks.
pub const PROTOCOL: ProtocolRange = ProtocolRange { oldest: 1, newest: 1 };

/// What agents of this version can do beyond the protocol, as named in their [`Hello`].
pub const CAPABILITIES: [&str; 6] =
    [crate::journal::CAPABILITY, DIFF, HISTORY, SYNC_OPTIONS, SYNC_RETRY, WHY];

/// A range of protocol versions; the newest that both ends speak is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolRange {
    /// Oldest version spoken.
    pub oldest: u32,
    /// Newest version spoken.
    pub newest: u32,
}

impl ProtocolRange {
    /// Gives the newest version that both speak; `None` when the ranges do not meet.
    pub fn common(self, other: Self) -> Option<u32> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }
}

/// What an agent tells of its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct ClusterFacts {
    /// UID of the namespace `kube-system`: the cluster's own identity (M15, M23).
    #[n(0)]
    pub kube_system_uid: String,
    /// Version of the API server, e.g. `v1.36.3`; empty while it was never reached.
    #[n(1)]
    pub kubernetes_version: String,
    /// The agent's version.
    #[n(2)]
    pub agent_version: String,
    /// Expiry of the agent's certificate.
    #[n(3)]
    pub certificate_not_after: WallTime,
    /// The agent's local policy; absent where it has none, or is older than that.
    #[n(4)]
    pub policy: Option<PolicySummary>,
}

/// First frame of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Versions spoken.
    pub protocol: ProtocolRange,
    /// Named abilities beyond the version.
    pub capabilities: BTreeSet<String>,
    /// About the cluster.
    pub facts: ClusterFacts,
    /// The head that the agent holds; absent when it holds none.
    pub head: Option<SignedHead>,
    /// The anchor beside the store; absent before the first head.
    pub anchor: Option<Anchor>,
    /// Which life of the agent's store.
    pub incarnation: Incarnation,
    /// Highest status number that the agent has given out.
    pub status_sequence: u64,
    /// Why the agent only reads, if it does.
    pub read_only: Option<String>,
    /// The pause that is in force at the edge; a hub that knows of none finds it in `read_only`.
    pub paused: Option<ToldPause>,
    /// Tells this statement of the agent from earlier ones, which may come later by file; an older agent does not say.
    pub statement: Option<Statement>,
}

/// Numbers what an agent says of itself as a whole: on every stream, and in every receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Statement {
    /// Which store numbers them: a store that was lost or rolled back is another one.
    #[n(0)]
    pub series: Incarnation,
    /// Number within the series; grows with every statement.
    #[n(1)]
    pub number: u64,
}

/// Number of a bulk transfer, unique on one session: pulls have odd numbers, chosen by the agent; what comes unasked has
/// the even numbers from 2 on, in the order in which the heads of the session list it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u32);

/// A half-open range of entry indices of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRange {
    /// First.
    pub start: u32,
    /// One after the last.
    pub end: u32,
}

/// What a pull asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullWhat {
    /// Entries of the release, from this index on in the answer's own order: the difference to `base` if the hub has
    /// it, else all.
    Entries {
        /// How many items of the answer the agent already has from an earlier session.
        from: u32,
    },
    /// Manifests of these entries.
    Manifests {
        /// Which, in rising order.
        ranges: Vec<EntryRange>,
    },
}

/// Asks for bulk data of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Names the answer.
    pub transfer: TransferId,
    /// Which release.
    pub root: Root,
    /// A complete release that the agent has, to send the difference to.
    pub base: Option<Root>,
    /// What of it.
    pub what: PullWhat,
}

/// The newest status of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEntry {
    /// Number within the incarnation; grows with every change.
    pub sequence: u64,
    /// Which app.
    pub app: AppId,
    /// CBOR of [`crate::status::AppStatus`]; absent when the app has left the cluster.
    pub value: Option<Vec<u8>>,
}

/// Statuses, latest wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusBatch {
    /// Which life of the agent's store numbered them.
    pub incarnation: Incarnation,
    /// Changed statuses in the order of their numbers.
    pub entries: Vec<StatusEntry>,
    /// The agent's elapsed time when it sent this: ages are measured against it.
    pub now: MonoTime,
    /// Everything up to here was observed by then, so unchanged statuses hold as of this time; absent while the agent
    /// cannot see its cluster.
    pub observed: Option<MonoTime>,
    /// With this batch the hub has the newest status of every app: what it has of other incarnations is void.
    pub complete: bool,
}

/// A frame from agent to hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFrame {
    /// First frame of a session.
    Hello(Box<Hello>),
    /// The head of this number, with its list, is durable at the agent.
    HeadAck {
        /// Which chain.
        epoch: Epoch,
        /// Its number.
        generation: Generation,
    },
    /// Part of the agent's own list, asked for by [`HubFrame::ListRequest`]; the last closes it.
    OwnList {
        /// Settings' bytes, in the first part.
        settings: Option<Vec<u8>>,
        /// Assignments' bytes.
        elements: Vec<Vec<u8>>,
        /// Closes the list.
        last: bool,
    },
    /// Asks for bulk data.
    Pull(Pull),
    /// Ends a transfer that is no longer wanted.
    Cancel(TransferId),
    /// Grants more bytes of chunks.
    Credit(u64),
    /// Statuses.
    Status(StatusBatch),
    /// What became of a command.
    CommandUpdate(CommandUpdate),
    /// What [`Hello`] said of the agent and its cluster has changed.
    Facts {
        /// About the cluster.
        facts: ClusterFacts,
        /// Why the agent only reads, if it does.
        read_only: Option<String>,
        /// The pause that is in force at the edge.
        paused: Option<ToldPause>,
    },
    /// Rows of the agent's journal; one batch is on its way at a time, and none to a hub that keeps no journals.
    Journal(JournalBatch),
    /// The agent refuses what it got and closes.
    Refused(Refusal),
    /// Nothing but a sign of life.
    Alive,
}

/// One change of a list against the one the agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListChange {
    /// Sets an assignment: its whole bytes.
    Set(Vec<u8>),
    /// Sets an assignment by splicing new bytes into the held ones: keeps the first `keep_front` and the last
    /// `keep_back` bytes of the element at `index` (by app, in the held list).
    Splice {
        /// Which element of the held list.
        index: u32,
        /// Bytes kept at the front.
        keep_front: u32,
        /// Bytes kept at the back.
        keep_back: u32,
        /// Bytes between them.
        middle: Vec<u8>,
    },
    /// Takes an element off.
    Remove {
        /// Which element of the held list.
        index: u32,
    },
    /// Sets the settings.
    Settings(Vec<u8>),
}

/// What the changes of a list are made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListBase {
    /// The list that the agent holds.
    Held,
    /// An empty list: the list comes whole.
    Empty,
}

/// Why an end of the link refuses the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason as a word.
    pub reason: RefusalReason,
    /// For people.
    pub message: String,
}

/// Reasons for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalReason {
    /// No common protocol version.
    Protocol,
    /// The certificate is valid but its UUID is in no registry (M14).
    Unregistered,
    /// The cluster was revoked.
    Revoked,
    /// A newer stream of the same cluster took over (M15).
    Replaced,
    /// Two clusters with one identity (M15).
    Cloned,
    /// A head that does not follow, or whose signature does not verify.
    Head,
    /// A frame that makes no sense where it came.
    Malformed,
    /// The other end is stopping.
    Stopping,
}

/// A piece of bulk data. A transfer is a sequence of length-framed items that say themselves what they are; see
/// [`crate::session::bulk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which transfer.
    pub transfer: TransferId,
    /// The bytes.
    pub data: Vec<u8>,
    /// Closes the transfer.
    pub last: bool,
}

/// A frame from hub to agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubFrame {
    /// Answer to `Hello`.
    Welcome(Welcome),
    /// The agent holds the newest head: nothing to send.
    InSync,
    /// The agent's head is of no chain that the hub knows: the agent sends its own list (M14).
    ListRequest,
    /// Changes of the list; the next [`HubFrame::Head`] names the result.
    ListChanges {
        /// What they are made to (in the first part; later parts continue it).
        base: ListBase,
        /// The changes.
        changes: Vec<ListChange>,
    },
    /// A head over the list with the changes just sent. What the receiver can compute is not in it: cluster, list root,
    /// previous hash.
    Head {
        /// The chain, when it is another than that of the held head.
        epoch: Option<Epoch>,
        /// Its number.
        generation: Generation,
        /// The signature.
        signature: Signature,
        /// Apps, by index in the list of this head, whose releases follow unasked, as the difference to the release of
        /// the same app in the list before.
        unasked: Vec<u32>,
    },
    /// Bulk data.
    Chunk(Chunk),
    /// A pull's release is no longer at the hub.
    Gone(TransferId),
    /// Statuses of this incarnation up to this number are durable at the hub.
    StatusAck {
        /// Number within the session's incarnation.
        sequence: u64,
    },
    /// A command.
    Command(Command),
    /// Forgets a command whose final state the hub has.
    CommandDone(CommandId),
    /// Rows of the journal up to this number are durable at the hub.
    JournalAck {
        /// Number within the journal.
        sequence: u64,
    },
    /// The rows of the journal that came are refused, and nothing of them is kept.
    JournalRefused {
        /// Why.
        why: String,
    },
    /// The hub refuses the agent and closes.
    Refused(Refusal),
    /// Nothing but a sign of life.
    Alive,
}

/// The hub's answer to `Hello`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// Protocol version in use.
    pub protocol: u32,
    /// The hub's installation.
    pub installation: InstallationId,
    /// Statuses that the hub has: incarnation and highest number; absent when none.
    pub status: Option<(Incarnation, u64)>,
    /// The hub's clock, proved by its certificate.
    pub wall: WallTime,
    /// What the hub has of the agent's journal.
    pub journal: JournalHeld,
}
