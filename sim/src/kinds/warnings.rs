//! What writers are warned of: it is kept all the same.

mod pod;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Resource, metadata};
use crate::cluster::Subresource;

/// Finalizers of definitions' objects that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["foregroundDeletion", "kubernetes", "orphan"];

/// Gives what the writer of an object is warned of; `old` is what the object replaces.
pub(super) fn of(
    resource: &Resource,
    new: &Value,
    old: Option<&Value>,
    subresource: Subresource,
) -> Vec<String> {
    if subresource == Subresource::Status {
        return Vec::new();
    }
    if resource.custom().is_some() {
        return finalizers(new, old);
    }
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "pods") if old.is_none() => named(new, old, "the Pod's hostname")
            .into_iter()
            .chain(pod::of(new, "", new.get("spec")))
            .collect(),
        ("apps", "deployments" | "replicasets") | ("batch", "jobs") | ("", "replicationcontrollers") => {
            let mut warnings = named(new, old, "Pod names and hostnames");
            warnings.extend(template(new, old, "/spec/template", "spec.template"));
            warnings
        }
        ("apps", "statefulsets" | "daemonsets") => template(new, old, "/spec/template", "spec.template"),
        ("batch", "cronjobs") => {
            let mut warnings = named(new, old, "Pod names and hostnames");
            let path = "spec.jobTemplate.spec.template";
            warnings.extend(template(new, old, "/spec/jobTemplate/spec/template", path));
            warnings
        }
        ("", "services") => service(new),
        _ => Vec::new(),
    }
}

/// Names that are no DNS labels make no good names of pods.
fn named(new: &Value, old: Option<&Value>, used: &str) -> Vec<String> {
    let fault = metadata::label(metadata::text(new, "name")).filter(|_| old.is_none());
    let warning = |why: String| {
        format!(
            "metadata.name: this is used in {used}, which can result in surprising behavior; a DNS label is \
             recommended: [{why}]"
        )
    };
    fault.map(warning).into_iter().collect()
}

/// Looks at a template of pods, unless the object's desires (of a daemon set: its template) are those of before.
fn template(new: &Value, old: Option<&Value>, pointer: &str, path: &str) -> Vec<String> {
    let counted = if new.get("kind").and_then(Value::as_str) == Some("DaemonSet") {
        "/metadata/annotations/deprecated.daemonset.template.generation"
    } else {
        "/metadata/generation"
    };
    let generation = |object: &Value| object.pointer(counted).cloned();
    if old.is_some_and(|old| generation(old) == generation(new)) {
        return Vec::new();
    }
    match new.pointer(pointer) {
        Some(template) => pod::of(template, path, template.get("spec")),
        None => Vec::new(),
    }
}

fn service(new: &Value) -> Vec<String> {
    let text =
        |field: &str| new.pointer(&format!("/spec/{field}")).and_then(Value::as_str).unwrap_or_default();
    let external = new.pointer("/spec/externalIPs").and_then(Value::as_array);
    let external = external.is_some_and(|list| !list.is_empty());
    let headless = text("type") == "ClusterIP" && text("clusterIP") == "None";
    let renamed = text("type") == "ExternalName";
    let mut warnings = Vec::new();
    if headless && !text("loadBalancerIP").is_empty() {
        warnings.push("spec.loadBalancerIP is ignored for headless services".to_owned());
    }
    if headless && external {
        warnings.push("spec.externalIPs is ignored for headless services".to_owned());
    }
    if headless && text("sessionAffinity") != "None" {
        warnings.push("spec.SessionAffinity is ignored for headless services".to_owned());
    }
    if external && !headless && !renamed {
        let warning = "spec.externalIPs is deprecated and may no longer be implemented in some clusters";
        warnings.push(warning.to_owned());
    }
    if external && renamed {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !renamed && !text("externalName").is_empty() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if text("trafficDistribution") == "PreferClose" {
        let warning = "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"";
        warnings.push(warning.to_owned());
    }
    warnings
}

/// Finalizers that others could have as well.
fn finalizers(new: &Value, old: Option<&Value>) -> Vec<String> {
    let before: Vec<&str> = old.map(|old| metadata::texts(old, "finalizers").collect()).unwrap_or_default();
    let added: BTreeSet<&str> =
        metadata::texts(new, "finalizers").filter(|finalizer| !before.contains(finalizer)).collect();
    let lonely = added
        .into_iter()
        .filter(|finalizer| !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(finalizer));
    lonely
        .map(|finalizer| {
            let path = if finalizer.contains('.') { " including a path (/)" } else { "" };
            format!(
                "metadata.finalizers: {finalizer:?}: prefer a domain-qualified finalizer name{path} to avoid accidental \
                 conflicts with other finalizer writers"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::built_in;

    fn warnings(plural: &str, new: &Value, old: Option<&Value>) -> Vec<String> {
        let resource = built_in().iter().find(|resource| resource.plural == plural).unwrap();
        of(resource, new, old, Subresource::None)
    }

    #[test]
    fn a_template_is_looked_at_only_when_the_object_changes() {
        let deployment = |generation: i64| {
            json!({"metadata": {"name": "a.b", "generation": generation}, "spec": {"template": {"spec": {
                "containers": [{"name": "c", "env": [{"name": "E", "value": "1"}, {"name": "E", "value": "2"}]}]}}}})
        };
        let hidden = "spec.template.spec.containers[0].env[1]: hides previous definition of \"E\", which may be \
                      dropped when using apply";
        let made = warnings("deployments", &deployment(1), None);
        assert!(made[0].starts_with("metadata.name: this is used in Pod names and hostnames"), "{made:?}");
        assert_eq!(made[1..], [hidden]);
        assert_eq!(warnings("deployments", &deployment(2), Some(&deployment(1))), [hidden]);
        assert_eq!(warnings("deployments", &deployment(1), Some(&deployment(1))), Vec::<String>::new());
    }

    #[test]
    fn new_finalizers_without_a_path_are_told() {
        let object = |finalizers: &[&str]| json!({"metadata": {"finalizers": finalizers}});
        let told = finalizers(&object(&["b.c", "a", "x/y", "orphan"]), Some(&object(&["a"])));
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with(
                "metadata.finalizers: \"b.c\": prefer a domain-qualified finalizer name including"
            )
        );
        assert_eq!(finalizers(&object(&["b.c", "a"]), None).len(), 2);
    }
}
