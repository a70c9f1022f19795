//! What a change that is not merged yet would do: the hub's own decision, made on a copy, and what comes out otherwise.
//!
//! Releases are compared as Git states them. What the clusters have otherwise by now is told by their statuses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::HubMachine;
use super::growing::without_documents;
use super::sources::document_conditions;
use super::staged::Staged;
use crate::application::Source;
use crate::compare::{ObjectDiff, stated};
use crate::desired::{Assignment, Phase};
use crate::fleet::{Fleet, FleetRead, Grown, Inputs, MassLoss, Rendering};
use crate::ids::{AppId, ClusterId, InstallationId};
use crate::key::ResourceKey;
use crate::plan::{self, Action, Plan, Scopes};
use crate::session::tables::{MANIFESTS, RELEASES, get_manifest, get_release};
use crate::status::Condition;
use crate::store::{StoreError, StoreOp, StoreRead};
use crate::time::{Entropy, WallTime};
use crate::tracking;

/// A change that somebody would make.
#[derive(Debug, Clone, Default)]
pub struct Proposal {
    /// The fleet's documents as they would be; absent: as they were read last.
    pub read: Option<FleetRead>,
    /// Renderings of apps whose source, or its revision, is another than what the hub has rendered.
    pub renderings: BTreeMap<AppId, Rendering>,
    /// The releases and manifests of these.
    pub content: Vec<StoreOp>,
}

/// The sources of a proposal.
#[derive(Debug, Clone, Default)]
pub struct ProposedSources {
    /// Of every app.
    pub all: BTreeMap<AppId, Source>,
    /// Of those that are to be rendered.
    pub unrendered: BTreeMap<AppId, Source>,
}

/// What would become of an app on a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It would come to the cluster.
    Assigned,
    /// It would stay, with another release or other settings.
    Changed,
    /// Its last good state would be kept as it is.
    Frozen,
    /// It would leave, and its objects stay.
    Released,
    /// It would leave, and its objects with it.
    Deleted,
    /// It would be on no cluster, and its conditions say why.
    Waits,
    /// It would stay as it is, and something new be said of it.
    Told,
}

/// What would become of one app, before its objects are looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct AppPreview {
    /// Which app.
    pub app: AppId,
    /// Name of its cluster; empty where it is on none.
    pub cluster: String,
    /// What would become of it.
    pub fate: Fate,
    /// Which of its settings would change, by the names of its document's fields.
    pub settings: Vec<&'static str>,
    /// Whether the agent would act by itself; else somebody has to sync.
    pub automated: bool,
    /// The commit that it would be rendered from, as far as it is known.
    pub commit: Option<String>,
    /// What the hub would say of it and does not say now.
    pub conditions: Vec<Condition>,
    before: Option<Assignment>,
    after: Option<Assignment>,
    /// How many objects the cluster's other apps have.
    others: usize,
    installation: InstallationId,
}

/// What would become of an app's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectsPreview {
    /// What a sync would do, in its order; without the objects that stay as they are.
    pub plan: Plan,
    /// How the manifests of objects differ.
    pub differences: Vec<ObjectDiff>,
}

/// What would become of the fleet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Preview {
    /// Apps that something would become of, by name and cluster.
    pub apps: Vec<AppPreview>,
    /// How many apps would stay as they are.
    pub same: u64,
    /// What would be wrong with documents of the fleet and is not now.
    pub conditions: Vec<Condition>,
    /// The apps that the fleet would lose at once: nothing of them is let go or deleted until that is confirmed (M6).
    pub loss: Option<MassLoss>,
    /// Releases that the hub would make: the proposal's content with them is what the objects are looked up in.
    pub content: Vec<StoreOp>,
}

/// Why there is no preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPreview {
    /// There is nothing to compare with.
    #[error("the hub has not read its fleet since it started; ask again once it has")]
    Unread,
}

