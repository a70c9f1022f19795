//! What the reconciler keeps: durable rows, and what it works out of them.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::farewell::Farewell;
use super::history::{Left, Rollback};
use super::windows::Gatekeeper;
pub(super) use super::work::{Item, NamespaceStep, Wanted, WantedHook, WantedSet, Work};
use crate::cluster::LiveMeta;
use crate::desired::Assignment;
use crate::ids::{AppId, CommandId, Digest};
use crate::key::ResourceKey;
use crate::order::SyncPhase;
use crate::release::Root;
use crate::selection::{Selector, SyncOptions, selects};
use crate::status::{Held, HeldDelete, HistoryRow, OperationPhase, ResultRow};
use crate::store::encode;
use crate::time::{MonoTime, WallTime};

/// Tables of the reconciler.
pub mod tables {
    use crate::store::Table;

    /// Resource key → [`super::InventoryEntry`].
    pub const INVENTORY: Table = "inventory";
    /// Key of a part → [`super::InventoryEntry`]. Apart from the others: a version that knows no parts opens the store, and
    /// takes none of them for a whole object.
    pub const PARTS: Table = "parts";
    /// App → [`super::Operation`].
    pub const OPERATIONS: Table = "operations";
    /// App → [`super::Attempt`].
    pub const ATTEMPTS: Table = "attempts";
    /// The governor's count at key `count`.
    pub const GOVERNOR: Table = "governor";
    /// App → confirmed deletes.
    pub const CONFIRMED: Table = "confirmed";
    /// Manifest digest → facts, where they are worth telling.
    pub const FACTS: Table = "facts";
    /// Release root → version of facts: those of its manifests are all in [`FACTS`].
    pub const INGESTED: Table = "ingested";
    /// App → the releases that it was synced to ([`crate::status::HistoryRow`]), oldest first.
    pub const HISTORY: Table = "history";
    /// App → [`super::Farewell`].
    pub const FAREWELLS: Table = "farewells";

    /// Gives the table that has what is managed of an object, or of a part of one.
    pub fn of(key: &super::ResourceKey) -> Table {
        if key.is_part() { PARTS } else { INVENTORY }
    }

    /// All of them.
    pub const ALL: [Table; 10] =
        [INVENTORY, PARTS, OPERATIONS, ATTEMPTS, GOVERNOR, CONFIRMED, FACTS, INGESTED, HISTORY, FAREWELLS];
}

/// What an ingested release is marked with: facts of an earlier version are read anew.
pub(super) const FACTS_VERSION: u8 = 5;

/// What was last applied of an object. The body is made anew from the manifest, which stays pinned.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct AppliedBody {
    /// The manifest.
    #[n(0)]
    pub manifest: Digest,
    /// The app that the body's tracking names.
    #[n(1)]
    pub app: AppId,
}

/// A write that may be under way (M18): durable before its request.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Intent {
    /// An apply.
    #[n(0)]
    Apply {
        /// What.
        #[n(0)]
        body: AppliedBody,
        /// When it was sent.
        #[n(1)]
        at: MonoTime,
    },
    /// A delete.
    #[n(1)]
    Delete {
        /// Which incarnation.
        #[n(0)]
        uid: String,
        /// When it was sent.
        #[n(1)]
        at: MonoTime,
        /// Whether the governor counts it: nobody confirmed it.
        #[n(2)]
        #[cbor(default)]
        counted: bool,
    },
}

impl Intent {
    pub(super) fn at(&self) -> MonoTime {
        match self {
            Self::Apply { at, .. } | Self::Delete { at, .. } => *at,
        }
    }
}

/// One object that the agent manages.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[expect(clippy::struct_excessive_bools, reason = "a durable row of independent facts")]
pub struct InventoryEntry {
    /// The app that manages it, or did last.
    #[n(0)]
    pub app: AppId,
    /// Detached objects stay and belong to nobody until an app that desires them takes them over (M6).
    #[n(1)]
    pub detached: bool,
    /// The incarnation that we know; absent while a create is under way.
    #[n(2)]
    pub uid: Option<String>,
    /// Compared, never deleted (M19).
    #[n(3)]
    pub kept: bool,
    /// `Prune=false`: deleted only with the whole app.
    #[n(4)]
    pub prune_refused: bool,
    /// Found by its tracking after the store was lost; deleted only when asked (M22).
    #[n(5)]
    pub recovered: bool,
    /// What was last applied.
    #[n(6)]
    pub applied: Option<AppliedBody>,
    /// Fingerprint of our ownership after that.
    #[n(7)]
    pub fingerprint: Option<Digest>,
    /// Version of the object after that: what is older is no drift.
    #[n(8)]
    pub resource_version: u64,
    /// A write that may be under way.
    #[n(9)]
    pub intent: Option<Intent>,
    /// It completed for this body: its absence is no drift.
    #[n(10)]
    pub done: bool,
    /// The delete was accepted; it goes when its finalizers let it.
    #[n(11)]
    pub going: bool,
    /// Paths whose values admission changes.
    #[n(12)]
    pub changed: Vec<String>,
    /// The run of a hook that made it: it is no part of the app's state.
    #[n(13)]
    pub hook: Option<HookRun>,
    /// A change of it by others that concerns nothing but ignored differences: fingerprint, rules and body.
    #[n(16)]
    pub tolerated: Option<Digest>,
    /// Does not make its app `OutOfSync` when it has left the desired state.
    #[n(17)]
    #[cbor(with = "crate::later", has_nil)]
    pub ignore_extraneous: bool,
    /// The sync that deleted it, by when that began: it waits until the object is gone.
    #[n(20)]
    pub pruned_by: Option<MonoTime>,
}

