//! Secret values, replaced so that equality stays visible and nothing else (Argo CD: `HideSecretData`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Stands for a value; each further distinct value of the same key has [`MORE`] more.
const MASK: &str = "++++++++";
/// What a further distinct value has more.
const MORE: &str = "++++";
/// Fields of a Secret that hold values.
const VALUES: [&str; 2] = ["data", "stringData"];
/// The annotation in which client-side apply keeps the whole object, values and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Masks every value of a Secret, in the desired object first.
pub(super) fn mask(mut desired: Option<&mut Value>, mut live: Option<&mut Value>) {
    for field in VALUES {
        mask_map(&mut desired, &mut live, |object| object.get_mut(field)?.as_object_mut(), |_| true);
    }
    let is_copy = |name: &str| name == LAST_APPLIED;
    mask_map(
        &mut desired,
        &mut live,
        |object| object.pointer_mut("/metadata/annotations")?.as_object_mut(),
        is_copy,
    );
}

/// Masks the values of one map in both objects.
fn mask_map(
    desired: &mut Option<&mut Value>,
    live: &mut Option<&mut Value>,
    map: impl for<'a> Fn(&'a mut Value) -> Option<&'a mut Map<String, Value>>,
    is_secret: impl Fn(&str) -> bool,
) {
    let mut maps: Vec<&mut Map<String, Value>> = Vec::new();
    maps.extend(desired.as_deref_mut().and_then(&map));
    maps.extend(live.as_deref_mut().and_then(&map));
    let names: BTreeSet<String> =
        maps.iter().flat_map(|map| map.keys()).filter(|name| is_secret(name)).cloned().collect();
    for name in names {
        let mut masks: BTreeMap<String, String> = BTreeMap::new();
        for value in maps.iter_mut().filter_map(|map| map.get_mut(&name)) {
            let next = format!("{MASK}{}", MORE.repeat(masks.len()));
            *value = Value::String(masks.entry(value.to_string()).or_insert(next).clone());
        }
    }
}
