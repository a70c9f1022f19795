//! How a command goes.

use argosy_core::ids::CommandId;
use argosy_core::order::SyncPhase;
use argosy_core::status::OperationPhase;
use argosy_proto::v1;
use serde::Serialize;

use crate::output::{Table, field};
use crate::text;
use crate::view::app::Resource;
use crate::view::{Observed, age_of, name_of, revision_of};

/// The answer of `app resources`.
#[derive(Debug, Serialize)]
pub(crate) struct ResourceList {
    namespace: String,
    name: String,
    observed: Option<Observed>,
    complete: bool,
    #[serde(rename = "resources")]
    rows: Vec<Resource>,
}

// === impl ResourceList ===

impl ResourceList {
    /// Puts the rows of an application together.
    pub(crate) fn of(
        namespace: &str,
        name: &str,
        rows: &[v1::ResourceRow],
        observed: Option<&v1::Observation>,
        complete: bool,
    ) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            observed: observed.map(Into::into),
            complete,
            rows: rows.iter().map(Into::into).collect(),
        }
    }
}

/// Gives the table of an application's resources with its age.
pub(crate) fn resources(
    rows: &[v1::ResourceRow],
    observed: Option<&v1::Observation>,
    complete: bool,
) -> String {
    format!("{}\n{}", super::app::resources(rows), self::observed(observed, complete))
}

/// Says how old an application's resources are, and whether they are all.
pub(crate) fn observed(observed: Option<&v1::Observation>, complete: bool) -> String {
    let mut text = format!("Observed: {}\n", age_of(observed));
    if !complete {
        text.push_str("The cluster is away: only resources that were not synced and healthy are known.\n");
    }
    text
}

/// Gives the head of the rows that a sync streams.
pub(crate) fn sync_head() -> String {
    stream_line(["GROUP", "KIND", "NAMESPACE", "NAME", "STATUS", "HOOK", "MESSAGE"].map(str::to_owned))
}

/// Gives one row that a sync streams.
pub(crate) fn sync_row(row: &v1::ResultRow) -> String {
    let key = row.key.clone().unwrap_or_default();
    // A hook's own phase says more than that it was made (Argo CD: `app sync`).
    let status = row.hook_phase().known().map_or_else(|| row.code().word(), OperationPhase::as_str);
    stream_line([
        key.group.clone(),
        key.kind.clone(),
        key.namespace.clone(),
        name_of(&key),
        status.to_owned(),
        row.hook().known().map(SyncPhase::as_str).unwrap_or_default().to_owned(),
        row.message.clone(),
    ])
}

/// Pads cells to widths that most have: the rows to come are not known yet.
fn stream_line(cells: [String; 7]) -> String {
    let [group, kind, namespace, name, status, hook, message] = cells.map(|cell| text::clean(&cell));
    let line =
        format!("{group:<26}  {kind:<24}  {namespace:<20}  {name:<32}  {status:<12}  {hook:<8}  {message}");
    format!("{}\n", line.trim_end())
}

/// Gives an operation for people.
pub(crate) fn operation(operation: &v1::Operation) -> String {
    let mut text = String::new();
    let by = if operation.automated { "Sync (automated)" } else { "Sync" };
    field(&mut text, "Operation", by);
    field(&mut text, "Sync Revision", &revision_of(operation.release.as_ref()));
    field(&mut text, "Phase", operation.phase().word());
    if let (Some(started), Some(finished)) = (operation.started_before_ms, operation.finished_before_ms) {
        field(&mut text, "Duration", &text::age(started.saturating_sub(finished)));
    }
    if operation.retries > 0 {
        field(&mut text, "Retries", &operation.retries.to_string());
    }
    if !operation.message.is_empty() {
        field(&mut text, "Message", &operation.message);
    }
    let failures = operation.results.iter().filter(|row| row.code() == v1::ResultCode::SyncFailed);
    let mut table = Table::new(["GROUP", "KIND", "NAMESPACE", "NAME", "STATUS", "MESSAGE"]);
    for row in failures {
        let key = row.key.clone().unwrap_or_default();
        table.row([
            key.group.clone(),
            key.kind.clone(),
            key.namespace.clone(),
            name_of(&key),
            row.code().word().to_owned(),
            row.message.clone(),
        ]);
    }
    if table.has_rows() {
        text.push('\n');
        text.push_str(&table.render());
    }
    text
}

/// Says how a command ended.
pub(crate) fn end(progress: &v1::CommandProgress) -> String {
    let word = progress.state().word();
    let id = CommandId::from_slice(&progress.id).map(|id| id.short()).unwrap_or_default();
    if progress.message.is_empty() {
        format!("command {id}: {word}")
    } else {
        format!("command {id}: {word}: {}", progress.message)
    }
}