impl HubMachine {
    /// Gives the sources that a proposal's documents state, those among them that its apps bring; and of these the ones
    /// that neither the hub nor the proposal has rendered.
    pub fn proposed_sources(
        &self,
        proposal: &Proposal,
        at: WallTime,
        store: &dyn StoreRead,
    ) -> Result<ProposedSources, StoreError> {
        let mut fleet = self.fleet.clone();
        let grown = self.grow_proposal(&mut fleet, proposal, at, store)?;
        let all = grown.map(|grown| grown.read.sources()).unwrap_or_default();
        let is_rendered = |app: &AppId, source: &Source| {
            proposal.renderings.contains_key(app)
                || self.rendered.get(app).is_some_and(|rendered| rendered.source == *source)
        };
        let unrendered = all.iter().filter(|(app, source)| !is_rendered(app, source));
        let unrendered = unrendered.map(|(app, source)| (app.clone(), source.clone())).collect();
        Ok(ProposedSources { all, unrendered })
    }

    /// Adds to a proposal's documents what its apps bring; `None` before the hub read its fleet.
    fn grow_proposal(
        &self,
        fleet: &mut Fleet,
        proposal: &Proposal,
        at: WallTime,
        store: &dyn StoreRead,
    ) -> Result<Option<Grown>, StoreError> {
        let Some(base) = proposal.read.as_ref().or(self.base.as_ref()) else { return Ok(None) };
        let rendering = |app: &AppId, source: &Source| {
            let of = self.rendered.get(app).filter(|rendered| rendered.source == *source);
            proposal.renderings.get(app).or(of.map(|rendered| &rendered.rendering)).cloned()
        };
        fleet.grow(base, &rendering, None, at, &Staged::new(store, &proposal.content)).map(Some)
    }

    /// Decides as if a proposal were the fleet. Nothing changes.
    pub fn preview(
        &self,
        proposal: &Proposal,
        at: WallTime,
        store: &dyn StoreRead,
        entropy: &mut dyn Entropy,
    ) -> Result<Result<Preview, NoPreview>, StoreError> {
        let Some(present) = &self.read else { return Ok(Err(NoPreview::Unread)) };
        let mut fleet = self.fleet.clone();
        let Some(grown) = self.grow_proposal(&mut fleet, proposal, at, store)? else {
            return Ok(Err(NoPreview::Unread));
        };
        let Grown { read, rest, families, ops: made, windows: _, answer: _ } = grown;
        let read = &read;
        let mut renderings: BTreeMap<AppId, Rendering> =
            self.rendered.iter().map(|(app, rendered)| (app.clone(), rendered.rendering.clone())).collect();
        renderings
            .extend(proposal.renderings.iter().map(|(app, rendering)| (app.clone(), rendering.clone())));
        let renderings = without_documents(renderings, &rest);
        let content: Vec<StoreOp> = proposal.content.iter().chain(&made).cloned().collect();
        let staged = Staged::new(store, &content);
        let inputs = Inputs {
            read: Some(read),
            renderings: &renderings,
            clusters: self.registry.by_name(),
            emptied: &self.emptied,
            released: &self.released,
            confirmed_loss: None,
        };
        let mut decision = fleet.decide(inputs, &staged, entropy)?;
        for (app, family) in families.into_iter().filter(|(_, family)| !family.conditions.is_empty()) {
            decision.conditions.entry(app).or_default().extend(family.conditions);
        }
        let mut preview = Preview { loss: decision.mass_loss.take(), content: made, ..Preview::default() };
        let known: BTreeSet<Condition> = document_conditions(present).collect();
        preview.conditions = document_conditions(read).filter(|said| !known.contains(said)).collect();
        for (cluster, app) in keys(&self.fleet, &fleet) {
            let conditions = self.news(&app, decision.conditions.remove(&app));
            let (before, after) = (assignment(&self.fleet, cluster, &app), assignment(&fleet, cluster, &app));
            let Some(fate) = fate(before, after, !conditions.is_empty()) else {
                preview.same += 1;
                continue;
            };
            let key = (cluster, app.clone());
            let root = after.map(|after| after.root);
            let placement = fleet.placements().get(&key);
            preview.apps.push(AppPreview {
                cluster: self.registry.name_of(cluster).unwrap_or_default().to_owned(),
                fate,
                settings: settings(before, after),
                automated: after.is_some_and(|after| after.policy.automated.is_some()),
                commit: root.and_then(|root| placement?.commit_of(root)).map(str::to_owned),
                conditions,
                before: before.cloned(),
                after: after.cloned(),
                others: others(&self.fleet, cluster, &app, &staged)?,
                installation: self.installation,
                app,
            });
        }
        // What is left is of apps on no cluster.
        for (app, conditions) in std::mem::take(&mut decision.conditions) {
            let conditions = self.news(&app, Some(conditions));
            let placed =
                preview.apps.iter().any(|placed| placed.app == app) || !fleet.placements_of(&app).is_empty();
            if placed || conditions.is_empty() {
                continue;
            }
            preview.apps.push(AppPreview {
                app,
                cluster: String::new(),
                fate: Fate::Waits,
                settings: Vec::new(),
                automated: false,
                commit: None,
                conditions,
                before: None,
                after: None,
                others: 0,
                installation: self.installation,
            });
        }
        preview.apps.sort_by(|one, other| (&one.app, &one.cluster).cmp(&(&other.app, &other.cluster)));
        Ok(Ok(preview))
    }

