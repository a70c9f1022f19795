//! What apps bring of the fleet's documents (M9): added to each read of its source before anything is decided.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::document_conditions;
use super::{Context, Effects, HubMachine, RenderedApp, Severity, Staged};
use crate::application::Source;
use crate::desired::Phase;
use crate::fleet::{Family, Fleet, FleetRead, Grown, Order, Rendering};
use crate::health::Health;
use crate::ids::AppId;
use crate::project::normalise_repository;
use crate::status::{AppStatus, Condition, Counts, ResourceRow, SyncStatus};
use crate::store::StoreError;

/// How often sync windows are looked at of apps that bring documents.
const WINDOWS_MS: u64 = 20_000;

/// What came of a read with all that apps bring.
pub(super) struct Regrown {
    /// What goes to the clusters.
    pub(super) renderings: BTreeMap<AppId, Rendering>,
    /// What became of the order; absent where its app was not looked at.
    pub(super) answer: Option<Result<(), String>>,
}

impl HubMachine {
    /// Gives the sources of the fleet's apps, brought ones among them: what has to be rendered.
    pub fn sources(&self) -> BTreeMap<AppId, Source> {
        self.read.as_ref().map(FleetRead::sources).unwrap_or_default()
    }

    /// Adds to the newest read what apps bring, by themselves or because somebody orders it.
    pub(super) fn grow(
        &mut self,
        order: Option<&Order>,
        context: &Context<'_>,
        effects: &mut Effects,
    ) -> Result<Regrown, StoreError> {
        self.look_again = None;
        if let Some(base) = &self.base {
            let grown = grow(&mut self.fleet, base, &self.rendered, order, context, effects)?;
            let Grown { read, rest, families, ops, windows, answer } = grown;
            self.may_collect |= !ops.is_empty();
            effects.ops.extend(ops);
            self.look_again = windows.then(|| context.now.ms().saturating_add(WINDOWS_MS));
            self.families = families;
            self.adopt(read, context, effects);
            return Ok(Regrown { renderings: without_documents(self.renderings(), &rest), answer });
        }
        Ok(Regrown { renderings: self.renderings(), answer: None })
    }

    /// Says what would become of an order; nothing changes. Absent where its app is not looked at.
    pub(super) fn try_order(
        &self,
        order: &Order,
        context: &Context<'_>,
        effects: &Effects,
    ) -> Result<Option<Result<(), String>>, StoreError> {
        let Some(base) = &self.base else { return Ok(None) };
        let mut fleet = self.fleet.clone();
        Ok(grow(&mut fleet, base, &self.rendered, Some(order), context, effects)?.answer)
    }

    fn renderings(&self) -> BTreeMap<AppId, Rendering> {
        let rendered = self.rendered.iter();
        rendered.map(|(app, rendered)| (app.clone(), rendered.rendering.clone())).collect()
    }

    /// Takes the read that is decided from: forgets what was rendered for another, and tells what is new in it.
    fn adopt(&mut self, read: FleetRead, context: &Context<'_>, effects: &mut Effects) {
        if self.read.as_ref() == Some(&read) {
            return;
        }
        let known: BTreeSet<Condition> = self.read.iter().flat_map(document_conditions).collect();
        for condition in document_conditions(&read).filter(|condition| !known.contains(condition)) {
            let (severity, reason) = super::sources::news_of(&condition);
            self.tell(severity, reason, condition.message, None, None, context.now, effects);
        }
        self.tell_children(&read, context, effects);
        let before = self.sources();
        self.read = Some(read);
        let sources = self.sources();
        // A rendering of another source than the document states now says nothing.
        self.rendered.retain(|app, rendered| sources.get(app) == Some(&rendered.source));
        let used: BTreeSet<String> =
            sources.values().map(|source| normalise_repository(&source.repo_url)).collect();
        self.repository_problems.retain(|repository, _| used.contains(repository));
        effects.sources_changed |= before != sources;
    }

