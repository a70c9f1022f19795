//! The fleet's source: a directory or a repository of documents, read again and again.
//!
//! What a read says counts only when it is current: a repository is believed after a fetch in this life of the hub, so
//! that a mirror that was restored with the hub takes nothing back; of a directory, what is missing counts once two looks
//! that are some seconds apart agree on it and nobody was writing meanwhile (M6).

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use argosy_core::fleet::{FleetRead, SourceError, SourceFile, find_documents};
use argosy_core::hub::{Documents, Input, SourceProblem, read_documents};
use argosy_core::ids::{AppId, Digest};
use argosy_core::render::RenderLimits;
use argosy_core::time::WallTime;
use argosy_core::tree::{Tree, TreePath};
use argosy_runtime::blocking::Pool;
use argosy_runtime::clock::{Clock, wall};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::directory::{Directory, DirectoryLimits, read_directory};
use crate::engine::Handle;
use crate::git::{GitError, RepositoryUrl};
use crate::metrics::Metrics;
use crate::poll::Pauses;
use crate::sources::{Repository, chain};

/// Longest pause after a look that left something open.
const SOON: Duration = Duration::from_secs(2);
/// How long something is missing in a directory before it counts as taken out: a file that is replaced may be away for
/// longer than two looks of a hub that polls often.
const MISSING_MS: u64 = 2_000;

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

/// When the fleet was read last in this life of the hub: told by the reader, shown to operators.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastRead(Arc<Mutex<Option<WallTime>>>);

/// Reads the fleet.
pub(crate) struct FleetReader {
    source: FleetSource,
    path: TreePath,
    repository: Option<Repository>,
    pool: Pool,
    pauses: Pauses,
    handle: Handle,
    /// What the hub was told last.
    last: Option<Told>,
    problem: Option<SourceProblem>,
    last_read: LastRead,
    others: Vec<String>,
    clock: Clock,
}

/// A read that the hub was told.
struct Told {
    /// Names the files that it was of.
    key: Digest,
    complete: bool,
    apps: BTreeSet<AppId>,
    projects: BTreeSet<String>,
    /// Since when no look lacked what the look before it had, in elapsed milliseconds.
    since: u64,
}

/// How sure it is that a look saw all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    /// It is a commit's.
    Commit,
    /// Of a directory that nobody was writing to.
    Steady,
    /// Of a directory that somebody was writing to.
    Moving,
}

/// A look at the source that found something else than what was told last.
struct Look {
    key: Digest,
    certainty: Certainty,
    files: Vec<SourceFile>,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// After the usual pause.
    Later,
    /// After a short one: this look left something open that the next one may settle.
    Soon,
}

// === impl LastRead ===

impl LastRead {
    pub(crate) fn get(&self) -> Option<WallTime> {
        *self.0.lock()
    }

    fn now(&self) {
        *self.0.lock() = Some(wall());
    }
}

// === impl Told ===

impl Told {
    fn of(key: Digest, read: &FleetRead, last: Option<&Self>, now: u64) -> Self {
        Self {
            since: last.filter(|last| last.is_within(read)).map_or(now, |last| last.since),
            key,
            complete: read.complete,
            apps: read.apps.keys().cloned().collect(),
            projects: read.projects.keys().cloned().collect(),
        }
    }

    /// Tells whether a read has all that this one had.
    fn is_within(&self, read: &FleetRead) -> bool {
        self.apps.iter().all(|app| read.apps.contains_key(app))
            && self.projects.iter().all(|project| read.projects.contains_key(project))
    }
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

impl fmt::Display for FleetSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Repository { url, .. } => url.fmt(f),
        }
    }
}

// === impl FleetReader ===

