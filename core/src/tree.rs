//! Files of a source: a read-only tree of named nodes, and paths that cannot leave it.
//!
//! A tree is read by node ids, never by file system paths: a path is walked component by component inside the tree, and
//! symbolic links are followed by the same walk. So no spelling of a path and no link reaches anything outside.
//! Absolute links, links that leave the tree at any hop, loops and submodules are refused by name.

mod memory;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;

pub use self::memory::{MemoryNode, MemoryTree};

/// Most symbolic links that one path may go through.
const MAX_HOPS: usize = 40;
/// Longest target of a symbolic link in bytes.
const MAX_TARGET: u64 = 4096;

/// A path inside a tree: components joined by `/`, none of them empty, `.` or `..`; empty for the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(String);

/// Name of a node's content: equal ids, equal content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Vec<u8>);

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// The name.
    pub name: String,
    /// What it names.
    pub kind: EntryKind,
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File(NodeId),
    /// A directory.
    Dir(NodeId),
    /// A symbolic link; its content is its target.
    Link(NodeId),
    /// Another repository, which is never fetched.
    Submodule,
}

/// A path that cannot be, or that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The text is no path inside a tree.
    #[error("{path:?} is not a path inside the source: {why}")]
    Path {
        /// The text.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing has this path.
    #[error("{path}: does not exist")]
    NotFound {
        /// The path.
        path: TreePath,
    },
    /// Something on the way is no directory.
    #[error("{path}: is not a directory")]
    NotADirectory {
        /// The path.
        path: TreePath,
    },
    /// A symbolic link is refused.
    #[error("{link}: symbolic link to {target:?} is refused: {why}")]
    Link {
        /// Path of the link.
        link: TreePath,
        /// Where it points.
        target: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// The path goes into a submodule.
    #[error("{path}: submodules are not supported")]
    Submodule {
        /// The path.
        path: TreePath,
    },
    /// A file is larger than what is read.
    #[error("{path}: more than {limit} bytes")]
    TooLarge {
        /// The path.
        path: TreePath,
        /// The most that is read.
        limit: u64,
    },
    /// The store of the tree failed.
    #[error("{path}: {why}")]
    Unreadable {
        /// The path.
        path: TreePath,
        /// The store's words.
        why: String,
    },
}

/// A node that cannot be read; the caller knows its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It has more bytes than asked for.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// The most that was asked for.
        limit: u64,
    },
    /// The store failed, or holds something that a tree may not.
    #[error("{0}")]
    Unreadable(String),
}

/// A read-only tree.
pub trait Tree {
    /// Gives the root directory.
    fn root(&self) -> NodeId;

    /// Lists a directory in the order of its names.
    fn list(&self, dir: &NodeId) -> Result<Vec<TreeEntry>, ReadError>;

    /// Reads a file, or the target of a link, of at most `max` bytes.
    fn read(&self, node: &NodeId, max: u64) -> Result<Vec<u8>, ReadError>;

    /// Finds one name in a directory.
    fn entry(&self, dir: &NodeId, name: &str) -> Result<Option<EntryKind>, ReadError> {
        Ok(self.list(dir)?.into_iter().find(|entry| entry.name == name).map(|entry| entry.kind))
    }
}

/// Where a path led, all links followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The path without any link on it.
    pub path: TreePath,
    /// What is there.
    pub node: Node,
}

/// A node that is no link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file.
    File(NodeId),
    /// A directory.
    Dir(NodeId),
}

// === impl TreePath ===

impl TreePath {
    /// The root.
    pub const ROOT: Self = Self(String::new());

    /// Reads a path as people write it: `.`, doubled and trailing slashes are folded; an absolute path and any `..` are
    /// refused.
    pub fn parse(text: &str) -> Result<Self, TreeError> {
        let refuse = |why| Err(TreeError::Path { path: text.to_owned(), why });
        if text.starts_with('/') {
            return refuse("it is absolute");
        }
        if text.contains(char::is_control) {
            return refuse("it has control characters");
        }
        let mut path = Self::ROOT;
        for component in text.split('/') {
            match component {
                "" | "." => {}
                ".." => return refuse("it has `..`"),
                name => path = path.join(name),
            }
        }
        Ok(path)
    }

