//! A flat model of a cluster: objects as metadata, with the rules of the API server that the agent builds on.
//!
//! UID preconditions (M16), force-apply that adopts, ownership as a fingerprint, namespaces that must be there and take
//! their contents with them, a definition that serves its kind once it is established, finalizers, one version for all.

mod foreign;

use std::collections::{BTreeMap, BTreeSet};

use argosy_core::cluster::{Answer, ApiError, Applied, Kinds, LiveMeta, Request, Tracking, WatchEvent};
use argosy_core::health::{Health, Verdict};
use argosy_core::ids::{AppId, Digest};
use argosy_core::key::{GroupKind, ResourceKey};

use super::keys::INSTALLATION;
use super::lease::Record;
use super::objects::{self, is_namespaced};

/// One live object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of an object")]
pub(super) struct Object {
    pub(super) uid: String,
    pub(super) version: u64,
    /// Digest of the manifest whose values are live; absent once somebody else changed or made them.
    pub(super) manifest: Option<Digest>,
    pub(super) tracking: Tracking,
    pub(super) labelled: bool,
    pub(super) fingerprint: Option<Digest>,
    pub(super) writer: Option<String>,
    pub(super) deleting: bool,
    /// Somebody's finalizer delays its end.
    pub(super) lingers: bool,
    /// A definition is established, a Job has completed.
    pub(super) grown: bool,
}

/// A change that watches see.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) key: ResourceKey,
    /// Absent when the object is gone.
    pub(super) now: Option<LiveMeta>,
    pub(super) was_labelled: bool,
}

/// What an API server does to requests for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spell {
    /// Takes long.
    Slow,
    /// Tells everybody to come back later.
    Throttled,
    /// A webhook refuses every apply.
    Denied,
    /// A webhook changes what is applied.
    Mutated,
}

/// Something that the cluster does by itself a little later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Later {
    Grow(ResourceKey, String),
    /// A Job that is done is cleaned up.
    Expire(ResourceKey, String),
    Finalize(ResourceKey, String),
}

/// One cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Cluster {
    pub(super) objects: BTreeMap<ResourceKey, Object>,
    pub(super) version: u64,
    uids: u64,
    /// Until when the API server does not answer.
    pub(super) down_until: u64,
    /// Until when each spell lasts.
    pub(super) spells: BTreeMap<Spell, u64>,
    /// Keys that others than agents touched.
    pub(super) meddled: BTreeSet<ResourceKey>,
    pub(super) changes: Vec<Change>,
    pub(super) later: Vec<Later>,
    /// Who writes here.
    pub(super) lease: Option<Record>,
    /// What lists say until some time.
    past: Option<(u64, u64, BTreeMap<ResourceKey, Object>)>,
}

impl Cluster {
    pub(super) fn new(number: usize) -> Self {
        let mut cluster = Self { uids: (number as u64 + 1) * 1_000_000, ..Self::default() };
        for name in ["default", "kube-system"] {
            cluster.put(&objects::namespace(name), "kubernetes");
        }
        cluster.changes.clear();
        cluster
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn fresh(&mut self, writer: &str) -> Object {
        self.uids += 1;
        Object {
            uid: format!("uid-{}", self.uids),
            version: self.next_version(),
            manifest: None,
            tracking: Tracking::None,
            labelled: false,
            fingerprint: None,
            writer: Some(writer.to_owned()),
            deleting: false,
            lingers: false,
            grown: false,
        }
    }

    /// Makes an untracked object of somebody else.
    pub(super) fn put(&mut self, key: &ResourceKey, writer: &str) {
        let object = self.fresh(writer);
        if key.is_crd() {
            self.later.push(Later::Grow(key.clone(), object.uid.clone()));
        }
        self.store(key, object, false);
    }

    fn store(&mut self, key: &ResourceKey, object: Object, was_labelled: bool) {
        let live = meta(key, &object);
        self.objects.insert(key.clone(), object);
        self.changes.push(Change { key: key.clone(), now: Some(live), was_labelled });
    }

    fn remove(&mut self, key: &ResourceKey) {
        if key.is_crd() {
            self.remove_all(|other| other.group_kind() == objects::widget_kind());
        }
        if let Some(object) = self.objects.remove(key) {
            self.next_version();
            self.changes.push(Change { key: key.clone(), now: None, was_labelled: object.labelled });
        }
    }

    fn remove_all(&mut self, which: impl Fn(&ResourceKey) -> bool) {
        let which: Vec<ResourceKey> = self.objects.keys().filter(|key| which(key)).cloned().collect();
        for key in which {
            self.remove(&key);
        }
    }

    pub(super) fn is_under(&self, spell: Spell, now: u64) -> bool {
        self.spells.get(&spell).is_some_and(|until| *until > now)
    }

    /// Gives the kinds that are served.
    pub(super) fn kinds(&self) -> &'static Kinds {
        objects::kinds(self.objects.get(&objects::definition()).is_some_and(|crd| crd.grown && !crd.deleting))
    }

