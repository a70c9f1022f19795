//! What the admin endpoint shows of a running agent.

use argosy_core::ids::Generation;
use serde_json::{Value, json};

/// State of the agent, as of its last round.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// The hub has taken it in.
    pub(crate) connected: bool,
    /// Why it only reads, if it does.
    pub(crate) read_only: Option<String>,
    /// Somebody at the edge stopped all writes.
    pub(crate) paused: bool,
    /// Number of the head that it holds.
    pub(crate) generation: Option<Generation>,
    /// Apps that it reports.
    pub(crate) apps: usize,
    /// Objects that it manages.
    pub(crate) objects: usize,
    /// Whether all that it manages is watched.
    pub(crate) observing: bool,
}

impl View {
    /// Gives it as JSON.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "connected": self.connected,
            "readOnly": self.read_only,
            "paused": self.paused,
            "generation": self.generation.map(|generation| generation.0),
            "apps": self.apps,
            "objects": self.objects,
            "observing": self.observing,
        })
    }
}
