//! A plain directory as a tree: the fleet's source where it is no repository.
//!
//! It is read whole into memory, so that one look at it is one state of it; links are kept as links and resolved inside
//! the tree like those of a repository, so nothing outside of the directory is ever read. A directory has no commits:
//! that it is not being written to right now is concluded from two walks that saw the same. A file that cannot be read
//! is told and harms no other.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use argosy_core::fleet::is_document;
use argosy_core::tree::{MemoryNode, MemoryTree, Tree as _, TreeError, TreePath};

/// Walks after which a directory that is still another one each time counts as being written to.
const WALKS: usize = 4;

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

/// What is in a directory.
#[derive(Debug)]
pub struct Directory {
    /// Its files of documents, and its links.
    pub tree: MemoryTree,
    /// Files of documents that cannot be read, and directories that may hold some, with the reason.
    pub unreadable: Vec<(TreePath, String)>,
    /// Two walks saw the same: nobody was writing to it between them.
    pub steady: bool,
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

/// Reads a directory's YAML and JSON files and its links, until two walks in a row see the same; other files, hidden ones
/// and `.git` are passed over. `known` tells of a walk that it need not be made again: what it saw is known.
pub fn read_directory(
    root: &Path,
    limits: &DirectoryLimits,
    known: impl Fn(&Directory) -> bool,
) -> Result<Directory, DirectoryError> {
    settle(|| walk(root, limits), known)
}

/// Walks until nothing changes any more.
fn settle(
    mut walk: impl FnMut() -> Result<Walked, DirectoryError>,
    known: impl Fn(&Directory) -> bool,
) -> Result<Directory, DirectoryError> {
    let mut before = walk()?;
    if !before.moved && known(&before.directory) {
        return Ok(before.directory);
    }
    for _ in 1..WALKS {
        let mut again = walk()?;
        if again.is_as(&before) {
            again.directory.steady = true;
            return Ok(again.directory);
        }
        before = again;
    }
    Ok(before.directory)
}

fn walk(root: &Path, limits: &DirectoryLimits) -> Result<Walked, DirectoryError> {
    let mut walker = Walker {
        limits,
        entries: 0,
        bytes: 0,
        leaves: Vec::new(),
        unreadable: Vec::new(),
        seen: Vec::new(),
        moved: false,
    };
    let entries = fs::read_dir(root).map_err(|source| io(root, source))?;
    walker.dir(root, entries, &Below { text: String::new(), legible: true }, 0)?;
    let Walker { leaves, mut unreadable, mut seen, moved, .. } = walker;
    unreadable.sort();
    seen.sort();
    let tree = MemoryTree::build(leaves).map_err(DirectoryError::Tree)?;
    Ok(Walked { directory: Directory { tree, unreadable, steady: false }, seen, moved })
}

/// What one walk saw.
struct Walked {
    directory: Directory,
    /// Of each file its path, size, time of change and number.
    seen: Vec<(PathBuf, [i64; 4])>,
    /// Something was there in one moment and gone in the next.
    moved: bool,
}

// === impl Walked ===

impl Walked {
    fn is_as(&self, other: &Self) -> bool {
        !self.moved
            && !other.moved
            && self.seen == other.seen
            && self.directory.tree.root() == other.directory.tree.root()
            && self.directory.unreadable == other.directory.unreadable
    }
}

/// Where a walk is, below the root.
struct Below {
    text: String,
    /// Every name on the way is UTF-8 without control characters.
    legible: bool,
}

// === impl Below ===

impl Below {
    fn join(&self, name: &OsStr) -> Self {
        let shown = name.to_string_lossy().replace(char::is_control, "\u{fffd}");
        let legible = self.legible && name.to_str() == Some(shown.as_str());
        let text = if self.text.is_empty() { shown } else { format!("{}/{shown}", self.text) };
        Self { text, legible }
    }
}

struct Walker<'a> {
    limits: &'a DirectoryLimits,
    entries: usize,
    bytes: u64,
    leaves: Vec<(String, MemoryNode)>,
    unreadable: Vec<(TreePath, String)>,
    seen: Vec<(PathBuf, [i64; 4])>,
    moved: bool,
}

