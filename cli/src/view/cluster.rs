//! Clusters.

use std::collections::BTreeMap;

use argosy_proto::v1;
use serde::Serialize;

use crate::output::{Table, field};
use crate::text;
use crate::view::fleet::{self, Fleet};
use crate::view::list::AppSummary;
use crate::view::{Condition, age_of, revision_of};

/// So much of a digest is shown to people.
const DIGEST: usize = 12;

/// The answer of `status`.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    clusters: Vec<Cluster>,
    /// Apps whose cluster is not registered.
    waiting: Vec<AppSummary>,
    /// Absent when the hub does not tell.
    fleet: Option<Fleet>,
}

/// One cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cluster {
    name: String,
    uuid: String,
    labels: BTreeMap<String, String>,
    membership: &'static str,
    connected: bool,
    last_seen: Option<String>,
    last_seen_age_seconds: Option<u64>,
    head: Option<Head>,
    stored_generation: Option<u64>,
    lag: Lag,
    apps: AppCounts,
    agent_version: String,
    kubernetes_version: String,
    certificate_not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    chain: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<Paused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    join_expires: Option<String>,
    conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applications: Option<Vec<AppSummary>>,
}

/// Somebody at the edge stopped all writes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Paused {
    by: String,
    reason: Option<String>,
    since: String,
    age_seconds: u64,
    last_known: bool,
}

/// What a cluster's agent refuses, whatever the hub says.
#[derive(Debug, Serialize)]
struct Policy {
    digest: String,
    summary: String,
}

#[derive(Debug, Serialize)]
struct Head {
    epoch: String,
    generation: u64,
}

/// What the hub desires and the cluster has not stored.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lag {
    behind: bool,
    generations: u64,
    age_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AppCounts {
    total: u64,
    synced: u64,
    out_of_sync: u64,
    healthy: u64,
    progressing: u64,
    degraded: u64,
    unknown: u64,
    held: u64,
}

/// The answer of `cluster add`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Added {
    name: String,
    uuid: String,
    join: String,
    command: String,
    expires_at: String,
}

/// The answer of `cluster revoke`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revoked {
    name: String,
    uuid: String,
    was_connected: bool,
}

// === impl Status ===

impl Status {
    /// Puts clusters, the apps on them and their fleet together.
    pub(crate) fn of(answer: &v1::ListClustersResponse, apps: &[v1::AppView]) -> Self {
        let clusters = &answer.clusters;
        let here = clusters.iter().map(|view| {
            let here = apps.iter().filter(|app| app.cluster == view.name);
            Cluster { applications: Some(here.map(AppSummary::from).collect()), ..Cluster::from(view) }
        });
        let nowhere = apps.iter().filter(|app| !clusters.iter().any(|view| view.name == app.cluster));
        let waiting = nowhere.map(AppSummary::from).collect();
        Self { clusters: here.collect(), waiting, fleet: answer.fleet.as_ref().map(Into::into) }
    }
}

// === impl Cluster ===

impl From<&v1::ClusterView> for Cluster {
    fn from(view: &v1::ClusterView) -> Self {
        let counts = view.apps.unwrap_or_default();
        Self {
            name: view.name.clone(),
            uuid: view.uuid.clone(),
            labels: view.labels.clone(),
            membership: view.membership().word(),
            connected: view.connected,
            last_seen: view.last_seen_unix_ms.map(text::time),
            last_seen_age_seconds: view.last_seen_age_ms.map(|age| age / 1000),
            head: view
                .head
                .as_ref()
                .map(|head| Head { epoch: head.epoch.clone(), generation: head.generation }),
            stored_generation: view.stored_generation,
            lag: Lag {
                behind: view.behind,
                generations: generations_behind(view),
                age_seconds: view.behind_for_ms.map(|age| age / 1000),
            },
            apps: AppCounts {
                total: counts.total,
                synced: counts.synced,
                out_of_sync: counts.out_of_sync,
                healthy: counts.healthy,
                progressing: counts.progressing,
                degraded: counts.degraded,
                unknown: counts.unknown,
                held: counts.held,
            },
            agent_version: view.agent_version.clone(),
            kubernetes_version: view.kubernetes_version.clone(),
            certificate_not_after: view.certificate_not_after_unix_ms.map(text::time),
            policy: view
                .policy
                .as_ref()
                .map(|policy| Policy { digest: policy.digest.clone(), summary: policy.summary.clone() }),
            chain: view.chain().word(),
            read_only: (!view.read_only.is_empty()).then(|| view.read_only.clone()),
            paused: view.paused.as_ref().map(Into::into),
            join_expires: view.join_expires_unix_ms.map(text::time),
            conditions: view.conditions.iter().map(Into::into).collect(),
            applications: None,
        }
    }
}