impl FleetReader {
    #[expect(clippy::too_many_arguments, reason = "made in one place")]
    pub(crate) fn new(
        source: FleetSource,
        path: TreePath,
        mirrors: PathBuf,
        interval: Duration,
        handle: Handle,
        clock: Clock,
        last_read: LastRead,
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
            last_read,
            others: Vec::new(),
            clock,
        }
    }

    /// Reads until the process stops.
    ///
    /// # Cancel safety
    /// A read that is dropped is made again.
    pub(crate) async fn run(mut self, stopping: CancellationToken) -> Result<(), std::convert::Infallible> {
        loop {
            let pause = match self.read().await {
                Ok(Next::Later) => self.pauses.after_success(),
                Ok(Next::Soon) => self.pauses.after_success().min(SOON),
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
        let problem = SourceProblem { message, since, last_read: self.last_read.get() };
        if self.problem.as_ref() == Some(&problem) {
            return Ok(());
        }
        warn!(error = %problem.message, "the fleet's source cannot be read");
        self.problem = Some(problem.clone());
        self.handle.input(Input::FleetProblem(Some(problem))).await
    }

    async fn read(&mut self) -> Result<Next, String> {
        let look = self.look().await?;
        self.last_read.now();
        let recovered = self.problem.take().is_some();
        let Some(Look { key, certainty, files }) = look else {
            if recovered {
                let told = self.handle.input(Input::FleetProblem(None)).await;
                told.map_err(|stopped| stopped.to_string())?;
            }
            return Ok(Next::Later);
        };
        let parse = move || read_documents(files);
        let Documents { mut read, others } =
            self.pool.run("read documents", parse).await.map_err(|error| error.to_string())?;
        let now = self.clock.now().ms();
        let next = weigh(self.last.as_ref(), certainty, &mut read, now);
        for other in others.iter().filter(|other| !self.others.contains(other)) {
            warn!(document = %other, "left alone");
        }
        self.others = others;
        info!(
            apps = read.apps.len(),
            projects = read.projects.len(),
            broken = read.broken.len(),
            complete = read.complete,
            "the fleet was read"
        );
        let told = Told::of(key, &read, self.last.as_ref(), now);
        let sent = self.handle.input(Input::Fleet(Box::new(read))).await;
        sent.map_err(|stopped| stopped.to_string())?;
        self.last = Some(told);
        Ok(next)
    }

    /// Looks at the source; gives nothing when it is what the hub was told last, with nothing left open.
    async fn look(&mut self) -> Result<Option<Look>, String> {
        let path = self.path.clone();
        let last = self.last.as_ref().filter(|last| last.complete).map(|last| last.key);
        match (&self.source, &mut self.repository) {
            (FleetSource::Directory(directory), _) => {
                let directory = directory.clone();
                let read = move || look_into(&directory, &path, last);
                self.pool.run("read the fleet", read).await.map_err(|error| error.to_string())?
            }
            (FleetSource::Repository { revision, .. }, Some(repository)) => {
                let revision = revision.clone();
                let found = repository
                    .look(move |mirror| {
                        let commit = mirror.resolve(&revision)?;
                        let tree = mirror.tree(&commit)?;
                        Ok::<_, GitError>(files_of(&tree, &path, &[], last))
                    })
                    .await
                    .map_err(|failure| failure.message)?;
                let look = |(key, files)| Look { key, certainty: Certainty::Commit, files };
                found.map(|found| found.map(look)).map_err(|error| error.to_string())
            }
            (FleetSource::Repository { .. }, None) => Err("the fleet's repository is not set up".to_owned()),
        }
    }
}

/// Says whether a read has all there is (M6): what a directory lacks may be on its way back, so that looks have to agree
/// on it for a while; the first look of all is told by none before it what it lacks.
fn weigh(last: Option<&Told>, certainty: Certainty, read: &mut FleetRead, now: u64) -> Next {
    let agreed = |last: &Told| last.is_within(read) && now.saturating_sub(last.since) >= MISSING_MS;
    read.complete = match certainty {
        Certainty::Commit => true,
        Certainty::Steady => last.is_some_and(agreed),
        Certainty::Moving => false,
    };
    if read.complete { Next::Later } else { Next::Soon }
}

/// The files of a source with what names them; absent when they are those of the last read.
pub(crate) type Found = Option<(Digest, Vec<SourceFile>)>;

/// Reads every document's file of a directory below a path, unless they are the ones that were read last.
fn look_into(directory: &Path, path: &TreePath, last: Option<Digest>) -> Result<Option<Look>, String> {
    let known = |found: &Directory| {
        last.is_some()
            && files_of(&found.tree, path, &found.unreadable, last).is_ok_and(|files| files.is_none())
    };
    let found =
        read_directory(directory, &DirectoryLimits::default(), known).map_err(|error| chain(&error))?;
    let certainty = if found.steady { Certainty::Steady } else { Certainty::Moving };
    let files = files_of(&found.tree, path, &found.unreadable, last).map_err(|error| error.to_string())?;
    Ok(files.map(|(key, files)| Look { key, certainty, files }))
}

/// Reads every document's file below a path, unless they are the ones that were read last.
pub(crate) fn files_of(
    tree: &dyn Tree,
    path: &TreePath,
    unreadable: &[(TreePath, String)],
    last: Option<Digest>,
) -> Result<Found, SourceError> {
    let limits = RenderLimits::default();
    let below = |other: &TreePath| {
        let mut components = other.components();
        path.components().all(|component| components.next() == Some(component))
    };
    let unreadable = unreadable.iter().filter(|(other, _)| below(other)).cloned();
    let listing = find_documents(tree, path, &limits)?.with_unreadable(unreadable);
    let key = listing.key();
    if last == Some(key) {
        return Ok(None);
    }
    Ok(Some((key, listing.read(tree, &limits)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of(apps: &[&str]) -> FleetRead {
        let text = |name: &&str| {
            format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}}}\nspec: {{}}\n"
            )
        };
        let files = apps
            .iter()
            .map(|name| SourceFile { path: format!("{name}.yaml"), content: Ok(text(name).into_bytes()) });
        read_documents(files).read
    }

    #[test]
    fn what_a_directory_lacks_counts_once_steady_looks_agree_on_it_for_a_while() {
        let mut last: Option<Told> = None;
        let mut weighed = |ms, certainty, apps: &[&str]| {
            let mut read = read_of(apps);
            let next = weigh(last.as_ref(), certainty, &mut read, ms);
            last = Some(Told::of(Digest::of(b"key"), &read, last.as_ref(), ms));
            assert_eq!(next, if read.complete { Next::Later } else { Next::Soon });
            read.complete
        };
        assert!(!weighed(0, Certainty::Steady, &["web", "api"]), "the first look of all");
        assert!(!weighed(100, Certainty::Steady, &["web", "api"]));
        assert!(weighed(2_000, Certainty::Steady, &["web", "api"]));
        assert!(weighed(2_100, Certainty::Steady, &["web", "api", "new"]), "more is believed at once");
        assert!(!weighed(9_000, Certainty::Steady, &["web", "api"]), "a first look without it");
        assert!(!weighed(9_100, Certainty::Steady, &["web", "api"]), "too soon after it");
        assert!(!weighed(10_900, Certainty::Steady, &["web"]), "another is missing");
        assert!(!weighed(12_899, Certainty::Steady, &["web"]));
        assert!(!weighed(12_900, Certainty::Moving, &["web"]), "caught in the middle");
        assert!(weighed(12_901, Certainty::Steady, &["web"]));
        assert!(weighed(12_902, Certainty::Commit, &[]), "a commit is what it is");
    }

    #[test]
    fn what_cannot_be_read_beside_the_fleets_path_is_not_the_fleets() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("fleet")).unwrap();
        std::fs::write(home.path().join("fleet/a.yaml"), "a: 1").unwrap();
        std::fs::write(home.path().join("odd\n.yaml"), "a: 1").unwrap();
        let path = TreePath::parse("fleet").unwrap();
        let look = look_into(home.path(), &path, None).unwrap().unwrap();
        assert_eq!(look.certainty, Certainty::Steady);
        assert_eq!(look.files.len(), 1);
        assert!(look_into(home.path(), &path, Some(look.key)).unwrap().is_none());
        std::fs::write(home.path().join("fleet/odd\n.yaml"), "a: 1").unwrap();
        assert_eq!(look_into(home.path(), &path, Some(look.key)).unwrap().unwrap().files.len(), 2);
    }
}
