//! Which objects a request is about: label and field selectors.

mod fields;
mod labels;

pub(crate) use self::labels::{Requirement, from_selector};

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
            labels: labels::parse(label_selector)
                .map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))?,
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
