//! What an agent may write: by the project of each app, and by the agent's own policy, whatever the hub says.

use std::collections::BTreeMap;

use super::state::App;
use super::{InventoryEntry, Reconciler};
use crate::cluster::Request;
use crate::desired::{Assignment, Phase};
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::local::LocalPolicy;
use crate::policy::{Consent, ServiceAccount};
use crate::status::{ResourceRow, ResultCode, ResultRow};

/// So many objects are named in a condition.
const NAMED: usize = 10;

impl Reconciler {
    /// Gives the agent's own policy.
    pub fn policy(&self) -> Option<&LocalPolicy> {
        self.local.as_deref()
    }

    /// Checks the project's limits and the agent's policy at the last step before a write.
    pub(super) fn permits(&self, app: &AppId, key: &ResourceKey) -> Result<(), String> {
        let Some(listed) = self.apps.get(app).and_then(|state| state.listed.as_ref()) else {
            return Err(format!("app {app} is not listed"));
        };
        if let Some(denied) = self.denied_by_project(listed, key) {
            return Err(denied);
        }
        listed.limits.account().map_err(|denied| denied.to_string())?;
        self.permits_locally(key)
    }

    /// Gives the service account that an app acts as, by its project's newest limits; absent: the agent itself. An app that
    /// may act as nobody is kept from writing by [`Self::permits`].
    pub(super) fn account(&self, app: &AppId) -> Option<ServiceAccount> {
        let listed = self.apps.get(app)?.listed.as_ref()?;
        listed.limits.account().ok().flatten().cloned()
    }

    /// Says why an app may act as nobody.
    pub(super) fn acts_as_nobody(&self, app: &AppId) -> Option<String> {
        let listed = self.apps.get(app)?.listed.as_ref()?;
        listed.limits.account().err().map(|denied| denied.to_string())
    }

    pub(super) fn lives_in_namespace(&self, key: &ResourceKey) -> bool {
        self.is_namespaced(&key.group_kind()).unwrap_or(!key.namespace.is_empty())
    }

    fn permits_locally(&self, key: &ResourceKey) -> Result<(), String> {
        let Some(local) = &self.local else { return Ok(()) };
        local.permits(key, self.lives_in_namespace(key)).map_err(|refused| refused.to_string())
    }

    /// Checks the agent's policy at the last step before a delete, and before one is so much as thought of.
    pub(super) fn permits_delete(&self, key: &ResourceKey) -> Result<(), String> {
        let Some(local) = &self.local else { return Ok(()) };
        local.permits_delete(key, self.lives_in_namespace(key)).map_err(|refused| refused.to_string())
    }

