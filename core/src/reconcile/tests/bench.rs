//! A reconciler at a flat cluster that answers at once.

use serde_json::json;

use super::super::*;
use super::adversarial::Deed;
use crate::cluster::{Answer, ApiError, Applied, KindInfo, Tracking, WatchEvent};
use crate::compare::{Change, Comparison, ObjectDiff};
use crate::desired::Phase;
use crate::desired::{Destination, ListSettings};
use crate::health::{Health, Verdict};
use crate::ids::BootId;
use crate::policy::{Automated, SyncPolicy};
use crate::project::Project;
use crate::selection::SyncOptions;
use crate::session::tables::{get_release, put_manifest, put_release};
use crate::store::{MemoryStore, get_as};
use crate::time::{MonoTime, WallTime};

pub(super) struct Dice(pub(super) u64);

impl Entropy for Dice {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

/// A flat cluster that answers at once.
pub(super) struct Bench {
    pub(super) store: MemoryStore,
    pub(super) reconciler: Reconciler,
    pub(super) objects: BTreeMap<ResourceKey, LiveMeta>,
    pub(super) version: u64,
    pub(super) uids: u64,
    pub(super) now: u64,
    pub(super) writes: Vec<Request>,
    pub(super) reads: usize,
    pub(super) requests: usize,
    pub(super) statuses: BTreeMap<AppId, AppStatus>,
    pub(super) events: Vec<Event>,
    pub(super) outcomes: Vec<CommandOutcome>,
    pub(super) list: DesiredList,
    pub(super) commands: u8,
    pub(super) fail: Option<ApiError>,
    /// Fails some requests.
    pub(super) fails: Option<fn(&Request) -> Option<ApiError>>,
    /// Writes are carried out, and their answers lost.
    pub(super) loses_answers: bool,
    /// Kinds whose lists are never answered.
    pub(super) unlisted: BTreeSet<GroupKind>,
    /// Kind of everything that is put.
    pub(super) kind: &'static str,
    /// Annotations of everything that is put.
    pub(super) annotations: serde_json::Value,
    /// Health that objects are made with, by name.
    pub(super) healths: BTreeMap<&'static str, Health>,
    /// What comparisons of objects give, by name: nothing, a difference (an empty message), or why they fail.
    pub(super) compares: BTreeMap<&'static str, Option<String>>,
    /// Comparisons are of values that are ignored in part.
    pub(super) partial: bool,
    /// Deletes are accepted, and finalizers keep the objects.
    pub(super) finalizers: bool,
    /// Deletes that were carried out.
    pub(super) deeds: Vec<Deed>,
    /// How many labels each namespace was to get that was asked for.
    pub(super) marks: Vec<usize>,
    /// Of how many parts the objects are watched.
    pub(super) part_room: usize,
    /// How often the kinds were asked for.
    pub(super) discoveries: usize,
}

pub(super) fn installation() -> InstallationId {
    InstallationId::from_random([3; 16])
}

pub(super) fn app(name: &str) -> AppId {
    AppId::new("", name)
}

pub(super) fn config(name: &str) -> ResourceKey {
    ResourceKey::new("", "ConfigMap", "shop", name)
}

pub(super) fn now(ms: u64) -> Now {
    Now { mono: MonoTime { boot: BootId::new([1; 16]), elapsed_ms: ms }, wall: WallTime(0) }
}

pub(super) fn kinds() -> Kinds {
    let kind = |group: &str, kind: &str, namespaced| (GroupKind::new(group, kind), KindInfo { namespaced });
    Kinds::from([
        kind("", "ConfigMap", true),
        kind("", "Secret", true),
        kind("", "Service", true),
        kind("", "Namespace", false),
        kind("apiextensions.k8s.io", "CustomResourceDefinition", false),
    ])
}

impl Bench {
    pub(super) fn new() -> Self {
        let store = MemoryStore::default();
        let reconciler = Reconciler::load(&store, installation(), now(0)).unwrap();
        let settings = ListSettings { installation: installation(), hold_deletes: false };
        let mut bench = Self {
            store,
            reconciler,
            objects: BTreeMap::new(),
            version: 100,
            uids: 0,
            now: 1_000,
            writes: Vec::new(),
            reads: 0,
            requests: 0,
            statuses: BTreeMap::new(),
            events: Vec::new(),
            outcomes: Vec::new(),
            list: DesiredList::empty(settings),
            commands: 0,
            fail: None,
            fails: None,
            loses_answers: false,
            unlisted: BTreeSet::new(),
            kind: "ConfigMap",
            annotations: json!({}),
            healths: BTreeMap::new(),
            compares: BTreeMap::new(),
            partial: false,
            finalizers: false,
            deeds: Vec::new(),
            marks: Vec::new(),
            part_room: Parts::default().room,
            discoveries: 0,
        };
        bench.reconciler.set_kinds(kinds(), BTreeSet::new(), &bench.store, now(bench.now)).unwrap();
        bench
    }

