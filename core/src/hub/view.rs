//! What operators see: statements with their ages, read from the machine and never from anywhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Event, HubMachine, read_status};
use crate::desired::Phase;
use crate::fleet::Placement;
use crate::health::Health;
use crate::ids::{AppId, ClusterId, Epoch, Generation};
use crate::release::Root;
use crate::session::frame::ClusterFacts;
use crate::session::hub::{HubLink, PausedSince};
use crate::status::{AppStatus, Condition, Held, HeldDelete, SyncStatus};
use crate::store::{StoreError, StoreRead};
use crate::time::{Now, WallTime};
use crate::windows::{SyncWindow, Windows};

/// Apps of a cluster, counted as last reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppCounts {
    /// All.
    pub total: u64,
    /// Live objects are what Git says.
    pub synced: u64,
    /// They are not.
    pub out_of_sync: u64,
    /// Healthy.
    pub healthy: u64,
    /// On their way.
    pub progressing: u64,
    /// Broken.
    pub degraded: u64,
    /// Sync status or health cannot be told.
    pub unknown: u64,
    /// Deletes are held.
    pub held: u64,
}

/// What hub and agent make of each other's chain of heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// The hub knows the agent's head, or there is none yet.
    Known,
    /// A new chain is on its way to the agent.
    Unknown,
    /// A new chain repeats the agent's list and holds all deletes.
    Held,
    /// Two clusters have this identity.
    Cloned,
}

/// One cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterView {
    /// Its UUID.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its agent has joined.
    pub joined: bool,
    /// Until when its token holds.
    pub join_expires: WallTime,
    /// Whether its agent's stream is up.
    pub connected: bool,
    /// When its agent was heard last.
    pub last_seen: Option<WallTime>,
    /// The newest head made for it.
    pub head: Option<(Epoch, Generation)>,
    /// The number of the head that its agent holds.
    pub stored: Option<Generation>,
    /// Its apps.
    pub apps: AppCounts,
    /// What its agent told of it.
    pub facts: Option<ClusterFacts>,
    /// Why its agent only reads.
    pub read_only: Option<String>,
    /// The pause at its edge, as far as is known.
    pub paused: Option<PausedSince>,
    /// How the chains stand.
    pub chain: Chain,
    /// For how long its agent has lacked something; absent when it lacks nothing.
    pub behind: Option<Duration>,
    /// What an operator should know.
    pub conditions: Vec<Condition>,
}

/// A condition with when it was said first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What is said.
    pub condition: Condition,
    /// Since when.
    pub since: WallTime,
}

/// When a status held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// How long ago it is known to have held.
    pub age: Duration,
    /// How long ago the agent stated it.
    pub stated: Duration,
    /// Whether the cluster is away.
    pub last_known: bool,
}

/// One app on one cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct AppView {
    /// Which app.
    pub app: AppId,
    /// Name of its cluster, as far as one is known.
    pub cluster: String,
    /// Its project.
    pub project: String,
    /// Metadata and spec of its document as JSON; empty without a document.
    pub document: String,
    /// What its agent is to do with it; absent while it is on no cluster.
    pub phase: Option<Phase>,
    /// Why it is on no cluster yet.
    pub waiting: Option<String>,
    /// The release that the hub desires.
    pub desired: Option<Root>,
    /// Commits by release, as far as they are remembered.
    pub commits: BTreeMap<Root, String>,
    /// What the hub says of it.
    pub conditions: Vec<Shown>,
    /// What its agent says of it.
    pub status: Option<AppStatus>,
    /// Since when its agent is known to say each of its conditions.
    pub since: BTreeMap<Condition, WallTime>,
    /// When that held.
    pub observed: Option<Observed>,
    /// Whether its windows let it sync now, by the hub's clock; absent while it is on no cluster.
    pub sync_window: Option<&'static str>,
    /// Its windows, as `kind:schedule:duration`.
    pub windows: Vec<String>,
}

/// Where the hub stands, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Clusters of the registry.
    pub clusters: usize,
    /// Those whose agent is connected.
    pub connected: usize,
    /// Apps on clusters.
    pub placements: usize,
    /// Whether the fleet was read in this life of the hub.
    pub fleet_read: bool,
    /// Apps whose source was rendered in this life of the hub.
    pub rendered: usize,
    /// Apps that fail.
    pub failing: usize,
    /// Commands whose end somebody waits for.
    pub commands: usize,
}

