//! Lists of applications.

use argosy_proto::v1;
use serde::Serialize;
use serde_json::Value;

use crate::output::Table;
use crate::view::app::Document;
use crate::view::{Observed, age_of, revision_of};

/// What a list says of an application.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppSummary {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) sync: &'static str,
    pub(crate) health: &'static str,
    revision: String,
    synced_revision: String,
    pub(crate) held: bool,
    phase: &'static str,
    observed: Option<Observed>,
}

// === impl AppSummary ===

impl AppSummary {
    /// Gives the name with the namespace before it.
    pub(crate) fn qualified_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl From<&v1::AppView> for AppSummary {
    fn from(view: &v1::AppView) -> Self {
        let status = view.status.as_ref();
        Self {
            namespace: view.namespace.clone(),
            name: view.name.clone(),
            sync: status.map_or(v1::SyncStatus::Unspecified, v1::AppStatus::sync).word(),
            health: status.map_or(v1::Health::Unspecified, v1::AppStatus::health).word(),
            revision: revision_of(status.and_then(|status| status.assigned.as_ref())),
            synced_revision: revision_of(status.and_then(|status| status.synced.as_ref())),
            held: status.is_some_and(|status| status.held.is_some()),
            phase: view.phase().word(),
            observed: view.observed.as_ref().map(Into::into),
        }
    }
}

/// Gives the sync policy in Argo CD's words.
pub(crate) fn sync_policy(document: &Document) -> &'static str {
    let Some(automated) = document.spec("/syncPolicy/automated").filter(|value| value.is_object()) else {
        return "Manual";
    };
    let on = |field| automated.get(field).and_then(Value::as_bool);
    match (on("enabled"), on("prune")) {
        (Some(false), _) => "Manual",
        (_, Some(true)) => "Auto-Prune",
        (_, Some(false) | None) => "Auto",
    }
}

/// Gives the types of an app's conditions: `<none>`, or sorted with their number.
pub(crate) fn conditions(view: &v1::AppView) -> String {
    let agent = view.status.iter().flat_map(|status| &status.conditions);
    let mut counted = std::collections::BTreeMap::<&str, usize>::new();
    for condition in view.conditions.iter().chain(agent) {
        *counted.entry(condition.r#type.as_str()).or_default() += 1;
    }
    if !view.waiting.is_empty() {
        counted.entry("Waiting").or_insert(1);
    }
    let words = counted.into_iter().map(|(kind, number)| match number {
        1 => kind.to_owned(),
        _ => format!("{kind}({number})"),
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "<none>".to_owned() } else { words.join(",") }
}

/// Gives the table of applications.
pub(crate) fn table(apps: &[v1::AppView]) -> String {
    let mut table = Table::new([
        "NAME",
        "CLUSTER",
        "NAMESPACE",
        "PROJECT",
        "STATUS",
        "HEALTH",
        "SYNCPOLICY",
        "CONDITIONS",
        "AGE",
    ]);
    for view in apps {
        let [name, cluster, namespace, project, status, health, policy, conditions] =
            cells(view, &Document::of(view));
        let age = age_of(view.observed.as_ref());
        table.row([name, cluster, namespace, project, status, health, policy, conditions, age]);
    }
    table.render()
}

/// Gives the table of applications with their sources: Argo CD's columns, and how old that is.
pub(crate) fn wide(apps: &[v1::AppView]) -> String {
    let mut table = Table::new([
        "NAME",
        "CLUSTER",
        "NAMESPACE",
        "PROJECT",
        "STATUS",
        "HEALTH",
        "SYNCPOLICY",
        "CONDITIONS",
        "REPO",
        "PATH",
        "TARGET",
        "AGE",
    ]);
    for view in apps {
        let document = Document::of(view);
        let [name, cluster, namespace, project, status, health, policy, conditions] = cells(view, &document);
        let source = |field: &str| document.text(&format!("/source/{field}"));
        table.row([
            name,
            cluster,
            namespace,
            project,
            status,
            health,
            policy,
            conditions,
            source("repoURL"),
            source("path"),
            source("targetRevision"),
            age_of(view.observed.as_ref()),
        ]);
    }
    table.render()
}

fn cells(view: &v1::AppView, document: &Document) -> [String; 8] {
    let summary = AppSummary::from(view);
    [
        summary.qualified_name(),
        view.cluster.clone(),
        document.text("/destination/namespace"),
        view.project.clone(),
        summary.sync.to_owned(),
        summary.health.to_owned(),
        sync_policy(document).to_owned(),
        conditions(view),
    ]
}

/// Gives one qualified name a line.
pub(crate) fn names(apps: &[v1::AppView]) -> String {
    let names = apps.iter().map(|view| crate::text::clean(&AppSummary::from(view).qualified_name()) + "\n");
    names.collect::<Vec<_>>().concat()
}
