//! Operations: a sync of one app, from its start over its ordered applies to its result.

use super::state::{App, Attempt, Item, NamespaceStep, Operation, Wanted, Work, tables};
use super::{AppliedBody, Purpose, Reconciler};
use crate::cluster::Request;
use crate::desired::{Assignment, Phase};
use crate::ids::{AppId, CommandId, Digest};
use crate::key::ResourceKey;
use crate::order::{self, Rank};
use crate::policy::Retry;
use crate::session::frame::CommandState;
use crate::status::{OperationPhase, ResultCode, ResultRow};
use crate::store::{StoreError, StoreOp, StoreRead, encode};
use crate::time::{Entropy, Now};

/// How long an object waits for its kind to be served after the definition was applied, and a definition to be
/// established.
const SERVED_WITHIN_MS: u64 = 60_000;
/// How often something that is waited for is looked at again.
const LOOK_AGAIN_MS: u64 = 1_000;
/// How often an object that its former app has not let go of is looked at in one attempt.
const FORMER_LOOKS: u32 = 60;
/// Conflicts and replacements that one attempt takes in its stride.
const CONFLICTS: u32 = 5;

/// Tells attempts apart: what is synced, and how (Argo CD: an attempt is remembered by revision and source).
fn attempt_of(assignment: &Assignment) -> Digest {
    let parts = [
        encode(&assignment.root),
        encode(&assignment.destination),
        encode(&assignment.policy),
        encode(&assignment.limits),
    ];
    Digest::of_parts("argosy attempt v1", parts.iter().map(Vec::as_slice))
}

impl App {
    /// Tells whether an operation is under way and not waiting for its next attempt.
    pub(super) fn is_working(&self) -> bool {
        self.operation.is_some() && self.work.as_ref().is_none_or(|work| work.retry_at.is_none())
    }

    /// Gives every point at which its operation has something to do.
    pub(super) fn timers(&self) -> Vec<u64> {
        let Some(work) = &self.work else { return Vec::new() };
        if let Some(at) = work.retry_at {
            return vec![at];
        }
        if let Some(NamespaceStep::Due(at)) = work.namespace {
            return vec![at];
        }
        let Some(rank) = work.queue.keys().next().map(|(rank, _)| *rank) else { return Vec::new() };
        let items = work.queue.iter().take_while(|((of, _), _)| *of == rank);
        items.map(|(_, item)| item.establishing.unwrap_or(item.due)).collect()
    }
}

impl Reconciler {
    pub(super) fn run_operations(
        &mut self,
        store: &dyn StoreRead,
        now: Now,
        entropy: &mut dyn Entropy,
    ) -> Result<(), StoreError> {
        let apps: Vec<AppId> = self.apps.keys().cloned().collect();
        for app in apps {
            self.start_what_is_asked(&app, now);
            if self.dirty.contains(&app) {
                self.start_automated(&app, now);
            }
            self.prepare(&app, store, now)?;
            self.step(&app, now, entropy);
        }
        Ok(())
    }