    pub(super) fn restart(&mut self) {
        let elements = self.list.elements().iter();
        let assigned = elements.map(|(name, element)| (name.clone(), element.assignment.clone())).collect();
        self.restart_with(&assigned, true);
    }

    pub(super) fn restart_with(&mut self, assigned: &BTreeMap<AppId, Assignment>, verified: bool) {
        self.reconciler = Reconciler::load(&self.store, installation(), now(self.now)).unwrap();
        self.reconciler.parts.room = self.part_room;
        self.reconciler.set_kinds(kinds(), BTreeSet::new(), &self.store, now(self.now)).unwrap();
        self.assign_as(assigned, verified);
    }

    /// Takes the list, what apps have switched to, and what is announced of the rest.
    pub(super) fn assign_as(&mut self, assigned: &BTreeMap<AppId, Assignment>, verified: bool) {
        let roots = self.list.elements().values().map(|element| element.assignment.root);
        let switched: BTreeSet<Root> = assigned.values().map(|assignment| assignment.root).collect();
        let announced = roots.filter(|root| !switched.contains(root));
        let release = |root| Some((root, get_release(&self.store, root).unwrap()?));
        self.reconciler.set_announced(announced.filter_map(release).collect());
        self.reconciler
            .set_desired(Some(&self.list), assigned, verified, &self.store, now(self.now))
            .unwrap();
        self.settle();
    }

    /// Sets what an app desires: names of config maps with a value.
    pub(super) fn put(&mut self, name: &str, objects: &[(&str, u32)]) -> Assignment {
        let manifests: Vec<_> = objects
            .iter()
            .map(|(object, value)| {
                let key = ResourceKey { kind: self.kind.into(), ..config(object) };
                let body = json!({"apiVersion": "v1", "kind": self.kind, "data": {"v": value},
                    "metadata": {"name": object, "namespace": "shop", "annotations": self.annotations}});
                (key, body)
            })
            .collect();
        self.put_manifests(name, manifests)
    }

    /// Sets what an app desires.
    pub(super) fn put_manifests(
        &mut self,
        name: &str,
        manifests: Vec<(ResourceKey, serde_json::Value)>,
    ) -> Assignment {
        let bytes = |(key, body): (ResourceKey, serde_json::Value)| (key, body.to_string().into_bytes());
        let manifests: Vec<(ResourceKey, Vec<u8>)> = manifests.into_iter().map(bytes).collect();
        let mut ops: Vec<StoreOp> = manifests.iter().map(|(_, bytes)| put_manifest(bytes)).collect();
        let (release, _) =
            Release::build(manifests.into_iter().map(|(key, bytes)| (key, Digest::of(&bytes))));
        ops.push(put_release(&release));
        self.store.commit(&ops);
        Assignment {
            app: app(name),
            root: release.root(),
            destination: Destination { namespace: "shop".to_owned(), ..Destination::default() },
            policy: SyncPolicy {
                automated: Some(Automated { prune: true, self_heal: true, allow_empty: false }),
                ..SyncPolicy::default()
            },
            limits: Project::permissive().limits,
            phase: Phase::Active,
            held: Vec::new(),
            cascade_confirmed: false,
            deletion: None,
            ignore: Vec::new(),
        }
    }

