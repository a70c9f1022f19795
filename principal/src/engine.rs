//! The one task that owns the hub's machine and its store.
//!
//! Inputs come through one bounded queue (full: senders wait). Each round takes what is there, runs the machine over it
//! and makes the whole round's transaction durable; only then do frames and answers leave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use argosy_core::hub::{
    Context, Effects, Event as HubEvent, HubMachine, Input, Refused, Reply, Request, Ticket,
};
use argosy_core::ids::{ClusterId, RejoinSerial};
use argosy_core::registry::{Attempt, EnrolError};
use argosy_core::session::frame::HubFrame;
use argosy_core::session::hub::{HubClosing, SessionId};
use argosy_core::store::StoreError;
use argosy_core::time::Now;
use argosy_proto::{ZstdCodec, v1};
use argosy_runtime::blocking::{BlockingError, Pool};
use argosy_runtime::clock::Clock;
use argosy_runtime::entropy::SystemEntropy;
use argosy_runtime::pki::{CertificateAuthority, HeadSigner, IssuedCertificate, PkiError};
use argosy_runtime::store::{Store, StoreFailure};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::metrics::Metrics;
use crate::sources::Wanted;

mod handle;
mod log;
mod overlay;

pub(crate) use handle::{Handle, Stopped};
use overlay::Overlay;

/// Inputs that wait for the machine.
const QUEUE: usize = 1024;
/// Inputs that one round takes at most.
const ROUND: usize = 256;
/// Frames that wait for a slow agent. Full: its stream is closed, and the next one begins from what both ends hold.
pub(crate) const OUTGOING: usize = 1024;
/// How long a cluster's certificate is valid.
const CLUSTER_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// A look at the machine, taken after a round is durable.
pub(crate) type Query = Box<dyn FnOnce(&HubMachine, &Store, Now) + Send>;

/// Where the answers of a request go.
pub(crate) enum Sink {
    /// The one answer.
    Once(oneshot::Sender<Result<Reply, Refused>>),
    /// Every answer; a reader that is too slow misses some in between, never the last.
    Many(mpsc::Sender<Result<Reply, Refused>>),
}

