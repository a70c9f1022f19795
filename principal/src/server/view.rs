//! What operators see, as it travels: ages are taken at the hub, so that no two clocks are compared.

use argosy_core::hub::{
    AppView, Chain, ClusterView, CommandProgress, Disagreement, Event, Observed, ProjectView, Reconciliation,
    Severity, Shown, Side,
};
use argosy_core::release::Root;
use argosy_core::session::frame::CommandKind;
use argosy_core::time::{Now, WallTime, millis};
use argosy_proto::{FrameError, v1};

use super::FleetFacts;

/// How much of an app is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// As much as a list shows.
    List,
    /// All that is known.
    Whole,
}

/// One cluster.
pub(super) fn cluster(view: ClusterView, now: Now) -> v1::ClusterView {
    let facts = view.facts.unwrap_or_default();
    let counts = view.apps;
    let not_after = Some(facts.certificate_not_after.0).filter(|at| *at != 0);
    v1::ClusterView {
        name: view.name,
        uuid: view.cluster.to_string(),
        labels: view.labels,
        membership: if view.joined { v1::Membership::Joined } else { v1::Membership::Pending }.into(),
        connected: view.connected,
        last_seen_unix_ms: view.last_seen.map(|seen| seen.0),
        last_seen_age_ms: view.last_seen.map(|seen| since(seen, now)),
        head: view
            .head
            .map(|(epoch, generation)| v1::HeadView { epoch: epoch.to_string(), generation: generation.0 }),
        stored_generation: view.stored.map(|generation| generation.0),
        apps: Some(v1::AppCounts {
            total: counts.total,
            synced: counts.synced,
            out_of_sync: counts.out_of_sync,
            healthy: counts.healthy,
            progressing: counts.progressing,
            degraded: counts.degraded,
            unknown: counts.unknown,
            held: counts.held,
        }),
        agent_version: facts.agent_version,
        kubernetes_version: facts.kubernetes_version,
        certificate_not_after_unix_ms: not_after,
        read_only: view.read_only.unwrap_or_default(),
        chain: match view.chain {
            Chain::Known => v1::ChainState::Known,
            Chain::Unknown => v1::ChainState::Unknown,
            Chain::Held => v1::ChainState::Held,
            Chain::Cloned => v1::ChainState::Cloned,
        }
        .into(),
        behind: view.behind.is_some(),
        behind_for_ms: view.behind.map(millis),
        conditions: view
            .conditions
            .iter()
            .map(|condition| v1::Condition {
                since_unix_ms: view
                    .paused
                    .as_ref()
                    .filter(|_| condition.kind == "Paused")
                    .map(|of| of.since.0),
                ..condition.into()
            })
            .collect(),
        join_expires_unix_ms: (!view.joined).then_some(view.join_expires.0),
        kube_system_uid: facts.kube_system_uid,
        policy: facts
            .policy
            .map(|policy| v1::LocalPolicyView { digest: policy.digest.to_string(), summary: policy.text }),
        paused: view.paused.as_ref().map(|paused| v1::PauseView {
            by: paused.by.clone(),
            reason: paused.reason.clone(),
            since_unix_ms: paused.since.0,
            age_ms: since(paused.since, now),
            last_known: !view.connected,
        }),
    }
}

/// The fleet as a whole.
pub(super) fn fleet(facts: &FleetFacts, conditions: &[Shown], now: Now) -> v1::FleetView {
    let last_read = facts.last_read.get();
    v1::FleetView {
        source: facts.source.clone(),
        last_read_unix_ms: last_read.map(|at| at.0),
        last_read_age_ms: last_read.map(|at| since(at, now)),
        conditions: conditions.iter().map(condition).collect(),
    }
}

fn condition(shown: &Shown) -> v1::Condition {
    v1::Condition { since_unix_ms: Some(shown.since.0), ..v1::Condition::from(&shown.condition) }
}

/// One app on one cluster.
pub(super) fn app(view: AppView, now: Now, detail: Detail) -> v1::AppView {
    let commit = |root: Root| view.commits.get(&root).cloned();
    let observed = view.observed.map(|observed| observation(observed, now));
    let status = view.status.as_ref().map(|status| {
        let mut shown = v1::AppStatus::from(status);
        shown.fill_revisions(commit);
        for (shown, condition) in shown.conditions.iter_mut().zip(&status.conditions) {
            shown.since_unix_ms = view.since.get(condition).map(|since| since.0);
        }
        if let Some(stated) = observed.as_ref().map(|observed| observed.stated_unix_ms) {
            shown.history.iter_mut().for_each(|row| row.by_hub_clock(stated));
        }
        if detail == Detail::List {
            shown.leave_out_details();
        }
        shown
    });
    let phase = view.phase.map_or(v1::AppPhase::Unspecified, Into::into);
    let desired = view.desired.map(|root| reference(root, commit(root)));
    v1::AppView {
        conditions: view.conditions.iter().map(condition).collect(),
        namespace: view.app.namespace.to_string(),
        name: view.app.name.to_string(),
        cluster: view.cluster,
        project: view.project,
        document_json: view.document,
        phase: phase.into(),
        waiting: view.waiting.unwrap_or_default(),
        desired,
        status,
        observed,
        sync_window: view.sync_window.unwrap_or_default().to_owned(),
        windows: view.windows,
    }
}

