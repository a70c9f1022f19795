//! What is wrong with a CustomResourceDefinition.

use serde_json::Value;

use crate::cluster::Cause;
use crate::kinds::metadata;
use crate::kinds::rules::spec_text;
use crate::structural::Schema;

pub(super) fn of(object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let group = spec_text(object, "group");
    let name = |field: &str| {
        object
            .pointer("/spec/names")
            .and_then(|names| names.get(field))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (plural, kind) = (name("plural"), name("kind"));
    let expected = format!("{plural}.{group}");
    let called = metadata::text(object, "name");
    if called != expected {
        causes.push(Cause::invalid(
            "metadata.name",
            &called.into(),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else if !group.contains('.') {
        causes.push(Cause::invalid("spec.group", &group.into(), "should be a domain with at least one dot"));
    }
    let scope = spec_text(object, "scope");
    if scope.is_empty() {
        causes.push(Cause::required("spec.scope", ""));
    } else if !matches!(scope, "Namespaced" | "Cluster") {
        causes.push(Cause::unsupported("spec.scope", scope, &["Cluster", "Namespaced"]));
    }
    for (field, value) in [("plural", plural), ("kind", kind)] {
        if value.is_empty() {
            causes.push(Cause::required(format!("spec.names.{field}"), ""));
        }
    }
    versions(object, &mut causes);
    stored_versions(object, &mut causes);
    if let Some(old) = old {
        for (field, path) in [
            ("spec.group", "/spec/group"),
            ("spec.scope", "/spec/scope"),
            ("spec.names.kind", "/spec/names/kind"),
        ] {
            let (new, before) = (object.pointer(path), old.pointer(path));
            let established = field != "spec.scope" || is_established(old);
            if new != before && established && field != "spec.names.kind" {
                causes.push(Cause::invalid(field, &new.cloned().unwrap_or_default(), "field is immutable"));
            }
        }
    }
    if let Some(strategy) = object.pointer("/spec/conversion/strategy").and_then(Value::as_str)
        && !matches!(strategy, "None" | "Webhook")
    {
        let field = "spec.conversion.strategy";
        causes.push(match strategy {
            "" => Cause::required(field, ""),
            other => Cause::unsupported(field, other, &["None", "Webhook"]),
        });
    }
    if object.pointer("/spec/conversion/strategy").and_then(Value::as_str) == Some("Webhook") {
        let field = |name: &str| object.pointer(&format!("/spec/conversion/webhook/{name}"));
        if field("clientConfig").is_none() {
            let detail = "required when strategy is set to Webhook";
            causes.push(Cause::required("spec.conversion.webhookClientConfig", detail));
        }
        if field("conversionReviewVersions").is_none() {
            causes.push(Cause::required("spec.conversion.conversionReviewVersions", ""));
        }
    }
    causes
}

/// Tells whether objects of the kind may be there, so that it is settled where they live.
fn is_established(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let is = |condition: &Value, field: &str, text: &str| {
        condition.get(field).and_then(Value::as_str) == Some(text)
    };
    conditions
        .filter(|condition| is(condition, "type", "Established"))
        .any(|condition| is(condition, "status", "True"))
}

/// Checks that each version in which objects are kept is one that there is.
fn stored_versions(object: &Value, causes: &mut Vec<Cause>) {
    let list =
        |path: &str| object.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let stored = list("/status/storedVersions");
    if stored.is_empty() {
        let detail = "must have at least one stored version";
        causes.push(Cause::invalid("status.storedVersions", &Value::Null, detail));
    }
    for version in list("/spec/versions").iter().filter(|one| one.get("storage") == Some(&Value::Bool(true)))
    {
        let name = version.get("name").and_then(Value::as_str).unwrap_or_default();
        if !stored.is_empty() && !stored.iter().any(|one| one == name) {
            let detail = format!("must have the storage version {name}");
            causes.push(Cause::invalid("status.storedVersions", &Value::from(stored), &detail));
        }
    }
    for (at, version) in stored.iter().enumerate() {
        if list("/spec/versions").iter().any(|one| one.get("name") == Some(version)) {
            continue;
        }
        let name = version.as_str().unwrap_or_default();
        let detail = format!(
            "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
             until a storage migration ensures no data remains persisted in {name} and removes {name} from \
             status.storedVersions"
        );
        causes.push(Cause::invalid(format!("status.storedVersions[{at}]"), version, &detail));
    }
}

fn versions(object: &Value, causes: &mut Vec<Cause>) {
    let versions =
        object.pointer("/spec/versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let flag = |version: &Value, flag: &str| version.get(flag) == Some(&Value::Bool(true));
    let name = |version: &Value| version.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut names: Vec<String> = versions.iter().map(name).collect();
    names.sort();
    names.dedup();
    let shown = || Value::from(versions.to_vec());
    if names.len() < versions.len() {
        causes.push(Cause::invalid("spec.versions", &shown(), "must contain unique version names"));
    }
    if versions.iter().filter(|version| flag(version, "storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &shown(), detail));
    }
    let schema = |version: &Value| version.pointer("/schema/openAPIV3Schema").cloned();
    // One that all versions have is judged once, as that of the whole.
    let shared = versions.first().and_then(schema);
    let shared =
        shared.filter(|first| versions.iter().all(|version| schema(version).as_ref() == Some(first)));
    if let Some(shared) = shared {
        of_schema(&shared, "spec.validation.openAPIV3Schema", causes);
        return;
    }
    for (at, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{at}].schema.openAPIV3Schema");
        match schema(version) {
            None => causes.push(Cause::required(path, "")),
            Some(schema) => of_schema(&schema, &path, causes),
        }
    }
}

fn of_schema(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let errors = Schema::parse(schema).err().unwrap_or_default();
    causes.extend(errors.into_iter().map(|mut error| {
        let dot = if error.path.is_empty() || error.path.starts_with('[') { "" } else { "." };
        error.path = format!("{path}{dot}{}", error.path);
        Cause::from(error)
    }));
}
