//! What an agent may write: by the project of each app, and by the agent's own policy, whatever the hub says.

use std::collections::BTreeMap;

use super::Reconciler;
use super::state::App;
use crate::cluster::Request;
use crate::desired::{Assignment, Phase};
use crate::ids::AppId;
use crate::key::ResourceKey;
use crate::local::LocalPolicy;
use crate::policy::ServiceAccount;
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
        listed
            .limits
            .permits(
                key,
                self.lives_in_namespace(key),
                &listed.destination.server,
                &listed.destination.cluster,
            )
            .and_then(|()| listed.limits.account())
            .map_err(|denied| denied.to_string())?;
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

    fn lives_in_namespace(&self, key: &ResourceKey) -> bool {
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

    /// Gives what makes sure of a destination namespace: where the agent's policy does not let it be made, it has to be
    /// there.
    pub(super) fn namespace_request(&self, assignment: &Assignment) -> Request {
        let (app, name) = (&assignment.app, assignment.destination.namespace.clone());
        let key = ResourceKey::new("", "Namespace", "", name);
        if self.permits_locally(&key).is_ok() && self.acts_as_nobody(app).is_none() {
            Request::ensure_namespace(assignment, self.account(app))
        } else {
            Request::Get { key }
        }
    }

    /// Says why the destination namespace must not be given labels and annotations, if an assignment states any.
    pub(super) fn refuses_marks(&self, assignment: &Assignment) -> Option<String> {
        let key = ResourceKey::new("", "Namespace", "", assignment.destination.namespace.clone());
        self.permits_locally(&key).err().filter(|_| !assignment.policy.namespace.is_empty())
    }

    /// The destination namespace is not there, and must not be made: the sync writes nothing.
    pub(super) fn namespace_refused(&mut self, app: &AppId, name: &str) {
        let key = ResourceKey::new("", "Namespace", "", name);
        let why = self.permits_locally(&key).err().or_else(|| self.acts_as_nobody(app)).unwrap_or_default();
        let why = format!("the namespace is not there, and {why}");
        let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) else { return };
        work.namespace = None;
        work.results.push(ResultRow::new(key.clone(), ResultCode::SyncFailed, why.clone()));
        self.event(app, None, "NamespaceFailed", format!("namespace {name}: {why}"));
        self.refuse(app, format!("one or more objects failed to apply, reason: {key}: {why}"));
    }

    /// Gives what a sync that prunes leaves because the agent's policy does not let it be deleted.
    pub(super) fn refused_deletes(&self, app: &AppId) -> Vec<(ResourceKey, String)> {
        let prunes = self.apps.get(app).and_then(|state| state.operation.as_ref()).is_some_and(|of| of.prune);
        let left = self.by_app.get(app).into_iter().flatten().filter(|_| prunes && self.local.is_some());
        left.filter(|key| !self.desirers.contains_key(*key) && !key.is_crd())
            .filter(|key| {
                let entry = self.inventory.get(*key);
                entry.is_some_and(|entry| entry.belongs_to(app) && !self.stays(entry) && entry.hook.is_none())
            })
            .filter_map(|key| Some((key.clone(), self.permits_delete(key).err()?)))
            .collect()
    }

    /// Says of an object that the agent's policy does not let it be written, or deleted where that is wanted.
    pub(super) fn local_note(&self, state: &App, key: &ResourceKey, left_over: bool) -> Option<String> {
        self.local.as_ref()?;
        let leaves = state.listed.as_ref().is_some_and(|listed| listed.phase == Phase::Deleting);
        if !left_over && !leaves {
            return self.permits_locally(key).err();
        }
        let entry = self.inventory.get(key).filter(|entry| !self.stays(entry))?;
        let prunes = state.listed.as_ref().and_then(|listed| listed.policy.automated);
        let wanted =
            leaves || prunes.is_some_and(|automated| automated.prune) || state.is_asked_to_prune(key);
        let why = self.permits_delete(key).err().filter(|_| wanted && !entry.detached && !entry.going)?;
        Some(format!("not deleted: {why}"))
    }

    /// Says what the agent's policy keeps back of an app: objects, hooks and deletes.
    pub(super) fn local_condition(&self, state: &App, rows: &[ResourceRow]) -> Option<String> {
        self.local.as_ref()?;
        let objects = rows.iter().filter_map(|row| {
            let note = self.local_note(state, &row.key, row.requires_pruning)?;
            Some((&row.key, note))
        });
        let leaves = state.listed.as_ref().is_some_and(|listed| listed.phase == Phase::Deleting);
        let hooks = state.wanted.hooks.keys().filter(|_| !leaves);
        let hooks = hooks.filter_map(|key| Some((key, self.permits_locally(key).err()?)));
        let refused: Vec<String> = objects.chain(hooks).map(|(key, why)| format!("{key}: {why}")).collect();
        let (named, more) = refused.split_at(refused.len().min(NAMED));
        let more = if more.is_empty() { String::new() } else { format!("; and {} more", more.len()) };
        (!named.is_empty()).then(|| format!("{}{more}", named.join("; ")))
    }
}
