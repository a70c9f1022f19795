//! Rules from a file or a folder.

use std::fs;
use std::io;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use argosy_core::yaml::{self, Limits, YamlError};
use serde_json::{Map, Value, json};

use crate::rules::{Rules, RulesError};
use crate::sandbox::Clock;

/// Levels of folders: GROUP, KIND, and what is beside a rule.
const DEPTH: usize = 6;
/// Largest file that is read.
const LARGEST: u64 = 10 << 20;
/// What a rule's file is called.
const RULE: &str = "health.lua";
/// How the files of rules begin where an `argocd-cm` ConfigMap is mounted: each key is a file.
const KEY: &str = "resource.customizations";

/// Rules that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file is too large.
    #[error("{} is larger than {LARGEST} bytes", path.display())]
    Size {
        /// Which.
        path: PathBuf,
    },
    /// A folder has too many levels.
    #[error("{} is too deep: expected GROUP/KIND/{RULE}", path.display())]
    Depth {
        /// Which.
        path: PathBuf,
    },
    /// A file is no text.
    #[error("{} is no text", path.display())]
    Text {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: std::string::FromUtf8Error,
    },
    /// A file is no YAML.
    #[error("{} cannot be read as YAML", path.display())]
    Yaml {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: YamlError,
    },
    /// A file holds more or less than the one document.
    #[error("{} must hold one document, the argocd-cm ConfigMap; or give a folder", path.display())]
    Documents {
        /// Which.
        path: PathBuf,
    },
    /// A folder holds no rule.
    #[error("{} holds no GROUP/KIND/{RULE}, nor keys of an argocd-cm ConfigMap as files", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// Rules cannot be used.
    #[error("{} cannot be used", path.display())]
    Rules {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with them.
        #[source]
        source: RulesError,
    },
}

// === impl Rules ===

impl Rules {
    /// Reads rules: a file with an `argocd-cm` ConfigMap; a folder with `GROUP/KIND/health.lua`; or a folder where such a
    /// ConfigMap is mounted. A folder may hold both; all else in it is left alone, as are names that begin with a dot.
    pub fn load(path: &Path, clock: Clock) -> Result<Self, LoadError> {
        let mut rules = Self::new(clock);
        if path.is_dir() {
            rules.add_folder(path)?;
        } else {
            rules.add_document(path)?;
        }
        Ok(rules)
    }

    fn add_document(&mut self, path: &Path) -> Result<(), LoadError> {
        let documents = yaml::parse_documents(&read(path)?, &Limits::default())
            .map_err(|source| LoadError::Yaml { path: path.to_owned(), source })?;
        match documents.as_slice() {
            [document] => self
                .add_config_map(&document.value)
                .map_err(|source| LoadError::Rules { path: path.to_owned(), source }),
            _ => Err(LoadError::Documents { path: path.to_owned() }),
        }
    }

    fn add_folder(&mut self, path: &Path) -> Result<(), LoadError> {
        let mut files = Vec::new();
        walk(path, DEPTH, &mut files)?;
        let mut data = Map::new();
        for file in files {
            let below = file.strip_prefix(path).unwrap_or(&file);
            let below = below.to_string_lossy().replace(MAIN_SEPARATOR, "/");
            let is_key = is_key(&below);
            if !is_key && !is_rule(&below) {
                continue;
            }
            let text = String::from_utf8(read(&file)?)
                .map_err(|source| LoadError::Text { path: file.clone(), source })?;
            if is_key {
                data.insert(below, Value::String(text));
            } else {
                self.add_file(&below, &text)
                    .map_err(|source| LoadError::Rules { path: file.clone(), source })?;
            }
        }
        // A mounted map without health rules is no fault beside others.
        if !data.is_empty() {
            match self.add_config_map(&json!({"kind": "ConfigMap", "data": data})) {
                Ok(()) => {}
                Err(RulesError::NoRules) if !self.is_empty() => {}
                Err(source) => return Err(LoadError::Rules { path: path.to_owned(), source }),
            }
        }
        if self.is_empty() { Err(LoadError::Empty { path: path.to_owned() }) } else { Ok(()) }
    }
}

fn is_key(below: &str) -> bool {
    below.starts_with(KEY) && !below.contains('/')
}

fn is_rule(below: &str) -> bool {
    below.rsplit('/').next() == Some(RULE)
}

/// Finds all files, in order.
fn walk(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    let unreadable = |source: io::Error| LoadError::Read { path: path.to_owned(), source };
    let Some(left) = depth.checked_sub(1) else { return Err(LoadError::Depth { path: path.to_owned() }) };
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for entry in entries {
        if entry.file_name().unwrap_or_default().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.is_dir() {
            walk(&entry, left, files)?;
        } else {
            files.push(entry);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |source: io::Error| LoadError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > LARGEST {
        return Err(LoadError::Size { path: path.to_owned() });
    }
    fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::time::Duration;

    use argosy_core::health::UserRules as _;
    use argosy_core::key::GroupKind;

    use super::*;

    const STANDING: Clock = Clock { elapsed: || Duration::ZERO, unix: || 0 };
    const FINE: &str = "return {status = 'Healthy'}";

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn refusal(path: &Path) -> String {
        let error = Rules::load(path, STANDING).unwrap_err();
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}").replace(&path.display().to_string(), "PATH")
    }

    #[test]
    fn a_folder_holds_files_of_rules_a_mounted_map_or_both() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "apps/Deployment/health.lua", FINE);
        write(folder.path(), "apps/Deployment/health_test.yaml", "tests: []");
        write(folder.path(), "resource.customizations.health.Pod", FINE);
        write(folder.path(), "url", "https://argocd.example.com");
        write(folder.path(), "..2026/resource.customizations.health.Service", FINE);
        let rules = Rules::load(folder.path(), STANDING).unwrap();
        assert_eq!(rules.len(), 2);
        assert!(rules.covers(&GroupKind::new("apps", "Deployment")));
        assert!(rules.covers(&GroupKind::new("", "Pod")));
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(
            refusal(path),
            "PATH holds no GROUP/KIND/health.lua, nor keys of an argocd-cm ConfigMap as files"
        );
        assert!(refusal(&path.join("absent")).starts_with("cannot read PATH: No such file"));
        write(path, "two.yaml", "kind: ConfigMap\n---\nkind: ConfigMap\n");
        assert!(refusal(&path.join("two.yaml")).contains("must hold one document"));
        write(path, "Pod/health.lua", "return {");
        assert!(
            refusal(path).contains("Pod/health.lua cannot be used: the rule of Pod is no Lua: rule:1:"),
            "{}",
            refusal(path)
        );
        write(path, "Pod/health.lua", FINE);
        write(path, "resource.customizations.health.Pod", FINE);
        assert_eq!(refusal(path), "PATH cannot be used: Pod has two rules: keep one");
        write(path, "a/b/c/d/e/f/g", "");
        assert!(refusal(path).contains("is too deep"));
    }
}
