//! Comparing a live object with what an apply would make of it, by the fields that are ours (Argo CD: server-side diff).
//!
//! The API server says what an apply would give: a dry run. Of both objects only the paths count that we own now or would
//! own then, so what others and admission add is no difference, and no schema is needed. Ignored differences are left out of
//! both. Values of a Secret are masked before anything else is done with them: nobody outside of this module sees one.

mod ignore;
mod jq;
mod owned;
mod path;
mod report;
mod respect;
mod stated;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use self::ignore::{IgnoreError, IgnoreRule, Ignored};
pub use self::jq::{JqError, TooManySteps};
use self::owned::Owned;
use self::path::remove_all;
pub use self::report::{Change, DIFF_LIMIT, DiffReport, FieldDiff, ObjectDiff};
pub use self::respect::respect;
pub use self::stated::stated;
use crate::ids::Digest;
use crate::key::ResourceKey;
use crate::{json, manifest, mask, ownership, tracking};

/// An object as far as it is known to be compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compared<'a> {
    /// The body that would be applied; absent for an object that is not desired.
    pub sent: Option<&'a Value>,
    /// The live object; absent when it is not there.
    pub live: Option<&'a Value>,
    /// What an apply of the body would make of the live object, by a dry run; only where both are there.
    pub predicted: Option<&'a Value>,
}

/// How an object is compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manner {
    /// What is left out.
    pub ignored: Ignored,
    /// Whether a field that is as it should be, and is not ours any more, differs as well: whoever has it may change it
    /// unseen.
    pub strict: bool,
}

/// What a comparison says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// How the object differs, without values of a Secret; absent when it does not.
    pub difference: Option<ObjectDiff>,
    /// Fingerprint of our own fields of the live object.
    pub fingerprint: Option<Digest>,
    /// Its version; zero when it is not there, or has none that is a number.
    pub resource_version: u64,
    /// A value that was ours is ignored in part, and others have it now: changes of its other parts leave no trace in the
    /// fingerprint.
    pub partial: bool,
}

/// A field whose value differs: its path, its live value, its desired one.
pub(crate) type Difference = (String, Option<Value>, Option<Value>);

/// Compares an object.
pub fn compare(key: &ResourceKey, compared: Compared<'_>, manner: &Manner) -> Comparison {
    let metadata = compared.live.and_then(|live| live.get("metadata"));
    let version = metadata.and_then(|metadata| json::text_at(metadata, &["resourceVersion"]));
    let mut partial = false;
    let manager = tracking::manager_of(&key.part);
    Comparison {
        difference: difference(key, compared, manner, &mut partial),
        fingerprint: metadata.and_then(|metadata| ownership::fingerprint(metadata, &manager)),
        resource_version: version.and_then(|version| version.parse().ok()).unwrap_or_default(),
        partial,
    }
}

fn difference(
    key: &ResourceKey,
    compared: Compared<'_>,
    manner: &Manner,
    partial: &mut bool,
) -> Option<ObjectDiff> {
    let secret = key.group_kind().is_secret();
    let mut live = compared.live.cloned();
    let mut desired = compared.predicted.or(compared.sent).cloned();
    if secret {
        let mut states: Vec<&mut Value> = desired.iter_mut().chain(live.iter_mut()).collect();
        mask::hide(&mut states);
    }
    match (live, desired, compared.predicted) {
        (Some(live), Some(predicted), Some(_)) => {
            match differences(key, (&live, &predicted), manner, partial) {
                Ok(found) => (!found.is_empty()).then(|| ObjectDiff::changed(key.clone(), found)),
                Err(error) => Some(ObjectDiff::unknown(key.clone(), error.to_string())),
            }
        }
        // A body that was not tried says nothing of what is there.
        (Some(_), Some(_), None) => {
            Some(ObjectDiff::unknown(key.clone(), "it was not applied on trial".to_owned()))
        }
        (Some(live), None, _) => Some(ObjectDiff::extra(key.clone(), shown(live))),
        (None, Some(sent), _) => Some(ObjectDiff::missing(key.clone(), shown(sent))),
        (None, None, _) => None,
    }
}

/// Lists what differs between a live object and what an apply would make of it, in the paths that we own before or after.
fn differences(
    key: &ResourceKey,
    (live, predicted): (&Value, &Value),
    manner: &Manner,
    partial: &mut bool,
) -> Result<Vec<Difference>, IgnoreError> {
    let manager = tracking::manager_of(&key.part);
    let (before, after) = (Owned::by_us(live, &manager), Owned::by_us(predicted, &manager));
    let ignored = manner.ignored.places(predicted, live)?;
    let mut found = Vec::new();
    if manner.strict {
        let mut ours = Vec::new();
        after.places(predicted, &mut ours);
        for place in ours.into_iter().filter(|place| !before.owns(place, predicted)) {
            if ignored.iter().any(|ignored| place.is_within(ignored)) {
                continue;
            }
            if ignored.iter().any(|ignored| ignored.is_within(&place)) {
                *partial = true;
                continue;
            }
            found.push((place.to_string(), None, place.of(predicted).cloned()));
        }
    }
    let (mut there, mut then) = (live.clone(), predicted.clone());
    remove_all(&mut there, manner.ignored.places(live, live)?);
    remove_all(&mut then, ignored);
    before.union(after).differences(&there, &then, &mut found);
    Ok(found)
}

/// Makes of a body one that is applied on trial to exactly the object that was seen: if that changes meanwhile, the API
/// server says so instead of answering about another one.
pub fn on_trial(sent: &Value, live: &Value) -> Value {
    let mut body = sent.clone();
    if let Some(Value::Object(metadata)) = body.get_mut("metadata") {
        for name in ["uid", "resourceVersion"] {
            if let Some(value) = live.pointer(&format!("/metadata/{name}")) {
                metadata.insert(name.to_owned(), value.clone());
            }
        }
    }
    body
}

/// Gives of a whole object what people compare: without what the API server and controllers write.
fn shown(mut object: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            for field in manifest::SERVER_METADATA {
                metadata.remove(field);
            }
        }
    }
    object
}
