//! From step to step of a sync: what is deleted and applied in each, and what has to hold before the next.
//!
//! Argo CD: sync waves. The next step begins when all of this one is applied, what it deleted is gone, and every object
//! of it is healthy for the generation that was applied, where its kind has an opinion. The last step waits for nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Reconciler;
use super::hooks::Hooks;
use super::state::{Live, Work};
use crate::health::Health;
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::order::{self, Leaving, Place, Rank, Step, SyncPhase};
use crate::time::{MonoTime, Now};

/// Time between the last write of a step and the first look at its health: controllers that report no generation need it
/// to begin (Argo CD: `ARGOCD_SYNC_WAVE_DELAY`).
const DELAY_MS: u64 = 2_000;

/// How often what no watch shows is looked at.
const UNWATCHED_MS: u64 = 10_000;

/// What stands between a step and the next one.
enum Gate {
    Open,
    Waits(String),
    Failed(String),
}

impl Work {
    /// Gives the rank that is applied now; absent when all of the step is.
    pub(super) fn rank_now(&self) -> Option<Rank> {
        self.queue.keys().next().map(|(rank, _)| *rank).filter(|rank| rank.step <= self.at)
    }

    /// Gives the step after this one.
    fn next_step(&self) -> Option<Step> {
        let waits = self.queue.keys().map(|(rank, _)| rank).chain(self.running.values());
        let applies = waits.chain(self.ranks.values()).map(|rank| rank.step);
        let deletes = self.prunes.iter().filter(|_| !self.failing).flat_map(BTreeMap::values).copied();
        applies.chain(deletes).filter(|step| *step > self.at).min()
    }

    /// Tells whether deletes are due in a later step.
    pub(super) fn has_later_deletes(&self) -> bool {
        self.prunes.iter().flat_map(BTreeMap::values).any(|step| *step > self.at)
    }

    /// Gives the step in which an object is deleted; what nobody expected goes last.
    pub(super) fn prune_step(&self, key: &ResourceKey) -> Option<Step> {
        let prunes = self.prunes.as_ref()?;
        let last = || self.ranks.values().map(|rank| rank.step).chain(prunes.values().copied()).max();
        prunes.get(key).or_else(|| self.going.get(key)).copied().or_else(last).or(Some(self.at))
    }

    /// Gives the places of what is still to be applied of the same object.
    pub(super) fn heirs(&self, key: &ResourceKey) -> impl Iterator<Item = Rank> {
        self.queue.keys().filter(|(_, of)| of.is_of_object(key)).map(|(rank, _)| *rank)
    }
}

impl Reconciler {
    /// Gives the ranks of what an operation applies.
    pub(super) fn ranks_of(&self, wanted: &super::state::WantedSet) -> BTreeMap<ResourceKey, Rank> {
        let objects = wanted.keys.iter().map(|(key, wanted)| {
            let facts = self.facts.get(&wanted.manifest);
            let place = facts.map(|facts| Place {
                wave: facts.wave,
                defines: facts.defines_kind(),
                phase: SyncPhase::Sync,
            });
            (key, place.unwrap_or_default())
        });
        // Hooks pull the namespaces that they live in along, and the definitions of their kinds.
        let hooks = wanted.hooks.iter().filter_map(|(key, wanted)| {
            let wave = self.facts.get(&wanted.manifest).map_or(0, |facts| facts.wave);
            Some((key, Place { wave, defines: None, phase: wanted.hook.phases().next()? }))
        });
        let mut ranks = order::ranks(objects.chain(hooks));
        ranks.retain(|key, _| wanted.keys.contains_key(key));
        ranks
    }

    /// Gives an object's own wave, as it was applied.
    pub(super) fn applied_wave(&self, key: &ResourceKey) -> i32 {
        let applied = self.inventory.get(key).and_then(|entry| entry.applied.as_ref());
        applied.and_then(|body| self.facts.get(&body.manifest)).map_or(0, |facts| facts.wave)
    }

