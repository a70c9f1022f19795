//! The fleet at a simulated hub: reads, renderings, decisions, and what they publish.

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::desired::Phase;
use argosy_core::fleet::{FleetRead, Inputs, Rendering};
use argosy_core::ids::{AppId, ClusterId, DeletionId};
use argosy_core::session::hub::Published;
use argosy_core::session::tables::{self, put_manifest, put_release};
use argosy_core::store::{StoreOp, StoreRead as _};

use super::super::broken::{Broken, broken_read};
use super::super::git::cluster_name;
use super::super::keys::cluster_id;
use super::super::schedule::Event;
use super::super::skew::widened;
use super::super::world::World;
use super::POLL_MS;

impl World {
    pub(in crate::simulation) fn hub_polls(&mut self, life: u64) {
        let Some(process) = self.hub.process.as_mut().filter(|process| process.life == life) else { return };
        let head = self.git.head();
        let mut changed = process.read.is_none();
        for (repository, away) in self.git.away_until.iter().enumerate() {
            if *away > self.now {
                if repository == 0 && self.broken == Some(Broken::UnreadIsEmpty) {
                    process.read = Some(FleetRead { complete: true, ..FleetRead::default() });
                    changed = true;
                }
                continue;
            }
            if repository == 0 && (process.read.is_none() || process.at.fleet != head) {
                process.read = Some(self.git.fleet(head));
                process.at.fleet = head;
                changed = true;
            }
            if repository == 0 && process.read.is_some() && !changed && !process.grove {
                process.grove = true;
                changed = true;
            }
            if let Some(at) = process.at.repositories.get_mut(repository).filter(|at| **at != Some(head)) {
                *at = Some(head);
                changed = true;
            }
        }
        process.read = process.read.take().map(|read| broken_read(self.broken, read));
        if changed && process.read.is_some() {
            let at = process.at;
            self.oracle.read(at);
            note!(self, "hub reads {at:?}");
            self.decide();
        }
        self.collect_releases();
        let delay = self.chance.shells.between(POLL_MS / 2, POLL_MS);
        self.queue.at(self.now + delay, Event::HubPoll { life });
    }

    fn renderings(&self) -> (BTreeMap<AppId, Rendering>, Vec<StoreOp>) {
        let mut renderings = BTreeMap::new();
        let mut ops = Vec::new();
        let Some(process) = &self.hub.process else { return (renderings, ops) };
        let documents = process.read.iter().flat_map(|read| read.apps.iter());
        for (app, document) in documents {
            if document.application.is_err() {
                continue;
            }
            let Some(source) = self.git.app(process.at.fleet, app) else { continue };
            let Some(commit) = process.at.of(source.repository) else {
                let pending = Rendering::Pending("its repository was not read yet".to_owned());
                renderings.insert(app.clone(), self.break_rendering(pending, &mut ops));
                continue;
            };
            // An older commit comes back, now and then.
            let old = self.broken == Some(Broken::OldRelease) && commit % 3 == 2;
            let commit = if old { commit - 1 } else { commit };
            let rendering = match self.git.directory(commit, app, source.repository) {
                None => Rendering::Failed("no such directory".to_owned()),
                Some(directory) if !directory.renders => Rendering::Failed("a.yaml: line 1".to_owned()),
                Some(directory) => {
                    let release = directory.release();
                    if !tables::has_release(&self.hub.store, release.root()).unwrap_or_default() {
                        ops.extend(directory.manifests().map(|manifest| put_manifest(&manifest)));
                        ops.push(put_release(&release));
                    }
                    let commit = format!("commit-{commit}");
                    Rendering::Rendered { root: release.root(), commit, warnings: Vec::new() }
                }
            };
            renderings.insert(app.clone(), self.break_rendering(rendering, &mut ops));
        }
        (renderings, ops)
    }

    /// Deletions that agents report as done.
    fn emptied(&self) -> BTreeSet<(ClusterId, AppId, DeletionId)> {
        let Some(process) = &self.hub.process else { return BTreeSet::new() };
        let mut emptied = BTreeSet::new();
        for agent in 0..self.plan.agents {
            for app in process.reported(agent) {
                let deletion = process.status(agent, &app).and_then(|status| status.emptied);
                emptied.extend(deletion.map(|deletion| (cluster_id(agent), app.clone(), deletion)));
            }
        }
        emptied
    }

