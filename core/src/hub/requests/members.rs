//! Clusters come, join, join again and go.

use std::collections::BTreeMap;

use super::Refused;
use crate::hub::{Context, Effects, HubMachine, Reply, Severity};
use crate::ids::{ClusterId, Digest, RejoinSerial};
use crate::journal::tables::{HUB_JOURNAL, HUB_JOURNAL_BASE, HUB_JOURNAL_META};
use crate::registry::{Attempt, Rejoin};
use crate::session::hub::HubLink;
use crate::session::tables::{HUB_ACKED, HUB_INFLIGHT, HUB_LINK, HUB_RECENT, HUB_STATUS};
use crate::store::{StoreError, StoreOp, Table};

impl HubMachine {
    pub(super) fn add_cluster(
        &mut self,
        name: &str,
        labels: BTreeMap<String, String>,
        token: Digest,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Reply, Refused> {
        let cluster = ClusterId::from_random(context.entropy.bytes16());
        let (expires, ops) = self.registry.add(cluster, name, labels, token, context.now.wall)?;
        effects.ops.extend(ops);
        self.links.insert(cluster, HubLink::new(cluster, self.installation));
        // The new link has been told nothing.
        self.told = None;
        self.dirty = true;
        let message = format!("added as {cluster}");
        self.tell(Severity::Info, "ClusterAdded", message, Some(name.to_owned()), None, context.now, effects);
        Ok(Reply::Added { cluster, expires, rejoin: RejoinSerial::default() })
    }

    pub(super) fn rejoin_cluster(
        &mut self,
        name: &str,
        token: Digest,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Reply, Refused> {
        let Rejoin { cluster, serial, expires, ops } = self.registry.rejoin(name, token, context.now.wall)?;
        effects.ops.extend(ops);
        if let Some(link) = self.links.get_mut(&cluster) {
            let said = link.rejoin();
            self.absorb(cluster, said, context.now, effects);
        }
        self.sessions.retain(|_, of| *of != cluster);
        let message =
            format!("{cluster} is asked to join again ({serial}); its earlier certificates are revoked");
        self.tell(Severity::Warning, "Rejoin", message, Some(name.to_owned()), None, context.now, effects);
        Ok(Reply::Added { cluster, expires, rejoin: serial })
    }

    pub(super) fn revoke_cluster(
        &mut self,
        name: &str,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Reply, Refused>, StoreError> {
        let Some((cluster, ops)) = self.registry.revoke(name, context.now.wall) else {
            return Ok(Err(Refused::NoCluster(name.to_owned())));
        };
        effects.ops.extend(ops);
        let mut was_connected = false;
        if let Some(mut link) = self.links.remove(&cluster) {
            was_connected = link.session().is_some();
            let said = link.revoke();
            self.absorb(cluster, said, context.now, effects);
        }
        self.sessions.retain(|_, of| *of != cluster);
        self.behind.remove(&cluster);
        self.heard.retain(|(of, _), _| *of != cluster);
        self.emptied.retain(|(of, _, _)| *of != cluster);
        self.released.retain(|(of, _)| *of != cluster);
        forget_link(cluster, context, effects)?;
        self.dirty = true;
        self.may_collect = true;
        let message = format!("{cluster} is revoked; its objects stay");
        self.tell(
            Severity::Warning,
            "ClusterRevoked",
            message,
            Some(name.to_owned()),
            None,
            context.now,
            effects,
        );
        Ok(Ok(Reply::Revoked { cluster, was_connected }))
    }

    pub(super) fn enrol(
        &mut self,
        attempt: &Attempt,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Reply, Refused> {
        let now = context.now;
        let name = self.registry.find(&attempt.name).map(|_| attempt.name.clone());
        match self.registry.admit(attempt, now.wall) {
            Ok((cluster, _)) => {
                effects.ops.extend(self.registry.enrolled(cluster, attempt, now.wall));
                let message = format!("its agent enrolled (kube-system {})", attempt.kube_system_uid);
                self.tell(Severity::Info, "Enrolled", message, name, None, now, effects);
                Ok(Reply::Enrolled { cluster })
            }
            Err(error) => {
                effects.ops.extend(self.registry.refused(&attempt.name));
                let message = format!("an agent that calls itself {:?} was refused: {error}", attempt.name);
                self.tell(Severity::Warning, "EnrolmentRefused", message, name, None, now, effects);
                Err(error.into())
            }
        }
    }
}

/// Drops what the store holds of a revoked cluster's link.
fn forget_link(cluster: ClusterId, context: &Context<'_>, effects: &mut Effects) -> Result<(), StoreError> {
    const TABLES: [Table; 8] = [
        HUB_ACKED,
        HUB_INFLIGHT,
        HUB_LINK,
        HUB_RECENT,
        HUB_STATUS,
        HUB_JOURNAL,
        HUB_JOURNAL_META,
        HUB_JOURNAL_BASE,
    ];
    // What its last words put there in this transaction goes with it.
    effects.ops.retain(|op| {
        let (StoreOp::Put { table, key, .. } | StoreOp::Delete { table, key }) = op;
        !TABLES.contains(table) || !key.starts_with(cluster.as_bytes())
    });
    for table in TABLES {
        let rows = context.store.scan(table, cluster.as_bytes())?;
        effects.ops.extend(rows.into_iter().map(|(key, _)| StoreOp::delete(table, key)));
    }
    Ok(())
}
