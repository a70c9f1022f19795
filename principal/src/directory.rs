//! A plain directory as a tree: the fleet's source where it is no repository.
//!
//! It is read whole into memory, so that one look at it is one state of it; links are kept as links and resolved inside
//! the tree like those of a repository, so nothing outside of the directory is ever read.

use std::fs;
use std::path::{Path, PathBuf};

use argosy_core::tree::{MemoryNode, MemoryTree, TreeError};

/// What a directory may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryLimits {
    /// Files, links and directories looked at.
    pub entries: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Depth of directories.
    pub depth: usize,
}

/// Why a directory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The system refuses something.
    #[error("{path} cannot be read", path = .path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A limit is exceeded.
    #[error("{path}: more than {limit} {what}", path = .path.display())]
    Limit {
        /// Where.
        path: PathBuf,
        /// What there is too much of.
        what: &'static str,
        /// The most that is read.
        limit: u64,
    },
    /// A name is not UTF-8.
    #[error("{path}: the name is not UTF-8", path = .path.display())]
    Name {
        /// The name, as far as it is legible.
        path: PathBuf,
    },
    /// The names do not make a tree.
    #[error("the directory is no tree: {0}")]
    Tree(#[source] TreeError),
}

// === impl DirectoryLimits ===

impl Default for DirectoryLimits {
    fn default() -> Self {
        Self { entries: 100_000, file_bytes: 10 << 20, bytes: 100 << 20, depth: 64 }
    }
}

/// Reads a directory's YAML and JSON files and its links; other files, and `.git`, are passed over.
pub fn read_directory(root: &Path, limits: &DirectoryLimits) -> Result<MemoryTree, DirectoryError> {
    let mut reader = Reader { limits, entries: 0, bytes: 0, leaves: Vec::new() };
    reader.dir(root, "", 0)?;
    MemoryTree::build(reader.leaves).map_err(DirectoryError::Tree)
}

struct Reader<'a> {
    limits: &'a DirectoryLimits,
    entries: usize,
    bytes: u64,
    leaves: Vec<(String, MemoryNode)>,
}

// === impl Reader ===

impl Reader<'_> {
    fn dir(&mut self, dir: &Path, below: &str, depth: usize) -> Result<(), DirectoryError> {
        if depth > self.limits.depth {
            return Err(limit(dir, "levels of directories", self.limits.depth as u64));
        }
        for entry in fs::read_dir(dir).map_err(|source| io(dir, source))? {
            let entry = entry.map_err(|source| io(dir, source))?;
            let path = entry.path();
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(limit(dir, "files and directories", self.limits.entries as u64));
            }
            let name = entry
                .file_name()
                .into_string()
                .map_err(|_name| DirectoryError::Name { path: path.clone() })?;
            let below = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            // Of the entry itself: a link is not followed.
            let kind = entry.file_type().map_err(|source| io(&path, source))?;
            if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(|source| io(&path, source))?;
                let target =
                    target.into_os_string().into_string().map_err(|_name| DirectoryError::Name { path })?;
                self.leaves.push((below, MemoryNode::Link(target)));
            } else if kind.is_dir() && name != ".git" {
                self.dir(&path, &below, depth + 1)?;
            } else if kind.is_file() && is_document(&path) {
                self.file(&path, below)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, below: String) -> Result<(), DirectoryError> {
        let size = fs::metadata(path).map_err(|source| io(path, source))?.len();
        if size > self.limits.file_bytes {
            return Err(limit(path, "bytes in a file", self.limits.file_bytes));
        }
        let bytes = fs::read(path).map_err(|source| io(path, source))?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limits.bytes {
            return Err(limit(path, "bytes in all files", self.limits.bytes));
        }
        self.leaves.push((below, MemoryNode::File(bytes)));
        Ok(())
    }
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn io(path: &Path, source: std::io::Error) -> DirectoryError {
    DirectoryError::Io { path: path.to_owned(), source }
}

fn limit(path: &Path, what: &'static str, limit: u64) -> DirectoryError {
    DirectoryError::Limit { path: path.to_owned(), what, limit }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use argosy_core::render::{DirectoryOptions, RenderLimits, select};
    use argosy_core::tree::TreePath;

    use super::*;

    fn selected(root: &Path) -> Result<Vec<String>, String> {
        let tree = read_directory(root, &DirectoryLimits::default()).map_err(|error| error.to_string())?;
        let options = DirectoryOptions { recurse: true, ..DirectoryOptions::default() };
        let selection =
            select(&tree, &TreePath::ROOT, &options, &RenderLimits::default()).map_err(|e| e.to_string())?;
        Ok(selection.files().map(|(path, _)| path.to_string()).collect())
    }

    #[test]
    fn documents_are_read_and_links_stay_inside() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("fleet");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        for (name, text) in
            [("a.yaml", "a: 1"), ("sub/b.json", "{}"), ("c.txt", "x"), (".git/d.yaml", "d: 1")]
        {
            fs::write(root.join(name), text).unwrap();
        }
        symlink("sub/b.json", root.join("link.json")).unwrap();
        assert_eq!(selected(&root).unwrap(), ["a.yaml", "link.json", "sub/b.json"]);
        fs::write(home.path().join("outside.yaml"), "x: 1").unwrap();
        symlink("../outside.yaml", root.join("out.yaml")).unwrap();
        assert!(
            selected(&root)
                .unwrap_err()
                .contains("out.yaml: symbolic link to \"../outside.yaml\" is refused")
        );
    }

    #[test]
    fn a_mounted_volume_is_read_once() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path();
        fs::create_dir(root.join("..2026_01_01")).unwrap();
        fs::write(root.join("..2026_01_01/a.yaml"), "a: 1").unwrap();
        symlink("..2026_01_01", root.join("..data")).unwrap();
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
        assert_eq!(selected(root).unwrap(), ["a.yaml"]);
    }

    #[test]
    fn limits_are_errors_with_names() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("a.yaml"), "a: 12345").unwrap();
        fs::write(home.path().join("b.yaml"), "a: 12345").unwrap();
        let fails = |limits: DirectoryLimits| read_directory(home.path(), &limits).unwrap_err().to_string();
        let limits = DirectoryLimits::default();
        assert!(fails(DirectoryLimits { file_bytes: 4, ..limits }).ends_with("more than 4 bytes in a file"));
        assert!(fails(DirectoryLimits { bytes: 10, ..limits }).ends_with("more than 10 bytes in all files"));
        assert!(
            fails(DirectoryLimits { entries: 1, ..limits }).ends_with("more than 1 files and directories")
        );
        let missing = read_directory(&home.path().join("gone"), &limits).unwrap_err();
        assert!(missing.to_string().ends_with("gone cannot be read"));
    }
}
