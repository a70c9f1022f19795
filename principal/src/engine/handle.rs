//! How everything else speaks to the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argosy_core::hub::{HubMachine, Input, Refused, Reply, Request};
use argosy_core::ids::{ClusterId, RejoinSerial};
use argosy_core::registry::Attempt;
use argosy_core::session::hub::SessionId;
use argosy_core::time::Now;
use argosy_runtime::store::Store;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::{EnrolAnswer, EnrolFailure, Event, Sender, Sink};

/// Messages of a command that wait for a slow reader.
const PROGRESS: usize = 64;

/// The engine has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub stops")]
pub(crate) struct Stopped;

/// Speaks to the engine.
#[derive(Clone)]
pub(crate) struct Handle {
    queue: mpsc::Sender<Event>,
    events: watch::Receiver<u64>,
    states: [watch::Receiver<Value>; 2],
    sessions: Arc<AtomicU64>,
}

// === impl Handle ===

impl Handle {
    pub(super) fn new(
        queue: mpsc::Sender<Event>,
        events: watch::Receiver<u64>,
        states: [watch::Receiver<Value>; 2],
    ) -> Self {
        Self { queue, events, states, sessions: Arc::new(AtomicU64::new(1)) }
    }

    /// Puts an input to the machine; waits while the queue is full.
    ///
    /// # Cancel safety
    /// Safe: the input is taken or not.
    pub(crate) async fn input(&self, input: Input) -> Result<(), Stopped> {
        self.send(Event::Input(Box::new(input))).await
    }

    /// Begins a stream of a cluster.
    pub(crate) async fn open(
        &self,
        cluster: ClusterId,
        rejoin: RejoinSerial,
        sender: Sender,
    ) -> Result<SessionId, Stopped> {
        let session = SessionId(self.sessions.fetch_add(1, Ordering::Relaxed));
        self.send(Event::Opened { session, cluster, rejoin, sender }).await?;
        Ok(session)
    }

    /// Asks for something that is answered once.
    pub(crate) async fn ask(&self, request: Request) -> Result<Result<Reply, Refused>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.send(Event::Ask { request: Box::new(request), sink: Sink::Once(answer) }).await?;
        answered.await.map_err(|_dropped| Stopped)
    }

    /// Asks for something that is answered again and again.
    pub(crate) async fn follow(
        &self,
        request: Request,
    ) -> Result<mpsc::Receiver<Result<Reply, Refused>>, Stopped> {
        let (answers, answered) = mpsc::channel(PROGRESS);
        self.send(Event::Ask { request: Box::new(request), sink: Sink::Many(answers) }).await?;
        Ok(answered)
    }

    /// Asks for a certificate.
    pub(crate) async fn enrol(&self, attempt: Attempt, csr: Vec<u8>) -> EnrolAnswer {
        let (answer, answered) = oneshot::channel();
        let sent = self.send(Event::Enrol { attempt: Box::new(attempt), csr, answer }).await;
        sent.map_err(|Stopped| EnrolFailure::Stopped)?;
        answered.await.map_err(|_dropped| EnrolFailure::Stopped)?
    }

    /// Looks at the machine.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        look: impl FnOnce(&HubMachine, &Store, Now) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let query = Box::new(move |machine: &HubMachine, store: &Store, now: Now| {
            // Who does not wait any more needs no answer.
            let _unwanted: Result<(), T> = answer.send(look(machine, store, now));
        });
        self.send(Event::Query(query)).await?;
        answered.await.map_err(|_dropped| Stopped)
    }

    /// Gives the number of the newest event, and every later one.
    pub(crate) fn newest_event(&self) -> watch::Receiver<u64> {
        self.events.clone()
    }

    /// Gives what the admin endpoint shows of the hub and of its store, as of the last round.
    pub(crate) fn states(&self) -> [watch::Receiver<Value>; 2] {
        self.states.clone()
    }

    async fn send(&self, event: Event) -> Result<(), Stopped> {
        self.queue.send(event).await.map_err(|_closed| Stopped)
    }
}