/// Why an agent gets no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolFailure {
    #[error(transparent)]
    Refused(#[from] EnrolError),
    #[error("the certificate request is refused: {0}")]
    Request(#[from] PkiError),
    #[error("the hub stops")]
    Stopped,
}

/// What the engine takes.
pub(crate) enum Event {
    Input(Box<Input>),
    Opened { session: SessionId, cluster: ClusterId, rejoin: RejoinSerial, sender: Sender },
    Ask { request: Box<Request>, sink: Sink },
    Enrol { attempt: Box<Attempt>, csr: Vec<u8>, answer: oneshot::Sender<EnrolAnswer> },
    Query(Query),
}

/// Answer to an enrolment.
pub(crate) type EnrolAnswer = Result<(ClusterId, IssuedCertificate), EnrolFailure>;

/// The sending side of a stream.
pub(crate) struct Sender {
    pub(crate) frames: mpsc::Sender<Result<v1::HubFrame, Status>>,
    pub(crate) closing: CancellationToken,
}

/// The engine stops: nothing that depends on what failed may happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("the store cannot be written: {0}")]
    Commit(#[from] StoreFailure),
    #[error("the store cannot be read: {0}")]
    Read(#[from] StoreError),
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

/// What the machine runs on, moved into each round's blocking job and back.
struct Core {
    machine: HubMachine,
    store: Store,
    signer: HeadSigner,
    authority: CertificateAuthority,
    clock: Clock,
}

/// What a round leads to, once it is durable.
#[derive(Default)]
struct Outcome {
    frames: Vec<(SessionId, HubFrame)>,
    close: Vec<(SessionId, HubClosing)>,
    replies: Vec<(Ticket, Result<Reply, Refused>)>,
    enrolled: Vec<(oneshot::Sender<EnrolAnswer>, EnrolAnswer)>,
    events: Vec<HubEvent>,
    sources_changed: bool,
    render_anew: bool,
    ops: usize,
}

/// What is put to the machine in a round.
enum Step {
    Input(Box<Input>),
    Enrol { attempt: Box<Attempt>, csr: Vec<u8>, answer: oneshot::Sender<EnrolAnswer> },
}

/// Everything around the machine.
pub(crate) struct Engine {
    core: Option<Core>,
    pool: Pool,
    events: mpsc::Receiver<Event>,
    sessions: BTreeMap<SessionId, Sender>,
    sinks: BTreeMap<Ticket, Sink>,
    next_ticket: u64,
    sources: watch::Sender<Arc<Wanted>>,
    newest_event: watch::Sender<u64>,
    state: watch::Sender<Value>,
    store_state: watch::Sender<Value>,
    metrics: Metrics,
    clock: Clock,
}

/// What an engine is made of.
pub(crate) struct Parts {
    pub(crate) installation: argosy_core::ids::InstallationId,
    pub(crate) store: Store,
    pub(crate) signer: HeadSigner,
    pub(crate) authority: CertificateAuthority,
    pub(crate) clock: Clock,
    pub(crate) sources: watch::Sender<Arc<Wanted>>,
    pub(crate) metrics: Metrics,
}

impl Engine {
    /// Loads the machine from its store and publishes what was published before.
    ///
    /// # Cancel safety
    /// As good as a crash.
    pub(crate) async fn load(parts: Parts) -> Result<(Self, Handle), EngineError> {
        let Parts { installation, store, signer, authority, clock, sources, metrics } = parts;
        let pool = Pool::new("engine", 1);
        let clock_of_core = clock;
        let job = move || {
            let overlay = Overlay::new(&store);
            let verifier = signer.verifier();
            let mut context = Context {
                now: clock_of_core.now(),
                store: &overlay,
                codec: &ZstdCodec,
                signer: &signer,
                verifier: &verifier,
                entropy: &mut SystemEntropy,
            };
            let (machine, effects) = HubMachine::load(installation, &mut context)?;
            store.commit(&effects.ops)?;
            let core = Core { machine, store, signer, authority, clock: clock_of_core };
            Ok::<_, EngineError>((core, Outcome::default().with(effects)))
        };
        let (core, outcome) = pool.run("load the store", job).await??;
        let (queue, events) = mpsc::channel(QUEUE);
        let newest_event = watch::Sender::new(0);
        let state = watch::Sender::new(Value::Null);
        let store_state = watch::Sender::new(Value::Null);
        let handle =
            Handle::new(queue, newest_event.subscribe(), [state.subscribe(), store_state.subscribe()]);
        let mut engine = Self {
            core: Some(core),
            pool,
            events,
            sessions: BTreeMap::new(),
            sinks: BTreeMap::new(),
            next_ticket: 0,
            sources,
            newest_event,
            state,
            store_state,
            metrics,
            clock,
        };
        engine.act(outcome);
        engine.show();
        Ok((engine, handle))
    }

    /// Runs until the process stops.
    ///
    /// # Cancel safety
    /// Not safe: a round that is dropped half way is as good as a crash.
    pub(crate) async fn run(mut self, stopping: CancellationToken) -> Result<(), EngineError> {
        loop {
            let timer = self.core.as_ref().and_then(|core| core.machine.next_timer());
            let pause = timer.map(|at| Duration::from_millis(at.saturating_sub(self.clock.now().ms())));
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
                        break;
                    }
                }
                () = sleep => {}
                () = stopping.cancelled() => break,
            }
            self.round(batch).await?;
        }
        self.round(vec![Event::Input(Box::new(Input::Stop))]).await?;
        self.events.close();
        for sender in std::mem::take(&mut self.sessions).into_values() {
            sender.closing.cancel();
        }
        if let Some(core) = self.core.take() {
            self.pool.run("close the store", move || core.store.close()).await??;
        }
        Ok(())
    }

    async fn round(&mut self, batch: Vec<Event>) -> Result<(), EngineError> {
        let mut steps = Vec::with_capacity(batch.len() + 1);
        let mut queries = Vec::new();
        for event in batch {
            match event {
                Event::Input(input) => {
                    if let Input::Closed(session) = *input {
                        self.sessions.remove(&session);
                    }
                    steps.push(Step::Input(input));
                }
                Event::Opened { session, cluster, rejoin, sender } => {
                    self.sessions.insert(session, sender);
                    steps.push(Step::Input(Box::new(Input::Opened { session, cluster, rejoin })));
                }
                Event::Ask { request, sink } => {
                    self.next_ticket += 1;
                    let ticket = Ticket(self.next_ticket);
                    self.sinks.insert(ticket, sink);
                    steps.push(Step::Input(Box::new(Input::Request(ticket, request))));
                }
                Event::Enrol { attempt, csr, answer } => steps.push(Step::Enrol { attempt, csr, answer }),
                Event::Query(query) => queries.push(query),
            }
        }
        for ticket in self.abandoned() {
            steps.push(Step::Input(Box::new(Input::Abandoned(ticket))));
        }
        let Some(mut core) = self.core.take() else { return Ok(()) };
        let only_queries = steps.is_empty() && !queries.is_empty();
        let began = self.clock.now();
        let job = move || {
            let outcome = if only_queries { Ok(Outcome::default()) } else { core.round(steps) };
            if outcome.is_ok() {
                let now = core.clock.now();
                for query in queries {
                    query(&core.machine, &core.store, now);
                }
            }
            (core, outcome)
        };
        let (core, outcome) = self.pool.run("decide", job).await?;
        self.core = Some(core);
        let outcome = outcome?;
        self.metrics.round(self.clock.now().mono.since(&began.mono), outcome.ops, self.sessions.len());
        self.act(outcome);
        self.show();
        Ok(())
    }

    /// Shows where things stand to the admin endpoint.
    fn show(&self) {
        let Some(core) = &self.core else { return };
        let summary = core.machine.summary();
        self.state.send_replace(json!({
            "clusters": summary.clusters,
            "connected": summary.connected,
            "streams": self.sessions.len(),
            "placements": summary.placements,
            "fleetRead": summary.fleet_read,
            "rendered": summary.rendered,
            "failing": summary.failing,
            "commands": summary.commands,
            "queue": { "waiting": self.events.len(), "capacity": QUEUE },
            "requests": self.sinks.len(),
        }));
        self.store_state.send_replace(core.store.to_json());
    }

    /// Gives the requests whose answer nobody waits for any more.
    fn abandoned(&mut self) -> Vec<Ticket> {
        let is_gone = |sink: &Sink| match sink {
            Sink::Once(answer) => answer.is_closed(),
            Sink::Many(answers) => answers.is_closed(),
        };
        let gone: Vec<Ticket> =
            self.sinks.iter().filter(|(_, sink)| is_gone(sink)).map(|(ticket, _)| *ticket).collect();
        for ticket in &gone {
            self.sinks.remove(ticket);
        }
        gone
    }

    /// Does what the durable round leads to.
    fn act(&mut self, outcome: Outcome) {
        for (session, frame) in outcome.frames {
            let Some(sender) = self.sessions.get(&session) else { continue };
            if sender.frames.try_send(Ok(v1::HubFrame::from(frame))).is_err() {
                if !sender.closing.is_cancelled() {
                    warn!(
                        session = session.0,
                        "the agent is too slow for what has to be said: its stream is closed"
                    );
                }
                self.hang_up(session);
            }
        }
        for (session, closing) in outcome.close {
            info!(session = session.0, reason = ?closing, "stream closed");
            self.hang_up(session);
        }
        for (ticket, reply) in outcome.replies {
            self.reply(ticket, reply);
        }
        for (answer, result) in outcome.enrolled {
            if answer.send(result).is_err() {
                debug!("the agent that enrolled did not wait for its certificate");
            }
        }
        let newest = outcome.events.last().map(|event| event.sequence);
        for event in &outcome.events {
            log::event(event);
        }
        if let Some(newest) = newest {
            self.newest_event.send_replace(newest);
        }
        if (outcome.sources_changed || outcome.render_anew)
            && let Some(core) = &self.core
        {
            let before = Arc::clone(&self.sources.borrow());
            self.sources.send_replace(Arc::new(Wanted {
                sources: core.machine.sources(),
                anew: before.anew + u64::from(outcome.render_anew),
                changes: before.changes + 1,
            }));
        }
    }

    /// Ends a stream; what is queued still leaves. The stream's own task then says that it ended.
    fn hang_up(&mut self, session: SessionId) {
        if let Some(sender) = self.sessions.remove(&session) {
            sender.closing.cancel();
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Result<Reply, Refused>) {
        let goes_on = matches!(&reply, Ok(Reply::Command(progress)) if !progress.state.is_final());
        let unread = match self.sinks.remove(&ticket) {
            Some(Sink::Once(answer)) => answer.send(reply).is_err(),
            Some(Sink::Many(answers)) => {
                // The last place is kept for the last answer.
                let unread = (!goes_on || answers.capacity() > 1) && answers.try_send(reply).is_err();
                if goes_on {
                    self.sinks.insert(ticket, Sink::Many(answers));
                }
                unread
            }
            None => false,
        };
        if unread {
            debug!("nobody reads the answer any more");
        }
    }
}

// === impl Outcome ===

impl Outcome {
    fn with(mut self, effects: Effects) -> Self {
        let Effects { ops, frames, close, replies, events, sources_changed, render_anew } = effects;
        self.ops += ops.len();
        self.frames.extend(frames);
        self.close.extend(close);
        self.replies.extend(replies);
        self.events.extend(events);
        self.sources_changed |= sources_changed;
        self.render_anew |= render_anew;
        self
    }
}

// === impl Core ===

impl Core {
    fn round(&mut self, steps: Vec<Step>) -> Result<Outcome, EngineError> {
        let mut overlay = Overlay::new(&self.store);
        let mut outcome = Outcome::default();
        let mut all = Vec::new();
        let tick = Step::Input(Box::new(Input::Tick));
        for step in steps.into_iter().chain([tick]) {
            let mut effects = match step {
                Step::Input(input) => self.step(*input, &overlay)?,
                Step::Enrol { attempt, csr, answer } => {
                    let (effects, result) = self.enrol(*attempt, &csr, &overlay)?;
                    outcome.enrolled.push((answer, result));
                    effects
                }
            };
            let ops = std::mem::take(&mut effects.ops);
            overlay.stage(&ops);
            outcome.ops += ops.len();
            all.extend(ops);
            outcome = outcome.with(effects);
        }
        self.store.commit(&all)?;
        Ok(outcome)
    }

    fn step(&mut self, input: Input, overlay: &Overlay) -> Result<Effects, StoreError> {
        let verifier = self.signer.verifier();
        let mut context = Context {
            now: self.clock.now(),
            store: overlay,
            codec: &ZstdCodec,
            signer: &self.signer,
            verifier: &verifier,
            entropy: &mut SystemEntropy,
        };
        self.machine.handle(input, &mut context)
    }

    /// Signs first, so that a request that is not sound uses no token up; the certificate leaves only when the token's
    /// use is durable.
    fn enrol(
        &mut self,
        attempt: Attempt,
        csr: &[u8],
        overlay: &Overlay,
    ) -> Result<(Effects, EnrolAnswer), StoreError> {
        let now = self.clock.now();
        let signed = match self.machine.admit(&attempt, now.wall) {
            Ok((cluster, rejoin)) => {
                let signed = self.authority.sign_csr(csr, cluster, rejoin, CLUSTER_LIFETIME, now.wall);
                match signed {
                    Ok(certificate) => Ok((cluster, certificate)),
                    Err(error) => return Ok((Effects::default(), Err(error.into()))),
                }
            }
            Err(error) => Err(EnrolFailure::from(error)),
        };
        let request = Input::Request(Ticket(0), Box::new(Request::Enrol(attempt)));
        let effects = self.step(request, overlay)?;
        let enrolled = effects.replies.iter().any(|(_, reply)| reply.is_ok());
        let result = match signed {
            Ok(signed) if enrolled => Ok(signed),
            Ok(_) => Err(EnrolFailure::Refused(EnrolError::Token)),
            Err(error) => Err(error),
        };
        Ok((effects, result))
    }
}
