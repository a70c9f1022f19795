//! The fleet as a whole: its source and what is wrong with it.

use argosy_proto::v1;
use serde::Serialize;

use crate::output::Table;
use crate::text;
use crate::view::Condition;

/// The fleet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fleet {
    source: String,
    /// Absent when it was not read since the hub started.
    last_read: Option<String>,
    conditions: Vec<Condition>,
}

// === impl Fleet ===

impl From<&v1::FleetView> for Fleet {
    fn from(view: &v1::FleetView) -> Self {
        Self {
            source: view.source.clone(),
            last_read: view.last_read_unix_ms.map(text::time),
            conditions: view.conditions.iter().map(Into::into).collect(),
        }
    }
}

/// Gives the fleet for people: a line, and what is wrong with it.
pub(crate) fn lines(view: &v1::FleetView) -> String {
    let read = match view.last_read_age_ms {
        Some(age) => format!("read {} ago", text::age(age)),
        None => "not read since the hub started".to_owned(),
    };
    let mut lines = text::clean(&format!("Fleet {}, {read}", view.source));
    lines.push('\n');
    let mut table = Table::new(["CONDITION", "SINCE", "MESSAGE"]);
    for condition in &view.conditions {
        table.row([
            condition.r#type.clone(),
            condition.since_unix_ms.map(text::time).unwrap_or_default(),
            condition.message.clone(),
        ]);
    }
    if table.has_rows() {
        lines.push_str(&table.render());
    }
    lines
}
