//! Why an object is as it is: from the release over the wave and its gate to what the API server or another writer says.
//!
//! It reads what the control loop goes by, and asks nobody: an answer costs no request.

use minicbor::{Decode, Encode};

use super::Reconciler;
use super::heal::Drift;
use super::state::{App, Live, Work};
use crate::cluster::Tracking;
use crate::desired::Phase;
use crate::health::Verdict;
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::order::Step;
use crate::status::{ResultCode, cut};
use crate::time::Now;

/// A link of the chain from a commit to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum WhyLink {
    /// The release that the app is synced to.
    #[n(0)]
    Release,
    /// Who has the object.
    #[n(1)]
    Owner,
    /// When a sync applies it.
    #[n(2)]
    Wave,
    /// What a sync waits for.
    #[n(3)]
    Gate,
    /// What may be written.
    #[n(4)]
    Permission,
    /// What the API server said.
    #[n(5)]
    Api,
    /// What is there.
    #[n(6)]
    Live,
    /// Who else writes it.
    #[n(7)]
    Fields,
    /// What its health rule says.
    #[n(8)]
    Health,
    /// Whether it goes.
    #[n(9)]
    Delete,
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum WhyState {
    /// As it should be.
    #[n(0)]
    Fine,
    /// Under way, or waiting.
    #[n(1)]
    Waits,
    /// It ends here.
    #[n(2)]
    Stops,
}

/// One link of the chain, in words.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WhyLine {
    /// Which link.
    #[n(0)]
    pub link: WhyLink,
    /// How it is.
    #[n(1)]
    pub state: WhyState,
    /// For people.
    #[n(2)]
    pub message: String,
}

/// The lines of an answer.
struct Lines(Vec<WhyLine>);

// === impl Lines ===

impl Lines {
    fn add(&mut self, link: WhyLink, state: WhyState, message: impl Into<String>) {
        let mut message = message.into();
        cut(&mut message);
        self.0.push(WhyLine { link, state, message });
    }
}

impl Reconciler {
    /// Says why an object of an app is as it is.
    pub fn why(&self, app: &AppId, key: &ResourceKey, now: Now) -> Vec<WhyLine> {
        let mut lines = Lines(Vec::new());
        let Some(state) = self.apps.get(app).filter(|state| state.listed.is_some()) else {
            lines.add(WhyLink::Release, WhyState::Stops, format!("app {app} is not on this cluster"));
            return lines.0;
        };
        self.why_release(app, state, key, &mut lines);
        self.why_owner(app, key, &mut lines);
        if let Some(work) = &state.work {
            why_step(state, work, key, &mut lines);
        } else if state.operation.is_some() {
            let waits = self.unseen_kinds(app);
            lines.add(WhyLink::Gate, WhyState::Waits, format!("the sync has not begun to work: {waits}"));
        }
        self.why_permission(app, key, &mut lines);
        why_api(state, key, &mut lines);
        self.why_live(key, &mut lines);
        if let Some(fight) = self.fight_message(key, now.ms()) {
            lines.add(WhyLink::Fields, WhyState::Waits, fight);
        }
        self.why_delete(app, state, key, &mut lines);
        lines.0
    }

    fn why_release(&self, app: &AppId, state: &App, key: &ResourceKey, lines: &mut Lines) {
        let mut add = |state, message: String| lines.add(WhyLink::Release, state, message);
        let phase = self.phase_of(app);
        if phase != Phase::Active {
            add(WhyState::Stops, format!("the app is {phase:?}: nothing new is applied"));
        }
        let Some(assigned) = &state.assigned else {
            add(WhyState::Waits, "its release is on its way, and none before it is complete".to_owned());
            return;
        };
        if let Some(condition) = state.left_condition() {
            add(WhyState::Stops, condition.message);
        }
        let root = assigned.root.0.short();
        let newest = state.newest.as_ref().map(|newest| newest.root);
        if newest != state.listed.as_ref().map(|listed| listed.root) {
            add(WhyState::Waits, "a newer release is on its way to the cluster".to_owned());
        }
        let manual = state.listed.as_ref().is_some_and(|listed| listed.policy.automated.is_none());
        let manifest = state.wanted.manifest(key);
        let applied = self.inventory.get(key).and_then(|entry| entry.applied.as_ref());
        match (manifest, applied) {
            (None, _) if state.wanted.skipped.contains(key) => {
                add(
                    WhyState::Fine,
                    format!("release {root} has it, and its annotations say to leave it alone"),
                );
            }
            (None, _) => add(WhyState::Stops, format!("release {root} does not have it")),
            (Some(_), _) if state.wanted.hooks.contains_key(key) => {
                add(
                    WhyState::Fine,
                    format!("release {root} has it as a hook: it is there only while a sync runs it"),
                );
            }
            (Some(manifest), Some(body)) if body.manifest == manifest => {
                add(WhyState::Fine, format!("release {root} has it, and it was applied"));
            }
            (Some(_), _) if state.operation.is_some() => {
                add(WhyState::Waits, format!("release {root} has it, and a sync is under way"));
            }
            (Some(_), _) if manual => {
                add(WhyState::Stops, format!("release {root} has it, and the app is synced only when asked"));
            }
            (Some(_), _) => add(WhyState::Waits, format!("release {root} has it, and it was not applied")),
        }
    }

