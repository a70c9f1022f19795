//! `Replace=true` and `Force=true`: what takes the place of all that is there, and what is deleted and made anew because it
//! cannot be changed.
//!
//! A sync alone does either, never a heal. What is made anew is deleted by its UID after a look just before, counts in the
//! governor's hour, and is never a Namespace, a claim, a definition, or what may not be deleted unasked (M21, M22).

use super::{Intent, InventoryEntry, Reconciler};
use crate::cluster::{LiveMeta, Request, Tracking};
use crate::ids::{AppId, Digest};
use crate::key::ResourceKey;
use crate::policy::{Consent, SyncPolicy};
use crate::selection::SyncOptions;
use crate::time::Now;

/// How long an object that the governor keeps from being made anew rests between looks.
const GOVERNED_MS: u64 = 60_000;
/// How soon one that is on its way out is looked at again.
const LOOK_AGAIN_MS: u64 = 1_000;

impl Reconciler {
    /// Tells whether an apply takes the place of all that is there: as its sync was asked to, else as the object says, else
    /// its app. A part never does.
    pub(super) fn replaces(&self, app: &AppId, key: &ResourceKey, manifest: Digest, heal: bool) -> bool {
        let own = self.facts.get(&manifest).and_then(|facts| facts.replace);
        !heal && !key.is_part() && self.option(app, own, |options| options.replace, |policy| policy.replace)
    }

    fn option(
        &self,
        app: &AppId,
        own: Option<bool>,
        asked: impl Fn(&SyncOptions) -> bool,
        policy: impl Fn(&SyncPolicy) -> bool,
    ) -> bool {
        let running = self.apps.get(app).and_then(|state| state.operation.as_ref());
        running.is_some_and(|running| {
            asked(&running.options) || own.unwrap_or_else(|| policy(&running.assignment.policy))
        })
    }

    /// Says why an object is not deleted and made anew, if it is not to be.
    pub(super) fn may_recreate(&self, app: &AppId, key: &ResourceKey) -> Result<(), Option<String>> {
        let state = self.apps.get(app);
        let work = state.and_then(|state| state.work.as_ref());
        let manifest = work.and_then(|work| work.wanted.keys.get(key)).map(|wanted| wanted.manifest);
        let facts = manifest.and_then(|manifest| self.facts.get(&manifest));
        let own = facts.and_then(|facts| facts.force);
        if manifest.is_none() || !self.option(app, own, |options| options.force, |policy| policy.force) {
            return Err(None);
        }
        let never = |what: &str| Err(Some(format!("Force=true never deletes {what}")));
        if key.is_part() {
            return never("an object for a part of it");
        }
        if key.is_namespace() {
            return never("a Namespace");
        }
        if key.group_kind().is_claim() {
            return never("a PersistentVolumeClaim");
        }
        if key.is_crd() {
            return never("a CustomResourceDefinition");
        }
        let listed = state.and_then(|state| state.listed.as_ref());
        let entry = self.inventory.get(key).filter(|entry| entry.belongs_to(app) && entry.uid.is_some());
        let (Some(listed), Some(entry)) = (listed, entry) else {
            return never("what this app does not manage");
        };
        // What is to be applied may say no as well as what was.
        let says = [facts.and_then(|facts| facts.prune), facts.and_then(|facts| facts.delete)];
        let refused = says.iter().flatten().any(|consent| *consent != Consent::Given);
        if refused || entry.kept || self.consent(listed, entry) != Consent::Given {
            return never("what Prune= or Delete= keeps from being deleted unasked");
        }
        self.permits_delete(key).map_err(Some)?;
        if self.hold_deletes {
            return Err(Some(
                "deletes of this cluster are held until argosy cluster reconcile ends that".to_owned(),
            ));
        }
        Ok(())
    }

    /// An object may not become what is applied: it is deleted first where it may be, else that fails it.
    pub(super) fn recreate(&mut self, app: &AppId, key: &ResourceKey, reason: &str, now: Now) {
        let may = self.may_recreate(app, key);
        let anew = self.item(app, key).is_some_and(|item| item.hook.is_none() && !item.recreated);
        match may {
            Ok(()) if anew => {
                if let Some(item) = self.item_mut(app, key) {
                    (item.recreated, item.cleared) = (true, false);
                }
                self.event(app, Some(key), "Recreated", format!("deleted, to be made anew: {reason}"));
                self.item_again(app, key, now.ms(), "being made anew", false);
            }
            Err(Some(why)) => self.item_failed(app, key, format!("{reason}; {why}")),
            Ok(()) | Err(None) => self.item_failed(app, key, reason.to_owned()),
        }
    }

    /// Tells whether an object of a sync is deleted first.
    pub(super) fn is_recreated(&self, app: &AppId, key: &ResourceKey) -> bool {
        self.item(app, key).is_some_and(|item| item.recreated)
    }

    /// The last look before an object is deleted that is made anew: the same incarnation, and its tracking still ours.
    pub(super) fn recreate_looked_at(&mut self, app: &AppId, key: &ResourceKey, live: &LiveMeta, now: Now) {
        if live.deleting {
            self.hook_again(app, key, now.ms().saturating_add(LOOK_AGAIN_MS), "deletion");
            return;
        }
        let Some(entry) = self.inventory.get(key).cloned() else {
            self.item_failed(app, key, "it is not managed any more, and so not made anew".to_owned());
            return;
        };
        let ours = matches!(&live.tracking, Tracking::Ours { installation, app: of, names }
            if *installation == Some(self.installation) && of == app && names == key);
        if entry.uid.as_ref() != Some(&live.uid) || !ours || live.owned {
            self.item_failed(app, key, "what is there is not ours, and so not made anew".to_owned());
            return;
        }
        let may = self.may_recreate(app, key).map_err(Option::unwrap_or_default);
        if let Err(reason) = may.and_then(|()| self.permits(app, key)) {
            self.item_failed(app, key, reason);
            return;
        }
        if !self.governor.has_room(self.managed_objects(), self.open_deletes(), now.ms()) {
            let due = now.ms().saturating_add(GOVERNED_MS);
            self.hook_again(app, key, due, "the governor: too many deletes within an hour");
            return;
        }
        let uid = live.uid.clone();
        let intent = Some(Intent::Delete { uid: uid.clone(), at: now.mono, counted: true });
        self.settle_queue.insert(key.clone(), now.ms().saturating_add(super::settle_ms()));
        self.put_inventory(key, Some(InventoryEntry { intent, ..entry }));
        let listed = self.apps.get(app).and_then(|state| state.listed.as_ref());
        let propagation = listed.map(|listed| listed.policy.propagation).unwrap_or_default();
        let request = Request::Delete { key: key.clone(), uid, propagation, account: self.account(app) };
        self.send(key.clone(), super::Purpose::DeleteHook { app: app.clone() }, request);
    }
}
