//! The difference between two states of an object, as sets of fields.

use serde_json::Value;

use super::equal::equal;
use crate::ownership::element::Element;
use crate::ownership::set::FieldSet;
use crate::ownership::types::{Form, ListType, MapType, Type};

/// What a new state of an object changes.
#[derive(Debug, Default, Clone)]
pub(crate) struct Changes<'a> {
    pub(crate) removed: FieldSet<'a>,
    pub(crate) modified: FieldSet<'a>,
    pub(crate) added: FieldSet<'a>,
}

/// What happened to one path by itself.
#[derive(Debug, Default, Clone, Copy)]
struct Own {
    removed: bool,
    modified: bool,
    added: bool,
}

// === impl Changes ===

impl<'a> Changes<'a> {
    /// Leaves out these fields and all below them.
    #[must_use]
    pub(crate) fn excluding(self, fields: &FieldSet<'_>) -> Self {
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }

    /// Adds what is below an element; elements come in their order.
    fn attach(&mut self, element: &Element<'a>, own: Own, below: Changes<'a>) {
        let add = |set: &mut FieldSet<'a>, member: bool, children: FieldSet<'a>| {
            if member || !children.is_empty() {
                set.add(element.clone(), member, children);
            }
        };
        add(&mut self.removed, own.removed, below.removed);
        add(&mut self.modified, own.modified, below.modified);
        add(&mut self.added, own.added, below.added);
    }
}

/// Compares two states of an object; `None` is an object that is not there.
pub(crate) fn compare<'a>(old: Option<&'a Value>, new: Option<&'a Value>, ty: &'a Type) -> Changes<'a> {
    let mut changes = Changes::default();
    walk(old, new, ty, &mut changes);
    changes
}

fn walk<'a>(old: Option<&'a Value>, new: Option<&'a Value>, ty: &'a Type, changes: &mut Changes<'a>) -> Own {
    let mut own = Own::default();
    let leaf = match (old, new) {
        (None, None) => return own,
        (Some(value), None) | (None, Some(value)) => handle(ty.form(value), old, new, &mut own, changes),
        (Some(a), Some(b)) => {
            let (before, after) = (ty.form(a), ty.form(b));
            if !before.same(after) {
                handle(before, old, new, &mut own, changes);
            }
            handle(after, old, new, &mut own, changes)
        }
    };
    if !leaf {
        own.added |= old.is_none();
        own.removed |= new.is_none();
    }
    own
}

/// Handles both states in one form; true if the path is a leaf.
fn handle<'a>(
    form: Form<'a>,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    own: &mut Own,
    changes: &mut Changes<'a>,
) -> bool {
    match form {
        Form::Hidden => true,
        Form::Scalar(_) => leaf(old, new, own),
        Form::Map(map) => {
            let (a, b) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            if map.atomic
                || (a.is_none_or(serde_json::Map::is_empty) && b.is_none_or(serde_json::Map::is_empty))
            {
                return leaf(old, new, own);
            }
            walk_map(a, b, map, changes);
            false
        }
        Form::List(list) => {
            let (a, b) = (old.and_then(Value::as_array), new.and_then(Value::as_array));
            if list.is_atomic() || (a.is_none_or(Vec::is_empty) && b.is_none_or(Vec::is_empty)) {
                return leaf(old, new, own);
            }
            let same = old.zip(new).is_some_and(|(old, new)| equal(old, new));
            if !same {
                walk_list(a.map_or(&[], Vec::as_slice), b.map_or(&[], Vec::as_slice), list, changes);
            }
            false
        }
    }
}

fn leaf(old: Option<&Value>, new: Option<&Value>, own: &mut Own) -> bool {
    match (old, new) {
        (None, _) => own.added = true,
        (_, None) => own.removed = true,
        (Some(a), Some(b)) => own.modified |= !equal(a, b),
    }
    true
}

type Fields = serde_json::Map<String, Value>;

fn walk_map<'a>(a: Option<&'a Fields>, b: Option<&'a Fields>, map: &'a MapType, changes: &mut Changes<'a>) {
    let mut step = |name: &'a str, old: Option<&'a Value>, new: Option<&'a Value>| {
        let Some(ty) = map.below(name) else { return };
        if matches!(ty, Type::Hidden) {
            return;
        }
        let mut below = Changes::default();
        let own = walk(old, new, ty, &mut below);
        changes.attach(&Element::Field(name), own, below);
    };
    let mut before = a.into_iter().flatten().peekable();
    for (name, new) in b.into_iter().flatten() {
        while let Some((gone, old)) = before.next_if(|(other, _)| *other < name) {
            step(gone, Some(old), None);
        }
        let old = before.next_if(|(other, _)| *other == name).map(|(_, old)| old);
        step(name, old, Some(new));
    }
    for (gone, old) in before {
        step(gone, Some(old), None);
    }
}

/// The items of one identity on both sides.
struct Pair<'a> {
    element: Element<'a>,
    old: Vec<&'a Value>,
    new: Vec<&'a Value>,
}

fn walk_list<'a>(a: &'a [Value], b: &'a [Value], list: &'a ListType, changes: &mut Changes<'a>) {
    for pair in pairs(a, b, list) {
        let Pair { element, old, new } = pair;
        let mut below = Changes::default();
        let mut own = Own::default();
        match (old.as_slice(), new.as_slice()) {
            ([] | [_], [] | [_]) => {
                own = walk(old.first().copied(), new.first().copied(), &list.element, &mut below);
            }
            ([_, _, ..], [_, _, ..]) => {
                own.modified = old.len() != new.len() || old.iter().zip(&new).any(|(a, b)| !equal(a, b));
            }
            ([_, _, ..], rest) => {
                own = walk(None, rest.first().copied(), &list.element, &mut below);
                own.removed = true;
            }
            (rest, [_, _, ..]) => {
                own = walk(rest.first().copied(), None, &list.element, &mut below);
                own.added = true;
            }
        }
        changes.attach(&element, own, below);
    }
}

fn pairs<'a>(a: &'a [Value], b: &'a [Value], list: &'a ListType) -> Vec<Pair<'a>> {
    let mut all: Vec<(Element<'a>, bool, &'a Value)> = Vec::with_capacity(a.len() + b.len());
    for (items, is_new) in [(a, false), (b, true)] {
        all.extend(items.iter().filter_map(|item| Some((list.element_of(item)?, is_new, item))));
    }
    all.sort_by(|(a, _, _), (b, _, _)| a.cmp(b));
    let mut pairs: Vec<Pair<'a>> = Vec::with_capacity(a.len().max(b.len()));
    for (element, is_new, item) in all {
        if pairs.last().is_none_or(|pair| pair.element != element) {
            pairs.push(Pair { element, old: Vec::new(), new: Vec::new() });
        }
        if let Some(pair) = pairs.last_mut() {
            if is_new { pair.new.push(item) } else { pair.old.push(item) }
        }
    }
    pairs
}
