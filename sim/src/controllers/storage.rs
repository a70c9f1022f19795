//! Claims are bound, what protects volumes lets go of them, and what asks for an address gets one.

use serde_json::{Value, json};

use super::{CONTROLLER, Look};
use crate::cluster::{Cluster, place_of};
use crate::kinds::rules;

/// What holds volumes and their claims while they are used, which is never for long here.
const PROTECTIONS: [&str; 3] =
    ["kubernetes.io/pvc-protection", "kubernetes.io/pv-protection", "kubernetes.io/vac-protection"];

pub(super) fn volumes(look: &mut Look<'_>) {
    if look.is_deleting() {
        for finalizer in PROTECTIONS {
            look.cluster.take_finalizer(&place_of(&look.resource), look.key, finalizer);
        }
        return;
    }
    if look.resource.plural != "persistentvolumeclaims" || phase(look) != "Pending" {
        return;
    }
    let mut new = look.object.clone();
    let volume = format!("pvc-{}", look.uid());
    let Some(spec) = rules::spec(&mut new) else { return };
    crate::kinds::fill::fill(spec, "volumeName", volume);
    let modes = spec.get("accessModes").cloned().unwrap_or_default();
    let capacity = json!({"storage": look.object.pointer("/spec/resources/requests/storage")});
    let old = look.object.clone();
    look.cluster.write_own(&look.resource.clone(), look.key, &old, new.clone(), CONTROLLER, "");
    if let Some(object) = look.cluster.object(&place_of(&look.resource), look.key) {
        look.object = object.value(&look.resource);
    }
    look.set_status(json!({"phase": "Bound", "accessModes": modes, "capacity": capacity}));
}

fn phase<'a>(look: &'a Look<'_>) -> &'a str {
    look.object.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default()
}

/// Gives a service of the type `LoadBalancer`, or an ingress, the address at which it can be reached.
pub(super) fn address(look: &mut Look<'_>) {
    let service = look.resource.plural == "services";
    let balanced = !service || rules::spec_text(&look.object, "type") == "LoadBalancer";
    let has = look.object.pointer("/status/loadBalancer/ingress").is_some();
    if look.is_deleting() || balanced == has {
        return;
    }
    if !balanced {
        look.set_status(json!({"loadBalancer": {}}));
        return;
    }
    let number = Cluster::number_of(look.key);
    let address = format!("198.51.100.{}", number % 250 + 2);
    let ingress = if service { json!([{"ip": address, "ipMode": "VIP"}]) } else { json!([{"ip": address}]) };
    look.set_status(json!({"loadBalancer": {"ingress": ingress}}));
}
