//! Events.

use argosy_proto::v1;
use serde::Serialize;

use crate::text;

/// One event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    sequence: u64,
    at: String,
    age_seconds: u64,
    severity: &'static str,
    reason: String,
    message: String,
    cluster: Option<String>,
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    /// From the cluster's own journal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recorded: bool,
    /// The time is by the cluster's own clock.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    by_cluster_clock: bool,
}

// === impl Event ===

impl From<&v1::Event> for Event {
    fn from(event: &v1::Event) -> Self {
        Self {
            sequence: event.sequence,
            at: text::time(event.at_unix_ms),
            age_seconds: event.age_ms / 1000,
            severity: event.severity().word(),
            reason: event.reason.clone(),
            message: event.message.clone(),
            cluster: (!event.cluster.is_empty()).then(|| event.cluster.clone()),
            app: app_of(event),
            resource: resource_of(event),
            recorded: event.recorded,
            by_cluster_clock: event.by_cluster_clock,
        }
    }
}

fn app_of(event: &v1::Event) -> Option<String> {
    (!event.app_name.is_empty()).then(|| format!("{}/{}", event.app_namespace, event.app_name))
}

fn resource_of(event: &v1::Event) -> Option<String> {
    event.resource.as_ref().map(|key| argosy_core::key::ResourceKey::from(key).to_string())
}

/// Says what happened, with the object that it happened to.
fn message_of(event: &v1::Event) -> String {
    match resource_of(event) {
        Some(resource) => format!("{resource}: {}", event.message),
        None => event.message.clone(),
    }
}

/// Gives an event as cells of a table of one cluster: time, app, reason, message.
pub(crate) fn cells(event: &v1::Event) -> [String; 4] {
    let clock = if event.by_cluster_clock { " (cluster's clock)" } else { "" };
    [
        text::time(event.at_unix_ms) + clock,
        app_of(event).unwrap_or_default(),
        event.reason.clone(),
        message_of(event),
    ]
}

/// Gives the head of the lines of events.
pub(crate) fn head() -> String {
    line(["TIME", "AGE", "SEVERITY", "CLUSTER", "APP", "REASON", "MESSAGE"].map(str::to_owned))
}

/// Gives an event on one line.
pub(crate) fn row(event: &v1::Event) -> String {
    line([
        text::time(event.at_unix_ms),
        text::age(event.age_ms),
        event.severity().word().to_owned(),
        event.cluster.clone(),
        app_of(event).unwrap_or_default(),
        event.reason.clone(),
        message_of(event),
    ])
}

/// Pads cells to widths that most have: the events to come are not known yet.
fn line(cells: [String; 7]) -> String {
    let [time, age, severity, cluster, app, reason, message] = cells.map(|cell| text::clean(&cell));
    let line =
        format!("{time:<24}  {age:<5}  {severity:<8}  {cluster:<16}  {app:<32}  {reason:<20}  {message}");
    format!("{}\n", line.trim_end())
}
