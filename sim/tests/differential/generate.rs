//! Generated scripts: few names and few values, so that requests meet each other.

mod bodies;
mod mistakes;
mod patches;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::kinds::{Area, Kind, OLD_WIDGET, Scope, WIDGET};
use super::script::{APPLY, JSON, MERGE, PATCH, STRATEGIC, Script, Step};

pub(crate) use self::bodies::custom::definition;
pub(crate) use self::mistakes::scripts as mistakes;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const PARTIAL_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Gives scripts of an area.
pub(crate) fn script(area: Area) -> BoxedStrategy<Script> {
    // What begins to match, and what does not match any more, comes and goes for whoever selects.
    let selector =
        prop_oneof![4 => Just(""), 1 => Just("labelSelector=l1%3Dx"), 1 => Just("labelSelector=l1")];
    (prop::sample::select(area.kinds()), selector)
        .prop_flat_map(|(kind, selector)| {
            let steps = if kind == WIDGET {
                vec(prop_oneof![3 => step(WIDGET), 1 => step(OLD_WIDGET)].boxed(), 1..14)
            } else {
                vec(step(kind), 1..14)
            };
            let end = bodies::end(kind);
            steps.prop_map(move |steps| Script { kind, selector, end: end.clone(), steps })
        })
        .boxed()
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("a"), 1 => Just("b")]
}

/// Who writes; nobody in particular is the program.
fn manager() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just("m1"), Just("m2"), Just("m3")]
}

fn validation() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just("Strict"), 1 => Just("Ignore")]
}

/// How often nothing is kept: often of what the API server goes on to work on.
fn dry_run(kind: Kind) -> impl Strategy<Value = bool> {
    prop::bool::weighted(if kind.settles() { 0.4 } else { 0.08 })
}

/// The parameters of a change.
fn parameters(kind: Kind) -> impl Strategy<Value = String> {
    (manager(), validation(), dry_run(kind)).prop_map(|(manager, validation, dry_run)| {
        let mut parameters = Vec::new();
        for (name, value) in [("fieldManager", manager), ("fieldValidation", validation)] {
            if !value.is_empty() {
                parameters.push(format!("{name}={value}"));
            }
        }
        if dry_run {
            parameters.push("dryRun=All".to_owned());
        }
        parameters.join("&")
    })
}

/// Gives parts of an object, the whole of it first.
fn part(kind: Kind) -> impl Strategy<Value = &'static str> + Clone {
    let parts: Vec<&'static str> = std::iter::once("").chain(kind.subresources.iter().copied()).collect();
    prop::sample::select(parts)
}

fn at(kind: Kind, name: &str, part: &str, parameters: &str) -> String {
    let slash = if part.is_empty() { "" } else { "/" };
    format!("{}/{}{slash}{part}?{parameters}", kind.collection, kind.object(name))
}

fn step(kind: Kind) -> BoxedStrategy<Step> {
    let create = (name(), parameters(kind), bodies::body(kind)).prop_map(move |(name, parameters, body)| {
        let path = format!("{}?{parameters}", kind.collection);
        Step::send("POST", path, JSON, &bodies::named(kind, name, body))
    });
    let merge = (name(), part(kind), parameters(kind), patches::change(kind)).prop_map(
        move |(name, part, parameters, body)| {
            Step::send("PATCH", at(kind, name, part, &parameters), MERGE, &body)
        },
    );
    let json_patch = (name(), part(kind), parameters(kind), patches::operations(kind)).prop_map(
        move |(name, part, parameters, body)| {
            Step::send("PATCH", at(kind, name, part, &parameters), PATCH, &body)
        },
    );
    let strategic =
        (name(), parameters(kind), patches::change(kind)).prop_map(move |(name, parameters, body)| {
            Step::send("PATCH", at(kind, name, "", &parameters), STRATEGIC, &body)
        });
    let weight = if kind.strategic { 3 } else { 1 };
    prop_oneof![
        4 => create,
        8 => apply(kind),
        3 => update(kind),
        3 => merge,
        2 => json_patch,
        2 => delete(kind),
        1 => read(kind),
        1 => list(kind),
        weight => strategic,
    ]
    .boxed()
}

