//! History: the releases that an app was synced to, kept at the agent so that it goes back to one with no hub (Argo CD:
//! `status.history`, rollback).
//!
//! A rollback of an app that is synced by hand is a sync of an older release, without hooks; its status then compares live
//! objects with the newest release, as in Argo CD. An app that is synced by itself would be synced to the newest again at
//! once: where somebody at the edge rolls it back, or where its document asks for that when it is Degraded, the newest
//! release is *left*: the older one is what is assigned until a commit brings another.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use super::Reconciler;
use super::operations::Start;
use super::state::{App, PendingSync, tables};
use crate::desired::{Assignment, Phase};
use crate::health::Health;
use crate::ids::{AppId, CommandId};
use crate::release::Root;
use crate::selection::SyncOptions;
use crate::session::frame::CommandState;
use crate::status::{AppStatus, Condition, HistoryRow, OperationPhase, SyncStatus};
use crate::store::{StoreError, StoreOp, StoreRead, encode};
use crate::time::Now;

/// A release that is assigned and not wanted: another one takes its place until a commit brings a newer one.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Left {
    /// The release that was left.
    #[n(0)]
    pub root: Root,
    /// The release that takes its place.
    #[n(1)]
    pub kept: Root,
    /// Why, for people.
    #[n(2)]
    pub why: String,
}

/// What a sync goes back to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Rollback {
    /// The row of the history.
    #[n(0)]
    pub id: u64,
    /// Its release.
    #[n(1)]
    pub root: Root,
    /// The newest release is left with it.
    #[n(2)]
    pub leaves: Option<Left>,
}

/// Why an app is not rolled back, in Argo CD's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RollbackRefused {
    /// No such app.
    #[error("app {0} is not on this cluster")]
    NoApp(AppId),
    /// It is not delivered.
    #[error("app {app} is {phase:?} and is not rolled back")]
    Phase {
        /// Which app.
        app: AppId,
        /// What is done with it.
        phase: Phase,
    },
    /// It would be synced to the newest release again.
    #[error(
        "rollback cannot be initiated when auto-sync is enabled: take syncPolicy.automated out of its document, or roll \
         back at the edge with argosy-agent rollback {0}"
    )]
    Automated(AppId),
    /// There is nothing to go back to.
    #[error("application {0} should have at least two successful deployments")]
    TooFew(AppId),
    /// The history has no such row.
    #[error("application {app} does not have deployment id {id} in history; it has {known}")]
    NoRow {
        /// Which app.
        app: AppId,
        /// What was named.
        id: u64,
        /// What there is.
        known: String,
    },
    /// Something else is under way, or forbids it.
    #[error("{0}")]
    NotNow(String),
    /// No release is complete yet.
    #[error("nothing is assigned to app {0} yet")]
    NothingAssigned(AppId),
}

/// Who asks for a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// An operator at the hub, as in Argo CD.
    Hub,
    /// Somebody at the edge: an app that is synced by itself leaves its newest release.
    Edge,
}

impl App {
    /// Gives what is enforced of what is assigned: an older release in the place of one that was left.
    pub(super) fn enforced(&self) -> Option<Assignment> {
        let newest = self.newest.clone()?;
        let enforces = |listed: &Assignment| matches!(listed.phase, Phase::Active | Phase::Frozen);
        let stays = self.listed.as_ref().is_some_and(enforces);
        let left = self.left.as_ref().filter(|left| stays && left.root == newest.root);
        Some(match left {
            Some(left) => Assignment { root: left.kept, ..newest },
            None => newest,
        })
    }

    /// Gives when an app that is Degraded goes back to the release that was healthy, and when one that is Healthy has
    /// proved its release.
    pub(super) fn soaks(&self) -> impl Iterator<Item = u64> {
        [self.falls_back_at(), self.is_proved_at()].into_iter().flatten()
    }

    fn falls_back_at(&self) -> Option<u64> {
        let soak = self.listed.as_ref()?.policy.history.fall_back_ms?;
        Some(self.degraded_since?.saturating_add(soak))
    }

    fn is_proved_at(&self) -> Option<u64> {
        self.history.last().filter(|row| !row.healthy)?;
        Some(self.healthy_since?.saturating_add(self.soak_ms()))
    }

    fn soak_ms(&self) -> u64 {
        self.listed.as_ref().and_then(|listed| listed.policy.history.fall_back_ms).unwrap_or_default()
    }

    /// Finds the newest release that was healthy before the present one; none where that was healthy itself for as long as
    /// it may be Degraded: then it is not the release that broke the app.
    fn last_good(&self) -> Option<&HistoryRow> {
        let newest = self.newest.as_ref()?.root;
        let row = self.history.iter().rev().find(|row| row.healthy)?;
        let was_healthy = self.history.iter().any(|row| row.healthy && row.root == newest);
        Some(row).filter(|_| !was_healthy)
    }
}