impl HubMachine {
    /// Counts.
    pub fn summary(&self) -> Summary {
        Summary {
            clusters: self.links.len(),
            connected: self.links.values().filter(|link| link.session().is_some()).count(),
            placements: self.fleet.placements().len(),
            fleet_read: self.read.is_some(),
            rendered: self.rendered.len(),
            failing: self.failing.len(),
            commands: self.pending.len(),
        }
    }

    /// Gives every cluster, by name.
    pub fn clusters(&self, now: Now) -> Vec<ClusterView> {
        self.registry.by_name().keys().filter_map(|name| self.cluster(name, now)).collect()
    }

    /// Gives one cluster.
    pub fn cluster(&self, name: &str, now: Now) -> Option<ClusterView> {
        let (cluster, member) = self.registry.find(name)?;
        let link = self.links.get(&cluster)?;
        let chain = match (link.clones(), link.unknown_chain()) {
            (Some(_), _) => Chain::Cloned,
            (None, Some(unknown)) if unknown.repeated => Chain::Held,
            (None, Some(_)) => Chain::Unknown,
            (None, None) => Chain::Known,
        };
        let mut conditions = Vec::new();
        let mut say = |kind: &str, message: String| {
            conditions.push(Condition { kind: kind.to_owned(), message });
        };
        if let Some((known, other)) = link.clones() {
            say("Cloned", format!("kube-system {known} and {other} use one identity: neither is served"));
        }
        if let Some(unknown) = link.unknown_chain() {
            say(
                "DeletesHeld",
                format!("{}; all deletes are held until: argosy cluster reconcile {name}", unknown.why),
            );
        }
        if let Some((_, why)) = link.journal().refused() {
            say("JournalRefused", format!("rows of the agent's journal were refused: {why}"));
        }
        if let Some(paused) = link.paused() {
            let known = if link.session().is_some() { "" } else { " (last known)" };
            say(
                "Paused",
                format!("{}{known}; argosy-agent resume at the edge lets it go on", paused.words()),
            );
        }
        if member.refused > 0 {
            say(
                "EnrolmentRefused",
                format!("{} attempts to enrol under this name were refused", member.refused),
            );
        }
        Some(ClusterView {
            cluster,
            name: member.name.clone(),
            labels: member.labels.clone(),
            joined: member.joined.is_some(),
            join_expires: member.expires,
            connected: link.session().is_some(),
            last_seen: link.last_seen(),
            head: link.sent(),
            stored: link.acknowledged_head().map(|head| head.head.generation),
            apps: self.count(cluster, link),
            facts: link.facts().cloned(),
            read_only: link.read_only().map(str::to_owned),
            paused: link.paused().cloned(),
            chain,
            behind: self.behind.get(&cluster).map(|since| now.mono.since(since).unwrap_or_default()),
            conditions,
        })
    }

    fn count(&self, cluster: ClusterId, link: &HubLink) -> AppCounts {
        let mut counts = AppCounts::default();
        let placed = self.fleet.placements().keys().filter(|(of, _)| *of == cluster).map(|(_, app)| app);
        let apps: BTreeSet<&AppId> = placed.chain(link.statuses().keys()).collect();
        for app in apps {
            counts.total += 1;
            // What the hub holds back is held, whatever the agent knows of it.
            let placement = self.fleet.placements().get(&(cluster, app.clone()));
            let present = placement
                .is_some_and(|placed| matches!(placed.assignment.phase, Phase::Active | Phase::Frozen));
            let lost = present && self.mass_loss.iter().any(|loss| loss.apps.contains(app));
            counts.held += u64::from(lost);
            let Some(status) = link.statuses().get(app).and_then(|row| read_status(row.value())) else {
                counts.unknown += 1;
                continue;
            };
            let failing = self.failing.contains(app);
            let conditions = self.conditions.get(app).into_iter().flatten();
            let doubts: Vec<bool> =
                conditions.filter_map(|(condition, _)| is_doubted(condition, failing)).collect();
            let sync = if doubts.is_empty() { status.sync } else { SyncStatus::Unknown };
            let health = if doubts.contains(&true) { Health::Unknown } else { status.health };
            match sync {
                SyncStatus::Synced => counts.synced += 1,
                SyncStatus::OutOfSync => counts.out_of_sync += 1,
                SyncStatus::Unknown => {}
            }
            match health {
                Health::Healthy => counts.healthy += 1,
                Health::Progressing => counts.progressing += 1,
                Health::Degraded => counts.degraded += 1,
                Health::Suspended | Health::Missing | Health::Unknown => {}
            }
            counts.unknown += u64::from(sync == SyncStatus::Unknown || health == Health::Unknown);
            counts.held += u64::from(status.held.is_some() && !lost);
        }
        counts
    }

