//! What a running agent tells of itself at the edge, with no hub: statements with their ages.

use std::fmt::Write as _;

use argosy_core::agent::AgentMachine;
use argosy_core::ids::AppId;
use argosy_core::local::PolicySummary;
use argosy_core::pause::PauseOrder;
use argosy_core::status::AppStatus;
use argosy_core::time::Now;
use serde::{Deserialize, Serialize};

use crate::engine::About;

/// Everything of an agent that somebody at its edge may want to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The cluster's name in the hub's registry.
    pub cluster: String,
    /// Its UUID.
    pub uuid: String,
    /// The agent's version.
    pub version: String,
    /// The link to the hub.
    pub link: LinkReport,
    /// The head that it holds; absent before the first.
    pub head: Option<HeadReport>,
    /// The pause that is in force.
    pub paused: Option<PausedReport>,
    /// Why it writes nothing, if it does not.
    pub read_only: Option<String>,
    /// Its local policy.
    #[serde(default)]
    pub policy: Option<PolicyReport>,
    /// Whether all that it manages is watched, so that what it says of it holds now.
    pub observing: bool,
    /// Objects that it manages.
    pub objects: usize,
    /// Writes whose answers it awaits.
    pub writes_under_way: usize,
    /// Its flight recorder.
    pub journal: JournalReport,
    /// Its apps, by name.
    pub apps: Vec<AppReport>,
}

/// What it refuses, whatever the hub says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    /// BLAKE3 of the file.
    pub digest: String,
    /// What is in it.
    pub summary: String,
}

/// The flight recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalReport {
    /// Its name.
    pub id: String,
    /// Number of the oldest row that is kept.
    pub first: u64,
    /// Number of the newest row.
    pub last: u64,
    /// Bytes of all rows.
    pub bytes: u64,
    /// Number of the newest row that the hub has; absent while it is away, or keeps no journals.
    pub uploaded: Option<u64>,
}

/// The link to the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkReport {
    /// Whether the hub has taken the agent in.
    pub connected: bool,
    /// For how long that has been so, or since the agent started.
    pub for_seconds: u64,
    /// Where the hub listens.
    pub hub: Vec<String>,
}

/// The newest verified head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadReport {
    /// Its chain.
    pub epoch: String,
    /// Its number.
    pub generation: u64,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PausedReport {
    /// Who paused it.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
    /// Since when, by this machine's clock.
    pub since: String,
    /// How long ago; absent when the machine was restarted since.
    pub age_seconds: Option<u64>,
}

/// One app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppReport {
    /// Namespace and name.
    pub app: String,
    /// What the agent does with it.
    pub phase: String,
    /// Compared with the assigned release.
    pub sync: String,
    /// Rolled up.
    pub health: String,
    /// How long ago this is known to have held; absent when it was not seen since the machine started.
    pub age_seconds: Option<u64>,
    /// Release of the newest list.
    pub listed: Option<String>,
    /// Newest release that is complete here.
    pub assigned: Option<String>,
    /// Release of the last sync that succeeded.
    pub synced: Option<String>,
    /// How its newest sync stands.
    pub operation: Option<OperationReport>,
    /// Deletes that wait for a confirmation.
    pub held: Option<HeldReport>,
    /// Conditions, as type and message.
    pub conditions: Vec<(String, String)>,
}

/// A sync.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationReport {
    /// How it stands.
    pub phase: String,
    /// For people.
    pub message: String,
}

/// Deletes that are held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldReport {
    /// What a confirmation names.
    pub plan: String,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: String,
}

/// Since when the link is as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkSince {
    connected: bool,
    since: Now,
}

// === impl LinkSince ===

impl LinkSince {
    /// Begins with no link.
    pub(crate) fn new(now: Now) -> Self {
        Self { connected: false, since: now }
    }

    /// Takes how the link is now.
    pub(crate) fn look(&mut self, connected: bool, now: Now) {
        if self.connected != connected {
            *self = Self { connected, since: now };
        }
    }
}

// === impl Report ===

impl Report {
    pub(crate) fn of(machine: &AgentMachine, about: &About, link: &LinkSince, now: Now) -> Self {
        let reconciler = machine.reconciler();
        // What is watched holds now; what is not is as old as the last time that all of it was.
        let observed = if reconciler.is_observing() { Some(now.mono) } else { machine.link().observed_at() };
        let age = |status: &AppStatus| {
            let stated = now.mono.since(&status.observed);
            let seen = observed.and_then(|observed| now.mono.since(&observed));
            stated.into_iter().chain(seen).min().map(|age| age.as_secs())
        };
        let apps = reconciler.statuses().iter().map(|(app, status)| AppReport::of(app, status, age(status)));
        Self {
            cluster: about.cluster_name.clone(),
            uuid: about.cluster.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            link: LinkReport {
                connected: link.connected,
                for_seconds: now.mono.since(&link.since.mono).unwrap_or_default().as_secs(),
                hub: about.hub.clone(),
            },
            head: machine.link().held().map(|held| HeadReport {
                epoch: held.head.epoch.to_string(),
                generation: held.head.generation.0,
            }),
            paused: machine.paused().map(|order| PausedReport::of(order, now)),
            read_only: machine.read_only(),
            policy: reconciler.policy().map(|policy| PolicyReport::of(policy.summary())),
            observing: reconciler.is_observing(),
            objects: reconciler.inventory().len(),
            writes_under_way: reconciler.writes_under_way(),
            journal: JournalReport::of(machine.recorder().state()),
            apps: apps.collect(),
        }
    }

