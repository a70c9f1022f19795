//! `app sync` of an app that brings documents of the fleet: the hub takes these, and the app's agent the rest.

use std::collections::BTreeSet;

use super::{AppName, CommandProgress, Refused};
use crate::application::ClusterRef;
use crate::fleet::Order;
use crate::hub::{Context, Effects, HubMachine, Reply, Severity, Ticket};
use crate::ids::{AppId, CommandId};
use crate::key::ResourceKey;
use crate::release::Root;
use crate::session::frame::{CommandKind, CommandState};
use crate::status::{OperationPhase, OperationStatus, ResultCode, ResultRow, SyncStatus};
use crate::store::StoreError;

/// What is left to do of a command once the hub has done its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing.
    None,
    /// What the app's agent does.
    Agent,
}

/// A sync, as far as it is about documents.
struct Asked {
    expect: Option<Root>,
    prune: bool,
    /// It is one of everything that the app renders.
    whole: bool,
}

impl Asked {
    /// Reads a command; absent where it is no sync.
    fn of(kind: &CommandKind) -> Option<Self> {
        match kind {
            CommandKind::Sync { expect, prune, .. } => {
                Some(Self { expect: *expect, prune: *prune, whole: true })
            }
            CommandKind::SyncWith { expect, prune, options, .. } => {
                Some(Self { expect: *expect, prune: *prune, whole: options.is_whole() })
            }
            CommandKind::Confirm { .. }
            | CommandKind::Refresh { .. }
            | CommandKind::Resources { .. }
            | CommandKind::Terminate { .. }
            | CommandKind::Diff { .. }
            | CommandKind::Rollback { .. }
            | CommandKind::History { .. }
            | CommandKind::Why { .. } => None,
        }
    }
}

impl HubMachine {
    /// Takes the documents of an app that somebody asks to sync, as it renders them now; answers where that is all that there
    /// is to do. An agent that cannot take its part now leaves the documents as they are as well.
    pub(super) fn order_documents(
        &mut self,
        ticket: Ticket,
        name: &AppName,
        kind: &CommandKind,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Rest, Refused>, StoreError> {
        let app = &name.app;
        let (Some(asked), Some(family)) = (Asked::of(kind), self.families.get(app)) else {
            return Ok(Ok(Rest::Agent));
        };
        let here = self.fleet.placements_of(app).is_empty();
        let named = name.cluster.as_deref().is_none_or(|cluster| cluster == ClusterRef::IN_CLUSTER);
        if (here && !named) || (!here && !asked.whole) {
            return Ok(Ok(Rest::Agent));
        }
        let refused = |why: &str| Refused::Documents { app: app.clone(), why: why.to_owned() };
        if !asked.whole {
            let why = "--resource and --dry-run are about objects of a cluster: argosy app preview tells what a change of \
                       documents would bring";
            return Ok(Err(refused(why)));
        }
        if asked.expect.is_some() && asked.expect != family.root {
            return Ok(Err(refused("the release that is expected is not the newest one")));
        }
        if !here && let Err(refused) = self.cluster_of(name).and_then(|at| self.agent_for(at, kind)) {
            return Ok(Err(refused));
        }
        let before: BTreeSet<ResourceKey> = family.rows.iter().map(|row| row.key.clone()).collect();
        let order = Order { app: app.clone(), prune: asked.prune };
        let answer = self.grow(Some(&order), context, effects)?.answer;
        self.dirty = true;
        match answer {
            None => return Ok(Err(refused("the fleet was not read since the hub started"))),
            Some(Err(why)) => return Ok(Err(refused(&why))),
            Some(Ok(())) => {}
        }
        let results = self.results_of(app, before);
        let message = self.outcome(app, &results);
        self.tell(
            Severity::Info,
            "DocumentsTaken",
            message.clone(),
            None,
            Some(app.clone()),
            context.now,
            effects,
        );
        if here {
            let progress = self.told(app, message, results, context);
            effects.replies.push((ticket, Ok(Reply::Command(progress))));
        }
        Ok(Ok(if here { Rest::None } else { Rest::Agent }))
    }

    /// Says of each document of an app what became of it.
    fn results_of(&self, app: &AppId, mut before: BTreeSet<ResourceKey>) -> Vec<ResultRow> {
        let mut results = Vec::new();
        for row in self.families.get(app).into_iter().flat_map(|family| &family.rows) {
            before.remove(&row.key);
            let code = match row.status {
                SyncStatus::Synced => ResultCode::Synced,
                SyncStatus::OutOfSync | SyncStatus::Unknown if row.requires_pruning => {
                    ResultCode::PruneSkipped
                }
                SyncStatus::OutOfSync | SyncStatus::Unknown => ResultCode::SyncFailed,
            };
            let version = row.version.clone();
            results.push(ResultRow { version, ..ResultRow::new(row.key.clone(), code, row.message.clone()) });
        }
        results.extend(before.into_iter().map(|key| ResultRow::new(key, ResultCode::Pruned, "pruned")));
        results
    }

    /// Says in one line what became of an app's documents, and of what else it renders.
    fn outcome(&self, app: &AppId, results: &[ResultRow]) -> String {
        let count = |code| results.iter().filter(|row| row.code == code).count();
        let mut said = vec![format!("{} documents of the fleet are taken", count(ResultCode::Synced))];
        if let Some(first) = results.iter().find(|row| row.code == ResultCode::SyncFailed) {
            let failed = count(ResultCode::SyncFailed);
            said.push(format!("{failed} are not: {}: {}", first.key, first.message));
        }
        if let Some(first) = results.iter().find(|row| row.code == ResultCode::PruneSkipped) {
            let left = count(ResultCode::PruneSkipped);
            said.push(format!("{left} are left over: {}: {}", first.key, first.message));
        }
        if count(ResultCode::Pruned) > 0 {
            said.push(format!("{} leave", count(ResultCode::Pruned)));
        }
        if self.fleet.placements_of(app).is_empty() && !self.is_done_here(app) {
            said.push(format!("the rest waits: {}", self.waiting(app)));
        }
        said.join("; ")
    }

    /// Gives the end of a sync that the hub did alone.
    fn told(
        &self,
        app: &AppId,
        message: String,
        results: Vec<ResultRow>,
        context: &mut Context<'_>,
    ) -> CommandProgress {
        let failed = results.iter().any(|row| row.code == ResultCode::SyncFailed);
        let (phase, state) = if failed {
            (OperationPhase::Failed, CommandState::Failed)
        } else {
            (OperationPhase::Succeeded, CommandState::Succeeded)
        };
        let now = context.now.mono;
        let root = self.families.get(app).and_then(|family| family.root);
        let operation = root.map(|root| OperationStatus {
            phase,
            message: message.clone(),
            root,
            started: now,
            finished: Some(now),
            retries: 0,
            automated: false,
            results,
        });
        CommandProgress {
            id: CommandId::new(context.entropy.bytes16()),
            state,
            message,
            payload: Vec::new(),
            operation: operation.map(|operation| (operation, now)),
            app: app.clone(),
            cluster: None,
        }
    }
}