impl Reconciler {
    /// Gives the releases that an app was synced to, oldest first.
    pub fn history(&self, app: &AppId, now: Now) -> Vec<HistoryRow> {
        let rows = self.apps.get(app).into_iter().flat_map(|state| &state.history);
        rows.map(|row| HistoryRow {
            age_ms: now.mono.since(&row.finished).map(crate::time::millis),
            ..row.clone()
        })
        .collect()
    }

    /// Starts the rollback of an app to a row of its history, the one before the newest unless one is named. At the hub its
    /// command's record is durable already.
    pub fn roll_back(
        &mut self,
        command: CommandId,
        app: &AppId,
        id: Option<u64>,
        prune: bool,
        from: From,
    ) -> Result<HistoryRow, RollbackRefused> {
        let (row, rollback) = self.rollback_of(app, id, from)?;
        let pending = PendingSync {
            command,
            expect: None,
            prune,
            rollback: Some(rollback),
            options: SyncOptions::default(),
        };
        self.ask(app, pending).map_err(RollbackRefused::NotNow)?;
        Ok(row)
    }

    fn rollback_of(
        &self,
        app: &AppId,
        id: Option<u64>,
        from: From,
    ) -> Result<(HistoryRow, Rollback), RollbackRefused> {
        let state = self.apps.get(app).ok_or_else(|| RollbackRefused::NoApp(app.clone()))?;
        let listed = state.listed.as_ref().ok_or_else(|| RollbackRefused::NoApp(app.clone()))?;
        if listed.phase != Phase::Active {
            return Err(RollbackRefused::Phase { app: app.clone(), phase: listed.phase });
        }
        let newest = state.newest.as_ref().ok_or_else(|| RollbackRefused::NothingAssigned(app.clone()))?;
        let automated = listed.policy.automated.is_some();
        if automated && from == From::Hub {
            return Err(RollbackRefused::Automated(app.clone()));
        }
        let row = if let Some(id) = id {
            let named = state.history.iter().find(|row| row.id == id);
            let unknown =
                || RollbackRefused::NoRow { app: app.clone(), id, known: known_ids(&state.history) };
            named.ok_or_else(unknown)?
        } else {
            let before = state.history.len().checked_sub(2).and_then(|index| state.history.get(index));
            before.ok_or_else(|| RollbackRefused::TooFew(app.clone()))?
        };
        let leaves = (automated && row.root != newest.root).then(|| Left {
            root: newest.root,
            kept: row.root,
            why: "somebody at the edge rolled it back".to_owned(),
        });
        Ok((row.clone(), Rollback { id: row.id, root: row.root, leaves }))
    }

    /// An app that was Degraded for as long as its document says goes back to the newest release that was healthy.
    pub(super) fn start_fall_back(&mut self, app: &AppId, now: Now) {
        self.prove_release(app, now);
        let Some(state) = self.apps.get_mut(app) else { return };
        if state.operation.is_some() || state.pending.is_some() || state.left.is_some() {
            return;
        }
        let Some(at) = state.falls_back_at().filter(|at| *at <= now.ms()) else { return };
        let automated = state.listed.as_ref().filter(|listed| listed.policy.automated.is_some());
        let active = automated.is_some_and(|listed| listed.phase == Phase::Active);
        let Some((row, newest)) = state.last_good().cloned().zip(state.newest.as_ref()).filter(|_| active)
        else {
            return;
        };
        let soak = now.ms().saturating_sub(at.saturating_sub(state.soak_ms())) / 1000;
        let left = Left { root: newest.root, kept: row.root, why: format!("it was Degraded for {soak} s") };
        let message = format!(
            "release {} is left: {}; back to {}, which was healthy, until a newer commit comes",
            left.root.0.short(),
            left.why,
            left.kept.0.short()
        );
        state.degraded_since = None;
        let rollback = Rollback { id: row.id, root: row.root, leaves: Some(left) };
        self.event(app, None, "RolledBack", message);
        self.start(app, Start { rollback: Some(rollback), ..Start::default() }, now);
    }

