//! What a hub knows of a cluster's link, durably.

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::bundle::CHAIN;
use crate::desired::{Anchor, DesiredList, SignedHead};
use crate::ids::{AppId, ClusterId, Epoch, Generation, Incarnation};
use crate::pause::ToldPause;
use crate::release::Root;
use crate::session::frame::{ClusterFacts, Statement};
use crate::session::tables::{
    ELEMENT, HUB_ACKED, HUB_INFLIGHT, HUB_LINK, HUB_RECENT, SETTINGS, app_rows, cluster_key, element_key,
};
use crate::store::{StoreError, StoreOp, StoreRead, Table, decode, encode, get_as};
use crate::time::{MonoTime, Now, WallTime};

/// How many heads that were not acknowledged are remembered; an agent that holds an older one is of an unknown chain.
const UNACKNOWLEDGED: usize = 16;
/// How many roots before the newest are remembered for each app.
const RECENT: usize = 4;

/// The row of [`HUB_LINK`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(super) struct Record {
    /// The chain; absent before the first head.
    #[n(0)]
    pub(super) epoch: Option<Epoch>,
    /// Highest number that was sent.
    #[n(1)]
    pub(super) last: Generation,
    /// The head that the agent is known to hold.
    #[n(2)]
    pub(super) acked: Option<SignedHead>,
    /// The head that was sent and not acknowledged.
    #[n(3)]
    pub(super) inflight: Option<SignedHead>,
    /// Up to where statuses are here.
    #[n(4)]
    pub(super) status: Option<Watermark>,
    #[n(5)]
    pub(super) facts: Option<ClusterFacts>,
    #[n(6)]
    pub(super) unknown: Option<UnknownChain>,
    /// UID of another cluster that uses this identity, while nobody has decided.
    #[n(7)]
    pub(super) clone: Option<String>,
    /// UIDs of `kube-system` that an operator decided against.
    #[n(8)]
    pub(super) refused_uids: Vec<String>,
    #[n(9)]
    pub(super) observed: Option<Seen>,
    #[n(10)]
    pub(super) last_seen: WallTime,
    /// The pause at the edge that the agent told of last.
    #[n(11)]
    pub(super) paused: Option<PausedSince>,
    /// Heads after the acknowledged one that were sent, oldest first: the agent may hold any of them. A copy of this
    /// store that went on elsewhere sent others under the same numbers.
    #[n(12)]
    #[cbor(default)]
    pub(super) unacknowledged: Vec<Anchor>,
    /// Heads from the acknowledged one on, each following the one before: what a bundle leads an agent along.
    #[n(13)]
    #[cbor(default)]
    pub(super) chain: Vec<SignedHead>,
    /// What the agent said last of itself as a whole.
    #[n(14)]
    #[cbor(default)]
    pub(super) statement: Option<Statement>,
    /// Stores of the agent before this one: what they said is old.
    #[n(15)]
    #[cbor(default)]
    pub(super) past_series: Vec<Incarnation>,
}

impl Record {
    /// Notes a head before it is sent.
    pub(super) fn sends(&mut self, head: SignedHead) {
        let follows = self.chain.iter().position(|made| made.head.hash() == head.head.previous);
        self.chain.truncate(follows.map_or(0, |at| at.saturating_add(1)));
        self.chain.push(head);
        if self.chain.len() > CHAIN {
            self.chain.remove(0);
        }
        self.last = head.head.generation;
        self.inflight = Some(head);
        self.unacknowledged.push(Anchor::of(&head.head));
        if self.unacknowledged.len() > UNACKNOWLEDGED {
            self.unacknowledged.remove(0);
        }
    }

    /// Notes what the agent is known to hold.
    pub(super) fn acknowledges(&mut self, held: Option<SignedHead>) {
        let at = self.chain.iter().position(|made| Some(*made) == held);
        self.chain = match at {
            Some(at) => self.chain.split_off(at),
            None => held.into_iter().collect(),
        };
        self.inflight = None;
        self.acked = held;
        let last = held.map(|held| held.head.generation);
        self.unacknowledged.retain(|sent| last.is_some_and(|last| sent.generation > last));
    }

