//! OpenAPI v3 documents: the schemas of definitions in full, of built-in kinds what clients look for before they write.

use serde_json::{Map, Value, json};

use super::discovery::Catalogue;
use crate::kinds::Resource;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";

/// Gives the list of documents.
pub(crate) fn root(catalogue: &Catalogue) -> Value {
    let mut paths = Map::new();
    for (group, version) in catalogue.group_versions() {
        let path = place(group, version);
        let document = of(catalogue, group, version).map(|document| document.to_string()).unwrap_or_default();
        let hash = blake3::hash(document.as_bytes()).to_hex();
        let url = format!("/openapi/v3/{path}?hash={}", hash.to_uppercase());
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// Gives the document of a group and version, if it is served.
pub(crate) fn of(catalogue: &Catalogue, group: &str, version: &str) -> Option<Value> {
    if !catalogue.has(group, version) {
        return None;
    }
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    schemas.insert(OBJECT_META.to_owned(), object_meta());
    for resource in catalogue.resources(group, version) {
        schemas.insert(schema_name(resource), schema(resource));
        let root = place(group, version);
        let namespace = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let path = format!("/{root}{namespace}/{}/{{name}}", resource.plural);
        if resource.verbs.contains(&"patch") {
            paths.insert(path, operations(resource));
        }
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "1.36"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn place(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn schema_name(resource: &Resource) -> String {
    let mut labels: Vec<&str> = resource.group.split('.').filter(|label| !label.is_empty()).collect();
    labels.reverse();
    labels.extend([resource.version.as_str(), resource.kind.as_str()]);
    labels.join(".")
}

fn identity(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn schema(resource: &Resource) -> Value {
    let stated = resource.custom().map(|custom| (*custom.schema).clone());
    let mut schema = stated.filter(Value::is_object).unwrap_or_else(|| json!({"type": "object"}));
    let Some(map) = schema.as_object_mut() else { return schema };
    map.insert(GROUP_VERSION_KIND.to_owned(), json!([identity(resource)]));
    let properties = map.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("apiVersion".to_owned(), described("string", API_VERSION));
        properties.insert("kind".to_owned(), described("string", KIND));
        properties.insert(
            "metadata".to_owned(),
            json!({"description": METADATA, "allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}]}),
        );
    }
    schema
}

const API_VERSION: &str = "The version of the schema that this object is written in.";
const KIND: &str = "The kind of this object.";
const METADATA: &str = "Standard object's metadata.";

/// What clients ask before they write: whether unknown fields can be refused, and which patches are taken.
///
/// A strategic merge patch is not among them on purpose: clients then use the merge keys that they know themselves,
/// because these documents do not describe the fields of built-in kinds.
fn operations(resource: &Resource) -> Value {
    let parameter = |name: &str, kind: &str| json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}});
    let parameters = [
        parameter("dryRun", "string"),
        parameter("fieldManager", "string"),
        parameter("fieldValidation", "string"),
        parameter("force", "boolean"),
    ];
    json!({"patch": {
        "operationId": format!("patch{}", resource.kind),
        "parameters": parameters,
        "requestBody": {"required": true, "content": {
            "application/apply-patch+yaml": {"schema": {"type": "object"}},
            "application/json-patch+json": {"schema": {"type": "object"}},
            "application/merge-patch+json": {"schema": {"type": "object"}},
        }},
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        GROUP_VERSION_KIND: identity(resource),
    }})
}

fn described(kind: &str, description: &str) -> Value {
    json!({"type": kind, "description": description})
}

fn object_meta() -> Value {
    let text = |description: &str| described("string", description);
    let map = |description: &str| json!({"type": "object", "description": description, "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "description": "What every object has besides its own fields.",
        "properties": {
            "annotations": map("Values for programs, which are not selected by."),
            "creationTimestamp": text("When the object came to be."),
            "deletionTimestamp": text("When the object is deleted."),
            "finalizers": {"type": "array", "items": {"type": "string"},
                "description": "Who has to let go before the object is removed."},
            "generateName": text("The beginning of a name that the server completes."),
            "generation": described("integer", "How often the desired state was changed."),
            "labels": map("Values to select objects by."),
            "managedFields": {"type": "array", "items": {"type": "object"}, "description": "Who manages which fields."},
            "name": text("The object's name, unique within its namespace."),
            "namespace": text("Where the name is unique."),
            "ownerReferences": {"type": "array", "items": {"type": "object"},
                "description": "The objects without which this one goes."},
            "resourceVersion": text("The version of this state of the object."),
            "uid": text("The identity of this incarnation of the object."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::built_in;

    #[test]
    fn every_kind_can_be_asked_whether_it_refuses_unknown_fields() {
        let catalogue = Catalogue::new(built_in().iter().cloned());
        let root = root(&catalogue);
        let url = root["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
        assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="), "{url}");
        let apps = of(&catalogue, "apps", "v1").unwrap();
        let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert_eq!(patch[GROUP_VERSION_KIND]["kind"], "Deployment");
        assert!(
            patch["parameters"].as_array().unwrap().iter().any(|given| given["name"] == "fieldValidation")
        );
        assert!(patch["requestBody"]["content"].get("application/strategic-merge-patch+json").is_none());
        assert!(apps["components"]["schemas"].get("apps.v1.Deployment").is_some());
        assert!(of(&catalogue, "apps", "v9").is_none());
    }
}
