//! Status: what is said of each app, and when.

use super::heal::Drift;
use super::results::{retry_message, so_far};
use super::state::{App, Attempt, Live};
use super::windows::BLOCKED;
use super::{InventoryEntry, Reconciler};
use crate::cluster::ManifestFacts;
use crate::desired::Phase;
use crate::health::{Assessor, Health, Member, Standing, Verdict, has_binding_rule, roll_up};
use crate::ids::{AppId, Digest};
use crate::key::{GroupKind, ResourceKey};
use crate::order::SyncPhase;
use crate::policy::Consent;
use crate::status::{AppStatus, Counts, OperationPhase, OperationStatus, ResourceRow, SyncStatus};
use crate::time::Now;

/// A running operation reports at most this often.
const REPORT_MS: u64 = 250;

impl Reconciler {
    /// Tells whether an object is what a manifest says, as far as metadata tell.
    pub(super) fn is_in_sync(&self, app: &AppId, key: &ResourceKey, manifest: Digest) -> bool {
        self.compare(app, key, manifest) == SyncStatus::Synced
    }

    fn compare(&self, app: &AppId, key: &ResourceKey, manifest: Digest) -> SyncStatus {
        self.compare_known(app, key, manifest, self.inventory.get(key), self.live.get(key))
    }

    /// Compares what was looked up already.
    fn compare_known(
        &self,
        app: &AppId,
        key: &ResourceKey,
        manifest: Digest,
        entry: Option<&InventoryEntry>,
        live: Option<&Live>,
    ) -> SyncStatus {
        let Some(entry) = entry else {
            let told = self.was_object_looked_for(key) || self.is_hidden(key);
            return if told { SyncStatus::OutOfSync } else { SyncStatus::Unknown };
        };
        let applied =
            entry.applied.as_ref().is_some_and(|body| body.manifest == manifest && body.app == *app);
        if !entry.belongs_to(app) || !applied || entry.intent.is_some() || entry.going {
            return SyncStatus::OutOfSync;
        }
        if self.is_hidden(key) {
            return SyncStatus::Unknown;
        }
        if self.has_no_object(key) {
            return SyncStatus::OutOfSync;
        }
        match self.drift_of(key, entry, live) {
            Drift::None => SyncStatus::Synced,
            Drift::Missing | Drift::Changed => SyncStatus::OutOfSync,
            Drift::Unknown => SyncStatus::Unknown,
        }
    }

    pub(super) fn report(&mut self, now: Now) {
        for app in std::mem::take(&mut self.dirty) {
            let busy = self.apps.get(&app).is_some_and(App::is_working);
            let due = self.report_due.entry(app).or_insert(now.ms());
            if !busy {
                *due = now.ms();
            }
        }
        let due: Vec<AppId> =
            self.report_due.iter().filter(|(_, at)| **at <= now.ms()).map(|(app, _)| app.clone()).collect();
        for app in due {
            self.report_due.remove(&app);
            let Some(state) = self.apps.get(&app) else { continue };
            if state.listed.is_none() && !self.by_app.contains_key(&app) {
                continue;
            }
            let status = self.status_of(&app, state, now).bounded();
            let busy = state.is_working();
            self.look_at_health(&app, &status, now);
            let before = self.reported.get(&app);
            let changed = before
                .is_none_or(|before| AppStatus { observed: status.observed, ..before.clone() } != status);
            if changed {
                self.out.statuses.push((app.clone(), Some(status.clone())));
                self.reported.insert(app.clone(), status);
                if busy {
                    self.report_due.insert(app, now.ms().saturating_add(REPORT_MS));
                }
            }
        }
    }

    /// Gives every row of an app, for an operator who asks.
    pub fn rows(&self, app: &AppId, now: Now) -> Vec<ResourceRow> {
        let Some(state) = self.apps.get(app) else { return Vec::new() };
        let rows = self.all_rows(app, state, now).into_iter();
        rows.map(|row| self.versioned(state, row)).collect()
    }

    fn all_rows(&self, app: &AppId, state: &App, now: Now) -> Vec<ResourceRow> {
        let mut rows: Vec<ResourceRow> = Vec::with_capacity(state.wanted.keys.len());
        for (key, wanted) in &state.wanted.keys {
            let (entry, live) = (self.inventory.get(key), self.live.get(key));
            let status = if self.is_forbidden(state, key) {
                SyncStatus::Unknown
            } else {
                self.compare_known(app, key, wanted.manifest, entry, live)
            };
            rows.push(self.row(state, key, Some(wanted.manifest), status, (entry, live), now));
        }
        for key in self.left_over(app, state) {
            let known = (self.inventory.get(key), self.live.get(key));
            rows.push(self.row(state, key, None, SyncStatus::OutOfSync, known, now));
        }
        rows.sort_by(|one, other| one.key.cmp(&other.key));
        rows
    }