    /// Notes that the agent is known to hold a head that leads to the one in flight, which stays; `false` when none does.
    pub(super) fn has_come_to(&mut self, held: SignedHead) -> bool {
        let Some(inflight) = self.inflight.filter(|inflight| self.chain.last() == Some(inflight)) else {
            return false;
        };
        if inflight == held || !self.chain.contains(&held) {
            return false;
        }
        self.acknowledges(Some(held));
        self.inflight = Some(inflight);
        true
    }

    /// Tells whether this hub sent a head, as far as it remembers.
    pub(super) fn knows(&self, anchor: &Anchor) -> bool {
        let is = |head: Option<SignedHead>| head.is_some_and(|head| Anchor::of(&head.head) == *anchor);
        if is(self.acked) || is(self.inflight) {
            return true;
        }
        if Some(anchor.epoch) != self.epoch || anchor.generation > self.last {
            return false;
        }
        let acked = self.acked.filter(|acked| acked.head.epoch == anchor.epoch);
        let older = acked.is_some_and(|acked| anchor.generation < acked.head.generation);
        let made = || self.chain.iter().any(|made| Anchor::of(&made.head) == *anchor);
        older || self.unacknowledged.contains(anchor) || made()
    }

    /// Gives the newest head that was made, with those that lead to it.
    pub(super) fn lead(&self) -> Vec<SignedHead> {
        let newest = self.inflight.or(self.acked);
        if self.chain.last().copied() == newest { self.chain.clone() } else { newest.into_iter().collect() }
    }
}

/// Up to which number of which incarnation statuses are at the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Watermark {
    #[n(0)]
    pub(super) incarnation: Incarnation,
    #[n(1)]
    pub(super) sequence: u64,
}

/// An agent whose head was of no chain that this hub knew (M14): its deletes are held until an operator reconciles.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct UnknownChain {
    /// When it was found.
    #[n(0)]
    pub since: WallTime,
    /// What did not fit.
    #[n(1)]
    pub why: String,
    /// Whether the agent has taken the head that repeats its own list.
    #[n(2)]
    pub repeated: bool,
}

/// A pause at the edge (break-glass), kept while the agent is away.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PausedSince {
    /// Who paused it.
    #[n(0)]
    pub by: String,
    /// Why; may be empty.
    #[n(1)]
    pub reason: String,
    /// Since when: by this hub's clock, or by the agent's when its machine was restarted before the hub first heard of
    /// it.
    #[n(2)]
    pub since: WallTime,
    /// When, by the agent's clock: tells one pause from the next.
    #[n(3)]
    pub at: WallTime,
}

impl PausedSince {
    /// Takes what an agent tells; what is known of the same pause stays.
    pub(super) fn of(told: ToldPause, known: Option<Self>, now: Now) -> Self {
        let ToldPause { by, reason, at, held_ms } = told;
        let ago = held_ms.map(|held| i64::try_from(held).unwrap_or(i64::MAX));
        let since = ago.map_or(at, |ago| WallTime(now.wall.0.saturating_sub(ago)));
        let fresh = Self { by, reason, since: since.min(now.wall), at };
        known.filter(|known| Self { since: fresh.since, ..known.clone() } == fresh).unwrap_or(fresh)
    }

    /// Says why nothing is written.
    pub fn words(&self) -> String {
        let why = if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) };
        format!("paused by {}{why}", self.by)
    }
}

/// When the hub learnt something, and how old it was then by the agent's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Seen {
    /// The hub's elapsed time at receipt.
    #[n(0)]
    pub received: MonoTime,
    /// The hub's wall time at receipt: used for ages only over a reboot of the hub.
    #[n(1)]
    pub received_wall: WallTime,
    /// Age at receipt in milliseconds.
    #[n(2)]
    pub age_ms: u64,
}

impl Seen {
    /// Gives how old it is now.
    pub fn age(&self, now: Now) -> Duration {
        let since = now.mono.since(&self.received).unwrap_or_else(|| {
            let elapsed = now.wall.0.saturating_sub(self.received_wall.0);
            Duration::from_millis(u64::try_from(elapsed).unwrap_or(0))
        });
        since.saturating_add(Duration::from_millis(self.age_ms))
    }
}

/// What is read back after a restart.
pub(super) struct Loaded {
    pub(super) record: Record,
    pub(super) acked: Option<DesiredList>,
    pub(super) inflight: Option<DesiredList>,
    pub(super) recent: BTreeMap<AppId, Vec<Root>>,
}

