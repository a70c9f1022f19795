//! What is to happen, by time: the clock skips to the next of it.

use std::collections::BTreeMap;

use argosy_core::cluster::{Answer, ApiError, Request, RequestId, WatchEvent};
use argosy_core::key::{GroupKind, ResourceKey};
use argosy_core::session::frame::{AgentFrame, HubFrame};

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
    Frame(AgentFrame),
    Closed,
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
    Api { agent: usize, life: u64, id: RequestId, request: Request, answered: bool, fails: Option<ApiError> },
    Answer { agent: usize, life: u64, id: RequestId, answer: Result<Answer, ApiError> },
    List { agent: usize, life: u64, kind: GroupKind, number: u64 },
    Watch { agent: usize, life: u64, kind: GroupKind, number: u64, event: WatchEvent },
    Grow { cluster: usize, key: ResourceKey, uid: String },
    Finalize { cluster: usize, key: ResourceKey, uid: String },
    Expire { cluster: usize, key: ResourceKey, uid: String },
    BreakWatches { agent: usize },
    Commit,
    Operator,
    Foreign { cluster: usize },
    Fault(Fault),
}

/// The queue of what is to happen.
#[derive(Default)]
pub(super) struct Schedule {
    events: BTreeMap<(u64, u64), Event>,
    next: u64,
}

impl Schedule {
    pub(super) fn at(&mut self, time: u64, event: Event) {
        self.events.insert((time, self.next), event);
        self.next += 1;
    }

    /// Gives what happens next, if that is not after `until`.
    pub(super) fn pop(&mut self, until: u64) -> Option<(u64, Event)> {
        let (time, _) = *self.events.keys().next()?;
        if time > until {
            return None;
        }
        self.events.pop_first().map(|((time, _), event)| (time, event))
    }
}
