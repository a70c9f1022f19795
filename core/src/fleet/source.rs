//! Which files of a source are the fleet's documents: one that cannot be read is named, and harms no other.

use crate::ids::Digest;
use crate::render::RenderLimits;
use crate::tree::{self, EntryKind, Node, NodeId, Resolved, Tree, TreeError, TreePath};

/// One file of a fleet's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path.
    pub path: String,
    /// Its bytes, or why they cannot be read.
    pub content: Result<Vec<u8>, String>,
}

/// Where the documents of a source are, before they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    files: Vec<(TreePath, Result<NodeId, String>)>,
}

/// Why a fleet's source cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The path does not lead anywhere, or its directory cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The path does not lead to a directory.
    #[error("{path}: is not a directory")]
    NotADirectory {
        /// The path.
        path: TreePath,
    },
    /// A limit is exceeded.
    #[error("{path}: more than {limit} {what}")]
    Limit {
        /// Where.
        path: TreePath,
        /// What there is too much of.
        what: &'static str,
        /// The most that is read.
        limit: u64,
    },
}

/// Tells by its name whether a file is one of documents: YAML or JSON, and not hidden, as what editors leave behind is.
pub fn is_document(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    !name.starts_with('.') && ending.is_some_and(|ending| ["yaml", "yml", "json"].contains(&ending))
}

/// Finds the files of documents below a path, links to files among them.
pub fn find_documents(
    tree: &dyn Tree,
    path: &TreePath,
    limits: &RenderLimits,
) -> Result<Listing, SourceError> {
    let Resolved { path, node } = tree::resolve(tree, path)?;
    let Node::Dir(dir) = node else { return Err(SourceError::NotADirectory { path }) };
    let mut finder = Finder { tree, limits, seen: 0, files: Vec::new() };
    // A directory that cannot be listed is told like a file; without the first one there is nothing.
    tree.list(&dir).map_err(|error| error.at(&path))?;
    finder.dir(&dir, &path, 0)?;
    Ok(Listing { files: finder.files })
}

// === impl Listing ===

impl Listing {
    /// Adds files that are known to be there and cannot be read.
    #[must_use]
    pub fn with_unreadable(mut self, files: impl IntoIterator<Item = (TreePath, String)>) -> Self {
        self.files.extend(files.into_iter().map(|(path, why)| (path, Err(why))));
        self.files.sort();
        self
    }

    /// Names everything that a read depends on: equal keys, equal reads.
    pub fn key(&self) -> Digest {
        let parts = self.files.iter().flat_map(|(path, file)| {
            let (tag, content): (&[u8], &[u8]) = match file {
                Ok(id) => (b"file", id.as_bytes()),
                Err(why) => (b"unreadable", why.as_bytes()),
            };
            [path.as_str().as_bytes(), tag, content]
        });
        Digest::of_parts("argosy fleet source v1", parts)
    }

    /// Reads the files.
    pub fn read(&self, tree: &dyn Tree, limits: &RenderLimits) -> Result<Vec<SourceFile>, SourceError> {
        let mut left = limits.bytes;
        let mut files = Vec::with_capacity(self.files.len());
        for (path, file) in &self.files {
            let content = match file {
                Ok(id) => tree.read(id, limits.yaml.file_bytes as u64).map_err(|error| error.to_string()),
                Err(why) => Err(why.clone()),
            };
            let bytes = content.as_ref().map_or(0, |bytes| bytes.len() as u64);
            let Some(rest) = left.checked_sub(bytes) else {
                let (path, what) = (path.clone(), "bytes in all files");
                return Err(SourceError::Limit { path, what, limit: limits.bytes });
            };
            left = rest;
            files.push(SourceFile { path: path.to_string(), content });
        }
        Ok(files)
    }
}

struct Finder<'a> {
    tree: &'a dyn Tree,
    limits: &'a RenderLimits,
    seen: usize,
    files: Vec<(TreePath, Result<NodeId, String>)>,
}

// === impl Finder ===

