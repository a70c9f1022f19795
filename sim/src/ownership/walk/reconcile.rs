//! Sets that were written under an older schema: what has become atomic since is owned as one.

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
        let atomic = match below {
            Type::Map(map) | Type::Any(map) => map.atomic,
            Type::List(list) => list.is_atomic(),
            Type::Atomic => true,
            Type::Scalar(_) | Type::Resource(_) | Type::Deduced | Type::Hidden => false,
        };
        if atomic {
            node.member = true;
            node.children = FieldSet::default();
        } else if !matches!(below, Type::Deduced | Type::Scalar(_)) {
            reconcile(&mut node.children, below);
        }
    }
}
