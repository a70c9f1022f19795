//! What operators see, from core's statuses.
//!
//! Releases travel with an empty revision until the hub, which alone knows commits, fills it in: see
//! [`v1::AppStatus::fill_revisions`].

use std::fmt;

use argosy_core::compare::{Change, DiffReport, FieldDiff, ObjectDiff};
use argosy_core::desired::Phase;
use argosy_core::health::Health;
use argosy_core::ids::{AppId, Digest};
use argosy_core::key::ResourceKey;
use argosy_core::order::SyncPhase;
use argosy_core::reconcile::{WhyLine, WhyLink, WhyState};
use argosy_core::release::Root;
use argosy_core::session::frame::CommandKind;
use argosy_core::status::{
    AppStatus, Condition, Counts, Held, HeldDelete, HistoryRow, OperationPhase, OperationStatus, ResourceRow,
    ResultCode, ResultRow, SyncStatus,
};
use argosy_core::store::decode;
use argosy_core::time::{MonoTime, millis};

use crate::error::FrameError;
use crate::field;
use crate::v1;

mod preview;
mod words;

impl fmt::Debug for v1::AddClusterResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddClusterResponse")
            .field("name", &self.name)
            .field("uuid", &self.uuid)
            .finish_non_exhaustive()
    }
}

impl From<&ResourceKey> for v1::ResourceKey {
    fn from(key: &ResourceKey) -> Self {
        Self {
            group: key.group.to_string(),
            kind: key.kind.to_string(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            part: key.part.to_string(),
        }
    }
}

impl From<&v1::ResourceKey> for ResourceKey {
    fn from(key: &v1::ResourceKey) -> Self {
        Self::new(key.group.clone(), key.kind.clone(), key.namespace.clone(), key.name.clone())
            .with_part(key.part.clone())
    }
}

impl From<Root> for v1::ReleaseRef {
    fn from(root: Root) -> Self {
        Self { root: root.0.as_bytes().to_vec(), revision: String::new() }
    }
}

impl v1::ReleaseRef {
    /// Reads the root; absent when it is not one.
    pub fn root(&self) -> Option<Root> {
        Digest::from_slice(&self.root).map(Root)
    }
}

impl From<&Condition> for v1::Condition {
    fn from(condition: &Condition) -> Self {
        Self { r#type: condition.kind.clone(), message: condition.message.clone(), since_unix_ms: None }
    }
}

impl From<&ResourceRow> for v1::ResourceRow {
    fn from(row: &ResourceRow) -> Self {
        Self {
            key: Some((&row.key).into()),
            status: v1::SyncStatus::from(row.status).into(),
            health: row.health.map_or(v1::Health::Unspecified, Into::into).into(),
            health_message: row.health_message.clone(),
            requires_pruning: row.requires_pruning,
            message: row.message.clone(),
            wave: row.wave,
            confirms: row.confirms,
            version: row.version.clone(),
        }
    }
}

impl From<&ResultRow> for v1::ResultRow {
    fn from(row: &ResultRow) -> Self {
        Self {
            key: Some((&row.key).into()),
            code: v1::ResultCode::from(row.code).into(),
            message: row.message.clone(),
            hook: row.hook.map(v1::SyncPhase::from).unwrap_or_default().into(),
            hook_phase: row.hook_phase.map(v1::OperationPhase::from).unwrap_or_default().into(),
            version: row.version.clone(),
        }
    }
}

impl From<&Held> for v1::Held {
    fn from(held: &Held) -> Self {
        Self {
            plan: held.plan.as_bytes().to_vec(),
            reason: held.reason.clone(),
            deletes: held.deletes.iter().map(Into::into).collect(),
            more: held.more,
        }
    }
}

impl From<&HeldDelete> for v1::HeldDelete {
    fn from(delete: &HeldDelete) -> Self {
        Self { key: Some((&delete.key).into()), uid: delete.uid.clone() }
    }
}

impl From<Counts> for v1::ResourceCounts {
    fn from(counts: Counts) -> Self {
        Self {
            total: counts.total,
            synced: counts.synced,
            out_of_sync: counts.out_of_sync,
            unknown: counts.unknown,
        }
    }
}

impl v1::Operation {
    /// Tells of an operation as of `observed`, which its times are counted back from.
    pub fn of(operation: &OperationStatus, observed: MonoTime) -> Self {
        let before = |time: &MonoTime| observed.since(time).map(millis);
        Self {
            phase: v1::OperationPhase::from(operation.phase).into(),
            message: operation.message.clone(),
            release: Some(operation.root.into()),
            started_before_ms: before(&operation.started),
            finished: operation.finished.is_some(),
            finished_before_ms: operation.finished.as_ref().and_then(before),
            retries: operation.retries,
            automated: operation.automated,
            results: operation.results.iter().map(Into::into).collect(),
        }
    }
}

impl From<&AppStatus> for v1::AppStatus {
    fn from(status: &AppStatus) -> Self {
        Self {
            sync: v1::SyncStatus::from(status.sync).into(),
            health: v1::Health::from(status.health).into(),
            health_message: status.health_message.clone(),
            listed: status.listed.map(Into::into),
            assigned: status.assigned.map(Into::into),
            synced: status.synced.map(Into::into),
            phase: v1::AppPhase::from(status.phase).into(),
            operation: status
                .operation
                .as_ref()
                .map(|operation| v1::Operation::of(operation, status.observed)),
            counts: Some(status.counts.into()),
            resources: status.resources.iter().map(Into::into).collect(),
            conditions: status.conditions.iter().map(Into::into).collect(),
            held: status.held.as_ref().map(Into::into),
            emptied: status.emptied.is_some(),
            history: status.history.iter().map(|row| v1::HistoryRow::as_of(row, status.observed)).collect(),
        }
    }
}

impl v1::AppStatus {
    /// Fills in the commits of its releases, as far as `revision` knows them.
    pub fn fill_revisions(&mut self, revision: impl Fn(Root) -> Option<String>) {
        let operation = self.operation.as_mut().and_then(|operation| operation.release.as_mut());
        let past = self.history.iter_mut().map(|row| row.release.as_mut());
        let named = [self.listed.as_mut(), self.assigned.as_mut(), self.synced.as_mut(), operation];
        for release in named.into_iter().chain(past) {
            if let Some(release) = release
                && let Some(root) = release.root()
            {
                release.revision = revision(root).unwrap_or_default();
            }
        }
    }

