//! The kinds of `CustomResourceDefinition`s.

use std::sync::Arc;

use serde_json::Value;

use super::{Custom, Habits, Origin, Resource, SubresourceInfo, VERBS, metadata, table};
use crate::cluster::Cause;
use crate::golang;
use crate::ownership::Type;
use crate::structural::Schema;

// === impl Custom ===

impl Custom {
    /// Drops the fields that the schema does not have; gives their paths.
    pub(super) fn prune(&self, object: &mut Value) -> Vec<String> {
        self.structural.prune(object)
    }

    /// Drops the fields that the schema does not have from what an apply made; nulls stay.
    pub(super) fn prune_applied(&self, object: &mut Value) {
        self.structural.prune_applied(object);
    }

    /// Fills in the defaults of the schema.
    pub(super) fn default(&self, object: &mut Value) {
        self.structural.default(object);
    }

    /// Finds what does not fit the schema; of a change, only what it made worse.
    pub(super) fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let errors = match old {
            Some(old) => self.structural.validate_update(object, old),
            None => self.structural.validate(object),
        };
        errors.into_iter().map(Cause::from).chain(self.validate_scale(object)).collect()
    }

    /// Brings an object to the form in which it is kept.
    pub(crate) fn conform(&self, object: &mut Value) {
        let _unknown = self.stored.prune(object);
        self.stored.default(object);
    }

    /// Finds what is wrong with the number of replicas, which has rules of its own.
    fn validate_scale(&self, object: &Value) -> Option<Cause> {
        let path = &self.scale.as_ref()?.spec;
        let (mut found, mut seen) = (object, String::new());
        for field in path.trim_start_matches('.').split('.') {
            seen.push('.');
            seen.push_str(field);
            if !matches!(found, Value::Null | Value::Object(_)) {
                let (shown, ty) = (golang::plain(found), golang::type_name(found));
                let detail = format!(
                    "{seen} accessor error: {shown} is of the type {ty}, expected map[string]interface{{}}"
                );
                return Some(Cause::invalid(path.as_str(), &0.into(), &detail));
            }
            found = found.get(field)?;
        }
        match found {
            Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
                Some(Cause::invalid(path.as_str(), found, "should be a non-negative integer"))
            }
            Value::Number(_) => None,
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                let (kind, text) = match found {
                    Value::String(text) => ("string", text.clone()),
                    Value::Bool(truth) => ("bool", truth.to_string()),
                    Value::Null => ("nil", "<nil>".to_owned()),
                    Value::Array(_) => ("[]interface {}", found.to_string()),
                    Value::Object(_) | Value::Number(_) => ("map[string]interface {}", found.to_string()),
                };
                let detail = format!("{path} accessor error: {text} is of the type {kind}, expected int64");
                Some(Cause::invalid(path.as_str(), &0.into(), &detail))
            }
        }
    }

    /// Gives how objects merge.
    pub(super) fn merging(&self) -> Arc<Type> {
        self.merging.clone()
    }
}

/// Makes the kinds that a definition serves, the preferred version first.
pub(crate) fn of_definition(definition: &Value) -> Vec<Resource> {
    let mut versions: Vec<&Value> = definition
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|version| version.get("served") == Some(&Value::Bool(true)))
        .collect();
    versions.sort_by_key(|version| std::cmp::Reverse(priority(text(version, "name"))));
    versions.into_iter().filter_map(|version| resource(definition, version)).collect()
}

