//! The hub's decisions: from the documents of the fleet and their rendered releases to each cluster's desired list.
//!
//! A placement is one app on one cluster, durable with the last good assignment; lists are made of placements, so a hub
//! that starts again publishes what it had before it has read anything. An app leaves a cluster only in the list, never
//! by silence (M6), and what may be on its way to an app that fails is held (M5).

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use crate::application::Application;
use crate::desired::{Assignment, DesiredList, Destination, ListSettings, Phase};
use crate::ids::{AppId, ClusterId, DeletionId, Digest, InstallationId};
use crate::key::ResourceKey;
use crate::policy::{ProjectLimits, Propagation};
use crate::project::{DEFAULT, Project};
use crate::release::Root;
use crate::session::tables::get_release;
use crate::status::Condition;
use crate::store::{self, StoreError, StoreOp, StoreRead, Table, encode};
use crate::time::Entropy;

#[cfg(test)]
mod tests;

/// Table of placements: (cluster, app) → [`Placement`].
pub const PLACEMENTS: Table = "placements";

/// How many (release, commit) pairs a placement remembers, to show a commit for what an agent reports.
const REVISIONS: usize = 20;
/// A read that loses more than half of at least this many apps changes no phase unconfirmed (M6).
const MASS_LOSS_FLOOR: usize = 4;

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

    fn note(&mut self, root: Root, commit: &str) {
        self.revisions.retain(|revision| revision.root != root);
        self.revisions.push(Revision { root, commit: commit.to_owned() });
        if self.revisions.len() > REVISIONS {
            self.revisions.remove(0);
        }
    }
}

/// One app's document as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct AppDocument {
    /// The file of the fleet.
    pub file: String,
    /// The application, or why it is refused.
    pub application: Result<Application, String>,
    /// Metadata and spec as JSON.
    pub document: String,
}

/// A file that could not be read as documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenFile {
    /// The file.
    pub file: String,
    /// What is wrong, with document and line.
    pub message: String,
}

/// One read of the fleet's source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FleetRead {
    /// The whole source was read and is current: absence means something.
    pub complete: bool,
    /// Applications by identity.
    pub apps: BTreeMap<AppId, AppDocument>,
    /// Projects by name.
    pub projects: BTreeMap<String, Result<Project, String>>,
    /// Files that could not be read.
    pub broken: Vec<BrokenFile>,
    /// The words of those files: an app whose name is among them may be meant, and does not leave (M6).
    pub broken_words: BTreeSet<String>,
}

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
    /// Changes of the placements' table.
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
#[derive(Debug)]
pub struct Fleet {
    installation: InstallationId,
    placements: BTreeMap<(ClusterId, AppId), Placement>,
}

impl Fleet {
    /// Reads the placements.
    pub fn load(store: &dyn StoreRead, installation: InstallationId) -> Result<Self, StoreError> {
        let mut placements = BTreeMap::new();
        for (key, value) in store.scan(PLACEMENTS, &[])? {
            let key: (ClusterId, AppId) = store::decode(PLACEMENTS, &key)?;
            placements.insert(key, store::decode(PLACEMENTS, &value)?);
        }
        Ok(Self { installation, placements })
    }

