//! What is odd about pods and templates of pods.

use serde_json::Value;

/// One port of a container.
struct Port<'a> {
    place: String,
    number: i64,
    protocol: &'a str,
    on_host: i64,
    host_address: &'a str,
    name: &'a str,
}

/// Gives what is odd about a pod, or a template of pods at a path.
pub(super) fn of(pod: &Value, path: &str, spec: Option<&Value>) -> Vec<String> {
    let Some(spec) = spec else { return Vec::new() };
    let path = if path.is_empty() { "spec".to_owned() } else { format!("{path}.spec") };
    let mut warnings = Vec::new();
    for (at, constraint) in list(spec, "topologySpreadConstraints").iter().enumerate() {
        if constraint.get("labelSelector").is_none_or(Value::is_null) {
            warnings.push(matches_nothing(&format!("{path}.topologySpreadConstraints[{at}].labelSelector")));
        }
    }
    annotations(pod, &path, &mut warnings);
    twice(spec, "hostAliases", "ip", &path, &mut warnings);
    twice(spec, "imagePullSecrets", "name", &path, &mut warnings);
    for (at, secret) in list(spec, "imagePullSecrets").iter().enumerate() {
        if text(secret, "name").is_empty() {
            warnings.push(format!("{path}.imagePullSecrets[{at}].name: invalid empty name \"\""));
        }
    }
    let containers: Vec<(String, &Value)> = ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|kind| {
            let place = |(at, container)| (format!("{path}.{kind}[{at}]"), container);
            list(spec, kind).iter().enumerate().map(place).collect::<Vec<_>>()
        })
        .collect();
    for (place, container) in &containers {
        fractions(container, place, &mut warnings);
        variables(container, place, &mut warnings);
    }
    ports(&containers, &mut warnings);
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds < 0) {
        warnings.push(format!(
            "{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
    for side in ["podAffinity", "podAntiAffinity"] {
        affinity(spec, side, &path, &mut warnings);
    }
    warnings
}

fn matches_nothing(path: &str) -> String {
    format!("{path}: a null labelSelector results in matching no pod")
}

/// Annotations that do nothing any more.
fn annotations(pod: &Value, path: &str, warnings: &mut Vec<String>) {
    let above = path.strip_suffix("spec").unwrap_or_default();
    for (key, why) in [
        (
            "scheduler.alpha.kubernetes.io/critical-pod",
            "non-functional in v1.16+; use the \"priorityClassName\" field instead",
        ),
        (
            "security.alpha.kubernetes.io/sysctls",
            "non-functional in v1.11+; use the \"sysctls\" field instead",
        ),
        (
            "security.alpha.kubernetes.io/unsafe-sysctls",
            "non-functional in v1.11+; use the \"sysctls\" field instead",
        ),
    ] {
        if pod.pointer("/metadata/annotations").is_some_and(|annotations| annotations.get(key).is_some()) {
            warnings.push(format!("{above}metadata.annotations[{key}]: {why}"));
        }
    }
}

/// Items that name the same.
fn twice(spec: &Value, field: &str, key: &str, path: &str, warnings: &mut Vec<String>) {
    let mut seen = Vec::new();
    for (at, item) in list(spec, field).iter().enumerate() {
        let value = text(item, key);
        if seen.contains(&value) {
            warnings.push(format!("{path}.{field}[{at}].{key}: duplicate {key} {value:?}"));
        }
        seen.push(value);
    }
}

/// Parts of a byte, which there are none of.
fn fractions(container: &Value, place: &str, warnings: &mut Vec<String>) {
    for name in ["memory", "ephemeral-storage"] {
        for side in ["limits", "requests"] {
            let amount = container.pointer(&format!("/resources/{side}/{name}")).and_then(Value::as_str);
            // In canonical form only what is no whole number has one of these units.
            if let Some(amount) = amount.filter(|amount| amount.ends_with(['m', 'u', 'n'])) {
                warnings.push(format!(
                    "{place}.resources.{side}[{name}]: fractional byte value {amount:?} is invalid, must be an integer"
                ));
            }
        }
    }
}

/// Variables that hide another one.
fn variables(container: &Value, place: &str, warnings: &mut Vec<String>) {
    let mut seen = Vec::new();
    for (at, variable) in list(container, "env").iter().enumerate() {
        let (name, value) = (text(variable, "name"), text(variable, "value"));
        if !seen.contains(&name) {
            seen.push(name);
            continue;
        }
        let reference = format!("$({name})");
        let from_elsewhere = variable.get("valueFrom").is_some_and(|from| !from.is_null());
        if from_elsewhere || value == reference || !value.contains(&reference) {
            warnings.push(format!(
                "{place}.env[{at}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
}

/// Ports of the containers that are the same, or may be.
fn ports(containers: &[(String, &Value)], warnings: &mut Vec<String>) {
    let ports: Vec<Port<'_>> = containers
        .iter()
        .flat_map(|(place, container)| {
            let number =
                |port: &Value, field: &str| port.get(field).and_then(Value::as_i64).unwrap_or_default();
            list(container, "ports").iter().enumerate().map(move |(at, port)| Port {
                place: format!("{place}.ports[{at}]"),
                number: number(port, "containerPort"),
                protocol: text(port, "protocol"),
                on_host: number(port, "hostPort"),
                host_address: text(port, "hostIP"),
                name: text(port, "name"),
            })
        })
        .collect();
    for (at, port) in ports.iter().enumerate() {
        if !port.host_address.is_empty() && port.on_host == 0 {
            warnings.push(format!(
                "{}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{}}}",
                port.place, port.name, port.number, port.protocol, port.host_address
            ));
        }
        let same = |other: &&Port<'_>| other.number == port.number && other.protocol == port.protocol;
        for other in ports.iter().take(at).filter(same) {
            let what = if port.host_address == other.host_address && port.on_host == other.on_host {
                "duplicate"
            } else if port.on_host == 0 || other.on_host == 0 {
                "overlapping"
            } else if port.on_host == other.on_host
                && port.host_address.is_empty() != other.host_address.is_empty()
            {
                "dangerously ambiguous"
            } else {
                continue;
            };
            warnings.push(format!("{}: {what} port definition with {}", port.place, other.place));
        }
    }
    for (at, port) in ports.iter().enumerate().filter(|(_, port)| !port.name.is_empty()) {
        if let Some(first) = ports.iter().take(at).find(|other| other.name == port.name) {
            warnings.push(format!(
                "{}: duplicate port name {:?} with {}, services and probes that select ports by name will use {}",
                port.place, port.name, first.place, first.place
            ));
        }
    }
}

fn affinity(spec: &Value, side: &str, path: &str, warnings: &mut Vec<String>) {
    let Some(affinity) = spec.pointer(&format!("/affinity/{side}")) else { return };
    let nothing = |term: &Value| term.get("labelSelector").is_none_or(Value::is_null);
    for (field, below) in [
        ("requiredDuringSchedulingIgnoredDuringExecution", ""),
        ("preferredDuringSchedulingIgnoredDuringExecution", "podAffinityTerm"),
    ] {
        for (at, term) in list(affinity, field).iter().enumerate() {
            let place = format!("{path}.affinity.{side}.{field}[{at}]");
            if below.is_empty() && nothing(term) {
                warnings.push(matches_nothing(&format!("{place}.labelSelector")));
            } else if !below.is_empty() && term.get(below).is_none_or(nothing) {
                warnings.push(matches_nothing(&format!("{place}.{below}.labelSelector")));
            }
        }
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_that_meet_are_told_across_containers() {
        let pod = json!({"spec": {"containers": [
            {"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"},
                {"containerPort": 80, "protocol": "UDP"}]},
            {"name": "b", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"},
                {"containerPort": 80, "protocol": "UDP", "hostPort": 1}]},
        ]}});
        assert_eq!(
            of(&pod, "", pod.get("spec")),
            [
                "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
                "spec.containers[1].ports[1]: overlapping port definition with spec.containers[0].ports[1]",
                "spec.containers[1].ports[0]: duplicate port name \"web\" with spec.containers[0].ports[0], services and \
                 probes that select ports by name will use spec.containers[0].ports[0]",
            ]
        );
    }

    #[test]
    fn parts_of_bytes_and_names_that_are_there_twice_are_told() {
        let pod = json!({"spec": {"imagePullSecrets": [{"name": "x"}, {"name": "x"}, {}],
            "containers": [{"name": "a", "resources": {"limits": {"memory": "1500m", "cpu": "100m"}}}]}});
        assert_eq!(
            of(&pod, "spec.template", pod.get("spec")),
            [
                "spec.template.spec.imagePullSecrets[1].name: duplicate name \"x\"",
                "spec.template.spec.imagePullSecrets[2].name: invalid empty name \"\"",
                "spec.template.spec.containers[0].resources.limits[memory]: fractional byte value \"1500m\" is invalid, \
                 must be an integer",
            ]
        );
    }
}
