//! Operations: a sync of one app, from its start over its ordered applies to its result.

use std::collections::BTreeMap;

use super::desired::{assigned_release, kinds_of};
use super::history::Rollback;
use super::slots::Use;
use super::state::{
    App, Attempt, Item, Live, NamespaceStep, Operation, PendingSync, Wanted, WantedSet, Work, tables,
};
use super::{Purpose, Reconciler};
use crate::desired::{Assignment, Phase};
use crate::ids::{AppId, CommandId, Digest};
use crate::key::ResourceKey;
use crate::order::SyncPhase;
use crate::policy::{HistoryPolicy, ProjectLimits, SyncPolicy};
use crate::selection::SyncOptions;
use crate::session::frame::CommandState;
use crate::status::{OperationPhase, ResultCode, ResultRow};
use crate::store::{StoreError, StoreOp, StoreRead, encode};
use crate::time::Now;

/// How soon after a sync an app is synced again whose objects are not managed any more.
const REMAKE_MS: u64 = 60_000;

/// How many objects of an app are looked at before others have their turn: more than there are slots.
pub(super) const AT_ONCE: usize = 64;

/// How a sync begins; by default as its application says, asked for by nobody.
#[derive(Debug, Clone, Default)]
pub(super) struct Start {
    /// The command that asked for it.
    pub(super) command: Option<CommandId>,
    /// Deletes what left the desired state.
    pub(super) prune: bool,
    /// Goes back to an older release.
    pub(super) rollback: Option<Rollback>,
    /// What it does otherwise than its application says.
    pub(super) options: SyncOptions,
    /// Runs the hooks of this phase of the app's deletion.
    pub(super) farewell: Option<SyncPhase>,
    /// Exactly this release was asked for.
    pub(super) exact: bool,
}

/// Tells attempts apart: what is synced, and how (Argo CD: an attempt is remembered by revision and source). When it may be
/// synced makes no other attempt.
pub(super) fn attempt_of(assignment: &Assignment) -> Digest {
    let limits = &assignment.limits;
    let limits = if limits.windows.is_empty() {
        encode(limits)
    } else {
        encode(&ProjectLimits { windows: Vec::new(), ..limits.clone() })
    };
    // What is kept of the past is no other way to sync.
    let policy = encode(&SyncPolicy { history: HistoryPolicy::default(), ..assignment.policy.clone() });
    let parts = [encode(&assignment.root), encode(&assignment.destination), policy, limits];
    Digest::of_parts("argosy attempt v1", parts.iter().map(Vec::as_slice))
}

impl App {
    /// Tells whether an operation is under way and not waiting for its next attempt.
    pub(super) fn is_working(&self) -> bool {
        self.operation.is_some() && self.work.as_ref().is_none_or(|work| work.retry_at.is_none())
    }

    /// Gives every point at which its operation has something to do.
    pub(super) fn timers(&self) -> Vec<u64> {
        let Some(work) = &self.work else {
            return self.remake_at.into_iter().chain(self.soaks()).collect();
        };
        if let Some(at) = work.retry_at {
            return vec![at];
        }
        if let Some(NamespaceStep::Due(at)) = work.namespace {
            return vec![at];
        }
        if let Some(due) = work.trial_timers() {
            return due;
        }
        let Some(rank) = work.rank_now() else {
            return work.gate.into_iter().chain(work.sweep.iter().flatten().map(|(_, due)| *due)).collect();
        };
        let items = work.queue.iter().take_while(|((of, _), _)| *of == rank);
        items.map(|(_, item)| item.establishing.unwrap_or(item.due)).collect()
    }
}

