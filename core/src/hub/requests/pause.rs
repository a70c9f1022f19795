//! Pausing an app by command: what it would do by itself waits, and everything is seen and told as ever.

use std::collections::BTreeSet;

use super::{AppName, Refused};
use crate::desired::Phase;
use crate::fleet::Pause;
use crate::hub::{Context, Effects, HubMachine, Reply, Severity};
use crate::store::StoreError;

/// A pause that an operator ordered, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseOrdered {
    /// Name of the cluster.
    pub cluster: String,
    /// The pause that is in force now; absent: none.
    pub paused: Option<Pause>,
    /// Whether it was otherwise before.
    pub changed: bool,
}

impl HubMachine {
    pub(super) fn pause_app(
        &mut self,
        name: &AppName,
        by: Option<String>,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Reply, Refused>, StoreError> {
        let cluster = match self.cluster_of(name) {
            Ok(cluster) => cluster,
            Err(refused) => return Ok(Err(refused)),
        };
        let key = (cluster, name.app.clone());
        let phase = self.fleet.placements().get(&key).map(|placement| placement.assignment.phase);
        if !matches!(phase, Some(Phase::Active | Phase::Frozen)) {
            return Ok(Err(Refused::Leaves(name.app.clone())));
        }
        let pause = by.clone().map(|by| Pause { by, since: context.now.wall, automated: None });
        let ordered = self.fleet.pause(cluster, &name.app, pause);
        let changed = ordered.is_some();
        let cluster_name = self.registry.name_of(cluster).unwrap_or_default().to_owned();
        if let Some(op) = ordered {
            effects.ops.push(op);
            self.publish(&BTreeSet::from([cluster]), context, effects)?;
            self.dirty = true;
            let (reason, message) = match by {
                Some(by) => {
                    ("Paused", format!("{by} ordered that it is neither synced nor healed by itself"))
                }
                None => ("Resumed", "it goes on as its document says".to_owned()),
            };
            let (of, app) = (Some(cluster_name.clone()), Some(name.app.clone()));
            self.tell(Severity::Warning, reason, message, of, app, context.now, effects);
        }
        let paused = self.fleet.placements().get(&key).and_then(|placement| placement.paused.clone());
        Ok(Ok(Reply::PauseOrdered(PauseOrdered { cluster: cluster_name, paused, changed })))
    }
}
