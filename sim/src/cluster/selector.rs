//! Which objects a request is about: label and field selectors.

mod fields;
mod labels;

use serde_json::Value;

use self::labels::Requirement;

use super::object::Object;
use super::status::Status;
use super::store::Key;
use crate::kinds::Resource;

/// Objects of a kind, by namespace, labels and fields.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    namespace: String,
    labels: Vec<Requirement>,
    fields: Vec<fields::Term>,
}

/// Conditions on labels, as the objects of some kinds state them.
#[derive(Debug, Clone)]
pub(crate) struct Selector(Vec<Requirement>);

// === impl Selector ===

impl Selector {
    /// Reads the form with `matchLabels` and `matchExpressions`; nothing if it makes no sense.
    pub(crate) fn read(selector: &Value) -> Option<Self> {
        labels::from_selector(selector).map(Self)
    }

    /// Tells whether it selects an object with these labels.
    pub(crate) fn selects(&self, labels: &Value) -> bool {
        let find = |key: &str| labels.get(key).and_then(Value::as_str);
        self.0.iter().all(|requirement| requirement.matches(find))
    }
}

// === impl Selection ===

impl Selection {
    /// Reads selectors as they are in a query.
    pub fn parse(
        resource: &Resource,
        namespace: &str,
        label_selector: &str,
        field_selector: &str,
    ) -> Result<Self, Status> {
        Ok(Self {
            namespace: namespace.to_owned(),
            labels: labels::parse(label_selector).map_err(Status::bad_request)?,
            fields: fields::parse(resource, field_selector)?,
        })
    }

    /// Tells whether an object is one of them.
    pub(super) fn matches(&self, key: &Key, object: &Object) -> bool {
        (self.namespace.is_empty() || *self.namespace == *key.namespace)
            && self.labels.iter().all(|requirement| requirement.matches(|label| object.label(label)))
            && fields::matches(&self.fields, key, object)
    }

    /// Tells whether all objects of the namespace are meant.
    pub(super) fn is_plain(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}
