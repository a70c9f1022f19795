//! What is around an object: the few other objects that some rules look at.

use serde_json::Value;

use crate::key::{GroupKind, ResourceKey};

/// Other objects of the cluster, as far as they are known. What is not known is not the same as what is not there.
pub trait Surroundings {
    /// Gives an object, if it is known.
    fn object(&self, key: &ResourceKey) -> Option<&Value>;

    /// Gives all objects of a kind; `None` where nobody looked for them.
    fn of_kind(&self, kind: &GroupKind) -> Option<Vec<&Value>>;
}

/// Nothing is known of what is around.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

// === impl Alone ===

impl Surroundings for Alone {
    fn object(&self, _key: &ResourceKey) -> Option<&Value> {
        None
    }

    fn of_kind(&self, _kind: &GroupKind) -> Option<Vec<&Value>> {
        None
    }
}