    /// Gives all placements.
    pub fn placements(&self) -> &BTreeMap<(ClusterId, AppId), Placement> {
        &self.placements
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

    /// Gives the releases that placements name.
    pub fn pinned_roots(&self) -> BTreeSet<Root> {
        self.placements.values().map(|placement| placement.assignment.root).collect()
    }

    /// Decides again. Deterministic but for the names of new deletions.
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
            let verdicts = self.judge_all(read, inputs, &mut decision);
            for (app, verdict) in &verdicts {
                self.place(app, verdict, read);
            }
            self.leave(read, inputs, &verdicts, &mut decision, entropy);
            self.hold(read, &verdicts, &before, store)?;
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
            let verdict = judge(document, read, inputs, inputs.renderings.get(app));
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
                let mut placement = Placement {
                    assignment: Assignment { held, ..assignment.as_ref().clone() },
                    repository: verdict.repository.clone(),
                    revisions,
                    file,
                    cascade: application.cascade,
                    document,
                };
                placement.note(assignment.root, commit);
                self.placements.insert(key, placement);
                self.release_elsewhere(app, *cluster);
            }
            // The last good release stays; what the document says of policy and limits is newest.
            Outcome::KeepRelease { cluster, assignment, application } => {
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
                    placement.cascade = application.cascade;
                    if let Some(document) = read.apps.get(app) {
                        placement.file.clone_from(&document.file);
                        placement.document.clone_from(&document.document);
                    }
                }
            }
            Outcome::Freeze { limits } => {
                // A document that came back cancels a deletion, also one that is refused.
                let came_back = read.apps.contains_key(app);
                for ((_, of), placement) in &mut self.placements {
                    let phase = placement.assignment.phase;
                    let freezes = matches!(phase, Phase::Active | Phase::Frozen)
                        || (phase == Phase::Deleting && came_back);
                    if of == app && freezes {
                        placement.assignment.phase = Phase::Frozen;
                        placement.assignment.deletion = None;
                        if let Some(limits) = limits {
                            placement.assignment.limits = limits.clone();
                        }
                    }
                }
            }
            Outcome::Wait => {}
        }
    }

    /// An app that moved to another cluster is released on the old one, whatever its finalizer says (M6).
    fn release_elsewhere(&mut self, app: &AppId, here: ClusterId) {
        for ((cluster, of), placement) in &mut self.placements {
            if of == app && *cluster != here && placement.assignment.phase != Phase::Deleting {
                placement.assignment.phase = Phase::Released;
            }
        }
    }

    /// Apps that the read does not name leave (M6): only after a complete read, and not while a file that held one is
    /// unreadable.
    fn leave(
        &mut self,
        read: &FleetRead,
        inputs: Inputs<'_>,
        verdicts: &BTreeMap<AppId, Verdict>,
        decision: &mut Decision,
        entropy: &mut dyn Entropy,
    ) {
        let present =
            |placement: &Placement| matches!(placement.assignment.phase, Phase::Active | Phase::Frozen);
        let known: BTreeSet<AppId> = self
            .placements
            .iter()
            .filter(|(_, placement)| present(placement))
            .map(|((_, app), _)| app.clone())
            .collect();
        let may_be_meant = |app: &AppId| read.broken_words.contains(&app.name);
        let lost: Vec<AppId> =
            known.iter().filter(|app| !verdicts.contains_key(*app) && !may_be_meant(app)).cloned().collect();
        if lost.is_empty() || !read.complete {
            return;
        }
        let names: Vec<Vec<u8>> = lost.iter().map(encode).collect();
        let plan = Digest::of_parts("argosy lost apps v1", names.iter().map(Vec::as_slice));
        let mass = known.len() >= MASS_LOSS_FLOOR && lost.len() * 2 > known.len();
        if mass && inputs.confirmed_loss != Some(plan) {
            for app in &lost {
                let message = format!(
                    "the fleet lost {} of {} apps: nothing is released or deleted until it is confirmed: argosy app \
                     confirm {} --plan {plan}",
                    lost.len(),
                    known.len(),
                    app.name
                );
                decision.conditions.entry(app.clone()).or_default().push(condition("DeletesHeld", message));
            }
            decision.mass_loss = Some(MassLoss { plan, apps: lost });
            return;
        }
        // Deleting waits until what is new in the read has rendered: an object may be on its way to it.
        let newcomers_rendered = verdicts.iter().all(|(app, verdict)| {
            known.contains(app) || matches!(verdict.outcome, Outcome::Place { .. } | Outcome::Wait)
        });
        // What was confirmed leaves as one: a part of it would be another loss, with another plan.
        let together = mass && !newcomers_rendered;
        for ((_, app), placement) in &mut self.placements {
            if !lost.contains(app) || !present(placement) {
                continue;
            }
            match placement.cascade {
                None if together => {}
                None => placement.assignment.phase = Phase::Released,
                Some(propagation) if newcomers_rendered => {
                    placement.assignment.phase = Phase::Deleting;
                    placement.assignment.policy.propagation = propagation;
                    placement.assignment.deletion = Some(DeletionId::new(entropy.bytes16()));
                }
                Some(_) => {
                    let message =
                        "removed from the fleet; its deletion waits until the new apps have rendered";
                    decision
                        .conditions
                        .entry(app.clone())
                        .or_default()
                        .push(condition("ComparisonError", message.to_owned()));
                }
            }
        }
    }

    /// Holds what left the desired state while an app of the same repository fails (M5).
    fn hold(
        &mut self,
        read: &FleetRead,
        verdicts: &BTreeMap<AppId, Verdict>,
        before: &BTreeMap<(ClusterId, AppId), Placement>,
        store: &dyn StoreRead,
    ) -> Result<(), StoreError> {
        // A document that nobody can name may be of any repository.
        let placed: BTreeSet<&str> =
            self.placements.values().map(|placement| placement.file.as_str()).collect();
        let anonymous = read.broken.iter().any(|broken| !placed.contains(broken.file.as_str()))
            || verdicts.values().any(|verdict| verdict.is_failing() && verdict.repository.is_empty());
        let failing: BTreeSet<&str> = verdicts
            .values()
            .filter(|verdict| verdict.is_failing())
            .map(|verdict| verdict.repository.as_str())
            .collect();
        for (key, placement) in &mut self.placements {
            let holds = anonymous || failing.contains(placement.repository.as_str());
            if !holds {
                placement.assignment.held.clear();
                continue;
            }
            let Some(old) = before.get(key) else { continue };
            let deletes = placement.assignment.phase == Phase::Deleting;
            let begins = deletes && old.assignment.phase != Phase::Deleting;
            let moves = old.assignment.destination.namespace != placement.assignment.destination.namespace;
            if old.assignment.root == placement.assignment.root && !begins && !moves {
                continue;
            }
            // An app that is deleted desires nothing any more: all of it left.
            let new_keys = if deletes { BTreeSet::new() } else { keys_at(store, &placement.assignment)? };
            let mut held: BTreeSet<ResourceKey> = placement.assignment.held.iter().cloned().collect();
            held.extend(keys_at(store, &old.assignment)?);
            placement.assignment.held = held.difference(&new_keys).cloned().collect();
        }
        Ok(())
    }
}

