//! A tree in memory: a snapshot of a plain directory, and what tests build.

use std::collections::BTreeMap;

use super::{EntryKind, NodeId, ReadError, Tree, TreeEntry, TreeError, TreePath};
use crate::ids::Digest;

/// A leaf to put into a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryNode {
    /// A file's bytes.
    File(Vec<u8>),
    /// A symbolic link's target.
    Link(String),
    /// A submodule.
    Submodule,
}

/// A tree that is held in memory; ids are digests of the contents.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    root: Option<NodeId>,
    dirs: BTreeMap<NodeId, Vec<TreeEntry>>,
    blobs: BTreeMap<NodeId, Vec<u8>>,
}

enum Draft {
    Leaf(MemoryNode),
    Dir(BTreeMap<String, Draft>),
}

// === impl MemoryTree ===

impl MemoryTree {
    /// Builds a tree of leaves by path; a path that is a file in one and a directory in another is refused.
    pub fn build<P: AsRef<str>>(
        leaves: impl IntoIterator<Item = (P, MemoryNode)>,
    ) -> Result<Self, TreeError> {
        let mut root = BTreeMap::new();
        for (path, leaf) in leaves {
            let path = TreePath::parse(path.as_ref())?;
            let components: Vec<&str> = path.components().collect();
            let conflict = || TreeError::NotADirectory { path: path.clone() };
            let Some((name, parents)) = components.split_last() else { return Err(conflict()) };
            let mut dir = &mut root;
            for parent in parents {
                match dir.entry((*parent).to_owned()).or_insert_with(|| Draft::Dir(BTreeMap::new())) {
                    Draft::Dir(inner) => dir = inner,
                    Draft::Leaf(_) => return Err(conflict()),
                }
            }
            if dir.insert((*name).to_owned(), Draft::Leaf(leaf)).is_some() {
                return Err(conflict());
            }
        }
        let mut tree = Self::default();
        let id = tree.store(root);
        tree.root = Some(id);
        Ok(tree)
    }

    /// Builds a tree of text files: what most tests need.
    pub fn of_files<P: AsRef<str>, T: AsRef<str>>(
        files: impl IntoIterator<Item = (P, T)>,
    ) -> Result<Self, TreeError> {
        let leaf = |text: T| MemoryNode::File(text.as_ref().as_bytes().to_vec());
        Self::build(files.into_iter().map(|(path, text)| (path, leaf(text))))
    }

    fn store(&mut self, draft: BTreeMap<String, Draft>) -> NodeId {
        let mut entries = Vec::new();
        for (name, node) in draft {
            let kind = match node {
                Draft::Dir(inner) => EntryKind::Dir(self.store(inner)),
                Draft::Leaf(MemoryNode::File(bytes)) => EntryKind::File(self.blob(bytes)),
                Draft::Leaf(MemoryNode::Link(target)) => EntryKind::Link(self.blob(target.into_bytes())),
                Draft::Leaf(MemoryNode::Submodule) => EntryKind::Submodule,
            };
            entries.push(TreeEntry { name, kind });
        }
        let parts = entries.iter().flat_map(|entry| {
            let (tag, id): (&[u8], &[u8]) = match &entry.kind {
                EntryKind::File(id) => (b"file", id.as_bytes()),
                EntryKind::Dir(id) => (b"dir", id.as_bytes()),
                EntryKind::Link(id) => (b"link", id.as_bytes()),
                EntryKind::Submodule => (b"submodule", b""),
            };
            [entry.name.as_bytes(), tag, id]
        });
        let id = NodeId::new(Digest::of_parts("argosy tree v1", parts).as_bytes().as_slice());
        self.dirs.insert(id.clone(), entries);
        id
    }

    fn blob(&mut self, bytes: Vec<u8>) -> NodeId {
        let id = NodeId::new(Digest::of_parts("argosy file v1", [bytes.as_slice()]).as_bytes().as_slice());
        self.blobs.insert(id.clone(), bytes);
        id
    }
}

impl Tree for MemoryTree {
    fn root(&self) -> NodeId {
        self.root.clone().unwrap_or_else(|| NodeId::new(Vec::new()))
    }

    fn list(&self, dir: &NodeId) -> Result<Vec<TreeEntry>, ReadError> {
        match self.dirs.get(dir) {
            Some(entries) => Ok(entries.clone()),
            None if self.root.is_none() && dir.as_bytes().is_empty() => Ok(Vec::new()),
            None => Err(ReadError::Unreadable("no such directory".to_owned())),
        }
    }

    fn read(&self, node: &NodeId, max: u64) -> Result<Vec<u8>, ReadError> {
        let blob = self.blobs.get(node).ok_or_else(|| ReadError::Unreadable("no such file".to_owned()))?;
        if blob.len() as u64 > max { Err(ReadError::TooLarge { limit: max }) } else { Ok(blob.clone()) }
    }
}