impl Reconciler {
    pub(super) fn run_operations(&mut self, store: &dyn StoreRead, now: Now) -> Result<(), StoreError> {
        let apps = self.in_turn();
        for app in &apps {
            self.start_what_is_asked(app, now);
            self.start_fall_back(app, now);
            self.start_farewell(app, now);
            let remakes = self.apps.get(app).and_then(|state| state.remake_at);
            if self.dirty.contains(app) || remakes.is_some_and(|at| at <= now.ms()) {
                self.start_automated(app, now);
            }
        }
        self.reassign(store, now)?;
        for app in &apps {
            self.prepare(app, store, now)?;
        }
        // Who takes its share is told by what all of them have to do.
        for app in &apps {
            self.step(app, now);
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
            (Some(_), _) => state.gatekeeper.refusal().map(|refusal| (CommandState::Failed, refusal)),
        };
        state.pending = None;
        if let Some((state, message)) = refuse {
            self.finish(pending.command, state, message);
            return;
        }
        let PendingSync { command, expect, prune, rollback, options } = pending;
        let exact = expect.is_some();
        let start = Start { command: Some(command), prune, rollback, options, exact, ..Start::default() };
        self.start(app, start, now);
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
            row.code == ResultCode::SharedSkipped
                && state.wanted.keys.contains_key(&row.key)
                && self.owner(&row.key).as_ref() == Some(app)
                && (!row.key.is_part()
                    || matches!(self.live.get(&row.key), Some(Live::Present(live)) if !live.deleting))
        };
        // An object that another app owned when it was tried, and lets go of, is planned again (M17); so is a part that had
        // no object.
        let tried = |last: &Attempt| last.attempt == attempt && !last.results.iter().any(fell_to_it);
        if state.last.as_ref().is_some_and(tried) {
            let remake_at = state.last.as_ref().filter(|_| automated.self_heal && self.has_lost(app, state));
            let remake_at = remake_at.map(|last| remake_at_ms(last, now));
            if remake_at.is_none_or(|at| at > now.ms()) {
                if let Some(state) = self.apps.get_mut(app) {
                    state.remake_at = remake_at;
                }
                return;
            }
        }
        if self.has_looked(app) && !self.must_wait_for_window(app) {
            self.start(app, Start { prune: automated.prune, ..Start::default() }, now);
        }
    }

    /// Tells whether the last sync succeeded and an object that it left in place is not managed any more: there is nothing
    /// to heal it by, so it takes another sync.
    fn has_lost(&self, app: &AppId, state: &App) -> bool {
        let succeeded = state.last.as_ref().is_some_and(|last| last.phase == OperationPhase::Succeeded);
        succeeded
            && state
                .wanted
                .keys
                .keys()
                .filter(|key| !self.inventory.contains_key(*key) && !self.has_no_object(key))
                .any(|key| self.owner(key).as_ref() == Some(app))
    }

    /// Tells whether everything that the app desires or manages was looked at, so that what is in sync is not applied.
    fn has_looked(&self, app: &AppId) -> bool {
        let Some(state) = self.apps.get(app) else { return false };
        let managed = || self.by_app.get(app).into_iter().flatten();
        let wanted = || state.wanted.keys.keys().chain(state.wanted.hooks.keys());
        let wholes = wanted().chain(managed()).filter(|key| !key.is_part());
        let unseen = kinds_of(wholes).iter().any(|kind| self.is_unseen(kind));
        if unseen || wanted().chain(managed()).any(|key| self.is_unseen_part(key)) {
            return false;
        }
        let asked = managed().filter(|key| self.verify_queue.contains_key(*key) || self.busy.contains(*key));
        // What goes away goes when its finalizers let it, and what cannot be read is not waited for.
        let mut awaited = asked.filter(|key| {
            let going = self.inventory.get(*key).is_some_and(|entry| entry.intent.is_some() || entry.going);
            !going && !self.is_dying(key) && !self.backoffs.contains_key(*key)
        });
        awaited.next().is_none()
    }

    pub(super) fn start(&mut self, app: &AppId, how: Start, now: Now) {
        let Start { command, prune, rollback, options, farewell, exact } = how;
        let began = self.trusted_time(now);
        match &rollback {
            Some(rollback) => self.take_left(app, rollback.leaves.clone()),
            // Who asks for a sync asks for the newest release, but for a part or a rehearsal of what is in its place.
            None if command.is_some() && options.is_whole() => self.take_left(app, None),
            None => {}
        }
        let Some(state) = self.apps.get_mut(app) else { return };
        let Some(mut assignment) = state.enforced() else { return };
        if let Some(rollback) = &rollback {
            assignment.root = rollback.root;
        }
        let attempt = attempt_of(&assignment);
        let operation = Operation {
            assignment,
            attempt,
            command,
            prune,
            started: now.mono,
            retries: 0,
            hooks: Vec::new(),
            terminated: false,
            began,
            // Argo CD: a rollback runs none.
            with_hooks: match farewell {
                Some(_) => Some(true),
                None => (rollback.is_some() || options.has_no_hooks()).then_some(false),
            },
            rollback,
            options,
            farewell,
            exact,
        };
        self.out.ops.push(StoreOp::put(tables::OPERATIONS, encode(app), &operation));
        state.problems.clear();
        state.remake_at = None;
        state.operation = Some(operation);
        state.work = None;
        self.retry_deletes(app);
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
        let operation = operation.clone();
        let Operation { assignment, options, .. } = &operation;
        let wanted = if state.assigned.as_ref() == Some(assignment) {
            state.wanted.clone()
        } else {
            let release = assigned_release(assignment.root, store)?;
            self.ingest(&release, store)?;
            self.wanted(assignment, &release)
        };
        let (wanted, unmatched) = self.selected(app, options, wanted);
        let wanted = match operation.farewell {
            Some(phase) => wanted.only_hooks(phase),
            None => wanted,
        };
        let wanted = wanted.named_for(&operation);
        let ranks = self.ranks_of(&wanted);
        let is_due =
            |key: &ResourceKey, one: &Wanted| options.replace || !self.is_in_sync(app, key, one.manifest);
        let rank = |key: &ResourceKey| ranks.get(key).copied().unwrap_or_default();
        let due = wanted.keys.iter().filter(|(key, one)| is_due(key, one));
        let queue: BTreeMap<_, _> = due.map(|(key, _)| ((rank(key), key.clone()), Item::default())).collect();
        let nobody = self.acts_as_nobody(app);
        let plain = assignment.policy.namespace.is_empty();
        let idle = plain && queue.is_empty() && wanted.hooks.is_empty();
        let homeless = assignment.policy.create_namespace && !assignment.destination.namespace.is_empty();
        let sync = !options.dry_run && operation.farewell.is_none();
        let creates = homeless && !idle && sync && nobody.is_none();
        let shared = assignment.policy.fail_on_shared.then(|| self.shared(app, &wanted)).flatten();
        if let Some(state) = self.apps.get_mut(app) {
            // What is tried anew is still not right; the rest has come right by itself.
            state.problems.retain(|key, _| queue.keys().any(|(_, of)| of == key));
        }
        // Whatever needs no answer is told before the namespace is made.
        let refused =
            if creates { self.refused_of(app, queue.keys().map(|(_, key)| key)) } else { BTreeMap::new() };
        let mut work = Work {
            wanted,
            ranks,
            queue,
            hopeless: unmatched.is_some(),
            namespace: creates.then_some(NamespaceStep::Due(now.ms())),
            ..Work::default()
        };
        if !refused.is_empty() {
            work.refuse_at_once(refused);
        }
        if let Some(state) = self.apps.get_mut(app) {
            state.work = Some(work);
        }
        if let Some(refused) = nobody.or(unmatched).or(shared) {
            self.refuse(app, refused);
        }
        self.judge.insert(app.clone());
        Ok(())
    }

    /// Says which objects of a sync another app has (`FailOnSharedResource=true`).
    fn shared(&self, app: &AppId, wanted: &WantedSet) -> Option<String> {
        let others = wanted.keys.keys().filter_map(|key| {
            let owner = self.owner(key).filter(|owner| owner != app && self.has(owner, key))?;
            Some(format!("{key} is owned by app {owner}"))
        });
        let shared: Vec<String> = others.take(10).collect();
        (!shared.is_empty()).then(|| format!("Shared resource found: {}", shared.join("; ")))
    }

    /// Carries an operation on as far as it goes now.
    fn step(&mut self, app: &AppId, now: Now) {
        let blocked = self.is_blocked(app, now);
        if self.end_if_asked(app, now) || self.restart_at_newest(app, now) || blocked {
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
                if self.has_room(Use::Sync) {
                    self.ensure_namespace(app);
                }
                return;
            }
            Some(NamespaceStep::Due(_) | NamespaceStep::Sent) => return,
            None => {}
        }
        if work.refused.is_some() {
            self.finish_operation(app, now);
            return;
        }
        if work.prunes.is_none() {
            if self.judge.contains(app) {
                return;
            }
            self.place_hooks(app);
            self.place_deletes(app);
        }
        if !self.try_out(app, now) {
            return;
        }
        if self.apps.get(app).and_then(|state| state.work.as_ref()).is_some_and(|work| work.refused.is_some())
        {
            self.finish_operation(app, now);
            return;
        }
        if self.rehearse(app, now) {
            return;
        }
        if self.has_deletes_under_way(app) {
            self.waits_for_deletes(app, now);
            return;
        }
        let Some(work) = self.apps.get(app).and_then(|state| state.work.as_ref()) else { return };
        let Some(rank) = work.rank_now().filter(|_| work.unhealthy.is_none() || work.failing) else {
            self.end_step(app, now);
            return;
        };
        // What is beyond has to wait for a slot, or for another round; what was applied waits for none.
        let mut room = AT_ONCE;
        let mut is_due = |item: &Item| {
            let due = item.establishing.is_none() && item.due <= now.ms() && room > 0;
            room = room.saturating_sub(usize::from(due));
            due || item.establishing.is_some()
        };
        let items = work.queue.iter().take_while(|((of, _), _)| *of == rank);
        let items = items.filter(|((_, key), item)| !self.busy.contains(key) && is_due(item));
        let keys: Vec<ResourceKey> = items.map(|((_, key), _)| key.clone()).collect();
        for key in keys {
            if !self.has_room_for(app) {
                if !self.has_room(Use::Sync) {
                    self.first_served.get_or_insert_with(|| app.clone());
                }
                return;
            }
            self.step_item(app, &key, now);
        }
    }

    /// An automated operation that failed or cannot reach the API server goes on with the newest release (M20).
    fn restart_at_newest(&mut self, app: &AppId, now: Now) -> bool {
        let Some(state) = self.apps.get(app) else { return false };
        let (Some(operation), Some(work), Some(assigned)) = (&state.operation, &state.work, &state.assigned)
        else {
            return false;
        };
        let stuck = || {
            self.is_stuck(work, now.ms())
                || (work.rank_now().is_none()
                    && self.has_deletes_under_way(app)
                    && self.deletes_are_stuck(app, now))
        };
        // What tells attempts apart costs the most.
        if operation.farewell.is_some()
            || operation.command.is_some()
            || !stuck()
            || attempt_of(assigned) == operation.attempt
        {
            return false;
        }
        self.drop_operation(app);
        self.moved = true;
        self.dirty.insert(app.clone());
        true
    }

    /// Tells whether an operation has nothing under way and waits for a retry, the API server, the health of a wave or an
    /// object that does not go, or for a window to open: another one may take its place.
    pub(super) fn is_stuck(&self, work: &Work, now_ms: u64) -> bool {
        let rank = work.rank_now();
        let mut first = work.queue.iter().take_while(|((of, _), _)| Some(*of) == rank).map(|(_, item)| item);
        let waits = |item: &Item| (item.attempts > 0 || item.waited) && item.due > now_ms;
        let stuck = work.blocked
            || work.retry_at.is_some()
            || work.gate.is_some()
            || work.is_trial_stuck(now_ms)
            || (rank.is_some() && first.all(waits));
        stuck
            && work.running.is_empty()
            && !work.is_sweeping()
            && !work.queue.keys().any(|(_, key)| self.busy.contains(key))
    }

    fn ensure_namespace(&mut self, app: &AppId) {
        let Some(operation) = self.apps.get(app).and_then(|state| state.operation.as_ref()) else { return };
        let name = operation.assignment.destination.namespace.clone();
        let request = self.namespace_request(&operation.assignment);
        let refused = self.refuses_marks(&operation.assignment);
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        if let Some(why) = refused {
            work.namespace = None;
            self.refuse(app, format!("managedNamespaceMetadata of namespace {name}: {why}"));
            return;
        }
        work.namespace = Some(NamespaceStep::Sent);
        // Not the key of a Namespace that an app may manage: this one belongs to nobody (M19).
        let key = ResourceKey::new("argosy.dev", "DestinationNamespace", app.to_string(), name);
        self.send(key, Purpose::Namespace { app: app.clone() }, request);
    }
}

/// Gives when an app whose sync lost objects again is synced anew.
fn remake_at_ms(last: &Attempt, now: Now) -> u64 {
    let finished = last.finished;
    if finished.boot == now.mono.boot { finished.elapsed_ms.saturating_add(REMAKE_MS) } else { now.ms() }
}
