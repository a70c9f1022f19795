//! What an apply no longer states: it goes, unless somebody else owns it.

use serde_json::Value;

use super::fields::fields_of;
use super::remove::{remove, with_named_fields};
use crate::ownership::element::Element;
use crate::ownership::set::{FieldSet, Node};
use crate::ownership::types::Type;

/// Takes from a merged value what a manager applied last time (`last`), does not apply now (`set`), and none of
/// the others owns.
///
/// Works in the innermost containers that lose something: all that the manager still applies stays, and so does
/// all around it.
pub(crate) fn prune(
    value: &mut Value,
    ty: &Type,
    last: &FieldSet<'_>,
    set: &FieldSet<'_>,
    others: &[&FieldSet<'_>],
) {
    let differing: Vec<_> = last.nodes.iter().filter_map(|node| differing(node, set)).collect();
    if differing.is_empty() {
        return;
    }
    let mut dropped = differing.iter().filter(|(_, now)| now.is_none()).map(|(node, _)| *node);
    if !dropped.all(|node| goes_whole(node, ty, others)) || !has_no_repetition(value, ty) {
        *value = pruned(value, ty, last, set, others);
        return;
    }
    let mut taken = false;
    for (node, now) in differing {
        let Some(now) = now else {
            taken |= take(value, ty, &node.element);
            continue;
        };
        let Some(below) = ty.below(&node.element) else { continue };
        let Some(inner) = select(value, ty, &node.element) else { continue };
        let others: Vec<_> =
            others.iter().filter_map(|set| set.get(&node.element)).map(|node| &node.children).collect();
        prune(inner, below, &node.children, &now.children, &others);
    }
    let empty = match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if taken && empty {
        *value = Value::Null;
    }
}

/// True if what is not applied any more goes with all that is in it: it was applied itself, and nobody else has
/// to do with it.
fn goes_whole(node: &Node<'_>, ty: &Type, others: &[&FieldSet<'_>]) -> bool {
    let named = match &node.element {
        Element::Field(name) => ty.as_map().is_some_and(|map| map.fields.contains_key(*name)),
        Element::Key(_) | Element::Value(_) | Element::Index(_) => false,
    };
    (node.member || named) && others.iter().all(|set| set.get(&node.element).is_none())
}

/// Takes the part of a value that an element names; false if there is none.
fn take(value: &mut Value, ty: &Type, element: &Element<'_>) -> bool {
    match (value, element) {
        (Value::Object(fields), Element::Field(name)) => fields.remove(*name).is_some(),
        (Value::Array(items), Element::Key(_) | Element::Value(_)) => {
            let Some(list) = ty.as_list() else { return false };
            let before = items.len();
            items.retain(|item| list.element_of(item).as_ref() != Some(element));
            items.len() < before
        }
        _ => false,
    }
}

/// The node, if not all of it is in the other set, with what the other set has in its place.
fn differing<'l, 's, 'a, 'b>(
    node: &'l Node<'a>,
    set: &'s FieldSet<'b>,
) -> Option<(&'l Node<'a>, Option<&'s Node<'b>>)> {
    match set.get(&node.element) {
        None => Some((node, None)),
        Some(now) if (!node.member || now.member) && node.children.is_subset(&now.children) => None,
        Some(now) => Some((node, Some(now))),
    }
}

/// The part of a value that an element names.
fn select<'v>(value: &'v mut Value, ty: &Type, element: &Element<'_>) -> Option<&'v mut Value> {
    match element {
        Element::Field(name) => value.get_mut(*name),
        Element::Key(_) => {
            let list = ty.as_list()?;
            let at =
                value.as_array()?.iter().position(|item| list.element_of(item).as_ref() == Some(element))?;
            value.get_mut(at)
        }
        Element::Value(_) | Element::Index(_) => None,
    }
}

/// True if no two items of a list have the same identity.
fn has_no_repetition(value: &Value, ty: &Type) -> bool {
    let (Some(list), Some(items)) = (ty.as_list(), value.as_array()) else { return true };
    let mut elements: Vec<_> = items.iter().filter_map(|item| list.element_of(item)).collect();
    elements.sort();
    elements.windows(2).all(|pair| matches!(pair, [a, b] if a != b))
}

/// The value without what is not applied any more, by the API server's own three steps: all that was applied
/// goes, what anybody owns comes back, and so does what the manager had never applied.
fn pruned(
    value: &Value,
    ty: &Type,
    last: &FieldSet<'_>,
    set: &FieldSet<'_>,
    others: &[&FieldSet<'_>],
) -> Value {
    let last = with_named_fields(last, Some(ty));
    let all = with_named_fields(&fields_of(value, ty), Some(ty));

    let unapplied = remove(value, &last, ty);
    let mut kept = with_named_fields(&fields_of(&unapplied, ty), Some(ty));
    for owned in [set].iter().chain(others) {
        kept = kept.union(&with_named_fields(owned, Some(ty)));
    }
    let owned = remove(value, &all.clone().difference(&kept), ty);

    let kept = with_named_fields(&fields_of(&owned, ty), Some(ty));
    remove(value, &all.difference(&kept).intersection(&last), ty)
}
