//! Whether anything may be written: by the Lease and the store, and by somebody at the edge.

use super::operations::attempt_of;
use super::state::App;
use super::{Purpose, Reconciler};
use crate::ids::AppId;

impl Reconciler {
    /// Says whether writes are permitted, or why not.
    pub fn set_read_only(&mut self, reason: Option<String>) {
        if self.read_only != reason {
            self.read_only = reason;
            self.permission_changed();
        }
    }

    /// Says whether somebody at the edge stopped all writes, and who.
    pub fn set_paused(&mut self, paused: Option<String>) {
        if self.paused != paused {
            self.paused = paused;
            if self.paused.is_none() {
                self.drop_outdated();
            }
            self.permission_changed();
        }
    }

    /// Ends the automated operations that newer releases have overtaken: nobody resumes to get more of what may be the
    /// very reason for the pause (M20).
    fn drop_outdated(&mut self) {
        let overtaken = |app: &App| {
            let (Some(operation), Some(assigned)) = (&app.operation, &app.assigned) else { return false };
            let busy = app.work.as_ref().is_some_and(|work| {
                !work.running.is_empty() || work.queue.keys().any(|(_, key)| self.busy.contains(key))
            });
            let automated = operation.command.is_none() && operation.farewell.is_none();
            automated && attempt_of(assigned) != operation.attempt && !busy
        };
        let outdated: Vec<AppId> =
            self.apps.iter().filter(|(_, app)| overtaken(app)).map(|(app, _)| app.clone()).collect();
        for app in outdated {
            self.drop_operation(&app);
        }
    }

    /// Tells whether anything may be written.
    pub(super) fn may_write(&self) -> bool {
        self.read_only.is_none() && self.paused.is_none()
    }

    fn permission_changed(&mut self) {
        self.dirty.extend(self.apps.keys().cloned());
        if self.may_write() {
            // A heal whose look was answered meanwhile was let go.
            for key in self.inventory.keys() {
                self.heal_queue.entry(key.clone()).or_insert(self.turned_at);
            }
        }
    }

    /// Counts the writes whose answers are awaited.
    pub fn writes_under_way(&self) -> usize {
        let writes = self.flights.values().filter(|flight| match &flight.purpose {
            Purpose::Apply { .. }
            | Purpose::Delete { .. }
            | Purpose::DeleteHook { .. }
            | Purpose::Namespace { .. } => true,
            Purpose::Verify
            | Purpose::Settle
            | Purpose::Claim { .. }
            | Purpose::Try { .. }
            | Purpose::DeleteCheck { .. }
            | Purpose::ClearHook { .. }
            | Purpose::Compare { .. }
            | Purpose::Weigh { .. }
            | Purpose::Sweep { .. } => false,
        });
        writes.count()
    }
}
