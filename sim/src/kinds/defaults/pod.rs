//! Defaults of pods and of templates of pods.

use serde_json::{Map, Value, json};

use super::super::fill::{each, fill, inside, made, text};

/// The mode of files that come from the API.
const FILE_MODE: u32 = 0o644;

pub(super) fn of_pod(map: &mut Map<String, Value>) {
    let Some(spec) = made(map, "spec") else { return };
    spec_of_pod(spec);
    host_ports(spec);
    fill(spec, "enableServiceLinks", true);
    for list in ["initContainers", "containers"] {
        for container in each(spec, list) {
            requests(container);
        }
    }
    if let Some(status) = made(map, "status") {
        fill(status, "phase", "Pending");
    }
}

pub(super) fn of_template(map: &mut Map<String, Value>) {
    if let Some(spec) = made(map, "template").and_then(|template| made(template, "spec")) {
        spec_of_pod(spec);
    }
}

/// In the network of its node a pod has its ports there.
fn host_ports(spec: &mut Map<String, Value>) {
    if spec.get("hostNetwork").and_then(Value::as_bool) != Some(true) {
        return;
    }
    for list in ["initContainers", "containers"] {
        for container in each(spec, list) {
            for port in each(container, "ports") {
                if let Some(number) = port.get("containerPort").cloned() {
                    fill(port, "hostPort", number);
                }
            }
        }
    }
}

/// What is limited and not requested is requested up to its limit.
fn requests(container: &mut Map<String, Value>) {
    let Some(resources) = inside(container, "resources") else { return };
    let limits = resources.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    if let Some(requests) = made(resources, "requests") {
        for (name, limit) in limits {
            fill(requests, &name, limit);
        }
    }
}

fn spec_of_pod(spec: &mut Map<String, Value>) {
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "restartPolicy", "Always");
    fill(spec, "securityContext", Map::new());
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill(spec, "schedulerName", "default-scheduler");
    let account = match text(spec, "serviceAccountName") {
        "" => text(spec, "serviceAccount").to_owned(),
        name => name.to_owned(),
    };
    if !account.is_empty() {
        // The old name of the field is kept in step.
        spec.insert("serviceAccountName".to_owned(), account.as_str().into());
        spec.insert("serviceAccount".to_owned(), account.into());
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in each(spec, list) {
            of_container(container);
        }
    }
    for volume in each(spec, "volumes") {
        of_volume(volume);
    }
}

fn of_container(container: &mut Map<String, Value>) {
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    let policy = if is_latest(text(container, "image")) { "Always" } else { "IfNotPresent" };
    fill(container, "imagePullPolicy", policy);
    for port in each(container, "ports") {
        fill(port, "protocol", "TCP");
    }
    for variable in each(container, "env") {
        if let Some(field) = inside(variable, "valueFrom").and_then(|from| inside(from, "fieldRef")) {
            fill(field, "apiVersion", "v1");
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = inside(container, probe) {
            of_probe(probe);
        }
    }
    if let Some(lifecycle) = inside(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(get) = inside(lifecycle, hook).and_then(|hook| inside(hook, "httpGet")) {
                of_http_get(get);
            }
        }
    }
}

/// Tells whether an image is the latest one of its name: no tag and no digest, or that tag.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn of_probe(probe: &mut Map<String, Value>) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        fill(probe, field, value);
    }
    if let Some(get) = inside(probe, "httpGet") {
        of_http_get(get);
    }
    if let Some(grpc) = inside(probe, "grpc") {
        fill(grpc, "service", "");
    }
}

fn of_http_get(get: &mut Map<String, Value>) {
    fill(get, "path", "/");
    fill(get, "scheme", "HTTP");
}

fn of_volume(volume: &mut Map<String, Value>) {
    if volume.len() <= 1 {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = inside(volume, source) {
            fill(source, "defaultMode", FILE_MODE);
        }
    }
    if let Some(path) = inside(volume, "hostPath") {
        fill(path, "type", "");
    }
    if let Some(downward) = inside(volume, "downwardAPI") {
        of_downward(downward);
    }
    if let Some(projected) = inside(volume, "projected") {
        for source in each(projected, "sources") {
            if let Some(token) = inside(source, "serviceAccountToken") {
                fill(token, "expirationSeconds", 3600);
            }
            if let Some(downward) = inside(source, "downwardAPI") {
                of_downward(downward);
            }
        }
    }
    if let Some(template) =
        inside(volume, "ephemeral").and_then(|ephemeral| inside(ephemeral, "volumeClaimTemplate"))
    {
        super::claim_spec(template);
    }
}

fn of_downward(downward: &mut Map<String, Value>) {
    for item in each(downward, "items") {
        if let Some(field) = inside(item, "fieldRef") {
            fill(field, "apiVersion", "v1");
        }
    }
}
