//! Whose document it is: the first one's that brings it.

use super::growth::Growth;
use super::split::{Content, Document};
use crate::fleet::read::{Child, ChildState};
use crate::ids::AppId;

/// What became of a document that is brought.
pub(super) enum Claimed {
    /// It is taken.
    Taken,
    /// Somebody else gives the very same.
    Same(String),
    /// Somebody else gives another one of this name.
    Given(String),
    /// It is no document that there can be.
    Refused,
}

// === impl Growth ===

impl Growth<'_> {
    /// Takes a document unless somebody gave one of its name before.
    pub(super) fn claim(&mut self, parent: &AppId, document: &Document, state: ChildState) -> Claimed {
        match &document.content {
            Content::App(id, document) => {
                if let Some(first) = self.read.apps.get(id) {
                    return first_keeps(first.document == document.document, &first.file);
                }
                self.read.apps.insert(id.clone(), document.as_ref().clone());
                let depth = self.depth_of(parent).saturating_add(1);
                self.read.children.insert(id.clone(), Child { parent: parent.clone(), state, depth });
                self.frontier.insert(id.clone());
                Claimed::Taken
            }
            Content::Project(name, document) => {
                if let Some(first) = self.read.projects.get(name) {
                    return first_keeps(first.document == document.document, &first.file);
                }
                self.read.projects.insert(name.clone(), document.as_ref().clone());
                Claimed::Taken
            }
            Content::Nameless | Content::Unsupported => Claimed::Refused,
        }
    }

    /// Tells whether somebody gives a document of this name.
    pub(super) fn is_given(&self, document: &Document) -> bool {
        match &document.content {
            Content::App(id, _) => self.read.apps.contains_key(id),
            Content::Project(name, _) => self.read.projects.contains_key(name),
            Content::Nameless | Content::Unsupported => true,
        }
    }

    /// How far an app is from the fleet's folder.
    pub(super) fn depth_of(&self, app: &AppId) -> usize {
        self.read.children.get(app).map_or(0, |child| child.depth)
    }

    /// Says who gives a document of this name, and how that is a cycle where it is one.
    pub(super) fn keeper(&self, file: &str, parent: &AppId, document: &Document) -> String {
        let Content::App(id, _) = &document.content else { return format!("{file} gives it and keeps it") };
        if id == parent {
            return format!("it is the app itself, which {file} gives and keeps");
        }
        let mut above = self.read.children.get(parent).map(|child| &child.parent);
        while let Some(app) = above {
            if app == id {
                return format!("a cycle: it is an app above app {parent}, which {file} gives and keeps");
            }
            above = self.read.children.get(app).map(|child| &child.parent);
        }
        format!("{file} gives it and keeps it")
    }
}

fn first_keeps(same: bool, file: &str) -> Claimed {
    if same { Claimed::Same(file.to_owned()) } else { Claimed::Given(file.to_owned()) }
}
