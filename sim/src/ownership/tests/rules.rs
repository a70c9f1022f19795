//! The rules of ownership one by one, as sentences.

use serde_json::{Value, json};

use crate::ownership::{ApplyError, Field, FieldSet, Type, Writer, apply, update};

const FIRST: &str = "2026-01-01T00:00:01Z";
const SECOND: &str = "2026-01-01T00:00:02Z";

fn config_map_type() -> Type {
    let data = Field { ty: Type::map(Type::STRING).into(), default: None };
    Type::resource([("data".to_owned(), data)].into())
}

#[expect(clippy::needless_pass_by_value, reason = "every caller makes the value for it")]
fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "uid": "1"}, "data": data})
}

fn writer<'a>(manager: &'a str, time: &'a str) -> Writer<'a> {
    Writer { manager, api_version: "v1", subresource: "", time }
}

fn applied(
    live: Option<&Value>,
    data: Value,
    manager: &str,
    time: &str,
    force: bool,
) -> Result<Value, ApplyError> {
    let none = FieldSet::default();
    apply(live, &config_map(data), &config_map_type(), &writer(manager, time), force, &none)
}

fn updated(live: Option<&Value>, new: Value, manager: &str, time: &str) -> Value {
    update(live, new, &config_map_type(), &writer(manager, time), &FieldSet::default())
}

/// Who owns what, as `manager operation time: fields`.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let line = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        let fields = FieldSet::from_fields_v1(&entry["fieldsV1"]).unwrap().paths().join(" ");
        let time = text("time");
        format!("{} {} {}: {fields}", text("manager"), text("operation"), time.rsplit(':').next().unwrap())
    };
    entries.iter().map(line).collect()
}

#[test]
fn an_apply_that_changes_nothing_keeps_its_time() {
    let live = applied(None, json!({"a": "1"}), "m", FIRST, false).unwrap();
    let again = applied(Some(&live), json!({"a": "1"}), "m", SECOND, false).unwrap();
    assert_eq!(again, live);
    assert_eq!(owners(&again), ["m Apply 01Z: .data.a"]);
}

#[test]
fn a_manager_that_joins_without_a_change_has_no_time() {
    let live = applied(None, json!({"a": "1"}), "m", FIRST, false).unwrap();
    let joined = applied(Some(&live), json!({"a": "1"}), "n", SECOND, false).unwrap();
    assert_eq!(owners(&joined), ["n Apply -: .data.a", "m Apply 01Z: .data.a"]);
}

#[test]
fn a_conflict_names_the_manager_its_version_and_the_field() {
    let live = updated(None, config_map(json!({"a": "1", "b": "1"})), "kubectl", FIRST);
    let error = applied(Some(&live), json!({"a": "2"}), "m", SECOND, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl\" using v1: .data.a"
    );
    let error = applied(Some(&live), json!({"a": "2", "b": "2"}), "m", SECOND, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"kubectl\" using v1:\n- .data.a\n- .data.b"
    );
}

#[test]
fn force_takes_the_fields_from_their_owner() {
    let live = applied(None, json!({"a": "1", "b": "1"}), "n", FIRST, false).unwrap();
    let forced = applied(Some(&live), json!({"a": "2"}), "m", SECOND, true).unwrap();
    assert_eq!(forced["data"], json!({"a": "2", "b": "1"}));
    assert_eq!(owners(&forced), ["n Apply 01Z: .data.b", "m Apply 02Z: .data.a"]);
}

#[test]
fn what_is_applied_no_more_goes_unless_somebody_else_owns_it() {
    let live = applied(None, json!({"a": "1", "b": "1", "c": "1"}), "m", FIRST, false).unwrap();
    let live = applied(Some(&live), json!({"b": "1"}), "n", FIRST, false).unwrap();
    let shrunk = applied(Some(&live), json!({"a": "1"}), "m", SECOND, false).unwrap();
    assert_eq!(shrunk["data"], json!({"a": "1", "b": "1"}));
}

#[test]
fn an_object_without_owners_gets_one_at_its_first_apply() {
    let live = config_map(json!({"a": "1", "b": "1"}));
    let first = applied(Some(&live), json!({"a": "1"}), "m", SECOND, false).unwrap();
    assert_eq!(
        owners(&first),
        ["m Apply -: .data.a", "before-first-apply Update 02Z: .data .data.a .data.b"]
    );
}

