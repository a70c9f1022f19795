//! What a cluster answers.

use std::sync::Arc;

use serde_json::Value;

use super::object::Object;
use super::status::Details;

/// The answer to a request that was carried out.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub code: u16,
    /// What is sent.
    pub body: Body,
    /// What the client is to be warned of.
    pub warnings: Vec<String>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Body {
    /// One object of the kind that was asked for, in that version.
    Object(Arc<Object>),
    /// Several of them.
    List(List),
    /// Something of another kind, e.g. a `Scale`; whole.
    Value(Value),
    /// A `Status` of success with these details.
    Success(Details),
}

/// A page of objects.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// The objects, by namespace and name.
    pub items: Vec<Arc<Object>>,
    /// The version that the list is of.
    pub version: u64,
    /// Where the next page begins; empty at the end.
    pub continue_token: String,
    /// How many are left, if that is known.
    pub remaining: Option<usize>,
}

// === impl Body ===

impl Body {
    /// Gives the object of kind `Status` that says success.
    pub fn success(details: &Details) -> Value {
        serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details.to_value()})
    }
}
