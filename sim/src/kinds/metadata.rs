//! What holds for the metadata of every kind.

use serde_json::{Map, Value};

use super::Resource;
use crate::cluster::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                         '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
                         for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                         with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                           '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                           'my_value',  or '12345', regex used for validation is \
                           '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// The most bytes that annotations may have.
const ANNOTATIONS: usize = 256 << 10;

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// How objects of a kind may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    Subdomain,
    Label,
    Segment,
}

/// Gives a text field of an object's metadata; empty if it is not there.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get(field))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Gives an object's metadata to change, which is made if it is not there.
pub(crate) fn of(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let object = object.as_object_mut()?;
    object.entry("metadata").or_insert_with(|| Map::new().into()).as_object_mut()
}

/// Gives the texts of a list in an object's metadata.
pub(crate) fn texts<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    let list = object.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// Finds what is wrong with the metadata of an object.
pub(crate) fn validate(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = text(object, "name");
    let generate = text(object, "generateName");
    if !generate.is_empty() {
        // What is generated ends with letters: a prefix may end with what joins.
        let masked = format!("{}a", generate.strip_suffix('-').unwrap_or(generate));
        causes.extend(
            name_fault(resource, &masked)
                .map(|why| Cause::invalid("metadata.generateName", &generate.into(), &why)),
        );
    }
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = name_fault(resource, name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), &why));
    }
    causes.extend(labels(object.pointer("/metadata/labels"), "metadata.labels"));
    annotations(object, &mut causes);
    owners(object, &mut causes);
    for (at, finalizer) in texts(object, "finalizers").enumerate() {
        let field = format!("metadata.finalizers[{at}]");
        if resource.custom().is_none() {
            causes.extend(self::finalizer(finalizer, &field));
        } else if let Some(why) = qualified(finalizer) {
            causes.push(Cause::invalid(field, &finalizer.into(), &why));
        }
    }
    causes
}

/// Finds what is wrong with the name of a finalizer of a built-in kind.
pub(crate) fn finalizer(finalizer: &str, field: &str) -> Option<Cause> {
    if let Some(why) = qualified(finalizer) {
        return Some(Cause::invalid(field, &finalizer.into(), &why));
    }
    let known = finalizer.contains('/') || STANDARD_FINALIZERS.contains(&finalizer);
    let why = "name is neither a standard finalizer name nor is it fully qualified";
    (!known).then(|| Cause::invalid(field, &finalizer.into(), why))
}

/// Finds what is wrong with labels.
pub(crate) fn labels(labels: Option<&Value>, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        if let Some(why) = qualified(key) {
            causes.push(Cause::invalid(field, &key.as_str().into(), &why));
        }
        let text = value.as_str().unwrap_or_default();
        causes.extend(label_value(text).map(|why| Cause::invalid(field, value, why)));
    }
    causes
}

/// Says why a text is no value of a label.
pub(crate) fn label_value(text: &str) -> impl Iterator<Item = &'static str> {
    let long = (text.len() > 63).then_some("must be no more than 63 bytes");
    let odd = (!text.is_empty() && !is_name_part(text)).then_some(LABEL_VALUE);
    long.into_iter().chain(odd)
}

/// Says why a text is no key of a label, as selectors tell it.
pub(crate) fn label_key(text: &str) -> Option<String> {
    qualified(text).map(|why| why.replace("a qualified name must", "a valid label key must"))
}

fn annotations(object: &Value, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in
        object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten()
    {
        if let Some(why) = qualified(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.as_str().into(), &why));
        }
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS));
    }
}

fn owners(object: &Value, causes: &mut Vec<Cause>) {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let mut controller: Option<String> = None;
    for owner in owners.into_iter().flatten() {
        let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default();
        let path = |field: &str| format!("metadata.ownerReferences.{field}");
        if text("apiVersion").is_empty() {
            causes.push(Cause::invalid(path("apiVersion"), &"".into(), "version must not be empty"));
        }
        for field in ["kind", "name", "uid"] {
            if text(field).is_empty() {
                causes.push(Cause::invalid(path(field), &"".into(), "must not be empty"));
            }
        }
        if owner.get("controller").and_then(Value::as_bool) == Some(true) {
            if let Some(first) = &controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {}",
                    text("name")
                );
                causes.push(Cause::invalid("metadata.ownerReferences", &Value::from(text("name")), &detail));
            }
            controller = Some(text("name").to_owned());
        }
    }
}

/// Finds what an update may not change.
pub(crate) fn validate_update(new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp"] {
        let (new, old) = (text(new, field), text(old, field));
        if new != old {
            causes.push(Cause::invalid(format!("metadata.{field}"), &new.into(), "field is immutable"));
        }
    }
    if !text(old, "deletionTimestamp").is_empty() {
        let before: Vec<&str> = texts(old, "finalizers").collect();
        let added: Vec<&str> = texts(new, "finalizers").filter(|one| !before.contains(one)).collect();
        if !added.is_empty() {
            let shown: Vec<String> = added.iter().map(|one| format!("{one:?}")).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                shown.join(", ")
            );
            let cause = Cause::forbidden("metadata.finalizers", &detail);
            // It is found with what all objects have in common, and once more with what their kind has.
            causes.extend([cause.clone(), cause]);
        }
    }
    causes
}

fn name_fault(resource: &Resource, name: &str) -> Option<String> {
    let naming = match (resource.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces" | "services") => Naming::Label,
        ("rbac.authorization.k8s.io", _) => Naming::Segment,
        _ => Naming::Subdomain,
    };
    match naming {
        Naming::Subdomain => subdomain(name),
        Naming::Label => label(name),
        Naming::Segment => match name {
            "." | ".." => Some(format!("may not be '{name}'")),
            name => ["/", "%"]
                .into_iter()
                .find(|mark| name.contains(mark))
                .map(|mark| format!("may not contain '{mark}'")),
        },
    }
}

/// Says why a text is no DNS subdomain.
pub(crate) fn subdomain(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("must be no more than 253 bytes".to_owned());
    }
    (!name.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned())
}

/// Says why a text is no DNS label.
pub(crate) fn label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    (!is_label(name)).then(|| LABEL.to_owned())
}

/// Says why a text is no qualified name, as keys of labels are.
fn qualified(name: &str) -> Option<String> {
    let part = match name.split_once('/') {
        None => name,
        Some(("", _)) => return Some("prefix part must be non-empty".to_owned()),
        Some((prefix, part)) => {
            if part.contains('/') {
                return Some(
                    "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                     with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                     validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix \
                     and '/' (e.g. 'example.com/MyName')"
                        .to_owned(),
                );
            }
            if let Some(why) = subdomain(prefix) {
                return Some(format!("prefix part {why}"));
            }
            part
        }
    };
    if part.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if part.len() > 63 {
        return Some("name part must be no more than 63 bytes".to_owned());
    }
    (!is_name_part(part)).then(|| QUALIFIED.to_owned())
}

fn is_label(text: &str) -> bool {
    let alphanumeric = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|letter| alphanumeric(letter) || letter == '-')
}

fn is_name_part(text: &str) -> bool {
    let alphanumeric = |letter: char| letter.is_ascii_alphanumeric();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|letter| alphanumeric(letter) || matches!(letter, '-' | '_' | '.'))
}
