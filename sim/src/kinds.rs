//! The kinds that a cluster serves.
//!
//! Those that are built in come from two tables: `resources.txt` names the kinds, `fields.txt` their fields.
//! Both are read once and shared by all clusters. Kinds of definitions are made by the cluster that has
//! the definition.

pub(crate) mod custom;
mod decode;
mod defaults;
mod fields;
pub(crate) mod fill;
mod merging;
pub(crate) mod metadata;
pub(crate) mod prepare;
mod quantity;
pub(crate) mod rules;
mod strategies;
mod table;
mod validation;
mod warnings;

use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::ownership::Type;
use crate::structural::Schema;

pub use self::table::built_in;

/// A kind in one version, as it is served.
#[derive(Debug, Clone)]
pub struct Resource {
    /// API group; empty for the core's.
    pub group: String,
    /// Version of the group.
    pub version: String,
    /// Name in paths, e.g. `deployments`.
    pub plural: String,
    /// Name of one, e.g. `deployment`.
    pub singular: String,
    /// Name in objects, e.g. `Deployment`.
    pub kind: String,
    /// Kind of a list of them.
    pub list_kind: String,
    /// Other names that people may use.
    pub short_names: Vec<String>,
    /// Groups of kinds that people may ask for, e.g. `all`.
    pub categories: Vec<String>,
    /// Whether the objects live in namespaces.
    pub namespaced: bool,
    /// What can be done with the objects.
    pub verbs: Vec<&'static str>,
    /// The parts with addresses of their own.
    pub subresources: Vec<SubresourceInfo>,
    /// Where the kind comes from.
    pub origin: Origin,
    /// How its objects are handled.
    pub habits: Habits,
}

/// How objects of a kind are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent habits of a kind")]
pub struct Habits {
    /// `metadata.generation` counts the changes of what is desired.
    pub generation: bool,
    /// An update of an object that is not there creates it.
    pub create_on_update: bool,
    /// An update has to state the version that it changes.
    pub versioned_update: bool,
    /// A delete answers with the object.
    pub answers_deleted: bool,
    /// What the object owns stays, unless the delete says otherwise.
    pub orphans: bool,
}

/// A part of a kind's objects with an address of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubresourceInfo {
    /// Name in paths.
    pub name: &'static str,
    /// Group, version and kind of what is sent and answered; absent for the object's own.
    pub kind: Option<(&'static str, &'static str, &'static str)>,
    /// What can be done with it.
    pub verbs: Vec<&'static str>,
}

/// Where a kind comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Built in; the name of its type in the table of fields.
    BuiltIn(&'static str),
    /// A CustomResourceDefinition.
    Definition(Box<Custom>),
}

/// What a CustomResourceDefinition says of a version of its kind.
#[derive(Debug, Clone)]
pub struct Custom {
    /// Name of the definition.
    pub definition: String,
    /// The version in which objects are kept.
    pub storage_version: String,
    /// The version's `openAPIV3Schema`.
    pub schema: Arc<Value>,
    /// The version's `additionalPrinterColumns`.
    pub columns: Arc<Value>,
    /// The version's `selectableFields`.
    pub selectable: Vec<String>,
    /// Paths of the replicas in spec and status and of the label selector, with which it has a scale.
    pub scale: Option<Scale>,
    /// Whether the status is apart from the rest.
    pub status: bool,
    /// How a webhook that converts between versions fails; without one they are converted by their names alone.
    pub(crate) webhook: Option<String>,
    pub(crate) merging: Arc<Type>,
    /// How objects merge in the version in which they are kept.
    pub(crate) kept_merging: Arc<Type>,
    pub(crate) structural: Arc<Schema>,
    /// The schema of the version in which objects are kept.
    pub(crate) stored: Arc<Schema>,
}

/// Where the numbers of a scale are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// E.g. `.spec.replicas`.
    pub spec: String,
    /// E.g. `.status.replicas`.
    pub status: String,
    /// E.g. `.status.selector`; may be empty.
    pub selector: String,
}

/// All verbs of an ordinary kind.
pub const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

static BUILT_IN: LazyLock<Vec<Arc<Resource>>> = LazyLock::new(table::read);

// === impl Resource ===

impl Resource {
    /// Gives `group/version`, or the version alone in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Gives `plural.group`, or the plural alone in the core group.
    pub fn dotted(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Tells whether it is this built-in kind.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    /// Finds a part of its objects.
    pub fn subresource(&self, name: &str) -> Option<&SubresourceInfo> {
        self.subresources.iter().find(|info| info.name == name)
    }

    /// Gives what its definition says; absent for a built-in kind.
    pub fn custom(&self) -> Option<&Custom> {
        match &self.origin {
            Origin::BuiltIn(_) => None,
            Origin::Definition(custom) => Some(custom),
        }
    }
}