    fn why_owner(&self, app: &AppId, key: &ResourceKey, lines: &mut Lines) {
        match self.owner(key) {
            Some(owner) if owner == *app => {}
            Some(owner) => {
                let message = format!("app {owner} has it, and it alone writes it");
                lines.add(WhyLink::Owner, WhyState::Stops, message);
            }
            None => {}
        }
        if let Some(Live::Present(live)) = self.live.get(key)
            && let Tracking::Other(tool) = &live.tracking
            && !key.is_part()
        {
            let listed = self.apps.get(app).and_then(|state| state.listed.as_ref());
            let taken = listed.is_some_and(|of| of.policy.take_over.iter().any(|of| of.tracks(tool)));
            if taken {
                let message = format!("tracked by {tool}: the next apply takes it over");
                lines.add(WhyLink::Owner, WhyState::Waits, message);
            } else {
                lines.add(
                    WhyLink::Owner,
                    WhyState::Stops,
                    format!("tracked by {tool}: it is not taken over"),
                );
            }
        }
    }

    fn why_permission(&self, app: &AppId, key: &ResourceKey, lines: &mut Lines) {
        let mut stops = |message: String| lines.add(WhyLink::Permission, WhyState::Stops, message);
        if let Some(paused) = &self.paused {
            stops(paused.clone());
        }
        if let Some(read_only) = &self.read_only {
            stops(format!("this agent only reads: {read_only}"));
        }
        if let Err(denied) = self.permits(app, key) {
            stops(denied);
        }
        let kind = key.group_kind();
        if self.discovered && !self.kinds.contains_key(&kind) {
            stops(format!("the API server does not serve the kind {kind}"));
        }
        let (watch, what) = if key.is_part() {
            (self.parts.state(key), "its object")
        } else {
            (self.watches.get(&kind), "its kind")
        };
        if let Some(error) = watch.and_then(|watch| watch.broken.as_ref()) {
            stops(format!("{what} cannot be watched: {error}"));
        }
    }

    fn why_live(&self, key: &ResourceKey, lines: &mut Lines) {
        let entry = self.inventory.get(key);
        match self.live.get(key) {
            None => lines.add(WhyLink::Live, WhyState::Waits, "it was not seen since the agent started"),
            Some(Live::Absent) if entry.is_some_and(|entry| entry.done) => {
                lines.add(WhyLink::Live, WhyState::Fine, "it completed and is gone");
            }
            Some(Live::Absent) if key.is_part() => {
                lines.add(
                    WhyLink::Live,
                    WhyState::Waits,
                    "its object is not there, and a part never makes it",
                );
            }
            Some(Live::Absent) => lines.add(WhyLink::Live, WhyState::Stops, "it is not there"),
            Some(Live::Present(live)) if live.deleting => {
                lines.add(WhyLink::Live, WhyState::Waits, "it is on its way out; its finalizers keep it");
            }
            Some(Live::Present(live)) => {
                lines.add(WhyLink::Live, WhyState::Fine, "it is there");
                let who = live.last_writer.as_deref().unwrap_or("another writer");
                if entry.is_some() && self.drift(key) == Drift::Changed {
                    let message = format!("{who} changed or took fields that were applied");
                    lines.add(WhyLink::Fields, WhyState::Stops, message);
                }
                if live.lagging {
                    let message = "its controller has not seen what was applied yet";
                    lines.add(WhyLink::Health, WhyState::Waits, message);
                }
                if let Some(Verdict { health, message, .. }) = &live.health {
                    let is = if *health == crate::health::Health::Healthy {
                        WhyState::Fine
                    } else {
                        WhyState::Waits
                    };
                    let said = if message.is_empty() { String::new() } else { format!(": {message}") };
                    lines.add(WhyLink::Health, is, format!("{}{said}", health.as_str()));
                }
            }
        }
        if let Some(changed) = entry.map(|entry| &entry.changed).filter(|changed| !changed.is_empty()) {
            let message = format!("admission or the API server changes {}", changed.join(", "));
            lines.add(WhyLink::Fields, WhyState::Fine, message);
        }
    }

