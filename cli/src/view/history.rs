//! The releases that an application was synced to, as Argo CD shows them.

use argosy_proto::v1;
use serde::Serialize;
use serde_json::{Value, json};

use crate::output::Table;
use crate::text;
use crate::view::app::Document;
use crate::view::revision_of;

/// A release that an application was synced to (Argo CD: `status.history`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deployment {
    id: u64,
    revision: String,
    deployed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deploy_started_at: Option<String>,
    initiated_by: Value,
    /// The release, which a commit renders to.
    release: String,
    /// The application was Synced and Healthy with it.
    healthy: bool,
    /// The times are by the cluster's own clock: its machine was restarted since.
    by_cluster_clock: bool,
}

// === impl Deployment ===

impl From<&v1::HistoryRow> for Deployment {
    fn from(row: &v1::HistoryRow) -> Self {
        let root = row.release.as_ref().and_then(v1::ReleaseRef::root);
        Self {
            id: row.id,
            revision: row.release.as_ref().map(|release| release.revision.clone()).unwrap_or_default(),
            deployed_at: text::time(row.finished_unix_ms),
            deploy_started_at: row.started_unix_ms.map(text::time),
            initiated_by: if row.automated { json!({"automated": true}) } else { json!({}) },
            release: root.map(|root| root.0.to_string()).unwrap_or_default(),
            healthy: row.healthy,
            by_cluster_clock: row.by_cluster_clock,
        }
    }
}

/// Gives a history for people, oldest first.
pub(crate) fn table(view: &v1::AppView, rows: &[v1::HistoryRow]) -> String {
    let document = Document::of(view);
    let target = document.text("/source/targetRevision");
    let mut table = Table::new(["ID", "DATE", "REVISION", "HEALTHY"]);
    for row in rows {
        let revision = text::short(&revision_of(row.release.as_ref()));
        let clock = if row.by_cluster_clock { " (the cluster's clock)" } else { "" };
        table.row([
            row.id.to_string(),
            format!("{}{clock}", text::date(row.finished_unix_ms)),
            if target.is_empty() { revision } else { format!("{target} ({revision})") },
            if row.healthy { "yes" } else { "" }.to_owned(),
        ]);
    }
    format!("SOURCE  {}\n{}", text::clean(&document.text("/source/repoURL")), table.render())
}

/// Gives one id a line.
pub(crate) fn ids(rows: &[v1::HistoryRow]) -> String {
    rows.iter().map(|row| row.id.to_string() + "\n").collect()
}
