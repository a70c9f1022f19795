//! What becomes of the intent of a write that was refused, or of which nobody knows whether it arrived (M18).

use super::state::HookRun;
use super::{Intent, InventoryEntry, Reconciler};
use crate::cluster::{Answer, ApiError, Tracking};
use crate::key::ResourceKey;
use crate::time::Now;

impl Reconciler {
    /// An open intent that is no longer wanted, judged from what is there now (M18).
    pub(super) fn settled(&mut self, key: &ResourceKey, answer: Result<Answer, ApiError>, now: Now) {
        let Some(entry) = self.inventory.get(key).cloned() else { return };
        match answer {
            Ok(Answer::Found(live)) => {
                self.settle_queue.remove(key);
                if live.deleting || entry.uid.as_ref() != Some(&live.uid) || Self::is_given_up(key, &live) {
                    self.count_unanswered(key, &entry, now);
                }
                if key.is_part()
                    && matches!(&entry.intent, Some(Intent::Delete { .. }))
                    && entry.uid.as_ref() == Some(&live.uid)
                    && Self::is_given_up(key, &live)
                {
                    // Its object is nobody's to wait for.
                    self.given_up(&entry.app, key);
                    self.observe(live, now);
                    return;
                }
                let tracked = matches!(&live.tracking, Tracking::Ours { installation, names, .. }
                    if *installation == Some(self.installation) && names == key);
                // A copy that a backup made of ours carries the tracking, and no field that we applied.
                let ours = (tracked || key.is_part()) && live.fingerprint.is_some();
                // Nothing was written since the last apply that was answered: the open one never arrived.
                let untouched = entry.uid.as_deref() == Some(live.uid.as_str())
                    && live.fingerprint == entry.fingerprint
                    && live.resource_version == entry.resource_version;
                let settled = match &entry.intent {
                    // Whether it arrived is not known: what is there is compared anew.
                    Some(Intent::Apply { body, .. }) if ours && !untouched => InventoryEntry {
                        applied: Some(body.clone()),
                        fingerprint: None,
                        resource_version: 0,
                        ..entry
                    },
                    Some(Intent::Apply { .. }) => {
                        InventoryEntry { hook: entry.hook.clone().map(HookRun::never), ..entry }
                    }
                    // It arrived: finalizers keep it, and what comes after it goes on waiting.
                    Some(Intent::Delete { uid, .. }) if live.deleting && *uid == live.uid => {
                        self.look_later(key.clone(), now);
                        InventoryEntry { going: true, ..entry }
                    }
                    Some(Intent::Delete { .. }) | None => entry,
                };
                let uid = settled.uid.clone().or_else(|| ours.then(|| live.uid.clone()));
                if uid.is_none() {
                    // The create never happened, and what is there is somebody else's.
                    self.unclaim(key);
                } else {
                    self.put_inventory(key, Some(InventoryEntry { intent: None, uid, ..settled }));
                }
                self.observe(live, now);
            }
            Ok(Answer::Absent) => {
                self.settle_queue.remove(key);
                self.count_unanswered(key, &entry, now);
                self.put_inventory(key, Some(InventoryEntry { intent: None, ..entry }));
                self.gone(key, now);
                let unmade = |entry: &InventoryEntry| entry.uid.is_none() && entry.applied.is_none();
                if self.inventory.get(key).is_some_and(unmade) {
                    self.put_inventory(key, None);
                }
            }
            // The settle queue asks again.
            Ok(
                Answer::Applied(_)
                | Answer::Tried
                | Answer::Deleted
                | Answer::Namespace { .. }
                | Answer::Compared(_),
            )
            | Err(_) => {}
        }
    }

    pub(super) fn close_intent(&mut self, key: &ResourceKey, replaced: bool) {
        let Some(entry) = self.inventory.get(key).cloned() else { return };
        self.settle_queue.remove(key);
        if replaced {
            self.live.remove(key);
            self.verify_queue.insert(key.clone(), 0);
        }
        // A replaced object is looked at again as one that is unknown (M16).
        let uid = if replaced { None } else { entry.uid.clone() };
        if uid.is_none() && entry.applied.is_none() {
            self.put_inventory(key, None);
        } else {
            // What was not made is no run of a hook.
            let hook = entry.hook.clone().map(HookRun::never);
            self.put_inventory(key, Some(InventoryEntry { intent: None, uid, hook, ..entry }));
        }
    }
}
