//! One repository: its mirror, fetched on a blocking thread.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use argosy_runtime::blocking::Pool;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::git::{FetchLimits, GitError, Mirror, RepositoryUrl};
use crate::metrics::Metrics;

/// How long a fetch may go on.
const FETCH: Duration = Duration::from_mins(10);
/// How long nothing may come of a fetch, or of work on the mirror, before it counts as failed. The library cannot be
/// interrupted while it waits for a server: its thread is left to itself, and the next look waits for it as long again.
const SILENCE: Duration = Duration::from_mins(1);
/// How long work on the mirror may take.
const WORK: Duration = Duration::from_mins(10);

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
    silence: Duration,
}

// === impl Repository ===

impl Repository {
    pub(crate) fn new(
        url: RepositoryUrl,
        mirrors: PathBuf,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        Self { url, mirrors, mirror: None, pool: Pool::new("git", 1), metrics, stop, silence: SILENCE }
    }

    pub(crate) fn url(&self) -> &RepositoryUrl {
        &self.url
    }

    /// Fetches.
    ///
    /// # Cancel safety
    /// Dropped, the fetch runs to its end and the mirror is opened anew by the next call.
    pub(crate) async fn fetch(&mut self) -> Result<bool, LookFailure> {
        let fetched = self.fetch_while_heard().await;
        match &fetched {
            Ok(_) => self.metrics.fetches.inc(),
            Err(_) => self.metrics.fetch_failures.inc(),
        };
        fetched
    }

    async fn fetch_while_heard(&mut self) -> Result<bool, LookFailure> {
        let stop = self.stop.clone();
        let deadline = Instant::now() + FETCH;
        let (heard, mut hearing) = watch::channel(());
        let (url, silence) = (self.url.clone(), self.silence);
        let mut fetch = pin!(self.with(move |mirror| {
            let go_on = || {
                heard.send_replace(());
                !stop.is_cancelled() && Instant::now() < deadline
            };
            mirror.fetch(&FetchLimits::default(), &go_on).map(|fetched| fetched.changed)
        }));
        loop {
            tokio::select! {
                fetched = &mut fetch => return fetched,
                Ok(()) = hearing.changed() => {}
                () = tokio::time::sleep(silence) => {
                    let message = format!("cannot fetch {url}: nothing came from it for {silence:?}");
                    return Err(LookFailure { message });
                }
            }
        }
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
        match tokio::time::timeout(FETCH + WORK, self.pool.run("git", job)).await {
            Ok(Ok((mirror, result))) => {
                self.mirror = mirror;
                result.map_err(|error| LookFailure { message: error.to_string() })
            }
            Ok(Err(error)) => Err(LookFailure { message: error.to_string() }),
            Err(_elapsed) => {
                Err(LookFailure { message: format!("{}: work on its mirror does not end", self.url) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use argosy_runtime::metrics::Metrics as Registry;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_says_nothing_fails_the_look_and_the_ones_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/repo.git", server.local_addr().unwrap());
        let url = RepositoryUrl::parse(&url).unwrap();
        let metrics = Metrics::register(&Registry::of_process("test", "0", argosy_runtime::clock::wall()));
        let mut repository =
            Repository::new(url, folder.path().to_owned(), metrics, CancellationToken::new());
        repository.silence = Duration::from_millis(200);

        let first = repository.fetch().await.unwrap_err();
        let second = repository.fetch().await.unwrap_err();

        assert!(first.message.contains("nothing came from it"), "{first:?}");
        assert_eq!(first, second);
        // Hangs up, so that the thread ends.
        drop(server.accept().unwrap());
    }
}