    /// Whoever lists until then is told of how things are now.
    pub(super) fn lags(&mut self, until: u64) {
        self.past = Some((until, self.version, self.objects.clone()));
    }

    /// Gives what a list says, which may be of the past.
    pub(super) fn listed(&self, kind: &GroupKind, now: u64) -> (u64, Vec<LiveMeta>) {
        match &self.past {
            Some((until, version, objects)) if *until > now => (*version, Self::labelled(objects, kind)),
            Some(_) | None => (self.version, Self::labelled(&self.objects, kind)),
        }
    }

    /// Gives what a watch tells that begins with such a list.
    pub(super) fn since(&self, kind: &GroupKind, listed: &[LiveMeta]) -> Vec<WatchEvent> {
        let here = Self::labelled(&self.objects, kind);
        let gone = listed.iter().filter(|then| !here.iter().any(|now| now.key == then.key));
        let changed = here.iter().filter(|now| !listed.contains(now));
        let mut events: Vec<(u64, WatchEvent)> =
            changed.map(|now| (now.resource_version, WatchEvent::Seen(now.clone()))).collect();
        events.sort_by_key(|(version, _)| *version);
        let gone = gone.map(|then| WatchEvent::Gone(then.key.clone()));
        gone.chain(events.into_iter().map(|(_, event)| event)).collect()
    }

    /// Gives the labelled objects of a kind.
    fn labelled(objects: &BTreeMap<ResourceKey, Object>, kind: &GroupKind) -> Vec<LiveMeta> {
        objects
            .iter()
            .filter(|(key, object)| key.group_kind() == *kind && object.labelled)
            .map(|(key, object)| meta(key, object))
            .collect()
    }

    /// Carries out a request; `lingers` says whether a deleted object has a finalizer.
    pub(super) fn execute(&mut self, request: &Request, lingers: bool) -> Result<Answer, ApiError> {
        match request {
            Request::Get { key } => Ok(match self.objects.get(key) {
                Some(object) if self.serves(key) => Answer::Found(meta(key, object)),
                Some(_) | None => Answer::Absent,
            }),
            Request::Apply { key, uid, manifest, app } => self.apply(key, uid.as_deref(), *manifest, app),
            Request::Delete { key, uid, .. } => self.delete(key, uid, lingers),
            Request::EnsureNamespace { name } => {
                let key = objects::namespace(name);
                let created = !self.objects.contains_key(&key);
                if created {
                    self.put(&key, "argosy");
                }
                Ok(Answer::Namespace { created })
            }
        }
    }

    fn serves(&self, key: &ResourceKey) -> bool {
        self.kinds().contains_key(&key.group_kind())
    }

    fn apply(
        &mut self,
        key: &ResourceKey,
        uid: Option<&str>,
        manifest: Digest,
        app: &AppId,
    ) -> Result<Answer, ApiError> {
        if !self.serves(key) {
            return Err(ApiError::NotServed(format!("the API server does not serve {}", key.group_kind())));
        }
        if is_namespaced(key) {
            match self.objects.get(&objects::namespace(&key.namespace)) {
                None => {
                    return Err(ApiError::NamespaceMissing(format!(
                        "namespaces {:?} not found",
                        key.namespace
                    )));
                }
                Some(namespace) if namespace.deleting && !self.objects.contains_key(key) => {
                    return Err(ApiError::Refused(format!(
                        "namespace {} is being terminated",
                        key.namespace
                    )));
                }
                Some(_) => {}
            }
        }
        let before = self.objects.get(key).cloned();
        match (&before, uid) {
            (None, Some(uid)) => return Err(ApiError::Replaced(format!("{uid} is not there"))),
            (Some(there), Some(uid)) if there.uid != uid => {
                return Err(ApiError::Replaced(format!("{} is there, not {uid}", there.uid)));
            }
            (None | Some(_), _) => {}
        }
        let created = before.is_none();
        let tracking = if key.is_crd() {
            Tracking::None
        } else {
            Tracking::Ours { installation: Some(INSTALLATION), app: app.clone(), names: key.clone() }
        };
        let mut object = match before.clone() {
            Some(object) => object,
            None => self.fresh("argosy"),
        };
        let unchanged = object.manifest == Some(manifest)
            && object.tracking == tracking
            && object.labelled
            && object.fingerprint == Some(Self::owned(manifest, app, &object.uid));
        if !unchanged {
            object.fingerprint = Some(Self::owned(manifest, app, &object.uid));
            object.manifest = Some(manifest);
            object.tracking = tracking;
            object.labelled = true;
            object.version = if created { object.version } else { self.next_version() };
            if created && (key.is_crd() || key.kind == "Job") {
                self.later.push(Later::Grow(key.clone(), object.uid.clone()));
            }
            self.store(key, object.clone(), before.as_ref().is_some_and(|before| before.labelled));
        }
        Ok(Answer::Applied(Applied { live: meta(key, &object), created, changed: Vec::new() }))
    }

