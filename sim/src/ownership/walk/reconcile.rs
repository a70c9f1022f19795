//! Sets that were written under an older schema: what has become atomic since is owned as one.

use serde_json::Value;

use crate::ownership::element::Element;
use crate::ownership::set::FieldSet;
use crate::ownership::types::Type;

/// Brings a set to the schema of now.
pub(crate) fn reconcile(set: &mut FieldSet<'_>, ty: &Type) {
    for node in &mut set.nodes {
        if node.children.is_empty() {
            continue;
        }
        let below = match &node.element {
            Element::Field(name) => ty.as_map().and_then(|map| map.below(name)),
            Element::Key(_) | Element::Value(_) | Element::Index(_) => {
                ty.as_list().map(|list| &*list.element)
            }
        };
        let Some(below) = below else { continue };
        if is_atomic(below) {
            node.member = true;
            node.children = FieldSet::default();
        } else {
            reconcile(&mut node.children, below);
        }
    }
}

/// True if [`reconcile`] has something to do with the set that a `fieldsV1` states.
pub(crate) fn is_outdated(fields: &Value, ty: &Type) -> bool {
    if matches!(ty, Type::Deduced) {
        return false;
    }
    let Some(fields) = fields.as_object() else { return false };
    fields.iter().any(|(key, value)| {
        if value.as_object().is_none_or(serde_json::Map::is_empty) {
            return false;
        }
        let below = match key.strip_prefix("f:") {
            Some(name) => ty.as_map().and_then(|map| map.below(name)),
            None => ty.as_list().map(|list| &*list.element),
        };
        below.is_some_and(|below| is_atomic(below) || is_outdated(value, below))
    })
}

/// True if a value of the type is owned as one.
fn is_atomic(ty: &Type) -> bool {
    match ty {
        Type::Map(map) | Type::Any(map) => map.atomic,
        Type::List(list) => list.is_atomic(),
        Type::Atomic => true,
        Type::Scalar(_) | Type::Resource(_) | Type::Deduced | Type::Hidden => false,
    }
}
