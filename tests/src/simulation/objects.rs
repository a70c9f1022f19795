//! The objects that applications are made of: kinds, keys and manifests, tiny but for their filler.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use argosy_core::cluster::{KindInfo, Kinds};
use argosy_core::ids::Digest;
use argosy_core::key::{GroupKind, ResourceKey};

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

/// The kinds that an API server serves, without widgets and with them.
static KINDS: LazyLock<(Kinds, Kinds)> = LazyLock::new(|| {
    let mut kinds = Kinds::new();
    for (group, kind, namespaced) in [
        ("", "ConfigMap", true),
        ("", "PersistentVolumeClaim", true),
        ("", "Namespace", false),
        ("batch", "Job", true),
        ("apiextensions.k8s.io", "CustomResourceDefinition", false),
    ] {
        kinds.insert(GroupKind::new(group, kind), KindInfo { namespaced });
    }
    let plain = kinds.clone();
    kinds.insert(widget_kind(), KindInfo { namespaced: true });
    (plain, kinds)
});

/// Gives the kinds that an API server serves; widgets only where their definition is established.
pub(super) fn kinds(widgets: bool) -> &'static Kinds {
    if widgets { &KINDS.1 } else { &KINDS.0 }
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

/// Gives the manifest of an object.
pub(super) fn manifest(key: &ResourceKey, piece: Piece) -> Vec<u8> {
    let option = match piece.stay {
        Stay::Normal => None,
        Stay::Kept => Some("Delete=false"),
        Stay::NotPruned => Some("Prune=false"),
    };
    let mut metadata = serde_json::json!({"name": key.name});
    if let Some(map) = metadata.as_object_mut() {
        if !key.namespace.is_empty() {
            map.insert("namespace".to_owned(), key.namespace.clone().into());
        }
        if let Some(option) = option {
            let annotations = serde_json::json!({"argocd.argoproj.io/sync-options": option});
            map.insert("annotations".to_owned(), annotations);
        }
    }
    let mut object = serde_json::json!({"kind": key.kind, "metadata": metadata, "version": piece.version});
    if key.is_crd() {
        let spec =
            serde_json::json!({"group": "example.com", "names": {"kind": "Widget"}, "scope": "Namespaced"});
        if let Some(map) = object.as_object_mut() {
            map.insert("spec".to_owned(), spec);
        }
    }
    let mut text = object.to_string();
    if piece.filler > 0 && text.pop().is_some() {
        // Nothing in it needs escaping, which takes a debug build longer than all the rest of a run.
        for part in [r#","filler":""#, &"x".repeat(piece.filler), r#""}"#] {
            text.push_str(part);
        }
    }
    text.into_bytes()
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
