//! Deletes: every one is justified by a verified list, by Git's history, by ownership, and by the governor's limits
//! (I2, I3, M5, M6, M21, M22).

use argosy_core::desired::{Assignment, Phase};
use argosy_core::ids::AppId;
use argosy_core::key::ResourceKey;
use argosy_core::reconcile::{Intent, InventoryEntry, tables};
use argosy_core::session::tables as link_tables;
use argosy_core::store::{StoreRead as _, decode, encode, get_as};
use argosy_sim::cluster::Object;

use super::super::agent::{Agent, Disk};
use super::super::git::{Document, Git, ReadAt, Source};
use super::super::objects;
use super::Oracle;
use super::live::{self, Mark};

impl Oracle {
    /// A machine asks for a delete.
    pub(super) fn deletes(&mut self, agent: usize, state: &Agent, key: &ResourceKey, uid: &str, now: u64) {
        let place = (key.clone(), uid.to_owned());
        if let Some(seen) = self.agents.get_mut(agent) {
            *seen.deletes.entry(place.clone()).or_default() += 1;
        }
        let entry = get_as::<InventoryEntry>(&state.disk.store, tables::of(key), &encode(key)).ok().flatten();
        if let Some(entry) = entry {
            self.owners.insert((self.seat(agent), key.clone(), uid.to_owned()), entry.app);
        }
        if let Err(why) = self.is_lawful(agent, state, key, uid) {
            self.violate("M21", format!("agent {agent} deletes {key}: {why}"));
            return;
        }
        if !self.confirmed.contains(&(self.seat(agent), key.clone(), uid.to_owned()))
            && let Err(why) = self.is_governed(agent, &state.disk, place, now)
        {
            self.violate("M22", format!("agent {agent} deletes {key}: {why}"));
        }
    }

    fn is_lawful(&self, agent: usize, state: &Agent, key: &ResourceKey, uid: &str) -> Result<(), String> {
        let disk = &state.disk;
        let entry = get_as::<InventoryEntry>(&disk.store, tables::of(key), &encode(key)).ok().flatten();
        let entry = entry.ok_or("it is in no inventory")?;
        let app = entry.app.clone();
        if entry.uid.as_deref() != Some(uid) || entry.detached || entry.kept || key.is_crd() {
            return Err(format!("its entry does not permit it: {entry:?}"));
        }
        if !matches!(&entry.intent, Some(Intent::Delete { uid: of, .. }) if of == uid) {
            return Err("its intent is not durable".to_owned());
        }
        // The last look shows that it is still ours.
        let looked = self.looked.get(&(self.seat(agent), key.clone())).cloned().flatten();
        match looked {
            Some((of, Mark::Ours { itself: true })) if of == uid => {}
            // Nothing on its object names whose a part is.
            Some((of, _)) if of == uid && key.is_part() => {}
            other => return Err(format!("the look before it found {other:?}")),
        }
        let list = super::chain::list_on(&disk.store).ok_or("there is no list")?;
        if list.settings().hold_deletes {
            return Err("the list holds all deletes".to_owned());
        }
        let listed = list.get(&app).ok_or_else(|| format!("{app} is not listed"))?;
        if !matches!(listed.phase, Phase::Active | Phase::Deleting) {
            return Err(format!("{app} is {:?}", listed.phase));
        }
        let confirmed = self.confirmed.contains(&(self.seat(agent), key.clone(), uid.to_owned()));
        let held = listed.held.iter().any(|held| {
            let there =
                held.namespace == key.namespace || held.namespace.is_empty() || key.namespace.is_empty();
            there && (&held.kind, &held.name, &held.part) == (&key.kind, &key.name, &key.part)
        });
        if held && !confirmed {
            return Err("it is held: an app of its repository fails".to_owned());
        }
        for (other, element) in list.elements() {
            let root = element.assignment.root;
            let on_disk = link_tables::has_release(&disk.store, root).unwrap_or_default();
            let entries =
                state.process.as_ref().map(|process| process.machine.link().entries(root, &disk.store));
            if !on_disk && !matches!(entries, Some(Ok(Some(_)))) {
                return Err(format!("the release of {other} is not verified"));
            }
            let counts = matches!(element.assignment.phase, Phase::Active | Phase::Frozen);
            if counts && self.holds(&element.assignment, key).is_some() {
                return Err(format!("{other} desires it in the newest list"));
            }
        }
        let stated = self.release(listed.root).into_iter().flatten();
        let stated = stated.map(|(rendered, _)| objects::resolve(rendered, &listed.destination.namespace));
        let stated: Vec<ResourceKey> = stated.filter(|stated| stated.is_of_object(key)).collect();
        if !key.is_part() && !stated.is_empty() && !stated.contains(key) {
            return Err(format!("{app} states nothing but parts of it"));
        }
        if listed.phase == Phase::Active {
            let assigned =
                get_as::<Assignment>(&disk.store, link_tables::ASSIGNED, &encode(&app)).ok().flatten();
            if assigned.map(|assigned| assigned.root) != Some(listed.root) {
                return Err(format!("{app} has not switched to its newest release"));
            }
            let automated = listed.policy.automated.is_some_and(|automated| automated.prune);
            let asked = self.asked.contains(&(self.seat(agent), app.clone()));
            if !confirmed && !asked && !automated {
                return Err(format!("nobody asked {app} to prune"));
            }
            // Every window in a run is closed, to those who ask as well.
            if !listed.limits.windows.is_empty() || self.is_closed(agent) {
                return Err(format!("{app} waits for a sync window"));
            }
        }
        if entry.recovered && !confirmed && !self.asked.contains(&(self.seat(agent), app)) {
            return Err("it was only found by its tracking".to_owned());
        }
        Ok(())
    }

