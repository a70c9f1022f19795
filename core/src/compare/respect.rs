//! Applying an object without taking back what is ignored (`RespectIgnoreDifferences=true`, M20).

use serde_json::{Map, Value};

use super::ignore::{IgnoreError, Ignored};
use super::owned::Owned;
use super::path::remove_all;
use crate::json;
use crate::tracking::{INSTALLATION_ID, MANAGED, TRACKING_ID};

/// What says which object a body is of and whose; it is sent whatever is ignored.
const IDENTITY: [&[&str]; 8] = [
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "labels", MANAGED],
    &["metadata", "annotations", TRACKING_ID],
    &["metadata", "annotations", INSTALLATION_ID],
];

/// Makes of a body one that leaves what is ignored as it is: a field that another manager owns is left out; of one that is
/// ours alone the live value is sent, since to leave it out would remove it. What is sent so holds for the version of the
/// object that was seen, and for no other. `manager` is the one by which it is applied.
pub fn respect(sent: &Value, live: &Value, ignored: &Ignored, manager: &str) -> Result<Value, IgnoreError> {
    let mut body = sent.clone();
    let others = Owned::by_others(live, manager);
    let all = Owned::by_us(live, manager).joined(others.clone());
    let mut left_out = Vec::new();
    let mut copied = false;
    for place in ignored.places(sent, live)? {
        match all.counterpart(&place, sent, live) {
            Some(value) if !others.owns(&place, sent) => {
                place.set(&mut body, value.clone());
                copied = true;
            }
            Some(_) | None => left_out.push(place),
        }
    }
    remove_all(&mut body, left_out);
    for path in IDENTITY {
        if let Some(value) = json::at(sent, path) {
            set(&mut body, path, value.clone());
        }
    }
    let version = json::at(live, &["metadata", "resourceVersion"]).filter(|_| copied);
    if let Some(version) = version {
        set(&mut body, &["metadata", "resourceVersion"], version.clone());
    }
    Ok(body)
}

/// Sets a value, in maps that are made where they are not there.
fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, before)) = path.split_last() else { return };
    let mut at = object;
    for name in before {
        let Some(map) = at.as_object_mut() else { return };
        at = map.entry(*name).or_insert_with(|| Value::Object(Map::new()));
    }
    if let Some(map) = at.as_object_mut() {
        map.insert((*last).to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tracking::FIELD_MANAGER;

    fn ignored(pointers: &[&str], managers: &[&str]) -> Ignored {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Ignored { pointers: texts(pointers), managers: texts(managers), ..Ignored::default() }
    }

    fn sent() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {MANAGED: "true"}},
            "spec": {"replicas": 1, "paused": false, "containers": [{"name": "web", "image": "web:2", "cpu": "1"}]}})
    }

    fn live(theirs: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "resourceVersion": "7", "managedFields": [
                {"manager": "argosy", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {"f:spec": {
                    "f:paused": {}, "f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {}, "f:image": {}, "f:cpu": {}}}}}},
                {"manager": "hpa", "operation": "Update", "apiVersion": "apps/v1", "subresource": "scale",
                    "fieldsV1": theirs}]},
            "spec": {"replicas": 5, "paused": true, "containers": [{"name": "mesh"}, {"name": "web", "image": "web:1", "cpu": "2"}]}})
    }

    #[test]
    fn what_another_manager_owns_is_left_out_and_what_is_ours_alone_is_sent_as_it_is() {
        let live = live(&json!({"f:spec": {"f:replicas": {}}}));
        let rules = ignored(&["/spec/replicas", "/spec/paused", "/spec/nope", "/spec/containers/0/cpu"], &[]);
        let body = respect(&sent(), &live, &rules, FIELD_MANAGER).unwrap();
        let expected = json!({"paused": true, "containers": [{"name": "web", "image": "web:2", "cpu": "2"}]});
        assert_eq!(body["spec"], expected, "items are found by their keys");
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        let body = respect(&sent(), &live, &ignored(&["/spec/replicas"], &[]), FIELD_MANAGER).unwrap();
        assert_eq!(body["metadata"].get("resourceVersion"), None, "nothing depends on what was seen");
    }

    #[test]
    fn fields_of_a_manager_are_left_to_it() {
        let live = live(&json!({"f:spec": {"f:replicas": {}, "f:containers": {
            "k:{\"name\":\"web\"}": {"f:cpu": {}}}}}));
        let body = respect(&sent(), &live, &ignored(&[], &["hpa"]), FIELD_MANAGER).unwrap();
        let expected = json!({"paused": false, "containers": [{"name": "web", "image": "web:2"}]});
        assert_eq!(body["spec"], expected);
        let body = respect(&sent(), &live, &ignored(&[], &["nobody"]), FIELD_MANAGER).unwrap();
        assert_eq!(body, sent());
    }

    #[test]
    fn identity_and_tracking_are_sent_whatever_is_ignored() {
        let live = live(&json!({"f:metadata": {"f:labels": {}}}));
        let body = respect(
            &sent(),
            &live,
            &ignored(&["/metadata", "/kind", "/metadata/labels"], &[]),
            FIELD_MANAGER,
        )
        .unwrap();
        assert_eq!((&body["kind"], &body["metadata"]["name"]), (&json!("Deployment"), &json!("web")));
        assert_eq!(body["metadata"]["labels"][MANAGED], "true");
    }
}
