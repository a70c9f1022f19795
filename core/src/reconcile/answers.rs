//! Answers of the API server, and what follows from each.

use super::claim::{Claim, claim, claim_part};
use super::failures::retry_after;
use super::settle_ms;
use super::state::{Live, NamespaceStep};
use super::{AppliedBody, Flight, InventoryEntry, Purpose, Reconciler};
use crate::cluster::{Answer, ApiError, Applied, ManifestFacts, RequestId};
use crate::desired::Phase;
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::status::{HeldDelete, ResultCode, ResultRow};
use crate::time::{Entropy, Now};

/// How long a waited-for object rests between looks.
const LOOK_AGAIN_MS: u64 = 1_000;

impl Reconciler {
    /// Takes the answer to a request. Every request gets one; one that nobody remembers is of an earlier life.
    pub fn answered(
        &mut self,
        id: RequestId,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        let Some(Flight { key, purpose }) = self.flights.remove(&id) else { return };
        self.busy.remove(&key);
        // A look before a write says nothing of the write.
        let before = matches!(
            purpose,
            Purpose::Claim { .. }
                | Purpose::Try { .. }
                | Purpose::DeleteCheck { .. }
                | Purpose::ClearHook { .. }
                | Purpose::Compare { .. }
        );
        if answer.is_ok() && !before {
            self.backoffs.remove(&key);
        }
        match purpose {
            Purpose::Verify => self.verified(&key, answer, now, entropy),
            Purpose::Settle => self.settled(&key, answer, now),
            Purpose::Claim { app, body, heal } => self.claimed(&app, &key, body, heal, answer, now, entropy),
            Purpose::Apply { app, body, heal, uid, again } => {
                self.applied(&app, &key, body, (heal, again), uid.is_none(), answer, now, entropy);
            }
            Purpose::DeleteCheck { app, delete, counted } => {
                self.checked(&app, delete, counted, answer, now, entropy);
            }
            Purpose::Delete { app, delete, counted } => {
                self.deleted(&app, &delete, counted, answer, now, entropy);
            }
            Purpose::Try { app } => self.tried(&app, &key, answer, now, entropy),
            Purpose::Namespace { app } => self.namespace_ensured(&app, &key, &answer, now, entropy),
            Purpose::ClearHook { app } => self.hook_looked_at(&app, &key, answer, now, entropy),
            Purpose::DeleteHook { app } => self.hook_deleted(&app, &key, answer, now, entropy),
            Purpose::Compare { command } => {
                self.compared(command, &key, answer);
                return;
            }
            Purpose::Sweep { body } => self.swept(&key, &body, answer, now),
            Purpose::Weigh { rules, body } => self.weighed(&key, rules, &body, answer, now, entropy),
        }
        self.touch(&key, now);
    }

