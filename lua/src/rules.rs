//! Which script a kind has.

use std::collections::BTreeMap;

use argosy_core::glob::{Glob, GlobError};
use argosy_core::health::{Ruling, UserRules};
use argosy_core::json;
use argosy_core::key::GroupKind;
use argosy_core::yaml::{self, Limits, YamlError};
use serde_json::Value;

use crate::sandbox::{Clock, Libraries, Sandbox};

/// Where a ConfigMap has rules: all in one, or one a key.
const ALL: &str = "resource.customizations";
const HEALTH: &str = "resource.customizations.health.";
const OPEN: &str = "resource.customizations.useOpenLibs.";
/// What a file of a folder is called.
const FILE: &str = "health.lua";
/// Where kubectl keeps a copy of what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What stands for a value that is not shown.
const MASK: &str = "++++++++";
/// Largest script.
const LARGEST: usize = 256 << 10;

/// Rules of a user.
#[derive(Debug)]
pub struct Rules {
    /// By group and kind, as Argo CD writes them: `GROUP/KIND`, or `KIND` of the core group.
    exact: BTreeMap<String, Script>,
    /// By pattern, in order; the first that matches counts. None stands for Secrets: who wants these judged names them.
    patterns: BTreeMap<String, (Glob, Script)>,
    sandbox: Sandbox,
}

/// One rule.
#[derive(Debug, Clone, Default)]
struct Script {
    text: String,
    libraries: Libraries,
}

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The document holds none.
    #[error(
        "the document is no ConfigMap with rules: give the argocd-cm ConfigMap, with {ALL} or {HEALTH}GROUP_KIND in its data"
    )]
    NoRules,
    /// A key or a path names no kind.
    #[error("{name:?} names no kind: {expected}")]
    Name {
        /// The key or path.
        name: String,
        /// What would.
        expected: &'static str,
    },
    /// The YAML inside of a ConfigMap cannot be read.
    #[error("data of {ALL}, {0}")]
    Yaml(YamlError),
    /// A field inside of it is of the wrong type.
    #[error("{field}: must be {expected}")]
    Type {
        /// Its path.
        field: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A pattern is none.
    #[error("{0}")]
    Pattern(GlobError),
    /// A script is no Lua.
    #[error("the rule of {rule} is no Lua: {why}")]
    Script {
        /// Whose rule.
        rule: String,
        /// What is wrong.
        why: String,
    },
    /// A kind has two.
    #[error("{rule} has two rules: keep one")]
    Twice {
        /// Whose rule.
        rule: String,
    },
    /// A script is too long.
    #[error("the rule of {rule} is longer than {LARGEST} bytes")]
    Length {
        /// Whose rule.
        rule: String,
    },
}

// === impl Rules ===

impl Rules {
    /// Makes an empty set, whose scripts take time from a clock.
    pub fn new(clock: Clock) -> Self {
        Self { exact: BTreeMap::new(), patterns: BTreeMap::new(), sandbox: Sandbox::new(clock) }
    }

    /// Counts the rules.
    pub fn len(&self) -> usize {
        self.exact.len().saturating_add(self.patterns.len())
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the rules of an `argocd-cm` ConfigMap. Its other customizations (actions, ignored differences) are no health
    /// rules and left to whoever they are for.
    pub fn add_config_map(&mut self, document: &Value) -> Result<(), RulesError> {
        let data = json::at(document, &["data"]).and_then(Value::as_object).ok_or(RulesError::NoRules)?;
        let is_map = json::text_at(document, &["kind"]) == Some("ConfigMap");
        let mut scripts: BTreeMap<String, Script> = BTreeMap::new();
        if let Some(all) = data.get(ALL) {
            let all = all.as_str().ok_or_else(|| wrong_type(ALL, "text"))?;
            scripts = customizations(all)?;
        }
        for (key, value) in data {
            if let Some(kind) = key.strip_prefix(HEALTH) {
                let text = value.as_str().ok_or_else(|| wrong_type(key, "text"))?;
                text.clone_into(&mut scripts.entry(override_key(kind)?).or_default().text);
            } else if let Some(kind) = key.strip_prefix(OPEN) {
                let open = value.as_str().and_then(|text| text.trim().parse().ok());
                let open = open.ok_or_else(|| wrong_type(key, "\"true\" or \"false\""))?;
                scripts.entry(override_key(kind)?).or_default().libraries = libraries(open);
            }
        }
        scripts.retain(|_, script| !script.text.is_empty());
        if !is_map || scripts.is_empty() {
            return Err(RulesError::NoRules);
        }
        scripts.into_iter().try_for_each(|(key, script)| self.add(key, script))
    }

    /// Adds a file of a folder, by its path in it: `GROUP/KIND/health.lua`, or `KIND/health.lua` of the core group; `_`
    /// stands for anything. Gives whether it is a rule: other files of the layout are tests, actions and the like.
    pub fn add_file(&mut self, path: &str, text: &str) -> Result<bool, RulesError> {
        let Some(key) = path.strip_suffix(FILE).and_then(|key| key.strip_suffix('/')) else {
            return Ok(false);
        };
        if key.is_empty() || key.split('/').count() > 2 || key.split('/').any(str::is_empty) {
            let expected = "expected GROUP/KIND/health.lua, or KIND/health.lua of the core group";
            return Err(RulesError::Name { name: path.to_owned(), expected });
        }
        let script = Script { text: text.to_owned(), libraries: Libraries::All };
        self.add(key.replace('_', "*"), script)?;
        Ok(true)
    }

    fn add(&mut self, key: String, script: Script) -> Result<(), RulesError> {
        if script.text.len() > LARGEST {
            return Err(RulesError::Length { rule: key });
        }
        if self.exact.contains_key(&key) || self.patterns.contains_key(&key) {
            return Err(RulesError::Twice { rule: key });
        }
        if let Err(why) = self.sandbox.check(&script.text) {
            return Err(RulesError::Script { rule: key, why });
        }
        if key.contains(['*', '?', '[', '{']) {
            let glob = Glob::new(&key, &[]).map_err(RulesError::Pattern)?;
            self.patterns.insert(key, (glob, script));
        } else {
            self.exact.insert(key, script);
        }
        Ok(())
    }

    fn script(&self, kind: &GroupKind) -> Option<&Script> {
        let key = kind.to_string();
        self.exact.get(&key).or_else(|| {
            let mut patterns = self.patterns.values().filter(|_| !kind.is_secret());
            patterns.find(|(glob, _)| glob.matches(&key)).map(|(_, script)| script)
        })
    }
}

impl UserRules for Rules {
    fn covers(&self, kind: &GroupKind) -> bool {
        self.script(kind).is_some()
    }