impl From<&v1::PauseView> for Paused {
    fn from(view: &v1::PauseView) -> Self {
        Self {
            by: view.by.clone(),
            reason: (!view.reason.is_empty()).then(|| view.reason.clone()),
            since: text::time(view.since_unix_ms),
            age_seconds: view.age_ms / 1000,
            last_known: view.last_known,
        }
    }
}

fn generations_behind(view: &v1::ClusterView) -> u64 {
    let made = view.head.as_ref().map_or(0, |head| head.generation);
    made.saturating_sub(view.stored_generation.unwrap_or(0))
}

/// Says in a word how a cluster is.
fn state(view: &v1::ClusterView) -> String {
    if view.membership() == v1::Membership::Pending {
        return "Pending".to_owned();
    }
    let mut words = vec![if view.connected { "Connected" } else { "Away" }];
    match view.chain() {
        v1::ChainState::Unspecified | v1::ChainState::Known => {}
        v1::ChainState::Unknown => words.push("UnknownChain"),
        v1::ChainState::Held => words.push("DeletesHeld"),
        v1::ChainState::Cloned => words.push("Cloned"),
    }
    if !view.read_only.is_empty() {
        words.push("ReadOnly");
    }
    if view.paused.is_some() {
        words.push("Paused");
    }
    words.join(",")
}

fn last_seen(view: &v1::ClusterView) -> String {
    match view.last_seen_age_ms.map(text::age) {
        None => "never".to_owned(),
        Some(age) if view.connected => age,
        Some(age) => format!("{age} (last known)"),
    }
}