/// Gives the objects of an assignment, in its destination's namespace where they name none: what left it stays held
/// there, whatever the destination becomes (M7).
fn keys_at(store: &dyn StoreRead, assignment: &Assignment) -> Result<BTreeSet<ResourceKey>, StoreError> {
    let release = get_release(store, assignment.root)?;
    let entries = release.iter().flat_map(crate::release::Release::entries);
    let keys = entries.map(|entry| match entry.id.key.namespace.as_str() {
        "" => entry.id.key.in_namespace(&assignment.destination.namespace),
        _ => entry.id.key.clone(),
    });
    Ok(keys.collect())
}

fn condition(kind: &str, message: String) -> Condition {
    Condition { kind: kind.to_owned(), message }
}

/// What is to be done with one app.
#[derive(Debug, Clone)]
struct Verdict {
    outcome: Outcome,
    /// Normalised; empty where it is not known.
    repository: String,
    conditions: Vec<Condition>,
    failing: bool,
}

#[derive(Debug, Clone)]
enum Outcome {
    Place { cluster: ClusterId, assignment: Box<Assignment>, commit: String, application: Box<Application> },
    KeepRelease { cluster: ClusterId, assignment: Box<Assignment>, application: Box<Application> },
    Freeze { limits: Option<ProjectLimits> },
    Wait,
}

