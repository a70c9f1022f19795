//! The hub's events in the log: state changes that an operator would ask about.

use argosy_core::hub::{Event, Severity};
use tracing::{error, info, warn};

/// Logs an event.
pub(super) fn event(event: &Event) {
    let cluster = event.cluster.as_deref().unwrap_or_default();
    let app = event.app.as_ref().map(ToString::to_string).unwrap_or_default();
    let Event { reason, message, .. } = event;
    match event.severity {
        Severity::Info => info!(cluster, app, reason, "{message}"),
        Severity::Warning => warn!(cluster, app, reason, "{message}"),
        Severity::Error => error!(cluster, app, reason, "{message}"),
    }
}
