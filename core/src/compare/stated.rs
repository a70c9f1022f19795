//! Comparing two manifests with no cluster: every value that either states counts.

use serde_json::Value;

use super::owned::Owned;
use super::report::ObjectDiff;
use crate::key::ResourceKey;
use crate::mask;

/// Tells how a manifest differs from the one before it; values of a Secret are hidden. `None`: it does not.
pub fn stated(key: &ResourceKey, before: Option<&Value>, after: Option<&Value>) -> Option<ObjectDiff> {
    if before == after {
        return None;
    }
    let (mut before, mut after) = (before.cloned(), after.cloned());
    if key.group_kind().is_secret() {
        let mut states: Vec<&mut Value> = after.iter_mut().chain(before.iter_mut()).collect();
        mask::hide(&mut states);
    }
    match (before, after) {
        (Some(before), Some(after)) => {
            let mut found = Vec::new();
            Owned::by_statement(&before)
                .joined(Owned::by_statement(&after))
                .differences(&before, &after, &mut found);
            if found.is_empty() {
                // The same items in another order.
                found.push((String::new(), Some(before), Some(after)));
            }
            Some(ObjectDiff::changed(key.clone(), found))
        }
        (Some(before), None) => Some(ObjectDiff::extra(key.clone(), before)),
        (None, Some(after)) => Some(ObjectDiff::missing(key.clone(), after)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::compare::Change;

    fn key(kind: &str) -> ResourceKey {
        ResourceKey::new("", kind, "shop", "web")
    }

    fn paths(before: &Value, after: &Value) -> Vec<String> {
        let found = stated(&key("ConfigMap"), Some(before), Some(after));
        found.into_iter().flat_map(|diff| diff.fields).map(|field| field.path).collect()
    }

    #[test]
    fn values_are_told_by_their_paths_and_items_by_their_names() {
        let before = json!({"spec": {"replicas": 1, "gone": {"a": 1}, "containers": [{"name": "a", "image": "x:1"}, {"name": "b"}]}});
        let after = json!({"spec": {"replicas": 2, "new": {"b": 1}, "containers": [{"name": "a", "image": "x:2"}, {"name": "b"}]}});
        let wanted = ["spec.containers[name=\"a\"].image", "spec.gone", "spec.new", "spec.replicas"];
        assert_eq!(paths(&before, &after), wanted);
        assert!(paths(&before, &before).is_empty());
    }

    #[test]
    fn lists_without_names_are_told_as_a_whole() {
        assert_eq!(paths(&json!({"a": [1, 2]}), &json!({"a": [1, 3]})), ["a"]);
        assert_eq!(
            paths(&json!({"a": [{"name": "x"}, {"name": "x"}]}), &json!({"a": [{"name": "x"}]})),
            ["a"]
        );
        assert_eq!(paths(&json!({"a": {}}), &json!({"a": 1})), ["a"]);
        assert_eq!(paths(&json!({"a": {}}), &json!({"a": {"b": {}}})), ["a"]);
    }

    #[test]
    fn another_order_is_a_difference() {
        let (one, other) = (json!([{"name": "a"}, {"name": "b"}]), json!([{"name": "b"}, {"name": "a"}]));
        assert_eq!(paths(&json!({"l": one}), &json!({"l": other})), [""]);
    }

    #[test]
    fn a_secret_tells_that_a_value_differs_and_not_which() {
        let secret = |value: &str| json!({"kind": "Secret", "data": {"k": value, "same": "eA=="}});
        let found = stated(&key("Secret"), Some(&secret("b2xk")), Some(&secret("bmV3"))).unwrap();
        assert_eq!(found.fields.len(), 1);
        let text = format!("{found:?}");
        assert!(text.contains("data.k") && !text.contains("b2xk") && !text.contains("bmV3"), "{text}");
    }

    #[test]
    fn what_comes_and_what_goes_is_told_whole() {
        let object = json!({"kind": "ConfigMap"});
        let change = |before, after| stated(&key("ConfigMap"), before, after).map(|diff| diff.change);
        assert_eq!(change(None, Some(&object)), Some(Change::Missing));
        assert_eq!(change(Some(&object), None), Some(Change::Extra));
        assert_eq!(change(Some(&object), Some(&object)), None);
    }
}
