//! One repository's mirror on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use git2::{AutotagOption, FetchOptions, FetchPrune, Oid, RemoteCallbacks, RemoteRedirect, Repository};

use super::revision::{self, Commit};
use super::{GitError, GitTree, RepositoryUrl, url};

/// What is mirrored, and where to; vanished references go, moved ones follow.
const REFSPECS: [&str; 3] =
    ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/argosy/head"];
/// Names the repository in the mirror's own configuration; written last, so a mirror without it is half made.
const URL_KEY: &str = "argosy.url";
/// From this many packs on a mirror is packed anew. Every fetch that brings something adds one.
const MAX_PACKS: usize = 64;

/// What one fetch may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Bytes received.
    pub bytes: usize,
    /// Objects received.
    pub objects: usize,
}

/// What a fetch changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Whether any reference appeared, moved or vanished.
    pub changed: bool,
    /// Objects that were received.
    pub objects: usize,
    /// Bytes that were received.
    pub bytes: usize,
}

/// A bare mirror of one repository.
pub struct Mirror {
    url: RepositoryUrl,
    dir: PathBuf,
    repo: Repository,
}

// === impl FetchLimits ===

impl Default for FetchLimits {
    fn default() -> Self {
        Self { bytes: 2 << 30, objects: 10_000_000 }
    }
}

// === impl Mirror ===

impl Mirror {
    /// Opens the mirror of a repository in the directory of mirrors, or begins an empty one; nothing is fetched. A
    /// mirror that is half made or damaged is set aside first (the last such is kept beside it as `.damaged`).
    pub fn open(mirrors: &Path, url: &RepositoryUrl) -> Result<Self, GitError> {
        fs::create_dir_all(mirrors).map_err(|error| GitError::disk(mirrors, &error))?;
        let hash = blake3::hash(url.as_str().as_bytes());
        let dir =
            mirrors.join(format!("{}.git", data_encoding::HEXLOWER.encode(hash.as_bytes().split_at(16).0)));
        remove(&beside(&dir, "new"))?;
        // A swap that was cut short: the packed mirror was complete, or else the one before it still is.
        let old = beside(&dir, "old");
        if !dir.exists() && old.exists() {
            rename(&old, &dir)?;
        }
        remove(&old)?;
        if dir.is_dir() {
            drop_locks(&dir)?;
        }
        if dir.exists() {
            match open_whole(&dir, url) {
                Ok(repo) => {
                    drop_leftovers(&dir)?;
                    return Ok(Self { url: url.clone(), dir, repo });
                }
                Err(_damaged) => set_aside(&dir)?,
            }
        }
        Self::begin(dir, url.clone())
    }

    /// Sets the mirror aside and begins an empty one: for a mirror that turns out to be damaged while it is read.
    pub fn rebuild(self) -> Result<Self, GitError> {
        let Self { url, dir, repo } = self;
        drop(repo);
        set_aside(&dir)?;
        Self::begin(dir, url)
    }

    fn begin(dir: PathBuf, url: RepositoryUrl) -> Result<Self, GitError> {
        let new = beside(&dir, "new");
        drop(init(&new, &url)?);
        rename(&new, &dir)?;
        let repo = open_whole(&dir, &url).map_err(|error| GitError::damaged(&dir, &error))?;
        Ok(Self { url, dir, repo })
    }

    /// Gives the repository's URL.
    pub fn url(&self) -> &RepositoryUrl {
        &self.url
    }

    /// Gives the mirror's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Brings the mirror up to date with the repository. `go_on` is asked while data arrives; once it says no, the fetch
    /// ends with [`GitError::Cancelled`] and the mirror stays as it was.
    pub fn fetch(&mut self, limits: &FetchLimits, go_on: &dyn Fn() -> bool) -> Result<Fetched, GitError> {
        let before = self.references()?;
        let (objects, bytes) = self.download(limits, go_on)?;
        let changed = self.references()? != before;
        if pack_count(&self.dir)? >= MAX_PACKS {
            self.repack()?;
        }
        Ok(Fetched { changed, objects, bytes })
    }

    /// Resolves a branch, tag, full or short SHA, or `HEAD` (also as the empty text) as of the last fetch.
    pub fn resolve(&self, revision: &str) -> Result<Commit, GitError> {
        revision::resolve(&self.repo, &self.url, revision)
    }

