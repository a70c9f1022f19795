//! One app on one cluster, as the hub keeps it.

use minicbor::{Decode, Encode};

use crate::desired::Assignment;
use crate::policy::{Automated, Propagation};
use crate::release::Root;
use crate::time::WallTime;

/// How many (release, commit) pairs a placement remembers, to show a commit for what an agent reports.
const REVISIONS: usize = 20;

/// One app on one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Placement {
    /// The last good assignment, in its present phase.
    #[n(0)]
    pub assignment: Assignment,
    /// The repository that it is rendered from, normalised.
    #[n(1)]
    pub repository: String,
    /// Releases with the newest commit that renders to each, oldest first (M3).
    #[n(2)]
    pub revisions: Vec<Revision>,
    /// The file of the fleet that its document came from.
    #[n(3)]
    pub file: String,
    /// What the document's finalizer asks for when it is removed.
    #[n(4)]
    pub cascade: Option<Propagation>,
    /// The document's metadata and spec as JSON, for those who ask.
    #[n(5)]
    pub document: String,
    /// Who ordered that nothing of it goes by itself; absent: nobody.
    #[n(6)]
    pub paused: Option<Pause>,
}

/// An order that an app is neither synced nor healed by itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Pause {
    /// The operator.
    #[n(0)]
    pub by: String,
    /// Since when, by the hub's clock.
    #[n(1)]
    pub since: WallTime,
    /// What its document says of automated syncs, which is in force again afterwards.
    #[n(2)]
    pub automated: Option<Automated>,
}

/// A release and a commit that renders to it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Revision {
    /// The release.
    #[n(0)]
    pub root: Root,
    /// The commit.
    #[n(1)]
    pub commit: String,
}

impl Placement {
    /// Gives the newest commit that renders to a release.
    pub fn commit_of(&self, root: Root) -> Option<&str> {
        self.revisions
            .iter()
            .rev()
            .find(|revision| revision.root == root)
            .map(|revision| revision.commit.as_str())
    }

    /// Takes out of the policy what the app would do by itself, while it is paused.
    pub(super) fn keep_paused(&mut self) {
        if let Some(pause) = &mut self.paused {
            pause.automated = self.assignment.policy.automated.take();
        }
    }

    /// Begins a pause, or ends it; tells whether that is new.
    pub(super) fn pause(&mut self, pause: Option<Pause>) -> bool {
        if self.paused.is_some() == pause.is_some() {
            return false;
        }
        if let Some(before) = std::mem::replace(&mut self.paused, pause) {
            self.assignment.policy.automated = before.automated;
        }
        self.keep_paused();
        true
    }

    pub(super) fn note(&mut self, root: Root, commit: &str) {
        self.revisions.retain(|revision| revision.root != root);
        self.revisions.push(Revision { root, commit: commit.to_owned() });
        if self.revisions.len() > REVISIONS {
            self.revisions.remove(0);
        }
    }
}