    /// Takes out what a list of many apps leaves out: rows, results, and the objects of held deletes.
    pub fn leave_out_details(&mut self) {
        self.resources.clear();
        self.history.clear();
        if let Some(operation) = &mut self.operation {
            operation.results.clear();
        }
        if let Some(held) = &mut self.held {
            held.deletes.clear();
        }
    }
}

impl v1::CommandProgress {
    /// Fills in the answer of a read; what it is depends on what was asked.
    pub fn answer(&mut self, kind: &CommandKind, payload: &[u8]) -> Result<(), FrameError> {
        const FIELD: &str = "command_update.payload";
        let undecodable = |_error| FrameError::Undecodable { field: FIELD };
        if payload.is_empty() {
            return Ok(());
        }
        match kind {
            CommandKind::Resources { .. } => {
                let rows: Vec<ResourceRow> = decode(FIELD, payload).map_err(undecodable)?;
                self.rows = rows.iter().map(Into::into).collect();
            }
            CommandKind::Diff { .. } => {
                let report: DiffReport = decode(FIELD, payload).map_err(undecodable)?;
                self.diff = Some(report.into());
            }
            CommandKind::History { .. } => {
                let rows: Vec<HistoryRow> = decode(FIELD, payload).map_err(undecodable)?;
                self.history = rows.iter().map(Into::into).collect();
            }
            CommandKind::Why { .. } => {
                let lines: Vec<WhyLine> = decode(FIELD, payload).map_err(undecodable)?;
                self.why = lines.into_iter().map(Into::into).collect();
            }
            CommandKind::Sync { .. }
            | CommandKind::SyncWith { .. }
            | CommandKind::Confirm { .. }
            | CommandKind::Refresh { .. }
            | CommandKind::Terminate { .. }
            | CommandKind::Rollback { .. } => {}
        }
        Ok(())
    }
}

impl From<DiffReport> for v1::Diff {
    fn from(report: DiffReport) -> Self {
        Self {
            release: Some(report.root.into()),
            objects: report.objects.into_iter().map(Into::into).collect(),
            same: report.same,
            more: report.more,
        }
    }
}

impl From<ObjectDiff> for v1::ObjectDiff {
    fn from(object: ObjectDiff) -> Self {
        Self {
            key: Some((&object.key).into()),
            change: v1::Change::from(object.change).into(),
            fields: object.fields.into_iter().map(Into::into).collect(),
            message: object.message,
            left_out: object.left_out,
        }
    }
}

impl From<FieldDiff> for v1::FieldDiff {
    fn from(field: FieldDiff) -> Self {
        Self { path: field.path, live: field.live, desired: field.desired, untold: field.untold }
    }
}

impl From<&HistoryRow> for v1::HistoryRow {
    /// The times are the cluster's own: see [`v1::HistoryRow::by_hub_clock`].
    fn from(row: &HistoryRow) -> Self {
        let took = row.finished.since(&row.started).and_then(|took| i64::try_from(millis(took)).ok());
        Self {
            id: row.id,
            release: Some(row.root.into()),
            finished_unix_ms: row.finished_at.0,
            started_unix_ms: took.map(|took| row.finished_at.0.saturating_sub(took)),
            by_cluster_clock: true,
            age_ms: row.age_ms,
            automated: row.automated,
            healthy: row.healthy,
        }
    }
}

impl v1::HistoryRow {
    /// Tells of a row as of `observed`, which its age is counted back from.
    fn as_of(row: &HistoryRow, observed: MonoTime) -> Self {
        Self { age_ms: observed.since(&row.finished).map(millis), ..row.into() }
    }

