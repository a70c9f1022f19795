//! Rendering of a plain directory: from files to a release.
//!
//! It goes in two steps. [`select`] looks at names only and gives the files that make up the source, with a cache key:
//! the files' paths and content ids, links followed, wherever they lead inside the repository. A commit that leaves
//! all of them as they were has the same key and renders nothing. [`Selection::render`] then reads them.
//!
//! A file that cannot be read as what it seems to be fails the whole source: to leave it out would delete its objects.

mod files;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use self::files::{Selection, select};
use crate::key::ResourceKey;
use crate::manifest::{Manifest, Role};
use crate::release::Release;
use crate::status::Condition;
use crate::tree::{Tree, TreeError, TreePath};
use crate::yaml::{self, Document, YamlError};

/// Marker in a file that keeps it from being rendered (Argo CD).
const SKIP_MARKER: &[u8] = b"+argocd:skip-file-rendering";

/// How a directory is rendered (Argo CD: `spec.source.directory`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirectoryOptions {
    /// Goes into subdirectories.
    pub recurse: bool,
    /// Glob of the files to render, of their path below the directory; empty: all.
    pub include: String,
    /// Glob of the files to leave out; it beats `include`; empty: none.
    pub exclude: String,
}

/// What one source may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderLimits {
    /// Limits of each file.
    pub yaml: yaml::Limits,
    /// Names looked at.
    pub entries: usize,
    /// Depth of directories.
    pub depth: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Objects rendered.
    pub objects: usize,
}

/// What a source came to.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The release.
    pub release: Release,
    /// The manifests of its entries, in the entries' order.
    pub manifests: Vec<Manifest>,
    /// What is legal but surely not meant.
    pub warnings: Vec<RenderWarning>,
}

/// What kind of warning it is: the type of the condition that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningKind {
    /// One object is given twice; the last one counts (Argo CD: `RepeatedResourceWarning`).
    RepeatedResource,
    /// An object that no source states, because the cluster itself writes such (Argo CD: `ExcludedResourceWarning`).
    ExcludedResource,
    /// A file or a field is left out or read otherwise than its author may think.
    Manifest,
}

/// Something in a source that is legal but surely not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderWarning {
    /// What kind it is.
    pub kind: WarningKind,
    /// The file.
    pub file: TreePath,
    /// Which document of it, from 1.
    pub document: Option<usize>,
    /// Which line of it, from 1.
    pub line: Option<usize>,
    /// What is odd.
    pub message: String,
}

/// Why a source cannot be rendered, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RenderError {
    /// The file, or the directory where no single file is at fault.
    pub file: TreePath,
    /// Which document of it, from 1.
    pub document: Option<usize>,
    /// Which line of it, from 1.
    pub line: Option<usize>,
    /// Which field of the document.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
}

// === impl RenderLimits ===

impl Default for RenderLimits {
    fn default() -> Self {
        Self { yaml: yaml::Limits::default(), entries: 100_000, depth: 64, bytes: 50 << 20, objects: 20_000 }
    }
}

// === impl RenderWarning ===

impl RenderWarning {
    /// Gives the condition that shows it.
    pub fn condition(&self) -> Condition {
        let kind = match self.kind {
            WarningKind::RepeatedResource => "RepeatedResourceWarning",
            WarningKind::ExcludedResource => "ExcludedResourceWarning",
            WarningKind::Manifest => "ManifestWarning",
        };
        Condition { kind: kind.to_owned(), message: self.to_string() }
    }
}

impl fmt::Display for RenderWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, self.document, self.line)?;
        f.write_str(&self.message)
    }
}

// === impl RenderError ===

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, &self.file, self.document, self.line)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl RenderError {
    fn at(file: &TreePath, message: impl Into<String>) -> Self {
        Self { file: file.clone(), document: None, line: None, field: None, message: message.into() }
    }

    fn of_yaml(file: &TreePath, error: &YamlError) -> Self {
        let (document, line) = (error.document, error.line);
        Self { file: file.clone(), document, line, field: None, message: error.kind.to_string() }
    }

    fn of_tree(error: &TreeError) -> Self {
        let (file, message) = match error {
            TreeError::Path { .. } => (TreePath::ROOT, error.to_string()),
            TreeError::NotFound { path } => (path.clone(), "does not exist".to_owned()),
            TreeError::NotADirectory { path } => (path.clone(), "is not a directory".to_owned()),
            TreeError::Link { link, target, why } => {
                (link.clone(), format!("symbolic link to {target:?} is refused: {why}"))
            }
            TreeError::Submodule { path } => (path.clone(), "submodules are not supported".to_owned()),
            TreeError::TooLarge { path, limit } => (path.clone(), format!("more than {limit} bytes")),
            TreeError::Unreadable { path, why } => (path.clone(), why.clone()),
        };
        Self::at(&file, message)
    }
}

fn write_place(
    f: &mut fmt::Formatter<'_>,
    file: &TreePath,
    document: Option<usize>,
    line: Option<usize>,
) -> fmt::Result {
    write!(f, "{file}: ")?;
    if let Some(document) = document {
        write!(f, "document {document}: ")?;
    }
    if let Some(line) = line {
        write!(f, "line {line}: ")?;
    }
    Ok(())
}

/// Selects and renders in one go.
pub fn render(
    tree: &dyn Tree,
    path: &TreePath,
    options: &DirectoryOptions,
    limits: &RenderLimits,
) -> Result<Rendered, RenderError> {
    select(tree, path, options, limits)?.render(tree, limits)
}

// === impl Selection ===

