//! Work that blocks a thread: Git, the store, compression, rendering.
//!
//! Each kind of work has a [`Pool`] of its own with a bounded number of jobs at a time, so that a repository that hangs
//! holds up no store, and no daemon grows threads without end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

use crate::supervisor::panic_text;

/// Jobs at a time in the pool that [`run`] uses.
const SHARED_JOBS: usize = 8;

/// A job gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockingError {
    /// The job panicked.
    #[error("job {job} panicked: {message}")]
    Panicked {
        /// The job.
        job: &'static str,
        /// Its last words.
        message: String,
    },
    /// The process stops; no job starts any more.
    #[error("job {job} was not started: the process stops")]
    Stopped {
        /// The job.
        job: &'static str,
    },
}

/// A bounded number of blocking jobs at a time; the ones above wait for their turn.
#[derive(Debug, Clone)]
pub struct Pool {
    name: &'static str,
    turns: Arc<Semaphore>,
}

// === impl Pool ===

impl Pool {
    /// Makes a pool of `jobs` jobs at a time (at least one).
    pub fn new(name: &'static str, jobs: usize) -> Self {
        Self { name, turns: Arc::new(Semaphore::new(jobs.max(1))) }
    }

    /// Gives the pool's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Gives the number of jobs that could start at once.
    pub fn free(&self) -> usize {
        self.turns.available_permits()
    }

    /// Runs `closure` on a blocking thread and waits for its result; a panic inside is an error here.
    ///
    /// # Cancel safety
    /// Dropped while it waits for its turn, the job never starts. Dropped later, the job runs to its end, still holding
    /// its place in the pool, and its result is lost.
    #[expect(clippy::disallowed_methods, reason = "the one place that starts blocking jobs")]
    pub async fn run<T, F>(&self, job: &'static str, closure: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let stopped = BlockingError::Stopped { job };
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return Err(stopped) };
        let span = tracing::Span::current();
        let running = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let _entered = span.enter();
            catch_unwind(AssertUnwindSafe(closure))
        });
        match running.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => Err(BlockingError::Panicked { job, message: panic_text(panic.as_ref()) }),
            Err(_cancelled) => Err(stopped),
        }
    }
}

/// Runs `closure` in the process's shared pool: for rare, short jobs that have no pool of their own.
///
/// # Cancel safety
/// As [`Pool::run`].
pub async fn run<T, F>(job: &'static str, closure: F) -> Result<T, BlockingError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    static SHARED: LazyLock<Pool> = LazyLock::new(|| Pool::new("shared", SHARED_JOBS));
    SHARED.run(job, closure).await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_that_names_the_job_and_frees_its_place() {
        let pool = Pool::new("test", 1);
        let error = pool.run("explode", || panic!("bad page {}", 7)).await.map(|(): ()| ()).unwrap_err();
        assert_eq!(error, BlockingError::Panicked { job: "explode", message: "bad page 7".to_owned() });
        assert_eq!(pool.run("add", || 1 + 1).await, Ok(2));
        assert_eq!((pool.name(), pool.free()), ("test", 1));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_jobs_run_than_the_pool_allows() {
        let pool = Pool::new("test", 2);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..32).map(|_| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            pool.run("count", move || {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
            })
        });
        for result in futures::future::join_all(jobs).await {
            result.unwrap();
        }
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn the_shared_pool_runs_jobs() {
        assert_eq!(run("answer", || 42).await, Ok(42));
    }
}
