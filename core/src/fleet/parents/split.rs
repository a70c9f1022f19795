//! A release, apart: the documents of the fleet that are in it, and the rest.

use std::fmt;

use serde_json::Value;

use crate::application::{API_VERSION, Application};
use crate::fleet::read::{AppDocument, ProjectDocument};
use crate::ids::{AppId, Digest};
use crate::key::{ResourceKey, split_api_version};
use crate::manifest::ObjectOptions;
use crate::policy::Consent;
use crate::project::Project;
use crate::release::{Release, Root};
use crate::session::tables::{MANIFESTS, get_manifest, get_release};
use crate::store::{StoreError, StoreRead};

/// Tells whether the words of an annotation are understood.
type Words = fn(&str) -> bool;

/// Annotations by which a document speaks to the app that brings it, and with which words. (What sync options there are was
/// looked at when it was rendered.)
const TO_PARENT: [(&str, Words); 4] = [
    ("argocd.argoproj.io/sync-wave", |wave| wave.trim().parse::<i32>().is_ok()),
    ("argocd.argoproj.io/sync-options", |_| true),
    ("argocd.argoproj.io/ignore-healthcheck", |_| true),
    ("argocd.argoproj.io/compare-options", |options| options.trim() == "IgnoreExtraneous"),
];

/// Makes documents at Argo CD, and none here: it is refused by name, not sent to a cluster where nobody reads it.
const SET: &str = "ApplicationSet";

/// A release, apart.
#[derive(Debug)]
pub(super) struct Split {
    /// In the order of their keys.
    pub(super) documents: Vec<Document>,
    /// What goes to the cluster.
    pub(super) rest: Release,
    /// What of the rest would be refused if the cluster did not have it.
    pub(super) kept: Vec<ResourceKey>,
    /// Whether the whole release has nothing in it.
    pub(super) empty: bool,
}

/// A document of the fleet that an app renders.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// As rendered.
    pub(super) key: ResourceKey,
    pub(super) digest: Digest,
    pub(super) content: Content,
    /// The sync wave that it states. It orders nothing: all documents of an app are taken at once.
    pub(super) wave: i32,
    /// What it says of its being deleted when its app does not render it any more, and with its app.
    prune: Option<Consent>,
    delete: Option<Consent>,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    App(AppId, Box<AppDocument>),
    Project(String, Box<ProjectDocument>),
    /// It does not say what it is about.
    Nameless,
    /// It is of a kind that makes documents, and that the hub does not know.
    Unsupported,
}

// === impl Document ===

impl Document {
    /// Gives its key as the fleet knows it: in the only namespace that is supported.
    pub(super) fn id(&self) -> ResourceKey {
        self.key.in_namespace(AppId::DEFAULT_NAMESPACE)
    }

    /// Says why it stays that its app does not render any more: it says so, or else its app (Argo CD: `Prune=false`). There is
    /// nobody to confirm it to: what is to be confirmed stays as well.
    pub(super) fn prune_refused(&self, of_app: Consent) -> Option<&'static str> {
        match self.prune.unwrap_or(of_app) {
            Consent::Given => None,
            Consent::Asked => Some(
                "it does not render it any more, and Prune=confirm of such a document is not supported: it stays",
            ),
            Consent::Refused => Some("it does not render it any more, and Prune=false keeps it"),
        }
    }

    /// Tells whether it says that it does not go with its app (Argo CD: `Delete=false`).
    pub(super) fn delete_refused(&self) -> bool {
        match self.delete {
            Some(Consent::Asked | Consent::Refused) => true,
            Some(Consent::Given) | None => false,
        }
    }

    /// Tells whether it is of a kind that makes documents, and that the hub does not know.
    pub(super) fn is_unsupported(&self) -> bool {
        match &self.content {
            Content::Unsupported => true,
            Content::App(..) | Content::Project(..) | Content::Nameless => false,
        }
    }

    /// Gives why it is refused, whoever brings it.
    pub(super) fn refusal(&self) -> Option<&str> {
        match &self.content {
            Content::App(_, document) => document.application.as_ref().err().map(String::as_str),
            Content::Project(_, document) => document.project.as_ref().err().map(String::as_str),
            Content::Nameless => Some("metadata.name: is no name"),
            Content::Unsupported => Some("kind: is not supported: state each Application as a document"),
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key.kind, self.key.name)
    }
}

/// Tells whether objects of this name are documents of the fleet, of whatever version.
fn is_document(key: &ResourceKey) -> bool {
    let (group, _version) = split_api_version(API_VERSION);
    key.group == group && ["Application", "AppProject", SET].contains(&key.kind.as_str())
}

/// Gives what an app's documents are said to come from.
pub(super) fn origin(parent: &AppId) -> String {
    format!("app {parent}")
}

/// Takes a release apart; `None` when it is not in the store.
pub(super) fn split(parent: &AppId, root: Root, store: &dyn StoreRead) -> Result<Option<Split>, StoreError> {
    let Some(release) = get_release(store, root)? else { return Ok(None) };
    let (found, rest): (Vec<_>, Vec<_>) =
        release.entries().iter().partition(|entry| is_document(&entry.id.key));
    let mut documents = Vec::with_capacity(found.len());
    for entry in found {
        let undecodable = |why: String| StoreError::Undecodable { table: MANIFESTS, why };
        let bytes = get_manifest(store, entry.digest)?
            .ok_or_else(|| undecodable(format!("manifest {} is not there", entry.digest)))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| undecodable(error.to_string()))?;
        let ObjectOptions { wave, prune, delete, .. } = ObjectOptions::of(&value);
        let content = content(&origin(parent), &entry.id.key, &value);
        let key = entry.id.key.clone();
        documents.push(Document { key, digest: entry.digest, content, wave, prune, delete });
    }
    let empty = release.is_empty();
    let rest = if documents.is_empty() {
        release
    } else {
        Release::build(rest.into_iter().map(|entry| (entry.id.key.clone(), entry.digest))).0
    };
    Ok(Some(Split { documents, rest, kept: Vec::new(), empty }))
}

fn content(file: &str, key: &ResourceKey, value: &Value) -> Content {
    if key.kind == SET {
        Content::Unsupported
    } else if key.kind == "Application" {
        match Application::identity(value) {
            Some(app) => {
                let mut document = AppDocument::read(file, value);
                if document.application.is_err() {
                    document.application = AppDocument::read(file, &for_itself(value)).application;
                }
                Content::App(app, Box::new(document))
            }
            None => Content::Nameless,
        }
    } else {
        match Project::identity(value) {
            Some(name) => Content::Project(name, Box::new(ProjectDocument::read(file, value))),
            None => Content::Nameless,
        }
    }
}

/// Gives a document without what it says to the app that brings it: its wave (a child application has no health of its own, in
/// Argo CD neither, so no wave of them waits for another), how it is synced, and what of it counts.
fn for_itself(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(Value::Object(annotations)) = value.pointer_mut("/metadata/annotations") {
        annotations.retain(|name, value| {
            let text = value.as_str().unwrap_or_default();
            !TO_PARENT.iter().any(|(annotation, speaks)| annotation == name && speaks(text))
        });
    }
    value
}
