//! What is to happen, by time: the clock skips to the next of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_core::cluster::{Answer, ApiError, Request, RequestId, WatchEvent, Watched};
use argosy_core::session::frame::{AgentFrame, HubFrame};

use super::cluster::Later;
use super::courier::File;
use super::faults::Fault;

/// What a stream carries towards an agent.
#[derive(Debug, Clone)]
pub(super) enum ToAgent {
    Open,
    Refused,
    Frame(HubFrame),
    Closed,
}

/// What a stream carries towards the hub.
#[derive(Debug, Clone)]
pub(super) enum ToHub {
    Frame(Box<AgentFrame>),
    Closed,
}

/// What becomes of a request on its way.
#[derive(Debug, Clone)]
pub(super) struct Passage {
    /// The bytes of what is applied, as they were on the agent's disk.
    pub(super) manifest: Option<Vec<u8>>,
    /// Whether its answer arrives.
    pub(super) answered: bool,
    /// Why it is not carried out.
    pub(super) fails: Option<ApiError>,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(super) enum Event {
    AgentStart { agent: usize },
    AgentTick { agent: usize, life: u64 },
    Writer { agent: usize, life: u64 },
    Discover { agent: usize, life: u64, again: bool },
    TwinEnds { agent: usize },
    HubStart,
    HubTick { life: u64 },
    HubPoll { life: u64 },
    Dialled { agent: usize, life: u64, stream: u64 },
    ToAgent { stream: u64, what: ToAgent },
    ToHub { stream: u64, what: ToHub },
    Api { agent: usize, life: u64, id: RequestId, request: Request, what: Passage },
    Answer { agent: usize, life: u64, id: RequestId, answer: Result<Answer, ApiError> },
    List { agent: usize, life: u64, watched: Watched, number: u64 },
    Watch { agent: usize, life: u64, watched: Watched, number: u64, event: WatchEvent },
    ControlPlane { cluster: usize },
    Later { cluster: usize, what: Later },
    BreakWatches { agent: usize },
    Commit,
    Operator,
    Resume { agent: usize },
    File { agent: usize, file: Arc<File> },
    Foreign { cluster: usize },
    Fault(Fault),
}

/// The queue of what is to happen.
#[derive(Default)]
pub(super) struct Schedule {
    /// What is there is moved about: the events themselves are not.
    events: BTreeMap<(u64, u64), Box<Event>>,
    next: u64,
}

impl Schedule {
    pub(super) fn at(&mut self, time: u64, event: Event) {
        self.events.insert((time, self.next), Box::new(event));
        self.next += 1;
    }

    /// Gives what happens next, if that is not after `until`.
    pub(super) fn pop(&mut self, until: u64) -> Option<(u64, Event)> {
        let (time, _) = *self.events.keys().next()?;
        if time > until {
            return None;
        }
        self.events.pop_first().map(|((time, _), event)| (time, *event))
    }
}
