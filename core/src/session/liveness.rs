//! Signs of life: any frame is one.

use crate::session::{ALIVE_AFTER, SILENT_AFTER};
use crate::time::{Now, millis};

/// When each direction of a session last carried a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Liveness {
    heard: u64,
    sent: u64,
}

impl Liveness {
    /// Begins with both directions alive.
    pub(crate) fn new(now: Now) -> Self {
        Self { heard: now.ms(), sent: now.ms() }
    }

    /// Notes a frame of the other end.
    pub(crate) fn heard(&mut self, now: Now) {
        self.heard = now.ms();
    }

    /// Notes a frame of this end.
    pub(crate) fn sent(&mut self, now: Now) {
        self.sent = now.ms();
    }

    /// Tells whether the other end has been silent for so long that the link is dead.
    pub(crate) fn is_dead(&self, now: Now) -> bool {
        now.ms() >= self.dead_at()
    }

    /// Tells whether this end owes a sign of life.
    pub(crate) fn is_due(&self, now: Now) -> bool {
        now.ms() >= self.due_at()
    }

    /// Gives the next point, in elapsed milliseconds, at which one of them becomes true.
    pub(crate) fn next(&self) -> u64 {
        self.dead_at().min(self.due_at())
    }

    /// Gives the point from which the other end counts as dead.
    pub(crate) fn dead_at(&self) -> u64 {
        self.heard.saturating_add(millis(SILENT_AFTER))
    }

    fn due_at(&self) -> u64 {
        self.sent.saturating_add(millis(ALIVE_AFTER))
    }
}
