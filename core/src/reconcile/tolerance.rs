//! Changes by others that concern nothing but ignored differences: they are no drift (Argo CD: `ignoreDifferences`). Nor is
//! what a changed definition makes of our mark on an object of its kind, with nothing lost.
//!
//! What changed is seen by the fingerprint of our fields. Of an object with ignored differences the API server is asked
//! then, once, what an apply would change; that nothing else differs is remembered for this fingerprint, these rules and this
//! body, durably, so that an object which has not changed costs no request, also after a restart. Where others have a value
//! now that is ignored in part, such as a list of routes for the sake of its weights, it holds for this version alone.

use std::borrow::Cow;

use super::slots::Use;
use super::state::Live;
use super::{AppliedBody, InventoryEntry, Purpose, Reconciler};
use crate::cluster::{Answer, ApiError, LiveMeta, Request};
use crate::compare::{Change, Ignored, Manner};
use crate::ids::Digest;
use crate::key::ResourceKey;
use crate::store::encode;
use crate::time::{Entropy, Now};

/// How long a comparison rests that the API server refuses, or that cannot be evaluated.
const REFUSED_MS: u64 = 300_000;
/// How long one rests whose object changed meanwhile.
const AGAIN_MS: u64 = 1_000;

/// What a change of an object with ignored differences is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// Nothing of it is ignored.
    NotAsked,
    /// Only ignored fields differ.
    Tolerated,
    /// Other fields differ as well.
    Differs,
    /// It is not known yet; the message says why, where that was tried.
    Unknown(Option<String>),
}

/// A comparison that could not be made, or told more than ignored differences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weighed {
    /// Names what it is about.
    about: Digest,
    /// Why it could not be made.
    failed: Option<String>,
}

/// What a comparison is about: what was seen, by which rules, against which body.
#[derive(Debug, Clone, Copy)]
struct About<'a> {
    fingerprint: Option<Digest>,
    rules: Digest,
    body: &'a AppliedBody,
}

impl About<'_> {
    /// Names it for every version of the object with this fingerprint, or for one.
    fn named(self, version: Option<u64>) -> Digest {
        let parts = [encode(&self.fingerprint), encode(&self.rules), encode(self.body), encode(&version)];
        Digest::of_parts("argosy tolerated v1", parts.iter().map(Vec::as_slice))
    }

    /// Tells whether a name is of it, in this version.
    fn is_named(self, name: Digest, version: u64) -> bool {
        name == self.named(None) || name == self.named(Some(version))
    }
}