    /// Notes a sync that succeeded. One that nobody asked for and that brought nothing new makes no row, as heals make none
    /// in Argo CD.
    pub(super) fn remember(&mut self, app: &AppId, row: &HistoryRow) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let limit = state.listed.as_ref().map_or(0, |listed| listed.policy.history.limit());
        let newest = state.history.last();
        if !(row.automated && newest.is_some_and(|newest| newest.root == row.root)) {
            let id = newest.map_or(0, |newest| newest.id.saturating_add(1));
            state.history.push(HistoryRow { id, ..row.clone() });
        }
        let extra = state.history.len().saturating_sub(limit);
        state.history.drain(..extra);
        self.put_history(app);
    }

    fn put_history(&mut self, app: &AppId) {
        let Some(state) = self.apps.get(app) else { return };
        self.out.ops.push(if state.history.is_empty() {
            StoreOp::delete(tables::HISTORY, encode(app))
        } else {
            StoreOp::put(tables::HISTORY, encode(app), &state.history)
        });
    }

    /// Concludes from what is reported of an app since when it is Degraded, or Synced and Healthy with its newest release.
    pub(super) fn look_at_health(&mut self, app: &AppId, status: &AppStatus, now: Now) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let rests = state.operation.is_none();
        let synced = state.last.as_ref().filter(|last| last.phase == OperationPhase::Succeeded);
        let root = synced.filter(|_| rests).map(|last| last.root);
        let degraded = status.health == Health::Degraded && rests && state.last.is_some();
        let soaks =
            degraded && state.listed.as_ref().is_some_and(|of| of.policy.history.fall_back_ms.is_some());
        state.degraded_since = soaks.then(|| state.degraded_since.unwrap_or(now.ms()));
        let good = status.sync == SyncStatus::Synced && status.health == Health::Healthy;
        let proves = good && root.is_some() && state.history.last().map(|row| row.root) == root;
        state.healthy_since = proves.then(|| state.healthy_since.unwrap_or(now.ms()));
        self.prove_release(app, now);
    }

    /// A release with which the app was Healthy for as long as it may be Degraded is one to go back to.
    fn prove_release(&mut self, app: &AppId, now: Now) {
        let Some(state) = self.apps.get_mut(app) else { return };
        if state.is_proved_at().is_none_or(|at| at > now.ms()) {
            return;
        }
        if let Some(row) = state.history.last_mut() {
            row.healthy = true;
        }
        self.put_history(app);
    }

    /// Takes up what is assigned now that a release was left, or is no more.
    pub(super) fn reassign(&mut self, store: &dyn StoreRead, now: Now) -> Result<(), StoreError> {
        let mut changed = false;
        for state in self.apps.values_mut() {
            if !std::mem::take(&mut state.reassign) {
                continue;
            }
            let enforced = state.enforced();
            changed |= state.assigned != enforced;
            state.assigned = enforced;
        }
        if changed { self.resolve_all(store, now) } else { Ok(()) }
    }

    /// A release that was left is over once a commit brings another.
    pub(super) fn forget_left(&mut self, app: &AppId) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let newest = state.newest.as_ref().map(|newest| newest.root);
        if state.left.as_ref().is_none_or(|left| newest.is_none() || newest == Some(left.root)) {
            return;
        }
        self.take_left(app, None);
    }

    /// Leaves a release, or returns to the newest.
    pub(super) fn take_left(&mut self, app: &AppId, left: Option<Left>) {
        let Some(state) = self.apps.get_mut(app) else { return };
        if state.left == left {
            return;
        }
        state.left.clone_from(&left);
        (state.degraded_since, state.healthy_since) = (None, None);
        state.reassign = true;
        if let Some(last) = &mut state.last {
            last.left = left;
            self.out.ops.push(StoreOp::put(tables::ATTEMPTS, encode(app), last));
        }
        self.dirty.insert(app.clone());
    }

    /// Gives the releases that histories name, and those that take the place of newer ones.
    pub(super) fn remembered_roots(&self) -> BTreeSet<Root> {
        let rows = self.apps.values().flat_map(|state| &state.history).map(|row| row.root);
        let kept = self.apps.values().filter_map(|state| state.left.as_ref()).map(|left| left.kept);
        rows.chain(kept).collect()
    }

    /// Fails a command that cannot roll back.
    pub fn refuse_rollback(&mut self, command: CommandId, refused: &RollbackRefused) {
        self.finish(command, CommandState::Failed, refused.to_string());
    }
}

impl App {
    /// Says that an older release takes the place of the newest.
    pub(super) fn left_condition(&self) -> Option<Condition> {
        let newest = self.newest.as_ref()?.root;
        let left = self.left.as_ref().filter(|left| left.root == newest)?;
        let message = format!(
            "release {} was left: {}; release {} is kept in its place until a newer commit comes, or until a sync is \
             asked for",
            left.root.0.short(),
            left.why,
            left.kept.0.short()
        );
        Some(Condition { kind: "RolledBackWarning".to_owned(), message })
    }
}

fn known_ids(history: &[HistoryRow]) -> String {
    if history.is_empty() {
        return "none".to_owned();
    }
    let ids: Vec<String> = history.iter().map(|row| row.id.to_string()).collect();
    ids.join(", ")
}
