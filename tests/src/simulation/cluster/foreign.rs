//! What others than agents do to a cluster, through its API like everybody.

use argosy_core::key::ResourceKey;
use argosy_core::tracking::{INSTALLATION_ID, MANAGED, TRACKING_ID};
use argosy_sim::cluster::{Patch, PatchKind, Verb};
use serde_json::{Map, Value, json};

use super::super::objects;
use super::super::random::Random;
use super::{Cluster, Later};

/// How often an object is tried to be made again.
const TRIES: u32 = 10;

/// One thing that somebody else does to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Meddling {
    /// Changes values that we applied.
    Change,
    /// Adds fields of its own.
    Beside,
    /// Applies some of the values that are there, which it then owns as well.
    Share,
    /// Takes our label off.
    Unlabel,
    /// Takes label and tracking off.
    Untrack,
    /// Makes it an object of another tool.
    Claim,
    /// Deletes it.
    Delete,
    /// Deletes it and makes an untracked one of the same name.
    Recreate,
    /// Restores it from a backup: the same metadata under a new UID.
    Restore,
}

impl Meddling {
    const ALL: [Self; 9] = [
        Self::Change,
        Self::Beside,
        Self::Share,
        Self::Unlabel,
        Self::Untrack,
        Self::Claim,
        Self::Delete,
        Self::Recreate,
        Self::Restore,
    ];
}

impl Cluster {
    /// Does something somewhere; says what.
    pub(in super::super) fn meddle_somewhere(&mut self, random: &mut Random, now: u64) -> Option<String> {
        let mut keys = self.keys();
        keys.retain(|key| !key.is_crd() || random.percent(10));
        if random.percent(10) {
            let name = random.pick(&["a", "b", "c", "d", "a-0", "b-1"]).unwrap_or_default();
            let namespace = random.pick(&["shop", "mesh"]).unwrap_or_default();
            let key = objects::config_map(namespace, name);
            let claims = random.percent(30);
            let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                "data": {"theirs": "made by hand"}});
            self.call(&key, Verb::Create(made), "kubectl-create", now).ok()?;
            self.meddled.insert(key.clone());
            if claims {
                self.meddle(&key, Meddling::Claim, now);
            }
            return Some(format!("makes {key}"));
        }
        let (key, how) = (random.pick(&keys)?, random.pick(&Meddling::ALL)?);
        self.meddle(&key, how, now);
        Some(format!("does {how:?} to {key}"))
    }

    /// Gives the objects that others meddle with.
    fn keys(&self) -> Vec<ResourceKey> {
        let mut keys = Vec::new();
        for kind in objects::group_kinds().filter(|kind| kind.kind != "Namespace") {
            let Some(resource) = self.resource(&kind) else { continue };
            let found = self.api.objects(&resource);
            keys.extend(found.map(|(namespace, name, _)| {
                ResourceKey::new(kind.group.clone(), kind.kind.clone(), namespace, name)
            }));
        }
        keys
    }

    /// Replaces the definition: with it go all objects of its kind.
    pub(in super::super) fn replace_definition(&mut self, now: u64) {
        let widgets = self.keys().into_iter().filter(|key| key.group_kind() == objects::widget_kind());
        self.meddled.extend(widgets);
        self.meddle(&objects::definition(), Meddling::Recreate, now);
    }

    /// Meddles with an object.
    pub(in super::super) fn meddle(&mut self, key: &ResourceKey, how: Meddling, now: u64) {
        let Some(resource) = self.resource(&key.group_kind()) else { return };
        let Some(there) = self.peek(key) else { return };
        if !matches!(how, Meddling::Beside | Meddling::Share) {
            self.meddled.insert(key.clone());
        }
        let object = there.value(&resource);
        let untracked = json!({TRACKING_ID: null, INSTALLATION_ID: null});
        let unlabelled = json!({MANAGED: null});
        // Whatever refuses one of these writes refuses ours as well.
        let _refused = match how {
            Meddling::Change => self.merge(key, edit(key, &object), "kubectl-edit", now),
            Meddling::Beside => self.merge(key, beside(key, now), "kubectl-patch", now),
            Meddling::Share => {
                let patch = Patch { kind: PatchKind::Apply { force: false }, body: share(key, &object) };
                self.call(key, Verb::Patch(patch), "tuner", now).map(|_reply| ())
            }
            Meddling::Unlabel => {
                self.merge(key, json!({"metadata": {"labels": unlabelled}}), "kubectl-label", now)
            }
            Meddling::Untrack => {
                let metadata = json!({"labels": unlabelled, "annotations": untracked});
                self.merge(key, json!({"metadata": metadata}), "kubectl-edit", now)
            }
            Meddling::Claim => {
                let claimed = json!({"meta.helm.sh/release-name": "other",
                    "meta.helm.sh/release-namespace": "shop", TRACKING_ID: null, INSTALLATION_ID: null});
                self.merge(key, json!({"metadata": {"annotations": claimed}}), "helm", now)
            }
            Meddling::Delete => {
                self.remove(key, None, "kubectl-delete", now);
                Ok(())
            }
            Meddling::Recreate => {
                let mut again = copied(key, &object, false);
                if let Ok(changed) = argosy_sim::patch::merge(again.clone(), &edit(key, &object)) {
                    again = changed;
                }
                self.remove(key, None, "kubectl-replace", now);
                self.remake(key, again, "kubectl-replace", TRIES, now);
                Ok(())
            }
            Meddling::Restore => {
                let again = copied(key, &object, true);
                self.remove(key, None, "velero-server", now);
                self.remake(key, again, "velero-server", TRIES, now);
                Ok(())
            }
        };
    }

    /// Somebody does what was to be done later.
    pub(in super::super) fn carry_out(&mut self, what: Later, now: u64) {
        match what {
            Later::Expire(key, uid) => self.remove(&key, Some(&uid), "ttl-after-finished-controller", now),
            Later::Release(key, uid) => self.release(&key, &uid, now),
            Later::Remake { key, object, by, tries } => self.remake(&key, *object, by, tries, now),
        }
    }

    /// Makes an object, or tries that again later.
    fn remake(&mut self, key: &ResourceKey, object: Value, by: &'static str, tries: u32, now: u64) {
        let made = self.call(key, Verb::Create(object.clone()), by, now);
        if made.is_err() && tries > 0 {
            let (key, object) = (key.clone(), Box::new(object));
            self.later.push(Later::Remake { key, object, by, tries: tries - 1 });
        }
    }
}

