//! Readiness as handles: each part that must come up holds one and drops it when it has.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// What a process still waits for before it is ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    awaited: Arc<Mutex<BTreeMap<u64, String>>>,
}

/// One thing that is awaited; dropped when it is there.
#[derive(Debug)]
#[must_use = "dropped at once, nothing is awaited"]
pub struct ReadinessHandle {
    id: u64,
    readiness: Readiness,
}

// === impl Readiness ===

impl Readiness {
    /// Makes one that awaits nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds something to await, until the handle is dropped.
    pub fn await_for(&self, name: impl Into<String>) -> ReadinessHandle {
        let mut awaited = self.awaited.lock();
        let id = awaited.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        awaited.insert(id, name.into());
        ReadinessHandle { id, readiness: self.clone() }
    }

    /// Gives the names of what is still awaited, in the order they were added.
    pub fn awaited(&self) -> Vec<String> {
        self.awaited.lock().values().cloned().collect()
    }

    /// Tells whether nothing is awaited any more.
    pub fn is_ready(&self) -> bool {
        self.awaited.lock().is_empty()
    }
}

// === impl ReadinessHandle ===

impl Drop for ReadinessHandle {
    fn drop(&mut self) {
        self.readiness.awaited.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_handle_is_dropped() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let store = readiness.await_for("store");
        let fleet = readiness.await_for("fleet");
        assert_eq!(readiness.awaited(), ["store", "fleet"]);
        drop(store);
        assert_eq!(readiness.awaited(), ["fleet"]);
        drop(fleet);
        assert!(readiness.is_ready());
    }
}
