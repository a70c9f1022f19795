//! Apps that render documents of the fleet (app-of-apps, M9).
//!
//! An `Application` or `AppProject` that an app for `in-cluster` renders is a document of the fleet like one of its
//! folder; the rest of what it renders goes to that cluster. What an app brought last is durable: an app that fails, or
//! whose source was not read yet, takes nothing away. Of documents with one name the first counts: the folder's, then
//! those of the apps that are nearer to it, then by the name of the app that brings them.

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::{Decode, Encode};

use self::growth::Growth;
use self::orders::Ordered;
use self::split::Split;
use super::{Fleet, FleetRead, Rendering};
use crate::application::Source;
use crate::ids::AppId;
use crate::release::Root;
use crate::status::{Condition, ResourceRow};
use crate::store::{self, StoreError, StoreOp, StoreRead, Table};
use crate::time::WallTime;

pub use self::orders::Order;

mod claim;
mod growth;
mod orders;
mod rest;
mod split;
mod standing;

/// Table of apps that brought documents: app → what they brought last.
pub const PARENTS: Table = "parents";

/// So many apps may bring one another, the fleet's folder not counted.
pub(super) const DEPTH: usize = 8;

/// How often projects that are brought may change who may bring what, in one decision.
const ROUNDS: usize = 8;

/// What a rendering of an app came to, if it was of this source.
pub type Renderings<'a> = &'a dyn Fn(&AppId, &Source) -> Option<Rendering>;

/// What an app brought last.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Known {
    /// The release that holds its documents, and nothing else.
    #[n(0)]
    documents: Root,
    /// Whether they leave with it: its document has a finalizer.
    #[n(1)]
    cascade: bool,
    /// What somebody ordered it to bring; absent where it brings by itself what it renders.
    #[n(2)]
    ordered: Option<Ordered>,
}

/// All apps that brought documents.
#[derive(Debug, Clone, Default)]
pub(super) struct Parents {
    known: BTreeMap<AppId, Known>,
    /// Releases that were looked into, so that a decision reads none of them again.
    splits: BTreeMap<(AppId, Root), Arc<Split>>,
}

/// What became of the documents that an app renders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Family {
    /// The release that goes to the cluster: without the documents.
    pub root: Option<Root>,
    /// The commit that it was rendered from.
    pub commit: Option<String>,
    /// A row for each document.
    pub rows: Vec<ResourceRow>,
    /// What the app should be said of.
    pub conditions: Vec<Condition>,
}

/// A read with all that the fleet's apps bring.
#[derive(Debug, Clone, Default)]
pub struct Grown {
    /// The read.
    pub read: FleetRead,
    /// Apps whose release has documents, with the release that goes to the cluster.
    pub rest: BTreeMap<AppId, Root>,
    /// Apps that bring documents.
    pub families: BTreeMap<AppId, Family>,
    /// Changes of the table of parents, and new releases.
    pub ops: Vec<StoreOp>,
    /// Sync windows had a say: what they say changes with time.
    pub windows: bool,
    /// What became of the order; absent where its app was not looked at.
    pub answer: Option<Result<(), String>>,
}

// === impl Parents ===

impl PartialEq for Parents {
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known
    }
}

impl Parents {
    pub(super) fn load(store: &dyn StoreRead) -> Result<Self, StoreError> {
        let mut known = BTreeMap::new();
        for (app, value) in store.scan(PARENTS, &[])? {
            let app: AppId = store::decode(PARENTS, &app)?;
            known.insert(app, store::decode(PARENTS, &value)?);
        }
        Ok(Self { known, splits: BTreeMap::new() })
    }

    /// Gives the releases that hold documents.
    pub(super) fn roots(&self) -> impl Iterator<Item = Root> {
        let ordered = self.known.values().filter_map(|known| known.ordered.as_ref());
        self.known.values().map(|known| known.documents).chain(ordered.map(|ordered| ordered.documents))
    }
}

// === impl Fleet ===

impl Fleet {
    /// Tells whether an app brought documents, or was ordered to.
    pub fn brings(&self, app: &AppId) -> bool {
        self.parents.known.contains_key(app)
    }

    /// Adds to a read of the fleet's source what its apps bring, and what somebody orders one of them to bring. `at` is the
    /// hub's time, for sync windows.
    pub fn grow(
        &mut self,
        base: &FleetRead,
        renderings: Renderings<'_>,
        order: Option<&Order>,
        at: WallTime,
        store: &dyn StoreRead,
    ) -> Result<Grown, StoreError> {
        let mut projects = self.projects.clone();
        projects.learn(base);
        let mut round = 0;
        loop {
            let growth = Growth::new(self, &projects, base, renderings, (order, at), store);
            let (grown, parents) = growth.run()?;
            let mut learnt = projects.clone();
            learnt.learn(&grown.read);
            round += 1;
            if learnt == projects || round == ROUNDS {
                self.parents = parents;
                return Ok(grown);
            }
            projects = learnt;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::store::{decode, encode};

    /// What a hub kept before there were orders.
    #[derive(Encode)]
    struct Older {
        #[n(0)]
        documents: Root,
        #[n(1)]
        cascade: bool,
    }

    #[test]
    fn a_row_without_an_order_is_read_and_written_as_before() {
        let documents = Root(Digest::of(b"documents"));
        let bytes = encode(&Older { documents, cascade: true });
        let known = Known { documents, cascade: true, ordered: None };
        assert_eq!(decode::<Known>(PARENTS, &bytes).unwrap(), known);
        assert_eq!(encode(&known), bytes);
        let ordered = Ordered { documents, prune: true, commit: "c0ffee".to_owned() };
        let known = Known { ordered: Some(ordered), ..known };
        assert_eq!(decode::<Known>(PARENTS, &encode(&known)).unwrap(), known);
    }
}