    /// The governor's limits, counted anew.
    fn is_governed(
        &mut self,
        agent: usize,
        disk: &Disk,
        place: (ResourceKey, String),
        now: u64,
    ) -> Result<(), String> {
        let key = &place.0;
        if key.is_precious() {
            return Err("a Namespace or a claim without a confirmation".to_owned());
        }
        let mut inventory: Vec<(ResourceKey, InventoryEntry)> = Vec::new();
        for table in [tables::INVENTORY, tables::PARTS] {
            for (row, value) in disk.store.scan(table, &[]).unwrap_or_default() {
                if let (Ok(row), Ok(value)) = (decode(table, &row), decode(table, &value)) {
                    inventory.push((row, value));
                }
            }
        }
        let app = inventory.iter().find(|(of, _)| of == key).map(|(_, entry)| entry.app.clone());
        let app: AppId = app.ok_or("no entry")?;
        let list = super::chain::list_on(&disk.store).ok_or("no list")?;
        let listed = list.get(&app).ok_or("not listed")?;
        let empty = self.release(listed.root).is_some_and(Vec::is_empty);
        let allowed = listed.policy.automated.is_some_and(|automated| automated.allow_empty);
        if listed.phase == Phase::Active && empty && !allowed {
            return Err(format!("{app} became empty"));
        }
        let Some(seen) = self.agents.get_mut(agent) else { return Ok(()) };
        seen.deleted_at.retain(|_, at| now.saturating_sub(*at) < 3_600_000);
        // An incarnation is deleted once, however often that is asked for, and whether or not it is answered.
        seen.deleted_at.insert(place, now);
        let objects = inventory.iter().filter(|(of, _)| !of.is_part()).count();
        let limit = ((objects + seen.deleted_at.len()) / 10).max(10);
        if seen.deleted_at.len() > limit {
            return Err(format!("{} within an hour are more than {limit}", seen.deleted_at.len()));
        }
        Ok(())
    }

    /// A delete took effect: Git must have meant it.
    pub(super) fn delete_executed(&mut self, git: &Git, agent: usize, key: &ResourceKey, before: &Object) {
        let agent = self.seat(agent);
        let (uid, mark) = live::look(before, key);
        let place = (agent, key.clone(), uid.clone());
        let confirmed = self.confirmed.contains(&place);
        // A backup brings an object back under a new UID, tracking and all: the app that desires it takes it (M17), and
        // it goes when the app does, whether or not an apply came through in between.
        let taken = mark == (Mark::Ours { itself: true }) && self.taken.contains(&place);
        let asked = self.asked.iter().any(|(of, _)| *of == agent);
        // Of a part, any app may have had it of an object that was looked at since.
        if !key.is_part() && !self.applied.contains(&place) && !taken && !confirmed && !asked {
            self.violate(
                "I2",
                format!("agent {agent} deletes {key} {uid}, which it neither applied nor took: {mark:?}"),
            );
        }
        // The app whose inventory had it: the tracking may still name the one that it was handed over from.
        let app = self.owners.get(&place);
        let told = app.is_none_or(|app| confirmed || asked || told_to_delete(git, agent, app));
        if !told {
            self.violate(
                "I3",
                format!("agent {agent} deletes {key} of {app:?}, which nobody told to delete"),
            );
        }
        if !confirmed && !self.reads.iter().any(|read| justifies(git, read, agent, key)) {
            self.violate("I3", format!("agent {agent} deletes {key}, which Git never stopped to mean"));
        }
    }
}

/// Tells whether a read of the fleet says that an object is to go: no app of the cluster means it, and none fails that
/// it may be on its way to.
fn justifies(git: &Git, read: &ReadAt, cluster: usize, key: &ResourceKey) -> bool {
    let apps = git.history.get(read.fleet).into_iter().flatten();
    apps.filter(|(_, source)| source.cluster == cluster).all(|(app, source)| {
        let (meant, _fails) = git.meant(read, app, source);
        !meant.contains(key)
    })
}

/// Tells whether some commit lets an app of the cluster delete: it prunes by itself, or its end deletes.
fn told_to_delete(git: &Git, cluster: usize, app: &AppId) -> bool {
    let told = |source: &Source| source.cascade || (source.automated && source.prune);
    git.history
        .iter()
        .filter_map(|commit| commit.get(app))
        .any(|source| source.cluster == cluster && source.document == Document::Good && told(source))
}