    /// Gives it for people.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut field = |key: &str, value: String| {
            let _infallible: std::fmt::Result = writeln!(text, "{:<14}{value}", format!("{key}:"));
        };
        field("Cluster", format!("{} ({})", self.cluster, self.uuid));
        field("Version", self.version.clone());
        let (state, held) = (if self.link.connected { "connected" } else { "away" }, self.link.for_seconds);
        field("Link", format!("{state} for {} to {}", age(held), self.link.hub.join(", ")));
        let head = self.head.as_ref();
        field(
            "Head",
            head.map_or("none".to_owned(), |head| format!("{} of {}", head.generation, head.epoch)),
        );
        if let Some(paused) = &self.paused {
            field("Paused", paused.render());
        } else if let Some(reason) = &self.read_only {
            field("Read-only", reason.clone());
        }
        if let Some(PolicyReport { digest, summary }) = &self.policy {
            let digest: String = digest.chars().take(12).collect();
            field("Local policy", format!("{summary} (digest {digest})"));
        }
        let objects = if self.observing { "all watched" } else { "not all watched" };
        field("Objects", format!("{} managed, {objects}", self.objects));
        field("Journal", self.journal.render());
        if self.writes_under_way > 0 {
            field("Under way", format!("{} writes", self.writes_under_way));
        }
        text.push('\n');
        text.push_str(&table(&self.app_rows()));
        for app in &self.apps {
            if let Some(held) = &app.held {
                let HeldReport { plan, count, reason } = held;
                let line = format!(
                    "\n{}: {count} deletes are held: {reason}\n  argosy-agent confirm {0} --plan {plan}\n",
                    app.app
                );
                text.push_str(&line);
            }
        }
        text
    }

    fn app_rows(&self) -> Vec<[String; 7]> {
        let head = ["APP", "PHASE", "STATUS", "HEALTH", "RELEASE", "SYNCED", "AGE"].map(str::to_owned);
        let short = |root: &Option<String>| {
            root.as_ref().map_or_else(|| "-".to_owned(), |root| root.chars().take(12).collect())
        };
        let rows = self.apps.iter().map(|app| {
            [
                app.app.clone(),
                app.phase.clone(),
                app.sync.clone(),
                app.health.clone(),
                short(&app.assigned),
                short(&app.synced),
                app.age_seconds.map_or_else(|| "unknown".to_owned(), age),
            ]
        });
        std::iter::once(head).chain(rows).collect()
    }
}

// === impl PolicyReport ===

impl PolicyReport {
    fn of(summary: PolicySummary) -> Self {
        Self { digest: summary.digest.to_string(), summary: summary.text }
    }
}

// === impl JournalReport ===

impl JournalReport {
    fn of(state: argosy_core::journal::JournalState) -> Self {
        let argosy_core::journal::JournalState { journal, first, last, bytes, uploaded } = state;
        Self { id: journal.to_string(), first, last, bytes, uploaded }
    }

    fn render(&self) -> String {
        let there =
            self.uploaded.map_or("not at the hub".to_owned(), |up_to| format!("at the hub up to {up_to}"));
        format!("rows {} to {}, {} KiB, {there}", self.first, self.last, self.bytes.div_ceil(1024))
    }
}

// === impl PausedReport ===

impl PausedReport {
    fn of(order: &PauseOrder, now: Now) -> Self {
        let since = jiff::Timestamp::from_millisecond(order.at.0);
        Self {
            by: order.by.clone(),
            reason: order.reason.clone(),
            since: since.map_or_else(|_out_of_range| "unknown".to_owned(), |since| since.to_string()),
            age_seconds: order.age(now).map(|age| age.as_secs()),
        }
    }

    fn render(&self) -> String {
        let ago = self.age_seconds.map(|seconds| format!(" ({} ago)", age(seconds))).unwrap_or_default();
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("by {} since {}{ago}{why}", self.by, self.since)
    }
}

// === impl AppReport ===

impl AppReport {
    fn of(app: &AppId, status: &AppStatus, age_seconds: Option<u64>) -> Self {
        let root = |root: Option<argosy_core::release::Root>| root.map(|root| root.0.to_string());
        let conditions = status.conditions.iter();
        Self {
            app: app.to_string(),
            phase: format!("{:?}", status.phase),
            sync: status.sync.as_str().to_owned(),
            health: status.health.as_str().to_owned(),
            age_seconds,
            listed: root(status.listed),
            assigned: root(status.assigned),
            synced: root(status.synced),
            operation: status.operation.as_ref().map(|operation| OperationReport {
                phase: operation.phase.as_str().to_owned(),
                message: operation.message.clone(),
            }),
            held: status.held.as_ref().map(|held| HeldReport {
                plan: held.plan.to_string(),
                count: held.count(),
                reason: held.reason.clone(),
            }),
            conditions: conditions
                .map(|condition| (condition.kind.clone(), condition.message.clone()))
                .collect(),
        }
    }
}

/// Gives an age as people read it.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Pads cells to the widest of their column.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let widest = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
            let pad = widest.unwrap_or_default().saturating_sub(cell.chars().count()).saturating_add(2);
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', pad));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
