//! Commands to agents, and to the hub itself.

use super::{AppName, CommandProgress, Pending, Refused, Share};
use crate::hub::{CONFIRMED_LOSS, Context, Effects, HubMachine, Reply, Severity, Ticket, read_status};
use crate::ids::{AppId, ClusterId, CommandId, Digest};
use crate::registry::REGISTRY_META;
use crate::session::frame::{Command, CommandKind, CommandState, CommandUpdate};
use crate::session::hub::HubLink;
use crate::status::OperationStatus;
use crate::store::StoreOp;
use crate::time::MonoTime;

/// Most commands whose end somebody waits for.
const COMMANDS: usize = 1024;

impl HubMachine {
    pub(super) fn begin_command(
        &mut self,
        ticket: Ticket,
        name: &AppName,
        (kind, share): (CommandKind, Option<Share>),
        deadline_ms: u64,
        context: &mut Context<'_>,
        effects: &mut Effects,
    ) -> Result<(), Refused> {
        let id = CommandId::new(context.entropy.bytes16());
        let cluster = self.cluster_of(name)?;
        let at = (cluster, name.app.clone());
        if let CommandKind::Confirm { plan, .. } = &kind
            && let Some(loss) = self.mass_loss.clone().filter(|loss| loss.plan == *plan)
        {
            self.confirm_loss(*plan, loss.apps.len(), context, effects);
            let progress = CommandProgress {
                id,
                state: CommandState::Succeeded,
                message: format!("the loss of {} apps is confirmed", loss.apps.len()),
                payload: Vec::new(),
                operation: None,
                app: name.app.clone(),
                cluster: Some(cluster),
            };
            effects.replies.push((ticket, Ok(Reply::Command(progress))));
            return Ok(());
        }
        let link = self.agent_for(cluster, &kind)?;
        let operation =
            link.statuses().get(&name.app).and_then(|row| read_status(row.value())).and_then(|s| s.operation);
        let pending = Pending { ticket: Some(ticket), at, state: CommandState::Accepted, operation, share };
        self.pending.insert(id, pending);
        let command = Command { id, kind, deadline_ms };
        if let Some(link) = self.links.get_mut(&cluster) {
            let said = link.command(command, context.now);
            self.absorb(cluster, said, context.now, effects);
        }
        Ok(())
    }

    /// Gives the link to an agent that takes a command now, or why there is none.
    pub(super) fn agent_for(&self, cluster: ClusterId, kind: &CommandKind) -> Result<&HubLink, Refused> {
        if self.pending.len() >= COMMANDS {
            return Err(Refused::Busy);
        }
        let named = || self.registry.name_of(cluster).unwrap_or_default().to_owned();
        let away = || Refused::Away(named());
        let link = self.links.get(&cluster).filter(|link| link.session().is_some()).ok_or_else(away)?;
        match kind.needs() {
            Some(needs) if !link.capabilities().is_some_and(|names| names.contains(needs)) => {
                Err(Refused::TooOld { cluster: named(), needs })
            }
            Some(_) | None => Ok(link),
        }
    }

    fn confirm_loss(&mut self, plan: Digest, apps: usize, context: &Context<'_>, effects: &mut Effects) {
        self.confirmed_loss = Some(plan);
        effects.ops.push(StoreOp::put(REGISTRY_META, CONFIRMED_LOSS, &plan));
        self.dirty = true;
        let message = format!("an operator confirmed that {apps} apps leave the fleet");
        self.tell(Severity::Warning, "LossConfirmed", message, None, None, context.now, effects);
    }

