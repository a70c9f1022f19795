//! What earlier tools own of an object that is adopted becomes ours, so that what leaves Git later leaves the object too.
//!
//! Fields that `kubectl apply` or Argo CD wrote stay theirs when we apply over them, and nobody would ever take them away.
//! Their entries in `metadata.managedFields` are folded into ours before the first apply (Argo CD:
//! `ClientSideApplyMigration`; kubectl: the upgrade to server-side apply).

use serde_json::{Map, Value, json};

use crate::tracking::FIELD_MANAGER;

/// Field manager of what takes the place of an object (`Replace=true`), until it is folded into ours.
pub const REPLACER: &str = "argosy-replace";

/// Managers that an adopted object may have been applied by, and what we replaced ourselves.
const FORMER: [&str; 3] = ["kubectl-client-side-apply", "argocd-controller", REPLACER];

/// Gives the JSON patch that makes the entries of earlier tools ours; `None` if there are none. It holds for the object as it
/// was read: a newer one is a conflict, another incarnation too.
pub fn patch(object: &Value) -> Option<Value> {
    let metadata = object.get("metadata")?;
    let entries = metadata.get("managedFields")?.as_array()?;
    let (former, mut rest): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(|entry| is_former(entry));
    let last = former.last()?;
    let ours = rest.iter().position(|entry| is_ours(entry)).map(|at| rest.remove(at));
    let mut fields = Value::Object(Map::new());
    for entry in former.iter().copied().chain(ours) {
        unite(&mut fields, entry.get("fieldsV1").unwrap_or(&Value::Null));
    }
    let folded = json!({
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": ours.unwrap_or(last).get("apiVersion"),
        "time": last.get("time"),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    });
    let entries: Vec<Value> = std::iter::once(folded).chain(rest.into_iter().cloned()).collect();
    Some(json!([
        {"op": "test", "path": "/metadata/uid", "value": metadata.get("uid")},
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata.get("resourceVersion")},
    ]))
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_former(entry: &Value) -> bool {
    FORMER.contains(&text(entry, "manager")) && text(entry, "subresource").is_empty()
}

fn is_ours(entry: &Value) -> bool {
    text(entry, "manager") == FIELD_MANAGER
        && text(entry, "operation") == "Apply"
        && text(entry, "subresource").is_empty()
}

/// Adds one set of fields to another.
fn unite(fields: &mut Value, more: &Value) {
    let (Value::Object(fields), Value::Object(more)) = (fields, more) else { return };
    for (name, below) in more {
        match fields.get_mut(name) {
            Some(known) => unite(known, below),
            None => {
                fields.insert(name.clone(), below.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, subresource: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "time": "t",
            "subresource": subresource, "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn object(entries: &Value) -> Value {
        json!({"metadata": {"uid": "u", "resourceVersion": "7", "managedFields": entries}})
    }

    #[test]
    fn entries_of_earlier_tools_become_ours_and_others_stay() {
        let theirs = json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}});
        let more = json!({"f:data": {"f:c": {}}, "f:metadata": {"f:labels": {"f:x": {}}}});
        let scale = entry("kubectl-client-side-apply", "Update", "scale", &json!({"f:spec": {}}));
        let editor = entry("kubectl-edit", "Update", "", &json!({"f:data": {"f:d": {}}}));
        let patch = patch(&object(&json!([
            entry("kubectl-client-side-apply", "Update", "", &theirs),
            scale.clone(),
            editor.clone(),
            entry("argocd-controller", "Apply", "", &more),
        ])))
        .unwrap();
        assert_eq!(patch[0], json!({"op": "test", "path": "/metadata/uid", "value": "u"}));
        assert_eq!(patch[2]["value"], "7");
        let entries = patch[1]["value"].as_array().unwrap();
        assert_eq!(entries[1..], [scale, editor]);
        assert_eq!((&entries[0]["manager"], &entries[0]["operation"]), (&json!("argosy"), &json!("Apply")));
        assert_eq!(
            entries[0]["fieldsV1"],
            json!({"f:data": {".": {}, "f:a": {}, "f:b": {}, "f:c": {}},
                "f:metadata": {"f:labels": {"f:x": {}}}})
        );
    }

    #[test]
    fn our_own_entry_is_added_to_and_where_nobody_was_before_there_is_nothing_to_do() {
        let ours = entry("argosy", "Apply", "", &json!({"f:data": {"f:a": {}}}));
        let before =
            entry("kubectl-client-side-apply", "Update", "", &json!({"f:data": {"f:a": {}, "f:b": {}}}));
        let folded = patch(&object(&json!([ours.clone(), before]))).unwrap();
        let entries = folded[1]["value"].as_array().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0]["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}}}));
        assert_eq!(patch(&object(&json!([ours]))), None);
        assert_eq!(patch(&json!({"metadata": {}})), None);
    }
}
