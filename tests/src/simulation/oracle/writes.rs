//! Applies: intended durably, of the right release, one at a time, and never of an older commit (I1, M8, M18, M23).

use argosy_core::cluster::Request;
use argosy_core::desired::{Assignment, Phase};
use argosy_core::ids::{AppId, Digest};
use argosy_core::key::ResourceKey;
use argosy_core::policy::ServiceAccount;
use argosy_core::reconcile::{Attempt, Intent, InventoryEntry, Operation, tables};
use argosy_core::session::tables as link_tables;
use argosy_core::store::{StoreRead as _, encode, get_as};

use super::super::agent::Disk;
use super::super::git::{ACCOUNT, ACTING, Git};
use super::super::guard::Guard;
use super::super::objects::{digest, resolve};
use super::super::offline;
use super::live::Mark;
use super::{Asked, Oracle};

impl Oracle {
    /// A machine asks for something, its transaction being durable.
    pub(in super::super) fn requested(&mut self, git: &Git, asked: &Asked<'_>) {
        let Asked { agent, life, id, state, request, now, .. } = *asked;
        let disk = &state.disk;
        self.is_sent_for(agent, disk, request);
        let key = match request {
            Request::Get { .. } | Request::Try { .. } | Request::Compare { .. } => return,
            Request::EnsureNamespace { name, .. } => super::super::objects::namespace(name),
            Request::Apply { key, .. } | Request::GiveUp { key, .. } | Request::Delete { key, .. } => {
                key.clone()
            }
        };
        self.writes += 1;
        self.is_guarded(agent, request, &key);
        self.is_current(agent, disk, request);
        self.in_order(asked);
        if let Some(Err(why)) = self.alone.as_ref().map(|then| offline::judge(then, asked)) {
            self.violate("I9", format!("agent {agent}, which is alone, {why}: {request:?}"));
        }
        let Some(seen) = self.agents.get_mut(agent) else { return };
        let pseudo = matches!(request, Request::EnsureNamespace { .. });
        if !pseudo && seen.waits.values().any(|(other, _)| *other == key) {
            self.violate("M18", format!("agent {agent} life {life} has two writes of {key} under way"));
            return;
        }
        if !pseudo {
            let says = match request {
                Request::Apply { manifest, app, .. } => Some((*manifest, app.clone())),
                Request::Get { .. }
                | Request::Try { .. }
                | Request::GiveUp { .. }
                | Request::Delete { .. }
                | Request::EnsureNamespace { .. }
                | Request::Compare { .. } => None,
            };
            seen.waits.insert(id, (key.clone(), says));
        }
        match request {
            Request::Apply { manifest, app, uid, .. } => {
                let place = uid.as_ref().map(|uid| (key.clone(), uid.clone()));
                let dying = place.and_then(|place| seen.deletes.get(&place)).is_some_and(|count| *count > 0);
                if dying {
                    self.violate(
                        "M18",
                        format!("agent {agent} applies {key} while its delete may be under way"),
                    );
                }
                self.applies(git, agent, disk, &key, *manifest, app);
                match uid {
                    // A part is stated of whatever is there.
                    Some(_) if key.is_part() => {}
                    Some(uid) => self.takes(agent, &key, uid),
                    None if key.is_part() => {
                        self.violate("parts", format!("agent {agent} may make the object of {key}"));
                    }
                    None => self.makes(asked, &key),
                }
            }
            Request::Delete { uid, .. } | Request::GiveUp { uid, .. } => {
                self.deletes(agent, state, &key, uid, now);
            }
            Request::Get { .. }
            | Request::Try { .. }
            | Request::Compare { .. }
            | Request::EnsureNamespace { .. } => {}
        }
    }

    /// What an app writes or tries it does as the account of its project, and as nobody else.
    fn is_sent_for(&mut self, agent: usize, disk: &Disk, request: &Request) {
        let owner = |key: &ResourceKey| {
            let entry = get_as::<InventoryEntry>(&disk.store, tables::of(key), &encode(key)).ok().flatten();
            entry.map(|entry| entry.app)
        };
        let app = match request {
            Request::Try { app, .. } => Some(app.clone()),
            Request::Apply { key, .. } | Request::GiveUp { key, .. } | Request::Delete { key, .. } => {
                owner(key)
            }
            Request::Get { .. } | Request::EnsureNamespace { .. } | Request::Compare { .. } => return,
        };
        let list = super::chain::list_on(&disk.store);
        let Some(listed) = app.as_ref().and_then(|app| list.as_ref()?.get(app)) else { return };
        let expected = (listed.limits.project == ACTING)
            .then(|| format!("system:serviceaccount:{}:{ACCOUNT}", listed.destination.namespace));
        let says = request.account().map(ServiceAccount::user);
        if says != expected {
            let message = format!("agent {agent} sends for {says:?}, and not for {expected:?}: {request:?}");
            self.violate("account", message);
        }
    }

