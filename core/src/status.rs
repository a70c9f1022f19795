//! What an agent says of an application: statements with a time.
//!
//! Statuses travel as CBOR, latest wins; the hub keeps the bytes and reads them for operators. Names and texts are Argo
//! CD's, so that they can be shown as an `Application`'s status unchanged.

use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::desired::Phase;
use crate::health::Health;
use crate::ids::{DeletionId, Digest};
use crate::key::ResourceKey;
use crate::order::SyncPhase;
use crate::release::Root;
use crate::time::{MonoTime, WallTime};

/// Most bytes of a message.
const MESSAGE: usize = 1024;
/// Most releases of a status that an application was synced to.
const HISTORY: usize = 10;
/// Most rows of a status: objects, results, held deletes. Counts tell of the rest.
const ROWS: usize = 500;

/// Cuts a message that says too much, and shows that it does.
pub fn cut(message: &mut String) {
    const MORE: &str = "…";
    if message.len() > MESSAGE {
        message.truncate(message.floor_char_boundary(MESSAGE - MORE.len()));
        message.push_str(MORE);
    }
}

/// Whether live objects are what Git says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Default)]
#[cbor(index_only)]
pub enum SyncStatus {
    /// They are.
    #[n(0)]
    Synced,
    /// They are not.
    #[n(1)]
    OutOfSync,
    /// It cannot be told.
    #[default]
    #[n(2)]
    Unknown,
}

impl SyncStatus {
    /// Gives Argo CD's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::OutOfSync => "OutOfSync",
            Self::Unknown => "Unknown",
        }
    }
}

/// How an operation stands (Argo CD: `operationState.phase`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(index_only)]
pub enum OperationPhase {
    /// Under way, or waiting for its next attempt.
    #[n(0)]
    Running,
    /// Done.
    #[n(1)]
    Succeeded,
    /// Some object failed.
    #[n(2)]
    Failed,
    /// It could not be carried out.
    #[n(3)]
    Error,
}

impl OperationPhase {
    /// Gives Argo CD's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Error => "Error",
        }
    }
}

/// What a sync did to one object (Argo CD: result codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(index_only)]
pub enum ResultCode {
    /// Applied, or already as it should be.
    #[n(0)]
    Synced,
    /// Failed; the message says why.
    #[n(1)]
    SyncFailed,
    /// Deleted.
    #[n(2)]
    Pruned,
    /// To be deleted, and held; the message says by what.
    #[n(3)]
    PruneSkipped,
    /// Not applied: another application owns it, or the object of a part is not there.
    #[n(4)]
    SharedSkipped,
}

impl ResultCode {
    /// Gives Argo CD's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::SyncFailed => "SyncFailed",
            Self::Pruned => "Pruned",
            Self::PruneSkipped => "PruneSkipped",
            Self::SharedSkipped => "SharedSkipped",
        }
    }
}

/// One object of a sync's result.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ResultRow {
    /// Which object.
    #[n(0)]
    pub key: ResourceKey,
    /// What was done.
    #[n(1)]
    pub code: ResultCode,
    /// For people; the API server's reason where it refused.
    #[n(2)]
    pub message: String,
    /// The phase in which it ran, if it is a hook.
    #[n(3)]
    pub hook: Option<SyncPhase>,
    /// How it stands, if it is a hook.
    #[n(4)]
    pub hook_phase: Option<OperationPhase>,
    /// The version of its kind that its manifest states; empty where that is not known.
    #[n(5)]
    #[cbor(with = "crate::later", has_nil)]
    pub version: String,
}

impl ResultRow {
    /// Makes the row of an object that is no hook.
    pub fn new(key: ResourceKey, code: ResultCode, message: impl Into<String>) -> Self {
        Self { key, code, message: message.into(), hook: None, hook_phase: None, version: String::new() }
    }
}