    /// Works out when the deletes of an operation are due, once they are judged: in mirrored waves, or last.
    pub(super) fn place_deletes(&mut self, app: &AppId) {
        let state = self.apps.get(app);
        let all_last = state
            .and_then(|state| state.operation.as_ref())
            .is_some_and(|operation| operation.assignment.policy.prune_last);
        let leaving = |key: &ResourceKey| {
            let applied = self.inventory.get(key).and_then(|entry| entry.applied.as_ref());
            let facts = applied.and_then(|body| self.facts.get(&body.manifest));
            let last = all_last || facts.is_some_and(|facts| facts.prune_last);
            Leaving { wave: self.applied_wave(key), last }
        };
        let running = state.and_then(|state| state.operation.as_ref());
        // What goes with its app goes beside the hooks of that.
        let running = running.filter(|running| running.farewell.is_none());
        let takes = |key: &&ResourceKey| running.is_some_and(|running| running.options.writes(key));
        let queued = self.delete_queue.get(app).into_iter().flat_map(BTreeMap::keys);
        // What was deleted before a restart, or by an earlier try, and is not gone yet is waited for as well.
        let going: BTreeSet<&ResourceKey> =
            self.by_app.get(app).into_iter().flatten().filter(|key| self.is_pruned(app, key)).collect();
        let keys = queued.chain(going.iter().copied()).filter(takes);
        let deletes = keys.map(|key| (key.clone(), leaving(key))).collect();
        let going: BTreeSet<ResourceKey> = going.into_iter().cloned().collect();
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        let applies = work.wanted.keys.keys().filter_map(|key| work.ranks.get(key)).map(|rank| rank.step);
        let mut prunes = order::delete_steps(&deletes, applies);
        for (key, step) in prunes.iter_mut().filter(|(key, _)| key.is_part()) {
            // What another part takes on, or the whole, is never gone in between.
            *step = work.heirs(key).map(|rank| rank.step).chain([*step]).max().unwrap_or(*step);
        }
        work.going = prunes.extract_if(.., |key, _| going.contains(key)).collect();
        let applies = work.ranks.values().chain(work.running.values()).map(|rank| rank.step);
        let first = applies.chain(prunes.values().copied()).chain(work.going.values().copied()).min();
        // One that failed before it was interrupted deletes nothing any more.
        let nowhere = Step { phase: SyncPhase::PreSync, wave: i32::MIN };
        work.at = if work.unhealthy.is_some() { nowhere } else { first.unwrap_or_default() };
        work.prunes = Some(prunes);
    }

    /// Says which sync deletes an object.
    pub(super) fn pruned_by(&self, app: &AppId, key: &ResourceKey) -> Option<MonoTime> {
        let state = self.apps.get(app)?;
        let work = state.work.as_ref()?;
        let placed = work.prunes.as_ref()?.contains_key(key) || work.going.contains_key(key);
        placed.then_some(())?;
        state.operation.as_ref().map(|operation| operation.started)
    }

    /// Tells whether an object was deleted by the sync that runs, or may have been, and is not gone yet. What an earlier one left behind is not
    /// waited for.
    fn is_pruned(&self, app: &AppId, key: &ResourceKey) -> bool {
        let operation = self.apps.get(app).and_then(|state| state.operation.as_ref());
        let entry = self.inventory.get(key).filter(|entry| entry.is_deleted() && entry.belongs_to(app));
        let by = entry.and_then(|entry| entry.pruned_by);
        by.is_some() && by == operation.map(|operation| operation.started)
    }

    /// Ends a step whose objects are applied and deleted: goes on to the next, or ends the operation.
    pub(super) fn end_step(&mut self, app: &AppId, now: Now) {
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        let at = work.at;
        match self.hooks_of(app, at) {
            Hooks::Done => {}
            Hooks::Waits(why) => {
                self.look_at_unwatched(app, now);
                self.waits_for(app, why);
                return;
            }
            Hooks::Failed(why) => self.fails(app, why),
        }
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        if work.failed && self.place_failure_hooks(app) {
            return;
        }
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        let Some(next) = work.next_step().filter(|_| !work.failed || work.failing) else {
            self.finish_operation(app, now);
            return;
        };
        let gate = *work.gate.get_or_insert(if work.touched { now.ms().saturating_add(DELAY_MS) } else { 0 });
        let verdict = self.gate(app, at, next);
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        match verdict {
            Gate::Failed(why) => {
                self.fails(app, why);
                self.moved = true;
            }
            Gate::Open if gate <= now.ms() => {
                work.at = next;
                (work.touched, work.gate) = (false, None);
                work.waiting.clear();
                self.moved = true;
                self.dirty.insert(app.clone());
            }
            Gate::Open => {}
            Gate::Waits(why) => {
                self.look_at_unwatched(app, now);
                self.waits_for(app, why);
            }
        }
    }