    /// Nothing is written that the agent's own policy refuses.
    fn is_guarded(&mut self, agent: usize, request: &Request, key: &ResourceKey) {
        let deletes = matches!(request, Request::Delete { .. } | Request::GiveUp { .. });
        let permits = |guard: Guard| if deletes { guard.permits_delete(key) } else { guard.permits(key) };
        if let Some(guard) = self.guard(agent).filter(|guard| !permits(*guard)) {
            self.violate("policy", format!("agent {agent}, which refuses {guard:?}, sends {request:?}"));
        }
    }

    /// Notes the intents of syncs that a transaction makes durable: they may be carried out later, after a crash too.
    pub(super) fn intends(&mut self, agent: usize, disk: &Disk, key: &ResourceKey) {
        let entry = get_as::<InventoryEntry>(&disk.store, tables::of(key), &encode(key)).ok().flatten();
        let Some(Intent::Apply { body, .. }) = entry.as_ref().and_then(|entry| entry.intent.clone()) else {
            return;
        };
        let operation =
            get_as::<Operation>(&disk.store, tables::OPERATIONS, &encode(&body.app)).ok().flatten();
        let synced = operation
            .is_some_and(|of| may_write(&of, key) && self.holds(&of.assignment, key) == Some(body.manifest));
        let applied = entry.and_then(|entry| entry.applied).is_some_and(|applied| applied == body);
        let listed = super::chain::list_on(&disk.store);
        let listed = listed.as_ref().and_then(|list| list.get(&body.app));
        let closed = self.is_closed(agent);
        let windowed =
            listed.is_some_and(|of| of.phase == Phase::Active && (closed || !of.limits.windows.is_empty()));
        let Some(seen) = self.agents.get_mut(agent).filter(|_| synced) else { return };
        let (fresh, app) = (seen.begun.insert((key.clone(), body.manifest, body.app.clone())), body.app);
        // Every window in a run is closed.
        if fresh && windowed && !applied {
            let message = format!("agent {agent} begins to apply {key} of {app}, which waits for a window");
            self.violate("M8", message);
        }
    }

    /// Nothing is written by a store that is older than what was acknowledged (I19).
    fn is_current(&mut self, agent: usize, disk: &Disk, request: &Request) {
        let held = self.agents.get(agent).and_then(|seen| seen.head).map(|head| head.generation);
        let held = held.or_else(|| {
            get_as::<argosy_core::desired::SignedHead>(&disk.store, link_tables::HEAD, link_tables::HELD)
                .ok()
                .flatten()
                .map(|head| head.head.generation)
        });
        if let Some(anchor) = disk.anchor.filter(|anchor| held.is_none_or(|held| held < anchor.generation)) {
            self.violate(
                "I19",
                format!("agent {agent} at {held:?} below anchor {}: {request:?}", anchor.generation),
            );
        }
    }

    /// An incarnation is taken that the agent had seen to be another tool's (M17). What it took once it may put back,
    /// tracking and all (M16, M18).
    fn takes(&mut self, agent: usize, key: &ResourceKey, uid: &str) {
        let seat = self.seat(agent);
        let place = (seat, key.clone(), uid.to_owned());
        if self.applied.contains(&place) || !self.taken.insert(place) {
            return;
        }
        let looked = self.looked.get(&(seat, key.clone())).cloned().flatten();
        if let Some((of, Mark::Other(tool))) = looked
            && of == uid
        {
            self.violate("M17", format!("agent {agent} takes {key}, which it saw to be tracked by {tool}"));
        }
    }

    /// An object is made where the agent's last look found another tool's, which is still there (M17).
    fn makes(&mut self, asked: &Asked<'_>, key: &ResourceKey) {
        let seat = self.seat(asked.agent);
        // A twin's looks are not told apart.
        if self.seats.iter().filter(|of| **of == seat).count() > 1 {
            return;
        }
        let there = asked.cluster.peek(key);
        if let Some(Some((uid, Mark::Other(tool)))) = self.looked.get(&(seat, key.clone()))
            && there.is_some_and(|object| object.uid() == uid)
        {
            let message = format!("agent {} makes {key} over what it saw to be {tool}'s", asked.agent);
            self.violate("M17", message);
        }
    }

