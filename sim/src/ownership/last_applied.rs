//! The move from client-side to server-side apply: what the annotation of `kubectl apply` states was `kubectl`'s.

use serde_json::Value;

use super::Writer;
use super::conflict::Conflicts;
use super::entries::Id;
use super::set::FieldSet;
use super::types::Type;
use super::walk::{Duplicates, compare, fields_of, validate};
use crate::golang;

/// The only manager for which the annotation counts.
const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The most that the annotations of an object may hold together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// True if all conflicts are over fields that the annotation states as they are live.
pub(super) fn allows(live: &Value, ty: &Type, writer: &Writer<'_>, sets: &[(Id<'_>, FieldSet<'_>)]) -> bool {
    with_allowed(live, ty, writer, |allowed| sets.iter().all(|(_, set)| set.is_subset(allowed)))
        .unwrap_or_default()
}

/// The conflicts that the annotation does not allow.
pub(super) fn remaining(
    live: &Value,
    ty: &Type,
    writer: &Writer<'_>,
    sets: Vec<(Id<'_>, FieldSet<'_>)>,
) -> Conflicts {
    let mut sets = sets;
    with_allowed(live, ty, writer, |allowed| {
        for (_, set) in &mut sets {
            *set = std::mem::take(set).difference(allowed);
        }
    });
    Conflicts::of(sets)
}

/// Calls with the fields that the annotation states as they are live; `None` where it does not count.
fn with_allowed<T>(
    live: &Value,
    ty: &Type,
    writer: &Writer<'_>,
    call: impl FnOnce(&FieldSet<'_>) -> T,
) -> Option<T> {
    if writer.manager != KUBECTL {
        return None;
    }
    let text = live.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()?;
    let stated: Value = serde_json::from_str(text).ok()?;
    if stated.get("apiVersion").and_then(Value::as_str) != Some(writer.api_version) {
        return None;
    }
    validate(&stated, ty, Duplicates::Refused).ok()?;
    validate(live, ty, Duplicates::Refused).ok()?;
    let changes = compare(Some(&stated), Some(live), ty);
    let allowed = fields_of(&stated, ty)
        .difference(&changes.modified)
        .difference(&changes.added)
        .difference(&changes.removed);
    Some(call(&allowed))
}

/// Keeps the annotation true where an object has it and `kubectl` applies.
pub(super) fn renew(object: &mut Value, config: &Value, writer: &Writer<'_>) {
    if writer.manager != KUBECTL {
        return;
    }
    let annotations = object.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"));
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else { return };
    if annotations.get(ANNOTATION).and_then(Value::as_str).is_none_or(str::is_empty) {
        return;
    }
    let mut stated = config.clone();
    let stated_annotations = stated
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(Value::as_object_mut);
    if let Some(stated_annotations) = stated_annotations {
        stated_annotations.remove(ANNOTATION);
    }
    let mut text = String::new();
    golang::write_json(&stated, &mut text);
    text.push('\n');
    let others: usize = annotations
        .iter()
        .filter(|(name, _)| *name != ANNOTATION)
        .map(|(name, value)| name.len() + value.as_str().map_or(0, str::len))
        .sum();
    if others + ANNOTATION.len() + text.len() > MAX_ANNOTATIONS {
        annotations.remove(ANNOTATION);
    } else {
        annotations.insert(ANNOTATION.to_owned(), Value::String(text));
    }
}
