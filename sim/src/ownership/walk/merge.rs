//! The merge of a configuration into what is there.

use serde_json::{Map, Value};

use super::equal::equal;
use crate::ownership::element::Element;
use crate::ownership::types::{Form, ListType, MapType, Type};

/// What is there with the configuration over it; nothing is taken away.
pub(crate) fn merge(live: Option<&Value>, config: &Value, ty: &Type) -> Value {
    let Some(live) = live else { return config.clone() };
    match ty.form(config) {
        Form::Hidden => live.clone(),
        Form::Scalar(_) => config.clone(),
        Form::Map(map) => merge_map(live, config, map),
        Form::List(list) => merge_list(live, config, list),
    }
}

fn merge_map(live: &Value, config: &Value, map: &MapType) -> Value {
    let mine = live.as_object().filter(|fields| !fields.is_empty());
    let theirs = config.as_object().filter(|fields| !fields.is_empty());
    match (mine, theirs) {
        _ if map.atomic => config.clone(),
        (None, _) => config.clone(),
        (Some(_), None) => live.clone(),
        (Some(mine), Some(theirs)) => {
            let mut out = Map::new();
            for (name, value) in mine {
                match (theirs.get(name), map.below(name)) {
                    (_, Some(Type::Hidden)) => {}
                    (Some(over), Some(ty)) => {
                        out.insert(name.clone(), merge(Some(value), over, ty));
                    }
                    (Some(over), None) => {
                        out.insert(name.clone(), over.clone());
                    }
                    (None, _) => {
                        out.insert(name.clone(), value.clone());
                    }
                }
            }
            for (name, value) in theirs {
                if !mine.contains_key(name) {
                    out.insert(name.clone(), value.clone());
                }
            }
            Value::Object(out)
        }
    }
}

fn merge_list(live: &Value, config: &Value, list: &ListType) -> Value {
    let mine = live.as_array().filter(|items| !items.is_empty());
    let theirs = config.as_array().filter(|items| !items.is_empty());
    match (mine, theirs) {
        _ if list.is_atomic() => config.clone(),
        (None, _) => config.clone(),
        (Some(_), None) => live.clone(),
        (Some(_), Some(_)) if equal(live, config) => config.clone(),
        (Some(mine), Some(theirs)) => Value::Array(merge_items(mine, theirs, list)),
    }
}

/// The items of one side, with a way to find them by their identity.
struct Side<'a> {
    items: &'a [Value],
    elements: Vec<Option<Element<'a>>>,
    /// Places in `items`, sorted by identity and then by place.
    order: Vec<usize>,
}

impl<'a> Side<'a> {
    fn new(items: &'a [Value], list: &'a ListType) -> Self {
        let elements: Vec<_> = items.iter().map(|item| list.element_of(item)).collect();
        let mut order: Vec<_> = (0..items.len()).collect();
        order.sort_by(|a, b| elements.get(*a).cmp(&elements.get(*b)).then(a.cmp(b)));
        Self { items, elements, order }
    }

    fn element(&self, at: usize) -> Option<&Element<'a>> {
        self.elements.get(at)?.as_ref()
    }

    /// The items of an identity: the place of the first, and whether there are more.
    fn find(&self, element: &Element<'_>) -> Option<(usize, bool)> {
        let same = |at: &usize| self.element(*at).is_some_and(|other| other == element);
        let start = self.order.partition_point(|at| self.element(*at).is_none_or(|other| other < element));
        let first = self.order.get(start).copied().filter(same)?;
        Some((first, self.order.get(start + 1).is_some_and(same)))
    }

    fn has(&self, element: &Element<'_>) -> bool {
        self.find(element).is_some()
    }

    /// The item of an identity; null where there are several, which no configuration merges with.
    fn item(&self, element: &Element<'_>) -> Option<&'a Value> {
        const MANY: &Value = &Value::Null;
        let (first, many) = self.find(element)?;
        if many { Some(MANY) } else { self.items.get(first) }
    }
}

/// Merges two lists: the items of the configuration in its order, between them those that only live has.
fn merge_items(mine: &[Value], theirs: &[Value], list: &ListType) -> Vec<Value> {
    let left = Side::new(mine, list);
    let right = Side::new(theirs, list);
    let mut shared = (0..theirs.len()).filter(|at| right.element(*at).is_some_and(|e| left.has(e)));
    let mut next_shared = shared.next();
    let mut merged = vec![false; theirs.len()];
    let mut out = Vec::with_capacity(mine.len().max(theirs.len()));
    let take = |at: usize, merged: &mut Vec<bool>, out: &mut Vec<Value>| {
        if let Some(flag) = merged.get_mut(at) {
            *flag = true;
        }
        if let (Some(element), Some(item)) = (right.element(at), theirs.get(at)) {
            out.push(merge(left.item(element), item, &list.element));
        }
    };
    let (mut l, mut r) = (0, 0);
    while l < mine.len() || r < theirs.len() {
        if let (Some(ours), true) = (left.element(l), r < theirs.len()) {
            if right.element(r) == Some(ours) {
                take(r, &mut merged, &mut out);
                (l, r) = (l + 1, r + 1);
                next_shared = shared.next();
                continue;
            }
            // An item that both have, but not the one whose turn it is.
            if right.has(ours) && next_shared.is_some_and(|at| right.element(at) != Some(ours)) {
                l += 1;
                continue;
            }
        }
        if let (Some(item), Some(ours)) = (mine.get(l), left.element(l)) {
            match right.find(ours) {
                None => {
                    out.push(item.clone());
                    l += 1;
                    continue;
                }
                Some((at, _)) if merged.get(at).copied().unwrap_or_default() => l += 1,
                Some(_) => {}
            }
        } else if l < mine.len() {
            l += 1;
        }
        if r < theirs.len() {
            take(r, &mut merged, &mut out);
            if next_shared == Some(r) {
                next_shared = shared.next();
            }
            r += 1;
        }
    }
    out
}
