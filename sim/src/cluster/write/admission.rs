//! What may be written at all, and what is given out to it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::status::{Cause, Status};
use super::super::store::{Key, Place};
use super::super::{Cluster, place_of};
use crate::kinds::fill::{fill, text};
use crate::kinds::{Resource, metadata, rules};
use crate::ownership::Conflicts;

/// The first two bytes of the addresses of services.
const NETWORK: (u8, u8) = (10, 0);
/// The ports that nodes open for services.
const NODE_PORTS: std::ops::RangeInclusive<u64> = 30_000..=32_767;

// === impl Cluster ===

impl Cluster {
    /// Says why nothing can be created in a namespace.
    pub(super) fn admit(&self, resource: &Resource, namespace: &str, name: &str) -> Result<(), Status> {
        if !resource.namespaced {
            return Ok(());
        }
        let found = self.store.get(&Place::new("", "namespaces"), &Key::new("", namespace));
        let Some(found) = found else { return Err(namespace_missing(namespace)) };
        if !found.is_deleting() {
            return Ok(());
        }
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        };
        Err(Status::forbidden(resource, name, &why).with_causes(vec![cause]))
    }

    /// Gives a service what it needs of the cluster: addresses and ports.
    pub(super) fn allocate(
        &mut self,
        resource: &Resource,
        object: &mut Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<(), Status> {
        if !resource.is("", "services") {
            return Ok(());
        }
        if let Some(old) = old {
            keep_allocated(object, old);
        }
        let kind = rules::spec_text(object, "type").to_owned();
        if kind == "ExternalName" {
            if let Some(spec) = rules::spec(object) {
                for field in
                    ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]
                {
                    spec.remove(field);
                }
            }
            return Ok(());
        }
        // An address is given when there was none to have; one that was not given then is not given later.
        let had_none = old.is_some_and(|old| {
            let text = |field: &str| old.pointer(field).and_then(Value::as_str).unwrap_or_default();
            text("/spec/type") != "ExternalName" && text("/spec/clusterIP").is_empty()
        });
        let keeps = old.is_some_and(|old| {
            let address = rules::spec_text(old, "clusterIP");
            !address.is_empty() && address == rules::spec_text(object, "clusterIP")
        });
        if keeps {
            let address = rules::spec_text(object, "clusterIP").to_owned();
            set_address(object, &address);
        } else if !had_none || !rules::spec_text(object, "clusterIP").is_empty() {
            self.give_address(resource, object, dry_run)?;
        }
        give_families(object);
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
            self.give_node_ports(object, old.is_none(), dry_run);
            if old.is_some() {
                check_node_ports(object)?;
            }
        }
        Ok(())
    }

    fn give_address(&mut self, resource: &Resource, object: &mut Value, dry_run: bool) -> Result<(), Status> {
        let name = metadata::text(object, "name").to_owned();
        let mut asked = rules::spec_text(object, "clusterIP").to_owned();
        if asked.is_empty() {
            let first = object.pointer("/spec/clusterIPs/0").and_then(Value::as_str);
            first.unwrap_or_default().clone_into(&mut asked);
        }
        let key = Key::new(metadata::text(object, "namespace"), &name);
        if asked.is_empty() && dry_run {
            // What is not kept is shown with the address of the network itself.
            asked = format!("{}.{}.0.0", NETWORK.0, NETWORK.1);
        } else if asked.is_empty() {
            asked = loop {
                let number = self.random.below(65_000) + 10;
                let address = format!("{}.{}.{}.{}", NETWORK.0, NETWORK.1, number / 256, number % 256);
                if !self.has_address(resource, &key, &address) {
                    break address;
                }
            };
        } else if asked != "None" {
            let list = Value::from(vec![asked.clone()]);
            let fault = if self.has_address(resource, &key, &asked) {
                Some("failed to allocate IP %: provided IP is already allocated")
            } else if asked.starts_with(&format!("{}.{}.", NETWORK.0, NETWORK.1)) {
                None
            } else {
                Some("failed to allocate IP %: the provided network does not match the current range")
            };
            if let Some(fault) = fault {
                let why = fault.replace('%', &asked);
                return Err(Status::invalid(
                    resource,
                    &name,
                    vec![Cause::invalid("spec.clusterIPs", &list, &why)],
                ));
            }
        }
        set_address(object, &asked);
        if !dry_run && asked != "None" {
            self.addresses.insert(asked, key);
        }
        Ok(())
    }

    /// Tells whether another service than this one has an address.
    fn has_address(&self, resource: &Resource, mine: &Key, address: &str) -> bool {
        let holder = self.addresses.get(address).filter(|holder| *holder != mine);
        let object = holder.and_then(|holder| self.store.get(&place_of(resource), holder));
        object.is_some_and(|object| rules::spec_text(&object.bare(), "clusterIP") == address)
    }

    /// Gives the ports of a service theirs on nodes. Those of a new one that differ in the protocol alone share one.
    fn give_node_ports(&mut self, object: &mut Value, is_new: bool, dry_run: bool) {
        let allocates = object.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
        let Some(ports) = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return };
        let number = |port: &Value, field: &str| port.get(field).and_then(Value::as_u64).unwrap_or_default();
        let asked = ports.iter().map(|port| (number(port, "port"), number(port, "nodePort")));
        let mut given: BTreeMap<u64, u64> =
            asked.rev().filter(|(_, node_port)| is_new && *node_port != 0).collect();
        // What is not kept is shown with ports that nobody has.
        let mut next = NODE_PORTS.end() + 1;
        for port in ports.iter_mut().filter(|port| allocates && number(port, "nodePort") == 0) {
            let own = number(port, "port");
            let node_port = given.get(&own).copied().unwrap_or_else(|| {
                if dry_run {
                    next += 1;
                    return next;
                }
                NODE_PORTS.start() + self.random.below(NODE_PORTS.end() - NODE_PORTS.start() + 1)
            });
            if is_new {
                given.insert(own, node_port);
            }
            if let Some(port) = port.as_object_mut() {
                port.insert("nodePort".to_owned(), node_port.into());
            }
        }
    }
}

