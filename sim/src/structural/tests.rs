//! Custom resources that a real API server (1.36) was asked to create, with its answers.

use std::path::Path;

use serde_json::{Value, json};

use super::Schema;

#[test]
fn every_recorded_object_is_pruned_completed_and_judged_as_the_real_one_did() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/structural/answers.json");
    let answers: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let schema = Schema::parse(&answers["schema"]).unwrap();
    let objects = answers["objects"].as_array().unwrap();
    let failures: Vec<_> = objects.iter().filter_map(|answer| compare(&schema, answer).err()).collect();
    assert!(failures.is_empty(), "{} of {} differ:\n{}", failures.len(), objects.len(), failures.join("\n"));
}

fn compare(schema: &Schema, answer: &Value) -> Result<(), String> {
    let mut object = resource(&answer["spec"]);
    let unknown = schema.prune(&mut object);
    schema.default(&mut object);
    let errors = schema.validate(&object);
    let difference = |what: &str, ours: &Value, theirs: &Value| {
        if ours == theirs { Ok(()) } else { Err(format!("{}: {what} {ours} is {theirs}", answer["spec"])) }
    };
    let warnings = unknown.iter().map(|path| json!(format!("299 - \"unknown field \\\"{path}\\\"\"")));
    difference("warnings", &warnings.collect(), &answer["warnings"])?;
    let causes = errors
        .iter()
        .map(|error| json!({"field": error.path, "message": error.body(), "reason": error.kind.reason()}));
    difference("errors", &sorted(causes.collect()), &sorted(answer["causes"].clone()))?;
    match answer.get("result") {
        Some(stored) => {
            schema.prune(&mut object);
            difference("object", &object["spec"], stored)
        }
        None => Ok(()),
    }
}

fn sorted(causes: Value) -> Value {
    let Value::Array(mut causes) = causes else { return json!([]) };
    causes.sort_by_key(Value::to_string);
    causes.into()
}

fn resource(spec: &Value) -> Value {
    json!({"apiVersion": "sim.test/v1", "kind": "Check", "metadata": {"name": "c"}, "spec": spec})
}

#[test]
fn an_update_may_keep_what_was_wrong_before() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 1},
        "b": {"type": "string", "maxLength": 1},
    }}}});
    let schema = Schema::parse(&schema).unwrap();
    let old = resource(&json!({"a": "long", "b": "x"}));

    assert_eq!(schema.validate(&old).len(), 1);
    assert!(schema.validate_update(&resource(&json!({"a": "long", "b": "y"})), &old).is_empty());
    let errors = schema.validate_update(&resource(&json!({"a": "longer", "b": "y"})), &old);
    assert_eq!(errors.first().unwrap().to_string(), "spec.a: Too long: may not be more than 1 byte");
}

#[test]
fn a_schema_that_is_not_structural_is_refused_by_path() {
    let schema = json!({"type": "object", "properties": {
        "spec": {"properties": {"l": {"type": "array", "x-kubernetes-list-type": "bag", "items": {}}}},
    }});
    let errors: Vec<_> = Schema::parse(&schema).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "properties[spec].type: Required value: must not be empty for specified object fields",
            "properties[spec].properties[l].x-kubernetes-list-type: Unsupported value: \"bag\": supported values: \
             \"atomic\", \"map\", \"set\"",
            "properties[spec].properties[l].items.type: Required value: must not be empty for specified array items",
        ]
    );
}
