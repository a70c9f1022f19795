//! Commands of operators: what each asks of the reconciler.

use super::{AgentMachine, Context, Effects};
use crate::reconcile::RollbackFrom;
use crate::session::frame::{Command, CommandKind, CommandState, CommandUpdate};
use crate::store::encode;

impl AgentMachine {
    /// Begins a command, or answers it.
    pub(super) fn begin(&mut self, command: Command, context: &mut Context<'_>, effects: &mut Effects) {
        let id = command.id;
        let outcome = match command.kind {
            CommandKind::Sync { app, expect, prune } => {
                let what = if prune { "a sync that prunes" } else { "a sync" };
                self.note(&app, "SyncAsked", format!("{what} was asked for at the hub ({id})"), context.now);
                self.reconciler.sync(id, &app, expect, prune);
                None
            }
            CommandKind::SyncWith { app, expect, prune, options } => {
                let what = match (options.dry_run, options.resources.is_empty()) {
                    (true, true) => "the rehearsal of a sync was asked for".to_owned(),
                    (true, false) => format!("the rehearsal of a sync of {} was asked for", options.filter()),
                    (false, false) => format!("a sync of {} was asked for", options.filter()),
                    (false, true) => "a sync was asked for".to_owned(),
                };
                let pruning = if prune { ", pruning," } else { "" };
                let message = format!("{what}{pruning} at the hub ({id})");
                self.note(&app, "SyncAsked", message, context.now);
                self.reconciler.sync_with(id, &app, expect, prune, options);
                None
            }
            CommandKind::Confirm { app, plan } => Some(match self.reconciler.confirm(&app, plan) {
                Ok(()) => {
                    let message = format!("held deletes of plan {plan} were confirmed at the hub");
                    self.note(&app, "Confirmed", message, context.now);
                    (CommandState::Succeeded, "confirmed".to_owned(), Vec::new())
                }
                Err(error) => (CommandState::Failed, error.to_string(), Vec::new()),
            }),
            CommandKind::Refresh { app } => {
                self.reconciler.refresh(&app, context.now);
                Some((CommandState::Succeeded, "looking again".to_owned(), Vec::new()))
            }
            CommandKind::Terminate { app } => {
                let who = format!("the end of its sync was asked for at the hub ({id})");
                self.note(&app, "TerminateAsked", who, context.now);
                Some(match self.reconciler.terminate(&app) {
                    Ok(()) => (CommandState::Succeeded, "terminating".to_owned(), Vec::new()),
                    Err(why) => (CommandState::Failed, why, Vec::new()),
                })
            }
            CommandKind::Resources { app } => {
                let rows = self.reconciler.rows(&app, context.now);
                Some((CommandState::Succeeded, String::new(), encode(&rows)))
            }
            CommandKind::Diff { app } => {
                self.reconciler.diff(id, &app);
                None
            }
            CommandKind::History { app } => {
                let rows = self.reconciler.history(&app, context.now);
                Some((CommandState::Succeeded, String::new(), encode(&rows)))
            }
            CommandKind::Why { app, key } => {
                let lines = self.reconciler.why(&app, &key, context.now);
                Some((CommandState::Succeeded, String::new(), encode(&lines)))
            }
            CommandKind::Rollback { app, id: row, prune } => {
                let started = self.reconciler.roll_back(id, &app, row, prune, RollbackFrom::Hub);
                match started {
                    Ok(row) => {
                        let message = format!("a rollback to {} was asked for at the hub ({id})", row.id);
                        self.note(&app, "RollbackAsked", message, context.now);
                    }
                    Err(refused) => self.reconciler.refuse_rollback(id, &refused),
                }
                None
            }
        };
        if let Some((state, message, payload)) = outcome {
            let link = self.link.command_update(CommandUpdate { id, state, message, payload }, context.now);
            effects.ops.extend(link.ops);
            effects.frames.extend(link.frames);
        }
    }
}
