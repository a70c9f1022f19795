//! What the hub's sources say: the fleet's documents, the apps' renderings, and what is wrong with either.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, Effects, HubMachine, RenderedApp, Severity, Shown, SourceProblem, Staged};
use crate::fleet::{FleetRead, Rendering};
use crate::ids::AppId;
use crate::session::tables::has_release;
use crate::status::Condition;
use crate::store::{StoreError, StoreOp};
use crate::time::WallTime;

/// Most words of what keeps the hub from being settled.
const OBSTACLES: usize = 10;
/// Most conditions of the fleet that are shown.
const CONDITIONS: usize = 100;

/// Type of the condition that the fleet's source cannot be read.
const UNREADABLE: &str = "FleetUnreadable";
/// Type of the condition that the newest read takes nothing away.
const INCOMPLETE: &str = "FleetIncomplete";
/// Type of the condition that a file, or a document of it, is refused.
const DOCUMENT: &str = "FleetDocument";
/// Type of the condition that a document is of a kind of Argo CD's that is not known here.
const UNSUPPORTED: &str = "UnsupportedKind";
/// Type of the condition that most apps are gone at once (M6).
const LOSS: &str = "DeletesHeld";

const INCOMPLETE_TEXT: &str = "the fleet's folder is being written to, or lacks what was there before: nothing is let \
                               go or deleted until two looks at it agree";

impl HubMachine {
    /// Gives what is wrong with the fleet as a whole, and since when.
    pub fn fleet_conditions(&self) -> Vec<Shown> {
        let shown = |(condition, since): (&Condition, &WallTime)| Shown {
            condition: condition.clone(),
            since: *since,
        };
        self.fleet_conditions.iter().map(shown).collect()
    }

    /// Notes what is wrong with the fleet, each with when it was said first.
    pub(super) fn take_fleet_conditions(&mut self, now: WallTime) {
        let mut said = BTreeMap::new();
        if let Some(problem) = &self.fleet_problem {
            said.insert(condition(UNREADABLE, unreadable(problem)), problem.since);
        }
        let mut other = Vec::new();
        if let Some(loss) = &self.mass_loss {
            let message = format!(
                "the fleet lost {} apps at once; nothing of them is let go or deleted until it is confirmed: argosy app \
                 confirm APP --plan {}",
                loss.apps.len(),
                loss.plan
            );
            other.push(condition(LOSS, message));
        }
        if let Some(read) = &self.read {
            if !read.complete {
                other.push(condition(INCOMPLETE, INCOMPLETE_TEXT.to_owned()));
            }
            let documents: BTreeSet<Condition> = document_conditions(read).collect();
            let more = documents.len().saturating_sub(CONDITIONS);
            other.extend(documents.into_iter().take(CONDITIONS));
            if more > 0 {
                other.push(condition(DOCUMENT, format!("and {more} more")));
            }
        }
        for condition in other {
            let since = self.fleet_conditions.get(&condition).copied().unwrap_or(now);
            said.insert(condition, since);
        }
        self.fleet_conditions = said;
    }

    pub(super) fn take_read(&mut self, read: FleetRead, context: &Context<'_>, effects: &mut Effects) {
        if self.fleet_problem.take().is_some() {
            self.dirty = true;
            let message = "the fleet's source is read again".to_owned();
            self.tell(Severity::Info, "FleetRead", message, None, None, context.now, effects);
        }
        if self.base.as_ref() == Some(&read) {
            self.dirty |= self.told.is_none();
            return;
        }
        self.base = Some(read);
        self.dirty = true;
        self.may_collect = true;
    }

    pub(super) fn take_fleet_problem(
        &mut self,
        problem: Option<SourceProblem>,
        context: &Context<'_>,
        effects: &mut Effects,
    ) {
        if let Some(problem) = &problem
            && self.fleet_problem.as_ref().map(|before| &before.message) != Some(&problem.message)
        {
            let message = unreadable(problem);
            self.tell(Severity::Error, UNREADABLE, message, None, None, context.now, effects);
        }
        self.fleet_problem = problem;
        self.dirty = true;
    }