    /// Gives the files of a commit.
    pub fn tree(&self, commit: &Commit) -> Result<GitTree<'_>, GitError> {
        GitTree::new(&self.repo, commit)
    }

    fn references(&self) -> Result<BTreeMap<Vec<u8>, Oid>, GitError> {
        references(&self.repo).map_err(|error| GitError::damaged(&self.dir, &error))
    }

    fn download(&self, limits: &FetchLimits, go_on: &dyn Fn() -> bool) -> Result<(usize, usize), GitError> {
        let mut too_large = None;
        let mut cancelled = false;
        let mut received = (0, 0);
        let result = {
            let mut callbacks = RemoteCallbacks::new();
            callbacks.transfer_progress(|progress| {
                received = (progress.received_objects(), progress.received_bytes());
                if progress.received_bytes() > limits.bytes {
                    too_large = Some(("bytes", limits.bytes));
                } else if progress.total_objects() > limits.objects {
                    too_large = Some(("objects", limits.objects));
                } else if !go_on() {
                    cancelled = true;
                }
                too_large.is_none() && !cancelled
            });
            callbacks.sideband_progress(|_words| go_on());
            let mut options = FetchOptions::new();
            options
                .remote_callbacks(callbacks)
                .prune(FetchPrune::On)
                .update_fetchhead(false)
                .download_tags(AutotagOption::None)
                .follow_redirects(RemoteRedirect::None);
            self.repo
                .remote_anonymous(self.url.as_str())
                .and_then(|mut remote| remote.fetch(&REFSPECS, Some(&mut options), None))
        };
        let url = || self.url.to_string();
        match result {
            Ok(()) => Ok(received),
            Err(_) if too_large.is_some() => {
                let (what, limit) = too_large.unwrap_or_default();
                Err(GitError::TooLarge { url: url(), what, limit })
            }
            Err(_) if cancelled || !go_on() => Err(GitError::Cancelled { url: url() }),
            Err(error) => Err(GitError::Unreachable { url: url(), why: url::scrub(error.message()) }),
        }
    }

    /// Writes everything that is still referred to into one pack of a new mirror, which then takes this one's place:
    /// so neither packs nor forgotten objects pile up.
    fn repack(&mut self) -> Result<(), GitError> {
        let (new, old) = (beside(&self.dir, "new"), beside(&self.dir, "old"));
        remove(&new)?;
        remove(&old)?;
        let fresh = init(&new, &self.url)?;
        let mut options = FetchOptions::new();
        options.update_fetchhead(false).download_tags(AutotagOption::None);
        let source = self.dir.to_string_lossy();
        fresh
            .remote_anonymous(&source)
            .and_then(|mut remote| remote.fetch(&["+refs/*:refs/*"], Some(&mut options), None))
            .map_err(|error| GitError::damaged(&self.dir, &error))?;
        if references(&fresh).map_err(|error| GitError::damaged(&new, &error))? != self.references()? {
            return Err(GitError::Damaged { dir: new, why: "the packed copy lacks references".to_owned() });
        }
        drop(fresh);
        rename(&self.dir, &old)?;
        if let Err(error) = rename(&new, &self.dir) {
            rename(&old, &self.dir)?;
            return Err(error);
        }
        self.repo = open_whole(&self.dir, &self.url).map_err(|error| GitError::damaged(&self.dir, &error))?;
        remove(&old)
    }
}

/// Makes an empty mirror that names its repository.
fn init(dir: &Path, url: &RepositoryUrl) -> Result<Repository, GitError> {
    let made = Repository::init_bare(dir).and_then(|repo| {
        let mut config = repo.config()?.open_level(git2::ConfigLevel::Local)?;
        // What a fetch brought is on disk before a reference says that it is there.
        config.set_bool("core.fsyncObjectFiles", true)?;
        config.set_str(URL_KEY, url.as_str())?;
        Ok(repo)
    });
    made.map_err(|error| GitError::Disk { path: dir.to_owned(), why: error.message().to_owned() })
}

/// Opens a mirror and checks that it is this repository's and that every reference leads to a readable object.
fn open_whole(dir: &Path, url: &RepositoryUrl) -> Result<Repository, git2::Error> {
    let repo = Repository::open_bare(dir)?;
    let config = repo.config()?.open_level(git2::ConfigLevel::Local)?.snapshot()?;
    if config.get_str(URL_KEY)? != url.as_str() {
        return Err(git2::Error::from_str("it mirrors another repository"));
    }
    for id in references(&repo)?.into_values() {
        if let Ok(commit) = repo.find_object(id, None)?.peel_to_commit() {
            commit.tree()?;
        }
    }
    Ok(repo)
}

fn references(repo: &Repository) -> Result<BTreeMap<Vec<u8>, Oid>, git2::Error> {
    let mut found = BTreeMap::new();
    for reference in repo.references()? {
        let reference = reference?;
        if let Some(id) = reference.target() {
            found.insert(reference.name_bytes().to_vec(), id);
        }
    }
    Ok(found)
}

fn set_aside(dir: &Path) -> Result<(), GitError> {
    let aside = beside(dir, "damaged");
    remove(&aside)?;
    rename(dir, &aside)
}

fn pack_count(dir: &Path) -> Result<usize, GitError> {
    Ok(pack_files(dir)?
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "pack"))
        .count())
}

/// Removes the locks of a process that was killed: a mirror has one user, and that is whoever opens it.
fn drop_locks(dir: &Path) -> Result<(), GitError> {
    let failed = |error: &std::io::Error| GitError::disk(dir, error);
    for entry in fs::read_dir(dir).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        let path = entry.path();
        if entry.file_type().map_err(|error| failed(&error))?.is_dir() {
            // Objects are named by their content and take no locks; there are many of them.
            if entry.file_name() != "objects" {
                drop_locks(&path)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            fs::remove_file(&path).map_err(|error| GitError::disk(&path, &error))?;
        }
    }
    Ok(())
}

/// Removes what a fetch that was killed had begun: packs that did not get their name.
fn drop_leftovers(dir: &Path) -> Result<(), GitError> {
    for path in pack_files(dir)? {
        if !path.extension().is_some_and(|extension| extension == "pack" || extension == "idx") {
            fs::remove_file(&path).map_err(|error| GitError::disk(&path, &error))?;
        }
    }
    Ok(())
}

fn pack_files(dir: &Path) -> Result<Vec<PathBuf>, GitError> {
    let packs = dir.join("objects").join("pack");
    let failed = |error: &std::io::Error| GitError::disk(&packs, error);
    match fs::read_dir(&packs) {
        Ok(entries) => {
            entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| failed(&error))).collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(&error)),
    }
}

/// Names a directory beside the mirror.
fn beside(dir: &Path, what: &str) -> PathBuf {
    dir.with_extension(what)
}

fn rename(from: &Path, to: &Path) -> Result<(), GitError> {
    fs::rename(from, to).map_err(|error| GitError::disk(from, &error))
}

fn remove(dir: &Path) -> Result<(), GitError> {
    match fs::remove_dir_all(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            fs::remove_file(dir).map_err(|error| GitError::disk(dir, &error))
        }
        Err(error) => Err(GitError::disk(dir, &error)),
    }
}
