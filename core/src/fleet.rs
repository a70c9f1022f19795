//! The hub's decisions: from the documents of the fleet and their rendered releases to each cluster's desired list.
//!
//! A placement is one app on one cluster, durable with the last good assignment; lists are made of placements, so a hub
//! that starts again publishes what it had before it has read anything. An app leaves a cluster only in the list, never
//! by silence (M6), and what may be on its way to an app that fails is held (M5).

use std::collections::{BTreeMap, BTreeSet};

use self::judge::{Outcome, Verdict, judge};
use self::parents::Parents;
pub use self::parents::{Family, Grown, Order, PARENTS, Renderings};
pub use self::placement::{Pause, Placement, Revision};
use self::projects::Projects;
pub use self::projects::{PROJECTS, ProjectState};
#[cfg(test)]
pub(crate) use self::read::DOCUMENT_BYTES;
pub use self::read::{AppDocument, BrokenFile, Child, ChildState, FleetRead, ProjectDocument, Words};
pub use self::source::{Listing, SourceError, SourceFile, find_documents, is_document};
use crate::desired::{Assignment, DesiredList, ListSettings, Phase};
use crate::ids::{AppId, ClusterId, DeletionId, Digest, InstallationId};
use crate::release::Root;
use crate::status::Condition;
use crate::store::{self, StoreError, StoreOp, StoreRead, Table, encode};
use crate::time::Entropy;

mod judge;
mod leave;
mod parents;
mod placement;
mod projects;
mod read;
mod source;
#[cfg(test)]
mod tests;

/// Table of placements: (cluster, app) → [`Placement`].
pub const PLACEMENTS: Table = "placements";

/// What became of rendering an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendering {
    /// Not tried yet, or its repository was never reached.
    Pending(String),
    /// Rendered; the release and its manifests are in the store.
    Rendered {
        /// The release.
        root: Root,
        /// The commit.
        commit: String,
        /// Objects given more than once and the like.
        warnings: Vec<Condition>,
    },
    /// Failed, naming file and line.
    Failed(String),
}

/// Everything that a decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The newest read; absent before the first.
    pub read: Option<&'a FleetRead>,
    /// Renderings of the read's apps. Those of one repository are of one commit, and come together (M5).
    pub renderings: &'a BTreeMap<AppId, Rendering>,
    /// Registered clusters by name.
    pub clusters: &'a BTreeMap<String, ClusterId>,
    /// Deletions that agents report as done.
    pub emptied: &'a BTreeSet<(ClusterId, AppId, DeletionId)>,
    /// Releases of apps (phase `Released`) that agents have acknowledged.
    pub released: &'a BTreeSet<(ClusterId, AppId)>,
    /// A loss of apps that an operator confirmed.
    pub confirmed_loss: Option<Digest>,
}

/// A read that lost so many apps that it changes nothing until it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MassLoss {
    /// What a confirmation names.
    pub plan: Digest,
    /// The apps that the read lost.
    pub apps: Vec<AppId>,
}

/// What a decision gives.
#[derive(Debug, Default)]
pub struct Decision {
    /// Changes of the tables of placements and projects.
    pub ops: Vec<StoreOp>,
    /// Clusters whose list changed.
    pub changed: BTreeSet<ClusterId>,
    /// What to tell of each app beyond its agent's status.
    pub conditions: BTreeMap<AppId, Vec<Condition>>,
    /// Apps whose source was read in this life of the hub.
    pub fresh: BTreeSet<AppId>,
    /// Apps that fail (M5).
    pub failing: BTreeSet<AppId>,
    /// A loss that waits for its confirmation.
    pub mass_loss: Option<MassLoss>,
}

/// The placements of a fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    installation: InstallationId,
    placements: BTreeMap<(ClusterId, AppId), Placement>,
    projects: Projects,
    parents: Parents,
}

