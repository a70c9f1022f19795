//! From reads and renderings to lists: decides again whenever an input changed something, and publishes.

use std::collections::{BTreeMap, BTreeSet};

use super::growing::Regrown;
use super::{CONFIRMED_LOSS, Context, Effects, HubMachine, Severity, SourceProblem, Staged, link_context};
use crate::desired::Phase;
use crate::fleet::{Decision, Inputs, Placement};
use crate::ids::{AppId, ClusterId};
use crate::project::normalise_repository;
use crate::registry::REGISTRY_META;
use crate::session::hub::Published;
use crate::status::Condition;
use crate::store::{StoreError, StoreOp};
use crate::time::WallTime;
use crate::word::Word;

impl HubMachine {
    /// Decides and publishes until nothing changes any more, and drops what nothing names.
    pub(super) fn settle(
        &mut self,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        // What publishing leads to may call for one more decision; it never calls for many.
        for _ in 0..8 {
            if !std::mem::take(&mut self.dirty) {
                break;
            }
            self.decide(context, effects)?;
        }
        if self.may_collect && context.now.ms() >= self.collect_at {
            self.collect(context, effects)?;
        }
        Ok(())
    }

    fn decide(&mut self, context: &mut Context<'_>, effects: &mut Effects) -> Result<(), StoreError> {
        let Regrown { renderings, answer: _ } = self.grow(None, context, effects)?;
        let before: BTreeMap<(ClusterId, AppId), Phase> = self.phases();
        let decision = {
            let staged = Staged::new(context.store, &effects.ops);
            let inputs = Inputs {
                read: self.read.as_ref(),
                renderings: &renderings,
                clusters: self.registry.by_name(),
                emptied: &self.emptied,
                released: &self.released,
                confirmed_loss: self.confirmed_loss,
            };
            self.fleet.decide(inputs, &staged, context.entropy)?
        };
        let Decision { ops, changed, mut conditions, fresh, failing, mass_loss } = decision;
        self.tell_pauses(&mut conditions);
        self.tell_families(&mut conditions);
        effects.ops.extend(ops);
        self.tell_phases(&before, context, effects);
        let carried_out = mass_loss.is_none() && !self.loss_waits();
        if carried_out && self.read.is_some() && self.confirmed_loss.take().is_some() {
            effects.ops.push(StoreOp::delete(REGISTRY_META, CONFIRMED_LOSS));
        }
        self.mass_loss = mass_loss;
        self.fresh = fresh;
        self.failing = failing;
        self.take_conditions(conditions, context, effects);
        self.take_fleet_conditions(context.now.wall);
        self.may_collect |= !changed.is_empty();
        self.publish(&changed, context, effects)
    }

    /// Says of every app that somebody paused it.
    fn tell_pauses(&self, conditions: &mut BTreeMap<AppId, Vec<Condition>>) {
        for ((_, app), placement) in self.fleet.placements() {
            let stays = matches!(placement.assignment.phase, Phase::Active | Phase::Frozen);
            if let Some(pause) = placement.paused.as_ref().filter(|_| stays) {
                let message = format!(
                    "{} paused it at {}: it is neither synced nor healed by itself until argosy app resume {app}",
                    pause.by,
                    text_of(pause.since)
                );
                let condition = Condition { kind: "Paused".to_owned(), message };
                conditions.entry(app.clone()).or_default().push(condition);
            }
        }
    }

    /// Tells whether a confirmed loss has not been carried out, because new apps have not rendered yet.
    fn loss_waits(&self) -> bool {
        let Some(read) = &self.read else { return false };
        self.fleet.placements().iter().any(|((_, app), placement)| {
            matches!(placement.assignment.phase, Phase::Active | Phase::Frozen)
                && !read.apps.contains_key(app)
        })
    }

    fn phases(&self) -> BTreeMap<(ClusterId, AppId), Phase> {
        let placements = self.fleet.placements().iter();
        placements.map(|(key, placement)| (key.clone(), placement.assignment.phase)).collect()
    }

