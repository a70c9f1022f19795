//! What is waited for, and how far an app is from it.

use std::collections::BTreeMap;

use argosy_core::key::ResourceKey;
use argosy_core::selection::SyncOptions;
use argosy_proto::v1;

use super::Progress;
use crate::args::WaitArguments;
use crate::text;
use crate::view;

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Goal {
    /// The app is gone.
    Gone,
    /// It is as is said here.
    State(State),
}

/// How an app is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    revision: Option<String>,
    sync: bool,
    operation: bool,
    /// Any of these; none: whatever it is.
    health: Vec<v1::Health>,
    /// The objects that are looked at, as a sync names them; without any the app is.
    selection: SyncOptions,
}

/// Health and its cause, by object; by no name that of the app.
pub(super) type Health = BTreeMap<String, (v1::Health, String)>;

/// How healths were when they were looked at last.
#[derive(Debug, Default)]
pub(super) struct Healths(Health);

// === impl Goal ===

impl Goal {
    /// Reads a goal: synced, healthy and with no operation under way where nothing is asked for (Argo CD).
    pub(super) fn new(arguments: &WaitArguments) -> Self {
        if arguments.delete {
            return Self::Gone;
        }
        let WaitArguments { sync, health, suspended, degraded, operation, .. } = *arguments;
        let all = !(sync || health || suspended || degraded || operation);
        let asked = [
            (health || all, v1::Health::Healthy),
            (suspended, v1::Health::Suspended),
            (degraded, v1::Health::Degraded),
        ];
        Self::State(State {
            revision: arguments.revision.clone(),
            sync: sync || all,
            operation: operation || all,
            health: asked.into_iter().filter(|(asked, _)| *asked).map(|(_, health)| health).collect(),
            selection: SyncOptions { resources: arguments.resources.clone(), ..SyncOptions::default() },
        })
    }

    /// Tells whether the agent is asked for objects.
    pub(super) fn asks_the_agent(&self) -> bool {
        match self {
            Self::Gone => false,
            Self::State(state) => state.is_limited(),
        }
    }
}

// === impl State ===

impl State {
    /// Tells whether only some objects are looked at.
    pub(super) fn is_limited(&self) -> bool {
        !self.selection.resources.is_empty()
    }

    /// Tells whether a turn for the worse ends the wait: health is waited for, and not that one (Argo CD).
    pub(super) fn minds_degraded(&self) -> bool {
        self.health.contains(&v1::Health::Healthy) && !self.health.contains(&v1::Health::Degraded)
    }

    /// Tells how far an app is, apart from its objects where these are looked at.
    pub(super) fn of(&self, view: &v1::AppView) -> Progress {
        let missing = |what: &str| Progress::Missing(what.to_owned());
        let Some(status) = &view.status else {
            return missing(if view.waiting.is_empty() { "no status yet" } else { &view.waiting });
        };
        if let Some(away) = away(view) {
            return Progress::Missing(away);
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
            if !self.is_limited() && status.sync() != v1::SyncStatus::Synced {
                return Progress::Missing(format!("{}{}", status.sync().word(), why_unknown(view)));
            }
        }
        let running =
            status.operation.as_ref().map(v1::Operation::phase) == Some(v1::OperationPhase::Running);
        if self.operation && running {
            return missing("an operation is running");
        }
        if !self.is_limited() && !self.is_health(status.health()) {
            return missing(status.health().word());
        }
        Progress::Reached
    }

    /// Tells how far the objects are that are looked at.
    pub(super) fn of_rows(&self, rows: &[v1::ResourceRow]) -> Progress {
        let mut none = true;
        for (key, row) in self.selected(rows) {
            none = false;
            if self.sync && row.status() != v1::SyncStatus::Synced {
                return Progress::Missing(format!("{key} is {}", row.status().word()));
            }
            // Kinds without a rule are as healthy as they are for their app.
            let health = row.health().known().map_or(v1::Health::Healthy, Into::into);
            if !self.is_health(health) {
                return Progress::Missing(format!("{key} is {}", health.word()));
            }
        }
        if none {
            return Progress::Missing(format!(
                "no object of it is named by --resource {}",
                self.selection.filter()
            ));
        }
        Progress::Reached
    }

