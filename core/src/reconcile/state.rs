//! What the reconciler keeps: durable rows, and what it works out of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minicbor::{Decode, Encode};

use super::history::{Left, Rollback};
use super::trial::Trial;
use super::windows::Gatekeeper;
use crate::cluster::LiveMeta;
use crate::compare::Ignored;
use crate::desired::Assignment;
use crate::ids::{AppId, CommandId, Digest};
use crate::key::ResourceKey;
use crate::manifest::Hook;
use crate::order::{Rank, Step, SyncPhase};
use crate::release::Root;
use crate::status::{Held, HeldDelete, HistoryRow, OperationPhase, ResultRow};
use crate::store::encode;
use crate::time::{MonoTime, WallTime};

/// Tables of the reconciler.
pub mod tables {
    use crate::store::Table;

    /// Resource key → [`super::InventoryEntry`].
    pub const INVENTORY: Table = "inventory";
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

    /// All of them.
    pub const ALL: [Table; 8] =
        [INVENTORY, OPERATIONS, ATTEMPTS, GOVERNOR, CONFIRMED, FACTS, INGESTED, HISTORY];
}

/// What an ingested release is marked with: facts of an earlier version are read anew.
pub(super) const FACTS_VERSION: u8 = 2;

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
        }
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
    /// The time when it began, if that was known: by it a window lets it overrun.
    #[n(12)]
    pub began: Option<WallTime>,
    /// It goes back to an older release.
    #[n(13)]
    pub rollback: Option<Rollback>,
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

/// A desired object, its namespace resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) manifest: Digest,
    /// The key as rendered, which lists of held keys name.
    pub(super) rendered: ResourceKey,
    /// What is not compared of it.
    pub(super) ignored: Option<Arc<Ignored>>,
}

/// The objects of one release at one destination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct WantedSet {
    pub(super) keys: BTreeMap<ResourceKey, Wanted>,
    /// Keys given more than once after resolving namespaces.
    pub(super) repeated: BTreeSet<ResourceKey>,
    /// What syncs run, and nothing compares.
    pub(super) hooks: BTreeMap<ResourceKey, WantedHook>,
    /// What is left alone, whether it is there or not.
    pub(super) skipped: BTreeSet<ResourceKey>,
    /// Applies leave what is ignored as it is.
    pub(super) respects: bool,
}

/// A hook, its namespace resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WantedHook {
    pub(super) manifest: Digest,
    pub(super) hook: Hook,
}

impl WantedSet {
    /// Gives the manifest of an object or of a hook.
    pub(super) fn manifest(&self, key: &ResourceKey) -> Option<Digest> {
        let object = self.keys.get(key).map(|wanted| wanted.manifest);
        object.or_else(|| self.hooks.get(key).map(|wanted| wanted.manifest))
    }

    /// Gives what an apply of an object leaves as it is (M20).
    pub(super) fn respected(&self, key: &ResourceKey) -> Option<Ignored> {
        let ignored = self.keys.get(key).filter(|_| self.respects)?.ignored.as_deref();
        ignored.cloned()
    }

    /// Tells whether it names an object that is no part of the app's state.
    pub(super) fn sets_aside(&self, key: &ResourceKey) -> bool {
        self.hooks.contains_key(key) || self.skipped.contains(key)
    }
}

/// A running operation's work; made anew from durable state after a restart.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about an operation")]
pub(super) struct Work {
    pub(super) wanted: WantedSet,
    pub(super) ranks: BTreeMap<ResourceKey, Rank>,
    pub(super) queue: BTreeMap<(Rank, ResourceKey), Item>,
    /// The step that it is at.
    pub(super) at: Step,
    /// When its deletes are due; absent until they are judged.
    pub(super) prunes: Option<BTreeMap<ResourceKey, Step>>,
    /// Something was written in this step.
    pub(super) touched: bool,
    /// All of this step is written; it looks at the gate not before this time.
    pub(super) gate: Option<u64>,
    /// Why the gate will not open.
    pub(super) unhealthy: Option<String>,
    /// Hooks that were made and have not ended.
    pub(super) running: BTreeMap<ResourceKey, Rank>,
    /// It failed, and its hooks for that are under way.
    pub(super) failing: bool,
    /// Deletes were to come when it failed.
    pub(super) withheld: bool,
    /// Hooks that are deleted before it ends, each not before a time.
    pub(super) sweep: Option<BTreeMap<ResourceKey, u64>>,
    /// Namespaces still to be ensured before anything else.
    pub(super) namespace: Option<NamespaceStep>,
    /// Whether the API server takes everything, asked before the first write.
    pub(super) trial: Trial,
    /// Why nothing of it is written at all.
    pub(super) refused: Option<String>,
    pub(super) results: Vec<ResultRow>,
    pub(super) failed: bool,
    /// When a failed operation is tried again.
    pub(super) retry_at: Option<u64>,
    /// What it waits for, for people.
    pub(super) waiting: String,
    /// A sync window keeps it from its next write.
    pub(super) blocked: bool,
}

impl Work {
    /// Tells whether it may write: its namespace is there, and everything was tried.
    pub(super) fn is_under_way(&self) -> bool {
        self.namespace.is_none() && self.is_tried() && self.refused.is_none()
    }

    /// Tells whether it has come to its end but for another try.
    pub(super) fn rests(&self) -> bool {
        self.retry_at.is_some() || self.refused.is_some()
    }
}

/// Creating the destination namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamespaceStep {
    Due(u64),
    Sent,
}

/// One object of an operation that is not done yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Item {
    /// Not before this time.
    pub(super) due: u64,
    pub(super) attempts: u32,
    /// It waited for something that is not its own: that uses up no attempt.
    pub(super) waited: bool,
    /// Gives up waiting for its kind to be served at this time.
    pub(super) give_up: Option<u64>,
    /// It is a hook.
    pub(super) hook: Option<Hook>,
    /// What an earlier run made of the hook is gone.
    pub(super) cleared: bool,
    /// Applied; waits until its definition is established, at most until this time.
    pub(super) establishing: Option<u64>,
}

/// A sync command that waits for its release.
#[derive(Debug, Clone)]
pub(super) struct PendingSync {
    pub(super) command: CommandId,
    pub(super) expect: Option<Root>,
    pub(super) prune: bool,
    pub(super) rollback: Option<Rollback>,
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
            running.prune && running.command.is_some() && !keeps
        });
        let asked = self.last.as_ref().and_then(|last| last.prune_asked);
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