pub(super) fn load(store: &dyn StoreRead, cluster: ClusterId) -> Result<Loaded, StoreError> {
    let record: Record = get_as(store, HUB_LINK, cluster.as_bytes())?.unwrap_or_default();
    let bad = |table: Table| {
        move |error: crate::desired::ListError| StoreError::Undecodable { table, why: error.to_string() }
    };
    let acked = match store.get(HUB_ACKED, &cluster_key(cluster, SETTINGS))? {
        None => None,
        Some(settings) => {
            let elements = store.scan(HUB_ACKED, &cluster_key(cluster, &[ELEMENT]))?;
            let elements = elements.into_iter().map(|(_, value)| value);
            Some(DesiredList::from_parts(settings, elements).map_err(bad(HUB_ACKED))?)
        }
    };
    if record.acked.map(|head| head.head.list_root) != acked.as_ref().map(DesiredList::root) {
        let why = "the acknowledged list does not hash to the root in its head".to_owned();
        return Err(StoreError::Undecodable { table: HUB_ACKED, why });
    }
    let inflight = match record.inflight {
        None => None,
        Some(_) => Some(load_inflight(store, cluster, acked.as_ref())?),
    };
    if record.inflight.map(|head| head.head.list_root) != inflight.as_ref().map(DesiredList::root) {
        let why = "the list in flight does not hash to the root in its head".to_owned();
        return Err(StoreError::Undecodable { table: HUB_INFLIGHT, why });
    }
    let mut recent = BTreeMap::new();
    for (app, value) in app_rows(store, HUB_RECENT, cluster.as_bytes())? {
        recent.insert(app, decode(HUB_RECENT, &value)?);
    }
    Ok(Loaded { record, acked, inflight, recent })
}

fn load_inflight(
    store: &dyn StoreRead,
    cluster: ClusterId,
    acked: Option<&DesiredList>,
) -> Result<DesiredList, StoreError> {
    let bad = |why: String| StoreError::Undecodable { table: HUB_INFLIGHT, why };
    let settings = get_as::<Option<ByteVec>>(store, HUB_INFLIGHT, &cluster_key(cluster, SETTINGS))?.flatten();
    let mut list = match (settings, acked) {
        (Some(settings), Some(acked)) => {
            let mut list = acked.clone();
            list.set_settings_bytes(settings.into()).map_err(|error| bad(error.to_string()))?;
            list
        }
        (None, Some(acked)) => acked.clone(),
        (Some(settings), None) => {
            DesiredList::from_parts(settings.into(), []).map_err(|error| bad(error.to_string()))?
        }
        (None, None) => return Err(bad("a head in flight has no list".into())),
    };
    for (app, value) in app_rows(store, HUB_INFLIGHT, &cluster_key(cluster, &[ELEMENT]))? {
        match decode::<Option<ByteVec>>(HUB_INFLIGHT, &value)? {
            None => {
                list.remove(&app);
            }
            Some(bytes) => {
                list.set_bytes(bytes.into()).map_err(|error| bad(error.to_string()))?;
            }
        }
    }
    Ok(list)
}

/// One row in which two lists differ: its key within the cluster, and the new value, absent for one that left.
type Difference = (Vec<u8>, Option<Vec<u8>>);

fn differences(from: Option<&DesiredList>, to: &DesiredList) -> Vec<Difference> {
    let mut rows = Vec::new();
    if from.is_none_or(|from| from.settings_bytes() != to.settings_bytes()) {
        rows.push((SETTINGS.to_vec(), Some(to.settings_bytes().to_vec())));
    }
    let old = from.map(DesiredList::elements);
    for (app, element) in to.elements() {
        if old.and_then(|old| old.get(app)).is_none_or(|before| before.bytes != element.bytes) {
            rows.push((element_key(app), Some(element.bytes.clone())));
        }
    }
    for app in old.iter().flat_map(|old| old.keys()).filter(|app| !to.elements().contains_key(*app)) {
        rows.push((element_key(app), None));
    }
    rows
}

