//! One agent at a time writes to a cluster (M24).
//!
//! A Lease in the agent's namespace names the writer. Who holds it renews it; another takes it over only after it has
//! seen it unchanged for its whole duration by its own clock, so nobody's wall clock decides. The next process of the
//! same agent takes over from the one before it at once. While the API server cannot be asked, nobody writes after the
//! lease would have run out; the last holder stays the one that dials the hub (M15).

mod contest;
mod record;

use std::time::Duration;

use argosy_core::cluster::{ApiError, Subject};
use argosy_core::ids::InstallationId;
use argosy_core::time::MonoTime;
use argosy_runtime::clock::Clock;
use http::Method;
use tokio::sync::watch as signal;
use tokio_util::sync::CancellationToken;

use self::contest::{Contest, Move};
use self::record::Record;
use super::failure::Failure;
use super::transport::{Call, WHOLE};
use super::{Connection, path};

pub use self::contest::Holder;

/// How long a holder stays one without a renewal.
const DURATION: Duration = Duration::from_secs(15);
/// Time between renewals, or looks at somebody else's lease.
const INTERVAL: Duration = Duration::from_secs(5);
/// Time until a failed attempt is repeated.
const RETRY: Duration = Duration::from_secs(1);
/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(4);
/// How often an attempt starts over because the lease changed under it.
const ROUNDS: usize = 3;

/// Which lease, and for whom.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// Namespace of the agent. It must be there.
    pub namespace: String,
    /// The hub's installation: agents of two hubs do not exclude each other.
    pub installation: InstallationId,
    /// Who asks.
    pub holder: Holder,
    /// UID of kube-system: nobody writes to a cluster that was not seen to be the one that the agent belongs to (M23).
    pub kube_system_uid: String,
    /// Whether this agent held the lease when it last ran: counts while the API server has not been reached.
    pub was_holder: bool,
}

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseState {
    /// This process.
    Held {
        /// Until then, if it is not renewed; renewals move it without waking anybody.
        until: MonoTime,
    },
    /// Another one.
    Lost {
        /// As the lease names it.
        holder: String,
    },
    /// It cannot be told, so nobody here writes.
    Unknown {
        /// Why.
        reason: String,
        /// Whether it was this agent that held it last.
        last_holder: bool,
    },
}

/// Holds, or waits for, the lease; a future to run.
#[derive(Debug)]
pub struct Lease {
    connection: Connection,
    clock: Clock,
    collection: String,
    name: String,
    contest: Contest,
    kube_system_uid: String,
    /// Whether the API server was seen to be that of the right cluster since it last could not be asked.
    verified: bool,
    /// The lease as this process last wrote it; absent when somebody may have changed it.
    held: Option<Record>,
    last_holder: bool,
    state: signal::Sender<LeaseState>,
}

// === impl LeaseState ===

impl LeaseState {
    /// Tells whether this process may write to the cluster at `now`; to be asked before each batch of writes.
    pub fn may_write(&self, now: &MonoTime) -> bool {
        match self {
            Self::Held { until } => until.since(now).is_some_and(|left| !left.is_zero()),
            Self::Lost { .. } | Self::Unknown { .. } => false,
        }
    }

    /// Tells whether this agent may dial the hub.
    pub fn may_dial(&self) -> bool {
        match self {
            Self::Held { .. } => true,
            Self::Lost { .. } => false,
            Self::Unknown { last_holder, .. } => *last_holder,
        }
    }
}

// === impl Lease ===

impl Lease {
    /// Makes one that holds nothing yet.
    pub fn new(
        connection: Connection,
        settings: LeaseSettings,
        clock: Clock,
    ) -> (Self, signal::Receiver<LeaseState>) {
        let reason = "the API server was not asked yet".to_owned();
        // Nobody dials before the first look: the hub would hear of an agent that only reads, and a moment later otherwise.
        let state = signal::Sender::new(LeaseState::Unknown { reason, last_holder: false });
        let receiver = state.subscribe();
        let installation: String = settings.installation.to_string().chars().take(8).collect();
        let namespace = path::segment(&settings.namespace);
        let lease = Self {
            connection,
            clock,
            collection: format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
            name: format!("argosy-agent-{installation}"),
            contest: Contest::new(settings.holder),
            kube_system_uid: settings.kube_system_uid,
            verified: false,
            held: None,
            last_holder: settings.was_holder,
            state,
        };
        (lease, receiver)
    }

    /// Holds or waits for the lease until the process is to stop, and then gives it back, so that the next one need not
    /// wait. An error says that it could not be given back: it then runs out by itself.
    ///
    /// # Cancel safety
    /// Not safe: the lease is not given back.
    pub async fn run(mut self, stopping: CancellationToken) -> Result<(), ApiError> {
        while let Some(outcome) = stopping.run_until_cancelled(self.attempt()).await {
            let pause = if outcome.is_ok() { INTERVAL } else { RETRY };
            self.settle(outcome);
            if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
        }
        self.release().await
    }

