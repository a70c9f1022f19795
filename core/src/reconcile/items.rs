//! One object of an operation, from its turn to its row in the result.

use super::state::{Item, Live, Work};
use super::watching::settle_ms;
use super::{AppliedBody, Intent, InventoryEntry, Purpose, Reconciler};
use crate::cluster::{Request, Tracking};
use crate::compare::Ignored;
use crate::ids::{AppId, Digest};
use crate::key::ResourceKey;
use crate::status::{OperationPhase, ResultCode, ResultRow};
use crate::time::Now;

/// How long an object waits for its kind to be served after the definition was applied, and a definition to be
/// established.
const SERVED_WITHIN_MS: u64 = 60_000;
/// How often something that is waited for is looked at again.
const LOOK_AGAIN_MS: u64 = 1_000;
/// How often an object that its former app has not let go of is looked at in one attempt.
const FORMER_LOOKS: u32 = 60;
/// Conflicts and replacements that one attempt takes in its stride.
const CONFLICTS: u32 = 5;

impl Reconciler {
    pub(super) fn step_item(&mut self, app: &AppId, key: &ResourceKey, now: Now) {
        let Some(item) = self.item(app, key).cloned() else { return };
        if let Some(until) = item.establishing {
            self.step_definition(app, key, until, now);
            return;
        }
        if item.due > now.ms() {
            return;
        }
        let work = self.apps.get(app).and_then(|state| state.work.as_ref());
        let Some(manifest) = work.and_then(|work| work.wanted.manifest(key)) else { return };
        if let Err(reason) = self.permits(app, key) {
            self.item_failed(app, key, reason);
            return;
        }
        let kind = key.group_kind();
        let Some(info) = self.kinds.get(&kind).copied() else {
            self.wait_for_kind(app, key, &item, now);
            return;
        };
        if info.namespaced && key.namespace.is_empty() {
            let reason = "the manifest names no namespace and spec.destination.namespace is empty";
            self.item_failed(app, key, reason.to_owned());
            return;
        }
        if self.awaits_whole(app, key) {
            self.item_again(app, key, now.ms().saturating_add(LOOK_AGAIN_MS), "its object", false);
            return;
        }
        if self.is_dying(key) && key.is_part() {
            self.awaits_object(app, key, false);
            return;
        }
        if self.must_wait(app, key) {
            self.item_again(app, key, now.ms().saturating_add(LOOK_AGAIN_MS), "deletion", false);
            return;
        }
        let owner = self.owner(key).filter(|owner| owner != app);
        // What a hook of another app left behind makes way as what one of ours would.
        let is_left = |entry: &InventoryEntry| entry.hook.is_some() && entry.intent.is_none() && !entry.going;
        let left = item.hook.is_some() && self.inventory.get(key).is_some_and(is_left);
        if let Some(owner) = owner.filter(|owner| !left || self.has(owner, key)) {
            if self.has(&owner, key) {
                self.item_shared(app, key, &owner);
            } else if item.attempts >= FORMER_LOOKS {
                self.item_failed(
                    app,
                    key,
                    format!("app {owner}, which no longer desires it, has not let go of it"),
                );
            } else {
                // A newer release may be what its former app waits for: an automated sync goes on with that one.
                self.item_again(app, key, now.ms().saturating_add(LOOK_AGAIN_MS), "its former app", true);
            }
            return;
        }
        if (item.recreated || item.hook.is_some_and(|hook| hook.before_creation)) && !item.cleared {
            self.clear_hook(app, key);
            return;
        }
        if self.replaces(app, key, manifest, false) && self.respected(app, key, false).is_some() {
            let reason = "Replace=true and RespectIgnoreDifferences=true do not go together: the one takes away what the \
                          other leaves";
            self.item_failed(app, key, reason.to_owned());
            return;
        }
        let body = AppliedBody { manifest, app: app.clone() };
        self.begin(app, key, body, false, now);
    }

    fn step_definition(&mut self, app: &AppId, key: &ResourceKey, until: u64, now: Now) {
        if self.is_established(key) {
            let message = "applied and established".to_owned();
            self.item_done(app, key, ResultRow::new(key.clone(), ResultCode::Synced, message));
            self.rediscover(now.ms());
        } else if until <= now.ms() {
            self.item_failed(app, key, "applied, and not established within a minute".to_owned());
        }
    }

    pub(super) fn is_established(&self, key: &ResourceKey) -> bool {
        let live = self.live.get(key);
        matches!(live, Some(Live::Present(live))
            if live.health.as_ref().is_some_and(|verdict| verdict.health == crate::health::Health::Healthy))
    }