    fn start_what_is_asked(&mut self, app: &AppId, now: Now) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let Some(pending) = state.pending.clone() else { return };
        if state.operation.is_some() {
            return;
        }
        let listed = state.listed.as_ref().map(|listed| (listed.root, listed.phase));
        let assigned = state.assigned.as_ref().map(|assigned| assigned.root);
        let refuse = match (listed, pending.expect) {
            (None, _) => Some((CommandState::Failed, format!("app {app} has left this cluster"))),
            (Some((_, phase)), _) if phase != Phase::Active => {
                Some((CommandState::Failed, format!("app {app} is {phase:?} and is not synced")))
            }
            (Some((root, _)), Some(expect)) if Some(expect) != assigned && expect != root => Some((
                CommandState::Superseded,
                format!("release {} is not the newest of app {app}", expect.0.short()),
            )),
            // The release is on its way.
            (Some(_), Some(expect)) if Some(expect) != assigned => return,
            (Some(_), None) if assigned.is_none() => return,
            (Some(_), _) => None,
        };
        state.pending = None;
        match refuse {
            Some((state, message)) => self.finish(pending.command, state, message),
            None => self.start(app, Some(pending.command), pending.prune, now),
        }
    }

    /// Starts an automated sync if one is due: out of sync, not tried before, and everything it compares with seen.
    fn start_automated(&mut self, app: &AppId, now: Now) {
        let Some(state) = self.apps.get(app) else { return };
        let (Some(listed), Some(assigned)) = (&state.listed, &state.assigned) else { return };
        let Some(automated) = listed.policy.automated.filter(|_| listed.phase == Phase::Active) else {
            return;
        };
        if state.operation.is_some() {
            return;
        }
        let attempt = attempt_of(assigned);
        let fell_to_it = |row: &ResultRow| {
            row.code == ResultCode::PruneSkipped
                && state.wanted.keys.contains_key(&row.key)
                && self.owner(&row.key).as_ref() == Some(app)
        };
        // An object that another app owned when it was tried, and lets go of, is planned again (M17).
        let tried = |last: &Attempt| last.attempt == attempt && !last.results.iter().any(fell_to_it);
        if state.last.as_ref().is_some_and(tried) {
            return;
        }
        if self.has_looked(app) {
            self.start(app, None, automated.prune, now);
        }
    }

    /// Tells whether everything that the app desires or manages was looked at, so that what is in sync is not applied.
    fn has_looked(&self, app: &AppId) -> bool {
        let Some(state) = self.apps.get(app) else { return false };
        let managed = || self.by_app.get(app).into_iter().flatten();
        let unseen = state
            .wanted
            .keys
            .keys()
            .chain(managed())
            .map(ResourceKey::group_kind)
            .any(|kind| self.must_watch(&kind) && !self.is_watched(&kind));
        let looking = managed().any(|key| {
            let intent = self.inventory.get(key).is_some_and(|entry| entry.intent.is_some());
            !intent && (self.verify_queue.contains_key(key) || self.busy.contains(key))
        });
        !unseen && !looking
    }

    fn start(&mut self, app: &AppId, command: Option<CommandId>, prune: bool, now: Now) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let Some(assignment) = state.assigned.clone() else { return };
        let attempt = attempt_of(&assignment);
        let operation = Operation { assignment, attempt, command, prune, started: now.mono, retries: 0 };
        self.out.ops.push(StoreOp::put(tables::OPERATIONS, encode(app), &operation));
        state.problems.clear();
        state.operation = Some(operation);
        state.work = None;
        self.moved = true;
        if let Some(command) = command {
            self.finish(command, CommandState::Running, String::new());
        }
        self.dirty.insert(app.clone());
    }

    /// Works out what an operation has to do: at its start, its retry, and after a restart.
    fn prepare(&mut self, app: &AppId, store: &dyn StoreRead, now: Now) -> Result<(), StoreError> {
        let Some(state) = self.apps.get(app) else { return Ok(()) };
        let (Some(operation), None) = (&state.operation, &state.work) else { return Ok(()) };
        if !self.has_looked(app) {
            return Ok(());
        }
        self.moved = true;
        let release = super::desired::assigned_release(operation.assignment.root, store)?;
        let wanted = self.wanted(&operation.assignment, &release);
        let mut queue = std::collections::BTreeMap::new();
        for (key, one) in &wanted.keys {
            if !self.is_in_sync(app, key, one.manifest) {
                queue.insert((order::rank(key), key.clone()), Item::default());
            }
        }
        let creates = operation.assignment.policy.create_namespace
            && !operation.assignment.destination.namespace.is_empty()
            && !queue.is_empty();
        let work = Work {
            wanted,
            queue,
            namespace: creates.then_some(NamespaceStep::Due(now.ms())),
            ..Work::default()
        };
        if let Some(state) = self.apps.get_mut(app) {
            state.work = Some(work);
        }
        self.judge.insert(app.clone());
        Ok(())
    }

    /// Carries an operation on as far as it goes now.
    fn step(&mut self, app: &AppId, now: Now, entropy: &mut dyn Entropy) {
        if self.restart_at_newest(app, now) {
            return;
        }
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        if let Some(at) = work.retry_at {
            if at <= now.ms() {
                self.try_again(app);
            }
            return;
        }
        match work.namespace {
            Some(NamespaceStep::Due(at)) if at <= now.ms() => {
                work.namespace = Some(NamespaceStep::Sent);
                self.ensure_namespace(app);
                return;
            }
            Some(NamespaceStep::Due(_) | NamespaceStep::Sent) => return,
            None => {}
        }
        let Some(rank) = work.queue.keys().next().map(|(rank, _)| *rank) else {
            self.finish_operation(app, now, entropy);
            return;
        };
        let keys: Vec<ResourceKey> =
            work.queue.keys().take_while(|(of, _)| *of == rank).map(|(_, key)| key.clone()).collect();
        for key in keys {
            if !self.has_room() {
                return;
            }
            if !self.busy.contains(&key) {
                self.step_item(app, rank, &key, now);
            }
        }
    }

    /// An automated operation that failed or cannot reach the API server goes on with the newest release (M20).
    fn restart_at_newest(&mut self, app: &AppId, now: Now) -> bool {
        let Some(state) = self.apps.get(app) else { return false };
        let (Some(operation), Some(work), Some(assigned)) = (&state.operation, &state.work, &state.assigned)
        else {
            return false;
        };
        let newer = attempt_of(assigned) != operation.attempt;
        let rank = work.queue.keys().next().map(|(rank, _)| *rank);
        let first = || work.queue.iter().take_while(|((of, _), _)| Some(*of) == rank).map(|(_, item)| item);
        let stuck = work.retry_at.is_some()
            || (rank.is_some() && first().all(|item| item.attempts > 0 && item.due > now.ms()));
        let idle = !work.queue.keys().any(|(_, key)| self.busy.contains(key));
        if operation.command.is_some() || !newer || !stuck || !idle {
            return false;
        }
        self.drop_operation(app);
        self.moved = true;
        self.dirty.insert(app.clone());
        true
    }

    fn try_again(&mut self, app: &AppId) {
        let Some(state) = self.apps.get_mut(app) else { return };
        if let Some(operation) = &mut state.operation {
            operation.retries = operation.retries.saturating_add(1);
            self.out.ops.push(StoreOp::put(tables::OPERATIONS, encode(app), operation));
        }
        state.work = None;
        state.problems.clear();
        self.moved = true;
        self.dirty.insert(app.clone());
    }

    fn ensure_namespace(&mut self, app: &AppId) {
        let Some(operation) = self.apps.get(app).and_then(|state| state.operation.as_ref()) else { return };
        let name = operation.assignment.destination.namespace.clone();
        // Not the key of a Namespace that an app may manage: this one belongs to nobody (M19).
        let key = ResourceKey::new("argosy.dev", "DestinationNamespace", app.to_string(), name.clone());
        self.send(key, Purpose::Namespace { app: app.clone() }, Request::EnsureNamespace { name });
    }

    fn step_item(&mut self, app: &AppId, rank: Rank, key: &ResourceKey, now: Now) {
        let Some(item) = self.item(app, key).cloned() else { return };
        if let Some(until) = item.establishing {
            self.step_definition(app, key, until, now);
            return;
        }
        if item.due > now.ms() {
            return;
        }
        let wanted =
            self.apps.get(app).and_then(|state| state.work.as_ref()).and_then(|w| w.wanted.keys.get(key));
        let Some(Wanted { manifest, .. }) = wanted.cloned() else { return };
        if let Err(reason) = self.permits(app, key) {
            self.item_failed(app, key, reason);
            return;
        }
        let kind = key.group_kind();
        let Some(info) = self.kinds.get(&kind).copied() else {
            self.wait_for_kind(app, key, rank, &item, now);
            return;
        };
        if info.namespaced && key.namespace.is_empty() {
            let reason = "the manifest names no namespace and spec.destination.namespace is empty";
            self.item_failed(app, key, reason.to_owned());
            return;
        }
        if self.must_wait(app, key) {
            self.item_again(app, key, now.ms().saturating_add(LOOK_AGAIN_MS), "deletion", false);
            return;
        }
        if let Some(owner) = self.owner(key).filter(|owner| owner != app) {
            if self.desirers.get(key).is_some_and(|apps| apps.contains(&owner)) {
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
        let body = AppliedBody { manifest, app: app.clone() };
        self.begin(app, key, body, false, now);
    }

    fn step_definition(&mut self, app: &AppId, key: &ResourceKey, until: u64, now: Now) {
        if self.is_established(key) {
            let message = "applied and established".to_owned();
            self.item_done(app, key, ResultRow { key: key.clone(), code: ResultCode::Synced, message });
            self.rediscover(now.ms());
        } else if until <= now.ms() {
            self.item_failed(app, key, "applied, and not established within a minute".to_owned());
        }
    }

    pub(super) fn is_established(&self, key: &ResourceKey) -> bool {
        let live = self.live.get(key);
        matches!(live, Some(super::Live::Present(live))
            if live.health.as_ref().is_some_and(|verdict| verdict.health == crate::health::Health::Healthy))
    }

    fn wait_for_kind(&mut self, app: &AppId, key: &ResourceKey, rank: Rank, item: &Item, now: Now) {
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
        if let Some(item) = self.item_in(app, rank, key) {
            item.give_up = Some(give_up);
        }
        self.item_again(app, key, now.ms().saturating_add(LOOK_AGAIN_MS), "its definition", false);
    }

    /// Tells whether the object is on its way out, or a write of it may be.
    fn must_wait(&self, app: &AppId, key: &ResourceKey) -> bool {
        let dying = matches!(self.live.get(key), Some(super::Live::Present(live)) if live.deleting);
        let entry = self.inventory.get(key);
        let open = entry.is_some_and(|entry| match &entry.intent {
            Some(super::Intent::Delete { .. }) => true,
            Some(super::Intent::Apply { body, .. }) => body.app != *app && entry.belongs_to(&body.app),
            None => false,
        });
        dying || open || entry.is_some_and(|entry| entry.going)
    }

    /// Begins an apply: of a known incarnation at once, of an unknown one after a look (M16, M17).
    pub(super) fn begin(&mut self, app: &AppId, key: &ResourceKey, body: AppliedBody, heal: bool, now: Now) {
        let known = self.inventory.get(key).and_then(|entry| entry.uid.clone());
        match (known, self.live.get(key)) {
            (Some(uid), Some(super::Live::Present(live))) if live.uid == uid => {
                self.apply(app, key, body, Some(uid), heal, now);
            }
            (Some(_), Some(super::Live::Absent)) => self.apply(app, key, body, None, heal, now),
            // Not seen by a watch yet: the precondition protects it.
            (Some(uid), None) => self.apply(app, key, body, Some(uid), heal, now),
            (Some(_), Some(super::Live::Present(_))) | (None, _) => {
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
        let mut entry =
            self.inventory.get(key).cloned().unwrap_or_else(|| super::InventoryEntry::new(app.clone()));
        entry.app = app.clone();
        entry.detached = false;
        entry.intent = Some(super::Intent::Apply { body: body.clone(), at: now.mono });
        self.settle_queue.insert(key.clone(), now.ms().saturating_add(super::settle_ms()));
        self.put_inventory(key, Some(entry));
        // What is healed after a hand-over still names the app that it was applied for, until its new one syncs.
        let request = Request::Apply {
            key: key.clone(),
            uid: uid.clone(),
            manifest: body.manifest,
            app: body.app.clone(),
        };
        let purpose = Purpose::Apply { app: app.clone(), body, heal, uid };
        self.send(key.clone(), purpose, request);
    }

    /// Checks the project's limits at the last step before a write.
    pub(super) fn permits(&self, app: &AppId, key: &ResourceKey) -> Result<(), String> {
        let Some(listed) = self.apps.get(app).and_then(|state| state.listed.as_ref()) else {
            return Err(format!("app {app} is not listed"));
        };
        let namespaced = self.is_namespaced(&key.group_kind()).unwrap_or(!key.namespace.is_empty());
        listed
            .limits
            .permits(key, namespaced, &listed.destination.server, &listed.destination.cluster)
            .map_err(|denied| denied.to_string())
    }

    fn item(&self, app: &AppId, key: &ResourceKey) -> Option<&Item> {
        let work = self.apps.get(app)?.work.as_ref()?;
        work.queue.get(&(order::rank(key), key.clone()))
    }

    fn item_in(&mut self, app: &AppId, rank: Rank, key: &ResourceKey) -> Option<&mut Item> {
        self.apps.get_mut(app)?.work.as_mut()?.queue.get_mut(&(rank, key.clone()))
    }

    /// Tells whether a running operation still has the object to do.
    pub(super) fn is_queued(&self, app: &AppId, key: &ResourceKey) -> bool {
        self.item(app, key).is_some()
    }

    /// Ends the work on one object.
    pub(super) fn item_done(&mut self, app: &AppId, key: &ResourceKey, row: ResultRow) {
        let rank = order::rank(key);
        if let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut())
            && work.queue.remove(&(rank, key.clone())).is_some()
        {
            work.failed |= row.code == ResultCode::SyncFailed;
            work.results.push(row);
            self.moved = true;
            self.dirty.insert(app.clone());
        }
    }

    pub(super) fn item_failed(&mut self, app: &AppId, key: &ResourceKey, reason: String) {
        if let Some(state) = self.apps.get_mut(app) {
            state.problems.insert(key.clone(), reason.clone());
        }
        self.item_done(
            app,
            key,
            ResultRow { key: key.clone(), code: ResultCode::SyncFailed, message: reason },
        );
    }

    pub(super) fn item_shared(&mut self, app: &AppId, key: &ResourceKey, owner: &AppId) {
        let message = format!("not applied: app {owner} owns it");
        if let Some(state) = self.apps.get_mut(app) {
            state.problems.insert(key.clone(), message.clone());
        }
        self.item_done(app, key, ResultRow { key: key.clone(), code: ResultCode::PruneSkipped, message });
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
        let rank = order::rank(key);
        if let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut())
            && let Some(item) = work.queue.get_mut(&(rank, key.clone()))
        {
            item.due = due;
            item.attempts = item.attempts.saturating_add(u32::from(attempt));
            work.waiting = format!("{key} waits for {waits_for}");
            self.dirty.insert(app.clone());
        }
    }

    /// Waits for a definition to be established.
    pub(super) fn item_establishing(&mut self, app: &AppId, key: &ResourceKey, now: Now) {
        if let Some(item) = self.item_in(app, order::rank(key), key) {
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

    fn finish_operation(&mut self, app: &AppId, now: Now, _entropy: &mut dyn Entropy) {
        // Deletes belong to the operation until they are sent or held.
        if self.judge.contains(app) || self.has_deletes_under_way(app, now) {
            return;
        }
        let Some(state) = self.apps.get_mut(app) else { return };
        let (Some(operation), Some(work)) = (&state.operation, &mut state.work) else { return };
        let automated = operation.command.is_none();
        if work.failed {
            let retry = operation.assignment.policy.retry.or(automated.then(Retry::default));
            let tries = i64::try_from(operation.retries).unwrap_or(i64::MAX);
            if let Some(retry) = retry.filter(|retry| retry.limit < 0 || tries < retry.limit) {
                let factor = u64::from(retry.factor.max(1))
                    .saturating_pow(u32::try_from(operation.retries).unwrap_or(32).min(32));
                let delay = retry.delay_ms.saturating_mul(factor).min(retry.max_delay_ms);
                work.retry_at = Some(now.ms().saturating_add(delay));
                self.dirty.insert(app.clone());
                return;
            }
        }
        let phase = if work.failed { OperationPhase::Failed } else { OperationPhase::Succeeded };
        let message = if work.failed {
            format!("one or more objects failed to apply, reason: {}", first_failure(&work.results))
        } else {
            "successfully synced (all tasks run)".to_owned()
        };
        self.end_with(app, phase, message, now);
    }

    fn end_with(&mut self, app: &AppId, phase: OperationPhase, message: String, now: Now) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let (Some(operation), work) = (state.operation.take(), state.work.take()) else { return };
        let root = operation.assignment.root;
        let synced = if phase == OperationPhase::Succeeded {
            Some(root)
        } else {
            state.last.as_ref().and_then(|last| last.synced)
        };
        let attempt = Attempt {
            attempt: operation.attempt,
            phase,
            message: message.clone(),
            root,
            synced,
            started: operation.started,
            finished: now.mono,
            retries: operation.retries,
            automated: operation.command.is_none(),
            results: bounded(work.map(|work| work.results).unwrap_or_default()),
        };
        self.out.ops.push(StoreOp::put(tables::ATTEMPTS, encode(app), &attempt));
        self.out.ops.push(StoreOp::delete(tables::OPERATIONS, encode(app)));
        state.last = Some(attempt);
        let succeeded = phase == OperationPhase::Succeeded;
        self.event(app, None, if succeeded { "Synced" } else { "SyncFailed" }, message.clone());
        if let Some(command) = operation.command {
            let outcome = if succeeded { CommandState::Succeeded } else { CommandState::Failed };
            self.finish(command, outcome, message);
        }
        self.moved = true;
        self.dirty.insert(app.clone());
        self.judge.insert(app.clone());
    }

    /// Ends an operation that has no place any more; a command that asked for it is answered.
    pub(super) fn end_operation(&mut self, app: &AppId, reason: &str) {
        let pending = self.apps.get_mut(app).and_then(|state| state.pending.take());
        if let Some(pending) = pending {
            self.finish(pending.command, CommandState::Failed, reason.to_owned());
        }
        if let Some(operation) = self.drop_operation(app)
            && let Some(command) = operation.command
        {
            self.finish(command, CommandState::Failed, reason.to_owned());
        }
    }

    fn drop_operation(&mut self, app: &AppId) -> Option<Operation> {
        let state = self.apps.get_mut(app)?;
        state.work = None;
        let operation = state.operation.take()?;
        self.out.ops.push(StoreOp::delete(tables::OPERATIONS, encode(app)));
        Some(operation)
    }
}

fn first_failure(results: &[ResultRow]) -> String {
    let mut failures = results.iter().filter(|row| row.code == ResultCode::SyncFailed);
    let first = failures.next().map(|row| format!("{}: {}", row.key, row.message)).unwrap_or_default();
    match failures.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Keeps what is worth telling: everything of a small sync, failures and deletes of a large one.
fn bounded(mut results: Vec<ResultRow>) -> Vec<ResultRow> {
    const ROWS: usize = 200;
    if results.len() > ROWS {
        results.sort_by_key(|row| match row.code {
            ResultCode::SyncFailed => 0,
            ResultCode::PruneSkipped => 1,
            ResultCode::Pruned => 2,
            ResultCode::Synced => 3,
        });
        results.truncate(ROWS);
    }
    results
}
