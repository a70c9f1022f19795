//! What must be true once faults have stopped: live equals Git, the hub knows it, and nothing moves any more.

use std::collections::BTreeSet;

use argosy_core::desired::{Assignment, DesiredList, Phase};
use argosy_core::ids::{AppId, Digest};
use argosy_core::key::ResourceKey;
use argosy_core::release::{Release, Root};
use argosy_core::session::tables;
use argosy_core::status::{OperationPhase, SyncStatus};
use argosy_core::store::{StoreRead as _, decode};

use super::git::Source;
use super::keys::cluster_id;
use super::objects;
use super::oracle::live::{self, Mark};
use super::world::World;

impl World {
    /// Tells whether everything is as it should be.
    pub(super) fn is_met(&self) -> bool {
        self.missing(true).is_empty()
    }

    /// Lists what is not as it should be; empty when everything is.
    pub(super) fn unmet(&self) -> Vec<String> {
        self.missing(false)
    }

    fn missing(&self, any: bool) -> Vec<String> {
        let mut unmet = Vec::new();
        let Some(hub) = &self.hub.process else { return vec!["the hub does not run".to_owned()] };
        let head = self.git.head();
        if hub.at.fleet != head || hub.at.repositories.iter().any(|at| *at != Some(head)) {
            unmet.push("the hub has not read the newest commit".to_owned());
        }
        for agent in 0..self.plan.agents {
            if any && !unmet.is_empty() {
                break;
            }
            self.unmet_link(agent, &mut unmet);
            self.unmet_objects(agent, &mut unmet);
            self.unmet_leftovers(agent, &mut unmet);
            self.unmet_bounds(agent, &mut unmet);
        }
        unmet
    }

    fn unmet_link(&self, agent: usize, unmet: &mut Vec<String>) {
        let process = self.agents.get(agent).and_then(|state| state.process.as_ref());
        let (Some(process), Some(hub)) = (process, &self.hub.process) else {
            unmet.push(format!("agent {agent} does not run"));
            return;
        };
        let Some(link) = hub.links.get(agent) else { return };
        if let Some(unknown) = link.unknown_chain() {
            let fails = hub.settled().is_err();
            if !fails {
                unmet.push(format!("agent {agent} is of an unknown chain: {}", unknown.why));
            }
        }
        if !link.is_up_to_date() || !process.machine.link().is_connected() {
            unmet.push(format!("agent {agent} does not hold what it should"));
        }
        let unknown = link.unknown_chain().is_some();
        for (app, progress) in process.machine.link().progress() {
            // What an agent of an unknown chain had not received is at no hub any more, until it is published anew.
            if !progress.complete && !unknown {
                unmet.push(format!("release {} of {app} is not complete at {agent}", progress.root));
            }
        }
        let reported = process.machine.reconciler().statuses();
        for (app, status) in reported {
            if process.machine.link().list().is_none_or(|list| list.get(app).is_none()) {
                continue;
            }
            match hub.status(agent, app) {
                Some(known) if known == *status => {}
                Some(_) => unmet.push(format!("the hub's status of {app} on {agent} is not the newest")),
                None => unmet.push(format!("the hub has no status of {app} on {agent}")),
            }
        }
        for app in hub.reported(agent) {
            if !reported.contains_key(&app) {
                unmet.push(format!("the hub still has a status of {app} on {agent}, which left"));
            }
        }
    }

    /// Every object of an automated app is live as its directory says.
    fn unmet_objects(&self, agent: usize, unmet: &mut Vec<String>) {
        let Some(cluster) = self.clusters.get(agent) else { return };
        let Some(process) = self.agents.get(agent).and_then(|state| state.process.as_ref()) else { return };
        let newest = self.git.apps();
        let on_cluster = newest.clone().filter(|(_, source)| source.cluster == agent);
        let closed = self.oracle.is_closed(agent);
        let syncs = |source: &Source| {
            source.is_good() && source.renders && source.automated && !source.windowed && !closed
        };
        for (app, source) in on_cluster.filter(|(_, source)| syncs(source)) {
            let status = process.machine.reconciler().statuses().get(app);
            let refused = self.is_refused(agent, app, source);
            for (key, (rendered, piece)) in source.resolved() {
                let says = cluster.says(&key, &rendered, piece);
                if says == Some(true) {
                    continue;
                }
                let shared = newest.clone().any(|(other, theirs)| {
                    other != app && theirs.cluster == agent && theirs.resolved().contains_key(&key)
                });
                // Another app's entry may still own it while that app is frozen, released or by hand.
                let foreign_entry =
                    process.machine.reconciler().inventory().get(&key).is_some_and(|entry| entry.app != *app);
                // So does an app that still runs an older release.
                let list = process.machine.link().list();
                let shared = shared
                    || list.into_iter().flat_map(DesiredList::elements).any(|(other, element)| {
                        other != app && self.oracle.holds(&element.assignment, &key).is_some()
                    });
                if shared || foreign_entry || refused || self.is_excused(agent, source, &key) {
                    continue;
                }
                let what = if says.is_none() { "is not there" } else { "is not what Git says" };
                unmet.push(format!("{key} of {app} {what} on {agent}"));
            }
            if let Some(operation) = status.and_then(|status| status.operation.as_ref())
                && operation.phase == OperationPhase::Running
            {
                let watches = process.machine.reconciler().is_observing();
                unmet.push(format!(
                    "{app} still syncs on {agent}: {:?}, observing={watches}",
                    operation.message
                ));
            }
            if status.is_none() {
                unmet.push(format!("{app} has no status on {agent}"));
            }
            if status.is_some_and(|status| status.sync == SyncStatus::Unknown) {
                unmet.push(format!("{app} is Unknown on {agent}"));
            }
        }
    }

