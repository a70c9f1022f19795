//! The objects that applications are made of: kinds, keys and manifests, tiny but for their filler.
//!
//! The number of a piece's version is a value of its manifest, so that what is live is compared with Git by looking at it.
//! Versions also differ in which fields they have, so that fields come and go.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use argosy_core::cluster::{KindInfo, Kinds};
use argosy_core::ids::Digest;
use argosy_core::key::{GroupKind, ResourceKey};
use argosy_core::tracking;
use serde_json::{Map, Value, json};

/// Name of the one definition.
pub(super) const DEFINITION: &str = "widgets.example.com";

/// How long an object stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stay {
    /// As long as it is desired.
    Normal,
    /// `Delete=false`.
    Kept,
    /// `Prune=false`.
    NotPruned,
}

/// One object in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    pub(super) version: u32,
    pub(super) stay: Stay,
    /// Bytes of text that do nothing but take their time on a link.
    pub(super) filler: usize,
}

/// How many digests are remembered.
const REMEMBERED: usize = 20_000;

thread_local! {
    /// Digests of pieces: too many are asked for to make each anew.
    static DIGESTS: RefCell<HashMap<(ResourceKey, Piece), Digest>> = RefCell::new(HashMap::new());
}

pub(super) fn config_map(namespace: &str, name: &str) -> ResourceKey {
    ResourceKey::new("", "ConfigMap", namespace, name)
}

pub(super) fn namespace(name: &str) -> ResourceKey {
    ResourceKey::new("", "Namespace", "", name)
}

pub(super) fn definition() -> ResourceKey {
    ResourceKey::new("apiextensions.k8s.io", "CustomResourceDefinition", "", DEFINITION)
}

pub(super) fn widget_kind() -> GroupKind {
    GroupKind::new("example.com", "Widget")
}

/// The kinds of which applications have objects: group, version, kind and its name in paths.
const KINDS: [(&str, &str, &str, &str); 6] = [
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Namespace", "namespaces"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"),
    ("batch", "v1", "Job", "jobs"),
    ("example.com", "v1", "Widget", "widgets"),
];

/// Gives group, version and name in paths of every kind of which applications have objects.
pub(super) fn resources() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    KINDS.into_iter().map(|(group, version, _, plural)| (group, version, plural))
}

/// Gives every kind of which applications have objects.
pub(super) fn group_kinds() -> impl Iterator<Item = GroupKind> {
    KINDS.into_iter().map(|(group, _, kind, _)| GroupKind::new(group, kind))
}

/// Gives the version of a kind and its name in paths.
pub(super) fn served(kind: &GroupKind) -> Option<(&'static str, &'static str)> {
    let found = KINDS.iter().find(|(group, _, name, _)| *group == kind.group && *name == kind.kind);
    found.map(|(_, version, _, plural)| (*version, *plural))
}

/// The kinds that an API server serves, without widgets and with them.
static SERVED: LazyLock<(Kinds, Kinds)> = LazyLock::new(|| {
    let plain: Kinds = argosy_sim::kinds::built_in()
        .iter()
        .map(|resource| {
            let info = KindInfo { namespaced: resource.namespaced };
            (GroupKind::new(resource.group.clone(), resource.kind.clone()), info)
        })
        .collect();
    let mut all = plain.clone();
    all.insert(widget_kind(), KindInfo { namespaced: true });
    (plain, all)
});

/// Gives the kinds that an API server serves; widgets only where their definition is established.
pub(super) fn kinds(widgets: bool) -> &'static Kinds {
    if widgets { &SERVED.1 } else { &SERVED.0 }
}

/// Tells whether a kind lives in namespaces.
pub(super) fn is_namespaced(key: &ResourceKey) -> bool {
    !key.is_namespace() && !key.is_crd()
}

/// Gives an object's key at a destination.
pub(super) fn resolve(rendered: &ResourceKey, destination: &str) -> ResourceKey {
    if !is_namespaced(rendered) {
        rendered.in_namespace("")
    } else if rendered.namespace.is_empty() {
        rendered.in_namespace(destination)
    } else {
        rendered.clone()
    }
}

/// What the names of fields begin with that parts state.
pub(super) const PART: &str = "part-";

/// Annotation with the version of what has no better place for it.
const VERSION: &str = "example.com/version";
/// Annotation with the filler of what has no better place for it.
const FILLER: &str = "example.com/filler";

