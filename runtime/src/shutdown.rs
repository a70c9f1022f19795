//! The end of a process: stop intake, drain with a deadline, then force.
//!
//! SIGTERM and SIGINT ask for it; a second one exits at once, without draining.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::supervisor::{StopCause, Supervisor, Unfinished};

/// Exit code after a second signal: as a shell reports an interrupted program.
const FORCED_EXIT_CODE: i32 = 130;

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why it stopped.
    pub cause: StopCause,
    /// What was left when it did.
    pub drain: Drain,
}

/// How the drain went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drain {
    /// Every task ended by itself.
    Complete,
    /// Some tasks had to be aborted at the deadline.
    Aborted(Unfinished),
    /// A second signal came first.
    Forced,
}

/// Requests to stop, by name of the signal.
#[derive(Debug)]
pub struct Signals {
    source: Source,
}

#[derive(Debug)]
enum Source {
    System { terminate: Signal, interrupt: Signal },
    Manual(mpsc::Receiver<&'static str>),
}

// === impl Signals ===

impl Signals {
    /// Listens to SIGTERM and SIGINT of this process.
    pub fn system() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { source: Source::System { terminate, interrupt } })
    }

    /// Makes signals that a test or an embedding program sends; a full queue makes the sender wait.
    pub fn manual() -> (mpsc::Sender<&'static str>, Self) {
        let (send, receive) = mpsc::channel(2);
        (send, Self { source: Source::Manual(receive) })
    }

    /// Waits for the next signal and gives its name.
    ///
    /// # Cancel safety
    /// Safe: a signal is taken or left whole.
    pub async fn next(&mut self) -> &'static str {
        match &mut self.source {
            Source::System { terminate, interrupt } => tokio::select! {
                Some(()) = terminate.recv() => "SIGTERM",
                Some(()) = interrupt.recv() => "SIGINT",
                else => std::future::pending().await,
            },
            Source::Manual(receive) => match receive.recv().await {
                Some(name) => name,
                None => std::future::pending().await,
            },
        }
    }
}

/// Waits for a signal or a failed task, stops the process's tasks and drains them for at most `deadline`. A second
/// signal gives [`Drain::Forced`] at once.
///
/// # Cancel safety
/// Dropped early, tasks go on as they are.
pub async fn drive(supervisor: &Supervisor, mut signals: Signals, deadline: Duration) -> Ending {
    let cause = tokio::select! {
        name = signals.next() => {
            supervisor.stop(StopCause::Asked { by: name.to_owned() });
            supervisor.stopped().await
        }
        cause = supervisor.stopped() => cause,
    };
    match &cause {
        StopCause::Asked { by } => tracing::info!(%by, ?deadline, "stopping"),
        StopCause::TaskFailed { task, error } => tracing::error!(%task, %error, ?deadline, "stopping"),
    }
    let drain = tokio::select! {
        joined = supervisor.join_all(deadline) => match joined {
            Ok(()) => Drain::Complete,
            Err(unfinished) => {
                tracing::warn!(error = %unfinished, "stopped by force");
                Drain::Aborted(unfinished)
            }
        },
        name = signals.next() => {
            tracing::warn!(by = name, "second signal, exiting at once");
            Drain::Forced
        }
    };
    Ending { cause, drain }
}

/// Does what [`drive`] does with the process's own signals, and exits the process at once on the second one.
///
/// # Cancel safety
/// As [`drive`].
#[expect(clippy::exit, reason = "a second signal means now: no destructor may hold it up")]
pub async fn run(supervisor: &Supervisor, deadline: Duration) -> std::io::Result<Ending> {
    let ending = drive(supervisor, Signals::system()?, deadline).await;
    if ending.drain == Drain::Forced {
        std::process::exit(FORCED_EXIT_CODE);
    }
    Ok(ending)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_signal_stops_intake_and_waits_for_the_drain() {
        let supervisor = Supervisor::new();
        let stopping = supervisor.stopping();
        supervisor.spawn::<_, Infallible>("drains", async move {
            stopping.cancelled().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(())
        });
        let (send, signals) = Signals::manual();
        send.send("SIGTERM").await.unwrap();
        let ending = drive(&supervisor, signals, DEADLINE).await;
        assert_eq!(ending.cause, StopCause::Asked { by: "SIGTERM".to_owned() });
        assert_eq!(ending.drain, Drain::Complete);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_drain_in_time_is_aborted() {
        let supervisor = Supervisor::new();
        supervisor.spawn::<_, Infallible>("stuck", std::future::pending());
        let (send, signals) = Signals::manual();
        send.send("SIGINT").await.unwrap();
        let ending = drive(&supervisor, signals, DEADLINE).await;
        assert_eq!(ending.drain, Drain::Aborted(Unfinished { names: vec!["stuck".to_owned()] }));
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_signal_does_not_wait() {
        let supervisor = Supervisor::new();
        supervisor.spawn::<_, Infallible>("stuck", std::future::pending());
        let (send, signals) = Signals::manual();
        send.send("SIGINT").await.unwrap();
        send.send("SIGINT").await.unwrap();
        let began = tokio::time::Instant::now();
        let ending = drive(&supervisor, signals, DEADLINE).await;
        assert_eq!(ending.drain, Drain::Forced);
        assert!(began.elapsed() < DEADLINE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_task_stops_the_process_without_any_signal() {
        let supervisor = Supervisor::new();
        supervisor.spawn("store", async { Err("disk full") });
        let (_send, signals) = Signals::manual();
        let ending = drive(&supervisor, signals, DEADLINE).await;
        assert!(matches!(ending.cause, StopCause::TaskFailed { .. }));
        assert_eq!(ending.drain, Drain::Complete);
    }
}
