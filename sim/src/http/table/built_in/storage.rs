//! Columns of volumes.

use serde_json::Value;

use super::{AGE, Cells, Columns, NAME, age, items, name, text};
use crate::cluster::Time;

const CLAIM: Columns = &[
    NAME,
    ("Status", "string", 0),
    ("Volume", "string", 0),
    ("Capacity", "string", 0),
    ("Access Modes", "string", 0),
    ("StorageClass", "string", 0),
    ("VolumeAttributesClass", "string", 0),
    AGE,
    ("VolumeMode", "string", 1),
];

const VOLUME: Columns = &[
    NAME,
    ("Capacity", "string", 0),
    ("Access Modes", "string", 0),
    ("Reclaim Policy", "string", 0),
    ("Status", "string", 0),
    ("Claim", "string", 0),
    ("StorageClass", "string", 0),
    ("VolumeAttributesClass", "string", 0),
    ("Reason", "string", 0),
    AGE,
    ("VolumeMode", "string", 1),
];

const CLASS: Columns = &[
    NAME,
    ("Provisioner", "string", 0),
    ("ReclaimPolicy", "string", 0),
    ("VolumeBindingMode", "string", 0),
    ("AllowVolumeExpansion", "string", 0),
    AGE,
];

pub(super) fn of(plural: &str) -> Option<(Columns, Cells)> {
    match plural {
        "persistentvolumeclaims" => Some((CLAIM, claim)),
        "persistentvolumes" => Some((VOLUME, volume)),
        "storageclasses" => Some((CLASS, class)),
        _ => None,
    }
}

fn claim(object: &Value, now: Time) -> Vec<Value> {
    let bound = !text(object, "/spec/volumeName").is_empty();
    let phase = match text(object, "/metadata/deletionTimestamp") {
        "" => text(object, "/status/phase"),
        _ => "Terminating",
    };
    vec![
        name(object),
        phase.into(),
        text(object, "/spec/volumeName").into(),
        if bound { text(object, "/status/capacity/storage") } else { "" }.into(),
        if bound { modes(object, "/status/accessModes") } else { String::new() }.into(),
        text(object, "/spec/storageClassName").into(),
        unset(text(object, "/spec/volumeAttributesClassName")),
        age(object, now),
        unset(text(object, "/spec/volumeMode")),
    ]
}

fn volume(object: &Value, now: Time) -> Vec<Value> {
    let claim = match text(object, "/spec/claimRef/name") {
        "" => String::new(),
        claim => format!("{}/{claim}", text(object, "/spec/claimRef/namespace")),
    };
    let phase = match text(object, "/metadata/deletionTimestamp") {
        "" => text(object, "/status/phase"),
        _ => "Terminating",
    };
    vec![
        name(object),
        text(object, "/spec/capacity/storage").into(),
        modes(object, "/spec/accessModes").into(),
        text(object, "/spec/persistentVolumeReclaimPolicy").into(),
        phase.into(),
        claim.into(),
        text(object, "/spec/storageClassName").into(),
        unset(text(object, "/spec/volumeAttributesClassName")),
        text(object, "/status/reason").into(),
        age(object, now),
        unset(text(object, "/spec/volumeMode")),
    ]
}

fn class(object: &Value, now: Time) -> Vec<Value> {
    let mut shown = text(object, "/metadata/name").to_owned();
    let default = "/metadata/annotations/storageclass.kubernetes.io~1is-default-class";
    if text(object, default) == "true" {
        shown.push_str(" (default)");
    }
    let expands = object.get("allowVolumeExpansion").and_then(Value::as_bool).unwrap_or(false);
    vec![
        shown.into(),
        text(object, "/provisioner").into(),
        text(object, "/reclaimPolicy").into(),
        text(object, "/volumeBindingMode").into(),
        expands.into(),
        age(object, now),
    ]
}

fn unset(text: &str) -> Value {
    if text.is_empty() { "<unset>" } else { text }.into()
}

fn modes(object: &Value, pointer: &str) -> String {
    let short = items(object, pointer).filter_map(Value::as_str).map(|mode| match mode {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => other,
    });
    short.collect::<Vec<_>>().join(",")
}
