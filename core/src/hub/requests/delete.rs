//! Deleting an app by command. Which apps there are is the fleet's to say (M6): a command confirms what the fleet says,
//! and never takes its place.

use std::collections::BTreeSet;

use super::{AppName, Refused};
use crate::desired::Phase;
use crate::fleet::ChildState;
use crate::hub::{Context, Effects, HubMachine, Reply, Severity, read_status};
use crate::ids::{AppId, ClusterId};
use crate::status::Held;
use crate::store::StoreError;

/// A deletion that an operator ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletionOrdered {
    /// Name of the cluster.
    pub cluster: String,
    /// Whether this order was the first.
    pub first: bool,
    /// The deletes that its agent held when it told last; this order frees all but Namespaces and claims (M22).
    pub held: Option<Held>,
}

impl HubMachine {
    pub(super) fn delete_app(
        &mut self,
        name: &AppName,
        cascade: bool,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Reply, Refused>, StoreError> {
        let cluster = match self.deleting_on(name, cascade) {
            Ok(cluster) => cluster,
            Err(refused) => return Ok(Err(refused)),
        };
        let cluster_name = self.registry.name_of(cluster).unwrap_or_default().to_owned();
        let ordered = self.fleet.order_deletion(cluster, &name.app);
        let first = ordered.is_some();
        if let Some(op) = ordered {
            effects.ops.push(op);
            self.publish(&BTreeSet::from([cluster]), context, effects)?;
            let message = "an operator ordered its deletion, which confirms all but Namespaces and claims";
            self.tell(
                Severity::Warning,
                "DeletionOrdered",
                message.to_owned(),
                Some(cluster_name.clone()),
                Some(name.app.clone()),
                context.now,
                effects,
            );
        }
        let status = self.links.get(&cluster).and_then(|link| link.statuses().get(&name.app));
        let held = status.and_then(|row| read_status(row.value())).and_then(|status| status.held);
        Ok(Ok(Reply::DeletionOrdered(DeletionOrdered { cluster: cluster_name, first, held })))
    }

    /// Finds the cluster on which an app is being deleted, or says why it is not.
    fn deleting_on(&self, name: &AppName, cascade: bool) -> Result<ClusterId, Refused> {
        let app = &name.app;
        if let Some(document) = self.read.iter().find_map(|read| read.apps.get(app)) {
            let child = self.read.iter().find_map(|read| read.children.get(app));
            if let Some(ChildState::LeftOver(why)) = child.map(|child| &child.state) {
                let why = format!(
                    "it is left over ({why}); give its document in the fleet's folder, and take it out there"
                );
                return Err(Refused::NotDeleting { app: app.clone(), why });
            }
            let finalizer = match &document.application {
                Ok(application) if application.cascade.is_some() => {
                    "its document has the finalizer resources-finalizer.argocd.argoproj.io, so its objects are deleted \
                     then"
                }
                Ok(_) => {
                    "its document has no finalizer resources-finalizer.argocd.argoproj.io, so its objects stay then; \
                     with it they are deleted"
                }
                Err(_) => "its document is refused: see its conditions",
            };
            let file = document.file.clone();
            return Err(Refused::InFleet { app: app.clone(), file, finalizer });
        }
        let cluster = self.cluster_of(name)?;
        let placement = self.fleet.placements().get(&(cluster, app.clone()));
        let refuse = |why: String| Err(Refused::NotDeleting { app: app.clone(), why });
        match placement.map(|placement| placement.assignment.phase) {
            Some(Phase::Deleting) if cascade => Ok(cluster),
            Some(Phase::Deleting) => refuse(
                "its document has left the fleet and it is being deleted; --cascade confirms the deletes that are held, \
                 but Namespaces and claims; a document that comes back keeps it"
                    .to_owned(),
            ),
            Some(Phase::Released) => refuse(
                "its document has left the fleet without the finalizer resources-finalizer.argocd.argoproj.io: it is let \
                 go, and its objects stay"
                    .to_owned(),
            ),
            Some(Phase::Active | Phase::Frozen) => refuse(self.why_it_stays(app)),
            None => Err(Refused::NoApp(app.clone())),
        }
    }

    /// Says why an app without a document stays all the same.
    fn why_it_stays(&self, app: &AppId) -> String {
        if self.read.is_none() {
            return "the fleet was not read since the hub started".to_owned();
        }
        if let Some(loss) = self.mass_loss.as_ref().filter(|loss| loss.apps.contains(app)) {
            return format!(
                "the fleet lost {} apps at once; argosy app confirm {app} --plan {} confirms that",
                loss.apps.len(),
                loss.plan
            );
        }
        let condition = self.conditions.get(app).and_then(|conditions| conditions.keys().next());
        condition.map_or_else(
            || "the fleet was not read whole since its document went".to_owned(),
            |condition| condition.message.clone(),
        )
    }
}