    /// Looks at the lease, and takes or renews it where it may.
    async fn attempt(&mut self) -> Result<LeaseState, ApiError> {
        if !self.verified {
            let found = self.connection.facts().await?.kube_system_uid;
            if found != self.kube_system_uid {
                let expected = &self.kube_system_uid;
                return Err(ApiError::Refused(format!(
                    "this is the cluster with kube-system {found}, and the agent belongs to {expected}"
                )));
            }
            self.verified = true;
        }
        for _round in 0..ROUNDS {
            let record = match self.held.take() {
                Some(record) => Some(record),
                None => self.look().await?,
            };
            // The time before the request: whoever waits for this lease to run out counts from a later one.
            let now = self.clock.mono();
            let next = match self.contest.judge(record.as_ref(), &now) {
                Move::Wait { holder } => return Ok(LeaseState::Lost { holder }),
                Move::Write => {
                    record.unwrap_or_default().held_by(self.contest.holder(), &self.name, DURATION)
                }
            };
            match self.write(&next).await {
                Ok(record) => {
                    self.contest.won();
                    self.held = Some(record);
                    return Ok(LeaseState::Held { until: now.plus(DURATION) });
                }
                // Somebody else was faster: look again.
                Err(failure) if failure.has_code(409) => {}
                Err(failure) => return Err(explain(&failure)),
            }
        }
        Err(ApiError::Conflict("the agents' lease changes faster than it can be taken".to_owned()))
    }

    async fn look(&self) -> Result<Option<Record>, ApiError> {
        let call = Call::get(format!("{}/{}", self.collection, self.name), WHOLE);
        match self.connection.inner.transport.call(call, DEADLINE).await.and_then(|reply| reply.json()) {
            Ok(object) => Ok(Some(Record::of(object))),
            Err(failure) if failure.is_absent() => Ok(None),
            Err(failure) => Err(explain(&failure)),
        }
    }

    async fn write(&self, record: &Record) -> Result<Record, Failure> {
        let (method, path) = if record.is_stored() {
            (Method::PUT, format!("{}/{}", self.collection, self.name))
        } else {
            (Method::POST, self.collection.clone())
        };
        let path = format!("{path}?fieldManager=argosy-agent&timeout={}s", DEADLINE.as_secs());
        let call = Call::with_body(method, path, WHOLE, (WHOLE, record.object()));
        let reply = self.connection.inner.transport.call(call, DEADLINE).await?;
        Ok(Record::of(reply.json()?))
    }

    /// Publishes what an attempt found. A failed one leaves a holder in place until its lease has run out.
    fn settle(&mut self, outcome: Result<LeaseState, ApiError>) {
        let next = match outcome {
            Ok(state) => {
                self.last_holder = matches!(state, LeaseState::Held { .. });
                state
            }
            Err(error) => {
                self.verified = false;
                let current = self.state.borrow().clone();
                if current.may_write(&self.clock.mono()) {
                    tracing::warn!(%error, "the lease could not be renewed");
                    return;
                }
                LeaseState::Unknown { reason: error.to_string(), last_holder: self.last_holder }
            }
        };
        self.state.send_if_modified(|state| {
            let told = match (&*state, &next) {
                (LeaseState::Held { .. }, LeaseState::Held { .. }) => false,
                (before, after) => before != after,
            };
            if told {
                tracing::info!(before = ?state, after = ?next, lease = self.name, "the cluster's writer changed");
            }
            *state = next;
            told
        });
    }

    async fn release(mut self) -> Result<(), ApiError> {
        let held = self.held.take();
        let reason = "the agent stops".to_owned();
        self.state.send_replace(LeaseState::Unknown { reason, last_holder: self.last_holder });
        let record = match held {
            Some(record) => Some(record),
            // An attempt may have been cut short after its write.
            None => match self.look().await {
                Ok(record) => record.filter(|record| record.is_of(self.contest.holder())),
                Err(error) if self.last_holder => return Err(error),
                Err(_nothing_was_held) => None,
            },
        };
        let Some(record) = record else { return Ok(()) };
        match self.write(&record.released()).await {
            Ok(_released) => Ok(()),
            // It is somebody else's by now.
            Err(failure) if failure.has_code(409) || failure.is_absent() => Ok(()),
            Err(failure) => Err(explain(&failure)),
        }
    }
}

/// Says what went wrong, and of a missing namespace what to do.
fn explain(failure: &Failure) -> ApiError {
    let error = failure.classify(Subject::default());
    if let ApiError::NamespaceMissing(why) = error {
        let why = format!("{why}: the agent's lease needs its namespace, which the agent does not make");
        return ApiError::NamespaceMissing(why);
    }
    error
}