    fn verified(
        &mut self,
        key: &ResourceKey,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        self.part_looked_at(key, &answer);
        match answer {
            Ok(Answer::Found(live)) => {
                let going = self.inventory.get(key).is_some_and(|entry| entry.going);
                if going {
                    // Its finalizers hold it; the watch tells when it goes, this look is for a watch that does not.
                    self.look_later(key.clone(), now);
                }
                self.observe(live, now);
            }
            Ok(Answer::Absent) => self.gone(key, now),
            Ok(
                Answer::Applied(_)
                | Answer::Tried
                | Answer::Deleted
                | Answer::Namespace { .. }
                | Answer::Compared(_),
            ) => {}
            Err(_) if !self.inventory.contains_key(key) && !self.desirers.contains_key(key) => {
                self.forget_name(key);
            }
            Err(error) => {
                let delay = self.back_off(key, retry_after(&error), entropy);
                self.verify_queue.insert(key.clone(), now.ms().saturating_add(delay.max(LOOK_AGAIN_MS)));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "an answer with everything that its request knew")]
    fn claimed(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        body: AppliedBody,
        heal: bool,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        let found = match answer {
            Ok(Answer::Found(live)) => Some(live),
            Ok(Answer::Absent) => None,
            Ok(
                Answer::Applied(_)
                | Answer::Tried
                | Answer::Deleted
                | Answer::Namespace { .. }
                | Answer::Compared(_),
            ) => return,
            Err(error) => {
                self.again(app, key, heal, &error, now, entropy);
                return;
            }
        };
        let blocked = !heal && self.is_blocked(app, now);
        if !self.still_wanted(app, key, &body, heal) || blocked || !self.may_write() {
            return;
        }
        if let Err(reason) = self.permits(app, key) {
            self.fail(app, key, heal, reason, now);
            return;
        }
        if !self.kinds.contains_key(&key.group_kind()) {
            // It went while the object was looked at.
            if !heal {
                self.item_again(app, key, now.ms(), "its definition", false);
            }
            return;
        }
        let decision = if key.is_part() {
            claim_part(found.as_ref())
        } else {
            let listed = self.apps.get(app).and_then(|state| state.listed.as_ref());
            let tools = listed.map_or(&[][..], |listed| &listed.policy.take_over);
            claim(found.as_ref(), (app, tools), key, self.installation, |other| self.has(other, key))
        };
        if let Some(live) = &found {
            self.look_for_end(live, now);
        }
        match &found {
            Some(live) => self.live.insert(key.clone(), Live::Present(Box::new(live.clone()))),
            None => self.live.insert(key.clone(), Live::Absent),
        };
        match decision {
            Claim::Create => self.apply(app, key, body, None, heal, now),
            Claim::Take { uid, note } => {
                let entry =
                    self.inventory.get(key).cloned().unwrap_or_else(|| InventoryEntry::new(app.clone()));
                if entry.uid.as_ref() != Some(&uid) {
                    if let Some(note) = note {
                        self.event(app, Some(key), "Adopted", note);
                    }
                    // What is remembered is of another incarnation.
                    let taken = InventoryEntry {
                        uid: Some(uid.clone()),
                        fingerprint: None,
                        resource_version: 0,
                        ..entry
                    };
                    self.put_inventory(key, Some(taken));
                }
                self.apply(app, key, body, Some(uid), heal, now);
            }
            Claim::Shared(owner) => {
                self.drop_unclaimed(key);
                self.item_shared(app, key, &owner);
            }
            Claim::Refused(reason) => {
                self.unclaim(key);
                self.fail(app, key, heal, format!("not applied: the object is {reason}"), now);
            }
            Claim::NoObject => self.awaits_object(app, key, heal),
            Claim::Wait => {
                self.later(app, key, heal, now.ms().saturating_add(LOOK_AGAIN_MS), "deletion", false);
            }
        }
    }

    /// Tells whether an app is listed and its release has the object.
    pub(super) fn has(&self, app: &AppId, key: &ResourceKey) -> bool {
        matches!(self.phase_of(app), Phase::Active | Phase::Frozen)
            && self.apps.get(app).is_some_and(|state| state.wanted.manifest(key).is_some())
    }

    fn still_wanted(&self, app: &AppId, key: &ResourceKey, body: &AppliedBody, heal: bool) -> bool {
        let Some(state) = self.apps.get(app) else { return false };
        let queued = state.work.as_ref().is_some_and(|work| work.wanted.manifest(key) == Some(body.manifest));
        if heal { self.has(app, key) } else { queued && self.is_queued(app, key) }
    }

    #[expect(clippy::too_many_arguments, reason = "an answer with everything that its request knew")]
    fn applied(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        body: AppliedBody,
        (heal, again): (bool, bool),
        without_uid: bool,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        match answer {
            Ok(Answer::Applied(applied)) => {
                if heal {
                    self.healed(app, key, now);
                }
                self.apply_succeeded(app, key, body, without_uid, applied, now);
            }
            Ok(
                Answer::Found(_)
                | Answer::Absent
                | Answer::Tried
                | Answer::Deleted
                | Answer::Namespace { .. }
                | Answer::Compared(_),
            ) => {}
            Err(error) => {
                // An answer that never came leaves the intent open: the request may still be under way. So does a try
                // before this one of which nothing is known: that may have arrived.
                let replaced = matches!(error, ApiError::Replaced(_));
                if matches!(error, ApiError::Unreachable(_)) {
                    self.late.insert(key.clone(), now.ms().saturating_add(settle_ms()));
                }
                if replaced || !(again || matches!(error, ApiError::Unreachable(_))) {
                    self.close_intent(key, replaced);
                }
                if self.reclaims(app, key, &error) {
                    self.later(app, key, heal, now.ms(), "what its app had as a whole", false);
                } else {
                    self.again(app, key, heal, &error, now, entropy);
                }
            }
        }
    }

    fn apply_succeeded(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        body: AppliedBody,
        without_uid: bool,
        applied: Applied,
        now: Now,
    ) {
        self.refused_heals.remove(key);
        self.reclaimed(key);
        let Applied { live, created, changed } = applied;
        let facts: ManifestFacts = self.facts.get(&body.manifest).cloned().unwrap_or_default();
        let entry = self.inventory.get(key).cloned().unwrap_or_else(|| InventoryEntry::new(app.clone()));
        let adopted = without_uid && !created;
        let done = entry.done
            && entry.applied.as_ref() == Some(&body)
            && entry.uid.as_deref() == Some(live.uid.as_str());
        self.settle_queue.remove(key);
        if !changed.is_empty() && entry.changed != changed {
            let message =
                format!("admission or the API server changed what was applied: {}", changed.join(", "));
            self.event(app, Some(key), "ChangedByAdmission", message);
        }
        let (manifest, is_of_app) = (body.manifest, body.app == *app);
        self.put_inventory(
            key,
            Some(InventoryEntry {
                uid: Some(live.uid.clone()),
                kept: facts.kept,
                prune_refused: facts.prune_refused,
                ignore_extraneous: facts.ignore_extraneous,
                tolerated: None,
                recovered: false,
                applied: Some(body),
                fingerprint: live.fingerprint,
                resource_version: live.resource_version,
                intent: None,
                done,
                going: false,
                changed: changed.clone(),
                ..entry
            }),
        );
        if adopted {
            self.event(app, Some(key), "Adopted", "it was made by somebody else while it was being created");
        }
        // A watch may be ahead of the answer: what it saw since stays, and so does what it made us look at again.
        let ahead = matches!(self.live.get(key),
            Some(Live::Present(seen)) if seen.resource_version > live.resource_version);
        if !ahead {
            self.live.insert(key.clone(), Live::Present(Box::new(live)));
        }
        if let Some(state) = self.apps.get_mut(app) {
            state.problems.remove(key);
        }
        // What was healed names the app that it was applied for, which may be the one before.
        let wanted_now = is_of_app
            && self
                .apps
                .get(app)
                .and_then(|state| state.work.as_ref())
                .is_some_and(|work| work.wanted.manifest(key) == Some(manifest));
        if !wanted_now {
            return;
        }
        if key.is_crd() && !self.is_established(key) {
            self.item_establishing(app, key, now);
            return;
        }
        if key.is_crd() {
            self.rediscover(now.ms());
        }
        let message = if created { "created" } else { "configured" };
        self.item_done(app, key, ResultRow::new(key.clone(), ResultCode::Synced, message));
    }

    fn checked(
        &mut self,
        app: &AppId,
        delete: HeldDelete,
        counted: bool,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        match answer {
            Ok(Answer::Found(live)) => self.delete_checked(app, delete, counted, Some(&live), now),
            Ok(Answer::Absent) => self.delete_checked(app, delete, counted, None, now),
            Ok(
                Answer::Applied(_)
                | Answer::Tried
                | Answer::Deleted
                | Answer::Namespace { .. }
                | Answer::Compared(_),
            ) => {}
            Err(error) => self.delete_failed(app, delete, counted, &error, now, entropy),
        }
    }

    fn deleted(
        &mut self,
        app: &AppId,
        delete: &HeldDelete,
        counted: bool,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        let Err(error) = answer else {
            self.delete_accepted(app, delete, counted, now);
            return;
        };
        if let ApiError::Unreachable(_) = error {
            // It may be under way: the settle queue judges it later (M18).
            return;
        }
        if let Some(entry) = self.inventory.get(&delete.key).cloned() {
            self.settle_queue.remove(&delete.key);
            self.put_inventory(&delete.key, Some(InventoryEntry { intent: None, ..entry }));
        }
        if let ApiError::Replaced(_) = error {
            self.verify_queue.insert(delete.key.clone(), now.ms());
        }
        self.delete_failed(app, delete.clone(), counted, &error, now, entropy);
    }

    fn namespace_ensured(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        answer: &Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        let name = key.name.clone();
        let outage = match answer {
            Err(error) if error.is_outage() => Some(self.back_off(key, retry_after(error), entropy)),
            Ok(_) | Err(_) => None,
        };
        if let Ok(Answer::Namespace { created: true }) = answer {
            self.event(app, None, "NamespaceCreated", format!("created namespace {name}"));
        }
        if let (Err(error), None) = (answer, outage) {
            self.event(app, None, "NamespaceFailed", format!("namespace {name}: {error}"));
        }
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        if work.namespace != Some(NamespaceStep::Sent) {
            return;
        }
        if matches!(answer, Ok(Answer::Absent)) {
            self.namespace_refused(app, &name);
            return;
        }
        work.namespace = outage.map(|delay| NamespaceStep::Due(now.ms().saturating_add(delay)));
        if let (Err(error), None) = (answer, outage) {
            let namespace = ResourceKey::new("", "Namespace", "", name);
            let row = ResultRow::new(namespace, ResultCode::SyncFailed, error.to_string());
            work.failed = true;
            work.results.push(row);
        }
        self.dirty.insert(app.clone());
    }
}