    /// Releases that agents have acknowledged.
    fn released(&self) -> BTreeSet<(ClusterId, AppId)> {
        let links = self.hub.process.iter().flat_map(|process| process.links.iter());
        links
            .flat_map(|link| {
                let list = link.acknowledged_list().into_iter().flat_map(|list| list.elements().iter());
                list.filter(|(_, element)| element.assignment.phase == Phase::Released)
                    .map(|(app, _)| (link.cluster(), app.clone()))
            })
            .collect()
    }

    pub(super) fn has_news(&self) -> bool {
        let Some(process) = &self.hub.process else { return false };
        process.fleet.placements().iter().any(|((cluster, app), placement)| {
            let assignment = &placement.assignment;
            if assignment.phase != Phase::Released && assignment.deletion.is_none() {
                return false;
            }
            let Some(agent) = process.links.iter().position(|link| link.cluster() == *cluster) else {
                return false;
            };
            let acknowledged = process.links.get(agent).and_then(|link| link.acknowledged_list());
            let released = acknowledged
                .and_then(|list| list.get(app))
                .is_some_and(|known| known.phase == Phase::Released);
            let emptied = || process.status(agent, app).and_then(|status| status.emptied);
            (assignment.phase == Phase::Released && released)
                || (assignment.deletion.is_some() && emptied() == assignment.deletion)
        })
    }

    /// Decides, commits and publishes.
    pub(in crate::simulation) fn decide(&mut self) {
        let (renderings, ops) = self.renderings();
        if self.hub_dies() || self.hub_is_full() {
            return;
        }
        self.hub.store.commit(&ops);
        let (emptied, released) = (self.emptied(), self.released());
        let clusters: BTreeMap<String, ClusterId> =
            (0..self.plan.agents).map(|agent| (cluster_name(agent), cluster_id(agent))).collect();
        let grown = match self.grown(&renderings) {
            Ok(grown) => grown,
            Err(error) => {
                self.oracle.violate("I7", format!("what apps bring is not read: {error}"));
                return;
            }
        };
        let Some(process) = &mut self.hub.process else { return };
        let (read, brought) = match grown {
            Some(grown) => (Some(grown.read), grown.ops),
            None => (process.read.clone(), Vec::new()),
        };
        let inputs = Inputs {
            read: read.as_ref(),
            renderings: &renderings,
            clusters: &clusters,
            emptied: &emptied,
            released: &released,
            confirmed_loss: process.confirmed_loss,
        };
        let decision = match process.fleet.decide(inputs, &self.hub.store, &mut process.entropy) {
            Ok(decision) => decision,
            Err(error) => {
                self.oracle.violate("I7", format!("the hub does not decide: {error}"));
                return;
            }
        };
        let ops: Vec<StoreOp> = brought.into_iter().chain(decision.ops.iter().cloned()).collect();
        process.decision = decision;
        if self.hub_dies() || self.hub_is_full() {
            return;
        }
        self.hub.store.commit(&ops);
        self.publish();
        self.collect_releases();
    }

    pub(super) fn publish(&mut self) {
        for agent in 0..self.plan.agents {
            if self.hub_dies() {
                return;
            }
            let Some(process) = &self.hub.process else { return };
            let settled = process.settled();
            if self.broken == Some(Broken::PoisonSpreads) && !process.decision.failing.is_empty() {
                return;
            }
            let whose = if self.broken == Some(Broken::ListOfAnother) {
                (agent + 1) % self.plan.agents
            } else {
                agent
            };
            let mut list = self.break_list(process.fleet.list(cluster_id(whose)));
            if self.hub.newer {
                match widened(&list) {
                    Some(wide) => list = wide,
                    None => self.oracle.violate("I20", "a list of a newer hub is not read".to_owned()),
                }
            }
            let Some(process) = &self.hub.process else { return };
            let published = Published { list, fresh: process.decision.fresh.clone(), settled };
            self.with_link(agent, |link, context| link.publish(published, context));
        }
    }

    /// Drops the releases that nothing names.
    fn collect_releases(&mut self) {
        if self.is(Broken::HubKeepsAll) {
            return;
        }
        let Some(process) = &self.hub.process else { return };
        let pinned = process.pinned();
        let Ok(keys) = self.hub.store.keys(tables::RELEASES) else { return };
        let dropped: Vec<StoreOp> = keys
            .into_iter()
            .filter(|key| !pinned.iter().any(|root| root.0.as_bytes().as_slice() == key.as_slice()))
            .map(|key| StoreOp::delete(tables::RELEASES, key))
            .collect();
        self.hub.store.commit(&dropped);
    }
}
