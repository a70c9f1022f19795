//! What ran on a cluster at a time, as it travels.

use argosy_core::hub::AuditView;
use argosy_core::ids::AppId;
use argosy_core::journal::{Known, Told};
use argosy_core::release::Root;
use argosy_core::time::{Now, WallTime};
use argosy_proto::v1;

use super::events;

pub(super) fn response(cluster: &str, found: AuditView, at: WallTime, now: Now) -> v1::AuditResponse {
    let doubts = doubts(&found, at);
    let AuditView { audit, commits, connected, until, .. } = found;
    let commit = |app: &AppId, root: Root| commits.get(&(app.clone(), root)).cloned();
    let picture = &audit.picture;
    let paused = picture.paused().map(|(order, since)| v1::PauseView {
        by: order.by.clone(),
        reason: order.reason.clone(),
        since_unix_ms: since.0,
        age_ms: u64::try_from(at.0.saturating_sub(since.0)).unwrap_or(0),
        last_known: !connected,
    });
    v1::AuditResponse {
        cluster: cluster.to_owned(),
        at_unix_ms: at.0,
        since_unix_ms: audit.since.map(|since| since.0),
        until_unix_ms: until.map(|until| until.0),
        connected,
        doubts,
        paused,
        read_only: picture.read_only().unwrap_or_default().to_owned(),
        head: picture
            .head()
            .map(|(epoch, generation)| v1::HeadView { epoch: epoch.to_string(), generation: generation.0 }),
        apps: picture.apps.iter().map(|(name, known)| app(name, known, |root| commit(name, root))).collect(),
        before: audit.recent.iter().map(|row| events::recorded(Told::of(row), cluster, now)).collect(),
    }
}

/// Says why less is known than was asked.
fn doubts(found: &AuditView, at: WallTime) -> Vec<String> {
    let mut doubts = Vec::new();
    match found.audit.since {
        None if found.keeps => doubts.push("nothing of its journal has come here yet".to_owned()),
        None => doubts.push("its agent keeps no journal: it is of an older version".to_owned()),
        Some(since) if at < since => doubts.push("its journal does not reach back to that time".to_owned()),
        Some(_) => {}
    }
    if let Some(until) = found.until
        && at > until
        && !(found.connected && found.audit.complete)
    {
        let why = if found.connected { "on their way" } else { "at the agent, which is away" };
        doubts.push(format!("newer rows of its journal may be {why}"));
    }
    if found.audit.picture.apps.values().any(|known| known.doubtful_since.is_some()) {
        doubts.push("rows are missing in its journal: what is marked may have been otherwise".to_owned());
    }
    doubts
}

fn app(name: &AppId, known: &Known, commit: impl Fn(Root) -> Option<String>) -> v1::AuditApp {
    let Known { state, at, doubtful_since, .. } = known;
    let release = |root: Root| v1::ReleaseRef { revision: commit(root).unwrap_or_default(), ..root.into() };
    v1::AuditApp {
        namespace: name.namespace.to_string(),
        name: name.name.to_string(),
        phase: v1::AppPhase::from(state.phase).into(),
        desired: state.listed.map(release),
        assigned: state.assigned.map(release),
        applied: state.synced.map(release),
        sync: v1::SyncStatus::from(state.sync).into(),
        health: v1::Health::from(state.health).into(),
        operation: state.operation.as_ref().map(|operation| v1::Operation {
            phase: v1::OperationPhase::from(operation.phase).into(),
            message: operation.message.clone(),
            release: Some(release(operation.root)),
            finished: operation.finished.is_some(),
            automated: operation.automated,
            ..Default::default()
        }),
        held_plan: state.held.map(|held| held.plan.as_bytes().to_vec()).unwrap_or_default(),
        held: state.held.map_or(0, |held| held.count),
        counts: Some(v1::ResourceCounts {
            total: state.objects,
            out_of_sync: state.out_of_sync,
            ..Default::default()
        }),
        since_unix_ms: at.0,
        doubtful: doubtful_since.is_some(),
    }
}
