//! Bytes on the link, by lane.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};
use serde_json::{Value, json};

/// Which lane of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Lane {
    /// Frames that are sent at once.
    Urgent,
    /// Chunks against credit.
    Bulk,
}

/// Labels of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    lane: Lane,
}

/// Counters of the link; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkCounters {
    received: Family<Labels, Counter>,
    sent: Counter,
    sessions: Counter,
}

impl LinkCounters {
    /// Registers them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register_with_unit(
            "argosy_agent_link_received",
            "Encoded frames from the hub, by lane",
            Unit::Bytes,
            this.received.clone(),
        );
        registry.register_with_unit(
            "argosy_agent_link_sent",
            "Encoded frames to the hub",
            Unit::Bytes,
            this.sent.clone(),
        );
        registry.register(
            "argosy_agent_link_sessions",
            "Streams to the hub that stood",
            this.sessions.clone(),
        );
        this
    }

    /// Counts a received frame.
    pub(crate) fn received(&self, lane: Lane, bytes: usize) {
        self.received.get_or_create(&Labels { lane }).inc_by(bytes as u64);
    }

    /// Counts a sent frame.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    /// Counts a stream.
    pub(crate) fn session(&self) {
        self.sessions.inc();
    }

    /// Gives the counts as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let lane = |lane| self.received.get_or_create(&Labels { lane }).get();
        json!({
            "receivedUrgentBytes": lane(Lane::Urgent),
            "receivedBulkBytes": lane(Lane::Bulk),
            "sentBytes": self.sent.get(),
            "sessions": self.sessions.get(),
        })
    }
}
