//! Statuses at the hub: the newest of every app, with its age.

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::record::{Record, Seen, Watermark};
use crate::ids::{AppId, ClusterId, Incarnation};
use crate::session::frame::StatusBatch;
use crate::session::tables::{HUB_STATUS, app_rows, cluster_key};
use crate::store::{StoreError, StoreOp, StoreRead, decode, encode};
use crate::time::{MonoTime, Now, millis};

/// Most apps of one cluster whose status is kept.
const APPS: usize = 16_384;
/// Most bytes of one cluster's statuses: an agent that is not itself any more fills no hub.
const BYTES: usize = 64 << 20;

/// The newest status of one app.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StatusRow {
    #[n(0)]
    incarnation: Incarnation,
    #[n(1)]
    sequence: u64,
    #[n(2)]
    value: ByteVec,
    /// Absent while the agent could not say when it saw its cluster.
    #[n(3)]
    seen: Option<Seen>,
}

impl StatusRow {
    /// Gives the status as the agent wrote it.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Gives when the agent made the statement; absent while it could not say when it saw its cluster.
    pub fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }
}

/// The statuses of one cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Statuses {
    rows: BTreeMap<AppId, StatusRow>,
    /// Bytes of all values.
    bytes: usize,
}

/// What a batch led to.
pub(super) struct Taken {
    pub(super) ops: Vec<StoreOp>,
    pub(super) changed: Vec<AppId>,
    /// The watermark to acknowledge, if the batch had anything but its time.
    pub(super) acknowledge: Option<u64>,
}

impl Statuses {
    pub(super) fn load(store: &dyn StoreRead, cluster: ClusterId) -> Result<Self, StoreError> {
        let mut rows = BTreeMap::new();
        for (app, value) in app_rows(store, HUB_STATUS, cluster.as_bytes())? {
            rows.insert(app, decode(HUB_STATUS, &value)?);
        }
        let bytes = rows.values().map(|row: &StatusRow| row.value.len()).sum();
        Ok(Self { rows, bytes })
    }

    pub(super) fn rows(&self) -> &BTreeMap<AppId, StatusRow> {
        &self.rows
    }

    /// Gives how old an app's status is: as old as its row, or as the watermark if that is younger; absent when the
    /// agent never said.
    pub(super) fn age(&self, app: &AppId, record: &Record, now: Now) -> Option<Duration> {
        let row = self.rows.get(app)?;
        let current = record.status.is_some_and(|status| status.incarnation == row.incarnation);
        let watermark = record.observed.filter(|_| current);
        row.seen.iter().chain(watermark.iter()).map(|seen| seen.age(now)).min()
    }

    /// Takes a batch; `None` when there would be more apps or bytes than a cluster may have.
    pub(super) fn take(
        &mut self,
        cluster: ClusterId,
        batch: StatusBatch,
        record: &mut Record,
        now: Now,
    ) -> Option<Taken> {
        let new = batch.entries.iter().filter(|entry| !self.rows.contains_key(&entry.app)).count();
        let size = |value: Option<usize>| value.unwrap_or_default();
        let grows: usize = batch.entries.iter().map(|entry| size(entry.value.as_ref().map(Vec::len))).sum();
        let replaces: usize = batch
            .entries
            .iter()
            .map(|entry| size(self.rows.get(&entry.app).map(|row| row.value.len())))
            .sum();
        let bytes = (self.bytes + grows).saturating_sub(replaces);
        if self.rows.len() + new > APPS || (bytes > BYTES && bytes > self.bytes) {
            return None;
        }
        let seen = batch.observed.and_then(|observed| seen(&batch.now, &observed, now));
        // Before the last batch a newer status may be on its way: the ones that are here may not hold any more.
        if batch.complete || batch.entries.is_empty() {
            record.observed = seen.or(record.observed);
        }
        let begun = record.status.filter(|status| status.incarnation == batch.incarnation);
        let mut sequence = begun.map_or(0, |status| status.sequence);
        let mut taken = Taken { ops: Vec::new(), changed: Vec::new(), acknowledge: None };
        let key = |app: &AppId| cluster_key(cluster, &encode(app));
        let says_something = !batch.entries.is_empty() || begun.is_none();
        for entry in batch.entries {
            if begun.is_some() && entry.sequence <= sequence {
                continue;
            }
            sequence = sequence.max(entry.sequence);
            if let Some(value) = entry.value {
                let incarnation = batch.incarnation;
                let row = StatusRow { incarnation, sequence: entry.sequence, value: value.into(), seen };
                taken.ops.push(StoreOp::put(HUB_STATUS, key(&entry.app), &row));
                self.rows.insert(entry.app.clone(), row);
            } else {
                taken.ops.push(StoreOp::delete(HUB_STATUS, key(&entry.app)));
                self.rows.remove(&entry.app);
            }
            taken.changed.push(entry.app);
        }
        if batch.complete {
            let void: Vec<AppId> = self
                .rows
                .iter()
                .filter(|(_, row)| row.incarnation != batch.incarnation)
                .map(|(app, _)| app.clone())
                .collect();
            for app in void {
                taken.ops.push(StoreOp::delete(HUB_STATUS, key(&app)));
                self.rows.remove(&app);
                taken.changed.push(app);
            }
        }
        self.bytes = self.rows.values().map(|row| row.value.len()).sum();
        if says_something {
            record.status = Some(Watermark { incarnation: batch.incarnation, sequence });
            taken.acknowledge = Some(sequence);
        }
        Some(taken)
    }
}

/// Says when something was seen, by this hub's clock; `None` over a reboot of the agent's machine.
fn seen(agent_now: &MonoTime, observed: &MonoTime, now: Now) -> Option<Seen> {
    let age_ms = millis(agent_now.since(observed)?);
    Some(Seen { received: now.mono, received_wall: now.wall, age_ms })
}
