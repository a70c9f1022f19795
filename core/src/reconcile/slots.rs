//! Who may send a request now: a few are under way at once, and nobody takes all of them.

use super::{Flight, Purpose, Reconciler};
use crate::ids::AppId;

/// Requests under way at once.
const CONCURRENCY: usize = 16;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// An app's operation.
    Sync,
    /// Putting back what was applied.
    Heal,
    /// A delete with its last look.
    Delete,
    /// A look at one object.
    Look,
}

impl Use {
    const ALL: [Self; 4] = [Self::Sync, Self::Heal, Self::Delete, Self::Look];

    /// Requests that the others leave to this use.
    const fn share(self) -> usize {
        match self {
            Self::Sync => 4,
            Self::Heal | Self::Delete => 1,
            Self::Look => 2,
        }
    }

    fn of(flight: &Flight) -> Self {
        match &flight.purpose {
            Purpose::Verify
            | Purpose::Settle
            | Purpose::Compare { .. }
            | Purpose::Weigh { .. }
            | Purpose::Sweep { .. } => Self::Look,
            Purpose::Claim { heal, .. } | Purpose::Apply { heal, .. } => {
                if *heal {
                    Self::Heal
                } else {
                    Self::Sync
                }
            }
            Purpose::DeleteCheck { .. } | Purpose::Delete { .. } => Self::Delete,
            Purpose::Try { .. }
            | Purpose::Namespace { .. }
            | Purpose::ClearHook { .. }
            | Purpose::DeleteHook { .. } => Self::Sync,
        }
    }
}

impl Reconciler {
    /// Tells whether one more request may be sent: what is under way leaves the others their share.
    pub(super) fn has_room(&self, wanted: Use) -> bool {
        let under_way = |of: Use| self.flights.values().filter(|flight| Use::of(flight) == of).count();
        let kept: usize = Use::ALL
            .into_iter()
            .filter(|of| *of != wanted)
            .map(|of| of.share().saturating_sub(under_way(of)))
            .sum();
        self.flights.len().saturating_add(kept) < CONCURRENCY
    }

    /// Tells whether an app's operation may send one more request: while others have something to do, one app takes at
    /// most half of what there is for all of them.
    pub(super) fn has_room_for(&self, app: &AppId) -> bool {
        if !self.has_room(Use::Sync) {
            return false;
        }
        let kept: usize = Use::ALL.into_iter().filter(|of| *of != Use::Sync).map(Use::share).sum();
        if self.own_requests(app) < CONCURRENCY.saturating_sub(kept) / 2 {
            return true;
        }
        !self.apps.iter().any(|(name, state)| {
            let wants = state.work.as_ref().is_some_and(|work| {
                work.retry_at.is_none() && work.namespace.is_none() && work.rank_now().is_some()
            });
            name != app && wants
        })
    }

    fn own_requests(&self, app: &AppId) -> usize {
        let own = |flight: &&Flight| match &flight.purpose {
            Purpose::Claim { app: of, heal, .. } | Purpose::Apply { app: of, heal, .. } => of == app && !heal,
            Purpose::Try { app: of } => of == app,
            Purpose::Verify
            | Purpose::Settle
            | Purpose::Compare { .. }
            | Purpose::Weigh { .. }
            | Purpose::Sweep { .. }
            | Purpose::DeleteCheck { .. }
            | Purpose::Delete { .. }
            | Purpose::Namespace { .. }
            | Purpose::ClearHook { .. }
            | Purpose::DeleteHook { .. } => false,
        };
        self.flights.values().filter(own).count()
    }

    /// Gives all apps, beginning with the one that found no slot before.
    pub(super) fn in_turn(&mut self) -> Vec<AppId> {
        let mut apps: Vec<AppId> = self.apps.keys().cloned().collect();
        if let Some(first) = self.first_served.take() {
            let at = apps.partition_point(|app| *app < first);
            apps.rotate_left(at);
        }
        apps
    }
}
