//! The projects that apps are judged by: each in its newest good state, durable, so that a document that breaks takes no
//! limit away.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};

use super::read::FleetRead;
use crate::policy::ProjectLimits;
use crate::project::{DEFAULT, Project};
use crate::store::{self, StoreError, StoreOp, StoreRead, Table};

/// Table of projects: name → newest good state.
pub const PROJECTS: Table = "projects";

/// The newest good state of a project.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Known {
    #[n(0)]
    project: Project,
    /// The file of the fleet that defines it; empty for the project `default` that no document defines (M9).
    #[n(1)]
    file: String,
    /// Metadata and spec of its document as JSON; empty where an earlier version read it.
    #[n(2)]
    #[cbor(default)]
    document: String,
}

/// A project as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectState {
    /// Its name.
    pub name: String,
    /// The file of the fleet that defines it; empty for the project `default` that no document defines.
    pub file: String,
    /// Metadata and spec of its newest good document as JSON, else of the one that is refused; empty while it was not read
    /// again after an upgrade.
    pub document: String,
    /// Why that is not what the fleet says now, or is not in force; absent when all is well.
    pub problem: Option<String>,
}

/// All projects, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Projects(BTreeMap<String, Known>);

/// A project to judge an app by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) project: &'a Project,
    /// Why it is not the newest state; absent when it is.
    pub(super) stale: Option<String>,
}

// === impl Projects ===

impl Projects {
    pub(super) fn load(store: &dyn StoreRead) -> Result<Self, StoreError> {
        let mut projects = BTreeMap::new();
        for (name, value) in store.scan(PROJECTS, &[])? {
            let name: String = store::decode(PROJECTS, &name)?;
            projects.insert(name, store::decode(PROJECTS, &value)?);
        }
        Ok(Self(projects))
    }

    /// Takes the good documents of a read; gives the changes of the table. A project goes when a complete read has no
    /// document of it, and no file that could not be read may be one.
    pub(super) fn take(&mut self, read: &FleetRead) -> Vec<StoreOp> {
        let before = self.0.clone();
        if read.complete {
            self.0.retain(|name, known| {
                read.projects.contains_key(name) || read.may_define(name, &known.file).is_some()
            });
            let defined = self.0.contains_key(DEFAULT) || read.projects.contains_key(DEFAULT);
            if !defined && read.may_define(DEFAULT, "").is_none() {
                let known = Known {
                    project: Project::permissive(),
                    file: String::new(),
                    document: Project::permissive_document().to_string(),
                };
                self.0.insert(DEFAULT.to_owned(), known);
            }
        }
        self.learn(read);
        let mut ops: Vec<StoreOp> = self
            .0
            .iter()
            .filter(|(name, known)| before.get(*name) != Some(known))
            .map(|(name, known)| StoreOp::put(PROJECTS, store::encode(name), known))
            .collect();
        let gone = before.keys().filter(|name| !self.0.contains_key(*name));
        ops.extend(gone.map(|name| StoreOp::delete(PROJECTS, store::encode(name))));
        ops
    }

    /// Takes the good documents of a read, and nothing away.
    pub(super) fn learn(&mut self, read: &FleetRead) {
        for (name, document) in &read.projects {
            if let Ok(project) = &document.project {
                let known = Known {
                    project: project.clone(),
                    file: document.file.clone(),
                    document: document.document.clone(),
                };
                self.0.insert(name.clone(), known);
            }
        }
    }

    /// Gives the newest good limits of a project.
    pub(super) fn limits(&self, name: &str) -> Option<&ProjectLimits> {
        self.0.get(name).map(|known| &known.project.limits)
    }

    /// Gives every project, by name; those that are refused and never were good as well.
    pub(super) fn states(&self, read: Option<&FleetRead>) -> Vec<ProjectState> {
        let documents = read.iter().flat_map(|read| &read.projects);
        let names: BTreeSet<&String> = self.0.keys().chain(documents.map(|(name, _)| name)).collect();
        let state = |name: &String| {
            let (known, document) = (self.0.get(name), read.and_then(|read| read.projects.get(name)));
            let problem = match read.map(|read| self.find(name, read)) {
                None => None,
                Some(Ok(found)) => found.stale,
                Some(Err(why)) => Some(why),
            };
            ProjectState {
                name: name.clone(),
                file: known
                    .map(|known| &known.file)
                    .or(document.map(|of| &of.file))
                    .cloned()
                    .unwrap_or_default(),
                document: known
                    .map(|known| &known.document)
                    .or(document.map(|document| &document.document))
                    .cloned()
                    .unwrap_or_default(),
                problem,
            }
        };
        names.into_iter().map(state).collect()
    }

    /// Finds the project that an app names; else says why the app cannot be judged.
    pub(super) fn find(&self, name: &str, read: &FleetRead) -> Result<Found<'_>, String> {
        let known = self.0.get(name);
        let document = read.projects.get(name).map(|document| &document.project);
        let why = match document {
            Some(Ok(_)) => None,
            Some(Err(reason)) => Some(format!("project {name} is refused: {reason}")),
            None => {
                let file = known.map_or("", |known| known.file.as_str());
                let broken = read.may_define(name, file).filter(|_| known.is_some() || name == DEFAULT);
                broken.map(|broken| {
                    format!(
                        "{} cannot be read and may define project {name}: {}",
                        broken.file, broken.message
                    )
                })
            }
        };
        match (known, why) {
            (Some(known), None) => Ok(Found { project: &known.project, stale: None }),
            (Some(known), Some(why)) => {
                let stale = Some(format!("{why}; its last good state stays"));
                Ok(Found { project: &known.project, stale })
            }
            (None, Some(why)) => Err(why),
            (None, None) if !read.complete => {
                Err(format!("the fleet was not read whole yet: whether it has project {name} is not known"))
            }
            (None, None) => Err(format!("application references project {name} which does not exist")),
        }
    }
}
