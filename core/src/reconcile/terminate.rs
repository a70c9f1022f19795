//! The end of a sync before its time (Argo CD: `terminate-op`): nothing more is written, hooks that run are deleted, and it
//! is not tried again by itself.

use super::state::Work;
use super::{Purpose, Reconciler};
use crate::ids::AppId;
use crate::status::OperationPhase;
use crate::time::Now;

/// What a sync that was ended says (Argo CD's words).
pub(super) const TERMINATED: &str = "Operation terminated";

impl Work {
    /// Says of the hooks that run that they did not come to their end.
    fn cut_hooks(&mut self) {
        for row in self.results.iter_mut().filter(|row| row.hook_phase == Some(OperationPhase::Running)) {
            row.hook_phase = Some(OperationPhase::Failed);
            "Terminated".clone_into(&mut row.message);
        }
    }
}

impl Reconciler {
    /// Carries the end of a sync on, if somebody asked for that. Tells whether somebody did.
    pub(super) fn end_if_asked(&mut self, app: &AppId, now: Now) -> bool {
        let Some(state) = self.apps.get(app) else { return false };
        if !state.operation.as_ref().is_some_and(|operation| operation.terminated) {
            return false;
        }
        let Some(work) = &state.work else { return true };
        if work.refused.as_deref() != Some(TERMINATED) {
            let hooks = state.operation.as_ref().and_then(|operation| operation.with_hooks) == Some(true);
            if hooks && work.prunes.is_none() {
                // After a restart nobody has looked yet which of them run.
                self.place_hooks(app);
            }
            if let Some(work) = self.apps.get_mut(app).and_then(|state| state.work.as_mut()) {
                work.cut_hooks();
                work.retry_at = None;
                work.waiting.clear();
            }
            self.refuse(app, TERMINATED.to_owned());
        }
        let under_way = self.flights.values().any(|flight| match &flight.purpose {
            Purpose::Claim { app: of, heal, .. } | Purpose::Apply { app: of, heal, .. } => of == app && !heal,
            Purpose::Try { app: of }
            | Purpose::Namespace { app: of }
            | Purpose::DeleteCheck { app: of, .. }
            | Purpose::Delete { app: of, .. } => of == app,
            Purpose::Verify
            | Purpose::Settle
            | Purpose::ClearHook { .. }
            | Purpose::DeleteHook { .. }
            | Purpose::Compare { .. }
            | Purpose::Weigh { .. }
            | Purpose::Sweep { .. } => false,
        });
        if !under_way {
            self.finish_operation(app, now);
        }
        true
    }
}
