//! Generated scripts: few names and few values, so that requests meet each other.

mod bodies;
mod mistakes;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::differential::script::{APPLY, JSON, MERGE, PATCH, STRATEGIC, Script, Step};

pub(crate) use self::bodies::definition;
pub(crate) use self::mistakes::scripts as mistakes;

/// What scripts are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    ConfigMaps,
    CustomResources,
    Deployments,
    Services,
    Others,
}

/// A kind that scripts are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) collection: &'static str,
    pub(crate) api_version: &'static str,
    pub(crate) name: &'static str,
    pub(crate) subresources: &'static [&'static str],
    pub(crate) strategic: bool,
}

pub(crate) const CONFIG_MAP: Kind = Kind {
    collection: "/api/v1/namespaces/{ns}/configmaps",
    api_version: "v1",
    name: "ConfigMap",
    subresources: &[],
    strategic: true,
};

pub(crate) const WIDGET: Kind = Kind {
    collection: "/apis/diff.test/v1/namespaces/{ns}/widgets",
    api_version: "diff.test/v1",
    name: "Widget",
    subresources: &["status"],
    strategic: false,
};

pub(crate) const DEPLOYMENT: Kind = Kind {
    collection: "/apis/apps/v1/namespaces/{ns}/deployments",
    api_version: "apps/v1",
    name: "Deployment",
    subresources: &["status"],
    strategic: true,
};

pub(crate) const SERVICE: Kind = Kind {
    collection: "/api/v1/namespaces/{ns}/services",
    api_version: "v1",
    name: "Service",
    subresources: &["status"],
    strategic: true,
};

const fn plain(collection: &'static str, api_version: &'static str, kind: &'static str) -> Kind {
    Kind { collection, api_version, name: kind, subresources: &[], strategic: true }
}

const OTHERS: [Kind; 6] = [
    plain("/api/v1/namespaces/{ns}/secrets", "v1", "Secret"),
    plain("/api/v1/namespaces/{ns}/serviceaccounts", "v1", "ServiceAccount"),
    plain("/apis/apps/v1/namespaces/{ns}/statefulsets", "apps/v1", "StatefulSet"),
    plain("/apis/apps/v1/namespaces/{ns}/daemonsets", "apps/v1", "DaemonSet"),
    plain("/apis/batch/v1/namespaces/{ns}/jobs", "batch/v1", "Job"),
    plain("/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles", "rbac.authorization.k8s.io/v1", "Role"),
];

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const PARTIAL_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Gives scripts of an area.
pub(crate) fn script(area: Area) -> BoxedStrategy<Script> {
    let kinds: &'static [Kind] = match area {
        Area::ConfigMaps => &[CONFIG_MAP],
        Area::CustomResources => &[WIDGET],
        Area::Deployments => &[DEPLOYMENT],
        Area::Services => &[SERVICE],
        Area::Others => &OTHERS,
    };
    prop::sample::select(kinds)
        .prop_flat_map(|kind| {
            vec(step(kind), 1..14).prop_map(move |steps| Script {
                watched: kind.collection,
                end: bodies::end(kind),
                steps,
            })
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

/// The parameters of a change.
fn parameters() -> impl Strategy<Value = String> {
    (manager(), validation(), prop::bool::weighted(0.08)).prop_map(|(manager, validation, dry_run)| {
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

fn step(kind: Kind) -> BoxedStrategy<Step> {
    let object = move |name: &str| format!("{}/{name}", kind.collection);
    let create = (name(), parameters(), bodies::body(kind)).prop_map(move |(name, parameters, body)| {
        let path = format!("{}?{parameters}", kind.collection);
        Step::send("POST", path, JSON, &bodies::named(kind, name, body))
    });
    let apply = (
        name(),
        prop_oneof![Just("m1"), Just("m2"), Just("m3")],
        any::<bool>(),
        validation(),
        bodies::body(kind),
    )
        .prop_map(move |(name, manager, force, validation, body)| {
            let validation =
                if validation.is_empty() { String::new() } else { format!("&fieldValidation={validation}") };
            let path = format!("{}?fieldManager={manager}&force={force}{validation}", object(name));
            Step::send("PATCH", path, APPLY, &bodies::named(kind, name, body))
        });
    let part = prop::sample::select(
        std::iter::once("").chain(kind.subresources.iter().copied()).collect::<Vec<&'static str>>(),
    );
    let at = move |name: &str, part: &str, parameters: &str| {
        let slash = if part.is_empty() { "" } else { "/" };
        format!("{}/{name}{slash}{part}?{parameters}", kind.collection)
    };
    let update = (name(), part.clone(), parameters(), bodies::body(kind), 0..4_u8).prop_map(
        move |(name, part, parameters, body, version): (&str, &str, String, Value, u8)| {
            let mut body = bodies::named(kind, name, body);
            match version {
                0 => body["metadata"]["resourceVersion"] = format!("{{rv:{name}}}").into(),
                1 => body["metadata"]["uid"] = format!("{{uid:{name}}}").into(),
                2 => body["metadata"]["managedFields"] = json!([{}]),
                _ => {}
            }
            Step::send("PUT", at(name, part, &parameters), JSON, &body)
        },
    );
    let merge = (name(), part.clone(), parameters(), bodies::change(kind)).prop_map(
        move |(name, part, parameters, body): (&str, &str, String, Value)| {
            Step::send("PATCH", at(name, part, &parameters), MERGE, &body)
        },
    );
    let json_patch = (name(), part, parameters(), bodies::operations(kind)).prop_map(
        move |(name, part, parameters, body): (&str, &str, String, Value)| {
            Step::send("PATCH", at(name, part, &parameters), PATCH, &body)
        },
    );
    let delete = (name(), deletion()).prop_map(move |(name, options)| {
        let options = options.to_string().replace("NAME", name);
        Step { method: "DELETE", path: object(name), content: JSON, accept: "", body: options }
    });
    let read = (name(), prop_oneof![Just(""), Just(PARTIAL), Just(TABLE)])
        .prop_map(move |(name, accept)| Step { accept, ..Step::get(object(name)) });
    let list =
        (selection(), prop_oneof![Just(""), Just(PARTIAL_LIST)]).prop_map(move |(selection, accept)| Step {
            accept,
            ..Step::get(format!("{}?{selection}", kind.collection))
        });
    let strategic = (name(), parameters(), bodies::change(kind)).prop_map(
        move |(name, parameters, body): (&str, String, Value)| {
            Step::send("PATCH", at(name, "", &parameters), STRATEGIC, &body)
        },
    );
    let weight = if kind.strategic { 3 } else { 1 };
    prop_oneof![
        4 => create,
        8 => apply,
        3 => update,
        3 => merge,
        2 => json_patch,
        2 => delete,
        1 => read,
        1 => list,
        weight => strategic,
    ]
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

fn selection() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "labelSelector=l1%3Dx",
        "labelSelector=l1",
        "labelSelector=!l1",
        "labelSelector=l1+in+(x,y),l2!%3Dx",
        "fieldSelector=metadata.name%3Da",
        "fieldSelector=metadata.name!%3Da",
        "limit=1",
        "limit=5&labelSelector=l1",
        "resourceVersion=0",
    ])
}
