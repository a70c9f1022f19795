//! Sources on this machine: a directory, or the working tree of an Application's repository.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use argosy_core::application::Application;
use argosy_core::fleet::{SourceFile, find_documents};
use argosy_core::hub::read_documents;
use argosy_core::render::{DirectoryOptions, RenderLimits, Rendered, render};
use argosy_core::tree::{EntryKind, NodeId, ReadError, Tree, TreeEntry, TreePath};

use crate::args::DirectoryArguments;
use crate::failure::Failure;
use crate::output;

/// What a source came to.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Its objects.
    pub(super) rendered: Rendered,
    /// The Application that named it; absent for a directory.
    pub(super) application: Option<Application>,
}

/// Renders a source as the hub would, and tells what is odd about it.
pub(super) fn load(source: &Path, directory: &DirectoryArguments) -> Result<Loaded, Failure> {
    let metadata = fs::metadata(source)
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", source.display())))?;
    let (repository, path, options, application) = if metadata.is_dir() {
        let options = DirectoryOptions {
            recurse: directory.recurse,
            include: directory.include.clone(),
            exclude: directory.exclude.clone(),
        };
        let (repository, path) = repository_of(source)?;
        (repository, path, options, None)
    } else {
        if directory.recurse || !directory.include.is_empty() || !directory.exclude.is_empty() {
            return Err(Failure::Usage(
                "--recurse, --include and --exclude are for a directory; an Application says spec.source.directory"
                    .to_owned(),
            ));
        }
        let application = application_of(source)?;
        let repository = working_tree_of(&application, source)?;
        let (path, options) = (application.source.path.clone(), application.source.directory.clone());
        (repository, path, options, Some(application))
    };
    let tree = WorkingTree { root: repository.clone() };
    let rendered = render(&tree, &path, &options, &RenderLimits::default())
        .map_err(|error| Failure::Failed(format!("{}: {error}", repository.display())))?;
    for warning in &rendered.warnings {
        output::note(&warning.to_string())?;
    }
    Ok(Loaded { rendered, application })
}

/// Reads the documents of a fleet's folder, as the hub would.
pub(super) fn fleet_files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let unreadable = |why: String| Failure::Usage(format!("--fleet {}: {why}", folder.display()));
    let root = fs::canonicalize(folder).map_err(|error| unreadable(error.to_string()))?;
    let (tree, limits) = (WorkingTree { root }, RenderLimits::default());
    let listing = find_documents(&tree, &TreePath::ROOT, &limits);
    let files = listing.and_then(|listing| listing.read(&tree, &limits));
    let files = files.map_err(|error| unreadable(error.to_string()))?;
    let content = |SourceFile { path, content }| match content {
        Ok(bytes) => Ok((path, bytes)),
        Err(why) => Err(unreadable(format!("{path}: {why}"))),
    };
    files.into_iter().map(content).collect()
}

/// Gives the repository that a directory is in, and its path there; one that is in none is a source of its own.
fn repository_of(directory: &Path) -> Result<(PathBuf, TreePath), Failure> {
    let whole = fs::canonicalize(directory)
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", directory.display())))?;
    let root = whole.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&whole).to_owned();
    let below = whole.strip_prefix(&root).unwrap_or(Path::new(""));
    let below = below
        .to_str()
        .ok_or_else(|| Failure::Usage(format!("{} has a name that is not UTF-8", directory.display())))?;
    let path = TreePath::parse(below).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok((root, path))
}