/// Changes the value that tells the version.
fn edit(key: &ResourceKey, object: &Value) -> Value {
    match key.kind.as_str() {
        "ConfigMap" => json!({"data": {"version": "edited"}}),
        "Widget" => json!({"spec": {"version": 1_000_000}}),
        "Job" => json!({"spec": {"backoffLimit": 1_000}}),
        "CustomResourceDefinition" => {
            let mut versions = object.pointer("/spec/versions").cloned().unwrap_or_default();
            if let Some(schema) =
                versions.pointer_mut("/0/schema/openAPIV3Schema").and_then(Value::as_object_mut)
            {
                schema.insert("description".to_owned(), "edited".into());
            }
            json!({"spec": {"versions": versions}})
        }
        _ => json!({"metadata": {"annotations": {"example.com/version": "edited"}}}),
    }
}

/// Adds a field of somebody's own.
fn beside(key: &ResourceKey, now: u64) -> Value {
    let theirs = json!({"theirs": now.to_string()});
    match key.kind.as_str() {
        "ConfigMap" => json!({"data": theirs}),
        "Widget" => json!({"spec": {"settings": theirs}}),
        _ => json!({"metadata": {"annotations": {"example.com/theirs": now.to_string()}}}),
    }
}

/// Applies what is there, and a little more.
fn share(key: &ResourceKey, object: &Value) -> Value {
    let mut metadata = json!({"name": key.name});
    if let (Some(metadata), false) = (metadata.as_object_mut(), key.namespace.is_empty()) {
        metadata.insert("namespace".to_owned(), key.namespace.as_str().into());
    }
    let field = |path: &str| object.pointer(path).cloned().unwrap_or_else(|| json!({}));
    let mut body = json!({"apiVersion": field("/apiVersion"), "kind": key.kind, "metadata": metadata});
    let passing = |map: Value| -> Map<String, Value> {
        let map = map.as_object().cloned().unwrap_or_default();
        map.into_iter().filter(|(name, _)| name.starts_with("at-")).collect()
    };
    let rest = match key.kind.as_str() {
        "ConfigMap" => ("data", Value::Object(passing(field("/data")))),
        "Widget" => {
            let settings = Value::Object(passing(field("/spec/settings")));
            let mut hosts = field("/spec/hosts").as_array().cloned().unwrap_or_default();
            if !hosts.iter().any(|host| host == "theirs") {
                hosts.push("theirs".into());
            }
            let ports = json!([{"name": "theirs", "number": 7}]);
            ("spec", json!({"settings": settings, "hosts": hosts, "ports": ports}))
        }
        _ => return merged(body, json!({"metadata": {"labels": {"example.com/theirs": "yes"}}})),
    };
    if let Some(body) = body.as_object_mut() {
        body.insert(rest.0.to_owned(), rest.1);
    }
    body
}

fn merged(target: Value, patch: Value) -> Value {
    argosy_sim::patch::merge(target, &patch).unwrap_or(patch)
}

/// Gives what of an object can be made again: with labels and annotations, as from a backup, or without.
fn copied(key: &ResourceKey, object: &Value, metadata: bool) -> Value {
    let field = |path: &str| object.pointer(path).cloned().unwrap_or_default();
    let mut copy = object.clone();
    let Some(map) = copy.as_object_mut() else { return copy };
    map.remove("status");
    let mut kept = json!({"name": key.name});
    if metadata && let Some(kept) = kept.as_object_mut() {
        kept.insert("labels".to_owned(), field("/metadata/labels"));
        kept.insert("annotations".to_owned(), field("/metadata/annotations"));
    }
    map.insert("metadata".to_owned(), kept);
    // Whoever makes it again leaves out what is not its own.
    if let Some(data) = map.get_mut("data").and_then(Value::as_object_mut) {
        data.retain(|name, _| !name.starts_with(objects::PART));
    }
    match key.kind.as_str() {
        // What the API server gave it names the Job that it was.
        "Job" => {
            if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("selector");
                if let Some(template) = spec.get_mut("template").and_then(Value::as_object_mut) {
                    template.remove("metadata");
                }
            }
        }
        "PersistentVolumeClaim" => {
            if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("volumeName");
            }
        }
        _ => {}
    }
    copy
}
