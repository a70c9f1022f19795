//! What happened, as lines: hashed all, kept the last, printed when asked; or none of it, where nobody reads them.

use std::collections::VecDeque;
use std::io::Write as _;

/// How many lines a failing run shows.
const TAIL: usize = 60;

/// What becomes of a run's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tracing {
    /// They are not made.
    Off,
    /// They are hashed, and the last ones kept.
    Kept,
    /// They are printed as well.
    Echoed,
}

/// The trace of a run.
pub(super) struct Trace {
    hasher: blake3::Hasher,
    tail: VecDeque<String>,
    tracing: Tracing,
}

impl Trace {
    pub(super) fn new(tracing: Tracing) -> Self {
        Self { hasher: blake3::Hasher::new(), tail: VecDeque::new(), tracing }
    }

    /// Tells whether lines are made.
    pub(super) fn is_on(&self) -> bool {
        self.tracing != Tracing::Off
    }

    /// Adds a line.
    pub(super) fn note(&mut self, now: u64, line: &str) {
        let line = format!("{now:>8} {line}");
        self.hasher.update(line.as_bytes());
        self.hasher.update(b"\n");
        if self.tracing == Tracing::Echoed {
            // Nobody is left to be told when standard output is closed.
            let _unheard = writeln!(std::io::stdout(), "{line}");
        }
        if self.tail.len() >= TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    /// Gives the hash over all lines and the last of them.
    pub(super) fn finish(self) -> (String, Vec<String>) {
        (self.hasher.finalize().to_hex().to_string(), self.tail.into())
    }
}