    pub(super) fn assign(&mut self, name: &str, objects: &[(&str, u32)]) {
        let assignment = self.put(name, objects);
        self.list.set(assignment);
        self.desire();
    }

    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Assignment)) {
        let mut assignment = self.list.get(&app(name)).unwrap().clone();
        change(&mut assignment);
        self.list.set(assignment);
        self.desire();
    }

    pub(super) fn desire(&mut self) {
        let assigned: BTreeMap<AppId, Assignment> = self
            .list
            .elements()
            .iter()
            .map(|(name, element)| (name.clone(), element.assignment.clone()))
            .collect();
        self.reconciler.set_desired(Some(&self.list), &assigned, true, &self.store, now(self.now)).unwrap();
        self.settle();
    }

    /// Runs until nothing is asked any more.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let output = self.reconciler.turn(&self.store, now(self.now)).unwrap();
            self.store.commit(&output.ops);
            self.events.extend(output.events);
            self.discoveries += usize::from(output.discover);
            self.outcomes.extend(output.outcomes);
            for (name, status) in output.statuses {
                match status {
                    Some(status) => self.statuses.insert(name, status),
                    None => self.statuses.remove(&name),
                };
            }
            let unseen: Vec<GroupKind> = self
                .reconciler
                .kinds_to_watch()
                .into_iter()
                .filter(|kind| !self.reconciler.is_watched(kind) && !self.unlisted.contains(kind))
                .collect();
            for kind in &unseen {
                let objects =
                    self.objects.values().filter(|live| live.key.group_kind() == *kind && live.labelled);
                let event = WatchEvent::Listed {
                    resource_version: self.version,
                    objects: objects.cloned().collect(),
                };
                self.reconciler.watched(kind, event, now(self.now));
            }
            let unseen_parts = self.list_parts();
            if output.requests.is_empty() && unseen.is_empty() && !unseen_parts {
                return;
            }
            for (id, request) in output.requests {
                let answer = self.answer(request);
                self.reconciler.answered(id, answer, now(self.now), &mut Dice(2));
            }
        }
        panic!("it never comes to rest");
    }

    pub(super) fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(at) = self.reconciler.next_timer().filter(|at| *at <= until) {
            self.now = at;
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    pub(super) fn answer(&mut self, request: Request) -> Result<Answer, ApiError> {
        self.requests += 1;
        if let Some(error) = self.fail.clone().or_else(|| self.fails.and_then(|fails| fails(&request))) {
            return Err(error);
        }
        let is_write = request.is_write();
        let answer = self.carry_out(request);
        if self.loses_answers && is_write {
            return Err(ApiError::Unreachable("its answer was lost".to_owned()));
        }
        answer
    }

    pub(super) fn carry_out(&mut self, request: Request) -> Result<Answer, ApiError> {
        match request.clone() {
            Request::GiveUp { .. } => self.of_part(&request),
            Request::Get { key } | Request::Apply { key, .. } if key.is_part() => self.of_part(&request),
            Request::Get { key } => {
                self.reads += 1;
                Ok(self.objects.get(&key).map_or(Answer::Absent, |live| Answer::Found(live.clone())))
            }
            Request::Try { .. } => Ok(Answer::Tried),
            Request::EnsureNamespace { metadata, .. } => {
                self.marks.push(metadata.labels.len());
                Ok(Answer::Namespace { created: false })
            }
            Request::Compare { key, .. } if self.compares.contains_key(key.name.as_str()) => {
                self.reads += 1;
                let difference = self.compares.get(key.name.as_str()).cloned().flatten().map(|message| {
                    let change = if message.is_empty() { Change::Changed } else { Change::Unknown };
                    ObjectDiff { change, ..ObjectDiff::unknown(key.clone(), message) }
                });
                let live = self.objects.get(&key);
                Ok(Answer::Compared(Comparison {
                    difference,
                    fingerprint: live.and_then(|live| live.fingerprint),
                    resource_version: live.map_or(0, |live| live.resource_version),
                    partial: self.partial,
                }))
            }
            Request::Compare { key, desired, .. } => {
                self.reads += 1;
                let there = self.objects.get(&key).map(|live| live.fingerprint);
                let wanted = desired.map(|(manifest, _)| Some(manifest));
                let difference = (there != wanted).then(|| {
                    let change = match (there, wanted) {
                        (Some(_), Some(_)) => Change::Changed,
                        (None, _) => Change::Missing,
                        (Some(_), None) => Change::Extra,
                    };
                    ObjectDiff { key, change, fields: Vec::new(), message: String::new(), left_out: 0 }
                });
                let fingerprint = there.flatten();
                Ok(Answer::Compared(Comparison { difference, fingerprint, ..Comparison::default() }))
            }
            Request::Delete { key, uid, .. } => {
                self.writes.push(request);
                let entry = self.reconciler.inventory().get(&key).cloned();
                let running = entry.as_ref().map(|entry| encode(&entry.app));
                let running = running.and_then(|app| get_as(&self.store, tables::OPERATIONS, &app).unwrap());
                self.deeds.push(Deed {
                    running,
                    live: self.objects.get(&key).cloned(),
                    entry,
                    managed: self.reconciler.inventory().len(),
                    at: self.now,
                    key: key.clone(),
                    uid: uid.clone(),
                });
                match self.objects.get_mut(&key) {
                    Some(live) if live.uid != uid => Err(ApiError::Replaced("uid".to_owned())),
                    Some(live) if self.finalizers => {
                        live.deleting = true;
                        Ok(Answer::Deleted)
                    }
                    _ => {
                        self.objects.remove(&key);
                        Ok(Answer::Deleted)
                    }
                }
            }
            Request::Apply { key, uid, manifest, app, .. } => {
                self.writes.push(request);
                let there = self.objects.get(&key).map(|live| live.uid.clone());
                if uid.is_some() && uid != there {
                    return Err(ApiError::Replaced("uid".to_owned()));
                }
                self.version += 1;
                let created = there.is_none();
                let uid = there.unwrap_or_else(|| {
                    self.uids += 1;
                    format!("u{}", self.uids)
                });
                let live = LiveMeta {
                    tracking: Tracking::Ours { installation: Some(installation()), app, names: key.clone() },
                    fingerprint: Some(manifest),
                    health: self
                        .healths
                        .get(key.name.as_str())
                        .map(|health| Verdict::new(*health, "so it is")),
                    ..foreign(&key, &uid, self.version)
                };
                self.objects.insert(key, live.clone());
                Ok(Answer::Applied(Applied { live, created, changed: Vec::new() }))
            }
        }
    }

    /// Somebody else changes an object.
    pub(super) fn meddle(&mut self, name: &str) {
        self.version += 1;
        let version = self.version;
        let live = self.objects.get_mut(&config(name)).unwrap();
        live.resource_version = version;
        live.fingerprint = Some(Digest::of(b"robbed"));
        live.last_writer = Some("kubectl-edit".to_owned());
        let live = live.clone();
        self.reconciler.watched(&live.key.group_kind(), WatchEvent::Seen(live), now(self.now));
        self.settle();
    }

    pub(super) fn vanish(&mut self, name: &str) {
        self.objects.remove(&config(name));
        let key = config(name);
        self.reconciler.watched(&key.group_kind(), WatchEvent::Gone(key.clone()), now(self.now));
        self.settle();
    }

    pub(super) fn status(&self, name: &str) -> &AppStatus {
        &self.statuses[&app(name)]
    }

    pub(super) fn uid(&self, name: &str) -> Option<String> {
        self.objects.get(&config(name)).map(|live| live.uid.clone())
    }

    /// Assigns an app that syncs only when asked.
    pub(super) fn assign_manual(&mut self, name: &str, objects: &[(&str, u32)]) {
        let mut assignment = self.put(name, objects);
        assignment.policy.automated = None;
        self.list.set(assignment);
        self.desire();
    }

    pub(super) fn sync(&mut self, name: &str, prune: bool) {
        self.commands += 1;
        self.reconciler.sync(CommandId::new([self.commands; 16]), &app(name), None, prune);
        self.settle();
    }

    pub(super) fn sync_with(&mut self, name: &str, prune: bool, options: SyncOptions) {
        self.commands += 1;
        let command = CommandId::new([self.commands; 16]);
        self.reconciler.sync_with(command, &app(name), None, prune, options);
        self.settle();
    }

    pub(super) fn break_watch(&mut self, kind: &GroupKind, error: ApiError) {
        self.reconciler.watched(kind, WatchEvent::Broken(error), now(self.now));
        self.settle();
    }

    pub(super) fn operation(&self, name: &str) -> &crate::status::OperationStatus {
        self.status(name).operation.as_ref().unwrap()
    }

    pub(super) fn deletes(&self) -> usize {
        self.writes.iter().filter(|request| matches!(request, Request::Delete { .. })).count()
    }
}

pub(super) fn foreign(key: &ResourceKey, uid: &str, version: u64) -> LiveMeta {
    LiveMeta {
        key: key.clone(),
        uid: uid.to_owned(),
        resource_version: version,
        tracking: Tracking::None,
        labelled: true,
        owned: false,
        deleting: false,
        fingerprint: None,
        last_writer: None,
        health: None,
        lagging: false,
    }
}
