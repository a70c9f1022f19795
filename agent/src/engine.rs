//! The one task that owns the agent's machine and its store.
//!
//! Inputs come through one bounded queue (full: senders wait). Each round takes what is there, runs the machine over it
//! and makes the whole round's transaction durable; only then do anchor, frames and requests leave.

use std::sync::Arc;
use std::time::Duration;

use argosy_core::agent::{Given, Input, Notice};
use argosy_core::cluster::{ApiError, Request, RequestId};
use argosy_core::ids::InstallationId;
use argosy_core::local::LocalPolicy;
use argosy_core::session::agent::{AgentIdentity, Closing};
use argosy_core::session::frame::{AgentFrame, ClusterFacts};
use argosy_core::store::StoreError;
use argosy_core::time::WallTime;
use argosy_runtime::blocking::{BlockingError, Pool};
use argosy_runtime::clock::Clock;
use argosy_runtime::files::FileError;
use argosy_runtime::pki::HeadVerifier;
use argosy_runtime::store::{Store, StoreFailure};
use argosy_runtime::supervisor::Supervisor;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch as signal};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::cluster::{Connection, LeaseState, WatchesHandle};
use crate::identity::Folder;
use crate::session::{self, Hub, Sender};
use crate::view::View;

mod asked;
mod log;
mod overlay;
mod round;

pub(crate) use asked::{Asked, ConfirmAnswer, OrderAnswer};
pub(crate) use round::About;

use asked::Answer;
use round::Core;

/// Inputs that wait for the machine.
pub(crate) const QUEUE: usize = 512;
/// Inputs that one round takes at most.
const ROUND: usize = 256;

/// What the engine takes.
#[derive(Debug)]
pub(crate) enum Event {
    /// An input of the machine.
    Input(Box<Input>),
    /// The cluster said who it is.
    Facts(ClusterFacts),
    /// Somebody at the edge asks.
    Asked(Asked),
}

