//! What happened at the hub, for operators: the newest thousand, in memory.

use std::collections::VecDeque;

use crate::ids::AppId;
use crate::time::Now;

/// How many events are kept.
const KEPT: usize = 1000;

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Unusual but working.
    Warning,
    /// A person must act.
    Error,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number in this life of the hub, from 1.
    pub sequence: u64,
    /// When.
    pub at: Now,
    /// How much it matters.
    pub severity: Severity,
    /// What happened, as a word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Name of the cluster that it is about.
    pub cluster: Option<String>,
    /// The app that it is about.
    pub app: Option<AppId>,
}

/// The newest events.
#[derive(Debug, Default)]
pub(super) struct Events {
    last: u64,
    kept: VecDeque<Event>,
}

// === impl Events ===

impl Events {
    pub(super) fn push(
        &mut self,
        severity: Severity,
        reason: &'static str,
        message: String,
        cluster: Option<String>,
        app: Option<AppId>,
        at: Now,
    ) -> Event {
        self.last += 1;
        let event = Event { sequence: self.last, at, severity, reason, message, cluster, app };
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        event
    }

    pub(super) fn after(&self, sequence: u64) -> impl Iterator<Item = &Event> {
        self.kept.iter().filter(move |event| event.sequence > sequence)
    }
}
