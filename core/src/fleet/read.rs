//! What a look at the fleet's source gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::application::{Application, Source};
use crate::ids::AppId;
use crate::project::Project;

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
