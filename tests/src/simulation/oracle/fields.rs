//! Fields: an apply changes and removes what is its own, and nothing else (I11).
//!
//! Who owns what is read from `managedFields` here, apart from whoever wrote them and whoever else reads them.

use std::fmt;

use argosy_core::cluster::Request;
use argosy_core::ids::Digest;
use argosy_core::key::ResourceKey;
use argosy_sim::cluster::Object;
use serde_json::{Map, Value, json};

use super::super::objects::Piece;
use super::Oracle;
use super::live::meant;

/// One step of a path into an object.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    /// The item of a list with these keys.
    Key(Map<String, Value>),
    /// The item of a list that is this value.
    Item(Value),
    Index(usize),
}

/// The path of one field.
#[derive(Debug, Clone, PartialEq)]
struct Path(Vec<Step>);

/// What one manager owns.
struct Owner<'a> {
    manager: &'a str,
    is_ours: bool,
    paths: Vec<Path>,
}

impl Oracle {
    /// An apply took effect on an object that was there.
    pub(super) fn fields_kept(
        &mut self,
        agent: usize,
        request: &Request,
        before: &Object,
        after: Option<&Object>,
    ) {
        let Request::Apply { key, manifest, .. } = request else { return };
        let (Some(after), Some((rendered, piece))) = (after, self.pieces.get(manifest)) else { return };
        let body = body(key, rendered, *piece);
        if let Err(why) = judge(&before.bare(), &after.bare(), &body, &manager(key)) {
            self.violate("I11", format!("agent {agent} applies {key}: {why}"));
        }
    }

    /// A part was given up: nothing of it stays but what others own, and all that is theirs does.
    pub(super) fn given_up(
        &mut self,
        agent: usize,
        key: &ResourceKey,
        before: &Object,
        after: Option<&Object>,
    ) {
        let Some(after) = after.filter(|after| after.uid() == before.uid()) else {
            self.violate("parts", format!("agent {agent} gives {key} up, and its object is gone"));
            return;
        };
        if let Err(why) = judge(&before.bare(), &after.bare(), &tuned(key), &manager(key)) {
            self.violate("I11", format!("agent {agent} gives {key} up: {why}"));
        }
    }

    /// Remembers which piece a manifest is of.
    pub(super) fn learn(&mut self, manifest: Digest, rendered: &ResourceKey, piece: Piece) {
        self.pieces.entry(manifest).or_insert_with(|| (rendered.clone(), piece));
    }
}

/// Gives the manager by which we write an object, or a part of one.
fn manager(key: &ResourceKey) -> String {
    if key.is_part() { format!("argosy.{}", key.part) } else { "argosy".to_owned() }
}

/// Gives what a webhook may change of any object that is written.
fn tuned(key: &ResourceKey) -> Value {
    if key.kind == "ConfigMap" { json!({"data": {"tuned": ""}}) } else { json!({}) }
}

/// Gives what an apply names: what Git says, and our marks, of which a part has none.
fn body(key: &ResourceKey, rendered: &ResourceKey, piece: Piece) -> Value {
    let mut body = meant(rendered, piece);
    if key.is_part() {
        if let (Some(data), Some(tuned)) = (
            body.get_mut("data").and_then(Value::as_object_mut),
            tuned(key).get("data").and_then(Value::as_object),
        ) {
            data.extend(tuned.clone());
        }
        return body;
    }
    let mut set = |part: &str, name: &str, value: &str| {
        let metadata = body.get_mut("metadata").and_then(Value::as_object_mut);
        let part = metadata.map(|metadata| metadata.entry(part).or_insert_with(|| json!({})));
        if let Some(part) = part.and_then(Value::as_object_mut) {
            part.insert(name.to_owned(), value.into());
        }
    };
    set("labels", "argosy.dev/managed", "true");
    if !key.is_crd() {
        set("annotations", "argocd.argoproj.io/tracking-id", "");
        set("annotations", "argosy.dev/installation-id", "");
    }
    body
}

/// Holds an apply to what it may do.
fn judge(before: &Value, after: &Value, body: &Value, manager: &str) -> Result<(), String> {
    let owners = owners(before, manager);
    for owner in owners.iter().filter(|owner| !owner.is_ours) {
        let unnamed = owner.paths.iter().filter(|path| !path.is_named(body));
        for path in unnamed {
            let (was, is) = (path.find(before), path.find(after));
            if was != is {
                let is = is.map_or_else(|| "gone".to_owned(), Value::to_string);
                return Err(format!("{path}, which {} owns, is {is}", owner.manager));
            }
        }
    }
    for path in owners.iter().filter(|owner| owner.is_ours).flat_map(|owner| &owner.paths) {
        let shared = owners.iter().filter(|owner| !owner.is_ours).any(|owner| owner.has(path));
        if !path.is_named(body) && !shared && path.find(after).is_some() {
            return Err(format!("{path} left what is applied, nobody else owns it, and it stays"));
        }
    }
    Ok(())
}

