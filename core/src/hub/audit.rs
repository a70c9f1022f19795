//! What the journals of clusters tell operators.

use std::collections::BTreeMap;

use super::HubMachine;
use crate::ids::AppId;
use crate::journal::{Audit, Told};
use crate::release::Root;
use crate::store::{StoreError, StoreRead};
use crate::time::WallTime;

/// What ran on a cluster at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditView {
    /// What its journal tells.
    pub audit: Audit,
    /// Commits that rendered to the releases of apps, as far as they are known.
    pub commits: BTreeMap<(AppId, Root), String>,
    /// Whether its agent is connected now.
    pub connected: bool,
    /// Up to when the journal is known to be whole; absent when there is none.
    pub until: Option<WallTime>,
    /// Whether the agent keeps a journal, as far as is known.
    pub keeps: bool,
}

impl HubMachine {
    /// Gives the rows of a cluster's journal from a time on, in words; `None` when there is no such cluster.
    pub fn journal_since(
        &self,
        name: &str,
        since: WallTime,
        store: &dyn StoreRead,
    ) -> Result<Option<Vec<Told>>, StoreError> {
        let Some((cluster, _)) = self.registry.find(name) else { return Ok(None) };
        let Some(link) = self.links.get(&cluster) else { return Ok(None) };
        let rows = link.journal().rows_since(store, cluster, since)?;
        Ok(Some(rows.iter().map(Told::of).collect()))
    }

    /// Says what ran on a cluster at a time; `None` when there is no such cluster.
    pub fn audit(
        &self,
        name: &str,
        at: WallTime,
        store: &dyn StoreRead,
    ) -> Result<Option<AuditView>, StoreError> {
        let Some((cluster, _)) = self.registry.find(name) else { return Ok(None) };
        let Some(link) = self.links.get(&cluster) else { return Ok(None) };
        let audit = link.journal().audit(store, cluster, at)?;
        let placements = self.fleet.placements();
        let mut commits = BTreeMap::new();
        for (app, known) in &audit.picture.apps {
            let placement = placements.get(&(cluster, app.clone()));
            for root in known.state.roots() {
                let kept =
                    known.commits.iter().find(|(of, _)| *of == root).map(|(_, commit)| commit.as_str());
                let commit = kept.or_else(|| placement.and_then(|placement| placement.commit_of(root)));
                commits.extend(commit.map(|commit| ((app.clone(), root), commit.to_owned())));
            }
        }
        let connected = link.session().is_some();
        // What the agent did after it was heard last is not known here.
        let until = if audit.complete { link.last_seen() } else { audit.newest };
        let keeps = link.capabilities().is_none_or(|names| names.contains(crate::journal::CAPABILITY));
        Ok(Some(AuditView { audit, commits, connected, until, keeps }))
    }
}