impl Fleet {
    /// Reads the placements and the projects.
    pub fn load(store: &dyn StoreRead, installation: InstallationId) -> Result<Self, StoreError> {
        let mut placements = BTreeMap::new();
        for (key, value) in store.scan(PLACEMENTS, &[])? {
            let key: (ClusterId, AppId) = store::decode(PLACEMENTS, &key)?;
            placements.insert(key, store::decode(PLACEMENTS, &value)?);
        }
        let (projects, parents) = (Projects::load(store)?, Parents::load(store)?);
        Ok(Self { installation, placements, projects, parents })
    }

    /// Gives all placements.
    pub fn placements(&self) -> &BTreeMap<(ClusterId, AppId), Placement> {
        &self.placements
    }

    /// Gives every project as the newest read and those before it left it.
    pub fn projects(&self, read: Option<&FleetRead>) -> Vec<ProjectState> {
        self.projects.states(read)
    }

    /// Notes that an operator ordered the deletion that an app is in, which confirms all of it but Namespaces and claims
    /// (M22). `None`: the app is not being deleted there, or that was ordered before.
    pub fn order_deletion(&mut self, cluster: ClusterId, app: &AppId) -> Option<StoreOp> {
        let key = (cluster, app.clone());
        let placement = self.placements.get_mut(&key)?;
        let assignment = &mut placement.assignment;
        if assignment.phase != Phase::Deleting || assignment.cascade_confirmed {
            return None;
        }
        assignment.cascade_confirmed = true;
        Some(StoreOp::put(PLACEMENTS, encode(&key), placement))
    }

    /// Pauses an app on a cluster, or ends that: until then it is neither synced nor healed by itself. `None`: it is so
    /// already, or the app is not there or leaves.
    pub fn pause(&mut self, cluster: ClusterId, app: &AppId, pause: Option<Pause>) -> Option<StoreOp> {
        let key = (cluster, app.clone());
        let placement = self.placements.get_mut(&key)?;
        let stays = matches!(placement.assignment.phase, Phase::Active | Phase::Frozen);
        (stays && placement.pause(pause)).then(|| StoreOp::put(PLACEMENTS, encode(&key), placement))
    }

