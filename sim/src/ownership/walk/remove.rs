//! The removal of fields and items from a value.

use serde_json::{Map, Value};

use crate::ownership::element::Element;
use crate::ownership::set::{FieldSet, Node};
use crate::ownership::types::{Form, Type};

/// The value without what the set names; a container that loses all it had is null.
pub(crate) fn remove(value: &Value, set: &FieldSet<'_>, ty: &Type) -> Value {
    if set.is_empty() {
        return value.clone();
    }
    match ty.form(value) {
        Form::Hidden | Form::Scalar(_) => value.clone(),
        Form::Map(map) => {
            let Some(fields) = value.as_object().filter(|_| !map.atomic) else { return Value::Null };
            let mut out = Map::new();
            for (name, value) in fields {
                let node = set.get(&Element::Field(name));
                if node.is_some_and(|node| node.member) {
                    continue;
                }
                let kept = match (node, map.below(name)) {
                    (Some(node), Some(ty)) => remove(value, &node.children, ty),
                    _ => value.clone(),
                };
                out.insert(name.clone(), kept);
            }
            if out.is_empty() { Value::Null } else { Value::Object(out) }
        }
        Form::List(list) => {
            let Some(items) = value.as_array().filter(|_| !list.is_atomic()) else { return Value::Null };
            let mut out = Vec::with_capacity(items.len());
            for item in items {
                let element = list.element_of(item);
                let node = element.and_then(|element| set.get(&element));
                match node {
                    Some(node) if node.member => {}
                    Some(node) => out.push(remove(item, &node.children, &list.element)),
                    None => out.push(item.clone()),
                }
            }
            if out.is_empty() { Value::Null } else { Value::Array(out) }
        }
    }
}

/// The set with the named fields on the way to its paths, which sets otherwise leave out.
pub(crate) fn with_named_fields<'a>(set: &FieldSet<'a>, ty: Option<&Type>) -> FieldSet<'a> {
    let map = ty.and_then(Type::as_map);
    let nodes = set.nodes.iter().map(|node| {
        let named = match &node.element {
            Element::Field(name) => {
                !node.children.is_empty() && map.is_some_and(|map| map.fields.contains_key(*name))
            }
            Element::Key(_) | Element::Value(_) | Element::Index(_) => false,
        };
        Node {
            element: node.element.clone(),
            member: node.member || named,
            children: with_named_fields(&node.children, ty.and_then(|ty| ty.below(&node.element))),
        }
    });
    FieldSet { nodes: nodes.collect() }
}