// === impl Walker ===

impl Walker<'_> {
    fn dir(
        &mut self,
        dir: &Path,
        entries: fs::ReadDir,
        below: &Below,
        depth: usize,
    ) -> Result<(), DirectoryError> {
        if depth > self.limits.depth {
            return Err(limit(dir, "levels of directories", self.limits.depth as u64));
        }
        for entry in entries {
            let entry = entry.map_err(|source| io(dir, source))?;
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(limit(dir, "files and directories", self.limits.entries as u64));
            }
            let below = below.join(&entry.file_name());
            self.entry(&entry, &below, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, below: &Below, depth: usize) -> Result<(), DirectoryError> {
        let (path, name) = (entry.path(), entry.file_name());
        // Of the entry itself: a link is not followed.
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => return self.cannot(below, &error),
        };
        let document = is_document(&name.to_string_lossy());
        if kind.is_dir() {
            if name == ".git" {
                return Ok(());
            }
            return match fs::read_dir(&path) {
                Ok(entries) => self.dir(&path, entries, below, depth + 1),
                Err(error) => self.cannot(below, &error),
            };
        }
        if !below.legible {
            // What is no document may be called as it likes.
            return if document {
                self.tell(below, "its path is not UTF-8, or has control characters")
            } else {
                Ok(())
            };
        }
        if kind.is_symlink() {
            match fs::read_link(&path) {
                Ok(target) => match target.into_os_string().into_string() {
                    Ok(target) => self.leaves.push((below.text.clone(), MemoryNode::Link(target))),
                    Err(_target) if document => return self.tell(below, "its target is not UTF-8"),
                    Err(_target) => {}
                },
                Err(error) => return self.cannot(below, &error),
            }
        } else if kind.is_file() && document {
            return self.file(&path, below);
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, below: &Below) -> Result<(), DirectoryError> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return self.cannot(below, &error),
        };
        self.seen.push((path.to_owned(), stamp(&metadata)));
        if metadata.len() > self.limits.file_bytes {
            return self.tell(below, &format!("more than {} bytes", self.limits.file_bytes));
        }
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return self.cannot(below, &error),
        };
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limits.bytes {
            return Err(limit(path, "bytes in all files", self.limits.bytes));
        }
        self.leaves.push((below.text.clone(), MemoryNode::File(bytes)));
        Ok(())
    }

    /// Notes what the system refuses; what is gone by now was moved under this walk.
    fn cannot(&mut self, below: &Below, error: &std::io::Error) -> Result<(), DirectoryError> {
        if error.kind() == ErrorKind::NotFound {
            self.moved = true;
            return Ok(());
        }
        self.tell(below, &format!("cannot be read: {error}"))
    }

    fn tell(&mut self, below: &Below, why: &str) -> Result<(), DirectoryError> {
        let path = TreePath::parse(&below.text).map_err(DirectoryError::Tree)?;
        self.unreadable.push((path, why.to_owned()));
        Ok(())
    }
}

/// What changes with a file at the latest when its content does.
fn stamp(metadata: &Metadata) -> [i64; 4] {
    let number = |value: u64| i64::from_ne_bytes(value.to_ne_bytes());
    [number(metadata.len()), metadata.mtime(), metadata.mtime_nsec(), number(metadata.ino())]
}

fn io(path: &Path, source: std::io::Error) -> DirectoryError {
    DirectoryError::Io { path: path.to_owned(), source }
}

fn limit(path: &Path, what: &'static str, limit: u64) -> DirectoryError {
    DirectoryError::Limit { path: path.to_owned(), what, limit }
}

#[cfg(test)]
mod tests;