    /// The fingerprint of owning everything of a body.
    fn owned(manifest: Digest, app: &AppId, uid: &str) -> Digest {
        let app = app.to_string();
        let parts = [manifest.as_bytes().as_slice(), app.as_bytes(), uid.as_bytes()];
        Digest::of_parts("simulated ownership", parts)
    }

    fn delete(&mut self, key: &ResourceKey, uid: &str, lingers: bool) -> Result<Answer, ApiError> {
        if !self.serves(key) {
            return Err(ApiError::NotServed(format!("the API server does not serve {}", key.group_kind())));
        }
        match self.objects.get(key) {
            None => return Ok(Answer::Deleted),
            Some(object) if object.uid != uid => {
                return Err(ApiError::Replaced(format!("{} is there, not {uid}", object.uid)));
            }
            Some(_) => {}
        }
        self.end(key, lingers || key.is_namespace());
        Ok(Answer::Deleted)
    }

    /// Deletes an object, at once or when its finalizers let it.
    pub(super) fn end(&mut self, key: &ResourceKey, lingers: bool) {
        let Some(mut object) = self.objects.get(key).cloned() else { return };
        if object.deleting {
            return;
        }
        if !lingers {
            self.remove(key);
            return;
        }
        object.deleting = true;
        object.lingers = true;
        object.version = self.next_version();
        self.later.push(Later::Finalize(key.clone(), object.uid.clone()));
        let labelled = object.labelled;
        self.store(key, object, labelled);
    }

    /// A finalizer is done: the object goes, and with a namespace all that lives in it.
    pub(super) fn finalize(&mut self, key: &ResourceKey, uid: &str) {
        let due = self.objects.get(key).is_some_and(|object| object.uid == uid && object.deleting);
        if !due {
            return;
        }
        if key.is_namespace() {
            self.remove_all(|inside| is_namespaced(inside) && inside.namespace == key.name);
        }
        self.remove(key);
    }

    /// A definition is established; a Job completes.
    pub(super) fn grow(&mut self, key: &ResourceKey, uid: &str) {
        let Some(mut object) = self.objects.get(key).filter(|object| object.uid == uid).cloned() else {
            return;
        };
        object.grown = true;
        object.version = self.next_version();
        if key.kind == "Job" {
            self.later.push(Later::Expire(key.clone(), uid.to_owned()));
        }
        let labelled = object.labelled;
        self.store(key, object, labelled);
    }
}

impl Cluster {
    /// A Job that is done is cleaned up.
    pub(super) fn expire(&mut self, key: &ResourceKey, uid: &str) {
        if self.objects.get(key).is_some_and(|object| object.uid == uid) {
            self.remove(key);
        }
    }
}

/// Gives an object as the agent sees it.
pub(super) fn meta(key: &ResourceKey, object: &Object) -> LiveMeta {
    let grows = key.is_crd() || key.kind == "Job";
    let health = if object.deleting {
        Some(Verdict::new(Health::Progressing, "Pending deletion"))
    } else if grows {
        Some(Verdict::new(if object.grown { Health::Healthy } else { Health::Progressing }, ""))
    } else {
        key.is_namespace().then(|| Verdict::new(Health::Healthy, ""))
    };
    LiveMeta {
        key: key.clone(),
        uid: object.uid.clone(),
        resource_version: object.version,
        tracking: object.tracking.clone(),
        labelled: object.labelled,
        owned: false,
        deleting: object.deleting,
        fingerprint: object.fingerprint,
        last_writer: object.writer.clone(),
        health,
        lagging: false,
    }
}