/// Reads the one Application of a file, as the hub reads the fleet's.
fn application_of(file: &Path) -> Result<Application, Failure> {
    let shown = file.display();
    let bytes = fs::read(file).map_err(|error| Failure::Usage(format!("cannot read {shown}: {error}")))?;
    let documents = read_documents([SourceFile { path: shown.to_string(), content: Ok(bytes) }]);
    if let Some(broken) = documents.read.broken.first() {
        return Err(Failure::Usage(format!("{shown}: {}", broken.message)));
    }
    let mut apps = documents.read.apps.into_iter();
    match (apps.next(), apps.next()) {
        (Some((_, document)), None) => {
            document.application.map_err(|why| Failure::Usage(format!("{shown}: {why}")))
        }
        (Some((first, _)), Some((second, _))) => Err(Failure::Usage(format!(
            "{shown} holds several Applications, {first} and {second} among them: give a file with one"
        ))),
        (None, _) => {
            let other = documents.others.first().map(|other| format!(" ({other})")).unwrap_or_default();
            Err(Failure::Usage(format!(
                "{shown} holds no Application{other}: give one, or a directory of manifests"
            )))
        }
    }
}

/// Finds the working tree of an Application's repository on this machine.
fn working_tree_of(application: &Application, file: &Path) -> Result<PathBuf, Failure> {
    let url = &application.source.repo_url;
    let path = match url.strip_prefix("file://") {
        Some(path) => Path::new(path).to_owned(),
        None if url.starts_with('/') => Path::new(url).to_owned(),
        None if url == "." || url == ".." || url.starts_with("./") || url.starts_with("../") => {
            file.parent().unwrap_or(Path::new("")).join(url)
        }
        None => {
            return Err(Failure::Usage(format!(
                "spec.source.repoURL: {url:?} is not on this machine: clone it, and give the directory {} of the clone",
                application.source.path
            )));
        }
    };
    if !path.is_dir() {
        return Err(Failure::Usage(format!("spec.source.repoURL: {} is no directory", path.display())));
    }
    if path.join("HEAD").is_file() && path.join("objects").is_dir() {
        return Err(Failure::Usage(format!(
            "spec.source.repoURL: {} is a repository without a working tree: clone it, and give the directory {} of the \
             clone",
            path.display(),
            application.source.path
        )));
    }
    Ok(path)
}

/// The files of a directory as they are, read when they are asked for; nodes are named by their paths.
struct WorkingTree {
    root: PathBuf,
}

// === impl WorkingTree ===

impl WorkingTree {
    fn at(&self, node: &NodeId) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(node.as_bytes()))
    }
}

impl Tree for WorkingTree {
    fn root(&self) -> NodeId {
        NodeId::new(Vec::new())
    }

    fn list(&self, dir: &NodeId) -> Result<Vec<TreeEntry>, ReadError> {
        let failed = |error: std::io::Error| ReadError::Unreadable(format!("cannot be read: {error}"));
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.at(dir)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(ReadError::Unreadable(format!(
                    "has a name that is not UTF-8: {}",
                    entry.file_name().display()
                )));
            };
            let below = if dir.as_bytes().is_empty() {
                name.clone().into_bytes()
            } else {
                [dir.as_bytes(), b"/", name.as_bytes()].concat()
            };
            let id = NodeId::new(below);
            // A repository's tree holds neither its own folder nor sockets and the like.
            let kind = if name == ".git" {
                continue;
            } else if kind.is_symlink() {
                EntryKind::Link(id)
            } else if kind.is_dir() {
                EntryKind::Dir(id)
            } else if kind.is_file() {
                EntryKind::File(id)
            } else {
                continue;
            };
            entries.push(TreeEntry { name, kind });
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn read(&self, node: &NodeId, max: u64) -> Result<Vec<u8>, ReadError> {
        let failed = |error: std::io::Error| ReadError::Unreadable(format!("cannot be read: {error}"));
        let path = self.at(node);
        if fs::symlink_metadata(&path).map_err(failed)?.is_symlink() {
            return Ok(fs::read_link(&path).map_err(failed)?.as_os_str().as_bytes().to_vec());
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(&path).map_err(failed)?;
        file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > max { Err(ReadError::TooLarge { limit: max }) } else { Ok(bytes) }
    }
}

#[cfg(test)]
mod tests;
