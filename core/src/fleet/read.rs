//! What a look at the fleet's source gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::application::{Application, Source};
use crate::ids::AppId;
use crate::project::Project;

/// Largest document of an application or a project, as JSON: what an assignment holds of both fits a frame.
pub(crate) const DOCUMENT_BYTES: usize = 1 << 20;

/// One app's document as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct AppDocument {
    /// The file of the fleet.
    pub file: String,
    /// The application, or why it is refused.
    pub application: Result<Application, String>,
    /// Metadata and spec as JSON.
    pub document: String,
}

/// One project's document as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectDocument {
    /// The file of the fleet.
    pub file: String,
    /// The project, or why it is refused.
    pub project: Result<Project, String>,
    /// Metadata and spec as JSON.
    pub document: String,
}

/// A file, or a document of it, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenFile {
    /// The file.
    pub file: String,
    /// What is wrong, with document and line.
    pub message: String,
    /// The words of the file: what it may be about.
    pub words: Words,
}

/// The words of a file that could not be read: an app or a project whose name is among them may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Option<Arc<BTreeSet<String>>>);

/// One read of the fleet's source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FleetRead {
    /// The whole source was read and is current: absence means something.
    pub complete: bool,
    /// Applications by identity.
    pub apps: BTreeMap<AppId, AppDocument>,
    /// Projects by name.
    pub projects: BTreeMap<String, ProjectDocument>,
    /// Files that could not be read.
    pub broken: Vec<BrokenFile>,
    /// Documents of Argo CD's group of kinds that are not known here: each may be a misspelt one that is.
    pub unknown_kinds: Vec<BrokenFile>,
    /// Applications that other applications bring (M9); the rest is the source's own.
    pub children: BTreeMap<AppId, Child>,
    /// Applications that may bring others, and of which nothing is known that they brought.
    pub unread_parents: BTreeSet<AppId>,
    /// Applications that render documents of the fleet and nothing else.
    pub only_documents: BTreeSet<AppId>,
}

/// An application that another one brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// That one.
    pub parent: AppId,
    /// How current its document is.
    pub state: ChildState,
    /// How many applications bring one another down to it.
    pub depth: usize,
}

/// How current a document is that an application brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildState {
    /// It is what the application renders, or was told to stay at.
    Current,
    /// The application does not render it any more, and it stays: why.
    LeftOver(String),
    /// What the application renders is not known yet: why. The document is what it rendered last.
    Unread(String),
    /// The application fails: why. The document is what it rendered last that was good.
    Failing(String),
}

// === impl AppDocument ===

impl AppDocument {
    /// Reads a document that is an `Application`, whatever is wrong with it.
    pub fn read(file: &str, document: &Value) -> Self {
        let application =
            fits(document).and_then(|()| Application::try_from(document).map_err(|error| error.to_string()));
        Self { file: file.to_owned(), application, document: shown(document) }
    }
}

// === impl ProjectDocument ===

impl ProjectDocument {
    /// Reads a document that is an `AppProject`, whatever is wrong with it.
    pub fn read(file: &str, document: &Value) -> Self {
        let project =
            fits(document).and_then(|()| Project::try_from(document).map_err(|error| error.to_string()));
        Self { file: file.to_owned(), project, document: shown(document) }
    }
}

/// Gives what is shown of a document: its metadata and its spec.
fn shown(value: &Value) -> String {
    let part = |name: &str| value.get(name).cloned().unwrap_or_default();
    json!({"metadata": part("metadata"), "spec": part("spec")}).to_string()
}

/// Refuses a document that is too large to be a part of what a cluster is sent.
fn fits(document: &Value) -> Result<(), String> {
    let size = document.to_string().len();
    if size > DOCUMENT_BYTES {
        return Err(format!("the document has {size} bytes as JSON; at most {DOCUMENT_BYTES} are supported"));
    }
    Ok(())
}

// === impl Words ===

impl Words {
    /// Takes a file's words; those of bytes that are no text cannot be told.
    pub fn of(bytes: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::unknown() };
        let is_part = |character: char| character.is_ascii_alphanumeric() || "-.".contains(character);
        let words = text.split(|character| !is_part(character)).map(|word| word.trim_matches(['-', '.']));
        Self(Some(Arc::new(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())))
    }

    /// Says that nothing is known of a file: it may be about anything.
    pub fn unknown() -> Self {
        Self(None)
    }

    /// Tells whether an app or anything else of this name may be meant (M6).
    pub fn may_name(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|words| words.contains(name))
    }

    /// Tells whether a project of this name may be defined; an application only mentions one.
    fn may_define(&self, project: &str) -> bool {
        let only_mentions =
            |words: &BTreeSet<String>| words.contains("Application") && !words.contains("AppProject");
        self.0.as_ref().is_none_or(|words| words.contains(project) && !only_mentions(words))
    }
}

// === impl FleetRead ===

impl FleetRead {
    /// Gives the sources of the apps: what has to be rendered.
    pub fn sources(&self) -> BTreeMap<AppId, Source> {
        self.apps
            .iter()
            .filter_map(|(app, document)| {
                Some((app.clone(), document.application.as_ref().ok()?.source.clone()))
            })
            .collect()
    }

    /// Tells whether something that could not be read may be this app (M6).
    pub(super) fn may_mean(&self, app: &AppId) -> bool {
        let mut unread = self.broken.iter().chain(&self.unknown_kinds);
        unread.any(|broken| broken.words.may_name(&app.name))
    }

    /// Gives what could not be read and may define a project; `file` is the one that did before.
    pub(super) fn may_define(&self, project: &str, file: &str) -> Option<&BrokenFile> {
        let came_from = |broken: &&BrokenFile| !file.is_empty() && broken.file == file;
        let broken = self.broken.iter().find(|broken| came_from(broken) || broken.words.may_define(project));
        broken.or_else(|| self.unknown_kinds.iter().find(|broken| broken.words.may_define(project)))
    }
}