    /// Finds the cluster that a request about an app is for.
    pub(in crate::hub) fn cluster_of(&self, name: &AppName) -> Result<ClusterId, Refused> {
        let placed = self.fleet.placements_of(&name.app);
        if let Some(cluster) = &name.cluster {
            let (id, _) = self.registry.find(cluster).ok_or_else(|| Refused::NoCluster(cluster.clone()))?;
            return if placed.iter().any(|(of, _)| *of == id) {
                Ok(id)
            } else {
                Err(Refused::NoApp(name.app.clone()))
            };
        }
        if let Some((cluster, _)) = placed.first() {
            return Ok(*cluster);
        }
        if self.read.iter().any(|read| read.apps.contains_key(&name.app)) {
            return Err(Refused::Waiting { app: name.app.clone(), why: self.waiting(&name.app) });
        }
        Err(Refused::NoApp(name.app.clone()))
    }

    /// Says what an app waits for that is on no cluster yet.
    pub(in crate::hub) fn waiting(&self, app: &AppId) -> String {
        if self.is_done_here(app) {
            return "it renders documents of the fleet and nothing else, of which no agent has anything: argosy app get \
                    tells of each, and argosy app preview what a change would bring"
                .to_owned();
        }
        let conditions = self.conditions.get(app).and_then(|conditions| conditions.keys().next());
        conditions.map_or("its source was not read yet", |condition| &condition.message).to_owned()
    }

    pub(in crate::hub) fn command_moved(&mut self, update: CommandUpdate, effects: &mut Effects) {
        let Some(pending) = self.pending.get_mut(&update.id) else { return };
        pending.state = update.state;
        if pending.share.as_mut().is_some_and(|share| share.begins_with(&update)) {
            return;
        }
        self.tell_moved(update, None, effects);
    }

    /// Tells who waits for a command how it stands, and what the hub did of it.
    pub(super) fn tell_moved(
        &mut self,
        update: CommandUpdate,
        operation: Option<(OperationStatus, MonoTime)>,
        effects: &mut Effects,
    ) {
        let Some(pending) = self.pending.get(&update.id) else { return };
        let CommandUpdate { id, state, message, payload } = update;
        let (ticket, (cluster, app)) = (pending.ticket, pending.at.clone());
        let over =
            state.is_final() || (ticket.is_none() && pending.share.as_ref().is_none_or(Share::is_done));
        let (state, message) = match &pending.share {
            Some(share) => share.ends(state, message),
            None => (state, message),
        };
        if over {
            self.pending.remove(&id);
        }
        let cluster = Some(cluster);
        let progress = CommandProgress { id, state, message, payload, operation, app, cluster };
        effects.replies.extend(ticket.map(|ticket| (ticket, Ok(Reply::Command(progress)))));
    }

    /// Notes that nobody waits for this answer any more. Documents that are to be taken are taken all the same.
    pub(in crate::hub) fn abandon(&mut self, ticket: Ticket) {
        self.pending.retain(|_, pending| {
            if pending.ticket != Some(ticket) {
                return true;
            }
            pending.ticket = None;
            pending.share.as_ref().is_some_and(|share| !share.is_done())
        });
    }

    /// Tells those who wait for a command how its app's operation goes.
    pub(in crate::hub) fn progress_of(&mut self, cluster: ClusterId, apps: &[AppId], effects: &mut Effects) {
        let Some(link) = self.links.get(&cluster) else { return };
        for (id, pending) in &mut self.pending {
            let Some(ticket) = pending.ticket else { continue };
            if pending.at.0 != cluster || !apps.contains(&pending.at.1) {
                continue;
            }
            let Some(status) = link.statuses().get(&pending.at.1).and_then(|row| read_status(row.value()))
            else {
                continue;
            };
            if status.operation == pending.operation {
                continue;
            }
            pending.operation.clone_from(&status.operation);
            let Some(mut operation) = status.operation else { continue };
            operation.results.extend(pending.share.iter().flat_map(Share::results).cloned());
            let progress = CommandProgress {
                id: *id,
                state: pending.state,
                message: String::new(),
                payload: Vec::new(),
                operation: Some((operation, status.observed)),
                app: pending.at.1.clone(),
                cluster: Some(cluster),
            };
            effects.replies.push((ticket, Ok(Reply::Command(progress))));
        }
    }
}
