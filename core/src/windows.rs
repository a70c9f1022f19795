//! Sync windows: the times at which a project lets its applications sync (Argo CD: `spec.syncWindows`).
//!
//! A window keeps changes back, never a heal. Which times it covers follows Argo CD to the letter: the present offset of
//! its zone counts for its beginning, too, so that a window that is open while clocks change ends an hour earlier or
//! later on the wall. Where the time, or the zone, is not known, every window counts as closed: one that allows is not
//! open, one that denies is.

mod span;
#[cfg(test)]
mod tests;
mod zone;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::cron::Schedule;
use crate::time::WallTime;

pub use self::span::{Span, SpanError};
pub use self::zone::{ZoneError, ZoneName};

/// So many changes of windows are looked at to tell until when syncs are blocked.
const STEPS: usize = 64;

/// What a window does to the syncs that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum WindowKind {
    /// They wait for it.
    #[n(0)]
    Allow,
    /// They wait until it is over.
    #[n(1)]
    Deny,
}

impl WindowKind {
    /// Gives Argo CD's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// When a window is open, and what it lets through: all that an agent needs of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct SyncWindow {
    /// What it does.
    #[n(0)]
    pub kind: WindowKind,
    /// When it begins.
    #[n(1)]
    pub schedule: Schedule,
    /// How long it lasts.
    #[n(2)]
    pub duration: Span,
    /// The zone of its schedule.
    #[n(3)]
    pub zone: ZoneName,
    /// Lets syncs that somebody asked for through (`manualSync`).
    #[n(4)]
    pub manual: bool,
    /// Lets a sync that began in time go on (`syncOverrun`).
    #[n(5)]
    pub overrun: bool,
    /// Globs of the names of applications.
    #[n(6)]
    pub applications: Vec<String>,
    /// Globs of their namespaces.
    #[n(7)]
    pub namespaces: Vec<String>,
    /// Globs of their clusters: the name or the URL, whichever the application's document says.
    #[n(8)]
    pub clusters: Vec<String>,
    /// All of the lists that are given have to match, instead of any (`andOperator`).
    #[n(9)]
    pub all: bool,
    /// What it is for.
    #[n(10)]
    pub description: String,
}

impl SyncWindow {
    /// Gives it as Argo CD's tables do: `deny:0 22 * * *:1h`.
    pub fn summary(&self) -> String {
        format!("{}:{}:{}", self.kind.as_str(), self.schedule.text(), self.duration.text())
    }
}

impl std::fmt::Display for SyncWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {:?} for {} ({})",
            self.kind.as_str(),
            self.schedule.text(),
            self.duration.text(),
            self.zone.as_str()
        )
    }
}

/// Who wants a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nobody: it is automated.
    ByPolicy,
    /// An operator.
    ByOperator,
}

/// Whether a sync may go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Passage {
    /// It may.
    #[default]
    Open,
    /// These windows are in its way.
    Blocked(Vec<String>),
}

impl Passage {
    /// Tells whether a sync may go on.
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }
}

/// How things stand for an application, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outlook {
    /// For automated syncs.
    pub automated: Passage,
    /// For syncs that somebody asks for.
    pub manual: Passage,
    /// When that changes, as far as it can be told.
    pub until: Option<WallTime>,
    /// When to look again at the latest.
    pub next: Option<WallTime>,
}

/// The windows of one application: each set of them has to let a sync through.
#[derive(Debug, Clone, Default)]
pub struct Windows(Vec<Set>);

/// Windows that are judged together.
#[derive(Debug, Clone)]
struct Set {
    windows: Vec<Timed>,
    /// Whose they are, for messages.
    whose: &'static str,
}

/// A window and its zone; absent where this program does not know it.
#[derive(Debug, Clone)]
struct Timed {
    window: SyncWindow,
    zone: Option<TimeZone>,
}

// === impl Timed ===

impl Timed {
    /// Gives the time on the wall, in milliseconds, and the difference to that everywhere else.
    fn local(&self, at: WallTime) -> Option<(i64, i64)> {
        let time = Timestamp::from_millisecond(at.0).ok()?;
        let offset = i64::from(self.zone.as_ref()?.to_offset(time).seconds()).saturating_mul(1_000);
        Some((at.0.saturating_add(offset), offset))
    }

    /// Tells whether it is active; absent where that is not known. Argo CD: it began within its duration, before now.
    fn is_active(&self, at: Option<WallTime>) -> Option<bool> {
        let (local, _) = self.local(at?)?;
        let since = local.saturating_sub(self.window.duration.millis());
        Some(self.window.schedule.last_between(since, local).is_some())
    }