impl Finder<'_> {
    fn dir(&mut self, dir: &NodeId, path: &TreePath, depth: usize) -> Result<(), SourceError> {
        let exceeded =
            |what, limit: usize| SourceError::Limit { path: path.clone(), what, limit: limit as u64 };
        if depth > self.limits.depth {
            return Err(exceeded("levels of directories", self.limits.depth));
        }
        let entries = match self.tree.list(dir) {
            Ok(entries) => entries,
            Err(error) => {
                self.files.push((path.clone(), Err(error.to_string())));
                return Ok(());
            }
        };
        for entry in entries {
            self.seen += 1;
            if self.seen > self.limits.entries {
                return Err(exceeded("files and directories", self.limits.entries));
            }
            let path = path.join(&entry.name);
            match entry.kind {
                EntryKind::File(id) if is_document(&entry.name) => self.files.push((path, Ok(id))),
                EntryKind::Link(_) if is_document(&entry.name) => self.link(path),
                // What a mounted volume of Kubernetes keeps behind the links to its files.
                EntryKind::Dir(_) if entry.name.starts_with("..") => {}
                EntryKind::Dir(id) => self.dir(&id, &path, depth + 1)?,
                EntryKind::Submodule => {
                    self.files.push((path, Err("submodules are not supported".to_owned())));
                }
                EntryKind::File(_) | EntryKind::Link(_) => {}
            }
        }
        Ok(())
    }

    /// Follows a link that has the name of a document; one to a directory is not followed.
    fn link(&mut self, path: TreePath) {
        let file = match tree::resolve(self.tree, &path) {
            Ok(Resolved { node: Node::File(id), .. }) => Ok(id),
            Ok(Resolved { node: Node::Dir(_), .. }) => return,
            Err(TreeError::NotFound { path: target }) => {
                Err(format!("symbolic link leads nowhere: {target} does not exist"))
            }
            Err(error) => Err(error.to_string()),
        };
        self.files.push((path, file));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{MemoryNode, MemoryTree};

    fn read(leaves: &[(&str, MemoryNode)]) -> Vec<SourceFile> {
        let tree = MemoryTree::build(leaves.iter().cloned()).unwrap();
        let limits = RenderLimits::default();
        find_documents(&tree, &TreePath::ROOT, &limits).unwrap().read(&tree, &limits).unwrap()
    }

    fn file(text: &str) -> MemoryNode {
        MemoryNode::File(text.as_bytes().to_vec())
    }

    fn link(target: &str) -> MemoryNode {
        MemoryNode::Link(target.to_owned())
    }

    #[test]
    fn documents_are_found_by_their_names_and_odd_ones_harm_nobody() {
        let files = read(&[
            ("web.yaml", file("a: 1")),
            ("sub/api.json", file("{}")),
            ("sub/same.yml", link("../web.yaml")),
            ("gone.yaml", link("nowhere.yaml")),
            ("out.yaml", link("../outside.yaml")),
            ("modules/other", MemoryNode::Submodule),
            (".#web.yaml", link("user@host.1234:99")),
            (".hidden.yaml", file("a: [")),
            (".argocd-source-web.yaml", file("a: 1")),
            ("elsewhere", link("/etc")),
            ("readme.md", file("x")),
            ("lib.jsonnet", file("{}")),
        ]);
        let shown: Vec<(&str, Result<&[u8], &str>)> = files
            .iter()
            .map(|file| (file.path.as_str(), file.content.as_deref().map_err(String::as_str)))
            .collect();
        assert_eq!(
            shown,
            [
                ("gone.yaml", Err("symbolic link leads nowhere: nowhere.yaml does not exist")),
                ("modules/other", Err("submodules are not supported")),
                (
                    "out.yaml",
                    Err("out.yaml: symbolic link to \"../outside.yaml\" is refused: it is out of bounds")
                ),
                ("sub/api.json", Ok(b"{}".as_slice())),
                ("sub/same.yml", Ok(b"a: 1".as_slice())),
                ("web.yaml", Ok(b"a: 1".as_slice())),
            ]
        );
    }

    #[test]
    fn a_file_that_is_too_large_is_told_and_too_much_in_all_is_an_error() {
        let tree = MemoryTree::of_files([("a.yaml", "a: 12345"), ("b.yaml", "b: 1")]).unwrap();
        let mut limits = RenderLimits::default();
        limits.yaml.file_bytes = 5;
        let listing = find_documents(&tree, &TreePath::ROOT, &limits).unwrap();
        let files = listing.read(&tree, &limits).unwrap();
        assert_eq!(files[0].content, Err("more than 5 bytes".to_owned()));
        assert_eq!(files[1].content, Ok(b"b: 1".to_vec()));
        limits = RenderLimits { bytes: 10, ..RenderLimits::default() };
        let error = listing.read(&tree, &limits).unwrap_err();
        assert_eq!(error.to_string(), "b.yaml: more than 10 bytes in all files");
    }

    #[test]
    fn the_key_changes_with_what_cannot_be_read() {
        let tree = MemoryTree::of_files([("a.yaml", "a: 1")]).unwrap();
        let limits = RenderLimits::default();
        let listing = find_documents(&tree, &TreePath::ROOT, &limits).unwrap();
        let more = listing.clone().with_unreadable([(TreePath::parse("b.yaml").unwrap(), "odd".to_owned())]);
        assert_ne!(listing.key(), more.key());
        assert_eq!(more.read(&tree, &limits).unwrap()[1].content, Err("odd".to_owned()));
    }
}
