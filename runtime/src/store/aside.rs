//! Files beside a store: the mark of an orderly end, and damaged stores that were set aside.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::files::{self, FileError, failed};

/// How many damaged stores are kept.
const KEPT: usize = 3;

/// Moves a store's file out of the way, to a name with the next number, and gives that name. The newest three are kept.
pub fn set_aside(path: &Path) -> Result<PathBuf, FileError> {
    let kept = set_aside_before(path)?;
    let next = kept.last().map_or(1, |(number, _)| number.saturating_add(1));
    let target = beside(path, &format!(".aside-{next}"));
    unmark_clean(path)?;
    std::fs::rename(path, &target).map_err(failed("set aside", path))?;
    files::sync_parent(path)?;
    let surplus = (kept.len() + 1).saturating_sub(KEPT);
    for (_, old) in kept.iter().take(surplus) {
        files::remove(old)?;
    }
    Ok(target)
}

pub(super) fn mark_clean(path: &Path) -> Result<(), FileError> {
    files::write(&beside(path, ".clean"), b"closed in order\n")
}

pub(super) fn is_marked_clean(path: &Path) -> bool {
    beside(path, ".clean").exists()
}

pub(super) fn unmark_clean(path: &Path) -> Result<(), FileError> {
    files::remove(&beside(path, ".clean"))
}

/// Gives the files that were set aside before, by number.
fn set_aside_before(path: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
    let prefix = beside(path, ".aside-");
    let prefix = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed("list", folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(number) = name.strip_prefix(&prefix).and_then(|number| number.parse().ok()) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_three_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.redb");
        for number in 1..=12_u64 {
            std::fs::write(&path, number.to_string()).unwrap();
            mark_clean(&path).unwrap();
            let target = set_aside(&path).unwrap();
            assert!(target.ends_with(format!("agent.redb.aside-{number}")));
            assert!(!path.exists() && !is_marked_clean(&path));
        }
        let numbers: Vec<u64> =
            set_aside_before(&path).unwrap().into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [10, 11, 12]);
        assert_eq!(std::fs::read_to_string(folder.path().join("agent.redb.aside-11")).unwrap(), "11");
    }

    #[test]
    fn there_must_be_something_to_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        assert!(set_aside(&folder.path().join("none")).is_err());
    }
}