    /// Says which apps are brought from now on, and by which.
    fn tell_children(&mut self, read: &FleetRead, context: &Context<'_>, effects: &mut Effects) {
        let before: BTreeMap<&AppId, &AppId> = self
            .read
            .iter()
            .flat_map(|read| &read.children)
            .map(|(app, child)| (app, &child.parent))
            .collect();
        let new: Vec<(AppId, AppId)> = read
            .children
            .iter()
            .filter(|(app, child)| before.get(app) != Some(&&child.parent))
            .map(|(app, child)| (app.clone(), child.parent.clone()))
            .collect();
        for (app, parent) in new {
            let message = format!("app {parent} brings it");
            self.tell(Severity::Info, "Brought", message, None, Some(app), context.now, effects);
        }
    }

    /// Says of the apps that bring documents what became of these.
    pub(super) fn tell_families(&self, conditions: &mut BTreeMap<AppId, Vec<Condition>>) {
        for (app, family) in self.families.iter().filter(|(_, family)| !family.conditions.is_empty()) {
            conditions.entry(app.clone()).or_default().extend(family.conditions.iter().cloned());
        }
    }

    /// Tells whether the hub itself does all that an app asks for.
    pub(super) fn is_done_here(&self, app: &AppId) -> bool {
        let only = self.read.as_ref().is_some_and(|read| read.only_documents.contains(app));
        only && self.fleet.placements_of(app).is_empty()
    }

    /// Gives what became of the documents of an app that is on no cluster: all that can be said of it.
    pub(super) fn family_here(&self, app: &AppId) -> Option<&Family> {
        self.families.get(app).filter(|_| self.fleet.placements_of(app).is_empty())
    }

    /// Adds to what an agent says of an app what became of the documents that it brings.
    pub(super) fn with_family(&self, app: &AppId, status: Option<AppStatus>) -> Option<AppStatus> {
        let Some(family) = self.families.get(app) else { return status };
        let here = || match self.family_here(app) {
            Some(family) if self.is_done_here(app) => Some(of_family(family)),
            Some(_) => Some(super::view::unknown_status()),
            // What an agent has not said yet is not known.
            None => None,
        };
        let mut status = status.or_else(here)?;
        count(&mut status.counts, &family.rows);
        if status.sync == SyncStatus::Synced {
            let is =
                |wanted: SyncStatus| family.rows.iter().any(|row| row.status == wanted).then_some(wanted);
            status.sync = is(SyncStatus::OutOfSync).or(is(SyncStatus::Unknown)).unwrap_or(SyncStatus::Synced);
        }
        status.resources.extend(family.rows.iter().cloned());
        Some(status)
    }
}

fn grow(
    fleet: &mut Fleet,
    base: &FleetRead,
    rendered: &BTreeMap<AppId, RenderedApp>,
    order: Option<&Order>,
    context: &Context<'_>,
    effects: &Effects,
) -> Result<Grown, StoreError> {
    let rendering = |app: &AppId, source: &Source| {
        let of = rendered.get(app).filter(|rendered| rendered.source == *source);
        of.map(|rendered| rendered.rendering.clone())
    };
    let staged = Staged::new(context.store, &effects.ops);
    fleet.grow(base, &rendering, order, context.now.wall, &staged)
}

/// Gives renderings with the releases that go to the clusters.
pub(super) fn without_documents(
    mut renderings: BTreeMap<AppId, Rendering>,
    rest: &BTreeMap<AppId, crate::release::Root>,
) -> BTreeMap<AppId, Rendering> {
    for (app, rest) in rest {
        if let Some(Rendering::Rendered { root, .. }) = renderings.get_mut(app) {
            *root = *rest;
        }
    }
    renderings
}

fn count(counts: &mut Counts, rows: &[ResourceRow]) {
    for row in rows {
        counts.total = counts.total.saturating_add(1);
        let of = match row.status {
            SyncStatus::Synced => &mut counts.synced,
            SyncStatus::OutOfSync => &mut counts.out_of_sync,
            SyncStatus::Unknown => &mut counts.unknown,
        };
        *of = of.saturating_add(1);
    }
}

/// Says of an app that needs no cluster what the hub knows: its documents are all that there is of it.
fn of_family(family: &Family) -> AppStatus {
    AppStatus {
        sync: SyncStatus::Synced,
        health: Health::Healthy,
        listed: family.root,
        assigned: family.root,
        synced: family.root,
        phase: Phase::Active,
        ..super::view::unknown_status()
    }
}