    /// Says which apps came, left, or changed what is done with them.
    fn tell_phases(
        &mut self,
        before: &BTreeMap<(ClusterId, AppId), Phase>,
        context: &Context<'_>,
        effects: &mut Effects,
    ) {
        let now = self.phases();
        let mut news: Vec<(ClusterId, AppId, Severity, &'static str, &'static str)> = Vec::new();
        for ((cluster, app), phase) in &now {
            let old = before.get(&(*cluster, app.clone()));
            let said = match phase {
                _ if old == Some(phase) => continue,
                Phase::Active if old.is_none() => (Severity::Info, "Assigned", "assigned to its cluster"),
                Phase::Active => (Severity::Info, "Assigned", "enforced again"),
                Phase::Frozen => (Severity::Warning, "Frozen", "its last good state is kept as it is"),
                Phase::Released => (Severity::Info, "Released", "let go: its objects stay"),
                Phase::Deleting => (Severity::Warning, "Deleting", "its objects are deleted"),
            };
            news.push((*cluster, app.clone(), said.0, said.1, said.2));
        }
        for (cluster, app) in before.keys().filter(|key| !now.contains_key(*key)) {
            news.push((*cluster, app.clone(), Severity::Info, "Left", "has left its cluster"));
        }
        for (cluster, app, severity, reason, message) in news {
            let name = self.registry.name_of(cluster).map(str::to_owned);
            self.tell(severity, reason, message.to_owned(), name, Some(app), context.now, effects);
        }
    }

    /// Keeps what is said of apps, with when it was said first, and tells what is new.
    fn take_conditions(
        &mut self,
        mut said: BTreeMap<AppId, Vec<Condition>>,
        context: &Context<'_>,
        effects: &mut Effects,
    ) {
        for (app, source) in self.sources() {
            if let Some(problem) = self.repository_problems.get(&normalise_repository(&source.repo_url)) {
                let message = self.problem_text(&app, problem);
                said.entry(app).or_default().push(Condition { kind: "ComparisonError".to_owned(), message });
            }
        }
        let mut next: BTreeMap<AppId, BTreeMap<Condition, WallTime>> = BTreeMap::new();
        let mut news = Vec::new();
        for (app, conditions) in said {
            let before = self.conditions.get(&app);
            let kept = next.entry(app.clone()).or_default();
            for condition in conditions {
                let since = before.and_then(|before| before.get(&condition)).copied();
                if since.is_none() {
                    news.push((app.clone(), condition.clone()));
                }
                kept.insert(condition, since.unwrap_or(context.now.wall));
            }
        }
        let well: Vec<AppId> = self
            .conditions
            .iter()
            .filter(|(app, before)| !before.is_empty() && next.get(*app).is_some_and(BTreeMap::is_empty))
            .map(|(app, _)| app.clone())
            .collect();
        self.conditions = next;
        for (app, condition) in news {
            let severity =
                if condition.kind.ends_with("Error") { Severity::Error } else { Severity::Warning };
            let message = format!("{}: {}", condition.kind, condition.message);
            self.tell(severity, "Condition", message, None, Some(app), context.now, effects);
        }
        for app in well {
            let message = "nothing is wrong with it any more".to_owned();
            self.tell(Severity::Info, "Recovered", message, None, Some(app), context.now, effects);
        }
    }

    fn problem_text(&self, app: &AppId, problem: &SourceProblem) -> String {
        let good = self
            .fleet
            .placements_of(app)
            .into_iter()
            .next()
            .and_then(|(_, placement)| placement.commit_of(placement.assignment.root).map(str::to_owned));
        match good {
            Some(commit) => format!("{}; its last good commit {commit} stays", problem.message),
            None => problem.message.clone(),
        }
    }

    /// Gives every link what its cluster should hold now.
    pub(super) fn publish(
        &mut self,
        changed: &BTreeSet<ClusterId>,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let settled = self.settled();
        let told = (self.fresh.clone(), settled.clone());
        let everyone = self.told.as_ref() != Some(&told);
        self.told = Some(told);
        let mut said = Vec::new();
        {
            let staged = Staged::new(context.store, &effects.ops);
            for (cluster, link) in &mut self.links {
                if !everyone && !changed.contains(cluster) {
                    continue;
                }
                let published = Published {
                    list: self.fleet.list(*cluster),
                    fresh: self.fresh.clone(),
                    settled: settled.clone(),
                };
                said.push((*cluster, link.publish(published, &mut link_context(context, &staged))?));
            }
        }
        for (cluster, link) in said {
            self.absorb(cluster, link, context.now, effects);
            self.look_behind(cluster, context.now);
        }
        Ok(())
    }

    /// Gives the placements of a cluster that are on their way out with their objects.
    pub(super) fn deletions_of(
        &self,
        cluster: ClusterId,
    ) -> impl Iterator<Item = ((ClusterId, &AppId), &Placement)> {
        let first = (cluster, AppId { namespace: Word::default(), name: Word::default() });
        self.fleet
            .placements()
            .range(first..)
            .take_while(move |((of, _), _)| *of == cluster)
            .filter(|(_, placement)| placement.assignment.phase == Phase::Deleting)
            .map(|((of, app), placement)| ((*of, app), placement))
    }
}

/// Gives a time for people.
fn text_of(time: WallTime) -> String {
    jiff::Timestamp::from_millisecond(time.0)
        .map_or_else(|_beyond| time.0.to_string(), |at| format!("{at:.0}"))
}