/// One sync of one application.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OperationStatus {
    /// How it stands.
    #[n(0)]
    pub phase: OperationPhase,
    /// For people.
    #[n(1)]
    pub message: String,
    /// The release that it syncs.
    #[n(2)]
    pub root: Root,
    /// When it began.
    #[n(3)]
    pub started: MonoTime,
    /// When it ended.
    #[n(4)]
    pub finished: Option<MonoTime>,
    /// How often it was tried again.
    #[n(5)]
    pub retries: u64,
    /// Whether nobody asked for it.
    #[n(6)]
    pub automated: bool,
    /// What it did, in order; only what is worth telling: failures, deletes, and the rest while it is small.
    #[n(7)]
    pub results: Vec<ResultRow>,
}

/// One object of an application, compared.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ResourceRow {
    /// Which object.
    #[n(0)]
    pub key: ResourceKey,
    /// Compared with the assigned release.
    #[n(1)]
    pub status: SyncStatus,
    /// Its health; absent for kinds without a rule.
    #[n(2)]
    pub health: Option<Health>,
    /// What the health rule says.
    #[n(3)]
    pub health_message: String,
    /// Left the desired state and is still there.
    #[n(4)]
    pub requires_pruning: bool,
    /// What a person should know: who owns it, who fights over it, what admission changes.
    #[n(5)]
    pub message: String,
    /// Its wave.
    #[n(6)]
    #[cbor(with = "crate::later", has_nil)]
    pub wave: i32,
    /// Somebody has to confirm that it is deleted (Argo CD: `requiresDeletionConfirmation`).
    #[n(7)]
    #[cbor(with = "crate::later", has_nil)]
    pub confirms: bool,
    /// The version of its kind that its manifest states; empty where that is not known.
    #[n(8)]
    #[cbor(with = "crate::later", has_nil)]
    pub version: String,
}

/// A release that an application was synced to (Argo CD: `status.history`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HistoryRow {
    /// Its number: they count up from 0.
    #[n(0)]
    pub id: u64,
    /// The release.
    #[n(1)]
    pub root: Root,
    /// When the sync began.
    #[n(2)]
    pub started: MonoTime,
    /// When it ended.
    #[n(3)]
    pub finished: MonoTime,
    /// When that was by the cluster's own clock, for people.
    #[n(4)]
    pub finished_at: WallTime,
    /// Whether nobody asked for it.
    #[n(5)]
    pub automated: bool,
    /// The app was Synced and Healthy with it, for as long as its document lets it be Degraded.
    #[n(6)]
    pub healthy: bool,
    /// In an answer, how long ago it ended; absent over a restart of the machine, and in the store.
    #[n(7)]
    pub age_ms: Option<u64>,
}

/// A condition of an application (Argo CD: `status.conditions`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
pub struct Condition {
    /// `InvalidSpecError`, `ComparisonError`, `SyncError`, `SharedResourceWarning`, …
    #[n(0)]
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    #[n(1)]
    pub message: String,
}

/// Deletes that the governor holds (M22).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Held {
    /// Digest of the sorted (key, UID) list: what a confirmation names.
    #[n(0)]
    pub plan: Digest,
    /// Why.
    #[n(1)]
    pub reason: String,
    /// What would be deleted; in a status the first of them.
    #[n(2)]
    pub deletes: Vec<HeldDelete>,
    /// How many more there are, which the plan names as well.
    #[n(3)]
    #[cbor(default)]
    pub more: u64,
}

/// One held delete.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct HeldDelete {
    /// Which object.
    #[n(0)]
    pub key: ResourceKey,
    /// Which incarnation.
    #[n(1)]
    pub uid: String,
}

impl Held {
    /// Gives how many deletes are held.
    pub fn count(&self) -> u64 {
        (self.deletes.len() as u64).saturating_add(self.more)
    }

    /// States so many deletes at most.
    fn shorten(&mut self, most: usize) {
        let count = self.count();
        self.deletes.truncate(most);
        self.more = count.saturating_sub(self.deletes.len() as u64);
    }

    /// Digest of a list of deletes, which must be sorted.
    pub fn plan_of(deletes: &[HeldDelete]) -> Digest {
        let parts: Vec<Vec<u8>> = deletes.iter().map(crate::store::encode).collect();
        Digest::of_parts("argosy delete plan v1", parts.iter().map(Vec::as_slice))
    }
}

