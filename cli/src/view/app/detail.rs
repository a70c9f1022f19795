//! One application for people.

use argosy_proto::v1;

use crate::output::{Table, field};
use crate::text;
use crate::view::app::{Document, plan_of};
use crate::view::{age_of, command, list, name_of, revision_of, rows};

/// Gives one application for people.
pub(crate) fn detail(view: &v1::AppView) -> String {
    let mut text = head(view);
    let Some(status) = &view.status else { return text };
    let results = status.operation.as_ref().map(|operation| operation.results.as_slice()).unwrap_or_default();
    let rows = rows::rows(&status.resources, results, status.counts);
    let (told, total) = (rows::told(&rows), status.counts.map_or(0, |counts| counts.total));
    let table = rows::table(rows);
    if !table.is_empty() {
        text.push('\n');
        text.push_str(&table);
    }
    if told < total {
        let name = text::clean(&format!("{}/{}", view.namespace, view.name));
        text.extend([format!(
            "\n{told} of {total} objects are told of here; argosy app resources {name} asks the agent for all.\n"
        )]);
    }
    text
}

/// Gives one application for people, without its objects.
pub(crate) fn head(view: &v1::AppView) -> String {
    let document = Document::of(view);
    let status = view.status.as_ref();
    let mut text = String::new();
    field(&mut text, "Name", &format!("{}/{}", view.namespace, view.name));
    field(&mut text, "Project", &view.project);
    field(&mut text, "Cluster", &view.cluster);
    let server = document.text("/destination/server");
    if !server.is_empty() {
        field(&mut text, "Server", &server);
    }
    field(&mut text, "Namespace", &document.text("/destination/namespace"));
    text.push_str("Source:\n");
    for (key, pointer) in
        [("- Repo", "/source/repoURL"), ("  Target", "/source/targetRevision"), ("  Path", "/source/path")]
    {
        field(&mut text, key, &document.text(pointer));
    }
    if !view.sync_window.is_empty() {
        field(&mut text, "SyncWindow", &view.sync_window);
    }
    if let Some((first, more)) = view.windows.split_first() {
        field(&mut text, "Assigned Windows", first);
        text.extend(more.iter().map(|window| format!("{:<20}{}\n", "", text::clean(window))));
    }
    field(
        &mut text,
        "Sync Policy",
        match list::sync_policy(&document) {
            "Auto" => "Automated",
            "Auto-Prune" => "Automated (Prune)",
            manual => manual,
        },
    );
    if view.phase() != v1::AppPhase::Active {
        field(&mut text, "Phase", view.phase().word());
    }
    if !view.waiting.is_empty() {
        field(&mut text, "Waiting", &view.waiting);
    }
    field(&mut text, "Sync Status", &sync_sentence(&document, status));
    if let (Some(desired), Some(status)) = (&view.desired, status)
        && status.assigned.as_ref().is_none_or(|assigned| assigned.root != desired.root)
        // The cluster has it and keeps an older one in its place.
        && !status.conditions.iter().any(|condition| condition.r#type == "RolledBackWarning")
    {
        let desired = text::short(&revision_of(Some(desired)));
        field(&mut text, "On Its Way", &format!("{desired}, which the cluster does not have yet"));
    }
    let health = status.map_or(v1::Health::Unspecified, v1::AppStatus::health).word();
    let cause = status.map(|status| status.health_message.as_str()).filter(|cause| !cause.is_empty());
    let health = cause.map_or_else(|| health.to_owned(), |cause| format!("{health} ({cause})"));
    field(&mut text, "Health Status", &health);
    field(&mut text, "Observed", &age_of(view.observed.as_ref()));
    if let Some(operation) = status.and_then(|status| status.operation.as_ref()) {
        text.push('\n');
        let stated = view.observed.as_ref().map(|observed| observed.stated_unix_ms);
        text.push_str(&command::operation(operation, stated));
    }
    text.push_str(&conditions(view));
    if let Some(held) = status.and_then(|status| status.held.as_ref()) {
        text.push('\n');
        text.push_str(&deletes(held));
    }
    text
}

/// Says how an app compares: with which target of its document, and which commit that is, unless the target says so itself.
fn sync_sentence(document: &Document, status: Option<&v1::AppStatus>) -> String {
    let sync = status.map_or(v1::SyncStatus::Unspecified, v1::AppStatus::sync);
    let revision = revision_of(status.and_then(|status| status.assigned.as_ref()));
    let commit = text::short(&revision);
    // Of an app that has no document any more only the commit is known.
    let target = match (document.spec("/source"), document.text("/source/targetRevision")) {
        (None, _) => commit.clone(),
        (Some(_), target) if target.is_empty() => "HEAD".to_owned(),
        (Some(_), target) => target,
    };
    let sentence = match sync {
        _ if revision.is_empty() => return sync.word().to_owned(),
        v1::SyncStatus::Synced => format!("Synced to {target}"),
        v1::SyncStatus::OutOfSync => format!("OutOfSync from {target}"),
        v1::SyncStatus::Unknown | v1::SyncStatus::Unspecified => return format!("Unknown ({commit})"),
    };
    let is_named = target.len() >= commit.len() && revision.starts_with(&target.to_ascii_lowercase());
    if is_named { sentence } else { format!("{sentence} ({commit})") }
}

fn conditions(view: &v1::AppView) -> String {
    let agent = view.status.iter().flat_map(|status| &status.conditions);
    let mut table = Table::new(["CONDITION", "MESSAGE", "LAST TRANSITION"]);
    for condition in view.conditions.iter().chain(agent) {
        let since = condition.since_unix_ms.map(text::time).unwrap_or_default();
        table.row([condition.r#type.clone(), condition.message.clone(), since]);
    }
    if table.has_rows() { format!("\n{}", table.render()) } else { String::new() }
}

/// Gives an object's health, and what is to be said of it.
pub(crate) fn health_and_message(row: &v1::ResourceRow) -> [String; 2] {
    let health = row.health().known().map_or("", argosy_core::health::Health::as_str).to_owned();
    let message = if row.message.is_empty() { &row.health_message } else { &row.message };
    [health, message.clone()]
}

/// Gives the table of resources.
pub(crate) fn resources(rows: &[v1::ResourceRow]) -> String {
    let mut table =
        Table::new(["GROUP", "KIND", "NAMESPACE", "NAME", "STATUS", "HEALTH", "PRUNE", "MESSAGE"]);
    for row in rows {
        let key = row.key.clone().unwrap_or_default();
        let [health, message] = health_and_message(row);
        table.row([
            key.group.clone(),
            key.kind.clone(),
            key.namespace.clone(),
            name_of(&key),
            row.status().word().to_owned(),
            health,
            if row.requires_pruning { "yes" } else { "" }.to_owned(),
            message,
        ]);
    }
    table.render()
}

/// Gives the deletes that are held, and what frees them.
pub(crate) fn deletes(held: &v1::Held) -> String {
    let mut text = String::new();
    field(&mut text, "Deletes Held", &held.reason);
    field(&mut text, "Plan", &plan_of(held));
    let mut table = Table::new(["GROUP", "KIND", "NAMESPACE", "NAME", "UID"]);
    for delete in &held.deletes {
        let key = delete.key.clone().unwrap_or_default();
        let name = name_of(&key);
        table.row([key.group, key.kind, key.namespace, name, delete.uid.clone()]);
    }
    text.push_str(&table.render());
    if held.more > 0 {
        field(&mut text, "More", &format!("{} deletes that are not listed", held.more));
    }
    text
}