/// Checks that no two ports of a service that is there open the same one on nodes; one that is new is validated for it.
fn check_node_ports(service: &Value) -> Result<(), Status> {
    let mut seen = Vec::new();
    for port in service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten() {
        let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or_default();
        let number = port.get("nodePort").and_then(Value::as_u64).unwrap_or_default();
        if number != 0 && seen.contains(&(protocol, number)) {
            return Err(Status::new(500, "", format!("duplicate nodePort: {{{protocol} {number}}}")));
        }
        seen.push((protocol, number));
    }
    Ok(())
}

fn set_address(object: &mut Value, address: &str) {
    if let Some(spec) = rules::spec(object) {
        spec.insert("clusterIP".to_owned(), address.into());
        spec.insert("clusterIPs".to_owned(), json!([address]));
    }
}

/// Says of which families a service's addresses are.
fn give_families(object: &mut Value) {
    let headless = rules::spec_text(object, "clusterIP") == "None";
    let Some(spec) = rules::spec(object) else { return };
    if headless && spec.get("selector").is_none() {
        fill(spec, "ipFamilyPolicy", "RequireDualStack");
        fill(spec, "ipFamilies", json!(["IPv4", "IPv6"]));
    } else {
        fill(spec, "ipFamilyPolicy", "SingleStack");
        fill(spec, "ipFamilies", json!(["IPv4"]));
    }
}

/// What was given out stays unless the service asks for something else.
fn keep_allocated(object: &mut Value, old: &Value) {
    let kinds = (rules::spec_text(object, "type").to_owned(), rules::spec_text(old, "type"));
    if kinds.0 == "ExternalName" || kinds.1 == "ExternalName" {
        return;
    }
    let Some(spec) = rules::spec(object) else { return };
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if let Some(before) = old.pointer(&format!("/spec/{field}")) {
            fill(spec, field, before.clone());
        }
    }
    if kinds.0 != "LoadBalancer" {
        let flag = spec.get("allocateLoadBalancerNodePorts");
        if flag.is_some_and(|flag| old.pointer("/spec/allocateLoadBalancerNodePorts") == Some(flag)) {
            spec.remove("allocateLoadBalancerNodePorts");
        }
    }
    if !matches!(kinds.0.as_str(), "NodePort" | "LoadBalancer") {
        give_back(spec, old);
        return;
    }
    // Ports are known by their names, whatever else changed of them.
    let name = |port: &Map<String, Value>| text(port, "name").to_owned();
    let number =
        |port: &Map<String, Value>| port.get("nodePort").and_then(Value::as_u64).filter(|port| *port != 0);
    let before = old.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let before: BTreeMap<String, u64> =
        before.filter_map(Value::as_object).filter_map(|port| Some((name(port), number(port)?))).collect();
    let asked: Vec<u64> = crate::kinds::fill::each(spec, "ports").filter_map(|port| number(port)).collect();
    for port in crate::kinds::fill::each(spec, "ports") {
        let had = before.get(&name(port)).filter(|had| !asked.contains(had));
        if let (None, Some(had)) = (number(port), had) {
            port.insert("nodePort".to_owned(), (*had).into());
        }
    }
}

/// A service that no longer is of a type with ports on nodes gives back those that it had.
fn give_back(spec: &mut Map<String, Value>, old: &Value) {
    let had = |path: &str, value: &Value| old.pointer(path) == Some(value);
    if spec.get("externalTrafficPolicy").is_some_and(|policy| had("/spec/externalTrafficPolicy", policy)) {
        spec.remove("externalTrafficPolicy");
    }
    let before: Vec<i64> = old
        .pointer("/spec/ports")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|port| port.get("nodePort")?.as_i64())
        .collect();
    for port in crate::kinds::fill::each(spec, "ports") {
        if port.get("nodePort").and_then(Value::as_i64).is_some_and(|number| before.contains(&number)) {
            port.remove("nodePort");
        }
    }
}

fn namespace_missing(namespace: &str) -> Status {
    let details = super::super::status::Details {
        name: namespace.to_owned(),
        kind: "namespaces".to_owned(),
        ..Default::default()
    };
    let mut status = Status::new(404, "NotFound", format!("namespaces \"{namespace}\" not found"));
    status.details = Some(Box::new(details));
    status
}

/// Says which fields others own.
pub(super) fn conflicts(conflicts: &Conflicts) -> Status {
    let causes = conflicts
        .iter()
        .map(|conflict| Cause {
            reason: "FieldManagerConflict".to_owned(),
            message: conflict.cause(),
            field: conflict.field.clone(),
        })
        .collect();
    Status::new(409, "Conflict", conflicts.message()).with_causes(causes)
}
