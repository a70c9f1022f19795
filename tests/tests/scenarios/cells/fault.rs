//! What goes wrong between an agent and its API server, when, and how often.

use std::fmt;

use parking_lot::Mutex;
use tokio::sync::watch;

/// A fault of an API server, or of what is in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// 429 with `Retry-After`.
    TooManyRequests,
    /// 500.
    InternalError,
    /// 503.
    Unavailable,
    /// 504.
    GatewayTimeout,
    /// The request is carried out, and its answer breaks off in the middle.
    ResetMidBody,
    /// A list lacks half of its objects and looks complete.
    TruncatedList,
    /// A list is of the past.
    StaleList,
    /// 409.
    Conflict,
    /// 410 as an answer.
    Gone,
    /// 410 as an event of a watch that is open.
    GoneInWatch,
    /// Watches say nothing any more, and do not end.
    HungWatch,
    /// Events are lost.
    LostEvents,
    /// Events come twice.
    DuplicatedEvents,
    /// Events come in another order.
    ReorderedEvents,
    /// The paths of custom resources are not served.
    NotServed,
    /// A webhook denies.
    WebhookDenies,
    /// A webhook changes what is written.
    WebhookMutates,
    /// A webhook does not answer.
    WebhookTimesOut,
    /// 413.
    TooLarge,
    /// 422.
    Invalid,
}

/// How often it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// The first time.
    Once,
    /// Half of the times.
    Half,
    /// Every time.
    Always,
}

/// What a fault may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    /// Discovery.
    Discovery,
    Get,
    List,
    /// The beginning of a watch.
    Watch,
    /// One event of a watch.
    Event,
    /// A watch that is open when the fault begins.
    OpenWatch,
    Write,
    /// Anything about a custom resource; asked besides what it is otherwise.
    Custom,
}

/// Decides what is struck.
#[derive(Debug)]
pub(super) struct Injector {
    state: Mutex<State>,
    /// Counts beginnings and ends, for those that wait.
    turns: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    active: Option<(Fault, Form)>,
    fired: u64,
    drawn: u64,
}

// === impl Fault ===

impl Fault {
    pub(super) const ALL: [Self; 20] = [
        Self::TooManyRequests,
        Self::InternalError,
        Self::Unavailable,
        Self::GatewayTimeout,
        Self::ResetMidBody,
        Self::TruncatedList,
        Self::StaleList,
        Self::Conflict,
        Self::Gone,
        Self::GoneInWatch,
        Self::HungWatch,
        Self::LostEvents,
        Self::DuplicatedEvents,
        Self::ReorderedEvents,
        Self::NotServed,
        Self::WebhookDenies,
        Self::WebhookMutates,
        Self::WebhookTimesOut,
        Self::TooLarge,
        Self::Invalid,
    ];

    fn strikes(self, touch: Touch) -> bool {
        use Touch::{Custom, Discovery, Event, Get, List, OpenWatch, Watch, Write};

        match self {
            Self::TooManyRequests | Self::InternalError | Self::Unavailable | Self::GatewayTimeout => {
                matches!(touch, Discovery | Get | List | Watch | Write)
            }
            Self::ResetMidBody => matches!(touch, Discovery | Get | List | OpenWatch | Write),
            Self::TruncatedList | Self::StaleList => touch == List,
            Self::Conflict
            | Self::WebhookDenies
            | Self::WebhookMutates
            | Self::WebhookTimesOut
            | Self::TooLarge
            | Self::Invalid => touch == Write,
            Self::Gone => matches!(touch, List | Watch),
            Self::GoneInWatch => touch == OpenWatch,
            Self::HungWatch => matches!(touch, OpenWatch | Watch),
            Self::LostEvents | Self::DuplicatedEvents | Self::ReorderedEvents => touch == Event,
            Self::NotServed => touch == Custom,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TooManyRequests => "429 with Retry-After",
            Self::InternalError => "500",
            Self::Unavailable => "503",
            Self::GatewayTimeout => "504",
            Self::ResetMidBody => "reset mid-body",
            Self::TruncatedList => "truncated list",
            Self::StaleList => "stale list",
            Self::Conflict => "409",
            Self::Gone => "410",
            Self::GoneInWatch => "410 in a watch",
            Self::HungWatch => "hung watch",
            Self::LostEvents => "lost events",
            Self::DuplicatedEvents => "duplicated events",
            Self::ReorderedEvents => "reordered events",
            Self::NotServed => "404 of custom kinds",
            Self::WebhookDenies => "webhook denies",
            Self::WebhookMutates => "webhook mutates",
            Self::WebhookTimesOut => "webhook times out",
            Self::TooLarge => "413",
            Self::Invalid => "422",
        })
    }
}

// === impl Form ===

impl Form {
    pub(super) const ALL: [Self; 3] = [Self::Once, Self::Half, Self::Always];
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Once => "once",
            Self::Half => "50 %",
            Self::Always => "100 %",
        })
    }
}

// === impl Injector ===

impl Injector {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), turns: watch::Sender::new(0) }
    }

    pub(super) fn begin(&self, fault: Fault, form: Form) {
        *self.state.lock() = State { active: Some((fault, form)), ..State::default() };
        self.turns.send_modify(|turns| *turns += 1);
    }

    /// Ends the fault; tells how often it struck.
    pub(super) fn end(&self) -> u64 {
        let mut state = self.state.lock();
        state.active = None;
        self.turns.send_modify(|turns| *turns += 1);
        state.fired
    }

    /// Tells whether watches have to begin anew for the fault to find anything.
    pub(super) fn wants_lists(&self) -> bool {
        let active = self.state.lock().active.map(|(fault, _)| fault);
        matches!(active, Some(Fault::TruncatedList | Fault::StaleList | Fault::Gone))
    }

    /// Waits for the next beginning or end.
    pub(super) fn turns(&self) -> watch::Receiver<u64> {
        self.turns.subscribe()
    }

    /// Tells whether the fault strikes, and notes that it does.
    pub(super) fn strike(&self, touch: Touch) -> Option<Fault> {
        let mut state = self.state.lock();
        let (fault, form) = state.active.filter(|(fault, _)| fault.strikes(touch))?;
        state.drawn += 1;
        let strikes = match form {
            Form::Once => state.fired == 0,
            // Half of the numbers have an odd count of bits, in an order that repeats no rhythm of retries.
            Form::Half => state.drawn.count_ones() % 2 == 1,
            Form::Always => true,
        };
        if strikes {
            state.fired += 1;
        }
        strikes.then_some(fault)
    }
}