/// One run of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HookRun {
    /// When its operation began.
    #[n(0)]
    pub started: MonoTime,
    /// Which try of the operation it was.
    #[n(1)]
    pub retries: u64,
    /// In which phase.
    #[n(2)]
    pub phase: SyncPhase,
}

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HookOutcome {
    /// Which.
    #[n(0)]
    pub key: ResourceKey,
    /// In which phase it ran.
    #[n(1)]
    pub phase: SyncPhase,
    /// Whether it did what it was for.
    #[n(2)]
    pub succeeded: bool,
    /// For people.
    #[n(3)]
    pub message: String,
}

impl InventoryEntry {
    pub(super) fn new(app: AppId) -> Self {
        Self {
            app,
            detached: false,
            uid: None,
            kept: false,
            prune_refused: false,
            recovered: false,
            applied: None,
            fingerprint: None,
            resource_version: 0,
            intent: None,
            done: false,
            going: false,
            changed: Vec::new(),
            hook: None,
            tolerated: None,
            ignore_extraneous: false,
            pruned_by: None,
        }
    }

    /// Tells whether it was deleted, or may have been: the delete has no answer yet.
    pub(super) fn is_deleted(&self) -> bool {
        self.going || matches!(self.intent, Some(Intent::Delete { .. }))
    }

    pub(super) fn belongs_to(&self, app: &AppId) -> bool {
        !self.detached && self.app == *app
    }
}

/// A sync that began; it freezes what it syncs (M8).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Operation {
    /// The assignment as it was when the sync began.
    #[n(0)]
    pub assignment: Assignment,
    /// Tells attempts apart.
    #[n(1)]
    pub attempt: Digest,
    /// The command that asked for it; absent for an automated sync.
    #[n(2)]
    pub command: Option<CommandId>,
    /// Deletes what left the desired state.
    #[n(3)]
    pub prune: bool,
    /// When it began.
    #[n(4)]
    pub started: MonoTime,
    /// How often it was tried again.
    #[n(5)]
    pub retries: u64,
    /// The hooks that ended in this try.
    #[n(6)]
    #[cbor(with = "crate::later", has_nil)]
    pub hooks: Vec<HookOutcome>,
    /// Whether hooks are run; absent until that is known.
    #[n(7)]
    pub with_hooks: Option<bool>,
    /// Somebody asked for its end.
    #[n(8)]
    #[cbor(with = "crate::later", has_nil)]
    pub terminated: bool,
    /// What it does otherwise than its application says.
    #[n(9)]
    #[cbor(with = "crate::later", has_nil)]
    pub options: SyncOptions,
    /// The time when it began, if that was known: by it a window lets it overrun.
    #[n(12)]
    pub began: Option<WallTime>,
    /// It goes back to an older release.
    #[n(13)]
    pub rollback: Option<Rollback>,
    /// It is no sync: it runs the hooks of this phase of its app's deletion.
    #[n(14)]
    pub farewell: Option<SyncPhase>,
    /// Exactly its release was asked for: it is tried again with no other.
    #[n(15)]
    #[cbor(with = "crate::later", has_nil)]
    pub exact: bool,
}

/// How the last sync of an app ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Attempt {
    /// What was tried.
    #[n(0)]
    pub attempt: Digest,
    /// How it ended.
    #[n(1)]
    pub phase: OperationPhase,
    /// For people.
    #[n(2)]
    pub message: String,
    /// Which release.
    #[n(3)]
    pub root: Root,
    /// Release of the last sync that succeeded.
    #[n(4)]
    pub synced: Option<Root>,
    /// When it began.
    #[n(5)]
    pub started: MonoTime,
    /// When it ended.
    #[n(6)]
    pub finished: MonoTime,
    /// How often it was tried again.
    #[n(7)]
    pub retries: u64,
    /// Whether nobody asked for it.
    #[n(8)]
    pub automated: bool,
    /// What it did.
    #[n(9)]
    pub results: Vec<ResultRow>,
    /// An operator asked to prune, and of what: counts until nothing is left of it or the app's release is another one.
    #[n(10)]
    pub prune_asked: Option<Digest>,
    /// It failed before the wave of some deletes: they wait for a sync that comes so far.
    #[n(11)]
    #[cbor(with = "crate::later", has_nil)]
    pub withheld: bool,
    /// The newest release is left, and an older one takes its place.
    #[n(13)]
    pub left: Option<Left>,
    /// A sync of some of the objects, or a rehearsal, that ended later: it is told instead, and nothing else follows from it.
    #[n(31)]
    pub shown: Option<Box<Attempt>>,
    /// What the operator asked to prune is limited to.
    #[n(32)]
    #[cbor(with = "crate::later", has_nil)]
    pub prune_selected: Vec<Selector>,
}

