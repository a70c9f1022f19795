//! Which files of a directory are rendered.

use super::{DirectoryOptions, RenderError, RenderLimits, RenderWarning, WarningKind};
use crate::glob::Glob;
use crate::ids::Digest;
use crate::tree::{self, EntryKind, Node, NodeId, Tree, TreeError, TreePath};

/// Changes whenever the same files would render to something else.
const RENDERER: &str = "argosy directory renderer v1";

/// The files that make up a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub(super) files: Vec<SelectedFile>,
    pub(super) warnings: Vec<RenderWarning>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SelectedFile {
    /// Where it was found, which for a link is not where its content is.
    pub(super) path: TreePath,
    pub(super) id: NodeId,
}

/// Finds the files of a source. Where the application states no options, the directory is looked at for signs of
/// another tool, which is refused by its name.
pub fn select(
    tree: &dyn Tree,
    path: &TreePath,
    options: &DirectoryOptions,
    limits: &RenderLimits,
) -> Result<Selection, RenderError> {
    let root = match tree::resolve(tree, path) {
        Ok(resolved) => resolved,
        Err(TreeError::NotFound { .. }) => {
            return Err(RenderError::at(path, "app path does not exist"));
        }
        Err(error) => return Err(RenderError::of_tree(&error)),
    };
    let Node::Dir(dir) = root.node else {
        return Err(RenderError::at(path, "app path is not a directory"));
    };
    let glob = |field: &str, pattern: &str| {
        let compiled = (!pattern.is_empty()).then(|| Glob::new(pattern, &[])).transpose();
        compiled.map_err(|error| RenderError {
            field: Some(format!("spec.source.directory.{field}")),
            ..RenderError::at(path, error.to_string())
        })
    };
    let mut selector = Selector {
        tree,
        limits,
        recurse: options.recurse,
        include: glob("include", &options.include)?,
        exclude: glob("exclude", &options.exclude)?,
        seen: 0,
        selection: Selection { files: Vec::new(), warnings: Vec::new() },
    };
    let explicit = *options != DirectoryOptions::default();
    selector.refuse_other_tools(&dir, &root.path, explicit)?;
    selector.dir(&dir, &root.path, &TreePath::ROOT, 0)?;
    Ok(selector.selection)
}

// === impl Selection ===

impl Selection {
    /// Names everything that the result depends on: equal keys, equal results.
    pub fn cache_key(&self) -> Digest {
        let parts = self.files.iter().flat_map(|file| [file.path.as_str().as_bytes(), file.id.as_bytes()]);
        Digest::of_parts(RENDERER, parts)
    }

    /// Gives the files in order: where each was found and what it holds.
    pub fn files(&self) -> impl Iterator<Item = (&TreePath, &NodeId)> {
        self.files.iter().map(|file| (&file.path, &file.id))
    }

    /// Gives what was odd about the files' names.
    pub fn warnings(&self) -> &[RenderWarning] {
        &self.warnings
    }

    /// Counts the files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Tells whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

struct Selector<'a> {
    tree: &'a dyn Tree,
    limits: &'a RenderLimits,
    recurse: bool,
    include: Option<Glob>,
    exclude: Option<Glob>,
    seen: usize,
    selection: Selection,
}

// === impl Selector ===

impl Selector<'_> {
    /// Refuses what another tool would have to render. A directory that the application calls one is one.
    fn refuse_other_tools(&self, dir: &NodeId, path: &TreePath, explicit: bool) -> Result<(), RenderError> {
        let entries = self.tree.list(dir).map_err(|error| RenderError::of_tree(&error.at(path)))?;
        for entry in entries {
            let name = entry.name.as_str();
            let why = if name.starts_with(".argocd-source") && has_extension(name, "yaml") {
                "parameter overrides in a file are not supported"
            } else if explicit {
                continue;
            } else if name.ends_with("Chart.yaml") {
                "Helm charts are not supported"
            } else if ["kustomization.yaml", "kustomization.yml", "Kustomization"].contains(&name) {
                "Kustomize is not supported"
            } else {
                continue;
            };
            return Err(RenderError::at(&path.join(name), why));
        }
        Ok(())
    }

    fn dir(
        &mut self,
        dir: &NodeId,
        real: &TreePath,
        below: &TreePath,
        depth: usize,
    ) -> Result<(), RenderError> {
        if depth > self.limits.depth {
            return Err(RenderError::at(
                real,
                format!("more than {} levels of directories", self.limits.depth),
            ));
        }
        let mut entries = self.tree.list(dir).map_err(|error| RenderError::of_tree(&error.at(real)))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            self.seen += 1;
            if self.seen > self.limits.entries {
                return Err(RenderError::at(
                    real,
                    format!("more than {} files and directories", self.limits.entries),
                ));
            }
            let (path, relative) = (real.join(&entry.name), below.join(&entry.name));
            match entry.kind {
                EntryKind::File(id) => self.file(path, &relative, id)?,
                // What a mounted volume of Kubernetes keeps behind the links to its files.
                EntryKind::Dir(_) | EntryKind::Link(_) if entry.name.starts_with("..") => {}
                EntryKind::Dir(id) if self.recurse => self.dir(&id, &path, &relative, depth + 1)?,
                EntryKind::Submodule if self.recurse && !self.is_excluded(&relative) => {
                    return Err(RenderError::of_tree(&TreeError::Submodule { path }));
                }
                EntryKind::Dir(_) | EntryKind::Submodule => {}
                EntryKind::Link(_) => self.link(path, &relative)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, path: TreePath, relative: &TreePath, id: NodeId) -> Result<(), RenderError> {
        if !self.is_selected(relative) {
            return Ok(());
        }
        if has_extension(relative.as_str(), "jsonnet") {
            return Err(RenderError::at(&path, "Jsonnet is not supported"));
        }
        self.selection.files.push(SelectedFile { path, id });
        Ok(())
    }

    /// Follows a link to a file; one that leaves the source is refused whatever its name, one to a directory is not
    /// followed, as in Argo CD.
    fn link(&mut self, path: TreePath, relative: &TreePath) -> Result<(), RenderError> {
        match tree::resolve(self.tree, &path) {
            Ok(tree::Resolved { node: Node::File(id), .. }) => self.file(path, relative, id),
            Ok(tree::Resolved { node: Node::Dir(_), .. }) => {
                if self.recurse && !self.is_excluded(relative) {
                    let message = "is a symbolic link to a directory and is not followed".to_owned();
                    self.selection.warnings.push(RenderWarning {
                        kind: WarningKind::Manifest,
                        file: path,
                        document: None,
                        line: None,
                        message,
                    });
                }
                Ok(())
            }
            Err(TreeError::NotFound { .. }) if !self.is_selected(relative) => Ok(()),
            Err(TreeError::NotFound { path: target }) => {
                Err(RenderError::at(&path, format!("symbolic link leads nowhere: {target} does not exist")))
            }
            Err(error) => Err(RenderError::of_tree(&error)),
        }
    }

    fn is_selected(&self, relative: &TreePath) -> bool {
        let text = relative.as_str();
        ["yaml", "yml", "json", "jsonnet"].iter().any(|extension| has_extension(text, extension))
            && !self.is_excluded(relative)
            && self.include.as_ref().is_none_or(|include| include.matches(text))
    }

    fn is_excluded(&self, relative: &TreePath) -> bool {
        self.exclude.as_ref().is_some_and(|exclude| exclude.matches(relative.as_str()))
    }
}

/// Tells whether a name ends so, in exactly this case, as Argo CD has it.
pub(super) fn has_extension(name: &str, extension: &str) -> bool {
    name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'))
}
