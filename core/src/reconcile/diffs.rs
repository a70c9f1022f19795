//! Comparisons that operators ask for: what a sync would change, object by object.
//!
//! An object whose metadata say that it is as it was applied, by what is desired now, costs no request. A comparison
//! writes nothing, lives in memory, and ends with the session that asked for it (M8).

use std::collections::{BTreeMap, BTreeSet};

use super::slots::Use;
use super::{AppliedBody, CommandOutcome, Purpose, Reconciler};
use crate::cluster::{Answer, ApiError, Request};
use crate::compare::{DIFF_LIMIT, DiffReport, Ignored, Manner, ObjectDiff};
use crate::desired::Phase;
use crate::ids::{AppId, CommandId};
use crate::key::ResourceKey;
use crate::release::Root;
use crate::session::frame::CommandState;
use crate::store::encode;

/// Comparisons under way at once.
const DIFFS: usize = 4;
/// Requests of comparisons under way at once: they are the least urgent ones.
const FLIGHTS: usize = 4;
/// How often an object is looked at that changes while it is compared.
const TRIES: u32 = 5;

/// One object of a comparison.
#[derive(Debug, Clone)]
struct Asked {
    /// What is desired.
    body: Option<AppliedBody>,
    ignored: Ignored,
    /// How often it was asked for in vain.
    tries: u32,
}

/// A comparison that somebody waits for.
#[derive(Debug)]
pub(super) struct Diffing {
    app: AppId,
    root: Root,
    /// What is still to be asked for.
    todo: BTreeMap<ResourceKey, Asked>,
    under_way: BTreeMap<ResourceKey, Asked>,
    found: BTreeMap<ResourceKey, ObjectDiff>,
    same: u64,
}

impl Reconciler {
    /// Begins to compare an app's objects with its assigned release, for a command.
    pub fn diff(&mut self, command: CommandId, app: &AppId) {
        match self.begin_diff(app) {
            Ok(diffing) => {
                self.diffs.insert(command, diffing);
            }
            Err(message) => self.finish(command, CommandState::Failed, message),
        }
    }

    fn begin_diff(&self, app: &AppId) -> Result<Diffing, String> {
        let state = self.apps.get(app).filter(|state| state.listed.is_some());
        let state = state.ok_or_else(|| format!("app {app} is not on this cluster"))?;
        let assigned = state.assigned.as_ref();
        let assigned = assigned.ok_or_else(|| "its release is still on its way to the cluster".to_owned())?;
        match self.phase_of(app) {
            Phase::Active | Phase::Frozen => {}
            Phase::Released => return Err(format!("app {app} is released: nothing is desired of it")),
            Phase::Deleting => return Err(format!("app {app} is being deleted: nothing is desired of it")),
        }
        if !self.discovered {
            return Err("the agent has not reached its API server yet".to_owned());
        }
        if self.diffs.len() >= DIFFS {
            return Err(format!("{DIFFS} comparisons are under way, and no more at a time; try again"));
        }
        let mut diffing = Diffing {
            app: app.clone(),
            root: assigned.root,
            todo: BTreeMap::new(),
            under_way: BTreeMap::new(),
            found: BTreeMap::new(),
            same: 0,
        };
        let desired = state.wanted.keys.iter().map(|(key, wanted)| (key, Some(wanted.manifest)));
        let left = self.left_over(app, state).map(|key| (key, None));
        for (key, manifest) in desired.chain(left) {
            if manifest.is_some_and(|manifest| self.is_in_sync(app, key, manifest)) {
                diffing.same = diffing.same.saturating_add(1);
            } else if let Err(reason) = self.permits(app, key) {
                // What a project does not permit to touch it does not permit to see.
                diffing.found.insert(key.clone(), ObjectDiff::unknown(key.clone(), reason));
            } else {
                let body = manifest.map(|manifest| AppliedBody { manifest, app: app.clone() });
                let ignored = state.wanted.keys.get(key).and_then(|wanted| wanted.ignored.as_deref());
                let ignored = ignored.cloned().unwrap_or_default();
                diffing.todo.insert(key.clone(), Asked { body, ignored, tries: 0 });
            }
        }
        Ok(diffing)
    }

    /// Forgets a comparison that nobody waits for any more.
    pub fn forget_diff(&mut self, command: CommandId) {
        self.diffs.remove(&command);
    }

    /// Asks for what is still to be compared, and tells of comparisons that are complete.
    pub(super) fn run_diffs(&mut self) {
        let commands: BTreeSet<CommandId> = self.diffs.keys().copied().collect();
        for command in commands {
            while let Some((key, request)) = self.next_comparison(command) {
                self.send(key, Purpose::Compare { command }, request);
            }
            let complete = |diffing: &Diffing| diffing.todo.is_empty() && diffing.under_way.is_empty();
            if self.diffs.get(&command).is_some_and(complete)
                && let Some(diffing) = self.diffs.remove(&command)
            {
                let report = diffing.report();
                let payload = encode(&report.bounded(DIFF_LIMIT));
                let (state, message) = (CommandState::Succeeded, String::new());
                self.out.outcomes.push(CommandOutcome { id: command, state, message, payload });
            }
        }
    }

    /// Takes the next object to be asked for, if one may be.
    fn next_comparison(&mut self, command: CommandId) -> Option<(ResourceKey, Request)> {
        let compares = |purpose: &Purpose| matches!(purpose, Purpose::Compare { .. });
        let under_way = self.flights.values().filter(|flight| compares(&flight.purpose)).count();
        if under_way >= FLIGHTS || !self.has_room(Use::Look) {
            return None;
        }
        let diffing = self.diffs.get_mut(&command)?;
        let key = diffing.todo.keys().find(|key| !self.busy.contains(*key))?.clone();
        let asked = diffing.todo.remove(&key)?;
        let app = diffing.app.clone();
        let desired = asked.body.clone().map(|body| (body.manifest, body.app));
        let manner = Manner { ignored: asked.ignored.clone(), strict: false };
        diffing.under_way.insert(key.clone(), asked);
        let account = self.account(&app);
        Some((key.clone(), Request::Compare { key, desired, manner, account }))
    }

    /// An object was compared, or could not be.
    pub(super) fn compared(
        &mut self,
        command: CommandId,
        key: &ResourceKey,
        answer: Result<Answer, ApiError>,
    ) {
        let Some(diffing) = self.diffs.get_mut(&command) else { return };
        let Some(asked) = diffing.under_way.remove(key) else { return };
        let difference = match answer {
            Ok(Answer::Compared(comparison)) => comparison.difference,
            Ok(
                Answer::Found(_)
                | Answer::Absent
                | Answer::Applied(_)
                | Answer::Tried
                | Answer::Deleted
                | Answer::Namespace { .. },
            ) => Some(ObjectDiff::unknown(key.clone(), "another request was answered".to_owned())),
            // It changed between the two looks.
            Err(ApiError::Conflict(_) | ApiError::Replaced(_)) if asked.tries < TRIES => {
                let tries = asked.tries.saturating_add(1);
                diffing.todo.insert(key.clone(), Asked { tries, ..asked });
                return;
            }
            Err(error) => Some(ObjectDiff::unknown(key.clone(), error.to_string())),
        };
        match difference {
            Some(difference) => {
                diffing.found.insert(key.clone(), difference);
            }
            None => diffing.same = diffing.same.saturating_add(1),
        }
    }
}

// === impl Diffing ===

impl Diffing {
    fn report(self) -> DiffReport {
        let objects = self.found.into_values().collect();
        DiffReport { root: self.root, objects, same: self.same, more: 0 }
    }
}