fn resource(definition: &Value, version: &Value) -> Option<Resource> {
    let spec = definition.get("spec")?;
    let names = definition.pointer("/status/acceptedNames").filter(|names| !text(names, "kind").is_empty());
    let names = names.or_else(|| spec.get("names"))?;
    let list = |field: &str| -> Vec<String> {
        let list = names.get(field).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let all = spec.get("versions")?.as_array()?;
    let storage = all.iter().find(|version| version.get("storage") == Some(&Value::Bool(true)))?;
    let schema = version.pointer("/schema/openAPIV3Schema")?;
    let group = text(spec, "group");
    let known: Vec<String> = all.iter().map(|one| format!("{group}/{}", text(one, "name"))).collect();
    let merging = |schema: &Value| {
        Arc::new(Arc::unwrap_or_clone(Type::from_structural(schema)).with_versions(known.clone()))
    };
    let has = |name: &str| version.pointer("/subresources").and_then(|all| all.get(name)).is_some();
    let mut subresources: Vec<SubresourceInfo> = Vec::new();
    for name in ["scale", "status"] {
        if has(name) {
            subresources.extend(table::subresource(name));
        }
    }
    let scale = version.pointer("/subresources/scale").map(|scale| super::Scale {
        spec: text(scale, "specReplicasPath").to_owned(),
        status: text(scale, "statusReplicasPath").to_owned(),
        selector: text(scale, "labelSelectorPath").to_owned(),
    });
    let selectable = version.get("selectableFields").and_then(Value::as_array).into_iter().flatten();
    Some(Resource {
        group: group.to_owned(),
        version: text(version, "name").to_owned(),
        plural: text(names, "plural").to_owned(),
        singular: text(names, "singular").to_owned(),
        kind: text(names, "kind").to_owned(),
        list_kind: text(names, "listKind").to_owned(),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: text(spec, "scope") == "Namespaced",
        verbs: VERBS.to_vec(),
        subresources,
        origin: Origin::Definition(Box::new(Custom {
            definition: metadata::text(definition, "name").to_owned(),
            storage_version: text(storage, "name").to_owned(),
            webhook: webhook(spec),
            merging: merging(schema),
            kept_merging: merging(storage.pointer("/schema/openAPIV3Schema")?),
            stored: Arc::new(Schema::parse(storage.pointer("/schema/openAPIV3Schema")?).unwrap_or_default()),
            // A definition whose schema makes no sense is refused before.
            structural: Arc::new(Schema::parse(schema).unwrap_or_default()),
            schema: Arc::new(schema.clone()),
            columns: Arc::new(version.get("additionalPrinterColumns").cloned().unwrap_or_default()),
            selectable: selectable.map(|field| text(field, "jsonPath").to_owned()).collect(),
            scale,
            status: has("status"),
        })),
        habits: Habits { generation: true, versioned_update: true, ..Habits::default() },
    })
}

/// Tells how the webhook of a definition fails, which nobody calls: as on a cluster where its service is not there.
fn webhook(spec: &Value) -> Option<String> {
    let conversion = spec.get("conversion").filter(|conversion| text(conversion, "strategy") == "Webhook")?;
    let client = conversion.pointer("/webhook/clientConfig")?;
    let Some(service) = client.get("service") else {
        let url = text(client, "url");
        return Some(format!("Post \"{url}?timeout=30s\": a simulated cluster calls no webhooks"));
    };
    let (namespace, name) = (text(service, "namespace"), text(service, "name"));
    let port = service.get("port").and_then(Value::as_u64).unwrap_or(443);
    let path = Some(text(service, "path")).filter(|path| !path.is_empty()).unwrap_or("/");
    Some(format!(
        "Post \"https://{name}.{namespace}.svc:{port}{path}?timeout=30s\": service \"{name}\" not found"
    ))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Gives a version's place among others: stable before beta before alpha, higher numbers first, all others after them.
pub(crate) fn priority(version: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let other = || (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else { return other() };
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (major, stage) = rest.split_at(end);
    let Ok(major) = major.parse() else { return other() };
    let staged = |rank: u8, minor: &str| match minor.parse() {
        Ok(minor) => (rank, major, minor, std::cmp::Reverse(String::new())),
        Err(_no_number) => other(),
    };
    if stage.is_empty() {
        return (3, major, 0, std::cmp::Reverse(String::new()));
    }
    match (stage.strip_prefix("beta"), stage.strip_prefix("alpha")) {
        (Some(minor), _) => staged(2, minor),
        (_, Some(minor)) => staged(1, minor),
        (None, None) => other(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_preferred_by_how_stable_they_are() {
        let mut versions = ["v1alpha1", "foo", "v2", "v1beta2", "v1beta10", "v10", "bar"];
        versions.sort_by_key(|version| std::cmp::Reverse(priority(version)));
        assert_eq!(versions, ["v10", "v2", "v1beta10", "v1beta2", "v1alpha1", "bar", "foo"]);
    }
}