/// Gives the manifest of an object.
pub(super) fn manifest(key: &ResourceKey, piece: Piece) -> Vec<u8> {
    let mut annotations = Map::new();
    match piece.stay {
        Stay::Normal => {}
        Stay::Kept => note(&mut annotations, "argocd.argoproj.io/sync-options", "Delete=false"),
        Stay::NotPruned => note(&mut annotations, "argocd.argoproj.io/sync-options", "Prune=false"),
    }
    if key.is_part() {
        note(&mut annotations, tracking::PART, &key.part);
    }
    let mut filled = false;
    let rest = match key.kind.as_str() {
        "ConfigMap" if key.is_part() => json!({"data": slice(key, piece)}),
        "Namespace" if key.is_part() => json!({}),
        "ConfigMap" => {
            filled = true;
            json!({"data": config(piece)})
        }
        "Widget" => {
            filled = true;
            json!({"spec": widget(piece)})
        }
        "CustomResourceDefinition" => json!({"spec": definition_of(&format!("version {}", piece.version))}),
        "Job" => {
            json!({"spec": {"backoffLimit": piece.version, "template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "work", "image": "example.com/work:1"}]}}}})
        }
        kind => {
            note(&mut annotations, VERSION, &piece.version.to_string());
            if kind == "PersistentVolumeClaim" {
                let requests = json!({"requests": {"storage": "1Gi"}});
                json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": requests}})
            } else {
                json!({})
            }
        }
    };
    if piece.filler > 0 && !filled {
        note(&mut annotations, FILLER, HERE);
    }
    let mut metadata = json!({"name": key.name});
    if let Some(map) = metadata.as_object_mut() {
        if !key.namespace.is_empty() {
            map.insert("namespace".to_owned(), key.namespace.as_str().into());
        }
        if !annotations.is_empty() {
            map.insert("annotations".to_owned(), annotations.into());
        }
        if key.is_part() && key.is_namespace() {
            map.insert("labels".to_owned(), slice(key, piece));
        }
    }
    let version = served(&key.group_kind()).map_or("v1", |(version, _)| version);
    let api_version =
        if key.group.is_empty() { version.to_owned() } else { format!("{}/{version}", key.group) };
    let mut object = json!({"apiVersion": api_version, "kind": key.kind, "metadata": metadata});
    if let (Some(object), Value::Object(rest)) = (object.as_object_mut(), rest) {
        object.extend(rest);
    }
    let mut text = object.to_string();
    if let Some(at) = text.find(HERE).filter(|_| piece.filler > 0) {
        // Nothing in it needs escaping, which takes a debug build longer than all the rest of a run.
        text.replace_range(at..at + HERE.len(), &"x".repeat(piece.filler));
    }
    text.into_bytes()
}

/// Stands where the filler goes.
const HERE: &str = "<filler>";

fn note(annotations: &mut Map<String, Value>, name: &str, text: &str) {
    annotations.insert(name.to_owned(), text.into());
}

/// A field that only every third version has.
fn passing(piece: Piece) -> String {
    format!("at-{}", piece.version % 3)
}

fn config(piece: Piece) -> Value {
    let mut data = json!({"version": piece.version.to_string(), "tuned": "no"});
    if let Some(data) = data.as_object_mut() {
        data.insert(passing(piece), "here".into());
        if piece.filler > 0 {
            data.insert("filler".to_owned(), HERE.into());
        }
    }
    data
}

/// Gives what a part states: fields that nothing else states.
fn slice(key: &ResourceKey, piece: Piece) -> Value {
    let name = format!("{PART}{}", key.part);
    let passing = format!("{name}-{}", passing(piece));
    json!({name: piece.version.to_string(), passing: "here"})
}

fn widget(piece: Piece) -> Value {
    let passing = passing(piece);
    let mut spec = json!({
        "version": piece.version,
        "tuned": "no",
        "settings": {passing.as_str(): "here"},
        "hosts": ["all", passing.as_str()],
        "ports": [{"name": "all", "number": piece.version}, {"name": passing.as_str(), "number": 1}],
    });
    if let (Some(spec), true) = (spec.as_object_mut(), piece.filler > 0) {
        spec.insert("filler".to_owned(), HERE.into());
    }
    spec
}

/// Gives the spec of the definition, with what it says of itself.
pub(super) fn definition_of(description: &str) -> Value {
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    let port =
        json!({"type": "object", "required": ["name"], "properties": {"name": text, "number": number}});
    let spec = json!({"type": "object", "properties": {
        "version": number,
        "tuned": text,
        "filler": text,
        "settings": {"type": "object", "additionalProperties": text},
        "hosts": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
        "ports": {"type": "array", "items": port, "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"]},
    }});
    let schema = json!({"type": "object", "description": description, "properties": {"spec": spec}});
    json!({
        "group": "example.com",
        "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
    })
}

/// Gives the digest of an object's manifest.
pub(super) fn digest(key: &ResourceKey, piece: Piece) -> Digest {
    DIGESTS.with_borrow_mut(|known| {
        if known.len() > REMEMBERED {
            known.clear();
        }
        *known.entry((key.clone(), piece)).or_insert_with(|| Digest::of(&manifest(key, piece)))
    })
}
