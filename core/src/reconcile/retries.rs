//! What becomes of an operation that failed and is tried again.

use super::Reconciler;
use super::operations::attempt_of;
use super::state::{Operation, tables};
use crate::desired::Assignment;
use crate::ids::AppId;
use crate::policy::Retry;
use crate::store::{StoreOp, encode};

impl Operation {
    /// Gives how it is tried again: as whoever asked for it says, else as its application does; by default only what nobody
    /// asked for, and hooks of a deletion until they succeed.
    pub(super) fn retry(&self) -> Option<Retry> {
        let own = self.options.retry.or(self.assignment.policy.retry);
        match self.farewell {
            Some(_) => Some(Retry { limit: -1, ..own.unwrap_or_default() }),
            None => own.or(self.command.is_none().then(Retry::default)),
        }
    }

    /// Tells whether its next try is one of the newest release (Argo CD: `retry.refresh`). One that nobody asked for gives way
    /// to an operation of its own instead. Where the app syncs by itself, one that somebody asked for keeps no newer release
    /// back: a fix would have to wait for its end, which may never come.
    fn is_refreshed(&self, newest: &Assignment) -> bool {
        let fixed = self.exact || self.rollback.is_some() || self.farewell.is_some();
        let asks = self.retry().is_some_and(|retry| retry.refresh) || newest.policy.automated.is_some();
        self.command.is_some() && !fixed && asks
    }
}

impl Reconciler {
    pub(super) fn try_again(&mut self, app: &AppId) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let newest = state.enforced();
        if let Some(operation) = &mut state.operation {
            operation.retries = operation.retries.saturating_add(1);
            operation.hooks.clear();
            if let Some(newest) = newest.filter(|newest| operation.is_refreshed(newest)) {
                if !operation.retry().is_some_and(|retry| retry.refresh) {
                    // What was asked for was asked for of another release; what its app prunes by itself it still does.
                    operation.prune = false;
                    (operation.options.force, operation.options.replace) = (false, false);
                }
                operation.attempt = attempt_of(&newest);
                operation.assignment = newest;
            }
            self.out.ops.push(StoreOp::put(tables::OPERATIONS, encode(app), operation));
        }
        state.work = None;
        self.retry_deletes(app);
        self.moved = true;
        self.dirty.insert(app.clone());
    }
}