    /// Nothing stays on disk that nothing names any more (M25).
    fn unmet_bounds(&self, agent: usize, unmet: &mut Vec<String>) {
        let Some(state) = self.agents.get(agent) else { return };
        let Some(process) = &state.process else { return };
        let mut named = process.machine.reconciler().pinned_roots();
        let assigned = state.disk.store.scan(tables::ASSIGNED, &[]).unwrap_or_default();
        let assigned =
            assigned.iter().filter_map(|(_, row)| decode::<Assignment>(tables::ASSIGNED, row).ok());
        named.extend(assigned.map(|assignment| assignment.root));
        let listed = process.machine.link().list().into_iter().flat_map(DesiredList::elements);
        named.extend(listed.map(|(_, element)| element.assignment.root));
        let kept = state.disk.store.len(tables::RELEASES);
        if kept > named.len() {
            unmet.push(format!("agent {agent} keeps {kept} releases, and {} are named", named.len()));
        }
        let mut manifests = process.machine.reconciler().pinned_manifests();
        let roots = state.disk.store.keys(tables::RELEASES).unwrap_or_default();
        for root in roots.iter().filter_map(|root| Digest::from_slice(root)) {
            let release = tables::get_release(&state.disk.store, Root(root)).ok().flatten();
            manifests.extend(release.iter().flat_map(Release::entries).map(|entry| entry.digest));
        }
        // What came of a release stays while the rest of it is on its way.
        let under_way =
            process.machine.link().progress().into_iter().filter(|(_, progress)| !progress.complete);
        let under_way = under_way.filter_map(|(_, progress)| self.oracle.release(progress.root));
        manifests.extend(under_way.flatten().map(|(_, digest)| *digest));
        let kept = state.disk.store.len(tables::MANIFESTS);
        if kept > manifests.len() {
            unmet.push(format!("agent {agent} keeps {kept} manifests, and {} are named", manifests.len()));
        }
        if let (0, Some(hub)) = (agent, &self.hub.process) {
            let named: BTreeSet<_> = hub.pinned();
            let kept = self.hub.store.len(tables::RELEASES);
            if kept > named.len() {
                unmet.push(format!("the hub keeps {kept} releases, and {} are named", named.len()));
            }
        }
    }

    /// Tells whether the sync of an app was refused before its first write, as it should be: it holds an object of a kind that
    /// nobody serves, or one that the agent's own policy refuses, be it the namespace that is to be made for it.
    fn is_refused(&self, agent: usize, app: &AppId, source: &Source) -> bool {
        let process = self.agents.get(agent).and_then(|state| state.process.as_ref());
        let status = process.and_then(|process| process.machine.reconciler().statuses().get(app));
        let said = status.and_then(|status| status.operation.as_ref());
        let told = said.is_some_and(|operation| operation.message.contains("(dry run)"));
        let guard = self.oracle.guard(agent);
        let served =
            |key: &ResourceKey| self.clusters.get(agent).is_some_and(|of| of.serves(&key.group_kind()));
        let makes =
            source.create_namespace.then(|| ResourceKey::new("", "Namespace", "", source.namespace.as_str()));
        let homeless = self.clusters.get(agent).is_some_and(|of| !of.has_namespace(&source.namespace));
        let made = makes.filter(|_| homeless);
        let refuses = |key: &ResourceKey| guard.is_some_and(|guard| !guard.permits(key));
        let mut keys = source.resolved().into_keys();
        made.as_ref().is_some_and(refuses) || keys.any(|key| refuses(&key) || (told && !served(&key)))
    }

    /// Some objects need not be there: somebody else's, of a kind that is not served, without a namespace, done.
    fn is_excused(&self, agent: usize, source: &Source, key: &ResourceKey) -> bool {
        let Some(cluster) = self.clusters.get(agent) else { return true };
        let served = cluster.serves(&key.group_kind());
        let homed = !objects::is_namespaced(key) || cluster.has_namespace(&key.namespace);
        let there = cluster.peek(key);
        let mark = there.as_ref().map(|object| live::look(object, key).1);
        if key.is_part() {
            return self.is_excused_part(agent, source, key);
        }
        let other = matches!(mark, Some(Mark::Other(_)));
        let meddled = !source.self_heal && cluster.meddled.contains(key);
        let ends = key.kind == "Job";
        // What lived in a namespace that was deleted is for selfHeal to bring back.
        let lost = !source.self_heal && there.is_none();
        !served || !homed || other || meddled || ends || lost
    }

