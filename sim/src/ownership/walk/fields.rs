//! The set of the fields that a value states.

use serde_json::Value;

use crate::ownership::element::Element;
use crate::ownership::set::FieldSet;
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
    let mut set = FieldSet::default();
    let Value::Object(fields) = value else { return set };
    for (name, value) in fields {
        let named = map.fields.get(name);
        let Some(ty) = named.map(|field| &*field.ty).or(map.element.as_deref()) else { continue };
        let (whole, children) = below(value, ty);
        let empty = match value {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
        };
        let hidden = matches!(ty, Type::Hidden);
        set.add(Element::Field(name), !hidden && (whole || empty || named.is_none()), children);
    }
    set
}

fn of_list<'a>(value: &'a Value, list: &'a ListType) -> FieldSet<'a> {
    let mut set = FieldSet::default();
    let Value::Array(items) = value else { return set };
    let elements: Vec<_> = items.iter().map(|item| list.element_of(item)).collect();
    for (item, element) in items.iter().zip(&elements) {
        let Some(element) = element else { continue };
        // Items of one identity are owned together, as one, without what is in them.
        if set.get(element).is_some() {
            let node = set.entry(element.clone());
            node.children = FieldSet::default();
        } else {
            set.add(element.clone(), true, below(item, &list.element).1);
        }
    }
    set
}
