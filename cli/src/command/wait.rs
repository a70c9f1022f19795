//! `argosy app wait`.

use std::time::Duration;

use argosy_proto::v1;
use tokio::time::{sleep, timeout};

use crate::args::{AppArguments, Format};
use crate::connection::Hub;
use crate::failure::{Failure, OK};
use crate::output;
use crate::text;
use crate::view;

/// How often the hub is asked.
const POLL: Duration = Duration::from_millis(500);
/// How often an app may be unknown before it is given up: its commit may be on its way to the hub.
const UNKNOWN: u32 = 20;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Goal {
    revision: Option<String>,
    sync: bool,
    health: bool,
}

/// How far an app is.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// It is there.
    Reached,
    /// It is not; this is missing.
    Missing(String),
}

// === impl Goal ===

impl Goal {
    /// Makes a goal: synced and healthy when none of the two is asked for alone.
    pub(super) fn new(revision: Option<String>, sync: bool, health: bool) -> Self {
        let both = !sync && !health;
        Self { revision, sync: sync || both, health: health || both }
    }

    fn of(&self, view: &v1::AppView) -> Progress {
        let missing = |what: &str| Progress::Missing(what.to_owned());
        let Some(status) = &view.status else {
            return missing(if view.waiting.is_empty() { "no status yet" } else { &view.waiting });
        };
        if view.observed.as_ref().is_none_or(|observed| observed.last_known) {
            return Progress::Missing(format!(
                "the cluster is away; its status is {} old",
                view.observed
                    .as_ref()
                    .map_or_else(|| "of unknown age".to_owned(), |observed| text::age(observed.age_ms))
            ));
        }
        let assigned = status.assigned.as_ref();
        if let Some(wanted) = &self.revision {
            let at = view::revision_of(assigned);
            if !at.starts_with(wanted) {
                return Progress::Missing(format!(
                    "at revision {}",
                    if at.is_empty() { "<none>" } else { &at }
                ));
            }
        }
        if self.sync {
            let behind = view
                .desired
                .as_ref()
                .is_some_and(|desired| assigned.is_none_or(|assigned| assigned.root != desired.root));
            if behind {
                return missing("the newest release is on its way");
            }
            if status.sync() != v1::SyncStatus::Synced {
                return Progress::Missing(format!("{}{}", status.sync().word(), why_unknown(view)));
            }
        }
        if status.operation.as_ref().is_some_and(|operation| operation.phase() == v1::OperationPhase::Running)
        {
            return missing("an operation is running");
        }
        if self.health && status.health() != v1::Health::Healthy {
            return missing(status.health().word());
        }
        Progress::Reached
    }
}

pub(super) async fn run(
    hub: &Hub,
    app: &AppArguments,
    goal: &Goal,
    limit: Duration,
    format: Format,
) -> Result<u8, Failure> {
    let mut missing = "nothing is known of it".to_owned();
    let work = poll(hub, app, goal, &mut missing);
    let view = if limit.is_zero() {
        work.await?
    } else {
        match timeout(limit, work).await {
            Ok(view) => view?,
            Err(_elapsed) => {
                return Err(Failure::Failed(format!(
                    "timed out ({}s) waiting for app {}: {missing}",
                    limit.as_secs(),
                    app.app
                )));
            }
        }
    };
    let text = match format {
        Format::Table => view::list::table(std::slice::from_ref(&view)),
        Format::Json | Format::Yaml => super::app::detail(&view, format)?,
    };
    output::print(&text)?;
    Ok(OK)
}

async fn poll(
    hub: &Hub,
    app: &AppArguments,
    goal: &Goal,
    missing: &mut String,
) -> Result<v1::AppView, Failure> {
    let mut unknown = 0;
    let mut health_before = None;
    let mut seen = false;
    loop {
        match super::get_app(hub, app).await {
            Ok(view) => {
                seen = true;
                match goal.of(&view) {
                    Progress::Reached => return Ok(view),
                    Progress::Missing(what) => *missing = what,
                }
                let health = view.status.as_ref().map(v1::AppStatus::health);
                if goal.health && turned_bad(health_before, health) {
                    let cause = view.status.map(|status| status.health_message).unwrap_or_default();
                    return Err(Failure::Failed(format!("app {} became Degraded: {cause}", app.app)));
                }
                health_before = health;
            }
            Err(Failure::NotFound(message)) => {
                unknown += 1;
                if unknown > UNKNOWN {
                    return Err(Failure::NotFound(message));
                }
                *missing = message;
            }
            // The hub was there: it may be starting again.
            Err(failure @ Failure::Unreachable { .. }) if seen => *missing = failure.to_string(),
            Err(failure) => return Err(failure),
        }
        sleep(POLL).await;
    }
}

