//! The groups of a cluster of `OpenShift`: routes, its operators' operands, and what they say of the cluster.

use serde_json::Value;

use super::Verdict;
use super::conditions::{condition, conditions, conditions_at, flag, is_lagging, lagging, list, text};
use super::rules::Rule;
use super::surroundings::Surroundings;
use crate::json;
use crate::key::GroupKind;

/// Where a node says which way its traffic goes, as JSON.
const GATEWAY_CONFIG: &str = "k8s.ovn.org/l3-gateway-config";

pub(super) fn rule(group: &str, kind: &str) -> Option<Rule> {
    match (group, kind) {
        ("route.openshift.io", "Route") => Some(Rule::Own(route)),
        ("apps.openshift.io", "DeploymentConfig") => Some(Rule::Own(deployment_config)),
        ("config.openshift.io", "ClusterOperator") => Some(Rule::Own(cluster_operator)),
        ("operator.openshift.io", "IngressController") => Some(Rule::Own(ingress_controller)),
        ("operator.openshift.io", "Network") => Some(Rule::Among {
            judge: |object, around| Some(network(object, around)),
            auxiliary: &[("", "Node")],
        }),
        ("operator.openshift.io", "ClusterCSIDriver") => Some(Rule::Own(storage_driver)),
        ("operator.openshift.io", "ExternalSecretsConfig") => Some(Rule::Own(external_secrets)),
        _ => None,
    }
}

/// Judges a route.
pub(super) fn route(object: &Value) -> Verdict {
    let ingresses = list(object, &["status", "ingress"]);
    let admitted = |ingress: &Value, wanted: bool| {
        conditions_at(ingress, &["conditions"])
            .any(|said| if wanted { said.says("Admitted") } else { said.denies("Admitted") })
    };
    if ingresses.iter().any(|ingress| admitted(ingress, false)) {
        Verdict::degraded("Route is degraded")
    } else if !ingresses.is_empty() && ingresses.iter().all(|ingress| admitted(ingress, true)) {
        Verdict::healthy("Route is healthy")
    } else {
        Verdict::progressing("Route is still getting admitted")
    }
}

fn deployment_config(object: &Value) -> Verdict {
    const WAITING: &str = "replication controller is waiting for pods to run";
    if conditions(object).next().is_none() {
        return Verdict::progressing(WAITING);
    }
    let said = conditions(object).filter(|said| said.says("Available") || said.says("Progressing"));
    match said.count() {
        2 => Verdict::healthy("replication controller successfully rolled out"),
        1 => Verdict::progressing(WAITING),
        _ => Verdict::degraded("Deployment config is degraded"),
    }
}

fn cluster_operator(object: &Value) -> Verdict {
    let said = |kind: &str| conditions(object).find(|said| said.says(kind));
    if let Some(broken) = said("Degraded") {
        return Verdict::degraded(broken.message());
    }
    if let Some(gone) = conditions(object).find(|said| said.denies("Available")) {
        return Verdict::degraded(gone.message());
    }
    if let Some(working) = said("Progressing") {
        return Verdict::progressing(working.message());
    }
    match said("Available") {
        Some(available) => Verdict::healthy(available.message()),
        None => Verdict::progressing("Waiting for the operator"),
    }
}

/// The first condition that says anything decides.
fn ingress_controller(object: &Value) -> Verdict {
    for said in conditions(object) {
        if said.says("Degraded") {
            return Verdict::degraded(said.message());
        }
        if said.denies("DeploymentReplicasAllAvailable") {
            return Verdict::progressing(said.message());
        }
        if said.says("Progressing") {
            return Verdict::progressing(said.reason());
        }
        if said.says("Available") {
            return Verdict::healthy("IngressController is available");
        }
    }
    Verdict::progressing("Status of IngressController is not known yet")
}

/// The network of the cluster. That every node goes the way that is asked for is proven by the nodes alone.
fn network(object: &Value, around: &dyn Surroundings) -> Verdict {
    if is_lagging(object) {
        return lagging(object);
    }
    if let Some(broken) = conditions(object).find(|said| said.says("Degraded")) {
        return Verdict::degraded(format!("{}: {}", broken.reason(), broken.message()));
    }
    if let Some(working) = conditions(object).find(|said| said.says("Progressing")) {
        return Verdict::progressing(working.message());
    }
    let config = ["spec", "defaultNetwork", "ovnKubernetesConfig", "gatewayConfig"];
    if let Some(config) = json::at(object, &config) {
        let mode = if flag(config, &["routingViaHost"]) { "local" } else { "shared" };
        let nodes = around.of_kind(&GroupKind::new("", "Node")).unwrap_or_default();
        let others: Vec<&str> = nodes
            .into_iter()
            .filter(|node| gateway_mode(node).as_deref() != Some(mode))
            .map(|node| text(node, &["metadata", "name"]))
            .collect();
        if let Some(first) = others.first() {
            return Verdict::progressing(format!(
                "{} nodes are not in gateway mode {mode} yet, {first} among them",
                others.len()
            ));
        }
    }
    match condition(object, "Available") {
        Some(available) if available.is_true() => Verdict::healthy(available.message()),
        Some(available) => Verdict::progressing(available.message_or_reason()),
        None => Verdict::progressing("Waiting for the operator"),
    }
}

fn gateway_mode(node: &Value) -> Option<String> {
    let annotation = json::text_at(node, &["metadata", "annotations", GATEWAY_CONFIG])?;
    let config: Value = serde_json::from_str(annotation).ok()?;
    json::text_at(&config, &["default", "mode"]).map(str::to_owned)
}

/// Each of the driver's controllers has conditions of its own, with its name before the type.
fn storage_driver(object: &Value) -> Verdict {
    if is_lagging(object) {
        return lagging(object);
    }
    let ending = |ending: &'static str| conditions(object).filter(move |said| said.kind().ends_with(ending));
    if let Some(broken) = ending("Degraded").find(|said| said.is_true()) {
        return Verdict::degraded(format!("{}: {}", broken.kind(), broken.message_or_reason()));
    }
    let state = text(object, &["spec", "managementState"]);
    if matches!(state, "Unmanaged" | "Removed") {
        return Verdict::suspended(format!("the management state is {state}"));
    }
    if let Some(working) = ending("Progressing").find(|said| said.is_true()) {
        return Verdict::progressing(format!("{}: {}", working.kind(), working.message_or_reason()));
    }
    if let Some(absent) = ending("Available").find(|said| !said.is_true()) {
        return Verdict::progressing(format!("{}: {}", absent.kind(), absent.message_or_reason()));
    }
    if ending("Available").next().is_some() {
        Verdict::healthy("")
    } else {
        Verdict::progressing("Waiting for the operator")
    }
}

fn external_secrets(object: &Value) -> Verdict {
    if is_lagging(object) {
        return lagging(object);
    }
    if let Some(broken) = conditions(object).find(|said| said.says("Degraded")) {
        return Verdict::degraded(broken.message_or_reason());
    }
    match condition(object, "Ready") {
        Some(ready) if ready.is_true() => Verdict::healthy(ready.message()),
        Some(ready) if ready.reason() == "Failed" => Verdict::degraded(ready.message_or_reason()),
        Some(ready) => Verdict::progressing(ready.message_or_reason()),
        None => Verdict::progressing("Waiting for the operator"),
    }
}
