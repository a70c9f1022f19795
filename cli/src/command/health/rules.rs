//! The user's own rules, from a file or a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use argosy_core::yaml::{self, Limits};
use argosy_lua::{Clock, Rules};

use crate::failure::Failure;

/// Levels of folders: GROUP, KIND, and what is beside a rule.
const DEPTH: usize = 6;
/// Largest file that is read.
const LARGEST: u64 = 10 << 20;

/// Reads rules.
pub(super) fn load(path: &Path) -> Result<Rules, Failure> {
    let mut rules = Rules::new(Clock { elapsed, unix: || jiff::Timestamp::now().as_second() });
    if path.is_dir() {
        folder(&mut rules, path)?;
    } else {
        file(&mut rules, path)?;
    }
    Ok(rules)
}

/// Time since the first look.
fn elapsed() -> Duration {
    use std::sync::OnceLock;
    static BEGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
    BEGIN.get_or_init(tokio::time::Instant::now).elapsed()
}

fn file(rules: &mut Rules, path: &Path) -> Result<(), Failure> {
    let refuse = |why: &str| Failure::Usage(format!("--rules {}: {why}", path.display()));
    let bytes = read(path)?;
    let documents =
        yaml::parse_documents(&bytes, &Limits::default()).map_err(|error| refuse(&error.to_string()))?;
    match documents.as_slice() {
        [document] => rules.add_config_map(&document.value).map_err(|error| refuse(&error.to_string())),
        _ => Err(refuse("give a file with one document, the argocd-cm ConfigMap, or a folder")),
    }
}

fn folder(rules: &mut Rules, path: &Path) -> Result<(), Failure> {
    let mut files = Vec::new();
    walk(path, DEPTH, &mut files)?;
    for file in files {
        let below = file.strip_prefix(path).unwrap_or(&file);
        let below = below.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        let refuse = |why: &str| Failure::Usage(format!("--rules {}: {why}", file.display()));
        let bytes = read(&file)?;
        let text = String::from_utf8(bytes).map_err(|error| refuse(&error.to_string()))?;
        rules.add_file(&below, &text).map_err(|error| refuse(&error.to_string()))?;
    }
    if rules.is_empty() {
        let why = "holds no GROUP/KIND/health.lua";
        return Err(Failure::Usage(format!("--rules {} {why}", path.display())));
    }
    Ok(())
}

/// Finds files of rules, in order. Names that begin with a dot are not looked at.
fn walk(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::Usage(format!("--rules {}: {error}", path.display()));
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if entry.is_dir() {
            if depth > 0 {
                walk(&entry, depth.saturating_sub(1), files)?;
            }
        } else if name == "health.lua" {
            files.push(entry);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let refuse = |why: &str| Failure::Usage(format!("--rules {}: {why}", path.display()));
    let size = fs::metadata(path).map_err(|error| refuse(&error.to_string()))?.len();
    if size > LARGEST {
        return Err(refuse(&format!("more than {LARGEST} bytes")));
    }
    fs::read(path).map_err(|error| refuse(&error.to_string()))
}
