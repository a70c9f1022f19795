//! What the reconciler and the journal read beside the store: the link's lists, and what is not committed yet.

use std::collections::BTreeMap;

use crate::desired::Assignment;
use crate::ids::AppId;
use crate::release::{Release, Root};
use crate::session::agent::AgentLink;
use crate::session::tables as link_tables;
use crate::store::{StoreError, StoreOp, StoreRead, Table};

pub(super) type Desired<'a> = (Option<&'a crate::desired::DesiredList>, BTreeMap<AppId, Assignment>, bool);

pub(super) fn desired_of(link: &AgentLink) -> Result<Desired<'_>, StoreError> {
    let mut assigned = BTreeMap::new();
    for app in link.assigned_apps() {
        if let Some(bytes) = link.assigned(app) {
            assigned.insert(app.clone(), crate::store::decode(link_tables::ASSIGNED, bytes)?);
        }
    }
    Ok((link.list(), assigned, link.all_releases_verified()))
}

/// Gives the verified entries of every listed release that its app has not switched to.
pub(super) fn announced(
    link: &AgentLink,
    store: &dyn StoreRead,
) -> Result<BTreeMap<Root, Release>, StoreError> {
    let mut announced = BTreeMap::new();
    for (app, element) in link.list().into_iter().flat_map(crate::desired::DesiredList::elements) {
        let root = element.assignment.root;
        if link.assigned(app) == Some(element.bytes.as_slice()) || announced.contains_key(&root) {
            continue;
        }
        if let Some(release) = link.entries(root, store)? {
            announced.insert(root, release);
        }
    }
    Ok(announced)
}

/// A store as it will be after a transaction that is not carried out yet.
pub(super) struct Staged<'a> {
    pub(super) base: &'a dyn StoreRead,
    pub(super) ops: &'a [StoreOp],
}

impl StoreRead for Staged<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        for op in self.ops.iter().rev() {
            match op {
                StoreOp::Put { table: of, key: at, value } if *of == table && at == key => {
                    return Ok(Some(value.clone()));
                }
                StoreOp::Delete { table: of, key: at } if *of == table && at == key => return Ok(None),
                StoreOp::Put { .. } | StoreOp::Delete { .. } => {}
            }
        }
        self.base.get(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let mut rows: BTreeMap<Vec<u8>, Vec<u8>> = self.base.scan(table, prefix)?.into_iter().collect();
        for op in self.ops {
            match op {
                StoreOp::Put { table: of, key, value } if *of == table && key.starts_with(prefix) => {
                    rows.insert(key.clone(), value.clone());
                }
                StoreOp::Delete { table: of, key } if *of == table => {
                    rows.remove(key);
                }
                StoreOp::Put { .. } | StoreOp::Delete { .. } => {}
            }
        }
        Ok(rows.into_iter().collect())
    }
}