fn lag(view: &v1::ClusterView) -> String {
    if view.behind {
        let age = view.behind_for_ms.map_or_else(|| "yes".to_owned(), text::age);
        match generations_behind(view) {
            0 => age,
            generations => format!("{age} ({generations})"),
        }
    } else {
        "-".to_owned()
    }
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// Gives the table of clusters.
pub(crate) fn table(clusters: &[v1::ClusterView]) -> String {
    let mut table = Table::new([
        "NAME",
        "STATE",
        "LAST SEEN",
        "HEAD",
        "STORED",
        "LAG",
        "APPS",
        "SYNCED",
        "OUTOFSYNC",
        "HEALTHY",
        "PROGRESSING",
        "DEGRADED",
        "UNKNOWN",
        "HELD",
        "AGENT",
        "KUBERNETES",
    ]);
    for view in clusters {
        let apps = view.apps.unwrap_or_default();
        table.row([
            view.name.clone(),
            state(view),
            last_seen(view),
            number(view.head.as_ref().map(|head| head.generation)),
            number(view.stored_generation),
            lag(view),
            apps.total.to_string(),
            apps.synced.to_string(),
            apps.out_of_sync.to_string(),
            apps.healthy.to_string(),
            apps.progressing.to_string(),
            apps.degraded.to_string(),
            apps.unknown.to_string(),
            apps.held.to_string(),
            view.agent_version.clone(),
            view.kubernetes_version.clone(),
        ]);
    }
    table.render()
}

/// Gives the tables of `status`: clusters, what an operator should know of them, the apps on them, and the fleet.
pub(crate) fn status(answer: &v1::ListClustersResponse, apps: &[v1::AppView]) -> String {
    let clusters = &answer.clusters;
    let mut text = table(clusters);
    let mut known = Table::new(["CLUSTER", "CONDITION", "MESSAGE"]);
    for view in clusters {
        for (condition, message) in concerns(view) {
            known.row([view.name.clone(), condition, message]);
        }
    }
    if known.has_rows() {
        text.push('\n');
        text.push_str(&known.render());
    }
    let mut table = Table::new(["CLUSTER", "APP", "STATUS", "HEALTH", "REVISION", "SYNCED", "HELD", "AGE"]);
    for view in apps {
        let summary = AppSummary::from(view);
        let status = view.status.as_ref();
        table.row([
            view.cluster.clone(),
            summary.qualified_name(),
            summary.sync.to_owned(),
            summary.health.to_owned(),
            text::short(&revision_of(status.and_then(|status| status.assigned.as_ref()))),
            text::short(&revision_of(status.and_then(|status| status.synced.as_ref()))),
            if summary.held { "yes" } else { "-" }.to_owned(),
            age_of(view.observed.as_ref()),
        ]);
    }
    if table.has_rows() {
        text.push('\n');
        text.push_str(&table.render());
    }
    if let Some(fleet) = &answer.fleet {
        text.push('\n');
        text.push_str(&fleet::lines(fleet));
    }
    text
}

/// Gives what an operator should know of a cluster.
fn concerns(view: &v1::ClusterView) -> Vec<(String, String)> {
    let mut concerns = Vec::new();
    let mut add = |kind: &str, message: String| concerns.push((kind.to_owned(), message));
    if !view.read_only.is_empty() {
        add("ReadOnly", view.read_only.clone());
    }
    let reconcile = format!("argosy cluster reconcile {}", view.name);
    match view.chain() {
        v1::ChainState::Unspecified | v1::ChainState::Known => {}
        v1::ChainState::Unknown => {
            add(
                "UnknownChain",
                "hub and agent hold different histories; the agent's is being read".to_owned(),
            );
        }
        v1::ChainState::Held => {
            add("DeletesHeld", format!("hub and agent held different histories; see `{reconcile}`"));
        }
        v1::ChainState::Cloned => {
            add(
                "Cloned",
                format!("two clusters have this identity and neither is served; see `{reconcile}`"),
            );
        }
    }
    if let Some(paused) = &view.paused {
        let paused = paused_for(paused);
        add("Paused", format!("{paused}; argosy-agent resume at the edge lets it go on"));
    }
    // A hub that tells of a pause with its time says it as a condition as well, for programs.
    let told = |condition: &&v1::Condition| view.paused.is_none() || condition.r#type != "Paused";
    for condition in view.conditions.iter().filter(told) {
        add(&condition.r#type, condition.message.clone());
    }
    concerns
}

/// Says who stopped all writes at the edge, and since when.
fn paused_for(paused: &v1::PauseView) -> String {
    let known = if paused.last_known { ", last known" } else { "" };
    let why = if paused.reason.is_empty() { String::new() } else { format!(": {}", paused.reason) };
    let (since, age) = (text::time(paused.since_unix_ms), text::age(paused.age_ms));
    format!("by {} since {since} ({age}{known}){why}", paused.by)
}

/// Gives one cluster for people.
pub(crate) fn detail(view: &v1::ClusterView) -> String {
    let mut text = String::new();
    let labels: Vec<String> = view.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let or_none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
    let apps = view.apps.unwrap_or_default();
    field(&mut text, "Name", &view.name);
    field(&mut text, "UUID", &view.uuid);
    field(&mut text, "Labels", &or_none(&labels.join(",")));
    field(&mut text, "State", &state(view));
    field(&mut text, "Last Seen", &last_seen(view));
    if let Some(head) = &view.head {
        field(&mut text, "Head", &format!("{} of epoch {}", head.generation, head.epoch));
    }
    field(&mut text, "Stored", &number(view.stored_generation));
    field(&mut text, "Lag", &lag(view));
    field(
        &mut text,
        "Apps",
        &format!(
            "{} ({} synced, {} out of sync, {} healthy, {} progressing, {} degraded, {} unknown, {} held)",
            apps.total,
            apps.synced,
            apps.out_of_sync,
            apps.healthy,
            apps.progressing,
            apps.degraded,
            apps.unknown,
            apps.held
        ),
    );
    field(&mut text, "Agent", &or_none(&view.agent_version));
    field(&mut text, "Kubernetes", &or_none(&view.kubernetes_version));
    field(&mut text, "Kube-System UID", &or_none(&view.kube_system_uid));
    if let Some(paused) = &view.paused {
        field(&mut text, "Paused", &paused_for(paused));
    }
    if let Some(policy) = &view.policy {
        let digest: String = policy.digest.chars().take(DIGEST).collect();
        field(&mut text, "Local Policy", &format!("{} (digest {digest})", policy.summary));
    }
    if let Some(expiry) = view.certificate_not_after_unix_ms {
        field(&mut text, "Certificate Until", &text::time(expiry));
    }
    if let Some(expiry) = view.join_expires_unix_ms {
        field(&mut text, "Join Token Until", &text::time(expiry));
    }
    let mut known = Table::new(["CONDITION", "MESSAGE"]);
    for (condition, message) in concerns(view) {
        known.row([condition, message]);
    }
    if known.has_rows() {
        text.push('\n');
        text.push_str(&known.render());
    }
    text
}

// === impl Revoked ===

impl Revoked {
    pub(crate) fn of(name: String, response: &v1::RevokeClusterResponse) -> Self {
        Self { name, uuid: response.uuid.clone(), was_connected: response.was_connected }
    }
}

// === impl Added ===

impl From<&v1::AddClusterResponse> for Added {
    fn from(response: &v1::AddClusterResponse) -> Self {
        Self {
            name: response.name.clone(),
            uuid: response.uuid.clone(),
            join: response.join.clone(),
            command: response.command.clone(),
            expires_at: text::time(response.expires_at_unix_ms),
        }
    }
}

/// Gives the answer of `cluster add` for people.
pub(crate) fn added(response: &v1::AddClusterResponse, rejoin: bool) -> String {
    let what = if rejoin {
        "may join again; the certificates of its earlier joins are revoked. It stays"
    } else {
        "is registered as"
    };
    format!(
        "Cluster {} {what} {}.\nRun its agent with this command, once, before {}:\n\n  {}\n",
        text::clean(&response.name),
        text::clean(&response.uuid),
        text::time(response.expires_at_unix_ms),
        text::clean(&response.command),
    )
}
