//! Whether anything may be written: by the Lease and the store, and by somebody at the edge.

use super::{Purpose, Reconciler};

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
            self.permission_changed();
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
            Purpose::Apply { .. } | Purpose::Delete { .. } | Purpose::Namespace { .. } => true,
            Purpose::Verify | Purpose::Settle | Purpose::Claim { .. } | Purpose::DeleteCheck { .. } => false,
        });
        writes.count()
    }
}
