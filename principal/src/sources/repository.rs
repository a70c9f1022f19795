//! One repository: its mirror, fetched on a blocking thread.

use std::path::PathBuf;
use std::time::Duration;

use argosy_runtime::blocking::Pool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::git::{FetchLimits, GitError, Mirror, RepositoryUrl};
use crate::metrics::Metrics;

/// How long a fetch may go on.
const FETCH: Duration = Duration::from_mins(10);

/// A repository cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LookFailure {
    /// What is wrong, for people.
    pub(crate) message: String,
}

/// A repository and its mirror.
pub(crate) struct Repository {
    url: RepositoryUrl,
    mirrors: PathBuf,
    /// Absent before the first look, and while a job has it.
    mirror: Option<Mirror>,
    /// A thread of its own: a server that hangs holds up this repository alone.
    pool: Pool,
    metrics: Metrics,
    stop: CancellationToken,
}

// === impl Repository ===

impl Repository {
    pub(crate) fn new(
        url: RepositoryUrl,
        mirrors: PathBuf,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        Self { url, mirrors, mirror: None, pool: Pool::new("git", 1), metrics, stop }
    }

    pub(crate) fn url(&self) -> &RepositoryUrl {
        &self.url
    }

    /// Fetches.
    ///
    /// # Cancel safety
    /// Dropped, the fetch runs to its end and the mirror is opened anew by the next call.
    pub(crate) async fn fetch(&mut self) -> Result<bool, LookFailure> {
        let stop = self.stop.clone();
        let deadline = Instant::now() + FETCH;
        let fetched = self
            .with(move |mirror| {
                let go_on = || !stop.is_cancelled() && Instant::now() < deadline;
                mirror.fetch(&FetchLimits::default(), &go_on).map(|fetched| fetched.changed)
            })
            .await;
        match &fetched {
            Ok(_) => self.metrics.fetches.inc(),
            Err(_) => self.metrics.fetch_failures.inc(),
        };
        fetched
    }

    /// Fetches, and reads what came.
    ///
    /// # Cancel safety
    /// As [`Self::fetch`].
    pub(crate) async fn look<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&Mirror) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, LookFailure> {
        self.fetch().await?;
        self.with(move |mirror| read(mirror)).await
    }

    /// Runs work on the mirror.
    ///
    /// # Cancel safety
    /// As [`Self::fetch`].
    pub(crate) async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Mirror) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, LookFailure> {
        let (mirror, url, mirrors) = (self.mirror.take(), self.url.clone(), self.mirrors.clone());
        let job = move || {
            let mut mirror = match mirror {
                Some(mirror) => mirror,
                None => match Mirror::open(&mirrors, &url) {
                    Ok(mirror) => mirror,
                    Err(error) => return (None, Err(error)),
                },
            };
            let result = work(&mut mirror);
            // What is damaged is fetched anew: it holds nothing that the repository does not have.
            let mirror = match &result {
                Err(GitError::Damaged { .. }) => mirror.rebuild().ok(),
                Ok(_) | Err(_) => Some(mirror),
            };
            (mirror, result)
        };
        match self.pool.run("git", job).await {
            Ok((mirror, result)) => {
                self.mirror = mirror;
                result.map_err(|error| LookFailure { message: error.to_string() })
            }
            Err(error) => Err(LookFailure { message: error.to_string() }),
        }
    }
}