    /// Gives the objects that an app manages and does not desire any more.
    pub(super) fn left_over<'a>(
        &'a self,
        app: &'a AppId,
        state: &'a App,
    ) -> impl Iterator<Item = &'a ResourceKey> {
        let left = self.by_app.get(app).into_iter().flatten();
        left.filter(|key| !state.wanted.keys.contains_key(*key)).filter(move |key| {
            let attached =
                self.inventory.get(*key).is_some_and(|entry| entry.belongs_to(app) && entry.hook.is_none());
            let gone = matches!(self.live.get(*key), Some(Live::Absent));
            attached && !gone && !state.wanted.sets_aside(key)
        })
    }

    /// Gives the row of an object that is desired as a manifest says, or left over, and of which this much is known.
    fn row(
        &self,
        state: &App,
        key: &ResourceKey,
        desired: Option<Digest>,
        status: SyncStatus,
        (entry, live): (Option<&InventoryEntry>, Option<&Live>),
        now: Now,
    ) -> ResourceRow {
        let requires_pruning = desired.is_none();
        let verdict = match live {
            _ if key.is_part() => self.part_health(key),
            _ if self.is_refused(&key.group_kind()) => self
                .has_binding_rule(&key.group_kind())
                .then(|| Verdict::new(Health::Unknown, "its kind cannot be watched")),
            Some(Live::Present(live)) if live.deleting => {
                Some(Verdict::new(Health::Progressing, "Pending deletion"))
            }
            Some(Live::Present(live)) => live.health.clone(),
            Some(Live::Absent) if entry.is_some_and(|entry| entry.done) => None,
            Some(Live::Absent) => Some(Verdict::new(Health::Missing, "")),
            None => self.unseen_health(key),
        };
        let mut notes = Vec::new();
        notes.extend(state.problems.get(key).cloned());
        let doubted = requires_pruning || status == SyncStatus::Unknown;
        let note = doubted.then(|| self.project_note(state, key, requires_pruning)).flatten();
        notes.extend(note.filter(|note| !notes.contains(note)));
        notes.extend(self.local_note(state, key, requires_pruning).filter(|note| !notes.contains(note)));
        notes.extend(self.fight_message(key, now.ms()));
        notes.extend(self.part_notes(key, requires_pruning));
        if let (Some(entry), Some(Live::Present(live))) = (entry, live) {
            notes.extend(self.intolerable(key, entry, live));
        }
        if let Some(entry) = entry {
            if !entry.changed.is_empty() {
                notes.push(format!("admission or the API server changed {}", entry.changed.join(", ")));
            }
            if entry.recovered {
                notes.push("found by its tracking, not deleted unasked".to_owned());
            }
            if requires_pruning && entry.kept {
                notes.push("kept: never deleted".to_owned());
            }
        }
        let applied = || entry.and_then(|entry| Some(entry.applied.as_ref()?.manifest));
        let manifest = desired.or_else(applied);
        let facts = manifest.and_then(|manifest| self.facts.get(&manifest));
        let asks = |facts: &ManifestFacts| [facts.prune, facts.delete].contains(&Some(Consent::Asked));
        ResourceRow {
            wave: facts.map_or(0, |facts| facts.wave),
            confirms: facts.is_some_and(asks),
            key: key.clone(),
            status,
            health: verdict.as_ref().map(|verdict| verdict.health),
            health_message: verdict.map(|verdict| verdict.message).unwrap_or_default(),
            requires_pruning,
            message: notes.join("; "),
            version: String::new(),
        }
    }

    /// Tells whether it is known whether an object is there: of a part, by a look at it.
    fn was_object_looked_for(&self, key: &ResourceKey) -> bool {
        let kind = key.group_kind();
        if !key.is_part() {
            return self.was_looked_for(&kind);
        }
        let unserved = self.discovered && !self.kinds.contains_key(&kind);
        self.live.contains_key(key) || (unserved && !self.unasked.contains(kind.group.as_str()))
    }

    /// Tells whether what is there of a kind is known: it is listed, or not served at all.
    fn was_looked_for(&self, kind: &GroupKind) -> bool {
        let unserved = !self.must_watch(kind) && !self.unasked.contains(kind.group.as_str());
        self.discovered && (self.is_watched(kind) || unserved)
    }

    /// Gives the health of an object that was not seen: a complete list that lacks it tells that it is missing, else it
    /// cannot be told (I15).
    fn unseen_health(&self, key: &ResourceKey) -> Option<Verdict> {
        let kind = key.group_kind();
        if self.was_looked_for(&kind) && !self.inventory.contains_key(key) {
            Some(Verdict::new(Health::Missing, ""))
        } else {
            self.has_binding_rule(&kind)
                .then(|| Verdict::new(Health::Unknown, "not seen since the agent started"))
        }
    }

    fn has_binding_rule(&self, kind: &GroupKind) -> bool {
        match &self.rules {
            Some(rules) => Assessor::default().with_rules(&**rules).has_binding_rule(kind),
            None => has_binding_rule(kind),
        }
    }

    /// Tells whether none of an app's objects was seen.
    fn is_unobserved(&self, rows: &[ResourceRow]) -> bool {
        let seen = |row: &ResourceRow| {
            self.live.contains_key(&row.key) || row.health.is_some_and(|health| health != Health::Unknown)
        };
        !rows.is_empty() && !rows.iter().any(seen)
    }

    /// Tells how the health of an object counts for its app.
    fn standing(&self, row: &ResourceRow) -> Standing {
        let (there, counts) = match self.live.get(&row.key) {
            Some(Live::Present(live)) => (true, live.health.as_ref().is_none_or(Verdict::is_counted)),
            Some(Live::Absent) | None => (false, true),
        };
        match row.health {
            Some(Health::Missing) if !there => Standing::Absent,
            Some(health) if counts => Standing::Counted(health),
            Some(_) | None => Standing::Uncounted,
        }
    }

    fn status_of(&self, name: &AppId, state: &App, now: Now) -> AppStatus {
        let rows = self.all_rows(name, state, now);
        let counts = Counts {
            total: rows.len() as u64,
            synced: rows.iter().filter(|row| row.status == SyncStatus::Synced).count() as u64,
            out_of_sync: rows.iter().filter(|row| row.status == SyncStatus::OutOfSync).count() as u64,
            unknown: rows.iter().filter(|row| row.status == SyncStatus::Unknown).count() as u64,
        };
        let compared = |row: &ResourceRow| self.compares(name, state, row);
        let sync = if state.assigned.is_none() || rows.iter().any(|row| compared(row) == SyncStatus::Unknown)
        {
            SyncStatus::Unknown
        } else if rows.iter().any(|row| self.counts_as_out_of_sync(row, compared(row))) {
            SyncStatus::OutOfSync
        } else {
            SyncStatus::Synced
        };
        let (health, health_message) = if state.assigned.is_some() && self.is_unobserved(&rows) {
            (Health::Unknown, "none of its objects was seen since the agent started".to_owned())
        } else if state.assigned.is_none() {
            (Health::Unknown, "nothing is assigned yet".to_owned())
        } else {
            roll_up(rows.iter().map(|row| Member { key: &row.key, standing: self.standing(row) }))
        };
        let phase = self.phase_of(name);
        let calm = sync == SyncStatus::Synced && health == Health::Healthy;
        let telling = |row: &ResourceRow| {
            !calm
                && (row.status != SyncStatus::Synced
                    || row.health.is_some_and(|health| health != Health::Healthy)
                    || !row.message.is_empty())
                || !row.message.is_empty()
        };
        let told = rows.iter().filter(|row| telling(row)).cloned();
        let resources = told.map(|row| self.versioned(state, row)).collect();
        AppStatus {
            sync,
            health,
            health_message,
            listed: state.listed.as_ref().map(|listed| listed.root),
            assigned: state.assigned.as_ref().map(|assigned| assigned.root),
            synced: state.last.as_ref().and_then(|last| last.synced),
            phase,
            operation: operation_status(state, self.paused.as_deref(), || self.unseen_kinds(name))
                .map(|operation| self.with_versions(state, operation)),
            counts,
            resources,
            conditions: self.conditions(name, state, &rows),
            held: state.held.clone(),
            observed: now.mono,
            history: state.history.clone(),
            emptied: state
                .listed
                .as_ref()
                .filter(|_| phase == Phase::Deleting && self.is_emptied(name))
                .and_then(|listed| listed.deletion),
        }
    }

    /// Tells whether an app's project does not permit an object that it desires: how it compares is not told (Argo CD).
    fn is_forbidden(&self, state: &App, key: &ResourceKey) -> bool {
        state.listed.as_ref().is_some_and(|listed| self.denied_by_project(listed, key).is_some())
    }

    /// Tells how an object compares, for its app: also where its row does not say.
    fn compares(&self, app: &AppId, state: &App, row: &ResourceRow) -> SyncStatus {
        let wanted = state.wanted.keys.get(&row.key).filter(|_| row.status == SyncStatus::Unknown);
        wanted.map_or(row.status, |wanted| self.compare(app, &row.key, wanted.manifest))
    }

    /// Tells whether an object makes its app `OutOfSync`: one that is left over need not (Argo CD: `IgnoreExtraneous`).
    fn counts_as_out_of_sync(&self, row: &ResourceRow, compared: SyncStatus) -> bool {
        let extraneous = || self.inventory.get(&row.key).is_some_and(|entry| entry.ignore_extraneous);
        compared == SyncStatus::OutOfSync && !(row.requires_pruning && extraneous())
    }

    /// Only kept objects remain, no write is open and none under way (M6). What nobody looked for does not count as gone:
    /// a new store manages nothing at first.
    fn is_emptied(&self, app: &AppId) -> bool {
        let looked = self.apps.get(app).is_some_and(|state| {
            let newest = state.listed.as_ref().map(|listed| listed.root);
            let complete = state.assigned.as_ref().map(|assigned| assigned.root) == newest;
            let unseen = |key: &ResourceKey| {
                let kind = key.group_kind();
                // Nothing is recovered by a part: what is not known to be managed is not looked for.
                !key.is_part() && self.kinds.contains_key(&kind) && !self.is_watched(&kind)
            };
            self.discovered && complete && !state.wanted.keys.keys().any(unseen)
        });
        let writes = self.flights.values().any(|flight| match &flight.purpose {
            super::Purpose::Apply { app: of, .. }
            | super::Purpose::Claim { app: of, .. }
            | super::Purpose::Delete { app: of, .. }
            | super::Purpose::DeleteCheck { app: of, .. }
            | super::Purpose::Namespace { app: of }
            | super::Purpose::ClearHook { app: of }
            | super::Purpose::DeleteHook { app: of } => of == app,
            super::Purpose::Verify
            | super::Purpose::Settle
            | super::Purpose::Try { .. }
            | super::Purpose::Weigh { .. }
            | super::Purpose::Sweep { .. }
            | super::Purpose::Compare { .. } => false,
        });
        let owes = self.apps.get(app).is_some_and(App::owes_farewell);
        looked && !writes && !owes && !self.remains(app, |_| true) && self.may_write()
    }

    /// Tells whether nothing remains of an app but what is kept, and what runs after its deletion.
    pub(super) fn is_bare(&self, app: &AppId) -> bool {
        let after = |entry: &InventoryEntry| {
            entry.hook.as_ref().is_some_and(|run| run.phase == SyncPhase::PostDelete)
        };
        self.discovered && !self.remains(app, |entry| !after(entry))
    }

    fn remains(&self, app: &AppId, counts: impl Fn(&InventoryEntry) -> bool) -> bool {
        self.by_app.get(app).into_iter().flatten().any(|key| {
            let entry = self.inventory.get(key).filter(|entry| entry.belongs_to(app) && counts(entry));
            // What comes after the deletion, or was left by it before, is not waited for.
            let goes = |entry: &InventoryEntry| !self.stays(key, entry) && !self.is_set_aside(key);
            entry.is_some_and(|entry| goes(entry) || entry.intent.is_some())
        })
    }
}

fn operation_status(
    state: &App,
    paused: Option<&str>,
    waits_for: impl Fn() -> String,
) -> Option<OperationStatus> {
    if let Some(operation) = &state.operation {
        let message = match (paused, &state.work) {
            (Some(paused), _) => format!("stopped before its next object: {paused}"),
            (None, Some(work)) if work.blocked => BLOCKED.to_owned(),
            (None, Some(work)) if work.retry_at.is_some() => retry_message(operation, work),
            (None, Some(work)) => work.waiting.clone(),
            (None, None) => waits_for(),
        };
        let rows = state.work.as_ref().map(|work| work.results.clone()).unwrap_or_default();
        return Some(OperationStatus {
            phase: OperationPhase::Running,
            message,
            root: operation.assignment.root,
            started: operation.started,
            finished: None,
            retries: operation.retries,
            automated: operation.command.is_none(),
            results: so_far(rows),
        });
    }
    state.last.as_ref().map(Attempt::newest).map(|last| OperationStatus {
        phase: last.phase,
        message: last.message.clone(),
        root: last.root,
        started: last.started,
        finished: Some(last.finished),
        retries: last.retries,
        automated: last.automated,
        results: last.results.clone(),
    })
}