    /// Gives the first time at which that may change.
    fn next_change(&self, at: WallTime) -> Option<WallTime> {
        let (local, offset) = self.local(at)?;
        let duration = self.window.duration.millis();
        let began = self.window.schedule.last_between(local.saturating_sub(duration), local);
        let change = match began {
            Some(began) => Some(began.saturating_add(duration)),
            // One that begins now is active a moment later.
            None => {
                self.window.schedule.next_after(local.saturating_sub(1)).map(|next| next.saturating_add(1))
            }
        };
        let change = change.map(|change| change.saturating_sub(offset));
        let clocks = Timestamp::from_millisecond(at.0).ok().and_then(|time| {
            let moved = self.zone.as_ref()?.following(time).next()?;
            Some(moved.timestamp().as_millisecond())
        });
        change.into_iter().chain(clocks).filter(|change| *change > at.0).min().map(WallTime)
    }
}

// === impl Set ===

impl Set {
    /// Names the windows that are in the way of a sync; none if it may go on.
    fn closed(&self, at: Option<WallTime>, asked: Asked, began: Option<WallTime>) -> Vec<String> {
        let active = |timed: &Timed| timed.is_active(at);
        let of = |kind: WindowKind| self.windows.iter().filter(move |timed| timed.window.kind == kind);
        let denies: Vec<&Timed> = of(WindowKind::Deny).filter(|timed| active(timed) != Some(false)).collect();
        let allows: Vec<&Timed> = if of(WindowKind::Allow).any(|timed| active(timed) == Some(true)) {
            Vec::new()
        } else {
            of(WindowKind::Allow).collect()
        };
        let closed = if denies.is_empty() { &allows } else { &denies };
        let let_through = asked == Asked::ByOperator && closed.iter().all(|timed| timed.window.manual);
        let overruns = || {
            let of_all = denies.iter().chain(&allows).all(|timed| timed.window.overrun);
            of_all && began.is_some_and(|began| self.closed(Some(began), asked, None).is_empty())
        };
        if let_through || overruns() {
            return Vec::new();
        }
        closed.iter().map(|timed| format!("{}{}", timed.window, self.whose)).collect()
    }
}

// === impl Windows ===

impl Windows {
    /// Takes the windows that match an application.
    pub fn of(windows: &[SyncWindow]) -> Self {
        Self::default().and(windows, "")
    }

    /// Adds windows of somebody else, named in messages: what either keep back waits.
    #[must_use]
    pub fn and(mut self, windows: &[SyncWindow], whose: &'static str) -> Self {
        let timed = |window: &SyncWindow| Timed { window: window.clone(), zone: window.zone.find() };
        if !windows.is_empty() {
            self.0.push(Set { windows: windows.iter().map(timed).collect(), whose });
        }
        self
    }

    /// Tells whether a sync may begin at a time or, where it says when it began, go on. Absent: the time is not known.
    pub fn passage(&self, at: Option<WallTime>, asked: Asked, began: Option<WallTime>) -> Passage {
        let closed: Vec<String> = self.0.iter().flat_map(|set| set.closed(at, asked, began)).collect();
        if closed.is_empty() { Passage::Open } else { Passage::Blocked(closed) }
    }

    /// Says whether syncs may begin at a time, in Argo CD's words.
    pub fn words(&self, at: WallTime) -> &'static str {
        let is_open = |asked: Asked| self.passage(Some(at), asked, None).is_open();
        match (is_open(Asked::ByPolicy), is_open(Asked::ByOperator)) {
            (true, _) => "Sync Allowed",
            (false, true) => "Manual Allowed",
            (false, false) => "Sync Denied",
        }
    }

    /// Gives how things stand at a time, and when that changes.
    pub fn outlook(&self, at: Option<WallTime>) -> Outlook {
        let look = |at: Option<WallTime>| {
            (self.passage(at, Asked::ByPolicy, None), self.passage(at, Asked::ByOperator, None))
        };
        let (automated, manual) = look(at);
        let next = at.and_then(|at| self.next_change(at));
        let mut until = next;
        for _step in 0..STEPS {
            let (then_automated, then_manual) = look(until);
            if until.is_none()
                || then_automated.is_open() != automated.is_open()
                || then_manual.is_open() != manual.is_open()
            {
                return Outlook { automated, manual, until, next };
            }
            until = until.and_then(|until| self.next_change(until));
        }
        Outlook { automated, manual, until: None, next }
    }

    fn next_change(&self, at: WallTime) -> Option<WallTime> {
        let all = self.0.iter().flat_map(|set| &set.windows);
        all.filter_map(|timed| timed.next_change(at)).min()
    }
}

/// Says a time for people, in UTC.
pub fn moment(at: WallTime) -> String {
    Timestamp::from_second(at.0.div_euclid(1_000))
        .map_or_else(|_beyond| at.0.to_string(), |time| time.to_string())
}
