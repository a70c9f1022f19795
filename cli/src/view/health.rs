//! Verdicts on objects.

use argosy_core::health::Verdict;
use argosy_core::key::ResourceKey;
use argosy_proto::v1;
use serde::Serialize;

use crate::output::Table;

/// An object and what is said of its health.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    group: String,
    kind: String,
    namespace: String,
    name: String,
    /// Argo CD's word; empty where nobody has an opinion.
    status: &'static str,
    message: String,
}

// === impl Row ===

impl Row {
    /// Makes one.
    pub(crate) fn new(key: &ResourceKey, verdict: Option<Verdict>) -> Self {
        let v1::ResourceKey { group, kind, namespace, name, .. } = key.into();
        let status = verdict.as_ref().map_or("", |verdict| verdict.health.as_str());
        let message = verdict.map(|verdict| verdict.message).unwrap_or_default();
        Self { group, kind, namespace, name, status, message }
    }
}

/// Gives the table of verdicts.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = Table::new(["GROUP", "KIND", "NAMESPACE", "NAME", "HEALTH", "MESSAGE"]);
    for row in rows {
        table.row([
            row.group.clone(),
            row.kind.clone(),
            row.namespace.clone(),
            row.name.clone(),
            row.status.to_owned(),
            row.message.clone(),
        ]);
    }
    table.render()
}
