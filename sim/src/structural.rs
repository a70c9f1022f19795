//! Structural schemas of custom resources: pruning, defaults and validation.
//!
//! A [`Schema`] is parsed once from the `openAPIV3Schema` of a definition's version. Errors are worded as the API
//! server words them. Rules in CEL (`x-kubernetes-validations`) are kept out: they are not evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

mod defaults;
mod field_error;
mod formats;
mod lists;
mod parse;
mod pattern;
mod prune;
mod validate;

#[cfg(test)]
mod tests;

pub use field_error::{FieldError, FieldErrorKind};

use self::pattern::Pattern;

/// The schema of a value in a custom resource.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are what OpenAPI has as such")]
pub struct Schema {
    kind: Option<Kind>,
    nullable: bool,
    int_or_string: bool,
    preserves_unknown: bool,
    embedded: bool,
    default: Option<Value>,
    properties: BTreeMap<String, Schema>,
    additional: Additional,
    items: Option<Box<Schema>>,
    list: ListKind,
    rules: Rules,
}

/// The JSON type that a value must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// What an object may hold beside its named properties.
#[derive(Debug, Clone, Default)]
enum Additional {
    /// The schema does not say: unknown fields are pruned.
    #[default]
    Unsaid,
    /// Anything, or nothing.
    Allowed(bool),
    /// Values of this schema.
    Of(Box<Schema>),
}

/// How the items of a list are told apart.
#[derive(Debug, Clone, Default)]
enum ListKind {
    #[default]
    Atomic,
    Set,
    Map(Vec<String>),
}

/// What a value must satisfy beyond its type.
#[derive(Debug, Clone, Default)]
struct Rules {
    format: String,
    values: Option<Vec<Value>>,
    pattern: Option<Arc<Pattern>>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    minimum: Option<Bound>,
    maximum: Option<Bound>,
    multiple_of: Option<f64>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    unique_items: bool,
    min_properties: Option<u64>,
    max_properties: Option<u64>,
    required: Vec<String>,
    all_of: Vec<Schema>,
    any_of: Vec<Schema>,
    one_of: Vec<Schema>,
    not: Option<Box<Schema>>,
}

/// A bound of a number.
#[derive(Debug, Clone, Copy)]
struct Bound {
    value: f64,
    exclusive: bool,
}

// === impl Schema ===

impl Schema {
    /// Reads the schema of a whole custom resource.
    ///
    /// The paths of errors are relative to `openAPIV3Schema`.
    pub fn parse(schema: &Value) -> Result<Self, Vec<FieldError>> {
        parse::root(schema)
    }

    /// Takes away what the schema does not know, and nulls that it does not allow; whole numbers become integers.
    ///
    /// The API server does this to what it reads from a client and to what it reads from its store, but not to
    /// the result of an apply before it validates that.
    ///
    /// Gives the paths of the unknown fields, sorted. `apiVersion`, `kind` and `metadata` of the object and of
    /// embedded ones stay as they are.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::root(self, object)
    }

    /// Drops what an object has that the schema does not know; nulls that are not allowed stay.
    pub fn prune_applied(&self, object: &mut Value) {
        prune::applied(self, object);
    }

    /// Fills in what the schema has defaults for.
    pub fn default(&self, object: &mut Value) {
        defaults::fill(self, object);
    }

    /// Everything that is wrong with a new object.
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = validate::root(self, object);
        errors.extend(lists::embedded(self, object));
        errors.extend(lists::duplicates(self, object));
        errors
    }

    /// Everything that is wrong with an object's new state and was not so before: what an update leaves as it
    /// was may break rules that the schema has got since.
    pub fn validate_update(&self, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = validate::changed(self, object, old);
        errors.extend(lists::embedded(self, object));
        if lists::duplicates(self, old).is_empty() {
            errors.extend(lists::duplicates(self, object));
        }
        errors
    }

    /// The schema of a field of an object.
    fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Of(schema) => Some(schema),
            Additional::Unsaid | Additional::Allowed(_) => None,
        })
    }

    /// True if null is not allowed here.
    fn refuses_null(&self) -> bool {
        !self.nullable
    }
}

// === impl Kind ===

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}