    /// Gives the path of a name in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}/{name}", self.0)) }
    }

    /// Gives the components.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }

    /// Gives the path as text; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

// === impl NodeId ===

impl NodeId {
    /// Takes the bytes of a tree's own naming.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Gives the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

// === impl ReadError ===

impl ReadError {
    /// Says which path it was.
    pub fn at(self, path: &TreePath) -> TreeError {
        match self {
            Self::TooLarge { limit } => TreeError::TooLarge { path: path.clone(), limit },
            Self::Unreadable(why) => TreeError::Unreadable { path: path.clone(), why },
        }
    }
}

/// Walks a path from the root, following links inside the tree.
pub fn resolve(tree: &dyn Tree, path: &TreePath) -> Result<Resolved, TreeError> {
    let mut walk = Walk { tree, dirs: Vec::new(), hops: 0 };
    let mut pending: VecDeque<Step> = path.components().map(Step::plain).collect();
    while let Some(step) = pending.pop_front() {
        if let Some(file) = walk.step(step, &mut pending)? {
            return match pending.front() {
                None => Ok(file),
                Some(_) => Err(TreeError::NotADirectory { path: file.path }),
            };
        }
    }
    Ok(Resolved { path: walk.path(), node: Node::Dir(walk.current()) })
}

/// One component that is still to be walked, and the link that it came from.
struct Step {
    component: String,
    link: Option<(TreePath, String)>,
}

// === impl Step ===

impl Step {
    fn plain(component: &str) -> Self {
        Self { component: component.to_owned(), link: None }
    }
}

struct Walk<'a> {
    tree: &'a dyn Tree,
    /// Names and nodes of the directories below the root that the walk is in.
    dirs: Vec<(String, NodeId)>,
    hops: usize,
}

// === impl Walk ===

impl Walk<'_> {
    fn path(&self) -> TreePath {
        self.dirs.iter().fold(TreePath::ROOT, |path, (name, _)| path.join(name))
    }

    fn current(&self) -> NodeId {
        self.dirs.last().map_or_else(|| self.tree.root(), |(_, id)| id.clone())
    }

    fn step(&mut self, step: Step, pending: &mut VecDeque<Step>) -> Result<Option<Resolved>, TreeError> {
        let name = match step.component.as_str() {
            "" | "." => return Ok(None),
            ".." => {
                return match (self.dirs.pop(), step.link) {
                    (Some(_), _) => Ok(None),
                    (None, Some((link, target))) => {
                        Err(TreeError::Link { link, target, why: "it is out of bounds" })
                    }
                    (None, None) => Err(TreeError::Path { path: "..".to_owned(), why: "it has `..`" }),
                };
            }
            name => name,
        };
        let (dir, path) = (self.current(), self.path().join(name));
        match self.tree.entry(&dir, name).map_err(|error| error.at(&path))? {
            None => Err(TreeError::NotFound { path }),
            Some(EntryKind::Submodule) => Err(TreeError::Submodule { path }),
            Some(EntryKind::Dir(id)) => {
                self.dirs.push((step.component, id));
                Ok(None)
            }
            Some(EntryKind::File(id)) => Ok(Some(Resolved { path, node: Node::File(id) })),
            Some(EntryKind::Link(id)) => {
                self.follow(&id, path, pending)?;
                Ok(None)
            }
        }
    }

    fn follow(&mut self, id: &NodeId, link: TreePath, pending: &mut VecDeque<Step>) -> Result<(), TreeError> {
        let bytes = self.tree.read(id, MAX_TARGET).map_err(|error| error.at(&link))?;
        let target = String::from_utf8_lossy(&bytes).into_owned();
        self.hops += 1;
        let why = if target.as_bytes() != bytes {
            "its target is not UTF-8"
        } else if target.is_empty() {
            "its target is empty"
        } else if target.contains(char::is_control) {
            "its target has control characters"
        } else if target.starts_with('/') {
            "its target is absolute"
        } else if self.hops > MAX_HOPS {
            "too many links"
        } else {
            for component in target.split('/').rev() {
                let link = Some((link.clone(), target.clone()));
                pending.push_front(Step { component: component.to_owned(), link });
            }
            return Ok(());
        };
        Err(TreeError::Link { link, target, why })
    }
}