fn owners<'a>(object: &'a Value, ours: &str) -> Vec<Owner<'a>> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let read = |entry: &'_ Value| {
        let mut paths = Vec::new();
        leaves(&entry["fieldsV1"], &mut Vec::new(), &mut paths);
        paths
    };
    entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            let is_ours =
                text("manager") == ours && text("operation") == "Apply" && text("subresource").is_empty();
            Owner { manager: text("manager"), is_ours, paths: read(entry) }
        })
        .collect()
}

/// Collects the paths of a set that have nothing below them.
fn leaves(fields: &Value, at: &mut Vec<Step>, paths: &mut Vec<Path>) {
    let below = fields.as_object().into_iter().flatten().filter(|(name, _)| *name != ".");
    let mut any = false;
    for (name, fields) in below {
        any = true;
        let Some(step) = Step::read(name) else { continue };
        at.push(step);
        leaves(fields, at, paths);
        at.pop();
    }
    if !any && !at.is_empty() {
        paths.push(Path(at.clone()));
    }
}

impl Owner<'_> {
    /// Tells whether it owns a field, or something in it.
    fn has(&self, path: &Path) -> bool {
        self.paths.iter().any(|own| own.0.starts_with(&path.0))
    }
}

impl Step {
    fn read(name: &str) -> Option<Self> {
        let (kind, rest) = name.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => serde_json::from_str(rest).ok().map(Self::Key),
            "v" => serde_json::from_str(rest).ok().map(Self::Item),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Field(name) => value.get(name),
            Self::Key(keys) => {
                value.as_array()?.iter().find(|item| keys.iter().all(|(key, of)| item.get(key) == Some(of)))
            }
            Self::Item(of) => value.as_array()?.iter().find(|item| *item == of),
            Self::Index(at) => value.get(at),
        }
    }
}

impl Path {
    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| step.find(value))
    }

    /// Tells whether a body says something of the field, or replaces what it is in.
    fn is_named(&self, body: &Value) -> bool {
        let mut at = body;
        for step in &self.0 {
            if !at.is_object() && !at.is_array() {
                return true;
            }
            match step.find(at) {
                Some(below) => at = below,
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Key(keys) => write!(f, "[{}]", Value::from(keys.clone()))?,
                Step::Item(item) => write!(f, "[={item}]")?,
                Step::Index(at) => write!(f, "[{at}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(spec: &Value, owners: &[(&str, Value)]) -> Value {
        let entries: Vec<Value> = owners
            .iter()
            .map(|(manager, fields)| {
                let operation = if *manager == "argosy" { "Apply" } else { "Update" };
                json!({"manager": manager, "operation": operation, "fieldsV1": {"f:spec": fields}})
            })
            .collect();
        json!({"metadata": {"managedFields": entries}, "spec": spec})
    }

    #[test]
    fn what_another_manager_owns_stays_as_it_is() {
        let owners = [("argosy", json!({"f:a": {}})), ("kubectl", json!({"f:list": {"v:\"x\"": {}}}))];
        let before = object(&json!({"a": 1, "list": ["x"]}), &owners);
        let body = json!({"spec": {"a": 2}});
        let judged = |spec: Value| judge(&before, &object(&spec, &[]), &body, "argosy");
        assert_eq!(judged(json!({"a": 2, "list": ["y", "x"]})), Ok(()));
        assert_eq!(
            judged(json!({"a": 2, "list": ["y"]})).unwrap_err(),
            ".spec.list[=\"x\"], which kubectl owns, is gone"
        );
    }

    #[test]
    fn what_left_the_body_goes_unless_somebody_else_owns_it() {
        let ours =
            ("argosy", json!({"f:a": {}, "f:ports": {"k:{\"name\":\"b\"}": {".": {}, "f:number": {}}}}));
        let spec = json!({"a": 1, "ports": [{"name": "b", "number": 2}]});
        let body = json!({"spec": {"a": 1}});
        let alone = object(&spec, std::slice::from_ref(&ours));
        assert!(judge(&alone, &alone, &body, "argosy").unwrap_err().contains("and it stays"));
        let shared =
            object(&spec, &[ours, ("tuner", json!({"f:ports": {"k:{\"name\":\"b\"}": {"f:number": {}}}}))]);
        assert_eq!(judge(&shared, &shared, &body, "argosy"), Ok(()));
        assert!(
            judge(&shared, &object(&json!({"a": 1}), &[]), &body, "argosy")
                .unwrap_err()
                .contains("tuner owns")
        );
    }
}