    /// Gives every app on every cluster, by app; that of its document first.
    pub fn apps(&self, now: Now, store: &dyn StoreRead) -> Result<Vec<AppView>, StoreError> {
        let read = self.read.iter().flat_map(|read| read.apps.keys());
        let placed = self.fleet.placements().keys().map(|(_, app)| app);
        let apps: BTreeSet<&AppId> = read.chain(placed).collect();
        let mut views = Vec::new();
        for app in apps {
            let placements = self.fleet.placements_of(app);
            if placements.is_empty() {
                views.push(self.view(app, None, now, store)?);
            }
            for (cluster, placement) in placements {
                views.push(self.view(app, Some((cluster, placement)), now, store)?);
            }
        }
        Ok(views)
    }

    /// Gives one app; on the cluster of its document where none is named.
    pub fn app(
        &self,
        app: &AppId,
        cluster: Option<&str>,
        now: Now,
        store: &dyn StoreRead,
    ) -> Result<Option<AppView>, StoreError> {
        let mut placements = self.fleet.placements_of(app);
        if let Some(name) = cluster {
            placements.retain(|(of, _)| self.registry.name_of(*of) == Some(name));
            if placements.is_empty() {
                return Ok(None);
            }
        }
        let placement = placements.into_iter().next();
        let named = self.read.iter().any(|read| read.apps.contains_key(app));
        if placement.is_none() && !named {
            return Ok(None);
        }
        self.view(app, placement, now, store).map(Some)
    }

    /// Gives the newest commit that is known to render to a release of an app.
    pub fn commit_of(&self, cluster: ClusterId, app: &AppId, root: Root) -> Option<&str> {
        self.fleet.placements().get(&(cluster, app.clone()))?.commit_of(root)
    }

    /// Gives when an app's status on a cluster held; absent when its agent never said.
    pub fn observed(&self, cluster: ClusterId, app: &AppId, now: Now) -> Option<Observed> {
        let link = self.links.get(&cluster)?;
        let age = link.status_age(app, now)?;
        let seen = link.statuses().get(app).and_then(|row| row.seen());
        let stated = seen.map_or(age, |seen| seen.age(now));
        Some(Observed { age, stated, last_known: link.session().is_none() })
    }

    /// Gives the events after a number, oldest first.
    pub fn events_after(&self, sequence: u64) -> impl Iterator<Item = &Event> {
        self.events.after(sequence)
    }