/// Gives the rows that make the acknowledged list `to`.
pub(super) fn acked_ops(
    cluster: ClusterId,
    from: Option<&DesiredList>,
    to: Option<&DesiredList>,
) -> Vec<StoreOp> {
    let rows = match to {
        Some(to) => differences(from, to),
        None => from
            .iter()
            .flat_map(|from| from.elements().keys().map(element_key).chain([SETTINGS.to_vec()]))
            .map(|key| (key, None))
            .collect(),
    };
    rows.into_iter()
        .map(|(key, value)| {
            let key = cluster_key(cluster, &key);
            match value {
                Some(value) => StoreOp::put_bytes(HUB_ACKED, key, value),
                None => StoreOp::delete(HUB_ACKED, key),
            }
        })
        .collect()
}

/// Gives the rows that replace the list in flight; `None` when none is.
pub(super) fn inflight_ops(
    cluster: ClusterId,
    acked: Option<&DesiredList>,
    before: Option<&DesiredList>,
    to: Option<&DesiredList>,
) -> Vec<StoreOp> {
    let mut rows: BTreeMap<Vec<u8>, Option<StoreOp>> = BTreeMap::new();
    for (key, _) in before.iter().flat_map(|before| differences(acked, before)) {
        rows.insert(cluster_key(cluster, &key), None);
    }
    for (key, value) in to.iter().flat_map(|to| differences(acked, to)) {
        let key = cluster_key(cluster, &key);
        let op = StoreOp::put(HUB_INFLIGHT, key.clone(), &value.map(ByteVec::from));
        rows.insert(key, Some(op));
    }
    rows.into_iter().map(|(key, op)| op.unwrap_or_else(|| StoreOp::delete(HUB_INFLIGHT, key))).collect()
}

/// Remembers the roots that `to` replaces.
pub(super) fn remember(
    cluster: ClusterId,
    recent: &mut BTreeMap<AppId, Vec<Root>>,
    from: [Option<&DesiredList>; 2],
    to: &DesiredList,
) -> Vec<StoreOp> {
    let mut ops = Vec::new();
    let key = |app: &AppId| cluster_key(cluster, &encode(app));
    let left: Vec<AppId> = recent.keys().filter(|app| !to.elements().contains_key(app)).cloned().collect();
    for app in left {
        ops.push(StoreOp::delete(HUB_RECENT, key(&app)));
        recent.remove(&app);
    }
    for (app, element) in to.elements() {
        let replaced =
            from.iter().flatten().filter_map(|list| list.get(app)).map(|assignment| assignment.root);
        for root in replaced.filter(|root| *root != element.assignment.root) {
            let roots = recent.entry(app.clone()).or_default();
            if roots.contains(&root) {
                continue;
            }
            roots.push(root);
            if roots.len() > RECENT {
                roots.remove(0);
            }
            ops.push(StoreOp::put(HUB_RECENT, key(app), &*roots));
        }
    }
    ops
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{Head, Signature};
    use crate::ids::Digest;

    fn head(generation: u64, list: &str) -> SignedHead {
        let head = Head {
            cluster: ClusterId::from_random([1; 16]),
            epoch: Epoch::new([2; 16]),
            generation: Generation(generation),
            list_root: Digest::of(list.as_bytes()),
            previous: Digest::ZERO,
        };
        SignedHead { head, signature: Signature([0; 64]) }
    }

    #[test]
    fn a_head_that_a_copy_of_the_hub_sent_under_the_same_number_is_not_known() {
        let mut record = Record { epoch: Some(Epoch::new([2; 16])), ..Record::default() };
        record.sends(head(1, "a"));
        record.acknowledges(Some(head(1, "a")));
        record.sends(head(2, "b"));
        record.sends(head(3, "c"));
        for known in [head(1, "a"), head(2, "b"), head(3, "c")] {
            assert!(record.knows(&Anchor::of(&known.head)), "{known:?}");
        }
        for foreign in [head(1, "x"), head(2, "x"), head(3, "x"), head(4, "d")] {
            assert!(!record.knows(&Anchor::of(&foreign.head)), "{foreign:?}");
        }
        record.acknowledges(Some(head(3, "c")));
        assert!(record.knows(&Anchor::of(&head(2, "b").head)), "an agent's store may be rolled back");
        for number in 4..40 {
            record.sends(head(number, "n"));
        }
        assert!(record.unacknowledged.len() <= UNACKNOWLEDGED);
    }
}
