//! How a command goes.

use argosy_core::ids::CommandId;
use argosy_proto::v1;
use serde::Serialize;

use crate::output::field;
use crate::text;
use crate::view::app::Resource;
use crate::view::rows::{self, Row};
use crate::view::{Observed, age_of, revision_of};

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
    stream_line(
        "TIMESTAMP",
        ["GROUP", "KIND", "NAMESPACE", "NAME", "STATUS", "HEALTH", "HOOK", "MESSAGE"].map(str::to_owned),
    )
}

/// Gives one row that a sync streams; its time is when the agent stated it, by the hub's clock.
pub(crate) fn sync_row(row: &v1::ResultRow, stated_unix_ms: Option<i64>) -> String {
    let stamp = stated_unix_ms.map(text::stamp).unwrap_or_default();
    stream_line(&stamp, Row::of_result(row, None).cells())
}

/// Pads cells to widths that most have: the rows to come are not known yet.
fn stream_line(stamp: &str, cells: [String; 8]) -> String {
    let [group, kind, namespace, name, status, health, hook, message] = cells.map(|cell| text::clean(&cell));
    let object = format!("{group:<26}  {kind:<24}  {namespace:<20}  {name:<32}");
    let line = format!("{stamp:<25}  {object}  {status:<12}  {health:<11}  {hook:<8}  {message}");
    format!("{}\n", line.trim_end())
}

/// Gives an operation for people; its times count back from when its agent stated it.
pub(crate) fn operation(operation: &v1::Operation, stated_unix_ms: Option<i64>) -> String {
    let mut text = String::new();
    let by = if operation.automated { "Sync (automated)" } else { "Sync" };
    field(&mut text, "Operation", by);
    field(&mut text, "Sync Revision", &revision_of(operation.release.as_ref()));
    field(&mut text, "Phase", operation.phase().word());
    let ended = operation.finished_before_ms.filter(|_| operation.finished);
    for (key, before) in [("Start", operation.started_before_ms), ("Finished", ended)] {
        let before = before.and_then(|before| i64::try_from(before).ok());
        if let (Some(stated), Some(before)) = (stated_unix_ms, before) {
            field(&mut text, key, &text::date(stated.saturating_sub(before)));
        }
    }
    let until = if operation.finished { ended } else { Some(0) };
    if let (Some(started), Some(until)) = (operation.started_before_ms, until) {
        field(&mut text, "Duration", &text::age(started.saturating_sub(until)));
    }
    if operation.retries > 0 {
        field(&mut text, "Retries", &operation.retries.to_string());
    }
    if !operation.message.is_empty() {
        field(&mut text, "Message", &operation.message);
    }
    text
}

/// Gives what a sync could not apply; empty where there is nothing.
pub(crate) fn failures(operation: &v1::Operation) -> String {
    let failures = operation.results.iter().filter(|row| row.code() == v1::ResultCode::SyncFailed);
    rows::table(failures.map(|row| Row::of_result(row, None)).collect())
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
