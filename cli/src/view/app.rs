//! One application, in the shape of Argo CD's `Application`.

use std::collections::BTreeMap;

use argosy_core::ids::Digest;
use argosy_core::key::ResourceKey;
use argosy_core::order::SyncPhase;
use argosy_core::status::OperationPhase;
use argosy_proto::v1;
use serde::Serialize;
use serde_json::{Value, json};

use crate::text;
use crate::view::history::Deployment;
use crate::view::{Condition, Observed, revision_of};

mod detail;

pub(crate) use self::detail::{deletes, detail, head, health_and_message, resources};

/// Metadata and spec of an application's document.
#[derive(Debug)]
pub(crate) struct Document(Value);

/// An application with its status.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Application {
    api_version: &'static str,
    kind: &'static str,
    metadata: Value,
    spec: Value,
    status: Status,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    sync: SyncState,
    health: Health,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_state: Option<OperationState>,
    /// Absent where they were not asked for, which is another thing than none.
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<Resource>>,
    conditions: Vec<Condition>,
    /// The newest releases that it was synced to, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Deployment>>,
    /// When the status held, as Argo CD's tools ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reconciled_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_type: Option<&'static str>,
    observed: Option<Observed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Held>,
    cluster: String,
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<String>,
    releases: Releases,
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "String::is_empty")]
    sync_window: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assigned_windows: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SyncState {
    status: &'static str,
    revision: String,
    /// Source and destination as the document states them: what the revision is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared_to: Option<Value>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

/// An operation, as Argo CD writes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationState {
    phase: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    retry_count: u64,
    operation: Value,
    sync_result: SyncResult,
}

#[derive(Debug, Serialize)]
struct SyncResult {
    revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<ResultResource>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultResource {
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    kind: String,
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    part: String,
    status: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook_phase: Option<&'static str>,
    sync_phase: &'static str,
}

/// One object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resource {
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    kind: String,
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    part: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
    requires_pruning: bool,
    #[serde(skip_serializing_if = "is_zero")]
    sync_wave: i32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    requires_deletion_confirmation: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Held {
    plan: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletes: Option<Vec<Delete>>,
}

#[derive(Debug, Serialize)]
struct Delete {
    group: String,
    kind: String,
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    part: String,
    uid: String,
}

/// The releases on their way: what the hub desires, what the agent was told, has, and has synced.
#[derive(Debug, Serialize)]
struct Releases {
    desired: Option<Release>,
    listed: Option<Release>,
    assigned: Option<Release>,
    synced: Option<Release>,
}

#[derive(Debug, Serialize)]
struct Release {
    root: String,
    revision: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    total: u64,
    synced: u64,
    out_of_sync: u64,
    unknown: u64,
}

// === impl Document ===

impl Document {
    /// Reads a view's document; an app without one has none.
    pub(crate) fn of(view: &v1::AppView) -> Self {
        Self(serde_json::from_str(&view.document_json).unwrap_or_else(|_no_document| json!({})))
    }

    /// Gives a field of the spec.
    pub(crate) fn spec(&self, pointer: &str) -> Option<&Value> {
        self.0.get("spec").and_then(|spec| spec.pointer(pointer))
    }

