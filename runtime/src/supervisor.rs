//! Every task of a process: named, joined, and with a rule for what its failure means.
//!
//! Three rules exist. A task of [`Supervisor::spawn`] is one that the daemon cannot do without: its error or panic stops
//! the process in order. A task of [`Supervisor::spawn_isolated`] serves one peer or one request: its failure is logged
//! and harms nobody else. A task of [`Supervisor::spawn_restarting`] is started again after a growing, jittered pause.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use argosy_core::backoff::Backoff;
use futures::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::entropy::SystemEntropy;

/// A task's name.
pub type TaskName = Cow<'static, str>;

/// Why the process stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopCause {
    /// Somebody asked for it: a signal, an operator, a test.
    Asked {
        /// Who, or what.
        by: String,
    },
    /// A task that the daemon cannot do without failed.
    TaskFailed {
        /// The task.
        task: String,
        /// Its error or last words.
        error: String,
    },
}

/// How a task is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The pauses before restarts.
    pub pauses: Backoff,
    /// A run at least this long counts as success: the pauses start over.
    pub settled: Duration,
}

/// Tasks that did not end before the deadline and were aborted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tasks did not end in time and were aborted: {}", .names.join(", "))]
pub struct Unfinished {
    /// Their names.
    pub names: Vec<String>,
}

/// Starts, names and joins the tasks of a process.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    tracker: TaskTracker,
    stopping: CancellationToken,
    cause: watch::Sender<Option<StopCause>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    next: u64,
    tasks: BTreeMap<u64, (TaskName, Option<AbortHandle>)>,
}

/// Takes a task off the list of running ones when it ends, in whatever way.
struct Listed {
    id: u64,
    inner: Arc<Inner>,
}

// === impl RestartPolicy ===

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            pauses: Backoff::new(Duration::from_millis(200), Duration::from_secs(15)),
            settled: Duration::from_mins(1),
        }
    }
}

// === impl Supervisor ===

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("running", &self.running()).finish()
    }
}

impl Supervisor {
    /// Makes one without tasks.
    pub fn new() -> Self {
        let inner = Inner {
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            cause: watch::Sender::new(None),
            running: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Gives the token that is cancelled when the process is to stop: tasks then take no new work and end.
    pub fn stopping(&self) -> CancellationToken {
        self.inner.stopping.clone()
    }

    /// Starts a task that the daemon cannot do without: its error or panic stops the process.
    pub fn spawn<F, E>(&self, name: impl Into<TaskName>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let (name, supervisor) = (name.into(), self.clone());
        let task = name.clone();
        self.start(name, async move {
            if let Err(error) = caught(future).await {
                tracing::error!(%task, %error, "task failed, the process stops");
                supervisor.stop(StopCause::TaskFailed { task: task.into_owned(), error });
            }
        });
    }

    /// Starts a task whose failure harms nobody else: it is logged, and that is all.
    pub fn spawn_isolated<F, E>(&self, name: impl Into<TaskName>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let name = name.into();
        let task = name.clone();
        self.start(name, async move {
            if let Err(error) = caught(future).await {
                tracing::warn!(%task, %error, "task failed");
            }
        });
    }

    /// Starts a task that is made anew by `make` after each failure, with pauses by `policy`; a run without error ends
    /// it for good.
    pub fn spawn_restarting<M, F, E>(&self, name: impl Into<TaskName>, policy: RestartPolicy, mut make: M)
    where
        M: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let (name, stopping) = (name.into(), self.stopping());
        let task = name.clone();
        self.start(name, async move {
            let mut pauses = policy.pauses;
            loop {
                let began = tokio::time::Instant::now();
                let Err(error) = caught(make()).await else { return };
                if stopping.is_cancelled() {
                    tracing::debug!(%task, %error, "task failed while the process stops");
                    return;
                }
                if began.elapsed() >= policy.settled {
                    pauses.reset();
                }
                let attempt = pauses.attempts();
                let pause = pauses.next_delay(&mut SystemEntropy);
                tracing::warn!(%task, %error, attempt, ?pause, "task failed and is started again");
                if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Asks the process to stop; the first cause counts.
    pub fn stop(&self, cause: StopCause) {
        self.inner.cause.send_if_modified(|first| {
            let is_first = first.is_none();
            if is_first {
                *first = Some(cause);
            }
            is_first
        });
        self.inner.stopping.cancel();
    }

    /// Waits until the process is to stop, and gives the cause.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost when dropped.
    pub async fn stopped(&self) -> StopCause {
        let mut cause = self.inner.cause.subscribe();
        match cause.wait_for(Option::is_some).await.map(|first| first.clone()) {
            Ok(Some(cause)) => cause,
            // The sender lives in `self`, and the value was waited for.
            Ok(None) | Err(_) => StopCause::Asked { by: "supervisor".to_owned() },
        }
    }

    /// Gives the names of the tasks that run now.
    pub fn running(&self) -> Vec<String> {
        self.inner.running.lock().tasks.values().map(|(name, _)| name.to_string()).collect()
    }

    /// Waits for all tasks to end; those that have not after `deadline` are aborted and named.
    ///
    /// # Cancel safety
    /// Safe to call again when dropped.
    pub async fn join_all(&self, deadline: Duration) -> Result<(), Unfinished> {
        self.inner.tracker.close();
        if tokio::time::timeout(deadline, self.inner.tracker.wait()).await.is_ok() {
            return Ok(());
        }
        let left: Vec<_> = self.inner.running.lock().tasks.values().cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        for abort in left.iter().filter_map(|(_, abort)| abort.as_ref()) {
            abort.abort();
        }
        Err(Unfinished { names: left.into_iter().map(|(name, _)| name.into_owned()).collect() })
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that starts tasks")]
    fn start(&self, name: TaskName, future: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::info_span!("task", name = %name);
        let id = {
            let mut running = self.inner.running.lock();
            let id = running.next;
            running.next = id.saturating_add(1);
            running.tasks.insert(id, (name, None));
            id
        };
        let listed = Listed { id, inner: Arc::clone(&self.inner) };
        let tracked = self.inner.tracker.track_future(async move {
            let _listed = listed;
            future.await;
        });
        let handle = tokio::spawn(tracked.instrument(span));
        if let Some((_, abort)) = self.inner.running.lock().tasks.get_mut(&id) {
            *abort = Some(handle.abort_handle());
        }
    }
}

// === impl Listed ===

impl Drop for Listed {
    fn drop(&mut self) {
        self.inner.running.lock().tasks.remove(&self.id);
    }
}

/// Runs a future to its end; error and panic become text.
async fn caught<E: fmt::Display>(future: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(format!("panicked: {}", panic_text(panic.as_ref()))),
    }
}

/// Gives the message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests;