/// The engine stops: nothing that depends on what failed may happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("the store cannot be written: {0}")]
    Commit(#[from] StoreFailure),
    #[error("the store cannot be read: {0}")]
    Read(#[from] StoreError),
    #[error("a file beside the store cannot be written: {0}")]
    Beside(#[from] FileError),
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

/// What a round leads to, once it is durable.
#[derive(Debug, Default)]
struct Outcome {
    frames: Vec<AgentFrame>,
    close: Option<Closing>,
    dial: bool,
    discover: bool,
    requests: Vec<(RequestId, Request, Option<Vec<u8>>)>,
    notices: Vec<Notice>,
    answers: Vec<Answer>,
}

/// Everything around the machine.
pub(crate) struct Engine {
    core: Option<Core>,
    pool: Pool,
    events: mpsc::Receiver<Event>,
    queue: mpsc::Sender<Event>,
    supervisor: Supervisor,
    connection: Connection,
    installation: InstallationId,
    hub: Hub,
    facts: ClusterFacts,
    sender: Option<Sender>,
    watches: WatchesHandle,
    discover: mpsc::Sender<()>,
    lease: signal::Receiver<LeaseState>,
    writer: Option<(Option<String>, bool)>,
    view: Arc<Mutex<View>>,
    clock: Clock,
}

/// What an engine is made of.
pub(crate) struct Parts {
    pub(crate) identity: AgentIdentity,
    pub(crate) about: About,
    pub(crate) store: Store,
    pub(crate) given: Given,
    pub(crate) folder: Folder,
    pub(crate) verifier: HeadVerifier,
    pub(crate) clock: Clock,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) queue: mpsc::Sender<Event>,
    pub(crate) supervisor: Supervisor,
    pub(crate) connection: Connection,
    pub(crate) hub: Hub,
    pub(crate) facts: ClusterFacts,
    pub(crate) watches: WatchesHandle,
    pub(crate) discover: mpsc::Sender<()>,
    pub(crate) lease: signal::Receiver<LeaseState>,
    pub(crate) view: Arc<Mutex<View>>,
}

impl Engine {
    /// Loads the machine from its store; its first effects are carried out when the engine runs.
    pub(crate) async fn load(parts: Parts) -> Result<(Self, impl FnOnce(&mut Self)), EngineError> {
        let pool = Pool::new("engine", 1);
        let Parts { identity, store, given, folder, verifier, clock, .. } = parts;
        let about = parts.about;
        let job = move || Core::load(identity, about, store, given, folder, verifier, clock);
        let (core, outcome) = pool.run("load the store", job).await??;
        let engine = Self {
            core: Some(core),
            pool,
            events: parts.events,
            queue: parts.queue,
            supervisor: parts.supervisor,
            connection: parts.connection,
            installation: identity.installation,
            hub: parts.hub,
            facts: parts.facts,
            sender: None,
            watches: parts.watches,
            discover: parts.discover,
            lease: parts.lease,
            writer: None,
            view: parts.view,
            clock: parts.clock,
        };
        Ok((engine, move |engine: &mut Self| engine.act(outcome)))
    }

    /// Runs until the process stops.
    ///
    /// # Cancel safety
    /// Not safe: a round that is dropped half way is as good as a crash.
    pub(crate) async fn run(mut self, stopping: CancellationToken) -> Result<(), EngineError> {
        loop {
            self.show();
            let now = self.clock.now();
            let timer = self.core.as_ref().and_then(|core| core.machine.next_timer(now));
            let pause = timer.map(|at| Duration::from_millis(at.saturating_sub(now.ms())));
            let mut batch = Vec::new();
            let sleep = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                taken = self.events.recv_many(&mut batch, ROUND) => {
                    if taken == 0 {
                        return Ok(());
                    }
                }
                () = sleep => {}
                changed = self.lease.changed() => {
                    // The Lease's task ends before this one when the process stops: the store is closed all the same.
                    if changed.is_err() {
                        break;
                    }
                }
                () = stopping.cancelled() => break,
            }
            self.round(batch).await?;
        }
        if let Some(sender) = self.sender.take() {
            sender.closing.cancel();
        }
        if let Some(core) = self.core.take() {
            self.pool.run("close the store", move || core.store.close()).await??;
        }
        Ok(())
    }

    async fn round(&mut self, batch: Vec<Event>) -> Result<(), EngineError> {
        let mut events = Vec::with_capacity(batch.len() + 1);
        events.extend(self.look_at_lease());
        for event in batch {
            match event {
                Event::Facts(facts) => {
                    self.facts = facts.clone();
                    events.push(Event::Input(Box::new(Input::Facts(facts))));
                }
                Event::Input(input) => {
                    if matches!(*input, Input::Disconnected) {
                        self.sender = None;
                    }
                    events.push(Event::Input(input));
                }
                Event::Asked(_) => events.push(event),
            }
        }
        let Some(mut core) = self.core.take() else { return Ok(()) };
        let job = move || {
            let outcome = core.round(events);
            (core, outcome)
        };
        let (core, outcome) = self.pool.run("decide", job).await?;
        self.core = Some(core);
        self.act(outcome?);
        Ok(())
    }

    /// Looks at the Lease before a batch of writes (M24); gives an input when what it permits has changed.
    fn look_at_lease(&mut self) -> Option<Event> {
        let state = self.lease.borrow_and_update().clone();
        let read_only = (!state.may_write(&self.clock.mono())).then(|| match &state {
            LeaseState::Held { .. } => "the agents' lease ran out".to_owned(),
            LeaseState::Lost { holder } => format!("another agent writes to this cluster: {holder}"),
            LeaseState::Unknown { reason, .. } => {
                format!("it is not known who writes to this cluster: {reason}")
            }
        });
        let writer = (read_only, state.may_dial());
        if self.writer.as_ref() == Some(&writer) {
            return None;
        }
        if let Some(reason) = &writer.0 {
            warn!(%reason, "read-only");
        } else {
            info!("this agent writes to the cluster");
        }
        self.writer = Some(writer.clone());
        let (read_only, may_dial) = writer;
        Some(Event::Input(Box::new(Input::Writer { read_only, may_dial })))
    }

    /// Does what the durable round leads to.
    fn act(&mut self, outcome: Outcome) {
        for notice in outcome.notices {
            log::notice(notice);
        }
        for frame in outcome.frames {
            let Some(sender) = &self.sender else { break };
            if !session::send(sender, frame) {
                warn!("the link is too slow for what has to be said: it is opened again");
                sender.closing.cancel();
                self.sender = None;
                break;
            }
        }
        if let Some(closing) = outcome.close {
            info!(reason = ?closing, "the link is closed");
            if let Some(sender) = self.sender.take() {
                sender.closing.cancel();
            }
        }
        if outcome.dial {
            self.dial();
        }
        if outcome.discover && self.discover.try_send(()).is_err() {
            debug!("a discovery is asked for already");
        }
        for (id, request, manifest) in outcome.requests {
            self.request(id, request, manifest);
        }
        for answer in outcome.answers {
            answer.send();
        }
        if let Some(core) = &self.core {
            self.watches.follow(|known| core.machine.changed_watches(known));
        }
    }

    fn dial(&mut self) {
        let (sender, outgoing) = session::channel(&self.hub.counters);
        let closing = sender.closing.clone();
        self.sender = Some(sender);
        let run = session::run(self.hub.clone(), self.facts.clone(), outgoing, closing, self.queue.clone());
        self.supervisor.spawn_isolated("link", async move {
            run.await;
            Ok::<_, std::convert::Infallible>(())
        });
    }

    fn request(&self, id: RequestId, request: Request, manifest: Option<Vec<u8>>) {
        let (connection, installation, queue) =
            (self.connection.clone(), self.installation, self.queue.clone());
        let missing = request.manifest().is_some() && manifest.is_none();
        self.supervisor.spawn_isolated("request", async move {
            let answer = if missing {
                Err(ApiError::Refused("the manifest is not in the agent's store any more".to_owned()))
            } else {
                connection.execute(&request, manifest.as_deref(), installation).await
            };
            let answered = queue.send(Event::Input(Box::new(Input::Answer(id, answer)))).await;
            answered.map_err(|_closed| "the engine is gone")
        });
    }

    /// Shows the machine's state to the admin endpoint.
    fn show(&self) {
        if let Some(core) = &self.core {
            let machine = &core.machine;
            let mut view = self.view.lock();
            view.connected = machine.link().is_connected();
            view.read_only = machine.read_only();
            view.paused = machine.paused().is_some();
            view.generation = machine.link().held().map(|held| held.head.generation);
            view.apps = machine.reconciler().statuses().len();
            view.objects = machine.reconciler().inventory().len();
            view.observing = machine.reconciler().is_observing();
        }
    }
}

/// Facts for a `Hello` before the cluster was reached in this life.
pub(crate) fn first_facts(
    policy: Option<&LocalPolicy>,
    kube_system_uid: String,
    certificate_not_after: WallTime,
) -> ClusterFacts {
    ClusterFacts {
        kube_system_uid,
        kubernetes_version: String::new(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        certificate_not_after,
        policy: policy.map(LocalPolicy::summary),
    }
}
