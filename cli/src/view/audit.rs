//! What ran on a cluster at a time.

use argosy_proto::v1;
use serde::Serialize;

use crate::output::{Table, field};
use crate::text;
use crate::view::event::Event;
use crate::view::revision_of;

/// The answer of `audit`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Audit {
    cluster: String,
    at: String,
    kept_since: Option<String>,
    whole_until: Option<String>,
    connected: bool,
    doubts: Vec<String>,
    paused: Option<Paused>,
    read_only: Option<String>,
    head: Option<Head>,
    applications: Vec<App>,
    before: Vec<Event>,
}

#[derive(Debug, Serialize)]
struct Head {
    epoch: String,
    generation: u64,
}

#[derive(Debug, Serialize)]
struct Paused {
    by: String,
    reason: Option<String>,
    since: String,
}

/// One app.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct App {
    #[serde(rename = "app")]
    name: String,
    phase: &'static str,
    desired: Option<Release>,
    assigned: Option<Release>,
    applied: Option<Release>,
    sync: &'static str,
    health: &'static str,
    operation: Option<Operation>,
    held_deletes: u64,
    held_plan: Option<String>,
    objects: u64,
    out_of_sync: u64,
    since: String,
    doubtful: bool,
}

#[derive(Debug, Serialize)]
struct Release {
    root: String,
    revision: Option<String>,
}

#[derive(Debug, Serialize)]
struct Operation {
    phase: &'static str,
    finished: bool,
    automated: bool,
    message: String,
    release: Option<Release>,
}

// === impl Audit ===

impl From<&v1::AuditResponse> for Audit {
    fn from(found: &v1::AuditResponse) -> Self {
        Self {
            cluster: found.cluster.clone(),
            at: text::time(found.at_unix_ms),
            kept_since: found.since_unix_ms.map(text::time),
            whole_until: found.until_unix_ms.map(text::time),
            connected: found.connected,
            doubts: found.doubts.clone(),
            paused: found.paused.as_ref().map(|paused| Paused {
                by: paused.by.clone(),
                reason: (!paused.reason.is_empty()).then(|| paused.reason.clone()),
                since: text::time(paused.since_unix_ms),
            }),
            read_only: (!found.read_only.is_empty()).then(|| found.read_only.clone()),
            head: found
                .head
                .as_ref()
                .map(|head| Head { epoch: head.epoch.clone(), generation: head.generation }),
            applications: found.apps.iter().map(Into::into).collect(),
            before: found.before.iter().map(Into::into).collect(),
        }
    }
}

// === impl App ===

impl From<&v1::AuditApp> for App {
    fn from(app: &v1::AuditApp) -> Self {
        let counts = app.counts.unwrap_or_default();
        Self {
            name: name_of(app),
            phase: app.phase().word(),
            desired: release(app.desired.as_ref()),
            assigned: release(app.assigned.as_ref()),
            applied: release(app.applied.as_ref()),
            sync: app.sync().word(),
            health: app.health().word(),
            operation: app.operation.as_ref().map(|operation| Operation {
                phase: operation.phase().word(),
                finished: operation.finished,
                automated: operation.automated,
                message: operation.message.clone(),
                release: release(operation.release.as_ref()),
            }),
            held_deletes: app.held,
            held_plan: argosy_core::ids::Digest::from_slice(&app.held_plan).map(|plan| plan.to_string()),
            objects: counts.total,
            out_of_sync: counts.out_of_sync,
            since: text::time(app.since_unix_ms),
            doubtful: app.doubtful,
        }
    }
}

fn name_of(app: &v1::AuditApp) -> String {
    format!("{}/{}", app.namespace, app.name)
}

fn release(release: Option<&v1::ReleaseRef>) -> Option<Release> {
    let release = release?;
    Some(Release {
        root: release.root()?.0.to_string(),
        revision: (!release.revision.is_empty()).then(|| release.revision.clone()),
    })
}

/// Gives it for people.
pub(crate) fn render(found: &v1::AuditResponse) -> String {
    let mut text = String::new();
    let time_or_none = |at: Option<i64>| at.map_or_else(|| "<none>".to_owned(), text::time);
    field(&mut text, "Cluster", &found.cluster);
    field(&mut text, "At", &text::time(found.at_unix_ms));
    field(&mut text, "Kept Since", &time_or_none(found.since_unix_ms));
    field(&mut text, "Whole Until", &time_or_none(found.until_unix_ms));
    if let Some(head) = &found.head {
        field(&mut text, "Head", &format!("{} of epoch {}", head.generation, head.epoch));
    }
    if let Some(paused) = &found.paused {
        let why = if paused.reason.is_empty() { String::new() } else { format!(": {}", paused.reason) };
        let since = text::time(paused.since_unix_ms);
        field(&mut text, "Paused", &format!("by {} since {since}{why}", paused.by));
    }
    if !found.read_only.is_empty() {
        field(&mut text, "Read-Only", &found.read_only);
    }
    for doubt in &found.doubts {
        field(&mut text, "Not Known", doubt);
    }
    let mut table = Table::new([
        "APP", "PHASE", "DESIRED", "ASSIGNED", "APPLIED", "STATUS", "HEALTH", "SYNC", "HELD", "SINCE",
    ]);
    for app in &found.apps {
        let revision = |release: Option<&v1::ReleaseRef>| match revision_of(release) {
            none if none.is_empty() => "-".to_owned(),
            revision => text::short(&revision),
        };
        let doubt = if app.doubtful { " (doubtful)" } else { "" };
        table.row([
            name_of(app),
            app.phase().word().to_owned(),
            revision(app.desired.as_ref()),
            revision(app.assigned.as_ref()),
            revision(app.applied.as_ref()),
            app.sync().word().to_owned(),
            app.health().word().to_owned(),
            app.operation.as_ref().map_or("-", |operation| operation.phase().word()).to_owned(),
            if app.held > 0 { app.held.to_string() } else { "-".to_owned() },
            format!("{}{doubt}", text::time(app.since_unix_ms)),
        ]);
    }
    if table.has_rows() {
        text.push('\n');
        text.push_str(&table.render());
    }
    let mut before = Table::new(["TIME", "APP", "REASON", "MESSAGE"]);
    for event in &found.before {
        before.row(crate::view::event::cells(event));
    }
    if before.has_rows() {
        text.push('\n');
        text.push_str(&before.render());
    }
    text
}