    fn wait_for_kind(&mut self, app: &AppId, key: &ResourceKey, item: &Item, now: Now) {
        let kind = key.group_kind();
        let give_up = match item.give_up {
            Some(at) => at,
            None if self.defined.contains_key(&kind) => now.ms().saturating_add(SERVED_WITHIN_MS),
            None => now.ms(),
        };
        self.rediscover(now.ms());
        if give_up <= now.ms() {
            self.item_failed(app, key, format!("the API server does not serve the kind {kind}"));
            return;
        }
        if let Some(item) = self.item_mut(app, key) {
            item.give_up = Some(give_up);
        }
        self.item_again(app, key, now.ms().saturating_add(LOOK_AGAIN_MS), "its definition", false);
    }

    /// Tells whether the object is on its way out, or a write of it may be.
    fn must_wait(&self, app: &AppId, key: &ResourceKey) -> bool {
        let entry = self.inventory.get(key);
        let open = entry.is_some_and(|entry| match &entry.intent {
            Some(Intent::Delete { .. }) => true,
            Some(Intent::Apply { body, .. }) => body.app != *app && entry.belongs_to(&body.app),
            None => false,
        });
        self.is_dying(key) || open || entry.is_some_and(|entry| entry.going)
    }

    /// Begins an apply: of a known incarnation at once, of an unknown one after a look (M16, M17).
    pub(super) fn begin(&mut self, app: &AppId, key: &ResourceKey, body: AppliedBody, heal: bool, now: Now) {
        let entry = self.inventory.get(key);
        let known = entry.and_then(|entry| entry.uid.clone());
        // An incarnation that was taken and of which no apply was answered may have become somebody else's since.
        let answered = entry.is_some_and(|entry| entry.fingerprint.is_some());
        // A part is applied to what was just seen to be there.
        let known = known.filter(|_| !key.is_part());
        match (known, self.live.get(key)) {
            (Some(uid), Some(Live::Present(live)))
                if live.uid == uid && (answered || !matches!(live.tracking, Tracking::Other(_))) =>
            {
                self.apply(app, key, body, Some(uid), heal, now);
            }
            // Not seen by a watch yet: the precondition protects it.
            (Some(uid), None) if answered => self.apply(app, key, body, Some(uid), heal, now),
            // That it was gone was true when it was looked at: somebody else may have made it since.
            (Some(_), None | Some(Live::Absent | Live::Present(_))) | (None, _) => {
                let purpose = Purpose::Claim { app: app.clone(), body, heal };
                self.send(key.clone(), purpose, Request::Get { key: key.clone() });
            }
        }
    }

    /// Sends an apply, its intent in the same turn's transaction (M18).
    pub(super) fn apply(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        body: AppliedBody,
        uid: Option<String>,
        heal: bool,
        now: Now,
    ) {
        let mut entry = self.inventory.get(key).cloned().unwrap_or_else(|| InventoryEntry::new(app.clone()));
        entry.app = app.clone();
        entry.detached = false;
        // Until it is answered, what either body says of deletes holds: one that must stay may be there already.
        if let Some(facts) = self.facts.get(&body.manifest) {
            entry.kept |= facts.kept;
            entry.prune_refused |= facts.prune_refused;
        }
        entry.hook = if heal { entry.hook } else { self.hook_run(app, key) };
        let again = matches!(entry.intent, Some(Intent::Apply { .. }));
        entry.intent = Some(Intent::Apply { body: body.clone(), at: now.mono });
        self.settle_queue.insert(key.clone(), now.ms().saturating_add(settle_ms()));
        self.put_inventory(key, Some(entry));
        // What is healed after a hand-over still names the app that it was applied for, until its new one syncs.
        let request = Request::Apply {
            key: key.clone(),
            uid: uid.clone(),
            manifest: body.manifest,
            app: body.app.clone(),
            unvalidated: self.is_unvalidated(app, body.manifest, heal),
            migrates: uid.is_some() && !key.is_part() && self.is_to_migrate(app, key),
            replaces: self.replaces(app, key, body.manifest, heal),
            respect: self.respected(app, key, heal),
            force: self.takes_fields(app, key, body.manifest),
            account: self.account(app),
        };
        let purpose = Purpose::Apply { app: app.clone(), body, heal, uid, again };
        self.send(key.clone(), purpose, request);
    }

    /// Tells whether what does not fit its schema is applied all the same (`Validate=false`): as the object says, else as
    /// its app does, or did when the sync began.
    pub(super) fn is_unvalidated(&self, app: &AppId, manifest: Digest, heal: bool) -> bool {
        let own = self.facts.get(&manifest).and_then(|facts| facts.unvalidated);
        own.unwrap_or_else(|| {
            let state = self.apps.get(app);
            let frozen = state.and_then(|state| state.operation.as_ref()).map(|running| &running.assignment);
            let listed = state.and_then(|state| state.listed.as_ref());
            frozen.filter(|_| !heal).or(listed).is_some_and(|assignment| assignment.policy.unvalidated)
        })
    }

    /// Tells whether an object was never applied by us, so that earlier tools may own what we apply.
    fn is_to_migrate(&self, app: &AppId, key: &ResourceKey) -> bool {
        let listed = self.apps.get(app).and_then(|state| state.listed.as_ref());
        let found = matches!(self.live.get(key), Some(Live::Present(live)) if live.fingerprint.is_none());
        found && !listed.is_some_and(|listed| listed.policy.unmigrated)
    }