    /// Gives a text of the spec; empty when it is not there.
    pub(crate) fn text(&self, pointer: &str) -> String {
        self.spec(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Gives the labels of the document.
    pub(crate) fn labels(&self) -> BTreeMap<&str, &str> {
        let labels = self.0.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
    }

    /// Gives what an app is compared with: its source and its destination; absent without a document.
    fn compared_to(&self) -> Option<Value> {
        let (source, destination) = (self.spec("/source")?, self.spec("/destination")?);
        Some(json!({"source": source, "destination": destination}))
    }

    fn metadata(&self, view: &v1::AppView) -> Value {
        let mut metadata =
            self.0.get("metadata").filter(|value| value.is_object()).cloned().unwrap_or_else(|| json!({}));
        if let Some(fields) = metadata.as_object_mut() {
            fields.insert("name".to_owned(), json!(view.name));
            fields.insert("namespace".to_owned(), json!(view.namespace));
        }
        metadata
    }
}

// === impl Application ===

impl Application {
    /// Reads a view of a list, which tells neither rows nor results nor the objects of held deletes.
    pub(crate) fn listed(view: &v1::AppView) -> Self {
        let mut application = Self::from(view);
        let status = &mut application.status;
        status.resources = None;
        status.history = None;
        if let Some(operation) = &mut status.operation_state {
            operation.sync_result.resources = None;
        }
        if let Some(held) = &mut status.held {
            held.deletes = None;
        }
        application
    }
}

impl From<&v1::AppView> for Application {
    fn from(view: &v1::AppView) -> Self {
        let document = Document::of(view);
        Self {
            api_version: "argoproj.io/v1alpha1",
            kind: "Application",
            metadata: document.metadata(view),
            spec: document.0.get("spec").cloned().unwrap_or_else(|| json!({})),
            status: view.into(),
        }
    }
}

impl From<&v1::AppView> for Status {
    fn from(view: &v1::AppView) -> Self {
        let status = view.status.as_ref();
        let stated = view.observed.as_ref().map(|observed| observed.stated_unix_ms);
        let agent = status.iter().flat_map(|status| &status.conditions);
        // Argo CD's order.
        let mut conditions: Vec<&v1::Condition> = view.conditions.iter().chain(agent).collect();
        conditions.sort_by_key(|condition| (&condition.r#type, &condition.message));
        let mut resources: Vec<&v1::ResourceRow> =
            status.iter().flat_map(|status| &status.resources).collect();
        resources.sort_by_cached_key(|row| row.key.as_ref().map(|key| ResourceKey::from(key).to_string()));
        let document = Document::of(view);
        Self {
            sync: SyncState {
                status: status.map_or(v1::SyncStatus::Unspecified, v1::AppStatus::sync).word(),
                revision: revision_of(status.and_then(|status| status.assigned.as_ref())),
                compared_to: status.and_then(|_| document.compared_to()),
            },
            health: Health {
                status: status.map_or(v1::Health::Unspecified, v1::AppStatus::health).word(),
                message: status.map(|status| status.health_message.clone()).unwrap_or_default(),
            },
            operation_state: status
                .and_then(|status| status.operation.as_ref())
                .map(|operation| OperationState::of(operation, stated, document.spec("/source"))),
            resources: Some(resources.into_iter().map(Into::into).collect()),
            conditions: conditions.into_iter().map(Into::into).collect(),
            history: status.map(|status| status.history.iter().map(Into::into).collect()),
            reconciled_at: view.observed.as_ref().map(|observed| text::time(observed.at_unix_ms)),
            source_type: document.spec("/source").map(|_| "Directory"),
            observed: view.observed.as_ref().map(Into::into),
            held: status.and_then(|status| status.held.as_ref()).map(Into::into),
            cluster: view.cluster.clone(),
            phase: view.phase().word(),
            waiting: (!view.waiting.is_empty()).then(|| view.waiting.clone()),
            releases: Releases {
                desired: view.desired.as_ref().map(Into::into),
                listed: status.and_then(|status| status.listed.as_ref()).map(Into::into),
                assigned: status.and_then(|status| status.assigned.as_ref()).map(Into::into),
                synced: status.and_then(|status| status.synced.as_ref()).map(Into::into),
            },
            counts: status.and_then(|status| status.counts).map(|counts| Counts {
                total: counts.total,
                synced: counts.synced,
                out_of_sync: counts.out_of_sync,
                unknown: counts.unknown,
            }),
            sync_window: view.sync_window.clone(),
            assigned_windows: view.windows.clone(),
        }
    }
}

impl OperationState {
    /// Reads an operation; its times count back from when the agent stated it.
    pub(crate) fn of(operation: &v1::Operation, stated_unix_ms: Option<i64>, source: Option<&Value>) -> Self {
        let time = |before: Option<u64>| {
            let before = i64::try_from(before?).ok()?;
            Some(text::time(stated_unix_ms?.saturating_sub(before)))
        };
        let revision = revision_of(operation.release.as_ref());
        Self {
            phase: operation.phase().word(),
            message: operation.message.clone(),
            started_at: time(operation.started_before_ms),
            finished_at: time(operation.finished_before_ms),
            retry_count: operation.retries,
            operation: json!({
                "initiatedBy": {"automated": operation.automated},
                "sync": {"revision": revision},
            }),
            sync_result: SyncResult {
                revision,
                source: source.cloned(),
                resources: Some(operation.results.iter().map(Into::into).collect()),
            },
        }
    }
}

impl From<&v1::ResultRow> for ResultResource {
    fn from(row: &v1::ResultRow) -> Self {
        let key = row.key.clone().unwrap_or_default();
        Self {
            group: key.group,
            version: row.version.clone(),
            kind: key.kind,
            namespace: key.namespace,
            name: key.name,
            part: key.part,
            status: row.code().word(),
            message: row.message.clone(),
            hook_type: row.hook().known().map(SyncPhase::as_str),
            hook_phase: row.hook_phase().known().map(OperationPhase::as_str),
            sync_phase: row.hook().known().unwrap_or_default().as_str(),
        }
    }
}

impl From<&v1::ResourceRow> for Resource {
    fn from(row: &v1::ResourceRow) -> Self {
        let key = row.key.clone().unwrap_or_default();
        let health = row
            .health()
            .known()
            .map(|health| Health { status: health.as_str(), message: row.health_message.clone() });
        Self {
            group: key.group,
            version: row.version.clone(),
            kind: key.kind,
            namespace: key.namespace,
            name: key.name,
            part: key.part,
            status: row.status().word(),
            health,
            requires_pruning: row.requires_pruning,
            sync_wave: row.wave,
            requires_deletion_confirmation: row.confirms,
            message: row.message.clone(),
        }
    }
}

impl From<&v1::Held> for Held {
    fn from(held: &v1::Held) -> Self {
        let deletes = held.deletes.iter().map(|delete| {
            let key = delete.key.clone().unwrap_or_default();
            Delete {
                group: key.group,
                kind: key.kind,
                namespace: key.namespace,
                name: key.name,
                part: key.part,
                uid: delete.uid.clone(),
            }
        });
        Self { plan: plan_of(held), reason: held.reason.clone(), deletes: Some(deletes.collect()) }
    }
}

impl From<&v1::ReleaseRef> for Release {
    fn from(release: &v1::ReleaseRef) -> Self {
        Self {
            root: release.root().map(|root| root.0.to_string()).unwrap_or_default(),
            revision: release.revision.clone(),
        }
    }
}

/// Wave 0 is not told, as in Argo CD.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero(wave: &i32) -> bool {
    *wave == 0
}

/// Gives the digest of a held plan, as a confirmation names it.
pub(crate) fn plan_of(held: &v1::Held) -> String {
    Digest::from_slice(&held.plan).map(|plan| plan.to_string()).unwrap_or_default()
}
