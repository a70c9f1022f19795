//! Whether what an object's status says is about its newest spec.

use serde_json::Value;

use super::conditions::{number, observed_generation};
use crate::key::GroupKind;

/// Kinds whose status always tells the generation that it is of, so that one which does not was not written yet.
const ALWAYS: [(&str, &[&str]); 5] = [
    ("apps", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]),
    ("policy", &["PodDisruptionBudget"]),
    ("apps.openshift.io", &["DeploymentConfig"]),
    ("sailoperator.io", &["Istio", "IstioRevision", "IstioCNI", "ZTunnel", "IstioRevisionTag"]),
    ("gateway.networking.k8s.io", &["GatewayClass", "Gateway", "HTTPRoute", "GRPCRoute", "BackendTLSPolicy"]),
];

/// Tells whether the controllers of an object have seen its newest spec; `None` where it tells no generation, so that
/// its status says nothing about which spec it is of.
pub fn observed(kind: &GroupKind, object: &Value) -> Option<bool> {
    if kind.group == "argoproj.io" && kind.kind == "Rollout" {
        return Some(super::argo::rollout_observed(object));
    }
    let newest = number(object, &["metadata", "generation"])?;
    match observed_generation(object) {
        Some(seen) => Some(seen >= newest),
        None if always_tells(kind) => Some(false),
        None => None,
    }
}

fn always_tells(kind: &GroupKind) -> bool {
    ALWAYS.iter().any(|(group, kinds)| *group == kind.group && kinds.contains(&kind.kind.as_str()))
}