/// How many objects an application has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct Counts {
    /// All.
    #[n(0)]
    pub total: u64,
    /// Those that are what Git says.
    #[n(1)]
    pub synced: u64,
    /// Those that are not.
    #[n(2)]
    pub out_of_sync: u64,
    /// Those of which it cannot be told.
    #[n(3)]
    pub unknown: u64,
}

/// Everything an agent says of one application.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AppStatus {
    /// Compared with the assigned release.
    #[n(0)]
    pub sync: SyncStatus,
    /// Rolled up.
    #[n(1)]
    pub health: Health,
    /// What caused it.
    #[n(2)]
    pub health_message: String,
    /// Release of the newest list.
    #[n(3)]
    pub listed: Option<Root>,
    /// Newest release that is complete at the agent.
    #[n(4)]
    pub assigned: Option<Root>,
    /// Release of the last sync that succeeded.
    #[n(5)]
    pub synced: Option<Root>,
    /// Phase of the newest list.
    #[n(6)]
    pub phase: Phase,
    /// The newest operation.
    #[n(7)]
    pub operation: Option<OperationStatus>,
    /// How many objects.
    #[n(8)]
    pub counts: Counts,
    /// Rows, where the app is not Synced and Healthy.
    #[n(9)]
    pub resources: Vec<ResourceRow>,
    /// Conditions, sorted.
    #[n(10)]
    pub conditions: Vec<Condition>,
    /// Held deletes.
    #[n(11)]
    pub held: Option<Held>,
    /// When this was observed.
    #[n(12)]
    pub observed: MonoTime,
    /// The deletion of which only kept objects remain (M6).
    #[n(13)]
    pub emptied: Option<DeletionId>,
    /// The releases that it was synced to, oldest first; the newest of them.
    #[n(14)]
    #[cbor(with = "crate::later", has_nil)]
    pub history: Vec<HistoryRow>,
}

impl AppStatus {
    /// Keeps what fits into a report: every message and every list has a bound.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        cut(&mut self.health_message);
        self.resources.truncate(ROWS);
        for row in &mut self.resources {
            cut(&mut row.health_message);
            cut(&mut row.message);
        }
        if let Some(operation) = &mut self.operation {
            cut(&mut operation.message);
            operation.results.truncate(ROWS);
            for row in &mut operation.results {
                cut(&mut row.message);
            }
        }
        for condition in &mut self.conditions {
            cut(&mut condition.message);
        }
        if let Some(held) = &mut self.held {
            cut(&mut held.reason);
            held.shorten(ROWS);
        }
        self.history.drain(..self.history.len().saturating_sub(HISTORY));
        self
    }

    /// Encodes it for the link. One beyond the limit gives way to a short one that says so: what the hub shows is never
    /// older than it seems.
    pub fn to_bytes(&self, limit: usize) -> Vec<u8> {
        let bytes = crate::store::encode(self);
        if bytes.len() <= limit {
            return bytes;
        }
        let message =
            format!("the status has {} bytes and at most {limit} are told: rows are left out", bytes.len());
        let mut short = self.clone();
        short.resources.clear();
        if let Some(operation) = &mut short.operation {
            operation.results.clear();
        }
        if let Some(held) = &mut short.held {
            held.shorten(0);
        }
        short.conditions = vec![Condition { kind: "StatusTooLarge".to_owned(), message }];
        crate::store::encode(&short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_between_characters() {
        let mut message = "é".repeat(MESSAGE);
        cut(&mut message);
        assert!(message.len() <= MESSAGE && message.ends_with("é…"));
        let mut short = "no".to_owned();
        cut(&mut short);
        assert_eq!(short, "no");
    }

    #[test]
    fn a_shortened_plan_keeps_its_digest_and_its_count() {
        let deletes: Vec<HeldDelete> = (0..2_000)
            .map(|index| HeldDelete {
                key: ResourceKey::new("", "ConfigMap", "n", format!("o{index:04}")),
                uid: "u".to_owned(),
            })
            .collect();
        let plan = Held::plan_of(&deletes);
        let mut held = Held { plan, reason: String::new(), deletes, more: 0 };
        held.shorten(ROWS);
        held.shorten(10);
        assert_eq!((held.plan, held.deletes.len(), held.count()), (plan, 10, 2_000));
    }
}