impl Verdict {
    fn frozen(limits: Option<ProjectLimits>, repository: String) -> Self {
        Self { outcome: Outcome::Freeze { limits }, repository, conditions: Vec::new(), failing: true }
    }

    fn is_failing(&self) -> bool {
        self.failing
    }

    fn because(mut self, kind: &str, message: String) -> Self {
        self.conditions.push(condition(kind, message));
        self
    }
}

/// Judges one app's document.
fn judge(
    document: &AppDocument,
    read: &FleetRead,
    inputs: Inputs<'_>,
    rendering: Option<&Rendering>,
) -> Verdict {
    let application = match &document.application {
        Ok(application) => application,
        Err(reason) => {
            return Verdict::frozen(None, String::new())
                .because("InvalidSpecError", format!("{}: {reason}", document.file));
        }
    };
    let repository = crate::project::normalise_repository(&application.source.repo_url);
    let permissive = Project::permissive();
    let project = match read.projects.get(&application.project) {
        Some(Ok(project)) => project,
        None if application.project == DEFAULT => &permissive,
        Some(Err(reason)) => {
            let message = format!("project {} is refused: {reason}", application.project);
            return Verdict::frozen(None, repository).because("InvalidSpecError", message);
        }
        None => {
            let message =
                format!("application references project {} which does not exist", application.project);
            return Verdict::frozen(None, repository).because("InvalidSpecError", message);
        }
    };
    let target = &application.destination;
    let Some(name) = target.cluster.name() else {
        let message = format!(
            "{}: spec.destination.server: {:?} is no registered cluster; name one by spec.destination.name",
            document.file,
            target.cluster.server()
        );
        return Verdict::frozen(Some(project.limits.clone()), repository)
            .because("InvalidSpecError", message);
    };
    let denied = project
        .permits_source(&application.source.repo_url)
        .and_then(|()| project.limits.permits_destination(target.cluster.server(), name, &target.namespace))
        .err();
    if let Some(denied) = denied {
        return Verdict::frozen(Some(project.limits.clone()), repository)
            .because("InvalidSpecError", denied.to_string());
    }
    let Some(cluster) = inputs.clusters.get(name).copied() else {
        let message = format!("waits for cluster {name} to be registered: argosy cluster add {name}");
        return Verdict { outcome: Outcome::Wait, repository, conditions: Vec::new(), failing: false }
            .because("UnknownError", message);
    };
    let assignment = |root: Root| {
        Box::new(Assignment {
            app: application.id.clone(),
            root,
            destination: Destination {
                namespace: target.namespace.clone(),
                cluster: name.to_owned(),
                server: target.cluster.server().to_owned(),
            },
            policy: application.policy.clone(),
            limits: project.limits.clone(),
            phase: Phase::Active,
            held: Vec::new(),
            cascade_confirmed: false,
            deletion: None,
        })
    };
    let keep = |application: &Application| Outcome::KeepRelease {
        cluster,
        assignment: assignment(Root(Digest::ZERO)),
        application: Box::new(application.clone()),
    };
    match rendering {
        Some(Rendering::Rendered { root, commit, warnings }) => Verdict {
            outcome: Outcome::Place {
                cluster,
                assignment: assignment(*root),
                commit: commit.clone(),
                application: Box::new(application.clone()),
            },
            repository,
            conditions: warnings.clone(),
            failing: false,
        },
        Some(Rendering::Failed(message) | Rendering::Pending(message)) => {
            Verdict { outcome: keep(application), repository, conditions: Vec::new(), failing: true }
                .because("ComparisonError", message.clone())
        }
        None => Verdict { outcome: keep(application), repository, conditions: Vec::new(), failing: true }
            .because("ComparisonError", "its source was not read yet".to_owned()),
    }
}