impl Attempt {
    /// Gives the attempt that ended last.
    pub(super) fn newest(&self) -> &Self {
        self.shown.as_deref().unwrap_or(self)
    }

    /// Tells whether a request to prune is about an object.
    pub(super) fn prunes(&self, key: &ResourceKey) -> bool {
        self.prune_asked.is_some() && selects(&self.prune_selected, key)
    }
}

/// Tells requests to prune apart: what is to be left, and where.
pub(super) fn prune_request(assignment: &Assignment) -> Digest {
    let parts = [encode(&assignment.root), encode(&assignment.destination)];
    Digest::of_parts("argosy prune v1", parts.iter().map(Vec::as_slice))
}

/// What is known of a live object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Live {
    Present(Box<LiveMeta>),
    /// A GET said so.
    Absent,
}

/// A sync command that waits for its release.
#[derive(Debug, Clone)]
pub(super) struct PendingSync {
    pub(super) command: CommandId,
    pub(super) expect: Option<Root>,
    pub(super) prune: bool,
    pub(super) rollback: Option<Rollback>,
    pub(super) options: SyncOptions,
}

/// One application.
#[derive(Debug, Default)]
pub(super) struct App {
    pub(super) listed: Option<Assignment>,
    /// The newest one whose release is complete.
    pub(super) newest: Option<Assignment>,
    /// What is enforced of it: see [`App::enforced`].
    pub(super) assigned: Option<Assignment>,
    pub(super) wanted: WantedSet,
    pub(super) operation: Option<Operation>,
    pub(super) work: Option<Work>,
    pub(super) last: Option<Attempt>,
    pub(super) pending: Option<PendingSync>,
    /// Its sync windows.
    pub(super) gatekeeper: Gatekeeper,
    pub(super) held: Option<Held>,
    /// The releases that it was synced to, oldest first.
    pub(super) history: Vec<HistoryRow>,
    /// The newest release, where it is left.
    pub(super) left: Option<Left>,
    /// How far its deletion came, where it has hooks for that.
    pub(super) farewell: Option<Farewell>,
    /// What is enforced has to be worked out anew.
    pub(super) reassign: bool,
    /// Since when it is Degraded, where its document says for how long it may be.
    pub(super) degraded_since: Option<u64>,
    /// Since when it is Synced and Healthy with the newest row of its history.
    pub(super) healthy_since: Option<u64>,
    /// When objects that are not managed any more are synced anew.
    pub(super) remake_at: Option<u64>,
    /// Failures of heals and deletes, by object.
    pub(super) problems: BTreeMap<ResourceKey, String>,
}

impl App {
    /// Tells whether an operator asked to delete an object if it left the desired state: by the sync that runs, or by one
    /// that ended and left deletes held or undone.
    pub(super) fn is_asked_to_prune(&self, key: &ResourceKey) -> bool {
        let runs = self.operation.as_ref().is_some_and(|running| {
            let keeps = self.work.as_ref().is_some_and(|work| work.wanted.keys.contains_key(key));
            running.prune && running.command.is_some() && !keeps && running.options.writes(key)
        });
        let last = self.last.as_ref().filter(|last| last.prunes(key));
        let asked = last.and_then(|last| last.prune_asked);
        runs || (asked.is_some() && asked == self.assigned.as_ref().map(prune_request))
    }
}

/// A delete that the governor lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueuedDelete {
    pub(super) delete: HeldDelete,
    /// Whether the governor counts it.
    pub(super) counted: bool,
    /// Not before this time.
    pub(super) due: u64,
    /// The API server said no.
    pub(super) refused: bool,
}

/// Drift that was put back, to notice a fight.
#[derive(Debug, Clone, Default)]
pub(super) struct Heals {
    pub(super) times: Vec<u64>,
    /// No further heal before this time.
    pub(super) not_before: u64,
    pub(super) rounds: u32,
    /// Who wrote last before the newest heal.
    pub(super) opponent: Option<String>,
    /// Whether the heal that was begun last is of a change by somebody else.
    pub(super) drifted: bool,
}