    fn judge(&self, kind: &GroupKind, object: &Value) -> Ruling {
        match self.script(kind) {
            Some(script) if kind.is_secret() => {
                self.sandbox.judge(&script.text, script.libraries, &masked(object))
            }
            Some(script) => self.sandbox.judge(&script.text, script.libraries, object),
            None => Ruling::NoRule,
        }
    }
}

/// Hides the values of a Secret: what a script says leaves the agent.
fn masked(secret: &Value) -> Value {
    let mut secret = secret.clone();
    for field in ["/data", "/stringData", "/metadata/annotations"] {
        let fields = secret.pointer_mut(field).and_then(Value::as_object_mut);
        for (name, value) in fields.into_iter().flatten() {
            if field != "/metadata/annotations" || name == LAST_APPLIED {
                *value = Value::String(MASK.to_owned());
            }
        }
    }
    secret
}

fn libraries(open: bool) -> Libraries {
    if open { Libraries::All } else { Libraries::Few }
}

fn wrong_type(field: impl Into<String>, expected: &'static str) -> RulesError {
    RulesError::Type { field: field.into(), expected }
}

/// Reads `GROUP_KIND`, or `KIND` of the core group.
fn override_key(text: &str) -> Result<String, RulesError> {
    match text.split('_').collect::<Vec<_>>().as_slice() {
        [kind] if !kind.is_empty() => Ok((*kind).to_owned()),
        [group, kind] if !kind.is_empty() => Ok(format!("{group}/{kind}")),
        _ => Err(RulesError::Name {
            name: format!("{HEALTH}{text}"),
            expected: "expected resource.customizations.health.GROUP_KIND, or .KIND of the core group",
        }),
    }
}

/// Reads the customizations that are all in one.
fn customizations(text: &str) -> Result<BTreeMap<String, Script>, RulesError> {
    let documents = yaml::parse_documents(text.as_bytes(), &Limits::default()).map_err(RulesError::Yaml)?;
    let mut scripts = BTreeMap::new();
    for document in documents {
        let kinds = document.value.as_object().ok_or_else(|| wrong_type(ALL, "a map"))?;
        for (key, fields) in kinds {
            let field = |name: &str| format!("{ALL}.{key}.{name}");
            if !fields.is_object() {
                return Err(wrong_type(format!("{ALL}.{key}"), "a map"));
            }
            let text = match fields.get("health.lua") {
                None | Some(Value::Null) => continue,
                Some(text) => text.as_str().ok_or_else(|| wrong_type(field("health.lua"), "text"))?,
            };
            let open = match fields.get("health.lua.useOpenLibs") {
                None | Some(Value::Null) => false,
                Some(open) => {
                    let name = "health.lua.useOpenLibs";
                    open.as_bool().ok_or_else(|| wrong_type(field(name), "true or false"))?
                }
            };
            scripts.insert(key.clone(), Script { text: text.to_owned(), libraries: libraries(open) });
        }
    }
    Ok(scripts)
}

#[cfg(test)]
mod tests;