    /// Gives which of these objects an app may not write, and why.
    pub(super) fn refused_of<'a>(
        &self,
        app: &AppId,
        keys: impl Iterator<Item = &'a ResourceKey>,
    ) -> BTreeMap<ResourceKey, String> {
        keys.filter_map(|key| Some((key.clone(), self.permits(app, key).err()?))).collect()
    }

    /// Gives what makes sure of a destination namespace: where the project or the agent's policy does not let it be made, it
    /// has to be there.
    pub(super) fn namespace_request(&self, assignment: &Assignment) -> Request {
        let key = namespace_of(assignment);
        if self.permits(&assignment.app, &key).is_ok() {
            Request::ensure_namespace(assignment, self.account(&assignment.app))
        } else {
            Request::Get { key }
        }
    }

    /// Says why the destination namespace must not be given labels and annotations, if an assignment states any.
    pub(super) fn refuses_marks(&self, assignment: &Assignment) -> Option<String> {
        let denied = self.permits(&assignment.app, &namespace_of(assignment)).err();
        denied.filter(|_| !assignment.policy.namespace.is_empty())
    }

    /// The destination namespace is not there, and must not be made: the sync writes nothing.
    pub(super) fn namespace_refused(&mut self, app: &AppId, name: &str) {
        let key = ResourceKey::new("", "Namespace", "", name);
        let why = self.permits(app, &key).err().unwrap_or_default();
        let why = format!("the namespace is not there, and {why}");
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        work.namespace = None;
        work.results.push(ResultRow::new(key.clone(), ResultCode::SyncFailed, why.clone()));
        self.event(app, None, "NamespaceFailed", format!("namespace {name}: {why}"));
        self.refuse(app, format!("one or more objects failed to apply, reason: {key}: {why}"));
    }

    /// Gives what a sync that prunes leaves because its project or the agent's policy does not let it be deleted.
    pub(super) fn refused_deletes(&self, app: &AppId) -> Vec<(ResourceKey, String)> {
        let Some(state) = self.apps.get(app) else { return Vec::new() };
        let Some(listed) = state.listed.as_ref() else { return Vec::new() };
        let writes = |key: &ResourceKey| state.operation.as_ref().is_some_and(|of| of.options.writes(key));
        let left = self.by_app.get(app).into_iter().flatten();
        let left = left.filter(|key| writes(key) && self.prunes(state, listed, key));
        left.filter(|key| !self.desirers.contains_key(*key) && !key.is_crd())
            .filter(|key| {
                let entry = self.inventory.get(*key).filter(|entry| entry.belongs_to(app));
                entry.is_some_and(|entry| entry.hook.is_none() && self.consents(listed, entry))
            })
            .filter_map(|key| Some((key.clone(), self.refuses_delete(listed, key)?)))
            .collect()
    }

    /// Tells whether neither an object nor its application says that it is not to be deleted.
    pub(super) fn consents(&self, listed: &Assignment, entry: &InventoryEntry) -> bool {
        !entry.kept && self.consent(listed, entry) != Consent::Refused
    }

    /// Says why an object must not be deleted, whoever wants it: by its project, or by the agent's policy.
    pub(super) fn refuses_delete(&self, listed: &Assignment, key: &ResourceKey) -> Option<String> {
        self.denied_by_project(listed, key).or_else(|| self.permits_delete(key).err())
    }

    /// Says of an object that its project does not permit it: to be written, or deleted where that is wanted.
    pub(super) fn project_note(&self, state: &App, key: &ResourceKey, left_over: bool) -> Option<String> {
        let denied = self.denied_by_project(state.listed.as_ref()?, key)?;
        if !is_leaving(state) && !left_over {
            return Some(denied);
        }
        self.is_to_go(state, key).then(|| format!("not deleted: {denied}"))
    }

    /// Says of an object that the agent's policy does not let it be written, or deleted where that is wanted.
    pub(super) fn local_note(&self, state: &App, key: &ResourceKey, left_over: bool) -> Option<String> {
        self.local.as_ref()?;
        if !left_over && !is_leaving(state) {
            return self.permits_locally(key).err();
        }
        let why = self.permits_delete(key).err().filter(|_| self.is_to_go(state, key))?;
        Some(format!("not deleted: {why}"))
    }

    /// Tells whether an object that left the desired state, or is to go with its app, would be deleted if it might be.
    fn is_to_go(&self, state: &App, key: &ResourceKey) -> bool {
        let Some(listed) = &state.listed else { return false };
        let prunes = listed.policy.automated.is_some_and(|automated| automated.prune);
        let wanted = is_leaving(state) || prunes || state.is_asked_to_prune(key);
        let entry = self.inventory.get(key).filter(|entry| !entry.detached && !entry.going);
        wanted && entry.is_some_and(|entry| self.consents(listed, entry))
    }

    /// Says what the agent's policy keeps back of an app: objects, hooks and deletes.
    pub(super) fn local_condition(&self, state: &App, rows: &[ResourceRow]) -> Option<String> {
        self.local.as_ref()?;
        let objects = rows.iter().filter_map(|row| {
            let note = self.local_note(state, &row.key, row.requires_pruning)?;
            Some((&row.key, note))
        });
        let hooks = state.wanted.hooks.keys().filter(|_| !is_leaving(state));
        let hooks = hooks.filter_map(|key| Some((key, self.permits_locally(key).err()?)));
        let refused: Vec<String> = objects.chain(hooks).map(|(key, why)| format!("{key}: {why}")).collect();
        let (named, more) = refused.split_at(refused.len().min(NAMED));
        let more = if more.is_empty() { String::new() } else { format!("; and {} more", more.len()) };
        (!named.is_empty()).then(|| format!("{}{more}", named.join("; ")))
    }
}

/// Gives the destination namespace as an object.
fn namespace_of(assignment: &Assignment) -> ResourceKey {
    ResourceKey::new("", "Namespace", "", assignment.destination.namespace.as_str())
}

/// Tells whether a whole app is being deleted.
fn is_leaving(state: &App) -> bool {
    state.listed.as_ref().is_some_and(|listed| listed.phase == Phase::Deleting)
}