    /// Gives what an apply leaves as it is: by the operation's assignment, or when healing by the newest one (M8, M20).
    fn respected(&self, app: &AppId, key: &ResourceKey, heal: bool) -> Option<Ignored> {
        let state = self.apps.get(app)?;
        if heal { state.wanted.respected(key) } else { state.work.as_ref()?.wanted.respected(key) }
    }

    pub(super) fn item(&self, app: &AppId, key: &ResourceKey) -> Option<&Item> {
        let work = self.apps.get(app)?.work.as_ref()?;
        work.queue.get(&(*work.ranks.get(key)?, key.clone()))
    }

    pub(super) fn item_mut(&mut self, app: &AppId, key: &ResourceKey) -> Option<&mut Item> {
        let work = self.apps.get_mut(app)?.work.as_mut()?;
        work.queue.get_mut(&(*work.ranks.get(key)?, key.clone()))
    }

    /// Tells whether a running operation still has the object to do. One that waits for its next try has nothing to do, and
    /// keeps nothing from being healed.
    pub(super) fn is_queued(&self, app: &AppId, key: &ResourceKey) -> bool {
        let rests = self.apps.get(app).and_then(|state| state.work.as_ref()).is_some_and(Work::rests);
        !rests && self.item(app, key).is_some()
    }

    /// Ends the work on one object.
    pub(super) fn item_done(&mut self, app: &AppId, key: &ResourceKey, row: ResultRow) {
        if let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut())
            && let Some(rank) = work.ranks.get(key)
            && let Some(item) = work.queue.remove(&(*rank, key.clone()))
        {
            let mut row = row;
            row.hook = item.hook.map(|_| rank.step.phase);
            row.hook_phase = row.hook.map(|_| match row.code {
                ResultCode::SyncFailed => OperationPhase::Failed,
                ResultCode::Synced
                | ResultCode::Pruned
                | ResultCode::PruneSkipped
                | ResultCode::SharedSkipped => OperationPhase::Running,
            });
            let rank = *rank;
            if item.hook.is_some() && row.code == ResultCode::Synced {
                work.running.insert(key.clone(), rank);
            } else if item.hook.is_some() {
                work.next_phase_of(key);
            }
            work.failed |= row.code == ResultCode::SyncFailed;
            work.touched |= row.code == ResultCode::Synced;
            work.results.push(row);
            self.moved = true;
            self.dirty.insert(app.clone());
        }
    }

    pub(super) fn item_failed(&mut self, app: &AppId, key: &ResourceKey, reason: String) {
        if let Some(state) = self.apps.get_mut(app) {
            state.problems.insert(key.clone(), reason.clone());
        }
        self.item_done(app, key, ResultRow::new(key.clone(), ResultCode::SyncFailed, reason));
    }

    pub(super) fn item_shared(&mut self, app: &AppId, key: &ResourceKey, owner: &AppId) {
        let message = format!("app {owner} owns it");
        let operation = self.apps.get(app).and_then(|state| state.operation.as_ref());
        if operation.is_some_and(|operation| operation.farewell.is_some()) {
            // What is to run before or after a deletion has to run.
            self.item_failed(app, key, message);
            return;
        }
        if let Some(state) = self.apps.get_mut(app) {
            state.problems.insert(key.clone(), format!("not applied: {message}"));
        }
        self.item_done(app, key, ResultRow::new(key.clone(), ResultCode::SharedSkipped, message));
    }

    /// Looks at one object of an operation again later.
    pub(super) fn item_again(
        &mut self,
        app: &AppId,
        key: &ResourceKey,
        due: u64,
        waits_for: &str,
        attempt: bool,
    ) {
        if let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut())
            && let Some(rank) = work.ranks.get(key)
            && let Some(item) = work.queue.get_mut(&(*rank, key.clone()))
        {
            item.due = due;
            item.attempts = item.attempts.saturating_add(u32::from(attempt));
            item.waited |= !attempt;
            work.waiting = format!("{key} waits for {waits_for}");
            self.dirty.insert(app.clone());
        }
    }

    /// Waits for a definition to be established.
    pub(super) fn item_establishing(&mut self, app: &AppId, key: &ResourceKey, now: Now) {
        if let Some(item) = self.item_mut(app, key) {
            item.establishing = Some(now.ms().saturating_add(SERVED_WITHIN_MS));
        }
    }

    /// Takes a conflict or a replacement in its stride, a few times; gives what to say when it is too much.
    pub(super) fn item_conflict(&mut self, app: &AppId, key: &ResourceKey, now: Now, reason: &str) {
        let tries = self.item(app, key).map_or(0, |item| item.attempts);
        if tries >= CONFLICTS {
            self.item_failed(app, key, reason.to_owned());
        } else {
            self.item_again(app, key, now.ms(), "a new look", true);
        }
    }
}
