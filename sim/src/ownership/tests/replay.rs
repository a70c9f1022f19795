//! Calls that a real API server (1.36) was asked, with its answers, asked again of the functions here.
//!
//! Each file holds objects with their calls in order. Every call starts from the object that the real one had
//! answered before, so that a difference shows in the call that makes it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::kinds::Kind;
use crate::ownership::{ApplyError, Writer, apply, settle, update};
use crate::patch;

#[test]
fn every_recorded_call_is_answered_as_the_real_one_answered_it() {
    let calls = replay_all(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/ownership"));
    assert!(calls > 100, "only {calls} calls were compared");
}

/// The same over recordings that are kept elsewhere: `SIM_RECORDINGS` names their folder.
#[test]
#[ignore = "needs recordings"]
fn every_call_of_other_recordings_is_answered_as_the_real_one_answered_it() {
    replay_all(&PathBuf::from(std::env::var_os("SIM_RECORDINGS").expect("SIM_RECORDINGS")));
}

fn replay_all(folder: &Path) -> usize {
    let schema = read(&folder.join("widget-schema.json"));
    let (mut calls, mut failures) = (0, Vec::new());
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("calls-")) {
        let (asked, differing) = replay(&path, &schema);
        calls += asked;
        failures.extend(differing);
    }
    let shown = failures.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {calls} calls differ:\n{shown}", failures.len());
    calls
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Asks all calls of a file again; gives how many and what differs.
fn replay(path: &Path, schema: &Value) -> (usize, Vec<String>) {
    let (mut calls, mut failures) = (0, Vec::new());
    for object in read(path).as_array().unwrap() {
        let kind = Kind::named(object["kind"].as_str().unwrap(), schema);
        let mut live: Option<Value> = None;
        for (index, call) in object["steps"].as_array().unwrap().iter().enumerate() {
            let name = format!("{} {} call {index}", path.display(), object["name"].as_str().unwrap());
            if is_answered(call) {
                calls += 1;
                if let Err(difference) = compare(&kind, live.as_ref(), call) {
                    let live = live.clone().unwrap_or_default();
                    failures.push(format!("{name}: {difference}\nlive {live}\ncall {call}"));
                }
            }
            if let Some(result) = call.get("result") {
                live = Some(result.clone());
            } else if call["code"] == 404 {
                live = None;
            }
        }
    }
    (calls, failures)
}

/// False if the answer was none of ownership.
fn is_answered(call: &Value) -> bool {
    match call["code"].as_u64().unwrap() {
        200 | 201 => true,
        400 | 409 | 500 => call["op"] == "apply",
        _ => false,
    }
}

/// Asks one call again.
fn compare(kind: &Kind, live: Option<&Value>, call: &Value) -> Result<(), String> {
    let text = |name: &str| call[name].as_str().unwrap();
    // A creation that follows a life: the object was deleted between the two.
    let live = live.filter(|_| call["code"] != 201).map(|live| {
        let mut live = live.clone();
        live["apiVersion"] = call["apiVersion"].clone();
        live
    });
    let time = time_of(live.as_ref(), call);
    let writer = Writer {
        manager: text("manager"),
        api_version: text("apiVersion"),
        subresource: text("subresource"),
        time: &time,
    };
    let reset = kind.reset(writer.subresource);
    let body = &call["body"];
    let result = if text("op") == "apply" {
        apply(live.as_ref(), body, &kind.ty, &writer, call["force"] == true, &reset)
    } else {
        let mut new = match (text("op"), &live) {
            ("merge", Some(live)) => patch::merge(live.clone(), body).unwrap(),
            _ => body.clone(),
        };
        kind.decode(&mut new);
        Ok(update(live.as_ref(), new, &kind.ty, &writer, &reset))
    };
    match (result, call.get("result")) {
        (Ok(mut object), Some(wanted)) => {
            kind.complete(&mut object);
            if let Some(live) = &live {
                kind.take_back(live, &mut object, writer.subresource);
                settle(live, &mut object);
            }
            kind.store(&mut object);
            let compared = compared(text("op"), text("subresource"), wanted);
            let at = |object: &Value, place: &str| object.pointer(place).cloned().unwrap_or_default();
            compared.iter().try_for_each(|place| same(&at(&object, place), &at(wanted, place), place))
        }
        (Ok(_), None) => Err(format!("was refused: {}", call["error"])),
        (Err(error), Some(_)) => Err(format!("is refused: {error}")),
        (Err(error), None) => same_error(&error, call),
    }
}

/// The parts of an object that a call decides.
fn compared(op: &str, subresource: &str, object: &Value) -> Vec<&'static str> {
    let mut places = vec!["/metadata/managedFields"];
    places.extend_from_slice(match (object["kind"].as_str().unwrap(), subresource) {
        ("Service", _) => &["/metadata/labels"],
        (_, "status") => &["/status"],
        _ if op == "update" => &["/data", "/spec"],
        _ => &["/data", "/spec", "/metadata/labels", "/metadata/annotations", "/metadata/finalizers"],
    });
    places
}

/// Says where two values differ first.
fn same(ours: &Value, theirs: &Value, place: &str) -> Result<(), String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let none = json!("(nothing)");
            names.into_iter().try_for_each(|name| {
                let at = |map: &serde_json::Map<String, Value>| map.get(name).unwrap_or(&none).clone();
                same(&at(a), &at(b), &format!("{place}/{name}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.try_for_each(|(index, (a, b))| same(a, b, &format!("{place}/{index}")))
        }
        _ if ours == theirs => Ok(()),
        _ => Err(format!("{place}: {ours} is {theirs}")),
    }
}

fn same_error(error: &ApplyError, call: &Value) -> Result<(), String> {
    same(&json!(error.to_string()), &call["error"]["message"], "message")?;
    let ApplyError::Conflicts(conflicts) = error else { return Ok(()) };
    let sorted = |mut causes: Vec<Value>| {
        causes.sort_by_key(Value::to_string);
        Value::Array(causes)
    };
    let ours = conflicts.iter().map(|conflict| {
        json!({"reason": "FieldManagerConflict", "message": conflict.cause(), "field": conflict.field})
    });
    let theirs = call["error"]["causes"].as_array().unwrap().clone();
    same(&sorted(ours.collect()), &sorted(theirs), "causes")
}

/// When the call was made: the time that is new in its answer, else one that nothing may show.
fn time_of(live: Option<&Value>, call: &Value) -> String {
    let times = |object: &Value| -> Vec<String> {
        let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        entries.iter().filter_map(|entry| entry["time"].as_str().map(str::to_owned)).collect()
    };
    let before = live.map(times).unwrap_or_default();
    let new =
        call.get("result").map(times).unwrap_or_default().into_iter().find(|time| !before.contains(time));
    new.unwrap_or_else(|| "9999-12-31T00:00:00Z".to_owned())
}