    pub(super) fn take_rendered(
        &mut self,
        apps: BTreeMap<AppId, RenderedApp>,
        content: Vec<StoreOp>,
        context: &Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        for op in content {
            let (StoreOp::Put { table, key, .. } | StoreOp::Delete { table, key }) = &op;
            // Content names itself: what is there is the same.
            if matches!(op, StoreOp::Put { .. }) && !context.store.has(table, key)? {
                effects.ops.push(op);
            }
        }
        let sources = self.sources();
        let staged = Staged::new(context.store, &effects.ops);
        for (app, rendered) in apps {
            if sources.get(&app) != Some(&rendered.source) {
                continue;
            }
            // What is not in the store cannot be published: its renderer is asked again.
            if let Rendering::Rendered { root, .. } = &rendered.rendering
                && !has_release(&staged, *root)?
            {
                effects.render_anew = true;
                continue;
            }
            self.rendered.insert(app, rendered);
        }
        self.dirty = true;
        self.may_collect = true;
        Ok(())
    }

    /// Tells whether everything was read and nothing fails; else what is missing.
    pub(super) fn settled(&self) -> Result<(), String> {
        let mut missing = Vec::new();
        match (&self.read, &self.fleet_problem) {
            (None, _) => missing.push("the fleet has not been read since the hub started".to_owned()),
            (Some(_), Some(problem)) => missing.push(format!("the fleet's source: {}", problem.message)),
            (Some(read), None) => {
                missing
                    .extend(read.broken.iter().map(|broken| format!("{}: {}", broken.file, broken.message)));
                missing.extend(refused_projects(read));
                if !read.complete {
                    missing.push(INCOMPLETE_TEXT.to_owned());
                }
            }
        }
        missing.extend(self.repository_problems.values().map(|problem| problem.message.clone()));
        missing.extend(self.failing.iter().map(|app| {
            let why = self.conditions.get(app).and_then(|conditions| conditions.keys().next());
            format!(
                "app {app}: {}",
                why.map_or("its source was not read yet", |condition| &condition.message)
            )
        }));
        if let Some(loss) = &self.mass_loss {
            missing.push(format!("the loss of {} apps is not confirmed", loss.apps.len()));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let more = missing.len().saturating_sub(OBSTACLES);
        missing.truncate(OBSTACLES);
        if more > 0 {
            missing.push(format!("and {more} more"));
        }
        Err(missing.join("; "))
    }
}

/// Gives what is wrong with single documents of the fleet.
pub(super) fn document_conditions(read: &FleetRead) -> impl Iterator<Item = Condition> {
    let broken = read.broken.iter().map(|broken| {
        condition(DOCUMENT, format!("{}: {}; its last good state stays", broken.file, broken.message))
    });
    let refused = refused_projects(read).map(|message| condition(DOCUMENT, message));
    let unknown = read
        .unknown_kinds
        .iter()
        .map(|unknown| condition(UNSUPPORTED, format!("{}: {}", unknown.file, unknown.message)));
    broken.chain(refused).chain(unknown)
}

/// Gives how bad it is, and the reason of the event.
pub(super) fn news_of(condition: &Condition) -> (Severity, &'static str) {
    (if condition.kind == UNSUPPORTED { Severity::Warning } else { Severity::Error }, DOCUMENT)
}

fn refused_projects(read: &FleetRead) -> impl Iterator<Item = String> {
    read.projects.iter().filter_map(|(name, document)| {
        let reason = document.project.as_ref().err()?;
        Some(format!("project {name} is refused: {reason}; its last good state stays"))
    })
}

fn unreadable(problem: &SourceProblem) -> String {
    format!("the fleet's source cannot be read: {}; its last state stays", problem.message)
}

fn condition(kind: &str, message: String) -> Condition {
    Condition { kind: kind.to_owned(), message }
}
