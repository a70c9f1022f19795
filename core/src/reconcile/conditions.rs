//! Conditions: what somebody should know of an app beside its status (Argo CD: `status.conditions`).

use super::Reconciler;
use super::desired::kinds_of;
use super::state::App;
use crate::ids::AppId;
use crate::key::GroupKind;
use crate::status::{Condition, OperationPhase, ResourceRow, SyncStatus};

impl Reconciler {
    /// Gives the conditions of an app, of which these are the rows.
    pub(super) fn conditions(&self, name: &AppId, state: &App, rows: &[ResourceRow]) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let mut add = |kind: &str, message: String| {
            conditions.push(Condition { kind: kind.to_owned(), message });
        };
        let shared: Vec<String> = state
            .wanted
            .keys
            .keys()
            .filter_map(|key| {
                let owner = self.owner(key).filter(|owner| owner != name)?;
                Some(format!("{key} is owned by app {owner}"))
            })
            .take(10)
            .collect();
        if !shared.is_empty() {
            add("SharedResourceWarning", shared.join("; "));
        }
        if !state.wanted.repeated.is_empty() {
            let keys: Vec<String> = state.wanted.repeated.iter().take(10).map(ToString::to_string).collect();
            add(
                "RepeatedResourceWarning",
                format!("given more than once, the last wins: {}", keys.join(", ")),
            );
        }
        if let Some(last) = state.last.as_ref().filter(|last| last.phase != OperationPhase::Succeeded)
            && state.operation.is_none()
        {
            add(
                "SyncError",
                format!("Failed last sync attempt to {}: {}", last.root.0.short(), last.message),
            );
        }
        if let Some(message) = state.farewell_error() {
            add("DeletionError", message);
        }
        if let Some(held) = &state.held {
            add("DeletesHeld", format!("{} deletes are held: {}", held.deletes.len(), held.reason));
        }
        for message in self.unwatched(name, state) {
            add("ComparisonError", message);
        }
        let left = state.left_condition();
        if let Some(Condition { kind, message }) = &left {
            add(kind, message.clone());
        }
        if let Some(reason) = &self.read_only {
            add("ReadOnly", reason.clone());
        }
        if let Some(message) = self.local_condition(state, rows) {
            add("LocalPolicy", message);
        }
        if let Some(paused) = &self.paused {
            add("Paused", format!("{paused}; argosy-agent resume at the edge lets it go on"));
        }
        let is_synced = rows.iter().all(|row| row.status == SyncStatus::Synced);
        if let Some(message) = state.window_condition(is_synced) {
            add("SyncWindow", message);
        }
        if state.listed.as_ref().map(|listed| listed.root)
            != state.newest.as_ref().map(|assigned| assigned.root)
        {
            add("ReleasePending", "a newer release is on its way to the cluster".to_owned());
        }
        let fights: Vec<String> = rows
            .iter()
            .filter(|row| row.message.contains("healing backs off"))
            .map(|row| row.key.to_string())
            .take(10)
            .collect();
        if !fights.is_empty() {
            add("FightWarning", format!("another writer keeps changing {}", fights.join(", ")));
        }
        conditions.sort();
        conditions
    }

    /// Says of every kind that the app needs and that cannot be watched why not.
    fn unwatched(&self, name: &AppId, state: &App) -> Vec<String> {
        let keys = || state.wanted.keys.keys().chain(self.by_app.get(name).into_iter().flatten());
        let kinds = kinds_of(keys().filter(|key| !key.is_part()));
        let why = |kind: GroupKind| {
            let watch = self.watches.get(&kind).filter(|watch| watch.is_refused() || !watch.listed)?;
            Some(format!("cannot watch {kind}: {}", watch.broken.as_ref()?))
        };
        kinds.into_iter().filter_map(why).chain(self.unwatched_parts(keys())).collect()
    }
}