    fn view(
        &self,
        app: &AppId,
        placed: Option<(ClusterId, &Placement)>,
        now: Now,
        store: &dyn StoreRead,
    ) -> Result<AppView, StoreError> {
        let read = self.read.as_ref().and_then(|read| read.apps.get(app));
        let application = read.and_then(|document| document.application.as_ref().ok());
        let assignment = placed.map(|(_, placement)| &placement.assignment);
        let link = placed.and_then(|(cluster, _)| self.links.get(&cluster));
        let row = link.and_then(|link| link.statuses().get(app));
        let mut status = self.with_family(app, row.and_then(|row| read_status(row.value())));
        let family = self.family_here(app);
        let done = family.is_some() && self.is_done_here(app);
        if let Some(held) = self.lost(app, placed.map(|(_, placement)| placement), store)? {
            status.get_or_insert_with(unknown_status).held = Some(held);
        }
        let here = Observed { age: Duration::ZERO, stated: Duration::ZERO, last_known: false };
        let observed =
            placed.and_then(|(cluster, _)| self.observed(cluster, app, now)).or_else(|| family.map(|_| here));
        let since = placed.and_then(|(cluster, _)| self.heard.get(&(cluster, app.clone())));
        let named = application.map(|application| &application.destination.cluster);
        let cluster = placed
            .and_then(|(cluster, _)| self.registry.name_of(cluster))
            .or_else(|| named.map(|cluster| cluster.name().unwrap_or_else(|| cluster.server())));
        let project = application
            .map(|application| application.project.clone())
            .or_else(|| assignment.map(|assignment| assignment.limits.project.clone()));
        let document = read
            .map(|document| document.document.clone())
            .or_else(|| placed.map(|(_, placement)| placement.document.clone()));
        let conditions = self.conditions.get(app).into_iter().flatten();
        let shown = |(condition, since): (&Condition, &WallTime)| Shown {
            condition: condition.clone(),
            since: *since,
        };
        let mut conditions: Vec<Shown> = conditions.map(shown).collect();
        if let Some(status) = &mut status {
            doubt(status, &mut conditions, self.failing.contains(app));
        }
        let commits = placed.into_iter().flat_map(|(_, placement)| &placement.revisions);
        Ok(AppView {
            app: app.clone(),
            cluster: cluster.unwrap_or_default().to_owned(),
            project: project.unwrap_or_default(),
            document: document.unwrap_or_default(),
            phase: assignment.map(|assignment| assignment.phase),
            waiting: (placed.is_none() && !done).then(|| self.waiting(app)),
            desired: assignment.map(|assignment| assignment.root).or(family.and_then(|family| family.root)),
            commits: commits
                .map(|revision| (revision.root, revision.commit.clone()))
                .chain(family.and_then(|family| Some((family.root?, family.commit.clone()?))))
                .collect(),
            conditions,
            status,
            since: since.cloned().unwrap_or_default(),
            observed,
            sync_window: assignment.map(|assignment| Windows::of(&assignment.limits.windows).words(now.wall)),
            windows: assignment.iter().flat_map(|of| &of.limits.windows).map(SyncWindow::summary).collect(),
        })
    }

    /// Gives what an unconfirmed loss would do to an app that is part of it.
    fn lost(
        &self,
        app: &AppId,
        placement: Option<&Placement>,
        store: &dyn StoreRead,
    ) -> Result<Option<Held>, StoreError> {
        let Some(loss) = self.mass_loss.as_ref().filter(|loss| loss.apps.contains(app)) else {
            return Ok(None);
        };
        let names: Vec<String> = loss.apps.iter().map(ToString::to_string).collect();
        let mut deletes = Vec::new();
        if let Some(placement) = placement.filter(|placement| placement.cascade.is_some())
            && let Some(release) = crate::session::tables::get_release(store, placement.assignment.root)?
        {
            let entries = release.entries().iter();
            deletes.extend(entries.map(|entry| HeldDelete { key: entry.id.key.clone(), uid: String::new() }));
        }
        let reason = format!("the fleet lost {} apps at once: {}", names.len(), names.join(", "));
        Ok(Some(Held { plan: loss.plan, reason, deletes, more: 0 }))
    }
}

/// Tells whether a condition puts in doubt how an app compares, and with true how healthy it is as well.
fn is_doubted(condition: &Condition, failing: bool) -> Option<bool> {
    let refused = failing && condition.kind == "InvalidSpecError";
    (refused || condition.kind == "ComparisonError").then_some(refused)
}

/// What Git says is not known of an app whose source does not render, and nothing at all of one whose document is refused
/// (Argo CD). What its agent enforces meanwhile is told with the reason. An app that follows Git is not refused: what is said
/// of it then is about something else, such as a project whose newest document is broken.
fn doubt(status: &mut AppStatus, conditions: &mut [Shown], failing: bool) {
    let (sync, health) = (status.sync, status.health);
    for Shown { condition, .. } in conditions {
        let Some(refused) = is_doubted(condition, failing) else { continue };
        status.sync = SyncStatus::Unknown;
        if refused {
            status.health = Health::Unknown;
        }
        if status.assigned.is_some() {
            let enforced = format!("; what is enforced is {} and {}", sync.as_str(), health.as_str());
            condition.message.push_str(&enforced);
        }
    }
}

/// Says nothing: for an app whose agent has not spoken.
pub(super) fn unknown_status() -> AppStatus {
    AppStatus {
        sync: SyncStatus::Unknown,
        health: Health::Unknown,
        health_message: String::new(),
        listed: None,
        assigned: None,
        synced: None,
        phase: Phase::Active,
        operation: None,
        counts: crate::status::Counts::default(),
        resources: Vec::new(),
        conditions: Vec::new(),
        held: None,
        observed: crate::time::MonoTime { boot: crate::ids::BootId::default(), elapsed_ms: 0 },
        emptied: None,
        history: Vec::new(),
    }
}
