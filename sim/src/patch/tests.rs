//! Patches that a real API server (1.36) was sent, with its answers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{ListStrategy, PatchError, Strategy, json as json_patch, merge, strategic};

#[test]
fn every_recorded_patch_is_answered_as_the_real_one_answered_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/patch/answers.json");
    let answers: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let deployment = deployment();
    let mut failures = Vec::new();
    for answer in &answers {
        let (live, patch) = (answer["live"].clone(), &answer["patch"]);
        let result = match answer["type"].as_str().unwrap() {
            "json" => json_patch(live, patch),
            "merge" => merge(live, patch),
            _ => strategic(live, patch, &deployment),
        };
        if let Err(difference) = compare(result, answer) {
            failures.push(format!("{difference}: {}\n  {answer}", answer["patch"]));
        }
    }
    assert!(failures.is_empty(), "{} of {} differ:\n{}", failures.len(), answers.len(), failures.join("\n"));
}

#[test]
fn a_json_patch_says_why_it_does_not_apply() {
    let says =
        |patch: Value| json_patch(json!({"data": {"a": "1"}, "list": [1]}), &patch).unwrap_err().to_string();
    assert_eq!(
        says(json!([{"op": "remove", "path": "/data/z"}])),
        "error in remove for path: '/data/z': Unable to remove nonexistent key: z: missing value"
    );
    assert_eq!(
        says(json!([{"op": "add", "path": "/nope/a", "value": 1}])),
        "add operation does not apply: doc is missing path: \"/nope/a\": missing value"
    );
    assert_eq!(
        says(json!([{"op": "test", "path": "/data/a", "value": "2"}])),
        "testing value /data/a failed: test failed"
    );
    assert_eq!(
        says(json!([{"op": "remove", "path": "/list/3"}])),
        "error in remove for path: '/list/3': Unable to access invalid index: 3: invalid index referenced"
    );
}

fn compare(result: Result<Value, PatchError>, answer: &Value) -> Result<(), String> {
    let code = answer["code"].as_u64().unwrap();
    match (result, answer.get("result")) {
        (Ok(object), Some(wanted)) => within(&object, wanted, &answer["live"], ""),
        (Ok(_), None) => Err("was refused".to_owned()),
        (Err(error), Some(_)) => Err(format!("is refused: {error}")),
        (Err(error), None) => {
            let (ours, shown) = match &error {
                PatchError::Malformed(words) => (400, words.as_str()),
                PatchError::TooManyOperations(_) => (413, ""),
                PatchError::DoesNotApply(_) => {
                    (422, "the server rejected our request due to an error in our request")
                }
                PatchError::Internal(words) => (500, words.as_str()),
            };
            let theirs = answer["message"].as_str().unwrap();
            // What the real one had filled in is told too where it names whole lists.
            let same = shown == theirs
                || shown.starts_with("list element types") && theirs.starts_with("list element");
            if ours == code && same { Ok(()) } else { Err(format!("{ours} {shown} is {code} {theirs}")) }
        }
    }
}

/// Compares with an object that the server has completed: it may have fields of which we know nothing, but none
/// that were there before and that the patch has taken.
fn within(ours: &Value, theirs: &Value, live: &Value, path: &str) -> Result<(), String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            if let Some(kept) = b.keys().find(|name| live.get(*name).is_some() && !a.contains_key(*name)) {
                return Err(format!("{path}/{kept} should stay"));
            }
            a.iter().filter(|(_, value)| !is_nothing(value)).try_for_each(|(name, value)| {
                let live = live.get(name).unwrap_or(&Value::Null);
                within(value, b.get(name).unwrap_or(&Value::Null), live, &format!("{path}/{name}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut items = a.iter().zip(b).enumerate();
            items.try_for_each(|(index, (a, b))| within(a, b, &Value::Null, &format!("{path}/{index}")))
        }
        _ if ours == theirs => Ok(()),
        _ => Err(format!("{path}: {ours} is {theirs}")),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn deployment() -> Strategy {
    let env = list("name", []);
    let containers = || list("name", [("env", env.clone()), ("ports", list("containerPort", []))]);
    let pod = object([
        ("containers", containers()),
        ("initContainers", containers()),
        ("volumes", list("name", [])),
    ]);
    let spec = object([("template", object([("spec", pod)]))]);
    object([("metadata", object([("finalizers", list("", []))])), ("spec", spec)])
}

fn object<const N: usize>(fields: [(&str, Strategy); N]) -> Strategy {
    let fields: BTreeMap<_, _> = fields.into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
    Strategy { fields, ..Strategy::default() }
}

fn list<const N: usize>(key: &str, fields: [(&str, Strategy); N]) -> Strategy {
    Strategy { list: ListStrategy::Merge { key: key.to_owned() }, ..object(fields) }
}