    /// Counts its times back from `now_unix_ms` at the hub, where the agent knows how long ago they were.
    pub fn by_hub_clock(&mut self, now_unix_ms: i64) {
        let Some(age) = self.age_ms.and_then(|age| i64::try_from(age).ok()) else { return };
        let shift = now_unix_ms.saturating_sub(age).saturating_sub(self.finished_unix_ms);
        self.finished_unix_ms = self.finished_unix_ms.saturating_add(shift);
        self.started_unix_ms = self.started_unix_ms.map(|started| started.saturating_add(shift));
        self.by_cluster_clock = false;
    }
}

impl From<WhyLine> for v1::WhyLine {
    fn from(line: WhyLine) -> Self {
        let link = match line.link {
            WhyLink::Release => "Release",
            WhyLink::Owner => "Owner",
            WhyLink::Wave => "Wave",
            WhyLink::Gate => "Gate",
            WhyLink::Permission => "Permission",
            WhyLink::Api => "Api",
            WhyLink::Live => "Live",
            WhyLink::Fields => "Fields",
            WhyLink::Health => "Health",
            WhyLink::Delete => "Delete",
        };
        Self { link: link.to_owned(), state: v1::WhyState::from(line.state).into(), message: line.message }
    }
}

impl v1::RunCommandRequest {
    /// Reads the app and the command.
    pub fn command(&self) -> Result<CommandKind, FrameError> {
        use v1::run_command_request::Kind;
        let app: AppId = field::app(self.namespace.clone(), self.name.clone())?;
        Ok(match field::required("run_command.kind", self.kind.as_ref())? {
            Kind::Sync(v1::SyncCommand { expect, prune }) => CommandKind::Sync {
                app,
                expect: field::optional("run_command.sync.expect", expect)?
                    .map(|root| Root(Digest::new(root))),
                prune: *prune,
            },
            Kind::SyncWith(command) | Kind::SyncRetried(command) => CommandKind::SyncWith {
                app,
                expect: field::optional("run_command.sync_with.expect", &command.expect)?
                    .map(|root| Root(Digest::new(root))),
                prune: command.prune,
                options: command.options()?,
            },
            Kind::Confirm(plan) => CommandKind::Confirm {
                app,
                plan: field::fixed("run_command.confirm", plan).map(Digest::new)?,
            },
            Kind::Refresh(v1::RefreshCommand {}) => CommandKind::Refresh { app },
            Kind::Resources(v1::ResourcesCommand {}) => CommandKind::Resources { app },
            Kind::Terminate(v1::TerminateCommand {}) => CommandKind::Terminate { app },
            Kind::Diff(v1::DiffCommand {}) => CommandKind::Diff { app },
            Kind::Rollback(v1::RollbackCommand { id, prune }) => {
                CommandKind::Rollback { app, id: *id, prune: *prune }
            }
            Kind::History(v1::HistoryCommand {}) => CommandKind::History { app },
            Kind::Why(v1::WhyCommand { group, kind, namespace, name, part }) => CommandKind::Why {
                app,
                key: ResourceKey::new(group.clone(), kind.clone(), namespace.clone(), name.clone())
                    .with_part(part.clone()),
            },
        })
    }
}

macro_rules! same_words {
    ($core:ident, $wire:ident, [$($variant:ident),+]) => {
        impl From<$core> for v1::$wire {
            fn from(value: $core) -> Self {
                match value {
                    $($core::$variant => Self::$variant,)+
                }
            }
        }

        impl v1::$wire {
            /// Gives core's value; absent when the other end said none that this version knows.
            pub fn known(self) -> Option<$core> {
                match self {
                    Self::Unspecified => None,
                    $(Self::$variant => Some($core::$variant),)+
                }
            }
        }
    };
}

same_words!(SyncStatus, SyncStatus, [Synced, OutOfSync, Unknown]);
same_words!(Health, Health, [Healthy, Suspended, Progressing, Missing, Degraded, Unknown]);
same_words!(SyncPhase, SyncPhase, [PreSync, Sync, PostSync, SyncFail, PreDelete, PostDelete]);
same_words!(OperationPhase, OperationPhase, [Running, Succeeded, Failed, Error]);
same_words!(ResultCode, ResultCode, [Synced, SyncFailed, Pruned, PruneSkipped, SharedSkipped]);
same_words!(Change, Change, [Changed, Missing, Extra, Unknown]);
same_words!(WhyState, WhyState, [Fine, Waits, Stops]);
same_words!(Phase, AppPhase, [Active, Frozen, Released, Deleting]);

#[cfg(test)]
mod tests;
