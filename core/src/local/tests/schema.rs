//! The schema that is published says what is read: both judge thousands of documents alike.

use serde_json::{Map, Value, json};

use super::*;

const SCHEMA: &str = include_str!("../../../../docs/policy.schema.json");
const EXAMPLE: &str = include_str!("../../../../docs/policy.example.yaml");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// Everything that a policy can say.
fn everything() -> Value {
    let kinds = json!([{"group": "apps", "kind": "*", "name": "web-*"}, {"group": "", "kind": "ConfigMap"}]);
    json!({
        "apiVersion": "argosy.dev/v1alpha1", "kind": "AgentPolicy",
        "kinds": {"allow": kinds, "deny": kinds},
        "namespaces": ["shop", "!kube-system", "*"],
        "clusterScope": kinds,
        "deletes": kinds,
        "syncWindows": [{
            "kind": "allow", "schedule": "0 1 * * *", "duration": "2h", "timeZone": "UTC",
            "applications": ["*"], "namespaces": ["*"], "clusters": ["*"],
            "andOperator": true, "manualSync": true, "syncOverrun": true, "description": "nights",
        }],
    })
}

/// Judges by the part of JSON Schema that ours uses; anything else in it fails the test.
fn fits(schema: &Value, root: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(word, says)| match word.as_str() {
        "$schema" | "$defs" | "title" | "description" => true,
        "$ref" => fits(root.pointer(says.as_str().unwrap().trim_start_matches('#')).unwrap(), root, value),
        "const" => value == says,
        "enum" => says.as_array().unwrap().contains(value),
        "anyOf" => says.as_array().unwrap().iter().any(|one| fits(one, root, value)),
        "type" => match says.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            other => panic!("{other}"),
        },
        "items" => value.as_array().into_iter().flatten().all(|item| fits(says, root, item)),
        "required" => says.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
        "properties" => value
            .as_object()
            .into_iter()
            .flatten()
            .all(|(key, value)| says.get(key).is_none_or(|schema| fits(schema, root, value))),
        "additionalProperties" => {
            let known = schema["properties"].as_object().unwrap();
            value.as_object().is_none_or(|map| map.keys().all(|key| known.contains_key(key)))
        }
        other => panic!("the test does not know {other}"),
    })
}

/// Gives a document with every single change somewhere below: another value, one less, one more.
fn changed(value: &Value, names: &[String]) -> Vec<Value> {
    let others = [json!(true), json!(7), json!("never"), json!([]), json!({}), json!(["*"]), json!([{}])];
    let mut all: Vec<Value> = others.into_iter().collect();
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let mut less = map.clone();
                less.remove(key);
                all.push(Value::Object(less));
                let with = |one: Value| -> Value {
                    let mut map: Map<String, Value> = map.clone();
                    map.insert(key.clone(), one);
                    Value::Object(map)
                };
                all.extend(changed(inner, names).into_iter().map(with));
            }
            for name in names {
                let mut more = map.clone();
                more.entry(name.clone()).or_insert(json!("0 1 * * *"));
                all.push(Value::Object(more));
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                let mut less = items.clone();
                less.remove(index);
                all.push(Value::Array(less));
                for one in changed(inner, names) {
                    let mut items = items.clone();
                    items[index] = one;
                    all.push(Value::Array(items));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all
}

fn names(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            into.push(key.clone());
            names(value, into);
        }),
        Value::Array(items) => items.iter().for_each(|item| names(item, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a text is a glob, a schedule, a duration or a zone is not for a schema to say, nor that denials alone permit
/// nothing and empty lists match nothing.
fn is_of_words(error: &PolicyError) -> bool {
    ["pattern", "duration", "fields instead", "time zone", "only denies", "matches nothing"]
        .iter()
        .any(|word| error.why.contains(word))
}

#[test]
fn reader_and_schema_agree_on_every_change_of_a_full_policy() {
    let (schema, full) = (schema(), everything());
    let mut known = vec!["unknown".to_owned()];
    names(&full, &mut known);
    known.sort();
    known.dedup();
    let documents = changed(&full, &known);
    assert!(documents.len() > 500, "{}", documents.len());
    for document in std::iter::once(full).chain(documents) {
        let read = LocalPolicy::read(document.to_string().as_bytes());
        let good = match &read {
            Ok(_) => true,
            Err(error) if is_of_words(error) => continue,
            Err(_) => false,
        };
        assert_eq!(fits(&schema, &schema, &document), good, "{document}: {read:?}");
    }
}

#[test]
fn the_example_is_a_policy_and_fits_the_schema() {
    let read = LocalPolicy::read(EXAMPLE.as_bytes()).unwrap();
    assert!(read.summary().text.contains("sync windows"), "{:?}", read.summary());
    let document = crate::yaml::parse_one(EXAMPLE.as_bytes(), &crate::yaml::Limits::default()).unwrap();
    assert!(fits(&schema(), &schema(), &document.document.value));
}
