//! The set of the fields that a value states.

use serde_json::Value;

use crate::ownership::element::Element;
use crate::ownership::set::{FieldSet, Node};
use crate::ownership::types::{Form, ListType, MapType, Type};

/// The set of the fields that a value states: all that can be owned by itself.
pub(crate) fn fields_of<'a>(value: &'a Value, ty: &'a Type) -> FieldSet<'a> {
    below(value, ty).1
}

/// Whether the value is owned as one, and what is owned below it.
fn below<'a>(value: &'a Value, ty: &'a Type) -> (bool, FieldSet<'a>) {
    match ty.form(value) {
        Form::Hidden => (false, FieldSet::default()),
        Form::Scalar(_) => (true, FieldSet::default()),
        Form::Map(map) if map.atomic => (true, FieldSet::default()),
        Form::List(list) if list.is_atomic() => (true, FieldSet::default()),
        Form::Map(map) => (false, of_map(value, map)),
        Form::List(list) => (false, of_list(value, list)),
    }
}

fn of_map<'a>(value: &'a Value, map: &'a MapType) -> FieldSet<'a> {
    let Value::Object(fields) = value else { return FieldSet::default() };
    let mut nodes = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let named = map.fields.get(name);
        let Some(ty) = named.map(|field| &*field.ty).or(map.element.as_deref()) else { continue };
        if matches!(ty, Type::Hidden) {
            continue;
        }
        let (whole, children) = below(value, ty);
        let empty = match value {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
        };
        let member = whole || empty || named.is_none();
        if member || !children.is_empty() {
            nodes.push(Node { element: Element::Field(name), member, children });
        }
    }
    FieldSet { nodes }
}

fn of_list<'a>(value: &'a Value, list: &'a ListType) -> FieldSet<'a> {
    let Value::Array(items) = value else { return FieldSet::default() };
    let node = |item: &'a Value| {
        let children = below(item, &list.element).1;
        Some(Node { element: list.element_of(item)?, member: true, children })
    };
    let mut nodes: Vec<_> = items.iter().filter_map(node).collect();
    nodes.sort_by(|a, b| a.element.cmp(&b.element));
    // Items of one identity are owned together, as one, without what is in them.
    nodes.dedup_by(|again, first| {
        let same = again.element == first.element;
        if same {
            first.children = FieldSet::default();
        }
        same
    });
    FieldSet { nodes }
}
