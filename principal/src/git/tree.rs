//! A commit's files, by object id.

use argosy_core::tree::{EntryKind, NodeId, ReadError, Tree, TreeEntry};
use git2::{ErrorCode, Odb, Oid, Repository};

use super::{Commit, GitError};

/// Kinds of tree entries, in the mode's upper bits.
const KIND_MASK: i32 = 0o170_000;
const DIRECTORY: i32 = 0o040_000;
const REGULAR: i32 = 0o100_000;
const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;

/// The files of one commit, read from the mirror.
pub struct GitTree<'a> {
    repo: &'a Repository,
    odb: Odb<'a>,
    root: Oid,
}

// === impl GitTree ===

impl<'a> GitTree<'a> {
    pub(super) fn new(repo: &'a Repository, commit: &Commit) -> Result<Self, GitError> {
        let odb = repo.odb().map_err(|error| GitError::damaged(repo.path(), &error))?;
        Ok(Self { repo, odb, root: commit.tree })
    }

    fn find(&self, dir: &NodeId) -> Result<git2::Tree<'a>, ReadError> {
        self.repo.find_tree(oid(dir)?).map_err(|error| unreadable(&error))
    }
}

impl Tree for GitTree<'_> {
    fn root(&self) -> NodeId {
        NodeId::new(self.root.as_bytes())
    }

    fn list(&self, dir: &NodeId) -> Result<Vec<TreeEntry>, ReadError> {
        let tree = self.find(dir)?;
        let mut entries = Vec::with_capacity(tree.len());
        for entry in &tree {
            let name = name(entry.name_bytes())?;
            entries.push(TreeEntry { kind: kind(&entry)?, name });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn read(&self, node: &NodeId, max: u64) -> Result<Vec<u8>, ReadError> {
        let id = oid(node)?;
        let (size, _kind) = self.odb.read_header(id).map_err(|error| unreadable(&error))?;
        if size as u64 > max {
            return Err(ReadError::TooLarge { limit: max });
        }
        let blob = self.repo.find_blob(id).map_err(|error| unreadable(&error))?;
        Ok(blob.content().to_vec())
    }

    fn entry(&self, dir: &NodeId, name: &str) -> Result<Option<EntryKind>, ReadError> {
        if name.contains('\0') {
            return Ok(None);
        }
        self.find(dir)?.get_name(name).map(|entry| kind(&entry)).transpose()
    }
}

fn oid(node: &NodeId) -> Result<Oid, ReadError> {
    Oid::from_bytes(node.as_bytes()).map_err(|error| unreadable(&error))
}

fn kind(entry: &git2::TreeEntry<'_>) -> Result<EntryKind, ReadError> {
    let id = NodeId::new(entry.id().as_bytes());
    match entry.filemode_raw() & KIND_MASK {
        DIRECTORY => Ok(EntryKind::Dir(id)),
        REGULAR => Ok(EntryKind::File(id)),
        LINK => Ok(EntryKind::Link(id)),
        SUBMODULE => Ok(EntryKind::Submodule),
        mode => Err(ReadError::Unreadable(format!("an entry of the unknown mode {mode:o}"))),
    }
}

/// Checks a name: a tree is written by whoever pushes, not only by Git.
fn name(bytes: &[u8]) -> Result<String, ReadError> {
    match std::str::from_utf8(bytes) {
        Ok("" | "." | "..") => Err(ReadError::Unreadable("a name that no file may have".to_owned())),
        Ok(name) if !name.contains('/') => Ok(name.to_owned()),
        Ok(_) | Err(_) => {
            let name = String::from_utf8_lossy(bytes);
            Err(ReadError::Unreadable(format!(
                "the name {name:?} is not supported (not UTF-8, or with a slash)"
            )))
        }
    }
}

fn unreadable(error: &git2::Error) -> ReadError {
    if error.code() == ErrorCode::NotFound {
        ReadError::Unreadable("the object is not in the mirror".to_owned())
    } else {
        ReadError::Unreadable(super::url::scrub(error.message()))
    }
}
