//! Strategic merge patch: a merge patch whose lists merge by what the kind says of them, with directives.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::PatchError;
use crate::golang;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// How a value and all below it is patched. The default: objects merge, lists are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strategy {
    /// The named fields of an object, or of the objects in a list.
    pub fields: BTreeMap<String, Strategy>,
    /// All other fields of an object.
    pub others: Option<Box<Strategy>>,
    /// How a list is patched.
    pub list: ListStrategy,
    /// True if an object is replaced as one.
    pub replaces: bool,
}

/// How a list is patched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListStrategy {
    /// The patch's list replaces it.
    #[default]
    Replace,
    /// Objects merge with those that have the same value in this field; scalars are added.
    Merge {
        /// The field; empty for scalars.
        key: String,
    },
}

static DEFAULT: Strategy =
    Strategy { fields: BTreeMap::new(), others: None, list: ListStrategy::Replace, replaces: false };

type Fields = Map<String, Value>;
type Outcome<T> = Result<T, PatchError>;

/// Patches an object.
pub fn strategic(target: Value, patch: &Value, strategy: &Strategy) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        if patch.is_null() {
            return Ok(target);
        }
        let found = golang::json_kind(patch);
        return Err(PatchError::Malformed(format!(
            "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        )));
    };
    let target = match target {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    merge_map(target, patch.clone(), strategy).map(Value::Object)
}

impl Strategy {
    fn below(&self, name: &str) -> &Self {
        self.fields.get(name).or(self.others.as_deref()).unwrap_or(&DEFAULT)
    }

    /// The field by which the objects of a list are told apart; `None` if the list is replaced.
    fn merge_key(&self) -> Option<&str> {
        match &self.list {
            ListStrategy::Replace => None,
            ListStrategy::Merge { key } => Some(key),
        }
    }
}

fn merge_map(mut original: Fields, mut patch: Fields, strategy: &Strategy) -> Outcome<Fields> {
    match patch.remove(DIRECTIVE) {
        None => {}
        Some(Value::String(directive)) if directive == "replace" => return Ok(patch),
        Some(Value::String(directive)) if directive == "delete" => return Ok(Map::new()),
        Some(other) => return Err(bad_directive(&other, &patch)),
    }
    if let Some(keys) = patch.remove(RETAIN_KEYS) {
        retain_keys(&mut original, &patch, &keys)?;
    }
    apply_orders(&mut original, &mut patch, strategy)?;
    for (name, value) in patch {
        let (name, is_delete_list) = match name.strip_prefix(DELETE_FROM) {
            Some(rest) => {
                let name = rest.strip_prefix('/').ok_or_else(|| {
                    PatchError::Malformed("invalid patch format of primitive list".to_owned())
                })?;
                (name.to_owned(), true)
            }
            None => (name, false),
        };
        if value.is_null() {
            original.remove(&name);
            continue;
        }
        let below = strategy.below(&name);
        let merged = match (original.remove(&name), value) {
            (None, _) if is_delete_list => continue,
            (Some(Value::Object(old)), Value::Object(new)) => {
                Some(Value::Object(if below.replaces { new } else { merge_map(old, new, below)? }))
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                Some(Value::Array(merge_list(old, new, below, is_delete_list)?))
            }
            (Some(old), _) if is_delete_list => Some(old),
            (_, value) => without_directives(without_nulls(value)),
        };
        if let Some(merged) = merged {
            original.insert(name, merged);
        }
    }
    Ok(original)
}

fn retain_keys(original: &mut Fields, patch: &Fields, keys: &Value) -> Outcome<()> {
    let bad = || PatchError::Malformed("invalid patch format of retainKeys".to_owned());
    let keys = keys.as_array().ok_or_else(bad)?;
    let kept = |name: &str| keys.iter().any(|key| key.as_str() == Some(name));
    for (name, value) in patch {
        if !value.is_null() && !name.starts_with(DELETE_FROM) && !name.starts_with(SET_ORDER) && !kept(name) {
            return Err(bad());
        }
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

/// Merges the lists for which the patch states an order, and brings them into it.
fn apply_orders(original: &mut Fields, patch: &mut Fields, strategy: &Strategy) -> Outcome<()> {
    let orders: Vec<String> = patch.keys().filter(|name| name.starts_with(SET_ORDER)).cloned().collect();
    for directive in orders {
        let bad = || PatchError::Malformed("invalid patch format of setElementOrder list".to_owned());
        let Some(Value::Array(order)) = patch.remove(&directive) else { return Err(bad()) };
        let name =
            directive.strip_prefix(SET_ORDER).and_then(|rest| rest.strip_prefix('/')).ok_or_else(bad)?;
        let below = strategy.below(name);
        let key = below.merge_key().unwrap_or_default();
        let list = |fields: &mut Fields| match fields.remove(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(bad()),
        };
        let (old, new) = (list(original)?, list(patch)?);
        check_order(new.as_deref().unwrap_or_default(), &order, key)?;
        let live = old.clone().unwrap_or_default();
        let merged = match (old, new) {
            (None, None) => continue,
            (Some(old), None) => old,
            (None, Some(new)) => new.into_iter().filter_map(without_directives).collect(),
            (Some(old), Some(new)) => merge_list(old, new, below, false)?,
        };
        original.insert(name.to_owned(), Value::Array(ordered(merged, &order, &live, key)?));
    }
    Ok(())
}

/// Checks that the items of a patch stand in the order that it states.
fn check_order(items: &[Value], order: &[Value], key: &str) -> Outcome<()> {
    if items.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut order_left = order.iter();
    let with_directive = |item: &&Value| item.get(DIRECTIVE).is_none();
    for item in items.iter().filter(with_directive) {
        if !order_left.any(|other| identity(other, key) == identity(item, key)) {
            return Err(unfit(&format!(
                "The order in patch list:\n{}\n doesn't match {SET_ORDER} list:\n{}\n",
                golang::plain(&Value::Array(items.to_vec())),
                golang::plain(&Value::Array(order.to_vec()))
            )));
        }
    }
    Ok(())
}

fn merge_list(old: Vec<Value>, new: Vec<Value>, strategy: &Strategy, is_delete: bool) -> Outcome<Vec<Value>> {
    if is_delete {
        return Ok(old.into_iter().filter(|item| !new.contains(item)).collect());
    }
    let Some(key) = strategy.merge_key() else { return Ok(new) };
    if old.is_empty() && new.is_empty() {
        return Ok(old);
    }
    same_kinds(&old, &new)?;
    if !old.iter().chain(&new).any(Value::is_object) {
        let mut merged: Vec<Value> = Vec::with_capacity(old.len() + new.len());
        for item in old.iter().chain(&new) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return ordered(merged, &new, &old, "");
    }
    if key.is_empty() {
        return Err(unfit("cannot merge lists without merge key for "));
    }
    let (mut merged, new) = apply_item_directives(old, new, key)?;
    let live = merged.clone();
    for item in &new {
        let wanted = item.get(key).ok_or_else(|| no_key(item, key))?;
        let place = merged.iter().position(|other| other.get(key) == Some(wanted));
        match (place.and_then(|at| merged.get_mut(at)), item) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                *old = merge_map(std::mem::take(old), new.clone(), strategy)?;
            }
            _ => merged.push(item.clone()),
        }
    }
    ordered(merged, &new, &live, key)
}

/// Lists of one kind of items only.
fn same_kinds(old: &[Value], new: &[Value]) -> Outcome<()> {
    let mut items = old.iter().chain(new);
    let Some(first) = items.next() else { return Ok(()) };
    if first.is_array() {
        return Err(PatchError::DoesNotApply("lists of lists are not supported".to_owned()));
    }
    if items.any(|item| std::mem::discriminant(item) != std::mem::discriminant(first)) {
        let lists = Value::Array(vec![Value::Array(old.to_vec()), Value::Array(new.to_vec())]);
        return Err(unfit(&format!("list element types are not identical: {}", golang::plain(&lists))));
    }
    Ok(())
}

/// Takes the items with directives out of a patch's list and does what they say.
fn apply_item_directives(
    mut old: Vec<Value>,
    new: Vec<Value>,
    key: &str,
) -> Outcome<(Vec<Value>, Vec<Value>)> {
    let mut plain = Vec::with_capacity(new.len());
    let mut replaces = false;
    for item in new {
        match item.get(DIRECTIVE) {
            None => plain.push(item),
            Some(Value::String(directive)) if directive == "delete" => {
                let wanted = item.get(key).ok_or_else(|| no_key(&item, key))?;
                old.retain(|other| other.get(key) != Some(wanted));
            }
            Some(Value::String(directive)) if directive == "replace" => replaces = true,
            Some(Value::String(directive)) if directive == "merge" => {
                return Err(unfit("merging lists cannot yet be specified in the patch"));
            }
            Some(other) => return Err(bad_directive(other, item.as_object().unwrap_or(&Map::new()))),
        }
    }
    Ok(if replaces { (plain, Vec::new()) } else { (old, plain) })
}

/// Brings items into the order of a patch; those that only live has stay where they stood among the others.
fn ordered(items: Vec<Value>, order: &[Value], live: &[Value], key: &str) -> Outcome<Vec<Value>> {
    if !key.is_empty()
        && let Some(item) = items.iter().find(|item| item.get(key).is_none())
    {
        return Err(no_key(item, key));
    }
    let place = |list: &[Value], item: &Value| {
        list.iter().position(|other| identity(other, key) == identity(item, key))
    };
    let (mut patched, mut server_only): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| place(order, item).is_some());
    patched.sort_by_key(|item| place(order, item));
    server_only.sort_by_key(|item| place(live, item));
    // Merge the two: an item of the server goes before the first of the patch that stood behind it.
    let mut out = Vec::with_capacity(patched.len() + server_only.len());
    let mut server_only = server_only.into_iter().peekable();
    for item in patched {
        let at = place(live, &item);
        while let Some(before) = server_only.next_if(|other| match (place(live, other), at) {
            (Some(other), Some(at)) => other < at,
            _ => false,
        }) {
            out.push(before);
        }
        out.push(item);
    }
    out.extend(server_only);
    Ok(out)
}

fn identity<'v>(item: &'v Value, key: &str) -> Option<&'v Value> {
    if key.is_empty() { Some(item) } else { item.get(key) }
}

/// A value without the objects that are directives; `None` if it is one itself.
fn without_directives(value: Value) -> Option<Value> {
    Some(match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => return None,
        Value::Object(fields) => Value::Object(
            fields.into_iter().filter_map(|(name, value)| Some((name, without_directives(value)?))).collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().filter_map(without_directives).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    })
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn unfit(message: &str) -> PatchError {
    PatchError::Internal(message.to_owned())
}

fn no_key(item: &Value, key: &str) -> PatchError {
    unfit(&format!("map: {} does not contain declared merge key: {key}", golang::plain(item)))
}

fn bad_directive(directive: &Value, item: &Fields) -> PatchError {
    let mut item = item.clone();
    item.insert(DIRECTIVE.to_owned(), directive.clone());
    unfit(&format!(
        "unknown patch type: {} in map: {}",
        golang::plain(directive),
        golang::plain(&Value::Object(item))
    ))
}
