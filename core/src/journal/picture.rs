//! What ran at a time: rows folded in their order.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::tables::HUB_JOURNAL_BASE;
use super::{AppState, Entry, KeptRow, Row, What};
use crate::ids::{AppId, ClusterId, Epoch, Generation};
use crate::pause::PauseOrder;
use crate::release::Root;
use crate::session::tables::{app_rows, cluster_key};
use crate::store::{StoreError, StoreOp, StoreRead, encode, get_as};
use crate::time::WallTime;

/// Key of what is not of an app.
const REST: &[u8] = b"r";
/// First byte of the key of an app.
const APP: &[u8] = b"a";

/// What was said of an app last.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Known {
    /// What was said.
    #[n(0)]
    pub state: AppState,
    /// When.
    #[n(1)]
    pub at: WallTime,
    /// Whether that is by the hub's clock.
    #[n(2)]
    pub exact: bool,
    /// Since when rows are missing that may say otherwise.
    #[n(3)]
    pub doubtful_since: Option<WallTime>,
    /// Commits that rendered to its releases.
    #[n(4)]
    pub commits: Vec<(Root, String)>,
}

/// What is not of one app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
struct Rest {
    #[n(0)]
    ordered: Option<PauseOrder>,
    #[n(1)]
    ordered_at: Option<WallTime>,
    #[n(2)]
    read_only: Option<String>,
    #[n(3)]
    head: Option<(Epoch, Generation)>,
    #[n(4)]
    missing_since: Option<WallTime>,
}

/// A cluster at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picture {
    /// Its apps.
    pub apps: BTreeMap<AppId, Known>,
    rest: Rest,
}

impl Picture {
    /// Reads what the rows that were dropped said last.
    pub(super) fn load(store: &dyn StoreRead, cluster: ClusterId) -> Result<Self, StoreError> {
        let mut apps = BTreeMap::new();
        for (app, value) in app_rows(store, HUB_JOURNAL_BASE, &cluster_key(cluster, APP))? {
            apps.insert(app, crate::store::decode(HUB_JOURNAL_BASE, &value)?);
        }
        let rest = get_as(store, HUB_JOURNAL_BASE, &cluster_key(cluster, REST))?.unwrap_or_default();
        Ok(Self { apps, rest })
    }

    /// Gives what makes the stored picture this one.
    pub(super) fn changes_from(&self, before: &Self, cluster: ClusterId) -> Vec<StoreOp> {
        let key = |app: &AppId| cluster_key(cluster, &[APP, &encode(app)].concat());
        let mut ops = Vec::new();
        for (app, known) in &self.apps {
            if before.apps.get(app) != Some(known) {
                ops.push(StoreOp::put(HUB_JOURNAL_BASE, key(app), known));
            }
        }
        for app in before.apps.keys().filter(|app| !self.apps.contains_key(*app)) {
            ops.push(StoreOp::delete(HUB_JOURNAL_BASE, key(app)));
        }
        if self.rest != before.rest {
            ops.push(StoreOp::put(HUB_JOURNAL_BASE, cluster_key(cluster, REST), &self.rest));
        }
        ops
    }

    /// Takes the next row.
    pub(super) fn take(&mut self, kept: &KeptRow) {
        let row = match &kept.entry {
            Entry::Row { row, .. } => Row::from_bytes(row),
            Entry::Gap { .. } | Entry::Another { .. } => {
                self.doubt(kept.at);
                return;
            }
            Entry::Refused { .. } => return,
        };
        let Some(what) = row.and_then(|row| row.what()) else { return };
        match what {
            What::App { app, state } => {
                let known = Known {
                    state,
                    at: kept.at,
                    exact: kept.exact,
                    doubtful_since: None,
                    commits: kept.commits.clone(),
                };
                self.apps.insert(app, known);
            }
            What::Left { app } => {
                self.apps.remove(&app);
            }
            What::Ordered { order } => {
                self.rest.ordered = Some(order);
                self.rest.ordered_at = Some(kept.at);
            }
            What::Writes { read_only } => self.rest.read_only = read_only,
            What::Head { epoch, generation } => self.rest.head = Some((epoch, generation)),
            What::Began { .. } | What::Started { .. } | What::Event { .. } => {}
        }
    }

    /// Gives the pause that was in force, and since when by the hub's clock.
    pub fn paused(&self) -> Option<(&PauseOrder, WallTime)> {
        let order = self.rest.ordered.as_ref().filter(|order| order.is_pause())?;
        Some((order, self.rest.ordered_at.unwrap_or(order.at)))
    }

    /// Gives why the agent only read, whatever was paused.
    pub fn read_only(&self) -> Option<&str> {
        self.rest.read_only.as_deref()
    }

    /// Gives the head that the agent held.
    pub fn head(&self) -> Option<(Epoch, Generation)> {
        self.rest.head
    }

    /// Gives since when rows were missing last.
    pub fn missing_since(&self) -> Option<WallTime> {
        self.rest.missing_since
    }

    fn doubt(&mut self, at: WallTime) {
        self.rest.missing_since = Some(at);
        for known in self.apps.values_mut() {
            known.doubtful_since.get_or_insert(at);
        }
    }
}
