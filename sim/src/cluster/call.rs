//! What can be asked of a cluster.

use serde_json::Value;

use super::time::Time;
use crate::kinds::Resource;

/// One request.
#[derive(Debug)]
pub struct Call<'a> {
    /// The kind, in the version that was asked for.
    pub resource: &'a Resource,
    /// Empty for kinds without namespaces, and for lists over all of them.
    pub namespace: &'a str,
    /// Empty for lists and creations.
    pub name: &'a str,
    /// The part of the object.
    pub subresource: Subresource,
    /// What to do.
    pub verb: Verb<'a>,
    /// Who will own the fields.
    pub manager: &'a str,
    /// Who asks.
    pub user: &'a str,
    /// Whether nothing shall be kept of it.
    pub dry_run: bool,
    /// What is done about fields that the kind does not have.
    pub validation: FieldValidation,
    /// When it arrived.
    pub now: Time,
}

/// What a request does.
#[derive(Debug)]
pub enum Verb<'a> {
    /// Reads one object.
    Get,
    /// Reads those that are selected.
    List(&'a ListOptions),
    /// Makes one; its name may be in the body only.
    Create(Value),
    /// Replaces one.
    Update(Value),
    /// Changes, or by an apply makes, one.
    Patch(Patch),
    /// Deletes one.
    Delete(DeleteOptions),
    /// Deletes those that are selected.
    DeleteCollection(DeleteOptions, &'a ListOptions),
}

/// A part of an object with an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Subresource {
    /// The object itself.
    #[default]
    None,
    /// Its status.
    Status,
    /// The number of its replicas.
    Scale,
    /// A namespace's finalizers.
    Finalize,
    /// A pod's or a budget's eviction.
    Eviction,
    /// A pod's node.
    Binding,
}

/// A change of an object.
#[derive(Debug, Clone)]
pub struct Patch {
    /// Its form.
    pub kind: PatchKind,
    /// The change itself.
    pub body: Value,
}

/// The forms that a change may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902: a list of operations.
    Json,
    /// RFC 7386: a piece of the object.
    Merge,
    /// A piece of the object whose lists merge by keys.
    Strategic,
    /// Server-side apply.
    Apply {
        /// Whether fields are taken from others.
        force: bool,
    },
}

/// What is done about fields that a kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, and warnings say so.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

/// Which objects, and how many at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// As in the query.
    pub label_selector: String,
    /// As in the query.
    pub field_selector: String,
    /// How many at most; 0 for all.
    pub limit: usize,
    /// Where the page before ended; empty for the first.
    pub continue_token: String,
    /// As in the query.
    pub resource_version: String,
    /// As in the query: empty, `Exact` or `NotOlderThan`.
    pub resource_version_match: String,
}

/// How an object is deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// The incarnation that must be there.
    pub uid: Option<String>,
    /// The version that must be there.
    pub resource_version: Option<String>,
    /// What becomes of what it owns.
    pub propagation: Option<Propagation>,
    /// How long pods may take to stop.
    pub grace_period_seconds: Option<i64>,
}

/// What becomes of the objects that a deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They go first.
    Foreground,
    /// They go afterwards.
    Background,
    /// They stay.
    Orphan,
}

// === impl Subresource ===

impl Subresource {
    /// Gives its name as it is in paths and in `managedFields`; empty for the object itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Finalize => "finalize",
            Self::Eviction => "eviction",
            Self::Binding => "binding",
        }
    }

    /// Finds it by its name in paths.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::Status, Self::Scale, Self::Finalize, Self::Eviction, Self::Binding]
            .into_iter()
            .find(|subresource| subresource.name() == name)
    }
}

// === impl DeleteOptions ===

impl DeleteOptions {
    /// Reads a `DeleteOptions` object; absent fields have their defaults.
    pub fn read(value: &Value) -> Result<Self, String> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let preconditions = value.get("preconditions");
        let policy = value.get("propagationPolicy").and_then(Value::as_str);
        let orphan = value.get("orphanDependents").and_then(Value::as_bool);
        let propagation = match (policy, orphan) {
            (Some(_), Some(_)) => {
                return Err("orphanDependents and deletionPropagation cannot be both set".to_owned());
            }
            (Some("Foreground"), None) => Some(Propagation::Foreground),
            (Some("Background"), None) | (None, Some(false)) => Some(Propagation::Background),
            (Some("Orphan"), None) | (None, Some(true)) => Some(Propagation::Orphan),
            (Some(other), None) => {
                return Err(format!(
                    "propagationPolicy: Unsupported value: {other:?}: supported values: \"Foreground\", \
                     \"Background\", \"Orphan\", \"nil\""
                ));
            }
            (None, None) => None,
        };
        Ok(Self {
            uid: text(preconditions.and_then(|preconditions| preconditions.get("uid"))),
            resource_version: text(
                preconditions.and_then(|preconditions| preconditions.get("resourceVersion")),
            ),
            propagation,
            grace_period_seconds: value.get("gracePeriodSeconds").and_then(Value::as_i64),
        })
    }
}
