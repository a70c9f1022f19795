//! The hub's store on disk.

use std::time::Duration;

use anyhow::Context as _;
use argosy_core::hub::TABLES;
use argosy_core::ids::InstallationId;
use argosy_runtime::store::{AfterUncleanStop, ChildCheck, Origin, Owner, Store, StoreSpec};
use tracing::warn;

use crate::installation::Folder;

/// How long the check in a child process may take.
const CHECK: Duration = Duration::from_mins(5);

/// Describes the store of an installation.
pub fn spec(installation: &str) -> StoreSpec {
    StoreSpec { cache_size: 64 << 20, ..StoreSpec::new(TABLES, Owner::new(installation)) }
}

/// Opens the store. A damaged one is not set aside: it holds the registry, and nothing but a copy replaces that.
pub(crate) fn open(folder: &Folder, installation: InstallationId) -> anyhow::Result<Store> {
    let path = folder.store();
    let owner = installation.to_string();
    let spec = spec(&owner);
    let arguments = ["verify-store".into(), path.clone().into_os_string(), owner.into()];
    let after = AfterUncleanStop::CheckInChild(ChildCheck::new(arguments, CHECK));
    let opened = Store::open(&path, &spec, &after).context(
        "the hub's store cannot be used; the registry is in it: put a copy in its place, or move it away and add \
         every cluster again",
    )?;
    if opened.origin == Origin::UncleanStop {
        warn!("the last stop was not clean; the store was checked and is sound");
    }
    Ok(opened.store)
}
