//! What an operation has to do, worked out of durable state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::state::Operation;
use super::trial::Trial;
use crate::compare::Ignored;
use crate::ids::Digest;
use crate::key::ResourceKey;
use crate::manifest::Hook;
use crate::order::{Rank, Step};
use crate::status::ResultRow;
use crate::store::encode;
use crate::time::WallTime;

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
        self.hooks.contains_key(key)
            || self.skipped.contains(key)
            || self.hooks.keys().any(|hook| key.may_be(hook))
    }

    /// Gives names to hooks that have none, another one in each phase (Argo CD: `generateName`, the revision, the phase and
    /// the time of the sync). They are the same as long as the operation is: one that goes on after a restart finds what it
    /// made.
    pub(super) fn named_for(mut self, operation: &Operation) -> Self {
        let nameless = self.hooks.extract_if(.., |key, _| key.prefix().is_some());
        let nameless: Vec<(ResourceKey, WantedHook)> = nameless.collect();
        let (release, began) = (operation.assignment.root.0, Digest::of(&encode(&operation.started)));
        for (key, wanted) in nameless {
            for phase in wanted.hook.phases() {
                let hook = WantedHook { hook: wanted.hook.only_in(phase), ..wanted };
                let named = key.named(release, phase.as_str(), began);
                self.hooks.extend(named.map(|key| (key, hook)));
            }
        }
        self
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
    /// What was deleted before it was worked out, and is not gone yet: when that was due.
    pub(super) going: BTreeMap<ResourceKey, Step>,
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
    /// Another try would find the same.
    pub(super) hopeless: bool,
    pub(super) results: Vec<ResultRow>,
    pub(super) failed: bool,
    /// When a failed operation is tried again.
    pub(super) retry_at: Option<u64>,
    /// The same by the clock, where that is trusted.
    pub(super) retry_time: Option<WallTime>,
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
    /// It cannot be changed as it is to be, and is deleted first (`Force=true`).
    pub(super) recreated: bool,
    /// What an earlier run made of the hook, or what is made anew, is gone.
    pub(super) cleared: bool,
    /// Applied; waits until its definition is established, at most until this time.
    pub(super) establishing: Option<u64>,
}