    /// Gives what would be said of an app and is not said now.
    fn news(&self, app: &AppId, said: Option<Vec<Condition>>) -> Vec<Condition> {
        let now = self.conditions.get(app);
        let is_new = |condition: &Condition| now.is_none_or(|now| !now.contains_key(condition));
        said.unwrap_or_default().into_iter().filter(is_new).collect()
    }
}

// === impl AppPreview ===

impl AppPreview {
    /// Looks at the objects. `content` is the proposal's; the rest is in the hub's store.
    pub fn objects(&self, content: &[StoreOp], store: &dyn StoreRead) -> Result<ObjectsPreview, StoreError> {
        let staged = Staged::new(store, content);
        let cascade = self.fate == Fate::Deleted;
        let looked_at = match self.fate {
            Fate::Assigned | Fate::Changed | Fate::Deleted => true,
            Fate::Frozen | Fate::Released | Fate::Waits | Fate::Told => false,
        };
        let of = |assignment: &Option<Assignment>| match assignment {
            Some(assignment) if looked_at => manifests(assignment, &staged),
            Some(_) | None => Ok(Vec::new()),
        };
        let before = of(&self.before.clone().filter(|before| enforced(before.phase)))?;
        let after = of(&self.after.clone().filter(|after| after.phase == Phase::Active))?;
        let namespace = |of: &Option<Assignment>| {
            of.as_ref().map(|assignment| assignment.destination.namespace.clone()).unwrap_or_default()
        };
        let scopes = Scopes::of(before.iter().chain(&after), std::iter::empty());
        let old_namespace = namespace(&self.before);
        let live: Vec<(ResourceKey, Value)> = before
            .iter()
            .map(|(rendered, manifest)| {
                let key = scopes.resolve(rendered, &old_namespace);
                // What a part says of itself is not in its body, and nothing else tells it here.
                let body = if key.is_part() {
                    manifest.clone()
                } else {
                    tracking::body(manifest, &key, &self.app, self.installation)
                };
                (key, body)
            })
            .collect();
        let policy =
            self.after.as_ref().or(self.before.as_ref()).map(|of| of.policy.clone()).unwrap_or_default();
        let automated = policy.automated.unwrap_or_default();
        let new_namespace = namespace(&self.after);
        let mut plan = Plan::make(plan::Inputs {
            app: &self.app,
            namespace: &new_namespace,
            prune: cascade || automated.prune,
            prune_last: policy.prune_last,
            consent: if cascade { policy.delete } else { policy.prune },
            allow_empty: automated.allow_empty,
            cascade,
            take_over: &policy.take_over,
            others: self.others,
            desired: &after,
            live: &live,
        });
        plan.lines.retain(|line| match line.action {
            Action::None => false,
            Action::Create | Action::Change | Action::Delete | Action::Hook | Action::Skip => true,
        });
        let resolved =
            |objects: Vec<(ResourceKey, Value)>, namespace: &str| -> BTreeMap<ResourceKey, Value> {
                let of = |(key, manifest): (ResourceKey, Value)| (scopes.resolve(&key, namespace), manifest);
                objects.into_iter().map(of).collect()
            };
        let (old, new) = (resolved(before, &old_namespace), resolved(after, &new_namespace));
        let keys: BTreeSet<&ResourceKey> = old.keys().chain(new.keys()).collect();
        let differences = keys.into_iter().filter_map(|key| stated(key, old.get(key), new.get(key)));
        Ok(ObjectsPreview { differences: differences.collect(), plan })
    }
}

