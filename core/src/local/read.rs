//! The file of a local policy. Everything that is not understood is refused with its line: a rule that is lost permits
//! something.

use serde_json::Value;

use super::{ClusterScope, Deletes, LocalPolicy, NamespaceRule, Pattern, Rule};
use crate::application::SpecError;
use crate::application::fields::Fields;
use crate::glob::{Glob, GlobError};
use crate::ids::Digest;
use crate::project::windows::windows;
use crate::yaml::{self, YamlErrorKind};

const API_VERSION: &str = "argosy.dev/v1alpha1";
const KIND: &str = "AgentPolicy";

/// A file that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{field}: {why}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct PolicyError {
    /// Which line, from 1, where one is known.
    pub line: Option<usize>,
    /// Path of the field; `.` for the file itself.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

// === impl PolicyError ===

impl From<yaml::YamlError> for PolicyError {
    fn from(error: yaml::YamlError) -> Self {
        let (field, why) = match error.kind {
            YamlErrorKind::Value { field, why } => (field, why),
            kind @ (YamlErrorKind::NotUtf8 | YamlErrorKind::Limit { .. } | YamlErrorKind::Syntax(_)) => {
                (".".to_owned(), kind.to_string())
            }
        };
        Self { line: error.line, field, why }
    }
}

// === impl LocalPolicy ===

impl LocalPolicy {
    /// Reads the bytes of a file of one document.
    pub fn read(bytes: &[u8]) -> Result<Self, PolicyError> {
        let file = yaml::parse_one(bytes, &yaml::Limits::default())?;
        if let Some(warning) = file.document.warnings.first() {
            let (line, field) = (Some(warning.line), warning.field.clone());
            return Err(PolicyError { line, field, why: warning.message.clone() });
        }
        let told = |SpecError { field, why }| PolicyError { line: Some(file.line_of(&field)), field, why };
        every_field_says_something(&file.document.value, "").map_err(told)?;
        policy(&file.document.value, Digest::of(bytes)).map_err(told)
    }
}

/// Refuses fields without a value: a list of which every line was taken out must not come to mean that all is permitted.
fn every_field_says_something(value: &Value, path: &str) -> Result<(), SpecError> {
    match value {
        Value::Null => Err(SpecError::new(path, "has no value: give it one, or leave it out")),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            every_field_says_something(value, &path)
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| every_field_says_something(item, &format!("{path}[{index}]"))),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn policy(document: &Value, digest: Digest) -> Result<LocalPolicy, SpecError> {
    let mut top = Fields::of(document, "")?;
    for (key, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        if top.text(key)? != expected {
            return Err(top.error(key, format!("must be {expected}")));
        }
    }
    let (mut kinds_allowed, mut kinds_denied) = (None, Vec::new());
    if let Some(mut kinds) = top.object("kinds")? {
        kinds_allowed = rules(&mut kinds, "allow")?;
        kinds_denied = rules(&mut kinds, "deny")?.unwrap_or_default();
        kinds.finish()?;
    }
    let cluster_scope = match top.value("clusterScope") {
        None | Some(Value::Bool(true)) => ClusterScope::Any,
        Some(Value::Bool(false)) => ClusterScope::None,
        Some(Value::Array(_)) => ClusterScope::Only(rules(&mut top, "clusterScope")?.unwrap_or_default()),
        Some(Value::Null | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(top.error("clusterScope", "must be true, false or a list of kinds"));
        }
    };
    let deletes = match top.value("deletes") {
        None => Deletes::Any,
        Some(Value::String(word)) if word == "never" => Deletes::Never,
        Some(Value::Array(_)) => Deletes::Only(rules(&mut top, "deletes")?.unwrap_or_default()),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(top.error("deletes", "must be never or a list of kinds"));
        }
    };
    let namespaces = namespaces(&mut top)?;
    let windows = windows(&mut top)?;
    top.finish()?;
    Ok(LocalPolicy { digest, kinds_allowed, kinds_denied, namespaces, cluster_scope, deletes, windows })
}

fn rules(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<Vec<Rule>>, SpecError> {
    if fields.value(key).is_none() {
        return Ok(None);
    }
    fields.objects(key)?.into_iter().map(rule).collect::<Result<_, _>>().map(Some)
}

fn rule(mut item: Fields<'_>) -> Result<Rule, SpecError> {
    let mut pattern = |key: &'static str| {
        let Some(value) = item.value(key) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| item.error(key, "must be a string"))?;
        Pattern::new(text, Glob::file_match).map(Some).map_err(|error| item.error(key, error.to_string()))
    };
    let (group, kind, name) = (pattern("group")?, pattern("kind")?, pattern("name")?);
    let Some(group) = group else {
        return Err(item.error("group", "is missing: \"\" is the group of Secret and the like, \"*\" is any"));
    };
    let Some(kind) = kind else { return Err(item.error("kind", "is missing: \"*\" is any")) };
    item.finish()?;
    Ok(Rule { group, kind, name })
}

fn namespaces(top: &mut Fields<'_>) -> Result<Option<Vec<NamespaceRule>>, SpecError> {
    const KEY: &str = "namespaces";
    if top.value(KEY).is_none() {
        return Ok(None);
    }
    let mut rules = Vec::new();
    for (index, text) in top.texts(KEY)?.iter().enumerate() {
        let denied = text.strip_prefix('!');
        let pattern = Pattern::new(denied.unwrap_or(text), |pattern| Glob::new(pattern, &[]))
            .map_err(|error| top.error(&format!("{KEY}[{index}]"), error.to_string()))?;
        rules.push(NamespaceRule { denies: denied.is_some(), pattern });
    }
    if !rules.is_empty() && rules.iter().all(|rule| rule.denies) {
        let why = "only denies, which permits no namespace at all: add \"*\" to permit the others";
        return Err(top.error(KEY, why));
    }
    Ok(Some(rules))
}

// === impl Pattern ===

impl Pattern {
    fn new(text: &str, compile: impl Fn(&str) -> Result<Glob, GlobError>) -> Result<Self, GlobError> {
        let glob = compile(text)?;
        let is_word = !text.contains(['*', '?', '[', '{', '\\']);
        Ok(Self { text: text.to_owned(), glob: (!is_word).then_some(glob) })
    }
}