    fn applies(
        &mut self,
        git: &Git,
        agent: usize,
        disk: &Disk,
        key: &ResourceKey,
        manifest: Digest,
        app: &AppId,
    ) {
        let entry = get_as::<InventoryEntry>(&disk.store, tables::of(key), &encode(key)).ok().flatten();
        let intended = entry.as_ref().is_some_and(|entry| {
            matches!(&entry.intent, Some(Intent::Apply { body, .. }) if body.manifest == manifest && body.app == *app)
        });
        if !intended {
            self.violate("M18", format!("agent {agent} applies {key} without a durable intent"));
        }
        if !disk.store.has(link_tables::MANIFESTS, manifest.as_bytes()).unwrap_or_default() {
            self.violate("M25", format!("the manifest of {key} is not in the store of agent {agent}"));
        }
        let list = super::chain::list_on(&disk.store);
        let Some(owner) = entry.as_ref().map(|entry| entry.app.clone()) else { return };
        let listed = list.as_ref().and_then(|list| list.get(&owner));
        let Some(listed) = listed.filter(|listed| matches!(listed.phase, Phase::Active | Phase::Frozen))
        else {
            self.violate(
                "M8",
                format!("agent {agent} applies {key} of {owner}, which is {:?}", listed.map(|of| of.phase)),
            );
            return;
        };
        let operation = get_as::<Operation>(&disk.store, tables::OPERATIONS, &encode(&owner)).ok().flatten();
        let synced = operation.filter(|_| listed.phase == Phase::Active).is_some_and(|operation| {
            may_write(&operation, key) && self.holds(&operation.assignment, key) == Some(manifest)
        });
        let seat = self.seat(agent);
        let enforced = self.enforced(agent, disk, &owner);
        let desired = enforced.is_some_and(|enforced| self.holds(&enforced, key).is_some());
        let applied = entry
            .as_ref()
            .and_then(|entry| entry.applied.as_ref())
            .is_some_and(|body| body.manifest == manifest && body.app == *app);
        let heals = listed.policy.automated.is_some_and(|automated| automated.self_heal);
        let body = (key.clone(), manifest, app.clone());
        let Some(seen) = self.agents.get_mut(agent) else { return };
        let again = seen.begun.contains(&body);
        if synced || (desired && applied && heals) {
            seen.begun.insert(body);
        } else if !(desired && again) {
            let why = format!("desired={desired} applied={applied} selfHeal={heals}");
            self.violate("M8", format!("agent {agent} applies {key} of {app} out of nowhere: {why}"));
        }
        let rolled_back = self.rolled_back.contains(&(seat, app.clone()));
        if !rolled_back && self.commit_of_object(git, agent, key, manifest, app).is_none() {
            self.violate(
                "I1",
                format!("agent {agent} puts {key} of {app} back to an older commit than was applied"),
            );
        }
    }

    /// Gives what an agent keeps up of an app. An older release may take the place of the one that is assigned, where somebody
    /// went back to it. A copy of the disk remembers that as well.
    pub(in super::super) fn enforced(&self, agent: usize, disk: &Disk, app: &AppId) -> Option<Assignment> {
        let assigned = get_as::<Assignment>(&disk.store, link_tables::ASSIGNED, &encode(app)).ok()??;
        let last = get_as::<Attempt>(&disk.store, tables::ATTEMPTS, &encode(app)).ok().flatten();
        let went_back = self.rolled_back.contains(&(self.seat(agent), app.clone()));
        let left = last.and_then(|last| last.left).filter(|left| went_back && left.root == assigned.root);
        Some(Assignment { root: left.map_or(assigned.root, |left| left.kept), ..assigned })
    }

    /// What was applied of an object is the least of what may be applied next.
    pub(super) fn has_applied(
        &mut self,
        git: &Git,
        agent: usize,
        key: &ResourceKey,
        manifest: Digest,
        app: &AppId,
    ) {
        if let Some(commit) = self.commit_of_object(git, agent, key, manifest, app)
            && let Some(seen) = self.agents.get_mut(agent)
        {
            seen.object_floors.insert((app.clone(), key.clone()), commit);
        }
    }

    /// Gives the earliest commit, not before the newest known one, in which an app says this of an object.
    fn commit_of_object(
        &self,
        git: &Git,
        agent: usize,
        key: &ResourceKey,
        manifest: Digest,
        app: &AppId,
    ) -> Option<usize> {
        let place = (app.clone(), key.clone());
        let floor =
            self.agents.get(agent).and_then(|seen| seen.object_floors.get(&place)).copied().unwrap_or(0);
        let has = |commit: &usize| {
            git.app(*commit, app).is_some_and(|source| {
                source
                    .objects
                    .iter()
                    .any(|(rendered, piece)| is_named(rendered, key) && digest(rendered, *piece) == manifest)
            })
        };
        // The last commit before the floor that says anything of the object holds until the next one does.
        let at_floor = || {
            (0..=floor).rev().find(|commit| {
                git.app(*commit, app)
                    .is_some_and(|source| source.objects.keys().any(|rendered| is_named(rendered, key)))
            })
        };
        (floor..=git.head()).find(has).or_else(|| at_floor().filter(has).map(|_| floor))
    }

    /// Gives the manifest that an assignment holds for an object.
    pub(in super::super) fn holds(&self, assignment: &Assignment, key: &ResourceKey) -> Option<Digest> {
        let entries = self.release(assignment.root)?;
        entries
            .iter()
            .rfind(|(rendered, _)| {
                rendered.name == key.name && resolve(rendered, &assignment.destination.namespace) == *key
            })
            .map(|(_, manifest)| *manifest)
    }
}

/// Tells whether a sync may write an object: a rehearsal writes nothing, one of some kinds none of the others.
fn may_write(operation: &Operation, key: &ResourceKey) -> bool {
    let kinds = &operation.options.resources;
    !operation.options.dry_run && (kinds.is_empty() || kinds.iter().any(|of| of.kind == key.kind))
}

/// Tells whether a key as rendered may be of an object, or of the same part of one.
fn is_named(rendered: &ResourceKey, key: &ResourceKey) -> bool {
    (&rendered.name, &rendered.kind, &rendered.part) == (&key.name, &key.kind, &key.part)
}