/// Says what keeps the hub from telling how an app compares: its document, or its source.
fn why_unknown(view: &v1::AppView) -> String {
    let mut conditions = view.conditions.iter();
    let why = conditions.find(|of| ["ComparisonError", "InvalidSpecError"].contains(&of.r#type.as_str()));
    why.map(|of| format!(": {}: {}", of.r#type, of.message)).unwrap_or_default()
}

/// Tells whether health went from something else to Degraded while it was looked at.
fn turned_bad(before: Option<v1::Health>, now: Option<v1::Health>) -> bool {
    now == Some(v1::Health::Degraded) && before.is_some_and(|before| before != v1::Health::Degraded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(sync: v1::SyncStatus, health: v1::Health) -> v1::AppView {
        let release = v1::ReleaseRef { root: vec![1; 32], revision: "c0ffee11".to_owned() };
        v1::AppView {
            desired: Some(release.clone()),
            status: Some(v1::AppStatus {
                sync: sync.into(),
                health: health.into(),
                assigned: Some(release),
                ..Default::default()
            }),
            observed: Some(v1::Observation::default()),
            ..Default::default()
        }
    }

    fn healthy() -> v1::AppView {
        app(v1::SyncStatus::Synced, v1::Health::Healthy)
    }

    fn missing(goal: &Goal, view: &v1::AppView) -> String {
        match goal.of(view) {
            Progress::Reached => "reached".to_owned(),
            Progress::Missing(what) => what,
        }
    }

    #[test]
    fn without_flags_both_are_waited_for() {
        let goal = Goal::new(None, false, false);
        assert_eq!(missing(&goal, &healthy()), "reached");
        assert_eq!(missing(&goal, &app(v1::SyncStatus::OutOfSync, v1::Health::Healthy)), "OutOfSync");
        assert_eq!(missing(&goal, &app(v1::SyncStatus::Synced, v1::Health::Progressing)), "Progressing");
        let sync = Goal::new(None, true, false);
        assert_eq!(missing(&sync, &app(v1::SyncStatus::Synced, v1::Health::Degraded)), "reached");
        let health = Goal::new(None, false, true);
        assert_eq!(missing(&health, &app(v1::SyncStatus::OutOfSync, v1::Health::Healthy)), "reached");
    }

    #[test]
    fn what_is_only_last_known_reaches_nothing() {
        let mut away = healthy();
        away.observed = Some(v1::Observation { last_known: true, age_ms: 300_000, ..Default::default() });
        assert_eq!(
            missing(&Goal::new(None, false, false), &away),
            "the cluster is away; its status is 5m old"
        );
    }

    #[test]
    fn a_release_on_its_way_is_not_synced() {
        let mut behind = healthy();
        behind.desired = Some(v1::ReleaseRef { root: vec![2; 32], revision: String::new() });
        assert_eq!(missing(&Goal::new(None, false, false), &behind), "the newest release is on its way");
    }

    #[test]
    fn an_app_whose_source_is_broken_reaches_nothing_and_says_why() {
        let mut broken = app(v1::SyncStatus::Unknown, v1::Health::Healthy);
        let condition = |kind: &str, message: &str| v1::Condition {
            r#type: kind.to_owned(),
            message: message.to_owned(),
            ..Default::default()
        };
        broken.conditions = vec![condition("SyncWindow", "closed"), condition("ComparisonError", "line 3")];
        let goal = Goal::new(None, false, false);
        assert_eq!(missing(&goal, &broken), "Unknown: ComparisonError: line 3");
        broken.conditions.clear();
        assert_eq!(missing(&goal, &broken), "Unknown");
    }

    #[test]
    fn a_revision_is_named_by_its_start() {
        assert_eq!(missing(&Goal::new(Some("c0ffee".to_owned()), true, false), &healthy()), "reached");
        let other = Goal::new(Some("beef".to_owned()), true, false);
        assert_eq!(missing(&other, &healthy()), "at revision c0ffee11");
    }

    #[test]
    fn only_a_turn_for_the_worse_ends_the_wait() {
        use v1::Health::{Degraded, Progressing};
        assert!(turned_bad(Some(Progressing), Some(Degraded)));
        assert!(!turned_bad(None, Some(Degraded)));
        assert!(!turned_bad(Some(Degraded), Some(Degraded)));
    }
}