    /// Says what an operation waits for.
    fn waits_for(&mut self, app: &AppId, why: String) {
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        if work.waiting != why {
            work.waiting = why;
            self.dirty.insert(app.clone());
        }
    }

    /// An operation fails because of what it made.
    fn fails(&mut self, app: &AppId, why: String) {
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        work.failed = true;
        work.gate = None;
        work.unhealthy.get_or_insert(why);
    }

    /// Looks now and then at what a step waits for and no watch shows.
    fn look_at_unwatched(&mut self, app: &AppId, now: Now) {
        let Some(work) = self.apps.get(app).and_then(|state| state.work.as_ref()) else { return };
        let step = work.ranks.iter().filter(|(_, rank)| rank.step == work.at).map(|(key, _)| key);
        let unwatched: Vec<ResourceKey> = step
            .chain(work.running.keys())
            .filter(|key| self.is_hidden(key) && self.inventory.contains_key(*key))
            .cloned()
            .collect();
        for key in unwatched {
            self.verify_queue.entry(key).or_insert(now.ms().saturating_add(UNWATCHED_MS));
        }
    }

    /// Tells whether all of a step is there as it is to be, for the generation that was applied.
    fn gate(&self, app: &AppId, step: Step, next: Step) -> Gate {
        let Some(work) = self.apps.get(app).and_then(|state| state.work.as_ref()) else { return Gate::Open };
        let pruned = work.prunes.iter().flatten().chain(&work.going).filter(|(_, of)| **of < next);
        let going: Vec<&ResourceKey> = pruned
            .map(|(key, _)| key)
            .filter(|key| {
                self.inventory.get(*key).is_some_and(|entry| entry.is_deleted() && entry.belongs_to(app))
            })
            .collect();
        if let Some(message) = named("waiting for deletion of", "resource", &going) {
            return Gate::Waits(message);
        }
        let mut waits = Vec::new();
        let objects =
            work.ranks.iter().filter(|(key, rank)| rank.step == step && work.wanted.keys.contains_key(*key));
        for (key, _) in objects {
            // A part has no health, and waits for its object without an end.
            if key.is_part() || self.owner(key).as_ref() != Some(app) {
                continue;
            }
            let entry = self.inventory.get(key);
            match self.live.get(key) {
                Some(Live::Absent) if entry.is_some_and(|entry| entry.done) => {}
                Some(Live::Absent) => {
                    return Gate::Failed(format!("{} is missing, it might have been deleted", name(key)));
                }
                Some(Live::Present(live)) => {
                    let seen = entry.is_none_or(|entry| live.resource_version >= entry.resource_version);
                    let health = live.health.as_ref().filter(|verdict| verdict.is_binding());
                    match health.map_or(Health::Healthy, |verdict| verdict.health) {
                        _ if live.deleting || live.lagging || !seen => waits.push(key),
                        Health::Healthy => {}
                        Health::Degraded => {
                            let why = health.map(|verdict| verdict.message.as_str()).unwrap_or_default();
                            return Gate::Failed(format!("{} is Degraded: {why}", name(key)));
                        }
                        Health::Suspended | Health::Progressing | Health::Missing | Health::Unknown => {
                            waits.push(key);
                        }
                    }
                }
                None => waits.push(key),
            }
        }
        named("waiting for healthy state of", "resource", &waits).map_or(Gate::Open, Gate::Waits)
    }
}

/// Names an object as Argo CD's messages do.
pub(super) fn name(key: &ResourceKey) -> String {
    format!("{}/{}/{}", key.group, key.kind, key.name)
}

/// Names the first of several objects; `None` if there are none.
pub(super) fn named(what: &str, noun: &str, keys: &[&ResourceKey]) -> Option<String> {
    let (first, rest) = keys.split_first()?;
    let first = name(first);
    Some(match rest.len() {
        0 => format!("{what} {first}"),
        1 => format!("{what} {first} and 1 more {noun}"),
        more => format!("{what} {first} and {more} more {noun}s"),
    })
}