    /// Gives an app's placements, the active one first.
    pub fn placements_of<'a>(&'a self, app: &AppId) -> Vec<(ClusterId, &'a Placement)> {
        let mut found: Vec<(ClusterId, &Placement)> = self
            .placements
            .iter()
            .filter(|((_, of), _)| of == app)
            .map(|((cluster, _), placement)| (*cluster, placement))
            .collect();
        found.sort_by_key(|(_, placement)| placement.assignment.phase as u8);
        found
    }

    /// Makes the list of a cluster.
    pub fn list(&self, cluster: ClusterId) -> DesiredList {
        let settings = ListSettings { installation: self.installation, hold_deletes: false };
        let of_cluster = self.placements.iter().filter(|((of, _), _)| *of == cluster);
        DesiredList::build(settings, of_cluster.map(|(_, placement)| placement.assignment.clone()))
    }

    /// Gives the releases that placements name, and those that hold documents of the fleet.
    pub fn pinned_roots(&self) -> BTreeSet<Root> {
        let placed = self.placements.values().map(|placement| placement.assignment.root);
        placed.chain(self.parents.roots()).collect()
    }

    /// Decides again. Deterministic but for the names of new deletions. The read is as [`Self::grow`] gives it, and the
    /// renderings are without the documents that it found.
    pub fn decide(
        &mut self,
        inputs: Inputs<'_>,
        store: &dyn StoreRead,
        entropy: &mut dyn Entropy,
    ) -> Result<Decision, StoreError> {
        let mut decision = Decision::default();
        let before = self.placements.clone();
        self.drop_done(inputs);
        if let Some(read) = inputs.read {
            decision.ops.extend(self.projects.take(read));
            let verdicts = self.judge_all(read, inputs, &mut decision);
            for (app, verdict) in &verdicts {
                self.place(app, verdict, read);
            }
            self.refresh_limits();
            self.leave(read, inputs, &verdicts, &mut decision, entropy);
            for app in self.hold(read, &verdicts, &before, store)? {
                let message = "so many objects left while an app of its repository fails that the app stays as it was \
                               until that one renders";
                let of_app = decision.conditions.entry(app.clone()).or_default();
                of_app.push(condition("ComparisonError", message.to_owned()));
                decision.fresh.remove(&app);
            }
        }
        for (key, placement) in &self.placements {
            if before.get(key) != Some(placement) {
                decision.ops.push(StoreOp::put(PLACEMENTS, encode(key), placement));
                if before.get(key).map(|old| &old.assignment) != Some(&placement.assignment) {
                    decision.changed.insert(key.0);
                }
            }
        }
        for key in before.keys().filter(|key| !self.placements.contains_key(*key)) {
            decision.ops.push(StoreOp::delete(PLACEMENTS, encode(key)));
            decision.changed.insert(key.0);
        }
        Ok(decision)
    }

    /// Takes off what is over: deletions that are reported empty, releases that are acknowledged, clusters that are gone.
    fn drop_done(&mut self, inputs: Inputs<'_>) {
        let registered: BTreeSet<ClusterId> = inputs.clusters.values().copied().collect();
        self.placements.retain(|(cluster, app), placement| {
            let over = match (placement.assignment.phase, placement.assignment.deletion) {
                (Phase::Deleting, Some(id)) => inputs.emptied.contains(&(*cluster, app.clone(), id)),
                (Phase::Released, _) => inputs.released.contains(&(*cluster, app.clone())),
                (Phase::Deleting, None) | (Phase::Active | Phase::Frozen, _) => false,
            };
            registered.contains(cluster) && !over
        });
    }

    fn judge_all(
        &self,
        read: &FleetRead,
        inputs: Inputs<'_>,
        decision: &mut Decision,
    ) -> BTreeMap<AppId, Verdict> {
        let mut verdicts = BTreeMap::new();
        for (app, document) in &read.apps {
            let verdict = judge(document, read, &self.projects, inputs, inputs.renderings.get(app));
            let mut conditions = verdict.conditions.clone();
            if verdict.is_failing() {
                decision.failing.insert(app.clone());
            }
            if matches!(verdict.outcome, Outcome::Place { .. }) {
                decision.fresh.insert(app.clone());
            }
            conditions.sort();
            decision.conditions.insert(app.clone(), conditions);
            verdicts.insert(app.clone(), verdict);
        }
        // A document that cannot be read any more is known by the file that it came from.
        for ((_, app), placement) in &self.placements {
            if let Some(broken) = read.broken.iter().find(|broken| broken.file == placement.file)
                && !read.apps.contains_key(app)
            {
                decision.failing.insert(app.clone());
                let message = format!("{}: {}; the last good state stays", broken.file, broken.message);
                decision
                    .conditions
                    .entry(app.clone())
                    .or_default()
                    .push(condition("InvalidSpecError", message));
                verdicts.insert(app.clone(), Verdict::frozen(None, placement.repository.clone()));
            }
        }
        verdicts
    }

    /// Writes what a verdict says of an app's present placement.
    fn place(&mut self, app: &AppId, verdict: &Verdict, read: &FleetRead) {
        match &verdict.outcome {
            Outcome::Place { cluster, assignment, commit, application } => {
                let file = read.apps.get(app).map(|document| document.file.clone()).unwrap_or_default();
                let document =
                    read.apps.get(app).map(|document| document.document.clone()).unwrap_or_default();
                let key = (*cluster, app.clone());
                let held =
                    self.placements.get(&key).map(|old| old.assignment.held.clone()).unwrap_or_default();
                let revisions =
                    self.placements.get(&key).map(|old| old.revisions.clone()).unwrap_or_default();
                // An app that moves to another cluster stays paused.
                let paused = self.placements_of(app).into_iter().find_map(|(_, old)| old.paused.clone());
                let mut placement = Placement {
                    assignment: Assignment { held, ..assignment.as_ref().clone() },
                    repository: verdict.repository.clone(),
                    revisions,
                    file,
                    cascade: application.cascade,
                    document,
                    paused,
                };
                placement.keep_paused();
                placement.note(assignment.root, commit);
                self.placements.insert(key, placement);
                self.release_elsewhere(app, *cluster);
            }
            // The last good release stays; what the document says of policy and limits is newest.
            Outcome::KeepRelease { cluster, assignment, application } => {
                self.cancel_deletions(app, Phase::Active, read);
                let key = (*cluster, app.clone());
                if let Some(placement) = self.placements.get_mut(&key) {
                    let old = &placement.assignment;
                    // Another destination moves objects, which only what renders may (M5).
                    placement.assignment = Assignment {
                        root: old.root,
                        destination: old.destination.clone(),
                        held: old.held.clone(),
                        ..assignment.as_ref().clone()
                    };
                    placement.keep_paused();
                    placement.cascade = application.cascade;
                    if let Some(document) = read.apps.get(app) {
                        placement.file.clone_from(&document.file);
                        placement.document.clone_from(&document.document);
                    }
                }
            }
            Outcome::Freeze { limits } => {
                self.cancel_deletions(app, Phase::Frozen, read);
                for ((_, of), placement) in &mut self.placements {
                    let assignment = &mut placement.assignment;
                    if of == app && matches!(assignment.phase, Phase::Active | Phase::Frozen) {
                        assignment.phase = Phase::Frozen;
                        if let Some(limits) = limits {
                            assignment.limits = limits.clone();
                        }
                    }
                }
            }
            Outcome::Wait => self.cancel_deletions(app, Phase::Active, read),
        }
    }

    /// A document that came back cancels its app's deletions at once, wherever they are and whatever is wrong with it
    /// (M6): the last good release is kept, in this phase.
    fn cancel_deletions(&mut self, app: &AppId, phase: Phase, read: &FleetRead) {
        let Some(document) = read.apps.get(app) else { return };
        for ((_, of), placement) in &mut self.placements {
            let assignment = &mut placement.assignment;
            if of == app && assignment.phase == Phase::Deleting {
                assignment.phase = phase;
                assignment.deletion = None;
                // What was ordered was this deletion; a later one is another.
                assignment.cascade_confirmed = false;
                // How the deletion was to propagate went with it.
                if let Ok(application) = &document.application {
                    assignment.policy = application.policy.clone();
                    placement.keep_paused();
                }
            }
        }
    }

    /// An app that moved to another cluster is released on the old one, whatever its finalizer says and also when it was
    /// being deleted there (M6).
    fn release_elsewhere(&mut self, app: &AppId, here: ClusterId) {
        for ((cluster, of), placement) in &mut self.placements {
            if of == app && *cluster != here {
                placement.assignment.phase = Phase::Released;
                placement.assignment.deletion = None;
                placement.assignment.cascade_confirmed = false;
                // The pause went along.
                placement.paused = None;
            }
        }
    }

    /// What is enforced is enforced within the newest good limits of its project, also where nothing else of it is new
    /// (M6).
    fn refresh_limits(&mut self) {
        for placement in self.placements.values_mut() {
            let assignment = &mut placement.assignment;
            if matches!(assignment.phase, Phase::Active | Phase::Frozen | Phase::Deleting)
                && let Some(limits) = self.projects.limits(&assignment.limits.project)
            {
                let limits = limits.of_app(&assignment.app, &assignment.destination);
                if assignment.limits != limits {
                    assignment.limits = limits;
                }
            }
        }
    }
}

fn condition(kind: &str, message: String) -> Condition {
    Condition { kind: kind.to_owned(), message }
}