    /// A part needs not be there where its object is not, or is on its way out; nor where nobody heals what others took, or
    /// somebody made the object again.
    fn is_excused_part(&self, agent: usize, source: &Source, key: &ResourceKey) -> bool {
        let Some(cluster) = self.clusters.get(agent) else { return true };
        let there = cluster.peek(key).filter(|object| !object.is_deleting());
        let meddled = !source.self_heal && cluster.meddled.contains(&key.whole());
        there.is_none() || meddled || (key.is_namespace() && !source.self_heal)
    }

    /// What left Git is gone, unless something holds it.
    fn unmet_leftovers(&self, agent: usize, unmet: &mut Vec<String>) {
        let Some(process) = self.agents.get(agent).and_then(|state| state.process.as_ref()) else { return };
        let Some(cluster) = self.clusters.get(agent) else { return };
        let here = self.git.apps().filter(|(_, source)| source.cluster == agent);
        let meant: BTreeSet<ResourceKey> =
            here.flat_map(|(_, source)| source.resolved().into_keys()).collect();
        let head = self.git.head();
        let reconciler = process.machine.reconciler();
        let list = process.machine.link().list();
        // While an app fails nobody may reconcile an unknown chain, which holds everything.
        let holds = list.is_some_and(|list| list.settings().hold_deletes);
        for (key, entry) in reconciler.inventory().iter().filter(|_| !holds) {
            let held = reconciler
                .statuses()
                .get(&entry.app)
                .and_then(|status| status.held.as_ref())
                .is_some_and(|held| held.deletes.iter().any(|delete| delete.key == *key));
            let stays = entry.detached || entry.kept || entry.prune_refused || entry.recovered || held;
            let listed = list.and_then(|list| list.get(&entry.app));
            let prunes = listed.is_some_and(|listed| match listed.phase {
                Phase::Active => listed.policy.automated.is_some_and(|automated| automated.prune),
                Phase::Deleting => true,
                Phase::Frozen | Phase::Released => false,
            });
            let served = cluster.serves(&key.group_kind());
            // A new app that does not render holds every deletion back, a failing one its own move.
            let failing = self.hub.process.as_ref().map(|hub| &hub.decision.failing);
            let waits = failing.is_some_and(|failing| {
                failing.contains(&entry.app)
                    || (!failing.is_empty() && self.git.app(head, &entry.app).is_none())
            });
            let source = self.git.app(head, &entry.app);
            let refused = source.is_some_and(|source| self.is_refused(agent, &entry.app, source));
            // What left an app waits for its window, and so does what a sync that waits may still put there.
            let windowed = listed
                .is_some_and(|listed| listed.phase == Phase::Active && !listed.limits.windows.is_empty());
            let guarded = self.oracle.is_closed(agent)
                || self.oracle.guard(agent).is_some_and(|guard| !guard.permits_delete(key));
            // An app that somebody put back to an older release may want it still.
            let disk = self.agents.get(agent).map(|state| &state.disk);
            let mut apps = reconciler.statuses().keys();
            let kept = apps.any(|app| {
                let enforced = disk.and_then(|disk| self.oracle.enforced(agent, disk, app));
                *app != entry.app && enforced.is_some_and(|of| self.oracle.holds(&of, key).is_some())
            });
            // A part stays until what its app states of the object instead is applied, which may be another's.
            let stated = source.map(Source::resolved).unwrap_or_default();
            let mut heirs = stated.iter().filter(|(of, _)| key.is_part() && of.is_of_object(key));
            let lacks = heirs.any(|(of, (rendered, piece))| {
                let applied = reconciler.inventory().get(of).filter(|of| of.app == entry.app);
                let applied = applied.and_then(|of| of.applied.as_ref());
                applied.is_none_or(|body| body.manifest != objects::digest(rendered, *piece))
            });
            let stays = stays || waits || refused || windowed || guarded || kept || lacks;
            if !stays && !meant.contains(key) && prunes && served {
                unmet.push(format!("{key} of {} is left over on {agent}: {entry:?}", entry.app));
            }
        }
        let Some(hub) = &self.hub.process else { return };
        let listed = hub.links.get(agent).and_then(|link| link.acknowledged_list());
        for (app, element) in listed.into_iter().flat_map(DesiredList::elements) {
            let over = element.assignment.phase == Phase::Released && hub.decision.mass_loss.is_none();
            let unknown = hub.links.get(agent).is_some_and(|link| link.unknown_chain().is_some());
            if over && !unknown {
                unmet.push(format!("{app} is still released on {}", cluster_id(agent)));
            }
        }
    }
}
