//! One application with its objects below it.

use argosy_proto::v1;

use crate::output::Table;
use crate::view::app::{self, Document};
use crate::view::{command, name_of};

/// Gives an application and its objects as a tree.
pub(crate) fn tree(
    view: &v1::AppView,
    rows: &[v1::ResourceRow],
    observed: Option<&v1::Observation>,
    complete: bool,
) -> String {
    let namespace = Document::of(view).text("/destination/namespace");
    let mut text = app::head(view);
    text.push('\n');
    let mut table = Table::new(["KIND/NAME", "STATUS", "HEALTH", "MESSAGE"]);
    let status = view.status.as_ref();
    table.row([
        format!("Application/{}", view.name),
        status.map_or(v1::SyncStatus::Unspecified, v1::AppStatus::sync).word().to_owned(),
        status.map_or(v1::Health::Unspecified, v1::AppStatus::health).word().to_owned(),
        status.map(|status| status.health_message.clone()).unwrap_or_default(),
    ]);
    for (index, row) in rows.iter().enumerate() {
        let branch = if index + 1 == rows.len() { "└─" } else { "├─" };
        let key = row.key.clone().unwrap_or_default();
        let name = if key.namespace.is_empty() || key.namespace == namespace {
            format!("{branch}{}/{}", key.kind, name_of(&key))
        } else {
            format!("{branch}{}/{}/{}", key.kind, key.namespace, name_of(&key))
        };
        let [health, message] = app::health_and_message(row);
        table.row([name, row.status().word().to_owned(), health, message]);
    }
    text.push_str(&table.render());
    let failures =
        status.and_then(|status| status.operation.as_ref()).map(command::failures).unwrap_or_default();
    if !failures.is_empty() {
        text.push('\n');
        text.push_str(&failures);
    }
    text.push_str("\nShown is what the application states; what controllers make of it is not watched.\n");
    text.push_str(&command::observed(observed, complete));
    text
}
