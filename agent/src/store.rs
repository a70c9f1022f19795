//! The agent's store on disk: opened with suspicion, set aside when it cannot be trusted, never read as "empty".

use std::path::Path;
use std::time::Duration;

use argosy_core::agent::TABLES;
use argosy_core::ids::{BootId, ClusterId};
use argosy_runtime::files::{self, FileError};
use argosy_runtime::store::{
    AfterUncleanStop, ChildCheck, Damage, OpenError, Origin, Owner, Store, StoreSpec, set_aside,
};
use tracing::{error, warn};

use crate::identity::Folder;

/// How long the check in a child process may take.
const CHECK: Duration = Duration::from_mins(2);
/// So many starts in a row that died on a store, with no reboot between them, are its fault: fewer may be those of a
/// machine that has too little memory, or of somebody who is impatient.
const FATAL_STARTS: u8 = 8;

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgentStoreError {
    /// It belongs to another cluster.
    #[error("{0}: this data folder is of another cluster; use another folder")]
    Foreign(OpenError),
    /// It cannot be opened, and that says nothing about its content.
    #[error("cannot open the agent's store")]
    Open(#[from] OpenError),
    /// A file beside it cannot be used.
    #[error("cannot use the agent's folder")]
    File(#[from] FileError),
}

/// Describes the store of a cluster's agent.
pub fn spec(cluster: &str) -> StoreSpec {
    StoreSpec { cache_size: 4 << 20, ..StoreSpec::new(TABLES, Owner::new(cluster)) }
}

/// Opens the store. A damaged one, or one that the last starts died on, is set aside: the new one is below the anchor,
/// so the agent only reads until the hub has filled it.
pub fn open(folder: &Folder, cluster: ClusterId, boot: BootId) -> Result<Store, AgentStoreError> {
    let path = folder.store();
    if died_too_often(&folder.starting(), boot)? && path.exists() {
        let aside = set_aside(&path)?;
        error!(aside = %aside.display(), "the last starts died on the store: it is set aside");
    }
    let owner = cluster.to_string();
    let spec = spec(&owner);
    let arguments = ["verify-store".into(), path.clone().into_os_string(), owner.into()];
    let after = AfterUncleanStop::CheckInChild(ChildCheck::new(arguments, CHECK));
    let opened = match Store::open(&path, &spec, &after) {
        Ok(opened) => opened,
        Err(error @ OpenError::Damaged { damage: Damage::Foreign { .. }, .. }) => {
            return Err(AgentStoreError::Foreign(error));
        }
        Err(OpenError::Damaged { damage, .. }) => {
            let aside = set_aside(&path)?;
            error!(error = %damage, aside = %aside.display(), "the store is damaged: set aside, read-only until the hub has filled a new one");
            Store::open(&path, &spec, &after)?
        }
        Err(
            error @ (OpenError::Busy { .. }
            | OpenError::Io { .. }
            | OpenError::Beside { .. }
            | OpenError::Storage { .. }
            | OpenError::Check { .. }),
        ) => return Err(error.into()),
    };
    if opened.origin == Origin::UncleanStop {
        warn!("the last stop was not clean; the store was checked and is sound");
    }
    Ok(opened.store)
}

/// Counts this start; tells whether too many before it never came to rest. A machine that lost its power in the middle of
/// one says nothing about the store.
fn died_too_often(mark: &Path, boot: BootId) -> Result<bool, FileError> {
    let before = match files::read(mark)?.as_deref().and_then(<[u8]>::split_first) {
        Some((count, of)) if of == boot.as_bytes() => *count,
        Some(_) | None => 0,
    };
    let blamed = before >= FATAL_STARTS;
    let count = if blamed { 1 } else { before.saturating_add(1) };
    let mut bytes = vec![count];
    bytes.extend_from_slice(boot.as_bytes());
    files::write(mark, &bytes)?;
    Ok(blamed)
}

/// Says that this start came to rest.
pub fn started(folder: &Folder) -> Result<(), FileError> {
    files::remove(&folder.starting())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_blamed_after_many_starts_that_never_came_to_rest() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let boot = BootId::new([1; 16]);
        let verdicts: Vec<bool> =
            (0..10).map(|_| died_too_often(&folder.starting(), boot).unwrap()).collect();
        assert_eq!(verdicts, [false, false, false, false, false, false, false, false, true, false]);
        started(&folder).unwrap();
        assert!(!died_too_often(&folder.starting(), boot).unwrap());
    }

    #[test]
    fn a_machine_that_loses_its_power_again_and_again_blames_no_store() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        for boot in 0..100 {
            assert!(!died_too_often(&folder.starting(), BootId::new([boot; 16])).unwrap());
        }
    }
}
