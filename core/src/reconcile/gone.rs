//! What follows from an object that is not there any more.

use super::state::Live;
use super::{Intent, Reconciler};
use crate::key::ResourceKey;
use crate::time::Now;

impl Reconciler {
    /// A GET said that a managed object is not there.
    pub(super) fn gone(&mut self, key: &ResourceKey, now: Now) {
        self.live.insert(key.clone(), Live::Absent);
        let Some(entry) = self.inventory.get(key).cloned() else {
            self.forget_name(key);
            return;
        };
        if matches!(entry.intent, Some(Intent::Apply { .. })) {
            // A create may still be under way: only a later look tells (M18).
            return;
        }
        let desired = self.desirers.get(key).is_some_and(|apps| apps.contains(&entry.app));
        if (!desired || entry.going) && !self.is_hook_awaited(key, &entry) {
            let app = entry.app.clone();
            self.count_unanswered(key, &entry, now);
            self.put_inventory(key, None);
            self.forget_confirmation(&app, key);
            self.heal_queue.remove(key);
            self.unqueue_delete(&app, key);
            self.forget_name(key);
        }
    }

    /// Forgets what was noted of an object that is neither managed nor desired any more: names come and go for ever.
    pub(super) fn forget_name(&mut self, key: &ResourceKey) {
        if self.inventory.contains_key(key) {
            return;
        }
        self.heals.remove(key);
        if !self.desirers.contains_key(key) {
            self.backoffs.remove(key);
            self.refused_heals.remove(key);
            if matches!(self.live.get(key), Some(Live::Absent)) {
                self.live.remove(key);
            }
        }
    }
}