#[test]
fn a_client_can_drop_all_ownership() {
    let live = applied(None, json!({"a": "1"}), "m", FIRST, false).unwrap();
    for said in [json!([]), json!([{}])] {
        let mut new = live.clone();
        new["metadata"]["managedFields"] = said;
        assert_eq!(owners(&updated(Some(&live), new, "n", SECOND)), [""; 0]);
    }
    let mut new = live.clone();
    new["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(updated(Some(&live), new, "n", SECOND), live);
}

#[test]
fn more_than_ten_updaters_are_put_together() {
    let mut live = updated(None, config_map(json!({"k0": "0"})), "m0", "2026-01-01T00:00:00Z");
    for index in 1..=11 {
        let mut new = live.clone();
        new["data"][format!("k{index}")] = json!("1");
        live = updated(Some(&live), new, &format!("m{index}"), &format!("2026-01-01T00:00:{index:02}Z"));
    }
    let owners = owners(&live);
    assert_eq!(owners.len(), 10);
    assert_eq!(owners[0], "ancient-changes Update 02Z: .data .data.k0 .data.k1 .data.k2");
    assert_eq!(owners[9], "m11 Update 11Z: .data.k11");
}

#[test]
fn kubectl_takes_over_what_its_annotation_states() {
    let stated = config_map(json!({"a": "1"})).to_string();
    let mut new = config_map(json!({"a": "1"}));
    new["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": stated});
    let live = updated(None, new, "kubectl-client-side-apply", FIRST);
    let moved = applied(Some(&live), json!({"a": "2"}), "kubectl", SECOND, false).unwrap();
    assert_eq!(moved["data"], json!({"a": "2"}));
    let annotation = &moved["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    assert!(annotation.as_str().unwrap().contains(r#""data":{"a":"2"}"#));
    assert!(applied(Some(&live), json!({"a": "2"}), "m", SECOND, false).is_err());
}

#[test]
fn a_field_that_has_become_atomic_is_owned_as_one() {
    let live = applied(None, json!({"a": "1", "b": "1"}), "m", FIRST, false).unwrap();
    let mut data = Type::map(Type::STRING);
    if let Type::Map(map) = &mut data {
        map.atomic = true;
    }
    let ty = Type::resource([("data".to_owned(), Field { ty: data.into(), default: None })].into());
    let config = config_map(json!({"a": "1", "b": "1"}));
    let again = apply(Some(&live), &config, &ty, &writer("m", SECOND), false, &FieldSet::default()).unwrap();
    assert_eq!(owners(&again), ["m Apply 01Z: .data"]);
}

#[test]
fn ownership_in_a_version_that_is_gone_refuses_applies_and_is_dropped_by_updates() {
    let live = applied(None, json!({"a": "1"}), "m", FIRST, false).unwrap();
    let ty = config_map_type().with_versions(vec!["v2".to_owned()]);
    let writer = Writer { api_version: "v2", ..writer("n", SECOND) };
    let config = config_map(json!({"a": "2"}));
    let error = apply(Some(&live), &config, &ty, &writer, true, &FieldSet::default()).unwrap_err();
    assert_eq!(error.to_string(), "request to convert CR to an invalid group/version: v1");
    let mut new = live.clone();
    new["data"]["a"] = json!("2");
    assert_eq!(owners(&update(Some(&live), new, &ty, &writer, &FieldSet::default())), [""; 0]);
}

#[test]
fn a_set_is_written_as_the_api_server_writes_it() {
    let fields = json!({"f:spec": {
        "f:ports": {".": {}, "k:{\"port\":443,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {}},
        "f:tags": {"v:\"a\\u003cb\"": {}, "v:2": {}},
    }});
    let set = FieldSet::from_fields_v1(&fields).unwrap();
    assert_eq!(set.to_fields_v1(), fields);
    let mut text = String::new();
    set.write_fields_v1(&mut text);
    let order = ["port\\\":80", "port\\\":443", "v:2", "v:\\\"a"].map(|part| text.find(part).expect(part));
    assert!(order.is_sorted(), "{text}");
}
