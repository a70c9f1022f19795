//! Secrets as they are shown: their values are hidden before they leave the machine that holds them, and which of them
//! are equal stays visible (Argo CD: `HideSecretData`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::json;

/// What stands for a value; every further distinct one of the same key is [`LONGER`] longer.
const HIDDEN: &str = "++++++++";
/// What tells the next distinct value from the one before.
const LONGER: &str = "++++";
/// Fields of a Secret that hold values.
const FIELDS: [&str; 2] = ["data", "stringData"];
/// Annotation with a whole object in it, values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Hides the values of a Secret in each of its states, such as what is desired and what is live: equal values of one key
/// stay equal. Objects of other kinds are the caller's to leave out.
pub fn hide(states: &mut [&mut Value]) {
    for field in FIELDS {
        let mut words: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for state in states.iter_mut() {
            let Some(found) = state.get_mut(field) else { continue };
            let Value::Object(values) = found else {
                *found = Value::String(HIDDEN.to_owned());
                continue;
            };
            for (key, value) in values {
                hide_one(value, words.entry(key.clone()).or_default());
            }
        }
    }
    let mut words = Vec::new();
    for state in states.iter_mut() {
        let annotations = state.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"));
        if let Some(value) = annotations.and_then(|annotations| annotations.get_mut(LAST_APPLIED)) {
            hide_one(value, &mut words);
        }
    }
}

/// Hides one value, given the distinct ones of its key so far.
fn hide_one(value: &mut Value, seen: &mut Vec<Value>) {
    let place = seen.iter().position(|one| one == value).unwrap_or(seen.len());
    let shown = format!("{HIDDEN}{}", LONGER.repeat(place));
    let hidden = std::mem::replace(value, Value::String(shown));
    if place == seen.len() {
        seen.push(hidden);
    }
}

/// Tells whether an object is a Secret of the core group, whose values are hidden wherever it is shown.
pub fn is_secret(object: &Value) -> bool {
    json::text_at(object, &["kind"]) == Some("Secret")
        && json::text_at(object, &["apiVersion"]).is_some_and(|version| !version.contains('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_hidden_and_equal_ones_stay_equal() {
        let mut desired = json!({"data": {"a": "MQ==", "b": "MQ=="}, "stringData": {"c": "x"}});
        let mut live = json!({"data": {"a": "MQ==", "b": "Mg==", "d": "Mw=="}});
        hide(&mut [&mut desired, &mut live]);
        assert_eq!(desired, json!({"data": {"a": HIDDEN, "b": HIDDEN}, "stringData": {"c": HIDDEN}}));
        assert_eq!(live, json!({"data": {"a": HIDDEN, "b": "++++++++++++", "d": HIDDEN}}));
    }

    #[test]
    fn what_is_no_map_and_what_was_applied_last_are_hidden_whole() {
        let mut odd = json!({"data": "MQ==", "metadata": {"annotations": {LAST_APPLIED: "{}", "note": "n"}}});
        hide(&mut [&mut odd]);
        assert_eq!(
            odd,
            json!({"data": HIDDEN, "metadata": {"annotations": {LAST_APPLIED: HIDDEN, "note": "n"}}})
        );
    }

    #[test]
    fn only_those_of_the_core_group_are_secrets() {
        assert!(is_secret(&json!({"apiVersion": "v1", "kind": "Secret"})));
        assert!(!is_secret(&json!({"apiVersion": "acme.io/v1", "kind": "Secret"})));
        assert!(!is_secret(&json!({"apiVersion": "v1", "kind": "ConfigMap"})));
    }
}