/// Tells whether an agent enforces an app in this phase.
fn enforced(phase: Phase) -> bool {
    match phase {
        Phase::Active | Phase::Frozen => true,
        Phase::Released | Phase::Deleting => false,
    }
}

fn keys(before: &Fleet, after: &Fleet) -> BTreeSet<(ClusterId, AppId)> {
    before.placements().keys().chain(after.placements().keys()).cloned().collect()
}

fn assignment<'a>(fleet: &'a Fleet, cluster: ClusterId, app: &AppId) -> Option<&'a Assignment> {
    fleet.placements().get(&(cluster, app.clone())).map(|placement| &placement.assignment)
}

/// Says what would become of an app on a cluster; `None` when it would stay as it is.
fn fate(before: Option<&Assignment>, after: Option<&Assignment>, news: bool) -> Option<Fate> {
    let told = news.then_some(Fate::Told);
    let Some(after) = after else { return told };
    let was = before.map(|before| before.phase);
    match after.phase {
        Phase::Active if before.is_none() => Some(Fate::Assigned),
        Phase::Active if before == Some(after) => told,
        Phase::Active => Some(Fate::Changed),
        phase if was == Some(phase) => told,
        Phase::Frozen => Some(Fate::Frozen),
        Phase::Released => Some(Fate::Released),
        Phase::Deleting => Some(Fate::Deleted),
    }
}

/// Names the settings that differ, by the fields of the documents that state them.
fn settings(before: Option<&Assignment>, after: Option<&Assignment>) -> Vec<&'static str> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let differs = [
        ("spec.destination", before.destination != after.destination),
        ("spec.syncPolicy", before.policy != after.policy),
        ("spec.ignoreDifferences", before.ignore != after.ignore),
        ("spec.project", before.limits != after.limits),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Counts the objects of a cluster's other apps.
fn others(
    fleet: &Fleet,
    cluster: ClusterId,
    app: &AppId,
    store: &dyn StoreRead,
) -> Result<usize, StoreError> {
    let mut count = 0;
    for ((of, name), placement) in fleet.placements() {
        if *of == cluster && name != app && enforced(placement.assignment.phase) {
            let release = get_release(store, placement.assignment.root)?;
            count += release.map_or(0, |release| release.entries().len());
        }
    }
    Ok(count)
}

/// Reads the manifests of a release.
fn manifests(
    assignment: &Assignment,
    store: &dyn StoreRead,
) -> Result<Vec<(ResourceKey, Value)>, StoreError> {
    let missing =
        |table, what: String| StoreError::Undecodable { table, why: format!("{what} is not there") };
    let release = get_release(store, assignment.root)?
        .ok_or_else(|| missing(RELEASES, format!("release {}", assignment.root)))?;
    let read = |entry: &crate::release::Entry| {
        let bytes = get_manifest(store, entry.digest)?
            .ok_or_else(|| missing(MANIFESTS, format!("manifest {}", entry.digest)))?;
        let manifest = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Undecodable { table: MANIFESTS, why: error.to_string() })?;
        Ok((entry.id.key.clone(), manifest))
    };
    release.entries().iter().map(read).collect()
}