fn apply(kind: Kind) -> BoxedStrategy<Step> {
    // Most applies are of the object itself.
    let part = prop_oneof![6 => Just(""), 1 => part(kind)];
    (
        name(),
        part,
        prop_oneof![Just("m1"), Just("m2"), Just("m3")],
        any::<bool>(),
        validation(),
        dry_run(kind),
        bodies::body(kind),
    )
        .prop_map(move |(name, part, manager, force, validation, dry_run, body)| {
            let mut parameters = format!("fieldManager={manager}&force={force}");
            if !validation.is_empty() {
                parameters.push_str("&fieldValidation=");
                parameters.push_str(validation);
            }
            if dry_run {
                parameters.push_str("&dryRun=All");
            }
            let body = bodies::named(kind, name, body);
            Step::send("PATCH", at(kind, name, part, &parameters), APPLY, &body)
        })
        .boxed()
}

fn update(kind: Kind) -> BoxedStrategy<Step> {
    (name(), part(kind), parameters(kind), bodies::body(kind), 0..4_u8)
        .prop_map(move |(name, part, parameters, body, version)| {
            let mut body = bodies::named(kind, name, body);
            let object = kind.object(name);
            match version {
                0 if !kind.settles() => {
                    body["metadata"]["resourceVersion"] = format!("{{rv:{object}}}").into();
                }
                1 => body["metadata"]["uid"] = format!("{{uid:{object}}}").into(),
                2 => body["metadata"]["managedFields"] = json!([{}]),
                _ => {}
            }
            Step::send("PUT", at(kind, name, part, &parameters), JSON, &body)
        })
        .boxed()
}

fn delete(kind: Kind) -> BoxedStrategy<Step> {
    (name(), deletion())
        .prop_map(move |(name, options)| {
            let object = kind.object(name);
            let body = options.to_string().replace("NAME", &object);
            let path = format!("{}/{object}", kind.collection);
            Step { method: "DELETE", path, content: JSON, accept: "", body }
        })
        .boxed()
}

fn deletion() -> impl Strategy<Value = Value> {
    let precondition = prop_oneof![
        4 => Just(Value::Null),
        1 => Just(json!({"uid": "{uid:NAME}"})),
        1 => Just(json!({"uid": "another"})),
        1 => Just(json!({"resourceVersion": "1"})),
    ];
    let policy = prop_oneof![
        3 => Just(Value::Null),
        1 => Just(json!("Background")),
        2 => Just(json!("Foreground")),
        1 => Just(json!("Orphan")),
    ];
    (precondition, policy).prop_map(|(precondition, policy)| {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        for (field, value) in [("preconditions", precondition), ("propagationPolicy", policy)] {
            if !value.is_null() {
                options[field] = value;
            }
        }
        options
    })
}

fn read(kind: Kind) -> BoxedStrategy<Step> {
    // Of these the simulated cluster has other columns.
    let other = ["CronJob", "EndpointSlice", "HorizontalPodAutoscaler", "ValidatingWebhookConfiguration"]
        .contains(&kind.name);
    let table = if other { PARTIAL } else { TABLE };
    (name(), prop_oneof![Just(""), Just(PARTIAL), Just(table)])
        .prop_map(move |(name, accept)| Step {
            accept,
            ..Step::get(format!("{}/{}", kind.collection, kind.object(name)))
        })
        .boxed()
}

fn list(kind: Kind) -> BoxedStrategy<Step> {
    let selections: &'static [&'static str] = match kind.scope {
        // None at any version (`resourceVersion=0`): the real server may answer it as of some time ago.
        Scope::Namespace => &[
            "",
            "labelSelector=l1%3Dx",
            "labelSelector=l1",
            "labelSelector=!l1",
            "labelSelector=l1+in+(x,y),l2!%3Dx",
            "fieldSelector=metadata.name%3Da",
            "fieldSelector=metadata.name!%3Da",
            "limit=1",
            "limit=5&labelSelector=l1",
        ],
        // All others are not the script's.
        Scope::Cluster => &["fieldSelector=metadata.name%3D{ns}-a", "fieldSelector=metadata.name%3D{ns}-b"],
        Scope::Definition => &["fieldSelector=metadata.name%3Das.{ns}.test"],
    };
    (prop::sample::select(selections), prop_oneof![Just(""), Just(PARTIAL_LIST)])
        .prop_map(move |(selection, accept)| Step {
            accept,
            ..Step::get(format!("{}?{selection}", kind.collection))
        })
        .boxed()
}