    fn why_delete(&self, app: &AppId, state: &App, key: &ResourceKey, lines: &mut Lines) {
        let Some(entry) = self.inventory.get(key).filter(|entry| entry.belongs_to(app)) else { return };
        let leaving = state.listed.as_ref().is_some_and(|listed| listed.phase == Phase::Deleting);
        if state.wanted.manifest(key).is_some() && !leaving {
            return;
        }
        let held = state.held.as_ref().filter(|held| held.deletes.iter().any(|delete| delete.key == *key));
        let (is, message) = if let Some(held) = held {
            (WhyState::Stops, format!("its delete is held: {}", held.reason))
        } else if entry.kept {
            (WhyState::Fine, "it is kept: never deleted".to_owned())
        } else if entry.prune_refused && !leaving {
            (WhyState::Fine, "its annotations say Prune=false".to_owned())
        } else if entry.going {
            (WhyState::Waits, "its delete was accepted".to_owned())
        } else if let Some(why) = state.listed.as_ref().and_then(|listed| self.refuses_delete(listed, key)) {
            (WhyState::Stops, why)
        } else if let Some(waits) = self.waits_for_later_waves(app, key) {
            (WhyState::Waits, waits)
        } else if self.delete_queue.get(app).is_some_and(|queue| queue.contains_key(key)) {
            (WhyState::Waits, "its delete is due".to_owned())
        } else if entry.recovered {
            (WhyState::Stops, "it was found by its tracking, and is not deleted unasked".to_owned())
        } else if leaving {
            (WhyState::Waits, "it goes with its app".to_owned())
        } else {
            (WhyState::Stops, "nothing deletes it: the app does not prune by itself".to_owned())
        };
        lines.add(WhyLink::Delete, is, message);
    }
}

/// Says when the running sync applies it, and what that waits for.
fn why_step(state: &App, work: &Work, key: &ResourceKey, lines: &mut Lines) {
    let named = |step: Step| format!("{} wave {}", step.phase.as_str(), step.wave);
    let step = work.ranks.get(key).map(|rank| rank.step);
    let step = step.or_else(|| work.prunes.as_ref().and_then(|prunes| prunes.get(key)).copied());
    if let Some(step) = step {
        let (is, word) = match step.cmp(&work.at) {
            std::cmp::Ordering::Less => (WhyState::Fine, "is done"),
            std::cmp::Ordering::Equal => (WhyState::Fine, "is under way"),
            std::cmp::Ordering::Greater => (WhyState::Waits, "has not come yet"),
        };
        let now = named(work.at);
        lines.add(WhyLink::Wave, is, format!("its step, {}, {word}; the sync is at {now}", named(step)));
    }
    if !work.waiting.is_empty() {
        lines.add(WhyLink::Gate, WhyState::Waits, work.waiting.clone());
    }
    if let Some(unhealthy) = &work.unhealthy {
        lines.add(WhyLink::Gate, WhyState::Stops, unhealthy.clone());
    }
    if work.retry_at.is_some() {
        let retries = state.operation.as_ref().map_or(0, |operation| operation.retries);
        let message = format!("the sync failed and is tried again: attempt {}", retries.saturating_add(1));
        lines.add(WhyLink::Gate, WhyState::Waits, message);
    }
}

fn why_api(state: &App, key: &ResourceKey, lines: &mut Lines) {
    if let Some(problem) = state.problems.get(key) {
        lines.add(WhyLink::Api, WhyState::Stops, problem.clone());
    }
    let running = state.work.as_ref().map(|work| work.results.as_slice());
    let rows =
        running.or(state.last.as_ref().map(|last| last.newest().results.as_slice())).unwrap_or_default();
    for row in rows.iter().filter(|row| row.key == *key) {
        let is = match row.code {
            ResultCode::Synced | ResultCode::Pruned => WhyState::Fine,
            ResultCode::SyncFailed | ResultCode::PruneSkipped | ResultCode::SharedSkipped => WhyState::Stops,
        };
        if state.problems.get(key) != Some(&row.message) {
            lines.add(WhyLink::Api, is, format!("last sync: {}: {}", row.code.as_str(), row.message));
        }
    }
    let last = state.last.as_ref().filter(|_| running.is_none() && rows.iter().all(|row| row.key != *key));
    if let Some(last) = last {
        lines.add(
            WhyLink::Api,
            WhyState::Fine,
            format!("last sync: {}: {}", last.phase.as_str(), last.message),
        );
    }
}
