//! What is wrong with a hub.
use argosy_core::desired::{Assignment, DesiredList, Phase};
use argosy_core::fleet::{FleetRead, Rendering};
use argosy_core::ids::DeletionId;
use argosy_core::policy::Automated;
use argosy_core::release::Release;
use argosy_core::session::frame::HubFrame;
use argosy_core::session::tables::{self, put_release};
use argosy_core::store::StoreOp;

use super::super::world::World;
use super::Broken;

impl World {
    /// Breaks a transaction of the hub's links.
    pub(in super::super) fn break_hubs_ops(&self, ops: &mut Vec<StoreOp>) {
        let lost = match self.broken {
            Some(Broken::NumberUnwritten) => tables::HUB_LINK,
            Some(Broken::StatusUnwritten) => tables::HUB_STATUS,
            _ => return,
        };
        ops.retain(|op| match op {
            StoreOp::Put { table, .. } | StoreOp::Delete { table, .. } => *table != lost,
        });
    }

    /// Breaks what the hub says.
    pub(in super::super) fn break_hubs_frame(&mut self, frame: &mut HubFrame) {
        match (self.broken, frame) {
            (Some(Broken::ChangeLost), HubFrame::ListChanges { changes, .. }) => {
                changes.pop();
            }
            (Some(Broken::AnySignature), HubFrame::Head { signature, .. }) => signature.0 = [1; 64],
            _ => {}
        }
    }

    /// Breaks what an app rendered to.
    pub(in super::super) fn break_rendering(
        &self,
        rendering: Rendering,
        ops: &mut Vec<StoreOp>,
    ) -> Rendering {
        let empty = matches!(
            (self.broken, &rendering),
            (Some(Broken::FailedIsEmpty), Rendering::Failed(_))
                | (Some(Broken::PendingIsEmpty), Rendering::Pending(_))
        );
        if !empty {
            return rendering;
        }
        let (release, _) = Release::build([]);
        ops.push(put_release(&release));
        Rendering::Rendered { root: release.root(), commit: "none".to_owned(), warnings: Vec::new() }
    }

    /// Breaks what a cluster is to be given.
    pub(in super::super) fn break_list(&self, list: DesiredList) -> DesiredList {
        let change: fn(&mut Assignment) = match self.broken {
            Some(Broken::PruneAlways) => |assignment| {
                let automated = assignment.policy.automated.unwrap_or_default();
                assignment.policy.automated = Some(Automated { prune: true, ..automated });
            },
            Some(Broken::ReleasedIsDeleted) => |assignment| delete(assignment, Phase::Released),
            Some(Broken::FrozenIsDeleted) => |assignment| delete(assignment, Phase::Frozen),
            Some(Broken::HeldForgotten) => |assignment| assignment.held.clear(),
            _ => return list,
        };
        let elements = list.elements().values().map(|element| {
            let mut assignment = element.assignment.clone();
            change(&mut assignment);
            assignment.to_bytes()
        });
        let changed = DesiredList::from_parts(list.settings_bytes().to_vec(), elements);
        changed.unwrap_or(list)
    }
}

/// Breaks what was read of the fleet.
pub(in super::super) fn broken_read(broken: Option<Broken>, read: FleetRead) -> FleetRead {
    if broken == Some(Broken::BrokenIsAbsent) { FleetRead { broken: Vec::new(), ..read } } else { read }
}

fn delete(assignment: &mut Assignment, of: Phase) {
    if assignment.phase == of {
        assignment.phase = Phase::Deleting;
        assignment.deletion = Some(DeletionId::new([7; 16]));
    }
}