impl Reconciler {
    /// Gives what is ignored of a managed object, where its changes are asked about: that may be nothing, of a kind whose
    /// definition may change and rewrite what we own.
    fn ignored(&self, key: &ResourceKey, entry: &InventoryEntry) -> Option<Cow<'_, Ignored>> {
        let wanted = self.apps.get(&entry.app)?.wanted.keys.get(key)?;
        let defined = !key.group_kind().is_built_in() && self.acts_as_nobody(&entry.app).is_none();
        let own = wanted.ignored.as_deref().map(Cow::Borrowed);
        own.or_else(|| defined.then(|| Cow::Owned(Ignored::default())))
    }

    /// Tells what a change is.
    pub(super) fn tolerance(&self, key: &ResourceKey, entry: &InventoryEntry, live: &LiveMeta) -> Tolerance {
        let (Some(ignored), Some(body)) = (self.ignored(key, entry), entry.applied.as_ref()) else {
            return Tolerance::NotAsked;
        };
        let about = About { fingerprint: live.fingerprint, rules: ignored.digest(), body };
        let is_of = |name: Digest| about.is_named(name, live.resource_version);
        if entry.tolerated.is_some_and(is_of) {
            return Tolerance::Tolerated;
        }
        match self.weighed.get(key).filter(|weighed| is_of(weighed.about)) {
            Some(Weighed { failed: None, .. }) => Tolerance::Differs,
            // Where nothing is ignored it is a change, unless the API server says otherwise.
            Some(Weighed { failed: Some(_), .. }) if *ignored == Ignored::default() => Tolerance::Differs,
            Some(Weighed { failed: Some(why), .. }) => Tolerance::Unknown(Some(why.clone())),
            None => Tolerance::Unknown(None),
        }
    }

    /// Says why it cannot be told whether only ignored fields of an object changed.
    pub(super) fn intolerable(
        &self,
        key: &ResourceKey,
        entry: &InventoryEntry,
        live: &LiveMeta,
    ) -> Option<String> {
        if !super::heal::is_changed(entry, live) {
            return None;
        }
        match self.tolerance(key, entry, live) {
            Tolerance::Unknown(Some(why)) => {
                Some(format!("it cannot be told whether only ignored fields changed: {why}"))
            }
            Tolerance::Unknown(None) | Tolerance::NotAsked | Tolerance::Tolerated | Tolerance::Differs => {
                None
            }
        }
    }

    /// Asks about an object that changed, if that has to be asked.
    pub(super) fn weigh(&mut self, key: &ResourceKey, now: Now) {
        if self.to_weigh(key).is_some() {
            self.weigh_queue.entry(key.clone()).or_insert(now.ms());
        }
    }

    /// Forgets what was known of an object that is not managed any more.
    pub(super) fn forget_weighed(&mut self, key: &ResourceKey) {
        self.weigh_queue.remove(key);
        self.weighed.remove(key);
    }

    /// Tells whether it has to be asked what the change of an object is about.
    pub(super) fn is_to_weigh(&self, key: &ResourceKey, entry: &InventoryEntry, live: Option<&Live>) -> bool {
        let Some(Live::Present(live)) = live else { return false };
        let settled = entry.intent.is_none() && !entry.going && !entry.detached && !live.deleting;
        settled
            && entry.uid.as_deref() == Some(live.uid.as_str())
            && super::heal::is_changed(entry, live)
            && matches!(self.tolerance(key, entry, live), Tolerance::Unknown(_))
    }

    fn to_weigh(&self, key: &ResourceKey) -> Option<(AppliedBody, Ignored)> {
        let entry = self.inventory.get(key)?;
        if !self.is_to_weigh(key, entry, self.live.get(key)) {
            return None;
        }
        Some((entry.applied.clone()?, self.ignored(key, entry)?.into_owned()))
    }

    pub(super) fn run_weighing(&mut self, now: Now) {
        for key in self.due(&self.weigh_queue, now) {
            if !self.has_room(Use::Look) {
                return;
            }
            self.weigh_queue.remove(&key);
            let owner = self.inventory.get(&key).map(|entry| entry.app.clone());
            let nobody = owner.as_ref().is_some_and(|owner| self.acts_as_nobody(owner).is_some());
            if let Some((body, ignored)) = self.to_weigh(&key).filter(|_| !nobody) {
                let purpose = Purpose::Weigh { rules: ignored.digest(), body: body.clone() };
                let desired = Some((body.manifest, body.app));
                let manner = Manner { ignored, strict: true };
                let account = owner.and_then(|owner| self.account(&owner));
                self.send(key.clone(), purpose, Request::Compare { key, desired, manner, account });
            }
        }
    }

    /// Tells whether an object changed after we saw it last.
    fn is_behind(&self, key: &ResourceKey, version: u64) -> bool {
        matches!(self.live.get(key), Some(Live::Present(live)) if live.resource_version < version)
    }

    /// Looks at an object that is newer than what was seen of it before it is asked about again: of one that lost our label
    /// no watch tells.
    fn look_before_weighing(&mut self, key: &ResourceKey, now: Now) {
        let look = now.ms().saturating_add(AGAIN_MS);
        self.verify_queue.entry(key.clone()).or_insert(look);
        self.weigh_queue.insert(key.clone(), look.saturating_add(AGAIN_MS));
    }

    /// It was compared. What was seen may be newer than what made us ask: the answer is about what was seen.
    pub(super) fn weighed(
        &mut self,
        key: &ResourceKey,
        rules: Digest,
        body: &AppliedBody,
        answer: Result<Answer, ApiError>,
        now: Now,
        entropy: &mut dyn Entropy,
    ) {
        let (about, failed) = match answer {
            Ok(Answer::Compared(comparison)) => {
                let about = About { fingerprint: comparison.fingerprint, rules, body };
                let about = about.named(comparison.partial.then_some(comparison.resource_version));
                if self.is_behind(key, comparison.resource_version) {
                    self.look_before_weighing(key, now);
                }
                let Some(difference) = comparison.difference else {
                    self.weighed.remove(key);
                    if let Some(entry) = self.inventory.get(key).cloned() {
                        let entry = InventoryEntry { tolerated: Some(about), ..entry };
                        self.put_inventory(key, Some(entry));
                    }
                    return;
                };
                (about, (difference.change == Change::Unknown).then_some(difference.message))
            }
            Ok(
                Answer::Found(_)
                | Answer::Absent
                | Answer::Applied(_)
                | Answer::Tried
                | Answer::Deleted
                | Answer::Namespace { .. },
            ) => return,
            // Where nothing is ignored, what cannot be told is put back.
            Err(ApiError::Conflict(_) | ApiError::Replaced(_)) if rules != Ignored::default().digest() => {
                self.weigh_queue.insert(key.clone(), now.ms().saturating_add(AGAIN_MS));
                return;
            }
            Err(error) if error.is_outage() => {
                let delay = self.back_off(key, super::failures::retry_after(&error), entropy);
                self.weigh_queue.insert(key.clone(), now.ms().saturating_add(delay.max(AGAIN_MS)));
                return;
            }
            Err(error) => {
                let fingerprint = match self.live.get(key) {
                    Some(Live::Present(live)) => live.fingerprint,
                    Some(Live::Absent) | None => None,
                };
                (About { fingerprint, rules, body }.named(None), Some(error.to_string()))
            }
        };
        if failed.is_some() {
            self.weigh_queue.insert(key.clone(), now.ms().saturating_add(REFUSED_MS));
        }
        self.weighed.insert(key.clone(), Weighed { about, failed });
    }
}