    /// Gives the health of each object that is looked at.
    pub(super) fn healths(&self, rows: &[v1::ResourceRow]) -> Health {
        let selected = self.selected(rows);
        selected.map(|(key, row)| (key.to_string(), (row.health(), row.health_message.clone()))).collect()
    }

    fn selected<'a>(
        &'a self,
        rows: &'a [v1::ResourceRow],
    ) -> impl Iterator<Item = (ResourceKey, &'a v1::ResourceRow)> {
        let keyed = rows.iter().filter_map(|row| Some((ResourceKey::from(row.key.as_ref()?), row)));
        keyed.filter(|(key, _)| self.selection.selects(key))
    }

    fn is_health(&self, health: v1::Health) -> bool {
        self.health.is_empty() || self.health.contains(&health)
    }
}

// === impl Healths ===

impl Healths {
    /// Takes healths as they are now; gives what turned from something else that was known to Degraded, and why.
    pub(super) fn turned_bad(&mut self, now: Health) -> Option<(String, String)> {
        let before = std::mem::replace(&mut self.0, now);
        let turned = self.0.iter().find(|(of, (health, _))| {
            let before = before.get(*of).map(|(health, _)| *health);
            let was_well = before.is_some_and(|before| match before {
                v1::Health::Degraded | v1::Health::Unknown => false,
                v1::Health::Unspecified
                | v1::Health::Healthy
                | v1::Health::Suspended
                | v1::Health::Progressing
                | v1::Health::Missing => true,
            });
            was_well && *health == v1::Health::Degraded
        });
        turned.map(|(of, (_, cause))| (of.clone(), cause.clone()))
    }
}

/// Gives the health of an app as a whole.
pub(super) fn health_of(view: &v1::AppView) -> Health {
    let health = view.status.as_ref().map(|status| (status.health(), status.health_message.clone()));
    health.map(|health| (String::new(), health)).into_iter().collect()
}

/// Says why an app is not gone.
pub(super) fn still_there(view: &v1::AppView) -> String {
    let held = view.status.as_ref().is_some_and(|status| status.held.is_some());
    let why = match view.phase() {
        v1::AppPhase::Active | v1::AppPhase::Frozen | v1::AppPhase::Unspecified => {
            "it is in the fleet".to_owned()
        }
        phase @ (v1::AppPhase::Released | v1::AppPhase::Deleting) => format!("it is {}", phase.word()),
    };
    let held = if held { "; deletes are held: argosy app confirm shows them" } else { "" };
    let away = view.observed.as_ref().filter(|observed| observed.last_known).and_then(|_| away(view));
    format!("{why}{held}{}", away.map(|away| format!("; {away}")).unwrap_or_default())
}

/// Tells whether the hub has read the fleet in this life: before that it does not know which apps there are.
pub(super) fn was_read(fleet: Option<&v1::FleetView>) -> bool {
    fleet.is_some_and(|fleet| fleet.last_read_unix_ms.is_some())
}

/// Says that the cluster is away, if it is: what was known last reaches nothing.
fn away(view: &v1::AppView) -> Option<String> {
    let observed = view.observed.as_ref();
    if observed.is_some_and(|observed| !observed.last_known) {
        return None;
    }
    let age = observed.map_or_else(|| "of unknown age".to_owned(), |of| text::age(of.age_ms));
    Some(format!("the cluster is away; its status is {age} old"))
}

/// Says what keeps the hub from telling how an app compares: its document, or its source.
fn why_unknown(view: &v1::AppView) -> String {
    let mut conditions = view.conditions.iter();
    let why = conditions.find(|of| ["ComparisonError", "InvalidSpecError"].contains(&of.r#type.as_str()));
    why.map(|of| format!(": {}: {}", of.r#type, of.message)).unwrap_or_default()
}