/// One project.
pub(super) fn project(view: ProjectView) -> v1::ProjectView {
    let ProjectView { state, apps } = view;
    v1::ProjectView {
        name: state.name,
        file: state.file,
        document_json: state.document,
        problem: state.problem.unwrap_or_default(),
        apps,
    }
}

/// When a status held.
pub(super) fn observation(observed: Observed, now: Now) -> v1::Observation {
    let ago = |age| now.wall.0.saturating_sub(i64::try_from(millis(age)).unwrap_or(i64::MAX));
    v1::Observation {
        at_unix_ms: ago(observed.age),
        age_ms: millis(observed.age),
        last_known: observed.last_known,
        stated_unix_ms: ago(observed.stated),
    }
}

/// How a command goes, and the answer of a read; when that held is for the caller to say.
pub(super) fn progress(
    progress: CommandProgress,
    kind: &CommandKind,
) -> Result<v1::CommandProgress, FrameError> {
    let operation = progress.operation.as_ref();
    let mut told = v1::CommandProgress {
        id: progress.id.as_bytes().to_vec(),
        state: v1::CommandState::from(progress.state).into(),
        message: progress.message,
        operation: operation.map(|(operation, stated)| v1::Operation::of(operation, *stated)),
        ..v1::CommandProgress::default()
    };
    told.answer(kind, &progress.payload)?;
    Ok(told)
}

/// Hub and agent, side by side.
pub(super) fn reconciliation(reconciliation: Reconciliation) -> v1::ReconcileClusterResponse {
    let rows = reconciliation.rows.into_iter().map(|Disagreement { app, hub, agent, held }| {
        let difference = match (&hub, &agent) {
            (Some(_), None) => v1::Difference::HubOnly,
            (None, Some(_)) => v1::Difference::AgentOnly,
            (Some(_), Some(_)) | (None, None) => v1::Difference::Changed,
        };
        let phase = |side: Option<&Side>| -> i32 {
            side.map_or(v1::AppPhase::Unspecified, |side| side.phase.into()).into()
        };
        v1::ReconcileRow {
            namespace: app.namespace.to_string(),
            name: app.name.to_string(),
            difference: difference.into(),
            hub_phase: phase(hub.as_ref()),
            agent_phase: phase(agent.as_ref()),
            hub: hub.map(|side| reference(side.root, side.commit)),
            agent: agent.map(|side| reference(side.root, side.commit)),
            held: held.as_ref().map(Into::into),
        }
    });
    v1::ReconcileClusterResponse {
        holding: reconciliation.holding,
        ended: reconciliation.ended,
        rows: rows.collect(),
        obstacles: reconciliation.obstacles,
        clones: reconciliation.clones,
        why: reconciliation.why.unwrap_or_default(),
        hub_generation: reconciliation.made.map(|generation| generation.0),
        agent_generation: reconciliation.held.map(|generation| generation.0),
    }
}

/// Something that happened.
pub(super) fn event(event: &Event, now: Now) -> v1::Event {
    let (namespace, name) =
        event.app.as_ref().map(|app| (app.namespace.to_string(), app.name.to_string())).unwrap_or_default();
    v1::Event {
        sequence: event.sequence,
        at_unix_ms: event.at.wall.0,
        age_ms: now.mono.since(&event.at.mono).map(millis).unwrap_or_default(),
        severity: match event.severity {
            Severity::Info => v1::Severity::Info,
            Severity::Warning => v1::Severity::Warning,
            Severity::Error => v1::Severity::Error,
        }
        .into(),
        reason: event.reason.to_owned(),
        message: event.message.clone(),
        cluster: event.cluster.clone().unwrap_or_default(),
        app_namespace: namespace,
        app_name: name,
        resource: None,
        recorded: false,
        by_cluster_clock: false,
    }
}

pub(super) fn reference(root: Root, commit: Option<String>) -> v1::ReleaseRef {
    v1::ReleaseRef { revision: commit.unwrap_or_default(), ..root.into() }
}

fn since(time: WallTime, now: Now) -> u64 {
    u64::try_from(now.wall.0.saturating_sub(time.0)).unwrap_or(0)
}
