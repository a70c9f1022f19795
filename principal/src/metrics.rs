//! Metrics of the hub.

use std::time::Duration;

use argosy_runtime::metrics::Metrics as Registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Unit;

/// The hub's own metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    rounds: Counter,
    round_duration: Histogram,
    store_ops: Counter,
    sessions: Gauge,
    /// Fetches of repositories that went well.
    pub(crate) fetches: Counter,
    /// Fetches that failed.
    pub(crate) fetch_failures: Counter,
    /// Sources that were rendered.
    pub(crate) renders: Counter,
    /// Sources whose rendering was known already.
    pub(crate) render_hits: Counter,
    /// Handshakes that failed.
    pub(crate) handshake_failures: Counter,
}

// === impl Metrics ===

impl Metrics {
    /// Registers them.
    pub(crate) fn register(registry: &Registry) -> Self {
        let metrics = Self {
            rounds: Counter::default(),
            round_duration: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
            store_ops: Counter::default(),
            sessions: Gauge::default(),
            fetches: Counter::default(),
            fetch_failures: Counter::default(),
            renders: Counter::default(),
            render_hits: Counter::default(),
            handshake_failures: Counter::default(),
        };
        registry.register(|registry| {
            let registry = registry.sub_registry_with_prefix("argosy_principal");
            let mut counter = |name: &str, help: &str, counter: &Counter| {
                registry.register(name, help, counter.clone());
            };
            counter("engine_rounds", "Rounds of decisions", &metrics.rounds);
            counter("store_operations", "Rows written or removed", &metrics.store_ops);
            counter("git_fetches", "Fetches that went well", &metrics.fetches);
            counter("git_fetch_failures", "Fetches that failed", &metrics.fetch_failures);
            counter("render_runs", "Sources rendered", &metrics.renders);
            counter("render_cache_hits", "Sources known already", &metrics.render_hits);
            counter("tls_handshake_failures", "Handshakes that failed", &metrics.handshake_failures);
            registry.register("link_sessions", "Streams of agents", metrics.sessions.clone());
            registry.register_with_unit(
                "engine_round_duration",
                "Duration of a round, its transaction included",
                Unit::Seconds,
                metrics.round_duration.clone(),
            );
        });
        metrics
    }

    /// Notes a round of the engine.
    pub(crate) fn round(&self, took: Option<Duration>, ops: usize, sessions: usize) {
        self.rounds.inc();
        self.store_ops.inc_by(ops as u64);
        self.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
        if let Some(took) = took {
            self.round_duration.observe(took.as_secs_f64());
        }
    }
}
