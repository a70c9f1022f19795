//! What the hub concludes from what agents report and acknowledge.

use std::collections::BTreeSet;

use super::{HubMachine, read_status};
use crate::desired::Phase;
use crate::ids::{AppId, ClusterId, DeletionId};
use crate::session::hub::HubLink;
use crate::status::Condition;
use crate::time::{Now, WallTime, millis};

impl HubMachine {
    /// Notes what this cluster's agent said of its apps in an earlier life of the hub.
    pub(super) fn hear_all(&mut self, cluster: ClusterId, now: Now) {
        let apps = self.links.get(&cluster).into_iter().flat_map(|link| link.statuses().keys());
        for app in apps.cloned().collect::<Vec<_>>() {
            self.hear(cluster, &app, now);
        }
    }

    /// Notes since when an agent says what it says of an app: its statement names no times.
    pub(super) fn hear(&mut self, cluster: ClusterId, app: &AppId, now: Now) {
        let key = (cluster, app.clone());
        let before = self.heard.remove(&key).unwrap_or_default();
        let row = self.links.get(&cluster).and_then(|link| link.statuses().get(app));
        let Some(status) = row.and_then(|row| read_status(row.value())) else { return };
        if status.conditions.is_empty() {
            return;
        }
        let age = row.and_then(|row| row.seen()).map(|seen| millis(seen.age(now))).unwrap_or_default();
        let stated = WallTime(now.wall.0.saturating_sub(i64::try_from(age).unwrap_or(i64::MAX)));
        let since = |condition: &Condition| before.get(condition).copied().unwrap_or(stated);
        let conditions =
            status.conditions.into_iter().map(|condition| (condition.clone(), since(&condition)));
        self.heard.insert(key, conditions.collect());
    }

    /// Notes which deletions this cluster's agent reports as done.
    pub(super) fn look_at_statuses(&mut self, cluster: ClusterId) {
        let Some(link) = self.links.get(&cluster) else { return };
        let mut found: BTreeSet<(ClusterId, AppId, DeletionId)> = BTreeSet::new();
        for ((_, app), _) in self.deletions_of(cluster) {
            let status = link.statuses().get(app).and_then(|row| read_status(row.value()));
            if let Some(id) = status.and_then(|status| status.emptied) {
                found.insert((cluster, app.clone(), id));
            }
        }
        let before: BTreeSet<_> = self.emptied.iter().filter(|(of, _, _)| *of == cluster).cloned().collect();
        if before != found {
            self.emptied.retain(|(of, _, _)| *of != cluster);
            self.emptied.extend(found);
            self.dirty = true;
        }
    }

    /// Notes which releases of apps this cluster's agent has taken.
    pub(super) fn look_at_acknowledged(&mut self, cluster: ClusterId) {
        let Some(list) = self.links.get(&cluster).and_then(HubLink::acknowledged_list) else { return };
        let released = list.elements().values().filter(|element| element.assignment.phase == Phase::Released);
        let found: BTreeSet<(ClusterId, AppId)> =
            released.map(|element| (cluster, element.assignment.app.clone())).collect();
        let before: BTreeSet<_> = self.released.iter().filter(|(of, _)| *of == cluster).cloned().collect();
        if before != found {
            self.released.retain(|(of, _)| *of != cluster);
            self.released.extend(found);
            self.dirty = true;
        }
    }

    pub(super) fn look_behind(&mut self, cluster: ClusterId, now: Now) {
        if self.links.get(&cluster).is_none_or(HubLink::is_up_to_date) {
            self.behind.remove(&cluster);
        } else {
            self.behind.entry(cluster).or_insert(now.mono);
        }
    }
}