impl Selection {
    /// Reads the selected files and makes the release.
    pub fn render(&self, tree: &dyn Tree, limits: &RenderLimits) -> Result<Rendered, RenderError> {
        let mut renderer = Renderer {
            limits,
            bytes: 0,
            objects: BTreeMap::new(),
            nameless: BTreeMap::new(),
            warnings: self.warnings.clone(),
        };
        for file in &self.files {
            let max = limits.yaml.file_bytes as u64;
            let bytes =
                tree.read(&file.id, max).map_err(|error| RenderError::of_tree(&error.at(&file.path)))?;
            renderer.file(&file.path, &bytes)?;
        }
        let manifests: Vec<Manifest> = renderer.objects.into_values().map(|(manifest, _)| manifest).collect();
        let (release, _) =
            Release::build(manifests.iter().map(|manifest| (manifest.key.clone(), manifest.digest)));
        Ok(Rendered { release, manifests, warnings: renderer.warnings })
    }
}

struct Renderer<'a> {
    limits: &'a RenderLimits,
    bytes: u64,
    /// Objects by key, with the file that each came from.
    objects: BTreeMap<ResourceKey, (Manifest, TreePath)>,
    /// How many hooks there are of each that has no name.
    nameless: BTreeMap<ResourceKey, u32>,
    warnings: Vec<RenderWarning>,
}

// === impl Renderer ===

impl Renderer<'_> {
    fn file(&mut self, path: &TreePath, bytes: &[u8]) -> Result<(), RenderError> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limits.bytes {
            return Err(RenderError::at(path, format!("more than {} bytes in all files", self.limits.bytes)));
        }
        if contains(bytes, SKIP_MARKER) {
            return Ok(());
        }
        let json = files::has_extension(path.as_str(), "json");
        let parsed = if json {
            yaml::parse_json(bytes, &self.limits.yaml).map(|document| vec![document])
        } else {
            yaml::parse_documents(bytes, &self.limits.yaml)
        };
        match parsed {
            Ok(documents)
                if json || documents.iter().any(|document| Manifest::resembles(&document.value)) =>
            {
                documents.into_iter().try_for_each(|document| self.document(path, document))
            }
            Ok(documents) if documents.is_empty() => Ok(()),
            Ok(_) => {
                self.warn(path, "holds no manifest and is left out");
                Ok(())
            }
            // Argo CD leaves such a file out only when it does not look like a manifest; here one word is enough.
            Err(_) if !json && !contains(bytes, b"apiVersion") && !contains(bytes, b"kind") => {
                self.warn(path, "is not YAML and does not look like a manifest; it is left out");
                Ok(())
            }
            Err(error) => Err(RenderError::of_yaml(path, &error)),
        }
    }

    fn document(&mut self, path: &TreePath, document: Document) -> Result<(), RenderError> {
        let (index, line) = (Some(document.index), Some(document.line));
        for warning in document.warnings {
            let message = format!("{}: {}", warning.field, warning.message);
            self.warnings.push(RenderWarning {
                kind: WarningKind::Manifest,
                file: path.clone(),
                document: index,
                line: Some(warning.line),
                message,
            });
        }
        let fail = |field: Option<String>, message: String| RenderError {
            file: path.clone(),
            document: index,
            line,
            field,
            message,
        };
        let manifests =
            Manifest::expand(document.value).map_err(|error| fail(Some(error.field), error.why))?;
        for mut manifest in manifests {
            if manifest.key.group == "kustomize.config.k8s.io" {
                return Err(fail(Some("kind".to_owned()), "Kustomize is not supported".to_owned()));
            }
            if manifest.key.prefix().is_some() && manifest.options.role != Role::Ignored {
                let rank = self.nameless.entry(manifest.key.clone()).or_default();
                manifest.key = manifest.key.nameless(*rank);
                *rank = rank.saturating_add(1);
            }
            let key = manifest.key.clone();
            if let Some((kind, message)) = remark(&manifest) {
                let file = path.clone();
                self.warnings.push(RenderWarning { kind, file, document: index, line, message });
            }
            if manifest.options.role == Role::Ignored {
                continue;
            }
            if let Some((_, before)) = self.objects.insert(key.clone(), (manifest, path.clone())) {
                let message = format!("{key} is given before, in {before}; the last one counts");
                self.warnings.push(RenderWarning {
                    kind: WarningKind::RepeatedResource,
                    file: path.clone(),
                    document: index,
                    line,
                    message,
                });
            }
            if self.objects.len() > self.limits.objects {
                return Err(fail(None, format!("more than {} objects in all files", self.limits.objects)));
            }
        }
        Ok(())
    }

    fn warn(&mut self, path: &TreePath, message: &str) {
        let message = message.to_owned();
        self.warnings.push(RenderWarning {
            kind: WarningKind::Manifest,
            file: path.clone(),
            document: None,
            line: None,
            message,
        });
    }
}

/// Says why an object is never applied. What is excluded stays in the release all the same, and agents pass over it: one of an
/// earlier version, which does not, would take it for something that left Git.
fn remark(manifest: &Manifest) -> Option<(WarningKind, String)> {
    let ResourceKey { group, kind, name, .. } = &manifest.key;
    if manifest.key.is_excluded() {
        let message = format!("Resource {group}/{kind} {name} is excluded in the settings");
        return Some((WarningKind::ExcludedResource, message));
    }
    let message = || format!("{} is a hook of Helm's that no sync runs; it is left out", manifest.key);
    (manifest.options.role == Role::Ignored).then(|| (WarningKind::Manifest, message()))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
