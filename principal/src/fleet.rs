//! The fleet's source: a directory or a repository of documents, read again and again.
//!
//! What a read says counts only when it is current: a repository is believed after a fetch in this life of the hub, so
//! that a mirror that was restored with the hub takes nothing back.

use std::path::PathBuf;
use std::time::Duration;

use argosy_core::hub::{Documents, Input, SourceProblem, read_documents};
use argosy_core::ids::Digest;
use argosy_core::render::{DirectoryOptions, RenderLimits, select};
use argosy_core::time::WallTime;
use argosy_core::tree::{Tree, TreePath};
use argosy_runtime::blocking::Pool;
use argosy_runtime::clock::wall;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::directory::{DirectoryLimits, read_directory};
use crate::engine::Handle;
use crate::git::{GitError, RepositoryUrl};
use crate::metrics::Metrics;
use crate::poll::Pauses;
use crate::sources::{Repository, chain};

/// Where the fleet's documents are.
#[derive(Debug, Clone)]
pub(crate) enum FleetSource {
    /// In a directory.
    Directory(PathBuf),
    /// In a repository.
    Repository {
        /// Its URL.
        url: RepositoryUrl,
        /// The revision.
        revision: String,
    },
}

/// Reads the fleet.
pub(crate) struct FleetReader {
    source: FleetSource,
    path: TreePath,
    repository: Option<Repository>,
    pool: Pool,
    pauses: Pauses,
    handle: Handle,
    /// What was read last, to notice that nothing changed.
    last: Option<Digest>,
    problem: Option<SourceProblem>,
    last_read: Option<WallTime>,
    others: Vec<String>,
}

// === impl FleetSource ===

impl FleetSource {
    /// Reads `--fleet`: what has a scheme is a repository, all else a directory.
    pub(crate) fn parse(text: &str, revision: Option<&str>) -> anyhow::Result<Self> {
        if text.contains("://") {
            let url = RepositoryUrl::parse(text)?;
            return Ok(Self::Repository { url, revision: revision.unwrap_or("HEAD").to_owned() });
        }
        anyhow::ensure!(
            revision.is_none(),
            "--fleet-revision is for repositories, and --fleet {text:?} is a directory; for a local repository write \
             file:///path"
        );
        let path = PathBuf::from(text);
        anyhow::ensure!(
            path.is_dir(),
            "--fleet {text:?} is neither a directory nor a URL (https:// or file:///path)"
        );
        Ok(Self::Directory(path))
    }
}

// === impl FleetReader ===

impl FleetReader {
    pub(crate) fn new(
        source: FleetSource,
        path: TreePath,
        mirrors: PathBuf,
        interval: Duration,
        handle: Handle,
        metrics: &Metrics,
        stopping: &CancellationToken,
    ) -> Self {
        let repository = match &source {
            FleetSource::Directory(_) => None,
            FleetSource::Repository { url, .. } => {
                Some(Repository::new(url.clone(), mirrors, metrics.clone(), stopping.clone()))
            }
        };
        Self {
            source,
            path,
            repository,
            pool: Pool::new("fleet", 1),
            pauses: Pauses::new(interval),
            handle,
            last: None,
            problem: None,
            last_read: None,
            others: Vec::new(),
        }
    }

    /// Reads until the process stops.
    ///
    /// # Cancel safety
    /// A read that is dropped is made again.
    pub(crate) async fn run(mut self, stopping: CancellationToken) -> Result<(), std::convert::Infallible> {
        loop {
            let pause = match self.read().await {
                Ok(()) => self.pauses.after_success(),
                Err(message) => {
                    if self.fail(message).await.is_err() {
                        return Ok(());
                    }
                    self.pauses.after_failure()
                }
            };
            if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(());
            }
        }
    }

    async fn fail(&mut self, message: String) -> Result<(), crate::engine::Stopped> {
        let since = self.problem.as_ref().map_or_else(wall, |problem| problem.since);
        let problem = SourceProblem { message, since, last_read: self.last_read };
        if self.problem.as_ref() == Some(&problem) {
            return Ok(());
        }
        warn!(error = %problem.message, "the fleet's source cannot be read");
        self.problem = Some(problem.clone());
        self.handle.input(Input::FleetProblem(Some(problem))).await
    }

    async fn read(&mut self) -> Result<(), String> {
        let found = self.files().await?;
        self.last_read = Some(wall());
        let recovered = self.problem.take().is_some();
        let Some((key, files)) = found else {
            if recovered {
                let told = self.handle.input(Input::FleetProblem(None)).await;
                return told.map_err(|stopped| stopped.to_string());
            }
            return Ok(());
        };
        let parse = move || read_documents(files);
        let Documents { read, others } =
            self.pool.run("read documents", parse).await.map_err(|error| error.to_string())?;
        for other in others.iter().filter(|other| !self.others.contains(other)) {
            warn!(document = %other, "left alone");
        }
        self.others = others;
        info!(
            apps = read.apps.len(),
            projects = read.projects.len(),
            broken = read.broken.len(),
            "the fleet was read"
        );
        let told = self.handle.input(Input::Fleet(Box::new(read))).await;
        told.map_err(|stopped| stopped.to_string())?;
        self.last = Some(key);
        Ok(())
    }

    async fn files(&mut self) -> Result<Found, String> {
        let (path, last) = (self.path.clone(), self.last);
        match (&self.source, &mut self.repository) {
            (FleetSource::Directory(directory), _) => {
                let directory = directory.clone();
                let read = move || {
                    let tree = read_directory(&directory, &DirectoryLimits::default())
                        .map_err(|error| chain(&error))?;
                    files_of(&tree, &path, last)
                };
                self.pool.run("read the fleet", read).await.map_err(|error| error.to_string())?
            }
            (FleetSource::Repository { revision, .. }, Some(repository)) => {
                let revision = revision.clone();
                repository
                    .look(move |mirror| {
                        let commit = mirror.resolve(&revision)?;
                        let tree = mirror.tree(&commit)?;
                        Ok::<_, GitError>(files_of(&tree, &path, last))
                    })
                    .await
                    .map_err(|failure| failure.message)?
            }
            (FleetSource::Repository { .. }, None) => Err("the fleet's repository is not set up".to_owned()),
        }
    }
}

/// The files of a source with what names their content; absent when they are those of the last read.
type Found = Option<(Digest, Vec<(String, Vec<u8>)>)>;

/// Reads every document's file below a path, by path, unless they are the ones that were read last.
fn files_of(tree: &dyn Tree, path: &TreePath, last: Option<Digest>) -> Result<Found, String> {
    let options = DirectoryOptions { recurse: true, ..DirectoryOptions::default() };
    let limits = RenderLimits::default();
    let selection = select(tree, path, &options, &limits).map_err(|error| error.to_string())?;
    let key = selection.cache_key();
    if last == Some(key) {
        return Ok(None);
    }
    let mut files = Vec::new();
    let mut left = limits.bytes;
    for (path, id) in selection.files() {
        let max = (limits.yaml.file_bytes as u64).min(left);
        let bytes = tree.read(id, max).map_err(|error| error.at(path).to_string())?;
        left = left.saturating_sub(bytes.len() as u64);
        files.push((path.to_string(), bytes));
    }
    Ok(Some((key, files)))
}
