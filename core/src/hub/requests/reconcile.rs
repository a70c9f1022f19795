//! After a restore: hub and agent side by side, and the end of the hold (M14, M15).

use super::{Disagreement, Reconciliation, Refused, Side};
use crate::desired::Assignment;
use crate::hub::{Context, Effects, HubMachine, Reply, Severity, link_context, read_status};
use crate::ids::{AppId, ClusterId};
use crate::session::hub::ReconcileError;
use crate::store::StoreError;

impl HubMachine {
    pub(super) fn reconcile(
        &mut self,
        name: &str,
        confirm: bool,
        keep: Option<&str>,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<Result<Reply, Refused>, StoreError> {
        let Some((cluster, _)) = self.registry.find(name) else {
            return Ok(Err(Refused::NoCluster(name.to_owned())));
        };
        if let Some(keep) = keep
            && let Err(refused) = self.decide_clone(cluster, name, keep, context, effects)
        {
            return Ok(Err(refused));
        }
        let rows = self.differences(cluster);
        let Some(link) = self.links.get_mut(&cluster) else {
            return Ok(Err(Refused::NoCluster(name.to_owned())));
        };
        let was_holding = link.unknown_chain().is_some();
        let why = link.unknown_chain().map(|unknown| unknown.why.clone());
        let made = link.sent().map(|(_, generation)| generation);
        let held = link.acknowledged_head().map(|held| held.head.generation);
        let mut obstacles = Vec::new();
        let clones: Vec<String> = link
            .clones()
            .into_iter()
            .flat_map(|(known, other)| [known.to_owned(), other.to_owned()])
            .collect();
        if let [known, other] = clones.as_slice() {
            obstacles.push(format!(
                "two clusters use this identity, kube-system {known} and {other}: say which one it belongs to: argosy \
                 cluster reconcile {name} --keep UID"
            ));
        }
        let mut ended = false;
        if confirm && was_holding && obstacles.is_empty() {
            match link.reconcile(&mut link_context(context, context.store)) {
                Ok(said) => {
                    ended = true;
                    self.absorb(cluster, said, context.now, effects);
                    self.look_behind(cluster, context.now);
                    let message = "the hub's list counts again; the hold on deletes has ended".to_owned();
                    let name = Some(name.to_owned());
                    self.tell(Severity::Info, "Reconciled", message, name, None, context.now, effects);
                }
                Err(ReconcileError::Store(error)) => return Err(error),
                Err(
                    error @ (ReconcileError::NothingToReconcile
                    | ReconcileError::NotTaken
                    | ReconcileError::NotRead
                    | ReconcileError::NotSettled(_)),
                ) => obstacles.push(error.to_string()),
            }
        } else if was_holding && let Err(why) = self.settled() {
            obstacles.push(ReconcileError::NotSettled(why).to_string());
        }
        let holding = was_holding && !ended;
        Ok(Ok(Reply::Reconciled(Reconciliation { holding, ended, why, made, held, rows, obstacles, clones })))
    }

    /// Carries out an operator's decision between two clusters with one identity.
    fn decide_clone(
        &mut self,
        cluster: ClusterId,
        name: &str,
        keep: &str,
        context: &Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), Refused> {
        let Some(link) = self.links.get_mut(&cluster) else {
            return Err(Refused::NoCluster(name.to_owned()));
        };
        let one_of_them = link.clones().is_some_and(|(known, other)| [known, other].contains(&keep));
        if !one_of_them {
            return Err(Refused::NoClone { name: name.to_owned(), uid: keep.to_owned() });
        }
        let said = link.decide_clone(keep);
        self.absorb(cluster, said, context.now, effects);
        let message =
            format!("the identity belongs to the cluster with kube-system {keep}; the other is refused");
        let name = Some(name.to_owned());
        self.tell(Severity::Warning, "CloneDecided", message, name, None, context.now, effects);
        Ok(())
    }

    /// Compares the hub's list of a cluster with the one that its agent holds.
    fn differences(&self, cluster: ClusterId) -> Vec<Disagreement> {
        let ours = self.fleet.list(cluster);
        let Some(link) = self.links.get(&cluster) else { return Vec::new() };
        let theirs = link.acknowledged_list();
        let holds = link.unknown_chain().is_some();
        let mut apps: Vec<&AppId> = ours.elements().keys().collect();
        apps.extend(theirs.iter().flat_map(|list| list.elements().keys()));
        apps.sort_unstable();
        apps.dedup();
        let side = |assignment: &Assignment| {
            let Assignment { app, root, phase, .. } = assignment;
            let placement = self.fleet.placements().get(&(cluster, app.clone()));
            let commit = placement.and_then(|placement| placement.commit_of(*root)).map(str::to_owned);
            Side { root: *root, commit, phase: *phase }
        };
        apps.into_iter()
            .filter_map(|app| {
                let hub = ours.elements().get(app);
                let agent = theirs.and_then(|list| list.elements().get(app));
                let status = link.statuses().get(app).and_then(|row| read_status(row.value()));
                let held = status.and_then(|status| status.held).filter(|_| holds);
                if held.is_none() && hub.map(|element| &element.bytes) == agent.map(|element| &element.bytes)
                {
                    return None;
                }
                let hub = hub.map(|element| side(&element.assignment));
                let agent = agent.map(|element| side(&element.assignment));
                Some(Disagreement { app: app.clone(), hub, agent, held })
            })
            .collect()
    }
}
