//! Columns of roles and bindings.

use serde_json::Value;

use super::{AGE, Cells, Columns, NAME, age, items, name, text};
use crate::cluster::Time;

const BINDING: Columns = &[
    NAME,
    ("Role", "string", 0),
    AGE,
    ("Users", "string", 1),
    ("Groups", "string", 1),
    ("ServiceAccounts", "string", 1),
];

pub(super) fn of(plural: &str) -> Option<(Columns, Cells)> {
    matches!(plural, "rolebindings" | "clusterrolebindings").then_some((BINDING, binding as Cells))
}

fn binding(object: &Value, now: Time) -> Vec<Value> {
    let of_kind = |kind: &str| {
        let subjects = items(object, "/subjects").filter(|subject| text(subject, "/kind") == kind);
        let names = subjects.map(|subject| match text(subject, "/namespace") {
            namespace if kind == "ServiceAccount" => format!("{namespace}/{}", text(subject, "/name")),
            _ => text(subject, "/name").to_owned(),
        });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    vec![
        name(object),
        format!("{}/{}", text(object, "/roleRef/kind"), text(object, "/roleRef/name")).into(),
        age(object, now),
        of_kind("User"),
        of_kind("Group"),
        of_kind("ServiceAccount"),
    ]
}
